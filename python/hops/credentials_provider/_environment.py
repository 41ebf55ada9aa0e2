"""The variables of this process that this package wrote, and what they held before.

Writes go through `os.environ`, so that Python, the C library and new processes all see them. The native library says what is written, and
in which order: a reader that looks meanwhile finds the old values, the new ones, or a mixture that no service accepts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

#: The value before our first write and the value that we wrote last, by name, in the order of the writes. None means unset.
_saved: dict[str, tuple[str | None, str | None]] = {}


def write(changes: Iterable[tuple[str, str | None]]) -> None:
    """Writes variables, then puts back those of an earlier write that are not among them. When it raises, all are as before."""
    saved = dict(_saved)
    held = {name: os.environ.get(name) for name in saved}
    values = dict(changes)
    try:
        for name, value in values.items():
            before = _saved.pop(name, (os.environ.get(name),))[0]
            _saved[name] = (before, value)
            _set(name, value)
        for name in [name for name in _saved if name not in values]:
            _put_back(name)
    except BaseException:
        for name in [name for name in reversed(_saved) if name not in saved]:
            _put_back(name)
        _saved.clear()
        _saved.update(saved)
        for name, value in held.items():
            _set(name, value)
        raise


def is_ours() -> bool:
    """Returns whether all variables still hold what we wrote."""
    return all(os.environ.get(name) == ours for name, (_, ours) in _saved.items())


def release() -> None:
    """Puts back what variables held before us, where they still hold what we wrote; the last one written is the first."""
    for name in list(reversed(_saved)):
        _put_back(name)


def _put_back(name: str) -> None:
    before, ours = _saved.pop(name)
    if os.environ.get(name) == ours:
        _set(name, before)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
