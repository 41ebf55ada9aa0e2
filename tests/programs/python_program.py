"""Programs in Python that use the wheel. Each runs in a process and an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from rig import BUILD, ROOT
from rig.deployment import Deployment
from rig.process import environment, run
from rig.root import Root
from rig.spark import reports

#: The virtual environment that holds the built wheel and the readers that use it.
VENV = BUILD / "python-venv"
#: The program that the wheel installs.
PROGRAM = VENV / "bin" / "hops-credentials"

#: Lets a program import `session_tokens`.
SESSION_TOKENS = {"PYTHONPATH": str(ROOT / "tests" / "programs" / "python")}

#: A program that reads with boto3, by its default session or by a client that is given.
READ = """
import boto3
from botocore.exceptions import ClientError

def read(bucket, client=None):
    client = client or boto3.client("s3", endpoint_url=os.environ["S3"], region_name="us-east-1")
    try:
        return client.get_object(Bucket=bucket, Key="test.csv")["Body"].read().decode().split()[0]
    except ClientError as refusal:
        return refusal.response["Error"]["Code"]

"""

#: The beginning of a program that asks a server of its own.
SERVER = """
import threading
from session_tokens import ROLE, SessionTokens

server = SessionTokens()

def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (seen := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return seen

def refresher():
    return next((thread for thread in threading.enumerate() if thread.name == "hops-credentials refresh"), None)

"""

_PRELUDE = """\
import json, logging, os, sys, time
import hops.credentials_provider as provider
from hops.credentials_provider import *

logging.basicConfig(level=logging.INFO)

def report(name, value):
    print("report", name, json.dumps(value), sep="\\t", flush=True)

def outcome(question):
    try:
        return question()
    except Exception as refusal:
        return [type(refusal).__name__, str(refusal), getattr(refusal, "code", None)]

"""


def python(
    directory: Path,
    variables: Mapping[str, str],
    *program: str,
    seconds: float = 120,
    interpreter: Path = VENV / "bin" / "python",
    root: Root | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, in a root if one is named; see `written`."""
    script = written(directory, *program)
    command: list[str | Path] = [interpreter, "-X", "faulthandler", script]
    return run(root.command(command) if root else command, environment(directory / "home", **variables), directory, seconds)


def written(directory: Path, *program: str) -> Path:
    """Writes the parts of a program to a file. It may use the names of the provider, `report(name, value)` and `outcome(question)`."""
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / "program.py"
    script.write_text(_PRELUDE + "".join(textwrap.dedent(part) for part in program))
    return script


def reader_variables(site: Deployment) -> dict[str, str]:
    """Returns what a program of the data scientist that reads S3 finds in its environment."""
    return {**site.variables(site.scientist), "S3": site.s3.endpoint}


def reported(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """Returns what a program reported. It must have succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    return reports(done.stdout)
