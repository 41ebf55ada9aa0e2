"""The role in use: one per process, kept fresh by one thread for as long as the process runs.

A refresh that fails leaves the credentials in place until they expire, and is tried again.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import random
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

from . import _environment, _native, _spark
from ._credentials import Credentials
from ._errors import CloudCredentialError
from ._source import LOG, Core, Fetched, NotRenewed, Parent, ParentGone, Request

_REMIND = 300.0
#: How often it is looked whether a SparkContext has been made, and by a forked child whether the process that serves it is still there.
_WATCH = 1.0


@dataclasses.dataclass
class _Role:
    """A role in use."""

    asked: Request
    source: Core | Parent | _spark.Jvm
    fetched: Fetched
    endpoint: _native.Endpoint | None
    due: float
    failures: int = 0
    first_failure: float = 0.0
    log_at: float = 0.0
    #: The SparkContext to which it was last handed over, or could not be.
    context: object = None

    def mode(self) -> str:
        """See `Credentials.mode`."""
        place = "environment" if self.endpoint is None else "endpoint"
        return f"{place} with Spark" if isinstance(self.source, _spark.Jvm) else place


@dataclasses.dataclass
class _Flight:
    """A fetch under way: who asks for the same meanwhile gets the same."""

    ended: threading.Event = dataclasses.field(default_factory=threading.Event)
    fetched: tuple[Core | _spark.Jvm, Fetched] | None = None
    error: BaseException | None = None


class _Here:
    """What there is one of in a process."""

    def __init__(self) -> None:
        self.flights: dict[Request, _Flight] = {}
        self.role: _Role | None = None
        #: Calls of `assume` under way. What they ask of a JVM must not be undone by handing it the role from before.
        self.assuming = 0
        self.process = os.getpid()
        self.threads_are_gone()

    def threads_are_gone(self) -> None:
        """As it is at first, and in a child that was forked: locks of threads that did not come along are held for ever."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        #: Held while a JVM is told which role to hold.
        self.telling = threading.Lock()
        self.thread: threading.Thread | None = None
        self.flights.clear()
        self.assuming = 0


_here = _Here()


def assume(asked: Request, refresh: bool) -> Credentials:
    """Assumes a role and tells every reader; all of it, or nothing when it raises."""
    with _here.lock:
        _here.assuming += 1
    try:
        return _assume(asked, refresh)
    finally:
        with _here.lock:
            _here.assuming -= 1


def _assume(asked: Request, refresh: bool) -> Credentials:
    source, fetched = _fetch(asked)
    with _here.lock:
        before = _here.role
        # Readers that were led to an endpoint of ours go on asking there, so it stays the same.
        own = None if before is None or isinstance(before.source, Parent) else before.endpoint
        endpoint = (own or _endpoint(fetched)) if refresh else None
        state = _environment.state()
        try:
            _environment.write(_changes(fetched, endpoint))
        except BaseException:
            _environment.restore(state)
            if endpoint is not None and endpoint is not own:
                endpoint.close()
            raise
        if endpoint is not None and endpoint is own:
            _publish(endpoint, fetched)
        elif own is not None:
            own.close()
        pinned = dataclasses.replace(asked, role_arn=fetched.role_arn or asked.role_arn)
        _here.role = role = _Role(pinned, source, fetched, endpoint, _due(fetched))
        _start()
        _forget_cached_sessions()
        switched = before is not None and before.fetched.role_arn != fetched.role_arn
        LOG.info(
            "%s %s, access key %s, ends %s, mode %s",
            f"switched from {before.fetched.role_arn} to" if before is not None and switched else "assumed",
            fetched.role_arn or "the default role",
            fetched.access_key_id,
            _utc(fetched.expiration),
            role.mode(),
        )
        return fetched.credentials(role.mode())


def current() -> Credentials | None:
    """The newest credentials of the role in use; None without one."""
    role = _here.role
    return None if role is None else role.fetched.credentials(role.mode())


def role_arn() -> str | None:
    """The role in use; None without one, or when the server did not say which its default is."""
    role = _here.role
    return None if role is None else role.fetched.role_arn


def fetched(role_arn: str | None) -> Fetched | None:
    """The newest credentials of the role in use, if it is this one and they are still good."""
    role = _here.role
    is_it = role is not None and role.fetched.role_arn == role_arn and role.fetched.left() > 0
    return role.fetched if role is not None and is_it else None


