"""Live torch modules as bytes to publish; no file is written.

The archive is held in memory while it is sealed, so that publishing a live module costs about the
model's size once more (twice for a moment, while torch builds the archive).
"""

import io
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from ptsecure.errors import InvalidModelError

if TYPE_CHECKING:
    import torch

__all__ = ["Captured", "capture", "is_live", "state_bytes"]

Captured = Literal["scripted", "traced"]


def is_live(model: object) -> bool:
    """Whether it is a torch module; asks without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


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


def capture(
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


def state_bytes(state: "Mapping[str, torch.Tensor]") -> memoryview:
    """What torch.save makes of a state_dict."""
    import torch

    file = io.BytesIO()
    torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, file)
    return file.getbuffer()
