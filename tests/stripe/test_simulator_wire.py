"""What is around the objects: keys, versions, idempotency, faults, webhooks, the clock, 30 at once, load."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import stripe

from stripe_simulator import state_file
from stripe_simulator.api import ROUTER, Request
from stripe_simulator.errors import NoAnswer
from stripe_simulator.resources.webhook_endpoints import configure
from stripe_simulator.response import Response
from stripe_simulator.server import Simulator, Stripe, start
from stripe_simulator.version import API_VERSION
from tests.stripe.conftest import Receiver, customers, eventually, names, sim

INTENT = "amount=500&currency=usd"


class InProcess:
    """`Stripe` without a socket, under a clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.stripe = Stripe(seed=1, clock=lambda: self.now)
        self.headers = {"Authorization": f"Bearer {self.stripe.secret_key}", "Stripe-Version": API_VERSION}

    def call(self, method: str, path: str, body: str = "", key: str | None = None) -> Response:
        headers = dict(self.headers)
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.stripe.handle(method, path, headers, body.encode())

    def knob(self, path: str, **body: Any) -> Any:
        answer = self.stripe.handle("POST", path, {}, json.dumps(body).encode())
        assert answer.status == 200, answer.body
        return answer.json()

    def intents(self) -> int:
        return len(self.call("GET", "/v1/payment_intents?limit=100").json()["data"])


@pytest.fixture
def here() -> InProcess:
    return InProcess()


def test_a_replay_is_the_first_answer_and_says_so(here: InProcess) -> None:
    first = here.call("POST", "/v1/payment_intents", INTENT, "k")
    again = here.call("POST", "/v1/payment_intents", INTENT, "k")
    assert again.body == first.body
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == first.headers["Request-Id"] != again.headers["Request-Id"]
    assert again.headers["Idempotency-Key"] == "k"


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/payment_intents", "amount=501&currency=usd"), ("/v1/customers", INTENT)]
)
def test_a_key_with_another_request_is_refused(here: InProcess, path: str, body: str) -> None:
    here.call("POST", "/v1/payment_intents", INTENT, "k")
    refused = here.call("POST", path, body, "k")
    assert (refused.status, refused.json()["error"]["type"]) == (400, "idempotency_error")


def test_a_decline_and_a_500_are_kept_but_a_bad_parameter_and_a_429_are_not(here: InProcess) -> None:
    paying = f"{INTENT}&confirm=true&payment_method=pm_card_chargeDeclined"
    assert here.call("POST", "/v1/payment_intents", paying, "declined").status == 402
    assert here.call("POST", "/v1/payment_intents", paying, "declined").headers["Idempotent-Replayed"]
    here.knob("/_sim/calls", match="POST /v1/payment_intents", fail="error")
    assert here.call("POST", "/v1/payment_intents", INTENT, "broken").status == 500
    assert here.call("POST", "/v1/payment_intents", INTENT, "broken").status == 500
    assert here.call("POST", "/v1/payment_intents", f"{INTENT}&x=1", "bad").status == 400
    assert here.call("POST", "/v1/payment_intents", INTENT, "bad").status == 200
    for fault in ("rate_limit", "lock_timeout"):
        here.knob("/_sim/calls", match="POST /v1/payment_intents", fail=fault)
        assert here.call("POST", "/v1/payment_intents", INTENT, fault).status == 429
        assert here.call("POST", "/v1/payment_intents", INTENT, fault).status == 200


def test_a_key_is_new_after_a_day(here: InProcess) -> None:
    first = here.call("POST", "/v1/payment_intents", INTENT, "k").json()["id"]
    here.knob("/_sim/clock", advance_s=24 * 3600 - 1)
    assert here.call("POST", "/v1/payment_intents", INTENT, "k").json()["id"] == first
    here.knob("/_sim/clock", advance_s=2)
    assert here.call("POST", "/v1/payment_intents", INTENT, "k").json()["id"] != first


@pytest.mark.parametrize(("fault", "made"), [("before", 0), ("after", 1), ("hang", 0)])
def test_a_lost_answer_leaves_what_was_done(here: InProcess, fault: str, made: int) -> None:
    here.knob("/_sim/calls", match="POST /v1/payment_intents", fail=fault)
    with pytest.raises(NoAnswer):
        here.call("POST", "/v1/payment_intents", INTENT, "k")
    assert here.intents() == made
    assert here.call("POST", "/v1/payment_intents", INTENT, "k").status == 200
    assert here.intents() == 1


