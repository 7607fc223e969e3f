// gojose-jwe writes a whole-file JWE as go-jose makes it, with the JWK that opens it beside it:
// what `ptsecure import` takes in.
//
//	gojose-jwe -alg A256KW -enc A256GCM -form compact -in model.pt -out model.jwe -jwk key.jwk
//	gojose-jwe … -gridfs mongodb://127.0.0.1/models -out model.jwe    into the bucket "fs"
package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

func main() {
	log.SetFlags(0)
	alg := flag.String("alg", "dir", "dir, A256KW, RSA-OAEP-256, ECDH-ES+A256KW, PBES2-HS512+A256KW, …")
	enc := flag.String("enc", "A256GCM", "A256GCM, A256CBC-HS512, …")
	form := flag.String("form", "compact", "compact or json")
	in := flag.String("in", "", "the plaintext")
	out := flag.String("out", "", "the JWE: a file, or a name in GridFS")
	jwk := flag.String("jwk", "", "the file for the private or symmetric JWK")
	gridfs := flag.String("gridfs", "", "a mongodb:// URI with a database: write into its GridFS instead")
	p2c := flag.Int("p2c", 0, "PBES2 iterations; 0 = go-jose's default")
	zip := flag.Bool("zip", false, "compress with DEFLATE")
	flag.Parse()
	if err := run(*alg, *enc, *form, *in, *out, *jwk, *gridfs, *p2c, *zip); err != nil {
		log.Fatal(err)
	}
}

func run(alg, enc, form, in, out, jwkFile, gridfs string, p2c int, zip bool) error {
	plain, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	key, recipient, err := newKey(jose.KeyAlgorithm(alg), jose.ContentEncryption(enc))
	if err != nil {
		return err
	}
	recipient.PBES2Count = p2c
	opts := &jose.EncrypterOptions{}
	if zip {
		opts.Compression = jose.DEFLATE
	}
	encrypter, err := jose.NewEncrypter(jose.ContentEncryption(enc), recipient, opts)
	if err != nil {
		return err
	}
	sealed, err := encrypter.Encrypt(plain)
	if err != nil {
		return err
	}
	text, err := serialize(sealed, form)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(jwkFile, encoded, 0o600); err != nil {
		return err
	}
	if gridfs != "" {
		return upload(gridfs, out, []byte(text))
	}
	return os.WriteFile(out, []byte(text), 0o600)
}

func serialize(sealed *jose.JSONWebEncryption, form string) (string, error) {
	switch form {
	case "compact":
		return sealed.CompactSerialize()
	case "json":
		return sealed.FullSerialize(), nil
	}
	return "", fmt.Errorf("-form is compact or json, not %q", form)
}

// newKey makes a key that fits the algorithm: the JWK to keep, and the recipient that encrypts to it.
func newKey(alg jose.KeyAlgorithm, enc jose.ContentEncryption) (jose.JSONWebKey, jose.Recipient, error) {
	switch {
	case alg == jose.DIRECT:
		size := map[jose.ContentEncryption]int{
			jose.A128GCM: 16, jose.A192GCM: 24, jose.A256GCM: 32,
			jose.A128CBC_HS256: 32, jose.A192CBC_HS384: 48, jose.A256CBC_HS512: 64,
		}[enc]
		return symmetric(alg, random(size))
	case strings.HasPrefix(string(alg), "PBES2"):
		// The password's bytes are the key of an `oct` JWK.
		return symmetric(alg, []byte(base64.RawURLEncoding.EncodeToString(random(24))))
	case strings.HasPrefix(string(alg), "RSA"):
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return jose.JSONWebKey{}, jose.Recipient{}, err
		}
		return asymmetric(alg, private, &private.PublicKey)
	case strings.HasPrefix(string(alg), "ECDH"):
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return jose.JSONWebKey{}, jose.Recipient{}, err
		}
		return asymmetric(alg, private, &private.PublicKey)
	}
	bits := map[string]int{"A128": 16, "A192": 24, "A256": 32}[string(alg)[:min(4, len(alg))]]
	if bits == 0 {
		return jose.JSONWebKey{}, jose.Recipient{}, fmt.Errorf("no key for -alg %q", alg)
	}
	return symmetric(alg, random(bits))
}

func symmetric(alg jose.KeyAlgorithm, key []byte) (jose.JSONWebKey, jose.Recipient, error) {
	jwk := jose.JSONWebKey{Key: key, KeyID: "the-key", Algorithm: string(alg)}
	return jwk, jose.Recipient{Algorithm: alg, Key: key, KeyID: "the-key"}, nil
}

func asymmetric(alg jose.KeyAlgorithm, private, public any) (jose.JSONWebKey, jose.Recipient, error) {
	jwk := jose.JSONWebKey{Key: private, Algorithm: string(alg), Use: "enc"}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return jwk, jose.Recipient{}, err
	}
	jwk.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return jwk, jose.Recipient{Algorithm: alg, Key: public, KeyID: jwk.KeyID}, nil
}

func random(size int) []byte {
	b := make([]byte, size)
	rand.Read(b) // never fails
	return b
}

func upload(uri, name string, content []byte) error {
	ctx := context.Background()
	where, err := connstring.ParseAndValidate(uri)
	if err != nil {
		return err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	defer client.Disconnect(ctx)
	_, err = client.Database(where.Database).GridFSBucket().UploadFromStream(ctx, name, bytes.NewReader(content))
	return err
}
