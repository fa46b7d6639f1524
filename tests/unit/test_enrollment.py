"""A user in a track: enrolled while one payment grants, whatever became of the others."""

import pytest

from tests.unit.test_payment import CLOSED, PAID, disputed, payment, refunded
from tuition.core.enrollment import Enrollment, Standing, standing_of


def enrollment(**standings: Standing) -> Enrollment:
    return Enrollment(user_id="u", track="DP", standings=standings)


OPEN, GRANTS = Standing(1, open=True), Standing(1, grants=True, granted=True, holds_funds=True)
ENDED = Standing(1, granted=True)


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
    ],
)
def test_status_follows_from_the_standings(standings: dict[str, Standing], status: str | None) -> None:
    assert enrollment(**standings).status == status


def test_a_late_refund_of_an_old_attempt_cannot_withdraw_who_paid_again() -> None:
    paid_again = enrollment(old=GRANTS, new=GRANTS)
    old = payment(PAID, refunded(49900))
    assert paid_again.with_payment(old).status == "ENROLLED"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], OPEN),
        ([PAID], GRANTS),
        ([CLOSED], Standing(1)),
        ([PAID, refunded(49900)], ENDED),
        ([PAID, disputed("lost")], ENDED),
        ([PAID, disputed("under_review")], GRANTS),
        ([PAID, disputed("prevented"), refunded(20000)], Standing(1, granted=True, holds_funds=True)),
    ],
)
def test_a_standing_is_what_one_payment_means(told: list[object], expected: Standing) -> None:
    assert standing_of(payment(*told)) == expected  # type: ignore[arg-type]


def test_the_counter_rises_with_a_payment_and_never_falls() -> None:
    begun = Enrollment(user_id="u", track="DP", attempt=4)
    assert begun.with_payment(payment()).attempt == 4
    assert Enrollment(user_id="u", track="DP").with_payment(payment()).attempt == 1


def test_what_was_closed_unpaid_leaves_no_standing() -> None:
    begun = Enrollment(user_id="u", track="DP").with_payment(payment())
    closed = begun.with_payment(payment(CLOSED))
    assert (len(begun.standings), closed.standings, closed.attempt) == (1, {}, 1)
    assert closed.with_payment(payment(CLOSED, PAID)).status == "ENROLLED"  # money that is in counts after all


def test_open_payments_come_newest_attempt_first() -> None:
    found = enrollment(a=Standing(1, open=True), c=Standing(3, open=True), b=Standing(2), d=Standing(2, open=True))
    assert found.open_payments == ["c", "d", "a"]


def test_the_double_is_the_higher_attempt_then_the_higher_id() -> None:
    first, second = Standing(1, holds_funds=True), Standing(2, holds_funds=True)
    assert enrollment(z=first, a=second).doubled == ["a"]
    assert enrollment(z=first, a=first).doubled == ["z"]
    assert enrollment(z=first, a=ENDED).doubled == []


def test_standings_come_back_from_json_as_they_were() -> None:
    stored = enrollment(a=GRANTS, b=Standing(2)).standings_to_json()
    assert {key: Standing(**value) for key, value in stored.items()} == {"a": GRANTS, "b": Standing(2)}
