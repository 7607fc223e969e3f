/* Value trees, tensors and DLPack, without an engine. */
#define _XOPEN_SOURCE 700

#include <pthread.h>

#include "check.h"

/* DLPack 1.x as its specification lays it out. */
typedef struct {
  uint32_t major, minor;
} dl_version;
typedef struct {
  void* data;
  struct {
    int32_t device_type, device_id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
} dl_tensor;
struct DLManagedTensorVersioned {
  dl_version version;
  void* manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned* self);
  uint64_t flags;
  dl_tensor tensor;
};

static int released = 0;
static void count_release(void* user) {
  *(int*)user += 1;
}
static int deleted = 0;
static void count_delete(struct DLManagedTensorVersioned* self) {
  (void)self;
  ++deleted;
}

static pts_tensor float_tensor(float* data, int32_t rank, const int64_t* shape) {
  pts_tensor tensor = PTS_TENSOR_INIT;
  tensor.dtype = PTS_DTYPE_FLOAT32;
  tensor.rank = rank;
  tensor.shape = shape;
  tensor.data = data;
  return tensor;
}

static void test_scalars(void) {
  pts_error error;
  pts_value* value = NULL;
  int32_t truth = 7;
  int64_t number = 7;
  double real = 7;
  const char* text = "x";
  size_t size = 7;

  CHECK_OK(pts_value_create_none(&value, &error));
  CHECK(pts_value_kind(value) == PTS_NONE);
  CHECK_STATUS(pts_value_get_bool(value, &truth, &error), PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "the value is a none, not a bool");
  CHECK(truth == 0);
  pts_value_destroy(&value);

  CHECK_OK(pts_value_create_bool(-3, &value, &error));
  CHECK_OK(pts_value_get_bool(value, &truth, &error));
  CHECK(pts_value_kind(value) == PTS_BOOL && truth == 1);
  CHECK_STATUS(pts_value_get_int(value, &number, &error), PTS_INVALID_ARGUMENT);
  pts_value_destroy(&value);

  CHECK_OK(pts_value_create_int(INT64_MIN, &value, &error));
  CHECK_OK(pts_value_get_int(value, &number, &error));
  CHECK(pts_value_kind(value) == PTS_INT && number == INT64_MIN);
  CHECK_STATUS(pts_value_get_float(value, &real, &error), PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_value_get_string(value, &text, &size, &error), PTS_INVALID_ARGUMENT);
  CHECK(text == NULL && size == 0);
  pts_value_destroy(&value);

  CHECK_OK(pts_value_create_float(0.5, &value, &error));
  CHECK_OK(pts_value_get_float(value, &real, &error));
  CHECK(pts_value_kind(value) == PTS_FLOAT && real == 0.5);
  pts_value_destroy(&value);

  CHECK_OK(pts_value_create_string("a\0\xC3\xA9", 4, &value, &error));
  CHECK_OK(pts_value_get_string(value, &text, &size, &error));
  CHECK(pts_value_kind(value) == PTS_STRING && size == 4 && memcmp(text, "a\0\xC3\xA9", 5) == 0);
  CHECK_OK(pts_value_get_string(value, &text, NULL, &error));
  pts_value_destroy(&value);
  CHECK_STATUS(pts_value_create_string("\xC3(", 2, &value, &error), PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_value_create_string("\xED\xA0\x80", 3, &value, &error), PTS_INVALID_ARGUMENT);
  CHECK_OK(pts_value_create_string(NULL, 0, &value, &error));
  pts_value_destroy(&value);
}

