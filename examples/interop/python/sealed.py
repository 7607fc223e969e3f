"""Payloads and digests of docs/format.md with stock libraries: Tink, and Python's own."""

import base64
import hashlib
import hmac
import io
import json
from typing import Any

import tink
from tink import cleartext_keyset_handle, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

SEGMENT = 1 << 20
PIECE = 1 << 15  # of a segment, when it is hashed

streaming_aead.register()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sha256(data: bytes) -> str:
    return b64(hashlib.sha256(data).digest())


def to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def associated_data(name: str, version: int) -> bytes:
    return f"ptsecure/1 {name} {version}".encode()


def tink_primitive(dek: bytes) -> streaming_aead.StreamingAead:
    """Tink's AES256_GCM_HKDF_1MB with our key and no output prefix."""
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        key_value=dek,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=SEGMENT, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
        ),
    )
    keyset = tink_pb2.Keyset(
        primary_key_id=1,
        key=[
            tink_pb2.Keyset.Key(
                key_data=tink_pb2.KeyData(
                    type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
                    value=key.SerializeToString(),
                    key_material_type=tink_pb2.KeyData.SYMMETRIC,
                ),
                status=tink_pb2.ENABLED,
                key_id=1,
                output_prefix_type=tink_pb2.RAW,
            )
        ],
    )
    handle = cleartext_keyset_handle.read(tink.BinaryKeysetReader(keyset.SerializeToString()))
    return handle.primitive(streaming_aead.StreamingAead)


def decrypt(payload: bytes, dek: bytes, aad: bytes) -> bytes:
    with tink_primitive(dek).new_decrypting_stream(io.BytesIO(payload), aad) as stream:
        plain: bytes = stream.read()
        return plain


class KeptOpen(io.BytesIO):
    def close(self) -> None:
        pass


def encrypt(plain: bytes, dek: bytes, aad: bytes) -> bytes:
    out = KeptOpen()
    with tink_primitive(dek).new_encrypting_stream(out, aad) as stream:
        stream.write(plain)
    return out.getvalue()


def hashes(data: bytes, size: int) -> list[bytes]:
    return [hashlib.sha256(data[at : at + size]).digest() for at in range(0, len(data), size)]


def digests(payload: bytes) -> bytes:
    segments = (payload[at : at + SEGMENT] for at in range(0, len(payload), SEGMENT))
    return b"".join(
        hashlib.sha256(b"".join(hashes(segment, PIECE))).digest() for segment in segments
    )


def key_commitment(dek: bytes) -> bytes:
    """HKDF-SHA256 with an empty salt and 32 bytes of output: one block."""
    prk = hmac.new(bytes(32), dek, hashlib.sha256).digest()
    return hmac.new(prk, b"ptsecure/1 key commitment\x01", hashlib.sha256).digest()
