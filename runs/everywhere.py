"""`make everywhere` runs the tests that are evidence for a platform, and writes README's table of platforms from what ran.

A test names its rows by `pytest.mark.platform`. A row is written when at least one of its tests ran and none failed; a row of which a
test failed says so. Rows of which nothing ran this time stay as they are, so that a part can be run alone:
`make everywhere ONLY=EXPRESSION`, as for pytest's `-k`. A row that no test names any more goes.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rig import BUILD, ROOT

README = ROOT / "README.md"
REPORT = BUILD / "everywhere.xml"
BEGIN, END = "<!-- `make everywhere` writes these rows. -->", "<!-- End of the rows. -->"
HEAD = ["| platform | tests | run by | on |", "|---|---|---|---|"]


@dataclasses.dataclass
class Row:
    """A platform, and what its tests said."""

    platform: str
    passed: int = 0
    failed: int = 0
    #: True if `make test` runs one of the tests as well.
    in_ci: bool = False

    def __str__(self) -> str:
        tests = f"{self.failed} of {self.passed + self.failed} FAILED" if self.failed else f"{self.passed} passed"
        run_by = "`make test`" if self.in_ci else "`make everywhere`"
        return f"| {self.platform} | {tests} | {run_by} | {datetime.date.today().isoformat()} |"


def ran(report: Path) -> dict[str, Row]:
    """Reads a report of pytest: maps each platform to what ran for it."""
    rows: dict[str, Row] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        recorded = [(item.get("name"), item.get("value", "")) for item in case.iter("property")]
        # A test that was skipped could not run, so it counts as failed.
        failed = any(item.tag in ("failure", "error", "skipped") for item in case)
        for platform in [value for name, value in recorded if name == "platform"]:
            row = rows.setdefault(platform, Row(platform))
            row.failed += failed
            row.passed += not failed
            row.in_ci |= ("run by", "make test") in recorded
    return rows


def platforms(item: pytest.Item) -> list[str]:
    """Returns the rows for which a test is evidence."""
    return [marker.args[0] for marker in item.iter_markers("platform")]


class Collected:
    """A plugin of pytest that gathers the platforms of all tests."""

    def __init__(self) -> None:
        self.platforms: set[str] = set()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Takes the platforms of one test."""
        self.platforms.update(platforms(item))


def named() -> set[str]:
    """Returns every platform that a test names."""
    collected = Collected()
    code = pytest.main(["--collect-only", "-qqq", "-o", "addopts=--strict-markers", str(ROOT / "tests")], plugins=[collected])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"pytest cannot collect the tests: {code!r}")
    return collected.platforms


def written(readme: str) -> dict[str, str]:
    """Returns the rows of README's table by platform."""
    lines = readme.split(BEGIN, 1)[1].split(END, 1)[0].splitlines()
    return {line.split("|")[1].strip(): line for line in lines if line.startswith("|") and line not in HEAD}


def rewritten(readme: str, rows: dict[str, Row], known: set[str]) -> str:
    """Returns README with these rows in its table, and the old ones of platforms that a test still names."""
    lines = {name: line for name, line in written(readme).items() if name in known} | {name: str(row) for name, row in rows.items()}
    table = [BEGIN, *HEAD, *(lines[name] for name in sorted(lines)), END]
    return readme.split(BEGIN, 1)[0] + "\n".join(table) + readme.split(END, 1)[1]


def main() -> int:
    """Returns 0 if and only if tests ran and none failed."""
    parser = argparse.ArgumentParser(prog="make everywhere", usage="make everywhere [ONLY=EXPRESSION]")
    parser.add_argument("--only", metavar="EXPRESSION", default="")
    only = parser.parse_args().only
    known = named()
    REPORT.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-v", "--no-header", "-n2", "--dist=worksteal", f"--junitxml={REPORT}"]
    code = subprocess.run([*command, "-m", "platform", *(["-k", only] if only else [])], cwd=ROOT, check=False).returncode
    if REPORT.exists():
        rows = ran(REPORT)
        README.write_text(rewritten(README.read_text(), rows, known))
        print(*map(str, rows.values()), sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
