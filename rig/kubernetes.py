"""A stand-in for Kubernetes: an API server that keeps pods, and a kubelet that runs each executor's pod as a process of this machine.

Spark's own back end for Kubernetes talks to it: it asks for pods, looks at their states, and deletes them. Nothing of Kubernetes itself is
here: no admission, no scheduler, no network, no volumes. So it shows what Spark does with executors that come late, die and are drained,
and what Spark writes into pods, not that a cluster accepts them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rig import jdk
from rig.http import Answering, serving
from rig.process import environment
from rig.spark import SPARK_3_5, Line

#: The row of README's table for what was seen with this.
PLATFORM = f"Kubernetes back end of Spark {SPARK_3_5.spark}, before a stand-in of its API"
_EXECUTOR = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
#: The options of that class, and the variables in which Spark's image finds their values.
_ARGUMENTS = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}
_OBJECT = re.compile(r"^/api/v1/namespaces/[^/]+/([a-z]+)(?:/([^/]+))?$")


class Cluster:
    """The objects of one namespace, and the processes of its executors."""

    def __init__(self, line: Line, directory: Path) -> None:
        self.endpoint = ""
        self.line = line
        self.directory = directory
        self.lock = threading.Lock()
        self.versions = itertools.count(1)
        #: Objects by kind (in the plural, as in paths) and name.
        self.objects: dict[str, dict[str, dict[str, Any]]] = {}
        #: Everything that was ever created.
        self.created: list[dict[str, Any]] = []
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def master(self) -> str:
        """The master of an application in client mode, whose driver runs here."""
        return f"k8s://{self.endpoint}"

    @property
    def confs(self) -> dict[str, str]:
        """What an application says besides. Spark looks at the pods every second, since the stand-in has no watch."""
        return {
            "spark.kubernetes.namespace": "jobs",
            "spark.kubernetes.container.image": "spark",
            "spark.kubernetes.executor.enableApiWatcher": "false",
            "spark.kubernetes.executor.apiPollingInterval": "1s",
            "spark.kubernetes.allocation.batch.delay": "1s",
            "spark.executor.instances": "2",
            "spark.executor.memory": "512m",
        }

    def create(self, kind: str, made: dict[str, Any]) -> dict[str, Any]:
        """Keeps an object, and runs it if it is the pod of an executor."""
        with self.lock:
            version = str(next(self.versions))
            made["metadata"] |= {"uid": f"uid-{version}", "resourceVersion": version, "creationTimestamp": "2026-01-01T00:00:00Z"}
            self.objects.setdefault(kind, {})[made["metadata"]["name"]] = made
            self.created.append(json.loads(json.dumps(made)))
            if kind == "pods":
                made["status"] = {"phase": "Pending"}
                if made["metadata"].get("labels", {}).get("spark-role") == "executor":
                    self._run(made)
        return made

    def _run(self, pod: dict[str, Any]) -> None:
        """Runs an executor as the entry point of Spark's image does."""
        name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]
        values = {each["name"]: each.get("value", "127.0.0.1") for each in container["env"]} | {"SPARK_EXECUTOR_POD_NAME": name}
        options = [value for key, value in values.items() if key.startswith("SPARK_JAVA_OPT_")]
        class_path = ":".join(filter(None, [values.get("SPARK_CLASSPATH"), f"{self.line.home}/jars/*"]))
        arguments = [part for option, variable in _ARGUMENTS.items() for part in (option, values[variable])]
        command = [jdk.home(17) / "bin" / "java", *options, f"-Xmx{values['SPARK_EXECUTOR_MEMORY']}", "-cp", class_path, _EXECUTOR]
        folder = self.directory / name
        folder.mkdir(parents=True)
        with open(folder / "log", "wb") as log:
            self.processes[name] = process = subprocess.Popen(
                [*map(str, command), *arguments, "--hostname", "127.0.0.1"],
                env=environment(folder / "home", **values | {"SPARK_HOME": str(self.line.home), "SPARK_LOCAL_DIRS": str(folder)}),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = {"phase": "Running", "podIP": "127.0.0.1", "startTime": "2026-01-01T00:00:00Z"}
        pod["status"] = started | {"containerStatuses": [{"name": container["name"], "state": {"running": {}}}]}
        threading.Thread(target=self._wait, args=(pod, process), daemon=True).start()

    def _wait(self, pod: dict[str, Any], process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with self.lock:
            ended = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
            pod["status"]["phase"] = "Failed" if code else "Succeeded"
            pod["status"]["containerStatuses"][0]["state"] = ended
            pod["metadata"]["resourceVersion"] = str(next(self.versions))

    def find(self, kind: str, selector: str) -> list[dict[str, Any]]:
        """Lists the objects whose labels match, such as `spark-role=executor,spark-exec-inactive!=true`."""
        with self.lock:
            found = list(self.objects.get(kind, {}).values())
        wanted = [re.split(r"(!?=)", each, maxsplit=1) for each in filter(None, selector.split(","))]
        labelled = [(each, each["metadata"].get("labels", {})) for each in found]
        return [each for each, labels in labelled if all((labels.get(key) == value) == (sign == "=") for key, sign, value in wanted)]

    def delete(self, kind: str, names: list[str]) -> None:
        """Removes objects, and ends the processes of executors."""
        with self.lock:
            for name in names:
                self.objects.get(kind, {}).pop(name, None)
            processes = [self.processes[name] for name in names if name in self.processes]
        for process in processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)

    def stop(self) -> None:
        """Kills what still runs."""
        for process in self.processes.values():
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Api(Answering):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind, name, query = self.target()
            if name:
                found = cluster.objects.get(kind, {}).get(name)
                return self.say(200 if found else 404, found or {"kind": "Status", "code": 404, "reason": "NotFound"})
            items = cluster.find(kind, query.get("labelSelector", [""])[0])
            return self.say(200, {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})

        def do_POST(self) -> None:
            return self.say(201, cluster.create(self.target()[0], self.body()))

        def do_PATCH(self) -> None:
            kind, name, _ = self.target()
            patch = self.body()
            with cluster.lock:
                found = cluster.objects.get(kind, {}).get(name)
                if found:
                    found["metadata"]["resourceVersion"] = str(next(cluster.versions))
                    # Changed labels, as a merge patch or as a JSON patch whose paths end with their names, are all that Spark sends.
                    changes = patch if isinstance(patch, list) else []
                    labels = {_last(each): each["value"] for each in changes} or patch["metadata"].get("labels", {})
                    found["metadata"].setdefault("labels", {}).update(labels)
            # The server makes what is applied and is not there yet.
            return self.say(200, found or cluster.create(kind, patch))

        def do_DELETE(self) -> None:
            kind, name, query = self.target()
            chosen = [name] if name else [each["metadata"]["name"] for each in cluster.find(kind, query.get("labelSelector", [""])[0])]
            cluster.delete(kind, chosen)
            return self.say(200, {"kind": "Status", "status": "Success"})

        def target(self) -> tuple[str, str, dict[str, list[str]]]:
            url = urlsplit(self.path)
            match = _OBJECT.match(url.path)
            assert match, self.path
            return match[1], match[2] or "", parse_qs(url.query)

        def body(self) -> Any:
            return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (KeyError, TypeError, ValueError, AssertionError, OSError) as failure:
                # Without an answer Spark would try for ever.
                self.say(500, {"kind": "Status", "code": 500, "message": f"{self.command} {self.path}: {failure!r}"})

        def say(self, status: int, body: object) -> None:
            self.answer(status, json.dumps(body).encode())

    return Api


def _last(change: dict[str, Any]) -> str:
    return str(change["path"]).rsplit("/", 1)[1]


@contextmanager
def cluster(line: Line, directory: Path) -> Iterator[Cluster]:
    """Runs a stand-in whose executors are of one line of Spark, each in a folder of its own below `directory`."""
    running = Cluster(line, directory)
    try:
        with serving(_handler(running)) as endpoint:
            running.endpoint = endpoint
            yield running
    finally:
        running.stop()
