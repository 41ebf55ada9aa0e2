"""The wheel while something fails: a source, a write, the thread that renews. Each program asks a server of its own, which it commands."""

from __future__ import annotations

from pathlib import Path

from tests.programs.python_program import SESSION_TOKENS, python, reported

_SERVER = """
import threading
from session_tokens import ROLE, SessionTokens

server = SessionTokens()

def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (seen := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return seen

def refresher():
    return next((thread for thread in threading.enumerate() if thread.name == "hops-credentials refresh"), None)

"""


def test_a_fork_during_a_fetch_holds_nobody(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        _SERVER,
        """
        server.answers.clear()
        caller = threading.Thread(target=assume_role, args=(ROLE,))
        caller.start()
        server.await_requests(1)
        ends, end = os.pipe()
        if os.fork() == 0:
            os.close(end)
            os.read(ends, 1)
            os._exit(0)
        server.answers.set()
        caller.join(20)
        report("has its answer", not caller.is_alive())
        # The thread that waits is not the interpreter's business.
        os._exit(0)
        """,
    )

    assert reported(done)["has its answer"] is True


def test_a_forked_child_behind_an_endpoint_keeps_role_and_request(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        _SERVER,
        """
        server.lifetime = 4
        first = assume_role(ROLE, refresh=True).access_key_id
        session = boto3_session()
        child = os.fork()
        if child == 0:
            report("renewed", until(lambda: current().access_key_id != first))
            report("role", current().role_arn)
            report("mode", current().mode)
            report("static keys", os.environ.get("AWS_ACCESS_KEY_ID"))
            late = boto3_session()
            keys = {each.get_credentials().get_frozen_credentials().access_key for each in (session, late)}
            report("shared", keys == {current().access_key_id})
            release()
            report("after release", late.get_credentials().get_frozen_credentials().access_key[:4])
            os._exit(0)
        report("status", os.waitpid(child, 0)[1])
        report("asked", sorted({str(role) for role in server.asked}))
        """,
    )

    found = reported(done)
    role = "arn:aws:iam::000000000000:role/of-program"
    assert found == {
        "renewed": True,
        "role": role,
        "mode": "endpoint",
        "static keys": None,
        "shared": True,
        "after release": "ASIA",
        "status": 0,
        "asked": [role],
    }


def test_the_thread_that_renews_survives_answers_writes_and_interrupts_that_fail(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        _SERVER,
        """
        import ctypes, io
        log = io.StringIO()
        logging.getLogger("hops.credentials_provider").addHandler(logging.StreamHandler(log))

        def consistent():
            # What a failing write leaves is the previous set, whole.
            number = os.environ["AWS_ACCESS_KEY_ID"].removeprefix("ASIAOFPROGRAM").lstrip("0")
            names = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            return [os.environ[name].rsplit("-", 1)[1] for name in names] == [number, number]

        def goes_on():
            held = os.environ["AWS_ACCESS_KEY_ID"]
            return until(lambda: os.environ["AWS_ACCESS_KEY_ID"] != held) and consistent()

        server.lifetime = 3
        assume_role(ROLE)
        thread = refresher()

        server.fields = {"sessionToken": "a\\0b"}
        report("illegible", until(lambda: "fails" in log.getvalue()))
        report("kept", [consistent(), refresher() is thread])
        server.fields = {}
        report("after an illegible answer", goes_on())

        log.truncate(0)
        putenv = os.putenv

        def failing(name, value):
            if name == b"AWS_SESSION_TOKEN" and not value.endswith(os.environb[name][-2:]):
                raise OSError(12, "no memory for a variable")
            putenv(name, value)

        os.putenv = failing
        report("unwritten", until(lambda: "no memory for a variable" in log.getvalue()))
        report("whole", [consistent(), refresher() is thread])
        os.putenv = putenv
        report("after a failed write", goes_on())

        for interrupt in (KeyboardInterrupt, SystemExit):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(interrupt))
            report(interrupt.__name__, [goes_on(), refresher() is thread])
        """,
    )

    found = reported(done)
    assert found == {
        "illegible": True,
        "kept": [True, True],
        "after an illegible answer": True,
        "unwritten": True,
        "whole": [True, True],
        "after a failed write": True,
        "KeyboardInterrupt": [True, True],
        "SystemExit": [True, True],
    }
    assert "canary" not in done.stderr


