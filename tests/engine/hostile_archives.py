"""TorchScript archives that somebody with bad intentions would have signed."""

import zipfile
from pathlib import Path

# What the pickle runs where a loader lets it: a file of this name shows that it did.
TRACE = "ptsecure-hostile-pickle-was-here"


def make_hostile(folder: Path) -> None:
    with zipfile.ZipFile(folder / "linear.pt") as source:
        records = {info.filename: source.read(info) for info in source.infolist()}

    def write(name: str, changed: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
        path = folder / f"hostile_{name}.pt"
        with zipfile.ZipFile(path, "w", method) as archive:
            for record, data in (records | changed).items():
                archive.writestr(record, data)
        return path

    command = f"touch {folder / TRACE}".encode()
    call = b"\x80\x02cposix\nsystem\nX" + len(command).to_bytes(4, "little") + command + b"\x85R."
    write("pickle", {"linear/data.pkl": call})
    write("constants", {"linear/constants.pkl": call})
    write("zip_slip", {f"linear/../../{TRACE}": b"x", f"/tmp/{TRACE}": b"x", f"../{TRACE}": b"x"})
    write("bomb", {"linear/data/0": bytes(256 << 20)}, zipfile.ZIP_DEFLATED)
    pickle = records["linear/data.pkl"]
    twelve = b"K\x0ct"  # the elements of the weights' storage, end of tuple
    assert twelve in pickle
    for name, count in (("elements", 1 << 61), ("more_elements", (1 << 63) - 1)):
        huge = b"\x8a\x08" + count.to_bytes(8, "little") + b"t"
        write(name, {"linear/data.pkl": pickle.replace(twelve, huge, 1)})

    # Sizes that only the directory claims.
    for name, method in (
        ("stored_size", zipfile.ZIP_STORED),
        ("deflated_size", zipfile.ZIP_DEFLATED),
    ):
        path = write(name, {}, method)
        content = bytearray(path.read_bytes())
        entry = content.rindex(b"linear/data/0") - 46
        assert content[entry : entry + 4] == b"PK\x01\x02"
        content[entry + 24 : entry + 28] = (0xFFFFFFF0).to_bytes(4, "little")
        path.write_bytes(content)
