"""What the README and the examples' own READMEs show is what the tests run."""

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PTSECURE_BUILD_DIR", ROOT / "build"))
README = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def test_the_program_is_that_of_examples() -> None:
    # tests/python runs it.
    assert blocks("python") == [(ROOT / "examples/python/digits.py").read_text()]


def test_programs_stand_in_examples_and_say_how_to_build_them() -> None:
    """tests/install, the Go tests and tests/python build and run them."""
    programs = {"c": "main.c", "cpp": "main.cpp", "go": "main.go", "python": "digits.py"}
    for folder, program in programs.items():
        head = (ROOT / "examples" / folder / program).read_text()[:400]
        shown = blocks("sh", (ROOT / "examples" / folder / "README.md").read_text())
        assert len(shown) == 1, folder
        for line in shown[0].splitlines():
            assert line in head, f"examples/{folder}/README.md: {line}"
    listed = (ROOT / "examples/cpp/CMakeLists.txt").read_text()
    (cmake,) = blocks("cmake", (ROOT / "examples/cpp/README.md").read_text())
    assert set(cmake.splitlines()) <= set(listed.splitlines())


def test_the_commands_run_as_shown(tmp_path: Path) -> None:
    shown = next(block for block in blocks("sh") if "ptsecure keygen" in block)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = os.environ | {
        "PATH": f"{BUILD / 'bin'}:{os.environ['PATH']}",
        "PTSECURE_STORE": "./models",
        "PTSECURE_KEYS": "./keys.jwks",
    }
    commands = [line for line in shown.splitlines() if line.startswith("ptsecure ")]
    assert len(commands) >= 9
    for line in commands:
        subprocess.run(shlex.split(line), cwd=tmp_path, env=environment, check=True, timeout=120)


def test_the_server_runs_as_shown(tmp_path: Path) -> None:
    (shown,) = blocks("sh", (ROOT / "examples/server/README.md").read_text())
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    client = f"{shlex.quote(sys.executable)} examples/server/client.py 127.0.0.1:{port}"
    shown = shown.replace("8080", port).replace(
        "kill -TERM", f"\n{client} examples/digits/sample.npy\nkill -TERM"
    )
    prepare = "ptsecure keygen keys.jwks\nptsecure publish examples/digits/digits.pt digits "
    prepare += "--sample examples/digits/sample.npy --alias production\n"
    environment = os.environ | {
        "PATH": f"{BUILD / 'bin'}:{os.environ['PATH']}",
        "PTSECURE_STORE": "./models",
        "PTSECURE_KEYS": "./keys.jwks",
    }
    done = subprocess.run(
        ["bash", "-euc", prepare + shown + "wait $!\n"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"state":"ready"' in done.stdout and '"model_name":"digits"' in done.stdout
    assert "picture 0: " in done.stdout


def test_the_table_has_the_commands() -> None:
    command = [str(BUILD / "bin" / "ptsecure"), "--help"]
    help_text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    listed = re.search(r"^Subcommands:\n((?:  .*\n)+)", help_text, re.M)
    assert listed
    verbs = re.findall(r"^  (\S+)", listed[1], re.M)
    table = re.search(r"^\| command \|.*\n\|---\|---\|\n((?:\|.*\n)+)", README, re.M)
    assert table
    first_cells = [row.split("|")[1] for row in table[1].splitlines()]
    shown = [verb for cell in first_cells for verb in re.findall(r"`([a-z]+)[^`]*`", cell)]
    assert sorted(shown) == sorted(verbs)
