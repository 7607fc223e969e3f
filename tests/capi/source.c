/* pts_source: its parts, where they come from, who reads them and when they are let go; and
 * imports, whose key is a source as well. GridFS is in mongodb/gridfs_test.cc. */
#define _XOPEN_SOURCE 700

#include <pthread.h>
#include <time.h>

#include "check.h"

/* RFC 7516 A.3. */
static const char kJwe[] =
    "eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0."
    "6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ.AxY8DCtDaGlsbGljb3RoZQ."
    "KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY.U0m_YmjN04DJvceFICbCVQ";
static const char kJwk[] = "{\"kty\":\"oct\",\"k\":\"GawgguFyGrWKav7AX4VKUg\"}";
static const char kPlain[] = "Live long and prosper.";
static const char kSha256[] = "db72b9416b642541db49327281f95910d8e6bb5e18fc9365fc7fb5839a8bc7e6";

static pts_publish_options opaque(void) {
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  options.format = "opaque";
  return options;
}

static void check_stored(pts_store* store, const pts_keyring* keys, const char* reference,
                         const void* data, size_t size) {
  pts_error error;
  pts_package* package = NULL;
  pts_bytes* bytes = NULL;
  CHECK_OK(pts_store_fetch(store, reference, keys, NULL, NULL, &package, &error));
  CHECK_OK(pts_package_decrypt(package, NULL, NULL, &bytes, &error));
  CHECK(pts_bytes_size(bytes) == size && memcmp(pts_bytes_data(bytes), data, size) == 0);
  pts_bytes_destroy(&bytes);
  pts_package_destroy(&package);
}

/* A part over bytes, which counts what is done with it. */
typedef struct {
  pthread_mutex_t mutex;
  const unsigned char* data;
  int reads, reading, together, released;
  int fails;
  long pause_ms;
} lent;

static int32_t read_lent(void* user, uint64_t position, void* data, size_t size) {
  lent* from = user;
  struct timespec pause = {0, 0};
  pthread_mutex_lock(&from->mutex);
  from->reads += 1;
  from->reading += 1;
  if (from->reading > from->together) from->together = from->reading;
  pthread_mutex_unlock(&from->mutex);
  pause.tv_nsec = from->pause_ms * 1000000;
  if (from->pause_ms != 0) nanosleep(&pause, NULL);
  memcpy(data, from->data + position, size);
  pthread_mutex_lock(&from->mutex);
  from->reading -= 1;
  pthread_mutex_unlock(&from->mutex);
  return from->fails;
}

static void release_lent(void* user) {
  ((lent*)user)->released += 1;
}

static lent lend(const void* data) {
  const lent fresh = {PTHREAD_MUTEX_INITIALIZER, data, 0, 0, 0, 0, 0, 0};
  return fresh;
}

static pts_part part_of(lent* from, uint64_t size) {
  pts_part part = PTS_PART_INIT;
  part.size = size;
  part.read = read_lent;
  part.release = release_lent;
  part.user = from;
  return part;
}

