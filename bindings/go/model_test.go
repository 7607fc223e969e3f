package ptsecure_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/ptsecure/ptsecure/bindings/go"
)

func TestInferDigits(t *testing.T) {
	leakless(t)
	model := loaded(t, "digits", sample(), ptsecure.WithAlias("production"), ptsecure.WithLabels(map[string]string{"run": "42"}))
	answer := must(model.Infer(background, ptsecure.NewTensor(pictures(3), 3, 1, 8, 8)))(t)
	tensor := answer.(*ptsecure.Tensor)
	if tensor.DType() != ptsecure.FP32 || !slices.Equal(tensor.Shape(), []int{3, 10}) || tensor.Len() != 30 {
		t.Fatal(tensor)
	}
	rows := must(ptsecure.Data[float32](answer))(t)
	for i := range 3 {
		var sum float64
		for _, p := range rows[i*10 : (i+1)*10] {
			sum += float64(p)
		}
		if math.Abs(sum-1) > 1e-5 {
			t.Fatalf("row %d sums to %v", i, sum)
		}
	}
	// The same by JSON, and as a result.
	result := must(model.Run(background, ptsecure.Request{
		Inputs: []ptsecure.Value{ptsecure.NewTensor(pictures(3), 3, 1, 8, 8)}, InputNames: []string{"images"},
	}))(t)
	closing(t, result)
	borrowed := must(result.Value())(t)
	equal(t, borrowed, rows...)
	var response struct {
		Outputs []struct {
			Shape []int
			Data  []float32
		}
	}
	ok(t, json.Unmarshal(must(result.JSON())(t), &response))
	if len(response.Outputs) != 1 || !slices.Equal(response.Outputs[0].Data, rows) {
		t.Fatal(response)
	}
	request := must(model.Example())(t)
	if text := string(must(model.InferJSON(background, request))(t)); !strings.Contains(text, `"model_name":"digits"`) {
		t.Fatal(text)
	}
	logits := must(model.Call(background, "logits", ptsecure.NewTensor(pictures(1), 1, 1, 8, 8)))(t)
	if len(must(ptsecure.Data[float32](logits))(t)) != 10 {
		t.Fatal(logits)
	}
	if model.Name() != "digits" || model.Version() != 1 {
		t.Fatal(model.Name(), model.Version())
	}
	about := model.Metadata()
	if about.Stateful || !slices.Contains(about.Methods, "logits") || about.Inputs[0].Datatype != "FP32" || !slices.Equal(about.Inputs[0].Shape, []int{-1, 1, 8, 8}) || about.WeightBytes == 0 {
		t.Fatalf("%+v", about)
	}
}

