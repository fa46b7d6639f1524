"""Objects and parameters, held against the types of the `stripe` package itself."""

from typing import Any

import pytest
import stripe

from stripe_simulator.params import SCHEMA
from stripe_simulator.server import ROUTES
from tests.stripe import make_params
from tests.stripe.shapes import CLASSES, problems

ITEM = {
    "quantity": 1,
    "price_data": {"currency": "usd", "unit_amount": 49900, "product_data": {"name": "Data Professional"}},
}
OUR_OWN = {"POST /v1/events/*/retry", "GET /v1/payment_pages/*", "POST /v1/payment_pages/*/confirm"}


def everything(client: stripe.StripeClient) -> None:
    """Makes at least one object of each kind, in its various states."""
    api = client.v1
    customer = api.customers.create({"email": "a@example.com", "address": {"city": "Graz"}})
    for method in ("pm_card_visa", "pm_card_createDispute", "pm_card_createDisputeInquiry", "pm_usBankAccount_success"):
        intent = api.payment_intents.create(
            {"amount": 49900, "currency": "usd", "customer": customer.id, "setup_future_usage": "off_session"}
        )
        api.payment_intents.confirm(intent.id, {"payment_method": method})
        if method == "pm_card_visa":
            api.refunds.create({"payment_intent": intent.id, "amount": 100})
    for dispute in api.disputes.list().data:
        api.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    intent = api.payment_intents.create({"amount": 49900, "currency": "usd"})
    with pytest.raises(stripe.CardError):
        api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    api.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_authenticationRequired", "return_url": "https://x/"}
    )
    coupon = api.coupons.create({"percent_off": 100})
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    api.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [ITEM],
            "success_url": "https://x/",
            "discounts": [{"promotion_code": code.id}],
        }
    )
    api.webhook_endpoints.create({"url": "https://example.com/", "enabled_events": ["*"]})


def test_every_object_has_the_shape_of_its_typed_class(client: stripe.StripeClient, simulator: Any) -> None:
    everything(client)
    wrong: set[str] = set()
    kinds = set()
    with simulator.stripe.account.lock:
        simulator.stripe.account.clock.advance(3)
        simulator.stripe.account.run_due()
        objects = [one for kind in simulator.store.objects.values() for one in kind.values()]
    for one in objects:
        shown = {name: value for name, value in one.items() if not name.startswith("_")}
        kinds.add(one["object"])
        wrong |= set(problems(shown))
    assert not wrong, "\n".join(sorted(wrong))
    assert len(kinds) == 13


def test_every_event_has_the_shape_of_its_typed_class(client: stripe.StripeClient) -> None:
    everything(client)
    events = [event.to_dict() for event in client.v1.events.list({"limit": 100}).auto_paging_iter()]
    wrong = {p for event in events for p in problems(event) + problems(event["data"]["object"])}
    assert not wrong, "\n".join(sorted(wrong))
    assert len({event["type"] for event in events}) > 15


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("latest_charge.balance_transaction", "balance_transaction"),
        ("latest_charge.refunds", "list"),
        ("customer", "customer"),
    ],
)
def test_expanded_fields_have_their_own_shape(client: stripe.StripeClient, path: str, kind: str) -> None:
    customer = client.v1.customers.create({})
    intent = client.v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "usd",
            "customer": customer.id,
            "confirm": True,
            "payment_method": "pm_card_visa",
            "capture_method": "automatic",
            "expand": [path],
        }
    ).to_dict()
    found: Any = intent
    for step in path.split("."):
        found = found[step]
    assert found["object"] == kind
    assert problems(intent) == []


def test_the_shape_check_sees_what_is_missing_unknown_or_of_another_type(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"}).to_dict()
    del intent["amount"]
    intent |= {"created": "now", "surprise": 1}
    assert sorted(p.split(":")[0] for p in problems(intent)) == [
        "PaymentIntent.amount",
        "PaymentIntent.created",
        "PaymentIntent.surprise",
    ]
    assert "payment_intent" in CLASSES


def test_the_table_of_parameters_is_that_of_the_installed_package() -> None:
    assert make_params.build() == SCHEMA | {"classes": make_params.build()["classes"]}
    assert make_params.text() == make_params.TARGET.read_text()


def test_every_route_is_an_operation_of_the_package() -> None:
    assert set(ROUTES) - set(SCHEMA["operations"]) == OUR_OWN


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"amount": 500}, "currency"),
        ({"amount": 500, "currency": "usd", "promotion_code": "x"}, "promotion_code"),
        ({"amount": "much", "currency": "usd"}, "amount"),
        ({"amount": 500, "currency": "usd", "capture_method": "later"}, "capture_method"),
        ({"amount": 500, "currency": "usd", "shipping": {"nme": "x"}}, "shipping[nme]"),
        ({"amount": 500, "currency": "usd", "customer": "cus_none"}, "customer"),
        ({"amount": 5, "currency": "usd"}, "amount"),
        ({"amount": 500, "currency": "usd", "payment_method_types": ["card"]}, "payment_method_types"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(client: stripe.StripeClient, params: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create(params)
    assert refused.value.param == param


def test_a_list_is_paged_to_its_end_both_ways(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"name": str(n)}).id for n in range(7)]
    pages = client.v1.customers.list({"limit": 3})
    assert [one.id for one in pages.auto_paging_iter()] == made[::-1]
    back = client.v1.customers.list({"limit": 3, "ending_before": made[0]})
    assert [one.id for one in back.data] == [made[3], made[2], made[1]]
    assert back.has_more
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.list({"limit": 101})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.list({"starting_after": made[0], "ending_before": made[1]})
