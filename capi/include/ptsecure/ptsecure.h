/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptsecure: signed and encrypted PyTorch models, opened inside your process.
 *
 * Conventions. They hold for every function unless its comment says otherwise.
 *
 *  1. Names are pts_noun_verb; a function that only tells something about an object is
 *     pts_noun_what. A function that can fail returns pts_status, PTS_OK being 0.
 *  2. Parameters come in this order: the object itself, inputs, options, `const pts_call* call`,
 *     outputs, a callback with its `void* user`, and `pts_error* error` last.
 *  3. `error` may be NULL. Otherwise the caller provides it and a failing call fills it; a call
 *     that succeeds leaves it alone. There is no thread-local or global error state.
 *  4. `T** out`: on success *out is a new object that the caller owns and destroys. On failure
 *     *out is NULL and there is nothing to free. out must not be NULL.
 *  5. A returned or written `const T*` is borrowed; the comment says from what and until when.
 *  6. pts_noun_destroy takes T**, accepts NULL and a pointer to NULL, and sets the pointer to
 *     NULL. An object may be destroyed before the objects it was made from and the other way
 *     round: a model outlives its package, its store and its keyring.
 *  7. Text in is NUL-terminated UTF-8 and copied unless said otherwise; text out is NUL-terminated
 *     UTF-8 freed by pts_text_destroy. Bytes are a pointer and a size_t. Sizes count bytes,
 *     lengths and versions are 64 bits wide.
 *  8. Option structs begin with `size_t struct_size`. Set them up with their init function (or
 *     macro), then change what you need; NULL options = the defaults. Members are only ever added
 *     at the end, never into padding, and a library newer than its caller uses defaults for
 *     members the caller doesn't have. One older than its caller accepts members it doesn't know
 *     as long as they are zero. Pointers in options are only read during the call.
 *  9. Objects may be used from any thread. A pts_store, pts_keyring, pts_package, pts_model,
 *     pts_apikeys or pts_cancel may be used from several threads at once; a pts_value or pts_bytes
 *     too, as long as nobody changes it; a pts_source may not. Destroying an object while another
 *     thread uses it is an error of the caller.
 * 10. A function that takes a `call` may wait, for a store, a file, a model or much computing: the
 *     call says how long, who may end it and who hears of its progress (see pts_call). NULL = as
 *     long as it takes. The others wait for nothing but local files.
 * 11. Callbacks run on the calling thread, except where their comment says otherwise (log, read,
 *     release), must return, and must not let an exception or a panic out. They may call any
 *     function of this library except ones that destroy the objects in use.
 * 12. Nothing here prints, installs signal handlers, changes locale, floating-point mode or
 *     torch's global settings, or ends the process.
 * 13. After a fork() the child may use a keyring, and may open stores and models of its own.
 *     Stores it inherited reconnect by themselves; running or forking a model it inherited, and
 *     checking API keys by what it inherited, fails with PTS_CLOSED, because their threads stayed
 *     behind. Models that the child opens run on one thread each if the parent had libtorch. Don't
 *     fork while another thread is inside a call. A thread inside a call must not be ended by
 *     pthread_cancel: use pts_cancel.
 * 14. The ABI: functions and struct members are never removed or changed within a SONAME. Numbers
 *     of enumerators are part of the ABI; new ones may be added, so keep a default branch. Calls
 *     that complete by a callback, following an alias as it moves, and batching will come as
 *     functions of their own. Nothing here is in their way: pts_call and the option structs grow at
 *     their ends, handles may be shared between threads, and results belong to the caller.
 */
#ifndef PTSECURE_PTSECURE_H_
#define PTSECURE_PTSECURE_H_

#include <stddef.h>
#include <stdint.h>

#define PTS_VERSION_MAJOR 0
#define PTS_VERSION_MINOR 1
#define PTS_VERSION_PATCH 0

#if defined(__GNUC__)
#define PTS_API __attribute__((visibility("default")))
#else
#define PTS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- status and error */

typedef int32_t pts_status;

enum {
  PTS_OK = 0,
  PTS_INVALID_ARGUMENT = 1,   /* the call itself is wrong: bad name, bad option, NULL */
  PTS_NOT_FOUND = 2,          /* no such store, model, version, alias, method or file */
  PTS_ALREADY_EXISTS = 3,     /* the name or number is taken */
  PTS_CONFLICT = 4,           /* another writer was faster; read again, then decide */
  PTS_UNTRUSTED = 5,          /* a signature is missing, wrong, or by a key not trusted for this */
  PTS_CORRUPT = 6,            /* stored bytes are damaged, incomplete, mixed up or malformed */
  PTS_NO_KEY = 7,             /* the keyring holds no key that opens, signs or wraps this */
  PTS_REVOKED = 8,            /* the key record says disabled or destroyed */
  PTS_ROLLBACK = 9,           /* older than, or not what is known to have existed */
  PTS_PERMISSION_DENIED = 10, /* the system or the store refused access; a key file is too open */
  PTS_UNAVAILABLE = 11,       /* the store cannot be reached */
  PTS_TIMEOUT = 12,           /* the call's or the store's time limit passed */
  PTS_CANCELLED = 13,         /* cancelled by the caller */
  PTS_IO = 14,                /* reading or writing failed */
  PTS_OUT_OF_MEMORY = 15,     /* an allocation failed */
  PTS_UNSUPPORTED = 16,       /* this build, device, format or algorithm is not supported */
  PTS_INVALID_MODEL = 17,     /* the file is not a model that the engine can load */
  PTS_INVALID_INPUT = 18,     /* inputs do not match what the model expects */
  PTS_ENGINE = 19,            /* the engine can't be loaded, or the model failed while running */
  PTS_LIMIT_EXCEEDED = 20,    /* a size, depth or count is over a limit */
  PTS_CLOSED = 21,            /* the handle belongs to the process before a fork */
  PTS_INTERNAL = 22,          /* a defect in this library; please report it */
  PTS_UNAUTHENTICATED = 23,   /* no API key, or none that is valid */
  PTS_FORBIDDEN = 24,         /* the API key is valid, but not for this */
  PTS_RATE_LIMITED = 25       /* the API key is over its rate; try again later */
};

#define PTS_ERROR_MESSAGE_SIZE 1020

typedef struct pts_error {
  pts_status code;
  /* One line of UTF-8, NUL-terminated (cut at a character boundary when too long): what was
   * expected, what was found, what to do. Never holds a secret. */
  char message[PTS_ERROR_MESSAGE_SIZE];
} pts_error;

/* Lower-case name of a status, "not_found"; "unknown" for other numbers. Static storage. */
PTS_API const char* pts_status_name(pts_status status);

/* ---------------------------------------------------------------- library */

/* "0.1.0". Static storage. */
PTS_API const char* pts_version(void);

/* A JSON object: {"version", "formats": {a format's name: the engine that runs it, or null},
 * "stores": [...], "openssl", "libmongoc", "torch": {"loaded", "version"},
 * "secret_memory_locked"}. Loads neither torch nor libmongoc: until a MongoDB store is opened,
 * "libmongoc" is the version that the library was built with. */
PTS_API pts_status pts_features(char** out, pts_error* error);

/* Cores that this process may use: its affinity mask, cut to the CPU quota of its control groups;
 * at least 1. */
PTS_API uint32_t pts_cores(void);

/* Frees text that this library returned. */
PTS_API void pts_text_destroy(char** text);

typedef struct pts_bytes pts_bytes; /* bytes owned by the library */

