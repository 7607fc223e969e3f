"""Records and wrapped keys of docs/format.md with a stock library, joserfc."""

import json
from typing import Any

import sealed
from joserfc import jwe, jws
from joserfc.jwk import ECKey, KeySet, OKPKey

JWS_ALGORITHMS = ["EdDSA", "Ed25519", "ES256"]
JWE_ALGORITHMS = ["ECDH-ES+A256KW", "A256KW", "RSA-OAEP-256", "A256GCM"]


def kid(token: str) -> str:
    """Which key a compact JWS or JWE names."""
    return str(json.loads(sealed.unb64(token.split(".")[0]))["kid"])


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
        return jws.serialize_compact(
            header, sealed.to_json(record), OKPKey.import_key(jwk), algorithms=JWS_ALGORITHMS
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
        return sealed.unb64(jwk["k"])

    def wrap(self, dek: bytes, key_id: str) -> list[dict[str, str]]:
        jwk = json.dumps({"kty": "oct", "k": sealed.b64(dek), "kid": key_id}).encode()
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
