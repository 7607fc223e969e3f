/* Publish, list, alias, fetch, decrypt, verify, copy and export on a folder, with opaque models. */
#define _XOPEN_SOURCE 700

#include <time.h>

#include "check.h"

/* A few segments. */
enum { kSize = 3 * 1024 * 1024 + 17 };

static unsigned char* model_bytes(void) {
  unsigned char* data = malloc(kSize);
  if (data == NULL) exit(1);
  for (size_t i = 0; i < kSize; ++i) data[i] = (unsigned char)(i * 31 + i / 4096);
  return data;
}

typedef struct {
  uint64_t calls, done, total, stop_at;
  int backwards;
} progress_log;

static int32_t on_progress(void* user, uint64_t done, uint64_t total) {
  progress_log* log = user;
  if (done < log->done) log->backwards = 1;
  log->calls += 1;
  log->done = done;
  log->total = total;
  return log->stop_at != 0 && log->calls >= log->stop_at;
}

static void test_publish_and_open(void) {
  pts_error error;
  unsigned char* data = model_bytes();
  pts_store* store = new_store("store");
  pts_keyring* keys = new_keys();
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  char* text = NULL;
  uint64_t version = 0;
  progress_log log = {0};
  const char* label_keys[] = {"run", "author"};
  const char* label_values[] = {"42", "Zo\xC3\xAB"};
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  options.alias = "production";
  options.label_keys = label_keys;
  options.label_values = label_values;
  options.label_count = 2;

  CHECK_STATUS(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error), PTS_NOT_FOUND);
  CHECK_OK(pts_store_describe(store, NULL, &text, &error));
  CHECK_HAS(text, "\"id\":null");
  pts_text_destroy(&text);

  CHECK_OK(publish_bytes(store, "m", data, kSize, keys, &options, TELLING(on_progress, &log),
                         &version, &error));
  CHECK(version == 1 && log.calls > 0 && log.done == kSize && log.total == kSize && !log.backwards);
  write_file(test_path("model.bin"), data, kSize);
  options.alias = NULL;
  CHECK_OK(
      publish_file(store, "m", test_path("model.bin"), keys, &options, NULL, &version, &error));
  CHECK(version == 2);

  CHECK_OK(pts_store_describe(store, NULL, &text, &error));
  CHECK(strstr(text, "\"id\":null") == NULL);
  pts_text_destroy(&text);
  CHECK_OK(pts_store_list(store, NULL, 0, NULL, &text, &error));
  CHECK_HAS(text, "\"verified\":false");
  CHECK_HAS(text, "\"name\":\"m\"");
  CHECK_HAS(text, "\"aliases\":[\"production\"]");
  pts_text_destroy(&text);
  CHECK_OK(pts_store_list(store, "m", 0, NULL, &text, &error));
  CHECK_HAS(text, "\"models\":[]");
  pts_text_destroy(&text);
  CHECK_OK(pts_store_list_versions(store, "m", 2, 5, NULL, &text, &error));
  CHECK_HAS(text, "\"version\":1");
  CHECK(strstr(text, "\"version\":2") == NULL);
  pts_text_destroy(&text);
  CHECK_OK(pts_store_show(store, "m@production", keys, NULL, &text, &error));
  CHECK_HAS(text, "\"run\":\"42\"");
  CHECK_HAS(text, "\"key_status\":\"enabled\"");
  pts_text_destroy(&text);
  CHECK_OK(pts_store_list_aliases(store, "m", keys, NULL, &text, &error));
  CHECK_HAS(text, "[{\"alias\":\"production\",\"version\":1,\"sequence\":1,");
  pts_text_destroy(&text);

  CHECK_OK(pts_store_fetch(store, "m@production", keys, NULL, NULL, &package, &error));
  pts_store_destroy(&store); /* a package outlives its store and keys */
  pts_keyring_destroy(&keys);
  CHECK(strcmp(pts_package_name(package), "m") == 0 && pts_package_version(package) == 1);
  CHECK(pts_package_size(package) == kSize);
  CHECK_HAS(pts_package_manifest(package), "Zo\xC3\xAB");
  memset(&log, 0, sizeof(log));
  CHECK_OK(pts_package_decrypt(package, NULL, TELLING(on_progress, &log), &bytes, &error));
  CHECK(pts_bytes_size(bytes) == kSize && memcmp(pts_bytes_data(bytes), data, kSize) == 0);
  CHECK(log.calls > 0 && log.done == kSize && !log.backwards);
  pts_bytes_destroy(&bytes);
  pts_package_destroy(&package);
  free(data);
}

