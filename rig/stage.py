"""A deployment in which one member may assume several roles, and a stranger may read two of the buckets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rig.aws import Keys, assumes, document, reads, trusts, writes
from rig.deployment import Deployment, deployment


@dataclasses.dataclass(frozen=True)
class Stage:
    """A running deployment of this kind."""

    site: Deployment
    #: Reads bucket `resource`.
    resource: str
    #: Reads bucket `other`.
    other: str
    #: Reads and writes bucket `lake`.
    lake: str
    #: May read the buckets `resource` and `other`.
    stranger: Keys

    def read_as_stranger(self) -> dict[str, str]:
        """Returns the configuration with which a Spark application reads as the stranger."""
        return {
            "spark.hadoop.fs.s3a.access.key": self.stranger.access_key_id,
            "spark.hadoop.fs.s3a.secret.key": self.stranger.secret_access_key,
        }

    def read_as_stranger_alone(self) -> dict[str, str]:
        """Returns the same for an application with a session token in its environment, beside which the two keys are not valid."""
        provider = "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
        return {**self.read_as_stranger(), "spark.hadoop.fs.s3a.aws.credentials.provider": provider}


@contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    """Runs a stage for the length of the `with` block, with all its files in `directory`."""
    with deployment(directory) as site:
        aws = site.cloud.aws
        aws.bucket("lake", {"in/test.csv": "1,one\n2,two\n"})
        other = aws.role("second", trusts(site.cloud.instance_role), reads("other"))
        lake = aws.role("lake-writer", trusts(site.cloud.instance_role), reads("lake"), writes("lake"))
        aws.client("iam").put_role_policy(RoleName="instance-role", PolicyName="more", PolicyDocument=document(assumes(other, lake)))
        for role in (other, lake):
            site.server.command("mapping", "add", site.project, "data-scientist", role)
        stranger = aws.user("stranger", reads("resource"), reads("other"))
        yield Stage(site, site.cloud.resource_reader, other, lake, stranger)
