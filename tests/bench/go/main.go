// What Go users put together today: a JWE (A256KW + A256GCM) of the model in GridFS, opened with the
// official MongoDB driver and go-jose. The model isn't even loaded: there is no torch in Go.
//
//	bench-go-peer KEY URI DATABASE    prints what downloading and decrypting cost, as JSON
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func open(keyFile, uri, database string) (int, time.Duration, error) {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return 0, 0, err
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(text); err != nil {
		return 0, 0, err
	}
	if before := os.Getenv("PTSECURE_BENCH_BEFORE"); before != "" {
		if err := exec.Command("sh", "-c", before).Run(); err != nil {
			return 0, 0, err
		}
	}
	begin := time.Now()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return 0, 0, err
	}
	var token bytes.Buffer
	bucket := client.Database(database).GridFSBucket()
	if _, err := bucket.DownloadToStreamByName(context.Background(), "model.jwe", &token); err != nil {
		return 0, 0, err
	}
	parsed, err := jose.ParseEncryptedCompact(token.String(),
		[]jose.KeyAlgorithm{jose.A256KW}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return 0, 0, err
	}
	model, err := parsed.Decrypt(key.Key)
	return len(model), time.Since(begin), err
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: bench-go-peer KEY URI DATABASE")
		os.Exit(2)
	}
	size, duration, err := open(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-go-peer:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": duration.Seconds(), "bytes": size})
}
