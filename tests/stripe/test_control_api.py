"""The control API of the simulator (`/_sim`) over HTTP: faults, webhooks, the clock, refunds, disputes and errors."""

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
from stripe_simulator.control import ACCOUNT_CONTROLS, CONTROLS
from stripe_simulator.server import Simulator, start
from tests.stripe.conftest import Receiver, control, create_customers, drain, eventually, names_delivered
from tests.stripe.test_contract import pay

INTENT: Any = {"amount": 500, "currency": "usd"}
ONE_CREATE = {"match": "POST /v1/payment_intents", "times": 1}


def client_of(simulator: Simulator) -> stripe.StripeClient:
    """Return a client without retries and without the response check."""
    return stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url}, max_network_retries=0)


def intent_count(simulator: Simulator) -> int:
    return len(simulator.store.objects.get("payment_intent", {}))


# --- faults ---


@pytest.mark.parametrize(("fail", "count"), [("before", 0), ("after", 1)])
def test_the_connection_closes_before_or_after_the_request_executes(
    simulator: Simulator, client: stripe.StripeClient, fail: str, count: int
) -> None:
    control(simulator, "/_sim/calls", {**ONE_CREATE, "fail": fail})
    with pytest.raises(stripe.APIConnectionError):
        client_of(simulator).v1.payment_intents.create(INTENT, {"idempotency_key": "k"})
    assert intent_count(simulator) == count
    intent = client.v1.payment_intents.create(INTENT, {"idempotency_key": "k"})
    assert intent_count(simulator) == 1
    assert intent.last_response.headers.get("idempotent-replayed") == ("true" if fail == "after" else None)


def test_the_client_retries_twice_after_lost_responses(simulator: Simulator, client: stripe.StripeClient) -> None:
    control(simulator, "/_sim/calls", {"match": "POST /v1/payment_intents", "times": 2, "fail": "after"})
    client.v1.payment_intents.create(INTENT)  # the client generates an idempotency key
    assert intent_count(simulator) == 1
    control(simulator, "/_sim/calls", {"match": "POST /v1/payment_intents", "times": 3, "fail": "before"})
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create(INTENT)


def test_a_hanging_request_blocks_its_idempotency_key_and_executes_later(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (http_server.HANG_S, http_server.LINGER_S) == (60, 5)
    monkeypatch.setattr(http_server, "LINGER_S", 2.0)
    control(simulator, "/_sim/calls", {**ONE_CREATE, "fail": "hang"})
    body = "amount=500&currency=usd"
    auth = httpx.BasicAuth(simulator.secret_key, "")
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": "k"}
    with httpx.Client(base_url=simulator.url, auth=auth, headers=headers) as api, pytest.raises(httpx.ReadTimeout):
        api.post("/v1/payment_intents", content=body, timeout=0.3)
    with httpx.Client(base_url=simulator.url, auth=auth, headers=headers) as api:
        conflict = api.post("/v1/payment_intents", content=body)
        assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "idempotency_key_in_use")
        assert conflict.json()["error"]["type"] == "invalid_request_error"
        assert conflict.headers["Stripe-Should-Retry"] == "true"
        assert intent_count(simulator) == 0
        eventually(lambda: intent_count(simulator) == 1, 30)
        assert api.post("/v1/payment_intents", content=body).headers["Idempotent-Replayed"] == "true"


@pytest.mark.soak
@pytest.mark.timeout(90)
def test_a_hanging_request_takes_one_minute(simulator: Simulator) -> None:
    control(simulator, "/_sim/calls", {**ONE_CREATE, "fail": "hang"})
    started_at = time.monotonic()
    auth = (simulator.secret_key, "")
    response = httpx.post(f"{simulator.url}/v1/payment_intents", data=INTENT, auth=auth, timeout=70)
    assert response.status_code == 200
    assert 59 < time.monotonic() - started_at < 65


