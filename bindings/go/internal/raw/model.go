package raw

/*
#include "shim.h"
*/
import "C"

import (
	"runtime"
	"sync"
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

func ModelFork(m *Model) (*Model, error) {
	var out *C.pts_model
	err := call(func(e *C.pts_error) C.pts_status { return C.pts_model_fork((*C.pts_model)(m), &out, e) })
	return (*Model)(out), made(err)
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
	Value  *Value
	Kind   int32
	Tensor View // for Kind Tensor
	call   *inference
}

// inference is the memory of one call: it lies on the heap, because the model may call back into Go
// (its log), and is used again because it is large.
type inference struct {
	inputs []C.ptsgo_input
	out    *C.pts_value
	kind   C.pts_kind
	tensor C.ptsgo_tensor
	err    C.pts_error
	pins   runtime.Pinner
}

var inferences = sync.Pool{New: func() any { return &inference{} }}

func (c *inference) release() {
	c.pins.Unpin()
	for i := range c.inputs {
		c.inputs[i].value, c.inputs[i].tensor.data = nil, nil
	}
	c.inputs = c.inputs[:0]
	c.tensor.data = nil // may be an input's
	inferences.Put(c)
}

// ModelInfer runs the model. Views are pinned and shared with it.
func ModelInfer(m *Model, inputs []Input, options *InferOptions) (Output, error) {
	c := inferences.Get().(*inference)
	if cap(c.inputs) < len(inputs) {
		c.inputs = make([]C.ptsgo_input, len(inputs))
	}
	c.inputs = c.inputs[:len(inputs)]
	for i, input := range inputs {
		c.inputs[i].value = (*C.pts_value)(input.Value)
		if input.Value == nil {
			input.View.out(&c.inputs[i].tensor)
			if input.View.Data != nil {
				c.pins.Pin(input.View.Data)
			}
		}
	}
	if err := c.run(m, options); err != nil {
		c.release()
		return Output{}, err
	}
	live.Add(1)
	output := Output{Value: (*Value)(c.out), Kind: int32(c.kind), call: c}
	if output.Kind == Tensor {
		output.Tensor = viewOf(&c.tensor)
	}
	return output, nil
}

func (c *inference) run(m *Model, options *InferOptions) error {
	var a arena
	defer a.free()
	o := options.in(&a)
	if a.err != nil {
		return a.err
	}
	var first *C.ptsgo_input
	inputs := c.inputs
	count := C.size_t(len(inputs))
	var status C.pts_status
	if count == 0 {
		status = C.ptsgo_infer((*C.pts_model)(m), first, 0, o, &c.out, &c.kind, &c.tensor, &c.err)
	} else {
		status = C.ptsgo_infer((*C.pts_model)(m), &inputs[0], count, o, &c.out, &c.kind, &c.tensor, &c.err)
	}
	if status != C.PTS_OK {
		return newError(status, &c.err)
	}
	return nil
}

// Destroy frees the value and lets go of the inputs' memory.
func (o *Output) Destroy() {
	ValueDestroy(o.Value)
	o.call.out = nil
	o.call.release()
	o.Value, o.call = nil, nil
}

func ModelInferJSON(m *Model, request []byte, options *InferOptions) ([]byte, error) {
	var a arena
	defer a.free()
	o := options.in(&a)
	if len(request) == 0 {
		request = make([]byte, 0, 1) // an address, though nothing is there
	}
	return a.json((*C.char)(unsafe.Pointer(unsafe.SliceData(request))), func(request_ *C.char, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_model_infer_json((*C.pts_model)(m), request_, C.size_t(len(request)), o, out, e)
	})
}

func ModelResultJSON(m *Model, result *Value, options *InferOptions) ([]byte, error) {
	var a arena
	defer a.free()
	o := options.in(&a)
	return a.json(nil, func(_ *C.char, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_model_result_json((*C.pts_model)(m), (*C.pts_value)(result), o, out, e)
	})
}
