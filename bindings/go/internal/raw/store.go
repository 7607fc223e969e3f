package raw

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// StoreOptions is pts_store_options; 0 = the default.
type StoreOptions struct {
	ConnectTimeoutMS, OperationTimeoutMS int32
	Threads                              uint32
	Log                                  *Log
	State                                string
}

func StoreOpen(uri string, options StoreOptions) (*Store, error) {
	var a arena
	defer a.free()
	var c C.pts_store_options
	C.pts_store_options_init(&c)
	if options.ConnectTimeoutMS != 0 {
		c.connect_timeout_ms = C.int32_t(options.ConnectTimeoutMS)
	}
	if options.OperationTimeoutMS != 0 {
		c.operation_timeout_ms = C.int32_t(options.OperationTimeoutMS)
	}
	c.threads = C.uint32_t(options.Threads)
	c.state = a.optional("a state file's path", options.State)
	var log C.uintptr_t
	if options.Log != nil {
		log = C.uintptr_t(options.Log.handle)
	}
	var out *C.pts_store
	where := a.text("a store's URI", uri)
	err := a.call(func(e *C.pts_error) C.pts_status { return C.ptsgo_store_open(where, &c, log, &out, e) })
	return (*Store)(out), made(err)
}

func StoreDestroy(s *Store) {
	c := (*C.pts_store)(s)
	C.pts_store_destroy(&c)
	live.Add(-1)
}

// StoreURI is pts_store_uri.
func StoreURI(s *Store) string { return C.GoString(C.pts_store_uri((*C.pts_store)(s))) }

func StoreDescribe(s *Store, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_describe((*C.pts_store)(s), call, out, e)
	})
}

func StoreList(s *Store, after string, limit uint64, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	name := a.optional("a model's name", after)
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_list((*C.pts_store)(s), name, C.uint64_t(limit), call, out, e)
	})
}

func StoreListVersions(s *Store, name string, before, limit uint64, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	n := a.text("a model's name", name)
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_list_versions((*C.pts_store)(s), n, C.uint64_t(before), C.uint64_t(limit), call, out, e)
	})
}

func StoreShow(s *Store, reference string, keys *Keyring, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	ref := a.text("a reference", reference)
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_show((*C.pts_store)(s), ref, (*C.pts_keyring)(keys), call, out, e)
	})
}

func StoreListAliases(s *Store, name string, keys *Keyring, with Call) ([]byte, error) {
	var a arena
	defer a.free()
	n := a.text("a model's name", name)
	return with.text(&a, func(call *C.pts_call, out **C.char, e *C.pts_error) C.pts_status {
		return C.pts_store_list_aliases((*C.pts_store)(s), n, (*C.pts_keyring)(keys), call, out, e)
	})
}

func StoreSetAlias(s *Store, name, alias string, version uint64, reason string, keys *Keyring, with Call) error {
	var a arena
	defer a.free()
	n, al, r := a.text("a model's name", name), a.text("an alias", alias), a.optional("a reason", reason)
	return with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.pts_store_set_alias((*C.pts_store)(s), n, al, C.uint64_t(version), r, (*C.pts_keyring)(keys), call, e)
	})
}

func StoreSetKeyStatus(s *Store, reference, status, reason string, keys *Keyring, with Call) error {
	var a arena
	defer a.free()
	ref, st, r := a.text("a reference", reference), a.text("a key's status", status), a.optional("a reason", reason)
	return with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return C.pts_store_set_key_status((*C.pts_store)(s), ref, st, r, (*C.pts_keyring)(keys), call, e)
	})
}

// PublishOptions is pts_publish_options.
type PublishOptions struct {
	Format, Alias          string
	LabelKeys, LabelValues []string // as many of each
	Sample                 []*Value
	SampleJSON             string
	TorchDir               string
}

func (o *PublishOptions) in(a *arena) *C.pts_publish_options {
	c := (*C.pts_publish_options)(a.block(C.sizeof_pts_publish_options))
	if c == nil {
		return nil
	}
	C.pts_publish_options_init(c)
	c.format = a.optional("a format", o.Format)
	c.alias = a.optional("an alias", o.Alias)
	c.label_keys = a.texts("a label", o.LabelKeys)
	c.label_values = a.texts("a label's value", o.LabelValues)
	c.label_count = C.size_t(len(o.LabelKeys))
	if sample := a.pointers(len(o.Sample)); sample != nil {
		for i, value := range o.Sample {
			sample[i] = unsafe.Pointer(value)
		}
		c.sample = (**C.pts_value)(unsafe.Pointer(&sample[0]))
		c.sample_count = C.size_t(len(sample))
	}
	c.torch_dir = a.optional("a folder", o.TorchDir)
	c.sample_json = a.optional("a JSON sample", o.SampleJSON)
	return c
}

func (a *arena) texts(what string, texts []string) **C.char {
	list := a.pointers(len(texts))
	if list == nil {
		return nil
	}
	for i, s := range texts {
		list[i] = unsafe.Pointer(a.text(what, s))
	}
	return (**C.char)(unsafe.Pointer(&list[0]))
}

func StorePublish(s *Store, name string, source *Source, keys *Keyring, options *PublishOptions, with Call) (uint64, error) {
	return published(name, options, with, func(_ *arena, name *C.char, o *C.pts_publish_options, call *C.pts_call, version *C.uint64_t, e *C.pts_error) C.pts_status {
		return C.pts_store_publish((*C.pts_store)(s), name, source.c, (*C.pts_keyring)(keys), o, call, version, e)
	})
}

func StoreCopy(s *Store, reference string, keys *Keyring, target *Store, targetKeys *Keyring, options *PublishOptions, with Call) (uint64, error) {
	return published(reference, options, with, func(_ *arena, reference *C.char, o *C.pts_publish_options, call *C.pts_call, version *C.uint64_t, e *C.pts_error) C.pts_status {
		return C.pts_store_copy((*C.pts_store)(s), reference, (*C.pts_keyring)(keys), (*C.pts_store)(target), (*C.pts_keyring)(targetKeys), o, call, version, e)
	})
}

// published returns a version with an error when only the alias could not be set.
func published(name string, options *PublishOptions, with Call, f func(a *arena, name *C.char, o *C.pts_publish_options, call *C.pts_call, version *C.uint64_t, e *C.pts_error) C.pts_status) (uint64, error) {
	var a arena
	defer a.free()
	n, o := a.text("a name", name), options.in(&a)
	var version C.uint64_t
	err := with.run(&a, func(call *C.pts_call, _ C.uintptr_t, e *C.pts_error) C.pts_status {
		return f(&a, n, o, call, &version, e)
	})
	return uint64(version), err
}
