"""What the `ptsecure` command does to the machine around it: the terminal, signals, files that stay
behind, shared memory, and its own memory."""

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.command import BUILD, DIGITS, PROGRAM, Command, shown_on

MODEL = DIGITS / "digits.pt"
SAMPLE = DIGITS / "sample.npy"
MIB = 1 << 20


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as out:
        out.truncate(size)
    return path


# --- the terminal ---------------------------------------------------------------------------------


def on_terminal(command: Command, *arguments: object) -> tuple[int, str, str]:
    """The exit code, what goes to a terminal on standard error, and standard output."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        env=command.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    shown = shown_on(master)
    output, _ = process.communicate(timeout=120)
    return process.returncode, shown.decode(), output.decode()


def test_a_terminal_gets_a_progress_bar_with_rate_and_time_left(
    command: Command, tmp_path: Path
) -> None:
    big = sparse(tmp_path / "blob.bin", 40 * MIB)
    bar = re.compile(
        r"\r[^\r]*\[#*\.*\] [0-9.]+ k?M?B of 41\.9 MB  [0-9.]+ \w*B/s  [0-9-]+:[0-9-]+ left"
    )
    code, shown, output = on_terminal(command, "publish", big, "blob", "--format", "opaque")
    assert (code, output.strip()) == (0, "blob/1")
    assert bar.search(shown), shown
    # Nothing of it stays on the screen.
    assert shown.endswith("\r\x1b[K"), shown
    code, shown, _ = on_terminal(command, "verify", "blob")
    assert code == 0 and bar.search(shown), shown


def test_a_terminal_sees_the_model_being_opened(folder: Command) -> None:
    folder.ok("publish", MODEL, "digits", "--sample", SAMPLE)
    code, shown, output = on_terminal(folder, "infer", "digits", "--input", SAMPLE)
    assert code == 0 and '"outputs"' in output
    assert re.search(r"\[#+\.*\] .* left", shown), shown


def test_no_progress_bar_where_nobody_asked_for_one(folder: Command, tmp_path: Path) -> None:
    big = sparse(tmp_path / "blob.bin", 40 * MIB)
    done = folder.run("publish", big, "blob", "--format", "opaque")
    assert (done.returncode, done.stderr) == (0, "")
    for option in ("--quiet", "--json"):
        code, shown, _ = on_terminal(folder, option, "publish", big, "blob", "--format", "opaque")
        assert (code, shown) == (0, "")


# --- interrupted ----------------------------------------------------------------------------------


def test_an_interrupted_publish_leaves_nothing_behind(command: Command, tmp_path: Path) -> None:
    before = sparse(tmp_path / "small.bin", 1000)
    command.ok("publish", before, "blob", "--format", "opaque")
    # More than is sealed in the time given to it here; room for it is reserved on the disk.
    big = sparse(tmp_path / "big.bin", 8 << 30)
    process = subprocess.Popen(
        [PROGRAM, "publish", str(big), "blob", "--format", "opaque"],
        env=command.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, (process.returncode, errors)
    assert output == ""
    assert len(errors.splitlines()) == 1 and errors.startswith("ptsecure: "), errors
    command.ok("verify", "blob/1")
    command.fails(3, "show", "blob/2")
    if command.store.startswith("/"):
        kept = sum(file.stat().st_size for file in Path(command.store).rglob("*") if file.is_file())
        assert kept < MIB, "the sealed part of an unfinished version stays on the disk"
    # A number that was taken is not given again.
    assert command.ok("publish", before, "blob", "--format", "opaque").strip() == "blob/3"


def test_an_interrupted_open_says_so(folder: Command, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    folder.ok("publish", sparse(big, 1 << 30), "blob", "--format", "opaque")
    process = subprocess.Popen(
        [PROGRAM, "verify", "blob"],
        env=folder.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, (process.returncode, errors)


# --- what stays behind ----------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["digits", "text", "missing"])
def test_failed_opens_make_no_file(what: str, folder: Command, tmp_path: Path) -> None:
    """A damaged payload, bytes that are no TorchScript, no such model."""
    folder.ok("publish", MODEL, "digits", "--sample", SAMPLE)
    payload = Path(folder.store) / "models" / "digits" / "1" / "model"
    damaged = bytearray(payload.read_bytes())
    damaged[-1] ^= 1
    payload.write_bytes(damaged)
    calls = "trace=creat,open,openat,openat2,memfd_create,mkdir,mkdirat,mknod,mknodat,link,linkat"
    text = tmp_path / "text"
    text.write_bytes(b"no model at all" * 1000)
    verb = ["publish", text, "text"] if what == "text" else ["infer", what, "--input", SAMPLE]
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", calls, PROGRAM, *map(str, verb)],
        env=folder.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == {"digits": 4, "text": 1, "missing": 3}[what], done.stderr
    assert "libptsecure.so" in done.stderr, "the trace shows nothing"
    makes = re.compile(r"O_CREAT|O_TMPFILE|creat\(|memfd_create|mkdir|mknod|\blink(at)?\(")
    state = os.environ["XDG_STATE_HOME"]  # what the client remembers: names, numbers and digests
    made = [line for line in done.stderr.splitlines() if makes.search(line) and state not in line]
    assert made == []


@pytest.fixture(scope="module")
def no_shared_memory(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library to preload that leaves no shared memory, as in a container without /dev/shm."""
    folder = tmp_path_factory.mktemp("shim")
    source = folder / "shim.c"
    source.write_text(
        "#include <errno.h>\n"
        "int shm_open(const char* name, int flags, int mode);\n"
        "int shm_open(const char* name, int flags, int mode) {\n"
        "  (void)name; (void)flags; (void)mode; errno = EACCES; return -1;\n}\n"
    )
    library = folder / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return str(library)


