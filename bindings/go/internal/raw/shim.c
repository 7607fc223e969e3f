#include "shim.h"

#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

static int32_t on_progress(void* user, uint64_t done, uint64_t total) {
  return ptsgoProgress((uintptr_t)user, done, total);
}

static int32_t on_read(void* user, uint64_t position, void* data, size_t size) {
  return ptsgoRead((uintptr_t)user, position, data, size);
}

static int32_t on_sink(void* user, const void* data, size_t size) {
  return ptsgoSink((uintptr_t)user, (void*)data, size);
}

static int32_t on_check(void* user, const char* check, pts_status status, const char* detail) {
  return ptsgoCheck((uintptr_t)user, (char*)check, status, (char*)detail);
}

static void on_log(void* user, int32_t level, const char* message) {
  ptsgoLog((uintptr_t)user, level, (char*)message);
}

static void on_release(void* user) {
  ptsgoRelease((uintptr_t)user);
}

void ptsgo_call_init(pts_call* call, const pts_cancel* cancel, uintptr_t progress) {
  pts_call_init(call);
  call->cancel = cancel;
  if (progress != 0) {
    call->progress = on_progress;
    call->progress_user = (void*)progress;
  }
}

pts_status ptsgo_store_open(const char* uri, const pts_store_options* options, uintptr_t log,
                            pts_store** out, pts_error* error) {
  pts_store_options with_log = *options;
  if (log != 0) {
    with_log.log = on_log;
    with_log.log_user = (void*)log;
  }
  return pts_store_open(uri, &with_log, out, error);
}

pts_status ptsgo_source_add_reader(pts_source* self, uint64_t size, uintptr_t reader,
                                   pts_error* error) {
  pts_part part = PTS_PART_INIT;
  part.size = size;
  part.read = on_read;
  part.release = on_release;
  part.user = (void*)reader;
  part.concurrent = 1; /* io.ReaderAt: calls may be made in parallel */
  return pts_source_add(self, NULL, &part, error);
}

pts_status ptsgo_package_stream(pts_package* self, const pts_open_options* options,
                                const pts_call* call, uintptr_t sink, pts_error* error) {
  return pts_package_stream(self, options, call, on_sink, (void*)sink, error);
}

pts_status ptsgo_store_verify(pts_store* self, const char* reference, const pts_keyring* keys,
                              const pts_open_options* options, const pts_call* call,
                              uintptr_t check, pts_error* error) {
  return pts_store_verify(self, reference, keys, options, call, on_check, (void*)check, error);
}

pts_status ptsgo_store_verify_log(pts_store* self, const pts_keyring* keys, const char* head,
                                  const pts_call* call, uintptr_t check, pts_error* error) {
  return pts_store_verify_log(self, keys, head, call, on_check, (void*)check, error);
}

pts_status ptsgo_tensor_value(const ptsgo_tensor* tensor, int32_t copy, pts_value** out,
                              pts_error* error) {
  pts_tensor view = PTS_TENSOR_INIT;
  view.dtype = tensor->dtype;
  view.rank = tensor->rank;
  view.shape = tensor->shape;
  view.strides = tensor->strided ? tensor->strides : NULL;
  view.data = tensor->data;
  view.read_only = 1;
  /* Memory that a call's caller has pinned, or the record's own: there is nothing to be told. */
  return copy ? pts_value_copy_tensor(&view, out, error)
              : pts_value_borrow_tensor(&view, out, NULL, NULL, error);
}

static int row_major(const pts_tensor* view) {
  int64_t expected = 1;
  for (int32_t i = view->rank - 1; i >= 0; --i) {
    if (view->shape[i] != 1 && view->strides[i] != expected) return 0;
    expected *= view->shape[i];
  }
  return 1;
}

pts_status ptsgo_describe_tensor(const pts_value* value, ptsgo_tensor* out, pts_error* error) {
  pts_tensor view = PTS_TENSOR_INIT;
  const pts_status status = pts_value_get_tensor(value, &view, error);
  if (status != PTS_OK) return status;
  out->data = view.data;
  out->dtype = view.dtype;
  out->rank = view.rank;
  out->device_type = view.device_type;
  out->strided = view.strides != NULL && !row_major(&view);
  if (view.rank > 0) memcpy(out->shape, view.shape, (size_t)view.rank * sizeof(int64_t));
  if (out->strided) memcpy(out->strides, view.strides, (size_t)view.rank * sizeof(int64_t));
  return PTS_OK;
}

void ptsgo_inference_free(ptsgo_inference* self) {
  for (int i = 0; i < PTSGO_FEW_INPUTS; ++i) pts_value_destroy(&self->few[i].kept);
  free(self);
}

