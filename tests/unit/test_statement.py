"""The lines of a statement, their kinds, and their sums."""

from dataclasses import replace
from typing import Any

import pytest

from tuition.core import statement
from tuition.core.errors import EventUnusable, Unprocessable
from tuition.core.facts import Dispute, Facts, Refund, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.statement import Line, PlanSum, Sum
from tuition.views import statement as view

AT = 1_793_534_399  # 2026-11-01T11:59:59Z
PAYMENT = Payment(
    payment_id="pay_1", user_id="u", track="DP", kind="intent", attempt=1, stripe_object_id="pi_1",
    price=Money(49_900, "usd"), created_at="2026-10-31T18:30:00.000Z", updated_at="2026-10-31T18:30:00.000Z",
    facts=Facts(
        settled=Settled(49_900, "usd", AT),
        intent="pi_1",
        refunds={"re_1": Refund("succeeded", 100, AT), "re_2": Refund("failed", 50, AT)},
        disputes={"du_1": Dispute(1, "won", 49_900, AT, "fraudulent")},
    ),
)  # fmt: skip
CHARGE = {"id": "ch_1", "object": "charge", "amount_captured": 49_900, "status": "succeeded", "currency": "usd"}
CHARGE["payment_intent"] = "pi_1"
REFUND = {
    "id": "re_1",
    "object": "refund",
    "amount": 100,
    "currency": "usd",
    "charge": "ch_1",
    "payment_intent": "pi_1",
}
DISPUTE = {**REFUND, "id": "du_1", "object": "dispute", "amount": 49_900}


def transaction(type_: str, amount: int, source: Any, fee: int = 0, **more: Any) -> dict[str, Any]:
    fields = {"id": "txn_1", "object": "balance_transaction", "created": AT, "available_on": AT, "currency": "usd"}
    fields |= {"type": type_, "amount": amount, "fee": fee, "net": amount - fee, "source": source, "description": None}
    return fields | more


def line(one: dict[str, Any], payment: Payment | None = PAYMENT, payout: str | None = None) -> Line:
    return statement.line(one, statement.movement(one), payment, payout)


@pytest.mark.parametrize(
    ("one", "kind", "explained", "ours"),
    [
        (transaction("charge", 49_900, CHARGE, 1_477), "charge", True, 49_900),
        (transaction("charge", 49_800, {**CHARGE, "amount_captured": 49_800}), "charge", False, 49_900),
        (transaction("refund", -100, REFUND), "refund", True, -100),
        (transaction("refund", -100, {**REFUND, "id": "re_none"}), "refund", False, 0),
        (transaction("refund_failure", 50, {**REFUND, "id": "re_2", "amount": 50}), "refund", True, 50),
        (transaction("refund_failure", 100, REFUND), "refund", False, 0),
        (transaction("adjustment", -49_900, DISPUTE, 1_500), "dispute", True, -49_900),
        (transaction("adjustment", 49_900, DISPUTE, -1_500), "dispute", True, 49_900),
    ],
)
def test_a_line_is_explained_if_its_payment_has_the_same_amount(
    one: dict[str, Any], kind: str, explained: bool, ours: int
) -> None:
    shown = line(one)
    assert (shown.kind, shown.explained, shown.our_amount, shown.payment_id) == (kind, explained, ours, "pay_1")
    assert (shown.charge, shown.payment_intent) == ("ch_1", "pi_1")


def test_a_second_movement_of_the_same_charge_is_not_explained_as_in_the_daily_audit() -> None:
    """The payment explains one of two. Money that came back may leave again."""
    first = transaction("charge", 49_900, CHARGE, 1_477)
    second = {**first, "id": "txn_2", "created": AT + 60}
    moved = statement.movement(first)
    assert moved
    audited = replace(PAYMENT, facts=replace(PAYMENT.facts, balance_transactions={"txn_1": moved.fact}))
    shown = line(second, audited)
    assert (shown.kind, shown.explained, shown.our_amount, shown.source_amount) == ("charge", False, 0, 49_900)
    assert line(first, audited).explained
    disputes = {}
    for number, sign in enumerate((-1, 1, -1)):
        one = {**transaction("adjustment", sign * 49_900, DISPUTE), "id": f"txn_{number}", "created": AT + number}
        moved = statement.movement(one)
        assert moved
        disputes[moved.transaction_id] = moved.fact
        appealed = replace(PAYMENT, facts=replace(PAYMENT.facts, balance_transactions=disputes))
        assert line(one, appealed).explained, number


