"""What a call from Python costs, NumPy in and NumPy out, beside torch's own, in turns.

    infer_python.py FILE STORE REFERENCE KEYS ROUNDS CALLS

The model is a 784-256-10 MLP, the batch 1, one thread. Prints the nanoseconds of one call, one
number a round, of each way.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy
import ptsecure
import torch


def per_call(calls: int, call: Callable[[], object]) -> float:
    begin = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - begin) / calls


def main() -> None:
    file, store, reference, keys, rounds, calls = sys.argv[1:]
    torch.set_num_threads(1)
    plain = torch.jit.load(file)
    with ptsecure.open_store(store) as opened:
        sealed = opened.load(reference, ptsecure.Keyring.load(keys), intra_op_threads=1)
    x = numpy.ones((1, 784), numpy.float32)

    def forward() -> object:
        return plain(torch.from_numpy(x)).numpy()

    def infer() -> object:
        return sealed(x)

    out: dict[str, list[float]] = {"forward": [], "infer": []}
    with torch.inference_mode():  # entered once: it costs microseconds
        for call in (forward, infer):
            per_call(int(calls), call)
        for _ in range(int(rounds)):
            out["forward"].append(per_call(int(calls), forward))
            out["infer"].append(per_call(int(calls), infer))
    print(json.dumps(out))


if __name__ == "__main__":
    main()
