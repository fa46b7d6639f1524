"""A user's enrollment in a track, which lasts while at least one payment grants access."""

from dataclasses import replace

import pytest

from tests.unit.test_payment import CLOSED, PAID, disputed, payment, refunded
from tuition.core.enrollment import Enrollment, Standing, standing_of
from tuition.core.facts import Decision, Facts, Settled, Withdrawal


def enrollment(**standings: Standing) -> Enrollment:
    return Enrollment(user_id="u", track="DP", standings=standings)


OPEN, GRANTS = Standing(1, open=True), Standing(1, grants=True, granted=True, holds_funds=True)
ENDED = Standing(1, granted=True)
SUSPENDED = Standing(1, granted=True, holds_funds=True, suspended=True)
OTHER_AMOUNT, FREE = Facts(settled=Settled(100, "usd", 10)), Facts(settled=Settled(0, "usd", 10))
WITHDRAWN = Facts(withdrawn=Withdrawal(20, "Ada Lovelace", "ada@example.org"))
REVOKED = Facts(decision=Decision(2, "revoke", "s", "n"))


@pytest.mark.parametrize(
    ("standings", "status"),
    [
        ({}, None),
        ({"a": Standing(1)}, None),
        ({"a": OPEN}, "PENDING"),
        ({"a": GRANTS, "b": OPEN}, "ENROLLED"),
        ({"a": ENDED}, "WITHDRAWN"),
        ({"a": ENDED, "b": OPEN}, "PENDING"),
        ({"a": ENDED, "b": GRANTS}, "ENROLLED"),
        ({"a": ENDED, "b": SUSPENDED, "c": OPEN}, "SUSPENDED"),
        ({"a": SUSPENDED, "b": GRANTS}, "ENROLLED"),
    ],
)
def test_the_status_is_derived_from_the_standings(standings: dict[str, Standing], status: str | None) -> None:
    assert enrollment(**standings).status == status


def test_a_late_refund_of_an_old_payment_does_not_withdraw_a_student_who_paid_again() -> None:
    paid_again = enrollment(old=GRANTS, new=GRANTS)
    old = payment(PAID, refunded(49900))
    assert paid_again.with_payment(old).status == "ENROLLED"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], OPEN),
        ([PAID], GRANTS),
        ([CLOSED], Standing(1)),
        ([PAID, refunded(49900)], Standing(1, granted=True, refunded=True)),
        ([PAID, refunded(49900, "failed")], GRANTS),
        ([PAID, disputed("lost")], ENDED),
        ([PAID, disputed("under_review")], GRANTS),
        ([PAID, disputed("prevented"), refunded(20000)], Standing(1, granted=True, holds_funds=True, refunded=True)),
        ([OTHER_AMOUNT, refunded(100)], Standing(1, refunded=True)),
        ([OTHER_AMOUNT, REVOKED], Standing(1, holds_funds=True, revoked=True)),
        ([FREE, REVOKED], Standing(1, revoked=True)),
        ([PAID, WITHDRAWN], Standing(1, granted=True, holds_funds=True, withdrawn=True)),
        ([WITHDRAWN, PAID, refunded(49900)], Standing(1, granted=True, refunded=True, withdrawn=True)),
        ([FREE, WITHDRAWN], Standing(1, withdrawn=True)),
    ],
)
def test_a_standing_is_derived_from_the_facts_of_its_payment(facts: list[object], expected: Standing) -> None:
    assert standing_of(payment(*facts)) == expected  # type: ignore[arg-type]


def test_the_attempt_counter_never_decreases() -> None:
    enrollment_after_four = Enrollment(user_id="u", track="DP", attempt=4)
    assert enrollment_after_four.with_payment(payment()).attempt == 4
    assert Enrollment(user_id="u", track="DP").with_payment(payment()).attempt == 1


def test_a_payment_closed_unpaid_has_no_standing() -> None:
    opened = Enrollment(user_id="u", track="DP").with_payment(payment())
    closed = opened.with_payment(payment(CLOSED))
    assert (len(opened.standings), closed.standings, closed.attempt) == (1, {}, 1)
    assert closed.with_payment(payment(CLOSED, PAID)).status == "ENROLLED"  # settled outranks closed


def test_open_payments_are_sorted_by_attempt_newest_first() -> None:
    first, second, third = (Standing(attempt, open=True) for attempt in (1, 2, 3))
    assert enrollment(a=first, c=third, b=Standing(2), d=second).open_payments == ["c", "d", "a"]


def test_an_open_plan_is_no_open_payment() -> None:
    assert enrollment(pay_1=OPEN, pln_1=Standing(2, open=True)).open_payments == ["pay_1"]


def test_a_payment_of_a_plan_has_no_standing_of_its_own() -> None:
    assert replace(payment(PAID), plan="pln_1").grantor == "pln_1"
    assert payment(PAID).grantor == payment(PAID).payment_id


def test_the_double_payment_has_the_higher_attempt_or_else_the_higher_id() -> None:
    first, second = Standing(1, holds_funds=True), Standing(2, holds_funds=True)
    assert enrollment(z=first, a=second).doubled == ["a"]
    assert enrollment(z=first, a=first).doubled == ["z"]
    assert enrollment(z=first, a=ENDED).doubled == []


def test_a_plan_that_has_ended_is_no_double_payment() -> None:
    ended = Standing(1, granted=True, holds_funds=True)
    later = Standing(2, grants=True, granted=True, holds_funds=True)
    assert enrollment(pln_1=ended, pay_2=later).doubled == enrollment(pln_1=ended, pln_2=later).doubled == []
    assert enrollment(pln_1=replace(ended, grants=True), pay_2=later).doubled == ["pay_2"]
    assert enrollment(pln_1=replace(ended, suspended=True), pay_2=later).doubled == ["pay_2"]
    assert enrollment(pln_1=replace(ended, revoked=True), pay_2=later).doubled == ["pay_2"]
    assert enrollment(pay_1=ended, pay_2=later).doubled == ["pay_2"]


def test_the_money_of_a_withdrawal_is_no_double_payment_and_blocks_no_purchase() -> None:
    withdrawn = Standing(1, holds_funds=True, withdrawn=True)
    assert enrollment(a=withdrawn, b=Standing(2, grants=True, granted=True, holds_funds=True)).doubled == []
    assert not enrollment(a=withdrawn).undecided
    assert enrollment(a=withdrawn).refunded == {"a"}


def test_standings_survive_a_json_round_trip() -> None:
    stored = enrollment(a=GRANTS, b=Standing(2)).standings_to_json()
    assert {payment_id: Standing(**value) for payment_id, value in stored.items()} == {"a": GRANTS, "b": Standing(2)}
