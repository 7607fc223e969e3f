"""Opens a sealed model without ptsecure: python open_model.py STORE NAME/VERSION KEYS OUT

STORE is a folder, a mongodb:// URI with a database, or a folder that `ptsecure export` wrote.
Prints the manifest; OUT is the file that was published: the model, or weights for
the program of another version (see the manifest), which is opened likewise.
"""

import json
import sys
from pathlib import Path
from typing import Any

import sealed
import stores
from keyring import Keyring, kid


def unseal(entry: Any, dek: bytes, payload: bytes, digests: bytes) -> bytes:
    if sealed.b64(sealed.key_commitment(dek)) != entry["key_commitment"]:
        raise ValueError("this is another key than the one the manifest commits to")
    if sealed.digests(payload) != digests or sealed.sha256(digests) != entry["digests_sha256"]:
        raise ValueError("the payload's segments are not the signed ones")
    aad = sealed.associated_data(entry["sealed_name"], entry["sealed_version"])
    return sealed.decrypt(payload, dek, aad)


def own_payload(manifest: Any) -> Any:
    """What this version was published with: weights, where it shares another one's program."""
    entries = {entry["role"]: entry for entry in manifest["payloads"]}
    return entries.get("weights", entries["model"])


def open_model(uri: str, name: str, version: int, keys: Keyring) -> tuple[Any, bytes]:
    store = stores.open_store(uri)
    manifest = keys.verify(store.manifest(name, version), ["manifest"])
    if (manifest["store"], manifest["name"], manifest["version"]) != (store.id(), name, version):
        raise ValueError("this manifest is another version's")
    entry = own_payload(manifest)

    key = keys.verify(store.last_record(f"key/{entry['key_id']}"), ["key", "manifest"])["body"]
    wraps = store.wraps(entry["key_id"], key["wraps_sequence"])
    if key["status"] != "enabled" or sealed.sha256(wraps) != key["wraps"]:
        raise ValueError("the key is not enabled, or its wrapped keys are others")
    dek = keys.unwrap(json.loads(wraps)["recipients"], entry["key_id"])
    sealed_as = entry["sealed_name"], entry["sealed_version"]
    payload, digests = (store.blob(*sealed_as, entry["role"] + end) for end in ("", ".digests"))
    return manifest, unseal(entry, dek, payload, digests)


def open_export(folder: Path, keys: Keyring) -> tuple[Any, bytes]:
    """The same from the parts of one version, which hold no key status and no store id."""
    manifest = keys.verify((folder / "manifest.jws").read_text(), ["manifest"])
    entry = own_payload(manifest)
    tokens = [file.read_text() for file in sorted(folder.glob("key-*.jwe"))]
    dek = keys.unwrap([{"kid": kid(t), "jwe": t} for t in tokens], entry["key_id"])
    payload, digests = folder / "payload.bin", folder / "digests.bin"
    return manifest, unseal(entry, dek, payload.read_bytes(), digests.read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    uri, reference, keyring, out = sys.argv[1:]
    ring, (name, version) = Keyring(keyring), reference.split("/")
    exported = (Path(uri) / "payload.bin").exists()
    manifest, plain = (
        open_export(Path(uri), ring) if exported else open_model(uri, name, int(version), ring)
    )
    Path(out).write_bytes(plain)
    print(json.dumps(manifest, indent=1))
