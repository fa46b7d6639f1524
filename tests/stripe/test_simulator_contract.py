"""Every operation and every object of the simulator, held against the types of the `stripe` package itself."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import stripe

from stripe_simulator.errors import StripeError
from stripe_simulator.params import SCHEMA, check
from stripe_simulator.routes import ROUTES
from stripe_simulator.server import Simulator
from stripe_simulator.unsupported_params import UNSUPPORTED_PARAMS as UNSUPPORTED
from tests.stripe import make_params
from tests.stripe.checked import Checked
from tests.stripe.conftest import sim
from tests.stripe.shapes import CLASSES, answers, operation_of, problems, problems_of_answer
from tests.stripe.test_contract import DEBIT, ITEM, code, pay, session

OUR_OWN = {"POST /v1/events/*/retry", "GET /v1/payment_pages/*", "POST /v1/payment_pages/*/confirm"}
ROOT = Path(__file__).parents[2]


def tour_of_customers(api: Any) -> None:
    """Customers, methods, SetupIntents and confirmation tokens: every operation."""
    customer = api.customers.create({"email": "a@example.com", "address": {"city": "Graz"}}).id
    method = api.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}}).id
    api.payment_methods.attach(method, {"customer": customer})
    api.payment_methods.update(method, {"billing_details": {"name": "Ada"}})
    api.payment_methods.retrieve(method)
    api.payment_methods.list({"customer": customer})
    api.customers.update(customer, {"invoice_settings": {"default_payment_method": method}, "name": "Ada"})
    api.customers.payment_methods.list(customer)
    api.customers.payment_methods.retrieve(customer, method)
    api.customers.list({"limit": 3})
    api.customers.search({"query": 'name:"Ada"'})
    api.payment_methods.detach(method)
    for method in ("pm_card_visa", "pm_usBankAccount_success", "pm_card_authenticationRequired"):
        setup = api.setup_intents.create({"customer": customer, "payment_method": method})
        confirmed = api.setup_intents.confirm(setup.id)
        api.setup_intents.update(setup.id, {"metadata": {"a": "b"}})
        if confirmed.status == "requires_action":
            api.setup_intents.cancel(setup.id)
    with pytest.raises(stripe.CardError):
        api.setup_intents.create({"confirm": True, "payment_method": "pm_card_chargeDeclined"})
    api.setup_intents.retrieve(setup.id)
    api.setup_intents.list({"customer": customer})
    token = api.test_helpers.confirmation_tokens.create({"payment_method": "pm_card_visa", "return_url": "https://x/"})
    paid = api.payment_intents.create(
        {"amount": 500, "currency": "usd", "confirm": True, "confirmation_token": token.id}
    )
    assert paid.status == "succeeded"
    assert api.confirmation_tokens.retrieve(token.id).payment_intent == paid.id
    api.customers.delete(customer)
    api.customers.retrieve(customer)


def tour_of_payments(client: stripe.StripeClient, simulator: Simulator) -> None:
    """Intents, charges, refunds, disputes and the balance, in all their states."""
    api: Any = client.v1
    paid = pay(client, "pm_card_visa", description="Ada's course")
    charge = str(paid.latest_charge)
    api.payment_intents.update(paid.id, {"metadata": {"a": "b"}})
    api.charges.update(charge, {"description": "x"})
    api.charges.retrieve(charge)
    refund = api.refunds.create({"payment_intent": paid.id, "amount": 100})
    api.refunds.update(refund.id, {"metadata": {"a": "b"}})
    api.refunds.retrieve(refund.id)
    for act in (api.refunds.cancel, api.test_helpers.refunds.expire):
        waiting = sim(simulator, "/_sim/refunds", {"charge": charge, "amount": 100, "status": "requires_action"})
        api.refunds.retrieve(waiting["id"])
        act(waiting["id"])
    for method in ("pm_card_createDispute", "pm_card_createDisputeInquiry"):
        pay(client, method)
    for method in ("pm_usBankAccount_success", "pm_usBankAccount_dispute", "pm_usBankAccount_noAccount"):
        pay(client, method, **DEBIT)
    pay(client, "pm_card_pendingRefund")
    failing = pay(client, "pm_card_refundFail")
    api.refunds.create({"payment_intent": failing.id})
    held = pay(client, "pm_card_visa", capture_method="manual")
    api.payment_intents.capture(held.id)
    asking = pay(client, "pm_card_authenticationRequired", return_url="https://x/")
    api.payment_intents.cancel(asking.id)
    other = api.payment_intents.create({"amount": 500, "currency": "usd"})
    with pytest.raises(stripe.CardError):
        api.payment_intents.confirm(other.id, {"payment_method": "pm_card_chargeDeclined"})
    api.payment_intents.confirm(other.id, {"payment_method": "pm_card_visa"})
    sim(simulator, "/_sim/clock", {"advance_s": 3})
    for dispute in api.disputes.list().data:
        api.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": False})
        api.disputes.close(dispute.id)
        api.disputes.retrieve(dispute.id)
    api.payment_intents.list()
    api.payment_intents.retrieve(other.id, {"expand": ["latest_charge"]})
    api.payment_intents.search({"query": "status:'succeeded'"})
    api.charges.list({"expand": ["data.refunds", "data.balance_transaction"]})
    api.charges.search({"query": "amount>100"})
    api.refunds.list({"limit": 100})
    moved = api.balance_transactions.list({"limit": 100, "expand": ["data.source"]}).data
    api.balance_transactions.retrieve(moved[0].id)
    api.balance.retrieve()


def tour_of_checkout(client: stripe.StripeClient) -> None:
    """Products, prices, coupons, codes, sessions, events, endpoints: every operation."""
    api: Any = client.v1
    product = api.products.create({"name": "DP", "default_price_data": {"currency": "usd", "unit_amount": 500}}).id
    price = api.prices.create({"product": product, "currency": "usd", "unit_amount": 500}).id
    api.prices.update(price, {"nickname": "x"})
    api.products.update(product, {"description": "y"})
    for found in (api.prices, api.products):
        found.list()
        found.search({"query": "active:'true'"})
    api.prices.retrieve(price), api.products.retrieve(product)
    promotion = code(client)
    api.promotion_codes.update(promotion.id, {"metadata": {"a": "b"}})
    api.promotion_codes.retrieve(promotion.id, {"expand": ["promotion.coupon"]})
    api.promotion_codes.list()
    coupon = str(promotion.promotion.coupon)
    api.coupons.update(coupon, {"name": "z"})
    api.coupons.retrieve(coupon)
    api.coupons.list()
    made = session(
        client, discounts=[{"promotion_code": promotion.id}], line_items=[ITEM, {"price": price, "quantity": 2}]
    )
    api.checkout.sessions.update(made.id, {"metadata": {"a": "b"}})
    api.checkout.sessions.line_items.list(made.id)
    api.checkout.sessions.expire(made.id)
    api.checkout.sessions.retrieve(made.id, {"expand": ["line_items", "line_items.data.price.product"]})
    api.checkout.sessions.list()
    api.coupons.delete(api.coupons.create({"percent_off": 5}).id)
    api.products.delete(api.products.create({"name": "FSD"}).id)
    endpoint = api.webhook_endpoints.create({"url": "https://example.com/", "enabled_events": ["charge.failed"]}).id
    api.webhook_endpoints.update(endpoint, {"description": "x"})
    api.webhook_endpoints.retrieve(endpoint)
    api.webhook_endpoints.list()
    api.webhook_endpoints.delete(endpoint)
    api.events.retrieve(api.events.list().data[0].id)


def test_every_operation_answers_an_object_of_its_own_type(client: stripe.StripeClient, simulator: Simulator) -> None:
    Checked.seen.clear()
    tour_of_customers(client.v1)
    tour_of_payments(client, simulator)
    tour_of_checkout(client)
    assert set(ROUTES) - OUR_OWN - set(Checked.seen) == set(), "not driven"
    assert set(Checked.seen) <= set(ROUTES)
    assert len(list(client.v1.events.list({"limit": 100}).auto_paging_iter())) > 100  # checked when the test ends


def test_every_kind_of_object_and_event_is_among_them(client: stripe.StripeClient, simulator: Simulator) -> None:
    tour_of_customers(client.v1)
    tour_of_payments(client, simulator)
    tour_of_checkout(client)
    assert set(simulator.store.objects) == {
        *("customer", "payment_method", "setup_intent", "confirmation_token", "payment_intent", "charge", "refund"),
        *("dispute", "balance_transaction", "product", "price", "coupon", "promotion_code", "checkout.session"),
        "webhook_endpoint",
    }
    wrong: set[str] = set()
    for kind in simulator.store.objects.values():
        for one in kind.values():
            wrong |= set(problems({name: value for name, value in one.items() if not name.startswith("_")}))
    assert not wrong, "\n".join(sorted(wrong))


def test_the_check_sees_what_is_missing_unknown_or_of_another_type(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"}).to_dict()
    path = f"/v1/payment_intents/{intent['id']}"
    assert problems_of_answer("GET", path, 200, intent) == []
    wrong = {name: value for name, value in intent.items() if name != "amount"} | {"created": "now", "surprise": 1}
    assert sorted(p.split(":")[0] for p in problems_of_answer("GET", path, 200, wrong)) == [
        "GET /v1/payment_intents/*.amount",
        "GET /v1/payment_intents/*.created",
        "GET /v1/payment_intents/*.surprise",
    ]
    customer = client.v1.customers.create({}).to_dict()
    assert problems_of_answer("GET", path, 200, customer), "an object of another operation"
    assert problems_of_answer("GET", path, 200, intent | {"customer": intent}), "expanded into another kind"
    assert problems_of_answer("GET", "/v1/payment_intents", 200, intent), "no list"
    listed = {"object": "list", "url": "/v1/payment_intents", "has_more": False, "data": [intent]}
    assert problems_of_answer("GET", "/v1/payment_intents", 200, listed) == []
    for spoilt in ({"data": [customer]}, {"data": [wrong]}, {"has_more": None}, {"url": None}, {"total": 1}):
        assert problems_of_answer("GET", "/v1/payment_intents", 200, listed | spoilt), spoilt
    for error in ({"type": "odd_error"}, {"type": "card_error"}, {"type": "invalid_request_error", "odd": 1}):
        assert problems_of_answer("GET", path, 400, {"error": {"message": "no", **error}}), error


def test_the_table_of_parameters_is_that_of_the_installed_package() -> None:
    assert make_params.build() == SCHEMA | {"classes": make_params.build()["classes"]}
    assert make_params.text() == make_params.TARGET.read_text()


def test_every_route_is_an_operation_of_the_package() -> None:
    assert set(ROUTES) - set(SCHEMA["operations"]) == OUR_OWN
    assert set(SCHEMA["operations"]) <= set(answers())
    assert operation_of("get", "/v1/charges/search?query=x") == "GET /v1/charges/search"
    assert len(CLASSES) > 100


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/test_helpers/test_clocks"),
        ("POST", "/v1/test_helpers/customers/cus_x/fund_cash_balance"),
        ("POST", "/v1/subscriptions"),
        ("DELETE", "/v1/customers"),
        ("GET", "/v2/core/events"),
    ],
)
def test_what_is_not_there_is_refused_in_stripes_shape(
    client: stripe.StripeClient, simulator: Simulator, method: str, path: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as refused:
        client.raw_request(method.lower(), path)
    assert refused.value.http_status == 404


def live(**environment: str) -> subprocess.CompletedProcess[str]:
    """`pytest -m live` over the contract tests, as whoever has a key runs it."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "live", "-p", "no:cacheprovider", "tests/stripe"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("STRIPE_", "PYTEST_"))}
    return subprocess.run(
        words, cwd=ROOT, env=clean | environment, capture_output=True, text=True, timeout=150, check=False
    )


