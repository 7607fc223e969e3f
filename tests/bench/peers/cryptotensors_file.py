"""CryptoTensors beside ptsecure: the weights of a TorchScript file, encrypted and signed.

cryptotensors_file.py seal MODEL.pt OUT
cryptotensors_file.py open OUT          prints what load_file cost, without the imports
"""

import base64
import json
import os
import pathlib
import sys
import time

import cryptotensors
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptotensors.torch import load_file, save_file


def encode(data: bytes) -> str:
    return base64.b64encode(
        data
    ).decode()  # not base64url, which JWK asks for: this peer reads that


def make_keys() -> list[dict[str, str]]:
    private = Ed25519PrivateKey.generate()
    return [
        {"kty": "oct", "alg": "aes256gcm", "kid": "enc", "k": encode(os.urandom(32))},
        {
            "kty": "okp",
            "crv": "Ed25519",
            "alg": "ed25519",
            "kid": "sign",
            "d": encode(private.private_bytes_raw()),
            "x": encode(private.public_key().public_bytes_raw()),
        },
    ]


def seal(model: str, out: pathlib.Path) -> None:
    keys = make_keys()
    weights = torch.jit.load(model).state_dict()
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()},
        out,
        config={"enc_key": keys[0], "sign_key": keys[1]},
    )
    out.with_suffix(".keys.json").write_text(json.dumps(keys))


def main() -> None:
    out = pathlib.Path(sys.argv[-1])
    if sys.argv[1] == "seal":
        seal(sys.argv[2], out)
        return
    torch.empty(1)
    if os.system(os.environ.get("PTSECURE_BENCH_BEFORE", ":")) != 0:
        sys.exit("PTSECURE_BENCH_BEFORE failed")
    begin = time.perf_counter()
    cpu = time.process_time()
    cryptotensors.register_tmp_key_provider(
        keys=json.loads(out.with_suffix(".keys.json").read_text())
    )
    tensors = load_file(out)
    seconds = time.perf_counter() - begin
    print(
        json.dumps(
            {"seconds": seconds, "cpu_seconds": time.process_time() - cpu, "tensors": len(tensors)}
        )
    )


if __name__ == "__main__":
    main()
