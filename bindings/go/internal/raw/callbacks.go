package raw

/*
#include "shim.h"
*/
import "C"

import (
	"errors"
	"runtime/cgo"
	"sync"
	"unsafe"
)

// Callbacks are what a call may run while it is under way. None of them runs on the goroutine that
// made the call, so that one which panics or ends its goroutine never unwinds through C: the call
// is stopped instead, and it returns a *Panicked or a *CallbackError.
type Callbacks struct {
	Progress func(done, total uint64)
	Sink     func(p []byte) error
	Check    func(check string, status int32, detail string)

	mu      sync.Mutex
	stopped bool
	panics  any
	failure error
}

var errGoexit = errors.New("a callback ended its goroutine")

// Call is what a call that may wait obeys, a pts_call: what ends it, and what it runs meanwhile. Either
// may be nil.
type Call struct {
	Cancel    *Cancel
	Callbacks *Callbacks
}

// run makes a call with its pts_call and the handle that stands for its callbacks in C, 0 for none.
func (c Call) run(a *arena, f func(call *C.pts_call, callbacks C.uintptr_t, e *C.pts_error) C.pts_status) error {
	if c.Cancel == nil && c.Callbacks == nil {
		return a.call(func(e *C.pts_error) C.pts_status { return f(nil, 0, e) })
	}
	call := (*C.pts_call)(a.block(C.sizeof_pts_call))
	if call == nil {
		return a.err
	}
	callbacks := c.Callbacks
	if callbacks == nil {
		C.ptsgo_call_init(call, (*C.pts_cancel)(c.Cancel), 0)
		return a.call(func(e *C.pts_error) C.pts_status { return f(call, 0, e) })
	}
	handle := cgo.NewHandle(callbacks)
	live.Add(1)
	err := func() error {
		defer live.Add(-1)
		defer handle.Delete()
		progress := handle
		if callbacks.Progress == nil {
			progress = 0
		}
		C.ptsgo_call_init(call, (*C.pts_cancel)(c.Cancel), C.uintptr_t(progress))
		return a.call(func(e *C.pts_error) C.pts_status { return f(call, C.uintptr_t(handle), e) })
	}()
	if callbacks.panics != nil {
		return &Panicked{callbacks.panics}
	}
	if callbacks.failure != nil && err != nil {
		return &CallbackError{err, callbacks.failure}
	}
	return err
}

// text makes a call that returns text.
func (c Call) text(a *arena, f func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status) ([]byte, error) {
	var out *C.char
	if err := c.run(a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status { return f(call, &out, e) }); err != nil {
		return nil, err
	}
	return taken(out), nil
}

// Panicked is what a callback panicked with.
type Panicked struct{ Value any }

func (p *Panicked) Error() string { return "a callback panicked" }

// CallbackError is a call's error together with that of the callback which stopped it.
type CallbackError struct{ Call, Callback error }

func (e *CallbackError) Error() string   { return e.Call.Error() + ": " + e.Callback.Error() }
func (e *CallbackError) Unwrap() []error { return []error{e.Call, e.Callback} }

// guard runs a callback; it returns 0 to go on and 1 to stop the call.
func (c *Callbacks) guard(f func() error) C.int32_t {
	var failure error = errGoexit
	var panics any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panics = recover() }()
		failure = f()
	}()
	<-done
	c.mu.Lock()
	defer c.mu.Unlock()
	if (failure != nil || panics != nil) && !c.stopped {
		c.stopped, c.failure, c.panics = true, failure, panics
	}
	if c.stopped {
		return 1
	}
	return 0
}

func callbacksOf(handle C.uintptr_t) *Callbacks { return cgo.Handle(handle).Value().(*Callbacks) }

//export ptsgoProgress
func ptsgoProgress(handle C.uintptr_t, done, total C.uint64_t) C.int32_t {
	c := callbacksOf(handle)
	return c.guard(func() error {
		c.Progress(uint64(done), uint64(total))
		return nil
	})
}

// reader is a part of a source that Go reads, for the call of some Callbacks.
type reader struct {
	of   *Callbacks
	read func(p []byte, position uint64) error
}

//export ptsgoRead
func ptsgoRead(handle C.uintptr_t, position C.uint64_t, data unsafe.Pointer, size C.size_t) C.int32_t {
	r := cgo.Handle(handle).Value().(*reader)
	return r.of.guard(func() error { return r.read(unsafe.Slice((*byte)(data), size), uint64(position)) })
}

//export ptsgoRelease
func ptsgoRelease(handle C.uintptr_t) {
	cgo.Handle(handle).Delete()
	live.Add(-1)
}

//export ptsgoSink
func ptsgoSink(handle C.uintptr_t, data unsafe.Pointer, size C.size_t) C.int32_t {
	c := callbacksOf(handle)
	return c.guard(func() error { return c.Sink(unsafe.Slice((*byte)(data), size)) })
}

//export ptsgoCheck
func ptsgoCheck(handle C.uintptr_t, check *C.char, status C.int32_t, detail *C.char) C.int32_t {
	c := callbacksOf(handle)
	name, text := C.GoString(check), C.GoString(detail)
	return c.guard(func() error {
		c.Check(name, int32(status), text)
		return nil
	})
}

// Log receives a store's log lines, from any thread. It lives until LogDestroy.
type Log struct {
	write  func(level int32, message string)
	handle cgo.Handle

	mu     sync.Mutex
	panics any
}

// NewLog makes a Log that C can call.
func NewLog(write func(level int32, message string)) *Log {
	l := &Log{write: write}
	l.handle = cgo.NewHandle(l)
	live.Add(1)
	return l
}

func LogDestroy(l *Log) {
	l.handle.Delete()
	live.Add(-1)
}

// Panicked returns, once, what the log function panicked with.
func (l *Log) Panicked() any {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.panics
	l.panics = nil
	return p
}

//export ptsgoLog
func ptsgoLog(handle C.uintptr_t, level C.int32_t, message *C.char) {
	l := cgo.Handle(handle).Value().(*Log)
	text := C.GoString(message)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.panics = p
			}
		}()
		l.write(int32(level), text)
	}()
	<-done
}
