"""Where the package runs in practice: gunicorn's workers and Jupyter's kernel."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import nbformat
import ptsecure
import pytest
from nbclient import NotebookClient

from tests.cli.command import DIGITS

APPLICATION = """
import os

import numpy as np
import ptsecure

keys = ptsecure.Keyring.load(os.environ["KEYS"])
store = ptsecure.open_store(os.environ["STORE"])
images = np.load(os.environ["IMAGES"])
inherited = store.load("digits", keys)  # by the master, before it forks
own = None


def application(environ, start_response):
    global own
    try:
        if environ["PATH_INFO"] == "/own":
            own = own or store.load("digits", keys)
            text = str(own(images).argmax(1).tolist())
        else:
            text = str(inherited(images).argmax(1).tolist())
    except ptsecure.Error as error:
        text = f"{type(error).__name__}: {error}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {text}".encode()]
"""

ANSWER = "[2, 3, 4, 5, 6, 7, 8, 9]"


@pytest.fixture
def place(tmp_path: Path, keys: ptsecure.Keyring) -> dict[str, str]:
    keys.save(tmp_path / "keys.jwks")
    with ptsecure.open_store(tmp_path / "store") as store:
        store.publish("digits", DIGITS / "digits.pt", keys)
    return {
        "KEYS": str(tmp_path / "keys.jwks"),
        "STORE": str(tmp_path / "store"),
        "IMAGES": str(DIGITS / "sample.npy"),
    }


def ask(address: str) -> tuple[str, str]:
    """The worker that answered, and what."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        worker, text = answer.read().decode().split(" ", 1)
    return worker, text


def test_gunicorn_workers(tmp_path: Path, place: dict[str, str]) -> None:
    """A model of the master's is refused in a worker, one of its own answers; nothing hangs."""
    (tmp_path / "service.py").write_text(APPLICATION)
    log = tmp_path / "gunicorn.log"
    gunicorn = shutil.which("gunicorn", path=str(Path(sys.executable).parent))
    assert gunicorn is not None
    options = ["--preload", "--workers=2", "--bind=127.0.0.1:0", f"--log-file={log}"]
    master = subprocess.Popen(
        [gunicorn, *options, "service:application"], cwd=tmp_path, env={**os.environ, **place}
    )
    try:
        address = listening(log, master)
        workers = set()
        for _ in range(40):
            worker, text = ask(f"{address}/own")
            assert text == ANSWER
            workers.add(worker)
            worker, text = ask(f"{address}/inherited")
            assert text.startswith("ClosedError: ") and "fork" in text
            if len(workers) == 2:
                break
        assert str(master.pid) not in workers
    finally:
        master.send_signal(signal.SIGTERM)
        assert master.wait(30) == 0


def listening(log: Path, master: subprocess.Popen[bytes]) -> str:
    """The address that gunicorn took, once it says so."""
    for _ in range(600):
        for line in log.read_text().splitlines() if log.exists() else []:
            if "Listening at: " in line:
                return line.split("Listening at: ")[1].split(" ")[0]
        assert master.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_a_notebook_shows_a_bar_and_a_listing(tmp_path: Path, place: dict[str, str]) -> None:
    cells = [
        "import os, ptsecure\n"
        f"os.environ.update({place!r})\n"
        "keys = ptsecure.Keyring.load(os.environ['KEYS'])\n"
        "store = ptsecure.open_store(os.environ['STORE'])",
        "model = store.load('digits', keys, progress=True)",
        "store.list()",
    ]
    code: dict[str, Any] = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    notebook = nbformat.from_dict(  # type: ignore[no-untyped-call]
        {
            "nbformat": 4,
            "nbformat_minor": 4,
            "metadata": {},
            "cells": [code | {"source": cell} for cell in cells],
        }
    )
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    bar, listing = (cell.outputs for cell in notebook.cells[1:])
    assert any(
        "application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in bar
    ), bar
    assert "<table" in listing[0]["data"]["text/html"]
