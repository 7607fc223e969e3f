package ptsecure_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ptsecure/ptsecure/bindings/go"
)

func TestAPIKeys(t *testing.T) {
	leakless(t)
	ctx := background
	store, keys := openStore(t, t.TempDir()), newKeys(t)
	must(store.Publish(ctx, "m", ptsecure.Bytes(nil), keys, ptsecure.WithFormat("opaque")))(t)
	secret, key, err := store.CreateAPIKey(ctx, ptsecure.NewAPIKey{Owner: "shop", Models: []string{"digits", "team-*"}, Rate: 1, Burst: 2, Expires: time.Now().Add(time.Hour)}, keys)
	ok(t, err)
	closing(t, secret)
	text := string(secret.Bytes())
	if len(text) != 64 || key.Owner != "shop" || key.State != "active" || *key.Burst != 2 || key.BytesRate != nil || time.Until(*key.Expires) > time.Hour {
		t.Fatalf("%+v", key)
	}
	verifier := must(keys.Split(ptsecure.Verifier))(t)
	closing(t, verifier)
	checker := must(store.CheckAPIKeys(ctx, verifier, ptsecure.APIKeyCheckerOptions{Refresh: 10 * time.Millisecond}))(t)
	closing(t, checker)

	holder := must(checker.Check(text, ptsecure.APIKeyRequest{Model: "digits"}))(t)
	if holder.ID != key.ID || holder.Owner != "shop" {
		t.Fatalf("%+v", holder)
	}
	for _, presented := range []string{"", "pts_", text[:63] + "!", text + "x", "\x00"} {
		holder, err := checker.Check(presented, ptsecure.APIKeyRequest{Model: "digits"})
		if fails(t, err, ptsecure.ErrUnauthenticated, ""); holder.Owner != "" {
			t.Fatalf("%+v", holder)
		}
	}
	_, err = checker.Check(text, ptsecure.APIKeyRequest{Model: "other"})
	fails(t, err, ptsecure.ErrForbidden, "")
	_, err = checker.Check(text, ptsecure.APIKeyRequest{Model: "digits", Scope: ptsecure.ScopeAdmin})
	fails(t, err, ptsecure.ErrForbidden, "")
	_, err = checker.Check(text, ptsecure.APIKeyRequest{Model: "a\x00"})
	fails(t, err, ptsecure.ErrInvalidArgument, "NUL")
	must(checker.Check(text, ptsecure.APIKeyRequest{Model: "team-a"}))(t)
	holder, err = checker.Check(text, ptsecure.APIKeyRequest{Model: "digits"})
	if fails(t, err, ptsecure.ErrRateLimited, ""); holder.RetryAfter <= 0 || holder.RetryAfter > time.Second {
		t.Fatalf("%+v", holder)
	}
	must(checker.Check(text, ptsecure.APIKeyRequest{Model: "digits", Uncounted: true}))(t)
	ok(t, checker.Charge(key.ID, 100))
	if usage := must(checker.Usage())(t); len(usage) != 1 || usage[0].Requests != 2 || usage[0].Limited != 1 || usage[0].Bytes != 100 {
		t.Fatalf("%+v", usage)
	}

	fresh, rotated, err := store.RotateAPIKey(ctx, key.ID, time.Minute, "yearly", keys)
	ok(t, err)
	closing(t, fresh)
	if rotated.ID != key.ID || rotated.OldSecretUntil == nil || rotated.Reason != "yearly" {
		t.Fatalf("%+v", rotated)
	}
	eventually(t, func() bool {
		_, err := checker.Check(string(fresh.Bytes()), ptsecure.APIKeyRequest{Model: "digits", Uncounted: true})
		return err == nil
	})
	ok(t, store.SetAPIKeyState(ctx, key.ID, "disabled", "leaked", keys))
	eventually(t, func() bool {
		_, err := checker.Check(text, ptsecure.APIKeyRequest{Model: "digits", Uncounted: true})
		return errors.Is(err, ptsecure.ErrUnauthenticated)
	})
	if shown := must(store.APIKey(ctx, key.ID, keys))(t); shown.State != "disabled" || shown.Reason != "leaked" {
		t.Fatalf("%+v", shown)
	}
	if list := must(store.APIKeys(ctx, keys))(t); len(list) != 1 || list[0].ID != key.ID {
		t.Fatalf("%+v", list)
	}

	_, err = store.APIKey(ctx, "0123456789abcdef", keys)
	fails(t, err, ptsecure.ErrNotFound, "")
	_, _, err = store.RotateAPIKey(ctx, key.ID, -time.Second, "", keys)
	fails(t, err, ptsecure.ErrInvalidArgument, "negative")
	for _, bad := range []ptsecure.NewAPIKey{{}, {Owner: "x"}, {Owner: "x", Models: []string{"a b"}}, {Owner: "a\x00", Models: []string{"*"}}, {Owner: "x", Models: []string{"*"}, Rate: -1}, {Owner: "x", Models: []string{"*"}, Scopes: 99}} {
		_, _, err = store.CreateAPIKey(ctx, bad, keys)
		fails(t, err, ptsecure.ErrInvalidArgument, "")
	}
	_, _, err = store.CreateAPIKey(ctx, ptsecure.NewAPIKey{Owner: "x", Models: []string{"*"}}, verifier)
	fails(t, err, ptsecure.ErrNoKey, "")
	_, err = store.CheckAPIKeys(ctx, keys, ptsecure.APIKeyCheckerOptions{Refresh: time.Hour})
	fails(t, err, ptsecure.ErrInvalidArgument, "")
	ok(t, checker.Close())
	_, err = checker.Check(text, ptsecure.APIKeyRequest{})
	fails(t, err, ptsecure.ErrClosed, "closed")
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it didn't come to that")
		}
	}
}
