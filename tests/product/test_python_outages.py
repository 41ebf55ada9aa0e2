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
