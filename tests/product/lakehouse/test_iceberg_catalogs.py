"""Which of Iceberg's catalogs sign with the role of the application, which do not, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.rest_catalog import FORMS, rest_catalog
from rig.spark import SPARK_3_5, SPARK_4_1, Line, Place
from rig.stage import Stage
from rig.tables import LINES, iceberg_catalog, jars, jdbc, s3_file_io
from tests.product.lakehouse.application import CLUSTER
from tests.product.lakehouse.iceberg import MARKS, application

pytestmark = [*MARKS, pytest.mark.everywhere]

_OURS = "io.hops.util.aws.CatalogCredentials"

#: What the user may have chosen instead of the role, by catalog.
_CHOICES = {
    "named": {"client.credentials-provider": "io.hops.util.aws.CredentialsProviderV2"},
    "factory": {"client.factory": "org.example.Factory"},
    "s3factory": {"s3.client-factory-impl": "org.example.Factory"},
    "assumed": {"client.assume-role.arn": "arn:aws:iam::000000000000:role/other", "client.assume-role.region": "us-east-1"},
    "keys": {"S3.Access-Key-Id": "AKIA", "s3.secret-access-key": "canary"},
    "signed": {"s3.remote-signing-enabled": "true"},
    "granted": {"s3.access-grants.enabled": "true"},
    "formation": {"glue.lakeformation-enabled": "TRUE"},
    "refreshed": {"client.refresh-credentials-endpoint": "/credentials"},
    "vended": {"header.X-Iceberg-Access-Delegation": "vended-credentials"},
}

_CONFS = """
names = sys.argv[5:]

def providers(session):
    keys = {name: f"spark.sql.catalog.{name}.client.credentials-provider" for name in names}
    return {name: session.conf.get(key, None) for name, key in keys.items()}

report("before", providers(spark))
assume_role(lake)
report("role", providers(spark))
report("bucket", spark.conf.get("spark.sql.catalog.plain.client.credentials-provider.warehouse-bucket", None))
report("another session", providers(spark.newSession()))
explained = list(context._jvm.io.hops.util.CredentialsProvider.explain("s3://other/t").splitlines())
report("explained", dict(line.removeprefix("Iceberg catalog ").split(" ", 1) for line in explained[1:]))
report("refused", outcome(lambda: assume_role("arn:aws:iam::000000000000:role/nobody"))[0])
report("after the refusal", providers(spark))
release()
report("released", providers(spark))
report("another session after that", providers(spark.newSession()))
"""


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_catalog_is_told_unless_the_user_chose_its_credentials_or_it_reads_by_s3a(line: Line, lake: Stage, tmp_path: Path) -> None:
    told = s3_file_io("{s3}") | jdbc(tmp_path / "names.db", "s3://lake/told")
    catalogs = {
        "plain": told,
        "rest": {"type": "rest", "uri": "http://127.0.0.1:9"},
        "glue": {"type": "glue"},
        "s3a": {"type": "hadoop", "warehouse": "s3a://lake/told"},
        **{name: told | choice for name, choice in _CHOICES.items()},
    }
    confs = {key: value for name, options in catalogs.items() for key, value in iceberg_catalog(name, options).items()}
    confs["spark.sql.catalog.foreign"] = "org.example.Catalog"

    found = application(lake, tmp_path, line, "local[2]", confs).run(_CONFS, arguments=(*catalogs, "foreign")).found

    before = dict.fromkeys([*catalogs, "foreign"]) | {"named": _CHOICES["named"]["client.credentials-provider"]}
    during = before | dict.fromkeys(["plain", "rest", "glue"], _OURS)
    assert found["before"] == before
    assert found["role"] == found["another session"] == found["after the refusal"] == during
    assert found["bucket"] == "lake"
    chosen = {name: f"reads its tables there as {next(iter(choice)).lower()} of the user says" for name, choice in _CHOICES.items()}
    role = f"reads its tables there with {lake.lake}"
    vending = f"reads its tables there with what its server vends, else with {lake.lake}"
    assert found["explained"] == {"plain": role, "glue": role, "rest": vending, **chosen}
    assert found["refused"] == "RefusedError"
    assert found["released"] == found["another session after that"] == before


_CONFIGURED = """
report("provider", spark.conf.get("spark.sql.catalog.jdbc.client.credentials-provider"))
sql("CREATE NAMESPACE IF NOT EXISTS jdbc.db")
sql("CREATE TABLE jdbc.db.t (id BIGINT) USING iceberg")
sql("INSERT INTO jdbc.db.t VALUES (1)")
report("read", sql("SELECT count(*) FROM jdbc.db.t WHERE id >= 0", spark.newSession()))
override = spark.sparkContext._jvm.io.hops.util.CredentialsProvider.doctor()
report("doctor", [line.split("override: ")[1] for line in str(override).splitlines() if "override: " in line])
"""


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_role_of_the_configuration_counts_in_every_session_and_what_wins_over_it_in_a_catalog_is_reported(
    line: Line, lake: Stage, warehouse: str, tmp_path: Path
) -> None:
    anonymous = "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"
    key = "spark.sql.catalog.files.hadoop.fs.s3a.aws.credentials.provider"
    confs = {
        **iceberg_catalog("jdbc", s3_file_io("{s3}") | jdbc(tmp_path / "names.db", f"s3://{warehouse}/t")),
        **iceberg_catalog("files", {"type": "hadoop", "warehouse": f"s3a://{warehouse}/files"}),
        key: anonymous,
        # Wins over nothing: it is led to the role.
        "spark.sql.catalog.files.hadoop.fs.s3a.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.plugins": "io.hops.util.spark.HopsSparkPlugin",
        "spark.hops.role": lake.lake,
    }

    found = application(lake, tmp_path, line, CLUSTER, confs).run(_CONFIGURED).found

    assert found["provider"] == _OURS
    assert found["read"] == [[1]]
    assert found["doctor"] == [f'a session sets {key} to {anonymous}, which wins over the role; call spark.conf.unset("{key}")']


_BEFORE = """
catalogs = ["early", "files", "late"]
for name in catalogs[:2]:
    sql(f"CREATE NAMESPACE IF NOT EXISTS {name}.db")
    sql(f"CREATE TABLE {name}.db.t (id BIGINT) USING iceberg")
