"""The Helm chart of the server: what helm makes of it is legal, complete, and starts the server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig import ROOT
from rig.process import environment, run
from rig.server import BINARY

CHART = ROOT / "server" / "helm" / "role-mapping-server"
#: What every installation has to say.
NEEDED = ("image.repository=registry.example.org/server", "awsRegion=eu-north-1", "database.secret=role-mapping-database")


def _helm(directory: Path, command: str, *values: str, chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    called: tuple[str | Path, ...] = (sys.executable, "-m", "rig.helm", command, chart, *values)
    return run(called, environment(directory / "home", PYTHONPATH=str(ROOT)), directory, 60)


def _rendered(directory: Path, *values: str) -> dict[str, Any]:
    """Returns the objects by their kinds."""
    done = _helm(directory, "template", *NEEDED, *values)
    assert done.returncode == 0, done.stderr
    return {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}


def _server(objects: dict[str, Any]) -> dict[str, Any]:
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def test_helm_finds_no_fault_in_the_chart(tmp_path: Path) -> None:
    # As a library Helm lints a chart with the values in it alone.
    chart = shutil.copytree(CHART, tmp_path / CHART.name)
    values = yaml.safe_load((chart / "values.yaml").read_text())
    for path, value in (needed.split("=") for needed in NEEDED):
        *parents, name = path.split(".")
        reduce(dict.__getitem__, parents, values)[name] = value
    (chart / "values.yaml").write_text(yaml.safe_dump(values))

    done = _helm(tmp_path, "lint", chart=chart)

    assert (done.returncode, "Missing required value" in done.stderr) == (0, False), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (NEEDED[1:], "set image.repository to where you have pushed the image of server/Containerfile"),
        ((NEEDED[0], NEEDED[2]), "set awsRegion to the region of STS, for example eu-north-1"),
        (NEEDED[:2], "set database.secret to the name of the Secret with the URL of the PostgreSQL database"),
        ((*NEEDED, "serviceAccount.create=false"), "set serviceAccount.name, or serviceAccount.create=true"),
        ((*NEEDED, "ingress.enabled=true"), "set ingress.host to the name by which jobs and browsers reach the server"),
        ((*NEEDED, "ingress.enabled=true", "ingress.host=a.b"), "set ingress.tlsSecret: API keys and credentials must not travel in clear"),
        ((*NEEDED, "ingress.enabled=true", "tlsSecret=t"), "set tlsSecret or ingress.enabled, not both"),
        ((*NEEDED, "service.type=LoadBalancer"), "API keys and credentials must not travel in clear"),
        ((*NEEDED, "replica=3"), "'replica' not allowed"),
        ((*NEEDED, "hopsworksUrl=http://cluster"), "hopsworksUrl"),
    ],
)
def test_a_wrong_value_is_refused_with_what_to_set(values: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = _helm(tmp_path, "template", *values)

    assert done.returncode == 1
    assert message in done.stderr


def test_nobody_else_has_the_account_of_the_base_identity_and_the_node_is_not_asked_for_one(tmp_path: Path) -> None:
    role = "arn:aws:iam::123456789012:role/role-mapping-server"
    objects = _rendered(tmp_path, f"serviceAccount.annotations.eks\\.amazonaws\\.com/role-arn={role}")
    account, pod = objects["ServiceAccount"], objects["Deployment"]["spec"]["template"]["spec"]

    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": role}
    assert pod["serviceAccountName"] == account["metadata"]["name"] != "default"
    assert (pod["automountServiceAccountToken"], account["automountServiceAccountToken"]) == (False, False)
    assert {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"} in _server(objects)["env"]


def test_only_those_that_are_named_reach_a_server_that_trusts_its_proxy(tmp_path: Path) -> None:
    objects = _rendered(tmp_path)
    pod, policy = objects["Deployment"]["spec"]["template"], objects["NetworkPolicy"]["spec"]

    assert "--behind-proxy" in _server(objects)["args"]
    assert policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert objects["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert [list(each) for each in policy["ingress"][0]["from"]] == [["namespaceSelector"], ["namespaceSelector", "podSelector"]]


def test_the_pod_outlives_the_drain_and_runs_without_privileges(tmp_path: Path) -> None:
    objects = _rendered(tmp_path, "drainSeconds=40")
    pod, server = objects["Deployment"]["spec"]["template"]["spec"], _server(objects)

    assert pod["terminationGracePeriodSeconds"] == 60
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 65532)
    assert server["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    "values",
    [(), ("tlsSecret=roles-tls",), ("hopsworksUrl=https://cluster.example.org", "drainSeconds=0", "arguments[0]=--source-identity")],
    ids=["behind a proxy", "own TLS", "before a cluster"],
)
def test_the_server_takes_the_arguments_of_the_chart(values: tuple[str, ...], tmp_path: Path) -> None:
    arguments = _server(_rendered(tmp_path, *values))["args"]
    # The directory does not exist: a legal command line gets as far as the database.
    ended = run([BINARY, *arguments], environment(tmp_path / "home", DATABASE_URL=f"sqlite://{tmp_path}/none/roles.db"), tmp_path, 30)

    assert (ended.returncode, ended.stderr.split(";")[0]) == (1, f"cannot open the database {tmp_path}/none/roles.db")


def test_what_is_mounted_is_what_the_server_is_told_to_read(tmp_path: Path) -> None:
    objects = _rendered(tmp_path, "tlsSecret=roles-tls", "trust.configMap=authorities")
    server, pod = _server(objects), objects["Deployment"]["spec"]["template"]["spec"]
    mounted = {mount["mountPath"]: mount["name"] for mount in server["volumeMounts"]}

    assert mounted == {"/tls": "tls", "/trust": "trust"}
    assert {volume["name"] for volume in pod["volumes"]} == set(mounted.values())
    assert {"name": "DOMAIN_CA_TRUSTSTORE_PEM", "value": "/trust/ca.pem"} in server["env"]
    assert server["args"][3:7] == ["--tls-cert", "/tls/tls.crt", "--tls-key", "/tls/tls.key"]
    assert server["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"


def test_own_labels_and_annotations_replace_none_that_the_chart_needs(tmp_path: Path) -> None:
    own = ("podLabels.team=data", "podLabels.app\\.kubernetes\\.io/name=other", "podAnnotations.prometheus\\.io/scrape=no")
    objects = _rendered(tmp_path, *own)
    pod = objects["Deployment"]["spec"]["template"]["metadata"]

    assert objects["Service"]["spec"]["selector"].items() | {("team", "data")} <= pod["labels"].items()
    assert pod["annotations"] == {"prometheus.io/scrape": "no", "prometheus.io/port": "8080", "prometheus.io/scheme": "http"}


def test_an_ingress_leads_to_the_service(tmp_path: Path) -> None:
    objects = _rendered(tmp_path, "ingress.enabled=true", "ingress.host=roles.example.org", "ingress.tlsSecret=roles-tls")
    (rule,) = objects["Ingress"]["spec"]["rules"]

    assert rule["host"] == "roles.example.org"
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == objects["Service"]["metadata"]["name"]
    assert objects["Ingress"]["spec"]["tls"] == [{"hosts": ["roles.example.org"], "secretName": "roles-tls"}]
