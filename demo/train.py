"""Reads training and validation data as a role, from two buckets, and prints the first example."""

import os

import tensorflow as tf
import tensorflow_io  # noqa: F401  (it brings s3://)
from hops.credentials_provider import assume_role, get_role

assume_role(get_role(1))
os.environ.setdefault("AWS_REGION", "eu-north-1")

train = tf.data.TFRecordDataset(["s3://resource/train/train.tfrecords"])
validation = tf.data.TFRecordDataset(["s3://validation/validation.tfrecords"])

for record in train.take(1):
    example = tf.train.Example()
    example.ParseFromString(record.numpy())
    print(example)
print("train:", sum(1 for _ in train), "validation:", sum(1 for _ in validation))
