"""Requests that Stripe refuses, although everything that they name exists: code that Stripe would stop must fail here.

The messages are Stripe's own.
"""

from typing import Any

import pytest
import stripe

from stripe_simulator.server import Simulator
from tests.stripe.test_contract import NO_REDIRECTS

INTENT: Any = {"amount": 49900, "currency": "usd", "payment_method": "pm_card_visa"}
RETURN_URL = "you must provide a `return_url`"

# --- return_url ---

WITHOUT_REDIRECTS: dict[str, dict[str, Any]] = {
    "a return_url": {"return_url": "https://example.com"},
    "no redirects": {"automatic_payment_methods": NO_REDIRECTS},
    "types that never redirect": {"allowed_payment_method_types": ["card", "us_bank_account", "sepa_debit"]},
}


def test_a_confirmation_needs_a_return_url_where_a_method_could_redirect(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=RETURN_URL) as excinfo:
        client.v1.payment_intents.create({**INTENT, "confirm": True})
    intent = excinfo.value.error.payment_intent  # type: ignore[union-attr]
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_confirmation"  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError, match=RETURN_URL):
        client.v1.payment_intents.confirm(intent.id, {"use_stripe_sdk": True})  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError, match=RETURN_URL):
        client.v1.payment_intents.create(
            {**INTENT, "confirm": True, "allowed_payment_method_types": ["card", "klarna"]}
        )


@pytest.mark.parametrize("case", WITHOUT_REDIRECTS)
def test_a_confirmation_without_redirects_needs_no_return_url(client: stripe.StripeClient, case: str) -> None:
    intent = client.v1.payment_intents.create({**INTENT, "confirm": True, **WITHOUT_REDIRECTS[case]})
    assert intent.status == "succeeded"


def test_an_off_session_confirmation_needs_no_return_url(client: stripe.StripeClient) -> None:
    assert client.v1.payment_intents.create({**INTENT, "confirm": True, "off_session": True}).status == "succeeded"


def test_the_return_url_may_come_from_a_confirmation_token(client: stripe.StripeClient) -> None:
    params: Any = {"payment_method": "pm_card_visa", "return_url": "https://example.com"}
    token = client.v1.test_helpers.confirmation_tokens.create(params).id
    params = {"amount": 500, "currency": "usd", "confirm": True, "confirmation_token": token}
    assert client.v1.payment_intents.create(params).status == "succeeded"


def test_stripe_js_confirms_without_a_return_url(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    browser = stripe.StripeClient(simulator.publishable_key, base_addresses={"api": simulator.url})
    params: Any = {"client_secret": intent.client_secret, "payment_method": "pm_card_visa", "use_stripe_sdk": True}
    assert browser.v1.payment_intents.confirm(intent.id, params).status == "succeeded"


def test_a_setup_needs_a_return_url_where_a_method_could_redirect(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=RETURN_URL):
        client.v1.setup_intents.create({"confirm": True, "payment_method": "pm_card_visa"})
    setup = client.v1.setup_intents.create({"payment_method": "pm_card_visa"})
    with pytest.raises(stripe.InvalidRequestError, match=RETURN_URL):
        client.v1.setup_intents.confirm(setup.id)
    assert client.v1.setup_intents.confirm(setup.id, {"return_url": "https://example.com"}).status == "succeeded"


@pytest.mark.parametrize("case", WITHOUT_REDIRECTS)
def test_a_setup_without_redirects_needs_no_return_url(client: stripe.StripeClient, case: str) -> None:
    params: Any = {"confirm": True, "payment_method": "pm_card_visa", **WITHOUT_REDIRECTS[case]}
    assert client.v1.setup_intents.create(params).status == "succeeded"
