"""The programs that need nothing of the machine they run on, as `make command-line` and `make server` build them."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rig import ROOT, static_program
from rig.canary import leaks
from rig.database import DATABASES
from rig.deployment import Deployment
from rig.process import build_environment, environment, run
from tests.product.test_shipped import places

#: Finds the file that starts the program of this name.
Programs = Callable[[str], Path]

_READER = [sys.executable, str(ROOT / "tests" / "programs" / "python" / "reader.py")]


X86_64 = pytest.param(("x86_64", ""), id="x86_64", marks=pytest.mark.platform("Static programs, Linux x86_64"))
AARCH64 = pytest.param(
    ("aarch64", "qemu-aarch64-static "), id="aarch64", marks=pytest.mark.platform("Static programs, Linux aarch64 (emulated)")
)


@pytest.fixture(params=[X86_64, AARCH64])
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Programs:
    """Returns what finds the programs of a machine."""
    machine, runner = request.param

    def found(name: str) -> Path:
        program = static_program(name, machine)
        needed = run(["readelf", "--program-headers", "--dynamic", program], build_environment(), ROOT, 60)
        assert needed.returncode == 0, needed.stderr
        assert [line for line in needed.stdout.splitlines() if "INTERP" in line or "NEEDED" in line] == []
        assert places(program.read_bytes()) == []
        started = tmp_path / name
        started.write_text(f'#!/bin/sh\nexec {runner}{shlex.quote(str(program))} "$@"\n')
        started.chmod(0o755)
        return started

    return found


def _by_name(endpoint: str) -> str:
    """Returns the same endpoint, for whose address a program has to ask the machine."""
    return endpoint.replace("127.0.0.1", "localhost")


@pytest.mark.everywhere
def test_a_command_reads_with_the_role_that_the_static_program_got(programs: Programs, site: Deployment, tmp_path: Path) -> None:
    program = programs("hops-credentials")
    variables = {**site.variables(site.scientist), "REST_ENDPOINT": _by_name(site.endpoint)}

    def command(*arguments: str, **others: str) -> tuple[int, str, str]:
        done = run([program, *arguments], environment(tmp_path / "home", **{**variables, **others}), tmp_path, 120)
        assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []
        return done.returncode, done.stdout, done.stderr

    read = "resource 1,one\nother AccessDenied\n"
    for option in ("--role=1", "--refresh"):
        assert command("exec", option, "--", *_READER, site.s3.endpoint, "resource", "other") == (0, read, "")
    code, _, said = command("roles", REST_ENDPOINT="http://nowhere.invalid")
    assert code != 0
    assert "nowhere.invalid" in said


@pytest.mark.everywhere
@pytest.mark.parametrize("programs", [X86_64], indirect=True)
@pytest.mark.parametrize("number", [35, 64])
def test_the_signals_of_realtime_that_musl_leaves_reach_the_command(
    programs: Programs, number: int, site: Deployment, tmp_path: Path
) -> None:
    """The emulator has signals of its own."""
    script = f"trap 'kill %1; echo told; exit 3' {number}; sleep 60 & kill -{number} $PPID; wait"
    variables = environment(tmp_path / "home", **site.variables(site.scientist))

    done = run([programs("hops-credentials"), "exec", "--refresh", "--", "bash", "-c", script], variables, tmp_path, 120)

    assert (done.returncode, done.stdout) == (3, "told\n"), done.stderr


@pytest.mark.everywhere
@pytest.mark.parametrize("database", [pytest.param(name, marks=pytest.mark.platform(f"Static server on {name}")) for name in DATABASES])
def test_the_static_server_serves_on_both_databases(programs: Programs, database: str, site: Deployment, tmp_path: Path) -> None:
    variables = {**site.server.variables, "AWS_ENDPOINT_URL_STS": _by_name(site.server.variables["AWS_ENDPOINT_URL_STS"])}
    program = programs("role-mapping-server")
    with DATABASES[database](tmp_path) as url:
        server = dataclasses.replace(site.server, directory=tmp_path / "server", variables=variables, binary=program, shared=url)
        project = server.command("project", "add", "static")
        key = server.member(project, "ada@example.com", "data-scientist")
        server.command("mapping", "add", project, "data-scientist", site.cloud.resource_reader, "--default")
        with server.serve() as (endpoint, _):
            asked = {"REST_ENDPOINT": endpoint, "HOPSWORKS_PROJECT_ID": project, "API_KEY": key}
            command = ["exec", "--", *_READER, site.s3.endpoint, "resource", "other"]
            done = run([programs("hops-credentials"), *command], environment(tmp_path / "home", **asked), tmp_path, 120)
    assert done.stdout == "resource 1,one\nother AccessDenied\n", done.stderr
