"""Looks for pieces of a model file in stored bytes, where there must be none.

    search.py MODEL PAYLOAD STORED...

MODEL is the plaintext file, PAYLOAD its ciphertext as `ptsecure export` wrote it, STORED the files
and folders where it is kept. A search that finds nothing proves little by itself, so the same
search has to find pieces of PAYLOAD in STORED and all pieces of MODEL in MODEL.
"""

import os
import pathlib
import sys
import zipfile
from collections.abc import Iterator

WINDOW = 24
WINDOWS = 200


def windows(data: bytes) -> set[bytes]:
    """Short runs of bytes from all over the file; none that could be anywhere, like zeros."""
    step = max(1, (len(data) - WINDOW) // WINDOWS)
    found = (data[i : i + WINDOW] for i in range(0, len(data) - WINDOW, step))
    return {piece for piece in found if len(set(piece)) > WINDOW // 3}


def model_pieces(path: str) -> set[bytes]:
    with zipfile.ZipFile(path) as archive:
        names = {name.encode() for name in archive.namelist()}
    return names | windows(pathlib.Path(path).read_bytes())


def files_of(paths: list[str]) -> Iterator[pathlib.Path]:
    for path in map(pathlib.Path, paths):
        yield from (p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def count_found(pieces: set[bytes], files: list[pathlib.Path]) -> int:
    left = set(pieces)
    for file in files:
        # Preallocated files are mostly zeros, which no piece has many of.
        data = file.read_bytes().replace(bytes(4096), b"\0")
        left -= {piece for piece in left if piece in data}
    return len(pieces) - len(left)


def main() -> int:
    model, payload, stored = sys.argv[1], sys.argv[2], list(files_of(sys.argv[3:]))
    plain = model_pieces(model)
    sealed = windows(pathlib.Path(payload).read_bytes())
    found_plain = count_found(plain, stored)
    found_sealed = count_found(sealed, stored)
    found_control = count_found(plain, [pathlib.Path(model)])
    size = sum(os.path.getsize(p) for p in stored)
    name = os.path.basename(model)
    print(f"  searched {len(stored)} stored files, {size:,} bytes, for pieces of {WINDOW} bytes:")
    print(f"  {found_plain:4} of {len(plain)} pieces of {name} (names, code, weights) are in there")
    print(f"  {found_sealed:4} of {len(sealed)} pieces of its ciphertext are")
    print(f"  {found_control:4} of {len(plain)} pieces are in {name} itself, by the same search")
    good = found_plain == 0 and found_sealed == len(sealed) and found_control == len(plain)
    if not good:
        print("  That is not as it should be.", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
