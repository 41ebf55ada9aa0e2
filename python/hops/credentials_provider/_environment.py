"""The variables of this process that this package wrote, and what they held before.

Writes go through `os.environ`, so that Python, the C library and new processes all see them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from . import _native

#: The value before our first write and the value that we wrote last, by name. None means unset.
_saved: dict[str, tuple[str | None, str | None]] = {}


def write(changes: Iterable[tuple[str, str | None]]) -> None:
    """Writes variables, and puts back those of an earlier write that are not among them."""
    values = dict(changes)
    for name in [name for name in _saved if name not in values]:
        _put_back(name)
    for name, value in values.items():
        before = _saved[name][0] if name in _saved else os.environ.get(name)
        _saved[name] = (before, value)
    # Before the first write: a call that looks for the base identity meanwhile finds what stands there, or its record.
    _note()
    for name, value in values.items():
        _set(name, value)


def is_ours() -> bool:
    """Returns whether all variables still hold what we wrote."""
    return all(os.environ.get(name) == ours for name, (_, ours) in _saved.items())


def release() -> None:
    """Puts back what variables held before us, where they still hold what we wrote."""
    for name in list(_saved):
        _put_back(name)
    _note()


def snapshot() -> tuple[dict[str, str | None], dict[str, tuple[str | None, str | None]]]:
    """Returns what `restore` needs to undo later writes."""
    return {name: os.environ.get(name) for name in _saved}, dict(_saved)


def restore(snapshot: tuple[dict[str, str | None], dict[str, tuple[str | None, str | None]]]) -> None:
    """Undoes the writes since `snapshot`."""
    values, saved = snapshot
    for name in [name for name in _saved if name not in saved]:
        _put_back(name)
    _saved.update(saved)
    for name, value in values.items():
        _set(name, value)
    _note()


def _note() -> None:
    """Tells the core what stood there before, which is where it looks for the base identity."""
    _native.note_written([(name, before, ours) for name, (before, ours) in _saved.items()])


def _put_back(name: str) -> None:
    before, ours = _saved.pop(name)
    if os.environ.get(name) == ours:
        _set(name, before)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
