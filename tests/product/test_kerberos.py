"""Jobs on a YARN and an HDFS that ask for Kerberos, where Spark renews its own tokens beside our roles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.canary import leaks
from rig.spark import SPARK_3_5, reports
from rig.stage import Stage
from rig.yarn import OnYarn, Yarn, yarn
from runs.readers import short_lived
from tests.product.test_yarn import BOTH_MODES, watching
from tests.programs import compiled

pytestmark = [pytest.mark.everywhere, pytest.mark.platform(f"Kerberos: YARN and HDFS 3.3.4, Spark {SPARK_3_5.spark}")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yarn]:
    """Runs a cluster in which a delegation token of HDFS ends after 40 s unless it is renewed, and after 60 s in any case."""
    with yarn(tmp_path_factory.mktemp("kerberos"), kerberos=True) as running:
        yield running


@BOTH_MODES
def test_neither_sparks_renewals_nor_ours_are_lost_to_an_executor_of_any_age(
    mode: str, stage: Stage, cluster: Yarn, tmp_path: Path
) -> None:
    # Half of the life of a token is left, since an executor that is just starting while Spark renews misses that.
    confs = {"spark.task.maxFailures": "4", "spark.security.credentials.renewalRatio": "0.5"}
    spark = OnYarn(SPARK_3_5, 17, stage.site.s3.endpoint, tmp_path, confs=confs, cluster=cluster, mode=mode)
    before = len(stage.site.s3.exchanges)
    api_keys = {stage.site.scientist, stage.site.owner}

    def of_roles() -> list[str]:
        return [secret for secret in stage.site.secrets() if secret not in api_keys]

    with short_lived(stage.site) as site, watching(of_roles, cluster.directory) as places_of_secrets:
        arguments = (stage.resource, "/tmp", "100")
        done = spark.submit(compiled(SPARK_3_5), "Renewals", site.variables(site.scientist), *arguments, seconds=600)

    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    print(found)
    assert found["secure"] is True
    assert found["failures"] == []
    executors, keys, tokens = found["executors"], found["keys"], found["tokens"]
    assert isinstance(executors, list) and isinstance(keys, list) and isinstance(tokens, list)
    assert len(set(executors)) == 3
    # Of the driver, of an executor for the whole time, and of one that has come after more than a life of both.
    assert min(keys[:2]) > 5 and keys[2] > 2, found
    assert tokens[1] > 3 and tokens[2] > 1, found
    signers = Counter(exchange.access_key_id for exchange in stage.site.s3.exchanges[before:])
    assert {exchange.status for exchange in stage.site.s3.exchanges[before:]} <= {200, 206}
    assert len(signers) >= keys[0]
    assert leaks(stage.site.secrets(), tmp_path, done.stdout, done.stderr) == []
    assert places_of_secrets == set()
    # HDFS keeps the uploaded key in a block.
    expected = {"api-key", "blk_N"} if mode == "cluster" else {"api-key"}
    assert {re.sub(r"\d+", "N", Path(place).name) for place in leaks(api_keys, cluster.directory)} <= expected
