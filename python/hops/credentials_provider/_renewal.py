"""The schedule of renewals. The native library decides; this module reads the clocks and draws the random numbers."""

from __future__ import annotations

import random

from . import _native
from ._source import Fetched, clocks


class Renewal:
    """The newest credentials of one role, and when to fetch the next ones.

    A fetch that fails leaves the credentials in place until they expire. Whoever shares a renewal between threads holds a lock.
    """

    def __init__(self, fetched: Fetched) -> None:
        self.fetched = fetched
        #: Fetches that have failed since the last success.
        self.failures = 0
        self._since = fetched.at
        refresh_in = fetched.refresh_in
        self._span = _native.refresh_after(fetched.valid_for, random.random()) if refresh_in is None else refresh_in

    def fail(self) -> None:
        """Notes that a fetch has failed."""
        self.failures += 1
        self._retry(self.failures)

    def postpone(self) -> None:
        """Notes that whoever renews the credentials has not done so yet: the next try is as after a first failure."""
        self._retry(1)

    def hurry(self) -> None:
        """Makes the next try as early as after a first failure, unless it is earlier."""
        if self.due_in() > _native.retry_after(1, 0.0, self.fetched.valid_for, 0.0):
            self._retry(1)

    def due_in(self) -> float:
        """Returns the seconds until the next fetch; 0 when it is due."""
        return _native.due(self._since, self._span, clocks())

    def wait(self) -> float:
        """Returns the seconds after which to look again whether the next fetch is due."""
        return _native.wait(self._since, self._span, clocks())

    def _retry(self, failures: int) -> None:
        fetched = self.fetched
        self._since = clocks()
        self._span = _native.retry_after(failures, fetched.left(), fetched.valid_for, random.random())
