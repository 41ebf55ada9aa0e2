"""Real Spark in the lines that users run, each with the S3A of its Hadoop and the launch scripts of Spark.

S3A and the AWS SDK are on the system class path, as administrators install them, unless a test says otherwise. The product's jar comes with
the job. The environment of Spark holds no AWS credentials but those that a test adds.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from rig import BUILD, IS_DEV, ROOT, jdk
from rig.process import Program, environment, run
from rig.root import Root

#: The log of driver and executors: to standard error, what this product says, and errors of everybody else.
LOG4J = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c: %m%n%ex
logger.thrift.name = org.apache.hive.service.cli.thrift
logger.thrift.level = info
logger.hops.name = io.hops
logger.hops.level = info
"""

_IVY = """\
<ivysettings>
  <caches defaultCacheDir="{cache}"/>
  <settings defaultResolver="published"/>
  <resolvers><ibiblio name="published" m2compatible="true" root="{repository}/"/></resolvers>
</ivysettings>
"""

#: Options that halve the processor time of a JVM that lives for seconds.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

#: Options of a JVM for a person who waits: it trusts the bytecode of the jars, which saves a tenth of the time.
FAST_START = f"{SHORT_LIVED} -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"


def version() -> str:
    """Returns the product's version."""
    manifest = (ROOT / "Cargo.toml").read_text()
    return manifest.split("[workspace.package]", 1)[1].split('version = "', 1)[1].split('"', 1)[0]


def product_jar() -> Path:
    """Returns the jar that users get, or that of `make demo`."""
    return BUILD / ("dev" if IS_DEV else "libs") / f"hops-credentials-{version()}.jar"


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of Spark: its version, and those of its Hadoop and Scala."""

    spark: str
    hadoop: str
    scala: str

    @property
    def scala_binary(self) -> str:
        """The part of the Scala version within which class files are interchangeable."""
        return self.scala.rsplit(".", 1)[0]

    @property
    def sdk(self) -> str:
        """The line of the AWS SDK that S3A of this Hadoop calls: `v1` or `v2`."""
        return "v1" if self.hadoop.startswith("3.3.") else "v2"

    @property
    def platform(self) -> str:
        """The row of README's table of platforms for which a test on this line is evidence."""
        return f"Spark {self.spark} / hadoop-aws {self.hadoop} / Scala {self.scala_binary}"

    @property
    def home(self) -> Path:
        """SPARK_HOME."""
        return BUILD / "spark" / self.spark / "home"

    @property
    def python(self) -> Path:
        """The directory in which Python finds pyspark, and below `lib` py4j."""
        return BUILD / "spark" / self.spark / "python"

    @property
    def s3a(self) -> str:
        """The class path of S3A and its AWS SDK."""
        return str(BUILD / "spark" / self.spark / "s3a" / "*")

    @property
    def class_path(self) -> str:
        """The class path of `archive`: S3A and Spark, before the folder of the configuration, which no archive may have on its path."""
        return f"{self.s3a}:{self.home}/jars/*"

    @property
    def archive(self) -> Path:
        """The archive of classes that `rig.class_archive` writes for a JVM 17 on that class path, if the Makefile made one."""
        return BUILD / "spark" / self.spark / "classes.jsa"

    def compile(self, sources: Sequence[Path], classes: Path, jars: Sequence[Path] = ()) -> Path:
        """Compiles Scala with the compiler of the line against Spark, S3A, the product and these jars. Returns a jar."""
        classes.mkdir(parents=True, exist_ok=True)
        jar = classes.parent / f"{classes.name}.jar"
        kit, variables = jdk.home(17) / "bin", environment(classes.parent / "home")
        compiler: list[str | Path] = [
            kit / "java",
            "-Xss4m",
            *SHORT_LIVED.split(),
            "-cp",
            f"{self.home}/jars/*:{self.s3a}",
            "scala.tools.nsc.Main",
            "-usejavacp",
        ]
        done = run(
            [*compiler, "-classpath", ":".join(map(str, [product_jar(), *jars])), "-d", classes, *sources], variables, classes.parent
        )
        if done.returncode != 0:
            raise RuntimeError(f"scalac {self.scala}: {done.stdout}{done.stderr}")
        run([kit / "jar", "cf", jar, "-C", classes, "."], variables, classes.parent)
        return jar


SPARK_3_5 = Line("3.5.8", "3.3.4", "2.12.18")
SPARK_4_1 = Line("4.1.4", "3.4.2", "2.13.17")
SPARK_4_3 = Line("4.3.0", "3.5.0", "2.13.18")
#: Those on which `make test` runs. The Makefile fetches the others for `make matrix` and `make everywhere`.
IN_CI = (SPARK_3_5, SPARK_4_1, SPARK_4_3)
LINES = (
    Line("3.3.4", "3.3.2", "2.12.15"),
    Line("3.4.4", "3.3.4", "2.12.17"),
    SPARK_3_5,
    Line("3.5.9", "3.3.4", "2.12.18"),
    Line("4.0.5", "3.4.1", "2.13.16"),
    SPARK_4_1,
    Line("4.2.1", "3.5.0", "2.13.18"),
    SPARK_4_3,
)


class Place(enum.Enum):
    """The place of a jar for the JVMs of an application."""

    #: On the class path of driver and executors, as administrators install it.
    SYSTEM = "system"
    #: With the job, by `--jars`.
    USER = "user"
    #: With the job, by `--packages`.
    PACKAGES = "packages"
    #: On the class path of the driver only.
    DRIVER = "driver"
    #: Nowhere: the Python package brings it.
    WHEEL = "wheel"


