"""Keys, models, and a store of each kind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ptsecure
import pytest
import torch

from tests.cli.command import DIGITS, database
from tests.python.models import Everything


@pytest.fixture(scope="session")
def keys() -> ptsecure.Keyring:
    return ptsecure.Keyring.generate()


@pytest.fixture(params=["folder", "mongodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ptsecure.Store]:
    uri = str(tmp_path / "store")
    if request.param == "mongodb":
        uri = database(request.getfixturevalue("mongod"), tmp_path.name)
    with ptsecure.open_store(uri) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[ptsecure.Store]:
    with ptsecure.open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture(scope="session")
def digits() -> Path:
    return DIGITS / "digits.pt"


@pytest.fixture(scope="session")
def images() -> Any:
    return np.load(DIGITS / "sample.npy")


@pytest.fixture(scope="session")
def everything(
    tmp_path_factory: pytest.TempPathFactory, keys: ptsecure.Keyring
) -> Iterator[ptsecure.Model]:
    """A model whose methods give back what they are given, in every way."""
    with ptsecure.open_store(tmp_path_factory.mktemp("everything")) as store:
        store.publish("everything", torch.jit.script(Everything()), keys)
        yield store.load("everything", keys)
