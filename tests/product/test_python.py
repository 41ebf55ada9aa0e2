"""The wheel in plain Python processes: what its calls return and refuse, and what they do to the process."""

from __future__ import annotations

import re
from pathlib import Path

from rig.canary import leaks
from rig.deployment import Deployment
from rig.http import recording
from tests.programs.python_program import READ, SESSION_TOKENS, python, reported


def _variables(site: Deployment, key: str) -> dict[str, str]:
    return {**site.variables(key), "S3": site.s3.endpoint, "STS": site.sts.endpoint}


def test_the_result_is_a_mapping_as_in_the_original_and_has_attributes(site: Deployment, tmp_path: Path) -> None:
    done = python(
        tmp_path,
        _variables(site, site.scientist),
        READ,
        """
        import copy, datetime, pickle
        credentials = assume_role(get_role(1))
        report("keys", sorted(credentials))
        report("same", [
            credentials["accessKeyId"] == credentials.access_key_id,
            credentials["secretAccessKey"] == credentials.secret_access_key,
            credentials["sessionToken"] == credentials.session_token,
            credentials["expiration"] == credentials.expiration,
        ])
        left = credentials.expiration - datetime.datetime.now(datetime.timezone.utc)
        report("left", left.total_seconds())
        report("key", credentials.access_key_id)
        report("repr", [repr(credentials), str(credentials), credentials._repr_html_(), repr(current())])
        report("pickle", [outcome(lambda: pickle.dumps(credentials)), outcome(lambda: copy.deepcopy(credentials) is credentials)])
        report("roles", [get_roles(), get_role(), get_role("default"), get_role("1"), get_role(None)])
        report("mappings", [[m.id, m.role_arn, m.project_role, m.is_default] for m in get_role_mappings()])
        report("read", [read("resource"), read("other")])
        report("current", current().access_key_id == credentials.access_key_id)
        report("again", [assume_role(get_role(1)).role_arn, assume_role().role_arn, assume_role("", "", 0).role_arn])
        report("type", outcome(lambda: get_role("first")))
        report("bool", outcome(lambda: get_role(True)))
        """,
    )

    found = reported(done)
    reader, other = site.cloud.resource_reader, site.cloud.other_reader
    assert found["keys"] == ["accessKeyId", "expiration", "secretAccessKey", "sessionToken"]
    assert found["same"] == [True] * 4
    # The server gives what it issued to another test, while nine tenths are left.
    assert isinstance(found["left"], float) and 3200 < found["left"] <= 3600
    texts = found["repr"]
    assert isinstance(texts, list)
    assert re.fullmatch(
        rf"Credentials\(access_key_id='{found['key']}', secret_access_key=\*\*\*, session_token=\*\*\*, "
        rf"expiration='[-0-9T:.]+\+00:00', role_arn='{reader}', mode='environment'\)",
        texts[0],
    )
    assert all(shown in texts[2] for shown in (reader, str(found["key"]), "environment", "min left"))
    assert found["pickle"] == [
        [
            "TypeError",
            "credentials are not pickled, so that their secrets lie in no closure, cache or file: "
            "call hops.credentials_provider.current() where they are needed",
            None,
        ],
        True,
    ]
    assert found["roles"] == [[reader, other], reader, reader, reader, reader]
    assert found["mappings"] == [[1, reader, "Data scientist", True], [2, other, "Data owner", True]]
    assert found["read"] == ["1,one", "AccessDenied"]
    assert found["current"] is True
    # An empty one is that of hops-util, the default.
    assert found["again"] == [reader, reader, reader]
    assert found["type"] == ["ValueError", "invalid role id: 'first' is neither a number nor \"default\"", None]
    assert found["bool"] == ["ValueError", 'invalid role id: True is neither a number nor "default"', None]
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []


def test_the_environment_reaches_libc_and_every_kind_of_child(site: Deployment, tmp_path: Path) -> None:
    done = python(
        tmp_path,
        _variables(site, site.scientist),
        """
        import ctypes, multiprocessing, subprocess

        def name():
            return os.environ.get("AWS_ACCESS_KEY_ID")

        def child(method):
            with multiprocessing.get_context(method).Pool(1) as pool:
                return pool.apply(name)

        if __name__ == "__main__":
            key = assume_role()["accessKeyId"]
            getenv = ctypes.CDLL(None).getenv
            getenv.restype = ctypes.c_char_p
            shell = "import os; print(os.environ['AWS_ACCESS_KEY_ID'])"
            children = {method: child(method) == key for method in ("fork", "spawn")}
            from IPython.core.interactiveshell import InteractiveShell
            notebook = InteractiveShell.instance()
            notebook.run_cell("shown = !echo $AWS_ACCESS_KEY_ID")
            report("found", {
                **children,
                "os.environ": name() == key,
                "libc": getenv(b"AWS_ACCESS_KEY_ID").decode() == key,
                "subprocess": subprocess.run([sys.executable, "-c", shell], stdout=subprocess.PIPE, text=True).stdout.strip() == key,
                "notebook": notebook.user_ns["shown"] == [key],
            })
        """,
    )

    found = reported(done)["found"]
    assert isinstance(found, dict)
    assert [place for place, is_there in found.items() if not is_there] == []
    assert len(found) == 6


def test_a_later_call_reaches_clients_of_the_default_session(site: Deployment, tmp_path: Path) -> None:
    done = python(
        tmp_path,
        {**_variables(site, site.scientist), "OWNER": site.owner},
        READ,
        """
        import s3fs

        def fetched():
            files = s3fs.S3FileSystem(client_kwargs={"endpoint_url": os.environ["S3"], "region_name": "us-east-1"})
            found = []
            for bucket in ("resource", "other"):
                try:
                    found.append(files.cat(f"{bucket}/test.csv").decode().split()[0])
                except PermissionError:
                    found.append("AccessDenied")
            return found

        assume_role()
        report("first", [read("resource"), read("other"), fetched()])
        os.environ["API_KEY"] = os.environ["OWNER"]
        boto3.setup_default_session(region_name="eu-north-1")
        assume_role()
        report("second", [read("resource"), read("other"), fetched()])
        report("region", boto3.client("s3").meta.region_name)
        release()
        report("region after release", boto3.client("s3").meta.region_name)
        """,
    )

    found = reported(done)
    assert found["first"] == ["1,one", "AccessDenied", ["1,one", "AccessDenied"]]
    assert found["second"] == ["AccessDenied", "4,four", ["AccessDenied", "4,four"]]
    assert found["region"] == found["region after release"] == "eu-north-1"


def test_release_puts_back_what_was_there_unless_somebody_else_wrote(site: Deployment, tmp_path: Path) -> None:
    before = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "my-secret", "AWS_SECURITY_TOKEN": "of-mine"}
    done = python(
        tmp_path,
        {**_variables(site, site.scientist), **before},
        """
        def ours():
            names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "HOPS_CREDENTIALS_ISSUED",
                     "AWS_CREDENTIAL_EXPIRATION"]
            return {name: os.environ[name] for name in names if name in os.environ}

        release()
        assume_role()
        report("assumed", sorted(ours()))
        release()
        release()
        report("released", [ours(), current()])
        assume_role()
        os.environ["AWS_ACCESS_KEY_ID"] = "later"
        release()
        report("kept", ours())
        """,
    )

    found = reported(done)
    assert found["assumed"] == [
        "AWS_ACCESS_KEY_ID",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "HOPS_CREDENTIALS_ISSUED",
    ]
    assert found["released"] == [before, None]
    # The rest of the earlier credentials does not come back beside somebody else's key.
    assert found["kept"] == {"AWS_ACCESS_KEY_ID": "later"}


def test_what_is_refused_changes_nothing_and_says_who_can_act(site: Deployment, tmp_path: Path) -> None:
    with recording(site.endpoint) as gone:
        pass
    done = python(
        tmp_path,
        {**_variables(site, site.owner), "GONE": gone.endpoint, "READER": site.cloud.resource_reader, "UNMAPPED": site.cloud.untrusting},
        """
        before = dict(os.environ)
        report("role", outcome(lambda: assume_role(os.environ["READER"])))
        report("unmapped", outcome(lambda: assume_role(os.environ["UNMAPPED"])))
        report("id", outcome(lambda: get_role(99)))
        report("arn", outcome(lambda: assume_role("reader")))
        report("name", outcome(lambda: assume_role(role_session_name="a b")))
        report("duration", outcome(lambda: assume_role(duration_seconds=-1)))
        report("policy", outcome(lambda: assume_role(policy="{}")))
        report("buckets", outcome(lambda: assume_role(os.environ["READER"], buckets=["resource"])))
        key = os.environ.pop("API_KEY")
        report("login", outcome(get_roles))
        os.environ["API_KEY"] = key
        os.environ["REST_ENDPOINT"] = os.environ["GONE"]
        try:
            get_roles()
        except CloudCredentialError as error:
            report("gone", [type(error).__name__, isinstance(error.__cause__, CloudCredentialError)])
        os.environ["REST_ENDPOINT"] = before["REST_ENDPOINT"]
        report("changed", [name for name in os.environ if os.environ[name] != before.get(name)])
        report("current", current())
        """,
    )

    found = reported(done)
    buckets = found["buckets"]
    assert isinstance(buckets, list)
    assert (buckets[0], buckets[1].partition(",")[0]) == ("NotConfiguredError", "there is no SparkContext")
    role, unmapped = found["role"], found["unmapped"]
    assert isinstance(role, list) and isinstance(unmapped, list)
    assert [role[0], role[2]] == ["RefusedError", 380002]
    assert role[1].endswith("; ask the administrator to map the role to your project role")
    assert [unmapped[0], unmapped[2]] == ["RefusedError", 380003]
    for name, kind, code in [("id", "RefusedError", 380003), ("login", "NotConfiguredError", 0)]:
        seen = found[name]
        assert isinstance(seen, list)
        assert [seen[0], seen[2]] == [kind, code], seen
    for name in ("arn", "name", "duration", "policy"):
        seen = found[name]
        assert isinstance(seen, list)
        assert seen[0] == "ValueError", seen
    assert found["gone"] == ["UnavailableError", True]
    assert found["changed"] == []
    assert found["current"] is None


