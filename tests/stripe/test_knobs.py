"""`/_sim` over the wire: every knob of DESIGN, with the bodies that stand there, and what a wrong body is told."""

import http.client
import json
import random
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from stripe_simulator import http_server
from stripe_simulator.control import CONTROLS
from stripe_simulator.server import Simulator
from tests.stripe.conftest import Receiver, customers, eventually, names, sim
from tests.stripe.test_contract import pay

INTENT: Any = {"amount": 500, "currency": "usd"}
ONCE = {"match": "POST /v1/payment_intents", "times": 1}


def impatient(simulator: Simulator, retries: int = 0) -> stripe.StripeClient:
    return stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url}, max_network_retries=retries)


def made(simulator: Simulator) -> int:
    return len(simulator.store.objects.get("payment_intent", {}))


# --- calls ---


@pytest.mark.parametrize(("fail", "done"), [("before", 0), ("after", 1)])
def test_a_call_whose_answer_is_lost(simulator: Simulator, client: stripe.StripeClient, fail: str, done: int) -> None:
    sim(simulator, "/_sim/calls", {**ONCE, "fail": fail})
    with pytest.raises(stripe.APIConnectionError):
        impatient(simulator).v1.payment_intents.create(INTENT, {"idempotency_key": "k"})
    assert made(simulator) == done
    again = client.v1.payment_intents.create(INTENT, {"idempotency_key": "k"})
    assert made(simulator) == 1
    assert again.last_response.headers.get("idempotent-replayed") == ("true" if fail == "after" else None)


def test_the_retries_of_the_client_outlast_two_lost_answers(simulator: Simulator, client: stripe.StripeClient) -> None:
    sim(simulator, "/_sim/calls", {"match": "POST /v1/payment_intents", "times": 2, "fail": "after"})
    client.v1.payment_intents.create(INTENT)  # with a key of the client's own
    assert made(simulator) == 1
    sim(simulator, "/_sim/calls", {"match": "POST /v1/payment_intents", "times": 3, "fail": "before"})
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create(INTENT)


