"""`make everywhere` runs the tests that are evidence for a platform, and writes README's table of platforms from what ran.

A test names its rows by `pytest.mark.platform`. A row says how many of its tests passed; one that did not run, or was skipped, counts as
failed. A part can be run alone, `make everywhere ONLY=EXPRESSION` as for pytest's `-k`: a row then stays as it is unless all its tests ran.
A row that no test names any more goes.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rig import BUILD, ROOT

README = ROOT / "README.md"
REPORT = BUILD / "everywhere.xml"
BEGIN, END = "<!-- `make everywhere` writes these rows. -->", "<!-- End of the rows. -->"
HEAD = ["| platform | tests | of these in `make test` | on |", "|---|---|---|---|"]


@dataclasses.dataclass
class Row:
    """A platform, and what its tests said."""

    platform: str
    passed: int = 0
    #: Those that `make test` runs as well.
    in_ci: int = 0
    ran: int = 0

    def written(self, tests: int) -> str:
        """Returns the row of a platform that so many tests name."""
        result = f"{tests} passed" if self.passed == tests else f"{tests - self.passed} of {tests} FAILED"
        return f"| {self.platform} | {result} | {self.in_ci} | {datetime.date.today().isoformat()} |"


def ran(report: Path) -> dict[str, Row]:
    """Reads a report of pytest: maps each platform to what ran for it."""
    rows: dict[str, Row] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        recorded = [(item.get("name"), item.get("value", "")) for item in case.iter("property")]
        # A test that was skipped could not run, so it counts as failed.
        failed = any(item.tag in ("failure", "error", "skipped") for item in case)
        for platform in {value for name, value in recorded if name == "platform"}:
            row = rows.setdefault(platform, Row(platform))
            row.ran += 1
            row.passed += not failed
            row.in_ci += ("run by", "make test") in recorded
    return rows


def platforms(item: pytest.Item) -> list[str]:
    """Returns the rows for which a test is evidence."""
    return [marker.args[0] for marker in item.iter_markers("platform")]


class Collected:
    """A plugin of pytest that counts the tests of each platform."""

    def __init__(self) -> None:
        self.tests: Counter[str] = Counter()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Counts one test."""
        self.tests.update(set(platforms(item)))


def named() -> Counter[str]:
    """Returns how many tests name each platform."""
    collected = Collected()
    code = pytest.main(["--collect-only", "-qqq", "-o", "addopts=--strict-markers", str(ROOT / "tests")], plugins=[collected])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"pytest cannot collect the tests: {code!r}")
    return collected.tests


def written(readme: str) -> dict[str, str]:
    """Returns the rows of README's table by platform."""
    lines = readme.split(BEGIN, 1)[1].split(END, 1)[0].splitlines()
    return {line.split("|")[1].strip(): line for line in lines if line.startswith("|") and line not in HEAD}


def rewritten(readme: str, rows: dict[str, Row], tests: Mapping[str, int], *, in_part: bool) -> str:
    """Returns README with these rows in its table, and the old ones of platforms that a test still names.

    Of a run `in_part` it takes the rows of which every test ran.
    """
    lines = {name: line for name, line in written(readme).items() if name in tests}
    lines |= {name: row.written(tests[name]) for name, row in rows.items() if not in_part or row.ran == tests[name]}
    table = [BEGIN, *HEAD, *(lines[name] for name in sorted(lines)), END]
    return readme.split(BEGIN, 1)[0] + "\n".join(table) + readme.split(END, 1)[1]


def main() -> int:
    """Returns 0 if and only if tests ran and none failed."""
    parser = argparse.ArgumentParser(prog="make everywhere", usage="make everywhere [ONLY=EXPRESSION]")
    parser.add_argument("--only", metavar="EXPRESSION", default="")
    only = parser.parse_args().only
    tests = named()
    REPORT.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-v", "--no-header", "-n2", "--dist=worksteal", f"--junitxml={REPORT}"]
    code = subprocess.run([*command, "-m", "platform", *(["-k", only] if only else [])], cwd=ROOT, check=False).returncode
    if REPORT.exists():
        rows = ran(REPORT)
        README.write_text(rewritten(README.read_text(), rows, tests, in_part=bool(only) or code not in (0, 1)))
        print(*(row.written(tests[name]) for name, row in rows.items()), sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
