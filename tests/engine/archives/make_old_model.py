"""Writes old_VERSION.pt and its answers; run once with a PyTorch of that version."""

import json
import sys

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super(Net, self).__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.layer = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(self.conv(x)))
        return self.layer(y.flatten(1))


def encode(tensor: torch.Tensor) -> object:
    return {
        "tensor": "float32",
        "shape": list(tensor.shape),
        "bytes": tensor.detach().contiguous().numpy().tobytes().hex(),
    }


torch.manual_seed(7)
model = torch.jit.script(Net().eval())
name = "old_" + torch.__version__.split("+")[0].replace(".", "_")
model.save(sys.argv[1] + "/" + name + ".pt")
x = torch.rand(2, 1, 4, 4)
calls = [{"method": "forward", "arguments": [encode(x)], "result": encode(model(x))}]
with open(sys.argv[1] + "/" + name + ".json", "w") as out:
    json.dump(calls, out)
