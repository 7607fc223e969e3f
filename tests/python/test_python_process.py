"""What the package does to its process: one libtorch, forks, Ctrl-C, the command."""

import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import termios
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import ptsecure
import pytest

from tests.cli.command import BUILD, DIGITS
from tests.python.interpreter import run

PREPARED = """
import os, sys, time
import numpy as np
import ptsecure

keys = ptsecure.Keyring.load(sys.argv[1])
store = ptsecure.open_store(sys.argv[2])
images = np.load(sys.argv[3])


def mappings(name):
    with open("/proc/self/maps") as maps:
        return len({line.split()[-1] for line in maps if line.split()[-1].endswith("/" + name)})


def in_child(work):
    "What `work` prints in a forked child, which must end by itself."
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(type(error).__name__, error)
        sys.stdout.flush()
        os._exit(0)
    for _ in range(600):
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return
        time.sleep(0.1)
    os.kill(child, 9)
    print("HUNG")


"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A keyring file, a store that holds digits, pictures."""
    folder = tmp_path_factory.mktemp("prepared")
    keys = ptsecure.Keyring.generate()
    keys.save(folder / "keys.jwks")
    sample = DIGITS / "sample.npy"
    with ptsecure.open_store(folder / "store") as store:
        store.publish("digits", DIGITS / "digits.pt", keys)
        store.publish("big", bytes(200_000_000), keys, format="opaque")
    return str(folder / "keys.jwks"), str(folder / "store"), str(sample)


def python(code: str, prepared: tuple[str, str, str], *, seconds: int = 120) -> list[str]:
    """The lines that a fresh interpreter prints."""
    program = PREPARED + textwrap.dedent(code)
    return run(program, *prepared, seconds=seconds)


@pytest.mark.parametrize("order", ["before", "after", "never"])
def test_one_libtorch(prepared: tuple[str, str, str], order: str) -> None:
    lines = python(
        f"""
        if {order!r} == "before":
            import torch
        model = store.load("digits", keys)
        y = model(images)
        if {order!r} == "after":
            import torch
        if {order!r} == "never":
            assert "torch" not in sys.modules
        else:
            z = model(torch.from_numpy(images))
            assert torch.equal(z, torch.from_numpy(y)), (z, y)
            assert torch.nn.Linear(3, 2)(torch.ones(3)).shape == (2,)
        print(mappings("libtorch_cpu.so"), mappings("libc10.so"), y.argmax(1).tolist())
        """,
        prepared,
    )
    assert lines == ["1 1 [2, 3, 4, 5, 6, 7, 8, 9]"]


def test_listing_needs_no_torch(prepared: tuple[str, str, str]) -> None:
    lines = python(
        """
        print([each.name for each in store.list()], store.verify("digits", keys)[0].ok)
        print(mappings("libtorch_cpu.so"), "torch" in sys.modules)
        """,
        prepared,
    )
    assert lines == ["['big', 'digits'] True", "0 False"]


def test_forked_workers(prepared: tuple[str, str, str]) -> None:
    """As gunicorn and DataLoader fork: after the parent has used everything."""
    lines = python(
        """
        model = store.load("digits", keys)
        model(np.concatenate([images] * 200))  # enough for several threads

        def use_inherited():
            model(images)

        def fork_inherited():
            model.fork()

        def own_from_inherited_store():
            global model
            del model  # letting go of what was inherited is harmless
            own = store.load("digits", keys)
            print(own(np.concatenate([images] * 200)).argmax(1)[:3].tolist())

        def own_everything():
            own_keys = ptsecure.Keyring.load(sys.argv[1])
            with ptsecure.open_store(sys.argv[2]) as own_store:
                own_store.publish("blob", bytes(3_000_000), own_keys, format="opaque")
                print(own_store.fetch("blob", own_keys).decrypt() == bytes(3_000_000))

        for work in (use_inherited, fork_inherited, own_from_inherited_store, own_everything):
            in_child(work)
        print(model(images).argmax(1)[:3].tolist())
        """,
        prepared,
    )
    assert [line.split()[0] for line in lines] == [
        "ClosedError",
        "ClosedError",
        "[2,",
        "True",
        "[2,",
    ]
    assert "fork" in lines[0]


