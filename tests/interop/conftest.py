"""A store of each kind, by its URI."""

from pathlib import Path

import pytest

from tests.cli.command import database


@pytest.fixture(params=["folder", "mongodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "store")
    return database(request.getfixturevalue("mongod"), tmp_path.name)
