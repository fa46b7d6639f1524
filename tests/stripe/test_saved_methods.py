"""Saved payment methods, as payment plans charge them: sequences of outcomes, declines, expiry and updates."""

import time
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from stripe_simulator import cards, state_file
from stripe_simulator.control import OBJECT_CONTROLS
from stripe_simulator.server import Simulator, Stripe
from tests.stripe.conftest import control
from tests.stripe.test_cards import DOCUMENT
from tests.stripe.test_contract import DEBIT, create_session, pay
from tests.stripe.test_simulator_flows import card, submit

YEAR_S = 366 * 24 * 3600


def save(client: stripe.StripeClient, method: str = "pm_card_visa") -> tuple[str, str]:
    """Attach a payment method to a new customer; return the ids of both."""
    customer = client.v1.customers.create({}).id
    return client.v1.payment_methods.attach(method, {"customer": customer}).id, customer


def set_next(simulator: Simulator, method: str, *steps: str) -> Any:
    """Set what the next attempts with a method do."""
    return control(simulator, f"/_sim/payment_methods/{method}", {"next": list(steps)})


def charge(client: stripe.StripeClient, method: str, customer: str, **more: Any) -> stripe.PaymentIntent:
    """Charge a saved method off session."""
    return pay(client, method, customer=customer, off_session=True, **more)


def declined(client: stripe.StripeClient, method: str, customer: str, **more: Any) -> stripe.CardError:
    """Charge a saved method and return the decline."""
    with pytest.raises(stripe.CardError) as excinfo:
        charge(client, method, customer, **more)
    assert excinfo.value.http_status == 402
    return excinfo.value


def decline_code(client: stripe.StripeClient, method: str, customer: str) -> str:
    """Charge a saved method and return the code of the decline."""
    error: Any = declined(client, method, customer).error
    return str(error.decline_code)


# --- sequences of outcomes ---


