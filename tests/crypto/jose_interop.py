"""Reads with joserfc and jwcrypto what this library wrote, and the other way round.

jose_interop.py check FOLDER   every object of FOLDER/ours.json must open or verify
jose_interop.py make FOLDER    writes FOLDER/theirs.json
"""

import json
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import joserfc.jwe
import joserfc.jwk
import joserfc.jws
from jwcrypto import jwe as jwcrypto_jwe
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws
from jwcrypto.common import base64url_decode, base64url_encode

ENCS = [
    "A128GCM",
    "A192GCM",
    "A256GCM",
    "A128CBC-HS256",
    "A192CBC-HS384",
    "A256CBC-HS512",
]
CEK_SIZE = dict(zip(ENCS, (16, 24, 32, 32, 48, 64), strict=True))
OCT_WRAPS = {
    16: ["A128KW", "A128GCMKW"],
    24: ["A192KW", "A192GCMKW"],
    32: ["A256KW", "A256GCMKW"],
}
WRAPS = {
    "oct": [alg for algs in OCT_WRAPS.values() for alg in algs],
    "RSA": ["RSA-OAEP", "RSA-OAEP-256"],
    "EC": ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"],
}
PBES2 = ["PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW"]
PASSWORD = "correct horse battery staple"
EVERY_ALG = [*(alg for algs in WRAPS.values() for alg in algs), *PBES2, "dir"]
SIGNATURES = ["EdDSA", "Ed25519", "ES256"]


def joserfc_registry() -> joserfc.jwe.JWERegistry:
    return joserfc.jwe.JWERegistry(algorithms=EVERY_ALG + ENCS + ["DEF"])


def joserfc_key(key: dict[str, Any]) -> Any:
    return joserfc.jwk.import_key(key)


def jwcrypto_key(key: dict[str, Any]) -> Any:
    return jwcrypto_jwk.JWK(**key)


def open_with_joserfc(text: str, key: dict[str, Any]) -> bytes:
    imported = joserfc_key(key)
    opened = joserfc.jwe.decrypt_compact(text, imported, registry=joserfc_registry())
    assert opened.plaintext is not None
    return opened.plaintext


def open_with_jwcrypto(text: str, key: dict[str, Any]) -> bytes:
    token = jwcrypto_jwe.JWE(algs=EVERY_ALG + ENCS)
    token.deserialize(text, jwcrypto_key(key))
    payload: bytes = token.payload
    return payload


def password_key(password: str) -> dict[str, Any]:
    return {"kty": "oct", "k": base64url_encode(password)}


def verify_with_joserfc(text: str, key: dict[str, Any]) -> bytes:
    return joserfc.jws.deserialize_compact(text, joserfc_key(key), algorithms=SIGNATURES).payload


def verify_with_jwcrypto(text: str, key: dict[str, Any]) -> bytes:
    token = jwcrypto_jws.JWS()
    token.allowed_algs = SIGNATURES
    token.deserialize(text, jwcrypto_key(key))
    payload: bytes = token.payload
    return payload


def check(folder: pathlib.Path) -> None:
    ours = json.loads((folder / "ours.json").read_text())
    assert ours["jwe"] and ours["jws"] and ours["password"]
    for each in ours["jwe"]:
        plaintext = base64url_decode(each["plaintext"])
        # jwcrypto takes an empty plaintext for a failure.
        for reader in (open_with_joserfc, *([open_with_jwcrypto] if plaintext else [])):
            assert reader(each["text"], each["key"]) == plaintext, (reader, each["text"][:60])
    for each in ours["password"]:
        # joserfc accepts up to 300,000 iterations, jwcrypto 16,384.
        plaintext = base64url_decode(each["plaintext"])
        for reader in (open_with_joserfc, open_with_jwcrypto):
            assert reader(each["text"], password_key(each["password"])) == plaintext, reader
    for each in ours["jws"]:
        payload = base64url_decode(each["payload"])
        for reader in (verify_with_joserfc, verify_with_jwcrypto):
            assert reader(each["text"], each["key"]) == payload, (reader, each["text"][:60])


