"""What must be refused, on a running server that answers others meanwhile."""

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.conftest import Start
from tests.server.server import Server, read_all, wait_until

SLOW = 4000  # rounds: some tenths of a second


def tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


INFER = "/v2/models/digits/infer"
ZEROS = [tensor("images", "FP32", [1, 1, 8, 8], [0] * 64)]


class Load:
    """Clients that keep asking; all they get must be right."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.done = threading.Event()
        self.answers: list[int] = []
        self.threads = [threading.Thread(target=self.ask) for _ in range(2)]
        for thread in self.threads:
            thread.start()
        # Connected before a test takes all the connections that there may be.
        wait_until(lambda: len(self.answers) >= len(self.threads))

    def ask(self) -> None:
        # Kept open, so that it stays also where new connections are refused.
        connection = self.server.connect()
        body = json.dumps({"inputs": ZEROS})
        while not self.done.is_set():
            answer = self.server.request("POST", INFER, body, connection=connection)
            self.answers.append(answer.status)
        connection.close()

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.done.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture(scope="module")
def target(store: Any) -> Iterator[Server]:
    options = ["--no-auth", "--max-body", "1MiB", "--max-inflight", "4MiB", "--workers", "2"]
    options += ["--header-timeout", "1", "--body-timeout", "2", "--queue", "4"]
    options += ["--max-connections", "64", "--no-access-log"]
    models = ["digits@production", "slow@production"]
    server = Server(store.store, store.keys, models, options).wait_ready()
    yield server
    assert server.stop() == 0


@pytest.fixture(autouse=True)
def load(target: Server) -> Iterator[None]:
    others = Load(target)
    yield
    others.stop()
    assert others.answers
    assert set(others.answers) <= {200, 503}
    assert target.process.poll() is None


def post(body: bytes, *fields: str, path: str = INFER) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_bodies_over_the_limit(target: Server) -> None:
    announced = b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: localhost\r\n"
    assert status(target.raw(announced + b"Content-Length: 1048577\r\n\r\n")) == 413
    assert status(target.raw(announced + b"Content-Length: 99999999999999999\r\n\r\n")) == 413
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    chunked = announced + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17
    assert status(target.raw(chunked)) == 413
    small = post(b" " * 70_000, path="/v2/repository/index")
    assert status(target.raw(small)) == 413


def test_compressed_bodies(target: Server) -> None:
    answer = target.raw(post(b"\x1f\x8b" + b"\0" * 20, "Content-Encoding: gzip"))
    assert status(answer) == 415 and b"Accept-Encoding: identity" in answer


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: +5"],
        ["Content-Length: 5, 5"],
        ["Content-Length: -1"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding : chunked"],
        ["Host: other", "Content-Length: 0"],
        ["X-A: b\nContent-Length: 5"],
        ["X-A: b\x00c"],
    ],
)
def test_smuggling(target: Server, fields: list[str]) -> None:
    head = "\r\n".join(
        ["POST /v2/models/digits/infer HTTP/1.1", "Host: localhost", *fields, "", ""]
    )
    answer = target.raw(head.encode() + b"0\r\n\r\nGET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status(answer) in (400, 501), answer
    answers = re.findall(rb"HTTP/1\.1 \d{3} ", answer)
    assert len(answers) == 1, "what was behind it must not be taken for a request"


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
    ],
)
def test_bad_heads(target: Server, head: bytes) -> None:
    assert status(target.raw(head)) in (0, 400, 408, 431)


def test_slow_clients(target: Server) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", target.port), timeout=20) as head:
        head.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert status(read_all(head)) in (0, 408)
    with socket.create_connection(("127.0.0.1", target.port), timeout=20) as body:
        body.sendall(post(b" " * 100)[:-50])
        assert status(read_all(body)) in (0, 408)
    assert 2.5 < time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"inputs":' + b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 413),
        (
            b'{"inputs":[{"name":"images","datatype":"FP64","shape":[1000000000000],"data":[1]}]}',
            413,
        ),
        (
            b'{"inputs":[{"name":"images","datatype":"FP32","shape":[4611686018427387904,4],"data":[]}]}',
            400,
        ),
        (b'{"inputs":[{"name":"images","datatype":"FP32","shape":[-1],"data":[1]}]}', 400),
        (b'{"inputs":[],"inputs":[]}', 400),
        (b'{"inputs":[]} x', 400),
        (b'{"inputs":[]}\0', 400),
        (b'{"inputs":[{"name":"\xff"}]}', 400),
        (b'{"inputs":[{"name":"images","datatype":"FP32","shape":[1],"data":[1e999]}]}', 400),
        (b"", 400),
        (b"null", 400),
        (b'{"inputs":[' + b"{}," * 300_000 + b"{}]}", 400),
        (
            b'{"inputs":[],"parameters":{' + b",".join(b'"%d":1' % i for i in range(5000)) + b"}}",
            413,
        ),
    ],
)
def test_json_bombs(target: Server, body: bytes, expected: int) -> None:
    answer = target.request("POST", INFER, body)
    assert answer.status == expected, answer.body
    assert answer.error
    v1 = target.request("POST", "/v1/models/digits:predict", body)
    assert v1.status in (400, 413)


@pytest.mark.parametrize("size", ["999999", "-1", "1e3", "x", "18446744073709551617", " 5"])
def test_header_length(target: Server, size: str) -> None:
    fields = {"Inference-Header-Content-Length": size}
    body = json.dumps({"inputs": ZEROS})
    answer = target.request("POST", INFER, body, fields)
    assert answer.status == 400, answer.body


def test_binary_sizes_that_do_not_add_up(target: Server) -> None:
    for given, sent in ((256, 255), (256, 257), (1 << 62, 256), (0, 256)):
        input: dict[str, Any] = {"name": "images", "datatype": "FP32", "shape": [1, 1, 8, 8]}
        input["parameters"] = {"binary_data_size": given}
        head = json.dumps({"inputs": [input]}).encode()
        fields = {"Inference-Header-Content-Length": str(len(head))}
        body = head + b"\0" * sent
        assert target.request("POST", INFER, body, fields).status == 400


def test_pages_of_other_origins(target: Server) -> None:
    for fields in (
        {"Host": "evil.example"},
        {"Host": f"evil.example:{target.port}"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ):
        assert target.request("GET", "/v2", headers=fields).status == 403, fields
    own = {"Origin": f"http://127.0.0.1:{target.port}"}
    assert target.request("GET", "/v2", headers=own).status == 200


def test_overload(target: Server) -> None:
    seen: list[tuple[int, dict[str, str]]] = []
    rounds = [tensor("rounds", "INT64", [1], [SLOW])]

    def ask() -> None:
        answer = target.infer("slow", rounds)
        seen.append((answer.status, answer.headers))

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    assert target.get("/v2/health/live").status == 200
    for thread in threads:
        thread.join()
    assert {code for code, _ in seen} == {200, 503}
    assert all(fields["retry-after"] for code, fields in seen if code == 503)
    metrics = target.get("/metrics").body.decode()
    assert (
        'nv_inference_request_failure{model="slow",version="1",reason="REJECTED"} 0' not in metrics
    )


def test_memory_stays_bounded(target: Server) -> None:
    """Connections that hold large bodies back get no more than the budget, and leave nothing."""
    before = target.memory()
    held = []
    for _ in range(40):
        connection = socket.create_connection(("127.0.0.1", target.port), timeout=30)
        connection.sendall(post(b"x" * (1 << 20))[: 1 << 19])
        held.append(connection)
    answers = []
    for connection in held:
        try:
            answers.append(status(read_all(connection)))
        except OSError:
            answers.append(0)
        connection.close()
    assert 503 in answers and set(answers) <= {0, 408, 503}
    wait_until(lambda: "ptsecure_inflight_bytes" in target.get("/metrics").body.decode())
    assert target.memory() - before < 64 << 20
    wait_until(lambda: target.infer("digits", ZEROS).status == 200)


def test_connections_over_the_limit(target: Server) -> None:
    held = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(70)]
    time.sleep(0.5)
    closed = 0
    for connection in held:
        connection.settimeout(0.01)
        try:
            closed += connection.recv(1) == b""
        except ConnectionResetError:
            closed += 1
        except TimeoutError:
            pass
        # Reset: nothing is left waiting.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert closed >= 6
    wait_until(lambda: target.infer("digits", ZEROS).status == 200)


def test_kill_and_restart(start: Start) -> None:
    server = start().wait_ready()
    done = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not done.is_set():
            try:
                answer = server.infer("digits", ZEROS)
                if answer.status not in (200, 503):
                    wrong.append(answer)
            except OSError:
                time.sleep(0.01)
            except Exception as error:
                if "IncompleteRead" not in repr(error) and "RemoteDisconnected" not in repr(error):
                    wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    server.kill()
    server.start()
    server.wait_ready()
    time.sleep(0.3)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
