"""`make bench-server` puts the role-mapping server under load on this machine and checks its promises.

The server promises 10 000 lists of role mappings a second with a p99 below 20 ms, no error when 500 clients ask for credentials at
once, and less than 60 MB of memory under both. wrk makes the load, on the same cores.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rig.aws import ACCOUNT, REGION, assumes, emulator, role_arn, trusts
from rig.process import environment
from rig.server import BINARY, RoleServer

PROJECTS = 100
#: The number of role mappings of each project.
MAPPINGS = 5
SECONDS = 10
MEGABYTE = 1_000_000
API = "/hopsworks-api/api/project/1/cloud"
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclasses.dataclass(frozen=True)
class Load:
    """The figures that wrk prints."""

    per_second: float
    p50_ms: float
    p99_ms: float
    #: The number of answers other than success, and of connections that broke.
    errors: int


def load(url: str, key: str, connections: int) -> Load:
    """Sends requests as fast as the answers come, on so many connections."""
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{SECONDS}s",
        "--timeout",
        "10s",
        "--latency",
        "-H",
        f"Authorization: ApiKey {key}",
        url,
    ]
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


@contextmanager
def serving(server: RoleServer) -> Iterator[tuple[str, int]]:
    """Runs the server with its log in a file, as under systemd, without Python between them. Yields its endpoint and its process id."""
    variables = environment(server.directory / "home", DATABASE_URL=f"sqlite://{server.database}", **server.variables)
    command = [str(BINARY), "serve", "--listen", "127.0.0.1:0"]
    with open(server.log, "wb") as log, subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("listening on ").strip(), process.pid
        finally:
            process.terminate()


def main() -> int:
    """Prints the figures. Returns 1 if a promise is broken."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with emulator(directory) as aws:
            role = role_arn("bench-0-0")
            base = aws.user("base", assumes(role))
            aws.role("bench-0-0", trusts(f"arn:aws:iam::{ACCOUNT}:user/base"))
            server = RoleServer(directory, {**base.variables(), "AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": aws.endpoint})
            for project in range(PROJECTS):
                server.command("project", "add", f"bench-{project}")
            key = server.member("bench-0", "ada@example.org", "data-scientist")
            for project in range(PROJECTS):
                for mapping in range(MAPPINGS):
                    server.command("mapping", "add", f"bench-{project}", "all", role_arn(f"bench-{project}-{mapping}"))
            with serving(server) as (endpoint, process):
                lists = load(f"{endpoint}{API}/role-mappings", key, 64)
                after_lists = peak_memory(process)
                tokens = load(f"{endpoint}{API}/aws/session-token?roleARN={role}", key, 500)
                memory = peak_memory(process)
    print("what                             req/s    p50 ms    p99 ms    errors    peak MB")
    for what, seen, peak in (("list of 5, 64 connections", lists, after_lists), ("session token, 500 connections", tokens, memory)):
        print(f"{what:<30}{seen.per_second:>8.0f}{seen.p50_ms:>10.2f}{seen.p99_ms:>10.2f}{seen.errors:>10}{peak / MEGABYTE:>11.1f}")
    promises = {
        "10 000 lists a second": lists.per_second >= 10_000,
        "p99 of a list below 20 ms": lists.p99_ms < 20,
        "no error": lists.errors + tokens.errors == 0,
        "memory below 60 MB": memory < 60 * MEGABYTE,
    }
    for promise, is_kept in promises.items():
        print(f"{'kept  ' if is_kept else 'BROKEN'} {promise}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
