"""The test programs in Scala, compiled once for each binary version of Scala, to run on Spark or on a plain JVM."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rig import BUILD, ROOT, jdk
from rig.process import environment, run
from rig.root import Root
from rig.spark import IN_CI, SPARK_3_5, Line, product_jar, reports


@functools.cache
def _compiled(binary: str) -> Path:
    line = next(line for line in IN_CI if line.scala_binary == binary)
    sources = ROOT / "tests" / "programs" / "scala"
    # Picks the client of the AWS SDK: each is written for one line of it.
    return line.compile(sorted([*sources.glob("*.scala"), *(sources / line.sdk).glob("*.scala")]), BUILD / "programs" / binary)


def compiled(line: Line) -> Path:
    """Returns the jar of all programs for a line. Lines of one Scala share it, as they share jobs of users."""
    return _compiled(line.scala_binary)


def scala_library(line: Line) -> Path:
    """Returns the Scala library of a line."""
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
    line: Line = SPARK_3_5,
    root: Root | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a program on a plain JVM, in a root if one is named. The class path holds the programs, the product, the Scala library and
    `class_path`.
    """
    path = f"{compiled(line)}:{product}:{scala_library(line)}:{class_path}"
    home = root.java_home(java) if root else jdk.home(java)
    command: list[str | Path] = [home / "bin" / "java", *options, "-cp", path, main, *arguments]
    return run(root.command(command) if root else command, environment(directory / "home", **variables), directory, 180)


def succeeded(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """Returns what a program reported. It must have ended well and got credentials."""
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    assert "access key id" in found, done.stdout + done.stderr
    return found


def refused(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """Returns what a program reported. It must have ended well and been refused."""
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    assert "refused" in found, done.stdout + done.stderr
    return found
