"""DataFusion Comet, whose native code reads S3 itself, reads with the role of the application."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.spark import SPARK_3_5, SPARK_4_1, Line
from rig.stage import Stage
from rig.tables import COMET, jars
from runs.readers import SECONDS, issued_for
from tests.product.lakehouse.application import Application

pytestmark = [
    pytest.mark.lakehouse,
    pytest.mark.everywhere,
    pytest.mark.platform("DataFusion Comet 0.12.0 (native_comet) and 1.2.0: Spark 3.5.8, 4.1.4"),
]

#: Comet needs memory outside of the heap.
_MASTER = "local-cluster[1,2,2048]"

_USE = """
folder, seconds = sys.argv[5], float(sys.argv[6])
path = f"s3a://{folder}/words"
key = "fs.s3a.comet.credential.provider.class"
hadoop = context._jsc.hadoopConfiguration()

def read():
    frame = spark.read.parquet(path).where("id > 10")
    rows = len(frame.collect())
    return [rows, "Comet" in frame._jdf.queryExecution().executedPlan().toString()]

before = hadoop.get(key)
assume_role(lake)
spark.range(0, 100, 1, 2).selectExpr("id", "cast(id AS STRING) word").write.parquet(path)
until, found = time.monotonic() + seconds, []
while time.monotonic() < until:
    now = outcome(read)
    if now not in found:
        found.append(now)
report("read", found)
kill_executor()
report("by an executor that starts later", outcome(read))
assume_role(other)
report("with another role", str(outcome(read)))
release()
report("put back", hadoop.get(key) == before)
"""


#: Before Spark 4 executors make the manager of shuffles before they have the jars of the job.
_SHUFFLE = {"spark.shuffle.manager": "org.apache.spark.sql.comet.execution.shuffle.CometShuffleManager"}


@pytest.mark.parametrize(("line", "more"), [(SPARK_3_5, {"spark.comet.scan.impl": "native_comet"}), (SPARK_4_1, _SHUFFLE)], ids=str)
def test_its_scans_read_with_the_role_alone_through_lifetimes(
    line: Line, more: dict[str, str], lake: Stage, warehouse: str, tmp_path: Path
) -> None:
    confs = {**COMET, **more}
    issued = len(lake.site.sts.exchanges)

    ran = Application(lake, tmp_path, line, _MASTER, confs, jars=jars("comet", line)).run(_USE, arguments=(warehouse, str(SECONDS / 2)))

    assert ran.found["read"] == [[89, True]]
    assert ran.found["by an executor that starts later"] == [89, True]
    assert "403" in ran.found["with another role"] or "Forbidden" in ran.found["with another role"]
    assert ran.found["put back"]
    others = issued_for(lake.site, "second", issued)
    assert ran.signers - {None} <= issued_for(lake.site, "lake-writer", issued) | others
    assert len(ran.signers - others - {None}) > 2
