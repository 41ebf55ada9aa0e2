"""The role on Spark's own back end for Kubernetes. `rig.kubernetes` says what of Kubernetes is there, and what is not."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from rig import ROOT, jdk, kubernetes
from rig.canary import leaks
from rig.deployment import Deployment
from rig.process import environment, run
from rig.spark import SPARK_3_5, Spark, reports
from tests.programs import compiled

pytestmark = [pytest.mark.everywhere, pytest.mark.platform(kubernetes.PLATFORM)]


def test_a_mapped_role_reads_its_bucket_on_executors_in_pods_which_hold_no_secret(site: Deployment, tmp_path: Path) -> None:
    before = len(site.s3.exchanges)
    with kubernetes.cluster(SPARK_3_5, tmp_path / "pods") as cluster:
        spark = Spark(SPARK_3_5, 17, site.s3.endpoint, tmp_path, cluster.master, confs=cluster.confs)
        done = spark.submit(compiled(SPARK_3_5), "Resource", site.variables(site.scientist))

    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    assert found["rows"] == ["1,one", "2,two", "3,three"]
    assert "mode=live" in str(found["explained"])
    assert {exchange.access_key_id for exchange in site.s3.exchanges[before:]} == {found["access key id"]}
    assert [each["metadata"]["labels"]["spark-role"] for each in cluster.created if each["kind"] == "Pod"] == ["executor"] * 2
    # What they print, and the objects that every member of the namespace may be able to read.
    assert leaks([*site.secrets(), site.scientist], tmp_path / "pods", json.dumps(cluster.created)) == []


def _command(guide: str) -> list[str]:
    """Returns the arguments of the guide's spark-submit."""
    block = guide.split("```\nspark-submit ", 1)[1].split("```", 1)[0]
    return shlex.split(block.replace("\\\n", " "))


def test_the_guides_submission_gives_the_key_to_the_driver_alone_as_a_file(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "user-guide" / "kubernetes.md").read_text()
    arguments = _command(guide)
    with kubernetes.cluster(SPARK_3_5, tmp_path / "pods") as cluster:
        arguments[arguments.index("--master") + 1] = cluster.master
        submit: list[str | Path] = [
            SPARK_3_5.home / "bin" / "spark-submit",
            "--conf",
            "spark.kubernetes.submission.waitAppCompletion=false",
        ]
        done = run([*submit, *arguments], environment(tmp_path / "home", JAVA_HOME=str(jdk.home(17))), tmp_path, 120)

    assert done.returncode == 0, done.stdout + done.stderr
    (pod,) = (each for each in cluster.created if each["kind"] == "Pod")
    (container,) = pod["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables.items() >= {"API_KEY_FILE": "/etc/hops/api-key", "REST_ENDPOINT": "https://roles.example.org"}.items()
    assert {"name": "hops-api-key-volume", "mountPath": "/etc/hops"} in container["volumeMounts"]
    assert {"name": "hops-api-key-volume", "secret": {"secretName": "hops-api-key"}} in pod["spec"]["volumes"]
    accounts = {each["metadata"]["name"] for each in yaml.safe_load_all(guide.split("```yaml\n", 1)[1].split("```", 1)[0]) if each}
    assert pod["spec"]["serviceAccountName"] == "churn-driver"
    assert {"churn-driver", "churn-executor"} <= accounts
    properties = next(each["data"]["spark.properties"] for each in cluster.created if "spark.properties" in each.get("data", {}))
    assert "spark.kubernetes.authenticate.executor.serviceAccountName=churn-executor" in properties
    assert "hops-api-key" not in re.sub(r"spark\.kubernetes\.driver\.secrets\.hops-api-key", "", properties)
