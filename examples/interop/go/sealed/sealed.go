// Package sealed is the formats of docs/format.md with stock libraries: Tink for payloads, go-jose for
// the rest, and the MongoDB driver.
package sealed

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"

	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"
)

const Segment = 1 << 20

// Of a segment, when it is hashed.
const piece = 1 << 15

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

// Record is one of a chain of signed records: about a content key, or of the store's log.
type Record[Body any] struct {
	Format   int      `json:"ptsecure"`
	Store    string   `json:"store"`
	Chain    []string `json:"chain"`
	Sequence int64    `json:"sequence"`
	Previous *string  `json:"previous"` // SHA256 of the record before
	Time     string   `json:"time"`
	Reason   string   `json:"reason"`
	Body     Body     `json:"body"`
}

// LogBody announces a change, or confirms the one with that sequence.
type LogBody struct {
	What     string `json:"what"`
	Name     string `json:"name"`
	Version  int64  `json:"version,omitempty"`
	Manifest string `json:"manifest,omitempty"`
	Confirms int64  `json:"confirms,omitempty"`
}

// KeyBody is the status of a content key, and where its wrapped keys are.
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

// Must ends the program on an error.
func Must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
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

// Digests are those of the stored segments.
func Digests(payload []byte) []byte {
	var out []byte
	for segment := range slices.Chunk(payload, Segment) {
		whole := sha256.New()
		for part := range slices.Chunk(segment, piece) {
			sum := sha256.Sum256(part)
			whole.Write(sum[:])
		}
		out = whole.Sum(out)
	}
	return out
}

// aead is Tink's AES256_GCM_HKDF_1MB.
func aead(dek []byte) (*subtle.AESGCMHKDF, error) {
	return subtle.NewAESGCMHKDF(dek, "SHA256", 32, Segment, 0)
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
		return nil, errors.New("the payload's segments are not the signed ones")
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
