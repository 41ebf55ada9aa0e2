"""Programs in Python on Spark, beside a stranger who could read everything."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rig import ROOT
from rig.canary import leaks
from rig.http import recording
from rig.spark import Line, Place, Spark
from rig.stage import Stage
from runs.readers import reader_endpoints, short_lived
from tests.programs.python_program import VENV, reported, written

CLUSTER = "local-cluster[1,2,1024]"

_BEGIN = """
from pyspark.sql import SparkSession
import threading

spark = SparkSession.builder.getOrCreate()
context = spark.sparkContext
resource, other, lake, directory = sys.argv[1:5]

def sql(text, session=spark):
    return [list(row) for row in session.sql(text).collect()]

def who(client=None):
    import boto3
    client = client or boto3.client("sts", endpoint_url=os.environ["S3"], region_name="us-east-1")
    try:
        return client.get_caller_identity()["Arn"].split("/")[1]
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"

def in_tasks(question, tasks=2):
    return context.parallelize(range(tasks), tasks).map(lambda _: question()).collect()

def workers():
    return sorted(set(in_tasks(who)))

def kill_executor():
    try:
        # The parent of its parent is the executor.
        in_tasks(lambda: os.kill(int(open(f"/proc/{os.getppid()}/stat").read().split()[3]), 9), 1)
    except Exception:
        pass

"""


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a program reported, the keys that signed its requests, and its log."""

    found: dict[str, Any]
    signers: set[str | None]
    log: str
    #: The keys that signed requests for an object, by its path.
    signed: Mapping[str, set[str | None]]


@dataclasses.dataclass(frozen=True)
class Application:
    """Runs programs on one line of Spark and one master, where a stranger who could read everything is in the environment of executors.

    It comes there with the configuration, or `is_inherited`. In the configuration `{s3}` becomes the endpoint of S3 and of any other
    service, `{server}` that of the role-mapping server.
    """

    stage: Stage
    directory: Path
    line: Line
    master: str
    confs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    interpreter: Path = VENV / "bin" / "python"
    is_inherited: bool = False
    #: False where the credentials of a task are to last as long as it does: with the master local, a task keeps those that it began with.
    has_short_sessions: bool = True
    #: Jars that come with the job.
    jars: Sequence[Path] = ()
    s3a: Place | None = Place.SYSTEM
    product: Place = Place.USER
    #: Variables of the driver.
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def run(self, *program: str, arguments: tuple[str, ...] = ()) -> Ran:
        """Runs a program. No secret may lie in what it leaves behind."""
        stage, directory = self.stage, self.directory
        events = directory / "events"
        events.mkdir()
        keys = {"AWS_ACCESS_KEY_ID": stage.stranger.access_key_id, "AWS_SECRET_ACCESS_KEY": stage.stranger.secret_access_key}
        confs = {
            **({} if self.is_inherited else {f"spark.executorEnv.{name}": value for name, value in keys.items()}),
            "spark.executorEnv.NO_PROXY": "internal.example.org",
            "spark.redaction.regex": "(?i)secret|password|token|access[.]?key|AWS_ACCESS_KEY_ID",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": events.as_uri(),
            "spark.eventLog.compress": "false",
            "spark.eventLog.rolling.enabled": "false",
            **self.confs,
        }
        sessions = short_lived(stage.site) if self.has_short_sessions else nullcontext(stage.site)
        with recording(stage.site.cloud.aws.endpoint) as s3, sessions as site:
            confs = {key: value.replace("{s3}", s3.endpoint).replace("{server}", site.endpoint) for key, value in confs.items()}
            done = Spark(self.line, 17, s3.endpoint, directory, self.master, self.product, self.s3a, self.jars, confs=confs).python(
                written(directory, _BEGIN, *program),
                {
                    **(keys if self.is_inherited else {}),
                    **site.variables(stage.site.scientist),
                    **reader_endpoints(s3),
                    "PYTHONPATH": str(ROOT / "tests" / "programs" / "python"),
                    **self.variables,
                },
                self.interpreter,
                stage.resource,
                stage.other,
                stage.lake,
                str(directory),
                *arguments,
            )
        found = reported(done)
        assert leaks(stage.site.secrets(), directory, done.stdout, done.stderr) == []
        signed: dict[str, set[str | None]] = {}
        for exchange in s3.exchanges:
            signed.setdefault(exchange.path.partition("?")[0].strip("/"), set()).add(exchange.access_key_id)
        return Ran(found, {exchange.access_key_id for exchange in s3.exchanges}, done.stderr, signed)
