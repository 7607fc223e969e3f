package ptsecure

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// A model may return booleans of any byte: no Go bool is made of one.
func TestBoolsAreZeroOrOne(t *testing.T) {
	for _, strides := range [][]int{nil, {2}} {
		memory := []uint8{0, 2, 1, 255, 0}
		tensor, err := resultTensor(raw.View{Data: unsafe.Pointer(&memory[0]), DType: int32(BOOL), OnCPU: true, Shape: []int{3}, Strides: strides}, nil)
		if err != nil {
			t.Fatal(err)
		}
		bools, err := Data[bool](tensor)
		if err != nil {
			t.Fatal(err)
		}
		got := unsafe.Slice((*uint8)(unsafe.Pointer(&bools[0])), len(bools))
		want := []uint8{0, 1, 1}
		if strides != nil {
			want = []uint8{0, 1, 0}
		}
		if !slices.Equal(got, want) {
			t.Fatal(got)
		}
	}
	if _, err := resultTensor(raw.View{DType: 99}, nil); err.(*Error).Status != ErrUnsupported {
		t.Fatal(err)
	}
	if _, err := Data[float32](&Tensor{view: raw.View{DType: int32(FP32)}}); err.(*Error).Status != ErrUnsupported {
		t.Fatal(err)
	}
	if DType(99).String() != "DType(99)" || DType(99).Size() != 0 {
		t.Fatal(DType(99))
	}
}

// FuzzTensor takes any shape and strides over a slice: they are refused, or every element that comes
// back, from here and from the library, is one that the strides name.
func FuzzTensor(f *testing.F) {
	for _, seed := range []struct {
		size                uint8
		rank                int8
		a, b, c, sa, sb, sc int64
		strided             bool
	}{
		{6, 2, 2, 3, 0, 3, 1, 0, true}, {6, 2, 3, 2, 0, 1, 3, 0, true}, {6, 1, 6, 0, 0, 1, 0, 0, false},
		{6, 3, 1, 2, 3, 6, 3, 1, false}, {0, 1, 0, 0, 0, 1, 0, 0, true}, {1, 0, 0, 0, 0, 0, 0, 0, true},
		{8, 1, 4, 0, 0, 2, 0, 0, true}, {8, 1, 5, 0, 0, 2, 0, 0, true}, {4, 2, 2, 2, 0, -1, 1, 0, true},
		{4, 2, math.MaxInt64, math.MaxInt64, 0, 1, 1, 0, true}, {4, 2, math.MaxInt64, 0, 0, math.MaxInt64, 1, 0, true},
		{4, 3, math.MaxInt64, 2, 0, 0, 0, 0, false}, {4, 1, 2, 0, 0, math.MaxInt64, 0, 0, true}, {0, 3, math.MaxInt64, 0, 0, 1, 1, 0, false}, {4, 2, -1, -4, 0, 1, 1, 0, false},
	} {
		f.Add(seed.size, seed.rank, seed.a, seed.b, seed.c, seed.sa, seed.sb, seed.sc, seed.strided)
	}
	f.Fuzz(func(t *testing.T, size uint8, rank int8, a, b, c, sa, sb, sc int64, strided bool) {
		dims := min(max(int(rank), 0), 3)
		shape, strides := []int{int(a), int(b), int(c)}[:dims], []int{int(sa), int(sb), int(sc)}[:dims]
		data := make([]uint16, size)
		for i := range data {
			data[i] = uint16(i)
		}
		tensor := NewTensor(data, shape...)
		if strided {
			tensor = NewStridedTensor(data, shape, strides)
		} else {
			strides = rowMajor(shape)
		}
		if tensor.Err() != nil || tensor.Len() > 1<<16 {
			return
		}
		var want []uint16
		if tensor.Len() > 0 {
			want = elements(nil, data, 0, shape, strides)
		}
		clone, err := tensor.Clone()
		if err != nil {
			t.Fatal(err)
		}
		check(t, clone, want)
		through, err := throughTheLibrary(tensor)
		if len(want) == 0 && errors.Is(err, ErrInvalidInput) {
			return // nothing, with an extent that the library can't multiply
		}
		if err != nil {
			t.Fatal(err)
		}
		check(t, through, want)
	})
}

func rowMajor(shape []int) []int {
	strides, next := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = next
		next *= shape[i]
	}
	return strides
}

func elements(out, data []uint16, at int, shape, strides []int) []uint16 {
	if len(shape) == 0 {
		return append(out, data[at])
	}
	for i := range shape[0] {
		out = elements(out, data, at+i*strides[0], shape[1:], strides[1:])
	}
	return out
}

func check(t *testing.T, v Value, want []uint16) {
	t.Helper()
	got, err := Data[uint16](v)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%v, not %v: %v", got, want, err)
	}
}

// throughTheLibrary makes values of the library from a tensor inside a tree and reads them back.
func throughTheLibrary(tensor *Tensor) (Value, error) {
	var b builder
	defer b.unpin()
	value, err := b.build(Dict{{"it", Tuple{Int(1), tensor}}}, 1)
	if err != nil {
		return nil, wrap(context.Background(), err)
	}
	defer raw.ValueDestroy(value)
	r := &Result{}
	r.h.object, r.h.destroy = &raw.Output{}, func(*raw.Output) {}
	tree, err := read(value, r)
	if err == nil {
		tree, err = clone(tree)
	}
	if err != nil {
		return nil, err
	}
	item, _ := tree.(Dict).Get("it")
	return item.(Tuple)[1], nil
}
