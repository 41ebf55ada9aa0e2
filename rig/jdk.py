"""Finds Java development kits by their `release` files, under whatever name the machine keeps them.

`python3 -m rig.jdk 17` prints the home of a JDK 17.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path


def homes() -> dict[int, Path]:
    """Maps the feature version of every kit in /usr/lib/jvm and in JAVA_HOME to its home."""
    found: dict[int, Path] = {}
    candidates = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*"))
    for home in candidates:
        release = home / "release"
        if (home / "bin" / "javac").exists() and release.is_file():
            version = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.MULTILINE)
            if version:
                found.setdefault(int(version[1]), home.resolve())
    return found


def home(version: int) -> Path:
    """Returns the home of a JDK of that feature version.

    Raises LookupError when the machine has none. The message names those it has.
    """
    found = homes()
    if version not in found:
        raise LookupError(f"no JDK {version} in /usr/lib/jvm (found: {', '.join(map(str, sorted(found))) or 'none'}): install one")
    return found[version]


if __name__ == "__main__":
    try:
        print(home(int(sys.argv[1])))
    except LookupError as missing:
        sys.exit(str(missing))
