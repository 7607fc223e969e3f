#include <algorithm>
#include <chrono>
#include <memory>

#include "libptsecure/store/mongodb/client.hpp"

namespace ptsecure::mongodb {
namespace {

template <auto& Destroy>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Destroy(object);
  }
};
using Collection = std::unique_ptr<mongoc_collection_t, Deleter<mongoc_collection_destroy>>;
using Cursor = std::unique_ptr<mongoc_cursor_t, Deleter<mongoc_cursor_destroy>>;
using ChangeStream = std::unique_ptr<mongoc_change_stream_t, Deleter<mongoc_change_stream_destroy>>;
using ReadPrefs = std::unique_ptr<mongoc_read_prefs_t, Deleter<mongoc_read_prefs_destroy>>;
using ModifyOptions =
    std::unique_ptr<mongoc_find_and_modify_opts_t, Deleter<mongoc_find_and_modify_opts_destroy>>;

Collection collection_of(const Client& client, const Target& target, const char* name) {
  return Collection(mongoc_client_get_collection(client.get(), target.database.c_str(), name));
}

ReadPrefs primary() {
  return ReadPrefs(mongoc_read_prefs_new(MONGOC_READ_PRIMARY));
}

// No second look at the bytes, and one server's word.
Bson primary_write_options() {
  Bson concern;
  concern.i32("w", 1);
  Bson options;
  options.boolean("validate", false).doc("writeConcern", concern);
  return options;
}

}  // namespace

Bson Session::read_options(ReadConcern concern) const {
  const char* level = concern == ReadConcern::linearizable ? "linearizable" : "majority";
  Bson read_concern;
  read_concern.str("level", standalone() ? "local" : level);
  Bson options;
  options.doc("readConcern", read_concern);
  return options;
}

bool is_sole_candidate(const View& hello) {
  bson_iter_t it;
  bson_iter_t hosts;
  const auto holds_true = [&](const char* key) {
    return bson_iter_init_find(&it, hello.get(), key) && BSON_ITER_HOLDS_BOOL(&it) &&
           bson_iter_bool(&it);
  };
  // The second is what a first greeting is answered with.
  if (!holds_true("isWritablePrimary") && !holds_true("ismaster")) return false;
  if (!hello.str("setName") || !bson_iter_init_find(&it, hello.get(), "hosts") ||
      !BSON_ITER_HOLDS_ARRAY(&it) || !bson_iter_recurse(&it, &hosts)) {
    return false;
  }
  int count = 0;
  while (bson_iter_next(&hosts)) ++count;
  return count == 1;
}

ReadConcern Session::level_for(ReadConcern concern) {
  if (concern != ReadConcern::linearizable || !client_.greeted_as_sole_candidate()) return concern;
  begin();
  Bson command;
  command.i32("hello", 1);
  const ReadPrefs prefs = primary();
  Bson reply;
  bson_error_t error{};
  if (!mongoc_client_read_command_with_opts(client_.get(), target_.database.c_str(), command.get(),
                                            prefs.get(), nullptr, reply.out(), &error)) {
    const Failure failure(error);
    if (failure.status() != Status::unsupported) throw failure;
    return concern;
  }
  return is_sole_candidate(reply.view()) ? ReadConcern::majority : concern;
}

void Session::each(mongoc_cursor_t* cursor, const Row& row) {
  const bson_t* document = nullptr;
  for (begin(); mongoc_cursor_next(cursor, &document); begin()) row(View(document));
  bson_error_t error{};
  if (mongoc_cursor_error(cursor, &error)) throw Failure(error);
}

void Session::find(const char* collection, const Bson& filter, const Find& wanted, const Row& row) {
  Bson options = read_options(level_for(wanted.concern));
  options.i64("maxTimeMS", static_cast<std::uint64_t>(target_.operation_timeout.count()));
  if (wanted.sort) options.doc("sort", *wanted.sort);
  if (wanted.projection) options.doc("projection", *wanted.projection);
  if (wanted.limit > 0) options.i64("limit", wanted.limit);
  const Collection in = collection_of(client_, target_, collection);
  const ReadPrefs prefs = primary();
  const Cursor cursor(
      mongoc_collection_find_with_opts(in.get(), filter.get(), options.get(), prefs.get()));
  each(cursor.get(), row);
}

std::optional<Bson> Session::find_one(const char* collection, const Bson& filter,
                                      ReadConcern concern) {
  std::optional<Bson> found;
  Find wanted;
  wanted.limit = 1;
  wanted.concern = concern;
  find(collection, filter, wanted, [&found](const View& row) { found.emplace(row); });
  return found;
}

void Session::aggregate(const char* collection, const Bson& pipeline, const Row& row) {
  Bson options = read_options(ReadConcern::majority);
  options.i64("maxTimeMS", static_cast<std::uint64_t>(target_.operation_timeout.count()));
  const Collection in = collection_of(client_, target_, collection);
  const ReadPrefs prefs = primary();
  const Cursor cursor(mongoc_collection_aggregate(in.get(), MONGOC_QUERY_NONE, pipeline.get(),
                                                  options.get(), prefs.get()));
  each(cursor.get(), row);
}

