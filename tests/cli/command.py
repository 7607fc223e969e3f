"""The built `ptsecure` command, run with a store and a keyring."""

import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PTSECURE_BUILD_DIR", ROOT / "build"))
DIGITS = ROOT / "examples" / "digits"


class Command:
    """Runs `ptsecure` with a store and a keyring in its environment."""

    def __init__(self, store: str, keys: Path) -> None:
        self.store = store
        self.keys = keys

    def run(self, *arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PTSECURE_")}
        if torch := os.environ.get("PTSECURE_TORCH_DIR"):
            env["PTSECURE_TORCH_DIR"] = torch
        env |= {"PTSECURE_STORE": self.store, "PTSECURE_KEYS": str(self.keys)} | environment
        command = [str(BUILD / "bin" / "ptsecure"), *map(str, arguments)]
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
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


def database(uri: str, name: str) -> str:
    """The server's URI with a database of the test's own."""
    return uri.replace("/?", f"/{name.replace('.', '_')}?", 1)
