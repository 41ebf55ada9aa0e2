"""The program `hops-credentials` as the wheel installs it: what it prints, how it ends, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from rig import BUILD, ROOT
from rig.aws import REGION, assumes, reads, trusts
from rig.canary import leaks
from rig.deployment import Deployment
from rig.http import recording
from rig.process import Program, environment, run
from tests.programs.python_program import PROGRAM, VENV

_NODE_READER = ["node", str(BUILD / "node" / "reader.js")]
_READER = [sys.executable, str(ROOT / "tests" / "programs" / "python" / "reader.py")]


def command(directory: Path, variables: Mapping[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the program to its end."""
    return run([PROGRAM, *arguments], environment(directory / "home", **variables), directory, 60)


@pytest.fixture
def private(tmp_path: Path) -> dict[str, str]:
    """Makes the private directory that the system gives to each user. Returns the variable that names it."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(directory)}


def test_roles_and_whoami_are_for_people_and_for_scripts(site: Deployment, tmp_path: Path) -> None:
    variables = site.variables(site.scientist)
    reader, other = site.cloud.resource_reader, site.cloud.other_reader
    assert command(tmp_path, variables, "roles").stdout == f"1\t{reader}\tData scientist\tdefault\n2\t{other}\tData owner\tdefault\n"
    assert json.loads(command(tmp_path, variables, "roles", "--json").stdout) == [
        {"id": 1, "roleArn": reader, "projectRole": "Data scientist", "default": True},
        {"id": 2, "roleArn": other, "projectRole": "Data owner", "default": True},
    ]
    who = json.loads(command(tmp_path, variables, "whoami", "--json").stdout)
    assert who["defaultRole"] == reader
    assert site.endpoint in who["source"]
    assert f"defaultRole\t{reader}\n" in command(tmp_path, variables, "whoami").stdout
    empty = site.server.command("project", "add", "without-roles")
    site.server.command("member", "set", empty, "ada@example.com", "data-scientist")
    nobody = command(tmp_path, {**variables, "HOPSWORKS_PROJECT_ID": empty}, "whoami", "--json")
    assert json.loads(nobody.stdout)["defaultRole"] is None, nobody.stderr


def test_exec_gives_the_role_to_one_command_and_ends_as_it_ends(site: Deployment, tmp_path: Path) -> None:
    variables = site.variables(site.scientist)
    done = command(tmp_path, variables, "exec", "--role", "1", "--", *_READER, site.s3.endpoint, "resource", "other")
    assert done.stdout == "resource 1,one\nother AccessDenied\n", done.stderr
    assert done.stderr == ""
    assert command(tmp_path, variables, "exec", "--", "sh", "-c", "exit 7").returncode == 7
    behind = command(tmp_path, variables, "exec", "--refresh", "--", "sh", "-c", 'test -n "$AWS_CONTAINER_CREDENTIALS_FULL_URI"; exit 7')
    assert behind.returncode == 7, behind.stderr
    assert command(tmp_path, variables, "exec", "--refresh", "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9
    missing = command(tmp_path, variables, "exec", "--", "no-such-command")
    assert [missing.returncode, missing.stderr] == [
        127,
        'hops-credentials: "no-such-command" cannot be started: No such file or directory (os error 2)\n',
    ]
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []


@pytest.mark.parametrize("option", ["--duration=3600", "--refresh"])
def test_the_command_ignores_the_signals_that_were_ignored_before_python(option: str, site: Deployment, tmp_path: Path) -> None:
    ours = (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)

    def ignored(traps: str) -> set[signal.Signals]:
        """Returns which signals the command ignores when it is started by a shell that ignores these."""
        script = f"{traps} exec {PROGRAM} exec {option} -- grep SigIgn /proc/self/status"
        done = run(["sh", "-c", script], environment(tmp_path / "home", **site.variables(site.scientist)), tmp_path, 60)
        assert done.returncode == 0, done.stderr
        return {number for number in ours if int(done.stdout.split()[1], 16) >> (number - 1) & 1}

    # A shell ignores SIGINT for what it starts in the background, this run perhaps.
    of_this_run = {number for number in (signal.SIGHUP, signal.SIGINT) if signal.getsignal(number) == signal.SIG_IGN}
    assert ignored("") == of_this_run
    assert ignored("trap '' HUP INT;") == {signal.SIGHUP, signal.SIGINT}


@pytest.mark.platform("AWS SDKs for Python and JavaScript 3, and awscli, below `exec`")
@pytest.mark.parametrize("option", ["--duration=3600", "--refresh"])
def test_every_sdk_of_the_command_is_the_role_although_a_profile_is_named(option: str, site: Deployment, tmp_path: Path) -> None:
    stranger = site.cloud.aws.user(f"profile{option.strip('-=0123456789')}", reads("other"))
    (tmp_path / "config").write_text(
        f"[profile base]\naws_access_key_id = {stranger.access_key_id}\naws_secret_access_key = {stranger.secret_access_key}\n"
        f"region = {REGION}\nendpoint_url = {site.s3.endpoint}\n"
    )
    variables = {**site.variables(site.scientist), "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "base"}
    for reader, refused in ((_NODE_READER, "AccessDenied"), (_READER, "AccessDenied")):
        done = command(tmp_path, variables, "exec", option, "--", *reader, site.s3.endpoint, "resource", "other")
        assert done.stdout == f"resource 1,one\nother {refused}\n", (reader, done.stderr)
    # The region and the endpoint are those of the profile that is taken out.
    aws = VENV / "bin" / "aws"
    listed = command(tmp_path, variables, "exec", option, "--", aws, "s3", "ls", "s3://resource")
    assert "test.csv" in listed.stdout, listed.stderr
    denied = command(tmp_path, variables, "exec", option, "--", aws, "s3", "cp", "s3://other/test.csv", "-")
    assert denied.returncode != 0, denied.stdout


def test_process_keeps_the_credentials_where_only_the_user_can_look(site: Deployment, private: dict[str, str], tmp_path: Path) -> None:
    variables = {**site.variables(site.scientist), **private}
    before = site.granted()
    first, second = (json.loads(command(tmp_path, variables, "process").stdout) for _ in range(2))
    assert sorted(first) == ["AccessKeyId", "Expiration", "SecretAccessKey", "SessionToken", "Version"]
    assert first["Version"] == 1
    assert first == second
    assert site.granted() == before + 1
    # Another member gets another set, even when both use one account of this machine.
    assert command(tmp_path, {**variables, "API_KEY": site.owner}, "process").stdout != json.dumps(first)
    directory = Path(private["XDG_RUNTIME_DIR"]) / "hops-credentials"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}
    assert leaks(site.secrets(), tmp_path / "home") == []


@pytest.mark.parametrize("place", ["none", "readable by others"])
def test_process_keeps_nothing_without_a_private_directory(place: str, site: Deployment, private: dict[str, str], tmp_path: Path) -> None:
    variables = site.variables(site.scientist)
    if place != "none":
        variables |= private
        (Path(private["XDG_RUNTIME_DIR"]) / "hops-credentials").mkdir(mode=0o755)
    before = site.granted()
    for _ in range(2):
        assert command(tmp_path, variables, "process").returncode == 0
    assert site.granted() == before + 2
    assert leaks(site.secrets(), tmp_path) == []


def test_serve_is_found_by_process_and_by_the_aws_sdks(site: Deployment, private: dict[str, str], tmp_path: Path) -> None:
    variables = {**site.variables(site.scientist), **private}
    (tmp_path / "config").write_text(f"[profile hops]\ncredential_process = {PROGRAM} process --role 1\nregion = {REGION}\n")
    before = site.granted()
    with Program([PROGRAM, "serve", "--role", "1"], tmp_path / "log", environment(tmp_path / "home", **variables), tmp_path) as serve:
        serve.await_line(r"^listening on http://127\.0\.0\.1:\d+/credentials$")
        lines = [serve.await_line("^(export|unset) AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").string]
        profile = {**variables, "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "hops"}
        read = run([*_READER, site.s3.endpoint, "resource", "other"], environment(tmp_path / "home", **profile), tmp_path, 60)
        assert read.stdout == "resource 1,one\nother AccessDenied\n", read.stderr
        assert site.granted() == before + 1
        token_file = Path(lines[0].split("'")[1])
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        token = token_file.read_text()
        assert serve.stop() == 0
        # Logs keep what a service prints.
        assert token not in (tmp_path / "log").read_text()
    assert not token_file.exists()
    assert list(Path(private["XDG_RUNTIME_DIR"]).glob("hops-credentials/*.serve")) == []
    # `process` fetches when `serve` does not run.
    assert command(tmp_path, variables, "process", "--role", "1").returncode == 0
    assert site.granted() == before + 2


def test_a_shell_finds_serve_by_what_it_printed(site: Deployment, tmp_path: Path) -> None:
    variables = environment(tmp_path / "home", **site.variables(site.scientist))
    with Program([PROGRAM, "serve"], tmp_path / "log", variables, tmp_path) as serve:
        serve.await_line("AWS_CONTAINER_AUTHORIZATION_TOKEN=")
        line = f'eval "$(tail -n +2 {tmp_path / "log"})"; {" ".join(_READER)} {site.s3.endpoint} resource other; {PROGRAM} explain'
        read, denied, explained = run(["sh", "-c", line], variables, tmp_path, 60).stdout.splitlines()
    assert [read, denied] == ["resource 1,one", "other AccessDenied"]
    assert explained.startswith("found\tan endpoint of ours at http://127.0.0.1:")


_EVALUATED = {shell: f'eval "$({PROGRAM} env)"' for shell in ("sh", "bash")} | {"fish": f"{PROGRAM} env --shell fish | source"}


@pytest.mark.parametrize("shell", _EVALUATED)
def test_env_is_evaluated_by_a_shell(shell: str, site: Deployment, tmp_path: Path) -> None:
    profile = r"it's \ 'base'"
    variables = environment(tmp_path / "home", **site.variables(site.scientist), AWS_PROFILE=profile)
    if shell == "fish":
        # It keeps such a variable for all sessions of the user, below what the environment says.
        assert run(["fish", "-c", "set -Ux AWS_PROFILE kept"], variables, tmp_path, 60).returncode == 0
    line = f"{_EVALUATED[shell]}; env | grep PROFILE; {' '.join(_READER)} {site.s3.endpoint} resource other; {PROGRAM} explain"
    done = run([shell, "-c", line], variables, tmp_path, 60)
    handed_on, read, denied, explained = done.stdout.splitlines()
    assert handed_on == f"HOPS_BASE_AWS_PROFILE={profile}"
    assert [read, denied] == ["resource 1,one", "other AccessDenied"]
    assert explained.startswith("found\tcredentials that were issued for a role, access key ASIA")
    told = [line for line in done.stderr.splitlines() if "universal" in line]
    assert [line.split()[4] for line in told] == (["AWS_PROFILE"] if shell == "fish" else [])


def test_the_exit_code_says_who_can_act(site: Deployment, tmp_path: Path) -> None:
    with recording(site.endpoint) as gone:
        pass
    scientist, owner = site.variables(site.scientist), site.variables(site.owner)
    outcomes = {
        "wrong usage": command(tmp_path, scientist, "process", "--duration", "60"),
        "no command": command(tmp_path, scientist),
        "no role ARN": command(tmp_path, scientist, "process", "--role", "reader"),
        "refused": command(tmp_path, owner, "process", "--role", site.cloud.resource_reader),
        "no such id": command(tmp_path, scientist, "env", "--role", "99"),
        "not configured": command(tmp_path, {}, "roles"),
        "no identity": command(tmp_path, {"AWS_REGION": REGION}, "process", "--role", site.cloud.resource_reader),
        "no answer": command(tmp_path, {**scientist, "REST_ENDPOINT": gone.endpoint}, "roles"),
    }
    assert {name: done.returncode for name, done in outcomes.items()} == {
        "wrong usage": 2,
        "no command": 2,
        "no role ARN": 2,
        "refused": 3,
        "no such id": 3,
        "not configured": 4,
        "no identity": 4,
        "no answer": 1,
    }
    for name, done in outcomes.items():
        assert done.stdout == "", name
        assert done.stderr, name
    assert outcomes["refused"].stderr.startswith(f"hops-credentials: assuming role {site.cloud.resource_reader} ")


def test_without_a_server_the_base_identity_assumes_and_a_profile_is_not_its_own(site: Deployment, tmp_path: Path) -> None:
    aws = site.cloud.aws
    keys = aws.user("of-command-line", assumes("arn:aws:iam::000000000000:role/for-command-line"))
    role = aws.role("for-command-line", trusts("arn:aws:iam::000000000000:user/of-command-line"), reads("resource"))
    direct = {"AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": site.sts.endpoint, "HOPS_CLOUD_ROLES": role}
    config = tmp_path / "config"
    config.write_text(
        f"[profile hops]\ncredential_process = {PROGRAM} process\n"
        f"[profile base]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_access_key}\n"
    )
    profiles = {**direct, "AWS_CONFIG_FILE": str(config)}
    who = json.loads(command(tmp_path, {**profiles, "AWS_PROFILE": "base"}, "whoami", "--json").stdout)
    assert [who["arn"], who["provider"]] == ["arn:aws:iam::000000000000:user/of-command-line", "profile"]
    done = command(tmp_path, {**direct, **keys.variables()}, "exec", "--", *_READER, site.s3.endpoint, "resource", "other")
    assert done.stdout == "resource 1,one\nother AccessDenied\n", done.stderr
    begin = time.monotonic()
    itself = command(tmp_path, {**profiles, "AWS_PROFILE": "hops"}, "process")
    assert itself.returncode != 0
    assert time.monotonic() - begin < 30
    assert json.loads(command(tmp_path, {**profiles, "AWS_PROFILE": "base"}, "process").stdout)["Version"] == 1


def test_doctor_ends_with_1_when_something_is_wrong(site: Deployment, tmp_path: Path) -> None:
    well = command(tmp_path, site.variables(site.scientist), "doctor")
    assert [well.returncode, well.stdout.splitlines()[-1]] == [0, "no problem found"], well.stdout
    ill = command(tmp_path, site.variables("canary-of-a-key"), "doctor", "--json")
    assert ill.returncode == 1
    assert "login" in [finding["check"] for finding in json.loads(ill.stdout) if not finding["good"]]
    assert "canary-of-a-key" not in ill.stdout + ill.stderr


def test_help_teaches() -> None:
    done = run([PROGRAM, "--help"], {"PATH": os.environ["PATH"]}, ROOT, 30)
    for lesson in ("REST_ENDPOINT", "exec --role 2 --refresh", "credential_process = hops-credentials process", "Exit codes: 0 done"):
        assert lesson in done.stdout
