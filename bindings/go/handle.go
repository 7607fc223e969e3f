package ptsecure

import (
	"context"
	"sync/atomic"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// OpenHandles is how many objects of this package are open in the process, with all they hold in C:
// a test compares it before and after.
func OpenHandles() int64 { return raw.Live() }

const closedBit = 1 << 62

// handle keeps an object of the library alive while calls use it, and destroys it once: at Close, or
// when the last call that was under way then is done.
type handle[T comparable] struct {
	object  T
	what    string
	destroy func(T)

	users     atomic.Int64 // plus closedBit once closed
	destroyed atomic.Bool
}

func (h *handle[T]) acquire() (none T, err error) {
	if h.object == none {
		return none, newError(ErrClosed, "this is not an open handle: get one from its function, not as a zero value")
	}
	if h.users.Add(1)&closedBit != 0 {
		h.release()
		return none, newError(ErrClosed, "the "+h.what+" is closed")
	}
	return h.object, nil
}

func (h *handle[T]) release() {
	if h.users.Add(-1) == closedBit {
		h.destroyOnce()
	}
}

// close does nothing the second time.
func (h *handle[T]) close() error {
	var none T
	if h.object != none && h.users.Or(closedBit) == 0 {
		h.destroyOnce()
	}
	return nil
}

func (h *handle[T]) destroyOnce() {
	if h.destroyed.CompareAndSwap(false, true) {
		h.destroy(h.object)
	}
}

// cancellable makes a call with a pts_cancel that is set when the context ends. The goroutine that
// watches the context is gone when it returns.
func cancellable(ctx context.Context, callbacks *raw.Callbacks, call func(with raw.Call) error) error {
	if err := alive(ctx); err != nil {
		return err
	}
	if ctx.Done() == nil {
		return wrap(ctx, call(raw.Call{Callbacks: callbacks}))
	}
	cancel, err := raw.CancelCreate()
	if err != nil {
		return wrap(ctx, err)
	}
	finished, joined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		select {
		case <-ctx.Done():
			raw.CancelSet(cancel)
		case <-finished:
		}
	}()
	err = call(raw.Call{Cancel: cancel, Callbacks: callbacks})
	close(finished)
	<-joined
	raw.CancelDestroy(cancel)
	return wrap(ctx, err)
}

// logger shares a store's log function with all that was opened from the store, for as long as any
// of it is open.
type logger struct {
	log  *raw.Log
	uses atomic.Int64
}

func (l *logger) retain() *logger {
	if l != nil {
		l.uses.Add(1)
	}
	return l
}

func (l *logger) release() {
	if l != nil && l.uses.Add(-1) == 0 {
		raw.LogDestroy(l.log)
	}
}

// check goes on with a panic of the log function, from the next call on the store or on what was
// opened from it.
func (l *logger) check() {
	if l == nil {
		return
	}
	if p := l.log.Panicked(); p != nil {
		panic(p)
	}
}
