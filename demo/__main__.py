"""`make demo`: the mission's program on real Spark, against an AWS that enforces IAM and the real role-mapping server."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from rig import ROOT
from rig.deployment import Deployment, deployment
from rig.process import exit_on_termination
from rig.spark import SPARK_3_5, Spark

_RESOURCE = ROOT / "demo" / "resource.scala"
_OTHER = ROOT / "demo" / "other.scala"

_TABLE = """\
+---+-----+
|_c0|  _c1|
+---+-----+
|  1|  one|
|  2|  two|
|  3|three|
+---+-----+
"""
_DENIED = "java.nio.file.AccessDeniedException: s3a://other/test.csv"
_REFUSED = "380002"


def play(site: Deployment, directory: Path) -> list[str]:
    """Runs the demo against a deployment and prints what its programs say; what differs from what it shows."""
    spark = Spark(SPARK_3_5, 17, site.s3.endpoint, directory, confs={"spark.ui.showConsoleProgress": "false"})
    differs = []

    print("\n== A data scientist's role is mapped to bucket resource, and to no other:\n", flush=True)
    scientist = _shell(spark, site, site.scientist, _RESOURCE, _OTHER)
    if _TABLE not in scientist:
        differs.append("the table of s3a://resource/test.csv")
    if _DENIED not in scientist:
        differs.append("the denial of s3a://other/test.csv")

    print("\n== A data owner may not assume it:\n", flush=True)
    owner = _shell(spark, site, site.owner, _RESOURCE)
    if _REFUSED not in owner or _TABLE in owner:
        differs.append("the refusal of the data owner")
    return differs


def _shell(spark: Spark, site: Deployment, key: str, *programs: Path) -> str:
    """Types programs into spark-shell as the member with that API key; the transcript, which it also prints without stack frames."""
    done = spark.shell("".join(program.read_text() for program in programs), site.variables(key))
    transcript = done.stdout[done.stdout.find("scala> ") :]
    for line in transcript.splitlines():
        if line.strip() and not re.match(r"\s+(at |\.\.\. )|scala> :quit", line):
            print(line)
    print(done.stderr, end="", file=sys.stderr)
    return transcript


def main() -> int:
    """0 if and only if the demo showed what it should."""
    exit_on_termination()
    with tempfile.TemporaryDirectory() as directory, deployment(Path(directory)) as site:
        differs = play(site, Path(directory) / "spark")
    for what in differs:
        print(f"demo: differs: {what}", file=sys.stderr)
    return int(bool(differs))


if __name__ == "__main__":
    sys.exit(main())
