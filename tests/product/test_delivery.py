"""Roles on their way to the executors of real Spark: executors that start, are busy, die, and have no S3A."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from rig import kubernetes
from rig.canary import leaks
from rig.spark import LOG4J, SHORT_LIVED, SPARK_3_5, SPARK_4_1, SPARK_4_3, Line, Place, Spark, reports
from rig.stage import Stage
from tests.product.combinations import on_line
from tests.programs import compiled

CLUSTER = "local-cluster[2,1,1024]"

SHOWN = ["spark.yarn.appMasterEnv.API_KEY", "fs.s3a.session.token"]

LATE = (
    "executors 0, 1 have had no room for a task for ten minutes; until they have or end, jobs open their buckets anew; with "
    "spark.plugins=io.hops.util.spark.HopsSparkPlugin an application needs no room for that"
)
GIVEN_UP = (
    "executors 0 cannot be told to open their buckets again, and are not asked any more; jobs open their buckets anew, and what was made "
    "before the role may read under another identity there; end them with SparkContext.killExecutors, or start the application again"
)

#: Tells of executors that start and end as well.
_LOG4J = f"""{LOG4J}
logger.executor.name = org.apache.spark.executor.CoarseGrainedExecutorBackend
logger.executor.level = info
"""


def run(
    stage: Stage,
    line: Line,
    directory: Path,
    *arguments: str,
    master: str = CLUSTER,
    s3a: Place = Place.SYSTEM,
    product: Place = Place.USER,
    confs: Mapping[str, str] | None = None,
) -> tuple[dict[str, object], subprocess.CompletedProcess[str]]:
    """Runs the program to its end. Returns what it reported."""
    site = stage.site
    spark = Spark(line, 17, site.s3.endpoint, directory, master, product, s3a, confs=confs or {})
    done = spark.submit(compiled(line), "Deliveries", site.variables(site.scientist), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert leaks(site.secrets(), directory, done.stdout, done.stderr) == []
    return reports(done.stdout), done


def logging_tokens(directory: Path) -> dict[str, str]:
    """Returns the configuration with which executors say that they received tokens."""
    log = directory / "executors.properties"
    log.write_text(_LOG4J)
    return {"spark.executor.extraJavaOptions": f"{SHORT_LIVED} -Dlog4j2.configurationFile={log}"}


def received_tokens(line: Line, application: object) -> dict[str, int]:
    """Counts by executor how often one of a `local-cluster` received tokens after its start."""
    # Spark keeps what executors of such a cluster print in its own folder.
    logs = (line.home / "work" / str(application)).glob("*/stderr")
    return {path.parent.name: len(re.findall("Received tokens of", path.read_text())) for path in logs}


def is_reader(reads: object) -> bool:
    """Returns true if the first bucket was read and the second one denied."""
    assert isinstance(reads, list)
    return bool(reads[0] == "3 rows" and reads[1].startswith("java.nio.file.AccessDeniedException: s3a://other"))


@on_line(SPARK_4_1)
def test_executors_without_room_for_a_task_refuse_no_role_and_read_with_it(line: Line, stage: Stage, tmp_path: Path) -> None:
    # Paths of s3:// are read by a class of the user's own, derived from S3A.
    confs = {
        **stage.read_as_stranger_alone(),
        "spark.plugins": "SlowToStart",
        "spark.test.go": str(tmp_path / "go"),
        "spark.hadoop.fs.s3.impl": "OwnFileSystem",
    }
    arguments = ("without room", stage.resource, str(tmp_path / "end"))
    found, done = run(stage, line, tmp_path, *arguments, product=Place.SYSTEM, confs=confs)
    assert found["assumed"] == "assumed"
    assert is_reader(found["first"]), found
    assert found["before"] == ["3 rows", "1 rows"]
    assert found["interrupted"] == "interrupted while the executors were told to open their buckets again"
    assert found["undone"] == []
    assert found["assumed busy"] == "assumed"
    assert found["meanwhile"] == ["true", "true"]
    assert is_reader(found["first busy"]), found
    assert found["ended"] is True
    # Jobs from before the role and jobs that were planned while the executors had no room.
    assert found["polluted"] == ["AccessDeniedException"] * 2
    assert "executors 0, 1 have no room for a task; until they have, jobs open their buckets anew" in done.stderr
    assert found["late"] is found["given up"] is True, found
    assert found["assumed beside a broken one"] == "assumed"
    assert found["beside a broken one"] == ["AccessDeniedException"]
    assert found["jobs since"] == 1
    assert found["still uncached"] == "true"
    warnings = found["warnings"]
    assert isinstance(warnings, list)
    assert [text for text in warnings if text.startswith("executors ")] == [LATE, GIVEN_UP]
    assert found["late by doctor"] is True
    assert found["doctor"] == [f"PROBLEM executors: {GIVEN_UP}"]


# The scheduler keeps its executors in other places on the newest line.
@on_line(SPARK_4_3, lines=[SPARK_3_5, SPARK_4_3])
def test_a_renewal_of_sparks_own_tokens_and_ours_do_not_replace_each_other(line: Line, stage: Stage, tmp_path: Path) -> None:
    # A task that prefers a busy executor waits for that one.
    confs = {**stage.read_as_stranger_alone(), **logging_tokens(tmp_path), "spark.locality.wait": "1h"}
    found, _ = run(stage, line, tmp_path, "renewal", stage.resource, stage.lake, str(tmp_path / "end"), confs=confs)
    # After two roles and a release between them.
    assert found["jobs"] == 0, "nothing can have been opened, and a job looked for it"
    assert found["clear"] == [False, True, False, False]
    remedy = "set spark.redaction.regex to (?i)secret|password|token|access[.]?key|api[._]?key, and more of your own"
    shown = [f"Spark shows the value of {key} in its event log and its pages; {remedy}" for key in SHOWN]
    assert found["shown"] == shown
    kept = f"YARN writes the value of {SHOWN[0]} to the disks of its nodes; give the key as a file, by --files and API_KEY_FILE"
    assert found["on disks"] == [kept]
    assert is_reader(found["first"]), found
    assert found["beside a busy one"] is True, "one busy executor kept another one from being asked"
    assert found["still busy"] is True
    assert found["renewed"] == ["of a renewal"]
    assert found["replaced"] is True
    assert found["afterwards"] == ["io.hops.util.live.1", "of a renewal"]
    assert found["user of the driver"] is False
    assert found["providers"] is True
    assert found["released"] == [None]
    received = received_tokens(line, found["application"])
    assert len(received) == 3, received
    # A role and its release, the two roles, the renewal and the release for those who live through them; the third comes after the
    # renewal. Another release tells nobody.
    assert sorted(received.values()) == [3, 4, 6], received


@pytest.mark.parametrize(
    "on_kubernetes",
    [
        pytest.param(False, id="local-cluster"),
        pytest.param(True, id="Kubernetes", marks=[pytest.mark.everywhere, pytest.mark.platform(kubernetes.PLATFORM)]),
    ],
)
def test_executors_that_get_no_task_or_none_of_others_hold_up_no_role_and_read_with_it_later(
    on_kubernetes: bool, stage: Stage, tmp_path: Path
) -> None:
    confs = {
        **stage.read_as_stranger_alone(),
        "spark.executor.cores": "1",
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.minExecutors": "1",
        "spark.dynamicAllocation.executorIdleTimeout": "1h",
        "spark.decommission.enabled": "true",
        "spark.excludeOnFailure.enabled": "true",
        "spark.excludeOnFailure.application.maxFailedTasksPerExecutor": "1",
        "spark.task.maxFailures": "3",
    }
    site = stage.site
    with contextlib.ExitStack() as started:
        master = "local-cluster[3,1,1024]"
        if on_kubernetes:
            cluster = started.enter_context(kubernetes.cluster(SPARK_3_5, tmp_path / "pods"))
            # Spark starts with as many of each profile.
            master, confs = cluster.master, cluster.confs | confs | {"spark.executor.instances": "1"}
        spark = Spark(SPARK_3_5, 17, site.s3.endpoint, tmp_path, master, confs=confs)
        done = spark.submit(compiled(SPARK_3_5), "Away", site.variables(site.scientist), stage.resource, str(tmp_path / "end"))
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    assert found["before"] == ["other read", "resource read"] * 2, found
    assert found["alone"] == found["came"] == 1, found
    assert found["assumed"] == "assumed"
    # Neither the one that is excluded nor the one that is about to end.
    assert found["asked"] == [1], found
    assert found["uncached"] is True
    assert found["left"] is True
    for name in ("of its profile", "that came", "forgiven", "forgiven, as before"):
        assert found[name] == ["other denied", "resource read"], found
    assert found["that came, as before"] is found["over"] is True, found


def test_credentials_reach_tasks_where_there_is_no_s3a(stage: Stage, tmp_path: Path) -> None:
    found, _ = run(
        stage, SPARK_3_5, tmp_path, "without S3A", stage.resource, s3a=Place.WHEEL, confs={"spark.hadoop.fs.s3.impl": "OwnFileSystem"}
    )
    assert found["tasks"] == [found["first"]]
    assert found["refreshed"] == ["ASIAREFRESHED"]
    assert found["mode"] == "mode=static"
    assert found["schemes"] == [True, False], "only s3a is known to be read by S3A where there is none"
    assert found["released"] == "released"


def test_contexts_of_one_application_id_get_the_role_each_with_hundreds_of_executors_too_and_none_is_kept(
    stage: Stage, tmp_path: Path
) -> None:
    # S3A is on the driver only: executors that have run a job are asked all the same, and have nothing open.
    confs = {"spark.executor.extraClassPath": str(tmp_path)}
    found, done = run(stage, SPARK_3_5, tmp_path, "contexts", stage.resource, master="local[1]", confs=confs)
    assert "open their buckets" not in done.stderr
    assert found["answered 5"] is found["answered 10"] is True, found
    for number in range(1, 51):
        assert found[f"context {number}"] == ["mode=live", stage.resource], found
    # Pushes to 200 executors, those under the monitor of the scheduler, tasks, and jobs.
    assert found["registered"] == [200, 0, 0, 0]
    assert found["told"] == [400, 0, 0, 0]
    started, left = found["started"], found["objects left"]
    assert isinstance(started, list) and isinstance(left, list)
    assert started[:3] == [400, 0, 200]
    assert started[3] < 10, "hardly more than one job for all"
    assert found["left"] == 0
    objects = {name: int(number) for number, name in (row.split(" ", 1) for row in left)}
    assert objects["org.apache.spark.SparkContext"] == objects["io.hops.util.internal.LiveStore"] == 1
    assert max(objects.values()) < 20, objects
    assert found["threads left"] == ["hops-credentials refresh"]
    # Whoever asks for credentials reads with them next.
    assert found["beside a writer"] == [True, "mode=live"]
