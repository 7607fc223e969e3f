"""Keys, and a store of each kind."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.command import BUILD, Command, database


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
