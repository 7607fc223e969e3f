"""Compiled packages (.pt2) through the command: published, run, refused, never written plain."""

from __future__ import annotations

import codecs
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command import BUILD, ROOT, Command
from tests.python.interpreter import run

pytest.importorskip("torch", reason="tests/run.sh installs torch", exc_type=ImportError)


@pytest.fixture(scope="session")
def packages() -> Path:
    script = ROOT / "tests" / "engine" / "make_packages.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1]).absolute()


def array(encoded: dict[str, Any]) -> np.ndarray[Any, Any]:
    data = bytes.fromhex(encoded["bytes"])
    return np.frombuffer(data, dtype=encoded["tensor"]).reshape(encoded["shape"])


def request(path: Path, **inputs: np.ndarray[Any, Any]) -> Path:
    body = [
        {
            "name": name.replace("__", "."),
            "datatype": "FP32",
            "shape": list(value.shape),
            "data": value.flatten().tolist(),
        }
        for name, value in inputs.items()
    ]
    path.write_text(json.dumps({"inputs": body}))
    return path


def dense_call(packages: Path, tmp_path: Path) -> tuple[Path, np.ndarray[Any, Any]]:
    """A request and what the plain model answers as its output y."""
    call = json.loads((packages / "dense.json").read_text())[0]
    x, extra = call["arguments"]
    body = request(tmp_path / "request.json", x=array(x), extra__bias=array(extra["dict"][0][1]))
    return body, array(call["result"]["dict"][0][1])


def answer(text: str, name: str) -> np.ndarray[Any, Any]:
    output = next(o for o in json.loads(text)["outputs"] if o["name"] == name)
    return np.array(output["data"], dtype=np.float32).reshape(output["shape"])


def test_published_and_run_from_either_store(
    command: Command, packages: Path, tmp_path: Path
) -> None:
    command.ok("publish", packages / "dense.pt2", "dense")
    shown = json.loads(command.ok("show", "dense", "--json"))
    assert shown["format"] == "aotinductor"
    assert shown["inputs"][0]["name"] == "x"
    assert shown["inputs"][0]["shape"] == [-1, 8]
    body, wanted = dense_call(packages, tmp_path)
    for level in ("signed", "aead"):
        got = answer(command.ok("infer", "dense", "--input", body, "--verify", level), "y")
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    command.ok("verify", "dense")


def tuned_call(packages: Path, tmp_path: Path) -> tuple[Path, np.ndarray[Any, Any]]:
    """The same request, and what the plain fine-tuned model answers."""
    body, _ = dense_call(packages, tmp_path)
    call = json.loads((packages / "tuned.json").read_text())[0]
    return body, array(call["result"]["dict"][0][1])


@pytest.mark.parametrize("weights", ["tuned_weights.safetensors", "tuned_weights.pt"])
def test_weights_alone_from_either_store(
    command: Command, packages: Path, tmp_path: Path, weights: str
) -> None:
    body, own = dense_call(packages, tmp_path)
    _, tuned = tuned_call(packages, tmp_path)
    command.ok("publish", packages / "dense.pt2", "dense")
    command.ok("publish", packages / weights, "dense", "--weights-of", "dense/1")
    for version, wanted in (("dense/2", tuned), ("dense/1", own)):
        got = answer(command.ok("infer", version, "--input", body), "y")
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    said = command.ok("verify", "dense/2")
    assert "the program of dense/1" in said
    for version, file in (("dense/1", "dense.pt2"), ("dense/2", weights)):
        parts = tmp_path / version.replace("/", "-")
        command.ok("export", version, parts)
        assert ("of dense/1" in (parts / "README.txt").read_text()) == (version == "dense/2")
        for place in (str(parts), command.store):
            assert (
                stock_open(place, version, command.keys, tmp_path) == (packages / file).read_bytes()
            )


def stock_open(place: str, version: str, keys: Path, tmp_path: Path) -> bytes:
    """Opened without ptsecure."""
    out = tmp_path / "opened"
    script = ROOT / "examples" / "interop" / "python" / "open_model.py"
    line = [sys.executable, str(script), place, version, str(keys), str(out)]
    subprocess.run(line, check=True, capture_output=True, text=True)
    return out.read_bytes()


