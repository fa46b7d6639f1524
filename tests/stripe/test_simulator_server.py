"""The simulator around its objects: keys, versions, idempotency, faults, webhooks, the clock, load and saved state."""

import json
import re
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import stripe

from stripe_simulator import currencies, state_file
from stripe_simulator.api import ROUTER, Request
from stripe_simulator.errors import NoAnswer
from stripe_simulator.resources.webhook_endpoints import configure
from stripe_simulator.response import Response
from stripe_simulator.server import Simulator, Stripe, start
from stripe_simulator.version import API_VERSION
from tests.stripe.conftest import Receiver, control, create_customers, drain, eventually, names_delivered
from tuition.core import money
from tuition.core.money import Money

INTENT = "amount=500&currency=usd"
SESSION = (
    "line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=500&line_items[0][quantity]=1"
    "&line_items[0][price_data][product_data][name]=DP&mode=payment&success_url=https://x/"
)


class InProcessStripe:
    """The simulator without a socket; its clock moves only when a test advances it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.stripe = Stripe(seed=1, clock=lambda: self.now)
        self.headers = {"Authorization": f"Bearer {self.stripe.secret_key}", "Stripe-Version": API_VERSION}

    def call(self, method: str, path: str, body: str = "", key: str | None = None) -> Response:
        """Send a request with the secret key, the current version and an optional idempotency key."""
        headers = dict(self.headers)
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.stripe.handle(method, path, headers, body.encode())

    def control(self, path: str, **body: Any) -> Any:
        """Call the control API."""
        response = self.stripe.handle("POST", path, {}, json.dumps(body).encode())
        assert response.status == 200, response.body
        return response.json()

    def intent_count(self) -> int:
        """Return the number of PaymentIntents."""
        return len(self.call("GET", "/v1/payment_intents?limit=100").json()["data"])


@pytest.fixture
def in_process() -> InProcessStripe:
    return InProcessStripe()


def test_a_replay_repeats_the_first_response_and_is_marked(in_process: InProcessStripe) -> None:
    first = in_process.call("POST", "/v1/payment_intents", INTENT, "k")
    replay = in_process.call("POST", "/v1/payment_intents", INTENT, "k")
    assert replay.body == first.body
    assert "Idempotent-Replayed" not in first.headers
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert replay.headers["Original-Request"] == first.headers["Request-Id"] != replay.headers["Request-Id"]
    assert replay.headers["Idempotency-Key"] == "k"


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/payment_intents", "amount=501&currency=usd"), ("/v1/customers", INTENT)]
)
def test_an_idempotency_key_with_another_request_is_refused(in_process: InProcessStripe, path: str, body: str) -> None:
    in_process.call("POST", "/v1/payment_intents", INTENT, "k")
    response = in_process.call("POST", path, body, "k")
    assert (response.status, response.json()["error"]["type"]) == (400, "idempotency_error")


def test_a_decline_and_a_500_are_stored_but_an_invalid_parameter_and_a_429_are_not(in_process: InProcessStripe) -> None:
    declined = f"{INTENT}&confirm=true&return_url=https://x/&payment_method=pm_card_chargeDeclined"
    assert in_process.call("POST", "/v1/payment_intents", declined, "declined").status == 402
    assert in_process.call("POST", "/v1/payment_intents", declined, "declined").headers["Idempotent-Replayed"]
    in_process.control("/_sim/calls", match="POST /v1/payment_intents", fail="error")
    assert in_process.call("POST", "/v1/payment_intents", INTENT, "broken").status == 500
    assert in_process.call("POST", "/v1/payment_intents", INTENT, "broken").status == 500
    assert in_process.call("POST", "/v1/payment_intents", f"{INTENT}&x=1", "bad").status == 400
    assert in_process.call("POST", "/v1/payment_intents", INTENT, "bad").status == 200
    for fault in ("rate_limit", "lock_timeout"):
        in_process.control("/_sim/calls", match="POST /v1/payment_intents", fail=fault)
        assert in_process.call("POST", "/v1/payment_intents", INTENT, fault).status == 429
        assert in_process.call("POST", "/v1/payment_intents", INTENT, fault).status == 200


def test_an_idempotency_key_expires_after_24_hours(in_process: InProcessStripe) -> None:
    first = in_process.call("POST", "/v1/payment_intents", INTENT, "k").json()["id"]
    in_process.control("/_sim/clock", advance_s=24 * 3600 - 1)
    assert in_process.call("POST", "/v1/payment_intents", INTENT, "k").json()["id"] == first
    in_process.control("/_sim/clock", advance_s=2)
    assert in_process.call("POST", "/v1/payment_intents", INTENT, "k").json()["id"] != first


@pytest.mark.parametrize(("fault", "count"), [("before", 0), ("after", 1), ("hang", 0)])
def test_a_lost_response_can_be_retried_without_a_duplicate(
    in_process: InProcessStripe, fault: str, count: int
) -> None:
    in_process.control("/_sim/calls", match="POST /v1/payment_intents", fail=fault)
    with pytest.raises(NoAnswer):
        in_process.call("POST", "/v1/payment_intents", INTENT, "k")
    assert in_process.intent_count() == count
    assert in_process.call("POST", "/v1/payment_intents", INTENT, "k").status == 200
    assert in_process.intent_count() == 1


def test_a_fault_affects_only_matching_requests_and_only_the_given_number_of_times(in_process: InProcessStripe) -> None:
    in_process.control("/_sim/calls", match="POST /v1/payment_intents/*/cancel", fail="before", times=2)
    id = in_process.call("POST", "/v1/payment_intents", INTENT).json()["id"]
    for _ in range(2):
        with pytest.raises(NoAnswer):
            in_process.call("POST", f"/v1/payment_intents/{id}/cancel")
    assert in_process.call("POST", f"/v1/payment_intents/{id}/cancel").json()["status"] == "canceled"


def test_an_api_key_is_required_and_a_publishable_key_reads_only_public_fields(in_process: InProcessStripe) -> None:
    intent = in_process.call("POST", "/v1/payment_intents", INTENT + "&metadata[a]=b").json()
    path = f"/v1/payment_intents/{intent['id']}"
    public = {"Authorization": f"Bearer {in_process.stripe.publishable_key}"}
    assert in_process.stripe.handle("GET", path, {}).status == 401
    assert in_process.stripe.handle("GET", path, {"Authorization": "Bearer sk_test_no"}).status == 401
    assert in_process.stripe.handle("GET", path, public).status == 400
    assert in_process.stripe.handle("GET", "/v1/customers", public).status == 403
    public_intent = in_process.stripe.handle("GET", f"{path}?client_secret={intent['client_secret']}", public).json()
    assert public_intent["status"] == "requires_payment_method" and "metadata" not in public_intent


CARD = (
    "payment_method_data[type]=card&payment_method_data[card][exp_month]=12&payment_method_data[card][exp_year]=40"
    "&payment_method_data[card][cvc]=123&payment_method_data[card][number]="
)


def test_a_browser_pays_with_the_client_secret(in_process: InProcessStripe) -> None:
    intent = in_process.call("POST", "/v1/payment_intents", INTENT).json()
    public = {"Authorization": f"Bearer {in_process.stripe.publishable_key}"}
    path = f"/v1/payment_intents/{intent['id']}/confirm"
    card = f"{CARD}4242424242424242"
    assert in_process.stripe.handle("POST", path, public, f"{card}&client_secret=pi_x".encode()).status == 400
    body = f"{card}&client_secret={intent['client_secret']}".encode()
    assert in_process.stripe.handle("POST", path, public, body).json()["status"] == "succeeded"


def test_a_client_secret_gives_access_to_its_own_payment_intent_only(in_process: InProcessStripe) -> None:
    intent, other = (in_process.call("POST", "/v1/payment_intents", INTENT).json() for _ in range(2))
    public = f"key={in_process.stripe.publishable_key}&client_secret={other['client_secret']}"
    path = f"/v1/payment_intents/{intent['id']}"
    responses = [
        in_process.stripe.handle("GET", f"{path}?{public}", {}),
        in_process.stripe.handle("POST", f"{path}/confirm", {}, f"{public}&{CARD}4242424242424242".encode()),
        in_process.stripe.handle("POST", f"{path}/cancel", {}, public.encode()),
    ]
    assert [response.status for response in responses] == [400, 400, 403]
    assert not any("client_secret" in response.json() for response in responses)
    assert in_process.call("GET", path).json()["status"] == "requires_payment_method"


def test_a_decline_returns_only_public_fields_to_a_browser(in_process: InProcessStripe) -> None:
    intent = in_process.call("POST", "/v1/payment_intents", INTENT + "&metadata[a]=b").json()
    public = f"key={in_process.stripe.publishable_key}&client_secret={intent['client_secret']}"
    path = f"/v1/payment_intents/{intent['id']}/confirm"
    response = in_process.stripe.handle("POST", path, {}, f"{public}&{CARD}4000000000000002".encode())
    public_intent = response.json()["error"]["payment_intent"]
    assert (response.status, public_intent["id"]) == (402, intent["id"])
    assert not {"metadata", "customer"} & set(public_intent)


def test_use_stripe_sdk_selects_the_next_action_of_stripe_js_instead_of_a_redirect(in_process: InProcessStripe) -> None:
    params = "return_url=https://example.com/&payment_method=pm_card_authenticationRequired"
    actions = []
    for more in ("", "&use_stripe_sdk=true"):
        id = in_process.call("POST", "/v1/payment_intents", INTENT).json()["id"]
        intent = in_process.call("POST", f"/v1/payment_intents/{id}/confirm", params + more).json()
        actions.append((intent["status"], intent["next_action"]["type"]))
    assert actions == [("requires_action", "redirect_to_url"), ("requires_action", "use_stripe_sdk")]


def test_the_replacement_for_stripe_js_is_served_but_no_other_file(simulator: Simulator) -> None:
    def get(path: str) -> tuple[int, str]:
        response = httpx.get(simulator.url + path)
        return response.status_code, response.headers["content-type"]

    for path in ("/v3/", "/v3", "/endive/stripe.js", "/_js/element.js"):
        assert get(path) == (200, "text/javascript; charset=utf-8"), path
    assert get("/_js/page.css") == (200, "text/css; charset=utf-8")
    for path in ("/_js/__init__.py", "/_js/..%2f__init__.py", "/_js/", "/_js/nothing.js", "/endive/other.js"):
        assert get(path)[0] in (401, 404), path


def call_with_version(
    in_process: InProcessStripe, version: str | None, method: str, path: str, body: str = ""
) -> Response:
    """Send a request that names a version, or none."""
    headers = {"Authorization": f"Bearer {in_process.stripe.secret_key}"}
    headers |= {} if version is None else {"Stripe-Version": version}
    return in_process.stripe.handle(method, path, headers, body.encode())


@pytest.mark.parametrize("version", [None, "2025-09-30.clover", "2026-03-25.dahlia", "2026-09-30.endive", API_VERSION])
def test_versions_of_three_families_are_served_in_one_shape(in_process: InProcessStripe, version: str | None) -> None:
    response = call_with_version(in_process, version, "POST", "/v1/payment_intents", INTENT)
    assert (response.status, response.headers["Stripe-Version"]) == (200, API_VERSION)
    current = in_process.call("GET", f"/v1/payment_intents/{response.json()['id']}")
    assert response.json() == current.json()


@pytest.mark.parametrize(
    "version",
    ["2020-08-27", "2025-08-27.basil", "2026-08-26.preview", "2026-13-01.clover", "2026-08-26.dahlia; a=v1", "endive"],
)
def test_a_version_outside_these_families_is_refused_with_versions_that_work(
    in_process: InProcessStripe, version: str
) -> None:
    body = f"url=https://a.test/&enabled_events[]=*&api_version={version}"
    refusals = [
        call_with_version(in_process, version, "GET", "/v1/balance").json()["error"],
        in_process.call("POST", "/v1/webhook_endpoints", body).json()["error"],
    ]
    for error in refusals:
        assert error["message"].startswith(f"Invalid Stripe API version: {version}.")
        assert all(name in error["message"] for name in ("endive", "dahlia", "clover", API_VERSION))
    assert [error.get("param") for error in refusals] == [None, "api_version"]
    assert in_process.call("GET", "/v1/webhook_endpoints").json()["data"] == []


@pytest.mark.parametrize("version", [None, "2025-09-30.clover", "2026-08-26.dahlia", "2026-09-30.endive"])
def test_payment_method_types_are_taken_until_dahlia(in_process: InProcessStripe, version: str | None) -> None:
    def call(path: str, body: str) -> Any:
        return call_with_version(in_process, version, "POST", f"/v1/{path}", body).json()

    types = "payment_method_types[]=card"
    intent = in_process.call("POST", "/v1/payment_intents", INTENT).json()["id"]
    setup = in_process.call("POST", "/v1/setup_intents").json()["id"]
    results = [
        call("payment_intents", f"{INTENT}&{types}"),
        call(f"payment_intents/{intent}", types),
        call(f"payment_intents/{intent}/confirm", f"{types}&payment_method=pm_card_visa"),
        call("setup_intents", types),
        call(f"setup_intents/{setup}", types),
        call("checkout/sessions", f"{SESSION}&{types}"),
    ]
    if version == "2026-09-30.endive":
        assert {one["error"]["code"] for one in results} == {"payment_method_types_no_longer_supported"}
    else:
        assert [one["payment_method_types"] for one in results] == [["card"]] * 6
        assert [one.get("automatic_payment_methods") for one in results] == [None] * 6


@pytest.mark.parametrize(("version", "status"), [(None, 200), ("2026-02-25.clover", 200), ("2026-03-25.dahlia", 400)])
def test_the_ui_mode_hosted_is_taken_until_clover(
    in_process: InProcessStripe, version: str | None, status: int
) -> None:
    response = call_with_version(in_process, version, "POST", "/v1/checkout/sessions", f"{SESSION}&ui_mode=hosted")
    assert response.status == status
    assert status == 400 or response.json()["ui_mode"] == "hosted_page"


@pytest.mark.parametrize(("version", "status"), [(None, 200), ("2025-09-30.clover", 400), (API_VERSION, 400)])
def test_a_promotion_code_takes_coupon_only_without_a_version(
    in_process: InProcessStripe, version: str | None, status: int
) -> None:
    coupon = in_process.call("POST", "/v1/coupons", "percent_off=10").json()["id"]
    response = call_with_version(in_process, version, "POST", "/v1/promotion_codes", f"coupon={coupon}")
    assert response.status == status


def test_the_version_of_an_endpoint_is_kept_and_written_into_its_events(in_process: InProcessStripe) -> None:
    versions = ["2026-08-26.dahlia", "2025-11-17.clover", None]
    for version in versions:
        body = "url=https://a.test/&enabled_events[]=customer.created"
        body += f"&api_version={version}" if version else ""
        endpoint = in_process.call("POST", "/v1/webhook_endpoints", body).json()
        assert in_process.call("GET", f"/v1/webhook_endpoints/{endpoint['id']}").json()["api_version"] == version
    in_process.call("POST", "/v1/customers")
    outbox = in_process.stripe.webhooks.outbox
    assert [one.event["api_version"] for one in outbox] == [*versions[:2], API_VERSION]
    assert [json.loads(one.body) for one in outbox] == [one.event for one in outbox]
    (event,) = in_process.call("GET", "/v1/events").json()["data"]
    assert event["api_version"] == API_VERSION
    in_process.stripe.webhooks.outbox.clear()
    in_process.call("POST", f"/v1/events/{event['id']}/retry")
    assert [one.event["api_version"] for one in outbox] == [*versions[:2], API_VERSION]


def test_the_version_of_an_endpoint_survives_a_restart(tmp_path: Path) -> None:
    first = start(data=tmp_path / "state.json")
    version = "2026-08-26.dahlia"
    headers = {"Authorization": f"Bearer {first.secret_key}"}
    control(first, "/_sim/webhooks", {"deliver": "hold"})
    endpoint = {"url": "http://127.0.0.1:1/", "enabled_events[]": "*", "api_version": version}
    httpx.post(f"{first.url}/v1/webhook_endpoints", data=endpoint, headers=headers).raise_for_status()
    httpx.post(f"{first.url}/v1/customers", headers=headers).raise_for_status()
    first.stop()
    second = start(data=tmp_path / "state.json")
    try:
        assert [one.event["api_version"] for one in second.stripe.webhooks.held] == [version]
    finally:
        second.stop()


def test_response_dates_and_created_follow_the_clock(in_process: InProcessStripe) -> None:
    in_process.control("/_sim/clock", advance_s=1000)
    response = in_process.call("POST", "/v1/customers")
    assert response.json()["created"] == 1_800_001_000
    assert parsedate_to_datetime(response.headers["Date"]).timestamp() == 1_800_001_000


def test_the_same_seed_creates_the_same_ids() -> None:
    ids = [InProcessStripe().call("POST", "/v1/payment_intents", INTENT).json()["id"] for _ in range(2)]
    assert ids[0] == ids[1]


def test_the_ids_of_a_seed_do_not_depend_on_reads_time_or_webhook_endpoints() -> None:
    ids_of_runs = []
    for reads, url in ((0, None), (3, "http://127.0.0.1:1/"), (1, None)):
        in_process = InProcessStripe()
        if url is not None:
            configure(in_process.stripe.account, url, None)
        params = f"{INTENT}&confirm=true&return_url=https://x/&payment_method=pm_card_visa"
        intent = in_process.call("POST", "/v1/payment_intents", params).json()
        ids = [intent[name] for name in ("id", "client_secret", "payment_method", "latest_charge")]
        for _ in range(reads):
            in_process.now += 1
            in_process.call("GET", "/v1/payment_intents")
        ids.append(in_process.call("POST", "/v1/refunds", f"payment_intent={ids[0]}").json()["id"])
        events = in_process.call("GET", "/v1/events?type=refund.*").json()["data"]
        ids_of_runs.append([*ids, *(event["id"] for event in events)])
        in_process.control("/_sim/reset")
        assert in_process.call("POST", "/v1/payment_intents", INTENT).json()["id"] == ids[0]
    assert ids_of_runs[0] == ids_of_runs[1] == ids_of_runs[2]


@pytest.mark.parametrize(
    "path", ["nothing", "amount", "latest_charge.balance_transactions", "data.customer", "a.b.c.d.e"]
)
def test_an_invalid_expand_path_is_refused_before_the_request_executes(in_process: InProcessStripe, path: str) -> None:
    response = in_process.call("POST", "/v1/payment_intents", f"{INTENT}&expand[]={path}", "k")
    assert (response.status, response.json()["error"]["param"]) == (400, "expand")
    assert in_process.intent_count() == 0 and in_process.call("GET", "/v1/events").json()["data"] == []
    assert in_process.call("POST", "/v1/payment_intents", INTENT, "k").status == 200


@pytest.mark.parametrize(
    ("path", "expand"),
    [
        ("customers", "data.cash_balance"),
        ("customers", "data.tax.location"),
        ("prices", "data.currency_options"),
        ("prices", "data.tiers"),
        ("balance", "instant_available.net_available"),
        ("charges", "data.customer.cash_balance"),
        ("products", "data.default_price.tiers"),
    ],
)
def test_a_field_that_is_not_simulated_cannot_be_expanded(in_process: InProcessStripe, path: str, expand: str) -> None:
    error = in_process.call("GET", f"/v1/{path}?expand[]={expand}").json()["error"]
    assert (error["param"], error["message"]) == (
        "expand",
        f"The simulator does not support expanding `{expand}`, although Stripe does.",
    )


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("email:'ada@x.io' OR name:'Bob'", ["Bob", "Ada"]),
        ("email:'ada@x.io' AND name:'Bob'", []),
        ("email:'ada@x.io' or -metadata['team']:null", ["Cyd", "Ada"]),
        ("name:'Ada' OR name:'Bob' AND name:'Cyd'", None),
    ],
)
def test_a_search_query_uses_either_and_or_or_but_not_both(
    in_process: InProcessStripe, query: str, names: list[str] | None
) -> None:
    for params in ("name=Ada&email=ada@x.io", "name=Bob", "name=Cyd&metadata[team]=x"):
        in_process.call("POST", "/v1/customers", params)
    response = in_process.call("GET", "/v1/customers/search?" + urlencode({"query": query}))
    assert response.status == (400 if names is None else 200)
    assert names is None or [customer["name"] for customer in response.json()["data"]] == names


def test_the_currencies_are_those_that_tuition_knows_with_the_same_rules(in_process: InProcessStripe) -> None:
    assert currencies.CURRENCIES == money.CURRENCIES
    for currency in sorted(money.CURRENCIES):
        least, step = money.least_charge(currency), money.step(currency).amount
        amounts = [max(1, least.amount - step), least.amount, *(least.amount + more for more in (1, 5, 10, 50, 100))]
        for amount in amounts:
            response = in_process.call("POST", "/v1/payment_intents", f"amount={amount}&currency={currency}")
            is_chargeable = money.charge_problem(Money(amount, currency)) is None
            assert (response.status == 200) == is_chargeable, (amount, currency, response.json())
        decimal = re.sub(r"[^0-9.]", "", currencies.format_amount(1_234_567, currency))
        assert decimal == Money(1_234_567, currency).decimal


def test_a_refund_and_a_payout_have_no_fraction_that_their_currency_lacks(in_process: InProcessStripe) -> None:
    def refuse(currency: str, path: str, amount: int) -> str:
        card = "payment_method=pm_card_bypassPending&confirm=true&return_url=https://example.com"
        body = f"amount=1000000&currency={currency}&{card}"
        intent = in_process.call("POST", "/v1/payment_intents", body).json()["id"]
        of = f"payment_intent={intent}" if path == "/v1/refunds" else f"currency={currency}"
        response = in_process.call("POST", path, f"amount={amount}&{of}")
        return "" if response.status == 200 else str(response.json()["error"]["message"])

    assert "divisible by 10." in refuse("kwd", "/v1/refunds", 1005)
    assert "divisible by 100." in refuse("isk", "/v1/refunds", 1050)
    for currency, amount in (("kwd", 1010), ("isk", 1100), ("huf", 1045), ("twd", 1045), ("jpy", 1045)):
        assert refuse(currency, "/v1/refunds", amount) == ""
    for currency in ("huf", "twd", "isk", "ugx"):
        assert "divisible by 100." in refuse(currency, "/v1/payouts", 1045)
        assert refuse(currency, "/v1/payouts", 1000) == ""


@pytest.mark.parametrize(
    ("currency", "minimum", "text"), [("usd", 50, "$0.50 usd"), ("jpy", 50, "¥50 jpy"), ("dkk", 250, "2.50 DKK dkk")]
)
def test_each_currency_has_a_minimum_and_a_maximum_charge(
    in_process: InProcessStripe, currency: str, minimum: int, text: str
) -> None:
    def create(amount: int) -> Response:
        return in_process.call("POST", "/v1/payment_intents", f"amount={amount}&currency={currency}")

    assert [create(amount).status for amount in (minimum, 99_999_999)] == [200, 200]
    too_small, too_large = create(minimum - 1).json()["error"], create(100_000_000).json()["error"]
    assert (too_small["code"], too_large["code"]) == ("amount_too_small", "amount_too_large")
    assert too_small["message"] == f"Amount must be at least {text}"


def test_balance_available_is_sent_once_for_the_funds_of_an_hour(in_process: InProcessStripe) -> None:
    def amounts() -> list[int]:
        events = in_process.call("GET", "/v1/events?type=balance.available").json()["data"]
        return [event["data"]["object"]["available"][0]["amount"] for event in events]

    paid = f"{INTENT}&confirm=true&payment_method=pm_card_visa&return_url=https://a.test/"
    for _ in range(3):
        intent = in_process.call("POST", "/v1/payment_intents", paid).json()["id"]
        in_process.control("/_sim/clock", advance_s=60)
    in_process.call("POST", "/v1/refunds", f"payment_intent={intent}")
    in_process.control("/_sim/clock", advance_s=2 * 86_400 + 1800)
    assert amounts() == []
    in_process.control("/_sim/clock", advance_s=1800)
    balance = in_process.call("GET", "/v1/balance").json()
    assert amounts() == [balance["available"][0]["amount"]] == [3 * (500 - 45) - 500]
    assert balance["pending"][0]["amount"] == 0
    in_process.control("/_sim/clock", advance_s=5 * 86_400)
    assert len(amounts()) == 1
    in_process.call("POST", "/v1/payment_intents", paid)
    in_process.control("/_sim/clock", advance_s=3)
    in_process.control("/_sim/payouts", include_pending=True)
    in_process.control("/_sim/clock", advance_s=1)
    assert len(amounts()) == 2
    in_process.control("/_sim/clock", advance_s=5 * 86_400)
    assert len(amounts()) == 2


def test_balance_available_is_sent_for_all_funds_of_the_same_second(in_process: InProcessStripe) -> None:
    def amounts() -> list[int]:
        events = in_process.call("GET", "/v1/events?type=balance.available").json()["data"]
        return [event["data"]["object"]["available"][0]["amount"] for event in events]

    paid = f"{INTENT}&confirm=true&return_url=https://a.test/&capture_method=automatic&payment_method="
    for _ in range(2):
        in_process.call("POST", "/v1/payment_intents", f"{paid}pm_card_bypassPending")
        in_process.control("/_sim/clock", advance_s=0)
    assert amounts() == [2 * (500 - 45), 500 - 45]
    in_process.control("/_sim/reset")
    in_process.call("POST", "/v1/payment_intents", f"{paid}pm_card_bypassPending")
    in_process.control("/_sim/clock", advance_s=0)
    assert amounts() == [500 - 45]


def test_an_event_names_the_request_that_caused_it(in_process: InProcessStripe) -> None:
    response = in_process.call("POST", "/v1/customers", "", "k")
    event = in_process.call("GET", "/v1/events").json()["data"][0]
    assert event["request"] == {"id": response.headers["Request-Id"], "idempotency_key": "k"}


def test_thirty_concurrent_requests_with_one_idempotency_key_create_one_object(simulator: Simulator) -> None:
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url}, max_network_retries=8)
    gate = threading.Barrier(30)
    control(simulator, "/_sim/calls", {"match": "POST /v1/payment_intents", "fail": "slow", "seconds": 0.2})

    def create(_: int) -> str:
        gate.wait()
        params: Any = {"amount": 500, "currency": "usd"}
        return client.v1.payment_intents.create(params, {"idempotency_key": "one"}).id

    with ThreadPoolExecutor(30) as pool:
        ids = set(pool.map(create, range(30)))
    requests = control(simulator, "/_sim/requests")["requests"]
    statuses = [request["status"] for request in requests if request["path"] == "/v1/payment_intents"]
    assert len(ids) == 1 and len(simulator.store.objects["payment_intent"]) == 1
    assert statuses.count(409) > 0, "no request arrived while the first one was in flight"


def test_the_stripe_package_verifies_the_signature_of_a_delivery(
    webhook_simulator: Simulator, receiver: Receiver
) -> None:
    create_customers(webhook_simulator, 1)
    drain(webhook_simulator)
    header, body = receiver.deliveries[0]
    assert stripe.Webhook.construct_event(body, header, "whsec_one").type == "customer.created"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", header, "whsec_one")


def test_a_failed_delivery_is_retried_after_one_and_then_two_seconds(
    webhook_simulator: Simulator, receiver: Receiver
) -> None:
    receiver.statuses += [500, 503]
    started_at = time.monotonic()
    create_customers(webhook_simulator, 1)
    eventually(lambda: len(receiver.deliveries) == 3)
    assert 2.9 < time.monotonic() - started_at < 20
    assert len({body for _, body in receiver.deliveries}) == 1


def test_held_deliveries_are_queued_in_the_requested_order(in_process: InProcessStripe) -> None:
    url = "url=http://127.0.0.1:1/&enabled_events[]=customer.created"
    in_process.call("POST", "/v1/webhook_endpoints", url)
    in_process.control("/_sim/webhooks", deliver="hold")
    outbox = in_process.stripe.webhooks.outbox
    for order, times in (("as_created", 1), ("reversed", 2), ("shuffled", 1)):
        for n in range(6):
            in_process.call("POST", "/v1/customers", f"name={n}")
        assert outbox == []
        assert in_process.control("/_sim/webhooks/release", order=order, times=times, seed=3) == {"released": 6 * times}
        names = [delivery.event["data"]["object"]["name"] for delivery in outbox]
        as_created = [str(n) for n in range(6) for _ in range(times)]
        assert sorted(names) == sorted(as_created)
        assert (names == as_created) == (order == "as_created")
        assert (names == as_created[::-1]) == (order == "reversed")
        outbox.clear()


def test_an_endpoint_gets_only_its_enabled_events_and_a_retry_queues_one_again(in_process: InProcessStripe) -> None:
    in_process.call("POST", "/v1/webhook_endpoints", "url=http://127.0.0.1:1/&enabled_events[]=customer.created")
    in_process.call("POST", "/v1/payment_intents", INTENT)
    in_process.call("POST", "/v1/customers")
    (delivery,) = in_process.stripe.webhooks.outbox
    assert delivery.event["type"] == "customer.created"
    in_process.stripe.webhooks.outbox.clear()
    assert in_process.call("POST", f"/v1/events/{delivery.event_id}/retry").json()["pending_webhooks"] == 1
    assert [queued.event_id for queued in in_process.stripe.webhooks.outbox] == [delivery.event_id]


def test_the_log_holds_every_request_and_a_reset_deletes_everything(
    simulator: Simulator, client: stripe.StripeClient
) -> None:
    client.v1.customers.create({"name": "x"})
    (request,) = control(simulator, "/_sim/requests")["requests"]
    assert (request["method"], request["path"], request["status"]) == ("POST", "/v1/customers", 200)
    assert request["params"] == {"name": "x"}
    control(simulator, "/_sim/reset", {})
    assert client.v1.customers.list().data == []
    assert control(simulator, "/_sim/health")["status"] == "ok"


def test_a_thousand_intents_are_created_at_a_hundred_per_second_with_linear_memory(in_process: InProcessStripe) -> None:
    started_at = time.process_time()
    for n in range(1000):
        in_process.call("POST", "/v1/payment_intents", INTENT, f"a{n}")
    assert 1000 / (time.process_time() - started_at) > 100
    tracemalloc.start()
    sizes = []
    for part in range(2):
        before = tracemalloc.get_traced_memory()[0]
        for n in range(250):
            in_process.call("POST", "/v1/payment_intents", INTENT, f"b{part}-{n}")
        sizes.append(tracemalloc.get_traced_memory()[0] - before)
    tracemalloc.stop()
    assert sizes[1] < 1.3 * sizes[0] < 1.3 * 250 * 30_000


def test_the_state_survives_a_restart(tmp_path: Path) -> None:
    first = start(data=tmp_path / "state.json")
    client = stripe.StripeClient(first.secret_key, base_addresses={"api": first.url})
    params: Any = {
        "amount": 500,
        "currency": "usd",
        "confirm": True,
        "payment_method": "pm_card_visa",
        "return_url": "https://x/",
    }
    intent = client.v1.payment_intents.create(params, {"idempotency_key": "k"})
    first.stop()
    second = start(data=tmp_path / "state.json")
    try:
        client = stripe.StripeClient(first.secret_key, base_addresses={"api": second.url})
        assert client.v1.payment_intents.create(params, {"idempotency_key": "k"}).id == intent.id
        control(second, "/_sim/clock", {"advance_s": 3})
        assert client.v1.events.list().data[0].type == "charge.updated"
        assert len(client.v1.payment_intents.list().data) == 1
    finally:
        second.stop()


def test_the_state_is_saved_while_running_and_includes_pending_deliveries(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_file, "SAVE_INTERVAL_S", 0.1)
    file = tmp_path / "state.json"
    first = start(data=file, webhook_url=receiver.url, webhook_secret="whsec_one")
    second = None
    try:
        control(first, "/_sim/webhooks", {"deliver": "hold"})
        create_customers(first, 2)
        control(first, "/_sim/webhooks", {"deliver": "normal"})
        receiver.statuses = [500] * 3
        create_customers(first, 1)
        eventually(lambda: len(receiver.deliveries) >= 1)
        control(first, "/_sim/calls", {"match": "POST /v1/customers", "fail": "slow", "seconds": 30})
        headers = {"Authorization": f"Bearer {first.secret_key}", "Idempotency-Key": "in flight"}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{first.url}/v1/customers", headers=headers, timeout=0.5)
        eventually(lambda: b"cus_" in file.read_bytes() and not first.stripe.account.unsaved)
        content = file.read_bytes()
        first.stop()
        file.write_bytes(content)  # as if the simulator had been killed instead of stopped
        receiver.clear()
        receiver.statuses.clear()
        second = start(data=file, webhook_url=receiver.url)
        assert second.webhook_secret == "whsec_one"
        assert control(second, "/_sim/webhooks")["held"] == 2
        control(second, "/_sim/clock", {"advance_s": 60})
        eventually(lambda: len(receiver.deliveries) == 1)
        control(second, "/_sim/webhooks/release", {"order": "reversed"})
        eventually(lambda: len(receiver.deliveries) == 3)
        assert names_delivered(receiver) == ["0", "1", "0"]
        assert all(
            stripe.Webhook.construct_event(body, signature, "whsec_one") for signature, body in receiver.deliveries
        )
        assert httpx.post(f"{second.url}/v1/customers", headers=headers).status_code == 200
    finally:
        first.stop()
        if second is not None:
            second.stop()


def test_later_runs_with_the_same_file_and_seed_create_other_ids(tmp_path: Path) -> None:
    ids = []
    for _ in range(3):
        simulator = start(data=tmp_path / "state.json", seed=5)
        client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
        ids.append(client.v1.customers.create({}).id)
        simulator.stop()
    assert len(set(ids)) == 3


@pytest.mark.parametrize("content", ["", '{"id":', "[]", "{}", "\xff"])
def test_a_file_without_saved_state_is_refused_and_left_unchanged(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content, "latin-1")
    with pytest.raises(state_file.StateFileError, match=r"state\.json is not a state file of the simulator"):
        start(data=tmp_path / "state.json")
    assert (tmp_path / "state.json").read_text("latin-1") == content


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--port", "65536"], 2, "65536 is not a port"),
        (["--port", "-1"], 2, "-1 is not a port"),
        (["--webhook-url", "localhost:8000"], 2, "--webhook-url: Not a valid URL"),
        (["--webhook-url", "http://127.0.0.1:99999/"], 2, "--webhook-url: Not a valid URL"),
        (["--secret-key", ""], 2, "argument --secret-key: '' is not a key"),
        (["--secret-key", "sk test"], 2, "argument --secret-key: 'sk test' is not a key"),
        (["--publishable-key", "pk_test_é"], 2, "argument --publishable-key: 'pk_test_é' is not a key"),
        (["--secret-key", "k", "--publishable-key", "k"], 2, "argument --publishable-key: it must differ"),
        (["--data", "."], 1, "stripe_simulator: .: Is a directory"),
        (["--data", "/proc/none/state.json"], 1, "stripe_simulator: /proc/none: No such file"),
        (["--data", "pyproject.toml"], 1, "pyproject.toml is not a state file of the simulator"),
    ],
)
def test_the_program_reports_invalid_options(options: list[str], code: int, message: str) -> None:
    command = [sys.executable, "-m", "stripe_simulator", "--port", "0", *options]
    process = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (process.returncode, "Traceback" in process.stderr) == (code, False), process.stderr
    assert message in process.stderr


def test_the_program_prints_a_ready_line_and_reports_a_port_in_use() -> None:
    command = [sys.executable, "-m", "stripe_simulator", "--port", "0", "--secret-key", "sk_test_program12345"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        word, _, text = process.stdout.readline().partition(" ")
        ready = json.loads(text)
        assert (word, ready["secret_key"], ready["webhook_secret"]) == ("ready", "sk_test_program12345", None)
        port = ready["url"].rpartition(":")[2]
        second = subprocess.run([*command[:4], port], capture_output=True, text=True, timeout=20, check=False)
        assert second.returncode == 1 and f"port {port}" in second.stderr
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"amount=500&currency=usd&metadata",
        b"amount[]=500&currency=usd",
        b"amount[a]=500&amount=5",
        b"\xff\xfe=1",
        b'{"amount": 5}',
        b"a[b[c]=1",
        b"a]=1",
        b"&&&",
        b"metadata" + b"[a]" * 3000 + b"=1",
        b"&".join(b"metadata[k%d]=v" % n for n in range(5000)),
    ],
)
def test_a_body_that_is_not_a_valid_form_is_a_400(in_process: InProcessStripe, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {in_process.stripe.secret_key}", "Stripe-Version": API_VERSION}
    response = in_process.stripe.handle("POST", "/v1/payment_intents", headers, body)
    assert (response.status, response.json()["error"]["type"]) == (400, "invalid_request_error")
    assert in_process.intent_count() == 0


def test_a_defect_in_the_simulator_is_logged_and_returned_as_a_stripe_500(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setitem(ROUTER._exact, "GET /v1/balance", fail)
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
    with pytest.raises(stripe.APIError) as excinfo:
        client.v1.balance.retrieve()
    assert (excinfo.value.http_status, str(excinfo.value.request_id)[:4]) == (500, "req_")
    assert "RuntimeError: a defect" in caplog.text
    assert client.v1.customers.list().data == []


# --- which responses an idempotency key stores ---


def test_an_idempotency_key_has_at_most_255_characters_and_applies_to_posts_only(in_process: InProcessStripe) -> None:
    assert in_process.call("POST", "/v1/customers", "", "k" * 255).status == 200
    too_long = in_process.call("POST", "/v1/customers", "", "k" * 256)
    assert (too_long.status, too_long.json()["error"]["type"]) == (400, "invalid_request_error")
    first = in_process.call("GET", "/v1/customers", "", "get")
    in_process.call("POST", "/v1/customers")
    second = in_process.call("GET", "/v1/customers", "", "get")
    assert len(second.json()["data"]) == len(first.json()["data"]) + 1
    assert "Idempotency-Key" not in second.headers


def test_an_error_during_execution_is_stored_and_an_error_before_it_is_not(in_process: InProcessStripe) -> None:
    unknown_customer = "amount=500&currency=usd&customer=cus_later"
    assert in_process.call("POST", "/v1/payment_intents", unknown_customer, "executing").status == 400
    replay = in_process.call("POST", "/v1/payment_intents", unknown_customer, "executing")
    assert (replay.status, replay.headers["Idempotent-Replayed"]) == (400, "true")
    path = "/v1/payment_intents/pi_none/cancel"
    assert in_process.call("POST", path, "", "no such").status == 404
    assert in_process.call("POST", path, "", "no such").headers["Idempotent-Replayed"] == "true"
    for invalid in ("amount=500", "amount=500&currency=usd&x=1", "amount=x&currency=usd", "amount=500&currency="):
        assert in_process.call("POST", "/v1/payment_intents", invalid, "before").status == 400
    assert "Idempotent-Replayed" not in in_process.call("POST", "/v1/payment_intents", INTENT, "before").headers


def test_an_unknown_api_key_and_an_idempotency_conflict_store_nothing(in_process: InProcessStripe) -> None:
    key = {"Idempotency-Key": "k"}
    assert in_process.stripe.handle("POST", "/v1/customers", key | {"Authorization": "Bearer sk_test_no"}).status == 401
    assert in_process.call("POST", "/v1/customers", "", "k").status == 200
    request = in_process.stripe.begin("POST", "/v1/customers", in_process.headers | {"Idempotency-Key": "busy"}, b"")
    assert isinstance(request, Request)
    conflict = in_process.call("POST", "/v1/customers", "", "busy")
    error = conflict.json()["error"]
    assert (conflict.status, error["type"], error["code"]) == (409, "invalid_request_error", "idempotency_key_in_use")
    response = in_process.stripe.execute(request)
    replay = in_process.call("POST", "/v1/customers", "", "busy")
    assert (replay.status, replay.body) == (200, response.body)


def test_every_response_has_its_own_request_id(in_process: InProcessStripe) -> None:
    in_process.control("/_sim/calls", match="GET /v1/balance", fail="rate_limit")
    responses = [
        in_process.call("POST", "/v1/customers", "", "k"),
        in_process.call("POST", "/v1/customers", "", "k"),
        in_process.call("POST", "/v1/customers", "x=1"),
        in_process.call("GET", "/v1/customers/cus_none"),
        in_process.call("GET", "/v1/nothing"),
        in_process.call("GET", "/v1/balance"),
        in_process.stripe.handle("GET", "/v1/balance", {}),
    ]
    ids = [response.headers["Request-Id"] for response in responses]
    assert len(set(ids)) == len(ids) and all(id.startswith("req_") for id in ids)
    assert [response.status for response in responses] == [200, 200, 400, 404, 404, 429, 401]
    assert {response.headers["Stripe-Version"] for response in responses} == {API_VERSION}
    for response in responses[2:]:
        assert response.json()["error"]["request_log_url"].endswith(response.headers["Request-Id"])


def test_every_body_is_indented_by_two(in_process: InProcessStripe) -> None:
    in_process.control("/_sim/calls", match="GET /v1/balance", fail="error")
    responses = [
        in_process.call("POST", "/v1/customers", "name=Ada", "k"),
        in_process.call("POST", "/v1/customers", "name=Ada", "k"),
        in_process.call("POST", "/v1/customers", "x=1"),
        in_process.call("GET", "/v1/balance"),
        in_process.call("GET", "/v1/nothing"),
        in_process.stripe.handle("GET", "/v1/balance", {}),
    ]
    assert [response.status for response in responses] == [200, 200, 400, 500, 404, 401]
    for response in responses:
        assert response.body == json.dumps(response.json(), indent=2).encode()


def test_a_401_says_how_to_authenticate(in_process: InProcessStripe) -> None:
    for headers in ({}, {"Authorization": "Bearer sk_test_no"}):
        response = in_process.stripe.handle("GET", "/v1/balance", headers)
        assert (response.status, response.headers["WWW-Authenticate"]) == (401, 'Basic realm="Stripe"')
    assert "WWW-Authenticate" not in in_process.call("GET", "/v1/nothing").headers


def test_only_a_rate_limit_has_a_reason_in_its_header(in_process: InProcessStripe) -> None:
    reasons = {}
    for fault in ("rate_limit", "lock_timeout"):
        in_process.control("/_sim/calls", match="GET /v1/balance", fail=fault)
        response = in_process.call("GET", "/v1/balance")
        assert response.status == 429
        reasons[fault] = response.headers.get("Stripe-Rate-Limited-Reason")
    assert reasons == {"rate_limit": "global-rate", "lock_timeout": None}


def test_a_decline_has_the_advice_and_the_code_of_the_network(in_process: InProcessStripe) -> None:
    params = f"{INTENT}&confirm=true&payment_method=pm_card_chargeDeclinedInsufficientFunds&return_url=https://a.test/"
    error = in_process.call("POST", "/v1/payment_intents", params).json()["error"]
    outcome = in_process.call("GET", f"/v1/charges/{error['charge']}").json()["outcome"]
    for name in ("advice_code", "network_decline_code"):
        assert error[name] == error["payment_intent"]["last_payment_error"][name] == outcome[name] is not None


@pytest.mark.parametrize(
    ("params", "descriptor"),
    [
        ("", "SIMULATOR"),
        ("&statement_descriptor_suffix=Course 2", "SIMULATOR* Course 2"),
        ("&statement_descriptor_suffix=Data Professional", "SIMULATOR* Data Profes"),
    ],
)
def test_a_statement_shows_the_descriptor_and_the_suffix(
    in_process: InProcessStripe, params: str, descriptor: str
) -> None:
    body = f"{INTENT}&confirm=true&payment_method=pm_card_visa&return_url=https://a.test/&expand[]=latest_charge"
    charge = in_process.call("POST", "/v1/payment_intents", body + params).json()["latest_charge"]
    assert charge["calculated_statement_descriptor"] == descriptor
    assert b"TUITION" not in in_process.call("GET", "/v1/events?limit=100").body


def test_json_is_refused_and_a_path_of_another_api_is_unknown(in_process: InProcessStripe) -> None:
    headers = in_process.headers | {"Content-Type": "application/json; charset=utf-8"}
    response = in_process.stripe.handle("POST", "/v1/customers", headers, b'{"name": "Ada"}')
    assert response.status == 400
    assert "check that your POST content type is application/x-www-form-urlencoded" in response.body.decode()
    assert in_process.call("GET", "/v1/customers").json()["data"] == []
    for path in ("/v2/core/event_destinations", "/v2/billing/meter_events"):
        response = in_process.stripe.handle("POST", path, headers, b'{"name": "Ada"}')
        assert response.status == 404
        assert response.json()["error"]["message"].startswith(f"Unrecognized request URL (POST: {path})")


# --- versions ---


def test_requests_without_a_version_may_use_the_retired_parameters_of_the_cli(in_process: InProcessStripe) -> None:
    key = {"Authorization": f"Bearer {in_process.stripe.secret_key}"}

    def call(path: str, body: str) -> Any:
        response = in_process.stripe.handle("POST", path, key, body.encode())
        assert response.status == 200, response.body
        return response.json()

    intent = call("/v1/payment_intents", INTENT)["id"]
    assert call(f"/v1/payment_intents/{intent}", "payment_method_types[]=card")["id"] == intent
    confirmation = "payment_method_types[]=card&payment_method=pm_card_visa"
    confirmed = call(f"/v1/payment_intents/{intent}/confirm", confirmation)
    assert (confirmed["status"], confirmed["payment_method_types"]) == ("succeeded", ["card"])
    session = call("/v1/checkout/sessions", SESSION + "&payment_method_types[]=card")
    assert session["payment_method_types"] == ["card"]
    coupon = call("/v1/coupons", "percent_off=10")["id"]
    assert call("/v1/promotion_codes", f"coupon={coupon}")["promotion"] == {"coupon": coupon, "type": "coupon"}
    with_version = in_process.call("POST", "/v1/promotion_codes", f"coupon={coupon}")
    assert (with_version.status, with_version.json()["error"]["param"]) == (400, "coupon")


def test_events_have_the_same_version_with_and_without_a_version_in_the_request(in_process: InProcessStripe) -> None:
    in_process.stripe.handle("POST", "/v1/customers", {"Authorization": f"Bearer {in_process.stripe.secret_key}"})
    in_process.call("POST", "/v1/customers")
    events = in_process.call("GET", "/v1/events").json()["data"]
    assert {event["api_version"] for event in events} == {API_VERSION}
    assert stripe.api_version == API_VERSION


# --- listing events ---


def test_events_are_filtered_by_type_wildcard_list_of_types_and_time(in_process: InProcessStripe) -> None:
    in_process.call(
        "POST", "/v1/payment_intents", f"{INTENT}&confirm=true&return_url=https://x/&payment_method=pm_card_visa"
    )
    in_process.now += 100
    customer = in_process.call("POST", "/v1/customers").json()["id"]
    in_process.call("DELETE", f"/v1/customers/{customer}")

    def types(query: str) -> list[str]:
        return [event["type"] for event in in_process.call("GET", f"/v1/events?{query}").json()["data"]]

    assert types("type=payment_intent.*") == ["payment_intent.succeeded", "payment_intent.created"]
    assert types("type=customer.created") == ["customer.created"]
    assert types("type=customer.[c]reated") == types("type=customer.?reated") == types("type=customer") == []
    assert types("types[]=customer.deleted&types[]=charge.succeeded") == ["customer.deleted", "charge.succeeded"]
    assert types(f"created[gte]={int(in_process.now)}") == ["customer.deleted", "customer.created", "charge.updated"]
    assert types(f"created[lt]={int(in_process.now)}")[-1] == "payment_intent.created"
    many = "&".join(["types[]=charge.failed"] * 21)
    assert in_process.call("GET", f"/v1/events?{many}").status == 400
    assert in_process.call("GET", "/v1/events?type=a&types[]=b").status == 400
    newest = in_process.call("GET", "/v1/events?limit=1").json()["data"][0]["id"]
    in_process.now += 29 * 24 * 3600
    assert len(types("limit=100")) == 7  # balance.available is new
    in_process.now += 2 * 24 * 3600
    assert types("limit=100") == ["balance.available"], "events are kept for 30 days"
    for method, path in (("GET", ""), ("POST", "/retry")):
        response = in_process.call(method, f"/v1/events/{newest}{path}")
        assert (response.status, response.json()["error"]["code"]) == (404, "resource_missing")


def test_events_are_filtered_by_delivery_success(webhook_simulator: Simulator, receiver: Receiver) -> None:
    receiver.statuses += [200, 500, 500, 500]
    for _ in range(2):
        create_customers(webhook_simulator, 1)
        drain(webhook_simulator)
    client = stripe.StripeClient(webhook_simulator.secret_key, base_addresses={"api": webhook_simulator.url})
    first, second = (event["id"] for event in receiver.events[:2])

    def events(*, delivery_success: bool) -> list[str]:
        return [event.id for event in client.v1.events.list({"delivery_success": delivery_success}).data]

    assert (events(delivery_success=True), events(delivery_success=False)) == ([first], [second])
    assert client.v1.events.retrieve(second).pending_webhooks == 1
    for _ in range(3):
        control(webhook_simulator, "/_sim/clock", {"advance_s": 4})
        drain(webhook_simulator)
    assert len(receiver.deliveries) == 5
    assert (events(delivery_success=True), events(delivery_success=False)) == ([second, first], [])


# --- the program ---


def start_program(*options: str) -> tuple["subprocess.Popen[str]", dict[str, Any]]:
    """Start the simulator's program; return the process and the content of its ready line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stripe_simulator", "--port", "0", *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline().partition(" ")[2])


def create_payment(ready: dict[str, Any]) -> list[str]:
    """Create a customer and a payment; return the secrets and the ids of the customer, payment, charge and events."""
    client = stripe.StripeClient(ready["secret_key"], base_addresses={"api": ready["url"]})
    customer = client.v1.customers.create({}).id
    intent = client.v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "usd",
            "customer": customer,
            "confirm": True,
            "payment_method": "pm_card_visa",
            "return_url": "https://x/",
        }
    )
    events = [event.id for event in client.v1.events.list().data]
    return [ready["secret_key"], ready["webhook_secret"], customer, intent.id, str(intent.latest_charge), *events]


def test_the_program_creates_the_same_ids_from_the_same_seed(receiver: Receiver) -> None:
    ids_of_runs = []
    for seed in ("5", "5", "6"):
        process, ready = start_program("--seed", seed, "--webhook-url", receiver.url)
        try:
            ids_of_runs.append(create_payment(ready))
        finally:
            process.terminate()
            assert process.wait(timeout=10) == 0
    assert ids_of_runs[0] == ids_of_runs[1]
    assert not set(ids_of_runs[0]) & set(ids_of_runs[2])


def test_the_program_saves_its_state_in_a_file(tmp_path: Path, receiver: Receiver) -> None:
    options = ("--data", str(tmp_path / "deep" / "state.json"), "--webhook-url", receiver.url)
    process, ready = start_program(*options)
    secret_key, _, customer, intent, _, *events = ids = create_payment(ready)
    client = stripe.StripeClient(secret_key, base_addresses={"api": ready["url"]})
    create_params: Any = {"amount": 700, "currency": "usd"}, {"idempotency_key": "k"}
    other_intent = client.v1.payment_intents.create(*create_params).id
    process.terminate()
    assert process.wait(timeout=10) == 0
    process, ready_again = start_program(*options)
    try:
        for name in ("secret_key", "publishable_key", "webhook_secret"):
            assert ready_again[name] == ready[name]
        client = stripe.StripeClient(secret_key, base_addresses={"api": ready_again["url"]})
        assert client.v1.customers.retrieve(customer).id == customer
        assert client.v1.payment_intents.create(*create_params).id == other_intent
        assert {event.id for event in client.v1.events.list().data} >= set(events)
        (endpoint,) = client.v1.webhook_endpoints.list().data
        assert endpoint.url == receiver.url
        assert client.v1.refunds.create({"payment_intent": intent}).status == "succeeded"
        assert client.v1.customers.create({}).id not in ids
    finally:
        process.terminate()
        process.wait(timeout=10)
