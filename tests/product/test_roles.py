"""Roles that change while an application runs on real Spark: role switch, several roles at once, release, calls in tasks.

The recorder before S3 shows who signed each request, so a request of anybody else is seen.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from rig.aws import Keys, reads
from rig.canary import leaks
from rig.spark import LINES, SPARK_3_5, SPARK_4_1, SPARK_4_3, Line, Spark, reports
from rig.stage import Stage
from tests.product.combinations import CLUSTER, LOCAL, on, on_line
from tests.programs import compiled

DENIED = "java.nio.file.AccessDeniedException: s3a://"


@dataclasses.dataclass(frozen=True)
class Run:
    """The report of a program, who signed at S3 meanwhile, and how often STS was asked for a resource role."""

    found: dict[str, object]
    #: Access key ids, each once for requests that follow each other.
    signers: list[str | None]
    fetches: int
    logged: str


def run(
    stage: Stage,
    line: Line,
    master: str,
    directory: Path,
    *arguments: str,
    confs: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Run:
    """Runs the program to its end."""
    site = stage.site
    spark = Spark(line, 17, site.s3.endpoint, directory, master, confs=confs or {})
    asked, granted = len(site.s3.exchanges), site.granted()
    done = spark.submit(compiled(line), "Roles", {**site.variables(site.scientist), **(variables or {})}, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert leaks(site.secrets(), directory, done.stdout, done.stderr) == []
    signers = [signer for signer, _ in itertools.groupby(exchange.access_key_id for exchange in site.s3.exchanges[asked:])]
    return Run(reports(done.stdout), signers, site.granted() - granted, done.stderr)


def outcome(reads: object) -> list[str]:
    """Shows for each bucket what was read, `denied`, or the reason why nothing was."""
    assert isinstance(reads, list)
    return [text if text.endswith(" rows") else "denied" if text.startswith(DENIED) else text for text in reads]


def texts(found: object) -> list[str]:
    """Checks that a program reported a list, and returns it."""
    assert isinstance(found, list)
    return found


#: Both lines of the AWS SDK and both masters, in half of the runs.
EITHER = on((SPARK_4_1, LOCAL), (SPARK_3_5, CLUSTER))
#: Leaves an executor one core beside a job.
TWO_CORES = "local-cluster[1,2,1024]"


# Every line and both masters, and executors with each line of the AWS SDK.
@on((SPARK_3_5, CLUSTER), (SPARK_4_3, CLUSTER), lines=LINES)
def test_a_role_switch_holds_for_the_next_request_in_every_jvm(line: Line, master: str, stage: Stage, tmp_path: Path) -> None:
    ran = run(stage, line, master, tmp_path, "switch", stage.resource, stage.other, str(tmp_path))
    assert outcome(ran.found["first"]) == ["3 rows", "denied"], ran.found
    assert outcome(ran.found["second"]) == ["denied", "1 rows"], ran.found
    assert outcome(ran.found["again"]) == ["3 rows", "denied"], ran.found
    come, asked = texts(ran.found["stream"])
    if line.hadoop == SPARK_4_3.hadoop:
        # This S3A reads ahead beside the program: as the first role what it asked for in time, as the second one the rest. It closes a
        # stream that has failed.
        assert come == "19" or f"assumed-role/{stage.other.partition('/')[2]}/" in come
    else:
        # What is on its way comes as the first role. What S3A asks for afterwards it asks for as the second one.
        assert come == "19"
        assert outcome([asked]) == ["denied"]
    assert str(ran.found["provider"]).startswith("org.apache.hadoop.fs.s3a.HopsBridge1V")
    assert ran.found["loaders"] == ["MutableURLClassLoader", "AppClassLoader"]
    assert len(ran.signers) == ran.fetches == 3


@EITHER
def test_a_bucket_opened_as_somebody_else_is_read_as_the_role_from_then_on(line: Line, master: str, stage: Stage, tmp_path: Path) -> None:
    ran = run(stage, line, master, tmp_path, "opened", stage.resource, confs=stage.read_as_stranger())
    assert ran.found["before"] == ["3 rows", "1 rows"]
    assert outcome(ran.found["first"]) == ["3 rows", "denied"], ran.found
    assert len(ran.signers) == 2
    assert ran.signers[0] == stage.stranger.access_key_id


@on_line(SPARK_3_5)
def test_a_context_that_a_role_did_not_reach_gets_it_at_the_next_call(line: Line, stage: Stage, tmp_path: Path) -> None:
    ran = run(stage, line, CLUSTER, tmp_path, "not reached", stage.resource, stage.other, confs=stage.read_as_stranger_alone())
    before = [str(read) for read in cast("list[str]", ran.found["before"])]
    remedy = "copy it again after assumeRole, since nothing leads OwnFileSystem to the role"
    assert len(before) == 2
    assert all(read.endswith(f"was about to be opened with a configuration from before its role; {remedy}") for read in before), before
    for attempt in ("refused", "refused another"):
        assert str(ran.found[attempt]).startswith("fs.s3a.impl is OwnFileSystem, and S3A on the executors cannot see"), ran.found
    for moment in ("mode refused", "mode refused again"):
        assert str(ran.found[moment]).startswith("mode=pending"), ran.found
    assert ran.found["mode"] == "mode=live"
    assert outcome(ran.found["reached"]) == ["3 rows", "denied"], ran.found


@on((SPARK_4_1, LOCAL), (SPARK_3_5, TWO_CORES), masters=[LOCAL, TWO_CORES])
def test_a_job_in_flight_when_a_role_is_assumed_opens_buckets_as_the_role(line: Line, master: str, stage: Stage, tmp_path: Path) -> None:
    ran = run(stage, line, master, tmp_path, "under way", stage.resource, str(tmp_path / "go"), confs=stage.read_as_stranger())
    assert ran.found["under way"] is False
    assert outcome(ran.found["first"]) == ["3 rows", "denied", "file rows", "denied"], ran.found


@EITHER
def test_a_role_for_a_bucket_is_the_role_of_that_bucket_alone(line: Line, master: str, stage: Stage, tmp_path: Path) -> None:
    ran = run(stage, line, master, tmp_path, "buckets", stage.resource, stage.other)
    # Expects a denial without a request: S3A has nobody to sign as, and the list of signers shows none.
    assert outcome(ran.found["one"]) == ["3 rows", "denied"], ran.found
    assert outcome(ran.found["two"]) == ["3 rows", "1 rows"], ran.found
    assert ran.found["getenv"] is None
    assert ran.found["application"] is None
    assert ran.found["provider"] is False
    assert ran.signers == ran.found["signers"]


@on((SPARK_3_5, LOCAL), (SPARK_4_1, CLUSTER))
def test_after_release_everything_is_as_before_and_an_open_bucket_refuses(line: Line, master: str, stage: Stage, tmp_path: Path) -> None:
    ran = run(stage, line, master, tmp_path, "release", stage.resource)
    assert outcome(ran.found["assumed"]) == ["3 rows", "denied"], ran.found
    assert ran.found["restored"] is True
    assert ran.found["getenv"] is None
    assert ran.found["current"] is None
    assert "no role is in use for bucket resource (role released)" in str(ran.found["held"])
    come, asked = texts(ran.found["stream"])
    assert come == "19"
    assert "no role is in use for bucket resource (role released)" in asked
    assert "rows" not in str(ran.found["released"])
    assert len(ran.signers) == 1


@on_line(SPARK_4_1)
def test_tasks_see_the_current_credentials_and_assume_nothing(line: Line, stage: Stage, tmp_path: Path) -> None:
    ran = run(stage, line, CLUSTER, tmp_path, "executors", stage.resource, confs={"spark.hops.credentials.static-keys": "false"})
    assert outcome(ran.found["reads"]) == ["3 rows", "denied"], ran.found
    assert ran.found["current"] is True
    explained = ran.found["explained"]
    assert isinstance(explained, list)
    assert explained[:4] == [
        "s3a://resource/test.csv is read with the application's role",
        f"role: {stage.resource}",
        "source: the driver",
        "mode=live",
    ]
    assert ran.found["calls"] == [
        "roles are assumed, listed and released on the driver, and this is an executor; call it on the driver, outside of map,"
        " foreach and UDFs"
    ]
    assert ran.found["static keys"] == 0, "a renewal wrote keys that the setting leaves out"


@pytest.fixture(scope="module")
def own(stage: Stage) -> Keys:
    """Makes an identity of the user's own that reads three buckets, and an object for each read."""
    aws = stage.site.cloud.aws
    aws.bucket("third", {"session": "1", "option": "1", "after-session": "1"})
    aws.bucket("fourth", {"session-for-bucket": "1", "after-session": "1"})
    for path in (
        "resource/keys",
        "resource/session",
        "resource/get",
        "resource/instance",
        "other/provider",
        "other/role-of-bucket",
        "other/released",
    ):
        bucket, _, key = path.partition("/")
        aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b"1")
    return aws.user("of-the-user", reads("resource"), reads("other"), reads("third"), reads("fourth"))


