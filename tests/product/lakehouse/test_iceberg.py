"""Iceberg's tables are written, kept and read with the role of the application, also by catalogs that never ask S3A."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rig.spark import SPARK_3_5, SPARK_4_1, Line, Place
from rig.stage import Stage
from rig.tables import iceberg_catalog, jdbc, s3_file_io
from runs.readers import SECONDS, issued_for
from tests.product.lakehouse.application import CLUSTER
from tests.product.lakehouse.iceberg import MARKS, application

pytestmark = MARKS

_LATER = pytest.mark.everywhere

#: Everything that is done to a table, for several lifetimes.
_USE = """
import boto3

def key_of(path):
    return path.split("//")[1].split("/", 1)[1]

def lose(table):
    # Puts a file beside those of a table, and into a view of files that are old.
    location = next(row[1] for row in sql(f"DESCRIBE TABLE EXTENDED {table}") if row[0] == "Location")
    lost = f"{location}/data/lost"
    s3.put_object(Bucket="lake", Key=key_of(lost), Body=b"")
    sql(f"CREATE OR REPLACE TEMP VIEW listed AS SELECT '{lost}' file_path, timestamp '2000-01-01 00:00:00' last_modified")
    return lost

def use(catalog):
    until = time.monotonic() + float(sys.argv[5])
    table = f"{catalog}.db.words"
    found = {}
    sql(f"CREATE NAMESPACE IF NOT EXISTS {catalog}.db")
    sql(f"CREATE TABLE {table} (id BIGINT, word STRING) USING iceberg PARTITIONED BY (bucket(2, id))")
    sql(f"INSERT INTO {table} SELECT id, cast(id AS STRING) FROM range(20)")
    spark.range(20, 40).selectExpr("id", "cast(id AS STRING) word").writeTo(table).append()
    first = sql(f"SELECT snapshot_id FROM {table}.snapshots ORDER BY committed_at")[0][0]
    found["then"] = sql(f"SELECT count(*) FROM {table} VERSION AS OF {first}")[0][0]
    found["failed"] = []
    while time.monotonic() < until:
        if sql(f"SELECT count(*) FROM {table} WHERE word = '7'") != [[1]]:
            found["failed"].append(time.monotonic())
    sql(f"UPDATE {table} SET word = 'x' WHERE id = 5")
    sql(f"MERGE INTO {table} t USING (SELECT 6L id, 'y' word) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET word = s.word")
    options = "options => map('min-input-files', '2')"
    found["compacted"] = sql(f"CALL {catalog}.system.rewrite_data_files(table => 'db.words', {options})")[0][0] > 0
    sql(f"CALL {catalog}.system.rewrite_manifests('db.words')")
    expiry = "older_than => timestamp '2099-01-01 00:00:00', retain_last => 1"
    found["expired"] = sql(f"CALL {catalog}.system.expire_snapshots(table => 'db.words', {expiry})")[0][0] > 0
    orphans = f"CALL {catalog}.system.remove_orphan_files(table => 'db.words', older_than => timestamp '2001-01-01 00:00:00'"
    found["no orphans"] = sql(f"{orphans}, prefix_listing => true)")
    lost = lose(table)
    found["orphans"] = [orphan == [lost] for orphan in sql(f"{orphans}, file_list_view => 'listed')")]
    found["orphans now"] = s3.list_objects_v2(Bucket="lake", Prefix=key_of(lost))["KeyCount"]
    found["now"] = sql(f"SELECT count(*), max(word) FROM {table}")[0]
    sql(f"DROP TABLE {table} PURGE")
    return found

assume_role(lake)
s3 = boto3.client("s3", endpoint_url=os.environ["S3"], region_name="us-east-1")
for catalog in sys.argv[6:]:
    report(catalog, use(catalog))
"""

_USED = {
    "then": 20,
    "failed": [],
    "compacted": True,
    "expired": True,
    "no orphans": [],
    "orphans": [True],
    "orphans now": 0,
    "now": [40, "y"],
}


@dataclasses.dataclass(frozen=True)
class _Row:
    """Where tables are used, and by which catalogs."""

    line: Line
    master: str
    catalogs: tuple[str, ...]
    s3a: Place | None = Place.SYSTEM

    def __str__(self) -> str:
        return f"{self.line.spark}, {self.master}, {'with' if self.s3a else 'without'} hadoop-aws, {'+'.join(self.catalogs)}"


@pytest.mark.parametrize(
    "row",
    [
        _Row(SPARK_3_5, CLUSTER, ("jdbc",)),
        pytest.param(_Row(SPARK_3_5, CLUSTER, ("jdbc",), None), marks=_LATER),
        pytest.param(_Row(SPARK_3_5, CLUSTER, ("hadoop", "glue", "spark_catalog")), marks=_LATER),
        pytest.param(_Row(SPARK_4_1, CLUSTER, ("jdbc", "hadoop", "glue", "spark_catalog")), marks=_LATER),
        pytest.param(_Row(SPARK_4_1, CLUSTER, ("jdbc",), None), marks=_LATER),
        pytest.param(_Row(SPARK_4_1, "local[2]", ("jdbc", "glue")), marks=_LATER),
    ],
    ids=str,
)
def test_tables_are_written_and_kept_with_the_role_alone_through_lifetimes(row: _Row, lake: Stage, warehouse: str, tmp_path: Path) -> None:
    named = {
        "jdbc": iceberg_catalog("jdbc", {**s3_file_io("{s3}"), **jdbc(tmp_path / "names.db", f"s3://{warehouse}/jdbc")}),
        "hadoop": iceberg_catalog("hadoop", {"type": "hadoop", "warehouse": f"s3a://{warehouse}/hadoop"}),
        "glue": iceberg_catalog(
            "glue", {**s3_file_io("{s3}"), "type": "glue", "glue.endpoint": "{s3}", "warehouse": f"s3://{warehouse}/glue"}
        ),
        "spark_catalog": iceberg_catalog(
            "spark_catalog",
            {**s3_file_io("{s3}"), **jdbc(tmp_path / "session.db", f"s3://{warehouse}/session")},
            "SparkSessionCatalog",
        ),
    }
    issued = len(lake.site.sts.exchanges)
    confs = {key: value for name in row.catalogs for key, value in named[name].items()}

    ran = application(lake, tmp_path, row.line, row.master, confs, s3a=row.s3a).run(
        _USE, arguments=(str(SECONDS / max(2, len(row.catalogs))), *row.catalogs)
    )

    assert ran.found == dict.fromkeys(row.catalogs, _USED)
    assert ran.signers <= issued_for(lake.site, "lake-writer", issued)
    assert len(ran.signers) > 2
