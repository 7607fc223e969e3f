"""A real `ptsecure-server` process, and the plain HTTP that the tests speak with it."""

import http.client
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.command import BUILD

BINARY = BUILD / "bin" / "ptsecure-server"
START_SECONDS = 60.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]  # lower-case names
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


def environment(**more: str) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PTSECURE_")}
    if torch := os.environ.get("PTSECURE_TORCH_DIR"):
        env["PTSECURE_TORCH_DIR"] = torch
    return env | more


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


@dataclass
class Server:
    store: str
    keys: Path
    models: list[str]
    options: list[str] = field(default_factory=lambda: ["--no-auth"])
    environment: dict[str, str] = field(default_factory=dict)
    key: str = ""
    listen: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.log: list[dict[str, Any]] = []
        self.start()

    def start(self) -> None:
        models = [argument for model in self.models for argument in ("--model", model)]
        command = [str(BINARY), "--store", self.store, "--keys", str(self.keys), *models]
        command += ["--listen", f"{self.listen}:{self.port}", *self.options]
        self.process = subprocess.Popen(
            command,
            env=environment(**self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        listening: queue.Queue[int] = queue.Queue()
        threading.Thread(target=self.read_log, args=(listening,), daemon=True).start()
        try:
            self.port = listening.get(timeout=START_SECONDS)
        except queue.Empty:
            self.kill()
            raise
        assert self.port, self.process.communicate()[1]

    def read_log(self, listening: "queue.Queue[int]") -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            entry = json.loads(line)
            self.log.append(entry)
            if entry["event"] == "listening":
                listening.put(entry["port"])
        listening.put(0)

    def wait_ready(self) -> "Server":
        wait_until(lambda: self.get("/v2/health/ready").status == 200, START_SECONDS)
        return self

    def events(self, name: str) -> list[dict[str, Any]]:
        return [entry for entry in list(self.log) if entry["event"] == name]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """The exit status after SIGTERM."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=60)
        finally:
            self.kill()

    def connect(self, timeout: float = 60.0) -> http.client.HTTPConnection:
        if self.tls:
            return http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=timeout, context=self.tls
            )
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: dict[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        own = connection or self.connect()
        keyed = {"X-API-Key": self.key} if self.key else {}
        try:
            own.request(method, path, body, {**keyed, **(headers or {})})
            response = own.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            if connection is None:
                own.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def infer(self, model: str, inputs: list[dict[str, Any]], **more: Any) -> Answer:
        return self.request(
            "POST", f"/v2/models/{model}/infer", json.dumps({"inputs": inputs, **more})
        )

    def raw(self, data: bytes, seconds: float = 20.0) -> bytes:
        """What comes back until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(data)
            return read_all(connection)

    def memory(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")


def read_all(connection: socket.socket) -> bytes:
    out = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            return out
        if not part:
            return out
        out += part
