package ptsecure

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// Scope is what an API key may do.
type Scope int32

const (
	ScopeInfer = Scope(raw.ScopeInfer)
	ScopeAdmin = Scope(raw.ScopeAdmin)
)

// NewAPIKey describes an API key to make. Only the first two members are needed.
type NewAPIKey struct {
	Owner     string    // whom it is for: 1 to 128 bytes without control characters
	Models    []string  // 1 to 64 model names, or prefixes followed by '*'
	Scopes    Scope     // ScopeInfer (0 = this), ScopeAdmin or both, by '|'
	Rate      float64   // requests per second; 0 = unlimited
	Burst     uint32    // requests at once; 0 = one second's, at least 1
	BytesRate uint64    // tensor bytes per second; 0 = unlimited
	NotBefore time.Time // zero = at once
	Expires   time.Time // zero = never
	Reason    string
}

// APIKey is the verified record of an API key. Error is set, and the rest empty, for one whose records
// are not to be trusted.
type APIKey struct {
	ID             string     `json:"id"`
	Owner          string     `json:"owner"`
	Scopes         []string   `json:"scopes"`
	Models         []string   `json:"models"`
	State          string     `json:"state"` // "active", "disabled" or "deleted"
	NotBefore      *time.Time `json:"not_before"`
	Expires        *time.Time `json:"expires"`
	Created        *time.Time `json:"created"`
	Rate           *float64   `json:"rate"` // nil = unlimited
	Burst          *uint32    `json:"burst"`
	BytesRate      *uint64    `json:"bytes_rate"`
	OldSecretUntil *time.Time `json:"old_secret_until"`
	Sequence       uint64     `json:"sequence"`
	Time           time.Time  `json:"time"`
	Reason         string     `json:"reason"`
	Signer         string     `json:"signer"`
	Error          string     `json:"error"`
}

// CreateAPIKey makes an API key. The secret is its text, which exists nowhere else.
func (s *Store) CreateAPIKey(ctx context.Context, key NewAPIKey, keys *Keyring) (*Secret, APIKey, error) {
	o := raw.APIKeyOptions{
		Owner: key.Owner, Models: key.Models, Scopes: int32(key.Scopes), Burst: key.Burst, Rate: key.Rate,
		BytesRate: key.BytesRate, NotBefore: seconds(key.NotBefore), Expires: seconds(key.Expires), Reason: key.Reason,
	}
	if o.Scopes == 0 {
		o.Scopes = raw.ScopeInfer
	}
	return s.newAPIKey(ctx, keys, func(object *raw.Store, ring *raw.Keyring, with raw.Call) (*raw.Bytes, []byte, error) {
		return raw.StoreCreateAPIKey(object, &o, ring, with)
	})
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// RotateAPIKey gives an API key a new secret. The one before it stays valid for a grace time.
func (s *Store) RotateAPIKey(ctx context.Context, id string, grace time.Duration, reason string, keys *Keyring) (*Secret, APIKey, error) {
	if grace < 0 {
		return nil, APIKey{}, newError(ErrInvalidArgument, "the grace time must not be negative")
	}
	return s.newAPIKey(ctx, keys, func(object *raw.Store, ring *raw.Keyring, with raw.Call) (*raw.Bytes, []byte, error) {
		return raw.StoreRotateAPIKey(object, id, uint64(grace/time.Second), reason, ring, with)
	})
}

func (s *Store) newAPIKey(ctx context.Context, keys *Keyring, call func(*raw.Store, *raw.Keyring, raw.Call) (*raw.Bytes, []byte, error)) (secret *Secret, key APIKey, err error) {
	err = s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) error {
		text, record, err := call(object, ring, with)
		if err != nil {
			return err
		}
		if secret, err = newSecret(text, nil); err != nil {
			return err
		}
		return json.Unmarshal(record, &key)
	})
	return secret, key, err
}

// APIKeys returns all API keys, verified.
func (s *Store) APIKeys(ctx context.Context, keys *Keyring) (list []APIKey, err error) {
	err = s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		list, err = decoded[[]APIKey](raw.StoreListAPIKeys(object, ring, with))
		return err
	})
	return list, err
}

// APIKey returns one API key, verified.
func (s *Store) APIKey(ctx context.Context, id string, keys *Keyring) (key APIKey, err error) {
	err = s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		key, err = decoded[APIKey](raw.StoreShowAPIKey(object, id, ring, with))
		return err
	})
	return key, err
}

