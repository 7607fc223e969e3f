package raw

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// Opening is what opens a JWE: a JWK, or nil where GridFSFile.JWKFilename names it, and the plaintext's
// SHA-256 in hex, or "".
type Opening struct {
	JWK    []byte
	SHA256 string
}

func (o Opening) in(a *arena) (jwk *C.char, size C.size_t, sha256 *C.char) {
	if o.JWK != nil {
		text := o.JWK
		if len(text) == 0 {
			text = make([]byte, 0, 1) // an address, though nothing is there
		}
		jwk, size = (*C.char)(unsafe.Pointer(unsafe.SliceData(text))), C.size_t(len(text))
	}
	return jwk, size, a.optional("a SHA-256", o.SHA256)
}

func StoreImportFile(s *Store, name, path string, opening Opening, keys *Keyring, options *PublishOptions, callbacks *Callbacks) (uint64, error) {
	return publish(name, options, callbacks, func(a *arena) publishCall {
		file := a.text("a path", path)
		jwk, size, digest := opening.in(a)
		return func(name *C.char, o *C.pts_publish_options, version *C.uint64_t, handle C.uintptr_t, e *C.pts_error) C.pts_status {
			return C.ptsgo_import_file((*C.pts_store)(s), name, file, jwk, size, digest, (*C.pts_keyring)(keys), o, version, handle, e)
		}
	})
}

// StoreImportRead reads with callbacks.Read.
func StoreImportRead(s *Store, name string, length uint64, opening Opening, keys *Keyring, options *PublishOptions, callbacks *Callbacks) (uint64, error) {
	return publish(name, options, callbacks, func(a *arena) publishCall {
		jwk, size, digest := opening.in(a)
		return func(name *C.char, o *C.pts_publish_options, version *C.uint64_t, handle C.uintptr_t, e *C.pts_error) C.pts_status {
			return C.ptsgo_import_read((*C.pts_store)(s), name, C.uint64_t(length), jwk, size, digest, (*C.pts_keyring)(keys), o, version, handle, e)
		}
	})
}

// GridFSFile is pts_gridfs_file; "" = NULL.
type GridFSFile struct{ URI, Bucket, Filename, ID, JWKFilename string }

func StoreImportGridFS(s *Store, name string, file GridFSFile, opening Opening, keys *Keyring, options *PublishOptions, callbacks *Callbacks) (uint64, error) {
	return publish(name, options, callbacks, func(a *arena) publishCall {
		source := (*C.pts_gridfs_file)(a.block(C.sizeof_pts_gridfs_file))
		if source != nil {
			C.pts_gridfs_file_init(source)
			source.uri = a.text("a URI", file.URI)
			source.bucket = a.optional("a bucket's name", file.Bucket)
			source.filename = a.optional("a file's name", file.Filename)
			source.id = a.optional("a file's id", file.ID)
			source.jwk_filename = a.optional("a file's name", file.JWKFilename)
		}
		jwk, size, digest := opening.in(a)
		return func(name *C.char, o *C.pts_publish_options, version *C.uint64_t, handle C.uintptr_t, e *C.pts_error) C.pts_status {
			return C.ptsgo_import_gridfs((*C.pts_store)(s), name, source, jwk, size, digest, (*C.pts_keyring)(keys), o, version, handle, e)
		}
	})
}
