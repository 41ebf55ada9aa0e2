"""The thread that keeps the role in use fresh for as long as the process runs."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from ._handover import hand_over_to_spark, needs_handover
from ._role import Role, state
from ._source import LOG, Fetched, NotRenewed, SourceGone


def start() -> None:
    """Starts the thread unless it runs. It waits for the caller, who holds the lock, and ends when there is no role then."""
    if state.refresher is None or not state.refresher.is_alive():
        uwsgi: Any = sys.modules.get("uwsgi")
        if uwsgi is not None and not {"enable-threads", "threads"} & set(uwsgi.opt):
            LOG.warning("uWSGI runs no threads, so nothing renews the credentials: start it with --enable-threads")
        refresher = threading.Thread(target=_run, name="hops-credentials refresh", daemon=True)
        refresher.start()
        state.refresher = refresher


def _run() -> None:
    """Renews whichever role is in use; ends when there is none. Nothing else ends it, not even an exception that another thread raises."""
    while True:
        try:
            role = _await_due()
            if role is None:
                return
            try:
                _renew(role)
            except NotRenewed:
                role.renewal.postpone()
            except BaseException as error:
                role.note_failure(error)
        except BaseException:
            LOG.warning("the thread that renews credentials met an error, and goes on", exc_info=True)
            time.sleep(1)


def _await_due() -> Role | None:
    """Waits until the credentials of the role in use are due, or until a JVM may hold it. Returns it; None when there is no role."""
    with state.lock:
        while (role := state.role) is not None:
            if role.source.is_gone():
                role.replace_source()
            if role.renewal.due_in() <= 0 or needs_handover(role):
                return role
            role.put_back()
            state.wait(role, role.source.wait(role.renewal.wait()))
        state.refresher = None
        return None


def _renew(role: Role) -> None:
    fetched = hand_over_to_spark(role) if needs_handover(role) else None
    if fetched is None and role.renewal.due_in() <= 0:
        fetched = _fetch(role)
    if fetched is not None:
        role.renew(fetched)


def _fetch(role: Role) -> Fetched:
    held = role.fetched.access_key_id
    try:
        return role.source.fetch(held)
    except SourceGone:
        with state.lock:
            role.replace_source()
        return role.source.fetch(held)
