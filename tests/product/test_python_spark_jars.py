"""The jar that the wheel brings for Spark, beside those of the cluster."""

from __future__ import annotations

import zipfile
from pathlib import Path

from rig import BUILD
from rig.spark import SPARK_3_5
from tests.programs.python_program import python, reported


def test_a_wheel_without_the_jar_says_so_where_it_is_needed(tmp_path: Path) -> None:
    """The wheel is the one that `pip install .` builds."""
    (bare,) = (BUILD / "wheel" / "dev" / "bare").glob("*.whl")
    packages = tmp_path / "packages"
    with zipfile.ZipFile(bare) as wheel:
        wheel.extractall(packages)
    done = python(
        tmp_path,
        {"PYTHONPATH": f"{packages}:{SPARK_3_5.python}:{next(SPARK_3_5.python.glob('lib/py4j-*-src.zip'))}"},
        """
        from pyspark.sql import SparkSession
        report("from", provider.__file__)
        report("refused", outcome(lambda: configure(SparkSession.builder)))
        """,
    )
    found = reported(done)
    assert str(found["from"]).startswith(str(packages))
    assert found["refused"] == [
        "NotConfiguredError",
        "this wheel was built without the jar that Spark needs; nothing has changed: build it with `make wheel`, or start Spark with "
        "--packages io.hops:hops-credentials",
        0,
    ]


def test_a_builder_keeps_the_jars_that_spark_submit_reads(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text(
        "# spark.jars /commented.jar\nspark.jars.packages = a:b:1\nspark.jars : /first.jar,\\\n   /second.jar  \n"
    )
    (tmp_path / "mine.conf").write_text("spark.jars /third.jar\n")
    done = python(
        tmp_path,
        {"PYTHONPATH": f"{SPARK_3_5.python}:{next(SPARK_3_5.python.glob('lib/py4j-*-src.zip'))}", "SPARK_CONF_DIR": str(tmp_path)},
        """
        from pyspark.sql import SparkSession

        def jars(submitted, **options):
            os.environ["PYSPARK_SUBMIT_ARGS"] = submitted
            builder = SparkSession.Builder()
            for name, value in options.items():
                builder.config("spark." + name, value)
            found = configure(builder)._options["spark.jars"].split(",")
            return found[:-1] if "hops-credentials" in found[-1] else found

        report("defaults", jars("pyspark-shell"))
        report("file", jars("--properties-file mine.conf pyspark-shell"))
        report("conf", jars("--conf spark.jars=/a.jar --properties-file mine.conf pyspark-shell"))
        report("jars", jars("--master local[2] --jars /b.jar,/c.jar --conf spark.jars=/a.jar pyspark-shell"))
        report("builder", jars("--jars /b.jar pyspark-shell", jars="/own.jar"))
        os.environ["SPARK_CONF_DIR"] = "/nonexistent"
        report("none", jars(""))
        """,
    )
    assert reported(done) == {
        "defaults": ["/first.jar", "/second.jar"],
        "file": ["/third.jar"],
        "conf": ["/a.jar"],
        "jars": ["/b.jar", "/c.jar"],
        "builder": ["/own.jar"],
        "none": [],
    }