def test_a_call_that_hangs_is_in_flight_and_then_done(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (http_server.HANG_S, http_server.LINGER_S) == (60, 5)
    monkeypatch.setattr(http_server, "LINGER_S", 2.0)
    sim(simulator, "/_sim/calls", {**ONCE, "fail": "hang"})
    body, key = "amount=500&currency=usd", {"Idempotency-Key": "k"}
    auth = httpx.BasicAuth(simulator.secret_key, "")
    form = {"Content-Type": "application/x-www-form-urlencoded", **key}
    with httpx.Client(base_url=simulator.url, auth=auth, headers=form) as caller, pytest.raises(httpx.ReadTimeout):
        caller.post("/v1/payment_intents", content=body, timeout=0.3)
    with httpx.Client(base_url=simulator.url, auth=auth, headers=form) as caller:
        waiting = caller.post("/v1/payment_intents", content=body)
        assert (waiting.status_code, waiting.json()["error"]["code"]) == (409, "idempotency_key_in_use")
        assert waiting.json()["error"]["type"] == "invalid_request_error"
        assert waiting.headers["Stripe-Should-Retry"] == "true"
        assert made(simulator) == 0
        eventually(lambda: made(simulator) == 1, 30)
        assert caller.post("/v1/payment_intents", content=body).headers["Idempotent-Replayed"] == "true"


@pytest.mark.soak
@pytest.mark.timeout(90)
def test_a_call_that_hangs_does_so_for_a_minute(simulator: Simulator) -> None:
    sim(simulator, "/_sim/calls", {**ONCE, "fail": "hang"})
    begun = time.monotonic()
    made_ = httpx.post(f"{simulator.url}/v1/payment_intents", data=INTENT, auth=(simulator.secret_key, ""), timeout=70)
    assert made_.status_code == 200
    assert 59 < time.monotonic() - begun < 65


def test_a_limit_is_429_is_not_kept_and_is_not_tried_again(simulator: Simulator, client: stripe.StripeClient) -> None:
    sim(simulator, "/_sim/calls", {**ONCE, "fail": "rate_limit"})
    with pytest.raises(stripe.RateLimitError) as refused:
        client.v1.payment_intents.create(INTENT, {"idempotency_key": "k"})
    assert (refused.value.http_status, refused.value.error.code) == (429, "rate_limit")  # type: ignore[union-attr]
    assert refused.value.headers["stripe-rate-limited-reason"] == "global-rate"
    assert len(sim(simulator, "/_sim/requests")["requests"]) == 1
    assert client.v1.payment_intents.create(INTENT, {"idempotency_key": "k"}).amount == 500


def test_a_lock_is_429_and_tried_again_for_stripe_says_so(simulator: Simulator, client: stripe.StripeClient) -> None:
    sim(simulator, "/_sim/calls", {"match": "POST /v1/payment_intents", "times": 2, "fail": "lock_timeout"})
    client.v1.payment_intents.create(INTENT)
    statuses = [one["status"] for one in sim(simulator, "/_sim/requests")["requests"]]
    assert statuses == [429, 429, 200]


def test_a_500_is_kept_so_that_the_clients_retries_get_it_again(
    simulator: Simulator, client: stripe.StripeClient
) -> None:
    sim(simulator, "/_sim/calls", {**ONCE, "fail": "error"})
    with pytest.raises(stripe.APIError) as failed:
        client.v1.payment_intents.create(INTENT)
    assert failed.value.headers["idempotent-replayed"] == "true"
    assert [one["status"] for one in sim(simulator, "/_sim/requests")["requests"]] == [500, 500, 500]
    assert made(simulator) == 0


def test_a_slow_call_takes_its_time(simulator: Simulator) -> None:
    sim(simulator, "/_sim/calls", {**ONCE, "fail": "slow", "seconds": 0.4})
    begun = time.monotonic()
    impatient(simulator).v1.payment_intents.create(INTENT)
    assert 0.4 < time.monotonic() - begun < 5


def test_faults_are_matched_by_method_and_segment_listed_and_taken_back(
    simulator: Simulator, client: stripe.StripeClient
) -> None:
    id = client.v1.payment_intents.create(INTENT).id
    fault = {"match": "POST /v1/payment_intents/*/cancel", "times": 2, "fail": "rate_limit"}
    assert sim(simulator, "/_sim/calls", fault) == {"calls": [fault]}
    client.v1.payment_intents.retrieve(id)
    client.v1.payment_intents.update(id, {"description": "x"})
    with pytest.raises(stripe.RateLimitError):
        client.v1.payment_intents.cancel(id)
    assert sim(simulator, "/_sim/calls") == {"calls": [fault | {"times": 1}]}
    assert httpx.delete(f"{simulator.url}/_sim/calls").json() == {"calls": []}
    assert client.v1.payment_intents.cancel(id).status == "canceled"
    sim(simulator, "/_sim/calls", {"match": "* /v1/customers", "times": 1, "fail": "rate_limit"})
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()


def test_more_requests_a_second_than_the_limit_are_refused(simulator: Simulator, client: stripe.StripeClient) -> None:
    sim(simulator, "/_sim/clock", {"advance_s": 0})
    assert sim(simulator, "/_sim/limits", {"per_second": 5}) == {"per_second": 5}
    refused = 0
    for _ in range(40):
        try:
            client.v1.payment_intents.create(INTENT)
        except stripe.RateLimitError:
            refused += 1
    assert refused + made(simulator) == 40
    assert refused > 0 and made(simulator) >= 5
    sim(simulator, "/_sim/limits", {"per_second": 0})
    before = made(simulator)
    for _ in range(20):
        client.v1.payment_intents.create(INTENT)
    assert made(simulator) == before + 20


# --- webhooks ---


def test_what_is_held_is_sent_when_it_is_released(told: Simulator, receiver: Receiver) -> None:
    state = sim(told, "/_sim/webhooks", {"deliver": "hold", "delay_s": 0})
    assert state == {"deliver": "hold", "delay_s": 0.0, "held": 0, "waiting": 0}
    customers(told, 5)
    assert sim(told, "/_sim/webhooks")["held"] == 5 and receiver.bodies == []
    straight = [str(n) for n in range(5)]
    assert sim(told, "/_sim/webhooks/release", {"order": "as_created", "seed": 1, "times": 1}) == {"released": 5}
    eventually(lambda: len(receiver.bodies) == 5)
    assert names(receiver) == straight
    assert sim(told, "/_sim/webhooks")["held"] == 0


@pytest.mark.parametrize("order", ["as_created", "reversed", "shuffled"])
def test_what_is_released_arrives_in_the_order_of_its_seed(told: Simulator, receiver: Receiver, order: str) -> None:
    sim(told, "/_sim/webhooks", {"deliver": "hold"})
    customers(told, 20)
    straight = [str(n) for n in range(20)]
    sim(told, "/_sim/webhooks/release", {"order": order, "seed": 7, "times": 1})
    eventually(lambda: len(receiver.bodies) == 20)
    shuffled = list(straight)
    random.Random(7).shuffle(shuffled)
    assert names(receiver) == {"as_created": straight, "reversed": straight[::-1], "shuffled": shuffled}[order]


def test_a_release_goes_on_past_what_is_refused(told: Simulator, receiver: Receiver) -> None:
    sim(told, "/_sim/webhooks", {"deliver": "hold"})
    customers(told, 3)
    receiver.statuses = [500]
    sim(told, "/_sim/webhooks/release", {"order": "reversed"})
    eventually(lambda: len(receiver.bodies) == 4)
    assert names(receiver) == ["2", "1", "0", "2"]


def test_an_endpoint_that_cannot_be_asked_does_not_keep_the_others_from_being_told(
    told: Simulator, receiver: Receiver
) -> None:
    client = stripe.StripeClient(told.secret_key, base_addresses={"api": told.url})
    for url in ("http://127.0.0.1:1/", "http://127.0.0.1/ö", "http://" + "x" * 70 + "/"):
        client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["*"]})
    customers(told, 10)
    eventually(lambda: len(receiver.bodies) == 10)
    for wrong in ("http://127.0.0.1:99999/", "ftp://x.y/", "127.0.0.1:80", "http://"):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.v1.webhook_endpoints.create({"url": wrong, "enabled_events": ["*"]})
        assert (refused.value.code, refused.value.param) == ("url_invalid", "url")