def test_a_fault_meets_only_what_it_matches_and_so_often(here: InProcess) -> None:
    here.knob("/_sim/calls", match="POST /v1/payment_intents/*/cancel", fail="before", times=2)
    id = here.call("POST", "/v1/payment_intents", INTENT).json()["id"]
    for _ in range(2):
        with pytest.raises(NoAnswer):
            here.call("POST", f"/v1/payment_intents/{id}/cancel")
    assert here.call("POST", f"/v1/payment_intents/{id}/cancel").json()["status"] == "canceled"


def test_keys_are_asked_for_and_a_publishable_one_sees_little(here: InProcess) -> None:
    made = here.call("POST", "/v1/payment_intents", INTENT + "&metadata[a]=b").json()
    path, public = f"/v1/payment_intents/{made['id']}", {"Authorization": f"Bearer {here.stripe.publishable_key}"}
    assert here.stripe.handle("GET", path, {}).status == 401
    assert here.stripe.handle("GET", path, {"Authorization": "Bearer sk_test_no"}).status == 401
    assert here.stripe.handle("GET", path, public).status == 400
    assert here.stripe.handle("GET", "/v1/customers", public).status == 403
    seen = here.stripe.handle("GET", f"{path}?client_secret={made['client_secret']}", public).json()
    assert seen["status"] == "requires_payment_method" and "metadata" not in seen


def test_a_browser_pays_with_the_client_secret(here: InProcess) -> None:
    made = here.call("POST", "/v1/payment_intents", INTENT).json()
    public = {"Authorization": f"Bearer {here.stripe.publishable_key}"}
    card = "payment_method_data[type]=card&payment_method_data[card][number]=4242424242424242"
    for name, value in (("exp_month", 12), ("exp_year", 40), ("cvc", 123)):
        card += f"&payment_method_data[card][{name}]={value}"
    path = f"/v1/payment_intents/{made['id']}/confirm"
    assert here.stripe.handle("POST", path, public, f"{card}&client_secret=pi_x".encode()).status == 400
    paid = here.stripe.handle("POST", path, public, f"{card}&client_secret={made['client_secret']}".encode())
    assert paid.json()["status"] == "succeeded"


CARD = (
    "payment_method_data[type]=card&payment_method_data[card][exp_month]=12&payment_method_data[card][exp_year]=40"
    "&payment_method_data[card][cvc]=123&payment_method_data[card][number]="
)


def test_a_secret_opens_its_own_intent_only(here: InProcess) -> None:
    one, other = (here.call("POST", "/v1/payment_intents", INTENT).json() for _ in range(2))
    public = f"key={here.stripe.publishable_key}&client_secret={other['client_secret']}"
    path = f"/v1/payment_intents/{one['id']}"
    refused = [
        here.stripe.handle("GET", f"{path}?{public}", {}),
        here.stripe.handle("POST", f"{path}/confirm", {}, f"{public}&{CARD}4242424242424242".encode()),
        here.stripe.handle("POST", f"{path}/cancel", {}, public.encode()),
    ]
    assert [(answer.status, "client_secret" in answer.json()) for answer in refused] == [(400, False)] * 2 + [
        (403, False)
    ]
    assert here.call("GET", path).json()["status"] == "requires_payment_method"


def test_a_decline_tells_a_browser_no_more_of_the_intent_than_it_may_see(here: InProcess) -> None:
    made = here.call("POST", "/v1/payment_intents", INTENT + "&metadata[a]=b").json()
    public = f"key={here.stripe.publishable_key}&client_secret={made['client_secret']}"
    path = f"/v1/payment_intents/{made['id']}/confirm"
    answer = here.stripe.handle("POST", path, {}, f"{public}&{CARD}4000000000000002".encode())
    intent = answer.json()["error"]["payment_intent"]
    assert (answer.status, intent["id"]) == (402, made["id"])
    assert not {"metadata", "customer"} & set(intent)


def test_stripe_js_asks_for_its_own_next_action_and_a_page_for_a_redirect(here: InProcess) -> None:
    back = "return_url=https://example.com/&payment_method=pm_card_authenticationRequired"
    kinds = []
    for more in ("", "&use_stripe_sdk=true"):
        id = here.call("POST", "/v1/payment_intents", INTENT).json()["id"]
        asked = here.call("POST", f"/v1/payment_intents/{id}/confirm", back + more).json()
        kinds.append((asked["status"], asked["next_action"]["type"]))
    assert kinds == [("requires_action", "redirect_to_url"), ("requires_action", "use_stripe_sdk")]


