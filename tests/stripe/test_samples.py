"""Shops that follow Stripe's documentation work on the simulator: with the Python package, and with the npm package."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from stripe_simulator.server import Simulator, start
from tests.stripe import make_typescript_fields
from tests.stripe.conftest import control, eventually
from tests.stripe.samples import PRICE, WEBHOOK_SECRET, AcceptPayment, Checkout, Page, PlaceHold, SaveCard, Shop

DECLINED, BANK_ASKS, BANK_ASKS_ON_SETUP = "4000000000000002", "4000002760003184", "4000002500003155"
NODE_TIMEOUT_S = 120
Open = Callable[[type[Shop]], Page]


@pytest.fixture
def open_shop() -> Iterator[Open]:
    """Return a function that starts a shop and a simulator that sends it webhooks, and returns a customer's page."""
    stops: list[Callable[[], None]] = []

    def open_shop(kind: type[Shop]) -> Page:
        shop = kind()
        stops.append(shop.stop)
        simulator = start(webhook_url=f"{shop.url}/webhook", webhook_secret=WEBHOOK_SECRET)
        stops.append(simulator.stop)
        shop.connect(simulator)
        return Page(shop, simulator)

    yield open_shop
    for stop in reversed(stops):
        stop()


def intent_of(client_secret: str) -> str:
    return client_secret.partition("_secret_")[0]


def test_a_payment_on_the_shops_page_is_fulfilled_by_its_webhook(open_shop: Open) -> None:
    page = open_shop(AcceptPayment)
    secret = page.post("create_intent")[1]["client_secret"]
    declined = page.confirm("payment_intents", secret, DECLINED)["error"]
    assert (declined["code"], declined["payment_intent"]["status"]) == ("card_declined", "requires_payment_method")
    assert page.confirm("payment_intents", secret)["status"] == "succeeded"
    eventually(lambda: page.shop.fulfilled == [intent_of(secret)])
    eventually(lambda: "payment_intent.payment_failed" in page.shop.events)


@pytest.mark.parametrize(("outcome", "status"), [("success", "succeeded"), ("failure", "requires_payment_method")])
def test_a_payment_on_the_shops_page_waits_for_the_bank(open_shop: Open, outcome: str, status: str) -> None:
    page = open_shop(AcceptPayment)
    secret = page.post("create_intent")[1]["client_secret"]
    assert page.confirm("payment_intents", secret, BANK_ASKS)["status"] == "requires_action"
    assert page.shop.fulfilled == []
    assert page.authenticate("payment_intents", intent_of(secret), outcome)["status"] == status
    expected = "payment_intent.succeeded" if outcome == "success" else "payment_intent.payment_failed"
    eventually(lambda: expected in page.shop.events)
    assert len(page.shop.fulfilled) == (1 if outcome == "success" else 0)


def test_a_shop_refuses_a_webhook_with_a_wrong_signature(open_shop: Open) -> None:
    page = open_shop(AcceptPayment)
    assert page.post("webhook", type="payment_intent.succeeded")[0] == 400
    assert page.shop.fulfilled == []


def test_a_checkout_session_is_fulfilled_once_by_the_webhook_and_the_return(open_shop: Open) -> None:
    page = open_shop(Checkout)
    url = page.post("create_session", quantity=2)[1]["url"]
    assert "declined" in page.pay_on_stripes_page(url, DECLINED)
    target = urlsplit(page.pay_on_stripes_page(url))
    assert target.path == "/thanks"
    id = target.query.removeprefix("session_id=")
    assert page.post("return_page", session_id=id)[1] == {"status": "complete", "payment_status": "paid"}
    eventually(lambda: "checkout.session.completed" in page.shop.events)
    assert page.shop.fulfilled == [id]
    assert page.shop.client.v1.checkout.sessions.retrieve(id).amount_total == 2 * PRICE


def test_a_checkout_session_that_expires_unpaid_is_not_fulfilled(open_shop: Open) -> None:
    page = open_shop(Checkout)
    id = page.post("create_session")[1]["url"].rpartition("/")[2]
    assert page.post("return_page", session_id=id)[1] == {"status": "open", "payment_status": "unpaid"}
    control(page.simulator, "/_sim/clock", {"advance_s": 86_401})
    eventually(lambda: "checkout.session.expired" in page.shop.events)
    assert page.shop.fulfilled == []


def test_a_saved_card_is_the_default_and_pays_while_the_customer_is_away(open_shop: Open) -> None:
    page = open_shop(SaveCard)
    answer = page.post("create_setup", email="ada@example.com")[1]
    setup = intent_of(answer["client_secret"])
    assert page.confirm("setup_intents", answer["client_secret"], BANK_ASKS_ON_SETUP)["status"] == "requires_action"
    assert page.authenticate("setup_intents", setup)["status"] == "succeeded"
    eventually(lambda: page.shop.fulfilled == [setup])
    customer = page.shop.client.v1.customers.retrieve(answer["customer"])
    assert customer.invoice_settings is not None
    methods = page.shop.client.v1.payment_methods.list({"customer": answer["customer"]}).data
    assert customer.invoice_settings.default_payment_method == methods[0].id
    assert page.post("charge", customer=answer["customer"]) == (200, {"status": "succeeded"})


def test_a_saved_card_whose_bank_asks_is_declined_while_the_customer_is_away(open_shop: Open) -> None:
    page = open_shop(SaveCard)
    answer = page.post("create_setup", email="ada@example.com")[1]
    page.confirm("setup_intents", answer["client_secret"], BANK_ASKS)
    page.authenticate("setup_intents", intent_of(answer["client_secret"]))
    status, error = page.post("charge", customer=answer["customer"])
    assert (status, error["code"]) == (402, "authentication_required")
    eventually(lambda: "payment_intent.payment_failed" in page.shop.events)


def test_a_hold_is_captured_in_part_and_another_is_released(open_shop: Open) -> None:
    page = open_shop(PlaceHold)
    first = page.post("confirm", payment_method=page.create_payment_method())[1]
    assert first["status"] == "requires_capture"
    captured = page.post("capture", payment_intent=first["payment_intent"], amount=1500)[1]
    assert captured == {"status": "succeeded", "amount_received": 1500}
    second = page.post("confirm", payment_method=page.create_payment_method())[1]
    released = page.post("cancel", payment_intent=second["payment_intent"])[1]
    assert released == {"status": "canceled", "amount_capturable": 0}
    eventually(lambda: page.shop.fulfilled == [first["payment_intent"], second["payment_intent"]])
    eventually(lambda: {"charge.captured", "payment_intent.canceled"} <= set(page.shop.events))


def test_a_hold_that_the_server_confirms_is_placed_after_the_bank_and_a_second_confirmation(open_shop: Open) -> None:
    page = open_shop(PlaceHold)
    first = page.post("confirm", payment_method=page.create_payment_method(BANK_ASKS))[1]
    id = first["payment_intent"]
    assert first["status"] == "requires_action"
    assert page.authenticate("payment_intents", id)["status"] == "requires_confirmation"
    assert page.post("confirm", payment_intent=id)[1]["status"] == "requires_capture"
    assert page.post("confirm", payment_method=page.create_payment_method(DECLINED))[0] == 402


def test_the_npm_package_runs_the_same_flows(shared_simulator: Simulator) -> None:
    control(shared_simulator, "/_sim/reset", {})
    url = urlsplit(shared_simulator.url)
    words = [str(make_typescript_fields.SCRIPT.with_name("samples.mjs")), str(make_typescript_fields.ensure("stripe"))]
    words += [str(url.hostname), str(url.port), shared_simulator.secret_key, shared_simulator.publishable_key]
    process = subprocess.run(
        [sys.executable, "-c", make_typescript_fields.NODE, *words],
        capture_output=True,
        text=True,
        timeout=NODE_TIMEOUT_S,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == {
        "accepted": "succeeded",
        "declined": [True, "card_declined", "generic_decline"],
        "checkout": ["paid", 2 * PRICE, 2],
        "setup": ["requires_action", "succeeded"],
        "offSession": "succeeded",
        "hold": ["requires_capture", True, 1500, 1500],
        "events": [5, "payment_intent.succeeded"],
        "missing": ["StripeInvalidRequestError", "resource_missing", 404],
    }
