"""The guides are true: their policies work as they are, and their pictures and links lead to files."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import sqlite3
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from rig import ROOT
from rig.aws import REGION, role_arn, trusts
from rig.process import environment, run
from rig.server import BINARY, RoleServer
from tests.pages.site import ADMIN, SCIENTIST, Site
from tests.pages.test_administration import rest

OPERATOR = ROOT / "docs" / "operator-guide"
GUIDES = [
    ROOT / "docs" / "user-guide" / "assume-role.md",
    ROOT / "docs" / "admin-guide" / "role-chaining.md",
    OPERATOR / "running.md",
    ROOT / "docs" / "user-guide" / "python.md",
    ROOT / "docs" / "user-guide" / "kubernetes.md",
    ROOT / "docs" / "user-guide" / "executors.md",
    ROOT / "docs" / "user-guide" / "tables.md",
]
ACCOUNT = "123456789012"


def policy(name: str) -> str:
    """Returns the policy of this name in the administrator's guide."""
    found = re.search(rf"as it stands: {name} -->\n```json\n(.*?)```", GUIDES[1].read_text(), re.DOTALL)
    assert found, name
    return found[1]


def test_a_role_needs_exactly_the_two_policies_of_the_guide(pages: Site) -> None:
    aws = pages.aws
    iam = aws.client("iam", ACCOUNT)
    base_arn = role_arn("role-mapping-server", ACCOUNT)
    machine = aws.user("machine", {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": base_arn}, account=ACCOUNT)
    aws.role("role-mapping-server", trusts(f"arn:aws:iam::{ACCOUNT}:user/machine"), account=ACCOUNT)
    aws.role("churn-reader", trusts(f"arn:aws:iam::{ACCOUNT}:user/nobody"), account=ACCOUNT)
    session = aws.client_of(machine, "sts").assume_role(RoleArn=base_arn, RoleSessionName="i-0abc")["Credentials"]
    base = boto3.client(
        "sts",
        endpoint_url=aws.endpoint,
        region_name=REGION,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )

    def reach() -> None:
        base.assume_role(RoleArn=role_arn("churn-reader", ACCOUNT), RoleSessionName="guide")

    with pytest.raises(ClientError, match="AccessDenied"):
        reach()
    iam.put_role_policy(RoleName="role-mapping-server", PolicyName="mapped", PolicyDocument=policy("permission"))
    with pytest.raises(ClientError, match="AccessDenied"):
        reach()
    iam.update_assume_role_policy(RoleName="churn-reader", PolicyDocument=policy("trust"))
    reach()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_links_and_pictures_in_the_guides_lead_to_files(guide: Path) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", guide.read_text())
    assert targets
    assert [target for target in targets if not _leads_somewhere(guide, target)] == []


def _leads_somewhere(guide: Path, target: str) -> bool:
    path, _, heading = target.partition("#")
    file = guide.parent / path
    return file.is_file() and (not heading or heading in _headings(file))


def _headings(guide: Path) -> list[str]:
    headings = re.findall(r"^#+ (.+)$", guide.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_the_guide_for_operators_explains_every_error_code() -> None:
    described = json.loads((ROOT / "server" / "openapi.json").read_text())["components"]["responses"]
    codes = {
        str(code)
        for response in described.values()
        for code in response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["errorCode"]["enum"]
    }
    table = (OPERATOR / "running.md").read_text().split("## What each error means")[1]
    assert [code for code in sorted(codes) if not re.search(rf"^\| [\d, ]*\b{code}\b", table, re.MULTILINE)] == []


def test_a_backup_of_a_running_server_is_complete(pages: Site, tmp_path: Path) -> None:
    restored = RoleServer(tmp_path)
    # The last row is not in the file itself yet.
    last = rest(pages, f"/project/{pages.churn}/cloud/aws/session-token?roleSessionName=last-of-all", pages.keys[SCIENTIST])
    assert last[0] == 200
    with sqlite3.connect(pages.server.database, timeout=10) as source, sqlite3.connect(restored.database) as target:
        source.backup(target)
        assert target.execute("select count(*) from audit where session_name = 'last-of-all'").fetchall() == [(1,)]
    assert restored.command("mapping", "list") == pages.server.command("mapping", "list") != ""
    with restored.serve() as (endpoint, _):
        assert rest(dataclasses.replace(pages, endpoint=endpoint), "/admin/cloud/role-mappings?limit=0", pages.keys[ADMIN])[0] == 200


def test_the_unit_uses_a_valid_command_line(tmp_path: Path) -> None:
    text = (OPERATOR / "role-mapping-server.service").read_text()
    unit = re.search(r"^ExecStart=/usr/local/bin/role-mapping-server (.*)$", text, re.MULTILINE)
    assert unit
    # The directory does not exist: a legal command line gets as far as the database.
    variables = environment(tmp_path, DATABASE_URL=f"sqlite://{tmp_path}/none/roles.db")
    ended = run([BINARY, *shlex.split(unit[1])], variables, tmp_path, 30)
    assert (ended.returncode, ended.stderr.split(":")[0]) == (
        1,
        f"cannot open the database {tmp_path}/none/roles.db; its directory must exist and be readable and writable for this user",
    )
