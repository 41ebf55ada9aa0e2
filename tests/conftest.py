"""The setup that all tests share."""

from __future__ import annotations

import pytest

from rig.process import on_termination


def pytest_configure() -> None:
    """Makes a run that is told to end stop its servers."""
    on_termination(lambda: pytest.exit("ended by SIGTERM"))
