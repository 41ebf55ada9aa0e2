"""The role in use, one per process, and what readers in this process and in its children are told of it."""

from __future__ import annotations

import dataclasses
import threading
import time
from datetime import datetime, timezone

from . import _environment, _native
from ._credentials import Credentials, utc_text
from ._renewal import Renewal
from ._source import LOG, Fetched, Request, Source

#: The interval at which a refresh that goes on failing is logged.
_REMIND_SECONDS = 300.0


@dataclasses.dataclass
class Role:
    """A role that readers use."""

    asked: Request
    source: Source
    renewal: Renewal
    #: The endpoint that readers ask for credentials; None when the environment holds them.
    endpoint: _native.Endpoint | None
    _failing_since: float = 0.0
    _remind_at: float = 0.0

    @property
    def fetched(self) -> Fetched:
        """The newest credentials."""
        return self.renewal.fetched

    def mode(self) -> str:
        """Returns `Credentials.mode`."""
        return self.source.mode("environment" if self.endpoint is None else "endpoint")

    def changes(self) -> list[_native.Change]:
        """Returns the variables by which readers find the credentials, or the endpoint."""
        if self.endpoint is not None:
            return self.endpoint.changes()
        return _native.variables_for_credentials(*self.fetched.values()[:4])

    def replace_source(self) -> None:
        """Goes on without a source that has ended. The caller holds the lock."""
        self.source, endpoint = self.source.successor(self.fetched)
        self.endpoint = endpoint or self.endpoint

    def renew(self, fetched: Fetched) -> None:
        """Tells readers of newer credentials, unless the role has been replaced."""
        with state.lock:
            if state.role is not self:
                return
            has_failed = self.renewal.failures > 0
            self.renewal.succeed(fetched)
            if self.endpoint is not None:
                self.endpoint.publish(*fetched.values())
            elif _environment.is_ours():
                _environment.write(self.changes())
            else:
                LOG.warning("the AWS variables of this process are no longer those of %s, and stay as they are", fetched.role_arn)
            if has_failed:
                LOG.warning(
                    "recovered: refresh of %s works again, access key %s, ends %s",
                    fetched.role_arn,
                    fetched.access_key_id,
                    utc_text(fetched.expires()),
                )

    def note_failure(self, error: Exception) -> None:
        """Logs why there are no newer credentials, and tells those who ask the endpoint once these have expired."""
        with state.lock:
            if state.role is not self:
                return
            now = time.monotonic()
            is_first = self.renewal.failures == 0
            if is_first:
                self._failing_since = time.time()
            if is_first or now >= self._remind_at:
                LOG.warning(
                    "refresh of %s fails since %s, credentials end %s: %s",
                    self.fetched.role_arn,
                    self._failing_since_text(),
                    utc_text(self.fetched.expires()),
                    error,
                )
                self._remind_at = now + _REMIND_SECONDS
            if self.endpoint is not None:
                self.endpoint.note(str(error))
            self.renewal.fail()

    def explain(self) -> list[str]:
        """Returns what `hops.credentials_provider.explain` says of the role, a line each."""
        fetched = self.fetched
        name = "default role" if fetched.role_arn is None else f"role {fetched.role_arn}"
        lines = [
            f"{name}, access key {fetched.access_key_id}, mode {self.mode()}",
            f"expiration {utc_text(fetched.expires())}, next refresh in {max(0, int(self.renewal.due_in()))} s",
        ]
        if self.renewal.failures:
            lines.append(f"refresh fails since {self._failing_since_text()}, see the log")
        return lines

    def _failing_since_text(self) -> str:
        return utc_text(datetime.fromtimestamp(self._failing_since, timezone.utc))


class _State:
    """The role in use, the thread that refreshes it, and the locks around both: one of each in a process."""

    def __init__(self) -> None:
        self.role: Role | None = None
        self.make_locks()

    def make_locks(self) -> None:
        """Makes new locks, and forgets threads. A forked child inherits locks that nobody will release, and no thread but its own."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        #: Held while a JVM is told which role to hold.
        self.telling_jvm = threading.Lock()
        #: Calls of `assume_role` under way. While there are any, no JVM is given the previous role.
        self.assuming = 0
        self.refresher: threading.Thread | None = None


state = _State()


def current() -> Credentials | None:
    """Returns the newest credentials of the role in use; None without one."""
    role = state.role
    return None if role is None else role.fetched.to_credentials(role.mode())


def role_arn() -> str | None:
    """Returns the role in use; None without one, or when the server did not say which role its default is."""
    role = state.role
    return None if role is None else role.fetched.role_arn


def newest_for(role_arn: str | None) -> Fetched | None:
    """Returns the newest credentials of the role in use, if it is this role and they have not expired."""
    role = state.role
    if role is None:
        return None
    fetched = role.fetched
    return fetched if fetched.role_arn == role_arn and fetched.left() > 0 else None


def explain() -> list[str]:
    """Returns what `hops.credentials_provider.explain` says of this process, a line each."""
    role = state.role
    found = f"readers in this process find: {_native.explain()}"
    return [found, *(["no role is in use in this process"] if role is None else role.explain())]
