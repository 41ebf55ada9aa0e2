"""`make upgrade` replaces servers of the previous commit by this one, one after the other, on one database, and takes the way back.

Clients ask all the time for lists, credentials and a page of an administrator, wherever `/readyz` says that a server serves, as behind a
load balancer. Both programs write in turn, with their command lines. In the middle the schema grows as a later version would make it grow.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.client
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rig import BUILD, ROOT
from rig.aws import REGION
from rig.database import DATABASES, execute
from rig.process import Program, build_environment, environment, run
from rig.server import OPTIMISED, RoleServer

PEER = OPTIMISED.parent / "examples" / "peer"
API = "/hopsworks-api/api"
CLIENTS = 4
#: The time for which a server that ends says so by `/readyz` and still serves. A load balancer here looks ten times a second.
DRAIN_SECONDS = 2
#: The time for which each mixture of servers is watched.
MIXED_SECONDS = 3
#: What a migration of a later version may do while this one runs: it only adds.
GROWTH = [
    "alter table users add column colour text",
    "alter table audit add column weather text",
    "create table later_noun (id bigint primary key, name text not null)",
    "create index later_index on role_mappings (role_arn)",
    "insert into _sqlx_migrations (version, description, success, checksum, execution_time) "
    "select (select max(version) + 1 from _sqlx_migrations), 'later', true, checksum, 0 from _sqlx_migrations where version = 1",
]


def built(commit: str) -> Path:
    """Builds the server of a commit. Returns the program."""
    source, target = BUILD / "upgrade" / "source", BUILD / "upgrade" / "target"
    source.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    # A commit's files keep their times, so what has not changed is not compiled again.
    subprocess.run(["tar", "-x", "-C", source], input=archive, check=True)
    command = ["cargo", "build", "--locked", "-p", "role-mapping-server"]
    done = run(command, build_environment(CARGO_TARGET_DIR=str(target)), source, 1800)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return target / "debug" / "role-mapping-server"


class Balancer:
    """The servers that say that they are ready, looked at ten times a second."""

    def __init__(self) -> None:
        self._known: list[str] = []
        self._ready: list[str] = []
        self._turn = itertools.count()
        self._ended = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Balancer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def add(self, endpoint: str) -> None:
        """Takes a server up, and waits until it is ready."""
        self._known.append(endpoint)
        with self._changed:
            assert self._changed.wait_for(lambda: endpoint in self._ready, 30), f"{endpoint} does not become ready"

    def remove(self, endpoint: str) -> None:
        """Forgets a server that has ended."""
        self._known.remove(endpoint)

    def next(self) -> str:
        """Returns the server whose turn it is."""
        ready = self._ready
        return ready[next(self._turn) % len(ready)]

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            ready = [endpoint for endpoint in self._known if _is_ready(endpoint)]
            with self._changed:
                self._ready = ready
                self._changed.notify_all()


def _is_ready(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/readyz", timeout=5):
            return True
    except (OSError, http.client.HTTPException):
        return False


@dataclasses.dataclass
class Clients:
    """Members and an administrator who ask without pause."""

    balancer: Balancer
    project: str
    key: str
    cookie: str
    answered: Counter[str] = dataclasses.field(default_factory=Counter)
    failed: list[str] = dataclasses.field(default_factory=list)
    slowest: float = 0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Asks for the length of the `with` block."""
        ended = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(number, ended)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def _ask(self, number: int, ended: threading.Event) -> None:
        login, signed_in = {"Authorization": f"ApiKey {self.key}"}, {"Cookie": self.cookie}
        cloud = f"{API}/project/{self.project}/cloud"
        for turn in itertools.count():
            if ended.is_set():
                return
            endpoint = self.balancer.next()
            for path, headers in [
                (f"{cloud}/role-mappings", login),
                (f"{cloud}/aws/session-token?roleSessionName=client-{number}-{turn // 50}", login),
                ("/admin/role-mappings", signed_in),
            ]:
                begin = time.monotonic()
                try:
                    with urllib.request.urlopen(urllib.request.Request(endpoint + path, headers=headers), timeout=15) as answer:
                        if "/sign-in" in answer.url:
                            self.failed.append(f"{path}: the session of the administrator has ended")
                        answer.read()
                    self.answered[endpoint] += 1
                except (OSError, http.client.HTTPException) as error:
                    self.failed.append(f"{endpoint}{path}: {error}")
                self.slowest = max(self.slowest, time.monotonic() - begin)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        """The answer itself has the cookie."""