/* The stored files hold nothing of the plaintext. */
static const unsigned char* wanted = NULL;
static int plaintext_found = 0;
static int look_for_plaintext(const char* path, const struct stat* info, int type,
                              struct FTW* walk) {
  char* stored = NULL;
  size_t size;
  (void)info, (void)walk;
  if (type != FTW_F) return 0;
  size = read_file(path, &stored);
  for (size_t i = 0; i + 32 <= size; ++i) {
    if (memcmp(stored + i, wanted, 32) == 0) plaintext_found = 1;
  }
  free(stored);
  return 0;
}

static void test_no_plaintext(void) {
  unsigned char* data = model_bytes();
  pts_store* store = new_store("sealed");
  pts_keyring* keys = new_keys();
  wanted = data + 1000;
  publish_opaque(store, keys, "m", data, kSize);
  nftw(test_path("sealed"), look_for_plaintext, 16, FTW_PHYS);
  CHECK(!plaintext_found);
  write_file(test_path("sealed/control"), data, 5000); /* the search finds what is there */
  nftw(test_path("sealed"), look_for_plaintext, 16, FTW_PHYS);
  CHECK(plaintext_found);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  free(data);
}

typedef struct {
  const unsigned char* data;
  uint64_t fail_at;
  size_t position;
  int matches;
  int calls;
} transfer;

static int32_t on_read(void* user, uint64_t position, void* data, size_t size) {
  const transfer* from = user;
  if (from->fail_at != 0 && position + size > from->fail_at) return -1;
  memcpy(data, from->data + position, size);
  return 0;
}

static int32_t on_sink(void* user, const void* data, size_t size) {
  transfer* to = user;
  to->matches = to->matches && memcmp(to->data + to->position, data, size) == 0;
  to->position += size;
  to->calls += 1;
  return to->fail_at != 0 && to->position >= to->fail_at;
}

static void test_callbacks(void) {
  pts_error error;
  unsigned char* data = model_bytes();
  pts_store* store = new_store("callbacks");
  pts_keyring* keys = new_keys();
  pts_package* package = NULL;
  uint64_t version = 9;
  transfer from = {data, 0, 0, 1, 0};
  transfer to = {data, 0, 0, 1, 0};
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  CHECK_OK(publish_read(store, "m", kSize, keys, &options, NULL, &version, on_read, &from, &error));
  CHECK(version == 1);
  from.fail_at = kSize / 2;
  CHECK_STATUS(
      publish_read(store, "m", kSize, keys, &options, NULL, &version, on_read, &from, &error),
      PTS_IO);
  CHECK(version == 0);

  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error));
  CHECK(pts_package_version(package) == 1); /* the failed one left nothing to see */
  CHECK_OK(pts_package_stream(package, NULL, NULL, on_sink, &to, &error));
  CHECK(to.matches && to.position == kSize && to.calls > 1);
  to.position = 0;
  to.calls = 0;
  to.fail_at = 1;
  CHECK_STATUS(pts_package_stream(package, NULL, NULL, on_sink, &to, &error), PTS_CANCELLED);
  CHECK(to.calls == 1);
  pts_package_destroy(&package);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  free(data);
}

static void test_progress_cancels(void) {
  pts_error error;
  unsigned char* data = model_bytes();
  pts_store* store = new_store("stopped");
  pts_keyring* keys = new_keys();
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  progress_log log = {0};
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  log.stop_at = 1;
  CHECK_STATUS(publish_bytes(store, "m", data, kSize, keys, &options, TELLING(on_progress, &log),
                             NULL, &error),
               PTS_CANCELLED);
  CHECK(log.calls == 1);
  CHECK_STATUS(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error), PTS_NOT_FOUND);
  CHECK(publish_opaque(store, keys, "m", data, kSize) >= 1);
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error));
  log.calls = 0;
  log.done = 0;
  CHECK_STATUS(pts_package_decrypt(package, NULL, TELLING(on_progress, &log), &bytes, &error),
               PTS_CANCELLED);
  CHECK(bytes == NULL && log.calls == 1);
  pts_package_destroy(&package);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  free(data);
}

typedef struct {
  int checks, failed;
  pts_status first;
} verify_log;

static int32_t on_check(void* user, const char* check, pts_status status, const char* detail) {
  verify_log* log = user;
  CHECK(check[0] != '\0' && detail != NULL);
  log->checks += 1;
  if (status != PTS_OK && log->failed++ == 0) log->first = status;
  return 0;
}

