"""`assume_role` and `release` under an interrupt, in a signal handler, and before a worker that changes its user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.programs.python_program import SERVER, SESSION_TOKENS, python, reported


def test_an_interrupt_at_any_moment_leaves_nothing_that_release_does_not_give_back(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        {
            **SESSION_TOKENS,
            "AWS_ACCESS_KEY_ID": "AKIABASE",
            "AWS_SECRET_ACCESS_KEY": "base",
            "AWS_PROFILE": "base",
            "AWS_REGION": "us-east-1",
        },
        SERVER,
        """
        from pathlib import Path
        (Path.home() / ".aws").mkdir(parents=True)
        (Path.home() / ".aws/config").write_text("[profile base]\\nregion = us-east-1\\n")
        logging.disable()
        package = os.path.dirname(provider.__file__)
        before = dict(os.environ)
        import fsspec.config
        fsspec.config.conf["s3"] = {"key": "AKIASTRANGER"}

        def interrupted(act, moment):
            # The interpreter handles a signal where a call begins or has ended.
            passed = 0

            def look(frame, event, _):
                nonlocal passed
                if event in ("call", "c_return") and frame.f_code.co_filename.startswith(package):
                    passed += 1
                    if passed == moment:
                        sys.setprofile(None)
                        raise KeyboardInterrupt

            try:
                sys.setprofile(look)
                act()
            except KeyboardInterrupt:
                return True
            finally:
                sys.setprofile(None)
            return passed >= moment

        def sweep(act, prepare=lambda: None):
            wrong, moment, goes_on = [], 0, True
            while goes_on:
                moment += 1
                prepare()
                goes_on = interrupted(act, moment)
                expected = dict(before)
                if current() is None:
                    # What the user takes out then stays out.
                    del os.environ["AWS_PROFILE"], expected["AWS_PROFILE"]
                release()
                if dict(os.environ) != expected or fsspec.config.conf["s3"] != {"key": "AKIASTRANGER"}:
                    wrong.append(moment)
                    fsspec.config.conf["s3"] = {"key": "AKIASTRANGER"}
                os.environ.clear()
                os.environ.update(before)
            return [moment > 30, wrong]

        report("assume_role", sweep(lambda: assume_role(ROLE)))
        report("with an endpoint", sweep(lambda: assume_role(ROLE, refresh=True)))
        report("another role", sweep(lambda: assume_role(ROLE, refresh=True), lambda: assume_role(ROLE + "-2")))
        report("without an endpoint", sweep(lambda: assume_role(ROLE), lambda: assume_role(ROLE + "-2", refresh=True)))
        report("release", sweep(release, lambda: assume_role(ROLE)))
        report("usable", assume_role(ROLE).access_key_id == os.environ["AWS_ACCESS_KEY_ID"])
        """,
    )

    whole = [True, []]
    acts = ["assume_role", "with an endpoint", "another role", "without an endpoint", "release"]
    assert reported(done) == {**dict.fromkeys(acts, whole), "usable": True}


def test_a_signal_handler_may_call_while_its_thread_does(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        SERVER,
        """
        import signal

        def handle(*_):
            # The program has asked, and waits for the answer.
            server.answers.set()
            handled.append([assume_role(ROLE).access_key_id[:4], release()])

        signal.signal(signal.SIGUSR1, handle)
        handled = []
        for refresh in (False, True):
            server.answers.clear()
            count = len(server.asked) + 1
            threading.Thread(target=lambda: (server.await_requests(count), os.kill(os.getpid(), signal.SIGUSR1))).start()
            report(f"refresh {refresh}", assume_role(ROLE, refresh=refresh).access_key_id == current().access_key_id)
        report("handled", handled)
        """,
        seconds=60,
    )

    assert reported(done) == {"refresh False": True, "refresh True": True, "handled": [["ASIA", None]] * 2}


def test_a_signal_handler_may_call_while_its_thread_tells_spark_of_a_role(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        SERVER,
        """
        held, known = [], {}

        class Jvm(provider._spark.JvmSource):
            def fetch(self, held_key=""):
                if handle is not None:
                    handle()
                held[:] = [self._asked.role_arn[-2:]]
                # The JVM asks by itself, and needs no lock of Python.
                if self._asked.role_arn not in known:
                    known[self._asked.role_arn] = provider._source.NativeSource(self._asked).fetch()
                return known[self._asked.role_arn]

            def release(self):
                held.clear()
                if handle is not None:
                    handle()

        def handler(act):
            def handle_once():
                global handle
                handle = None
                act()
            return handle_once

        handle = None
        spark = provider._spark
        for name, act in [("released", release), ("replaced", lambda: assume_role(ROLE + "-2"))]:
            spark.context = lambda: None
            assume_role(ROLE + "-1")
            handle, spark.context, spark.driver = handler(act), lambda: spark, lambda asked, buckets=(): Jvm(None, asked)
            # A hand-over is on one thread, that of `getOrCreate` here.
            provider._handover.follow_spark()
            until(lambda: handle is None)
            role = current()
            report(name, [role and role.role_arn[-2:], held, "AWS_ACCESS_KEY_ID" in os.environ])
            release()
        assume_role(ROLE + "-1")
        handle = handler(lambda: assume_role(ROLE + "-2"))
        release()
        report("assumed in a release", [current().role_arn[-2:], held, "AWS_ACCESS_KEY_ID" in os.environ])
        """,
        seconds=60,
    )

    kept = ["-2", ["-2"], True]
    assert reported(done) == {"released": [None, [], False], "replaced": kept, "assumed in a release": kept}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user")
def test_readers_go_on_behind_the_endpoint_in_a_worker_that_has_changed_its_user(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        # The directories above that of the test may be closed to others.
        {**SESSION_TOKENS, "TMPDIR": "/tmp"},
        SERVER,
        """
        import boto3
        key = assume_role(ROLE, refresh=True).access_key_id
        # A worker of a web server.
        if os.fork() == 0:
            os.setgid(65534)
            os.setuid(65534)
            report("found", boto3.Session().get_credentials().access_key == key)
            os._exit(0)
        os.wait()
        release()
        """,
    )

    assert reported(done)["found"] is True
