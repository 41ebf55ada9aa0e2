"""HTTP on loopback: a server for a handler class, and a recorder between two programs that keeps what they say."""

from __future__ import annotations

import dataclasses
import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores a client that hangs up."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Runs a server for the length of the `with` block. Yields its endpoint."""
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Answering(BaseHTTPRequestHandler):
    """A handler that answers with whole bodies and does not log."""

    def answer(self, status: int, body: bytes) -> None:
        """Answers with JSON, or with the XML of AWS."""
        self.send_response(status)
        self.send_header("Content-Type", "text/xml" if body.startswith(b"<") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing. A test that needs the requests records them."""


@dataclasses.dataclass(frozen=True)
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    authorization: str
    #: What it says of itself by the header `Hops-Renews`.
    renews: str | None
    status: int
    body: str

    @property
    def access_key_id(self) -> str | None:
        """The access key that signed the request, by AWS signature version 4."""
        match = re.search(r"Credential=([^/]+)/", self.authorization)
        return match[1] if match else None


class Recorder:
    """The exchanges between two programs, in the order of the answers."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.exchanges: list[Exchange] = []


@contextmanager
def recording(upstream: str) -> Iterator[Recorder]:
    """Runs a proxy to `upstream` that records. It passes the Host header on unchanged, so signatures stay valid."""
    target = urlsplit(upstream)
    assert target.hostname is not None
    hostname, port = target.hostname, target.port

    class Passage(Answering):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(hostname, port, timeout=60)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            recorder.exchanges.append(
                Exchange(
                    self.command,
                    self.path,
                    self.headers.get("Authorization", ""),
                    self.headers.get("Hops-Renews"),
                    answer.status,
                    content.decode(errors="replace"),
                )
            )
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass

    with serving(Passage) as endpoint:
        recorder = Recorder(endpoint)
        yield recorder
