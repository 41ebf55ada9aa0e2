"""Hudi reads and writes both kinds of tables with the role of the application, their table of metadata included."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.spark import SPARK_3_5
from rig.stage import Stage
from rig.tables import HUDI, jars
from runs.readers import SECONDS, issued_for
from tests.product.lakehouse.application import CLUSTER, Application

pytestmark = [pytest.mark.lakehouse, pytest.mark.everywhere, pytest.mark.platform("Hudi 1.2.0: Spark 3.5.8")]

_USE = """
folder, seconds = sys.argv[5], float(sys.argv[6])

def options(kind):
    compaction = {"hoodie.compact.inline": "true", "hoodie.compact.inline.max.delta.commits": "2"}
    return {
        "hoodie.table.name": kind.lower(),
        "hoodie.datasource.write.table.type": kind,
        "hoodie.datasource.write.recordkey.field": "id",
        "hoodie.datasource.write.precombine.field": "ts",
        "hoodie.datasource.write.partitionpath.field": "part",
        "hoodie.metadata.enable": "true",
        "hoodie.upsert.shuffle.parallelism": "2",
        "hoodie.insert.shuffle.parallelism": "2",
        **(compaction if kind == "MERGE_ON_READ" else {}),
    }

def use(kind):
    until = time.monotonic() + seconds
    path, rows = f"s3a://{folder}/{kind.lower()}", 10
    while True:
        frame = spark.range(rows).selectExpr("id", "cast(id AS STRING) word", "id % 2 part", f"{rows} ts")
        frame.write.format("hudi").options(**options(kind)).mode("append").save(path)
        read = spark.read.format("hudi").option("hoodie.metadata.enable", "true").load(path)
        if read.where(f"ts = {rows}").count() != rows:
            return f"after the write of {rows}: {read.count()}"
        rows += 5
        if rows > 20 and time.monotonic() > until:
            return [spark.read.format("hudi").load(f"{path}/.hoodie/metadata").count() > 0]

assume_role(lake)
for kind in ("COPY_ON_WRITE", "MERGE_ON_READ"):
    report(kind, use(kind))
properties = "TBLPROPERTIES (primaryKey = 'id', preCombineField = 'ts')"
sql(f"CREATE TABLE words (id BIGINT, word STRING, ts BIGINT) USING hudi {properties} LOCATION 's3a://{folder}/sql'")
sql("INSERT INTO words VALUES (1, 'a', 1), (2, 'b', 1)")
sql("MERGE INTO words t USING (SELECT 1L id, 'c' word, 2L ts) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *")
report("sql", sql("SELECT id, word FROM words ORDER BY id"))
report("cleaned", outcome(lambda: len(sql("CALL run_clean(table => 'words')")) >= 0))
"""


def test_both_kinds_of_tables_are_written_compacted_and_cleaned_with_the_role_alone(lake: Stage, warehouse: str, tmp_path: Path) -> None:
    issued = len(lake.site.sts.exchanges)
    confs = {**HUDI, "spark.sql.shuffle.partitions": "2"}

    ran = Application(lake, tmp_path, SPARK_3_5, CLUSTER, confs, jars=jars("hudi", SPARK_3_5)).run(
        _USE, arguments=(warehouse, str(SECONDS / 2))
    )

    assert ran.found == {"COPY_ON_WRITE": [True], "MERGE_ON_READ": [True], "sql": [[1, "c"], [2, "b"]], "cleaned": True}
    assert ran.signers <= issued_for(lake.site, "lake-writer", issued)
    assert len(ran.signers) > 2