def test_a_fork_of_a_mongodb_store(prepared: tuple[str, str, str], mongod: str) -> None:
    uri = mongod.replace("/?", "/forked?", 1)
    lines = python(
        """
        store.publish("blob", bytes(3_000_000), keys, format="opaque")

        def read():
            print(store.fetch("blob", keys).decrypt() == bytes(3_000_000), len(store.list()))

        in_child(read)
        read()
        """,
        (prepared[0], uri, prepared[2]),
    )
    assert lines == ["True 1", "True 1"]


def test_dataloader_workers(prepared: tuple[str, str, str]) -> None:
    lines = python(
        """
        import torch

        model = store.load("digits", keys)
        model(images)

        class Labelled(torch.utils.data.Dataset):
            def __init__(self, opened):
                self.opened = opened

            def __len__(self):
                return len(images)

            def __getitem__(self, i):
                if self.opened is None:
                    self.opened = store.load("digits", keys)
                return int(self.opened(images[i : i + 1]).argmax())

        own = torch.utils.data.DataLoader(Labelled(None), num_workers=2, batch_size=4)
        print(torch.cat(list(own)).tolist())
        inherited = torch.utils.data.DataLoader(Labelled(model), num_workers=2, batch_size=4)
        try:
            list(inherited)
        except ptsecure.ClosedError as error:
            print("ClosedError")
        """,
        prepared,
    )
    assert lines == ["[2, 3, 4, 5, 6, 7, 8, 9]", "ClosedError"]


def test_ctrl_c_while_opening(prepared: tuple[str, str, str]) -> None:
    lines = python(
        """
        import signal, threading

        # Whoever starts the tests in the background may have left the signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        package = store.fetch("big", keys)

        def interrupt(done, total):
            if done > 0:
                os.kill(os.getpid(), signal.SIGINT)

        try:
            package.decrypt(progress=interrupt)
        except KeyboardInterrupt:
            print("interrupted")
        print(store.list()[0].name, threading.active_count())
        """,
        prepared,
    )
    assert lines == ["interrupted", "big 1"]


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = []

        def accept() -> None:
            while True:
                try:
                    kept.append(listening.accept())
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_ctrl_c_while_a_server_is_silent(
    prepared: tuple[str, str, str], silent_server: int
) -> None:
    program = PREPARED + textwrap.dedent(
        """
        import signal

        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("waiting", flush=True)
        try:
            store.load("digits", keys)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """
    )
    uri = f"mongodb://127.0.0.1:{silent_server}/x?connectTimeoutMS=60000"
    arguments = [prepared[0], uri, prepared[2]]
    program = program.replace(
        "open_store(sys.argv[2])", "open_store(sys.argv[2], connect_timeout=60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(1)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert time.monotonic() - begin < 10  # a second and what a busy machine adds; not 60
        assert process.wait(30) == 0


def on_terminal(code: str, prepared: tuple[str, str, str], *flags: str) -> str:
    """What a fresh interpreter writes to standard error that is a terminal."""
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, 100))
    process = subprocess.Popen(
        [sys.executable, *flags, "-c", PREPARED + textwrap.dedent(code), *prepared], stderr=child
    )
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the last writer is gone
            break
        if not part:
            break
        shown += part
    os.close(parent)
    assert process.wait(60) == 0, shown
    return shown.decode()


def test_a_bar_on_a_terminal_and_nowhere_else(prepared: tuple[str, str, str]) -> None:
    code = 'store.fetch("big", keys).decrypt(progress=True)'
    shown = on_terminal(code, prepared)
    assert "decrypting big/1" in shown
    assert "100%" in shown
    without_tqdm = 'sys.modules["tqdm"] = sys.modules["tqdm.auto"] = None\n' + code
    assert "100 % of 200.0 MB" in on_terminal(without_tqdm, prepared)
    assert on_terminal(code.replace("True", "False"), prepared) == ""
    quiet = subprocess.run(
        [sys.executable, "-c", PREPARED + code, *prepared], capture_output=True, check=True
    )
    assert quiet.stderr == b""


