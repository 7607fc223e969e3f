"""Finds the torch that the wheel is built with, without importing it.

CMake runs this file for its folder; scikit-build-core calls `dynamic_metadata` for the wheel's
requirements. Under build isolation torch can't be imported, but `purelib` is still the
environment's own site-packages.
"""

import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HELP = """\
ptsecure is built with the torch that it will run with, and found none: {where}.
Type one of these, then install again:
    pip install torch==2.15.*
    export PTSECURE_TORCH_DIR=/path/to/site-packages/torch"""


def torch_dir() -> Path:
    """The `torch` folder with headers and libraries."""
    given = os.environ.get("PTSECURE_TORCH_DIR")
    folder = Path(given) if given else Path(sysconfig.get_path("purelib")) / "torch"
    if not (folder / "lib" / "libtorch_cpu.so").is_file():
        source = "PTSECURE_TORCH_DIR names" if given else "this Python environment would have it in"
        raise SystemExit(HELP.format(where=f"{source} {folder}"))
    return folder.resolve()


def torch_requirement() -> str:
    """For example `torch==2.15.*`."""
    text = (torch_dir() / "version.py").read_text()
    match = re.search(r"^__version__ = '(\d+\.\d+)\.", text, re.MULTILINE)
    if match is None:
        raise SystemExit(f"{torch_dir()}/version.py doesn't say which torch this is")
    return f"torch=={match[1]}.*"


def dynamic_metadata(field: str, settings: Mapping[str, Any]) -> list[str]:
    assert field == "dependencies" and not settings
    return ["numpy>=2", torch_requirement()]


if __name__ == "__main__":
    sys.stdout.write(str(torch_dir()))
