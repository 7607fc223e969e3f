"""The contests of the benchmark: what is measured beside what."""

import os
import pathlib
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace

from contest import Command, Contest, Sample, Side, UnavailableError, run_json
from fixtures import HERE, Fixtures

MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Suite:
    def __init__(self, fixtures: Fixtures, rounds: int | None, memory_as_is: bool) -> None:
        self.fixtures = fixtures
        self.memory_as_is = memory_as_is
        self.large = "100mb" if fixtures.quick else "537mb"
        self._rounds = rounds
        self.history = 300 if fixtures.quick else 10000

    def rounds(self, full: int, quick: int) -> int:
        return self._rounds or (quick if self.fixtures.quick else full)

    # --- opening

    def open(self, command: Command, model: str, copies: int = 3) -> list[Sample]:
        """One process that opens a model, with free memory for so many that was just used."""
        if self.memory_as_is:
            return run_json(command)
        touch = shlex.quote(str(self.fixtures.program("bench_touch")))
        size = min(copies * self.fixtures.size(model), MEMORY // 3)  # the page cache stays
        mebibytes = max(256, size >> 20)
        return run_json(command, {"PTSECURE_BENCH_BEFORE": f"{touch} {mebibytes}"})

    def plain(self, model: str) -> Side:
        f = self.fixtures
        command: Command = [f.program("bench_model"), "plain", f.model(model), f.shape(model)]
        return Side("torch.jit.load", lambda: self.open(command, model))

    def sealed(self, model: str, level: str, store: str, optimize: str = "none") -> Side:
        f = self.fixtures
        reference = f.publish(store, model)
        command: Command = [
            f.program("bench_model"),
            "sealed",
            store,
            reference,
            f.keys,
            f.shape(model),
            level,
            optimize,
        ]
        return Side(level if optimize == "none" else optimize, lambda: self.open(command, model))

    def open_folder(self, model: str, rounds: int) -> Contest:
        store = str(self.fixtures.folder)
        return Contest(
            f"open-{model}",
            lambda: [
                self.plain(model),
                self.sealed(model, "aead", store),
                self.sealed(model, "signed", store),
            ],
            rounds,
        )

    def open_huge(self) -> Contest:
        def prepare() -> list[Side]:
            disk = shutil.disk_usage(self.fixtures.work).free
            if MEMORY < 20 << 30 or disk < 20 << 30:
                raise UnavailableError("it needs 20 GB of memory and as much free disk")
            return contest.prepare()

        contest = self.open_folder("huge", self.rounds(3, 3))
        return replace(contest, prepare=prepare)

    def open_optimized(self, model: str) -> Contest:
        """What the programs that run faster cost until they do."""
        store = str(self.fixtures.folder)
        return Contest(
            "open-optimized",
            lambda: [
                self.sealed(model, "signed", store, how) for how in ("none", "freeze", "inference")
            ],
            self.rounds(7, 4),
        )

    def open_package(self) -> Contest:
        """A compiled model of 100 MB, its weights beside the library."""
        f = self.fixtures
        model = "100mb.pt2"

        def prepare() -> list[Side]:
            plain: Command = [f.program("bench_model"), "package", f.model(model), f.shape(model)]
            store = str(f.folder)
            reference = f.publish(store, model)

            def sealed(level: str) -> Side:
                command: Command = [
                    f.program("bench_model"),
                    "sealed-package",
                    store,
                    reference,
                    f.keys,
                    f.shape(model),
                    level,
                    "none",
                ]
                return Side(level, lambda: self.open(command, model))

            return [
                Side("AOTIModelPackageLoader", lambda: self.open(plain, model)),
                sealed("aead"),
                sealed("signed"),
            ]

        return Contest("open-package", prepare, self.rounds(7, 3))

    def open_cryptotensors(self) -> Contest:
        f = self.fixtures

        def prepare() -> list[Side]:
            script = HERE / "peers" / "cryptotensors_file.py"
            command: Command = [f.python, script, "open", f.cryptotensors(self.large)]
            return [
                Side("CryptoTensors", lambda: self.open(command, self.large)),
                self.sealed(self.large, "aead", str(f.folder)),
            ]

        return Contest("open-cryptotensors", prepare, self.rounds(7, 3))

    def load_libtorch(self) -> Contest:
        """What every process that uses libtorch pays once, whoever opens the model."""
        library = pathlib.Path(os.environ["PTSECURE_TORCH_DIR"]) / "lib" / "libtorch_cpu.so"
        code = (
            "import ctypes,json,sys,time;t=time.perf_counter();ctypes.CDLL(sys.argv[1]);"
            "print(json.dumps({'seconds':time.perf_counter()-t}))"
        )
        command: Command = [self.fixtures.python, "-c", code, library]
        return Contest("load-libtorch", lambda: [Side("dlopen", lambda: run_json(command))], 5)

    # --- MongoDB

    def download_command(self) -> Command:
        f = self.fixtures
        return [
            f.program("bench_mongo"),
            "download",
            f.mongod,
            "models",
            "ptsecure.payloads",
            f"{self.large}/1/model",
        ]

    def open_mongodb(self) -> Contest:
        f = self.fixtures

        def prepare() -> list[Side]:
            store = f.database("models")
            sealed = self.sealed(self.large, "signed", store)
            return [
                Side("raw download", lambda: self.open(self.download_command(), self.large)),
                sealed,
                self.sealed(self.large, "aead", store),
            ]

        return Contest("open-mongodb", prepare, self.rounds(7, 4))

    def open_jwe(self, language: str) -> Contest:
        f = self.fixtures

        def prepare() -> list[Side]:
            key, database = f.jwe(self.large)
            command: list[str | pathlib.Path] = (
                [f.go_peer, key, f.mongod, database]
                if language == "go"
                else [f.python, HERE / "peers" / "gridfs_jwe.py", "open", key, f.mongod, database]
            )
            return [
                Side("JWE", lambda: self.open(command, self.large, 8)),
                self.sealed(self.large, "signed", f.database("models")),
            ]

        return Contest(f"open-jwe-{language}", prepare, self.rounds(3, 2), warm_up=0)

    # --- publishing

    def publish_folder(self) -> Contest:
        f = self.fixtures
        model = f.model(self.large)
        scratch = f.work / "scratch"

        def cleared(path: pathlib.Path) -> pathlib.Path:
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True) if path.is_file() else None
            return path

        def copy() -> list[Sample]:
            out = cleared(scratch / "copy.pt")
            begin = time.perf_counter()
            subprocess.run(["cp", str(model), str(out)], check=True)
            subprocess.run(["sync", str(out)], check=True)
            seconds = time.perf_counter() - begin
            cleared(out)
            return [{"seconds": seconds}]

        def publish() -> list[Sample]:
            store = cleared(scratch / "store")
            measured = run_json([f.program("bench_model"), "publish", store, "m", f.keys, model])
            cleared(store)
            return measured

        return Contest(
            "publish-folder",
            lambda: [Side("cp", copy), Side("publish", publish)],
            self.rounds(5, 3),
        )

    def publish_mongodb(self) -> Contest:
        f = self.fixtures
        model = f.model(self.large)

        def upload() -> list[Sample]:
            measured = run_json(
                [f.program("bench_mongo"), "upload", f.mongod, "upload", "fs", model]
            )
            f.drop_database("upload")
            return measured

        def publish() -> list[Sample]:
            measured = run_json(
                [f.program("bench_model"), "publish", f.database("upload"), "m", f.keys, model]
            )
            f.drop_database("upload")
            return measured

        return Contest(
            "publish-mongodb",
            lambda: [Side("upload", upload), Side("publish", publish)],
            self.rounds(5, 2),
        )

    # --- running, listing

    def calls(
        self,
        name: str,
        program: Callable[[], Command],
        model: str,
        counts: tuple[int, int],
        side: str = "C",
    ) -> Contest:
        """One process that measures all its ways of running a model, in turns: so many rounds of so
        many calls."""
        f = self.fixtures

        def prepare() -> list[Side]:
            reference = f.publish(str(f.folder), model)
            rounds, calls = (count // 2 if f.quick else count for count in counts)
            command: Command = [
                *program(),
                f.model(model),
                f.folder,
                reference,
                f.keys,
                str(rounds),
                str(calls),
            ]
            return [Side(side, lambda: run_json(command))]

        return Contest(name, prepare, 1, warm_up=0)

    def infer(self) -> Contest:
        return self.calls(
            "infer", lambda: [self.fixtures.program("bench_infer")], "mlp", (400, 500)
        )

    def infer_package(self) -> Contest:
        return self.calls(
            "infer-package",
            lambda: [self.fixtures.program("bench_package")],
            "linear.pt2",
            (400, 2000),
        )

    def infer_python(self) -> Contest:
        def program() -> Command:
            self.fixtures.python_binding  # noqa: B018  # installs it
            return [self.fixtures.python, HERE / "infer_python.py"]

        return self.calls("infer-python", program, "mlp", (400, 500), "Python")

    def infer_go(self) -> Contest:
        return self.calls("infer-go", lambda: [self.fixtures.go_infer], "mlp", (400, 500), "Go")

    def list_start(self) -> Contest:
        f = self.fixtures

        def spawn(command: list[str]) -> list[Sample]:
            quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
            begin = time.perf_counter()
            pid = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
            _, status = os.waitpid(pid, 0)
            seconds = time.perf_counter() - begin
            if status != 0:
                raise RuntimeError(f"{command} failed")
            return [{"seconds": seconds}]

        def prepare() -> list[Side]:
            store = f.history(str(f.work / "stores" / "history-1000"), 1000)
            listing = [str(f.command), "--store", store, "list"]
            return [
                Side("/bin/true", lambda: spawn(["/bin/true"])),
                Side("list", lambda: spawn(listing)),
                Side("list versions", lambda: spawn([*listing, "m"])),
            ]

        return Contest("list-start", prepare, self.rounds(31, 15))

    def registry(self, kind: str) -> Contest:
        f = self.fixtures

        def side(versions: int) -> Side:
            name = f"history-{versions}"
            store = f.database(name) if kind == "mongodb" else str(f.work / "stores" / name)
            f.history(store, versions)
            command: Command = [f.program("bench_store"), "registry", store, "m", f.keys, "20"]
            return Side(str(versions), lambda: run_json(command))

        return Contest(
            f"registry-{kind}", lambda: [side(10), side(self.history)], self.rounds(3, 2), warm_up=0
        )

    # --- all of them

    def contests(self) -> list[Contest]:
        small = self.rounds(15, 7)
        opens = [
            self.open_folder(self.large, self.rounds(9, 5)),
            self.open_folder("1mb", small),
            self.open_folder("many", self.rounds(15, 4)),
            self.open_optimized("1mb"),
        ]
        if not self.fixtures.quick:
            opens += [self.open_folder("100mb", self.rounds(7, 5)), self.open_huge()]
        return [
            self.load_libtorch(),
            *opens,
            self.open_package(),
            self.open_cryptotensors(),
            self.open_mongodb(),
            self.open_jwe("go"),
            self.open_jwe("python"),
            self.publish_folder(),
            self.publish_mongodb(),
            self.infer(),
            self.infer_package(),
            self.infer_python(),
            self.infer_go(),
            self.list_start(),
            self.registry("folder"),
            self.registry("mongodb"),
        ]
