"""Formats of tables, as users add them to Spark: jars that come with the job, and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rig import BUILD
from rig.spark import SPARK_3_5, SPARK_4_1, Line

#: The lines for which there is a current version of Iceberg and of Delta Lake.
LINES = (SPARK_3_5, SPARK_4_1)

ICEBERG = {"spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"}
DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
}
HUDI = {
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.kryo.registrator": "org.apache.spark.HoodieSparkKryoRegistrar",
    "spark.sql.extensions": "org.apache.spark.sql.hudi.HoodieSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.hudi.catalog.HoodieCatalog",
}
COMET = {
    "spark.plugins": "org.apache.spark.CometPlugin",
    "spark.memory.offHeap.enabled": "true",
    "spark.memory.offHeap.size": "512m",
    "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
}


def jars(name: str, line: Line) -> list[Path]:
    """Returns the jars of a format for a line of Spark, as the Makefile has fetched them."""
    found = sorted((BUILD / "tables" / f"{name}-{line.spark}").glob("*.jar"))
    if not found:
        raise FileNotFoundError(f"{name} for Spark {line.spark} is missing; call `make tables`")
    return found


def iceberg_catalog(name: str, options: Mapping[str, str], implementation: str = "SparkCatalog") -> dict[str, str]:
    """Returns the configuration of a catalog of Iceberg."""
    prefix = f"spark.sql.catalog.{name}"
    return {prefix: f"org.apache.iceberg.spark.{implementation}", **{f"{prefix}.{option}": value for option, value in options.items()}}


def s3_file_io(endpoint: str) -> dict[str, str]:
    """Returns the options of a catalog whose tables are read by S3FileIO.

    Iceberg 1.12 takes by default a client for HTTP that the SDK of S3A has not yet.
    """
    return {
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": endpoint,
        "s3.path-style-access": "true",
        "client.region": "us-east-1",
        "http-client.type": "urlconnection",
    }


def jdbc(database: Path, warehouse: str) -> dict[str, str]:
    """Returns the options of a catalog that keeps its names in a database of SQLite."""
    return {"type": "jdbc", "uri": f"jdbc:sqlite:{database}", "warehouse": warehouse, "jdbc.schema-version": "V1"}
