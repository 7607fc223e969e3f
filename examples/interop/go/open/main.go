// Opens a sealed model without ptsecure: open STORE NAME/VERSION KEYS OUT
//
// STORE is a folder, or a mongodb:// URI with a database. Prints the manifest; OUT is the model file.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"interop/sealed"
)

func open(s sealed.Store, keys *sealed.Keyring, name string, version int64) (manifest sealed.Manifest, plain []byte, err error) {
	token := sealed.Must(s.Manifest(name, version))
	if err := keys.Verify(token, "manifest", &manifest, "manifest"); err != nil {
		return manifest, nil, fmt.Errorf("the manifest: %w", err)
	}
	id := sealed.Must(s.ID())
	if manifest.Store != id || manifest.Name != name || manifest.Version != version || len(manifest.Payloads) == 0 {
		return manifest, nil, errors.New("this manifest is another version's")
	}
	// The last one is the version's own: weights, where it shares another version's program.
	entry := manifest.Payloads[len(manifest.Payloads)-1]
	var record sealed.Record[sealed.KeyBody]
	token = sealed.Must(s.LastKeyRecord(entry.KeyID))
	if err := keys.Verify(token, "key", &record, "key", "manifest"); err != nil {
		return manifest, nil, fmt.Errorf("the key's record: %w", err)
	}
	text := []byte(sealed.Must(s.Wraps(entry.KeyID, record.Body.WrapsSequence)))
	if record.Body.Status != "enabled" || sealed.SHA256(text) != record.Body.Wraps {
		return manifest, nil, errors.New("the key is not enabled, or its wrapped keys are others")
	}
	var wraps sealed.Wraps
	if err := json.Unmarshal(text, &wraps); err != nil {
		return manifest, nil, err
	}
	dek := sealed.Must(keys.Unwrap(wraps.Recipients, entry.KeyID))
	payload := sealed.Must(s.Blob(entry.SealedName, entry.SealedVersion, entry.Role))
	digests := sealed.Must(s.Blob(entry.SealedName, entry.SealedVersion, entry.Role+".digests"))
	plain, err = sealed.Unseal(entry, dek, payload, digests)
	return manifest, plain, err
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: open STORE NAME/VERSION KEYS OUT")
	}
	s, keys := sealed.Must(sealed.OpenStore(os.Args[1])), sealed.Must(sealed.Load(os.Args[3]))
	name, number, _ := strings.Cut(os.Args[2], "/")
	manifest, plain, err := open(s, keys, name, sealed.Must(strconv.ParseInt(number, 10, 64)))
	if err == nil {
		err = os.WriteFile(os.Args[4], plain, 0o600)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(sealed.Must(json.MarshalIndent(manifest, "", " "))))
}
