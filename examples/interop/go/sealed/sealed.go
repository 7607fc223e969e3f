// Package sealed is the formats of docs/format.md with stock libraries: Tink for payloads, go-jose for
// the rest.
package sealed

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"
)

const Block = 1 << 20

// Payload is one entry of a manifest's "payloads".
type Payload struct {
	Role          string `json:"role"`
	SealedName    string `json:"sealed_name"`
	SealedVersion int64  `json:"sealed_version"`
	KeyID         string `json:"key_id"`
	KeyCommitment string `json:"key_commitment"`
	PlaintextSize int    `json:"plaintext_size"`
	StoredSize    int    `json:"stored_size"`
	DigestsSHA256 string `json:"digests_sha256"`
}

// Manifest is what a publisher signs.
type Manifest struct {
	Format   int               `json:"ptsecure"`
	Store    string            `json:"store"`
	Name     string            `json:"name"`
	Version  int64             `json:"version"`
	Created  string            `json:"created"`
	Kind     string            `json:"format"`
	Engine   string            `json:"engine"`
	Payloads []Payload         `json:"payloads"`
	Inputs   []any             `json:"inputs"`
	Outputs  []any             `json:"outputs"`
	Stateful bool              `json:"stateful"`
	Labels   map[string]string `json:"labels"`
}

// KeyRecord is a record of a content key's status.
type KeyRecord struct {
	Format   int      `json:"ptsecure"`
	Store    string   `json:"store"`
	Chain    []string `json:"chain"`
	Sequence int64    `json:"sequence"`
	Previous *string  `json:"previous"`
	Time     string   `json:"time"`
	Reason   string   `json:"reason"`
	Body     KeyBody  `json:"body"`
}

type KeyBody struct {
	Name          string `json:"name"`
	Version       int64  `json:"version"`
	Status        string `json:"status"`
	WrapsSequence int64  `json:"wraps_sequence"`
	Wraps         string `json:"wraps"`
}

// Wraps is a content key, encrypted to each recipient.
type Wraps struct {
	Format     int         `json:"ptsecure"`
	KeyID      string      `json:"key_id"`
	Recipients []Recipient `json:"recipients"`
}

type Recipient struct {
	KID string `json:"kid"`
	JWE string `json:"jwe"`
}

// Base64 is base64url without padding.
func Base64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// SHA256 is the digest as text.
func SHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return Base64(sum[:])
}

// Commitment binds a manifest to one content key.
func Commitment(dek []byte) string {
	key, err := hkdf.Key(sha256.New, dek, nil, "ptsecure/1 key commitment", 32)
	if err != nil {
		panic(err) // a DEK is long enough
	}
	return Base64(key)
}

// Digests are those of the stored blocks.
func Digests(payload []byte) []byte {
	var out []byte
	for block := range slices.Chunk(payload, Block) {
		sum := sha256.Sum256(block)
		out = append(out, sum[:]...)
	}
	return out
}

// aead is Tink's AES256_GCM_HKDF_1MB.
func aead(dek []byte) (*subtle.AESGCMHKDF, error) {
	return subtle.NewAESGCMHKDF(dek, "SHA256", 32, Block, 0)
}

func associatedData(name string, version int64) []byte {
	return fmt.Appendf(nil, "ptsecure/1 %s %d", name, version)
}

// Seal encrypts a model under a new content key and says what the manifest has to say about it.
func Seal(plain []byte, name string, version int64) (entry Payload, dek, payload []byte, err error) {
	dek, id := make([]byte, 32), make([]byte, 16)
	rand.Read(dek)
	rand.Read(id)
	primitive, err := aead(dek)
	if err != nil {
		return entry, nil, nil, err
	}
	var out bytes.Buffer
	w, err := primitive.NewEncryptingWriter(&out, associatedData(name, version))
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	payload = out.Bytes()
	return Payload{
		"model", name, version, hex.EncodeToString(id), Commitment(dek), len(plain), len(payload), SHA256(Digests(payload)),
	}, dek, payload, err
}

