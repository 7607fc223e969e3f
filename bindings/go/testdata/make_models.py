"""Writes the models of the Go tests: make_models.py FOLDER"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn


class Echo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Copy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clone()

    @torch.jit.export
    def transposed(self, x: Tensor) -> Tensor:
        return x.t()

    @torch.jit.export
    def failing(self, x: Tensor) -> Tensor:
        return x.reshape(x.numel() + 1)


class Join(nn.Module):
    def forward(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        return torch.cat([a, b, c, d])

    @torch.jit.export
    def five(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor) -> Tensor:
        return torch.cat([a, b, c, d, e])

    @torch.jit.export
    def scaled(self, a: Tensor, by: int, b: Tensor) -> Tensor:
        return torch.cat([a * by, b])


class Everything(nn.Module):
    def forward(
        self,
        x: Tensor,
        whole: int,
        real: float,
        text: str,
        yes: bool,
        items: list[Tensor],
        named: dict[str, Tensor],
        pair: tuple[int, Tensor],
        maybe: Tensor | None = None,
    ) -> dict[str, tuple[Tensor, list[int], float, str, bool, Tensor | None]]:
        total = x.sum() + pair[1].sum()
        for item in items:
            total = total + item.sum()
        order: list[int] = []
        for key in named:
            order.append(len(key))
            total = total + named[key].sum()
        order.append(whole + pair[0])
        return {"answer": (total, order, real * 2, text + "!", not yes, maybe)}


class Counter(nn.Module):
    """Keeps what it was given last, the input itself."""

    total: Tensor
    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(1))
        self.register_buffer("last", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.total += x.sum()
        self.last = x
        return self.total.clone()

    @torch.jit.export
    def kept(self) -> Tensor:
        return self.last.clone()


def main() -> None:
    folder = Path(sys.argv[1])
    for module in (Echo(), Copy(), Join(), Everything(), Counter()):
        name = type(module).__name__.lower()
        torch.jit.script(module).save(str(folder / f"{name}.pt"))


if __name__ == "__main__":
    main()
