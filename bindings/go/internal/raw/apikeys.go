package raw

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// APIKeys is a pts_apikeys.
type APIKeys C.pts_apikeys

const (
	ScopeInfer = int32(C.PTS_SCOPE_INFER)
	ScopeAdmin = int32(C.PTS_SCOPE_ADMIN)
)

// APIKeyOptions is pts_apikey_options.
type APIKeyOptions struct {
	Owner              string
	Models             []string
	Scopes             int32
	Burst              uint32
	Rate               float64
	BytesRate          uint64
	NotBefore, Expires int64
	Reason             string
}

func (o *APIKeyOptions) in(a *arena) *C.pts_apikey_options {
	c := (*C.pts_apikey_options)(a.block(C.sizeof_pts_apikey_options))
	if c == nil {
		return nil
	}
	C.pts_apikey_options_init(c)
	c.owner = a.text("an owner", o.Owner)
	c.models = a.texts("a model's name", o.Models)
	c.model_count = C.size_t(len(o.Models))
	c.scopes = C.int32_t(o.Scopes)
	c.burst = C.uint32_t(o.Burst)
	c.rate = C.double(o.Rate)
	c.bytes_rate = C.uint64_t(o.BytesRate)
	c.not_before = C.int64_t(o.NotBefore)
	c.expires = C.int64_t(o.Expires)
	c.reason = a.optional("a reason", o.Reason)
	return c
}

// StoreCreateAPIKey returns the key's text and its record.
func StoreCreateAPIKey(s *Store, options *APIKeyOptions, keys *Keyring, with Call) (*Bytes, []byte, error) {
	var a arena
	defer a.free()
	o := options.in(&a)
	return with.secret(&a, func(call *C.pts_call, key **C.pts_bytes, record **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_create_apikey((*C.pts_store)(s), (*C.pts_keyring)(keys), o, call, key, record, e)
	})
}

// StoreRotateAPIKey returns the new text and the record.
func StoreRotateAPIKey(s *Store, id string, graceSeconds uint64, reason string, keys *Keyring, with Call) (*Bytes, []byte, error) {
	var a arena
	defer a.free()
	i, r := a.text("an id", id), a.optional("a reason", reason)
	return with.secret(&a, func(call *C.pts_call, key **C.pts_bytes, record **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_rotate_apikey((*C.pts_store)(s), i, C.uint64_t(graceSeconds), r, (*C.pts_keyring)(keys), call, key, record, e)
	})
}

func (c Call) secret(a *arena, f func(call *C.pts_call, key **C.pts_bytes, record **C.char, e *C.pts_error) C.pts_status) (*Bytes, []byte, error) {
	var key *C.pts_bytes
	record, err := c.text(a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status { return f(call, &key, out, e) })
	return (*Bytes)(key), record, made(err)
}

func StoreListAPIKeys(s *Store, keys *Keyring, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_list_apikeys((*C.pts_store)(s), (*C.pts_keyring)(keys), call, out, e)
	})
}

func StoreShowAPIKey(s *Store, id string, keys *Keyring, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	i := a.text("an id", id)
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_show_apikey((*C.pts_store)(s), i, (*C.pts_keyring)(keys), call, out, e)
	})
}

func StoreSetAPIKeyState(s *Store, id, state, reason string, keys *Keyring, with Call) error {
	var a arena
	defer a.free()
	i, st, r := a.text("an id", id), a.text("a state", state), a.optional("a reason", reason)
	return with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.pts_store_set_apikey_state((*C.pts_store)(s), i, st, r, (*C.pts_keyring)(keys), call, e)
	})
}

// APIKeysOptions is pts_apikeys_options; 0 = the default.
type APIKeysOptions struct{ GraceMS, RefreshMS int32 }

func APIKeysOpen(s *Store, keys *Keyring, options APIKeysOptions, with Call) (*APIKeys, error) {
	var a arena
	defer a.free()
	var o C.pts_apikeys_options
	C.pts_apikeys_options_init(&o)
	if options.GraceMS != 0 {
		o.grace_ms = C.int32_t(options.GraceMS)
	}
	if options.RefreshMS != 0 {
		o.refresh_ms = C.int32_t(options.RefreshMS)
	}
	var out *C.pts_apikeys
	err := with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.pts_apikeys_open((*C.pts_store)(s), (*C.pts_keyring)(keys), &o, call, &out, e)
	})
	return (*APIKeys)(out), made(err)
}

// APIKeyRequest is pts_apikey_request.
type APIKeyRequest struct {
	Model     string
	Scope     int32
	Uncounted bool
	Bytes     uint64
}

// APIKeyResult is pts_apikey_result.
type APIKeyResult struct {
	RetryAfterMS uint64
	ID, Owner    string
}

// APIKeysCheck fills the result whether the key may or not.
func APIKeysCheck(k *APIKeys, presented string, request APIKeyRequest, with Call) (APIKeyResult, error) {
	var a arena
	defer a.free()
	var r C.pts_apikey_request
	C.pts_apikey_request_init(&r)
	r.model = a.optional("a model's name", request.Model)
	r.scope = C.int32_t(request.Scope)
	r.uncounted = flag(request.Uncounted)
	r.bytes = C.uint64_t(request.Bytes)
	var result C.pts_apikey_result
	C.pts_apikey_result_init(&result)
	err := with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.pts_apikeys_check((*C.pts_apikeys)(k), (*C.char)(unsafe.Pointer(unsafe.StringData(presented))), C.size_t(len(presented)), &r, call, &result, e)
	})
	return APIKeyResult{uint64(result.retry_after_ms), C.GoString(&result.id[0]), C.GoString(&result.owner[0])}, err
}

func APIKeysCharge(k *APIKeys, id string, bytes uint64) error {
	var a arena
	defer a.free()
	i := a.text("an id", id)
	return a.call(func(e *C.pts_error) C.pts_status {
		return C.pts_apikeys_charge((*C.pts_apikeys)(k), i, C.uint64_t(bytes), e)
	})
}

func APIKeysUsage(k *APIKeys) ([]byte, error) {
	return text(func(out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_apikeys_usage((*C.pts_apikeys)(k), out, e)
	})
}

func APIKeysDestroy(k *APIKeys) {
	c := (*C.pts_apikeys)(k)
	C.pts_apikeys_destroy(&c)
	live.Add(-1)
}
