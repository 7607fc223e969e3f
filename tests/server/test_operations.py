"""Keys, signals, TLS, and a store that goes away."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.http
import tritonclient.utils

from tests.cli.command import ROOT, Command, database
from tests.server.conftest import Start, new_key, publish_digits
from tests.server.server import wait_until
from tests.server.test_attacks import INFER, SLOW, ZEROS, Load, tensor

MONGOD_SCRIPT = ROOT / "tests" / "mongod.py"


def test_api_keys(start: Start, mongo_store: Command) -> None:
    admin = new_key(mongo_store, "--model", "*", "--scope", "admin")
    infer = new_key(mongo_store, "--model", "digits", "--scope", "infer")
    other = new_key(mongo_store, "--model", "other", "--scope", "infer")
    slow = new_key(mongo_store, "--model", "*", "--scope", "infer", "--rate", "0.01")
    keeper = new_key(mongo_store, "--model", "digits", "--scope", "admin")
    server = start(store=mongo_store.store, options=[]).wait_ready()
    assert server.get("/v2/health/live").status == 200
    refused = server.infer("digits", ZEROS)
    for path in ("/v2", "/metrics", "/v2/models", "/v2/models/digits", "/v1/models/digits"):
        assert server.get(path).status == 401
    for path in ("index", "models/digits/load", "models/digits/unload"):
        assert server.request("POST", f"/v2/repository/{path}").status == 401
    assert refused.status == 401 and refused.headers["www-authenticate"].startswith("Bearer")
    server.key = infer["key"]
    assert server.infer("digits", ZEROS).status == 200
    assert server.get("/v2/models").json == {"models": ["digits"]}
    for path in ("/metrics", "/v2/models/other"):
        assert server.get(path).status == 403
    for path in ("index", "models/digits/load", "models/digits/unload"):
        assert server.request("POST", f"/v2/repository/{path}").status == 403
    server.key = ""
    assert server.get("/v2/apikeys/usage").status == 401
    bearer = {"Authorization": f"bearer {infer['key']}"}
    assert server.request("GET", "/v2", headers=bearer).status == 200
    both = bearer | {"X-API-Key": infer["key"]}
    assert server.request("GET", "/v2", headers=both).status == 400
    assert server.get("/v2", Authorization="Basic YTpi").status == 400
    for wrong in (infer["key"][:-1], infer["key"] + "x", "pts_", "x" * 5000):
        server.key = wrong
        assert server.infer("digits", ZEROS).status == 401
    early = new_key(mongo_store, "--model", "*", "--scope", "admin", "--not-before", "1h")
    server.key = early["key"]
    assert server.infer("digits", ZEROS).status == 401
    server.key = keeper["key"]  # of one model: what concerns all is not for it
    for path in ("/metrics", "/v2/apikeys/usage"):
        assert server.get(path).status == 403
    for path, code in (("index", 403), ("models/pair/load", 403), ("models/digits/load", 200)):
        assert server.request("POST", f"/v2/repository/{path}").status == code
    server.key = other["key"]
    assert server.infer("digits", ZEROS).status == 403
    assert server.get("/v2/models").json == {"models": []}
    server.key = slow["key"]
    assert server.infer("digits", ZEROS).status == 200
    limited = server.infer("digits", ZEROS)
    assert limited.status == 429 and int(limited.headers["retry-after"]) >= 1
    server.key = admin["key"]
    assert b"nv_inference_count" in server.get("/metrics").body
    index = server.request("POST", "/v2/repository/index").json
    assert [(entry["name"], entry["state"]) for entry in index] == [("digits", "READY")]
    assert server.request("POST", "/v2/repository/models/digits/unload").status == 200
    server.key = infer["key"]
    assert server.infer("digits", ZEROS).status == 404
    server.key = admin["key"]
    assert server.request("POST", "/v2/repository/models/digits/load").status == 200
    server.key = infer["key"]
    assert server.infer("digits", ZEROS).status == 200
    second = start(store=mongo_store.store, options=[], key=infer["key"]).wait_ready()
    assert second.infer("digits", ZEROS).status == 200
    mongo_store.ok("apikey", "disable", infer["id"])
    began = time.monotonic()
    for each in (server, second):
        wait_until(lambda each=each: each.infer("digits", ZEROS).status == 401)  # type: ignore[misc]
    assert time.monotonic() - began < 2
    server.key = admin["key"]
    used = {entry["id"]: entry for entry in server.get("/v2/apikeys/usage").json}
    assert used[infer["id"]]["last_used"] and used[slow["id"]]["limited"] == 1
    texts = json.dumps(server.log)
    assert not any(record["key"] in texts for record in (admin, infer, other, slow))


def test_rate_of_bytes(start: Start, mongo_store: Command) -> None:
    body = json.dumps({"inputs": ZEROS})
    limits = ["--bytes-rate", str(len(body))]
    record = new_key(mongo_store, "--model", "*", "--scope", "infer", *limits)
    server = start(store=mongo_store.store, options=[], key=record["key"]).wait_ready()
    codes = [server.infer("digits", ZEROS).status for _ in range(4)]
    assert 200 in codes and 429 in codes
    # Chunked, so that the size is known only afterwards.
    wait_until(lambda: server.get("/v2/models/digits").status == 200)
    chunks = {"Transfer-Encoding": "chunked"}
    size = f"{3 * len(body):x}\r\n{body}{' ' * 2 * len(body)}\r\n0\r\n\r\n"
    wait_until(lambda: server.request("POST", INFER, size, chunks).status == 200)
    assert server.infer("digits", ZEROS).status == 429


class Mongod:
    """A server that dies as a machine does, and comes back with what it had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = [sys.executable, str(MONGOD_SCRIPT), "start", str(folder)]
        self.uri = subprocess.run(script, check=True, capture_output=True, text=True).stdout.strip()
        self.pid = int((folder / "node0.pid").read_text())
        self.command = Path(f"/proc/{self.pid}/cmdline").read_text().split("\0")[:-1]

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{self.pid}/cmdline").exists() or self.is_zombie())

    def is_zombie(self) -> bool:
        return not Path(f"/proc/{self.pid}/cmdline").read_text()

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(self.command, stdin=quiet, stdout=quiet, start_new_session=True)
        self.pid = process.pid
        (self.folder / "node0.pid").write_text(f"{self.pid}\n")

    def stop(self) -> None:
        script = [sys.executable, str(MONGOD_SCRIPT), "stop", str(self.folder)]
        subprocess.run(script, check=True)


