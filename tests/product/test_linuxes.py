"""The jar and the wheel on an older Linux and on another processor, with the Java and the Python of that place."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from rig import BUILD
from rig.canary import leaks
from rig.deployment import Deployment
from rig.process import environment, run
from rig.root import ARM64, DEBIAN_11, DEBIAN_13, Root
from rig.spark import reports
from tests.programs import plain, succeeded
from tests.programs.python_program import python, reported


@dataclasses.dataclass(frozen=True)
class Linux:
    """A Linux: its root, its version of Debian, the machine that its wheel names, and the versions of glibc, Java and Python in it."""

    root: Root
    debian: int
    machine: str
    glibc: str
    java: int
    python: str

    @property
    def platform(self) -> str:
        """The row of README's table."""
        emulated = " (emulated)" if self.root.emulator else ""
        return f"Debian {self.debian} {self.machine}{emulated} / glibc {self.glibc} / JDK {self.java} / Python {self.python}"


OLD = Linux(DEBIAN_11, 11, "x86_64", "2.31", 11, "3.9")
LINUXES = (OLD, Linux(DEBIAN_13, 13, "x86_64", "2.41", 21, "3.13"), Linux(ARM64, 12, "aarch64", "2.36", 17, "3.11"))


def _row(linux: Linux) -> ParameterSet:
    return pytest.param(linux, marks=[pytest.mark.everywhere, pytest.mark.platform(linux.platform)], id=linux.root.name)


everywhere = pytest.mark.parametrize("linux", [_row(linux) for linux in LINUXES])

_WATCH_TWO_RENEWALS = """
import platform
keys = [assume_role({role!r}).access_key_id]
while len(keys) < 3:
    time.sleep(0.1)
    if current().access_key_id != keys[-1]:
        keys.append(current().access_key_id)
report("keys", keys)
report("getenv", os.environ["AWS_ACCESS_KEY_ID"])
report("refused", outcome(lambda: assume_role({other!r})))
report("place", [platform.machine(), platform.libc_ver()[1], platform.python_version()])
"""


def _assert_renewed_and_refused(found: dict[str, object], short: Deployment) -> None:
    keys, refused = found["keys"], found["refused"]
    assert isinstance(keys, list) and isinstance(refused, list)
    assert len(set(keys)) == 3
    assert found["getenv"] == keys[-1]
    assert f"assuming role {short.cloud.untrusting} for project {short.project} at {short.endpoint} was refused: HTTP 400" in str(refused)


@everywhere
def test_a_jvm_holds_a_role_through_renewals_and_is_refused_another(linux: Linux, short: Deployment, tmp_path: Path) -> None:
    roles = short.cloud.resource_reader, short.cloud.untrusting
    done = plain(tmp_path, short.variables(short.scientist), *roles, java=linux.java, root=linux.root, main="Renewal")

    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    assert str(found["java"]).startswith(f"{linux.java}.")
    assert found["roles"] == [short.cloud.resource_reader, short.cloud.other_reader]
    _assert_renewed_and_refused(found, short)
    assert leaks(short.secrets(), tmp_path, done.stdout, done.stderr) == []


@everywhere
def test_the_wheel_holds_a_role_through_renewals_and_its_command_line_gives_it_on(linux: Linux, short: Deployment, tmp_path: Path) -> None:
    [wheel] = (BUILD / "wheel" / linux.machine).glob("*.whl")
    packages, interpreter = tmp_path / "packages", Path("/usr/bin/python3")
    pip: list[str | Path] = [interpreter, "-m", "pip", "install", "--no-index", "--no-compile", "--target", packages, wheel]
    installed = run(linux.root.command(pip), environment(tmp_path / "home"), tmp_path, 180)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    variables = {**short.variables(short.scientist), "PYTHONPATH": str(packages)}
    program = _WATCH_TWO_RENEWALS.format(role=short.cloud.resource_reader, other=short.cloud.untrusting)

    done = python(tmp_path, variables, program, interpreter=interpreter, root=linux.root)

    found = reported(done)
    _assert_renewed_and_refused(found, short)
    place = found["place"]
    assert isinstance(place, list)
    assert place[:2] == [linux.machine, linux.glibc]
    assert place[2].startswith(f"{linux.python}.")
    # A program of another processor cannot be started as such.
    emulated = [linux.root.emulator] if linux.root.emulator else []
    script: list[str | Path] = [interpreter, packages / "bin" / "hops-credentials", "exec", "--", *emulated, "/usr/bin/env"]
    given = run(linux.root.command(script), environment(tmp_path / "home", **variables), tmp_path, 120)
    assert given.returncode == 0, given.stdout + given.stderr
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} <= {line.split("=")[0] for line in given.stdout.splitlines()}
    assert leaks(short.secrets(), tmp_path, done.stdout, done.stderr, installed.stdout) == []


@pytest.mark.everywhere
@pytest.mark.platform(OLD.platform)
def test_a_slim_linux_without_certificates_of_authorities_needs_none_for_plain_http(site: Deployment, tmp_path: Path) -> None:
    slim = dataclasses.replace(DEBIAN_11, emptied=["etc/ssl", "usr/share/ca-certificates"])

    found = succeeded(plain(tmp_path, site.variables(site.scientist), java=11, root=slim))

    assert found["role"] == site.cloud.resource_reader
