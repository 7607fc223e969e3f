#include "shim.h"

#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

static int32_t on_progress(void* user, uint64_t done, uint64_t total) {
  return ptsgoProgress((uintptr_t)user, done, total);
}

static int32_t on_read(void* user, uint64_t position, void* data, size_t size) {
  return ptsgoRead((uintptr_t)user, position, data, size);
}

static int32_t on_sink(void* user, const void* data, size_t size) {
  return ptsgoSink((uintptr_t)user, (void*)data, size);
}

static int32_t on_check(void* user, const char* check, pts_status status, const char* detail) {
  return ptsgoCheck((uintptr_t)user, (char*)check, status, (char*)detail);
}

static void on_log(void* user, int32_t level, const char* message) {
  ptsgoLog((uintptr_t)user, level, (char*)message);
}

static pts_progress_fn progress_of(uintptr_t callbacks) {
  return callbacks != 0 ? on_progress : NULL;
}

pts_status ptsgo_store_open(const char* uri, const pts_store_options* options, uintptr_t log,
                            pts_store** out, pts_error* error) {
  pts_store_options with_log = *options;
  if (log != 0) {
    with_log.log = on_log;
    with_log.log_user = (void*)log;
  }
  return pts_store_open(uri, &with_log, out, error);
}

pts_status ptsgo_publish_file(pts_store* self, const char* name, const char* path,
                              const pts_keyring* keys, const pts_publish_options* options,
                              uint64_t* version, uintptr_t callbacks, pts_error* error) {
  return pts_store_publish_file(self, name, path, keys, options, version, progress_of(callbacks),
                                (void*)callbacks, error);
}

pts_status ptsgo_publish_bytes(pts_store* self, const char* name, const void* data, size_t size,
                               const pts_keyring* keys, const pts_publish_options* options,
                               uint64_t* version, uintptr_t callbacks, pts_error* error) {
  return pts_store_publish_bytes(self, name, data, size, keys, options, version,
                                 progress_of(callbacks), (void*)callbacks, error);
}

pts_status ptsgo_publish_read(pts_store* self, const char* name, uint64_t size,
                              const pts_keyring* keys, const pts_publish_options* options,
                              uint64_t* version, uintptr_t callbacks, pts_error* error) {
  return pts_store_publish_read(self, name, size, keys, options, version, on_read,
                                progress_of(callbacks), (void*)callbacks, error);
}

pts_status ptsgo_import_file(pts_store* self, const char* name, const char* path, const char* jwk,
                             size_t jwk_size, const char* sha256, const pts_keyring* keys,
                             const pts_publish_options* options, uint64_t* version,
                             uintptr_t callbacks, pts_error* error) {
  return pts_store_import_file(self, name, path, jwk, jwk_size, sha256, keys, options, version,
                               progress_of(callbacks), (void*)callbacks, error);
}

pts_status ptsgo_import_read(pts_store* self, const char* name, uint64_t size, const char* jwk,
                             size_t jwk_size, const char* sha256, const pts_keyring* keys,
                             const pts_publish_options* options, uint64_t* version,
                             uintptr_t callbacks, pts_error* error) {
  return pts_store_import_read(self, name, size, jwk, jwk_size, sha256, keys, options, version,
                               on_read, progress_of(callbacks), (void*)callbacks, error);
}

pts_status ptsgo_import_gridfs(pts_store* self, const char* name, const pts_gridfs_file* file,
                               const char* jwk, size_t jwk_size, const char* sha256,
                               const pts_keyring* keys, const pts_publish_options* options,
                               uint64_t* version, uintptr_t callbacks, pts_error* error) {
  return pts_store_import_gridfs(self, name, file, jwk, jwk_size, sha256, keys, options, version,
                                 progress_of(callbacks), (void*)callbacks, error);
}

pts_status ptsgo_package_decrypt(pts_package* self, const pts_open_options* options,
                                 pts_bytes** out, uintptr_t callbacks, pts_error* error) {
  return pts_package_decrypt(self, options, out, progress_of(callbacks), (void*)callbacks, error);
}

pts_status ptsgo_package_stream(pts_package* self, const pts_open_options* options,
                                uintptr_t callbacks, pts_error* error) {
  return pts_package_stream(self, options, on_sink, (void*)callbacks, error);
}

pts_status ptsgo_package_export(pts_package* self, const char* folder,
                                const pts_open_options* options, uintptr_t callbacks,
                                pts_error* error) {
  return pts_package_export(self, folder, options, progress_of(callbacks), (void*)callbacks, error);
}

pts_status ptsgo_package_load(pts_package* self, const pts_open_options* options, pts_model** out,
                              uintptr_t callbacks, pts_error* error) {
  return pts_package_load(self, options, out, progress_of(callbacks), (void*)callbacks, error);
}