@pytest.mark.parametrize(
    ("one", "kind", "explained"),
    [
        (transaction("charge", 49_900, CHARGE), "unknown_charge", False),
        (transaction("refund", -100, REFUND), "unknown_refund", False),
        (transaction("adjustment", -49_900, DISPUTE), "unknown_dispute", False),
        (transaction("adjustment", 5, None), "adjustment", False),
        (transaction("stripe_fee", -5, None), "stripe_fee", False),
        (transaction("stripe_fx_fee", -5, None), "stripe_fee", False),
        (transaction("contribution", -5, None), "contribution", False),
        (transaction("reserved_funds", -5, "rsv_1"), "other", False),
        (transaction("a_type_of_next_year", -5, {"id": "x", "object": "next"}), "other", False),
        (transaction("payout", -5, "po_1"), "payout", True),
        (transaction("payout_failure", 5, {"id": "po_1", "object": "payout"}), "payout", True),
    ],
)
def test_a_line_without_a_payment_has_a_kind_of_its_own(one: dict[str, Any], kind: str, explained: bool) -> None:
    shown = line(one, payment=None)
    assert (shown.kind, shown.explained, shown.payment_id) == (kind, explained, None)
    assert shown.payout == ("po_1" if kind == "payout" else None)
    assert line(one, None, "po_2").payout == "po_2"


@pytest.mark.parametrize(
    ("one", "source"),
    [
        (transaction("charge", 49_900, CHARGE), None),
        (transaction("refund", -100, REFUND), None),
        (transaction("adjustment", -49_900, DISPUTE), None),
        (transaction("payout", -5, "po_1"), None),
        (transaction("stripe_fee", -5, None), None),
        (transaction("reserved_funds", -5, "rsv_1"), "rsv_1"),
        (transaction("transfer", -5, {"id": "tr_1", "object": "transfer"}), "tr_1"),
        (transaction("a_type_of_next_year", -5, {"id": 5, "object": "next"}), None),
    ],
)
def test_the_id_of_a_source_of_another_kind_has_a_column_of_its_own(one: dict[str, Any], source: str | None) -> None:
    shown = line(one, payment=None)
    assert shown.source == source
    (row,) = view.rows([shown])
    assert dict(zip(view.HEADER, row, strict=True))["source"] == (source or "")


def test_an_unreadable_source_never_hides_its_line() -> None:
    shown = line(transaction("charge", 49_900, {**CHARGE, "id": 5, "payment_intent": "\u00e9"}))
    assert (shown.kind, shown.explained, shown.charge, shown.payment_intent) == ("charge", False, None, None)
    assert shown.net == 49_900


@pytest.mark.parametrize("change", [{"net": 1}, {"amount": 1.5}, {"amount": None}, {"fee": "1"}, {"currency": None}])
def test_amounts_that_cannot_be_read_or_do_not_add_up_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(EventUnusable):
        line({**transaction("charge", 49_900, CHARGE, 1_477), **change})


def test_the_totals_of_each_currency_add_up_to_all_lines() -> None:
    lines = [
        line(transaction("charge", 49_900, CHARGE, 1_477)),
        line(transaction("refund", -100, REFUND)),
        line(transaction("adjustment", -49_900, DISPUTE, 1_500)),
        line(transaction("adjustment", 49_900, DISPUTE, -1_500)),
        line(transaction("stripe_fee", -5, None), None),
        line(transaction("charge", 700, {**CHARGE, "id": "ch_2"}, 50), None),
        line(transaction("payout", -9, "po_1"), None),
        line(transaction("contribution", -3, None, currency="eur"), None),
    ]
    euro, dollar = statement.totals(statement.add([], lines))
    assert (euro.currency, euro.net, euro.other, euro.balance_change) == ("eur", 0, -3, -3)
    assert (dollar.settled, dollar.refunded, dollar.lost, dollar.fees) == (49_900, -100, 0, -1_477)
    assert (dollar.net, dollar.other, dollar.paid_out) == (48_323, 645, -9)
    assert dollar.balance_change == sum(one.net for one in lines if one.currency == "usd")


