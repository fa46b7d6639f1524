"""Facts merge in any order. Stripe's objects are read into facts, and malformed objects are rejected."""

import functools
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import event_histories
from tuition.core import facts as core_facts
from tuition.core import payment as payments
from tuition.core import recorded_facts, stripe_json
from tuition.core.errors import EventUnusable
from tuition.core.facts import (
    CHARGE_RANK,
    NO_FACTS,
    REFUND_RANK,
    Acknowledgement,
    Agreement,
    Balance,
    BalanceTransaction,
    Charge,
    Closed,
    Comparison,
    CreditNote,
    Decision,
    Dispute,
    Facts,
    FraudWarning,
    MovementKind,
    Phase,
    PhaseName,
    Refund,
    Settled,
    Withdrawal,
    merge,
)
from tuition.core.stripe_json import SYNC_ORDER, of_charge, of_dispute, of_intent, of_refund, of_session, sync_stamp
from tuition.intake import stripe_events

PHASES: tuple[PhaseName, ...] = ("created", "processing", "failed")
KINDS: tuple[MovementKind, ...] = ("charge", "refund", "dispute")


def random_facts(seed: int) -> Facts:
    """Return facts from a domain so small that two of them often differ in one field only. Drawing each is slow."""
    rng = random.Random(seed)

    def small() -> int:
        return rng.randint(0, 3)

    def word() -> str:
        return rng.choice(("a", "b"))

    def maybe[T](make: Callable[[], T]) -> T | None:
        return make() if rng.random() < 0.5 else None

    def many[T](make: Callable[[], T]) -> dict[str, T]:
        return {key: make() for key in ("x", "y") if rng.random() < 0.5}

    def settled() -> Settled:
        return Settled(small(), rng.choice(("usd", "eur")), small())

    def charge() -> Charge:
        details = [maybe(word) for _ in range(5)]
        status = rng.choice([*sorted(CHARGE_RANK), core_facts.UNKNOWN])
        return Charge(status, small(), small(), *details, advice=maybe(word), payment_method=maybe(word))

    def transaction() -> BalanceTransaction:
        kind = rng.choice(("charge", "refund", "dispute"))
        return BalanceTransaction(kind, word(), small() - 1, "usd", small(), maybe(word))

    def refund() -> Refund:
        status = rng.choice([*sorted(REFUND_RANK), core_facts.UNKNOWN])
        return Refund(status, small(), small(), *(maybe(word) for _ in range(3)))

    def dispute() -> Dispute:
        # A stamp is the version on which the dispute was committed, so one stamp has one amount, reason and due date.
        return Dispute(small(), rng.choice(("lost", "won")), 9, 1, "fraudulent", small(), None, maybe(word))

    def closed() -> Closed:
        return Closed(small(), rng.choice(("intent", "checkout")), rng.choice(("a", "b", core_facts.MISSING)))

    def phase() -> Phase:
        return Phase(small(), small(), rng.choice(PHASES), maybe(word), maybe(word), maybe(small))

    return Facts(
        settled=maybe(settled),
        closed=maybe(closed),
        phase=maybe(phase),
        intent=maybe(word),
        customer=maybe(word),
        charges=many(charge),
        refunds=many(refund),
        disputes=many(dispute),
        fraud_warnings=many(lambda: FraudWarning(small(), word())),
        challenges=many(small),
        claims=many(settled),
        decision=maybe(lambda: Decision(small(), rng.choice(("accept_amount", "revoke", "restore")), "staff", word())),
        accepted=rng.random() < 0.5,
        acknowledged=many(lambda: Acknowledgement(small(), word(), "staff", "checked")),
        unknown=many(word),
        confirmed=maybe(settled),
        contradicted=rng.random() < 0.5,
        balance=maybe(lambda: Balance(small(), small(), rng.choice(("usd", "eur")))),
        balance_transactions=many(transaction),
        compared=many(lambda: Comparison(small(), word())),
        agreed=maybe(lambda: Agreement(small(), word())),
        withdrawn=maybe(lambda: Withdrawal(small(), maybe(word), maybe(word))),
        invoice=maybe(word),
        credit_notes=many(lambda: CreditNote(maybe(word), maybe(word))),
        rebuilt=rng.random() < 0.5,
        erased=rng.random() < 0.5,
    )


facts = st.integers(0, 2**32).map(random_facts)
many_examples = settings(max_examples=200, deadline=None, derandomize=True)


# --- merging ---


@pytest.mark.property
@many_examples
@given(facts, facts)
def test_merge_is_commutative(a: Facts, b: Facts) -> None:
    assert merge(a, b) == merge(b, a)


