"""The `ptsecure` command as a person uses it, on a folder and on a real MongoDB."""

import json
import os
import random
import signal
import stat
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import BUILD, DIGITS, Command, database

MODEL = DIGITS / "digits.pt"
SAMPLE = DIGITS / "sample.npy"


def publish(command: Command, *more: object) -> None:
    command.ok("publish", MODEL, "digits", "--sample", SAMPLE, "--alias", "production", *more)


def test_the_whole_path(command: Command) -> None:
    publish(command, "--label", "run=42")
    listed = json.loads(command.ok("list", "--json"))
    assert listed["verified"] is False
    assert [(m["name"], m["version"], m["aliases"]) for m in listed["models"]] == [
        ("digits", 1, ["production"])
    ]
    shown = json.loads(command.ok("show", "digits@production", "--json"))
    assert shown["version"] == 1 and shown["labels"] == {"run": "42"}
    assert shown["inputs"][0]["datatype"] == "FP32" and shown["inputs"][0]["shape"][0] == -1
    command.ok("verify", "digits")

    answer = json.loads(command.ok("infer", "digits", "--input", DIGITS / "heldout_images.npy"))
    labels = np.load(DIGITS / "heldout_labels.npy")
    scores = np.array(answer["outputs"][0]["data"]).reshape(answer["outputs"][0]["shape"])
    assert (scores.argmax(axis=1) == labels).mean() > 0.95

    example = command.ok("show", "digits", "--example")
    request = Path(command.keys).parent / "request.json"
    request.write_text(example)
    again = json.loads(command.ok("infer", "digits/1", "--input", request, "--verify", "aead"))
    assert again["outputs"][0]["shape"] == [1, 10]


