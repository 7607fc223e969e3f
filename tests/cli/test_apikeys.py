"""API keys on the command line, on a folder and on a real MongoDB."""

import ctypes
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tests.cli.command import BUILD, ROOT, Command, database
from tests.cli.test_history import remove_last

CREATE = ("apikey", "create", "--owner", "mobile team", "--model", "digits", "--scope", "infer")


def create(command: Command, *more: object) -> dict[str, object]:
    made: dict[str, object] = json.loads(command.ok(*CREATE, *more, "--json"))
    return made


def test_the_whole_life(command: Command) -> None:
    made = create(command, "--model", "team-*", "--scope", "admin", "--rate", "2.5")
    key, name = str(made["key"]), str(made["id"])
    assert re.fullmatch(r"pts_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", key)
    assert key[4:20] == name
    assert made["scopes"] == ["infer", "admin"] and made["models"] == ["digits", "team-*"]
    assert (made["rate"], made["burst"], made["bytes_rate"]) == (2.5, 3, None)
    assert (made["expires"], made["state"], made["sequence"]) == (None, "active", 1)

    shown = json.loads(command.ok("apikey", "show", name, "--json"))
    assert shown == {k: v for k, v in made.items() if k != "key"}
    assert json.loads(command.ok("apikey", "list", "--json")) == [shown]
    for text in (command.ok("apikey", "list"), command.ok("apikey", "show", name)):
        assert name in text and "mobile team" in text and key[21:] not in text

    command.ok("apikey", "disable", name, "--reason", "leaked")
    shown = json.loads(command.ok("apikey", "show", name, "--json"))
    assert (shown["state"], shown["sequence"], shown["reason"]) == ("disabled", 2, "leaked")
    command.ok("apikey", "enable", name)
    rotated = json.loads(command.ok("apikey", "rotate", name, "--grace", "1h", "--json"))
    assert rotated["id"] == name and rotated["key"] != key
    assert rotated["old_secret_until"] is not None
    assert command.ok("apikey", "delete", name).strip() == f"{name} deleted"
    assert "deleted for good" in command.fails(5, "apikey", "enable", name)
    assert "deleted for good" in command.fails(5, "apikey", "rotate", name)


def test_changes_stand_in_the_log(command: Command) -> None:
    name = str(create(command)["id"])
    command.ok("apikey", "disable", name)
    command.ok("apikey", "rotate", name, "--grace", "0s")
    command.ok("apikey", "delete", name)
    records = json.loads(command.ok("log", "show", "--json"))
    assert [record["what"] for record in records] == ["apikey", "done"] * 4
    announced = [record for record in records if record["what"] == "apikey"]
    assert [record["chain"] for record in announced] == [f"apikey/{name}"] * 4
    command.ok("log", "verify")
    # Cut off behind everybody's back: the key lives again, for who never saw it deleted.
    remove_last(command, f"apikey/{name}")
    assert json.loads(command.ok("apikey", "show", name, "--no-state", "--json"))["sequence"] == 3
    done = command.run("log", "verify", "--no-state")
    assert done.returncode == 4
    assert "log record 7: " in done.stderr and "it was removed" in done.stderr, done.stderr


def test_the_key_alone_is_on_standard_output(folder: Command) -> None:
    done = folder.run(*CREATE)
    assert re.fullmatch(r"pts_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\n", done.stdout)
    assert "shown this once" in done.stderr
    store = Path(folder.store)
    secret = done.stdout.strip()[21:].encode()
    assert not any(secret in p.read_bytes() for p in store.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("given", "shown"),
    [("2040-02-29", "2040-02-29T00:00:00Z"), ("2040-12-31T23:59:59Z", "2040-12-31T23:59:59Z")],
)
def test_times(folder: Command, given: str, shown: str) -> None:
    assert create(folder, "--expires", given)["expires"] == shown


