"""Every field that Stripe's types call Optional may be null or missing, and every enum may have a value we do not know.

Neither makes an object unreadable, and neither hides what lies beside it.
"""

from collections.abc import Callable, Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest

from stripe_simulator.api import Stripe
from tests.stripe.typed_responses import CLASSES, fields_of
from tuition.core import attention, stripe_json
from tuition.core import facts as core_facts
from tuition.core import payment as payments
from tuition.core.facts import Facts
from tuition.core.money import Money
from tuition.core.payment import Payment

Object = dict[str, Any]
READERS: dict[str, Callable[[Object], Facts]] = {
    "payment_intent": lambda obj: stripe_json.of_intent(obj, 7),
    "checkout.session": lambda obj: stripe_json.of_session(obj, 7),
    "charge": stripe_json.of_charge,
    "refund": stripe_json.of_refund,
    "dispute": lambda obj: stripe_json.of_dispute(obj, 1),
}
NEW = "value_of_next_year"


def call(stripe: Stripe, method: str, path: str, body: str = "") -> Object:
    import stripe as package

    headers = {"Authorization": f"Bearer {stripe.secret_key}", "Stripe-Version": package.api_version or ""}
    response = stripe.handle(method, path, headers, body.encode())
    assert response.status == 200, response.json()
    return dict(response.json())


@pytest.fixture(scope="module")
def objects() -> dict[str, Object]:
    """One object of each kind, of a purchase that was paid, refunded in part and disputed."""
    stripe = Stripe(seed=1)
    paid = "amount=49900&currency=usd&payment_method=pm_card_visa&confirm=true&allowed_payment_method_types[]=card"
    intent = call(stripe, "POST", "/v1/payment_intents", paid)
    refund = call(stripe, "POST", "/v1/refunds", f"payment_intent={intent['id']}&amount=100")
    dispute = call(stripe, "POST", "/_sim/disputes", f'{{"payment_intent": "{intent["id"]}", "status": "lost"}}')
    line = (
        "line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=49900&line_items[0][quantity]=1"
    )
    line += "&line_items[0][price_data][product_data][name]=DP"
    session = call(stripe, "POST", "/v1/checkout/sessions", f"mode=payment&success_url=https://a.test&{line}")
    session |= {"status": "complete", "payment_status": "paid", "payment_intent": intent}
    charge = call(stripe, "GET", f"/v1/charges/{intent['latest_charge']}")
    objects = (intent, session, charge, refund, dispute)
    return {obj["object"]: obj for obj in objects}


def optional_fields() -> Iterator[tuple[str, str]]:
    for kind in READERS:
        for name, hint in fields_of(CLASSES[kind]).items():
            if NoneType in get_args(hint):
                yield kind, name


def enums() -> Iterator[tuple[str, str]]:
    for kind in READERS:
        for name, hint in fields_of(CLASSES[kind]).items():
            options = [hint, *get_args(hint)]
            if name != "object" and any(get_origin(option) is Literal for option in options):
                yield kind, name
    yield "refund", "status"  # the types call it a text, and the documentation lists its values
    yield "refund", "failure_reason"
    yield "dispute", "reason"


@pytest.mark.parametrize(("kind", "name"), optional_fields())
def test_an_optional_field_may_be_null_or_missing(objects: dict[str, Object], kind: str, name: str) -> None:
    obj = objects[kind]
    null = READERS[kind]({**obj, name: None})
    missing = READERS[kind]({key: value for key, value in obj.items() if key != name})
    assert null == missing
    assert_nothing_is_hidden(READERS[kind](obj), null)


@pytest.mark.parametrize(("kind", "name"), enums())
def test_an_enum_may_have_an_unknown_value(objects: dict[str, Object], kind: str, name: str) -> None:
    facts = READERS[kind]({**objects[kind], name: NEW})
    assert_nothing_is_hidden(READERS[kind](objects[kind]), facts)
    if name in ("status", "payment_status"):
        assert NEW in str(names_of_attention(facts))


def assert_nothing_is_hidden(whole: Facts, facts: Facts) -> None:
    """Check that what the changed field does not say is still read, and that no money appears from nothing."""
    for collection in ("charges", "refunds", "disputes"):
        assert getattr(facts, collection).keys() == getattr(whole, collection).keys()
    assert facts.settled in (None, whole.settled)
    assert payments.refunded_amount(facts) in (0, payments.refunded_amount(whole))
    assert payments.lost_amount(facts) in (0, payments.lost_amount(whole))
    lost = [facts.settled != whole.settled, payments.refunded_amount(facts) != payments.refunded_amount(whole)]
    if any(lost):
        assert facts.unknown
    assert core_facts.merge(facts, facts) == facts
    assert core_facts.merge(whole, facts) == core_facts.merge(facts, whole)


def names_of_attention(facts: Facts) -> list[tuple[str, str]]:
    payment = Payment(
        payment_id="pay_1",
        user_id="user-1",
        track="DP",
        kind="intent",
        attempt=1,
        stripe_object_id="pi_1",
        price=Money(49900, "usd"),
        created_at="2026-01-01T00:00:00.000Z",
        updated_at="2026-01-01T00:00:00.000Z",
        facts=facts,
    )
    return [(reason.name, reason.fingerprint) for reason in attention.reasons(payment)]
