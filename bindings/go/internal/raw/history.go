package raw

/*
#include "shim.h"
*/
import "C"

func StoreRollbackAlias(s *Store, name, alias string, version uint64, reason string, keys *Keyring) (uint64, error) {
	var a arena
	defer a.free()
	n, al, r := a.text("a model's name", name), a.optional("an alias", alias), a.optional("a reason", reason)
	var out C.uint64_t
	err := a.call(func(e *C.pts_error) C.pts_status {
		return C.pts_store_rollback_alias((*C.pts_store)(s), n, al, C.uint64_t(version), r, (*C.pts_keyring)(keys), &out, e)
	})
	return uint64(out), err
}

func StoreDeleteAlias(s *Store, name, alias, reason string, keys *Keyring) error {
	var a arena
	defer a.free()
	n, al, r := a.text("a model's name", name), a.text("an alias", alias), a.optional("a reason", reason)
	return a.call(func(e *C.pts_error) C.pts_status {
		return C.pts_store_delete_alias((*C.pts_store)(s), n, al, r, (*C.pts_keyring)(keys), e)
	})
}

func StoreShowAlias(s *Store, name, alias string, keys *Keyring) ([]byte, error) {
	var a arena
	defer a.free()
	al := a.text("an alias", alias)
	return a.json(a.text("a model's name", name), func(name *C.char, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_show_alias((*C.pts_store)(s), name, al, (*C.pts_keyring)(keys), out, e)
	})
}

func StoreAliasHistory(s *Store, name, alias string, keys *Keyring) ([]byte, error) {
	var a arena
	defer a.free()
	al := a.text("an alias", alias)
	return a.json(a.text("a model's name", name), func(name *C.char, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_alias_history((*C.pts_store)(s), name, al, (*C.pts_keyring)(keys), out, e)
	})
}

func StoreLog(s *Store, keys *Keyring, first, limit uint64) ([]byte, error) {
	return text(func(out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_log((*C.pts_store)(s), (*C.pts_keyring)(keys), C.uint64_t(first), C.uint64_t(limit), out, e)
	})
}

// StoreVerifyLog reports with callbacks.Check.
func StoreVerifyLog(s *Store, keys *Keyring, head string, cancel *Cancel, callbacks *Callbacks) error {
	var a arena
	defer a.free()
	h := a.optional("a log's head", head)
	return callbacks.Run(func(handle uintptr) error {
		return a.call(func(e *C.pts_error) C.pts_status {
			return C.ptsgo_store_verify_log((*C.pts_store)(s), (*C.pts_keyring)(keys), h, (*C.pts_cancel)(cancel), C.uintptr_t(handle), e)
		})
	})
}

func StateDefaultPath() ([]byte, error) {
	return text(func(out **C.char, e *C.pts_error) C.pts_status { return C.pts_state_default_path(out, e) })
}

func StateShow(path string) ([]byte, error) {
	var a arena
	defer a.free()
	return a.json(a.text("a path", path), func(path *C.char, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_state_show(path, out, e)
	})
}

// StateReset forgets one store, or everything for "".
func StateReset(path, store string) error {
	var a arena
	defer a.free()
	p, s := a.text("a path", path), a.optional("a store", store)
	return a.call(func(e *C.pts_error) C.pts_status { return C.pts_state_reset(p, s, e) })
}
