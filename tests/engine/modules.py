"""The modules that make_models.py writes: what people's TorchScript is made of."""

from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Lstm(nn.Module):
    """Carries its state in buffers that are changed in place."""

    h: Tensor
    c: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 16)
        self.register_buffer("h", torch.zeros(1, 1, 16))
        self.register_buffer("c", torch.zeros(1, 1, 16))

    def forward(self, x: Tensor) -> Tensor:
        y, (h, c) = self.lstm(x, (self.h, self.c))
        self.h.copy_(h)
        self.c.copy_(c)
        return y

    @torch.jit.export
    def reset_states(self) -> None:
        self.h.zero_()
        self.c.zero_()

    @torch.jit.export
    def state(self) -> Tuple[Tensor, Tensor]:
        return self.h, self.c


class AssignedState(nn.Module):
    """Carries its state in attributes that are set anew, a plain int among them."""

    h: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.h = torch.zeros(3)
        self.steps = 0

    def forward(self, x: Tensor) -> Tuple[Tensor, int]:
        self.h = self.h * 0.5 + x
        self.steps += 1
        return self.h, self.steps


class KeepsInput(nn.Module):
    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.zeros(3)

    def forward(self, x: Tensor) -> Tensor:
        previous = self.last
        self.last = x
        return previous


class Counter(nn.Module):
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return x + self.count


