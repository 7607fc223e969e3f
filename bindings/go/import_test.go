package ptsecure_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ptsecure/ptsecure/bindings/go"
)

var b64 = base64.RawURLEncoding.EncodeToString

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// compact is a JWE with A256GCM by the standard library alone.
func compact(t testing.TB, header string, wrapped, cek, plain []byte) []byte {
	block := must(aes.NewCipher(cek))(t)
	gcm := must(cipher.NewGCM(block))(t)
	protected, iv := b64([]byte(header)), randomBytes(12)
	sealed := gcm.Seal(nil, iv, plain, []byte(protected))
	split := len(sealed) - 16
	return []byte(strings.Join([]string{protected, b64(wrapped), b64(iv), b64(sealed[:split]), b64(sealed[split:])}, "."))
}

// direct is a JWE and the JWK that opens it.
func direct(t testing.TB, plain []byte) (jwe, jwk []byte) {
	key := randomBytes(32)
	return compact(t, `{"alg":"dir","enc":"A256GCM"}`, nil, key, plain), fmt.Appendf(nil, `{"kty":"oct","k":%q}`, b64(key))
}

func byRSA(t testing.TB, plain []byte) (jwe, jwk []byte) {
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	key.Precompute()
	cek := randomBytes(32)
	wrapped := must(rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, cek, nil))(t)
	number := func(n *big.Int) string { return b64(n.Bytes()) }
	return compact(t, `{"alg":"RSA-OAEP-256","enc":"A256GCM"}`, wrapped, cek, plain),
		fmt.Appendf(nil, `{"kty":"RSA","n":%q,"e":"AQAB","d":%q,"p":%q,"q":%q,"dp":%q,"dq":%q,"qi":%q}`, number(key.N), number(key.D),
			number(key.Primes[0]), number(key.Primes[1]), number(key.Precomputed.Dp), number(key.Precomputed.Dq), number(key.Precomputed.Qinv))
}

func decrypted(t testing.TB, store *ptsecure.Store, reference string, keys *ptsecure.Keyring) []byte {
	pkg := must(store.Fetch(background, reference, keys))(t)
	defer pkg.Close()
	var plain bytes.Buffer
	ok(t, pkg.Stream(background, &plain))
	return plain.Bytes()
}

func TestImport(t *testing.T) {
	leakless(t)
	store, keys := openStore(t, t.TempDir()), newKeys(t)
	model := must(os.ReadFile(digits))(t)
	jwe, jwk := direct(t, model)
	file := filepath.Join(t.TempDir(), "digits.jwe")
	ok(t, os.WriteFile(file, jwe, 0o600))
	var done uint64
	for i, source := range []ptsecure.Source{
		ptsecure.File(file), ptsecure.Bytes(jwe), ptsecure.Reader(bytes.NewReader(jwe), int64(len(jwe))),
	} {
		version := must(store.Import(background, "digits", source, ptsecure.Bytes(jwk), keys, sample(), ptsecure.WithAlias("production"),
			ptsecure.WithProgress(func(d, _ uint64) { done = d })))(t)
		if version != uint64(i+1) || done != uint64(len(model)) {
			t.Fatal(version, done)
		}
	}
	imported := must(store.Load(background, "digits@production", keys))(t)
	closing(t, imported)
	must(imported.Infer(background, ptsecure.NewTensor(pictures(1), 1, 1, 8, 8)))(t)

	plain := randomBytes(100_000)
	jwe, jwk = byRSA(t, plain)
	opaque := ptsecure.WithFormat("opaque")
	must(store.Import(background, "m", ptsecure.Bytes(jwe), ptsecure.Bytes(jwk), keys, opaque, ptsecure.WithPlaintextSHA256(sha256.Sum256(plain))))(t)
	if !bytes.Equal(decrypted(t, store, "m", keys), plain) {
		t.Fatal("imported something else")
	}
}

