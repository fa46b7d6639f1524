"""Payouts of the simulator: what each includes, when its funds are available, its events, and its return."""

from typing import Any

import httpx
import pytest
import stripe

from stripe_simulator.server import Simulator
from tests.stripe.conftest import control
from tests.stripe.test_contract import pay

DAYS_S = 2 * 24 * 3600
PATH = "/_sim/payouts"


def pay_out(simulator: Simulator, **body: Any) -> dict[str, Any]:
    payout: dict[str, Any] = control(simulator, PATH, body)
    return payout


def refuse(simulator: Simulator, **body: Any) -> dict[str, Any]:
    """Return the error of a request to the control API that must be refused."""
    response = httpx.post(simulator.url + PATH, json=body)
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    return error


def included(client: stripe.StripeClient, payout: dict[str, Any]) -> list[stripe.BalanceTransaction]:
    return list(client.v1.balance_transactions.list({"payout": payout["id"], "limit": 2}).auto_paging_iter())


def types_of_events(client: stripe.StripeClient, payout_id: str) -> list[str]:
    """Return the types of the payout's events, oldest first."""
    events = client.v1.events.list({"type": "payout.*", "limit": 100}).data
    return [one.type for one in reversed(events) if one.data.object["id"] == payout_id]


def test_only_available_funds_are_paid_out_and_each_once(client: stripe.StripeClient, simulator: Simulator) -> None:
    pay(client, "pm_card_visa", capture_method="automatic")
    pay(client, "pm_card_visa", capture_method="automatic", currency="eur")
    assert refuse(simulator)["code"] == "balance_insufficient"
    control(simulator, "/_sim/clock", {"advance_s": DAYS_S})
    pay(client, "pm_card_visa", capture_method="automatic")
    payout = pay_out(simulator)
    assert (payout["amount"], payout["currency"], payout["status"], payout["automatic"]) == (
        48423,
        "usd",
        "pending",
        True,
    )
    rows = included(client, payout)
    assert [(one.type, one.net) for one in rows] == [("payout", -48423), ("charge", 48423)]
    assert rows[0].id == payout["balance_transaction"] and rows[0].source == payout["id"]
    assert refuse(simulator)["code"] == "balance_insufficient"
    balance = client.v1.balance.retrieve()
    assert {one.currency: one.amount for one in balance.available}["usd"] == 0
    assert pay_out(simulator, include_pending=True)["amount"] == 48423
    assert pay_out(simulator, currency="eur")["destination"] != payout["destination"]


def test_a_refused_payout_leaves_pending_funds_pending(client: stripe.StripeClient, simulator: Simulator) -> None:
    pay(client, "pm_card_visa", capture_method="automatic")
    before = client.v1.balance.retrieve().to_dict()
    assert refuse(simulator, currency="usd", amount=999_999, include_pending=True)["code"] == "balance_insufficient"
    control(simulator, "/_sim/clock", {"advance_s": 3})
    assert client.v1.balance.retrieve().to_dict() == before
    assert client.v1.events.list({"type": "balance.available"}).data == []


def test_a_payout_is_reconciled_then_arrives(client: stripe.StripeClient, simulator: Simulator) -> None:
    pay(client, "pm_card_visa", capture_method="automatic")
    payout = pay_out(simulator, include_pending=True)
    assert payout["reconciliation_status"] == "in_progress"
    control(simulator, "/_sim/clock", {"advance_s": 2})
    assert client.v1.payouts.retrieve(payout["id"]).reconciliation_status == "completed"
    control(simulator, "/_sim/clock", {"advance_s": DAYS_S})
    arrived = client.v1.payouts.retrieve(payout["id"], {"expand": ["balance_transaction"]})
    assert (arrived.status, arrived.balance_transaction.net) == ("paid", -48423)  # type: ignore[union-attr]
    expected = ["payout.created", "payout.reconciliation_completed", "payout.paid"]
    assert types_of_events(client, payout["id"]) == expected


@pytest.mark.parametrize("paid_before", [False, True])
def test_a_failed_payout_returns_its_amount_which_the_next_payout_includes(
    client: stripe.StripeClient, simulator: Simulator, paid_before: bool
) -> None:
    pay(client, "pm_card_visa", capture_method="automatic")
    payout = pay_out(simulator, include_pending=True)
    if paid_before:
        pay_out(simulator, payout=payout["id"], status="paid")
    failed = pay_out(simulator, payout=payout["id"], status="failed", failure_code="no_account")
    assert (failed["status"], failed["failure_code"]) == ("failed", "no_account")
    control(simulator, "/_sim/clock", {"advance_s": DAYS_S * 2})
    assert client.v1.payouts.retrieve(payout["id"]).status == "failed"
    assert types_of_events(client, payout["id"])[-2:] == ["payout.failed", "payout.reconciliation_completed"]
    assert [one.type for one in included(client, payout)] == ["payout", "charge"]
    again = pay_out(simulator)
    assert again["amount"] == payout["amount"]
    assert [(one.type, one.source) for one in included(client, again)] == [
        ("payout", again["id"]),
        ("payout_failure", payout["id"]),
    ]
    assert refuse(simulator, payout=payout["id"], status="paid")["param"] == "status"


