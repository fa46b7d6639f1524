"""`make verify` and the daily audit accept deletions and erasures of ours, and find those of anyone else."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local import verify
from tests.erasures import Erasures, running_erasures
from tests.harness import NAMES, Harness, Student
from tests.tables import test_purchase_blocks
from tests.tables.test_retention import DAY_S, YEAR_S, bought, confirm, listed_and_deleted, stored, wait
from tuition import clock
from tuition.core import enrollment, timestamps
from tuition.core.audit import AuditEntry, Record
from tuition.storage import dynamodb, mapping, queries
from tuition.views import standings

Item = dict[str, Any]
KEYS = {
    "payments": ("payment_id",),
    "enrollments": ("user_id", "sort_key"),
    "customers": ("user_id",),
    "audit": ("subject", "sort_key"),
    "cursors": ("name",),
}


@pytest.fixture(autouse=True)
def _empty(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "PAUSE_S", 0)
    for table, key in KEYS.items():
        tuition.empty_table(table, *key)
    tuition.freeze_time(timestamps.epoch("2026-11-23T12:00:00Z"))


@pytest.fixture
def erasures(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Erasures]:
    with running_erasures(tuition, monkeypatch) as running:
        yield running


def verified(tuition: Harness) -> int:
    tables = verify.Tables(tuition.tables, {name: NAMES[name] for name in verify.TABLES})
    return verify.verify(tables)


def put(tuition: Harness, table: str, item: Item) -> None:
    tuition.tables.put_item(TableName=table, Item=item)


def refunded(tuition: Harness, student: Student) -> str:
    payment_id = str(bought(tuition, student)["payment_id"])
    assert tuition.refund(student, payment_id).status == 200
    tuition.advance_time(5)
    tuition.deliver_all()
    confirm(tuition)
    return payment_id


def forge_deletion(tuition: Harness, payment_id: str, at: str) -> None:
    """Delete a payment, and write the record that the ledger would have written, with a hash that holds."""
    newest = tuition.audit_trail(payment_id)[-1]
    record = Record(
        subject=payment_id,
        seq=newest["seq"] + 1,
        entry=AuditEntry(at, f"expired:{newest['seq']}", "payment.expired", "reconcile"),
        user_id=newest["user_id"],
        track=newest["track"],
        previous=newest["hash"],
        facts={},
    )
    put(tuition, "audit", dynamodb.to_raw(mapping.record_to_item(record, clock.now())))
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": payment_id}})


# --- deleted payments ---


def test_deleted_payments_hold_with_their_access_refunds_and_blocks(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    bought(tuition, student)
    refunded(tuition, Student(f"{student.sub}-refunded"))
    test_purchase_blocks.lose_dispute(tuition, Student(f"{student.sub}-disputed"))
    confirm(tuition)
    assert verified(tuition) == verify.HOLDS
    assert listed_and_deleted(tuition)["deleted"] == 3
    assert verified(tuition) == verify.HOLDS, capsys.readouterr().out
    assert "0 payments and 3 deleted ones" in capsys.readouterr().out


def test_a_deletion_during_the_run_is_no_finding(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    refunded(tuition, student)
    scan = verify.Tables.scan

    def slow(tables: verify.Tables, table: str) -> Any:
        if table == "PaymentsTable":
            monkeypatch.setattr(verify.Tables, "scan", scan)
            assert listed_and_deleted(tuition)["deleted"] == 1
        return scan(tables, table)

    monkeypatch.setattr(verify.Tables, "scan", slow)
    assert verified(tuition) == verify.HOLDS


def test_a_new_purchase_beside_a_deleted_payment_holds(tuition: Harness, student: Student) -> None:
    refunded(tuition, student)
    assert listed_and_deleted(tuition)["deleted"] == 1
    bought(tuition, student)
    assert verified(tuition) == verify.HOLDS


def test_a_lost_dispute_of_a_deleted_payment_that_no_longer_blocks_is_found(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    test_purchase_blocks.lose_dispute(tuition, student)
    confirm(tuition)
    assert listed_and_deleted(tuition)["deleted"] == 1
    tuition.tables.delete_item(TableName="customers", Key={"user_id": {"S": student.sub}})
    assert verified(tuition) == verify.DOES_NOT_HOLD
    assert f"customer {student.sub}: the payments have lost" in capsys.readouterr().out


@pytest.mark.parametrize("at", ["now", "in the year in which it would be due"])
def test_a_forged_deletion_before_its_time_is_found(
    tuition: Harness, student: Student, at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = str(bought(tuition, student)["payment_id"])
    wait(tuition, 3 * YEAR_S)
    now = clock.now() if at == "now" else clock.now() + 5 * YEAR_S
    forge_deletion(tuition, payment_id, timestamps.iso(now))
    assert verified(tuition) == verify.DOES_NOT_HOLD
    assert f"FINDING {payment_id}: it was deleted at" in capsys.readouterr().out
    problems = standings.problems(student.sub, queries.user_items(student.sub))
    assert [one.grantor for one in problems] == [payment_id]
    today = timestamps.iso(clock.now())[:10]
    wait(tuition, DAY_S)
    report = tuition.run_audit(days={"from": today, "to": today})
    assert [payment_id in one["ids"] for one in report["differences"] if one["kind"] == "chain"] == [True]


@pytest.mark.parametrize("ended", ["a lost dispute", "staff"])
def test_access_that_ended_before_the_deletion_is_found_if_it_is_restored_by_hand(
    tuition: Harness, student: Student, ended: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The payment's status is SUCCEEDED in both cases, and gives no access."""
    if ended == "staff":
        payment_id = str(bought(tuition, student)["payment_id"])
        body = {"decision": "revoke", "note": "shared the account"}
        staff = Student("staff-1", groups=("admin",))
        assert (
            tuition.admin(staff, "POST /api/admin/payments/{payment_id}/access", body, payment_id=payment_id).status
            == 200
        )
    else:
        test_purchase_blocks.lose_dispute(tuition, student)
        payment_id = next(item["payment_id"]["S"] for item in stored(tuition, "payments"))
    confirm(tuition)
    assert tuition.payment(payment_id).status == "SUCCEEDED"
    assert listed_and_deleted(tuition)["deleted"] == 1
    (item,) = [one for one in stored(tuition, "enrollments") if one["sort_key"]["S"] == "DP"]
    standing = json.loads(item["standings"]["S"])
    standing[payment_id]["grants"] = True
    put(tuition, "enrollments", {**item, "status": {"S": "ENROLLED"}, "standings": {"S": json.dumps(standing)}})
    problems = standings.problems(student.sub, queries.user_items(student.sub))
    assert [one.grantor for one in problems] == [payment_id]
    assert verified(tuition) == verify.DOES_NOT_HOLD
    assert f"{student.sub}: DP: the enrollment has" in capsys.readouterr().out


