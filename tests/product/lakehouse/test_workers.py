"""Python workers on executors read with the role of the application."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from rig import BUILD
from rig.guides import snippets
from rig.spark import LINES, SPARK_3_5, SPARK_4_3, Line
from rig.stage import Stage
from runs.readers import SECONDS, fill, issued_for
from tests.product.lakehouse.application import CLUSTER, Application
from tests.programs.python.readers import PROVIDERS, READERS
from tests.programs.python_program import VENV

_SWITCHES = """
def after_a_while():
    while not os.path.exists(f"{directory}/go on"):
        time.sleep(0.05)
    return [who(), os.getpid()]

def has_ended(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False

def named(role):
    return lambda: who(boto3_session(role).client("sts", endpoint_url=os.environ["S3"], region_name="us-east-1"))

def found():
    path = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
    token = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    logged = any(token in open(f"{directory}/events/{name}").read() for name in os.listdir(f"{directory}/events"))
    return [path, oct(os.stat(path).st_mode), open(path).read() == token, logged, os.environ["no_proxy"]]

def answers():
    import urllib.error, urllib.request
    url, token = os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    def status(path="", given=token, method="GET"):
        asked = urllib.request.Request(url + path, headers={"Authorization": given}, method=method)
        try:
            return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked).status
        except urllib.error.HTTPError as refusal:
            return [refusal.code, json.load(refusal)["code"]]
    return [status(), status(given="guess"), status("/more"), status(method="PUT"), status("?role=nobody"), url]

from pyspark.sql.functions import udf
function = udf(lambda _: who())

def of_a_function():
    return spark.range(1).select(function("id")).first()[0]

never_run = spark.range(1).select(udf(lambda _: who())("id"))

report("before", [*workers(), of_a_function()])
began = []
job = threading.Thread(target=lambda: began.extend(in_tasks(after_a_while, 1)))
job.start()
until = time.monotonic() + 60
while not context.statusTracker().getActiveStageIds() and time.monotonic() < until:
    time.sleep(0.05)
assume_role(resource)
# One of two cores is taken, so these tasks use a worker again.
report("role", sorted(set(in_tasks(who, 6))))
open(f"{directory}/go on", "w").close()
job.join()
(was, worker), = began
report("under way", was)
later = in_tasks(lambda: [who(), os.getpid()])
report("later", sorted({seen for seen, _ in later}))
report("worker used again", worker in [pid for _, pid in later])
until = time.monotonic() + 30
while not has_ended(worker) and time.monotonic() < until:
    time.sleep(0.05)
report("worker ended", has_ended(worker))
report("functions from before", [of_a_function(), never_run.first()[0]])
if not context.master.startswith("local["):
    report("endpoint", in_tasks(found, 1)[0])
    report("answers", in_tasks(answers, 1)[0])
report("named", in_tasks(named(resource), 1))
buckets = context._gateway.new_array(context._jvm.java.lang.String, 1)
buckets[0] = "other"
context._jvm.io.hops.util.CredentialsProvider.AssumeRoleRequest.builder().setRoleArn(other).forBucket(buckets).send()
report("of a bucket", [in_tasks(named(role), 1)[0] for role in (resource, other, None)])
assume_role(other)
report("switched", workers())
report("refused", outcome(lambda: assume_role("arn:aws:iam::000000000000:role/nobody"))[0])
report("after the refusal", workers())
release()
report("released", [*workers(), of_a_function()])
spark.stop()
"""

_LIFETIMES = """
seconds, names = float(sys.argv[5]), sys.argv[6:]

def play():
    import readers
    return readers.play(names, seconds)

assume_role(resource)
report("played", in_tasks(play, 1)[0])

def first_row(_=None):
    import boto3
    return boto3.client("s3").get_object(Bucket="resource", Key="test.csv")["Body"].read().decode().split()[0]

from pyspark.sql.functions import udf
report("in a UDF", [row[0] for row in spark.range(1).select(udf(first_row)("id")).collect()])
context.parallelize([1], 1).foreachPartition(first_row)
keys = context.parallelize(["test.csv"], 1)
"""

_OF_THE_GUIDE = f"""
{snippets("executors.md", "python")[0]}
report("total", total)
"""

_IN_PANDAS = """
def frames(frames):
    import pandas
    for _ in frames:
        yield pandas.read_csv("s3://resource/test.csv", header=None, names=["id", "word"])

report("in mapInPandas", [row.word for row in spark.range(1).mapInPandas(frames, "id int, word string").collect()])
"""


#: PySpark 3.3 knows no Python of 3.11 or later.
_WITH_PYTHON = [line for line in LINES if not line.spark.startswith("3.3.")]

pytestmark = [
    pytest.mark.lakehouse,
    pytest.mark.platform(f"Python workers on executors: Spark {', '.join(line.spark for line in _WITH_PYTHON)}"),
]

_LATER = pytest.mark.everywhere

#: TensorFlow needs packages of its own, and Dask has workers of its own.
_IN_WORKERS = tuple(name for name in {**READERS, **PROVIDERS} if name != "tensorflow" and not name.startswith("dask"))


@pytest.mark.parametrize(
    ("line", "master"),
    [
        (SPARK_3_5, CLUSTER),
        *(pytest.param(line, CLUSTER, marks=pytest.mark.everywhere) for line in _WITH_PYTHON if line != SPARK_3_5),
        *(pytest.param(line, "local[2]", marks=pytest.mark.everywhere) for line in (SPARK_3_5, SPARK_4_3)),
    ],
    ids=str,
)
def test_python_workers_have_the_role_whenever_they_started_and_no_other_identity(
    line: Line, master: str, stage: Stage, tmp_path: Path
) -> None:
    found = Application(stage, tmp_path, line, master).run(_SWITCHES).found

    assert found["before"] == ["stranger", "stranger"]
    assert found["role"] == ["resource-reader"]
    # It began before the role; its process has no task after that.
    assert found["under way"] == "stranger"
    assert (found["later"], found["worker used again"], found["worker ended"]) == (["resource-reader"], False, True)
    assert found["functions from before"] == ["resource-reader", "resource-reader"]
    if master == CLUSTER:
        path, mode, is_same, is_logged, unproxied = found["endpoint"]
        assert (mode, is_same, is_logged) == ("0o100600", True, False)
        assert unproxied == "internal.example.org,127.0.0.1"
        # Spark does not wait for the end of its executors.
        end = time.monotonic() + 30
        while Path(path).exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert not Path(path).exists()
        *answers, url = found["answers"]
        assert answers == [200, [401, "Unauthorized"], [404, "NotFound"], [405, "MethodNotAllowed"], [404, "NoSuchRole"]]
        with pytest.raises(OSError, match="refused"):
            urlopen(url)
    assert found["named"] == ["resource-reader"]
    assert found["of a bucket"] == ["resource-reader", "second", "resource-reader"]
    assert found["switched"] == ["second"]
    assert (found["refused"], found["after the refusal"]) == ("RefusedError", ["second"])
    assert found["released"] == ["stranger", "stranger"]


@pytest.mark.parametrize(
    ("line", "venv", "readers"),
    [
        pytest.param(SPARK_4_3, VENV, ("boto3", "s3fs", "pyarrow", "awscli", "boto3_session", "s3fs+options"), marks=_LATER),
        *(pytest.param(line, BUILD / "readers-venv", _IN_WORKERS, marks=_LATER) for line in (SPARK_3_5, SPARK_4_3)),
    ],
    ids=["4.3.0", "3.5.8, all readers", "4.3.0, all readers"],
)
def test_readers_in_a_task_go_on_through_five_lifetimes_without_the_settings_of_the_driver(
    line: Line, venv: Path, readers: tuple[str, ...], stage: Stage, tmp_path: Path
) -> None:
    fill(stage.site, venv, tmp_path)
    issued = len(stage.site.sts.exchanges)
    confs = {f"spark.executorEnv.{name}": "" for name in ("REST_ENDPOINT", "API_KEY", "SECRETS_DIR")}

    ran = Application(stage, tmp_path, line, CLUSTER, confs, venv / "bin" / "python").run(
        _LIFETIMES, _OF_THE_GUIDE, _IN_PANDAS if readers == _IN_WORKERS else "", arguments=(str(SECONDS), *readers)
    )

    found, signers = ran.found, ran.signers
    reads, failed = found["played"]
    assert failed == {name: [] for name in readers}
    assert min(reads.values()) > 3, reads
    assert found["in a UDF"] == ["1,one"]
    assert found["total"] == len("1,one\n2,two\n3,three\n")
    assert found.get("in mapInPandas", ["one", "two", "three"]) == ["one", "two", "three"]
    assert signers <= issued_for(stage.site, "resource-reader", issued)
    assert len(signers) > 3


_PLUGIN = """
report("from the start", workers())
assume_role(other)
report("switched", workers())
first = in_tasks(os.getppid, 1)
kill_executor()
report("on another executor", [workers(), in_tasks(os.getppid, 1) != first])
spark.stop()
"""


@pytest.mark.everywhere
@pytest.mark.parametrize("is_inherited", [True, False], ids=["stranger in the environment", "stranger in the configuration"])
@pytest.mark.parametrize("line", [SPARK_3_5, SPARK_4_3], ids=str)
def test_workers_have_the_role_of_the_configuration_from_their_start(line: Line, is_inherited: bool, stage: Stage, tmp_path: Path) -> None:
    ran = Application(stage, tmp_path, line, CLUSTER, _plugin(stage), is_inherited=is_inherited).run(_PLUGIN)

    assert ran.found == {"from the start": ["resource-reader"], "switched": ["second"], "on another executor": [["second"], True]}


_BUSY = """
def begun(_):
    began = time.time()
    found = who()
    time.sleep(0.2)
    return [began, found]

