"""Seeded disorder of deliveries, `/_sim/webhooks/drain`, and faults that skip calls."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from stripe_simulator.disorder import MAX_OVERTAKEN, QUIET_S
from stripe_simulator.resources.webhook_endpoints import configure
from stripe_simulator.server import Simulator, Stripe, start
from stripe_simulator.testing.receiver import ReceivedWebhook
from tests.stripe.conftest import Receiver, control, create_customers, eventually, names_delivered
from tests.stripe.test_simulator_server import start_program

COUNT = 40
NAMES = [str(n) for n in range(COUNT)]


@pytest.fixture
def unhurried_simulator(receiver: Receiver) -> Iterator[Simulator]:
    """A simulator whose clock stands still, so that no pause between two requests is long enough to count as quiet."""
    simulated = Stripe(clock=lambda: 1_800_000_000.0)
    configure(simulated.account, receiver.url, "whsec_one")
    simulator = Simulator(simulated)
    yield simulator
    simulator.stop()


def order_of(simulator: Simulator, receiver: Receiver, seed: int) -> list[str]:
    """Return the order in which the events of new customers arrive."""
    control(simulator, "/_sim/reset", {})
    control(simulator, "/_sim/webhooks", {"deliver": "disorder", "seed": seed})
    receiver.clear()
    create_customers(simulator, COUNT)
    assert control(simulator, "/_sim/webhooks/drain", {})["drained"]
    return names_delivered(receiver)


def test_the_same_seed_and_requests_give_the_same_disorder(unhurried_simulator: Simulator, receiver: Receiver) -> None:
    first, second = (order_of(unhurried_simulator, receiver, 7) for _ in range(2))
    assert first == second
    assert order_of(unhurried_simulator, receiver, 8) != first


def test_disorder_lets_deliveries_overtake_others_and_arrive_twice_and_late_but_loses_none(
    unhurried_simulator: Simulator, receiver: Receiver
) -> None:
    names = order_of(unhurried_simulator, receiver, 7)
    counts = Counter(names)
    assert set(counts) == set(NAMES)
    assert {counts[name] for name in NAMES} == {1, 2}
    first_arrivals = list(dict.fromkeys(names))
    moves = [first_arrivals.index(name) - int(name) for name in NAMES]
    assert max(moves) > 10, "some are late"
    assert min(moves) < 0 and any(0 < move <= MAX_OVERTAKEN for move in moves), "some overtake others"


class InProcess:
    """A simulator without a socket, whose clock stands still until a test advances it."""

    def __init__(self, disorder: int | None = None) -> None:
        self.now = 1_800_000_000.0
        self.stripe = Stripe(seed=1, clock=lambda: self.now, disorder=disorder)
        self.post("/v1/webhook_endpoints", "url=http://127.0.0.1:9/&enabled_events[]=customer.created")

    def post(self, path: str, body: str) -> Any:
        headers = {"Authorization": f"Bearer {self.stripe.secret_key}"}
        response = self.stripe.handle("POST", path, headers, body.encode())
        assert response.status == 200, response.body
        return response.json()

    def order(self) -> list[str]:
        """Return the names of the customers of the first endpoint's deliveries that are due, and mark them as tried."""
        first = next(iter(self.stripe.account.store.objects["webhook_endpoint"]))
        names = []
        while (delivery := self.stripe.webhooks.pop_due()) is not None:
            self.stripe.webhooks.record_try(delivery, 200, None)
            if delivery.endpoint_id == first:
                names.append(delivery.event["data"]["object"]["name"])
        return names


@pytest.mark.parametrize("pause_s", [0.0, QUIET_S / 2])
@pytest.mark.parametrize("more_endpoints", [0, 1])
def test_the_order_at_an_endpoint_depends_neither_on_short_pauses_nor_on_other_endpoints(
    pause_s: float, more_endpoints: int
) -> None:
    def run(pause_s: float, more_endpoints: int) -> list[str]:
        simulator = InProcess(disorder=7)
        for _ in range(more_endpoints):
            simulator.post("/v1/webhook_endpoints", "url=http://127.0.0.1:9/&enabled_events[]=customer.created")
        names = []
        for name in NAMES:
            simulator.post("/v1/customers", f"name={name}")
            names += simulator.order()
            simulator.now += pause_s
        simulator.now += QUIET_S
        return names + simulator.order()

    assert run(pause_s, more_endpoints) == run(0.0, 0)


def test_a_late_delivery_waits_until_the_account_is_quiet() -> None:
    simulator = InProcess(disorder=7)
    for name in NAMES:
        simulator.post("/v1/customers", f"name={name}")
    before = simulator.order()
    waiting = simulator.stripe.webhooks.waiting
    assert waiting and set(before) < set(NAMES)
    assert simulator.stripe.webhooks.next_at() == simulator.now + QUIET_S
    simulator.now += QUIET_S - 0.01
    assert simulator.order() == []
    simulator.now += 0.01
    after = simulator.order()
    assert len(after) == waiting and set(before) | set(after) == set(NAMES)
    assert simulator.stripe.webhooks.next_at() is None


