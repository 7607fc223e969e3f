"""Models nobody here wrote for it, through the real seal, both stores and both levels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command import Command

torch = pytest.importorskip("torch", reason="tests/run.sh installs torch", exc_type=ImportError)
from torch import Tensor, nn  # noqa: E402

torch.manual_seed(3)


class Counter(nn.Module):
    """An LSTM that carries its state from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 300)
        self.register_buffer("h", torch.zeros(1, 1, 300))
        self.register_buffer("c", torch.zeros(1, 1, 300))

    def forward(self, x: Tensor) -> Tensor:
        y, (h, c) = self.lstm(x, (self.h, self.c))
        self.h.copy_(h)
        self.c.copy_(c)
        return y


class Nested(nn.Module):
    def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
        return {"once": [x], "more": [x + x, x * x]}


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.big = nn.Linear(1000, 1000)

    def forward(self, x: Tensor, times: int, mode: str) -> Tensor:
        y = self.big(x)
        if mode == "sum":
            return y.sum() * times
        return y * times


def resnet() -> nn.Module:
    from torchvision.models import resnet18

    return resnet18(weights=None).eval()


MODELS: dict[str, tuple[Any, Any]] = {
    "resnet18-traced": (
        lambda: torch.jit.trace(resnet(), torch.zeros(1, 3, 64, 64)),
        lambda: torch.randn(2, 3, 64, 64),
    ),
    "resnet18-scripted": (lambda: torch.jit.script(resnet()), lambda: torch.randn(2, 3, 64, 64)),
    "lstm": (lambda: torch.jit.script(Counter()), lambda: torch.randn(5, 1, 8)),
    "nested": (lambda: torch.jit.script(Nested()), lambda: torch.randn(3)),
}


def leaves(value: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value.detach().numpy()]


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_the_plaintext_model(
    name: str, command: Command, tmp_path: Path
) -> None:
    make, sample = MODELS[name]
    model, x = make(), sample()
    file, image = tmp_path / "model.pt", tmp_path / "x.npy"
    model.save(str(file))
    np.save(image, x.numpy())
    expected = leaves(torch.jit.load(str(file))(x))
    command.ok("publish", file, name, "--sample", image)
    command.ok("verify", name)
    for level in ["signed", "aead"]:
        outputs = json.loads(command.ok("infer", name, "--input", image, "--verify", level))[
            "outputs"
        ]
        assert len(outputs) == len(expected)
        for output, wanted in zip(outputs, expected, strict=True):
            got = np.array(output["data"], dtype=np.float32).reshape(output["shape"])
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    shown = json.loads(command.ok("show", name, "--json"))
    assert shown["stateful"] is (name == "lstm")


def test_runs_keep_no_gradients(folder: Command, tmp_path: Path) -> None:
    asking = torch.jit.script(nn.Linear(1, 1))
    asking.define(
        "def ask(self, x: Tensor):\n"
        "  y = self.forward(x)\n"
        "  return (torch.is_inference(y), y.requires_grad)\n"
    )
    file, image = tmp_path / "model.pt", tmp_path / "x.npy"
    asking.save(str(file))
    np.save(image, np.zeros((1, 1), dtype=np.float32))
    assert asking.ask(torch.zeros(1, 1)) == (False, True)
    folder.ok("publish", file, "asking")
    outputs = json.loads(folder.ok("infer", "asking", "--input", image, "--method", "ask"))
    assert [output["data"] for output in outputs["outputs"]] == [[True], [False]]


def test_int_and_str_inputs_come_from_json(folder: Command, tmp_path: Path) -> None:
    file, request = tmp_path / "model.pt", tmp_path / "request.json"
    model = torch.jit.script(Mixed())
    model.save(str(file))
    x = torch.randn(1, 1000)

    def ask(mode: str) -> str:
        inputs: list[dict[str, Any]] = [
            {"name": "x", "datatype": "FP32", "shape": [1, 1000], "data": x.flatten().tolist()},
            {"name": "times", "datatype": "INT64", "shape": [1], "data": [3]},
            {"name": "mode", "datatype": "BYTES", "shape": [1], "data": [mode]},
        ]
        request.write_text(json.dumps({"inputs": inputs}))
        return str(request)

    folder.ok("publish", file, "mixed", "--sample", ask("each"))
    answer = json.loads(folder.ok("infer", "mixed", "--input", ask("each")))["outputs"][0]
    wanted = model(x, 3, "each").detach().numpy()
    np.testing.assert_allclose(
        np.array(answer["data"]).reshape(wanted.shape), wanted, rtol=1e-3, atol=1e-5
    )
    kinds = {
        spec["name"]: spec.get("kind")
        for spec in json.loads(folder.ok("show", "mixed", "--json"))["inputs"]
    }
    assert kinds == {"x": "tensor", "times": "int", "mode": "string"}