many = []
assume_role(resource)
job = threading.Thread(target=lambda: many.extend(context.parallelize(range(100), 100).map(begun).collect()))
job.start()
until = time.monotonic() + 60
while not context.statusTracker().getActiveStageIds() and time.monotonic() < until:
    time.sleep(0.05)
assume_role(other)
switched = time.time()
job.join()
report("tasks", len(many))
# A worker may have got its task just before.
report("later", sorted({found for began, found in many if began > switched + 1}))
"""


@pytest.mark.everywhere
@pytest.mark.parametrize("master", [CLUSTER, "local[2]"], ids=str)
@pytest.mark.parametrize("line", _WITH_PYTHON, ids=str)
def test_a_switch_in_the_middle_of_a_job_fails_no_task_and_holds_for_those_that_begin_later(
    line: Line, master: str, stage: Stage, tmp_path: Path
) -> None:
    ran = Application(stage, tmp_path, line, master, has_short_sessions=False).run(_BUSY)

    assert ran.found == {"tasks": 100, "later": ["second"]}


_LATE = """
assume_role(resource)
report("first", workers())
assume_role(other)
first = in_tasks(os.getppid, 1)
kill_executor()
report("on another executor", [workers(), in_tasks(os.getppid, 1) != first])
spark.stop()

spark = SparkSession.builder.getOrCreate()
context = spark.sparkContext
report("in another context", workers())
"""


@pytest.mark.everywhere
@pytest.mark.parametrize("line", [SPARK_3_5, SPARK_4_3], ids=str)
def test_an_executor_that_comes_later_has_the_newest_role_from_the_first_task_on_without_the_plugin(
    line: Line, stage: Stage, tmp_path: Path
) -> None:
    ran = Application(stage, tmp_path, line, CLUSTER).run(_LATE)

    assert ran.found == {"first": ["resource-reader"], "on another executor": [["second"], True], "in another context": ["second"]}


@pytest.mark.everywhere
@pytest.mark.parametrize(("master", "found"), [(CLUSTER, "stranger"), ("local[2]", "resource-reader")], ids=str)
def test_workers_stay_as_they_are_where_the_switch_says_so(master: str, found: str, stage: Stage, tmp_path: Path) -> None:
    # With the master local they inherit what the role has written into the environment of the driver.
    switch = {"spark.hops.credentials.worker-endpoint": "false"}
    ran = Application(stage, tmp_path, SPARK_3_5, master, switch, is_inherited=True).run(
        """
        assume_role(resource)
        report("workers", workers())
        workers_before = set(in_tasks(os.getppid))
        assume_role(other)
        report("other daemons", sorted(set(in_tasks(os.getppid)) - workers_before))
        report("environment", in_tasks(lambda: [name for name in os.environ if "CONTAINER" in name], 1))
        """
    )

    assert ran.found == {"workers": [found], "other daemons": [], "environment": [[]]}


def _plugin(stage: Stage) -> dict[str, str]:
    return {"spark.plugins": "io.hops.util.spark.HopsSparkPlugin", "spark.hops.role": stage.resource}
