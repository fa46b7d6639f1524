"""How `stripe_client` handles every outcome of a call to Stripe, over a real connection to the simulator."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import stripe

import tests.harness  # noqa: F401  (sets the environment variables before tuition is imported)
from stripe_simulator import http_server
from stripe_simulator.server import Simulator, start
from tuition import clock, settings
from tuition.core.errors import NotConfigured, StripeRefused, StripeUnavailable
from tuition.stripe_gateway import client as stripe_client

INTENT = {"amount": 49900, "currency": "usd", "allowed_payment_method_types": ["card"]}
CREATE = "POST /v1/payment_intents"


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator that `stripe_client` calls, with a read timeout of half a second."""
    simulator = start(seed=1)
    monkeypatch.setenv("STRIPE_API_BASE", simulator.url)
    monkeypatch.setattr(settings, "_read_secret", lambda arn: {"secret_key": simulator.stripe.secret_key})
    monkeypatch.setattr(stripe_client, "READ_TIMEOUT_S", 0.5)
    _clear_caches()
    clock.start_deadline()
    yield simulator
    simulator.stop()
    _clear_caches()


def _clear_caches() -> None:
    settings.settings.cache_clear()
    settings._kept.clear()
    stripe_client._client_for.cache_clear()


def set_fault(simulator: Simulator, kind: str, times: int = 1, **more: float) -> None:
    """Let the next calls to create a PaymentIntent fail."""
    body = {"match": CREATE, "times": times, "fail": kind, **more}
    httpx.post(f"{simulator.url}/_sim/calls", json=body).raise_for_status()


def intent_count(simulator: Simulator) -> int:
    return len(simulator.store.objects.get("payment_intent", {}))


def test_a_response_after_the_timeout_is_fetched_with_the_same_idempotency_key(simulator: Simulator) -> None:
    """The first attempt times out, the next ones get a 409 for a key in flight, and the last gets the response."""
    set_fault(simulator, "slow", seconds=1.5)
    response = stripe_client.create_intent(INTENT, "key")
    assert (response.replayed, intent_count(simulator)) == (True, 1)


def test_a_hanging_call_ends_as_unavailable_before_the_deadline(simulator: Simulator) -> None:
    clock.start_deadline(3)
    set_fault(simulator, "hang")
    started_at = time.monotonic()
    with pytest.raises(StripeUnavailable) as excinfo:
        stripe_client.create_intent(INTENT, "key")
    assert excinfo.value.status in (503, 504)
    assert time.monotonic() - started_at < 4