@pytest.fixture
def own_mongod(tmp_path: Path) -> Iterator[Mongod]:
    mongod = Mongod(tmp_path / "mongod")
    yield mongod
    mongod.stop()


def test_mongod_killed_and_back(start: Start, own_mongod: Mongod, keys: Path) -> None:
    command = Command(database(own_mongod.uri, "served"), keys)
    publish_digits(command)
    admin = new_key(command, "--model", "*", "--scope", "admin", "--scope", "infer")
    server = start(store=command.store, options=[], key=admin["key"]).wait_ready()
    assert server.infer("digits", ZEROS).status == 200
    with Load(server) as load:
        own_mongod.kill()
        wait_until(lambda: server.get("/v2/health/ready").json["state"] == "degraded")
        assert server.get("/v2/health/ready").status == 200
        assert b"ptsecure_store_reachable 0" in server.get("/metrics").body
        began = time.monotonic()
        refused = server.request("POST", "/v2/repository/models/digits/load")
        assert refused.status in (503, 504), refused.body
        assert time.monotonic() - began < 15
        # One that starts meanwhile waits for the store, alive and not ready.
        late = start(store=command.store, options=[], key=admin["key"])
        assert late.get("/v2/health/live").status == 200
        assert late.get("/v2/health/ready").status == 503
        assert late.infer("digits", ZEROS).status == 503
        own_mongod.start()
        wait_until(lambda: server.get("/v2/health/ready").json["state"] == "ready", 60)
        late.wait_ready()
        assert late.infer("digits", ZEROS).status == 200
        assert server.request("POST", "/v2/repository/models/digits/load").status == 200
    assert load.answers and set(load.answers) == {200}
    assert server.events("store_unreachable") and server.events("store_reachable")


def test_triton_client_loads_and_unloads(start: Start) -> None:
    server = start().wait_ready()
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}") as triton:
        triton.unload_model("digits")
        assert not triton.is_model_ready("digits")
        assert server.infer("digits", ZEROS).status == 404
        triton.load_model("digits")
        assert triton.is_model_ready("digits") and triton.is_server_ready()
        triton.load_model("pair")
        assert server.get("/v2/models").json["models"] == ["digits", "pair"]
        with pytest.raises(tritonclient.utils.InferenceServerException, match="404"):
            triton.load_model("nothing")
        states = {entry["name"]: entry for entry in triton.get_model_repository_index()}
        assert states["pair"]["state"] == "READY" and states["slow"]["state"] == "UNAVAILABLE"


def test_ready_only_when_every_model_has_answered(start: Start) -> None:
    # The second has no sample to be tried with.
    server = start("digits@production", "picky@production")
    wait_until(lambda: server.get("/v2/models/digits/ready").status == 200)
    wait_until(lambda: bool(server.events("model_untested")))
    assert server.get("/v2/health/ready").json["state"] == "not ready"
    assert server.get("/v2/health/ready").status == 503
    assert server.get("/v2/models/picky/ready").status == 503
    assert server.infer("picky", [tensor("x", "FP32", [1, 1], [1])]).status == 200
    assert server.get("/v2/models/picky/ready").status == 200
    assert server.get("/v2/health/ready").status == 200


