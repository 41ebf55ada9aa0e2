"""Real Spark on a standalone cluster: a master and workers, RPC that is authenticated and encrypted, drivers here and on a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.canary import leaks
from rig.deployment import Deployment
from rig.packets import recording_packets
from rig.spark import SPARK_3_5, SPARK_4_3, Line
from rig.stage import Stage
from rig.standalone import standalone
from runs import soak
from tests.product.test_lifetimes import RUN_SECONDS
from tests.product.test_spark import check

pytestmark = [pytest.mark.everywhere, pytest.mark.platform("Spark standalone, RPC encryption")]

MODES = pytest.mark.parametrize(
    ("line", "mode"),
    [(line, mode) for line in (SPARK_3_5, SPARK_4_3) for mode in ("client", "cluster")],
    ids=lambda part: getattr(part, "spark", part),
)


@MODES
def test_a_mapped_role_reads_its_bucket_and_no_other_on_a_standalone_cluster(
    line: Line, mode: str, site: Deployment, tmp_path: Path
) -> None:
    http = [site.endpoint, site.instance, site.cloud.aws.endpoint, site.s3.endpoint, site.sts.endpoint]
    with standalone(line, site.s3.endpoint, tmp_path, mode) as spark, recording_packets(without=http) as packets:
        # Three daemons, the driver and two executors.
        check(spark, site, processes=6)
    travelled = b"".join(packets).decode("latin-1")
    # Names what Spark says in clear before it encrypts, so that its packets are known to be among these.
    assert "sparkSaslUser" in travelled or "AES" in travelled
    assert leaks(site.secrets(), tmp_path / "nothing", travelled) == [], "it travels in clear"


@MODES
def test_reads_go_on_through_lifetimes_and_the_death_of_an_executor_on_a_standalone_cluster(
    line: Line, mode: str, stage: Stage, tmp_path: Path
) -> None:
    with standalone(line, stage.site.s3.endpoint, tmp_path, mode) as spark:
        life = soak.live(stage, spark, RUN_SECONDS)
        problems = soak.failures(life, RUN_SECONDS // soak.LIFE_SECONDS)
    print("\n" + "; ".join(f"{name}: {value}" for name, value in soak.figures(line, life, problems).items()))
    assert problems == [], life.found
    # An executor died and another one came.
    assert len(list(tmp_path.glob("worker-*/app-*/*"))) == 3
