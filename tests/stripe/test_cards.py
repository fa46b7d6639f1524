"""Each card and account in the table of `stripe_simulator/README.md` does what the table says, by number and by id."""

import re
from pathlib import Path
from typing import Any

import pytest

from stripe_simulator import cards
from stripe_simulator.server import Stripe

PAGE = Path(__file__).parents[2] / "stripe_simulator" / "README.md"
KINDS = {"card": "4242", "us_bank_account": "account ", "sepa_debit": "IBAN "}


def documented() -> list[tuple[str, str, str]]:
    """(number, id or empty, what it does) of each row."""
    table = PAGE.read_text().partition("## Cards and accounts")[2].partition("## Control API")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return [(number, id, does) for number, id, does in rows[2:]]


class Buyer:
    """Pays with whatever it is given, and says what came of it in the words of the table."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.stripe = Stripe(seed=1, clock=lambda: self.now)
        self.customer = self.call("POST", "/v1/customers")["id"]

    def call(self, method: str, path: str, **params: Any) -> Any:
        body = "&".join(f"{name}={value}" for name, value in params.items())
        headers = {"Authorization": f"Bearer {self.stripe.secret_key}"}
        return self.stripe.handle(method, path, headers, body.encode()).json()

    def method_of(self, number: str) -> str:
        """A method made of what a person would type."""
        digits = re.sub(r"account|IBAN| ", "", number)
        if number.startswith("account"):
            data = {"type": "us_bank_account", "us_bank_account[account_number]": digits}
            data["us_bank_account[routing_number]"] = "110000000"
        elif number.startswith("IBAN"):
            data = {"type": "sepa_debit", "sepa_debit[iban]": digits}
        else:
            data = {"type": "card", "card[number]": digits, "card[exp_month]": "12", "card[exp_year]": "2040"}
        return str(self.call("POST", "/v1/payment_methods", **data)["id"])

    def pay(self, method: str, currency: str, **more: str) -> Any:
        """The intent, or Stripe's error."""
        params = {"amount": "500", "currency": currency, "confirm": "true", "payment_method": method}
        return self.call("POST", "/v1/payment_intents", **params, **more)

    def refused(self, answer: Any) -> str:
        error = answer["error"]
        assert error["type"] == "card_error"
        return f"declined: {error.get('decline_code') or error['code']}"

    def authenticated(self, intent: Any, method: str, currency: str) -> str:
        assert intent["next_action"]["type"] == "use_stripe_sdk"
        path = f"/_sim/payment_intents/{intent['id']}/authenticate"
        done = self.stripe.handle("POST", path, {}, b"").json()
        if done["status"] != "succeeded":
            error = done["last_payment_error"]
            return f"3-D Secure, then declined: {error['decline_code']}"
        again = self.pay(done["payment_method"], currency, customer=self.customer)
        absent = self.pay(done["payment_method"], currency, customer=self.customer, off_session="true")
        if again["status"] == "requires_action" and "error" not in absent:
            return "3-D Secure unless off session"
        return "3-D Secure unless set up before" if again["status"] == "succeeded" else "3-D Secure, always"

    def debited(self, intent: Any) -> str:
        self.now += 3
        now = self.call("GET", f"/v1/payment_intents/{intent['id']}")
        if now["status"] == "processing":
            canceled = self.call("POST", f"/v1/payment_intents/{intent['id']}/cancel")
            attempt = self.call("GET", f"/v1/charges/{intent['latest_charge']}")
            assert (canceled["status"], attempt["status"], attempt["captured"]) == ("canceled", "failed", False)
            return "processing, and stays so until it is canceled"
        if now["status"] == "succeeded":
            return "processing, then succeeds" + self.disputed(intent, ", then disputed: ")
        return f"processing, then fails: {now['last_payment_error']['code']}"

    def disputed(self, intent: Any, words: str) -> str:
        found = self.call("GET", f"/v1/disputes?payment_intent={intent['id']}")["data"]
        if not found:
            return ""
        inquiry = found[0]["status"] == "warning_needs_response"
        return ("paid, then an inquiry: " if inquiry else words) + str(found[0]["reason"])

    def refunded(self, intent: Any) -> str:
        refund = self.call("POST", "/v1/refunds", payment_intent=intent["id"])
        self.now += 3
        now = self.call("GET", f"/v1/refunds/{refund['id']}")
        then = {"succeeded": "succeeds", "failed": "fails"}[now["status"]]
        if refund["status"] == now["status"]:
            return "succeeds"
        return f"its refund {'is pending' if refund['status'] == 'pending' else 'succeeds'}, then {then}"

    def played(self, method: str, currency: str) -> str:
        """What paying with it comes to."""
        saved = self.call("POST", f"/v1/payment_methods/{method}/attach", customer=self.customer)
        attached = "id" in saved and currency == "usd" and saved["type"] == "card"
        if not attached:
            answer = self.pay(method, currency)
            return self.refused(answer) if "error" in answer else self.debited(answer)
        answer = self.pay(saved["id"], currency, customer=self.customer, setup_future_usage="off_session")
        if "error" in answer:
            return f"attaches, then {self.refused(answer)}"
        if answer["status"] == "requires_action":
            return self.authenticated(answer, saved["id"], currency)
        assert answer["status"] == "succeeded"
        return self.disputed(answer, "paid, then disputed: ") or self.refunded(answer)


@pytest.mark.parametrize(("number", "id", "does"), documented())
def test_a_card_does_what_the_table_says(number: str, id: str, does: str) -> None:
    currency = "eur" if number.startswith("IBAN") else "usd"
    buyer = Buyer()
    method = buyer.method_of(number)
    if number.startswith(("account", "IBAN")):
        assert buyer.debited(buyer.pay(method, currency)) == does
        assert not id or buyer.debited(buyer.pay(id, currency)) == does
    else:
        assert buyer.played(method, currency) == does
        assert Buyer().played(id, currency) == does


def test_every_card_that_does_something_is_in_the_table() -> None:
    rows = documented()
    numbers = {number.replace(" ", "") for number, _, _ in rows}
    special = {card.number for card in cards.CARDS.values() if card.behavior != cards.Behavior()}
    assert special <= numbers
    assert {f"account{number}" for number in cards.BANK_NUMBERS} <= numbers
    assert len(rows) > 25


def test_every_name_of_a_card_makes_that_card() -> None:
    buyer = Buyer()
    for name in [*cards.CARDS, *cards.ALIASES]:
        card = cards.CARDS[cards.ALIASES.get(name, name)]
        for prefix in ("pm_card_", "tok_"):
            method = buyer.call("GET", f"/v1/payment_methods/{prefix}{name}")
            shown = (method["card"]["brand"], method["card"]["last4"], method["card"]["funding"])
            assert shown == (card.brand, card.number[-4:], card.funding)
        assert cards.luhn(card.number)
