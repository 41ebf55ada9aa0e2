"""Keys that a storage connector of the Hopsworks client writes into the configuration neither take nor end the role of the application."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.spark import SPARK_3_5, SPARK_4_3, Line
from runs.readers import SECONDS
from tests.product.lakehouse.application import CLUSTER
from tests.product.lakehouse.connectors import Shelves

pytestmark = [pytest.mark.lakehouse, pytest.mark.platform(f"The Hopsworks client beside us: Spark {SPARK_3_5.spark}, {SPARK_4_3.spark}")]

_LATER = pytest.mark.everywhere
_OTHERS = [
    pytest.param(SPARK_3_5, CLUSTER, "long-lived", marks=_LATER),
    pytest.param(SPARK_4_3, "local[2]", "temporary", marks=_LATER),
    pytest.param(SPARK_4_3, "local[2]", "long-lived", marks=_LATER),
]

_AFTER = """
assume_role(wide)
report("open", read("ours/open"))
prepare("SHAPE", "theirs")
report("beside", [read(f"{bucket}/beside") for bucket in ("ours", "also-ours")] + [read("theirs/alone")])
report("explained", [explained("also-ours"), explained("theirs")])
report("overrides", overrides())
prepare("other SHAPE")
report("refused", read("third/refused"))
report("still", read("ours/still"))
report("explained then", explained("third"))
report("overrides then", overrides())
assume_role(wide)
report("again", read("third/again"))
release()
theirs = [keys["other SHAPE"], keys["SHAPE"]]
report("put back", [stands(prefix)[: len(own)] == own for prefix, own in zip(["fs.s3a", "fs.s3a.bucket.theirs"], theirs)])
report("token", stands()[2] == (keys["other SHAPE"] + [None])[2])
"""


@pytest.mark.parametrize(("line", "master", "shape"), [(SPARK_3_5, CLUSTER, "temporary"), *_OTHERS], ids=str)
def test_a_connector_after_the_role_reads_its_bucket_and_changes_nothing_of_the_role(
    line: Line, master: str, shape: str, shelves: Shelves, tmp_path: Path
) -> None:
    found, signed, log = shelves.run(line, master, tmp_path, _AFTER.replace("SHAPE", shape))

    connector, other = shelves.keys[shape][0], shelves.keys[f"other {shape}"][0]
    its_own = f"its own keys (fs.s3a.bucket.theirs.access.key is {connector})"
    its_own = its_own if shape == "long-lived" else "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"
    refusal = f"is not opened: the application reads as {shelves.role}, and since then somebody, such as a storage connector, has set "
    refusal += f"fs.s3a.access.key to {other} for all buckets"
    assert found["open"] is found["again"] is True
    assert found["beside"] == [True, True, True]
    assert (signed["ours/beside"], signed["also-ours/beside"], signed["theirs/alone"]) == ({"role"}, {"role"}, {shape})
    assert found["explained"] == [
        "s3a://also-ours/x is read with the application's role",
        f"s3a://theirs/x is read with {its_own}, which the user chose for bucket theirs; no role of ours counts there",
    ]
    assert any(f"bucket theirs is read with {its_own}" in line for line in list(found["overrides"]))  # type: ignore[call-overload]
    assert f"bucket third {refusal}" in str(found["refused"])
    assert "third/refused" not in signed
    assert found["still"] is True
    assert signed["ours/still"] == {"role"}
    assert f"bucket third {refusal}" in str(found["explained then"])
    assert any(refusal in line for line in list(found["overrides then"]))  # type: ignore[call-overload]
    assert signed["third/again"] == {"role"}
    assert found["put back"] == [True, True]
    assert found["token"] is True
    its_key = f"fs.s3a.bucket.theirs.access.key is {connector}"
    assert log.count(f"bucket theirs is read with its own keys ({its_key}), not with the application's role\n") == 1
    assert "a session or a read names" not in log


_BEFORE = """
prepare("SHAPE", "theirs")
before = [stands(), stands("fs.s3a.bucket.theirs")]
assume_role(wide)
report("read", [read("ours/beside"), read("theirs/alone")])
report("explained", explained("theirs"))
assume_role(wide)
release()
report("put back", [stands(), stands("fs.s3a.bucket.theirs")] == before)
"""


@pytest.mark.parametrize(("line", "master", "shape"), [pytest.param(SPARK_3_5, CLUSTER, "temporary", marks=_LATER), *_OTHERS], ids=str)
def test_a_connector_before_the_role_reads_its_bucket_and_gets_its_keys_back(
    line: Line, master: str, shape: str, shelves: Shelves, tmp_path: Path
) -> None:
    found, signed, _ = shelves.run(line, master, tmp_path, _BEFORE.replace("SHAPE", shape))

    assert found["read"] == [True, True]
    assert (signed["ours/beside"], signed["theirs/alone"]) == ({"role"}, {shape})
    assert "no role of ours counts there" in str(found["explained"])
    assert found["put back"] is True


_OPEN = """
assume_role(wide)
report("first", read("theirs/first"))
early = context.textFile("s3a://theirs/early", 4)
prepare("temporary", "theirs", everywhere=False)
report("after", read("theirs/after"))
prepare("newer temporary", "theirs", everywhere=False)
report("newer", read("theirs/newer"))
report("early", early.count())
report("kept", [is_kept("theirs"), is_kept("ours")])
report("mode", assume_role(lender, buckets=["theirs"]).mode)
prepare("temporary", "theirs")
report("role", read("theirs/role"))
report("explained", explained("theirs"))
report("kept with a role", is_kept("theirs"))
release()
report("released", read("theirs/first"))
"""


@pytest.mark.parametrize(("line", "master"), [(SPARK_3_5, CLUSTER), (SPARK_4_3, "local[2]")], ids=str)
@_LATER
def test_newer_keys_of_a_bucket_reach_every_jvm_that_has_it_open_and_its_own_role_wins_over_them(
    line: Line, master: str, shelves: Shelves, tmp_path: Path
) -> None:
    found, signed, _ = shelves.run(line, master, tmp_path, _OPEN)

    assert [found[name] for name in ("first", "after", "newer", "role")] == [True] * 4
    assert found["mode"] == "buckets with Spark"
    # What was made before the keys reads with them where they have opened the bucket.
    assert found["early"] == 2
    assert signed["theirs/early"] == {"newer temporary"}
    assert found["kept"] == [True, True]
    assert found["kept with a role"] is True
    assert found["released"] is True
    assert signed["theirs/first"] == {"role", "temporary"}
    assert signed["theirs/after"] == {"temporary"}
    assert signed["theirs/newer"] == {"newer temporary"}
    assert signed["theirs/role"] == {"lender"}
    assert found["explained"] == "s3a://theirs/x is read with the role of bucket theirs"


_TURNING = """
assume_role(wide)
prepare("temporary", "theirs")
early = context.textFile("s3a://ours/open", 4)
stopping = threading.Event()

