"""Clients that were made under a role, after another one and after `release`: they go on as that role, as the other one, or not at all.

The credentials last ten minutes, so botocore asks for newer ones at each request.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs.python_program import SESSION_TOKENS, python, reported

_CLIENTS = """
import boto3, botocore.config, botocore.utils, s3fs
from session_tokens import SessionTokens

server = SessionTokens()
server.lifetime = 600
A, B = ("arn:aws:iam::000000000000:role/" + name for name in "ab")
botocore.utils.ContainerMetadataFetcher.SLEEP_TIME = 0
once = botocore.config.Config(retries={"total_max_attempts": 1})

def boto3_reader():
    client = boto3.Session().client("s3", endpoint_url=server.endpoint, region_name="us-east-1", config=once)
    return lambda: client.get_object(Bucket="resource", Key="test.csv")["Body"].read()

def s3fs_reader():
    options = {"endpoint_url": server.endpoint, "region_name": "us-east-1"}
    files = s3fs.S3FileSystem(client_kwargs=options, config_kwargs={"retries": {"total_max_attempts": 1}}, skip_instance_cache=True)
    return lambda: files.cat("resource/test.csv")

def pyarrow_reader():
    from pyarrow.fs import S3FileSystem
    files = S3FileSystem(endpoint_override=server.endpoint, region="us-east-1", request_timeout=5)
    return lambda: files.open_input_stream("resource/test.csv").read()

READERS = {"boto3": boto3_reader, "s3fs": s3fs_reader, "pyarrow": pyarrow_reader}

def signers(read):
    server.signers.clear()
    try:
        read()
    except Exception as error:
        server.signers.append(type(error).__name__)
    # A name of five digits ends an access key of ours.
    return sorted({(signer or "unsigned").rstrip("0123456789") for signer in server.signers})

def play(refresh):
    seen = {}
    for name, made in READERS.items():
        base = signers(made())
        assume_role(A, refresh=refresh)
        reader = made()
        under_a = signers(reader)
        assume_role(B, refresh=refresh)
        under_b = signers(reader)
        assume_role(A, refresh=not refresh)
        other_mode = signers(reader)
        assume_role(A, refresh=refresh)
        release()
        seen[name] = [base, under_a, under_b, other_mode, signers(reader), signers(made())]
    return seen

report("environment", play(False))
report("endpoint", play(True))
"""


@pytest.fixture
def base(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Returns the variables of an identity that the program has before any role."""
    if request.param == "keys that another wrapper renews":
        return {
            "AWS_ACCESS_KEY_ID": "AKIABASE",
            "AWS_SECRET_ACCESS_KEY": "canary-of-base",
            "AWS_SESSION_TOKEN": "canary-token-of-base",
            "AWS_CREDENTIAL_EXPIRATION": "2126-01-01T00:00:00Z",
        }
    config = tmp_path / "config"
    config.write_text("[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = canary-of-base\n")
    return {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "base"}


@pytest.mark.parametrize("base", ["keys that another wrapper renews", "a profile"], indirect=True)
def test_a_client_of_a_role_never_signs_as_the_base_identity(base: dict[str, str], tmp_path: Path) -> None:
    found = reported(python(tmp_path, {**SESSION_TOKENS, **base}, _CLIENTS))

    for mode in ("environment", "endpoint"):
        readers = found[mode]
        assert isinstance(readers, dict)
        pyarrow = readers.pop("pyarrow")
        for reader, (before, under_a, under_b, other_mode, released, made_later) in readers.items():
            seen = f"{mode}, {reader}: {readers[reader]}"
            # The program does see a stranger where there is one.
            assert before == made_later == ["AKIABASE"], seen
            assert under_a == ["ASIAA"], seen
            assert under_b == ["ASIAB"], seen
            roles = {"ASIAA", "ASIAB"}
            for signed in (other_mode, released):
                # The name of an exception is no signer.
                assert set(signed) <= roles | {name for name in signed if not name.startswith(("A", "unsigned"))}, seen
        # It looks at the environment at each request, so the guide says that `release` gives it the identity of before.
        base_again = [["AKIABASE"]] * 2 if mode == "environment" and "AWS_PROFILE" not in base else [pyarrow[4], ["AKIABASE"]]
        assert [pyarrow[1], pyarrow[4], pyarrow[5]] == [["ASIAA"], *base_again], pyarrow
        assert set(pyarrow[2] + pyarrow[3]) <= {"ASIAA", "ASIAB", "unsigned", "OSError", "PermissionError"}, pyarrow


_WRITES = """
import botocore.session, botocore.utils
from hops.credentials_provider import _environment
from session_tokens import SessionTokens

server = SessionTokens()
A, B = ("arn:aws:iam::000000000000:role/" + name for name in "ab")
botocore.utils.ContainerMetadataFetcher.SLEEP_TIME = 0
write, seen = _environment._set, []

def identity():
    try:
        found = botocore.session.Session().get_credentials()
    except Exception as error:
        return type(error).__name__
    if found is None:
        return "nobody"
    found = found.get_frozen_credentials()
    # The number of its issue, or the word, ends each part of a set.
    parts = {found.access_key.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ").lstrip("0"), found.secret_key.split("-")[-1]}
    parts |= {found.token.split("-")[-1]} if found.token else set()
    return found.access_key.rstrip("0123456789") if len(parts) == 1 else "mixture"

def watched(name, value):
    write(name, value)
    seen.append(identity())

_environment._set = watched
for name, step in {
    "base to environment": lambda: assume_role(A),
    "environment to another role": lambda: assume_role(B),
    "environment to endpoint": lambda: assume_role(A, refresh=True),
    "endpoint to another role": lambda: assume_role(B, refresh=True),
    "endpoint to environment": lambda: assume_role(A),
    "environment to base": release,
    "base to endpoint": lambda: assume_role(B, refresh=True),
    "endpoint to base": release,
}.items():
    seen[:] = [identity()]
    step()
    report(name, [*seen, identity()])
"""


@pytest.mark.parametrize("base", ["keys that another wrapper renews", "a profile"], indirect=True)
def test_after_each_write_a_reader_finds_the_old_identity_the_new_one_or_an_error(base: dict[str, str], tmp_path: Path) -> None:
    numbered = {name: value.replace("AKIABASE", "AKIABASE7").replace("of-base", "of-base-7") for name, value in base.items()}
    for config in tmp_path.glob("config"):
        config.write_text(config.read_text().replace("AKIABASE", "AKIABASE7").replace("of-base", "of-base-7"))
    found = reported(python(tmp_path, {**SESSION_TOKENS, **numbered}, _WRITES))

    assert len(found) == 8
    for name, identities in found.items():
        assert isinstance(identities, list)
        first, last = identities[0], identities[-1]
        assert first != last, name
        assert {first, last} <= {"AKIABASE", "ASIAA", "ASIAB"}, identities
        # botocore refuses a set that is incomplete.
        assert set(identities) <= {first, last, "mixture", "PartialCredentialsError"}, (name, identities)
