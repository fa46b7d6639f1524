"""What follows from the facts of a payment: status, access, what is left, and when a person is needed."""

from dataclasses import replace

import pytest

from tuition.core import facts as core_facts
from tuition.core import payment as payments
from tuition.core.attention import reasons, unacknowledged
from tuition.core.facts import Acknowledgement, Charge, Closed, Decision, Dispute, Facts, Phase, Refund, Settled, merge
from tuition.core.money import Money
from tuition.core.payment import Failure, Payment, grants_access
from tuition.core.refund_request import RefundRequest

PRICE = Money(49900, "usd")
PAID = Facts(settled=Settled(49900, "usd", 10))


def payment(*told: Facts, kind: str = "intent") -> Payment:
    bare = Payment(
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
    for facts in told:
        bare = bare.merged(facts)
    return bare


def refunded(amount: int, status: str = "succeeded", key: str = "re_1", request: str | None = None) -> Facts:
    return Facts(refunds={key: Refund(status, amount, 20, request=request)})


def disputed(status: str, stamp: int = 1, withdrawn: int = 0) -> Facts:
    return Facts(disputes={"du_1": Dispute(stamp, status, 49900, 30, "fraudulent", withdrawn)})


def shown(name: str) -> Facts:
    return Facts(phase=Phase(5, 0, name))  # type: ignore[arg-type]


CLOSED = Facts(closed=Closed(8, "intent", "canceled"))


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([], "CREATED"),
        ([shown("requires_action")], "CREATED"),
        ([shown("processing")], "PROCESSING"),
        ([shown("failed")], "FAILED"),
        ([shown("failed"), CLOSED], "CANCELED"),
        ([CLOSED, PAID], "SUCCEEDED"),
        ([PAID, refunded(100)], "SUCCEEDED"),
        ([PAID, refunded(49900)], "REFUNDED"),
        ([PAID, refunded(49900, "pending")], "REFUNDED"),
        ([PAID, refunded(49900, "requires_action")], "SUCCEEDED"),
        ([PAID, refunded(49900, "failed")], "SUCCEEDED"),
        ([PAID, refunded(49000), refunded(900, key="re_2")], "REFUNDED"),
        ([Facts(settled=Settled(0, "usd", 10))], "SUCCEEDED"),
        ([refunded(49900)], "CREATED"),
    ],
)
def test_status_follows_from_the_facts(told: list[Facts], status: str) -> None:
    assert payment(*told).status == status
    assert payment(*reversed(told)).status == status


def test_a_payment_that_failed_can_still_be_paid_and_one_that_is_closed_cannot() -> None:
    assert payment(shown("failed")).open
    assert not payment(CLOSED).open


def test_what_another_kind_of_object_says_about_closing_is_not_about_this_payment() -> None:
    assert payment(CLOSED, kind="checkout").status == "CREATED"
    assert payment(Facts(closed=Closed(8, "checkout", "expired")), kind="checkout").status == "CANCELED"


# --- access ---


@pytest.mark.parametrize(
    ("told", "grants"),
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
                    decision=Decision(2, "accept", "staff", ""),
                )
            ],
            True,
        ),
    ],
)
def test_access_follows_from_the_facts(told: list[Facts], grants: bool) -> None:
    assert grants_access(payment(*told)) is grants


def test_the_newest_decision_of_staff_counts() -> None:
    revoked, accepted = Decision(2, "revoke", "staff", ""), Decision(3, "accept", "staff", "")
    assert grants_access(payment(PAID, Facts(decision=accepted, accepted=True), Facts(decision=revoked)))


def test_a_purchase_and_its_refund_learned_together_still_granted_once() -> None:
    both = payment(merge(PAID, refunded(49900)))
    assert payments.ever_granted(both) and not grants_access(both)


def test_a_wrong_amount_never_granted_unless_staff_accepted_it() -> None:
    wrong = Facts(settled=Settled(1, "usd", 1))
    assert not payments.ever_granted(payment(wrong))
    assert payments.ever_granted(payment(wrong, Facts(accepted=True)))


# --- money ---


def test_what_is_left_counts_refunds_that_wait_for_the_customer_and_disputes_lost() -> None:
    assert payment().left == 0
    assert payment(PAID, refunded(100), refunded(200, "requires_action", "re_2")).left == 49600
    assert payment(PAID, refunded(100, "failed")).left == 49900
    assert payment(PAID, disputed("lost")).left == 0


def test_a_prevented_dispute_counts_once_whichever_moved_the_funds() -> None:
    assert payments.lost_amount(payment(PAID, disputed("prevented", withdrawn=49900)).facts) == 49900
    by_refund = payment(PAID, refunded(49900), disputed("prevented"))
    assert payments.lost_amount(by_refund.facts) == 0 and by_refund.refunded


def test_the_charge_that_paid_is_shown_before_a_newer_one_that_failed() -> None:
    charges = {"ch_1": Charge("succeeded", 1, 5), "ch_2": Charge("failed", 1, 9)}
    found = payment(Facts(charges=charges)).charge
    assert found is not None and found[0] == "ch_1"
    assert payment().charge is None


def test_the_intent_of_a_checkout_payment_is_learned_from_its_session() -> None:
    assert payment(kind="checkout").intent is None
    assert payment(Facts(intent="pi_9"), kind="checkout").intent == "pi_9"
    assert payment(Facts(intent="pi_9")).intent == "pi_1"


# --- attention ---


@pytest.mark.parametrize(
    ("told", "names"),
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
        ([PAID, Facts(rebuilt=True)], ["rebuilt"]),
    ],
)
def test_a_person_is_needed_for(told: list[Facts], names: list[str]) -> None:
    assert [cause.name for cause in unacknowledged(payment(*told))] == names


def test_a_double_needs_a_person_only_while_it_holds_money() -> None:
    assert [c.name for c in reasons(payment(PAID), double=True)] == ["double"]
    assert reasons(payment(PAID, refunded(49900)), double=True) == []


def test_an_acknowledgement_holds_for_a_cause_as_it_stood() -> None:
    seen = Facts(acknowledged={"dispute:du_1": Acknowledgement(3, "needs_response", "staff", "")})
    assert unacknowledged(payment(PAID, disputed("needs_response"), seen)) == []
    assert unacknowledged(payment(PAID, disputed("lost", stamp=4), seen)) != []


# --- rest ---


@pytest.mark.parametrize(
    ("told", "rests"),
    [
        ([], False),
        ([CLOSED], True),
        ([PAID], True),
        ([PAID, refunded(5, "pending")], False),
        ([PAID, disputed("under_review")], False),
        ([PAID, disputed("lost")], True),
    ],
)
def test_a_payment_is_at_rest_when_nothing_happens_by_itself(told: list[Facts], rests: bool) -> None:
    assert payments.is_final(payment(*told)) is rests


def test_a_refund_that_is_being_called_is_not_at_rest() -> None:
    request = RefundRequest("rr_1", 5, "why", "u", "now", "calling")
    assert not payments.is_final(payment(PAID).with_requests((request,)))


def test_a_waiting_request_is_closed_when_nothing_is_left_or_a_dispute_is_lost() -> None:
    waiting = replace(payment(PAID), requests=(RefundRequest("rr_1", 49900, "why", "u", "now", "waiting"),))
    for told in (refunded(49900), disputed("lost")):
        closed = waiting.merged(told).requests[0]
        assert closed.state == "declined" and closed.answer
    assert waiting.merged(refunded(100)).requests[0].state == "waiting"


# --- ids ---


def test_the_same_wish_has_the_same_id_and_any_other_has_another() -> None:
    wish = ("test", "u", "DP", 1, "intent", {"amount": 1, "currency": "usd"})
    same = payments.payment_id(*wish[:5], {"currency": "usd", "amount": 1})
    assert payments.payment_id(*wish) == same
    others = [
        ("live", *wish[1:]),
        (*wish[:3], 2, *wish[4:]),
        (*wish[:4], "checkout", wish[5]),
        (*wish[:5], {"amount": 2}),
    ]
    assert len({same, *(payments.payment_id(*other) for other in others)}) == 5  # type: ignore[arg-type]
    assert same.startswith("pay_") and same[4:].isalnum() and len(same) == 28


def failed(code: str | None, message: str | None = None) -> Facts:
    return Facts(phase=Phase(5, 3, "failed", code, message))


REFUSED_LATE = Facts(closed=Closed(9, "checkout", "payment_failed"))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (failed("insufficient_funds", "No money."), Failure("insufficient_funds", "No money.")),
        (failed(None), Failure("payment_failed", "The payment failed.")),
        (merge(failed("x", "y"), Facts(closed=Closed(9, "intent", "canceled"))), Failure("x", "y")),
        (merge(failed("x", "y"), REFUSED_LATE), Failure("x", "y")),
        (REFUSED_LATE, Failure("payment_failed", "The payment failed.")),
        (
            merge(REFUSED_LATE, Facts(charges={"py_1": Charge("failed", 1, 1, code="account_closed")})),
            Failure("account_closed", "The payment failed."),
        ),
        (Facts(closed=Closed(9, "checkout", "expired")), None),
        (Facts(phase=Phase(5, 2, "processing")), None),
        (Facts(phase=Phase(5, 1, "requires_action")), None),
        (Facts(), None),
        (merge(failed("x", "y"), PAID), None),
    ],
)
def test_a_payment_that_failed_says_why_and_no_other_does(told: Facts, expected: Failure | None) -> None:
    assert payments.failure(told) == expected


@pytest.mark.parametrize("code", sorted(payments.SUSPECTED_FRAUD))
def test_what_a_bank_suspects_is_a_plain_decline_to_the_student(code: str) -> None:
    assert Failure(code, "It was stolen.").for_student() == Failure("generic_decline", "Your card was declined.")
    assert Failure("expired_card", "It expired.").for_student() == Failure("expired_card", "It expired.")
