"""What a run has measured: as a table, as CSV, and as what the documents show.

report.py RUN.csv [--targets] [--docs [FOLDER]] [--no-plot]

tells an earlier run again, from its bench.csv or from docs/performance.csv. --docs writes it into
README.md and docs/ of FOLDER, this tree if not given.
"""

import argparse
import csv
import pathlib
import sys
import textwrap
from collections.abc import Callable

import chart
from contest import Result, Row, Spread

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def spread(values: Spread | None) -> list[str]:
    if values is None:
        return ["", "", ""]
    return [number(values.median), number(values.low), number(values.high)]


def outcome(result: Result) -> str:
    if result.row.how == "ratio":
        return f"{number(result.result)}x"
    sign = "+" if result.row.how == "difference" and result.result >= 0 else ""
    return f"{sign}{number(result.result)} {result.row.unit}"


def bound(value: float | None, row: Row) -> str:
    if value is None:
        return ""
    return f"{value:g}x" if row.how == "ratio" else f"{value:g} {row.unit}"


def targets_of(result: Result) -> list[str]:
    row = result.row
    return [bound(row.must, row), bound(row.aim, row), result.verdict]


TARGETS = ["must", "aim", "met"]


def aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def table(results: list[Result], targets: bool) -> str:
    spreads = ["median", "min", "max"]
    headings = ["row", "what", "unit", *spreads, "beside", *spreads, "result"]
    lines = [[*headings, *(TARGETS if targets else []), "runs"]]
    for result in results:
        row = result.row
        cells = [row.id, row.what, row.unit, *spread(result.ours)]
        cells += [row.reference, *spread(result.theirs), outcome(result)]
        cells += targets_of(result) if targets else []
        lines.append([*cells, str(result.runs)])
    return aligned(lines)


def listing(rows: list[Row], targets: bool) -> str:
    """The rows of a table that isn't measured yet."""
    lines = [["row", "what", "beside", *(TARGETS[:2] if targets else [])]]
    for row in rows:
        bounds = [bound(row.must, row), bound(row.aim, row)] if targets else []
        lines.append([row.id, row.what, row.reference, *bounds])
    return aligned(lines)


def markdown(results: list[Result], targets: bool) -> str:
    """The same for a document: a spread is "median (min to max)"."""

    def joined(values: Spread | None, unit: str) -> str:
        if values is None:
            return ""
        median, low, high = spread(values)
        return f"{median} ({low} to {high}) {unit}"

    headings = ["what", "measured", "beside", "measured", "result", *(TARGETS if targets else [])]
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for result in results:
        row = result.row
        columns = [
            row.what,
            joined(result.ours, row.unit),
            row.reference,
            joined(result.theirs, row.unit),
            outcome(result),
            *(targets_of(result) if targets else []),
        ]
        lines.append("| " + " | ".join(columns) + " |")
    return "\n".join(lines)


# --- CSV, which holds all there is to know of a run


def _spread_cells(values: Spread | None) -> list[object]:
    return [values.median, values.low, values.high] if values else ["", "", ""]


COLUMNS: list[tuple[str, Callable[[Result], object]]] = [
    ("row", lambda r: r.row.id),
    ("contest", lambda r: r.row.contest),
    ("what", lambda r: r.row.what),
    ("side", lambda r: r.row.side),
    ("unit", lambda r: r.row.unit),
    ("median", lambda r: r.ours.median),
    ("min", lambda r: r.ours.low),
    ("max", lambda r: r.ours.high),
    ("reference", lambda r: r.row.reference),
    ("reference_median", lambda r: _spread_cells(r.theirs)[0]),
    ("reference_min", lambda r: _spread_cells(r.theirs)[1]),
    ("reference_max", lambda r: _spread_cells(r.theirs)[2]),
    ("how", lambda r: r.row.how),
    ("result", lambda r: r.result),
    ("must", lambda r: "" if r.row.must is None else f"{r.row.must:g}"),
    ("aim", lambda r: "" if r.row.aim is None else f"{r.row.aim:g}"),
    ("met", lambda r: r.verdict),
    ("runs", lambda r: r.runs),
]


def write_csv(results: list[Result], about: list[str], path: pathlib.Path) -> None:
    """What the machine is goes before it, as comments."""
    with path.open("w", newline="") as file:
        file.writelines(f"# {line}\n" for line in about)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([name for name, _ in COLUMNS])
        writer.writerows([cell(result) for _, cell in COLUMNS] for result in results)


