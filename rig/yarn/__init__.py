"""A YARN on loopback, one ResourceManager and two NodeManagers in one JVM, and Spark on it in client and cluster mode.

With Kerberos it has a KDC and an HDFS besides, whose delegation tokens live for seconds. The folders of the containers stay when an
application has ended, so that they can be searched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rig import BUILD, jdk
from rig.process import Program, environment, run
from rig.spark import Spark

_HERE = Path(__file__).parent
_JARS = BUILD / "yarn" / "jars"
#: What Hadoop 3.3 needs of JDK 17.
_OPENS = [
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-exports=java.base/sun.net.dns=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
]


@dataclasses.dataclass(frozen=True)
class Yarn:
    """A running cluster with all its files in `directory`."""

    directory: Path
    #: The keytab of the user alice, where there is Kerberos.
    keytab: Path | None = None

    @property
    def conf(self) -> Path:
        """HADOOP_CONF_DIR of its clients."""
        return self.directory / "conf"

    @property
    def nodes(self) -> Path:
        """The folder with those of the NodeManagers, for containers and for logs."""
        return self.directory / "target"

    def variables(self) -> dict[str, str]:
        """Returns what leads a JVM to the KDC, if there is one."""
        file = next(self.directory.glob("kerberos/*/krb5.conf"), None)
        return {"JAVA_TOOL_OPTIONS": f"-Djava.security.krb5.conf={file}"} if file else {}

    @property
    def keys(self) -> Path:
        """The folder with the API keys of users, on the machine that submits."""
        return self.directory / "keys"

    @property
    def staging(self) -> Path:
        """The folder to which jobs upload what their containers get; with Kerberos that is on HDFS."""
        return self.directory / "staging"

    def applications(self) -> set[str]:
        """Returns the ids of all applications that have had a container."""
        return {folder.name for folder in self.nodes.rglob("application_*_*") if folder.is_dir()}

    def output(self, application: str, stream: str) -> str:
        """Returns what the containers of an application printed to `stdout` or `stderr`, the ApplicationMaster first."""
        files = sorted(self.nodes.rglob(f"{application}/container_*/{stream}"), key=lambda file: file.parent.name)
        return "".join(file.read_text(errors="replace") for file in files)


@contextlib.contextmanager
def yarn(directory: Path, *, kerberos: bool = False) -> Iterator[Yarn]:
    """Runs a cluster for the length of the `with` block."""
    cluster = Yarn(directory, directory / "kerberos" / "alice.keytab" if kerberos else None)
    classes = directory / "classes"
    classes.mkdir(parents=True)
    cluster.conf.mkdir()
    (classes / "log4j.properties").write_text((_HERE / "log4j.properties").read_text())
    variables, kit = environment(directory / "home"), jdk.home(17) / "bin"
    compiled = run([kit / "javac", "-cp", f"{_JARS}/*", "-d", classes, *sorted(_HERE.glob("*.java"))], variables, directory)
    if compiled.returncode != 0:
        raise RuntimeError(f"javac: {compiled.stderr}")
    java: list[str | Path] = [
        kit / "java",
        *_OPENS,
        "-Xmx700m",
        "-XX:+UseSerialGC",
        f"-Djava.io.tmpdir={directory / 'home' / 'tmp'}",
        "-cp",
        f"{classes}:{cluster.conf}:{_JARS}/*",
        "Yarn",
    ]
    with Program([*java, cluster.conf, *(["kerberos"] if kerberos else [])], directory / "yarn.log", variables, directory) as program:
        try:
            program.await_line("^ready$", 180)
            yield cluster
        finally:
            program.stop()
            _end_containers(cluster.nodes)


def _end_containers(nodes: Path) -> None:
    """Ends the containers that a NodeManager has left behind: each has a process group of its own."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if nodes in Path(os.readlink(process / "cwd")).parents:
                os.kill(int(process.name), signal.SIGKILL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnYarn(Spark):
    """Spark that submits to a cluster.

    In cluster mode the driver runs there: it gets variables by the configuration, and prints to its log.

    `--jars` brings the product unless the place says otherwise.
    """

    cluster: Yarn
    #: `client` or `cluster`.
    mode: str
    master: str = "yarn"
    #: Variables of the driver.
    job: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def options(self) -> dict[str, str]:
        """Returns the whole configuration of the application."""
        java = str(jdk.home(self.java))
        local = {"JAVA_HOME": java, "SPARK_LOCAL_IP": "127.0.0.1", **self.cluster.variables()}
        master = {**local, **(self.job if self.mode == "cluster" else {})}
        return {
            "spark.submit.deployMode": self.mode,
            **{f"spark.yarn.appMasterEnv.{name}": value for name, value in master.items()},
            **{f"spark.executorEnv.{name}": value for name, value in local.items()},
            "spark.yarn.jars": f"local:{self.line.home}/jars/*",
            **self._staging(),
            # Keeps what the driver uploads, to be searched.
            "spark.yarn.preserve.staging.files": "true",
            "spark.yarn.maxAppAttempts": "1",
            "spark.yarn.max.executor.failures": "10",
            "spark.executor.instances": "2",
            "spark.executor.memory": "512m",
            # Jobs begin when the executors are there, as they do on a cluster that has room.
            "spark.scheduler.minRegisteredResourcesRatio": "1.0",
            "spark.scheduler.maxRegisteredResourcesWaitingTime": "300s",
            **Spark.options(self),
        }

    def _staging(self) -> dict[str, str]:
        if keytab := self.cluster.keytab:
            return {"spark.kerberos.principal": "alice", "spark.kerberos.keytab": str(keytab)}
        return {"spark.yarn.stagingDir": self.cluster.staging.as_uri()}

    def _start(
        self, command: Sequence[str | Path], variables: Mapping[str, str], stdin: str = "", seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        spark, here = self, dict(variables)
        if self.mode == "cluster":
            spark, here = self._with_job(variables), {}
        of_client = {
            **here,
            **self.cluster.variables(),
            "HADOOP_CONF_DIR": str(self.cluster.conf),
            # Where containers find pyspark.
            "PYSPARK_ARCHIVES_PATH": ",".join(f"local:{path}" for path in self._python_path()),
        }
        before = self.cluster.applications()
        done = Spark._start(spark, command, of_client, stdin, seconds)
        for application in sorted(self.cluster.applications() - before):
            if self.mode == "cluster":
                done.stdout += self.cluster.output(application, "stdout")
            done.stderr += self.cluster.output(application, "stderr")
        return done

    def _with_job(self, variables: Mapping[str, str]) -> OnYarn:
        """Gives these variables to the driver on the cluster. Its API key comes by a file, as the user's guide says."""
        job = dict(variables)
        if key := job.pop("API_KEY", None):
            file = self.cluster.keys / self.directory.name / "api-key"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(0o600)
            file.write_text(key)
            job["API_KEY_FILE"] = file.name
        files = {"spark.yarn.dist.files": str(file)} if key else {}
        return dataclasses.replace(self, job=job, confs={**self.confs, **files})
