package sealed

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

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