/* Borrowed until the pts_bytes is destroyed. NULL only when the size is 0. */
PTS_API const uint8_t* pts_bytes_data(const pts_bytes* self);
PTS_API size_t pts_bytes_size(const pts_bytes* self);
/* Overwrites the bytes with zeros, then frees them. */
PTS_API void pts_bytes_destroy(pts_bytes** self);

/* A flag that ends calls from another thread: each call that was given it returns PTS_CANCELLED
 * within about a second, also while it waits on a stalled socket. It stays set. */
typedef struct pts_cancel pts_cancel;

PTS_API pts_status pts_cancel_create(pts_cancel** out, pts_error* error);
/* Any thread, also a signal handler. */
PTS_API void pts_cancel_set(const pts_cancel* self);
PTS_API void pts_cancel_destroy(pts_cancel** self);

/* Progress of a call in plaintext bytes; at most about 20 times a second and once at the end. Never
 * called while the call waits for the network without receiving anything. Return 0 to go on,
 * anything else to cancel (PTS_CANCELLED). Told by publish, import, copy, verify, decrypt, stream,
 * export, load, swap and pts_model_open; the other calls have no bytes to tell of, and never call
 * it. */
typedef int32_t (*pts_progress_fn)(void* user, uint64_t done, uint64_t total);

/* What one call obeys. A call that is cancelled or over its time has changed nothing that can be
 * seen, unless its comment says otherwise; where a change was made already, it is told as made.
 * What runs inside libtorch or a model's own code can't be stopped: a load and a run are given up
 * before they begin there, and are otherwise waited for. One call struct may serve any number of
 * calls, also at once; each has the whole time. */
typedef struct pts_call {
  size_t struct_size;
  const pts_cancel* cancel; /* NULL (default) = nobody cancels */
  int64_t timeout_ms;       /* counted from the beginning of the call; PTS_TIMEOUT within about a
                               second after it; 0 (default) = no limit */
  pts_progress_fn progress; /* NULL (default) = nobody is told */
  void* progress_user;
} pts_call;

#define PTS_CALL_INIT {sizeof(pts_call), NULL, 0, NULL, NULL}
PTS_API void pts_call_init(pts_call* call);

enum { PTS_LOG_ERROR = 1, PTS_LOG_WARNING = 2, PTS_LOG_INFO = 3, PTS_LOG_DEBUG = 4 };

/* One line, without a newline and without secrets; borrowed during the call. Any thread, possibly
 * several at once. */
typedef void (*pts_log_fn)(void* user, int32_t level, const char* message);

/* ---------------------------------------------------------------- keyring */

/* The keys a process holds: a JWK Set (RFC 7517). Immutable. Private keys are kept in locked
 * memory that is left out of core dumps and overwritten when freed. */
typedef struct pts_keyring pts_keyring;

typedef struct pts_keyring_options {
  size_t struct_size;
  const char* passphrase;   /* of a keyring file encrypted with one; NULL = none */
  int32_t allow_group_read; /* nonzero: accept a private file that its group may read (0440, 0640),
                               as Kubernetes mounts secrets; default 0 */
  int32_t reserved;         /* 0 */
} pts_keyring_options;

#define PTS_KEYRING_OPTIONS_INIT {sizeof(pts_keyring_options), NULL, 0, 0}
PTS_API void pts_keyring_options_init(pts_keyring_options* options);

/* Reads a JWK Set file. One that holds private or symmetric keys must be owned by the user or root
 * and closed to group and others; one of public keys only must not be writable by everybody
 * (PTS_PERMISSION_DENIED says which chmod helps). */
PTS_API pts_status pts_keyring_load(const char* path, const pts_keyring_options* options,
                                    pts_keyring** out, pts_error* error);
/* The same from `size` bytes of JSON in memory. */
PTS_API pts_status pts_keyring_parse(const char* json, size_t size,
                                     const pts_keyring_options* options, pts_keyring** out,
                                     pts_error* error);
/* The same from the text of an environment variable. */
PTS_API pts_status pts_keyring_from_env(const char* variable, const pts_keyring_options* options,
                                        pts_keyring** out, pts_error* error);
/* New keys for every role: a publisher's Ed25519 key, which signs manifests and log records; an
 * operator's Ed25519 key, which signs records of aliases, of content keys' status and of API keys,
 * and log records; and a P-256 key that content keys are wrapped for (ECDH-ES+A256KW). */
PTS_API pts_status pts_keyring_generate(pts_keyring** out, pts_error* error);
/* A keyring cut down to a role: "publisher" (signs manifests, wraps content keys), "opener"
 * (unwraps, verifies), "verifier" (verifies; public keys only) or "operator" (signs what concerns
 * aliases, key status and API keys; unwraps). All of them verify. */
PTS_API pts_status pts_keyring_split(const pts_keyring* self, const char* role, pts_keyring** out,
                                     pts_error* error);
/* The public keys alone. */
PTS_API pts_status pts_keyring_public(const pts_keyring* self, pts_keyring** out, pts_error* error);
/* Writes a new file, mode 0600 (0644 if all keys are public); an existing file is never replaced
 * (PTS_ALREADY_EXISTS). With a passphrase the file is encrypted (PBES2-HS512+A256KW); NULL =
 * plain. */
PTS_API pts_status pts_keyring_save(const pts_keyring* self, const char* path,
                                    const char* passphrase, pts_error* error);
/* The JWK Set as JSON, private keys included. */
PTS_API pts_status pts_keyring_export(const pts_keyring* self, pts_bytes** out, pts_error* error);
/* A JSON array, one object a key: kid, kty, use, private, records, names. No secrets. */
PTS_API pts_status pts_keyring_describe(const pts_keyring* self, char** out, pts_error* error);
PTS_API void pts_keyring_destroy(pts_keyring** self);

/* ---------------------------------------------------------------- store */

/* Where sealed models are kept: a folder or a MongoDB database. */
typedef struct pts_store pts_store;

typedef struct pts_store_options {
  size_t struct_size;
  int32_t connect_timeout_ms;   /* to find a server; default 5000 */
  int32_t operation_timeout_ms; /* one round trip, not a whole transfer; default 60000 */
  uint32_t threads;             /* of this store's pool, which seals and opens; 0 (default) = the
                                   cores this process may use; at most 1024 */
  uint32_t reserved;            /* 0 */
  pts_log_fn log;               /* NULL (default) = silent */
  void* log_user;               /* must live until the store and all that was opened from it is
                                   destroyed */
  const char* state;            /* file that remembers what was seen of this store, see "state"
                                   below; NULL (default) = nothing is remembered */
} pts_store_options;

#define PTS_STORE_OPTIONS_INIT {sizeof(pts_store_options), 5000, 60000, 0, 0, NULL, NULL, NULL}
PTS_API void pts_store_options_init(pts_store_options* options);

/* Opens a store by URI: "file:///srv/models", a plain path, "mongodb://host/database?options" or
 * "mongodb+srv://…" with every option that libmongoc understands; one that it doesn't is refused,
 * unless the host has given libmongoc a log handler of its own. Nothing is created and no server
 * is asked yet, so that it doesn't wait: the first publish creates a store in an empty or missing
 * folder or database; reading where there is none is PTS_NOT_FOUND. A folder that holds something
 * else is refused. */
PTS_API pts_status pts_store_open(const char* uri, const pts_store_options* options,
                                  pts_store** out, pts_error* error);
/* Where it is: the folder, or a URI of scheme, hosts and database, without credentials and options.
 * Asks nobody. Borrowed until the store is destroyed. */
PTS_API const char* pts_store_uri(const pts_store* self);
/* A JSON object {"uri" (pts_store_uri), "id" (null when there is no store yet)}. */
PTS_API pts_status pts_store_describe(pts_store* self, const pts_call* call, char** out,
                                      pts_error* error);
