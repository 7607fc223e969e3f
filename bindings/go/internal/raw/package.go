package raw

/*
#include "shim.h"
*/
import "C"

// OpenOptions is pts_open_options.
type OpenOptions struct {
	Verify         int32
	Device         string
	IntraOpThreads int32
	WarmUpRuns     int32
	TorchDir       string
	Manifest       string
	MinSequence    uint64
	MaxAgeS        uint64
	Optimize       int32
}

const (
	VerifySigned = int32(C.PTS_VERIFY_SIGNED)
	VerifyAEAD   = int32(C.PTS_VERIFY_AEAD)

	OptimizeNone      = int32(C.PTS_OPTIMIZE_NONE)
	OptimizeFreeze    = int32(C.PTS_OPTIMIZE_FREEZE)
	OptimizeInference = int32(C.PTS_OPTIMIZE_INFERENCE)
)

func (o *OpenOptions) in(a *arena) *C.pts_open_options {
	c := (*C.pts_open_options)(a.block(C.sizeof_pts_open_options))
	if c == nil {
		return nil
	}
	C.pts_open_options_init(c)
	c.verify = C.int32_t(o.Verify)
	c.device = a.optional("a device", o.Device)
	c.intra_op_threads = C.int32_t(o.IntraOpThreads)
	c.warm_up_runs = C.int32_t(o.WarmUpRuns)
	c.optimize = C.int32_t(o.Optimize)
	c.torch_dir = a.optional("a folder", o.TorchDir)
	c.manifest = a.optional("a manifest's digest", o.Manifest)
	c.min_sequence = C.uint64_t(o.MinSequence)
	c.max_age_s = C.uint64_t(o.MaxAgeS)
	return c
}

func StoreFetch(s *Store, reference string, keys *Keyring, options *OpenOptions, with Call) (*Package, error) {
	var a arena
	defer a.free()
	ref, o := a.text("a reference", reference), options.in(&a)
	var out *C.pts_package
	err := with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.pts_store_fetch((*C.pts_store)(s), ref, (*C.pts_keyring)(keys), o, call, &out, e)
	})
	if err != nil {
		C.pts_package_destroy(&out)
		return nil, err
	}
	live.Add(1)
	return (*Package)(out), nil
}

func PackageDestroy(p *Package) {
	c := (*C.pts_package)(p)
	C.pts_package_destroy(&c)
	live.Add(-1)
}

func PackageName(p *Package) string { return C.GoString(C.pts_package_name((*C.pts_package)(p))) }

func PackageVersion(p *Package) uint64 { return uint64(C.pts_package_version((*C.pts_package)(p))) }

func PackageSize(p *Package) uint64 { return uint64(C.pts_package_size((*C.pts_package)(p))) }

func PackageManifest(p *Package) string {
	return C.GoString(C.pts_package_manifest((*C.pts_package)(p)))
}

func PackageExample(p *Package) ([]byte, error) {
	return text(func(out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_package_example((*C.pts_package)(p), out, e)
	})
}

func PackageDecrypt(p *Package, options *OpenOptions, with Call) (*Bytes, error) {
	var a arena
	defer a.free()
	o := options.in(&a)
	var out *C.pts_bytes
	err := with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.pts_package_decrypt((*C.pts_package)(p), o, call, &out, e)
	})
	if err != nil {
		C.pts_bytes_destroy(&out)
		return nil, err
	}
	live.Add(1)
	return (*Bytes)(out), nil
}

// PackageStream hands out the model with the callbacks' Sink.
func PackageStream(p *Package, options *OpenOptions, with Call) error {
	var a arena
	defer a.free()
	o := options.in(&a)
	return with.run(&a, func(call *C.pts_call, callbacks C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.ptsgo_package_stream((*C.pts_package)(p), o, call, callbacks, e)
	})
}

func PackageExport(p *Package, folder string, options *OpenOptions, with Call) error {
	var a arena
	defer a.free()
	dir, o := a.text("a folder", folder), options.in(&a)
	return with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.pts_package_export((*C.pts_package)(p), dir, o, call, e)
	})
}

func PackageLoad(p *Package, options *OpenOptions, with Call) (*Model, error) {
	var a arena
	defer a.free()
	o := options.in(&a)
	return loaded(&a, with, func(call *C.pts_call, out **C.pts_model, e *C.pts_error) C.pts_status {
		return C.pts_package_load((*C.pts_package)(p), o, call, out, e)
	})
}

func ModelOpen(s *Store, reference string, keys *Keyring, options *OpenOptions, with Call) (*Model, error) {
	var a arena
	defer a.free()
	ref, o := a.text("a reference", reference), options.in(&a)
	return loaded(&a, with, func(call *C.pts_call, out **C.pts_model, e *C.pts_error) C.pts_status {
		return C.pts_model_open((*C.pts_store)(s), ref, (*C.pts_keyring)(keys), o, call, out, e)
	})
}

// loaded destroys the model of a call whose callback panicked after all.
func loaded(a *arena, with Call, f func(call *C.pts_call, out **C.pts_model, e *C.pts_error) C.pts_status) (*Model, error) {
	var out *C.pts_model
	err := with.run(a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status { return f(call, &out, e) })
	if err != nil {
		C.pts_model_destroy(&out)
		return nil, err
	}
	live.Add(1)
	return (*Model)(out), nil
}

// StoreVerify reports with the callbacks' Check.
func StoreVerify(s *Store, reference string, keys *Keyring, options *OpenOptions, with Call) error {
	var a arena
	defer a.free()
	ref, o := a.text("a reference", reference), options.in(&a)
	return with.run(&a, func(call *C.pts_call, callbacks C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.ptsgo_store_verify((*C.pts_store)(s), ref, (*C.pts_keyring)(keys), o, call, callbacks, e)
	})
}