static int32_t stop_check(void* user, const char* check, pts_status status, const char* detail) {
  (void)check, (void)status, (void)detail;
  *(int*)user += 1;
  return 1;
}

static char payload_path[1200];
static off_t payload_size = 0;
static int find_largest(const char* path, const struct stat* info, int type, struct FTW* walk) {
  (void)walk;
  if (type == FTW_F && info->st_size > payload_size) {
    payload_size = info->st_size;
    snprintf(payload_path, sizeof(payload_path), "%s", path);
  }
  return 0;
}

static void test_verify(void) {
  pts_error error;
  unsigned char* data = model_bytes();
  pts_store* store = new_store("verified");
  pts_keyring *keys = new_keys(), *verifier = NULL, *stranger = new_keys();
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  verify_log log = {0};
  int stopped = 0;
  char* stored = NULL;
  size_t size;
  publish_opaque(store, keys, "m", data, kSize);
  CHECK_OK(pts_keyring_split(keys, "verifier", &verifier, &error));
  CHECK_OK(pts_store_verify(store, "m", keys, NULL, NULL, on_check, &log, &error));
  CHECK(log.checks >= 4 && log.failed == 0);
  CHECK_OK(pts_store_verify(store, "m", verifier, NULL, NULL, NULL, NULL, &error));
  CHECK_STATUS(pts_store_verify(store, "m", keys, NULL, NULL, stop_check, &stopped, &error),
               PTS_CANCELLED);
  CHECK(stopped == 1);
  CHECK_STATUS(pts_store_verify(store, "m", stranger, NULL, NULL, NULL, NULL, &error),
               PTS_UNTRUSTED);
  CHECK_STATUS(pts_store_fetch(store, "m", stranger, NULL, NULL, &package, &error), PTS_UNTRUSTED);

  /* One flipped bit in the middle of the payload. */
  nftw(test_path("verified"), find_largest, 16, FTW_PHYS);
  CHECK(payload_size > kSize);
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error));
  chmod(payload_path, 0600);
  size = read_file(payload_path, &stored);
  stored[size / 2] = (char)(stored[size / 2] ^ 1);
  write_file(payload_path, stored, size);
  memset(&log, 0, sizeof(log));
  CHECK_STATUS(pts_store_verify(store, "m", keys, NULL, NULL, on_check, &log, &error), PTS_CORRUPT);
  CHECK(log.failed == 1 && log.first == PTS_CORRUPT);
  CHECK_STATUS(pts_store_verify(store, "m", verifier, NULL, NULL, NULL, NULL, &error), PTS_CORRUPT);
  CHECK_STATUS(pts_package_decrypt(package, NULL, NULL, &bytes, &error), PTS_CORRUPT);
  CHECK(bytes == NULL);
  {
    pts_open_options options = PTS_OPEN_OPTIONS_INIT;
    options.verify = PTS_VERIFY_AEAD;
    CHECK_STATUS(pts_package_decrypt(package, &options, NULL, &bytes, &error), PTS_CORRUPT);
    options.verify = 2;
    CHECK_STATUS(pts_package_decrypt(package, &options, NULL, &bytes, &error),
                 PTS_INVALID_ARGUMENT);
    options.verify = PTS_VERIFY_SIGNED;
    options.intra_op_threads = -1;
    CHECK_STATUS(pts_package_decrypt(package, &options, NULL, &bytes, &error),
                 PTS_INVALID_ARGUMENT);
  }
  free(stored);
  pts_package_destroy(&package);
  pts_keyring_destroy(&verifier);
  pts_keyring_destroy(&stranger);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
  free(data);
}

