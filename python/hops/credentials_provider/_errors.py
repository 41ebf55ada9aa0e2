"""Why there are no credentials: one exception per who can act on it."""

from __future__ import annotations


class CloudCredentialError(Exception):
    """There are no credentials: what was attempted, what came back, and what to do. The message holds no secret.

    What lies below it is its cause. An argument that no service would accept is a ValueError instead.
    """

    #: 380000 (no cloud deployment), 380001 (STS refused), 380002 (role mapped, but not for the caller), 380003 (no such mapping) or
    #: 380004 (mapping exists); else the HTTP status of the answer; else 0.
    code: int

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[CloudCredentialError], tuple[str, int]]:
        return type(self), (str(self), self.code)


class NotConfiguredError(CloudCredentialError):
    """The operator can act: a setting or the base identity is missing, or cannot be used."""


class RefusedError(CloudCredentialError):
    """The administrator can act: the service understood and said no."""


class UnavailableError(CloudCredentialError):
    """Nobody yet: it may work later."""


class BadAnswerError(CloudCredentialError):
    """The operator of the service can act: its answer is not what the contract says."""