std::uint64_t Session::count(const char* collection, const Bson& filter) {
  begin();
  const Bson options = read_options(ReadConcern::majority);
  const Collection in = collection_of(client_, target_, collection);
  const ReadPrefs prefs = primary();
  bson_error_t error{};
  const std::int64_t found = mongoc_collection_count_documents(
      in.get(), filter.get(), options.get(), prefs.get(), nullptr, &error);
  if (found < 0) throw Failure(error);
  return static_cast<std::uint64_t>(found);
}

void Session::watch(const char* collection, const Bson& pipeline,
                    const std::function<void()>& changed, const CancelToken& cancel) {
  constexpr std::chrono::milliseconds kAwait{500};  // how long the server waits before it says none
  constexpr std::chrono::minutes kLife{1};
  Bson options = read_options(ReadConcern::majority);
  options.i64("maxAwaitTimeMS",
              static_cast<std::uint64_t>(std::min(kAwait, target_.operation_timeout / 2).count()));
  const Collection in = collection_of(client_, target_, collection);
  const ReadPrefs prefs = primary();
  mongoc_collection_set_read_prefs(in.get(), prefs.get());
  const Clock::time_point end = Clock::now() + kLife;
  begin();
  const ChangeStream stream(mongoc_collection_watch(in.get(), pipeline.get(), options.get()));
  bson_error_t error{};
  const bson_t* document = nullptr;
  const auto failed = [&] {
    return mongoc_change_stream_error_document(stream.get(), &error, &document);
  };
  if (!failed()) changed();
  while (!failed() && Clock::now() < end) {
    cancel.check();
    begin();
    if (mongoc_change_stream_next(stream.get(), &document)) changed();
  }
  if (failed()) throw Failure(error);
}

Bson Session::read(const Bson& command, bool primary_only) {
  begin();
  const Bson options = read_options(ReadConcern::majority);
  const ReadPrefs at_primary = primary();
  const mongoc_read_prefs_t* prefs =
      primary_only ? at_primary.get() : mongoc_uri_get_read_prefs_t(target_.uri.get());
  Bson reply;
  bson_error_t error{};
  if (!mongoc_client_read_command_with_opts(client_.get(), target_.database.c_str(), command.get(),
                                            prefs, options.get(), reply.out(), &error)) {
    throw Failure(error);
  }
  return reply;
}

void Session::insert(const char* collection, const Bson& document, Durability durability) {
  begin();
  const Collection in = collection_of(client_, target_, collection);
  const Bson options = durability == Durability::primary ? primary_write_options() : Bson();
  bson_error_t error{};
  if (!mongoc_collection_insert_one(in.get(), document.get(), options.get(), nullptr, &error)) {
    throw Failure(error);
  }
}

UpdateResult Session::update(const char* collection, const Bson& filter, const Bson& change,
                             bool upsert) {
  begin();
  const Collection in = collection_of(client_, target_, collection);
  Bson options;
  options.boolean("upsert", upsert);
  Bson reply;
  bson_error_t error{};
  if (!mongoc_collection_update_one(in.get(), filter.get(), change.get(), options.get(),
                                    reply.out(), &error)) {
    throw Failure(error);
  }
  return {reply.view().integer("matchedCount").value_or(0) > 0,
          reply.view().integer("upsertedCount").value_or(0) > 0};
}

Bson Session::upsert_and_get(const char* collection, const Bson& filter, const Bson& change) {
  begin();
  const Collection in = collection_of(client_, target_, collection);
  const ModifyOptions options(mongoc_find_and_modify_opts_new());
  mongoc_find_and_modify_opts_set_update(options.get(), change.get());
  mongoc_find_and_modify_opts_set_flags(
      options.get(), static_cast<mongoc_find_and_modify_flags_t>(
                         MONGOC_FIND_AND_MODIFY_UPSERT | MONGOC_FIND_AND_MODIFY_RETURN_NEW));
  Bson reply;
  bson_error_t error{};
  if (!mongoc_collection_find_and_modify_with_opts(in.get(), filter.get(), options.get(),
                                                   reply.out(), &error)) {
    throw Failure(error);
  }
  std::optional<Bson> value = reply.view().doc("value");
  if (!value) throw Error(Status::corrupt, "MongoDB returned no document from an upsert");
  return std::move(*value);
}

void Session::remove(const char* collection, const Bson& filter) {
  begin();
  const Collection in = collection_of(client_, target_, collection);
  bson_error_t error{};
  if (!mongoc_collection_delete_many(in.get(), filter.get(), nullptr, nullptr, &error)) {
    throw Failure(error);
  }
}

void Session::command(const Bson& command) {
  begin();
  Bson reply;
  bson_error_t error{};
  if (!mongoc_client_write_command_with_opts(client_.get(), target_.database.c_str(), command.get(),
                                             nullptr, reply.out(), &error)) {
    throw Failure(error);
  }
}

}  // namespace ptsecure::mongodb
