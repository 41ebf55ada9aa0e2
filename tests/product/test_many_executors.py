"""Many executors of real Spark, each in its own JVM: what every one of them may read, and what a role costs the driver."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from rig.canary import leaks
from rig.spark import SPARK_3_5, Spark, reports
from rig.stage import Stage
from tests.product.test_delivery import logging_tokens, received_tokens
from tests.programs import compiled

FEW, NUMBER, SWITCHES = 4, 16, 10
RESOURCE, OTHER = ["read", "AccessDeniedException"], ["AccessDeniedException", "read"]


@pytest.mark.everywhere
@pytest.mark.platform(f"Spark {SPARK_3_5.spark} with {NUMBER} executors on one machine")
def test_many_executors_get_each_change_of_roles_by_one_message(stage: Stage, tmp_path: Path) -> None:
    confs = {
        **stage.read_as_stranger_alone(),
        **logging_tokens(tmp_path),
        "spark.executor.memory": "512m",
        "spark.executor.cores": "1",
        # Starts the others when a job wants them.
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.minExecutors": str(FEW),
        "spark.dynamicAllocation.maxExecutors": str(NUMBER),
        "spark.dynamicAllocation.executorIdleTimeout": "1h",
        "spark.network.timeout": "600s",
    }
    site = stage.site
    spark = Spark(SPARK_3_5, 17, site.s3.endpoint, tmp_path, f"local-cluster[{NUMBER},1,512]", confs=confs)
    asked, granted = len(site.s3.exchanges), site.granted()
    arguments = (stage.resource, stage.other, str(FEW), str(NUMBER), str(SWITCHES))
    done = spark.submit(compiled(spark.line), "Many", site.variables(site.scientist), *arguments, seconds=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    print(found)

    assert found["before"] == [["read", "read"]]
    registered, jobs = found["registered"], found["jobs of the product"]
    assert isinstance(registered, int) and isinstance(jobs, int)
    assert registered < NUMBER, "all had started when the role was assumed"
    assert found["assumed"] == found["refreshed"] == found["replaced"] == [RESOURCE]
    for turn in range(1, SWITCHES + 1):
        assert found[f"switch {turn}"] == [[RESOURCE, OTHER][turn % 2]], found
        # Pushes, those under the monitor of the scheduler, tasks and jobs.
        assert found[f"messages of switch {turn}"] == [NUMBER, 0, 0, 0], found
    assert found["messages of a refresh"] == [NUMBER, 0, 0, 0]
    # Only what was opened before the role is opened again: by those who were there, and perhaps by those who came later, each by itself.
    assert 0 < jobs <= 2 * NUMBER
    # The role, the refresh and the switches for those who live through them, the one that came later, and the one that died.
    received = sorted(received_tokens(spark.line, found["application"]).values())
    assert received == [2, 1 + SWITCHES, *[2 + SWITCHES] * (NUMBER - 1)]
    signers = [signer for signer, _ in itertools.groupby(exchange.access_key_id for exchange in site.s3.exchanges[asked:])]
    assert signers[0] == stage.stranger.access_key_id
    # Each of them once, so nobody signs after a switch who signed before.
    assert len(signers) == 1 + site.granted() - granted == 2 + SWITCHES
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []
