"""Where the installed torch is, found without importing it."""

import importlib.util
import os
from functools import cache
from pathlib import Path

__all__ = ["torch_dir"]


@cache
def torch_dir() -> str:
    """The folder of the `torch` package that `import torch` would take; "" if there is none.

    The library opens this one's libtorch, so that the process has one libtorch whether or not the
    program imports torch, and whenever it does.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    return os.fspath(Path(spec.origin).parent)
