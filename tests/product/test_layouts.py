"""Some places where the jars may lie, on one line of Spark each. `make matrix` runs all of them on every line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.spark import SPARK_3_5, SPARK_4_1, SPARK_4_3, Line, Place, Spark
from rig.stage import Stage
from runs import matrix
from runs.matrix import ADDED, OWN_CLASS, PACKAGES, Layout
from tests.product.combinations import on_line


@pytest.mark.parametrize(
    ("layout", "line"), [(PACKAGES, SPARK_3_5), (ADDED, SPARK_4_1), (OWN_CLASS, SPARK_4_3)], ids=lambda part: getattr(part, "name", "")
)
def test_a_role_reads_and_streams_wherever_the_jars_lie(
    layout: Layout, line: Line, stage: Stage, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("spark", f"{line.spark} / {line.hadoop} {matrix.CLUSTER}")
    record_property("class path", layout.name)
    assert matrix.differences(layout, line, matrix.run(stage, layout, line, tmp_path)) == []


def test_a_file_system_of_the_users_own_needs_the_product_beside_it(stage: Stage, tmp_path: Path) -> None:
    apart = dataclasses.replace(OWN_CLASS, product=Place.USER)
    with pytest.raises(AssertionError) as failure:
        matrix.run(stage, apart, SPARK_3_5, tmp_path)
    refusal = (
        "fs.s3a.impl is OwnFileSystem, and S3A on the executors cannot see our provider; put the jar of hops-credentials beside "
        "hadoop-aws, on spark.driver.extraClassPath and spark.executor.extraClassPath, or remove that setting"
    )
    # Expects the same of the doctor, whose remedy is the layout of the test above.
    assert f"PROBLEM file system: {refusal}" in str(failure.value)
    assert f"CloudCredentialException: {refusal}" in str(failure.value)


def test_what_is_typed_into_spark_shell_finds_the_role_in_tasks(stage: Stage, tmp_path: Path) -> None:
    assert matrix.shell(stage, SPARK_4_1, tmp_path) == {"rows": 3, "roles": stage.resource}


_HIVE = """\
import io.hops.util.CredentialsProvider
val creds = CredentialsProvider.assumeRole("{role}")
val created = scala.util.Try(spark.sql("create table t(a string) stored as textfile location 's3a://lake/hive'").count())
println("created: " + created.fold(_.getMessage, _ => "yes"))
"""
#: The version of Hive whose jars are among those of Spark.
_HIVE_OF = {SPARK_3_5: "2.3.9", SPARK_4_1: "2.3.10"}


@pytest.mark.parametrize("shared", ["io.hops", "com.example"])
@on_line()
def test_a_hive_client_of_its_own_finds_our_classes_where_spark_shares_them(line: Line, shared: str, stage: Stage, tmp_path: Path) -> None:
    client = {"version": _HIVE_OF[line], "jars": "path", "jars.path": f"{(line.home / 'jars').as_uri()}/*.jar", "sharedPrefixes": shared}
    confs = {
        "spark.sql.catalogImplementation": "hive",
        **{f"spark.sql.hive.metastore.{key}": value for key, value in client.items()},
        "spark.hadoop.hive.metastore.schema.verification": "false",
        "spark.hadoop.datanucleus.schema.autoCreateAll": "true",
        "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:hive;create=true",
        "spark.ui.showConsoleProgress": "false",
    }
    spark = Spark(line, 17, stage.site.s3.endpoint, tmp_path, confs=confs)
    done = spark.shell(_HIVE.format(role=stage.lake), stage.site.variables(stage.site.scientist))
    missing = "Class io.hops.util.s3a.HopsS3AFileSystem not found"
    assert ("created: yes" if shared == "io.hops" else missing) in done.stdout, done.stdout