PTS_API void pts_store_destroy(pts_store** self);

/* The store's index as JSON: {"verified": false, "models": [{"name", "version" (the newest),
 * "format", "created", "size" (plaintext bytes), "aliases": [names]}]}, sorted by name, names
 * after `after` (NULL = from the first), at most `limit` (0 = all). The index is not verified:
 * show, verify, fetch and open are. */
PTS_API pts_status pts_store_list(pts_store* self, const char* after, uint64_t limit,
                                  const pts_call* call, char** out, pts_error* error);
/* The same for the versions of one model, newest first, below version `before` (0 = from the
 * newest): {"verified": false, "name", "versions": [{"version", "format", "created", "size",
 * "labels"}]}. */
PTS_API pts_status pts_store_list_versions(pts_store* self, const char* name, uint64_t before,
                                           uint64_t limit, const pts_call* call, char** out,
                                           pts_error* error);

/* ---------------------------------------------------------------- values */

/* What goes into a model and comes out: none, bool, int (64 bits), float (64 bits), string,
 * tensor, list, tuple, or dict with string keys, nested as needed. Copies of a tensor share its
 * memory. */
typedef struct pts_value pts_value;

typedef int32_t pts_kind;
enum {
  PTS_NONE = 0,
  PTS_BOOL = 1,
  PTS_INT = 2,
  PTS_FLOAT = 3,
  PTS_STRING = 4,
  PTS_TENSOR = 5,
  PTS_LIST = 6,
  PTS_TUPLE = 7,
  PTS_DICT = 8
};

typedef int32_t pts_dtype;
enum {
  PTS_DTYPE_BOOL = 1, /* one byte, 0 or 1 */
  PTS_DTYPE_UINT8 = 2,
  PTS_DTYPE_UINT16 = 3,
  PTS_DTYPE_UINT32 = 4,
  PTS_DTYPE_UINT64 = 5,
  PTS_DTYPE_INT8 = 6,
  PTS_DTYPE_INT16 = 7,
  PTS_DTYPE_INT32 = 8,
  PTS_DTYPE_INT64 = 9,
  PTS_DTYPE_FLOAT16 = 10,
  PTS_DTYPE_BFLOAT16 = 11,
  PTS_DTYPE_FLOAT32 = 12,
  PTS_DTYPE_FLOAT64 = 13,
  PTS_DTYPE_COMPLEX32 = 14, /* two float16 */
  PTS_DTYPE_COMPLEX64 = 15,
  PTS_DTYPE_COMPLEX128 = 16
};

/* DLPack's DLDeviceType numbers. */
enum { PTS_DEVICE_CPU = 1, PTS_DEVICE_CUDA = 2 };

/* A strided view of elements in memory, native byte order. */
typedef struct pts_tensor {
  size_t struct_size;
  pts_dtype dtype;
  int32_t rank;           /* 0..16 */
  const int64_t* shape;   /* `rank` extents; NULL when the rank is 0 */
  const int64_t* strides; /* `rank` strides in elements; NULL = contiguous (row-major) */
  void* data;             /* element [0, 0, ...]; aligned to the element size */
  int32_t device_type;    /* PTS_DEVICE_CPU by default */
  int32_t device_index;
  int32_t read_only; /* nonzero: nobody may write through `data` */
  int32_t reserved;  /* 0 */
} pts_tensor;

#define PTS_TENSOR_INIT {sizeof(pts_tensor), 0, 0, NULL, NULL, NULL, PTS_DEVICE_CPU, 0, 0, 0}
PTS_API void pts_tensor_init(pts_tensor* tensor);

/* Called once, on any thread, when nobody uses a borrowed buffer any more. */
typedef void (*pts_release_fn)(void* user);

PTS_API pts_status pts_value_create_none(pts_value** out, pts_error* error);
PTS_API pts_status pts_value_create_bool(int32_t value, pts_value** out, pts_error* error);
PTS_API pts_status pts_value_create_int(int64_t value, pts_value** out, pts_error* error);
PTS_API pts_status pts_value_create_float(double value, pts_value** out, pts_error* error);
/* `size` bytes of UTF-8, copied; may hold NUL. */
PTS_API pts_status pts_value_create_string(const char* text, size_t size, pts_value** out,
                                           pts_error* error);
PTS_API pts_status pts_value_create_list(pts_value** out, pts_error* error);
PTS_API pts_status pts_value_create_tuple(pts_value** out, pts_error* error);
PTS_API pts_status pts_value_create_dict(pts_value** out, pts_error* error);
/* Appends a copy of `item` to a list or tuple. Trees deeper than 256 are refused
 * (PTS_LIMIT_EXCEEDED), here and in pts_value_put. */
PTS_API pts_status pts_value_append(pts_value* self, const pts_value* item, pts_error* error);
/* Puts a copy of `item` under `key` in a dict; an existing key is PTS_ALREADY_EXISTS. */
PTS_API pts_status pts_value_put(pts_value* self, const char* key, const pts_value* item,
                                 pts_error* error);

/* A tensor over the caller's memory, not copied. The memory must stay valid and unchanged until
 * `release` (which may be NULL) is called with `user`. With a NULL release it must stay valid until
 * every value and result that may share it is destroyed, and unchanged during calls and while such
 * a result is there: a model that keeps an input then keeps a copy. On failure
 * `release` is not called. Shape and strides are copied. Negative strides are refused
 * (PTS_INVALID_INPUT): copy such a tensor. */
PTS_API pts_status pts_value_borrow_tensor(const pts_tensor* tensor, pts_value** out,
                                           pts_release_fn release, void* user, pts_error* error);
/* A contiguous tensor of the library's own memory, filled from `tensor` (CPU only); tensor->data
 * may be NULL to leave the elements zero. */
PTS_API pts_status pts_value_copy_tensor(const pts_tensor* tensor, pts_value** out,
                                         pts_error* error);
/* Takes ownership of a DLPack 1.x tensor without copying it and calls its deleter when nobody uses
 * it any more; on failure the caller keeps it. `DLManagedTensorVersioned` is the struct of the
 * DLPack header, which this header doesn't need. */
struct DLManagedTensorVersioned;
PTS_API pts_status pts_value_from_dlpack(struct DLManagedTensorVersioned* managed, pts_value** out,
                                         pts_error* error);
/* A new DLPack 1.x tensor that shares the memory of a tensor value and outlives it. The caller
 * calls its deleter. */
PTS_API pts_status pts_value_to_dlpack(const pts_value* self, struct DLManagedTensorVersioned** out,
                                       pts_error* error);
/* A tensor from the bytes of a NumPy .npy file (copied), and the other way round (CPU only). */
PTS_API pts_status pts_value_from_npy(const void* data, size_t size, pts_value** out,
                                      pts_error* error);
PTS_API pts_status pts_value_to_npy(const pts_value* self, pts_bytes** out, pts_error* error);

/* PTS_NONE also for a NULL value. */
PTS_API pts_kind pts_value_kind(const pts_value* self);
/* The getters return PTS_INVALID_ARGUMENT for a value of another kind. */
PTS_API pts_status pts_value_get_bool(const pts_value* self, int32_t* out, pts_error* error);
PTS_API pts_status pts_value_get_int(const pts_value* self, int64_t* out, pts_error* error);
PTS_API pts_status pts_value_get_float(const pts_value* self, double* out, pts_error* error);
/* Borrowed until the value is changed or destroyed; NUL-terminated. `size` may be NULL. */
PTS_API pts_status pts_value_get_string(const pts_value* self, const char** out, size_t* size,
                                        pts_error* error);
