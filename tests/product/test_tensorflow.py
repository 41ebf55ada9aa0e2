"""The training program in demo/ reads as the role, in the region that it names."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import BUILD, ROOT
from rig.aws import document, reads
from rig.canary import leaks
from rig.deployment import Deployment, deployment
from rig.http import recording
from rig.process import environment, run
from runs.readers import issued_for

pytestmark = [pytest.mark.everywhere, pytest.mark.platform("TensorFlow with tensorflow-io")]

PYTHON = BUILD / "tensorflow-venv" / "bin" / "python"
#: The region of the buckets, as in the program.
REGION = "eu-north-1"
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
    """Runs a deployment whose role reads both buckets."""
    directory = tmp_path_factory.mktemp("site")
    with deployment(directory) as site:
        written = run([PYTHON, "-c", _WRITE, directory], environment(directory / "home"), directory)
        assert written.returncode == 0, written.stderr
        s3 = site.cloud.aws.client("s3")
        s3.delete_object(Bucket="resource", Key="test.csv")
        s3.delete_bucket(Bucket="resource")
        for bucket in ("resource", "validation"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="resource", Key="train/train.tfrecords", Body=(directory / "train.tfrecords").read_bytes())
        s3.put_object(Bucket="validation", Key="validation.tfrecords", Body=(directory / "validation.tfrecords").read_bytes())
        iam = site.cloud.aws.client("iam")
        iam.put_role_policy(RoleName="resource-reader", PolicyName="validation", PolicyDocument=document(reads("validation")))
        yield site


def train(site: Deployment, directory: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Runs the program. Returns it and the regions for which it signed requests, and checks that the role signed them all."""
    with recording(site.cloud.aws.endpoint) as s3:
        variables = {**site.variables(site.scientist), "S3_ENDPOINT": s3.endpoint, "TF_CPP_MIN_LOG_LEVEL": "2", **variables}
        done = run([PYTHON, ROOT / "demo" / "train.py"], environment(directory / "home", **variables), directory)
    signers = {exchange.access_key_id for exchange in s3.exchanges}
    # The server may give a later program the session of an earlier one.
    assert len(signers) == 1
    assert signers <= issued_for(site, "resource-reader", 0)
    assert leaks(site.secrets(), directory, done.stdout, done.stderr) == []
    return done, {match for exchange in s3.exchanges for match in re.findall(r"Credential=[^/]+/\d+/([^/]+)/s3", exchange.authorization)}


def test_the_training_program_reads_both_buckets_as_the_role(site: Deployment, tmp_path: Path) -> None:
    done, regions = train(site, tmp_path)
    assert done.returncode in (0, ABORTED), done.stdout + done.stderr
    assert 'value: "train 0"' in done.stdout, done.stdout + done.stderr
    assert "train: 3 validation: 2" in done.stdout
    assert regions == {REGION}


def test_a_region_that_is_set_already_is_left_alone(site: Deployment, tmp_path: Path) -> None:
    """Nothing is read, since the buckets are elsewhere and TensorFlow does not follow redirects."""
    _, regions = train(site, tmp_path, AWS_REGION="eu-west-1")
    assert regions == {"eu-west-1"}
