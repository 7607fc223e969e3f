"""Runs clang-tidy over our own sources and prints "passed failed skipped".

    tidy.py BUILD_FOLDER JOBS

A source is looked at again only when it, a header of ours that it includes, its compiler flags,
.clang-tidy or clang-tidy itself has changed since it was last found clean. The sources of the torch
plug-in are left out: each takes minutes.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import re
import subprocess
import sys

TIDY = "clang-tidy-19"
# The compile flags and the C++ library are GCC's; what the library calls deprecated it uses itself.
FLAGS = (
    "-extra-arg=-Wno-unknown-warning-option",
    "-extra-arg=-Wno-deprecated-declarations",
)
ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = re.compile(
    r"(libptsecure/(?!engine/torch/).*|(capi|bindings/cli|server_example)/[^/]*)\.cc"
)


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def relative(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""


def headers_of(build: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Our own files that each object was compiled from, as ninja has recorded them."""
    found: dict[str, list[pathlib.Path]] = {}
    target = ""
    for line in run("ninja", "-C", str(build), "-t", "deps").splitlines():
        if line.startswith(" "):
            path = (build / line.strip()).resolve()
            if relative(path) and not path.is_relative_to(build):
                found[target].append(path)
        elif ":" in line:
            target = line.split(":")[0]
            found[target] = []
    return found


def stamp_of(entry: dict[str, str], files: list[pathlib.Path], common: str) -> str:
    digest = hashlib.sha256(f"{common}\0{entry['command']}".encode())
    for path in sorted(set(files)):
        digest.update(f"\0{relative(path)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def look_at(build: pathlib.Path, source: pathlib.Path) -> str:
    """Empty when it is clean."""
    done = subprocess.run(
        [TIDY, "-quiet", "-p", str(build), *FLAGS, str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout or done.stderr


def main() -> int:
    build, jobs = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])
    common = run(TIDY, "--version") + (ROOT / ".clang-tidy").read_text()
    known = headers_of(build)
    stamps = build / "tidy"
    stamps.mkdir(exist_ok=True)
    entries = json.loads((build / "compile_commands.json").read_text())
    wanted: dict[pathlib.Path, pathlib.Path] = {}
    clean = 0
    for entry in entries:
        source = pathlib.Path(entry["file"]).resolve()
        if not FOLDERS.fullmatch(relative(source)):
            continue
        files = known.get(entry["command"].split(" -o ")[1].split()[0])
        if not files:
            sys.exit(f"{relative(source)} has not been built yet: run ninja -C {build} first")
        stamp = stamps / stamp_of(entry, files, common)
        if stamp.exists():
            clean += 1
        else:
            wanted[source] = stamp
    dirty = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        looks = {pool.submit(look_at, build, source): source for source in wanted}
        for look in concurrent.futures.as_completed(looks):
            source = looks[look]
            if findings := look.result():
                dirty += 1
                print(f"--- {relative(source)}\n{findings}", file=sys.stderr, flush=True)
            else:
                wanted[source].touch()
    print(clean + len(wanted) - dirty, dirty, 0)
    return int(dirty > 0 or clean + len(wanted) == 0)


if __name__ == "__main__":
    sys.exit(main())
