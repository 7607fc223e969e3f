package ptsecure_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ptsecure/ptsecure/bindings/go"
)

func TestKeyrings(t *testing.T) {
	leakless(t)
	keys := newKeys(t)
	file := filepath.Join(t.TempDir(), "keys.jwks")
	ok(t, keys.Save(file, "correct horse"))
	fails(t, keys.Save(file, ""), ptsecure.ErrAlreadyExists, "keys.jwks")
	_, err := ptsecure.LoadKeyring(file)
	fails(t, err, ptsecure.ErrNoKey, "passphrase")
	_, err = ptsecure.LoadKeyring(file, ptsecure.WithPassphrase("wrong horse"))
	fails(t, err, ptsecure.ErrNoKey, "")
	loaded := must(ptsecure.LoadKeyring(file, ptsecure.WithPassphrase("correct horse")))(t)
	closing(t, loaded)
	described := must(loaded.Keys())(t)
	if len(described) != 3 || !described[0].Private || described[0].Type != "OKP" || described[2].Curve != "P-256" {
		t.Fatalf("%+v", described)
	}

	public := must(keys.Public())(t)
	closing(t, public)
	opener := must(keys.Split(ptsecure.Opener))(t)
	closing(t, opener)
	_, err = keys.Split("janitor")
	fails(t, err, ptsecure.ErrInvalidArgument, "publisher")
	for _, key := range must(public.Keys())(t) {
		if key.Private {
			t.Fatalf("%+v", key)
		}
	}

	secret := must(opener.Export())(t)
	closing(t, secret)
	parsed := must(ptsecure.ParseKeyring(secret.Bytes()))(t)
	closing(t, parsed)
	t.Setenv("PTSECURE_GO_TEST_KEYS", string(secret.Bytes()))
	fromEnv := must(ptsecure.KeyringFromEnv("PTSECURE_GO_TEST_KEYS"))(t)
	closing(t, fromEnv)

	ok(t, keys.Save(filepath.Join(t.TempDir(), "plain.jwks"), ""))
	open := filepath.Join(t.TempDir(), "open.jwks")
	ok(t, os.WriteFile(open, secret.Bytes(), 0o640))
	ok(t, os.Chmod(open, 0o640))
	_, err = ptsecure.LoadKeyring(open)
	fails(t, err, ptsecure.ErrPermissionDenied, "chmod")
	grouped := must(ptsecure.LoadKeyring(open, ptsecure.WithGroupRead()))(t)
	closing(t, grouped)

	_, err = ptsecure.LoadKeyring("there/is/none")
	fails(t, err, ptsecure.ErrNotFound, "there/is/none")
	_, err = ptsecure.LoadKeyring("nul\x00byte")
	fails(t, err, ptsecure.ErrInvalidArgument, "NUL")
	for _, broken := range []string{"", "{", `{"keys":[{}]}`, "\x00"} {
		_, err = ptsecure.ParseKeyring([]byte(broken))
		if err == nil {
			t.Fatalf("%q was accepted", broken)
		}
	}
}

// Every verb, in a folder and in MongoDB.
func TestStores(t *testing.T) {
	t.Run("folder", func(t *testing.T) { everyVerb(t, "file://"+t.TempDir()) })
	t.Run("mongodb", func(t *testing.T) { everyVerb(t, database(t, "verbs")) })
}

func database(t *testing.T, name string) string {
	return strings.Replace(must(mongod())(t), "/?", "/"+name+"?", 1)
}

