"""The product in use: an instance with an instance profile, the role-mapping server on it, one project with two members.

Recorders between the parts keep what the server and the instance ask of STS, and what Spark asks of S3.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rig.aws import REGION, Aws, Cloud, cloud
from rig.http import Recorder, recording
from rig.metadata import metadata
from rig.process import Program
from rig.server import RoleServer

PROJECT = "demo"


@dataclasses.dataclass(frozen=True)
class Deployment:
    """A running deployment."""

    cloud: Cloud
    sts: Recorder
    s3: Recorder
    #: The endpoint of the instance's metadata.
    instance: str
    server: RoleServer
    #: The REST endpoint of the server.
    endpoint: str
    #: The server's process.
    program: Program
    project: str
    #: The API key of the data scientist, whose mapping leads to the role that reads bucket `resource`.
    scientist: str = dataclasses.field(repr=False)
    #: The API key of the data owner, whose mapping leads to the role that reads bucket `other`.
    owner: str = dataclasses.field(repr=False)

    def variables(self, key: str) -> dict[str, str]:
        """Returns what a job of a member finds in its environment."""
        return {"REST_ENDPOINT": self.endpoint, "HOPSWORKS_PROJECT_ID": self.project, "API_KEY": key}

    def granted(self) -> int:
        """Returns how many requests for credentials the server has granted. STS was asked less often: what it gives is given again."""
        with urllib.request.urlopen(f"{self.endpoint}/metrics", timeout=10) as answer:
            found = re.search(r'session_tokens_total\{outcome="granted"\} (\d+)', answer.read().decode())
        return int(found[1]) if found else 0

    def secrets(self) -> list[str]:
        """Lists every API key, secret access key and session token issued so far."""
        issued = [exchange.body for exchange in self.sts.exchanges]
        return [self.scientist, self.owner, *re.findall(r"<(?:SecretAccessKey|SessionToken)>([^<]+)<", "".join(issued))]


@contextmanager
def deployment(directory: Path) -> Iterator[Deployment]:
    """Runs a deployment for the length of the `with` block, with all its files in `directory`."""
    with (
        cloud(directory) as aws,
        recording(aws.aws.endpoint) as sts,
        recording(aws.aws.endpoint) as s3,
        metadata(Aws(sts.endpoint), aws.ec2, aws.instance_role) as instance,
    ):
        server = RoleServer(
            directory / "server",
            {
                "AWS_EC2_METADATA_DISABLED": "false",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": instance,
                "AWS_ENDPOINT_URL_STS": sts.endpoint,
                "AWS_REGION": REGION,
            },
        )
        project = server.command("project", "add", PROJECT)
        scientist = server.member(project, "ada@example.com", "data-scientist")
        owner = server.member(project, "grace@example.com", "data-owner")
        server.command("mapping", "add", project, "data-scientist", aws.resource_reader, "--default")
        server.command("mapping", "add", project, "data-owner", aws.other_reader, "--default")
        with server.serve() as (endpoint, program):
            yield Deployment(aws, sts, s3, instance, server, endpoint, program, project, scientist, owner)
