"""Temporary AWS credentials for the cloud roles that are mapped to a project.

    from hops.credentials_provider import assume_role, get_role

    assume_role(get_role(1))

Roles and credentials come from the role-mapping server when REST_ENDPOINT is set, else from AWS STS with the base identity of the AWS
chain and the roles of HOPS_CLOUD_ROLES. `assume_role` makes boto3, pandas, TensorFlow, Spark and new processes read with the role, and
keeps its credentials fresh for as long as the process runs. Safe to call from any thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from . import _live, _native, _spark
from ._credentials import Credentials
from ._errors import BadAnswerError, CloudCredentialError, NotConfiguredError, RefusedError, UnavailableError
from ._readers import boto3_session, polars_credential_provider, storage_options
from ._role_mapping import RoleMapping
from ._source import answer_of, request

_Builder = TypeVar("_Builder")

__all__ = [
    "BadAnswerError",
    "CloudCredentialError",
    "Credentials",
    "NotConfiguredError",
    "RefusedError",
    "RoleMapping",
    "UnavailableError",
    "assume_role",
    "boto3_session",
    "configure",
    "current",
    "doctor",
    "explain",
    "get_role",
    "get_role_mappings",
    "get_roles",
    "polars_credential_provider",
    "release",
    "storage_options",
]


def assume_role(
    role_arn: str | None = None,
    role_session_name: str | None = None,
    duration_seconds: int = 3600,
    *,
    refresh: bool = False,
    external_id: str | None = None,
    policy: str | None = None,
    policy_arns: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    source_identity: str | None = None,
) -> Credentials:
    """Assumes a role, makes readers in this process and in new ones use it, and keeps its credentials fresh.

    `role_arn` is the caller's default role when it is None or empty. `role_session_name` is how CloudTrail shows the session: 2 to 64
    letters, digits and characters of `_+=,.@-`; by default it is made of user and project. `duration_seconds` is 900 to 43200, 3600 at
    most when AWS chains roles.

    Without `refresh`, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of this process hold the credentials, and are
    rewritten when these are renewed. Every reader takes them; those that look only once (clients of boto3, s3fs) stop after an hour.
    With `refresh`, readers are led to an endpoint on loopback which they ask again by themselves, and nothing that some reader would
    prefer to it is left in the environment.

    A role-mapping server does not carry `external_id`, `policy`, `policy_arns`, `tags` and `source_identity`; STS does.

    A later call replaces the role. Raises CloudCredentialError when there are no credentials, ValueError for an argument that AWS could
    not accept; then nothing has changed.
    """
    asked = request(
        role_arn=role_arn,
        role_session_name=role_session_name,
        duration_seconds=duration_seconds,
        external_id=external_id,
        policy=policy,
        policy_arns=policy_arns,
        tags=tags,
        source_identity=source_identity,
    )
    return _live.assume(asked, refresh)


def current() -> Credentials | None:
    """The credentials of the role in use as they are now, after any refresh: a snapshot. None when no role is in use."""
    return _live.current()


def release() -> None:
    """Ends the use of the role and puts back what stood in the environment before, where it is still ours.

    Without a role in use it does nothing.
    """
    _live.release()


def get_role(role_id: int | str | None = "default") -> str:
    """The ARN of the role with this id, whether the caller may assume it or not; of the caller's default role without one.

    Raises CloudCredentialError when there is none, or no answer; ValueError when it is no id.
    """
    if role_id in (None, "", "default"):
        number = None
    else:
        try:
            number = int(role_id)
        except (TypeError, ValueError):
            raise ValueError(f'invalid role id: {role_id!r} is neither a number nor "default"') from None
    (mapping,) = answer_of(_native.role_mapping(number))
    return RoleMapping(*mapping).role_arn


def get_roles() -> list[str]:
    """The ARNs of the roles mapped to the project, in the order of their ids, whether the caller may assume them or not.

    Raises CloudCredentialError when there is no answer.
    """
    return [mapping.role_arn for mapping in get_role_mappings()]


def get_role_mappings() -> list[RoleMapping]:
    """The role mappings of the project, in the order of their ids, whether the caller may assume them or not.

    Raises CloudCredentialError when there is no answer.
    """
    return [RoleMapping(*mapping) for mapping in answer_of(_native.role_mappings())]


def configure(builder: _Builder) -> _Builder:
    """Lets the sessions that a `SparkSession.builder` makes have the jar which this wheel brings, and the role in use if there is one.

    What it returns is the builder. Raises NotConfiguredError when this wheel brings no jar.
    """
    return _spark.configure(builder, _live.follow_spark)


def explain(path: str = "") -> str:
    """Says whose credentials a reader finds, and how these fare; with a SparkContext, for a path like `s3a://bucket/key`."""
    return _live.explain(path)


def doctor() -> str:
    """Looks for what keeps roles from being assumed: settings, server, login, clock, base identity. A line for each finding.

    Nothing is changed. Takes up to a minute when something does not answer.
    """
    return _spark.doctor() or str(answer_of(_native.examine())[1])