def test_unload_with_requests_in_flight(start: Start) -> None:
    server = start("slow@production").wait_ready()
    rounds = [tensor("rounds", "INT64", [1], [2 * SLOW])]
    answers: list[int] = []
    ask = threading.Thread(target=lambda: answers.append(server.infer("slow", rounds).status))
    ask.start()
    time.sleep(0.1)
    assert server.request("POST", "/v2/repository/models/slow/unload").status == 200
    ask.join()
    assert answers == [200]
    assert server.infer("slow", rounds).status == 404


def test_state_is_remembered(start: Start, tmp_path: Path, keys: Path) -> None:
    """A store that was put back to what it was is refused also after a restart."""
    command = Command(str(tmp_path / "store"), keys)
    publish_digits(command)
    shutil.copytree(tmp_path / "store", tmp_path / "old")
    publish_digits(command)
    options = ["--no-auth", "--state", str(tmp_path / "state.json")]
    server = start(store=command.store, options=options).wait_ready()
    assert server.get("/v2/models/digits").json["versions"] == ["2"]
    assert server.stop() == 0
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "old").rename(tmp_path / "store")
    server.start()
    assert server.process.wait(timeout=60) == 1
    assert server.process.stderr and "older" in server.process.stderr.read()


def test_a_store_that_goes_away(start: Start, tmp_path: Path, keys: Path) -> None:
    """A folder that is moved off: the same for the server as a mongod that is gone."""
    command = Command(str(tmp_path / "store"), keys)
    publish_digits(command)
    record = new_key(command, "--model", "*", "--scope", "infer")
    server = start(store=command.store, options=["--key-grace", "4"]).wait_ready()
    server.key = record["key"]
    assert server.infer("digits", ZEROS).status == 200
    (tmp_path / "store").rename(tmp_path / "away")
    wait_until(lambda: server.get("/v2/health/ready").json["state"] == "degraded")
    assert server.get("/v2/health/ready").status == 200
    assert server.infer("digits", ZEROS).status == 200
    wait_until(lambda: server.infer("digits", ZEROS).status == 503)
    wait_until(lambda: server.get("/v2/health/ready").status == 503)
    (tmp_path / "away").rename(tmp_path / "store")
    wait_until(lambda: server.infer("digits", ZEROS).status == 200)
    wait_until(lambda: server.get("/v2/health/ready").json["state"] == "ready")


def test_hangup_follows_the_alias_under_load(start: Start, tmp_path: Path, keys: Path) -> None:
    command = Command(str(tmp_path / "store"), keys)
    publish_digits(command)
    server = start(store=command.store).wait_ready()
    done = threading.Event()
    seen: list[tuple[int, str]] = []

    def ask() -> None:
        while not done.is_set():
            answer = server.infer("digits", ZEROS)
            seen.append((answer.status, answer.json.get("model_version", "")))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    publish_digits(command)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: seen[-1:] == [(200, "2")])
    done.set()
    for thread in threads:
        thread.join()
    assert set(seen) == {(200, "1"), (200, "2")}
    assert server.get("/v2/models/digits").json["versions"] == ["2"]
    assert server.get("/v2/models/digits/versions/1").status == 404


def test_terminate_finishes_what_runs(start: Start) -> None:
    server = start("slow@production").wait_ready()
    idle = server.connect()
    idle.request("GET", "/v2")
    idle.getresponse().read()
    answers: list[int] = []
    rounds = [tensor("rounds", "INT64", [1], [4 * SLOW])]
    thread = threading.Thread(target=lambda: answers.append(server.infer("slow", rounds).status))
    thread.start()
    time.sleep(0.2)
    assert server.stop() == 0
    thread.join()
    assert answers == [200]
    assert server.events("draining") and server.events("ended")


def make_certificate(cert: Path, key: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)


def test_tls(start: Start, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(cert, key)
    trust = ssl.create_default_context(cafile=str(cert))
    options = ["--no-auth", "--tls-cert", str(cert), "--tls-key", str(key)]
    options += ["--header-timeout", "1"]
    server = start(options=options, tls=trust).wait_ready()
    assert server.infer("digits", ZEROS).status == 200
    assert b"200 OK" not in server.raw(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    make_certificate(cert, key)
    server.process.send_signal(signal.SIGHUP)
    server.tls = ssl.create_default_context(cafile=str(cert))
    wait_until(lambda: bool(server.events("looking_again")))
    assert server.get("/v2").status == 200
    old = ssl.create_default_context(cafile=str(cert))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    server.tls = old
    assert server.get("/v2").status == 200
    assert server.stop() == 0
