"""One real mongod for all tests of a run; each takes a database of its own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


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
