package ptsecure

import (
	"bytes"
	"context"
	"encoding/hex"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// ImportSource is where the text of a JWE comes from: [File], [Bytes], [Reader] or a [GridFSFile].
type ImportSource interface {
	importJWE(s *raw.Store, name string, opening raw.Opening, keys *raw.Keyring, o *raw.PublishOptions, c *raw.Callbacks) (uint64, error)
}

// GridFSFile is a file in a MongoDB database's GridFS, which is only read.
type GridFSFile struct {
	URI      string // mongodb:// or mongodb+srv://, naming the database
	Bucket   string // "" = "fs"
	Filename string // the newest file of that name; or else
	ID       string // the file with this _id: an ObjectId as 24 hex digits, or a text
	// JWKFilename is the file in the same bucket that holds the JWK; then none is given, and
	// [WithPlaintextSHA256] is needed: whoever can write there can have made both.
	JWKFilename string
}

// WithPlaintextSHA256 refuses an imported model with another SHA-256 (ErrCorrupt). An import with an RSA
// or EC key needs it, because anybody with its public part can have made the JWE. For Import alone.
func WithPlaintextSHA256(digest [32]byte) PublishOption {
	return publishOption(func(o *publishOptions) { o.sha256 = hex.EncodeToString(digest[:]) })
}

// Import publishes the model that a JWE (RFC 7516) of a whole file holds, as go-jose or another JOSE
// library makes it, compact or JSON, as the next version of name. jwk is the private or symmetric JWK in
// JSON that opens it; for PBES2 an oct key whose bytes are the passphrase. The text is read as a stream
// and decrypted to memory; nothing is inspected or stored before its tag or MAC holds. Options and
// results are those of [Store.Publish].
func (s *Store) Import(ctx context.Context, name string, source ImportSource, jwk []byte, keys *Keyring, options ...PublishOption) (uint64, error) {
	if source == nil {
		return 0, newError(ErrInvalidArgument, "a source is needed, not nil")
	}
	return s.write(ctx, keys, options, func(object *raw.Store, ring *raw.Keyring, o *publishOptions, c *raw.Callbacks) (uint64, error) {
		return source.importJWE(object, name, raw.Opening{JWK: jwk, SHA256: o.sha256}, ring, &o.raw, c)
	})
}

func (path fileSource) importJWE(s *raw.Store, name string, opening raw.Opening, keys *raw.Keyring, o *raw.PublishOptions, c *raw.Callbacks) (uint64, error) {
	return raw.StoreImportFile(s, name, string(path), opening, keys, o, c)
}

func (b bytesSource) importJWE(s *raw.Store, name string, opening raw.Opening, keys *raw.Keyring, o *raw.PublishOptions, c *raw.Callbacks) (uint64, error) {
	return readerSource{bytes.NewReader(b), int64(len(b))}.importJWE(s, name, opening, keys, o, c)
}

func (source readerSource) importJWE(s *raw.Store, name string, opening raw.Opening, keys *raw.Keyring, o *raw.PublishOptions, c *raw.Callbacks) (uint64, error) {
	if err := source.reads(c); err != nil {
		return 0, err
	}
	return raw.StoreImportRead(s, name, uint64(source.size), opening, keys, o, c)
}

func (file GridFSFile) importJWE(s *raw.Store, name string, opening raw.Opening, keys *raw.Keyring, o *raw.PublishOptions, c *raw.Callbacks) (uint64, error) {
	return raw.StoreImportGridFS(s, name, raw.GridFSFile(file), opening, keys, o, c)
}