def test_each_attempt_takes_one_step_and_then_the_card_does_as_before(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    method, customer = save(client)
    set_next(simulator, method, "insufficient_funds", "do_not_honor", "ok")
    assert [decline_code(client, method, customer) for _ in range(2)] == ["insufficient_funds", "do_not_honor"]
    assert control(simulator, f"/_sim/payment_methods/{method}")["next"] == ["ok"]
    assert [charge(client, method, customer).status for _ in range(2)] == ["succeeded", "succeeded"]
    assert control(simulator, f"/_sim/payment_methods/{method}")["next"] == []


def test_ok_succeeds_with_a_card_that_is_usually_declined(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client, "pm_card_chargeCustomerFail")
    set_next(simulator, method, "ok")
    assert charge(client, method, customer).status == "succeeded"
    assert decline_code(client, method, customer) == "generic_decline"


def test_steps_are_set_again_and_removed(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client)
    assert set_next(simulator, method, "lost_card", "lost_card")["next"] == ["lost_card", "lost_card"]
    assert set_next(simulator, method, "stolen_card")["next"] == ["stolen_card"]
    assert set_next(simulator, method)["next"] == []
    assert charge(client, method, customer).status == "succeeded"


def test_a_retried_request_takes_no_further_step(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client)
    set_next(simulator, method, "insufficient_funds", "ok")
    params: Any = {"amount": 500, "currency": "usd", "customer": customer, "payment_method": method}
    intent = client.v1.payment_intents.create(params).id
    for _ in range(3):
        with pytest.raises(stripe.CardError):
            client.v1.payment_intents.confirm(intent, {"off_session": True}, {"idempotency_key": "first"})
    assert control(simulator, f"/_sim/payment_methods/{method}")["next"] == ["ok"]


def test_a_refused_confirmation_takes_no_step(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, _ = save(client)
    set_next(simulator, method, "insufficient_funds")
    with pytest.raises(stripe.InvalidRequestError, match="belongs to the Customer"):
        pay(client, method)
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        client.v1.payment_intents.create(
            {"amount": 500, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
        )
    assert control(simulator, f"/_sim/payment_methods/{method}")["next"] == ["insufficient_funds"]


def test_requires_action_asks_for_3d_secure_and_then_succeeds(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    method, customer = save(client)
    set_next(simulator, method, "requires_action", "insufficient_funds")
    intent = pay(client, method, customer=customer)
    assert intent.status == "requires_action"
    authenticated = control(simulator, f"/_sim/payment_intents/{intent.id}/authenticate", {"outcome": "success"})
    assert authenticated["status"] == "succeeded"
    assert control(simulator, f"/_sim/payment_methods/{method}")["next"] == ["insufficient_funds"]


def test_requires_action_succeeds_when_the_server_confirms_again(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    method, customer = save(client)
    set_next(simulator, method, "requires_action", "insufficient_funds")
    intent = pay(client, method, customer=customer, confirmation_method="manual")
    control(simulator, f"/_sim/payment_intents/{intent.id}/authenticate", {"outcome": "success"})
    assert client.v1.payment_intents.confirm(intent.id).status == "succeeded"
    assert control(simulator, f"/_sim/payment_methods/{method}")["next"] == ["insufficient_funds"]


@pytest.mark.parametrize("step", ["requires_action", "authentication_required"])
def test_a_step_with_authentication_is_a_decline_off_session(
    client: stripe.StripeClient, simulator: Simulator, step: str
) -> None:
    method, customer = save(client)
    set_next(simulator, method, step)
    assert decline_code(client, method, customer) == "authentication_required"


def test_a_setup_takes_a_step_too(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client)
    set_next(simulator, method, "transaction_not_allowed", "requires_action", "ok", "lost_card")
    params: Any = {"customer": customer, "payment_method": method, "confirm": True, "return_url": "https://x/"}
    with pytest.raises(stripe.CardError) as excinfo:
        client.v1.setup_intents.create(params)
    error: Any = excinfo.value.error
    assert (error.decline_code, error.advice_code, error.network_decline_code) == (
        "transaction_not_allowed",
        "do_not_try_again",
        "57",
    )
    setup = client.v1.setup_intents.retrieve(error.setup_intent.id)
    assert (setup.status, setup.last_setup_error.advice_code) == ("requires_payment_method", "do_not_try_again")  # type: ignore[union-attr]
    setup = client.v1.setup_intents.create(params)
    assert setup.status == "requires_action"
    path = f"/_sim/setup_intents/{setup.id}/authenticate"
    assert control(simulator, path, {"outcome": "success"})["status"] == "succeeded"
    assert client.v1.setup_intents.create(params).status == "succeeded"
    assert control(simulator, f"/_sim/payment_methods/{method}")["next"] == ["lost_card"]


@pytest.mark.parametrize("step", [step for step in cards.DEBIT_STEPS if step not in ("ok", "processing")])
def test_a_bank_debit_fails_with_the_step_after_processing(
    client: stripe.StripeClient, simulator: Simulator, step: str
) -> None:
    method, customer = save(client, "pm_usBankAccount_success")
    set_next(simulator, method, step, "ok")
    intents = [pay(client, method, customer=customer, **DEBIT) for _ in range(2)]
    assert [intent.status for intent in intents] == ["processing", "processing"]
    control(simulator, "/_sim/clock", {"advance_s": 3})
    failed, paid = (client.v1.payment_intents.retrieve(intent.id) for intent in intents)
    assert (failed.status, failed.last_payment_error.code) == ("requires_payment_method", step)  # type: ignore[union-attr]
    assert paid.status == "succeeded"


def test_a_bank_debit_stays_processing_until_it_is_canceled(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client, "pm_usBankAccount_noAccount")
    set_next(simulator, method, "processing", "ok")
    stuck, paid = (pay(client, method, customer=customer, **DEBIT) for _ in range(2))
    control(simulator, "/_sim/clock", {"advance_s": 3})
    assert client.v1.payment_intents.retrieve(paid.id).status == "succeeded"
    assert client.v1.payment_intents.retrieve(stuck.id).status == "processing"
    assert client.v1.payment_intents.cancel(stuck.id).status == "canceled"


INVALID: list[tuple[str, Any, str]] = [
    ("pm_card_visa", {"next": ["no_such_code"]}, "next has an unknown step for a card: no_such_code. There are: ok,"),
    ("pm_card_visa", {"next": ["account_closed"]}, "unknown step for a card: account_closed"),
    ("pm_card_visa", {"next": ["processing"]}, "unknown step for a card: processing"),
    ("pm_card_visa", {"next": ["ok", 5]}, "unknown step for a card: 5"),
    ("pm_card_visa", {"next": "ok"}, "next must be a list of at most 100 steps"),
    ("pm_card_visa", {"next": ["ok"] * 101}, "next must be a list of at most 100 steps"),
    ("pm_card_visa", {}, "Pass next, card or blocked"),
    ("pm_card_visa", {"then": ["ok"]}, "has no field then: it takes next, card, blocked"),
    ("pm_card_visa", {"card": {}}, "card must have number, exp_month or exp_year"),
    ("pm_card_visa", {"card": {"cvc": "123"}}, "card has no field cvc"),
    ("pm_card_visa", {"card": {"exp_year": "2040"}}, "exp_year must be a whole number"),
    ("pm_card_visa", {"card": {"exp_month": 13}}, "expiration month is invalid"),
    ("pm_card_visa", {"card": {"exp_year": 2020}}, "expiration year is invalid"),
    ("pm_card_visa", {"card": {"number": 4242}}, "number must be a string"),
    ("pm_card_visa", {"card": {"number": "4242424242424241"}}, "card number is incorrect"),
    ("pm_card_visa", {"card": {"exp_month": 12, "exp_year": 2034}}, "that the payment method has"),
    ("pm_usBankAccount_success", {"next": ["lost_card"]}, "unknown step for a us_bank_account: lost_card"),
    ("pm_usBankAccount_success", {"next": ["requires_action"]}, "unknown step for a us_bank_account"),
    ("pm_usBankAccount_success", {"card": {"exp_year": 2040}}, "Only a card that is attached to a customer"),
    ("pm_usBankAccount_success", {"blocked": True}, "blocked must be null, to remove the block, or one of bank_acc"),
    ("pm_card_visa", {"blocked": "bank_account_closed"}, "Only a US bank account that is attached"),
]


@pytest.mark.parametrize(("method", "body", "message"), INVALID, ids=[message for *_, message in INVALID])
def test_an_invalid_change_of_a_method_is_refused_and_changes_nothing(
    client: stripe.StripeClient, simulator: Simulator, method: str, body: Any, message: str
) -> None:
    saved, _ = save(client, method)
    before = control(simulator, f"/_sim/payment_methods/{saved}")
    response = httpx.post(f"{simulator.url}/_sim/payment_methods/{saved}", json=body)
    assert (response.status_code, message in response.json()["error"]["message"]) == (400, True), response.text
    assert control(simulator, f"/_sim/payment_methods/{saved}") == before


def test_steps_are_kept_with_a_card_only_if_all_of_the_change_is_valid(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    method, _ = save(client)
    body = {"next": ["lost_card"], "card": {"exp_month": 13}}
    assert httpx.post(f"{simulator.url}/_sim/payment_methods/{method}", json=body).status_code == 400
    assert control(simulator, f"/_sim/payment_methods/{method}")["next"] == []


@pytest.mark.parametrize(
    ("method", "message"),
    [("pm_none", "No such PaymentMethod: 'pm_none'"), ("pm_card_visa", "each use of a test id creates another one")],
)
def test_the_control_call_needs_the_id_of_a_payment_method(simulator: Simulator, method: str, message: str) -> None:
    response = httpx.post(f"{simulator.url}/_sim/payment_methods/{method}", json={"next": ["ok"]})
    assert (response.status_code, message in response.json()["error"]["message"]) == (404, True)
    assert httpx.delete(f"{simulator.url}/_sim/payment_methods/{method}").status_code == 404
    assert httpx.put(f"{simulator.url}/_sim/payment_methods/{method}").status_code == 405


def test_every_step_and_every_control_of_one_object_is_documented() -> None:
    text = DOCUMENT.read_text()
    assert [step for step in (*cards.CARD_STEPS, *cards.DEBIT_STEPS) if f"`{step}`" not in text] == []
    assert [path for path in OBJECT_CONTROLS if path.replace("*", "{id}") not in text] == []


# --- codes of a decline ---


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("generic_decline", ("try_again_later", None, "01")),  # as captured from Stripe's test mode
        ("insufficient_funds", ("try_again_later", None, "51")),
        ("stolen_card", ("do_not_try_again", None, "43")),
        ("expired_card", ("confirm_card_data", None, "54")),
        ("authentication_required", (None, None, None)),
    ],
)
def test_a_decline_has_its_codes_in_the_error_the_intent_and_the_charge(
    client: stripe.StripeClient, simulator: Simulator, step: str, codes: tuple[str | None, ...]
) -> None:
    method, customer = save(client)
    set_next(simulator, method, step)
    error: Any = declined(client, method, customer).error
    intent: Any = client.v1.payment_intents.retrieve(error.payment_intent.id)
    outcome: Any = client.v1.charges.retrieve(error.charge).outcome
    names = ("advice_code", "network_advice_code", "network_decline_code")
    for holder in (error, intent.last_payment_error, outcome):
        assert tuple(holder.to_dict().get(name) for name in names) == codes
    assert outcome.type == "issuer_declined"


@pytest.mark.parametrize(
    ("step", "advice"), [("insufficient_funds", "02"), ("lost_card", "03"), ("incorrect_cvc", "01")]
)
def test_mastercard_gives_advice_of_its_own(
    client: stripe.StripeClient, simulator: Simulator, step: str, advice: str
) -> None:
    method, customer = save(client, "pm_card_mastercard")
    set_next(simulator, method, step)
    error: Any = declined(client, method, customer).error
    assert error.network_advice_code == advice


def test_a_payment_that_radar_blocks_has_no_code_of_a_network(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as excinfo:
        pay(client, "pm_card_radarBlock")
    error: Any = excinfo.value.error
    outcome: Any = client.v1.charges.retrieve(error.charge).outcome
    assert (outcome.type, outcome.advice_code, outcome.network_decline_code) == ("blocked", None, None)


def test_a_card_that_cannot_be_attached_has_the_codes_of_its_decline(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    with pytest.raises(stripe.CardError) as excinfo:
        save(client, "pm_card_visa_chargeDeclinedLostCard")
    error: Any = excinfo.value.error
    assert (error.decline_code, error.advice_code, error.network_decline_code) == (
        "lost_card",
        "do_not_try_again",
        "41",
    )


def test_a_failed_bank_debit_has_no_code_of_a_card_network(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = pay(client, "pm_usBankAccount_insufficientFunds", **DEBIT)
    control(simulator, "/_sim/clock", {"advance_s": 3})
    failed: Any = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (failed.status, failed.outcome.advice_code, failed.outcome.network_decline_code) == ("failed", None, None)


# --- off session ---


def test_an_off_session_decline_keeps_the_method_for_the_customer_to_authenticate(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    method, customer = save(client, "pm_card_authenticationRequired")
    error: Any = declined(client, method, customer).error
    assert (error.type, error.code) == ("card_error", "authentication_required")
    intent = client.v1.payment_intents.retrieve(error.payment_intent.id)
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    kept: Any = intent.last_payment_error.payment_method  # type: ignore[union-attr]
    assert (kept.id, kept.customer) == (method, customer)
    again = client.v1.payment_intents.confirm(intent.id, {"payment_method": kept.id, "return_url": "https://x/"})
    assert again.status == "requires_action"
    path = f"/_sim/payment_intents/{intent.id}/authenticate"
    assert control(simulator, path, {"outcome": "success"})["status"] == "succeeded"


@pytest.mark.parametrize("value", [True, "one_off", "recurring"])
def test_every_value_of_off_session_declines_a_card_that_needs_authentication(
    client: stripe.StripeClient, value: Any
) -> None:
    method, customer = save(client, "pm_card_authenticationRequiredOnSetup")
    with pytest.raises(stripe.CardError) as excinfo:
        pay(client, method, customer=customer, off_session=value)
    assert excinfo.value.code == "authentication_required"


@pytest.mark.parametrize("how", ["setup", "payment"])
def test_a_card_that_was_set_up_succeeds_off_session(
    client: stripe.StripeClient, simulator: Simulator, how: str
) -> None:
    customer = client.v1.customers.create({}).id
    params: Any = {"customer": customer, "payment_method": "pm_card_authenticationRequiredOnSetup", "confirm": True}
    params |= {"return_url": "https://x/"}
    if how == "setup":
        intent: Any = client.v1.setup_intents.create(params)
    else:
        params |= {"amount": 500, "currency": "usd", "setup_future_usage": "off_session"}
        intent = client.v1.payment_intents.create(params)
    assert intent.status == "requires_action"
    control(simulator, f"/_sim/{intent.object}s/{intent.id}/authenticate", {"outcome": "success"})
    (method,) = client.v1.customers.payment_methods.list(customer).data
    assert [charge(client, method.id, customer).status for _ in range(2)] == ["succeeded", "succeeded"]


def test_a_setup_for_payments_on_session_leaves_the_authentication_to_them(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    params: Any = {"customer": customer, "payment_method": "pm_card_authenticationRequiredOnSetup", "confirm": True}
    setup = client.v1.setup_intents.create(params | {"usage": "on_session", "return_url": "https://x/"})
    assert setup.status == "succeeded"
    (method,) = client.v1.customers.payment_methods.list(customer).data
    assert decline_code(client, method.id, customer) == "authentication_required"


def test_a_method_whose_payment_saves_it_without_a_customer_can_be_attached_later(client: stripe.StripeClient) -> None:
    """The reference of `setup_future_usage` says so. A method of another payment can never be used again."""
    customer = client.v1.customers.create({}).id
    once, saved = pay(client, "pm_card_visa"), pay(client, "pm_card_visa", setup_future_usage="off_session")
    assert charge(client, save_to(client, saved, customer), customer).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="previously used with a PaymentIntent without Customer"):
        save_to(client, once, customer)
    with pytest.raises(stripe.InvalidRequestError, match="previously used with a PaymentIntent without Customer"):
        charge(client, str(once.payment_method), customer)


def save_to(client: stripe.StripeClient, intent: stripe.PaymentIntent, customer: str) -> str:
    """Attach the method of a payment to a customer and return its id."""
    return client.v1.payment_methods.attach(str(intent.payment_method), {"customer": customer}).id


def test_a_card_without_funds_is_declined_off_session_after_its_authenticated_setup(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    """It is declined "even after being successfully authenticated or previously set up": docs.stripe.com/testing."""
    customer = client.v1.customers.create({}).id
    card = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"
    params: Any = {"customer": customer, "payment_method": card, "confirm": True, "return_url": "https://x/"}
    setup = client.v1.setup_intents.create(params)
    assert setup.status == "requires_action"
    assert control(simulator, f"/_sim/setup_intents/{setup.id}/authenticate", {})["status"] == "succeeded"
    (method,) = client.v1.customers.payment_methods.list(customer).data
    assert decline_code(client, method.id, customer) == "insufficient_funds"


@pytest.mark.parametrize("where", ["create", "confirm", "earlier"])
def test_a_payment_off_session_cannot_save_its_method(client: stripe.StripeClient, where: str) -> None:
    method, customer = save(client)
    params: Any = {"amount": 500, "currency": "usd", "customer": customer, "payment_method": method}
    saved: Any = {"setup_future_usage": "off_session"}
    if where == "create":
        confirm = partial(client.v1.payment_intents.create, params | saved | {"off_session": True, "confirm": True})
    else:
        intent = client.v1.payment_intents.create(params | (saved if where == "earlier" else {}))
        more: Any = {"off_session": True, **(saved if where == "confirm" else {})}
        confirm = partial(client.v1.payment_intents.confirm, intent.id, more)
    with pytest.raises(stripe.InvalidRequestError, match="cannot set up future usages when processing") as excinfo:
        confirm()
    error: Any = excinfo.value.error
    assert error.payment_intent.status == "requires_confirmation"
    assert client.v1.charges.list({"payment_intent": error.payment_intent.id}).data == []
    if where == "earlier":  # the confirmation can clear it, as a plan's collector does
        cleared: Any = {"off_session": True, "setup_future_usage": ""}
        paid = client.v1.payment_intents.confirm(error.payment_intent.id, cleared)
        assert (paid.status, paid.setup_future_usage) == ("succeeded", None)


@pytest.mark.parametrize("kind", ["payment", "setup"])
def test_no_method_is_saved_for_a_customer_who_was_deleted(
    client: stripe.StripeClient, simulator: Simulator, kind: str
) -> None:
    """The customer is deleted before the confirmation, or while the customer authenticates."""
    params: Any = {} if kind == "setup" else {"amount": 500, "currency": "usd", "setup_future_usage": "off_session"}
    intents: Any = client.v1.setup_intents if kind == "setup" else client.v1.payment_intents
    confirmation: Any = {"payment_method": "pm_card_authenticationRequired", "return_url": "https://x/"}
    customers = [client.v1.customers.create({}).id for _ in range(2)]
    early, late = [intents.create(params | {"customer": customer}) for customer in customers]
    assert intents.confirm(late.id, confirmation).status == "requires_action"
    for customer in customers:
        client.v1.customers.delete(customer)
    with pytest.raises(stripe.InvalidRequestError, match=f"No such customer: '{customers[0]}'") as excinfo:
        intents.confirm(early.id, confirmation)
    assert (excinfo.value.code, excinfo.value.param) == ("resource_missing", "customer")
    method = intents.retrieve(late.id).payment_method
    assert control(simulator, f"/_sim/{late.object}s/{late.id}/authenticate", {})["status"] == "succeeded"
    assert client.v1.payment_methods.retrieve(method).customer is None
    assert client.v1.events.list({"type": "payment_method.attached"}).data == []


@pytest.mark.parametrize("named", ["payment_method", "payment_method_data"])
def test_the_method_of_a_request_takes_precedence_over_that_of_a_confirmation_token(
    client: stripe.StripeClient, named: str
) -> None:
    """The reference says so of all properties that both have."""
    token = client.v1.test_helpers.confirmation_tokens.create(
        {"payment_method": "pm_card_visa", "return_url": "https://x/", "setup_future_usage": "off_session"}
    )
    customer = client.v1.customers.create({}).id
    params: Any = {"amount": 500, "currency": "usd", "customer": customer, "confirm": True}
    card: Any = {"type": "card", "card": {"token": "tok_mastercard"}}
    params |= {"confirmation_token": token.id, named: card if named.endswith("data") else "pm_card_mastercard"}
    intent = client.v1.payment_intents.create(params)
    (method,) = client.v1.customers.payment_methods.list(customer).data
    assert (intent.payment_method, method.card.brand) == (method.id, "mastercard")  # type: ignore[union-attr]
    assert intent.setup_future_usage == "off_session"
    assert client.v1.confirmation_tokens.retrieve(token.id).payment_intent == intent.id


def confirm_in_browser(simulator: Simulator, intent: Any, **params: str) -> httpx.Response:
    """Confirm an intent as Stripe.js does, with the publishable key and the client secret."""
    headers = {"Authorization": f"Bearer {simulator.publishable_key}"}
    form = {"client_secret": str(intent.client_secret), "return_url": "https://x/", **params}
    return httpx.post(f"{simulator.url}/v1/{intent.object}s/{intent.id}/confirm", data=form, headers=headers)


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        ("off_session", "on_session", None),
        ("off_session", "", None),
        ("on_session", "off_session", "off_session"),
        ("on_session", "on_session", "on_session"),
        (None, "on_session", "on_session"),
    ],
)
def test_a_browser_changes_the_usage_only_from_on_session_to_off_session(
    client: stripe.StripeClient, simulator: Simulator, before: Any, after: str, result: str | None
) -> None:
    """The reference of `setup_future_usage` says so for requests with a publishable key."""
    params: Any = {"amount": 500, "currency": "usd", **({"setup_future_usage": before} if before else {})}
    intent = client.v1.payment_intents.create(params)
    response = confirm_in_browser(simulator, intent, payment_method="pm_card_visa", setup_future_usage=after)
    stored = client.v1.payment_intents.retrieve(intent.id)
    if result is None:
        assert (response.status_code, response.json()["error"]["param"]) == (400, "setup_future_usage")
        assert (stored.status, stored.setup_future_usage) == ("requires_payment_method", before)
    else:
        assert (stored.status, stored.setup_future_usage) == ("succeeded", result)


@pytest.mark.parametrize("method", ["pm_card_chargeDeclined", ""])
def test_the_error_of_a_setup_in_a_browser_hides_the_customer_and_the_metadata(
    client: stripe.StripeClient, simulator: Simulator, method: str
) -> None:
    customer = client.v1.customers.create({}).id
    setup = client.v1.setup_intents.create({"customer": customer, "metadata": {"internal": "note"}})
    error = confirm_in_browser(simulator, setup, **({"payment_method": method} if method else {})).json()["error"]
    shown = error["setup_intent"]
    assert (shown["id"], shown["status"]) == (setup.id, "requires_payment_method")
    assert not {"customer", "metadata", "mandate"} & shown.keys()


def test_a_setup_takes_a_payment_method_or_the_data_of_one(client: stripe.StripeClient) -> None:
    both: Any = {
        "payment_method": "pm_card_visa",
        "payment_method_data": {"type": "card", "card": {"token": "tok_visa"}},
    }
    with pytest.raises(stripe.InvalidRequestError, match="only specify one of these parameters: payment_method, "):
        client.v1.setup_intents.create(both)
    setup = client.v1.setup_intents.create({})
    for change in (client.v1.setup_intents.update, client.v1.setup_intents.confirm):
        with pytest.raises(stripe.InvalidRequestError, match="only specify one of these parameters: payment_method, "):
            change(setup.id, both)
    assert client.v1.setup_intents.retrieve(setup.id).payment_method is None


def test_error_on_requires_action_declines_a_card_that_needs_authentication(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    method, customer = save(client)
    set_next(simulator, method, "requires_action")
    with pytest.raises(stripe.CardError) as excinfo:
        pay(client, method, customer=customer, error_on_requires_action=True)
    assert (excinfo.value.code, excinfo.value.error.decline_code) == (  # type: ignore[union-attr]
        "authentication_required",
        "authentication_not_handled",
    )


# --- expiry ---


def year_of(simulator: Simulator) -> int:
    """Return the year on the simulator's clock."""
    return time.gmtime(control(simulator, "/_sim/health")["now"]).tm_year


def create_card(client: stripe.StripeClient, month: int, year: int) -> str:
    """Create a card with an expiry date and return its id."""
    params: Any = {"type": "card", "card": {"number": "4242424242424242", "exp_month": month, "exp_year": year}}
    return client.v1.payment_methods.create(params).id


def test_a_card_is_declined_after_its_last_month(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client, create_card(client, 12, year_of(simulator) + 2))
    assert charge(client, method, customer).status == "succeeded"
    control(simulator, "/_sim/clock", {"advance_s": 4 * YEAR_S})
    error: Any = declined(client, method, customer).error
    assert (error.code, error.advice_code, error.network_decline_code) == ("expired_card", "confirm_card_data", "54")
    assert error.payment_intent.status == "requires_payment_method"
    params: Any = {"customer": customer, "payment_method": method, "confirm": True, "return_url": "https://x/"}
    with pytest.raises(stripe.CardError, match="expired"):
        client.v1.setup_intents.create(params)


def test_the_last_month_ends_when_the_next_one_begins() -> None:
    now = [1_800_000_000.0]  # 15 January 2027
    simulator = Stripe(seed=1, clock=lambda: now[0])

    def status(method: str) -> int:
        body = f"amount=500&currency=usd&confirm=true&payment_method={method}&off_session=true"
        return simulator.handle(
            "POST", "/v1/payment_intents", {"Authorization": f"Bearer {simulator.secret_key}"}, body.encode()
        ).status

    def create() -> str:
        body = b"type=card&card[number]=4242424242424242&card[exp_month]=2&card[exp_year]=27"
        headers = {"Authorization": f"Bearer {simulator.secret_key}"}
        return str(simulator.handle("POST", "/v1/payment_methods", headers, body).json()["id"])

    methods = [create(), create()]
    now[0] = 1_803_859_199.0  # 28 February 2027, 23:59:59
    assert status(methods[0]) == 200
    now[0] += 1
    assert status(methods[1]) == 402


def test_an_expired_card_cannot_be_attached(client: stripe.StripeClient, simulator: Simulator) -> None:
    method = create_card(client, 12, year_of(simulator) + 2)
    control(simulator, "/_sim/clock", {"advance_s": 4 * YEAR_S})
    with pytest.raises(stripe.CardError) as excinfo:
        save(client, method)
    assert excinfo.value.code == "expired_card"


def test_a_card_of_a_test_id_is_valid_at_any_time(client: stripe.StripeClient, simulator: Simulator) -> None:
    for _ in range(3):
        method, customer = save(client)
        control(simulator, "/_sim/clock", {"advance_s": 3 * YEAR_S})
        assert charge(client, method, customer).status == "succeeded"


def test_a_new_expiry_date_makes_an_expired_card_valid(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client)
    control(simulator, "/_sim/clock", {"advance_s": 20 * YEAR_S})
    assert declined(client, method, customer).code == "expired_card"
    with pytest.raises(stripe.CardError):
        client.v1.payment_methods.update(method, {"card": {"exp_year": 2035}})
    client.v1.payment_methods.update(method, {"card": {"exp_month": 1, "exp_year": 60}})
    assert client.v1.payment_methods.retrieve(method).card.exp_year == 2060  # type: ignore[union-attr]
    assert charge(client, method, customer).status == "succeeded"


@pytest.mark.parametrize(("field", "value"), [("exp_month", 13), ("exp_month", 0), ("exp_year", 2020)])
def test_an_update_with_an_invalid_expiry_date_is_refused(
    client: stripe.StripeClient, simulator: Simulator, field: str, value: int
) -> None:
    method, _ = save(client)
    before = simulator.store.get("payment_method", method)["card"].copy()
    params: Any = {"card": {field: value}}
    with pytest.raises(stripe.CardError) as excinfo:
        client.v1.payment_methods.update(method, params)
    assert (excinfo.value.param, excinfo.value.code) == (field, f"invalid_expiry_{field.removeprefix('exp_')}")
    assert simulator.store.get("payment_method", method)["card"] == before


# --- updates by networks ---


def updates(client: stripe.StripeClient) -> list[Any]:
    """Return the events about automatic updates, newest first."""
    return client.v1.events.list({"type": "payment_method.automatically_updated"}).data


def test_a_network_updates_the_expiry_date_of_a_saved_card(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client)
    control(simulator, f"/_sim/payment_methods/{method}", {"card": {"exp_month": 3, "exp_year": 2040}})
    card: Any = client.v1.payment_methods.retrieve(method).card
    assert (card.exp_month, card.exp_year, card.last4) == (3, 2040, "4242")
    (event,) = updates(client)
    assert event.data.previous_attributes.to_dict() == {"card": {"exp_month": 12, "exp_year": 2034}}
    assert event.data.object.to_dict() == client.v1.payment_methods.retrieve(method).to_dict()
    assert (event.request.id, event.request.idempotency_key) == (None, None)
    assert charge(client, method, customer).status == "succeeded"


def test_a_network_replaces_the_number_of_a_saved_card(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client)
    before: Any = client.v1.payment_methods.retrieve(method).card
    control(simulator, f"/_sim/payment_methods/{method}", {"card": {"number": "4000000000000341"}})
    (event,) = updates(client)
    previous = event.data.previous_attributes.to_dict()
    assert previous == {"card": {"fingerprint": before.fingerprint, "last4": "4242"}}
    assert client.v1.payment_methods.retrieve(method).card.last4 == "0341"  # type: ignore[union-attr]
    assert decline_code(client, method, customer) == "generic_decline"


def test_only_a_saved_card_is_updated_by_its_network(client: stripe.StripeClient, simulator: Simulator) -> None:
    method = create_card(client, 12, 2040)
    response = httpx.post(f"{simulator.url}/_sim/payment_methods/{method}", json={"card": {"exp_year": 2041}})
    assert response.status_code == 400 and "attached to a customer" in response.json()["error"]["message"]
    assert updates(client) == []


def test_the_steps_are_part_of_the_saved_state(tmp_path: Path) -> None:
    first, second = Stripe(seed=1, secret_key="sk_test_1"), Stripe(seed=1, secret_key="sk_test_1")
    headers = {"Authorization": "Bearer sk_test_1"}
    body = b"type=card&card[number]=4242424242424242&card[exp_month]=12&card[exp_year]=40"
    method = first.handle("POST", "/v1/payment_methods", headers, body).json()["id"]
    first.handle("POST", f"/_sim/payment_methods/{method}", {}, b'{"next": ["lost_card"]}')
    path = tmp_path / "state.json"
    state_file.save(first.accounts, path)
    state_file.load(second.accounts, state_file.read(path) or {}, path)
    assert second.handle("GET", f"/_sim/payment_methods/{method}", {}).json()["next"] == ["lost_card"]


# --- changes by staff in the Dashboard ---


def delete(simulator: Simulator, path: str) -> Any:
    """Call a DELETE of the control API."""
    response = httpx.delete(f"{simulator.url}{path}")
    assert response.status_code == 200, response.text
    return response.json()


def test_a_method_that_staff_detach_is_declined_for_good(client: stripe.StripeClient, simulator: Simulator) -> None:
    method, customer = save(client)
    intent = client.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "customer": customer, "payment_method": method}
    )
    assert delete(simulator, f"/_sim/payment_methods/{method}")["payment_method"]["customer"] is None
    (event,) = client.v1.events.list({"type": "payment_method.detached"}).data
    assert event.data.previous_attributes.to_dict() == {"customer": customer}  # type: ignore[union-attr]
    assert (event.data.object["id"], event.request.id) == (method, None)  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError, match="was detached from a Customer"):
        client.v1.payment_intents.confirm(intent.id, {"off_session": True})
    assert client.v1.payment_intents.retrieve(intent.id).latest_charge is None
    assert httpx.delete(f"{simulator.url}/_sim/payment_methods/{method}").status_code == 400


def test_the_methods_of_a_deleted_customer_pay_nothing_and_are_still_updated(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    """Networks still update them, and there is no `payment_method.detached`: github.com/mozilla/fxa/issues/12380."""
    method, customer = save(client)
    intent = client.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "customer": customer, "payment_method": method}
    )
    assert delete(simulator, f"/_sim/customers/{customer}") == {"id": customer, "object": "customer", "deleted": True}
    (event,) = client.v1.events.list({"type": "customer.deleted"}).data
    assert (event.data.object["id"], event.request.id) == (customer, None)  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError, match=f"No such customer: '{customer}'") as excinfo:
        client.v1.payment_intents.confirm(intent.id, {"off_session": True})
    assert (excinfo.value.code, excinfo.value.param) == ("resource_missing", "customer")
    control(simulator, f"/_sim/payment_methods/{method}", {"card": {"exp_year": 2041}})
    (updated,) = updates(client)
    assert updated.data.object["customer"] == customer
    assert client.v1.events.list({"type": "payment_method.detached"}).data == []
    assert httpx.delete(f"{simulator.url}/_sim/customers/{customer}").status_code == 404


# --- Checkout of a customer with saved methods ---


def test_checkout_offers_the_saved_methods_that_the_session_may_show(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    method, customer = save(client)
    hidden = client.v1.payment_methods.attach("pm_card_mastercard", {"customer": customer}).id
    client.v1.payment_methods.update(method, {"allow_redisplay": "always"})
    data: Any = {"setup_future_usage": "off_session", "metadata": {"plan_id": "pln_1"}}
    session = create_session(client, customer=customer, payment_intent_data=data)
    page = httpx.get(str(session.url)).text
    assert (method in page, hidden in page) == (True, False)
    assert "no longer saved" in submit(str(session.url), saved_method=hidden)[2]
    assert client.v1.charges.list({"customer": customer}).data == []
    submit(str(session.url), saved_method=method)
    session = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    intent: Any = session.payment_intent
    assert (session.payment_status, intent.status, intent.payment_method) == ("paid", "succeeded", method)
    assert (intent.customer, intent.metadata.to_dict(), intent.setup_future_usage) == (
        customer,
        {"plan_id": "pln_1"},
        "off_session",
    )
    filters: Any = {"allow_redisplay_filters": ["unspecified"]}
    session = create_session(client, customer=customer, saved_payment_method_options=filters)
    page = httpx.get(str(session.url)).text
    assert (method in page, hidden in page) == (False, True)
    submit(str(session.url), saved_method=hidden, **card("4000000000000341"))
    (failed, _) = client.v1.charges.list({"customer": customer}).data
    assert (failed.status, failed.payment_method_details.card.last4) == ("failed", "0341")  # type: ignore[union-attr]


# --- one confirmation and its idempotency key ---


def test_a_confirmation_is_repeated_only_with_its_own_key_and_parameters(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    method, customer = save(client)
    other = client.v1.payment_methods.attach("pm_card_mastercard", {"customer": customer}).id
    set_next(simulator, method, "insufficient_funds")
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd", "customer": customer}).id

    def confirm(key: str, payment_method: str = method) -> stripe.PaymentIntent:
        params: Any = {"payment_method": payment_method, "off_session": True}
        return client.v1.payment_intents.confirm(intent, params, {"idempotency_key": key})

    declines = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as excinfo:
            confirm("first")
        declines.append(excinfo.value)
    assert [error.headers.get("idempotent-replayed") for error in declines] == [None, "true"]
    assert declines[0].json_body == declines[1].json_body
    with pytest.raises(stripe.IdempotencyError, match="same parameters") as reused:
        confirm("first", other)
    assert (reused.value.http_status, client.v1.payment_intents.retrieve(intent).status) == (
        400,
        "requires_payment_method",
    )
    assert confirm("second").status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="already succeeded") as again:
        confirm("third")
    shown: Any = again.value.error
    assert (shown.code, shown.payment_intent.status) == ("payment_intent_unexpected_state", "succeeded")
    assert [charge.status for charge in client.v1.charges.list({"payment_intent": intent}).data] == [
        "succeeded",
        "failed",
    ]


def test_an_intent_that_is_processing_or_canceled_is_not_confirmed_again(client: stripe.StripeClient) -> None:
    method, customer = save(client, "pm_usBankAccount_success")
    processing = pay(client, method, customer=customer, **DEBIT)
    canceled = client.v1.payment_intents.create({"amount": 500, "currency": "usd", "customer": customer})
    client.v1.payment_intents.cancel(canceled.id)
    for id, status in ((processing.id, "processing"), (canceled.id, "canceled")):
        with pytest.raises(stripe.InvalidRequestError, match=f"a status of {status}") as excinfo:
            client.v1.payment_intents.confirm(id, {"payment_method": method, "off_session": True})
        assert (excinfo.value.code, excinfo.value.http_status) == ("payment_intent_unexpected_state", 400)


@pytest.mark.parametrize("step", ["ok", "insufficient_funds"])
def test_a_confirmation_whose_answer_is_lost_charges_once(
    client: stripe.StripeClient, simulator: Simulator, step: str
) -> None:
    method, customer = save(client)
    set_next(simulator, method, step)
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd", "customer": customer}).id
    control(simulator, "/_sim/calls", {"match": "POST /v1/payment_intents/*/confirm", "fail": "after"})
    confirm = partial(client.v1.payment_intents.confirm, intent, {"payment_method": method, "off_session": True})
    if step == "ok":
        assert confirm().status == "succeeded"
    else:
        with pytest.raises(stripe.CardError):
            confirm()
    log = control(simulator, "/_sim/requests")["requests"]
    confirmations = [(row["status"], row["replayed"]) for row in log if row["path"].endswith("/confirm")]
    status = 200 if step == "ok" else 402
    assert confirmations == [(status, False), (status, True)]
    assert len(client.v1.charges.list({"payment_intent": intent}).data) == 1


# --- a plan, from its first payment to another method ---


def test_the_calls_of_a_payment_plan(client: stripe.StripeClient, simulator: Simulator) -> None:
    """Begin, collect, fail, let the student pay the same intent, change the method, and collect with that one."""
    api, month_s = client.v1.payment_intents, 31 * 24 * 3600
    customer = client.v1.customers.create({}).id
    terms: Any = {"amount": 12475, "currency": "usd", "customer": customer}
    terms |= {"allowed_payment_method_types": ["card", "us_bank_account"], "metadata": {"plan_id": "pln_1"}}
    first = api.create(terms | {"setup_future_usage": "off_session"}, {"idempotency_key": "pay_1"})
    assert confirm_in_browser(simulator, first, payment_method="pm_card_visa").json()["status"] == "succeeded"
    (method,) = client.v1.customers.payment_methods.list(customer).data

    def collect(seq: int, method: str, tries: int) -> stripe.PaymentIntent:
        control(simulator, "/_sim/clock", {"advance_s": month_s if tries == 1 else 3600})
        created = api.create(terms, {"idempotency_key": f"pay_{seq}"})
        assert (created.status, created.setup_future_usage) == ("requires_payment_method", None)
        params: Any = {"payment_method": method, "off_session": True}
        return api.confirm(created.id, params, {"idempotency_key": f"pay_{seq}:{tries}"})

    second = collect(2, method.id, 1)
    date = parsedate_to_datetime(second.last_response.headers["Date"]).timestamp()  # type: ignore[attr-defined]
    assert (second.status, second.metadata.to_dict()) == ("succeeded", {"plan_id": "pln_1"})  # type: ignore[union-attr]
    assert first.created + month_s <= date <= first.created + month_s + 60
    set_next(simulator, method.id, "insufficient_funds", "authentication_required")
    for tries, advice in ((1, "try_again_later"), (2, None)):
        with pytest.raises(stripe.CardError) as excinfo:
            collect(3, method.id, tries)
        error: Any = excinfo.value.error
        assert (error.to_dict().get("advice_code"), error.payment_intent.status) == (advice, "requires_payment_method")
    third = api.retrieve(error.payment_intent.id)
    shown = confirm_in_browser(simulator, third, payment_method=method.id).json()
    assert (shown["status"], "metadata" in shown, "customer" in shown) == ("succeeded", False, False)
    setup = client.v1.setup_intents.create(
        {
            "customer": customer,
            "usage": "off_session",
            "allowed_payment_method_types": ["card", "us_bank_account"],
            "metadata": {"plan_id": "pln_1"},
        },
        {"idempotency_key": "seti_1"},
    )
    waiting = confirm_in_browser(simulator, setup, payment_method="pm_card_authenticationRequiredOnSetup").json()
    assert waiting["status"] == "requires_action"
    control(simulator, f"/_sim/setup_intents/{setup.id}/authenticate", {})
    new = client.v1.setup_intents.retrieve(setup.id, {"expand": ["payment_method"]}).payment_method
    assert new is not None and not isinstance(new, str) and new.customer == customer
    client.v1.payment_methods.detach(method.id)
    types = [event.type for event in client.v1.events.list({"limit": 100}).data]
    assert types.count("payment_intent.payment_failed") == 2
    assert types.count("setup_intent.succeeded") == types.count("payment_method.detached") == 1
    fourth = collect(4, new.id, 1)
    assert fourth.status == "succeeded"
    assert client.v1.refunds.create({"payment_intent": fourth.id}).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.confirm(fourth.id, {"plan_id": "pln_1"})  # type: ignore[typeddict-unknown-key]
    assert (refused.value.code, refused.value.param) == ("parameter_unknown", "plan_id")
