"""`make bench-server` puts the role-mapping server under load, on a small and on a large database, on SQLite and on PostgreSQL.

It compares: the large database with the small one, and a list with a bare server that answers the same bytes. wrk makes the load on the
same cores, so the numbers of two machines cannot be compared, but their ratios can. Each connection asks as a member of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rig import ROOT
from rig.aws import REGION
from rig.database import DATABASES, execute
from rig.large_database import ADMIN, KEYS, Size, audit_indexes, audit_rows, audit_scans, content, key_of
from rig.process import environment, run
from rig.server import OPTIMISED

#: The members who ask, each on a connection of their own.
CONNECTIONS = KEYS
PEER = OPTIMISED.parent / "examples" / "peer"
MEGABYTE = 1_000_000
#: The members who ask for session tokens while mappings are applied.
APPLY_CLIENTS = 4
API = "/hopsworks-api/api"
#: The part of the small database's speed that the large one keeps, and of a bare server's speed that a list reaches.
KEPT, OF_BARE = 0.5, 0.05
#: The most memory that the server uses: the limit of the Kubernetes manifest.
MEMORY = 128 * 1024 * 1024
#: The longest search of the audit.
SEARCH_MS = 1000
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclasses.dataclass(frozen=True)
class Load:
    """The figures that wrk prints."""

    per_second: float
    p50_ms: float
    p99_ms: float
    #: The number of answers other than success, and of connections that broke.
    errors: int


@dataclasses.dataclass(frozen=True)
class Request:
    """A request: its path and a header that says who asks."""

    path: str
    header: str


def migrate(directory: Path, database: str) -> float:
    """Makes or migrates the schema. Returns the seconds it takes."""
    begin = time.monotonic()
    done = run([OPTIMISED, "mapping", "list", "no-project"], environment(directory / "home", DATABASE_URL=database), directory, 3600)
    if done.returncode != 0 and "no project" not in done.stderr:
        raise RuntimeError(done.stderr)
    return time.monotonic() - begin


@contextmanager
def serving(directory: Path, command: list[str | Path], **variables: str) -> Iterator[tuple[str, int]]:
    """Runs a server with its log in a file, as under systemd, without Python between them. Yields its endpoint and its process id."""
    env = environment(directory / "home", **variables)
    with (
        open(directory / f"{Path(command[0]).name}.log", "wb") as log,
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("listening on ").strip(), process.pid
        finally:
            process.terminate()


def load(directory: Path, endpoint: str, requests: list[Request], connections: int, seconds: int) -> Load:
    """Sends the requests in turn, as fast as the answers come, on so many connections."""
    script = directory / "load.lua"
    lines = [f"  {{{request.path!r}, {request.header.split(': ')[0]!r}, {request.header.split(': ')[1]!r}}}," for request in requests]
    script.write_text(
        "local wanted = {\n" + "\n".join(lines) + "\n}\nlocal texts, turn = {}, 0\n"
        "function init()\n  for i, r in ipairs(wanted) do texts[i] = wrk.format('GET', r[1], {[r[2]] = r[3]}) end\nend\n"
        "function request()\n  turn = turn % #texts + 1\n  return texts[turn]\nend\n"
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", str(script), endpoint]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def milliseconds(percent: str) -> float:
        match = re.search(rf"^ +{percent}% +([\d.]+)(us|ms|s) *$", printed, re.MULTILINE)
        assert match, printed
        return float(match[1]) * _UNITS[match[2]]

    rate = re.search(r"^Requests/sec: +([\d.]+)$", printed, re.MULTILINE)
    assert rate, printed
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", printed)
    errors = (int(bad[1]) if bad else 0) + (sum(int(number) for number in broken.groups()) if broken else 0)
    return Load(float(rate[1]), milliseconds("50"), milliseconds("99"), errors)


def peak_memory(process: int) -> int:
    """Returns the most bytes that the process has had in memory."""
    match = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    assert match
    return int(match[1]) * 1024


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        """The answer itself has the cookie."""


def sign_in(endpoint: str) -> str:
    """Signs the administrator in to the pages. Returns the header that says so."""
    form = urllib.parse.urlencode({"key": ADMIN}).encode()
    request = urllib.request.Request(f"{endpoint}/sign-in", form, {"Origin": endpoint})
    try:
        urllib.request.build_opener(_NoRedirect).open(request, timeout=30)
    except urllib.error.HTTPError as answer:
        return f"Cookie: {answer.headers['Set-Cookie'].split(';')[0]}"
    raise RuntimeError("the server does not accept the key of the administrator")


def as_members(size: Size, path: str) -> list[Request]:
    """Returns a request of each member, about the member's own project."""
    users = range(1, CONNECTIONS + 1)
    return [Request(path.format(project=1 + (user - 1) % size.projects), f"Authorization: ApiKey {key_of(user)}") for user in users]


def server_variables(database: str, sts: str) -> dict[str, str]:
    """Returns the environment of a server on this database that calls this STS."""
    return {
        "DATABASE_URL": database,
        "AWS_ENDPOINT_URL_STS": sts,
        "AWS_ACCESS_KEY_ID": "AKIABASE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": REGION,
    }


def measure(directory: Path, database: str, sts: str, size: Size, seconds: int) -> tuple[dict[str, Load], int]:
    """Measures the server on a database. Returns the figures of each kind of request, and the peak of its memory."""
    command: list[str | Path] = [OPTIMISED, "serve", "--listen", "127.0.0.1:0"]
    with serving(directory, command, **server_variables(database, sts)) as (endpoint, process):
        cookie = sign_in(endpoint)
        admin = f"Authorization: ApiKey {ADMIN}"
        middle = size.audit // 2
        kinds = {
            "list of a project": (as_members(size, f"{API}/project/{{project}}/cloud/role-mappings"), CONNECTIONS),
            "session token": (as_members(size, f"{API}/project/{{project}}/cloud/aws/session-token"), CONNECTIONS),
            "25 of all mappings": ([Request(f"{API}/admin/cloud/role-mappings?limit=25&sort_by=cloud_role", admin)], 8),
            "home page": ([Request("/", cookie)], 8),
            "page of mappings": ([Request("/admin/role-mappings?page=2", cookie)], 8),
            "mappings with a text": ([Request("/admin/role-mappings?q=bench-77", cookie)], 8),
            "page of the audit": ([Request("/admin/audit", cookie)], 1),
            "audit, exact": ([Request(f"/admin/audit?q=ASIA{middle}", cookie)], 1),
            "audit, a part": ([Request("/admin/audit?q=no-such-text", cookie)], 1),
            "audit, refused": ([Request("/admin/audit?q=no-such-text&outcome=refused", cookie)], 1),
        }
        figures = {name: load(directory, endpoint, requests, connections, seconds) for name, (requests, connections) in kinds.items()}
        # All mappings at once, twice at the same time.
        whole = [Request(f"{API}/admin/cloud/role-mappings", admin)]
        figures["all mappings"] = load(directory, endpoint, whole, 2, seconds)
        return figures, peak_memory(process)


def one_list(directory: Path, database: str) -> bytes:
    """Returns the bytes of a list of a project."""
    with serving(directory, [OPTIMISED, "serve", "--listen", "127.0.0.1:0"], DATABASE_URL=database) as (endpoint, _):
        headers = {"Authorization": f"ApiKey {key_of(1)}"}
        request = urllib.request.Request(f"{endpoint}{API}/project/1/cloud/role-mappings", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())


def time_migration(rows: int) -> None:
    """Prints how long the newest migration takes for so many rows of the audit."""
    texts = [path.read_text() for path in sorted((ROOT / "server" / "migrations").glob("*.sql"))][:3]
    size = Size("", mappings=1000, projects=100, users=100, audit=rows)
    for name, new_database in DATABASES.items():
        with tempfile.TemporaryDirectory() as made, new_database(Path(made)) as database:
            blob, now = ("blob", "text") if name == "SQLite" else ("bytea", "timestamptz")
            done = [
                "create table _sqlx_migrations (version bigint primary key, description text not null, "
                f"installed_on {now} not null default current_timestamp, success boolean not null, checksum {blob} not null, "
                "execution_time bigint not null)"
            ]
            for number, text in enumerate(texts, 1):
                done += [part for part in re.sub(r"--.*", "", text).split(";") if part.strip()]
                digest = hashlib.sha384(text.encode()).hexdigest()
                checksum = f"x'{digest}'" if name == "SQLite" else f"'\\x{digest}'"
                done.append(f"insert into _sqlx_migrations values ({number}, '', current_timestamp, true, {checksum}, 0)")
            execute(database, [*done, audit_rows(size)])
            print(f"{name}: migration 4 with {rows} rows of the audit: {migrate(Path(made), database):.1f} s", flush=True)


def time_apply(size: Size) -> None:
    """Prints how long the first `apply` of so many lines takes, and how long a session token waits meanwhile."""
    for name, new_database in DATABASES.items():
        with tempfile.TemporaryDirectory() as made, new_database(Path(made)) as database:
            directory = Path(made)
            migrate(directory, database)
            first = dataclasses.replace(size, mappings=size.projects)
            execute(database, content(first, audit_indexes(database)))
            lines = [
                {
                    "project": f"project-{1 + number % size.projects}",
                    "project_role": "all",
                    "role": f"arn:aws:iam::123456789012:role/bench-{number + 1}",
                    "default": number < size.projects,
                }
                for number in range(size.mappings)
            ]
            file = directory / "mappings.json"
            file.write_text(json.dumps(lines))
            body = directory / "list.json"
            body.write_bytes(b"[]")
            with (
                serving(directory, [PEER, body]) as (sts, _),
                serving(directory, [OPTIMISED, "serve", "--listen", "127.0.0.1:0"], **server_variables(database, sts)) as (endpoint, _),
            ):
                done = threading.Event()
                with ThreadPoolExecutor(APPLY_CLIENTS) as clients:
                    asking = [clients.submit(ask_until, done, endpoint, user) for user in range(1, APPLY_CLIENTS + 1)]
                    begin = time.monotonic()
                    variables = environment(directory / "home", DATABASE_URL=database)
                    try:
                        ran = run([OPTIMISED, "mapping", "apply", file], variables, directory, 600)
                    finally:
                        done.set()
                    took = time.monotonic() - begin
                    waits = sorted(wait for client in asking for wait in client.result())
                added = sum(line.startswith("+") for line in ran.stdout.splitlines())
                if ran.returncode != 0 or added != size.mappings - size.projects:
                    raise RuntimeError(f"{added} mappings were added: {ran.stderr}")
            print(
                f"{name}: apply of {size.mappings} lines over {size.projects} projects: {took:.1f} s; meanwhile {len(waits)} session "
                f"tokens of {APPLY_CLIENTS} members, none failed, longest wait {waits[-1]:.2f} s, "
                f"median {waits[len(waits) // 2] * 1000:.1f} ms",
                flush=True,
            )


