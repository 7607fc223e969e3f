/* What Go can't say by itself: callbacks whose user pointer is a cgo.Handle, and one inference in
 * one crossing from Go to C. */
#ifndef PTSECURE_GO_SHIM_H_
#define PTSECURE_GO_SHIM_H_

#include <ptsecure/ptsecure.h>

/* `progress`, `sink` and `check` are the cgo.Handle of a *Callbacks, `log` that of a *Log, `reader`
 * that of a *reader; 0 = none. */
void ptsgo_call_init(pts_call* call, const pts_cancel* cancel, uintptr_t progress);
pts_status ptsgo_store_open(const char* uri, const pts_store_options* options, uintptr_t log,
                            pts_store** out, pts_error* error);
/* A part without a name. `reader` is released with the source, unless adding it fails. */
pts_status ptsgo_source_add_reader(pts_source* self, uint64_t size, uintptr_t reader,
                                   pts_error* error);
pts_status ptsgo_package_stream(pts_package* self, const pts_open_options* options,
                                const pts_call* call, uintptr_t sink, pts_error* error);
pts_status ptsgo_store_verify(pts_store* self, const char* reference, const pts_keyring* keys,
                              const pts_open_options* options, const pts_call* call,
                              uintptr_t check, pts_error* error);
pts_status ptsgo_store_verify_log(pts_store* self, const pts_keyring* keys, const char* head,
                                  const pts_call* call, uintptr_t check, pts_error* error);

enum { PTSGO_MAX_RANK = 16 };

/* A tensor described without pointers but that to its data, so that Go pins nothing else. */
typedef struct ptsgo_tensor {
  void* data;
  int32_t dtype;
  int32_t rank;
  int32_t strided; /* nonzero: `strides` is set; else row-major */
  int32_t device_type;
  int64_t shape[PTSGO_MAX_RANK];
  int64_t strides[PTSGO_MAX_RANK];
} ptsgo_tensor;

/* One input: `value` when that isn't NULL, else `tensor`. */
typedef struct ptsgo_input {
  const pts_value* value;
  ptsgo_tensor tensor;
  int32_t stays;        /* nonzero: the tensor's memory is the record's own, at the same place again
                           in the next call */
  ptsgo_tensor kept_as; /* what `kept` is */
  pts_value* kept;      /* the value that the last call made of such memory, or NULL */
} ptsgo_input;

/* A tensor value over the described memory (`copy` = 0), or over a copy of it. */
pts_status ptsgo_tensor_value(const ptsgo_tensor* tensor, int32_t copy, pts_value** out,
                              pts_error* error);
/* What a tensor value holds; borrowed from it. */
pts_status ptsgo_describe_tensor(const pts_value* value, ptsgo_tensor* out, pts_error* error);

enum { PTSGO_FEW_INPUTS = 4, PTSGO_SMALL_INPUTS = 4096, PTSGO_SMALL_ANSWER = 4096 };

/* The record of one inference, in C's memory, where Go's collector and its pointer checks have
 * nothing to look at. */
typedef struct ptsgo_inference {
  const pts_model* model;
  const pts_infer_options* options;
  const pts_call* call;
  ptsgo_input* inputs; /* `few`, or an array elsewhere */
  size_t count;
  int32_t copy; /* nonzero: a tensor on the CPU, row-major and small, is copied into `answer`, and
                   `out` is NULL */
  pts_kind kind;
  pts_value* out;
  ptsgo_tensor tensor; /* for a tensor: what it holds */
  pts_error error;
  ptsgo_input few[PTSGO_FEW_INPUTS];
  /* Small inputs, of up to this many bytes together, are copied here, aligned to 64 bytes as
   * libtorch's own memory: pinning them costs more. */
  unsigned char small[PTSGO_SMALL_INPUTS + 63];
  unsigned char answer[PTSGO_SMALL_ANSWER];
} ptsgo_inference;

void ptsgo_inference_free(ptsgo_inference* self);

/* Runs the model. `inference` is the address of a ptsgo_inference: an integer isn't checked for Go
 * pointers. */
pts_status ptsgo_infer(uintptr_t inference);

#endif