class Caches(nn.Module):
    """State in containers: a list that grows, a dict of tensors, views of one storage."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: List[Tensor] = [torch.zeros(2)]
        self.sums: Dict[str, Tensor] = {"all": torch.zeros(2)}
        whole = torch.zeros(4)
        self.register_buffer("whole", whole)
        self.register_buffer("rear", whole[2:])

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        self.seen.append(x.clone())
        self.sums["all"] += x
        self.rear.add_(x)
        return torch.stack(self.seen), self.sums["all"].clone(), self.whole.clone()


class ElementState(nn.Module):
    """Changes buffers through a list made in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("a", torch.zeros(2))
        self.register_buffer("b", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        for buffer in [self.a, self.b]:
            buffer.add_(x)
        return self.a + self.b


class ParameterState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        self.weight.mul_(2)
        return self.weight * x


class Nested(nn.Module):
    def forward(self, x: Tensor) -> Dict[str, Dict[str, Tensor]]:
        return {"low": {"sum": x.sum(), "mean": x.mean()}, "high": {"max": x.max()}, "none": {}}


class Mixed(nn.Module):
    def forward(self, x: Tensor) -> Tuple[Tensor, Dict[str, List[Tensor]], int, str, float, bool]:
        return x, {"rows": [x[0], x[1]]}, x.size(0), "ok", 0.1, True


class Scalars(nn.Module):
    def forward(
        self, x: Tensor, n: int, mode: str, scale: float = 2.0, flip: bool = False
    ) -> Tensor:
        y = x * n * scale
        if mode == "sum":
            y = y.sum(0)
        if flip:
            y = -y
        return y


class Pair(NamedTuple):
    first: Tensor
    second: int


class Containers(nn.Module):
    def forward(
        self,
        xs: List[Tensor],
        bias: Optional[Tensor],
        table: Dict[str, Tensor],
        sizes: List[int],
        pair: Tuple[Tensor, int],
        extra: Optional[List[float]] = None,
    ) -> Tensor:
        y = torch.cat(xs)
        if bias is not None:
            y = y + bias
        for key, value in table.items():
            y = y + len(key) * value
        for size in sizes:
            y = y * size
        y = y + pair[0] * pair[1]
        if extra is not None:
            for item in extra:
                y = y * item
        return y


class Named(nn.Module):
    def forward(self, pair: Pair) -> Pair:
        return Pair(pair.first + 1, pair.second + 1)


class NoParameters(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 + 1


class Exported(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self._hidden(x).relu()

    def _hidden(self, x: Tensor) -> Tensor:
        return self.layer(x)

    @torch.jit.export
    def encode(self, x: Tensor, double: bool = False) -> Tensor:
        y = self._hidden(x)
        if double:
            y = y * 2
        return y


class NoForward(nn.Module):
    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        return x + 1


class SetState(nn.Module):
    """Looks at its tensor's bytes while it is being loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.arange(1, 9).float()
        self.total = 0.0

    @torch.jit.export
    def __getstate__(self) -> Tuple[Tensor, bool]:
        return (self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: Tuple[Tensor, bool]) -> None:
        self.weight = state[0] * 2
        self.total = float(state[0].sum().item())
        self.training = state[1]

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.sum() + self.total


class PerChannel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer(
            "q",
            torch.quantize_per_channel(
                torch.randn(4, 8),
                torch.rand(4) + 0.1,
                torch.zeros(4, dtype=torch.int64),
                0,
                torch.qint8,
            ),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.q.dequantize().t()


class SparseBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("s", torch.eye(4).to_sparse())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.s.to_dense()


class DTypes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("half_values", torch.randn(5).half())
        self.register_buffer("brain_values", torch.randn(5).bfloat16())
        self.register_buffer("double_values", torch.randn(5).double())
        self.register_buffer("complex_values", torch.randn(5, dtype=torch.complex64))
        self.register_buffer("byte_values", torch.arange(5, dtype=torch.uint8))
        self.register_buffer("flag_values", torch.tensor([True, False, True, False, True]))
        self.register_buffer("empty_values", torch.zeros(0, 3))

    def forward(self, x: Tensor) -> List[Tensor]:
        return [
            self.half_values + x.half(),
            self.brain_values + x.to(torch.bfloat16),
            self.double_values + x.double(),
            self.complex_values * x,
            self.byte_values + 1,
            self.flag_values.logical_not(),
            self.empty_values,
            x.to(torch.int8),
            x.to(torch.int16),
            x.to(torch.int32),
            x.to(torch.complex128),
        ]


class AllDTypes(nn.Module):
    def forward(self, xs: List[Tensor]) -> List[Tensor]:
        return [x.t().contiguous() for x in xs]


class SharedStorage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        whole = torch.randn(64)
        self.register_buffer("whole", whole)
        self.register_buffer("tail", whole[40:])
        self.register_buffer("every_other", whole[::2])
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))
        return y + self.tail.sum() + self.every_other.sum() - self.whole[0]


class Training(nn.Module):
    """Saved in training mode: keeps its running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)

    @torch.jit.export
    def mean(self) -> Tensor:
        mean = self.norm.running_mean
        assert mean is not None
        return mean


class WritesInput(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x.add_(1)
        return x * 2


class Aliases(nn.Module):
    """Returns what must not be shared, and what needs putting in order."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 3))

    def forward(self, x: Tensor) -> List[Tensor]:
        return [self.weight, self.weight[0], x, x.t(), x.expand(2, 2, 3), x[:, 1:]]

    @torch.jit.export
    def conj(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        z = torch.complex(x, x + 1)
        return z.conj(), z.conj().imag


class Unreturnable(nn.Module):
    def forward(self, x: Tensor) -> Dict[int, Tensor]:
        return {1: x}

    @torch.jit.export
    def sparse(self, x: Tensor) -> Tensor:
        return x.to_sparse()

    @torch.jit.export
    def quantized(self, x: Tensor) -> Tensor:
        return torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)

    @torch.jit.export
    def meta(self, x: Tensor) -> Tensor:
        return x.to("meta")


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) == 1:
            raise ValueError("the sky is falling")
        return x @ x

    @torch.jit.export
    def asserts(self, x: Tensor) -> Tensor:
        assert x.size(0) == 7, "seven rows are needed"
        return x

    @torch.jit.export
    def allocate(self, n: int) -> Tensor:
        return torch.empty(n, n, n, dtype=torch.uint8)


@torch.jit.script
class Sizes:
    def __init__(self, rows: int):
        self.rows = rows

    def twice(self) -> int:
        return self.rows * 2


class UsesClass(nn.Module):
    """Sets attributes, but only of an object that forward makes."""

    def forward(self, x: Tensor) -> Tensor:
        sizes = Sizes(x.size(0))
        sizes.rows = sizes.rows + 1
        return x + sizes.twice()


class Constants(nn.Module):
    """Traced: two equal-shaped tensors become constants of the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.arange(6.0)
        self.b = torch.arange(6.0) * 10

    def forward(self, x: Tensor) -> Tensor:
        return x * self.a + self.b


class Parallel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        future = torch.jit.fork(self.part, x)
        return self.part(x) + torch.jit.wait(future)

    def part(self, x: Tensor) -> Tensor:
        return x.relu() + 1


class ManySmall(nn.Module):
    """A list, because tracing thousands of parameters takes minutes."""

    def __init__(self, count: int):
        super().__init__()
        self.weights: List[Tensor] = [torch.randn(100, 10) for _ in range(count)]

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights:
            x = x + weight.sum()
        return x


class Large(nn.Module):
    """More than 2 GiB in one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(2**28 + 2**20, dtype=torch.int64))

    def forward(self, index: Tensor) -> Tensor:
        return self.table[index]


class LinearPair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 8)
        self.second = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)))