static void test_trees(void) {
  pts_error error;
  pts_value *list = NULL, *dict = NULL, *number = NULL, *copy = NULL;
  int64_t got = 0;
  CHECK_OK(pts_value_create_list(&list, &error));
  CHECK_OK(pts_value_create_dict(&dict, &error));
  CHECK_OK(pts_value_create_int(5, &number, &error));
  CHECK(pts_value_size(list) == 0 && pts_value_item(list, 0) == NULL);
  CHECK_OK(pts_value_append(list, number, &error));
  CHECK_OK(pts_value_append(list, list, &error)); /* a copy of itself */
  CHECK(pts_value_size(list) == 2);
  CHECK_OK(pts_value_put(dict, "b", list, &error));
  CHECK_OK(pts_value_put(dict, "a", number, &error));
  CHECK_STATUS(pts_value_put(dict, "a", number, &error), PTS_ALREADY_EXISTS);
  CHECK_STATUS(pts_value_put(dict, "\xFF", number, &error), PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_value_put(list, "a", number, &error), PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_value_append(dict, number, &error), PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_value_append(number, number, &error), PTS_INVALID_ARGUMENT);
  CHECK_OK(pts_value_copy(dict, &copy, &error));
  pts_value_destroy(&dict);
  pts_value_destroy(&number);
  pts_value_destroy(&list);

  CHECK(pts_value_kind(copy) == PTS_DICT && pts_value_size(copy) == 2);
  CHECK(strcmp(pts_value_key(copy, 0), "b") == 0 && strcmp(pts_value_key(copy, 1), "a") == 0);
  CHECK(pts_value_key(copy, 2) == NULL && pts_value_item(copy, 2) == NULL);
  CHECK(pts_value_find(copy, "c") == NULL);
  CHECK(pts_value_find(copy, "b") == pts_value_item(copy, 0));
  CHECK(pts_value_kind(pts_value_find(copy, "b")) == PTS_LIST);
  CHECK(pts_value_size(pts_value_item(pts_value_find(copy, "b"), 1)) == 1);
  CHECK_OK(pts_value_get_int(pts_value_find(copy, "a"), &got, &error));
  CHECK(got == 5);
  CHECK(pts_value_key(pts_value_find(copy, "b"), 0) == NULL);
  CHECK(pts_value_size(pts_value_find(copy, "a")) == 0);
  pts_value_destroy(&copy);
}

/* Deep trees are refused before they can exhaust a stack. */
static void test_depth(void) {
  pts_error error;
  pts_value* inner = NULL;
  pts_status status = PTS_OK;
  int depth = 0;
  CHECK_OK(pts_value_create_tuple(&inner, &error));
  while (status == PTS_OK && depth < 2000) {
    pts_value* outer = NULL;
    CHECK_OK(pts_value_create_tuple(&outer, &error));
    status = pts_value_append(outer, inner, &error);
    pts_value_destroy(&inner);
    inner = outer;
    ++depth;
  }
  CHECK(status == PTS_LIMIT_EXCEEDED && depth > 200 && depth < 300);
  pts_value_destroy(&inner);
}

static void test_borrow(void) {
  pts_error error;
  float data[6] = {0, 1, 2, 3, 4, 5};
  const int64_t shape[2] = {2, 3};
  const int64_t swapped[2] = {1, 2};
  const int64_t shape_t[2] = {2, 3};
  pts_tensor tensor = float_tensor(data, 2, shape);
  pts_tensor view = PTS_TENSOR_INIT;
  pts_value *value = NULL, *copy = NULL, *list = NULL;

  released = 0;
  CHECK_OK(pts_value_borrow_tensor(&tensor, &value, count_release, &released, &error));
  CHECK_OK(pts_value_get_tensor(value, &view, &error));
  CHECK(view.data == (void*)data && view.rank == 2 && view.shape[0] == 2 && view.shape[1] == 3);
  CHECK(view.strides[0] == 3 && view.strides[1] == 1 && view.dtype == PTS_DTYPE_FLOAT32);
  CHECK(view.shape != shape && view.device_type == PTS_DEVICE_CPU && view.read_only == 0);
  /* Every copy shares the memory; the last one lets it go. */
  CHECK_OK(pts_value_create_list(&list, &error));
  CHECK_OK(pts_value_append(list, value, &error));
  CHECK_OK(pts_value_copy(value, &copy, &error));
  pts_value_destroy(&value);
  CHECK_OK(pts_value_get_tensor(pts_value_item(list, 0), &view, &error));
  CHECK(view.data == (void*)data);
  pts_value_destroy(&list);
  CHECK(released == 0);
  pts_value_destroy(&copy);
  CHECK(released == 1);

  /* Strides and the read-only mark travel along. */
  tensor.strides = swapped;
  tensor.shape = shape_t;
  tensor.read_only = 1;
  CHECK_OK(pts_value_borrow_tensor(&tensor, &value, NULL, NULL, &error));
  CHECK_OK(pts_value_get_tensor(value, &view, &error));
  CHECK(view.strides[0] == 1 && view.strides[1] == 2 && view.read_only == 1);
  pts_value_destroy(&value);
  CHECK(released == 1);
}

