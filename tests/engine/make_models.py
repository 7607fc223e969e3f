"""Writes the models of the engine's tests into the folder given, each with its answers.

NAME.pt is a file to load, NAME.json the calls to make on it in order, with the values that torch in
Python answers. Files that must be refused have no NAME.json.
"""

import base64
import json
import os
import shutil
import sys
import warnings
import zipfile
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

Calls = List[Tuple[str, List[Any]]]  # method, arguments

warnings.filterwarnings("ignore")
torch.set_num_threads(1)  # the tests ask for one thread too, so that sums add up in one order


def encode(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, Tensor):
        plain = value.detach().resolve_conj().resolve_neg().contiguous()
        data = plain.view(torch.uint8) if plain.dim() else plain.reshape(1).view(torch.uint8)
        raw = bytes(data.flatten().tolist()) if plain.numel() else b""
        return {
            "tensor": str(value.dtype).removeprefix("torch."),
            "shape": list(value.shape),
            "bytes": base64.b16encode(raw).decode().lower(),
        }
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[key, encode(item)] for key, item in value.items()]}
    raise TypeError(type(value))


def decode_floats(encoded: Any) -> Tensor:
    raw = bytearray.fromhex(encoded["bytes"])
    return torch.frombuffer(raw, dtype=torch.float32).reshape(encoded["shape"]).clone()


def save(folder: str, name: str, module: nn.Module, calls: Calls) -> None:
    """Calls are (method, arguments); the answers come from the file that was written."""
    path = os.path.join(folder, name + ".pt")
    if not isinstance(module, torch.jit.ScriptModule):
        module = torch.jit.script(module.eval())
    module.save(path)
    answer(folder, name, calls)


def answer(folder: str, name: str, calls: Calls) -> None:
    loaded = torch.jit.load(os.path.join(folder, name + ".pt"), map_location="cpu")
    cases = []
    with torch.inference_mode():
        for method, arguments in calls:
            given = [encode(argument) for argument in arguments]
            result = getattr(loaded, method)(*arguments)
            cases.append({"method": method, "arguments": given, "result": encode(result)})
    with open(os.path.join(folder, name + ".json"), "w") as out:
        json.dump(cases, out)


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


def make_quantized(folder: str) -> None:
    quantized = torch.ao.quantization.quantize_dynamic(LinearPair().eval(), {nn.Linear})
    save(folder, "quantized", torch.jit.script(quantized), [("forward", [torch.randn(2, 16)])])


def make_resnet(folder: str) -> None:
    import torchvision

    model = torchvision.models.resnet18(weights=None).eval()
    x = torch.randn(2, 3, 64, 64)
    save(folder, "resnet18_scripted", torch.jit.script(model), [("forward", [x])])
    save(folder, "resnet18_traced", torch.jit.trace(model, x), [("forward", [x])])


def make_states(folder: str) -> None:
    xs = [torch.randn(2, 1, 8) for _ in range(3)]
    calls = [("forward", [x]) for x in xs] + [
        ("state", []),
        ("reset_states", []),
        ("forward", [xs[0]]),
    ]
    save(folder, "lstm", Lstm(), calls)
    x = torch.tensor([1.0, 2.0, 3.0])
    save(folder, "assigned_state", AssignedState(), [("forward", [x])] * 3)
    save(folder, "keeps_input", KeepsInput(), [("forward", [x]), ("forward", [x + 1])])
    save(folder, "counter", Counter(), [("forward", [x])] * 3)
    save(folder, "caches", Caches(), [("forward", [x[:2]])] * 3)
    save(folder, "element_state", ElementState(), [("forward", [x[:2]])] * 2)
    save(folder, "parameter_state", ParameterState(), [("forward", [x[:2]])] * 3)
    training = torch.jit.script(Training().train())
    calls = [("forward", [torch.randn(4, 3)]), ("mean", []), ("forward", [torch.randn(4, 3)])]
    save(folder, "training", training, calls)


def make_values(folder: str) -> None:
    x = torch.arange(6.0).reshape(2, 3)
    save(folder, "nested", Nested(), [("forward", [x])])
    save(folder, "mixed", Mixed(), [("forward", [x])])
    save(
        folder,
        "scalars",
        Scalars(),
        [
            ("forward", [x, 3, "sum"]),
            ("forward", [x, 2, "keep", 0.5]),
            ("forward", [x, -1, "sum", 0.25, True]),
        ],
    )
    table = {"a": torch.tensor(1.0), "longer": torch.tensor(2.0)}
    save(
        folder,
        "containers",
        Containers(),
        [
            ("forward", [[x, x + 1], torch.ones(3), table, [2, 3], (x[0], 2)]),
            ("forward", [[x], None, {}, [], (x[0], 1), [0.5, 4.0]]),
        ],
    )
    save(folder, "named", Named(), [("forward", [Pair(x, 4)])])
    save(
        folder,
        "no_parameters",
        NoParameters(),
        [("forward", [x]), ("forward", [torch.zeros(0, 3)])],
    )
    save(
        folder,
        "exported",
        Exported(),
        [("forward", [torch.randn(2, 4)]), ("encode", [torch.randn(2, 4), True])],
    )
    save(folder, "no_forward", NoForward(), [("encode", [x])])
    dtypes = [
        torch.tensor([[1, 0, 1], [0, 0, 1]]).to(dtype)
        for dtype in (
            torch.bool,
            torch.uint8,
            torch.uint16,
            torch.uint32,
            torch.uint64,
            torch.int8,
            torch.int16,
            torch.int32,
            torch.int64,
            torch.float16,
            torch.bfloat16,
            torch.float32,
            torch.float64,
            torch.complex32,
            torch.complex64,
            torch.complex128,
        )
    ]
    save(folder, "all_dtypes", AllDTypes(), [("forward", [dtypes])])
    save(folder, "dtypes", DTypes(), [("forward", [torch.randn(5)])])
    save(folder, "aliases", Aliases(), [("forward", [x]), ("conj", [x]), ("forward", [x])])
    save(folder, "writes_input", WritesInput(), [("forward", [x.clone()])])
    save(folder, "uses_class", UsesClass(), [("forward", [x])])
    save(folder, "parallel", Parallel(), [("forward", [x])])
    save(
        folder,
        "constants",
        torch.jit.trace(Constants(), torch.ones(6)),
        [("forward", [torch.ones(6)])],
    )
    save(folder, "unreturnable", Unreturnable(), [])
    save(folder, "raises", Raises(), [])


