package ptsecure

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// DType is a tensor's datatype, by its name in the Open Inference Protocol.
type DType int32

const (
	BOOL       DType = 1
	UINT8      DType = 2
	UINT16     DType = 3
	UINT32     DType = 4
	UINT64     DType = 5
	INT8       DType = 6
	INT16      DType = 7
	INT32      DType = 8
	INT64      DType = 9
	FP16       DType = 10
	BF16       DType = 11
	FP32       DType = 12
	FP64       DType = 13
	COMPLEX32  DType = 14
	COMPLEX64  DType = 15
	COMPLEX128 DType = 16
)

var dtypes = [...]struct {
	name string
	size int
}{
	BOOL: {"BOOL", 1}, UINT8: {"UINT8", 1}, UINT16: {"UINT16", 2}, UINT32: {"UINT32", 4},
	UINT64: {"UINT64", 8}, INT8: {"INT8", 1}, INT16: {"INT16", 2}, INT32: {"INT32", 4},
	INT64: {"INT64", 8}, FP16: {"FP16", 2}, BF16: {"BF16", 2}, FP32: {"FP32", 4}, FP64: {"FP64", 8},
	COMPLEX32: {"COMPLEX32", 4}, COMPLEX64: {"COMPLEX64", 8}, COMPLEX128: {"COMPLEX128", 16},
}

func (d DType) known() bool { return d >= BOOL && int(d) < len(dtypes) }

func (d DType) String() string {
	if !d.known() {
		return fmt.Sprintf("DType(%d)", int32(d))
	}
	return dtypes[d].name
}

// Size is the bytes of an element; 0 for an unknown datatype.
func (d DType) Size() int {
	if !d.known() {
		return 0
	}
	return dtypes[d].size
}

type (
	Float16   uint16                   // the bits of an IEEE 754 binary16
	BFloat16  uint16                   // the upper half of a float32's bits
	Complex32 struct{ Re, Im Float16 } // two float16
)

// Element is what tensors are made of.
type Element interface {
	bool | uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64 |
		Float16 | BFloat16 | float32 | float64 | Complex32 | complex64 | complex128
}

// DTypeOf is the datatype of a Go type.
func DTypeOf[T Element]() DType {
	switch any(*new(T)).(type) {
	case bool:
		return BOOL
	case uint8:
		return UINT8
	case uint16:
		return UINT16
	case uint32:
		return UINT32
	case uint64:
		return UINT64
	case int8:
		return INT8
	case int16:
		return INT16
	case int32:
		return INT32
	case int64:
		return INT64
	case Float16:
		return FP16
	case BFloat16:
		return BF16
	case float32:
		return FP32
	case float64:
		return FP64
	case Complex32:
		return COMPLEX32
	case complex64:
		return COMPLEX64
	}
	return COMPLEX128
}

// Tensor is a view of elements in memory: a Go slice, or what a model returned. It is a [Value].
type Tensor struct {
	view  raw.View
	owner *Result // whose memory it is; nil = Go's
	err   error   // what is wrong with its shape
}

// NewTensor is a tensor over data, which it shares: nothing is copied, and data must not change while
// a call uses it. Without a shape it has one dimension; the extents' product must be len(data). A
// wrong shape is reported by the call that the tensor is given to.
func NewTensor[T Element](data []T, shape ...int) *Tensor {
	if shape == nil {
		shape = []int{len(data)}
	}
	t := newTensor(data, shape, nil)
	if count, ok := product(shape); t.err == nil && (!ok || count != len(data)) {
		t.err = newError(ErrInvalidInput, fmt.Sprintf("the shape %v doesn't fit a slice of %d elements", shape, len(data)))
	}
	return t
}

// Scalar is a tensor without dimensions.
func Scalar[T Element](element T) *Tensor { return newTensor([]T{element}, []int{}, nil) }

// NewStridedTensor is NewTensor for elements that don't lie one after the other: element [i, j] is
// data[i*strides[0] + j*strides[1]]. Strides are not negative and stay inside data.
func NewStridedTensor[T Element](data []T, shape, strides []int) *Tensor {
	t := newTensor(data, shape, strides)
	if t.err == nil {
		t.err = checkStrides(len(data), shape, strides)
	}
	return t
}

func newTensor[T Element](data []T, shape, strides []int) *Tensor {
	t := &Tensor{view: raw.View{
		Data: unsafe.Pointer(unsafe.SliceData(data)), DType: int32(DTypeOf[T]()), OnCPU: true,
		Shape: append(make([]int, 0, len(shape)), shape...),
	}}
	if strides == nil {
		t.view.Size = len(data) * t.DType().Size()
	} else {
		t.view.Strides = append(make([]int, 0, len(strides)), strides...)
	}
	if len(shape) > raw.MaxRank {
		t.err = newError(ErrInvalidInput, fmt.Sprintf("a tensor has at most %d dimensions, not %d", raw.MaxRank, len(shape)))
	}
	return t
}

// product is the number of elements; false for a negative extent and what doesn't fit an int.
func product(shape []int) (int, bool) {
	count, empty := 1, false
	for _, extent := range shape {
		switch {
		case extent < 0:
			return 0, false
		case extent == 0:
			empty = true
		case count > math.MaxInt/extent:
			return 0, empty
		default:
			count *= extent
		}
	}
	if empty {
		return 0, true
	}
	return count, true
}

