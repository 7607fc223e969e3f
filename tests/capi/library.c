/* Version, errors, features, option structs and cancelling. */
#define _XOPEN_SOURCE 700

#include <signal.h>

#include "check.h"

static void test_status_names(void) {
  const char* const names[] = {"ok",
                               "invalid_argument",
                               "not_found",
                               "already_exists",
                               "conflict",
                               "untrusted",
                               "corrupt",
                               "no_key",
                               "revoked",
                               "rollback",
                               "permission_denied",
                               "unavailable",
                               "timeout",
                               "cancelled",
                               "io",
                               "out_of_memory",
                               "unsupported",
                               "invalid_model",
                               "invalid_input",
                               "engine",
                               "limit_exceeded",
                               "closed",
                               "internal",
                               "unauthenticated",
                               "forbidden",
                               "rate_limited"};
  for (pts_status status = 0; status <= PTS_RATE_LIMITED; ++status) {
    CHECK(strcmp(pts_status_name(status), names[status]) == 0);
  }
  CHECK(sizeof(names) / sizeof(names[0]) == PTS_RATE_LIMITED + 1);
  CHECK(strcmp(pts_status_name(PTS_RATE_LIMITED + 1), "unknown") == 0);
  CHECK(strcmp(pts_status_name(-5), "unknown") == 0);
}

static void test_version(void) {
  char expected[32];
  snprintf(expected, sizeof(expected), "%d.%d.%d", PTS_VERSION_MAJOR, PTS_VERSION_MINOR,
           PTS_VERSION_PATCH);
  CHECK(strcmp(pts_version(), expected) == 0);
}

static void test_features(void) {
  pts_error error;
  char* features = NULL;
  CHECK_OK(pts_features(&features, &error));
  CHECK_HAS(features, "\"version\":\"");
  CHECK_HAS(features, pts_version());
  CHECK_HAS(features, "\"torchscript\":\"torch\"");
  CHECK_HAS(features, "\"opaque\":null");
  CHECK_HAS(features, "\"directory\"");
  CHECK_HAS(features, "\"openssl\":\"3.");
  CHECK_HAS(features, "\"loaded\":false");
  CHECK_HAS(features, "\"secret_memory_locked\":");
  pts_text_destroy(&features);
}

static void test_numbers(void) {
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  const size_t alignment = pts_infer_alignment();
  CHECK(alignment >= 16 && (alignment & (alignment - 1)) == 0);
  CHECK(pts_cores() >= 1);
  CHECK(online < 1 || pts_cores() <= (uint32_t)online);
}

/* What a caller passes comes back in messages, but only as one line of valid UTF-8. */
static void test_messages(void) {
  pts_error error;
  pts_keyring* keys = NULL;
  char path[4000];
  memset(path, 'x', sizeof(path));
  memcpy(path, "/no\nsuch\xFF\x1B[31m folder/", 23);
  path[sizeof(path) - 1] = '\0';
  memset(&error, 'e', sizeof(error));
  CHECK(pts_keyring_load(path, NULL, &keys, &error) != PTS_OK);
  CHECK(memchr(error.message, '\0', sizeof(error.message)) != NULL);
  for (const char* c = error.message; *c != '\0'; ++c) {
    CHECK((unsigned char)*c >= 0x20 && (unsigned char)*c != 0x7F);
  }
  CHECK(strchr(error.message, (char)0xFF) == NULL);

  /* A multi-byte character is never cut in two. */
  for (size_t i = 0; i + 2 < sizeof(path); i += 2) memcpy(path + i, "\xC3\xA9", 2);
  for (size_t shift = 0; shift < 2; ++shift) {
    path[0] = '/';
    memmove(path + 1 + shift, path + 2, sizeof(path) - 8);
    if (shift == 1) path[1] = 'a';
    path[sizeof(path) - 8] = '\0';
    path[sizeof(path) - 9] = '\0';
    CHECK(pts_keyring_load(path, NULL, &keys, &error) != PTS_OK);
    const size_t length = strlen(error.message);
    CHECK(length < sizeof(error.message));
    size_t continuation = 0, lead = 0;
    for (size_t i = 0; i < length; ++i) {
      const unsigned char c = (unsigned char)error.message[i];
      lead += c >= 0xC0;
      continuation += c >= 0x80 && c < 0xC0;
    }
    CHECK(lead == continuation);
  }

  /* A success leaves the error alone. */
  memset(&error, 'e', sizeof(error));
  CHECK(pts_keyring_generate(&keys, &error) == PTS_OK);
  CHECK(error.message[0] == 'e' && error.message[1019] == 'e');
  pts_keyring_destroy(&keys);
}

