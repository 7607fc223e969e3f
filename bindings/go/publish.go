package ptsecure

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// Source is where the bytes of a model come from: [File], [Bytes] or [Reader].
type Source interface {
	ImportSource
	publish(s *raw.Store, name string, keys *raw.Keyring, o *raw.PublishOptions, c *raw.Callbacks) (uint64, error)
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

// Bytes is a model in memory, which must not change during the call.
func Bytes(b []byte) Source { return bytesSource(b) }

// Reader is a model of size bytes that r reads. Every position must always give the same bytes.
func Reader(r io.ReaderAt, size int64) Source { return readerSource{r, size} }

func (path fileSource) publish(s *raw.Store, name string, keys *raw.Keyring, o *raw.PublishOptions, c *raw.Callbacks) (uint64, error) {
	return raw.StorePublishFile(s, name, string(path), keys, o, c)
}

func (b bytesSource) publish(s *raw.Store, name string, keys *raw.Keyring, o *raw.PublishOptions, c *raw.Callbacks) (uint64, error) {
	return raw.StorePublishBytes(s, name, b, keys, o, c)
}

func (source readerSource) publish(s *raw.Store, name string, keys *raw.Keyring, o *raw.PublishOptions, c *raw.Callbacks) (uint64, error) {
	if err := source.reads(c); err != nil {
		return 0, err
	}
	return raw.StorePublishRead(s, name, uint64(source.size), keys, o, c)
}

// reads lets a call read from the source.
func (source readerSource) reads(c *raw.Callbacks) error {
	if source.r == nil || source.size < 0 {
		return newError(ErrInvalidArgument, "a reader and a size of 0 or more are needed")
	}
	c.Read = func(p []byte, position uint64) error {
		n, err := source.r.ReadAt(p, int64(position))
		switch {
		case n == len(p):
			return nil
		case err == nil || errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// Publish inspects, seals, stores, signs and commits a model as the next version of name
// ([A-Za-z0-9][A-Za-z0-9._-]{0,127}), whose number it returns. The store is created on first use.
// Nothing is visible before all of it is durable and signed. With WithAlias, a version together with
// an error says that the version is published but the alias could not be set.
func (s *Store) Publish(ctx context.Context, name string, source Source, keys *Keyring, options ...PublishOption) (uint64, error) {
	if source == nil {
		return 0, newError(ErrInvalidArgument, "a source is needed, not nil")
	}
	return s.write(ctx, keys, options, func(object *raw.Store, ring *raw.Keyring, o *publishOptions, c *raw.Callbacks) (uint64, error) {
		if o.sha256 != "" {
			return 0, newError(ErrInvalidArgument, "WithPlaintextSHA256 is for Import")
		}
		return source.publish(object, name, ring, &o.raw, c)
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
	return s.write(ctx, keys, options, func(object *raw.Store, ring *raw.Keyring, o *publishOptions, c *raw.Callbacks) (uint64, error) {
		if o.sha256 != "" {
			return 0, newError(ErrInvalidArgument, "WithPlaintextSHA256 is for Import")
		}
		return raw.StoreCopy(object, reference, ring, to, toKeys, &o.raw, c)
	})
}

func (s *Store) write(ctx context.Context, keys *Keyring, options []PublishOption, call func(*raw.Store, *raw.Keyring, *publishOptions, *raw.Callbacks) (uint64, error)) (version uint64, err error) {
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
	err = s.transfer(ctx, keys, func(object *raw.Store, ring *raw.Keyring, cancel *raw.Cancel) (err error) {
		o.raw.Cancel = cancel
		version, err = call(object, ring, &o, &raw.Callbacks{Progress: o.progress})
		return err
	})
	return version, err
}

// inputError says which input an error is about.
func inputError(index int, err error) error {
	e := wrap(context.Background(), err).(*Error)
	return newError(e.Status, fmt.Sprintf("input %d: %s", index, e.Message))
}
