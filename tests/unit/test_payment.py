"""The status, access, refundable amount and attention reasons that follow from a payment's facts."""

import itertools
from dataclasses import replace

import pytest

from tuition.core import facts as core_facts
from tuition.core import payment as payments
from tuition.core import timestamps
from tuition.core.attention import due_by, reasons, unacknowledged
from tuition.core.facts import (
    Acknowledgement,
    Charge,
    Closed,
    Decision,
    Dispute,
    Facts,
    Phase,
    Refund,
    Settled,
    Withdrawal,
    merge,
)
from tuition.core.money import Money
from tuition.core.payment import Failure, Payment, Terms, grants_access
from tuition.core.refund_request import RefundRequest
from tuition.views import exports
from tuition.views.payment_json import PaymentView, groups

PRICE = Money(49900, "usd")
PAID = Facts(settled=Settled(49900, "usd", 10))


def payment(*all_facts: Facts, kind: str = "intent") -> Payment:
    result = Payment(
        payment_id="pay_1",
        user_id="u",
        track="DP",
        kind=kind,  # type: ignore[arg-type]
        attempt=1,
        stripe_object_id="pi_1" if kind == "intent" else "cs_1",
        price=PRICE,
        created_at="2026-11-23T18:30:00.000Z",
        updated_at="2026-11-23T18:30:00.000Z",
    )
    for facts in all_facts:
        result = result.merged(facts)
    return result


def refunded(amount: int, status: str = "succeeded", refund_id: str = "re_1", request: str | None = None) -> Facts:
    return Facts(refunds={refund_id: Refund(status, amount, 20, request=request)})


def disputed(status: str, stamp: int = 1, withdrawn: int = 0) -> Facts:
    return Facts(disputes={"du_1": Dispute(stamp, status, 49900, 30, "fraudulent", withdrawn)})


def in_phase(name: str) -> Facts:
    return Facts(phase=Phase(5, 0, name))  # type: ignore[arg-type]


CONFIRMED = Facts(confirmed=PAID.settled)
CLOSED = Facts(closed=Closed(8, "intent", "canceled"))


def test_no_invoice_is_promised_for_a_purchase_that_will_not_have_one() -> None:
    unpaid = replace(payment(in_phase("created"), kind="checkout"), terms=Terms(invoice=True))
    assert (unpaid.invoice, unpaid.merged(PAID).invoice) == ("requested", "requested")
    closed = unpaid.merged(Facts(closed=Closed(8, "checkout", "expired")))
    free = unpaid.merged(Facts(settled=Settled(0, "usd", 10)))
    assert (closed.invoice, free.invoice) == (None, None)
    assert closed.merged(PAID).invoice == "requested"  # it was paid after all
    assert free.merged(Facts(invoice="in_1")).invoice == "issued"


@pytest.mark.parametrize("name", ["created", "processing", "failed"])
def test_an_open_payment_is_checked_at_fixed_times_after_its_last_change_then_daily(name: str) -> None:
    changed = timestamps.epoch("2026-11-23T18:30:00.000Z")
    open_payment = replace(payment(in_phase(name)), created_at="2026-10-01T00:00:00.000Z")
    at, hours = changed, []
    while len(hours) < 7:
        reason, due = payments.next_check(open_payment, int(at)) or ("", "")
        assert reason == "due"
        hours.append(int(timestamps.epoch(due) - changed) / 3600)
        at = timestamps.epoch(due) + 1_000  # the hourly run comes a little later
    assert hours == [1, 6, 24, 72, 96, 120, 144]


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([], "CREATED"),
        ([in_phase("requires_action")], "CREATED"),
        ([in_phase("processing")], "PROCESSING"),
        ([in_phase("failed")], "FAILED"),
        ([in_phase("failed"), CLOSED], "CANCELED"),
        ([CLOSED, PAID], "SUCCEEDED"),
        ([PAID, refunded(100)], "SUCCEEDED"),
        ([PAID, refunded(49900)], "REFUNDED"),
        ([PAID, refunded(49900, "pending")], "REFUNDED"),
        ([PAID, refunded(49900, "requires_action")], "SUCCEEDED"),
        ([PAID, refunded(49900, "failed")], "SUCCEEDED"),
        ([PAID, refunded(49000), refunded(900, refund_id="re_2")], "REFUNDED"),
        ([Facts(settled=Settled(0, "usd", 10))], "SUCCEEDED"),
        ([refunded(49900)], "CREATED"),
    ],
)
def test_the_status_is_derived_from_the_facts_in_any_order(facts: list[Facts], status: str) -> None:
    assert payment(*facts).status == status
    assert payment(*reversed(facts)).status == status


