package ptsecure

import (
	"context"
	"encoding/json"
	"io"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// Package is a version whose manifest has been verified; nothing is decrypted yet.
type Package struct {
	h   handle[*raw.Package]
	log *logger
}

func newPackage(p *raw.Package, log *logger) *Package {
	log.retain()
	out := &Package{log: log}
	out.h.object, out.h.what = p, "package"
	out.h.destroy = func(p *raw.Package) {
		raw.PackageDestroy(p)
		log.release()
	}
	return out
}

// Manifest is the signed manifest's JSON, exactly as signed.
func (p *Package) Manifest() (json.RawMessage, error) {
	object, err := p.acquire()
	if err != nil {
		return nil, err
	}
	defer p.h.release()
	return json.RawMessage(raw.PackageManifest(object)), nil
}

// Name is the model's name; "" once closed.
func (p *Package) Name() string { return packageField(p, raw.PackageName) }

// Version is the version's number; 0 once closed.
func (p *Package) Version() uint64 { return packageField(p, raw.PackageVersion) }

// Size is the plaintext bytes of the model; 0 once closed.
func (p *Package) Size() uint64 { return packageField(p, raw.PackageSize) }

func packageField[T any](p *Package, get func(*raw.Package) T) (out T) {
	if object, err := p.acquire(); err == nil {
		defer p.h.release()
		out = get(object)
	}
	return out
}

// Example is a V2 infer request for this model, free dimensions being 1.
func (p *Package) Example() ([]byte, error) {
	object, err := p.acquire()
	if err != nil {
		return nil, err
	}
	defer p.h.release()
	out, err := raw.PackageExample(object)
	return out, wrap(context.Background(), err)
}

// Load decrypts and loads the model.
func (p *Package) Load(ctx context.Context, options ...LoadOption) (model *Model, err error) {
	var loaded *raw.Model
	err = p.transfer(ctx, options, func(object *raw.Package, o *raw.OpenOptions, with raw.Call) (err error) {
		loaded, err = raw.PackageLoad(object, o, with)
		return err
	})
	if err != nil {
		return nil, err
	}
	return newModel(loaded, p.log)
}

// Decrypt returns the whole model's bytes.
func (p *Package) Decrypt(ctx context.Context, options ...LoadOption) (secret *Secret, err error) {
	var plain *raw.Bytes
	err = p.transfer(ctx, options, func(object *raw.Package, o *raw.OpenOptions, with raw.Call) (err error) {
		plain, err = raw.PackageDecrypt(object, o, with)
		return err
	})
	if err != nil {
		return nil, err
	}
	return newSecret(plain, nil)
}

// Stream writes the model's bytes to w, each segment authenticated before it is written. Only a nil
// error says that all of them were good and none is missing.
func (p *Package) Stream(ctx context.Context, w io.Writer, options ...LoadOption) error {
	return p.transfer(ctx, options, func(object *raw.Package, o *raw.OpenOptions, with raw.Call) error {
		with.Callbacks.Sink = func(segment []byte) error {
			_, err := w.Write(segment)
			return err
		}
		return raw.PackageStream(object, o, with)
	})
}

// Export writes the version's standard parts, still encrypted, into a new or empty folder.
func (p *Package) Export(ctx context.Context, folder string, options ...LoadOption) error {
	return p.transfer(ctx, options, func(object *raw.Package, o *raw.OpenOptions, with raw.Call) error {
		return raw.PackageExport(object, folder, o, with)
	})
}

func (p *Package) transfer(ctx context.Context, options []LoadOption, call func(*raw.Package, *raw.OpenOptions, raw.Call) error) error {
	object, err := p.acquire()
	if err != nil {
		return err
	}
	defer p.h.release()
	o := newLoadOptions(options)
	return cancellable(ctx, &raw.Callbacks{Progress: o.progress}, func(with raw.Call) error {
		return call(object, &o.raw, with)
	})
}

// Close lets go of the package. It returns nil.
func (p *Package) Close() error {
	if p == nil {
		return nil
	}
	return p.h.close()
}

func (p *Package) acquire() (*raw.Package, error) {
	if p == nil {
		return nil, newError(ErrInvalidArgument, "a package is needed, not nil")
	}
	p.log.check()
	return p.h.acquire()
}
