/* Keyrings: make, save, load, split, describe, and what is refused. */
#include "check.h"

static void test_round_trip(void) {
  pts_error error;
  pts_keyring *keys = new_keys(), *loaded = NULL;
  pts_bytes *json = NULL, *again = NULL;
  struct stat info;
  const char* path = test_path("keys.jwks");
  CHECK_OK(pts_keyring_save(keys, path, NULL, &error));
  CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
  CHECK_STATUS(pts_keyring_save(keys, path, NULL, &error), PTS_ALREADY_EXISTS);
  CHECK_OK(pts_keyring_load(path, NULL, &loaded, &error));
  CHECK_OK(pts_keyring_export(keys, &json, &error));
  CHECK_OK(pts_keyring_export(loaded, &again, &error));
  CHECK(pts_bytes_size(json) > 100 && pts_bytes_size(json) == pts_bytes_size(again));
  CHECK(memcmp(pts_bytes_data(json), pts_bytes_data(again), pts_bytes_size(json)) == 0);
  pts_keyring_destroy(&loaded);
  CHECK_OK(pts_keyring_parse((const char*)pts_bytes_data(json), pts_bytes_size(json), NULL, &loaded,
                             &error));
  pts_keyring_destroy(&loaded);
  pts_bytes_destroy(&json);
  pts_bytes_destroy(&again);
  pts_keyring_destroy(&keys);
}

static void test_environment(void) {
  pts_error error;
  pts_keyring *keys = new_keys(), *loaded = NULL;
  pts_bytes* json = NULL;
  char text[8192];
  CHECK_OK(pts_keyring_export(keys, &json, &error));
  snprintf(text, sizeof(text), "%.*s", (int)pts_bytes_size(json),
           (const char*)pts_bytes_data(json));
  CHECK(setenv("PTSECURE_TEST_KEYS", text, 1) == 0);
  CHECK_OK(pts_keyring_from_env("PTSECURE_TEST_KEYS", NULL, &loaded, &error));
  pts_keyring_destroy(&loaded);
  CHECK(unsetenv("PTSECURE_TEST_KEYS") == 0);
  CHECK_STATUS(pts_keyring_from_env("PTSECURE_TEST_KEYS", NULL, &loaded, &error), PTS_NOT_FOUND);
  CHECK_HAS(error.message, "PTSECURE_TEST_KEYS");
  pts_bytes_destroy(&json);
  pts_keyring_destroy(&keys);
}

static void test_permissions(void) {
  pts_error error;
  pts_keyring *keys = new_keys(), *loaded = NULL, *public_keys = NULL;
  pts_keyring_options options = PTS_KEYRING_OPTIONS_INIT;
  const char* path = test_path("open.jwks");
  const char* public_path = test_path("public.jwks");
  CHECK_OK(pts_keyring_save(keys, path, NULL, &error));
  CHECK(chmod(path, 0644) == 0);
  CHECK_STATUS(pts_keyring_load(path, NULL, &loaded, &error), PTS_PERMISSION_DENIED);
  CHECK_HAS(error.message, "chmod");
  CHECK(loaded == NULL);
  CHECK(chmod(path, 0440) == 0);
  CHECK_STATUS(pts_keyring_load(path, NULL, &loaded, &error), PTS_PERMISSION_DENIED);
  options.allow_group_read = 1;
  CHECK_OK(pts_keyring_load(path, &options, &loaded, &error));
  pts_keyring_destroy(&loaded);
  CHECK(chmod(path, 0444) == 0);
  CHECK_STATUS(pts_keyring_load(path, &options, &loaded, &error), PTS_PERMISSION_DENIED);

  CHECK_OK(pts_keyring_public(keys, &public_keys, &error));
  CHECK_OK(pts_keyring_save(public_keys, public_path, NULL, &error));
  CHECK(chmod(public_path, 0664) == 0);
  CHECK_OK(pts_keyring_load(public_path, NULL, &loaded, &error));
  pts_keyring_destroy(&loaded);
  pts_keyring_destroy(&public_keys);
  pts_keyring_destroy(&keys);
  CHECK_STATUS(pts_keyring_load(test_path("none.jwks"), NULL, &loaded, &error), PTS_NOT_FOUND);
}

