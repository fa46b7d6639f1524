"""What each way in which a call to Stripe can end means to us, over a real connection."""

import threading
import time
from collections.abc import Iterator

import pytest
import stripe

import tests.harness  # noqa: F401  (the environment of the settings, before tuition is imported)
from stripe_simulator import http
from stripe_simulator.server import Simulator, start
from tuition import clock, settings, stripe_client
from tuition.core.errors import NotConfigured, StripeRefused, StripeUnavailable

INTENT = {"amount": 49900, "currency": "usd", "allowed_payment_method_types": ["card"]}
CREATE = "POST /v1/payment_intents"


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    made = start(seed=1)
    monkeypatch.setenv("STRIPE_API_BASE", made.url)
    monkeypatch.setattr(settings, "_read_secret", lambda arn: {"secret_key": made.stripe.secret_key})
    monkeypatch.setattr(stripe_client, "READ_TIMEOUT_S", 0.5)
    _forget()
    clock.start_deadline()
    yield made
    made.stop()
    _forget()


def _forget() -> None:
    settings.settings.cache_clear()
    settings._kept.clear()
    stripe_client._client_for.cache_clear()


def fail(simulator: Simulator, kind: str, times: int = 1, **more: float) -> None:
    import httpx

    body = {"match": CREATE, "times": times, "fail": kind, **more}
    httpx.post(f"{simulator.url}/_sim/calls", json=body).raise_for_status()


def made(simulator: Simulator) -> int:
    return len(simulator.store.objects.get("payment_intent", {}))


def test_an_answer_that_comes_too_late_is_fetched_by_the_same_key_once_it_is_made(simulator: Simulator) -> None:
    """The first try waits in vain, the next ones find its key in flight (409), the last gets its answer."""
    fail(simulator, "slow", seconds=1.5)
    answer = stripe_client.create_intent(INTENT, "key")
    assert (answer.replayed, made(simulator)) == (True, 1)


def test_a_call_that_hangs_ends_before_the_deadline_without_a_definite_answer(simulator: Simulator) -> None:
    clock.start_deadline(3)
    fail(simulator, "hang")
    began = time.monotonic()
    with pytest.raises(StripeUnavailable) as ended:
        stripe_client.create_intent(INTENT, "key")
    assert (ended.value.status in (503, 504), time.monotonic() - began < 4) == (True, True)


def test_two_at_once_with_one_key_get_the_same_object(simulator: Simulator) -> None:
    fail(simulator, "slow", seconds=0.3)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(stripe_client.create_intent(INTENT, "key").object["id"]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(found), len(set(found)), made(simulator)) == (4, 1, 1)


def test_an_object_that_is_locked_is_asked_for_again(simulator: Simulator) -> None:
    fail(simulator, "lock_timeout", times=5)
    assert stripe_client.create_intent(INTENT, "key").object["status"] == "requires_payment_method"


@pytest.mark.parametrize(("kind", "times", "status"), [("before", 9, 502), ("rate_limit", 1, 503)])
def test_what_stripe_did_not_say_is_told_with_its_status(
    simulator: Simulator, kind: str, times: int, status: int
) -> None:
    fail(simulator, kind, times)
    with pytest.raises(StripeUnavailable) as ended:
        stripe_client.create_intent(INTENT, "key")
    assert (ended.value.status, ended.value.replayed, made(simulator)) == (status, False, 0)


def test_a_lost_answer_and_a_connection_that_is_closed_once_are_made_good(simulator: Simulator) -> None:
    fail(simulator, "after")
    assert stripe_client.create_intent(INTENT, "one").replayed
    fail(simulator, "before")
    assert not stripe_client.create_intent(INTENT, "two").replayed
    assert made(simulator) == 2


def test_a_500_is_kept_under_its_key_and_says_so_when_it_comes_again(simulator: Simulator) -> None:
    fail(simulator, "error")
    for _ in range(2):
        with pytest.raises(StripeUnavailable) as ended:
            stripe_client.create_intent(INTENT, "key")
        assert (ended.value.status, ended.value.replayed) == (502, True)


def test_a_definite_no_keeps_stripes_reason_code_and_parameter(simulator: Simulator) -> None:
    with pytest.raises(StripeRefused) as ended:
        stripe_client.create_intent({**INTENT, "customer": "cus_none"}, "key")
    refused = ended.value
    assert (refused.stripe_status, refused.code, refused.param) == (400, "resource_missing", "customer")
    stripe_client.create_intent(INTENT, "used")
    with pytest.raises(StripeRefused) as used:
        stripe_client.create_intent({**INTENT, "amount": 1000}, "used")
    assert used.value.stripe_type == "idempotency_error"


def test_a_key_that_stripe_refuses_is_our_set_up(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_read_secret", lambda arn: {"secret_key": "sk_test_of_another_account"})
    settings._kept.clear()
    with pytest.raises(NotConfigured, match=r"setup\.md"):
        stripe_client.create_intent(INTENT, "key")


def test_a_key_of_the_other_mode_is_our_set_up_and_not_an_object_that_is_gone(simulator: Simulator) -> None:
    said = "No such payment_intent: 'pi_1'; a similar object exists in live mode, but a test mode key was used"

    def refuse(client: object, options: object) -> None:
        raise stripe.InvalidRequestError(said, "intent", code="resource_missing", http_status=404)

    with pytest.raises(NotConfigured, match=r"setup\.md"):
        stripe_client._ask(refuse)


def test_a_call_that_hangs_once_is_made_good_within_the_deadline(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LINGER_S", 1.0)
    fail(simulator, "hang")
    answer = stripe_client.create_intent(INTENT, "key")
    assert (answer.replayed, made(simulator)) == (True, 1)
