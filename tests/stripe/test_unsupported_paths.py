"""Every operation of Stripe's API is simulated or refused by name."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import stripe

from stripe_simulator.routes import ROUTES
from stripe_simulator.server import Stripe
from tests.stripe.make_params import OPERATION

METHODS = ("GET", "POST", "DELETE")
PARTS = {  # a path of each part that payment plans could be built with -> the name in the message
    "subscriptions": "subscriptions",
    "subscription_items": "subscriptions",
    "subscription_schedules": "subscription schedules",
    "invoiceitems": "invoice items",
    "invoice_payments": "invoices",
    "invoice_rendering_templates": "invoices",
    "quotes": "quotes",
    "plans": "plans",
    "tax_rates": "tax rates",
    "payment_links": "payment links",
    "billing/meters": "usage-based billing",
    "billing_portal/sessions": "the customer portal",
    "test_helpers/test_clocks": "test clocks",
    "customers/cus_x/subscriptions": "subscriptions",
    "customers/cus_x/balance_transactions": "customer balances",
    # paths of Stripe's OpenAPI specification that the package no longer has
    "balance/history": "earlier paths of balance transactions",
    "charges/ch_x/dispute": "earlier paths of disputes",
    "charges/ch_x/refund": "earlier paths of refunds",
    "charges/ch_x/refunds": "earlier paths of refunds",
    "customers/cus_x/bank_accounts": "sources",
    "customers/cus_x/cards": "sources",
    "external_accounts": "Connect",
    "link_account_sessions": "Financial Connections",
    "linked_accounts": "Financial Connections",
}


@cache
def operations_of_the_package() -> list[str]:
    """Return every operation of version 1 in the services of the package."""
    operations = set()
    for path in Path(stripe.__file__).parent.rglob("_*_service.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            call = OPERATION.search(ast.unparse(node).replace("'", '"')) if isinstance(node, ast.FunctionDef) else None
            if call is not None:
                operations.add(f"{call[1].upper()} " + re.sub(r"\{[^}]*\}", "*", call[2]))
    return sorted(operations)


def call(method: str, path: str, key: str | None = None) -> tuple[int, dict[str, str]]:
    """Call an empty simulator, and return the status and the error."""
    simulator = Stripe(seed=1)
    response = simulator.handle(method, path, {"Authorization": f"Bearer {key or simulator.secret_key}"})
    return response.status, response.json().get("error", {})


def test_every_operation_of_the_package_is_simulated_or_refused_by_name() -> None:
    assert len(operations_of_the_package()) > 500
    for operation in operations_of_the_package():
        if operation in ROUTES:
            continue
        method, _, path = operation.replace("*", "x").partition(" ")
        status, error = call(method, path)
        assert (status, error["type"]) == (400, "invalid_request_error"), operation
        assert error["message"].startswith("The simulator does not simulate "), operation
        assert f"although Stripe does ({method} {path})." in error["message"], operation


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("method", METHODS)
def test_every_path_of_a_part_that_is_not_simulated_is_refused_by_its_name(method: str, part: str) -> None:
    for tail in ("", "/x", "/x/nothing/like/this", "/"):
        status, error = call(method, f"/v1/{part}{tail}")
        assert (status, error["type"]) == (400, "invalid_request_error")
        assert error["message"].startswith(f"The simulator does not simulate {PARTS[part]}, although Stripe does")


def test_a_refusal_says_what_works_instead() -> None:
    assert call("POST", "/v1/test_helpers/test_clocks")[1]["message"].endswith("`POST /_sim/clock`.")
    assert call("POST", "/v1/charges")[1]["message"].endswith("Create a PaymentIntent.")
    assert call("POST", "/v1/payouts/po_x/reverse")[1]["message"].endswith("Use `POST /_sim/payouts`.")


def test_an_invalid_key_is_refused_before_the_part() -> None:
    assert call("GET", "/v1/subscriptions", "sk_test_nobody")[0] == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/charges/ch_x"),
        ("POST", "/v1/charges/ch_x/nothing"),
        ("GET", "/v1/customers//subscriptions"),
        ("GET", "/v1/subscription"),
        ("GET", "/v1/subscriptionsx"),
        ("DELETE", "/v1/payouts/po_x"),
        ("GET", "/v1/test_helpers"),
        ("GET", "/v1"),
        ("GET", "/subscriptions"),
    ],
)
def test_a_path_that_stripe_does_not_have_is_unknown(method: str, path: str) -> None:
    status, error = call(method, path)
    assert (status, error["message"].split(" (")[0]) == (404, "Unrecognized request URL")


def test_the_second_version_of_the_api_is_unknown_and_named_before_its_version() -> None:
    stripe = Stripe(seed=1)
    headers = {"Authorization": f"Bearer {stripe.secret_key}", "Stripe-Version": "2024-09-30.acacia"}
    response = stripe.handle("POST", "/v2/billing/meter_event_session", headers, b"{}")
    assert response.status == 404
    assert "The simulator does not simulate API v2" in response.json()["error"]["message"]
