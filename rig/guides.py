"""The guides in `docs/user-guide/`, whose snippets tests run."""

from __future__ import annotations

import re

from rig import ROOT


def snippets(guide: str, language: str) -> list[str]:
    """Returns the snippets of a guide in one language, in order."""
    found = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / "user-guide" / guide).read_text(), re.DOTALL | re.MULTILINE)
    if not found:
        raise ValueError(f"{guide} has no snippet in {language}")
    return found
