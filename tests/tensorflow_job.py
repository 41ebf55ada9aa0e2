"""`make test-tensorflow`: the demo's training program reads as the role, in the region it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import BUILD, ROOT
from rig.aws import document, reads
from rig.deployment import Deployment, deployment
from rig.http import recording
from rig.process import environment, run
from tests.canary import leaks

PYTHON = BUILD / "tensorflow-venv" / "bin" / "python"
# TensorFlow with the newest tensorflow-io aborts when the interpreter ends after a read of S3 (tensorflow/io#2039).
ABORTED = -6

_WRITE = """
import sys
import tensorflow as tf

for name, count in (("train", 3), ("validation", 2)):
    with tf.io.TFRecordWriter(f"{sys.argv[1]}/{name}.tfrecords") as records:
        for number in range(count):
            word = tf.train.Feature(bytes_list=tf.train.BytesList(value=[f"{name} {number}".encode()]))
            records.write(tf.train.Example(features=tf.train.Features(feature={"word": word})).SerializeToString())
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment whose role reads both buckets."""
    directory = tmp_path_factory.mktemp("site")
    with deployment(directory) as site:
        written = run([PYTHON, "-c", _WRITE, directory], environment(directory / "home"), directory)
        assert written.returncode == 0, written.stderr
        s3 = site.cloud.aws.client("s3")
        s3.put_object(Bucket="resource", Key="train/train.tfrecords", Body=(directory / "train.tfrecords").read_bytes())
        s3.create_bucket(Bucket="validation")
        s3.put_object(Bucket="validation", Key="validation.tfrecords", Body=(directory / "validation.tfrecords").read_bytes())
        iam = site.cloud.aws.client("iam")
        iam.put_role_policy(RoleName="resource-reader", PolicyName="validation", PolicyDocument=document(reads("validation")))
        yield site


@pytest.mark.parametrize(("set_before", "region"), [({}, "eu-north-1"), ({"AWS_REGION": "eu-west-1"}, "eu-west-1")])
def test_the_training_program_reads_both_buckets_as_the_role_in_its_region(
    set_before: dict[str, str], region: str, site: Deployment, tmp_path: Path
) -> None:
    with recording(site.cloud.aws.endpoint) as s3:
        done = run(
            [PYTHON, ROOT / "demo" / "train.py"],
            environment(
                tmp_path / "home", **site.variables(site.scientist), S3_ENDPOINT=s3.endpoint, TF_CPP_MIN_LOG_LEVEL="2", **set_before
            ),
            tmp_path,
        )

    assert done.returncode in (0, ABORTED), done.stdout + done.stderr
    assert 'value: "train 0"' in done.stdout, done.stdout + done.stderr
    assert "train: 3 validation: 2" in done.stdout
    issued = "".join(exchange.body for exchange in site.sts.exchanges)
    signed = [exchange for exchange in s3.exchanges if exchange.access_key_id]
    assert signed
    assert all(f"<AccessKeyId>{exchange.access_key_id}</AccessKeyId>" in issued for exchange in signed)
    assert {re.findall(r"Credential=[^/]+/\d+/([^/]+)/s3", exchange.authorization)[0] for exchange in signed} == {region}
    assert leaks(site.secrets(), tmp_path, done.stdout, done.stderr) == []