def ask_until(done: threading.Event, endpoint: str, user: int) -> list[float]:
    """Asks for session tokens without a pause until that is done. Returns the seconds that each took; a refused one is an error."""
    path = f"{API}/project/{user}/cloud/aws/session-token"
    request = urllib.request.Request(f"{endpoint}{path}", headers={"Authorization": f"ApiKey {key_of(user)}"})
    waits = []
    while not done.is_set():
        begin = time.monotonic()
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
        waits.append(time.monotonic() - begin)
    return waits


def main() -> int:
    """Prints the figures. Returns 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="make bench-server ARGS=…", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="the length of each measurement")
    parser.add_argument("--audit-rows", type=int, default=1_000_000, help="the rows of the large audit; the promise is about ten million")
    parser.add_argument("--divide", type=int, default=1, help="makes the rest of the large database smaller, for a first try")
    parser.add_argument("--migration", action="store_true", help="measures how long the newest migration takes, and nothing else")
    parser.add_argument("--apply", action="store_true", help="measures how long a session token waits for an apply, and nothing else")
    options = parser.parse_args()
    if options.migration:
        time_migration(options.audit_rows)
        return 0
    large = Size("large", 100_000 // options.divide, 10_000 // options.divide, 10_000 // options.divide, options.audit_rows)
    if options.apply:
        time_apply(dataclasses.replace(large, audit=100))
        return 0
    sizes = [Size("small", 1000, 100, 100, 100), large]
    promises: dict[str, bool] = {}
    for name, new_database in DATABASES.items():
        results: dict[str, dict[str, Load]] = {}
        for size in sizes:
            with tempfile.TemporaryDirectory() as made, new_database(Path(made)) as database:
                directory = Path(made)
                migrate(directory, database)
                begin = time.monotonic()
                execute(database, content(size, audit_indexes(database)))
                print(f"{name}, {size.name} database, filled in {time.monotonic() - begin:.0f} s", flush=True)
                body = directory / "list.json"
                body.write_bytes(one_list(directory, database))
                scans = audit_scans(database)
                with serving(directory, [PEER, body]) as (peer, _):
                    bare = load(directory, peer, as_members(size, "/"), CONNECTIONS, options.seconds)
                    results[size.name], memory = measure(directory, database, peer, size, options.seconds)
                scans = audit_scans(database) - scans
            print(f"{'':<26}{'req/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'errors':>9}{'large/small':>13}")
            figures = results[size.name]
            for what, seen in {"bare server, a list": bare, **figures}.items():
                before = results["small"][what].per_second if what in figures and size is large else 0
                ratio = f"{seen.per_second / before:.2f}" if before else ""
                print(f"{what:<26}{seen.per_second:>10.0f}{seen.p50_ms:>10.2f}{seen.p99_ms:>10.2f}{seen.errors:>9}{ratio:>13}")
            of_bare = figures["list of a project"].per_second / bare.per_second
            print(f"a list reaches {of_bare:.2f} of the bare server; peak memory {memory / MEGABYTE:.0f} MB\n", flush=True)
            where = f"{name}, {size.name}"
            promises[f"{where}: no error"] = sum(seen.errors for seen in figures.values()) == 0
            promises[f"{where}: memory below {MEMORY // 1024 // 1024} MiB"] = memory < MEMORY
            promises[f"{where}: a list reaches {OF_BARE} of a bare server"] = of_bare >= OF_BARE
            # For a small table a scan is the better plan.
            promises[f"{where}: no search reads the whole audit"] = scans == 0 or size is not large
            searches = [seen.p99_ms for what, seen in figures.items() if what.startswith("audit")]
            promises[f"{where}: a search of the audit takes less than {SEARCH_MS} ms"] = max(searches) < SEARCH_MS
        for what in ("list of a project", "session token"):
            kept = results["large"][what].per_second / results["small"][what].per_second
            promises[f"{name}, large: {what}: {KEPT} of the small database's speed"] = kept >= KEPT
    for promise, is_kept in promises.items():
        print(f"{'kept  ' if is_kept else 'BROKEN'} {promise}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
