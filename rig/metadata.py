"""Instance metadata on loopback, version 2 only: the answers of an EC2 instance with an instance profile.

The credentials are those of a real session of the instance role, so they work at the same STS. SDKs find the stand-in by
`AWS_EC2_METADATA_SERVICE_ENDPOINT`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

from rig.aws import REGION, Aws, Keys
from rig.http import serving

_ROLE_LIST = "/latest/meta-data/iam/security-credentials/"


@contextmanager
def metadata(aws: Aws, ec2: Keys, instance_role: str) -> Iterator[str]:
    """Serves the metadata of an instance whose profile holds `instance_role`. Yields the endpoint."""
    sts = aws.client_of(ec2, "sts")
    name = instance_role.rsplit("/", 1)[-1]
    tokens: dict[str, float] = {}

    def credentials() -> dict[str, str]:
        issued = sts.assume_role(RoleArn=instance_role, RoleSessionName="i-0123456789abcdef0")["Credentials"]
        return {
            "Code": "Success",
            "LastUpdated": _instant(datetime.now(UTC)),
            "Type": "AWS-HMAC",
            "AccessKeyId": issued["AccessKeyId"],
            "SecretAccessKey": issued["SecretAccessKey"],
            "Token": issued["SessionToken"],
            "Expiration": _instant(issued["Expiration"]),
        }

    class Instance(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, text: str = "", **headers: str) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_PUT(self) -> None:
            seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if self.path != "/latest/api/token" or not seconds.isdigit() or not 1 <= int(seconds) <= 21600:
                return self.answer(400)
            token = secrets.token_urlsafe(40)
            tokens[token] = time.monotonic() + int(seconds)
            return self.answer(200, token, X_aws_ec2_metadata_token_ttl_seconds=seconds)

        def do_GET(self) -> None:
            if tokens.get(self.headers.get("X-aws-ec2-metadata-token", ""), 0) < time.monotonic():
                return self.answer(401)
            if self.path == "/latest/meta-data/placement/region":
                return self.answer(200, REGION)
            if self.path.rstrip("/") + "/" == _ROLE_LIST:
                return self.answer(200, name)
            if self.path == _ROLE_LIST + name:
                return self.answer(200, json.dumps(credentials()))
            return self.answer(404)

        def log_message(self, format: str, *args: object) -> None:
            """Logs nothing: nobody reads the instance's log."""

    with serving(Instance) as endpoint:
        yield endpoint


def _instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
