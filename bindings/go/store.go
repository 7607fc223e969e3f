package ptsecure

import (
	"context"
	"encoding/json"
	"time"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// Store is where sealed models are kept: a folder or a MongoDB database.
type Store struct {
	h   handle[*raw.Store]
	log *logger
}

// OpenStore opens a store by URI: "file:///srv/models", a plain path, or
// "mongodb://host/database?options". Nothing is created and no server is asked yet: the first publish
// creates a store, and reading where there is none is ErrNotFound.
func OpenStore(ctx context.Context, uri string, options ...StoreOption) (*Store, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	var o storeOptions
	for _, option := range options {
		option(&o)
	}
	s := &Store{log: newLogger(o.log)}
	if s.log != nil {
		o.raw.Log = s.log.log
	}
	object, err := raw.StoreOpen(uri, o.raw)
	if err != nil {
		s.log.release()
		return nil, wrap(ctx, err)
	}
	s.h.object, s.h.what = object, "store"
	s.h.destroy = func(object *raw.Store) {
		raw.StoreDestroy(object)
		s.log.release()
	}
	return s, nil
}

// Close lets go of the store. What was opened from it goes on. It returns nil.
func (s *Store) Close() error {
	if s == nil {
		return nil
	}
	return s.h.close()
}

func (s *Store) acquire() (*raw.Store, error) {
	if s == nil {
		return nil, newError(ErrInvalidArgument, "a store is needed, not nil")
	}
	s.log.check()
	return s.h.acquire()
}

// call makes a call that its context stops.
func (s *Store) call(ctx context.Context, callbacks *raw.Callbacks, call func(*raw.Store, raw.Call) error) error {
	object, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.h.release()
	return cancellable(ctx, callbacks, func(with raw.Call) error { return call(object, with) })
}

// with is call with a keyring.
func (s *Store) with(ctx context.Context, keys *Keyring, callbacks *raw.Callbacks, call func(*raw.Store, *raw.Keyring, raw.Call) error) error {
	ring, err := keys.acquire()
	if err != nil {
		return err
	}
	defer keys.h.release()
	return s.call(ctx, callbacks, func(object *raw.Store, with raw.Call) error { return call(object, ring, with) })
}

// StoreInfo names a store.
type StoreInfo struct {
	URI string `json:"uri"` // without credentials
	ID  string `json:"id"`  // "" when there is no store yet
}

// URI is where the store is, without credentials and options; "" once closed. No server is asked.
func (s *Store) URI() string {
	object, err := s.acquire()
	if err != nil {
		return ""
	}
	defer s.h.release()
	return raw.StoreURI(object)
}

// Info asks the store for its id.
func (s *Store) Info(ctx context.Context) (info StoreInfo, err error) {
	err = s.call(ctx, nil, func(object *raw.Store, with raw.Call) (err error) {
		info, err = decoded[StoreInfo](raw.StoreDescribe(object, with))
		return err
	})
	return info, err
}

// VersionEntry is what the store's index says of a version. The index is not verified: Show, Verify,
// Fetch and Load are.
type VersionEntry struct {
	Version uint64            `json:"version"`
	Format  string            `json:"format"`
	Created time.Time         `json:"created"` // the publisher's clock
	Size    uint64            `json:"size"`    // plaintext bytes
	Labels  map[string]string `json:"labels"`
	Damaged bool              `json:"damaged"` // its manifest can't be read
}

// ModelEntry is what the store's index says of a model and its newest version.
type ModelEntry struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
	VersionEntry
}

// List returns the models in the order of their names, those after a name ("" = from the first), at
// most limit (0 = all).
func (s *Store) List(ctx context.Context, after string, limit uint64) ([]ModelEntry, error) {
	var list struct{ Models []ModelEntry }
	err := s.call(ctx, nil, func(object *raw.Store, with raw.Call) error {
		text, err := raw.StoreList(object, after, limit, with)
		if err == nil {
			err = json.Unmarshal(text, &list)
		}
		return err
	})
	return list.Models, err
}

// Versions returns the versions of a model, the newest first, those below a version (0 = from the
// newest), at most limit (0 = all).
func (s *Store) Versions(ctx context.Context, name string, before, limit uint64) ([]VersionEntry, error) {
	var list struct{ Versions []VersionEntry }
	err := s.call(ctx, nil, func(object *raw.Store, with raw.Call) error {
		text, err := raw.StoreListVersions(object, name, before, limit, with)
		if err == nil {
			err = json.Unmarshal(text, &list)
		}
		return err
	})
	return list.Versions, err
}