/* Fills *out (whose struct_size the caller sets); its pointers are borrowed until the value is
 * changed or destroyed. */
PTS_API pts_status pts_value_get_tensor(const pts_value* self, pts_tensor* out, pts_error* error);
/* Number of items of a list, tuple or dict; 0 for anything else. */
PTS_API size_t pts_value_size(const pts_value* self);
/* Item `index` of a list or tuple, or the value at place `index` of a dict (insertion order);
 * borrowed from `self` until it is changed or destroyed. NULL when out of range. */
PTS_API const pts_value* pts_value_item(const pts_value* self, size_t index);
/* Key at place `index` of a dict; borrowed likewise. NULL when out of range. */
PTS_API const char* pts_value_key(const pts_value* self, size_t index);
/* The value under `key` of a dict; borrowed likewise. NULL when there is none. */
PTS_API const pts_value* pts_value_find(const pts_value* self, const char* key);
/* A copy of the tree; tensors share memory. */
PTS_API pts_status pts_value_copy(const pts_value* self, pts_value** out, pts_error* error);
PTS_API void pts_value_destroy(pts_value** self);

/* ---------------------------------------------------------------- sources */

/* What is published or imported: parts, each of them bytes under a name. What can be published
 * today is one part: publish and import say PTS_UNSUPPORTED for more, and PTS_INVALID_ARGUMENT for
 * none. A source may be used for several calls, one after the other.
 *
 * `path` names a part inside of what is published: UTF-8, relative, '/' between folders, without
 * empty, "." and ".." folders or control characters, at most 4096 bytes; or NULL: the part has no
 * name, and is the only one. The same path twice is PTS_ALREADY_EXISTS; a part without a name
 * beside others is PTS_INVALID_ARGUMENT. */
typedef struct pts_source pts_source;

PTS_API pts_status pts_source_create(pts_source** out, pts_error* error);

/* A regular file, opened now: what is wrong with it is told now. It must not change until the
 * source's last call has returned (PTS_CONFLICT). */
PTS_API pts_status pts_source_add_file(pts_source* self, const char* path, const char* file,
                                       pts_error* error);
/* `size` bytes in memory, borrowed until the source is destroyed. */
PTS_API pts_status pts_source_add_bytes(pts_source* self, const char* path, const void* data,
                                        size_t size, pts_error* error);

/* A file in a MongoDB database's GridFS, as any driver or mongofiles put it there. */
typedef struct pts_gridfs_file {
  size_t struct_size;
  const char* uri;      /* mongodb:// or mongodb+srv://, naming the database; its own time limits
                           count, or else 5 s to find a server and 60 s for a round trip */
  const char* bucket;   /* NULL (default) = "fs" */
  const char* filename; /* the newest file of that name; or NULL, and then */
  const char* id;       /* the file with this _id: an ObjectId as 24 hex digits, or a text */
} pts_gridfs_file;

#define PTS_GRIDFS_FILE_INIT {sizeof(pts_gridfs_file), NULL, NULL, NULL, NULL}
PTS_API void pts_gridfs_file_init(pts_gridfs_file* file);

/* A file in GridFS, which is only read: from the primary, 2 MiB at a time (or a chunk, where that
 * is more). It needs no right but to read that database. Every call that uses the source opens the
 * file anew, and says PTS_NOT_FOUND when there is none; PTS_CORRUPT when a chunk is missing, is one
 * too many or has another length than it should. */
PTS_API pts_status pts_source_add_gridfs(pts_source* self, const char* path,
                                         const pts_gridfs_file* file, pts_error* error);

/* Fills `data` with bytes [position, position + size) of the part and returns 0; anything else ends
 * the call with PTS_IO. Any thread; from one at a time unless the part is `concurrent`. Every
 * position must always give the same bytes; they may be asked for in any order and more than
 * once. */
typedef int32_t (*pts_read_fn)(void* user, uint64_t position, void* data, size_t size);

/* A part that the caller reads. */
typedef struct pts_part {
  size_t struct_size;
  uint64_t size; /* bytes */
  pts_read_fn read;
  pts_release_fn release; /* called once with `user`, by pts_source_destroy; not called when adding
                             the part fails; NULL (default) = nobody */
  void* user;
  int32_t concurrent; /* nonzero: `read` may be called from several threads at once; default 0 */
  int32_t reserved;   /* 0 */
} pts_part;

#define PTS_PART_INIT {sizeof(pts_part), 0, NULL, NULL, NULL, 0, 0}
PTS_API void pts_part_init(pts_part* part);

PTS_API pts_status pts_source_add(pts_source* self, const char* path, const pts_part* part,
                                  pts_error* error);
PTS_API void pts_source_destroy(pts_source** self);

/* ---------------------------------------------------------------- publish */

typedef struct pts_publish_options {
  size_t struct_size;
  const char* format;            /* "torchscript", "aotinductor" (a compiled .pt2 package), "opaque"
                                    (any bytes, no torch needed, can't be run), or NULL (default) =
                                    what the bytes are: torchscript or aotinductor */
  const char* alias;             /* alias to point at the new version; NULL = none */
  const char* const* label_keys; /* `label_count` keys and values, stored readable and signed */
  const char* const* label_values;
  size_t label_count;
  /* `sample_count` inputs of `forward` in order: the model is run on them once, and datatypes and
   * shapes of inputs and outputs go into the manifest; which leading dimensions are free is found
   * by running it on the sample twice over. 0 = unknown, not checked. */
  const pts_value* const* sample;
  size_t sample_count;
  const char* sample_json; /* the sample as an Open Inference Protocol V2 JSON request instead;
                              NULL = none */
  const char* weights_of;  /* a reference to a compiled version: what is published is then weights
                              for its program, which both versions share in the store: safetensors,
                              or torch.save(state_dict), checked by name, shape and datatype.
                              The keyring must open that version; NULL = a whole model */
  const char* torch_dir;   /* folder of libtorch: that of the Python package `torch`, an unpacked
                              libtorch, or what holds one of them; NULL = PTSECURE_TORCH_DIR of the
                              environment, or else the one that the library was built with. A
                              libtorch that the process already has counts first */
} pts_publish_options;

#define PTS_PUBLISH_OPTIONS_INIT \
  {sizeof(pts_publish_options), NULL, NULL, NULL, NULL, 0, NULL, 0, NULL, NULL, NULL}
PTS_API void pts_publish_options_init(pts_publish_options* options);

/* Inspects, seals, stores, signs and commits a model as the next version of `name`
 * ([A-Za-z0-9][A-Za-z0-9._-]{0,127}) and, when an alias is asked for, points it there. Creates the
 * store on first use.
 *
 * Nothing is visible before all of it is durable and signed. A call that fails gives its number up,
 * which stays unused, and removes from the store what it can; of a process that dies, what it had
 * written stays until somebody removes it by hand: the sealed bytes with their digests, and wrapped
 * content keys with their signed key records, which no version refers to, and perhaps the record of
 * the log that announced it. Neither is in the way of later publishes.
 *
 * `out_version` may be NULL; it is 0 after a failure, except when only setting the alias failed:
 * then the error says so and *out_version is the committed version. */
PTS_API pts_status pts_store_publish(pts_store* self, const char* name, pts_source* source,
                                     const pts_keyring* keys, const pts_publish_options* options,
                                     const pts_call* call, uint64_t* out_version, pts_error* error);

/* ---------------------------------------------------------------- import */

/* What opens a foreign JWE: `jwk` or `jwk_source`, one of them, and the digest of what must come
 * out. */
