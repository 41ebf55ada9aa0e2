"""What the tests of the built product share: one deployment for all that do not stop or change it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rig.deployment import Deployment, deployment
from rig.process import on_termination


def pytest_configure() -> None:
    """A run that is told to end ends its servers."""
    on_termination(lambda: pytest.exit("ended by SIGTERM"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that every test leaves as it found it."""
    with deployment(tmp_path_factory.mktemp("site")) as running:
        yield running
