package ptsecure

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// Value is what goes into a model and comes out: a *Tensor, Bool, Int, Float, String, List, Tuple,
// Dict, or nil for None.
type Value interface{ isValue() }

type (
	Bool   bool
	Int    int64
	Float  float64
	String string
	List   []Value
	Tuple  []Value
	Dict   []Entry // in order
	// Entry is one key of a Dict. A key has no NUL byte.
	Entry struct {
		Key   string
		Value Value
	}
)

func (Bool) isValue()   {}
func (Int) isValue()    {}
func (Float) isValue()  {}
func (String) isValue() {}
func (List) isValue()   {}
func (Tuple) isValue()  {}
func (Dict) isValue()   {}

// DictOf is a Dict in the order of its keys.
func DictOf(m map[string]Value) Dict {
	d := make(Dict, 0, len(m))
	for key, value := range m {
		d = append(d, Entry{key, value})
	}
	slices.SortFunc(d, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return d
}

// Get is the value under a key.
func (d Dict) Get(key string) (Value, bool) {
	for _, entry := range d {
		if entry.Key == key {
			return entry.Value, true
		}
	}
	return nil, false
}

func describe(v Value) string {
	if v == nil {
		return "None"
	}
	return fmt.Sprintf("a %T", v)
}

// maxDepth is that of the library.
const maxDepth = 256

// builder makes values of the library from Go's.
type builder struct {
	pins *runtime.Pinner // what tensors share, nil for nothing
}

func (b *builder) pin(data unsafe.Pointer) {
	if b.pins == nil {
		b.pins = new(runtime.Pinner)
	}
	b.pins.Pin(data)
}

// unpin is for the caller, after the values are destroyed.
func (b *builder) unpin() {
	if b.pins != nil {
		b.pins.Unpin()
	}
}

// build returns a value that the caller destroys.
func (b *builder) build(v Value, depth int) (*raw.Value, error) {
	if depth > maxDepth {
		return nil, newError(ErrLimitExceeded, fmt.Sprintf("values are nested at most %d deep", maxDepth))
	}
	switch v := v.(type) {
	case nil:
		return raw.ValueNone()
	case Bool:
		return raw.ValueBool(bool(v))
	case Int:
		return raw.ValueInt(int64(v))
	case Float:
		return raw.ValueFloat(float64(v))
	case String:
		return raw.ValueString(string(v))
	case *Tensor:
		return b.tensor(v)
	case List:
		return b.sequence(raw.List, v, depth)
	case Tuple:
		return b.sequence(raw.Tuple, v, depth)
	case Dict:
		return b.dict(v, depth)
	}
	return nil, newError(ErrInvalidInput, describe(v)+" is not a value of this package")
}

func (b *builder) tensor(t *Tensor) (value *raw.Value, err error) {
	err = t.use(func() (err error) {
		if t.view.Data != nil {
			b.pin(t.view.Data)
		}
		// A result may be closed while the model runs.
		value, err = raw.ValueTensor(&t.view, t.owner != nil)
		return err
	})
	return value, err
}

func (b *builder) sequence(kind int32, items []Value, depth int) (*raw.Value, error) {
	return b.container(kind, len(items), depth, func(i int) Value { return items[i] },
		func(container *raw.Value, _ int, item *raw.Value) error { return raw.ValueAppend(container, item) })
}

func (b *builder) dict(d Dict, depth int) (*raw.Value, error) {
	return b.container(raw.Dict, len(d), depth, func(i int) Value { return d[i].Value },
		func(container *raw.Value, i int, item *raw.Value) error {
			return raw.ValuePut(container, d[i].Key, item)
		})
}

func (b *builder) container(kind int32, size, depth int, item func(i int) Value, add func(container *raw.Value, i int, item *raw.Value) error) (*raw.Value, error) {
	container, err := raw.ValueContainer(kind)
	if err != nil {
		return nil, err
	}
	for i := range size {
		made, err := b.build(item(i), depth+1)
		if err == nil {
			err = add(container, i, made)
			raw.ValueDestroy(made)
		}
		if err != nil {
			raw.ValueDestroy(container)
			return nil, err
		}
	}
	return container, nil
}

// read makes Go values of a result's. Tensors share the result's memory.
func read(v *raw.Value, owner *Result) (Value, error) {
	switch kind := raw.ValueKind(v); kind {
	case raw.None:
		return nil, nil
	case raw.Bool:
		return Bool(raw.ValueGetBool(v)), nil
	case raw.Int:
		return Int(raw.ValueGetInt(v)), nil
	case raw.Float:
		return Float(raw.ValueGetFloat(v)), nil
	case raw.String:
		return String(raw.ValueGetString(v)), nil
	case raw.Tensor:
		view, err := raw.ValueGetTensor(v)
		if err != nil {
			return nil, err
		}
		return resultTensor(view, owner)
	case raw.List, raw.Tuple:
		items := make([]Value, raw.ValueSize(v))
		for i := range items {
			var err error
			if items[i], err = read(raw.ValueItem(v, i), owner); err != nil {
				return nil, err
			}
		}
		if kind == raw.List {
			return List(items), nil
		}
		return Tuple(items), nil
	case raw.Dict:
		d := make(Dict, raw.ValueSize(v))
		for i := range d {
			value, err := read(raw.ValueItem(v, i), owner)
			if err != nil {
				return nil, err
			}
			d[i] = Entry{raw.ValueKey(v, i), value}
		}
		return d, nil
	default:
		return nil, newError(ErrUnsupported, fmt.Sprintf("the model returned a value of kind %d, which this package doesn't know", kind))
	}
}

// resultTensor is a tensor over a result's memory. Booleans that aren't 0 or 1, which Go has none of,
// are copied.
func resultTensor(view raw.View, owner *Result) (*Tensor, error) {
	t := &Tensor{view: view, owner: owner}
	if !t.DType().known() {
		return nil, newError(ErrUnsupported, fmt.Sprintf("the model returned a tensor of datatype %d, which this package doesn't know", view.DType))
	}
	if t.DType() == BOOL && view.OnCPU && t.Len() > 0 && (!t.contiguous() || slices.Max(unsafe.Slice((*byte)(view.Data), t.Len())) > 1) {
		return t.gathered(), nil
	}
	return t, nil
}

// clone copies what a result holds into Go's memory.
func clone(v Value) (Value, error) {
	switch v := v.(type) {
	case *Tensor:
		if v.owner == nil {
			return v, nil
		}
		return v.Clone()
	case List:
		return v, cloneItems(v)
	case Tuple:
		return v, cloneItems(v)
	case Dict:
		for i := range v {
			var err error
			if v[i].Value, err = clone(v[i].Value); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func cloneItems(items []Value) error {
	for i := range items {
		var err error
		if items[i], err = clone(items[i]); err != nil {
			return err
		}
	}
	return nil
}
