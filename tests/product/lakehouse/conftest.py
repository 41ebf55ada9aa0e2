"""What the tests of tables share."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rig.aws import allow, document, reads, writes
from rig.stage import Stage
from tests.product.lakehouse.connectors import Shelves, shelves_of


@pytest.fixture(scope="session")
def lake(stage: Stage) -> Stage:
    """Returns the stage with the rights that tables and other services need, and a stranger who has them all as well."""
    aws = stage.site.cloud.aws
    more = allow(Action=["s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts", "glue:*", "dynamodb:*", "sqs:*"], Resource="*")
    aws.client("iam").put_role_policy(RoleName="lake-writer", PolicyName="tables", PolicyDocument=document(more))
    return dataclasses.replace(stage, stranger=aws.user("stranger-at-the-lake", reads("lake"), writes("lake"), more))


@pytest.fixture(scope="session")
def shelves(stage: Stage) -> Shelves:
    """Returns buckets, roles and connectors, whose keys alone tell them apart."""
    return shelves_of(stage)


@pytest.fixture
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Returns a folder of bucket `lake`, without its scheme, that no other test uses."""
    return f"lake/{request.node.originalname}/{tmp_path.name}"
