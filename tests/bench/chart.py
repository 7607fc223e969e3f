"""The plot: ours beside each peer by name, in seconds, for people who choose."""

import dataclasses
import pathlib
import re
import textwrap
from typing import Any

from contest import Result, Spread

TITLE = "ptsecure beside what people use today: times, shorter is better"
NOTES = (
    "Bars: medians; lines: from the least to the greatest. torch.jit.load and "
    "AOTIModelPackageLoader open plaintext; raw download and upload only move bytes."
)
SPREAD = ("median", "min", "max")

# Each group has one linear scale; a cluster's bars are of one contest, whose sides ran in turns.
# Of a cluster's rows those that weren't measured are left out.
GROUPS: list[tuple[str, list[tuple[str, list[str]]]]] = [
    (
        "Open from a folder",
        [
            ("TorchScript, {large}", ["open-signed", "open-aead"]),
            ("its tensors alone, {large}", ["open-cryptotensors"]),
            ("compiled (.pt2), 100 MB", ["open-package-signed", "open-package-aead"]),
            ("TorchScript, 5,000 small tensors, 20 MB", ["open-many"]),
            ("TorchScript, 1 MB", ["open-1mb"]),
        ],
    ),
    (
        "Open from MongoDB",
        [
            ("{large}, beside a mere download", ["mongodb-raw", "mongodb-raw-aead"]),
            ("{large}, beside a JWE in GridFS, Go", ["mongodb-go"]),
            ("{large}, beside a JWE in GridFS, Python", ["mongodb-python"]),
        ],
    ),
    (
        "Publish",
        [
            ("{large} to a folder", ["publish-folder"]),
            ("{large} to MongoDB", ["publish-mongodb"]),
        ],
    ),
    (
        "Run, one call",
        [
            ("a small MLP, from C", ["infer-c"]),
            ("the same, from Python", ["infer-python"]),
            ("the same, from Go", ["infer-go"]),
            ("a compiled linear layer, from C", ["infer-package"]),
        ],
    ),
]

# Beside a point of the chart.
TEXT: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8.5}
COLOURS = {"signed": "#1f4e79", "aead": "#6fa8dc", "": "#1f4e79", "theirs": "#b7b7b7"}


@dataclasses.dataclass(frozen=True)
class Bar:
    label: str
    colour: str
    values: Spread


def amount(value: float, unit: str) -> str:
    """For people: 0.184 s, 14.1 ms, 13.2 µs, 17.2 MiB, never broken over two lines."""
    if unit == "s" and value < 0.1:
        value, unit = value * 1000, "ms"
    digits = f"{value:#.3g}".rstrip(".")
    return f"{digits}\u00a0{unit.replace('us', 'µs')}"


def large_model(results: list[Result]) -> str:
    """ "537 MB", or what the large model of a quick run is."""
    for result in results:
        found = re.match(r"open (\d+)mb, folder, signed", result.row.what)
        if found and result.row.id == "open-signed":
            return f"{found[1]} MB"
    return "537 MB"


def bars(found: dict[str, Result], rows: list[str]) -> list[Bar]:
    measured = [found[row] for row in rows if row in found]
    if not measured:
        return []
    out = []
    for result in measured:
        level = result.row.side if result.row.side in COLOURS else ""
        label = f"ptsecure, {level}" if level else "ptsecure"
        out.append(Bar(label, COLOURS[level], result.ours))
    theirs = measured[0].theirs
    assert theirs is not None, f"{rows[0]} is compared with nothing"
    out.append(Bar(measured[0].row.reference, COLOURS["theirs"], theirs))
    return out


def draw(results: list[Result], about: list[str], path: pathlib.Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = {result.row.id: result for result in results}
    large = large_model(results)
    groups = []
    for title, clusters in GROUPS:
        shown = [(name.format(large=large), bars(found, rows)) for name, rows in clusters]
        shown = [(name, each) for name, each in shown if each]
        if shown:
            groups.append((title, shown, "us" if title.startswith("Run") else "s"))
    if not groups:
        return
    # In bars: each cluster has its name above it.
    heights = [sum(len(each) + 1.3 for _, each in shown) for _, shown, _ in groups]
    figure, axes = pyplot.subplots(
        len(groups),
        1,
        figsize=(9, 0.2 * sum(heights) + 0.85 * len(groups)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, (title, shown, unit) in zip(axes[:, 0], groups, strict=True):
        _draw_group(axis, title, shown, unit)
    figure.suptitle(TITLE, fontsize=12, fontweight="bold")
    notes = f"{NOTES} {'; '.join(about[:1] + about[-1:])}."
    figure.supxlabel(textwrap.fill(notes, 115), fontsize=8)
    # "tight": as large as all that was drawn, so nothing is cut off.
    figure.savefig(path, dpi=120, bbox_inches="tight", pad_inches=0.15)
    pyplot.close(figure)


def _draw_group(axis: Any, title: str, shown: list[tuple[str, list[Bar]]], unit: str) -> None:
    place = 0.0
    places, labels = [], []
    longest = max(bar.values.high for _, each in shown for bar in each)
    for name, each in shown:
        axis.annotate(name, (0, place), (3, 0), fontstyle="italic", **TEXT)
        place += 0.95
        for bar in each:
            axis.barh(place, bar.values.median, height=0.82, color=bar.colour)
            axis.plot([bar.values.low, bar.values.high], [place, place], color="black", linewidth=1)
            end = max(bar.values.median, bar.values.high)
            axis.annotate(amount(bar.values.median, unit), (end, place), (5, 0), **TEXT)
            places.append(place)
            labels.append(bar.label)
            place += 1
        place += 0.35
    axis.set_yticks(places, labels, fontsize=8.5)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(place - 0.4, -0.7)  # the first one on top
    axis.set_xlim(0, 1.14 * longest)
    axis.set_title(title, fontsize=10.5, fontweight="bold", loc="left")
    axis.set_xlabel("microseconds" if unit == "us" else "seconds", fontsize=8.5)
    axis.tick_params(axis="x", labelsize=8.5)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