/* Structs of callers with an older and a newer header. */
static void test_struct_size(void) {
  struct {
    pts_store_options options;
    uint64_t newer[2];
  } newer;
  pts_error error;
  pts_store* store = NULL;
  pts_store_options options = PTS_STORE_OPTIONS_INIT;
  pts_tensor view = PTS_TENSOR_INIT;
  pts_value* value = NULL;
  const int64_t shape[1] = {2};

  memset(&newer, 0, sizeof(newer));
  pts_store_options_init(&newer.options);
  newer.options.struct_size = sizeof(newer);
  CHECK_OK(pts_store_open(test_path("s"), &newer.options, &store, &error));
  pts_store_destroy(&store);
  newer.newer[1] = 1;
  CHECK_STATUS(pts_store_open(test_path("s"), &newer.options, &store, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "newer version");
  options.struct_size = 0;
  CHECK_STATUS(pts_store_open(test_path("s"), &options, &store, &error), PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "pts_store_options_init");
  options.struct_size = offsetof(pts_store_options, state) - 1; /* smaller than the first */
  CHECK_STATUS(pts_store_open(test_path("s"), &options, &store, &error), PTS_INVALID_ARGUMENT);
  memset(&options.struct_size, 0xAA, sizeof(options.struct_size)); /* uninitialised */
  CHECK_STATUS(pts_store_open(test_path("s"), &options, &store, &error), PTS_INVALID_ARGUMENT);

  view.dtype = PTS_DTYPE_UINT8;
  view.rank = 1;
  view.shape = shape;
  CHECK_OK(pts_value_copy_tensor(&view, &value, &error));
  {
    struct {
      pts_tensor view;
      char newer[16];
    } larger;
    memset(&larger, 'n', sizeof(larger));
    larger.view.struct_size = sizeof(larger);
    CHECK_OK(pts_value_get_tensor(value, &larger.view, &error));
    CHECK(larger.view.struct_size == sizeof(larger) && larger.view.rank == 1);
    larger.view.struct_size = 8;
    CHECK_STATUS(pts_value_get_tensor(value, &larger.view, &error), PTS_INVALID_ARGUMENT);
  }
  pts_value_destroy(&value);
}

/* The init functions and the macros say the same. */
static void test_inits(void) {
#define SAME(type, macro)                           \
  do {                                              \
    type by_macro = macro;                          \
    type by_function;                               \
    memset(&by_function, 'x', sizeof(by_function)); \
    type##_init(&by_function);                      \
    CHECK(by_function.struct_size == sizeof(type)); \
    CHECK(by_macro.struct_size == sizeof(type));    \
    SAME_MEMBERS(by_macro, by_function);            \
  } while (0)
#define SAME_MEMBERS(a, b)                                                                    \
  CHECK(a.passphrase == b.passphrase && a.allow_group_read == 0 && b.allow_group_read == 0 && \
        b.reserved == 0)
  SAME(pts_keyring_options, PTS_KEYRING_OPTIONS_INIT);
#undef SAME_MEMBERS
#define SAME_MEMBERS(a, b)                                                                       \
  CHECK(a.connect_timeout_ms == 5000 && b.connect_timeout_ms == 5000 &&                          \
        b.operation_timeout_ms == 60000 && b.threads == 0 && b.reserved == 0 && b.log == NULL && \
        b.log_user == NULL && a.state == NULL && b.state == NULL)
  SAME(pts_store_options, PTS_STORE_OPTIONS_INIT);
#undef SAME_MEMBERS
#define SAME_MEMBERS(a, b)                                                                         \
  CHECK(a.format == b.format && b.alias == NULL && b.label_keys == NULL &&                         \
        b.label_values == NULL && b.label_count == 0 && b.sample == NULL && b.sample_count == 0 && \
        b.torch_dir == NULL && b.sample_json == NULL && b.weights_of == NULL)
  SAME(pts_publish_options, PTS_PUBLISH_OPTIONS_INIT);
#undef SAME_MEMBERS
#define SAME_MEMBERS(a, b) \
  CHECK(a.uri == NULL && b.uri == NULL && b.bucket == NULL && b.filename == NULL && b.id == NULL)
  SAME(pts_gridfs_file, PTS_GRIDFS_FILE_INIT);
#undef SAME_MEMBERS
#define SAME_MEMBERS(a, b)                                                                     \
  CHECK(a.size == 0 && b.size == 0 && b.read == NULL && b.release == NULL && b.user == NULL && \
        b.concurrent == 0 && b.reserved == 0)
  SAME(pts_part, PTS_PART_INIT);
#undef SAME_MEMBERS
#define SAME_MEMBERS(a, b)                                                           \
  CHECK(a.jwk == NULL && b.jwk == NULL && b.jwk_size == 0 && b.jwk_source == NULL && \
        b.sha256 == NULL)
  SAME(pts_import_options, PTS_IMPORT_OPTIONS_INIT);
#undef SAME_MEMBERS
#define SAME_MEMBERS(a, b)                                                                 \
  CHECK(a.cancel == NULL && b.cancel == NULL && b.timeout_ms == 0 && b.progress == NULL && \
        b.progress_user == NULL)
  SAME(pts_call, PTS_CALL_INIT);
#undef SAME_MEMBERS
#define SAME_MEMBERS(a, b)                                                                    \
  CHECK(a.verify == PTS_VERIFY_SIGNED && b.verify == PTS_VERIFY_SIGNED && b.device == NULL && \
        b.intra_op_threads == 0 && b.warm_up_runs == 0 && b.torch_dir == NULL &&              \
        b.manifest == NULL && b.min_sequence == 0 && b.max_age_s == 0 &&                      \
        b.optimize == PTS_OPTIMIZE_NONE)
  SAME(pts_open_options, PTS_OPEN_OPTIONS_INIT);
#undef SAME_MEMBERS
#define SAME_MEMBERS(a, b) CHECK(a.method == b.method && b.method == NULL && b.input_names == NULL)
  SAME(pts_infer_options, PTS_INFER_OPTIONS_INIT);
#undef SAME_MEMBERS
#define SAME_MEMBERS(a, b)                                                           \
  CHECK(a.dtype == b.dtype && b.rank == 0 && b.shape == NULL && b.strides == NULL && \
        b.data == NULL && b.device_type == PTS_DEVICE_CPU && b.device_index == 0 &&  \
        b.read_only == 0 && b.reserved == 0)
  SAME(pts_tensor, PTS_TENSOR_INIT);
#undef SAME_MEMBERS
#undef SAME
}

/* Nothing implicit at a struct's end, where a member added later would lie in what an old caller
 * left uninitialised. */
static void test_no_tail_padding(void) {
#define TAIL(type, last) CHECK(offsetof(type, last) + sizeof(((type*)0)->last) == sizeof(type))
  TAIL(pts_keyring_options, reserved);
  TAIL(pts_store_options, state);
  TAIL(pts_publish_options, torch_dir);
  TAIL(pts_open_options, max_age_s);
  TAIL(pts_call, progress_user);
  TAIL(pts_part, reserved);
  TAIL(pts_gridfs_file, id);
  TAIL(pts_import_options, sha256);
  TAIL(pts_infer_options, input_names);
  TAIL(pts_tensor, reserved);
#undef TAIL
}

static pts_cancel* signalled = NULL;
static void on_signal(int signal_number) {
  (void)signal_number;
  pts_cancel_set(signalled);
}

static void test_cancel(void) {
  pts_error error;
  pts_store* store = new_store("cancelled");
  pts_keyring* keys = new_keys();
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  pts_call call = PTS_CALL_INIT;
  struct sigaction action;
  CHECK_OK(pts_cancel_create(&signalled, &error));
  options.format = "opaque";
  call.cancel = signalled;
  CHECK_OK(publish_bytes(store, "m", "abc", 3, keys, &options, &call, NULL, &error));
  memset(&action, 0, sizeof(action));
  action.sa_handler = on_signal;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  CHECK(raise(SIGUSR1) == 0);
  for (int i = 0; i < 2; ++i) { /* it stays set */
    CHECK_STATUS(publish_bytes(store, "m", "abc", 3, keys, &options, &call, NULL, &error),
                 PTS_CANCELLED);
  }
  pts_cancel_destroy(&signalled);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

int main(void) {
  test_status_names();
  test_version();
  test_features();
  test_numbers();
  test_messages();
  test_struct_size();
  test_inits();
  test_no_tail_padding();
  test_cancel();
  return finish();
}
