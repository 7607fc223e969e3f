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
from pathlib import Path
from typing import Any, List, Tuple

import torch
from hostile_archives import make_hostile
from modules import (
    Aliases,
    AllDTypes,
    AssignedState,
    Caches,
    Constants,
    Containers,
    Counter,
    DTypes,
    ElementState,
    Exported,
    KeepsInput,
    Large,
    Linear,
    LinearPair,
    Lstm,
    ManySmall,
    Mixed,
    Named,
    Nested,
    NoForward,
    NoParameters,
    Pair,
    Parallel,
    ParameterState,
    PerChannel,
    Raises,
    Scalars,
    SetState,
    SharedStorage,
    SparseBuffer,
    Training,
    Unreturnable,
    UsesClass,
    WritesInput,
)
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
    make_hostile(Path(folder))
    make_old(folder)


if __name__ == "__main__":
    main()
