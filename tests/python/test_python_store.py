"""Keys, publishing, listing, opening: against a folder and a real MongoDB."""

import copy
import json
import logging
import os
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import ptsecure
import pytest
import torch
from ptsecure.errors import BY_CODE

from tests.python.models import Counter, Dropping, OnlyTraceable

Images = npt.NDArray[np.float32]


def test_from_publish_to_answer(
    store: ptsecure.Store, keys: ptsecure.Keyring, digits: Path, images: Images
) -> None:
    v = store.publish(
        "digits", digits, keys, alias="production", labels={"run": "42"}, sample=images
    )
    assert v == 1
    assert f"digits/{v}" == v.reference == "digits/1"
    assert v.captured is None
    model = store.load("digits@production", keys, verify="signed")
    wanted = torch.jit.load(str(digits))(torch.from_numpy(images)).detach()
    np.testing.assert_allclose(model(images), wanted.numpy(), rtol=1e-5)
    assert (model.name, model.version) == ("digits", 1)
    aead = store.load("digits/1", keys, verify="aead")
    np.testing.assert_array_equal(aead(images), model(images))

    second = store.publish("digits", digits.read_bytes(), keys)
    assert second == 2
    listed = store.list()
    assert [(m.name, m.version, m.aliases) for m in listed] == [("digits", 2, ("production",))]
    assert listed[0].size == digits.stat().st_size
    assert [each.reference for each in store.versions("digits")] == ["digits/2", "digits/1"]
    assert "production" in repr(listed)
    assert "<td>digits</td>" in listed._repr_html_()
    store.set_alias("digits", "production", 2, keys, reason="better")
    (alias,) = store.aliases("digits", keys)
    assert (alias.alias, alias.version, alias.sequence, alias.reason) == (
        "production",
        2,
        2,
        "better",
    )
    shown = store.show("digits/1", keys)
    assert shown["labels"] == {"run": "42"}
    assert shown["inputs"][0]["shape"] == [-1, 1, 8, 8]
    checks = store.verify("digits/1", keys)
    assert len(checks) > 4
    assert all(each.ok for each in checks)
    assert store.describe()["id"]
    assert repr(store) == f"<ptsecure.Store {store.uri}>"


def test_revoking(store: ptsecure.Store, keys: ptsecure.Keyring, digits: Path) -> None:
    store.publish("digits", digits, keys)
    store.set_key_status("digits", "disabled", keys, reason="leaked")
    with pytest.raises(ptsecure.RevokedError):
        store.load("digits", keys)
    with pytest.raises(ptsecure.RevokedError) as caught:
        store.verify("digits", keys)
    assert [each.status for each in caught.value.checks if not each.ok] == ["revoked"]
    store.set_key_status("digits", "enabled", keys)
    assert store.load("digits", keys).version == 1


def test_packages(store: ptsecure.Store, keys: ptsecure.Keyring, tmp_path: Path) -> None:
    plain = os.urandom(3_000_000)
    store.publish("blob", memoryview(plain), keys, format="opaque")
    with store.fetch("blob", keys) as package:
        assert (package.name, package.version, package.size) == ("blob", 1, len(plain))
        assert package.manifest["format"] == "opaque"
        view = package.decrypt()
        assert view == plain
        assert view.readonly
        streamed = bytearray()
        package.stream(streamed.extend)
        assert streamed == plain

        def full(part: memoryview) -> None:
            raise OSError(f"no room for {len(part)} bytes")

        with pytest.raises(OSError, match="no room"):
            package.stream(full)
        package.export(tmp_path / "parts")
        assert (tmp_path / "parts" / "payload.bin").stat().st_size > len(plain)
        with pytest.raises(ptsecure.UnsupportedError, match="opaque"):
            package.load()
    with pytest.raises(ptsecure.ClosedError):
        package.decrypt()
    assert view == plain  # outlives its package
    store.export("blob/1", keys, tmp_path / "again")


def test_copying(store: ptsecure.Store, keys: ptsecure.Keyring, tmp_path: Path) -> None:
    store.publish("blob", b"some bytes", keys, format="opaque")
    with ptsecure.open_store(tmp_path / "other") as other:
        v = store.copy("blob", keys, other, alias="here", labels={"from": "there"})
        assert v.reference == "blob/1"
        assert other.fetch("blob@here", keys).decrypt().tobytes() == b"some bytes"