static void test_refused_tensors(void) {
  pts_error error;
  double storage[4] = {0, 1, 2, 3};
  const int64_t shape[1] = {2};
  const int64_t negative_shape[1] = {-2};
  const int64_t huge[3] = {INT64_MAX, INT64_MAX, 4};
  const int64_t negative[1] = {-1};
  const int64_t far[1] = {INT64_MAX};
  int64_t many[17];
  pts_value* value = NULL;
  released = 0;
#define REFUSED(member, wrong, status)                                                       \
  do {                                                                                       \
    pts_tensor tensor = float_tensor((float*)storage, 1, shape);                             \
    tensor.member = wrong;                                                                   \
    CHECK_STATUS(pts_value_borrow_tensor(&tensor, &value, count_release, &released, &error), \
                 status);                                                                    \
    CHECK(value == NULL);                                                                    \
  } while (0)
  for (int i = 0; i < 17; ++i) many[i] = 1;
  REFUSED(dtype, 0, PTS_INVALID_ARGUMENT);
  REFUSED(dtype, 17, PTS_INVALID_ARGUMENT);
  REFUSED(dtype, -1, PTS_INVALID_ARGUMENT);
  REFUSED(rank, -1, PTS_INVALID_ARGUMENT);
  REFUSED(rank, 17, PTS_INVALID_ARGUMENT);
  REFUSED(shape, NULL, PTS_INVALID_ARGUMENT);
  REFUSED(shape, negative_shape, PTS_INVALID_INPUT);
  REFUSED(strides, negative, PTS_INVALID_INPUT);
  CHECK_HAS(error.message, "negative strides");
  REFUSED(strides, far, PTS_INVALID_INPUT);
  REFUSED(data, NULL, PTS_INVALID_INPUT);
  REFUSED(data, (char*)storage + 1, PTS_INVALID_INPUT);
  CHECK_HAS(error.message, "aligned");
  REFUSED(device_type, 3, PTS_INVALID_ARGUMENT);
  REFUSED(device_type, 0, PTS_INVALID_ARGUMENT);
  REFUSED(reserved, 1, PTS_INVALID_ARGUMENT);
  {
    pts_tensor tensor = float_tensor((float*)storage, 3, huge);
    CHECK_STATUS(pts_value_borrow_tensor(&tensor, &value, count_release, &released, &error),
                 PTS_INVALID_INPUT);
    CHECK_STATUS(pts_value_copy_tensor(&tensor, &value, &error), PTS_INVALID_INPUT);
    tensor = float_tensor((float*)storage, 16, many); /* 16 dimensions are fine */
    CHECK_OK(pts_value_borrow_tensor(&tensor, &value, NULL, NULL, &error));
    pts_value_destroy(&value);
    tensor.device_type = PTS_DEVICE_CUDA;
    tensor.device_index = -1;
    CHECK_STATUS(pts_value_borrow_tensor(&tensor, &value, NULL, NULL, &error),
                 PTS_INVALID_ARGUMENT);
    tensor.device_index = 0;
    CHECK_STATUS(pts_value_copy_tensor(&tensor, &value, &error), PTS_UNSUPPORTED);
  }
#undef REFUSED
  CHECK(released == 0); /* a failed borrow never releases */
}

static void test_copy(void) {
  pts_error error;
  float data[4] = {0, 1, 2, 3};
  const int64_t shape[1] = {4};
  const int64_t empty[2] = {0, 3};
  const int64_t backwards[1] = {-1};
  const int64_t too_much[1] = {INT64_C(1) << 58};
  pts_tensor tensor = float_tensor(data + 3, 1, shape);
  pts_tensor view = PTS_TENSOR_INIT;
  pts_value* value = NULL;
  tensor.strides = backwards;
  CHECK_OK(pts_value_copy_tensor(&tensor, &value, &error));
  memset(data, 0, sizeof(data));
  CHECK_OK(pts_value_get_tensor(value, &view, &error));
  CHECK(view.strides[0] == 1 && ((uintptr_t)view.data) % 64 == 0);
  for (int i = 0; i < 4; ++i) CHECK(((const float*)view.data)[i] == (float)(3 - i));
  pts_value_destroy(&value);

  tensor = float_tensor(NULL, 1, shape); /* zeros */
  CHECK_OK(pts_value_copy_tensor(&tensor, &value, &error));
  CHECK_OK(pts_value_get_tensor(value, &view, &error));
  for (int i = 0; i < 4; ++i) CHECK(((const float*)view.data)[i] == 0.0f);
  pts_value_destroy(&value);

  tensor = float_tensor(NULL, 2, empty);
  CHECK_OK(pts_value_copy_tensor(&tensor, &value, &error));
  CHECK_OK(pts_value_borrow_tensor(&tensor, &value, NULL, NULL, &error));
  tensor = float_tensor(data, 0, NULL); /* a scalar */
  pts_value_destroy(&value);
  CHECK_OK(pts_value_copy_tensor(&tensor, &value, &error));
  CHECK_OK(pts_value_get_tensor(value, &view, &error));
  CHECK(view.rank == 0 && view.shape == NULL && view.strides == NULL && view.data != NULL);
  pts_value_destroy(&value);

  tensor = float_tensor(NULL, 1, too_much);
  CHECK_STATUS(pts_value_copy_tensor(&tensor, &value, &error), PTS_OUT_OF_MEMORY);
  CHECK(value == NULL);
}