def test_the_stand_in_for_stripe_js_is_served_and_nothing_beside_its_files(simulator: Simulator) -> None:
    def served(path: str) -> tuple[int, str]:
        answer = httpx.get(simulator.url + path)
        return answer.status_code, answer.headers["content-type"]

    for path in ("/v3/", "/v3", "/endive/stripe.js", "/_js/element.js"):
        assert served(path) == (200, "text/javascript; charset=utf-8"), path
    assert served("/_js/page.css") == (200, "text/css; charset=utf-8")
    for path in ("/_js/__init__.py", "/_js/..%2f__init__.py", "/_js/", "/_js/nothing.js", "/endive/other.js"):
        assert served(path)[0] in (401, 404), path


def test_another_version_is_refused_and_none_may_use_old_parameters(here: InProcess) -> None:
    key = {"Authorization": f"Bearer {here.stripe.secret_key}"}
    body = f"{INTENT}&payment_method_types[]=card".encode()
    assert here.stripe.handle("POST", "/v1/payment_intents", key | {"Stripe-Version": "2020-08-27"}, body).status == 400
    assert here.stripe.handle("POST", "/v1/payment_intents", key, body).json()["payment_method_types"] == ["card"]
    refused = here.stripe.handle("POST", "/v1/payment_intents", key | {"Stripe-Version": API_VERSION}, body)
    assert refused.json()["error"]["code"] == "payment_method_types_no_longer_supported"


def test_the_date_of_answers_and_created_follow_the_clock(here: InProcess) -> None:
    here.knob("/_sim/clock", advance_s=1000)
    answer = here.call("POST", "/v1/customers")
    assert answer.json()["created"] == 1_800_001_000
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == 1_800_001_000


def test_a_seed_makes_the_same_ids() -> None:
    ids = [InProcess().call("POST", "/v1/payment_intents", INTENT).json()["id"] for _ in range(2)]
    assert ids[0] == ids[1]


def test_the_ids_of_a_seed_do_not_hang_on_who_looks_how_long_it_takes_or_where_events_go() -> None:
    told_ = []
    for reads, url in ((0, None), (3, "http://127.0.0.1:1/"), (1, None)):
        world = InProcess()
        if url is not None:
            configure(world.stripe.account, url, None)
        paying = world.call("POST", "/v1/payment_intents", f"{INTENT}&confirm=true&payment_method=pm_card_visa")
        made = [paying.json()[name] for name in ("id", "client_secret", "payment_method", "latest_charge")]
        for _ in range(reads):
            world.now += 1
            world.call("GET", "/v1/payment_intents")
        made.append(world.call("POST", "/v1/refunds", f"payment_intent={made[0]}").json()["id"])
        told_.append([*made, *(one["id"] for one in world.call("GET", "/v1/events?type=refund.*").json()["data"])])
        world.knob("/_sim/reset")
        assert world.call("POST", "/v1/payment_intents", INTENT).json()["id"] == made[0]
    assert told_[0] == told_[1] == told_[2]


@pytest.mark.parametrize(
    "path", ["nothing", "amount", "latest_charge.balance_transactions", "data.customer", "a.b.c.d.e"]
)
def test_what_cannot_be_expanded_is_refused_before_anything_is_done(here: InProcess, path: str) -> None:
    refused = here.call("POST", "/v1/payment_intents", f"{INTENT}&expand[]={path}", "k")
    assert (refused.status, refused.json()["error"]["param"]) == (400, "expand")
    assert here.intents() == 0 and here.call("GET", "/v1/events").json()["data"] == []
    assert here.call("POST", "/v1/payment_intents", INTENT, "k").status == 200


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("email:'ada@x.io' OR name:'Bob'", ["Bob", "Ada"]),
        ("email:'ada@x.io' AND name:'Bob'", []),
        ("email:'ada@x.io' or -metadata['team']:null", ["Cyd", "Ada"]),
        ("name:'Ada' OR name:'Bob' AND name:'Cyd'", None),
    ],
)
def test_a_search_joins_its_clauses_by_and_or_by_or(here: InProcess, query: str, found: list[str] | None) -> None:
    for params in ("name=Ada&email=ada@x.io", "name=Bob", "name=Cyd&metadata[team]=x"):
        here.call("POST", "/v1/customers", params)
    answer = here.call("GET", "/v1/customers/search?" + urlencode({"query": query}))
    assert answer.status == (400 if found is None else 200)
    assert found is None or [one["name"] for one in answer.json()["data"]] == found


