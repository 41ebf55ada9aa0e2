"""The wheel in forked children, over many short lifetimes: behind the endpoint of their parent, and with credentials in the environment."""

from __future__ import annotations

import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from rig.canary import leaks
from rig.deployment import Deployment
from runs.soak import LIFE_SECONDS
from tests.programs.python_program import python, reader_variables, reported

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
def orphan(
    short: Deployment, threads: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Future[subprocess.CompletedProcess[str]]:
    """Starts a process that assumes the role and ends, and leaves a child and a child of that child."""
    return threads.submit(
        python,
        tmp_path_factory.mktemp("orphan"),
        reader_variables(short),
        _READ,
        """
        import io, threading
        log = io.StringIO()
        logging.getLogger("hops.credentials_provider").addHandler(logging.StreamHandler(log))
        assume_role(refresh=True)
        log.truncate(0)
        client, url = s3(), os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        ready, told = os.pipe()

        def fork():
            # A second thread forks the child of the child.
            global grandchild
            grandchild = os.fork()
            if grandchild == 0:
                os.read(ready, 1)
                report("grandchild", failures(12, lambda: read(s3())))
                os._exit(0)

        if os.fork() != 0:
            # Ends in the normal way, and removes the file of the token; the daemon below ends without.
            sys.exit(0)
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        while not log.getvalue():
            time.sleep(0.1)
        os.write(told, b"1")
        report("child", failures(12, lambda: read(client)))
        report("endpoint", [url == os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
                            os.path.exists(os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])])
        os.waitpid(grandchild, 0)
        """,
    )


@pytest.fixture(scope="module")
def rewriting(
    short: Deployment, threads: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Future[subprocess.CompletedProcess[str]]:
    """Starts a process and its child that find credentials in the environment, through three lifetimes."""
    return threads.submit(
        python,
        tmp_path_factory.mktemp("rewriting"),
        reader_variables(short),
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


def test_a_forked_child_reads_behind_the_endpoint_of_its_parent(
    short: Deployment, rewriting: object, orphan: object, tmp_path: Path
) -> None:
    done = python(
        tmp_path,
        reader_variables(short),
        _READ,
        """
        import stat
        before = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "HOPS_"))}
        os.environ["AWS_PROFILE"] = "stranger"
        assume_role(refresh=True)
        file = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
        modes = [oct(stat.S_IMODE(os.stat(path).st_mode)) for path in (file, os.path.dirname(file))]
        # A reader of root's may change its user: it knows the name, and nobody can list the directory.
        is_private = modes[0] == "0o600" if os.geteuid() else modes == ["0o644", "0o711"]
        report("file", [is_private, open(file).read() == os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]])
        report("gone", [name for name in os.environ if name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")])
        # Still unused: a connection that is open at the fork must not be used on both sides of it.
        client, first = s3(), current().access_key_id
        child = os.fork()
        if child == 0:
            report("child", failures(12, lambda: read(client)) + failures(1, lambda: read(s3())))
            report("child current", current().access_key_id != first)
            sys.exit(0)
        report("parent", failures(12, lambda: read(client)))
        report("status", os.waitpid(child, 0)[1])
        report("still there", os.path.exists(file))
        url = os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        assume_role(refresh=True)
        report("again", [url == os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], read(client)])
        assume_role()
        report("static", [sorted(n for n in os.environ if n.startswith("AWS_CONTAINER_")), os.environ.get("AWS_PROFILE"), read(s3())])
        release()
        report("profile", os.environ.pop("AWS_PROFILE"))
        report("after", os.path.exists(file))
        report("restored", before == {n: v for n, v in os.environ.items() if n.startswith(("AWS_", "HOPS_"))})
        """,
    )

    found = reported(done)
    assert found["file"] == [True, True]
    assert found["gone"] == []
    assert found["child"] == found["parent"] == []
    assert found["child current"] is True
    assert found["status"] == 0
    assert found["still there"] is True
    # Readers keep their endpoint when a notebook runs the cell again.
    assert found["again"] == [True, "1,one"]
    # Some SDKs prefer a profile to keys in the environment.
    assert found["static"] == [[], None, "1,one"]
    assert found["profile"] == "stranger"
    assert found["after"] is False
    assert found["restored"] is True
    assert leaks(short.secrets(), tmp_path, done.stdout, done.stderr) == []


def test_the_environment_is_rewritten_for_those_who_look_again_and_for_forked_children(
    short: Deployment, rewriting: Future[subprocess.CompletedProcess[str]]
) -> None:
    found = reported(rewriting.result())
    assert found["parent"] == found["child"] == []
    assert found["same"] is True
    keys = found["child keys"]
    assert isinstance(keys, list)
    assert keys[0] != keys[1] == keys[2]


def test_a_child_goes_on_serving_when_the_process_that_assumed_the_role_ends(
    orphan: Future[subprocess.CompletedProcess[str]],
) -> None:
    found = reported(orphan.result())
    assert found["child"] == found["grandchild"] == []
    assert found["endpoint"] == [True, True]


def test_a_daemon_of_two_forks_takes_the_endpoint_over(site: Deployment, tmp_path: Path) -> None:
    """The credentials live for an hour, so that no renewal finds the end of the process that served."""
    done = python(
        tmp_path,
        reader_variables(site),
        _READ,
        """
        assume_role(refresh=True)
        end, ended = os.pipe()
        if os.fork() == 0:
            if os.fork() != 0:
                os._exit(0)
            # The daemon, whose parent is neither the process that serves nor alive.
            os.close(ended)
            os.read(end, 1)
            deadline = time.monotonic() + 20
            seen = outcome(lambda: read(s3()))
            while seen != "1,one" and time.monotonic() < deadline:
                time.sleep(0.2)
                seen = outcome(lambda: read(s3()))
            report("daemon", seen)
            os._exit(0)
        os.wait()
        # Ends with this process, which served until then.
        os._exit(0)
        """,
    )
    assert reported(done)["daemon"] == "1,one"
