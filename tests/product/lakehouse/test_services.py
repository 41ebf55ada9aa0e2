"""Other services of AWS are used from a task with the role of the application, by clients of the AWS SDK that are made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig import BUILD, ROOT
from rig.spark import SPARK_4_1
from rig.stage import Stage
from rig.tables import jars
from runs.readers import SECONDS, issued_for
from tests.product.lakehouse.application import CLUSTER, Application

_SERVICES = ("dynamodb", "sqs", "glue")

pytestmark = [
    pytest.mark.lakehouse,
    pytest.mark.everywhere,
    pytest.mark.platform(f"AWS SDK for Java 2 in tasks: {', '.join(_SERVICES)}, Spark {SPARK_4_1.spark}"),
]

_USE = """
seconds, services = float(sys.argv[5]), sys.argv[6:]

def use(service, seconds):
    return sorted(set(context._jvm.Services.use(context._jsc.sc(), service, os.environ["S3"], seconds)))

assume_role(lake)
report("used", {service: use(service, seconds) for service in services})
assume_role(other)
report("with another role", {service: use(service, 0.0) for service in services})
"""


def test_each_is_used_with_the_role_alone_through_lifetimes(lake: Stage, tmp_path: Path) -> None:
    aws = lake.site.cloud.aws
    word = [{"AttributeName": "word", "KeyType": "HASH"}]
    aws.client("dynamodb").create_table(
        TableName="words",
        KeySchema=word,
        AttributeDefinitions=[{"AttributeName": "word", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    aws.client("sqs").create_queue(QueueName="words")
    aws.client("glue").create_database(DatabaseInput={"Name": "words"})
    clients = jars("services", SPARK_4_1)
    sources = ROOT / "tests" / "programs" / "scala" / "services"
    program = SPARK_4_1.compile(sorted(sources.glob("*.scala")), BUILD / "programs" / "services", clients)
    issued = len(lake.site.sts.exchanges)

    ran = Application(lake, tmp_path, SPARK_4_1, CLUSTER, jars=[program, *clients]).run(_USE, arguments=(str(SECONDS / 2), *_SERVICES))

    assert ran.found["used"] == {service: ["used"] for service in _SERVICES}
    assert all("not authorized" in str(refused) or "AccessDenied" in str(refused) for refused in ran.found["with another role"].values())
    others = issued_for(lake.site, "second", issued)
    assert ran.signers <= issued_for(lake.site, "lake-writer", issued) | others
    assert len(ran.signers - others) > 4
