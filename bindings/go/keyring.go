package ptsecure

import (
	"context"
	"encoding/json"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// Keyring is the keys that a process holds, a JWK Set (RFC 7517): those it signs, wraps and unwraps
// with, and those it trusts. It never changes. Private keys are kept in locked memory.
type Keyring struct{ h handle[*raw.Keyring] }

func newKeyring(k *raw.Keyring, err error) (*Keyring, error) {
	if err != nil {
		return nil, wrap(context.Background(), err)
	}
	return &Keyring{handle[*raw.Keyring]{object: k, what: "keyring", destroy: raw.KeyringDestroy}}, nil
}

// LoadKeyring reads a JWK Set file. One that holds private keys must belong to the user and be closed
// to everybody else (ErrPermissionDenied says which chmod helps).
func LoadKeyring(path string, options ...KeyringOption) (*Keyring, error) {
	return newKeyring(raw.KeyringLoad(path, keyringOptions(options)))
}

// ParseKeyring reads a JWK Set from JSON in memory.
func ParseKeyring(jwks []byte, options ...KeyringOption) (*Keyring, error) {
	return newKeyring(raw.KeyringParse(jwks, keyringOptions(options)))
}

// KeyringFromEnv reads a JWK Set from an environment variable of the process.
func KeyringFromEnv(variable string, options ...KeyringOption) (*Keyring, error) {
	return newKeyring(raw.KeyringFromEnv(variable, keyringOptions(options)))
}

// GenerateKeyring makes new keys for every role: an Ed25519 key that signs manifests and log records, one
// that signs records of aliases, content keys' status and API keys, and log records, and a P-256 key that
// content keys are wrapped for.
func GenerateKeyring() (*Keyring, error) { return newKeyring(raw.KeyringGenerate()) }

// Role is what a keyring is cut down to by [Keyring.Split].
type Role string

const (
	Publisher Role = "publisher" // signs manifests, wraps
	Opener    Role = "opener"    // unwraps, verifies
	Verifier  Role = "verifier"  // verifies; public keys only
	Operator  Role = "operator"  // signs aliases and key records, rewraps
)

// Split returns a new keyring with what a role needs.
func (k *Keyring) Split(role Role) (*Keyring, error) {
	object, err := k.acquire()
	if err != nil {
		return nil, err
	}
	defer k.h.release()
	return newKeyring(raw.KeyringSplit(object, string(role)))
}

// Public returns a new keyring with the public keys alone.
func (k *Keyring) Public() (*Keyring, error) {
	object, err := k.acquire()
	if err != nil {
		return nil, err
	}
	defer k.h.release()
	return newKeyring(raw.KeyringPublic(object))
}

// Save writes a new file, mode 0600 (0644 if all keys are public); an existing one is never replaced.
// With a passphrase the file is encrypted (PBES2-HS512+A256KW); "" = plain.
func (k *Keyring) Save(path, passphrase string) error {
	object, err := k.acquire()
	if err != nil {
		return err
	}
	defer k.h.release()
	return wrap(context.Background(), raw.KeyringSave(object, path, passphrase))
}

// Export returns the JWK Set as JSON, private keys included.
func (k *Keyring) Export() (*Secret, error) {
	object, err := k.acquire()
	if err != nil {
		return nil, err
	}
	defer k.h.release()
	return newSecret(raw.KeyringExport(object))
}

// Key describes a key, without secrets.
type Key struct {
	ID      string   `json:"kid"`
	Type    string   `json:"kty"`
	Curve   string   `json:"crv"`
	Use     string   `json:"use"`
	Private bool     `json:"private"`
	Records []string `json:"records"` // kinds of record that its signatures are trusted for
	Names   []string `json:"names"`   // patterns of names that they are trusted for
}

// Keys describes the keys.
func (k *Keyring) Keys() ([]Key, error) {
	object, err := k.acquire()
	if err != nil {
		return nil, err
	}
	defer k.h.release()
	return asked[[]Key](raw.KeyringDescribe(object))
}

// Close lets go of the keys. It returns nil.
func (k *Keyring) Close() error {
	if k == nil {
		return nil
	}
	return k.h.close()
}

func (k *Keyring) acquire() (*raw.Keyring, error) {
	if k == nil {
		return nil, newError(ErrInvalidArgument, "a keyring is needed, not nil")
	}
	return k.h.acquire()
}

// asked is decoded for a call that no context stops.
func asked[T any](text []byte, err error) (T, error) {
	out, err := decoded[T](text, err)
	return out, wrap(context.Background(), err)
}

// decoded reads the JSON that a call returned. Errors of the call are the raw layer's still.
func decoded[T any](text []byte, err error) (T, error) {
	var out T
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return out, newError(ErrInternal, "the library's JSON can't be read: "+err.Error())
	}
	return out, nil
}

// Secret is bytes in the library's memory, overwritten with zeros by Close.
type Secret struct{ h handle[*raw.Bytes] }

func newSecret(b *raw.Bytes, err error) (*Secret, error) {
	if err != nil {
		return nil, wrap(context.Background(), err)
	}
	return &Secret{handle[*raw.Bytes]{object: b, what: "secret", destroy: raw.BytesDestroy}}, nil
}

// Bytes are borrowed: they must not be used after Close, nor be written to. It is nil after Close.
func (s *Secret) Bytes() []byte {
	object, err := s.h.acquire()
	if err != nil {
		return nil
	}
	defer s.h.release()
	return raw.BytesView(object)
}

// Close overwrites the bytes. It returns nil.
func (s *Secret) Close() error {
	if s == nil {
		return nil
	}
	return s.h.close()
}
