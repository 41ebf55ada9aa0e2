"""`make demo` runs the program of README on real Spark, against the real role-mapping server and an AWS that enforces IAM."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rig import ROOT, jdk
from rig.deployment import Deployment, deployment
from rig.process import environment, on_termination, run
from rig.spark import FAST_START, SPARK_3_5, Spark, product_jar

_RESOURCE = ROOT / "demo" / "resource.scala"
_OTHER = ROOT / "demo" / "other.scala"
_OWNER = ROOT / "demo" / "Owner.java"

_TABLE = """\
+---+-----+
|_c0|  _c1|
+---+-----+
|  1|  one|
|  2|  two|
|  3|three|
+---+-----+
"""
_CONFS = {"spark.ui.showConsoleProgress": "false", "spark.driver.extraJavaOptions": FAST_START}
# Asks for the 403, which only S3 says: S3A says AccessDenied without credentials too.
_DENIED = re.compile(r"^java\.nio\.file\.AccessDeniedException: s3a://other/test\.csv: .*Status Code: 403", re.MULTILINE)
_REFUSED = re.compile(r"^Exception in thread \"main\" io\.hops\.util\.exceptions\.CloudCredentialException: .*code 380002", re.MULTILINE)


def play(site: Deployment, directory: Path) -> list[str]:
    """Runs the demo against a deployment and prints what its programs say. Lists what the demo shows and these did not."""
    resource = _RESOURCE.read_text()
    with ThreadPoolExecutor() as shells:
        spark = Spark(SPARK_3_5, 17, site.s3.endpoint, directory / "scientist", confs=_CONFS)
        scientist = shells.submit(spark.shell, resource + _OTHER.read_text(), site.variables(site.scientist))
        # Needs no Spark: without credentials there is nothing to read.
        owner = shells.submit(_java, _OWNER, site.variables(site.owner), directory / "owner")

        print("== A data scientist: the role mapped to this project role reads bucket resource, and no other\n", flush=True)
        read = _show(scientist.result())
        print("\n== A data owner, in Java and without Spark: the role is mapped to the other project role\n", flush=True)
        print(_OWNER.read_text())
        refused = owner.result().stderr
        print(*(line for line in refused.splitlines() if not line.startswith("\t")), sep="\n", flush=True)

    shown = {
        "the table of s3a://resource/test.csv": _TABLE in read,
        "the denial of s3a://other/test.csv": _DENIED.search(read) is not None,
        "the refusal of the data owner": _REFUSED.search(refused) is not None,
    }
    return [what for what, is_there in shown.items() if not is_there]


def _java(program: Path, variables: Mapping[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Runs a Java file with the product on its class path."""
    command: list[str | Path] = [jdk.home(17) / "bin" / "java", *FAST_START.split(), "-cp", product_jar(), program]
    return run(command, environment(directory / "home", **variables), directory)


def _show(shell: subprocess.CompletedProcess[str]) -> str:
    """Prints a transcript without banner and stack frames, and what the product logged. Returns the transcript."""
    begin = shell.stdout.find("scala> ")
    if begin < 0:
        print(shell.stdout, shell.stderr, sep="\n")
        return ""
    transcript = shell.stdout[begin:]
    for line in transcript.splitlines():
        if line.strip() and not re.match(r"\s+(at |\.\.\. )|scala> :quit", line):
            print(line)
    for line in shell.stderr.splitlines():
        if " io.hops." in line:
            print(line)
    return transcript


def main() -> int:
    """Returns 0 if and only if the demo showed everything that it should."""
    on_termination(lambda: sys.exit("demo: ended by SIGTERM"))
    with tempfile.TemporaryDirectory() as directory, deployment(Path(directory)) as site:
        missing = play(site, Path(directory) / "spark")
    for what in missing:
        print(f"demo: missing: {what}", file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