def test_a_failed_payment_is_open_and_a_closed_payment_is_not() -> None:
    assert payment(in_phase("failed")).open
    assert not payment(CLOSED).open


def test_a_payment_is_closed_only_by_an_object_of_its_own_kind() -> None:
    assert payment(CLOSED, kind="checkout").status == "CREATED"
    assert payment(Facts(closed=Closed(8, "checkout", "expired")), kind="checkout").status == "CANCELED"


# --- access ---


@pytest.mark.parametrize(
    ("facts", "grants"),
    [
        ([], False),
        ([PAID], True),
        ([PAID, refunded(100)], True),
        ([PAID, refunded(49900)], False),
        ([Facts(settled=Settled(49899, "usd", 1))], False),
        ([Facts(settled=Settled(49900, "eur", 1))], False),
        ([PAID, disputed("needs_response")], True),
        ([PAID, disputed("lost")], False),
        ([PAID, disputed("prevented")], False),
        ([PAID, disputed("lost"), disputed("won", stamp=2)], True),
        ([PAID, Facts(decision=Decision(2, "revoke", "staff", ""))], False),
        (
            [
                Facts(
                    settled=Settled(100, "usd", 1),
                    accepted=True,
                    decision=Decision(2, "accept_amount", "staff", ""),
                )
            ],
            True,
        ),
    ],
)
def test_access_is_derived_from_the_facts(facts: list[Facts], grants: bool) -> None:
    assert grants_access(payment(*facts)) is grants


def test_the_newest_staff_decision_wins() -> None:
    revoked, accepted = Decision(2, "revoke", "staff", ""), Decision(3, "accept_amount", "staff", "")
    assert grants_access(payment(PAID, Facts(decision=accepted, accepted=True), Facts(decision=revoked)))


def test_a_purchase_merged_together_with_its_refund_has_granted_access() -> None:
    both = payment(merge(PAID, refunded(49900)))
    assert payments.ever_granted(both) and not grants_access(both)


def test_a_wrong_amount_grants_access_only_after_staff_accepted_it() -> None:
    wrong = Facts(settled=Settled(1, "usd", 1))
    assert not payments.ever_granted(payment(wrong))
    assert payments.ever_granted(payment(wrong, Facts(accepted=True)))


# --- money ---


def test_refunds_awaiting_the_customer_and_lost_disputes_reduce_the_refundable_amount() -> None:
    assert payment().refundable_amount == 0
    assert payment(PAID, refunded(100), refunded(200, "requires_action", "re_2")).refundable_amount == 49600
    assert payment(PAID, refunded(100, "failed")).refundable_amount == 49900
    assert payment(PAID, disputed("lost")).refundable_amount == 0


def test_a_prevented_dispute_counts_once_whether_a_dispute_or_a_refund_moved_the_funds() -> None:
    assert payments.lost_amount(payment(PAID, disputed("prevented", withdrawn=49900)).facts) == 49900
    same = Dispute(1, "prevented", 49900, 30, "fraudulent", 40000, withdrawn_currency="usd")
    assert payments.lost_amount(payment(PAID, Facts(disputes={"du_1": same})).facts) == 40000


@pytest.mark.parametrize("withdrawn", [46_123, 60_000])
def test_an_amount_withdrawn_in_another_currency_is_never_added_to_the_charges(withdrawn: int) -> None:
    dispute = Dispute(1, "prevented", 49900, 30, "fraudulent", withdrawn, withdrawn_currency="eur")
    disputed_payment = payment(PAID, Facts(disputes={"du_1": dispute}))
    assert (payments.lost_amount(disputed_payment.facts), disputed_payment.refundable_amount) == (49900, 0)
    assert not payments.holds_funds(disputed_payment)
    by_refund = payment(PAID, refunded(49900), disputed("prevented"))
    assert payments.lost_amount(by_refund.facts) == 0 and by_refund.refunded