typedef struct pts_import_options {
  size_t struct_size;
  const char* jwk;        /* `jwk_size` bytes of JSON: a JWK (RFC 7517), private or symmetric; for
                             PBES2 an oct key whose bytes are the passphrase */
  size_t jwk_size;        /* at most 64 KiB */
  pts_source* jwk_source; /* the same from a source's only part; NULL = none */
  const char* sha256;     /* of the plaintext, 64 hex digits; NULL = not checked. Must be given with
                             an RSA or EC key, because anybody with its public part can have made
                             the JWE, and with a JWK that lies in GridFS, because whoever can write
                             there can have made both */
} pts_import_options;

#define PTS_IMPORT_OPTIONS_INIT {sizeof(pts_import_options), NULL, 0, NULL, NULL}
PTS_API void pts_import_options_init(pts_import_options* options);

/* Publishes the model that a JWE (RFC 7516) of a whole file holds, made by any JOSE library: the
 * compact, flattened or general serialisation; alg dir, A128KW, A192KW, A256KW, their GCMKW kin,
 * RSA-OAEP, RSA-OAEP-256, ECDH-ES with or without key wrapping, PBES2; enc A128GCM, A192GCM,
 * A256GCM, A128CBC-HS256, A192CBC-HS384, A256CBC-HS512; no zip. PTS_CORRUPT when what comes out has
 * another SHA-256 than the one given.
 *
 * The text is read as a stream (its last piece out of turn, and a JSON serialisation twice) and
 * decrypted to memory, which takes the model's size and a few MiB. Nothing is inspected, stored or
 * committed before the tag or MAC of the whole holds. Otherwise as pts_store_publish. */
PTS_API pts_status pts_store_import(pts_store* self, const char* name, pts_source* source,
                                    const pts_keyring* keys,
                                    const pts_import_options* import_options,
                                    const pts_publish_options* options, const pts_call* call,
                                    uint64_t* out_version, pts_error* error);

/* ---------------------------------------------------------------- copy */

/* Verifies a version here and publishes it to another store as the next version of the same name:
 * decrypted and sealed anew in one stream, signed for the target store. Of `options` the alias,
 * labels and weights_of count, and apply to the target; the sample, format and torch_dir don't. A
 * version that was published with weights_of takes the program along, sealed for the copy; or, with
 * options->weights_of, a reference in the target whose program is the same (PTS_INVALID_ARGUMENT),
 * it shares that one. */
PTS_API pts_status pts_store_copy(pts_store* self, const char* reference, const pts_keyring* keys,
                                  pts_store* target, const pts_keyring* target_keys,
                                  const pts_publish_options* options, const pts_call* call,
                                  uint64_t* out_version, pts_error* error);

/* ---------------------------------------------------------------- aliases, key status, the log */

/* Every alias is a chain of signed records: each names the one before it by its digest, and carries
 * a sequence (1, 2, ...), a time and a reason. The last one counts. Changing an alias appends one
 * and needs a key that may sign alias records and log records of that name; PTS_CONFLICT when
 * another operator was faster: then nothing was changed. `reason` may be NULL.
 *
 * Every change, publishes too, is announced in the store's log before it takes effect and confirmed
 * after. The log is one more chain. */

/* Points an alias at a committed version, verified first. */
PTS_API pts_status pts_store_set_alias(pts_store* self, const char* name, const char* alias,
                                       uint64_t version, const char* reason,
                                       const pts_keyring* keys, const pts_call* call,
                                       pts_error* error);
/* Points it back at `version`, or (0) at the version it pointed at before the present one; doing so
 * again goes back further. That version's content key must be enabled (PTS_REVOKED). `alias` NULL =
 * the model's only one. `out_version` may be NULL. */
PTS_API pts_status pts_store_rollback_alias(pts_store* self, const char* name, const char* alias,
                                            uint64_t version, const char* reason,
                                            const pts_keyring* keys, const pts_call* call,
                                            uint64_t* out_version, pts_error* error);
/* Ends an alias by a record that says so; its history stays, and setting it again continues it. */
PTS_API pts_status pts_store_delete_alias(pts_store* self, const char* name, const char* alias,
                                          const char* reason, const pts_keyring* keys,
                                          const pts_call* call, pts_error* error);
/* A verified JSON array of a model's aliases, an object each: {"alias", "version", "sequence",
 * "time", "reason", "manifest", "record", "signer", "signer_trusted"}. manifest: SHA-256 of the
 * payload bytes of the version's manifest, as pts_open_options takes it; record: SHA-256 of the
 * record; both base64url. Deleted aliases are left out. PTS_NOT_FOUND: there is no such model. */
PTS_API pts_status pts_store_list_aliases(pts_store* self, const char* name,
                                          const pts_keyring* keys, const pts_call* call, char** out,
                                          pts_error* error);
/* One such object. */
PTS_API pts_status pts_store_show_alias(pts_store* self, const char* name, const char* alias,
                                        const pts_keyring* keys, const pts_call* call, char** out,
                                        pts_error* error);
/* An array of such objects, one a record, oldest first. A deletion has "version" null and
 * "deleted" true. "signer_trusted" false: the keyring no longer holds or trusts that record's
 * signer, and the records after it vouch for it. */
PTS_API pts_status pts_store_alias_history(pts_store* self, const char* name, const char* alias,
                                           const pts_keyring* keys, const pts_call* call,
                                           char** out, pts_error* error);
/* Sets the status of the content key of a version: "enabled", "disabled" or "destroyed" (terminal;
 * its wrapped keys are removed from this store). Openers refuse a key that isn't enabled. The
 * status that it has is signed anew where another key than this keyring's had signed it. */
PTS_API pts_status pts_store_set_key_status(pts_store* self, const char* reference,
                                            const char* status, const char* reason,
                                            const pts_keyring* keys, const pts_call* call,
                                            pts_error* error);
/* The log from record `first` on, at most `limit` records (0 = all), verified: a JSON array of
 * {"sequence", "what", "name", "version", "alias", "manifest", "chain", "chain_sequence",
 * "confirms", "time", "reason", "signer", "signer_trusted", "record"}, those that apply. what:
 * "publish", "alias", "alias-delete", "key", "apikey", or "done": confirms that the change
 * announced by record `confirms` was made. */
PTS_API pts_status pts_store_log(pts_store* self, const pts_keyring* keys, uint64_t first,
                                 uint64_t limit, const pts_call* call, char** out,
                                 pts_error* error);

/* One finding of pts_store_verify or pts_store_verify_log: `check` names what was looked at
 * ("index", "manifest", "key records", "wrapped keys", "payload model", "alias production", "log
 * record 7", ...), `status` is PTS_OK or what is wrong, `detail` one sentence. Borrowed during the
 * callback. Return 0 to go on, anything else to end the call with PTS_CANCELLED. */
typedef int32_t (*pts_check_fn)(void* user, const char* check, pts_status status,
                                const char* detail);
/* Verifies every record of the log, that none is missing, altered or out of order, that each change
 * it announces is in the store as announced, and that nothing is there that it doesn't announce. A
 * change that was announced and neither confirmed nor made (its writer was interrupted) is a
 * finding of PTS_OK. That newer records were cut off shows against a head that is known: `head`
 * ("SEQUENCE:DIGEST" as the finding "log head" gives it; NULL = none), and the store's state. Goes
 * on after a finding; returns the status of the first that isn't PTS_OK. `check` may be NULL. */
PTS_API pts_status pts_store_verify_log(pts_store* self, const pts_keyring* keys, const char* head,
                                        const pts_call* call, pts_check_fn check, void* user,
                                        pts_error* error);

/* ---------------------------------------------------------------- state */

