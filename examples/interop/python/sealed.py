"""The formats of docs/format.md with stock libraries: Tink for payloads, joserfc for the rest."""

import base64
import hashlib
import hmac
import io
import json
import secrets
from typing import Any

import tink
from joserfc import jwe, jws
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey
from tink import cleartext_keyset_handle, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

BLOCK = 1 << 20
JWS_ALGORITHMS = ["EdDSA", "Ed25519", "ES256"]
JWE_ALGORITHMS = ["ECDH-ES+A256KW", "A256KW", "RSA-OAEP-256", "A256GCM"]

streaming_aead.register()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def associated_data(name: str, version: int) -> bytes:
    return f"ptsecure/1 {name} {version}".encode()


def tink_primitive(dek: bytes) -> streaming_aead.StreamingAead:
    """Tink's AES256_GCM_HKDF_1MB with our key and no output prefix."""
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        key_value=dek,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=BLOCK, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
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


def digests(payload: bytes) -> bytes:
    return b"".join(
        hashlib.sha256(payload[at : at + BLOCK]).digest() for at in range(0, len(payload), BLOCK)
    )


def key_commitment(dek: bytes) -> bytes:
    """HKDF-SHA256 with an empty salt and 32 bytes of output: one block."""
    prk = hmac.new(bytes(32), dek, hashlib.sha256).digest()
    return hmac.new(prk, b"ptsecure/1 key commitment\x01", hashlib.sha256).digest()


class Keyring:
    """The JWK Set that `ptsecure keygen` writes."""

    def __init__(self, path: str) -> None:
        with open(path, encoding="utf-8") as file:
            self.jwks: list[dict[str, Any]] = json.load(file)["keys"]

    def _signers(self, kind: str) -> list[dict[str, Any]]:
        return [k for k in self.jwks if kind in k.get("ptsecure", {}).get("records", [])]

    def verify(self, token: str, kinds: list[str]) -> Any:
        """The payload of a JWS by a key trusted for one of `kinds`; its typ is kinds[0]'s."""
        keys = KeySet([OKPKey.import_key(k) for kind in kinds for k in self._signers(kind)])
        obj = jws.deserialize_compact(token, keys, algorithms=JWS_ALGORITHMS)
        if obj.headers().get("typ") != f"ptsecure-{kinds[0]}+jws":
            raise ValueError(f"this is no {kinds[0]} record")
        return json.loads(obj.payload)

    def sign(self, record: Any, kind: str, signer: str) -> str:
        jwk = next(k for k in self._signers(signer) if "d" in k)
        header = {"alg": "EdDSA", "kid": jwk["kid"], "typ": f"ptsecure-{kind}+jws"}
        payload = json.dumps(record, separators=(",", ":")).encode()
        return jws.serialize_compact(
            header, payload, OKPKey.import_key(jwk), algorithms=JWS_ALGORITHMS
        )

    def unwrap(self, recipients: list[dict[str, str]], key_id: str) -> bytes:
        own = {k["kid"]: k for k in self.jwks if k.get("use") == "enc" and "d" in k}
        wrap = next(r for r in recipients if r["kid"] in own)
        obj = jwe.decrypt_compact(
            wrap["jwe"], ECKey.import_key(own[wrap["kid"]]), algorithms=JWE_ALGORITHMS
        )
        assert obj.plaintext is not None
        jwk = json.loads(obj.plaintext)
        if jwk["kty"] != "oct" or jwk["kid"] != key_id:
            raise ValueError("the wrapped key is another one")
        return unb64(jwk["k"])

    def wrap(self, dek: bytes, key_id: str) -> list[dict[str, str]]:
        jwk = json.dumps({"kty": "oct", "k": b64(dek), "kid": key_id}).encode()
        wraps = []
        for key in self.jwks:
            if key.get("use") != "enc":
                continue
            header = {
                "alg": "ECDH-ES+A256KW",
                "enc": "A256GCM",
                "cty": "jwk+json",
                "kid": key["kid"],
            }
            token = jwe.encrypt_compact(
                header, jwk, ECKey.import_key(key), algorithms=JWE_ALGORITHMS
            )
            wraps.append({"kid": key["kid"], "jwe": token})
        return wraps


def new_dek() -> bytes:
    return OctKey.generate_key(256, private=True).raw_value


def new_key_id() -> str:
    return secrets.token_hex(16)
