"""The inspector: its pages parse, link with each other, escape and mask; its forms work without a script."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import stripe

from stripe_simulator import account as account_module
from stripe_simulator import history, webhooks
from stripe_simulator.masking import mask_params, mask_text
from stripe_simulator.pages.inspector import parts
from stripe_simulator.pages.inspector.reference import operation_page
from stripe_simulator.routes import ROUTES
from stripe_simulator.server import Simulator, Stripe
from stripe_simulator.store import clone
from tests.stripe.conftest import Receiver, control, eventually
from tests.stripe.html_document import Element, parse
from tests.stripe.test_soak import World

HOSTILE = "\"'><script>alert(1)</script>&lt;"
MAX_PAGES = 400
"""The pages that a walk over all links reads."""
CONFIRMED = {
    "amount": 4900,
    "currency": "usd",
    "confirm": True,
    "payment_method": "pm_card_visa",
    "return_url": "https://example.com/back",
}


class Browser:
    """A browser without scripts: it reads pages, follows links, and submits forms."""

    def __init__(self, simulator: Simulator) -> None:
        self.http = httpx.Client(base_url=simulator.url, follow_redirects=True, timeout=30)
        self.html = ""

    def open(self, path: str, status: int = 200) -> Element:
        """Open a page, which must parse, load nothing from elsewhere and carry its headers."""
        response = self.http.get(path)
        assert response.status_code == status, (path, response.text[:500])
        self.html = response.text
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        return parse(self.html)

    def submit(self, form: Element, **fields: str) -> httpx.Response:
        """Submit a form with its hidden fields, as its method says."""
        values = {one.attributes["name"]: one.attributes.get("value", "") for one in form.all("input", type="hidden")}
        method, action = form.attributes.get("method", "get"), form.attributes["action"]
        if method == "post":
            return self.http.post(action, data=values | fields, headers={"Origin": str(self.http.base_url)})
        return self.http.get(action, params=values | fields)


@pytest.fixture
def browser(simulator: Simulator) -> Iterator[Browser]:
    browser = Browser(simulator)
    yield browser
    browser.http.close()


@pytest.fixture
def stripe_client(simulator: Simulator) -> stripe.StripeClient:
    return client_of(simulator)


def client_of(simulator: Simulator) -> stripe.StripeClient:
    return stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url}, max_network_retries=0)


def refuse(call: Any) -> Any:
    """Make a call that must be refused, and return the error."""
    with pytest.raises(stripe.StripeError) as raised:
        call()
    return raised.value


def pay(client: stripe.StripeClient, **more: Any) -> stripe.PaymentIntent:
    params: Any = CONFIRMED | more
    return client.v1.payment_intents.create(params)


def texts(page: Element, name: str, **attributes: str) -> list[str]:
    return [one.text for one in page.all(name, **attributes)]


def links(page: Element) -> dict[str, str]:
    """Return the address of each link by its text."""
    return {one.text: one.attributes["href"] for one in page.all("a")}


def table(page: Element, caption: str) -> list[list[str]]:
    """Return the cells of the table with a caption."""
    (element,) = [one for one in page.all("table") if one.one("caption").text == caption]
    return [texts(row, "td") for row in element.one("tbody").all("tr")]


# --- objects ---


def test_an_empty_account_says_how_to_begin(browser: Browser) -> None:
    page = browser.open("/")
    assert "Nothing has happened yet" in page.one("main").text
    assert texts(page, "h1") == ["Overview"] and page.one("title").text == "Overview · Stripe simulator"
    for part in ("objects", "events", "requests"):
        assert re.search("No (object|event|request)s yet", browser.open(f"/inspect/{part}").one("main").text)


def test_a_payment_links_its_customer_method_charge_refund_and_balance_transactions(
    browser: Browser, stripe_client: stripe.StripeClient
) -> None:
    customer = stripe_client.v1.customers.create({"email": "ada@example.org"})
    intent = pay(stripe_client, customer=customer.id)
    refund = stripe_client.v1.refunds.create({"payment_intent": intent.id, "amount": 900})
    page = browser.open(f"/inspect/objects/{intent.id}")
    rows = {row[1]: row for row in table(page, "Related objects")}
    assert {row[0] for row in rows.values()} >= {
        "Customer",
        "Payment method",
        "Charge",
        "Refund",
        "Balance transaction",
    }
    assert {customer.id, intent.latest_charge, refund.id} <= set(rows)
    assert rows[refund.id][2:4] == ["succeeded", "$9.00"]
    for id in (customer.id, str(intent.latest_charge), refund.id):
        assert intent.id in links(browser.open(f"/inspect/objects/{id}"))


def test_ids_in_json_are_links_and_the_json_is_that_of_the_api(
    browser: Browser, stripe_client: stripe.StripeClient
) -> None:
    intent = pay(stripe_client, metadata={"order": "6735"})
    page = browser.open(f"/inspect/objects/{intent.id}")
    box = page.one("pre", aria_label="State as JSON")
    shown = json.loads(box.text)
    api = json.loads(str(stripe_client.v1.payment_intents.retrieve(intent.id)))
    assert shown.pop("client_secret") == "pi_…" and api.pop("client_secret").startswith("pi_")
    assert shown == api
    assert links(box)[str(intent.latest_charge)] == f"/inspect/objects/{intent.latest_charge}"


def test_objects_are_listed_by_kind_in_pages(
    browser: Browser, stripe_client: stripe.StripeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PAGE_SIZE", 3)
    ids = [stripe_client.v1.customers.create({"name": str(n)}).id for n in range(7)][::-1]
    page, pages = browser.open("/inspect/objects?kind=customer"), []
    for _ in range(3):
        pages.append([row[0] for row in table(page, "Customers")])
        page = browser.open(links(page).get("Older", "/inspect/objects?kind=customer"))
    assert pages == [ids[:3], ids[3:6], ids[6:]]
    assert "There are no older objects" in browser.open(f"/inspect/objects?kind=customer&before={ids[-1]}").text


@pytest.mark.parametrize("path", ["objects/pi_none", "events/evt_none", "requests/req_none", "no", "a/b/c"])
def test_an_unknown_page_is_404(browser: Browser, path: str) -> None:
    page = browser.open(f"/inspect/{path}", 404)
    assert texts(page, "h1")[0].startswith("No such")


# --- escaping and secrets ---


def test_hostile_texts_stay_texts_on_every_page(
    browser: Browser, simulator: Simulator, stripe_client: stripe.StripeClient
) -> None:
    options: Any = {"idempotency_key": HOSTILE}
    stripe_client.v1.customers.create({"name": HOSTILE, "metadata": {HOSTILE[:30]: HOSTILE}}, options)
    pay(stripe_client, description=HOSTILE)
    product: Any = {"name": HOSTILE, "id": HOSTILE}
    stripe_client.v1.products.create(product)
    refuse(lambda: stripe_client.v1.customers.retrieve(HOSTILE))
    httpx.get(f"{simulator.url}/v1/{HOSTILE}", auth=(simulator.secret_key, ""), headers={"User-Agent": HOSTILE})
    control(simulator, "/_sim/webhooks", {"deliver": "hold"})
    for path in walk(browser):
        browser.open(path)
        assert "<script>alert" not in browser.html, path
    for path in (f"/inspect/objects/{HOSTILE}", f"/inspect/search?q={HOSTILE}", f"/inspect/events?type={HOSTILE}"):
        response = browser.http.get(path)
        assert "<script>alert" not in response.text, path
        parse(response.text)


def walk(browser: Browser) -> list[str]:
    """Open every page that links lead to, from the first page on, and return their addresses."""
    paths: dict[str, None] = {"/": None}
    queue = ["/"]
    while queue:
        for address in links(browser.open(queue.pop(0))).values():
            path = address.partition("#")[0]
            if address.startswith("/") and path not in paths and len(paths) < MAX_PAGES:
                paths[path] = None
                queue.append(path)
    return list(paths)


def test_secrets_and_card_numbers_are_on_no_page_and_in_no_log(browser: Browser, simulator: Simulator) -> None:
    client = client_of(simulator)
    endpoint = client.v1.webhook_endpoints.create({"url": "https://example.com/hook", "enabled_events": ["*"]})
    intent = pay(client)
    number = "4242424242424242"
    card: Any = {"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "737"}}
    client.v1.payment_methods.create(card)
    misspelled: Any = {"crad": {"nubmer": "4242 4242 4242 4242"}, "key": "x"}
    refuse(lambda: client.v1.customers.create(misspelled))
    client.v1.customers.create({"name": simulator.secret_key, "description": f"signed with {endpoint.secret}"})
    secrets = (simulator.secret_key, str(endpoint.secret), str(intent.client_secret), number, "4242 4242", "&quot;737")
    for path in walk(browser):
        browser.open(path)
        for secret in secrets:
            assert secret not in browser.html, (path, secret)
    log = json.dumps(control(simulator, "/_sim/requests"))
    assert number not in log and "4242 4242" not in log and '"737"' not in log


def test_only_numbers_of_cards_and_accounts_are_masked() -> None:
    params = {
        "card": {"number": "4000002500003155", "cvc": "123"},
        "us_bank_account": {"account_number": "000123456789", "routing_number": "110000000"},
        "list": ["5555-5555-5555-4444", "5555-5555-5555-4445"],
        "metadata": {"order": "1234567890123456", "at": "1795967218000"},
    }
    assert mask_params(params) == {
        "card": {"number": "••••3155", "cvc": "•••"},
        "us_bank_account": {"account_number": "••••6789", "routing_number": "110000000"},
        "list": ["••••4444", "5555-5555-5555-4445"],
        "metadata": {"order": "1234567890123456", "at": "1795967218000"},
    }


NUMBER = "4242424242424242"
PLACES: dict[str, tuple[str, str, bytes, dict[str, str]]] = {
    "JSON without its type": ("POST", "/v1/payment_methods", f'{{"card": {{"number": "{NUMBER}"}}}}'.encode(), {}),
    "a longer text": ("POST", "/v1/customers", f"description=pay 12 {NUMBER} 123 or no.{NUMBER}!".encode(), {}),
    "the name of a parameter": ("POST", "/v1/customers", f"{NUMBER}=1&metadata[{NUMBER}]=1".encode(), {}),
    "a path": ("GET", f"/v1/customers/{NUMBER}", b"", {}),
    "an id": ("POST", "/v1/payment_intents", f"amount=500&currency=usd&payment_method={NUMBER}".encode(), {}),
    "an idempotency key": ("POST", "/v1/customers", b"name=Ada", {"Idempotency-Key": f"order {NUMBER}"}),
    "a query": ("POST", f"/v1/customers?email={NUMBER}", b"", {}),
    "codes of other names": (
        *("POST", "/v1/payment_methods"),
        b"type=card&card[Number]=4242 4242-4242 4242&card[CVC]=737&card[cvv]=737",
        {},
    ),
}


@pytest.mark.parametrize("where", PLACES)
def test_no_log_and_no_kept_response_has_a_card_number_wherever_a_request_had_it(where: str) -> None:
    simulator = Stripe(seed=1)
    method, path, body, headers = PLACES[where]
    response = simulator.handle(method, path, {"Authorization": f"Bearer {simulator.secret_key}", **headers}, body)
    (row,) = simulator.account.log
    text = json.dumps(row, ensure_ascii=False)
    assert NUMBER not in text and "4242-" not in text and '"737"' not in text
    kept = simulator.account.responses[row["request_id"]].decode()
    assert response.status == 200 or NUMBER not in kept


def test_the_masks_read_a_long_text_of_digits_once() -> None:
    """The masks of ten times the text take about ten times as long, not a hundred times.

    Of several measurements the shortest counts: other work on the machine only adds time.
    """

    def seconds(count: int) -> float:
        started = time.process_time()
        assert mask_text("7 " * count).count("7") == count
        return time.process_time() - started

    assert min(seconds(20_000) for _ in range(5)) < 40 * max(min(seconds(2000) for _ in range(5)), 0.001)
    assert mask_text(f"{'7' * 20_000} {NUMBER}") == f"{'7' * 20_000} ••••4242"


# --- callers ---


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}])
def test_another_origin_neither_reads_a_page_nor_resends_an_event(
    webhook_simulator: Simulator, receiver: Receiver, headers: dict[str, str]
) -> None:
    client_of(webhook_simulator).v1.customers.create({})
    eventually(lambda: len(receiver.deliveries) == 1)
    id = json.loads(receiver.deliveries[0][1])["id"]
    for method, path in (
        ("POST", f"/inspect/events/{id}/resend"),
        ("POST", "/inspect/events/release"),
        ("GET", "/"),
        ("GET", "/inspect"),
        ("GET", f"/inspect/events/{id}"),
        ("GET", "/inspect/search?q=evt"),
    ):
        response = httpx.request(method, webhook_simulator.url + path, headers=headers)
        assert (response.status_code, id in response.text) == (403, False), path
    assert len(webhook_simulator.stripe.webhooks.deliveries[id]) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_page_takes_no_other_method(simulator: Simulator, method: str) -> None:
    response = httpx.request(method, f"{simulator.url}/inspect/objects")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert httpx.post(f"{simulator.url}/inspect/objects").status_code == 405


# --- events and deliveries ---


def test_an_event_shows_each_try_and_is_resent_without_a_script(
    webhook_simulator: Simulator, receiver: Receiver
) -> None:
    browser, client = Browser(webhook_simulator), client_of(webhook_simulator)
    receiver.statuses += [500]
    customer = client.v1.customers.create({"name": "Ada"}).id
    deliveries = webhook_simulator.stripe.webhooks.deliveries
    eventually(lambda: any(one.log for all_ in deliveries.values() for one in all_))
    (event,) = deliveries
    page = browser.open(f"/inspect/events/{event}")
    (first,) = table(page, "Tries")
    assert first[1] == "500" and re.fullmatch(r"(< )?\d+ ms|\d\.\d s", first[2])
    assert "Next try: " in page.text and customer in links(page)
    control(webhook_simulator, "/_sim/clock", {"advance_s": 1})
    eventually(lambda: deliveries[event][0].outcome == "delivered")
    page = browser.open(f"/inspect/events/{event}")
    assert [row[1] for row in table(page, "Tries")] == ["200", "500"] and "Next try" not in page.text
    (form,) = page.all("form", method="post")
    response = browser.submit(form)
    assert response.history[0].status_code == 303 and response.url.path == f"/inspect/events/{event}"
    eventually(lambda: len(receiver.deliveries) == 3)
    assert browser.http.post("/inspect/events/evt_none/resend").status_code == 404
    browser.http.close()


def test_an_event_is_resent_to_one_of_two_endpoints(webhook_simulator: Simulator, receiver: Receiver) -> None:
    browser, client = Browser(webhook_simulator), client_of(webhook_simulator)
    second = client.v1.webhook_endpoints.create({"url": f"{receiver.url}?second", "enabled_events": ["*"]})
    client.v1.customers.create({})
    deliveries = webhook_simulator.stripe.webhooks.deliveries
    eventually(lambda: all(one.outcome == "delivered" for all_ in deliveries.values() for one in all_) and deliveries)
    (event,) = deliveries
    forms = {one.one("button").text: one for one in browser.open(f"/inspect/events/{event}").all("form", method="post")}
    assert len(forms) == 3 and "Resend to all endpoints" in forms
    browser.submit(forms[f"Resend to {receiver.url}?second"])
    eventually(lambda: len(receiver.deliveries) == 3)
    assert [one.endpoint_id for one in deliveries[event]].count(second.id) == 2
    browser.http.close()


def test_events_are_filtered_by_type_endpoint_and_outcome(webhook_simulator: Simulator) -> None:
    browser, client = Browser(webhook_simulator), client_of(webhook_simulator)
    control(webhook_simulator, "/_sim/webhooks", {"deliver": "hold"})
    customer = client.v1.customers.create({})
    other = client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["customer.updated"]})
    client.v1.customers.update(customer.id, {"name": "Ada"})
    page = browser.open("/inspect/events")
    (form,) = page.all("form", class_="filters")
    assert [one.attributes["name"] for one in form.all("select")] == ["type", "endpoint", "outcome"]

    def types(**fields: str) -> list[str]:
        page = parse(browser.submit(form, **fields).text)
        return [row[0] for row in table(page, "Events")] if list(page.all("table")) else []

    assert types() == ["customer.updated", "customer.created"]
    assert types(type="customer.created") == ["customer.created"]
    assert types(endpoint=other.id) == ["customer.updated"]
    assert len(types(outcome="held")) == 2 and types(outcome="failed") == []
    browser.http.close()


def test_the_overview_counts_the_deliveries_of_each_endpoint(webhook_simulator: Simulator, receiver: Receiver) -> None:
    browser, client = Browser(webhook_simulator), client_of(webhook_simulator)
    receiver.statuses += [500] * 20  # also for the next tries
    client.v1.customers.create({})
    control(webhook_simulator, "/_sim/webhooks/drain", {})
    control(webhook_simulator, "/_sim/webhooks", {"deliver": "hold"})
    client.v1.customers.create({})
    ((_, status, deliveries, *_),) = table(browser.open("/"), "Webhook endpoints")
    assert (status, deliveries) == ("enabled", "1 failed1 held")
    failed = browser.open(links(browser.open("/"))["1 failed"])
    assert [row[0] for row in table(failed, "Events")] == ["customer.created"]
    browser.http.close()


def test_held_deliveries_are_released_by_a_button(webhook_simulator: Simulator, receiver: Receiver) -> None:
    browser = Browser(webhook_simulator)
    control(webhook_simulator, "/_sim/webhooks", {"deliver": "hold"})
    client_of(webhook_simulator).v1.customers.create({})
    for path in ("/", "/inspect/events"):
        assert "1 delivery is held." in browser.open(path).text
    (form,) = browser.open("/").one("main").all("form", action="/inspect/events/release")
    browser.submit(form)
    eventually(lambda: len(receiver.deliveries) == 1)
    assert "held." not in browser.open("/inspect/events").text
    browser.http.close()


def test_only_the_start_of_the_newest_responses_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_RESPONSES", 2)
    world = World(1)
    world.call("POST", "/v1/webhook_endpoints", url="https://example.com/", enabled_events=["*"])
    for _ in range(3):
        world.customer()
    for delivery in world.stripe.webhooks.outbox[:3]:
        world.stripe.webhooks.record_try(delivery, 200, None, response="x", duration_ms=1)
    kept = [entry["response"] for one in world.stripe.webhooks.deliveries.values() for entry in one[0].log]
    assert kept == [None, "x", "x"]


# --- requests ---


def test_a_refused_request_names_its_rule_and_stripes_pages(
    browser: Browser, stripe_client: stripe.StripeClient
) -> None:
    invalid: Any = {"amount": 10, "currency": "usd"}
    refuse(lambda: stripe_client.v1.payment_intents.create(invalid, {"idempotency_key": "order-1"}))
    ((status, request, rule, key, id, duration, _),) = table(browser.open("/inspect/requests"), "Requests")
    assert (status, request, rule, key) == ("400", "POST /v1/payment_intents", "amount_too_small · amount", "order-1")
    assert duration.endswith("ms")
    page = browser.open(f"/inspect/requests/{id}")
    assert "Amount must be at least" in page.one("p", class_="message").text
    addresses = links(page)
    assert addresses["Stripe’s reference"] == "https://docs.stripe.com/api/payment_intents/create"
    assert addresses["Error code amount_too_small"] == "https://docs.stripe.com/error-codes#amount-too-small"
    assert (
        addresses["docs.stripe.com/currencies#minimum-and-maximum-charge-amounts"]
        == "https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts"
    )
    places = texts(page, "code")
    assert "currencies.py check_amount" in places and "resources/payment_intents.py create" in places
    assert json.loads(next(page.all("pre")).text) == {"amount": "10", "currency": "usd"}


REFUSALS: list[tuple[str, str, dict[str, Any], str]] = [
    ("an_unknown_parameter", "customers", {"nme": "x"}, "parameter_unknown · nme"),
    (
        "a_parameter_that_is_not_simulated",
        "payment_intents",
        CONFIRMED | {"on_behalf_of": "a"},
        "not simulated · on_behalf_of",
    ),
    ("a_decline", "payment_intents", CONFIRMED | {"payment_method": "pm_card_chargeDeclined"}, "generic_decline"),
    (
        "an_unknown_path",
        "nothing",
        {},
        "Unrecognized request URL (POST: /v1/nothing). Please see https://stripe.com/docs or we can help at h…",
    ),
    ("a_part_that_is_not_simulated", "subscriptions", {"customer": "cus_x"}, "not simulated"),
    ("a_missing_object", "refunds", {"payment_intent": "pi_x"}, "resource_missing · payment_intent"),
]


@pytest.mark.parametrize(
    ("resource", "params", "rule"), [one[1:] for one in REFUSALS], ids=[one[0] for one in REFUSALS]
)
def test_each_kind_of_refusal_has_a_rule_with_a_page(
    browser: Browser, stripe_client: stripe.StripeClient, resource: str, params: dict[str, Any], rule: str
) -> None:
    refuse(lambda: stripe_client.raw_request("post", f"/v1/{resource}", **params))
    (row,) = table(browser.open("/inspect/requests?result=refused"), "Requests")
    assert row[2] == rule
    pages = links(browser.open(f"/inspect/requests/{row[4]}").one("ul", class_="pages"))
    assert pages and all(address.startswith("https://docs.stripe.com/") for address in pages.values())


def test_a_replayed_request_and_a_conflicting_key_differ(browser: Browser, stripe_client: stripe.StripeClient) -> None:
    for name in ("a", "a", "b"):
        with contextlib.suppress(stripe.IdempotencyError):
            stripe_client.v1.customers.create({"name": name}, {"idempotency_key": "k"})
    rows = table(browser.open("/inspect/requests"), "Requests")
    assert [(row[0], row[2]) for row in rows] == [("400", "idempotency_error"), ("200replayed", ""), ("200", "")]
    assert len(table(browser.open("/inspect/requests?result=replayed"), "Requests")) == 1
    conflict = browser.open(f"/inspect/requests/{rows[0][4]}")
    assert links(conflict)["Idempotent requests"] == "https://docs.stripe.com/api/idempotent_requests"


@pytest.mark.parametrize("key", [None, "sk_test_AnotherAccount12345"], ids=["default", "another"])
def test_the_log_url_of_an_error_is_the_page_of_its_request(
    browser: Browser, simulator: Simulator, key: str | None
) -> None:
    client = stripe.StripeClient(key or simulator.secret_key, base_addresses={"api": simulator.url})
    for call in (
        lambda: client.v1.customers.retrieve("cus_none"),
        lambda: client.v1.subscriptions.create({"customer": "cus_none", "items": []}),
    ):
        error = refuse(call)
        page = browser.open(error.json_body["error"]["request_log_url"])
        assert page.one("p", class_="message").text == error.error.message


def test_the_key_of_a_request_leads_to_all_requests_with_it(
    browser: Browser, stripe_client: stripe.StripeClient
) -> None:
    for key in ("k" * 255, "k" * 255, "another"):
        stripe_client.v1.customers.create({}, {"idempotency_key": key})
    *_, row = table(browser.open("/inspect/requests"), "Requests")
    same = browser.open(links(browser.open(f"/inspect/requests/{row[4]}"))[row[3]])
    assert [one[3] for one in table(same, "Requests")] == ["k" * 255] * 2
    assert "Requests with the idempotency key" in same.text


def test_a_request_that_is_refused_early_shows_what_was_sent(browser: Browser, simulator: Simulator) -> None:
    def send(path: str, key: str, version: str) -> Element:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "order-1", "Stripe-Version": version}
        response = browser.http.post(path, data={"customer": "cus_1", "card[number]": "4242" * 4}, headers=headers)
        assert response.status_code >= 400
        return browser.open(f"/inspect/requests/{response.headers['Request-Id']}")

    for page in (
        send("/v1/subscriptions", simulator.secret_key, "2026-10-28.endive"),
        send("/v1/customers", simulator.secret_key, "2020-08-27"),
        send("/v1/customers", "sk_test_short", "2026-10-28.endive"),
    ):
        facts = dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))
        assert facts["Idempotency key"] == "order-1"
        assert facts["Stripe-Version"] in ("2026-10-28.endive", "2020-08-27")
        params = {"customer": "cus_1", "card": {"number": "••••4242"}}
        assert json.loads(next(page.all("pre")).text) == params


def test_a_request_shows_its_response_and_the_objects_and_events_that_it_made(
    browser: Browser, stripe_client: stripe.StripeClient
) -> None:
    intent = pay(stripe_client)
    ((*_, id, _, _),) = table(browser.open("/inspect/requests"), "Requests")
    page = browser.open(f"/inspect/requests/{id}")
    rows = {row[0]: row for row in table(page, "Changed objects")}
    assert rows[intent.id][3] == "payment_intent.createdpayment_intent.succeeded"
    assert rows[str(intent.latest_charge)][3] == "charge.succeeded"
    assert json.loads(list(page.all("pre"))[-1].text)["id"] == intent.id


def test_the_logs_of_requests_and_responses_are_bounded(
    browser: Browser, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_module, "MAX_RESPONSES", 2)
    client = client_of(simulator)
    for n in range(4):
        client.v1.customers.create({"name": str(n)})
    assert len(simulator.stripe.account.responses) == 2
    assert simulator.stripe.account.log.maxlen == account_module.MAX_REQUESTS
    rows = table(browser.open("/inspect/requests"), "Requests")
    newest, oldest = (browser.open(f"/inspect/requests/{row[4]}") for row in (rows[0], rows[-1]))
    assert json.loads(list(newest.all("pre"))[-1].text)["name"] == "3"
    assert "Only the newest" in oldest.text


@pytest.mark.parametrize("operation", sorted(ROUTES))
def test_every_operation_has_a_page_of_the_reference(operation: str) -> None:
    page = operation_page(operation)
    if "payment_pages" in operation:
        assert page is None
    else:
        assert page is not None and re.fullmatch(r"https://docs\.stripe\.com/api/[a-z_]+(/[a-z_]+){0,2}", page)


# --- history ---


def test_an_object_has_its_states_with_what_caused_each(browser: Browser, stripe_client: stripe.StripeClient) -> None:
    params: Any = {"amount": 4900, "currency": "usd", "metadata": {"step": "1"}}
    intent = stripe_client.v1.payment_intents.create(params)
    stripe_client.v1.payment_intents.update(intent.id, {"metadata": {"step": "2"}})
    confirm: Any = {"payment_method": "pm_card_visa", "return_url": "https://example.com/"}
    stripe_client.v1.payment_intents.confirm(intent.id, confirm)
    page = browser.open(f"/inspect/objects/{intent.id}")
    rows = table(page, "History")
    path = f"POST /v1/payment_intents/{intent.id}"
    assert [row[1] for row in rows] == [f"{path}/confirm", path, "POST /v1/payment_intents"]
    assert "status requires_payment_method → succeeded" in rows[0][2] and rows[0][3] == "payment_intent.succeeded"
    assert rows[1][2] == "metadata.step 1 → 2" and rows[2][2] == "created as requires payment method"
    oldest = [one.attributes["href"] for one in page.all("a") if one.text == "State"][-1]
    then = browser.open(oldest)
    state = json.loads(list(then.all("pre"))[-1].text)
    assert (state["status"], state["metadata"]) == ("requires_payment_method", {"step": "1"})
    assert "as it was after the marked change" in then.text


def test_time_and_the_control_api_are_causes_too(
    browser: Browser, simulator: Simulator, stripe_client: stripe.StripeClient
) -> None:
    intent = pay(stripe_client)
    control(simulator, "/_sim/clock", {"advance_s": 3})
    refund = control(simulator, "/_sim/refunds", {"payment_intent": intent.id, "amount": 100})
    rows = table(browser.open(f"/inspect/objects/{intent.latest_charge}"), "History")
    assert [row[1] for row in rows][:2] == ["POST /_sim/refunds", "later: charge.settle"] or rows[1][1].startswith(
        "later"
    )
    assert table(browser.open(f"/inspect/objects/{refund['id']}"), "History")[0][1] == "POST /_sim/refunds"


def test_a_deleted_object_keeps_its_page(browser: Browser, stripe_client: stripe.StripeClient) -> None:
    coupon = stripe_client.v1.coupons.create({"percent_off": 10, "name": "Spring"})
    customer = stripe_client.v1.customers.create({"name": "Ada"})
    stripe_client.v1.coupons.delete(coupon.id)
    stripe_client.v1.customers.delete(customer.id)
    page = browser.open(f"/inspect/objects/{coupon.id}")
    assert "The object has been deleted. This is its last state." in page.text
    assert json.loads(list(page.all("pre"))[-1].text)["name"] == "Spring"
    page = browser.open(f"/inspect/objects/{customer.id}")
    assert "deleted" in page.one("h1").text and len(table(page, "History")) == 2


def test_the_history_is_bounded_and_keeps_the_newest_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_CHANGES", 5)
    world = World(1)
    first = world.call("POST", "/v1/customers", name="0")["id"]
    for n in range(1, 4):
        world.call("POST", f"/v1/customers/{first}", name=str(n))
    second = world.call("POST", "/v1/customers", name="x")["id"]
    for n in range(2):
        world.call("POST", f"/v1/customers/{second}", name=str(n))
    kept = world.stripe.account.history
    present = world.stripe.account.lookup(first)
    assert present is not None and len(kept.changes) == 5
    assert [(before["name"], after["name"]) for _, before, after in kept.states(first, present)] == [
        ("2", "3"),
        ("1", "2"),
    ]
    world.call("POST", f"/v1/customers/{second}", name="2")
    world.call("POST", f"/v1/customers/{second}", name="3")
    assert not kept.has(first) and kept.has(second)
    world.call("POST", "/_sim/reset")
    assert not kept.changes and not kept.has(second)


class RecordedWorld(World):
    """A world that remembers the state of every object after each step."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.recorded: dict[tuple[str, int], dict[str, Any]] = {}
        self.unexplained: list[str] = []

    def step(self) -> None:
        super().step()
        account = self.stripe.account
        for objects in account.store.objects.values():
            for id, stored in objects.items():
                changes = account.history.of(id)
                state = {name: value for name, value in stored.items() if not name.startswith("_")}
                state = clone(state)
                key = (id, changes[0].number if changes else 0)
                if self.recorded.setdefault(key, state) != state:
                    self.unexplained.append(f"{id} changed without a record: {self.steps[-1]}")


