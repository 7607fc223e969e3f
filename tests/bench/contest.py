"""Sides that are measured in turns, and what a row of the table makes of them."""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence

Sample = dict[str, float]
Command = Sequence[str | pathlib.Path]


class UnavailableError(Exception):
    """Something to compare with can't be had here; the message says why."""


@dataclasses.dataclass(frozen=True)
class Side:
    """One way of doing the job. Each call is one fresh process, or one round inside one."""

    name: str
    run: Callable[[], list[Sample]]


@dataclasses.dataclass(frozen=True)
class Contest:
    """Sides that run in turns, A B C, B C A, C A B, ..., so that none always follows the same one.
    `prepare` makes what they need and returns them."""

    id: str
    prepare: Callable[[], list[Side]]
    rounds: int
    warm_up: int = 1  # rounds before that aren't recorded: they fill the page cache


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: a metric of one side of a contest beside that of another."""

    id: str
    contest: str
    what: str
    reference: str
    side: str
    other: str | None = None  # None: the value itself is compared with must and aim
    metric: str = "seconds"
    other_metric: str | None = None  # None: the same
    unit: str = "s"
    scale: float = 1.0  # from the metric's unit to the row's
    less: Callable[[], float] | None = None  # taken off the metric, as the model's size off a peak
    how: str = "ratio"  # or "difference", or "value"
    must: float | None = None
    aim: float | None = None


@dataclasses.dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float

    @staticmethod
    def of(values: list[float]) -> "Spread":
        return Spread(statistics.median(values), min(values), max(values))


@dataclasses.dataclass(frozen=True)
class Result:
    row: Row
    runs: int
    ours: Spread
    theirs: Spread | None
    result: float  # the ratio, difference or value, in the row's unit

    @property
    def verdict(self) -> str:
        for bound, text in ((self.row.aim, "aim"), (self.row.must, "must")):
            if bound is not None and self.result <= bound:
                return text
        return "" if self.row.must is None else "MISSED"


def run_json(command: Command, environment: Mapping[str, str] | None = None) -> list[Sample]:
    """Runs one process and returns what it printed: an object of numbers, or of lists of them."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise RuntimeError(f"{pathlib.Path(str(command[0])).name} failed: {lines[-1]}")
    printed = json.loads(done.stdout.strip().splitlines()[-1])
    lists = {name: value for name, value in printed.items() if isinstance(value, list)}
    if not lists:
        return [printed]
    rounds = min(len(values) for values in lists.values())
    return [{name: values[i] for name, values in lists.items()} for i in range(rounds)]


def run_contest(contest: Contest) -> dict[str, list[Sample]]:
    sides = contest.prepare()
    samples: dict[str, list[Sample]] = {side.name: [] for side in sides}
    for round_number in range(-contest.warm_up, contest.rounds):
        first = round_number % len(sides)
        for side in sides[first:] + sides[:first]:
            measured = side.run()
            if round_number >= 0:
                samples[side.name] += measured
    return samples


def evaluate(row: Row, samples: dict[str, list[Sample]]) -> Result:
    """The median of the ratios, or differences, round by round: what disturbs the machine for a
    while disturbs both sides of a round."""

    def values(side: str, metric: str) -> list[float]:
        less = row.less() if row.less else 0.0
        return [(sample[metric] - less) * row.scale for sample in samples[side]]

    ours = values(row.side, row.metric)
    if row.other is None:
        return Result(row, len(ours), Spread.of(ours), None, statistics.median(ours))
    theirs = values(row.other, row.other_metric or row.metric)
    pairs = list(zip(ours, theirs, strict=False))
    if row.how == "ratio":
        result = statistics.median(a / b for a, b in pairs)
    else:
        result = statistics.median(a - b for a, b in pairs)
    return Result(row, len(pairs), Spread.of(ours), Spread.of(theirs), result)
