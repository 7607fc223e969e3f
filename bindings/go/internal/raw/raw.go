// Package raw is the C ABI in Go, one function for one: no lifetimes, no contexts, no conversions but
// those of text and options. Package ptsecure above it is what programs use.
//
// No type of C appears in a signature that another package sees: the handles are pointers to C's
// incomplete structs, and the rest are Go's types.
package raw

/*
#cgo pkg-config: ptsecure
#cgo CFLAGS: -std=c99
#cgo noescape pts_value_destroy
#cgo nocallback pts_value_destroy
#include <stdlib.h>
#include <string.h>
#include "shim.h"
*/
import "C"

import (
	"bytes"
	"strings"
	"sync/atomic"
	"unsafe"
)

// Objects of the library, each destroyed with its Destroy function.
type (
	Keyring C.pts_keyring
	Store   C.pts_store
	Package C.pts_package
	Model   C.pts_model
	Value   C.pts_value
	Bytes   C.pts_bytes
	Cancel  C.pts_cancel
)

// Error is a pts_error.
type Error struct {
	Status  int32
	Message string
}

func (e *Error) Error() string { return e.Message }

const (
	invalidArgument = int32(C.PTS_INVALID_ARGUMENT)
	outOfMemory     = int32(C.PTS_OUT_OF_MEMORY)
)

// live counts objects that have been made and not destroyed.
var live atomic.Int64

// Live is the number of objects, and of handles that C holds on Go values, that are still open.
func Live() int64 { return live.Load() }

// arena holds the C copies of the text of one call.
type arena struct {
	blocks []unsafe.Pointer
	err    error
}

func (a *arena) free() {
	for _, block := range a.blocks {
		C.free(block)
	}
}

// text copies a string; what holds a NUL would be cut there, so the call is refused instead.
func (a *arena) text(what, s string) *C.char {
	if strings.IndexByte(s, 0) >= 0 {
		if a.err == nil {
			a.err = &Error{invalidArgument, what + " must not contain a NUL byte"}
		}
		return nil
	}
	p := C.CString(s)
	a.blocks = append(a.blocks, unsafe.Pointer(p))
	return p
}

// optional is text, with the empty string as NULL.
func (a *arena) optional(what, s string) *C.char {
	if s == "" {
		return nil
	}
	return a.text(what, s)
}

// pointers allocates an array of n pointers, set to NULL.
func (a *arena) pointers(n int) []unsafe.Pointer {
	if n == 0 {
		return nil
	}
	p := a.block(C.size_t(n) * C.size_t(unsafe.Sizeof(uintptr(0))))
	if p == nil {
		return nil
	}
	return unsafe.Slice((*unsafe.Pointer)(p), n)
}

// block allocates zeroed memory of C; nil is an error that the call will return.
func (a *arena) block(size C.size_t) unsafe.Pointer {
	p := C.calloc(1, size)
	if p == nil {
		a.err = &Error{outOfMemory, "no memory for a call's options"}
		return nil
	}
	a.blocks = append(a.blocks, p)
	return p
}

// call makes a call unless its arguments were refused already.
func (a *arena) call(f func(e *C.pts_error) C.pts_status) error {
	if a.err != nil {
		return a.err
	}
	return call(f)
}

func call(f func(e *C.pts_error) C.pts_status) error {
	var e C.pts_error
	if status := f(&e); status != C.PTS_OK {
		return newError(status, &e)
	}
	return nil
}

func newError(status C.pts_status, e *C.pts_error) error {
	return &Error{int32(status), C.GoString(&e.message[0])}
}

// json makes a call that returns text, unless its arguments were refused already.
func (a *arena) json(f func(out **C.char, e *C.pts_error) C.pts_status) ([]byte, error) {
	if a.err != nil {
		return nil, a.err
	}
	return text(f)
}

// made counts an object that a successful call returned.
func made(err error) error {
	if err == nil {
		live.Add(1)
	}
	return err
}

// text takes over the text that a call returned.
func text(f func(out **C.char, e *C.pts_error) C.pts_status) ([]byte, error) {
	var out *C.char
	if err := call(func(e *C.pts_error) C.pts_status { return f(&out, e) }); err != nil {
		return nil, err
	}
	return taken(out), nil
}

// taken is a text of the library's, which is destroyed.
func taken(out *C.char) []byte {
	defer C.pts_text_destroy(&out)
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(out)), C.strlen(out)))
}

// StatusName is pts_status_name.
func StatusName(status int32) string { return C.GoString(C.pts_status_name(C.pts_status(status))) }

// Version is pts_version.
func Version() string { return C.GoString(C.pts_version()) }

// Cores is pts_cores.
func Cores() uint32 { return uint32(C.pts_cores()) }

// Features is pts_features.
func Features() ([]byte, error) {
	return text(func(out **C.char, e *C.pts_error) C.pts_status { return C.pts_features(out, e) })
}

// BytesView is borrowed until BytesDestroy.
func BytesView(b *Bytes) []byte {
	c := (*C.pts_bytes)(b)
	return unsafe.Slice((*byte)(C.pts_bytes_data(c)), C.pts_bytes_size(c))
}

func BytesDestroy(b *Bytes) {
	c := (*C.pts_bytes)(b)
	C.pts_bytes_destroy(&c)
	live.Add(-1)
}

func CancelCreate() (*Cancel, error) {
	var out *C.pts_cancel
	err := call(func(e *C.pts_error) C.pts_status { return C.pts_cancel_create(&out, e) })
	return (*Cancel)(out), made(err)
}

func CancelSet(c *Cancel) { C.pts_cancel_set((*C.pts_cancel)(c)) }

func CancelDestroy(c *Cancel) {
	p := (*C.pts_cancel)(c)
	C.pts_cancel_destroy(&p)
	live.Add(-1)
}
