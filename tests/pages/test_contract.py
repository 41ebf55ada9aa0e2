"""The OpenAPI description matches the server: each of its paths, methods and answers is tried."""

from __future__ import annotations

import http.client
import json
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from rig import ROOT
from rig.aws import role_arn
from tests.pages.site import ADMIN, OWNER, SCIENTIST, Site

API = "/hopsworks-api/api"
PROJECT = f"{API}/project/{{project}}/cloud/role-mappings"
TOKEN = f"{API}/project/{{project}}/cloud/aws/session-token"
ALL = f"{API}/admin/cloud/role-mappings"


def ask(site: Site, method: str, path: str, key: str | None = None) -> tuple[http.client.HTTPResponse, bytes]:
    """Sends one request."""
    connection = http.client.HTTPConnection(site.endpoint.removeprefix("http://"), timeout=30)
    connection.request(method, path, headers={"Authorization": f"ApiKey {key}"} if key else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


@pytest.fixture(scope="module")
def described(pages: Site) -> dict[str, Any]:
    """Fetches the description that the server sends."""
    answer, body = ask(pages, "GET", "/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    described: dict[str, Any] = json.loads(body)
    return described


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields method, path and description of each operation."""
    for path, item in described["paths"].items():
        for method in item.keys() & {"get", "put", "post", "delete"}:
            yield method.upper(), path, item[method]


def test_the_description_is_valid_openapi_and_has_this_version(pages: Site, described: dict[str, Any]) -> None:
    validate(described)
    assert pages.server.command("--version").split()[-1] == described["info"]["version"]


def test_the_description_has_every_path_and_method_and_no_other(pages: Site, described: dict[str, Any]) -> None:
    served = re.findall(r'\.route\(\s*"(/(?:project|admin)/[^"]+)"', (ROOT / "server" / "src" / "api.rs").read_text())
    assert sorted(described["paths"]) == sorted(API + path for path in served)
    for path in described["paths"]:
        answer, _ = ask(pages, "PATCH", path.replace("{project}", "1").replace("{id}", "1"))
        methods = {method for method, other, _ in operations(described) if other == path}
        assert answer.status == 405
        assert set((answer.headers["Allow"] or "").split(",")) - {"HEAD"} == methods, path


def test_every_answer_matches_the_description(pages: Site, described: dict[str, Any]) -> None:
    admin, owner, scientist = (pages.keys[email] for email in (ADMIN, OWNER, SCIENTIST))
    reader, made = role_arn("churn-reader"), role_arn("made-by-contract")
    seen: set[tuple[str, str, int]] = set()
    codes: set[int] = set()

    def resolved(part: dict[str, Any]) -> dict[str, Any]:
        """Returns the part itself, or the part that it refers to."""
        if "$ref" not in part:
            return part
        kind, name = part["$ref"].removeprefix("#/components/").split("/")
        found: dict[str, Any] = described["components"][kind][name]
        return found

    def check(expected: int, method: str, path: str, key: str | None, **query: object) -> Any:
        """Sends a request and checks the answer against the description; `query` also holds the path parameters."""
        named = {name: str(query.pop(name)) for name in re.findall(r"{(\w+)}", path)}
        answer, body = ask(pages, method, f"{path.format(**named)}?{urllib.parse.urlencode(query, doseq=True)}", key)
        assert answer.status == expected, (method, path, query, body)
        (operation,) = [operation for *called, operation in operations(described) if called == [method, path]]
        response = resolved(operation["responses"][str(answer.status)])
        for name, header in response["headers"].items():
            Draft202012Validator(resolved(header)["schema"]).validate(answer.headers[name])
        assert answer.headers["Cache-Control"] == "no-store"
        seen.add((method, path, answer.status))
        if "content" not in response:
            assert body == b""
            return None
        parsed = json.loads(body)
        schema = response["content"][answer.headers["Content-Type"]]["schema"]
        Draft202012Validator({**schema, "components": described["components"]}).validate(parsed)
        codes.update([parsed["errorCode"]] if answer.status >= 400 else [])
        return parsed

    churn = pages.churn
    listed = check(
        200, "GET", PROJECT, scientist, project=churn, sort_by="id:desc", limit=2, filter_by=["project_id:1", "project_role:ALL"]
    )
    check(200, "GET", PROJECT, scientist, project=churn, offset=99)
    check(400, "GET", PROJECT, scientist, project=churn, limit=-1)
    check(403, "GET", PROJECT, scientist, project=999)
    first = listed["items"][0]["id"]
    check(200, "GET", f"{PROJECT}/default", scientist, project=churn)
    check(400, "GET", f"{PROJECT}/default", scientist, project="x")
    check(403, "GET", f"{PROJECT}/default", admin, project=churn)
    check(200, "GET", f"{PROJECT}/{{id}}", scientist, project=churn, id=first)
    check(400, "GET", f"{PROJECT}/{{id}}", scientist, project=churn, id=9999)
    check(403, "GET", f"{PROJECT}/{{id}}", admin, project=churn, id=first)
    check(200, "PUT", f"{PROJECT}/{{id}}", owner, project=churn, id=first, defaultRole="true")
    check(400, "PUT", f"{PROJECT}/{{id}}", owner, project=churn, id=first)
    check(403, "PUT", f"{PROJECT}/{{id}}", scientist, project=churn, id=first, defaultRole="true")
    check(200, "GET", TOKEN, scientist, project=churn, roleARN=reader, roleSessionName="contract", durationSeconds=900)
    check(400, "GET", TOKEN, scientist, project=churn, durationSeconds=899)
    check(400, "GET", TOKEN, scientist, project=churn, roleARN=role_arn("churn-sandbox"))
    check(400, "GET", TOKEN, scientist, project=churn, roleARN=role_arn("nowhere"))
    check(403, "GET", TOKEN, owner, project=churn, roleARN=role_arn("churn-sandbox"))
    check(200, "GET", ALL, admin, sort_by="project_role,cloud_role:desc")
    check(400, "GET", ALL, admin, sort_by="colour")
    check(403, "GET", ALL, owner)
    added = check(201, "POST", ALL, admin, cloudRole=made, projectId=churn, projectRole="Data scientist", defaultRole="false")
    check(400, "POST", ALL, admin, cloudRole=made, projectId=churn, projectRole="ALL")
    check(400, "POST", ALL, admin, projectId=churn, projectRole="ALL")
    check(404, "POST", ALL, admin, cloudRole=made, projectId=999, projectRole="ALL")
    check(403, "POST", ALL, owner, cloudRole=made, projectId=churn, projectRole="ALL")
    one = f"{ALL}/{{id}}"
    check(200, "GET", one, admin, id=added["id"])
    check(400, "GET", one, admin, id="x")
    check(403, "GET", one, owner, id=added["id"])
    check(200, "PUT", one, admin, id=added["id"], projectRole="DATA_OWNER")
    check(400, "PUT", one, admin, id=added["id"], cloudRole=role_arn("churn-writer"))
    check(403, "PUT", one, owner, id=added["id"], projectRole="ALL")
    check(204, "DELETE", one, admin, id=added["id"])
    check(204, "DELETE", one, admin, id=added["id"])
    check(400, "DELETE", one, admin, id="x")
    check(403, "DELETE", one, owner, id=added["id"])
    check(200, "GET", f"{ALL}/isAvailable", scientist)
    for method, path, _ in operations(described):
        check(401, method, path, None, project=churn, id=first)

    # Other tests see the answers that need a cluster, a failing server or a failing client.
    unseen = {
        (method, path, int(status))
        for method, path, operation in operations(described)
        for status in operation["responses"]
        if (method, path, int(status)) not in seen and int(status) not in (429, 500, 502, 503)
    }
    assert unseen == {("GET", f"{ALL}/isAvailable", 403)}
    possible = {
        code
        for response in described["components"]["responses"].values()
        for code in response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["errorCode"]["enum"]
    }
    assert possible - codes == {320004, 429, 500, 502, 503}
