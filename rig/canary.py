"""Secrets that were really issued, searched in what a run leaves behind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def leaks(secrets: Iterable[str], directory: Path, *texts: str) -> list[str]:
    """Where one of the secrets stands: the files below `directory`, and the numbers of the texts. Never the secret itself."""
    needles = [secret.encode() for secret in secrets]
    assert needles, "no secret has been issued, so nothing can be searched"
    places = {f"text {number}": text.encode() for number, text in enumerate(texts)}
    for file in directory.rglob("*"):
        if file.is_file():
            places[str(file.relative_to(directory))] = file.read_bytes()
    return [place for place, content in places.items() if any(needle in content for needle in needles)]
