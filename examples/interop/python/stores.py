"""Where sealed models are: a folder, or a MongoDB database."""

import datetime
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import gridfs
import pymongo
import sealed


class Version(NamedTuple):
    """Version 1 of a model in a new store, and its chains of records."""

    name: str
    key_id: str
    blobs: dict[str, bytes]
    wraps: bytes
    records: dict[str, list[str]]
    manifest: str


class Folder:
    def __init__(self, path: str) -> None:
        self.root = Path(path)

    def id(self) -> str:
        return str(json.loads((self.root / "ptsecure-store.json").read_text())["id"])

    def manifest(self, name: str, version: int) -> str:
        return (self.root / "models" / name / str(version) / "manifest.jws").read_text()

    def blob(self, name: str, version: int, role: str) -> bytes:
        return (self.root / "models" / name / str(version) / role).read_bytes()

    def last_record(self, chain: str) -> str:
        files = (self.root / "records" / chain).glob("*.jws")
        return max(files, key=lambda file: int(file.stem)).read_text()

    def wraps(self, key_id: str, sequence: int) -> bytes:
        return (self.root / "wraps" / key_id / f"{sequence}.json").read_bytes()

    def create(self, store_id: str, v: Version) -> None:
        def write(path: str, content: bytes) -> None:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(content)

        marker = f'{{"format":"ptsecure/1","id":"{store_id}"}}\n'
        write("ptsecure-store.json", marker.encode())
        write(f"models/.names/{v.name.lower()}", v.name.encode())
        for role, content in v.blobs.items():
            write(f"models/{v.name}/1/{role}", content)
        write(f"wraps/{v.key_id}/1.json", v.wraps)
        for chain, records in v.records.items():
            parts = chain.split("/")
            for i, part in enumerate(parts):  # no two names there differ only in case
                write("/".join(["records", *parts[:i], ".names", part.lower()]), part.encode())
            for sequence, record in enumerate(records, 1):
                write(f"records/{chain}/{sequence}.jws", record.encode())
        write(f"models/{v.name}/1/manifest.jws", v.manifest.encode())  # the commit


class Database:
    def __init__(self, uri: str) -> None:
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri)
        self.db = client.get_default_database()
        self.bucket = gridfs.GridFSBucket(self.db, "ptsecure.payloads", sealed.SEGMENT)

    def find(self, collection: str, wanted: dict[str, Any]) -> Any:
        return self.db[f"ptsecure.{collection}"].find_one(wanted, sort=[("sequence", -1)])

    def id(self) -> str:
        return str(self.find("meta", {"_id": "store"})["id"])

    def manifest(self, name: str, version: int) -> str:
        row = self.find("versions", {"name": name, "version": version, "state": "committed"})
        return str(row["manifest"])

    def blob(self, name: str, version: int, role: str) -> bytes:
        return bytes(self.bucket.open_download_stream(f"{name}/{version}/{role}").read())

    def last_record(self, chain: str) -> str:
        return str(self.find("records", {"chain": chain})["record"])

    def wraps(self, key_id: str, sequence: int) -> bytes:
        row = self.find("wraps", {"key_id": key_id, "sequence": sequence})
        return str(row["wraps"]).encode()

    def create(self, store_id: str, v: Version) -> None:
        now = datetime.datetime.now(datetime.UTC)

        def insert(collection: str, key: str, **fields: Any) -> None:
            self.db[f"ptsecure.{collection}"].insert_one({"_id": key, **fields})

        for role, content in v.blobs.items():
            file = f"{v.name}/1/{role}"
            about = {"name": v.name, "version": 1, "role": role}
            self.bucket.upload_from_stream_with_id(file, file, content, metadata=about)
        insert("names", v.name.lower(), name=v.name, last=1)
        insert("wraps", f"{v.key_id}/1", key_id=v.key_id, sequence=1, wraps=v.wraps.decode())
        for chain, records in v.records.items():
            parent, leaf = os.path.split(chain)
            insert("chains", chain.lower(), parent=parent, leaf=leaf, format=1)
            place = {"chain": chain, "parent": parent, "leaf": leaf}
            for i, record in enumerate(records, 1):
                insert("records", f"{chain}/{i}", **place, sequence=i, record=record)
        done = {"state": "committed", "manifest": v.manifest, "created": now, "changed": now}
        insert("versions", f"{v.name}/1", name=v.name, version=1, **done)
        insert("meta", "store", format=1, id=store_id)


def open_store(uri: str) -> Folder | Database:
    return Database(uri) if uri.startswith("mongodb") else Folder(uri)