static void test_dlpack_in(void) {
  pts_error error;
  float data[6] = {0, 1, 2, 3, 4, 5};
  int64_t shape[1] = {2};
  int64_t strides[1] = {2};
  struct DLManagedTensorVersioned managed;
  pts_tensor view = PTS_TENSOR_INIT;
  pts_value *value = NULL, *copy = NULL;
  memset(&managed, 0, sizeof(managed));
  managed.version.major = 1;
  managed.deleter = count_delete;
  managed.flags = 1;
  managed.tensor.data = data;
  managed.tensor.device.device_type = 1;
  managed.tensor.ndim = 1;
  managed.tensor.dtype.code = 2;
  managed.tensor.dtype.bits = 32;
  managed.tensor.dtype.lanes = 1;
  managed.tensor.shape = shape;
  managed.tensor.strides = strides;
  managed.tensor.byte_offset = 4;

  deleted = 0;
  CHECK_OK(pts_value_from_dlpack(&managed, &value, &error));
  CHECK_OK(pts_value_get_tensor(value, &view, &error));
  CHECK(view.data == (void*)(data + 1) && view.strides[0] == 2 && view.read_only == 1);
  CHECK_OK(pts_value_copy(value, &copy, &error));
  pts_value_destroy(&value);
  CHECK(deleted == 0);
  pts_value_destroy(&copy);
  CHECK(deleted == 1);

  /* What is refused stays the caller's. */
#define REFUSED(member, wrong, right, status)                              \
  do {                                                                     \
    managed.member = wrong;                                                \
    CHECK_STATUS(pts_value_from_dlpack(&managed, &value, &error), status); \
    CHECK(value == NULL && deleted == 1);                                  \
    managed.member = right;                                                \
  } while (0)
  REFUSED(version.major, 2, 1, PTS_UNSUPPORTED);
  CHECK_HAS(error.message, "2.0");
  REFUSED(version.major, 0, 1, PTS_UNSUPPORTED);
  REFUSED(tensor.dtype.lanes, 4, 1, PTS_UNSUPPORTED);
  REFUSED(tensor.dtype.bits, 24, 32, PTS_UNSUPPORTED);
  REFUSED(tensor.device.device_type, 10, 1, PTS_UNSUPPORTED);
  REFUSED(tensor.ndim, 17, 1, PTS_LIMIT_EXCEEDED);
  REFUSED(tensor.ndim, -1, 1, PTS_LIMIT_EXCEEDED);
  REFUSED(tensor.data, NULL, data, PTS_INVALID_INPUT);
  REFUSED(tensor.byte_offset, 2, 4, PTS_INVALID_INPUT);
  strides[0] = -1;
  REFUSED(tensor.byte_offset, 4, 4, PTS_INVALID_INPUT);
#undef REFUSED
}

