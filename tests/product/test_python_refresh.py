"""The wheel over many short lifetimes: readers behind the endpoint, the environment, and the end of a wait and of the process."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from rig.canary import leaks
from rig.deployment import Deployment
from rig.http import Answering, recording, serving
from rig.process import Program, environment
from runs import readers
from runs.readers import Outcome, fill, issued_for, play
from tests.programs.python_program import PROGRAM, VENV, python, reader_variables, reported, written

#: One reader of each kind: an SDK in Python, one in C++, a process for each read.
IN_CI = ("boto3", "s3fs", "pyarrow", "pyarrow-dataset", "awscli")
_SILENT_SECONDS = 30


@contextmanager
def silent(asked: Path | None = None) -> Iterator[str]:
    """Runs a server that does not answer for a long time, and makes a file when it is asked. Yields its endpoint."""
    over = threading.Event()

    class Silent(Answering):
        def do_GET(self) -> None:
            if asked:
                asked.touch()
            over.wait(_SILENT_SECONDS)

    with serving(Silent) as endpoint:
        try:
            yield endpoint
        finally:
            over.set()


@pytest.fixture(scope="module")
def outcomes(short: Deployment, threads: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Future[list[Outcome]]:
    """Plays all scenes and returns what came of the readers."""
    directory = tmp_path_factory.mktemp("readers")
    fill(short, VENV, directory)
    return threads.submit(play, short, VENV, IN_CI, directory)


def test_the_endpoint_answers_who_has_the_token_and_tells_others_nothing(short: Deployment, outcomes: object, tmp_path: Path) -> None:
    done = python(
        tmp_path,
        reader_variables(short),
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
        report("fastest", min(times))
        """,
    )

    found = reported(done)
    assert found["host"] == "127.0.0.1"
    refused = found["refused"]
    assert isinstance(refused, list)
    assert [status for status, _ in refused] == [401, 401, 404, 405]
    assert found["answered"] == [200, ["AccessKeyId", "Expiration", "SecretAccessKey", "Token"]]
    # The endpoint neither polls nor waits for an acknowledgement, which TCP delays by 40 ms.
    assert isinstance(found["fastest"], float) and found["fastest"] < 0.02
    assert leaks(short.secrets(), tmp_path, done.stdout, done.stderr) == []


