package ptsecure

import (
	"context"
	"encoding/json"
	"time"

	"github.com/ptsecure/ptsecure/bindings/go/internal/raw"
)

// RollbackAlias points an alias back at a version, or (0) at the one before the present one; doing so
// again goes back further. alias "" = the model's only one. It returns the version.
func (s *Store) RollbackAlias(ctx context.Context, name, alias string, version uint64, reason string, keys *Keyring) (now uint64, err error) {
	err = s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		now, err = raw.StoreRollbackAlias(object, name, alias, version, reason, ring, with)
		return err
	})
	return now, err
}

// DeleteAlias ends an alias by a record that says so; its history stays.
func (s *Store) DeleteAlias(ctx context.Context, name, alias, reason string, keys *Keyring) error {
	return s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) error {
		return raw.StoreDeleteAlias(object, name, alias, reason, ring, with)
	})
}

// Alias returns one alias, verified.
func (s *Store) Alias(ctx context.Context, name, alias string, keys *Keyring) (state Alias, err error) {
	err = s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		state, err = decoded[Alias](raw.StoreShowAlias(object, name, alias, ring, with))
		return err
	})
	return state, err
}

// AliasHistory returns all records of an alias, the oldest first.
func (s *Store) AliasHistory(ctx context.Context, name, alias string, keys *Keyring) (history []Alias, err error) {
	err = s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		history, err = decoded[[]Alias](raw.StoreAliasHistory(object, name, alias, ring, with))
		return err
	})
	return history, err
}

// LogRecord is a record of the store's log; members that don't apply are empty.
type LogRecord struct {
	Sequence      uint64    `json:"sequence"`
	What          string    `json:"what"` // "publish", "alias", "alias-delete", "key", "apikey" or "done"
	Name          string    `json:"name"`
	Version       uint64    `json:"version"`
	Alias         string    `json:"alias"`
	Manifest      string    `json:"manifest"`
	ChainSequence uint64    `json:"chain_sequence"`
	Confirms      uint64    `json:"confirms"` // of "done": the record whose change was made
	Time          time.Time `json:"time"`
	Reason        string    `json:"reason"`
	Signer        string    `json:"signer"`
	SignerTrusted bool      `json:"signer_trusted"`
	Record        string    `json:"record"`
}

// Log returns the store's log from a record on, at most limit records (0 = all), verified.
func (s *Store) Log(ctx context.Context, keys *Keyring, first, limit uint64) (log []LogRecord, err error) {
	err = s.with(ctx, keys, nil, func(object *raw.Store, ring *raw.Keyring, with raw.Call) (err error) {
		log, err = decoded[[]LogRecord](raw.StoreLog(object, ring, first, limit, with))
		return err
	})
	return log, err
}

// VerifyLog verifies the whole log, and that the store is as it says. head is one that is known
// ("SEQUENCE:DIGEST" as the finding "log head" gives it), or "".
func (s *Store) VerifyLog(ctx context.Context, keys *Keyring, head string) ([]Check, error) {
	var checks []Check
	callbacks := &raw.Callbacks{Check: collect(&checks)}
	err := s.with(ctx, keys, callbacks, func(object *raw.Store, ring *raw.Keyring, with raw.Call) error {
		return raw.StoreVerifyLog(object, ring, head, with)
	})
	return checks, err
}

// DefaultStatePath is where the command keeps its state file. The library uses none unasked.
func DefaultStatePath() (string, error) {
	path, err := raw.StateDefaultPath()
	return string(path), wrap(context.Background(), err)
}

// ShowState is the JSON of a state file.
func ShowState(path string) (json.RawMessage, error) {
	text, err := raw.StateShow(path)
	return text, wrap(context.Background(), err)
}

// ResetState forgets a store, by its URI or its id, or everything ("").
func ResetState(path, store string) error {
	return wrap(context.Background(), raw.StateReset(path, store))
}
