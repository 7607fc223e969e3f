"""Whole-file JWEs made by other libraries, imported by the command."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jwcrypto import jwe, jwk

from tests.cli.command import BUILD, DIGITS, Command

MODEL = os.urandom(300_001)
SHA256 = hashlib.sha256(MODEL).hexdigest()

# alg -> its key
KEYS: dict[str, Callable[[], jwk.JWK]] = {
    "A256KW": lambda: jwk.JWK.generate(kty="oct", size=256),
    "RSA-OAEP-256": lambda: jwk.JWK.generate(kty="RSA", size=2048),
    "ECDH-ES+A256KW": lambda: jwk.JWK.generate(kty="EC", crv="P-256"),
    "PBES2-HS512+A256KW": lambda: jwk.JWK.generate(kty="oct", size=128),
}
ASYMMETRIC = {"RSA-OAEP-256", "ECDH-ES+A256KW"}


def key_for(alg: str, enc: str) -> jwk.JWK:
    if alg == "dir":
        return jwk.JWK.generate(kty="oct", size=512 if "CBC" in enc else 256)
    return KEYS[alg]()


def encrypt(
    alg: str, enc: str, key: jwk.JWK, form: str = "compact", plain: bytes = MODEL, **more: Any
) -> str:
    header = json.dumps({"alg": alg, "enc": enc, **more})
    if form == "general":
        token = jwe.JWE(plain, json.dumps({"enc": enc}))
        for other in (key_for("A256KW", enc), key):
            kind = alg if other is key else "A256KW"
            token.add_recipient(other, json.dumps({"alg": kind}))
        return str(token.serialize())
    token = jwe.JWE(plain, header)
    token.add_recipient(key)
    return str(token.serialize(compact=form == "compact"))


class Importer:
    def __init__(self, command: Command, folder: Path) -> None:
        self.command, self.folder = command, folder

    def arguments(self, text: str, key: str) -> list[object]:
        (self.folder / "model.jwe").write_text(text)
        (self.folder / "key.jwk").write_text(key)
        return ["import", self.folder / "model.jwe", "m", "--jwk", self.folder / "key.jwk"]

    def ok(self, text: str, key: jwk.JWK, *more: object) -> bytes:
        """The model that is then in the store."""
        self.command.ok(*self.arguments(text, key.export()), "--format", "opaque", *more)
        self.command.ok("verify", "m")
        return decrypted(self.command, "m", self.folder / "out")

    def fails(self, code: int, text: str, key: str, *more: object) -> str:
        line = self.command.fails(code, *self.arguments(text, key), "--format", "opaque", *more)
        assert self.command.run("show", "m").returncode == 3, "nothing may be there"
        return line


def decrypted(command: Command, name: str, out: Path) -> bytes:
    """By the C ABI's own streaming, over ctypes: the command has no verb for it."""
    program = (
        "import ctypes,sys\n"
        "lib=ctypes.CDLL(sys.argv[1]);P=ctypes.c_void_p\n"
        "s,k,p,b=P(),P(),P(),P();r=ctypes.byref\n"
        "assert lib.pts_store_open(sys.argv[2].encode(),None,r(s),None)==0\n"
        "assert lib.pts_keyring_load(sys.argv[3].encode(),None,r(k),None)==0\n"
        "assert lib.pts_store_fetch(s,sys.argv[4].encode(),k,None,None,r(p),None)==0\n"
        "assert lib.pts_package_decrypt(p,None,None,r(b),None)==0\n"
        "lib.pts_bytes_data.restype=P;lib.pts_bytes_size.restype=ctypes.c_size_t\n"
        "open(sys.argv[5],'wb').write(ctypes.string_at(lib.pts_bytes_data(b),lib.pts_bytes_size(b)))\n"
    )
    library = BUILD / "lib" / "libptsecure.so"
    arguments = [str(library), command.store, str(command.keys), name, str(out)]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)
    return out.read_bytes()


@pytest.fixture
def importer(folder: Command, tmp_path: Path) -> Importer:
    return Importer(folder, tmp_path)


# dir has one recipient, so no general form.
FORMS = [("dir", form) for form in ("compact", "flattened")] + [
    (alg, form) for alg in KEYS for form in ("compact", "flattened", "general")
]


@pytest.mark.parametrize(("alg", "form"), FORMS)
@pytest.mark.parametrize("enc", ["A256GCM", "A256CBC-HS512"])
def test_every_form(importer: Importer, alg: str, enc: str, form: str) -> None:
    key = key_for(alg, enc)
    text = encrypt(alg, enc, key, form)
    more = ["--sha256", SHA256] if alg in ASYMMETRIC else []
    assert importer.ok(text, key, *more) == MODEL