/* A state file remembers, for every store it is used with, the store's id, the last record seen of
 * every chain (alias, content key, log), and the newest version seen of every model. With one
 * (pts_store_options.state) a store can't show an older history than it has shown before, nor
 * another store in its place: PTS_ROLLBACK says what is missing. Without one, and in a fresh file,
 * only pts_open_options.manifest, min_sequence and max_age_s protect from old records that were
 * properly signed once. A file may be shared by any number of threads, processes and stores. */

/* Where the `ptsecure` command keeps it: $XDG_STATE_HOME/ptsecure/state.json, or
 * ~/.local/state/ptsecure/state.json. The library itself uses no state file unasked. */
PTS_API pts_status pts_state_default_path(char** out, pts_error* error);
/* The file's JSON: {"ptsecure": 1, "places": {place: store id}, "stores": {store id: {"chains":
 * {chain: {"sequence", "record"}}, "versions": {name: {"version", "manifest"}}}}}. A file that
 * isn't there remembers nothing. */
PTS_API pts_status pts_state_show(const char* path, char** out, pts_error* error);
/* Forgets a store, by its URI or its id (PTS_NOT_FOUND), or everything (NULL; also when the file is
 * damaged). What the store shows next is believed and remembered. */
PTS_API pts_status pts_state_reset(const char* path, const char* store, pts_error* error);

/* ---------------------------------------------------------------- API keys */

/* What clients show to a server. A key is the text "pts_" ID "_" SECRET: 16 lower-case hex digits
 * and 256 random bits in base64url (RFC 4648 section 5, no padding), 64 characters in all. The
 * store holds a chain of signed records per ID with the SHA-256 of the secret, never the secret.
 * API keys reach over models, so only a signing key trusted for records of kind "apikey" and for
 * every name ("*") counts. */

enum { PTS_SCOPE_INFER = 1, PTS_SCOPE_ADMIN = 2 };

typedef struct pts_apikey_options {
  size_t struct_size;
  const char* owner;         /* whom it is for: 1 to 128 bytes without control characters */
  const char* const* models; /* `model_count` (1 to 64) model names, or prefixes followed by '*' */
  size_t model_count;
  int32_t scopes;      /* PTS_SCOPE_INFER, PTS_SCOPE_ADMIN or both, by '|' */
  uint32_t burst;      /* requests at once; 0 (default) = one second's, at least 1 */
  double rate;         /* requests per second, e.g. 0.5; 0 (default) = unlimited */
  uint64_t bytes_rate; /* tensor bytes per second; 0 (default) = unlimited */
  int64_t not_before;  /* seconds since 1970, UTC; 0 (default) = at once */
  int64_t expires;     /* seconds since 1970, UTC; 0 (default) = never */
  const char* reason;  /* NULL = none */
} pts_apikey_options;

#define PTS_APIKEY_OPTIONS_INIT \
  {sizeof(pts_apikey_options), NULL, NULL, 0, PTS_SCOPE_INFER, 0, 0, 0, 0, 0, NULL}
PTS_API void pts_apikey_options_init(pts_apikey_options* options);

/* Makes an API key. *out_key is its text, not NUL-terminated, which exists nowhere else and can't
 * be had again; *out_record what pts_store_show_apikey would give (NULL: not wanted). Needs a key
 * that may sign API keys. */
PTS_API pts_status pts_store_create_apikey(pts_store* self, const pts_keyring* keys,
                                           const pts_apikey_options* options, const pts_call* call,
                                           pts_bytes** out_key, char** out_record,
                                           pts_error* error);
/* A verified JSON array of all API keys by id: what pts_store_show_apikey gives of each; of one
 * whose records are not to be trusted {"id", "error"}. */
PTS_API pts_status pts_store_list_apikeys(pts_store* self, const pts_keyring* keys,
                                          const pts_call* call, char** out, pts_error* error);
/* A verified JSON object {"id", "owner", "scopes": ["infer", "admin"], "models", "state" ("active",
 * "disabled" or "deleted"), "not_before", "expires", "created" (RFC 3339 or null), "rate", "burst",
 * "bytes_rate" (null = unlimited), "old_secret_until" (of a rotated key, or null), "sequence",
 * "time", "reason", "signer"}. */
PTS_API pts_status pts_store_show_apikey(pts_store* self, const char* id, const pts_keyring* keys,
                                         const pts_call* call, char** out, pts_error* error);
/* "active", "disabled" or "deleted", which is final (PTS_REVOKED afterwards). `reason` may be NULL.
 * PTS_CONFLICT when another operator was faster. */
PTS_API pts_status pts_store_set_apikey_state(pts_store* self, const char* id, const char* state,
                                              const char* reason, const pts_keyring* keys,
                                              const pts_call* call, pts_error* error);
/* Gives the same id a new secret. The one before it stays valid for `grace_seconds` (0 = not at
 * all), any older one no longer. Outputs as in pts_store_create_apikey. */
PTS_API pts_status pts_store_rotate_apikey(pts_store* self, const char* id, uint64_t grace_seconds,
                                           const char* reason, const pts_keyring* keys,
                                           const pts_call* call, pts_bytes** out_key,
                                           char** out_record, pts_error* error);

/* Size of an ID with its NUL, and room to grow. */
#define PTS_APIKEY_ID_SIZE 24

/* The ID in a presented text (`size` bytes; NULL and 0 = none) that has the form of a key; "" when
 * it hasn't. No store is asked: it says nothing about whether there is such a key. */
PTS_API pts_status pts_apikey_id(const char* presented, size_t size, char out[PTS_APIKEY_ID_SIZE],
                                 pts_error* error);

/* Checks the API keys that requests bring. Any thread, also several at once. A thread of its own
 * asks the store which keys have changed, so that a key that was disabled, deleted or rotated is
 * refused within 2 s while the store answers (see grace_ms for when it doesn't); a check reads
 * memory alone, apart from the first one of an id. It remembers the newest record it has seen of
 * every id it has checked, and refuses the records of an id that don't continue from there
 * (PTS_ROLLBACK, PTS_UNTRUSTED), so that what it has seen disabled stays so whatever is done to the
 * store. After a fork the child's calls fail with PTS_CLOSED: open another one. */
typedef struct pts_apikeys pts_apikeys;

typedef struct pts_apikeys_options {
  size_t struct_size;
  int32_t grace_ms;   /* how long keys stay valid while the store can't be asked; default 60000 */
  int32_t refresh_ms; /* how often the store is asked, 10 to 1000; default 500 */
} pts_apikeys_options;

#define PTS_APIKEYS_OPTIONS_INIT {sizeof(pts_apikeys_options), 60000, 500}
PTS_API void pts_apikeys_options_init(pts_apikeys_options* options);

/* `keys` must hold the public key of those who sign API keys. Asks the store once. */
PTS_API pts_status pts_apikeys_open(pts_store* store, const pts_keyring* keys,
                                    const pts_apikeys_options* options, const pts_call* call,
                                    pts_apikeys** out, pts_error* error);

typedef struct pts_apikey_request {
  size_t struct_size;
  const char* model; /* what it is about; NULL (default) = no model with PTS_SCOPE_INFER, all
                        models with PTS_SCOPE_ADMIN (the key must be for "*") */
  int32_t scope;     /* PTS_SCOPE_INFER (default) or PTS_SCOPE_ADMIN */
  int32_t uncounted; /* nonzero: asks only whether the key may; its rates are left alone */
  uint64_t bytes;    /* tensor bytes that the request brings, as far as known */
} pts_apikey_request;

