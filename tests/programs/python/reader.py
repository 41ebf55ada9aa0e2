"""reader.py ENDPOINT BUCKET...: reads `test.csv` of each bucket with the credentials that a child process inherits, and prints a line."""

import sys

import boto3
from botocore.exceptions import ClientError

s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1")
for bucket in sys.argv[2:]:
    try:
        print(bucket, s3.get_object(Bucket=bucket, Key="test.csv")["Body"].read().decode().split()[0])
    except ClientError as refused:
        print(bucket, refused.response["Error"]["Code"])