func checkStrides(size int, shape, strides []int) error {
	refused := newError(ErrInvalidInput, fmt.Sprintf("the shape %v with the strides %v doesn't stay inside a slice of %d elements", shape, strides, size))
	if len(shape) != len(strides) {
		return refused
	}
	count, ok := product(shape)
	if !ok {
		return refused
	}
	last := 0
	for i, stride := range strides {
		if stride < 0 {
			return newError(ErrInvalidInput, "strides must not be negative: copy such a tensor")
		}
		steps := max(shape[i]-1, 0)
		if stride > 0 && steps > (math.MaxInt-last)/stride {
			return refused
		}
		last += steps * stride
	}
	if count > 0 && last >= size {
		return refused
	}
	return nil
}

func (*Tensor) isValue() {}

// Err is what is wrong with the shape that a tensor was made with.
func (t *Tensor) Err() error { return t.err }

// DType is the datatype of the elements.
func (t *Tensor) DType() DType { return DType(t.view.DType) }

// Shape is the extents, outermost first.
func (t *Tensor) Shape() []int { return append([]int(nil), t.view.Shape...) }

// Len is the number of elements.
func (t *Tensor) Len() int {
	count, _ := product(t.view.Shape)
	return count
}

func (t *Tensor) String() string { return fmt.Sprintf("%v%v", t.DType(), t.view.Shape) }

func (t *Tensor) contiguous() bool {
	if t.view.Strides == nil {
		return true
	}
	expected := 1
	for i := len(t.view.Shape) - 1; i >= 0; i-- {
		if t.view.Shape[i] == 0 {
			return true
		}
		if t.view.Shape[i] != 1 && t.view.Strides[i] != expected {
			return false
		}
		expected *= t.view.Shape[i]
	}
	return true
}

// use runs f while the tensor's memory is there.
func (t *Tensor) use(f func() error) error {
	if t == nil {
		return newError(ErrInvalidInput, "a tensor is needed, not nil")
	}
	if t.err != nil {
		return t.err
	}
	if t.owner != nil {
		if err := t.owner.acquire(); err != nil {
			return err
		}
		defer t.owner.release()
	}
	if !t.view.OnCPU {
		return newError(ErrUnsupported, "the tensor is on another device: let the model return it on the CPU")
	}
	return f()
}

// Clone is a contiguous copy in Go's memory.
func (t *Tensor) Clone() (*Tensor, error) {
	var out *Tensor
	err := t.use(func() error {
		out = t.gathered()
		return nil
	})
	return out, err
}

func (t *Tensor) gathered() *Tensor {
	return &Tensor{view: raw.View{DType: t.view.DType, OnCPU: true, Shape: t.Shape(), Data: t.gather()}}
}

// Data is the elements of a tensor in row-major order. It is the tensor's own memory: for a tensor
// of a [Result] it must not be used after the result's Close. A value that is no tensor, another
// element type and a tensor with gaps are ErrInvalidInput; [Tensor.Clone] has no gaps.
func Data[T Element](v Value) ([]T, error) {
	t, ok := v.(*Tensor)
	if !ok {
		return nil, newError(ErrInvalidInput, "the value is "+describe(v)+", not a tensor")
	}
	var data []T
	err := t.use(func() error {
		if want := DTypeOf[T](); t.DType() != want {
			return newError(ErrInvalidInput, fmt.Sprintf("the tensor holds %v, not %v", t.DType(), want))
		}
		if !t.contiguous() {
			return newError(ErrInvalidInput, "the tensor's elements don't lie one after the other: use its Clone")
		}
		if n := t.Len(); n > 0 {
			data = unsafe.Slice((*T)(t.view.Data), n)
		} else {
			data = []T{}
		}
		return nil
	})
	return data, err
}

// gather copies the elements together.
func (t *Tensor) gather() unsafe.Pointer {
	count := t.Len()
	if count == 0 {
		return nil
	}
	size := t.DType().Size()
	out := allocate(t.DType(), count)
	target := unsafe.Slice((*byte)(out), count*size)
	if t.contiguous() {
		copy(target, unsafe.Slice((*byte)(t.view.Data), count*size))
	} else {
		gather(target, t.view.Data, size, t.view.Shape, t.view.Strides)
	}
	if t.DType() == BOOL { // a Go bool is 0 or 1, libtorch's any byte
		for i, b := range target {
			if b > 1 {
				target[i] = 1
			}
		}
	}
	return out
}

func gather(target []byte, from unsafe.Pointer, size int, shape, strides []int) []byte {
	if len(shape) == 0 {
		return target[copy(target, unsafe.Slice((*byte)(from), size)):]
	}
	for i := range shape[0] {
		target = gather(target, unsafe.Add(from, i*strides[0]*size), size, shape[1:], strides[1:])
	}
	return target
}

// allocate makes zeroed memory that is aligned for the datatype and holds no pointers.
func allocate(d DType, count int) unsafe.Pointer {
	switch d.Size() {
	case 1:
		return unsafe.Pointer(unsafe.SliceData(make([]uint8, count)))
	case 2:
		return unsafe.Pointer(unsafe.SliceData(make([]uint16, count)))
	case 4:
		return unsafe.Pointer(unsafe.SliceData(make([]uint32, count)))
	case 8:
		return unsafe.Pointer(unsafe.SliceData(make([]uint64, count)))
	}
	return unsafe.Pointer(unsafe.SliceData(make([]complex128, count)))
}
