"""Whole-file JWEs that lie in MongoDB's GridFS, imported by the command."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gridfs
import pymongo
import pytest
from bson import ObjectId
from pymongo.database import Database

from tests.cli.command import DIGITS, Command, database
from tests.cli.test_import import ASYMMETRIC, MODEL, SHA256, decrypted, encrypt, key_for

DIRECT = "A256KW"


class Source:
    """A database with JWEs in GridFS, and a store to import them to."""

    def __init__(self, uri: str, command: Command, folder: Path) -> None:
        self.uri, self.command, self.folder = uri, command, folder
        self.client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri)
        self.database: Database[dict[str, Any]] = self.client.get_default_database()
        self.key = key_for(DIRECT, "A256GCM")
        self.jwk = folder / "key.jwk"
        self.jwk.write_text(self.key.export())
        self.text = encrypt(DIRECT, "A256GCM", self.key).encode()

    def put(
        self, text: bytes | None = None, name: str = "model.jwe", bucket: str = "fs", **more: Any
    ) -> ObjectId:
        fs = gridfs.GridFSBucket(self.database, bucket)
        return fs.upload_from_stream(name, self.text if text is None else text, **more)

    def arguments(self, *more: object, file: object = "model.jwe") -> list[object]:
        key = [] if "--gridfs-jwk" in more else ["--jwk", self.jwk]
        return ["import", file, "m", "--gridfs", self.uri, *key, "--format", "opaque", *more]

    def ok(self, *more: object, file: object = "model.jwe") -> bytes:
        self.command.ok(*self.arguments(*more, file=file))
        self.command.ok("verify", "m")
        return decrypted(self.command, "m", self.folder / "out")

    def fails(self, code: int, *more: object, file: object = "model.jwe") -> str:
        line = self.command.fails(code, *self.arguments(*more, file=file))
        assert self.command.run("show", "m").returncode == 3, "nothing may be there"
        return line


@pytest.fixture
def source(mongod: str, command: Command, tmp_path: Path) -> Iterator[Source]:
    found = Source(database(mongod, tmp_path.name + "_source"), command, tmp_path)
    yield found
    found.client.drop_database(found.database)
    found.client.close()


@pytest.fixture
def folder_source(mongod: str, folder: Command, tmp_path: Path) -> Iterator[Source]:
    found = Source(database(mongod, tmp_path.name + "_source"), folder, tmp_path)
    yield found
    found.client.drop_database(found.database)
    found.client.close()


def test_to_either_store(source: Source) -> None:
    before = source.put(os.urandom(1000))  # an older one of the same name
    newest = source.put()
    assert source.ok() == MODEL
    assert source.ok("--by-id", file=newest) == MODEL
    refused = source.command.run(*source.arguments("--by-id", file=before))
    assert refused.returncode == 4, refused.stderr
    assert source.command.ok("show", "m", "--json").count('"version":2') == 1
    names = set(source.database.list_collection_names())
    assert names == {"fs.files", "fs.chunks"}, "the source is only read"


@pytest.mark.parametrize("chunk", [1 << 10, 12_345, 255 << 10, 400_136, 4 << 20])
@pytest.mark.parametrize("form", ["compact", "flattened"])
def test_chunk_sizes(folder_source: Source, form: str, chunk: int) -> None:
    text = encrypt(DIRECT, "A256CBC-HS512", folder_source.key, form)
    folder_source.put(text.encode(), chunk_size_bytes=chunk)
    assert folder_source.ok() == MODEL


@pytest.mark.parametrize("name", ["model v1.jwe", "$where", "données.jwe", "0" * 24])
def test_names_and_buckets(folder_source: Source, name: str) -> None:
    folder_source.put(name=name, bucket="models.sealed")
    assert folder_source.ok("--bucket", "models.sealed", file=name) == MODEL


def test_ids_of_other_types(folder_source: Source) -> None:
    fs = gridfs.GridFSBucket(folder_source.database)
    for given in ("the-model", "a" * 24):
        fs.upload_from_stream_with_id(given, "x", folder_source.text)
        assert folder_source.ok("--by-id", file=given) == MODEL
    files = folder_source.database["fs.files"]
    for length in (
        float(len(folder_source.text)),
        len(folder_source.text),
    ):  # as old drivers wrote it
        files.update_many({}, {"$set": {"length": length}})
        assert folder_source.ok("--by-id", file="the-model") == MODEL


def test_a_key_beside_it(folder_source: Source) -> None:
    folder_source.put()
    folder_source.put(folder_source.key.export().encode(), name="key.jwk")
    line = folder_source.fails(2, "--gridfs-jwk", "key.jwk")
    assert "--sha256" in line
    more = ["--gridfs-jwk", "absent.jwk", "--sha256", SHA256]
    assert "absent.jwk" in folder_source.fails(3, *more)
    other = ["--gridfs-jwk", "key.jwk", "--sha256", "0" * 64]
    assert "another SHA-256" in folder_source.fails(4, *other)
    folder_source.put(os.urandom(70_000), name="long.jwk")
    folder_source.fails(1, "--gridfs-jwk", "long.jwk", "--sha256", SHA256)
    assert folder_source.ok("--gridfs-jwk", "key.jwk", "--sha256", SHA256) == MODEL


@pytest.mark.parametrize("alg", sorted(ASYMMETRIC))
def test_asymmetric_ones_need_the_digest(folder_source: Source, alg: str) -> None:
    folder_source.key = key_for(alg, "A256GCM")
    folder_source.jwk.write_text(folder_source.key.export())
    folder_source.put(encrypt(alg, "A256GCM", folder_source.key).encode())
    assert "--sha256" in folder_source.fails(2)
    assert folder_source.ok("--sha256", SHA256) == MODEL


def test_what_is_not_there(folder_source: Source) -> None:
    line = folder_source.fails(3)
    assert "no files at all" in line and "'model.jwe'" in line and "'fs'" in line
    folder_source.put(name="other.jwe")
    assert "no such file" in folder_source.fails(3)
    folder_source.put()
    assert "no files at all" in folder_source.fails(3, "--bucket", "elsewhere")
    folder_source.fails(3, "--by-id", file=ObjectId())
    for bucket in ("", "a$b", "system.x", ".fs"):
        folder_source.fails(2, "--bucket", bucket)


def test_wrong_uses(folder_source: Source, tmp_path: Path) -> None:
    command = folder_source.command
    for arguments in (
        ["--jwk", folder_source.jwk, "--bucket", "b"],
        ["--jwk", folder_source.jwk, "--by-id"],
        ["--gridfs-jwk", "k"],
        ["--gridfs", folder_source.uri],
        ["--gridfs", folder_source.uri, "--gridfs-jwk", "k", "--jwk", folder_source.jwk],
    ):
        assert command.run("import", "x", "m", *arguments).returncode == 2, arguments
    key = ["--jwk", folder_source.jwk]
    command.fails(2, "import", "x", "m", "--gridfs", str(tmp_path), *key)
    command.fails(2, "import", "x", "m", "--gridfs", "mongodb://127.0.0.1", *key)
    absent = "mongodb://user:secret@127.0.0.1:1/models?serverSelectionTimeoutMS=200"
    line = command.run("import", "x", "m", "--gridfs", absent, *key)
    assert line.returncode == 6 and "127.0.0.1:1" in line.stderr and "secret" not in line.stderr


def chunk_of(source: Source, n: int) -> dict[str, Any]:
    found = source.database["fs.chunks"].find_one({"n": n})
    assert found
    return found


@pytest.mark.parametrize("n", [0, 3, 12, 13])
def test_a_missing_chunk(folder_source: Source, n: int) -> None:
    folder_source.put(chunk_size_bytes=30_000)  # 14 chunks
    folder_source.database["fs.chunks"].delete_one({"n": n})
    assert f"lacks chunk {n}" in folder_source.fails(4)


def test_chunks_too_many(folder_source: Source) -> None:
    folder_source.put(chunk_size_bytes=30_000)
    chunks = folder_source.database["fs.chunks"]
    extra = chunk_of(folder_source, 13) | {"_id": ObjectId(), "n": 14}
    chunks.insert_one(extra)
    assert "has 15 chunks" in folder_source.fails(4)
    chunks.delete_one({"_id": extra["_id"]})
    chunks.drop_index("files_id_1_n_1")
    twice = chunk_of(folder_source, 5) | {"_id": ObjectId()}
    chunks.insert_one(twice)
    folder_source.fails(4)
    chunks.delete_one({"n": 7})  # now the count is right
    assert "chunk 5 twice" in folder_source.fails(4)


@pytest.mark.parametrize("n", [0, 13])
@pytest.mark.parametrize("change", ["shorter", "longer", "no bytes", "text"])
def test_a_chunk_of_another_length(folder_source: Source, n: int, change: str) -> None:
    folder_source.put(chunk_size_bytes=30_000)
    data = chunk_of(folder_source, n)["data"]
    other = {"shorter": data[:-1], "longer": data + b"A", "no bytes": b"", "text": "A" * len(data)}
    folder_source.database["fs.chunks"].update_one({"n": n}, {"$set": {"data": other[change]}})
    assert "chunk" in folder_source.fails(4)


def test_truncated_and_flipped(folder_source: Source) -> None:
    chunks, files = folder_source.database["fs.chunks"], folder_source.database["fs.files"]
    folder_source.put(folder_source.text[:200_000])
    folder_source.fails(4)
    folder_source.put(b"")
    folder_source.fails(4)
    folder_source.put(chunk_size_bytes=30_000)
    newest = files.find_one(sort=[("uploadDate", -1)])
    assert newest
    where = {"files_id": newest["_id"], "n": 6}
    chunk = chunks.find_one(where)
    assert chunk
    data = bytearray(chunk["data"])
    data[1000] = ord("A") if data[1000] != ord("A") else ord("B")
    chunks.update_one(where, {"$set": {"data": bytes(data)}})
    assert "does not open" in folder_source.fails(4)
    # Two chunks that have changed places have the right lengths and numbers.
    chunks.update_one(where, {"$set": {"data": chunk["data"]}})
    assert folder_source.command.run(*folder_source.arguments()).returncode == 0
    folder_source.command.store += "-2"
    chunks.update_one(where, {"$set": {"n": 99}})
    chunks.update_one(where | {"n": 7}, {"$set": {"n": 6}})
    chunks.update_one(where | {"n": 99}, {"$set": {"n": 7}})
    assert "does not open" in folder_source.fails(4)


@pytest.mark.parametrize(
    "change",
    [
        {"length": -1},
        {"length": "5"},
        {"length": 0.5},
        {"length": 1 << 62},
        {"chunkSize": 0},
        {"chunkSize": 1 << 30},
    ],
)
def test_unusable_file_documents(folder_source: Source, change: dict[str, Any]) -> None:
    folder_source.put()
    folder_source.database["fs.files"].update_one({}, {"$set": change})
    assert "length" in folder_source.fails(4)


def test_a_real_model_runs(mongod: str, folder: Command, tmp_path: Path) -> None:
    source = Source(database(mongod, tmp_path.name + "_source"), folder, tmp_path)
    plain = (DIGITS / "digits.pt").read_bytes()
    source.put(encrypt(DIRECT, "A256GCM", source.key, plain=plain).encode())
    folder.ok("import", "model.jwe", "m", "--gridfs", source.uri, "--jwk", source.jwk)
    answer = folder.ok("infer", "m", "--input", DIGITS / "heldout_images.npy")
    assert json.loads(answer)["outputs"][0]["shape"][1] == 10
    source.client.drop_database(source.database)
    source.client.close()


def test_memory_is_the_model_and_little_more(folder_source: Source) -> None:
    size = 64 << 20
    plain = os.urandom(1 << 20) * (size >> 20)
    digest = hashlib.sha256(plain).hexdigest()
    folder_source.put(encrypt(DIRECT, "A256GCM", folder_source.key, plain=plain).encode())
    del plain
    arguments = folder_source.arguments("--sha256", digest)
    peak = folder_source.command.peak(*arguments)
    assert peak < size + (48 << 20), f"{peak >> 20} MiB"
