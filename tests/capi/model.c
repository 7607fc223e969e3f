/* Models: load, describe, run, fork. With torch on the digits example; without, only what needs no
 * engine. */
#define _XOPEN_SOURCE 700

#include "check.h"

#if PTSECURE_WITH_TORCH

#include <pthread.h>

#define DIGITS PTSECURE_SOURCE_DIR "/examples/digits/digits.pt"

static pts_value* load_npy(const char* path) {
  pts_error error;
  char* data = NULL;
  const size_t size = read_file(path, &data);
  pts_value* value = NULL;
  CHECK_OK(pts_value_from_npy(data, size, &value, &error));
  free(data);
  return value;
}

static pts_value* picture(float* pixels, int64_t batch) {
  pts_error error;
  const int64_t shape[4] = {batch, 1, 8, 8};
  pts_tensor tensor = PTS_TENSOR_INIT;
  pts_value* value = NULL;
  tensor.dtype = PTS_DTYPE_FLOAT32;
  tensor.rank = 4;
  tensor.shape = shape;
  tensor.data = pixels;
  CHECK_OK(pts_value_borrow_tensor(&tensor, &value, NULL, NULL, &error));
  return value;
}

static void publish_digits(pts_store* store, const pts_keyring* keys, int with_sample) {
  pts_error error;
  pts_value* sample = load_npy(PTSECURE_SOURCE_DIR "/examples/digits/sample.npy");
  const pts_value* samples[1];
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  samples[0] = sample;
  options.alias = "production";
  if (with_sample) {
    options.sample = samples;
    options.sample_count = 1;
  }
  CHECK_OK(publish_file(store, "digits", DIGITS, keys, &options, NULL, NULL, &error));
  pts_value_destroy(&sample);
}

static int32_t count_progress(void* user, uint64_t done, uint64_t total) {
  *(uint64_t*)user = done == total ? total : 0;
  return 0;
}

static pts_model* open_digits(pts_store* store, const pts_keyring* keys,
                              const pts_open_options* options) {
  pts_error error;
  pts_model* model = NULL;
  uint64_t done = 0;
  CHECK_OK(pts_model_open(store, "digits@production", keys, options, TELLING(count_progress, &done),
                          &model, &error));
  CHECK(done > 0);
  return model;
}

/* The share of held-out pictures that are read right. */
static void check_accuracy(const pts_model* model) {
  pts_error error;
  pts_value* images = load_npy(PTSECURE_SOURCE_DIR "/examples/digits/heldout_images.npy");
  pts_value* labels = load_npy(PTSECURE_SOURCE_DIR "/examples/digits/heldout_labels.npy");
  pts_value* answer = NULL;
  pts_tensor view = PTS_TENSOR_INIT, truth = PTS_TENSOR_INIT;
  const pts_value* inputs[1];
  int64_t right = 0;
  inputs[0] = images;
  CHECK_OK(pts_model_infer(model, inputs, 1, NULL, NULL, &answer, &error));
  CHECK_OK(pts_value_get_tensor(answer, &view, &error));
  CHECK_OK(pts_value_get_tensor(labels, &truth, &error));
  CHECK(view.rank == 2 && view.shape[0] == truth.shape[0] && view.shape[1] == 10);
  CHECK(truth.dtype == PTS_DTYPE_INT64);
  for (int64_t i = 0; i < view.shape[0]; ++i) {
    const float* row = (const float*)view.data + i * view.strides[0];
    int64_t best = 0;
    for (int64_t j = 1; j < 10; ++j) best = row[j] > row[best] ? j : best;
    right += best == ((const int64_t*)truth.data)[i];
  }
  CHECK((double)right > 0.9 * (double)view.shape[0]);
  pts_value_destroy(&answer);
  pts_value_destroy(&images);
  pts_value_destroy(&labels);
}

