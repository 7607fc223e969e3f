package ptsecure

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// KeyringOption changes how a keyring is read.
type KeyringOption func(*raw.KeyringOptions)

// WithPassphrase opens a keyring file that is encrypted with one.
func WithPassphrase(passphrase string) KeyringOption {
	return func(o *raw.KeyringOptions) { o.Passphrase = passphrase }
}

// WithGroupRead accepts a private keyring file that its group may read (0440, 0640), as Kubernetes
// mounts secrets.
func WithGroupRead() KeyringOption {
	return func(o *raw.KeyringOptions) { o.AllowGroupRead = true }
}

func keyringOptions(options []KeyringOption) raw.KeyringOptions {
	var o raw.KeyringOptions
	for _, option := range options {
		option(&o)
	}
	return o
}

// StoreOption changes how a store is opened.
type StoreOption func(*storeOptions)

type storeOptions struct {
	raw raw.StoreOptions
	log *slog.Logger
}

// WithConnectTimeout bounds finding a server; the default is 5 s.
func WithConnectTimeout(d time.Duration) StoreOption {
	return func(o *storeOptions) { o.raw.ConnectTimeoutMS = milliseconds(d) }
}

// WithOperationTimeout bounds one round trip, not a whole transfer; the default is 60 s.
func WithOperationTimeout(d time.Duration) StoreOption {
	return func(o *storeOptions) { o.raw.OperationTimeoutMS = milliseconds(d) }
}

// milliseconds makes -1, which the library refuses, of what isn't a positive time.
func milliseconds(d time.Duration) int32 {
	if d <= 0 {
		return -1
	}
	return int32(min(max(d.Milliseconds(), 1), math.MaxInt32))
}

// WithThreads sets how many threads seal and open models; the default is the cores that the process
// may use.
func WithThreads(n uint32) StoreOption {
	return func(o *storeOptions) { o.raw.Threads = n }
}

// WithState names a file that remembers what was seen of a store, so that it can't show an older history
// later: ErrRollback. By default nothing is remembered.
func WithState(path string) StoreOption {
	return func(o *storeOptions) { o.raw.State = path }
}

// WithLogger receives what the library has to say, which is silent by default. Lines hold no secrets.
func WithLogger(logger *slog.Logger) StoreOption {
	return func(o *storeOptions) { o.log = logger }
}

// newLogger is nil for a nil logger. Levels are the C ABI's: 1 error, 2 warning, 3 info, 4 debug.
func newLogger(to *slog.Logger) *logger {
	if to == nil {
		return nil
	}
	levels := []slog.Level{slog.LevelError, slog.LevelError, slog.LevelWarn, slog.LevelInfo, slog.LevelDebug}
	l := &logger{log: raw.NewLog(func(level int32, message string) {
		to.Log(context.Background(), levels[min(max(int(level), 0), len(levels)-1)], message)
	})}
	return l.retain()
}

// Verify is what is authenticated while a model is opened.
type Verify int32

const (
	// VerifySigned, the default: signature, key commitment, every segment's signed digest, every
	// AEAD tag.
	VerifySigned = Verify(raw.VerifySigned)
	// VerifyAEAD lets tensor bytes rest on the AEAD alone, for those who trust every holder of the
	// content key: faster.
	VerifyAEAD = Verify(raw.VerifyAEAD)
)

// Optimize is what is done to a TorchScript program after it is loaded.
type Optimize int32

const (
	// OptimizeNone is the default.
	OptimizeNone = Optimize(raw.OptimizeNone)
	// OptimizeFreeze makes weights constants of the program, which is then simplified.
	OptimizeFreeze = Optimize(raw.OptimizeFreeze)
	// OptimizeInference also fuses layers and copies weights to layouts that suit the machine: up to
	// twice the model's memory.
	OptimizeInference = Optimize(raw.OptimizeInference)
)

// LoadOption changes how a model is fetched, decrypted or loaded.
type LoadOption interface{ applyLoad(*loadOptions) }

// PublishOption changes how a model is published.
type PublishOption interface{ applyPublish(*publishOptions) }

// TransferOption is for both ways.
type TransferOption interface {
	LoadOption
	PublishOption
}

type loadOptions struct {
	raw      raw.OpenOptions
	progress func(done, total uint64)
}

type publishOptions struct {
	raw      raw.PublishOptions
	sample   []Value
	sha256   string
	progress func(done, total uint64)
}

type (
	loadOption     func(*loadOptions)
	publishOption  func(*publishOptions)
	transferOption struct {
		load    loadOption
		publish publishOption
	}
)