@pytest.mark.property
@many_examples
@given(facts, facts, facts)
def test_merge_is_associative(a: Facts, b: Facts, c: Facts) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@pytest.mark.property
@many_examples
@given(facts, facts)
def test_merge_is_idempotent(a: Facts, b: Facts) -> None:
    once = merge(a, b)
    assert merge(once, b) == once == merge(once, a)


@pytest.mark.property
@many_examples
@given(facts)
def test_facts_survive_a_json_round_trip(original: Facts) -> None:
    stored = json.loads(json.dumps(original.to_json()))
    assert Facts.from_json(stored) == original


@pytest.mark.property
@many_examples
@given(facts)
def test_merging_empty_facts_changes_nothing(original: Facts) -> None:
    merged = merge(original, NO_FACTS)
    assert merge(merged, NO_FACTS) == merged
    assert original.erased or merged == original


@pytest.mark.property
@pytest.mark.parametrize("seed", range(40))
def test_facts_read_from_events_merge_in_any_order_and_grouping(seed: int) -> None:
    history = event_histories.make(f"read{seed}")
    pool = [NO_FACTS, *(stripe_events.parse(event).facts for event in history.events)]
    rng = random.Random(seed)
    for _ in range(20):
        a, b, c = (rng.choice(pool) for _ in range(3))
        assert merge(a, b) == merge(b, a)
        assert merge(merge(a, b), c) == merge(a, merge(b, c))
        assert merge(a, a) == a


def test_a_failed_refund_outranks_an_earlier_success() -> None:
    failed, pending, succeeded = (
        Facts(refunds={"re": Refund(status, 100, 1)}) for status in ("failed", "pending", "succeeded")
    )
    assert merge(merge(failed, pending), succeeded).refunds["re"].status == "failed"


def test_merge_keeps_the_later_phase_and_within_one_second_the_higher_order() -> None:
    early, late = Facts(phase=Phase(1, 3, "failed")), Facts(phase=Phase(2, 0, "created"))
    assert merge(early, late).phase == late.phase
    tied = Facts(phase=Phase(2, 2, "processing"))
    assert merge(late, tied).phase == tied.phase


def test_the_dispute_state_with_the_highest_stamp_wins() -> None:
    lost, reopened = Dispute(3, "lost", 9, 1, "fraudulent"), Dispute(4, "under_review", 9, 1, "fraudulent")
    merged = merge(Facts(disputes={"du": reopened}), Facts(disputes={"du": lost}))
    assert merged.disputes["du"].status == "under_review"
    lost_again = merge(merged, Facts(disputes={"du": replace(lost, stamp=5)}))
    assert lost_again.disputes["du"].status == "lost"


def test_a_late_charge_does_not_restore_erased_fields() -> None:
    charge = Charge("succeeded", 100, 1, "card", "visa", "4242", "https://pay.stripe.com/r")
    merged = merge(Facts(erased=True), Facts(charges={"ch": charge}))
    assert merged.charges["ch"] == Charge("succeeded", 100, 1, "card")


@pytest.mark.property
@many_examples
@given(facts, facts, facts)
def test_erased_facts_are_the_same_at_every_place_of_the_erasure_among_the_events(a: Facts, b: Facts, c: Facts) -> None:
    """Without the flags of the generated facts, so that nothing but the erasure itself is drawn."""
    a, b, c = (replace(one, erased=False) for one in (a, b, c))
    erasure = Facts(erased=True)
    orders = itertools.permutations([a, b, c, erasure])
    first, *others = [functools.reduce(merge, order) for order in orders]
    assert all(other == first for other in others)
    assert merge(functools.reduce(merge, [a, b, c]), erasure) == first


@pytest.mark.property
@many_examples
@given(facts, facts)
def test_an_erasure_changes_nothing_that_records_have(a: Facts, b: Facts) -> None:
    a, b = replace(a, erased=False), replace(b, erased=False)
    kept, erased = recorded_facts.reduced(merge(a, b)), recorded_facts.reduced(merge(merge(a, Facts(erased=True)), b))
    assert erased == {**kept, "erased": True}


KEPT_THOUGH_WITHHELD = {
    (Comparison, "problem"),
    (Decision, "actor"),
    (Acknowledgement, "actor"),
    (Acknowledgement, "fingerprint"),
}
"""Our own finding about the books, the staff who decided, and the form of an attention reason."""


@pytest.mark.property
@many_examples
@given(facts)
def test_an_erasure_empties_every_field_that_records_never_have(original: Facts) -> None:
    erased = merge(original, Facts(erased=True))
    entries = [erased, *(one for one in vars(erased).values() if type(one) in recorded_facts.DECLARED)]
    for many in vars(erased).values():
        if isinstance(many, dict):
            entries += [one for one in many.values() if type(one) in recorded_facts.DECLARED]
    for entry in entries:
        for name in recorded_facts.DECLARED[type(entry)].withheld:
            assert (type(entry), name) in KEPT_THOUGH_WITHHELD or not getattr(entry, name), (entry, name)
    assert set(erased.unknown.values()) <= {core_facts.UNKNOWN}


def test_the_first_withdrawal_counts_and_an_erasure_leaves_only_its_time() -> None:
    first, second = Facts(withdrawn=Withdrawal(5, "Ada", "a@x")), Facts(withdrawn=Withdrawal(6, "Bob", "b@x"))
    assert merge(first, second) == merge(second, first) == first
    erased = merge(merge(second, Facts(erased=True)), first)
    assert erased.withdrawn == Withdrawal(5)


# --- reading ---


def intent(**fields: Any) -> dict[str, Any]:
    return {**event_histories.intent_object("pi_1", 5, 49900, {}), **fields}


def session(**fields: Any) -> dict[str, Any]:
    return {**event_histories.session_object("cs_1", 5, 49900, {}), **fields}


def charge(status: str = "succeeded", method: str = "card") -> dict[str, Any]:
    return event_histories.charge_object("ch_1", 5, intent(), status, method, None)


def test_a_succeeded_intent_settles_the_received_amount_not_the_requested_one() -> None:
    facts = of_intent(intent(status="succeeded", amount_received=45000), 7)
    assert facts.settled == Settled(45000, "usd", 7)
    assert facts.phase is None


def test_a_canceled_intent_is_closed_at_its_canceled_at_time() -> None:
    assert of_intent(intent(status="canceled", canceled_at=6), 7).closed == Closed(6, "intent", "canceled")


@pytest.mark.parametrize(
    ("status", "name"),
    [
        ("requires_payment_method", "created"),
        ("requires_confirmation", "created"),
        ("requires_action", "requires_action"),
        ("processing", "processing"),
    ],
)
def test_an_open_intent_has_the_phase_of_its_status(status: str, name: str) -> None:
    phase = of_intent(intent(status=status), 7).phase
    assert phase is not None and (phase.at, phase.name) == (7, name)


def test_a_declined_intent_reports_its_decline_code_instead_of_the_error_code() -> None:
    error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "No."}
    phase = of_intent(intent(last_payment_error=error), 7).phase
    assert phase is not None and (phase.name, phase.code, phase.message) == ("failed", "insufficient_funds", "No.")


def test_an_expanded_charge_is_read_together_with_its_intent() -> None:
    assert "ch_1" in of_intent(intent(status="succeeded", latest_charge=charge()), 7).charges


@pytest.mark.parametrize(("payment_status", "amount"), [("paid", 49900), ("no_payment_required", 0)])
def test_a_complete_session_settles_also_when_it_is_free(payment_status: str, amount: int) -> None:
    facts = of_session(session(status="complete", payment_status=payment_status, amount_total=amount), 7)
    assert facts.settled == Settled(amount, "usd", 7)


def test_an_open_free_session_is_not_settled() -> None:
    assert of_session(session(payment_status="no_payment_required", amount_total=0), 7).settled is None


def test_a_complete_unpaid_session_is_processing() -> None:
    phase = of_session(session(status="complete"), 7).phase
    assert phase is not None and phase.name == "processing"


def test_a_complete_session_is_closed_when_its_bank_declined_the_payment() -> None:
    declined = intent(last_payment_error={"code": "insufficient_funds"})
    facts = of_session(session(status="complete", payment_intent=declined), 7)
    assert facts.closed == Closed(7, "checkout", "payment_failed")
    assert stripe_json.failed_session(session(status="complete"), 7).closed == facts.closed


def test_a_session_is_closed_by_its_expiry_and_not_by_its_canceled_intent() -> None:
    assert of_session(session(status="expired"), 7).closed == Closed(7, "checkout", "expired")
    open_session = of_session(session(payment_intent=intent(status="canceled", canceled_at=6)), 7)
    assert open_session.closed is None


@pytest.mark.parametrize(("method", "brand"), [("card", "visa"), ("us_bank_account", None)])
def test_a_charge_keeps_only_type_brand_and_last_four_of_its_payment_method(method: str, brand: str | None) -> None:
    obj = charge(method=method)
    obj["payment_method_details"][method] |= {"fingerprint": "secret", "exp_year": 2030}
    facts = of_charge(obj).charges["ch_1"]
    assert (facts.type, facts.brand) == (method, brand)
    assert "secret" not in repr(facts) and "2030" not in repr(facts)


def test_a_declined_charge_has_its_payment_method_and_the_advice_of_stripe() -> None:
    declined = {**charge("failed"), "payment_method": "pm_1", "outcome": {"advice_code": "do_not_try_again"}}
    facts = of_charge(declined).charges["ch_1"]
    assert (facts.advice, facts.payment_method) == ("do_not_try_again", "pm_1")
    assert of_charge({**declined, "outcome": None}).charges["ch_1"].advice is None


def test_a_refund_carries_the_id_of_its_refund_request() -> None:
    obj = {**event_histories.refund_object("re_1", 5, charge(), 100, "pending"), "metadata": {"refund_request": "rr_1"}}
    assert of_refund(obj).refunds["re_1"].request == "rr_1"
    assert of_refund({**obj, "metadata": None}).refunds["re_1"].request is None


def test_a_dispute_withdraws_the_net_amount_of_its_balance_transactions() -> None:
    obj = event_histories.dispute_object("du_1", 5, charge(), 49900, "needs_response")
    obj["balance_transactions"] = [{"amount": -49900}, {"amount": 49900}, {"amount": -100}]
    dispute = of_dispute(obj, 4).disputes["du_1"]
    assert (dispute.stamp, dispute.withdrawn, dispute.due_by) == (4, 100, 5 + 7 * 86400)
    assert dispute.withdrawn_currency is None


def test_a_dispute_says_in_which_currency_it_withdrew() -> None:
    obj = event_histories.dispute_object("du_1", 5, charge(), 49900, "needs_response")
    obj["balance_transactions"] = [{"amount": -46_000, "currency": "eur"}, {"amount": 1_000, "currency": "eur"}]
    dispute = of_dispute(obj, 4).disputes["du_1"]
    assert (dispute.amount, dispute.withdrawn, dispute.withdrawn_currency) == (49900, 45_000, "eur")


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
def test_a_sync_is_stamped_just_after_the_stored_phase(stored: Phase | None, date: int, stamp: tuple[int, int]) -> None:
    assert sync_stamp(stored, date) == stamp
    assert stored is None or stamp > (stored.at, stored.order)


@pytest.mark.parametrize("bad", [None, 5, "", [], "x" * 5001, "\ud800"])
def test_a_malformed_id_is_unusable(bad: object) -> None:
    with pytest.raises(EventUnusable):
        of_intent(intent(id=bad), 7)


@pytest.mark.parametrize("bad", [None, "49900", 499.0, True, 10**15])
def test_an_amount_that_is_not_a_whole_number_is_unusable(bad: object) -> None:
    with pytest.raises(EventUnusable):
        of_intent(intent(status="succeeded", amount_received=bad), 7)


@pytest.mark.parametrize("status", ["limbo", None])
def test_an_unknown_status_of_a_refund_or_charge_counts_for_nothing(status: Any) -> None:
    refund = of_refund(event_histories.refund_object("re_1", 5, charge(), 100, status))
    assert (refund.refunds["re_1"].status, refund.unknown) == ("unknown", {"re_1.status": str(status)})
    assert payments.refunded_amount(refund) == 0
    succeeded = of_refund(event_histories.refund_object("re_1", 5, charge(), 100, "succeeded"))
    assert merge(refund, succeeded).refunds["re_1"].status == "succeeded"
    facts = of_charge(charge(status))
    assert (facts.charges["ch_1"].status, facts.unknown) == ("unknown", {"ch_1.status": str(status)})


def test_the_unknown_values_that_are_kept_are_bounded_in_any_order() -> None:
    many = [Facts(unknown={f"re_{i:03}.status": "limbo"}) for i in range(core_facts.MAX_UNKNOWN + 9)]
    forward, backward = functools.reduce(merge, many), functools.reduce(merge, reversed(many))
    assert forward == backward
    assert len(forward.unknown) == core_facts.MAX_UNKNOWN


def test_an_amount_is_negative_only_in_a_balance_transaction() -> None:
    intent = {"object": "payment_intent", "id": "pi_1", "status": "succeeded", "amount_received": -1, "currency": "usd"}
    with pytest.raises(EventUnusable, match="amount_received"):
        of_intent(intent, 1)
    transactions = [{"amount": -49900}, {"amount": 49900}, {"amount": -100}]
    dispute = {"id": "dp_1", "status": "lost", "amount": 100, "created": 1, "reason": "fraudulent"}
    assert of_dispute({**dispute, "balance_transactions": transactions}, 1).disputes["dp_1"].withdrawn == 100
    with pytest.raises(EventUnusable, match="amount"):
        of_dispute({**dispute, "amount": -100}, 1)


