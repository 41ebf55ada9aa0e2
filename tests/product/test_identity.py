"""Nobody but the role signs, though strangers that may read everything lie wherever Hadoop and the AWS SDK look for identities."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig.aws import ACCOUNT, REGION, Keys, assumes, reads, role_arn, trusts
from rig.canary import leaks
from rig.deployment import Deployment
from rig.metadata import metadata
from rig.spark import LINES, Line, Spark, reports
from tests.product.combinations import BOTH_SDKS, CLUSTER, on_line
from tests.programs import compiled

_EVERYTHING = (reads("resource"), reads("other"))
#: The provider for the environment, by line of the AWS SDK.
_OF_ENVIRONMENT = {
    "v1": "com.amazonaws.auth.EnvironmentVariableCredentialsProvider",
    "v2": "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider",
}


def providers(line: Line) -> list[str]:
    """Lists a provider for each place at which a stranger lies."""
    return [
        "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        _OF_ENVIRONMENT[line.sdk],
        "org.apache.hadoop.fs.s3a.auth.IAMInstanceCredentialsProvider",
    ]


@dataclasses.dataclass(frozen=True)
class Strangers:
    """Identities that may read everything, and where they lie."""

    configured: Keys
    inherited: Keys
    #: The endpoint of the metadata of a node with an instance profile.
    node: str


@pytest.fixture(scope="module")
def strangers(site: Deployment) -> Iterator[Strangers]:
    """Makes one stranger for the configuration, one for the environment, and one on the node."""
    aws = site.cloud.aws
    aws.client("s3").put_object(Bucket="resource", Key="control.csv", Body=b"strangers read this")
    ec2 = aws.user("ec2-of-nodes", assumes(role_arn("node")))
    role = aws.role("node", trusts(f"arn:aws:iam::{ACCOUNT}:user/ec2-of-nodes"), *_EVERYTHING)
    with metadata(aws, ec2, role) as endpoint:
        yield Strangers(aws.user("configured", *_EVERYTHING), aws.user("inherited", *_EVERYTHING), endpoint)


def in_configuration(keys: Keys, line: Line) -> dict[str, str]:
    """Returns static keys, and a chain of the user's own that takes them, those of the environment and those of the node."""
    return {
        "spark.hadoop.fs.s3a.access.key": keys.access_key_id,
        "spark.hadoop.fs.s3a.secret.key": keys.secret_access_key,
        "spark.hadoop.fs.s3a.aws.credentials.provider": ",".join(providers(line)),
    }


@on_line(*BOTH_SDKS, lines=LINES)
def test_no_stranger_signs_a_request_once_a_role_is_assumed(
    line: Line, strangers: Strangers, site: Deployment, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("spark", f"{line.spark} / {line.hadoop} {CLUSTER}")
    record_property("class path", "system/user")
    asked = len(site.s3.exchanges)
    variables = {
        **site.variables(site.scientist),
        **strangers.inherited.variables(),
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": strangers.node,
        "AWS_REGION": REGION,
    }
    spark = Spark(line, 17, site.s3.endpoint, tmp_path, CLUSTER, confs=in_configuration(strangers.configured, line))
    done = spark.submit(compiled(line), "Strangers", variables, site.cloud.resource_reader, *providers(line))
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)

    # Makes sure that each stranger can read when somebody asks it to.
    assert found["strangers"] == ["5 bytes"] * 3, found
    asked_by_strangers = [exchange for exchange in site.s3.exchanges[asked:] if "control.csv" in exchange.path]
    assert len({exchange.access_key_id for exchange in asked_by_strangers}) == 3

    reads_of_role = found["reads"]
    assert isinstance(reads_of_role, list)
    assert reads_of_role[0] == "3 rows"
    assert reads_of_role[1].startswith("java.nio.file.AccessDeniedException: s3a://other/test.csv: ")
    [missed], [later] = texts(found["missed"]), texts(found["later"])
    assert (
        "the credentials for bucket resource have not reached this executor within 10 s: it has none, the job needs generation 1;" in missed
    )
    assert "it has those of generation 1, the job needs generation 2;" in later
    for place in ("torn on the driver", "torn"):
        provider, generation, role, impl = texts(found[place])
        begin = "java.io.IOException: the Hadoop configuration was damaged in transit: fs.s3a."
        assert provider == f"{begin}aws.credentials.provider is missing beside the application's role; run the job again"
        assert generation == f"{begin}hops.generation is missing; run the job again"
        # Reads all the same: what is left of these still names our provider alone.
        assert [role, impl] == ["5 bytes"] * 2

    assert found["defined twice"] is True
    begun = texts(found["begun"])
    assert begun[0] == "stock"
    assert begun[-1] == "ours"
    assert set(begun) == {"stock", "ours"}, begun
    assert set(texts(found["begun beside"])) == {"ours"}, found
    assert set(texts(found["ended"])) <= {"stock", "ours", "refused"}, found
    # Nothing is done while nothing changes; then one thread opens the bucket, beside the foreign client; and what nobody holds is closed.
    assert found["reopened"] == [True, "HopsS3AFileSystem", 2, True, 2]

    # The server may give again what STS gave it for an earlier test.
    session = "".join(exchange.body for exchange in site.sts.exchanges)
    others = [exchange for exchange in site.s3.exchanges[asked:] if "control.csv" not in exchange.path]
    assert len(others) > 5
    assert len({exchange.access_key_id for exchange in others}) == 1
    assert f"<AccessKeyId>{others[0].access_key_id}</AccessKeyId>" in session
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []


def texts(found: object) -> list[str]:
    """Checks that a program reported a list, and returns it."""
    assert isinstance(found, list)
    return found
