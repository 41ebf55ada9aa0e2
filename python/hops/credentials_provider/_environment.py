"""The variables by which readers in this process, and in those that it starts, find credentials.

The native library plans the writes and knows what stood there before. They go through `os.environ`, so that Python, the C library and new
processes all see them, in an order in which a reader that looks meanwhile finds the old values, the new ones, or a mixture that no service
accepts.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from . import _native

#: Held while variables are written, and by whoever needs all of them. A forked child has another one.
lock = threading.RLock()


def apply(plan: _native.Plan) -> None:
    """Makes the writes of a plan, or none of them when one fails. The caller holds the lock."""
    try:
        # Kept first: whatever interrupts undoing this leaves nothing that `give_back` does not know.
        plan.keep()
        _write(plan)
    except BaseException:
        _undo(plan)
        plan.forget()
        raise


def give_back() -> None:
    """Puts everything back that is still ours, or nothing when that fails. The caller holds the lock."""
    plan = _native.plan_release()
    try:
        _write(plan)
    except BaseException:
        _undo(plan)
        raise
    plan.keep()


def _write(plan: _native.Plan) -> None:
    for name, value in plan.writes:
        _set(name, value)


def _undo(plan: _native.Plan) -> None:
    for name, value in plan.undo:
        with suppress(Exception):
            _set(name, value)


def _set(name: str, value: str | None) -> None:
    # `os.environ` tells neither new processes nor the C library where a program has replaced it by a plain dictionary, and does not take
    # out what was set behind its back.
    if value is None:
        os.environ.pop(name, None)
        os.unsetenv(name)
    else:
        os.environ[name] = value
        os.putenv(name, value)
