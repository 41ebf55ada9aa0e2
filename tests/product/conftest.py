"""The deployments that tests of the built product share, unless they stop or change one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rig import stage as stages
from rig.deployment import Deployment, deployment
from runs.readers import short_lived


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


@pytest.fixture(scope="session")
def short(site: Deployment) -> Iterator[Deployment]:
    """Runs a server whose sessions last seconds. Yields the deployment with this server."""
    with short_lived(site) as short:
        yield short


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    """Yields threads for programs that go on reading while other tests of the module run."""
    with ThreadPoolExecutor() as threads:
        yield threads
