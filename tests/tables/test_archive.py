"""The archive gets every record that the ledger commits, and a payment's final form at each closing."""

import json
from typing import Any

import pytest

from tests import archive_bucket
from tests.archive_bucket import ArchiveBucket
from tests.harness import Harness, Student
from tuition.core import archive as core
from tuition.outbox import archive
from tuition.storage import mapping
from tuition.storage.items import AuditItem


@pytest.fixture
def bucket(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> ArchiveBucket:
    return archive_bucket.connect(monkeypatch)


def archive_all(tuition: Harness) -> None:
    """Archive every item of the audit table, as its stream would deliver it."""
    items = tuition.tables.scan(TableName="audit", ConsistentRead=True)["Items"]
    assert archive.write({f"{item['subject']['S']} {item['sort_key']['S']}": item for item in items}) == []


def test_a_purchase_and_its_refund_close_the_payment_at_two_versions(
    tuition: Harness, student: Student, bucket: ArchiveBucket
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_time(5)
    tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["status"] == "SUCCEEDED"
    assert tuition.refund(student, purchase["payment_id"]).status in (200, 202)
    tuition.deliver_all()
    archive_all(tuition)
    forms = [form for form in bucket.final_forms if form["payment_id"] == purchase["payment_id"]]
    assert [form["status"] for form in sorted(forms, key=lambda form: form["version"])][-1] == "REFUNDED"
    assert "SUCCEEDED" in [form["status"] for form in forms]
    trail = {r["seq"]: r for r in bucket.records if r["subject"] == purchase["payment_id"]}
    for form in forms:
        assert form["audit_head"] == trail[form["version"]]["hash"]
        assert core.undeclared(core.FINAL_FORM, form) == []
    assert max(form["version"] for form in forms) == max(trail)
    assert "@" not in json.dumps([forms, list(trail.values())])


def test_the_archive_has_every_record_as_it_was_hashed(
    tuition: Harness, student: Student, bucket: ArchiveBucket
) -> None:
    tuition.create(student)
    archive_all(tuition)
    items = tuition.tables.scan(TableName="audit", ConsistentRead=True)["Items"]
    stored: list[dict[str, Any]] = [mapping.record_to_json(AuditItem.from_raw_data(item)) for item in items]
    by_hash = sorted(stored, key=lambda record: str(record["hash"]))
    assert sorted(bucket.records, key=lambda record: str(record["hash"])) == by_hash
    assert all(core.has_own_hash(record) for record in bucket.records)
