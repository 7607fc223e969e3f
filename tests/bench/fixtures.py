"""What the contests need: models, keys, sealed stores, a MongoDB server, the peers."""

import dataclasses
import functools
import os
import pathlib
import shutil
import subprocess
import sys

import models
from contest import UnavailableError

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclasses.dataclass
class Fixtures:
    """Made when first asked for, kept in `work`. Models, which depend on torch alone, stay for the
    next run; what ptsecure sealed is made anew each time."""

    build: pathlib.Path
    work: pathlib.Path
    python: str  # has torch, and what tests/bench/requirements.txt names
    quick: bool

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        for folder in ("stores", "scratch", "mongod"):
            shutil.rmtree(self.work / folder, ignore_errors=True)
        for folder in ("models", "stores", "scratch"):
            (self.work / folder).mkdir(exist_ok=True)
        self._published: set[tuple[str, str]] = set()

    def program(self, name: str) -> pathlib.Path:
        path = self.build / "bench" / "bin" / name
        if not path.exists():
            raise UnavailableError(f"{name} isn't built here")
        return path

    @property
    def command(self) -> pathlib.Path:
        return self.build / "bin" / "ptsecure"

    def call(self, *command: str | pathlib.Path, preload: pathlib.Path | None = None) -> str:
        environment = {
            **os.environ,
            "PTSECURE_STATE": str(self.work / "stores" / "state.json"),  # as old as the stores
            **({"LD_PRELOAD": str(preload)} if preload else {}),
        }
        done = subprocess.run(
            [str(part) for part in command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{done.stderr.strip()}")
        return done.stdout

    # --- models

    def model(self, name: str) -> pathlib.Path:
        """A name with .pt2 is a compiled package, any other a TorchScript file."""
        path = self.work / "models" / (name if name.endswith(".pt2") else f"{name}.pt")
        if not path.exists():
            note(f"making {path.name}")
            self.call(self.python, HERE / "models.py", path.parent, name)
        return path

    @staticmethod
    def shape(name: str) -> str:
        return ",".join(map(str, models.SHAPES[name.removesuffix(".pt2")]))

    def size(self, name: str) -> int:
        return self.model(name).stat().st_size

    # --- sealed

    @functools.cached_property
    def keys(self) -> pathlib.Path:
        path = self.work / "stores" / "keys.jwks"
        self.call(self.command, "keygen", path)
        return path

    @functools.cached_property
    def folder(self) -> pathlib.Path:
        return self.work / "stores" / "folder"

    def publish(self, store: str, name: str) -> str:
        """Seals a model once per store and returns its reference."""
        if (store, name) not in self._published:
            model = self.model(name)
            self.call(self.program("bench_model"), "publish", store, name, self.keys, model)
            self._published.add((store, name))
        return f"{name}/1"

    def history(self, store: str, versions: int) -> str:
        """A store with that many versions of the model `m`, the alias `production` on the last."""
        if (store, "m") not in self._published:
            note(f"publishing {versions} versions")
            self.call(
                self.program("bench_store"),
                "fill",
                store,
                "m",
                str(versions),
                self.keys,
                preload=self.program("libbench_nosync.so"),
            )
            self._published.add((store, "m"))
        return store

    # --- peers

    @functools.cached_property
    def mongod(self) -> str:
        """The URI of a server of this run, without a database."""
        script = ROOT / "tests" / "mongod.py"
        try:
            return self.call(sys.executable, script, "start", self.work / "mongod").strip()
        except RuntimeError as error:
            raise UnavailableError(f"no MongoDB server: {str(error).splitlines()[-1]}") from error

    def database(self, name: str) -> str:
        hosts, _, options = self.mongod.partition("/?")
        return f"{hosts}/{name}?{options}"

    def drop_database(self, name: str) -> None:
        self.call(self.python, HERE / "peers" / "gridfs_jwe.py", "drop", self.mongod, name)

    def stop(self) -> None:
        if "mongod" in self.__dict__:
            script = ROOT / "tests" / "mongod.py"
            self.call(sys.executable, script, "stop", self.work / "mongod")
        for folder in ("stores", "scratch", "mongod"):
            shutil.rmtree(self.work / folder, ignore_errors=True)

    def go_program(self, folder: str, environment: dict[str, str] | None = None) -> pathlib.Path:
        go = os.environ.get("PTSECURE_GO") or shutil.which("go")
        if not go:
            raise UnavailableError("no Go: install one, or examples/setup.sh --full")
        out = self.work / "bin" / folder
        done = subprocess.run(
            [go, "build", "-o", str(out), "."],
            cwd=HERE / folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            raise UnavailableError(f"{folder}: {lines[-1] if lines else 'no reason'}")
        return out

    @functools.cached_property
    def go_peer(self) -> pathlib.Path:
        return self.go_program("go")

    @functools.cached_property
    def go_infer(self) -> pathlib.Path:
        """Over an installed tree, as Go programs find the library."""
        prefix = self.work / "prefix"
        for component in ("library", "dev"):
            self.call(
                "cmake", "--install", self.build, "--prefix", prefix, "--component", component
            )
        found = sorted(prefix.rglob("ptsecure.pc"))
        # Go's cache doesn't tell objects by where pkg-config found the library, but by these flags.
        apart = {"CGO_CFLAGS": f"-O2 -g -I{prefix}/include"}
        return self.go_program("goinfer", {"PKG_CONFIG_PATH": str(found[0].parent), **apart})

    @functools.cached_property
    def python_binding(self) -> None:
        """Installs it beside the peers."""
        source = ROOT / "bindings" / "python"
        if not (source / "pyproject.toml").exists():
            raise UnavailableError("there is no Python binding here")
        # With the library that is built already; the tests' environment has what the binding needs.
        built = f"cmake.define.PTSECURE_BUILT={self.build}"
        folder = f"build-dir={self.work / 'binding'}"  # compiled again only where it has changed
        pip = [self.python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
        try:
            self.call(*pip, "--force-reinstall", "-C", built, "-C", folder, source)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise UnavailableError(f"no Python binding: {lines[-1]}") from error

    def jwe(self, name: str) -> tuple[pathlib.Path, str]:
        """The model as a JWE in GridFS: the key's file, and the database."""
        token = self.work / "models" / f"{name}.jwe"
        script = HERE / "peers" / "gridfs_jwe.py"
        if not token.exists() or not token.with_suffix(".key").exists():
            note(f"making {token.name}")
            self.call(self.python, script, "seal", self.model(name), token)
        if ("jwe", name) not in self._published:
            self.call(self.python, script, "put", token, self.mongod, f"jwe_{name}")
            self._published.add(("jwe", name))
        return token.with_suffix(".key"), f"jwe_{name}"

    def cryptotensors(self, name: str) -> pathlib.Path:
        try:
            self.call(self.python, "-c", "import cryptotensors")
        except RuntimeError as error:
            raise UnavailableError("CryptoTensors isn't on PyPI for this machine") from error
        out = self.work / "models" / f"{name}.cryptotensors"
        if not out.exists():
            script = HERE / "peers" / "cryptotensors_file.py"
            self.call(self.python, script, "seal", self.model(name), out)
        return out
