"""Small TorchScript models for the server to serve, and a V2 sample for those with a signature."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class Echo(nn.Module):
    """Any tensor comes back: the answer lies in the request's own memory."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Picky(nn.Module):
    """Published without a sample, so that nobody knows what it takes."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2:
            raise RuntimeError("a matrix is expected")
        return x


class Greet(nn.Module):
    def forward(self, name: str, times: int) -> str:
        text = ""
        for _ in range(times):
            text += "hello " + name + " "
        return text


class Pair(nn.Module):
    """Two inputs, two outputs, a free leading dimension."""

    def forward(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        return {"sum": a + b, "rows": torch.arange(a.size(0))}


class Thrower(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.sum()) > 0:
            raise RuntimeError("this model throws")
        return x


class Slow(nn.Module):
    """Computes for as long as it is told."""

    def forward(self, rounds: Tensor) -> Tensor:
        x = torch.ones(64, 64) / 64
        for _ in range(int(rounds.sum())):
            x = x @ x
        return x.sum().reshape(1)


class Counter(nn.Module):
    """Keeps state: what one request leaves there must not reach another."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += x
        return self.seen.clone()


def tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


MODELS: dict[str, tuple[nn.Module, list[dict[str, Any]]]] = {
    "echo": (Echo(), []),
    "picky": (Picky(), []),
    "greet": (
        Greet(),
        [tensor("name", "BYTES", [1], ["you"]), tensor("times", "INT64", [1], [1])],
    ),
    "pair": (
        Pair(),
        [
            tensor("a", "FP32", [2, 3], [1, 2, 3, 4, 5, 6]),
            tensor("b", "FP32", [2, 3], [1, 1, 1, 1, 1, 1]),
        ],
    ),
    "thrower": (Thrower(), [tensor("x", "FP32", [2], [0, 0])]),
    "slow": (Slow(), [tensor("rounds", "INT64", [1], [1])]),
    "counter": (Counter(), [tensor("x", "INT64", [1], [1])]),
}


def write(folder: Path) -> list[str]:
    """NAME.pt, and NAME.json beside it when the model has a sample."""
    for name, (module, sample) in MODELS.items():
        torch.jit.script(module.eval()).save(str(folder / f"{name}.pt"))
        if sample:
            (folder / f"{name}.json").write_text(json.dumps({"inputs": sample}))
    return list(MODELS)
