"""What ptsecure seals opens with Go's stock libraries, and the other way round."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PTSECURE_BUILD_DIR", ROOT / "build"))
EXAMPLES = ROOT / "examples" / "interop" / "go"
SIZES = [0, 1, 1048520, 1048521, 3_000_000]


def ptsecure(*arguments: object) -> str:
    command = [str(BUILD / "bin" / "ptsecure"), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go")
    go = [os.environ.get("PTSECURE_GO", "go"), "build", "-buildvcs=false"]
    command = [*go, "-o", f"{folder}/", "./open", "./publish"]
    subprocess.run(command, check=True, cwd=EXAMPLES)
    return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.jwks"
    ptsecure("keygen", path)
    return path


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize("size", SIZES)
def test_stock_libraries_open(
    size: int, store: str, keys: Path, programs: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(os.urandom(size))
    ptsecure("--store", store, "--keys", keys, "publish", plain, "blob", "--format", "opaque")
    done = run(programs / "open", store, "blob/1", keys, tmp_path / "opened")
    assert done.returncode == 0, done.stderr
    assert '"name": "blob"' in done.stdout
    assert (tmp_path / "opened").read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_ptsecure_opens_what_stock_libraries_sealed(
    size: int, store: str, keys: Path, programs: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(os.urandom(size))
    done = run(programs / "publish", plain, "blob", keys, store)
    assert done.returncode == 0, done.stderr
    ptsecure("--store", store, "--keys", keys, "verify", "blob")
    ptsecure("--store", store, "--keys", keys, "log", "verify")
    copied = tmp_path / "copied"
    ptsecure("--store", store, "--keys", keys, "copy", "blob", "--to", copied)
    run(programs / "open", copied, "blob/1", keys, tmp_path / "opened")
    assert (tmp_path / "opened").read_bytes() == plain.read_bytes()
    # The next version goes beside it.
    ptsecure("--store", store, "--keys", keys, "publish", plain, "blob", "--format", "opaque")
    assert "blob/2" in ptsecure("--store", store, "--keys", keys, "verify", "blob")
    ptsecure("--store", store, "--keys", keys, "log", "verify")


@pytest.mark.parametrize("part", ["model", "model.digests", "manifest.jws"])
def test_stock_libraries_refuse_what_was_changed(
    part: str, keys: Path, programs: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(os.urandom(3_000_000))
    store = tmp_path / "store"
    ptsecure("--store", store, "--keys", keys, "publish", plain, "blob", "--format", "opaque")
    file = store / "models" / "blob" / "1" / part
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(content)
    done = run(programs / "open", store, "blob/1", keys, tmp_path / "opened")
    assert done.returncode != 0
    assert not (tmp_path / "opened").exists()