def make_weights(folder: str) -> None:
    x = torch.randn(2, 4)
    save(folder, "linear", Linear(), [("forward", [x])])
    save(folder, "set_state", SetState(), [("forward", [torch.ones(2)])])
    save(folder, "per_channel", PerChannel(), [("forward", [torch.randn(2, 8)])])
    save(folder, "sparse_buffer", SparseBuffer(), [("forward", [torch.ones(4, 4)])])
    save(folder, "shared_storage", SharedStorage(), [("forward", [x])])
    save(folder, "many_small", ManySmall(5000), [("forward", [torch.zeros(2)])])
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2
    ).eval()
    traced = torch.jit.trace(encoder, torch.randn(1, 5, 16), check_trace=False)
    save(folder, "transformer", traced, [("forward", [torch.randn(1, 5, 16)])])


def make_unloadable(folder: str) -> None:
    def path(name: str) -> str:
        return os.path.join(folder, name + ".pt")

    model = LinearPair()
    torch.save(model.state_dict(), path("bad_state_dict"))
    torch.save(model.state_dict(), path("bad_old_state_dict"), _use_new_zipfile_serialization=False)
    torch.save(model, path("bad_pickled_module"))
    exported = torch.export.export(model, (torch.randn(1, 16),))
    torch.export.save(exported, path("bad_exported"))
    with zipfile.ZipFile(path("bad_zip"), "w") as archive:
        archive.writestr("readme.txt", "no model")
    with open(path("bad_text"), "w") as out:
        out.write("this is no model at all, only text\n" * 10)
    with zipfile.ZipFile(path("bad_aotinductor"), "w") as archive:
        archive.writestr("model/archive_format", "pt2")
        archive.writestr("model/data/aotinductor/model/model.so", "")
    with zipfile.ZipFile(path("bad_old_torchscript"), "w") as archive:
        archive.writestr("model/version", "1")
        archive.writestr("model/model.json", "{}")
        archive.writestr("model/tensors/0", "")


def make_old(folder: str) -> None:
    """Archives of old releases; today's answers must be theirs up to rounding."""
    archives = os.path.join(os.path.dirname(os.path.abspath(__file__)), "archives")
    for name in ("old_1_4_0", "old_1_13_1"):
        with open(os.path.join(archives, name + ".json")) as recorded:
            call = json.load(recorded)[0]
        shutil.copy(os.path.join(archives, name + ".pt"), folder)
        answer(folder, name, [("forward", [decode_floats(call["arguments"][0])])])
        with open(os.path.join(folder, name + ".json")) as answered:
            result = decode_floats(json.load(answered)[0]["result"])
        assert torch.allclose(result, decode_floats(call["result"]), atol=1e-6), name


def make_variants(folder: str) -> None:
    """The linear model as other writers would lay it out."""
    with zipfile.ZipFile(os.path.join(folder, "linear.pt")) as source:
        records = [(info.filename, source.read(info)) for info in source.infolist()]
    for name, method in (
        ("repacked_stored", zipfile.ZIP_STORED),
        ("repacked_deflated", zipfile.ZIP_DEFLATED),
    ):
        with zipfile.ZipFile(os.path.join(folder, name + ".pt"), "w", method) as archive:
            for record, data in records:
                archive.writestr(record, data)
        answer(folder, name, [("forward", [torch.randn(2, 4)])])
    with open(os.path.join(folder, "linear.pt"), "rb") as source:
        whole = source.read()
    for name, size in (("half", len(whole) // 2), ("tail", len(whole) - 10), ("start", 100)):
        with open(os.path.join(folder, f"bad_truncated_{name}.pt"), "wb") as out:
            out.write(whole[:size])


def main() -> None:
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(7)
    if "--large" in sys.argv[2:]:
        save(
            folder,
            "large",
            Large(),
            [("forward", [torch.tensor([0, 1, 2**27 + 5, 2**28 + 2**20 - 1])])],
        )
        return
    make_values(folder)
    make_states(folder)
    make_weights(folder)
    make_quantized(folder)
    make_resnet(folder)
    make_unloadable(folder)
    make_variants(folder)
    make_old(folder)


if __name__ == "__main__":
    main()