@pytest.mark.parametrize(
    ("currency", "least", "written"), [("usd", 50, "$0.50 usd"), ("jpy", 50, "¥50 jpy"), ("dkk", 250, "2.50 DKK dkk")]
)
def test_a_currency_has_its_smallest_and_its_largest_charge(
    here: InProcess, currency: str, least: int, written: str
) -> None:
    def made(amount: int) -> Response:
        return here.call("POST", "/v1/payment_intents", f"amount={amount}&currency={currency}")

    assert [made(amount).status for amount in (least, 99_999_999)] == [200, 200]
    small, large = made(least - 1).json()["error"], made(100_000_000).json()["error"]
    assert (small["code"], large["code"]) == ("amount_too_small", "amount_too_large")
    assert small["message"] == f"Amount must be at least {written}"


def test_an_event_carries_the_request_that_made_it(here: InProcess) -> None:
    made = here.call("POST", "/v1/customers", "", "k")
    event = here.call("GET", "/v1/events").json()["data"][0]
    assert event["request"] == {"id": made.headers["Request-Id"], "idempotency_key": "k"}


def test_thirty_at_once_with_one_key_make_one_object(simulator: Simulator) -> None:
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url}, max_network_retries=8)
    gate = threading.Barrier(30)
    sim(simulator, "/_sim/calls", {"match": "POST /v1/payment_intents", "fail": "slow", "seconds": 0.2})

    def create(_: int) -> str:
        gate.wait()
        params: Any = {"amount": 500, "currency": "usd"}
        return client.v1.payment_intents.create(params, {"idempotency_key": "one"}).id

    with ThreadPoolExecutor(30) as pool:
        ids = set(pool.map(create, range(30)))
    statuses = [r["status"] for r in sim(simulator, "/_sim/requests")["requests"] if r["path"] == "/v1/payment_intents"]
    assert len(ids) == 1 and len(simulator.store.objects["payment_intent"]) == 1
    assert statuses.count(409) > 0, "nobody came while the first was in flight"


def test_a_delivery_is_signed_as_stripe_checks_it(told: Simulator, receiver: Receiver) -> None:
    customers(told, 1)
    eventually(lambda: len(receiver.bodies) == 1)
    header, body = receiver.bodies[0]
    assert stripe.Webhook.construct_event(body, header, "whsec_one").type == "customer.created"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", header, "whsec_one")


def test_a_failed_delivery_comes_again_after_one_then_two_seconds(told: Simulator, receiver: Receiver) -> None:
    receiver.statuses += [500, 503]
    begun = time.monotonic()
    customers(told, 1)
    eventually(lambda: len(receiver.bodies) == 3)
    assert 2.9 < time.monotonic() - begun < 20
    assert len({body for _, body in receiver.bodies}) == 1


def test_what_is_held_is_released_in_the_order_asked_for(here: InProcess) -> None:
    url = "url=http://127.0.0.1:1/&enabled_events[]=customer.created"
    here.call("POST", "/v1/webhook_endpoints", url)
    here.knob("/_sim/webhooks", deliver="hold")
    outbox = here.stripe.webhooks.outbox
    for order, times in (("as_created", 1), ("reversed", 2), ("shuffled", 1)):
        for n in range(6):
            here.call("POST", "/v1/customers", f"name={n}")
        assert outbox == []
        assert here.knob("/_sim/webhooks/release", order=order, times=times, seed=3) == {"released": 6 * times}
        sent = [one.event["data"]["object"]["name"] for one in outbox]
        straight = [str(n) for n in range(6) for _ in range(times)]
        assert sorted(sent) == sorted(straight)
        assert (sent == straight) == (order == "as_created")
        assert (sent == straight[::-1]) == (order == "reversed")
        outbox.clear()


def test_an_endpoint_gets_only_what_it_asked_for_and_a_retry_sends_again(here: InProcess) -> None:
    here.call("POST", "/v1/webhook_endpoints", "url=http://127.0.0.1:1/&enabled_events[]=customer.created")
    here.call("POST", "/v1/payment_intents", INTENT)
    here.call("POST", "/v1/customers")
    (delivery,) = here.stripe.webhooks.outbox
    assert delivery.event["type"] == "customer.created"
    here.stripe.webhooks.outbox.clear()
    assert here.call("POST", f"/v1/events/{delivery.event_id}/retry").json()["pending_webhooks"] == 1
    assert [one.event_id for one in here.stripe.webhooks.outbox] == [delivery.event_id]


def test_the_log_tells_every_request_and_reset_forgets_all(simulator: Simulator, client: stripe.StripeClient) -> None:
    client.v1.customers.create({"name": "x"})
    (noted,) = sim(simulator, "/_sim/requests")["requests"]
    assert (noted["method"], noted["path"], noted["params"], noted["status"]) == (
        "POST",
        "/v1/customers",
        {"name": "x"},
        200,
    )
    sim(simulator, "/_sim/reset", {})
    assert client.v1.customers.list().data == []
    assert sim(simulator, "/_sim/health")["status"] == "ok"


