"""Two tellings become one, in any order; Stripe's objects are read as they are, and what is not Stripe's is refused."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import histories
from tuition.core import facts as core_facts
from tuition.core import stripe_json
from tuition.core.errors import EventUnusable
from tuition.core.facts import (
    CHARGE_RANK,
    NO_FACTS,
    REFUND_RANK,
    Acknowledgement,
    Charge,
    Closed,
    Decision,
    Dispute,
    Facts,
    Phase,
    Refund,
    Settled,
    merge,
)
from tuition.core.stripe_json import SYNC_ORDER, of_charge, of_dispute, of_intent, of_refund, of_session, sync_stamp
from tuition.intake import stripe_events

small = st.integers(0, 3)
word = st.sampled_from(["a", "b"])
maybe = st.none() | word
keys = st.sampled_from(["x", "y"])


def many(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(keys, values, max_size=2)


settleds = st.builds(Settled, small, st.sampled_from(["usd", "eur"]), small)
charges = st.builds(Charge, st.sampled_from(sorted(CHARGE_RANK)), small, small, maybe, maybe, maybe, maybe, maybe)
refunds = st.builds(Refund, st.sampled_from(sorted(REFUND_RANK)), small, small, maybe, maybe, maybe)
# What is stamped with a version was committed on it: one version holds one telling, so the rest follows from the stamp.
disputes = st.builds(
    Dispute, small, st.sampled_from(["lost", "won"]), st.just(9), st.just(1), st.just("fraudulent"), small
)
decisions = st.builds(Decision, small, st.sampled_from(["accept", "revoke"]), st.just("staff"), word)
acknowledged = st.builds(Acknowledgement, small, word, st.just("staff"), st.just("seen"))
facts = st.builds(
    Facts,
    settled=st.none() | settleds,
    closed=st.none()
    | st.builds(Closed, small, st.sampled_from(["intent", "checkout"]), word | st.just(core_facts.MISSING)),
    phase=st.none()
    | st.builds(Phase, small, small, st.sampled_from(["created", "processing", "failed"]), maybe, maybe),
    intent=maybe,
    customer=maybe,
    charges=many(charges),
    refunds=many(refunds),
    disputes=many(disputes),
    claims=many(settleds),
    decision=st.none() | decisions,
    accepted=st.booleans(),
    acknowledged=many(acknowledged),
    rebuilt=st.booleans(),
    erased=st.booleans(),
)
searched = settings(max_examples=200, deadline=None, derandomize=True)


# --- merging ---


@pytest.mark.property
@searched
@given(facts, facts)
def test_merge_does_not_care_who_spoke_first(a: Facts, b: Facts) -> None:
    assert merge(a, b) == merge(b, a)


@pytest.mark.property
@searched
@given(facts, facts, facts)
def test_merge_does_not_care_what_was_merged_first(a: Facts, b: Facts, c: Facts) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@pytest.mark.property
@searched
@given(facts, facts)
def test_what_is_merged_twice_changes_nothing(a: Facts, b: Facts) -> None:
    once = merge(a, b)
    assert merge(once, b) == once == merge(once, a)


@pytest.mark.property
@searched
@given(facts)
def test_facts_come_back_from_json_as_they_were(known: Facts) -> None:
    stored = json.loads(json.dumps(known.to_json()))
    assert Facts.from_json(stored) == known


@pytest.mark.property
@searched
@given(facts)
def test_nothing_known_adds_nothing(known: Facts) -> None:
    merged = merge(known, NO_FACTS)
    assert merge(merged, NO_FACTS) == merged
    assert known.erased or merged == known


@pytest.mark.property
@pytest.mark.parametrize("seed", range(40))
def test_facts_read_from_events_merge_in_any_order_and_grouping(seed: int) -> None:
    history = histories.make(f"read{seed}")
    read = [stripe_events.parse(told.event).facts for told in history.told]
    chance = random.Random(seed)
    for _ in range(20):
        a, b, c = (chance.choice([NO_FACTS, *read]) for _ in range(3))
        assert merge(a, b) == merge(b, a)
        assert merge(merge(a, b), c) == merge(a, merge(b, c))
        assert merge(a, a) == a


def test_a_refund_may_fail_after_it_succeeded() -> None:
    told = [Facts(refunds={"re": Refund(status, 100, 1)}) for status in ("failed", "pending", "succeeded")]
    assert merge(merge(told[0], told[1]), told[2]).refunds["re"].status == "failed"


def test_of_two_phases_the_later_is_kept_and_within_a_second_the_higher() -> None:
    early, late = Facts(phase=Phase(1, 3, "failed")), Facts(phase=Phase(2, 0, "created"))
    assert merge(early, late).phase == late.phase
    tied = Facts(phase=Phase(2, 2, "processing"))
    assert merge(late, tied).phase == tied.phase


def test_a_dispute_lost_again_counts_by_the_version_it_was_pulled_on() -> None:
    lost, again = Dispute(3, "lost", 9, 1, "fraudulent"), Dispute(4, "under_review", 9, 1, "fraudulent")
    merged = merge(Facts(disputes={"du": again}), Facts(disputes={"du": lost}))
    assert merged.disputes["du"].status == "under_review"
    final = merge(merged, Facts(disputes={"du": replace(lost, stamp=5)}))
    assert final.disputes["du"].status == "lost"


def test_what_was_erased_does_not_come_back_with_a_late_charge() -> None:
    charge = Charge("succeeded", 100, 1, "card", "visa", "4242", "https://pay.stripe.com/r")
    merged = merge(Facts(erased=True), Facts(charges={"ch": charge}))
    assert merged.charges["ch"] == Charge("succeeded", 100, 1, "card")


# --- reading ---


def intent(**fields: Any) -> dict[str, Any]:
    return {**histories.intent_object("pi_1", 5, 49900, {}), **fields}


def session(**fields: Any) -> dict[str, Any]:
    return {**histories.session_object("cs_1", 5, 49900, {}), **fields}


def charge(status: str = "succeeded", method: str = "card") -> dict[str, Any]:
    return histories.charge_object("ch_1", 5, intent(), status, method, None)


def test_a_succeeded_intent_settles_what_was_received_and_not_what_was_asked() -> None:
    read = of_intent(intent(status="succeeded", amount_received=45000), 7)
    assert read.settled == Settled(45000, "usd", 7)
    assert read.phase is None


def test_a_canceled_intent_is_closed_when_stripe_says_it_was() -> None:
    assert of_intent(intent(status="canceled", canceled_at=6), 7).closed == Closed(6, "intent", "canceled")


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("requires_payment_method", "created"),
        ("requires_confirmation", "created"),
        ("requires_action", "requires_action"),
        ("processing", "processing"),
    ],
)
def test_an_open_intent_shows_where_it_stands(status: str, phase: str) -> None:
    read = of_intent(intent(status=status), 7).phase
    assert read is not None and (read.at, read.name) == (7, phase)


def test_a_declined_intent_shows_the_decline_code_rather_than_the_code() -> None:
    error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "No."}
    read = of_intent(intent(last_payment_error=error), 7).phase
    assert read is not None and (read.name, read.code, read.message) == ("failed", "insufficient_funds", "No.")


def test_an_expanded_charge_is_read_with_its_intent() -> None:
    assert "ch_1" in of_intent(intent(status="succeeded", latest_charge=charge()), 7).charges


@pytest.mark.parametrize(("paid", "amount"), [("paid", 49900), ("no_payment_required", 0)])
def test_a_complete_session_settles_even_at_nothing(paid: str, amount: int) -> None:
    read = of_session(session(status="complete", payment_status=paid, amount_total=amount), 7)
    assert read.settled == Settled(amount, "usd", 7)


def test_an_open_session_that_costs_nothing_is_not_settled_yet() -> None:
    assert of_session(session(payment_status="no_payment_required", amount_total=0), 7).settled is None


def test_a_complete_unpaid_session_waits_for_its_bank() -> None:
    phase = of_session(session(status="complete"), 7).phase
    assert phase is not None and phase.name == "processing"


def test_a_complete_session_whose_bank_refused_can_never_be_paid() -> None:
    dead = intent(last_payment_error={"code": "insufficient_funds"})
    read = of_session(session(status="complete", payment_intent=dead), 7)
    assert read.closed == Closed(7, "checkout", "payment_failed")
    assert stripe_json.failed_session(session(status="complete"), 7).closed == read.closed


def test_an_expired_session_is_closed_and_its_canceled_intent_is_not_what_closes_it() -> None:
    assert of_session(session(status="expired"), 7).closed == Closed(7, "checkout", "expired")
    still_open = of_session(session(payment_intent=intent(status="canceled", canceled_at=6)), 7)
    assert still_open.closed is None


@pytest.mark.parametrize(("method", "brand"), [("card", "visa"), ("us_bank_account", None)])
def test_of_a_method_only_type_brand_and_last_four_are_kept(method: str, brand: str | None) -> None:
    obj = charge(method=method)
    obj["payment_method_details"][method] |= {"fingerprint": "secret", "exp_year": 2030}
    kept = of_charge(obj).charges["ch_1"]
    assert (kept.type, kept.brand) == (method, brand)
    assert "secret" not in repr(kept) and "2030" not in repr(kept)


def test_a_refund_names_the_request_that_it_was_made_for() -> None:
    obj = {**histories.refund_object("re_1", 5, charge(), 100, "pending"), "metadata": {"refund_request": "rr_1"}}
    assert of_refund(obj).refunds["re_1"].request == "rr_1"
    assert of_refund({**obj, "metadata": None}).refunds["re_1"].request is None


def test_a_dispute_holds_what_its_balance_transactions_took() -> None:
    obj = histories.dispute_object("du_1", 5, charge(), 49900, "needs_response")
    obj["balance_transactions"] = [{"amount": -49900}, {"amount": 49900}, {"amount": -100}]
    read = of_dispute(obj, 4).disputes["du_1"]
    assert (read.stamp, read.withdrawn, read.due_by) == (4, 100, 5 + 7 * 86400)


@pytest.mark.parametrize(
    ("stored", "date", "stamp"),
    [
        (None, 7, (7, SYNC_ORDER)),
        (Phase(6, 3, "failed"), 7, (7, SYNC_ORDER)),
        (Phase(7, 3, "failed"), 7, (7, SYNC_ORDER)),
        (Phase(7, SYNC_ORDER, "failed"), 7, (7, SYNC_ORDER + 1)),
        (Phase(9, 2, "processing"), 7, (9, SYNC_ORDER)),
    ],
)
def test_a_pull_is_stamped_just_after_what_is_stored(stored: Phase | None, date: int, stamp: tuple[int, int]) -> None:
    assert sync_stamp(stored, date) == stamp
    assert stored is None or stamp > (stored.at, stored.order)


@pytest.mark.parametrize("bad", [None, 5, "", [], "x" * 5001, "\ud800"])
def test_an_id_that_is_no_text_is_for_a_person(bad: object) -> None:
    with pytest.raises(EventUnusable):
        of_intent(intent(id=bad), 7)


@pytest.mark.parametrize("bad", [None, "49900", 499.0, True, 10**15])
def test_an_amount_that_is_no_whole_number_is_for_a_person(bad: object) -> None:
    with pytest.raises(EventUnusable):
        of_intent(intent(status="succeeded", amount_received=bad), 7)


def test_a_state_of_a_refund_or_a_charge_that_we_do_not_know_is_for_a_person() -> None:
    with pytest.raises(EventUnusable, match="limbo"):
        of_refund(histories.refund_object("re_1", 5, charge(), 100, "limbo"))
    with pytest.raises(EventUnusable, match="limbo"):
        of_charge(charge("limbo"))


def test_no_amount_is_below_nothing_but_what_a_balance_moves_by() -> None:
    intent = {"object": "payment_intent", "id": "pi_1", "status": "succeeded", "amount_received": -1, "currency": "usd"}
    with pytest.raises(EventUnusable, match="amount_received"):
        of_intent(intent, 1)
    moved = [{"amount": -49900}, {"amount": 49900}, {"amount": -100}]
    dispute = {"id": "dp_1", "status": "lost", "amount": 100, "created": 1, "reason": "fraudulent"}
    assert of_dispute({**dispute, "balance_transactions": moved}, 1).disputes["dp_1"].withdrawn == 100
    with pytest.raises(EventUnusable, match="amount"):
        of_dispute({**dispute, "amount": -100}, 1)


def test_what_stripe_says_of_the_object_itself_outranks_that_it_was_gone() -> None:
    gone, canceled = core_facts.missing_object("intent", 5), of_intent(intent(status="canceled", canceled_at=9), 9)
    assert merge(gone, canceled).closed == merge(canceled, gone).closed == Closed(9, "intent", "canceled")
    assert merge(gone, core_facts.missing_object("intent", 7)).closed == Closed(5, "intent", core_facts.MISSING)
