"""New databases of both kinds for the role-mapping server, each gone at the end of its `with` block."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def sqlite_database(directory: Path) -> Iterator[str]:
    """Yields the URL of a new SQLite database in this directory."""
    yield f"sqlite://{directory}/roles.db"


@contextmanager
def postgres_database(_directory: Path) -> Iterator[str]:
    """Runs a PostgreSQL with Debian's defaults, which listens on a socket in a directory of its own. Yields the URL of its database."""
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


#: Makes a new database of each kind, and yields its URL.
DATABASES = {"SQLite": sqlite_database, "PostgreSQL": postgres_database}


def execute(database: str, statements: Iterable[str]) -> None:
    """Runs statements on a database, in one transaction."""
    if database.startswith("sqlite://"):
        connection = sqlite3.connect(database.removeprefix("sqlite://"))
        connection.execute("pragma cache_size = -200000")
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
    else:
        text = ";\n".join(statements)
        command = ["psql", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", database]
        subprocess.run(command, input=text, check=True, text=True)