@dataclasses.dataclass(frozen=True)
class Spark:
    """An installation that can start applications: a line on a JDK, with the S3 endpoint that they read from."""

    line: Line
    java: int
    s3: str
    directory: Path
    master: str = "local[2]"
    product: Place = Place.USER
    #: `Place.SYSTEM`, `Place.USER`, or nowhere.
    s3a: Place | None = Place.SYSTEM
    #: Further jars that come with the job.
    jars: Sequence[Path] = ()
    #: The other Linux in which everything runs.
    root: Root | None = None
    confs: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def submit(
        self, jar: Path, main: str, variables: Mapping[str, str], *arguments: str, seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Runs an application to its end, for so many seconds at most."""
        return self._run("spark-submit", variables, ["--class", main, str(jar), *arguments], seconds=seconds)

    def shell(self, program: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Types a program into spark-shell line by line, then leaves the shell."""
        return self._run("spark-shell", variables, [], program)

    def python(self, script: Path, variables: Mapping[str, str], interpreter: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a PySpark program to its end, as a notebook does: Python starts first, and starts the JVM when it makes a session."""
        submit = {"PYSPARK_SUBMIT_ARGS": f"--master {self.master} pyspark-shell"}
        return self._start([interpreter, script, *arguments], {**submit, **self._pyspark(interpreter, variables)})

    def submit_python(self, script: Path, variables: Mapping[str, str], interpreter: Path) -> subprocess.CompletedProcess[str]:
        """Runs a PySpark program to its end by spark-submit: the JVM starts first, and starts Python."""
        return self._run("spark-submit", self._pyspark(interpreter, variables), [str(script)])

    def _pyspark(self, interpreter: Path, variables: Mapping[str, str]) -> dict[str, str]:
        path = [*self._python_path(), variables.get("PYTHONPATH", "")]
        return {**variables, "PYTHONPATH": ":".join(filter(None, path)), "PYSPARK_PYTHON": str(interpreter)}

    def _python_path(self) -> list[str]:
        return [str(self.line.python), *map(str, self.line.python.glob("lib/py4j-*-src.zip"))]

    def serve(self, main: str, variables: Mapping[str, str], *arguments: str) -> Program:
        """Starts a server that comes with Spark by spark-submit, for the length of a `with` block."""
        command: list[str | Path] = [
            self.line.home / "bin" / "spark-submit",
            "--master",
            self.master,
            "--class",
            main,
            "spark-internal",
            *arguments,
        ]
        return Program(command, self.directory / "server.log", self._prepared(variables), self.directory)

    def options(self) -> dict[str, str]:
        """Returns the whole configuration of the application. Its limits on retries and attempts only make failures faster."""
        is_shared = self.s3a == Place.SYSTEM and self.java == 17 and self.root is None and self.line.archive.exists()
        # The JVM says nothing about an archive that it passes by, since a test gives it another class path.
        java = f"{SHORT_LIVED} -XX:SharedArchiveFile={self.line.archive} -Xlog:cds*=error" if is_shared else SHORT_LIVED
        s3a = [self.line.class_path if is_shared else self.line.s3a] if self.s3a == Place.SYSTEM else []
        on_driver = [*s3a, *([str(product_jar())] if self.product in (Place.SYSTEM, Place.DRIVER) else [])]
        on_executors = [*s3a, *([str(product_jar())] if self.product == Place.SYSTEM else [])]
        with_job = [*self.jars, *([product_jar()] if self.product == Place.USER else [])]
        if self.s3a == Place.USER:
            with_job += sorted(Path(self.line.s3a).parent.glob("*.jar"))
        return {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "700m",
            "spark.driver.extraJavaOptions": java,
            "spark.executor.extraJavaOptions": java,
            **({"spark.driver.extraClassPath": ":".join(on_driver)} if on_driver else {}),
            **({"spark.executor.extraClassPath": ":".join(on_executors)} if on_executors else {}),
            **({"spark.jars": ",".join(str(jar) for jar in with_job)} if with_job else {}),
            **(self._package() if self.product == Place.PACKAGES else {}),
            "spark.local.dir": str(self.directory / "local"),
            "spark.sql.warehouse.dir": str(self.directory / "warehouse"),
            "spark.task.maxFailures": "1",
            "spark.ui.enabled": "false",
            "spark.hadoop.fs.s3a.endpoint": self.s3,
            "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.retry.limit": "2",
            "spark.hadoop.fs.s3a.attempts.maximum": "1",
            **self.confs,
        }

    def _package(self) -> dict[str, str]:
        """Returns the keys that take the product from the repository to which it is published, and from no other."""
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = self.directory / "ivysettings.xml"
        settings.write_text(_IVY.format(repository=(BUILD / "repo").as_uri(), cache=self.directory / "ivy"))
        return {"spark.jars.packages": f"io.hops:hops-credentials:{version()}", "spark.jars.ivySettings": str(settings)}

    def _run(
        self, program: str, variables: Mapping[str, str], rest: Sequence[str], stdin: str = "", seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return self._start([self.line.home / "bin" / program, "--master", self.master, *rest], variables, stdin, seconds)

    def _start(
        self, command: Sequence[str | Path], variables: Mapping[str, str], stdin: str = "", seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        prepared = self._prepared(variables)
        return run(self.root.command(command) if self.root else command, prepared, self.directory, seconds, stdin)

    def _prepared(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Writes the configuration. Returns the environment that leads to it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        conf_directory = self.directory / "conf"
        conf_directory.mkdir(exist_ok=True)
        (conf_directory / "log4j2.properties").write_text(LOG4J)
        (conf_directory / "spark-defaults.conf").write_text("".join(f"{key} {value}\n" for key, value in self.options().items()))
        return environment(
            self.directory / "home",
            JAVA_HOME=str(self.root.java_home(self.java) if self.root else jdk.home(self.java)),
            SPARK_HOME=str(self.line.home),
            SPARK_CONF_DIR=str(conf_directory),
            SPARK_WORKER_DIR=str(self.directory / "work"),
            SPARK_LOCAL_IP="127.0.0.1",
            SPARK_LOCAL_HOSTNAME="localhost",
            **variables,
        )


def reports(output: str) -> dict[str, object]:
    """Returns what a test program reported in its lines `report NAME JSON`, separated by tabs."""
    lines = (line.split("\t", 2) for line in output.splitlines() if line.startswith("report\t"))
    return {name: json.loads(value) for _, name, value in lines}
