"""Every operation and object of the simulator matches the types of the `stripe` package."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stripe

from stripe_simulator.errors import StripeError
from stripe_simulator.params import SCHEMA, check
from stripe_simulator.routes import ROUTES
from stripe_simulator.server import Simulator
from stripe_simulator.store import public_fields
from stripe_simulator.unsupported_params import UNSUPPORTED_PARAMS
from stripe_simulator.version import API_VERSION
from tests.stripe import make_params, make_typescript_fields, typescript_responses
from tests.stripe.checked_http_client import CheckedHttpClient
from tests.stripe.conftest import control, live_client
from tests.stripe.test_contract import DEBIT, ITEM, NO_REDIRECTS, create_code, create_session, pay
from tests.stripe.test_read_params import HARMLESS
from tests.stripe.test_simulator_flows import card, submit
from tests.stripe.typed_responses import CLASSES, operation_of, problems, problems_of_response, return_types

ROUTES_OUTSIDE_THE_PACKAGE = {"POST /v1/events/*/retry", "GET /v1/payment_pages/*", "POST /v1/payment_pages/*/confirm"}
ROOT = Path(__file__).parents[2]


def call_all_customers(api: Any) -> None:
    """Call every operation of customers, payment methods, SetupIntents and confirmation tokens."""
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
        confirmed = api.setup_intents.confirm(setup.id, {"return_url": "https://x/", **DEBIT})
        assert confirmed.mandate is None or api.mandates.retrieve(confirmed.mandate).type == "multi_use"
        api.setup_intents.update(setup.id, {"metadata": {"a": "b"}})
        if confirmed.status == "requires_action":
            api.setup_intents.cancel(setup.id)
    with pytest.raises(stripe.CardError):
        api.setup_intents.create(
            {"confirm": True, "payment_method": "pm_card_chargeDeclined", "return_url": "https://x/"}
        )
    api.setup_intents.retrieve(setup.id)
    api.setup_intents.list({"customer": customer})
    token = api.test_helpers.confirmation_tokens.create({"payment_method": "pm_card_visa", "return_url": "https://x/"})
    intent = api.payment_intents.create(
        {"amount": 500, "currency": "usd", "confirm": True, "confirmation_token": token.id}
    )
    assert intent.status == "succeeded"
    assert api.confirmation_tokens.retrieve(token.id).payment_intent == intent.id
    api.customers.delete(customer)
    api.customers.retrieve(customer)


def call_all_payments(client: stripe.StripeClient, simulator: Simulator) -> None:
    """Call every operation of PaymentIntents, charges, refunds, disputes and the balance, in all their states."""
    api: Any = client.v1
    intent = pay(client, "pm_card_visa", description="Ada's course")
    charge = str(intent.latest_charge)
    api.payment_intents.update(intent.id, {"metadata": {"a": "b"}})
    api.charges.update(charge, {"description": "x"})
    api.charges.retrieve(charge)
    refund = api.refunds.create({"payment_intent": intent.id, "amount": 100})
    api.refunds.update(refund.id, {"metadata": {"a": "b"}})
    api.refunds.retrieve(refund.id)
    for call in (api.refunds.cancel, api.test_helpers.refunds.expire):
        body = {"charge": charge, "amount": 100, "status": "requires_action"}
        refund_id = control(simulator, "/_sim/refunds", body)["id"]
        api.refunds.retrieve(refund_id)
        call(refund_id)
    for method in ("pm_card_createDispute", "pm_card_createDisputeInquiry"):
        pay(client, method)
    for method in ("pm_usBankAccount_success", "pm_usBankAccount_dispute", "pm_usBankAccount_noAccount"):
        pay(client, method, **DEBIT)
    pay(client, "pm_card_pendingRefund")
    api.refunds.create({"payment_intent": pay(client, "pm_card_refundFail").id})
    api.payment_intents.capture(pay(client, "pm_card_visa", capture_method="manual").id)
    api.payment_intents.cancel(pay(client, "pm_card_authenticationRequired", return_url="https://x/").id)
    intent = api.payment_intents.create({"amount": 500, "currency": "usd", "automatic_payment_methods": NO_REDIRECTS})
    with pytest.raises(stripe.CardError):
        api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    for _ in range(2):
        pay(client, "pm_card_createIssuerFraudRecord")
    control(simulator, "/_sim/clock", {"advance_s": 3})
    for dispute in api.disputes.list().data:
        api.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": False})
        api.disputes.close(dispute.id)
        api.disputes.retrieve(dispute.id)
    for warning in api.radar.early_fraud_warnings.list({"expand": ["data.payment_intent"]}).data:
        api.radar.early_fraud_warnings.retrieve(warning.id, {"expand": ["charge"]})
    call_payments_with_options(client, simulator)
    api.payment_intents.list()
    api.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    api.payment_intents.search({"query": "status:'succeeded'"})
    api.charges.list({"expand": ["data.refunds", "data.balance_transaction"]})
    api.charges.search({"query": "amount>100"})
    api.refunds.list({"limit": 100})
    transactions = api.balance_transactions.list({"limit": 100, "expand": ["data.source"]}).data
    api.balance_transactions.retrieve(transactions[0].id)
    api.balance.retrieve()
    for body in ({"include_pending": True, "amount": 500}, {}):
        payout = control(simulator, "/_sim/payouts", body)
    funds: Any = {"amount": 500, "currency": "usd", "payment_method": "pm_card_bypassPending", "off_session": True}
    api.payment_intents.create({**funds, "confirm": True})
    manual = api.payouts.create({"amount": 100, "currency": "usd", "statement_descriptor": "SCHOOL"})
    api.payouts.update(manual.id, {"metadata": {"a": "b"}})
    api.payouts.cancel(manual.id)
    api.payouts.retrieve(payout["id"], {"expand": ["balance_transaction.source"]})
    control(simulator, "/_sim/payouts", {"payout": payout["id"], "status": "failed"})
    control(simulator, "/_sim/clock", {"advance_s": 3})
    for one in api.payouts.list({"expand": ["data.failure_balance_transaction"]}).data:
        assert not one.automatic or api.balance_transactions.list({"payout": one.id, "expand": ["data.source"]}).data


def call_payments_with_options(client: stripe.StripeClient, simulator: Simulator) -> None:
    """Pay with partial hashes, from which the answers have every field, and with 3-D Secure and a SEPA debit."""
    api: Any = client.v1
    shipping = {"name": "Ada", "address": {"city": "Graz"}}
    options = {
        "card": {"setup_future_usage": "none"},
        "us_bank_account": {"verification_method": "instant"},
    }
    params = {"shipping": shipping, "payment_method_options": options}
    intent = pay(client, "pm_card_visa", **params)
    assert intent.payment_method_options.card.request_three_d_secure == "automatic"  # type: ignore[union-attr]
    intent = api.payment_intents.create({"amount": 500, "currency": "usd"})
    updated = api.payment_intents.update(intent.id, {"payment_method_options": {"card": {"network": "visa"}}})
    assert (updated.payment_method_options.card.network, updated.payment_method_options.card.installments) == (
        "visa",
        None,
    )
    intent = pay(client, "pm_card_authenticationRequired", return_url="https://x/", **params)
    control(simulator, f"/_sim/payment_intents/{intent.id}/authenticate", {"outcome": "success"})
    charge = api.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]}).latest_charge
    assert charge.payment_method_details.card.electronic_commerce_indicator == "05"
    iban = {"type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"}}
    debit = {"payment_method_data": iban, **DEBIT}
    api.payment_intents.create({"amount": 500, "currency": "eur", "confirm": True, "return_url": "https://x/", **debit})
    token = {"payment_method": "pm_card_visa", "shipping": {"name": "Ada", "address": {"city": "Graz"}}}
    api.test_helpers.confirmation_tokens.create(token)
    customer = api.customers.create({"business_name": "Ada Ltd"})
    assert customer.business_name == "Ada Ltd"
    assert "business_name" not in api.customers.update(customer.id, {"business_name": ""}).to_dict()


def call_all_checkout(client: stripe.StripeClient) -> None:
    """Call every operation of products, prices, coupons, promotion codes, sessions, events and webhook endpoints."""
    api: Any = client.v1
    product = api.products.create({"name": "DP", "default_price_data": {"currency": "usd", "unit_amount": 500}}).id
    price = api.prices.create({"product": product, "currency": "usd", "unit_amount": 500}).id
    api.prices.update(price, {"nickname": "x"})
    api.products.update(product, {"description": "y"})
    for service in (api.prices, api.products):
        service.list()
        service.search({"query": "active:'true'"})
    api.prices.retrieve(price)
    api.products.retrieve(product)
    promotion = create_code(client)
    api.promotion_codes.update(promotion.id, {"metadata": {"a": "b"}})
    api.promotion_codes.retrieve(promotion.id, {"expand": ["promotion.coupon"]})
    api.promotion_codes.list()
    coupon = str(promotion.promotion.coupon)
    options = {
        "payment_method_options": {"card": {"setup_future_usage": "off_session"}},
        "saved_payment_method_options": {"payment_method_save": "enabled"},
        "customer": api.customers.create({}).id,
    }
    session = create_session(client, **options, expand=["line_items.data.discounts", "total_details.breakdown"])
    assert session.saved_payment_method_options.payment_method_remove is None  # type: ignore[union-attr]
    assert session.payment_method_options.card.request_three_d_secure == "automatic"  # type: ignore[union-attr]
    for one in (
        api.coupons.create({"percent_off": 5}),
        api.coupons.create({"percent_off": 5, "applies_to": {"products": [product]}}),
    ):
        api.coupons.retrieve(one.id, {"expand": ["applies_to"]})
    api.coupons.update(coupon, {"name": "z"})
    api.coupons.retrieve(coupon)
    api.coupons.list()
    items = [ITEM, {"price": price, "quantity": 2}]
    session = create_session(client, discounts=[{"promotion_code": promotion.id}], line_items=items)
    api.checkout.sessions.update(session.id, {"metadata": {"a": "b"}})
    api.checkout.sessions.line_items.list(session.id)
    api.checkout.sessions.expire(session.id)
    api.checkout.sessions.retrieve(session.id, {"expand": ["line_items", "line_items.data.price.product"]})
    api.checkout.sessions.list()
    api.coupons.delete(api.coupons.create({"percent_off": 5}).id)
    api.products.delete(api.products.create({"name": "FSD"}).id)
    endpoint = api.webhook_endpoints.create({"url": "https://example.com/", "enabled_events": ["charge.failed"]}).id
    api.webhook_endpoints.update(endpoint, {"description": "x"})
    api.webhook_endpoints.retrieve(endpoint)
    api.webhook_endpoints.list()
    api.webhook_endpoints.delete(endpoint)
    call_all_invoices(client)
    api.events.retrieve(api.events.list().data[0].id)


def call_all_invoices(client: stripe.StripeClient) -> None:
    """Call every operation of invoices, credit notes and tax ids: a business buys, and gets a part of it back."""
    api: Any = client.v1
    customer = api.customers.create({"email": "ada@example.com"}).id
    tax_id = api.customers.tax_ids.create(customer, {"type": "eu_vat", "value": "DE123456789"})
    api.customers.tax_ids.retrieve(customer, tax_id.id)
    api.customers.tax_ids.list(customer)
    options = {
        "customer": customer,
        "customer_update": {"name": "auto", "address": "auto"},
        "discounts": [{"coupon": api.coupons.create({"percent_off": 5}).id}],
        "invoice_creation": {"enabled": True},
        "tax_id_collection": {"enabled": True},
    }
    session = create_session(client, **options)
    address = {"line1": "1 Street", "postal_code": "8010", "city": "Graz", "country": "AT"}
    status, _, _ = submit(str(session.url), **card("4242424242424242"), name="Ada", tax_id="ATU12345678", **address)
    assert status == 303
    session = api.checkout.sessions.retrieve(session.id, {"expand": ["invoice.lines"]})
    invoice, intent = session.invoice, session.payment_intent
    api.invoices.retrieve(invoice.id)
    api.invoices.list({"customer": customer})
    api.invoices.search({"query": f"customer:'{customer}'"})
    api.invoices.line_items.list(invoice.id)
    refund = api.refunds.create({"payment_intent": intent, "amount": 100})
    params = {"invoice": invoice.id, "amount": 100, "refunds": [{"refund": refund.id}]}
    api.credit_notes.preview(params)
    api.credit_notes.preview_lines.list(params)
    note = api.credit_notes.create({**params, "reason": "order_change"})
    api.credit_notes.update(note.id, {"memo": "Returned"})
    api.credit_notes.retrieve(note.id, {"expand": ["refunds.refund"]})
    api.credit_notes.list({"invoice": invoice.id})
    api.credit_notes.line_items.list(note.id)
    api.customers.retrieve(customer, {"expand": ["tax_ids"]})
    api.customers.tax_ids.delete(customer, tax_id.id)


def test_every_operation_returns_the_type_that_the_package_declares(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    CheckedHttpClient.operations.clear()
    call_all_customers(client.v1)
    call_all_payments(client, simulator)
    call_all_checkout(client)
    assert set(ROUTES) - ROUTES_OUTSIDE_THE_PACKAGE - set(CheckedHttpClient.operations) == set(), "never called"
    assert set(CheckedHttpClient.operations) <= set(ROUTES)
    assert len(list(client.v1.events.list({"limit": 100}).auto_paging_iter())) > 100  # the fixture checks them


def test_every_stored_object_has_the_fields_of_its_type(client: stripe.StripeClient, simulator: Simulator) -> None:
    call_all_customers(client.v1)
    call_all_payments(client, simulator)
    call_all_checkout(client)
    assert set(simulator.store.objects) == {
        *("customer", "payment_method", "setup_intent", "confirmation_token", "payment_intent", "charge", "refund"),
        *("dispute", "balance_transaction", "product", "price", "coupon", "promotion_code", "checkout.session"),
        *("webhook_endpoint", "radar.early_fraud_warning", "payout", "mandate", "invoice", "credit_note", "tax_id"),
    }
    messages: set[str] = set()
    for objects in simulator.store.objects.values():
        for stored in objects.values():
            messages |= set(problems({name: value for name, value in stored.items() if not name.startswith("_")}))
    assert not messages, "\n".join(sorted(messages))


def test_every_stored_object_tells_null_from_absent(client: stripe.StripeClient, simulator: Simulator) -> None:
    """The client checks each answer. This is about the objects in events and those that no answer showed."""
    call_all_customers(client.v1)
    call_all_payments(client, simulator)
    call_all_checkout(client)
    values = [public_fields(one) for kind in list(simulator.store.objects.values()) for one in list(kind.values())]
    values += [json.loads(payload) for payload in simulator.stripe.webhooks.payloads.values()]
    messages = {message for value in values for message in typescript_responses.problems(value)}
    assert not messages, "\n".join(sorted(messages))


def test_the_check_with_typescript_types_reports_what_is_null_absent_unknown_and_mistyped(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    customer = client.v1.customers.create({}).to_dict()
    assert typescript_responses.problems(customer) == []
    for change, message in (
        ({"business_name": None}, "customer.business_name: null, and should be absent"),
        ({"balance": None}, "customer.balance: None is no number"),
        ({"balance": True}, "customer.balance: True is no number"),
        ({"livemode": 1}, "customer.livemode: 1 is no boolean"),
        ({"odd": 1}, "customer.odd: unknown"),
        ({"metadata": {"a": 1}}, "customer.metadata{}: 1 is no string"),
        ({"preferred_locales": "en"}, "customer.preferred_locales: 'en' is no list"),
        ({"invoice_settings": {}}, "customer.invoice_settings.custom_fields: missing"),
        ({"default_source": customer}, "customer.default_source: customer is no @account"),
    ):
        assert message in typescript_responses.problems(customer | change)
    without = {name: value for name, value in customer.items() if name not in ("email", "phone")}
    assert typescript_responses.problems(without) == ["customer.email: missing"]
    assert typescript_responses.problems({"object": "list", "data": [without]}) == ["customer.email: missing"]
    event = {"object": "event", "type": "customer.created", "data": {"object": without}}
    assert typescript_responses.problems(event) == ["customer.created: customer.email: missing"]
    assert typescript_responses.problems({"id": "cus_1", "object": "customer", "deleted": True}) == []
    assert typescript_responses.problems({"object": "unheard_of"})


def test_typescript_fields_match_the_pinned_package() -> None:
    assert make_typescript_fields.text() == make_typescript_fields.TARGET.read_text()
    assert (make_typescript_fields.ensure("stripe") / "esm" / "apiVersion.d.ts").read_text().count(API_VERSION) == 1


def test_the_response_check_reports_missing_unknown_and_mistyped_fields(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"}).to_dict()
    path = f"/v1/payment_intents/{intent['id']}"
    assert problems_of_response("GET", path, 200, intent) == []
    invalid = {name: value for name, value in intent.items() if name != "amount"} | {"created": "now", "surprise": 1}
    assert sorted(message.split(":")[0] for message in problems_of_response("GET", path, 200, invalid)) == [
        "GET /v1/payment_intents/*.amount",
        "GET /v1/payment_intents/*.created",
        "GET /v1/payment_intents/*.surprise",
    ]
    customer = client.v1.customers.create({}).to_dict()
    assert problems_of_response("GET", path, 200, customer), "the object of another operation"
    assert problems_of_response("GET", path, 200, intent | {"customer": intent}), "expanded to the wrong kind of object"
    assert problems_of_response("GET", "/v1/payment_intents", 200, intent), "not a list"
    page = {"object": "list", "url": "/v1/payment_intents", "has_more": False, "data": [intent]}
    assert problems_of_response("GET", "/v1/payment_intents", 200, page) == []
    for change in ({"data": [customer]}, {"data": [invalid]}, {"has_more": None}, {"url": None}, {"total": 1}):
        assert problems_of_response("GET", "/v1/payment_intents", 200, page | change), change
    for error in ({"type": "odd_error"}, {"type": "card_error"}, {"type": "invalid_request_error", "odd": 1}):
        assert problems_of_response("GET", path, 400, {"error": {"message": "no", **error}}), error


def test_params_json_matches_the_installed_package() -> None:
    schema = make_params.build()
    assert schema == SCHEMA | {"classes": schema["classes"]}
    assert make_params.text(schema) == make_params.TARGET.read_text()


def test_every_route_is_an_operation_of_the_package() -> None:
    assert set(ROUTES) - set(SCHEMA["operations"]) == ROUTES_OUTSIDE_THE_PACKAGE
    assert set(SCHEMA["operations"]) <= set(return_types())
    assert operation_of("get", "/v1/charges/search?query=x") == "GET /v1/charges/search"
    assert len(CLASSES) > 100


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/test_helpers/nothing"),
        ("DELETE", "/v1/customers"),
        ("POST", "/v1/customers/cus_x/nothing"),
        ("GET", "/v2/core/events"),
    ],
)
def test_a_path_that_the_api_does_not_have_is_a_404_in_the_stripe_error_format(
    client: stripe.StripeClient, simulator: Simulator, method: str, path: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as excinfo:
        client.raw_request(method.lower(), path)
    assert excinfo.value.http_status == 404


def run_live_tests(simulator: Simulator) -> subprocess.CompletedProcess[str]:
    """Run `pytest -m live` as a developer does, with the simulator as Stripe.

    Meanwhile the simulator's clock advances fast, so that asynchronous results arrive at once.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "live", "-p", "no:cacheprovider", "tests/stripe"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("STRIPE_", "PYTEST_"))}
    environment |= {"STRIPE_SECRET_KEY": simulator.secret_key, "STRIPE_API_BASE": simulator.url}
    finished = threading.Event()

    def advance_clock() -> None:
        while not finished.wait(0.2):
            control(simulator, "/_sim/clock", {"advance_s": 1})

    with ThreadPoolExecutor(1) as pool:
        clock = pool.submit(advance_clock)
        try:
            return subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500, check=False
            )
        finally:
            finished.set()
            clock.result()


