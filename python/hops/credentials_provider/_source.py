"""Sources of credentials: what this process asks of them, and one set of credentials as it comes back."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import selectors
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

from . import _environment, _native
from ._credentials import Credentials
from ._errors import UnavailableError

LOG = logging.getLogger("hops.credentials_provider")

#: The seconds after which somebody at a prompt or in a notebook learns what is waited for.
_PATIENCE_SECONDS = 3.0
#: The interval at which to look for a new SparkContext, and whether the process that serves the endpoint still runs.
WATCH_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Request:
    """The fields of AssumeRole. Equal requests get the same answer."""

    role_arn: str | None = None
    role_session_name: str | None = None
    duration_seconds: int = 3600
    external_id: str | None = dataclasses.field(default=None, repr=False)
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    source_identity: str | None = None

    def pinned_to(self, role_arn: str | None) -> Request:
        """Returns this request for the role that it got. A default that an administrator moves then does not move this program."""
        return dataclasses.replace(self, role_arn=role_arn or self.role_arn)


def request(
    *,
    role_arn: str | None = None,
    role_session_name: str | None = None,
    duration_seconds: int | None = 3600,
    external_id: str | None = None,
    policy: str | None = None,
    policy_arns: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    source_identity: str | None = None,
) -> Request:
    """Makes a request of the arguments of a call. Empty text counts as None, and a single policy ARN as a sequence of one."""
    return Request(
        role_arn or None,
        role_session_name or None,
        duration_seconds or 0,
        external_id or None,
        policy or None,
        (policy_arns,) if isinstance(policy_arns, str) else tuple(policy_arns),
        tuple((tags or {}).items()),
        source_identity or None,
    )


def clocks() -> _native.Clocks:
    """Reads both clocks."""
    return time.monotonic(), time.time()


@dataclasses.dataclass(frozen=True)
class Fetched:
    """One set of credentials as a source returned it."""

    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)
    session_token: str = dataclasses.field(repr=False)
    #: The instant from which AWS refuses them, in seconds since 1970.
    expiration: float
    role_arn: str | None
    #: The seconds for which they were valid at `at`.
    valid_for: float
    #: The instant of the fetch.
    at: _native.Clocks = dataclasses.field(default_factory=clocks)
    #: Seconds from `at` until the JVM or the parent renews them; None when this process does.
    refresh_in: float | None = None

    def left(self) -> float:
        """Returns the seconds until they expire; 0 once they have."""
        return _native.left(self.at, self.valid_for, self.expiration, clocks())

    def expires(self) -> datetime:
        """Returns the instant at which they expire, in UTC."""
        return datetime.fromtimestamp(self.expiration, timezone.utc)

    def values(self) -> _native.Values:
        """Returns what the native library takes."""
        return self.access_key_id, self.secret_access_key, self.session_token, self.expiration, self.left(), self.role_arn

    def to_credentials(self, mode: str) -> Credentials:
        """Converts them to the value that callers get."""
        return Credentials(
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            session_token=self.session_token,
            expiration=self.expires(),
            role_arn=self.role_arn,
            mode=mode,
        )


class NotRenewed(Exception):
    """The source still has the credentials that it returned before."""


class SourceGone(UnavailableError):
    """The process that is the source has ended."""


class Source(Protocol):
    """The party that this process asks for the credentials of its role. A source inherits what holds for most of them."""

    #: Whether this process serves the endpoint of the role, if the role has one.
    serves_endpoint: bool = True

    def fetch(self, held: str = "") -> Fetched:
        """Returns a new set.

        Raises CloudCredentialError when the source has none (SourceGone when it has ended), NotRenewed when somebody else renews and still
        has the set whose access key id is `held`, ValueError when no service would accept the request.
        """

    def mode(self, local_mode: str) -> str:
        """Returns `Credentials.mode`. `local_mode`, `environment` or `endpoint`, is that of this process alone."""
        return local_mode

    def wait(self, seconds: float) -> float:
        """Returns after how many seconds to look again, `seconds` at most."""
        return seconds

    def is_gone(self) -> bool:
        """Returns whether the source is known to have ended. A fetch may find it out first."""
        return False

    def successor(self, fetched: Fetched) -> tuple[Source, _native.Endpoint | None]:
        """Returns whom to ask after the end of this source, and the endpoint that this process serves from then on, if it is a new one.

        `fetched` is the newest set.
        """
        del fetched
        return self, None

    def after_fork(self, context: object) -> Source:
        """Returns whom a forked child asks. `context` is the SparkContext that the child has inherited, whose JVM is its parent's."""
        del context
        return self

    def yields_to(self, context: object) -> bool:
        """Returns whether the JVM of this SparkContext may hold the role instead. There may be no SparkContext."""
        del context
        return False

    def release(self) -> None:
        """Ends the use of the role at the source."""
        return

    def give_way(self, before: Source | None) -> Fetched | None:
        """Undoes at the source what the first `fetch` did there: the role is not used after all, and `before` remains.

        Returns the set that `before` has from then on, if it is another one.
        """
        del before
        return None


