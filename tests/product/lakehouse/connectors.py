"""Storage connectors of the Hopsworks client beside a role."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from rig.aws import assumes, document, reads, trusts, writes
from rig.spark import Line
from rig.stage import Stage
from runs.readers import issued_for
from tests.product.lakehouse.application import Application

#: Plays the writes of `hsfs/engine/spark.py` in hopsworks 4.2 to 5.2, `_setup_s3_hadoop_conf`, in their order. Before 3.7.7 of hsfs, and in
#: the JVM client, they are for all buckets alone; with `fs.s3a.global-conf=False` for one bucket alone.
_CLIENT = """
wide, lender, keys, seconds = sys.argv[5], sys.argv[6], json.loads(sys.argv[7]), float(sys.argv[8])
TEMPORARY = "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"
NAMES = ["access.key", "secret.key", "session.token", "aws.credentials.provider"]
java = context._jvm.io.hops.util.CredentialsProvider

def prepare(name, bucket=None, everywhere=True):
    conf = context._jsc.hadoopConfiguration()
    access_key, secret_key, *token = keys[name]
    for prefix in (["fs.s3a"] if everywhere else []) + ([f"fs.s3a.bucket.{bucket}"] if bucket else []):
        conf.set(f"{prefix}.access.key", access_key)
        conf.set(f"{prefix}.secret.key", secret_key)
        if token:
            conf.set(f"{prefix}.aws.credentials.provider", TEMPORARY)
            conf.set(f"{prefix}.session.token", token[0])

def stands(prefix="fs.s3a"):
    conf = context._jsc.hadoopConfiguration()
    return [conf.get(f"{prefix}.{name}") for name in NAMES]

def read(path):
    # By a table, and by an RDD, whose tasks open the bucket too.
    rows = outcome(lambda: [spark.read.text(f"s3a://{path}").count(), context.textFile(f"s3a://{path}", 4).count()])
    return str(rows[1]) if isinstance(rows[0], str) else rows == [2, 2]

def is_kept(bucket):
    hadoop = context._jvm.org.apache.hadoop
    path = hadoop.fs.Path(f"s3a://{bucket}/x")
    first, second = (path.getFileSystem(context._jsc.hadoopConfiguration()) for _ in range(2))
    return first.equals(second)

def explained(bucket):
    return java.explain(f"s3a://{bucket}/x").splitlines()[0]

def overrides():
    return [line.split("override: ")[1] for line in str(java.doctor()).splitlines() if "override: " in line]
"""

_OBJECTS = {
    "ours": ("open", "beside", "still"),
    "also-ours": ("beside",),
    "theirs": ("alone", "first", "after", "newer", "role", "early"),
    "third": ("refused", "again"),
}


@dataclasses.dataclass(frozen=True)
class Shelves:
    """Buckets that role and connectors may read all alike, so that only the keys tell."""

    stage: Stage
    role: str
    #: The role of a connector with temporary credentials.
    lender: str
    #: The keys of connectors, by name.
    keys: Mapping[str, tuple[str, ...]]

    def run(
        self, line: Line, master: str, directory: Path, program: str, seconds: float | None = None, **variables: str
    ) -> tuple[dict[str, object], dict[str, set[str]], str]:
        """Runs a program with further variables, which with `seconds` goes on for so long and has short sessions.

        Returns what it found, who signed for each object, and its log.
        """
        application = Application(self.stage, directory, line, master, has_short_sessions=seconds is not None, variables=variables)
        ran = application.run(_CLIENT, program, arguments=(self.role, self.lender, json.dumps(self.keys), str(seconds or 0)))
        names = {keys[0]: name for name, keys in self.keys.items()}
        for role, name in (("wide", "role"), ("lender", "lender")):
            names |= dict.fromkeys(issued_for(self.stage.site, role, 0), name)
        signed = {path: {names.get(str(key), str(key)) for key in keys} for path, keys in ran.signed.items() if "/" in path}
        return ran.found, signed, ran.log


def shelves_of(stage: Stage) -> Shelves:
    """Makes the buckets, the roles and the connectors."""
    aws, site = stage.site.cloud.aws, stage.site
    for bucket, names in _OBJECTS.items():
        aws.bucket(bucket, dict.fromkeys(names, "one\ntwo\n"))
    everything = [reads(bucket) for bucket in _OBJECTS]
    role = aws.role("wide", trusts(site.cloud.instance_role), *everything)
    aws.client("iam").put_role_policy(RoleName="instance-role", PolicyName="wide", PolicyDocument=document(assumes(role)))
    lender = aws.role("lender", trusts(site.cloud.instance_role), reads("theirs"), writes("theirs"), reads("third"))
    aws.client("iam").put_role_policy(RoleName="instance-role", PolicyName="lender", PolicyDocument=document(assumes(lender)))
    for each in (role, lender):
        site.server.command("mapping", "add", site.project, "data-scientist", each)
    keys: dict[str, tuple[str, ...]] = {}
    for name in ("long-lived", "other long-lived"):
        user = aws.user(name.replace(" ", "-"), *everything)
        keys[name] = (user.access_key_id, user.secret_access_key)
    for name in ("temporary", "newer temporary", "other temporary"):
        session = aws.client_of(user, "sts").get_session_token()["Credentials"]
        keys[name] = (session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    return Shelves(stage, role, lender, keys)
