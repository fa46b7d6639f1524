"""The conditions of access, their words, and the records that brought the facts that decide them."""

import random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import event_histories
from tests.unit.test_facts import random_facts
from tests.unit.test_payment import PAID, disputed, payment, refunded
from tests.unit.test_recorded_facts import records_of, states_of, versions_of
from tuition.core import explanation
from tuition.core import payment as payments
from tuition.core.facts import Decision, Facts, Settled
from tuition.core.payment import OPEN_STATUSES, NoAccess, Payment, Term
from tuition.core.recorded_facts import MAPS, reduced, sources

many_examples = settings(max_examples=200, deadline=None, derandomize=True)


def may_enter(state: Payment) -> bool:
    """Return whether a payment gives access, by a rule that is written independently of the code under test."""
    facts = state.facts
    if facts.settled is None or (facts.decision and facts.decision.decision == "revoke"):
        return False
    if any(dispute.status in ("lost", "prevented") for dispute in facts.disputes.values()):
        return False
    if facts.withdrawn:
        return False
    refunds = sum(refund.amount for refund in facts.refunds.values() if refund.status in ("pending", "succeeded"))
    if facts.settled.amount and refunds >= facts.settled.amount:
        return False
    return facts.accepted or (facts.settled.amount, facts.settled.currency) == (state.price.amount, "usd")


@pytest.mark.property
@many_examples
@given(st.integers(0, 2**32), st.booleans())
def test_all_terms_hold_exactly_if_a_payment_gives_access(number: int, is_price: bool) -> None:
    more = [PAID] if is_price else []
    state = payment(random_facts(number), *more)
    terms = payments.access_terms(state)
    assert [term.term for term in terms] == list(get_args(Term))
    assert all(term.holds for term in terms) == may_enter(state) == payments.grants_access(state)
    failed = [term.reason for term in terms if not term.holds]
    assert payments.no_access_reason(state) == (failed[0] if failed and state.facts.settled else None)


@pytest.mark.property
@pytest.mark.parametrize("seed", range(20))
def test_the_terms_of_a_generated_history_lead_to_its_access_at_every_version(seed: int) -> None:
    history, rng = event_histories.make(f"explained{seed}"), random.Random(seed)
    with event_histories.stripe_answers_from(history) as stripe:
        for order in event_histories.orders(history, rng, 3):
            for states in versions_of(stripe, order, rng).values():
                for state in states:
                    assert all(term.holds for term in payments.access_terms(state)) == may_enter(state)


@pytest.mark.property
@many_examples
@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=6))
def test_each_entry_of_a_fact_is_traced_to_the_last_record_that_changed_it(numbers: list[int]) -> None:
    states = states_of(numbers)
    records, facts = records_of(states), states[-1]
    for name in ("settled", "decision", "disputes", "refunds", "accepted"):
        value = reduced(facts).get(name)
        changes = [(record["seq"], record["facts"][name]) for record in records if name in record["facts"]]
        if name in MAPS:
            newest = {max(seq for seq, change in changes if entry in change) for entry in value or ()}
        else:
            newest = {changes[-1][0]} if value is not None else set()
        assert set(sources(records, name, facts)) == newest


def test_a_fact_of_a_payment_that_was_rebuilt_is_traced_to_a_record_since_then() -> None:
    records = records_of([PAID])
    rebuilt = {**records[0], "seq": 2}
    assert sources([*records, rebuilt], "settled", PAID) == [2]


# --- words ---


def test_each_reason_and_each_unpaid_status_has_its_words() -> None:
    for texts in (explanation.FOR_STAFF, explanation.FOR_STUDENT):
        assert set(texts) == set(get_args(NoAccess))
    for unpaid in (explanation.UNPAID_FOR_STAFF, explanation.UNPAID_FOR_STUDENT):
        assert set(unpaid) == {*OPEN_STATUSES, "CANCELED"}


REVOKED = Facts(decision=Decision(2, "revoke", "staff-1", "shared the account"))
OTHER_AMOUNT = Facts(settled=Settled(4_990, "usd", 10))


@pytest.mark.parametrize(
    ("facts", "enrollment", "sentence"),
    [
        ([PAID], "ENROLLED", "The student is enrolled in DP: this payment was paid, and nothing has ended its access."),
        ([PAID], None, "This payment was paid and gives access, but the student is not enrolled. Run the audit, and"),
        ([PAID, REVOKED], None, "This payment gives no access, because staff revoked it. The student is not enrolled"),
        ([PAID, disputed("lost")], "WITHDRAWN", "because a dispute was decided against the school. The student is not"),
        ([PAID, refunded(49_900)], "ENROLLED", "refunded in full. The student is enrolled in DP by another payment."),
        ([PAID, refunded(49_900)], "PENDING", "The student is not enrolled in DP. A payment is open."),
        ([OTHER_AMOUNT], None, "because the amount received is not the price, and staff have not accepted it."),
        ([], "PENDING", "This payment gives no access, because it was not paid yet."),
    ],
)
def test_staff_read_why(facts: list[Facts], enrollment: str | None, sentence: str) -> None:
    assert sentence in explanation.for_staff(payment(*facts), enrollment)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (None, "You are not enrolled in Data Professional, because you have not bought it."),
        ([PAID], "You are enrolled in Data Professional, because your payment was received."),
        ([], "You are not enrolled in Data Professional, because you have not paid yet. You can complete the payment."),
        ([PAID, REVOKED], "because the school ended your access. Write to help@school.example if you have questions."),
    ],
)
def test_students_read_why(facts: list[Facts] | None, sentence: str) -> None:
    decides = None if facts is None else payment(*facts)
    assert explanation.for_student(decides, "Data Professional", "help@school.example").endswith(sentence)
    assert "{" not in explanation.for_student(decides, "Data Professional", "")
