"""One site for all tests of the pages; each test restores what other tests look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pages.site import Site, site


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Runs the site that all tests visit."""
    with site(tmp_path_factory.mktemp("pages")) as running:
        yield running