def test_live_modules(store: ptsecure.Store, keys: ptsecure.Keyring) -> None:
    x = torch.randn(2, 4)
    scripted = torch.jit.script(Counter())
    assert store.publish("script", scripted, keys).captured is None
    assert store.load("script", keys)(x).shape == (1,)

    module = Dropping()
    assert module.training
    v = store.publish("dropping", module, keys, sample=x)
    assert v.captured == "scripted"
    assert repr(v) == "<ptsecure.PublishedVersion dropping/1, scripted>"
    assert module.training and module.drop.training  # left as it was
    module.eval()
    torch.testing.assert_close(store.load("dropping", keys)(x), module(x).detach())

    traceable = OnlyTraceable().eval()
    v = store.publish("traced", traceable, keys, sample=x)
    assert v.captured == "traced"
    torch.testing.assert_close(store.load("traced", keys)(x), traceable(x).detach())
    assert store.publish("traced", traceable, keys, sample=x.numpy()).captured == "traced"
    with pytest.raises(ptsecure.InvalidModelError, match="without sample"):
        store.publish("traced", traceable, keys)


def test_live_modules_leave_no_plaintext_file(
    keys: ptsecure.Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file that the process opens for writing while it publishes is the store's."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    opened: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and arguments[1] and set(str(arguments[1])) & set("wax+"):
            opened.append(str(arguments[0]))

    module = Dropping()
    weight = module.layer.weight.detach().numpy().tobytes()
    sys.addaudithook(hook)
    with ptsecure.open_store(tmp_path / "store") as store:
        store.publish("dropping", module, keys)
    written = list(opened)
    assert not written
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(weight in path.read_bytes() for path in files)


def test_keyrings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ptsecure.Keyring.generate()
    path = tmp_path / "keys.jwks"
    keys.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ptsecure.AlreadyExistsError):
        keys.save(path)
    again = ptsecure.Keyring.load(path)
    assert again.describe() == keys.describe()
    assert ptsecure.Keyring.from_dict(json.loads(path.read_text())).describe() == keys.describe()
    assert keys.to_dict() == json.loads(path.read_text())
    monkeypatch.setenv("MODEL_KEYS", path.read_text())
    assert ptsecure.Keyring.from_env("MODEL_KEYS").describe() == keys.describe()
    assert repr(keys) == "<ptsecure.Keyring: 3 keys, 3 of them private>"
    assert repr(keys.public()) == "<ptsecure.Keyring: 3 keys, 0 of them private>"
    assert len(keys.split("verifier")) == 2

    keys.save(tmp_path / "locked.jwks", passphrase="correct horse")
    with pytest.raises(ptsecure.NoKeyError):
        ptsecure.Keyring.load(tmp_path / "locked.jwks")
    assert len(ptsecure.Keyring.load(tmp_path / "locked.jwks", passphrase="correct horse")) == 3

    path.chmod(0o644)
    with pytest.raises(ptsecure.PermissionDeniedError, match="chmod"):
        ptsecure.Keyring.load(path)
    with pytest.raises(ptsecure.NotFoundError):
        ptsecure.Keyring.load(tmp_path / "none.jwks")
    with pytest.raises(ptsecure.NotFoundError):
        ptsecure.Keyring.from_env("NO_SUCH_KEYS")
    with pytest.raises(ptsecure.Error):
        ptsecure.Keyring.from_dict({"keys": "none"})
    with pytest.raises(ptsecure.InvalidArgumentError):
        keys.split("king")  # type: ignore[arg-type]


def test_roles(folder: ptsecure.Store, keys: ptsecure.Keyring) -> None:
    folder.publish("blob", b"x", keys.split("publisher"), format="opaque")
    opener = keys.split("opener")
    assert folder.fetch("blob", opener).decrypt().tobytes() == b"x"
    with pytest.raises(ptsecure.NoKeyError):
        folder.publish("blob", b"x", opener, format="opaque")
    with pytest.raises(ptsecure.NoKeyError):
        folder.fetch("blob", keys.public()).decrypt()
    with pytest.raises(ptsecure.UntrustedError):
        folder.load("blob", ptsecure.Keyring.generate())


def test_wrong_calls(folder: ptsecure.Store, keys: ptsecure.Keyring, digits: Path) -> None:
    with pytest.raises(ptsecure.NotFoundError, match="no store"):
        folder.load("nothing", keys)
    with pytest.raises(ptsecure.InvalidArgumentError):
        folder.publish("no name", digits, keys)
    with pytest.raises(ptsecure.InvalidArgumentError, match="a dict is no model"):
        folder.publish("digits", {}, keys)
    with pytest.raises(ptsecure.InvalidArgumentError, match="live module"):
        folder.publish("digits", Dropping(), keys, format="opaque")
    with pytest.raises(ptsecure.InvalidModelError):
        folder.publish("digits", b"no model", keys)
    with pytest.raises(ptsecure.NotFoundError):
        folder.publish("digits", "no_such_file.pt", keys)
    folder.publish("digits", digits, keys)
    with pytest.raises(ptsecure.InvalidArgumentError, match=r"signed.*aead"):
        folder.load("digits", keys, verify="none")  # type: ignore[arg-type]
    with pytest.raises(ptsecure.UnsupportedError):
        folder.load("digits", keys, device="cuda:7")
    with pytest.raises(ptsecure.NotFoundError) as caught:
        folder.set_alias("digits", "production", 9, keys)
    assert isinstance(caught.value, LookupError)
    with pytest.raises(TypeError):
        folder.load("digits")  # type: ignore[call-arg]
    with pytest.raises(ptsecure.UnavailableError):
        ptsecure.open_store("mongodb://127.0.0.1:1/x", connect_timeout=0.2).load("digits", keys)