def test_durations(folder: Command) -> None:
    expires = str(create(folder, "--expires", "90d")["expires"])
    left = time.mktime(time.strptime(expires, "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())
    assert abs(left - 90 * 86400) < 3700  # an hour more or less where the clocks change


@pytest.mark.parametrize(
    "bad", ["tomorrow", "2040-02-31", "2040-13-01", "90", "d", "9999999999d", "2040-01-01T00:00:00"]
)
def test_bad_times(folder: Command, bad: str) -> None:
    assert "--expires is a date" in folder.fails(2, *CREATE, "--expires", bad)


def test_refused(folder: Command, keys: Path, tmp_path: Path) -> None:
    folder.fails(2, "apikey", "create", "--owner", "o", "--model", "m")
    folder.fails(2, *CREATE, "--scope", "root")
    folder.fails(2, *CREATE, "--model", "a/b")
    folder.fails(2, *CREATE, "--rate", "-1")
    folder.fails(2, *CREATE, "--burst", "5")
    folder.fails(2, "apikey", "show", "XYZ")
    create(folder)
    folder.fails(3, "apikey", "show", "0123456789abcdef")
    opener = tmp_path / "opener.jwks"
    subprocess.run(
        [str(BUILD / "bin" / "ptsecure"), "keys", "split", keys, "--role", "opener", "-o", opener],
        check=True,
    )
    assert "operator" in folder.fails(5, *CREATE, PTSECURE_KEYS=str(opener))


def test_a_record_that_is_not_to_be_trusted_is_named(folder: Command) -> None:
    first, second = str(create(folder)["id"]), str(create(folder)["id"])
    records = Path(folder.store) / "records" / "apikey"
    (records / first / "1.jws").write_bytes((records / second / "1.jws").read_bytes())
    listed = {key["id"]: key for key in json.loads(folder.ok("apikey", "list", "--json"))}
    assert "moved" in listed[first]["error"] and listed[second]["state"] == "active"
    assert "NOT TRUSTED" in folder.ok("apikey", "list")
    assert "moved" in folder.fails(4, "apikey", "show", first)
    folder.fails(4, "apikey", "enable", first)


class Check(ctypes.Structure):
    """pts_apikeys_options."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("grace_ms", ctypes.c_int32),
        ("refresh_ms", ctypes.c_int32),
    )


class Server:
    """What a server does with API keys, over the C ABI: another process than the command."""

    OK, UNAVAILABLE, UNAUTHENTICATED = 0, 11, 23

    def __init__(self, command: Command, grace_ms: int = 60000) -> None:
        self.lib = ctypes.CDLL(str(BUILD / "lib" / "libptsecure.so"))
        self.store, self.keys = ctypes.c_void_p(), ctypes.c_void_p()
        self.apikeys = ctypes.c_void_p()
        options = Check(ctypes.sizeof(Check), grace_ms, 500)
        out = ctypes.byref
        self.call("pts_store_open", command.store.encode(), None, out(self.store), None)
        self.call("pts_keyring_load", str(command.keys).encode(), None, out(self.keys), None)
        self.call(
            "pts_apikeys_open", self.store, self.keys, out(options), None, out(self.apikeys), None
        )

    def call(self, name: str, *arguments: object) -> None:
        assert getattr(self.lib, name)(*arguments) == 0, name

    def check(self, key: str) -> int:
        text = key.encode()
        size = ctypes.c_size_t(len(text))
        return int(self.lib.pts_apikeys_check(self.apikeys, text, size, None, None, None, None))

    def seconds_until(self, key: str, status: int, limit: float) -> float:
        start = time.monotonic()
        while self.check(key) != status:
            assert time.monotonic() - start < limit, f"still {self.check(key)}, not {status}"
            time.sleep(0.01)
        return time.monotonic() - start

    def close(self) -> None:
        self.lib.pts_apikeys_destroy(ctypes.byref(self.apikeys))
        self.lib.pts_keyring_destroy(ctypes.byref(self.keys))
        self.lib.pts_store_destroy(ctypes.byref(self.store))


def test_disabling_reaches_every_server_within_two_seconds(command: Command) -> None:
    made = create(command)
    key, name = str(made["key"]), str(made["id"])
    servers = [Server(command), Server(command)]
    assert [server.check(key) for server in servers] == [Server.OK, Server.OK]
    command.ok("apikey", "disable", name)
    for server in servers:
        server.seconds_until(key, Server.UNAUTHENTICATED, 2)
    command.ok("apikey", "enable", name)
    for server in servers:
        server.seconds_until(key, Server.OK, 2)
        server.close()


def queries(uri: str) -> int:
    with pymongo.MongoClient[dict[str, Any]](uri) as client:
        return int(client.admin.command("serverStatus")["opcounters"]["query"])


def test_unknown_keys_cost_the_database_next_to_nothing(
    mongod: str, keys: Path, tmp_path: Path
) -> None:
    command = Command(database(mongod, tmp_path.name), keys)
    key = str(create(command)["key"])
    server = Server(command)
    assert server.check(key) == Server.OK
    before, start = queries(mongod), time.monotonic()
    for number in range(3000):
        unknown = f"pts_{number:016x}{key[20:]}"
        wrong = key[:30] + ("B" if key[30] == "A" else "A") + key[31:]
        assert server.check(unknown) == Server.UNAUTHENTICATED
        assert server.check(wrong) == Server.UNAUTHENTICATED
    took = time.monotonic() - start
    asked = queries(mongod) - before
    # 20 looks at once and 20 a second, and two refreshes a second.
    assert asked <= 30 + 25 * took, (asked, took)
    fresh = str(create(command)["key"])
    server.seconds_until(fresh, Server.OK, 2)
    server.close()


def test_a_database_that_is_gone_is_forgiven_for_the_grace(keys: Path, tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "tests" / "mongod.py")]
    start = [*script, "start", str(tmp_path / "db")]
    uri = subprocess.run(start, check=True, capture_output=True, text=True).stdout.strip()
    try:
        command = Command(database(uri, "gone"), keys)
        key = str(create(command)["key"])
        lenient, strict = Server(command), Server(command, grace_ms=1000)
        assert (lenient.check(key), strict.check(key)) == (Server.OK, Server.OK)
    finally:
        subprocess.run([*script, "stop", str(tmp_path / "db")], check=True)
    assert strict.check(key) == Server.OK
    strict.seconds_until(key, Server.UNAVAILABLE, 8)
    assert lenient.check(key) == Server.OK
    strict.close()
    lenient.close()
