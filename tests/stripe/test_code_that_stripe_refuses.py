"""Requests that Stripe refuses, although everything that they name exists: code that Stripe would stop must fail here.

The messages are Stripe's own.
"""

from typing import Any
from urllib.parse import urlencode

import pytest
import stripe

from stripe_simulator.server import Simulator
from stripe_simulator.version import API_VERSION
from tests.stripe.test_contract import ITEM, NO_REDIRECTS, create_session
from tests.stripe.test_simulator_flows import card, submit

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


# --- statement descriptors ---

DESCRIPTOR = {"statement_descriptor": "DATA SCHOOL"}
CARDS_TAKE_A_SUFFIX = "not supported for the payment_method_type `card`"


@pytest.mark.parametrize(
    "params",
    [{"payment_method": "pm_card_visa"}, {"allowed_payment_method_types": ["card"]}],
    ids=["a card", "an intent for cards"],
)
def test_a_card_payment_has_no_complete_statement_descriptor(
    client: stripe.StripeClient, params: dict[str, Any]
) -> None:
    price: Any = {"amount": 500, "currency": "usd"}
    with pytest.raises(stripe.InvalidRequestError, match=CARDS_TAKE_A_SUFFIX):
        client.v1.payment_intents.create(price | params | DESCRIPTOR)
    intent = client.v1.payment_intents.create(price | params)
    if "allowed_payment_method_types" in params:
        with pytest.raises(stripe.InvalidRequestError, match=CARDS_TAKE_A_SUFFIX):
            client.v1.payment_intents.update(intent.id, DESCRIPTOR)  # type: ignore[arg-type]
    suffix: Any = {"statement_descriptor_suffix": "DATA"}
    assert client.v1.payment_intents.update(intent.id, suffix).statement_descriptor_suffix == "DATA"


def test_an_intent_with_a_complete_statement_descriptor_is_paid_from_a_bank_account_but_not_by_card(
    client: stripe.StripeClient,
) -> None:
    params: Any = {"amount": 500, "currency": "usd", "automatic_payment_methods": NO_REDIRECTS, **DESCRIPTOR}
    intent = client.v1.payment_intents.create(params)
    with pytest.raises(stripe.InvalidRequestError, match=CARDS_TAKE_A_SUFFIX):
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    acceptance = {"type": "online", "online": {"ip_address": "192.0.2.1", "user_agent": "tests"}}
    params = {"payment_method": "pm_usBankAccount_success", "mandate_data": {"customer_acceptance": acceptance}}
    assert client.v1.payment_intents.confirm(intent.id, params).status == "processing"


def test_a_session_for_cards_has_no_complete_statement_descriptor(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=CARDS_TAKE_A_SUFFIX):
        create_session(client, payment_intent_data=DESCRIPTOR, allowed_payment_method_types=["card"])


# --- other accounts ---


@pytest.mark.parametrize("header", ["Stripe-Account", "Stripe-Context"])
def test_a_call_for_another_account_is_refused(simulator: Simulator, header: str) -> None:
    headers = {"Authorization": f"Bearer {simulator.secret_key}", "Stripe-Version": API_VERSION}
    response = simulator.stripe.handle("POST", "/v1/customers", headers | {header: "acct_nope"})
    error = response.json()["error"]
    assert (response.status, error["code"]) == (403, "platform_account_required")
    assert error["message"].startswith("Only Stripe Connect platforms can work with other accounts.")
    assert "customer" not in simulator.store.objects
    own = {header: simulator.stripe.account.id}
    assert simulator.stripe.handle("POST", "/v1/customers", headers | own).status == 200


# --- Checkout Sessions ---


@pytest.mark.parametrize("ui_mode", ["embedded_page", "elements", "form"])
def test_a_session_without_a_hosted_page_is_refused_by_name(simulator: Simulator, ui_mode: str) -> None:
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
    params: Any = {"mode": "payment", "line_items": [ITEM], "ui_mode": ui_mode, "return_url": "https://example.com"}
    with pytest.raises(stripe.InvalidRequestError, match="does not support `ui_mode`") as excinfo:
        client.v1.checkout.sessions.create(params)
    assert excinfo.value.param == "ui_mode"