func TestInputsAreShared(t *testing.T) {
	leakless(t)
	model := loaded(t, "echo")
	data := []float32{1, 2, 3, 4}
	result := must(model.Run(background, ptsecure.Request{Inputs: []ptsecure.Value{ptsecure.NewTensor(data, 2, 2)}}))(t)
	value := must(result.Value())(t)
	equal(t, value, data...)
	copied := must(value.(*ptsecure.Tensor).Clone())(t)
	ok(t, result.Close())
	equal[float32](t, copied, 1, 2, 3, 4)
	if _, err := result.Value(); !errors.Is(err, ptsecure.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := ptsecure.Data[float32](value); !errors.Is(err, ptsecure.ErrClosed) {
		t.Fatal(err)
	}
	_, err := result.JSON()
	fails(t, err, ptsecure.ErrClosed, "the result is closed")
	ok(t, result.Close())

	// A copied answer is Go's own memory.
	answer := must(model.Infer(background, ptsecure.NewTensor(data)))(t)
	got := must(ptsecure.Data[float32](answer))(t)
	if unsafe.SliceData(got) == unsafe.SliceData(data) {
		t.Fatal("the answer is the input's memory")
	}
	data[0] = 9
	equal[float32](t, answer, 1, 2, 3, 4)
}

func echoes[T ptsecure.Element](t *testing.T, model *ptsecure.Model, elements ...T) {
	t.Helper()
	for n := range len(elements) + 1 {
		answer := must(model.Infer(background, ptsecure.NewTensor(elements[:n])))(t)
		equal(t, answer, elements[:n]...)
		if answer.(*ptsecure.Tensor).DType() != ptsecure.DTypeOf[T]() {
			t.Fatal(answer)
		}
	}
}

func TestDatatypes(t *testing.T) {
	leakless(t)
	model := loaded(t, "copy")
	echoes(t, model, false, true, true)
	echoes[uint8](t, model, 0, 1, 255)
	echoes[uint16](t, model, 0, 1, math.MaxUint16)
	echoes[uint32](t, model, 0, 1, math.MaxUint32)
	echoes[uint64](t, model, 0, 1, math.MaxUint64)
	echoes[int8](t, model, 0, -1, 127)
	echoes[int16](t, model, 0, -1, math.MaxInt16)
	echoes[int32](t, model, 0, -1, math.MaxInt32)
	echoes[int64](t, model, 0, -1, math.MaxInt64)
	echoes[ptsecure.Float16](t, model, 0, 0x3c00, 0xc000)
	echoes[ptsecure.BFloat16](t, model, 0, 0x3f80, 0xc000)
	echoes[float32](t, model, 0, -1.5, math.MaxFloat32)
	echoes[float64](t, model, 0, -1.5, math.MaxFloat64)
	echoes(t, model, ptsecure.Complex32{Re: 0x3c00, Im: 0xc000})
	echoes(t, model, complex64(1+2i), -3i)
	echoes(t, model, 1+2i, -3i)
	scalar := must(model.Infer(background, ptsecure.Scalar(int64(7))))(t).(*ptsecure.Tensor)
	if len(scalar.Shape()) != 0 || scalar.Len() != 1 {
		t.Fatal(scalar)
	}
	equal[int64](t, scalar, 7)
	empty := must(model.Infer(background, ptsecure.NewTensor([]float32{}, 0, 3)))(t).(*ptsecure.Tensor)
	if !slices.Equal(empty.Shape(), []int{0, 3}) {
		t.Fatal(empty)
	}
}

func TestStrides(t *testing.T) {
	leakless(t)
	model := loaded(t, "copy")
	data := []float64{0, 1, 2, 3, 4, 5, 6, 7}
	column := ptsecure.NewStridedTensor(data[1:], []int{3, 2}, []int{2, 1})
	equal[float64](t, must(model.Infer(background, column))(t), 1, 2, 3, 4, 5, 6)
	every := ptsecure.NewStridedTensor(data, []int{4}, []int{2})
	equal[float64](t, must(model.Infer(background, every))(t), 0, 2, 4, 6)
	equal[float64](t, must(every.Clone())(t), 0, 2, 4, 6)
	_, err := ptsecure.Data[float64](every)
	fails(t, err, ptsecure.ErrInvalidInput, "Clone")
	same := ptsecure.NewStridedTensor([]float64{5}, []int{2, 3}, []int{0, 0})
	equal[float64](t, must(model.Infer(background, same))(t), 5, 5, 5, 5, 5, 5)
	transposed := must(model.Call(background, "transposed", ptsecure.NewTensor(data[:6], 2, 3)))(t)
	equal[float64](t, transposed, 0, 3, 1, 4, 2, 5)
}

func everything(x float32) []ptsecure.Value {
	one := ptsecure.NewTensor([]float32{x})
	return []ptsecure.Value{
		one, ptsecure.Int(3), ptsecure.Float(0.5), ptsecure.String("täxt\x00"), ptsecure.Bool(true),
		ptsecure.List{one, one}, ptsecure.Dict{{"bb", one}, {"a", one}}, ptsecure.Tuple{ptsecure.Int(4), one},
	}
}

func checkEverything(t *testing.T, answer ptsecure.Value, sum float32, maybe bool) {
	t.Helper()
	value, found := answer.(ptsecure.Dict).Get("answer")
	if !found {
		t.Fatal(answer)
	}
	tuple := value.(ptsecure.Tuple)
	equal(t, tuple[0], sum)
	if order := tuple[1].(ptsecure.List); !slices.Equal(order, ptsecure.List{ptsecure.Int(2), ptsecure.Int(1), ptsecure.Int(7)}) {
		t.Fatal(order)
	}
	if tuple[2] != ptsecure.Float(1) || tuple[3] != ptsecure.String("täxt\x00!") || tuple[4] != ptsecure.Bool(false) || (tuple[5] != nil) != maybe {
		t.Fatal(tuple)
	}
}

func TestValueTrees(t *testing.T) {
	leakless(t)
	model := loaded(t, "everything")
	inputs := everything(1.5)
	checkEverything(t, must(model.Infer(background, inputs...))(t), 9, false)
	inputs = append(inputs, ptsecure.NewTensor([]float32{1}))
	checkEverything(t, must(model.Infer(background, inputs...))(t), 9, true)
	result := must(model.Run(background, ptsecure.Request{Inputs: append(inputs[:8], nil)}))(t)
	defer result.Close()
	checkEverything(t, must(result.Value())(t), 9, false)
	// What a result holds goes back in.
	value, _ := must(result.Value())(t).(ptsecure.Dict).Get("answer")
	inputs[0] = value.(ptsecure.Tuple)[0]
	checkEverything(t, must(model.Infer(background, inputs[:8]...))(t), 16.5, false)
	if d := ptsecure.DictOf(map[string]ptsecure.Value{"b": nil, "a": ptsecure.Int(1)}); d[0].Key != "a" || d[1].Key != "b" {
		t.Fatal(d)
	}
}

func TestStateIsOwnedAndForked(t *testing.T) {
	leakless(t)
	model := loaded(t, "counter")
	if !model.Metadata().Stateful {
		t.Fatal("not stateful")
	}
	data := []float32{2}
	equal[float32](t, must(model.Infer(background, ptsecure.NewTensor(data)))(t), 2)
	data[0] = 100 // what the model keeps is a copy
	equal[float32](t, must(model.Call(background, "kept"))(t), 2)
	fork := must(model.Fork(background))(t)
	equal[float32](t, must(fork.Infer(background, ptsecure.NewTensor([]float32{3})))(t), 5)
	equal[float32](t, must(model.Infer(background, ptsecure.NewTensor([]float32{1})))(t), 3)
	ok(t, model.Close())
	equal[float32](t, must(fork.Infer(background, ptsecure.NewTensor([]float32{3})))(t), 8)
	ok(t, fork.Close())
}

func TestBadInputs(t *testing.T) {
	leakless(t)
	model := loaded(t, "digits", sample())
	picture := ptsecure.NewTensor(pictures(1), 1, 1, 8, 8)
	deep := ptsecure.Value(ptsecure.List{})
	for range 300 {
		deep = ptsecure.List{deep}
	}
	huge := []int{math.MaxInt, math.MaxInt}
	for name, test := range map[string]struct {
		input  ptsecure.Value
		status ptsecure.Status
		part   string
	}{
		"dtype":          {ptsecure.NewTensor(make([]float64, 64), 1, 1, 8, 8), ptsecure.ErrInvalidInput, "FP32"},
		"shape":          {ptsecure.NewTensor(pictures(1), 1, 8, 8), ptsecure.ErrInvalidInput, "images"},
		"extents":        {ptsecure.NewTensor(pictures(1), 2, 1, 8, 8), ptsecure.ErrInvalidInput, "64 elements"},
		"negative":       {ptsecure.NewTensor(pictures(1), -1, 1, 8, -8), ptsecure.ErrInvalidInput, "64 elements"},
		"overflow":       {ptsecure.NewTensor(pictures(1), huge...), ptsecure.ErrInvalidInput, "64 elements"},
		"rank":           {ptsecure.NewTensor(make([]float32, 1), make([]int, 17)...), ptsecure.ErrInvalidInput, "16 dimensions"},
		"stride":         {ptsecure.NewStridedTensor(pictures(1), []int{1, 1, 8, 8}, []int{64, 64, -8, 1}), ptsecure.ErrInvalidInput, "negative"},
		"stride outside": {ptsecure.NewStridedTensor(pictures(1), []int{1, 1, 8, 8}, []int{64, 64, 9, 1}), ptsecure.ErrInvalidInput, "64 elements"},
		"stride count":   {ptsecure.NewStridedTensor(pictures(1), []int{1, 1, 8, 8}, []int{8, 1}), ptsecure.ErrInvalidInput, "64 elements"},
		"stride huge":    {ptsecure.NewStridedTensor(pictures(1), []int{2, 1, 8, 8}, []int{math.MaxInt, 0, 8, 1}), ptsecure.ErrInvalidInput, "64 elements"},
		"kind":           {ptsecure.Int(3), ptsecure.ErrInvalidInput, "images"},
		"none":           {nil, ptsecure.ErrInvalidInput, "images"},
		"nil tensor":     {(*ptsecure.Tensor)(nil), ptsecure.ErrInvalidInput, "nil"},
		"deep":           {deep, ptsecure.ErrLimitExceeded, "256"},
		"empty":          {ptsecure.NewTensor([]float32{}), ptsecure.ErrInvalidInput, "images"},
		"key":            {ptsecure.Dict{{"a\x00b", nil}}, ptsecure.ErrInvalidArgument, "NUL"},
		"same key":       {ptsecure.Dict{{"a", nil}, {"a", nil}}, ptsecure.ErrAlreadyExists, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := model.Infer(background, test.input)
			fails(t, err, test.status, test.part)
			if _, err := model.Run(background, ptsecure.Request{Inputs: []ptsecure.Value{picture, test.input}}); err == nil {
				t.Fatal("accepted as a second input")
			}
		})
	}
	_, err := model.Infer(background)
	fails(t, err, ptsecure.ErrInvalidInput, "FP32[-1,1,8,8]")
	_, err = model.Call(background, "backward", picture)
	fails(t, err, ptsecure.ErrNotFound, "forward")
	_, err = model.Call(background, "for\x00ward", picture)
	fails(t, err, ptsecure.ErrInvalidArgument, "NUL")
	_, err = model.Run(background, ptsecure.Request{Inputs: []ptsecure.Value{picture}, InputNames: []string{"pictures"}})
	fails(t, err, ptsecure.ErrInvalidInput, "images")
	_, err = model.Run(background, ptsecure.Request{Inputs: []ptsecure.Value{picture}, InputNames: []string{"a", "b"}})
	fails(t, err, ptsecure.ErrInvalidArgument, "one entry per input")
	for _, request := range []string{"", "{", "[1]", `{"inputs":[{}]}`, `{"inputs":[]} x`, "\xff", "{}\x00"} {
		_, err := model.InferJSON(background, json.RawMessage(request))
		fails(t, err, ptsecure.ErrInvalidInput, "")
	}
	_, err = ptsecure.Data[float32](ptsecure.Int(3))
	fails(t, err, ptsecure.ErrInvalidInput, "not a tensor")
	_, err = ptsecure.Data[float64](picture)
	fails(t, err, ptsecure.ErrInvalidInput, "FP32, not FP64")
	if picture.Err() != nil || ptsecure.NewTensor(pictures(1), 1).Err() == nil {
		t.Fatal("Err")
	}
	ended, cancel := context.WithCancelCause(background)
	why := errors.New("no longer wanted")
	cancel(why)
	_, err = model.Infer(ended, picture)
	fails(t, err, ptsecure.ErrCancelled, "no longer wanted")
	if !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
		t.Fatal(err)
	}
	// The model still works.
	must(model.Infer(background, picture))(t)
	failing := loaded(t, "copy")
	_, err = failing.Call(background, "failing", picture)
	fails(t, err, ptsecure.ErrEngine, "")
}