def test_a_release_may_send_each_event_several_times(told: Simulator, receiver: Receiver) -> None:
    sim(told, "/_sim/webhooks", {"deliver": "hold"})
    customers(told, 2)
    assert sim(told, "/_sim/webhooks/release", {"order": "shuffled", "seed": 1, "times": 3}) == {"released": 6}
    eventually(lambda: len(receiver.bodies) == 6)
    assert sorted(names(receiver)) == ["0"] * 3 + ["1"] * 3


@pytest.mark.parametrize(("mode", "count"), [("normal", 2), ("duplicate", 4), ("drop", 0), ("shuffle", 2)])
def test_deliveries_follow_the_mode(told: Simulator, receiver: Receiver, mode: str, count: int) -> None:
    sim(told, "/_sim/webhooks", {"deliver": mode, "delay_s": 0})
    customers(told, 2)
    eventually(lambda: len(receiver.bodies) >= count)
    time.sleep(0.1)
    assert len(receiver.bodies) == count
    outcomes = {one["outcome"] for one in sim(told, "/_sim/deliveries")["deliveries"]}
    assert outcomes == {"dropped" if mode == "drop" else "delivered"}


def test_a_delay_holds_each_delivery_until_the_clock_passes_it(told: Simulator, receiver: Receiver) -> None:
    sim(told, "/_sim/webhooks", {"deliver": "normal", "delay_s": 300})
    customers(told, 1)
    time.sleep(0.2)
    assert receiver.bodies == []
    sim(told, "/_sim/clock", {"advance_s": 301})
    eventually(lambda: len(receiver.bodies) == 1)