@pytest.mark.parametrize("key", ["", "sk_live_51abcdefghijklmnop", "pk_test_51abcdefghijklmnop"])
def test_the_live_run_refuses_keys_other_than_test_mode_secret_keys(
    key: str, shared_simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = len(shared_simulator.stripe.account.log)
    monkeypatch.setenv("STRIPE_SECRET_KEY", key)
    monkeypatch.setenv("STRIPE_API_BASE", shared_simulator.url)
    with pytest.raises(pytest.fail.Exception, match="a key of Stripe's test mode") as excinfo:
        live_client()
    assert key == "" or key not in str(excinfo.value)
    assert len(shared_simulator.stripe.account.log) == requests


@pytest.mark.soak  # it runs tests of this folder once more, which takes half a minute
@pytest.mark.timeout(600)
def test_the_live_run_passes_on_an_account_that_is_in_use(client: stripe.StripeClient, simulator: Simulator) -> None:
    client.v1.customers.create({})
    process = run_live_tests(simulator)
    assert process.returncode == 0, process.stdout[-3000:]
    assert "stripe on live" in process.stdout
    assert len(simulator.store.objects["payment_intent"]) > 50


def nested(pattern: str) -> tuple[dict[str, Any], str]:
    """Return parameters that have the parameter of a pattern such as `items[][price]`, and the name of that one."""
    head, *steps = pattern.replace("]", "").split("[")
    value: Any = "x"
    for step in reversed(steps):
        value = {step: value} if step else [value]
    return {head: value}, head + "".join(f"[{step or 0}]" for step in steps)


def test_unsupported_parameters_are_refused_by_name() -> None:
    for operation, names in UNSUPPORTED_PARAMS.items():
        for name in names:
            fields = SCHEMA["classes"][SCHEMA["operations"][operation]]
            head = name.partition("[")[0]
            if not {head, f"{head}!"} & fields.keys():  # the operations of a resource share one list
                sharing = [other for other in UNSUPPORTED_PARAMS if name in UNSUPPORTED_PARAMS[other]]
                assert any(name in SCHEMA["classes"][SCHEMA["operations"][other]] for other in sharing)
                continue
            params, param = nested(name)
            with pytest.raises(StripeError) as excinfo:
                check(operation, params, family="endive")
            assert excinfo.value.fields["param"] == param and "does not support" in excinfo.value.message


def test_every_parameter_of_the_package_is_read_or_refused() -> None:
    files = set((ROOT / "stripe_simulator").rglob("*.py"))
    list_of_unsupported = ROOT / "stripe_simulator" / "unsupported_params.py"
    assert list_of_unsupported in files
    source = "".join(path.read_text() for path in files - {list_of_unsupported})
    words = set(source.split())
    unread = []
    for operation in set(ROUTES) - ROUTES_OUTSIDE_THE_PACKAGE:
        for name in SCHEMA["classes"].get(SCHEMA["operations"][operation], {}):
            param = name.removesuffix("!")
            is_handled = f'"{param}"' in source or param in words or param in HARMLESS
            is_handled = is_handled or param in UNSUPPORTED_PARAMS.get(operation, ())
            if (
                not is_handled and operation != "POST /v1/payment_methods"
            ):  # another check refuses its unsupported types
                unread.append(f"{operation}: {param}")
    assert unread == []


LISTABLE = (
    *("balance_transactions", "charges", "checkout.sessions", "coupons", "customers", "disputes", "events"),
    *("payment_intents", "prices", "products", "promotion_codes", "refunds", "setup_intents", "webhook_endpoints"),
    *("radar.early_fraud_warnings", "payouts", "invoices", "credit_notes"),
)


def test_the_client_pages_through_every_list_in_both_directions(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    call_all_customers(client.v1)
    call_all_payments(client, simulator)
    for _ in range(3):
        call_all_checkout(client)
        client.v1.webhook_endpoints.create({"url": "https://example.com/", "enabled_events": ["charge.failed"]})
        client.v1.customers.create({})
    control(simulator, "/_sim/clock", {"advance_s": 3})  # so that nothing changes while the lists are read
    lists = {
        operation for operation, (wrapper, _) in return_types().items() if wrapper == "list" and operation in ROUTES
    }
    # The others need a customer, a session, an invoice or a credit note: saved methods, tax ids and lines.
    assert len(lists) == len(LISTABLE) + 7
    for name in LISTABLE:
        service: Any = client.v1
        for part in name.split("."):
            service = getattr(service, part)
        ids = [item.id for item in service.list({"limit": 100}).auto_paging_iter()]
        assert len(ids) > 1, name
        assert [item.id for item in service.list({"limit": 2}).auto_paging_iter()] == ids, name
        backward = service.list({"limit": 2, "ending_before": ids[-1]})
        assert [item.id for item in backward.auto_paging_iter()] == ids[-2::-1], name
