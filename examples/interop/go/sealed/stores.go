package sealed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

// Store is a folder or a database.
type Store interface {
	ID() (string, error)
	Manifest(name string, version int64) (string, error)
	LastKeyRecord(keyID string) (string, error)
	Wraps(keyID string, sequence int64) (string, error)
	Blob(name string, version int64, role string) ([]byte, error)
	// Create makes a new store with one model's first version in it.
	Create(id string, v Version) error
}

// Version is all that is stored of a model's version 1 in a new store.
type Version struct {
	Name, KeyID      string
	Payload, Digests []byte
	Wraps, Manifest  string
	KeyRecord        string
	Log              []string // its first records
}

// OpenStore takes a folder, or a mongodb:// URI with a database.
func OpenStore(uri string) (Store, error) {
	if !strings.HasPrefix(uri, "mongodb") {
		return folder(uri), nil
	}
	where, err := connstring.ParseAndValidate(uri)
	if err != nil {
		return nil, err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return nil, err
	}
	return database{client.Database(where.Database)}, nil
}

type folder string

func (f folder) read(parts ...string) (string, error) {
	text, err := os.ReadFile(filepath.Join(append([]string{string(f)}, parts...)...))
	return string(text), err
}

func (f folder) ID() (string, error) {
	var marker struct{ ID string }
	text, err := f.read("ptsecure-store.json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &marker)
	}
	return marker.ID, err
}

func (f folder) Manifest(name string, version int64) (string, error) {
	return f.read("models", name, fmt.Sprint(version), "manifest.jws")
}

func (f folder) LastKeyRecord(keyID string) (string, error) {
	entries, err := filepath.Glob(filepath.Join(string(f), "records", "key", keyID, "*.jws"))
	if err != nil {
		return "", err
	}
	return f.read("records", "key", keyID, fmt.Sprintf("%d.jws", len(entries))) // they are 1, 2, 3, ...
}

func (f folder) Wraps(keyID string, sequence int64) (string, error) {
	return f.read("wraps", keyID, fmt.Sprintf("%d.json", sequence))
}

func (f folder) Blob(name string, version int64, role string) ([]byte, error) {
	text, err := f.read("models", name, fmt.Sprint(version), role)
	return []byte(text), err
}

func (f folder) Create(id string, v Version) error {
	marker := fmt.Sprintf(`{"format":"ptsecure/1","id":"%s"}`+"\n", id)
	type file struct{ path, content string }
	files := []file{
		{"ptsecure-store.json", marker},
		// No two names in a folder differ only in case.
		{"models/.names/" + strings.ToLower(v.Name), v.Name},
		{"records/.names/key", "key"},
		{"records/.names/log", "log"},
		{"records/key/.names/" + v.KeyID, v.KeyID},
		{"models/" + v.Name + "/1/model", string(v.Payload)},
		{"models/" + v.Name + "/1/model.digests", string(v.Digests)},
		{"wraps/" + v.KeyID + "/1.json", v.Wraps},
		{"records/key/" + v.KeyID + "/1.jws", v.KeyRecord},
	}
	for i, record := range v.Log {
		files = append(files, file{fmt.Sprintf("records/log/%d.jws", i+1), record})
	}
	files = append(files, file{"models/" + v.Name + "/1/manifest.jws", v.Manifest}) // the commit
	for _, file := range files {
		path := filepath.Join(string(f), file.path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(file.content), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

type database struct{ *mongo.Database }

// field is a field of the one document, or of the last by sequence.
func (d database) field(collection, field string, filter bson.M) (string, error) {
	last := options.FindOne().SetSort(bson.M{"sequence": -1})
	row, err := d.Collection("ptsecure."+collection).FindOne(context.Background(), filter, last).Raw()
	if err != nil {
		return "", err
	}
	text, ok := row.Lookup(field).StringValueOK()
	if !ok {
		return "", fmt.Errorf("a document in ptsecure.%s has no %s", collection, field)
	}
	return text, nil
}

func (d database) ID() (string, error) { return d.field("meta", "id", bson.M{"_id": "store"}) }

func (d database) Manifest(name string, version int64) (string, error) {
	return d.field("versions", "manifest", bson.M{"name": name, "version": version, "state": "committed"})
}

func (d database) LastKeyRecord(keyID string) (string, error) {
	return d.field("records", "record", bson.M{"chain": "key/" + keyID})
}

func (d database) Wraps(keyID string, sequence int64) (string, error) {
	return d.field("wraps", "wraps", bson.M{"key_id": keyID, "sequence": sequence})
}

func (d database) Blob(name string, version int64, role string) ([]byte, error) {
	bucket := d.GridFSBucket(options.GridFSBucket().SetName("ptsecure.payloads"))
	stream, err := bucket.OpenDownloadStreamByName(context.Background(), fmt.Sprintf("%s/%d/%s", name, version, role))
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	return io.ReadAll(stream)
}

func (d database) Create(id string, v Version) error {
	ctx, now := context.Background(), time.Now()
	bucket := d.GridFSBucket(options.GridFSBucket().SetName("ptsecure.payloads"))
	for role, content := range map[string][]byte{"model": v.Payload, "model.digests": v.Digests} {
		file := fmt.Sprintf("%s/1/%s", v.Name, role)
		about := options.GridFSUpload().SetChunkSizeBytes(Segment).SetMetadata(bson.M{"name": v.Name, "version": int64(1), "role": role})
		if err := bucket.UploadFromStreamWithID(ctx, file, file, bytes.NewReader(content), about); err != nil {
			return err
		}
	}
	type entry struct {
		collection string
		document   bson.M
	}
	record := func(parent, leaf string, sequence int, text string) entry {
		chain := strings.TrimPrefix(parent+"/"+leaf, "/")
		return entry{"records", bson.M{"_id": fmt.Sprintf("%s/%d", chain, sequence), "chain": chain, "parent": parent, "leaf": leaf,
			"sequence": int64(sequence), "record": text}}
	}
	documents := []entry{
		{"names", bson.M{"_id": strings.ToLower(v.Name), "name": v.Name, "last": int64(1)}},
		{"chains", bson.M{"_id": "key/" + v.KeyID, "parent": "key", "leaf": v.KeyID, "format": 1}},
		{"chains", bson.M{"_id": "log", "parent": "", "leaf": "log", "format": 1}},
		{"wraps", bson.M{"_id": v.KeyID + "/1", "key_id": v.KeyID, "sequence": int64(1), "wraps": v.Wraps}},
		record("key", v.KeyID, 1, v.KeyRecord),
		{"versions", bson.M{"_id": v.Name + "/1", "name": v.Name, "version": int64(1), "state": "committed", "manifest": v.Manifest, "created": now, "changed": now}},
		{"meta", bson.M{"_id": "store", "format": 1, "id": id}},
	}
	for i, text := range v.Log {
		documents = append(documents, record("", "log", i+1, text))
	}
	for _, entry := range documents {
		if _, err := d.Collection("ptsecure."+entry.collection).InsertOne(ctx, entry.document); err != nil {
			return err
		}
	}
	return nil
}