@pytest.mark.parametrize("size", [0, 1, 15, 16, 786_431, 786_432, 786_433, 3_000_000])
@pytest.mark.parametrize("enc", ["A128GCM", "A128CBC-HS256", "A192CBC-HS384"])
def test_sizes(importer: Importer, enc: str, size: int) -> None:
    key, plain = key_for("A256KW", enc), os.urandom(size)
    assert importer.ok(encrypt("A256KW", enc, key, plain=plain), key) == plain
    flat = encrypt("A256KW", enc, key, "flattened", plain=plain)
    members = json.loads(flat)
    backwards = json.dumps(dict(reversed(members.items())), indent=1)
    assert importer.ok(backwards + "\n", key) == plain


def test_a_real_model_runs(importer: Importer, folder: Command) -> None:
    key = key_for("A256KW", "A256GCM")
    text = encrypt("A256KW", "A256GCM", key, plain=(DIGITS / "digits.pt").read_bytes())
    folder.ok(*importer.arguments(text, key.export()), "--alias", "production")
    answer = folder.ok("infer", "m@production", "--input", DIGITS / "heldout_images.npy")
    assert json.loads(answer)["outputs"][0]["shape"][1] == 10


@pytest.mark.parametrize("alg", sorted(ASYMMETRIC))
def test_asymmetric_ones_need_the_digest(importer: Importer, alg: str) -> None:
    key = key_for(alg, "A256GCM")
    text = encrypt(alg, "A256GCM", key)
    assert "--sha256" in importer.fails(2, text, key.export())
    assert "another SHA-256" in importer.fails(4, text, key.export(), "--sha256", "0" * 64)
    importer.fails(2, text, key.export(), "--sha256", SHA256[:-1])
    importer.fails(2, text, key.export(), "--sha256", "g" * 64)
    public = key.export_public()
    assert "public" in importer.fails(5, text, public, "--sha256", SHA256)


@pytest.mark.parametrize("form", ["compact", "flattened"])
@pytest.mark.parametrize("enc", ["A256GCM", "A256CBC-HS512"])
def test_tampered_and_truncated(importer: Importer, enc: str, form: str) -> None:
    key = key_for("A256KW", enc)
    text = encrypt("A256KW", enc, key, form)
    for at in range(1, len(text) - 1, len(text) // 25):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        line = importer.command.run(
            *importer.arguments(changed, key.export()), "--format", "opaque"
        )
        assert line.returncode in (1, 4), (at, line.stderr)
    for size in (0, 1, 100, len(text) // 2, len(text) - 1):
        importer.fails(4, text[:size], key.export())
    members = text.split(".")
    if form == "compact":
        # A block of ciphertext repeated, or cut out; parts missing, too many, swapped.
        data = members[3]
        for other in (data[:4000] + data[3936:], data[:4000] + data[4064:], data[:-64], ""):
            importer.fails(4, ".".join([*members[:3], other, members[4]]), key.export())
        importer.fails(4, ".".join(members[:4]), key.export())
        importer.fails(4, text + ".AAAA", key.export())
        importer.fails(4, ".".join([*members[:2], members[4], data, members[2]]), key.export())
    else:
        importer.fails(4, text[:-1] + ', "more": "' + "A" * 70_000 + '"}', key.export())
        importer.fails(4, text[:-1] + ', "ciphertext": "AAAA"}', key.export())


def test_wrong_keys_and_algorithms(importer: Importer) -> None:
    key = key_for("A256KW", "A256GCM")
    text = encrypt("A256KW", "A256GCM", key)
    assert "does not open" in importer.fails(4, text, key_for("A256KW", "A256GCM").export())
    importer.fails(5, text, key_for("RSA-OAEP-256", "").export(), "--sha256", SHA256)
    importer.fails(5, text, jwk.JWK.generate(kty="oct", size=128).export())
    importer.fails(1, text, "{}")
    importer.fails(4, text, "no JSON")
    squeezed = encrypt("A256KW", "A256GCM", key, zip="DEF")
    assert "uncompressed" in importer.fails(1, squeezed, key.export())
    parts = text.split(".")
    for header in ({"alg": "none", "enc": "A256GCM"}, {"alg": "RSA1_5", "enc": "A256GCM"}):
        raw = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
        importer.fails(1, ".".join([raw, *parts[1:]]), key.export())


def test_memory_is_the_model_and_little_more(importer: Importer, tmp_path: Path) -> None:
    size = 256 << 20
    key = key_for("A256KW", "A256GCM")
    plain = os.urandom(1 << 20) * (size >> 20)
    arguments = importer.arguments(encrypt("A256KW", "A256GCM", key, plain=plain), key.export())
    del plain
    peak = importer.command.peak(*arguments, "--format", "opaque")
    assert peak < size + (64 << 20), f"{peak >> 20} MiB"
