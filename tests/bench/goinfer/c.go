package main

/*
#cgo pkg-config: ptsecure
#cgo CFLAGS: -std=c99
#include <ptsecure/ptsecure.h>
#include <stdlib.h>

// The model for calls from C, in *model.
static pts_status open_model(const char* uri, const char* reference, const char* key_file,
                             pts_model** model, pts_error* error) {
  pts_keyring* keys = NULL;
  pts_store* store = NULL;
  pts_open_options options = PTS_OPEN_OPTIONS_INIT;
  options.intra_op_threads = 1;
  pts_status status = pts_keyring_load(key_file, NULL, &keys, error);
  if (status == PTS_OK) status = pts_store_open(uri, NULL, &store, error);
  if (status == PTS_OK) {
    status = pts_model_open(store, reference, keys, &options, NULL, model, error);
  }
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  return status;
}

// So many calls, each with a value of its own for the caller's memory, as calls from Go have.
static pts_status run_model(pts_model* model, const float* input, int calls, pts_error* error) {
  const int64_t shape[] = {1, 784};
  pts_tensor tensor = PTS_TENSOR_INIT;
  tensor.dtype = PTS_DTYPE_FLOAT32;
  tensor.rank = 2;
  tensor.shape = shape;
  tensor.data = (void*)input;
  for (int i = 0; i < calls; ++i) {
    pts_value* in = NULL;
    pts_value* out = NULL;
    pts_status status = pts_value_borrow_tensor(&tensor, &in, NULL, NULL, error);
    if (status == PTS_OK) {
      const pts_value* inputs[1];
      inputs[0] = in;
      status = pts_model_infer(model, inputs, 1, NULL, NULL, &out, error);
    }
    pts_value_destroy(&out);
    pts_value_destroy(&in);
    if (status != PTS_OK) return status;
  }
  return PTS_OK;
}
*/
import "C"

import (
	"errors"
	"time"
	"unsafe"
)

// cModel is the same model, opened and called by C in this process.
type cModel struct {
	model *C.pts_model
	input *C.float
}

func openFromC(store, reference, keyFile string) (*cModel, error) {
	uri, ref, file := C.CString(store), C.CString(reference), C.CString(keyFile)
	defer C.free(unsafe.Pointer(uri))
	defer C.free(unsafe.Pointer(ref))
	defer C.free(unsafe.Pointer(file))
	input := (*C.float)(C.calloc(784, 4))
	for i := range unsafe.Slice(input, 784) {
		unsafe.Slice(input, 784)[i] = 1
	}
	m := &cModel{input: input}
	var failure C.pts_error
	if C.open_model(uri, ref, file, &m.model, &failure) != C.PTS_OK {
		return nil, errors.New(C.GoString(&failure.message[0]))
	}
	return m, nil
}

func (m *cModel) perCall(calls int) (float64, error) {
	var failure C.pts_error
	begin := time.Now()
	if C.run_model(m.model, m.input, C.int(calls), &failure) != C.PTS_OK {
		return 0, errors.New(C.GoString(&failure.message[0]))
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(calls), nil
}

func (m *cModel) close() {
	C.pts_model_destroy(&m.model)
	C.free(unsafe.Pointer(m.input))
}
