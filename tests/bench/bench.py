"""Measures opening, publishing and running sealed models beside what people use today.

Called by run.sh, which builds and fetches what it needs.
"""

import argparse
import fnmatch
import os
import pathlib
import subprocess
import sys
import time

import chart
import machine
import report
from contest import Contest, Result, Row, Sample, UnavailableError, evaluate, run_contest
from contests import Suite
from fixtures import ROOT, Fixtures, note
from rows import Table


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two minutes: a 100 MB model instead of 537 MB, none above 4 GiB, fewer rounds",
    )
    parser.add_argument(
        "--rows",
        metavar="PATTERN,...",
        default="*",
        help="only these rows of the table, like 'open-*,publish-folder'",
    )
    parser.add_argument("--rounds", type=int, help="how often each side runs")
    parser.add_argument(
        "--memory-as-is",
        action="store_true",
        help="don't touch free memory before a model is opened (see docs/performance.md)",
    )
    parser.add_argument("--list", action="store_true", help="show the rows and end")
    parser.add_argument(
        "--targets",
        action="store_true",
        help="beside each row what it must reach, what it aims at, and which of them it met",
    )
    parser.add_argument("--out", type=pathlib.Path, help="folder for bench.txt, .md, .csv and .png")
    parser.add_argument(
        "--docs",
        action="store_true",
        help="put the figures and the plot into README.md and docs/performance.* too",
    )
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(contests: list[Contest], rows: list[Row]) -> tuple[list[Result], list[str]]:
    """Runs each contest that a row needs; what can't be had is said and left out. Also returns the
    names of those that failed."""
    samples: dict[str, dict[str, list[Sample]]] = {}
    failed: list[str] = []
    for contest in contests:
        if not any(row.contest == contest.id for row in rows):
            continue
        begin = time.monotonic()
        try:
            samples[contest.id] = run_contest(contest)
        except UnavailableError as reason:
            note(f"skipped {contest.id}: {reason}")
            continue
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            note(f"FAILED {contest.id}: {error}")
            failed.append(contest.id)
            continue
        note(f"measured {contest.id} in {time.monotonic() - begin:.0f} s")
    results = [evaluate(row, samples[row.contest]) for row in rows if row.contest in samples]
    return results, failed


def main() -> None:
    arguments = parse()
    fixtures = Fixtures(arguments.build, arguments.build / "bench", sys.executable, arguments.quick)
    suite = Suite(fixtures, arguments.rounds, arguments.memory_as_is)
    table = Table(suite)
    patterns = arguments.rows.split(",")
    if arguments.list:
        print(report.listing(table.rows(), arguments.targets))
        return
    rows = [row for row in table.rows() if any(fnmatch.fnmatch(row.id, p) for p in patterns)]
    if not rows:
        sys.exit(f"run.sh: no row is called {arguments.rows}; see --list")
    about = machine.describe(
        fixtures.program("bench_machine"), fixtures.work, suite.large, fixtures.size(suite.large)
    )
    note("\n".join(about))
    try:
        results, failed = measure(suite.contests(), rows)
    finally:
        fixtures.stop()
    text = "\n".join([*about, "", report.table(results, arguments.targets)])
    print(text)
    out = arguments.out or fixtures.work
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.txt").write_text(text + "\n")
    document = report.markdown(results, arguments.targets)
    (out / "bench.md").write_text("\n".join([*about, "", document]) + "\n")
    report.write_csv(results, about, out / "bench.csv")
    try:
        chart.draw(results, about, out / "bench.png")
        if arguments.docs:
            report.write_documents(results, about, ROOT)
    except ImportError:
        note("no plot: matplotlib can't be had")
    note(f"written: {os.path.relpath(out)}/bench.txt, bench.md, bench.csv, bench.png")
    if failed:
        sys.exit(f"run.sh: not measured, because something failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
