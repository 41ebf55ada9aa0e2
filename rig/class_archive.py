"""Writes the classes of a line of Spark into a file that the JVMs of the tests map: `python -m rig.class_archive VERSION`.

A JVM that runs Spark for seconds spends two fifths of its processor time on finding, parsing and checking classes. The archive is a feature
of the JVM ("application class-data sharing"), and holds what one application has loaded. It belongs to one JDK, and to jars that stay as
they are; a JVM on another class path passes it by.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rig.aws import emulator, reads, writes
from rig.spark import LINES, SHORT_LIVED, Place, Spark

_PROGRAM = """\
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
table = spark.read.csv("s3a://lake/in/test.csv")
table.show()
table.groupBy("_c0").count().sort("_c0").write.mode("overwrite").csv("s3a://lake/out")
# What an executor loads besides.
spark._jvm.java.lang.Class.forName("org.apache.spark.executor.CoarseGrainedExecutorBackend")
spark.stop()
"""


def main() -> None:
    """Writes the archive of the line that the first argument names."""
    (line,) = (line for line in LINES if line.spark == sys.argv[1])
    with tempfile.TemporaryDirectory() as name, emulator(Path(name)) as aws:
        directory = Path(name)
        aws.bucket("lake", {"in/test.csv": "1,one\n2,two\n"})
        script = directory / "program.py"
        script.write_text(_PROGRAM)
        confs = {
            "spark.driver.extraClassPath": line.class_path,
            "spark.driver.extraJavaOptions": f"{SHORT_LIVED} -XX:ArchiveClassesAtExit={line.archive}",
        }
        spark = Spark(line, 17, aws.endpoint, directory, product=Place.WHEEL, confs=confs)
        done = spark.python(script, aws.user("writer", reads("lake"), writes("lake")).variables(), Path(sys.executable))
    if done.returncode != 0 or not line.archive.exists():
        sys.exit(done.stdout + done.stderr)


if __name__ == "__main__":
    main()
