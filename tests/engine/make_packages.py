"""Compiles the AOTInductor packages that tests open, and damages copies of them.

Compiled code is of the machine it was compiled on, so none is kept in the repository: it is made
once and kept under the build folder, by this script's text and torch's version. Prints where.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# As tests/engine/operators/operators.cc registers it.
OPERATOR = (
    "scaled_sum(Tensor[] xs, float factor, SymInt times=1, str? label=None, int[]? dims=None, "
    "Tensor? bias=None) -> (Tensor, Tensor[])"
)


def folder() -> Path:
    base = Path(os.environ.get("PTSECURE_BUILD_DIR", "build")) / "test-packages"
    text = Path(__file__).read_bytes() + importlib.metadata.version("torch").encode()
    return base / hashlib.sha256(text).hexdigest()[:16]


def compile_packages(out: Path) -> None:
    import torch
    from make_models import encode
    from torch import Tensor, nn

    torch.manual_seed(0)
    torch.set_num_threads(1)

    class Dense(nn.Module):
        """Nested in and out, a free leading dimension, a buffer that nothing changes."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(8, 16)
            self.second = nn.Linear(16, 4)
            self.register_buffer("scale", torch.arange(1.0, 5.0))

        def forward(self, x: Tensor, extra: dict[str, Tensor]) -> dict[str, Any]:
            hidden = torch.relu(self.first(x))
            return {"y": self.second(hidden) * self.scale + extra["bias"], "hidden": (hidden, x)}

    class Counter(nn.Module):
        """Keeps state, takes an argument by keyword, returns one of its weights."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4))
            self.register_buffer("count", torch.zeros(4))

        def forward(self, x: Tensor, *, step: Tensor) -> tuple[Tensor, Tensor]:
            self.count.add_(step)
            return x * self.weight + self.count, self.weight

    def answers(name: str, model: nn.Module, calls: list[tuple[list[Any], dict[str, Any]]]) -> None:
        cases = []
        with torch.inference_mode():
            for args, kwargs in calls:
                given = [encode(value) for value in [*args, *kwargs.values()]]
                result = encode(model(*args, **kwargs))
                cases.append({"method": "forward", "arguments": given, "result": result})
        (out / f"{name}.json").write_text(json.dumps(cases))

    configs: dict[str, Any] = {
        "aot_inductor.compile_wrapper_opt_level": "O0",
        # Else small weights become numbers in the code, where none can replace them.
        "always_keep_tensor_constants": True,
        "aot_inductor.metadata": {"PTSECURE_TORCH_VERSION": torch.__version__},
    }
    blob = configs | {
        "aot_inductor.package_constants_in_so": False,
        "aot_inductor.package_constants_on_disk_format": "binary_blob",
    }
    dense = Dense().eval()
    rows = torch.export.Dim("rows", min=1, max=64)
    example = (torch.randn(3, 8), {"bias": torch.randn(4)})
    exported = torch.export.export(
        dense, example, dynamic_shapes={"x": {0: rows}, "extra": {"bias": None}}
    )
    torch.export.save(exported, out / "bad_exported.pt2")
    named = blob | {
        "aot_inductor.metadata": {
            "PTSECURE_TORCH_VERSION": torch.__version__,
            "PTSECURE_INPUTS": json.dumps(["x", "extra"]),
        }
    }
    torch._inductor.aoti_compile_and_package(
        exported, package_path=str(out / "dense.pt2"), inductor_configs=named
    )
    calls: list[tuple[list[Any], dict[str, Any]]]
    calls = [([torch.randn(n, 8), {"bias": torch.randn(4)}], {}) for n in (3, 1, 64)]
    answers("dense", dense, calls)

    counter = Counter().eval()
    x, step = torch.randn(4), torch.ones(4)
    exported = torch.export.export(counter, (x,), {"step": step})
    torch._inductor.aoti_compile_and_package(
        exported, package_path=str(out / "counter.pt2"), inductor_configs=configs
    )
    answers("counter", counter, [([torch.randn(4)], {"step": step}) for _ in range(3)])
    write_safetensors(out / "counter_weights.safetensors", {"weight": counter.weight})
    compile_inputs(out, blob, answers)
    compile_sequential(out, blob, answers)
    compile_operators(out, blob, answers)
    pickle_weights(out, dense)
    torch.save(dense.state_dict(), out / "dense_weights.pt")
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.mul_(-0.5)
    torch.save(dict(dense.state_dict()), out / "tuned_weights.pt")
    short_record(out / "tuned_weights.pt", out / "short_weights.pt")
    reaching = torch.ones(1).as_strided((16, 8), (0, 0))
    torch.save(dict(dense.state_dict()) | {"first.weight": reaching}, out / "reaching_weights.pt")
    rewrite_strides(out / "reaching_weights.pt")
    write_safetensors(out / "tuned_weights.safetensors", dense.state_dict())
    answers("tuned", dense, calls)


def compile_inputs(out: Path, configs: dict[str, Any], answers: Callable[..., None]) -> None:
    """Inputs that belong together, of at least four rows, one of which is changed."""
    import torch
    from torch import Tensor, nn

    class Inputs(nn.Module):
        def forward(self, x: Tensor, y: Tensor, z: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
            cache.add_(x[3])
            return x * y + cache, z[: x.shape[0]] * 2

    def example(rows: int) -> tuple[Tensor, ...]:
        return torch.randn(rows, 8), torch.randn(rows, 8), torch.randn(2 * rows, 3), torch.randn(8)

    rows = torch.export.Dim("rows", min=4, max=64)
    exported = torch.export.export(
        Inputs(), example(6), dynamic_shapes=({0: rows}, {0: rows}, {0: 2 * rows}, None)
    )
    torch._inductor.aoti_compile_and_package(
        exported, package_path=str(out / "inputs.pt2"), inductor_configs=configs
    )
    answers("inputs", Inputs(), [(list(example(n)), {}) for n in (6, 4, 64)])

    class Derived(nn.Module):
        """The rows of the others are computed from those of the first."""

        def forward(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
            return x[: y.shape[0]] * y, x + z

    def derived(rows: int) -> tuple[Tensor, ...]:
        return torch.randn(2 * rows, 3), torch.randn(rows, 3), torch.randn(2 * rows, 3)

    rows = torch.export.Dim("rows", min=1, max=64)
    exported = torch.export.export(
        Derived(), derived(5), dynamic_shapes=({0: 2 * rows}, {0: rows}, {0: 2 * rows})
    )
    torch._inductor.aoti_compile_and_package(
        exported, package_path=str(out / "derived.pt2"), inductor_configs=configs
    )
    answers("derived", Derived(), [(list(derived(n)), {}) for n in (5, 1, 64)])


def compile_sequential(out: Path, configs: dict[str, Any], answers: Callable[..., None]) -> None:
    """AOTInductor doesn't say that its weights, whose names begin with digits, are parameters."""
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    rows = torch.export.Dim("rows", min=1, max=64)
    exported = torch.export.export(model, (torch.randn(3, 8),), dynamic_shapes=({0: rows},))
    torch._inductor.aoti_compile_and_package(
        exported, package_path=str(out / "sequential.pt2"), inductor_configs=configs
    )
    answers("sequential", model, [([torch.randn(n, 8)], {}) for n in (3, 1)])
    weights = model.state_dict()
    write_safetensors(out / "sequential_weights.safetensors", weights)
    # Parameters, as a state_dict has them with keep_vars.
    torch.save(model.state_dict(keep_vars=True), out / "sequential_weights.pt")
    del weights["0.weight"]
    write_safetensors(out / "sequential_without_one.safetensors", weights)


