"""The value that `assume_role` returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from html import escape
from typing import Any, NoReturn

_KEYS = {
    "accessKeyId": "access_key_id",
    "secretAccessKey": "secret_access_key",
    "sessionToken": "session_token",
    "expiration": "expiration",
}


def utc_text(instant: datetime) -> str:
    """Returns an instant in UTC as people read it."""
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


class Credentials(Mapping[str, Any]):
    """Temporary credentials of one role: a snapshot, which a refresh does not change.

    It is a mapping (`accessKeyId`, `secretAccessKey`, `sessionToken`, `expiration`) and has attributes. Neither `repr` nor a notebook shows
    the secret access key and the session token. It cannot be pickled, so that no closure, cache or file holds them by accident.
    """

    __slots__ = ("_access_key_id", "_expiration", "_mode", "_role_arn", "_secret_access_key", "_session_token")

    def __init__(
        self,
        *,
        access_key_id: str,
        secret_access_key: str,
        session_token: str,
        expiration: datetime,
        role_arn: str | None,
        mode: str,
    ) -> None:
        self._access_key_id = access_key_id
        self._secret_access_key = secret_access_key
        self._session_token = session_token
        self._expiration = expiration
        self._role_arn = role_arn
        self._mode = mode

    @property
    def access_key_id(self) -> str:
        """The access key id. Not secret: CloudTrail shows it."""
        return self._access_key_id

    @property
    def secret_access_key(self) -> str:
        """The secret access key. Secret."""
        return self._secret_access_key

    @property
    def session_token(self) -> str:
        """The session token. Secret."""
        return self._session_token

    @property
    def expiration(self) -> datetime:
        """The instant from which AWS refuses them: in UTC, with its time zone."""
        return self._expiration

    @property
    def role_arn(self) -> str | None:
        """The ARN of the role; None for a default role whose name the server did not say."""
        return self._role_arn

    @property
    def mode(self) -> str:
        """Where readers find them: `environment`, `endpoint` or `buckets`; then ` with Spark` when the JVM of a SparkContext holds it."""
        return self._mode

    def __getitem__(self, key: str) -> Any:
        return getattr(self, _KEYS[key])

    def __iter__(self) -> Iterator[str]:
        return iter(_KEYS)

    def __len__(self) -> int:
        return len(_KEYS)

    def __hash__(self) -> int:
        return hash(self._access_key_id)

    def __repr__(self) -> str:
        return (
            f"Credentials(access_key_id={self._access_key_id!r}, secret_access_key=***, session_token=***, "
            f"expiration={self._expiration.isoformat()!r}, role_arn={self._role_arn!r}, mode={self._mode!r})"
        )

    def _repr_html_(self) -> str:
        left = int((self._expiration - datetime.now(timezone.utc)).total_seconds() // 60)
        rows = {
            "role": self._role_arn or "the default role",
            "access key id": self._access_key_id,
            "expiration": f"{utc_text(self._expiration)} ({f'{left} min left' if left >= 0 else 'expired'})",
            "mode": self._mode,
        }
        cells = "".join(f"<tr><th style='text-align: left'>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items())
        return f"<table>{cells}</table>"

    def __copy__(self) -> Credentials:
        return self

    def __deepcopy__(self, memo: object) -> Credentials:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "credentials are not pickled, so that their secrets lie in no closure, cache or file: "
            "call hops.credentials_provider.current() where they are needed"
        )