def test_a_hosted_session_takes_no_return_url(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        create_session(client, return_url="https://example.com")
    assert excinfo.value.param == "return_url"
    assert create_session(client, ui_mode="hosted_page").url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("receipt_email", "nope"),
        ("statement_descriptor", "x" * 23),
        ("statement_descriptor_suffix", "<x>"),
    ],
)
def test_the_data_of_the_later_payment_are_checked_when_a_session_is_created(
    client: stripe.StripeClient, name: str, value: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        create_session(client, payment_intent_data={name: value})
    assert excinfo.value.param == f"payment_intent_data[{name}]"
    with pytest.raises(stripe.InvalidRequestError):
        create_session(client, payment_intent_data={"metadata": {"note": "x" * 501}})


def test_a_session_passes_valid_data_to_its_payment(client: stripe.StripeClient, simulator: Simulator) -> None:
    data = {"receipt_email": "ada@example.com", "statement_descriptor_suffix": "DATA"}
    session = create_session(client, payment_intent_data=data)
    submit(str(session.url), **card("4242424242424242"))
    session = client.v1.checkout.sessions.retrieve(session.id)
    intent = client.v1.payment_intents.retrieve(str(session.payment_intent))
    assert (intent.receipt_email, intent.statement_descriptor_suffix) == ("ada@example.com", "DATA")


# --- paths, lengths and searches ---


@pytest.mark.parametrize("path", ["/v1/customers/", "/v1/payment_intents/", "/v1/checkout/sessions/"])
def test_an_empty_id_in_the_path_is_404_with_a_hint(simulator: Simulator, path: str) -> None:
    headers = {"Authorization": f"Bearer {simulator.secret_key}"}
    response = simulator.stripe.handle("GET", path, headers)
    message = response.json()["error"]["message"]
    assert response.status == 404
    assert message.startswith(f"Unrecognized request URL (GET: {path}). If you are trying to list objects, remove the")
    assert simulator.stripe.handle("GET", path.rstrip("/"), headers).status == 200


def test_an_empty_id_inside_the_path_is_404(simulator: Simulator) -> None:
    headers = {"Authorization": f"Bearer {simulator.secret_key}"}
    for method, path in (("GET", "/v1/customers//payment_methods"), ("POST", "/v1/payment_intents//confirm")):
        assert simulator.stripe.handle(method, path, headers).status == 404


@pytest.mark.parametrize(
    ("path", "params", "limit"),
    [
        ("customers", {"name": "x"}, 256),
        ("customers", {"phone": "1"}, 20),
        ("coupons", {"percent_off": "20", "duration": "once", "name": "x"}, 40),
        ("payment_intents", {"amount": "500", "currency": "usd", "description": "x"}, 1000),
        ("products", {"name": "DP", "description": "x"}, 5000),
    ],
)
def test_a_text_has_at_most_the_length_that_stripe_allows(
    simulator: Simulator, path: str, params: dict[str, str], limit: int
) -> None:
    *_, name = params
    headers = {"Authorization": f"Bearer {simulator.secret_key}", "Stripe-Version": API_VERSION}
    for length, status in ((limit, 200), (limit + 1, 400)):
        body = urlencode({**params, name: params[name] * length}).encode()
        response = simulator.stripe.handle("POST", f"/v1/{path}", headers, body)
        assert response.status == status, response.json()
    assert response.json()["error"]["param"] == name
    assert f"must be at most {limit} characters" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("customers", "status:'x'"),
        ("customers", "name~'ab'"),
        ("customers", " AND ".join(["name:'x'"] * 11)),
        ("payment_intents", "email:'x'"),
        ("payment_intents", "disputed:'true'"),
        ("charges", "payment_method_details.card.cvc:'1'"),
        ("prices", "name:'x'"),
        ("products", "lookup_key:'x'"),
    ],
)
def test_a_search_that_stripe_refuses_is_refused(simulator: Simulator, path: str, query: str) -> None:
    headers = {"Authorization": f"Bearer {simulator.secret_key}", "Stripe-Version": API_VERSION}
    response = simulator.stripe.handle("GET", f"/v1/{path}/search?{urlencode({'query': query})}", headers)
    assert (response.status, response.json()["error"]["param"]) == (400, "query")


@pytest.mark.parametrize(
    ("path", "query", "count"),
    [
        ("charges", "payment_method_details.card.last4:'4242'", 1),
        ("charges", "payment_method_details.card.last4:'4243'", 0),
        ("charges", "billing_details.address.postal_code:'8010'", 0),
        ("charges", " AND ".join(["status:'succeeded'"] * 10), 1),
        ("customers", "name~'Lov'", 1),
    ],
)
def test_a_search_that_stripe_supports_finds(
    client: stripe.StripeClient, simulator: Simulator, path: str, query: str, count: int
) -> None:
    client.v1.customers.create({"name": "Ada Lovelace"})
    client.v1.payment_intents.create({**INTENT, "confirm": True, "off_session": True})
    assert len(getattr(client.v1, path).search({"query": query}).data) == count