@pytest.mark.property
@pytest.mark.parametrize("seed", [1, 2])
def test_the_history_has_every_state_of_a_random_run(seed: int) -> None:
    world = RecordedWorld(seed)
    for _ in range(120):
        world.step()
    assert world.unexplained[:3] == []
    account = world.stripe.account
    states = {
        (id, change.number): after
        for objects in account.store.objects.values()
        for id, stored in objects.items()
        for change, _, after in account.history.states(id, {k: v for k, v in stored.items() if k[0] != "_"})
    }
    wrong = [key for key, state in world.recorded.items() if key[1] and states[key] != state]
    assert wrong == [] and len(world.recorded) > 60


def test_a_change_of_an_object_that_the_request_did_not_name_is_recorded() -> None:
    world = World(1)
    customer = world.call("POST", "/v1/customers")["id"]
    method = world.call("POST", "/v1/payment_methods/pm_card_us/attach", customer=customer)["id"]
    world.call("POST", f"/v1/customers/{customer}", **{"invoice_settings[default_payment_method]": method})
    world.call("POST", f"/v1/payment_methods/{method}/detach")
    settings = world.call("GET", f"/v1/customers/{customer}")["invoice_settings"]
    assert settings["default_payment_method"] is None
    debit: dict[str, Any] = {"amount": 900, "currency": "usd", "confirm": True, "return_url": "https://x/"}
    debit |= {
        "payment_method": "pm_usBankAccount_insufficientFunds",
        "mandate_data[customer_acceptance][type]": "offline",
    }
    intent = world.call("POST", "/v1/payment_intents", **debit)
    refund = world.call("POST", "/v1/refunds", payment_intent=intent["id"])
    intent = world.call(
        "POST",
        "/v1/payment_intents",
        amount=900,
        currency="usd",
        confirm=True,
        return_url="https://x/",
        payment_method="pm_card_us",
    )
    transaction = world.call("GET", f"/v1/charges/{intent['latest_charge']}")["balance_transaction"]
    coupon = world.call("POST", "/v1/coupons", percent_off=10, redeem_by=int(world.now) + 3600)["id"]
    world.call("POST", "/_sim/clock", advance_s=3 * 86400)
    transaction = transaction or world.call("GET", f"/v1/charges/{intent['latest_charge']}")["balance_transaction"]
    world.call("GET", "/v1/balance")
    world.call("GET", "/v1/coupons")
    for id, name, value in (
        (customer, "invoice_settings", settings),
        (refund.get("id"), "status", "failed"),
        (transaction, "status", "available"),
        (coupon, "valid", False),
    ):
        assert id is not None
        present = world.stripe.account.lookup(id)
        assert present is not None and present[name] == value, (id, present)
        change = world.stripe.account.history.of(id)[0]
        assert change.previous is not None and name in change.previous, (id, change)