def test_weights_that_do_not_fit_are_not_published(
    command: Command, packages: Path, tmp_path: Path
) -> None:
    command.ok("publish", packages / "counter.pt2", "counter")
    tuned = packages / "tuned_weights.safetensors"
    said = command.fails(1, "publish", tuned, "counter", "--weights-of", "counter")
    assert "weight" in said
    said = command.fails(3, "publish", tuned, "counter", "--weights-of", "nothing/1")
    assert "nothing" in said
    assert len(json.loads(command.ok("show", "counter", "--json"))["payloads"]) == 1


def test_a_sample_tells_what_comes_out(folder: Command, packages: Path, tmp_path: Path) -> None:
    body, _ = dense_call(packages, tmp_path)
    folder.ok("publish", packages / "dense.pt2", "dense", "--sample", body)
    shown = json.loads(folder.ok("show", "dense", "--json"))
    assert [(o["name"], o["shape"]) for o in shown["outputs"]] == [
        ("y", [-1, 4]),
        ("hidden.0", [-1, 16]),
        ("hidden.1", [-1, 8]),
    ]
    assert shown["inputs"][0]["shape"] == [-1, 8]


def test_an_exported_program_is_refused_with_how_to_compile_it(
    folder: Command, packages: Path
) -> None:
    said = folder.fails(1, "publish", packages / "bad_exported.pt2", "exported")
    assert "torch._inductor.aoti_compile_and_package" in said


@pytest.mark.parametrize("name", ["instructions", "no_library", "symbol", "slip"])
def test_a_bad_package_is_not_published(folder: Command, packages: Path, name: str) -> None:
    folder.fails(1, "publish", packages / f"bad_{name}.pt2", "bad")
    assert folder.run("show", "bad").returncode != 0


def minimal_torch(folder: Path) -> Path:
    """libtorch as an installation without CUDA's libraries has it."""
    full = Path(os.environ["PTSECURE_TORCH_DIR"])
    lib = folder / "site" / "torch" / "lib"
    lib.mkdir(parents=True)
    for path in (full / "lib").iterdir():
        if "cuda" not in path.name and "nvshmem" not in path.name:
            (lib / path.name).symlink_to(path)
    (folder / "site" / "nvidia").symlink_to(full.parent / "nvidia")
    return lib.parent


def test_runs_where_cuda_is_not_installed(folder: Command, packages: Path, tmp_path: Path) -> None:
    body, wanted = dense_call(packages, tmp_path)
    torch_dir = str(minimal_torch(tmp_path))
    folder.ok("publish", packages / "dense.pt2", "dense", PTSECURE_TORCH_DIR=torch_dir)
    out = folder.ok("infer", "dense", "--input", body, PTSECURE_TORCH_DIR=torch_dir)
    np.testing.assert_allclose(answer(out, "y"), wanted, rtol=1e-5, atol=1e-5)


def labelled_for_a_gpu(package: Path, target: Path) -> Path:
    with zipfile.ZipFile(package) as old, zipfile.ZipFile(target, "w") as new:
        for record in old.infolist():
            data = old.read(record)
            if record.filename.endswith("metadata.json"):
                data = json.dumps(json.loads(data) | {"AOTI_DEVICE_KEY": "cuda"}).encode()
            new.writestr(record, data)
    return target


def test_package_for_a_gpu(folder: Command, packages: Path, tmp_path: Path) -> None:
    """The GPU is a stand-in whose memory is the host's, so that code compiled for the CPU, if it
    calls none of libtorch's operators, runs on what lies there. A real GPU and code compiled for
    one need the hardware."""
    torch_dir = str(minimal_torch(tmp_path))
    stand_in = BUILD / "tests" / "capi_gpu_stand_in.so"
    (Path(torch_dir) / "lib" / "libtorch_cuda.so").symlink_to(stand_in)
    folder.ok("publish", packages / "counter.pt2", "here")
    folder.ok("publish", labelled_for_a_gpu(packages / "counter.pt2", tmp_path / "g.pt2"), "there")
    steps = np.array([1, 2, 3, 4], dtype=np.float32)
    body = request(tmp_path / "request.json", input_0=steps, step=steps)
    wanted = folder.ok("infer", "here", "--input", body)
    out = folder.ok(
        "infer", "there", "--input", body, "--device", "cuda:1", PTSECURE_TORCH_DIR=torch_dir
    )
    assert json.loads(out)["outputs"] == json.loads(wanted)["outputs"]
    for name, device, text in [
        ("there", "cpu", "open it with the device cuda"),
        ("here", "cuda:1", "open it with the device cpu"),
        ("there", "cuda:2", "only 2 GPUs"),
    ]:
        said = folder.fails(
            1, "infer", name, "--input", body, "--device", device, PTSECURE_TORCH_DIR=torch_dir
        )
        assert text in said