def test_answers_equal_pythons(folder: Command) -> None:
    torch = pytest.importorskip("torch", reason="tests/run.sh installs torch", exc_type=ImportError)
    publish(folder)
    images = np.load(DIGITS / "heldout_images.npy")
    expected = torch.jit.load(str(MODEL))(torch.from_numpy(images)).detach().numpy()
    answer = json.loads(folder.ok("infer", "digits", "--input", DIGITS / "heldout_images.npy"))
    got = np.array(answer["outputs"][0]["data"], dtype=np.float32).reshape(expected.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_versions_count_up_and_aliases_stay(command: Command) -> None:
    publish(command)
    assert command.ok("publish", MODEL, "digits").strip() == "digits/2"
    rows = json.loads(command.ok("list", "digits", "--json"))["versions"]
    assert [row["version"] for row in rows] == [2, 1]
    assert json.loads(command.ok("show", "digits@production", "--json"))["version"] == 1
    command.ok("alias", "set", "digits", "production", 2, "--reason", "better")
    aliases = json.loads(command.ok("alias", "list", "digits", "--json"))
    assert [(a["version"], a["sequence"], a["reason"]) for a in aliases] == [(2, 2, "better")]


def test_wrong_inputs_are_refused_with_what_was_expected(folder: Command, tmp_path: Path) -> None:
    publish(folder)
    wrong = tmp_path / "wrong.npy"
    np.save(wrong, np.zeros((1, 3), dtype=np.float32))
    assert "FP32[" in folder.fails(1, "infer", "digits", "--input", wrong)
    np.save(wrong, np.load(SAMPLE).astype(np.float64))
    assert "FP32" in folder.fails(1, "infer", "digits", "--input", wrong)
    np.save(wrong, np.load(SAMPLE).astype(">f4"))
    assert "big-endian" in folder.fails(1, "infer", "digits", "--input", wrong).lower()
    folder.fails(1, "infer", "digits", "--input", SAMPLE, "--input", SAMPLE)
    folder.fails(3, "infer", "digits", "--input", SAMPLE, "--method", "nothing")


def test_exit_codes(folder: Command, tmp_path: Path) -> None:
    folder.fails(3, "show", "digits")
    publish(folder)
    folder.fails(3, "show", "letters")
    folder.fails(2, "show", "../digits")
    folder.fails(2, "show")
    folder.fails(2, "nonsense")
    folder.fails(2, "list", PTSECURE_STORE="")
    folder.fails(2, "show", "digits", PTSECURE_KEYS="")
    stranger = tmp_path / "stranger.jwks"
    folder.ok("keygen", stranger)
    folder.fails(4, "show", "digits", "--keys", stranger)
    verifier = tmp_path / "verifier.jwks"
    folder.ok("keys", "split", folder.keys, "--role", "verifier", "-o", verifier)
    folder.ok("verify", "digits", "--keys", verifier)
    folder.fails(5, "infer", "digits", "--input", SAMPLE, "--keys", verifier)
    folder.fails(5, "publish", MODEL, "digits", "--keys", verifier)


def test_keyring_files(folder: Command, tmp_path: Path) -> None:
    assert stat.S_IMODE(folder.keys.stat().st_mode) == 0o600
    before = folder.keys.read_bytes()
    folder.fails(1, "keygen", folder.keys)
    assert folder.keys.read_bytes() == before
    loose = tmp_path / "loose.jwks"
    loose.write_bytes(before)
    loose.chmod(0o644)
    assert "chmod 600" in folder.fails(5, "keys", "show", loose)
    loose.chmod(0o440)
    folder.fails(5, "keys", "show", loose)
    folder.ok("keys", "show", loose, "--allow-group-read")
    public = tmp_path / "public.jwks"
    folder.ok("keys", "public", folder.keys, "-o", public)
    assert '"d"' not in public.read_text()
    public.chmod(0o644)
    folder.ok("keys", "show", public)
    for role in ["publisher", "opener", "operator", "verifier"]:
        folder.ok("keys", "split", folder.keys, "--role", role, "-o", tmp_path / f"{role}.jwks")
    folder.fails(2, "keys", "split", folder.keys, "--role", "king")


def test_a_keyring_that_trusts_others(folder: Command, tmp_path: Path) -> None:
    theirs, public, both = (tmp_path / name for name in ("theirs", "public", "both"))
    folder.ok("keygen", theirs)
    folder.ok("keys", "public", theirs, "-o", public)
    publish(folder)
    folder.fails(4, "alias", "set", "digits", "production", 1, "--keys", theirs)
    folder.ok("keys", "trust", theirs, folder.keys, "-o", both)
    folder.ok("alias", "set", "digits", "production", 1, "--keys", both)
    keys = {key["kid"]: key for key in json.loads(both.read_text())["keys"]}
    own = {key["kid"]: key for key in json.loads(theirs.read_text())["keys"]}
    others = {key["kid"] for key in json.loads(folder.keys.read_text())["keys"]}
    assert all(keys[kid] == own[kid] for kid in own)
    # Their signers alone, and nothing private: what is published isn't wrapped for them.
    added = [key for kid, key in keys.items() if kid not in own]
    assert len(added) == 2 and {key["kid"] for key in added} < others
    assert all(key["use"] == "sig" and "d" not in key for key in added)
    folder.ok("keys", "trust", both, public, theirs, "-o", tmp_path / "same")
    assert len(json.loads((tmp_path / "same").read_text())["keys"]) == 5


def test_a_passphrase_protects_a_keyring(folder: Command, tmp_path: Path) -> None:
    locked = tmp_path / "locked.jwks"
    folder.ok("keygen", locked, "--passphrase", PTSECURE_PASSPHRASE="correct horse")
    assert b'"d"' not in locked.read_bytes()
    folder.fails(5, "keys", "show", locked)
    assert "horse" not in folder.fails(5, "keys", "show", locked, PTSECURE_PASSPHRASE="wrong horse")
    folder.ok("keys", "show", locked, PTSECURE_PASSPHRASE="correct horse")


def test_what_is_no_torchscript_is_refused_with_the_way_out(
    folder: Command, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="tests/run.sh installs torch", exc_type=ImportError)
    state = tmp_path / "state.pt"
    torch.save({"weight": torch.zeros(3)}, state)
    assert "torch.jit" in folder.fails(1, "publish", state, "digits")
    text = tmp_path / "text.pt"
    text.write_text("hello")
    folder.fails(1, "publish", text, "digits")
    empty = tmp_path / "empty.pt"
    empty.write_bytes(b"")
    folder.fails(1, "publish", empty, "digits")
    folder.fails(2, "publish", tmp_path, "digits")
    folder.fails(3, "publish", tmp_path / "missing.pt", "digits")
    folder.fails(3, "list", "digits")


def test_an_absent_server_is_named_in_time(folder: Command) -> None:
    start = time.monotonic()
    line = folder.fails(6, "list", PTSECURE_STORE="mongodb://127.0.0.1:9/models")
    assert "127.0.0.1:9" in line
    assert time.monotonic() - start < 15
    line = folder.fails(2, "list", PTSECURE_STORE="mongodb://user:secret@127.0.0.1:9/")
    assert "secret" not in line


def test_a_folder_that_is_no_store_is_left_alone(folder: Command, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"cat")
    folder.fails(2, "publish", MODEL, "digits", PTSECURE_STORE=str(photos))
    assert [path.name for path in photos.iterdir()] == ["cat.jpg"]
    folder.fails(2, "list", PTSECURE_STORE="ftp://example.com/models")


def test_a_folder_needs_neither_torch_nor_libmongoc(folder: Command) -> None:
    publish(folder)
    done = folder.run("list", LD_DEBUG="files", PTSECURE_TORCH_DIR="/nonexistent")
    assert done.returncode == 0
    assert "libptsecure" in done.stderr
    assert "libmongoc" not in done.stderr and "libtorch" not in done.stderr
    folder.fails(1, "infer", "digits", "--input", SAMPLE, PTSECURE_TORCH_DIR="/nonexistent")
    # What is wrong with the model comes first.
    error = folder.fails(3, "infer", "none", "--input", SAMPLE, PTSECURE_TORCH_DIR="/nonexistent")
    assert "'none'" in error and "nonexistent" not in error


def test_copying_between_stores(folder: Command, tmp_path: Path, mongod: str) -> None:
    publish(folder, "--label", "run=42")
    production = database(mongod, tmp_path.name)
    copied = folder.ok("copy", "digits@production", "--to", production, "--alias", "live")
    assert copied.strip() == "digits/1 (digits@live)"
    folder.ok("verify", "digits@live", PTSECURE_STORE=production)
    shown = json.loads(folder.ok("show", "digits", "--json", PTSECURE_STORE=production))
    assert shown["labels"] == {"run": "42"}
    back = str(tmp_path / "back")
    folder.ok("copy", "digits", "--to", back, PTSECURE_STORE=production)
    here = folder.ok("infer", "digits", "--input", SAMPLE)
    assert json.loads(
        folder.ok("infer", "digits", "--input", SAMPLE, PTSECURE_STORE=back)
    ) == json.loads(here)


def test_any_bytes_can_be_kept(command: Command, tmp_path: Path) -> None:
    big = tmp_path / "blob.bin"
    big.write_bytes(os.urandom(5_000_000))
    command.ok("publish", big, "blob", "--format", "opaque")
    command.ok("verify", "blob")
    assert "opaque" in command.fails(1, "infer", "blob", "--input", SAMPLE)


def test_a_killed_publish_leaves_no_version(command: Command, tmp_path: Path) -> None:
    big = tmp_path / "blob.bin"
    big.write_bytes(os.urandom(40_000_000))
    env = os.environ | {"PTSECURE_STORE": command.store, "PTSECURE_KEYS": str(command.keys)}
    arguments = [str(BUILD / "bin" / "ptsecure"), "publish", str(big), "blob", "--format", "opaque"]
    pick = random.Random(7)
    killed = 0
    for _ in range(12):
        process = subprocess.Popen(
            arguments, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(pick.uniform(0.01, 0.25))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        # What is visible, if anything, is whole.
        done = command.run("verify", "blob")
        assert done.returncode in (0, 3), done.stderr
    assert killed > 0
    command.ok("publish", big, "blob", "--format", "opaque")
    command.ok("verify", "blob")
    numbers = [
        row["version"] for row in json.loads(command.ok("list", "blob", "--json"))["versions"]
    ]
    assert len(numbers) == len(set(numbers))


def test_two_publishers_get_different_numbers(command: Command, tmp_path: Path) -> None:
    blob = tmp_path / "blob.bin"
    blob.write_bytes(os.urandom(3_000_000))
    env = os.environ | {"PTSECURE_STORE": command.store, "PTSECURE_KEYS": str(command.keys)}
    arguments = [
        str(BUILD / "bin" / "ptsecure"),
        "publish",
        str(blob),
        "blob",
        "--format",
        "opaque",
    ]
    processes = [
        subprocess.Popen(
            arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert all(process.returncode == 0 for process in processes), outputs
    assert sorted(out.strip() for out, _ in outputs) == [f"blob/{n}" for n in range(1, 7)]


def test_every_flipped_byte_of_a_small_store_is_found(folder: Command) -> None:
    publish(folder)
    store = Path(folder.store)
    pick = random.Random(3)
    for file in sorted(path for path in store.rglob("*") if path.is_file()):
        original = file.read_bytes()
        at = pick.randrange(len(original))
        file.write_bytes(original[:at] + bytes([original[at] ^ 1]) + original[at + 1 :])
        done = folder.run("verify", "digits")
        assert done.returncode != 0, f"{file} byte {at}"
        file.write_bytes(original)
    folder.ok("verify", "digits")