def explain(path: str) -> str:
    """What `hops.credentials_provider.explain` says."""
    role = _here.role
    lines = [f"readers in this process find: {_native.found()}"]
    if role is None:
        lines.append("no role is in use in this process")
    else:
        lines.append(f"role {role.fetched.role_arn or 'by default'}, access key {role.fetched.access_key_id}, mode {role.mode()}")
        lines.append(f"expiration {_utc(role.fetched.expiration)}, next refresh in {max(0, int(role.due - time.monotonic()))} s")
        if role.failures:
            lines.append(f"refresh fails since {_utc(role.first_failure)}, see the log")
    return "\n".join(lines + _spark.explain(path))


def release() -> None:
    """Ends the use of the role and puts everything back; without one, does nothing."""
    # A JVM that is being told of the role is told of its end then.
    with _here.telling, _here.lock:
        role = _here.role
        if role is None:
            return
        if isinstance(role.source, _spark.Jvm):
            with contextlib.suppress(_spark.Gone):
                role.source.release()
        _here.role = None
        _environment.release()
        if role.endpoint is not None:
            role.endpoint.close()
        _forget_cached_sessions()
        _here.changed.notify_all()


def _fetch(asked: Request) -> tuple[Core | _spark.Jvm, Fetched]:
    with _here.lock:
        flight = _here.flights.get(asked)
        own = _here.flights[asked] = _Flight() if flight is None else flight
    if flight is not None:
        flight.ended.wait()
        if isinstance(flight.error, Exception):
            raise flight.error
        # One that was interrupted says nothing about the role.
        return flight.fetched or _fetch(asked)
    try:
        with _here.telling:
            jvm = _spark.driver(asked)
            if jvm is not None:
                own.fetched = jvm, jvm.fetch()
        if own.fetched is None:
            core = Core(asked)
            own.fetched = core, core.fetch()
        return own.fetched
    except BaseException as error:
        own.error = error
        raise
    finally:
        with _here.lock:
            del _here.flights[asked]
        own.ended.set()


def _endpoint(fetched: Fetched) -> _native.Endpoint:
    directory = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if not directory.is_absolute() or not os.access(directory, os.W_OK):
        directory = Path(tempfile.gettempdir())
    return _native.Endpoint(
        fetched.access_key_id, fetched.secret_access_key, fetched.session_token, fetched.expiration, fetched.role_arn, directory
    )


def _publish(endpoint: _native.Endpoint, fetched: Fetched) -> None:
    endpoint.publish(fetched.access_key_id, fetched.secret_access_key, fetched.session_token, fetched.expiration, fetched.role_arn)


def _changes(fetched: Fetched, endpoint: _native.Endpoint | None) -> list[tuple[str, str | None]]:
    if endpoint is not None:
        return endpoint.changes()
    return _native.of_credentials(fetched.access_key_id, fetched.secret_access_key, fetched.session_token)


def _due(fetched: Fetched) -> float:
    if fetched.refresh_in is not None:
        return fetched.at + fetched.refresh_in
    return fetched.at + _native.refresh_after(fetched.life, random.random())


def _retry_after(role: _Role, failures: int) -> float:
    return _native.retry_after(failures, role.fetched.left(), role.fetched.life, random.random())


def _start() -> None:
    if _here.thread is None:
        _here.thread = threading.Thread(target=_keep_fresh, name="hops-credentials refresh", daemon=True)
        _here.thread.start()
    _here.changed.notify_all()


def _keep_fresh() -> None:
    while True:
        with _here.lock:
            role = _here.role
            while role is not None and (wait := role.due - time.monotonic()) > 0:
                if isinstance(role.source, Parent) and role.source.is_gone():
                    _take_over(role, role.source)
                if _meets_spark(role):
                    break
                _here.changed.wait(wait if isinstance(role.source, _spark.Jvm) else min(wait, _WATCH))
                role = _here.role
            if role is None:
                _here.thread = None
                return
        try:
            fetched = _handed_over(role) if _meets_spark(role) else None
            if fetched is None and role.due > time.monotonic():
                continue
            fetched = fetched or _fetch_anew(role)
        except NotRenewed:
            role.due = time.monotonic() + _retry_after(role, 1)
        except Exception as error:
            _failed(role, error)
        else:
            _renewed(role, fetched)


def _fetch_anew(role: _Role) -> Fetched:
    source = role.source
    try:
        return source.fetch()
    except ParentGone:
        assert isinstance(source, Parent)
        with _here.lock:
            _take_over(role, source)
        return role.source.fetch()
    except _spark.Gone:
        role.source = Core(role.asked)
        role.context = _spark.context()
        return role.source.fetch()


