package ptsecure_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ptsecure/ptsecure/bindings/go"
)

const (
	root   = "../.."
	digits = root + "/examples/digits/digits.pt"
)

var work string // a folder of this run

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if work, err = os.MkdirTemp("", "ptsecure-go-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(work)
	defer stopMongod()
	before := ptsecure.OpenHandles()
	status := m.Run()
	if left := ptsecure.OpenHandles() - before; left != 0 && status == 0 {
		fmt.Fprintf(os.Stderr, "%d handles were left open\n", left)
		return 1
	}
	return status
}

// python runs a script, with the interpreter that build/environment.sh names.
func python(arguments ...string) (string, error) {
	interpreter := os.Getenv("PTSECURE_PYTHON")
	if interpreter == "" {
		return "", errors.New("PTSECURE_PYTHON is not set: source build/environment.sh first")
	}
	out, err := exec.Command(interpreter, arguments...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// models makes the tests' models on the first call and returns their folder.
var models = sync.OnceValues(func() (string, error) {
	_, err := python("testdata/make_models.py", work)
	return work, err
})

// mongod starts one server for all tests on the first call and returns its URI; run stops it.
var mongod = sync.OnceValues(func() (string, error) {
	return python(root+"/tests/mongod.py", "start", filepath.Join(work, "mongod"))
})

func stopMongod() {
	if folder := filepath.Join(work, "mongod"); exists(folder) {
		python(root+"/tests/mongod.py", "stop", folder)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// leakless fails the test when it leaves handles open.
func leakless(t *testing.T) {
	t.Helper()
	before := ptsecure.OpenHandles()
	t.Cleanup(func() {
		if left := ptsecure.OpenHandles() - before; left != 0 {
			t.Errorf("%d handles were left open", left)
		}
	})
}

func must[T any](value T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails looks at an error's status and at a part of its text.
func fails(t testing.TB, err error, status ptsecure.Status, part string) {
	t.Helper()
	var typed *ptsecure.Error
	if !errors.As(err, &typed) || !errors.Is(err, status) || typed.Status != status {
		t.Fatalf("expected %v, got %v", status, err)
	}
	if !strings.Contains(err.Error(), part) {
		t.Fatalf("%q doesn't say %q", err, part)
	}
}

func closing(t testing.TB, c interface{ Close() error }) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

var background = context.Background()

func newKeys(t testing.TB) *ptsecure.Keyring {
	keys := must(ptsecure.GenerateKeyring())(t)
	closing(t, keys)
	return keys
}

func openStore(t testing.TB, uri string, options ...ptsecure.StoreOption) *ptsecure.Store {
	store := must(ptsecure.OpenStore(background, uri, options...))(t)
	closing(t, store)
	return store
}

// published is a new folder store with one of the models in it.
func published(t testing.TB, name string, options ...ptsecure.PublishOption) (*ptsecure.Store, *ptsecure.Keyring) {
	store, keys := openStore(t, t.TempDir()), newKeys(t)
	file := digits
	if name != "digits" {
		file = filepath.Join(must(models())(t), name+".pt")
	}
	version := must(store.Publish(background, name, ptsecure.File(file), keys, options...))(t)
	if version != 1 {
		t.Fatalf("version %d", version)
	}
	return store, keys
}

func loaded(t testing.TB, name string, options ...ptsecure.PublishOption) *ptsecure.Model {
	store, keys := published(t, name, options...)
	model := must(store.Load(background, name, keys))(t)
	closing(t, model)
	return model
}

func pictures(n int) []float32 {
	pixels := make([]float32, n*64)
	for i := range pixels {
		pixels[i] = float32(i%17) / 16
	}
	return pixels
}

func sample() ptsecure.PublishOption {
	return ptsecure.WithSample(ptsecure.NewTensor(pictures(2), 2, 1, 8, 8))
}

func equal[T ptsecure.Element](t testing.TB, v ptsecure.Value, want ...T) {
	t.Helper()
	if got := must(ptsecure.Data[T](v))(t); !slices.Equal(got, want) {
		t.Fatalf("got %v, not %v", got, want)
	}
}

// only is the error of a call that returns something else too.
func only[T any](_ T, err error) error { return err }