def test_past_standings_that_an_enrollment_does_not_keep_are_no_finding(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrollment, "MAX_PAST_STANDINGS", 1)
    refunded(tuition, student)
    refunded(tuition, student)
    assert verified(tuition) == verify.HOLDS


# --- erased users ---


def put_back(tuition: Harness, table: str, before: list[Item], names: tuple[str, ...]) -> None:
    """Put these attributes back as they were before, as a restore of single attributes would."""
    old = {tuple(item[key]["S"] for key in KEYS[table]): item for item in before}
    for item in stored(tuition, table):
        back = old.get(tuple(item[key]["S"] for key in KEYS[table]), {})
        put(tuition, table, {**item, **{name: back[name] for name in names if name in back}})


def test_an_erased_user_holds_also_after_their_payments_are_deleted(
    tuition: Harness, student: Student, erasures: Erasures, capsys: pytest.CaptureFixture[str]
) -> None:
    refunded(tuition, student)
    erasures.finish(student)
    assert verified(tuition) == verify.HOLDS, capsys.readouterr().out
    assert listed_and_deleted(tuition)["deleted"] == 1
    assert verified(tuition) == verify.HOLDS, capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "name", "finding"),
    [
        ("payments", "email", "the data of its user were erased, but it has some of them"),
        ("customers", "stripe_customer_id", "the data of the user were erased, but the customer has some of them"),
        ("enrollments", "erased", "the data of the user were erased, but the enrollment does not say so"),
    ],
)
def test_erased_data_that_are_back_are_found(
    tuition: Harness,
    student: Student,
    erasures: Erasures,
    capsys: pytest.CaptureFixture[str],
    table: str,
    name: str,
    finding: str,
) -> None:
    refunded(tuition, student)
    before = stored(tuition, table)
    erasures.finish(student)
    if name == "erased":
        for item in stored(tuition, table):
            put(tuition, table, {key: value for key, value in item.items() if key != name})
    put_back(tuition, table, before, (name,))
    assert verified(tuition) == verify.DOES_NOT_HOLD
    assert finding in capsys.readouterr().out
