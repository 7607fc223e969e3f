"""What documents refer to is there: links, files, functions, the benchmark's figures."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ["docs", "examples", "bindings", "server_example"]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md")),
]
TOP = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "build")


def without_programs(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.S)


def anchors(document: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", without_programs(document.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_programs(document.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), f"{document.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{document.name}: {link}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(document: Path) -> None:
    """`tests/bench/run.sh`: what begins with one of our folders is a path in this tree."""
    for name in re.findall(r"`([\w./*+-]+)", without_programs(document.read_text())):
        if name.split("/")[0] in TOP and "/" in name:
            assert list(ROOT.glob(name.rstrip("/."))), f"{document.name}: {name}"


# --- docs/architecture.md

ARCHITECTURE = ROOT / "docs" / "architecture.md"
FILE = r"[\w./]+\.(?:cc|hpp|h|c|py|go|sh)"


def places() -> Iterator[tuple[str, str]]:
    """A file and what is said to be in it: `registry/publish.cc`: `seal_and_commit`, `give_up`."""
    text = without_programs(ARCHITECTURE.read_text())
    for found in re.finditer(rf"`({FILE})`: ((?:`[^`]+`(?:, | and )?)+)", text):
        for name in re.findall(r"`([^`]+)`", found[2]):
            yield found[1], name


def in_tree(name: str) -> Path:
    """From the root, or from libptsecure/, where most of it is."""
    inside = ROOT / "libptsecure" / name
    return inside if inside.exists() else ROOT / name


def test_the_architecture_names_files_that_exist() -> None:
    names = set(re.findall(rf"`({FILE})`", ARCHITECTURE.read_text()))
    assert len(names) > 40
    assert sorted(name for name in names if not in_tree(name).is_file()) == []


def test_the_architecture_names_what_is_in_those_files() -> None:
    named = list(places())
    assert len(named) > 60
    missing = []
    for file, name in named:
        text = in_tree(file).read_text() if in_tree(file).is_file() else ""
        # `Opening::confirm` as it stands in a source, or class and member in a header.
        whole = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
        parts = [re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) for part in name.split("::")]
        if not whole and not (file.endswith(".hpp") and all(parts)):
            missing.append(f"{file}: {name}")
    assert missing == []


def test_the_architecture_names_the_folders_from_the_ground_up() -> None:
    """None includes one that stands below it in the table."""
    order = re.findall(r"^\| `(\w+)/` \|", ARCHITECTURE.read_text(), re.M)
    library = ROOT / "libptsecure"
    folders = [path.name for path in library.iterdir() if path.is_dir() and path.name != "cmake"]
    assert sorted(order) == sorted(folders)
    for place, folder in enumerate(order):
        sources = [path.read_text() for path in (library / folder).rglob("*.[ch]*")]
        included = set(re.findall(r'^#include "libptsecure/(\w+)/', "\n".join(sources), re.M))
        assert included <= set(order[: place + 1]), folder


# --- figures


def test_the_figures_are_those_of_the_stored_run(tmp_path: Path) -> None:
    """docs/performance.csv is what the tables and the plot were made of."""
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/performance.md", "docs/performance.csv"):
        shutil.copy(ROOT / name, tmp_path / name)
    script = ROOT / "tests" / "bench" / "report.py"
    stored = ROOT / "docs" / "performance.csv"
    command = [sys.executable, str(script), str(stored), "--docs", str(tmp_path), "--no-plot"]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("README.md", "docs/performance.md", "docs/performance.csv"):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), (
            f"{name} isn't what `tests/bench/run.sh --from docs/performance.csv --docs` writes"
        )