func TestBadImports(t *testing.T) {
	leakless(t)
	store, keys := openStore(t, t.TempDir()), newKeys(t)
	plain := randomBytes(100_000)
	jwe, ownKey := direct(t, plain)
	_, otherKey := direct(t, plain)
	byOther, privateKey := byRSA(t, plain)
	jwk, other, rsaKey := ptsecure.Bytes(ownKey), ptsecure.Bytes(otherKey), ptsecure.Bytes(privateKey)
	digest := ptsecure.WithPlaintextSHA256(sha256.Sum256(plain))
	wrong := ptsecure.WithPlaintextSHA256([32]byte{})
	flipped := bytes.Clone(jwe)
	flipped[len(jwe)/2] ^= 1
	verifier := must(keys.Split(ptsecure.Verifier))(t)
	closing(t, verifier)
	nothing := ptsecure.WithLabels(nil)
	for name, test := range map[string]struct {
		source ptsecure.Source
		jwk    ptsecure.Source
		keys   *ptsecure.Keyring
		option ptsecure.PublishOption
		status ptsecure.Status
	}{
		"no source":    {nil, jwk, keys, nothing, ptsecure.ErrInvalidArgument},
		"no reader":    {ptsecure.Reader(nil, 3), jwk, keys, nothing, ptsecure.ErrInvalidArgument},
		"no file":      {ptsecure.File("there/is/none"), jwk, keys, nothing, ptsecure.ErrNotFound},
		"NUL":          {ptsecure.File("a\x00b"), jwk, keys, nothing, ptsecure.ErrInvalidArgument},
		"empty":        {ptsecure.Bytes(nil), jwk, keys, nothing, ptsecure.ErrCorrupt},
		"no JWE":       {ptsecure.Bytes(plain), jwk, keys, nothing, ptsecure.ErrCorrupt},
		"truncated":    {ptsecure.Bytes(jwe[:len(jwe)/2]), jwk, keys, nothing, ptsecure.ErrCorrupt},
		"flipped":      {ptsecure.Bytes(flipped), jwk, keys, nothing, ptsecure.ErrCorrupt},
		"short":        {ptsecure.Reader(bytes.NewReader(jwe), int64(len(jwe))+1), jwk, keys, nothing, ptsecure.ErrIO},
		"no JWK":       {ptsecure.Bytes(jwe), nil, keys, nothing, ptsecure.ErrInvalidArgument},
		"empty JWK":    {ptsecure.Bytes(jwe), ptsecure.Bytes(nil), keys, nothing, ptsecure.ErrCorrupt},
		"other JWK":    {ptsecure.Bytes(jwe), other, keys, nothing, ptsecure.ErrCorrupt},
		"RSA JWK":      {ptsecure.Bytes(jwe), rsaKey, keys, digest, ptsecure.ErrNoKey},
		"no digest":    {ptsecure.Bytes(byOther), rsaKey, keys, nothing, ptsecure.ErrInvalidArgument},
		"wrong digest": {ptsecure.Bytes(byOther), rsaKey, keys, wrong, ptsecure.ErrCorrupt},
		"verifier":     {ptsecure.Bytes(jwe), jwk, verifier, nothing, ptsecure.ErrNoKey},
		"no keyring":   {ptsecure.Bytes(jwe), jwk, nil, nothing, ptsecure.ErrInvalidArgument},
		"no URI":       {ptsecure.GridFSFile{Filename: "x"}, jwk, keys, nothing, ptsecure.ErrInvalidArgument},
		"no MongoDB":   {ptsecure.GridFSFile{URI: "models", Filename: "x"}, jwk, keys, nothing, ptsecure.ErrInvalidArgument},
		"no name":      {ptsecure.GridFSFile{URI: "mongodb://127.0.0.1:1/m"}, jwk, keys, nothing, ptsecure.ErrInvalidArgument},
		"no JWK file":  {ptsecure.Bytes(jwe), ptsecure.File("there/is/none"), keys, nothing, ptsecure.ErrNotFound},
		"vast JWK":     {ptsecure.Bytes(jwe), ptsecure.Bytes(make([]byte, 1<<20)), keys, nothing, ptsecure.ErrLimitExceeded},
		"absent": {ptsecure.GridFSFile{URI: "mongodb://127.0.0.1:1/m?serverSelectionTimeoutMS=50", Filename: "x"}, jwk, keys, nothing,
			ptsecure.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Import(background, "m", test.source, test.jwk, test.keys, ptsecure.WithFormat("opaque"), test.option)
			fails(t, err, test.status, "")
		})
	}
	_, err := store.Publish(background, "m", ptsecure.Bytes(plain), keys, digest)
	fails(t, err, ptsecure.ErrInvalidArgument, "Import")
	ended, cancel := context.WithCancel(background)
	_, err = store.Import(ended, "m", ptsecure.Reader(cancelling{bytes.NewReader(jwe), cancel}, int64(len(jwe))), jwk, keys, ptsecure.WithFormat("opaque"))
	stopped(t, err, context.Canceled)
	why := errors.New("oh")
	func() {
		defer func() {
			if recover() != any(why) {
				t.Error("no panic")
			}
		}()
		store.Import(background, "m", ptsecure.Reader(newRandom(func(int64) { panic(why) }), 9), jwk, keys)
	}()
	if _, err := store.Versions(background, "m", 0, 0); !errors.Is(err, ptsecure.ErrNotFound) {
		t.Fatal("a failed import left something behind: ", err)
	}
}

