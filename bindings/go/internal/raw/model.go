package raw

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

func ModelDestroy(m *Model) {
	c := (*C.pts_model)(m)
	C.pts_model_destroy(&c)
	live.Add(-1)
}

func ModelName(m *Model) string { return C.GoString(C.pts_model_name((*C.pts_model)(m))) }

func ModelVersion(m *Model) uint64 { return uint64(C.pts_model_version((*C.pts_model)(m))) }

func ModelMetadata(m *Model) string { return C.GoString(C.pts_model_metadata((*C.pts_model)(m))) }

func ModelExample(m *Model) ([]byte, error) {
	return text(func(out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_model_example((*C.pts_model)(m), out, e)
	})
}

func ModelFork(m *Model, with Call) (*Model, error) {
	var a arena
	defer a.free()
	return loaded(&a, with, func(call *C.pts_call, out **C.pts_model, e *C.pts_error) C.pts_status {
		return C.pts_model_fork((*C.pts_model)(m), call, out, e)
	})
}

// InferOptions is pts_infer_options; an input name of "" is by position.
type InferOptions struct {
	Method     string
	InputNames []string // nil, or one an input
}

func (o *InferOptions) in(a *arena) *C.pts_infer_options {
	if o == nil || (o.Method == "" && o.InputNames == nil) {
		return nil
	}
	c := (*C.pts_infer_options)(a.block(C.sizeof_pts_infer_options))
	if c == nil {
		return nil
	}
	C.pts_infer_options_init(c)
	c.method = a.optional("a method's name", o.Method)
	if names := a.pointers(len(o.InputNames)); names != nil {
		for i, name := range o.InputNames {
			names[i] = unsafe.Pointer(a.optional("an input's name", name))
		}
		c.input_names = (**C.char)(unsafe.Pointer(&names[0]))
	}
	return c
}

// Input is an existing value, or a tensor over Go memory.
type Input struct {
	Value *Value
	View  *View
}

// Output is what a model returned. Its memory may be that of inputs; views stay pinned until
// Destroy.
type Output struct {
	Value *Value // nil for a small tensor that was copied
	Kind  int32
	call  *inference
}

// Tensor is what an output of Kind Tensor holds. Its shape is put behind shape, which needn't have
// room.
func (o *Output) Tensor(shape []int) View { return viewOf(&o.call.c.tensor, shape) }

// inference is one call's record. It lies in C's memory and is used again; it is freed some time
// after the pool has let go of it.
type inference struct {
	c    *C.ptsgo_inference
	of   *Calls
	pins runtime.Pinner
}

var inferences = sync.Pool{New: func() any {
	record := C.calloc(1, C.sizeof_ptsgo_inference)
	if record == nil {
		return (*inference)(nil)
	}
	call := &inference{c: (*C.ptsgo_inference)(record)}
	runtime.AddCleanup(call, func(record *C.ptsgo_inference) { C.ptsgo_inference_free(record) }, call.c)
	return call
}}

var errNoMemory = &Error{outOfMemory, "no memory for a call"}

// Calls holds a record for the next call of one model, which finds in it the inputs' values of the
// one before. Further calls at the same time share records with other models.
type Calls struct{ spare atomic.Pointer[inference] }

// take is a record with room for so many inputs.
func (calls *Calls) take(count int) (*inference, error) {
	call := calls.spare.Swap(nil)
	if call == nil {
		if call = inferences.Get().(*inference); call == nil {
			return nil, errNoMemory
		}
	}
	call.of = calls
	c := call.c
	c.inputs, c.count = &c.few[0], C.size_t(count)
	if count > len(c.few) {
		many := C.calloc(c.count, C.sizeof_ptsgo_input)
		if many == nil {
			call.put()
			return nil, errNoMemory
		}
		c.inputs = (*C.ptsgo_input)(many)
	}
	return call, nil
}

// release forgets the inputs before they may move or go.
func (call *inference) release() {
	c := call.c
	inputs := unsafe.Slice(c.inputs, c.count)
	for i := range inputs {
		inputs[i].value, inputs[i].tensor.data, inputs[i].stays = nil, nil, 0
	}
	c.tensor.data = nil // may be an input's
	if c.inputs != &c.few[0] {
		C.free(unsafe.Pointer(c.inputs))
	}
	c.inputs, c.options, c.call = nil, nil, nil
	call.pins.Unpin()
	call.put()
}

