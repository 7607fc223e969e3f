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
// is stopped instead, and Run returns a *Panicked or a *CallbackError.
type Callbacks struct {
	Progress func(done, total uint64)
	Read     func(p []byte, position uint64) error
	Sink     func(p []byte) error
	Check    func(check string, status int32, detail string)

	mu      sync.Mutex
	stopped bool
	panics  any
	failure error
}

var errGoexit = errors.New("a callback ended its goroutine")

// Run makes a call with the handle that stands for c in C; a nil c is no callbacks and the handle 0.
func (c *Callbacks) Run(f func(handle uintptr) error) error {
	if c == nil {
		return f(0)
	}
	handle := cgo.NewHandle(c)
	live.Add(1)
	err := func() error {
		defer live.Add(-1)
		defer handle.Delete()
		return f(uintptr(handle))
	}()
	if c.panics != nil {
		return &Panicked{c.panics}
	}
	if c.failure != nil && err != nil {
		return &CallbackError{err, c.failure}
	}
	return err
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
	if c.Progress == nil {
		return 0
	}
	return c.guard(func() error {
		c.Progress(uint64(done), uint64(total))
		return nil
	})
}

//export ptsgoRead
func ptsgoRead(handle C.uintptr_t, position C.uint64_t, data unsafe.Pointer, size C.size_t) C.int32_t {
	c := callbacksOf(handle)
	return c.guard(func() error { return c.Read(unsafe.Slice((*byte)(data), size), uint64(position)) })
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