@pytest.mark.parametrize("install", ["full", "minimal"])
def test_which_libtorch_is_opened(
    folder: Command, packages: Path, tmp_path: Path, install: str
) -> None:
    full = os.environ["PTSECURE_TORCH_DIR"]
    torch_dir = full if install == "full" else str(minimal_torch(tmp_path))
    trace = Trace(tmp_path / "trace", folder, PTSECURE_TORCH_DIR=torch_dir)
    trace.run("publish", packages / "dense.pt2", "dense")
    opened = {Path(path).name for path in trace.opened()}
    assert ("libptsecure_libtorch.so" in opened) == (install == "minimal")
    assert "libtorch_cpu.so" in opened


def test_python_gets_the_real_libtorch_or_an_error(packages: Path, tmp_path: Path) -> None:
    """Its own torch would later find the stand-in under the real one's name."""
    program = """
import sys, ptsecure
with ptsecure.open_store(sys.argv[1]) as store:
    try:
        store.publish("dense", sys.argv[2], ptsecure.Keyring.generate(), torch_dir=sys.argv[3])
    except ptsecure.EngineError as error:
        print(error)
print("libptsecure_libtorch" in open("/proc/self/maps").read(), "torch" in sys.modules)
"""
    places = [tmp_path / "store", packages / "dense.pt2", minimal_torch(tmp_path)]
    lines = run(program, *map(str, places))
    assert "libtorch.so, which could not be opened" in lines[0] and "pip install torch" in lines[0]
    assert lines[1] == "False False"


OPENING = ("open", "openat", "openat2")


class Trace:
    """Runs the command under strace and reads what it wrote, and where."""

    CALLS = (
        "openat,openat2,open,creat,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,"
        "sendfile,copy_file_range,splice,mmap,rename,renameat,renameat2,link,linkat,symlink,"
        "symlinkat,mkdir,mkdirat,mknod,mknodat,truncate,ftruncate,io_uring_setup"
    )

    def __init__(self, log: Path, command: Command, **environment: str) -> None:
        self.log = log
        self.command = command
        self.environment = environment
        self.lines: list[str] = []

    def run(self, *arguments: Any) -> str:
        assert shutil.which("strace"), "examples/setup.sh --full installs strace"
        env = {k: v for k, v in os.environ.items() if not k.startswith("PTSECURE_")}
        env["PTSECURE_TORCH_DIR"] = os.environ["PTSECURE_TORCH_DIR"]
        env |= {"PTSECURE_STORE": self.command.store, "PTSECURE_KEYS": str(self.command.keys)}
        env |= self.environment
        line = ["strace", "-f", "-y", "-s", "100000000", "-e", f"trace={self.CALLS}"]
        line += ["-o", str(self.log), str(BUILD / "bin" / "ptsecure"), *map(str, arguments)]
        done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        self.lines = self.log.read_text(errors="surrogateescape").splitlines()
        assert any("exited with 0" in line for line in self.lines)
        return done.stdout

    def calls(self) -> list[tuple[str, str, bool]]:
        """Name, arguments, and whether it worked; halves of interrupted lines are put together."""
        pending: dict[str, str] = {}
        calls = []
        for line in self.lines:
            pid, rest = line.split(None, 1)
            if rest.endswith("<unfinished ...>"):
                pending[pid] = rest.removesuffix("<unfinished ...>")
                continue
            if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", rest, re.DOTALL):
                rest = pending.pop(pid) + resumed[1]
            if call := re.match(r"(\w+)\((.*)\)\s+= (-?\d+|0x)", rest, re.DOTALL):
                calls.append((call[1], call[2], not call[3].startswith("-")))
        return calls

    def opened(self) -> list[str]:
        found = []
        for name, arguments, worked in self.calls():
            if name in OPENING and worked and (path := re.search(r'"([^"]*)"', arguments)):
                found.append(path[1])
        return found

    def written(self) -> list[tuple[str, bytes]]:
        """Where and what of every write."""
        found = []
        for name, arguments, _ in self.calls():
            if not re.match(r"p?write|send", name):
                continue
            target = re.match(r"\d+<(.*?)>(?:\(deleted\))?[,)]", arguments)
            for text in re.findall(r'"((?:[^"\\]|\\.)*)"', arguments, re.DOTALL):
                data = codecs.escape_decode(text.encode("latin-1"))[0]
                found.append((target[1] if target else "?", data))
        return found


