"""Questions to the role-mapping server or to STS, and one set of credentials as it comes back."""

from __future__ import annotations

import dataclasses
import http.client
import json
import logging
import os
import selectors
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from . import _native
from ._credentials import Credentials
from ._errors import UnavailableError

LOG = logging.getLogger("hops.credentials_provider")

#: After this many seconds somebody who sits in front of it learns what is waited for.
_PATIENCE = 3.0


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked of AssumeRole. Two that are equal get the same answer."""

    role_arn: str | None = None
    role_session_name: str | None = None
    duration_seconds: int = 3600
    external_id: str | None = dataclasses.field(default=None, repr=False)
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    source_identity: str | None = None


def request(
    *,
    role_arn: str | None,
    role_session_name: str | None,
    duration_seconds: int | None,
    external_id: str | None,
    policy: str | None,
    policy_arns: Sequence[str],
    tags: Mapping[str, str] | None,
    source_identity: str | None,
) -> Request:
    """The arguments of a call, None and empty texts as one."""
    return Request(
        role_arn or None,
        role_session_name or None,
        duration_seconds or 0,
        external_id or None,
        policy or None,
        tuple(policy_arns),
        tuple((tags or {}).items()),
        source_identity or None,
    )


@dataclasses.dataclass(frozen=True)
class Fetched:
    """Credentials just fetched, for how many seconds they were good then, and when that was on the monotonic clock."""

    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)
    session_token: str = dataclasses.field(repr=False)
    expiration: float
    role_arn: str | None
    life: float
    at: float = dataclasses.field(default_factory=time.monotonic)
    #: Seconds until somebody else begins to renew them; None when we do.
    refresh_in: float | None = None

    def left(self) -> float:
        """Seconds until they expire, on the monotonic clock."""
        return self.at + self.life - time.monotonic()

    def credentials(self, mode: str) -> Credentials:
        """For the caller."""
        expiration = datetime.fromtimestamp(self.expiration, timezone.utc)
        return Credentials(
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            session_token=self.session_token,
            expiration=expiration,
            role_arn=self.role_arn,
            mode=mode,
        )


class Core:
    """This process asks, by the native library."""

    def __init__(self, asked: Request) -> None:
        self.asked = asked

    def fetch(self) -> Fetched:
        """A new set.

        Raises CloudCredentialError when there is none; ValueError when no service would accept the request.
        """
        asked = self.asked
        fetched = Fetched(
            *answer_of(
                _native.assume_role(
                    asked.role_arn,
                    asked.role_session_name,
                    asked.duration_seconds,
                    asked.external_id,
                    asked.policy,
                    asked.policy_arns,
                    asked.tags,
                    asked.source_identity,
                )
            )
        )
        # A default that is moved meanwhile does not move this program to another role.
        self.asked = dataclasses.replace(asked, role_arn=fetched.role_arn)
        return fetched


class NotRenewed(Exception):
    """Whoever renews the credentials has not done so yet."""


class ParentGone(UnavailableError):
    """The process that serves the endpoint has ended."""


class Parent:
    """The endpoint of the process that this one was forked from is asked, so that there is one fetch for all of them."""

    def __init__(self, asked: Request, process: int, changes: Sequence[tuple[str, str | None]]) -> None:
        self.asked = asked
        values = dict(changes)
        #: URL, token, and the file of the token.
        self.place = (
            str(values["AWS_CONTAINER_CREDENTIALS_FULL_URI"]),
            str(values["AWS_CONTAINER_AUTHORIZATION_TOKEN"]),
            str(values["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]),
        )
        self._process: int | None = process
        self._last = ""

    def is_gone(self) -> bool:
        """Whether the process that this one was forked from has ended. Who serves after that is not watched."""
        return self._process is not None and self._process != os.getppid()

    def is_followed_by_another(self) -> None:
        """Another child of the same process serves in its place."""
        self._process = None

    def fetch(self) -> Fetched:
        """The set of the parent.

        Raises NotRenewed when it is the one before; UnavailableError when there is none, ParentGone when nobody answers.
        """
        url = urlsplit(self.place[0])
        connection = http.client.HTTPConnection(url.netloc, timeout=2)
        try:
            connection.request("GET", url.path, headers={"Authorization": self.place[1]})
            answer = json.load(connection.getresponse())
        except OSError as error:
            raise ParentGone("asking the process that assumed the role failed: it has ended; call assume_role in this one") from error
        finally:
            connection.close()
        if "AccessKeyId" not in answer:
            raise UnavailableError(str(answer["message"]))
        if answer["AccessKeyId"] == self._last:
            raise NotRenewed
        self._last = answer["AccessKeyId"]
        expiration = datetime.fromisoformat(answer["Expiration"].replace("Z", "+00:00")).timestamp()
        return Fetched(
            answer["AccessKeyId"],
            answer["SecretAccessKey"],
            answer["Token"],
            expiration,
            None,
            expiration - time.time(),
        )


def answer_of(call: _native.Call) -> Any:
    """Waits for the end of a call; Ctrl-C ends the wait."""
    with selectors.DefaultSelector() as ends:
        ends.register(call, selectors.EVENT_READ)
        if _is_watched() and not ends.select(_PATIENCE):
            print("hops-credentials: waiting for an answer ...", file=sys.stderr, flush=True)
        # In turns: Python looks at a signal that came just before a wait only after it.
        while not ends.select(1):
            pass
    answer, warnings = call.result()
    for warning in warnings:
        LOG.warning(warning)
    if isinstance(answer, Exception):
        raise answer
    return answer


def _is_watched() -> bool:
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules
