/* Threads, cancelling from another thread, and fork. */
#define _XOPEN_SOURCE 700

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "check.h"

enum { kSize = 2 * 1024 * 1024 + 5 };
static char data[kSize];

typedef struct {
  pts_store* store;
  const pts_keyring* keys;
  int index;
  uint64_t versions[4];
  int failures;
} worker;

/* Publishes and opens on shared handles, beside others that do the same. */
static void* publish_and_open(void* user) {
  worker* self = user;
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  for (int i = 0; i < 4; ++i) {
    pts_package* package = NULL;
    pts_bytes* bytes = NULL;
    char reference[64];
    if (publish_bytes(self->store, "shared", data, kSize, self->keys, &options, NULL,
                      &self->versions[i], NULL) != PTS_OK) {
      ++self->failures;
      continue;
    }
    snprintf(reference, sizeof(reference), "shared/%llu", (unsigned long long)self->versions[i]);
    if (pts_store_fetch(self->store, reference, self->keys, NULL, NULL, &package, NULL) != PTS_OK ||
        pts_package_decrypt(package, NULL, NULL, &bytes, NULL) != PTS_OK ||
        pts_bytes_size(bytes) != kSize || memcmp(pts_bytes_data(bytes), data, kSize) != 0) {
      ++self->failures;
    }
    pts_bytes_destroy(&bytes);
    pts_package_destroy(&package);
  }
  return NULL;
}

static void test_threads(void) {
  enum { kThreads = 4 };
  pts_store* store = new_store("threads");
  pts_keyring* keys = new_keys();
  pthread_t threads[kThreads];
  worker workers[kThreads];
  uint64_t seen = 0;
  for (int i = 0; i < kThreads; ++i) {
    const worker fresh = {store, keys, i, {0, 0, 0, 0}, 0};
    workers[i] = fresh;
    CHECK(pthread_create(&threads[i], NULL, publish_and_open, &workers[i]) == 0);
  }
  for (int i = 0; i < kThreads; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(workers[i].failures == 0);
    for (int j = 0; j < 4; ++j) {
      CHECK(workers[i].versions[j] >= 1 && workers[i].versions[j] <= 60);
      CHECK((seen & (UINT64_C(1) << workers[i].versions[j])) == 0); /* every number once */
      seen |= UINT64_C(1) << workers[i].versions[j];
    }
  }
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

/* A publish whose reader signals another thread and then goes on until it is cancelled. */
typedef struct {
  pthread_mutex_t mutex;
  pthread_cond_t started;
  int running;
  const pts_cancel* cancel;
} meeting;

static int32_t endless_read(void* user, uint64_t position, void* out, size_t size) {
  meeting* with = user;
  const struct timespec pause = {0, 100 * 1000 * 1000};
  (void)position;
  memset(out, 1, size);
  pthread_mutex_lock(&with->mutex);
  with->running = 1;
  pthread_cond_signal(&with->started);
  pthread_mutex_unlock(&with->mutex);
  nanosleep(&pause, NULL);
  return 0;
}

static void* cancel_when_running(void* user) {
  meeting* with = user;
  pthread_mutex_lock(&with->mutex);
  while (!with->running) pthread_cond_wait(&with->started, &with->mutex);
  pthread_mutex_unlock(&with->mutex);
  pts_cancel_set(with->cancel);
  return NULL;
}

static void test_cancel_from_thread(void) {
  pts_error error;
  pts_store* store = new_store("cancel");
  pts_keyring* keys = new_keys();
  pts_cancel* cancel = NULL;
  pts_package* package = NULL;
  meeting with = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, NULL};
  pthread_t thread;
  struct timespec before, after;
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  pts_call call = PTS_CALL_INIT;
  CHECK_OK(pts_cancel_create(&cancel, &error));
  with.cancel = cancel;
  options.format = "opaque";
  call.cancel = cancel;
  CHECK(pthread_create(&thread, NULL, cancel_when_running, &with) == 0);
  clock_gettime(CLOCK_MONOTONIC, &before);
  CHECK_STATUS(publish_read(store, "m", UINT64_C(256) << 20, keys, &options, &call, NULL,
                            endless_read, &with, &error),
               PTS_CANCELLED);
  clock_gettime(CLOCK_MONOTONIC, &after);
  CHECK(after.tv_sec - before.tv_sec < 15); /* all of it would take 25 s or more */
  /* The other thread must end too when nothing was ever read. */
  pthread_mutex_lock(&with.mutex);
  with.running = 1;
  pthread_cond_signal(&with.started);
  pthread_mutex_unlock(&with.mutex);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_STATUS(pts_store_fetch(store, "m", keys, NULL, &call, &package, &error), PTS_CANCELLED);
  CHECK_STATUS(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error), PTS_NOT_FOUND);
  pts_cancel_destroy(&cancel);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

/* Runs `body` in a child that is killed if it hangs; true when it returned 0. */
static int in_child(int (*body)(void*), void* user) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(body(user));
  }
  if (child < 0 || waitpid(child, &status, 0) != child) return 0;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

typedef struct {
  pts_store* store;
  pts_keyring* keys;
  pts_package* package;
  pts_model* model;
} inherited;

