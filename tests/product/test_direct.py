"""Direct mode: the product finds the base identity wherever the AWS chain looks, and assumes the listed roles with it."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from rig import ROOT
from rig.aws import ACCOUNT, REGION, Keys, allow, assumes, document, reads, role_arn, trusts
from rig.canary import leaks
from rig.deployment import Deployment
from rig.http import Answering, serving
from rig.spark import reports
from tests.programs import plain, refused, succeeded

#: Reads buckets with the credentials that a child process inherits.
_READER = ROOT / "tests" / "programs" / "python" / "reader.py"
_HOP = role_arn("hop")
_WEB = role_arn("web")
_DIRECT = role_arn("direct-reader")


@pytest.fixture(scope="session")
def base(site: Deployment) -> Keys:
    """Makes a user that may assume the role that reads bucket `resource`, and a role that may do the same. Returns the keys of the user."""
    aws = site.cloud.aws
    asked = [role_arn(name) for name in ("vendor", "wide", "untagged", "tagged", "second-direct")]
    keys = aws.user(
        "app", assumes(_DIRECT, _HOP, role_arn("reader", _OTHER_ACCOUNT), *asked), allow(Action="sts:TagSession", Resource=asked)
    )
    user = f"arn:aws:iam::{ACCOUNT}:user/app"
    aws.role("hop", trusts(user), assumes(_DIRECT))
    federated = allow(
        Principal={"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com"}, Action="sts:AssumeRoleWithWebIdentity"
    )
    aws.role("web", federated, assumes(_DIRECT))
    aws.role(
        "direct-reader", allow(Principal={"AWS": [user, _HOP, _WEB, site.cloud.instance_role]}, Action="sts:AssumeRole"), reads("resource")
    )
    aws.client("iam").put_role_policy(
        RoleName="instance-role",
        PolicyName="direct",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [assumes(_DIRECT)]}),
    )
    return keys


def _process_answer(keys: Keys) -> str:
    return json.dumps({"Version": 1, "AccessKeyId": keys.access_key_id, "SecretAccessKey": keys.secret_access_key})


@contextmanager
def _environment(site: Deployment, base: Keys, home: Path) -> Iterator[dict[str, str]]:
    yield base.variables()


@contextmanager
def _source_profile(site: Deployment, base: Keys, home: Path) -> Iterator[dict[str, str]]:
    _profiles(
        home,
        "[profile job]",
        f"role_arn = {_HOP}",
        "source_profile = app",
        "[profile app]",
        f"aws_access_key_id = {base.access_key_id}",
        f"aws_secret_access_key = {base.secret_access_key}",
    )
    yield {"AWS_PROFILE": "job"}


@contextmanager
def _credential_process(site: Deployment, base: Keys, home: Path) -> Iterator[dict[str, str]]:
    answer = home / "answer.json"
    _profiles(home, "[default]", f"credential_process = /bin/cat {answer}")
    answer.write_text(_process_answer(base))
    yield {}


@contextmanager
def _web_identity(site: Deployment, base: Keys, home: Path) -> Iterator[dict[str, str]]:
    parts = ({"alg": "none"}, {"iss": "https://idp.example.com", "sub": "job", "aud": "sts.amazonaws.com"})
    token = home / "token"
    token.write_text(".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".c2ln")
    yield {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": _WEB, "AWS_ROLE_SESSION_NAME": "pod"}


@contextmanager
def _container(site: Deployment, base: Keys, home: Path) -> Iterator[dict[str, str]]:
    issued = site.cloud.aws.client_of(base, "sts").assume_role(RoleArn=_HOP, RoleSessionName="container")["Credentials"]
    answer = json.dumps(
        {
            "AccessKeyId": issued["AccessKeyId"],
            "SecretAccessKey": issued["SecretAccessKey"],
            "Token": issued["SessionToken"],
            "Expiration": issued["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )

    class Agent(Answering):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != "container-token":
                return self.answer(401, b"{}")
            return self.answer(200, answer.encode())

    with serving(Agent) as endpoint:
        yield {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint}/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container-token"}


@contextmanager
def _instance_profile(site: Deployment, base: Keys, home: Path) -> Iterator[dict[str, str]]:
    yield {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": site.instance}


def _profiles(home: Path, *lines: str) -> None:
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "config").write_text("\n".join(lines) + "\n")


def _variables(site: Deployment, *roles: str) -> dict[str, str]:
    return {"AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": site.sts.endpoint, "HOPS_CLOUD_ROLES": ",".join(roles)}


@pytest.mark.parametrize(
    "place",
    [_environment, _source_profile, _credential_process, _web_identity, _container, _instance_profile],
    ids=lambda place: place.__name__[1:],
)
def test_the_base_identity_is_found_where_the_aws_chain_looks(
    place: Callable[[Deployment, Keys, Path], AbstractContextManager[dict[str, str]]], site: Deployment, base: Keys, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    child = f"-Dchild={sys.executable} {_READER} {site.s3.endpoint} resource other"
    with place(site, base, home) as found_there:
        done = plain(tmp_path, {**_variables(site, _DIRECT), **found_there}, options=(child,))

    found = succeeded(done)
    assert found["role"] == _DIRECT
    assert [found[name] for name in ("getenv", "getenv by name", "ProcessBuilder", "Runtime.exec")] == [found["access key id"]] * 4
    assert found["child"] == ["resource 1,one", "other AccessDenied"]
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []


_OTHER_ACCOUNT = "111111111111"


def test_a_role_of_another_account_reads_the_bucket_there(site: Deployment, base: Keys, tmp_path: Path) -> None:
    aws = site.cloud.aws
    aws.bucket("abroad", {"test.csv": "5,five\n"}, account=_OTHER_ACCOUNT)
    aws.bucket("abroad-private", {"test.csv": "6,six\n"}, account=_OTHER_ACCOUNT)
    reader = aws.role("reader", trusts(f"arn:aws:iam::{ACCOUNT}:user/app"), reads("abroad"), account=_OTHER_ACCOUNT)
    child = f"-Dchild={sys.executable} {_READER} {site.s3.endpoint} abroad abroad-private resource"

    found = succeeded(plain(tmp_path, {**_variables(site, reader), **base.variables()}, options=(child,)))

    assert found["role"] == reader
    assert found["child"] == ["abroad 5,five", "abroad-private AccessDenied", "resource AccessDenied"]


def test_without_a_base_identity_nothing_is_assumed(site: Deployment, tmp_path: Path) -> None:
    found = refused(plain(tmp_path, _variables(site, _DIRECT)))

    assert found["code"] == 0
    assert found["getenv by name"] is None


def test_a_role_that_does_not_trust_the_base_identity_is_refused(site: Deployment, base: Keys, tmp_path: Path) -> None:
    found = refused(plain(tmp_path, {**_variables(site, site.cloud.resource_reader), **base.variables()}))

    assert "AccessDenied" in str(found["refused"])
    assert found["getenv by name"] == base.access_key_id


def _chained(site: Deployment, base: Keys, directory: Path, *requests: str, options: tuple[str, ...] = ()) -> dict[str, object]:
    """Runs the program `Chaining` with these requests. Returns its report."""
    done = plain(directory, {**_variables(site, _DIRECT), **base.variables()}, *requests, options=options, main="Chaining")
    assert done.returncode == 0, done.stdout + done.stderr
    return reports(done.stdout)


def test_an_external_id_opens_a_role_only_when_it_is_the_right_one(site: Deployment, base: Keys, tmp_path: Path) -> None:
    trust = {**trusts(f"arn:aws:iam::{ACCOUNT}:user/app"), "Condition": {"StringEquals": {"sts:ExternalId": "canary-external"}}}
    role = site.cloud.aws.role("vendor", trust, reads("resource"))

    found = _chained(site, base, tmp_path, role, f"{role};external id=another", f"{role};external id=canary-external")

    for number in (0, 1):
        message = str(found[f"refused {number}"])
        assert "AccessDenied" in message
        assert "(external id, tags, source identity)" in message
        assert "another" not in message
    assert found["role 2"] == role


def test_a_session_policy_narrows_what_the_role_may(site: Deployment, base: Keys, tmp_path: Path) -> None:
    role = site.cloud.aws.role("wide", trusts(f"arn:aws:iam::{ACCOUNT}:user/app"), reads("resource"), reads("other"))
    child = f"-Dchild={sys.executable} {_READER} {site.s3.endpoint} resource other"

    found = _chained(site, base, tmp_path, role, f"{role};policy={document(reads('other'))}", options=(child,))

    assert found["child 0"] == ["resource 1,one", "other 4,four"]
    assert found["child 1"] == ["resource AccessDenied", "other 4,four"]


def test_a_session_tag_is_sent_and_needs_the_right_to_tag(site: Deployment, base: Keys, tmp_path: Path) -> None:
    user = f"arn:aws:iam::{ACCOUNT}:user/app"
    closed = site.cloud.aws.role("untagged", trusts(user), reads("resource"))
    tagged = allow(
        Principal={"AWS": user},
        Action=["sts:AssumeRole", "sts:TagSession"],
        Condition={"StringEquals": {"aws:RequestTag/team": "blue"}},
    )
    opened = site.cloud.aws.role("tagged", tagged, reads("resource"))

    found = _chained(site, base, tmp_path, f"{closed};tag=team:blue", opened, f"{opened};tag=team:blue")

    assert "sts:TagSession" in str(found["refused 0"])
    assert "AccessDenied" in str(found["refused 1"])
    assert found["role 2"] == opened


def test_issued_credentials_are_never_the_base_identity_here_or_in_a_child(site: Deployment, base: Keys, tmp_path: Path) -> None:
    """Neither role may assume another one, so STS would refuse a call with their credentials."""
    second = site.cloud.aws.role("second-direct", trusts(f"arn:aws:iam::{ACCOUNT}:user/app"), reads("other"))
    before = len(site.sts.exchanges)

    found = _chained(site, base, tmp_path, _DIRECT, _DIRECT, _DIRECT, second, _DIRECT, options=("-Doffspring=true",))

    assert [found[f"role {number}"] for number in range(5)] == [_DIRECT, _DIRECT, _DIRECT, second, _DIRECT]
    asked = site.sts.exchanges[before:]
    assert [exchange.access_key_id for exchange in asked] == [base.access_key_id] * 5
    assert "this process has no base identity of its own: that of the process that assumed the role, access key" in str(found["offspring"])