def test_the_page_shows_objects_events_and_deliveries_and_sends_one_again(told: Simulator, receiver: Receiver) -> None:
    receiver.statuses += [500]
    client = stripe.StripeClient(told.secret_key, base_addresses={"api": told.url})
    assert "No events yet." in urllib.request.urlopen(told.url).read().decode()
    customer = client.v1.customers.create({"name": "<b>Ada</b>"}).id
    eventually(lambda: len(receiver.bodies) == 2)
    event = json.loads(receiver.bodies[0][1])["id"]
    page = urllib.request.urlopen(told.url).read().decode()
    for shown in (
        customer,
        event,
        "customer.created",
        f"{receiver.url}: delivered (500, 200)",
        "&lt;b&gt;Ada&lt;/b&gt;",
    ):
        assert shown in page, shown
    assert "<b>Ada" not in page and "_secrets" not in page and "whsec_" not in page
    urllib.request.urlopen(told.url, data=f"event={event}".encode())
    eventually(lambda: len(receiver.bodies) == 3)
    urllib.request.urlopen(told.url, data=b"event=evt_none")
    assert len(receiver.bodies) == 3


def test_a_thousand_intents_at_a_hundred_a_second_with_flat_memory(here: InProcess) -> None:
    import tracemalloc

    begun = time.process_time()
    for n in range(1000):
        here.call("POST", "/v1/payment_intents", INTENT, f"a{n}")
    assert 1000 / (time.process_time() - begun) > 100
    tracemalloc.start()
    sizes = []
    for part in range(2):
        before = tracemalloc.get_traced_memory()[0]
        for n in range(250):
            here.call("POST", "/v1/payment_intents", INTENT, f"b{part}-{n}")
        sizes.append(tracemalloc.get_traced_memory()[0] - before)
    tracemalloc.stop()
    assert sizes[1] < 1.3 * sizes[0] < 1.3 * 250 * 30_000


