"""Credentials for readers that take a callable. All readers of one role share one set.

A reader reads as its role, whatever the environment says, and its credentials are renewed for as long as the process runs. It does not need
`assume_role`, and changes nothing in the process.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from . import _executor, _loaded, _native, _role
from ._credentials import utc_text
from ._renewal import Renewal
from ._source import LOG, Fetched, NativeSource, Request, request


class _CachedRole:
    """The credentials of one role, fetched when a reader of this process asks for them and the previous ones are due."""

    def __init__(self, asked: Request) -> None:
        self._role_arn = asked.role_arn or "the default role"
        self._source = NativeSource(asked)
        #: Held during a fetch. Nobody waits for it who has credentials that are good.
        self._fetching = threading.Lock()
        self._renewal: Renewal | None = None
        #: The error of the last fetch, if it failed.
        self._error: Exception | None = None
        #: Fetches so far.
        self._fetches = 0

    def newest(self) -> Fetched:
        """Returns the newest set. Waits for a fetch only when there is none that is good for more than a second."""
        renewal, fetches = self._renewal, self._fetches
        if renewal is None or not self._is_good(renewal):
            with self._fetching:
                renewal = self._renewal
                if renewal is None or not self._is_good(renewal):
                    # Whoever waited for the fetch of another caller shares its outcome.
                    if self._error is not None and self._fetches > fetches:
                        raise self._error.with_traceback(None)
                    renewal = self._fetch_now(renewal)
        elif renewal.due_in() <= 0 and self._fetching.acquire(blocking=False):
            try:
                threading.Thread(target=self._renew, args=(renewal,), name="hops-credentials provider", daemon=True).start()
            except RuntimeError as error:
                self._fetching.release()
                self._note(renewal, error)
        return renewal.fetched

    def _is_good(self, renewal: Renewal) -> bool:
        return renewal.fetched.left() > 1 and not getattr(self._error, "_withdraws", False)

    def _fetch_now(self, renewal: Renewal | None) -> Renewal:
        try:
            return self._fetch()
        except Exception as error:
            self._error = error
            if renewal is not None:
                self._note(renewal, error)
            raise

    def _renew(self, renewal: Renewal) -> None:
        try:
            self._fetch()
        except Exception as error:
            self._note(renewal, error)
        finally:
            self._fetching.release()

    def _fetch(self) -> Renewal:
        try:
            renewal = self._renewal = Renewal(self._source.fetch())
            self._error = None
            return renewal
        finally:
            self._fetches += 1

    def _note(self, renewal: Renewal, error: Exception) -> None:
        renewal.fail()
        self._error = error
        if renewal.failures == 1:
            LOG.warning(
                "refresh of %s for a reader fails, credentials end %s: %s", self._role_arn, utc_text(renewal.fetched.expires()), error
            )


_cached: dict[Request, _CachedRole] = {}


class _NoLoop:
    """Stands for the event loop where there is none."""


_NO_LOOP = _NoLoop()
#: The sessions of aiobotocore, each of which belongs to an event loop. fsspec keeps a file system for each for ever.
_sessions: weakref.WeakKeyDictionary[object, dict[Request, Any]] = weakref.WeakKeyDictionary()


def _after_fork_in_child() -> None:
    # A forked child may inherit locks that nobody will release.
    _cached.clear()
    _sessions.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _asked(role_arn: str | None, arguments: Mapping[str, Any]) -> Request:
    """Returns what a reader asks for.

    When nothing or only the ARN of the role in use is named, this is what was asked for the role in use, its session policy included.
    """
    named = request(role_arn=role_arn, **arguments)
    used = _role.request()
    return used if used is not None and named in (Request(), Request(used.role_arn)) else named


def _newest(asked: Request) -> Fetched:
    """Returns the newest credentials of a role."""
    return _role.newest_for(asked) or _executor.newest(asked) or _cached.setdefault(asked, _CachedRole(asked)).newest()


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

    Without a `role_arn`, or with that of the role in use, this is the role in use as it was assumed; when no role is in use, the caller's
    default role. `arguments` are those of `assume_role` except `refresh`, and those of `boto3.Session`, for example `region_name`. A client
    fetches credentials at its first request.
    """
    import boto3  # noqa: PLC0415
    import botocore.session  # noqa: PLC0415
    from botocore.credentials import CredentialProvider, DeferredRefreshableCredentials  # noqa: PLC0415

    fields = [field.name for field in dataclasses.fields(Request)]
    asked = _asked(role_arn, {name: arguments.pop(name) for name in fields if name in arguments})

    class RoleProvider(CredentialProvider):  # type: ignore[misc]
        METHOD = CANONICAL_NAME = "hops-credentials"

        def load(self) -> Any:
            return DeferredRefreshableCredentials(refresh_using=lambda: _metadata(_newest(asked)), method=self.METHOD)

    session = botocore.session.get_session()
    session.get_component("credential_provider").insert_before("env", RoleProvider())
    # A bearer token in the environment, of Bedrock, would take the place of a signature.
    session.get_component("event_emitter").register_first("choose-signer", _sign_although_there_is_a_token)
    return boto3.Session(botocore_session=session, **arguments)


