"""The snippets of the guide to tables work as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.guides import snippets
from rig.spark import SPARK_3_5
from rig.stage import Stage
from rig.tables import jars, s3_file_io
from tests.product.lakehouse.application import CLUSTER, Application

pytestmark = [
    pytest.mark.lakehouse,
    pytest.mark.everywhere,
    pytest.mark.platform(f"The lines of the guide to tables: Spark {SPARK_3_5.spark}"),
]

_PROGRAM = """
table, form, location = sys.argv[5:8]
assume_role(lake)
where = f"LOCATION '{location}'" if location else ""
if table.startswith("lake."):
    sql("CREATE NAMESPACE IF NOT EXISTS lake.db")
sql(f"CREATE TABLE {table} USING {form} {where} AS SELECT 1L id, 'one' word")
report("read", sql(f"SELECT * FROM {table}"))
"""


@pytest.mark.parametrize(
    ("number", "jars_of", "using"),
    [(0, "iceberg", "iceberg"), (1, "delta", "delta"), (2, "hudi", "hudi OPTIONS (primaryKey = 'id')"), (3, "cloud", "parquet")],
)
def test_a_table_is_made_and_read_with_the_lines_of_the_guide(number: int, jars_of: str, using: str, lake: Stage, tmp_path: Path) -> None:
    warehouse = f"lake/guide/{tmp_path.name}"
    snippet = snippets("tables.md", "properties")[number]
    is_iceberg = jars_of == "iceberg"
    confs = dict(line.split(maxsplit=1) for line in snippet.replace("your-bucket", warehouse).splitlines())
    if is_iceberg:
        confs |= {f"spark.sql.catalog.lake.{option}": value for option, value in s3_file_io("{s3}").items()}
        confs["spark.sql.catalog.lake.glue.endpoint"] = "{s3}"
    location = "" if is_iceberg else f"s3a://{warehouse}/words"

    ran = Application(lake, tmp_path, SPARK_3_5, CLUSTER, confs, jars=jars(jars_of, SPARK_3_5)).run(
        _PROGRAM, arguments=("lake.db.words" if is_iceberg else "words", using, location)
    )

    assert [row[-2:] for row in ran.found["read"]] == [[1, "one"]]
