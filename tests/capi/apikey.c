/* API keys: create, show, list, disable, rotate, delete, and checking what requests bring. */
#define _XOPEN_SOURCE 700

#include <sys/wait.h>
#include <time.h>

#include "check.h"

static const char* const kModels[] = {"digits", "team-*"};
static const char* const kAllModels[] = {"*"};

static void sleep_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static pts_apikey_options options_for(const char* owner) {
  pts_apikey_options options = PTS_APIKEY_OPTIONS_INIT;
  options.owner = owner;
  options.models = kModels;
  options.model_count = 2;
  return options;
}

/* The key's text with a NUL, in one of four buffers; its id begins at byte 4. */
static const char* text_of(pts_bytes** key) {
  static char texts[4][80];
  static int next = 0;
  char* text = texts[next++ % 4];
  CHECK(pts_bytes_size(*key) == 64);
  memcpy(text, pts_bytes_data(*key), 64);
  text[64] = '\0';
  pts_bytes_destroy(key);
  return text;
}

static const char* id_of(const char* text) {
  static char ids[4][17];
  static int next = 0;
  char* id = ids[next++ % 4];
  memcpy(id, text + 4, 16);
  id[16] = '\0';
  return id;
}

static const char* create(pts_store* store, const pts_keyring* keys,
                          const pts_apikey_options* options) {
  pts_error error;
  pts_bytes* key = NULL;
  if (!CHECK_OK(pts_store_create_apikey(store, keys, options, NULL, &key, NULL, &error))) exit(1);
  return text_of(&key);
}

static pts_apikeys* open_checker(pts_store* store, const pts_keyring* keys, int32_t grace_ms) {
  pts_error error;
  pts_apikeys* apikeys = NULL;
  pts_apikeys_options options = PTS_APIKEYS_OPTIONS_INIT;
  options.refresh_ms = 50;
  options.grace_ms = grace_ms;
  if (!CHECK_OK(pts_apikeys_open(store, keys, &options, NULL, &apikeys, &error))) exit(1);
  return apikeys;
}

static pts_status check(pts_apikeys* apikeys, const char* text, const char* model, int32_t scope,
                        pts_error* error) {
  pts_apikey_request request = PTS_APIKEY_REQUEST_INIT;
  request.model = model;
  request.scope = scope;
  return pts_apikeys_check(apikeys, text, strlen(text), &request, NULL, NULL, error);
}

/* Until the check gives `expected`, at most two seconds. */
static int becomes(pts_apikeys* apikeys, const char* text, pts_status expected) {
  pts_error error;
  const double end = seconds() + 2;
  while (check(apikeys, text, "digits", PTS_SCOPE_INFER, &error) != expected) {
    if (seconds() > end) return 0;
    sleep_ms(10);
  }
  return 1;
}

