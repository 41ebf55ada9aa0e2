"""The jars that a Spark application has before its builder names any: a value that the builder sets replaces them all.

Source: Spark documentation, "Launching Applications with spark-submit" and "Dynamically Loading Spark Properties".
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from pathlib import Path

_JARS = "spark.jars"


def configured_jars() -> list[str]:
    """Returns the jars of the JVM that runs already, else those that spark-submit will read when it starts one; none without a JVM."""
    try:
        from pyspark import SparkConf, SparkContext  # noqa: PLC0415
    except ImportError:
        # A client of Spark Connect.
        return []
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        # spark-submit has started this program, and its JVM.
        SparkContext._ensure_initialized()
    value = SparkConf().get(_JARS) if SparkContext._gateway is not None else _submitted()
    return [jar for jar in (value or "").split(",") if jar]


def _submitted() -> str | None:
    """Returns the value that spark-submit takes: the first of its arguments `--jars` and `--conf`, and its file of properties."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--jars")
    parser.add_argument("--conf", "-c", action="append", default=[])
    parser.add_argument("--properties-file", type=Path)
    arguments, _ = parser.parse_known_args(shlex.split(os.environ.get("PYSPARK_SUBMIT_ARGS", "")))
    if arguments.jars:
        return str(arguments.jars)
    named: dict[str, str] = dict(pair.split("=", 1) for pair in arguments.conf if "=" in pair)
    if _JARS in named:
        return named[_JARS]
    file: Path = arguments.properties_file or _configuration() / "spark-defaults.conf"
    try:
        return _properties(file.read_text(errors="replace")).get(_JARS)
    except OSError:
        return None


def _configuration() -> Path:
    named = os.environ.get("SPARK_CONF_DIR")
    if named:
        return Path(named)
    from pyspark.find_spark_home import _find_spark_home  # noqa: PLC0415

    return Path(_find_spark_home()) / "conf"


def _properties(text: str) -> dict[str, str]:
    """Reads the format of java.util.Properties: a name, then blanks, `=` or `:`, then the value; a backslash continues a line."""
    joined = re.sub(r"\\\r?\n\s*", "", text)
    found = re.findall(r"^[ \t]*(?![#!])((?:\\.|[^\s=:\\])+)[ \t]*[=: \t][ \t]*(.*?)[ \t]*$", joined, re.MULTILINE)
    return {re.sub(r"\\(.)", r"\1", name): re.sub(r"\\(.)", r"\1", value) for name, value in found}