def test_a_rate_limit_is_a_429_that_is_neither_retried_nor_stored(
    simulator: Simulator, client: stripe.StripeClient
) -> None:
    control(simulator, "/_sim/calls", {**ONE_CREATE, "fail": "rate_limit"})
    with pytest.raises(stripe.RateLimitError) as excinfo:
        client.v1.payment_intents.create(INTENT, {"idempotency_key": "k"})
    assert (excinfo.value.http_status, excinfo.value.error.code) == (429, "rate_limit")  # type: ignore[union-attr]
    assert excinfo.value.headers["stripe-rate-limited-reason"] == "global-rate"
    assert len(control(simulator, "/_sim/requests")["requests"]) == 1
    assert client.v1.payment_intents.create(INTENT, {"idempotency_key": "k"}).amount == 500


def test_a_lock_timeout_is_a_429_that_the_client_retries(simulator: Simulator, client: stripe.StripeClient) -> None:
    control(simulator, "/_sim/calls", {"match": "POST /v1/payment_intents", "times": 2, "fail": "lock_timeout"})
    client.v1.payment_intents.create(INTENT)
    statuses = [request["status"] for request in control(simulator, "/_sim/requests")["requests"]]
    assert statuses == [429, 429, 200]


def test_a_500_is_stored_and_replayed_when_the_client_retries(
    simulator: Simulator, client: stripe.StripeClient
) -> None:
    control(simulator, "/_sim/calls", {**ONE_CREATE, "fail": "error"})
    with pytest.raises(stripe.APIError) as excinfo:
        client.v1.payment_intents.create(INTENT)
    assert excinfo.value.headers["idempotent-replayed"] == "true"
    statuses = [request["status"] for request in control(simulator, "/_sim/requests")["requests"]]
    assert statuses == [500, 500, 500]
    assert intent_count(simulator) == 0


def test_a_slow_request_is_delayed_by_the_given_seconds(simulator: Simulator) -> None:
    control(simulator, "/_sim/calls", {**ONE_CREATE, "fail": "slow", "seconds": 0.4})
    started_at = time.monotonic()
    client_of(simulator).v1.payment_intents.create(INTENT)
    assert 0.4 < time.monotonic() - started_at < 5


def test_faults_match_method_and_path_and_can_be_listed_and_deleted(
    simulator: Simulator, client: stripe.StripeClient
) -> None:
    id = client.v1.payment_intents.create(INTENT).id
    fault = {"match": "POST /v1/payment_intents/*/cancel", "times": 2, "fail": "rate_limit"}
    assert control(simulator, "/_sim/calls", fault) == {"calls": [fault]}
    client.v1.payment_intents.retrieve(id)
    client.v1.payment_intents.update(id, {"description": "x"})
    with pytest.raises(stripe.RateLimitError):
        client.v1.payment_intents.cancel(id)
    assert control(simulator, "/_sim/calls") == {"calls": [fault | {"times": 1}]}
    assert httpx.delete(f"{simulator.url}/_sim/calls").json() == {"calls": []}
    assert client.v1.payment_intents.cancel(id).status == "canceled"
    control(simulator, "/_sim/calls", {"match": "* /v1/customers", "times": 1, "fail": "rate_limit"})
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()


def test_requests_above_the_rate_limit_are_refused(simulator: Simulator, client: stripe.StripeClient) -> None:
    control(simulator, "/_sim/clock", {"advance_s": 0})
    assert control(simulator, "/_sim/limits", {"per_second": 5}) == {"per_second": 5}
    refusals = 0
    for _ in range(40):
        try:
            client.v1.payment_intents.create(INTENT)
        except stripe.RateLimitError:
            refusals += 1
    assert refusals + intent_count(simulator) == 40
    assert refusals > 0 and intent_count(simulator) >= 5
    control(simulator, "/_sim/limits", {"per_second": 0})
    before = intent_count(simulator)
    for _ in range(20):
        client.v1.payment_intents.create(INTENT)
    assert intent_count(simulator) == before + 20


# --- webhooks ---


def test_held_webhooks_are_delivered_on_release(webhook_simulator: Simulator, receiver: Receiver) -> None:
    state = control(webhook_simulator, "/_sim/webhooks", {"deliver": "hold", "delay_s": 0})
    assert state == {"deliver": "hold", "delay_s": 0.0, "held": 0, "waiting": 0}
    create_customers(webhook_simulator, 5)
    assert control(webhook_simulator, "/_sim/webhooks")["held"] == 5 and receiver.deliveries == []
    body = {"order": "as_created", "seed": 1, "times": 1}
    assert control(webhook_simulator, "/_sim/webhooks/release", body) == {"released": 5}
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 5
    assert names_delivered(receiver) == [str(n) for n in range(5)]
    assert control(webhook_simulator, "/_sim/webhooks")["held"] == 0


@pytest.mark.parametrize("order", ["as_created", "reversed", "shuffled"])
def test_released_webhooks_arrive_in_the_requested_order(
    webhook_simulator: Simulator, receiver: Receiver, order: str
) -> None:
    control(webhook_simulator, "/_sim/webhooks", {"deliver": "hold"})
    create_customers(webhook_simulator, 20)
    as_created = [str(n) for n in range(20)]
    control(webhook_simulator, "/_sim/webhooks/release", {"order": order, "seed": 7, "times": 1})
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 20
    shuffled = list(as_created)
    random.Random(7).shuffle(shuffled)
    orders = {"as_created": as_created, "reversed": as_created[::-1], "shuffled": shuffled}
    assert names_delivered(receiver) == orders[order]


def test_a_release_continues_after_a_failed_delivery(webhook_simulator: Simulator, receiver: Receiver) -> None:
    control(webhook_simulator, "/_sim/webhooks", {"deliver": "hold"})
    create_customers(webhook_simulator, 3)
    receiver.statuses = [500]
    control(webhook_simulator, "/_sim/webhooks/release", {"order": "reversed"})
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 3
    control(webhook_simulator, "/_sim/clock", {"advance_s": 1})
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 4
    assert names_delivered(receiver) == ["2", "1", "0", "2"]


def test_an_unreachable_endpoint_does_not_block_the_others(webhook_simulator: Simulator, receiver: Receiver) -> None:
    client = stripe.StripeClient(webhook_simulator.secret_key, base_addresses={"api": webhook_simulator.url})
    for url in ("http://127.0.0.1:1/", "http://127.0.0.1/ö", "http://" + "x" * 70 + "/"):
        client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["*"]})
    create_customers(webhook_simulator, 10)
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 10
    for url in ("http://127.0.0.1:99999/", "ftp://x.y/", "127.0.0.1:80", "http://"):
        with pytest.raises(stripe.InvalidRequestError) as excinfo:
            client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["*"]})
        assert (excinfo.value.code, excinfo.value.param) == ("url_invalid", "url")


def test_a_release_can_deliver_each_event_several_times(webhook_simulator: Simulator, receiver: Receiver) -> None:
    control(webhook_simulator, "/_sim/webhooks", {"deliver": "hold"})
    create_customers(webhook_simulator, 2)
    body = {"order": "shuffled", "seed": 1, "times": 3}
    assert control(webhook_simulator, "/_sim/webhooks/release", body) == {"released": 6}
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 6
    assert sorted(names_delivered(receiver)) == ["0"] * 3 + ["1"] * 3


@pytest.mark.parametrize(("mode", "count"), [("normal", 2), ("duplicate", 4), ("drop", 0), ("shuffle", 2)])
def test_the_delivery_mode_decides_how_often_events_are_delivered(
    webhook_simulator: Simulator, receiver: Receiver, mode: str, count: int
) -> None:
    control(webhook_simulator, "/_sim/webhooks", {"deliver": mode, "delay_s": 0})
    create_customers(webhook_simulator, 2)
    drain(webhook_simulator)
    assert len(receiver.deliveries) == count
    outcomes = {delivery["outcome"] for delivery in control(webhook_simulator, "/_sim/deliveries")["deliveries"]}
    assert outcomes == {"dropped" if mode == "drop" else "delivered"}


