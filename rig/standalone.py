"""A standalone cluster of Spark on loopback: a master and two workers, with RPC that is authenticated and encrypted."""

from __future__ import annotations

import dataclasses
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rig import jdk
from rig.process import Program, environment
from rig.spark import Line, Spark

_DEPLOY = "org.apache.spark.deploy"
_OPTIONS = "driver.options"
# The packages that spark-submit opens to Spark on JDK 17, and a worker does not.
_PACKAGES = (
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "sun.nio.ch",
    "sun.nio.cs",
    "sun.security.action",
    "sun.util.calendar",
)


@dataclasses.dataclass(frozen=True)
class Standalone(Spark):
    """Starts an application on such a cluster: its driver runs here or, in cluster mode, on a worker."""

    def submit(
        self, jar: Path, main: str, variables: Mapping[str, str], *arguments: str, seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Runs an application to its end. Returns what its driver printed, wherever that was."""
        # Workers pass the secret to a driver in its environment, and Spark refuses to start where it is not in the configuration.
        # The file has what else they leave out.
        options = {"JDK_JAVA_OPTIONS": f"@{self.directory / _OPTIONS}"}
        done = super().submit(jar, main, {**variables, **options}, *arguments, seconds=seconds)
        drivers = list(self.directory.glob("worker-*/driver-*"))
        if not drivers:
            return done
        [driver] = drivers
        log = "".join(log.read_text() for log in self.directory.glob("worker-*.log"))
        code = 0 if f"Driver {driver.name} exited successfully" in log else 1
        out, err = ((driver / name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(done.args, code, out, done.stderr + err)


@contextmanager
def standalone(line: Line, s3: str, directory: Path, deploy_mode: str) -> Iterator[Standalone]:
    """Runs a cluster for the length of the `with` block, with all its files in `directory`. Yields what starts an application there."""
    # Each daemon takes the secret from a file. Spark itself gives it to drivers and executors.
    confs = {
        "spark.authenticate": "true",
        "spark.authenticate.secret": secrets.token_hex(16),
        "spark.network.crypto.enabled": "true",
        "spark.io.encryption.enabled": "true",
        "spark.master.rest.enabled": "false",
    }
    properties = directory / "cluster.conf"
    properties.write_text("".join(f"{key} {value}\n" for key, value in confs.items()))
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _PACKAGES]
    secret = f"-Dspark.authenticate.secret={confs['spark.authenticate.secret']}"
    (directory / _OPTIONS).write_text("\n".join([secret, *opened]))
    listen = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0", "--properties-file", str(properties))
    variables = environment(
        directory / "home",
        JAVA_HOME=str(jdk.home(17)),
        SPARK_HOME=str(line.home),
        SPARK_LOCAL_IP="127.0.0.1",
        SPARK_LOCAL_HOSTNAME="localhost",
    )

    def daemon(name: str, main: str, *arguments: str) -> Program:
        command: list[str | Path] = [line.home / "bin" / "spark-class", f"{_DEPLOY}.{main}", *listen, *arguments]
        return Program(command, directory / f"{name}.log", variables, directory)

    with ExitStack() as running:
        master = running.enter_context(daemon("master", "master.Master")).await_line(r"Starting Spark master at (spark://\S+)", 120)[1]
        workers = []
        for name in ("worker-1", "worker-2"):
            # Room for an executor of two cores and a driver.
            room = ("--cores", "3", "--memory", "2g", "--work-dir", str(directory / name))
            workers.append(running.enter_context(daemon(name, "worker.Worker", *room, master)))
        for worker in workers:
            worker.await_line("Successfully registered with master", 120)
        more = {
            "spark.submit.deployMode": deploy_mode,
            "spark.standalone.submit.waitAppCompletion": "true",
            # Since 4.3 Spark passes no variables but its own to a driver on a worker unless it is told to.
            "spark.standalone.submit.filterEnvironment": "false",
            "spark.executor.cores": "2",
            "spark.cores.max": "4",
        }
        yield Standalone(line, 17, s3, directory, master, confs={**confs, **more})
