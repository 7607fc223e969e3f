/* NULL for every pointer of every function, alone and together: an error or nothing, never a crash.
 * tests/capi/abi/exports.sh sees to it that no exported function is missing here. */
#include "check.h"

static const char* const kData = "some bytes";
static const char* const kOct = "{\"kty\":\"oct\",\"k\":\"AQIDBAUGBwgJCgsMDQ4PEA\"}";

static int32_t on_read(void* user, uint64_t position, void* data, size_t size) {
  (void)user, (void)position;
  memset(data, 0, size);
  return 0;
}
static int32_t on_sink(void* user, const void* data, size_t size) {
  (void)user, (void)data, (void)size;
  return 0;
}

/* Calls that must refuse NULL; the out pointer, where there is one, is reset. */
#define REFUSED(call) CHECK_STATUS(call, PTS_INVALID_ARGUMENT)
#define REFUSED_OUT(out, call)                \
  do {                                        \
    out = (void*)&error; /* garbage */        \
    CHECK_STATUS(call, PTS_INVALID_ARGUMENT); \
    CHECK(out == NULL);                       \
  } while (0)

static void test_no_result(void) {
  CHECK(strcmp(pts_status_name(-1), "unknown") == 0);
  CHECK(pts_version() != NULL);
  pts_text_destroy(NULL);
  pts_bytes_destroy(NULL);
  pts_cancel_destroy(NULL);
  pts_keyring_destroy(NULL);
  pts_store_destroy(NULL);
  pts_value_destroy(NULL);
  pts_package_destroy(NULL);
  pts_model_destroy(NULL);
  pts_keyring_options_init(NULL);
  pts_store_options_init(NULL);
  pts_tensor_init(NULL);
  pts_publish_options_init(NULL);
  pts_gridfs_file_init(NULL);
  pts_open_options_init(NULL);
  pts_infer_options_init(NULL);
  pts_apikey_options_init(NULL);
  pts_apikeys_options_init(NULL);
  pts_apikey_request_init(NULL);
  pts_apikey_result_init(NULL);
  pts_apikeys_destroy(NULL);
  pts_infer_info_init(NULL);
  pts_cancel_set(NULL);
  CHECK(pts_bytes_data(NULL) == NULL);
  CHECK(pts_bytes_size(NULL) == 0);
  CHECK(pts_value_kind(NULL) == PTS_NONE);
  CHECK(pts_value_size(NULL) == 0);
  CHECK(pts_value_item(NULL, 0) == NULL);
  CHECK(pts_value_key(NULL, 0) == NULL);
  CHECK(pts_value_find(NULL, "a") == NULL);
  CHECK(pts_package_name(NULL) == NULL);
  CHECK(pts_package_version(NULL) == 0);
  CHECK(pts_package_manifest(NULL) == NULL);
  CHECK(pts_package_size(NULL) == 0);
  CHECK(pts_model_name(NULL) == NULL);
  CHECK(pts_model_version(NULL) == 0);
  CHECK(pts_model_metadata(NULL) == NULL);
}

/* A pointer to NULL, and twice. */
static void test_destroy_twice(void) {
  pts_error error;
  char* text = NULL;
  pts_bytes* bytes = NULL;
  pts_cancel* cancel = NULL;
  pts_keyring* keys = new_keys();
  pts_store* store = new_store("twice");
  pts_value* value = NULL;
  pts_package* package = NULL;
  pts_model* model = NULL;
  CHECK_OK(pts_features(&text, &error));
  CHECK_OK(pts_keyring_export(keys, &bytes, &error));
  CHECK_OK(pts_cancel_create(&cancel, &error));
  CHECK_OK(pts_value_create_none(&value, &error));
  publish_opaque(store, keys, "m", kData, strlen(kData));
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, &package, &error));
  for (int i = 0; i < 2; ++i) {
    pts_text_destroy(&text);
    pts_bytes_destroy(&bytes);
    pts_cancel_destroy(&cancel);
    pts_keyring_destroy(&keys);
    pts_store_destroy(&store);
    pts_value_destroy(&value);
    pts_package_destroy(&package);
    pts_model_destroy(&model);
    CHECK(text == NULL && bytes == NULL && cancel == NULL && keys == NULL && store == NULL);
    CHECK(value == NULL && package == NULL && model == NULL);
  }
}

