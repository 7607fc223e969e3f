"""Too little memory is an error like others, and a model may be larger than 2 GiB."""

import os
from pathlib import Path

import numpy as np
import ptsecure
import pytest
import torch

from tests.python.interpreter import run

STARVED = """
import os, resource, sys
import numpy as np
import ptsecure

keys = ptsecure.Keyring.load(sys.argv[1])
store = ptsecure.open_store(sys.argv[2])
x = np.ones((1, 6000), np.float32)
store.load("small", keys)(x[:, :4])  # libtorch is in the process
soft, hard = resource.getrlimit(resource.RLIMIT_AS)


def attempt(what, allowed):
    with open("/proc/self/statm") as sizes:
        used = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (allowed << 20), hard))
    try:
        what()
        print("done")
    except ptsecure.OutOfMemoryError:
        print("refused")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


for allowed in 1, 3, 10, 30, 100:
    attempt(lambda: store.load("wide", keys), allowed)
    attempt(lambda: store.fetch("blob", keys).decrypt(), allowed)
print(float(store.load("wide", keys)(x)[0, 0]), len(store.fetch("blob", keys).decrypt()))
"""


def linear(extent: int) -> torch.jit.ScriptModule:
    layer = torch.nn.Linear(extent, extent, bias=False)
    torch.nn.init.constant_(layer.weight, 0.5)
    return torch.jit.script(layer)


def test_an_open_that_finds_no_memory_says_so(tmp_path: Path, keys: ptsecure.Keyring) -> None:
    keys.save(tmp_path / "keys.jwks")
    with ptsecure.open_store(tmp_path / "store") as store:
        store.publish("small", linear(4), keys)
        store.publish("wide", linear(6000), keys)  # 144 MB
        store.publish("blob", bytes(150_000_000), keys, format="opaque")
    lines = run(STARVED, str(tmp_path / "keys.jwks"), str(tmp_path / "store"))
    assert lines == ["refused"] * 10 + ["3000.0 150000000"]


@pytest.mark.skipif(
    "PTSECURE_TEST_LARGE" not in os.environ, reason="takes 8 GB of disk and 6 GB of memory"
)
def test_a_model_of_more_than_two_gibibytes(store: ptsecure.Store, keys: ptsecure.Keyring) -> None:
    module = linear(24_000)
    with torch.no_grad():
        module.weight[-1, -1] = 2.0  # the last element stands beyond 2 GiB
    store.publish("large", module, keys)
    assert store.fetch("large", keys).size > 1 << 31
    del module
    answer = store.load("large", keys)(np.ones((1, 24_000), np.float32))
    assert answer[0, 0] == 12_000.0
    assert answer[0, -1] == 12_001.5
