"""Finds names that two files of one folder both keep to themselves.

With -DPTSECURE_UNITY=ON a folder is compiled as one file, where such names would clash, or worse,
overload each other in silence.
"""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("libptsecure", "capi", "bindings/cli", "bindings/python")

# clang-format puts every definition of an unnamed namespace at the start of a line.
PRIVATE = re.compile(r"^namespace \{\n(.*?)^\}  // namespace\n", re.MULTILINE | re.DOTALL)
DEFINED = re.compile(
    r"^(?:struct|class|union|enum class|enum|concept) (\w+)|^using (\w+)(?= =)"  # a type
    r"|^(?!template|using|namespace|static_assert|struct|class|union|enum|#|/|\})"
    r"[\w\[][^=;{(]*?[ *&>](\w+)"
    r"(?=\(| = |\[|\{|;)",  # a function, a constant, a variable
    re.MULTILINE,
)


def private_names(text: str) -> set[str]:
    found = set()
    for part in PRIVATE.findall(text):
        found |= {"".join(names) for names in DEFINED.findall(part)}
    return found


def main() -> int:
    clashes = 0
    folders = collections.defaultdict(list)
    for top in FOLDERS:
        for source in sorted((ROOT / top).rglob("*.cc")):
            folders[source.parent].append(source)
    for folder, sources in folders.items():
        holders = collections.defaultdict(list)
        for source in sources:
            for name in private_names(source.read_text()):
                holders[name].append(source.name)
        for name, files in sorted(holders.items()):
            if len(files) > 1:
                print(f"{folder.relative_to(ROOT)}: {name} is private to {' and '.join(files)}")
                clashes += 1
    return clashes > 0


if __name__ == "__main__":
    sys.exit(main())
