"""`python -m ptsecure`: the native command that the wheel carries, in this process's place."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from ptsecure.torch_location import torch_dir


def main() -> NoReturn:
    command = Path(__file__).parent / "bin" / "ptsecure"
    if folder := torch_dir():
        os.environ.setdefault("PTSECURE_TORCH_DIR", folder)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command, ["ptsecure", *sys.argv[1:]])


if __name__ == "__main__":
    main()
