/* pts_call: who ends a call, when its time is over, and who hears of its progress. */
#define _XOPEN_SOURCE 700

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include "check.h"

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void sleep_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static pts_publish_options opaque(void) {
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  return options;
}

/* Structs of other headers, and what can't be meant. */
static void test_struct(void) {
  struct {
    pts_call call;
    char newer[24];
  } newer;
  pts_error error;
  pts_store* store = new_store("struct");
  pts_keyring* keys = new_keys();
  char* text = NULL;
  pts_call call = PTS_CALL_INIT;
  publish_opaque(store, keys, "m", "abc", 3);

  CHECK_OK(pts_store_list(store, NULL, 0, &call, &text, &error));
  pts_text_destroy(&text);
  call.timeout_ms = INT64_MAX;
  CHECK_OK(pts_store_list(store, NULL, 0, &call, &text, &error));
  pts_text_destroy(&text);
  call.timeout_ms = -1;
  CHECK_STATUS(pts_store_list(store, NULL, 0, &call, &text, &error), PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "timeout_ms");
  call.timeout_ms = INT64_MIN;
  CHECK_STATUS(pts_store_list(store, NULL, 0, &call, &text, &error), PTS_INVALID_ARGUMENT);
  call.timeout_ms = 0;
  call.struct_size = offsetof(pts_call, progress_user); /* smaller than the first */
  CHECK_STATUS(pts_store_list(store, NULL, 0, &call, &text, &error), PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "pts_call_init");
  call.struct_size = 0;
  CHECK_STATUS(pts_store_show(store, "m", keys, &call, &text, &error), PTS_INVALID_ARGUMENT);

  memset(&newer, 0, sizeof(newer));
  pts_call_init(&newer.call);
  newer.call.struct_size = sizeof(newer);
  CHECK_OK(pts_store_list(store, NULL, 0, &newer.call, &text, &error));
  pts_text_destroy(&text);
  newer.newer[sizeof(newer.newer) - 1] = 1;
  CHECK_STATUS(pts_store_list(store, NULL, 0, &newer.call, &text, &error), PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "newer version");
  CHECK(text == NULL);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

static int32_t ignore_bytes(void* user, const void* data, size_t size) {
  (void)user, (void)data, (void)size;
  return 0;
}

/* Whatever takes a call obeys one that is cancelled, and has done nothing. */
static void test_all_obey(void) {
  pts_error error;
  pts_store *store = new_store("obeyed"), *target = new_store("untouched");
  pts_keyring* keys = new_keys();
  pts_cancel* cancel = NULL;
  pts_source* source = new_source();
  pts_package* package = NULL;
  pts_apikeys *apikeys = NULL, *more = NULL;
  pts_model* model = NULL;
  pts_bytes *bytes = NULL, *key = NULL;
  char *text = NULL, *before = NULL;
  uint64_t version = 9;
  const char* models[] = {"*"};
  pts_publish_options options = opaque();
  pts_apikey_options grant = PTS_APIKEY_OPTIONS_INIT;
  pts_import_options jwk = PTS_IMPORT_OPTIONS_INIT;
  pts_call call = PTS_CALL_INIT;
  grant.owner = "somebody";
  grant.models = models;
  grant.model_count = 1;
  jwk.jwk = "{}";
  jwk.jwk_size = 2;
  CHECK_OK(pts_source_add_bytes(source, NULL, "abc", 3, &error));
  publish_opaque(store, keys, "m", "abc", 3);
  CHECK_OK(pts_store_set_alias(store, "m", "live", 1, NULL, keys, NULL, &error));
  CHECK_OK(pts_store_create_apikey(store, keys, &grant, NULL, &key, NULL, &error));
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error));
  CHECK_OK(pts_apikeys_open(store, keys, NULL, NULL, &apikeys, &error));
  CHECK_OK(pts_store_log(store, keys, 1, 0, NULL, &before, &error));
  CHECK_OK(pts_cancel_create(&cancel, &error));
  pts_cancel_set(cancel);
  call.cancel = cancel;

