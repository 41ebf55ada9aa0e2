"""The role-mapping server as an administrator runs it: its command line sets it up, its binary serves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rig import ROOT, static_program
from rig.process import Program, environment, run

#: The server that the demo and the tests run: `cargo test` and `make demo` build it on their way.
BINARY = ROOT / "target" / "debug" / "role-mapping-server"
#: The server that administrators get.
OPTIMISED = static_program("role-mapping-server")


class CommandFailed(Exception):
    """The server refused a command. The message holds what it said."""


@dataclasses.dataclass(frozen=True)
class RoleServer:
    """A database in `directory`, and the commands on it. The server gets `variables`, a path and a home, and nothing else."""

    directory: Path
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: The program; the server of a run that compares versions is another one.
    binary: Path = BINARY
    #: The URL of a database that servers share; without it, that of `database`.
    shared: str | None = None

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.directory / "roles.db"

    @property
    def log(self) -> Path:
        """The output of `serve`."""
        return self.directory / "server.log"

    def command(self, *arguments: str) -> str:
        """Runs one command. Returns what it printed, without the line end."""
        self.directory.mkdir(parents=True, exist_ok=True)
        done = run([self.binary, *arguments], self._environment(), self.directory, 30)
        if done.returncode != 0:
            raise CommandFailed(f"role-mapping-server {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout.removesuffix("\n")

    def member(self, project: str, email: str, project_role: str) -> str:
        """Adds a user and makes it a member of a project. Returns its API key."""
        key = self.command("user", "add", email)
        self.command("member", "set", project, email, project_role)
        return key

    @contextmanager
    def serve(self, *options: str) -> Iterator[tuple[str, Program]]:
        """Serves for the length of the `with` block. Yields the endpoint and the process."""
        command: list[str | Path] = [self.binary, "serve", "--listen", "127.0.0.1:0", *options]
        with Program(command, self.log, self._environment(), self.directory) as program:
            yield program.await_line(r"^listening on (http://127\.0\.0\.1:\d+)$")[1], program

    def _environment(self) -> dict[str, str]:
        return environment(self.directory / "home", DATABASE_URL=self.shared or f"sqlite://{self.database}", **self.variables)