MAKING = ("rename", "link", "symlink", "mkdir", "mknod", "truncate", "creat")


def check_trace(trace: Trace, store: str, patterns: list[bytes]) -> None:
    # The client's state holds names, numbers and digests; what is written there is searched too.
    state = os.environ["XDG_STATE_HOME"]
    allowed = (store, state, "/proc/", "/dev/null", "/memfd:", "pipe:", "/dev/pts")
    for name, arguments, worked in trace.calls():
        assert name not in ("io_uring_setup", "sendfile", "copy_file_range", "splice"), arguments
        paths = re.findall(r'"([^"]*)"', arguments)
        writes = name in OPENING and re.search(r"O_WRONLY|O_RDWR|O_CREAT", arguments)
        if worked and (writes or name.startswith(MAKING)) and name != "ftruncate":
            inside = store in arguments or all(p.startswith(allowed) for p in paths)
            assert inside, f"{name}({arguments[:200]})"
        if name == "mmap" and "MAP_SHARED" in arguments and "PROT_WRITE" in arguments:
            assert "memfd:" in arguments or "MAP_ANONYMOUS" in arguments, arguments
    written = trace.written()
    assert written
    for target, data in written:
        assert target.startswith(allowed), target
        if "memfd:" in target:
            continue
        for pattern in patterns:
            assert pattern not in data, f"{pattern!r} was written to {target}"


def weights_pattern(weights: np.ndarray[Any, Any]) -> bytes:
    return weights.astype(np.float32).tobytes()[:24]


def test_nothing_plain_is_written_for_a_package(
    folder: Command, packages: Path, tmp_path: Path
) -> None:
    import torch

    weights = torch.load(packages / "dense_weights.pt")
    plain = (packages / "dense.pt2").read_bytes()
    patterns = [
        weights_pattern(weights["first.weight"].numpy()),
        weights_pattern(weights["second.weight"].numpy()),
        b"check_input_0",
        b"AOTInductorModelContainerRun",
        b"AOTI_DEVICE_KEY",
        b"\x7fELF",
    ]
    for pattern in patterns:
        assert pattern in plain
    body, wanted = dense_call(packages, tmp_path)
    trace = Trace(tmp_path / "trace", folder)
    trace.run("publish", packages / "dense.pt2", "dense")
    check_trace(trace, folder.store, patterns)
    assert any("model" in target for target, _ in trace.written())
    out = trace.run("infer", "dense", "--input", body)
    check_trace(trace, folder.store, patterns)
    np.testing.assert_allclose(answer(out, "y"), wanted, rtol=1e-5, atol=1e-5)

    # Weights alone, under the same program.
    file = packages / "tuned_weights.safetensors"
    tuned = torch.load(packages / "tuned_weights.pt")
    patterns.append(weights_pattern(tuned["first.weight"].numpy()))
    assert patterns[-1] in file.read_bytes()
    trace.run("publish", file, "dense", "--weights-of", "dense/1")
    check_trace(trace, folder.store, patterns)
    again = trace.run("infer", "dense/2", "--input", body)
    check_trace(trace, folder.store, patterns)
    assert not np.allclose(answer(again, "y"), answer(out, "y"))


def test_nothing_plain_is_written_for_torchscript(folder: Command, tmp_path: Path) -> None:
    import torch

    model = torch.jit.trace(torch.nn.Linear(8, 300), torch.zeros(1, 8))
    file, image = tmp_path / "model.pt", tmp_path / "x.npy"
    model.save(str(file))
    np.save(image, np.ones((1, 8), dtype=np.float32))
    patterns = [weights_pattern(model.weight.detach().numpy()), b"code/__torch__"]
    plain = file.read_bytes()
    for pattern in patterns:
        assert pattern in plain
    trace = Trace(tmp_path / "trace", folder)
    trace.run("publish", file, "linear", "--sample", image)
    check_trace(trace, folder.store, patterns)
    trace.run("infer", "linear", "--input", image)
    check_trace(trace, folder.store, patterns)


def test_the_trace_would_see_it(folder: Command, tmp_path: Path) -> None:
    """The store's own marker is written as it reads; looked for, it is found."""
    file = tmp_path / "opaque.bin"
    file.write_bytes(bytes(1000))
    trace = Trace(tmp_path / "trace", folder)
    trace.run("publish", file, "opaque", "--format", "opaque")
    check_trace(trace, folder.store, [b"a pattern that nothing writes"])
    with pytest.raises(AssertionError, match="was written to"):
        check_trace(trace, folder.store, [b"ptsecure/1"])


