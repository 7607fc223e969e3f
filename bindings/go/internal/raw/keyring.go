package raw

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// KeyringOptions is pts_keyring_options.
type KeyringOptions struct {
	Passphrase     string
	AllowGroupRead bool
}

func (o KeyringOptions) in(a *arena) *C.pts_keyring_options {
	var c C.pts_keyring_options
	C.pts_keyring_options_init(&c)
	c.passphrase = a.optional("a passphrase", o.Passphrase)
	if o.AllowGroupRead {
		c.allow_group_read = 1
	}
	return &c
}

func KeyringLoad(path string, options KeyringOptions) (*Keyring, error) {
	var a arena
	defer a.free()
	return a.keyring(a.text("a path", path), options.in(&a), func(text *C.char, o *C.pts_keyring_options, out **C.pts_keyring, e *C.pts_error) C.pts_status {
		return C.pts_keyring_load(text, o, out, e)
	})
}

func KeyringFromEnv(variable string, options KeyringOptions) (*Keyring, error) {
	var a arena
	defer a.free()
	return a.keyring(a.text("a variable's name", variable), options.in(&a), func(text *C.char, o *C.pts_keyring_options, out **C.pts_keyring, e *C.pts_error) C.pts_status {
		return C.pts_keyring_from_env(text, o, out, e)
	})
}

func KeyringParse(json []byte, options KeyringOptions) (*Keyring, error) {
	var a arena
	defer a.free()
	if len(json) == 0 {
		json = make([]byte, 0, 1) // an address, though nothing is there
	}
	return a.keyring((*C.char)(unsafe.Pointer(unsafe.SliceData(json))), options.in(&a), func(text *C.char, o *C.pts_keyring_options, out **C.pts_keyring, e *C.pts_error) C.pts_status {
		return C.pts_keyring_parse(text, C.size_t(len(json)), o, out, e)
	})
}

func KeyringGenerate() (*Keyring, error) {
	var a arena
	return a.keyring(nil, nil, func(_ *C.char, _ *C.pts_keyring_options, out **C.pts_keyring, e *C.pts_error) C.pts_status {
		return C.pts_keyring_generate(out, e)
	})
}

func KeyringSplit(k *Keyring, role string) (*Keyring, error) {
	var a arena
	defer a.free()
	return a.keyring(a.text("a role", role), nil, func(text *C.char, _ *C.pts_keyring_options, out **C.pts_keyring, e *C.pts_error) C.pts_status {
		return C.pts_keyring_split((*C.pts_keyring)(k), text, out, e)
	})
}

func KeyringPublic(k *Keyring) (*Keyring, error) {
	var a arena
	return a.keyring(nil, nil, func(_ *C.char, _ *C.pts_keyring_options, out **C.pts_keyring, e *C.pts_error) C.pts_status {
		return C.pts_keyring_public((*C.pts_keyring)(k), out, e)
	})
}

func (a *arena) keyring(text *C.char, options *C.pts_keyring_options, f func(*C.char, *C.pts_keyring_options, **C.pts_keyring, *C.pts_error) C.pts_status) (*Keyring, error) {
	var out *C.pts_keyring
	err := a.call(func(e *C.pts_error) C.pts_status { return f(text, options, &out, e) })
	return (*Keyring)(out), made(err)
}

func KeyringSave(k *Keyring, path, passphrase string) error {
	var a arena
	defer a.free()
	file, secret := a.text("a path", path), a.optional("a passphrase", passphrase)
	return a.call(func(e *C.pts_error) C.pts_status {
		return C.pts_keyring_save((*C.pts_keyring)(k), file, secret, e)
	})
}

func KeyringExport(k *Keyring) (*Bytes, error) {
	var out *C.pts_bytes
	err := call(func(e *C.pts_error) C.pts_status {
		return C.pts_keyring_export((*C.pts_keyring)(k), &out, e)
	})
	return (*Bytes)(out), made(err)
}

func KeyringDescribe(k *Keyring) ([]byte, error) {
	return text(func(out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_keyring_describe((*C.pts_keyring)(k), out, e)
	})
}

func KeyringDestroy(k *Keyring) {
	c := (*C.pts_keyring)(k)
	C.pts_keyring_destroy(&c)
	live.Add(-1)
}
