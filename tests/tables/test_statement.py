"""The accountant's statement of a month and the tie-out by payout: they add up, and leave no line out."""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests import plan_calls
from tests.harness import Harness, Student
from tests.tables.test_exports import ONE, ORDER, ExportFiles
from tests.tables.test_exports import files as files
from tests.tables.test_plans import member
from tests.tables.test_received_amounts import buy_in_euro
from tuition.core import payment as payments
from tuition.core import timestamps
from tuition.core.errors import StripeRefused, StripeUnavailable
from tuition.storage import keys, queries
from tuition.stripe_gateway import client as stripe_client
from tuition.views import exports, statement

DAY = 86_400
FEE = 1_477
"""Stripe's fee of 49900: 2.9 % + 0.30."""
DISPUTE_FEE = 1_500
MONTH = "2026-11"


@dataclass
class Accountant:
    """A member of staff who may export, with the exports' bucket."""

    tuition: Harness
    files: ExportFiles
    admin: Student

    def order(self, kind: str, month: str = MONTH) -> str:
        response = self.tuition.admin(self.admin, ORDER, {"kind": kind, "month": month})
        assert response.status == 202, response.body
        return str(response.body["export_id"])

    def read(self, export_id: str) -> dict[str, Any]:
        response = self.tuition.admin(self.admin, ONE, export_id=export_id)
        assert response.status == 200, response.body
        return dict(response.body)

    def make(self, kind: str, month: str = MONTH) -> tuple[dict[str, Any], list[dict[str, str]]]:
        """Order a file, run it until it is done, and return its summary and its rows."""
        export_id = self.order(kind, month)
        assert [run["state"] for run in self.files.run()] == ["done"]
        done = self.read(export_id)
        rows = self.files.table(export_id, kind)
        assert done["rows"] == len(rows)
        return done["statement"] or done["tie_out"], rows

    def total(self, month: str = MONTH, currency: str = "usd") -> dict[str, int]:
        """Return the total of a month in a currency, which its rows must equal; zeros if there is none."""
        summary, rows = self.make("statement", month)
        for one in summary["totals"]:
            own = [row for row in rows if row["currency"] == one["currency"]]
            assert one["balance_change"] == sum(int(row["net"]) for row in own)
            assert one["settled"] == sum(int(row["amount"]) for row in own if row["kind"] == "charge")
            assert one["net"] == one["settled"] + one["refunded"] + one["lost"] + one["fees"]
            assert one["balance_change"] == one["net"] + one["other"] + one["paid_out"]
            by_plan = [part for part in summary["by_plan"] if part["currency"] == one["currency"]]
            for name in ("settled", "refunded", "lost", "fees", "net"):
                assert sum(part[name] for part in by_plan) == one[name]
        names = ("settled", "refunded", "lost", "fees", "net", "other", "paid_out", "balance_change")
        total = next((one for one in summary["totals"] if one["currency"] == currency), {})
        return {name: total.get(name, 0) for name in names}


@pytest.fixture
def accountant(tuition: Harness, files: ExportFiles, admin: Student, empty_tables: None) -> Accountant:
    """An accountant at noon of 2026-11-10."""
    tuition.freeze_time(datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp())
    return Accountant(tuition, files, admin)


def deliver(tuition: Harness) -> None:
    tuition.advance_time(5)
    tuition.deliver_all()


def someone(name: str) -> Student:
    """Return a student who has bought nothing, because tests share the tables."""
    return Student(f"{name}-{uuid.uuid4().hex}")


def bought(tuition: Harness, user: str, method: str = "pm_card_visa") -> dict[str, Any]:
    purchase = tuition.create(someone(user)).body
    tuition.pay(purchase["payment_intent_id"], method)
    deliver(tuition)
    return dict(purchase)


def refund(tuition: Harness, purchase: dict[str, Any], amount: int) -> dict[str, Any]:
    return tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=amount)


def dispute(tuition: Harness, purchase: dict[str, Any], status: str = "needs_response") -> str:
    opened = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=purchase["payment_intent_id"], status=status)
    return str(opened["id"])


# --- the statement ---