// Details is a verified version: the manifest's main members, and what the store's signed records say.
type Details struct {
	Name      string            `json:"name"`
	Version   uint64            `json:"version"`
	Created   time.Time         `json:"created"`
	Format    string            `json:"format"`
	Engine    string            `json:"engine"`
	Inputs    []Spec            `json:"inputs"`
	Outputs   []Spec            `json:"outputs"`
	Stateful  bool              `json:"stateful"`
	Labels    map[string]string `json:"labels"`
	Aliases   []string          `json:"aliases"`
	Signer    string            `json:"signer"` // the kid of the key that signed the manifest
	KeyStatus string            `json:"key_status"`

	JSON json.RawMessage `json:"-"` // all of it
}

// Show returns what is known of "name", "name/7" or "name@alias", verified.
func (s *Store) Show(ctx context.Context, reference string, keys *Keyring) (details Details, err error) {
	err = s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) error {
		text, err := raw.StoreShow(object, reference, ring, with)
		if err == nil {
			details.JSON = text
			err = json.Unmarshal(text, &details)
		}
		return err
	})
	return details, err
}

// Alias is the state of an alias, from its signed record.
type Alias struct {
	Alias    string    `json:"alias"`
	Version  uint64    `json:"version"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Reason   string    `json:"reason"`
	Deleted  bool      `json:"deleted"`
	Manifest string    `json:"manifest"` // digest of the version's manifest, for WithManifest
	Record   string    `json:"record"`   // digest of the record
	Signer   string    `json:"signer"`
	// The keyring still trusts the signer; else the records after this one vouch for it.
	SignerTrusted bool `json:"signer_trusted"`
}

// Aliases returns the aliases of a model, verified.
func (s *Store) Aliases(ctx context.Context, name string, keys *Keyring) (aliases []Alias, err error) {
	err = s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		aliases, err = decoded[[]Alias](raw.StoreListAliases(object, name, ring, with))
		return err
	})
	return aliases, err
}

// SetAlias points an alias at a version, which is verified first. ErrConflict when another operator
// was faster. reason may be "".
func (s *Store) SetAlias(ctx context.Context, name, alias string, version uint64, reason string, keys *Keyring) error {
	return s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) error {
		return raw.StoreSetAlias(object, name, alias, version, reason, ring, with)
	})
}

// KeyStatus is what openers are told about a version's content key.
type KeyStatus string

const (
	KeyEnabled   KeyStatus = "enabled"
	KeyDisabled  KeyStatus = "disabled"
	KeyDestroyed KeyStatus = "destroyed" // for good: its wrapped keys are removed from this store
)

// SetKeyStatus sets the status of the content key of a version; openers refuse a key that isn't
// enabled. reason may be "".
func (s *Store) SetKeyStatus(ctx context.Context, reference string, status KeyStatus, reason string, keys *Keyring) error {
	return s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) error {
		return raw.StoreSetKeyStatus(object, reference, string(status), reason, ring, with)
	})
}

// Fetch verifies the manifest of "name" (the newest version), "name/7" or "name@alias".
func (s *Store) Fetch(ctx context.Context, reference string, keys *Keyring, options ...LoadOption) (*Package, error) {
	o := newLoadOptions(options)
	var object *raw.Package
	err := s.with(ctx, keys, nil, func(store *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		object, err = raw.StoreFetch(store, reference, ring, &o.raw, with)
		return err
	})
	if err != nil {
		return nil, err
	}
	return newPackage(object, s.log), nil
}

// Load fetches, verifies, decrypts and loads as one stream. It returns only after every byte has been
// authenticated.
func (s *Store) Load(ctx context.Context, reference string, keys *Keyring, options ...LoadOption) (*Model, error) {
	o := newLoadOptions(options)
	var object *raw.Model
	callbacks := &raw.Callbacks{Progress: o.progress}
	err := s.with(ctx, keys, callbacks, func(store *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		object, err = raw.ModelOpen(store, reference, ring, &o.raw, with)
		return err
	})
	if err != nil {
		return nil, err
	}
	return newModel(object, s.log)
}

// Check is one finding of Verify. Err is nil when what it names holds.
type Check struct {
	Name   string
	Detail string
	Err    error
}

// Verify verifies all that is stored about a reference, every segment of the payload included. It goes
// on after a failed check; the error is that of the first one, nil when all hold.
func (s *Store) Verify(ctx context.Context, reference string, keys *Keyring, options ...LoadOption) ([]Check, error) {
	o := newLoadOptions(options)
	var checks []Check
	callbacks := &raw.Callbacks{Progress: o.progress, Check: collect(&checks)}
	err := s.with(ctx, keys, callbacks, func(store *raw.Store, ring *raw.Keyring, with raw.Call) error {
		return raw.StoreVerify(store, reference, ring, &o.raw, with)
	})
	return checks, err
}

func collect(checks *[]Check) func(name string, status int32, detail string) {
	return func(name string, status int32, detail string) {
		check := Check{Name: name, Detail: detail}
		if status != 0 {
			check.Err = newError(Status(status), detail)
		}
		*checks = append(*checks, check)
	}
}
