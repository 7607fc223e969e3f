// Seals a file into a new store without ptsecure: publish FILE NAME KEYS STORE
//
// STORE is a folder, or a mongodb:// URI with a database. The result is version 1 of NAME, opaque bytes,
// which ptsecure opens.
package main

import (
	"crypto/rand"
	"encoding/json"
	"log"
	"os"
	"time"

	"interop/sealed"
)

func publish(plain []byte, name string, keys *sealed.Keyring, store sealed.Store) error {
	id := make([]byte, 16)
	rand.Read(id)
	storeID, now := sealed.Base64(id), time.Now().UTC().Format(time.RFC3339)
	entry, dek, payload, err := sealed.Seal(plain, name, 1)
	if err != nil {
		return err
	}
	wrapped, err := keys.Wrap(dek, entry.KeyID)
	if err != nil {
		return err
	}
	wraps, err := json.Marshal(wrapped)
	if err != nil {
		return err
	}
	record, err := keys.Sign(sealed.KeyRecord{
		Format: 1, Store: storeID, Chain: []string{"key", entry.KeyID}, Sequence: 1, Time: now, Reason: "published",
		Body: sealed.KeyBody{Name: name, Version: 1, Status: "enabled", WrapsSequence: 1, Wraps: sealed.SHA256(wraps)},
	}, "key", "manifest")
	if err != nil {
		return err
	}
	manifest, err := keys.Sign(sealed.Manifest{
		Format: 1, Store: storeID, Name: name, Version: 1, Created: now, Kind: "opaque", Payloads: []sealed.Payload{entry},
		Inputs: []any{}, Outputs: []any{}, Labels: map[string]string{},
	}, "manifest", "manifest")
	if err != nil {
		return err
	}
	return store.Create(storeID, sealed.Version{
		Name: name, KeyID: entry.KeyID, Payload: payload, Digests: sealed.Digests(payload),
		Wraps: string(wraps), KeyRecord: record, Manifest: manifest,
	})
}

func run(file, name, keyring, uri string) error {
	plain, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	keys, err := sealed.Load(keyring)
	if err != nil {
		return err
	}
	store, err := sealed.OpenStore(uri)
	if err != nil {
		return err
	}
	return publish(plain, name, keys, store)
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: publish FILE NAME KEYS STORE")
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		log.Fatal(err)
	}
}
