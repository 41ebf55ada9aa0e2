"""Delta Lake reads and writes with the role of the application, logs of its own included."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.spark import SPARK_3_5, SPARK_4_1, Line
from rig.stage import Stage
from rig.tables import DELTA, LINES, jars
from runs.readers import SECONDS, issued_for
from tests.product.lakehouse.application import CLUSTER, Application

pytestmark = [pytest.mark.lakehouse, pytest.mark.platform(f"Delta Lake 3.3.3 and 4.4.0: Spark {', '.join(line.spark for line in LINES)}")]

_BEGIN = """
folder, seconds = sys.argv[5], float(sys.argv[6])
spark.conf.set("spark.sql.session.timeZone", "UTC")
path, copy = f"{folder}/words", f"{folder}/copy"

def count(path):
    return spark.read.format("delta").load(path).count()

def write():
    spark.range(20).selectExpr("id", "cast(id AS STRING) word").write.format("delta").save(path)

# A path that was tried before the role leaves nothing behind.
report("before", outcome(lambda: count(path))[0])
assume_role(lake)
write()
"""

_STREAM = """
until = time.monotonic() + seconds
stream = (spark.readStream.format("delta").load(path).writeStream.format("delta")
    .option("checkpointLocation", f"{folder}/checkpoint").trigger(processingTime="4 seconds").start(copy))
written = 20
while time.monotonic() < until:
    spark.range(written, written + 1).selectExpr("id", "'new' word").write.format("delta").mode("append").save(path)
    written += 1
stream.processAllAvailable()
stream.stop()
report("written", count(path) == written)
report("copied", count(copy) == written)
assume_role(other)
report("with another role", "403" in str(outcome(lambda: count(copy))))
"""

_KEEP = """
until = time.monotonic() + seconds
changed = 0
while changed < 2 or time.monotonic() < until:
    changed += 1
    sql(f"MERGE INTO delta.`{path}` t USING (SELECT 5L id, 'x' word) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *")
    sql(f"UPDATE delta.`{path}` SET word = 'y' WHERE id = 6")
sql(f"DELETE FROM delta.`{path}` WHERE id = 7")
sql(f"OPTIMIZE delta.`{path}`")
report("first", spark.read.format("delta").option("versionAsOf", 0).load(path).count())
sql(f"VACUUM delta.`{path}` RETAIN 0 HOURS")
report("at last", sql(f"SELECT count(*), max(word) FROM delta.`{path}`"))
sql(f"CREATE TABLE named USING delta LOCATION '{folder}/named' AS SELECT 1 id")
report("named", sql("SELECT * FROM named"))
"""

_CONFS = {**DELTA, "spark.sql.shuffle.partitions": "2", "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem"}
_LATER = pytest.mark.everywhere


@pytest.mark.parametrize(
    ("line", "scheme"),
    [
        (SPARK_3_5, "s3a"),
        pytest.param(SPARK_3_5, "s3", marks=_LATER),
        pytest.param(SPARK_4_1, "s3a", marks=_LATER),
        pytest.param(SPARK_4_1, "s3", marks=_LATER),
    ],
    ids=str,
)
def test_a_table_is_written_and_streamed_with_the_role_alone_through_lifetimes(
    line: Line, scheme: str, lake: Stage, warehouse: str, tmp_path: Path
) -> None:
    issued = len(lake.site.sts.exchanges)

    ran = Application(lake, tmp_path, line, CLUSTER, _CONFS, jars=jars("delta", line)).run(
        _BEGIN, _STREAM, arguments=(f"{scheme}://{warehouse}", str(SECONDS / 2))
    )

    assert ran.found.pop("before") != []
    assert ran.found == {"written": True, "copied": True, "with another role": True}
    others = issued_for(lake.site, "second", issued)
    assert ran.signers - {None} <= issued_for(lake.site, "lake-writer", issued) | others
    assert len(ran.signers - others - {None}) > 2


@_LATER
@pytest.mark.parametrize("scheme", ["s3a", "s3"])
@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_table_is_merged_compacted_and_vacuumed_with_the_role_alone_through_lifetimes(
    line: Line, scheme: str, lake: Stage, warehouse: str, tmp_path: Path
) -> None:
    issued = len(lake.site.sts.exchanges)

    ran = Application(lake, tmp_path, line, CLUSTER, _CONFS, jars=jars("delta", line)).run(
        _BEGIN, _KEEP, arguments=(f"{scheme}://{warehouse}", str(SECONDS / 2))
    )

    assert ran.found.pop("before") != []
    assert ran.found == {"first": 20, "at last": [[19, "y"]], "named": [[1]]}
    assert ran.signers - {None} <= issued_for(lake.site, "lake-writer", issued)
    assert len(ran.signers - {None}) > 2
