"""A purchase and its refund are in the archive, each record once its commit is some seconds old, and locked."""

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.build import ROOT
from local.running import running_file
from tests.stack.conftest import Running
from tests.stack.test_events import buy
from tuition.core import archive as core
from tuition.core import audit

WITHIN_S = 60


def objects(running: Running, folder: str, since: datetime) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the name and the lines of each object that was written since a moment."""
    s3, bucket = running.client("s3"), running.resource("ArchiveBucket")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{folder}/"):
        for one in page.get("Contents", []):
            if one["LastModified"] >= since - timedelta(seconds=1):
                body = s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
                yield one["Key"], [json.loads(line) for line in gzip.decompress(body).splitlines()]


def of_payment(running: Running, payment_id: str, since: datetime) -> dict[int, dict[str, Any]]:
    """Return the archived records of a payment by position."""
    records = [line for _, lines in objects(running, "records", since) for line in lines]
    return {line["seq"]: line for line in records if line["subject"] == payment_id}


def has_record_of(payment_id: str, lines: list[dict[str, Any]]) -> bool:
    """Whether an object has a record of a payment."""
    return any(line["subject"] == payment_id for line in lines)


def is_archived(running: Running, payment_id: str, since: datetime) -> bool:
    """Whether the archive has every record that the table has of a payment."""
    query = {"KeyConditionExpression": "subject = :s", "ExpressionAttributeValues": {":s": {"S": payment_id}}}
    table, dynamodb = running.resource("AuditTable"), running.client("dynamodb")
    stored = dynamodb.query(TableName=table, ConsistentRead=True, **query)["Items"]
    return {int(item["seq"]["N"]) for item in stored} == set(of_payment(running, payment_id, since))


def final_forms(running: Running, payment_id: str, since: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return the final forms of a payment by the name of their object."""
    return {name: lines for name, lines in objects(running, "final", since) if f"-{payment_id}-v" in name}


def test_a_purchase_and_a_refund_are_archived_and_locked_within_a_minute(running: Running, token: str) -> None:
    start = datetime.now(UTC)
    payment_id = buy(running, token)
    body = {"payment_id": payment_id, "reason": "changed my mind"}
    assert running.api("POST", "/api/payments/request-refund", token, json=body).status_code in (200, 202)
    running.until(lambda: running.payment(token, payment_id)["status"] == "REFUNDED", "the refund")
    running.until_delivered()  # every event of the refund adds a record
    refunded = time.monotonic()

    def archived() -> Any:
        """Return the records, the final forms and the last form once the archive has everything of the last record.

        A form is written after the records of its batch, and a late event adds another record.
        """
        if not is_archived(running, payment_id, start):
            return None
        trail = [record for _, record in sorted(of_payment(running, payment_id, start).items())]
        forms = final_forms(running, payment_id, start)
        versions = {line["version"]: line for lines in forms.values() for line in lines}
        return (trail, forms, versions[len(trail)]) if versions and max(versions) == len(trail) else None

    trail, forms, last = running.until(archived, "every record and the final form of the last one in the archive")
    assert time.monotonic() - refunded < WITHIN_S
    assert audit.verify(payment_id, trail, len(trail), trail[-1]["hash"]) is None
    assert (last["status"], last["refund_amount"]) == ("REFUNDED", 49900)
    assert core.undeclared(core.FINAL_FORM, last) == []
    assert "@" not in json.dumps([trail, list(forms.values())])
    written = {name: lines for name, lines in objects(running, "records", start) if has_record_of(payment_id, lines)}
    for name in [*forms, *written]:
        _assert_locked_for_a_day(running, name, start)


def test_make_check_archive_compares_a_day_with_the_archive(running: Running, token: str) -> None:
    start = datetime.now(UTC)
    payment_id = buy(running, token)
    running.until(lambda: running.payment(token, payment_id)["payment_method"], "the charge")
    running.until(lambda: is_archived(running, payment_id, start), "every record in the archive")
    port, day = running.ready["api"].rpartition(":")[2], start.date().isoformat()
    command = [sys.executable, "-m", "local.archive_check", "--api-port", port, "--day", day, "--repair"]
    with running_file(running.ready):
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode in (0, 1), result.stdout + result.stderr  # other tests forge records
    assert f"{day}: " in result.stdout and " records, " in result.stdout

    def misses_nothing() -> bool:
        """Whether a comparison names no record of the payment. One that was committed meanwhile is in the next."""
        with running_file(running.ready):
            again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        return payment_id not in again.stdout

    running.until(misses_nothing, "a comparison that misses no record of the payment")


def _assert_locked_for_a_day(running: Running, object_key: str, since: datetime) -> None:
    s3, bucket = running.client("s3"), running.resource("ArchiveBucket")
    head = s3.head_object(Bucket=bucket, Key=object_key)
    assert head["ObjectLockMode"] == "GOVERNANCE"
    in_seconds = since.replace(microsecond=0)  # as S3 keeps the end of a lock
    assert timedelta(0) <= head["ObjectLockRetainUntilDate"] - in_seconds - timedelta(days=1) < timedelta(minutes=10)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key=object_key, VersionId=head["VersionId"])
