"""Opens a sealed model without ptsecure: python open_model.py STORE NAME/VERSION KEYS OUT

STORE is a folder, a mongodb:// URI with a database, or a folder that `ptsecure export` wrote.
Prints the manifest; OUT is the model file.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import sealed


class Folder:
    def __init__(self, path: str) -> None:
        self.root = Path(path)
        self.id: str = json.loads((self.root / "ptsecure-store.json").read_text())["id"]

    def manifest(self, name: str, version: int) -> str:
        return (self.root / "models" / name / str(version) / "manifest.jws").read_text()

    def blob(self, name: str, version: int, role: str) -> bytes:
        return (self.root / "models" / name / str(version) / role).read_bytes()

    def last_key_record(self, key_id: str) -> str:
        files = (self.root / "records" / "key" / key_id).glob("*.jws")
        return max(files, key=lambda file: int(file.stem)).read_text()

    def wraps(self, key_id: str, sequence: int) -> str:
        return (self.root / "wraps" / key_id / f"{sequence}.json").read_text()


class Database:
    def __init__(self, uri: str) -> None:
        import gridfs
        from pymongo import MongoClient

        client: Any = MongoClient(uri)
        self.db = client.get_default_database()
        self.bucket = gridfs.GridFSBucket(self.db, "ptsecure.payloads")
        self.id = str(self.db["ptsecure.meta"].find_one()["id"])

    def manifest(self, name: str, version: int) -> str:
        row = self.db["ptsecure.versions"].find_one(
            {"name": name, "version": version, "state": "committed"}
        )
        return str(row["manifest"])

    def blob(self, name: str, version: int, role: str) -> bytes:
        return self.bucket.open_download_stream_by_name(f"{name}/{version}/{role}").read()

    def last_key_record(self, key_id: str) -> str:
        row = self.db["ptsecure.records"].find_one(
            {"chain": f"key/{key_id}"}, sort=[("sequence", -1)]
        )
        return str(row["record"])

    def wraps(self, key_id: str, sequence: int) -> str:
        row = self.db["ptsecure.wraps"].find_one({"key_id": key_id, "sequence": sequence})
        return str(row["wraps"])


def open_export(folder: Path, keys: sealed.Keyring) -> tuple[Any, bytes]:
    """The same from the parts of one version, which hold no key status and no store id."""
    manifest = keys.verify((folder / "manifest.jws").read_text(), ["manifest"])
    entry = next(p for p in manifest["payloads"] if p["role"] == "model")
    wraps = []
    for file in sorted(folder.glob("key-*.jwe")):
        token = file.read_text()
        wraps.append({"kid": json.loads(sealed.unb64(token.split(".")[0]))["kid"], "jwe": token})
    return manifest, unseal(
        entry,
        keys.unwrap(wraps, entry["key_id"]),
        (folder / "payload.bin").read_bytes(),
        (folder / "digests.bin").read_bytes(),
    )


def open_model(uri: str, name: str, version: int, keys: sealed.Keyring) -> tuple[Any, bytes]:
    store = Database(uri) if uri.startswith("mongodb") else Folder(uri)
    manifest = keys.verify(store.manifest(name, version), ["manifest"])
    if (manifest["store"], manifest["name"], manifest["version"]) != (store.id, name, version):
        raise ValueError("this manifest is another version's")
    entry = next(p for p in manifest["payloads"] if p["role"] == "model")

    key = keys.verify(store.last_key_record(entry["key_id"]), ["key", "manifest"])["body"]
    wraps = store.wraps(entry["key_id"], key["wraps_sequence"])
    if (
        key["status"] != "enabled"
        or sealed.b64(hashlib.sha256(wraps.encode()).digest()) != key["wraps"]
    ):
        raise ValueError("the key is not enabled, or its wrapped keys are others")
    dek = keys.unwrap(json.loads(wraps)["recipients"], entry["key_id"])
    payload = store.blob(entry["sealed_name"], entry["sealed_version"], "model")
    digests = store.blob(entry["sealed_name"], entry["sealed_version"], "model.digests")
    return manifest, unseal(entry, dek, payload, digests)


def unseal(entry: Any, dek: bytes, payload: bytes, digests: bytes) -> bytes:
    if sealed.b64(sealed.key_commitment(dek)) != entry["key_commitment"]:
        raise ValueError("this is another key than the one the manifest commits to")
    if sealed.digests(payload) != digests:
        raise ValueError("the payload's blocks are not the signed ones")
    if sealed.b64(hashlib.sha256(digests).digest()) != entry["digests_sha256"]:
        raise ValueError("the digests are not the signed ones")
    aad = sealed.associated_data(entry["sealed_name"], entry["sealed_version"])
    return sealed.decrypt(payload, dek, aad)


def main() -> None:
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    uri, reference, keys, out = sys.argv[1:]
    name, version = reference.split("/")
    ring = sealed.Keyring(keys)
    if (Path(uri) / "payload.bin").exists():
        manifest, plain = open_export(Path(uri), ring)
    else:
        manifest, plain = open_model(uri, name, int(version), ring)
    Path(out).write_bytes(plain)
    print(json.dumps(manifest, indent=1))


if __name__ == "__main__":
    main()
