"""Exported programs, compiled while they are published."""

from pathlib import Path

import numpy as np
import ptsecure
import pytest
import torch
from torch import Tensor, nn


class Affine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor, *, shift: Tensor) -> dict[str, Tensor]:
        return {"y": self.linear(x) + shift}


@pytest.fixture(scope="module")
def program() -> "torch.export.ExportedProgram":
    torch.manual_seed(5)
    example = (torch.randn(2, 4),)
    return torch.export.export(Affine().eval(), example, {"shift": torch.ones(3)})


def test_compiled_while_it_is_published(
    folder: ptsecure.Store, keys: ptsecure.Keyring, program: "torch.export.ExportedProgram"
) -> None:
    before = set(Path("/tmp").glob("ptsecure-compile-*"))
    folder.publish("affine", program, keys, compile=True)
    assert set(Path("/tmp").glob("ptsecure-compile-*")) == before
    model = folder.load("affine", keys)
    x, shift = torch.randn(2, 4), torch.tensor([1.0, 2.0, 3.0])
    got = model(x.numpy(), shift=shift.numpy())["y"]
    wanted = program.module()(x, shift=shift)["y"].detach().numpy()
    np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-5, atol=1e-6)


def test_an_exported_program_needs_compile(
    folder: ptsecure.Store, keys: ptsecure.Keyring, program: "torch.export.ExportedProgram"
) -> None:
    with pytest.raises(ptsecure.InvalidArgumentError, match="compile=True"):
        folder.publish("affine", program, keys)
    with pytest.raises(ptsecure.InvalidArgumentError, match=r"torch\.export\.export"):
        folder.publish("affine", b"bytes", keys, compile=True)