@EITHER
def test_the_users_own_word_for_a_bucket_or_a_session_counts_as_the_guide_says(
    line: Line, master: str, stage: Stage, own: Keys, tmp_path: Path
) -> None:
    keys = {"access.key": own.access_key_id, "secret.key": own.secret_access_key}
    provider = {"aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"}
    confs = {f"spark.hadoop.fs.s3a.bucket.{bucket}.{key}": value for bucket in ("resource", "other") for key, value in keys.items()}
    confs |= {f"spark.hadoop.fs.s3a.bucket.other.{key}": value for key, value in provider.items()}
    asked = len(stage.site.s3.exchanges)
    variables = {"STRANGER": own.access_key_id, "STRANGERS_SECRET": own.secret_access_key}
    ran = run(stage, line, master, tmp_path, "overrides", stage.resource, stage.other, confs=confs, variables=variables)
    role, of_bucket = texts(ran.found["keys"])
    names = {own.access_key_id: "user", role: "role", of_bucket: "role of bucket"}
    signers: dict[str, set[str]] = {}
    for exchange in stage.site.s3.exchanges[asked:]:
        signers.setdefault(exchange.path.partition("?")[0].strip("/"), set()).add(names[str(exchange.access_key_id)])
    shown = {path: (sorted(signers.get(path, [])), outcome([read])[0]) for path, read in ran.found.items() if "/" in path}
    # The session names its own provider, and the bucket has the same user's keys: it is the user whoever opens it.
    assert signers.pop("resource/session") == {"user"}
    assert shown.pop("resource/session")[1] == "read"
    assert shown == {
        "resource/keys": (["user"], "read"),
        "other/provider": (["user"], "read"),
        "third/session": (["user"], "read"),
        "third/option": (["user"], "read"),
        "third/after-session": (["role"], "denied"),
        # Hadoop gives what is open to everybody.
        "resource/get": (["user"], "read"),
        "resource/instance": (["user"], "read"),
        # Nothing tells a session's provider for a bucket from the application's.
        "fourth/session-for-bucket": (["user"], "read"),
        "fourth/after-session": (["user"], "read"),
        "other/role-of-bucket": (["role of bucket"], "read"),
        "other/released": (["user"], "read"),
    }
    assert f"bucket resource is read with its own keys (fs.s3a.bucket.resource.access.key is {own.access_key_id})" in ran.logged
    simple = provider["aws.credentials.provider"]
    assert f"bucket third is not read with its role, but with {simple}, which a session or a read names" in ran.logged
    assert f"bucket other is read with {simple}, not with the application's role" in ran.logged