def sign_in(endpoint: str, key: str) -> str:
    """Signs an administrator in to the pages. Returns the cookie."""
    request = urllib.request.Request(f"{endpoint}/sign-in", f"key={key}".encode(), {"Origin": endpoint})
    try:
        urllib.request.build_opener(_NoRedirect).open(request, timeout=30)
    except urllib.error.HTTPError as answer:
        return str(answer.headers["Set-Cookie"]).split(";")[0]
    raise RuntimeError("the server does not accept the key of the administrator")


def check_writes(writer: RoleServer, endpoints: list[str], clients: Clients, number: int) -> None:
    """Writes with the command line of one program, and reads it at servers of both."""
    role = f"arn:aws:iam::123456789012:role/upgrade-{number}"
    writer.command("mapping", "add", "churn", "all", role)
    for endpoint in endpoints:
        url = f"{endpoint}{API}/project/{clients.project}/cloud/role-mappings"
        request = urllib.request.Request(url, headers={"Authorization": f"ApiKey {clients.key}"})
        with urllib.request.urlopen(request, timeout=15) as answer:
            roles = [item["cloudRole"] for item in json.load(answer)["items"]]
        assert role in roles, f"{endpoint} does not see what {writer.binary} wrote: {roles}"


def replace(database: str, old: Path, new: Path, directory: Path, sts: str) -> Clients:
    """Replaces two servers of `old` by two of `new`, and those by two of `old` again. Returns what the clients met."""
    variables = {
        "AWS_ENDPOINT_URL_STS": sts,
        "AWS_ACCESS_KEY_ID": "AKIABASE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": REGION,
    }
    programs = [RoleServer(directory / name, variables, binary, database) for name, binary in (("old", old), ("new", new))]
    older, newer = programs
    key = older.command("user", "add", "ada@example.org")
    admin = older.command("user", "add", "admin@example.org", "--admin")
    project = older.command("project", "add", "churn").split()[0]
    older.command("member", "set", "churn", "ada@example.org", "data-scientist")
    older.command("mapping", "add", "churn", "all", "arn:aws:iam::123456789012:role/first", "--default")

    numbers = itertools.count()
    with ExitStack() as stack:
        balancer = stack.enter_context(Balancer())
        running: list[tuple[str, Program]] = []

        def start(server: RoleServer) -> None:
            endpoint, program = stack.enter_context(server.serve("--drain", str(DRAIN_SECONDS)))
            balancer.add(endpoint)
            running.append((endpoint, program))

        def end_oldest() -> None:
            endpoint, program = running.pop(0)
            program.process.terminate()
            assert program.process.wait(DRAIN_SECONDS + 10) == 0, f"a server that was told to end did not: {program.log.read_text()}"
            balancer.remove(endpoint)

        start(older)
        start(older)
        clients = Clients(balancer, project, key, sign_in(running[0][0], admin))
        with clients.asking():
            for following in (newer, newer, older, older):
                start(following)
                end = time.monotonic() + MIXED_SECONDS
                while time.monotonic() < end:
                    for writer in programs:
                        check_writes(writer, [endpoint for endpoint, _ in running], clients, next(numbers))
                end_oldest()
                if running[0][1].command[0] == running[1][1].command[0] == str(new):
                    # What a later version adds, while this one and the one before it are to go on.
                    execute(database, GROWTH)
    return clients


def main() -> int:
    """Prints what the clients met. Returns 1 if a request failed."""
    parser = argparse.ArgumentParser(prog="make upgrade ARGS=…", description=__doc__)
    parser.add_argument("--from", dest="commit", default="HEAD~1", help="the commit of the older server")
    options = parser.parse_args()
    old = built(options.commit)
    failed = 0
    for name, new_database in DATABASES.items():
        with tempfile.TemporaryDirectory() as made, new_database(Path(made)) as database:
            directory = Path(made)
            empty = directory / "empty"
            empty.write_text("")
            with Program([PEER, empty], directory / "peer.log", environment(directory / "home"), directory) as peer:
                sts = peer.await_line(r"^listening on (http://127\.0\.0\.1:\d+)$")[1]
                clients = replace(database, old, OPTIMISED, directory, sts)
        answered = sum(clients.answered.values())
        print(
            f"{name}: {answered} answers of {len(clients.answered)} servers, {len(clients.failed)} failed, slowest {clients.slowest:.1f} s"
        )
        for failure in clients.failed[:10]:
            print(f"  {failure}")
        failed += len(clients.failed) + (answered == 0)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