def read_csv(path: pathlib.Path) -> tuple[list[Result], list[str]]:
    lines = path.read_text().splitlines()
    about = [line.removeprefix("# ") for line in lines if line.startswith("# ")]

    def result(cells: dict[str, str]) -> Result:
        row = Row(
            cells["row"],
            cells["contest"],
            cells["what"],
            cells["reference"],
            cells["side"],
            unit=cells["unit"],
            how=cells["how"],
            must=float(cells["must"]) if cells["must"] else None,
            aim=float(cells["aim"]) if cells["aim"] else None,
        )
        ours = Spread(float(cells["median"]), float(cells["min"]), float(cells["max"]))
        theirs = None
        if cells["reference_median"]:
            median, low, high = (float(cells[f"reference_{name}"]) for name in chart.SPREAD)
            theirs = Spread(median, low, high)
        return Result(row, int(cells["runs"]), ours, theirs, float(cells["result"]))

    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [result(cells) for cells in rows], about


# --- documents


def sentences(results: list[Result]) -> list[str]:
    """The README's: what somebody who chooses asks first. One whose rows aren't there is left
    out."""
    found = {result.row.id: result for result in results}

    def ours(row: str) -> str:
        return chart.amount(found[row].ours.median, found[row].row.unit)

    def theirs(row: str) -> str:
        other = found[row].theirs
        assert other is not None, f"{row} is compared with nothing"
        return chart.amount(other.median, found[row].row.unit)

    large = chart.large_model(results)
    candidates: list[Callable[[], str]] = [
        lambda: (
            f"**Open** a TorchScript file of {large} from a folder: {ours('open-signed')}, or "
            f"{ours('open-aead')} at level `aead`; `torch.jit.load` opens the plaintext in "
            f"{theirs('open-signed')}, CryptoTensors loads its tensors in "
            f"{theirs('open-cryptotensors')}. One of 1 MB: {ours('open-1mb')} beside "
            f"{theirs('open-1mb')}."
        ),
        lambda: (
            f"**Open it from MongoDB**: {ours('mongodb-raw')}. A raw download by libmongoc takes "
            f"{theirs('mongodb-raw')}; GridFS and go-jose {theirs('mongodb-go')} until it is "
            f"decrypted, pymongo and jwcrypto {theirs('mongodb-python')} until it is loaded."
        ),
        lambda: (
            f"**Publish it**: {ours('publish-folder')} to a folder (`cp` and fsync: "
            f"{theirs('publish-folder')}), {ours('publish-mongodb')} to MongoDB (a raw upload by "
            f"libmongoc: {theirs('publish-mongodb')})."
        ),
        lambda: (
            f"**Run** a small MLP: {ours('infer-c')} through the C ABI (libtorch itself from C++: "
            f"{theirs('infer-c')}), {ours('infer-python')} from NumPy to NumPy (torch: "
            f"{theirs('infer-python')}), {ours('infer-go')} from Go."
        ),
        lambda: (
            f"**Memory** while it opens: the model and {ours('memory-signed')} from a folder, "
            f"{ours('memory-mongodb-signed')} from MongoDB."
        ),
    ]
    told = []
    for candidate in candidates:
        try:
            told.append(wrapped(f"- {candidate()}"))
        except KeyError:
            continue
    return told


def wrapped(text: str) -> str:
    return textwrap.fill(
        text, 115, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def replace_marked(path: pathlib.Path, text: str) -> None:
    """Puts `text` between the two lines that mark what a document takes from the benchmark."""
    before, _, rest = path.read_text().partition("<!-- bench -->\n")
    _, _, after = rest.partition("<!-- /bench -->\n")
    path.write_text(f"{before}<!-- bench -->\n{text}\n<!-- /bench -->\n{after}")


def write_documents(
    results: list[Result], about: list[str], root: pathlib.Path, with_plot: bool = True
) -> None:
    machine = "\n".join(f"- {line}" for line in about)
    plot = f"![{chart.TITLE}](performance.png)"
    whole = f"{machine}\n\n{markdown(results, targets=False)}\n\n{plot}"
    replace_marked(root / "docs" / "performance.md", whole)
    lines = "\n".join(sentences(results))
    shown = f"{lines}\n\n{about[0]}; {about[-1]}.\n\n{plot.replace('(', '(docs/')}"
    replace_marked(root / "README.md", shown)
    write_csv(results, about, root / "docs" / "performance.csv")
    if with_plot:
        chart.draw(results, about, root / "docs" / "performance.png")


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh --from", description=__doc__)
    parser.add_argument("run", type=pathlib.Path, metavar="RUN.csv")
    parser.add_argument("--targets", action="store_true")
    parser.add_argument("--docs", nargs="?", type=pathlib.Path, const=ROOT, metavar="FOLDER")
    parser.add_argument("--no-plot", action="store_true")
    arguments = parser.parse_args()
    results, about = read_csv(arguments.run)
    print("\n".join([*about, "", table(results, arguments.targets)]))
    if arguments.docs is None:
        return
    try:
        write_documents(results, about, arguments.docs, not arguments.no_plot)
    except ImportError:
        sys.exit("run.sh: no plot, because matplotlib can't be had; the rest is written")


if __name__ == "__main__":
    main()