def test_state_outlives_a_restart(tmp_path: Path) -> None:
    first = start(data=tmp_path / "state.json")
    client = stripe.StripeClient(first.secret_key, base_addresses={"api": first.url})
    params: Any = {"amount": 500, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
    made = client.v1.payment_intents.create(params, {"idempotency_key": "k"})
    first.stop()
    second = start(data=tmp_path / "state.json")
    try:
        client = stripe.StripeClient(first.secret_key, base_addresses={"api": second.url})
        assert client.v1.payment_intents.create(params, {"idempotency_key": "k"}).id == made.id
        sim(second, "/_sim/clock", {"advance_s": 3})
        assert client.v1.events.list().data[0].type == "charge.updated"
        assert len(client.v1.payment_intents.list().data) == 1
    finally:
        second.stop()


def test_the_state_is_kept_while_it_runs_and_so_is_what_was_not_delivered(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_file, "SAVE_INTERVAL_S", 0.1)
    file = tmp_path / "state.json"
    first = start(data=file, webhook_url=receiver.url, webhook_secret="whsec_one")
    second = None
    try:
        sim(first, "/_sim/webhooks", {"deliver": "hold"})
        customers(first, 2)
        sim(first, "/_sim/webhooks", {"deliver": "normal"})
        receiver.statuses = [500] * 3
        customers(first, 1)
        eventually(lambda: len(receiver.bodies) >= 1)
        sim(first, "/_sim/calls", {"match": "POST /v1/customers", "fail": "slow", "seconds": 30})
        headers = {"Authorization": f"Bearer {first.secret_key}", "Idempotency-Key": "in flight"}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{first.url}/v1/customers", headers=headers, timeout=0.5)
        eventually(lambda: b"cus_" in file.read_bytes() and not first.stripe.account.unsaved)
        kept = file.read_bytes()  # as after kill -9
        first.stop()
        file.write_bytes(kept)
        receiver.bodies.clear()
        receiver.statuses.clear()
        second = start(data=file, webhook_url=receiver.url)
        assert second.webhook_secret == "whsec_one"
        assert sim(second, "/_sim/webhooks")["held"] == 2
        sim(second, "/_sim/clock", {"advance_s": 60})
        eventually(lambda: len(receiver.bodies) == 1)
        sim(second, "/_sim/webhooks/release", {"order": "reversed"})
        eventually(lambda: len(receiver.bodies) == 3)
        assert names(receiver) == ["0", "1", "0"]
        assert all(stripe.Webhook.construct_event(body, stamp, "whsec_one") for stamp, body in receiver.bodies)
        assert httpx.post(f"{second.url}/v1/customers", headers=headers).status_code == 200
    finally:
        first.stop()
        if second is not None:
            second.stop()


def test_a_later_run_with_the_same_file_and_seed_makes_other_ids(tmp_path: Path) -> None:
    made = []
    for _ in range(3):
        simulator = start(data=tmp_path / "state.json", seed=5)
        client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
        made.append(client.v1.customers.create({}).id)
        simulator.stop()
    assert len(set(made)) == 3


@pytest.mark.parametrize("content", ["", '{"id":', "[]", "{}", "\xff"])
def test_a_file_that_is_no_state_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content, "latin-1")
    with pytest.raises(state_file.StateFileError, match=r"state\.json is not a state file of the simulator"):
        start(data=tmp_path / "state.json")
    assert (tmp_path / "state.json").read_text("latin-1") == content


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--port", "65536"], 2, "65536 is not a port"),
        (["--port", "-1"], 2, "-1 is not a port"),
        (["--webhook-url", "localhost:8000"], 2, "--webhook-url: Not a valid URL"),
        (["--webhook-url", "http://127.0.0.1:99999/"], 2, "--webhook-url: Not a valid URL"),
        (["--data", "."], 1, "stripe_simulator: .: Is a directory"),
        (["--data", "/proc/none/state.json"], 1, "stripe_simulator: /proc/none: No such file"),
        (["--data", "pyproject.toml"], 1, "pyproject.toml is not a state file of the simulator"),
    ],
)
def test_the_program_says_what_is_wrong_with_its_options(words: list[str], code: int, said: str) -> None:
    command = [sys.executable, "-m", "stripe_simulator", "--port", "0", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr


def test_the_program_says_ready_and_that_a_port_is_taken() -> None:
    words = [sys.executable, "-m", "stripe_simulator", "--port", "0", "--secret-key", "sk_test_program12345"]
    running = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        word, _, text = running.stdout.readline().partition(" ")
        ready = json.loads(text)
        assert (word, ready["secret_key"], ready["webhook_secret"]) == ("ready", "sk_test_program12345", None)
        port = ready["url"].rpartition(":")[2]
        taken = subprocess.run([*words[:4], port], capture_output=True, text=True, timeout=20, check=False)
        assert taken.returncode == 1 and f"port {port}" in taken.stderr
    finally:
        running.terminate()
        assert running.wait(timeout=10) == 0


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
def test_a_body_that_is_no_form_is_400(here: InProcess, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {here.stripe.secret_key}", "Stripe-Version": API_VERSION}
    answer = here.stripe.handle("POST", "/v1/payment_intents", headers, body)
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert here.intents() == 0


def test_a_fault_of_the_simulator_is_a_500_of_stripes_and_no_silence(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fall(_: Any) -> Any:
        raise RuntimeError("here")

    monkeypatch.setitem(ROUTER._exact, "GET /v1/balance", fall)
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
    with pytest.raises(stripe.APIError) as failed:
        client.v1.balance.retrieve()
    assert (failed.value.http_status, str(failed.value.request_id)[:4]) == (500, "req_")
    assert "RuntimeError: here" in caplog.text
    assert client.v1.customers.list().data == []


# --- what is kept under a key, and what is not ---


def test_a_key_has_at_most_255_characters_and_counts_for_posts_only(here: InProcess) -> None:
    assert here.call("POST", "/v1/customers", "", "k" * 255).status == 200
    refused = here.call("POST", "/v1/customers", "", "k" * 256)
    assert (refused.status, refused.json()["error"]["type"]) == (400, "invalid_request_error")
    first = here.call("GET", "/v1/customers", "", "get")
    here.call("POST", "/v1/customers")
    second = here.call("GET", "/v1/customers", "", "get")
    assert len(second.json()["data"]) == len(first.json()["data"]) + 1
    assert "Idempotency-Key" not in second.headers


def test_what_fails_while_executing_is_kept_and_what_fails_before_is_not(here: InProcess) -> None:
    missing = "amount=500&currency=usd&customer=cus_later"
    assert here.call("POST", "/v1/payment_intents", missing, "executing").status == 400
    again = here.call("POST", "/v1/payment_intents", missing, "executing")
    assert (again.status, again.headers["Idempotent-Replayed"]) == (400, "true")
    path = "/v1/payment_intents/pi_none/cancel"
    assert here.call("POST", path, "", "no such").status == 404
    assert here.call("POST", path, "", "no such").headers["Idempotent-Replayed"] == "true"
    for wrong in ("amount=500", "amount=500&currency=usd&x=1", "amount=x&currency=usd", "amount=500&currency="):
        assert here.call("POST", "/v1/payment_intents", wrong, "before").status == 400
    assert "Idempotent-Replayed" not in here.call("POST", "/v1/payment_intents", INTENT, "before").headers


def test_a_refused_key_a_conflict_and_an_unknown_key_of_the_api_keep_nothing(here: InProcess) -> None:
    key = {"Idempotency-Key": "k"}
    assert here.stripe.handle("POST", "/v1/customers", key | {"Authorization": "Bearer sk_test_no"}).status == 401
    assert here.call("POST", "/v1/customers", "", "k").status == 200
    begun = here.stripe.begin("POST", "/v1/customers", here.headers | {"Idempotency-Key": "busy"}, b"")
    assert isinstance(begun, Request)
    conflict = here.call("POST", "/v1/customers", "", "busy")
    error = conflict.json()["error"]
    assert (conflict.status, error["type"], error["code"]) == (409, "invalid_request_error", "idempotency_key_in_use")
    done = here.stripe.execute(begun)
    replay = here.call("POST", "/v1/customers", "", "busy")
    assert (replay.status, replay.body) == (200, done.body)


def test_every_answer_has_a_request_id_of_its_own(here: InProcess) -> None:
    here.knob("/_sim/calls", match="GET /v1/balance", fail="rate_limit")
    calls = [
        here.call("POST", "/v1/customers", "", "k"),
        here.call("POST", "/v1/customers", "", "k"),
        here.call("POST", "/v1/customers", "x=1"),
        here.call("GET", "/v1/customers/cus_none"),
        here.call("GET", "/v1/nothing"),
        here.call("GET", "/v1/balance"),
        here.stripe.handle("GET", "/v1/balance", {}),
    ]
    ids = [one.headers["Request-Id"] for one in calls]
    assert len(set(ids)) == len(ids) and all(id.startswith("req_") for id in ids)
    assert [one.status for one in calls] == [200, 200, 400, 404, 404, 429, 401]
    assert {one.headers["Stripe-Version"] for one in calls} == {API_VERSION}
    for one in calls[2:]:
        assert one.json()["error"]["request_log_url"].endswith(one.headers["Request-Id"])


# --- versions ---


def test_without_a_version_the_old_parameters_of_the_cli_pass_everywhere(here: InProcess) -> None:
    key = {"Authorization": f"Bearer {here.stripe.secret_key}"}

    def call(path: str, body: str) -> Any:
        answer = here.stripe.handle("POST", path, key, body.encode())
        assert answer.status == 200, answer.body
        return answer.json()

    intent = call("/v1/payment_intents", INTENT)["id"]
    assert call(f"/v1/payment_intents/{intent}", "payment_method_types[]=card")["id"] == intent
    paid = call(f"/v1/payment_intents/{intent}/confirm", "payment_method_types[]=card&payment_method=pm_card_visa")
    assert paid["status"] == "succeeded"
    line = (
        "line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=500&line_items[0][quantity]=1"
    )
    line += "&line_items[0][price_data][product_data][name]=DP&mode=payment&success_url=https://x/"
    made = call("/v1/checkout/sessions", line + "&payment_method_types[]=card")
    assert made["payment_method_types"] == ["card"]
    coupon = call("/v1/coupons", "percent_off=10")["id"]
    assert call("/v1/promotion_codes", f"coupon={coupon}")["promotion"] == {"coupon": coupon, "type": "coupon"}
    versioned = here.call("POST", "/v1/promotion_codes", f"coupon={coupon}")
    assert (versioned.status, versioned.json()["error"]["param"]) == (400, "coupon")


def test_events_have_the_one_version_whoever_asked(here: InProcess) -> None:
    here.stripe.handle("POST", "/v1/customers", {"Authorization": f"Bearer {here.stripe.secret_key}"})
    here.call("POST", "/v1/customers")
    events = here.call("GET", "/v1/events").json()["data"]
    assert {event["api_version"] for event in events} == {API_VERSION}
    assert stripe.api_version == API_VERSION


# --- reading events ---


def test_events_are_found_by_type_with_a_star_by_types_and_by_time(here: InProcess) -> None:
    here.call("POST", "/v1/payment_intents", f"{INTENT}&confirm=true&payment_method=pm_card_visa")
    here.now += 100
    customer = here.call("POST", "/v1/customers").json()["id"]
    here.call("DELETE", f"/v1/customers/{customer}")

    def types(query: str) -> list[str]:
        return [event["type"] for event in here.call("GET", f"/v1/events?{query}").json()["data"]]

    assert types("type=payment_intent.*") == ["payment_intent.succeeded", "payment_intent.created"]
    assert types("type=customer.created") == ["customer.created"]
    assert types("type=customer.[c]reated") == types("type=customer.?reated") == types("type=customer") == []
    assert types("types[]=customer.deleted&types[]=charge.succeeded") == ["customer.deleted", "charge.succeeded"]
    assert types(f"created[gte]={int(here.now)}") == ["customer.deleted", "customer.created", "charge.updated"]
    assert types(f"created[lt]={int(here.now)}")[-1] == "payment_intent.created"
    many = "&".join(["types[]=charge.failed"] * 21)
    assert here.call("GET", f"/v1/events?{many}").status == 400
    assert here.call("GET", "/v1/events?type=a&types[]=b").status == 400
    newest = here.call("GET", "/v1/events?limit=1").json()["data"][0]["id"]
    here.now += 29 * 24 * 3600
    assert len(types("limit=100")) == 6
    here.now += 2 * 24 * 3600
    assert types("limit=100") == [], "events are kept for 30 days"
    for method, path in (("GET", ""), ("POST", "/retry")):
        gone = here.call(method, f"/v1/events/{newest}{path}")
        assert (gone.status, gone.json()["error"]["code"]) == (404, "resource_missing")


def test_events_are_found_by_whether_they_were_delivered(told: Simulator, receiver: Receiver) -> None:
    receiver.statuses += [200, 500, 500, 500]
    customers(told, 1)
    eventually(lambda: len(receiver.bodies) == 1)
    customers(told, 1)
    eventually(lambda: len(receiver.bodies) == 2)
    client = stripe.StripeClient(told.secret_key, base_addresses={"api": told.url})
    first, second = (json.loads(body)["id"] for _, body in receiver.bodies)

    def found(delivered: bool) -> list[str]:
        return [event.id for event in client.v1.events.list({"delivery_success": delivered}).data]

    eventually(lambda: found(True) == [first] and found(False) == [second], 6)
    assert client.v1.events.retrieve(second).pending_webhooks == 1
    eventually(lambda: len(receiver.bodies) == 5)
    eventually(lambda: found(True) == [second, first] and found(False) == [])


# --- the program ---


def program(*words: str) -> tuple["subprocess.Popen[str]", dict[str, Any]]:
    running = subprocess.Popen(
        [sys.executable, "-m", "stripe_simulator", "--port", "0", *words], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    return running, json.loads(running.stdout.readline().partition(" ")[2])


def story(ready: dict[str, Any]) -> list[str]:
    client = stripe.StripeClient(ready["secret_key"], base_addresses={"api": ready["url"]})
    customer = client.v1.customers.create({}).id
    paid = client.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "customer": customer, "confirm": True, "payment_method": "pm_card_visa"}
    )
    events = [event.id for event in client.v1.events.list().data]
    return [ready["secret_key"], ready["webhook_secret"], customer, paid.id, str(paid.latest_charge), *events]


def test_the_program_with_one_seed_makes_the_same_ids(receiver: Receiver) -> None:
    told_ = []
    for seed in ("5", "5", "6"):
        running, ready = program("--seed", seed, "--webhook-url", receiver.url)
        try:
            told_.append(story(ready))
        finally:
            running.terminate()
            assert running.wait(timeout=10) == 0
    assert told_[0] == told_[1]
    assert not set(told_[0]) & set(told_[2])


def test_the_program_keeps_its_state_in_a_file(tmp_path: Path, receiver: Receiver) -> None:
    words = ("--data", str(tmp_path / "deep" / "state.json"), "--webhook-url", receiver.url)
    running, ready = program(*words)
    made = story(ready)
    client = stripe.StripeClient(ready["secret_key"], base_addresses={"api": ready["url"]})
    asked: Any = {"amount": 700, "currency": "usd"}, {"idempotency_key": "k"}
    other = client.v1.payment_intents.create(*asked).id
    running.terminate()
    assert running.wait(timeout=10) == 0
    running, again = program(*words)
    try:
        assert {k: again[k] for k in ("secret_key", "publishable_key", "webhook_secret")} == {
            k: ready[k] for k in ("secret_key", "publishable_key", "webhook_secret")
        }
        client = stripe.StripeClient(again["secret_key"], base_addresses={"api": again["url"]})
        assert client.v1.customers.retrieve(made[2]).id == made[2]
        assert client.v1.payment_intents.create(*asked).id == other
        assert {event.id for event in client.v1.events.list().data} >= set(made[5:])
        (endpoint,) = client.v1.webhook_endpoints.list().data
        assert endpoint.url == receiver.url
        assert client.v1.refunds.create({"payment_intent": made[3]}).status == "succeeded"
        new = client.v1.customers.create({}).id
        assert new not in made
    finally:
        running.terminate()
        running.wait(timeout=10)