func TestDevicesThatAreNotThere(t *testing.T) {
	leakless(t)
	store, keys := published(t, "digits")
	_, err := store.Load(background, "digits", keys, ptsecure.WithDevice("tpu"))
	fails(t, err, ptsecure.ErrInvalidArgument, "cuda")
	_, err = store.Load(background, "digits", keys, ptsecure.WithDevice("cuda:63"))
	fails(t, err, ptsecure.ErrUnsupported, "63")
	_, err = store.Load(background, "digits", keys, ptsecure.WithWarmUp(1))
	fails(t, err, ptsecure.ErrInvalidArgument, "sample")
	_, err = store.Load(background, "digits", keys, ptsecure.WithOptimize(3))
	fails(t, err, ptsecure.ErrInvalidArgument, "optimize")
}

func TestOptimize(t *testing.T) {
	leakless(t)
	store, keys := published(t, "digits", sample())
	rows := func(options ...ptsecure.LoadOption) []float32 {
		model := must(store.Load(background, "digits", keys, options...))(t)
		defer model.Close()
		answer := must(model.Infer(background, ptsecure.NewTensor(pictures(3), 3, 1, 8, 8)))(t)
		return must(ptsecure.Data[float32](answer))(t)
	}
	expected := rows()
	for _, how := range []ptsecure.Optimize{ptsecure.OptimizeFreeze, ptsecure.OptimizeInference} {
		for i, found := range rows(ptsecure.WithOptimize(how)) {
			if math.Abs(float64(expected[i]-found)) > 1e-3 {
				t.Fatalf("%v: %v, not %v", how, found, expected[i])
			}
		}
	}
}