def _sign_although_there_is_a_token(signing_name: str, **_: Any) -> str | None:
    """Returns the signature of a service for which the environment holds a bearer token; None where there is none.

    Source of the name: botocore, `get_token_from_environment`.
    """
    service = signing_name.replace("-", "_").replace(" ", "_").upper()
    return "v4" if f"AWS_BEARER_TOKEN_{service}" in os.environ else None


def storage_options(role_arn: str | None = None, **arguments: Any) -> dict[str, Any]:
    """Returns `storage_options` for pandas, or keyword arguments for `s3fs.S3FileSystem`, that read as the role.

    Role and `arguments` are those of `boto3_session`, without those of `boto3.Session`. Equal calls return the same, so that they share a
    file system. They can be pickled, for workers of Dask and others, and bring no credentials along: the process that unpickles them asks
    for the role by its own settings.
    """
    return {"session": _session(_asked(role_arn, arguments)), **_loaded.s3fs_options()}


def _session(asked: Request) -> Any:
    """Returns the session of aiobotocore that this process keeps for a role."""
    from aiobotocore.credentials import AioDeferredRefreshableCredentials  # noqa: PLC0415
    from aiobotocore.session import AioSession  # noqa: PLC0415

    try:
        loop: object = asyncio.get_running_loop()
    except RuntimeError:
        loop = _NO_LOOP
    sessions = _sessions.setdefault(loop, {})

    async def refresh() -> dict[str, str]:
        return _metadata(await asyncio.get_running_loop().run_in_executor(None, _newest, asked))

    if asked not in sessions:

        class Session(AioSession):  # type: ignore[misc]
            def __reduce__(self) -> tuple[Callable[[Request], Any], tuple[Request]]:
                return _session, (asked,)

        session = Session()
        # aiobotocore has no public way to give a session credentials that refresh.
        session._credentials = AioDeferredRefreshableCredentials(refresh_using=refresh, method="hops-credentials")
        sessions.setdefault(asked, session)
    return sessions[asked]


def polars_credential_provider(role_arn: str | None = None, **arguments: Any) -> Callable[[], tuple[dict[str, str], int]]:
    """Returns a `credential_provider` for polars that reads as the role.

    Role and `arguments` are those of `boto3_session`, without those of `boto3.Session`.
    """
    asked = _asked(role_arn, arguments)

    def provide() -> tuple[dict[str, str], int]:
        fetched = _newest(asked)
        keys = {
            "aws_access_key_id": fetched.access_key_id,
            "aws_secret_access_key": fetched.secret_access_key,
            "aws_session_token": fetched.session_token,
        }
        # polars asks again from this instant on. Told the expiration, it would ask again only once S3 refuses.
        refresh_at = fetched.expiration - fetched.valid_for + _native.refresh_after(fetched.valid_for, 0.0)
        return keys, int(min(fetched.expiration, max(refresh_at, time.time() + 1)))

    return provide