report("before", sql("SELECT count(*) FROM early.db.t"))
assume_role(lake)
spark.conf.set("spark.sql.catalog.unheard", spark.conf.get("spark.sql.catalog.early"))
spark.conf.set("spark.sql.catalog.unheard.io-impl", spark.conf.get("spark.sql.catalog.early.io-impl"))
java = context._jvm.io.hops.util.CredentialsProvider
report("explained", list(java.explain("s3://lake/db/t").splitlines()))
report("doctor", [line for line in str(java.doctor()).splitlines() if "Iceberg" in line])

def provider(session, table):
    loaded = context._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(session._jsparkSession, table)
    return loaded.io().properties().get("client.credentials-provider")

report("here", provider(spark, "early.db.t"))
report("in another session", provider(spark.newSession(), "early.db.t"))
report("read there", sql("SELECT count(*) FROM early.db.t", spark.newSession()))
report("files", sql("SELECT count(*) FROM files.db.t"))
assume_role(lake)
report("told at last", spark.conf.get("spark.sql.catalog.unheard.client.credentials-provider", None))
"""


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_catalog_that_was_used_before_the_role_or_named_after_it_is_reported(
    line: Line, lake: Stage, warehouse: str, tmp_path: Path
) -> None:
    early = s3_file_io("{s3}") | jdbc(tmp_path / "names.db", f"s3://{warehouse}/early")
    confs = {
        **iceberg_catalog("early", early),
        **iceberg_catalog("files", {"type": "hadoop", "warehouse": f"s3a://{warehouse}/files"}),
        **lake.read_as_stranger(),
    }

    ran = application(lake, tmp_path, line, CLUSTER, confs, is_inherited=True).run(_BEFORE)

    found = ran.found
    earlier = "Iceberg catalog early was in use before the role, and goes on with the credentials that it found then; use it in"
    assert found["before"] == [[0]]
    assert ran.log.count(earlier) == 1
    assert "Iceberg catalog files" not in ran.log
    assert found["explained"][0] == "s3://lake/db/t is not a path that S3A reads"
    assert found["explained"][1].startswith(earlier)
    assert [line.split(";")[0].split("Iceberg catalog ")[1] for line in found["doctor"]] == [
        "early was in use before the role, and goes on with the credentials that it found then",
        "unheard does not know of the role in this session, and signs with what the AWS SDK finds",
    ]
    assert (found["here"], found["in another session"]) == (None, _OURS)
    assert found["read there"] == found["files"] == [[0]]
    assert found["told at last"] == _OURS


_VENDED = """
assume_role(lake)
sql("CREATE NAMESPACE IF NOT EXISTS names.db")
sql("CREATE TABLE names.db.t (id BIGINT) USING iceberg")
sql("INSERT INTO names.db.t VALUES (1)")