def test_shuffled_deliveries_come_in_another_order(told: Simulator, receiver: Receiver) -> None:
    sim(told, "/_sim/webhooks", {"deliver": "shuffle"})
    customers(told, 12)
    eventually(lambda: len(receiver.bodies) == 12)
    assert names(receiver) != [str(n) for n in range(12)]
    assert sorted(names(receiver), key=int) == [str(n) for n in range(12)]


def test_a_rolled_secret_signs_beside_the_old_one_until_that_is_forgotten(told: Simulator, receiver: Receiver) -> None:
    (new,) = sim(told, "/_sim/webhooks/roll", {"keep_s": 3600})["secrets"].values()
    customers(told, 1)
    eventually(lambda: len(receiver.bodies) == 1)
    header, body = receiver.bodies[0]
    assert header.count("v1=") == 2 and header.count("v0=") == 1
    for secret in (new, "whsec_one"):
        assert stripe.Webhook.construct_event(body, header, secret).type == "customer.created"
    sim(told, "/_sim/clock", {"advance_s": 3601})
    customers(told, 1)
    eventually(lambda: len(receiver.bodies) == 2)
    header, body = receiver.bodies[1]
    assert header.count("v1=") == 1
    assert stripe.Webhook.construct_event(body, header, new).type == "customer.created"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, header, "whsec_one")


def test_each_try_signs_anew(told: Simulator, receiver: Receiver) -> None:
    receiver.statuses += [500]
    customers(told, 1)
    eventually(lambda: len(receiver.bodies) == 2)
    (first, body), (second, same) = receiver.bodies
    assert body == same and first != second


# --- clock, 3-D Secure, disputes, refunds ---


def test_the_clock_moves_what_stripe_dates_and_not_the_signatures(told: Simulator, receiver: Receiver) -> None:
    real = time.time()
    now = sim(told, "/_sim/clock", {"advance_s": 10 * 86400})
    assert abs(now["now"] - real - 10 * 86400) < 5 and abs(now["offset_s"] - 10 * 86400) < 0.1
    customers(told, 1)
    eventually(lambda: len(receiver.bodies) == 1)
    header, body = receiver.bodies[0]
    assert json.loads(body)["created"] >= int(real) + 10 * 86400
    assert abs(int(header.split(",")[0].removeprefix("t=")) - real) < 60


@pytest.mark.parametrize(("outcome", "status"), [("success", "succeeded"), ("failure", "requires_payment_method")])
def test_the_step_of_three_d_secure_is_driven(
    client: stripe.StripeClient, simulator: Simulator, outcome: str, status: str
) -> None:
    intent = pay(client, "pm_card_threeDSecure2Required")
    path = f"/_sim/payment_intents/{intent.id}/authenticate"
    assert sim(simulator, path, {"outcome": outcome})["status"] == status
    again = httpx.post(simulator.url + path, json={"outcome": outcome})
    assert again.status_code == 400 and status in again.json()["error"]["message"]
    card = client.v1.setup_intents.create({"confirm": True, "payment_method": "pm_card_authenticationRequired"})
    done = sim(simulator, f"/_sim/setup_intents/{card.id}/authenticate", {"outcome": outcome})
    assert done["status"] == status
    assert (done["last_setup_error"] is None) == (outcome == "success")