def test_a_delayed_delivery_waits_for_the_simulators_clock(webhook_simulator: Simulator, receiver: Receiver) -> None:
    control(webhook_simulator, "/_sim/webhooks", {"deliver": "normal", "delay_s": 300})
    create_customers(webhook_simulator, 1)
    assert not control(webhook_simulator, "/_sim/webhooks/drain", {"timeout_s": 0.1})["drained"]
    assert receiver.deliveries == []
    control(webhook_simulator, "/_sim/clock", {"advance_s": 301})
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 1


def test_shuffled_deliveries_arrive_out_of_order(webhook_simulator: Simulator, receiver: Receiver) -> None:
    control(webhook_simulator, "/_sim/webhooks", {"deliver": "shuffle"})
    create_customers(webhook_simulator, 12)
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 12
    assert names_delivered(receiver) != [str(n) for n in range(12)]
    assert sorted(names_delivered(receiver), key=int) == [str(n) for n in range(12)]


def test_after_a_roll_both_secrets_sign_until_the_old_one_expires(
    webhook_simulator: Simulator, receiver: Receiver
) -> None:
    (new,) = control(webhook_simulator, "/_sim/webhooks/roll", {"keep_s": 3600})["secrets"].values()
    create_customers(webhook_simulator, 1)
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 1
    header, body = receiver.deliveries[0]
    assert header.count("v1=") == 2 and header.count("v0=") == 1
    for secret in (new, "whsec_one"):
        assert stripe.Webhook.construct_event(body, header, secret).type == "customer.created"
    control(webhook_simulator, "/_sim/clock", {"advance_s": 3601})
    create_customers(webhook_simulator, 1)
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 2
    header, body = receiver.deliveries[1]
    assert header.count("v1=") == 1
    assert stripe.Webhook.construct_event(body, header, new).type == "customer.created"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, header, "whsec_one")


def test_each_delivery_attempt_has_its_own_signature(webhook_simulator: Simulator, receiver: Receiver) -> None:
    receiver.statuses += [500]
    create_customers(webhook_simulator, 1)
    eventually(lambda: len(receiver.deliveries) == 2)
    (first_signature, first_body), (second_signature, second_body) = receiver.deliveries
    assert first_body == second_body and first_signature != second_signature


# --- clock, 3-D Secure, disputes, refunds ---


def test_the_clock_changes_the_dates_of_objects_but_not_of_signatures(
    webhook_simulator: Simulator, receiver: Receiver
) -> None:
    now = time.time()
    clock = control(webhook_simulator, "/_sim/clock", {"advance_s": 10 * 86400})
    assert abs(clock["now"] - now - 10 * 86400) < 5 and abs(clock["offset_s"] - 10 * 86400) < 0.1
    create_customers(webhook_simulator, 1)
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 1
    header, body = receiver.deliveries[0]
    assert json.loads(body)["created"] >= int(now) + 10 * 86400
    assert abs(int(header.split(",")[0].removeprefix("t=")) - now) < 60


@pytest.mark.parametrize(("outcome", "status"), [("success", "succeeded"), ("failure", "requires_payment_method")])
def test_the_control_api_completes_3d_secure(
    client: stripe.StripeClient, simulator: Simulator, outcome: str, status: str
) -> None:
    intent = pay(client, "pm_card_threeDSecure2Required")
    path = f"/_sim/payment_intents/{intent.id}/authenticate"
    assert control(simulator, path, {"outcome": outcome})["status"] == status
    repeated = httpx.post(simulator.url + path, json={"outcome": outcome})
    assert repeated.status_code == 400 and status in repeated.json()["error"]["message"]
    params: Any = {"confirm": True, "payment_method": "pm_card_authenticationRequired", "return_url": "https://x/"}
    setup = client.v1.setup_intents.create(params)
    setup_after = control(simulator, f"/_sim/setup_intents/{setup.id}/authenticate", {"outcome": outcome})
    assert setup_after["status"] == status
    assert (setup_after["last_setup_error"] is None) == (outcome == "success")


