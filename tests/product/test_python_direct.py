"""The wheel in direct mode: it asks STS itself, with the base identity of its process."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.aws import ACCOUNT, REGION, allow, assumes, reads, role_arn, trusts
from rig.canary import leaks
from rig.deployment import Deployment
from rig.spark import SPARK_3_5, SPARK_4_3, Line, Place, Spark
from tests.programs.python_program import READ, VENV, python, reported, written


def test_what_only_sts_takes_reaches_it(site: Deployment, tmp_path: Path) -> None:
    user = f"arn:aws:iam::{ACCOUNT}:user/of-conditions"
    wanted = {
        "sts:ExternalId": "canary-external",
        "aws:RequestTag/team": "blue",
        "sts:RoleSessionName": "night-job",
    }
    actions = ["sts:AssumeRole", "sts:TagSession"]
    trust = allow(Principal={"AWS": user}, Action=actions, Condition={"StringEquals": wanted})
    role = site.cloud.aws.role("of-conditions", trust, reads("resource"))
    keys = site.cloud.aws.user("of-conditions", allow(Action=actions, Resource=role))
    done = python(
        tmp_path,
        {**keys.variables(), "AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": site.sts.endpoint, "ROLE": role},
        """
        whole = {"external_id": "canary-external", "tags": {"team": "blue"}, "role_session_name": "night-job"}
        for left_out in whole:
            asked = {name: value for name, value in whole.items() if name != left_out}
            report(left_out, outcome(lambda: assume_role(os.environ["ROLE"], **asked))[0])
        report("whole", outcome(lambda: assume_role(os.environ["ROLE"], **whole).role_arn))
        in_use, by_name = boto3_session(), boto3_session(os.environ["ROLE"])
        release()

        def named(session):
            client = session.client("sts", endpoint_url=os.environ["AWS_ENDPOINT_URL_STS"], region_name="us-east-1")
            return client.get_caller_identity()["Arn"].split("/")[-1]

        # The role is not in use any more, and STS would refuse whatever lacks a part of the request.
        report("pinned", [outcome(lambda: named(session)) for session in (in_use, by_name)])
        report("arguments", outcome(lambda: named(boto3_session(os.environ["ROLE"], **whole))))
        report("of polars", outcome(lambda: len(polars_credential_provider(os.environ["ROLE"], **whole)()[0])))
        report("without", outcome(lambda: named(boto3_session(os.environ["ROLE"])))[0])
        report("unknown", outcome(lambda: storage_options(os.environ["ROLE"], session="night-job"))[0])
        """,
    )

    found = reported(done)
    refused = dict.fromkeys(("external_id", "tags", "role_session_name"), "RefusedError")
    assert found == {
        **refused,
        "whole": role,
        "pinned": ["night-job", "night-job"],
        "arguments": "night-job",
        "of polars": 3,
        "without": "RefusedError",
        "unknown": "TypeError",
    }
    assert "canary-external" not in done.stdout + done.stderr


def test_the_base_identity_is_what_the_process_has_at_each_call(site: Deployment, tmp_path: Path) -> None:
    aws = site.cloud.aws
    user = f"arn:aws:iam::{ACCOUNT}:user/of-notebook"
    keys, others = aws.user("of-notebook", assumes(role_arn("of-notebook"))), aws.user("of-another-cell")
    role = aws.role("of-notebook", trusts(user), reads("resource"))
    done = python(
        tmp_path,
        {
            **keys.variables(),
            "AWS_ENDPOINT_URL_STS": site.sts.endpoint,
            "HOPS_CLOUD_ROLES": role,
            "OTHER_KEY": others.access_key_id,
            "OTHER_SECRET": others.secret_access_key,
            "S3": site.s3.endpoint,
        },
        READ,
        """
        get_role(1)
        report("no region", outcome(assume_role))
        os.environ["AWS_REGION"] = "us-east-1"
        report("region", [outcome(lambda: assume_role(refresh=mode).role_arn) for mode in (False, True, False)])
        report("read", read("resource"))
        # A cell sets other keys: these are the base identity now, and were issued by nobody of us.
        issued = {name: os.environ[name] for name in list(os.environ) if name.startswith("AWS_")}
        os.environ.update({"AWS_ACCESS_KEY_ID": os.environ["OTHER_KEY"], "AWS_SECRET_ACCESS_KEY": os.environ["OTHER_SECRET"]})
        del os.environ["AWS_SESSION_TOKEN"]
        report("other keys", outcome(assume_role))
        os.environ.update(issued)
        report("back", outcome(lambda: assume_role().role_arn))
        release()
        report("released", outcome(lambda: assume_role().role_arn))
        """,
    )

    found = reported(done)
    refused, others_refused = found["no region"], found["other keys"]
    assert isinstance(refused, list) and isinstance(others_refused, list)
    assert refused[0] == "NotConfiguredError" and "set AWS_REGION" in refused[1]
    assert found["region"] == [role] * 3
    assert found["read"] == "1,one"
    assert others_refused[0] == "RefusedError" and "of-another-cell" in others_refused[1]
    assert found["back"] == found["released"] == role


def test_behind_the_endpoint_the_profile_that_was_taken_out_is_still_the_base_identity(site: Deployment, tmp_path: Path) -> None:
    aws = site.cloud.aws
    user = f"arn:aws:iam::{ACCOUNT}:user/of-direct-python"
    keys = aws.user("of-direct-python", assumes(role_arn("one-of-python"), role_arn("two-of-python")))
    one, two = (aws.role(f"{name}-of-python", trusts(user), reads(bucket)) for name, bucket in (("one", "resource"), ("two", "other")))
    config = tmp_path / "config"
    config.write_text(f"[profile base]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_access_key}\n")
    done = python(
        tmp_path,
        {
            "AWS_CONFIG_FILE": str(config),
            "AWS_PROFILE": "base",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_STS": site.sts.endpoint,
            "HOPS_CLOUD_ROLES": f"{one},{two}",
            "S3": site.s3.endpoint,
        },
        READ,
        """
        import subprocess
        roles = get_roles()
        assume_role(refresh=True)
        report("first", [os.environ.get("AWS_PROFILE"), read("resource"), read("other")])
        assume_role(roles[1], refresh=True, policy=json.dumps({"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "s3:*", "Resource": "*"}}))
        report("second", [current().role_arn, read("resource"), read("other")])
        child = "from hops.credentials_provider import *; assume_role(); print(current().role_arn)"
        report("child", subprocess.run([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True).stdout)
        release()
        report("back", os.environ["AWS_PROFILE"])
        """,
    )

    found = reported(done)
    assert found["first"] == [None, "1,one", "AccessDenied"]
    assert found["second"] == [two, "AccessDenied", "4,four"]
    # The child finds what its parent was issued, and assumes the role with the profile of its parent.
    assert found["child"] == f"{one}\n"
    assert found["back"] == "base"
    assert keys.secret_access_key not in done.stdout + done.stderr
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []


_UNDER_A_ROLE = """
from pyspark.sql import SparkSession

def in_jvm(name):
    return context._jvm.java.lang.System.getenv(name)

assume_role(refresh=sys.argv[1] == "endpoint")
context = configure(SparkSession.builder).getOrCreate().sparkContext
report("mode", current().mode)
report("key", in_jvm("AWS_ACCESS_KEY_ID") == current().access_key_id)
report("again", outcome(lambda: assume_role(role_session_name="again").mode))
release()
report("released", [[in_jvm(name), os.environ.get(name)] for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SESSION_TOKEN")])
report("afterwards", outcome(lambda: assume_role().mode))
"""


@pytest.mark.parametrize(("way", "line"), [("environment", SPARK_3_5), ("endpoint", SPARK_4_3)])
def test_in_direct_mode_a_jvm_that_starts_under_a_role_has_the_base_identity(
    way: str, line: Line, site: Deployment, tmp_path: Path
) -> None:
    user = f"of-jvm-{way}"
    keys = site.cloud.aws.user(user, assumes(role_arn(user)))
    role = site.cloud.aws.role(user, trusts(f"arn:aws:iam::{ACCOUNT}:user/{user}"), reads("resource"))
    config = tmp_path / "config"
    config.write_text(f"[profile base]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_access_key}\n")
    base = keys.variables() if way == "environment" else {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "base"}
    done = Spark(line, 17, site.s3.endpoint, tmp_path, "local[1]", Place.WHEEL).python(
        written(tmp_path, _UNDER_A_ROLE),
        {**base, "AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": site.sts.endpoint, "HOPS_CLOUD_ROLES": role},
        VENV / "bin" / "python",
        way,
    )

    found = reported(done)
    mode = f"{way} with Spark"
    key, profile = base.get("AWS_ACCESS_KEY_ID"), base.get("AWS_PROFILE")
    assert found == {
        "mode": mode,
        "key": True,
        "again": "environment with Spark",
        "released": [[key, key], [profile, profile], [None, None]],
        "afterwards": "environment with Spark",
    }
    assert keys.secret_access_key not in done.stdout + done.stderr


def test_a_jvm_of_a_role_that_was_released_before_it_took_it_over_has_the_base_identity(site: Deployment, tmp_path: Path) -> None:
    user = "of-released-jvm"
    keys = site.cloud.aws.user(user, assumes(role_arn(user)))
    role = site.cloud.aws.role(user, trusts(f"arn:aws:iam::{ACCOUNT}:user/{user}"), reads("resource"))
    config = tmp_path / "config"
    config.write_text(f"[profile base]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_access_key}\n")
    base = {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "base", "AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": site.sts.endpoint}
    done = Spark(SPARK_4_3, 17, site.s3.endpoint, tmp_path, "local[1]", Place.WHEEL).python(
        written(
            tmp_path,
            """
            from pyspark import SparkContext

            def places(name):
                return [SparkContext._jvm.java.lang.System.getenv(name), os.environ.get(name)]

            assume_role(refresh=True)
            SparkContext._ensure_initialized()
            # The role that the JVM started under is not the last one either.
            assume_role()
            release()
            report("before", places("AWS_PROFILE"))
            context = SparkContext()
            report("mode", outcome(lambda: assume_role().mode))
            release()
            report("released", places("AWS_PROFILE") + places("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
            """,
        ),
        {**base, "HOPS_CLOUD_ROLES": role},
        VENV / "bin" / "python",
    )

    assert reported(done) == {
        "before": [None, "base"],
        "mode": "environment with Spark",
        "released": ["base", "base", None, None],
    }
    assert keys.secret_access_key not in done.stdout + done.stderr
