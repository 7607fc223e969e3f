"""Reads the includes of every folder and holds them against the arrows in CONTRIBUTING.md.

    tests/arrows.py [FOLDER]

FOLDER is a checkout, this one if not given. Fails on an arrow that isn't written there, on one that
is written and isn't used, on a circle, and on a source file in a place that isn't written there.
"""

import pathlib
import re
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
# A line of the table: | `place` | `place` `<library>` ... |
ROW = re.compile(r"^\| `([a-z_/.]+)` \|([^|]*)\|", re.MULTILINE)
NAMED = re.compile(r"`([^`]+)`")
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
SUFFIXES = {".cc", ".hpp", ".c", ".h", ".cpp"}

# Libraries that only some places may include, by how their headers' paths begin.
LIBRARIES = {
    "torch": ("torch/", "ATen/", "c10/", "caffe2/"),
    "mongoc": ("mongoc/", "bson/", "mongoc.h", "bson.h"),
    "openssl": ("openssl/",),
    "ipsec_mb": ("intel-ipsec-mb.h",),
    "pybind11": ("pybind11/",),
    "boost": ("boost/",),
    "CLI11": ("CLI/",),
}


def table(text: str) -> dict[str, set[str]]:
    """What each place may include: other places, and libraries as <name>."""
    return {place: set(NAMED.findall(targets)) for place, targets in ROW.findall(text)}


def place_of(path: str, places: dict[str, set[str]]) -> str | None:
    """The longest place that the path begins with."""
    found = [p for p in places if path == p or path.startswith(p + "/")]
    return max(found, key=len, default=None)


def sources(root: pathlib.Path) -> Iterator[pathlib.Path]:
    for top in ("libptsecure", "capi", "bindings", "server_example"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SUFFIXES and "node_modules" not in path.parts:
                yield path


def target_of(name: str, places: dict[str, set[str]]) -> str | None:
    """The place or library behind an include; None for what anybody may include."""
    for library, beginnings in LIBRARIES.items():
        if name.startswith(beginnings):
            return f"<{library}>"
    if name.startswith("ptsecure/"):
        name = "capi/include/" + name
    return place_of(name, places)


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """A circle of places, or nothing."""
    done: set[str] = set()

    def walk(place: str, way: list[str]) -> list[str]:
        if place in way:
            return [*way[way.index(place) :], place]
        if place in done:
            return []
        for target in sorted(arrows.get(place, ())):
            if found := walk(target, [*way, place]):
                return found
        done.add(place)
        return []

    for place in sorted(arrows):
        if found := walk(place, []):
            return found
    return []


def check(root: pathlib.Path) -> list[str]:
    """What is wrong, a sentence each."""
    allowed = table((root / "CONTRIBUTING.md").read_text())
    if not allowed:
        return ["CONTRIBUTING.md has no table of places and what they may include"]
    wrong = []
    used: dict[str, set[str]] = {place: set() for place in allowed}
    for path in sources(root):
        name = path.relative_to(root).as_posix()
        place = place_of(name, allowed)
        if place is None:
            wrong.append(f"{name} lies in no place that CONTRIBUTING.md lists")
            continue
        for quoted, angled in INCLUDE.findall(path.read_text()):
            target = target_of(quoted or angled, allowed)
            if target is None or target == place:
                continue
            used[place].add(target)
            if target not in allowed[place]:
                wrong.append(
                    f"{name} includes {quoted or angled}: {place} may not include {target}"
                )
    for place, targets in allowed.items():
        wrong += [
            f"CONTRIBUTING.md lets {place} include {target}, and nothing there does"
            for target in sorted(targets - used[place])
        ]
    if found := circle(used):
        wrong.append("a circle: " + " -> ".join(found))
    return wrong


def main() -> int:
    wrong = check(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    for sentence in wrong:
        print(sentence)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
