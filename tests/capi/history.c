/* Aliases' history, rollback, the log and the state file, through the C ABI on a folder. */
#define _XOPEN_SOURCE 700

#include "check.h"

static pts_store* open_remembering(const char* name, const char* state) {
  pts_error error;
  pts_store* store = NULL;
  pts_store_options options = PTS_STORE_OPTIONS_INIT;
  options.state = state;
  if (!CHECK_OK(pts_store_open(test_path(name), &options, &store, &error))) exit(1);
  return store;
}

typedef struct {
  int findings, bad;
  char head[128];
  char first_bad[256];
} audit;

static int32_t on_check(void* user, const char* check, pts_status status, const char* detail) {
  audit* seen = user;
  seen->findings += 1;
  if (status != PTS_OK && seen->bad++ == 0) {
    snprintf(seen->first_bad, sizeof(seen->first_bad), "%.60s: %.180s", check, detail);
  }
  if (strcmp(check, "log head") == 0 && status == PTS_OK) {
    snprintf(seen->head, sizeof(seen->head), "%s", detail);
  }
  return 0;
}

static int32_t stop(void* user, const char* check, pts_status status, const char* detail) {
  (void)user, (void)check, (void)status, (void)detail;
  return 1;
}

static void test_rollback_and_history(void) {
  pts_error error;
  pts_store* store = new_store("history");
  pts_keyring* keys = new_keys();
  char* text = NULL;
  uint64_t version = 0;
  for (int i = 1; i <= 3; ++i) {
    publish_opaque(store, keys, "m", "abc", 3);
    CHECK_OK(pts_store_set_alias(store, "m", "live", (uint64_t)i, NULL, keys, NULL, &error));
  }
  CHECK_OK(
      pts_store_rollback_alias(store, "m", "live", 0, "3 is bad", keys, NULL, &version, &error));
  CHECK(version == 2);
  CHECK_OK(pts_store_rollback_alias(store, "m", NULL, 0, NULL, keys, NULL, &version, &error));
  CHECK(version == 1);
  CHECK_STATUS(pts_store_rollback_alias(store, "m", "live", 0, NULL, keys, NULL, &version, &error),
               PTS_NOT_FOUND);
  CHECK(version == 0);
  CHECK_STATUS(pts_store_rollback_alias(store, "m", "live", 9, NULL, keys, NULL, NULL, &error),
               PTS_NOT_FOUND);
  CHECK_OK(pts_store_rollback_alias(store, "m", "live", 3, NULL, keys, NULL, NULL, &error));
  CHECK_OK(pts_store_show_alias(store, "m", "live", keys, NULL, &text, &error));
  CHECK_HAS(text, "{\"alias\":\"live\",\"version\":3,\"sequence\":6,");
  CHECK_HAS(text, "\"manifest\":\"");
  pts_text_destroy(&text);
  CHECK_OK(pts_store_delete_alias(store, "m", "live", "retired", keys, NULL, &error));
  CHECK_STATUS(pts_store_delete_alias(store, "m", "live", NULL, keys, NULL, &error), PTS_NOT_FOUND);
  CHECK_STATUS(pts_store_show_alias(store, "m", "live", keys, NULL, &text, &error), PTS_NOT_FOUND);
  CHECK(text == NULL);
  CHECK_OK(pts_store_list_aliases(store, "m", keys, NULL, &text, &error));
  CHECK(strcmp(text, "[]") == 0);
  pts_text_destroy(&text);
  CHECK_OK(pts_store_list(store, NULL, 0, NULL, &text, &error));
  CHECK_HAS(text, "\"aliases\":[]");
  pts_text_destroy(&text);
  CHECK_OK(pts_store_alias_history(store, "m", "live", keys, NULL, &text, &error));
  CHECK_HAS(text, "[{\"alias\":\"live\",\"version\":1,\"sequence\":1,");
  CHECK_HAS(text, "\"version\":2,\"sequence\":4,");
  CHECK_HAS(text, "\"reason\":\"3 is bad\"");
  CHECK_HAS(text, "\"version\":null,\"sequence\":7,");
  CHECK_HAS(text, "\"deleted\":true");
  pts_text_destroy(&text);
  CHECK_STATUS(pts_store_alias_history(store, "m", "none", keys, NULL, &text, &error),
               PTS_NOT_FOUND);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

static void test_log(void) {
  pts_error error;
  pts_store* store = new_store("log");
  pts_keyring* keys = new_keys();
  char* text = NULL;
  char head[128];
  audit seen = {0};
  publish_opaque(store, keys, "m", "abc", 3);
  CHECK_OK(pts_store_set_alias(store, "m", "live", 1, "first", keys, NULL, &error));
  CHECK_OK(pts_store_log(store, keys, 1, 0, NULL, &text, &error));
  CHECK_HAS(text, "[{\"sequence\":1,\"what\":\"publish\",\"name\":\"m\",\"version\":1,");
  CHECK_HAS(text, "{\"sequence\":4,\"what\":\"done\"");
  pts_text_destroy(&text);
  CHECK_OK(pts_store_log(store, keys, 3, 1, NULL, &text, &error));
  CHECK_HAS(text, "[{\"sequence\":3,\"what\":\"alias\"");
  CHECK_HAS(text, "\"reason\":\"first\"");
  CHECK(strstr(text, "\"sequence\":4,\"what\"") == NULL);
  pts_text_destroy(&text);

  CHECK_OK(pts_store_verify_log(store, keys, NULL, NULL, on_check, &seen, &error));
  CHECK(seen.findings == 2 && seen.bad == 0 && strncmp(seen.head, "4:", 2) == 0);
  memcpy(head, seen.head, sizeof(head));
  CHECK_OK(pts_store_verify_log(store, keys, head, NULL, NULL, NULL, &error));
  CHECK_STATUS(pts_store_verify_log(store, keys, NULL, NULL, stop, NULL, &error), PTS_CANCELLED);
  CHECK_STATUS(pts_store_verify_log(store, keys, "4", NULL, NULL, NULL, &error),
               PTS_INVALID_ARGUMENT);
  CHECK_STATUS(pts_store_verify_log(store, keys, "0:x", NULL, NULL, NULL, &error),
               PTS_INVALID_ARGUMENT);

  /* The newest records cut off: only who knows the head can tell, when the changes go too. */
  memset(&seen, 0, sizeof(seen));
  CHECK(remove(test_path("log/records/log/4.jws")) == 0);
  CHECK(remove(test_path("log/records/log/3.jws")) == 0);
  CHECK(remove(test_path("log/records/alias/m/live/1.jws")) == 0);
  CHECK_OK(pts_store_verify_log(store, keys, NULL, NULL, NULL, NULL, &error));
  CHECK_STATUS(pts_store_verify_log(store, keys, head, NULL, on_check, &seen, &error),
               PTS_ROLLBACK);
  CHECK_HAS(error.message, "newest records were removed");
  CHECK(seen.bad == 1);
  CHECK_HAS(seen.first_bad, "log head");
  memset(&seen, 0, sizeof(seen));
  CHECK(remove(test_path("log/records/log/1.jws")) == 0);
  CHECK_STATUS(pts_store_verify_log(store, keys, NULL, NULL, on_check, &seen, &error), PTS_CORRUPT);
  CHECK_HAS(seen.first_bad, "log record 1: missing");
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
}

static void test_state(void) {
  pts_error error;
  char state[1200];
  pts_store *store, *none;
  pts_keyring* keys = new_keys();
  pts_package* package = NULL;
  char* text = NULL;
  pts_open_options options = PTS_OPEN_OPTIONS_INIT;
  snprintf(state, sizeof(state), "%s", test_path("state/state.json"));
  store = open_remembering("remembered", state);
  none = open_remembering("remembered", NULL);
  publish_opaque(store, keys, "m", "abc", 3);
  publish_opaque(store, keys, "m", "abcd", 4);
  CHECK_OK(pts_store_set_alias(store, "m", "live", 1, NULL, keys, NULL, &error));
  CHECK_OK(pts_store_set_alias(store, "m", "live", 2, NULL, keys, NULL, &error));
  CHECK_OK(pts_state_show(state, &text, &error));
  CHECK_HAS(text, "\"alias/m/live\"");
  CHECK_HAS(text, "\"log\"");
  pts_text_destroy(&text);

  CHECK(remove(test_path("remembered/records/alias/m/live/2.jws")) == 0);
  CHECK_STATUS(pts_store_fetch(store, "m@live", keys, NULL, NULL, &package, &error), PTS_ROLLBACK);
  CHECK_HAS(error.message, "record 2");
  CHECK(package == NULL);
  CHECK_OK(pts_store_fetch(none, "m@live", keys, NULL, NULL, &package, &error));
  pts_package_destroy(&package);
  options.min_sequence = 2;
  CHECK_STATUS(pts_store_fetch(none, "m@live", keys, &options, NULL, &package, &error),
               PTS_ROLLBACK);
  CHECK_STATUS(pts_store_fetch(none, "m", keys, &options, NULL, &package, &error),
               PTS_INVALID_ARGUMENT);
  options.min_sequence = 1;
  options.max_age_s = 600;
  CHECK_OK(pts_store_fetch(none, "m@live", keys, &options, NULL, &package, &error));
  pts_package_destroy(&package);
  options.manifest = "0000000000000000000000000000000000000000000000000000000000000000";
  CHECK_STATUS(pts_store_fetch(none, "m@live", keys, &options, NULL, &package, &error),
               PTS_ROLLBACK);
  CHECK_STATUS(pts_store_verify(none, "m@live", keys, &options, NULL, NULL, NULL, &error),
               PTS_ROLLBACK);
  options.manifest = "12";
  CHECK_STATUS(pts_store_fetch(none, "m@live", keys, &options, NULL, &package, &error),
               PTS_INVALID_ARGUMENT);

  CHECK_OK(pts_state_reset(state, test_path("remembered"), &error));
  CHECK_STATUS(pts_state_reset(state, test_path("remembered"), &error), PTS_NOT_FOUND);
  CHECK_OK(pts_store_fetch(store, "m@live", keys, NULL, NULL, &package, &error));
  pts_package_destroy(&package);
  write_file(state, "{}", 2);
  CHECK_STATUS(pts_store_fetch(store, "m@live", keys, NULL, NULL, &package, &error), PTS_CORRUPT);
  CHECK_HAS(error.message, "state.json");
  CHECK_STATUS(pts_state_show(state, &text, &error), PTS_CORRUPT);
  CHECK_OK(pts_state_reset(state, NULL, &error));
  CHECK_OK(pts_store_fetch(store, "m@live", keys, NULL, NULL, &package, &error));
  pts_package_destroy(&package);
  pts_store_destroy(&store);
  pts_store_destroy(&none);
  pts_keyring_destroy(&keys);

  CHECK(setenv("XDG_STATE_HOME", "/somewhere", 1) == 0);
  CHECK_OK(pts_state_default_path(&text, &error));
  CHECK(strcmp(text, "/somewhere/ptsecure/state.json") == 0);
  pts_text_destroy(&text);
}

int main(void) {
  test_rollback_and_history();
  test_log();
  test_state();
  return finish();
}
