"""Asks a server with KServe's InferenceRESTClient, in the environment that has it (kserve.txt).

kserve_client.py URL IMAGES.npy       prints what came of it as one JSON object
"""

import asyncio
import json
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

import numpy as np

# The package's own __init__ imports all of KServe, its server and Kubernetes too.
package = types.ModuleType("kserve")
package.__path__ = [str(Path(sysconfig.get_path("purelib")) / "kserve")]
sys.modules["kserve"] = package

from kserve.inference_client import InferenceRESTClient, RESTConfig  # noqa: E402
from kserve.protocol.infer_type import InferInput, InferRequest  # noqa: E402


def request(images: Any, binary: bool) -> InferRequest:
    given = InferInput("images", list(images.shape), "FP32")
    given.set_data_from_numpy(images, binary_data=binary)
    parameters = {"binary_data_output": True} if binary else None
    return InferRequest("digits", [given], request_id="k-1", parameters=parameters)


async def ask(url: str, images: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        out["live"] = await client.is_server_live(url)
        out["ready"] = await client.is_server_ready(url)
        out["model"] = await client.is_model_ready(url, "digits")
        out["nothing"] = await client.is_model_ready(url, "nothing")
        for name, binary in (("json", False), ("binary", True)):
            answer = await client.infer(url, request(images, binary), model_name="digits")
            out[name] = [answer.id, answer.outputs[0].as_numpy().argmax(1).tolist()]
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        out["v1_live"] = await client.is_server_live(url)
        out["v1_model"] = await client.is_model_ready(url, "digits")
        body = {"instances": images.tolist()}
        answer = await client.infer(url, body, model_name="digits")
        out["v1"] = np.argmax(answer["predictions"], 1).tolist()
    return out


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask(sys.argv[1], np.load(sys.argv[2])))))