def test_a_manual_payout_can_be_canceled_and_has_no_list_of_transactions(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    pay(client, "pm_card_visa", capture_method="automatic")
    payout = pay_out(simulator, include_pending=True, amount=10000)
    assert (payout["automatic"], payout["reconciliation_status"]) == (False, "not_applicable")
    with pytest.raises(stripe.InvalidRequestError, match="only be filtered on automatic transfers") as excinfo:
        included(client, payout)
    assert excinfo.value.param == "payout"
    assert refuse(simulator, amount=38424)["code"] == "balance_insufficient"
    assert pay_out(simulator, payout=payout["id"], status="canceled")["failure_balance_transaction"]
    assert types_of_events(client, payout["id"]) == ["payout.created", "payout.canceled"]
    assert pay_out(simulator)["amount"] == 48423


def test_payouts_are_filtered_by_status_destination_and_dates(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    payouts = []
    for currency in ("usd", "eur"):
        pay(client, "pm_card_visa", capture_method="automatic", currency=currency)
        payouts.append(pay_out(simulator, currency=currency, include_pending=True))
    usd, eur = payouts
    pay_out(simulator, payout=usd["id"], status="paid")

    def ids(**params: Any) -> list[str]:
        return [one.id for one in client.v1.payouts.list(params).data]  # type: ignore[arg-type]

    assert ids() == [eur["id"], usd["id"]]
    assert ids(limit=1) == [eur["id"]] and ids(starting_after=eur["id"]) == [usd["id"]]
    assert ids(status="paid") == [usd["id"]] and ids(status="pending") == [eur["id"]]
    assert ids(destination=eur["destination"]) == [eur["id"]]
    assert ids(arrival_date={"gt": usd["arrival_date"]}) == [] and len(ids(arrival_date=usd["arrival_date"])) == 2
    assert ids(created={"gt": eur["created"]}) == [] and len(ids(created={"gte": usd["created"]})) == 2


def test_a_payout_includes_fees_and_corrections_that_belong_to_no_payment(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    pay(client, "pm_card_visa", capture_method="automatic")
    for kind, amount, category in (
        ("stripe_fee", -200, "fee"),
        ("contribution", -50, "contribution"),
        ("adjustment", 7, "adjustment"),
    ):
        body = {"type": kind, "amount": amount, "currency": "usd", "description": "Radar"}
        transaction = control(simulator, "/_sim/balance_transactions", body)
        assert (transaction["source"], transaction["net"], transaction["reporting_category"]) == (
            None,
            amount,
            category,
        )
        assert client.v1.balance_transactions.retrieve(transaction["id"], {"expand": ["source"]}).source is None
    assert pay_out(simulator, include_pending=True)["amount"] == 48423 - 200 - 50 + 7


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"currency": "zzz"}, "currency"),
        ({"amount": "1"}, "amount"),
        ({"include_pending": 1}, "include_pending"),
        ({"payout": "po_none"}, "payout"),
        ({"amount": -1}, None),
    ],
)
def test_an_invalid_payout_is_refused(simulator: Simulator, body: dict[str, Any], param: str | None) -> None:
    assert refuse(simulator, **body).get("param") == param


@pytest.mark.parametrize(("status", "code"), [("lost", "no_account"), ("canceled", "no_account"), ("failed", "rain")])
def test_a_change_of_a_payout_that_stripe_never_makes_is_refused(
    client: stripe.StripeClient, simulator: Simulator, status: str, code: str
) -> None:
    pay(client, "pm_card_visa", capture_method="automatic")
    payout = pay_out(simulator, include_pending=True)
    assert refuse(simulator, payout=payout["id"], status=status, failure_code=code)
    assert client.v1.payouts.retrieve(payout["id"]).status == "pending"


# --- manual payouts by API calls ---


def test_a_payout_by_an_api_call_is_manual_and_can_be_canceled_while_it_is_pending(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    api = client.v1.payouts
    with pytest.raises(stripe.InvalidRequestError, match="insufficient funds") as excinfo:
        api.create({"amount": 500, "currency": "usd"})
    assert excinfo.value.code == "balance_insufficient"
    pay(client, "pm_card_bypassPending")
    payout = api.create({"amount": 500, "currency": "usd", "description": "rent", "metadata": {"a": "b"}})
    assert (payout.automatic, payout.description, payout.status) == (False, "rent", "pending")
    assert api.update(payout.id, {"metadata": {"a": ""}}).metadata.to_dict() == {}
    assert api.cancel(payout.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="Only a manual payout that is pending"):
        api.cancel(payout.id)
    assert types_of_events(client, payout.id) == ["payout.created", "payout.updated", "payout.canceled"]
    assert sum(one.amount for one in client.v1.balance.retrieve().available) == 48423


def test_an_automatic_payout_cannot_be_canceled(client: stripe.StripeClient, simulator: Simulator) -> None:
    pay(client, "pm_card_bypassPending")
    with pytest.raises(stripe.InvalidRequestError, match="Only a manual payout that is pending"):
        client.v1.payouts.cancel(pay_out(simulator)["id"])


@pytest.mark.parametrize(
    "params",
    [{"method": "instant"}, {"destination": "ba_1"}, {"source_type": "fpx"}, {"amount": 0}],
    ids=["instant", "destination", "source_type", "amount"],
)
def test_a_payout_by_an_api_call_that_is_not_simulated_or_empty_is_refused(
    client: stripe.StripeClient, simulator: Simulator, params: Any
) -> None:
    pay(client, "pm_card_bypassPending")
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.payouts.create({"amount": 500, "currency": "usd", **params})
    assert excinfo.value.param == next(iter(params))
    assert client.v1.payouts.list({}).data == []
