"""The program of README in PySpark: with the jar on the class path, and with the jar in the wheel."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from rig.canary import leaks
from rig.deployment import Deployment
from rig.http import Answering, recording, serving
from rig.spark import SPARK_3_5, SPARK_4_1, SPARK_4_3, Line, Place, Spark
from runs.readers import issued_for, short_lived
from tests.programs.python_program import VENV, python, reported, written

_PROGRAM = """
from pyspark.sql import SparkSession
import boto3
import contextlib
import threading

where, seconds = sys.argv[1], float(sys.argv[2])
for name in ("py4j", "hops.credentials_provider"):
    logging.getLogger(name).setLevel(logging.DEBUG)
builder = SparkSession.builder
spark = (configure(builder) if where == "builder" else builder).getOrCreate()
context = spark.sparkContext

def rows(bucket):
    return [list(row) for row in spark.read.csv(f"s3a://{bucket}/test.csv").collect()]

def read(client):
    return client.get_object(Bucket="resource", Key="test.csv")["Body"].read().decode().split()[0]

def s3(session):
    return session.client("s3", endpoint_url=os.environ["S3"], region_name="us-east-1")

def in_jvm():
    return context._jvm.java.lang.System.getenv("AWS_ACCESS_KEY_ID")

def is_one_holder():
    # Python follows the JVM within a second.
    until = time.monotonic() + 10
    while not (one := in_jvm() == current().access_key_id == os.environ["AWS_ACCESS_KEY_ID"]) and time.monotonic() < until:
        time.sleep(0.1)
    return one

@contextlib.contextmanager
def one_failing_write():
    putenv = os.putenv

    def fails(name, value):
        # A renewal may write meanwhile.
        if threading.current_thread() is not threading.main_thread():
            return putenv(name, value)
        os.putenv = putenv
        raise OSError(12, "no memory for a variable")

    os.putenv = fails
    yield

def session_name():
    client = boto3.Session().client("sts", endpoint_url=os.environ["S3"], region_name="us-east-1")
    return client.get_caller_identity()["Arn"].split("/")[-1]

report("jars", context.getConf().get("spark.jars", "").split(","))
report("no role", outcome(lambda: assume_role("arn:aws:iam::000000000000:role/nobody"))[0::2])
if where == "class path":
    context._jvm.java.lang.System.setProperty("hopsworks.restendpoint", os.environ["WITHOUT_STS"])
    report("no STS", outcome(assume_role)[0::2])
    context._jvm.java.lang.System.clearProperty("hopsworks.restendpoint")
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.environ["STRANGER"]
    report("no endpoint", outcome(lambda: assume_role(refresh=True))[0])
    del os.environ["AWS_SHARED_CREDENTIALS_FILE"]
    with one_failing_write():
        report("no write", outcome(lambda: assume_role(role_session_name="unwritten"))[0])
report("no ARN", outcome(lambda: assume_role("reader"))[0])
report("unchanged", [in_jvm(), current(), os.environ.get("AWS_ACCESS_KEY_ID")])
credentials = assume_role(get_role(1))
report("mode", [credentials.mode, credentials.role_arn])
report("rows", rows("resource"))
report("denied", "AccessDenied" in str(outcome(lambda: rows("other"))))
report("one holder", is_one_holder())
report("explained", explain("s3a://resource/test.csv"))
other = spark.newSession()
other.conf.set("fs.s3a.aws.credentials.provider", "org.example.OfSession")
other.createDataFrame([(1,)], "number int")
assume_role(get_role(1))
spark.createDataFrame([(1,)], "number int")
if where == "class path":
    with one_failing_write():
        report("no later write", outcome(lambda: assume_role(role_session_name="unwritten"))[0])
    # Python follows the JVM, which has gone back.
    report("gone back", [is_one_holder(), session_name() != "unwritten"])

failed, end = [], time.monotonic() + seconds
while time.monotonic() < end:
    for reader in (lambda: read(s3(boto3.Session())), lambda: rows("resource")[0][1]):
        seen = outcome(reader)
        if seen not in ("1,one", "one"):
            failed.append(seen)
    time.sleep(0.3)
report("failed", failed)
report("renewed", [credentials.access_key_id != current().access_key_id, is_one_holder()])

def on_executor(_):
    from hops.credentials_provider import boto3_session
    return read(s3(boto3_session()))

if where == "live":
    report("worker", context.parallelize([1], 1).map(on_executor).collect())
release()
report("released", [in_jvm(), current(), os.environ.get("AWS_ACCESS_KEY_ID")])
spark.stop()
"""


_BEFORE = """
from pyspark.sql import SparkSession

first = assume_role()
report("mode", first.mode)
spark = configure(SparkSession.builder).getOrCreate()

def rows(bucket):
    return [list(row) for row in spark.read.csv(f"s3a://{bucket}/test.csv").collect()]

report("with Spark", current().mode)
report("rows", rows("resource"))
failed, end = [], time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    seen = outcome(lambda: rows("resource")[0])
    if seen != ["1", "one"]:
        failed.append(seen)
    time.sleep(0.3)
report("failed", failed)
report("denied", "AccessDenied" in str(outcome(lambda: rows("other"))))
report("explained", explain("s3a://resource/test.csv"))
report("renewed", first.access_key_id != current().access_key_id)

assume_role()
spark.sparkContext._gateway.proc.kill()
last = current().access_key_id
while current().access_key_id == last:
    time.sleep(0.1)
report("without Spark", [current().mode, current().access_key_id == os.environ["AWS_ACCESS_KEY_ID"]])
os._exit(0)
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of Spark, and where the jar comes from: `class path`, `builder` (the wheel, by `configure`), `live` (the wheel, later)."""

    line: Line
    master: str
    jar: str
    #: The seconds for which it goes on reading, through short lifetimes.
    seconds: int = 0
    program: str = _PROGRAM

    def __str__(self) -> str:
        return f"Spark {self.line.spark}, {self.master}, {self.jar}"


ROWS = [
    Row(SPARK_3_5, "local[2]", "class path", 12),
    Row(SPARK_4_1, "local-cluster[1,1,1024]", "live"),
    Row(SPARK_4_3, "local[2]", "builder"),
]
BEFORE = Row(SPARK_4_3, "local[2]", "builder", 12, _BEFORE)


@dataclasses.dataclass(frozen=True)
class Run:
    """The outcome of a row: what its program reported and wrote, and who signed its requests."""

    found: dict[str, object]
    written: str
    signers: set[str | None]


class _WithoutSts(Answering):
    """A role-mapping server that does not reach STS."""

    def do_GET(self) -> None:
        self.answer(502, b'{"errorCode": 380001, "errorMsg": "Failed to assume role"}')


@pytest.fixture(scope="module")
def runs(site: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Row, Future[Run]]]:
    """Starts all rows, two at a time."""

    def run(row: Row) -> Run:
        directory = tmp_path_factory.mktemp("spark")
        place = Place.USER if row.jar == "class path" else Place.WHEEL
        stranger, other = directory / "stranger", directory / "other.jar"
        stranger.write_text("[default]\naws_access_key_id = AKIASTRANGER\naws_secret_access_key = canary-of-a-profile\n")
        with zipfile.ZipFile(other, "w") as jar:
            jar.writestr("of-the-cluster", "")
        with recording(site.cloud.aws.endpoint) as s3, short_lived(site) as short, serving(_WithoutSts) as without_sts:
            used = short if row.seconds else site
            done = Spark(row.line, 17, s3.endpoint, directory, row.master, place, jars=[other]).python(
                written(directory, row.program),
                {**used.variables(site.scientist), "S3": s3.endpoint, "WITHOUT_STS": without_sts, "STRANGER": str(stranger)},
                VENV / "bin" / "python",
                row.jar,
                str(row.seconds),
            )
        found = reported(done)
        assert leaks(site.secrets(), directory, done.stdout, done.stderr) == []
        return Run(found, done.stdout + done.stderr, {exchange.access_key_id for exchange in s3.exchanges})

    with ThreadPoolExecutor(2) as threads:
        yield {row: threads.submit(run, row) for row in [*ROWS, BEFORE]}


@pytest.mark.parametrize("row", [pytest.param(row, marks=pytest.mark.platform(f"PySpark {row.line.spark}")) for row in ROWS], ids=str)
def test_the_role_is_that_of_the_jvm_and_of_python(
    row: Row, site: Deployment, runs: dict[Row, Future[Run]], record_property: Callable[[str, object], None]
) -> None:
    record_property("language", "Python")
    record_property("spark", f"{row.line.spark} / {row.line.hadoop} {row.master}")
    record_property("class path", row.jar)
    run = runs[row].result()
    found = run.found
    assert found["no role"] == ["RefusedError", 380003]
    # Its code alone could be that of a refusal.
    assert found.get("no STS", ["UnavailableError", 380001]) == ["UnavailableError", 380001]
    assert found["no ARN"] == "ValueError"
    # Refused or failed in Python, when the JVM could have had its role already.
    assert [found.get(name) for name in ("no endpoint", "no write", "no later write")] == (
        ["NotConfiguredError", "OSError", "OSError"] if row.jar == "class path" else [None] * 3
    )
    assert found.get("gone back", [True, True]) == [True, True]
    jars = found["jars"]
    assert isinstance(jars, list)
    assert Path(jars[0]).name == "other.jar"
    assert ("hops-credentials" in jars[-1]) is (row.jar != "live")
    assert found["unchanged"] == [None, None, None]
    assert found["mode"] == ["environment with Spark", site.cloud.resource_reader]
    assert found["rows"] == [["1", "one"], ["2", "two"], ["3", "three"]]
    assert found["denied"] is True
    assert found["one holder"] is True
    assert "mode=live" in str(found["explained"])
    # It is the one that made a DataFrame last.
    assert "a session sets fs.s3a.aws.credentials.provider to org.example.OfSession, which wins over the role" in run.written
    assert found["failed"] == []
    assert found["renewed"] == ([True, True] if row.seconds else [False, True])
    assert found.get("worker", ["1,one"]) == ["1,one"]
    assert found["released"] == [None, None, None]
    assert run.signers <= issued_for(site, "resource-reader", 0)
    # The JVM and Python share one set; a worker on an executor fetches its own, and may get the same.
    assert row.seconds or len(run.signers) in ((1, 2) if row.jar == "live" else (1,))
    # py4j wrote at DEBUG.
    assert "DEBUG:py4j" in run.written


def test_a_context_that_is_made_after_the_role_takes_it_over_and_its_end_is_not_that_of_the_role(
    site: Deployment, runs: dict[Row, Future[Run]]
) -> None:
    run = runs[BEFORE].result()
    assert run.found["mode"] == "environment"
    assert run.found["with Spark"] == "environment with Spark"
    assert run.found["rows"] == [["1", "one"], ["2", "two"], ["3", "three"]]
    assert run.found["failed"] == []
    assert run.found["denied"] is True
    assert "mode=live" in str(run.found["explained"])
    assert run.found["renewed"] is True
    # The JVM was killed, and the program goes on.
    assert run.found["without Spark"] == ["environment", True]
    assert "Spark goes on" not in run.written
    assert run.signers <= issued_for(site, "resource-reader", 0)


def test_a_context_that_cannot_hold_the_role_is_asked_once(site: Deployment, tmp_path: Path) -> None:
    """A stand-in replaces the module of pyspark, which makes no SparkContext that fails."""
    done = python(
        tmp_path,
        site.variables(site.scientist),
        """
        import types

        class SparkContext:
            _jsc = "made"

            @property
            def _jvm(self):
                raise RuntimeError("there is no JVM")

        assume_role()
        pyspark = types.ModuleType("pyspark")
        looks = []

        class Spark:
            @property
            def _active_spark_context(self):
                looks.append(time.monotonic())
                return made

        made = SparkContext()
        pyspark.SparkContext = Spark()
        sys.modules["pyspark"] = pyspark
        until = time.monotonic() + 60
        while (not looks or looks[-1] - looks[0] < 2) and time.monotonic() < until:
            time.sleep(0.05)
        # The refresher looks once a second.
        report("looked again", looks[-1] - looks[0] >= 2)
        report("mode", current().mode)
        """,
    )
    assert reported(done) == {"looked again": True, "mode": "environment"}
    assert done.stderr.count("Spark goes on with the credentials it was started with: there is no JVM") == 1


def test_a_context_that_cannot_hold_the_role_for_a_while_is_asked_again(site: Deployment, tmp_path: Path) -> None:
    """A stand-in replaces the module of pyspark, whose source of roles is back at the third try."""
    done = python(
        tmp_path,
        site.variables(site.scientist),
        """
        import types
        asked = []

        class SparkContext:
            _jsc = "made"

            @property
            def _jvm(self):
                asked.append(time.monotonic())
                raise UnavailableError("nobody answers") if len(asked) < 3 else RuntimeError("there is no JVM")

        made = SparkContext()
        assume_role()
        pyspark = types.ModuleType("pyspark")
        pyspark.SparkContext = types.SimpleNamespace(_active_spark_context=made)
        sys.modules["pyspark"] = pyspark
        until = time.monotonic() + 60
        while len(asked) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        report("asked", len(asked))
        report("mode", current().mode)
        """,
    )
    assert reported(done) == {"asked": 3, "mode": "environment"}
    said = [line for line in done.stderr.splitlines() if "Spark goes on with" in line]
    assert [line.partition("started with")[2] for line in said] == [" for now: nobody answers", ": there is no JVM"]


def test_a_client_of_spark_connect_is_told_what_works(site: Deployment, tmp_path: Path) -> None:
    """A stand-in replaces the module of pyspark, which needs packages that the other tests do not."""
    done = python(
        tmp_path,
        {**site.variables(site.scientist), "S3": site.s3.endpoint},
        """
        import types
        connect = types.ModuleType("pyspark.sql.connect.session")

        class SparkSession:
            _default_session = "a session"
            getActiveSession = staticmethod(lambda: None)

        connect.SparkSession = SparkSession
        sys.modules["pyspark.sql.connect.session"] = connect
        report("refused", outcome(assume_role))
        report("unchanged", [os.environ.get("AWS_ACCESS_KEY_ID"), current()])
        client = boto3_session().client("s3", endpoint_url=os.environ["S3"], region_name="us-east-1")
        report("read", client.get_object(Bucket="resource", Key="test.csv")["Body"].read().decode().split()[0])
        """,
    )
    found = reported(done)
    refused = found["refused"]
    assert isinstance(refused, list)
    assert refused[0] == "NotConfiguredError"
    assert refused[1].startswith("a Spark Connect session reads with the role that the operator of its server has set there")
    assert found["unchanged"] == [None, None]
    assert found["read"] == "1,one"
