"""Starts and stops private MongoDB servers on loopback, with nothing but Python and mongod.

    mongod.py start DIR [--standalone] [--nodes N] [--mongod PATH]    prints the connection URI
    mongod.py stop DIR

Each server keeps its data in DIR/nodeI and its process id in DIR/nodeI.pid. `start` waits until
writes are taken and empties what an earlier run left in DIR. Collections and journal are stored
uncompressed, so that a search of the files finds what is in them.
"""

import argparse
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SET_NAME = "rs0"
START_SECONDS = 60

Server = subprocess.Popen[bytes]


def bson(document: dict[str, Any]) -> bytes:
    """BSON of the few types that the commands here are made of."""
    out = b""
    for key, value in document.items():
        name = key.encode() + b"\0"
        if isinstance(value, str):
            text = value.encode() + b"\0"
            out += b"\x02" + name + struct.pack("<i", len(text)) + text
        elif isinstance(value, dict):
            out += b"\x03" + name + bson(value)
        elif isinstance(value, list):
            out += b"\x04" + name + bson({str(i): item for i, item in enumerate(value)})
        else:
            out += b"\x10" + name + struct.pack("<i", value)
    return struct.pack("<i", len(out) + 5) + out + b"\0"


def command(port: int, document: dict[str, Any]) -> bytes:
    """The raw BSON of the reply to one admin command."""
    body = struct.pack("<I", 0) + b"\0" + bson({**document, "$db": "admin"})
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
        reply = b""
        while len(reply) < 4 or len(reply) < struct.unpack_from("<i", reply)[0]:
            part = connection.recv(65536)
            if not part:
                raise OSError("the server closed the connection")
            reply += part
        return reply[21:]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def find_mongod(given: str | None) -> str:
    venv = pathlib.Path(__file__).resolve().parent.parent / "build" / "venv"
    wheel = sorted(venv.glob("lib/python3*/site-packages/fiftyone/db/bin/mongod"))
    for candidate in (given, os.environ.get("PTSECURE_MONGOD"), shutil.which("mongod"), *wheel):
        if candidate:
            return str(candidate)
    sys.exit("mongod.py: no mongod on the PATH; `examples/setup.sh --mongodb` installs one")


def log_tail(folder: pathlib.Path) -> str:
    try:
        return "".join((folder / "mongod.log").read_text(errors="replace").splitlines(True)[-8:])
    except OSError:
        return "(no log)"


def launch(mongod: str, folder: pathlib.Path, port: int, standalone: bool) -> Server:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    arguments = [
        mongod,
        "--dbpath",
        folder / "data",
        "--logpath",
        folder / "mongod.log",
        "--port",
        port,
        "--bind_ip",
        "127.0.0.1",
        "--nounixsocket",
        "--wiredTigerCacheSizeGB",
        "0.5",
        "--wiredTigerCollectionBlockCompressor",
        "none",
        "--wiredTigerJournalCompressor",
        "none",
        "--setParameter",
        "diagnosticDataCollectionEnabled=false",
        "--setParameter",
        "shutdownTimeoutMillisForSignaledShutdown=0",
    ]
    if not standalone:
        arguments += ["--replSet", SET_NAME, "--oplogSize", "256"]
    process = subprocess.Popen(
        [str(a) for a in arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    folder.with_suffix(".pid").write_text(f"{process.pid}\n")
    return process


def wait_until(
    processes: list[Server], folders: list[pathlib.Path], ready: Callable[[], bool]
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for process, folder in zip(processes, folders, strict=True):
            if process.poll() is not None:
                raise RuntimeError(f"mongod ended with {process.returncode}:\n{log_tail(folder)}")
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"mongod was not ready in {START_SECONDS} s:\n{log_tail(folders[0])}")


def is_primary(port: int) -> bool:
    return b"\x08isWritablePrimary\0\x01" in command(port, {"hello": 1})


def start_once(root: pathlib.Path, mongod: str, nodes: int, standalone: bool) -> str:
    ports = free_ports(nodes)
    folders = [root / f"node{i}" for i in range(nodes)]
    processes = [launch(mongod, f, p, standalone) for f, p in zip(folders, ports, strict=True)]
    wait_until(processes, folders, lambda: all(command(p, {"ping": 1}) for p in ports))
    hosts = [f"127.0.0.1:{port}" for port in ports]
    if standalone:
        return f"mongodb://{hosts[0]}/"
    command(
        ports[0],
        {
            "replSetInitiate": {
                "_id": SET_NAME,
                "members": [{"_id": i, "host": host} for i, host in enumerate(hosts)],
                "settings": {"electionTimeoutMillis": 2000},
            }
        },
    )
    wait_until(processes, folders, lambda: any(is_primary(port) for port in ports))
    return f"mongodb://{','.join(hosts)}/?replicaSet={SET_NAME}"


def ours(pid: int, folder: pathlib.Path) -> bool:
    """True when `pid` is still the mongod of this folder and not somebody else's process."""
    try:
        arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(folder / "data").encode() in arguments


def recorded_pid(pid_file: pathlib.Path) -> int:
    try:
        pid = int(pid_file.read_text())
    except ValueError:
        return 0
    return pid if ours(pid, pid_file.with_suffix("")) else 0


def stop(root: pathlib.Path) -> None:
    pid_files = sorted(root.glob("node*.pid"))
    for number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        for pid in filter(None, map(recorded_pid, pid_files)):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while any(map(recorded_pid, pid_files)) and time.monotonic() < deadline:
            time.sleep(0.05)
    for pid_file in pid_files:
        pid_file.unlink()


def start(root: pathlib.Path, options: argparse.Namespace) -> str:
    if options.standalone and options.nodes != 1:
        sys.exit("mongod.py: --standalone is one server")
    mongod = find_mongod(options.mongod)
    root.mkdir(parents=True, exist_ok=True)
    for _ in range(3):  # another process may take a port between finding and using it
        stop(root)
        try:
            return start_once(root, mongod, options.nodes, options.standalone)
        except (RuntimeError, OSError) as error:
            failure = error
    stop(root)
    sys.exit(f"mongod.py: {failure}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--standalone", action="store_true", help="no replica set")
    parser.add_argument("--nodes", type=int, default=1, help="servers in the replica set")
    parser.add_argument("--mongod", help="the mongod to run")
    options = parser.parse_args()
    root = options.folder.resolve()
    if options.action == "stop":
        stop(root)
    else:
        print(start(root, options))


if __name__ == "__main__":
    main()
