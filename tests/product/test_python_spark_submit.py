"""A PySpark program that spark-submit starts: its JVM was there before Python, and before any role."""

from __future__ import annotations

from pathlib import Path

from rig.deployment import Deployment
from rig.spark import SPARK_4_3, Place, Spark
from tests.programs.python_program import SERVER, SESSION_TOKENS, VENV, reported, written


def test_its_jvm_takes_the_role_over_and_goes_back_when_the_next_one_is_interrupted(site: Deployment, tmp_path: Path) -> None:
    program = """
    import signal
    from pyspark import SparkContext

    signal.signal(signal.SIGINT, signal.default_int_handler)

    def in_jvm():
        return SparkContext._jvm.java.lang.System.getenv("AWS_ACCESS_KEY_ID")

    def role_in_jvm():
        return (in_jvm() or "").rstrip("0123456789")

    report("mode", assume_role(ROLE).mode)
    SparkContext._ensure_initialized()
    report("before", in_jvm())
    settings = {"hopsworks.restendpoint": server.endpoint, "hopsworks.projectid": "119", "hopsworks.apikey": "canary-of-program"}
    for name, value in settings.items():
        SparkContext._jvm.java.lang.System.setProperty(name, value)
    context = SparkContext()
    report("taken over", [until(lambda: current().mode.endswith("with Spark")), role_in_jvm()])

    def interrupt_at(count):
        server.await_requests(count)
        os.kill(os.getpid(), signal.SIGINT)

    server.answers.clear()
    threading.Thread(target=interrupt_at, args=(len(server.asked) + 1,)).start()
    try:
        assume_role("arn:aws:iam::000000000000:role/other")
    except KeyboardInterrupt:
        report("interrupted", [current().role_arn == ROLE, role_in_jvm()])
    server.answers.set()
    until(lambda: "hops-credentials Spark" not in [one.name for one in threading.enumerate()])
    report("asked for", server.asked[-2:])
    report("gone back", [current().role_arn == ROLE, role_in_jvm()])
    report("one set", in_jvm() == current().access_key_id == os.environ["AWS_ACCESS_KEY_ID"])
    release()
    report("released", [in_jvm(), os.environ.get("AWS_ACCESS_KEY_ID")])
    """
    spark = Spark(SPARK_4_3, 17, site.s3.endpoint, tmp_path, "local[1]", Place.USER)
    done = spark.submit_python(written(tmp_path, SERVER, program), SESSION_TOKENS, VENV / "bin" / "python")

    role = "ASIAOFPROGRAM"
    assert reported(done) == {
        "mode": "environment",
        "before": None,
        "taken over": [True, role],
        "interrupted": [True, role],
        "asked for": ["arn:aws:iam::000000000000:role/other", "arn:aws:iam::000000000000:role/of-program"],
        "gone back": [True, role],
        "one set": True,
        "released": [None, None],
    }
