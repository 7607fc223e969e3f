"""Slips of a careful user: mistyped verbs, numbers and paths, and Ctrl-C where nothing can be asked
to stop."""

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.command import DIGITS, PROGRAM, Command, shown_on

MODEL = DIGITS / "digits.pt"
SAMPLE = DIGITS / "sample.npy"


@pytest.fixture
def published(folder: Command) -> Command:
    folder.ok("publish", MODEL, "digits", "--alias", "production", "--sample", SAMPLE)
    return folder


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["pubish", MODEL, "digits"], "'pubish' is no command here; see `ptsecure --help`"),
        (["keys", "keys.jwks"], "'keys.jwks' is no command here; see `ptsecure keys --help`"),
        (["alias"], "a command is missing; see `ptsecure alias --help`"),
        ([], "a command is missing; see `ptsecure --help`"),
        (["publish", MODEL], "NAME is required; see `ptsecure publish --help`"),
        (["show", "digits", "--colour"], "--colour"),
        (["alias", "set", "digits", "production", "-1"], "VERSION"),
        (["alias", "set", "digits", "production", "0"], "VERSION"),
        (["rollback", "digits", "production", "--to", "-1"], "--to"),
        (["show", "digits@production", "--min-sequence", "-1"], "--min-sequence"),
        (["list", "--limit", "-1"], "--limit"),
        (["log", "show", "--from", "0"], "--from"),
    ],
)
def test_command_lines(published: Command, arguments: list[object], part: str) -> None:
    assert part in published.fails(2, *arguments)


def test_files_to_read(published: Command, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for verb in (["infer", "digits", "--input"], ["publish", MODEL, "digits", "--sample"]):
        assert "is a folder" in published.fails(2, *verb, tmp_path)
        # An empty sample would say nothing of the inputs, and none be checked.
        assert "is empty" in published.fails(2, *verb, empty)
        for missing in ("missing.npy", "missing.json"):
            assert "there is no file" in published.fails(3, *verb, tmp_path / missing)
    assert published.ok("publish", MODEL, "digits").strip() == "digits/2"


def test_aliases_of_what_is_not_there(published: Command) -> None:
    assert "digits@production" in published.ok("alias", "list", "digits")
    published.ok("publish", MODEL, "bare")
    assert published.ok("alias", "list", "bare") == ""
    assert "no model 'digist'" in published.fails(3, "alias", "list", "digist")


def test_one_store_spelled_differently_is_one_to_the_state(
    published: Command, tmp_path: Path
) -> None:
    state = str(tmp_path / "state.json")
    published.ok("show", "digits@production", PTSECURE_STATE=state)
    # Made anew at the same place: another store, however its path is spelled now.
    Path(published.store).rename(tmp_path / "old")
    published.ok("publish", MODEL, "digits", "--alias", "production", "--no-state")
    for spelling in ("{}", "{}/", "{}/.", "file://{}/./"):
        store = spelling.format(published.store)
        line = published.fails(4, "show", "digits", PTSECURE_STATE=state, PTSECURE_STORE=store)
        assert "swapped or made anew" in line, line


def test_ctrl_c_ends_the_question_for_a_passphrase(folder: Command, tmp_path: Path) -> None:
    locked = tmp_path / "locked.jwks"
    folder.ok("keygen", locked, "--passphrase", PTSECURE_PASSPHRASE="correct horse")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "keys", "show", str(locked)],
        env=folder.environment(),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        # The terminal's Ctrl-C goes to whom it belongs to.
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )
    os.close(slave)
    shown = b""
    while b"Passphrase of" not in shown:
        shown += os.read(master, 4096)
    os.write(master, b"\x03")
    assert process.wait(timeout=20) == 130
    shown += shown_on(master)
    assert b"ptsecure: interrupted" in shown, shown


def test_a_second_ctrl_c_ends_a_model_that_runs(folder: Command, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="tests/run.sh installs torch", exc_type=ImportError)

    endless = torch.jit.script(torch.nn.Module())
    endless.define(
        "def forward(self, x: Tensor):\n  for i in range(1 << 50):\n    x = x + 1\n  return x\n"
    )
    model = tmp_path / "endless.pt"
    endless.save(str(model))
    folder.ok("publish", model, "endless")
    process = subprocess.Popen(
        [PROGRAM, "infer", "endless", "--input", str(SAMPLE)], env=folder.environment()
    )
    try:
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) in (-signal.SIGINT, 130)
    finally:
        process.kill()
