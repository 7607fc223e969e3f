"""The protocol, spoken by the clients that people have."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http
import tritonclient.http.aio

from tests.cli.command import DIGITS
from tests.server.server import Server, wait_until

EVERY_DATATYPE = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]
EVERY_DATATYPE += ["FP16", "BF16", "FP32", "FP64"]


def pictures() -> Any:
    return np.load(DIGITS / "heldout_images.npy")[:16]


def triton_input(name: str, array: Any, datatype: str, binary: bool) -> Any:
    given = tritonclient.http.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


@pytest.fixture
def triton(served: Server) -> Any:
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        yield client


def test_triton_client_asks_about_server_and_models(triton: Any) -> None:
    assert triton.is_server_live() and triton.is_server_ready()
    assert triton.is_model_ready("digits") and triton.is_model_ready("digits", "1")
    assert triton.get_server_metadata()["name"] == "ptsecure-server"
    about = triton.get_model_metadata("digits")
    assert about["inputs"][0] == {"name": "images", "datatype": "FP32", "shape": [-1, 1, 8, 8]}
    assert about["versions"] == ["1"] and about["aliases"] == ["production"]
    states = {entry["name"]: entry["state"] for entry in triton.get_model_repository_index()}
    assert states["digits"] == states["counter"] == "READY"


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
def test_triton_client_reads_digits(triton: Any, binary_in: bool, binary_out: bool) -> None:
    labels = np.load(DIGITS / "heldout_labels.npy")[:16]
    name = triton.get_model_metadata("digits")["outputs"][0]["name"]
    answer = triton.infer(
        "digits",
        [triton_input("images", pictures(), "FP32", binary_in)],
        outputs=[tritonclient.http.InferRequestedOutput(name, binary_data=binary_out)],
        request_id="r-1",
    )
    assert answer.get_response()["id"] == "r-1"
    assert np.mean(answer.as_numpy(name).argmax(1) == labels) > 0.9


# tritonclient sends some in binary only.
@pytest.mark.parametrize(
    ("datatype", "binary"),
    [
        (name, way)
        for name in EVERY_DATATYPE
        for way in (False, True)
        if way or name not in ("FP16", "BF16")
    ],
)
def test_every_datatype_comes_back_as_it_went(triton: Any, datatype: str, binary: bool) -> None:
    array = np.arange(6).reshape(2, 3).astype(tritonclient.http.triton_to_np_dtype(datatype))
    asked = [tritonclient.http.InferRequestedOutput("output_0", binary_data=binary)]
    given = [triton_input("x", array, datatype, binary)]
    back = triton.infer("echo", given, outputs=asked).as_numpy("output_0")
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


@pytest.mark.parametrize("binary", [False, True])
def test_text(triton: Any, binary: bool) -> None:
    name = np.array(["wörld"], dtype=np.object_)
    times = np.array([2], dtype=np.int64)
    answer = triton.infer(
        "greet",
        [
            triton_input("name", name, "BYTES", binary),
            triton_input("times", times, "INT64", binary),
        ],
        outputs=None,
    )
    assert answer.as_numpy("output_0")[0].decode() == "hello wörld hello wörld "


def test_triton_async_client(served: Server) -> None:
    async def ask() -> list[Any]:
        client = tritonclient.http.aio.InferenceServerClient(f"127.0.0.1:{served.port}")
        given = [triton_input("images", pictures(), "FP32", True)]
        try:
            return list(await asyncio.gather(*(client.infer("digits", given) for _ in range(16))))
        finally:
            await client.close()

    shapes = {answer.as_numpy("output_0").shape for answer in asyncio.run(ask())}
    assert shapes == {(16, 10)}


def test_kserve_client(served: Server, tmp_path: Path) -> None:
    images = tmp_path / "images.npy"
    np.save(images, pictures())
    python = Path(sys.prefix).parent / "kserve" / "bin" / "python"
    program = Path(__file__).with_name("kserve_client.py")
    done = subprocess.run(
        [python, program, f"http://127.0.0.1:{served.port}", images], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    labels = np.load(DIGITS / "heldout_labels.npy")[:16]
    assert np.mean(np.array(out["json"][1]) == labels) > 0.9
    assert out["json"] == out["binary"] == ["k-1", out["v1"]]
    assert out["live"] and out["ready"] and out["model"] and out["v1_live"] and out["v1_model"]
    assert not out["nothing"]


def test_selected_outputs_and_unknown_ones(served: Server) -> None:
    inputs = json.loads((DIGITS / "request.json").read_text())["inputs"]
    pair = [{"name": n, "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]} for n in ("a", "b")]
    only = served.infer("pair", pair, outputs=[{"name": "rows"}])
    assert [output["name"] for output in only.json["outputs"]] == ["rows"]
    unknown = served.infer("digits", inputs, outputs=[{"name": "nothing"}])
    assert unknown.status == 400 and "nothing" in unknown.error


def test_wrong_inputs_hear_of_the_signature(served: Server) -> None:
    wrong = [
        {"name": "images", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]},
        {"name": "images", "datatype": "INT64", "shape": [1, 1, 8, 8], "data": [0] * 64},
        {"name": "pictures", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [0] * 64},
    ]
    for tensor in wrong:
        answer = served.infer("digits", [tensor])
        assert answer.status == 400
        assert "FP32[-1,1,8,8]" in answer.error
    assert "FP32[-1,1,8,8]" in served.infer("digits", []).error


def test_v1(served: Server) -> None:
    rows = pictures()[:3].tolist()
    body = json.dumps({"instances": rows})
    answer = served.request("POST", "/v1/models/digits:predict", body)
    assert answer.status == 200 and np.shape(answer.json["predictions"]) == (3, 10)
    whole = served.request("POST", "/v1/models/digits:predict", json.dumps({"inputs": rows}))
    assert whole.json == answer.json
    instances = [{"a": [1, 2, 3], "b": [1, 1, 1]}, {"a": [4, 5, 6], "b": [1, 1, 1]}]
    pairs = served.request("POST", "/v1/models/pair:predict", json.dumps({"instances": instances}))
    assert pairs.json["predictions"][1] == {"sum": [5, 6, 7], "rows": 1}
    assert "digits" in served.get("/v1/models").json["models"]
    assert served.get("/v1/models/digits").json == {"name": "digits", "ready": True}
    assert served.request("POST", "/v1/models/digits:predict", "{}").status == 400


def test_page_and_description(served: Server) -> None:
    page = served.get("/", Accept="text/html,*/*;q=0.8")
    assert page.headers["content-type"].startswith("text/html") and b"<title>" in page.body
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert served.get("/").json == {"status": "alive"}
    paths = served.get("/openapi.json").json["paths"]
    assert "/v2/models/{model}/infer" in paths


def test_names_and_paths(served: Server) -> None:
    assert served.get("/v2/models/%64igits").json["name"] == "digits"
    assert served.get("/v2/models/digits/versions/1/ready").status == 200
    assert served.get("/v2/models/digits%2Fready").status == 404
    assert served.get("/v2/models/a/b/ready").status == 404
    assert served.get("/v2/models/..%2f..%2fetc").status == 404
    assert served.get("/v2/models/digits/versions/9").status == 404
    assert served.get("/v2/models/digits/versions/0").status == 400
    assert served.get("/v2/models/%zz").status == served.get("/v2/models/%00").status == 400
    assert served.get("/v2/models/%").status == served.get("/v2/models/%f").status == 400
    for name in ("%24ne", "digits%2f1", "digits%401", "%7b%22%24ne%22:1%7d", "..", ".", "DIGITS"):
        assert served.get(f"/v2/models/{name}").status == 404, name
    assert served.get("/nothing?x=%zz").status == 404
    refused = served.get("/v2/models/digits/infer")
    assert refused.status == 405 and refused.headers["allow"] == "POST"
    assert served.request("DELETE", "/v2").headers["allow"] == "GET, HEAD"


def test_head_is_get_without_the_body(served: Server) -> None:
    connection = served.connect()  # what followed the head would be taken for the next answer
    for path, code in (("/v2", 200), ("/v2/models/digits/infer", 405), ("/nothing", 404)):
        head = served.request("HEAD", path, connection=connection)
        body = served.request("GET", path, connection=connection)
        assert head.status == body.status == code and head.body == b""
        assert (
            head.headers["content-length"] == body.headers["content-length"] == str(len(body.body))
        )
    connection.close()


def test_nan_and_infinity_are_text_in_json(served: Server) -> None:
    data = ["NaN", "Infinity", "-Infinity", 1.5]
    tensor = {"name": "x", "datatype": "FP32", "shape": [4], "data": data}
    answer = served.infer("echo", [tensor])
    assert answer.json["outputs"][0]["data"] == data
    bare = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]}'
    assert served.request("POST", "/v2/models/echo/infer", bare).status == 400


def test_everybody_gets_their_own_answer(served: Server) -> None:
    """Requests side by side, each with numbers that no other has."""
    wrong: list[tuple[int, Any]] = []

    def ask(client: int) -> None:
        connection = served.connect()
        for i in range(25):
            data = [client * 1000 + i] * 3
            tensor = {"name": "x", "datatype": "INT32", "shape": [3], "data": data}
            body = json.dumps({"inputs": [tensor], "id": str(data[0])})
            path = "/v2/models/echo/infer"
            answer = served.request("POST", path, body, connection=connection).json
            if answer["id"] != str(data[0]) or answer["outputs"][0]["data"] != data:
                wrong.append((client, answer))
        connection.close()

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_model_that_throws(served: Server) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 1]}
    answer = served.infer("thrower", [tensor])
    assert answer.status == 500 and "this model throws" in answer.error
    tensor["data"] = [0, 0]
    assert served.infer("thrower", [tensor]).status == 200


def test_state_never_reaches_another_request(served: Server) -> None:
    tensor = {"name": "x", "datatype": "INT64", "shape": [1], "data": [5]}
    for _ in range(3):
        assert served.infer("counter", [tensor]).json["outputs"][0]["data"] == [5]


def test_curl(served: Server) -> None:
    url = f"http://127.0.0.1:{served.port}/v2/models/digits/infer"
    command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "60", url]
    for way in (["--data-binary"], ["-H", "Transfer-Encoding: chunked", "--data-binary"]):
        done = subprocess.run(
            [*command, *way, f"@{DIGITS / 'request.json'}"], capture_output=True, check=True
        )
        assert json.loads(done.stdout)["model_name"] == "digits"
    waits = ["-H", "Expect: 100-continue", "--data-binary", f"@{DIGITS / 'request.json'}"]
    assert subprocess.run([*command, *waits], capture_output=True, check=True).stdout


def test_traces_and_request_ids_are_passed_on(served: Server) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    parent = f"00-{trace}-b7ad6b7169203331-01"
    answer = served.request(
        "GET", "/v2", headers={"traceparent": parent, "X-Request-Id": "abc-1", "X-API-Key": "pts_x"}
    )
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.headers["traceparent"].startswith(f"00-{trace}-")
    assert not answer.headers["traceparent"].endswith("b7ad6b7169203331-01")

    def lines() -> list[dict[str, Any]]:
        return [entry for entry in served.events("request") if entry["request_id"] == "abc-1"]

    wait_until(lambda: bool(lines()))  # the log is written behind the answer
    entry = lines()[0]
    assert entry["trace_id"] == trace and entry["parent_id"] == "b7ad6b7169203331"
    assert entry["path"] == "/v2" and entry["status"] == 200
    assert "pts_x" not in json.dumps(served.log)
    broken = served.request("GET", "/v2", headers={"traceparent": parent[:-4] + "zz-01"})
    assert trace not in broken.headers["traceparent"]


def test_metrics_count(served: Server) -> None:
    def value(line: str) -> float:
        text = served.get("/metrics").body.decode()
        return float(next(row for row in text.splitlines() if row.startswith(line)).split()[-1])

    labels = '{model="pair",version="1"}'
    names = ["nv_inference_request_success", "nv_inference_exec_count"]
    histogram = 'ptsecure_inference_duration_seconds_count{model="pair",version="1"}'
    failures = 'nv_inference_request_failure{model="pair",version="1",reason="OTHER"}'
    asked = [*(name + labels for name in names), histogram, failures]
    asked.append("nv_inference_count" + labels)
    before = [value(name) for name in asked]
    pair = [{"name": n, "datatype": "FP32", "shape": [4, 3], "data": [1] * 12} for n in ("a", "b")]
    assert served.infer("pair", pair).status == 200
    assert served.infer("pair", pair[:1]).status == 400
    gained = [value(name) - old for name, old in zip(asked, before, strict=True)]
    assert gained == [1, 1, 1, 1, 4]
    assert "nosuchmodel" not in served.get("/metrics").body.decode()