static void test_passphrase(void) {
  pts_error error;
  pts_keyring *keys = new_keys(), *loaded = NULL;
  pts_keyring_options options = PTS_KEYRING_OPTIONS_INIT;
  char* text = NULL;
  const char* path = test_path("locked.jwks");
  CHECK_OK(pts_keyring_save(keys, path, "correct horse", &error));
  read_file(path, &text);
  CHECK(strstr(text, "\"d\"") == NULL);
  free(text);
  CHECK_STATUS(pts_keyring_load(path, NULL, &loaded, &error), PTS_NO_KEY);
  options.passphrase = "wrong horse";
  CHECK_STATUS(pts_keyring_load(path, &options, &loaded, &error), PTS_NO_KEY);
  CHECK(strstr(error.message, "wrong horse") == NULL);
  options.passphrase = "correct horse";
  CHECK_OK(pts_keyring_load(path, &options, &loaded, &error));
  pts_keyring_destroy(&loaded);
  pts_keyring_destroy(&keys);
}

/* What each role can still do. */
static void test_roles(void) {
  pts_error error;
  pts_keyring *keys = new_keys(), *publisher = NULL, *opener = NULL, *verifier = NULL;
  pts_keyring *operator_keys = NULL, *none = NULL;
  pts_store* store = new_store("roles");
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  char* text = NULL;
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  CHECK_OK(pts_keyring_split(keys, "publisher", &publisher, &error));
  CHECK_OK(pts_keyring_split(keys, "opener", &opener, &error));
  CHECK_OK(pts_keyring_split(keys, "verifier", &verifier, &error));
  CHECK_OK(pts_keyring_split(keys, "operator", &operator_keys, &error));
  CHECK_STATUS(pts_keyring_split(keys, "admin", &none, &error), PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "opener");
  CHECK_STATUS(pts_keyring_split(verifier, "publisher", &none, &error), PTS_NO_KEY);

  CHECK(publish_opaque(store, publisher, "m", "abc", 3) == 1);
  CHECK_STATUS(publish_bytes(store, "m", "abc", 3, opener, &options, NULL, NULL, &error),
               PTS_NO_KEY);
  CHECK_STATUS(pts_store_set_alias(store, "m", "a", 1, NULL, publisher, NULL, &error), PTS_NO_KEY);
  CHECK_OK(pts_store_set_alias(store, "m", "a", 1, "test", operator_keys, NULL, &error));
  CHECK_OK(pts_store_fetch(store, "m@a", opener, NULL, NULL, &package, &error));
  CHECK_OK(pts_package_decrypt(package, NULL, NULL, &bytes, &error));
  CHECK(pts_bytes_size(bytes) == 3 && memcmp(pts_bytes_data(bytes), "abc", 3) == 0);
  pts_bytes_destroy(&bytes);
  pts_package_destroy(&package);
  CHECK_OK(pts_store_fetch(store, "m", verifier, NULL, NULL, &package, &error));
  CHECK_STATUS(pts_package_decrypt(package, NULL, NULL, &bytes, &error), PTS_NO_KEY);
  CHECK(bytes == NULL);
  pts_package_destroy(&package);

  CHECK_OK(pts_keyring_describe(opener, &text, &error));
  CHECK_HAS(text, "\"kid\"");
  CHECK(strstr(text, "\"d\"") == NULL);
  pts_text_destroy(&text);
  pts_keyring_destroy(&keys);
  pts_keyring_destroy(&publisher);
  pts_keyring_destroy(&opener);
  pts_keyring_destroy(&verifier);
  pts_keyring_destroy(&operator_keys);
  pts_store_destroy(&store);
}

static void test_refused(void) {
  pts_error error;
  pts_keyring* keys = NULL;
  const char* const broken[] = {
      "", "{", "[]", "{\"keys\":7}", "{\"keys\":[{\"kty\":\"oct\"}]}", "{\"keys\":[]} x"};
  for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); ++i) {
    const pts_status status = pts_keyring_parse(broken[i], strlen(broken[i]), NULL, &keys, &error);
    CHECK(status != PTS_OK && status != PTS_INTERNAL && keys == NULL);
  }
}

int main(void) {
  test_round_trip();
  test_environment();
  test_permissions();
  test_passphrase();
  test_roles();
  test_refused();
  return finish();
}
