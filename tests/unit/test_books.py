"""The comparison of a movement of Stripe's balance with what our payment has of it."""

import json
from typing import Literal

import pytest

from tuition.core import books
from tuition.core.books import Findings, Movement, Row
from tuition.core.facts import Balance, Dispute, Facts, Refund, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment

PAID = Facts(settled=Settled(49900, "usd", 10))
REFUNDED = Facts(settled=PAID.settled, refunds={"source_1": Refund("succeeded", 100, 30)})
CLAIMED = Facts(claims={"pi_other": Settled(30000, "usd", 20)})


def payment(facts: Facts) -> Payment:
    return Payment(
        payment_id="pay_1",
        user_id="u",
        track="DP",
        kind="intent",
        attempt=1,
        stripe_object_id="pi_1",
        price=Money(49900, "usd"),
        created_at="2026-11-23T00:00:00.000Z",
        updated_at="2026-11-23T00:00:00.000Z",
        facts=facts,
    )


def moved(kind: Literal["charge", "refund", "dispute"], intent: str, amount: int) -> Movement:
    balance = Balance(0, amount, "usd")
    return Movement("txn_1", kind, "2026-11-23", "source_1", intent, amount, "usd", 30, balance)


@pytest.mark.parametrize(
    ("facts", "movement", "ours"),
    [
        (PAID, moved("refund", "pi_1", -100), 0),
        (REFUNDED, moved("refund", "pi_1", -100), -100),
        (CLAIMED, moved("charge", "pi_other", 30000), 30000),
        (CLAIMED, moved("refund", "pi_other", -30000), -30000),
        (CLAIMED, moved("dispute", "pi_other", -40000), -30000),
        (CLAIMED, moved("refund", "pi_unknown", -30000), 0),
    ],
)
def test_a_movement_is_explained_by_the_payment_or_by_its_claims(facts: Facts, movement: Movement, ours: int) -> None:
    assert books.our_amount(payment(facts), movement) == ours


@pytest.mark.parametrize(
    ("amounts", "twice"),
    [
        ([-100], []),
        ([-100, 100], []),
        ([-100, -100], ["txn_1"]),
        ([-100, 100, -100], []),
        ([-100, -100, -100], ["txn_1", "txn_2"]),
        ([100, -100, -100, -100], ["txn_3"]),
    ],
)
def test_a_later_movement_of_a_source_in_the_same_direction_is_one_too_many(
    amounts: list[int], twice: list[str]
) -> None:
    """In every order, and not if the money came back in between."""
    lost = Facts(settled=PAID.settled, disputes={"source_1": Dispute(1, "lost", 100, 30, "fraudulent")})
    movements = [
        moved("dispute", "pi_1", amount)._replace(transaction_id=f"txn_{number}", created=30 + number)
        for number, amount in enumerate(amounts)
    ]
    for order in (movements, movements[::-1]):
        assert [row.ids[-1] for row in books.duplicates(payment(lost), order)] == twice


def row(kind: Literal["charge", "chain"], day: str, ours: int, stripe: int, *ids: str) -> Row:
    return Row(kind, day, "usd" if kind == "charge" else None, ours, stripe, ids)


def test_findings_of_tasks_add_up_and_survive_storing() -> None:
    first, second = Findings(checked=1), Findings(checked=2, failed={"pay_3": "no"})
    first.list_row(row("charge", "2026-11-23", 100, 100, "pay_1", "ch_1"))
    first.list_row(row("charge", "2026-11-23", 0, 70, "pay_2", "ch_2"))
    second.others += [row("charge", "2026-11-23", 0, 70, "pay_2", "ch_2")] * 2  # the same one, counted already
    second.others += [row("chain", "2026-11-23", 1, 0, "pay_2")] * 2  # two tasks found it
    whole = Findings()
    for part in (first, second):
        whole.add(Findings.from_json(json.loads(json.dumps(part.to_json()))))
    assert (whole.checked, whole.failed) == (3, {"pay_3": "no"})
    assert [(one.kind, one.ours, one.stripe, one.ids) for one in whole.by_group()] == [
        ("chain", 1, 0, ("pay_2",)),
        ("charge", 100, 170, ("pay_2", "ch_2")),
    ]


def test_findings_of_a_later_release_are_read_without_its_new_fields() -> None:
    findings = Findings(others=[row("chain", "2026-11-23", 1, 0, "pay_1")])
    findings.list_row(row("charge", "2026-11-23", 0, 70, "pay_2", "ch_2"))
    stored = findings.to_json()
    later = {**stored, "new": 1} | {name: [{**one, "new": 1} for one in stored[name]] for name in ("listed", "others")}
    assert Findings.from_json(later) == findings


def test_the_report_of_a_day_replaces_the_day_and_may_be_repeated() -> None:
    findings = Findings(others=[row("chain", "2026-11-23", 1, 0, "pay_1")])
    findings.list_row(row("charge", "2026-11-23", 0, 70, "pay_2", "ch_2"))
    report = books.with_day({"through": "2026-11-22"}, findings, "2026-11-23", set(), "now")
    assert books.with_day(report, findings, "2026-11-23", {"pay_1"}, "now") == report
    assert [(one["kind"], one["ids"]) for one in report["differences"]] == [
        ("charge", ["pay_2", "ch_2"]),
        ("chain", ["pay_1"]),
    ]
    late = Findings(others=[row("charge", "2026-11-23", 5, 0, "pay_9", "ch_9")])
    for _ in range(2):
        report = books.with_day(report, late, "2026-11-24", set(), "now")
        (charges,) = [one for one in report["differences"] if one["kind"] == "charge"]
        assert (charges["day"], charges["ours"], charges["stripe"]) == ("2026-11-23", 5, 70)
        assert list(report["open"]) == [{"kind": "chain", "ids": ["pay_1"]}]
    assert books.with_day(report, Findings(), "2026-11-25", {"pay_1"}, "now")["open"] == []


def test_a_difference_names_its_amounts_in_their_currency_and_a_number_without_one() -> None:
    rows = [row("charge", "2026-11-23", 49_900, 4_990, "pay_1", "ch_1"), row("chain", "2026-11-23", 2, 3, "pay_1")]
    assert books.problem(rows) == "ch_1: ours 499.00 USD, Stripe's 49.90 USD; pay_1: ours 2, Stripe's 3"
    assert books.comparison(5_000, 0, "jpy") == "ours 5000 JPY, Stripe's 0 JPY"
