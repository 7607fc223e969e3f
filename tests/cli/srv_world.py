"""A world with a name server and a mongod of its own, for mongodb+srv://.

    unshare --map-root-user --mount --net python -m tests.cli.srv_world FOLDER

Runs the command there and prints, as JSON, what it said.
"""

import fcntl
import json
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from tests.cli.command import DIGITS, ROOT, Command

SERVICE = "_mongodb._tcp.db.models.test."
NODE = "node.models.test."
UNKNOWN = "mongodb+srv://nowhere.models.test/models?tls=false"


def loopback_up() -> None:
    set_flags, up, running = 0x8914, 0x1, 0x40  # SIOCSIFFLAGS, IFF_UP, IFF_RUNNING
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", up | running))


def ask_here(folder: Path) -> None:
    """Names are looked up at 127.0.0.1 from now on, in this mount namespace alone."""
    settings = folder / "resolv.conf"
    settings.write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    target = Path("/etc/resolv.conf").resolve()
    subprocess.run(["mount", "--bind", str(settings), str(target)], check=True)


def answer_names(port: int) -> None:
    """A name server that knows one service of one node."""
    records = {
        (SERVICE, "SRV"): f"0 0 {port} {NODE}",
        ("db.models.test.", "TXT"): '"replicaSet=rs0"',
        (NODE, "A"): "127.0.0.1",
    }
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))

    def serve() -> None:
        while True:
            wire, client = server.recvfrom(4096)
            query = dns.message.from_wire(wire)
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.RA
            question = query.question[0]
            name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
            if found := records.get((name, kind)):
                reply.answer.append(dns.rrset.from_text(name, 60, "IN", kind, found))
            server.sendto(reply.to_wire(), client)

    threading.Thread(target=serve, daemon=True).start()


def main() -> None:
    folder = Path(sys.argv[1])
    loopback_up()
    ask_here(folder)
    mongod = [sys.executable, str(ROOT / "tests" / "mongod.py")]
    started = subprocess.run(
        [*mongod, "start", str(folder / "mongod")], check=True, capture_output=True, text=True
    )
    try:
        answer_names(int(started.stdout.split("/?")[0].rsplit(":", 1)[1]))
        command = Command("mongodb+srv://db.models.test/models?tls=false", folder / "keys.jwks")
        command.ok("keygen", command.keys)
        command.ok("publish", DIGITS / "digits.pt", "digits")
        answer = json.loads(command.ok("infer", "digits", "--input", DIGITS / "sample.npy"))
        store = json.loads(command.ok("show", "digits", "--json"))
        print(
            json.dumps(
                {
                    "shape": answer["outputs"][0]["shape"],
                    "version": store["version"],
                    "unknown": command.fails(6, "list", PTSECURE_STORE=UNKNOWN),
                }
            )
        )
    finally:
        subprocess.run([*mongod, "stop", str(folder / "mongod")], check=True)


if __name__ == "__main__":
    main()
