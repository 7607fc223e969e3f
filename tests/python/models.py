"""TorchScript models that the tests of the Python package publish."""

import torch
from torch import Tensor, nn


class Everything(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def doubled(self, x: Tensor) -> Tensor:
        return x * 2

    @torch.jit.export
    def transposed(self, x: Tensor) -> Tensor:
        return x.t()

    @torch.jit.export
    def scaled(self, x: Tensor, by: float, name: str = "y") -> dict[str, Tensor]:
        return {name: x * by}

    @torch.jit.export
    def nested(self, x: dict[str, list[Tensor]]) -> tuple[list[Tensor], int]:
        return x["a"], len(x)

    @torch.jit.export
    def scalars(
        self, flag: bool, count: int, ratio: float, text: str, nothing: Tensor | None
    ) -> tuple[bool, int, float, str, Tensor | None]:
        return flag, count, ratio, text, nothing

    @torch.jit.export
    def strings(self, words: list[str]) -> dict[str, int]:
        lengths: dict[str, int] = {}
        for word in words:
            lengths[word] = len(word)
        return lengths

    @torch.jit.export
    def brain(self, x: Tensor) -> Tensor:
        return x.to(torch.bfloat16)

    @torch.jit.export
    def fails(self, x: Tensor) -> Tensor:
        raise ValueError("this model always fails")

    @torch.jit.export
    def slow(self, x: Tensor, rounds: int) -> Tensor:
        for _ in range(rounds):
            x = torch.tanh(x @ x)
        return x


class Counter(nn.Module):
    """Adds up what it is given."""

    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.total += x.sum()
        return self.total.clone()

    @torch.jit.export
    def reset_states(self) -> None:
        self.total.zero_()


class Dropping(nn.Module):
    """An ordinary module in training mode, of which only evaluation mode is deterministic."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.drop(self.layer(x)))


class OnlyTraceable(nn.Module):
    """Uses Python that TorchScript doesn't know."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, *inputs: Tensor) -> Tensor:
        picked = sorted(inputs, key=lambda each: each.ndim)[0]
        return self.layer(picked) * len({"a", "b"})
