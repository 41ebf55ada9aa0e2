"""Credentials for readers that take a callable: a few lines each, over one set per role.

They read as the role, whatever the environment says, and fetch anew by themselves for as long as the process runs. `assume_role` is not
needed first, and nothing outside of what they return changes.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from . import _live, _native
from ._errors import CloudCredentialError
from ._source import Core, Fetched, Request


class _Kept:
    """The credentials of one role, fetched once for all readers of this process."""

    def __init__(self, asked: Request) -> None:
        self._source = Core(asked)
        self._lock = threading.Lock()
        self._fetched: Fetched | None = None
        self._due = 0.0
        self._failures = 0

    def fetched(self) -> Fetched:
        """The set in use, fetched anew when it is due. One that is still good goes on when there is no newer one."""
        with self._lock:
            if self._fetched is not None and time.monotonic() < self._due:
                return self._fetched
            try:
                self._fetched = self._source.fetch()
            except CloudCredentialError:
                left = 0.0 if self._fetched is None else self._fetched.left()
                if self._fetched is None or left <= 1:
                    raise
                self._failures += 1
                self._due = time.monotonic() + _native.retry_after(self._failures, left, self._fetched.life, random.random())
                return self._fetched
            self._failures = 0
            self._due = time.monotonic() + _native.refresh_after(self._fetched.life, random.random())
            return self._fetched


_kept: dict[Request, _Kept] = {}


os.register_at_fork(after_in_child=_kept.clear)


def _fetched(role_arn: str | None) -> Callable[[], Fetched]:
    """The newest credentials: of the role that is named, else of the role in use now, else of the caller's default role."""
    asked = Request(role_arn or _live.role_arn())

    def of_role() -> Fetched:
        in_use = _live.fetched(asked.role_arn)
        return in_use if in_use is not None else _kept.setdefault(asked, _Kept(asked)).fetched()

    return of_role


def _metadata(fetched: Fetched) -> dict[str, str]:
    """In the words of botocore."""
    return {
        "access_key": fetched.access_key_id,
        "secret_key": fetched.secret_access_key,
        "token": fetched.session_token,
        "expiry_time": datetime.fromtimestamp(fetched.expiration, timezone.utc).isoformat(),
    }


def boto3_session(role_arn: str | None = None, **arguments: Any) -> Any:
    """A boto3 session whose clients, of S3 and of every other service, act as the role and fetch anew by themselves.

    `arguments` are those of `boto3.Session`, for example `region_name`. The first fetch is at the first request of a client.
    """
    import boto3  # noqa: PLC0415
    import botocore.session  # noqa: PLC0415
    from botocore.credentials import CredentialProvider, DeferredRefreshableCredentials  # noqa: PLC0415

    fetched = _fetched(role_arn)

    class OfRole(CredentialProvider):  # type: ignore[misc]
        METHOD = CANONICAL_NAME = "hops-credentials"

        def load(self) -> Any:
            return DeferredRefreshableCredentials(refresh_using=lambda: _metadata(fetched()), method=self.METHOD)

    session = botocore.session.get_session()
    session.get_component("credential_provider").insert_before("env", OfRole())
    return boto3.Session(botocore_session=session, **arguments)


def storage_options(role_arn: str | None = None) -> dict[str, Any]:
    """The `storage_options` of pandas, or the keyword arguments of `s3fs.S3FileSystem`, that read as the role."""
    from aiobotocore.credentials import AioDeferredRefreshableCredentials  # noqa: PLC0415
    from aiobotocore.session import AioSession  # noqa: PLC0415

    fetched = _fetched(role_arn)

    async def refresh() -> dict[str, str]:
        return _metadata(await asyncio.get_running_loop().run_in_executor(None, fetched))

    session = AioSession()
    # There is no public way to give a session of aiobotocore credentials that refresh.
    session._credentials = AioDeferredRefreshableCredentials(refresh_using=refresh, method="hops-credentials")
    return {"session": session}


def polars_credential_provider(role_arn: str | None = None) -> Callable[[], tuple[dict[str, str], int]]:
    """The `credential_provider` of polars that reads as the role."""
    fetched = _fetched(role_arn)

    def provide() -> tuple[dict[str, str], int]:
        found = fetched()
        keys = {
            "aws_access_key_id": found.access_key_id,
            "aws_secret_access_key": found.secret_access_key,
            "aws_session_token": found.session_token,
        }
        # Asked again from then on, and not only once S3 refuses.
        refresh_at = found.expiration - found.life + _native.refresh_after(found.life, 0.0)
        return keys, int(min(found.expiration, max(refresh_at, time.time() + 1)))

    return provide
