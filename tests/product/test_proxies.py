"""The rules of the operator's guide in real proxies: they add cloud roles to a cluster and change nothing else of it."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rig import ROOT
from rig.aws import role_arn
from rig.http import Answering, serving
from rig.process import Program, environment
from rig.server import RoleServer

GUIDE = ROOT / "docs" / "operator-guide" / "running.md"
API = "/hopsworks-api/api"
MEMBER = "Bearer ada.of.churn"


class Community(Answering):
    """A cluster that knows its members and has no cloud roles."""

    def do_GET(self) -> None:
        """Names the projects of the caller, or shows that it was the cluster that was asked."""
        rows = [
            {
                "projectTeamPK": {"projectId": 119, "teamMember": "ada@hopsworks.ai"},
                "teamRole": "Data scientist",
                "project": {"name": "churn"},
            }
        ]
        if self.headers["Authorization"] != MEMBER:
            return self.answer(401, b'{"errorCode": 200003}')
        answers: dict[str, object] = {f"{API}/project": rows, f"{API}/auth/isAdmin": {"data": False}}
        return self.answer(200, json.dumps(answers.get(self.path, {"cluster": self.path})).encode())


def rule(language: str) -> str:
    """Returns the rule of the guide for a proxy in front of a cluster."""
    chapter = GUIDE.read_text().split("## In front of a Hopsworks cluster")[1].split("\n## ")[0]
    found = re.search(rf"```{language}\n(.*?)```", chapter, re.DOTALL)
    assert found
    return found[1]


@contextmanager
def port_kept_free() -> Iterator[int]:
    """Yields a port for a program that shares it (SO_REUSEPORT), and keeps the system from giving it to others meanwhile."""
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(("127.0.0.1", 0))
        yield place.getsockname()[1]


@contextmanager
def proxy(kind: str, directory: Path, port: int, cluster: str, roles: str) -> Iterator[str]:
    """Runs a proxy that has the rule of the guide and passes everything else to the cluster. Yields its endpoint."""
    ours = rule(kind).replace("127.0.0.1:8080", roles.removeprefix("http://"))
    if kind == "nginx":
        config = (
            f"daemon off; error_log stderr notice; pid {directory}/nginx.pid; events {{}} http {{ access_log off; "
            + "".join(f"{name}_temp_path {directory}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            + f"server {{ listen 127.0.0.1:{port} reuseport;\n{ours}\nlocation / {{ proxy_pass {cluster}; }} }} }}"
        )
        command, ready = ["nginx", "-e", "stderr", "-c", str(directory / "proxy.conf")], "start worker process "
    else:
        config = f"{{\nadmin off\nauto_https off\n}}\nhttp://127.0.0.1:{port} {{\n{ours}\nreverse_proxy {cluster}\n}}\n"
        command, ready = (
            ["caddy", "run", "--adapter", "caddyfile", "--config", str(directory / "proxy.conf")],
            "serving initial configuration",
        )
    (directory / "proxy.conf").write_text(config)
    with Program(command, directory / "proxy.log", environment(directory / "home"), directory) as program:
        program.await_line(ready, 30)
        yield f"http://127.0.0.1:{port}"


def get(url: str, login: str) -> tuple[int, dict[str, object]]:
    """Returns status and body of a request whose client claims to be a proxy for somebody else."""
    request = urllib.request.Request(url, headers={"Authorization": login, "X-Forwarded-For": "192.0.2.66"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


@pytest.mark.platform("Server behind nginx and Caddy, before a stand-in of a Hopsworks cluster")
@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_behind_the_rule_of_the_guide_a_cluster_has_cloud_roles(kind: str, tmp_path: Path) -> None:
    server = RoleServer(tmp_path)
    with (
        serving(Community) as cluster,
        server.serve("--behind-proxy", "--identity", "hopsworks", "--hopsworks-url", cluster) as (roles, _),
        port_kept_free() as port,
        proxy(kind, tmp_path, port, cluster, roles) as endpoint,
    ):
        server.command("mapping", "add", "119", "all", role_arn("churn-reader"), "--default")
        status, listed = get(f"{endpoint}{API}/project/119/cloud/role-mappings", MEMBER)
        assert (status, listed["count"]) == (200, 1)
        assert get(f"{endpoint}{API}/project/119/cloud/role-mappings", "Bearer nobody")[0] == 401
        assert get(f"{endpoint}{API}/admin/cloud/role-mappings", MEMBER)[0] == 403
        # Refuses without a base identity, and records it.
        assert get(f"{endpoint}{API}/project/119/cloud/aws/session-token", MEMBER)[1]["errorCode"] == 380001
        for path in (f"{API}/project/119/datasets", f"{API}/project/119", "/hopsworks/", f"{API}/project/119x/cloud/role-mappings"):
            assert get(endpoint + path, MEMBER) == (200, {"cluster": path}), path
    with sqlite3.connect(server.database) as database:
        rows = database.execute("select actor, client_address from audit where action = 'session-token'").fetchall()
    assert rows == [("ada@hopsworks.ai", "127.0.0.1")]