#define PTS_APIKEY_REQUEST_INIT {sizeof(pts_apikey_request), NULL, PTS_SCOPE_INFER, 0, 0}
PTS_API void pts_apikey_request_init(pts_apikey_request* request);

typedef struct pts_apikey_result {
  size_t struct_size;
  uint64_t retry_after_ms;     /* with PTS_RATE_LIMITED; else 0 */
  char id[PTS_APIKEY_ID_SIZE]; /* "" unless the key is authentic */
  char owner[136];             /* likewise */
} pts_apikey_result;

#define PTS_APIKEY_RESULT_INIT {sizeof(pts_apikey_result), 0, {0}, {0}}
PTS_API void pts_apikey_result_init(pts_apikey_result* result);

/* Whether the presented text (`size` bytes; NULL and 0 = none) is a key that may do this now.
 * PTS_OK: it may, and its rates have been charged. PTS_UNAUTHENTICATED: there is no such key; or it
 * is disabled, deleted, expired or not valid yet, which is said only to whoever holds its secret.
 * PTS_FORBIDDEN: a valid key, but neither scope nor model is within it. PTS_RATE_LIMITED: over its
 * requests or bytes per second, and nothing was charged; each checker counts by itself.
 * PTS_UNAVAILABLE: the store hasn't answered for longer than grace_ms, or was needed and didn't
 * answer. Others (PTS_UNTRUSTED, PTS_ROLLBACK, PTS_CORRUPT): the key's records are not to be
 * trusted. Secrets are compared in constant time. Waits for the store at most about 2 s, and no
 * longer than `call` says. `result` may be NULL. */
PTS_API pts_status pts_apikeys_check(pts_apikeys* self, const char* presented, size_t size,
                                     const pts_apikey_request* request, const pts_call* call,
                                     pts_apikey_result* result, pts_error* error);
/* Charges `bytes` more to a key that was checked, e.g. those of the answer; later requests wait for
 * them. Unknown ids are ignored. */
PTS_API pts_status pts_apikeys_charge(pts_apikeys* self, const char* id, uint64_t bytes,
                                      pts_error* error);
/* What this checker has seen, a JSON array by id: {"id", "owner", "last_used" (RFC 3339),
 * "requests", "bytes", "limited" (refused by rate)}. Kept in memory only, lost with the checker. */
PTS_API pts_status pts_apikeys_usage(const pts_apikeys* self, char** out, pts_error* error);
/* Ends its thread; waits at most about a second. */
PTS_API void pts_apikeys_destroy(pts_apikeys** self);

/* ---------------------------------------------------------------- fetch, verify, decrypt */

/* What is authenticated while opening. */
enum {
  PTS_VERIFY_SIGNED =
      0,              /* signature, key commitment, every segment's signed digest, every AEAD tag */
  PTS_VERIFY_AEAD = 1 /* tensor bytes rest on the AEAD alone: for those who trust every holder of
                         the content key; faster */
};

/* What is done to a TorchScript program after it is loaded, at the cost of a longer open (what runs
 * gain and opens lose depends on the model; docs/performance.md measures one). Each needs a model
 * exported in eval mode and without state of its own (PTS_UNSUPPORTED otherwise); answers may
 * differ in the last bits. Programs that were compiled ahead are as they are: for them it does
 * nothing.
 * FREEZE: torch.jit.freeze. Weights become constants of the program, which is then simplified;
 * what isn't folded stays in the memory it is in.
 * INFERENCE: torch.jit.optimize_for_inference. The same, then layers are fused and weights copied
 * to layouts that suit the machine: up to twice the model's memory. */
enum { PTS_OPTIMIZE_NONE = 0, PTS_OPTIMIZE_FREEZE = 1, PTS_OPTIMIZE_INFERENCE = 2 };

typedef struct pts_open_options {
  size_t struct_size;
  int32_t verify;     /* PTS_VERIFY_SIGNED (default) or PTS_VERIFY_AEAD */
  int32_t optimize;   /* PTS_OPTIMIZE_NONE (default), PTS_OPTIMIZE_FREEZE, PTS_OPTIMIZE_INFERENCE */
  const char* device; /* "cpu" (NULL, the default), "cuda" or "cuda:N". A process that uses
                         both opens one on a GPU first: libtorch looks for its CUDA part
                         once, as early as with a model that runs on the CPU */
  int32_t intra_op_threads; /* threads one run may use; 0 (default) = libtorch's own choice */
  int32_t warm_up_runs;     /* runs on zeros before the model is returned, when the manifest knows
                               all input shapes (free dimensions = 1); default 0 */
  const char* torch_dir;    /* as in pts_publish_options */
  /* What a reference must come up to when it is resolved (fetch, model_open, verify): protection
   * from old records where no state remembers newer ones. Falling short is PTS_ROLLBACK. */
  const char* manifest;  /* SHA-256 of the payload bytes of the version's manifest, in base64url or
                            hexadecimal; NULL (default) = any */
  uint64_t min_sequence; /* of the alias's last record; only with NAME@alias; 0 (default) = any */
  uint64_t max_age_s;    /* how long ago that record was signed, in seconds by its own time, so that
                            an alias must be set anew at least this often. One dated more than 300 s
                            into the future is refused too. Allow for how far clocks may differ;
                            0 (default) = any age */
} pts_open_options;

#define PTS_OPEN_OPTIONS_INIT \
  {sizeof(pts_open_options), PTS_VERIFY_SIGNED, PTS_OPTIMIZE_NONE, NULL, 0, 0, NULL, NULL, 0, 0}
PTS_API void pts_open_options_init(pts_open_options* options);

/* A version whose manifest has been verified; nothing is decrypted yet. */
typedef struct pts_package pts_package;

/* Resolves a reference ("name" = newest, "name/7", "name@alias"), verifies the alias record and
 * the manifest with the keyring's trusted keys, and checks the key's status. Of the options,
 * manifest, min_sequence and max_age_s count here. */
PTS_API pts_status pts_store_fetch(pts_store* self, const char* reference, const pts_keyring* keys,
                                   const pts_open_options* options, const pts_call* call,
                                   pts_package** out, pts_error* error);
/* Borrowed until the package is destroyed. */
PTS_API const char* pts_package_name(const pts_package* self);
PTS_API uint64_t pts_package_version(const pts_package* self);
/* The signed manifest's JSON, exactly as signed; borrowed likewise. */
PTS_API const char* pts_package_manifest(const pts_package* self);
/* Plaintext bytes of the model. */
PTS_API uint64_t pts_package_size(const pts_package* self);
/* A ready Open Inference Protocol V2 infer request body for this model (free dimensions = 1). */
PTS_API pts_status pts_package_example(const pts_package* self, char** out, pts_error* error);

/* Decrypts the whole model to memory, always at level PTS_VERIFY_SIGNED: which of the bytes are
 * tensors isn't known here. */
PTS_API pts_status pts_package_decrypt(pts_package* self, const pts_open_options* options,
                                       const pts_call* call, pts_bytes** out, pts_error* error);
/* Receives the next `size` plaintext bytes, in order, each segment authenticated before it is
 * handed out; only PTS_OK from the call says that all of them were good and none is missing. Return
 * 0 to go on, anything else to end the call with PTS_CANCELLED. `data` is borrowed during the
 * callback. */
typedef int32_t (*pts_sink_fn)(void* user, const void* data, size_t size);
PTS_API pts_status pts_package_stream(pts_package* self, const pts_open_options* options,
                                      const pts_call* call, pts_sink_fn sink, void* user,
                                      pts_error* error);
