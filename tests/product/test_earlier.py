"""What was made before the role reads as the role: RDDs, DataFrames, copied configurations, `s3://`, Spark's own fetches."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from rig.canary import leaks
from rig.spark import SPARK_3_5, SPARK_4_1, Line, Place, Spark, reports
from rig.stage import Stage
from tests.programs import compiled

#: What the machines of a cluster give everybody who makes a configuration, in another form than the application's own.
_FILE = """\
<configuration>
  <property><name>fs.s3a.endpoint</name><value>{endpoint}</value></property>
  <property><name>fs.s3a.endpoint.region</name><value>us-east-1</value></property>
  <property><name>fs.s3a.path.style.access</name><value>true</value></property>
  <property><name>fs.s3a.access.key</name><value>{keys.access_key_id}</value></property>
  <property><name>fs.s3a.secret.key</name><value>{keys.secret_access_key}</value></property>
  <property>
    <name>fs.s3a.aws.credentials.provider</name>
    <value>
      org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider,
      org.apache.hadoop.fs.s3a.auth.IAMInstanceCredentialsProvider
    </value>
  </property>
</configuration>
"""

#: Other names for paths of S3A, as a cluster gives them.
S3 = {
    "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    "spark.hadoop.fs.viewfs.mounttable.view.link./other": "s3a://other/",
    "spark.hadoop.fs.viewfs.mounttable.view.link./never": "s3a://resource/",
}


@pytest.mark.parametrize(
    ("line", "master"),
    [(SPARK_3_5, "local[2]"), (SPARK_4_1, "local-cluster[2,1,1024]")],
    ids=lambda part: getattr(part, "spark", part),
)
def test_whatever_was_made_before_the_role_reads_as_the_role(line: Line, master: str, stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    spark = Spark(line, 17, site.s3.endpoint, tmp_path, master, confs={**stage.read_as_stranger_alone(), **S3})
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "core-site.xml").write_text(_FILE.format(endpoint=site.s3.endpoint, keys=stage.stranger))
    asked = len(site.s3.exchanges)
    done = spark.submit(compiled(line), "Earlier", site.variables(site.scientist), stage.resource)
    assert done.returncode == 0, done.stdout + done.stderr
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []
    found = reports(done.stdout)
    assert found["before"] == [1, 1, *["read"] * 5], found
    assert found["unopened"] == ["read"] * 2, found
    assert set(texts(found["earlier"])) == {"denied"}, found
    assert found["now"] == ["read"] * 4 + ["denied"] * 4, found
    for place in ("anybody", "files", "loader"):
        assert set(texts(found[place])) == {"denied"}, (place, found[place])
    # Counts for whoever chose it alone. The next one in the same JVM finds the bucket open with the role.
    assert found["own"] == "own, then role"
    assert set(texts(found["own in tasks"])) == {"role, then role"} | (set() if master == "local[2]" else {"own, then role"})
    assert "bucket lake is not read with its role, but with a configuration of the program's own" in done.stderr
    assert found["fetched"] == [True], found
    ahead = (
        "PROBLEM fetched files: a new executor fetches s3a://resource/test.csv before it has the role, and a job there can be ahead of the "
    )
    ahead += "role; set spark.plugins=io.hops.util.spark.HopsSparkPlugin"
    assert found["doctor"] == ([] if master == "local[2]" else [ahead]), found
    assert found["explained"] == ["s3://resource/test.csv is read with the application's role", f"role: {stage.resource}"]
    if master != "local[2]":
        assert found["replaced"] == ["denied", "read"] * 2, found
    assert found["class loaders"] == [False, True, True]
    assert found["released"] == ["read"] * len(texts(found["released"])), found
    signers = [signer for signer, _ in itertools.groupby(exchange.access_key_id for exchange in site.s3.exchanges[asked:])]
    assert signers[0] == signers[-1] == stage.stranger.access_key_id
    # A replacement fetches what the application added before any code of ours runs there.
    assert len(signers) <= (3 if master == "local[2]" else 5), signers


@pytest.mark.parametrize(("line", "product"), [(SPARK_3_5, Place.SYSTEM), (SPARK_4_1, Place.DRIVER)], ids=str)
def test_a_context_made_after_the_role_leaves_no_moment_to_anybody_else(line: Line, product: Place, stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    # Spark itself fetches the file when an executor starts, before the jars of the job: with our class where that is there already.
    confs = {**stage.read_as_stranger_alone(), "spark.plugins": "OtherPlugin", "spark.files": "s3a://resource/test.csv"}
    spark = Spark(line, 17, site.s3.endpoint, tmp_path, "local-cluster[1,2,1024]", product, confs=confs)
    asked = len(site.s3.exchanges)
    done = spark.submit(compiled(line), "Earlier", site.variables(site.scientist), stage.resource, str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    assert found["plugins"] == "OtherPlugin,io.hops.util.spark.HopsSparkPlugin"
    assert found["mode"] == "mode=live"
    assert found["tasks"] == ["denied"] * 2, found
    assert found["restored"] is True
    assert found["fetched"] == [True]
    # The launcher of Spark looks at the files of the job before any program runs, and an executor without our jar before its first task.
    signers = itertools.dropwhile(
        lambda signer: signer == stage.stranger.access_key_id, [exchange.access_key_id for exchange in site.s3.exchanges[asked:]]
    )
    assert stage.stranger.access_key_id not in set(signers)


def texts(found: object) -> list[str]:
    """Checks that a program reported a list, and returns it."""
    assert isinstance(found, list)
    return found
