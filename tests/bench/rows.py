"""The table's rows: which side of a contest beside which, and what it must reach."""

from dataclasses import replace

from contest import Row
from contests import Suite

MIB = 1 / (1 << 20)
PLAIN = "torch.jit.load"


class Table:
    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.large = suite.large

    def rows(self) -> list[Row]:
        """With --quick the large model is another than the one that the bounds are for."""
        rows = self.all_rows()
        if not self.suite.fixtures.quick:
            return rows
        return [
            replace(row, must=None, aim=None)
            if row.how == "ratio" and self.large in row.what
            else row
            for row in rows
        ]

    def all_rows(self) -> list[Row]:
        return [
            *self.open_rows(),
            *self.package_rows(),
            *self.mongodb_rows(),
            *self.memory_rows(),
            *self.publish_rows(),
            *self.run_rows(),
            *self.list_rows(),
        ]

    def open_rows(self) -> list[Row]:
        rows = [
            Row(
                "libtorch",
                "load-libtorch",
                "load libtorch_cpu, once a process",
                "",
                "dlopen",
                how="value",
            ),
            self.against_plain("open-aead", self.large, "aead", 0.70, 0.50),
            self.against_plain("open-signed", self.large, "signed", 1.0, 0.75),
            Row(
                "open-cryptotensors",
                "open-cryptotensors",
                f"open {self.large}, folder, aead",
                "CryptoTensors load_file",
                "aead",
                "CryptoTensors",
                must=0.9,
                aim=0.6,
            ),
            self.against_plain("open-1mb", "1mb", "signed", 1.15, 1.0),
            self.against_plain("open-many", "many", "signed", 1.15, 1.0),
        ]
        for model in [] if self.suite.fixtures.quick else ["100mb", "huge"]:
            for level in ("aead", "signed"):
                rows.append(self.against_plain(f"open-{model}-{level}", model, level))
        for how in ("freeze", "inference"):
            for what, metric in (("open", "seconds"), ("first answer", "first_answer_seconds")):
                rows.append(
                    Row(
                        f"{what.split()[-1]}-{how}",
                        "open-optimized",
                        f"{what} 1mb, optimize={how}",
                        "not optimised",
                        how,
                        "signed",
                        metric=metric,
                    )
                )
        for model in (self.large, "1mb"):
            rows.append(
                Row(
                    f"answer-{model}",
                    f"open-{model}",
                    f"first answer {model}, folder, signed",
                    PLAIN,
                    "signed",
                    PLAIN,
                    metric="first_answer_seconds",
                )
            )
        return rows

    def package_rows(self) -> list[Row]:
        loader = "AOTIModelPackageLoader"

        def row(name: str, what: str, level: str, metric: str = "seconds") -> Row:
            return Row(
                name,
                "open-package",
                f"{what} 100mb .pt2, folder, {level}",
                loader,
                level,
                loader,
                metric=metric,
                must=1.0,
                aim=0.6,
            )

        return [
            row("open-package-aead", "open", "aead"),
            row("open-package-signed", "open", "signed"),
            row("answer-package", "first answer", "signed", "first_answer_seconds"),
            Row(
                "infer-package",
                "infer-package",
                "run a compiled linear layer, C ABI",
                "run() of libtorch's runner, C++",
                "C",
                metric="infer",
                unit="us",
                scale=1e-3,
                how="difference",
                must=1.0,
                aim=0.4,
                other="C",
                other_metric="forward",
            ),
        ]

    @staticmethod
    def against_plain(
        row: str, model: str, level: str, must: float | None = None, aim: float | None = None
    ) -> Row:
        return Row(
            row,
            f"open-{model}",
            f"open {model}, folder, {level}",
            PLAIN,
            level,
            PLAIN,
            must=must,
            aim=aim,
        )

    def mongodb_rows(self) -> list[Row]:
        what = f"open {self.large}, MongoDB, signed"
        return [
            Row(
                "mongodb-raw",
                "open-mongodb",
                what,
                "raw download, libmongoc",
                "signed",
                "raw download",
                must=1.35,
                aim=1.1,
            ),
            Row(
                "mongodb-raw-aead",
                "open-mongodb",
                f"open {self.large}, MongoDB, aead",
                "raw download, libmongoc",
                "aead",
                "raw download",
            ),
            Row(
                "mongodb-go",
                "open-jwe-go",
                what,
                "Go: GridFS + go-jose, not loaded",
                "signed",
                "JWE",
                must=0.15,
                aim=0.08,
            ),
            Row(
                "mongodb-python",
                "open-jwe-python",
                what,
                "Python: GridFS + jwcrypto, loaded",
                "signed",
                "JWE",
                must=0.08,
                aim=0.04,
            ),
        ]

    def memory_rows(self) -> list[Row]:
        def row(name: str, contest: str, model: str, side: str, what: str) -> Row:
            return Row(
                name,
                contest,
                f"peak memory over the model's size, {what}",
                "",
                side,
                metric="peak_bytes",
                unit="MiB",
                scale=MIB,
                less=lambda: self.suite.fixtures.size(model),
                how="value",
                must=64,
                aim=32,
            )

        large = self.large
        rows = [
            row(f"memory-{level}", f"open-{large}", large, level, f"{large}, folder, {level}")
            for level in ("aead", "signed")
        ]
        for model in ["1mb", "many"] + ([] if self.suite.fixtures.quick else ["huge"]):
            rows.append(
                row(f"memory-{model}", f"open-{model}", model, "signed", f"{model}, folder, signed")
            )
        package = "100mb.pt2"
        rows.append(
            row("memory-package", "open-package", package, "signed", "100mb .pt2, folder, signed")
        )
        for level in ("aead", "signed"):
            what = f"{large}, MongoDB, {level}"
            rows.append(row(f"memory-mongodb-{level}", "open-mongodb", large, level, what))
        return rows

    def publish_rows(self) -> list[Row]:
        return [
            Row(
                "publish-folder",
                "publish-folder",
                f"publish {self.large} to a folder",
                "cp + fsync",
                "publish",
                "cp",
                must=1.6,
                aim=1.2,
            ),
            Row(
                "publish-mongodb",
                "publish-mongodb",
                f"publish {self.large} to MongoDB",
                "raw upload, libmongoc GridFS",
                "publish",
                "upload",
                must=1.2,
                aim=0.9,
            ),
        ]

    def run_rows(self) -> list[Row]:
        return [
            Row(
                "infer-c",
                "infer",
                "run a 784-256-10 MLP, C ABI",
                "module.forward, C++",
                "C",
                metric="infer",
                unit="us",
                scale=1e-3,
                how="difference",
                must=1.0,
                aim=0.4,
                other="C",
                other_metric="forward",
            ),
            Row(
                "infer-c-buffer",
                "infer",
                "the same, the value made for each call",
                "module.forward, C++",
                "C",
                metric="infer_buffer",
                unit="us",
                scale=1e-3,
                how="difference",
                other="C",
                other_metric="forward",
            ),
            *(
                Row(
                    f"infer-{how}",
                    "infer",
                    f"run it, optimize={how}",
                    "not optimised",
                    "C",
                    metric=metric,
                    unit="us",
                    scale=1e-3,
                    other="C",
                    other_metric="infer",
                )
                for how, metric in (("freeze", "infer_frozen"), ("inference", "infer_fused"))
            ),
            Row(
                "infer-python",
                "infer-python",
                "run it from Python, NumPy to NumPy",
                "m(from_numpy(x)).numpy()",
                "Python",
                "Python",
                metric="infer",
                other_metric="forward",
                unit="us",
                scale=1e-3,
                must=1.0,
                aim=0.7,
            ),
            Row(
                "infer-go",
                "infer-go",
                "run it from Go",
                "the C ABI from C, same process",
                "Go",
                "Go",
                metric="infer",
                other_metric="from_c",
                unit="us",
                scale=1e-3,
                how="difference",
                must=1.5,
                aim=0.5,
            ),
        ]

    def list_rows(self) -> list[Row]:
        rows = [
            Row(
                "list-start",
                "list-start",
                "ptsecure list, 1,000 versions",
                "/bin/true",
                "list",
                "/bin/true",
                unit="ms",
                scale=1e3,
                how="difference",
                must=30,
                aim=12,
            ),
            Row(
                "list-start-versions",
                "list-start",
                "ptsecure list NAME, 1,000 versions",
                "/bin/true",
                "list versions",
                "/bin/true",
                unit="ms",
                scale=1e3,
                how="difference",
                must=30,
                aim=12,
            ),
        ]
        for kind in ("folder", "mongodb"):
            for metric in ("list", "list_versions", "resolve_alias", "resolve_newest"):
                called = metric.replace("_", " ").replace("versions", "ten versions")
                rows.append(
                    Row(
                        f"flat-{kind}-{metric}".replace("_", "-"),
                        f"registry-{kind}",
                        f"{called}, {self.suite.history} versions, {kind}",
                        "10 versions",
                        str(self.suite.history),
                        "10",
                        metric=metric,
                        unit="ms",
                        scale=1e3,
                        must=1.5,
                        aim=1.1,
                    )
                )
        return rows
