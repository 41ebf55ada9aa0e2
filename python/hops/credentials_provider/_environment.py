"""The variables of this process that we wrote, and what stood there before.

Written through `os.environ`, so that Python, the C library and new processes all see them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

#: By name, what stood there before our first write, and what we wrote last; None for nothing.
_saved: dict[str, tuple[str | None, str | None]] = {}


def write(changes: Iterable[tuple[str, str | None]]) -> None:
    """Makes the variables hold this, and those of an earlier write that are not among them what they held before it."""
    values = dict(changes)
    for name in [name for name in _saved if name not in values]:
        _put_back(name)
    for name, value in values.items():
        before = _saved[name][0] if name in _saved else os.environ.get(name)
        _saved[name] = (before, value)
        _set(name, value)


def are_ours() -> bool:
    """Whether nobody else has written since."""
    return all(os.environ.get(name) == ours for name, (_, ours) in _saved.items())


def release() -> None:
    """Puts back what stood there before us, where the value is still ours."""
    for name in list(_saved):
        _put_back(name)


def state() -> tuple[dict[str, str | None], dict[str, tuple[str | None, str | None]]]:
    """What `restore` takes."""
    return {name: os.environ.get(name) for name in _saved}, dict(_saved)


def restore(state: tuple[dict[str, str | None], dict[str, tuple[str | None, str | None]]]) -> None:
    """Undoes the writes since `state`."""
    values, saved = state
    for name in [name for name in _saved if name not in saved]:
        _put_back(name)
    _saved.update(saved)
    for name, value in values.items():
        _set(name, value)


def _put_back(name: str) -> None:
    before, ours = _saved.pop(name)
    if os.environ.get(name) == ours:
        _set(name, before)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
