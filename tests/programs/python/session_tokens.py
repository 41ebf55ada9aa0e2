"""A role-mapping server inside of the program that asks it, which is S3 as well. The program decides what it answers, and when."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ROLE = "arn:aws:iam::000000000000:role/of-program"


class SessionTokens:
    """The server. It lasts as long as the program, whose settings it writes."""

    def __init__(self) -> None:
        #: The seconds for which credentials are valid.
        self.lifetime = 3600.0
        #: The seconds by which its clock is behind that of this machine.
        self.behind = 0.0
        #: The status and the body of each answer; None for credentials.
        self.failure: tuple[int, str] | None = None
        #: Overwrites fields of the credentials.
        self.fields: dict[str, str] = {}
        #: Set while requests are answered. A request that finds it clear waits.
        self.answers = threading.Event()
        self.answers.set()
        #: The role of each request for credentials so far.
        self.asked: list[str | None] = []
        #: The access key of each request to S3 so far; None where it is not signed.
        self.signers: list[str | None] = []
        self._news = threading.Condition()
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.endpoint = os.environ["REST_ENDPOINT"] = f"http://127.0.0.1:{server.server_address[1]}"
        os.environ["HOPSWORKS_PROJECT_ID"] = "119"
        os.environ["API_KEY"] = "canary-of-program"

    def await_requests(self, count: int) -> None:
        """Waits until there have been so many requests."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.asked) >= count, 60)

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "session-token" not in self.path:
                    return self._be_s3()
                role = parse_qs(urlsplit(self.path).query).get("roleARN", [None])[0]
                with server._news:
                    server.asked.append(role)
                    number = len(server.asked)
                    server._news.notify_all()
                server.answers.wait(60)
                status, body = server.failure or (200, server._credentials(number, role))
                self._answer(status, body)

            def do_HEAD(self) -> None:
                self._be_s3()

            def _be_s3(self) -> None:
                signature = re.search("Credential=([^/]+)/", self.headers.get("Authorization", ""))
                server.signers.append(signature[1] if signature else None)
                self._answer(200, "1,one")

            def _answer(self, status: int, body: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if body.startswith("<") else "application/json")
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body.encode())

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string((timestamp or time.time()) - server.behind)

            def log_message(self, format: str, *args: object) -> None:
                """Logs nothing."""

        return Handler

    def _credentials(self, number: int, role: str | None) -> str:
        name = (role or "default").rsplit("/", 1)[-1].replace("-", "").upper()
        expiration = time.time() - self.behind + self.lifetime
        text = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(expiration))}.{int(expiration % 1 * 1000):03}Z"
        fields = {
            "accessKeyId": f"ASIA{name}{number:05}",
            "secretAccessKey": f"canary-secret-{number}",
            "sessionToken": f"canary-token-{number}",
            "expiration": text,
        }
        return json.dumps(fields | self.fields)