def test_a_refund_is_made_in_any_status_and_moved(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = pay(client, "pm_card_visa")

    def left() -> int:
        charge = client.v1.charges.retrieve(str(intent.latest_charge))
        return charge.amount - charge.amount_refunded

    for end, amount in (("succeeded", 49800), ("failed", 49800), ("canceled", 49800)):
        waiting = {"payment_intent": intent.id, "amount": 100, "status": "requires_action"}
        refund = sim(simulator, "/_sim/refunds", waiting)
        assert refund["next_action"]["type"] == "display_details"
        assert sim(simulator, "/_sim/refunds", {"refund": refund["id"], "status": "pending"})["status"] == "pending"
        assert sim(simulator, "/_sim/refunds", {"refund": refund["id"], "status": end})["status"] == end
        assert left() == amount
    again = httpx.post(simulator.url + "/_sim/refunds", json={"refund": refund["id"], "status": "succeeded"})
    assert again.status_code == 400 and "canceled" in again.json()["error"]["message"]
    over = httpx.post(simulator.url + "/_sim/refunds", json={"payment_intent": intent.id, "amount": 49801})
    assert over.status_code == 400 and "greater than" in over.json()["error"]["message"]


def test_any_charge_is_disputed_and_its_dispute_moved(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = pay(client, "pm_card_visa")
    dispute = sim(simulator, "/_sim/disputes", {"payment_intent": intent.id, "reason": "duplicate"})
    assert (dispute["status"], dispute["reason"]) == ("needs_response", "duplicate")
    for status in ("lost", "appeal_under_review", "won", "lost", "prevented", "never_heard_of"):
        assert sim(simulator, "/_sim/disputes", {"dispute": dispute["id"], "status": status})["status"] == status


# --- reset, reading, what is wrong ---


def test_reset_forgets_all_but_keys_and_the_endpoint_of_the_command_line(told: Simulator, receiver: Receiver) -> None:
    customers(told, 3)
    eventually(lambda: len(receiver.bodies) == 3)
    impatient(told).v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    for path, body in (
        ("/_sim/webhooks", {"deliver": "hold", "delay_s": 9}),
        ("/_sim/calls", {"match": "* /v1/customers", "times": 9, "fail": "before"}),
        ("/_sim/clock", {"advance_s": 5000}),
        ("/_sim/limits", {"per_second": 1}),
    ):
        sim(told, path, body)
    assert sim(told, "/_sim/reset", {}) == {"reset": True}
    assert sim(told, "/_sim/webhooks") == {"deliver": "normal", "delay_s": 0.0, "held": 0, "waiting": 0}
    assert sim(told, "/_sim/clock")["offset_s"] == 0
    assert sim(told, "/_sim/requests") == {"requests": []}
    client = impatient(told)
    assert client.v1.customers.list().data == client.v1.events.list().data == []
    (endpoint,) = client.v1.webhook_endpoints.list().data
    assert endpoint.url == receiver.url
    customers(told, 1)
    eventually(lambda: len(receiver.bodies) == 4)


def test_a_reset_needs_no_body_and_answers_json(simulator: Simulator) -> None:
    answer = httpx.post(f"{simulator.url}/_sim/reset")
    assert answer.json() == {"reset": True} and answer.headers["content-type"] == "application/json"


def test_the_log_tells_who_asked_what_and_what_came_of_it(simulator: Simulator, client: stripe.StripeClient) -> None:
    client.v1.customers.create({"name": "x", "metadata": {"a": "b"}}, {"idempotency_key": "k"})
    wrong: Any = {"nme": "x"}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.create(wrong)
    first, second = sim(simulator, "/_sim/requests")["requests"]
    assert (first["method"], first["path"], first["status"], first["error"]) == ("POST", "/v1/customers", 200, None)
    assert first["params"] == {"name": "x", "metadata": {"a": "b"}} and first["idempotency_key"] == "k"
    assert first["user_agent"].startswith("Stripe/v1 PythonBindings/")
    assert (second["status"], second["error"]["code"]) == (400, "parameter_unknown")
    assert sim(simulator, "/_sim/requests?limit=1")["requests"] == [second]


WRONG = [
    ("POST", "/_sim/webhooks", {"deliver": "sometimes"}, 400, "one of normal, hold"),
    ("POST", "/_sim/webhooks", {"delay_s": -1}, 400, "delay_s"),
    ("POST", "/_sim/webhooks", {"delay": 1}, 400, "has no field delay"),
    ("POST", "/_sim/webhooks/release", {"order": "up"}, 400, "as_created, reversed, shuffled"),
    ("POST", "/_sim/webhooks/release", {"times": 0}, 400, "times"),
    ("POST", "/_sim/webhooks/release", {"times": 1.5}, 400, "times"),
    ("POST", "/_sim/webhooks/release", {"seed": "x"}, 400, "seed"),
    ("GET", "/_sim/webhooks/release", None, 405, "takes POST, not GET"),
    ("POST", "/_sim/webhooks/roll", {"endpoint": "we_none"}, 400, "we_none"),
    ("POST", "/_sim/webhooks/roll", {"secret": 5}, 400, "secret must be a string"),
    ("POST", "/_sim/webhooks/roll", {"secret": ""}, 400, "secret must be a string"),
    ("POST", "/_sim/calls", {"match": "x", "fail": "before"}, 400, "a method and a path"),
    ("POST", "/_sim/calls", {"fail": "before"}, 400, "a method and a path"),
    ("POST", "/_sim/calls", {"match": "PATCH /v1/customers"}, 400, "a method and a path"),
    ("POST", "/_sim/calls", {**ONCE, "fail": "never"}, 400, "one of before, after, hang"),
    ("POST", "/_sim/calls", {**ONCE, "times": -1}, 400, "times"),
    ("POST", "/_sim/calls", {**ONCE, "fail": "hang", "seconds": 2}, 400, "seconds is only for fail"),
    ("POST", "/_sim/clock", {"advance_s": -5}, 400, "advance_s"),
    ("POST", "/_sim/clock", {"advance_s": True}, 400, "advance_s"),
    ("POST", "/_sim/clock", {"advance": 5}, 400, "takes advance_s"),
    ("POST", "/_sim/clock", b"{advance", 400, "not JSON"),
    ("POST", "/_sim/clock", b'{"advance_s": NaN}', 400, "advance_s"),
    ("POST", "/_sim/clock", b'{"advance_s": 1e300}', 400, "advance_s"),
    ("POST", "/_sim/clock", b"\xff\xfe", 400, "not JSON"),
    ("POST", "/_sim/clock", b"[5]", 400, "JSON object"),
    ("POST", "/_sim/limits", {"per_second": "many"}, 400, "per_second"),
    ("POST", "/_sim/payment_intents/pi_none/authenticate", {"outcome": "success"}, 404, "pi_none"),
    ("POST", "/_sim/payment_intents/pi_none/authenticate", {"outcome": "maybe"}, 400, "success, failure"),
    ("GET", "/_sim/payment_intents/pi_none/authenticate", None, 405, "takes POST"),
    ("POST", "/_sim/disputes", {}, 400, "charge"),
    ("POST", "/_sim/disputes", {"dispute": "du_none", "status": "lost"}, 400, "du_none"),
    ("POST", "/_sim/refunds", {"charge": "ch_none"}, 400, "ch_none"),
    ("GET", "/_sim/requests?limit=x", None, 400, "limit"),
    ("GET", "/_sim/requests?limit=0", None, 400, "limit"),
    ("GET", "/_sim/reset", None, 405, "takes POST, not GET"),
    ("DELETE", "/_sim/clock", None, 405, "takes GET and POST"),
    ("POST", "/_sim/none", {}, 404, "There are: /_sim/health"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "says"), WRONG)
def test_a_wrong_knob_is_told_what_is_wrong(
    simulator: Simulator, method: str, path: str, body: Any, status: int, says: str
) -> None:
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    answer = httpx.request(method, simulator.url + path, content=content)
    assert (answer.status_code, says in answer.json()["error"]["message"]) == (status, True), answer.text
    assert sim(simulator, "/_sim/health")["status"] == "ok"


def test_every_knob_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "stripe_simulator" / "README.md").read_text()
    assert [path for path in CONTROLS if f"{path}" not in text] == []


def test_what_is_no_http_closes_the_connection_and_nothing_else(simulator: Simulator) -> None:
    for junk in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"):
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
        connection.connect()
        connection.sock.sendall(junk)
        connection.sock.close()
    large = httpx.Client(timeout=5)
    with pytest.raises(httpx.HTTPError):
        large.post(f"{simulator.url}/v1/customers", content=b"x" * (5 * 1024 * 1024))
    assert sim(simulator, "/_sim/health")["status"] == "ok"
