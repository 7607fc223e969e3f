"""Prints the model's answers beside the pictures, as text, and how many were right.

    show.py ANSWERS.json heldout_images.npy heldout_labels.npy

ANSWERS.json is what `ptsecure infer --json` printed. Needs nothing but Python.
"""

import json
import sys
from collections.abc import Sequence

import npy

SHADES = " .:-=+*#%@"
PER_ROW = 4
SIDE = 8


def picture(pixels: Sequence[float]) -> list[str]:
    """Eight lines, two characters a pixel so that it looks square."""
    rows = (pixels[i * SIDE : (i + 1) * SIDE] for i in range(SIDE))
    return ["".join(SHADES[round(p * (len(SHADES) - 1))] * 2 for p in row) for row in rows]


def read_scores(path: str) -> list[list[float]]:
    with open(path, encoding="utf-8") as file:
        output = json.load(file)["outputs"][0]
    count, classes = output["shape"]
    data = output["data"]
    return (
        data
        if data and isinstance(data[0], list)
        else [data[i * classes : (i + 1) * classes] for i in range(count)]
    )


def main() -> int:
    scores = read_scores(sys.argv[1])
    _, pixels = npy.read(sys.argv[2])
    _, labels = npy.read(sys.argv[3])
    if not len(scores) == len(labels) == len(pixels) // SIDE**2:
        print(f"{len(scores)} answers to {len(labels)} pictures", file=sys.stderr)
        return 1
    answers = [max(range(len(row)), key=row.__getitem__) for row in scores]
    wrong = [i for i, (a, b) in enumerate(zip(answers, labels, strict=True)) if a != b]
    # Some taken at even distances, and some that went wrong, if any did.
    shown = list(range(0, len(labels), len(labels) // 6))[:6] + wrong[:2]

    for start in range(0, len(shown), PER_ROW):
        group = shown[start : start + PER_ROW]
        art = [picture(pixels[i * SIDE**2 : (i + 1) * SIDE**2]) for i in group]
        print()
        for lines in zip(*art, strict=True):
            print("  " + "   ".join(f"{line:<16}" for line in lines).rstrip())
        captions = []
        for i in group:
            note = "" if answers[i] == labels[i] else f", is {labels[i]}"
            captions.append(f"{answers[i]} ({scores[i][answers[i]]:.0%}{note})")
        print("  " + "   ".join(f"{caption:<16}" for caption in captions).rstrip())
    right = len(labels) - len(wrong)
    print(f"\n  {right} of {len(labels)} right: {right / len(labels):.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
