"""Some places where the jars may lie, on one line of Spark each. `make matrix` runs all of them on every line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.spark import SPARK_3_5, SPARK_4_1, SPARK_4_3, Line, Place
from rig.stage import Stage
from runs import matrix
from runs.matrix import ADDED, OWN_CLASS, PACKAGES, Layout


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
