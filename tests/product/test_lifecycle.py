"""Roles and the lives of contexts, sessions, servers and JVMs: which comes first, and what is left when one ends."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rig.canary import leaks
from rig.deployment import Deployment
from rig.http import Answering, serving
from rig.spark import SPARK_3_5, SPARK_4_1, SPARK_4_3, Line, Place, Spark, reports
from tests.product.combinations import BOTH_SDKS, on, on_line
from tests.programs import compiled, plain

PENDING = "mode=pending (until a SparkContext opens its first s3a:// path)"
OPENED = (
    "java.lang",
    "java.lang.invoke",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "sun.nio.ch",
    "sun.security.action",
)


@on((SPARK_3_5, "spark-submit"), (SPARK_4_1, "java"), masters=["spark-submit", "java"], name="start")
def test_a_role_assumed_before_any_context_holds_in_each_until_it_is_released(
    line: Line, start: str, site: Deployment, tmp_path: Path
) -> None:
    role = site.cloud.resource_reader
    if start == "spark-submit":
        spark = Spark(line, 17, site.s3.endpoint, tmp_path, "local-cluster[2,1,1024]")
        done = spark.submit(compiled(line), "Lifecycle", site.variables(site.scientist), "contexts", role)
    else:
        confs = {**Spark(line, 17, site.s3.endpoint, tmp_path).options(), "spark.master": "local[2]", "spark.app.name": "lives"}
        options = [f"-D{key}={value}" for key, value in confs.items() if "Java" not in key]
        options += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
        class_path = f"{line.home}/jars/*:{line.s3a}"
        variables = {**site.variables(site.scientist), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "localhost"}
        done = plain(tmp_path, variables, "contexts", role, class_path=class_path, options=tuple(options), main="Lifecycle", line=line)
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    assert found["pending"] == PENDING
    assert [found[name] for name in ("first", "rerun", "session", "second")] == ["3 rows"] * 4, found
    assert [found["at the start"], found["first mode"], found["second mode"]] == ["mode=live"] * 3, done.stderr
    assert found["static"] is True
    assert found["second released"] == found["third"] == []
    assert "rows" not in str(found["third reads"])
    if start == "java":
        assert found["by itself"] is True
        assert found["operator's"] == ["3 rows", role, True]
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []


# Spark 3.5 has its Connect server in a package of its own.
@pytest.mark.platform("Spark Connect server with a role from its configuration")
@on_line(SPARK_4_1, lines=[SPARK_4_1, SPARK_4_3])
def test_in_a_server_for_many_users_only_the_operator_names_the_role(line: Line, site: Deployment, tmp_path: Path) -> None:
    plugins = "io.hops.util.spark.HopsSparkPlugin,org.apache.spark.sql.connect.SparkConnectPlugin"
    confs = {"spark.plugins": plugins, "spark.hops.role": site.cloud.resource_reader, "spark.connect.grpc.binding.port": "0"}
    spark = Spark(line, 17, site.s3.endpoint, tmp_path, "local-cluster[2,1,1024]", confs=confs)
    done = spark.submit(compiled(line), "Lifecycle", site.variables(site.scientist), "server")
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    assert found["reads"] == "3 rows", found
    assert found["mode"] == "mode=live"
    assert found["role"] == site.cloud.resource_reader
    assert found["taken home"] == 0
    assert (
        found["calls"]
        == [
            "this is a Spark Connect server, whose users would all get the role; its operator sets spark.hops.role and "
            "spark.plugins=io.hops.util.spark.HopsSparkPlugin in its configuration"
        ]
        * 2
    )


@pytest.mark.platform("Spark Thrift server, and a stand-in of a Kyuubi engine")
@pytest.mark.parametrize("level", ["user", "GROUP"])
@on_line(*BOTH_SDKS)
def test_a_server_for_many_users_is_known_by_what_it_does(line: Line, level: str, site: Deployment, tmp_path: Path) -> None:
    loopback = {f"spark.hadoop.hive.server2.thrift.{key}": value for key, value in (("port", "0"), ("bind.host", "127.0.0.1"))}
    confs = {"spark.kyuubi.engine.share.level": level, **loopback}
    spark = Spark(line, 17, site.s3.endpoint, tmp_path, confs=confs)
    done = spark.submit(compiled(line), "org.apache.kyuubi.engine.spark.SparkSQLEngine", site.variables(site.scientist))
    assert done.returncode == 0, done.stdout + done.stderr
    sentence = "this is a Spark {}, whose users would all get the role; "
    refusals = {name: sentence.format(name) for name in ("engine of Kyuubi for several users", "Thrift server")}
    found = {name: str(value).partition("its operator")[0] for name, value in reports(done.stdout).items()}
    first = "yes" if level == "user" else refusals["engine of Kyuubi for several users"]
    assert found == {"assumed": first, "beside a server": refusals["Thrift server"] if level == "user" else first}


@pytest.mark.parametrize(
    ("line", "name", "program"),
    [
        (SPARK_4_1, "Connect", ["Lifecycle", "server"]),
        (SPARK_3_5, "Thrift", ["org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"]),
    ],
    ids=["Connect", "Thrift"],
)
def test_a_server_for_many_users_that_would_show_them_the_credentials_does_not_start(
    line: Line, name: str, program: list[str], site: Deployment, tmp_path: Path
) -> None:
    plugins = "io.hops.util.spark.HopsSparkPlugin"
    if name == "Connect":
        plugins += ",org.apache.spark.sql.connect.SparkConnectPlugin"
    confs = {"spark.plugins": plugins, "spark.hops.role": site.cloud.resource_reader, "spark.connect.grpc.binding.port": "0"}
    spark = Spark(line, 17, site.s3.endpoint, tmp_path, s3a=Place.WHEEL, confs=confs)
    done = spark.submit(compiled(line), program[0], site.variables(site.scientist), *program[1:])
    assert done.returncode != 0
    cause = "credentials cannot be refreshed in S3A: S3A or its AWS SDK is not on the class path"
    assert f"spark.hops.role cannot be assumed: {cause}" in done.stderr
    assert f"; without that a Spark {name} server would show them to its users" in done.stderr


@on_line(*BOTH_SDKS)
def test_a_context_that_cannot_have_its_role_does_not_start(line: Line, site: Deployment, tmp_path: Path) -> None:
    role = site.cloud.untrusting
    confs = {"spark.plugins": "io.hops.util.spark.HopsSparkPlugin", "spark.hops.role": role}
    spark = Spark(line, 17, site.s3.endpoint, tmp_path, confs=confs)
    done = spark.submit(compiled(line), "Lifecycle", site.variables(site.scientist), "server")
    assert done.returncode != 0
    assert (
        f"spark.hops.role cannot be assumed: assuming role {role} for project {site.project} at {site.endpoint} was refused" in done.stderr
    )
    assert reports(done.stdout) == {}


def test_a_jvm_ends_while_a_refresh_waits_for_its_answer(tmp_path: Path) -> None:
    asked, over = tmp_path / "asked", threading.Event()
    asked_at = 0.0

    class Stalling(Answering):
        """Answers once with credentials of seconds, and then keeps silent."""

        answered = False

        def do_GET(self) -> None:
            nonlocal asked_at
            if Stalling.answered:
                asked_at = time.monotonic()
                asked.touch()
                over.wait(30)
                return
            Stalling.answered = True
            end = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
            body = json.dumps({"accessKeyId": "ASIA", "secretAccessKey": "s", "sessionToken": "t", "expiration": end}).encode()
            self.answer(200, body)

    with serving(Stalling) as endpoint:
        variables = {"REST_ENDPOINT": endpoint, "HOPSWORKS_PROJECT_ID": "1", "API_KEY": "key"}
        done = plain(tmp_path, variables, "exit", str(asked), main="Lifecycle")
        took = time.monotonic() - asked_at
        over.set()
    assert done.returncode == 0, done.stdout + done.stderr
    assert reports(done.stdout)["leaves"] is True
    # Leaves before the fetch ends, which may take 30 s.
    assert took < 15