def follow_spark() -> None:
    """Lets the JVM of the SparkContext hold the role in use from here on, when it does not yet and can."""
    role = _here.role
    if role is not None and _meets_spark(role) and (fetched := _handed_over(role)) is not None:
        _renewed(role, fetched)


def _meets_spark(role: _Role) -> bool:
    """Whether there is a SparkContext that was made after the role in use, and to which it has not been handed over."""
    is_ours = _here.role is role and not _here.assuming and isinstance(role.source, Core)
    return is_ours and _spark.context() not in (None, role.context)


def _handed_over(role: _Role) -> Fetched | None:
    """What the JVM of a SparkContext got that is to hold the role from here on; None when it cannot."""
    with _here.telling:
        if not _meets_spark(role):
            return None
        role.context = _spark.context()
        try:
            jvm = _spark.driver(role.asked)
            fetched = None if jvm is None else jvm.fetch()
        except Exception as error:
            LOG.warning("Spark goes on with the credentials it was started with: %s", error)
            return None
        if jvm is not None:
            role.source = jvm
        return fetched


def _take_over(role: _Role, parent: Parent) -> None:
    """Serves in the place of the process that this one was forked from, unless another child of it does already."""
    fetched = role.fetched
    try:
        role.endpoint = _native.Endpoint.resume(
            *parent.place, fetched.access_key_id, fetched.secret_access_key, fetched.session_token, fetched.expiration, fetched.role_arn
        )
    except CloudCredentialError as error:
        LOG.info("the endpoint is not taken over: %s", error)
        parent.is_followed_by_another()
    else:
        LOG.info("the endpoint is taken over from the process that assumed the role, which has ended")
        role.source = Core(parent.asked)


def _renewed(role: _Role, fetched: Fetched) -> None:
    with _here.lock:
        if _here.role is not role:
            return
        role.fetched = fetched
        role.due = _due(fetched)
        if role.endpoint is not None:
            _publish(role.endpoint, fetched)
        elif _environment.are_ours():
            _environment.write(_changes(fetched, None))
        else:
            LOG.warning("the AWS variables of this process are no longer those of %s, and stay as they are", fetched.role_arn)
        if role.failures:
            LOG.warning(
                "recovered: refresh of %s works again, access key %s, ends %s",
                fetched.role_arn,
                fetched.access_key_id,
                _utc(fetched.expiration),
            )
            role.failures = 0


def _failed(role: _Role, error: Exception) -> None:
    with _here.lock:
        if _here.role is not role:
            return
        now = time.monotonic()
        if role.failures == 0:
            role.first_failure = time.time()
        if role.failures == 0 or now >= role.log_at:
            LOG.warning(
                "refresh of %s fails since %s, credentials end %s: %s",
                role.fetched.role_arn,
                _utc(role.first_failure),
                _utc(role.fetched.expiration),
                error,
            )
            role.log_at = now + _REMIND
        if role.endpoint is not None:
            role.endpoint.note(str(error))
        role.failures += 1
        role.due = now + _retry_after(role, role.failures)


def _forget_cached_sessions() -> None:
    """Clients made from here on look for credentials anew; only of libraries that are loaded."""
    boto3 = sys.modules.get("boto3")
    if boto3 is not None:
        boto3.DEFAULT_SESSION = None  # type: ignore[attr-defined]
    s3fs = sys.modules.get("s3fs")
    if s3fs is not None:
        s3fs.S3FileSystem.clear_instance_cache()


def _utc(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _before_fork() -> None:
    _here.lock.acquire()
    # A child cannot ask any more when this process ends at once.
    _here.process = os.getpid()


def _after_fork_in_parent() -> None:
    _here.lock.release()


def _after_fork_in_child() -> None:
    """Threads and locks do not come along. The environment is this process's own; the endpoint is its parent's, and stays in use."""
    _here.threads_are_gone()
    role = _here.role
    if role is None:
        return
    if isinstance(role.source, Parent):
        # Whoever serves is further up.
        role.source.is_followed_by_another()
    elif role.endpoint is not None:
        os.close(role.endpoint.fileno())
        role.source = Parent(role.asked, _here.process, role.endpoint.changes())
    elif isinstance(role.source, _spark.Jvm):
        role.source = Core(role.asked)
    # The connection to its JVM is the parent's.
    role.context = _spark.context()
    with _here.lock:
        _start()


def _at_exit() -> None:
    role = _here.role
    if role is not None and role.endpoint is not None:
        role.endpoint.close()


# Not the methods of the lock: a forked child has another one.
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
