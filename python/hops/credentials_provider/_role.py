"""The role in use, one per process, and what readers in this process and in its children are told of it."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from . import _environment, _executor, _native
from ._credentials import Credentials, utc_text
from ._errors import CloudCredentialError
from ._renewal import Renewal
from ._source import LOG, Fetched, Request, Source, is_readable

if TYPE_CHECKING:
    from ._spark import JvmSource

#: What readers find of a role that was withdrawn: nothing that AWS accepts, and it has expired.
_WITHDRAWN: dict[str, Any] = {
    "access_key_id": "withdrawn",
    "secret_access_key": "withdrawn",
    "session_token": "withdrawn",
    "expiration": 0.0,
}
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
    #: The refusal that withdrew the role, until there are credentials again.
    withdrawn: CloudCredentialError | None = None
    #: The times that a SparkContext could not take the role over for a reason that may pass, one after the other.
    failed_handovers: int = 0
    _failing_since: float = 0.0
    _remind_at: float = 0.0

    @property
    def fetched(self) -> Fetched:
        """The newest credentials."""
        return self.renewal.fetched

    def mode(self) -> str:
        """Returns `Credentials.mode`."""
        return self.source.mode("environment" if self.endpoint is None else "endpoint")

    def plan(self) -> _native.Plan:
        """Returns the writes by which readers find the credentials, or the endpoint."""
        return _native.plan_credentials(self.fetched.values()) if self.endpoint is None else self.endpoint.plan()

    def replace_source(self) -> None:
        """Goes on without a source that has ended. The caller holds the lock."""
        self.source, endpoint = self.source.successor(self.fetched)
        self.endpoint = endpoint or self.endpoint

    def renew(self, fetched: Fetched) -> None:
        """Tells readers of newer credentials, unless the role has been replaced. When it raises, readers have the previous ones."""
        with state.lock:
            if state.role is not self:
                return
            has_failed = self.renewal.failures > 0
            before = self.renewal
            self.renewal = Renewal(fetched)
            try:
                self._deliver(fetched)
            except BaseException:
                self.renewal = before
                raise
            self.withdrawn = None
            if has_failed:
                LOG.warning(
                    "recovered: refresh of %s works again, access key %s, ends %s",
                    fetched.role_arn,
                    fetched.access_key_id,
                    utc_text(fetched.expires()),
                )

    def _deliver(self, fetched: Fetched) -> None:
        if self.endpoint is not None:
            self.endpoint.publish(fetched.values())
        elif (plan := _native.plan_renewal(fetched.values())) is not None:
            _environment.apply(plan)
        else:
            LOG.warning("the AWS variables of this process are no longer those of %s, and stay as they are", fetched.role_arn)

    def put_back(self) -> None:
        """Writes the newest set again where somebody has put back an environment that held an earlier one. The caller holds the lock."""
        if self.endpoint is not None:
            return
        newest = self.fetched if self.withdrawn is None else dataclasses.replace(self.fetched, **_WITHDRAWN)
        # The environment of the program, which may have another in place of it for a while.
        found = os.environ
        held = [found.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
        is_ours = held[0] in found.get("HOPS_CREDENTIALS_ISSUED", "").split(",")
        if is_ours and held != list(newest.values()[:3]) and (plan := _native.plan_renewal(newest.values())) is not None:
            _environment.apply(plan)

    def _withdraw(self, error: CloudCredentialError) -> None:
        """Takes the credentials away from readers. They find something of no use instead, so that none falls back to somebody else."""
        is_new, self.withdrawn = self.withdrawn is None, error
        if self.endpoint is not None:
            self.endpoint.withdraw(str(error))
        elif is_new:
            try:
                self._deliver(dataclasses.replace(self.fetched, **_WITHDRAWN))
            except Exception as failed:
                LOG.warning("the credentials of a role that was withdrawn stay in the environment: %s", failed)

    def note_failure(self, error: BaseException) -> None:
        """Logs why there are no newer credentials, and tells those who ask the endpoint once these have expired."""
        with state.lock:
            if state.role is not self:
                return
            text = str(error) or type(error).__name__
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
                    text,
                )
                self._remind_at = now + _REMIND_SECONDS
            if isinstance(error, CloudCredentialError) and error._withdraws:
                self._withdraw(error)
            elif self.endpoint is not None:
                self.endpoint.note(text)
            self.renewal.fail()

    def hurry(self) -> None:
        """Makes the next try early, if readers find credentials that have ended."""
        with state.lock:
            if self.fetched.left() <= 0:
                self.renewal.hurry()

    def explain(self) -> list[str]:
        """Returns what `hops.credentials_provider.explain` says of the role, a line each."""
        fetched = self.fetched
        name = "default role" if fetched.role_arn is None else f"role {fetched.role_arn}"
        lines = [
            f"{name}, access key {fetched.access_key_id}, mode {self.mode()}",
            f"expiration {utc_text(fetched.expires())}, next refresh in {int(self.renewal.due_in())} s",
        ]
        if self.withdrawn is not None:
            lines.append(f"withdrawn, and readers find nothing: {self.withdrawn}")
        if self.renewal.failures:
            lines.append(f"refresh fails since {self._failing_since_text()}, see the log")
        return lines

    def _failing_since_text(self) -> str:
        return utc_text(datetime.fromtimestamp(self._failing_since, timezone.utc))


class _State:
    """The role in use, the thread that refreshes it, and the locks around both: one of each in a process."""

    def __init__(self) -> None:
        self.role: Role | None = None
        #: By bucket, the JVM that reads it with a role of its own until `release`.
        self.bucket_holders: dict[str, JvmSource] = {}
        self.make_locks()

    def make_locks(self) -> None:
        """Makes new locks, and forgets threads. A forked child inherits locks that nobody will release, and no thread but its own."""
        self.lock = _environment.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        #: Held while a JVM is told which role to hold. A signal handler may call us while its thread holds it.
        self.telling_jvm = threading.RLock()
        #: Calls of `assume_role` under way. While there are any, no JVM is given the previous role.
        self.assuming: set[object] = set()
        self.refresher: threading.Thread | None = None

    def wait(self, role: Role, seconds: float) -> None:
        """Waits until `wake`, or until a reader finds the credentials ended. The caller holds the lock, which is free meanwhile."""
        endpoint = role.endpoint if role.source.serves_endpoint else None
        if endpoint is None:
            self.changed.wait(seconds)
            return
        endpoint.restore_token_file()
        self.lock.release()
        try:
            if is_readable(endpoint.alarm(), seconds):
                with suppress(BlockingIOError):
                    os.read(endpoint.alarm(), 4096)
                role.hurry()
        finally:
            self.lock.acquire()

    def wake(self, role: Role) -> None:
        """Ends the wait of the thread that renews this role, or did."""
        with self.lock:
            self.changed.notify_all()
            if role.endpoint is not None:
                role.endpoint.ring()


state = _State()


def current() -> Credentials | None:
    """Returns the newest credentials of the role in use; None without one.

    On an executor of Spark this is the application's role, unless this process assumed one. Raises the refusal that withdrew the role.
    """
    role = state.role
    if role is None:
        pushed = _executor.newest(Request())
        return None if pushed is None else pushed.to_credentials("executor")
    if role.withdrawn is not None:
        raise type(role.withdrawn)(str(role.withdrawn), role.withdrawn.code)
    return role.fetched.to_credentials(role.mode())


def request() -> Request | None:
    """Returns what was asked for the role in use, with its ARN where the server said it; None when no role is in use."""
    role = state.role
    return None if role is None else role.asked


def newest_for(asked: Request) -> Fetched | None:
    """Returns the newest credentials of the role in use, if it is the one asked for and they have not expired."""
    role = state.role
    if role is None or role.asked != asked or role.withdrawn is not None:
        return None
    if role.fetched.left() > 0:
        return role.fetched
    role.hurry()
    state.wake(role)
    return None


def explain() -> list[str]:
    """Returns what `hops.credentials_provider.explain` says of this process, a line each."""
    role = state.role
    found = f"readers in this process find: {_native.explain()}"
    return [found, *(["no role is in use in this process"] if role is None else role.explain())]
