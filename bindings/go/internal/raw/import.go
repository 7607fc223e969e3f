package raw

/*
#include "shim.h"
*/
import "C"

// StoreImport opens what the source holds, a JWE, with the JWK that another source holds. sha256 is the
// plaintext's in hex, or "".
func StoreImport(s *Store, name string, source, jwk *Source, sha256 string, keys *Keyring, options *PublishOptions, with Call) (uint64, error) {
	return published(name, options, with, func(a *arena, name *C.char, o *C.pts_publish_options, call *C.pts_call, version *C.uint64_t, e *C.pts_error) C.pts_status {
		i := (*C.pts_import_options)(a.block(C.sizeof_pts_import_options))
		if i == nil {
			return C.PTS_OUT_OF_MEMORY
		}
		C.pts_import_options_init(i)
		if jwk != nil {
			i.jwk_source = jwk.c
		}
		i.sha256 = a.optional("a SHA-256", sha256)
		return C.pts_store_import((*C.pts_store)(s), name, source.c, (*C.pts_keyring)(keys), i, o, call, version, e)
	})
}