static void test_records(void) {
  pts_error error;
  pts_store* store = new_store("records");
  pts_keyring *keys = new_keys(), *opener = NULL, *operator_keys = NULL;
  pts_apikey_options options = options_for("the mobile team");
  pts_bytes* key = NULL;
  char *record = NULL, *shown = NULL, *list = NULL;
  const char *text, *id;
  options.rate = 2.5;
  options.expires = 4102444800; /* 2100-01-01 */
  options.reason = "asked for by mail";
  CHECK_OK(pts_keyring_split(keys, "opener", &opener, &error));
  CHECK_OK(pts_keyring_split(keys, "operator", &operator_keys, &error));
  CHECK_STATUS(pts_store_create_apikey(store, opener, &options, NULL, &key, NULL, &error),
               PTS_NO_KEY);
  CHECK_HAS(error.message, "operator");
  CHECK_OK(pts_store_create_apikey(store, operator_keys, &options, NULL, &key, &record, &error));
  text = text_of(&key);
  id = id_of(text);
  CHECK(strncmp(text, "pts_", 4) == 0 && text[20] == '_');
  CHECK_HAS(record, id);
  CHECK_HAS(record, "\"owner\":\"the mobile team\"");
  CHECK_HAS(record, "\"scopes\":[\"infer\"],\"models\":[\"digits\",\"team-*\"]");
  CHECK_HAS(record, "\"state\":\"active\"");
  CHECK_HAS(record, "\"expires\":\"2100-01-01T00:00:00Z\"");
  CHECK_HAS(record, "\"rate\":2.5,\"burst\":3,\"bytes_rate\":null");
  CHECK_HAS(record, "\"reason\":\"asked for by mail\"");
  CHECK(strstr(record, text + 21) == NULL); /* the secret */
  CHECK_OK(pts_store_show_apikey(store, id, opener, NULL, &shown, &error));
  CHECK(shown != NULL && strcmp(shown, record) == 0);
  CHECK_OK(pts_store_list_apikeys(store, opener, NULL, &list, &error));
  CHECK(list != NULL && strlen(list) == strlen(record) + 2 &&
        strncmp(list + 1, record, strlen(record)) == 0);

  CHECK_STATUS(pts_store_set_apikey_state(store, id, "off", NULL, keys, NULL, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_store_set_apikey_state(store, "ab", "disabled", NULL, keys, NULL, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_STATUS(
      pts_store_set_apikey_state(store, "0123456789abcdef", "disabled", NULL, keys, NULL, &error),
      PTS_NOT_FOUND);
  CHECK_STATUS(pts_store_set_apikey_state(store, id, "disabled", NULL, opener, NULL, &error),
               PTS_NO_KEY);
  CHECK_OK(pts_store_set_apikey_state(store, id, "disabled", "lost", keys, NULL, &error));
  CHECK_OK(pts_store_set_apikey_state(store, id, "disabled", "again", keys, NULL, &error));
  pts_text_destroy(&shown);
  CHECK_OK(pts_store_show_apikey(store, id, keys, NULL, &shown, &error));
  CHECK_HAS(shown, "\"state\":\"disabled\"");
  CHECK_HAS(shown, "\"sequence\":2");
  CHECK_HAS(shown, "\"reason\":\"lost\"");
  CHECK_OK(pts_store_set_apikey_state(store, id, "deleted", NULL, keys, NULL, &error));
  CHECK_STATUS(pts_store_set_apikey_state(store, id, "active", NULL, keys, NULL, &error),
               PTS_REVOKED);
  CHECK_STATUS(pts_store_rotate_apikey(store, id, 0, NULL, keys, NULL, &key, NULL, &error),
               PTS_REVOKED);
  CHECK(key == NULL);
  pts_text_destroy(&record);
  pts_text_destroy(&shown);
  pts_text_destroy(&list);
  pts_keyring_destroy(&opener);
  pts_keyring_destroy(&operator_keys);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

/* The id in a text, whether or not there is such a key. */
static void test_id(void) {
  static const char kSecret[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  static const struct {
    const char *before, *id, *after;
    int good;
  } kTexts[] = {
      {"pts_", "0123456789abcdef", "_", 1},  {"pts_", "0123456789ABCDEF", "_", 0},
      {"pts_", "0123456789abcde", "_", 0},   {"pts_", "0123456789abcdefa", "_", 0},
      {"PTS_", "0123456789abcdef", "_", 0},  {"", "0123456789abcdef", "_", 0},
      {"pts_", "0123456789abcdeg", "_", 0},  {"pts_", "0123456789abcdef", "-", 0},
      {" pts_", "0123456789abcdef", "_", 0}, {"pts_", "0123456789abcdef", "_ ", 0},
  };
  pts_error error;
  char text[128];
  char id[PTS_APIKEY_ID_SIZE];
  for (size_t i = 0; i < sizeof(kTexts) / sizeof(kTexts[0]); ++i) {
    snprintf(text, sizeof(text), "%s%s%s%s", kTexts[i].before, kTexts[i].id, kTexts[i].after,
             kSecret);
    memset(id, 'x', sizeof(id));
    CHECK_OK(pts_apikey_id(text, strlen(text), id, &error));
    if (!CHECK(strcmp(id, kTexts[i].good ? kTexts[i].id : "") == 0)) puts(text);
  }
  snprintf(text, sizeof(text), "pts_0123456789abcdef_%s", kSecret);
  for (size_t size = 0; size < 64; ++size) {
    CHECK_OK(pts_apikey_id(text, size, id, &error));
    CHECK(id[0] == '\0');
  }
}

static void test_bad_options(void) {
  pts_error error;
  pts_store* store = new_store("bad");
  pts_keyring* keys = new_keys();
  pts_bytes* key = NULL;
  const char* bad_model[1] = {"a/b"};
  char long_owner[200];
  pts_apikey_options good = options_for("o"), options = good;
#define BAD(change)                                                                        \
  do {                                                                                     \
    options = good;                                                                        \
    change;                                                                                \
    CHECK_STATUS(pts_store_create_apikey(store, keys, &options, NULL, &key, NULL, &error), \
                 PTS_INVALID_ARGUMENT);                                                    \
    CHECK(key == NULL);                                                                    \
  } while (0)
  memset(long_owner, 'o', sizeof(long_owner) - 1);
  long_owner[sizeof(long_owner) - 1] = '\0';
  BAD(options.owner = "");
  BAD(options.owner = long_owner);
  BAD(options.owner = "two\nlines");
  BAD(options.owner = "\xff");
  BAD(options.model_count = 0);
  BAD(options.models = bad_model; options.model_count = 1);
  BAD(options.scopes = 0);
  BAD(options.scopes = 4);
  BAD(options.scopes = -1);
  BAD(options.rate = -1);
  BAD(options.rate = 1e300);
  BAD(options.burst = 3);
  BAD(options.bytes_rate = UINT64_MAX);
  BAD(options.expires = -1);
  BAD(options.not_before = 100; options.expires = 100);
  BAD(options.not_before = INT64_MAX);
  BAD(options.struct_size = 3);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

static void test_check(void) {
  pts_error error;
  pts_store* store = new_store("check");
  pts_keyring *keys = new_keys(), *verifier = NULL;
  pts_apikey_options options = options_for("a client");
  pts_apikey_request request = PTS_APIKEY_REQUEST_INIT;
  pts_apikey_result result = PTS_APIKEY_RESULT_INIT;
  pts_apikeys* apikeys = NULL;
  const char *text, *admin, *late, *early;
  char changed[80];
  char* usage = NULL;
  size_t i;
  CHECK_OK(pts_keyring_split(keys, "verifier", &verifier, &error));
  CHECK_STATUS(pts_apikeys_open(store, verifier, NULL, NULL, &apikeys, &error), PTS_NOT_FOUND);
  CHECK(apikeys == NULL);
  text = create(store, keys, &options);
  apikeys = open_checker(store, verifier, 60000);
  request.model = "digits";
  request.bytes = 1000;
  CHECK_OK(pts_apikeys_check(apikeys, text, 64, &request, NULL, &result, &error));
  CHECK(strcmp(result.id, id_of(text)) == 0);
  CHECK(strcmp(result.owner, "a client") == 0);
  CHECK(result.retry_after_ms == 0);
  CHECK_OK(check(apikeys, text, "team-7", PTS_SCOPE_INFER, &error));
  CHECK_OK(check(apikeys, text, NULL, PTS_SCOPE_INFER, &error));
  CHECK_STATUS(check(apikeys, text, "letters", PTS_SCOPE_INFER, &error), PTS_FORBIDDEN);
  CHECK_STATUS(check(apikeys, text, "digits", PTS_SCOPE_ADMIN, &error), PTS_FORBIDDEN);
  CHECK_STATUS(check(apikeys, text, NULL, PTS_SCOPE_ADMIN, &error), PTS_FORBIDDEN);
  CHECK_STATUS(check(apikeys, text, "", PTS_SCOPE_INFER, &error), PTS_INVALID_ARGUMENT);
  CHECK_STATUS(check(apikeys, text, "digits", 3, &error), PTS_INVALID_ARGUMENT);

  CHECK_STATUS(check(apikeys, "", "digits", PTS_SCOPE_INFER, &error), PTS_UNAUTHENTICATED);
  for (i = 0; i < 64; ++i) { /* another key, or none */
    strcpy(changed, text);
    changed[i] = changed[i] == 'a' ? 'b' : 'a';
    result.id[0] = 'x';
    CHECK_STATUS(pts_apikeys_check(apikeys, changed, 64, &request, NULL, &result, &error),
                 PTS_UNAUTHENTICATED);
    CHECK(result.id[0] == '\0' && result.owner[0] == '\0');
    CHECK_STATUS(pts_apikeys_check(apikeys, text, i, &request, NULL, NULL, &error),
                 PTS_UNAUTHENTICATED);
  }
  snprintf(changed, sizeof(changed), "%s0", text);
  CHECK_STATUS(check(apikeys, changed, "digits", PTS_SCOPE_INFER, &error), PTS_UNAUTHENTICATED);

  options.scopes = PTS_SCOPE_ADMIN;
  options.models = kAllModels;
  options.model_count = 1;
  admin = create(store, keys, &options); /* made after the checker was opened */
  CHECK_OK(check(apikeys, admin, NULL, PTS_SCOPE_ADMIN, &error));
  CHECK_OK(check(apikeys, admin, "letters", PTS_SCOPE_ADMIN, &error));
  CHECK_STATUS(check(apikeys, admin, "letters", PTS_SCOPE_INFER, &error), PTS_FORBIDDEN);
  /* The id of one with the secret of another. */
  snprintf(changed, sizeof(changed), "%.21s%s", text, admin + 21);
  CHECK_STATUS(check(apikeys, changed, "digits", PTS_SCOPE_INFER, &error), PTS_UNAUTHENTICATED);

  options = options_for("late");
  options.expires = (int64_t)time(NULL) + 1;
  late = create(store, keys, &options);
  options = options_for("early");
  options.not_before = (int64_t)time(NULL) + 1000;
  early = create(store, keys, &options);
  CHECK_STATUS(check(apikeys, early, "digits", PTS_SCOPE_INFER, &error), PTS_UNAUTHENTICATED);
  CHECK_HAS(error.message, "valid from");
  CHECK(becomes(apikeys, late, PTS_UNAUTHENTICATED));
  CHECK_STATUS(check(apikeys, late, "digits", PTS_SCOPE_INFER, &error), PTS_UNAUTHENTICATED);
  CHECK_HAS(error.message, "expired at");

  CHECK_OK(pts_apikeys_usage(apikeys, &usage, &error));
  CHECK_HAS(usage, id_of(text));
  CHECK_HAS(usage, "\"requests\":3,\"bytes\":1000,\"limited\":0");
  pts_text_destroy(&usage);
  pts_apikeys_destroy(&apikeys);
  pts_keyring_destroy(&verifier);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

static void test_rates(void) {
  pts_error error;
  pts_store* store = new_store("rates");
  pts_keyring* keys = new_keys();
  pts_apikey_options options = options_for("fast");
  pts_apikey_request request = PTS_APIKEY_REQUEST_INIT;
  pts_apikey_result result = PTS_APIKEY_RESULT_INIT;
  pts_apikeys* apikeys = NULL;
  const char *text, *heavy;
  int i;
  options.rate = 10;
  options.burst = 3;
  text = create(store, keys, &options);
  options = options_for("heavy");
  options.bytes_rate = 10000;
  heavy = create(store, keys, &options);
  apikeys = open_checker(store, keys, 60000);
  request.model = "digits";
  for (i = 0; i < 3; ++i) {
    CHECK_OK(pts_apikeys_check(apikeys, text, 64, &request, NULL, &result, &error));
  }
  CHECK_STATUS(pts_apikeys_check(apikeys, text, 64, &request, NULL, &result, &error),
               PTS_RATE_LIMITED);
  CHECK(result.retry_after_ms > 0 && result.retry_after_ms <= 101);
  CHECK(strcmp(result.id, id_of(text)) == 0);
  request.uncounted = 1;
  CHECK_OK(pts_apikeys_check(apikeys, text, 64, &request, NULL, &result, &error));
  request.uncounted = 0;
  sleep_ms((long)result.retry_after_ms + 110);
  CHECK_OK(pts_apikeys_check(apikeys, text, 64, &request, NULL, &result, &error));
  /* More than a second's bytes pass when nothing is owed; the next one waits for them. */
  request.bytes = 30000;
  CHECK_OK(pts_apikeys_check(apikeys, heavy, 64, &request, NULL, &result, &error));
  request.bytes = 0;
  CHECK_STATUS(pts_apikeys_check(apikeys, heavy, 64, &request, NULL, &result, &error),
               PTS_RATE_LIMITED);
  CHECK(result.retry_after_ms > 1000 && result.retry_after_ms <= 2001);
  CHECK_OK(pts_apikeys_charge(apikeys, id_of(heavy), 50000, &error));
  CHECK_STATUS(pts_apikeys_check(apikeys, heavy, 64, &request, NULL, &result, &error),
               PTS_RATE_LIMITED);
  CHECK(result.retry_after_ms > 6000 && result.retry_after_ms <= 7001);
  CHECK_OK(pts_apikeys_charge(apikeys, "0123456789abcdef", 1, &error));
  pts_apikeys_destroy(&apikeys);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

static void test_changes(void) {
  pts_error error;
  pts_store *store = new_store("changes"), *elsewhere = new_store("changes");
  pts_keyring* keys = new_keys();
  pts_apikey_options options = options_for("a client");
  pts_bytes* key = NULL;
  const char *text = create(store, keys, &options), *next;
  pts_apikeys* apikeys = open_checker(store, keys, 60000);
  CHECK_OK(check(apikeys, text, "digits", PTS_SCOPE_INFER, &error));
  CHECK_OK(
      pts_store_set_apikey_state(elsewhere, id_of(text), "disabled", NULL, keys, NULL, &error));
  CHECK(becomes(apikeys, text, PTS_UNAUTHENTICATED));
  CHECK_OK(pts_store_set_apikey_state(elsewhere, id_of(text), "active", NULL, keys, NULL, &error));
  CHECK(becomes(apikeys, text, PTS_OK));
  /* With a grace both secrets are valid, without only the new one. */
  CHECK_OK(
      pts_store_rotate_apikey(elsewhere, id_of(text), 1000, NULL, keys, NULL, &key, NULL, &error));
  next = text_of(&key);
  CHECK(strcmp(id_of(next), id_of(text)) == 0 && strcmp(next, text) != 0);
  CHECK(becomes(apikeys, next, PTS_OK));
  CHECK_OK(check(apikeys, text, "digits", PTS_SCOPE_INFER, &error));
  CHECK_OK(
      pts_store_rotate_apikey(elsewhere, id_of(text), 0, NULL, keys, NULL, &key, NULL, &error));
  text = text_of(&key);
  CHECK(becomes(apikeys, text, PTS_OK));
  CHECK_STATUS(check(apikeys, next, "digits", PTS_SCOPE_INFER, &error), PTS_UNAUTHENTICATED);
  CHECK_OK(pts_store_set_apikey_state(elsewhere, id_of(text), "deleted", NULL, keys, NULL, &error));
  CHECK(becomes(apikeys, text, PTS_UNAUTHENTICATED));
  pts_store_destroy(&elsewhere);
  pts_store_destroy(&store); /* the checker outlives it */
  CHECK_STATUS(check(apikeys, text, "digits", PTS_SCOPE_INFER, &error), PTS_UNAUTHENTICATED);
  pts_apikeys_destroy(&apikeys);
  pts_keyring_destroy(&keys);
}

static void test_fork(void) {
  pts_error error;
  pts_store* store = new_store("fork");
  pts_keyring* keys = new_keys();
  pts_apikey_options options = options_for("a client");
  const char* text = create(store, keys, &options);
  pts_apikeys* apikeys = open_checker(store, keys, 60000);
  int status = -1;
  const pid_t child = fork();
  if (child == 0) {
    pts_apikeys* own = NULL;
    int good = check(apikeys, text, "digits", PTS_SCOPE_INFER, &error) == PTS_CLOSED;
    pts_apikeys_destroy(&apikeys);
    good = good && pts_apikeys_open(store, keys, NULL, NULL, &own, &error) == PTS_OK &&
           check(own, text, "digits", PTS_SCOPE_INFER, &error) == PTS_OK;
    pts_apikeys_destroy(&own);
    _exit(good ? 0 : 1);
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
  CHECK_OK(check(apikeys, text, "digits", PTS_SCOPE_INFER, &error));
  pts_apikeys_destroy(&apikeys);
  pts_keyring_destroy(&keys);
  pts_store_destroy(&store);
}

int main(void) {
  test_id();
  test_records();
  test_bad_options();
  test_check();
  test_rates();
  test_changes();
  test_fork();
  return finish();
}