def test_the_sums_by_kind_of_plan_add_up_to_the_totals_of_payments() -> None:
    of_plan = replace(PAYMENT, plan="pln_1", covers=(1, 2))
    of_membership = replace(of_plan, track=None, membership="ALL")
    lines = [
        line(transaction("charge", 49_900, CHARGE, 1_477)),
        line(transaction("charge", 49_900, CHARGE, 1_477), of_plan),
        line(transaction("refund", -100, REFUND), of_plan),
        line(transaction("adjustment", -49_900, DISPUTE, 1_500), of_membership),
        line(transaction("charge", 700, {**CHARGE, "id": "ch_2"}, 50), None),
        line(transaction("payout", -9, "po_1"), None),
    ]
    by_plan = statement.add_by_plan(statement.add_by_plan([], lines[3:]), lines[:3])
    assert by_plan == [
        PlanSum(None, "usd", 1, 49_900, 0, 0, -1_477, 48_423),
        PlanSum("installments", "usd", 2, 49_900, -100, 0, -1_477, 48_323),
        PlanSum("membership", "usd", 1, 0, 0, -49_900, -1_500, -51_400),
    ]
    (total,) = statement.totals(statement.add([], lines))
    for name in ("settled", "refunded", "lost", "fees", "net"):
        assert sum(getattr(one, name) for one in by_plan) == getattr(total, name)
    assert (lines[1].plan_id, lines[1].covers, lines[1].to_json()["covers"]) == ("pln_1", (1, 2), [1, 2])


def test_sums_are_the_same_in_any_order_and_in_any_batches() -> None:
    lines = [line(transaction("refund", -n, REFUND)) for n in range(1, 8)]
    lines += [line(transaction("charge", 49_900, CHARGE, 1_477))] * 3
    whole = statement.add([], lines)
    assert statement.add(statement.add([], lines[5:]), reversed(lines[:5])) == whole
    assert statement.merged([*whole, *whole]) == statement.add(whole, lines)


def test_a_payout_ties_out_without_its_own_balance_transactions() -> None:
    fields = {"id": "po_1", "object": "payout", "created": AT, "arrival_date": AT, "status": "paid", "amount": 48_318}
    fields |= {"currency": "usd", "automatic": True, "balance_transaction": "txn_own", "reconciliation_status": None}
    payout = statement.payout(fields)
    assert (payout.difference, payout.listed, payout.reconciliation_status) == (48_318, False, "unknown")
    own = line(transaction("payout", -48_318, "po_1", id="txn_own"), None, "po_1")
    lines = [line(transaction("charge", 49_900, CHARGE, 1_477)), line(transaction("refund", -100, REFUND)), own]
    part = statement.with_lines(payout, lines)
    assert (part.difference, part.listed) == (-5, True)
    assert statement.with_lines(part, [line(transaction("stripe_fee", -5, None), None)]).difference == 0
    assert view.stored_payout(part.to_json()) == part


@pytest.mark.parametrize(
    ("month", "ordered_at", "first", "last"),
    [
        ("2026-11", "2027-01-05T00:00:00.000Z", "2026-11-01T00:00:00", "2026-11-30T23:59:59"),
        ("2026-12", "2027-01-05T00:00:00.000Z", "2026-12-01T00:00:00", "2026-12-31T23:59:59"),
        ("2028-02", "2028-05-05T00:00:00.000Z", "2028-02-01T00:00:00", "2028-02-29T23:59:59"),
        ("2026-11", "2026-11-05T10:00:00.900Z", "2026-11-01T00:00:00", "2026-11-05T10:00:00"),
    ],
)
def test_a_month_ends_with_its_last_second_or_with_the_order(
    month: str, ordered_at: str, first: str, last: str
) -> None:
    bounds = tuple(int(view.timestamps.epoch(f"{each}Z")) for each in (first, last))
    assert view.bounds(month, ordered_at) == bounds


@pytest.mark.parametrize("month", [None, "", "2026-00", "2026-1", "2019-12", "2026-11 ", "\uff12026-11", "2026-11\n"])
def test_a_text_that_is_no_month_is_refused(month: Any) -> None:
    with pytest.raises(Unprocessable):
        view.parse_month(month, AT)


def test_each_row_has_a_cell_for_each_column_and_money_without_floats() -> None:
    texts = ("=1+1", "2026-11-01T11:59:59.000Z")
    one = line(transaction("charge", -7, None, 3, currency="jpy", description=texts[0]), None)
    (row,) = view.rows([one])
    cells = dict(zip(view.HEADER, row, strict=True))
    assert (cells["description"], cells["created_at"], cells["date"]) == (f"'{texts[0]}", texts[1], "2026-11-01")
    assert (cells["amount"], cells["amount_decimal"], cells["net_decimal"]) == (-7, "-7", "-10")
    assert not any(isinstance(cell, float) for cell in row)
    records = [{name: str(cell) for name, cell in cells.items()}] * 2_500
    assert view.file_sums(records).sums == [Sum("other", "jpy", False, 2_500, -17_500, 7_500, -25_000)]
