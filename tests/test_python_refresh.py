"""The wheel over many short lifetimes: readers behind the endpoint, the environment, forked children, and the end of the process."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from rig.deployment import Deployment
from rig.http import serving
from tests import readers
from tests.canary import leaks
from tests.python_program import VENV, python, reported
from tests.readers import Outcome, fill, issued_for, play, short_lived
from tests.soak import LIFE_SECONDS

#: Those of each kind: an SDK in Python, one in C++, a process for each read.
IN_CI = ("boto3", "s3fs", "pyarrow", "pyarrow-dataset", "awscli")

_READ = """
import boto3

def s3():
    return boto3.Session().client("s3", endpoint_url=os.environ["S3"], region_name="us-east-1")

def read(client):
    return client.get_object(Bucket="resource", Key="test.csv")["Body"].read().decode().split()[0]

def failures(seconds, reader):
    failed, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        seen = outcome(reader)
        if seen != "1,one":
            failed.append(seen)
        time.sleep(0.2)
    return failed

"""


@pytest.fixture(scope="module")
def short(site: Deployment) -> Iterator[Deployment]:
    """The deployment with a server whose sessions last seconds."""
    with short_lived(site) as short:
        yield short


def _variables(site: Deployment) -> dict[str, str]:
    return {**site.variables(site.scientist), "S3": site.s3.endpoint}


@pytest.fixture(scope="module")
def outcomes(short: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[list[Outcome]]]:
    """The readers, while the other tests of this module run."""
    directory = tmp_path_factory.mktemp("readers")
    fill(short, VENV, directory)
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(play, short, VENV, IN_CI, directory)


def test_the_environment_is_rewritten_for_those_who_look_again_and_for_forked_children(
    short: Deployment, outcomes: object, tmp_path: Path
) -> None:
    done = python(
        tmp_path,
        _variables(short),
        _READ,
        f"""
        first = assume_role().access_key_id
        child = os.fork()
        failed = failures({3 * LIFE_SECONDS + 2}, lambda: read(s3()))
        if child == 0:
            report("child", failed)
            report("child keys", [first, os.environ["AWS_ACCESS_KEY_ID"], current().access_key_id])
            os._exit(0)
        report("parent", failed)
        report("same", os.environ["AWS_ACCESS_KEY_ID"] == current().access_key_id != first)
        os.waitpid(child, 0)
        """,
    )

    found = reported(done)
    assert found["parent"] == found["child"] == []
    assert found["same"] is True
    keys = found["child keys"]
    assert isinstance(keys, list)
    assert keys[0] != keys[1] == keys[2]
    assert leaks(short.secrets(), tmp_path, done.stdout, done.stderr) == []


def test_a_forked_child_reads_behind_the_endpoint_of_its_parent(short: Deployment, outcomes: object, tmp_path: Path) -> None:
    done = python(
        tmp_path,
        _variables(short),
        _READ,
        """
        import stat
        before = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "HOPS_"))}
        os.environ["AWS_PROFILE"] = "stranger"
        assume_role(refresh=True)
        file = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
        report("file", [oct(stat.S_IMODE(os.stat(file).st_mode)), open(file).read() == os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]])
        report("gone", [name for name in os.environ if name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")])
        client, first = s3(), current().access_key_id
        read(client)
        child = os.fork()
        if child == 0:
            report("child", failures(12, lambda: read(client)) + failures(1, lambda: read(s3())))
            report("child current", current().access_key_id != first)
            sys.exit(0)
        report("parent", failures(12, lambda: read(client)))
        report("status", os.waitpid(child, 0)[1])
        report("still there", os.path.exists(file))
        release()
        report("after", [os.path.exists(file), os.environ.pop("AWS_PROFILE")])
        report("restored", before == {n: v for n, v in os.environ.items() if n.startswith(("AWS_", "HOPS_"))})
        """,
    )

    found = reported(done)
    assert found["file"] == ["0o600", True]
    assert found["gone"] == []
    assert found["child"] == found["parent"] == []
    assert found["child current"] is True
    assert found["status"] == 0
    assert found["still there"] is True
    assert found["after"] == [False, "stranger"]
    assert found["restored"] is True
    assert leaks(short.secrets(), tmp_path, done.stdout, done.stderr) == []


def test_the_endpoint_answers_who_has_the_token_and_tells_others_nothing(short: Deployment, outcomes: object, tmp_path: Path) -> None:
    done = python(
        tmp_path,
        _variables(short),
        """
        import http.client
        from urllib.parse import urlsplit
        assume_role(refresh=True)
        url = urlsplit(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
        token = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]

        def ask(method, path, authorization=None):
            connection = http.client.HTTPConnection(url.netloc)
            connection.request(method, path, headers={"Authorization": authorization} if authorization else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

        report("host", url.hostname)
        report("refused", [ask("GET", url.path), ask("GET", url.path, token[:-1]), ask("GET", "/", token), ask("POST", url.path, token)])
        status, body = ask("GET", url.path, token)
        report("answered", [status, sorted(json.loads(body))])
        times = []
        for _ in range(50):
            begin = time.perf_counter()
            ask("GET", url.path, token)
            times.append(time.perf_counter() - begin)
        report("median", sorted(times)[25])
        """,
    )

    found = reported(done)
    assert found["host"] == "127.0.0.1"
    refused = found["refused"]
    assert isinstance(refused, list)
    assert [status for status, _ in refused] == [401, 401, 404, 405]
    assert found["answered"] == [200, ["AccessKeyId", "Expiration", "SecretAccessKey", "Token"]]
    assert isinstance(found["median"], float) and found["median"] < 0.05
    assert leaks(short.secrets(), tmp_path, done.stdout, done.stderr) == []


def test_a_default_profile_with_credentials_is_refused_by_name(short: Deployment, outcomes: object, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIASTRANGER\naws_secret_access_key = canary-of-a-profile\n")
    done = python(
        tmp_path,
        {**_variables(short), "AWS_SHARED_CREDENTIALS_FILE": str(file)},
        """
        before = dict(os.environ)
        report("refused", outcome(lambda: assume_role(refresh=True)))
        report("unchanged", before == dict(os.environ) and current() is None)
        report("without", assume_role().mode)
        """,
    )

    found = reported(done)
    assert found["refused"] == [
        "NotConfiguredError",
        f"the profile [default] of {file} holds credentials, which some readers prefer to an endpoint, so they would read as "
        "somebody else; give that profile another name (AWS_PROFILE may name it as the base identity), or leave the endpoint out and "
        "assume the role without refresh",
        0,
    ]
    assert found["unchanged"] is True
    assert found["without"] == "environment"


def test_the_process_ends_with_a_refresh_in_flight(short: Deployment, outcomes: object, tmp_path: Path) -> None:
    asked = 0

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal asked
            asked += 1
            time.sleep(20)

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    with serving(Silent) as silent:
        begin = time.monotonic()
        done = python(
            tmp_path,
            {**_variables(short), "SILENT": silent},
            """
            import selectors
            assume_role(refresh=True)
            os.environ["REST_ENDPOINT"] = os.environ["SILENT"]
            from hops.credentials_provider import _live
            while not isinstance(_live._here.role.source, _live.Core) or _live._here.role.due > time.monotonic():
                time.sleep(0.05)
            time.sleep(0.3)
            report("ends", time.time())
            """,
            seconds=40,
        )
    ended = reported(done)["ends"]
    assert isinstance(ended, float)
    assert asked >= 1
    assert time.time() - ended < 5
    assert done.stderr.count("Traceback") == 0
    assert time.monotonic() - begin < 20


def test_every_reader_reads_through_five_lifetimes_and_nobody_else_signs(short: Deployment, outcomes: Future[list[Outcome]]) -> None:
    played = outcomes.result()
    keys = issued_for(short, "resource-reader", 0)
    assert [outcome.scene for outcome in played] == list(readers.SCENES)
    for outcome in played:
        assert set(outcome.reads) == set(IN_CI)
        assert min(outcome.reads.values()) > 20
        assert {reader: errors for reader, errors in outcome.failed.items() if errors} == {}, outcome.scene
        # The sessions really ended, and the next one was used each time.
        assert len(outcome.signers) >= 5
        assert outcome.signers <= keys
        assert not re.search("|".join(map(re.escape, short.secrets())), outcome.output)
