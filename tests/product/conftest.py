"""The deployments that tests of the built product share, unless they stop or change one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rig import stage as stages
from rig.deployment import Deployment, deployment


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Runs a deployment that every test leaves as it found it."""
    with deployment(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stages.Stage]:
    """Runs a deployment with more roles than `site`; every test leaves its roles as it found them."""
    with stages.stage(tmp_path_factory.mktemp("stage")) as running:
        yield running