def test_a_failed_payment_names_its_error_and_the_next_page_of_the_customer(
    browser: Browser, simulator: Simulator, stripe_client: stripe.StripeClient
) -> None:
    def errors(id: str) -> list[str]:
        return texts(browser.open(f"/inspect/objects/{id}"), "p", class_="message")

    def facts(id: str) -> dict[str, str]:
        page = browser.open(f"/inspect/objects/{id}").one("dl")
        return dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))

    intent = pay(stripe_client, payment_method="pm_card_authenticationRequired").id
    assert facts(intent)["Page for the customer"] == "3-D Secure" and not errors(intent)
    address = links(browser.open(f"/inspect/objects/{intent}"))["3-D Secure"]
    assert "Complete authentication" in browser.http.get(address).text
    control(simulator, f"/_sim/payment_intents/{intent}/authenticate", {"outcome": "failure"})
    assert errors(intent)[0].endswith(" (payment_intent_authentication_failure)")
    assert "Page for the customer" not in facts(intent)
    rows = table(browser.open(f"/inspect/objects/{intent}"), "History")
    assert "next_action redirect_to_url → null" in rows[0][2] and "doc_url" not in rows[0][2]
    refuse(lambda: pay(stripe_client, payment_method="pm_card_chargeDeclinedLostCard"))
    (declined,) = stripe_client.v1.charges.list({"limit": 1}).data
    assert errors(declined.id) == ["Last error: Your card was declined."]
    paid = pay(stripe_client, metadata={"order": "order-77"})
    assert facts(str(paid.latest_charge))["Page for the customer"] == "Receipt"
    item: Any = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 900, "product_data": {"name": "x"}}}
    session = stripe_client.v1.checkout.sessions.create(
        {"mode": "payment", "success_url": "https://x/", "line_items": [item], "client_reference_id": "order-78"}
    )
    assert links(browser.open(f"/inspect/objects/{session.id}"))["Checkout"] == session.url
    for text, id in (("order-77", paid.id), ("ORDER-78", session.id)):
        assert id in [row[1] for row in table(browser.open(f"/inspect/search?q={text}"), "Results")]


