package ptsecure

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// Source is where bytes come from, those of a model, a JWE or a JWK: [File], [Bytes], [Reader] or a
// [GridFSFile].
type Source interface {
	// add adds the bytes to a source for the call that has the callbacks.
	add(to *raw.Source, callbacks *raw.Callbacks) error
}

type (
	fileSource   string
	bytesSource  []byte
	readerSource struct {
		r    io.ReaderAt
		size int64
	}
)

// File is a regular file that doesn't change meanwhile (ErrConflict).
func File(path string) Source { return fileSource(path) }

// Bytes is what is in memory, which must not change during the call.
func Bytes(b []byte) Source { return bytesSource(b) }

// Reader is size bytes that r reads, as io.ReaderAt demands also from several goroutines at once. Every
// position must always give the same bytes.
func Reader(r io.ReaderAt, size int64) Source { return readerSource{r, size} }

// GridFSFile is a file in a MongoDB database's GridFS, which is only read.
type GridFSFile struct {
	URI      string // mongodb:// or mongodb+srv://, naming the database
	Bucket   string // "" = "fs"
	Filename string // the newest file of that name; or else
	ID       string // the file with this _id: an ObjectId as 24 hex digits, or a text
}

func (path fileSource) add(to *raw.Source, _ *raw.Callbacks) error {
	return raw.SourceAddFile(to, string(path))
}

func (b bytesSource) add(to *raw.Source, _ *raw.Callbacks) error { return raw.SourceAddBytes(to, b) }

func (file GridFSFile) add(to *raw.Source, _ *raw.Callbacks) error {
	return raw.SourceAddGridFS(to, raw.GridFSFile(file))
}

func (source readerSource) add(to *raw.Source, callbacks *raw.Callbacks) error {
	if source.r == nil || source.size < 0 {
		return newError(ErrInvalidArgument, "a reader and a size of 0 or more are needed")
	}
	return raw.SourceAddReader(to, uint64(source.size), callbacks, func(p []byte, position uint64) error {
		n, err := source.r.ReadAt(p, int64(position))
		switch {
		case n == len(p):
			return nil
		case err == nil || errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		}
		return err
	})
}

// opened is the source for one call, which destroys it. what names it in an error.
func opened(source Source, what string, callbacks *raw.Callbacks) (*raw.Source, error) {
	if source == nil {
		return nil, newError(ErrInvalidArgument, what+" is needed, not nil")
	}
	out, err := raw.SourceCreate()
	if err != nil {
		return nil, err
	}
	if err = source.add(out, callbacks); err != nil {
		raw.SourceDestroy(out)
		return nil, err
	}
	return out, nil
}

// Publish inspects, seals, stores, signs and commits a model as the next version of name
// ([A-Za-z0-9][A-Za-z0-9._-]{0,127}), whose number it returns. The store is created on first use.
// Nothing is visible before all of it is durable and signed. With WithAlias, a version together with
// an error says that the version is published but the alias could not be set.
func (s *Store) Publish(ctx context.Context, name string, source Source, keys *Keyring, options ...PublishOption) (uint64, error) {
	return s.write(ctx, keys, options, func(object *raw.Store, ring *raw.Keyring, o *publishOptions, with raw.Call) (uint64, error) {
		if o.sha256 != "" {
			return 0, newError(ErrInvalidArgument, "WithPlaintextSHA256 is for Import")
		}
		from, err := opened(source, "a source", with.Callbacks)
		if err != nil {
			return 0, err
		}
		defer raw.SourceDestroy(from)
		return raw.StorePublish(object, name, from, ring, &o.raw, with)
	})
}

// Copy verifies a version here and publishes it to another store as the next version of the same
// name, signed there with targetKeys. WithAlias and WithLabels apply to the target.
func (s *Store) Copy(ctx context.Context, reference string, keys *Keyring, target *Store, targetKeys *Keyring, options ...PublishOption) (uint64, error) {
	to, err := target.acquire()
	if err != nil {
		return 0, err
	}
	defer target.h.release()
	toKeys, err := targetKeys.acquire()
	if err != nil {
		return 0, err
	}
	defer targetKeys.h.release()
	return s.write(ctx, keys, options, func(object *raw.Store, ring *raw.Keyring, o *publishOptions, with raw.Call) (uint64, error) {
		if o.sha256 != "" {
			return 0, newError(ErrInvalidArgument, "WithPlaintextSHA256 is for Import")
		}
		return raw.StoreCopy(object, reference, ring, to, toKeys, &o.raw, with)
	})
}

func (s *Store) write(ctx context.Context, keys *Keyring, options []PublishOption, call func(*raw.Store, *raw.Keyring, *publishOptions, raw.Call) (uint64, error)) (version uint64, err error) {
	o := applied(publishOptions{}, options, PublishOption.applyPublish)
	var b builder
	defer b.unpin()
	defer func() {
		for _, value := range o.raw.Sample {
			raw.ValueDestroy(value)
		}
	}()
	for i, v := range o.sample {
		value, err := b.build(v, 1)
		if err != nil {
			return 0, inputError(i, err)
		}
		o.raw.Sample = append(o.raw.Sample, value)
	}
	callbacks := &raw.Callbacks{Progress: o.progress}
	err = s.with(ctx, keys, callbacks, func(object *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		version, err = call(object, ring, &o, with)
		return err
	})
	return version, err
}

// inputError says which input an error is about.
func inputError(index int, err error) error {
	e := wrap(context.Background(), err).(*Error)
	return newError(e.Status, fmt.Sprintf("input %d: %s", index, e.Message))
}