#define EXPECT(condition)                                                    \
  do {                                                                       \
    if (!(condition)) {                                                      \
      fprintf(stderr, "child, line %d: failed: %s\n", __LINE__, #condition); \
      return 1;                                                              \
    }                                                                        \
  } while (0)

/* The child publishes and opens with what it inherited, whose pool had threads in the parent. */
static int use_inherited_store(void* user) {
  inherited* from = user;
  pts_bytes* bytes = NULL;
  pts_package* package = NULL;
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  EXPECT(pts_package_decrypt(from->package, NULL, NULL, &bytes, NULL) == PTS_OK);
  EXPECT(pts_bytes_size(bytes) == kSize && memcmp(pts_bytes_data(bytes), data, kSize) == 0);
  EXPECT(publish_bytes(from->store, "child", data, kSize, from->keys, &options, NULL, NULL, NULL) ==
         PTS_OK);
  EXPECT(pts_store_fetch(from->store, "child", from->keys, NULL, NULL, &package, NULL) == PTS_OK);
  pts_bytes_destroy(&bytes);
  pts_package_destroy(&package);
  pts_package_destroy(&from->package);
  pts_store_destroy(&from->store);
  pts_keyring_destroy(&from->keys);
  return 0;
}

/* And with a store and keys of its own. */
static int use_own_store(void* user) {
  pts_store* store = NULL;
  pts_keyring* keys = NULL;
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  EXPECT(pts_keyring_generate(&keys, NULL) == PTS_OK);
  EXPECT(pts_store_open(user, NULL, &store, NULL) == PTS_OK);
  EXPECT(publish_bytes(store, "m", data, kSize, keys, &options, NULL, NULL, NULL) == PTS_OK);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  return 0;
}

static void test_fork(void) {
  pts_error error;
  char own[1200];
  inherited from = {NULL, NULL, NULL, NULL};
  from.store = new_store("fork");
  from.keys = new_keys();
  publish_opaque(from.store, from.keys, "m", data, kSize); /* starts the pool */
  CHECK_OK(pts_store_fetch(from.store, "m", from.keys, NULL, NULL, &from.package, &error));
  CHECK(in_child(use_inherited_store, &from));
  snprintf(own, sizeof(own), "%s", test_path("fork-own"));
  CHECK(in_child(use_own_store, own));
  /* The parent's handles are none the worse. */
  CHECK(publish_opaque(from.store, from.keys, "m", data, kSize) == 2);
  pts_package_destroy(&from.package);
  CHECK_OK(pts_store_fetch(from.store, "child", from.keys, NULL, NULL, &from.package, &error));
  pts_package_destroy(&from.package);
  pts_store_destroy(&from.store);
  pts_keyring_destroy(&from.keys);
}

#if PTSECURE_WITH_TORCH
static int run_inherited_model(void* user) {
  inherited* from = user;
  pts_error error;
  pts_model* fork = NULL;
  char* answer = NULL;
  EXPECT(pts_model_infer_json(from->model, "{}", 2, NULL, NULL, &answer, &error) == PTS_CLOSED);
  EXPECT(strstr(error.message, "fork") != NULL);
  EXPECT(pts_model_fork(from->model, NULL, &fork, &error) == PTS_CLOSED);
  EXPECT(strcmp(pts_model_name(from->model), "digits") == 0);
  pts_model_destroy(&from->model);
  return 0;
}

/* The parent has run the engine; a child opens a model of its own. */
static int run_own_model(void* user) {
  inherited* from = user;
  pts_error error;
  pts_model* model = NULL;
  char *request = NULL, *answer = NULL;
  pts_open_options options = PTS_OPEN_OPTIONS_INIT;
  options.intra_op_threads = 1;
  EXPECT(pts_model_open(from->store, "digits", from->keys, &options, NULL, &model, &error) ==
         PTS_OK);
  EXPECT(pts_model_example(model, &request, &error) == PTS_OK);
  EXPECT(pts_model_infer_json(model, request, strlen(request), NULL, NULL, &answer, &error) ==
         PTS_OK);
  pts_text_destroy(&request);
  pts_text_destroy(&answer);
  pts_model_destroy(&model);
  return 0;
}

static void test_fork_model(void) {
  pts_error error;
  inherited from = {NULL, NULL, NULL, NULL};
  char *npy = NULL, *request = NULL, *answer = NULL;
  const size_t size = read_file(PTSECURE_SOURCE_DIR "/examples/digits/sample.npy", &npy);
  pts_value* sample = NULL;
  const pts_value* samples[1];
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  from.store = new_store("fork-model");
  from.keys = new_keys();
  CHECK_OK(pts_value_from_npy(npy, size, &sample, &error));
  free(npy);
  samples[0] = sample;
  options.sample = samples;
  options.sample_count = 1;
  CHECK_OK(publish_file(from.store, "digits", PTSECURE_SOURCE_DIR "/examples/digits/digits.pt",
                        from.keys, &options, NULL, NULL, &error));
  pts_value_destroy(&sample);
  CHECK_OK(pts_model_open(from.store, "digits", from.keys, NULL, NULL, &from.model, &error));
  CHECK_OK(pts_model_example(from.model, &request, &error));
  CHECK_OK(pts_model_infer_json(from.model, request, strlen(request), NULL, NULL, &answer, &error));
  pts_text_destroy(&answer);
  CHECK(in_child(run_inherited_model, &from));
  CHECK(in_child(run_own_model, &from));
  CHECK_OK(pts_model_infer_json(from.model, request, strlen(request), NULL, NULL, &answer, &error));
  pts_text_destroy(&answer);
  pts_text_destroy(&request);
  pts_model_destroy(&from.model);
  pts_store_destroy(&from.store);
  pts_keyring_destroy(&from.keys);
}
#endif

int main(void) {
  for (size_t i = 0; i < kSize; ++i) data[i] = (char)(i % 251);
#if PTSECURE_WITH_TORCH
  test_fork_model();
#endif
  test_threads();
  test_cancel_from_thread();
  test_fork();
  return finish();
}
