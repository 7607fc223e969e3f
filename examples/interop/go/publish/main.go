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
	wraps := sealed.Must(json.Marshal(sealed.Must(keys.Wrap(dek, entry.KeyID))))
	manifest := sealed.Manifest{
		Format: 1, Store: storeID, Name: name, Version: 1, Created: now, Kind: "opaque", Payloads: []sealed.Payload{entry},
		Inputs: []any{}, Outputs: []any{}, Labels: map[string]string{},
	}
	keyRecord := sealed.Record[sealed.KeyBody]{
		Format: 1, Store: storeID, Chain: []string{"key", entry.KeyID}, Sequence: 1, Time: now, Reason: "published",
		Body: sealed.KeyBody{Name: name, Version: 1, Status: "enabled", WrapsSequence: 1, Wraps: sealed.SHA256(wraps)},
	}
	// Every change is announced in the log, and confirmed once it has been made.
	change := sealed.Record[sealed.LogBody]{
		Format: 1, Store: storeID, Chain: []string{"log"}, Sequence: 1, Time: now, Reason: "published",
		Body: sealed.LogBody{What: "publish", Name: name, Version: 1, Manifest: sealed.SHA256(sealed.Must(json.Marshal(manifest)))},
	}
	announced := sealed.Must(keys.Sign(change, "log", "log"))
	previous := sealed.SHA256([]byte(announced))
	change.Sequence, change.Previous = 2, &previous
	change.Body = sealed.LogBody{What: "done", Name: name, Confirms: 1}
	return store.Create(storeID, sealed.Version{
		Name: name, KeyID: entry.KeyID, Payload: payload, Digests: sealed.Digests(payload), Wraps: string(wraps),
		KeyRecord: sealed.Must(keys.Sign(keyRecord, "key", "manifest")),
		Manifest:  sealed.Must(keys.Sign(manifest, "manifest", "manifest")),
		Log:       []string{announced, sealed.Must(keys.Sign(change, "log", "log"))},
	})
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: publish FILE NAME KEYS STORE")
	}
	plain, keys, store := sealed.Must(os.ReadFile(os.Args[1])), sealed.Must(sealed.Load(os.Args[3])), sealed.Must(sealed.OpenStore(os.Args[4]))
	if err := publish(plain, os.Args[2], keys, store); err != nil {
		log.Fatal(err)
	}
}
