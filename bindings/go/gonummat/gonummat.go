// Package gonummat turns gonum matrices into tensors and back.
package gonummat

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/ptsecure/ptsecure/bindings/go"
)

// Tensor is a float64 tensor over a dense matrix, [rows, columns], which it shares: nothing is copied,
// also of a slice of a larger matrix, and the matrix must not change while a call uses it. A nil matrix
// is a nil tensor, which every call refuses.
func Tensor(m *mat.Dense) *ptsecure.Tensor {
	if m == nil {
		return nil
	}
	r := m.RawMatrix()
	return ptsecure.NewStridedTensor(r.Data, []int{r.Rows, r.Cols}, []int{r.Stride, 1})
}

// Real is what elements of a matrix are converted to and from.
type Real interface {
	uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64 | float32 | float64
}

// Convert copies any matrix into a tensor of another element type, row by row: most models take
// float32. Without a shape it is [rows, columns]; with one, rows*columns elements of that shape.
// Values are converted as Go converts numbers. A nil matrix is a nil tensor.
func Convert[T Real](m mat.Matrix, shape ...int) *ptsecure.Tensor {
	if m == nil || m == mat.Matrix((*mat.Dense)(nil)) {
		return nil
	}
	rows, columns := m.Dims()
	if shape == nil {
		shape = []int{rows, columns}
	}
	data := make([]T, 0, rows*columns)
	for i := range rows {
		for j := range columns {
			data = append(data, T(m.At(i, j)))
		}
	}
	return ptsecure.NewTensor(data, shape...)
}

// Dense copies a tensor of real numbers into a matrix: one of two dimensions as it is, of one as a row,
// of none as one element. ErrInvalidInput for anything else, and for a tensor without elements, which
// no matrix is.
func Dense(v ptsecure.Value) (*mat.Dense, error) {
	t, ok := v.(*ptsecure.Tensor)
	if !ok || t == nil {
		return nil, invalid("a matrix is made of a tensor, not of %T", v)
	}
	shape := t.Shape()
	if len(shape) > 2 || t.Len() == 0 {
		return nil, invalid("a matrix is made of a tensor with 1 or 2 dimensions and elements, not of %v", t)
	}
	rows, columns := 1, t.Len()
	if len(shape) == 2 {
		rows, columns = shape[0], shape[1]
	}
	t, err := t.Clone() // without gaps
	if err != nil {
		return nil, err
	}
	data, err := floats(t)
	if err != nil {
		return nil, err
	}
	return mat.NewDense(rows, columns, data), nil
}

func floats(t *ptsecure.Tensor) ([]float64, error) {
	switch t.DType() {
	case ptsecure.FP64:
		return ptsecure.Data[float64](t)
	case ptsecure.FP32:
		return converted[float32](t)
	case ptsecure.UINT8:
		return converted[uint8](t)
	case ptsecure.UINT16:
		return converted[uint16](t)
	case ptsecure.UINT32:
		return converted[uint32](t)
	case ptsecure.UINT64:
		return converted[uint64](t)
	case ptsecure.INT8:
		return converted[int8](t)
	case ptsecure.INT16:
		return converted[int16](t)
	case ptsecure.INT32:
		return converted[int32](t)
	case ptsecure.INT64:
		return converted[int64](t)
	}
	return nil, invalid("a matrix is made of real numbers, not of %v: let the model convert them, e.g. by .float()", t.DType())
}

func converted[T interface {
	Real
	ptsecure.Element
}](t *ptsecure.Tensor) ([]float64, error) {
	elements, err := ptsecure.Data[T](t)
	out := make([]float64, len(elements))
	for i, element := range elements {
		out[i] = float64(element)
	}
	return out, err
}

func invalid(format string, arguments ...any) error {
	return &ptsecure.Error{Status: ptsecure.ErrInvalidInput, Message: fmt.Sprintf(format, arguments...)}
}
