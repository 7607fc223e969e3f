package ptsecure

import (
	"context"
	"encoding/json"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// Model is a loaded model, ready to run.
type Model struct {
	h        handle[*raw.Model]
	calls    raw.Calls
	log      *logger
	name     string
	version  uint64
	metadata Metadata
}

// Metadata describes a model, as the Open Inference Protocol V2 does and a little more.
type Metadata struct {
	Name        string   `json:"name"`
	Versions    []string `json:"versions"`
	Platform    string   `json:"platform"`
	Inputs      []Spec   `json:"inputs"`
	Outputs     []Spec   `json:"outputs"`
	Stateful    bool     `json:"stateful"`     // calls change it: they run one after the other
	WeightBytes uint64   `json:"weight_bytes"` // of tensors
	Methods     []string `json:"methods"`
}

// Spec is what is known of an input or output. A free dimension is -1.
type Spec struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

func newModel(m *raw.Model, log *logger) (*Model, error) {
	log.retain()
	model := &Model{log: log, name: raw.ModelName(m), version: raw.ModelVersion(m)}
	model.h.object, model.h.what = m, "model"
	model.h.destroy = func(m *raw.Model) {
		raw.ModelDestroy(m)
		log.release()
	}
	var err error
	if model.metadata, err = decoded[Metadata]([]byte(raw.ModelMetadata(m)), nil); err != nil {
		model.Close()
		return nil, err
	}
	return model, nil
}

// Name is the model's name.
func (m *Model) Name() string { return m.name }

// Version is the version that was opened.
func (m *Model) Version() uint64 { return m.version }

// Metadata describes the model.
func (m *Model) Metadata() Metadata { return m.metadata }

// Example is a V2 infer request for this model, free dimensions being 1.
func (m *Model) Example() ([]byte, error) {
	object, err := m.acquire()
	if err != nil {
		return nil, err
	}
	defer m.h.release()
	out, err := raw.ModelExample(object)
	return out, wrap(context.Background(), err)
}

// Fork is a model that shares the weights and has its own copy of the state as it is now.
// A stateful model's run that is under way is waited for, as long as the context lives.
func (m *Model) Fork(ctx context.Context) (*Model, error) {
	object, err := m.acquire()
	if err != nil {
		return nil, err
	}
	defer m.h.release()
	var fork *raw.Model
	err = cancellable(ctx, nil, func(with raw.Call) (err error) {
		fork, err = raw.ModelFork(object, with)
		return err
	})
	if err != nil {
		return nil, err
	}
	return newModel(fork, m.log)
}

// Infer runs the model's forward. Inputs are checked against what the model was published with and
// must not change during the call. Large ones are shared with it, not copied: those beyond 4 KiB of a
// call, and any where there are more than four.
// What the model returns is copied into Go's memory; see Run to borrow it.
func (m *Model) Infer(ctx context.Context, inputs ...Value) (Value, error) {
	return m.infer(ctx, Request{Inputs: inputs})
}

// Call runs another method than forward.
func (m *Model) Call(ctx context.Context, method string, inputs ...Value) (Value, error) {
	return m.infer(ctx, Request{Method: method, Inputs: inputs})
}

// Request is one run of a model.
type Request struct {
	Method     string // "" = forward
	Inputs     []Value
	InputNames []string // one an input, "" for leading ones by position; nil = all by position
}

// Run runs the model and returns what the model returned without a copy. It is closed by the caller;
// until then the inputs must not change.
func (m *Model) Run(ctx context.Context, request Request) (*Result, error) {
	r := &Result{model: m, method: request.Method}
	output, err := m.run(ctx, &request, &r.inputs, false)
	if err != nil {
		return nil, err
	}
	r.h.object, r.h.what = &output, "result"
	r.h.destroy = func(o *raw.Output) {
		o.Destroy()
		r.inputs.unpin()
	}
	if output.Kind == raw.Tensor {
		r.value, err = resultTensor(output.Tensor(nil), r)
	} else {
		r.value, err = read(output.Value, r)
	}
	if err != nil {
		r.Close()
		return nil, wrap(ctx, err)
	}
	return r, nil
}

func (m *Model) infer(ctx context.Context, request Request) (Value, error) {
	var b builder
	output, err := m.run(ctx, &request, &b, true)
	if err != nil {
		return nil, err
	}
	defer b.unpin()
	defer output.Destroy()
	if output.Kind == raw.Tensor {
		// One allocation for the tensor and its shape. The elements have their own, without pointers,
		// as what is given to C must be.
		var answer struct {
			Tensor
			shape [4]int
		}
		t := &answer.Tensor
		t.view = output.Tensor(answer.shape[:0])
		if t.view.OnCPU && t.DType().known() {
			t.view.Data, t.view.Strides = t.gather(), nil
			return t, nil
		}
	}
	r := &Result{}
	lent := output
	r.h.object, r.h.destroy = &lent, func(*raw.Output) {}
	value, err := read(output.Value, r)
	if err == nil {
		value, err = clone(value)
	}
	return value, wrap(ctx, err)
}

// run leaves pinned by b what the output may share beyond its own inputs.
func (m *Model) run(ctx context.Context, request *Request, b *builder, copied bool) (output raw.Output, err error) {
	if err := alive(ctx); err != nil {
		return output, err
	}
	if names := len(request.InputNames); names != 0 && names != len(request.Inputs) {
		return output, newError(ErrInvalidArgument, "InputNames must be empty or have one entry per input")
	}
	object, err := m.acquire()
	if err != nil {
		return output, err
	}
	defer m.h.release()
	var few [4]raw.Input
	inputs, err := b.inputs(few[:0], request.Inputs)
	if err == nil {
		var options *raw.InferOptions
		if request.Method != "" || request.InputNames != nil {
			options = &raw.InferOptions{Method: request.Method, InputNames: request.InputNames}
		}
		err = m.turn(ctx, func(with raw.Call) (err error) {
			output, err = raw.ModelInfer(object, &m.calls, inputs, options, with.Cancel, copied)
			return err
		})
	}
	for _, input := range inputs {
		if input.Value != nil {
			raw.ValueDestroy(input.Value)
		}
	}
	if err != nil {
		b.unpin()
	}
	return output, wrap(ctx, err)
}

// turn makes a run's call. Runs of a stateful model wait for one another, and the context ends that
// waiting; a run that has begun can't be stopped, so that the others needn't watch it.
func (m *Model) turn(ctx context.Context, call func(with raw.Call) error) error {
	if m.metadata.Stateful {
		return cancellable(ctx, nil, call)
	}
	return call(raw.Call{})
}

// inputs appends one input a value: Go's tensors as they are, the rest built.
func (b *builder) inputs(inputs []raw.Input, values []Value) ([]raw.Input, error) {
	for i, v := range values {
		if t, ok := v.(*Tensor); ok && t != nil && t.owner == nil && t.err == nil {
			inputs = append(inputs, raw.Input{View: &t.view})
			continue
		}
		value, err := b.build(v, 1)
		if err != nil {
			return inputs, inputError(i, err)
		}
		inputs = append(inputs, raw.Input{Value: value})
	}
	return inputs, nil
}

// InferJSON runs the model on an Open Inference Protocol V2 request and returns the response.
func (m *Model) InferJSON(ctx context.Context, request json.RawMessage) (json.RawMessage, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	object, err := m.acquire()
	if err != nil {
		return nil, err
	}
	defer m.h.release()
	var out []byte
	err = m.turn(ctx, func(with raw.Call) (err error) {
		out, err = raw.ModelInferJSON(object, request, nil, with)
		return err
	})
	return out, wrap(ctx, err)
}

// Close lets go of the model. It returns nil.
func (m *Model) Close() error {
	if m == nil {
		return nil
	}
	defer m.calls.Drop()
	return m.h.close()
}

func (m *Model) acquire() (*raw.Model, error) {
	if m == nil {
		return nil, newError(ErrInvalidArgument, "a model is needed, not nil")
	}
	m.log.check()
	return m.h.acquire()
}

// Result is what a model returned, in the library's memory until Close.
type Result struct {
	h      handle[*raw.Output]
	inputs builder // what the output may share beyond its own
	model  *Model
	method string
	value  Value
}

// Value is borrowed: its tensors are the result's memory. ErrClosed after Close.
func (r *Result) Value() (Value, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	return r.value, nil
}

// JSON is the result as the V2 response that InferJSON would give. The model must still be open.
func (r *Result) JSON() (json.RawMessage, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	object, err := r.model.acquire()
	if err != nil {
		return nil, err
	}
	defer r.model.h.release()
	out, err := raw.ModelResultJSON(object, r.h.object.Value, &raw.InferOptions{Method: r.method})
	return out, wrap(context.Background(), err)
}

// Close frees the result's memory and lets go of the inputs'. It returns nil.
func (r *Result) Close() error {
	if r == nil {
		return nil
	}
	return r.h.close()
}

func (r *Result) acquire() error {
	if r == nil {
		return newError(ErrInvalidArgument, "a result is needed, not nil")
	}
	_, err := r.h.acquire()
	return err
}

func (r *Result) release() { r.h.release() }
