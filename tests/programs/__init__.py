"""The test programs in Scala: compiled once for each line of Spark, run on it or on a JVM without it."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rig import BUILD, ROOT, jdk
from rig.process import environment, run
from rig.spark import LINES, SPARK_3_5, Line, product_jar, reports


@functools.cache
def _compiled(binary: str) -> Path:
    line = next(line for line in LINES if line.scala_binary == binary)
    # A client of the AWS SDK is written for one of its lines.
    sdk = "v1" if line == SPARK_3_5 else "v2"
    sources = ROOT / "tests" / "programs" / "scala"
    return line.compile(sorted([*sources.glob("*.scala"), *(sources / sdk).glob("*.scala")]), BUILD / "programs" / binary)


def compiled(line: Line) -> Path:
    """The jar of all programs for a line; lines of one Scala share it, as jobs of users do."""
    return _compiled(line.scala_binary)


def scala_library(line: Line) -> Path:
    """The Scala library of a line."""
    return line.home / "jars" / f"scala-library-{line.scala}.jar"


def plain(
    directory: Path,
    variables: Mapping[str, str],
    *arguments: str,
    java: int = 17,
    class_path: str = "",
    options: tuple[str, ...] = (),
    main: str = "Plain",
    product: str = str(product_jar()),
) -> subprocess.CompletedProcess[str]:
    """Runs a program with itself, the product, the Scala library and `class_path` as its class path."""
    path = f"{compiled(SPARK_3_5)}:{product}:{scala_library(SPARK_3_5)}:{class_path}"
    command: list[str | Path] = [jdk.home(java) / "bin" / "java", *options, "-cp", path, main, *arguments]
    return run(command, environment(directory / "home", **variables), directory, 180)


def succeeded(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """Returns what a program reported. It must have ended well and have got credentials."""
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    assert "access key id" in found, done.stdout + done.stderr
    return found


def refused(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """Returns what a program reported. It must have ended well and have been refused."""
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    assert "refused" in found, done.stdout + done.stderr
    return found