class NativeSource(Source):
    """The role-mapping server or STS, asked by the native library of this process."""

    def __init__(self, asked: Request, refused_by: object = None) -> None:
        self._asked = asked
        #: The first set goes to the caller, who may use it to its end; from then on this process renews.
        self._renews = False
        #: The SparkContext that cannot hold the role: handing over failed, or its JVM has ended or is another process's.
        self._refused_by = refused_by
        #: When and for how long that one cannot; None for good.
        self._refused_for: tuple[_native.Clocks, float] | None = None

    def fetch(self, held: str = "") -> Fetched:
        del held
        asked = self._asked
        answer = ask(
            _native.assume_role,
            asked.role_arn,
            asked.role_session_name,
            asked.duration_seconds,
            asked.external_id,
            asked.policy,
            asked.policy_arns,
            asked.tags,
            asked.source_identity,
            self._renews,
        )
        fetched = Fetched(*answer)
        self._asked = asked.pinned_to(fetched.role_arn)
        self._renews = True
        return fetched

    def after_fork(self, context: object) -> Source:
        self._refused_by, self._refused_for = context, None
        return self

    def yields_to(self, context: object) -> bool:
        if context is self._refused_by and self._refused_for is not None:
            return context is not None and _native.due(*self._refused_for, clocks()) == 0
        return context not in (None, self._refused_by)

    def yield_after(self, seconds: float) -> None:
        """Yields to the SparkContext that could not hold the role once this time has passed."""
        self._refused_for = clocks(), seconds

    def wait(self, seconds: float) -> float:
        # Where there is no pyspark, nobody makes a SparkContext.
        if "pyspark" in sys.modules or importlib.util.find_spec("pyspark") is not None:
            return min(seconds, WATCH_SECONDS)
        return seconds


def ask(question: Callable[..., _native.Call], *arguments: Any) -> Any:
    """Asks a question, waits for its end and returns the answer, or raises its exception. Ctrl-C ends the wait."""
    # The question reads the environment.
    with _environment.lock:
        call = question(*arguments)
    if _is_interactive() and not is_readable(call.fileno(), _PATIENCE_SECONDS):
        print("hops-credentials: waiting for an answer ...", file=sys.stderr, flush=True)
    # Waits in turns: Python handles a signal that arrives just before a wait only after that wait.
    while not is_readable(call.fileno(), 1):
        pass
    answer, warnings = call.result()
    for warning in warnings:
        LOG.warning(warning)
    if isinstance(answer, Exception):
        try:
            raise answer
        finally:
            # Its traceback holds this frame, and whatever the callers have made meanwhile.
            del answer
    return answer


def is_readable(descriptor: int, seconds: float) -> bool:
    """Waits until a descriptor is readable, for so many seconds at most. Returns whether it is."""
    with selectors.DefaultSelector() as ends:
        ends.register(descriptor, selectors.EVENT_READ)
        return bool(ends.select(seconds))


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules
