"""What readers in Python prefer to the environment, and what programs do to the environment under a role."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.programs.python_program import SERVER, SESSION_TOKENS, python, reported

_FILE = '{"s3": {"key": "AKIASTRANGER", "secret": "canary-of-stranger"}, "gs": {"token": "other"}}'
_VARIABLES = {"FSSPEC_S3": '{"key": "AKIASTRANGER"}', "FSSPEC_S3_SECRET": "canary-of-stranger", "FSSPEC_S3_ANON": "false"}


_KEYS = {"aws_access_key_id": "AKIASTRANGER", "aws_secret_access_key": "canary-of-stranger"}


@pytest.mark.parametrize("configured", [{"client_kwargs": {**_KEYS, "verify": False}}, {"anon": True}], ids=["client_kwargs", "anon"])
def test_s3fs_is_the_role_although_fsspec_has_arguments_of_a_client(configured: dict[str, object], tmp_path: Path) -> None:
    directory = tmp_path / "fsspec"
    directory.mkdir()
    (directory / "conf.json").write_text(json.dumps({"s3": configured}))
    done = python(
        tmp_path,
        {**SESSION_TOKENS, "FSSPEC_CONFIG_DIR": str(directory)},
        SERVER,
        """
        import fsspec.config, s3fs
        os.environ["AWS_ENDPOINT_URL_S3"] = server.endpoint
        before = json.dumps(fsspec.config.conf)

        def signers(**options):
            server.signers.clear()
            outcome(lambda: s3fs.S3FileSystem(**options).cat("bucket/key"))
            return sorted({str(signer)[:-5] for signer in server.signers})

        report("configured", signers())
        report("provider", signers(**storage_options(ROLE)))
        assume_role(ROLE)
        report("assumed", signers())
        report("left", fsspec.config.conf["s3"].get("client_kwargs"))
        made = storage_options(ROLE)
        release()
        report("given back", json.loads(before) == fsspec.config.conf)
        report("made under the role", signers(**made))
        """,
    )

    found = reported(done)
    assert found["configured"] != ["ASIAOFPROGRAM"]
    assert found["provider"] == found["assumed"] == found["made under the role"] == ["ASIAOFPROGRAM"]
    assert found["left"] == ({"verify": False} if "client_kwargs" in configured else None)
    assert found["given back"] is True


def test_variables_of_fsspec_count_again_after_the_role_under_which_it_was_loaded(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        {**SESSION_TOKENS, "FSSPEC_S3_KEY": "AKIASTRANGER", "FSSPEC_S3": json.dumps({"secret": "canary-of-stranger"})},
        SERVER,
        """
        assume_role(ROLE)
        import fsspec.config
        report("under the role", fsspec.config.conf.get("s3"))
        release()
        report("released", fsspec.config.conf["s3"])
        """,
    )

    stranger = {"key": "AKIASTRANGER", "secret": "canary-of-stranger"}
    assert reported(done) == {"under the role": None, "released": stranger}


def test_what_somebody_else_has_broken_keeps_nobody_from_a_role(tmp_path: Path) -> None:
    directory = tmp_path / "fsspec"
    directory.mkdir()
    (directory / "conf.json").write_text("no JSON")
    done = python(
        tmp_path,
        {**SESSION_TOKENS, "FSSPEC_CONFIG_DIR": str(directory)},
        SERVER,
        """
        import boto3
        boto3.setup_default_session(region_name="us-east-1")
        report("assumed", outcome(lambda: assume_role(ROLE).access_key_id[:-5]))
        # The default session has to be made again, with a profile that is not there.
        os.environ["AWS_PROFILE"] = "missing"
        report("released", [outcome(release), current()])
        """,
    )

    assert reported(done) == {"assumed": "ASIAOFPROGRAM", "released": [None, None]}
    assert "the configuration of fsspec cannot be read, so s3fs cannot be loaded: JSONDecodeError" in done.stderr
    assert "the default session of boto3 loses its region us-east-1" in done.stderr


@pytest.mark.parametrize("place", ["file", "variables"])
def test_s3fs_is_the_role_although_fsspec_has_credentials_of_somebody_else(place: str, tmp_path: Path) -> None:
    directory = tmp_path / "fsspec"
    directory.mkdir()
    if place == "file":
        (directory / "conf.json").write_text(_FILE)
    done = python(
        tmp_path,
        {**SESSION_TOKENS, "FSSPEC_CONFIG_DIR": str(directory), **(_VARIABLES if place == "variables" else {})},
        SERVER,
        """
        import subprocess
        os.environ["AWS_ENDPOINT_URL_S3"] = server.endpoint

        def signers(read):
            server.signers.clear()
            read()
            return sorted({str(signer)[:-5] for signer in server.signers})

        def read_with_s3fs(**options):
            import s3fs
            s3fs.S3FileSystem(**options).cat("bucket/key")

        report("configured", [name for name in os.environ if name.startswith("FSSPEC_S3")])
        assume_role(ROLE)
        report("assumed", signers(read_with_s3fs))
        child = "import s3fs; s3fs.S3FileSystem().cat('bucket/key')"
        report("child", signers(lambda: subprocess.run([sys.executable, "-c", child], check=True)))
        release()
        report("released", [name for name in os.environ if name.startswith("FSSPEC_S3")])
        import fsspec.config
        report("given back", fsspec.config.conf.get("s3", {}).get("key"))
        report("provider", signers(lambda: read_with_s3fs(**storage_options(ROLE))))
        assume_role(ROLE)
        made = storage_options(ROLE)
        release()
        report("made under the role", signers(lambda: read_with_s3fs(**made)))
        assume_role(ROLE)
        report("loaded before", signers(read_with_s3fs))
        report("behind an endpoint", outcome(lambda: assume_role(ROLE, refresh=True).access_key_id[:-5]))
        """,
    )

    found = reported(done)
    role, file = ["ASIAOFPROGRAM"], directory / "conf.json"
    assert [found[name] for name in ("assumed", "provider", "made under the role", "loaded before")] == [role] * 4
    assert sorted(found["released"]) == sorted(found["configured"])  # type: ignore[call-overload]
    if place == "file":
        assert found["given back"] == "AKIASTRANGER"
        # A child of another program finds the file; what cannot be taken away is named.
        assert f"s3fs prefers the credentials in {file}, which are not ours" in done.stderr
    else:
        assert found["child"] == role
    assert found["behind an endpoint"] == "ASIAOFPROGRAM"


def test_a_session_of_a_role_signs_although_the_environment_holds_a_token_for_bedrock(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        {**SESSION_TOKENS, "AWS_BEARER_TOKEN_BEDROCK": "canary-of-stranger"},
        SERVER,
        """
        session = boto3_session(ROLE, region_name="us-east-1")
        bedrock = session.client("bedrock-runtime", endpoint_url=server.endpoint)
        sent = []
        bedrock.meta.events.register("before-send", lambda request, **_: sent.append(request.headers["Authorization"]))
        outcome(lambda: bedrock.converse(modelId="model", messages=[]))
        report("signed", [b"AWS4-HMAC-SHA256 Credential=ASIAOFPROGRAM" in each for each in sent[:1]])
        """,
    )

    assert reported(done)["signed"] == [True]


def test_an_environment_that_is_put_back_as_it_stood_under_the_role_is_renewed_and_released(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        {**SESSION_TOKENS, "AWS_ACCESS_KEY_ID": "AKIABASE", "AWS_SECRET_ACCESS_KEY": "base"},
        SERVER,
        """
        from unittest import mock

        def keys():
            return [os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]

        server.lifetime = 4
        first = assume_role(ROLE).access_key_id
        earlier = list(os.environ.items())
        with mock.patch.dict(os.environ, {"OTHER": "1"}):
            server.lifetime = 3600
            report("renewed inside", until(lambda: os.environ["AWS_ACCESS_KEY_ID"] != first))
        # The thread looks again in half a minute at the latest.
        provider._role.state.wake(provider._role.state.role)
        report("goes on", until(lambda: os.environ["AWS_ACCESS_KEY_ID"] == current().access_key_id != first))

        # As the thread does, which may look at any moment.
        def look():
            with provider._role.state.lock:
                provider._role.state.role.put_back()

        wrong = []
        for count in range(len(earlier)):
            os.environ.clear()
            os.environ.update(earlier[:count])
            look()
            os.environ.update(earlier[count:])
            look()
            newest = current()
            if keys() != [newest.access_key_id, newest.secret_access_key, newest.session_token]:
                wrong.append(count)
        report("half way", wrong)
        with mock.patch.object(os, "environ", {"AWS_ACCESS_KEY_ID": "testing"}):
            look()
            report("of a test", os.environ)
        held = dict(os.environ)
        assume_role(ROLE)
        os.environ.clear()
        os.environ.update(held)
        release()
        report("released", keys())
        """,
    )

    assert reported(done) == {
        "renewed inside": True,
        "goes on": True,
        "half way": [],
        "of a test": {"AWS_ACCESS_KEY_ID": "testing"},
        "released": ["AKIABASE", "base", None],
    }


def test_children_have_the_role_whatever_a_program_made_of_os_environ(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        SERVER,
        """
        import subprocess

        def child():
            shown = subprocess.run(["sh", "-c", "echo $AWS_ACCESS_KEY_ID $AWS_PROFILE"], capture_output=True, text=True).stdout
            return shown.split()

        os.putenv("AWS_PROFILE", "behind-the-back")
        os.environ = dict(os.environ)
        key = assume_role(ROLE).access_key_id
        report("child", child() == [key])
        """,
    )

    assert reported(done)["child"] is True
