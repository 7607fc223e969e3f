"""API keys from Python: made by an operator, checked in a server."""

from datetime import UTC, datetime, timedelta

import ptsecure
import pytest


def test_from_making_to_deleting(store: ptsecure.Store, keys: ptsecure.Keyring) -> None:
    store.publish("digits", b"x", keys, format="opaque")
    manager = ptsecure.ApiKeyManager(store, keys)
    made = manager.create(
        "Ada",
        ["digits", "test-*"],
        rate=1,
        burst=2,
        expires=datetime.now(UTC) + timedelta(days=1),
        reason="trial",
    )
    assert made.key.startswith(f"pts_{made.id}_")
    assert made.key not in repr(made)
    assert manager.show(made.id)["owner"] == "Ada"
    assert [each["id"] for each in manager.list()] == [made.id]

    with ptsecure.ApiKeys(store, keys.public(), refresh=0.05) as checker:
        use = checker.check(made.key, model="digits", nbytes=10)
        assert (use.id, use.owner) == (made.id, "Ada")
        assert checker.check(made.key, model="test-7", counted=False).id == made.id
        with pytest.raises(ptsecure.ForbiddenError) as forbidden:
            checker.check(made.key, model="other")
        assert isinstance(forbidden.value, PermissionError)
        with pytest.raises(ptsecure.ForbiddenError):
            checker.check(made.key, model="digits", scope="admin")
        for wrong in ("", "pts_0", made.key[:-1] + "~", "\ud7ff"):
            with pytest.raises(ptsecure.UnauthenticatedError):
                checker.check(wrong, model="digits")

        def use_up() -> None:
            for _ in range(50):
                checker.check(made.key, model="digits")

        with pytest.raises(ptsecure.RateLimitedError) as limited:
            use_up()
        assert 0 < limited.value.retry_after <= 1
        checker.charge(made.id, 1000)
        (seen,) = checker.usage()
        assert seen["owner"] == "Ada"
        assert seen["bytes"] >= 1010

    again = manager.rotate(made.id, grace=timedelta(hours=1))
    assert again.id == made.id
    assert again.key != made.key
    manager.set_state(made.id, "disabled", reason="unpaid")
    with ptsecure.ApiKeys(store, keys) as checker, pytest.raises(ptsecure.UnauthenticatedError):
        checker.check(again.key, model="digits")
    assert repr(checker) == "<ptsecure.ApiKeys: closed>"
    with pytest.raises(ptsecure.ClosedError):
        checker.usage()
    manager.set_state(made.id, "deleted")
    with pytest.raises(ptsecure.RevokedError):
        manager.set_state(made.id, "active")
    with pytest.raises(ptsecure.NotFoundError):
        manager.show("0" * 16)
    with pytest.raises(ptsecure.NoKeyError):
        ptsecure.ApiKeyManager(store, keys.public()).create("Eve", ["*"])
