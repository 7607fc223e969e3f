"""Seals a file without ptsecure: python publish_model.py FILE NAME KEYS STORE

The result is version 1 of NAME, opaque bytes, in a new store, which ptsecure opens. STORE is a
folder, or a mongodb:// URI with a database.
"""

import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sealed
import stores
from keyring import Keyring


def publish(plain: bytes, name: str, keys: Keyring, uri: str) -> None:
    store_id, now = sealed.b64(secrets.token_bytes(16)), datetime.now(UTC)
    common = {"ptsecure": 1, "store": store_id}
    dek, key_id = secrets.token_bytes(32), secrets.token_hex(16)
    payload = sealed.encrypt(plain, dek, sealed.associated_data(name, 1))
    digests = sealed.digests(payload)
    entry = {"role": "model", "sealed_name": name, "sealed_version": 1, "key_id": key_id}
    entry |= {"key_commitment": sealed.b64(sealed.key_commitment(dek))}
    entry |= {"plaintext_size": len(plain), "stored_size": len(payload)}
    entry |= {"digests_sha256": sealed.sha256(digests)}
    manifest = common | {"name": name, "version": 1, "format": "opaque", "engine": ""}
    manifest |= {"created": f"{now:%Y-%m-%dT%H:%M:%SZ}", "payloads": [entry]}
    manifest |= {"inputs": [], "outputs": [], "stateful": False, "labels": {}}

    def record(signer: str, chain: list[str], body: Any, previous: str | None = None) -> str:
        """Number 1 of a chain of records, or number 2 after `previous`."""
        head = common | {"chain": chain, "sequence": 2 if previous else 1}
        head |= {"previous": sealed.sha256(previous.encode()) if previous else None}
        head |= {"time": manifest["created"], "reason": "published", "body": body}
        return keys.sign(head, chain[0], signer)

    recipients = keys.wrap(dek, key_id)
    wraps = sealed.to_json({"ptsecure": 1, "key_id": key_id, "recipients": recipients})
    key = {"name": name, "version": 1, "status": "enabled"}
    key |= {"wraps_sequence": 1, "wraps": sealed.sha256(wraps)}
    # Every change is announced in the log, and confirmed once it has been made.
    change = {"what": "publish", "name": name, "version": 1}
    change |= {"manifest": sealed.sha256(sealed.to_json(manifest))}
    announced = record("log", ["log"], change)
    done = record("log", ["log"], {"what": "done", "name": name, "confirms": 1}, announced)
    records = {"log": [announced, done]}
    records |= {f"key/{key_id}": [record("manifest", ["key", key_id], key)]}
    version = stores.Version(
        name=name,
        key_id=key_id,
        blobs={"model": payload, "model.digests": digests},
        wraps=wraps,
        records=records,
        manifest=keys.sign(manifest, "manifest", "manifest"),
    )
    stores.open_store(uri).create(store_id, version)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    file, name, keyring, uri = sys.argv[1:]
    publish(Path(file).read_bytes(), name, Keyring(keyring), uri)
