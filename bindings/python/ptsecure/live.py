"""Live torch modules as bytes to publish; no file is written.

The archive is held in memory while it is sealed, so that publishing a live module costs about the
model's size once more (twice for a moment, while torch builds the archive).
"""

import io
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ptsecure import _ptsecure
from ptsecure.errors import InvalidArgumentError, InvalidModelError
from ptsecure.source import Captured, Source, Wanted

if TYPE_CHECKING:
    import torch

__all__ = ["ModuleSource", "StateSource"]


@contextmanager
def _evaluating(module: "torch.nn.Module") -> Iterator[None]:
    """Evaluation mode for a while: no dropout, fixed batch statistics."""
    before = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for each, training in before:
            each.training = training


def _as_tensors(sample: Any) -> Any:
    import torch

    if isinstance(sample, tuple | list):
        return type(sample)(_as_tensors(each) for each in sample)
    if isinstance(sample, dict):
        return {key: _as_tensors(each) for key, each in sample.items()}
    if hasattr(sample, "__dlpack__") and not isinstance(sample, torch.Tensor):
        return torch.as_tensor(sample)
    return sample


def _to_script(
    module: "torch.nn.Module", sample: tuple[Any, ...] | None
) -> tuple["torch.jit.ScriptModule", Captured]:
    import torch

    try:
        return torch.jit.script(module), "scripted"
    except Exception as error:
        if sample is None:
            raise InvalidModelError(
                f"{type(module).__name__} can't be scripted, and without sample= it can't be "
                f"traced either: {error}"
            ) from error
    with torch.no_grad():
        return torch.jit.trace(module, _as_tensors(sample), check_trace=False), "traced"


def _capture(
    module: "torch.nn.Module", sample: tuple[Any, ...] | None
) -> tuple[bytes, Captured | None]:
    """The TorchScript archive of a module, and how it was made (None: it was TorchScript).

    An ordinary module is scripted, which keeps its control flow; one that can't be is traced with
    the sample, which keeps the path that the sample takes. Both in evaluation mode; the module
    itself is left as it was.
    """
    import torch

    how: Captured | None = None
    with warnings.catch_warnings():
        # torch.jit is deprecated upstream; whoever publishes a model can't help it.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        if isinstance(module, torch.jit.ScriptModule):
            script = module
        else:
            with _evaluating(module):
                script, how = _to_script(module, sample)
        data: bytes = script.save_to_buffer()
    return data, how


class ModuleSource(Source):
    """An nn.Module or a torch.jit.ScriptModule."""

    kind = "a torch module"

    @classmethod
    def takes(cls, model: object, wanted: Wanted) -> bool:
        torch = sys.modules.get("torch")  # asks without importing it
        return torch is not None and isinstance(model, torch.nn.Module)

    def add_to(self, raw: _ptsecure.Source) -> None:
        if self.wanted.format not in (None, "torchscript") or self.wanted.weights_of is not None:
            raise InvalidArgumentError(
                "a live module is published as format='torchscript', without weights_of"
            )
        data, self.captured = _capture(self.model, self.wanted.sample)
        raw.add_bytes(memoryview(data))


class StateSource(Source):
    """A state_dict: weights for a compiled program, as what torch.save makes of them."""

    @classmethod
    def takes(cls, model: object, wanted: Wanted) -> bool:
        return wanted.weights_of is not None and isinstance(model, Mapping)

    def add_to(self, raw: _ptsecure.Source) -> None:
        import torch

        state: Mapping[str, torch.Tensor] = self.model
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        file = io.BytesIO()
        torch.save(plain, file)
        raw.add_bytes(file.getbuffer())
