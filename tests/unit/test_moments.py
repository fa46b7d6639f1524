"""A payment as it was: the same rules give the status and access of every version, from records of either schema."""

import random
from dataclasses import replace
from typing import Any

import pytest

from tests.unit import event_histories
from tests.unit.test_payment import PAID, payment, refunded
from tests.unit.test_recorded_facts import chained, versions_of
from tuition.core import moments
from tuition.core import payment as payments
from tuition.core.audit import fold
from tuition.core.errors import NotFound
from tuition.core.facts import Charge, Decision, Facts, Phase
from tuition.core.payment import Payment
from tuition.core.recorded_facts import reduced
from tuition.core.refund_request import RefundRequest


def stored(states: list[Payment], schemas: list[int]) -> tuple[Payment, list[dict[str, Any]]]:
    """Return a payment with its records, committed one minute after the other."""
    present, records = chained(states, schemas)
    return present, [{**record, "recorded_at": minute(n)} for n, record in enumerate(records)]


def minute(number: int) -> str:
    return f"2026-11-23T18:{number:02}:00.000Z"


@pytest.mark.property
@pytest.mark.parametrize("seed", range(12))
def test_every_version_of_a_generated_history_has_the_status_and_access_that_it_had(seed: int) -> None:
    history, rng = event_histories.make(f"moments{seed}"), random.Random(seed)
    with event_histories.stripe_answers_from(history) as stripe:
        for states in versions_of(stripe, list(range(len(history.events))), rng).values():
            present, records = stored(states, [2] * len(states))
            for version, state in enumerate(states, 1):
                moment = moments.at_version(present, records, version)
                past = moment.payment
                assert moment.complete
                assert (past.version, past.audit_head) == (version, records[version - 1]["hash"])
                assert (past.status, past.price) == (state.status, state.price)
                assert payments.no_access_reason(past) == payments.no_access_reason(state)
                assert reduced(past.facts) == reduced(state.facts)


@pytest.mark.property
@pytest.mark.parametrize("seed", range(12))
def test_records_of_schema_1_show_status_and_amounts_and_what_later_records_add(seed: int) -> None:
    history, rng = event_histories.make(f"old{seed}"), random.Random(seed)
    with event_histories.stripe_answers_from(history) as stripe:
        for states in versions_of(stripe, list(range(len(history.events))), rng).values():
            schemas = [1 if number <= len(states) // 2 else 2 for number in range(len(states))]
            present, records = stored(states, schemas)
            for version, state in enumerate(states, 1):
                moment = moments.at_version(present, records, version)
                assert not moment.complete
                assert moment.payment.status == fold(records[:version])["status"] == state.status
                assert payments.grants_access(moment.payment) == payments.grants_access(state)
                assert moment.payment.refund_amount == state.refund_amount


def test_a_time_is_the_newest_version_that_was_committed_by_then() -> None:
    _, records = stored([payment(), payment(PAID), payment(PAID, refunded(100))], [2, 2, 2])
    versions = [moments.version_at(records, at) for at in (minute(0), minute(1)[:-2] + "1Z", minute(2), minute(59))]
    assert versions == [1, 2, 3, 3]


def test_a_record_that_a_fast_clock_dates_late_holds_back_the_versions_behind_it() -> None:
    _, records = stored([payment(), payment(PAID), payment(PAID, refunded(100))], [2, 2, 2])
    records[1]["recorded_at"] = minute(9)
    assert moments.version_at(records, minute(5)) == 1


def test_a_time_before_the_creation_is_refused_with_the_time_of_creation() -> None:
    _, records = stored([payment()], [2])
    with pytest.raises(NotFound, match=r"did not exist at 2026-11-23T17.*created at 2026-11-23T18:00:00.000Z"):
        moments.version_at(records, "2026-11-23T17:59:59.000Z")


@pytest.mark.parametrize("version", [0, 2])
def test_a_version_that_never_was_is_refused(version: int) -> None:
    present, records = stored([payment()], [2])
    with pytest.raises(NotFound, match="versions 1 to 1"):
        moments.at_version(present, records, version)


def test_a_version_is_the_number_of_its_record_also_behind_a_gap() -> None:
    present, records = stored([payment(), payment(), payment()], [2, 2, 2])
    with_gap = [records[0], records[2]]
    assert moments.at_version(present, with_gap, 3).payment.audit_head == records[2]["hash"]
    assert moments.version_at(with_gap, minute(2)) == 3
    with pytest.raises(NotFound, match="record 2 of this payment is missing"):
        moments.at_version(present, with_gap, 2)


def test_a_text_that_no_record_has_is_not_recorded() -> None:
    facts = Facts(
        phase=Phase(1, 1, "failed", "card_declined", "Your card was declined."),
        charges={"ch_1": Charge("failed", 49_900, 1, "card", "visa", "4242", "https://pay.stripe.com/r", "fraudulent")},
        decision=Decision(2, "revoke", "staff-1", "shared the account"),
    )
    request = RefundRequest("rr_1", 100, "changed my mind", "u", minute(0), "awaiting_approval", note="call her")
    states = [payment(), replace(payment(PAID, facts), requests=(request,), email="ada@example.org")]
    present, records = stored(states, [2, 2])
    past = moments.at_version(present, records, 2).payment
    charge = past.facts.charges["ch_1"]
    assert (charge.brand, charge.last4, charge.receipt_url) == ("not recorded", "not recorded", None)
    assert (charge.type, charge.code) == ("card", "fraudulent")
    assert past.facts.phase and past.facts.phase.message == "not recorded"
    assert past.facts.decision == Decision(2, "revoke", "not recorded", "not recorded")
    assert past.requests == (replace(request, reason="not recorded", note=None, at=records[1]["at"]),)
    assert (past.email, past.customer) == (None, None)


def test_the_actor_of_a_decision_is_that_of_its_record() -> None:
    decided = payment(PAID, Facts(decision=Decision(2, "revoke", "staff-1", "x")))
    present, records = stored([payment(PAID), decided], [2, 2])
    records[1]["actor"] = "staff-1"
    past = moments.at_version(present, records, 2).payment
    assert past.facts.decision == Decision(2, "revoke", "staff-1", "not recorded")


def test_decisions_in_records_of_schema_1_are_known_by_their_type() -> None:
    decided = payment(PAID, Facts(decision=Decision(2, "revoke", "staff-1", "x")))
    present, records = stored([payment(PAID), decided], [1, 1])
    records[1] |= {"type": "decision.revoke", "actor": "staff-1"}
    past = moments.at_version(present, records, 2).payment
    assert past.facts.decision == Decision(2, "revoke", "staff-1", "not recorded")
    assert payments.no_access_reason(past) == "revoked"
