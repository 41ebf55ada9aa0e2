"""README's table of platforms says only what ran."""

from __future__ import annotations

import sys
from pathlib import Path

from rig import ROOT
from rig.process import build_environment, run
from runs.everywhere import BEGIN, END, HEAD, README, Row, ran, rewritten, written

_REPORT = "<testsuites><testsuite>{}</testsuite></testsuites>"
_CASE = (
    '<testcase name="t"><properties><property name="platform" value="{}"/><property name="run by" value="{}"/></properties>{}</testcase>'
)


def _rows(directory: Path, *cases: tuple[str, str, str]) -> dict[str, Row]:
    report = directory / "report.xml"
    report.write_text(_REPORT.format("".join(_CASE.format(*case) for case in cases)))
    return ran(report)


def test_there_is_a_row_for_each_platform_that_a_test_names_and_no_other() -> None:
    program = "from runs.everywhere import named; print('\\n'.join(['named', *named()]))"
    done = run([sys.executable, "-c", program], build_environment(), ROOT, 60)

    assert done.returncode == 0, done.stdout + done.stderr
    # A platform that is new gets its row by `make everywhere ONLY=…`.
    assert sorted(written(README.read_text())) == sorted(done.stdout.split("named\n", 1)[1].splitlines())


def test_a_test_that_failed_or_did_not_run_shows_in_its_row(tmp_path: Path) -> None:
    passed, failed, skipped = (("Linux", "make test", tag) for tag in ("", '<failure message="no"/>', '<skipped message="no"/>'))

    row = _rows(tmp_path, passed, failed, skipped)["Linux"]
    assert row.written(3).startswith("| Linux | 2 of 3 FAILED | 3 |")
    assert row.written(4).startswith("| Linux | 3 of 4 FAILED | 3 |")


def test_a_run_of_a_part_leaves_a_row_as_it_is_unless_all_its_tests_ran(tmp_path: Path) -> None:
    table = [BEGIN, *HEAD, "| Linux | 1 of 2 FAILED | 0 | 2020-01-01 |", END]
    rows = _rows(tmp_path, ("Linux", "make everywhere", ""), ("JDK", "make everywhere", ""))

    readme = rewritten("\n".join(table), rows, {"Linux": 2, "JDK": 1}, in_part=True)

    assert readme.splitlines() == [BEGIN, *HEAD, rows["JDK"].written(1), table[-2], END]


def test_a_row_that_ran_replaces_its_old_one_and_a_row_that_no_test_names_goes(tmp_path: Path) -> None:
    table = [BEGIN, *HEAD, "| kept | 1 passed | `make test` | 2020-01-01 |", "| gone | 1 passed |", "| new | 9 passed |", END]
    rows = _rows(tmp_path, ("new", "make everywhere", ""))

    readme = rewritten("\n".join(["before", *table, "after"]), rows, {"kept": 1, "new": 1, "never ran": 1}, in_part=False)

    assert readme.splitlines() == ["before", BEGIN, *HEAD, table[3], rows["new"].written(1), END, "after"]
