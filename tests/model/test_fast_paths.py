"""The fast paths of the search, compared with the paths that the code takes in Lambda."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe
from pynamodb.attributes import JSONAttribute
from pynamodb.models import Model

from tests.model import fake_clients, fast_items
from tests.model.simulation import SECRET_KEY, Simulation
from tuition.core.errors import StripeRefused, StripeUnavailable
from tuition.storage import dynamodb
from tuition.storage.items import MODELS, QuarantineItem
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway.client import Answer

LINE_ITEM = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 49_900, "product_data": {"name": "DP"}}}
SESSION = {
    "mode": "payment",
    "line_items": [LINE_ITEM],
    "success_url": "https://example.org/ok?a=1&b=[2]",
    "cancel_url": "https://example.org/no",
    "allowed_payment_method_types": ["card", "us_bank_account"],
    "adaptive_pricing": {"enabled": False},
    "payment_intent_data": {"metadata": {"app": "tuition", "user": "ärger & Söhne"}},
}
INTENT = {"amount": 49_900, "currency": "usd", "allowed_payment_method_types": ["card"], "metadata": {"app": "tuition"}}


def stripe_calls(sim: Simulation) -> Iterator[Callable[[], Any]]:
    """Yield every call that Tuition makes to Stripe, with its possible outcomes."""
    s = stripe_client
    customer = {"email": "ada@example.org", "metadata": {"user_id": "ada"}}
    yield lambda: s.create_customer(customer, "k1")
    yield lambda: s.create_customer(customer, "k1")
    yield lambda: s.create_customer({"email": "else@example.org"}, "k1")
    yield lambda: s.retrieve_customer(sim.objects("customer")[0]["id"])
    yield lambda: s.retrieve_customer("cus_nobody")
    yield lambda: s.create_intent(INTENT, "k2")
    yield lambda: s.create_intent({**INTENT, "unknown": 1}, "k3")
    first = sim.objects("payment_intent")[0]["id"]
    yield lambda: s.retrieve_intent(first)
    sim.pay(first)
    yield lambda: s.retrieve_intent(first)
    yield lambda: s.cancel_intent(first)
    refund = {"payment_intent": first, "amount": 100, "reason": "requested_by_customer"}
    yield lambda: s.create_refund(refund, "k4")
    yield lambda: s.create_refund({**refund, "amount": 90_000}, "k5")
    yield lambda: s.list_refunds(payment_intent=first)
    yield lambda: s.list_disputes(payment_intent=first)
    yield lambda: s.create_session(SESSION, "k6")
    session = sim.objects("checkout.session")[0]["id"]
    yield lambda: s.retrieve_session(session)
    yield lambda: s.find_session_of_intent(first)
    yield lambda: s.expire_session(session)
    yield lambda: s.expire_session(session)
    for fault in ("error", "rate_limit", "lock_timeout"):
        sim.at_stripe("POST", "/_sim/calls", match="POST /v1/payment_intents", times=1, fail=fault)
        yield lambda: s.create_intent(INTENT, f"k-{fault}")  # noqa: B023  (called before the next iteration)


def run_calls(*, fast: bool, patch: pytest.MonkeyPatch) -> tuple[list[Any], list[Any]]:
    """Return the outcome of each call, and the requests that reached Stripe."""
    sim = Simulation(3)
    real = stripe.StripeClient(
        SECRET_KEY,
        base_addresses={"api": "http://x"},
        max_network_retries=0,
        http_client=fake_clients.SimulatorTransport(sim),
    )
    client = fake_clients.stripe_client_for(sim, SECRET_KEY) if fast else real
    patch.setattr(stripe_client, "stripe_secret_key", lambda: SECRET_KEY)
    patch.setattr(stripe_client, "_client_for", lambda _key: client)
    patch.setattr(stripe_client.clock, "pause", lambda *_, **__: None)
    patch.setattr(fake_clients.request_log, "record", lambda *_: None)  # one call here is invalid on purpose
    outcomes: list[Any] = []
    for call in stripe_calls(sim):
        try:
            answer = call()
            outcomes.append(answer._asdict() if isinstance(answer, Answer) else answer)
        except (StripeRefused, StripeUnavailable) as error:
            outcomes.append((type(error).__name__, str(error), dict(vars(error))))
    requests = [dict(request) for request in sim.stripe.account.log]
    for request in requests:
        key = request["idempotency_key"] or ""
        del request["user_agent"]
        request["idempotency_key"] = key if key.startswith("k") or not key else "own"
    return outcomes, requests


def test_the_fast_requestor_sends_the_same_requests_and_has_the_same_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    fast_outcomes, fast_requests = run_calls(fast=True, patch=monkeypatch)
    outcomes, requests = run_calls(fast=False, patch=monkeypatch)
    assert fast_requests == requests
    assert fast_outcomes == outcomes
    assert len(fast_outcomes) > 20


VALUES = {"S": ("a", "ä", ""), "N": (0, 1, 49_900, 1.5), "BOOL": (True, False), "SS": ({"a"}, {"ä", "b"})}


def random_values(model: type[Model], rng: random.Random) -> dict[str, Any]:
    values = {}
    for name, attribute in model.get_attributes().items():
        if attribute.null and rng.random() < 0.4:
            values[name] = None
        elif isinstance(attribute, JSONAttribute):
            values[name] = rng.choice(({}, {"a": [1, None]}, [], [{"b": "ä"}]))
        else:
            values[name] = rng.choice(VALUES[attribute.attr_type])
    return values


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_fast_models_write_and_read_the_same_items_as_pynamodb(
    model: type[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(model.__name__)
    for values in [random_values(model, rng) for _ in range(50)]:
        item = dynamodb.to_raw(model(**values))
        read = {name: getattr(model.from_raw_data(item), name) for name in values}
        with monkeypatch.context() as patch:
            fast_items.install(patch)
            assert dynamodb.to_raw(model(**values)) == item
            assert {name: getattr(model.from_raw_data(item), name) for name in values} == read


def test_the_fast_models_reject_missing_and_unknown_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    fast_items.install(monkeypatch)
    with pytest.raises(ValueError, match="must not be None"):
        dynamodb.to_raw(QuarantineItem("evt_1"))
    with pytest.raises(ValueError, match="has no"):
        QuarantineItem("evt_1", colour="red")