def keys_to_encrypt_to() -> Iterator[tuple[dict[str, Any], list[Any]]]:
    for size, algs in OCT_WRAPS.items():
        yield {"kty": "oct", "k": base64url_encode(os.urandom(size))}, algs
    rsa = jwcrypto_jwk.JWK.generate(kty="RSA", size=2048)
    yield json.loads(rsa.export(private_key=True)), WRAPS["RSA"]
    for curve in ("P-256", "P-384", "P-521"):
        key = jwcrypto_jwk.JWK.generate(kty="EC", crv=curve)
        yield json.loads(key.export(private_key=True)), WRAPS["EC"]
    yield password_key(PASSWORD), PBES2
    for enc in ENCS:
        key = {"kty": "oct", "k": base64url_encode(os.urandom(CEK_SIZE[enc]))}
        yield key, [("dir", enc)]


def write_with_joserfc(header: dict[str, Any], plaintext: bytes, key: dict[str, Any]) -> str:
    return joserfc.jwe.encrypt_compact(
        header, plaintext, joserfc_key(key), registry=joserfc_registry()
    )


def write_with_jwcrypto(header: dict[str, Any], plaintext: bytes, key: dict[str, Any]) -> str:
    token = jwcrypto_jwe.JWE(plaintext, json.dumps(header), algs=EVERY_ALG + ENCS)
    token.add_recipient(jwcrypto_key(key))
    text: str = token.serialize(compact=True)
    return text


def write_json_with_jwcrypto(plaintext: bytes, keys: list[Any]) -> dict[str, Any]:
    token = jwcrypto_jwe.JWE(
        plaintext, json.dumps({"enc": "A256GCM"}), aad=b"more", algs=EVERY_ALG + ENCS
    )
    for key, alg in keys:
        token.add_recipient(jwcrypto_key(key), json.dumps({"alg": alg}))
    return {
        "text": token.serialize(),
        "plaintext": base64url_encode(plaintext),
        "keys": [key for key, _ in keys],
    }


def make(folder: pathlib.Path) -> None:
    theirs: dict[str, list[Any]] = {"jwe": [], "password": [], "json": [], "jws": []}
    for key, algs in keys_to_encrypt_to():
        for alg in algs:
            encs = ENCS
            if isinstance(alg, tuple):
                alg, encs = alg[0], [alg[1]]
            for enc in encs:
                for writer in (write_with_joserfc, write_with_jwcrypto):
                    for compressed in (False, True):
                        if compressed and alg != "A256KW":
                            continue
                        plaintext = os.urandom(37) + b"x" * 100 + alg.encode()
                        header = {"alg": alg, "enc": enc}
                        if compressed:
                            header["zip"] = "DEF"
                        each = {
                            "by": writer.__name__,
                            "alg": alg,
                            "enc": enc,
                            "text": writer(header, plaintext, key),
                            "plaintext": base64url_encode(plaintext),
                        }
                        if alg in PBES2:
                            theirs["password"].append({**each, "password": PASSWORD})
                        else:
                            theirs["jwe"].append({**each, "key": key, "zip": compressed})
    ec = json.loads(jwcrypto_jwk.JWK.generate(kty="EC", crv="P-256").export())
    octet = {"kty": "oct", "k": base64url_encode(os.urandom(32))}
    several = [(ec, "ECDH-ES+A256KW"), (octet, "A256KW")]
    theirs["json"].append(write_json_with_jwcrypto(b"general", several))
    theirs["json"].append(write_json_with_jwcrypto(b"flattened", [(octet, "A256GCMKW")]))

    signers = [
        (json.loads(jwcrypto_jwk.JWK.generate(kty="OKP", crv="Ed25519").export()), "EdDSA"),
        (json.loads(jwcrypto_jwk.JWK.generate(kty="EC", crv="P-256").export()), "ES256"),
    ]
    for key, alg in signers:
        payload = os.urandom(50)
        header = {"alg": alg, "typ": "test+jws"}
        by_joserfc = joserfc.jws.serialize_compact(
            header, payload, joserfc_key(key), algorithms=SIGNATURES
        )
        token = jwcrypto_jws.JWS(payload)
        token.allowed_algs = SIGNATURES
        token.add_signature(jwcrypto_key(key), protected=json.dumps(header))
        for text in (by_joserfc, token.serialize(compact=True)):
            theirs["jws"].append({"text": text, "payload": base64url_encode(payload), "key": key})
    (folder / "theirs.json").write_text(json.dumps(theirs))


if __name__ == "__main__":
    command, argument = sys.argv[1:]
    {"check": check, "make": make}[command](pathlib.Path(argument))
