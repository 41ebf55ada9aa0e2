"""Credentials that outlive their sessions: a job on real Spark reads through short lifetimes and trouble without a failed read.

`make soak` does the same for longer; runs/soak.py says how sessions get short.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rig.spark import LINES, SPARK_3_5, SPARK_4_3, Line, Spark, reports
from rig.stage import Stage
from runs import soak
from tests.product.combinations import on_line
from tests.programs import compiled

RUN_SECONDS = 40


@on_line(SPARK_3_5, SPARK_4_3, lines=LINES)
def test_reads_go_on_through_many_lifetimes_and_the_death_of_an_executor(
    line: Line, stage: Stage, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("spark", f"{line.spark} / {line.hadoop} {soak.MASTER}")
    record_property("class path", "system/user")
    life = soak.live(stage, soak.on_local_cluster(stage, line, tmp_path), RUN_SECONDS)
    problems = soak.failures(life, RUN_SECONDS // soak.LIFE_SECONDS)
    print("\n" + "; ".join(f"{name}: {value}" for name, value in soak.figures(line, life, problems).items()))
    assert problems == [], life.found


@on_line(SPARK_3_5)
def test_a_configuration_written_during_refreshes_loses_no_key(line: Line, stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    spark = Spark(line, 17, site.s3.endpoint, tmp_path)
    done = spark.submit(compiled(line), "Writes", site.variables(site.scientist))
    assert done.returncode == 0, done.stdout + done.stderr
    assert reports(done.stdout) == {"missing": [], "overwritten": True}