def test_concurrent_calls_with_one_idempotency_key_return_the_same_object(simulator: Simulator) -> None:
    set_fault(simulator, "slow", seconds=0.3)
    ids = []
    threads = [
        threading.Thread(target=lambda: ids.append(stripe_client.create_intent(INTENT, "key").object["id"]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(ids), len(set(ids)), intent_count(simulator)) == (4, 1, 1)


def test_a_lock_timeout_is_retried(simulator: Simulator) -> None:
    set_fault(simulator, "lock_timeout", times=5)
    assert stripe_client.create_intent(INTENT, "key").object["status"] == "requires_payment_method"


@pytest.mark.parametrize(("kind", "times", "status"), [("before", 9, 502), ("rate_limit", 1, 503)])
def test_a_lost_connection_and_a_rate_limit_are_reported_as_unavailable(
    simulator: Simulator, kind: str, times: int, status: int
) -> None:
    set_fault(simulator, kind, times)
    with pytest.raises(StripeUnavailable) as excinfo:
        stripe_client.create_intent(INTENT, "key")
    assert (excinfo.value.status, excinfo.value.replayed, intent_count(simulator)) == (status, False, 0)


def test_a_lost_response_and_a_closed_connection_are_retried(simulator: Simulator) -> None:
    set_fault(simulator, "after")
    assert stripe_client.create_intent(INTENT, "one").replayed
    set_fault(simulator, "before")
    assert not stripe_client.create_intent(INTENT, "two").replayed
    assert intent_count(simulator) == 2


def test_a_500_is_replayed_for_its_idempotency_key(simulator: Simulator) -> None:
    set_fault(simulator, "error")
    for _ in range(2):
        with pytest.raises(StripeUnavailable) as excinfo:
            stripe_client.create_intent(INTENT, "key")
        assert (excinfo.value.status, excinfo.value.replayed) == (502, True)


def test_a_refusal_carries_stripes_status_type_code_and_parameter(simulator: Simulator) -> None:
    with pytest.raises(StripeRefused) as excinfo:
        stripe_client.create_intent({**INTENT, "customer": "cus_none"}, "key")
    error = excinfo.value
    assert (error.stripe_status, error.code, error.param) == (400, "resource_missing", "customer")
    stripe_client.create_intent(INTENT, "used")
    with pytest.raises(StripeRefused) as excinfo:
        stripe_client.create_intent({**INTENT, "amount": 1000}, "used")
    assert excinfo.value.stripe_type == "idempotency_error"


def test_an_api_key_that_stripe_refuses_is_a_configuration_error(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_read_secret", lambda arn: {"secret_key": "sk_test_of_another_account"})
    settings._kept.clear()
    with pytest.raises(NotConfigured, match=r"setup\.md"):
        stripe_client.create_intent(INTENT, "key")


def test_a_rotated_key_is_read_again_once_when_stripe_refuses_the_cached_one(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 401 did nothing at Stripe, so the same call with the same idempotency key is made with the new key."""
    old = simulator.stripe.secret_key
    stripe_client.create_intent(INTENT, "before")
    new = httpx.post(f"{simulator.url}/_sim/keys", json={}).json()["secret_key"]
    reads: list[str] = []
    monkeypatch.setattr(settings, "_read_secret", lambda arn: reads.append(arn) or {"secret_key": new})
    httpx.request("DELETE", f"{simulator.url}/_sim/keys", json={"secret_key": old}).raise_for_status()
    assert not stripe_client.create_intent(INTENT, "during").replayed
    stripe_client.create_intent(INTENT, "after")
    assert (len(reads), intent_count(simulator)) == (1, 3)


def test_a_key_that_was_rotated_while_its_call_was_under_way_refuses_no_payment(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of the secret expires during the call, so it has the new key before Stripe refuses the old one."""
    old = simulator.stripe.secret_key
    settings.stripe_secret_key()
    new = httpx.post(f"{simulator.url}/_sim/keys", json={}).json()["secret_key"]
    monkeypatch.setattr(settings, "_read_secret", lambda arn: {"secret_key": new})
    httpx.request("DELETE", f"{simulator.url}/_sim/keys", json={"secret_key": old}).raise_for_status()

    def create(client: stripe.StripeClient, options: stripe.RequestOptions) -> object:
        settings._kept.clear()
        return client.v1.payment_intents.create(INTENT, options)

    stripe_client._ask(create, "during")
    assert intent_count(simulator) == 1


def test_a_revoked_key_that_nothing_replaces_costs_one_read_of_the_secret_per_call(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = simulator.stripe.secret_key
    stripe_client.create_intent(INTENT, "before")
    httpx.request("DELETE", f"{simulator.url}/_sim/keys", json={"secret_key": old}).raise_for_status()
    reads: list[str] = []
    monkeypatch.setattr(settings, "_read_secret", lambda arn: reads.append(arn) or {"secret_key": old})
    with pytest.raises(NotConfigured, match="refuses our key"):
        stripe_client.create_intent(INTENT, "during")
    calls = httpx.get(f"{simulator.url}/_sim/requests").json()["requests"]
    assert (len(reads), [call["status"] for call in calls].count(401)) == (1, 1)


def test_an_api_key_of_the_other_mode_is_a_configuration_error_and_not_a_missing_object(simulator: Simulator) -> None:
    message = "No such payment_intent: 'pi_1'; a similar object exists in live mode, but a test mode key was used"

    def refuse(client: object, options: object) -> None:
        raise stripe.InvalidRequestError(message, "intent", code="resource_missing", http_status=404)

    with pytest.raises(NotConfigured, match=r"setup\.md"):
        stripe_client._ask(refuse)


def test_a_call_that_hangs_once_is_retried_within_the_deadline(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "LINGER_S", 1.0)
    set_fault(simulator, "hang")
    response = stripe_client.create_intent(INTENT, "key")
    assert (response.replayed, intent_count(simulator)) == (True, 1)
