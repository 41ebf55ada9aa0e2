"""Temporary AWS credentials for the roles that are mapped to a project.

    from hops.credentials_provider import assume_role, get_role

    assume_role(get_role(1))

Roles and credentials come from the role-mapping server when REST_ENDPOINT is set, else from AWS STS with the base identity of the AWS
chain and the roles of HOPS_CLOUD_ROLES. `assume_role` makes boto3, pandas, TensorFlow, Spark and new processes read with the role, and
keeps its credentials fresh for as long as the process runs. Every function may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from . import _assume, _handover, _native, _role, _spark
from . import _fork as _fork  # Its hooks keep the role in use in forked children.
from ._credentials import Credentials
from ._errors import BadAnswerError, CloudCredentialError, NotConfiguredError, RefusedError, UnavailableError
from ._readers import boto3_session, polars_credential_provider, storage_options
from ._role_mapping import RoleMapping
from ._source import ask, request

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
    buckets: Sequence[str] | None = None,
) -> Credentials:
    """Assumes a role, makes readers in this process and in new ones use it, and keeps its credentials fresh.

    Without a `role_arn`, or when it is empty, this is the caller's default role. `role_session_name` is how CloudTrail shows the session: 2
    to 64 letters, digits and characters of `_+=,.@-`; by default it consists of user and project. `duration_seconds` is 900 to 43200, and
    at most 3600 when AWS chains roles.

    Without `refresh`, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_CREDENTIAL_EXPIRATION of this process hold the
    credentials, and each renewal rewrites them. Every reader takes them; obstore and deltalake look only once, and stop after an hour.
    With `refresh`, readers find an endpoint on loopback, which they ask again by themselves. In both ways the environment then holds
    nothing that some reader would prefer.

    With `buckets`, names without `s3a://`, Spark alone reads them with this role until `release`, whatever keys a configuration names for
    them. All else stays as it is: the role in use and the environment. Only a SparkContext takes these. After Ctrl-C they may have it too.

    STS takes `external_id`, `policy`, `policy_arns`, `tags` and `source_identity`; a role-mapping server does not.

    A later call replaces the role. Raises CloudCredentialError when there are no credentials, and ValueError for an argument that AWS would
    not accept; in both cases nothing has changed.
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
    if buckets is not None:
        if refresh:
            raise ValueError("invalid arguments: Spark alone reads buckets with a role of their own, and needs no refresh=True")
        if not buckets:
            raise ValueError("invalid buckets: there are none; leave them out for the role of the application")
        return _assume.assume_for_buckets(asked, (buckets,) if isinstance(buckets, str) else tuple(buckets))
    return _assume.assume(asked, refresh)


def current() -> Credentials | None:
    """Returns a snapshot of the newest credentials of the role in use; None when no role is in use.

    Raises RefusedError when the source has said no to the role itself, so that nobody may use its credentials any more.
    """
    return _role.current()


def release() -> None:
    """Ends the use of the role and puts back what the environment held before, except where somebody else has written since.

    Does nothing when no role is in use.
    """
    _assume.release()


def get_role(role_id: int | str | None = "default") -> str:
    """Returns the ARN of the role with this id, whether or not the caller may assume it; without an id, of the caller's default role.

    Raises CloudCredentialError when there is no such role, or no answer; ValueError when `role_id` is not an id.
    """
    if role_id in (None, "", "default"):
        number = None
    else:
        try:
            if isinstance(role_id, bool):
                raise TypeError
            number = int(role_id)
        except (TypeError, ValueError):
            raise ValueError(f'invalid role id: {role_id!r} is neither a number nor "default"') from None
    (mapping,) = ask(_native.role_mapping, number)
    return RoleMapping(*mapping).role_arn


def get_roles() -> list[str]:
    """Returns the ARNs of the roles mapped to the project, in the order of their ids, whether or not the caller may assume them.

    Raises CloudCredentialError when there is no answer.
    """
    return [mapping.role_arn for mapping in get_role_mappings()]


def get_role_mappings() -> list[RoleMapping]:
    """Returns the role mappings of the project, in the order of their ids, whether or not the caller may assume the roles.

    Raises CloudCredentialError when there is no answer.
    """
    return [RoleMapping(*mapping) for mapping in ask(_native.role_mappings)]


def configure(builder: _Builder) -> _Builder:
    """Gives the sessions that a `SparkSession.builder` makes the jar of this wheel, and the role in use if there is one.

    Returns the builder. Raises NotConfiguredError when this wheel has no jar.
    """
    return _spark.configure(builder, _handover.follow_spark)


def explain(path: str = "") -> str:
    """Says whose credentials a reader finds, and how the role in use fares; with Spark, also for a path like `s3a://bucket/key`."""
    return "\n".join(_role.explain() + _spark.explain(path))


def doctor() -> str:
    """Looks for what keeps roles from being assumed: settings, server, login, clock, base identity. Returns a line for each finding.

    Changes nothing. Takes up to a minute when something does not answer.
    """
    return _spark.doctor() or str(ask(_native.examine)[1])
