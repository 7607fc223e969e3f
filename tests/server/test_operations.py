"""Keys, signals, TLS, and a store that goes away."""

import json
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path

from tests.cli.command import Command
from tests.server.conftest import Start, new_key, publish_digits
from tests.server.server import wait_until
from tests.server.test_attacks import SLOW, ZEROS, tensor


def test_api_keys(start: Start, mongo_store: Command) -> None:
    admin = new_key(mongo_store, "--model", "*", "--scope", "admin")
    infer = new_key(mongo_store, "--model", "digits", "--scope", "infer")
    other = new_key(mongo_store, "--model", "other", "--scope", "infer")
    slow = new_key(mongo_store, "--model", "*", "--scope", "infer", "--rate", "0.01")
    server = start(store=mongo_store.store, options=[]).wait_ready()
    assert server.get("/v2/health/live").status == 200
    refused = server.infer("digits", ZEROS)
    assert refused.status == 401 and refused.headers["www-authenticate"].startswith("Bearer")
    server.key = infer["key"]
    assert server.infer("digits", ZEROS).status == 200
    assert server.get("/v2/models").json == {"models": ["digits"]}
    for path in ("/metrics", "/v2/models/other"):
        assert server.get(path).status == 403
    for path in ("index", "models/digits/load", "models/digits/unload"):
        assert server.request("POST", f"/v2/repository/{path}").status == 403
    server.key = ""
    bearer = {"Authorization": f"bearer {infer['key']}"}
    assert server.request("GET", "/v2", headers=bearer).status == 200
    both = bearer | {"X-API-Key": infer["key"]}
    assert server.request("GET", "/v2", headers=both).status == 400
    assert server.get("/v2", Authorization="Basic YTpi").status == 400
    for wrong in (infer["key"][:-1], infer["key"] + "x", "pts_", "x" * 5000):
        server.key = wrong
        assert server.infer("digits", ZEROS).status == 401
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
    mongo_store.ok("apikey", "disable", infer["id"])
    began = time.monotonic()
    wait_until(lambda: server.infer("digits", ZEROS).status == 401)
    assert time.monotonic() - began < 2
    texts = json.dumps(server.log)
    assert not any(record["key"] in texts for record in (admin, infer, other, slow))


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


def test_tls(start: Start, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    trust = ssl.create_default_context(cafile=str(cert))
    options = ["--no-auth", "--tls-cert", str(cert), "--tls-key", str(key)]
    options += ["--header-timeout", "1"]
    server = start(options=options, tls=trust).wait_ready()
    assert server.infer("digits", ZEROS).status == 200
    assert b"200 OK" not in server.raw(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    old = ssl.create_default_context(cafile=str(cert))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    server.tls = old
    assert server.get("/v2").status == 200
    assert server.stop() == 0
