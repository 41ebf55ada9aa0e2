"""`assume_role` and `release`: they begin and end the use of a role, completely or not at all."""

from __future__ import annotations

import atexit
import dataclasses
import os
import threading
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, nullcontext

from . import _environment, _loaded, _native, _refresher, _spark
from ._credentials import Credentials, utc_text
from ._errors import NotConfiguredError
from ._handover import give_way
from ._renewal import Renewal
from ._role import Role, state
from ._source import LOG, Fetched, NativeSource, Request, Source


@dataclasses.dataclass
class _Flight:
    """A fetch under way. Callers with an equal request wait for it and share its outcome."""

    #: Held by the caller that fetches. One that is not held has ended, also where an interrupt ended it before it said so.
    fetching: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    thread: int = dataclasses.field(default_factory=threading.get_ident)
    outcome: tuple[Source, Fetched] | None = None
    error: BaseException | None = None

    def is_awaitable(self) -> bool:
        """Returns whether this thread may wait for it. A signal handler that does what its thread was about to do may not."""
        return self.fetching.locked() and self.thread != threading.get_ident()


_flights: dict[Request, _Flight] = {}

# The threads that fetch do not exist in a forked child.
os.register_at_fork(after_in_child=_flights.clear)


def assume(asked: Request, refresh: bool) -> Credentials:
    """Assumes a role and tells every reader. When it raises, nothing has changed, unless an interrupt came after the last write."""
    endpoint = None
    call = object()
    try:
        with state.lock:
            state.assuming.add(call)
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
                give_way(source)
                raise
    finally:
        with state.lock:
            state.assuming.discard(call)
            if endpoint is not None and (state.role is None or state.role.endpoint is not endpoint):
                endpoint.close()


def assume_for_buckets(asked: Request, buckets: tuple[str, ...]) -> Credentials:
    """Lets Spark read some buckets with a role of their own. Changes nothing else in this process."""
    told = None if _spark.context() is None else _tell_jvm(asked, buckets)
    if told is None:
        _spark.refuse_connect()
        raise NotConfiguredError(
            "there is no SparkContext, and nobody else reads a bucket with a role of its own: make the session first, or use "
            "boto3_session, storage_options or polars_credential_provider with the role; nothing has changed"
        )
    jvm, fetched = told
    return fetched.to_credentials(jvm.mode("buckets"))


def release() -> None:
    """Ends the use of the role and puts everything back; without a role, does nothing. After an interrupt it can be called again."""
    # Waits for a JVM that is being told of the role, to tell it of the end afterwards.
    with state.telling_jvm, state.lock:
        role = state.role
        holders: list[Source] = [*([] if role is None else [role.source]), *dict.fromkeys(state.bucket_holders.values())]
        for holder in holders:
            holder.release()
            if state.role is not role:
                # A signal handler has assumed another one meanwhile.
                return
        state.bucket_holders.clear()
        _environment.give_back()
        if role is None:
            return
        # While there is a role, so that another call does it after an interrupt.
        _loaded.give_back()
        state.role = None
        state.wake(role)
        if role.endpoint is not None:
            role.endpoint.close()


def _fetch(asked: Request) -> tuple[Source, Fetched]:
    own = _Flight()
    with own.fetching:
        with state.lock:
            flight = _flights.get(asked)
            if flight is None or not flight.is_awaitable():
                flight = _flights[asked] = own
        if flight is own:
            try:
                own.outcome = _fetch_from_source(asked)
                return own.outcome
            except BaseException as error:
                own.error = error
                raise
            finally:
                with state.lock:
                    if _flights.get(asked) is own:
                        del _flights[asked]
                # The traceback of its error holds this frame.
                del own, flight
    with flight.fetching:
        pass
    if isinstance(flight.error, Exception):
        raise flight.error
    # A fetch that was interrupted says nothing about the role.
    return flight.outcome or _fetch(asked)


def _fetch_from_source(asked: Request) -> tuple[Source, Fetched]:
    if _spark.context() is not None and (told := _tell_jvm(asked)) is not None:
        return told
    _spark.refuse_connect()
    native = NativeSource(asked)
    return native, native.fetch()


def _tell_jvm(asked: Request, buckets: tuple[str, ...] = ()) -> tuple[_spark.JvmSource, Fetched] | None:
    """Lets the JVM of the SparkContext hold the role; None when there is none any more.

    Ctrl-C ends the wait for the JVM and not what the JVM does, so a thread tells it, which lets it go back when nobody waits any more.
    """
    answer: Future[tuple[_spark.JvmSource, Fetched] | None] = Future()
    # A signal handler may not wait for what its own thread holds. `threading.Condition` asks the lock in this way too.
    is_own = state.telling_jvm._is_owned()  # type: ignore[attr-defined]
    lock: AbstractContextManager[object] = nullcontext() if is_own else state.telling_jvm
    arguments = (asked, buckets, _spark.active_session(), lock, answer)
    threading.Thread(target=_tell, args=arguments, name="hops-credentials Spark", daemon=True).start()
    try:
        # Waits in turns, see `_source.ask`.
        while not wait([answer], 1).done:
            pass
        return answer.result()
    except BaseException:
        if not answer.cancel() and answer.exception() is None and (told := answer.result()) is not None:
            give_way(told[0])
        raise
    finally:
        # The traceback of its exception holds this frame.
        del answer


def _tell(
    asked: Request,
    buckets: tuple[str, ...],
    session: object,
    lock: AbstractContextManager[object],
    answer: Future[tuple[_spark.JvmSource, Fetched] | None],
) -> None:
    with lock:
        try:
            jvm = _spark.driver(asked, buckets)
            with _spark.activated(session):
                told = None if jvm is None else (jvm, jvm.fetch())
            if told is not None:
                # An interrupt may leave them with the role too.
                state.bucket_holders.update(dict.fromkeys(buckets, told[0]))
        except BaseException as error:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)
            del answer
            return
        if answer.set_running_or_notify_cancel():
            answer.set_result(told)
        elif told is not None:
            give_way(told[0])


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
    state.role = role
    try:
        _environment.apply(plan)
    except BaseException:
        state.role = before
        raise
    if own is not None:
        if endpoint is own:
            own.publish(fetched.values())
        else:
            own.close()
    state.wake(before or role)
    _loaded.prepare()
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


def _close_endpoint() -> None:
    role = state.role
    if role is not None and role.endpoint is not None:
        role.endpoint.close()


atexit.register(_close_endpoint)
