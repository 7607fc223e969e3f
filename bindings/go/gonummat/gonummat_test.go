package gonummat_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"gonum.org/v1/gonum/mat"

	"github.com/ptsecure/ptsecure/bindings/go"
	"github.com/ptsecure/ptsecure/bindings/go/gonummat"
)

// numbered is the matrix of 0, 1, 2, ...
func numbered(rows, columns int) *mat.Dense {
	m := mat.NewDense(rows, columns, nil)
	for i := range rows {
		for j := range columns {
			m.Set(i, j, float64(i*columns+j))
		}
	}
	return m
}

func same(t *testing.T, v ptsecure.Value, want mat.Matrix) {
	t.Helper()
	got, err := gonummat.Dense(v)
	if err != nil {
		t.Fatal(err)
	}
	if !mat.Equal(got, want) {
		t.Fatalf("%v is not %v", got, want)
	}
}

func TestThereAndBack(t *testing.T) {
	m := numbered(3, 4)
	part := m.Slice(1, 3, 1, 3).(*mat.Dense)
	same(t, gonummat.Tensor(m), m)
	same(t, gonummat.Tensor(part), part)
	same(t, gonummat.Convert[float32](part), part)
	same(t, gonummat.Convert[uint8](m.T()), m.T())
	same(t, gonummat.Convert[int64](m, 2, 6), mat.NewDense(2, 6, m.RawMatrix().Data))
	same(t, ptsecure.NewTensor([]int16{1, -2}), mat.NewDense(1, 2, []float64{1, -2}))
	same(t, ptsecure.Scalar(uint32(7)), mat.NewDense(1, 1, []float64{7}))
	shared, err := ptsecure.Data[float64](gonummat.Tensor(m))
	if err != nil || unsafe.SliceData(shared) != unsafe.SliceData(m.RawMatrix().Data) {
		t.Fatal("the matrix was copied", err)
	}
}

func TestWhatIsNoMatrix(t *testing.T) {
	for _, v := range []ptsecure.Value{
		nil, (*ptsecure.Tensor)(nil), ptsecure.Int(3), ptsecure.NewTensor([]float32{1}, 1, 1, 1),
		ptsecure.NewTensor([]float32{}), ptsecure.NewTensor([]bool{true}), ptsecure.NewTensor([]complex64{1}),
		ptsecure.NewTensor([]float32{1}, 2),
		gonummat.Convert[float32](numbered(2, 2), 3),
	} {
		if _, err := gonummat.Dense(v); !errors.Is(err, ptsecure.ErrInvalidInput) {
			t.Errorf("%v: %v", v, err)
		}
	}
}

// Through a model that returns its input.
func TestThroughAModel(t *testing.T) {
	ctx, folder := context.Background(), t.TempDir()
	python := os.Getenv("PTSECURE_PYTHON")
	if out, err := exec.Command(python, "../testdata/make_models.py", folder).CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v: is build/environment.sh sourced?", out, err)
	}
	keys, err := ptsecure.GenerateKeyring()
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	store, err := ptsecure.OpenStore(ctx, filepath.Join(folder, "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Publish(ctx, "copy", ptsecure.File(filepath.Join(folder, "copy.pt")), keys); err != nil {
		t.Fatal(err)
	}
	model, err := store.Load(ctx, "copy", keys)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	for _, bad := range []*ptsecure.Tensor{
		gonummat.Tensor(nil), gonummat.Convert[float32](nil), gonummat.Convert[float32]((*mat.Dense)(nil)), gonummat.Convert[float32](numbered(2, 2), 3),
		gonummat.Convert[float32](numbered(2, 2), -2, -2),
	} {
		if _, err := model.Infer(ctx, bad); !errors.Is(err, ptsecure.ErrInvalidInput) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	for _, empty := range []*ptsecure.Tensor{gonummat.Tensor(&mat.Dense{}), gonummat.Convert[float32](&mat.Dense{})} {
		answer, err := model.Infer(ctx, empty)
		if err != nil || answer.(*ptsecure.Tensor).Len() != 0 {
			t.Errorf("%v: %v", answer, err)
		}
	}
	m := numbered(4, 3)
	part := m.Slice(1, 3, 0, 2).(*mat.Dense)
	for _, input := range []*ptsecure.Tensor{gonummat.Tensor(part), gonummat.Convert[float32](part)} {
		answer, err := model.Infer(ctx, input)
		if err != nil {
			t.Fatal(err)
		}
		same(t, answer, part)
	}
	transposed, err := model.Call(ctx, "transposed", gonummat.Tensor(m))
	if err != nil {
		t.Fatal(err)
	}
	same(t, transposed, m.T())
}
