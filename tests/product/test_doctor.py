"""`doctor()` names what is wrong and what to do. Doing exactly that leaves the next run without a problem."""

from __future__ import annotations

import json
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rig.aws import ACCOUNT, REGION, allow, assumes, document, trusts
from rig.canary import leaks
from rig.deployment import Deployment
from rig.http import Answering, recording, serving
from rig.spark import SPARK_3_5, SPARK_4_1, Line, Place, Spark, product_jar, reports
from rig.stage import Stage
from tests.product.combinations import BOTH_SDKS, LOCAL, on_line
from tests.programs import compiled, plain

GREEN = "no problem found"
CHANNELLESS = "spark-channelless"


def with_s3a(line: Line) -> str:
    """Returns the class path of Spark and S3A."""
    return f"{line.home}/jars/*:{line.s3a}"


class Visit:
    """The doctor's report at each step, and whether the role could be assumed then."""

    def __init__(self, found: Mapping[str, object]) -> None:
        self._found = found

    def lines(self, step: int) -> list[str]:
        """Returns every line of the doctor's report."""
        lines = self._found[f"doctor {step}"]
        assert isinstance(lines, list)
        return lines

    def problems(self, step: int) -> list[str]:
        """Lists the problems of a step. A green step ends with the line that says so, and the role can be assumed in it."""
        lines = self.lines(step)
        problems = [line.removeprefix("PROBLEM ") for line in lines if line.startswith("PROBLEM")]
        assert (lines[-1] == GREEN) == (problems == [])
        if not problems:
            assert self._found[f"assumed {step}"] == "yes", self._found
        return problems