static void test_kinds(void) {
  pts_error error;
  pts_store* store = new_store("kinds");
  pts_keyring* keys = new_keys();
  lent from = lend("callback");
  pts_part part = part_of(&from, 8);
  uint64_t version = 0;
  pts_publish_options options = opaque();
  for (int named = 0; named < 2; ++named) {
    const char* path = named ? "weights/model.bin" : NULL;
    pts_source* source = new_source();
    write_file(test_path("part.bin"), "file", 4);
    CHECK_OK(pts_source_add_file(source, path, test_path("part.bin"), &error));
    CHECK_OK(pts_store_publish(store, "m", source, keys, &options, NULL, &version, &error));
    check_stored(store, keys, "m", "file", 4);
    pts_source_destroy(&source);

    source = new_source();
    CHECK_OK(pts_source_add_bytes(source, path, "bytes", 5, &error));
    CHECK_OK(pts_store_publish(store, "m", source, keys, &options, NULL, &version, &error));
    check_stored(store, keys, "m", "bytes", 5);
    pts_source_destroy(&source);

    source = new_source();
    CHECK_OK(pts_source_add(source, path, &part, &error));
    CHECK_OK(pts_store_publish(store, "m", source, keys, &options, NULL, &version, &error));
    check_stored(store, keys, "m", "callback", 8);
    /* A source serves several calls, one after the other. */
    CHECK_OK(pts_store_publish(store, "again", source, keys, &options, NULL, &version, &error));
    check_stored(store, keys, "again", "callback", 8);
    CHECK(from.released == named);
    pts_source_destroy(&source);
    CHECK(from.released == named + 1 && source == NULL);
  }
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

static void test_parts(void) {
  pts_error error;
  pts_store* store = new_store("parts");
  pts_keyring* keys = new_keys();
  pts_source *source = new_source(), *single = new_source();
  char longest[4098];
  pts_publish_options options = opaque();
  static const char* const kRefused[] = {"",     "/a",     "a/",   "a//b", ".",     "..",  "./a",
                                         "a/..", "a/../b", "../a", "a\nb", "a\x7f", "\xFF"};
  static const char* const kTaken[] = {"a", "a/b", "..a", "a b", ".hidden", "\xC3\xA9/x", "a.b/c"};
  /* Nothing to publish. */
  CHECK_STATUS(pts_store_publish(store, "m", source, keys, &options, NULL, NULL, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "no part");

  for (size_t i = 0; i < sizeof(kRefused) / sizeof(kRefused[0]); ++i) {
    CHECK_STATUS(pts_source_add_bytes(source, kRefused[i], "x", 1, &error), PTS_INVALID_ARGUMENT);
    CHECK_HAS(error.message, "path");
  }
  for (size_t i = 0; i < sizeof(kTaken) / sizeof(kTaken[0]); ++i) {
    CHECK_OK(pts_source_add_bytes(source, kTaken[i], "x", 1, &error));
    CHECK_STATUS(pts_source_add_bytes(source, kTaken[i], "y", 1, &error), PTS_ALREADY_EXISTS);
  }
  memset(longest, 'p', sizeof(longest));
  longest[4097] = '\0';
  CHECK_STATUS(pts_source_add_bytes(source, longest, "x", 1, &error), PTS_INVALID_ARGUMENT);
  longest[4096] = '\0';
  CHECK_OK(pts_source_add_bytes(source, longest, "x", 1, &error));

  /* Several are for later formats. */
  CHECK_STATUS(pts_store_publish(store, "m", source, keys, &options, NULL, NULL, &error),
               PTS_UNSUPPORTED);
  CHECK_HAS(error.message, "8 parts");

  /* A part without a name is alone. */
  CHECK_STATUS(pts_source_add_bytes(source, NULL, "x", 1, &error), PTS_INVALID_ARGUMENT);
  CHECK_OK(pts_source_add_bytes(single, NULL, "x", 1, &error));
  CHECK_STATUS(pts_source_add_bytes(single, "a", "x", 1, &error), PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_source_add_bytes(single, NULL, "y", 1, &error), PTS_ALREADY_EXISTS);
  CHECK_OK(pts_store_publish(store, "m", single, keys, &options, NULL, NULL, &error));
  check_stored(store, keys, "m", "x", 1);

  pts_source_destroy(&source);
  pts_source_destroy(&single);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

static void test_files(void) {
  pts_error error;
  pts_store* store = new_store("files");
  pts_keyring* keys = new_keys();
  pts_source* source = new_source();
  pts_publish_options options = opaque();
  /* Told when it is added. */
  CHECK_STATUS(pts_source_add_file(source, NULL, test_path("none"), &error), PTS_NOT_FOUND);
  CHECK_STATUS(pts_source_add_file(source, NULL, test_folder(), &error), PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "regular file");
  write_file(test_path("model.bin"), "one", 3);
  CHECK_OK(pts_source_add_file(source, NULL, test_path("model.bin"), &error));
  CHECK_OK(pts_store_publish(store, "m", source, keys, &options, NULL, NULL, &error));
  write_file(test_path("model.bin"), "other", 5);
  CHECK_STATUS(pts_store_publish(store, "m", source, keys, &options, NULL, NULL, &error),
               PTS_CONFLICT);
  check_stored(store, keys, "m", "one", 3);
  pts_source_destroy(&source);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

static void test_release(void) {
  pts_error error;
  lent from = lend("abc");
  pts_part part = part_of(&from, 3);
  pts_source* source = new_source();
  CHECK_STATUS(pts_source_add(source, "..", &part, &error), PTS_INVALID_ARGUMENT);
  part.reserved = 1;
  CHECK_STATUS(pts_source_add(source, "a", &part, &error), PTS_INVALID_ARGUMENT);
  part.reserved = 0;
  part.struct_size -= 1;
  CHECK_STATUS(pts_source_add(source, "a", &part, &error), PTS_INVALID_ARGUMENT);
  part.struct_size += 1;
  CHECK_OK(pts_source_add(source, "a", &part, &error));
  CHECK_STATUS(pts_source_add(source, "a", &part, &error), PTS_ALREADY_EXISTS);
  CHECK(from.released == 0);
  CHECK_OK(pts_source_add(source, "b", &part, &error)); /* lent twice, let go twice */
  part.release = NULL;
  CHECK_OK(pts_source_add(source, "c", &part, &error));
  pts_source_destroy(&source);
  CHECK(from.released == 2 && from.reads == 0);
}

static void test_reads(void) {
  enum { kSize = 16 << 20 };
  pts_error error;
  pts_store* store = NULL;
  pts_keyring* keys = new_keys();
  uint64_t version = 9;
  unsigned char* data = malloc(kSize);
  pts_store_options store_options = PTS_STORE_OPTIONS_INIT;
  pts_publish_options options = opaque();
  for (size_t i = 0; i < kSize; ++i) data[i] = (unsigned char)(i * 31 + i / 4096);
  store_options.threads = 4;
  CHECK_OK(pts_store_open(test_path("reads"), &store_options, &store, &error));
  for (int concurrent = 0; concurrent < 2; ++concurrent) {
    lent from = lend(data);
    pts_part part = part_of(&from, kSize);
    pts_source* source = new_source();
    from.pause_ms = 10; /* long enough for the others to come */
    part.concurrent = concurrent;
    CHECK_OK(pts_source_add(source, NULL, &part, &error));
    CHECK_OK(pts_store_publish(store, "m", source, keys, &options, NULL, NULL, &error));
    CHECK(concurrent ? from.together > 1 && from.together <= 4 : from.together == 1);
    check_stored(store, keys, "m", data, kSize);
    from.fails = -1;
    CHECK_STATUS(pts_store_publish(store, "m", source, keys, &options, NULL, &version, &error),
                 PTS_IO);
    CHECK(version == 0);
    CHECK_HAS(error.message, "read callback");
    from.fails = 0; /* the source is none the worse */
    CHECK_OK(pts_store_publish(store, "m", source, keys, &options, NULL, &version, &error));
    pts_source_destroy(&source);
    CHECK(from.released == 1);
  }
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  free(data);
}

static void test_import(void) {
  pts_error error;
  pts_store* store = new_store("import");
  pts_keyring* keys = new_keys();
  pts_source *jwe = new_source(), *jwk = new_source();
  uint64_t version = 0;
  char* large = calloc(1, (64 << 10) + 1);
  pts_publish_options options = opaque();
  pts_import_options import = PTS_IMPORT_OPTIONS_INIT;
  pts_gridfs_file file = PTS_GRIDFS_FILE_INIT;
  CHECK_OK(pts_source_add_bytes(jwe, NULL, kJwe, strlen(kJwe), &error));
  import.jwk = kJwk;
  import.jwk_size = strlen(kJwk);
  CHECK_OK(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, &version, &error));
  CHECK(version == 1);
  check_stored(store, keys, "m/1", kPlain, strlen(kPlain));

  import.sha256 = "12";
  CHECK_STATUS(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, &version, &error),
               PTS_INVALID_ARGUMENT);
  import.sha256 = "0000000000000000000000000000000000000000000000000000000000000000";
  CHECK_STATUS(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, &version, &error),
               PTS_CORRUPT);
  CHECK(version == 0);
  import.sha256 = kSha256;
  CHECK_OK(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, &version, &error));
  import.struct_size = 39;
  CHECK_STATUS(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, NULL, &error),
               PTS_INVALID_ARGUMENT);
  import.struct_size = sizeof(import);
  import.jwk = large;
  import.jwk_size = (64 << 10) + 1;
  CHECK_STATUS(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, NULL, &error),
               PTS_LIMIT_EXCEEDED);

  /* The key from a source. */
  import.jwk = NULL;
  import.sha256 = NULL;
  import.jwk_source = jwk;
  CHECK_STATUS(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, NULL, &error),
               PTS_INVALID_ARGUMENT); /* of no part */
  CHECK_OK(pts_source_add_bytes(jwk, "a", kJwk, strlen(kJwk), &error));
  CHECK_OK(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, &version, &error));
  check_stored(store, keys, "m", kPlain, strlen(kPlain));
  CHECK_OK(pts_source_add_bytes(jwk, "b", kJwk, strlen(kJwk), &error));
  CHECK_STATUS(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, NULL, &error),
               PTS_UNSUPPORTED);
  pts_source_destroy(&jwk);
  jwk = new_source();
  import.jwk_source = jwk;
  CHECK_OK(pts_source_add_bytes(jwk, NULL, large, (64 << 10) + 1, &error));
  CHECK_STATUS(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, NULL, &error),
               PTS_LIMIT_EXCEEDED);
  pts_source_destroy(&jwk);

  /* Whoever can write to a key's GridFS can have made the JWE: refused before a server is asked. */
  jwk = new_source();
  import.jwk_source = jwk;
  file.uri = "mongodb://127.0.0.1:1/models";
  file.filename = "key.jwk";
  CHECK_OK(pts_source_add_gridfs(jwk, NULL, &file, &error));
  CHECK_STATUS(pts_store_import(store, "m", jwe, keys, &import, &options, NULL, NULL, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_HAS(error.message, "SHA-256");

  pts_source_destroy(&jwe);
  pts_source_destroy(&jwk);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  free(large);
}

int main(void) {
  test_kinds();
  test_parts();
  test_files();
  test_release();
  test_reads();
  test_import();
  return finish();
}