def test_the_successful_charge_is_preferred_to_a_newer_failed_one() -> None:
    charges = {"ch_1": Charge("succeeded", 1, 5), "ch_2": Charge("failed", 1, 9)}
    charge = payment(Facts(charges=charges)).charge
    assert charge is not None and charge[0] == "ch_1"
    assert payment().charge is None


def test_the_intent_of_a_checkout_payment_comes_from_its_session() -> None:
    assert payment(kind="checkout").intent is None
    assert payment(Facts(intent="pi_9"), kind="checkout").intent == "pi_9"
    assert payment(Facts(intent="pi_9")).intent == "pi_1"


# --- attention ---


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ([PAID], []),
        ([Facts(settled=Settled(5, "usd", 1))], ["amount"]),
        ([Facts(settled=Settled(5, "usd", 1), accepted=True)], []),
        ([PAID, disputed("needs_response")], ["dispute:du_1"]),
        ([PAID, disputed("warning_needs_response")], ["dispute:du_1"]),
        ([PAID, disputed("unheard_of")], ["dispute:du_1"]),
        ([PAID, disputed("won")], []),
        ([PAID, disputed("warning_closed")], []),
        ([PAID, refunded(5, "failed")], ["refund:re_1"]),
        ([Facts(claims={"pi_2": Settled(5, "usd", 1)})], ["claim:pi_2"]),
        ([core_facts.missing_object("intent", 1)], ["gone"]),
        ([PAID, Facts(contradicted=True)], ["unconfirmed"]),
        ([PAID, Facts(contradicted=True), CONFIRMED], []),
        ([PAID, Facts(confirmed=Settled(5, "usd", 1))], ["unconfirmed"]),
        ([PAID, Facts(rebuilt=True)], ["rebuilt"]),
    ],
)
def test_attention_reasons_are_derived_from_the_facts(facts: list[Facts], names: list[str]) -> None:
    assert [reason.name for reason in unacknowledged(payment(*facts))] == names


@pytest.mark.parametrize(
    ("facts", "due"),
    [
        ([disputed("needs_response")], None),
        ([Facts(disputes={"du_1": Dispute(1, "needs_response", 1, 30, "fraudulent", due_by=60)})], "00:01:00"),
        ([Facts(disputes={"du_1": Dispute(1, "lost", 1, 30, "fraudulent", due_by=60)})], None),
        ([Facts(rebuilt=True)], None),
    ],
)
def test_only_an_open_dispute_has_a_due_date_if_the_bank_names_one(facts: list[Facts], due: str | None) -> None:
    one = payment(PAID, *facts)
    assert [due_by(one, reason) for reason in reasons(one)] == [f"1970-01-01T{due}.000Z" if due else None]


def test_a_double_payment_needs_attention_only_while_it_holds_funds() -> None:
    assert [c.name for c in reasons(payment(PAID), double=True)] == ["double"]
    assert reasons(payment(PAID, refunded(49900)), double=True) == []


def test_an_acknowledgement_covers_a_reason_only_until_it_changes() -> None:
    acknowledged = Facts(acknowledged={"dispute:du_1": Acknowledgement(3, "needs_response", "staff", "")})
    assert unacknowledged(payment(PAID, disputed("needs_response"), acknowledged)) == []
    assert unacknowledged(payment(PAID, disputed("lost", stamp=4), acknowledged)) != []


# --- final payments ---


@pytest.mark.parametrize(
    ("facts", "is_final"),
    [
        ([], False),
        ([CLOSED], True),
        ([PAID], False),
        ([PAID, CONFIRMED], True),
        ([PAID, Facts(confirmed=Settled(5, "usd", 1))], False),
        ([PAID, Facts(contradicted=True)], False),
        ([PAID, Facts(contradicted=True), CONFIRMED], True),
        ([PAID, Facts(contradicted=True, acknowledged={"unconfirmed": Acknowledgement(1, "x", "staff", "")})], True),
        ([PAID, core_facts.missing_object("intent", 1)], True),
        ([PAID, CONFIRMED, refunded(5, "pending")], False),
        ([PAID, CONFIRMED, disputed("under_review")], False),
        ([PAID, CONFIRMED, disputed("lost")], True),
    ],
)
def test_a_payment_is_final_when_nothing_more_can_happen(facts: list[Facts], is_final: bool) -> None:
    assert payments.is_final(payment(*facts)) is is_final


def test_a_payment_with_a_refund_in_progress_is_not_final() -> None:
    request = RefundRequest("rr_1", 5, "why", "u", "now", "submitting")
    assert not payments.is_final(payment(PAID).with_requests((request,)))


def test_a_waiting_request_is_declined_when_nothing_is_refundable() -> None:
    waiting = replace(payment(PAID), requests=(RefundRequest("rr_1", 49900, "why", "u", "now", "awaiting_approval"),))
    for facts in (refunded(49900), disputed("lost")):
        declined = waiting.merged(facts).requests[0]
        assert declined.state == "declined" and declined.answer
    assert waiting.merged(refunded(100)).requests[0].state == "awaiting_approval"


# --- withdrawals ---

WITHDRAWN = Facts(withdrawn=Withdrawal(20, "Ada Lovelace", "ada@example.org"))


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ([WITHDRAWN], None),
        ([PAID, WITHDRAWN], "withdrawn"),
        ([PAID, WITHDRAWN, refunded(100)], "withdrawn"),
        ([PAID, WITHDRAWN, refunded(49900)], "refunded"),
        ([PAID, WITHDRAWN, refunded(49900, "pending"), refunded(49900, "failed")], "withdrawn"),
        ([PAID, WITHDRAWN, disputed("lost")], "dispute_lost"),
        ([PAID, WITHDRAWN, disputed("won")], "withdrawn"),
        ([PAID, WITHDRAWN, Facts(decision=Decision(2, "revoke", "s", "n"))], "revoked"),
        ([PAID, WITHDRAWN, Facts(decision=Decision(3, "restore", "s", "n"))], "withdrawn"),
    ],
)
def test_a_withdrawn_payment_never_grants_access_again_in_any_order(facts: list[Facts], reason: str | None) -> None:
    for order in itertools.permutations(facts):
        result = payment(*order)
        assert not grants_access(result)
        assert payments.no_access_reason(result) == reason


@pytest.mark.parametrize(
    ("facts", "due"),
    [
        ([WITHDRAWN], 0),
        ([PAID], 0),
        ([PAID, WITHDRAWN], 49900),
        ([PAID, WITHDRAWN, refunded(900)], 49000),
        ([PAID, WITHDRAWN, refunded(49900, "requires_action")], 0),
        ([PAID, WITHDRAWN, refunded(49900, "failed")], 49900),
        ([PAID, WITHDRAWN, Facts(disputes={"du_1": Dispute(1, "lost", 9900, 30, "fraudulent")})], 40000),
        ([PAID, WITHDRAWN, disputed("lost")], 0),
        ([PAID, WITHDRAWN, disputed("won")], 49900),
    ],
)
def test_the_amount_due_after_a_withdrawal_and_the_state_of_its_request_do_not_depend_on_the_order(
    facts: list[Facts], due: int
) -> None:
    waiting = RefundRequest("rr_1", 49900, "withdrawal", "u", "now", "awaiting_approval")
    for order in itertools.permutations(facts):
        result = payment(*order)
        assert payments.amount_due(result) == due
        withdrawal = [reason for reason in reasons(result) if reason.name == "withdrawal"]
        assert [reason.fingerprint for reason in withdrawal] == (["1970-01-15T00:00:20.000Z"] if due else [])
        assert [due_by(result, reason) for reason in withdrawal] == [result.refund_due_by] * len(withdrawal)
        if PAID in order and WITHDRAWN in order:
            later = payment(WITHDRAWN).with_requests((waiting,))
            for fact in order:
                later = later.merged(fact)
            assert later.requests[0].state == ("awaiting_approval" if due else "superseded")


@pytest.mark.parametrize(
    ("end", "status", "due"),
    [
        ([], "PROCESSING", 0),
        ([PAID], "SUCCEEDED", 49900),
        ([PAID, refunded(49900)], "REFUNDED", 0),
        ([CLOSED], "CANCELED", 0),
    ],
)
def test_a_withdrawal_while_a_bank_processes_the_debit_never_lets_the_student_in(
    end: list[Facts], status: str, due: int
) -> None:
    for order in itertools.permutations([in_phase("processing"), WITHDRAWN, *end]):
        result = payment(*order)
        assert (result.status, payments.amount_due(result)) == (status, due)
        assert not grants_access(result)
        assert not payments.may_withdraw(result)
        assert [reason.name for reason in reasons(result)] == (["withdrawal"] if due else [])


