"""What is published and imported: paths, memory, binary files, GridFS."""

import base64
import contextlib
import hashlib
import io
import json
import mmap
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gridfs
import numpy as np
import ptsecure
import pymongo
import pytest
from jwcrypto import jwk

from tests.cli.command import database
from tests.cli.test_import import MODEL, SHA256, encrypt, key_for

ENC = "A256GCM"


def stored(store: ptsecure.Store, keys: ptsecure.Keyring, reference: str = "m") -> bytes:
    with store.fetch(reference, keys) as package:
        return package.decrypt().tobytes()


# --- publish ----------------------------------------------------------------------------------


def test_binary_files(store: ptsecure.Store, keys: ptsecure.Keyring, tmp_path: Path) -> None:
    plain = os.urandom(3_000_001)
    path = tmp_path / "model"
    path.write_bytes(plain)
    stream = io.BytesIO(plain)
    stream.seek(0, os.SEEK_END)  # as whoever wrote it left it
    seen: list[tuple[int, int]] = []
    with path.open("rb") as buffered, path.open("rb", buffering=0) as raw:
        buffered.seek(1000)
        files: list[Any] = [buffered, raw, stream]
        for version, file in enumerate(files, 1):
            done = store.publish(
                "m", file, keys, format="opaque", progress=lambda *each: seen.append(each)
            )
            assert done == version
            assert stored(store, keys) == plain
            assert seen[-1] == (len(plain), len(plain))
        with mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            store.publish("m", mapped, keys, format="opaque")
            assert stored(store, keys) == plain
    with tempfile.NamedTemporaryFile() as written:
        written.write(plain)
        store.publish("m", written, keys, format="opaque")
        assert stored(store, keys) == plain
    array: Any = np.frombuffer(plain, np.uint8)
    store.publish("m", array, keys, format="opaque")
    assert stored(store, keys) == plain
    with pytest.raises(ptsecure.InvalidArgumentError, match="lie together"):
        store.publish("m", memoryview(plain)[::2], keys, format="opaque")


def test_a_model_from_a_file_object_is_run(
    folder: ptsecure.Store, keys: ptsecure.Keyring, digits: Path, images: Any
) -> None:
    with digits.open("rb") as file:
        folder.publish("digits", file, keys, sample=images)
    folder.publish("again", digits, keys)
    np.testing.assert_array_equal(
        folder.load("digits", keys)(images), folder.load("again", keys)(images)
    )


def test_a_sample_as_a_request(
    folder: ptsecure.Store, keys: ptsecure.Keyring, digits: Path
) -> None:
    pixel = {"name": "images", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [0.0] * 64}
    request = {"inputs": [pixel]}
    samples: list[dict[str, Any] | str] = [request, json.dumps(request)]
    for version, sample in enumerate(samples, 1):
        folder.publish("digits", digits, keys, sample_json=sample)
        assert folder.show(f"digits/{version}", keys)["inputs"][0]["shape"] == [-1, 1, 8, 8]
    with pytest.raises(ptsecure.Error):
        folder.publish("digits", digits, keys, sample_json="{")
    with pytest.raises(ptsecure.InvalidArgumentError, match="sample_json is ''"):
        folder.publish("digits", digits, keys, sample_json="")


class Odd:
    """A binary file that isn't one."""

    def __init__(self, read: Callable[[int], Any]) -> None:
        self.read = read
        self.at = 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.at = 100 if whence == os.SEEK_END else offset
        return self.at

    def tell(self) -> int:
        return self.at


def test_files_that_cannot_be_read(
    folder: ptsecure.Store, keys: ptsecure.Keyring, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("x" * 100)

    def publish(file: Any) -> None:
        folder.publish("m", file, keys, format="opaque")

    with (
        (tmp_path / "text").open() as text,
        pytest.raises(ptsecure.InvalidArgumentError, match="'rb'"),
    ):
        publish(text)
    read_end, write_end = os.pipe()
    os.close(write_end)
    with (
        os.fdopen(read_end, "rb") as pipe,
        pytest.raises(ptsecure.InvalidArgumentError, match="that can seek"),
    ):
        publish(pipe)
    with pytest.raises(ptsecure.InvalidArgumentError, match="'rb'"):
        publish(Odd(lambda size: "x" * size))
    with pytest.raises(ptsecure.ConflictError, match="ends at byte 0 and had 100"):
        publish(Odd(lambda size: b""))

    class DiskError(Exception):
        pass

    def fail(size: int) -> bytes:
        raise DiskError(size)

    with pytest.raises(DiskError):
        publish(Odd(fail))
    publish(Odd(lambda size: b"xy"[: min(size, 2)]))  # short reads are no end
    assert stored(folder, keys) == b"xy" * 50
    assert [each.version for each in folder.versions("m")] == [folder.versions("m")[0].version]


# --- import -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["compact", "flattened"])
@pytest.mark.parametrize("alg", ["dir", "A256KW"])
def test_symmetric_keys(
    store: ptsecure.Store, keys: ptsecure.Keyring, tmp_path: Path, alg: str, form: str
) -> None:
    key = key_for(alg, ENC)
    text = encrypt(alg, ENC, key, form).encode()
    path = tmp_path / "model.jwe"
    path.write_bytes(text)
    seen: list[tuple[int, int]] = []
    done = store.import_jwe(
        "m",
        path,
        keys,
        jwk=key.export(),
        alias="production",
        labels={"from": "jose"},
        format="opaque",
        progress=lambda *each: seen.append(each),
    )
    assert repr(done) == "<ptsecure.PublishedVersion m/1>"
    assert stored(store, keys, "m@production") == MODEL
    assert seen[-1] == (len(MODEL), len(MODEL))
    with path.open("rb") as file:
        store.import_jwe("m", file, keys, jwk=key.export(as_dict=True), format="opaque")
    store.import_jwe("m", text, keys, jwk=key.export().encode(), sha256=SHA256, format="opaque")
    digest = hashlib.sha256(MODEL).digest()
    store.import_jwe("m", io.BytesIO(text), keys, jwk=key.export(), sha256=digest, format="opaque")
    assert {stored(store, keys, f"m/{version}") for version in (1, 2, 3, 4)} == {MODEL}
    assert all(check.ok for check in store.verify("m", keys))


def test_passwords(folder: ptsecure.Store, keys: ptsecure.Keyring) -> None:
    password = "correct hörse"
    k = base64.urlsafe_b64encode(password.encode()).rstrip(b"=").decode()
    text = encrypt("PBES2-HS512+A256KW", ENC, jwk.JWK(kty="oct", k=k)).encode()
    for given in (password, password.encode()):
        folder.import_jwe("m", text, keys, password=given, format="opaque")
        assert stored(folder, keys) == MODEL
    with pytest.raises(ptsecure.Error) as wrong:
        folder.import_jwe("m", text, keys, password="wrong", format="opaque")
    assert type(wrong.value) in (ptsecure.CorruptError, ptsecure.NoKeyError)
    assert [each.version for each in folder.versions("m")] == [2, 1]


@pytest.mark.parametrize("alg", ["RSA-OAEP-256", "ECDH-ES+A256KW"])
def test_public_keys_need_the_digest(
    folder: ptsecure.Store, keys: ptsecure.Keyring, alg: str
) -> None:
    key = key_for(alg, ENC)
    text = encrypt(alg, ENC, key).encode()
    with pytest.raises(ptsecure.InvalidArgumentError, match=r"(?i)sha-?256"):
        folder.import_jwe("m", text, keys, jwk=key.export(), format="opaque")
    with pytest.raises(ptsecure.CorruptError, match=r"(?i)sha-?256"):
        folder.import_jwe("m", text, keys, jwk=key.export(), sha256="0" * 64, format="opaque")
    with pytest.raises(ptsecure.NotFoundError):
        folder.versions("m")
    folder.import_jwe("m", text, keys, jwk=key.export(), sha256=SHA256, format="opaque")
    assert stored(folder, keys) == MODEL


def test_nothing_comes_of_a_wrong_one(store: ptsecure.Store, keys: ptsecure.Keyring) -> None:
    store.publish("other", b"x", keys, format="opaque")
    key = key_for("A256KW", ENC)
    parts = encrypt("A256KW", ENC, key).split(".")
    tag = bytearray(base64.urlsafe_b64decode(parts[4] + "=="))
    tag[0] ^= 1
    parts[4] = base64.urlsafe_b64encode(tag).rstrip(b"=").decode()
    text = ".".join(parts).encode()
    sources: list[Any] = [text, io.BytesIO(text)]
    for file in sources:
        with pytest.raises(ptsecure.CorruptError):
            store.import_jwe("m", file, keys, jwk=key.export(), alias="p", format="opaque")
    good = encrypt("A256KW", ENC, key).encode()
    with pytest.raises(ptsecure.Error):
        store.import_jwe("m", good, keys, jwk=key_for("A256KW", ENC).export(), format="opaque")
    assert [each.name for each in store.list()] == ["other"]


def test_wrong_calls(folder: ptsecure.Store, keys: ptsecure.Keyring, tmp_path: Path) -> None:
    key = key_for("A256KW", ENC)
    text = encrypt("A256KW", ENC, key).encode()
    with pytest.raises(ptsecure.InvalidArgumentError, match="jwk= or password="):
        folder.import_jwe("m", text, keys)
    with pytest.raises(ptsecure.InvalidArgumentError, match="not by both"):
        folder.import_jwe("m", text, keys, jwk=key.export(), password="x")
    with pytest.raises(ptsecure.InvalidArgumentError, match="a dict is no model"):
        folder.import_jwe("m", {}, keys, jwk=key.export())  # type: ignore[arg-type]
    with pytest.raises(ptsecure.InvalidArgumentError, match="sha256 is ''"):
        folder.import_jwe("m", text, keys, jwk=key.export(), sha256="")
    with pytest.raises(ptsecure.NotFoundError):
        folder.import_jwe("m", tmp_path / "none.jwe", keys, jwk=key.export())
    for wrong in ("no json", "{}", b"\xff"):
        with pytest.raises(ptsecure.Error):
            folder.import_jwe("m", text, keys, jwk=wrong, format="opaque")
    folder.publish("n", b"x", keys, format="opaque")
    assert [each.name for each in folder.list()] == ["n"]


def test_an_imported_model_is_run(
    folder: ptsecure.Store, keys: ptsecure.Keyring, digits: Path, images: Any
) -> None:
    key = key_for("dir", ENC)
    text = encrypt("dir", ENC, key, plain=digits.read_bytes()).encode()
    folder.import_jwe("digits", text, keys, jwk=key.export(), sample=images)
    folder.publish("same", digits, keys)
    np.testing.assert_array_equal(
        folder.load("digits", keys)(images), folder.load("same", keys)(images)
    )


def test_from_gridfs(
    store: ptsecure.Store, keys: ptsecure.Keyring, mongod: str, tmp_path: Path
) -> None:
    """By pymongo's own GridOut, and fetched by the library."""
    uri = database(mongod, tmp_path.name + "_source")
    key = key_for("A256KW", ENC)
    text = encrypt("A256KW", ENC, key).encode()
    with contextlib.closing(pymongo.MongoClient[dict[str, Any]](uri)) as client:
        bucket = gridfs.GridFSBucket(client.get_default_database(), "sealed")
        id = bucket.upload_from_stream("model.jwe", text, chunk_size_bytes=100_000)
        bucket.upload_from_stream("key.jwk", key.export().encode())
        bucket.upload_from_stream("model.pt", MODEL)

        with bucket.open_download_stream(id) as out:
            store.import_jwe("m", out, keys, jwk=key.export(), format="opaque")
        with bucket.open_download_stream_by_name("model.pt") as out:
            store.publish("m", out, keys, format="opaque")

        by_name = ptsecure.GridFSFile(uri, "model.jwe", bucket="sealed")
        store.import_jwe("m", by_name, keys, jwk=key.export(), format="opaque")
        by_id = ptsecure.GridFSFile(uri, id=id, bucket="sealed")
        jwk = ptsecure.GridFSFile(uri, "key.jwk", bucket="sealed")
        store.import_jwe("m", by_id, keys, jwk=jwk, sha256=SHA256, format="opaque")
        store.publish(
            "m", ptsecure.GridFSFile(uri, "model.pt", bucket="sealed"), keys, format="opaque"
        )
        file = tmp_path / "key.jwk"
        file.write_text(key.export())
        store.import_jwe("m", text, keys, jwk=file, format="opaque")
        versions = (1, 2, 3, 4, 5, 6)
        assert {stored(store, keys, f"m/{version}") for version in versions} == {MODEL}

        with pytest.raises(ptsecure.InvalidArgumentError, match=r"(?i)sha-?256"):
            store.import_jwe("m", by_id, keys, jwk=jwk, format="opaque")
        absent = ptsecure.GridFSFile(uri, "absent.jwe", bucket="sealed")
        with pytest.raises(ptsecure.NotFoundError):
            store.import_jwe("m", absent, keys, jwk=key.export())
        with pytest.raises(ptsecure.InvalidArgumentError):
            store.import_jwe("m", ptsecure.GridFSFile(uri), keys, jwk=key.export())
        chunks = client.get_default_database()["sealed.chunks"]
        chunks.delete_one({"files_id": id, "n": 1})
        with pytest.raises(ptsecure.CorruptError):
            store.import_jwe("m", by_name, keys, jwk=key.export(), format="opaque")
        with bucket.open_download_stream(id) as out, pytest.raises(gridfs.errors.CorruptGridFile):
            store.import_jwe("m", out, keys, jwk=key.export(), format="opaque")
        assert [each.version for each in store.versions("m")] == [6, 5, 4, 3, 2, 1]


def test_what_stops_an_import(folder: ptsecure.Store, keys: ptsecure.Keyring) -> None:
    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        raise EnoughError

    key = key_for("dir", ENC)
    text = encrypt("dir", ENC, key, plain=bytes(20_000_000)).encode()
    with pytest.raises(EnoughError):
        folder.import_jwe(
            "m", io.BytesIO(text), keys, jwk=key.export(), format="opaque", progress=stop
        )
    folder.publish("n", b"x", keys, format="opaque")
    assert [each.name for each in folder.list()] == ["n"]