@pytest.fixture(scope="module")
def wide(prepared: tuple[str, str, str]) -> None:
    """A model in the store whose tensors are decrypted while libtorch sets itself up."""
    python(
        """
        import io
        import torch
        layers = [torch.nn.Linear(2048, 2048, bias=False) for _ in range(16)]
        module = torch.jit.trace(torch.nn.Sequential(*layers), torch.ones(1, 2048))
        file = io.BytesIO()
        torch.jit.save(module, file)
        store.publish("wide", file.getvalue(), keys)
        """,
        prepared,
    )


@pytest.mark.usefixtures("wide")
def test_a_first_open_tells_of_its_progress(prepared: tuple[str, str, str]) -> None:
    """On the caller's thread, although others fetch and decrypt meanwhile."""
    lines = python(
        """
        import threading
        seen = []
        store.load("wide", keys, progress=lambda *each: seen.append((*each, threading.get_ident())))
        done = [each[0] for each in seen]
        print(len(seen) > 1, done == sorted(done), done[-1] == seen[-1][1] > 2**28)
        print({each[2] for each in seen} == {threading.get_ident()})
        """,
        prepared,
    )
    assert lines == ["True True True", "True"]


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("place", ["begin", "middle", "end"])
def test_a_first_open_of_a_damaged_model(
    prepared: tuple[str, str, str], tmp_path: Path, place: str
) -> None:
    """Fails as any open does, and leaves the process as it was."""
    store = shutil.copytree(prepared[1], tmp_path / "store")
    payload = max(store.glob("**/wide/**/*"), key=lambda path: path.stat().st_size)
    size = payload.stat().st_size
    with payload.open("r+b") as file:
        file.seek({"begin": 100, "middle": size // 2, "end": size - 1}[place])
        [byte] = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    lines = python(
        """
        for name in ("wide", "none"):
            try:
                store.load(name, keys)
            except ptsecure.Error as error:
                print(type(error).__name__, name in str(error))
        print(store.load("digits", keys)(images).argmax(1).tolist())
        """,
        (prepared[0], str(store), prepared[2]),
    )
    assert lines == ["CorruptError True", "NotFoundError True", "[2, 3, 4, 5, 6, 7, 8, 9]"]


@pytest.mark.usefixtures("wide")
def test_a_first_open_that_is_given_up(prepared: tuple[str, str, str]) -> None:
    lines = python(
        """
        import threading

        def give_up(done, total):
            raise ZeroDivisionError

        before = threading.active_count()
        for name in ("wide", "digits"):
            try:
                store.load(name, keys, progress=give_up)
            except ZeroDivisionError:
                print("given up")
        print(threading.active_count() == before)
        print(store.load("digits", keys)(images).argmax(1).tolist())
        print(store.load("wide", keys).name)
        """,
        prepared,
    )
    assert lines == ["given up", "given up", "True", "[2, 3, 4, 5, 6, 7, 8, 9]", "wide"]


def test_the_command_is_the_native_one(prepared: tuple[str, str, str]) -> None:
    environment = os.environ | {"PTSECURE_KEYS": prepared[0], "PTSECURE_STORE": prepared[1]}
    module = [sys.executable, "-m", "ptsecure"]
    native = [str(BUILD / "bin" / "ptsecure")]
    for arguments in (["--version"], ["list", "--json"], ["show", "none"], ["--nonsense"]):
        ours, theirs = (
            subprocess.run([*command, *arguments], env=environment, capture_output=True)
            for command in (module, native)
        )
        assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
        assert ours.stderr.splitlines()[-1:] == theirs.stderr.splitlines()[-1:]
    del environment["PTSECURE_TORCH_DIR"]
    answer = subprocess.run(
        [*module, "infer", "digits", "--input", prepared[2], "--json"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert b"outputs" in answer.stdout


def test_the_example(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [
            sys.executable,
            root / "examples/python/digits.py",
            DIGITS / "digits.pt",
            DIGITS / "sample.npy",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("picture")]
    assert answers == ["2", "3", "4", "5", "6", "7", "8", "9"]
