"""The places where the jars may lie. `make matrix` runs every layout on every line of Spark and prints which class loader holds what.

A layout works if a role reads its bucket on driver and executors and is denied elsewhere, a streaming query keeps its checkpoint on S3A,
and the classes are where the layout says.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from rig import jdk
from rig.process import environment, on_termination
from rig.process import run as finish
from rig.spark import LINES, SPARK_4_1, Line, Place, Spark, product_jar, reports
from rig.stage import Stage, stage
from tests.programs import compiled

CLUSTER = "local-cluster[2,1,1024]"
APP, USER = "AppClassLoader", "MutableURLClassLoader"


@dataclasses.dataclass(frozen=True)
class Layout:
    """The places of S3A and the product, and the class loaders that then hold our provider, S3A and our facade."""

    name: str
    s3a: Place
    product: Place
    driver: tuple[str, str, str]
    executors: tuple[str, str, str]
    confs: Mapping[str, str] = dataclasses.field(default_factory=dict)


#: Lets executors start when there are tasks and end when there are none.
DYNAMIC_EXECUTORS = {
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.executorIdleTimeout": "1s",
    "spark.dynamicAllocation.cachedExecutorIdleTimeout": "1s",
}
OWN = {"spark.hadoop.fs.s3a.impl": "OwnFileSystem"}

HARD = Layout("system/user", Place.SYSTEM, Place.USER, (APP, APP, USER), (APP, APP, USER))
BESIDE = Layout("system/system", Place.SYSTEM, Place.SYSTEM, (APP, APP, APP), (APP, APP, APP))
WITH_JOB = Layout("user/user", Place.USER, Place.USER, (USER, USER, USER), (USER, USER, USER))
PACKAGES = Layout(
    "user/--packages, Kryo, dynamic allocation", Place.USER, Place.PACKAGES, (USER, USER, USER), (USER, USER, USER), DYNAMIC_EXECUTORS
)
ADDED = Layout("system/addJar only", Place.SYSTEM, Place.DRIVER, (APP, APP, APP), (APP, APP, USER))
OWN_CLASS = Layout("system/system, own fs.s3a.impl", Place.SYSTEM, Place.SYSTEM, (APP, APP, APP), (APP, APP, APP), OWN)
LAYOUTS = (HARD, BESIDE, WITH_JOB, PACKAGES, ADDED, OWN_CLASS)


def run(place: Stage, layout: Layout, line: Line, directory: Path) -> dict[str, object]:
    """Runs the program in a layout. Returns its report."""
    site = place.site
    spark = Spark(line, 17, site.s3.endpoint, directory, CLUSTER, layout.product, layout.s3a, confs=layout.confs)
    done = spark.submit(compiled(line), "Layout", site.variables(site.scientist), place.resource, place.lake)
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return reports(done.stdout)


def differences(layout: Layout, line: Line, found: Mapping[str, object]) -> list[str]:
    """Lists what is not as the layout promises."""
    provider = "io.hops.util.aws.CredentialsProvider" if layout.confs == OWN else "org.apache.hadoop.fs.s3a.HopsBridge1"
    reads = found["reads"]
    assert isinstance(reads, list)
    expected = {
        "doctor": [],
        "mode": "mode=live",
        "streamed": 2,
        "provider": provider + line.sdk.upper(),
        "driver": list(layout.driver),
        "executors": list(layout.executors),
    }
    differs = [f"{name}: {found.get(name)}" for name, value in expected.items() if found.get(name) != value]
    is_read = reads[0] == "3 rows" and reads[1].startswith("java.nio.file.AccessDeniedException: s3a://other/test.csv")
    return differs if is_read else [f"reads: {reads}", *differs]


_SHELL = """\
import io.hops.util.CredentialsProvider
val creds = CredentialsProvider.assumeRole("{role}")
println("report\\trows\\t" + spark.read.csv("s3a://resource/test.csv").count())
val roles = sc.parallelize(1 to 2, 2).map(_ => CredentialsProvider.current().getRoleArn).collect().distinct.mkString
println("report\\troles\\t\\"" + roles + "\\"")
"""


def shell(place: Stage, line: Line, directory: Path) -> dict[str, object]:
    """Types a program into spark-shell, whose class loader lies below that of the job's jars. Returns its report."""
    site = place.site
    spark = Spark(line, 17, site.s3.endpoint, directory, CLUSTER, confs={"spark.ui.showConsoleProgress": "false"})
    done = spark.shell(_SHELL.format(role=place.resource), site.variables(site.scientist))
    # Removes prompts, which may stand before a line.
    return reports(done.stdout.replace("scala> ", "").replace("report\t", "\nreport\t"))


_PYSPARK = """\
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
provider = spark._jvm.io.hops.util.CredentialsProvider
provider.assumeRole(sys.argv[1])
print("report", "rows", spark.read.csv("s3a://resource/test.csv").count(), sep="\\t")
print("report", "roles", '"' + provider.current().getRoleArn() + '"', sep="\\t")
"""


def pyspark(place: Stage, line: Line, directory: Path) -> dict[str, object]:
    """Runs a PySpark program, which reaches the facade through py4j. Returns its report."""
    directory.mkdir()
    script = directory / "program.py"
    script.write_text(_PYSPARK)
    spark = Spark(line, 17, place.site.s3.endpoint, directory, CLUSTER)
    return reports(spark.python(script, place.site.variables(place.site.scientist), Path(sys.executable), place.resource).stdout)


THRIFT = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"


def thrift(place: Stage, line: Line, directory: Path) -> str:
    """Calls the product from SQL, as a user of a Thrift server. Returns what client and server printed."""
    directory.mkdir()
    spark = Spark(line, 17, place.site.s3.endpoint, directory)
    hive = ("--hiveconf", "hive.server2.thrift.port=0", "--hiveconf", "hive.server2.thrift.bind.host=127.0.0.1")
    with spark.serve(THRIFT, place.site.variables(place.site.scientist), *hive) as server:
        port = server.await_line(r"ThriftBinaryCLIService on port (\d+)", 120)[1]
        sql = "select reflect('io.hops.util.CredentialsProvider', 'assumeRole')"
        beeline: list[str | Path] = [jdk.home(17) / "bin" / "java", "-cp", f"{line.home}/jars/*", "org.apache.hive.beeline.BeeLine"]
        done = finish([*beeline, "-u", f"jdbc:hive2://127.0.0.1:{port}", "-e", sql], environment(directory / "home"), directory)
    return done.stdout + done.stderr + server.log.read_text()


def loaders(found: object) -> str:
    """Shows the class loaders that a program reported."""
    return ", ".join(found) if isinstance(found, list) else "-"


def main() -> int:
    """Returns 0 if and only if every layout works on every line."""
    on_termination(lambda: sys.exit("matrix: ended by SIGTERM"))
    assert product_jar().exists(), "run make publish first"
    table = [("hadoop-aws/product", "Spark", "Hadoop", "provider, S3A, facade on the driver", "on executors", "seconds", "result")]
    with tempfile.TemporaryDirectory() as directory, stage(Path(directory)) as place:
        for line in LINES:
            for layout in LAYOUTS:
                begin = time.monotonic()
                try:
                    found = run(place, layout, line, Path(directory) / f"{line.spark}-{LAYOUTS.index(layout)}")
                    differs = differences(layout, line, found)
                except AssertionError as failure:
                    found, differs = {}, [str(failure)[-2000:]]
                print(f"{layout.name} on Spark {line.spark}: {differs or 'ok'}", flush=True)
                seconds = f"{time.monotonic() - begin:.0f}"
                result = "FAILED" if differs else "ok"
                driver, executors = loaders(found.get("driver")), loaders(found.get("executors"))
                table.append((layout.name, line.spark, line.hadoop, driver, executors, seconds, result))
            for name, program in (("spark-shell", shell), ("PySpark", pyspark)):
                begin = time.monotonic()
                holds = program(place, line, Path(directory) / f"{line.spark}-{name}") == {"rows": 3, "roles": place.resource}
                seconds = f"{time.monotonic() - begin:.0f}"
                table.append((f"system/user, {name}", line.spark, line.hadoop, "-", "-", seconds, "ok" if holds else "FAILED"))
        begin = time.monotonic()
        refused = "this is a Spark Thrift server, whose users would all" in thrift(place, SPARK_4_1, Path(directory) / "thrift")
        seconds = f"{time.monotonic() - begin:.0f}"
        table.append(("Thrift server refuses", SPARK_4_1.spark, SPARK_4_1.hadoop, "-", "-", seconds, "ok" if refused else "FAILED"))
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    print("\n" + "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table))
    return int(any(row[-1] == "FAILED" for row in table))


if __name__ == "__main__":
    sys.exit(main())