static void test_open_and_run(void) {
  pts_error error;
  pts_store* store = new_store("run");
  pts_keyring* keys = new_keys();
  pts_model *model = NULL, *loaded = NULL;
  pts_package* package = NULL;
  char *text = NULL, *answer = NULL;
  pts_open_options options = PTS_OPEN_OPTIONS_INIT;
  publish_digits(store, keys, 1);
  options.verify = PTS_VERIFY_AEAD;
  options.intra_op_threads = 1;
  options.warm_up_runs = 1;
  model = open_digits(store, keys, &options);
  /* The five steps one by one. */
  CHECK_OK(pts_store_fetch(store, "digits/1", keys, NULL, NULL, &package, &error));
  CHECK_OK(pts_package_load(package, NULL, NULL, &loaded, &error));
  pts_package_destroy(&package);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store); /* models outlive what they were made from */
  check_accuracy(model);
  check_accuracy(loaded);
  CHECK(strcmp(pts_model_name(model), "digits") == 0 && pts_model_version(model) == 1);
  CHECK_HAS(pts_model_metadata(model), "\"stateful\":false");
  CHECK_HAS(pts_model_metadata(model), "\"forward\"");
  CHECK_HAS(pts_model_metadata(model), "\"FP32\"");
  CHECK_OK(pts_model_example(model, &text, &error));
  CHECK_OK(pts_model_infer_json(model, text, strlen(text), NULL, NULL, &answer, &error));
  CHECK_HAS(answer, "\"model_name\":\"digits\"");
  CHECK_HAS(answer, "\"outputs\"");
  pts_text_destroy(&answer);
  {
    /* The same answer made of a value. */
    char* none = NULL;
    float pixels[64] = {0};
    pts_value *image = picture(pixels, 1), *result = NULL;
    const pts_value* inputs[1];
    inputs[0] = image;
    CHECK_OK(pts_model_infer(model, inputs, 1, NULL, NULL, &result, &error));
    CHECK_OK(pts_model_result_json(model, result, NULL, &answer, &error));
    CHECK_HAS(answer, "\"model_name\":\"digits\"");
    CHECK_STATUS(pts_model_result_json(model, NULL, NULL, &none, &error), PTS_INVALID_ARGUMENT);
    pts_value_destroy(&image);
    pts_value_destroy(&result);
  }
  pts_text_destroy(&text);
  pts_text_destroy(&answer);
  CHECK_OK(pts_features(&text, &error));
  CHECK_HAS(text, "\"loaded\":true");
  pts_text_destroy(&text);
  pts_model_destroy(&model);
  pts_model_destroy(&loaded);
}