# --- accounts ---


def test_an_account_has_pages_of_its_own_and_a_switcher(browser: Browser, simulator: Simulator) -> None:
    key = "sk_test_AnotherAccount12345"
    other = stripe.StripeClient(key, base_addresses={"api": simulator.url})
    customer = other.v1.customers.create({"name": "Grace"}).id
    account = simulator.stripe.accounts.select(key).id
    assert "Nothing has happened yet" in browser.open("/").text
    page = browser.open(links(browser.open("/"))[simulator.stripe.account.id])
    assert key not in browser.html and simulator.secret_key not in browser.html
    home = links(page)[account]
    assert home == f"/?account={account}"
    for address in links(browser.open(home)).values():
        if address.startswith("/") and "/inspect/accounts" not in address:
            assert f"account={account}" in address, address
    browser.open(f"/inspect/objects/{customer}", 404)
    page = browser.open(f"/inspect/objects/{customer}?account={account}")
    form = page.one("form", role="search")
    assert f"account={account}" in str(browser.submit(form, q=customer).url)
    assert texts(browser.open("/?account=acct_none", 404), "h1") == ["No such account"]


def test_an_event_of_another_account_is_resent_to_its_endpoint(browser: Browser, simulator: Simulator) -> None:
    key = "sk_test_AnotherAccount67890"
    other = stripe.StripeClient(key, base_addresses={"api": simulator.url})
    other.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
    other.v1.customers.create({})
    account = simulator.stripe.accounts.select(key)
    (event,) = account.webhooks.deliveries
    (form,) = browser.open(f"/inspect/events/{event}?account={account.id}").all("form", method="post")
    response = browser.submit(form)
    assert response.status_code == 200 and f"account={account.id}" in str(response.url)
    assert len(account.webhooks.deliveries[event]) == 2


