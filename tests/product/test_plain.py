"""The product without a SparkContext, and what a user reads when the server refuses or does not answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rig.canary import leaks
from rig.deployment import Deployment
from rig.http import recording
from rig.spark import SPARK_3_5
from tests.programs import plain, refused, succeeded

_EVERYWHERE = ("getenv", "getenv by name", "ProcessBuilder", "Runtime.exec")


def _message(found: dict[str, object]) -> str:
    """Returns the message of the exception that a program reported."""
    causes = found["refused"]
    assert isinstance(causes, list)
    return str(causes[0]).removeprefix("io.hops.util.exceptions.CloudCredentialException: ")


@pytest.mark.parametrize("java", [17, 25])
def test_a_jvm_without_spark_gets_credentials_and_environment(
    java: int, site: Deployment, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("java", str(java))
    done = plain(tmp_path, site.variables(site.scientist), java=java)

    found = succeeded(done)
    holder = found["access key id"]
    assert found["role"] == site.cloud.resource_reader
    assert found["roles"] == [site.cloud.resource_reader, site.cloud.other_reader]
    assert [found[name] for name in _EVERYWHERE] == [holder] * len(_EVERYWHERE)
    assert found["spark environment"] is None
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []


def test_without_an_active_context_none_is_made(site: Deployment, tmp_path: Path) -> None:
    done = plain(tmp_path, site.variables(site.scientist), class_path=f"{SPARK_3_5.home}/jars/*")

    found = succeeded(done)
    assert [found[name] for name in _EVERYWHERE] == [found["access key id"]] * len(_EVERYWHERE)
    assert found["spark environment"] is False


def test_a_member_with_the_other_project_role_is_refused(site: Deployment, tmp_path: Path) -> None:
    found = refused(plain(tmp_path, site.variables(site.owner)))

    assert found["code"] == 380002
    assert _message(found).startswith(
        f"assuming role {site.cloud.resource_reader} for project {site.project} at {site.endpoint} was refused: HTTP 403, code 380002: "
    )
    assert _message(found).endswith("; ask the administrator to map the role to your project role")
    assert found["getenv by name"] is None


def test_a_role_that_is_not_mapped_is_refused(site: Deployment, tmp_path: Path) -> None:
    found = refused(plain(tmp_path, site.variables(site.scientist), site.cloud.untrusting))

    assert found["code"] == 380003
    assert _message(found).startswith(
        f"assuming role {site.cloud.untrusting} for project {site.project} at {site.endpoint} was refused: HTTP 400, code 380003: "
    )


def test_a_role_that_does_not_trust_the_base_identity_is_refused_with_the_words_of_sts(site: Deployment, tmp_path: Path) -> None:
    mapping = site.server.command("mapping", "add", site.project, "data-scientist", site.cloud.untrusting)
    try:
        found = refused(plain(tmp_path, site.variables(site.scientist), site.cloud.untrusting))
    finally:
        site.server.command("mapping", "remove", mapping)

    assert found["code"] == 380001
    assert f"is not authorized to perform: sts:AssumeRole on resource: {site.cloud.untrusting}" in _message(found)


def test_a_wrong_api_key_is_refused_and_never_repeated(site: Deployment, tmp_path: Path) -> None:
    done = plain(tmp_path, site.variables("canary-of-an-api-key"))

    assert refused(done)["code"] == 401
    assert leaks(["canary-of-an-api-key"], tmp_path, done.stdout, done.stderr) == []


def test_a_server_that_is_not_there_is_named(site: Deployment, tmp_path: Path) -> None:
    with recording(site.endpoint) as gone:
        pass
    found = refused(plain(tmp_path, {**site.variables(site.scientist), "REST_ENDPOINT": gone.endpoint}))

    assert found["code"] == 0
    assert _message(found) == (
        f"reading role mapping 1 for project {site.project} at {gone.endpoint} failed: no connection: Connection refused (os error 111); "
        "check hopsworks.restendpoint / REST_ENDPOINT, the network and the proxy settings"
    )
    assert found["getenv by name"] is None


def test_removing_a_member_takes_effect_on_the_next_request(site: Deployment, tmp_path: Path) -> None:
    key = site.server.member(site.project, "guest@example.com", "data-scientist")
    before = plain(tmp_path, site.variables(key))
    site.server.command("member", "remove", site.project, "guest@example.com")
    after = plain(tmp_path, site.variables(key))

    succeeded(before)
    assert refused(after)["code"] != 0


def test_the_server_keeps_no_secret(site: Deployment, tmp_path: Path) -> None:
    succeeded(plain(tmp_path, site.variables(site.scientist)))

    assert site.server.database.stat().st_mode & 0o777 == 0o600
    assert leaks(site.secrets(), site.server.directory) == []


def test_settings_come_from_system_properties_too(site: Deployment, tmp_path: Path) -> None:
    options = (
        f"-Dhopsworks.restendpoint={site.endpoint}/hopsworks-api/api",
        f"-Dhopsworks.projectid={site.project}",
    )
    found = succeeded(plain(tmp_path, {"API_KEY": site.scientist, "REST_ENDPOINT": "http://127.0.0.1:9"}, options=options))

    assert found["role"] == site.cloud.resource_reader


def test_without_any_setting_the_message_names_what_to_set(tmp_path: Path) -> None:
    assert _message(refused(plain(tmp_path, {}))) == (
        "no role is named, and neither hopsworks.restendpoint / REST_ENDPOINT nor hops.cloud.roles / HOPS_CLOUD_ROLES is set; "
        "set hopsworks.restendpoint / REST_ENDPOINT for a role-mapping server, or hops.cloud.roles / HOPS_CLOUD_ROLES to role ARNs, "
        "or name a role"
    )