func (f loadOption) applyLoad(o *loadOptions)           { f(o) }
func (f publishOption) applyPublish(o *publishOptions)  { f(o) }
func (t transferOption) applyLoad(o *loadOptions)       { t.load(o) }
func (t transferOption) applyPublish(o *publishOptions) { t.publish(o) }

func newLoadOptions(options []LoadOption) loadOptions {
	return applied(loadOptions{}, options, LoadOption.applyLoad)
}

func applied[O, F any](o O, options []F, apply func(F, *O)) O {
	for _, option := range options {
		apply(option, &o)
	}
	return o
}

// WithProgress calls f with plaintext bytes, about 20 times a second at most and once at the end.
func WithProgress(f func(done, total uint64)) TransferOption {
	return transferOption{
		func(o *loadOptions) { o.progress = f },
		func(o *publishOptions) { o.progress = f },
	}
}

// WithTorchDir names the folder that holds libtorch's lib/. Without it: the environment's
// PTSECURE_TORCH_DIR, else the one the library was built with. A libtorch that the process already has
// counts first.
func WithTorchDir(dir string) TransferOption {
	return transferOption{
		func(o *loadOptions) { o.raw.TorchDir = dir },
		func(o *publishOptions) { o.raw.TorchDir = dir },
	}
}

// WithVerify sets what is authenticated, VerifySigned by default.
func WithVerify(v Verify) LoadOption {
	return loadOption(func(o *loadOptions) { o.raw.Verify = int32(v) })
}

// WithDevice loads onto "cpu" (the default), "cuda" or "cuda:N". Inputs are copied to the device, and
// results back to the CPU.
func WithDevice(device string) LoadOption {
	return loadOption(func(o *loadOptions) { o.raw.Device = device })
}

// WithIntraOpThreads bounds the threads of one run; the default is libtorch's own choice.
func WithIntraOpThreads(n int32) LoadOption {
	return loadOption(func(o *loadOptions) { o.raw.IntraOpThreads = n })
}

// WithWarmUp runs the model n times on zeros before it is returned, when its manifest knows all input
// shapes.
func WithWarmUp(n int32) LoadOption {
	return loadOption(func(o *loadOptions) { o.raw.WarmUpRuns = n })
}

// WithOptimize makes a TorchScript program faster to run and slower to open. It is for models that
// were exported in eval mode and keep no state (ErrUnsupported otherwise); the last bits of answers
// may differ.
func WithOptimize(how Optimize) LoadOption {
	return loadOption(func(o *loadOptions) { o.raw.Optimize = int32(how) })
}

// WithManifest takes only the version whose manifest has this SHA-256 (base64url or hexadecimal).
func WithManifest(digest string) LoadOption {
	return loadOption(func(o *loadOptions) { o.raw.Manifest = digest })
}

// WithMinSequence takes an alias only from this record on.
func WithMinSequence(sequence uint64) LoadOption {
	return loadOption(func(o *loadOptions) { o.raw.MinSequence = sequence })
}

// WithMaxAge takes an alias only when its last record was signed at most so long ago, by its own time.
// Allow for clocks that differ; a record dated more than 300 s into the future is refused too.
func WithMaxAge(age time.Duration) LoadOption {
	return loadOption(func(o *loadOptions) { o.raw.MaxAgeS = uint64(max(age/time.Second, 1)) })
}

// WithFormat says what is published: "torchscript", "aotinductor" (a compiled .pt2 package), or "opaque"
// for any bytes, which can't be run. By default it is what the bytes are: torchscript or aotinductor.
func WithFormat(format string) PublishOption {
	return publishOption(func(o *publishOptions) { o.raw.Format = format })
}

// WithAlias points an alias at the new version.
func WithAlias(alias string) PublishOption {
	return publishOption(func(o *publishOptions) { o.raw.Alias = alias })
}

// WithLabels adds labels, which are stored readable and signed.
func WithLabels(labels map[string]string) PublishOption {
	return publishOption(func(o *publishOptions) {
		keys := make([]string, 0, len(labels))
		for key := range labels {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			o.raw.LabelKeys = append(o.raw.LabelKeys, key)
			o.raw.LabelValues = append(o.raw.LabelValues, labels[key])
		}
	})
}

// WithSample runs the model once on these inputs, so that datatypes and shapes of inputs and outputs
// are known and checked from then on.
func WithSample(inputs ...Value) PublishOption {
	return publishOption(func(o *publishOptions) { o.sample = inputs })
}

// WithSampleJSON is WithSample with an Open Inference Protocol V2 request.
func WithSampleJSON(request json.RawMessage) PublishOption {
	return publishOption(func(o *publishOptions) { o.raw.SampleJSON = string(request) })
}