def signer(catalog):
    loaded = context._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, f"{catalog}.db.t")
    named = loaded.io().properties().get("client.credentials-provider")
    return [named, outcome(lambda: sql(f"SELECT id FROM {catalog}.db.t WHERE id = 1"))]

report("read", {catalog: signer(catalog) for catalog in sys.argv[5:]})
report("explained", list(context._jvm.io.hops.util.CredentialsProvider.explain("s3://lake/db/t").splitlines()))
"""


def test_what_a_rest_catalog_vends_wins_over_the_role_and_the_role_counts_where_it_vends_nothing(
    lake: Stage, warehouse: str, tmp_path: Path
) -> None:
    aws = lake.site.cloud.aws
    # Whoever signs with it is refused.
    nobody = aws.user("vended-to")
    session = aws.client_of(nobody, "sts").get_session_token()["Credentials"]
    vended = {
        "s3.access-key-id": session["AccessKeyId"],
        "s3.secret-access-key": session["SecretAccessKey"],
        "s3.session-token": session["SessionToken"],
        "s3.session-token-expires-at-ms": str(int(session["Expiration"].timestamp() * 1000)),
    }
    names = tmp_path / "names.db"
    with rest_catalog(names, aws.client("s3"), vended) as endpoint:
        rest = {form: s3_file_io("{s3}") | {"type": "rest", "uri": f"{endpoint}/{form}"} for form in FORMS}
        catalogs = {"names": s3_file_io("{s3}") | jdbc(names, f"s3://{warehouse}/t"), **rest}
        confs = {key: value for name, options in catalogs.items() for key, value in iceberg_catalog(name, options).items()}
        ran = application(lake, tmp_path, SPARK_4_1, CLUSTER, confs).run(_VENDED, arguments=FORMS)

    read = ran.found["read"]
    assert [read[form][0] for form in FORMS] == [_OURS] * len(FORMS)
    assert read["none"][1] == [[1]]
    assert all("AccessDenied" in str(read[form][1]) or "403" in str(read[form][1]) for form in FORMS[1:]), read
    assert session["AccessKeyId"] in ran.signers
    reads = "reads its tables there with"
    assert f"Iceberg catalog names {reads} {lake.lake}" in ran.found["explained"]
    assert f"Iceberg catalog none {reads} what its server vends, else with {lake.lake}" in ran.found["explained"]
    assert not any(secret in ran.log for secret in (session["SecretAccessKey"], session["SessionToken"]))


_UNTOLD = """
assume_role(lake)
report("told", {name: spark.conf.get(f"spark.sql.catalog.{name}.client.credentials-provider", None) for name in sys.argv[5:]})
java = context._jvm.io.hops.util.CredentialsProvider
report("doctor", [line.split("Iceberg: ")[1] for line in str(java.doctor()).splitlines() if "Iceberg: " in line])
report("explained", list(java.explain("s3://lake/db/t").splitlines()))
"""

_READ_NAMED = """
sql("CREATE NAMESPACE IF NOT EXISTS names.db")
sql("CREATE TABLE names.db.t (id BIGINT) USING iceberg")
sql("INSERT INTO names.db.t VALUES (1)")
report("read", sql("SELECT id FROM named.db.t WHERE id = 1"))
"""


def test_a_rest_catalog_of_an_iceberg_that_hides_what_is_vended_is_left_alone_and_reported(
    lake: Stage, warehouse: str, tmp_path: Path
) -> None:
    names = tmp_path / "names.db"
    with rest_catalog(names, lake.site.cloud.aws.client("s3"), {}) as endpoint:
        rest = s3_file_io("{s3}") | {"type": "rest", "uri": f"{endpoint}/none"}
        catalogs = {
            "names": s3_file_io("{s3}") | jdbc(names, f"s3://{warehouse}/t"),
            "rest": rest,
            "named": rest | _CHOICES["named"],
        }
        confs = {key: value for name, options in catalogs.items() for key, value in iceberg_catalog(name, options).items()}
        older = jars("iceberg-1.10", SPARK_3_5)
        ran = application(lake, tmp_path, SPARK_3_5, CLUSTER, confs, jars=older).run(_UNTOLD, _READ_NAMED, arguments=tuple(catalogs))

    untold = "Iceberg catalog rest is not told: its server may vend credentials, which a provider hides before Iceberg 1.11; "
    untold += "where it vends none, set spark.sql.catalog.rest.client.credentials-provider to io.hops.util.aws.CredentialsProviderV2"
    assert ran.found["told"] == {"names": _OURS, "rest": None, "named": _CHOICES["named"]["client.credentials-provider"]}
    assert ran.found["doctor"] == [untold]
    assert untold in ran.log
    assert untold in ran.found["explained"]
    assert ran.found["read"] == [[1]]


def test_a_catalog_whose_aws_sdk_our_jar_does_not_see_is_left_alone_and_reported(lake: Stage, warehouse: str, tmp_path: Path) -> None:
    confs = iceberg_catalog("jdbc", s3_file_io("{s3}") | jdbc(tmp_path / "names.db", f"s3://{warehouse}/t"))

    ran = application(lake, tmp_path, SPARK_3_5, CLUSTER, confs, product=Place.SYSTEM).run(_UNTOLD, arguments=("jdbc",))

    assert ran.found["told"] == {"jdbc": None}
    [problem] = ran.found["doctor"]
    assert problem.startswith("Iceberg catalog jdbc does not find our provider (java.lang.NoClassDefFoundError: software/amazon/awssdk/")
    assert problem.endswith("; put hops-credentials beside the AWS SDK that Iceberg uses, with --jars for both")
    assert problem in ran.log
    assert problem in ran.found["explained"]


_ROLES = """
buckets = context._gateway.new_array(context._jvm.java.lang.String, 1)
buckets[0] = "lake"
requests = context._jvm.io.hops.util.CredentialsProvider.AssumeRoleRequest

