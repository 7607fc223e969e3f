/* The library opened by path at run time, nothing linked: what a plug-in host or an FFI does.
 * Usage: capi_dlopen PATH-OF-LIBRARY */
#define _XOPEN_SOURCE 700

#include <dlfcn.h>

#include "../check.h"

typedef struct {
  const char* (*version)(void);
  const char* (*status_name)(pts_status);
  pts_status (*keyring_generate)(pts_keyring**, pts_error*);
  void (*keyring_destroy)(pts_keyring**);
  pts_status (*store_open)(const char*, const pts_store_options*, pts_store**, pts_error*);
  void (*store_destroy)(pts_store**);
  void (*publish_options_init)(pts_publish_options*);
  pts_status (*source_create)(pts_source**, pts_error*);
  pts_status (*source_add_bytes)(pts_source*, const char*, const void*, size_t, pts_error*);
  void (*source_destroy)(pts_source**);
  pts_status (*publish)(pts_store*, const char*, pts_source*, const pts_keyring*,
                        const pts_publish_options*, const pts_call*, uint64_t*, pts_error*);
  pts_status (*fetch)(pts_store*, const char*, const pts_keyring*, const pts_open_options*,
                      const pts_call*, pts_package**, pts_error*);
  pts_status (*decrypt)(pts_package*, const pts_open_options*, const pts_call*, pts_bytes**,
                        pts_error*);
  void (*package_destroy)(pts_package**);
  const uint8_t* (*bytes_data)(const pts_bytes*);
  size_t (*bytes_size)(const pts_bytes*);
  void (*bytes_destroy)(pts_bytes**);
} library;

/* ISO C has no cast from void* to a function pointer; POSIX gives the two the same form. */
static void find(void* handle, const char* name, void* function) {
  void* symbol = dlsym(handle, name);
  if (!CHECK(symbol != NULL)) exit(1);
  memcpy(function, &symbol, sizeof(symbol));
}

static void find_all(void* handle, library* lib) {
  find(handle, "pts_version", &lib->version);
  find(handle, "pts_status_name", &lib->status_name);
  find(handle, "pts_keyring_generate", &lib->keyring_generate);
  find(handle, "pts_keyring_destroy", &lib->keyring_destroy);
  find(handle, "pts_store_open", &lib->store_open);
  find(handle, "pts_store_destroy", &lib->store_destroy);
  find(handle, "pts_publish_options_init", &lib->publish_options_init);
  find(handle, "pts_source_create", &lib->source_create);
  find(handle, "pts_source_add_bytes", &lib->source_add_bytes);
  find(handle, "pts_source_destroy", &lib->source_destroy);
  find(handle, "pts_store_publish", &lib->publish);
  find(handle, "pts_store_fetch", &lib->fetch);
  find(handle, "pts_package_decrypt", &lib->decrypt);
  find(handle, "pts_package_destroy", &lib->package_destroy);
  find(handle, "pts_bytes_data", &lib->bytes_data);
  find(handle, "pts_bytes_size", &lib->bytes_size);
  find(handle, "pts_bytes_destroy", &lib->bytes_destroy);
}

static void use(const library* lib, int round) {
  char folder[64];
  pts_keyring* keys = NULL;
  pts_store* store = NULL;
  pts_source* source = NULL;
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  uint64_t version = 0;
  pts_publish_options options;
  snprintf(folder, sizeof(folder), "store%d", round);
  CHECK(strcmp(lib->version(), "0.1.0") == 0);
  CHECK(strcmp(lib->status_name(PTS_NO_KEY), "no_key") == 0);
  CHECK(lib->keyring_generate(&keys, NULL) == PTS_OK);
  CHECK(lib->store_open(test_path(folder), NULL, &store, NULL) == PTS_OK);
  lib->publish_options_init(&options);
  options.format = "opaque";
  CHECK(lib->source_create(&source, NULL) == PTS_OK);
  CHECK(lib->source_add_bytes(source, NULL, "hello", 5, NULL) == PTS_OK);
  CHECK(lib->publish(store, "m", source, keys, &options, NULL, &version, NULL) == PTS_OK);
  lib->source_destroy(&source);
  CHECK(version == 1);
  CHECK(lib->fetch(store, "m", keys, NULL, NULL, &package, NULL) == PTS_OK);
  CHECK(lib->decrypt(package, NULL, NULL, &bytes, NULL) == PTS_OK);
  CHECK(lib->bytes_size(bytes) == 5 && memcmp(lib->bytes_data(bytes), "hello", 5) == 0);
  lib->bytes_destroy(&bytes);
  lib->package_destroy(&package);
  lib->store_destroy(&store);
  lib->keyring_destroy(&keys);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s PATH-OF-LIBRARY\n", argv[0]);
    return 2;
  }
  /* Closing is safe at any time, and opening again finds a working library. */
  for (int round = 0; round < 3; ++round) {
    library lib;
    void* handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
      fprintf(stderr, "%s\n", dlerror());
      return 1;
    }
    find_all(handle, &lib);
    use(&lib, round);
    CHECK(dlsym(handle, "ptsecure_engine_plugin") == NULL);
    CHECK(dlclose(handle) == 0);
  }
  return finish();
}
