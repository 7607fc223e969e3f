package raw

/*
#include "shim.h"
*/
import "C"

func StoreRollbackAlias(s *Store, name, alias string, version uint64, reason string, keys *Keyring, with Call) (uint64, error) {
	var a arena
	defer a.free()
	n, al, r := a.text("a model's name", name), a.optional("an alias", alias), a.optional("a reason", reason)
	var out C.uint64_t
	err := with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.pts_store_rollback_alias((*C.pts_store)(s), n, al, C.uint64_t(version), r, (*C.pts_keyring)(keys), call, &out, e)
	})
	return uint64(out), err
}

func StoreDeleteAlias(s *Store, name, alias, reason string, keys *Keyring, with Call) error {
	var a arena
	defer a.free()
	n, al, r := a.text("a model's name", name), a.text("an alias", alias), a.optional("a reason", reason)
	return with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.pts_store_delete_alias((*C.pts_store)(s), n, al, r, (*C.pts_keyring)(keys), call, e)
	})
}

func StoreShowAlias(s *Store, name, alias string, keys *Keyring, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	n, al := a.text("a model's name", name), a.text("an alias", alias)
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_show_alias((*C.pts_store)(s), n, al, (*C.pts_keyring)(keys), call, out, e)
	})
}

func StoreAliasHistory(s *Store, name, alias string, keys *Keyring, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	n, al := a.text("a model's name", name), a.text("an alias", alias)
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_alias_history((*C.pts_store)(s), n, al, (*C.pts_keyring)(keys), call, out, e)
	})
}

func StoreLog(s *Store, keys *Keyring, first, limit uint64, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_log((*C.pts_store)(s), (*C.pts_keyring)(keys), C.uint64_t(first), C.uint64_t(limit), call, out, e)
	})
}

// StoreVerifyLog reports with the callbacks' Check.
func StoreVerifyLog(s *Store, keys *Keyring, head string, with Call) error {
	var a arena
	defer a.free()
	h := a.optional("a log's head", head)
	return with.run(&a, func(call *C.pts_call, callbacks C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.ptsgo_store_verify_log((*C.pts_store)(s), (*C.pts_keyring)(keys), h, call, callbacks, e)
	})
}

func StateDefaultPath() ([]byte, error) {
	return text(func(out **C.char, e *C.pts_error) C.pts_status { return C.pts_state_default_path(out, e) })
}

func StateShow(path string) ([]byte, error) {
	var a arena
	defer a.free()
	p := a.text("a path", path)
	return a.json(func(out **C.char, e *C.pts_error) C.pts_status { return C.pts_state_show(p, out, e) })
}

// StateReset forgets one store, or everything for "".
func StateReset(path, store string) error {
	var a arena
	defer a.free()
	p, s := a.text("a path", path), a.optional("a store", store)
	return a.call(func(e *C.pts_error) C.pts_status { return C.pts_state_reset(p, s, e) })
}
