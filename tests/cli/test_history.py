"""Aliases, rollback, the log and what a client remembers, on a folder and on a real MongoDB."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tests.cli.command import Command

UNTRUSTED = 4


@pytest.fixture
def published(command: Command, tmp_path: Path) -> Command:
    """digits/1, /2 and /3; nothing points at them."""
    for version in range(1, 4):
        model = tmp_path / f"model-{version}"
        model.write_bytes(bytes([version]) * 5000)
        command.ok("publish", model, "digits", "--format", "opaque")
    return command


def read(command: Command, *arguments: Any, **environment: str) -> Any:
    return json.loads(command.ok(*arguments, "--json", **environment))


def pointed_at(command: Command, *more: Any, **environment: str) -> int:
    return int(read(command, "show", "digits@production", *more, **environment)["version"])


def history(command: Command) -> list[tuple[int, int | None]]:
    records = read(command, "history", "digits", "production")
    return [(record["sequence"], record["version"]) for record in records]


def remove_last(command: Command, chain: str) -> None:
    """The chain's last record, behind the command's back."""
    if command.store.startswith("mongodb:"):
        with pymongo.MongoClient[dict[str, Any]](command.store) as client:
            records = client.get_default_database()["ptsecure.records"]
            last = records.find_one({"chain": chain}, sort=[("sequence", -1)])
            assert last is not None
            records.delete_one({"_id": last["_id"]})
    else:
        folder = Path(command.store) / "records" / chain
        max(folder.glob("*.jws"), key=lambda path: int(path.stem)).unlink()


def test_an_alias_from_its_first_record_to_its_last(published: Command) -> None:
    for version in (1, 2, 3):
        published.ok("alias", "set", "digits", "production", version, "--reason", f"to {version}")
    assert pointed_at(published) == 3
    shown = read(published, "alias", "show", "digits", "production")
    assert (shown["version"], shown["sequence"], shown["reason"]) == (3, 3, "to 3")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", shown["manifest"])

    assert read(published, "rollback", "digits", "production")["version"] == 2
    assert read(published, "rollback", "digits")["version"] == 1  # its only alias
    done = read(published, "rollback", "digits", "production", "--to", 3, "--reason", "mended")
    assert done == {"name": "digits", "version": 3, "alias": "production"}
    assert pointed_at(published) == 3
    assert history(published) == [(1, 1), (2, 2), (3, 3), (4, 2), (5, 1), (6, 3)]
    text = published.ok("history", "digits", "production")
    assert len(text.splitlines()) == 6 and "mended" in text and "sequence 6  version 3" in text

    published.ok("alias", "set", "digits", "canary", 1)
    assert "say which one" in published.fails(2, "rollback", "digits")
    listed = {
        record["alias"]: record["version"] for record in read(published, "alias", "list", "digits")
    }
    assert listed == {"production": 3, "canary": 1}

    published.ok("alias", "delete", "digits", "production", "--reason", "retired")
    assert "was deleted" in published.fails(3, "show", "digits@production")
    published.fails(3, "alias", "show", "digits", "production")
    published.fails(3, "alias", "delete", "digits", "production")
    assert [record["alias"] for record in read(published, "alias", "list", "digits")] == ["canary"]
    assert history(published)[-1] == (7, None)
    published.ok("alias", "set", "digits", "production", 2)
    assert pointed_at(published) == 2


def test_what_cannot_be_done_is_said(published: Command) -> None:
    published.fails(3, "alias", "set", "digits", "production", 9)
    published.fails(3, "alias", "show", "digits", "production")
    published.fails(3, "history", "digits", "production")
    published.fails(3, "rollback", "digits", "production")
    published.fails(2, "alias", "set", "digits", "../x", 1)
    published.ok("alias", "set", "digits", "production", 1)
    assert "has not pointed at another version" in published.fails(3, "rollback", "digits")
    published.fails(3, "rollback", "digits", "--to", 9)
    assert history(published) == [(1, 1)]


def test_the_log(published: Command) -> None:
    published.ok("alias", "set", "digits", "production", 1)
    records = read(published, "log", "show")
    assert [record["sequence"] for record in records] == list(range(1, 9))
    assert [record["what"] for record in records] == ["publish", "done"] * 3 + ["alias", "done"]
    assert read(published, "log", "show", "--from", 7, "--limit", 1) == [records[6]]
    assert len(published.ok("log", "show").splitlines()) == 8
    verified = read(published, "log", "verify")
    assert verified["ok"] is True
    head = next(c["detail"] for c in verified["checks"] if c["check"] == "log head")
    assert head == f"8:{records[-1]['record']}"
    published.ok("log", "verify", "--head", head)
    published.fails(2, "log", "verify", "--head", "8")

    remove_last(published, "log")
    for more in (("--head", head, "--no-state"), ()):
        done = published.run("log", "verify", *more, "--json")
        assert done.returncode == UNTRUSTED, done.stderr
        checks = json.loads(done.stdout)["checks"]
        assert any("newest records were removed" in check["detail"] for check in checks)
        assert "newest records were removed" in done.stderr
    assert "FAIL  log head" in published.run("log", "verify").stdout
    published.ok("log", "verify", "--no-state")


def test_an_old_head_is_refused_by_who_has_seen_the_new_one(
    published: Command, tmp_path: Path
) -> None:
    published.ok("alias", "set", "digits", "production", 1)
    published.ok("alias", "set", "digits", "production", 2)
    shown = read(published, "alias", "show", "digits", "production")
    assert pointed_at(published) == 2
    remove_last(published, "alias/digits/production")
    assert "was seen at record 2" in published.fails(UNTRUSTED, "show", "digits@production")
    assert "was seen at record 2" in published.fails(UNTRUSTED, "rollback", "digits")
    # Nothing remembered, nothing noticed, unless something is expected.
    assert pointed_at(published, "--no-state") == 1
    for expected, phrase in (
        (("--min-sequence", 2), "where at least 2 is expected"),
        (("--manifest", shown["manifest"]), "another manifest than the pinned one"),
    ):
        verify = ("verify", "digits@production", "--no-state", *expected)
        done = published.run(*verify)
        assert done.returncode == UNTRUSTED and phrase in done.stderr, done.stderr
        parts = ("export", "digits@production", tmp_path / "parts", "--no-state", *expected)
        assert phrase in published.fails(UNTRUSTED, *parts)
        infer = ("infer", "digits@production", "--input", tmp_path / "model-1", "--no-state")
        assert phrase in published.fails(UNTRUSTED, *infer, *expected)
        show = ("show", "digits@production", "--no-state", *expected)
        assert phrase in published.fails(UNTRUSTED, *show)
        assert phrase in published.fails(UNTRUSTED, *show, "--example")
    within = ("--min-sequence", 1, "--max-age", "1h")
    log_is_ahead = published.run("verify", "digits@production", "--no-state", *within, "--json")
    checks = {c["check"]: c["status"] for c in json.loads(log_is_ahead.stdout)["checks"]}
    assert checks["manifest"] == "ok"
    assert read(published, "show", "digits@production", "--no-state", *within)["version"] == 1


def test_what_is_remembered(published: Command, tmp_path: Path) -> None:
    mine = str(tmp_path / "mine" / "state.json")
    published.ok("alias", "set", "digits", "production", 1, PTSECURE_STATE=mine)
    shown = read(published, "state", "show", PTSECURE_STATE=mine)
    assert shown["file"] == mine
    (store,) = shown["state"]["stores"].values()
    assert store["chains"]["alias/digits/production"]["sequence"] == 1
    assert store["versions"]["digits"]["version"] == 1
    text = published.ok("state", "show", PTSECURE_STATE=mine)
    assert "alias/digits/production  record 1:" in text and mine in text

    published.ok("state", "reset", PTSECURE_STATE=mine)
    assert read(published, "state", "show", PTSECURE_STATE=mine)["state"]["stores"] == {}
    published.fails(3, "state", "reset", PTSECURE_STATE=mine)

    Path(mine).write_text("{")
    assert "state reset --all" in published.fails(
        UNTRUSTED, "show", "digits@production", PTSECURE_STATE=mine
    )
    assert pointed_at(published, "--no-state", PTSECURE_STATE=mine) == 1
    assert Path(mine).read_text() == "{"
    published.ok("state", "reset", "--all", PTSECURE_STATE=mine)
    assert pointed_at(published, PTSECURE_STATE=mine) == 1
    published.fails(2, "state", "show", "--no-state")


def test_the_default_state_is_below_the_state_home(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"1")
    home = tmp_path / "home"
    command.ok("publish", model, "digits", "--format", "opaque", "--no-state", HOME=str(home))
    assert not home.exists()
    command.ok("show", "digits", XDG_STATE_HOME=str(home / "state"))
    assert (home / "state" / "ptsecure" / "state.json").stat().st_mode & 0o777 == 0o600
    command.ok("show", "digits", HOME=str(home), XDG_STATE_HOME="")
    assert (home / ".local" / "state" / "ptsecure" / "state.json").is_file()
    nowhere = {"HOME": "", "XDG_STATE_HOME": ""}
    assert "XDG_STATE_HOME" in command.fails(3, "show", "digits", **nowhere)
    command.ok("show", "digits", "--no-state", **nowhere)


def test_a_store_restored_from_an_old_backup(folder: Command, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"1")
    folder.ok("publish", model, "digits", "--format", "opaque", "--alias", "production")
    backup = tmp_path / "backup"
    shutil.copytree(folder.store, backup)
    folder.ok("publish", model, "digits", "--format", "opaque", "--alias", "production")
    shutil.rmtree(folder.store)
    shutil.copytree(backup, folder.store)
    assert "version 2 of digits was seen before" in folder.fails(UNTRUSTED, "show", "digits")
    folder.fails(UNTRUSTED, "show", "digits@production")
    folder.fails(UNTRUSTED, "publish", model, "digits", "--format", "opaque")
    folder.ok("state", "reset")
    assert read(folder, "show", "digits@production")["version"] == 1
