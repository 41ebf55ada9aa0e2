"""The program of README as a job on real Spark: every line, both Scalas, both masters, places of the jars, JDK 8 to 25."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.canary import leaks
from rig.deployment import Deployment
from rig.root import DEBIAN_11, DEBIAN_13, SID, Root
from rig.spark import IN_CI, LINES, SPARK_3_5, SPARK_4_1, SPARK_4_3, Line, Place, Spark, reports
from tests.programs import compiled

LOCAL = "local[2]"
CLUSTER = "local-cluster[2,1,1024]"


@dataclasses.dataclass(frozen=True)
class Row:
    """A combination that users run. S3A is on the system class path. The product comes with the job, or lies beside S3A."""

    line: Line
    java: int
    master: str
    product: Place = Place.USER
    root: Root | None = None

    def __str__(self) -> str:
        return f"Spark {self.line.spark}, JDK {self.java}, {self.master}, system/{self.product.value}"


ROWS = [
    Row(SPARK_3_5, 8, CLUSTER, root=SID),
    Row(SPARK_3_5, 11, CLUSTER, root=DEBIAN_11),
    Row(SPARK_3_5, 17, LOCAL),
    Row(SPARK_3_5, 17, CLUSTER),
    Row(SPARK_3_5, 17, CLUSTER, product=Place.SYSTEM),
    Row(SPARK_3_5, 21, CLUSTER, root=DEBIAN_13),
    Row(SPARK_4_1, 17, LOCAL),
    Row(SPARK_4_1, 17, CLUSTER),
    Row(SPARK_4_3, 25, CLUSTER),
    *(Row(line, 17, CLUSTER) for line in LINES if line not in IN_CI),
]

_TABLE = """\
+---+-----+
|_c0|  _c1|
+---+-----+
|  1|  one|
|  2|  two|
|  3|three|
+---+-----+
"""


def check(spark: Spark, site: Deployment, processes: int) -> None:
    """Runs the program as a job of at least so many processes, and checks all that it leaves behind."""
    events = spark.directory / "events"
    events.mkdir()
    logging = {"spark.eventLog.enabled": "true", "spark.eventLog.compress": "false", "spark.eventLog.dir": events.as_uri()}
    spark = dataclasses.replace(spark, confs={**spark.confs, **logging})
    before = len(site.s3.exchanges)

    done = spark.submit(compiled(spark.line), "Resource", site.variables(site.scientist))

    assert done.returncode == 0, done.stdout + done.stderr
    assert _TABLE in done.stdout
    found = reports(done.stdout)
    holder = found["access key id"]
    assert found["rows"] == ["1,one", "2,two", "3,three"]
    assert found["role"] == site.cloud.resource_reader
    assert found["same context"] is True
    denied = found["other"]
    assert isinstance(denied, list)
    # Asks for the 403, which only S3 says: S3A says AccessDenied without credentials too.
    assert re.match(r"java\.nio\.file\.AccessDeniedException: s3a://other/test\.csv: .*Status Code: 403", denied[0]), denied
    explained = found["explained"]
    assert isinstance(explained, list)
    assert "mode=live" in explained
    assert found["static keys"] == [True, True, True]
    assert [found[name] for name in ("getenv", "getenv by name", "ProcessBuilder", "Runtime.exec")] == [holder] * 4
    assert f"assumed {site.cloud.resource_reader}, session ada-demo, access key {holder}, ends " in done.stderr
    # Checks that the class path is the one that the installation names.
    ours = "MutableURLClassLoader" if spark.product == Place.USER else "AppClassLoader"
    assert found["driver loaders"] == [ours, "AppClassLoader"]
    assert found["executor loaders"] == [ours, "AppClassLoader"]
    # Checks that nobody else read for it, on the driver or on an executor.
    assert {exchange.access_key_id for exchange in site.s3.exchanges[before:]} == {holder}
    command_lines = found["command lines"]
    assert isinstance(command_lines, list)
    assert len(command_lines) >= processes
    assert any(events.iterdir())
    assert leaks(site.secrets(), spark.directory, done.stdout, done.stderr) == []


def _marks(row: Row) -> list[pytest.MarkDecorator]:
    """Returns what a row is evidence for, and which command runs it."""
    evidence = [pytest.mark.platform(row.line.platform), pytest.mark.platform(f"JDK {row.java}")]
    if row.root:
        return [*evidence, pytest.mark.everywhere]
    return evidence if row.line in IN_CI else [*evidence, pytest.mark.matrix]


@pytest.mark.parametrize("row", [pytest.param(row, marks=_marks(row)) for row in ROWS], ids=str)
def test_a_mapped_role_reads_its_bucket_and_no_other(
    row: Row, site: Deployment, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("language", f"Scala {row.line.scala}")
    record_property("java", str(row.java))
    record_property("spark", f"{row.line.spark} / {row.line.hadoop} {row.master}")
    record_property("class path", f"system/{row.product.value}")
    spark = Spark(row.line, row.java, site.s3.endpoint, tmp_path, row.master, row.product, root=row.root)
    check(spark, site, processes=1 if row.master == LOCAL else 3)


def test_spark_4_1_does_not_start_on_jdk_25(site: Deployment, tmp_path: Path) -> None:
    """Hadoop before 3.5 calls `Subject.getSubject`, which JDK 24 and later refuse; so Spark 4.3 has the row on JDK 25."""
    done = Spark(SPARK_4_1, 25, site.s3.endpoint, tmp_path).submit(compiled(SPARK_4_1), "Resource", {})

    assert done.returncode != 0
    assert "java.lang.UnsupportedOperationException: getSubject is not supported" in done.stderr
