package raw

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// Kinds of values: pts_kind.
const (
	None   = int32(C.PTS_NONE)
	Bool   = int32(C.PTS_BOOL)
	Int    = int32(C.PTS_INT)
	Float  = int32(C.PTS_FLOAT)
	String = int32(C.PTS_STRING)
	Tensor = int32(C.PTS_TENSOR)
	List   = int32(C.PTS_LIST)
	Tuple  = int32(C.PTS_TUPLE)
	Dict   = int32(C.PTS_DICT)
)

// MaxRank is the most dimensions a tensor has.
const MaxRank = int(C.PTSGO_MAX_RANK)

// View describes a tensor's memory: Go's, then whoever passes it to C pins it, or the library's.
type View struct {
	Data    unsafe.Pointer
	DType   int32
	OnCPU   bool
	Shape   []int
	Strides []int // nil = row-major
	Size    int   // in bytes, where it is row-major and known; else 0
}

func (v *View) out(t *C.ptsgo_tensor) {
	t.data = v.Data
	t.dtype = C.int32_t(v.DType)
	t.rank = C.int32_t(len(v.Shape))
	t.strided = 0
	for i, extent := range v.Shape {
		t.shape[i] = C.int64_t(extent)
	}
	if v.Strides != nil {
		t.strided = 1
		for i, stride := range v.Strides {
			t.strides[i] = C.int64_t(stride)
		}
	}
}

// viewOf puts the shape behind shape, which needn't have room.
func viewOf(t *C.ptsgo_tensor, shape []int) View {
	v := View{Data: t.data, DType: int32(t.dtype), OnCPU: t.device_type == C.PTS_DEVICE_CPU}
	for _, extent := range t.shape[:t.rank] {
		shape = append(shape, int(extent))
	}
	v.Shape = shape
	if t.strided != 0 && t.rank > 0 {
		v.Strides = make([]int, t.rank)
		for i := range v.Strides {
			v.Strides[i] = int(t.strides[i])
		}
	}
	return v
}

// ValueTensor makes a tensor value over pinned memory, or over a copy of it.
func ValueTensor(view *View, copied bool) (*Value, error) {
	var t C.ptsgo_tensor
	view.out(&t)
	return value(func(out **C.pts_value, e *C.pts_error) C.pts_status {
		return C.ptsgo_tensor_value(&t, flag(copied), out, e)
	})
}

func ValueNone() (*Value, error) {
	return value(func(out **C.pts_value, e *C.pts_error) C.pts_status { return C.pts_value_create_none(out, e) })
}

func ValueBool(b bool) (*Value, error) {
	return value(func(out **C.pts_value, e *C.pts_error) C.pts_status {
		return C.pts_value_create_bool(flag(b), out, e)
	})
}

func ValueInt(n int64) (*Value, error) {
	return value(func(out **C.pts_value, e *C.pts_error) C.pts_status {
		return C.pts_value_create_int(C.int64_t(n), out, e)
	})
}

func ValueFloat(f float64) (*Value, error) {
	return value(func(out **C.pts_value, e *C.pts_error) C.pts_status {
		return C.pts_value_create_float(C.double(f), out, e)
	})
}

func ValueString(s string) (*Value, error) {
	if s == "" {
		s = " "[:0]
	}
	return value(func(out **C.pts_value, e *C.pts_error) C.pts_status {
		return C.pts_value_create_string((*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s)), out, e)
	})
}

// ValueContainer makes an empty List, Tuple or Dict.
func ValueContainer(kind int32) (*Value, error) {
	return value(func(out **C.pts_value, e *C.pts_error) C.pts_status {
		switch kind {
		case List:
			return C.pts_value_create_list(out, e)
		case Tuple:
			return C.pts_value_create_tuple(out, e)
		}
		return C.pts_value_create_dict(out, e)
	})
}

func ValueAppend(v, item *Value) error {
	return call(func(e *C.pts_error) C.pts_status {
		return C.pts_value_append((*C.pts_value)(v), (*C.pts_value)(item), e)
	})
}

func ValuePut(v *Value, key string, item *Value) error {
	var a arena
	defer a.free()
	k := a.text("a key", key)
	return a.call(func(e *C.pts_error) C.pts_status {
		return C.pts_value_put((*C.pts_value)(v), k, (*C.pts_value)(item), e)
	})
}

func value(f func(out **C.pts_value, e *C.pts_error) C.pts_status) (*Value, error) {
	var out *C.pts_value
	err := call(func(e *C.pts_error) C.pts_status { return f(&out, e) })
	return (*Value)(out), made(err)
}

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

// The readers below are for a value of the kind they name.

func ValueKind(v *Value) int32 { return int32(C.pts_value_kind((*C.pts_value)(v))) }

func ValueGetBool(v *Value) bool {
	var out C.int32_t
	C.pts_value_get_bool((*C.pts_value)(v), &out, nil)
	return out != 0
}

func ValueGetInt(v *Value) int64 {
	var out C.int64_t
	C.pts_value_get_int((*C.pts_value)(v), &out, nil)
	return int64(out)
}

func ValueGetFloat(v *Value) float64 {
	var out C.double
	C.pts_value_get_float((*C.pts_value)(v), &out, nil)
	return float64(out)
}

func ValueGetString(v *Value) string {
	var out *C.char
	var size C.size_t
	C.pts_value_get_string((*C.pts_value)(v), &out, &size, nil)
	return string(unsafe.Slice((*byte)(unsafe.Pointer(out)), size))
}

// ValueGetTensor is borrowed from v.
func ValueGetTensor(v *Value) (View, error) {
	var t C.ptsgo_tensor
	err := call(func(e *C.pts_error) C.pts_status {
		return C.ptsgo_describe_tensor((*C.pts_value)(v), &t, e)
	})
	return viewOf(&t, nil), err
}

func ValueSize(v *Value) int { return int(C.pts_value_size((*C.pts_value)(v))) }

// ValueItem is borrowed from v.
func ValueItem(v *Value, index int) *Value {
	return (*Value)(unsafe.Pointer(C.pts_value_item((*C.pts_value)(v), C.size_t(index))))
}

func ValueKey(v *Value, index int) string {
	return C.GoString(C.pts_value_key((*C.pts_value)(v), C.size_t(index)))
}

func ValueDestroy(v *Value) {
	c := (*C.pts_value)(v)
	C.pts_value_destroy(&c)
	live.Add(-1)
}

// ValueFromNpy is a tensor from the bytes of a NumPy .npy file.
func ValueFromNpy(data []byte) (*Value, error) {
	if len(data) == 0 {
		data = make([]byte, 0, 1) // an address, though nothing is there
	}
	return value(func(out **C.pts_value, e *C.pts_error) C.pts_status {
		return C.pts_value_from_npy(unsafe.Pointer(unsafe.SliceData(data)), C.size_t(len(data)), out, e)
	})
}

func ValueToNpy(v *Value) (*Bytes, error) {
	var out *C.pts_bytes
	err := call(func(e *C.pts_error) C.pts_status { return C.pts_value_to_npy((*C.pts_value)(v), &out, e) })
	return (*Bytes)(out), made(err)
}