def compile_operators(out: Path, configs: dict[str, Any], answers: Callable[..., None]) -> None:
    """Calls an operator that the process must have registered and one of torch's that has no C
    function; its weights are large enough to be seen in the memory of a process."""
    import torch
    from torch import Tensor, nn

    library = torch.library.Library("ptsecure_test", "FRAGMENT")
    library.define(OPERATOR)

    def scaled_sum(
        xs: list[Tensor],
        factor: float,
        times: int = 1,
        label: str | None = None,
        dims: list[int] | None = None,
        bias: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        total = torch.stack(xs).sum(0) * factor * times + len(label or "") + sum(dims or [])
        return (total if bias is None else total + bias), [x + 1 for x in xs]

    library.impl("scaled_sum", scaled_sum, "CPU")
    torch.library.register_fake(
        "ptsecure_test::scaled_sum",
        lambda xs, *_, **__: (torch.empty_like(xs[0]), [torch.empty_like(x) for x in xs]),
        lib=library,
    )

    class Operators(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Linear(2048, 2048, bias=False)
            self.bias = nn.Parameter(torch.randn(2048))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            op = torch.ops.ptsecure_test.scaled_sum
            hidden = self.wide(x)
            total, more = op([hidden, x], 0.5, x.shape[0], "label", [1, 2], self.bias)
            counts = torch.bincount(x.abs().long().flatten(), minlength=4)[:4]
            return total + more[0], op([x], 2.0)[0], counts.float()

    model = Operators().eval()
    rows = torch.export.Dim("rows", min=1, max=64)
    exported = torch.export.export(model, (torch.randn(3, 2048),), dynamic_shapes={"x": {0: rows}})
    torch._inductor.aoti_compile_and_package(
        exported, package_path=str(out / "operators.pt2"), inductor_configs=configs
    )
    answers("operators", model, [([torch.randn(n, 2048)], {}) for n in (1, 2)])


def write_safetensors(path: Path, tensors: dict[str, Any]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        raw = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def pickle_weights(out: Path, dense: Any) -> None:
    """The same program with its weights as torch.save writes each, by PyTorch's own packager."""
    from torch.export.pt2_archive._package import package_pt2
    from torch.export.pt2_archive._package_weights import TensorProperties, Weights

    weights = Weights(
        {name: (t.detach(), TensorProperties(t.detach())) for name, t in dense.state_dict().items()}
    )
    with tempfile.TemporaryDirectory() as scratch:
        files: list[Any] = []
        for name, data in records(out / "dense.pt2").items():
            if "/aotinductor/" in name and not name.endswith("_weights.blob"):
                files.append(str(Path(scratch) / Path(name).name))
                Path(files[-1]).write_bytes(data)
        package_pt2(str(out / "pickled.pt2"), aoti_files={"model": [*files, weights]})


def records(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write(path: Path, content: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def short_record(path: Path, target: Path) -> None:
    """A torch.save whose first tensor has a record of four bytes, whatever its pickle says."""
    content = records(path)
    name = next(name for name in content if name.endswith("/data/0"))
    write(target, content | {name: content[name][:4]})


def rewrite_strides(path: Path) -> None:
    """A tensor of 16 by 8 in the memory of one element, its strides (0, 0) changed to (8, 1)."""
    content = records(path)
    name = next(name for name in content if name.endswith("/data.pkl"))
    pickle, shape = content[name], b"K\x10K\x08\x86"
    at = pickle.index(b"K\x00K\x00\x86", pickle.index(shape))
    write(path, content | {name: pickle[:at] + b"K\x08K\x01\x86" + pickle[at + 5 :]})


def make_several(out: Path) -> None:
    """Two models in one package; each folder as PyTorch's packager lays it out."""
    content = records(out / "dense.pt2")
    root = next(iter(content)).split("/")[0]
    for name, data in records(out / "counter.pt2").items():
        if "/aotinductor/model/" in name:
            inner = name.split("/", 1)[1].replace("aotinductor/model/", "aotinductor/counter/")
            content[f"{root}/{inner}"] = data
    write(out / "several.pt2", content)


def make_bad(out: Path) -> None:
    dense = records(out / "dense.pt2")

    def name_of(content: dict[str, bytes], end: str) -> str:
        return next(name for name in content if name.endswith(end))

    def variant(name: str, change: Callable[[dict[str, bytes]], None], base: str = "dense") -> None:
        content = records(out / f"{base}.pt2")
        change(content)
        write(out / f"bad_{name}.pt2", content)

    def without(end: str) -> Callable[[dict[str, bytes]], None]:
        def change(content: dict[str, bytes]) -> None:
            del content[name_of(content, end)]

        return change

    def metadata(**values: str) -> Callable[[dict[str, bytes]], None]:
        def change(content: dict[str, bytes]) -> None:
            name = name_of(content, ".wrapper_metadata.json")
            content[name] = json.dumps(json.loads(content[name]) | values).encode()

        return change

    def library(edit: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], None]:
        def change(content: dict[str, bytes]) -> None:
            name = name_of(content, ".so")
            content[name] = edit(content[name])

        return change

    whole = (out / "dense.pt2").read_bytes()
    (out / "bad_truncated.pt2").write_bytes(whole[: len(whole) // 2])
    for end, name in (
        (".so", "no_library"),
        (".wrapper_metadata.json", "no_metadata"),
        ("_weights.blob", "no_weights"),
        (".wrapper.cpp", "no_source"),
        ("archive_format", "no_format"),
    ):
        variant(name, without(end))
    variant(
        "machine", metadata(AOTI_MACHINE="aarch64" if os.uname().machine == "x86_64" else "x86_64")
    )
    variant("instructions", metadata(AOTI_CPU_ISA="AVX1024"))
    variant("platform", metadata(AOTI_PLATFORM="win32"))
    variant("device", metadata(AOTI_DEVICE_KEY="cuda"))
    variant("torch_version", metadata(PTSECURE_TORCH_VERSION="2.3.1"))
    variant("foreign_library", library(lambda so: so[:18] + struct.pack("<H", 8) + so[20:]))
    variant("cut_library", library(lambda so: so[:40]))
    variant("half_library", library(lambda so: so[: len(so) // 16]))
    variant("text_library", library(lambda so: b"not a library\n" * 100))
    variant(
        "symbol", library(lambda so: so.replace(b"aoti_torch_get_dim\0", b"aoti_torch_get_dIm\0"))
    )
    cpp, about = name_of(dense, ".wrapper.cpp"), name_of(dense, ".wrapper_metadata.json")
    renamed = dense[cpp].replace(b"first.weight", b"first.wEight")
    variant("other_source", lambda content: content.update({cpp: renamed}))
    empty = b"// nothing of the kind"
    variant("empty_source", lambda content: content.update({cpp: empty}))
    variant("metadata_list", lambda content: content.update({about: b"[1]"}))
    variant("metadata_cut", lambda content: content.update({about: dense[about][:-2]}))
    variant("no_interface", library(lambda so: foreign_library()))
    blob = name_of(dense, "_weights.blob")
    variant("short_weights", lambda content: content.update({blob: content[blob][:-64]}))
    variant("slip", lambda content: content.update({"dense/../../evil.so": b"x"}))
    variant("absolute", lambda content: content.update({"dense//etc/evil.so": b"x"}))
    so = name_of(dense, ".so")
    least = json.loads(dense[about]) | {"PTSECURE_LEAST": "[[2, 1], [1]]"}
    write(out / "least.pt2", dense | {about: json.dumps(least).encode()})
    # Runs as the other does, and is another library to the loader.
    write(out / "fresh.pt2", dense | {so: dense[so] + bytes(16)})
    variant("two_libraries", lambda content: content.update({so[:-3] + "2.so": content[so]}))
    version = name_of(dense, "archive_version")
    variant("version", lambda content: content.update({version: b"7"}))

    def wrong_shape(content: dict[str, bytes]) -> None:
        name = name_of(content, "weights_config.json")
        config = json.loads(content[name])
        config["first.weight"][1:3] = [[8, 16], [16, 1]]
        content[name] = json.dumps(config).encode()

    variant("pickled_shape", wrong_shape, "pickled")

    def beyond(content: dict[str, bytes]) -> None:
        name = name_of(content, "weights_config.json")
        config = json.loads(content[name])
        config["first.weight"][3] = 1 << 40
        content[name] = json.dumps(config).encode()

    variant("pickled_beyond", beyond, "pickled")
    variant("pickled_missing", without("weights/weight_0"), "pickled")

    def short_pickle(content: dict[str, bytes]) -> None:
        name = name_of(content, "weights/weight_0")
        with tempfile.TemporaryDirectory() as scratch:
            whole, cut = Path(scratch) / "whole", Path(scratch) / "cut"
            whole.write_bytes(content[name])
            short_record(whole, cut)
            content[name] = cut.read_bytes()

    variant("pickled_short", short_pickle, "pickled")


def foreign_library() -> bytes:
    """A real library that AOTInductor didn't make."""
    for place in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib"):
        for path in sorted(Path(place).glob("libz.so.1*")):
            return path.read_bytes()
    raise SystemExit("libz.so.1 was not found")


def main() -> None:
    target = folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "done").exists():
            for old in target.parent.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            target.mkdir()
            compile_packages(target)
            make_several(target)
            make_bad(target)
            (target / "done").touch()
    print(target)


if __name__ == "__main__":
    main()
