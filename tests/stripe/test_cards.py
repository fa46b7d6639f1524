"""Each test card and bank account behaves as documented in `stripe_simulator/README.md`, by its number and its id."""

import re
from pathlib import Path
from typing import Any

import pytest

from stripe_simulator import cards
from stripe_simulator.server import Stripe

DOCUMENT = Path(__file__).parents[2] / "stripe_simulator" / "README.md"


def documented_cards() -> list[tuple[str, str, str]]:
    """Return the number, the id (or "") and the behavior of each row of the table."""
    table = DOCUMENT.read_text().partition("## Cards and accounts\n")[2].partition("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return [(number, id, behavior) for number, id, behavior in rows[2:]]


class Buyer:
    """Pays with a card or account and describes the outcome in the words of the table."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.stripe = Stripe(seed=1, clock=lambda: self.now)
        self.customer = self.call("POST", "/v1/customers")["id"]

    def call(self, method: str, path: str, **params: Any) -> Any:
        """Send a request and return the body of its response."""
        body = "&".join(f"{name}={value}" for name, value in params.items())
        headers = {"Authorization": f"Bearer {self.stripe.secret_key}"}
        return self.stripe.handle(method, path, headers, body.encode()).json()

    def create_method(self, number: str) -> str:
        """Create a payment method from a number of the table; return its id."""
        digits = re.sub(r"account|IBAN| ", "", number)
        if number.startswith("account"):
            data = {"type": "us_bank_account", "us_bank_account[account_number]": digits}
            data["us_bank_account[routing_number]"] = "110000000"
        elif number.startswith("IBAN"):
            data = {"type": "sepa_debit", "sepa_debit[iban]": digits}
        else:
            data = {"type": "card", "card[number]": digits, "card[exp_month]": "12", "card[exp_year]": "2040"}
            data |= {"card[cvc]": "123", "billing_details[address][line1]": "1 Street"}
            data |= {"billing_details[address][postal_code]": "8010"}
        return str(self.call("POST", "/v1/payment_methods", **data)["id"])

    def pay(self, method: str, currency: str, **more: str) -> Any:
        """Create and confirm a PaymentIntent; return it or Stripe's error."""
        params = {"amount": "500", "currency": currency, "confirm": "true", "payment_method": method}
        params |= {"mandate_data[customer_acceptance][type]": "offline"}
        params |= {"automatic_payment_methods[enabled]": "true", "automatic_payment_methods[allow_redirects]": "never"}
        return self.call("POST", "/v1/payment_intents", **params, **more)

    def decline_outcome(self, response: Any) -> str:
        """Describe a decline."""
        error = response["error"]
        assert error["type"] == "card_error"
        return f"declined: {error.get('decline_code') or error['code']}"

    def authentication_outcome(self, intent: Any, currency: str) -> str:
        """Authenticate a payment, pay again with the same method, and describe when 3-D Secure is required."""
        assert intent["next_action"]["type"] == "use_stripe_sdk"
        path = f"/_sim/payment_intents/{intent['id']}/authenticate"
        intent = self.stripe.handle("POST", path, {}, b"").json()
        if intent["status"] != "succeeded":
            code = intent["last_payment_error"]["decline_code"]
            return f"3-D Secure{self.exception_after_setup(intent, currency)}, then declined: {code}"
        on_session = self.pay(intent["payment_method"], currency, customer=self.customer)
        off_session = self.pay(intent["payment_method"], currency, customer=self.customer, off_session="true")
        if on_session["status"] == "requires_action" and "error" not in off_session:
            needs_setup = self.is_declined_before_setup(intent["payment_method"], currency)
            return "3-D Secure, not off session once it is set up" if needs_setup else "3-D Secure unless off session"
        return "3-D Secure unless set up before" if on_session["status"] == "succeeded" else "3-D Secure, always"

    def is_declined_before_setup(self, method: str, currency: str) -> bool:
        """Attach the same card again, without a setup, and say whether it is declined off session."""
        number = self.stripe.account.store.get("payment_method", method)["_test"].removeprefix("card:")
        again = self.call("POST", f"/v1/payment_methods/{self.create_method(number)}/attach", customer=self.customer)
        return "error" in self.pay(again["id"], currency, customer=self.customer, off_session="true")

    def exception_after_setup(self, intent: Any, currency: str) -> str:
        """Set up the method of a declined payment, pay off session, and say whether 3-D Secure is still required."""
        method = intent["last_payment_error"]["payment_method"]["id"]
        params = {"customer": self.customer, "payment_method": method, "confirm": "true", "return_url": "https://x/"}
        setup = self.call("POST", "/v1/setup_intents", **params)
        self.stripe.handle("POST", f"/_sim/setup_intents/{setup['id']}/authenticate", {}, b"")
        error = self.pay(method, currency, customer=self.customer, off_session="true")["error"]
        return "" if error["code"] == "authentication_required" else " unless set up before"

    def debit_outcome(self, intent: Any) -> str:
        """Wait for a bank debit and describe how it ends."""
        self.now += 3
        path = f"/v1/payment_intents/{intent['id']}"
        intent = self.call("GET", path)
        if intent["status"] == "processing":
            intent = self.call("POST", f"{path}/cancel")
            charge = self.call("GET", f"/v1/charges/{intent['latest_charge']}")
            assert (intent["status"], charge["status"], charge["captured"]) == ("canceled", "failed", False)
            return "processing, and stays so until it is canceled"
        if intent["status"] == "succeeded":
            return "processing, then succeeds" + self.dispute_outcome(intent, ", then disputed: ")
        return f"processing, then fails: {intent['last_payment_error']['code']}"

    def dispute_outcome(self, intent: Any, prefix: str) -> str:
        """Describe the dispute of a payment; empty if there is none."""
        disputes = self.call("GET", f"/v1/disputes?payment_intent={intent['id']}")["data"]
        if not disputes:
            return ""
        is_inquiry = disputes[0]["status"] == "warning_needs_response"
        return ("paid, then an inquiry: " if is_inquiry else prefix) + str(disputes[0]["reason"])

    def fraud_warning_outcome(self, intent: Any) -> str:
        """Describe the early fraud warning of a payment; empty if there is none."""
        warnings = self.call("GET", f"/v1/radar/early_fraud_warnings?payment_intent={intent['id']}")["data"]
        return f"paid, then an early fraud warning: {warnings[0]['fraud_type']}" if warnings else ""

    def refund_outcome(self, intent: Any) -> str:
        """Refund a payment and describe how the refund ends."""
        refund = self.call("POST", "/v1/refunds", payment_intent=intent["id"])
        first = refund["status"]
        self.now += 3
        final = self.call("GET", f"/v1/refunds/{refund['id']}")["status"]
        if first == final:
            assert final == "succeeded"
            return "succeeds"
        verb = {"succeeded": "succeeds", "failed": "fails"}[final]
        return f"its refund {'is pending' if first == 'pending' else 'succeeds'}, then {verb}"

    def outcome(self, method: str, currency: str) -> str:
        """Attach a payment method if possible, pay with it, and describe the outcome."""
        attachment = self.call("POST", f"/v1/payment_methods/{method}/attach", customer=self.customer)
        is_saved_card = "id" in attachment and currency == "usd" and attachment["type"] == "card"
        if not is_saved_card:
            response = self.pay(method, currency)
            return self.decline_outcome(response) if "error" in response else self.debit_outcome(response)
        response = self.pay(attachment["id"], currency, customer=self.customer, setup_future_usage="off_session")
        if "error" in response:
            return f"attaches, then {self.decline_outcome(response)}"
        if response["status"] == "requires_action":
            return self.authentication_outcome(response, currency)
        assert response["status"] == "succeeded"
        reported = self.dispute_outcome(response, "paid, then disputed: ") or self.fraud_warning_outcome(response)
        return reported or self.charge_outcome(response) or self.refund_outcome(response)

    def charge_outcome(self, intent: Any) -> str:
        """Describe the checks that did not pass, the risk and the funds of a payment; empty if all are usual."""
        charge = self.call("GET", f"/v1/charges/{intent['latest_charge']}")
        checks = charge["payment_method_details"]["card"]["checks"]
        unusual = [f"{name}: {result}" for name, result in checks.items() if result not in (None, "pass")]
        if charge["outcome"]["risk_level"] != "normal":
            unusual.append(f"risk_level: {charge['outcome']['risk_level']}")
        self.now += 3
        transaction = self.call("GET", f"/v1/balance_transactions?source={charge['id']}")["data"][0]
        if transaction["status"] == "available":
            unusual.append("the funds are available at once")
        return ", ".join(["paid", *unusual]) if unusual else ""


@pytest.mark.parametrize(("number", "id", "behavior"), documented_cards())
def test_a_card_behaves_as_documented(number: str, id: str, behavior: str) -> None:
    currency = "eur" if number.startswith("IBAN") else "usd"
    buyer = Buyer()
    method = buyer.create_method(number)
    if number.startswith(("account", "IBAN")):
        assert buyer.debit_outcome(buyer.pay(method, currency)) == behavior
        assert not id or buyer.debit_outcome(buyer.pay(id, currency)) == behavior
    else:
        assert buyer.outcome(method, currency) == behavior
        assert Buyer().outcome(id, currency) == behavior


def test_every_card_with_special_behavior_is_documented() -> None:
    rows = documented_cards()
    numbers = {number.replace(" ", "") for number, _, _ in rows}
    special = {card.number for card in cards.CARDS.values() if card.behavior != cards.Behavior()}
    assert special <= numbers
    assert {f"account{number}" for number in cards.BANK_NUMBERS} <= numbers
    assert len(rows) > 25


def test_every_card_name_and_alias_creates_its_card() -> None:
    buyer = Buyer()
    for name in [*cards.CARDS, *cards.ALIASES]:
        card = cards.CARDS[cards.ALIASES.get(name, name)]
        for prefix in ("pm_card_", "tok_"):
            method = buyer.call("GET", f"/v1/payment_methods/{prefix}{name}")
            fields = (method["card"]["brand"], method["card"]["last4"], method["card"]["funding"])
            assert fields == (card.brand, card.number[-4:], card.funding)
        assert cards.luhn(card.number)


def test_a_number_that_is_no_test_card_is_declined() -> None:
    buyer = Buyer()
    method = buyer.create_method("4000 0000 0000 1000")
    error = buyer.pay(method, "usd")["error"]
    assert (error["code"], error["decline_code"]) == ("card_declined", "test_mode_live_card")
    assert "error" in buyer.call("POST", f"/v1/payment_methods/{method}/attach", customer=buyer.customer)


@pytest.mark.parametrize("number", cards.UNSUPPORTED)
def test_a_test_card_that_is_not_simulated_is_refused_by_name(number: str) -> None:
    params = {"type": "card", "card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2040"}
    error = Buyer().call("POST", "/v1/payment_methods", **params)["error"]
    assert (error["param"], error["type"]) == ("card[number]", "invalid_request_error")
    assert "does not support this test card" in error["message"]
    assert cards.luhn(number)


@pytest.mark.parametrize("card", cards.PLAIN_CARDS, ids=lambda card: card.number[-6:])
def test_a_plain_test_card_succeeds(card: cards.Card) -> None:
    buyer = Buyer()
    assert cards.luhn(card.number)
    assert card.brand != "unknown"
    assert buyer.pay(buyer.create_method(card.number), "usd")["status"] == "succeeded"


def test_a_cvc_that_was_not_entered_is_not_checked() -> None:
    buyer = Buyer()
    params = {"type": "card", "card[number]": "4000000000000101", "card[exp_month]": "12", "card[exp_year]": "2040"}
    method = buyer.call("POST", "/v1/payment_methods", **params)
    assert method["card"]["checks"]["cvc_check"] is None


def test_a_payment_that_radar_blocks_says_why() -> None:
    buyer = Buyer()
    error = buyer.pay("pm_card_riskLevelHighest", "usd")["error"]
    outcome = buyer.call("GET", f"/v1/charges/{error['charge']}")["outcome"]
    assert (outcome["type"], outcome["reason"], outcome["risk_level"]) == ("blocked", "highest_risk_level", "highest")
    declined = buyer.pay("pm_card_chargeDeclinedIncorrectCvc", "usd")["error"]
    details = buyer.call("GET", f"/v1/charges/{declined['charge']}")["payment_method_details"]
    assert details["card"]["checks"]["cvc_check"] == "fail"