func everyVerb(t *testing.T, uri string) {
	leakless(t)
	ctx := background
	store, keys := openStore(t, uri), newKeys(t)
	if info := must(store.Info(ctx))(t); info.ID != "" {
		t.Fatal(info)
	}
	_, err := store.Load(ctx, "digits", keys)
	fails(t, err, ptsecure.ErrNotFound, "")
	if uri := store.URI(); uri == "" || strings.Contains(uri, "@") || strings.Contains(uri, "?") {
		t.Fatal(uri)
	}

	file := must(os.ReadFile(digits))(t)
	var done, total uint64
	for i, source := range []ptsecure.Source{
		ptsecure.File(digits), ptsecure.Bytes(file), ptsecure.Reader(bytes.NewReader(file), int64(len(file))),
	} {
		version := must(store.Publish(ctx, "digits", source, keys, sample(), ptsecure.WithAlias("production"),
			ptsecure.WithLabels(map[string]string{"run": "42", "a": "b"}),
			ptsecure.WithProgress(func(d, n uint64) { done, total = d, n })))(t)
		if version != uint64(i+1) || done != uint64(len(file)) || total != done {
			t.Fatal(version, done, total)
		}
	}
	request := must(os.ReadFile(root + "/examples/digits/request.json"))(t)
	must(store.Publish(ctx, "other", ptsecure.Bytes(file), keys, ptsecure.WithSampleJSON(request)))(t)
	if info := must(store.Info(ctx))(t); info.ID == "" || strings.Contains(info.URI, "@") {
		t.Fatal(info)
	}

	list := must(store.List(ctx, "", 0))(t)
	if len(list) != 2 || list[0].Name != "digits" || list[0].Version != 3 || list[0].Size != uint64(len(file)) ||
		list[0].Labels["run"] != "42" || !slices.Equal(list[0].Aliases, []string{"production"}) || time.Since(list[0].Created) > time.Hour {
		t.Fatalf("%+v", list)
	}
	if list := must(store.List(ctx, "digits", 1))(t); len(list) != 1 || list[0].Name != "other" {
		t.Fatalf("%+v", list)
	}
	if versions := must(store.Versions(ctx, "digits", 3, 1))(t); len(versions) != 1 || versions[0].Version != 2 {
		t.Fatalf("%+v", versions)
	}

	t.Run("aliases", func(t *testing.T) {
		ok(t, store.SetAlias(ctx, "digits", "production", 1, "back", keys))
		aliases := must(store.Aliases(ctx, "digits", keys))(t)
		if len(aliases) != 1 || aliases[0].Version != 1 || aliases[0].Reason != "back" || aliases[0].Sequence != 4 {
			t.Fatalf("%+v", aliases)
		}
	})
	t.Run("show and verify", func(t *testing.T) {
		details := must(store.Show(ctx, "digits@production", keys))(t)
		if details.Version != 1 || details.KeyStatus != "enabled" || details.Outputs[0].Shape[1] != 10 || !json.Valid(details.JSON) {
			t.Fatalf("%+v", details)
		}
		checks := must(store.Verify(ctx, "digits/2", keys))(t)
		if len(checks) < 6 || checks[0].Err != nil || checks[0].Detail == "" {
			t.Fatalf("%+v", checks)
		}
	})
	t.Run("package", func(t *testing.T) {
		pkg := must(store.Fetch(ctx, "digits/2", keys))(t)
		closing(t, pkg)
		if pkg.Name() != "digits" || pkg.Version() != 2 || pkg.Size() != uint64(len(file)) || !json.Valid(must(pkg.Manifest())(t)) {
			t.Fatal(pkg.Name(), pkg.Version(), pkg.Size())
		}
		plain := must(pkg.Decrypt(ctx))(t)
		if !bytes.Equal(plain.Bytes(), file) {
			t.Fatal("decrypted to something else")
		}
		ok(t, plain.Close())
		var streamed bytes.Buffer
		ok(t, pkg.Stream(ctx, &streamed))
		if !bytes.Equal(streamed.Bytes(), file) {
			t.Fatal("streamed something else")
		}
		parts := filepath.Join(t.TempDir(), "parts")
		ok(t, pkg.Export(ctx, parts))
		if _, err := os.Stat(filepath.Join(parts, "payload.bin")); err != nil {
			t.Fatal(err)
		}
		model := must(pkg.Load(ctx))(t)
		closing(t, model)
		if _, err := model.InferJSON(ctx, must(pkg.Example())(t)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("copy", func(t *testing.T) {
		target, targetKeys := openStore(t, filepath.Join(t.TempDir(), "elsewhere")), newKeys(t)
		if version := must(store.Copy(ctx, "digits@production", keys, target, targetKeys, ptsecure.WithAlias("here")))(t); version != 1 {
			t.Fatal(version)
		}
		copied := must(target.Load(ctx, "digits@here", targetKeys))(t)
		closing(t, copied)
	})
	t.Run("key status", func(t *testing.T) {
		ok(t, store.SetKeyStatus(ctx, "digits/3", ptsecure.KeyDisabled, "leaked", keys))
		_, err := store.Load(ctx, "digits", keys)
		fails(t, err, ptsecure.ErrRevoked, "")
		checks, err := store.Verify(ctx, "digits/3", keys)
		fails(t, err, ptsecure.ErrRevoked, "")
		if !slices.ContainsFunc(checks, func(c ptsecure.Check) bool { return errors.Is(c.Err, ptsecure.ErrRevoked) }) {
			t.Fatalf("%+v", checks)
		}
		fails(t, store.SetKeyStatus(ctx, "digits/3", "lost", "", keys), ptsecure.ErrInvalidArgument, "destroyed")
	})
	t.Run("refused", func(t *testing.T) {
		strangers := newKeys(t)
		_, err := store.Load(ctx, "digits/1", strangers)
		fails(t, err, ptsecure.ErrUntrusted, "")
		_, err = store.Fetch(ctx, "digits/9", keys)
		fails(t, err, ptsecure.ErrNotFound, "digits")
		_, err = store.Fetch(ctx, "digits/01", keys)
		fails(t, err, ptsecure.ErrInvalidArgument, "")
	})
}

func TestBadPublishes(t *testing.T) {
	leakless(t)
	store, keys := openStore(t, t.TempDir()), newKeys(t)
	opaque := ptsecure.WithFormat("opaque")
	for name, test := range map[string]struct {
		model  string
		source ptsecure.Source
		option ptsecure.PublishOption
		status ptsecure.Status
	}{
		"no model":        {"m", ptsecure.Bytes([]byte("no model")), opaque, 0},
		"not torchscript": {"m", ptsecure.Bytes([]byte("no model")), ptsecure.WithFormat("torchscript"), ptsecure.ErrInvalidModel},
		"empty":           {"m", ptsecure.Bytes(nil), opaque, 0},
		"format":          {"m", ptsecure.Bytes(nil), ptsecure.WithFormat("onnx"), ptsecure.ErrUnsupported},
		"name":            {"../m", ptsecure.Bytes(nil), opaque, ptsecure.ErrInvalidArgument},
		"NUL":             {"m\x00", ptsecure.Bytes(nil), opaque, ptsecure.ErrInvalidArgument},
		"NUL in a label":  {"m", ptsecure.Bytes(nil), ptsecure.WithLabels(map[string]string{"a": "\x00"}), ptsecure.ErrInvalidArgument},
		"UTF-8":           {"m", ptsecure.Bytes(nil), ptsecure.WithLabels(map[string]string{"a": "\xff"}), ptsecure.ErrInvalidArgument},
		"no file":         {"m", ptsecure.File("there/is/none"), opaque, ptsecure.ErrNotFound},
		"folder":          {"m", ptsecure.File("."), opaque, ptsecure.ErrInvalidArgument},
		"no source":       {"m", nil, opaque, ptsecure.ErrInvalidArgument},
		"no reader":       {"m", ptsecure.Reader(nil, 3), opaque, ptsecure.ErrInvalidArgument},
		"negative":        {"m", ptsecure.Reader(bytes.NewReader(nil), -1), opaque, ptsecure.ErrInvalidArgument},
		"short":           {"m", ptsecure.Reader(strings.NewReader("abc"), 10), opaque, ptsecure.ErrIO},
		"bad sample":      {"m", ptsecure.File(digits), ptsecure.WithSample(ptsecure.NewTensor(pictures(1), 3)), ptsecure.ErrInvalidInput},
		"other sample":    {"m", ptsecure.File(digits), ptsecure.WithSample(ptsecure.Int(1)), ptsecure.ErrInvalidInput},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Publish(background, test.model, test.source, keys, test.option)
			if test.status == 0 {
				ok(t, err)
				return
			}
			fails(t, err, test.status, "")
		})
	}
	_, err := store.Publish(background, "m", ptsecure.Reader(strings.NewReader("abc"), 10), keys, opaque)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	must(store.Publish(background, "m", ptsecure.Reader(strings.NewReader("abcdef"), 3), keys, opaque))(t)
	// A publisher can't set aliases.
	publisher := must(keys.Split(ptsecure.Publisher))(t)
	closing(t, publisher)
	version, err := store.Publish(background, "m", ptsecure.Bytes([]byte("x")), publisher, opaque, ptsecure.WithAlias("production"))
	if fails(t, err, ptsecure.ErrNoKey, "operator"); version != 0 {
		t.Fatal(version)
	}
	if _, err := ptsecure.OpenStore(background, "mongodb://"); err == nil {
		t.Fatal("no database, but opened")
	}
	_, err = ptsecure.OpenStore(background, "x\x00y")
	fails(t, err, ptsecure.ErrInvalidArgument, "NUL")
	_, err = ptsecure.OpenStore(background, t.TempDir(), ptsecure.WithConnectTimeout(-time.Second))
	fails(t, err, ptsecure.ErrInvalidArgument, "timeout")
}

// random reads as so many random bytes, the same each time, and calls back at each read.
type random struct {
	block []byte
	read  func(position int64)
}

func newRandom(read func(int64)) *random {
	r := &random{make([]byte, 1<<16), read}
	rand.Read(r.block)
	return r
}

func (r *random) ReadAt(p []byte, position int64) (int, error) {
	r.read(position)
	for n := 0; n < len(p); {
		n += copy(p[n:], r.block[(position+int64(n))%int64(len(r.block)):])
	}
	return len(p), nil
}

const large = 16 << 20

func TestContextsStopTransfers(t *testing.T) {
	t.Run("folder", func(t *testing.T) { stopTransfers(t, t.TempDir()) })
	t.Run("mongodb", func(t *testing.T) { stopTransfers(t, database(t, "stopped")) })
}

func stopTransfers(t *testing.T, uri string) {
	leakless(t)
	store, keys := openStore(t, uri), newKeys(t)
	opaque := ptsecure.WithFormat("opaque")
	must(store.Publish(background, "m", ptsecure.Reader(newRandom(func(int64) {}), large), keys, opaque))(t)
	pkg := must(store.Fetch(background, "m", keys))(t)
	closing(t, pkg)
	goroutines := runtime.NumGoroutine()

	ctx, cancel := context.WithCancel(background)
	_, err := store.Publish(ctx, "m", ptsecure.Reader(newRandom(func(position int64) {
		if position > 4<<20 {
			cancel()
			time.Sleep(time.Millisecond)
		}
	}), 64*large), keys, opaque)
	stopped(t, err, context.Canceled)

	ctx, cancel = context.WithCancel(background)
	_, err = pkg.Decrypt(ctx, ptsecure.WithProgress(func(done, total uint64) {
		if cancel(); done < total {
			time.Sleep(50 * time.Millisecond)
		}
	}))
	stopped(t, err, context.Canceled)

	why := errors.New("the disk is full")
	fails(t, pkg.Stream(background, failingWriter{why}), ptsecure.ErrCancelled, "the disk is full")
	if err := pkg.Stream(background, failingWriter{why}); !errors.Is(err, why) || errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}

	ctx, cancel = context.WithDeadline(background, time.Now().Add(-time.Second))
	defer cancel()
	_, err = store.Load(ctx, "m", keys)
	stopped(t, err, context.DeadlineExceeded)
	_, err = store.List(ctx, "", 0)
	stopped(t, err, context.DeadlineExceeded)
	_, err = ptsecure.OpenStore(ctx, uri)
	stopped(t, err, context.DeadlineExceeded)

	// A context that isn't cancelled changes nothing, and no watcher is left of any call.
	ctx, cancel = context.WithCancel(background)
	defer cancel()
	must(store.Verify(ctx, "m", keys))(t)
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Fatalf("%d goroutines were %d before", n, goroutines)
	}
	if versions := must(store.Versions(background, "m", 0, 0))(t); len(versions) != 1 {
		t.Fatalf("%+v", versions)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func stopped(t *testing.T, err, cause error) {
	t.Helper()
	fails(t, err, ptsecure.ErrCancelled, "")
	if !errors.Is(err, cause) {
		t.Fatal(err)
	}
}

// A server that takes the connection and never answers.
func TestContextsStopSilence(t *testing.T) {
	leakless(t)
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	closing(t, listener)
	store := openStore(t, fmt.Sprintf("mongodb://%v/models", listener.Addr()), ptsecure.WithConnectTimeout(time.Minute))
	keys := newKeys(t)
	for name, call := range map[string]func(ctx context.Context) error{
		"Info":         func(ctx context.Context) error { return only(store.Info(ctx)) },
		"List":         func(ctx context.Context) error { return only(store.List(ctx, "", 0)) },
		"Versions":     func(ctx context.Context) error { return only(store.Versions(ctx, "m", 0, 0)) },
		"Show":         func(ctx context.Context) error { return only(store.Show(ctx, "m", keys)) },
		"Aliases":      func(ctx context.Context) error { return only(store.Aliases(ctx, "m", keys)) },
		"Alias":        func(ctx context.Context) error { return only(store.Alias(ctx, "m", "a", keys)) },
		"AliasHistory": func(ctx context.Context) error { return only(store.AliasHistory(ctx, "m", "a", keys)) },
		"SetAlias":     func(ctx context.Context) error { return store.SetAlias(ctx, "m", "a", 1, "", keys) },
		"DeleteAlias":  func(ctx context.Context) error { return store.DeleteAlias(ctx, "m", "a", "", keys) },
		"Rollback":     func(ctx context.Context) error { return only(store.RollbackAlias(ctx, "m", "a", 0, "", keys)) },
		"SetKeyStatus": func(ctx context.Context) error { return store.SetKeyStatus(ctx, "m", ptsecure.KeyDisabled, "", keys) },
		"Log":          func(ctx context.Context) error { return only(store.Log(ctx, keys, 1, 0)) },
		"VerifyLog":    func(ctx context.Context) error { return only(store.VerifyLog(ctx, keys, "")) },
		"APIKeys":      func(ctx context.Context) error { return only(store.APIKeys(ctx, keys)) },
		"Publish": func(ctx context.Context) error {
			return only(store.Publish(ctx, "m", ptsecure.Bytes(nil), keys, ptsecure.WithFormat("opaque")))
		},
		"Fetch": func(ctx context.Context) error { return only(store.Fetch(ctx, "m", keys)) },
		"Load":  func(ctx context.Context) error { return only(store.Load(ctx, "m", keys)) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(background, 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			stopped(t, call(ctx), context.DeadlineExceeded)
			if took := time.Since(start); took > 5*time.Second {
				t.Fatalf("stopped after %v", took)
			}
		})
	}
	quick := openStore(t, fmt.Sprintf("mongodb://%v/models", listener.Addr()), ptsecure.WithConnectTimeout(200*time.Millisecond))
	_, err := quick.Load(background, "m", keys)
	fails(t, err, ptsecure.ErrUnavailable, "")
}

func TestPanicsDoNotCrossC(t *testing.T) {
	leakless(t)
	store, keys := openStore(t, t.TempDir()), newKeys(t)
	opaque := ptsecure.WithFormat("opaque")
	must(store.Publish(background, "m", ptsecure.Bytes(make([]byte, 3<<20)), keys, opaque))(t)
	pkg := must(store.Fetch(background, "m", keys))(t)
	closing(t, pkg)
	why := errors.New("oh")
	boom := ptsecure.WithProgress(func(uint64, uint64) { panic(why) })
	for name, call := range map[string]func(){
		"publish": func() { store.Publish(background, "m", ptsecure.Bytes(make([]byte, 3<<20)), keys, opaque, boom) },
		"reader": func() {
			store.Publish(background, "m", ptsecure.Reader(newRandom(func(int64) { panic(why) }), 9), keys, opaque)
		},
		"decrypt":  func() { pkg.Decrypt(background, boom) },
		"stream":   func() { pkg.Stream(background, nil) },
		"verify":   func() { store.Verify(background, "m", keys, boom) },
		"contexts": func() { pkg.Decrypt(endless{background}, boom) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p != any(why) && name != "stream" || p == nil {
					t.Fatal(p)
				}
			}()
			call()
		})
	}
	digitsStore, digitsKeys := published(t, "digits")
	func() {
		defer func() {
			if recover() != any(why) {
				t.Error("no panic")
			}
		}()
		digitsStore.Load(background, "digits", digitsKeys, boom)
	}()
	// A callback that ends its goroutine stops the call too.
	_, err := pkg.Decrypt(background, ptsecure.WithProgress(func(uint64, uint64) { runtime.Goexit() }))
	if err != nil {
		fails(t, err, ptsecure.ErrCancelled, "ended its goroutine")
	}
	err = pkg.Stream(background, goexit{})
	fails(t, err, ptsecure.ErrCancelled, "ended its goroutine")
	ok(t, pkg.Stream(background, io.Discard))
}

