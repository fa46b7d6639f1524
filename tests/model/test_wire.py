"""The short ways that make the search fast, against the long ones that the code takes in Lambda."""

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest
import stripe
from pynamodb.models import Model

from tests.model import items, wire
from tests.model.machine import KEY, Machine
from tuition.core.errors import StripeRefused, StripeUnavailable
from tuition.storage import dynamodb
from tuition.storage.items import MODELS, CustomerItem
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway.client import Answer

LINE = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 49_900, "product_data": {"name": "DP"}}}
SESSION = {
    "mode": "payment",
    "line_items": [LINE],
    "success_url": "https://example.org/ok?a=1&b=[2]",
    "cancel_url": "https://example.org/no",
    "allowed_payment_method_types": ["card", "us_bank_account"],
    "adaptive_pricing": {"enabled": False},
    "payment_intent_data": {"metadata": {"app": "tuition", "user": "ärger & Söhne"}},
}
INTENT = {"amount": 49_900, "currency": "usd", "allowed_payment_method_types": ["card"], "metadata": {"app": "tuition"}}


def story(machine: Machine) -> Iterator[Callable[[], Any]]:
    """Every call that Tuition makes of Stripe, with what it may end in."""
    s = stripe_client
    person = {"email": "ada@example.org", "metadata": {"user_id": "ada"}}
    yield lambda: s.create_customer(person, "k1")
    yield lambda: s.create_customer(person, "k1")
    yield lambda: s.create_customer({"email": "else@example.org"}, "k1")
    yield lambda: s.retrieve_customer(machine.objects("customer")[0]["id"])
    yield lambda: s.retrieve_customer("cus_nobody")
    yield lambda: s.create_intent(INTENT, "k2")
    yield lambda: s.create_intent({**INTENT, "unknown": 1}, "k3")
    first = machine.objects("payment_intent")[0]["id"]
    yield lambda: s.retrieve_intent(first)
    machine.pay(first)
    yield lambda: s.retrieve_intent(first)
    yield lambda: s.cancel_intent(first)
    refund = {"payment_intent": first, "amount": 100, "reason": "requested_by_customer"}
    yield lambda: s.create_refund(refund, "k4")
    yield lambda: s.create_refund({**refund, "amount": 90_000}, "k5")
    yield lambda: s.list_refunds(first)
    yield lambda: s.list_disputes(first)
    yield lambda: s.create_session(SESSION, "k6")
    session = machine.objects("checkout.session")[0]["id"]
    yield lambda: s.retrieve_session(session)
    yield lambda: s.session_of_intent(first)
    yield lambda: s.expire_session(session)
    yield lambda: s.expire_session(session)
    for fault in ("error", "rate_limit", "lock_timeout"):
        knob = {"match": "POST /v1/payment_intents", "times": 1, "fail": fault}
        machine.at_stripe("POST", "/_sim/calls", **knob)
        yield lambda: s.create_intent(INTENT, f"k-{fault}")  # noqa: B023  (called before the next turn)


def told(short: bool, patch: pytest.MonkeyPatch) -> tuple[list[Any], list[Any]]:
    """What each call ended in, and the requests as they reached Stripe."""
    machine = Machine(3)
    long = stripe.StripeClient(
        KEY, base_addresses={"api": "http://x"}, max_network_retries=0, http_client=wire.InProcess(machine)
    )
    made = wire.client(machine, KEY) if short else long
    patch.setattr(stripe_client, "_client", lambda: made)
    patch.setattr(stripe_client.clock, "pause", lambda *_, **__: None)
    patch.setattr(wire.request_log, "record", lambda *_: None)  # one call here is wrong on purpose
    ends: list[Any] = []
    for call in story(machine):
        try:
            answer = call()
            ends.append(asdict(answer) if isinstance(answer, Answer) else answer)
        except (StripeRefused, StripeUnavailable) as error:
            ends.append((type(error).__name__, str(error), dict(vars(error))))
    requests = [dict(request) for request in machine.stripe.account.log]
    for request in requests:
        key = request["idempotency_key"] or ""
        del request["user_agent"]
        request["idempotency_key"] = key if key.startswith("k") or not key else "own"
    return ends, requests


def test_the_short_way_asks_stripe_the_same_and_answers_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = told(True, monkeypatch), told(False, monkeypatch)
    assert short[1] == long[1]
    assert short[0] == long[0]
    assert len(short[0]) > 20


ATTRIBUTES = {"S": ("a", "ä", ""), "N": (0, 1, 49_900, 1.5), "BOOL": (True, False)}


def filled(model: type[Model], chance: random.Random) -> dict[str, Any]:
    found = {}
    for name, attribute in model.get_attributes().items():
        if attribute.null and chance.random() < 0.4:
            found[name] = None
        elif type(attribute).__name__ == "JSONAttribute":
            found[name] = chance.choice(({}, {"a": [1, None]}, [], [{"b": "ä"}]))
        else:
            found[name] = chance.choice(ATTRIBUTES[attribute.attr_type])
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_short_way_writes_and_reads_the_items_of_pynamodb(
    model: type[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(model.__name__)
    for values in [filled(model, chance) for _ in range(50)]:
        long = dynamodb.to_raw(model(**values))
        read = {name: getattr(model.from_raw_data(long), name) for name in values}
        with monkeypatch.context() as patch:
            items.install(patch)
            assert dynamodb.to_raw(model(**values)) == long
            assert {name: getattr(model.from_raw_data(long), name) for name in values} == read


def test_the_short_way_refuses_what_is_missing_and_what_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    items.install(monkeypatch)
    with pytest.raises(ValueError, match="must not be None"):
        dynamodb.to_raw(CustomerItem("ada"))
    with pytest.raises(ValueError, match="has no"):
        CustomerItem("ada", colour="red")
