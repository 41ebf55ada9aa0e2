"""`make program NAME=Resource` runs one of the Scala test programs on Spark 3.5, as a data scientist of a running deployment."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rig import ROOT
from rig.process import on_termination
from rig.spark import SPARK_3_5, Spark
from rig.stage import stage
from tests.programs import compiled


def main() -> int:
    """Runs the program, prints what it printed, and returns its exit code."""
    sources = (ROOT / "tests" / "programs" / "scala").glob("*.scala")
    names = sorted(source.stem for source in sources if "def main" in source.read_text())
    parser = argparse.ArgumentParser(prog="make program", usage="make program NAME=NAME")
    parser.add_argument("name", choices=names)
    parser.add_argument("arguments", nargs="*")
    line = parser.parse_args()
    on_termination(lambda: sys.exit("program: ended by SIGTERM"))
    with tempfile.TemporaryDirectory() as directory, stage(Path(directory)) as running:
        spark = Spark(SPARK_3_5, 17, running.site.s3.endpoint, Path(directory) / "spark")
        variables = running.site.variables(running.site.scientist)
        done = spark.submit(compiled(SPARK_3_5), line.name, variables, *line.arguments)
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
