"""Runs all checks of the project, each with its runner. At the end a table shows what ran, where, and for how long.

A stage that fails does not end the run, so the table shows everything that is wrong. The last line sums over all runners.
`--only NAME` runs one stage, or the tests whose names contain NAME, each with its runner.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

from rig import BUILD, ROOT

PYTHON = sys.executable
SOURCES = ["rig", "demo", "tests", "runs", "python"]
REPORT = BUILD / "pytest.xml"
GRADLE = ["timeout", "1200", "gradle", "--no-daemon", "--console=plain", "-q"]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One command. What it prints tells how many tests it ran; a command that prints no count is one test."""

    name: str
    language: str
    java: str
    command: list[str]


@dataclasses.dataclass
class Row:
    """A row of the table at the end: what ran, on which language, JDK, line of Spark and class path."""

    what: tuple[str, str, str, str, str]
    passed: int = 0
    failed: int = 0
    seconds: float = 0
    #: The name of each failure, and the first or last words of its reason.
    failures: list[str] = dataclasses.field(default_factory=list)


PARTS = Stage("fetch and build", "all", "17", ["make", "-j4", "parts"])
CLIPPY = Stage("clippy", "Rust", "-", ["cargo", "clippy", "-q", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
#: Many of them wait, for a limit of time to pass for instance, so two more run at a time than a small machine has cores.
UNIT_TESTS = Stage("unit tests", "Rust", "-", ["cargo", "test", "-q", "--workspace", "--locked", "--", "--test-threads=4"])
JUNIT = Stage("JUnit", "Java", "17", [*GRADLE, "consoleTest"])
JUNIT_25 = Stage(
    "JUnit", "Java", "25", ["bash", "-c", f"home=$(python3 -m rig.jdk 25) && {' '.join(GRADLE)} consoleTest -Pjava=$home/bin/java"]
)
PYTHON_CHECKS = [
    Stage("ruff", "Python", "-", [PYTHON, "-m", "ruff", "check", "-q", *SOURCES]),
    Stage("ruff format", "Python", "-", [PYTHON, "-m", "ruff", "format", "-q", "--check", *SOURCES]),
    Stage("mypy", "Python", "-", [PYTHON, "-m", "mypy", "--no-error-summary", *SOURCES]),
]
#: Much of each test is waiting: for a session to end, for a JVM to start. So two run at a time, each with deployments of its own.
PRODUCT = Stage(
    "product",
    "all",
    "17",
    [PYTHON, "-m", "pytest", "-v", "--no-header", "-n2", "--dist=worksteal", "--durations=15", f"--junitxml={REPORT}"],
)
#: The stages in their order. Lists that stand together run at a time: the tests in Rust wait more than they compute.
ORDER = [
    [[PARTS, Stage("format", "Rust", "-", ["cargo", "fmt", "--all", "--check"])]],
    [[CLIPPY, UNIT_TESTS], [JUNIT, JUNIT_25, *PYTHON_CHECKS]],
    [[PRODUCT]],
]
STAGES = [stage for together in ORDER for stages in together for stage in stages]
#: What a stage needs when it runs without the first one.
_NEEDS = {UNIT_TESTS.name: ["build/postgresql"], JUNIT.name: ["jar"], PRODUCT.name: ["parts"]}
#: Outcomes that count as failed. A test that was skipped could not run, so it counts too.
_FAILED = ("failure", "error", "skipped")
#: The number of characters that are shown of a reason.
_WHY = 600
_COUNTS = (
    (r"^test result: \w+\. (\d+) passed; (\d+) failed", 1, 2),
    (r"^\[\s*(\d+) tests successful\s*\]", 1, None),
    (r"^\[\s*(\d+) tests failed\s*\]", None, 1),
)


def _stages(only: str) -> list[Stage]:
    """Finds the stage of that name, or those that run the tests whose names hold `only`. Puts first what they need."""
    found = [stage for stage in STAGES if stage.name == only]
    if not found:
        is_rust = _names(r"test[^\n]*\]\s+(?:async )?fn (\w+)", only, "crates/**/*.rs", "server/**/*.rs")
        # A test that runs on both databases has no attribute: a macro gives it two.
        if is_rust or _names(r"fn (\w+)\(world: &World\)", only, "server/tests/**/*.rs"):
            found.append(_with(UNIT_TESTS, only))
        if _names(r"(?:@Test\s+void|class) (\w+)", only, "tests/java/**/*Test.java"):
            found.append(_with(JUNIT, f"-Ponly={only}"))
        if any(only in path.stem for path in (ROOT / "tests").rglob("test_*.py")) or _names(r"def (test_\w+)", only, "tests/**/*.py"):
            found.append(_with(PRODUCT, "-k", only))
    needs = sorted({need for stage in found for need in _NEEDS.get(stage.name, [])})
    return [*([dataclasses.replace(PARTS, command=[*PARTS.command[:-1], *needs])] if needs else []), *found]


def _names(pattern: str, only: str, *files: str) -> bool:
    texts = (path.read_text() for glob in files for path in ROOT.glob(glob))
    return any(only in name for text in texts for name in re.findall(pattern, text))


def _with(stage: Stage, *arguments: str) -> Stage:
    return dataclasses.replace(stage, command=[*stage.command, *arguments])


def _show(text: str) -> None:
    print(text, end="", flush=True)


def _run_together(lists: list[list[Stage]]) -> list[Row]:
    """Runs the stages of each list one after the other, and all lists at a time. Returns the rows in the order of the stages."""
    if len(lists) == 1:
        return [row for stage in lists[0] for row in _run(stage, _show)]

    def run_in_turn(stages: list[Stage]) -> list[Row]:
        rows = []
        for stage in stages:
            printed: list[str] = []
            rows += _run(stage, printed.append)
            # In one piece, between those of other stages.
            _show("".join(printed))
        return rows

    with ThreadPoolExecutor() as threads:
        return [row for rows in threads.map(run_in_turn, lists) for row in rows]


def _run(stage: Stage, show: Callable[[str], None]) -> list[Row]:
    show(f"\n== {stage.name} ({stage.language}, JDK {stage.java}): {' '.join(stage.command)}\n")
    begin = time.monotonic()
    passed = failed = 0
    process = subprocess.Popen(
        stage.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        show(line)
        output = (output + line)[-_WHY:]
        for pattern, in_passed, in_failed in _COUNTS:
            if match := re.search(pattern, line):
                passed += int(match[in_passed]) if in_passed else 0
                failed += int(match[in_failed]) if in_failed else 0
    code = process.wait()
    if code == 0 and passed == 0:
        passed = 1
    if code != 0 and failed == 0:
        failed = 1
    failures = [f"FAILED {stage.name}: {' '.join(output.split())}"] if failed else []
    row = Row((stage.name, stage.language, stage.java, "-", "-"), passed, failed, time.monotonic() - begin, failures)
    return _product_rows(row) if stage.name == PRODUCT.name else [row]


def _product_rows(stage: Row) -> list[Row]:
    """Returns the rows of the product tests: in each file one for each combination that a test recorded, and one for all others."""
    if not REPORT.exists():
        return [stage]
    rows: dict[tuple[str, str, str, str, str], Row] = {}
    for case in ElementTree.parse(REPORT).iter("testcase"):
        recorded = {item.get("name"): item.get("value", "") for item in case.iter("property")}
        language, java, spark, class_path = (recorded.get(name, "-") for name in ("language", "java", "spark", "class path"))
        what = (case.get("classname", "").removeprefix("tests.").removeprefix("product.test_"), language, java, spark, class_path)
        row = rows.setdefault(what, Row(what))
        reasons = [" ".join(item.get("message", "").split())[:_WHY] for item in case if item.tag in _FAILED]
        if reasons:
            row.failed += 1
            row.failures.append(f"FAILED {case.get('classname')}.{case.get('name')}: {reasons[0]}")
        else:
            row.passed += 1
        row.seconds += float(case.get("time", 0))
    if stage.failed and not any(row.failed for row in rows.values()):
        return [stage, *rows.values()]
    # Two run at a time, so the report is in no order.
    return sorted(rows.values(), key=lambda row: row.what)


def _table(rows: list[Row]) -> str:
    lines = [["what", "language", "JDK", "Spark", "class path", "passed", "failed", "seconds"]]
    lines += [[*row.what, str(row.passed), str(row.failed), f"{row.seconds:.0f}"] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def main() -> int:
    """Runs every stage. Returns 0 if and only if nothing failed."""
    parser = argparse.ArgumentParser(prog="make test", usage="make test [ONLY=NAME]")
    parser.add_argument("--only", metavar="NAME")
    only = parser.parse_args().only
    order = [[_stages(only)]] if only else ORDER
    if not order[0][0]:
        print(f"no stage or test is named {only!r}; stages: {', '.join(stage.name for stage in STAGES)}", file=sys.stderr)
        return 2
    REPORT.unlink(missing_ok=True)
    rows = [row for lists in order for row in _run_together(lists)]
    passed, failed = sum(row.passed for row in rows), sum(row.failed for row in rows)
    # Puts the failures at the end, which is all that some readers get to see.
    print(f"\n{_table(rows)}\n", *(failure for row in rows for failure in row.failures), sep="\n")
    print(f"{passed} passed, {failed} failed", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