static void test_copy_and_export(void) {
  pts_error error;
  unsigned char* data = model_bytes();
  pts_store *staging = new_store("staging"), *production = new_store("production");
  pts_keyring* keys = new_keys();
  pts_keyring* target_keys = new_keys();
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  uint64_t version = 0;
  struct stat info;
  progress_log log = {0};
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.alias = "live";
  publish_opaque(staging, keys, "m", "old", 3);
  publish_opaque(staging, keys, "m", data, kSize);
  CHECK_OK(pts_store_copy(staging, "m/2", keys, production, target_keys, &options,
                          TELLING(on_progress, &log), &version, &error));
  CHECK(version == 1 && log.done == kSize);
  CHECK_OK(pts_store_fetch(production, "m@live", target_keys, NULL, NULL, &package, &error));
  CHECK_OK(pts_package_decrypt(package, NULL, NULL, &bytes, &error));
  CHECK(pts_bytes_size(bytes) == kSize && memcmp(pts_bytes_data(bytes), data, kSize) == 0);
  pts_bytes_destroy(&bytes);
  CHECK_OK(pts_package_export(package, test_path("parts"), NULL, NULL, &error));
  CHECK(stat(test_path("parts/payload.bin"), &info) == 0 && info.st_size > kSize);
  CHECK(stat(test_path("parts/key-1.jwe"), &info) == 0);
  CHECK(stat(test_path("parts/manifest.jws"), &info) == 0);
  CHECK(stat(test_path("parts/digests.bin"), &info) == 0);
  CHECK(stat(test_path("parts/README.txt"), &info) == 0);
  CHECK_STATUS(pts_package_export(package, test_path("parts"), NULL, NULL, &error),
               PTS_ALREADY_EXISTS);
  pts_package_destroy(&package);
  pts_store_destroy(&staging);
  pts_store_destroy(&production);
  pts_keyring_destroy(&keys);
  pts_keyring_destroy(&target_keys);
  free(data);
}

