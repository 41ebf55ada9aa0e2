"""Jobs on a real YARN: ResourceManager and NodeManagers on loopback, client and cluster mode, and what stays on the nodes' disks."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rig.canary import leaks
from rig.spark import SPARK_3_5, SPARK_4_1, Line, Place, reports
from rig.stage import Stage
from rig.yarn import OnYarn, Yarn, yarn
from runs import soak
from tests.programs import compiled
from tests.programs.python_program import VENV, reported, written

ROW = "YARN 3.3.4, client and cluster mode, Spark {}"
pytestmark = pytest.mark.everywhere

BOTH_MODES = pytest.mark.parametrize("mode", ["client", "cluster"])
BOTH_LINES = pytest.mark.parametrize(
    "line",
    [pytest.param(line, id=line.spark, marks=pytest.mark.platform(ROW.format(line.spark))) for line in (SPARK_3_5, SPARK_4_1)],
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yarn]:
    """Runs a cluster that the tests of this module share."""
    with yarn(tmp_path_factory.mktemp("yarn")) as running:
        yield running


@contextmanager
def watching(secrets: Callable[[], list[str]], directory: Path) -> Iterator[set[str]]:
    """Searches all files of the cluster and all command lines for the secrets of that moment, again and again.

    Yields the places where a secret stood at any time and did not before, without the numbers in their names.
    """
    found: set[str] = set()
    before, seen = set(places(secrets(), directory)), set()
    ended = threading.Event()

    def search() -> None:
        while not ended.wait(1):
            seen.update(places(secrets(), directory))

    with ThreadPoolExecutor() as threads:
        searched = threads.submit(search)
        try:
            yield found
        finally:
            ended.set()
            searched.result()
        seen.update(places(secrets(), directory))
        found.update(re.sub(r"\d+", "N", place) for place in seen - before)


def places(secrets: list[str], directory: Path) -> list[str]:
    """Lists where a secret stands now."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(process.read_text(errors="replace"))
    return leaks(secrets, directory, *lines)


def run(
    stage: Stage,
    cluster: Yarn,
    mode: str,
    directory: Path,
    main: str,
    *arguments: str,
    line: Line = SPARK_3_5,
    product: Place = Place.USER,
    confs: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, and checks that its event log and its output hold no secret."""
    site = stage.site
    events = directory / "events"
    events.mkdir()
    logging = {"spark.eventLog.enabled": "true", "spark.eventLog.compress": "false", "spark.eventLog.dir": events.as_uri()}
    spark = OnYarn(line, 17, site.s3.endpoint, directory, product=product, confs={**logging, **(confs or {})}, cluster=cluster, mode=mode)
    done = spark.submit(compiled(line), main, site.variables(site.scientist), *arguments, seconds=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(events.iterdir())
    assert leaks(site.secrets(), directory, done.stdout, done.stderr) == []
    return done


@BOTH_MODES
@BOTH_LINES
def test_the_program_of_readme_runs_with_a_package(line: Line, mode: str, stage: Stage, cluster: Yarn, tmp_path: Path) -> None:
    before = len(stage.site.s3.exchanges)

    found = reports(run(stage, cluster, mode, tmp_path, "Resource", line=line, product=Place.PACKAGES).stdout)

    assert found["role"] == stage.resource
    assert found["rows"] == ["1,one", "2,two", "3,three"]
    denied, explained = found["other"], found["explained"]
    assert isinstance(denied, list) and isinstance(explained, list)
    assert denied[0].startswith("java.nio.file.AccessDeniedException: s3a://other/test.csv"), denied
    assert "mode=live" in explained
    assert found["getenv"] == found["ProcessBuilder"] == found["access key id"]
    assert {exchange.access_key_id for exchange in stage.site.s3.exchanges[before:]} == {found["access key id"]}


@BOTH_MODES
@pytest.mark.platform(ROW.format(SPARK_3_5.spark))
def test_no_role_stands_on_a_disk_of_a_node_whenever_its_executors_start(mode: str, stage: Stage, cluster: Yarn, tmp_path: Path) -> None:
    before = len(stage.site.s3.exchanges)

    with watching(stage.site.secrets, cluster.directory) as places_of_secrets:
        confs = {"spark.yarn.maxAppAttempts": "2"} if mode == "client" else {}
        done = run(stage, cluster, mode, tmp_path, "Containers", stage.resource, stage.other, confs=confs)

    found = reports(done.stdout)
    of_first, of_second = ["resource read", "other denied"], ["resource denied", "other read"]
    assert found["first"] == found["replaced"] == of_first, found
    assert found["second"] == found["three"] == of_second, found
    if mode == "client":
        assert found["master"] == 1
        assert found["of a new master"] == found["next context"] == of_second, found
        assert found["there at the start"] == [True], found
    assert len({exchange.access_key_id for exchange in stage.site.s3.exchanges[before:]}) == 2
    # In client mode the API key does not travel. In cluster mode it stands in the file that the user names, which others cannot read.
    files = {"api-key"} if mode == "cluster" else set()
    assert {Path(place).name for place in places_of_secrets} == files, places_of_secrets
    copies, staged = list(cluster.nodes.rglob("api-key")), list(cluster.staging.glob("*/.sparkStaging/*"))
    assert (mode == "client" or copies) and staged
    assert [path for path in [*copies, *staged] if path.stat().st_mode & 0o077] == []


@BOTH_MODES
@BOTH_LINES
def test_reads_go_on_through_five_lifetimes_and_the_death_of_an_executor(
    line: Line, mode: str, stage: Stage, cluster: Yarn, tmp_path: Path
) -> None:
    confs = {"spark.executor.cores": "2"}
    spark = OnYarn(line, 17, stage.site.s3.endpoint, tmp_path, confs=confs, cluster=cluster, mode=mode)
    life = soak.live(stage, spark, 6 * soak.LIFE_SECONDS)
    problems = soak.failures(life, 5)
    print("\n" + "; ".join(f"{name}: {value}" for name, value in soak.figures(line, life, problems).items()))
    assert problems == [], life.found


@BOTH_MODES
@pytest.mark.platform(ROW.format(SPARK_3_5.spark))
def test_a_pyspark_program_assumes_a_role(mode: str, stage: Stage, cluster: Yarn, tmp_path: Path) -> None:
    program = """
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    credentials = assume_role(get_role(1))
    report("role", [credentials.role_arn, credentials.mode])
    report("rows", [list(row) for row in spark.read.csv("s3a://resource/test.csv").collect()])
    report("denied", "AccessDenied" in str(outcome(lambda: spark.read.csv("s3a://other/test.csv").collect())))
    report("on executors", spark.sparkContext.parallelize(range(2), 2).map(lambda number: number + 1).collect())
    report("variable", os.environ["AWS_ACCESS_KEY_ID"] == current().access_key_id)
    spark.stop()
    """
    site, before = stage.site, len(stage.site.s3.exchanges)
    spark = OnYarn(SPARK_3_5, 17, site.s3.endpoint, tmp_path, cluster=cluster, mode=mode)

    done = spark.submit_python(written(tmp_path, program), site.variables(site.scientist), VENV / "bin" / "python")

    assert reported(done) == {
        "role": [stage.resource, "environment with Spark"],
        "rows": [["1", "one"], ["2", "two"], ["3", "three"]],
        "denied": True,
        "on executors": [1, 2],
        "variable": True,
    }
    assert len({exchange.access_key_id for exchange in site.s3.exchanges[before:]}) == 1
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []
