"""Projects that take the published jar as a dependency: sbt, Gradle and Maven compile the Scala line and run it, in Scala 2.12 and 2.13."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rig import BUILD, ROOT, jdk
from rig.deployment import Deployment
from rig.process import build_environment, run
from rig.spark import version

_REPOSITORY = BUILD / "repo"
SCALA_2_12 = "2.12.18"
SCALA_2_13 = "2.13.16"


def _project(tool: str, directory: Path) -> Path:
    """Copies a consumer's project, and adds the program that all of them share."""
    project = directory / "project"
    shutil.copytree(ROOT / "tests" / "consumers" / tool, project)
    sources = project / "src" / "main" / "scala"
    sources.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "consumers" / "Main.scala", sources)
    return project


def _build(site: Deployment, project: Path, *command: str | Path) -> str:
    """Runs a build tool in a project, as a job of the data scientist would. Returns what it printed."""
    variables = build_environment(JAVA_HOME=str(jdk.home(17)), **site.variables(site.scientist))
    done = run(command, variables, project, 600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _expected(site: Deployment, scala: str) -> str:
    return f"Scala {scala}: {site.cloud.resource_reader} true"


def test_sbt_runs_both_scalas_in_one_jvm(site: Deployment, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("language", "Scala 2.12, 2.13")
    record_property("java", "17")
    record_property("class path", "sbt")
    # Gives sbt caches of its own, so that a user's global settings take no part.
    cache = BUILD / "sbt"
    where = [f"-Dsbt.{name}={cache / name}" for name in ("boot.directory", "global.base", "ivy.home", "coursier.home")]
    quiet = ["-Dsbt.color=false", "-Dsbt.supershell=false", "-Dsbt.server.autostart=false"]
    product = [f"-Drepo={_REPOSITORY.as_uri()}", f"-Dproduct={version()}"]
    launcher: list[str | Path] = [jdk.home(17) / "bin" / "java", "-Xmx1g", *where, *quiet, *product, "-jar", BUILD / "sbt-launch.jar"]

    printed = _build(site, _project("sbt", tmp_path), *launcher, "+run")

    assert _expected(site, SCALA_2_12) in printed
    assert _expected(site, SCALA_2_13) in printed


@pytest.mark.parametrize("scala", [SCALA_2_12, SCALA_2_13])
def test_gradle_compiles_and_runs_either_scala(
    scala: str, site: Deployment, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("language", f"Scala {scala}")
    record_property("java", "17")
    record_property("class path", "Gradle")
    properties = [f"-Prepo={_REPOSITORY.as_uri()}", f"-Pproduct={version()}", f"-PscalaVersion={scala}"]

    printed = _build(site, _project("gradle", tmp_path), "gradle", "--no-daemon", "--console=plain", "-q", *properties, "run")

    assert _expected(site, scala) in printed


@pytest.mark.parametrize("scala", [SCALA_2_12, SCALA_2_13])
def test_maven_compiles_and_runs_either_scala(
    scala: str, site: Deployment, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("language", f"Scala {scala}")
    record_property("java", "17")
    record_property("class path", "Maven")
    properties = [f"-Drepo={_REPOSITORY.as_uri()}", f"-Dproduct={version()}", f"-Dscala.version={scala}"]
    # Asks anew (-U) for what an earlier run did not find.
    printed = _build(site, _project("maven", tmp_path), "mvn", "-q", "-B", "-U", *properties, "compile", "exec:java")

    assert _expected(site, scala) in printed