def test_a_month_adds_up_over_refunds_disputes_fees_and_currencies(accountant: Accountant, tuition: Harness) -> None:
    refunded, lost, won, failed = (bought(tuition, user) for user in ("refunded", "lost", "won", "failed"))
    for amount in (5_000, 700):
        refund(tuition, refunded, amount)
    returned = refund(tuition, failed, 49_900)
    tuition.at_stripe("POST", "/_sim/refunds", refund=returned["id"], status="failed")
    dispute(tuition, lost, "lost")
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute(tuition, won), status="won")
    euro = buy_in_euro(tuition, someone("euro"))
    deliver(tuition)
    assert accountant.total() == {
        "settled": 4 * 49_900,
        "refunded": -5_700,
        "lost": -49_900,
        "fees": -4 * FEE - DISPUTE_FEE,
        "net": 4 * (49_900 - FEE) - 5_700 - 49_900 - DISPUTE_FEE,
        "other": 0,
        "paid_out": 0,
        "balance_change": 4 * (49_900 - FEE) - 5_700 - 49_900 - DISPUTE_FEE,
    }
    in_euro = accountant.total(currency="eur")
    assert (in_euro["settled"], in_euro["fees"], in_euro["net"]) == (10_000, -320, 9_680)
    summary, rows = accountant.make("statement")
    assert (summary["unexplained_lines"], summary["unexplained"], summary["complete"]) == (0, [], False)
    assert {row["explained"] for row in rows} == {"yes"}
    assert {row["payment_id"] for row in rows if row["currency"] == "eur"} == {euro}
    assert len(rows) == 4 + 2 + 2 + 1 + 2 + 1


def test_each_line_has_its_ids_and_its_amounts_as_integers_and_decimals(
    accountant: Accountant, tuition: Harness
) -> None:
    purchase = bought(tuition, "ada")
    refunded = refund(tuition, purchase, 5_000)
    disputed = dispute(tuition, purchase)
    deliver(tuition)
    _, rows = accountant.make("statement")
    by_kind = {row["kind"]: row for row in rows}
    payment = tuition.payment(purchase["payment_id"])
    for row in rows:
        assert row["balance_transaction"].startswith("txn_")
        assert (row["charge"], row["payment_intent"]) == (payment.stripe_charge_id, purchase["payment_intent_id"])
        assert (row["payment_id"], row["track"], row["date"]) == (purchase["payment_id"], "DP", "2026-11-10")
        assert (row["paid_at"], row["paid_date"]) == (payment.paid_at, "2026-11-10")
        assert row["our_amount"] == row["source_amount"]
    assert by_kind["refund"]["refund"] == refunded["id"] and by_kind["dispute"]["dispute"] == disputed
    charge = by_kind["charge"]
    names = ("amount", "amount_decimal", "fee", "fee_decimal", "net", "net_decimal")
    assert [charge[name] for name in names] == ["49900", "499.00", "1477", "14.77", "48423", "484.23"]
    taken = by_kind["dispute"]
    assert [taken[name] for name in names] == ["-44900", "-449.00", "1500", "15.00", "-46400", "-464.00"]


