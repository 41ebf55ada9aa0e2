"""Tables of files in folders, and the committers of S3A, write with the role of the application."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.spark import Line
from rig.stage import Stage
from rig.tables import LINES, jars
from runs.readers import SECONDS, issued_for
from tests.product.lakehouse.application import CLUSTER, Application

pytestmark = [
    pytest.mark.lakehouse,
    pytest.mark.everywhere,
    pytest.mark.platform(f"Hive-style tables and the committers of S3A: Spark {', '.join(line.spark for line in LINES)}"),
]

#: S3A's committers, for paths on s3:// too.
_COMMITTERS = {
    "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
    "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
    "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3": "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory",
    "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
}

_USE = """
import boto3
folder, seconds = sys.argv[5], float(sys.argv[6])
assume_role(lake)
s3 = boto3.client("s3", endpoint_url=os.environ["S3"], region_name="us-east-1")
bucket, prefix = folder.split("/", 1)

def committer(path):
    return json.loads(s3.get_object(Bucket=bucket, Key=f"{path}/_SUCCESS")["Body"].read() or "{}").get("committer")

def commit(scheme, name):
    spark.conf.set("fs.s3a.committer.name", name)
    path = f"{scheme}/{name}"
    spark.range(0, 40, 1, 2).selectExpr("id", "id % 2 p").write.mode("overwrite").partitionBy("p").parquet(f"{scheme}://{folder}/{path}")
    return [committer(f"{prefix}/{path}"), spark.read.parquet(f"{scheme}://{folder}/{path}").count()]

def table(scheme):
    until = time.monotonic() + seconds
    name, found = f"words_{scheme}", []
    sql(f"CREATE TABLE {name} (id BIGINT, p BIGINT) USING parquet PARTITIONED BY (p) LOCATION '{scheme}://{folder}/{name}'")
    while not found or time.monotonic() < until:
        sql(f"INSERT OVERWRITE TABLE {name} PARTITION (p) SELECT id, id % 2 FROM range(20)")
        sql(f"INSERT OVERWRITE TABLE {name} PARTITION (p = 0) SELECT id FROM range(5)")
        sql(f"INSERT INTO {name} PARTITION (p = 0) SELECT id FROM range(5)")
        found.append(sql(f"SELECT count(*) FROM {name}")[0][0])
    sql(f"INSERT OVERWRITE DIRECTORY '{scheme}://{folder}/directory_{scheme}' USING csv SELECT 1")
    return sorted(set(found))

for scheme in ("s3a", "s3"):
    report(f"committers on {scheme}", {name: commit(scheme, name) for name in ("magic", "directory", "partitioned")})
    spark.conf.set("fs.s3a.committer.name", "magic")
    report(f"table on {scheme}", table(scheme))
sql("CREATE TABLE warehoused USING parquet AS SELECT id FROM range(7)")
report("warehouse", [sql("SELECT count(*) FROM warehoused"), spark.conf.get("spark.sql.warehouse.dir").split(":")[0]])
"""


@pytest.mark.parametrize("line", LINES, ids=str)
def test_tables_and_their_commits_are_written_with_the_role_alone_through_lifetimes(
    line: Line, lake: Stage, warehouse: str, tmp_path: Path
) -> None:
    issued = len(lake.site.sts.exchanges)
    confs = {
        **_COMMITTERS,
        "spark.sql.sources.partitionOverwriteMode": "static",
        "spark.hadoop.fs.s3a.committer.staging.tmp.path": (tmp_path / "staging").as_uri(),
        "spark.sql.warehouse.dir": f"s3a://{warehouse}/warehouse",
    }

    ran = Application(lake, tmp_path, line, CLUSTER, confs, jars=jars("cloud", line)).run(_USE, arguments=(warehouse, str(SECONDS / 2)))

    commits = {"magic": ["magic", 40], "directory": ["directory", 40], "partitioned": ["partitioned", 40]}
    assert ran.found == {
        "committers on s3a": commits,
        "table on s3a": [20],
        "committers on s3": commits,
        "table on s3": [20],
        "warehouse": [[[7]], "s3a"],
    }
    assert ran.signers <= issued_for(lake.site, "lake-writer", issued)
    assert len(ran.signers) > 2


_LOGGED = """
KEY = "fs.s3a.aws.credentials.provider"
own = "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"

def read(session):
    return session.read.text(sys.argv[5]).count()

report("read", read(spark))
spark.stop()
# Spark copies properties, and what the program itself sets is in none of them.
spark = SparkSession.builder.config(f"spark.hadoop.{KEY}", own).getOrCreate()
report("read beside a provider of its own", read(spark))
spark._jvm.io.hops.util.CredentialsProvider.release()
report("provider", spark._jsc.hadoopConfiguration().get(KEY))
report("read after that", outcome(lambda: read(spark))[0])
"""


@pytest.mark.parametrize("line", LINES, ids=str)
def test_the_event_log_is_written_to_s3_with_the_role_of_the_configuration(line: Line, lake: Stage, warehouse: str, tmp_path: Path) -> None:
    s3 = lake.site.cloud.aws.client("s3")
    bucket, folder = warehouse.split("/", 1)
    # Spark makes no folder for its logs.
    for key, body in {"events/": b"", "words.txt": b"one\ntwo\n"}.items():
        s3.put_object(Bucket=bucket, Key=f"{folder}/{key}", Body=body)
    confs = {
        "spark.plugins": "io.hops.util.spark.HopsSparkPlugin",
        "spark.hops.role": lake.lake,
        "spark.hops.restendpoint": "{server}",
        "spark.eventLog.dir": f"s3a://{warehouse}/events",
    }
    issued = len(lake.site.sts.exchanges)

    # The settings are there before anything else of the context is.
    ran = Application(lake, tmp_path, line, CLUSTER, confs, variables={"REST_ENDPOINT": "http://127.0.0.1:9"}).run(
        _LOGGED, arguments=(f"s3a://{warehouse}/words.txt",)
    )

    assert (ran.found["read"], ran.found["read beside a provider of its own"]) == (2, 2)
    assert ran.found["provider"] == "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"
    assert ran.found["read after that"] != 2
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/events/")["Contents"]
    logs = [s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read().decode() for found in listed if found["Size"]]
    # The second one ends with its role.
    assert len(logs) == 1
    assert "SparkListenerApplicationEnd" in logs[0]
    assert not any(secret in logs[0] for secret in lake.site.secrets())
    assert ran.signers - {None} <= issued_for(lake.site, "lake-writer", issued)