#define OBEYS(function_call) CHECK_STATUS(function_call, PTS_CANCELLED)
  OBEYS(pts_store_describe(store, &call, &text, &error));
  OBEYS(pts_store_list(store, NULL, 0, &call, &text, &error));
  OBEYS(pts_store_list_versions(store, "m", 0, 0, &call, &text, &error));
  OBEYS(pts_store_publish(store, "m", source, keys, &options, &call, &version, &error));
  OBEYS(pts_store_import(store, "m", source, keys, &jwk, &options, &call, &version, &error));
  OBEYS(pts_store_copy(store, "m", keys, target, keys, NULL, &call, &version, &error));
  OBEYS(pts_store_set_alias(store, "m", "other", 1, NULL, keys, &call, &error));
  OBEYS(pts_store_rollback_alias(store, "m", "live", 1, NULL, keys, &call, &version, &error));
  OBEYS(pts_store_delete_alias(store, "m", "live", NULL, keys, &call, &error));
  OBEYS(pts_store_list_aliases(store, "m", keys, &call, &text, &error));
  OBEYS(pts_store_show_alias(store, "m", "live", keys, &call, &text, &error));
  OBEYS(pts_store_alias_history(store, "m", "live", keys, &call, &text, &error));
  OBEYS(pts_store_set_key_status(store, "m", "disabled", NULL, keys, &call, &error));
  OBEYS(pts_store_log(store, keys, 1, 0, &call, &text, &error));
  OBEYS(pts_store_verify_log(store, keys, NULL, &call, NULL, NULL, &error));
  OBEYS(pts_store_fetch(store, "m", keys, NULL, &call, &package, &error));
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error));
  OBEYS(pts_package_decrypt(package, NULL, &call, &bytes, &error));
  OBEYS(pts_package_stream(package, NULL, &call, ignore_bytes, NULL, &error));
  OBEYS(pts_package_export(package, test_path("parts"), NULL, &call, &error));
  OBEYS(pts_package_load(package, NULL, &call, &model, &error));
  OBEYS(pts_store_verify(store, "m", keys, NULL, &call, NULL, NULL, &error));
  OBEYS(pts_store_show(store, "m", keys, &call, &text, &error));
  OBEYS(pts_model_open(store, "m", keys, NULL, &call, &model, &error));
  OBEYS(pts_store_create_apikey(store, keys, &grant, &call, &bytes, NULL, &error));
  OBEYS(pts_store_list_apikeys(store, keys, &call, &text, &error));
  OBEYS(pts_store_show_apikey(store, "0123456789abcdef", keys, &call, &text, &error));
  OBEYS(
      pts_store_set_apikey_state(store, "0123456789abcdef", "disabled", NULL, keys, &call, &error));
  OBEYS(pts_store_rotate_apikey(store, "0123456789abcdef", 0, NULL, keys, &call, &bytes, NULL,
                                &error));
  OBEYS(pts_apikeys_open(store, keys, NULL, &call, &more, &error));
  OBEYS(pts_apikeys_check(apikeys, (const char*)pts_bytes_data(key), pts_bytes_size(key), NULL,
                          &call, NULL, &error));
#undef OBEYS
  CHECK(version == 0 && text == NULL && bytes == NULL && model == NULL && more == NULL);

  CHECK_OK(pts_store_log(store, keys, 1, 0, NULL, &text, &error));
  CHECK(strcmp(before, text) == 0); /* nothing was changed */
  pts_text_destroy(&text);
  CHECK_STATUS(pts_store_list(target, NULL, 0, NULL, &text, &error), PTS_NOT_FOUND);
  CHECK(access(test_path("parts"), F_OK) != 0);

  pts_text_destroy(&before);
  pts_bytes_destroy(&key);
  pts_package_destroy(&package);
  pts_apikeys_destroy(&apikeys);
  pts_source_destroy(&source);
  pts_cancel_destroy(&cancel);
  pts_store_destroy(&store);
  pts_store_destroy(&target);
  pts_keyring_destroy(&keys);
}