static void test_inputs(void) {
  pts_error error;
  float pixels[2 * 64] = {0};
  pts_store* store = new_store("inputs");
  pts_keyring* keys = new_keys();
  pts_model* model = NULL;
  pts_value *image = picture(pixels, 2), *number = NULL, *answer = NULL;
  const pts_value* inputs[2];
  const char* names[2] = {"images", NULL};
  pts_infer_options options = PTS_INFER_OPTIONS_INIT;
  publish_digits(store, keys, 1);
  model = open_digits(store, keys, NULL);
  inputs[0] = image;
  inputs[1] = image;
  CHECK_OK(pts_model_infer(model, inputs, 1, NULL, NULL, &answer, &error));
  pts_value_destroy(&answer);
  options.input_names = names;
  CHECK_OK(pts_model_infer(model, inputs, 1, &options, NULL, &answer, &error));
  pts_value_destroy(&answer);
  CHECK_STATUS(pts_model_infer(model, inputs, 2, &options, NULL, &answer, &error),
               PTS_INVALID_ARGUMENT);
  names[0] = "pictures";
  CHECK_STATUS(pts_model_infer(model, inputs, 1, &options, NULL, &answer, &error),
               PTS_INVALID_INPUT);
  CHECK_HAS(error.message, "images");
  CHECK_STATUS(pts_model_infer(model, inputs, 2, NULL, NULL, &answer, &error), PTS_INVALID_INPUT);
  CHECK_STATUS(pts_model_infer(model, NULL, 0, NULL, NULL, &answer, &error), PTS_INVALID_INPUT);
  CHECK_HAS(error.message, "FP32[-1,1,8,8]");
  CHECK_OK(pts_value_create_int(3, &number, &error));
  inputs[0] = number;
  CHECK_STATUS(pts_model_infer(model, inputs, 1, NULL, NULL, &answer, &error), PTS_INVALID_INPUT);
  inputs[0] = NULL;
  CHECK_STATUS(pts_model_infer(model, inputs, 1, NULL, NULL, &answer, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_model_infer(model, inputs, 2, NULL, NULL, &answer, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_model_infer(model, NULL, 1, NULL, NULL, &answer, &error), PTS_INVALID_ARGUMENT);
  CHECK(answer == NULL);
  options.input_names = NULL;
  options.method = "backward";
  inputs[0] = image;
  CHECK_STATUS(pts_model_infer(model, inputs, 1, &options, NULL, &answer, &error), PTS_NOT_FOUND);
  CHECK_HAS(error.message, "forward");
  options.method = "logits";
  CHECK_OK(pts_model_infer(model, inputs, 1, &options, NULL, &answer, &error));
  CHECK(pts_value_kind(answer) == PTS_TENSOR);
  pts_value_destroy(&answer);
  {
    char* text = NULL;
    const char* const broken[] = {"", "{", "{\"inputs\":[]}", "[1]", "{\"inputs\":[{}]}"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); ++i) {
      CHECK_STATUS(
          pts_model_infer_json(model, broken[i], strlen(broken[i]), NULL, NULL, &text, &error),
          PTS_INVALID_INPUT);
    }
    CHECK_STATUS(pts_model_infer_json(model, NULL, 5, NULL, NULL, &text, &error),
                 PTS_INVALID_ARGUMENT);
  }
  pts_value_destroy(&number);
  pts_value_destroy(&image);
  pts_model_destroy(&model);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

static void count_release(void* user) {
  ++*(int*)user;
}

/* A request of one black picture whose pixels stand `gap` bytes further than they need to. Returns
 * the size of its JSON. */
static size_t binary_request(unsigned char* body, size_t gap, const char* more) {
  float pixels[64] = {0};
  const int size = snprintf(
      (char*)body, 700,
      "{\"id\":\"7\",\"inputs\":[{\"name\":\"images\",\"datatype\":\"FP32\",\"shape\":[1,1,8,8],"
      "\"parameters\":{\"binary_data_size\":256}}]%s}",
      more);
  size_t json_size = (size_t)size;
  while (json_size % sizeof(float) != gap) body[json_size++] = ' ';
  memcpy(body + json_size, pixels, sizeof(pixels));
  return json_size;
}

static void test_infer_v2(void) {
  const char* const asked = ",\"parameters\":{\"binary_data_output\":true}";
  pts_error error;
  unsigned char body[1024];
  pts_store* store = new_store("v2");
  pts_keyring* keys = new_keys();
  pts_model* model = NULL;
  pts_bytes* answer = NULL;
  pts_infer_info info = PTS_INFER_INFO_INIT;
  publish_digits(store, keys, 1);
  model = open_digits(store, keys, NULL);
  /* Copied, borrowed, and borrowed although it isn't aligned: always the same answer. */
  for (size_t i = 0; i < 3; ++i) {
    const size_t json_size = binary_request(body, i == 2 ? 1 : 0, asked);
    int released = 0;
    float sum = 0;
    CHECK_OK(pts_model_infer_v2(model, body, json_size + 256, json_size, NULL, NULL, &answer, &info,
                                i == 0 ? NULL : count_release, &released, &error));
    CHECK(released == (i == 0 ? 0 : 1));
    CHECK(pts_bytes_size(answer) == info.json_size + 40);
    CHECK(info.batch == 1 && info.run_ns > 0 && info.decode_ns > 0 && info.encode_ns > 0);
    memcpy(body, pts_bytes_data(answer), info.json_size);
    body[info.json_size] = '\0';
    CHECK_HAS((const char*)body, "\"id\":\"7\"");
    CHECK_HAS((const char*)body, "\"binary_data_size\":40");
    for (size_t k = 0; k < 10; ++k) {
      float probability;
      memcpy(&probability, pts_bytes_data(answer) + info.json_size + 4 * k, 4);
      sum += probability;
    }
    CHECK(sum > 0.99f && sum < 1.01f);
    pts_bytes_destroy(&answer);
  }
  {
    /* Without binary output the JSON is all there is. */
    const size_t json_size = binary_request(body, 0, "");
    CHECK_OK(pts_model_infer_v2(model, body, json_size + 256, json_size, NULL, NULL, &answer, &info,
                                NULL, NULL, &error));
    CHECK(pts_bytes_size(answer) == info.json_size);
    pts_bytes_destroy(&answer);
  }
  {
    /* A body is given back once, also when the call fails. */
    const size_t json_size = binary_request(body, 0, asked);
    pts_infer_info unset;
    int released = 0;
    memset(&unset, 0, sizeof(unset));
    CHECK_STATUS(pts_model_infer_v2(model, body, json_size + 255, json_size, NULL, NULL, &answer,
                                    NULL, count_release, &released, &error),
                 PTS_INVALID_INPUT);
    CHECK_HAS(error.message, "255 bytes are left");
    CHECK_STATUS(pts_model_infer_v2(model, body, json_size + 257, json_size, NULL, NULL, &answer,
                                    NULL, count_release, &released, &error),
                 PTS_INVALID_INPUT);
    CHECK_STATUS(pts_model_infer_v2(model, body, 10, 11, NULL, NULL, &answer, NULL, count_release,
                                    &released, &error),
                 PTS_INVALID_INPUT);
    CHECK_STATUS(pts_model_infer_v2(model, NULL, 10, 10, NULL, NULL, &answer, NULL, count_release,
                                    &released, &error),
                 PTS_INVALID_ARGUMENT);
    CHECK_STATUS(pts_model_infer_v2(NULL, body, 10, 10, NULL, NULL, &answer, NULL, count_release,
                                    &released, &error),
                 PTS_INVALID_ARGUMENT);
    CHECK_STATUS(pts_model_infer_v2(model, body, 10, 10, NULL, NULL, &answer, &unset, count_release,
                                    &released, &error),
                 PTS_INVALID_ARGUMENT);
    CHECK(answer == NULL && released == 6);
  }
  pts_model_destroy(&model);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

/* Runs and forks obey their call, and a body is given back all the same. */
static void test_ended_calls(void) {
  pts_error error;
  unsigned char body[1024];
  const size_t json_size = binary_request(body, 0, "");
  int released = 0;
  pts_store* store = new_store("ended");
  pts_keyring* keys = new_keys();
  pts_model *model = NULL, *fork = NULL;
  pts_package* package = NULL;
  pts_value *image = NULL, *result = NULL;
  const pts_value* inputs[1];
  pts_bytes* answer = NULL;
  pts_cancel* cancel = NULL;
  char *example = NULL, *text = NULL;
  pts_call call = PTS_CALL_INIT;
  publish_digits(store, keys, 1);
  model = open_digits(store, keys, NULL);
  image = load_npy(PTSECURE_SOURCE_DIR "/examples/digits/sample.npy");
  inputs[0] = image;
  CHECK_OK(pts_model_example(model, &example, &error));
  CHECK_OK(pts_store_fetch(store, "digits", keys, NULL, NULL, &package, &error));
  CHECK_OK(pts_cancel_create(&cancel, &error));
  call.cancel = cancel;
  call.timeout_ms = 60000;
  CHECK_OK(pts_model_infer(model, inputs, 1, NULL, &call, &result, &error));
  pts_value_destroy(&result);
  pts_cancel_set(cancel);
#define ENDED(function_call) CHECK_STATUS(function_call, PTS_CANCELLED)
  ENDED(pts_model_infer(model, inputs, 1, NULL, &call, &result, &error));
  ENDED(pts_model_infer_json(model, example, strlen(example), NULL, &call, &text, &error));
  ENDED(pts_model_infer_v1(model, "{}", 2, NULL, &call, &text, NULL, &error));
  ENDED(pts_model_infer_v2(model, body, json_size + 256, json_size, NULL, &call, &answer, NULL,
                           count_release, &released, &error));
  ENDED(pts_model_fork(model, &call, &fork, &error));
  ENDED(pts_package_load(package, NULL, &call, &fork, &error));
  ENDED(pts_package_swap(package, model, NULL, &call, &fork, &error));
  ENDED(pts_model_open(store, "digits", keys, NULL, &call, &fork, &error));
#undef ENDED
  CHECK(result == NULL && text == NULL && answer == NULL && fork == NULL && released == 1);
  pts_text_destroy(&example);
  pts_value_destroy(&image);
  pts_cancel_destroy(&cancel);
  pts_package_destroy(&package);
  pts_model_destroy(&model);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

typedef struct {
  const pts_model* model;
  int failures;
} runner;

static void* run_many(void* user) {
  runner* self = user;
  float pixels[64];
  for (int i = 0; i < 64; ++i) pixels[i] = (float)(i % 7) / 7.0f;
  for (int i = 0; i < 50; ++i) {
    pts_value *image = picture(pixels, 1), *answer = NULL;
    const pts_value* inputs[1];
    pts_tensor view = PTS_TENSOR_INIT;
    float sum = 0;
    inputs[0] = image;
    if (pts_model_infer(self->model, inputs, 1, NULL, NULL, &answer, NULL) != PTS_OK)
      ++self->failures;
    if (pts_value_get_tensor(answer, &view, NULL) != PTS_OK) ++self->failures;
    for (int j = 0; j < 10 && view.data != NULL; ++j) sum += ((const float*)view.data)[j];
    if (sum < 0.99f || sum > 1.01f) ++self->failures;
    pts_value_destroy(&answer);
    pts_value_destroy(&image);
  }
  return NULL;
}

static void test_threads(void) {
  enum { kThreads = 6 };
  pts_store* store = new_store("threads");
  pts_keyring* keys = new_keys();
  pts_error error;
  pts_model *model = NULL, *fork = NULL;
  pthread_t threads[kThreads];
  runner runners[kThreads];
  publish_digits(store, keys, 0);
  model = open_digits(store, keys, NULL);
  CHECK_OK(pts_model_fork(model, NULL, &fork, &error));
  for (int i = 0; i < kThreads; ++i) {
    runners[i].model = i % 2 == 0 ? model : fork;
    runners[i].failures = 0;
    CHECK(pthread_create(&threads[i], NULL, run_many, &runners[i]) == 0);
  }
  for (int i = 0; i < kThreads; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(runners[i].failures == 0);
  }
  pts_model_destroy(&model);
  run_many(&runners[1]); /* the fork lives on */
  CHECK(runners[1].failures == 0);
  pts_model_destroy(&fork);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

static void test_refused(void) {
  pts_error error;
  pts_store* store = new_store("refused");
  pts_keyring* keys = new_keys();
  pts_model* model = NULL;
  pts_open_options options = PTS_OPEN_OPTIONS_INIT;
  CHECK_STATUS(publish_bytes(store, "m", "no model", 8, keys, NULL, NULL, NULL, &error),
               PTS_INVALID_MODEL);
  publish_digits(store, keys, 0);
  options.device = "tpu";
  CHECK_STATUS(pts_model_open(store, "digits", keys, &options, NULL, &model, &error),
               PTS_INVALID_ARGUMENT);
  options.device = "cuda:63";
  CHECK_STATUS(pts_model_open(store, "digits", keys, &options, NULL, &model, &error),
               PTS_UNSUPPORTED);
  options.device = NULL;
  options.optimize = 3;
  CHECK_STATUS(pts_model_open(store, "digits", keys, &options, NULL, &model, &error),
               PTS_INVALID_ARGUMENT);
  options.optimize = PTS_OPTIMIZE_NONE;
  options.warm_up_runs = 1; /* shapes are unknown without a sample */
  CHECK_STATUS(pts_model_open(store, "digits", keys, &options, NULL, &model, &error),
               PTS_INVALID_ARGUMENT);
  CHECK(model == NULL);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

int main(void) {
  test_open_and_run();
  test_inputs();
  test_infer_v2();
  test_ended_calls();
  test_threads();
  test_refused();
  return finish();
}

#else

int main(void) {
  pts_error error;
  pts_store* store = new_store("none");
  pts_keyring* keys = new_keys();
  /* Without the plug-in a TorchScript model can't be inspected, and the message says why. */
  CHECK_STATUS(publish_bytes(store, "m", "abc", 3, keys, NULL, NULL, NULL, &error), PTS_ENGINE);
  CHECK_HAS(error.message, "plug-in");
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
  return finish();
}

#endif
