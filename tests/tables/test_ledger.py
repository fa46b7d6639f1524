"""The ledger's transaction: which failure is reported, what conflicts, and that nothing is written in part."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError

from tests.harness import Harness, Student
from tuition import clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.facts import Charge, Facts, Refund, Settled
from tuition.core.refs import PaymentRef
from tuition.storage import dynamodb, keys, ledger, queries
from tuition.storage.items import PaymentItem
from tuition.storage.ledger import AlreadyRecorded, Change, VersionConflict


def open_payment(tuition: Harness, student: Student) -> PaymentRef:
    return PaymentRef(tuition.create(student).body["payment_id"], student.sub, "DP")


def audit_entry(event_id: str) -> AuditEntry:
    return AuditEntry("2026-11-23T00:00:00.000Z", event_id, "test", "webhook")


def settle(loaded: ledger.PaymentState, event_id: str) -> Change:
    assert loaded.payment is not None
    facts = Facts(settled=Settled(49900, "usd", 1), intent=loaded.payment.stripe_object_id)
    return Change(loaded.payment.merged(facts), audit_entry(event_id))


def test_a_commit_on_an_old_version_conflicts_and_reports_the_current_one(tuition: Harness, student: Student) -> None:
    old = ledger.load(open_payment(tuition, student))
    newer = ledger.commit(old, settle(old, "evt_a"))
    with pytest.raises(VersionConflict) as error:
        ledger.commit(old, settle(old, "evt_b"))
    current = error.value.current
    assert current is not None
    assert current.payment.version == newer.payment.version
    assert current.enrollment == newer.enrollment


def test_an_existing_audit_record_is_reported_before_any_other_failure(tuition: Harness, student: Student) -> None:
    old = ledger.load(open_payment(tuition, student))
    ledger.commit(old, settle(old, "evt_a"))
    with pytest.raises(AlreadyRecorded):
        ledger.commit(old, settle(old, "evt_a"))


def test_a_commit_conflicts_if_an_enrollment_it_only_read_has_changed(tuition: Harness, student: Student) -> None:
    ref = open_payment(tuition, student)
    state = ledger.load(ref)
    ledger.next_attempt(state.enrollment, 7, "test")
    change = Change(state.payment, audit_entry("evt_c"))
    with pytest.raises(VersionConflict):
        ledger.commit(state, change)
    assert ledger.load(ref).payment.version == state.payment.version


def test_a_cancelled_transaction_writes_nothing(tuition: Harness, student: Student) -> None:
    ref = open_payment(tuition, student)
    old = ledger.load(ref)
    ledger.commit(old, settle(old, "evt_a"))
    records, items = tuition.audit_trail(ref.payment_id), _enrollment_items(student)
    with pytest.raises(VersionConflict):
        ledger.commit(old, settle(old, "evt_b"))
    assert tuition.audit_trail(ref.payment_id) == records
    assert _enrollment_items(student) == items


def _enrollment_items(student: Student) -> list[Any]:
    return list(queries.user_items(student.sub).values())


def test_no_later_commit_can_use_an_abandoned_object(tuition: Harness, student: Student) -> None:
    ref = open_payment(tuition, student)
    stripe_object_id = ledger.load(ref).payment.stripe_object_id
    pointer = ledger.abandon(stripe_object_id, student.sub, "DP")
    assert pointer is not None
    assert pointer.payment_id == ref.payment_id
    assert ledger.abandon(f"{stripe_object_id}x", student.sub, "DP") is None
    assert ledger.abandon(f"{stripe_object_id}x", student.sub, "DP") is None


def declined(loaded: ledger.PaymentState, number: int, prefix: str) -> Change:
    """Return a change that adds this many declined charges, the last one the newest."""
    charges = {f"{prefix}{i:03d}": Charge("failed", 49900, i) for i in range(number)}
    return Change(loaded.existing.merged(Facts(charges=charges)), audit_entry("evt_declined"))


def test_a_pointer_for_the_search_never_stops_a_commit(tuition: Harness, student: Student) -> None:
    ref = open_payment(tuition, student)
    prefix = f"ch_{student.sub}"
    for i in (0, 1):
        ledger.abandon(f"{prefix}{i:03d}", "somebody-else", "DP")
    state = ledger.update(ref, lambda loaded: declined(loaded, 3, prefix))
    assert len(tuition.payment(ref.payment_id).facts.charges) == 3
    assert tuition.chain_problem(ref.payment_id) is None
    pointers = [queries.stripe_object(f"{prefix}{i:03d}") for i in range(3)]
    assert [pointer and pointer.payment_id for pointer in pointers] == [None, None, ref.payment_id]
    assert state.existing.version == tuition.payment(ref.payment_id).version


def test_a_commit_writes_a_bounded_number_of_pointers_for_the_newest(tuition: Harness, student: Student) -> None:
    ref = open_payment(tuition, student)
    prefix = f"re_{student.sub}"
    refunds = {f"{prefix}{i:03d}": Refund("failed", 100, i) for i in range(120)}
    entry = audit_entry("evt_refunds")
    ledger.update(ref, lambda loaded: Change(loaded.existing.merged(Facts(refunds=refunds)), entry))
    assert len(tuition.payment(ref.payment_id).facts.refunds) == 120
    indexed = [i for i in range(120) if queries.stripe_object(f"{prefix}{i:03d}")]
    assert indexed == list(range(120 - ledger.MAX_SEARCH_POINTERS, 120))


def test_the_users_audit_trail_records_each_skipped_attempt(tuition: Harness, student: Student) -> None:
    for attempt in (3, 5):
        ledger.next_attempt(ledger.load_for_create(student.sub, "DP")[0], attempt, "test")
    trail = queries.audit_trail(student.sub)
    assert [r["type"] for r in trail] == ["attempt.skipped.test"] * 2
    assert ledger.load_for_create(student.sub, "DP")[0].attempt == 5
    assert tuition.enrollment(student) is None
    assert tuition.create(student).status == 201


@contextmanager
def inject_faults(tuition: Harness, operation: str, *outcomes: Any) -> Iterator[list[Any]]:
    """Make the next calls of an operation fail; yield the outcomes that are left.

    An outcome is an exception, a DynamoDB error code, or None for a call that succeeds. The code
    `TransactionCanceledException` is followed by the number of items that did not conflict.
    """
    remaining = list(outcomes)

    def fail_next(model: Any, request_signer: Any, **_: Any) -> Any:
        if model.name != operation or not remaining:
            return None
        fault = remaining.pop(0)
        if fault is None:
            return None
        if isinstance(fault, Exception):
            raise fault
        body = {"__type": f"com.amazonaws.dynamodb#{fault}", "message": fault}
        if fault == "TransactionCanceledException":
            body["CancellationReasons"] = [{"Code": "TransactionConflict"}] + [{"Code": "None"}] * remaining.pop(0)
        return AWSResponse("", 400, {}, None), body | {"Error": {"Code": fault, "Message": fault}}

    tuition.tables.meta.events.register_first("before-call.dynamodb", fail_next, unique_id="faults")
    try:
        yield remaining
    finally:
        tuition.tables.meta.events.unregister("before-call.dynamodb", unique_id="faults")


@pytest.mark.parametrize("times", [1, 3])
def test_a_transaction_conflict_is_retried(tuition: Harness, student: Student, times: int) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    items = 2 + 1 + 4  # payment and enrollment, audit record, progress of four projects
    with inject_faults(
        tuition, "TransactWriteItems", *["TransactionCanceledException", items - 1] * times
    ) as remaining:
        assert tuition.deliver(event).status == 200
    assert remaining == []
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_endless_conflicts_answer_503_and_a_redelivery_applies(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    with inject_faults(tuition, "TransactWriteItems", *["TransactionCanceledException", 6] * 50):
        response = tuition.deliver(event)
    assert (response.status, response.body["type"].rpartition("/")[2]) == (503, "contended")
    assert tuition.deliver(event).status == 200
    assert tuition.enrollment(student)["status"] == "ENROLLED"


@pytest.mark.parametrize("operation", ["BatchGetItem", "TransactWriteItems"])
@pytest.mark.parametrize(
    "fault", ["ThrottlingException", "InternalServerError", ReadTimeoutError(endpoint_url="http://dynamodb")]
)
def test_an_unavailable_table_answers_503_and_a_retry_leaves_one_payment(
    tuition: Harness, student: Student, operation: str, fault: Any
) -> None:
    with inject_faults(tuition, operation, *[fault] * 30):
        response = tuition.create(student)
    assert response.status == 503
    assert response.headers["retry-after"]
    again = tuition.create(student)
    assert again.status == 201
    intents = tuition.at_stripe("GET", "/v1/payment_intents?limit=100")["data"]
    assert len([i for i in intents if i["metadata"]["user_id"] == student.sub]) == 1


@pytest.mark.threads
def test_twelve_concurrent_creates_return_one_intent(
    tuition: Harness, student: Student, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "moto":
        serialize_calls(tuition, monkeypatch)
    with ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda _: tuition.create(student), range(12)))
    assert {a.status for a in responses} <= {200, 201}
    assert len({a.body["payment_intent_id"] for a in responses}) == 1
    assert [a.status for a in responses].count(201) == 1
    tuition.pay(responses[0].body["payment_intent_id"])
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def serialize_calls(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lock each call to moto, which is not atomic under threads. The handlers still interleave between calls."""
    lock = threading.Lock()
    call = tuition.tables._make_api_call

    def locked(*args: Any) -> Any:
        with lock:
            return call(*args)

    monkeypatch.setattr(tuition.tables, "_make_api_call", locked)


@pytest.mark.threads
def test_thirty_concurrent_deliveries_of_one_event_apply_it_once(
    tuition: Harness, student: Student, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "moto":
        serialize_calls(tuition, monkeypatch)
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    with ThreadPoolExecutor(30) as pool:
        responses = list(pool.map(lambda _: tuition.deliver(event), range(30)))
    assert {a.status for a in responses} == {200}
    assert [r["event_id"] for r in tuition.audit_trail(purchase["payment_id"])].count(event["id"]) == 1
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_an_audit_entrys_sort_key_begins_with_stripes_time() -> None:
    assert (
        AuditEntry(timestamps.iso(1_700_000_000), "evt_1", "t", "webhook").sort_key == "2023-11-14T22:13:20.000Z#evt_1"
    )


def test_a_complete_batch_read_waits_for_nothing(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(clock.time, "sleep", waits.append)
    assert dynamodb.batch_get({PaymentItem: [keys.payment_key("pay_none")]}) == {PaymentItem: []}
    assert dynamodb.batch_get({PaymentItem: []}) == {PaymentItem: []}
    assert waits == []
