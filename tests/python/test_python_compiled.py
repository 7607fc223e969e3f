"""Exported programs compiled while they are published, and weights that change under them."""

import copy
import io
import json
import platform
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ptsecure
import pytest
import torch
from ptsecure.compiled import compile_program
from torch import Tensor, nn
from torch.export import ExportedProgram

WRITING = set("wax+")


class Affine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 48)

    def forward(self, x: Tensor, *, shift: Tensor) -> dict[str, Tensor]:
        return {"y": self.linear(x) + shift}


X = torch.linspace(-1, 1, 128).reshape(2, 64)
SHIFT = torch.linspace(0, 5, 48)


def wanted(module: Affine) -> Any:
    return module(X, shift=SHIFT)["y"].detach().numpy()


def answer(model: ptsecure.Model) -> Any:
    return model(X.numpy(), shift=SHIFT.numpy())["y"]


def same(got: Any, module: Affine) -> bool:
    return bool(np.allclose(np.asarray(got), wanted(module), rtol=1e-5, atol=1e-5))


@pytest.fixture(scope="module")
def module() -> Affine:
    torch.manual_seed(5)
    return Affine().eval()


@pytest.fixture(scope="module")
def program(module: Affine) -> ExportedProgram:
    rows = torch.export.Dim("rows", min=1, max=64)
    return torch.export.export(
        module, (X,), {"shift": SHIFT}, dynamic_shapes={"x": {0: rows}, "shift": None}
    )


class Watch:
    """Every file that the process opens for writing, and who may look into its folder then."""

    def __init__(self) -> None:
        self.written: dict[str, int] = {}
        self.on = True
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or event != "open" or not arguments[1]:
            return
        if set(str(arguments[1])) & WRITING:
            path = Path(str(arguments[0]))
            private = next(
                (p for p in path.parents if p.name.startswith("ptsecure-compile-")), None
            )
            mode = stat.S_IMODE(private.stat().st_mode) if private else -1
            self.written[str(path)] = mode


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def watch(scratch: Path) -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def published(
    tmp_path_factory: pytest.TempPathFactory,
    keys: ptsecure.Keyring,
    program: ExportedProgram,
    scratch: Path,
    watch: Watch,
) -> Iterator[ptsecure.Store]:
    """A store with affine/1, compiled into it: the one compile of these tests."""
    with (
        pytest.MonkeyPatch.context() as patch,
        ptsecure.open_store(tmp_path_factory.mktemp("compiled")) as store,
    ):
        patch.setattr(tempfile, "tempdir", str(scratch))
        assert store.publish("affine", program, keys, compile=True, alias="production") == 1
        watch.on = False
        yield store


def test_compiled_while_it_is_published(
    published: ptsecure.Store, keys: ptsecure.Keyring, module: Affine
) -> None:
    shown = published.show("affine", keys)
    assert shown["format"] == "aotinductor"
    assert [(each["name"], each["shape"]) for each in shown["inputs"]] == [
        ("x", [-1, 64]),
        ("shift", [48]),
    ]
    model = published.load("affine@production", keys)
    assert same(answer(model), module)
    assert model(X[:1], shift=SHIFT)["y"].shape == (1, 48)
    with pytest.raises(ptsecure.InvalidInputError):
        model(X[:, :3], shift=SHIFT)


def test_plaintext_stays_in_a_private_folder_that_goes(
    published: ptsecure.Store, watch: Watch, scratch: Path, module: Affine
) -> None:
    """Where the weights are written, they are seen by nobody else and don't stay."""
    blobs = [path for path in watch.written if path.endswith("_weights.blob")]
    assert blobs
    assert {watch.written[path] for path in blobs} == {0o700}
    assert all(Path(path).is_relative_to(scratch) for path in blobs)
    assert not any(Path(path).exists() for path in blobs)
    assert not list(scratch.glob("ptsecure-compile-*"))
    weight = module.linear.weight.detach().numpy().tobytes()
    places = [scratch, Path(published.uri)]
    left = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert left
    assert not any(weight in path.read_bytes() for path in left)


def test_a_ready_package(
    published: ptsecure.Store, keys: ptsecure.Keyring, module: Affine, tmp_path: Path
) -> None:
    path = tmp_path / "affine.pt2"
    with published.fetch("affine/1", keys) as package:
        path.write_bytes(package.decrypt())
    with ptsecure.open_store(tmp_path / "store") as store:
        store.publish("ready", path, keys)
        assert same(answer(store.load("ready", keys)), module)
        with path.open("rb") as file:
            store.publish("ready", file, keys, format="aotinductor")
        assert same(answer(store.load("ready", keys, verify="aead")), module)


