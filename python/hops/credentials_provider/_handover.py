"""Handing the role in use over to the JVM of a SparkContext that was made after it."""

from __future__ import annotations

import random

from . import _native, _spark
from ._errors import BadAnswerError, UnavailableError
from ._role import Role, state
from ._source import LOG, Fetched, NativeSource, Source


def needs_handover(role: Role) -> bool:
    """Returns whether there is a SparkContext that may hold the role and does not yet."""
    return state.role is role and not state.assuming and role.source.yields_to(_spark.context())


def hand_over_to_spark(role: Role) -> Fetched | None:
    """Lets the JVM of the SparkContext hold the role, and returns what it fetched; None when it cannot."""
    with state.telling_jvm:
        if not needs_handover(role):
            return None
        return _hand_over(role)


def _hand_over(role: Role) -> Fetched | None:
    context = _spark.context()
    try:
        jvm = _spark.driver(role.asked)
        fetched = None if jvm is None else jvm.fetch()
    except Exception as error:
        role.source = source = NativeSource(role.asked, context)
        passes = isinstance(error, (UnavailableError, BadAnswerError))
        role.failed_handovers = role.failed_handovers + 1 if passes else 0
        if passes:
            source.yield_after(_native.retry_after(role.failed_handovers, role.fetched.left(), role.fetched.valid_for, random.random()))
        if role.failed_handovers <= 1:
            LOG.warning("Spark goes on with the credentials it was started with%s: %s", " for now" if passes else "", error)
        return None
    role.failed_handovers = 0
    if jvm is not None:
        if state.role is not role:
            # A signal handler has ended or replaced it meanwhile.
            give_way(jvm)
            return None
        role.source = jvm
    return fetched


def give_way(source: Source) -> None:
    """Undoes at a source what its first fetch did there, unless its role has come into use."""
    with state.lock:
        role = state.role
        used = None if role is None else role.source
        if used is source:
            return
        fetched = source.give_way(used)
        holders = state.bucket_holders
        if fetched is None and isinstance(source, _spark.JvmSource) and source not in holders.values():
            for holder in dict.fromkeys(holders.values()):
                holder.resume(tuple(bucket for bucket, other in holders.items() if other is holder))
        if role is not None and fetched is not None:
            role.renew(fetched)


def follow_spark() -> None:
    """Hands over the role in use, if there is one that needs it."""
    role = state.role
    if role is not None and needs_handover(role) and (fetched := hand_over_to_spark(role)) is not None:
        role.renew(fetched)