def turn():
    turns = 0
    while not stopping.is_set() or turns % 2:
        prepare(["newer temporary", "temporary"][turns % 2], "theirs")
        turns += 1
        stopping.wait(0.3)
    report("turns", turns > 5)

turning = threading.Thread(target=turn)
turning.start()
until = time.monotonic() + 12
ours, theirs = [], []
while time.monotonic() < until:
    ours.append(outcome(lambda: [read("ours/beside"), read("also-ours/beside"), early.count()]))
    theirs.append(read("theirs/alone"))
stopping.set()
turning.join()
report("ours", all(each == [True, True, 2] for each in ours))
report("theirs", any(each is True for each in theirs))
report("at last", [read("theirs/newer"), read("ours/still"), read("third/again")])
"""


@pytest.mark.parametrize(("line", "master"), [(SPARK_3_5, CLUSTER), (SPARK_4_3, "local[2]")], ids=str)
@_LATER
def test_while_a_connector_writes_newer_keys_again_and_again_nobody_reads_as_another(
    line: Line, master: str, shelves: Shelves, tmp_path: Path
) -> None:
    found, signed, _ = shelves.run(line, master, tmp_path, _TURNING)

    assert found == {"turns": True, "ours": True, "theirs": True, "at last": [True, True, True]}
    assert all(signed[path] == {"role"} for path in ("ours/open", "ours/beside", "also-ours/beside", "ours/still", "third/again"))
    assert signed["theirs/newer"] == {"temporary"}
    assert signed["theirs/alone"] <= {"temporary", "newer temporary", "role"}


_TORN = """
assume_role(wide)
conf = context._jsc.hadoopConfiguration()
access_key, secret_key, token = keys["temporary"]
# Each of these moments is one that another thread may find.
prepare("temporary")
early = context.textFile("s3a://third/again", 4)
conf.set("fs.s3a.bucket.theirs.access.key", access_key)
conf.set("fs.s3a.bucket.theirs.secret.key", secret_key)
report("without token", read("theirs/first"))
conf.set("fs.s3a.bucket.theirs.aws.credentials.provider", TEMPORARY)
conf.set("fs.s3a.bucket.theirs.session.token", token)
report("whole", read("theirs/after"))
report("early", early.count())
conf.set("fs.s3a.bucket.theirs.access.key", keys["newer temporary"][0])
report("another's secret", read("theirs/newer"))
prepare("newer temporary", "theirs")
report("newer", read("theirs/role"))
"""


@pytest.mark.parametrize(("line", "master"), [(SPARK_3_5, CLUSTER), (SPARK_4_3, "local[2]")], ids=str)
@_LATER
def test_keys_that_were_found_half_written_do_not_stay_and_take_no_other_bucket(
    line: Line, master: str, shelves: Shelves, tmp_path: Path
) -> None:
    found, signed, _ = shelves.run(line, master, tmp_path, _TORN)

    assert "s3a://theirs/first" in str(found.pop("without token"))
    assert "s3a://theirs/newer" in str(found.pop("another's secret"))
    assert found == {"whole": True, "early": 2, "newer": True}
    assert signed["theirs/after"] == {"temporary"}
    assert signed["theirs/role"] == {"newer temporary"}
    assert signed["third/again"] == {"role"}


_UNDONE = """
report("none", [outcome(lambda: assume_role(lender, buckets=each))[0] for each in ([], ["s3a://theirs"])])
report("no refresh", outcome(lambda: assume_role(lender, refresh=True, buckets=["theirs"]))[0])
assume_role(wide, buckets=["theirs", "third"])
assume_role(lender, buckets="theirs")
report("before", read("theirs/first"))
putenv = os.putenv

