"""The wheel while a fetch fails or takes long. Each program asks a server of its own, which it commands."""

from __future__ import annotations

from pathlib import Path

from tests.programs.python_program import SERVER, SESSION_TOKENS, python, reported


def test_a_fork_during_a_fetch_holds_nobody(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        SERVER,
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
        SERVER,
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

            def keys():
                made = [each.get_credentials().get_frozen_credentials().access_key for each in (session, late)]
                return {*made, current().access_key_id}

            # A renewal may fall between two of the three.
            report("shared", until(lambda: len(keys()) == 1))
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


def test_nobody_waits_for_a_fetch_who_has_good_credentials_and_equal_readers_share_a_file_system(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        {**SESSION_TOKENS, "AWS_DEFAULT_REGION": "us-east-1"},
        SERVER,
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


def test_an_endpoint_hands_out_good_credentials_although_the_clock_of_this_machine_is_ahead(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        SERVER,
        """
        import urllib.request
        server.behind = 7200
        assume_role(ROLE, refresh=True)
        headers = {"Authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]}
        with urllib.request.urlopen(urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers=headers)) as answer:
            report("key", json.load(answer)["AccessKeyId"])
        """,
    )

    assert reported(done)["key"] == "ASIAOFPROGRAM00001"


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
        SERVER,
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
