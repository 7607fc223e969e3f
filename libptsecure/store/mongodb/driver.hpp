#pragma once

#include <mongoc/mongoc.h>

// The functions of libmongoc that the MongoDB store calls, opened with its first use and not
// linked: libmongoc initialises itself as it is loaded, makes a file in /dev/shm and prints when it
// can't, and a process that keeps its models in a folder has no part in that. In this namespace
// each goes by its own name. bson_* is linked as usual.
namespace ptsecure::mongodb {

template <typename Function>
class DriverFunction;

template <typename Result, typename... Arguments>
class DriverFunction<Result(Arguments...)> {
 public:
  Result operator()(Arguments... arguments) const { return function_(arguments...); }
  auto get() const { return function_; }
  void set(void* symbol) { function_ = reinterpret_cast<Result (*)(Arguments...)>(symbol); }

 private:
  Result (*function_)(Arguments...) = nullptr;
};

template <typename Result, typename... Arguments>
DriverFunction<Result(Arguments...)> like(Result (*)(Arguments...));  // for decltype

#define PTSECURE_MONGOC_FUNCTIONS(X)             \
  X(mongoc_change_stream_destroy)                \
  X(mongoc_change_stream_error_document)         \
  X(mongoc_change_stream_next)                   \
  X(mongoc_client_destroy)                       \
  X(mongoc_client_get_collection)                \
  X(mongoc_client_get_server_descriptions)       \
  X(mongoc_client_new_from_uri_with_error)       \
  X(mongoc_client_read_command_with_opts)        \
  X(mongoc_client_select_server)                 \
  X(mongoc_client_set_error_api)                 \
  X(mongoc_client_set_stream_initiator)          \
  X(mongoc_client_set_write_concern)             \
  X(mongoc_client_write_command_with_opts)       \
  X(mongoc_collection_aggregate)                 \
  X(mongoc_collection_count_documents)           \
  X(mongoc_collection_delete_many)               \
  X(mongoc_collection_destroy)                   \
  X(mongoc_collection_find_and_modify_with_opts) \
  X(mongoc_collection_find_with_opts)            \
  X(mongoc_collection_insert_one)                \
  X(mongoc_collection_set_read_prefs)            \
  X(mongoc_collection_update_one)                \
  X(mongoc_collection_watch)                     \
  X(mongoc_cursor_destroy)                       \
  X(mongoc_cursor_error)                         \
  X(mongoc_cursor_next)                          \
  X(mongoc_find_and_modify_opts_destroy)         \
  X(mongoc_find_and_modify_opts_new)             \
  X(mongoc_find_and_modify_opts_set_flags)       \
  X(mongoc_find_and_modify_opts_set_update)      \
  X(mongoc_get_version)                          \
  X(mongoc_init)                                 \
  X(mongoc_log_default_handler)                  \
  X(mongoc_log_set_handler)                      \
  X(mongoc_read_prefs_destroy)                   \
  X(mongoc_read_prefs_get_mode)                  \
  X(mongoc_read_prefs_new)                       \
  X(mongoc_server_description_destroy)           \
  X(mongoc_server_description_hello_response)    \
  X(mongoc_server_description_round_trip_time)   \
  X(mongoc_server_description_type)              \
  X(mongoc_server_descriptions_destroy_all)      \
  X(mongoc_stream_tls_handshake)                 \
  X(mongoc_stream_tls_new_with_hostname)         \
  X(mongoc_uri_destroy)                          \
  X(mongoc_uri_get_appname)                      \
  X(mongoc_uri_get_auth_mechanism)               \
  X(mongoc_uri_get_database)                     \
  X(mongoc_uri_get_hosts)                        \
  X(mongoc_uri_get_option_as_bool)               \
  X(mongoc_uri_get_option_as_int32)              \
  X(mongoc_uri_get_option_as_utf8)               \
  X(mongoc_uri_get_read_prefs_t)                 \
  X(mongoc_uri_get_srv_hostname)                 \
  X(mongoc_uri_get_tls)                          \
  X(mongoc_uri_new_with_error)                   \
  X(mongoc_uri_set_appname)                      \
  X(mongoc_uri_set_option_as_bool)               \
  X(mongoc_uri_set_option_as_int32)              \
  X(mongoc_write_concern_destroy)                \
  X(mongoc_write_concern_new)                    \
  X(mongoc_write_concern_set_journal)            \
  X(mongoc_write_concern_set_w)                  \
  X(mongoc_write_concern_set_wtimeout_int64)

#define PTSECURE_DECLARE(name) inline decltype(like(&::name)) name;
PTSECURE_MONGOC_FUNCTIONS(PTSECURE_DECLARE)
#undef PTSECURE_DECLARE

// libmongoc's handler setter has no getter in its public headers, though it is exported; null where
// it isn't.
inline DriverFunction<void(mongoc_log_func_t*, void**)> mongoc_log_get_handler;

// Opens and initialises libmongoc once per process; it is never closed or cleaned up, the host may
// use it too. Before anything else here. Throws Status::unsupported when it isn't installed.
void open_driver();

}  // namespace ptsecure::mongodb
