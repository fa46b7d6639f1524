"""The tamper-evident audit log, and the transitions in its records."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_enrollment import enrollment
from tests.unit.test_payment import PAID, disputed, payment, refunded
from tuition.core import audit
from tuition.core.audit import AuditEntry, Record, transition, verify
from tuition.core.payment_state import PaymentState

ENTRY = AuditEntry("2026-11-23T18:30:00.000Z", "evt_1", "payment_intent.succeeded", "webhook")


def chain(length: int) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    previous = ""
    for seq in range(1, length + 1):
        entry = AuditEntry(ENTRY.at, f"evt_{seq}", ENTRY.type, "webhook")
        record = Record("pay_1", seq, entry, "u", "DP", {"settled": seq}, previous, facts={"intent": f"pi_{seq}"})
        records.append({**record.body(), "hash": record.hash})
        previous = record.hash
    return records


def test_the_key_sorts_by_time_and_contains_the_event_id() -> None:
    assert ENTRY.sort_key == "2026-11-23T18:30:00.000Z#evt_1"


@pytest.mark.parametrize("length", [0, 1, 5])
def test_a_complete_chain_verifies_in_any_reading_order(length: int) -> None:
    records = chain(length)
    head = records[-1]["hash"] if records else ""
    random.Random(1).shuffle(records)
    assert verify("pay_1", records, length, head) is None


@pytest.mark.property
@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.integers(0, 4), st.sampled_from(["user_id", "at", "event_id", "type", "source", "track", "transition", "facts"])
)
def test_a_changed_record_breaks_the_chain(at: int, name: str) -> None:
    records = chain(5)
    records[at] = {**records[at], name: {"settled": -1} if name in ("transition", "facts") else "changed"}
    broken = verify("pay_1", records, 5, records[-1]["hash"])
    assert broken is not None and broken.seq == at + 1


@pytest.mark.parametrize("missing", range(5))
def test_a_missing_record_breaks_the_chain_even_at_the_end(missing: int) -> None:
    records = chain(5)
    head = records[-1]["hash"]
    del records[missing]
    assert verify("pay_1", records, 5, head) is not None


def test_a_changed_record_with_a_new_hash_breaks_the_next_record_or_the_head() -> None:
    for at in range(5):
        records = chain(5)
        body = {k: v for k, v in records[at].items() if k != "hash"} | {"user_id": "other"}
        head = records[-1]["hash"]
        records[at] = {**body, "hash": audit.digest(body)}
        assert verify("pay_1", records, 5, head) is not None


def test_an_extra_record_or_another_subject_breaks_the_chain() -> None:
    records = chain(5)
    assert verify("pay_1", records, 4, records[3]["hash"]) is not None
    assert verify("pay_2", records, 5, records[-1]["hash"]) is not None


def test_the_hash_covers_every_field_except_itself() -> None:
    record = Record("pay_1", 1, ENTRY, "u", "DP")
    names = set(record.body())
    assert {"subject", "seq", "previous", "schema_version", "transition", "user_id", "track", "at", "event_id"} <= names
    assert "hash" not in names and "actor" not in names


# --- transitions ---

CONTEXT = {"created_at": "2026-11-23T18:30:00.000Z", "attempt": 1, "stripe_object_id": "pi_1", "price": 49900}


def test_a_transition_has_the_old_and_new_status_and_the_amount() -> None:
    before, after = payment(), payment(PAID)
    standing_before = enrollment().with_payment(before)
    assert transition(
        PaymentState(before, standing_before), PaymentState(after, standing_before.with_payment(after))
    ) == {
        "status": {"from": "CREATED", "to": "SUCCEEDED"},
        "enrollment": {"from": "PENDING", "to": "ENROLLED"},
        "settled": 49900,
        "currency": "usd",
        "payment": {**CONTEXT, "settled_at": "1970-01-01T00:00:10.000Z"},
    }


def test_a_second_event_about_the_same_payment_makes_no_transition() -> None:
    paid = payment(PAID)
    enrolled = enrollment().with_payment(paid)
    assert transition(PaymentState(paid, enrolled), PaymentState(paid.merged(PAID), enrolled)) == {}


def test_refunds_disputes_and_attention_reasons_are_recorded_as_deltas() -> None:
    paid = payment(PAID)
    enrolled = enrollment().with_payment(paid)
    partly_refunded = paid.merged(refunded(100))
    assert transition(
        PaymentState(paid, enrolled), PaymentState(partly_refunded, enrolled.with_payment(partly_refunded))
    ) == {
        "refunded": 100,
        "refunds": {"re_1": {"from": None, "to": "succeeded", "amount": 100}},
        "currency": "usd",
        "payment": {**CONTEXT, "settled_at": "1970-01-01T00:00:10.000Z"},
    }
    failed = partly_refunded.merged(refunded(100, "failed"))
    assert transition(PaymentState(partly_refunded, enrolled), PaymentState(failed, enrolled.with_payment(failed))) == {
        "refunded": -100,
        "refunds": {"re_1": {"from": "succeeded", "to": "failed", "amount": 100}},
        "currency": "usd",
        "payment": {**CONTEXT, "settled_at": "1970-01-01T00:00:10.000Z"},
        "attention": ["refund:re_1"],
    }
    lost = paid.merged(disputed("lost"))
    changes = transition(PaymentState(paid, enrolled), PaymentState(lost, enrolled.with_payment(lost)))
    assert changes["lost"] == 49900 and changes["enrollment"] == {"from": "ENROLLED", "to": "WITHDRAWN"}
    assert changes["access_ended"] == "dispute_lost"