def test_each_delivery_in_disorder_waits_for_the_response_to_the_one_before() -> None:
    simulator = InProcess(disorder=7)
    for name in NAMES:
        simulator.post("/v1/customers", f"name={name}")
    webhooks = simulator.stripe.webhooks
    first = webhooks.pop_due()
    assert first is not None and webhooks.outbox
    assert webhooks.pop_due() is None
    webhooks.record_try(first, 200, None)
    assert webhooks.pop_due() is not None


def test_a_reset_restores_the_disorder_of_the_command_line_and_begins_it_again() -> None:
    simulator = start(disorder=7)
    try:
        assert control(simulator, "/_sim/webhooks")["seed"] == 7
        assert control(simulator, "/_sim/webhooks", {"deliver": "normal"})["deliver"] == "normal"
        assert "seed" not in control(simulator, "/_sim/webhooks")
        control(simulator, "/_sim/reset", {})
        state = control(simulator, "/_sim/webhooks")
        assert (state["deliver"], state["seed"]) == ("disorder", 7)
    finally:
        simulator.stop()


def test_late_deliveries_arrive_once_the_account_is_quiet(receiver: Receiver) -> None:
    simulator = start(webhook_url=receiver.url, disorder=7)
    try:
        create_customers(simulator, COUNT)
        eventually(lambda: set(names_delivered(receiver)) == set(NAMES))
    finally:
        simulator.stop()


def test_every_account_has_the_disorder_of_the_command_line() -> None:
    simulator = start(disorder=7)
    try:
        key = {"Authorization": "Bearer sk_test_anotheraccount"}
        state = httpx.get(f"{simulator.url}/_sim/webhooks", headers=key).json()
        assert (state["deliver"], state["seed"]) == ("disorder", 7)
    finally:
        simulator.stop()


def test_a_change_of_the_mode_sends_the_waiting_deliveries() -> None:
    simulator = InProcess(disorder=7)
    for name in NAMES:
        simulator.post("/v1/customers", f"name={name}")
    simulator.order()
    waiting = simulator.stripe.webhooks.waiting
    simulator.stripe.handle("POST", "/_sim/webhooks", {}, b'{"deliver": "normal"}')
    assert len(simulator.order()) == waiting > 0


def test_the_program_delivers_in_disorder() -> None:
    program, ready = start_program("--disorder", "7")
    try:
        state = httpx.get(f"{ready['url']}/_sim/webhooks").json()
        assert (state["deliver"], state["seed"]) == ("disorder", 7)
    finally:
        program.terminate()
        program.communicate(timeout=30)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"deliver": "normal", "seed": 7}, "seed is only for deliver 'disorder'"),
        ({"deliver": "disorder", "seed": -1}, "seed must be a whole number from 0"),
        ({"deliver": "chaos"}, "deliver must be one of normal, hold, drop, duplicate, shuffle, disorder"),
    ],
)
def test_invalid_disorder_is_refused(simulator: Simulator, body: dict[str, Any], message: str) -> None:
    response = httpx.post(f"{simulator.url}/_sim/webhooks", json=body)
    assert response.status_code == 400 and message in response.json()["error"]["message"]
    assert control(simulator, "/_sim/webhooks")["deliver"] == "normal"


# --- drain ---


def test_a_drain_waits_for_deliveries_in_flight_but_not_for_held_ones_or_for_the_next_try(
    webhook_simulator: Simulator, receiver: Receiver
) -> None:
    receiver.statuses += [500]
    create_customers(webhook_simulator, 1)
    control(webhook_simulator, "/_sim/webhooks", {"deliver": "hold"})
    create_customers(webhook_simulator, 2)
    state = control(webhook_simulator, "/_sim/webhooks/drain", {})
    assert state == {"drained": True, "held": 2, "waiting": 1}
    failed, *held = control(webhook_simulator, "/_sim/deliveries")["deliveries"]
    assert (failed["outcome"], failed["tries"][0]["status"]) == ("failed", 500)
    assert failed["due"] > failed["tries"][0]["at"]
    assert [(row["outcome"], row["due"]) for row in held] == [("held", None)] * 2
    control(webhook_simulator, "/_sim/clock", {"advance_s": 1})
    assert control(webhook_simulator, "/_sim/webhooks/drain", {}) == {"drained": True, "held": 2, "waiting": 0}
    assert names_delivered(receiver) == ["0", "0"]


