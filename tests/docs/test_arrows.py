"""The check of the arrows finds what it is there for."""

import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEYRING = "libptsecure/keyring/keyring.cc"


def findings(root: pathlib.Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "arrows.py", root], capture_output=True, text=True
    )
    assert done.returncode == bool(done.stdout), done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    for top in ("libptsecure", "capi", "bindings", "server_example"):
        shutil.copytree(
            ROOT / top,
            tmp_path / top,
            ignore=lambda folder, names: [
                name
                for name in names
                if (pathlib.Path(folder) / name).is_file()
                and not name.endswith((".cc", ".hpp", ".c", ".h", ".cpp"))
            ],
        )
    shutil.copy(ROOT / "CONTRIBUTING.md", tmp_path)
    assert findings(tmp_path) == []
    return tmp_path


def add(file: pathlib.Path, line: str) -> None:
    file.write_text(line + "\n" + file.read_text())


@pytest.mark.parametrize(
    ("file", "include", "phrases"),
    [
        (KEYRING, '"libptsecure/registry/registry.hpp"', ["may not include", "a circle"]),
        (KEYRING, '"libptsecure/value/value.hpp"', ["keyring may not include libptsecure/value"]),
        (KEYRING, "<openssl/evp.h>", ["keyring may not include <openssl>"]),
        (KEYRING, "<torch/script.h>", ["keyring may not include <torch>"]),
        ("server_example/main.cc", '"libptsecure/base/error.hpp"', ["server_example may not"]),
        ("bindings/cli/main.cc", "<mongoc/mongoc.h>", ["bindings/cli may not include <mongoc>"]),
    ],
)
def test_a_wrong_arrow(tree: pathlib.Path, file: str, include: str, phrases: list[str]) -> None:
    add(tree / file, f"#include {include}")
    found = findings(tree)
    for phrase in phrases:
        assert any(phrase in sentence for sentence in found), found


def test_a_place_that_is_not_listed(tree: pathlib.Path) -> None:
    (tree / "libptsecure" / "helpers").mkdir()
    (tree / "libptsecure" / "helpers" / "a.cc").write_text("int a;\n")
    assert findings(tree) == [
        "libptsecure/helpers/a.cc lies in no place that CONTRIBUTING.md lists"
    ]


def test_an_arrow_that_nobody_uses(tree: pathlib.Path) -> None:
    page = tree / "CONTRIBUTING.md"
    row = "| `libptsecure/value` | `libptsecure/base` |"
    text = page.read_text()
    assert row in text
    page.write_text(text.replace(row, "| `libptsecure/value` | `libptsecure/base` `<openssl>` |"))
    assert findings(tree) == [
        "CONTRIBUTING.md lets libptsecure/value include <openssl>, and nothing there does"
    ]
