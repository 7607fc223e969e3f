"""What ptsecure seals opens with stock libraries, and the other way round."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PTSECURE_BUILD_DIR", ROOT / "build"))
EXAMPLES = ROOT / "examples" / "interop" / "python"
SIZES = [0, 1, 1048520, 1048521, 3_000_000]


def ptsecure(*arguments: object) -> str:
    command = [str(BUILD / "bin" / "ptsecure"), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def script(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.jwks"
    ptsecure("keygen", path)
    return path


@pytest.mark.parametrize("size", SIZES)
def test_stock_libraries_open_a_folder(size: int, keys: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(os.urandom(size))
    store = tmp_path / "store"
    ptsecure("--store", store, "--keys", keys, "publish", plain, "blob", "--format", "opaque")
    script("open_model.py", store, "blob/1", keys, tmp_path / "opened")
    assert (tmp_path / "opened").read_bytes() == plain.read_bytes()


def test_stock_libraries_open_exported_parts(keys: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(os.urandom(3_000_000))
    store = tmp_path / "store"
    ptsecure("--store", store, "--keys", keys, "publish", plain, "blob", "--format", "opaque")
    ptsecure("--store", store, "--keys", keys, "export", "blob", tmp_path / "parts")
    script("open_model.py", tmp_path / "parts", "blob/1", keys, tmp_path / "opened")
    assert (tmp_path / "opened").read_bytes() == plain.read_bytes()


def test_stock_libraries_open_mongodb(keys: Path, tmp_path: Path, mongod: str) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(os.urandom(3_000_000))
    store = mongod.replace("/?", "/interop?", 1)
    ptsecure("--store", store, "--keys", keys, "publish", plain, "blob", "--format", "opaque")
    script("open_model.py", store, "blob/1", keys, tmp_path / "opened")
    assert (tmp_path / "opened").read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_ptsecure_opens_what_stock_libraries_sealed(
    size: int, store: str, keys: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(os.urandom(size))
    script("publish_model.py", plain, "blob", keys, store)
    ptsecure("--store", store, "--keys", keys, "verify", "blob")
    ptsecure("--store", store, "--keys", keys, "log", "verify")
    copied = tmp_path / "copied"
    ptsecure("--store", store, "--keys", keys, "copy", "blob", "--to", copied)
    script("open_model.py", copied, "blob/1", keys, tmp_path / "opened")
    assert (tmp_path / "opened").read_bytes() == plain.read_bytes()
    # The next version goes beside it, and its records after those that are there.
    ptsecure("--store", store, "--keys", keys, "publish", plain, "blob", "--format", "opaque")
    assert "blob/2" in ptsecure("--store", store, "--keys", keys, "verify", "blob")
    ptsecure("--store", store, "--keys", keys, "log", "verify")