def test_a_drain_blocks_no_other_request_and_ends_with_the_last_delivery(webhook_simulator: Simulator) -> None:
    control(webhook_simulator, "/_sim/webhooks", {"delay_s": 300})
    create_customers(webhook_simulator, 1)
    states: list[Any] = []
    drain = threading.Thread(
        target=lambda: states.append(control(webhook_simulator, "/_sim/webhooks/drain", {"timeout_s": 100}))
    )
    drain.start()
    create_customers(webhook_simulator, 1)
    assert not states
    control(webhook_simulator, "/_sim/clock", {"advance_s": 301})
    drain.join(timeout=90)
    assert states == [{"drained": True, "held": 0, "waiting": 0}]


def test_a_drain_ends_at_its_timeout(webhook_simulator: Simulator) -> None:
    control(webhook_simulator, "/_sim/webhooks", {"delay_s": 300})
    create_customers(webhook_simulator, 1)
    state = control(webhook_simulator, "/_sim/webhooks/drain", {"timeout_s": 0.1})
    assert state == {"drained": False, "held": 0, "waiting": 1}


def test_a_drain_without_a_socket_is_refused() -> None:
    response = Stripe(seed=1).handle("POST", "/_sim/webhooks/drain", {}, b"{}")
    assert response.status == 400
    assert "deliveries wait in webhooks.outbox" in response.json()["error"]["message"]


# --- faults at the n-th call ---


def create_intent(simulator: Simulator) -> stripe.PaymentIntent:
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url}, max_network_retries=0)
    return client.v1.payment_intents.create({"amount": 500, "currency": "usd"})


def test_a_fault_of_every_call_skips_the_first_calls(simulator: Simulator) -> None:
    fault = {"match": "*", "times": 1, "fail": "rate_limit", "skip": 2}
    assert control(simulator, "/_sim/calls", fault) == {"calls": [fault]}
    create_intent(simulator)
    assert control(simulator, "/_sim/calls") == {"calls": [fault | {"skip": 1}]}
    create_customers(simulator, 1)
    with pytest.raises(stripe.RateLimitError):
        create_intent(simulator)
    assert control(simulator, "/_sim/calls") == {"calls": []}
    create_intent(simulator)


def test_two_faults_count_the_same_calls(simulator: Simulator) -> None:
    for skip in (1, 2):
        fault = {"match": "POST /v1/payment_intents", "fail": "rate_limit", "skip": skip}
        control(simulator, "/_sim/calls", fault)
    create_intent(simulator)
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            create_intent(simulator)
    create_intent(simulator)


def test_a_skip_that_is_no_count_is_refused(simulator: Simulator) -> None:
    response = httpx.post(f"{simulator.url}/_sim/calls", content=json.dumps({"match": "*", "skip": -1}))
    assert response.status_code == 400 and "skip must be a whole number" in response.json()["error"]["message"]


def test_a_request_during_a_drain_is_the_cause_of_its_changes(simulator: Simulator, receiver: Receiver) -> None:
    """The handler of a webhook, which makes the request, runs while the drain waits for its response."""
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.created"]})
    is_draining, replies = threading.Event(), []

    def reply(delivery: ReceivedWebhook) -> None:
        assert is_draining.wait(60)
        if not replies:
            replies.append(client.v1.products.create({"name": "Course"}).last_response.request_id)

    receiver.handler = reply
    history = simulator.stripe.account.history
    client.v1.customers.create({})
    with ThreadPoolExecutor(1) as pool:
        drain = pool.submit(control, simulator, "/_sim/webhooks/drain", {})
        eventually(lambda: simulator.stripe.webhooks.outbox == [])
        time.sleep(0.3)  # the drain has begun to wait; if it has not, the test passes without a drain
        is_draining.set()
        assert drain.result(timeout=60)["drained"]
    assert [change.source for change in history.changes if change.kind == "product"] == replies


def mode_after_a_restart(file: Path, option: int | None, **mode: Any) -> dict[str, Any]:
    """Start a simulator with the file and the option `--disorder`, set a mode, stop it, and return what it was."""
    simulator = start(data=file, disorder=option)
    try:
        before = control(simulator, "/_sim/webhooks")
        if mode:
            control(simulator, "/_sim/webhooks", mode)
    finally:
        simulator.stop()
    return {name: before[name] for name in ("deliver", "seed") if name in before}


def test_a_state_file_keeps_the_mode_of_a_control_call_and_not_that_of_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    assert mode_after_a_restart(file, None) == {"deliver": "normal"}
    assert mode_after_a_restart(file, 7) == {"deliver": "disorder", "seed": 7}
    assert mode_after_a_restart(file, 8) == {"deliver": "disorder", "seed": 8}
    assert mode_after_a_restart(file, None, deliver="disorder", seed=5) == {"deliver": "normal"}
    assert mode_after_a_restart(file, None) == {"deliver": "disorder", "seed": 5}
    assert mode_after_a_restart(file, 7, deliver="normal") == {"deliver": "disorder", "seed": 5}
    assert mode_after_a_restart(file, 7) == {"deliver": "normal"}
