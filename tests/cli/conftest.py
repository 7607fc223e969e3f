"""A built `ptsecure` command, a real mongod, and a store of each kind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PTSECURE_BUILD_DIR", ROOT / "build"))
DIGITS = ROOT / "examples" / "digits"


class Command:
    """Runs `ptsecure` with a store and a keyring in its environment."""

    def __init__(self, store: str, keys: Path) -> None:
        self.store = store
        self.keys = keys

    def run(self, *arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PTSECURE_")}
        if torch := os.environ.get("PTSECURE_TORCH_DIR"):
            env["PTSECURE_TORCH_DIR"] = torch
        env |= {"PTSECURE_STORE": self.store, "PTSECURE_KEYS": str(self.keys)} | environment
        command = [str(BUILD / "bin" / "ptsecure"), *map(str, arguments)]
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
        )

    def ok(self, *arguments: Any, **environment: str) -> str:
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, code: int, *arguments: Any, **environment: str) -> str:
        """The one line on standard error."""
        done = self.run(*arguments, **environment)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("ptsecure: "), done.stderr
        return lines[0]


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mongod")
    script = [sys.executable, str(ROOT / "tests" / "mongod.py")]
    uri = subprocess.run(
        [*script, "start", str(folder)], check=True, capture_output=True, text=True
    ).stdout.strip()
    yield uri
    subprocess.run([*script, "stop", str(folder)], check=True)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.jwks"
    subprocess.run([str(BUILD / "bin" / "ptsecure"), "keygen", str(path)], check=True)
    return path


@pytest.fixture(params=["folder", "mongodb"])
def command(request: pytest.FixtureRequest, tmp_path: Path, keys: Path) -> Command:
    if request.param == "folder":
        return Command(str(tmp_path / "store"), keys)
    return Command(database(request.getfixturevalue("mongod"), tmp_path.name), keys)


@pytest.fixture
def folder(tmp_path: Path, keys: Path) -> Command:
    return Command(str(tmp_path / "store"), keys)


def database(uri: str, name: str) -> str:
    """The server's URI with a database of the test's own."""
    return uri.replace("/?", f"/{name.replace('.', '_')}?", 1)