/* Writes the version's standard parts into a new or empty folder: payload.bin (Tink streaming
 * AEAD), key-N.jwe (encrypted JWK), manifest.jws, digests.bin, README.txt. The payload isn't
 * decrypted; the keyring must unwrap the content key, which is checked against the manifest. */
PTS_API pts_status pts_package_export(pts_package* self, const char* folder,
                                      const pts_open_options* options, const pts_call* call,
                                      pts_error* error);
PTS_API void pts_package_destroy(pts_package** self);

/* Verifies all that is stored about a reference, every segment of the payload included (with a key
 * that unwraps: the AEAD tags too; without one the signed digests alone), every alias of the model
 * and the store's own index entries for it. Goes on after a failed check; returns the status of
 * the first failed one, PTS_OK when all hold. `check` may be NULL. */
PTS_API pts_status pts_store_verify(pts_store* self, const char* reference, const pts_keyring* keys,
                                    const pts_open_options* options, const pts_call* call,
                                    pts_check_fn check, void* user, pts_error* error);
/* A verified JSON object about a reference: the manifest's members, plus "aliases", "signer" and
 * "key_status". */
PTS_API pts_status pts_store_show(pts_store* self, const char* reference, const pts_keyring* keys,
                                  const pts_call* call, char** out, pts_error* error);

/* ---------------------------------------------------------------- model */

/* A loaded model, ready to run. From several threads at once: calls on a stateless model run side
 * by side; calls on a stateful one (see its metadata) run one after the other, and obey their
 * pts_call while they wait for their turn; so give each stream its own fork. */
typedef struct pts_model pts_model;

/* Loads a fetched package. */
PTS_API pts_status pts_package_load(pts_package* self, const pts_open_options* options,
                                    const pts_call* call, pts_model** out, pts_error* error);
/* Fetch, verify, decrypt and load as one pipeline; returns only after every byte has been
 * authenticated. */
PTS_API pts_status pts_model_open(pts_store* store, const char* reference, const pts_keyring* keys,
                                  const pts_open_options* options, const pts_call* call,
                                  pts_model** out, pts_error* error);
/* Puts the weights of a fetched package under the program of a model that is open, which must be
 * the same program (PTS_INVALID_ARGUMENT otherwise; see pts_publish_options.weights_of): runs under
 * way end with the old weights, later ones use the new ones, and nothing waits for the weights to
 * be decrypted. *out is the model as that version. `running` and its stateless forks answer with
 * the new weights too, under the name and version they had; state starts anew. On failure nothing
 * has changed. PTS_UNSUPPORTED when the engine or the package can't: then load it beside `running`.
 */
PTS_API pts_status pts_package_swap(pts_package* self, const pts_model* running,
                                    const pts_open_options* options, const pts_call* call,
                                    pts_model** out, pts_error* error);
/* Borrowed until the model is destroyed. */
PTS_API const char* pts_model_name(const pts_model* self);
PTS_API uint64_t pts_model_version(const pts_model* self);
/* A JSON object, borrowed likewise: the Open Inference Protocol V2 model metadata ("name",
 * "versions", "platform", "inputs", "outputs") and "stateful", "weight_bytes", "methods". */
PTS_API const char* pts_model_metadata(const pts_model* self);
/* A ready V2 infer request body for this model (free dimensions = 1). */
PTS_API pts_status pts_model_example(const pts_model* self, char** out, pts_error* error);

typedef struct pts_infer_options {
  size_t struct_size;
  const char* method;             /* NULL (default) = "forward" */
  const char* const* input_names; /* one per input, or NULL (default) = by position; entries may be
                                     NULL for leading positional ones */
} pts_infer_options;

#define PTS_INFER_OPTIONS_INIT {sizeof(pts_infer_options), NULL, NULL}
PTS_API void pts_infer_options_init(pts_infer_options* options);

/* Runs the model. Inputs are checked against the manifest first (PTS_INVALID_INPUT says what was
 * expected) and shared, not copied; they must not be changed during the call. What the model
 * returns is *out: for a tuple, a PTS_TUPLE. Outputs may share memory with inputs when the model
 * returns them. With a model on a GPU, inputs are copied there, and outputs back to the CPU unless
 * an input lies on a GPU: then they stay on the model's device. */
PTS_API pts_status pts_model_infer(const pts_model* self, const pts_value* const* inputs,
                                   size_t input_count, const pts_infer_options* options,
                                   const pts_call* call, pts_value** out, pts_error* error);
/* Runs the model on an Open Inference Protocol V2 JSON request of `size` bytes; *out is the JSON
 * response. */
PTS_API pts_status pts_model_infer_json(const pts_model* self, const char* request, size_t size,
                                        const pts_infer_options* options, const pts_call* call,
                                        char** out, pts_error* error);

/* Binary inputs of pts_model_infer_v2 that begin at a multiple of this in memory are never copied
 * for their alignment. A power of two. */
PTS_API size_t pts_infer_alignment(void);

/* What one request was and what it took. */
typedef struct pts_infer_info {
  size_t struct_size;
  size_t json_size;   /* of the response; what stands behind it is binary data */
  uint64_t batch;     /* leading extent of the first input of which the signature leaves it free;
                         else 1 */
  uint64_t decode_ns; /* reading the request */
  uint64_t run_ns;    /* checking the inputs and running the model */
  uint64_t encode_ns; /* writing the response */
} pts_infer_info;

#define PTS_INFER_INFO_INIT {sizeof(pts_infer_info), 0, 0, 0, 0, 0}
PTS_API void pts_infer_info_init(pts_infer_info* info);

/* Runs the model on a V2 request with the binary tensor extension: `json_size` bytes of JSON and,
 * behind them, the bytes of the inputs that have a `binary_data_size`, in turn. *out is the
 * response, built the same way; outputs are binary where the request asks for it. `info` may be
 * NULL; it is filled on success.
 * With a `release` binary inputs are not copied where their place in `body` is aligned (to
 * pts_infer_alignment; a smaller one may do; BOOL is copied): the model may write to them, and
 * `body` must stay valid until `release` is called with `user`. That happens exactly once, on any
 * thread, during the call or after it, and also when the call fails. A NULL `release` copies:
 * `body` is only read, and only during the call. */
PTS_API pts_status pts_model_infer_v2(const pts_model* self, void* body, size_t size,
                                      size_t json_size, const pts_infer_options* options,
                                      const pts_call* call, pts_bytes** out, pts_infer_info* info,
                                      pts_release_fn release, void* user, pts_error* error);
/* Runs the model on a KServe V1 request of `size` bytes: {"instances": [a value or an object of
 * inputs per row]} or {"inputs": the value of the only input, or an object of them}, arrays nested
 * as the tensors are. *out is {"predictions": ...}: per row for instances with several outputs, an
 * object of outputs; else the output or an object of them. Datatypes come from the model's
 * signature, which has to be known. `info` as above. */
PTS_API pts_status pts_model_infer_v1(const pts_model* self, const char* request, size_t size,
                                      const pts_infer_options* options, const pts_call* call,
                                      char** out, pts_infer_info* info, pts_error* error);
/* A result of this model as the V2 JSON response that pts_model_infer_json would give; the method
 * in `options` is the one that made it. */
PTS_API pts_status pts_model_result_json(const pts_model* self, const pts_value* result,
                                         const pts_infer_options* options, char** out,
                                         pts_error* error);
/* A handle that shares the weights and owns a copy of the buffers and other state as they are now,
 * once a run of a stateful model that is under way has ended. */
PTS_API pts_status pts_model_fork(const pts_model* self, const pts_call* call, pts_model** out,
                                  pts_error* error);
PTS_API void pts_model_destroy(pts_model** self);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* PTSECURE_PTSECURE_H_ */
