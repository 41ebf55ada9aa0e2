"""An AWS on loopback that enforces IAM: S3, STS and IAM by ministack, with users, roles and buckets as code.

Role chaining needs two policies, and the emulator checks both: the policy of the base identity (may it call `sts:AssumeRole` on
the role?) and the trust policy of the role (does it let the base identity in?).
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from rig.process import Program, environment

REGION = "us-east-1"
#: The account of everything that does not name another one.
ACCOUNT = "000000000000"
_SECRET = "root-of-the-emulator"


@dataclasses.dataclass(frozen=True)
class Keys:
    """The access key of a user."""

    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)

    def variables(self) -> dict[str, str]:
        """Returns the variables in which the AWS chain finds the key."""
        return {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}


def role_arn(name: str, account: str = ACCOUNT) -> str:
    """Returns the ARN of a role."""
    return f"arn:aws:iam::{account}:role/{name}"


def allow(**statement: Any) -> dict[str, Any]:
    """Returns a policy statement that allows."""
    return {"Effect": "Allow", **statement}


def reads(bucket: str) -> dict[str, Any]:
    """Returns a statement that allows reading a bucket. S3A also lists, so the statement names the bucket itself."""
    return allow(
        Action=["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"], Resource=[f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    )


def writes(bucket: str) -> dict[str, Any]:
    """Returns a statement that allows writing and deleting objects, large ones too."""
    return allow(Action=["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], Resource=f"arn:aws:s3:::{bucket}/*")


def assumes(*roles: str) -> dict[str, Any]:
    """Returns a statement that allows assuming roles."""
    return allow(Action="sts:AssumeRole", Resource=list(roles))


def trusts(principal: str) -> dict[str, Any]:
    """Returns a trust-policy statement for a principal of AWS."""
    return allow(Principal={"AWS": principal}, Action="sts:AssumeRole")


def document(*statements: Mapping[str, Any]) -> str:
    """Returns a policy document that consists of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclasses.dataclass(frozen=True)
class Aws:
    """A running emulator."""

    endpoint: str

    def client(self, service: str, account: str = ACCOUNT) -> Any:
        """Returns a boto3 client with the rights of the root user of an account."""
        return self.client_of(Keys(account, _SECRET), service)

    def client_of(self, keys: Keys, service: str) -> Any:
        """Returns a boto3 client of a user."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
        )

    def bucket(self, name: str, objects: Mapping[str, str], account: str = ACCOUNT) -> None:
        """Makes a bucket with these objects."""
        s3 = self.client("s3", account)
        s3.create_bucket(Bucket=name)
        for key, text in objects.items():
            s3.put_object(Bucket=name, Key=key, Body=text.encode())

    def role(self, name: str, trust: Mapping[str, Any], *statements: Mapping[str, Any], account: str = ACCOUNT) -> str:
        """Makes a role with this trust policy and the permissions of the statements. Returns its ARN."""
        iam = self.client("iam", account)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="permissions", PolicyDocument=document(*statements))
        return role_arn(name, account)

    def user(self, name: str, *statements: Mapping[str, Any], account: str = ACCOUNT) -> Keys:
        """Makes a user with the permissions of the statements. Returns its access key."""
        iam = self.client("iam", account)
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="permissions", PolicyDocument=document(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Keys(key["AccessKeyId"], key["SecretAccessKey"])


@contextmanager
def emulator(directory: Path) -> Iterator[Aws]:
    """Runs an empty AWS for the length of the `with` block."""
    variables = environment(
        directory / "home",
        AUTH="true",
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT="0",
        AWS_ACCESS_KEY_ID="root",
        AWS_SECRET_ACCESS_KEY=_SECRET,
    )
    with Program([sys.executable, "-m", "ministack"], directory / "aws.log", variables, directory) as program:
        yield Aws(program.await_line(r"Running on (http://[\d.:]+)")[1])


@dataclasses.dataclass(frozen=True)
class Cloud:
    """The cloud of the demo and of most tests: an instance role that may assume some resource roles and not others."""

    aws: Aws
    #: Stands for the EC2 service, which may assume the instance role. Its keys never leave the metadata stand-in.
    ec2: Keys
    instance_role: str
    #: Reads bucket `resource`.
    resource_reader: str
    #: Reads bucket `other`.
    other_reader: str
    #: Has a trust policy that does not let the instance role in, which may assume it otherwise.
    untrusting: str


@contextmanager
def cloud(directory: Path) -> Iterator[Cloud]:
    """Runs an emulator that holds this cloud."""
    with emulator(directory) as aws:
        aws.bucket("resource", {"test.csv": "1,one\n2,two\n3,three\n"})
        aws.bucket("other", {"test.csv": "4,four\n"})
        ec2 = aws.user("ec2-service", assumes(role_arn("instance-role")))
        resource_roles = [role_arn(name) for name in ("resource-reader", "other-reader", "untrusting")]
        instance_role = aws.role("instance-role", trusts(f"arn:aws:iam::{ACCOUNT}:user/ec2-service"), assumes(*resource_roles))
        yield Cloud(
            aws,
            ec2,
            instance_role,
            aws.role("resource-reader", trusts(instance_role), reads("resource")),
            aws.role("other-reader", trusts(instance_role), reads("other")),
            aws.role("untrusting", trusts(f"arn:aws:iam::{ACCOUNT}:user/nobody"), reads("resource")),
        )