type endless struct{ context.Context } // has a Done channel

func (endless) Done() <-chan struct{} { return make(chan struct{}) }

type goexit struct{}

func (goexit) Write([]byte) (int, error) {
	runtime.Goexit()
	return 0, nil
}

// lines collects what is logged, and panics when told to.
type lines struct {
	mu     sync.Mutex
	text   []string
	panics any
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, r.Message)
	if l.panics != nil {
		panic(l.panics)
	}
	return nil
}

func TestLogging(t *testing.T) {
	leakless(t)
	log := &lines{}
	uri := "mongodb://127.0.0.1:1/models?compressors=none_such"
	store := must(ptsecure.OpenStore(background, uri, ptsecure.WithLogger(slog.New(log))))(t)
	if len(log.text) == 0 || !strings.Contains(log.text[0], "none_such") {
		t.Fatal(log.text)
	}
	ok(t, store.Close())

	log.panics = "oh"
	store = must(ptsecure.OpenStore(background, uri, ptsecure.WithLogger(slog.New(log)), ptsecure.WithConnectTimeout(time.Millisecond)))(t)
	func() {
		defer func() {
			if p := recover(); p != "oh" {
				t.Error(p)
			}
		}()
		store.Info(background)
	}()
	_, err := store.Info(background) // once
	fails(t, err, ptsecure.ErrUnavailable, "")
	ok(t, store.Close())
}

