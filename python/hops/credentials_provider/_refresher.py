"""The thread that keeps the role in use fresh for as long as the process runs."""

from __future__ import annotations

import threading

from ._handover import hand_over_to_spark, needs_handover
from ._role import Role, state
from ._source import Fetched, NotRenewed, SourceGone


def start() -> None:
    """Starts the thread unless it runs, and wakes it for a role that is new. The caller holds the lock."""
    if state.refresher is None:
        state.refresher = threading.Thread(target=_run, name="hops-credentials refresh", daemon=True)
        state.refresher.start()
    state.changed.notify_all()


def _run() -> None:
    """Renews whichever role is in use; ends when there is none."""
    while True:
        with state.lock:
            role = state.role
            while role is not None and (seconds := role.renewal.due_in()) > 0:
                if role.source.is_gone():
                    role.replace_source()
                if needs_handover(role):
                    break
                state.changed.wait(role.source.wait(seconds))
                role = state.role
            if role is None:
                state.refresher = None
                return
        try:
            fetched = hand_over_to_spark(role) if needs_handover(role) else None
            if fetched is None and role.renewal.due_in() > 0:
                continue
            fetched = fetched or _fetch(role)
        except NotRenewed:
            role.renewal.postpone()
        except Exception as error:
            role.note_failure(error)
        else:
            role.renew(fetched)


def _fetch(role: Role) -> Fetched:
    try:
        return role.source.fetch()
    except SourceGone:
        with state.lock:
            role.replace_source()
        return role.source.fetch()
