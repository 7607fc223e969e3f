"""tests/prose.py finds what it is there to find."""

import shutil
from pathlib import Path

import pytest

from tests import prose

COPIED = [
    *prose.SURFACES.values(),
    prose.HEADER,
    "tests/options.toml",
    *(file for _, files in prose.PROMISES for file in files),
]

DRIFTS = {
    "a default of the C ABI": (
        prose.HEADER,
        "{sizeof(pts_store_options), 5000",
        "{sizeof(pts_store_options), 6000",
        "connect_timeout_ms is 6000 by default",
    ),
    "a comment in C": (
        prose.HEADER,
        "default 500 */",
        "default 700 */",
        "ptsecure.h doesn't say: default 500",
    ),
    "a member nobody knows": (
        prose.HEADER,
        "} pts_apikeys_options;",
        "  int32_t pace;\n} pts_apikeys_options;",
        "pts_apikeys_options.pace has no row",
    ),
    "a default in C++": (
        "capi/include/ptsecure/cpp/store.hpp",
        "connect_timeout{5000}",
        "connect_timeout{6000}",
        "StoreOptions.connect_timeout, doesn't say",
    ),
    "an option of C++ alone": (
        "capi/include/ptsecure/cpp/model.hpp",
        "struct OpenOptions {\n",
        "struct OpenOptions {\n  int pace = 0;\n",
        "OpenOptions.pace has no row",
    ),
    "a default in Python": (
        "bindings/python/ptsecure/store.py",
        "connect_timeout: float = 5.0",
        "connect_timeout: float = 6.0",
        "open_store(connect_timeout), doesn't say",
    ),
    "a docstring": (
        "bindings/python/ptsecure/store.py",
        "threads: that seal and open; 0 = the cores",
        "threads: that seal and open; 0 = the CPUs",
        "open_store(threads), doesn't say",
    ),
    "a doc comment in Go": (
        "bindings/go/options.go",
        "the default is 60 s",
        "the default is 30 s",
        "WithOperationTimeout, doesn't say",
    ),
    "an option of Go alone": (
        "bindings/go/options.go",
        "func WithVerify(",
        "func WithPace(n int32) LoadOption {\n\treturn nil\n}\n\nfunc WithVerify(",
        "WithPace has no row",
    ),
    "the command's help": (
        "bindings/cli/infer.cc",
        "signed (default) or aead",
        "aead (default) or signed",
        "--verify, doesn't say",
    ),
    "a promise": (
        "docs/operations.md",
        "every server within two seconds",
        "every server within a second",
        "docs/operations.md doesn't say of how soon",
    ),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in COPIED:
        source, target = prose.ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)
    return tmp_path


def test_the_tree_is_as_it_says() -> None:
    assert prose.findings(prose.ROOT) == []


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_drift_is_found(tree: Path, drift: str) -> None:
    file, old, new, said = DRIFTS[drift]
    text = (tree / file).read_text()
    assert text.count(old) == 1
    (tree / file).write_text(text.replace(old, new))
    assert any(said in finding for finding in prose.findings(tree))