def test_a_thread_that_could_not_start_or_has_died_is_started_by_the_next_call(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        _SERVER,
        """
        start = threading.Thread.start

        def refused(thread):
            if thread.name == "hops-credentials refresh":
                raise RuntimeError("can't start new thread")
            start(thread)

        before = dict(os.environ)
        threading.Thread.start = refused
        report("refused", outcome(lambda: assume_role(ROLE)))
        report("unchanged", [before == dict(os.environ), current()])
        threading.Thread.start = start
        server.lifetime = 3
        # A stand-in for the module that uWSGI puts there; the interpreter runs threads nevertheless.
        import types
        sys.modules["uwsgi"] = uwsgi = types.ModuleType("uwsgi")
        uwsgi.opt = {"processes": b"4"}
        first = assume_role(ROLE).access_key_id
        report("renews", until(lambda: os.environ["AWS_ACCESS_KEY_ID"] != first))
        """,
    )
    assert done.stderr.count("start it with --enable-threads") == 1

    assert reported(done) == {
        "refused": ["RuntimeError", "can't start new thread", None],
        "unchanged": [True, None],
        "renews": True,
    }


def test_nobody_waits_for_a_fetch_who_has_good_credentials_and_equal_readers_share_a_file_system(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        {**SESSION_TOKENS, "AWS_DEFAULT_REGION": "us-east-1"},
        _SERVER,
        """
        import asyncio
        import s3fs
        server.lifetime = 8
        provide = polars_credential_provider(ROLE)
        first = provide()[0]["aws_access_key_id"]
        server.answers.clear()
        # Due after half of its life.
        until(lambda: provide() and len(server.asked) > 1)
        begin = time.monotonic()
        report("held", provide()[0]["aws_access_key_id"] == first)
        report("seconds", time.monotonic() - begin)
        server.answers.set()
        report("renewed", until(lambda: provide()[0]["aws_access_key_id"] != first))

        # Without good credentials those who wait share one outcome, and a later call asks anew.
        from concurrent.futures import ThreadPoolExecutor
        server.failure = (403, '{"errorCode": 380002, "errorMsg": "no"}')
        server.answers.clear()
        provide = polars_credential_provider("arn:aws:iam::000000000000:role/refused")
        asked = len(server.asked)
        with ThreadPoolExecutor(8) as threads:
            outcomes = [threads.submit(outcome, provide) for _ in range(8)]
            server.await_requests(asked + 1)
            server.answers.set()
            report("refused", sorted({each.result()[0] for each in outcomes}))
        # Whoever came when it had just failed is a later call.
        report("asked", len(server.asked) - asked < 8)
        server.failure = None
        report("recovered", len(provide()[0]))

        server.lifetime = 3600
        made = [storage_options("arn:aws:iam::000000000000:role/of-files") for _ in range(3)]
        report("sessions", len({id(options["session"]) for options in made}))
        report("file systems", len({id(s3fs.S3FileSystem(**options)) for options in made}))

        async def in_a_loop():
            return storage_options(ROLE)["session"]

        # A lock of asyncio belongs to one loop.
        loops = [asyncio.run(in_a_loop()) for _ in range(2)]
        report("of their own", len({id(session) for session in [*loops, storage_options(ROLE)["session"]]}))
        """,
    )

    found = reported(done)
    seconds = found.pop("seconds")
    assert isinstance(seconds, float) and seconds < 1
    shared = {"refused": ["RefusedError"], "asked": True, "recovered": 3}
    assert found == {"held": True, "renewed": True, **shared, "sessions": 1, "file systems": 1, "of their own": 3}


def test_a_machine_that_slept_renews_although_its_monotonic_clock_stood_still(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        _SERVER,
        """
        asleep, monotonic, read_time = 0, time.monotonic, time.time
        time.time = lambda: read_time() + asleep
        server.lifetime = 5
        first = assume_role(ROLE).access_key_id
        provide = polars_credential_provider("arn:aws:iam::000000000000:role/of-provider")
        provided = provide()[0]["aws_access_key_id"]
        frozen = monotonic()
        time.monotonic = lambda: frozen

        def within(seconds, condition):
            end = monotonic() + seconds
            while not (seen := condition()) and monotonic() < end:
                time.sleep(0.05)
            return seen

        report("environment", within(20, lambda: os.environ["AWS_ACCESS_KEY_ID"] != first))
        report("provider", within(20, lambda: provide()[0]["aws_access_key_id"] != provided))

        # The thread that renews sleeps now. A reader that meets what has ended wakes it.
        server.lifetime = 3600
        slept = assume_role(ROLE).access_key_id
        asleep = 7200
        key = boto3_session().get_credentials().get_frozen_credentials().access_key
        report("reader", key != slept)
        report("woken", within(5, lambda: os.environ["AWS_ACCESS_KEY_ID"] != slept))

        # So does one that asks the endpoint. Its clock is the real one, so it gets credentials that have ended by that.
        import http.client
        from urllib.parse import urlsplit
        from hops.credentials_provider._role import state
        assume_role(ROLE, refresh=True)
        state.role.endpoint.publish("ASIAENDED", "secret", "token", read_time() - 1, ROLE)
        asleep += 7200

        def status():
            url = urlsplit(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
            connection = http.client.HTTPConnection(url.netloc)
            connection.request("GET", url.path, headers={"Authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]})
            return connection.getresponse().status

        report("endpoint", [status(), within(5, lambda: status() == 200)])

        # A service that cleans up has removed the file that some readers prefer to the token itself.
        file = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
        os.remove(file)
        state.wake(state.role)
        report("token file", within(5, lambda: os.path.exists(file)))
        """,
    )

    woken = {"reader": True, "woken": True, "endpoint": [503, True], "token file": True}
    assert reported(done) == {"environment": True, "provider": True, **woken}