def fails(name, value):
    os.putenv = putenv
    raise OSError(12, "no memory for a variable")

os.putenv = fails
report("undone", outcome(lambda: assume_role(wide))[0])
report("after", [read("theirs/after"), read("third/again")])
report("current", current())
release()
report("released", read("theirs/newer"))
"""


@_LATER
def test_the_role_of_a_bucket_stays_when_a_role_of_the_application_fails_and_ends_with_the_release(
    shelves: Shelves, tmp_path: Path
) -> None:
    found, signed, _ = shelves.run(SPARK_4_3, "local[2]", tmp_path, _UNDONE)

    assert found["none"] == ["ValueError", "ValueError"]
    assert found["no refresh"] == "ValueError"
    assert [found["before"], found["undone"], found["after"], found["current"]] == [True, "OSError", [True, True], None]
    assert signed["theirs/first"] == signed["theirs/after"] == {"lender"}
    assert signed["third/again"] == {"role"}
    assert "AccessDenied" in str(found["released"])
    assert signed.get("theirs/newer", set()).isdisjoint({"lender", "role"})


_BACK = """
assume_role(wide)
prepare("long-lived", "theirs", everywhere=False)
report("own", read("theirs/first"))
for name in NAMES:
    context._jsc.hadoopConfiguration().unset(f"fs.s3a.bucket.theirs.{name}")
report("back", read("theirs/after"))
report("kept", is_kept("theirs"))
spark.conf.set("fs.s3a.access.key", keys["long-lived"][0])
spark.conf.set("fs.s3a.secret.key", keys["long-lived"][1])
report("keys of a session", spark.read.text("s3a://third/again").count())
"""


@pytest.mark.parametrize(("line", "master"), [(SPARK_3_5, CLUSTER), (SPARK_4_3, "local[2]")], ids=str)
@_LATER
def test_a_bucket_whose_keys_are_taken_out_again_reads_with_the_role_in_every_jvm(
    line: Line, master: str, shelves: Shelves, tmp_path: Path
) -> None:
    found, signed, _ = shelves.run(line, master, tmp_path, _BACK)

    assert found == {"own": True, "back": True, "kept": True, "keys of a session": 2}
    assert signed["theirs/first"] == {"long-lived"}
    assert signed["theirs/after"] == {"role"}
    assert signed["third/again"] == {"role"}


_WITHOUT_STATIC_KEYS = """
prepare("temporary")
assume_role(wide)
report("role", read("ours/open"))
prepare("temporary")
report("refused", read("third/refused"))
assume_role(wide)
prepare("temporary")
report("refused again", read("third/refused"))
prepare("temporary", "theirs")
report("of one bucket", [read("third/again"), read("theirs/alone")])
"""


@_LATER
def test_without_static_keys_a_connector_does_not_take_the_role_either(shelves: Shelves, tmp_path: Path) -> None:
    found, signed, _ = shelves.run(SPARK_4_3, CLUSTER, tmp_path, _WITHOUT_STATIC_KEYS, HOPS_CREDENTIALS_STATIC_KEYS="false")

    assert found["role"] is True
    assert "bucket third is not opened" in str(found["refused"])
    assert "bucket third is not opened" in str(found["refused again"])
    assert found["of one bucket"] == [True, True]
    assert "third/refused" not in signed
    assert signed["third/again"] == signed["ours/open"] == {"role"}
    assert signed["theirs/alone"] == {"temporary"}


_GLUE = """
system = context._jvm.java.lang.System
names = ["aws.accessKeyId", "aws.secretAccessKey", "aws.sessionToken"]
system.setProperty("aws.sessionToken", "of another")
system.setProperty("aws.accessKeyId", "AKIAEARLIER")
assume_role(wide)
for name, value in zip(names, keys["long-lived"]):
    system.setProperty(name, value)