// A store's log function lives as long as anything that was opened from the store.
func TestLoggerOutlivesStore(t *testing.T) {
	leakless(t)
	store, keys := openStore(t, t.TempDir(), ptsecure.WithLogger(slog.New(&lines{})), ptsecure.WithThreads(2), ptsecure.WithOperationTimeout(time.Second)), newKeys(t)
	must(store.Publish(background, "digits", ptsecure.File(digits), keys))(t)
	pkg := must(store.Fetch(background, "digits", keys))(t)
	ok(t, store.Close())
	before := ptsecure.OpenHandles()
	model := must(pkg.Load(background))(t)
	ok(t, pkg.Close())
	fork := must(model.Fork(background))(t)
	ok(t, model.Close())
	must(fork.Infer(background, ptsecure.NewTensor(pictures(1), 1, 1, 8, 8)))(t)
	ok(t, fork.Close())
	if closed := before - ptsecure.OpenHandles(); closed != 2 { // the package and the log
		t.Fatal(closed)
	}
}

func TestFeatures(t *testing.T) {
	features := must(ptsecure.LibraryFeatures())(t)
	if features.Version != ptsecure.Version() || !slices.Contains(features.Stores, "mongodb") || features.Formats["torchscript"] == "" {
		t.Fatalf("%+v", features)
	}
	if ptsecure.ErrNotFound.String() != "not_found" || ptsecure.ErrNotFound.Error() != "ptsecure: not_found" || ptsecure.Status(99).String() != "unknown" {
		t.Fatal(ptsecure.ErrNotFound)
	}
}