# --- search ---


def test_any_id_leads_to_its_page(browser: Browser, simulator: Simulator, stripe_client: stripe.StripeClient) -> None:
    intent = pay(stripe_client)
    event = next(iter(simulator.stripe.webhooks.payloads))
    request = simulator.stripe.account.log[-1]["request_id"]
    (form,) = browser.open("/").all("form", role="search")
    for text, part, id in (
        (intent.id, "objects", intent.id),
        (f" {intent.latest_charge} ", "objects", intent.latest_charge),
        (str(intent.client_secret), "objects", intent.id),
        (event, "events", event),
        (request, "requests", request),
    ):
        assert urlsplit(str(browser.submit(form, q=text).url)).path == f"/inspect/{part}/{id}"


def test_a_part_of_an_id_an_email_or_an_idempotency_key_leads_to_a_list(
    browser: Browser, stripe_client: stripe.StripeClient
) -> None:
    customer = stripe_client.v1.customers.create({"email": "Ada@example.org"}, {"idempotency_key": "order-7"})
    for text in (customer.id[:9], "ada@exam", "order-7"):
        rows = table(browser.open(f"/inspect/search?q={text}"), "Results")
        assert rows and (customer.id in rows[0] or rows[0][0] == "Request")
    assert "Nothing in this account matches." in browser.open("/inspect/search?q=nothing-like-it").text
    assert "Enter an id" in browser.open("/inspect/search?q=").text


def test_a_search_is_bounded(browser: Browser, stripe_client: stripe.StripeClient) -> None:
    for n in range(51):
        stripe_client.v1.customers.create({"email": f"user{n}@example.org"})
    page = browser.open("/inspect/search?q=@example.org")
    assert len(table(page, "Results")) == 50 and "More than 50 results." in page.text
    query = "x" * 5000
    page = browser.open(f"/inspect/search?q={query}")
    assert page.one("input", name="q").attributes["value"] == "x" * 200
