"""Applications with catalogs of Iceberg."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rig.spark import Line
from rig.stage import Stage
from rig.tables import ICEBERG, LINES, jars
from tests.product.lakehouse.application import Application

MARKS = [pytest.mark.lakehouse, pytest.mark.platform(f"Iceberg 1.12.0: Spark {', '.join(line.spark for line in LINES)}")]


def application(stage: Stage, directory: Path, line: Line, master: str, catalogs: Mapping[str, str], **more: object) -> Application:
    """Returns an application whose configuration has these catalogs as well."""
    confs = {**ICEBERG, "spark.sql.shuffle.partitions": "2", **catalogs}
    more.setdefault("jars", jars("iceberg", line))
    return Application(stage, directory, line, master, confs, **more)  # type: ignore[arg-type]
