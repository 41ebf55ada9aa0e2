"""`make soak` runs a job through twenty short sessions on the lines of Spark in CI, with trouble between job, role-mapping server and STS.

AWS gives no session shorter than 900 s, and the product asks for none. A proxy between the server and STS asks for seconds instead and
signs anew; it also fails, throttles and stalls, as STS may. Another proxy before the server does the same, and stays while it restarts.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from rig.aws import REGION
from rig.canary import leaks
from rig.http import Answering, Recorder, serving
from rig.process import on_termination
from rig.server import RoleServer
from rig.spark import IN_CI, Line, Spark, reports
from rig.stage import Stage, stage
from tests.programs import compiled

LIFE_SECONDS = 10
#: Two executors of two cores each. A task that lasts as long as the program keeps one core of each busy.
MASTER = "local-cluster[2,2,1024]"
_RESTART_SECONDS = 15
_KEYS = re.compile(
    r"<AccessKeyId>([^<]+)</AccessKeyId>\s*<SecretAccessKey>([^<]+)</SecretAccessKey>\s*<SessionToken>([^<]+)</SessionToken>"
)
_TROUBLE = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>try later</Message></Error></ErrorResponse>"


@contextmanager
def shortening(sts: Recorder, met: Counter[str]) -> Iterator[str]:
    """Runs a proxy to STS that lets sessions last seconds and troubles every third request after the first three. Yields its endpoint."""
    asked = 0

    class Proxy(Answering):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal asked
            asked += 1
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            trouble = (asked // 3) % 3 if asked > 3 and asked % 3 == 0 else None
            if trouble == 0:
                met["STS failed"] += 1
                return self.answer(500, _TROUBLE.format("InternalFailure").encode())
            if trouble == 1:
                met["STS throttled"] += 1
                return self.answer(400, _TROUBLE.format("Throttling").encode())
            if trouble == 2:
                met["STS stalled"] += 1
                time.sleep(1)
            form["DurationSeconds"] = str(LIFE_SECONDS)
            request = AWSRequest(
                "POST", f"{sts.endpoint}/", data=urlencode(form).encode(), headers={"Content-Type": "application/x-www-form-urlencoded"}
            )
            SigV4Auth(self.signer(), "sts", REGION).add_auth(request)
            sent = request.prepare()
            try:
                with urllib.request.urlopen(urllib.request.Request(sent.url, sent.body, dict(sent.headers), method="POST")) as answer:
                    return self.answer(answer.status, answer.read())
            except urllib.error.HTTPError as refusal:
                return self.answer(refusal.code, refusal.read())

        def signer(self) -> Credentials:
            """Returns the keys that signed the request. STS has issued them, so the recorder saw them."""
            signed = re.search("Credential=([^/]+)/", self.headers["Authorization"])
            assert signed is not None
            issued = _KEYS.findall("".join(exchange.body for exchange in sts.exchanges))
            return next(Credentials(*keys) for keys in issued if keys[0] == signed[1])

    with serving(Proxy) as endpoint:
        yield endpoint


@contextmanager
def restarting(server: RoleServer, met: Counter[str]) -> Iterator[str]:
    """Runs a server that restarts every few seconds, behind a proxy that fails, throttles, stalls and hangs up. Yields its endpoint."""
    upstream: str | None = None
    serves, ended = threading.Event(), threading.Event()
    asked = 0

    def keep() -> None:
        nonlocal upstream
        while not ended.is_set():
            with server.serve() as (running, _):
                upstream = running
                serves.set()
                ended.wait(_RESTART_SECONDS)
                upstream = None
            met["server restarted"] += 1

    class Proxy(Answering):
        def do_GET(self) -> None:
            nonlocal asked
            asked += 1
            trouble = asked % 11 if asked > 4 else None
            if trouble == 3:
                met["server failed"] += 1
                return self.answer(500, b"{}")
            if trouble == 6:
                met["server throttled"] += 1
                return self.answer(429, b"{}")
            if trouble == 9:
                met["server stalled"] += 1
                time.sleep(1)
            if trouble == 0 or upstream is None:
                met["server hung up"] += 1
                return None
            try:
                headers = {"Authorization": self.headers["Authorization"]}
                with urllib.request.urlopen(urllib.request.Request(upstream + self.path, headers=headers)) as answer:
                    return self.answer(answer.status, answer.read())
            except urllib.error.HTTPError as refusal:
                return self.answer(refusal.code, refusal.read())
            except OSError:
                met["server hung up"] += 1
                return None

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        assert serves.wait(30), server.log.read_text()
        with serving(Proxy) as endpoint:
            yield endpoint
    finally:
        ended.set()
        thread.join()


@dataclasses.dataclass(frozen=True)
class Life:
    """The life of one application, and what S3 and STS saw of it."""

    found: dict[str, object]
    seconds: float
    #: The access keys that STS issued for each role, and those that signed the requests at S3.
    issued: dict[str, set[str]]
    signers: Counter[str | None]
    statuses: set[int]
    #: The status with which S3 answers the first keys after their session has ended.
    ended: int
    trouble: Counter[str]
    logged: str

    def strangers(self) -> int:
        """Counts the requests at S3 that no session of ours has signed."""
        ours = set().union(*self.issued.values())
        return sum(count for signer, count in self.signers.items() if signer not in ours)

    def most_sessions(self) -> int:
        """Returns how many sessions of one role there may be: each is refreshed once, with half of its life left, at most 5 % sooner.

        The first session is one more, and the second copy of the product asks for another one.
        """
        return 2 + int(self.seconds / (0.45 * LIFE_SECONDS))


def on_local_cluster(place: Stage, line: Line, directory: Path) -> Spark:
    """Returns the installation on which the program runs, unless it is about another one."""
    return Spark(line, 17, place.site.s3.endpoint, directory, MASTER)


def live(place: Stage, spark: Spark, seconds: int) -> Life:
    """Runs the program for so many seconds, with trouble all the way."""
    site = place.site
    spark = dataclasses.replace(spark, confs={**spark.confs, "spark.task.maxFailures": "4"})
    trouble: Counter[str] = Counter()
    begin = time.monotonic()
    with shortening(site.sts, trouble) as sts:
        server = dataclasses.replace(site.server, variables={**site.server.variables, "AWS_ENDPOINT_URL_STS": sts})
        with restarting(server, trouble) as endpoint:
            reading, issuing = len(site.s3.exchanges), len(site.sts.exchanges)
            variables = {**site.variables(site.scientist), "REST_ENDPOINT": endpoint}
            done = spark.submit(
                compiled(spark.line), "Lifetimes", variables, place.resource, place.lake, str(seconds), seconds=seconds + 240
            )
    took = time.monotonic() - begin
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    if found := leaks(site.secrets(), spark.directory, done.stdout, done.stderr):
        raise AssertionError(f"secrets in {found}")
    asked = site.s3.exchanges[reading:]
    bodies = [exchange.body for exchange in site.sts.exchanges[issuing:]]
    sessions = {
        role: [keys for body in bodies if f"assumed-role/{role}/" in body for keys in _KEYS.findall(body)]
        for role in ("resource-reader", "lake-writer")
    }
    return Life(
        reports(done.stdout),
        took,
        {role: {keys[0] for keys in issued} for role, issued in sessions.items()},
        Counter(exchange.access_key_id for exchange in asked),
        {exchange.status for exchange in asked},
        _answer(site.s3.endpoint, sessions["resource-reader"][0]),
        trouble,
        done.stderr,
    )


def _answer(endpoint: str, keys: tuple[str, str, str]) -> int:
    """Returns the status with which S3 answers a session."""
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, **dict(zip(names, keys, strict=True)))
    try:
        return int(s3.get_object(Bucket="resource", Key="test.csv")["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as refusal:
        return int(refusal.response["ResponseMetadata"]["HTTPStatusCode"])


def failures(life: Life, lifetimes: int) -> list[str]:
    """Lists what went wrong, by the report of the program and by what S3 and STS saw."""
    found = life.found
    keys = found["keys"]
    assert isinstance(keys, list)
    checks = {
        "a read on the driver failed": found["driver"] == [],
        "a read in a task failed": found["tasks"] == [],
        "S3 refused a request": life.statuses <= {200, 204, 206, 404},
        "somebody else signed a request": life.strangers() == 0,
        "too few lifetimes": len([signer for signer in life.signers if signer in life.issued["resource-reader"]]) >= lifetimes,
        # Leaves out the other task, which begins anew half way.
        "driver or task saw fewer than three sessions": min(keys[:2]) >= 3,
        "more than one STS call for a refresh": all(len(issued) <= life.most_sessions() for issued in life.issued.values()),
        "the stream lost or doubled rows": found["streamed"] == found["written"],
        "the stream failed": isinstance(found["batches"], int),
        "S3 took the keys of an ended session": life.ended in (400, 403),
        "the static keys are stale": found["static"] is True,
        "the environment is stale": found["environment"] is True,
        "the server did not restart": life.trouble["server restarted"] >= 2,
    }
    return [problem for problem, holds in checks.items() if not holds]


def figures(line: Line, life: Life, problems: list[str]) -> dict[str, str]:
    """Returns the figures of one application by name."""
    found = life.found
    reads = found["reads"]
    assert isinstance(reads, list) and isinstance(found["driver"], list) and isinstance(found["tasks"], list)
    return {
        "Spark / Hadoop": f"{line.spark} / {line.hadoop}",
        "seconds": f"{life.seconds:.0f}",
        "sessions used": str(len([signer for signer in life.signers if signer in life.issued["resource-reader"]])),
        "reads, driver + tasks": " + ".join(map(str, reads)),
        "failed reads": str(len(found["driver"]) + len(found["tasks"])),
        "requests at S3": str(life.signers.total()),
        "by others": str(life.strangers()),
        **{f"sessions of {role}": f"{len(issued)}, at most {life.most_sessions()}" for role, issued in life.issued.items()},
        "streamed rows": f"{found['streamed']} of {found['written']}, {found['batches']} batches",
        "S3 to the first keys": str(life.ended),
        **{what: str(count) for what, count in sorted(life.trouble.items())},
        "result": "FAILED" if problems else "ok",
    }


def main() -> int:
    """Returns 0 if and only if every line lived through twenty lifetimes without a failed read."""
    on_termination(lambda: sys.exit("soak: ended by SIGTERM"))
    table = []
    with tempfile.TemporaryDirectory() as directory, stage(Path(directory)) as place:
        for line in IN_CI:
            life = live(place, on_local_cluster(place, line, Path(directory) / line.spark), 22 * LIFE_SECONDS)
            problems = failures(life, 20)
            print(f"Spark {line.spark}: {problems, life.found}" if problems else f"Spark {line.spark}: ok", flush=True)
            table.append(figures(line, life, problems))
    names = list(dict.fromkeys(name for column in table for name in column))
    width = max(map(len, names))
    for name in names:
        print(name.ljust(width), *(column.get(name, "0").ljust(30) for column in table), sep="  ")
    return int(any(column["result"] == "FAILED" for column in table))


if __name__ == "__main__":
    sys.exit(main())
