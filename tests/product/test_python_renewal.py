"""The thread that renews credentials in the wheel: what it survives, when it wakes, and what it leaves."""

from __future__ import annotations

from pathlib import Path

from tests.programs.python_program import SERVER, SESSION_TOKENS, python, reported


def test_the_thread_that_renews_survives_answers_writes_and_interrupts_that_fail(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        SERVER,
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
        SERVER,
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


def test_roles_that_come_and_go_leave_no_thread_descriptor_or_file(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        SERVER,
        """
        def counts():
            return [len(os.listdir(f"/proc/self/{name}")) for name in ("fd", "task")] + [len(os.listdir(os.environ["TMPDIR"]))]

        def cycle():
            for refresh in (True, True, False, True):
                assume_role(ROLE, refresh=refresh)
            release()
            server.failure = (403, '{"errorCode": 380002, "errorMsg": "no"}')
            outcome(lambda: assume_role(ROLE, refresh=True))
            server.failure = None

        cycle()
        # The threads of a cycle end a moment after it.
        assert until(lambda: refresher() is None)
        before = counts()
        for _ in range(20):
            cycle()
        report("as before", until(lambda: all(now <= then for now, then in zip(counts(), before))))
        """,
    )

    assert reported(done)["as before"] is True


def test_a_machine_that_slept_renews_although_its_monotonic_clock_stood_still(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        SERVER,
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

        # The thread that renews sleeps now, for half a minute. A reader that meets what has ended wakes it.
        server.lifetime = 3600
        slept = assume_role(ROLE).access_key_id
        asleep = 7200
        key = boto3_session().get_credentials().get_frozen_credentials().access_key
        report("reader", key != slept)
        report("woken", within(15, lambda: os.environ["AWS_ACCESS_KEY_ID"] != slept))

        # So does one that asks the endpoint. Its clock is the real one, so it gets credentials that have ended by that.
        import http.client
        from urllib.parse import urlsplit
        from hops.credentials_provider._role import state
        assume_role(ROLE, refresh=True)
        state.role.endpoint.publish(("ASIAENDED", "secret", "token", read_time() - 1, 0, ROLE))
        asleep += 7200

        def status():
            url = urlsplit(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
            connection = http.client.HTTPConnection(url.netloc)
            connection.request("GET", url.path, headers={"Authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]})
            return connection.getresponse().status

        report("endpoint", [status(), within(15, lambda: status() == 200)])

        # A service that cleans up has removed the file that some readers prefer to the token itself.
        file = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
        os.remove(file)
        state.wake(state.role)
        report("token file", within(15, lambda: os.path.exists(file)))
        """,
    )

    woken = {"reader": True, "woken": True, "endpoint": [503, True], "token file": True}
    assert reported(done) == {"environment": True, "provider": True, **woken}


def test_a_reader_gets_no_credentials_that_have_ended_by_either_clock(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        SERVER,
        """
        monotonic, read_time = time.monotonic, time.time
        passed = {"monotonic": 0.0, "wall": 0.0}
        time.monotonic = lambda: monotonic() + passed["monotonic"]
        time.time = lambda: read_time() + passed["wall"]
        server.lifetime = 3600
        provide = polars_credential_provider(ROLE)

        def key():
            return provide()[0]["aws_access_key_id"]

        held = [key(), key()]
        # The machine slept.
        passed["wall"] += 3700
        held += [key(), key()]
        # The time of day is set back, and an hour passes.
        passed["wall"] -= 86400
        passed["monotonic"] += 3700
        held += [key(), key()]
        report("sets", [held.index(one) for one in held])
        """,
    )

    assert reported(done)["sets"] == [0, 0, 2, 2, 4, 4]
