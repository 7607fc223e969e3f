/* The tests of the C ABI are plain C99 programs: each CHECK that fails is counted and printed, and
 * finish() turns the count into the exit status. */
#ifndef PTSECURE_TESTS_CAPI_CHECK_H_
#define PTSECURE_TESTS_CAPI_CHECK_H_

#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ptsecure/ptsecure.h"

static int check_count = 0;
static int check_failures = 0;
static char check_folder[1024];

#define CHECK(condition) check_that((condition) != 0, #condition, "", __FILE__, __LINE__)
/* `call` uses the variable `error`, which is in scope. */
#define CHECK_STATUS(call, expected) \
  check_status((call), (expected), &error, #call, __FILE__, __LINE__)
#define CHECK_OK(call) CHECK_STATUS(call, PTS_OK)
#define CHECK_HAS(text, part) check_has((text), (part), __FILE__, __LINE__)

static inline int check_that(int holds, const char* what, const char* more, const char* file,
                             int line) {
  ++check_count;
  if (!holds) {
    ++check_failures;
    fprintf(stderr, "%s:%d: failed: %s%s\n", file, line, what, more);
  }
  return holds;
}

/* A failed call must say why in one line. */
static inline int check_status(pts_status got, pts_status expected, const pts_error* error,
                               const char* what, const char* file, int line) {
  char more[PTS_ERROR_MESSAGE_SIZE + 200];
  snprintf(more, sizeof(more), "\n    expected %s, got %s: %s", pts_status_name(expected),
           pts_status_name(got), got == PTS_OK ? "" : error->message);
  if (got != PTS_OK) {
    check_that(error->code == got, what, ": error.code differs from the status", file, line);
    check_that(error->message[0] != '\0' && strchr(error->message, '\n') == NULL, what,
               ": the message must be one line", file, line);
  }
  return check_that(got == expected, what, more, file, line);
}

static inline int check_has(const char* text, const char* part, const char* file, int line) {
  char more[2048];
  snprintf(more, sizeof(more), "\n    no '%s' in: %s", part, text == NULL ? "(null)" : text);
  return check_that(text != NULL && strstr(text, part) != NULL, "text", more, file, line);
}

static inline int remove_entry(const char* path, const struct stat* info, int type,
                               struct FTW* walk) {
  (void)info, (void)type, (void)walk;
  return remove(path);
}

/* A new folder for this program, removed by finish(). */
static inline const char* test_folder(void) {
  if (check_folder[0] == '\0') {
    const char* base = getenv("TMPDIR");
    snprintf(check_folder, sizeof(check_folder), "%s/ptsecure-capi-XXXXXX",
             base == NULL || base[0] == '\0' ? "/tmp" : base);
    if (mkdtemp(check_folder) == NULL) {
      perror(check_folder);
      exit(1);
    }
  }
  return check_folder;
}

/* A path in the test folder; the next eight calls leave it alone. */
static inline const char* test_path(const char* name) {
  static char paths[8][1200];
  static int next = 0;
  char* path = paths[next++ % 8];
  snprintf(path, sizeof(paths[0]), "%s/%s", test_folder(), name);
  return path;
}

static inline void write_file(const char* path, const void* data, size_t size) {
  FILE* file = fopen(path, "wb");
  if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
    perror(path);
    exit(1);
  }
}

/* The caller frees *data. */
static inline size_t read_file(const char* path, char** data) {
  FILE* file = fopen(path, "rb");
  long size = 0;
  if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
    perror(path);
    exit(1);
  }
  rewind(file);
  *data = malloc((size_t)size + 1);
  if (*data == NULL || fread(*data, 1, (size_t)size, file) != (size_t)size) {
    perror(path);
    exit(1);
  }
  (*data)[size] = '\0';
  fclose(file);
  return (size_t)size;
}

static inline pts_store* new_store(const char* name) {
  pts_error error;
  pts_store* store = NULL;
  if (!CHECK_OK(pts_store_open(test_path(name), NULL, &store, &error))) exit(1);
  return store;
}

static inline pts_keyring* new_keys(void) {
  pts_error error;
  pts_keyring* keys = NULL;
  if (!CHECK_OK(pts_keyring_generate(&keys, &error))) exit(1);
  return keys;
}

/* A call that tells of its progress. */
#define TELLING(function, user) (&(const pts_call){sizeof(pts_call), NULL, 0, (function), (user)})

/* Publishes a source of one part, which `added` says is there, and destroys it. */
static inline pts_status publish_source(pts_store* store, const char* name, pts_source* source,
                                        pts_status added, const pts_keyring* keys,
                                        const pts_publish_options* options, const pts_call* call,
                                        uint64_t* version, pts_error* error) {
  pts_status status = added;
  if (status == PTS_OK) {
    status = pts_store_publish(store, name, source, keys, options, call, version, error);
  }
  pts_source_destroy(&source);
  return status;
}

static inline pts_source* new_source(void) {
  pts_error error;
  pts_source* source = NULL;
  if (!CHECK_OK(pts_source_create(&source, &error))) exit(1);
  return source;
}

static inline pts_status publish_bytes(pts_store* store, const char* name, const void* data,
                                       size_t size, const pts_keyring* keys,
                                       const pts_publish_options* options, const pts_call* call,
                                       uint64_t* version, pts_error* error) {
  pts_source* source = new_source();
  const pts_status added = pts_source_add_bytes(source, NULL, data, size, error);
  return publish_source(store, name, source, added, keys, options, call, version, error);
}

static inline pts_status publish_file(pts_store* store, const char* name, const char* path,
                                      const pts_keyring* keys, const pts_publish_options* options,
                                      const pts_call* call, uint64_t* version, pts_error* error) {
  pts_source* source = new_source();
  const pts_status added = pts_source_add_file(source, NULL, path, error);
  return publish_source(store, name, source, added, keys, options, call, version, error);
}

static inline pts_status publish_read(pts_store* store, const char* name, uint64_t size,
                                      const pts_keyring* keys, const pts_publish_options* options,
                                      const pts_call* call, uint64_t* version, pts_read_fn read,
                                      void* user, pts_error* error) {
  pts_source* source = new_source();
  pts_part part = PTS_PART_INIT;
  pts_status added;
  part.size = size;
  part.read = read;
  part.user = user;
  added = pts_source_add(source, NULL, &part, error);
  return publish_source(store, name, source, added, keys, options, call, version, error);
}

static inline uint64_t publish_opaque(pts_store* store, const pts_keyring* keys, const char* name,
                                      const void* data, size_t size) {
  pts_error error;
  uint64_t version = 0;
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  CHECK_OK(publish_bytes(store, name, data, size, keys, &options, NULL, &version, &error));
  return version;
}

static inline int finish(void) {
  if (check_folder[0] != '\0') nftw(check_folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  printf("%d checks, %d failed\n", check_count, check_failures);
  return check_failures == 0 && check_count > 0 ? 0 : 1;
}

#endif /* PTSECURE_TESTS_CAPI_CHECK_H_ */