def visit(
    site: Deployment,
    directory: Path,
    *steps: str,
    variables: Mapping[str, str] | None = None,
    class_path: str = "",
    options: tuple[str, ...] = (),
    line: Line = SPARK_3_5,
) -> Visit:
    """Runs the doctor once for each step, in one JVM."""
    given = site.variables(site.scientist) if variables is None else variables
    done = plain(directory, given, *steps, class_path=class_path, options=options, main="Doctor", line=line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert leaks(site.secrets(), directory, done.stdout, done.stderr) == []
    return Visit(reports(done.stdout))


@contextmanager
def switched_off() -> Iterator[str]:
    """Runs a Hopsworks without cloud roles. Yields its endpoint."""

    class Community(Answering):
        def do_GET(self) -> None:
            self.answer(405, b'{"errorCode": 380000, "errorMsg": "This method is only supported in a cloud deployment"}')

    with serving(Community) as endpoint:
        yield endpoint


@contextmanager
def late(upstream: str) -> Iterator[str]:
    """Runs a proxy that sets the clock of a server back by an hour. Yields its endpoint."""

    class Proxy(Answering):
        def do_GET(self) -> None:
            request = urllib.request.Request(upstream + self.path, headers=dict(self.headers))
            with urllib.request.urlopen(request) as answer:
                self.answer(200, answer.read())

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(time.time() - 3600)

    with serving(Proxy) as endpoint:
        yield endpoint


def test_what_is_wrong_between_job_and_server_is_named_with_its_remedy(site: Deployment, tmp_path: Path) -> None:
    here, nowhere = "hopsworks.restendpoint", "check hopsworks.restendpoint / REST_ENDPOINT, the network and the proxy settings"
    with recording(site.endpoint) as gone:
        pass
    with switched_off() as disabled, late(site.endpoint) as behind:
        found = visit(
            site,
            tmp_path,
            f"{here}={gone.endpoint}",
            f"{here}={site.endpoint}",
            f"{here}={disabled}",
            f"{here}={site.endpoint};hopsworks.projectid=4711",
            f"hopsworks.projectid={site.project};hopsworks.apikey=mistyped",
            f"hopsworks.apikey={site.scientist};{here}={behind}",
            f"{here}={site.endpoint}",
            variables={"HOPSWORKS_PROJECT_ID": site.project, "API_KEY": site.scientist},
        )
    [endpoint] = found.problems(0)
    assert endpoint.startswith("endpoint: listing the role mappings") and endpoint.endswith(nowhere)
    assert found.problems(1) == []
    [feature] = found.problems(2)
    assert feature.startswith("feature: ") and feature.endswith(
        "cloud roles are switched off there: ask its administrator to enable them, or use a role-mapping server"
    )
    [project] = found.problems(3)
    assert project.startswith("project: ") and project.endswith(
        "check hopsworks.projectid / HOPSWORKS_PROJECT_ID: only members of a project may ask"
    )
    [login] = found.problems(4)
    assert login.startswith("login: ") and "hopsworks.apikey / API_KEY" in login
    [clock] = found.problems(5)
    assert clock.startswith("clock: clocks differ: here it is ") and clock.endswith("; set the one that is wrong")
    assert found.problems(6) == []
    nothing = "ok      bypass: this job reaches no base identity where it could be looked for; not checked: "
    assert any(line.startswith(nothing) for line in found.lines(6))


def test_a_job_that_reaches_a_base_identity_with_the_rights_of_the_roles_is_told_so(site: Deployment, tmp_path: Path) -> None:
    aws = site.cloud.aws
    keys = aws.user("careless", assumes(site.cloud.resource_reader))
    trusted = [site.cloud.instance_role, f"arn:aws:iam::{ACCOUNT}:user/careless"]
    policy = document(allow(Principal={"AWS": trusted}, Action="sts:AssumeRole"))
    aws.client("iam").update_assume_role_policy(RoleName="resource-reader", PolicyDocument=policy)
    try:
        sts = {"AWS_ENDPOINT_URL_STS": aws.endpoint}
        [in_environment] = visit(site, tmp_path, "", variables={**site.variables(site.scientist), **sts, **keys.variables()}).problems(0)
        on_node = {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": site.instance, "AWS_REGION": REGION}
        [at_metadata] = visit(site, tmp_path, "", variables={**site.variables(site.scientist), **sts, **on_node}).problems(0)
        # Follows both remedies to the letter: no AWS_* in the environment, nothing at the metadata address.
        assert visit(site, tmp_path, "", variables={**site.variables(site.scientist), **sts}).problems(0) == []
    finally:
        original = document(trusts(site.cloud.instance_role))
        aws.client("iam").update_assume_role_policy(RoleName="resource-reader", PolicyDocument=original)
    assert in_environment == (
        f"bypass: this job can bypass its role mappings: it reaches arn:aws:iam::{ACCOUNT}:user/careless (environment), which may itself "
        f"assume {site.cloud.resource_reader}; remove AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN from the environment "
        "of jobs"
    )
    assert "this job can bypass its role mappings: it reaches arn:aws:sts::" in at_metadata
    assert at_metadata.endswith(
        "keep the instance profile on the server's machine only, or set the metadata hop limit to 1 and block 169.254.169.254 for jobs"
    )


def test_a_direct_job_without_a_base_identity_is_told_where_to_get_one(site: Deployment, tmp_path: Path) -> None:
    aws = site.cloud.aws
    keys = aws.user("direct-job", assumes(f"arn:aws:iam::{ACCOUNT}:role/of-direct-job"))
    role = aws.role("of-direct-job", trusts(f"arn:aws:iam::{ACCOUNT}:user/direct-job"))
    direct = {"HOPS_CLOUD_ROLES": role, "AWS_ENDPOINT_URL_STS": aws.endpoint, "AWS_REGION": REGION}
    [problem] = visit(site, tmp_path, "", variables=direct).problems(0)
    assert problem.startswith("base identity: no base identity to call STS with: AWS_ACCESS_KEY_ID is not set, ")
    assert "; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE" in problem
    green = visit(site, tmp_path, "", variables={**direct, **keys.variables()})
    assert green.problems(0) == []
    assert f"ok      roles: {role} can be assumed" in green.lines(0)


@on_line(*BOTH_SDKS)
def test_a_host_name_without_an_address_is_named_where_spark_would_fail(line: Line, site: Deployment, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    options = (f"-Djdk.net.hosts.file={hosts}", "-Dsun.net.inetaddr.negative.ttl=0")
    found = visit(site, tmp_path, "", f"{hosts}=127.0.0.1 {socket.gethostname()}", class_path=with_s3a(line), options=options, line=line)
    assert found.problems(0) == [
        "host name: with AWS_* in the environment Spark would fail: this machine's host name has no address; add it to /etc/hosts"
    ]
    assert found.problems(1) == []
    assert f"ok      SDK line: S3A takes org.apache.hadoop.fs.s3a.HopsBridge1{line.sdk.upper()}" in found.lines(1)
    assert "ok      class loader: our provider is beside S3A, in AppClassLoader" in found.lines(1)


@on_line(*BOTH_SDKS)
def test_spark_without_s3a_is_told_which_jars_are_missing(line: Line, site: Deployment, tmp_path: Path) -> None:
    found = visit(site, tmp_path, "", class_path=f"{line.home}/jars/*", line=line)
    assert found.problems(0) == [
        "SDK line: S3A or its AWS SDK is not on the class path (org/apache/hadoop/fs/s3a/S3AFileSystem is missing); put hadoop-aws in the "
        f"version of this Hadoop, {line.hadoop}, and the AWS SDK that it was built with on spark.driver.extraClassPath and "
        "spark.executor.extraClassPath"
    ]
    assert visit(site, tmp_path, "", class_path=with_s3a(line), line=line).problems(0) == []


_POLICY = """\
grant {
  permission java.lang.RuntimePermission "*";
  permission java.io.FilePermission "<<ALL FILES>>", "read,write,delete,execute";
  permission java.util.PropertyPermission "*", "read,write";
  permission java.net.SocketPermission "*", "connect,resolve";
  permission java.net.NetPermission "*";
  permission java.util.logging.LoggingPermission "control";
};
"""


@on_line(*BOTH_SDKS)
def test_a_class_loader_that_takes_no_class_needs_the_jar_beside_s3a(line: Line, site: Deployment, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.write_text(_POLICY)
    options = ("-Djava.security.manager", f"-Djava.security.policy=={policy}")
    jars = f"{compiled(line)}:{product_jar()}"
    variables = site.variables(site.scientist)

    def ask(product: str) -> Visit:
        path = with_s3a(line)
        done = plain(tmp_path, variables, jars, "Doctor", "", class_path=path, options=options, main="Apart", product=product, line=line)
        assert done.returncode == 0, done.stdout + done.stderr
        return Visit(reports(done.stdout))

    [problem] = ask("").problems(0)
    assert problem.startswith("class loader: the class loader of S3A, AppClassLoader, takes no class from us (")
    assert problem.endswith("); put the jar of hops-credentials beside hadoop-aws")
    assert ask(str(product_jar())).problems(0) == []


@on_line(SPARK_4_1)
def test_a_jar_that_came_after_the_context_is_found_by_its_configuration(line: Line, stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    confs = {"spark.driver.extraJavaOptions": "-Dsession=first"}
    spark = Spark(line, 17, site.s3.endpoint, tmp_path, product=Place.WHEEL, confs=confs)
    jars = f"{compiled(line)}:{product_jar()}"
    done = spark.submit(compiled(line), "Apart", site.variables(site.scientist), jars, "DoctorOfLateJar", stage.resource)
    assert done.returncode == 0, done.stdout + done.stderr
    assert reports(done.stdout) == {"plugins": None, "reads": 3}


@pytest.mark.parametrize("master", [CHANNELLESS, LOCAL])
@on_line(*BOTH_SDKS)
def test_a_master_without_a_way_to_its_executors_is_named_with_masters_that_have_one(
    line: Line, master: str, stage: Stage, tmp_path: Path
) -> None:
    # Goes on the class path of the driver: Spark looks for cluster managers in its own class loader.
    manager = tmp_path / "manager"
    shutil.copytree(compiled(line).with_suffix("") / "org", manager / "org")
    services = manager / "META-INF" / "services"
    services.mkdir(parents=True)
    (services / "org.apache.spark.scheduler.ExternalClusterManager").write_text("org.apache.spark.scheduler.NoChannel\n")
    site = stage.site
    spark = Spark(line, 17, site.s3.endpoint, tmp_path, master, confs={"spark.driver.extraClassPath": f"{line.s3a}:{manager}"})
    began = datetime.now(UTC)
    done = spark.submit(compiled(line), "DoctorOfContext", site.variables(site.scientist), stage.resource, stage.other)
    ended = datetime.now(UTC)
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    cause = "master spark-channelless has no channel for secrets to its executors"
    remedy = "run on YARN, Kubernetes, a standalone cluster or local[*]"
    role, how = (stage.other, "not opened") if master == LOCAL else (stage.resource, "read with other keys, in mode=static")
    theirs = f"is {how}: the application reads as {role}, and since then somebody, such as a storage connector, has set fs.s3a.access.key "
    theirs += "to AKIATHEIRS for all buckets; set the keys for their bucket alone"
    override, explanation = texts(found["connector"])
    assert override.startswith(f"PROBLEM override: a bucket that is not open yet {theirs}")
    assert explanation.startswith(f"bucket resource {theirs}")
    if master == LOCAL:
        assert texts(found["doctor"])[-1] == texts(found["again"])[-1] == GREEN, found
        assert found["without"] == ["s3a://resource/test.csv is read without a role of ours; call assumeRole"]
        check_explanation(stage, found, began, ended)
        check_overrides(found)
        assert texts(found["for a bucket"])[-1] == GREEN, found["for a bucket"]
        assert [found["switched"], found["required"]] == ["yes", "yes"]
        assert found["Hive client"] == [
            "PROBLEM Hive client: spark.sql.hive.metastore.jars is path, and that client does not find the classes with which S3A reads as "
            "a role; add io.hops to spark.sql.hive.metastore.sharedPrefixes"
        ]
        assert found["shared"] == []
        broker = "S3A reads with the delegation tokens of com.example.Broker and never asks for the credentials of a role; remove "
        broker += "fs.s3a.delegation.token.binding"
        assert found["broker"] == [
            f"PROBLEM override: {broker}",
            "s3a://resource/test.csv is read with com.example.Broker, which the user chose for bucket resource; no role of ours "
            "counts there",
        ]
        assert found["broker required"] == f"hops.credentials.require-live is set, and {broker}"
        assert found["bucket without broker"] == "yes", "a role for a bucket that the binding does not reach"
        of_bucket = "S3A reads with the delegation tokens of com.example.BucketBroker and never asks for the credentials of a role; "
        of_bucket += "remove fs.s3a.bucket.resource.delegation.token.binding"
        assert found["bucket broker required"] == f"hops.credentials.require-live is set, and {of_bucket}"
        assert found["bucket broker"] == [f"PROBLEM override: {of_bucket}"]
        return
    assert f"PROBLEM token channel: {cause}; {remedy}" in texts(found["doctor"])
    assert "PROBLEM mode: mode=static: credentials are not refreshed in S3A; act on the other problems" in texts(found["doctor"])
    assert "mode=static" in texts(found["explain"])
    assert f"credentials of {stage.resource} are not refreshed in S3A (mode=static) and end at {found['end']}: {cause}" in done.stderr
    assert found["switched"] == (
        f"this application reads as {stage.resource} and cannot change to {stage.other} in mode=static; start a new application"
    )
    assert found["required"] == (f"hops.credentials.require-live is set, and credentials cannot be refreshed in S3A: {cause}; {remedy}")


def check_explanation(stage: Stage, found: Mapping[str, object], began: datetime, ended: datetime) -> None:
    """Checks every fact about a path, in order, of a program that assumed the role between two points in time."""
    site = stage.site
    lines = texts(found["explain"])
    assert lines[:7] == [
        "s3a://resource/test.csv is read with the application's role",
        f"role: {stage.resource}",
        f"source: the role-mapping server at {site.endpoint}, project {site.project}",
        "mode=live",
        f"access key: {found['key']}",
        f"ends: {found['end']}",
        "last refresh: none yet",
    ]
    end, due = datetime.fromisoformat(str(found["end"])), datetime.fromisoformat(lines[7].removeprefix("next refresh: "))
    # A third of what was left is ahead of the end, or up to a twentieth more. The server may have issued them to a test before.
    assert (end - ended) / 3 < end - due < (end - began) / 3 + (end - began) / 20 + timedelta(seconds=1)
    assert lines[8:] == ["last error: none"]


def check_overrides(found: Mapping[str, object]) -> None:
    """Checks what is said of the user's own settings beside the role, each with what to do about it."""
    anonymous = "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"
    assert found["public"] == [
        f"s3a://public/key is read with {anonymous}, which the user chose for bucket public; no role of ours counts there"
    ]
    problems = [line.removeprefix("PROBLEM ") for line in texts(found["overridden"]) if line.startswith("PROBLEM")]
    assert problems == [
        "override: bucket keyed is read with the application's role in spite of fs.s3a.bucket.keyed.access.key; remove that key, or name a "
        "provider for the bucket",
        f"override: bucket public is read with {anonymous}, not with the application's role; remove "
        "fs.s3a.bucket.public.aws.credentials.provider, or take a role with forBucket",
        f"override: a session sets fs.s3a.aws.credentials.provider to {anonymous}, which wins over the role; call "
        'spark.conf.unset("fs.s3a.aws.credentials.provider")',
    ]


def test_a_refresh_that_fails_is_named_until_it_works_again(tmp_path: Path) -> None:
    mapping: dict[str, object] = {"id": 1, "projectRole": "ALL", "cloudRole": "arn:aws:iam::123456789012:role/reader", "defaultRole": True}
    asked, again = 0, tmp_path / "again"

    class Server(Answering):
        """Gives credentials of seconds, then refuses the role until the file is there."""

        def do_GET(self) -> None:
            nonlocal asked
            if "role-mappings" in self.path:
                return self.tell(200, mapping if self.path.endswith("/default") else {"count": 1, "items": [mapping]})
            asked += 1
            # Expects the role of the first time, whatever the default is by then.
            assert "roleARN=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader" in self.path
            mapping["cloudRole"] = "arn:aws:iam::123456789012:role/moved"
            if asked > 1 and not again.exists():
                return self.tell(403, {"errorCode": 380002, "errorMsg": "not yours"})
            end = datetime.now(UTC) + timedelta(seconds=12 if asked == 1 else 3600)
            keys = {"accessKeyId": "ASIA", "secretAccessKey": "s", "sessionToken": "t"}
            return self.tell(200, {**keys, "expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")})

        def tell(self, status: int, fields: Mapping[str, object]) -> None:
            self.answer(status, json.dumps(fields).encode())

    with serving(Server) as endpoint:
        variables = {"REST_ENDPOINT": endpoint, "HOPSWORKS_PROJECT_ID": "1", "API_KEY": "key"}
        done = plain(tmp_path, variables, str(again), main="DoctorOfRefresh")
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    [error] = [line for line in texts(found["failing"]) if line.startswith("last error: ")]
    assert error.endswith('was refused: HTTP 403, code 380002: "not yours"; ask the administrator to map the role to your project role')
    [problem] = [line for line in texts(found["doctor"]) if line.startswith("PROBLEM")]
    assert problem == "PROBLEM refresh: of arn:aws:iam::123456789012:role/reader: " + error.removeprefix("last error: ")
    assert texts(found["again"])[-1] == GREEN


def texts(found: object) -> list[str]:
    """Checks that a program reported a list, and returns it."""
    assert isinstance(found, list)
    return found
