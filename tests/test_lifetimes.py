"""Credentials that outlive their sessions: a job on real Spark reads through many short lifetimes without a failed read.

AWS gives no session shorter than 900 s, and the product asks for none. A passage between the server and STS asks for
seconds instead and signs anew; it also fails, throttles and stalls, as STS may.
"""

from __future__ import annotations

import dataclasses
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from rig.aws import REGION
from rig.deployment import Deployment
from rig.http import Recorder, serving
from rig.spark import SPARK_3_5, SPARK_4_1, SPARK_4_3, Line, Spark, reports
from tests.canary import leaks
from tests.programs import compiled

LIFE_SECONDS = 10
RUN_SECONDS = 60
_KEYS = re.compile(
    r"<AccessKeyId>([^<]+)</AccessKeyId>\s*<SecretAccessKey>([^<]+)</SecretAccessKey>\s*<SessionToken>([^<]+)</SessionToken>"
)
_TROUBLE = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>try later</Message></Error></ErrorResponse>"


@contextmanager
def shortening(sts: Recorder) -> Iterator[str]:
    """A way to STS on which sessions last seconds, and every third request after the first three meets trouble; its endpoint."""
    asked = 0

    class Passage(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal asked
            asked += 1
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            trouble = (asked // 3) % 3 if asked > 3 and asked % 3 == 0 else None
            if trouble == 0:
                return self.answer(500, _TROUBLE.format("InternalFailure").encode())
            if trouble == 1:
                return self.answer(400, _TROUBLE.format("Throttling").encode())
            if trouble == 2:
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
            """Whoever signed the request: an identity that STS has issued, so its keys went by."""
            signed = re.search("Credential=([^/]+)/", self.headers["Authorization"])
            assert signed is not None
            issued = _KEYS.findall("".join(exchange.body for exchange in sts.exchanges))
            return next(Credentials(*keys) for keys in issued if keys[0] == signed[1])

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Silent: the exchanges behind it are the log."""

    with serving(Passage) as endpoint:
        yield endpoint


@pytest.mark.parametrize("line", [SPARK_3_5, SPARK_4_1, SPARK_4_3], ids=lambda line: f"Spark {line.spark}")
def test_reads_go_on_through_many_lifetimes_and_the_death_of_an_executor(
    line: Line, site: Deployment, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("spark", f"{line.spark} / {line.hadoop} local-cluster[2,1,1024]")
    record_property("class path", "system/user")
    confs = {"spark.task.maxFailures": "4"}
    spark = Spark(line, 17, site.s3.endpoint, tmp_path, "local-cluster[2,1,1024]", confs=confs)
    begin = time.monotonic()
    with shortening(site.sts) as sts:
        server = dataclasses.replace(site.server, variables={**site.server.variables, "AWS_ENDPOINT_URL_STS": sts})
        with server.serve() as (endpoint, _):
            reading, issuing = len(site.s3.exchanges), len(site.sts.exchanges)
            variables = {**site.variables(site.scientist), "REST_ENDPOINT": endpoint}
            done = spark.submit(compiled(line), "Lifetimes", variables, site.cloud.resource_reader, str(RUN_SECONDS))
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    asked = site.s3.exchanges[reading:]
    issued = [exchange.body for exchange in site.sts.exchanges[issuing:] if "assumed-role/resource-reader/" in exchange.body]
    keys = {match[0] for body in issued for match in _KEYS.findall(body)}
    print(f"\nreads {found['reads']}, keys {found['keys']}, sessions {len(keys)}, requests at S3 {len(asked)}")
    # Nobody failed, and nobody else read.
    assert found["driver"] == []
    assert found["tasks"] == []
    assert {exchange.status for exchange in asked} <= {200, 206}
    assert {exchange.access_key_id for exchange in asked} <= keys
    # The sessions really ended, and the next one was used each time.
    assert len({exchange.access_key_id for exchange in asked}) >= RUN_SECONDS // LIFE_SECONDS
    # However many threads and executors read, a session is refreshed once: with half of its life left, at most 5 % sooner.
    assert len(keys) <= 1 + (time.monotonic() - begin) / (0.45 * LIFE_SECONDS)
    assert found["static"] is True
    assert found["environment"] is True
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []
