"""Prints "passed failed skipped" of a test run and, before that on stderr, what was skipped and, of
Go, whose results are one file of JSON, what the failed ones printed.

    count.py ctest RESULT.xml FOLDER    a ctest run whose GoogleTest programs wrote XML into FOLDER
    count.py junit RESULT.xml
    count.py go RESULT.json

Exits with 1 when nothing at all ran.
"""

import json
import pathlib
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable


class Count:
    def __init__(self) -> None:
        self.passed = self.failed = 0
        self.skipped: list[str] = []

    def add_case(self, name: str, failed: bool, skipped: bool) -> None:
        if failed:
            self.failed += 1
        elif skipped:
            self.skipped.append(name)
        else:
            self.passed += 1


def add_junit(count: Count, cases: Iterable[ET.Element]) -> None:
    for case in cases:
        failed = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None or case.get("result") == "skipped"
        count.add_case(f"{case.get('classname')}.{case.get('name')}", failed, skipped)


def count_ctest(result: pathlib.Path, folder: pathlib.Path) -> Count:
    count = Count()
    for test in ET.parse(result).iter("testcase"):
        failed = test.get("status") == "fail" or test.find("failure") is not None
        name = test.get("name", "?")
        inner = folder / f"{name}.xml"
        if not inner.is_file():
            count.add_case(name, failed, test.get("status") in ("notrun", "disabled"))
            continue
        before = count.failed
        add_junit(count, (c for c in ET.parse(inner).iter("testcase") if c.get("status") == "run"))
        # A program that failed without a failed case: a crash at the end, a leak, a race.
        if failed and count.failed == before:
            count.failed += 1
    return count


def count_junit(result: pathlib.Path) -> Count:
    count = Count()
    add_junit(count, ET.parse(result).iter("testcase"))
    return count


def count_go(result: pathlib.Path) -> Count:
    count = Count()
    failed_packages, packages_with_failed_test = set(), set()
    printed: dict[tuple[str, str], list[str]] = {}
    for line in result.read_text().splitlines():
        if not line.startswith("{"):
            print(line, file=sys.stderr)  # what gofmt and vet say
            continue
        event = json.loads(line)
        action, package = event.get("Action"), event.get("Package", event.get("ImportPath"))
        lines = printed.setdefault((package, event.get("Test", "")), [])
        lines.append(event.get("Output", ""))
        if action in ("fail", "build-fail"):
            print("".join(lines), end="", file=sys.stderr)
        if event.get("Test") and action in ("pass", "fail", "skip"):
            count.add_case(f"{package}.{event['Test']}", action == "fail", action == "skip")
            if action == "fail":
                packages_with_failed_test.add(package)
        elif action in ("fail", "build-fail"):
            failed_packages.add(package)
    count.failed += len(failed_packages - packages_with_failed_test)
    return count


def main() -> None:
    kind, result = sys.argv[1], pathlib.Path(sys.argv[2])
    if kind == "ctest":
        count = count_ctest(result, pathlib.Path(sys.argv[3]))
    else:
        count = {"junit": count_junit, "go": count_go}[kind](result)
    for name in count.skipped:
        print(f"skipped: {name}", file=sys.stderr)
    print(count.passed, count.failed, len(count.skipped))
    sys.exit(0 if count.passed + count.failed else 1)


if __name__ == "__main__":
    main()
