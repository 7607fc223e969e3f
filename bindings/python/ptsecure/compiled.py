"""Exported programs, compiled by AOTInductor into packages to publish.

The compiler writes the generated source, the library and the weights, whole and in plaintext, to
one folder that is made for one compile below `tempfile.gettempdir()`, is closed to other users, and
is removed after it, also when it fails; a process that is killed leaves the folder,
`ptsecure-compile-*`, behind. With TMPDIR on a tmpfs it never reaches a disk. Beside that folder
torch and g++ pass scratch of their own (the text of the graph, assembly, preprocessed headers of
torch; never weights) through temporary files that they remove, and torch keeps its headers
precompiled in `torchinductor_*`. The finished package is held in memory.
"""

import io
import json
import math
import platform
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from ptsecure import _ptsecure
from ptsecure.errors import InvalidArgumentError, InvalidModelError, UnsupportedError
from ptsecure.progress import Progress, elapsing
from ptsecure.source import Source, Wanted

if TYPE_CHECKING:
    import torch

__all__ = ["ProgramSource", "compile_program"]

# Where the compiler writes is a setting of the whole process.
_one_at_a_time = threading.Lock()


@contextmanager
def _private_folder() -> Iterator[None]:
    from torch._inductor.runtime.cache_dir_utils import temporary_cache_dir

    with _one_at_a_time:
        folder = tempfile.mkdtemp(prefix="ptsecure-compile-")
        try:
            with temporary_cache_dir(folder):
                yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _input_names(program: "torch.export.ExportedProgram") -> list[str]:
    """The names of forward's positional arguments."""
    signature = program.module_call_graph[0].signature
    names = getattr(signature, "forward_arg_names", None) or []
    args, _ = program.example_inputs or ((), {})
    return list(names[: len(args)])


def _runs(program: "torch.export.ExportedProgram", extents: dict[Any, int]) -> bool:
    """Whether the program takes inputs with these extents; nothing is computed."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    def concrete(value: Any) -> Any:
        if isinstance(value, torch.SymInt):
            return int(value.node.expr.subs(extents))
        if isinstance(value, torch.Tensor):
            shape = [concrete(extent) for extent in value.shape]
            return torch.empty(shape, dtype=value.dtype, device=value.device)
        return value

    inputs = [node for node in program.graph.nodes if node.op == "placeholder"]
    try:
        with FakeTensorMode(), torch.no_grad():
            torch.fx.Interpreter(program.graph_module).run(
                *(concrete(node.meta.get("val")) for node in inputs)
            )
    except Exception:
        return False
    return True


def _least_extents(program: "torch.export.ExportedProgram") -> list[list[int]]:
    """Of each tensor that forward takes. torch says 2 of what may be 0 or 1 too: 1 is tried."""
    import torch

    # Of the symbols; those of what is computed from them follow.
    lower = {
        symbol: int(bound.lower) if math.isfinite(bound.lower) else 0
        for symbol, bound in program.range_constraints.items()
        if symbol.is_symbol
    }
    usual = {symbol: max(3, bound) for symbol, bound in lower.items()}
    least = {symbol: max(1, bound) for symbol, bound in lower.items()}
    for symbol in [each for each, extent in least.items() if extent == 2]:
        if _runs(program, usual | {symbol: 1}) or not _runs(program, usual):
            least[symbol] = 1
    given = set(program.graph_signature.user_inputs)
    extents = []
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.op == "placeholder" and node.name in given and isinstance(value, torch.Tensor):
            extents.append(
                [
                    int(each.node.expr.subs(least)) if isinstance(each, torch.SymInt) else 1
                    for each in value.shape
                ]
            )
    return extents


def _march() -> str | None:
    """The processor to compile for: what AOTI_CPU_ISA tells openers of, and not all that this one
    has, as torch would have it."""
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    if platform.machine() != "x86_64":
        return None
    return "x86-64-v3" if pick_vec_isa() else "x86-64"


def _settings(program: "torch.export.ExportedProgram") -> dict[str, Any]:
    import torch

    return {
        # The weights lie beside the code and none is compiled into it: they are in memory once, and
        # others can be published for the same program.
        "aot_inductor.package_constants_in_so": False,
        "aot_inductor.package_constants_on_disk_format": "binary_blob",
        "always_keep_tensor_constants": True,
        "aot_inductor.metadata": {
            "PTSECURE_TORCH_VERSION": torch.__version__,
            "PTSECURE_INPUTS": json.dumps(_input_names(program)),
            "PTSECURE_LEAST": json.dumps(_least_extents(program)),
        },
        "cpp.march": _march(),
        # Worker processes would outlive the folder that they write to.
        "compile_threads": 1,
    }


def _raise(error: Exception) -> NoReturn:
    from torch._inductor.exc import InvalidCxxCompiler

    if isinstance(error, InvalidCxxCompiler):
        raise UnsupportedError(
            "compiling takes a C++ compiler, and torch finds none: install g++, or name one in the "
            "environment variable CXX"
        ) from error
    reason = str(error).strip().partition("\n")[0]
    raise InvalidModelError(
        f"AOTInductor can't compile this program ({type(error).__name__}): {reason}"
    ) from error


def compile_program(program: "torch.export.ExportedProgram", progress: Progress) -> memoryview:
    """The package (.pt2) of a program, compiled for this machine; takes tens of seconds."""
    import torch

    package = io.BytesIO()
    with elapsing(progress, "compiling"), _private_folder():
        try:
            torch._inductor.aoti_compile_and_package(
                program, package_path=package, inductor_configs=_settings(program)
            )
        except Exception as error:
            _raise(getattr(error, "inner_exception", error))
    return package.getbuffer()


def _is_exported(model: object) -> bool:
    """Asks without importing torch."""
    export = sys.modules.get("torch.export")
    return export is not None and isinstance(model, export.ExportedProgram)


class ProgramSource(Source):
    """A torch.export.ExportedProgram, and whatever else is to be compiled."""

    kind = "a torch.export.ExportedProgram"

    @classmethod
    def takes(cls, model: object, wanted: Wanted) -> bool:
        return wanted.compile or _is_exported(model)

    def add_to(self, raw: _ptsecure.Source) -> None:
        if not _is_exported(self.model):
            raise InvalidArgumentError(
                "compile=True takes a torch.export.ExportedProgram, as torch.export.export("
                "module, inputs) or torch.export.load(path) gives it, not a "
                f"{type(self.model).__name__}"
            )
        if not self.wanted.compile or self.wanted.format not in (None, "aotinductor"):
            raise InvalidArgumentError(
                "an exported program can't be run before it is compiled: publish it with "
                "compile=True, or what torch._inductor.aoti_compile_and_package makes of it, as "
                "format='aotinductor'"
            )
        raw.add_bytes(compile_program(self.model, self.wanted.progress))