def test_threads_that_ask_for_the_same_share_one_fetch(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        SESSION_TOKENS,
        """
        from concurrent.futures import ThreadPoolExecutor
        import sys, threading, time
        from session_tokens import ROLE, SessionTokens
        server = SessionTokens()
        server.answers.clear()

        def waits(thread):
            frame = sys._current_frames().get(thread.ident)
            while frame is not None and frame.f_code.co_name != "_fetch":
                frame = frame.f_back
            return frame is not None

        with ThreadPoolExecutor(12) as threads:
            keys = [threads.submit(lambda: assume_role(ROLE)["accessKeyId"]) for _ in range(12)]
            server.await_requests(1)
            while sum(map(waits, threading.enumerate())) < 12:
                time.sleep(0.01)
            server.answers.set()
            report("keys", len({key.result() for key in keys}))
        report("asked", len(server.asked))
        """,
    )

    found = reported(done)
    assert (found["keys"], found["asked"]) == (1, 1)


def test_providers_read_as_a_role_and_leave_everything_else_alone(site: Deployment, tmp_path: Path) -> None:
    granted = site.granted()
    done = python(
        tmp_path,
        {**_variables(site, site.scientist), "READER": site.cloud.resource_reader, "AWS_ENDPOINT_URL_S3": site.s3.endpoint},
        READ,
        """
        import s3fs
        before = dict(os.environ)
        role = os.environ["READER"]
        session = boto3_session(role, region_name="us-east-1")
        report("boto3", [read(bucket, session.client("s3")) for bucket in ("resource", "other")])
        files = s3fs.S3FileSystem(client_kwargs={"region_name": "us-east-1"}, **storage_options(role))
        report("s3fs", files.cat("resource/test.csv").decode().split()[0])
        import pickle, subprocess
        options = {"client_kwargs": {"region_name": "us-east-1"}, **storage_options(role)}
        travelling = pickle.dumps(options)
        report("unpickled here", pickle.loads(travelling)["session"] is options["session"])
        report("travels along", [key for key in polars_credential_provider(role)()[0].values() if key.encode() in travelling])
        read_there = "import pickle, s3fs, sys; print(s3fs.S3FileSystem(**pickle.load(sys.stdin.buffer)).cat('resource/test.csv').decode())"
        report("unpickled there", subprocess.run([sys.executable, "-c", read_there], input=travelling, stdout=-1).stdout.decode()[:5])
        keys, expiry = polars_credential_provider(role)()
        report("polars", [sorted(keys), 1100 < time.time() + 3600 - expiry < 1650, keys["aws_access_key_id"][:4]])
        # The same credentials in a client of another service.
        who = session.client("sts", endpoint_url=os.environ["STS"]).get_caller_identity()["Arn"]
        report("another service", who.split("/")[:2])
        report("unchanged", [before == dict(os.environ), current()])
        report("refused", outcome(lambda: read("resource", boto3_session("reader", region_name="us-east-1").client("s3")))[0])
        """,
    )

    found = reported(done)
    assert found["boto3"] == ["1,one", "AccessDenied"]
    assert found["s3fs"] == "1,one"
    assert (found["unpickled here"], found["travels along"], found["unpickled there"]) == (True, [], "1,one")
    assert found["polars"] == [["aws_access_key_id", "aws_secret_access_key", "aws_session_token"], True, "ASIA"]
    assert found["another service"] == ["arn:aws:sts::000000000000:assumed-role", "resource-reader"]
    assert found["unchanged"] == [True, None]
    assert found["refused"] == "ValueError"
    # Here once, and there.
    assert site.granted() == granted + 2
