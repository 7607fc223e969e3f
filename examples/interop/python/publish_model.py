"""Seals a file without ptsecure: python publish_model.py FILE NAME KEYS STORE

The result is version 1 of NAME, opaque bytes, in a new folder store, which ptsecure opens.
"""

import hashlib
import json
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sealed


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def claim(folder: Path, name: str) -> None:
    """No two names in a folder differ only in case."""
    write(folder / ".names" / name.lower(), name.encode())


def publish(plain: bytes, name: str, keys: sealed.Keyring, root: Path) -> None:
    store_id = sealed.b64(secrets.token_bytes(16))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    dek, key_id = sealed.new_dek(), sealed.new_key_id()
    payload = sealed.encrypt(plain, dek, sealed.associated_data(name, 1))
    digests = sealed.digests(payload)
    wraps = json.dumps(
        {"ptsecure": 1, "key_id": key_id, "recipients": keys.wrap(dek, key_id)},
        separators=(",", ":"),
    ).encode()
    key_record: dict[str, Any] = {
        "ptsecure": 1,
        "store": store_id,
        "chain": ["key", key_id],
        "sequence": 1,
        "previous": None,
        "time": now,
        "reason": "published",
        "body": {
            "name": name,
            "version": 1,
            "status": "enabled",
            "wraps_sequence": 1,
            "wraps": sealed.b64(hashlib.sha256(wraps).digest()),
        },
    }
    manifest: dict[str, Any] = {
        "ptsecure": 1,
        "store": store_id,
        "name": name,
        "version": 1,
        "created": now,
        "format": "opaque",
        "engine": "",
        "payloads": [
            {
                "role": "model",
                "sealed_name": name,
                "sealed_version": 1,
                "key_id": key_id,
                "key_commitment": sealed.b64(sealed.key_commitment(dek)),
                "plaintext_size": len(plain),
                "stored_size": len(payload),
                "digests_sha256": sealed.b64(hashlib.sha256(digests).digest()),
            }
        ],
        "inputs": [],
        "outputs": [],
        "stateful": False,
        "labels": {},
    }
    marker = json.dumps({"format": "ptsecure/1", "id": store_id}, separators=(",", ":")) + "\n"
    write(root / "ptsecure-store.json", marker.encode())
    claim(root / "models", name)
    claim(root / "records", "key")
    claim(root / "records" / "key", key_id)
    version = root / "models" / name / "1"
    write(version / "model", payload)
    write(version / "model.digests", digests)
    write(root / "wraps" / key_id / "1.json", wraps)
    signed_key = keys.sign(key_record, "key", "manifest")
    write(root / "records" / "key" / key_id / "1.jws", signed_key.encode())
    write(version / "manifest.jws", keys.sign(manifest, "manifest", "manifest").encode())


def main() -> None:
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    file, name, keys, store = sys.argv[1:]
    publish(Path(file).read_bytes(), name, sealed.Keyring(keys), Path(store))


if __name__ == "__main__":
    main()
