"""Finds secrets that were really issued in what a run leaves behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def leaks(secrets: Iterable[str], directory: Path, *texts: str) -> list[str]:
    """Lists where one of the secrets stands: files below `directory`, and numbers of the texts. Never shows the secret itself.

    Files and folders may go meanwhile.
    """
    needles = [secret.encode() for secret in secrets]
    assert needles, "no secret has been issued, so nothing can be searched"
    places = {f"text {number}": text.encode() for number, text in enumerate(texts)}
    for folder, _, names in os.walk(directory):
        for file in (Path(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                if file.is_file():
                    places[str(file.relative_to(directory))] = file.read_bytes()
    return [place for place, content in places.items() if any(needle in content for needle in needles)]