pts_status ptsgo_model_open(pts_store* store, const char* reference, const pts_keyring* keys,
                            const pts_open_options* options, pts_model** out, uintptr_t callbacks,
                            pts_error* error) {
  return pts_model_open(store, reference, keys, options, out, progress_of(callbacks),
                        (void*)callbacks, error);
}

pts_status ptsgo_store_verify(pts_store* self, const char* reference, const pts_keyring* keys,
                              const pts_open_options* options, uintptr_t callbacks,
                              pts_error* error) {
  return pts_store_verify(self, reference, keys, options, on_check, progress_of(callbacks),
                          (void*)callbacks, error);
}

pts_status ptsgo_store_verify_log(pts_store* self, const pts_keyring* keys, const char* head,
                                  const pts_cancel* cancel, uintptr_t callbacks, pts_error* error) {
  return pts_store_verify_log(self, keys, head, cancel, on_check, (void*)callbacks, error);
}

pts_status ptsgo_store_copy(pts_store* self, const char* reference, const pts_keyring* keys,
                            pts_store* target, const pts_keyring* target_keys,
                            const pts_publish_options* options, uint64_t* version,
                            uintptr_t callbacks, pts_error* error) {
  return pts_store_copy(self, reference, keys, target, target_keys, options, version,
                        progress_of(callbacks), (void*)callbacks, error);
}

pts_status ptsgo_tensor_value(const ptsgo_tensor* tensor, int32_t copy, pts_value** out,
                              pts_error* error) {
  pts_tensor view = PTS_TENSOR_INIT;
  view.dtype = tensor->dtype;
  view.rank = tensor->rank;
  view.shape = tensor->shape;
  view.strides = tensor->strided ? tensor->strides : NULL;
  view.data = tensor->data;
  view.read_only = 1;
  /* Nothing but the values of one call shares the memory, so there is nothing to be told. */
  return copy ? pts_value_copy_tensor(&view, out, error)
              : pts_value_borrow_tensor(&view, out, NULL, NULL, error);
}

static int row_major(const pts_tensor* view) {
  int64_t expected = 1;
  for (int32_t i = view->rank - 1; i >= 0; --i) {
    if (view->shape[i] != 1 && view->strides[i] != expected) return 0;
    expected *= view->shape[i];
  }
  return 1;
}

pts_status ptsgo_describe_tensor(const pts_value* value, ptsgo_tensor* out, pts_error* error) {
  pts_tensor view = PTS_TENSOR_INIT;
  const pts_status status = pts_value_get_tensor(value, &view, error);
  if (status != PTS_OK) return status;
  out->data = view.data;
  out->dtype = view.dtype;
  out->rank = view.rank;
  out->device_type = view.device_type;
  out->strided = view.strides != NULL && !row_major(&view);
  if (view.rank > 0) memcpy(out->shape, view.shape, (size_t)view.rank * sizeof(int64_t));
  if (out->strided) memcpy(out->strides, view.strides, (size_t)view.rank * sizeof(int64_t));
  return PTS_OK;
}

static pts_status infer(const pts_model* model, const ptsgo_input* inputs, size_t count,
                        const pts_value** values, pts_value** made,
                        const pts_infer_options* options, pts_value** out, pts_error* error) {
  for (size_t i = 0; i < count; ++i) {
    values[i] = inputs[i].value;
    if (values[i] != NULL) continue;
    const pts_status status = ptsgo_tensor_value(&inputs[i].tensor, 0, &made[i], error);
    if (status != PTS_OK) return status;
    values[i] = made[i];
  }
  return pts_model_infer(model, values, count, options, out, error);
}

enum { kFew = 8 };

pts_status ptsgo_infer(const pts_model* model, const ptsgo_input* inputs, size_t count,
                       const pts_infer_options* options, pts_value** out, pts_kind* kind,
                       ptsgo_tensor* tensor, pts_error* error) {
  pts_value* few[2 * kFew];
  pts_value** many = count <= kFew ? few : malloc(2 * count * sizeof(pts_value*));
  pts_status status = PTS_OUT_OF_MEMORY;
  *out = NULL;
  if (many == NULL) {
    error->code = status;
    strcpy(error->message, "no memory for the list of inputs");
    return status;
  }
  memset(many, 0, 2 * count * sizeof(pts_value*));
  status = infer(model, inputs, count, (const pts_value**)many, many + count, options, out, error);
  for (size_t i = 0; i < count; ++i) pts_value_destroy(&many[count + i]);
  if (many != few) free(many);
  if (status != PTS_OK) return status;
  *kind = pts_value_kind(*out);
  if (*kind != PTS_TENSOR) return PTS_OK;
  status = ptsgo_describe_tensor(*out, tensor, error);
  if (status != PTS_OK) pts_value_destroy(out);
  return status;
}