def tuned(command: Command, packages: Path) -> None:
    """dense/1, and tuned/1 of weights alone for its program."""
    command.ok("publish", packages / "dense.pt2", "dense")
    weights = packages / "tuned_weights.safetensors"
    command.ok("publish", weights, "tuned", "--weights-of", "dense")


def payloads(command: Command, reference: str) -> list[tuple[str, str, int]]:
    shown = json.loads(command.ok("show", reference, "--json"))
    return [(p["role"], p["sealed_name"], p["sealed_version"]) for p in shown["payloads"]]


def test_a_copy_of_weights_takes_its_program_along(
    command: Command, packages: Path, tmp_path: Path, keys: Path
) -> None:
    tuned(command, packages)
    body, plain_answer = dense_call(packages, tmp_path)
    wanted = answer(command.ok("infer", "tuned", "--input", body), "y")
    assert np.abs(wanted - plain_answer).max() > 1e-3
    there = Command(str(tmp_path / "there"), keys)
    command.ok("copy", "tuned", "--to", there.store, "--alias", "production", "--label", "a=b")
    assert payloads(there, "tuned") == [("model", "tuned", 1), ("weights", "tuned", 1)]
    there.ok("verify", "tuned@production")
    there.ok("log", "verify")
    assert there.run("show", "dense").returncode == 3
    got = answer(there.ok("infer", "tuned@production", "--input", body), "y")
    np.testing.assert_array_equal(got, wanted)
    # And once more from there; a program that came along can be shared in its turn.
    again = Command(str(tmp_path / "again"), keys)
    there.ok("copy", "tuned", "--to", again.store)
    again.ok("publish", packages / "tuned_weights.pt", "more", "--weights-of", "tuned")
    assert payloads(again, "more") == [("model", "tuned", 1), ("weights", "more", 1)]
    for name in ("tuned", "more"):
        np.testing.assert_array_equal(answer(again.ok("infer", name, "--input", body), "y"), wanted)


@pytest.mark.parametrize("role", ["model", "weights"])
def test_both_parts_of_a_copy_are_signed(
    folder: Command, packages: Path, tmp_path: Path, keys: Path, role: str
) -> None:
    tuned(folder, packages)
    there = Command(str(tmp_path / "there"), keys)
    folder.ok("copy", "tuned", "--to", there.store)
    parts = tmp_path / "there" / "models" / "tuned" / "1"
    path = parts / role
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    there.fails(4, "verify", "tuned")
    assert there.run("infer", "tuned", "--input", "x").returncode != 0
    # The parts were sealed under the same associated data, and under keys of their own.
    model, weights = (parts / "model").read_bytes(), (parts / "weights").read_bytes()
    for name, other in (("model", weights), ("weights", model)):
        (parts / name).chmod(0o600)
        (parts / name).write_bytes(other)
    there.fails(4, "verify", "tuned")


def test_a_copy_of_weights_shares_the_program_that_is_there(
    folder: Command, packages: Path, tmp_path: Path, keys: Path
) -> None:
    tuned(folder, packages)
    body, _ = dense_call(packages, tmp_path)
    wanted = answer(folder.ok("infer", "tuned", "--input", body), "y")
    there = Command(str(tmp_path / "there"), keys)
    folder.ok("copy", "dense", "--to", there.store)
    folder.ok("copy", "tuned", "--to", there.store, "--weights-of", "dense")
    assert payloads(there, "tuned") == [("model", "dense", 1), ("weights", "tuned", 1)]
    there.ok("verify", "tuned")
    np.testing.assert_array_equal(answer(there.ok("infer", "tuned", "--input", body), "y"), wanted)
    # Only the same program, and only for weights.
    there.ok("publish", packages / "pickled.pt2", "other")
    said = folder.fails(2, "copy", "tuned", "--to", there.store, "--weights-of", "other")
    assert "another program" in said
    folder.fails(3, "copy", "tuned", "--to", there.store, "--weights-of", "absent")
    said = folder.fails(2, "copy", "dense", "--to", there.store, "--weights-of", "dense")
    assert "whole model" in said
    assert [v["version"] for v in json.loads(there.ok("list", "tuned", "--json"))["versions"]] == [
        1
    ]