static void test_dlpack_out(void) {
  pts_error error;
  float data[6] = {0, 1, 2, 3, 4, 5};
  const int64_t shape[2] = {3, 2};
  pts_tensor tensor = float_tensor(data, 2, shape);
  struct DLManagedTensorVersioned* managed = NULL;
  pts_value* value = NULL;
  released = 0;
  tensor.read_only = 1;
  CHECK_OK(pts_value_borrow_tensor(&tensor, &value, count_release, &released, &error));
  CHECK_OK(pts_value_to_dlpack(value, &managed, &error));
  pts_value_destroy(&value);
  CHECK(released == 0); /* it outlives the value */
  CHECK(managed->version.major == 1 && managed->flags == 1);
  CHECK(managed->tensor.data == (void*)data && managed->tensor.ndim == 2);
  CHECK(managed->tensor.shape[0] == 3 && managed->tensor.strides[0] == 2);
  CHECK(managed->tensor.dtype.code == 2 && managed->tensor.dtype.bits == 32);
  /* And back in. */
  CHECK_OK(pts_value_from_dlpack(managed, &value, &error));
  pts_value_destroy(&value);
  CHECK(released == 1);

  CHECK_OK(pts_value_create_list(&value, &error));
  CHECK_STATUS(pts_value_to_dlpack(value, &managed, &error), PTS_INVALID_ARGUMENT);
  CHECK(managed == NULL);
  pts_value_destroy(&value);
}

static void test_npy(void) {
  pts_error error;
  float data[6] = {0, 1, 2, 3, 4, 5};
  const int64_t shape[2] = {3, 2};
  pts_tensor tensor = float_tensor(data, 2, shape);
  pts_tensor view = PTS_TENSOR_INIT;
  pts_value *value = NULL, *back = NULL;
  pts_bytes* npy = NULL;
  CHECK_OK(pts_value_copy_tensor(&tensor, &value, &error));
  CHECK_OK(pts_value_to_npy(value, &npy, &error));
  CHECK(pts_bytes_size(npy) > 24 && memcmp(pts_bytes_data(npy), "\x93NUMPY", 6) == 0);
  CHECK_OK(pts_value_from_npy(pts_bytes_data(npy), pts_bytes_size(npy), &back, &error));
  CHECK_OK(pts_value_get_tensor(back, &view, &error));
  CHECK(view.rank == 2 && view.shape[0] == 3 && memcmp(view.data, data, sizeof(data)) == 0);
  pts_value_destroy(&back);
  CHECK_STATUS(pts_value_from_npy(pts_bytes_data(npy), pts_bytes_size(npy) - 1, &back, &error),
               PTS_INVALID_INPUT);
  CHECK_STATUS(pts_value_from_npy("no", 2, &back, &error), PTS_INVALID_INPUT);
  pts_value_destroy(&value);
  CHECK_OK(pts_value_create_none(&value, &error));
  pts_bytes_destroy(&npy);
  CHECK_STATUS(pts_value_to_npy(value, &npy, &error), PTS_INVALID_ARGUMENT);
  pts_value_destroy(&value);
}

/* Copies of one value made, read and dropped by many threads. */
static void* use_value(void* shared) {
  for (int i = 0; i < 2000; ++i) {
    pts_value* copy = NULL;
    pts_tensor view = PTS_TENSOR_INIT;
    if (pts_value_copy(shared, &copy, NULL) != PTS_OK) return shared;
    if (pts_value_get_tensor(pts_value_item(copy, 0), &view, NULL) != PTS_OK) return shared;
    if (((const float*)view.data)[1] != 1.0f) return shared;
    pts_value_destroy(&copy);
  }
  return NULL;
}

static void test_threads(void) {
  enum { kThreads = 4 };
  pts_error error;
  float data[2] = {0, 1};
  const int64_t shape[1] = {2};
  pts_tensor tensor = float_tensor(data, 1, shape);
  pts_value *list = NULL, *value = NULL;
  pthread_t threads[kThreads];
  released = 0;
  CHECK_OK(pts_value_create_list(&list, &error));
  CHECK_OK(pts_value_borrow_tensor(&tensor, &value, count_release, &released, &error));
  CHECK_OK(pts_value_append(list, value, &error));
  pts_value_destroy(&value);
  for (int i = 0; i < kThreads; ++i) CHECK(pthread_create(&threads[i], NULL, use_value, list) == 0);
  for (int i = 0; i < kThreads; ++i) {
    void* failed = NULL;
    CHECK(pthread_join(threads[i], &failed) == 0 && failed == NULL);
  }
  CHECK(released == 0);
  pts_value_destroy(&list);
  CHECK(released == 1);
}

int main(void) {
  test_scalars();
  test_trees();
  test_depth();
  test_borrow();
  test_refused_tensors();
  test_copy();
  test_dlpack_in();
  test_dlpack_out();
  test_npy();
  test_threads();
  return finish();
}