def test_weights_change_under_a_running_program(
    published: ptsecure.Store, keys: ptsecure.Keyring, module: Affine, tmp_path: Path
) -> None:
    torch.manual_seed(6)
    tuned = Affine().eval()
    path = tmp_path / "weights.pt"
    torch.save(dict(tuned.state_dict()), path)
    by_state = published.publish("affine", tuned.state_dict(), keys, weights_of="affine/1")
    by_path = published.publish("affine", path, keys, weights_of="affine/1")
    for version in (by_state, by_path):
        assert same(answer(published.load(version.reference, keys)), tuned)

    running = published.load("affine/1", keys, output="torch")
    fork = running.fork()
    assert same(answer(running), module)
    seen: list[tuple[int, int]] = []
    with published.fetch(by_state.reference, keys) as package:
        swapped = package.swap(running, progress=lambda *each: seen.append(each))
    assert swapped.version == by_state and running.version == 1
    assert same(answer(swapped), tuned)
    assert same(answer(running), tuned)
    assert same(answer(fork), tuned)
    assert isinstance(answer(swapped), Tensor)  # as the running one gives it
    assert seen and seen[-1][0] == seen[-1][1]

    other = nn.Linear(3, 3)
    with pytest.raises(ptsecure.Error):
        published.publish("affine", other.state_dict(), keys, weights_of="affine/1")
    with pytest.raises(ptsecure.InvalidArgumentError, match="weights_of is ''"):
        published.publish("affine", path, keys, weights_of="")
    published.publish("script", torch.jit.script(other), keys)
    with (
        published.fetch("script", keys) as package,
        pytest.raises((ptsecure.InvalidArgumentError, ptsecure.UnsupportedError)),
    ):
        package.swap(running)
    assert same(answer(running), tuned)  # nothing has changed


def test_what_is_not_compiled_is_refused(
    folder: ptsecure.Store, keys: ptsecure.Keyring, program: ExportedProgram, tmp_path: Path
) -> None:
    with pytest.raises(ptsecure.InvalidArgumentError, match="compile=True"):
        folder.publish("affine", program, keys)
    with pytest.raises(ptsecure.InvalidArgumentError, match="compile=True"):
        folder.publish("affine", program, keys, compile=True, format="torchscript")
    plain: list[Any] = [b"bytes", "model.pt2", Affine()]
    for model in plain:
        with pytest.raises(ptsecure.InvalidArgumentError, match=r"torch\.export\.export"):
            folder.publish("affine", model, keys, compile=True)
    path = tmp_path / "program.pt2"
    torch.export.save(program, path)
    with pytest.raises(ptsecure.InvalidModelError, match="aoti_compile_and_package"):
        folder.publish("affine", path, keys)


def test_a_compile_that_fails_leaves_nothing(
    folder: ptsecure.Store,
    keys: ptsecure.Keyring,
    program: ExportedProgram,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch._inductor import config

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (
        config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.raises(ptsecure.UnsupportedError, match=r"g\+\+"),
    ):
        folder.publish("affine", program, keys, compile=True)
    no_example = copy.copy(program)
    no_example.example_inputs = None
    with pytest.raises(ptsecure.InvalidModelError, match="example_inputs"):
        folder.publish("affine", no_example, keys, compile=True)
    assert not list(tmp_path.glob("ptsecure-compile-*"))
    folder.publish("n", b"x", keys, format="opaque")
    assert [each.name for each in folder.list()] == ["n"]


def test_progress_of_a_compile(
    monkeypatch: pytest.MonkeyPatch, program: ExportedProgram, capsys: pytest.CaptureFixture[str]
) -> None:
    """The seconds are shown on a terminal alone; how long a compile takes is no matter here."""
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", lambda *_, **__: None)
    assert len(compile_program(program, True)) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    compile_program(program, True)
    assert capsys.readouterr().err.startswith("\rcompiling: 0 s")
    compile_program(program, False)
    assert capsys.readouterr().err == ""


def test_what_the_package_says_of_itself(program: ExportedProgram) -> None:
    from ptsecure.compiled import _settings

    metadata = _settings(program)["aot_inductor.metadata"]
    assert json.loads(metadata["PTSECURE_INPUTS"]) == ["x"]
    assert json.loads(metadata["PTSECURE_LEAST"]) == [[1, 1], [1]]


class SecondRow(nn.Module):
    def forward(self, x: Tensor, y: dict[str, Tensor]) -> Tensor:
        return x[1] + y["z"]


@pytest.mark.parametrize("how", ["Dim", "DYNAMIC", "AUTO"])
def test_two_rows_are_asked_for_where_two_are_needed(how: str) -> None:
    from ptsecure.compiled import _least_extents

    dim = torch.export.Dim
    hint = getattr(dim, how, None)
    rows = dim("rows", min=2) if hint is None else hint
    more = dim("more", min=1) if hint is None else hint
    exported = torch.export.export(
        SecondRow(),
        (torch.ones(3, 4), {"z": torch.ones(5, 4)}),
        dynamic_shapes={"x": {0: rows}, "y": {"z": {0: more}}},
    )
    assert _least_extents(exported) == [[2, 1], [1, 1]]


def test_what_is_computed_from_one_extent_has_a_least_one_too() -> None:
    from ptsecure.compiled import _least_extents

    class Twice(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x[: y.shape[0]] + y

    rows = torch.export.Dim("rows", min=1)
    exported = torch.export.export(
        Twice(), (torch.ones(6, 4), torch.ones(3, 4)), dynamic_shapes=({0: 2 * rows}, {0: rows})
    )
    assert _least_extents(exported) == [[2, 1], [1, 1]]


def test_compiled_for_what_the_package_says_it_needs(
    published: ptsecure.Store, keys: ptsecure.Keyring
) -> None:
    """Not for all that the compiling machine has, of which the package says nothing."""
    with zipfile.ZipFile(io.BytesIO(published.fetch("affine/1", keys).decrypt())) as package:
        [name] = [each for each in package.namelist() if each.endswith(".wrapper.cpp")]
        source = package.read(name).decode()
    command = next(line for line in source.splitlines() if " -march=" in line)
    march = "x86-64-v3" if platform.machine() == "x86_64" else "native"
    assert f" -march={march} " in command
