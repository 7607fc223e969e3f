/* NULL for every pointer of every function, alone and together: an error or nothing, never a crash.
 * tests/capi/abi/exports.sh sees to it that no exported function is missing here. */
#include "check.h"

static const char* const kData = "some bytes";
static const char* const kOct = "{\"kty\":\"oct\",\"k\":\"AQIDBAUGBwgJCgsMDQ4PEA\"}";

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
  pts_source_destroy(NULL);
  pts_value_destroy(NULL);
  pts_package_destroy(NULL);
  pts_model_destroy(NULL);
  pts_keyring_options_init(NULL);
  pts_store_options_init(NULL);
  pts_tensor_init(NULL);
  pts_call_init(NULL);
  pts_publish_options_init(NULL);
  pts_import_options_init(NULL);
  pts_gridfs_file_init(NULL);
  pts_part_init(NULL);
  pts_open_options_init(NULL);
  pts_infer_options_init(NULL);
  pts_apikey_options_init(NULL);
  pts_apikeys_options_init(NULL);
  pts_apikey_request_init(NULL);
  pts_apikey_result_init(NULL);
  pts_apikeys_destroy(NULL);
  pts_infer_info_init(NULL);
  pts_cancel_set(NULL);
  CHECK(pts_cores() >= 1);
  CHECK(pts_infer_alignment() >= 1);
  CHECK(pts_store_uri(NULL) == NULL);
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
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error));
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
  CHECK(pts_store_describe(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_list(NULL, NULL, 0, NULL, NULL, NULL) == refused);
  CHECK(pts_store_list_versions(NULL, NULL, 0, 0, NULL, NULL, NULL) == refused);
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
  CHECK(pts_source_create(NULL, NULL) == refused);
  CHECK(pts_source_add(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_source_add_file(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_source_add_bytes(NULL, NULL, NULL, 0, NULL) == refused);
  CHECK(pts_source_add_gridfs(NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_publish(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_import(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_set_alias(NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_rollback_alias(NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_delete_alias(NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_list_aliases(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_show_alias(NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_alias_history(NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_log(NULL, NULL, 0, 0, NULL, NULL, NULL) == refused);
  CHECK(pts_store_verify_log(NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_state_default_path(NULL, NULL) == refused);
  CHECK(pts_state_show(NULL, NULL, NULL) == refused);
  CHECK(pts_state_reset(NULL, NULL, NULL) == refused);
  CHECK(pts_store_set_key_status(NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_fetch(NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_decrypt(NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_stream(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_export(NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_load(NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_swap(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_verify(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_show(NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_store_copy(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_model_open(NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_model_example(NULL, NULL, NULL) == refused);
  CHECK(pts_model_infer(NULL, NULL, 0, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_model_infer_json(NULL, NULL, 0, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_model_infer_v2(NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_model_infer_v1(NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_model_result_json(NULL, NULL, NULL, NULL, NULL) == refused);
  CHECK(pts_package_example(NULL, NULL, NULL) == refused);
  CHECK(pts_model_fork(NULL, NULL, NULL, NULL) == refused);
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
  REFUSED_OUT(text, pts_store_describe(NULL, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_list(NULL, NULL, 0, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_list_versions(NULL, "m", 0, 0, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_list_versions(store, NULL, 0, 0, NULL, &text, &error));
  REFUSED(pts_store_list(store, NULL, 0, NULL, NULL, &error));
  REFUSED(pts_store_set_alias(store, NULL, "a", 1, NULL, keys, NULL, &error));
  REFUSED(pts_store_set_alias(store, "m", NULL, 1, NULL, keys, NULL, &error));
  REFUSED(pts_store_set_alias(store, "m", "a", 1, NULL, NULL, NULL, &error));
  REFUSED(pts_store_rollback_alias(store, NULL, "a", 1, NULL, keys, NULL, NULL, &error));
  REFUSED(pts_store_rollback_alias(store, "m", "a", 1, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_store_delete_alias(store, NULL, "a", NULL, keys, NULL, &error));
  REFUSED(pts_store_delete_alias(store, "m", NULL, NULL, keys, NULL, &error));
  REFUSED(pts_store_delete_alias(store, "m", "a", NULL, NULL, NULL, &error));
  REFUSED_OUT(text, pts_store_show_alias(store, NULL, "a", keys, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_show_alias(store, "m", NULL, keys, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_show_alias(store, "m", "a", NULL, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_alias_history(store, NULL, "a", keys, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_alias_history(store, "m", NULL, keys, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_alias_history(store, "m", "a", NULL, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_log(store, NULL, 1, 0, NULL, &text, &error));
  REFUSED(pts_store_log(store, keys, 1, 0, NULL, NULL, &error));
  REFUSED(pts_store_verify_log(NULL, keys, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_store_verify_log(store, NULL, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_state_default_path(NULL, &error));
  REFUSED_OUT(text, pts_state_show(NULL, &text, &error));
  REFUSED(pts_state_reset(NULL, NULL, &error));
  REFUSED_OUT(text, pts_store_list_aliases(store, NULL, keys, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_list_aliases(store, "m", NULL, NULL, &text, &error));
  REFUSED(pts_store_set_key_status(store, NULL, "enabled", NULL, keys, NULL, &error));
  REFUSED(pts_store_set_key_status(store, "m", NULL, NULL, keys, NULL, &error));
  REFUSED(pts_store_set_key_status(store, "m", "enabled", NULL, NULL, NULL, &error));
  REFUSED_OUT(package, pts_store_fetch(store, NULL, keys, NULL, NULL, &package, &error));
  REFUSED_OUT(package, pts_store_fetch(store, "m", NULL, NULL, NULL, &package, &error));
  REFUSED(pts_store_fetch(store, "m", keys, NULL, NULL, NULL, &error));
  REFUSED(pts_store_verify(store, NULL, keys, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_store_verify(store, "m", NULL, NULL, NULL, NULL, NULL, &error));
  REFUSED_OUT(text, pts_store_show(store, NULL, keys, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_show(store, "m", NULL, NULL, &text, &error));
  REFUSED_OUT(model, pts_model_open(NULL, "m", keys, NULL, NULL, &model, &error));
  REFUSED_OUT(model, pts_model_open(store, NULL, keys, NULL, NULL, &model, &error));
  REFUSED_OUT(model, pts_model_open(store, "m", NULL, NULL, NULL, &model, &error));
}

static void test_source(void) {
  pts_error error;
  pts_source* source = new_source();
  pts_part part = PTS_PART_INIT;
  pts_gridfs_file file = PTS_GRIDFS_FILE_INIT;
  REFUSED(pts_source_add(NULL, "a", &part, &error));
  REFUSED(pts_source_add(source, "a", NULL, &error));
  REFUSED(pts_source_add(source, "a", &part, &error)); /* no read */
  REFUSED(pts_source_add_file(NULL, "a", "x", &error));
  REFUSED(pts_source_add_file(source, "a", NULL, &error));
  REFUSED(pts_source_add_bytes(NULL, "a", kData, 1, &error));
  REFUSED(pts_source_add_bytes(source, "a", NULL, 1, &error));
  REFUSED(pts_source_add_gridfs(source, "a", NULL, &error));
  REFUSED(pts_source_add_gridfs(source, "a", &file, &error)); /* no uri */
  file.uri = "mongodb://127.0.0.1:1/models";
  REFUSED(pts_source_add_gridfs(source, "a", &file, &error)); /* no file */
  file.filename = "x";
  REFUSED(pts_source_add_gridfs(NULL, "a", &file, &error));
  file.id = "y";
  REFUSED(pts_source_add_gridfs(source, "a", &file, &error)); /* both */
  pts_source_destroy(&source);
  pts_source_destroy(&source);
  CHECK(source == NULL);
}

static void test_import(pts_store* store, const pts_keyring* keys) {
  pts_error error;
  uint64_t version = 7;
  pts_source* source = new_source();
  pts_import_options options = PTS_IMPORT_OPTIONS_INIT;
  CHECK_OK(pts_source_add_bytes(source, NULL, kData, strlen(kData), &error));
  REFUSED(pts_store_import(store, "m", source, keys, NULL, NULL, NULL, &version, &error));
  CHECK(version == 0);
  REFUSED(pts_store_import(store, "m", source, keys, &options, NULL, NULL, NULL, &error));
  CHECK_HAS(error.message, "jwk");
  options.jwk = kOct;
  options.jwk_size = strlen(kOct);
  REFUSED(pts_store_import(NULL, "m", source, keys, &options, NULL, NULL, NULL, &error));
  REFUSED(pts_store_import(store, NULL, source, keys, &options, NULL, NULL, NULL, &error));
  REFUSED(pts_store_import(store, "m", NULL, keys, &options, NULL, NULL, NULL, &error));
  REFUSED(pts_store_import(store, "m", source, NULL, &options, NULL, NULL, NULL, &error));
  options.jwk_source = source;
  REFUSED(pts_store_import(store, "m", source, keys, &options, NULL, NULL, NULL, &error));
  CHECK_HAS(error.message, "one of jwk and jwk_source");
  pts_source_destroy(&source);
}

static void test_publish(pts_store* store, const pts_keyring* keys) {
  pts_error error;
  uint64_t version = 7;
  const char* keys_null[1] = {NULL};
  const char* keys_one[1] = {"run"};
  const pts_value* sample_null[1] = {NULL};
  pts_source* source = new_source();
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  CHECK_OK(pts_source_add_bytes(source, NULL, kData, strlen(kData), &error));
  REFUSED(pts_store_publish(store, NULL, source, keys, &options, NULL, &version, &error));
  CHECK(version == 0);
  REFUSED(pts_store_publish(NULL, "m", source, keys, &options, NULL, NULL, &error));
  REFUSED(pts_store_publish(store, "m", NULL, keys, &options, NULL, NULL, &error));
  REFUSED(pts_store_publish(store, "m", source, NULL, &options, NULL, NULL, &error));
  REFUSED(pts_store_copy(store, NULL, keys, store, keys, NULL, NULL, NULL, &error));
  REFUSED(pts_store_copy(store, "m", NULL, store, keys, NULL, NULL, NULL, &error));
  REFUSED(pts_store_copy(store, "m", keys, NULL, keys, NULL, NULL, NULL, &error));
  REFUSED(pts_store_copy(store, "m", keys, store, NULL, NULL, NULL, NULL, &error));
  options.label_count = 1;
  REFUSED(pts_store_publish(store, "m", source, keys, &options, NULL, NULL, &error));
  options.label_keys = keys_one;
  REFUSED(pts_store_publish(store, "m", source, keys, &options, NULL, NULL, &error));
  options.label_values = keys_null;
  REFUSED(pts_store_publish(store, "m", source, keys, &options, NULL, NULL, &error));
  options.label_count = 0;
  options.sample_count = 1;
  REFUSED(pts_store_publish(store, "m", source, keys, &options, NULL, NULL, &error));
  options.sample = sample_null;
  REFUSED(pts_store_publish(store, "m", source, keys, &options, NULL, NULL, &error));
  pts_source_destroy(&source);
}

static void test_package(pts_store* store, const pts_keyring* keys) {
  pts_error error;
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  pts_model* model = NULL;
  publish_opaque(store, keys, "m", kData, strlen(kData));
  CHECK_OK(pts_store_fetch(store, "m", keys, NULL, NULL, &package, &error));
  REFUSED(pts_package_stream(package, NULL, NULL, NULL, NULL, &error));
  REFUSED(pts_package_stream(NULL, NULL, NULL, on_sink, NULL, &error));
  REFUSED(pts_package_decrypt(package, NULL, NULL, NULL, &error));
  REFUSED_OUT(bytes, pts_package_decrypt(NULL, NULL, NULL, &bytes, &error));
  REFUSED(pts_package_export(package, NULL, NULL, NULL, &error));
  REFUSED(pts_package_example(package, NULL, &error));
  REFUSED_OUT(model, pts_package_load(NULL, NULL, NULL, &model, &error));
  REFUSED(pts_package_load(package, NULL, NULL, NULL, &error));
  REFUSED_OUT(model, pts_package_swap(package, NULL, NULL, NULL, &model, &error));
  /* Everything optional left out, errors too. */
  CHECK(pts_package_decrypt(package, NULL, NULL, &bytes, NULL) == PTS_OK);
  CHECK(pts_package_stream(package, NULL, NULL, on_sink, NULL, NULL) == PTS_OK);
  CHECK(pts_store_verify(store, "m", keys, NULL, NULL, NULL, NULL, NULL) == PTS_OK);
  CHECK(pts_store_fetch(store, "nothing", keys, NULL, NULL, &package, NULL) == PTS_NOT_FOUND);
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
  char own_id[PTS_APIKEY_ID_SIZE];
  pts_bytes* key = NULL;
  char *record = NULL, *text = NULL;
  pts_apikeys* apikeys = NULL;
  options.model_count = 1;
  options.owner = "somebody";
  REFUSED(pts_store_create_apikey(store, keys, &options, NULL, &key, NULL, &error));
  options.models = no_model;
  REFUSED(pts_store_create_apikey(store, keys, &options, NULL, &key, NULL, &error));
  options.models = all_models;
  REFUSED(pts_store_create_apikey(store, keys, NULL, NULL, &key, NULL, &error));
  REFUSED_OUT(key, pts_store_create_apikey(NULL, keys, &options, NULL, &key, NULL, &error));
  REFUSED_OUT(record, pts_store_create_apikey(store, NULL, &options, NULL, &key, &record, &error));
  REFUSED(pts_store_create_apikey(store, keys, &options, NULL, NULL, &record, &error));
  options.owner = NULL;
  REFUSED(pts_store_create_apikey(store, keys, &options, NULL, &key, NULL, &error));
  REFUSED_OUT(key, pts_store_rotate_apikey(store, NULL, 0, NULL, keys, NULL, &key, NULL, &error));
  REFUSED_OUT(key, pts_store_rotate_apikey(NULL, id, 0, NULL, keys, NULL, &key, NULL, &error));
  REFUSED_OUT(key, pts_store_rotate_apikey(store, id, 0, NULL, NULL, NULL, &key, NULL, &error));
  REFUSED_OUT(text, pts_store_list_apikeys(NULL, keys, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_list_apikeys(store, NULL, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_show_apikey(store, NULL, keys, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_show_apikey(store, id, NULL, NULL, &text, &error));
  REFUSED_OUT(text, pts_store_show_apikey(NULL, id, keys, NULL, &text, &error));
  REFUSED(pts_store_set_apikey_state(NULL, id, "disabled", NULL, keys, NULL, &error));
  REFUSED(pts_store_set_apikey_state(store, NULL, "disabled", NULL, keys, NULL, &error));
  REFUSED(pts_store_set_apikey_state(store, id, NULL, NULL, keys, NULL, &error));
  REFUSED(pts_store_set_apikey_state(store, id, "disabled", NULL, NULL, NULL, &error));
  REFUSED_OUT(apikeys, pts_apikeys_open(NULL, keys, NULL, NULL, &apikeys, &error));
  REFUSED_OUT(apikeys, pts_apikeys_open(store, NULL, NULL, NULL, &apikeys, &error));
  REFUSED(pts_apikeys_open(store, keys, NULL, NULL, NULL, &error));
  REFUSED(pts_apikeys_check(NULL, "x", 1, NULL, NULL, NULL, &error));
  REFUSED(pts_apikey_id(NULL, 1, own_id, &error));
  REFUSED(pts_apikey_id("x", 1, NULL, &error));
  CHECK(pts_apikey_id(NULL, 0, own_id, NULL) == PTS_OK && own_id[0] == '\0');
  REFUSED(pts_apikeys_charge(NULL, id, 1, &error));
  REFUSED_OUT(text, pts_apikeys_usage(NULL, &text, &error));
  options.owner = "somebody"; /* creates the store */
  CHECK(pts_store_create_apikey(store, keys, &options, NULL, &key, NULL, NULL) == PTS_OK);
  CHECK_OK(pts_apikeys_open(store, keys, NULL, NULL, &apikeys, &error));
  REFUSED(pts_apikeys_check(apikeys, NULL, 1, NULL, NULL, NULL, &error));
  REFUSED(pts_apikeys_charge(apikeys, NULL, 1, &error));
  CHECK(pts_apikeys_check(apikeys, NULL, 0, NULL, NULL, NULL, NULL) == PTS_UNAUTHENTICATED);
  CHECK(pts_apikeys_check(apikeys, (const char*)pts_bytes_data(key), pts_bytes_size(key), NULL,
                          NULL, NULL, NULL) == PTS_OK);
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
  test_source();
  test_publish(store, keys);
  test_import(store, keys);
  test_package(store, keys);
  test_values();
  test_apikeys(store, keys);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  return finish();
}