def rows():
    return outcome(lambda: sql("SELECT count(*) FROM jdbc.db.t WHERE id >= 0"))

assume_role(lake)
sql("CREATE NAMESPACE IF NOT EXISTS jdbc.db")
sql("CREATE TABLE jdbc.db.t (id BIGINT) USING iceberg")
sql("INSERT INTO jdbc.db.t VALUES (1)")
report("role", rows())
assume_role(other)
report("switched", str(rows()))
requests.builder().setRoleArn(lake).forBucket(buckets).send()
report("of the bucket", rows())
release()
report("released", str(rows()))
requests.builder().setRoleArn(lake).forBucket(buckets).send()
report("of the bucket alone", sql("SELECT count(*) FROM jdbc.db.t WHERE id >= 0", spark.newSession()))
"""


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_switch_a_role_of_the_bucket_and_the_release_hold_for_a_catalog_that_is_in_use(
    line: Line, lake: Stage, warehouse: str, tmp_path: Path
) -> None:
    confs = iceberg_catalog("jdbc", s3_file_io("{s3}") | jdbc(tmp_path / "names.db", f"s3://{warehouse}/t"))

    ran = application(lake, tmp_path, line, CLUSTER, confs).run(_ROLES)

    found = ran.found
    assert found["role"] == found["of the bucket"] == found["of the bucket alone"] == [[1]]
    assert "403" in found["switched"]
    assert "role released" in found["released"]
    assert "was in use before" not in ran.log
