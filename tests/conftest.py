"""The setup that all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import NoReturn

import pytest
from xdist import is_xdist_controller
from xdist.workermanage import NodeManager

from rig.process import on_termination
from runs.everywhere import platforms


def pytest_sessionstart(session: pytest.Session) -> None:
    """Makes a run that is told to end stop its servers."""
    on_termination(lambda: _leave(session))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Records in the report for which rows of README's table of platforms a test is evidence, and which command runs it."""
    item.user_properties += [("platform", name) for name in platforms(item)]
    is_elsewhere = item.get_closest_marker("everywhere") or item.get_closest_marker("matrix")
    item.user_properties.append(("run by", "make everywhere" if is_elsewhere else "make test"))


def _leave(session: pytest.Session) -> NoReturn:
    if is_xdist_controller(session):
        # By itself xdist ends its workers without a word, and their servers would go on.
        NodeManager.EXIT_TIMEOUT = 60
        for worker in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            os.kill(int(worker), signal.SIGTERM)
    pytest.exit("ended by SIGTERM")
