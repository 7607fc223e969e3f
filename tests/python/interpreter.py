"""A fresh interpreter, for what a test does to its process."""

import os
import subprocess
import sys


def run(program: str, *arguments: str, seconds: int = 120) -> list[str]:
    """The lines that it prints; it must end well."""
    environment = {k: v for k, v in os.environ.items() if k != "PTSECURE_TORCH_DIR"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