// SetAPIKeyState makes an API key "active", "disabled" or "deleted", which is final.
func (s *Store) SetAPIKeyState(ctx context.Context, id, state, reason string, keys *Keyring) error {
	return s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) error {
		return raw.StoreSetAPIKeyState(object, id, state, reason, ring, with)
	})
}

// APIKeyChecker checks the API keys that requests bring. A thread of its own asks the store which keys
// have changed, so that one which was disabled, deleted or rotated is refused within 2 s while the store
// answers; a check reads memory alone, apart from the first one of an id.
type APIKeyChecker struct {
	h   handle[*raw.APIKeys]
	log *logger
}

// APIKeyCheckerOptions are the times of a checker; 0 = the default.
type APIKeyCheckerOptions struct {
	Grace   time.Duration // how long keys stay valid while the store can't be asked; 60 s
	Refresh time.Duration // how often the store is asked, 10 ms to 1 s; 500 ms
}

// CheckAPIKeys opens a checker. keys must hold the public key of those who sign API keys.
func (s *Store) CheckAPIKeys(ctx context.Context, keys *Keyring, options APIKeyCheckerOptions) (*APIKeyChecker, error) {
	var object *raw.APIKeys
	err := s.with(ctx, keys, nil, func(store *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		o := raw.APIKeysOptions{GraceMS: orDefault(options.Grace), RefreshMS: orDefault(options.Refresh)}
		object, err = raw.APIKeysOpen(store, ring, o, with)
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &APIKeyChecker{log: s.log.retain()}
	c.h.object, c.h.what = object, "API key checker"
	c.h.destroy = func(object *raw.APIKeys) {
		raw.APIKeysDestroy(object)
		c.log.release()
	}
	return c, nil
}

func orDefault(d time.Duration) int32 {
	if d == 0 {
		return 0
	}
	return milliseconds(d)
}

// APIKeyRequest is what a key is wanted for.
type APIKeyRequest struct {
	Model     string // "" = no model, with ScopeAdmin all models
	Scope     Scope  // 0 = ScopeInfer
	Uncounted bool   // asks only whether the key may; its rates are left alone
	Bytes     uint64 // tensor bytes that the request brings, as far as known
}

// APIKeyHolder is whose key was checked; empty unless the key is authentic.
type APIKeyHolder struct {
	ID, Owner  string
	RetryAfter time.Duration // with ErrRateLimited
}

// Check says whether the presented text is a key that may do this now: ErrUnauthenticated for no key or
// none that is valid, ErrForbidden for a valid one that isn't for this, ErrRateLimited for one over its
// rate; another error when it can't be known.
func (c *APIKeyChecker) Check(presented string, request APIKeyRequest) (APIKeyHolder, error) {
	object, err := c.acquire()
	if err != nil {
		return APIKeyHolder{}, err
	}
	defer c.h.release()
	if request.Scope == 0 {
		request.Scope = ScopeInfer
	}
	result, err := raw.APIKeysCheck(object, presented, raw.APIKeyRequest{
		Model: request.Model, Scope: int32(request.Scope), Uncounted: request.Uncounted, Bytes: request.Bytes,
	}, raw.Call{})
	wait := time.Duration(min(result.RetryAfterMS, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
	return APIKeyHolder{result.ID, result.Owner, wait}, wrap(context.Background(), err)
}

// Charge adds bytes to a key that was checked, e.g. those of the answer; later requests wait for them.
func (c *APIKeyChecker) Charge(id string, bytes uint64) error {
	object, err := c.acquire()
	if err != nil {
		return err
	}
	defer c.h.release()
	return wrap(context.Background(), raw.APIKeysCharge(object, id, bytes))
}

// APIKeyUsage is what a checker has seen of a key.
type APIKeyUsage struct {
	ID       string    `json:"id"`
	Owner    string    `json:"owner"`
	LastUsed time.Time `json:"last_used"`
	Requests uint64    `json:"requests"`
	Bytes    uint64    `json:"bytes"`
	Limited  uint64    `json:"limited"` // refused by rate
}

// Usage is what this checker has seen.
func (c *APIKeyChecker) Usage() ([]APIKeyUsage, error) {
	object, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer c.h.release()
	return asked[[]APIKeyUsage](raw.APIKeysUsage(object))
}

// Close ends the checker's thread, which takes at most about a second. It returns nil.
func (c *APIKeyChecker) Close() error {
	if c == nil {
		return nil
	}
	return c.h.close()
}

func (c *APIKeyChecker) acquire() (*raw.APIKeys, error) {
	if c == nil {
		return nil, newError(ErrInvalidArgument, "an API key checker is needed, not nil")
	}
	c.log.check()
	return c.h.acquire()
}
