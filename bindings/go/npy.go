package ptsecure

import (
	"bytes"
	"context"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// ParseNpy is a tensor from the bytes of a NumPy .npy file, in Go's memory.
func ParseNpy(npy []byte) (*Tensor, error) {
	value, err := raw.ValueFromNpy(npy)
	if err != nil {
		return nil, wrap(context.Background(), err)
	}
	defer raw.ValueDestroy(value)
	view, err := raw.ValueGetTensor(value)
	if err != nil {
		return nil, wrap(context.Background(), err)
	}
	return (&Tensor{view: view}).gathered(), nil
}

// Npy is the tensor as a NumPy .npy file.
func (t *Tensor) Npy() ([]byte, error) {
	var b builder
	defer b.unpin()
	value, err := b.build(t, 1)
	if err != nil {
		return nil, wrap(context.Background(), err)
	}
	defer raw.ValueDestroy(value)
	npy, err := raw.ValueToNpy(value)
	if err != nil {
		return nil, wrap(context.Background(), err)
	}
	defer raw.BytesDestroy(npy)
	return bytes.Clone(raw.BytesView(npy)), nil
}