report("doctor", [line for line in str(java.doctor()).splitlines() if "system properties" in line])
context._jsc.hadoopConfiguration().set("fs.s3a.endpoint.region", "eu-north-1")
report("overrides", overrides())
release()
report("put back", [system.getProperty(name) for name in names] == [*keys["long-lived"], None])
"""


@_LATER
def test_what_a_connector_sets_for_all_is_named_by_the_doctor(shelves: Shelves, tmp_path: Path) -> None:
    found, _, _ = shelves.run(SPARK_4_3, "local[2]", tmp_path, _GLUE)

    access_key_id = shelves.keys["long-lived"][0]
    [problem] = list(found["doctor"])  # type: ignore[call-overload]
    assert f"aws.accessKeyId is {access_key_id} beside the role" in problem
    assert any("has set fs.s3a.endpoint.region to eu-north-1 for all buckets since the role" in line for line in list(found["overrides"]))  # type: ignore[call-overload]
    assert found["put back"] is True


_LONG = """
base = f"s3a://theirs/{os.getpid()}"

def lend():
    # What the server of Hopsworks answers to a connector with temporary credentials: a session of the role, with no word of its end.
    lent = boto3_session(lender).get_credentials().get_frozen_credentials()
    keys["lent"] = [lent.access_key, lent.secret_key, lent.token]

assume_role(wide)
lend()
prepare("lent", "third", everywhere=False)
report("lent", read("third/again"))
assume_role(lender, buckets=["theirs"])
prepare("lent", "theirs", everywhere=False)

def write():
    spark.range(1).selectExpr("cast(id AS STRING)").write.mode("append").text(f"{base}/in")

write()
until = time.monotonic() + seconds
stream = (spark.readStream.text(f"{base}/in").writeStream.option("checkpointLocation", f"{base}/checkpoint")
    .trigger(processingTime="4 seconds").format("text").start(f"{base}/out"))
written, failed = 1, []
while time.monotonic() < until:
    write()
    written += 1
    failed += [each for each in map(read, ("theirs/alone", "ours/beside")) if each is not True]
    if not written % 4:
        lend()
        prepare("lent", "theirs", everywhere=False)
stream.processAllAvailable()
stream.stop()
report("failed", failed)
report("streamed", spark.read.text(f"{base}/out").count() == written)
report("without its role", read("third/refused"))
release()
prepare("temporary", "theirs", everywhere=False)
report("released", read("theirs/role"))
"""


@pytest.mark.parametrize(("line", "master"), [(SPARK_3_5, CLUSTER), (SPARK_4_3, CLUSTER)], ids=str)
@_LATER
def test_a_connector_with_temporary_credentials_goes_on_past_their_end_once_its_bucket_has_its_role(
    line: Line, master: str, shelves: Shelves, tmp_path: Path
) -> None:
    found, signed, _ = shelves.run(line, master, tmp_path, _LONG, SECONDS / 2)

    assert found["lent"] is True
    assert found["failed"] == []
    assert found["streamed"] is True
    assert signed["theirs/alone"] == {"lender"}
    assert signed["ours/beside"] == {"role"}
    # What S3A read once has ended, and nobody else reads instead.
    assert "AccessDenied" in str(found["without its role"])
    assert signed["third/refused"] == {"lender"}
    assert found["released"] is True
    assert signed["theirs/role"] == {"temporary"}