// Unseal checks the stored bytes against the signed entry and decrypts them.
func Unseal(entry Payload, dek, payload, digests []byte) ([]byte, error) {
	switch {
	case Commitment(dek) != entry.KeyCommitment:
		return nil, errors.New("this is another key than the one the manifest commits to")
	case !bytes.Equal(Digests(payload), digests):
		return nil, errors.New("the payload's blocks are not the signed ones")
	case SHA256(digests) != entry.DigestsSHA256:
		return nil, errors.New("the digests are not the signed ones")
	}
	primitive, err := aead(dek)
	if err != nil {
		return nil, err
	}
	r, err := primitive.NewDecryptingReader(bytes.NewReader(payload), associatedData(entry.SealedName, entry.SealedVersion))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// Keyring is the JWK Set that `ptsecure keygen` writes.
type Keyring struct{ keys []key }

type key struct {
	jose.JSONWebKey
	records []string // kinds of record that its signatures are trusted for
}

// Load reads a keyring file.
func Load(path string) (*Keyring, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	ring := &Keyring{}
	for _, item := range set.Keys {
		var k key
		var trust struct{ Ptsecure struct{ Records []string } }
		if err := errors.Join(k.UnmarshalJSON(item), json.Unmarshal(item, &trust)); err != nil {
			return nil, err
		}
		k.records = trust.Ptsecure.Records
		ring.keys = append(ring.keys, k)
	}
	return ring, nil
}

func (r *Keyring) find(fits func(key) bool) (key, error) {
	if i := slices.IndexFunc(r.keys, fits); i >= 0 {
		return r.keys[i], nil
	}
	return key{}, errors.New("the keyring holds no key for this")
}

// Verify decodes the payload of a JWS of the kind, by a key that is trusted for one of signers.
func (r *Keyring) Verify(token, kind string, into any, signers ...string) error {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
	if err != nil {
		return err
	}
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders["typ"] != "ptsecure-"+kind+"+jws" {
		return fmt.Errorf("this is no %s record", kind)
	}
	k, err := r.find(func(k key) bool {
		return k.KeyID == header.KeyID && slices.ContainsFunc(signers, func(s string) bool { return slices.Contains(k.records, s) })
	})
	if err != nil {
		return err
	}
	payload, err := signed.Verify(k.Public())
	if err != nil {
		return err
	}
	return json.Unmarshal(payload, into)
}

// Sign makes a JWS of the kind with a key that may sign what signer names.
func (r *Keyring) Sign(record any, kind, signer string) (string, error) {
	k, err := r.find(func(k key) bool { return slices.Contains(k.records, signer) && !k.IsPublic() })
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType("ptsecure-" + kind + "+jws"))
	by, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: k.JSONWebKey}, options)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(record)
	if err != nil {
		return "", err
	}
	signed, err := by.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// Unwrap decrypts the content key with a key of the keyring.
func (r *Keyring) Unwrap(recipients []Recipient, keyID string) ([]byte, error) {
	for _, recipient := range recipients {
		k, err := r.find(func(k key) bool { return k.KeyID == recipient.KID && k.Use == "enc" && !k.IsPublic() })
		if err != nil {
			continue
		}
		wrapped, err := jose.ParseEncryptedCompact(recipient.JWE,
			[]jose.KeyAlgorithm{jose.ECDH_ES_A256KW, jose.A256KW, jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
		if err != nil {
			return nil, err
		}
		text, err := wrapped.Decrypt(k.JSONWebKey)
		if err != nil {
			return nil, err
		}
		var dek jose.JSONWebKey
		if err := dek.UnmarshalJSON(text); err != nil {
			return nil, err
		}
		if secret, ok := dek.Key.([]byte); ok && dek.KeyID == keyID {
			return secret, nil
		}
		return nil, errors.New("the wrapped key is another one")
	}
	return nil, errors.New("the keyring holds no key that the content key is wrapped for")
}

// Wrap encrypts the content key to every encryption key of the keyring.
func (r *Keyring) Wrap(dek []byte, keyID string) (*Wraps, error) {
	wraps := &Wraps{Format: 1, KeyID: keyID}
	text, err := jose.JSONWebKey{Key: dek, KeyID: keyID}.MarshalJSON()
	if err != nil {
		return nil, err
	}
	for _, k := range r.keys {
		if k.Use != "enc" {
			continue
		}
		to := jose.Recipient{Algorithm: jose.ECDH_ES_A256KW, Key: k.Public().Key, KeyID: k.KeyID}
		e, err := jose.NewEncrypter(jose.A256GCM, to, (&jose.EncrypterOptions{}).WithContentType("jwk+json"))
		if err != nil {
			return nil, err
		}
		sealed, err := e.Encrypt(text)
		if err != nil {
			return nil, err
		}
		compact, err := sealed.CompactSerialize()
		if err != nil {
			return nil, err
		}
		wraps.Recipients = append(wraps.Recipients, Recipient{k.KeyID, compact})
	}
	return wraps, nil
}