def test_a_line_names_its_plan_and_installments_and_each_kind_of_plan_has_its_sums(
    accountant: Accountant, tuition: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_calls.offer_plans(monkeypatch.setattr)
    student, other = someone("installments"), someone("member")
    first = plan_calls.started(tuition, student)
    payments_of_plan = [first]
    for what in ("next", "rest"):
        payments_of_plan.append(dict(plan_calls.pay(tuition, student, first["plan_id"], what).body))
        tuition.pay(payments_of_plan[-1]["payment_intent_id"])
        deliver(tuition)
    bought(tuition, "outright")
    membership = plan_calls.read(tuition, other, member(tuition, other))
    refund(tuition, payments_of_plan[1], 1_000)
    dispute(tuition, payments_of_plan[2], "lost")
    deliver(tuition)
    tuition.advance_time(60)  # the clock at Stripe is some seconds ahead
    accountant.total()
    summary, rows = accountant.make("statement")
    fees = {amount: round(amount * 0.029) + 30 for amount in (12_475, 24_950, 4_900)}
    assert {
        one["plan_kind"]: (one["lines"], one["settled"], one["refunded"], one["lost"], one["fees"])
        for one in summary["by_plan"]
    } == {
        None: (1, 49_900, 0, 0, -FEE),
        "installments": (5, 49_900, -1_000, -24_950, -2 * fees[12_475] - fees[24_950] - DISPUTE_FEE),
        "membership": (1, 4_900, 0, 0, -fees[4_900]),
    }
    shown = {(row["kind"], row["plan_id"], row["plan_kind"], row["covers"]) for row in rows}
    assert shown == {
        ("charge", "", "", ""),
        ("charge", membership["plan_id"], "membership", "1"),
        *(("charge", first["plan_id"], "installments", covers) for covers in ("1", "2", "3 4")),
        ("refund", first["plan_id"], "installments", "2"),
        ("dispute", first["plan_id"], "installments", "3 4"),
    }


@pytest.mark.parametrize(("second", "month"), [(59, "2026-10"), (60, "2026-11")])
def test_a_line_belongs_to_the_utc_month_of_its_balance_transaction(
    accountant: Accountant, tuition: Harness, second: int, month: str
) -> None:
    """A charge's balance transaction follows two seconds after the payment."""
    last_minute = datetime(2026, 10, 31, 23, 59, tzinfo=UTC).timestamp()
    tuition.freeze_time(last_minute + second - 2)
    purchase = tuition.create(someone("ada")).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_time(2)
    tuition.deliver_all()
    tuition.advance_time(DAY)
    totals = {each: accountant.total(each)["settled"] for each in ("2026-10", "2026-11")}
    assert totals == {"2026-10": 0, "2026-11": 0} | {month: 49_900}
    _, (row,) = accountant.make("statement", month)
    date = "2026-10-31" if second == 59 else "2026-11-01"
    assert (row["date"], row["paid_date"]) == (date, "2026-10-31")


@pytest.mark.parametrize("seed", [1, 2])
def test_the_statements_of_all_months_equal_the_facts_of_all_payments(
    accountant: Accountant, tuition: Harness, seed: int
) -> None:
    """A generated history of five months: partial refunds, disputes, late and repeated events in any order."""
    rng = random.Random(seed)
    tuition.freeze_time(datetime(2026, 6, 29, 12, tzinfo=UTC).timestamp())
    purchases: list[dict[str, Any]] = []
    open_disputes: list[str] = []

    def buy() -> None:
        purchase = tuition.create(someone("user"), rng.choice(["DP", "FSD"])).body
        tuition.pay(purchase["payment_intent_id"], rng.choice(["pm_card_visa", "pm_card_pendingRefund"]))
        purchases.append(purchase)

    def act() -> None:
        purchase = rng.choice(purchases)
        if rng.random() < 0.5:
            refund(tuition, purchase, rng.randint(1, 20_000))
        elif rng.random() < 0.6 or not open_disputes:
            open_disputes.append(dispute(tuition, purchase, rng.choice(["needs_response", "lost"])))
        else:
            status = rng.choice(["won", "lost"])
            tuition.at_stripe("POST", "/_sim/disputes", dispute=open_disputes.pop(), status=status)

    for _ in range(11):
        rng.choice([buy, act] if purchases else [buy])()
        tuition.advance_time(rng.randint(1, 18 * DAY))
        events = tuition.new_events()
        rng.shuffle(events)
        for event in [*events, *events[:2]]:
            tuition.deliver(event)
    stored = [tuition.payment(one["payment_id"]) for one in purchases]
    assert all(one.facts.settled for one in stored)
    withdrawn = sum(dispute.withdrawn for one in stored for dispute in one.facts.disputes.values())
    months = [f"2026-{n:02}" for n in range(6, 13)] + [f"2027-{n:02}" for n in range(1, 13)]
    now = datetime.fromtimestamp(tuition.time_source() + tuition.offset_s, UTC)
    totals = [accountant.total(month) for month in months if month <= now.strftime("%Y-%m")]
    sums = {name: sum(one[name] for one in totals) for name in ("settled", "refunded", "lost", "fees", "net")}
    assert sums["settled"] == sum(one.facts.settled.amount for one in stored)
    assert sums["refunded"] == -sum(payments.refunded_amount(one.facts) for one in stored)
    settled_at = [timestamps.iso(charge.created + 2)[:10] for one in stored for charge in one.facts.charges.values()]
    for day in sorted(set(settled_at)):
        tuition.run_audit(days={"from": day, "to": day})
    balances = [tuition.payment(one["payment_id"]).facts.balance for one in purchases]
    disputes = sum(bool(d.withdrawn) for one in stored for d in one.facts.disputes.values())
    assert sums["fees"] == -sum(balance.fee for balance in balances) - DISPUTE_FEE * disputes
    assert sums["lost"] == -withdrawn
    assert sums["net"] == sum(sums[name] for name in ("settled", "refunded", "lost", "fees"))


def test_a_line_without_a_payment_is_listed_and_never_dropped(accountant: Accountant, tuition: Harness) -> None:
    bought(tuition, "ada")
    for kind, amount in (("stripe_fee", -200), ("contribution", -50), ("adjustment", 7)):
        tuition.at_stripe("POST", "/_sim/balance_transactions", type=kind, amount=amount, currency="usd")
    foreign = tuition.at_stripe(
        "POST", "/v1/payment_intents", amount=1_000, currency="usd", confirm="true", payment_method="pm_card_visa",
        **{"automatic_payment_methods[enabled]": "true", "automatic_payment_methods[allow_redirects]": "never"},
    )  # fmt: skip
    deliver(tuition)
    refund(tuition, {"payment_intent_id": foreign["id"]}, 100)
    dispute(tuition, {"payment_intent_id": foreign["id"]})
    deliver(tuition)
    total = accountant.total()
    assert (total["settled"], total["net"]) == (49_900, 49_900 - FEE)
    assert total["other"] == -200 - 50 + 7 + (1_000 - 59) - 100 - 900 - DISPUTE_FEE
    summary, rows = accountant.make("statement")
    unexplained = {one["kind"]: one for one in summary["unexplained"]}
    expected = {"stripe_fee", "contribution", "adjustment", "unknown_charge", "unknown_refund", "unknown_dispute"}
    assert set(unexplained) == expected and summary["unexplained_lines"] == 6
    assert unexplained["unknown_charge"]["charge"] == foreign["latest_charge"]
    assert {row["kind"] for row in rows if row["explained"] == "no"} == expected
    assert {(one["kind"], one["lines"], one["explained"]) for one in summary["sums"]} == {
        ("charge", 1, True),
        *((kind, 1, False) for kind in expected),
    }


def test_a_refund_that_our_payment_does_not_know_is_not_explained(accountant: Accountant, tuition: Harness) -> None:
    purchase = bought(tuition, "ada")
    refunded = refund(tuition, purchase, 5_000)
    summary, rows = accountant.make("statement")
    (one,) = summary["unexplained"]
    assert (one["kind"], one["refund"], one["payment_id"]) == ("refund", refunded["id"], purchase["payment_id"])
    assert (one["source_amount"], one["our_amount"]) == (-5_000, 0)
    assert {row["kind"]: row["explained"] for row in rows} == {"charge": "yes", "refund": "no"}
    deliver(tuition)
    assert accountant.make("statement")[0]["unexplained"] == []


def test_a_charge_whose_pointers_a_restore_lost_is_found_by_its_metadata(
    accountant: Accountant, tuition: Harness
) -> None:
    purchase = bought(tuition, "ada")
    refund(tuition, purchase, 5_000)
    deliver(tuition)
    charge = tuition.payment(purchase["payment_id"]).stripe_charge_id
    for stripe_id in (purchase["payment_intent_id"], charge):
        tuition.tables.delete_item(TableName="stripe_objects", Key=keys.stripe_object_key(stripe_id))
    _, rows = accountant.make("statement")
    shown = {row["kind"]: (row["payment_id"], row["explained"]) for row in rows}
    assert shown == {"charge": (purchase["payment_id"], "yes"), "unknown_refund": ("", "no")}


def test_a_description_that_begins_a_formula_is_text(accountant: Accountant, tuition: Harness) -> None:
    text = '=HYPERLINK("https://evil.example")'
    body: dict[str, Any] = {"type": "adjustment", "amount": -7, "currency": "usd", "description": text}
    tuition.at_stripe("POST", "/_sim/balance_transactions", **body)
    _, (row,) = accountant.make("statement")
    assert (row["description"], row["amount_decimal"]) == (f"'{text}", "-0.07")


def test_a_statement_of_a_month_without_lines_is_empty(accountant: Accountant) -> None:
    summary, rows = accountant.make("statement", "2026-08")
    assert (rows, summary["totals"], summary["sums"], summary["complete"]) == ([], [], [], True)
    assert summary["through"] == "2026-08-31T23:59:59.000Z"


# --- the tie-out ---


def test_a_payout_ties_out_with_the_payments_of_two_months(accountant: Accountant, tuition: Harness) -> None:
    tuition.freeze_time(datetime(2026, 10, 30, 12, tzinfo=UTC).timestamp())
    early = bought(tuition, "early")
    tuition.advance_time(5 * DAY)
    late = bought(tuition, "late")
    refund(tuition, late, 900)
    tuition.at_stripe("POST", "/_sim/balance_transactions", type="stripe_fee", amount=-200, currency="usd")
    deliver(tuition)
    tuition.advance_time(3 * DAY)
    payout = tuition.at_stripe("POST", "/_sim/payouts", currency="usd")
    summary, rows = accountant.make("payouts")
    (shown,) = summary["payouts"]
    assert shown["amount"] == payout["amount"] == 2 * (49_900 - FEE) - 900 - 200
    assert (shown["payout_id"], shown["difference"], shown["listed"]) == (payout["id"], 0, True)
    assert {(one["kind"], one["lines"], one["explained"]) for one in shown["sums"]} == {
        ("charge", 2, True),
        ("refund", 1, True),
        ("stripe_fee", 1, False),
    }
    assert {row["payout"] for row in rows} == {payout["id"]}
    assert {row["payment_id"] for row in rows} == {early["payment_id"], late["payment_id"], ""}
    assert sum(int(row["net"]) for row in rows) == 0
    (one,) = summary["unexplained"]
    assert (one["kind"], one["payout"]) == ("stripe_fee", payout["id"])
    total = accountant.total()
    assert total["paid_out"] == -payout["amount"]


def test_a_failed_payout_returns_and_a_manual_one_is_not_tied_out(accountant: Accountant, tuition: Harness) -> None:
    bought(tuition, "ada")
    failed = tuition.at_stripe("POST", "/_sim/payouts", currency="usd", include_pending=True)
    tuition.at_stripe("POST", "/_sim/payouts", payout=failed["id"], status="failed")
    tuition.advance_time(60)
    again = tuition.at_stripe("POST", "/_sim/payouts", currency="usd")
    bought(tuition, "bob")
    manual = tuition.at_stripe("POST", "/_sim/payouts", currency="usd", include_pending=True, amount=1_000)
    tuition.advance_time(60)
    summary, rows = accountant.make("payouts")
    by_id = {one["payout_id"]: one for one in summary["payouts"]}
    assert list(by_id) == [manual["id"], again["id"], failed["id"]]
    assert {payout_id: one["difference"] for payout_id, one in by_id.items()} == {
        manual["id"]: 1_000,
        again["id"]: 0,
        failed["id"]: 0,
    }
    assert (by_id[manual["id"]]["listed"], by_id[manual["id"]]["sums"]) == (False, [])
    assert by_id[failed["id"]]["status"] == "failed" and by_id[failed["id"]]["failure_balance_transaction"]
    (returned,) = by_id[again["id"]]["sums"]
    assert (returned["kind"], returned["amount"], returned["explained"]) == ("payout", failed["amount"], True)
    assert len(rows) == 2 + 2
    assert accountant.total()["paid_out"] == -again["amount"] - 1_000


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_payout_that_stripe_does_not_list_does_not_hide_the_others(
    accountant: Accountant, tuition: Harness, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Stripe lists what most automatic payouts include, not of all. A key without the right fails the whole file."""
    bought(tuition, "ada")
    first = tuition.at_stripe("POST", "/_sim/payouts", currency="usd", include_pending=True)
    bought(tuition, "bob")
    second = tuition.at_stripe("POST", "/_sim/payouts", currency="usd", include_pending=True)
    tuition.advance_time(60)
    list_ = stripe_client.list_paid_out

    def refuse(payout: str, after: str | None) -> Any:
        if payout == second["id"]:
            raise StripeRefused("Balance transaction history cannot be listed.", status, "invalid_request_error", None)
        return list_(payout, after)

    monkeypatch.setattr(stripe_client, "list_paid_out", refuse)
    if status != 400:
        accountant.order("payouts")
        with pytest.raises(StripeRefused):
            accountant.files.run()
        return
    summary, rows = accountant.make("payouts")
    shown = {one["payout_id"]: one for one in summary["payouts"]}
    assert (shown[second["id"]]["listed"], shown[second["id"]]["difference"]) == (False, second["amount"])
    assert (shown[first["id"]]["listed"], shown[first["id"]]["difference"]) == (True, 0)
    assert {row["payout"] for row in rows} == {first["id"]}


def test_a_month_without_payouts_is_empty(accountant: Accountant) -> None:
    summary, rows = accountant.make("payouts")
    assert (summary["payouts"], rows) == ([], [])


# --- long months, and Stripe out of reach ---


def add_fees(tuition: Harness, count: int) -> None:
    for _ in range(count):
        tuition.at_stripe("POST", "/_sim/balance_transactions", type="stripe_fee", amount=-3, currency="usd")


def finish(accountant: Accountant, export_id: str, kind: str, seconds: float) -> list[dict[str, str]]:
    """Run an export until it is done, and return its rows."""
    for _ in range(20):
        accountant.files.run(seconds)
        if accountant.read(export_id)["state"] == "done":
            return accountant.files.table(export_id, kind)
    raise AssertionError("the export is not done")


@pytest.mark.parametrize("kind", ["statement", "payouts"])
def test_a_long_month_resumes_where_its_time_ended(accountant: Accountant, tuition: Harness, kind: str) -> None:
    tuition.at_stripe("POST", "/_sim/balance_transactions", type="adjustment", amount=10_000, currency="usd")
    add_fees(tuition, 350)
    tuition.at_stripe("POST", "/_sim/payouts", currency="usd")
    export_id = accountant.order(kind)
    assert [run["state"] for run in accountant.files.run(exports.LAST_S + 3)] == ["paused"]
    assert 0 < accountant.read(export_id)["rows"] < 352
    rows = finish(accountant, export_id, kind, exports.LAST_S + 3)
    assert len({row["balance_transaction"] for row in rows}) == len(rows) == 352
    done = accountant.read(export_id)
    summary = done["statement"] or done["tie_out"]
    assert (len(summary["unexplained"]), summary["unexplained_lines"]) == (statement.MAX_UNEXPLAINED, 351)
    if kind == "payouts":
        assert summary["payouts"][0]["difference"] == 0


def test_a_file_that_cannot_be_added_up_in_time_is_finished_by_the_next_invocation(
    accountant: Accountant, tuition: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_fees(tuition, 150)
    monkeypatch.setattr(exports, "ADD_UP_BYTES_S", 500)
    export_id = accountant.order("statement")
    assert [run["state"] for run in accountant.files.run(exports.LAST_S + 10)] == ["paused"]
    assert accountant.read(export_id)["statement"] is None
    monkeypatch.setattr(statement, "statement_page", None)  # Stripe is not asked again
    assert accountant.files.run() == [{"state": "done", "rows": 150}]
    assert accountant.read(export_id)["statement"]["totals"][0]["other"] == -450


def test_a_month_with_more_lines_than_a_file_may_have_fails_and_says_so(
    accountant: Accountant, tuition: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement, "MAX_LINES", 3)
    add_fees(tuition, 4)
    export_id = accountant.order("statement")
    assert [run["state"] for run in accountant.files.run()] == ["failed"]
    assert accountant.read(export_id)["problem"] == "The month has more than 3 balance transactions."


def test_more_payouts_than_a_file_may_have_fail_and_say_so(
    accountant: Accountant, tuition: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement, "MAX_PAYOUTS", 0)
    tuition.at_stripe("POST", "/_sim/balance_transactions", type="adjustment", amount=10_000, currency="usd")
    tuition.at_stripe("POST", "/_sim/payouts", currency="usd")
    export_id = accountant.order("payouts")
    accountant.files.run()
    assert accountant.read(export_id)["problem"] == "The month has more than 0 payouts."


def test_a_statement_waits_while_stripe_limits_the_rate(accountant: Accountant, tuition: Harness) -> None:
    add_fees(tuition, 2)
    fault = {"match": "GET /v1/balance_transactions", "times": 3, "fail": "rate_limit"}
    tuition.at_stripe("POST", "/_sim/calls", **fault)
    assert len(accountant.make("statement")[1]) == 2


def fail_after(pages: int) -> Callable[..., Any]:
    """Return a call to Stripe that answers this many pages and then gets no answer."""
    real, calls = statement.stripe_client.list_created, []

    def list_created(*args: Any) -> Any:
        calls.append(args)
        if len(calls) > pages:
            raise StripeUnavailable("Stripe did not answer.", 502)
        return real(*args)

    return list_created


def test_pages_read_before_stripe_stops_answering_are_kept(
    accountant: Accountant, tuition: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_fees(tuition, 350)
    export_id = accountant.order("statement")
    with monkeypatch.context() as patch:
        patch.setattr(statement.stripe_client, "list_created", fail_after(2))
        assert [(run["state"], run["rows"]) for run in accountant.files.run()] == [("paused", 200)]
        accountant.read(export_id)
        with pytest.raises(StripeUnavailable):
            accountant.files.run()
    assert exports._load(export_id)[0].tries == 1
    accountant.read(export_id)
    tuition.offset_s += 20
    assert len(finish(accountant, export_id, "statement", 900)) == 350


def test_a_file_whose_amounts_differ_from_its_sums_is_never_done(
    accountant: Accountant, tuition: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_fees(tuition, 1)
    export_id = accountant.order("statement")
    real = exports.encode
    monkeypatch.setattr(exports, "encode", lambda rows: real(rows).replace(b",-3,", b",-4,"))
    with pytest.raises(exports.ExportIncomplete, match="add up"):
        accountant.files.run()
    assert accountant.read(export_id)["state"] != "done"


# --- orders ---


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "statement"}, "month"),
        ({"kind": "statement", "month": "2026-13"}, "month"),
        ({"kind": "statement", "month": "2026-11\n"}, "month"),
        ({"kind": "statement", "month": 11}, "month"),
        ({"kind": "payouts", "month": "2026-12"}, "month"),
        ({"kind": "payouts", "month": MONTH, "filters": {"track": "DP"}}, "filters"),
        ({"kind": "payments", "month": MONTH}, "month"),
        ({"kind": "books", "month": MONTH}, "kind"),
        ({"kind": ["statement"], "month": MONTH}, "kind"),
    ],
)
def test_an_invalid_order_of_a_statement_is_refused(
    accountant: Accountant, tuition: Harness, body: dict[str, Any], field: str
) -> None:
    response = tuition.admin(accountant.admin, ORDER, body)
    assert (response.status, response.body["field"]) == (422, field)
    assert accountant.files.requested == []


def test_only_admins_order_a_statement_and_the_order_is_recorded(accountant: Accountant, tuition: Harness) -> None:
    body = {"kind": "statement", "month": MONTH}
    assert tuition.admin(Student("s", groups=("support",)), ORDER, body).status == 403
    export_id = accountant.order("statement")
    (record,) = queries.audit_trail(accountant.admin.sub)
    assert (record["type"], record["event_id"]) == ("export.ordered", f"export:{export_id}")
    assert record["transition"] == {"export": body}