def test_a_closing_reported_by_the_object_itself_outranks_that_it_was_missing() -> None:
    missing, canceled = core_facts.missing_object("intent", 5), of_intent(intent(status="canceled", canceled_at=9), 9)
    assert merge(missing, canceled).closed == merge(canceled, missing).closed == Closed(9, "intent", "canceled")
    assert merge(missing, core_facts.missing_object("intent", 7)).closed == Closed(5, "intent", core_facts.MISSING)


# --- bounds ---


def many_charges(seed: int) -> Facts:
    """Return a few dozen of the same 70 charges, each in a random state. Its time never changes, as at Stripe."""
    rng = random.Random(seed)
    chosen = rng.sample(range(70), rng.randint(20, 60))
    statuses = ("pending", "failed", "failed", "failed", "succeeded")
    return Facts(
        charges={f"ch_{n:02}": Charge(rng.choice(statuses), 100, n // 3) for n in chosen},
        acknowledged={
            f"refund:{n % 150}": Acknowledgement(rng.randint(1, 400), "failed", "staff", "note")
            for n in rng.sample(range(300), rng.randint(20, 150))
        },
        claims={f"pi_{n:02}": Settled(1, "usd", n) for n in chosen},
    )


@given(st.integers(), st.integers(), st.integers())
@settings(max_examples=200, deadline=None)
def test_shedding_does_not_depend_on_order_or_duplicates(a: int, b: int, c: int) -> None:
    x, y, z = (merge(NO_FACTS, many_charges(seed)) for seed in (a, b, c))
    assert merge(x, y) == merge(y, x)
    assert merge(merge(x, y), z) == merge(x, merge(y, z))
    assert merge(merge(x, y), y) == merge(x, y)
    assert Facts.from_json(merge(x, y).to_json()) == merge(x, y)


def test_the_newest_failed_charges_and_each_other_fact_are_kept() -> None:
    facts = NO_FACTS
    for n in range(80):
        facts = merge(facts, Facts(charges={f"ch_{n:02}": Charge("failed", 100, n)}))
    facts = merge(facts, Facts(charges={"ch_old": Charge("succeeded", 100, 0)}))
    failed = [key for key, charge in facts.charges.items() if charge.status == "failed"]
    assert failed == [f"ch_{n:02}" for n in range(30, 80)]
    assert "ch_old" in facts.charges
    refunds = {f"re_{n:03}": Refund("failed", 1, n) for n in range(200)}
    disputes = {f"dp_{n:03}": Dispute(1, "lost", 1, n, "fraudulent") for n in range(200)}
    merged = merge(Facts(refunds=refunds), Facts(disputes=disputes))
    assert (merged.refunds, merged.disputes) == (refunds, disputes)


@pytest.mark.parametrize(
    ("status", "next_action", "challenges"),
    [
        ("requires_action", {"type": "use_stripe_sdk"}, {"pm_1": 7}),
        ("requires_action", {"type": "redirect_to_url"}, {"pm_1": 7}),
        ("requires_action", {"type": "verify_with_microdeposits"}, {}),
        ("requires_action", {"type": None}, {}),
        ("requires_action", None, {}),
        ("succeeded", {"type": "use_stripe_sdk"}, {}),
    ],
)
def test_only_a_3d_secure_step_is_a_challenge(
    status: str, next_action: dict[str, Any] | None, challenges: dict[str, int]
) -> None:
    intent = {"id": "pi_1", "amount_received": 1, "currency": "usd", "payment_method": "pm_1"}
    facts = of_intent({**intent, "status": status, "next_action": next_action}, 7)
    assert facts.challenges == challenges


def test_a_challenge_without_a_payment_method_has_its_time_as_its_id() -> None:
    intent = {"id": "pi_1", "status": "requires_action", "next_action": {"type": "use_stripe_sdk"}}
    assert of_intent(intent, 7).challenges == {"at:7": 7}


@pytest.mark.property
def test_challenges_are_shed_by_their_id_in_any_order() -> None:
    reports = [Facts(challenges={f"pm_{n:03}": n % 7}) for n in range(80)]
    rng = random.Random(3)
    rng.shuffle(reports)
    halves = [functools.reduce(merge, half) for half in (reports[:40], reports[40:])]
    expected = {f"pm_{n:03}": n % 7 for n in range(core_facts.MAX_CHALLENGES)}
    assert merge(*halves).challenges == merge(*reversed(halves)).challenges == expected
