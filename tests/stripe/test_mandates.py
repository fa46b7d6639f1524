"""Mandates: the permission to debit a bank account, from its collection to the debits that use it."""

import re
from typing import Any

import httpx
import pytest
import stripe

from stripe_simulator.server import Simulator
from tests.stripe.conftest import control
from tests.stripe.test_contract import DEBIT, create_session, pay
from tests.stripe.test_saved_methods import charge, confirm_in_browser, save, set_next
from tests.stripe.test_simulator_flows import submit

IBAN: Any = {"type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"}}
REQUIRED = (
    "This PaymentIntent requires a mandate, but no existing mandate was found. Collect mandate acceptance from the "
    "customer and try again, providing acceptance data in the mandate_data parameter."
)
INVALID = "The provided mandate is invalid and can not be used for the payment intent."
OFFLINE: Any = {"mandate_data": {"customer_acceptance": {"type": "offline", "accepted_at": 1_700_000_000}}}
SAVED: Any = {"setup_future_usage": "off_session"}


def mandate_of(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> Any:
    """Return the mandate of the latest charge of an intent."""
    expand = ["latest_charge.payment_method_details.us_bank_account.mandate"]
    expanded: Any = client.v1.payment_intents.retrieve(intent.id, {"expand": expand})
    return expanded.latest_charge.payment_method_details.us_bank_account.mandate


def refused(client: stripe.StripeClient, method: str, message: str, **more: Any) -> Any:
    """Confirm an intent that is refused with the message, and return the error."""
    with pytest.raises(stripe.InvalidRequestError, match=re.escape(message)) as excinfo:
        pay(client, method, **more)
    assert excinfo.value.http_status == 400
    return excinfo.value.error


def save_bank_account(client: stripe.StripeClient, method: str = "pm_usBankAccount_success") -> tuple[str, str, str]:
    """Save a bank account with a mandate; return the ids of the method, the customer and the mandate."""
    id, customer = save(client, method)
    params: Any = {"customer": customer, "payment_method": id, "confirm": True, "return_url": "https://x/", **DEBIT}
    setup = client.v1.setup_intents.create(params)
    assert setup.status == "succeeded"
    return id, customer, str(setup.mandate)


# --- a mandate is required ---


@pytest.mark.parametrize("more", [{}, SAVED, {"mandate_data": ""}], ids=["once", "saved", "empty"])
def test_a_debit_with_a_secret_key_needs_a_mandate(client: stripe.StripeClient, more: Any) -> None:
    error = refused(client, "pm_usBankAccount_success", REQUIRED, **more)
    assert error.type == "invalid_request_error"
    intent = client.v1.payment_intents.retrieve(error.payment_intent.id)
    assert (intent.status, intent.latest_charge) == ("requires_confirmation", None)
    assert client.v1.payment_intents.confirm(intent.id, DEBIT).status == "processing"  # type: ignore[arg-type]


def test_an_off_session_debit_needs_a_mandate(client: stripe.StripeClient) -> None:
    method, customer = save(client, "pm_usBankAccount_success")
    refused(client, method, REQUIRED, customer=customer, off_session=True)


def test_a_debit_that_lacks_its_mandate_takes_no_step(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client, "pm_usBankAccount_success")
    set_next(simulator, method, "account_closed")
    refused(client, method, REQUIRED, customer=customer)
    assert control(simulator, f"/_sim/payment_methods/{method}")["next"] == ["account_closed"]


def test_a_setup_of_a_bank_account_needs_a_mandate(client: stripe.StripeClient) -> None:
    method, customer = save(client, "pm_usBankAccount_success")
    params: Any = {"customer": customer, "payment_method": method, "confirm": True, "return_url": "https://x/"}
    with pytest.raises(stripe.InvalidRequestError, match="This SetupIntent requires a mandate") as excinfo:
        client.v1.setup_intents.create(params)
    setup = client.v1.setup_intents.retrieve(excinfo.value.error.setup_intent.id)  # type: ignore[union-attr]
    assert (setup.status, setup.mandate) == ("requires_confirmation", None)


def test_a_sepa_debit_that_saves_its_account_needs_mandate_data_each_time(client: stripe.StripeClient) -> None:
    message = "When confirming a PaymentIntent with a `sepa_debit` PaymentMethod and `setup_future_usage`, "
    method, customer = save(client, client.v1.payment_methods.create(IBAN).id)
    saved = {"customer": customer, "currency": "eur", **SAVED}
    for _ in range(2):
        refused(client, method, f"{message}`mandate_data` is required.", **saved)
        assert pay(client, method, **saved, **DEBIT).status == "processing"
    assert pay(client, method, customer=customer, currency="eur", off_session=True).status == "processing"


def test_a_payment_by_card_needs_no_mandate_and_takes_its_data(client: stripe.StripeClient) -> None:
    intent = pay(client, "pm_card_visa", **DEBIT)
    assert intent.status == "succeeded"
    assert client.v1.charges.retrieve(str(intent.latest_charge)).payment_method_details.card.mandate is None  # type: ignore[union-attr]


# --- the mandate ---


def test_a_debit_that_is_not_saved_has_a_mandate_for_one_payment(client: stripe.StripeClient) -> None:
    method, customer = save(client, "pm_usBankAccount_success")
    mandate = mandate_of(client, pay(client, method, customer=customer, **DEBIT))
    assert (mandate.type, mandate.status, mandate.payment_method) == ("single_use", "inactive", method)
    assert mandate.single_use.to_dict() == {"amount": 49900, "currency": "usd"}
    assert "multi_use" not in mandate.to_dict()
    refused(client, method, REQUIRED, customer=customer)


@pytest.mark.parametrize("usage", ["off_session", "on_session"])
def test_a_debit_that_saves_its_account_has_a_mandate_for_later_debits(client: stripe.StripeClient, usage: str) -> None:
    customer = client.v1.customers.create({}).id
    intent = pay(client, "pm_usBankAccount_success", customer=customer, setup_future_usage=usage, **DEBIT)
    mandate = mandate_of(client, intent)
    (method,) = client.v1.customers.payment_methods.list(customer).data
    assert (mandate.type, mandate.status, mandate.payment_method) == ("multi_use", "active", method.id)
    for more in ({}, {"mandate": mandate.id}):
        later = charge(client, method.id, customer, **more)
        assert (later.status, mandate_of(client, later).id) == ("processing", mandate.id)


def test_the_usage_of_one_type_decides_whether_the_mandate_serves_later_debits(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    options = {"us_bank_account": {"setup_future_usage": "off_session"}}
    more: Any = {"customer": customer, "payment_method_options": options, **DEBIT}
    assert mandate_of(client, pay(client, "pm_usBankAccount_success", **more)).type == "multi_use"
    options["us_bank_account"]["setup_future_usage"] = "none"
    assert mandate_of(client, pay(client, "pm_usBankAccount_success", **more)).type == "single_use"


def test_a_setup_makes_the_mandate_that_off_session_debits_use(client: stripe.StripeClient) -> None:
    method, customer, mandate = save_bank_account(client)
    expanded: Any = client.v1.setup_intents.list({"customer": customer, "expand": ["data.mandate"]}).data[0].mandate
    assert (expanded.id, expanded.type, expanded.status) == (mandate, "multi_use", "active")
    assert mandate_of(client, charge(client, method, customer)).id == mandate
    params: Any = {"customer": customer, "payment_method": method, "confirm": True, "return_url": "https://x/"}
    assert client.v1.setup_intents.create(params).mandate == mandate


def test_a_new_acceptance_makes_a_new_mandate(client: stripe.StripeClient) -> None:
    method, customer, first = save_bank_account(client)
    second = mandate_of(client, pay(client, method, customer=customer, **SAVED, **DEBIT)).id
    assert second != first
    assert mandate_of(client, charge(client, method, customer)).id == second
    assert mandate_of(client, charge(client, method, customer, mandate=first)).id == first


def test_a_mandate_has_the_acceptance_of_the_customer(client: stripe.StripeClient, simulator: Simulator) -> None:
    now = control(simulator, "/_sim/health")["now"]
    online = mandate_of(client, pay(client, "pm_usBankAccount_success", **DEBIT)).customer_acceptance.to_dict()
    assert now <= online.pop("accepted_at") <= now + 60
    assert online == {"type": "online", "online": {"ip_address": "192.0.2.1", "user_agent": "tests"}}
    offline = mandate_of(client, pay(client, "pm_usBankAccount_success", **OFFLINE)).customer_acceptance.to_dict()
    assert offline == {"type": "offline", "accepted_at": 1_700_000_000, "offline": {}}


def test_a_sepa_mandate_has_a_reference_and_a_url(client: stripe.StripeClient) -> None:
    options = {"sepa_debit": {"mandate_options": {"reference_prefix": "SCHOOL-"}}}
    more: Any = {"payment_method_data": IBAN, "currency": "eur", "payment_method_options": options, **DEBIT}
    intent = client.v1.payment_intents.create(
        {"amount": 500, "confirm": True, "return_url": "https://x/", "expand": ["latest_charge"], **more}
    )
    details: Any = intent.latest_charge.payment_method_details.sepa_debit  # type: ignore[union-attr]
    sepa: Any = client.v1.mandates.retrieve(details.mandate, {"expand": ["payment_method"]})
    assert sepa.payment_method.sepa_debit.last4 == "3201"
    assert sepa.payment_method_details.sepa_debit.reference.startswith("SCHOOL-")
    assert sepa.payment_method_details.sepa_debit.url.startswith("https://")


def test_a_mandate_on_paper_says_so(client: stripe.StripeClient) -> None:
    options = {"us_bank_account": {"mandate_options": {"collection_method": "paper"}}}
    mandate = mandate_of(client, pay(client, "pm_usBankAccount_success", payment_method_options=options, **OFFLINE))
    assert mandate.payment_method_details.us_bank_account.collection_method == "paper"


ONLINE = {"ip_address": "192.0.2.1", "user_agent": "tests"}


@pytest.mark.parametrize(
    ("acceptance", "param"),
    [
        ({"type": "online"}, "mandate_data[customer_acceptance][online]"),
        ({"type": "online", "online": {"user_agent": "x"}}, "mandate_data[customer_acceptance][online][ip_address]"),
        ({"type": "online", "online": {"ip_address": "x"}}, "mandate_data[customer_acceptance][online][user_agent]"),
        ({"online": ONLINE}, "mandate_data[customer_acceptance][type]"),
        ({"type": "phone"}, "mandate_data[customer_acceptance][type]"),
    ],
    ids=["no online", "no address", "no agent", "no type", "unknown type"],
)
def test_an_incomplete_acceptance_is_refused(client: stripe.StripeClient, acceptance: Any, param: str) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    params: Any = {"payment_method": "pm_usBankAccount_success", "return_url": "https://x/"}
    params["mandate_data"] = {"customer_acceptance": acceptance}
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.payment_intents.confirm(intent.id, params)
    assert (excinfo.value.param, client.v1.payment_intents.retrieve(intent.id).status) == (
        param,
        "requires_payment_method",
    )


def test_an_unknown_mandate_is_missing(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="No such mandate: 'mandate_none'") as excinfo:
        client.v1.mandates.retrieve("mandate_none")
    assert (excinfo.value.http_status, excinfo.value.code) == (404, "resource_missing")


# --- a named mandate ---


def test_a_named_mandate_must_exist_and_belong_to_the_method(client: stripe.StripeClient) -> None:
    method, customer, mandate = save_bank_account(client)
    error = refused(client, method, "No such mandate", customer=customer, mandate="mandate_none")
    assert (error.code, error.param) == ("resource_missing", "mandate")
    other, _ = save(client, "pm_usBankAccount_success")
    other_customer = str(client.v1.payment_methods.retrieve(other).customer)
    error = refused(client, other, INVALID, customer=other_customer, mandate=mandate)
    assert (error.code, error.param) == ("payment_intent_mandate_invalid", "mandate")
    assert refused(client, "pm_card_visa", INVALID, mandate=mandate).code == "payment_intent_mandate_invalid"
    refused(client, method, "only specify one of these", customer=customer, mandate=mandate, **DEBIT)


def test_a_used_mandate_for_one_payment_is_refused(client: stripe.StripeClient) -> None:
    method, customer = save(client, "pm_usBankAccount_success")
    used = mandate_of(client, pay(client, method, customer=customer, **DEBIT)).id
    refused(client, method, INVALID, customer=customer, mandate=used)


@pytest.mark.parametrize("name", ["mandate", "mandate_data"])
def test_a_mandate_belongs_to_a_confirmation(client: stripe.StripeClient, name: str) -> None:
    value: Any = {"mandate": "mandate_x", **DEBIT}[name]
    message = f"The parameter `{name}` cannot be passed when creating a PaymentIntent unless `confirm` is set to true."
    with pytest.raises(stripe.InvalidRequestError, match=re.escape(message)) as excinfo:
        client.v1.payment_intents.create({"amount": 500, "currency": "usd", name: value})  # type: ignore[typeddict-item]
    assert excinfo.value.param == name


# --- the status ---


@pytest.mark.parametrize("status", ["inactive", "pending"])
def test_a_mandate_that_is_not_active_is_refused(
    client: stripe.StripeClient, simulator: Simulator, status: str
) -> None:
    method, customer, mandate = save_bank_account(client)
    assert control(simulator, f"/_sim/mandates/{mandate}", {"status": status})["status"] == status
    (event,) = client.v1.events.list({"type": "mandate.updated"}).data
    assert event.data.previous_attributes.to_dict() == {"status": "active"}  # type: ignore[union-attr]
    assert event.data.object.to_dict() == client.v1.mandates.retrieve(mandate).to_dict()
    assert (event.request.id, event.request.idempotency_key) == (None, None)  # type: ignore[union-attr]
    refused(client, method, REQUIRED, customer=customer, off_session=True)
    refused(client, method, INVALID, customer=customer, off_session=True, mandate=mandate)
    control(simulator, f"/_sim/mandates/{mandate}", {"status": "active"})
    assert charge(client, method, customer).status == "processing"


def test_an_earlier_mandate_serves_while_the_latest_is_inactive(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    method, customer, first = save_bank_account(client)
    second = mandate_of(client, pay(client, method, customer=customer, **SAVED, **DEBIT)).id
    control(simulator, f"/_sim/mandates/{second}", {"status": "inactive"})
    assert mandate_of(client, charge(client, method, customer)).id == first


def test_the_same_status_again_sends_no_event(client: stripe.StripeClient, simulator: Simulator) -> None:
    *_, mandate = save_bank_account(client)
    assert control(simulator, f"/_sim/mandates/{mandate}", {"status": "active"})["status"] == "active"
    assert client.v1.events.list({"type": "mandate.updated"}).data == []
    for body, status, message in (({"status": "lost"}, 400, "one of active, inactive"), ({"next": []}, 400, "next")):
        response = httpx.post(f"{simulator.url}/_sim/mandates/{mandate}", json=body)
        assert (response.status_code, message in response.json()["error"]["message"]) == (status, True)
    assert httpx.post(f"{simulator.url}/_sim/mandates/mandate_none", json={"status": "active"}).status_code == 404


def test_a_dispute_of_a_debit_revokes_the_mandate(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer, mandate = save_bank_account(client, "pm_usBankAccount_dispute")
    charge(client, method, customer)
    control(simulator, "/_sim/clock", {"advance_s": 3})
    assert len(client.v1.disputes.list().data) == 1
    assert client.v1.mandates.retrieve(mandate).status == "inactive"
    assert [event.data.object["id"] for event in client.v1.events.list({"type": "mandate.updated"}).data] == [mandate]
    refused(client, method, REQUIRED, customer=customer, off_session=True)
    assert pay(client, method, customer=customer, **OFFLINE).status == "processing"


# --- blocked accounts ---


def refused_debit(client: stripe.StripeClient, method: str, customer: str) -> Any:
    """Charge a blocked account off session and return the error."""
    with pytest.raises(stripe.CardError) as excinfo:
        charge(client, method, customer)
    assert (excinfo.value.http_status, excinfo.value.code) == (402, "bank_account_unusable")
    return excinfo.value.error


def status_details(client: stripe.StripeClient, method: str) -> Any:
    """Return whether the account is blocked, and why, as Stripe shows it."""
    return client.v1.payment_methods.retrieve(method).to_dict()["us_bank_account"]["status_details"]


@pytest.mark.parametrize(
    ("step", "reason", "code"),
    [("account_closed", "bank_account_closed", "R02"), ("no_account", "bank_account_invalid_details", "R03")],
)
def test_an_account_that_returns_a_debit_for_good_is_blocked(
    client: stripe.StripeClient, simulator: Simulator, step: str, reason: str, code: str
) -> None:
    method, customer, mandate = save_bank_account(client)
    set_next(simulator, method, "insufficient_funds", step)
    for blocked in (None, {"blocked": {"network_code": code, "reason": reason}}):
        assert charge(client, method, customer).status == "processing"
        control(simulator, "/_sim/clock", {"advance_s": 3})
        assert status_details(client, method) == blocked
    (event,) = client.v1.events.list({"type": "payment_method.automatically_updated"}).data
    assert event.data.previous_attributes.to_dict() == {"us_bank_account": {"status_details": None}}  # type: ignore[union-attr]
    assert client.v1.mandates.retrieve(mandate).status == "active"
    error = refused_debit(client, method, customer)
    intent = client.v1.payment_intents.retrieve(error.payment_intent.id, {"expand": ["latest_charge"]})
    outcome: Any = intent.latest_charge.outcome  # type: ignore[union-attr]
    assert (intent.status, intent.last_payment_error.code) == ("requires_payment_method", "bank_account_unusable")  # type: ignore[union-attr]
    assert (outcome.type, outcome.network_status) == ("blocked", "not_sent_to_network")
    params: Any = {"customer": customer, "payment_method": method, "confirm": True, "return_url": "https://x/", **DEBIT}
    with pytest.raises(stripe.CardError) as setup:
        client.v1.setup_intents.create(params)
    failed: Any = setup.value.error
    assert (failed.code, failed.setup_intent.status) == ("bank_account_unusable", "requires_payment_method")
    assert client.v1.events.list({"type": "setup_intent.setup_failed"}).data[0].data.object["id"] == (
        failed.setup_intent.id
    )
    assert len(simulator.store.objects["mandate"]) == 1
    shown = confirm_in_browser(simulator, client.v1.payment_intents.retrieve(intent.id), payment_method=method).json()
    holders = (shown["error"], shown["error"]["payment_intent"]["last_payment_error"])
    assert [one["payment_method"]["us_bank_account"]["status_details"] for one in holders] == [None, None]
    control(simulator, f"/_sim/payment_methods/{method}", {"blocked": None})
    assert status_details(client, method) is None
    assert charge(client, method, customer).status == "processing"


def test_an_account_whose_customer_denies_two_debits_loses_its_mandate_and_is_blocked(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    method, customer, mandate = save_bank_account(client)
    set_next(simulator, method, "debit_not_authorized", "debit_not_authorized")
    charge(client, method, customer)
    control(simulator, "/_sim/clock", {"advance_s": 3})
    assert (client.v1.mandates.retrieve(mandate).status, status_details(client, method)) == ("inactive", None)
    refused(client, method, REQUIRED, customer=customer, off_session=True)
    assert pay(client, method, customer=customer, **SAVED, **OFFLINE).status == "processing"
    control(simulator, "/_sim/clock", {"advance_s": 3})
    assert status_details(client, method)["blocked"]["reason"] == "debit_not_authorized"
    assert client.v1.events.list({"type": "mandate.updated"}).data[0].data.object["status"] == "inactive"
    refused_debit(client, method, customer)


# --- pages of Stripe ---


def test_stripe_js_collects_the_mandate_itself(client: stripe.StripeClient, simulator: Simulator) -> None:
    customer = client.v1.customers.create({}).id
    params: Any = {"amount": 500, "currency": "usd", "customer": customer, **SAVED}
    intent = client.v1.payment_intents.create(params)
    form = {
        "client_secret": str(intent.client_secret),
        "payment_method_data[type]": "us_bank_account",
        "payment_method_data[us_bank_account][account_number]": "000123456789",
        "payment_method_data[us_bank_account][routing_number]": "110000000",
    }
    headers = {"Authorization": f"Bearer {simulator.publishable_key}", "User-Agent": "a browser"}
    path = f"{simulator.url}/v1/payment_intents/{intent.id}/confirm"
    response = httpx.post(path, data=form, headers=headers)
    assert response.json()["status"] == "processing"
    mandate = mandate_of(client, intent)
    assert (mandate.type, mandate.customer_acceptance.online.user_agent) == ("multi_use", "a browser")
    (method,) = client.v1.customers.payment_methods.list(customer).data
    assert charge(client, method.id, customer).status == "processing"


def test_stripe_js_sets_up_a_bank_account_and_names_no_mandate(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    customer = client.v1.customers.create({}).id
    setup = client.v1.setup_intents.create({"customer": customer, "payment_method": "pm_usBankAccount_success"})
    headers = {"Authorization": f"Bearer {simulator.publishable_key}"}
    path = f"{simulator.url}/v1/setup_intents/{setup.id}/confirm"
    response = httpx.post(path, data={"client_secret": str(setup.client_secret)}, headers=headers)
    assert (response.json()["status"], "mandate" in response.json()) == ("succeeded", False)
    assert client.v1.mandates.retrieve(str(client.v1.setup_intents.retrieve(setup.id).mandate)).status == "active"
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    form = {"client_secret": str(intent.client_secret), "payment_method": "pm_usBankAccount_success", "mandate": "m"}
    response = httpx.post(f"{simulator.url}/v1/payment_intents/{intent.id}/confirm", data=form, headers=headers)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "mandate")


def test_checkout_collects_the_mandate_itself(client: stripe.StripeClient, simulator: Simulator) -> None:
    data = {"setup_future_usage": "off_session"}
    session = create_session(client, payment_intent_data=data, customer_creation="always")
    submit(str(session.url), method="us_bank_account", account_number="000123456789", email="ada@example.com")
    session = client.v1.checkout.sessions.retrieve(session.id)
    intent = client.v1.payment_intents.retrieve(str(session.payment_intent))
    assert mandate_of(client, intent).type == "multi_use"
    assert len(simulator.store.objects["mandate"]) == 1
    assert charge(client, str(intent.payment_method), str(session.customer)).status == "processing"


def test_a_confirmation_token_carries_the_acceptance(client: stripe.StripeClient) -> None:
    bank = {"type": "us_bank_account", "us_bank_account": {"account_number": "000123456789"}}
    params: Any = {"payment_method_data": bank, "return_url": "https://x/"}
    token = client.v1.test_helpers.confirmation_tokens.create(params)
    assert token.mandate_data.customer_acceptance.type == "online"  # type: ignore[union-attr]
    params = {"amount": 500, "currency": "usd", "confirm": True, "confirmation_token": token.id}
    assert mandate_of(client, client.v1.payment_intents.create(params)).customer_acceptance.type == "online"
    card = client.v1.test_helpers.confirmation_tokens.create({"payment_method": "pm_card_visa"})
    assert card.mandate_data is None
