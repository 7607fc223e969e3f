"""Whole-file JWEs that go-jose made are imported."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import DIGITS, ROOT, Command, database

GO = [os.environ.get("PTSECURE_GO", "go"), "build", "-buildvcs=false", "-o"]
ASYMMETRIC = ["RSA-OAEP-256", "ECDH-ES+A256KW"]
ALGORITHMS = ["dir", "A256KW", "PBES2-HS512+A256KW", *ASYMMETRIC]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go")
    for source, package in (("tests/interop/gojose", "."), ("examples/interop/go", "./open")):
        subprocess.run([*GO, f"{folder}/", package], check=True, cwd=ROOT / source)
    return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.jwks"
    Command("unused", path).ok("keygen", path)
    return path


@pytest.mark.parametrize("form", ["compact", "json"])
@pytest.mark.parametrize("enc", ["A256GCM", "A256CBC-HS512"])
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_import(alg: str, enc: str, form: str, keys: Path, programs: Path, tmp_path: Path) -> None:
    plain, jwe, jwk = (tmp_path / name for name in ("model", "model.jwe", "key.jwk"))
    plain.write_bytes(os.urandom(2_000_000))
    made: list[str | Path] = [
        "-alg",
        alg,
        "-enc",
        enc,
        "-form",
        form,
        "-in",
        plain,
        "-out",
        jwe,
        "-jwk",
        jwk,
    ]
    subprocess.run([programs / "gojose", *made], check=True)
    command = Command(str(tmp_path / "store"), keys)
    arguments: list[str | Path] = ["import", jwe, "m", "--jwk", jwk, "--format", "opaque"]
    if alg in ASYMMETRIC:
        command.fails(2, *arguments)
        arguments += ["--sha256", hashlib.sha256(plain.read_bytes()).hexdigest()]
    command.ok(*arguments)
    command.ok("verify", "m")
    opened: list[str | Path] = [programs / "open", command.store, "m/1", keys, tmp_path / "opened"]
    subprocess.run(opened, check=True, capture_output=True)
    assert (tmp_path / "opened").read_bytes() == plain.read_bytes()

    # Nothing comes of one that was changed.
    content = bytearray(jwe.read_bytes())
    content[len(content) // 2] ^= 1
    jwe.write_bytes(content)
    changed = Command(str(tmp_path / "other"), keys)
    assert changed.run(*arguments).returncode != 0
    assert changed.run("show", "m").returncode == 3


@pytest.mark.parametrize("kind", ["folder", "mongodb"])
@pytest.mark.parametrize("form", ["compact", "json"])
@pytest.mark.parametrize("alg", ["A256KW", "ECDH-ES+A256KW"])
def test_import_from_gridfs(
    alg: str, form: str, kind: str, mongod: str, keys: Path, programs: Path, tmp_path: Path
) -> None:
    """go-jose sealed it and MongoDB's Go driver stored it, its JWK beside it on disk."""
    plain, jwk = DIGITS / "digits.pt", tmp_path / "key.jwk"
    source = database(mongod, f"source_{tmp_path.name}")
    made: list[str | Path] = ["-alg", alg, "-form", form, "-in", plain, "-jwk", jwk]
    made += ["-gridfs", source, "-out", "digits.jwe"]
    subprocess.run([programs / "gojose", *made], check=True)
    target = tmp_path / "store" if kind == "folder" else database(mongod, tmp_path.name)
    command = Command(str(target), keys)
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    arguments: list[str | Path] = ["import", "digits.jwe", "m", "--gridfs", source, "--jwk", jwk]
    command.ok(*arguments, "--sha256", digest, "--alias", "production")
    command.ok("verify", "m@production")
    answer = command.ok("infer", "m@production", "--input", DIGITS / "heldout_images.npy")
    assert json.loads(answer)["outputs"][0]["shape"][1] == 10