def test_nothing_is_said_about_shared_memory(
    command: Command, tmp_path: Path, no_shared_memory: str
) -> None:
    """libmongoc keeps counters there, and prints when it can't."""
    for arguments in (
        ("keygen", tmp_path / "more.jwks"),
        ("publish", MODEL, "digits"),
        ("list", "--json"),
        ("infer", "digits", "--input", SAMPLE),
    ):
        done = command.run(*arguments, LD_PRELOAD=no_shared_memory)
        assert (done.returncode, done.stderr) == (0, "")


# --- memory ---------------------------------------------------------------------------------------


def test_publishing_holds_a_window_of_the_file(command: Command, tmp_path: Path) -> None:
    small = sparse(tmp_path / "small.bin", 1000)
    big = sparse(tmp_path / "big.bin", 400 * MIB)
    base = command.peak("publish", small, "blob", "--format", "opaque")
    assert command.peak("publish", big, "blob", "--format", "opaque") - base < 64 * MIB
    assert command.peak("verify", "blob") - base < 64 * MIB
    copied = str(tmp_path / "copy")
    assert command.peak("copy", "blob", "--to", copied) - base < 64 * MIB


def test_opening_holds_the_model_and_a_window(command: Command, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="tests/run.sh installs torch", exc_type=ImportError)
    peaks = {}
    request = tmp_path / "request.json"
    request.write_text(
        '{"inputs": [{"name": "input", "datatype": "INT64", "shape": [1], "data": [0]}]}'
    )
    for name, rows in {"small": 1, "big": 300 * MIB // 4 // 64}.items():
        path = tmp_path / f"{name}.pt"
        torch.jit.script(torch.nn.Embedding(rows, 64)).save(str(path))
        published = command.peak("publish", path, name)
        opened = command.peak("infer", name, "--input", request)
        quickly = command.peak("infer", name, "--input", request, "--verify", "aead")
        peaks[name] = (published, opened, quickly)
    published, opened, quickly = (
        big - small for small, big in zip(peaks["small"], peaks["big"], strict=True)
    )
    assert published < 64 * MIB
    assert opened < (300 + 64) * MIB
    assert quickly < (300 + 64) * MIB
    # What isn't there can't be measured: the weights are in memory once.
    assert opened > 299 * MIB


def test_does_without_threads(command: Command, tmp_path: Path) -> None:
    """Slower, but nothing fails for want of them, and a failure still says why."""
    alone = {"LD_PRELOAD": str(BUILD / "tests" / "cli_no_threads.so"), "OMP_NUM_THREADS": "1"}
    command.ok("publish", MODEL, "digits", **alone)
    wanted = command.ok("infer", "digits", "--input", SAMPLE)
    assert command.ok("infer", "digits", "--input", SAMPLE, **alone) == wanted
    command.ok("verify", "digits", **alone)
    command.ok("copy", "digits", "--to", tmp_path / "copy", **alone)
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(MODEL.read_bytes()[:-1000])
    assert "truncated" in command.fails(1, "publish", damaged, "digits", **alone)
