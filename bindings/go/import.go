package ptsecure

import (
	"context"
	"encoding/hex"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// WithPlaintextSHA256 refuses an imported model with another SHA-256 (ErrCorrupt). An import with an RSA
// or EC key needs it, because anybody with its public part can have made the JWE; so does one whose JWK lies in GridFS,
// because whoever can write there can have made both. For Import alone.
func WithPlaintextSHA256(digest [32]byte) PublishOption {
	return publishOption(func(o *publishOptions) { o.sha256 = hex.EncodeToString(digest[:]) })
}

// Import publishes the model that a JWE (RFC 7516) of a whole file holds, as go-jose or another JOSE
// library makes it, compact or JSON, as the next version of name. jwk holds the private or symmetric JWK in
// JSON that opens it; for PBES2 an oct key whose bytes are the passphrase. The text is read as a stream
// and decrypted to memory; nothing is inspected or stored before its tag or MAC holds. Options and
// results are those of [Store.Publish].
func (s *Store) Import(ctx context.Context, name string, source, jwk Source, keys *Keyring, options ...PublishOption) (uint64, error) {
	return s.write(ctx, keys, options, func(object *raw.Store, ring *raw.Keyring, o *publishOptions, with raw.Call) (uint64, error) {
		from, err := opened(source, "a source", with.Callbacks)
		if err != nil {
			return 0, err
		}
		defer raw.SourceDestroy(from)
		key, err := opened(jwk, "the source of a JWK", with.Callbacks)
		if err != nil {
			return 0, err
		}
		defer raw.SourceDestroy(key)
		return raw.StoreImport(object, name, from, key, o.sha256, ring, &o.raw, with)
	})
}
