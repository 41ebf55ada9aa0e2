"""Every reader of S3 that we know, beyond those of `make test`."""

from __future__ import annotations

import sys

import pytest

from rig import ROOT
from rig.process import build_environment, run
from tests.programs.python.readers import READERS


@pytest.mark.everywhere
@pytest.mark.platform(f"Python 3.11: {', '.join(READERS)}")
def test_every_reader_reads_as_the_role_alone_through_five_lifetimes() -> None:
    done = run([sys.executable, "-m", "runs.readers"], build_environment(), ROOT, 900)

    assert done.returncode == 0, done.stdout + done.stderr
