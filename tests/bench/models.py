"""Makes the benchmark's models: TorchScript files, and AOTInductor packages (.pt2).

models.py FOLDER NAME...        1mb 100mb 537mb many huge mlp 100mb.pt2 linear.pt2
"""

import pathlib
import sys

import torch
from torch import nn

# The extents of the one input of forward; none where it isn't run: 2,500 layers take seconds to
# specialise, which says nothing of opening.
SHAPES: dict[str, tuple[int, ...]] = {
    "1mb": (1, 256),
    "100mb": (1, 1024),
    "537mb": (1, 1024),
    "many": (),
    "huge": (1, 4096),
    "mlp": (1, 784),
    "linear": (1, 784),
}


class Block(nn.Module):
    """A transformer's feed-forward part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x + self.down(torch.relu(self.up(x))))


def build(name: str) -> nn.Module:
    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    if name == "linear":  # little to compute: what is measured is the call
        return nn.Linear(784, 16)
    if name == "many":  # 5,000 tensors, 20 MB
        return nn.Sequential(*(nn.Linear(45, 45) for _ in range(2500)))
    if name == "1mb":
        return nn.Sequential(*(nn.Linear(256, 256) for _ in range(4)))
    width, blocks = {"100mb": (1024, 3), "537mb": (1024, 16), "huge": (4096, 8)}[name]
    return nn.Sequential(*(Block(width) for _ in range(blocks)))


def make_package(file: pathlib.Path) -> None:
    """The same model compiled, its weights in one piece beside the library. Takes a minute."""
    if file.exists():
        return
    torch.manual_seed(0)
    name = file.stem
    exported = torch.export.export(build(name).eval(), (torch.ones(SHAPES[name]),))
    torch._inductor.aoti_compile_and_package(
        exported,
        package_path=str(file),
        inductor_configs={
            "aot_inductor.package_constants_in_so": False,
            "aot_inductor.package_constants_on_disk_format": "binary_blob",
        },
    )


def make(folder: pathlib.Path, name: str) -> None:
    """NAME.pt"""
    file = folder / f"{name}.pt"
    if file.exists():
        return
    torch.manual_seed(0)
    with torch.inference_mode():
        model = build(name).eval()
        # Tracing gives each layer a class of its own, as users' exports do; of 2,500 layers that
        # would measure the compiler of classes, not the loading of tensors.
        if name == "many":
            exported = torch.jit.script(model)
        else:
            exported = torch.jit.trace(model, torch.ones(SHAPES[name]))
    part = file.with_suffix(".part")
    exported.save(str(part))
    part.rename(file)


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:]:
        if name.endswith(".pt2"):
            make_package(folder / name)
        else:
            make(folder, name)


if __name__ == "__main__":
    main()
