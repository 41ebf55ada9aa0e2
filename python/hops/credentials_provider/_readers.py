"""Credentials for readers that take a callable. All readers of one role share one set.

A reader reads as its role, whatever the environment says, and its credentials are renewed for as long as the process runs. It does not need
`assume_role`, and changes nothing in the process.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from . import _native, _role
from ._errors import CloudCredentialError
from ._renewal import Renewal
from ._source import Fetched, NativeSource, Request


class _CachedRole:
    """The credentials of one role, fetched when a reader of this process asks for them and the previous ones are due."""

    def __init__(self, asked: Request) -> None:
        self._source = NativeSource(asked)
        self._lock = threading.Lock()
        self._renewal: Renewal | None = None

    def newest(self) -> Fetched:
        """Returns the newest set. When a fetch fails, the set in use goes on until its last second."""
        with self._lock:
            renewal = self._renewal
            if renewal is None:
                renewal = self._renewal = Renewal(self._source.fetch())
            elif renewal.due_in() <= 0:
                try:
                    renewal.succeed(self._source.fetch())
                except CloudCredentialError:
                    if renewal.fetched.left() <= 1:
                        raise
                    renewal.fail()
            return renewal.fetched


_cached: dict[Request, _CachedRole] = {}

# A forked child may inherit locks that nobody will release.
os.register_at_fork(after_in_child=_cached.clear)


def _newest(role_arn: str | None) -> Callable[[], Fetched]:
    """Returns what gives the newest credentials of this role; without one, of the role in use now or else of the caller's default role."""
    asked = Request(role_arn or _role.role_arn())

    def newest() -> Fetched:
        return _role.newest_for(asked.role_arn) or _cached.setdefault(asked, _CachedRole(asked)).newest()

    return newest


def _metadata(fetched: Fetched) -> dict[str, str]:
    """Returns the set under botocore's names."""
    return {
        "access_key": fetched.access_key_id,
        "secret_key": fetched.secret_access_key,
        "token": fetched.session_token,
        "expiry_time": fetched.expires().isoformat(),
    }


def boto3_session(role_arn: str | None = None, **arguments: Any) -> Any:
    """Returns a boto3 session whose clients, of S3 and of every other service, act as the role and renew their credentials.

    `arguments` are those of `boto3.Session`, for example `region_name`. A client fetches credentials at its first request.
    """
    import boto3  # noqa: PLC0415
    import botocore.session  # noqa: PLC0415
    from botocore.credentials import CredentialProvider, DeferredRefreshableCredentials  # noqa: PLC0415

    newest = _newest(role_arn)

    class RoleProvider(CredentialProvider):  # type: ignore[misc]
        METHOD = CANONICAL_NAME = "hops-credentials"

        def load(self) -> Any:
            return DeferredRefreshableCredentials(refresh_using=lambda: _metadata(newest()), method=self.METHOD)

    session = botocore.session.get_session()
    session.get_component("credential_provider").insert_before("env", RoleProvider())
    return boto3.Session(botocore_session=session, **arguments)


def storage_options(role_arn: str | None = None) -> dict[str, Any]:
    """Returns `storage_options` for pandas, or keyword arguments for `s3fs.S3FileSystem`, that read as the role."""
    from aiobotocore.credentials import AioDeferredRefreshableCredentials  # noqa: PLC0415
    from aiobotocore.session import AioSession  # noqa: PLC0415

    newest = _newest(role_arn)

    async def refresh() -> dict[str, str]:
        return _metadata(await asyncio.get_running_loop().run_in_executor(None, newest))

    session = AioSession()
    # aiobotocore has no public way to give a session credentials that refresh.
    session._credentials = AioDeferredRefreshableCredentials(refresh_using=refresh, method="hops-credentials")
    return {"session": session}


def polars_credential_provider(role_arn: str | None = None) -> Callable[[], tuple[dict[str, str], int]]:
    """Returns a `credential_provider` for polars that reads as the role."""
    newest = _newest(role_arn)

    def provide() -> tuple[dict[str, str], int]:
        fetched = newest()
        keys = {
            "aws_access_key_id": fetched.access_key_id,
            "aws_secret_access_key": fetched.secret_access_key,
            "aws_session_token": fetched.session_token,
        }
        # polars asks again from this instant on. Told the expiration, it would ask again only once S3 refuses.
        refresh_at = fetched.expiration - fetched.valid_for + _native.refresh_after(fetched.valid_for, 0.0)
        return keys, int(min(fetched.expiration, max(refresh_at, time.time() + 1)))

    return provide
