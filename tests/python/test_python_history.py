"""Aliases, the log and what a client remembers: against a folder and a real MongoDB."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ptsecure
import pymongo
import pytest

from tests.cli.command import database


class Place:
    """Where a store is, as somebody who may write there but holds no key sees it."""

    def __init__(self, uri: str, scratch: Path) -> None:
        self.uri = uri
        self.scratch = scratch
        self.saved: dict[str, list[dict[str, Any]]] = {}

    @property
    def is_folder(self) -> bool:
        return not self.uri.startswith("mongodb:")

    def remove_last(self, chain: str) -> None:
        """Puts back the head that the chain had before its newest record."""
        if self.is_folder:
            folder = Path(self.uri) / "records" / chain
            max(folder.glob("*.jws"), key=lambda path: int(path.stem)).unlink()
            return
        with pymongo.MongoClient[dict[str, Any]](self.uri) as client:
            records = client.get_default_database()["ptsecure.records"]
            last = records.find_one({"chain": chain}, sort=[("sequence", -1)])
            assert last is not None
            records.delete_one({"_id": last["_id"]})

    def back_up(self) -> None:
        if self.is_folder:
            shutil.copytree(self.uri, self.scratch / "backup")
            return
        with pymongo.MongoClient[dict[str, Any]](self.uri) as client:
            found = client.get_default_database()
            self.saved = {name: list(found[name].find()) for name in found.list_collection_names()}

    def restore(self) -> None:
        if self.is_folder:
            shutil.rmtree(self.uri)
            shutil.copytree(self.scratch / "backup", self.uri)
            return
        with pymongo.MongoClient[dict[str, Any]](self.uri) as client:
            found = client.get_default_database()
            for name in found.list_collection_names():
                found[name].delete_many({})
                if self.saved.get(name):
                    found[name].insert_many(self.saved[name])


@pytest.fixture(params=["folder", "mongodb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    uri = str(tmp_path / "store")
    if request.param == "mongodb":
        uri = database(request.getfixturevalue("mongod"), tmp_path.name)
    return Place(uri, tmp_path)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "mine" / "state.json"


@pytest.fixture
def remembering(place: Place, state: Path) -> Iterator[ptsecure.Store]:
    with ptsecure.open_store(place.uri, state=state) as opened:
        yield opened


def publish(store: ptsecure.Store, keys: ptsecure.Keyring, versions: int) -> None:
    """digits/1, /2, ...; nothing points at them."""
    for version in range(1, versions + 1):
        store.publish("digits", bytes([version]) * 5000, keys, format="opaque")


def test_an_alias_from_its_first_record_to_its_last(
    remembering: ptsecure.Store, keys: ptsecure.Keyring
) -> None:
    store = remembering
    publish(store, keys, 3)
    for version in (1, 2, 3):
        store.set_alias("digits", "production", version, keys, reason=f"to {version}")
    before = store.alias("digits", "production", keys)
    assert (before.alias, before.version, before.sequence) == ("production", 3, 3)
    assert before.signer_trusted and before.signer in {key["kid"] for key in keys.describe()}
    assert abs(datetime.now(UTC) - before.time) < timedelta(minutes=5)

    assert store.rollback("digits", "production", keys) == 2
    assert store.rollback("digits", None, keys, reason="the one before is bad too") == 1
    assert store.rollback("digits", "production", keys, to=3, reason="mended") == 3
    with store.fetch("digits@production", keys) as package:
        assert package.decrypt() == b"\3" * 5000
    store.set_alias("digits", "canary", 1, keys)
    with pytest.raises(ptsecure.InvalidArgumentError, match="say which one"):
        store.rollback("digits", None, keys)
    assert {a.alias: a.version for a in store.aliases("digits", keys)} == {
        "canary": 1,
        "production": 3,
    }

    store.delete_alias("digits", "production", keys, reason="retired")
    with pytest.raises(ptsecure.NotFoundError, match="was deleted"):
        store.fetch("digits@production", keys)
    with pytest.raises(ptsecure.NotFoundError):
        store.alias("digits", "production", keys)
    with pytest.raises(ptsecure.NotFoundError):
        store.delete_alias("digits", "production", keys)
    assert [a.alias for a in store.aliases("digits", keys)] == ["canary"]

    records = store.history("digits", "production", keys)
    assert [r.version for r in records] == [1, 2, 3, 2, 1, 3, None]
    assert [r.sequence for r in records] == list(range(1, 8))
    assert [r.deleted for r in records] == [False] * 6 + [True]
    assert [r.reason for r in records[3:]] == [
        "rollback",
        "the one before is bad too",
        "mended",
        "retired",
    ]
    assert records[2].record == before.record and records[2].manifest == before.manifest
    assert "mended" in repr(records) and before.signer not in repr(records)
    assert "<td>retired</td>" in records._repr_html_()


def test_what_cannot_be_done_is_said(remembering: ptsecure.Store, keys: ptsecure.Keyring) -> None:
    store = remembering
    publish(store, keys, 1)
    store.set_alias("digits", "production", 1, keys)
    with pytest.raises(ptsecure.NotFoundError, match="has not pointed at another version"):
        store.rollback("digits", "production", keys)
    with pytest.raises(ptsecure.NotFoundError):
        store.rollback("digits", "production", keys, to=9)
    with pytest.raises(ptsecure.InvalidArgumentError, match="from 1 on"):
        store.rollback("digits", "production", keys, to=0)
    with pytest.raises(ptsecure.InvalidArgumentError, match="alias is ''"):
        store.rollback("digits", "", keys)
    with pytest.raises(ptsecure.NotFoundError):
        store.history("digits", "canary", keys)
    with pytest.raises(ptsecure.NoKeyError):
        store.rollback("digits", "production", keys.split("opener"), to=1)
    assert len(store.history("digits", "production", keys)) == 1


def test_an_old_head_is_refused_by_who_has_seen_the_new_one(
    remembering: ptsecure.Store, place: Place, keys: ptsecure.Keyring
) -> None:
    store = remembering
    publish(store, keys, 2)
    store.set_alias("digits", "production", 1, keys)
    store.set_alias("digits", "production", 2, keys)
    newest = store.alias("digits", "production", keys)
    place.remove_last("alias/digits/production")

    for refused in (
        lambda: store.fetch("digits@production", keys),
        lambda: store.load("digits@production", keys),
        lambda: store.show("digits@production", keys),
        lambda: store.verify("digits@production", keys),
        lambda: store.history("digits", "production", keys),
        lambda: store.rollback("digits", "production", keys),
        lambda: store.set_alias("digits", "production", 1, keys),
    ):
        with pytest.raises(ptsecure.RollbackError, match="was seen at record 2"):
            refused()

    # Nothing remembered, nothing noticed, unless something is expected.
    with ptsecure.open_store(place.uri) as fresh:
        assert fresh.fetch("digits@production", keys).version == 1
        assert (
            fresh.fetch("digits@production", keys, expect=ptsecure.Expect(min_sequence=1)).version
            == 1
        )
        at_least = "where at least 2 is expected"
        with pytest.raises(ptsecure.RollbackError, match=at_least):
            fresh.fetch(
                "digits@production", keys, expect=ptsecure.Expect(min_sequence=newest.sequence)
            )
        with pytest.raises(ptsecure.RollbackError, match=at_least):
            fresh.load(
                "digits@production", keys, expect=ptsecure.Expect(min_sequence=newest.sequence)
            )
        with pytest.raises(ptsecure.RollbackError, match=at_least) as caught:
            fresh.verify(
                "digits@production", keys, expect=ptsecure.Expect(min_sequence=newest.sequence)
            )
        assert any(each.status == "rollback" for each in caught.value.checks)
        with pytest.raises(ptsecure.RollbackError, match="another manifest than the pinned one"):
            fresh.fetch("digits@production", keys, expect=ptsecure.Expect(manifest=newest.manifest))
        with pytest.raises(ptsecure.RollbackError, match="another manifest"):
            fresh.export(
                "digits@production",
                keys,
                place.scratch / "parts",
                expect=ptsecure.Expect(manifest="0" * 64),
            )
        assert (
            fresh.fetch("digits/2", keys, expect=ptsecure.Expect(manifest=newest.manifest)).version
            == 2
        )


def test_a_store_restored_from_an_old_backup(
    remembering: ptsecure.Store, place: Place, state: Path, keys: ptsecure.Keyring
) -> None:
    publish(remembering, keys, 1)
    remembering.set_alias("digits", "production", 1, keys)
    place.back_up()
    remembering.publish("digits", b"2", keys, format="opaque", alias="production")
    place.restore()
    with ptsecure.open_store(place.uri, state=state) as later:
        with pytest.raises(ptsecure.RollbackError, match="version 2 of digits was seen before"):
            later.fetch("digits", keys)
        with pytest.raises(ptsecure.RollbackError):
            later.fetch("digits@production", keys)
        with pytest.raises(ptsecure.RollbackError):
            later.publish("digits", b"2", keys, format="opaque")
        ptsecure.reset_state(place.uri, path=state)
        assert later.fetch("digits@production", keys).version == 1


def test_the_age_of_an_alias(place: Place, keys: ptsecure.Keyring) -> None:
    with ptsecure.open_store(place.uri) as store:
        store.publish("digits", b"1", keys, format="opaque", alias="production")
        for fresh in (timedelta(hours=1), 3600, 3600.5):
            assert (
                store.fetch(
                    "digits@production", keys, expect=ptsecure.Expect(max_age=fresh)
                ).version
                == 1
            )
        time.sleep(2.1)
        for stale in (1, 1.9, 0.001, timedelta(milliseconds=1)):
            with pytest.raises(ptsecure.RollbackError):
                store.fetch("digits@production", keys, expect=ptsecure.Expect(max_age=stale))
        store.set_alias("digits", "production", 1, keys, reason="still the one")
        assert (
            store.fetch("digits@production", keys, expect=ptsecure.Expect(max_age=60)).version == 1
        )


def test_limits_that_would_ask_for_nothing(
    folder: ptsecure.Store, keys: ptsecure.Keyring, tmp_path: Path
) -> None:
    folder.publish("digits", b"1", keys, format="opaque", alias="production")
    for wrong in (0, -1, float("nan"), float("inf"), timedelta()):
        with pytest.raises(ptsecure.InvalidArgumentError, match="max_age"):
            folder.fetch("digits@production", keys, expect=ptsecure.Expect(max_age=wrong))
    with pytest.raises(ptsecure.InvalidArgumentError, match="min_sequence"):
        folder.fetch("digits@production", keys, expect=ptsecure.Expect(min_sequence=-1))
    with pytest.raises(ptsecure.InvalidArgumentError, match="manifest is ''"):
        folder.load("digits@production", keys, expect=ptsecure.Expect(manifest=""))
    with pytest.raises(ptsecure.InvalidArgumentError):
        folder.fetch("digits@production", keys, expect=ptsecure.Expect(manifest="no digest"))
    with pytest.raises(ptsecure.InvalidArgumentError, match="min_sequence"):
        folder.fetch("digits/1", keys, expect=ptsecure.Expect(min_sequence=1))
    with pytest.raises(ptsecure.InvalidArgumentError, match="state is ''"):
        ptsecure.open_store(tmp_path, state="")
    with pytest.raises(ptsecure.InvalidArgumentError, match="head is ''"):
        folder.verify_log(keys, head="")
    with pytest.raises(ptsecure.InvalidArgumentError, match="store is ''"):
        ptsecure.reset_state("")


def test_what_is_remembered(
    remembering: ptsecure.Store, state: Path, keys: ptsecure.Keyring
) -> None:
    remembering.publish("digits", b"1", keys, format="opaque", alias="production")
    assert state.stat().st_mode & 0o777 == 0o600
    shown = ptsecure.show_state(state)
    assert shown == json.loads(state.read_text())
    id = remembering.describe()["id"]
    (known,) = shown["stores"].items()
    assert known[0] == id
    assert known[1]["versions"]["digits"]["version"] == 1
    newest = remembering.alias("digits", "production", keys)
    assert known[1]["chains"]["alias/digits/production"] == {
        "sequence": newest.sequence,
        "record": newest.record,
    }
    ptsecure.reset_state(id, path=state)
    assert ptsecure.show_state(state)["stores"] == {}
    with pytest.raises(ptsecure.NotFoundError):
        ptsecure.reset_state(id, path=state)
    state.write_text("{")
    with pytest.raises(ptsecure.CorruptError):
        ptsecure.show_state(state)
    with pytest.raises(ptsecure.CorruptError, match="state reset --all"):
        remembering.fetch("digits@production", keys)
    ptsecure.reset_state(None, path=state)
    assert remembering.fetch("digits@production", keys).version == 1


def test_which_state_file(
    tmp_path: Path, keys: ptsecure.Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    default = tmp_path / "home" / "ptsecure" / "state.json"
    assert ptsecure.default_state_path() == default
    for nothing in (None, False):
        with ptsecure.open_store(tmp_path / "store", state=nothing) as store:
            store.publish("digits", b"1", keys, format="opaque")
            store.fetch("digits", keys)
    assert not default.exists()
    assert ptsecure.show_state()["stores"] == {}
    with ptsecure.open_store(tmp_path / "store", state=True) as store:
        store.fetch("digits", keys)
    (known,) = ptsecure.show_state()["stores"].values()
    assert known["versions"]["digits"]["version"] == 2
    ptsecure.reset_state(tmp_path / "store")
    assert ptsecure.show_state(default)["stores"] == {}
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    with pytest.raises(ptsecure.NotFoundError, match="XDG_STATE_HOME"):
        ptsecure.open_store(tmp_path / "store", state=True)


def test_another_store_in_its_place(tmp_path: Path, state: Path, keys: ptsecure.Keyring) -> None:
    where = tmp_path / "store"
    for _ in range(2):
        with ptsecure.open_store(where) as store:
            store.publish("digits", b"1", keys, format="opaque")
        if not state.exists():
            with ptsecure.open_store(where, state=state) as store:
                store.fetch("digits", keys)
            shutil.rmtree(where)
    with (
        ptsecure.open_store(where, state=state) as store,
        pytest.raises(ptsecure.RollbackError),
    ):
        store.fetch("digits", keys)


def test_the_log(place: Place, state: Path, keys: ptsecure.Keyring) -> None:
    with ptsecure.open_store(place.uri) as store:
        publish(store, keys, 2)
        store.set_alias("digits", "production", 2, keys, reason="good")
        records = store.log(keys)
        assert [r.sequence for r in records] == [1, 2, 3, 4, 5, 6]
        assert [r.what for r in records] == ["publish", "done"] * 2 + ["alias", "done"]
        assert (records[2].name, records[2].version, records[2].alias) == ("digits", 2, None)
        alias, done = records[4:]
        assert (alias.alias, alias.reason, alias.chain) == (
            "production",
            "good",
            "alias/digits/production",
        )
        assert alias.chain_sequence == 1 and alias.signer_trusted
        assert alias.manifest == store.alias("digits", "production", keys).manifest
        assert done.confirms == 5 and done.version is None
        assert list(store.log(keys, first=5, limit=1)) == [alias]
        assert list(store.log(keys, limit=0)) == []
        assert "alias" in repr(records)

        checks = store.verify_log(keys)
        assert checks and all(each.ok for each in checks)
        (head,) = [each.detail for each in checks if each.check == "log head"]
        assert head == f"6:{records[-1].record}"
        assert all(each.ok for each in store.verify_log(keys, head=head))
        with pytest.raises(ptsecure.InvalidArgumentError):
            store.verify_log(keys, head="6")
        with ptsecure.open_store(place.uri, state=state) as remembering:
            remembering.verify_log(keys)

        place.remove_last("log")
        assert all(each.ok for each in store.verify_log(keys))  # nothing to compare with
        removed = "newest records were removed"
        with pytest.raises(ptsecure.RollbackError, match=removed) as caught:
            store.verify_log(keys, head=head)
        assert [c.check for c in caught.value.checks if not c.ok] == ["log head"]
        with (
            ptsecure.open_store(place.uri, state=state) as remembering,
            pytest.raises(ptsecure.RollbackError, match=removed),
        ):
            remembering.verify_log(keys)
        place.remove_last("log")  # what announced the alias's record
        with pytest.raises(ptsecure.Error) as unannounced:
            store.verify_log(keys)
        assert any("production" in c.check + c.detail for c in unannounced.value.checks if not c.ok)


def test_two_operators_at_once(place: Place, keys: ptsecure.Keyring) -> None:
    """Each change is made, or its operator is told; none is lost."""
    with ptsecure.open_store(place.uri) as store:
        publish(store, keys, 2)
    made: list[str] = []
    told: list[ptsecure.ConflictError] = []

    def operate(version: int) -> None:
        with ptsecure.open_store(place.uri) as store:
            for turn in range(10):
                reason = f"{version}, {turn}"
                try:
                    store.set_alias("digits", "production", version, keys, reason=reason)
                    made.append(reason)
                except ptsecure.ConflictError as error:
                    told.append(error)

    threads = [threading.Thread(target=operate, args=(version,)) for version in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) + len(told) == 20
    with ptsecure.open_store(place.uri) as store:
        records = store.history("digits", "production", keys)
        assert sorted(r.reason for r in records) == sorted(made)
        assert [r.sequence for r in records] == list(range(1, len(made) + 1))
        assert all(each.ok for each in store.verify_log(keys))
