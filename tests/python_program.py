"""Programs in Python that use the wheel, each in a process of its own and with an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from rig import BUILD
from rig.process import environment, run
from rig.spark import reports

#: The environment into which the built wheel is installed, beside the readers that use it.
VENV = BUILD / "python-venv"
#: The command line, as the wheel installs it.
PROGRAM = VENV / "bin" / "hops-credentials"

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
    directory: Path, variables: Mapping[str, str], *program: str, seconds: float = 120, interpreter: Path = VENV / "bin" / "python"
) -> subprocess.CompletedProcess[str]:
    """Runs a program, see `written`, to its end."""
    script = written(directory, *program)
    return run([interpreter, "-X", "faulthandler", script], environment(directory / "home", **variables), directory, seconds)


def written(directory: Path, *program: str) -> Path:
    """A program, given in parts, as a file. It finds the provider's names imported, and `report(name, value)`."""
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / "program.py"
    script.write_text(_PRELUDE + "".join(textwrap.dedent(part) for part in program))
    return script


def reported(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """What a program reported, which must have ended well."""
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    return reports(done.stdout)