// Many goroutines run, fork and read results while others close what they use.
func TestCloseWhileInUse(t *testing.T) {
	leakless(t)
	store, keys := published(t, "digits", sample())
	for range 4 {
		model := must(store.Load(background, "digits", keys, ptsecure.WithVerify(ptsecure.VerifyAEAD), ptsecure.WithIntraOpThreads(1), ptsecure.WithWarmUp(1)))(t)
		var started, done sync.WaitGroup
		for i := range 8 {
			started.Add(1)
			done.Add(1)
			go func() {
				defer done.Done()
				input := ptsecure.NewTensor(pictures(1), 1, 1, 8, 8)
				for first := true; ; first = false {
					err := use(model, input, i)
					if first {
						started.Done()
					}
					if errors.Is(err, ptsecure.ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			}()
		}
		started.Wait()
		for range 3 {
			done.Add(1)
			go func() {
				defer done.Done()
				model.Close()
			}()
		}
		done.Wait()
	}
}

// The same of a store, its keyring, a package and an API-key checker: each call does all that it
// does, or says ErrClosed.
func TestCloseAllWhileInUse(t *testing.T) {
	leakless(t)
	dir, owner := t.TempDir(), newKeys(t)
	ring := must(owner.Export())(t)
	closing(t, ring)
	must(openStore(t, dir).Publish(background, "m", ptsecure.Bytes(make([]byte, 1<<20)), owner, ptsecure.WithFormat("opaque")))(t)
	for range 6 {
		store := must(ptsecure.OpenStore(background, dir, ptsecure.WithThreads(2)))(t)
		keys := must(ptsecure.ParseKeyring(ring.Bytes()))(t)
		pkg := must(store.Fetch(background, "m", keys))(t)
		checker := must(store.CheckAPIKeys(background, keys, ptsecure.APIKeyCheckerOptions{Refresh: 10 * time.Millisecond}))(t)
		uses := []func() error{
			func() error { return pkg.Stream(background, io.Discard) },
			func() error {
				secret, err := pkg.Decrypt(background)
				if err != nil {
					return err
				}
				return secret.Close()
			},
			func() error {
				fetched, err := store.Fetch(background, "m", keys)
				if err != nil {
					return err
				}
				return fetched.Close()
			},
			func() error { _, err := store.Verify(background, "m", keys); return err },
			func() error { _, err := store.List(background, "", 0); return err },
			func() error { _, err := checker.Usage(); return err },
			func() error {
				_, err := checker.Check("none", ptsecure.APIKeyRequest{Model: "m"})
				if errors.Is(err, ptsecure.ErrUnauthenticated) {
					return nil
				}
				return err
			},
		}
		var started, done sync.WaitGroup
		for _, use := range uses {
			started.Add(1)
			done.Add(1)
			go func() {
				defer done.Done()
				err := use()
				for started.Done(); err == nil; err = use() {
				}
				if !errors.Is(err, ptsecure.ErrClosed) {
					t.Error(err)
				}
			}()
		}
		started.Wait()
		for _, handle := range []io.Closer{checker, pkg, keys, store, pkg, keys, store, checker} {
			done.Add(1)
			go func() {
				defer done.Done()
				handle.Close()
			}()
		}
		done.Wait()
	}
}

func use(model *ptsecure.Model, input *ptsecure.Tensor, how int) error {
	switch how % 4 {
	case 0:
		fork, err := model.Fork(background)
		if err != nil {
			return err
		}
		return fork.Close()
	case 1:
		result, err := model.Run(background, ptsecure.Request{Inputs: []ptsecure.Value{input}})
		if err != nil {
			return err
		}
		var closers sync.WaitGroup
		for range 2 {
			closers.Add(1)
			go func() {
				defer closers.Done()
				result.Close()
			}()
		}
		defer closers.Wait()
		if _, err := result.JSON(); err != nil && !errors.Is(err, ptsecure.ErrClosed) {
			return err
		}
		return nil
	case 2:
		request, err := model.Example()
		if err == nil {
			_, err = model.InferJSON(background, request)
		}
		return err
	}
	_, err := model.Infer(background, input)
	return err
}

func TestClosedAndNilHandles(t *testing.T) {
	leakless(t)
	store, keys := published(t, "digits", sample())
	model := must(store.Load(background, "digits", keys))(t)
	pkg := must(store.Fetch(background, "digits", keys))(t)
	secret := must(keys.Export())(t)
	for _, handle := range []interface{ Close() error }{model, pkg, secret, store, keys} {
		ok(t, handle.Close())
		ok(t, handle.Close())
	}
	for name, c := range calls(store, keys, model, pkg) {
		fails(t, c(), ptsecure.ErrClosed, "closed")
		_ = name
	}
	if secret.Bytes() != nil || pkg.Name() != "" || pkg.Version() != 0 || pkg.Size() != 0 {
		t.Fatal("a closed handle still answers")
	}
	var zero struct {
		store ptsecure.Store
		keys  ptsecure.Keyring
		model ptsecure.Model
		pkg   ptsecure.Package
	}
	for _, c := range calls(&zero.store, &zero.keys, &zero.model, &zero.pkg) {
		fails(t, c(), ptsecure.ErrClosed, "not an open handle")
	}
	for _, c := range calls(nil, nil, nil, nil) {
		fails(t, c(), ptsecure.ErrInvalidArgument, "nil")
	}
	ok(t, (*ptsecure.Store)(nil).Close())
	ok(t, (*ptsecure.Keyring)(nil).Close())
	ok(t, (*ptsecure.Model)(nil).Close())
	ok(t, (*ptsecure.Package)(nil).Close())
	ok(t, (*ptsecure.Result)(nil).Close())
	ok(t, (*ptsecure.Secret)(nil).Close())
}

// calls is one of each method that can fail.
func calls(store *ptsecure.Store, keys *ptsecure.Keyring, model *ptsecure.Model, pkg *ptsecure.Package) map[string]func() error {
	return map[string]func() error{
		"Split":        func() error { return only(keys.Split(ptsecure.Opener)) },
		"Public":       func() error { return only(keys.Public()) },
		"Save":         func() error { return keys.Save("never-written", "") },
		"Export":       func() error { return only(keys.Export()) },
		"Keys":         func() error { return only(keys.Keys()) },
		"Info":         func() error { return only(store.Info(background)) },
		"List":         func() error { return only(store.List(background, "", 0)) },
		"Versions":     func() error { return only(store.Versions(background, "digits", 0, 0)) },
		"Show":         func() error { return only(store.Show(background, "digits", keys)) },
		"Aliases":      func() error { return only(store.Aliases(background, "digits", keys)) },
		"SetAlias":     func() error { return store.SetAlias(background, "digits", "a", 1, "", keys) },
		"SetKeyStatus": func() error { return store.SetKeyStatus(background, "digits", ptsecure.KeyDisabled, "", keys) },
		"Fetch":        func() error { return only(store.Fetch(background, "digits", keys)) },
		"Load":         func() error { return only(store.Load(background, "digits", keys)) },
		"Verify":       func() error { return only(store.Verify(background, "digits", keys)) },
		"Publish":      func() error { return only(store.Publish(background, "digits", ptsecure.Bytes(nil), keys)) },
		"Import": func() error {
			return only(store.Import(background, "digits", ptsecure.Bytes(nil), ptsecure.Bytes(nil), keys))
		},
		"Rollback":     func() error { return only(store.RollbackAlias(background, "digits", "a", 1, "", keys)) },
		"DeleteAlias":  func() error { return store.DeleteAlias(background, "digits", "a", "", keys) },
		"Alias":        func() error { return only(store.Alias(background, "digits", "a", keys)) },
		"AliasHistory": func() error { return only(store.AliasHistory(background, "digits", "a", keys)) },
		"Log":          func() error { return only(store.Log(background, keys, 0, 0)) },
		"VerifyLog":    func() error { return only(store.VerifyLog(background, keys, "")) },
		"CreateAPIKey": func() error {
			_, _, err := store.CreateAPIKey(background, ptsecure.NewAPIKey{Owner: "o", Scopes: ptsecure.ScopeInfer, Models: []string{"digits"}}, keys)
			return err
		},
		"RotateAPIKey": func() error {
			_, _, err := store.RotateAPIKey(background, "x", 0, "", keys)
			return err
		},
		"APIKeys":      func() error { return only(store.APIKeys(background, keys)) },
		"APIKey":       func() error { return only(store.APIKey(background, "x", keys)) },
		"APIKeyState":  func() error { return store.SetAPIKeyState(background, "x", "disabled", "", keys) },
		"CheckAPIKeys": func() error { return only(store.CheckAPIKeys(background, keys, ptsecure.APIKeyCheckerOptions{})) },
		"Copy":         func() error { return only(store.Copy(background, "digits", keys, store, keys)) },
		"Manifest":     func() error { return only(pkg.Manifest()) },
		"PkgExample":   func() error { return only(pkg.Example()) },
		"PkgLoad":      func() error { return only(pkg.Load(background)) },
		"Decrypt":      func() error { return only(pkg.Decrypt(background)) },
		"Stream":       func() error { return pkg.Stream(background, nil) },
		"PkgExport":    func() error { return pkg.Export(background, "never-made") },
		"Example":      func() error { return only(model.Example()) },
		"Fork":         func() error { return only(model.Fork(background)) },
		"Infer":        func() error { return only(model.Infer(background)) },
		"InferJSON":    func() error { return only(model.InferJSON(background, nil)) },
		"Run":          func() error { return only(model.Run(background, ptsecure.Request{})) },
	}
}

func TestNpy(t *testing.T) {
	leakless(t)
	npy := must(os.ReadFile(root + "/examples/digits/sample.npy"))(t)
	tensor := must(ptsecure.ParseNpy(npy))(t)
	if tensor.DType() != ptsecure.FP32 || !slices.Equal(tensor.Shape(), []int{8, 1, 8, 8}) {
		t.Fatal(tensor)
	}
	again := must(ptsecure.ParseNpy(must(tensor.Npy())(t)))(t)
	equal(t, again, must(ptsecure.Data[float32](tensor))(t)...)
	columns := ptsecure.NewStridedTensor([]int32{1, 2, 3, 4}, []int{2, 2}, []int{1, 2})
	equal[int32](t, must(ptsecure.ParseNpy(must(columns.Npy())(t)))(t), 1, 3, 2, 4)
	for _, broken := range [][]byte{nil, []byte("no npy"), npy[:100]} {
		if _, err := ptsecure.ParseNpy(broken); err == nil {
			t.Fatalf("%q was accepted", broken)
		}
	}
	for from, to := range map[string]string{"'<f4'": "'>f4'", "'<f4', 'fortran_order': False": "'|O', 'fortran_order': False, "} {
		other := bytes.Replace(npy, []byte(from), []byte(to), 1)
		if _, err := ptsecure.ParseNpy(other); bytes.Equal(other, npy) || err == nil {
			t.Fatalf("%s was accepted", to)
		}
	}
	_, err := ptsecure.NewTensor([]int32{1}, 2).Npy()
	fails(t, err, ptsecure.ErrInvalidInput, "1 elements")
}
