"""The table, as text, CSV and PNG."""

import csv
import pathlib

from contest import Result, Spread


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


def bound(value: float | None, result: Result) -> str:
    if value is None:
        return ""
    return f"{value:g}x" if result.row.how == "ratio" else f"{value:g} {result.row.unit}"


HEADINGS = [
    "row",
    "what",
    "unit",
    "median",
    "min",
    "max",
    "beside",
    "median",
    "min",
    "max",
    "result",
    "must",
    "aim",
    "met",
    "runs",
]


def cells(result: Result) -> list[str]:
    row = result.row
    return [
        row.id,
        row.what,
        row.unit,
        *spread(result.ours),
        row.reference,
        *spread(result.theirs),
        outcome(result),
        bound(row.must, result),
        bound(row.aim, result),
        result.verdict,
        str(result.runs),
    ]


def table(results: list[Result]) -> str:
    lines = [HEADINGS, *map(cells, results)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(results: list[Result]) -> str:
    """The same for a document: a spread is "median (min to max)"."""

    def joined(values: Spread | None, unit: str) -> str:
        if values is None:
            return ""
        median, low, high = spread(values)
        return f"{median} ({low} to {high}) {unit}"

    lines = [
        "| what | measured | beside | measured | result | must | aim | met |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        row = result.row
        columns = [
            row.what,
            joined(result.ours, row.unit),
            row.reference,
            joined(result.theirs, row.unit),
            outcome(result),
            bound(row.must, result),
            bound(row.aim, result),
            result.verdict,
        ]
        lines.append("| " + " | ".join(columns) + " |")
    return "\n".join(lines)


# The rows that the README shows.
MAIN = [
    "open-aead",
    "open-signed",
    "open-cryptotensors",
    "open-1mb",
    "open-many",
    "mongodb-raw",
    "mongodb-go",
    "mongodb-python",
    "memory-signed",
    "publish-folder",
    "publish-mongodb",
    "infer-c",
    "infer-python",
    "infer-go",
    "list-start",
]


def replace_marked(path: pathlib.Path, text: str) -> None:
    """Puts `text` between the two lines that mark a document's table."""
    before, _, rest = path.read_text().partition("<!-- bench -->\n")
    _, _, after = rest.partition("<!-- /bench -->\n")
    path.write_text(f"{before}<!-- bench -->\n{text}\n<!-- /bench -->\n{after}")


def write_documents(results: list[Result], about: list[str], root: pathlib.Path) -> None:
    machine = "\n".join(f"- {line}" for line in about)
    what = "Times as multiples of what they are compared with"
    whole = f"{machine}\n\n{markdown(results)}\n\n![{what}](performance.png)"
    replace_marked(root / "docs" / "performance.md", whole)
    main = [result for result in results if result.row.id in MAIN]
    shown = f"![{what}](docs/performance.png)\n\n{machine}\n\n{markdown(main)}"
    replace_marked(root / "README.md", shown)
    plot(results, "\n".join(about[:2]), root / "docs" / "performance.png")


def write_csv(results: list[Result], path: pathlib.Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "row",
                "what",
                "unit",
                "median",
                "min",
                "max",
                "reference",
                "reference_median",
                "reference_min",
                "reference_max",
                "how",
                "result",
                "must",
                "aim",
                "met",
                "runs",
            ]
        )
        for result in results:
            row, ours, theirs = result.row, result.ours, result.theirs
            writer.writerow(
                [
                    row.id,
                    row.what,
                    row.unit,
                    ours.median,
                    ours.low,
                    ours.high,
                    row.reference,
                    *((theirs.median, theirs.low, theirs.high) if theirs else ("", "", "")),
                    row.how,
                    result.result,
                    "" if row.must is None else row.must,
                    "" if row.aim is None else row.aim,
                    result.verdict,
                    result.runs,
                ]
            )


def plot(results: list[Result], title: str, path: pathlib.Path) -> None:
    """Rows that are ratios and have a bound: below 1 ptsecure is the faster one."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [
        r
        for r in results
        if r.row.how == "ratio" and r.row.must is not None and not r.row.id.startswith("flat-")
    ]
    if not shown:
        return
    shown.reverse()
    figure, axes = pyplot.subplots(figsize=(10, 0.55 * len(shown) + 1.6))
    places = range(len(shown))
    axes.barh(
        places,
        [r.result for r in shown],
        height=0.55,
        color=["#c0504d" if r.verdict == "MISSED" else "#4f81bd" for r in shown],
    )
    for place, result in zip(places, shown, strict=True):
        for value, style in ((result.row.must, "-"), (result.row.aim, ":")):
            if value is not None:
                axes.plot([value, value], [place - 0.4, place + 0.4], style, color="black")
        axes.annotate(f" {outcome(result)}", (result.result, place), va="center", fontsize=8)
    axes.set_yticks(places, [f"{r.row.what}\nbeside {r.row.reference}" for r in shown], fontsize=8)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    ticks = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("time, as a multiple of the reference (line: must, dots: aim)")
    axes.set_title(title, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
