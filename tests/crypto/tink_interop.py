"""Opens with Tink what this library sealed, and the other way round.

tink_interop.py open FOLDER    every payload that FOLDER/cases.json lists must open to its plaintext
tink_interop.py seal FOLDER    seals the same plaintexts with Tink, as *.theirs
tink_interop.py golden FILE    writes the small committed payloads
"""

import base64
import io
import json
import os
import pathlib
import sys
from collections.abc import Iterator

from tink import (
    TinkError,
    proto_keyset_format,
    secret_key_access,
    streaming_aead,
)
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

SEGMENT_SIZE = 1 << 20


def primitive(dek: bytes) -> streaming_aead.StreamingAead:
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        version=0,
        key_value=dek,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=SEGMENT_SIZE,
            derived_key_size=32,
            hkdf_hash_type=common_pb2.SHA256,
        ),
    )
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(
        key_id=1,
        status=tink_pb2.ENABLED,
        output_prefix_type=tink_pb2.RAW,
        key_data=tink_pb2.KeyData(
            type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
            value=key.SerializeToString(),
            key_material_type=tink_pb2.KeyData.SYMMETRIC,
        ),
    )
    handle = proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


def tink_open(dek: bytes, associated_data: bytes, stored: bytes) -> bytes:
    with primitive(dek).new_decrypting_stream(io.BytesIO(stored), associated_data) as stream:
        plaintext: bytes = stream.read()
        return plaintext


def tink_seal(dek: bytes, associated_data: bytes, plaintext: bytes) -> bytes:
    class Sink(io.BytesIO):
        def close(self) -> None:  # keep the bytes when the stream closes its destination
            self.sealed = self.getvalue()
            super().close()

    sink = Sink()
    with primitive(dek).new_encrypting_stream(sink, associated_data) as stream:
        written = 0
        while written < len(plaintext):
            written += stream.write(plaintext[written:])
    return sink.sealed


def cases(folder: pathlib.Path) -> Iterator[tuple[str, bytes, bytes, bytes]]:
    listed = json.loads((folder / "cases.json").read_text())
    assert listed, "no cases"
    for case in listed:
        yield (
            case["name"],
            bytes.fromhex(case["dek"]),
            case["associated_data"].encode(),
            (folder / f"{case['name']}.plain").read_bytes(),
        )


def open_all(folder: pathlib.Path) -> None:
    for name, dek, associated_data, plaintext in cases(folder):
        stored = (folder / f"{name}.ours").read_bytes()
        assert tink_open(dek, associated_data, stored) == plaintext, name
        changed = bytearray(stored)
        changed[-1] ^= 1
        for wrong in (bytes(changed), stored[:-1]):
            try:
                tink_open(dek, associated_data, wrong)
            except (TinkError, OSError):
                continue
            raise AssertionError(f"{name}: Tink opened a damaged payload")


def seal_all(folder: pathlib.Path) -> None:
    for name, dek, associated_data, plaintext in cases(folder):
        (folder / f"{name}.theirs").write_bytes(tink_seal(dek, associated_data, plaintext))


def golden(path: pathlib.Path) -> None:
    def b64(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    out = []
    for size in (0, 1, 16, 1000, 5000):
        dek, associated_data = os.urandom(32), f"ptsecure/1 golden {size + 1}"
        plaintext = bytes(i * 31 % 251 for i in range(size))
        out.append(
            {
                "dek": b64(dek),
                "associated_data": associated_data,
                "plaintext": b64(plaintext),
                "stored": b64(tink_seal(dek, associated_data.encode(), plaintext)),
            }
        )
    path.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    streaming_aead.register()
    command, argument = sys.argv[1:]
    {"open": open_all, "seal": seal_all, "golden": golden}[command](pathlib.Path(argument))
