"""Exported programs compiled by AOTInductor into packages to publish.

The compiler writes its intermediate files, the generated source, the library and the weights among
them, to a folder on this machine; it is made for one compile, closed to other users, and removed
after it. The package itself is held in memory.
"""

import io
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["compile_program", "is_exported"]


def is_exported(model: object) -> bool:
    """Whether it is a torch.export.ExportedProgram; asks without importing torch."""
    export = sys.modules.get("torch.export")
    return export is not None and isinstance(model, export.ExportedProgram)


@contextmanager
def _own_cache() -> Iterator[None]:
    """Inductor's cache in a private folder, which goes afterwards."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    folder = tempfile.mkdtemp(prefix="ptsecure-compile-")
    os.environ[name] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _saying(what: str, show: bool) -> Iterator[None]:
    """The seconds a compile has taken so far, on standard error."""
    if not show:
        yield
        return
    began, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not done.wait(1):
            seconds = int(time.monotonic() - began)
            print(f"\r{what}: {seconds} s", end="", file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
        print(file=sys.stderr)


def _input_names(program: "torch.export.ExportedProgram") -> list[str]:
    """The names of forward's positional arguments."""
    signature = program.module_call_graph[0].signature
    names = getattr(signature, "forward_arg_names", None) or []
    args, _ = program.example_inputs or ((), {})
    return list(names[: len(args)])


def compile_program(program: "torch.export.ExportedProgram", *, progress: bool = False) -> bytes:
    """The package (.pt2) of a program compiled for this machine; takes tens of seconds.

    Its weights lie beside the compiled library and none is compiled into it, so that they are in
    memory once and other weights can be published for the same program.
    """
    import torch

    package = io.BytesIO()
    configs = {
        "aot_inductor.package_constants_in_so": False,
        "aot_inductor.package_constants_on_disk_format": "binary_blob",
        "always_keep_tensor_constants": True,
        "aot_inductor.metadata": {
            "PTSECURE_TORCH_VERSION": torch.__version__,
            "PTSECURE_INPUTS": json.dumps(_input_names(program)),
        },
    }
    with _own_cache(), _saying("compiling", progress):
        torch._inductor.aoti_compile_and_package(
            program, package_path=package, inductor_configs=configs
        )
    return package.getvalue()