def test_an_alias_that_could_not_be_set(folder: ptsecure.Store, keys: ptsecure.Keyring) -> None:
    with pytest.raises(ptsecure.NoKeyError, match="alias") as caught:
        folder.publish("blob", b"x", keys.split("publisher"), alias="p", format="opaque")
    assert caught.value.version is None  # known before anything was stored
    folder.publish("blob", b"x", keys, alias="p", format="opaque")
    (record,) = (Path(folder.uri) / "records" / "alias").rglob("1.jws")
    record.write_bytes(b"damaged")
    with pytest.raises(ptsecure.CorruptError) as damaged:
        folder.publish("blob", b"y", keys, alias="p", format="opaque")
    assert damaged.value.version == 2
    assert folder.versions("blob")[0].version == 2


def test_nothing_is_pickled(folder: ptsecure.Store, keys: ptsecure.Keyring, digits: Path) -> None:
    folder.publish("digits", digits, keys)
    for each in (keys, folder, folder.load("digits", keys), folder.fetch("digits", keys)):
        with pytest.raises(TypeError, match="can't be pickled"):
            pickle.dumps(each)
    v = folder.publish("digits", digits, keys)
    again = pickle.loads(pickle.dumps(v))
    assert (again, again.name) == (v, v.name)
    assert copy.copy(v).reference == "digits/2"


def test_errors_are_those_of_the_document() -> None:
    document = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    rows = [line.split("|") for line in document.splitlines() if line.startswith("| `PTS_")]
    assert len(rows) == len(BY_CODE) - 1 == len(ptsecure.Error.__subclasses__())
    builtins = {
        "ValueError",
        "LookupError",
        "PermissionError",
        "ConnectionError",
        "OSError",
        "MemoryError",
        "TimeoutError",
    }
    for row in rows:
        name = row[5].split("`")[1]
        kind = getattr(ptsecure, name)
        assert issubclass(kind, ptsecure.Error)
        assert kind.code == int(row[2])
        assert kind("text").status == row[1].strip("` ").removeprefix("PTS_").lower()
        also = {each for each in builtins if f"`{each}` " not in row[5] and f"`{each}`" in row[5]}
        also |= {"TimeoutError"} if "the built-in one" in row[5] else set()
        assert also == {each.__name__ for each in kind.__bases__} - {"Error"}
    assert issubclass(ptsecure.TimeoutError, TimeoutError)


def test_logging(tmp_path: Path, keys: ptsecure.Keyring, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[tuple[int, str]] = []

    def log(level: int, text: str) -> None:
        lines.append((level, text))
        raise RuntimeError("a log function that fails harms nobody")

    for logger in (log, logging.getLogger("models")):
        with ptsecure.open_store(tmp_path / "store", log=logger) as store:
            store.publish("blob", b"x", keys, format="opaque")
            store.fetch("blob", keys).decrypt()


def test_progress_functions(folder: ptsecure.Store, keys: ptsecure.Keyring) -> None:
    plain = bytes(20_000_000)
    seen: list[tuple[int, int]] = []
    threads = set()

    def note(done: int, total: int) -> None:
        seen.append((done, total))
        threads.add(threading.current_thread())

    folder.publish("blob", plain, keys, format="opaque", progress=note)
    assert seen[-1] == (len(plain), len(plain))
    folder.fetch("blob", keys).decrypt(progress=note)
    folder.verify("blob", keys, progress=note)
    assert threads == {threading.main_thread()}

    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        folder.publish("blob", plain, keys, format="opaque", progress=stop)
    with pytest.raises(EnoughError):
        folder.fetch("blob", keys).decrypt(progress=stop)
    assert [each.version for each in folder.versions("blob")] == [1]


def test_credentials_stay_out_of_sight() -> None:
    store = ptsecure.open_store("mongodb://user:p%40ss@127.0.0.1:1,127.0.0.1:2/x?replicaSet=r")
    assert repr(store) == "<ptsecure.Store mongodb://127.0.0.1:1,127.0.0.1:2/x>"
    store.close()
    with pytest.raises(ptsecure.ClosedError):
        store.list()