static void test_all_null(void) {
  const pts_status refused = PTS_INVALID_ARGUMENT;
  CHECK(pts_features(NULL, NULL) == refused);
  CHECK(pts_cancel_create(NULL, NULL) == refused);
  CHECK(pts_keyring_load(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_keyring_parse(NULL, 0, NULL, NULL, NULL) == refused);
  CHECK(pts_keyring_from_env(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_keyring_generate(NULL, NULL) == refused);
  CHECK(pts_keyring_split(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_keyring_public(NULL, NULL, NULL) == refused);
  CHECK(pts_keyring_save(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_keyring_export(NULL, NULL, NULL) == refused);
  CHECK(pts_keyring_describe(NULL, NULL, NULL) == refused);
  CHECK(pts_store_open(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_describe(NULL, NULL, NULL) == refused);
  CHECK(pts_store_list(NULL, NULL, 0, NULL, NULL) == refused);
  CHECK(pts_store_list_versions(NULL, NULL, 0, 0, NULL, NULL) == refused);
  CHECK(pts_value_create_none(NULL, NULL) == refused);
  CHECK(pts_value_create_bool(0, NULL, NULL) == refused);
  CHECK(pts_value_create_int(0, NULL, NULL) == refused);
  CHECK(pts_value_create_float(0, NULL, NULL) == refused);
  CHECK(pts_value_create_string(NULL, 0, NULL, NULL) == refused);
  CHECK(pts_value_create_list(NULL, NULL) == refused);
  CHECK(pts_value_create_tuple(NULL, NULL) == refused);
  CHECK(pts_value_create_dict(NULL, NULL) == refused);
  CHECK(pts_value_append(NULL, NULL, NULL) == refused);
  CHECK(pts_value_put(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_value_borrow_tensor(NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_value_copy_tensor(NULL, NULL, NULL) == refused);
  CHECK(pts_value_from_dlpack(NULL, NULL, NULL) == refused);
  CHECK(pts_value_to_dlpack(NULL, NULL, NULL) == refused);
  CHECK(pts_value_from_npy(NULL, 0, NULL, NULL) == refused);
  CHECK(pts_value_to_npy(NULL, NULL, NULL) == refused);
  CHECK(pts_value_get_bool(NULL, NULL, NULL) == refused);
  CHECK(pts_value_get_int(NULL, NULL, NULL) == refused);
  CHECK(pts_value_get_float(NULL, NULL, NULL) == refused);
  CHECK(pts_value_get_string(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_value_get_tensor(NULL, NULL, NULL) == refused);
  CHECK(pts_value_copy(NULL, NULL, NULL) == refused);
  CHECK(pts_store_publish_file(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_publish_bytes(NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL) ==
        refused);
  CHECK(pts_store_publish_read(NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_set_alias(NULL, NULL, NULL, 0, NULL, NULL, NULL) == refused);
  CHECK(pts_store_rollback_alias(NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_delete_alias(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_list_aliases(NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_show_alias(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_alias_history(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_log(NULL, NULL, 0, 0, NULL, NULL) == refused);
  CHECK(pts_store_verify_log(NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_state_default_path(NULL, NULL) == refused);
  CHECK(pts_state_show(NULL, NULL, NULL) == refused);
  CHECK(pts_state_reset(NULL, NULL, NULL) == refused);
  CHECK(pts_store_set_key_status(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_fetch(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_decrypt(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_stream(NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_export(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_load(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_swap(NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_verify(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_show(NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_copy(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_model_open(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_model_example(NULL, NULL, NULL) == refused);
  CHECK(pts_model_infer(NULL, NULL, 0, NULL, NULL, NULL) == refused);
  CHECK(pts_model_infer_json(NULL, NULL, 0, NULL, NULL, NULL) == refused);
  CHECK(pts_model_infer_v2(NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_model_infer_v1(NULL, NULL, 0, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_model_result_json(NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_example(NULL, NULL, NULL) == refused);
  CHECK(pts_model_fork(NULL, NULL, NULL) == refused);
}

static void test_keyring(const pts_keyring* keys) {
  pts_error error;
  pts_keyring* out = NULL;
  char* text = NULL;
  pts_bytes* bytes = NULL;
  REFUSED_OUT(out, pts_keyring_load(NULL, NULL, &out, &error));
  REFUSED_OUT(out, pts_keyring_parse(NULL, 0, NULL, &out, &error));
  REFUSED_OUT(out, pts_keyring_parse(NULL, 7, NULL, &out, &error));
  REFUSED_OUT(out, pts_keyring_from_env(NULL, NULL, &out, &error));
  REFUSED_OUT(out, pts_keyring_split(NULL, "opener", &out, &error));
  REFUSED_OUT(out, pts_keyring_split(keys, NULL, &out, &error));
  REFUSED_OUT(out, pts_keyring_public(NULL, &out, &error));
  REFUSED(pts_keyring_generate(NULL, &error));
  REFUSED(pts_keyring_split(keys, "opener", NULL, &error));
  REFUSED(pts_keyring_public(keys, NULL, &error));
  REFUSED(pts_keyring_save(NULL, test_path("never.jwks"), NULL, &error));
  REFUSED(pts_keyring_save(keys, NULL, NULL, &error));
  REFUSED_OUT(bytes, pts_keyring_export(NULL, &bytes, &error));
  REFUSED_OUT(text, pts_keyring_describe(NULL, &text, &error));
  CHECK_HAS(error.message, "self must not be NULL");
}

static void test_store(pts_store* store, const pts_keyring* keys) {
  pts_error error;
  pts_store* out = NULL;
  pts_package* package = NULL;
  pts_model* model = NULL;
  char* text = NULL;
  REFUSED_OUT(out, pts_store_open(NULL, NULL, &out, &error));
  REFUSED_OUT(text, pts_store_describe(NULL, &text, &error));
  REFUSED_OUT(text, pts_store_list(NULL, NULL, 0, &text, &error));
  REFUSED_OUT(text, pts_store_list_versions(NULL, "m", 0, 0, &text, &error));
  REFUSED_OUT(text, pts_store_list_versions(store, NULL, 0, 0, &text, &error));
  REFUSED(pts_store_list(store, NULL, 0, NULL, &error));
  REFUSED(pts_store_set_alias(store, NULL, "a", 1, NULL, keys, &error));
  REFUSED(pts_store_set_alias(store, "m", NULL, 1, NULL, keys, &error));
  REFUSED(pts_store_set_alias(store, "m", "a", 1, NULL, NULL, &error));
  REFUSED(pts_store_rollback_alias(store, NULL, "a", 1, NULL, keys, NULL, &error));
  REFUSED(pts_store_rollback_alias(store, "m", "a", 1, NULL, NULL, NULL, &error));
  REFUSED(pts_store_delete_alias(store, NULL, "a", NULL, keys, &error));
  REFUSED(pts_store_delete_alias(store, "m", NULL, NULL, keys, &error));
  REFUSED(pts_store_delete_alias(store, "m", "a", NULL, NULL, &error));
  REFUSED_OUT(text, pts_store_show_alias(store, NULL, "a", keys, &text, &error));
  REFUSED_OUT(text, pts_store_show_alias(store, "m", NULL, keys, &text, &error));
  REFUSED_OUT(text, pts_store_show_alias(store, "m", "a", NULL, &text, &error));
  REFUSED_OUT(text, pts_store_alias_history(store, NULL, "a", keys, &text, &error));
  REFUSED_OUT(text, pts_store_alias_history(store, "m", NULL, keys, &text, &error));
  REFUSED_OUT(text, pts_store_alias_history(store, "m", "a", NULL, &text, &error));
  REFUSED_OUT(text, pts_store_log(store, NULL, 1, 0, &text, &error));
  REFUSED(pts_store_log(store, keys, 1, 0, NULL, &error));
  REFUSED(pts_store_verify_log(NULL, keys, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_store_verify_log(store, NULL, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_state_default_path(NULL, &error));
  REFUSED_OUT(text, pts_state_show(NULL, &text, &error));
  REFUSED(pts_state_reset(NULL, NULL, &error));
  REFUSED_OUT(text, pts_store_list_aliases(store, NULL, keys, &text, &error));
  REFUSED_OUT(text, pts_store_list_aliases(store, "m", NULL, &text, &error));
  REFUSED(pts_store_set_key_status(store, NULL, "enabled", NULL, keys, &error));
  REFUSED(pts_store_set_key_status(store, "m", NULL, NULL, keys, &error));
  REFUSED(pts_store_set_key_status(store, "m", "enabled", NULL, NULL, &error));
  REFUSED_OUT(package, pts_store_fetch(store, NULL, keys, NULL, &package, &error));
  REFUSED_OUT(package, pts_store_fetch(store, "m", NULL, NULL, &package, &error));
  REFUSED(pts_store_fetch(store, "m", keys, NULL, NULL, &error));
  REFUSED(pts_store_verify(store, NULL, keys, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_store_verify(store, "m", NULL, NULL, NULL, NULL, NULL, &error));
  REFUSED_OUT(text, pts_store_show(store, NULL, keys, &text, &error));
  REFUSED_OUT(text, pts_store_show(store, "m", NULL, &text, &error));
  REFUSED_OUT(model, pts_model_open(NULL, "m", keys, NULL, &model, NULL, NULL, &error));
  REFUSED_OUT(model, pts_model_open(store, NULL, keys, NULL, &model, NULL, NULL, &error));
  REFUSED_OUT(model, pts_model_open(store, "m", NULL, NULL, &model, NULL, NULL, &error));
}

static void test_import_gridfs(pts_store* store, const pts_keyring* keys) {
  pts_error error;
  pts_gridfs_file file = PTS_GRIDFS_FILE_INIT;
  const size_t size = strlen(kOct);
  CHECK(pts_store_import_gridfs(NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL,
                                NULL) == PTS_INVALID_ARGUMENT);
  REFUSED(pts_store_import_gridfs(store, "m", NULL, kOct, size, NULL, keys, NULL, NULL, NULL, NULL,
                                  &error));
  REFUSED(pts_store_import_gridfs(store, "m", &file, kOct, size, NULL, keys, NULL, NULL, NULL, NULL,
                                  &error)); /* no uri */
  file.uri = "mongodb://127.0.0.1:1/models";
  REFUSED(pts_store_import_gridfs(store, "m", &file, kOct, size, NULL, keys, NULL, NULL, NULL, NULL,
                                  &error)); /* no file */
  file.filename = "x";
  REFUSED(pts_store_import_gridfs(store, "m", &file, NULL, 0, NULL, keys, NULL, NULL, NULL, NULL,
                                  &error));
  file.id = "y";
  REFUSED(pts_store_import_gridfs(store, "m", &file, kOct, size, NULL, keys, NULL, NULL, NULL, NULL,
                                  &error)); /* both */
  file.id = NULL;
  file.jwk_filename = "k";
  REFUSED(pts_store_import_gridfs(store, "m", &file, kOct, size, NULL, keys, NULL, NULL, NULL, NULL,
                                  &error)); /* two keys */
  REFUSED(pts_store_import_gridfs(store, "m", &file, NULL, 0, NULL, keys, NULL, NULL, NULL, NULL,
                                  &error)); /* no digest */
  file.struct_size = 1;
  REFUSED(pts_store_import_gridfs(store, "m", &file, kOct, size, NULL, keys, NULL, NULL, NULL, NULL,
                                  &error));
}

static void test_publish(pts_store* store, const pts_keyring* keys) {
  pts_error error;
  uint64_t version = 7;
  const char* keys_null[1] = {NULL};
  const char* keys_one[1] = {"run"};
  const pts_value* sample_null[1] = {NULL};
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  const size_t size = strlen(kData);
  options.format = "opaque";
  REFUSED(pts_store_publish_bytes(store, NULL, kData, size, keys, &options, &version, NULL, NULL,
                                  &error));
  CHECK(version == 0);
  REFUSED(
      pts_store_publish_bytes(store, "m", NULL, size, keys, &options, NULL, NULL, NULL, &error));
  REFUSED(
      pts_store_publish_bytes(store, "m", kData, size, NULL, &options, NULL, NULL, NULL, &error));
  REFUSED(pts_store_publish_file(store, NULL, "x", keys, &options, NULL, NULL, NULL, &error));
  REFUSED(pts_store_publish_file(store, "m", NULL, keys, &options, NULL, NULL, NULL, &error));
  REFUSED(pts_store_publish_file(store, "m", "x", NULL, &options, NULL, NULL, NULL, &error));
  REFUSED(
      pts_store_publish_read(store, NULL, 8, keys, &options, NULL, on_read, NULL, NULL, &error));
  REFUSED(pts_store_publish_read(store, "m", 8, keys, &options, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_store_import_file(store, "m", "x", NULL, 2, NULL, keys, &options, &version, NULL,
                                NULL, &error));
  REFUSED(pts_store_import_file(store, NULL, "x", kOct, strlen(kOct), NULL, keys, &options, NULL,
                                NULL, NULL, &error));
  REFUSED(pts_store_import_file(store, "m", NULL, kOct, strlen(kOct), NULL, keys, &options, NULL,
                                NULL, NULL, &error));
  REFUSED(pts_store_import_file(store, "m", "x", kOct, strlen(kOct), NULL, NULL, &options, NULL,
                                NULL, NULL, &error));
  REFUSED(pts_store_import_read(store, "m", 8, kOct, strlen(kOct), NULL, keys, &options, NULL, NULL,
                                NULL, NULL, &error));
  REFUSED(pts_store_import_read(NULL, "m", 8, kOct, strlen(kOct), NULL, keys, &options, NULL,
                                on_read, NULL, NULL, &error));
  test_import_gridfs(store, keys);
  REFUSED(pts_store_copy(store, NULL, keys, store, keys, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_store_copy(store, "m", NULL, store, keys, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_store_copy(store, "m", keys, NULL, keys, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_store_copy(store, "m", keys, store, NULL, NULL, NULL, NULL, NULL, &error));
  options.label_count = 1;
  REFUSED(
      pts_store_publish_bytes(store, "m", kData, size, keys, &options, NULL, NULL, NULL, &error));
  options.label_keys = keys_one;
  REFUSED(
      pts_store_publish_bytes(store, "m", kData, size, keys, &options, NULL, NULL, NULL, &error));
  options.label_values = keys_null;
  REFUSED(
      pts_store_publish_bytes(store, "m", kData, size, keys, &options, NULL, NULL, NULL, &error));
  options.label_count = 0;
  options.sample_count = 1;
  REFUSED(
      pts_store_publish_bytes(store, "m", kData, size, keys, &options, NULL, NULL, NULL, &error));
  options.sample = sample_null;
  REFUSED(
      pts_store_publish_bytes(store, "m", kData, size, keys, &options, NULL, NULL, NULL, &error));
}

static void test_package(pts_store* store, const pts_keyring* keys) {
  pts_error error;
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  pts_model* model = NULL;
  publish_opaque(store, keys, "m", kData, strlen(kData));
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, &package, &error));
  REFUSED(pts_package_stream(package, NULL, NULL, NULL, &error));
  REFUSED(pts_package_stream(NULL, NULL, on_sink, NULL, &error));
  REFUSED(pts_package_decrypt(package, NULL, NULL, NULL, NULL, &error));
  REFUSED_OUT(bytes, pts_package_decrypt(NULL, NULL, &bytes, NULL, NULL, &error));
  REFUSED(pts_package_export(package, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_package_example(package, NULL, &error));
  REFUSED_OUT(model, pts_package_load(NULL, NULL, &model, NULL, NULL, &error));
  REFUSED(pts_package_load(package, NULL, NULL, NULL, NULL, &error));
  REFUSED_OUT(model, pts_package_swap(package, NULL, NULL, &model, NULL, NULL, &error));
  /* Everything optional left out, errors too. */
  CHECK(pts_package_decrypt(package, NULL, &bytes, NULL, NULL, NULL) == PTS_OK);
  CHECK(pts_package_stream(package, NULL, on_sink, NULL, NULL) == PTS_OK);
  CHECK(pts_store_verify(store, "m", keys, NULL, NULL, NULL, NULL, NULL) == PTS_OK);
  CHECK(pts_store_fetch(store, "nothing", keys, NULL, &package, NULL) == PTS_NOT_FOUND);
  CHECK(package == NULL);
  pts_bytes_destroy(&bytes);
}

static void test_values(void) {
  pts_error error;
  pts_value* out = NULL;
  pts_value* list = NULL;
  pts_value* dict = NULL;
  pts_tensor tensor = PTS_TENSOR_INIT;
  pts_bytes* bytes = NULL;
  struct DLManagedTensorVersioned* managed = NULL;
  CHECK_OK(pts_value_create_list(&list, &error));
  CHECK_OK(pts_value_create_dict(&dict, &error));
  REFUSED_OUT(out, pts_value_create_string(NULL, 3, &out, &error));
  REFUSED(pts_value_append(list, NULL, &error));
  REFUSED(pts_value_append(NULL, list, &error));
  REFUSED(pts_value_put(dict, NULL, list, &error));
  REFUSED(pts_value_put(dict, "a", NULL, &error));
  REFUSED(pts_value_put(NULL, "a", list, &error));
  CHECK(pts_value_find(dict, NULL) == NULL);
  REFUSED_OUT(out, pts_value_borrow_tensor(NULL, &out, NULL, NULL, &error));
  tensor.dtype = PTS_DTYPE_FLOAT32;
  tensor.rank = 1;
  REFUSED_OUT(out, pts_value_borrow_tensor(&tensor, &out, NULL, NULL, &error));
  REFUSED_OUT(out, pts_value_copy_tensor(&tensor, &out, &error));
  REFUSED_OUT(out, pts_value_from_dlpack(NULL, &out, &error));
  REFUSED_OUT(managed, pts_value_to_dlpack(NULL, &managed, &error));
  REFUSED_OUT(out, pts_value_from_npy(NULL, 9, &out, &error));
  REFUSED_OUT(bytes, pts_value_to_npy(NULL, &bytes, &error));
  REFUSED(pts_value_get_tensor(NULL, &tensor, &error));
  REFUSED(pts_value_get_tensor(list, NULL, &error));
  REFUSED_OUT(out, pts_value_copy(NULL, &out, &error));
  REFUSED(pts_value_copy(list, NULL, &error));
  pts_value_destroy(&list);
  pts_value_destroy(&dict);
}

static void test_apikeys(pts_store* store, const pts_keyring* keys) {
  pts_error error;
  pts_apikey_options options = PTS_APIKEY_OPTIONS_INIT;
  const char* no_model[1] = {NULL};
  const char* all_models[1] = {"*"};
  const char* const id = "0123456789abcdef";
  pts_bytes* key = NULL;
  char *record = NULL, *text = NULL;
  pts_apikeys* apikeys = NULL;
  options.model_count = 1;
  options.owner = "somebody";
  REFUSED(pts_store_create_apikey(store, &options, keys, &key, NULL, &error));
  options.models = no_model;
  REFUSED(pts_store_create_apikey(store, &options, keys, &key, NULL, &error));
  options.models = all_models;
  REFUSED(pts_store_create_apikey(store, NULL, keys, &key, NULL, &error));
  REFUSED_OUT(key, pts_store_create_apikey(NULL, &options, keys, &key, NULL, &error));
  REFUSED_OUT(record, pts_store_create_apikey(store, &options, NULL, &key, &record, &error));
  REFUSED(pts_store_create_apikey(store, &options, keys, NULL, &record, &error));
  options.owner = NULL;
  REFUSED(pts_store_create_apikey(store, &options, keys, &key, NULL, &error));
  REFUSED_OUT(key, pts_store_rotate_apikey(store, NULL, 0, NULL, keys, &key, NULL, &error));
  REFUSED_OUT(key, pts_store_rotate_apikey(NULL, id, 0, NULL, keys, &key, NULL, &error));
  REFUSED_OUT(key, pts_store_rotate_apikey(store, id, 0, NULL, NULL, &key, NULL, &error));
  REFUSED_OUT(text, pts_store_list_apikeys(NULL, keys, &text, &error));
  REFUSED_OUT(text, pts_store_list_apikeys(store, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_show_apikey(store, NULL, keys, &text, &error));
  REFUSED_OUT(text, pts_store_show_apikey(store, id, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_show_apikey(NULL, id, keys, &text, &error));
  REFUSED(pts_store_set_apikey_state(NULL, id, "disabled", NULL, keys, &error));
  REFUSED(pts_store_set_apikey_state(store, NULL, "disabled", NULL, keys, &error));
  REFUSED(pts_store_set_apikey_state(store, id, NULL, NULL, keys, &error));
  REFUSED(pts_store_set_apikey_state(store, id, "disabled", NULL, NULL, &error));
  REFUSED_OUT(apikeys, pts_apikeys_open(NULL, keys, NULL, &apikeys, &error));
  REFUSED_OUT(apikeys, pts_apikeys_open(store, NULL, NULL, &apikeys, &error));
  REFUSED(pts_apikeys_open(store, keys, NULL, NULL, &error));
  REFUSED(pts_apikeys_check(NULL, "x", 1, NULL, NULL, &error));
  REFUSED(pts_apikeys_charge(NULL, id, 1, &error));
  REFUSED_OUT(text, pts_apikeys_usage(NULL, &text, &error));
  options.owner = "somebody"; /* creates the store */
  CHECK(pts_store_create_apikey(store, &options, keys, &key, NULL, NULL) == PTS_OK);
  CHECK_OK(pts_apikeys_open(store, keys, NULL, &apikeys, &error));
  REFUSED(pts_apikeys_check(apikeys, NULL, 1, NULL, NULL, &error));
  REFUSED(pts_apikeys_charge(apikeys, NULL, 1, &error));
  CHECK(pts_apikeys_check(apikeys, NULL, 0, NULL, NULL, NULL) == PTS_UNAUTHENTICATED);
  CHECK(pts_apikeys_check(apikeys, (const char*)pts_bytes_data(key), pts_bytes_size(key), NULL,
                          NULL, NULL) == PTS_OK);
  pts_bytes_destroy(&key);
  pts_apikeys_destroy(&apikeys);
  pts_apikeys_destroy(&apikeys);
}

int main(void) {
  pts_keyring* keys = new_keys();
  pts_store* store = new_store("store");
  test_no_result();
  test_destroy_twice();
  test_all_null();
  test_keyring(keys);
  test_store(store, keys);
  test_publish(store, keys);
  test_package(store, keys);
  test_values();
  test_apikeys(store, keys);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  return finish();
}