static void test_key_status(void) {
  pts_error error;
  pts_store* store = new_store("status");
  pts_keyring* keys = new_keys();
  pts_package* package = NULL;
  publish_opaque(store, keys, "m", "abc", 3);
  CHECK_STATUS(pts_store_set_key_status(store, "m/1", "gone", NULL, keys, NULL, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_OK(pts_store_set_key_status(store, "m/1", "disabled", "leaked", keys, NULL, &error));
  CHECK_STATUS(pts_store_fetch(store, "m/1", keys, NULL, NULL, &package, &error), PTS_REVOKED);
  CHECK_OK(pts_store_set_key_status(store, "m/1", "enabled", NULL, keys, NULL, &error));
  CHECK_OK(pts_store_fetch(store, "m/1", keys, NULL, NULL, &package, &error));
  pts_package_destroy(&package);
  CHECK_OK(pts_store_set_key_status(store, "m/1", "destroyed", NULL, keys, NULL, &error));
  CHECK_STATUS(pts_store_fetch(store, "m/1", keys, NULL, NULL, &package, &error), PTS_REVOKED);
  CHECK(pts_store_set_key_status(store, "m/1", "enabled", NULL, keys, NULL, &error) != PTS_OK);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

static void test_refused(void) {
  pts_error error;
  pts_store *store = new_store("refused"), *other = NULL;
  pts_keyring* keys = new_keys();
  pts_package* package = NULL;
  pts_model* model = NULL;
  uint64_t version = 0;
  pts_store_options store_options = PTS_STORE_OPTIONS_INIT;
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  const char* twice_keys[] = {"a", "a"};
  const char* bad_values[] = {"1", "\xFF"};
  const char* const bad_names[] = {"", ".", "../m", "a/b", "a b", "-a", "a\x01", "\xC3\xA9"};
  options.format = "opaque";
  for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); ++i) {
    CHECK_STATUS(publish_bytes(store, bad_names[i], "abc", 3, keys, &options, NULL, NULL, &error),
                 PTS_INVALID_ARGUMENT);
  }
  options.label_keys = twice_keys;
  options.label_values = twice_keys;
  options.label_count = 2;
  CHECK_STATUS(publish_bytes(store, "m", "abc", 3, keys, &options, NULL, NULL, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "'a'");
  options.label_values = bad_values;
  CHECK_STATUS(publish_bytes(store, "m", "abc", 3, keys, &options, NULL, NULL, &error),
               PTS_INVALID_ARGUMENT);
  options.label_count = 0;
  options.format = "onnx";
  CHECK_STATUS(publish_bytes(store, "m", "abc", 3, keys, &options, NULL, NULL, &error),
               PTS_UNSUPPORTED);
  options.format = "opaque";
  CHECK_STATUS(publish_file(store, "m", test_path("none"), keys, &options, NULL, NULL, &error),
               PTS_NOT_FOUND);
  CHECK_STATUS(publish_file(store, "m", test_folder(), keys, &options, NULL, NULL, &error),
               PTS_INVALID_ARGUMENT);

  /* The version is there although its alias is not. */
  options.alias = "A";
  CHECK_OK(publish_bytes(store, "m", "abc", 3, keys, &options, NULL, &version, &error));
  options.alias = "a";
  CHECK(publish_bytes(store, "m", "abc", 3, keys, &options, NULL, &version, &error) ==
        PTS_ALREADY_EXISTS);
  CHECK(version == 2);
  CHECK_HAS(error.message, "version 2 is published");

  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error));
  CHECK_STATUS(pts_package_load(package, NULL, NULL, &model, &error), PTS_UNSUPPORTED);
  CHECK_HAS(error.message, "opaque");
  CHECK_STATUS(pts_model_open(store, "m", keys, NULL, NULL, &model, &error), PTS_UNSUPPORTED);
  CHECK(model == NULL);
  pts_package_destroy(&package);
  CHECK_STATUS(pts_store_fetch(store, "m/3", keys, NULL, NULL, &package, &error), PTS_NOT_FOUND);
  CHECK_STATUS(pts_store_fetch(store, "m/03", keys, NULL, NULL, &package, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_store_fetch(store, "m@none", keys, NULL, NULL, &package, &error), PTS_NOT_FOUND);
  CHECK_STATUS(pts_store_fetch(store, "m@\n", keys, NULL, NULL, &package, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_store_set_alias(store, "m", "b", 7, NULL, keys, NULL, &error), PTS_NOT_FOUND);
  CHECK_STATUS(pts_store_set_alias(store, "m", "b", 1, "\xFF", keys, NULL, &error),
               PTS_INVALID_ARGUMENT);

  store_options.connect_timeout_ms = 0;
  CHECK_STATUS(pts_store_open("x", &store_options, &other, &error), PTS_INVALID_ARGUMENT);
  store_options.connect_timeout_ms = 1;
  store_options.operation_timeout_ms = -1;
  CHECK_STATUS(pts_store_open("x", &store_options, &other, &error), PTS_INVALID_ARGUMENT);
  store_options.operation_timeout_ms = 1;
  store_options.threads = 1025;
  CHECK_STATUS(pts_store_open("x", &store_options, &other, &error), PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_store_open("http://example.org/x", NULL, &other, &error), PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_store_open("", NULL, &other, &error), PTS_INVALID_ARGUMENT);

  /* A folder that is no store. */
  CHECK(mkdir(test_path("photos"), 0700) == 0);
  write_file(test_path("photos/cat.jpg"), "meow", 4);
  CHECK_OK(pts_store_open(test_path("photos"), NULL, &other, &error));
  options.alias = NULL;
  CHECK_STATUS(publish_bytes(other, "m", "abc", 3, keys, &options, NULL, NULL, &error),
               PTS_INVALID_ARGUMENT);
  pts_store_destroy(&other);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

static void test_empty_model(void) {
  pts_error error;
  pts_store* store = new_store("empty");
  pts_keyring* keys = new_keys();
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  progress_log log = {0};
  publish_opaque(store, keys, "m", NULL, 0);
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error));
  CHECK(pts_package_size(package) == 0);
  CHECK_OK(pts_package_decrypt(package, NULL, TELLING(on_progress, &log), &bytes, &error));
  CHECK(pts_bytes_size(bytes) == 0 && pts_bytes_data(bytes) == NULL && log.calls == 1);
  pts_bytes_destroy(&bytes);
  pts_package_destroy(&package);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

/* A server that isn't there: refused within the timeout, saying which address was tried. */
static void test_no_server(void) {
  pts_error error;
  pts_store* store = NULL;
  char *features = NULL, *text = NULL;
  time_t begin;
  pts_store_options options = PTS_STORE_OPTIONS_INIT;
  CHECK_OK(pts_features(&features, &error));
  options.connect_timeout_ms = 500;
  if (strstr(features, "\"mongodb\"") == NULL) {
    CHECK_STATUS(pts_store_open("mongodb://127.0.0.1:1/models", &options, &store, &error),
                 PTS_UNSUPPORTED);
  } else {
    CHECK_OK(pts_store_open("mongodb://user:s3cret@127.0.0.1:1/models", &options, &store, &error));
    begin = time(NULL);
    CHECK_STATUS(pts_store_list(store, NULL, 0, NULL, &text, &error), PTS_UNAVAILABLE);
    CHECK(time(NULL) - begin < 30);
    CHECK_HAS(error.message, "127.0.0.1:1");
    CHECK(strstr(error.message, "s3cret") == NULL);
    CHECK(text == NULL);
    pts_store_destroy(&store);
  }
  pts_text_destroy(&features);
}

int main(void) {
  test_publish_and_open();
  test_no_plaintext();
  test_callbacks();
  test_progress_cancels();
  test_verify();
  test_copy_and_export();
  test_key_status();
  test_refused();
  test_empty_model();
  test_no_server();
  return finish();
}