def test_the_time_of_an_order_by_bank_debit_does_not_move_when_it_settles() -> None:
    pending, done = (Facts(charges={"py_1": Charge(status, 49900, 4)}) for status in ("pending", "succeeded"))
    ordered = payment(in_phase("processing"), pending)
    settled = ordered.merged(PAID).merged(done)
    assert ordered.ordered_at == settled.ordered_at == "1970-01-01T00:00:04.000Z"
    assert payment(in_phase("failed"), pending).ordered_at is None
    assert payment().ordered_at is None


def test_an_amount_that_is_being_submitted_is_not_due() -> None:
    request = RefundRequest("rr_1", 40000, "why", "u", "now", "submitting")
    assert payments.amount_due(payment(PAID, WITHDRAWN).with_requests((request,))) == 9900


@pytest.mark.parametrize(
    ("facts", "may"),
    [
        ([], False),
        ([PAID], True),
        ([in_phase("processing")], True),
        ([in_phase("processing"), WITHDRAWN], False),
        ([in_phase("failed")], False),
        ([PAID, WITHDRAWN], False),
        ([PAID, refunded(100)], True),
        ([PAID, refunded(49900, "pending")], False),
        ([PAID, disputed("needs_response")], True),
        ([PAID, disputed("lost")], False),
        ([Facts(settled=Settled(0, "usd", 10))], True),
    ],
)
def test_a_student_may_withdraw_until_the_payment_is_fully_refunded(facts: list[Facts], may: bool) -> None:
    assert payments.may_withdraw(payment(*facts)) is may


# --- ids ---


def test_equal_purchase_requests_have_equal_ids_and_different_ones_do_not() -> None:
    request = ("test", "u", "DP", 1, "intent", {"amount": 1, "currency": "usd"})
    same = payments.payment_id(*request[:5], {"currency": "usd", "amount": 1})
    assert payments.payment_id(*request) == same
    others = [
        ("live", *request[1:]),
        (*request[:3], 2, *request[4:]),
        (*request[:4], "checkout", request[5]),
        (*request[:5], {"amount": 2}),
    ]
    assert len({same, *(payments.payment_id(*other) for other in others)}) == 5  # type: ignore[arg-type]
    assert same.startswith("pay_") and same[4:].isalnum() and len(same) == 28


def failed(code: str | None, message: str | None = None) -> Facts:
    return Facts(phase=Phase(5, 3, "failed", code, message))


DECLINED_LATE = Facts(closed=Closed(9, "checkout", "payment_failed"))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (failed("insufficient_funds", "No money."), Failure("insufficient_funds", "No money.")),
        (failed(None), Failure("payment_failed", "The payment failed.")),
        (merge(failed("x", "y"), Facts(closed=Closed(9, "intent", "canceled"))), Failure("x", "y")),
        (merge(failed("x", "y"), DECLINED_LATE), Failure("x", "y")),
        (DECLINED_LATE, Failure("payment_failed", "The payment failed.")),
        (
            merge(DECLINED_LATE, Facts(charges={"py_1": Charge("failed", 1, 1, code="account_closed")})),
            Failure("account_closed", "The payment failed."),
        ),
        (Facts(closed=Closed(9, "checkout", "expired")), None),
        (Facts(phase=Phase(5, 2, "processing")), None),
        (Facts(phase=Phase(5, 1, "requires_action")), None),
        (Facts(), None),
        (merge(failed("x", "y"), PAID), None),
    ],
)
def test_only_a_failed_payment_has_a_failure_reason(facts: Facts, expected: Failure | None) -> None:
    assert payments.failure(facts) == expected


@pytest.mark.parametrize("code", sorted(payments.SUSPECTED_FRAUD))
def test_a_decline_for_suspected_fraud_is_shown_to_the_student_as_a_generic_decline(code: str) -> None:
    assert Failure(code, "It was stolen.").for_student() == Failure("generic_decline", "Your card was declined.")
    assert Failure("expired_card", "It expired.").for_student() == Failure("expired_card", "It expired.")


def test_a_refundable_amount_below_zero_is_shown_as_such() -> None:
    view = PaymentView(payment(PAID, refunded(10000), disputed("lost")), [])
    assert view.json()["refundable_amount"] == -10000
    assert groups(view)["money"]["refundable_amount"] == -10000
    cells = dict(zip(exports.HEADER, exports.row(view), strict=True))
    assert cells["refundable_amount"] == -10000
