"""A private PostgreSQL with Debian's defaults: it listens on a socket in a temporary directory, and ends with the `with` block."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres() -> Iterator[str]:
    """Runs PostgreSQL. Yields the URL of its database."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    # PostgreSQL does not run as root.
    prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if prefix:
        shutil.chown(directory, "postgres")

    def run(program: str, *arguments: str) -> None:
        subprocess.run([*prefix, programs / program, "-D", directory / "data", *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/")

    try:
        run("initdb", "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        options = f"-c listen_addresses='' -k {directory} -c max_connections=100 -c max_wal_size=4GB"
        run("pg_ctl", "-w", "-l", str(directory / "log"), "-o", options, "start")
        try:
            yield f"postgres://postgres@localhost/postgres?host={directory}"
        finally:
            run("pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(directory)