@pytest.mark.parametrize("key", ["", "sk_live_51abcdefghijklmnop", "pk_test_51abcdefghijklmnop"])
def test_the_live_run_refuses_a_key_that_is_not_of_the_test_mode(key: str, running: Simulator) -> None:
    before = len(running.stripe.account.log)
    done = live(STRIPE_SECRET_KEY=key, STRIPE_API_BASE=running.url)
    assert done.returncode != 0 and "a key of Stripe's test mode" in done.stdout
    assert key == "" or key not in done.stdout
    assert len(running.stripe.account.log) == before


def test_the_live_run_needs_no_knob_and_no_account_of_its_own(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    client.v1.customers.create({})  # the account is in use already, and nobody resets it
    done = live(STRIPE_SECRET_KEY=simulator.secret_key, STRIPE_API_BASE=simulator.url)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "stripe on live" in done.stdout
    assert len(simulator.store.objects["payment_intent"]) > 50


def test_what_is_left_out_is_a_parameter_and_is_refused_by_name() -> None:
    for operation, names in UNSUPPORTED.items():
        for name in names:
            fields = SCHEMA["classes"][SCHEMA["operations"][operation]]
            if name not in fields:  # the operations of one resource share a list
                assert any(
                    name in SCHEMA["classes"][SCHEMA["operations"][one]]
                    for one in UNSUPPORTED
                    if name in UNSUPPORTED[one]
                )
                continue
            with pytest.raises(StripeError) as refused:
                check(operation, {name: "x"}, versioned=True)
            assert refused.value.fields["param"] == name and "does not support" in refused.value.message


def test_no_parameter_of_an_operation_goes_by_unread() -> None:
    """Whatever the package lets a caller say is named somewhere in the resources, or refused."""
    files = [path for path in (ROOT / "stripe_simulator").rglob("*.py") if path.name != "unsupported_params.py"]
    code = "".join(path.read_text() for path in files)
    unread = []
    for operation in set(ROUTES) - OUR_OWN:
        for name in SCHEMA["classes"].get(SCHEMA["operations"][operation], {}):
            bare = name.removesuffix("!")
            read = f'"{bare}"' in code or bare in code.split() or bare in UNSUPPORTED.get(operation, ())
            if not read and operation != "POST /v1/payment_methods":  # its many types are refused by their own check
                unread.append(f"{operation}: {bare}")
    assert unread == []


LISTED = (
    *("balance_transactions", "charges", "checkout.sessions", "coupons", "customers", "disputes", "events"),
    *("payment_intents", "prices", "products", "promotion_codes", "refunds", "setup_intents", "webhook_endpoints"),
)


def test_every_list_is_paged_by_the_client_from_its_first_to_its_last(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    tour_of_customers(client.v1)
    tour_of_payments(client, simulator)
    for _ in range(3):
        tour_of_checkout(client)
        client.v1.webhook_endpoints.create({"url": "https://example.com/", "enabled_events": ["charge.failed"]})
        client.v1.customers.create({})
    lists = {operation for operation, (wrapper, _) in answers().items() if wrapper == "list" and operation in ROUTES}
    assert len(lists) == len(LISTED) + 3  # those of one customer, of one session, and payment_methods by customer
    for name in LISTED:
        service: Any = client.v1
        for step in name.split("."):
            service = getattr(service, step)
        whole = [one.id for one in service.list({"limit": 100}).auto_paging_iter()]
        assert len(whole) > 1, name
        assert [one.id for one in service.list({"limit": 2}).auto_paging_iter()] == whole, name
        back = service.list({"limit": 2, "ending_before": whole[-1]})
        assert [one.id for one in back.auto_paging_iter()] == whole[-2::-1], name
