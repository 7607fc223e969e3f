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

func open(s sealed.Store, keys *sealed.Keyring, name string, version int64) (*sealed.Manifest, []byte, error) {
	var manifest sealed.Manifest
	var record sealed.KeyRecord
	var wraps sealed.Wraps
	id, err := s.ID()
	if err != nil {
		return nil, nil, err
	}
	token, err := s.Manifest(name, version)
	if err == nil {
		err = keys.Verify(token, "manifest", &manifest, "manifest")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the manifest: %w", err)
	}
	if manifest.Store != id || manifest.Name != name || manifest.Version != version || len(manifest.Payloads) == 0 {
		return nil, nil, errors.New("this manifest is another version's")
	}
	entry := manifest.Payloads[0]
	if token, err = s.LastKeyRecord(entry.KeyID); err == nil {
		err = keys.Verify(token, "key", &record, "key", "manifest")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the key's record: %w", err)
	}
	text, err := s.Wraps(entry.KeyID, record.Body.WrapsSequence)
	if err != nil {
		return nil, nil, err
	}
	if record.Body.Status != "enabled" || sealed.SHA256([]byte(text)) != record.Body.Wraps {
		return nil, nil, errors.New("the key is not enabled, or its wrapped keys are others")
	}
	if err := json.Unmarshal([]byte(text), &wraps); err != nil {
		return nil, nil, err
	}
	dek, err := keys.Unwrap(wraps.Recipients, entry.KeyID)
	if err != nil {
		return nil, nil, err
	}
	payload, err := s.Blob(entry.SealedName, entry.SealedVersion, "model")
	if err != nil {
		return nil, nil, err
	}
	digests, err := s.Blob(entry.SealedName, entry.SealedVersion, "model.digests")
	if err != nil {
		return nil, nil, err
	}
	plain, err := sealed.Unseal(entry, dek, payload, digests)
	return &manifest, plain, err
}

func run(uri, reference, keyring, out string) error {
	keys, err := sealed.Load(keyring)
	if err != nil {
		return err
	}
	s, err := sealed.OpenStore(uri)
	if err != nil {
		return err
	}
	name, number, _ := strings.Cut(reference, "/")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return err
	}
	manifest, plain, err := open(s, keys, name, version)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(manifest, "", " ")
	if err != nil {
		return err
	}
	fmt.Println(string(text))
	return os.WriteFile(out, plain, 0o600)
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: open STORE NAME/VERSION KEYS OUT")
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		log.Fatal(err)
	}
}