def test_a_default_profile_with_credentials_is_refused_by_name(short: Deployment, outcomes: object, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIASTRANGER\naws_secret_access_key = canary-of-a-profile\n")
    done = python(
        tmp_path,
        {**reader_variables(short), "AWS_SHARED_CREDENTIALS_FILE": str(file)},
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


def test_a_variable_that_somebody_else_has_written_since_is_left_to_them(short: Deployment, outcomes: object, tmp_path: Path) -> None:
    done = python(
        tmp_path,
        reader_variables(short),
        """
        first = assume_role().access_key_id
        os.environ["AWS_ACCESS_KEY_ID"] = "mine"
        while current().access_key_id == first:
            time.sleep(0.1)
        report("kept", os.environ["AWS_ACCESS_KEY_ID"])
        """,
    )

    assert reported(done)["kept"] == "mine"
    assert "the AWS variables of this process are no longer those of" in done.stderr


def test_a_reader_that_takes_a_callable_goes_on_while_a_fetch_fails_and_learns_why_at_the_end(
    short: Deployment, outcomes: object, tmp_path: Path
) -> None:
    with recording(short.endpoint) as gone:
        pass
    with recording(short.endpoint) as asked:
        done = python(
            tmp_path,
            {**reader_variables(short), "REST_ENDPOINT": asked.endpoint, "GONE": gone.endpoint},
            """
        provide = polars_credential_provider()
        keys, refresh_at = provide()
        before, os.environ["REST_ENDPOINT"] = os.environ["REST_ENDPOINT"], os.environ["GONE"]
        after_failure = []
        while isinstance(seen := outcome(provide), tuple):
            if time.time() > refresh_at + 1:
                after_failure.append(seen[0] == keys)
            time.sleep(0.1)
        report("after failure", sorted(set(after_failure)))
        report("end", seen[0])
        os.environ["REST_ENDPOINT"] = before
        report("recovered", provide()[0] != keys)
        """,
        )

    assert reported(done) == {"after failure": [True], "end": "UnavailableError", "recovered": True}
    # The first set goes to the caller, who may use it to its end.
    renews = [exchange.renews for exchange in asked.exchanges if "session-token" in exchange.path]
    assert renews == [None, "true"]


def test_the_process_ends_with_a_refresh_in_flight(short: Deployment, outcomes: object, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    with silent(asked) as endpoint:
        done = python(
            tmp_path,
            {**reader_variables(short), "SILENT": endpoint, "ASKED": str(asked)},
            """
            assume_role(refresh=True)
            os.environ["REST_ENDPOINT"] = os.environ["SILENT"]
            while not os.path.exists(os.environ["ASKED"]):
                time.sleep(0.05)
            report("ends", time.time())
            """,
        )
        over = time.time()
    ended = reported(done)["ends"]
    assert isinstance(ended, float)
    assert over - ended < _SILENT_SECONDS / 2
    assert done.stderr.count("Traceback") == 0


def test_who_sits_in_front_of_it_learns_what_is_waited_for_and_can_end_the_wait(
    short: Deployment, outcomes: object, tmp_path: Path
) -> None:
    # A process that a shell starts in the background ignores SIGINT, and so do its children.
    script = written(tmp_path, "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nsys.ps1 = '>>> '\nassume_role()\n")
    with silent() as endpoint:
        variables = environment(tmp_path / "home", **{**reader_variables(short), "REST_ENDPOINT": endpoint})
        with Program([VENV / "bin" / "python", script], tmp_path / "log", variables, tmp_path) as program:
            program.await_line("hops-credentials: waiting for an answer ...")
            program.process.send_signal(signal.SIGINT)
            # The wait ends before the server answers.
            program.await_line("KeyboardInterrupt", _SILENT_SECONDS / 2)
            assert program.process.wait(_SILENT_SECONDS / 2) == -signal.SIGINT


def test_exec_with_refresh_reads_on_past_a_lifetime_and_passes_signals_on(short: Deployment, tmp_path: Path) -> None:
    script = """
import boto3, os, signal, sys, time
# The signal may interrupt a print.
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"told to end\\n"), sys.exit(5)))
client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1")
end = time.monotonic() + 12
while time.monotonic() < end:
    client.get_object(Bucket="resource", Key="test.csv")["Body"].read()
    time.sleep(0.3)
print("read on", flush=True)
while True:
    time.sleep(60)
"""
    line: list[str | Path] = [PROGRAM, "exec", "--refresh", "--", VENV / "bin" / "python", "-c", script, short.s3.endpoint]
    with recording(short.endpoint) as asked:
        variables = environment(tmp_path / "home", **{**short.variables(short.scientist), "REST_ENDPOINT": asked.endpoint})
        with Program(line, tmp_path / "log", variables, tmp_path) as program:
            program.await_line("read on")
            program.process.terminate()
            program.await_line("told to end")
            assert program.process.wait(60) == 5
    # Nobody but the endpoint, which renews, gets what it fetches.
    renews = [exchange.renews for exchange in asked.exchanges if "session-token" in exchange.path]
    assert len(renews) > 1
    assert set(renews) == {"true"}
    assert leaks(short.secrets(), tmp_path) == []


def test_every_reader_reads_through_five_lifetimes_and_nobody_else_signs(short: Deployment, outcomes: Future[list[Outcome]]) -> None:
    played = outcomes.result()
    keys = issued_for(short, "resource-reader", 0)
    assert [outcome.scene for outcome in played] == list(readers.SCENES)
    for outcome in played:
        assert set(outcome.reads) == set(IN_CI)
        # The slowest reader starts a process for each read.
        assert min(outcome.reads.values()) >= 5
        assert {reader: errors for reader, errors in outcome.failed.items() if errors} == {}, outcome.scene
        # Each session ended, and the next one was used.
        assert len(outcome.signers) >= 5
        assert outcome.signers <= keys
        assert not re.search("|".join(map(re.escape, short.secrets())), outcome.output)
