"""A refused request leaves nothing: no object, no event, no scheduled task, no changed field."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from stripe._encode import _api_encode

from stripe_simulator.server import Stripe
from stripe_simulator.store import clone
from stripe_simulator.version import API_VERSION

ITEM = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 10, "product_data": {"name": "DP"}}}


class Caller:
    """Sends requests to an account of its own, with one customer, intent and SetupIntent."""

    def __init__(self) -> None:
        self.stripe = Stripe(seed=1, clock=lambda: 1_800_000_000.0)
        customer = self.send("POST", "/v1/customers")["id"]
        attach = f"/v1/payment_methods/{self.send('GET', '/v1/payment_methods/pm_card_visa')['id']}/attach"
        other = self.send("POST", attach, customer=customer)["id"]
        intent = self.send("POST", "/v1/payment_intents", amount=500, currency="usd")["id"]
        setup = self.send("POST", "/v1/setup_intents")["id"]
        token = self.send("POST", "/v1/test_helpers/confirmation_tokens", payment_method=other)["id"]
        new_token = self.send("POST", "/v1/test_helpers/confirmation_tokens", payment_method="pm_card_visa")["id"]
        self.names = {"{other}": other, "{customer}": customer, "{intent}": intent, "{setup}": setup, "{token}": token}
        self.names["{new_token}"] = new_token

    def send(self, method: str, path: str, **params: Any) -> Any:
        """Send a request and return the body of its response."""
        headers = {"Authorization": f"Bearer {self.stripe.secret_key}", "Stripe-Version": API_VERSION}
        body = urlencode(list(_api_encode(params))).encode()
        return self.stripe.handle(method, path, headers, body).json()

    def state(self) -> Any:
        """Return a copy of everything that a request can change."""
        account = self.stripe.account
        tasks = sorted((task.seq, task.name) for task in account.clock.tasks)
        objects = {kind: objects for kind, objects in clone(account.store.objects).items() if objects}
        return objects, dict(account.webhooks.payloads), tasks

    def refuse(self, path: str, params: dict[str, Any]) -> Any:
        """Send a request that must be refused, and return its error."""
        text = json.dumps([path, params])
        for name, id in self.names.items():
            text = text.replace(name, id)
        path, params = json.loads(text)
        return self.send("POST", path, **params)["error"]


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "customer with an unknown method": ("customers", {"email": "a@example.com", "payment_method": "pm_nope"}),
    "customer with a declined card": ("customers", {"payment_method": "pm_card_chargeDeclined"}),
    "SetupIntent with a method of another customer": ("setup_intents", {"payment_method": "{other}"}),
    "SetupIntent with an unknown method": ("setup_intents", {"payment_method": "pm_nope"}),
    "intent with a method of another customer": (
        "payment_intents",
        {"amount": 500, "currency": "usd", "payment_method": "{other}"},
    ),
    "intent with an invalid card": (
        "payment_intents",
        {
            "amount": 500,
            "currency": "usd",
            "confirm": True,
            "return_url": "https://example.com",
            "payment_method_data": {"type": "card", "card": {"number": "1", "exp_month": 1, "exp_year": 2040}},
        },
    ),
    "confirmation with a token of another customer": (
        "payment_intents/{intent}/confirm",
        {"confirmation_token": "{token}", "return_url": "https://example.com"},
    ),
    "SetupIntent confirmed with a token of another customer": (
        "setup_intents/{setup}/confirm",
        {"confirmation_token": "{token}", "return_url": "https://example.com"},
    ),
    "confirmation with a token and without a return URL": (
        "payment_intents/{intent}/confirm",
        {"confirmation_token": "{new_token}"},
    ),
    "SetupIntent confirmed with a token and without a return URL": (
        "setup_intents/{setup}/confirm",
        {"confirmation_token": "{new_token}"},
    ),
    "confirmation with a new method and without a return URL": (
        "payment_intents/{intent}/confirm",
        {"payment_method": "pm_card_visa", "receipt_email": "a@example.com"},
    ),
    "product with a bad default price": (
        "products",
        {"name": "DP", "default_price_data": {"currency": "usd", "unit_amount": -1}},
    ),
    "product with a default price of an unknown currency": (
        "products",
        {"name": "DP", "default_price_data": {"currency": "zzz", "unit_amount": 500}},
    ),
    "price with a bad amount": (
        "prices",
        {"currency": "usd", "unit_amount": -1, "product_data": {"name": "DP"}},
    ),
    "session that is too small": (
        "checkout/sessions",
        {"mode": "payment", "success_url": "https://example.com", "line_items": [ITEM]},
    ),
    "session with a second item that is unknown": (
        "checkout/sessions",
        {"mode": "payment", "success_url": "https://example.com", "line_items": [ITEM, {"price": "p", "quantity": 1}]},
    ),
    "declined card attached": ("payment_methods/pm_card_chargeDeclined/attach", {"customer": "{customer}"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_request_leaves_nothing(case: str) -> None:
    caller = Caller()
    before = caller.state()
    path, params = REFUSED[case]
    error = caller.refuse(f"/v1/{path}", params)
    assert error["type"] in ("invalid_request_error", "card_error")
    assert caller.state() == before


@pytest.mark.parametrize("kind", ["payment_intent", "setup_intent"])
def test_a_confirmation_token_can_be_used_after_a_refused_confirmation(kind: str) -> None:
    caller = Caller()
    intent, token = caller.names[{"payment_intent": "{intent}", "setup_intent": "{setup}"}[kind]], "{new_token}"
    error = caller.refuse(f"/v1/{kind}s/{intent}/confirm", {"confirmation_token": token})
    assert error[kind] == caller.send("GET", f"/v1/{kind}s/{intent}")
    params = {"confirmation_token": caller.names[token], "return_url": "https://example.com"}
    assert caller.send("POST", f"/v1/{kind}s/{intent}/confirm", **params)["status"] == "succeeded"


def test_a_declined_payment_keeps_its_intent_charge_and_events() -> None:
    caller = Caller()
    events = len(caller.stripe.webhooks.payloads)
    params = {"amount": 500, "currency": "usd", "confirm": True, "return_url": "https://example.com"}
    error = caller.refuse("/v1/payment_intents", params | {"payment_method": "pm_card_chargeDeclined"})
    assert caller.send("GET", f"/v1/payment_intents/{error['payment_intent']['id']}")["latest_charge"]
    assert len(caller.stripe.webhooks.payloads) == events + 3


def test_a_payment_refused_on_the_page_of_a_session_leaves_the_session_payable() -> None:
    caller = Caller()
    item = {**ITEM, "price_data": {**ITEM["price_data"], "unit_amount": 500}}  # type: ignore[dict-item]
    params = {"mode": "payment", "success_url": "https://example.com", "line_items": [item]}
    session = caller.send("POST", "/v1/checkout/sessions", **params, allowed_payment_method_types=["card"])
    before = caller.state()
    path = f"/v1/payment_pages/{session['id']}/confirm"
    assert "error" in caller.send("POST", path, payment_method="pm_usBankAccount_success")
    assert caller.state() == before
    assert caller.send("POST", path, payment_method="pm_card_visa")["payment_status"] == "paid"


@pytest.mark.parametrize(
    ("path", "params", "param"),
    [
        ("coupons", {"currency_options": {"eur": {"amount_off": "abc"}}}, "currency_options[eur][amount_off]"),
        ("coupons", {"currency_options": {"eur": {"amount_off": 0}}}, "currency_options[eur][amount_off]"),
        ("coupons", {"currency_options": {"eur": {"off": 1}}}, "currency_options[eur][off]"),
        ("coupons", {"currency_options": {"eur": "x"}}, "currency_options[eur]"),
        ("coupons", {"currency_options": {"zzz": {"amount_off": 5}}}, "currency_options[zzz]"),
        ("coupons", {"currency_options": ["x"]}, "currency_options"),
        ("coupons", {"currency_options": "x"}, "currency_options"),
        ("codes", {"restrictions": {"currency_options": {"eur": "x"}}}, "restrictions[currency_options][eur]"),
        ("codes", {"restrictions": {"currency_options": "x"}}, "restrictions[currency_options]"),
    ],
)
def test_amounts_by_currency_are_checked(path: str, params: dict[str, Any], param: str) -> None:
    caller = Caller()
    coupon = caller.send("POST", "/v1/coupons", amount_off=100, currency="usd", duration="once")["id"]
    if path == "coupons":
        more: dict[str, Any] = {"amount_off": 100, "currency": "usd", "duration": "once"}
    else:
        path, more = "promotion_codes", {"promotion": {"type": "coupon", "coupon": coupon}}
    error = caller.refuse(f"/v1/{path}", more | params)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
