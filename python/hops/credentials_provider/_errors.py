"""The exceptions of this package: one for each kind of error, and the kind says who can act."""

from __future__ import annotations


class CloudCredentialError(Exception):
    """Raised when there are no credentials. The message says what was attempted, what came back, and what to do; it holds no secret.

    `__cause__` is the error below it. The class is the kind of the error, by the same name as in Java. An argument that no service would
    accept is a ValueError instead.
    """

    #: The role-mapping server's code: 380000 (no cloud deployment), 380001 (STS refused), 380002 (role mapped, but not for the caller),
    #: 380003 (no such mapping) or 380004 (mapping exists). Without one, the HTTP status of the answer; without an answer, 0.
    code: int
    #: Whether the source said no to the role itself, so that credentials of it that are held must not be used any more.
    _withdraws = False

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[CloudCredentialError], tuple[str, int]]:
        return type(self), (str(self), self.code)


class NotConfiguredError(CloudCredentialError):
    """The operator can act: a setting or the base identity is missing or unusable."""


class RefusedError(CloudCredentialError):
    """The administrator can act: the service understood and said no."""


class UnavailableError(CloudCredentialError):
    """A service was busy or out of reach: nobody need act, and the same call may succeed later."""


class BadAnswerError(CloudCredentialError):
    """The operator of the service can act: its answer is not what the contract says."""