static int same_tensor(const ptsgo_tensor* a, const ptsgo_tensor* b) {
  return a->data == b->data && a->dtype == b->dtype && a->rank == b->rank && !a->strided &&
         !b->strided && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof(int64_t)) == 0;
}

/* A value over the record's own memory does for all calls with inputs of the same shapes. */
static pts_status keep_value(ptsgo_input* input, pts_error* error) {
  if (input->kept != NULL && same_tensor(&input->kept_as, &input->tensor)) return PTS_OK;
  pts_value_destroy(&input->kept);
  input->kept_as = input->tensor;
  return ptsgo_tensor_value(&input->tensor, 0, &input->kept, error);
}

static pts_status infer(ptsgo_inference* self, const pts_value** values, pts_value** made) {
  for (size_t i = 0; i < self->count; ++i) {
    ptsgo_input* input = &self->inputs[i];
    pts_status status = PTS_OK;
    if (input->value != NULL) {
      values[i] = input->value;
    } else if (input->stays) {
      status = keep_value(input, &self->error);
      values[i] = input->kept;
    } else {
      status = ptsgo_tensor_value(&input->tensor, 0, &made[i], &self->error);
      values[i] = made[i];
    }
    if (status != PTS_OK) return status;
  }
  return pts_model_infer(self->model, values, self->count, self->options, self->call, &self->out,
                         &self->error);
}

/* 0 for a datatype this doesn't know. */
static size_t element_size(int32_t dtype) {
  static const unsigned char kSizes[] = {
      [PTS_DTYPE_BOOL] = 1,       [PTS_DTYPE_UINT8] = 1,     [PTS_DTYPE_UINT16] = 2,
      [PTS_DTYPE_UINT32] = 4,     [PTS_DTYPE_UINT64] = 8,    [PTS_DTYPE_INT8] = 1,
      [PTS_DTYPE_INT16] = 2,      [PTS_DTYPE_INT32] = 4,     [PTS_DTYPE_INT64] = 8,
      [PTS_DTYPE_FLOAT16] = 2,    [PTS_DTYPE_BFLOAT16] = 2,  [PTS_DTYPE_FLOAT32] = 4,
      [PTS_DTYPE_FLOAT64] = 8,    [PTS_DTYPE_COMPLEX32] = 4, [PTS_DTYPE_COMPLEX64] = 8,
      [PTS_DTYPE_COMPLEX128] = 16};
  return dtype > 0 && (size_t)dtype < sizeof(kSizes) ? kSizes[dtype] : 0;
}

/* Copies a small answer and lets go of it, so that Go need not come back for either. */
static void copy_answer(ptsgo_inference* self) {
  ptsgo_tensor* tensor = &self->tensor;
  size_t size = element_size(tensor->dtype);
  if (size == 0 || tensor->strided || tensor->device_type != PTS_DEVICE_CPU) return;
  for (int32_t i = 0; i < tensor->rank; ++i) {
    if ((uint64_t)tensor->shape[i] > sizeof(self->answer) / size) return;
    size *= (size_t)tensor->shape[i];
    if (size == 0) break;
  }
  if (size != 0) memcpy(self->answer, tensor->data, size);
  tensor->data = self->answer;
  pts_value_destroy(&self->out);
}

pts_status ptsgo_infer(uintptr_t inference) {
  ptsgo_inference* self = (ptsgo_inference*)inference;
  const size_t count = self->count;
  pts_value* few[2 * PTSGO_FEW_INPUTS];
  pts_value** many = count <= PTSGO_FEW_INPUTS ? few : malloc(2 * count * sizeof(pts_value*));
  pts_status status = PTS_OUT_OF_MEMORY;
  self->out = NULL;
  if (many == NULL) {
    self->error.code = status;
    strcpy(self->error.message, "no memory for the list of inputs");
    return status;
  }
  memset(many, 0, 2 * count * sizeof(pts_value*));
  status = infer(self, (const pts_value**)many, many + count);
  for (size_t i = 0; i < count; ++i) pts_value_destroy(&many[count + i]);
  if (many != few) free(many);
  if (status != PTS_OK) return status;
  self->kind = pts_value_kind(self->out);
  if (self->kind != PTS_TENSOR) return PTS_OK;
  status = ptsgo_describe_tensor(self->out, &self->tensor, &self->error);
  if (status != PTS_OK) {
    pts_value_destroy(&self->out);
  } else if (self->copy) {
    copy_answer(self);
  }
  return status;
}
