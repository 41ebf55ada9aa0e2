"""`assume_role` and `release`: they begin and end the use of a role, completely or not at all."""

from __future__ import annotations

import atexit
import dataclasses
import os
import sys
import threading
from concurrent.futures import Future, wait
from typing import Any

from . import _environment, _native, _refresher, _spark
from ._credentials import Credentials, utc_text
from ._renewal import Renewal
from ._role import Role, state
from ._source import LOG, Fetched, NativeSource, Request, Source


@dataclasses.dataclass
class _Flight:
    """A fetch under way. Callers with an equal request wait for it and share its outcome."""

    ended: threading.Event = dataclasses.field(default_factory=threading.Event)
    outcome: tuple[Source, Fetched] | None = None
    error: BaseException | None = None


_flights: dict[Request, _Flight] = {}

# The threads that fetch do not exist in a forked child.
os.register_at_fork(after_in_child=_flights.clear)


def assume(asked: Request, refresh: bool) -> Credentials:
    """Assumes a role and tells every reader. When it raises, nothing has changed."""
    endpoint = None
    with state.lock:
        state.assuming += 1
    try:
        if refresh:
            # Made and looked at first: once the JVM of a SparkContext holds the role, it is late to find that it is not possible.
            endpoint = _native.Endpoint()
            with state.lock:
                endpoint.plan()
        source, fetched = _fetch(asked)
        with state.lock:
            try:
                return _use(asked, source, fetched, endpoint)
            except BaseException:
                _give_way(source)
                raise
    finally:
        with state.lock:
            state.assuming -= 1
            if endpoint is not None and (state.role is None or state.role.endpoint is not endpoint):
                endpoint.close()


def release() -> None:
    """Ends the use of the role and puts everything back; without a role, does nothing."""
    # Waits for a JVM that is being told of the role, to tell it of the end afterwards.
    with state.telling_jvm, state.lock:
        role = state.role
        if role is None:
            return
        role.source.release()
        state.role = None
        state.wake(role)
        _environment.apply(_native.plan_release())
        if role.endpoint is not None:
            role.endpoint.close()
        _forget_cached_sessions()


def _fetch(asked: Request) -> tuple[Source, Fetched]:
    with state.lock:
        flight = _flights.get(asked)
        own = _flights[asked] = _Flight() if flight is None else flight
    if flight is not None:
        flight.ended.wait()
        if isinstance(flight.error, Exception):
            raise flight.error
        # A fetch that was interrupted says nothing about the role.
        return flight.outcome or _fetch(asked)
    try:
        own.outcome = _fetch_from_source(asked)
        return own.outcome
    except BaseException as error:
        own.error = error
        raise
    finally:
        with state.lock:
            del _flights[asked]
        own.ended.set()
        # The traceback of its error holds this frame.
        del own


def _fetch_from_source(asked: Request) -> tuple[Source, Fetched]:
    if _spark.context() is not None and (told := _tell_jvm(asked)) is not None:
        return told
    _spark.refuse_connect()
    native = NativeSource(asked)
    return native, native.fetch()


def _tell_jvm(asked: Request) -> tuple[Source, Fetched] | None:
    """Lets the JVM of the SparkContext hold the role; None when there is none any more.

    Ctrl-C ends the wait for the JVM and not what the JVM does, so a thread tells it, which lets it go back when nobody waits any more.
    """
    answer: Future[tuple[Source, Fetched] | None] = Future()
    threading.Thread(target=_tell, args=(asked, answer), name="hops-credentials Spark", daemon=True).start()
    try:
        # Waits in turns, see `_source.ask`.
        while not wait([answer], 1).done:
            pass
        return answer.result()
    except BaseException:
        if not answer.cancel() and answer.exception() is None and (told := answer.result()) is not None:
            _give_way(told[0])
        raise
    finally:
        # The traceback of its exception holds this frame.
        del answer


def _tell(asked: Request, answer: Future[tuple[Source, Fetched] | None]) -> None:
    with state.telling_jvm:
        try:
            jvm = _spark.driver(asked)
            told = None if jvm is None else (jvm, jvm.fetch())
        except BaseException as error:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)
            del answer
            return
        if answer.set_running_or_notify_cancel():
            answer.set_result(told)
        elif told is not None:
            _give_way(told[0])


def _give_way(source: Source) -> None:
    """Undoes at a source what its first fetch did there, since its role is not used."""
    with state.lock:
        role = state.role
        fetched = source.give_way(None if role is None else role.source)
        if role is not None and fetched is not None:
            role.renew(fetched)


def _use(asked: Request, source: Source, fetched: Fetched, made: _native.Endpoint | None) -> Credentials:
    before = state.role
    # Readers that ask an endpoint of this process go on asking there, so it stays.
    own = before.endpoint if before is not None and before.source.serves_endpoint else None
    endpoint = made and (own or made)
    if endpoint is not None and endpoint is not own:
        # Whoever finds it finds credentials there.
        endpoint.publish(fetched.values())
    role = Role(asked.pinned_to(fetched.role_arn), source, Renewal(fetched), endpoint)
    _refresher.start()
    plan = role.plan()
    for warning in plan.warnings:
        LOG.warning(warning)
    _environment.apply(plan)
    if own is not None:
        if endpoint is own:
            own.publish(fetched.values())
        else:
            own.close()
    state.role = role
    state.wake(before or role)
    _forget_cached_sessions()
    switched = before is not None and before.fetched.role_arn != fetched.role_arn
    LOG.info(
        "%s %s, access key %s, ends %s, mode %s",
        f"switched from {before.fetched.role_arn} to" if before is not None and switched else "assumed",
        fetched.role_arn or "the default role",
        fetched.access_key_id,
        utc_text(fetched.expires()),
        role.mode(),
    )
    return fetched.to_credentials(role.mode())


def _forget_cached_sessions() -> None:
    """Makes clients of boto3 and s3fs, if these are loaded, look for credentials again. boto3's default session keeps its region."""
    boto3: Any = sys.modules.get("boto3")
    if boto3 is not None and boto3.DEFAULT_SESSION is not None:
        region = boto3.DEFAULT_SESSION._session.instance_variables().get("region")
        boto3.DEFAULT_SESSION = None
        if region is not None:
            boto3.setup_default_session(region_name=region)
    s3fs: Any = sys.modules.get("s3fs")
    if s3fs is not None:
        s3fs.S3FileSystem.clear_instance_cache()


def _close_endpoint() -> None:
    role = state.role
    if role is not None and role.endpoint is not None:
        role.endpoint.close()


atexit.register(_close_endpoint)