static int32_t slow_read(void* user, uint64_t position, void* data, size_t size) {
  (void)user, (void)position;
  memset(data, 1, size);
  sleep_ms(100);
  return 0;
}

static int32_t slow_bytes(void* user, const void* data, size_t size) {
  (void)user, (void)data, (void)size;
  sleep_ms(100);
  return 0;
}

static int32_t slow_check(void* user, const char* check, pts_status status, const char* detail) {
  int* failed = user;
  (void)check, (void)detail;
  sleep_ms(200);
  *failed += status != PTS_OK;
  return 0;
}

static void test_deadline(void) {
  enum { kSize = 24 << 20 };
  pts_error error;
  pts_store* store = new_store("deadline");
  pts_keyring* keys = new_keys();
  pts_package* package = NULL;
  char* text = NULL;
  uint64_t version = 9;
  int failed = 0;
  double begin;
  unsigned char* data = calloc(1, kSize);
  pts_publish_options options = opaque();
  pts_call call = PTS_CALL_INIT;
  call.timeout_ms = 300;
  begin = seconds();
  CHECK_STATUS(publish_read(store, "m", UINT64_C(256) << 20, keys, &options, &call, &version,
                            slow_read, NULL, &error),
               PTS_TIMEOUT); /* all of it would take 25 s */
  CHECK(seconds() - begin >= 0.3 && seconds() - begin < 1.3 && version == 0);
  CHECK_HAS(error.message, "300 ms");
  CHECK_STATUS(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error), PTS_NOT_FOUND);

  publish_opaque(store, keys, "m", data, kSize);
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, &call, &package, &error)); /* its time anew */
  begin = seconds();
  CHECK_STATUS(pts_package_stream(package, NULL, &call, slow_bytes, NULL, &error), PTS_TIMEOUT);
  CHECK(seconds() - begin >= 0.3 && seconds() - begin < 1.3);
  /* A verification that ran out of time is no finding about the store. */
  CHECK_STATUS(pts_store_verify(store, "m", keys, NULL, &call, slow_check, &failed, &error),
               PTS_TIMEOUT);
  CHECK(failed == 0);
  CHECK_HAS(error.message, "300 ms");
  CHECK_OK(pts_store_list(store, NULL, 0, &call, &text, &error));
  pts_text_destroy(&text);
  pts_package_destroy(&package);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  free(data);
}

/* A server that takes the connection and never says a word. */
static void test_silent_server(void) {
  pts_error error;
  pts_store* store = NULL;
  pts_keyring* keys = new_keys();
  pts_source* source = new_source();
  pts_package* package = NULL;
  pts_cancel* cancel = NULL;
  pts_apikeys* apikeys = NULL;
  char *features = NULL, *text = NULL;
  char uri[64];
  double begin;
  struct sockaddr_in address;
  socklen_t size = sizeof(address);
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  pts_publish_options options = opaque();
  pts_gridfs_file file = PTS_GRIDFS_FILE_INIT;
  pts_call call = PTS_CALL_INIT;
  CHECK_OK(pts_features(&features, &error));
  if (strstr(features, "\"mongodb\"") != NULL) {
    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(server, (struct sockaddr*)&address, size) == 0 && listen(server, 16) == 0);
    CHECK(getsockname(server, (struct sockaddr*)&address, &size) == 0);
    snprintf(uri, sizeof(uri), "mongodb://127.0.0.1:%d/models", (int)ntohs(address.sin_port));
    CHECK_OK(pts_store_open(uri, NULL, &store, &error));
    CHECK(strcmp(pts_store_uri(store), uri) == 0); /* asks nobody */
    file.uri = uri;
    file.filename = "x";
    CHECK_OK(pts_source_add_gridfs(source, NULL, &file, &error)); /* nor does this */
    CHECK_OK(pts_cancel_create(&cancel, &error));
    call.timeout_ms = 200;
    call.cancel = cancel;
#define IN_TIME(function_call, expected)   \
  do {                                     \
    begin = seconds();                     \
    CHECK_STATUS(function_call, expected); \
    CHECK(seconds() - begin < 1.2);        \
  } while (0)
    IN_TIME(pts_store_describe(store, &call, &text, &error), PTS_TIMEOUT);
    IN_TIME(pts_store_list(store, NULL, 0, &call, &text, &error), PTS_TIMEOUT);
    IN_TIME(pts_store_fetch(store, "m", keys, NULL, &call, &package, &error), PTS_TIMEOUT);
    IN_TIME(pts_store_log(store, keys, 1, 0, &call, &text, &error), PTS_TIMEOUT);
    IN_TIME(pts_store_publish(store, "m", source, keys, &options, &call, NULL, &error),
            PTS_TIMEOUT);
    IN_TIME(pts_apikeys_open(store, keys, NULL, &call, &apikeys, &error), PTS_TIMEOUT);
    pts_cancel_set(cancel); /* which came first is what is told */
    IN_TIME(pts_store_list(store, NULL, 0, &call, &text, &error), PTS_CANCELLED);
#undef IN_TIME
    pts_cancel_destroy(&cancel);
    pts_store_destroy(&store);
  }
  close(server);
  pts_text_destroy(&features);
  pts_source_destroy(&source);
  pts_keyring_destroy(&keys);
}

