/* What pts_store_options asks for: where a store reports to, and how many threads it has. */
#define _XOPEN_SOURCE 700

#include "check.h"

typedef struct {
  int calls;
  int32_t level;
  char last[256];
} log_lines;

static void on_log(void* user, int32_t level, const char* message) {
  log_lines* log = user;
  log->calls += 1;
  log->level = level;
  snprintf(log->last, sizeof(log->last), "%s", message);
}

static void test_log(void) {
  pts_error error;
  pts_store* store = NULL;
  log_lines log = {0};
  char* features = NULL;
  int with_mongodb = 0;
  pts_store_options options = PTS_STORE_OPTIONS_INIT;
  options.log = on_log;
  options.log_user = &log;
  CHECK_OK(pts_features(&features, &error));
  with_mongodb = strstr(features, "\"mongodb\"") != NULL;
  pts_text_destroy(&features);
  if (!with_mongodb) return;
  CHECK_OK(pts_store_open("mongodb://127.0.0.1:1/models?compressors=none_such", &options, &store,
                          &error));
  CHECK(log.calls == 1 && log.level == PTS_LOG_WARNING);
  CHECK_HAS(log.last, "none_such");
  CHECK(strchr(log.last, '\n') == NULL);
  pts_store_destroy(&store);
}

/* Threads of this process. */
static int running(void) {
  char line[128];
  int count = 0;
  FILE* status = fopen("/proc/self/status", "r");
  if (status == NULL) return -1;
  while (fgets(line, sizeof(line), status) != NULL) {
    if (strncmp(line, "Threads:", 8) == 0) count = atoi(line + 8);
  }
  fclose(status);
  return count;
}

/* How many threads there are more once a store of so many has published. */
static int started_by(uint32_t threads, const char* folder, const pts_keyring* keys) {
  enum { kSize = 8 * 1024 * 1024 };
  pts_error error;
  pts_store* store = NULL;
  uint64_t version = 0;
  unsigned char* data = calloc(1, kSize);
  const int before = running();
  int after = 0;
  pts_publish_options publish = PTS_PUBLISH_OPTIONS_INIT;
  pts_store_options options = PTS_STORE_OPTIONS_INIT;
  publish.format = "opaque";
  options.threads = threads;
  CHECK_OK(pts_store_open(test_path(folder), &options, &store, &error));
  CHECK_OK(publish_bytes(store, "m", data, kSize, keys, &publish, NULL, &version, &error));
  after = running();
  pts_store_destroy(&store);
  free(data);
  return after - before;
}

static void test_threads(void) {
  pts_error error;
  pts_store* store = NULL;
  pts_keyring* keys = new_keys();
  pts_store_options options = PTS_STORE_OPTIONS_INIT;
  CHECK(started_by(1, "one", keys) == 0); /* the calling thread is the one */
  CHECK(started_by(4, "four", keys) == 3);
  options.threads = 1025;
  CHECK_STATUS(pts_store_open(test_path("many"), &options, &store, &error), PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "1024");
  pts_keyring_destroy(&keys);
}

int main(void) {
  test_log();
  test_threads();
  return finish();
}