// cancelling ends a context when it is first read.
type cancelling struct {
	*bytes.Reader
	cancel func()
}

func (c cancelling) ReadAt(p []byte, position int64) (int, error) {
	c.cancel()
	time.Sleep(50 * time.Millisecond) // for the watcher to be told
	return c.Reader.ReadAt(p, position)
}

const putGridFS = `
import sys, gridfs, pymongo
fs = gridfs.GridFSBucket(pymongo.MongoClient(sys.argv[1]).get_default_database(), "sealed")
for path in sys.argv[2:]:
    fs.upload_from_stream(path.rsplit("/", 1)[1], open(path, "rb"))
`

func TestImportFromGridFS(t *testing.T) {
	leakless(t)
	uri, folder := database(t, "go_gridfs"), t.TempDir()
	plain := randomBytes(3_000_000)
	jwe, jwk := direct(t, plain)
	ok(t, os.WriteFile(filepath.Join(folder, "m.jwe"), jwe, 0o600))
	ok(t, os.WriteFile(filepath.Join(folder, "m.jwk"), jwk, 0o600))
	must(python("-c", putGridFS, uri, filepath.Join(folder, "m.jwe"), filepath.Join(folder, "m.jwk")))(t)

	store, keys := openStore(t, t.TempDir()), newKeys(t)
	opaque, key := ptsecure.WithFormat("opaque"), ptsecure.Bytes(jwk)
	file := ptsecure.GridFSFile{URI: uri, Bucket: "sealed", Filename: "m.jwe"}
	must(store.Import(background, "m", file, key, keys, opaque))(t)
	beside := file
	beside.Filename = "m.jwk"
	_, err := store.Import(background, "m", file, beside, keys, opaque)
	fails(t, err, ptsecure.ErrInvalidArgument, "SHA-256")
	must(store.Import(background, "m", file, beside, keys, opaque, ptsecure.WithPlaintextSHA256(sha256.Sum256(plain))))(t)
	for _, version := range []string{"m/1", "m/2"} {
		if !bytes.Equal(decrypted(t, store, version, keys), plain) {
			t.Fatal(version)
		}
	}
	for _, wrong := range []ptsecure.GridFSFile{{URI: uri, Filename: "m.jwe"}, {URI: uri, Bucket: "sealed", Filename: "n.jwe"}, {URI: uri, Bucket: "sealed", ID: "m"}} {
		_, err := store.Import(background, "m", wrong, key, keys, opaque)
		fails(t, err, ptsecure.ErrNotFound, "bucket")
	}
	ended, cancel := context.WithCancel(background)
	cancel()
	_, err = store.Import(ended, "m", file, key, keys, opaque)
	stopped(t, err, context.Canceled)
}