// Drop lets other models have the record. Calls that still run may leave one again.
func (calls *Calls) Drop() {
	if call := calls.spare.Swap(nil); call != nil {
		inferences.Put(call)
	}
}

func (call *inference) put() {
	calls := call.of
	call.of = nil
	if !calls.spare.CompareAndSwap(nil, call) {
		inferences.Put(call)
	}
}

// lend gives the model the view's memory: pinned, or a copy of what is small and need not outlive
// the call.
func (call *inference) lend(view *View, input *C.ptsgo_input, copies []byte) []byte {
	slot := &input.tensor
	view.out(slot)
	switch {
	case view.Data == nil:
	case view.Size == 0 || view.Size > len(copies):
		call.pins.Pin(view.Data)
	default:
		slot.data, input.stays = unsafe.Pointer(unsafe.SliceData(copies)), 1
		copy(copies, unsafe.Slice((*byte)(view.Data), view.Size))
		copies = copies[min((view.Size+63)&^63, len(copies)):]
	}
	return copies
}

// ModelInfer runs the model. Views are pinned and shared with it. With `copied` what the model
// returns must not be used after Destroy, and a small tensor is returned as a copy, which costs no
// second crossing to C; views are copied as far as they fit in the record, if they are few.
func ModelInfer(m *Model, calls *Calls, inputs []Input, options *InferOptions, cancel *Cancel, copied bool) (Output, error) {
	call, err := calls.take(len(inputs))
	if err != nil {
		return Output{}, err
	}
	c := call.c
	c.model, c.copy = (*C.pts_model)(m), flag(copied)
	var copies []byte
	if copied && len(inputs) <= len(c.few) {
		begin := -uintptr(unsafe.Pointer(&c.small[0])) & 63
		copies = unsafe.Slice((*byte)(&c.small[begin]), C.PTSGO_SMALL_INPUTS)
	}
	slots := unsafe.Slice(c.inputs, len(inputs))
	for i, input := range inputs {
		slots[i].value = (*C.pts_value)(input.Value)
		if input.Value == nil {
			copies = call.lend(input.View, &slots[i], copies)
		}
	}
	if err := call.run(options, cancel); err != nil {
		call.release()
		return Output{}, err
	}
	output := Output{Value: (*Value)(c.out), Kind: int32(c.kind), call: call}
	if output.Value != nil {
		live.Add(1)
	}
	return output, nil
}

func (call *inference) run(options *InferOptions, cancel *Cancel) error {
	c := call.c
	if options != nil || cancel != nil {
		var a arena
		defer a.free()
		c.options = options.in(&a)
		if cancel != nil {
			if c.call = (*C.pts_call)(a.block(C.sizeof_pts_call)); c.call != nil {
				C.ptsgo_call_init(c.call, (*C.pts_cancel)(cancel), 0)
			}
		}
		if a.err != nil {
			return a.err
		}
	}
	if status := C.ptsgo_infer(C.uintptr_t(uintptr(unsafe.Pointer(c)))); status != C.PTS_OK {
		return newError(status, &c.error)
	}
	return nil
}

// Destroy frees the value and lets go of the inputs' memory.
func (o *Output) Destroy() {
	if o.Value != nil {
		ValueDestroy(o.Value)
	}
	o.call.release()
	o.Value, o.call = nil, nil
}

func ModelInferJSON(m *Model, request []byte, options *InferOptions, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	o := options.in(&a)
	if len(request) == 0 {
		request = make([]byte, 0, 1) // an address, though nothing is there
	}
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_model_infer_json((*C.pts_model)(m), (*C.char)(unsafe.Pointer(unsafe.SliceData(request))), C.size_t(len(request)), o, call, out, e)
	})
}

func ModelResultJSON(m *Model, result *Value, options *InferOptions) ([]byte, error) {
	var a arena
	defer a.free()
	o := options.in(&a)
	return a.json(func(out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_model_result_json((*C.pts_model)(m), (*C.pts_value)(result), o, out, e)
	})
}
