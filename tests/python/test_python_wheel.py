"""`pip install ./bindings/python` as a user runs it, where nothing is known of build/."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.cli.command import DIGITS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "bindings" / "python"

SMOKE = """
import sys
import numpy as np
import ptsecure

assert ptsecure.__file__.startswith(sys.prefix), ptsecure.__file__
images = np.load(sys.argv[2])
keys = ptsecure.Keyring.generate()
store = ptsecure.open_store("models")
store.publish("digits", sys.argv[1], keys, alias="production", sample=images)
print(store.load("digits@production", keys)(images).argmax(1).tolist())
"""


def run(*command: object, **options: object) -> str:
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built under isolation from the sources.

    Build folder and compiler are named as in the build of build/, so that equal compilations are
    found in the compiler cache.
    """
    out = tmp_path_factory.mktemp("wheel")
    scratch = ROOT / ".wheel"
    shutil.rmtree(scratch, ignore_errors=True)
    environment = os.environ | {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}
    environment |= {"CC": "cc", "CXX": "c++"}
    if (Path(sysconfig.get_path("purelib")) / "torch").exists():
        environment.pop("PTSECURE_TORCH_DIR", None)  # found without being told
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--no-deps", "-C", f"build-dir={scratch}", "-w", out]
    run(*pip, "wheel", *options, PACKAGE, env=environment, cwd=out)
    shutil.rmtree(scratch)
    (built,) = out.glob("ptsecure-*.whl")
    return built


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_what_the_wheel_holds(wheel: Path, tmp_path: Path) -> None:
    import torch

    found = metadata(wheel)
    minor = ".".join(torch.__version__.split(".")[:2])
    assert set(found.get_all("Requires-Dist", [])) == {
        "numpy>=2",
        f"torch=={minor}.*",
        'tqdm; extra == "progress"',
    }
    project = (ROOT / "CMakeLists.txt").read_text()
    assert f"project(ptsecure VERSION {found['Version']} " in project
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
        names = set(archive.namelist())
    libraries = {
        "ptsecure/lib/libptsecure.so.0": "$ORIGIN",
        "ptsecure/lib/libptsecure_torch.so": "$ORIGIN",
        f"ptsecure/_ptsecure{sysconfig.get_config_var('EXT_SUFFIX')}": "$ORIGIN/lib",
    }
    assert {"ptsecure/py.typed", "ptsecure/_ptsecure.pyi", "ptsecure/bin/ptsecure"} <= names
    for name, runpath in libraries.items():
        assert f"runpath: [{runpath}]" in run("readelf", "-d", tmp_path / name)
    assert not any("torch_cpu" in name or "libc10" in name for name in names)


def test_it_runs_outside_of_the_tree(wheel: Path, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PTSECURE_")}
    scratch = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", scratch)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "--python", scratch / "bin" / "python", "install", "--no-deps", wheel)
    own = scratch / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    # torch and numpy from where this test has them; ptsecure is only in the wheel.
    (own / "others.pth").write_text("\n".join(path for path in sys.path if "-packages" in path))
    work = tmp_path / "work"
    work.mkdir()
    answer = run(
        scratch / "bin" / "python",
        *("-c", SMOKE, DIGITS / "digits.pt", DIGITS / "sample.npy"),
        env=environment,
        cwd=work,
    )
    assert answer == "[2, 3, 4, 5, 6, 7, 8, 9]\n"
    listed = run(
        scratch / "bin" / "ptsecure", "--store", "models", "list", env=environment, cwd=work
    )
    assert "digits" in listed
    version = run(scratch / "bin" / "python", "-m", "ptsecure", "--version", env=environment)
    assert version == f"ptsecure {metadata(wheel)['Version']}\n"


def test_without_torch_it_says_what_to_type(tmp_path: Path) -> None:
    for environment in ({"PTSECURE_TORCH_DIR": str(tmp_path)}, {}):
        bare = tmp_path / f"venv{len(environment)}"
        run(sys.executable, "-m", "venv", "--without-pip", bare)
        clean = {k: v for k, v in os.environ.items() if k != "PTSECURE_TORCH_DIR"}
        done = subprocess.run(
            [bare / "bin" / "python", PACKAGE / "build_torch.py"],
            env=clean | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert "pip install torch==" in done.stderr
        assert "PTSECURE_TORCH_DIR" in done.stderr
