"""Forked children: they keep the role in use, with locks and a refresher of their own.

The environment is a child's own. The endpoint is its parent's: the child leaves it to its parent, and serves it once the parent has ended.
"""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket
import time
from datetime import datetime
from urllib.parse import urlsplit

from . import _native, _refresher, _spark
from ._errors import CloudCredentialError, UnavailableError
from ._role import state
from ._source import LOG, WATCH_SECONDS, Fetched, NativeSource, NotRenewed, Request, Source, SourceGone


class ParentSource(Source):
    """The endpoint of the process from which this one was forked, so that one fetch serves all of them."""

    serves_endpoint = False

    def __init__(self, asked: Request, parent: int, endpoint: _native.Endpoint, context: object) -> None:
        self._asked = asked
        #: The process that serves; None when it is not the parent of this one, so that only its port tells whether it runs.
        self._parent: int | None = parent
        self._url, self._token, self._token_file = endpoint.resume_arguments()
        #: The SparkContext whose JVM is the parent's.
        self._context = context

    def fetch(self, held: str = "") -> Fetched:
        parts = urlsplit(self._url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=2)
        try:
            connection.request("GET", parts.path, headers={"Authorization": self._token})
            answer = json.load(connection.getresponse())
        except OSError as error:
            raise SourceGone("asking the process that assumed the role failed: it has ended; call assume_role in this one") from error
        finally:
            connection.close()
        if "AccessKeyId" not in answer:
            raise UnavailableError(str(answer["message"]))
        if answer["AccessKeyId"] == held:
            raise NotRenewed
        # Python before 3.11 does not read the Z of RFC 3339.
        expiration = datetime.fromisoformat(answer["Expiration"].replace("Z", "+00:00")).timestamp()
        return Fetched(
            answer["AccessKeyId"],
            answer["SecretAccessKey"],
            answer["Token"],
            expiration,
            self._asked.role_arn,
            expiration - time.time(),
        )

    def wait(self, seconds: float) -> float:
        return min(seconds, WATCH_SECONDS)

    def is_gone(self) -> bool:
        if self._parent is not None:
            return self._parent != os.getppid()
        # It is not this one's parent, as after a daemon's two forks.
        with socket.socket() as one:
            one.settimeout(2)
            return one.connect_ex(("127.0.0.1", urlsplit(self._url).port)) == errno.ECONNREFUSED

    def successor(self, fetched: Fetched) -> tuple[Source, _native.Endpoint | None]:
        """Serves in place of the process that has ended, unless another child of it already does."""
        try:
            endpoint = _native.Endpoint.resume(self._url, self._token, self._token_file, fetched.values())
        except CloudCredentialError as error:
            LOG.info("this process does not take over the endpoint: %s", error)
            self._parent = None
            return self, None
        LOG.info("this process takes over the endpoint of the one that assumed the role, which has ended")
        return NativeSource(self._asked, self._context), endpoint

    def after_fork(self, context: object) -> Source:
        self._parent = None
        self._context = context
        return self


#: The process that forks, as a child must know it: once the parent has ended, the child can no longer ask for its id.
_parent = os.getpid()


def _before_fork() -> None:
    global _parent  # noqa: PLW0603
    state.lock.acquire()
    _parent = os.getpid()


def _after_fork_in_parent() -> None:
    state.lock.release()


def _after_fork_in_child() -> None:
    state.make_locks()
    # The context is the parent's.
    state.bucket_holders.clear()
    role = state.role
    if role is None:
        return
    context = _spark.context()
    if role.endpoint is not None and role.source.serves_endpoint:
        os.close(role.endpoint.fileno())
        role.source = ParentSource(role.asked, _parent, role.endpoint, context)
    else:
        role.source = role.source.after_fork(context)
    with state.lock:
        _refresher.start()


# Functions rather than the methods of the lock: a forked child has another lock.
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
