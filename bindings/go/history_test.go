package ptsecure_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/ptsecure/ptsecure/bindings/go"
)

func TestHistory(t *testing.T) {
	leakless(t)
	ctx, state := background, filepath.Join(t.TempDir(), "state.json")
	store, keys := openStore(t, t.TempDir(), ptsecure.WithState(state)), newKeys(t)
	for range 2 {
		must(store.Publish(ctx, "m", ptsecure.Bytes(nil), keys, ptsecure.WithFormat("opaque"), ptsecure.WithAlias("production")))(t)
	}
	if version := must(store.RollbackAlias(ctx, "m", "", 0, "it broke", keys))(t); version != 1 {
		t.Fatal(version)
	}
	alias := must(store.Alias(ctx, "m", "production", keys))(t)
	if alias.Version != 1 || alias.Sequence != 3 || alias.Reason != "it broke" || !alias.SignerTrusted {
		t.Fatalf("%+v", alias)
	}
	closing(t, must(store.Fetch(ctx, "m@production", keys, ptsecure.WithManifest(alias.Manifest), ptsecure.WithMinSequence(3), ptsecure.WithMaxAge(time.Hour)))(t))
	_, err := store.Fetch(ctx, "m@production", keys, ptsecure.WithMinSequence(4))
	fails(t, err, ptsecure.ErrRollback, "")
	_, err = store.Fetch(ctx, "m/2", keys, ptsecure.WithManifest(alias.Manifest))
	fails(t, err, ptsecure.ErrRollback, "")
	ok(t, store.DeleteAlias(ctx, "m", "production", "gone", keys))
	history := must(store.AliasHistory(ctx, "m", "production", keys))(t)
	if len(history) != 4 || !history[3].Deleted || history[3].Version != 0 || history[0].Deleted {
		t.Fatalf("%+v", history)
	}
	if log := must(store.Log(ctx, keys, 1, 0))(t); len(log) < 6 || log[0].What != "publish" || log[0].Sequence != 1 {
		t.Fatalf("%+v", log)
	}
	if checks := must(store.VerifyLog(ctx, keys, ""))(t); len(checks) == 0 {
		t.Fatal("nothing was checked")
	}
	if text := must(ptsecure.ShowState(state))(t); !json.Valid(text) {
		t.Fatal(string(text))
	}
	fails(t, ptsecure.ResetState(state, "no such store"), ptsecure.ErrNotFound, "")
	ok(t, ptsecure.ResetState(state, ""))
	if path := must(ptsecure.DefaultStatePath())(t); filepath.Base(path) != "state.json" {
		t.Fatal(path)
	}
}