#: The failing answers of a source, and whether they take away what is held.
_FAILURES = {
    "a fault of the server": "server.failure = (500, '{}')",
    "a login page of a proxy": "server.failure = (200, '<html>sign in</html>')",
    "an empty answer": "server.failure = (200, '')",
    "a login that is refused once": "server.failure = (401, '{}')",
    "a refusal of a proxy": "server.failure = (403, '<html>no</html>')",
    "an API key that is missing": "os.environ.pop('API_KEY')",
    "a project without a cloud": 'server.failure = (404, \'{"errorCode": 380000, "errorMsg": "none"}\')',
    "the role is not the caller's": 'server.failure = (403, \'{"errorCode": 380002, "errorMsg": "no"}\')',
    "the role is not mapped": 'server.failure = (404, \'{"errorCode": 380003, "errorMsg": "no"}\')',
}
_WITHDRAWING = ("the role is not the caller's", "the role is not mapped")
#: The seconds after which credentials of an hour are half used, and those after which they have nearly ended.
_AGES = (2500, 3590)


def test_what_is_held_is_used_to_its_end_unless_the_source_says_no_to_the_role(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        f"FAILURES = {_FAILURES!r}\nAGES = {_AGES!r}\n",
        _SERVER,
        """
        import http.client, io
        from urllib.parse import urlsplit
        from hops.credentials_provider._role import state

        age, read_monotonic, read_time, key = 0, time.monotonic, time.time, os.environ["API_KEY"]
        time.monotonic, time.time = (lambda: read_monotonic() + age), (lambda: read_time() + age)
        log = io.StringIO()
        logging.getLogger("hops.credentials_provider").addHandler(logging.StreamHandler(log))

        def found(refresh):
            if not refresh:
                return os.environ["AWS_ACCESS_KEY_ID"]
            url = urlsplit(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
            connection = http.client.HTTPConnection(url.netloc)
            connection.request("GET", url.path, headers={"Authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]})
            answer = json.load(connection.getresponse())
            return answer.get("AccessKeyId", answer.get("code"))

        def met(refresh, number):
            global age
            age, server.failure, os.environ["API_KEY"] = 0, None, key
            log.truncate(0)
            first = assume_role(ROLE, refresh=refresh).access_key_id
            provide = polars_credential_provider(f"arn:aws:iam::000000000000:role/of-provider-{number}")
            provided = provide()[0]["aws_access_key_id"]
            exec(failure)
            age = age_met
            state.wake(state.role)
            assert until(lambda: state.role.renewal.failures)
            next_try = state.role.renewal.due_in()
            # Finds that a fetch is due, and does not wait for it.
            provide()
            assert until(lambda: "for a reader fails" in log.getvalue())
            held = outcome(lambda: provide()[0]["aws_access_key_id"])
            now = outcome(lambda: current().access_key_id)
            return {
                "current": now == first or now[0],
                "readers": found(refresh) == first or found(refresh),
                "provider": held == provided or held[0],
                "next try": 0 <= next_try <= 1,
                "logged": log.getvalue().count(f"refresh of {ROLE} fails since"),
            }

        number = 0
        for name, failure in FAILURES.items():
            for age_met in AGES:
                for refresh in (False, True):
                    number += 1
                    report(f"{name}, {age_met} s, {'endpoint' if refresh else 'environment'}", met(refresh, number))
        """,
        seconds=240,
    )

    found = reported(done)
    assert len(found) == len(_FAILURES) * len(_AGES) * 2
    good = {"current": True, "readers": True, "provider": True, "next try": True, "logged": 1}
    for met, seen in found.items():
        withdrawn = {
            "current": "RefusedError",
            "readers": "withdrawn" if met.endswith("environment") else "ExpiredCredentials",
            "provider": "RefusedError",
        }
        assert seen == ({**good, **withdrawn} if met.startswith(_WITHDRAWING) else good), met
