package raw

/*
#include "shim.h"
*/
import "C"

import (
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// Source is a pts_source of one part without a name, with the memory of Go's that it borrows.
type Source struct {
	c    *C.pts_source
	pins runtime.Pinner
}

func SourceCreate() (*Source, error) {
	s := &Source{}
	err := call(func(e *C.pts_error) C.pts_status { return C.pts_source_create(&s.c, e) })
	return s, made(err)
}

// SourceDestroy lets go of the source and of what it borrowed; nil is nothing.
func SourceDestroy(s *Source) {
	if s == nil || s.c == nil {
		return
	}
	C.pts_source_destroy(&s.c)
	s.pins.Unpin()
	live.Add(-1)
}

func SourceAddFile(s *Source, file string) error {
	var a arena
	defer a.free()
	f := a.text("a path", file)
	return a.call(func(e *C.pts_error) C.pts_status { return C.pts_source_add_file(s.c, nil, f, e) })
}

// SourceAddBytes pins the bytes until SourceDestroy.
func SourceAddBytes(s *Source, b []byte) error {
	if len(b) == 0 {
		b = make([]byte, 0, 1) // an address, though nothing is there
	}
	data := unsafe.SliceData(b)
	s.pins.Pin(data)
	return call(func(e *C.pts_error) C.pts_status {
		return C.pts_source_add_bytes(s.c, nil, unsafe.Pointer(data), C.size_t(len(b)), e)
	})
}

// SourceAddReader reads with a function, from several threads at once; what it fails with stops the
// call of the callbacks.
func SourceAddReader(s *Source, size uint64, callbacks *Callbacks, read func(p []byte, position uint64) error) error {
	handle := cgo.NewHandle(&reader{callbacks, read})
	live.Add(1)
	err := call(func(e *C.pts_error) C.pts_status {
		return C.ptsgo_source_add_reader(s.c, C.uint64_t(size), C.uintptr_t(handle), e)
	})
	if err != nil {
		handle.Delete()
		live.Add(-1)
	}
	return err
}

// GridFSFile is pts_gridfs_file; "" = NULL.
type GridFSFile struct{ URI, Bucket, Filename, ID string }

func SourceAddGridFS(s *Source, file GridFSFile) error {
	var a arena
	defer a.free()
	c := (*C.pts_gridfs_file)(a.block(C.sizeof_pts_gridfs_file))
	if c == nil {
		return a.err
	}
	C.pts_gridfs_file_init(c)
	c.uri = a.text("a URI", file.URI)
	c.bucket = a.optional("a bucket's name", file.Bucket)
	c.filename = a.optional("a file's name", file.Filename)
	c.id = a.optional("a file's id", file.ID)
	return a.call(func(e *C.pts_error) C.pts_status { return C.pts_source_add_gridfs(s.c, nil, c, e) })
}
