"""A log that nobody can change unseen, and the transitions that others act on."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_enrollment import enrollment
from tests.unit.test_payment import PAID, disputed, payment, refunded
from tuition.core import audit
from tuition.core.audit import AuditEntry, Record, transition, verify

ENTRY = AuditEntry("2026-11-23T18:30:00.000Z", "evt_1", "payment_intent.succeeded", "webhook")


def chain(length: int) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    previous = ""
    for seq in range(1, length + 1):
        entry = AuditEntry(ENTRY.at, f"evt_{seq}", ENTRY.type, "webhook")
        record = Record("pay_1", seq, entry, "u", "DP", {"settled": seq}, previous)
        records.append({**record.body(), "hash": record.hash})
        previous = record.hash
    return records


def test_the_key_is_in_the_order_of_time_and_names_the_event() -> None:
    assert ENTRY.key == "2026-11-23T18:30:00.000Z#evt_1"


@pytest.mark.parametrize("length", [0, 1, 5])
def test_a_whole_chain_holds_in_whatever_order_it_is_read(length: int) -> None:
    records = chain(length)
    head = records[-1]["hash"] if records else ""
    random.Random(1).shuffle(records)
    assert verify("pay_1", records, length, head) is None


@pytest.mark.property
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 4), st.sampled_from(["user_id", "at", "event_id", "type", "source", "track", "transition"]))
def test_a_record_that_was_changed_is_found(at: int, name: str) -> None:
    records = chain(5)
    records[at] = {**records[at], name: {"settled": -1} if name == "transition" else "changed"}
    broken = verify("pay_1", records, 5, records[-1]["hash"])
    assert broken is not None and broken.seq == at + 1


@pytest.mark.parametrize("gone", range(5))
def test_a_record_that_is_missing_is_found_at_the_end_too(gone: int) -> None:
    records = chain(5)
    head = records[-1]["hash"]
    del records[gone]
    assert verify("pay_1", records, 5, head) is not None


def test_a_record_rewritten_with_a_fitting_hash_breaks_the_next_or_the_head() -> None:
    for at in range(5):
        records = chain(5)
        body = {k: v for k, v in records[at].items() if k != "hash"} | {"user_id": "other"}
        head = records[-1]["hash"]
        records[at] = {**body, "hash": audit.digest(body)}
        assert verify("pay_1", records, 5, head) is not None


def test_a_record_too_many_or_of_another_subject_is_found() -> None:
    records = chain(5)
    assert verify("pay_1", records, 4, records[3]["hash"]) is not None
    assert verify("pay_2", records, 5, records[-1]["hash"]) is not None


def test_the_hash_covers_everything_but_itself() -> None:
    record = Record("pay_1", 1, ENTRY, "u", "DP")
    names = set(record.body())
    assert {"subject", "seq", "previous", "schema_version", "transition", "user_id", "track", "at", "event_id"} <= names
    assert "hash" not in names and "actor" not in names


# --- transitions ---


def test_a_transition_says_from_and_to_and_the_money_between() -> None:
    before, after = payment(), payment(PAID)
    standing_before = enrollment().with_payment(before)
    found = transition(before, after, standing_before, standing_before.with_payment(after))
    assert found == {
        "status": {"from": "CREATED", "to": "SUCCEEDED"},
        "enrollment": {"from": "PENDING", "to": "ENROLLED"},
        "settled": 49900,
        "currency": "usd",
    }


def test_of_several_events_that_say_paid_one_makes_the_transition() -> None:
    paid = payment(PAID)
    enrolled = enrollment().with_payment(paid)
    assert transition(paid, paid.merged(PAID), enrolled, enrolled) == {}


def test_a_refund_a_dispute_and_a_new_cause_are_told_as_deltas() -> None:
    paid = payment(PAID)
    enrolled = enrollment().with_payment(paid)
    given_back = paid.merged(refunded(100))
    assert transition(paid, given_back, enrolled, enrolled.with_payment(given_back)) == {
        "refunded": 100,
        "currency": "usd",
    }
    failed = given_back.merged(refunded(100, "failed"))
    assert transition(given_back, failed, enrolled, enrolled.with_payment(failed)) == {
        "refunded": -100,
        "currency": "usd",
        "attention": ["refund:re_1"],
    }
    lost = paid.merged(disputed("lost"))
    told = transition(paid, lost, enrolled, enrolled.with_payment(lost))
    assert told["lost"] == 49900 and told["enrollment"] == {"from": "ENROLLED", "to": "WITHDRAWN"}