def test_the_control_api_creates_refunds_and_changes_their_status(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    intent = pay(client, "pm_card_visa")

    def refundable_amount() -> int:
        charge = client.v1.charges.retrieve(str(intent.latest_charge))
        return charge.amount - charge.amount_refunded

    for status, amount in (("succeeded", 49800), ("failed", 49800), ("canceled", 49800)):
        body = {"payment_intent": intent.id, "amount": 100, "status": "requires_action"}
        refund = control(simulator, "/_sim/refunds", body)
        assert refund["next_action"]["type"] == "display_details"
        assert control(simulator, "/_sim/refunds", {"refund": refund["id"], "status": "pending"})["status"] == "pending"
        assert control(simulator, "/_sim/refunds", {"refund": refund["id"], "status": status})["status"] == status
        assert refundable_amount() == amount
    finished = httpx.post(simulator.url + "/_sim/refunds", json={"refund": refund["id"], "status": "succeeded"})
    assert finished.status_code == 400 and "canceled" in finished.json()["error"]["message"]
    too_large = httpx.post(simulator.url + "/_sim/refunds", json={"payment_intent": intent.id, "amount": 49801})
    assert too_large.status_code == 400 and "greater than" in too_large.json()["error"]["message"]


def test_the_control_api_creates_disputes_and_changes_their_status(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    intent = pay(client, "pm_card_visa")
    dispute = control(simulator, "/_sim/disputes", {"payment_intent": intent.id, "reason": "duplicate"})
    assert (dispute["status"], dispute["reason"]) == ("needs_response", "duplicate")
    for status in ("lost", "appeal_under_review", "won", "lost", "prevented", "never_heard_of"):
        assert control(simulator, "/_sim/disputes", {"dispute": dispute["id"], "status": status})["status"] == status


def test_the_control_api_and_a_test_card_create_early_fraud_warnings(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    path = "/_sim/early_fraud_warnings"
    intent = pay(client, "pm_card_visa")
    warning = control(simulator, path, {"payment_intent": intent.id, "fraud_type": "made_with_stolen_card"})
    assert (warning["charge"], warning["fraud_type"], warning["actionable"]) == (
        intent.latest_charge,
        "made_with_stolen_card",
        True,
    )
    by_card = pay(client, "pm_card_createIssuerFraudRecord")
    listed = client.v1.radar.early_fraud_warnings.list().data
    assert [one.payment_intent for one in listed] == [by_card.id, intent.id]
    assert client.v1.radar.early_fraud_warnings.list({"charge": intent.latest_charge}).data[0].id == warning["id"]
    (event,) = client.v1.events.list({"type": "radar.early_fraud_warning.created", "limit": 1}).data
    assert event.data.object["id"] == listed[0].id
    refused = httpx.post(simulator.url + path, json={"charge": intent.latest_charge, "fraud_type": "bored"})
    assert refused.status_code == 400


# --- reset, logs and errors ---


def test_a_reset_deletes_everything_but_the_keys_and_the_first_endpoint(
    webhook_simulator: Simulator, receiver: Receiver
) -> None:
    create_customers(webhook_simulator, 3)
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 3
    client_of(webhook_simulator).v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    for path, body in (
        ("/_sim/webhooks", {"deliver": "hold", "delay_s": 9}),
        ("/_sim/calls", {"match": "* /v1/customers", "times": 9, "fail": "before"}),
        ("/_sim/clock", {"advance_s": 5000}),
        ("/_sim/limits", {"per_second": 1}),
    ):
        control(webhook_simulator, path, body)
    assert control(webhook_simulator, "/_sim/reset", {}) == {"reset": True}
    state = control(webhook_simulator, "/_sim/webhooks")
    assert state == {"deliver": "normal", "delay_s": 0.0, "held": 0, "waiting": 0}
    assert control(webhook_simulator, "/_sim/clock")["offset_s"] == 0
    assert control(webhook_simulator, "/_sim/requests") == {"requests": []}
    client = client_of(webhook_simulator)
    assert client.v1.customers.list().data == client.v1.events.list().data == []
    (endpoint,) = client.v1.webhook_endpoints.list().data
    assert endpoint.url == receiver.url
    create_customers(webhook_simulator, 1)
    drain(webhook_simulator)
    assert len(receiver.deliveries) == 4


def test_a_reset_needs_no_body_and_returns_json(simulator: Simulator) -> None:
    response = httpx.post(f"{simulator.url}/_sim/reset")
    assert response.json() == {"reset": True} and response.headers["content-type"] == "application/json"


def test_a_key_is_added_beside_the_first_and_expired(simulator: Simulator) -> None:
    old = simulator.stripe.secret_key
    new = control(simulator, "/_sim/keys", {"secret_key": "rk_test_second"})["secret_key"]

    def status(key: str) -> tuple[int, str | None]:
        response = httpx.get(f"{simulator.url}/v1/customers", auth=(key, ""))
        return response.status_code, response.json().get("error", {}).get("code")

    assert (status(old), status(new)) == ((200, None), (200, None))
    httpx.request("DELETE", f"{simulator.url}/_sim/keys", json={"secret_key": old}).raise_for_status()
    assert (status(old), status(new)) == ((401, "api_key_expired"), (200, None))
    control(simulator, "/_sim/keys", {"secret_key": old})
    assert status(old) == (200, None)


def test_the_request_log_holds_the_caller_the_params_and_the_result(
    simulator: Simulator, client: stripe.StripeClient
) -> None:
    client.v1.customers.create({"name": "x", "metadata": {"a": "b"}}, {"idempotency_key": "k"})
    invalid: Any = {"nme": "x"}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.create(invalid)
    first, second = control(simulator, "/_sim/requests")["requests"]
    assert (first["method"], first["path"], first["status"], first["error"]) == ("POST", "/v1/customers", 200, None)
    assert first["params"] == {"name": "x", "metadata": {"a": "b"}} and first["idempotency_key"] == "k"
    assert first["user_agent"].startswith("Stripe/v1 PythonBindings/")
    assert (second["status"], second["error"]["code"]) == (400, "parameter_unknown")
    assert control(simulator, "/_sim/requests?limit=1")["requests"] == [second]


INVALID_CALLS = [
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
    ("POST", "/_sim/calls", {**ONE_CREATE, "fail": "never"}, 400, "one of before, after, hang"),
    ("POST", "/_sim/calls", {**ONE_CREATE, "times": -1}, 400, "times"),
    ("POST", "/_sim/calls", {**ONE_CREATE, "fail": "hang", "seconds": 2}, 400, "seconds is only for fail"),
    ("POST", "/_sim/clock", {"advance_s": -5}, 400, "advance_s"),
    ("POST", "/_sim/clock", {"advance_s": True}, 400, "advance_s"),
    ("POST", "/_sim/clock", {"advance": 5}, 400, "takes advance_s"),
    ("POST", "/_sim/clock", b"{advance", 400, "not JSON"),
    ("POST", "/_sim/clock", b'{"advance_s": NaN}', 400, "advance_s"),
    ("POST", "/_sim/clock", b'{"advance_s": 1e300}', 400, "advance_s"),
    ("POST", "/_sim/clock", b"\xff\xfe", 400, "not JSON"),
    ("POST", "/_sim/clock", b"[5]", 400, "JSON object"),
    ("POST", "/_sim/keys", {"secret_key": "pk_test_1"}, 400, "sk_test_ or rk_test_"),
    ("DELETE", "/_sim/keys", {"secret_key": "sk_test_none"}, 400, "a secret key of this account"),
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
    ("POST", "/_sim/none", {}, 404, "/_sim/payment_intents/*/authenticate"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "message"), INVALID_CALLS)
def test_an_invalid_control_call_gets_an_error_that_names_the_problem(
    simulator: Simulator, method: str, path: str, body: Any, status: int, message: str
) -> None:
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    response = httpx.request(method, simulator.url + path, content=content)
    assert (response.status_code, message in response.json()["error"]["message"]) == (status, True), response.text
    assert control(simulator, "/_sim/health")["status"] == "ok"


def test_every_control_route_is_documented() -> None:
    text = (Path(__file__).parents[2] / "stripe_simulator" / "README.md").read_text()
    assert [path for path in (*CONTROLS, *ACCOUNT_CONTROLS) if f"{path}" not in text] == []


def test_invalid_http_closes_only_its_connection(simulator: Simulator) -> None:
    for junk in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"):
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
        connection.connect()
        connection.sock.sendall(junk)
        connection.sock.close()
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{simulator.url}/v1/customers", content=b"x" * (5 * 1024 * 1024), timeout=5)
    assert control(simulator, "/_sim/health")["status"] == "ok"


# --- callers ---


def send(simulator: Simulator, method: str, path: str, headers: dict[str, str], body: str = "") -> int:
    """Send a request with these headers, as a browser on any page could, and return the status of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=10)
    try:
        connection.request(method, path, body.encode(), headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://localhost@evil.example"},
        {"Origin": "http://[::1"},
        {"Host": "evil.example"},
        {"Host": "evil.example:12111"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "127.0.0.1", "Origin": "https://evil.example"},
    ],
)
@pytest.mark.parametrize("path", ["/_sim/reset", "/_sim/refunds", "/_sim/3ds/pi_1", "/", "/inspect/events/release"])
def test_a_page_of_another_origin_cannot_control_the_simulator(
    simulator: Simulator, client: stripe.StripeClient, headers: dict[str, str], path: str
) -> None:
    client.v1.payment_intents.create(INTENT)
    for method in ("POST", "OPTIONS"):
        assert send(simulator, method, path, headers) == 403
    assert intent_count(simulator) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "http://localhost:8000"},
        {"Origin": "http://[::1]:8000"},
        {"Host": "localhost:12111"},
        {"Host": "127.0.0.2"},
        {"Host": "[::1]:12111"},
    ],
)
def test_a_caller_on_this_machine_controls_the_simulator(simulator: Simulator, headers: dict[str, str]) -> None:
    assert send(simulator, "POST", "/_sim/webhooks", headers, "{}") == 200
    assert send(simulator, "OPTIONS", "/_sim/webhooks", headers) == 204


def test_a_control_request_may_come_from_the_public_host(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Host": "school.example:12111", "Origin": "https://school.example"}
    assert send(simulator, "POST", "/_sim/webhooks", headers, "{}") == 403
    monkeypatch.setattr(simulator, "public_host", "school.example")
    assert send(simulator, "POST", "/_sim/webhooks", headers, "{}") == 200
    assert send(simulator, "POST", "/_sim/webhooks", {**headers, "Origin": "https://evil.example"}, "{}") == 403


def test_the_public_host_is_an_option_of_start() -> None:
    simulator = start(public_host="school.example")
    try:
        assert send(simulator, "POST", "/_sim/webhooks", {"Host": "school.example"}, "{}") == 200
        assert send(simulator, "POST", "/_sim/webhooks", {"Host": "other.example"}, "{}") == 403
    finally:
        simulator.stop()


def test_stripes_own_api_accepts_a_browser_on_any_page(simulator: Simulator) -> None:
    headers = {"Origin": "https://school.example"}
    assert send(simulator, "OPTIONS", "/v1/payment_intents", headers) == 204
    assert send(simulator, "POST", "/v1/payment_intents", headers) == 401
