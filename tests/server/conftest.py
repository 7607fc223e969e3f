"""Keys, stores full of models, and servers that serve them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import DIGITS, Command, database
from tests.server import models
from tests.server.server import Server, wait_until

Start = Callable[..., Server]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.jwks"
    Command("", path).ok("keygen", path)
    return path


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    models.write(folder)
    return folder


def publish_all(command: Command, folder: Path) -> None:
    for file in sorted(folder.glob("*.pt")):
        sample = file.with_suffix(".json")
        given = ["--sample", sample] if sample.exists() else []
        command.ok("publish", file, file.stem, "--alias", "production", *given)
    publish_digits(command)


def publish_digits(command: Command, alias: str = "production") -> None:
    sample = DIGITS / "sample.npy"
    command.ok("publish", DIGITS / "digits.pt", "digits", "--alias", alias, "--sample", sample)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, keys: Path, model_files: Path) -> Command:
    command = Command(str(tmp_path_factory.mktemp("store") / "store"), keys)
    publish_all(command, model_files)
    return command


@pytest.fixture(scope="session")
def served(store: Command) -> Iterator[Server]:
    """Every model, asked without a key. Tests leave it as it was."""
    names = [*models.MODELS, "digits"]
    server = Server(store.store, store.keys, [f"{name}@production" for name in names])
    # It has no sample, so the server can't try it.
    data = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}
    wait_until(lambda: server.infer("picky", [data]).status == 200)
    yield server.wait_ready()
    assert server.stop() == 0


@pytest.fixture
def start(store: Command) -> Iterator[Start]:
    """Starts servers that the test may hurt."""
    servers: list[Server] = []

    def begin(*references: str, **more: Any) -> Server:
        fields: dict[str, Any] = {"store": store.store, "keys": store.keys} | more
        servers.append(Server(models=list(references) or ["digits@production"], **fields))
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()


@pytest.fixture
def mongo_store(mongod: str, tmp_path: Path, keys: Path) -> Command:
    command = Command(database(mongod, tmp_path.name), keys)
    publish_digits(command)
    return command


def new_key(command: Command, *arguments: str) -> dict[str, Any]:
    """The record of a new API key, with its text in `key`."""
    made: dict[str, Any] = json.loads(
        command.ok("--json", "apikey", "create", "--owner", "tests", *arguments)
    )
    return made
