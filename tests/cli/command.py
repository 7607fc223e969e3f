"""The built `ptsecure` command, run with a store and a keyring."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PTSECURE_BUILD_DIR", ROOT / "build"))
DIGITS = ROOT / "examples" / "digits"
PROGRAM = str(BUILD / "bin" / "ptsecure")

MEASURE = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Command:
    """Runs `ptsecure` with a store and a keyring in its environment."""

    def __init__(self, store: str, keys: Path) -> None:
        self.store = store
        self.keys = keys

    def environment(self, **more: str) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PTSECURE_")}
        if torch := os.environ.get("PTSECURE_TORCH_DIR"):
            env["PTSECURE_TORCH_DIR"] = torch
        return env | {"PTSECURE_STORE": self.store, "PTSECURE_KEYS": str(self.keys)} | more

    def run(self, *arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *map(str, arguments)],
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    def ok(self, *arguments: Any, **environment: str) -> str:
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, code: int, *arguments: Any, **environment: str) -> str:
        """The one line on standard error."""
        done = self.run(*arguments, **environment)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("ptsecure: "), done.stderr
        return lines[0]

    def peak(self, *arguments: Any) -> int:
        """The most memory it held, in bytes. Measured by a small process: one's own counts too."""
        done = subprocess.run(
            [sys.executable, "-S", "-E", "-c", MEASURE, PROGRAM, *map(str, arguments)],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stderr.splitlines()[-1]) * 1024


def shown_on(master: int) -> bytes:
    """What a terminal shows until its last user has closed it."""
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:  # what Linux says when the last one has closed the other end
        pass
    os.close(master)
    return shown


def database(uri: str, name: str) -> str:
    """The server's URI with a database of the test's own."""
    return uri.replace("/?", f"/{name.replace('.', '_')}?", 1)