typedef struct {
  int calls;
  uint64_t done, total;
} heard;

static int32_t hear(void* user, uint64_t done, uint64_t total) {
  heard* of = user;
  of->calls += 1;
  of->done = done;
  of->total = total;
  return 0;
}

/* Which calls tell, as pts_progress_fn says. */
static void test_who_tells(void) {
  enum { kSize = 3 << 20 };
  pts_error error;
  pts_store *store = new_store("told"), *target = new_store("told-too");
  pts_keyring* keys = new_keys();
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  char* text = NULL;
  heard of = {0, 0, 0};
  unsigned char* data = calloc(1, kSize);
  pts_publish_options options = opaque();
  pts_call call = PTS_CALL_INIT;
  call.progress = hear;
  call.progress_user = &of;
#define TELLS(function_call)                                         \
  do {                                                               \
    memset(&of, 0, sizeof(of));                                      \
    CHECK_OK(function_call);                                         \
    CHECK(of.calls > 0 && of.done == of.total && of.total >= kSize); \
  } while (0)
  TELLS(publish_bytes(store, "m", data, kSize, keys, &options, &call, NULL, &error));
  TELLS(pts_store_copy(store, "m", keys, target, keys, NULL, &call, NULL, &error));
  TELLS(pts_store_verify(store, "m", keys, NULL, &call, NULL, NULL, &error));
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error));
  TELLS(pts_package_decrypt(package, NULL, &call, &bytes, &error));
  TELLS(pts_package_stream(package, NULL, &call, ignore_bytes, NULL, &error));
  TELLS(pts_package_export(package, test_path("exported"), NULL, &call, &error));
#undef TELLS
  pts_package_destroy(&package);
  memset(&of, 0, sizeof(of));
  CHECK_OK(pts_store_list(store, NULL, 0, &call, &text, &error));
  pts_text_destroy(&text);
  CHECK_OK(pts_store_show(store, "m", keys, &call, &text, &error));
  pts_text_destroy(&text);
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, &call, &package, &error));
  CHECK_OK(pts_store_set_alias(store, "m", "live", 1, NULL, keys, &call, &error));
  CHECK(of.calls == 0);
  pts_package_destroy(&package);
  pts_bytes_destroy(&bytes);
  pts_store_destroy(&store);
  pts_store_destroy(&target);
  pts_keyring_destroy(&keys);
  free(data);
}

int main(void) {
  test_struct();
  test_all_obey();
  test_deadline();
  test_silent_server();
  test_who_tells();
  return finish();
}
