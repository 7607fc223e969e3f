"""One real mongod for all tests of a run, each with a database of its own, and one state folder:
what the command remembers of the stores it used must not outlive them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        patch.delenv("PTSECURE_STATE", raising=False)
        yield folder


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a one-node replica set, without a database."""
    folder = tmp_path_factory.mktemp("mongod")
    script = [sys.executable, str(Path(__file__).with_name("mongod.py"))]
    uri = subprocess.run(
        [*script, "start", str(folder)], check=True, capture_output=True, text=True
    ).stdout.strip()
    yield uri
    subprocess.run([*script, "stop", str(folder)], check=True)
