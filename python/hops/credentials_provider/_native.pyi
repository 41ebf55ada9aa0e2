"""The native half of this package. It decides; Python measures time, waits, and writes the environment.

Durations are in seconds, instants in seconds since 1970. A function that returns a Call reads the settings from the environment before it
returns. Whatever starts a thread raises OSError when the system gives none.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Any

#: The name of a variable and its new value; None to unset it.
Change = tuple[str, str | None]

#: One reading of both clocks: the monotonic one, which stands still while a machine sleeps, and the wall clock, which can be set.
Clocks = tuple[float, float]

#: Access key id, secret access key, session token, the instant at which they expire, the seconds until then by both clocks, and the role.
Values = tuple[str, str, str, float, float, str | None]

class Call:
    """A question to a source, on a thread of its own. The caller waits until `fileno` is readable, then takes the result."""

    def fileno(self) -> int:
        """Returns the descriptor that becomes readable once there is a result."""

    def result(self) -> tuple[Any, list[str]]:
        """Waits for the end of the call; returns its answer and the warnings for the user.

        The answer is what the function that made the call says, or the exception to raise: a CloudCredentialError. May be called once.
        Raises RuntimeError when called again, and after a panic in native code.
        """

class Plan:
    """The writes that a change of the environment takes, each the name of a variable and its new value; None removes it.

    Planned, applied and kept under one lock.
    """

    @property
    def writes(self) -> list[Change]:
        """The writes, in order. Holds secrets."""

    @property
    def undo(self) -> list[Change]:
        """The writes, in order, that undo them when one fails. Holds secrets."""

    @property
    def warnings(self) -> list[str]:
        """What the user should hear, a sentence each."""

    def keep(self) -> None:
        """Notes that the writes have been made. From then on the library knows which values are ours, and what stood there before."""

    def forget(self) -> None:
        """Notes that the writes have been undone: what was kept when they were planned counts again."""

class Endpoint:
    """The container-credentials endpoint on loopback, on a thread of its own. It serves from its making until `close`.

    In a forked child, which has no such thread, nothing but `plan` and the getters does anything.
    """

    def __new__(cls) -> Endpoint:
        """Makes an endpoint with a token of its own, kept in a private file. It hands out nothing before `publish`.

        Raises CloudCredentialError when it can make no socket or file.
        """

    @staticmethod
    def resume(
        url: str,
        token: str,
        token_file: PathLike[str],
        credentials: Values,
    ) -> Endpoint:
        """Serves in place of an endpoint whose process has ended. `url`, `token` and `token_file` are its `resume_arguments`.

        Raises UnavailableError when another process serves there, and ValueError for a `url`
        that is not one of such an endpoint.
        """

    def plan(self) -> Plan:
        """Plans that readers find this endpoint.

        Raises NotConfiguredError when there is something that readers prefer to it and that no variable takes away.
        """

    def resume_arguments(self) -> tuple[str, str, PathLike[str]]:
        """Returns the first arguments of `resume`: the URL, the token (secret), and the path of its file."""

    def publish(self, credentials: Values) -> None:
        """Hands out these credentials from now on."""

    def note(self, error: str) -> None:
        """Keeps the error of a failed refresh. Readers get it once the credentials in use have expired."""

    def withdraw(self, error: str) -> None:
        """Hands out no credentials before the next `publish`, because the source said no to their role. Readers get the error."""

    def restore_token_file(self) -> None:
        """Writes the file of the token again where somebody has removed it, as services that clean up do."""

    def alarm(self) -> int:
        """Returns the descriptor, not blocking, that becomes readable when a reader has asked after the end of the credentials.

        So it does by `ring` and `close`.
        """

    def ring(self) -> None:
        """Wakes who waits for the alarm."""

    def fileno(self) -> int:
        """Returns the descriptor of the listening socket. A forked child closes its copy."""

    def close(self) -> None:
        """Stops listening and removes the file of the token. Idempotent."""

def role_mappings() -> Call:
    """Asks for the role mappings of the project, in the order of their ids.

    The answer is a list of (id, role ARN, project role, whether it is the default).
    """

def role_mapping(id: int | None) -> Call:
    """Asks for the role mapping with this id, from 1; without an id, for the caller's default. The answer is a list of this one mapping.

    Raises ValueError for an id that is negative or does not fit in 32 bits.
    """

def assume_role(
    role: str | None,
    session_name: str | None,
    duration_seconds: int,
    external_id: str | None,
    policy: str | None,
    policy_arns: Sequence[str],
    tags: Sequence[tuple[str, str]],
    source_identity: str | None,
    renews: bool,
) -> Call:
    """Asks for credentials of a role, by its ARN; without one, of the caller's default. Changes nothing in this process.

    Empty text counts as None, and a `duration_seconds` of 0 as 3600. With `renews`, a role-mapping server may answer
    with credentials that have half of their time left. The answer is (access key id, secret access key, session token,
    expiration, role ARN or None, seconds for which they are valid). Raises ValueError for an argument that AWS would not accept.
    """

def refresh_after(valid_for: float, chance: float) -> float:
    """Returns the seconds from a fetch until the next one, for credentials that were valid for `valid_for` seconds when fetched.

    `chance` is a random number from 0 to 1, which spreads the fetches of many processes.
    """

def retry_after(failures: int, left: float, valid_for: float, chance: float) -> float:
    """Returns the seconds until the next try after the `failures`-th failed fetch in a row.

    The credentials in use are valid for `left` more seconds, and were for `valid_for` seconds when fetched. `chance` is as in
    `refresh_after`.
    """

def due(since: Clocks, span: float, now: Clocks) -> float:
    """Returns the seconds until `span` has passed since `since`, by the clock that says so first; 0 when it has."""

def wait(since: Clocks, span: float, now: Clocks) -> float:
    """Returns the seconds after which to look whether it is due: as `due`, but never longer than a machine may sleep unnoticed."""

def left(since: Clocks, valid_for: float, expiration: float, now: Clocks) -> float:
    """Returns the seconds for which credentials are good that were valid for `valid_for` seconds at `since`; 0 once they have ended.

    `expiration` is an instant of the service's clock.
    """

def plan_credentials(credentials: Values) -> Plan:
    """Plans that readers find the credentials themselves."""

def plan_renewal(credentials: Values) -> Plan | None:
    """As `plan_credentials`, for newer credentials of the same role; None when somebody else has written the keys since."""

def plan_release() -> Plan:
    """Plans that variables hold what they held before us, where they still hold what we wrote."""

def values_without_us(mark: str) -> list[Change]:
    """Returns what each variable that we wrote for a role with this mark holds without us: before us, or since it was given back.

    Holds secrets.
    """

def examine() -> Call:
    """Checks everything that can keep this process from its role, and changes nothing.

    The answer is a list of (check, whether it is good, text), and the report that people read.
    """

def explain() -> str:
    """Says whose credentials a reader in this process finds. Raises CloudCredentialError when the AWS profile cannot be read."""

def command_line(arguments: Sequence[str]) -> int:
    """Runs the program `hops-credentials`; `arguments` begin with its name. Returns the exit code."""
