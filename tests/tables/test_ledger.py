"""The one transaction: what wins, what conflicts, what is never half done."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError

from tests.world import Student, World
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.facts import Facts, Settled
from tuition.core.refs import PaymentRef
from tuition.storage import ledger, queries
from tuition.storage.ledger import AlreadyRecorded, Change, VersionConflict


def opened(tuition: World, student: Student) -> PaymentRef:
    return PaymentRef(tuition.create(student).body["payment_id"], student.sub, "DP")


def entry(event_id: str) -> AuditEntry:
    return AuditEntry("2026-11-23T00:00:00.000Z", event_id, "test", "webhook")


def settled(loaded: ledger.PaymentState, event_id: str) -> Change:
    assert loaded.payment is not None
    facts = Facts(settled=Settled(49900, "usd", 1), intent=loaded.payment.stripe_object_id)
    return Change(loaded.payment.merged(facts), entry(event_id))


def test_who_commits_on_an_old_version_conflicts_and_is_told_what_is_there(tuition: World, student: Student) -> None:
    old = ledger.load(opened(tuition, student))
    newer = ledger.commit(old, settled(old, "evt_a"))
    with pytest.raises(VersionConflict) as caught:
        ledger.commit(old, settled(old, "evt_b"))
    current = caught.value.current
    assert current is not None
    assert current.payment.version == newer.payment.version
    assert current.enrollment == newer.enrollment


def test_a_present_audit_key_wins_over_every_other_failure(tuition: World, student: Student) -> None:
    old = ledger.load(opened(tuition, student))
    ledger.commit(old, settled(old, "evt_a"))
    with pytest.raises(AlreadyRecorded):
        ledger.commit(old, settled(old, "evt_a"))


def test_an_enrollment_that_is_only_read_is_still_a_condition(tuition: World, student: Student) -> None:
    key = opened(tuition, student)
    before = ledger.load(key)
    ledger.next_attempt(before.enrollment, 7, "test")
    unchanged = Change(before.payment, entry("evt_c"))
    with pytest.raises(VersionConflict):
        ledger.commit(before, unchanged)
    assert ledger.load(key).payment.version == before.payment.version


def test_a_cancelled_transaction_writes_nothing_at_all(tuition: World, student: Student) -> None:
    key = opened(tuition, student)
    old = ledger.load(key)
    ledger.commit(old, settled(old, "evt_a"))
    records, items = tuition.trail(key.payment_id), _enrollment_items(student)
    with pytest.raises(VersionConflict):
        ledger.commit(old, settled(old, "evt_b"))
    assert tuition.trail(key.payment_id) == records
    assert _enrollment_items(student) == items


def _enrollment_items(student: Student) -> list[Any]:
    return list(queries.user_items(student.sub).values())


def test_an_abandoned_object_can_be_committed_by_nobody(tuition: World, student: Student) -> None:
    key = opened(tuition, student)
    stripe_object_id = ledger.load(key).payment.stripe_object_id
    held = ledger.abandon(stripe_object_id, student.sub, "DP")
    assert held is not None
    assert held.payment_id == key.payment_id
    assert ledger.abandon(f"{stripe_object_id}x", student.sub, "DP") is None
    assert ledger.abandon(f"{stripe_object_id}x", student.sub, "DP") is None


def test_the_chain_of_a_user_records_each_attempt_that_was_skipped(tuition: World, student: Student) -> None:
    for used in (3, 5):
        ledger.next_attempt(ledger.load_for_create(student.sub, "DP")[0], used, "test")
    trail = queries.audit_trail(student.sub)
    assert [r["type"] for r in trail] == ["attempt.skipped.test"] * 2
    assert ledger.load_for_create(student.sub, "DP")[0].attempt == 5
    assert tuition.enrolled(student) is None
    assert tuition.create(student).status == 201


@contextmanager
def faults(tuition: World, operation: str, *wanted: Any) -> Iterator[list[Any]]:
    """The next calls of an operation meet these: an exception, a DynamoDB error code, or None for nothing."""
    left = list(wanted)

    def meet(model: Any, request_signer: Any, **_: Any) -> Any:
        if model.name != operation or not left:
            return None
        fault = left.pop(0)
        if fault is None:
            return None
        if isinstance(fault, Exception):
            raise fault
        body = {"__type": f"com.amazonaws.dynamodb#{fault}", "message": fault}
        if fault == "TransactionCanceledException":
            body["CancellationReasons"] = [{"Code": "TransactionConflict"}] + [{"Code": "None"}] * left.pop(0)
        return AWSResponse("", 400, {}, None), body | {"Error": {"Code": fault, "Message": fault}}

    tuition.tables.meta.events.register_first("before-call.dynamodb", meet, unique_id="faults")
    try:
        yield left
    finally:
        tuition.tables.meta.events.unregister("before-call.dynamodb", unique_id="faults")


@pytest.mark.parametrize("times", [1, 3])
def test_a_transaction_conflict_is_tried_again(tuition: World, student: Student, times: int) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    items = 2 + 1 + 4  # payment and enrollment, audit, the progress of four projects
    with faults(tuition, "TransactWriteItems", *["TransactionCanceledException", items - 1] * times) as left:
        assert tuition.deliver(event).status == 200
    assert left == []
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def test_conflicts_without_end_fail_loudly_and_redelivery_applies(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    with faults(tuition, "TransactWriteItems", *["TransactionCanceledException", 6] * 50):
        answer = tuition.deliver(event)
    assert (answer.status, answer.body["type"].rpartition("/")[2]) == (503, "contended")
    assert tuition.deliver(event).status == 200
    assert tuition.enrolled(student)["status"] == "ENROLLED"


@pytest.mark.parametrize("operation", ["BatchGetItem", "TransactWriteItems"])
@pytest.mark.parametrize(
    "fault", ["ThrottlingException", "InternalServerError", ReadTimeoutError(endpoint_url="http://dynamodb")]
)
def test_a_table_that_does_not_answer_is_503_and_the_next_try_ends_with_one_payment(
    tuition: World, student: Student, operation: str, fault: Any
) -> None:
    with faults(tuition, operation, *[fault] * 30):
        answer = tuition.create(student)
    assert answer.status == 503
    assert answer.headers["retry-after"]
    again = tuition.create(student)
    assert again.status == 201
    intents = tuition.at_stripe("GET", "/v1/payment_intents?limit=100")["data"]
    assert len([i for i in intents if i["metadata"]["user_id"] == student.sub]) == 1


def test_twelve_creates_at_once_answer_one_intent(
    tuition: World, student: Student, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "moto":
        _one_at_a_time(tuition, monkeypatch)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: tuition.create(student), range(12)))
    assert {a.status for a in answers} <= {200, 201}
    assert len({a.body["payment_intent_id"] for a in answers}) == 1
    assert [a.status for a in answers].count(201) == 1
    tuition.pay(answers[0].body["payment_intent_id"])
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def _one_at_a_time(tuition: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto is not atomic under threads: each call takes a lock; the handlers still interleave between calls."""
    lock = threading.Lock()
    call = tuition.tables._make_api_call

    def locked(*args: Any) -> Any:
        with lock:
            return call(*args)

    monkeypatch.setattr(tuition.tables, "_make_api_call", locked)


def test_thirty_deliveries_of_one_event_at_once_are_applied_once(
    tuition: World, student: Student, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "moto":
        _one_at_a_time(tuition, monkeypatch)
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: tuition.deliver(event), range(30)))
    assert {a.status for a in answers} == {200}
    assert [r["event_id"] for r in tuition.trail(made["payment_id"])].count(event["id"]) == 1
    assert tuition.chain_problem(made["payment_id"]) is None


def test_a_recorded_time_is_stripes_and_a_key_sorts_by_it() -> None:
    assert AuditEntry(timestamps.iso(1_700_000_000), "evt_1", "t", "webhook").key == "2023-11-14T22:13:20.000Z#evt_1"
