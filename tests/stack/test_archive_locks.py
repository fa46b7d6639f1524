"""`make extend-locks` on the running stack: S3 keeps what a payment needs, and may expire what nothing needs."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import archive_locks as command
from local.running import running_file
from tests.stack.conftest import Running
from tests.stack.test_events import buy
from tuition.core import archive
from tuition.outbox.archive_locks import RELEASED

OLD = "dt=2017-01-01/00"
"""A day whose locks have ended, which no digest and no other test looks at."""
LOCK_S = 2


@pytest.fixture
def old_objects(running: Running, token: str) -> Iterator[dict[str, str]]:
    """Objects by name, with their version, until their lock ends.

    They are of a payment that exists, of one that is missing without a record of its deletion, and of no payment.
    """
    s3, bucket = running.client("s3"), running.resource("ArchiveBucket")
    payment_id = buy(running, token)
    versions = {}
    objects = {f"records/{OLD}-user.jsonl.gz": archive.content([{"subject": "a-user", "seq": 1}])}
    for payment in (payment_id, "pay_missing"):
        records = archive.content([{"subject": "a-user", "seq": 1}, {"subject": payment, "seq": 1}])
        for key, body in {
            f"records/{OLD}-{payment}.jsonl.gz": records,
            f"final/{OLD}-{payment}-v1.json.gz": archive.content([{"payment_id": payment}]),
        }.items():
            objects[key] = body
    for key, body in objects.items():
        until = datetime.now(UTC) + timedelta(seconds=LOCK_S)
        lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
        versions[key] = s3.put_object(Bucket=bucket, Key=key, Body=body, **lock)["VersionId"]
    time.sleep(LOCK_S)
    yield versions
    for key, version in versions.items():
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version, BypassGovernanceRetention=True)


def test_the_command_extends_the_locks_of_payments_that_were_not_deleted_and_releases_the_others(
    running: Running, old_objects: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    s3, bucket = running.client("s3"), running.resource("ArchiveBucket")
    port = ["--api-port", running.ready["api"].rpartition(":")[2]]
    with running_file(running.ready):
        assert command.main(port) == 0
    assert "4 extended, 1 released, 0 kept, 0 later, 0 missing, 0 failed" in capsys.readouterr().out
    for key, version in old_objects.items():
        where = {"Bucket": bucket, "Key": key, "VersionId": version}
        until = s3.get_object_retention(**where)["Retention"]["RetainUntilDate"]
        tags = s3.get_object_tagging(**where)["TagSet"]
        if "user" in key:
            assert (until < datetime.now(UTC), tags) == (True, RELEASED)
            continue
        assert timedelta(hours=23) < until - datetime.now(UTC) < timedelta(hours=25)
        assert tags == []
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(**where)


def test_the_function_cannot_shorten_a_lock_or_delete_or_put_an_object(
    running: Running, old_objects: dict[str, str]
) -> None:
    """S3 decides by the role of the function, as in production."""
    iam: Any = running.client("iam")
    role = running.resource("ArchiveLocksFunctionRole")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policies = json.dumps([iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names])
    for action in ('s3:PutObject"', "DeleteObject", "BypassGovernanceRetention", "s3:*"):
        assert action not in policies
    s3, bucket = running.client("s3"), running.resource("ArchiveBucket")
    key, version = next(iter(old_objects.items()))
    where = {"Bucket": bucket, "Key": key, "VersionId": version}
    later = datetime.now(UTC) + timedelta(hours=2)
    s3.put_object_retention(**where, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later})
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object_retention(
            **where, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later - timedelta(hours=1)}
        )
