"""What must be true of Stripe and of the simulator alike: each test runs on both (`-m live` for Stripe's test mode).

No knob of the simulator is used here, no state of the whole account is counted on, and `Checked` holds every answer
against the typed classes of the package.
"""

import time
import uuid
from typing import Any

import pytest
import stripe

from tests.stripe.conftest import Until

ITEM = {
    "quantity": 1,
    "price_data": {"currency": "usd", "unit_amount": 49900, "product_data": {"name": "Data Professional"}},
}
DEBIT = {
    "mandate_data": {
        "customer_acceptance": {"type": "online", "online": {"ip_address": "192.0.2.1", "user_agent": "tests"}}
    }
}
NO_REDIRECTS = {"enabled": True, "allow_redirects": "never"}
UNEXPECTED = "payment_intent_unexpected_state"


def pay(client: stripe.StripeClient, method: str, **more: Any) -> stripe.PaymentIntent:
    """A payment of 499.00 with a method, confirmed at once."""
    params: Any = {"amount": 49900, "currency": "usd", "confirm": True, "payment_method": method, **more}
    if "return_url" not in params:
        params["automatic_payment_methods"] = NO_REDIRECTS
    return client.v1.payment_intents.create(params)


def session(client: stripe.StripeClient, **more: Any) -> stripe.checkout.Session:
    params: Any = {"mode": "payment", "line_items": [ITEM], "success_url": "https://example.com/{CHECKOUT_SESSION_ID}"}
    return client.v1.checkout.sessions.create(params | more)


def code(client: stripe.StripeClient, percent: int = 20, **more: Any) -> stripe.PromotionCode:
    coupon = client.v1.coupons.create({"percent_off": percent, "duration": "once"})
    return client.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, **more})


def told(client: stripe.StripeClient, about: str) -> list[str]:
    """The types of the events about an object, or about what was made for that intent; sorted."""
    found = []
    for event in client.v1.events.list({"limit": 100, "created": {"gte": int(time.time()) - 600}}).auto_paging_iter():
        data = event.data.object.to_dict()
        if about in (data.get("id"), data.get("payment_intent"), data.get("charge")):
            found.append(event.type)
    return sorted(found)


# --- parameters ---


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"amount": 500}, "currency"),
        ({"currency": "usd"}, "amount"),
        ({"amount": 500, "currency": "usd", "promotion_code": "x"}, "promotion_code"),
        ({"amount": "much", "currency": "usd"}, "amount"),
        ({"amount": 500, "currency": "usd", "capture_method": "later"}, "capture_method"),
        ({"amount": 500, "currency": "usd", "shipping": {"nme": "x"}}, "shipping[nme]"),
        ({"amount": 500, "currency": "usd", "customer": "cus_none"}, "customer"),
        ({"amount": 500, "currency": "usd", "customer": "cus_" + "x" * 4000}, "customer"),
        ({"amount": 500, "currency": "usd", "payment_method": "pm_none"}, "payment_method"),
        ({"amount": 5, "currency": "usd"}, "amount"),
        ({"amount": 100_000_000, "currency": "usd"}, "amount"),
        ({"amount": 500, "currency": "usd", "payment_method_types": ["card"]}, "payment_method_types"),
        ({"amount": 500, "currency": "usd", "metadata": {"k" * 41: "v"}}, "metadata"),
        ({"amount": 500, "currency": "usd", "metadata": {"k": "v" * 501}}, "metadata[k]"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(client: stripe.StripeClient, params: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create(params)
    assert refused.value.param == param
    assert refused.value.http_status == 400


PRICE = {"currency": "usd", "unit_amount": 500, "product_data": {"name": "DP"}}
CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
HOSTED = {"mode": "payment", "success_url": "https://x/"}
REFUSED: list[tuple[str, dict[str, Any], str | None]] = [
    ("payment_intents", {"amount": 5.5, "currency": "usd"}, "amount"),
    ("payment_intents", {"amount": 10**30, "currency": "usd"}, "amount"),
    ("payment_intents", {"amount": 500, "currency": "zzz"}, "currency"),
    ("payment_intents", {"amount": 500, "currency": "usd", "shipping": ["a"]}, "shipping"),
    ("payment_intents", {"amount": 500, "currency": "usd", "expand": ["nothing"]}, "expand"),
    ("payment_intents", {"amount": 500, "currency": "usd", "expand": ["a.b.c.d.e"]}, "expand"),
    ("payment_intents", {"amount": 500, "currency": "usd", "metadata": {str(n): "v" for n in range(51)}}, "metadata"),
    ("payment_intents", {"amount": 500, "currency": "usd", "description": "x" * 6000}, "description"),
    ("payment_intents", {"amount": 500, "currency": "usd", "receipt_email": "nobody"}, "receipt_email"),
    ("payment_intents", {"amount": 500, "currency": "usd", "off_session": True}, "off_session"),
    ("payment_intents", {"amount": 500, "currency": "usd", "statement_descriptor_suffix": "x" * 23}, None),
    ("payment_intents", {"amount": 500, "currency": "usd", "statement_descriptor_suffix": "<x>"}, None),
    (
        "payment_intents",
        {"amount": 500, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa", "return_url": "here"},
        "return_url",
    ),
    (
        "payment_intents",
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "payment_method_data": {"type": "us_bank_account", "us_bank_account": {"account_number": "000123456789"}},
        },
        None,
    ),
    ("customers", {"email": "nobody"}, "email"),
    ("customers", {"balance": "much"}, "balance"),
    ("refunds", {}, None),
    ("coupons", {"percent_off": 0}, "percent_off"),
    ("coupons", {"percent_off": 101}, "percent_off"),
    ("coupons", {"percent_off": 10, "amount_off": 5, "currency": "usd"}, None),
    ("coupons", {"amount_off": -5, "currency": "usd"}, "amount_off"),
    ("coupons", {"percent_off": 5, "redeem_by": 5}, "redeem_by"),
    ("coupons", {"percent_off": 5, "max_redemptions": 0}, "max_redemptions"),
    ("promotion_codes", {"promotion": {"type": "coupon", "coupon": "none_such"}}, None),
    ("prices", {"currency": "usd", "unit_amount": -5, "product_data": {"name": "x"}}, "unit_amount"),
    ("prices", {"currency": "usd", "unit_amount": 5}, None),
    ("checkout.sessions", HOSTED, None),
    ("checkout.sessions", {"mode": "payment", "success_url": "here", "line_items": [ITEM]}, "success_url"),
    ("checkout.sessions", {"mode": "payment", "line_items": [ITEM]}, "success_url"),
    (
        "checkout.sessions",
        {"mode": "payment", "success_url": "https://x/", "line_items": [{"price_data": PRICE}]},
        None,
    ),
    (
        "checkout.sessions",
        {
            "mode": "payment",
            "success_url": "https://x/",
            "line_items": [{"price_data": PRICE | {"currency": one}, "quantity": 1} for one in ("usd", "eur")],
        },
        None,
    ),
    (
        "checkout.sessions",
        {"mode": "payment", "success_url": "https://x/", "line_items": [ITEM], "expires_at": 5},
        None,
    ),
    ("webhook_endpoints", {"url": "here", "enabled_events": ["*"]}, "url"),
    ("webhook_endpoints", {"url": "https://example.com/", "enabled_events": ["charge.exploded"]}, None),
    ("setup_intents", {"usage": "never"}, "usage"),
]


@pytest.mark.parametrize(("service", "params", "param"), REFUSED)
def test_what_cannot_be_is_refused(
    client: stripe.StripeClient, service: str, params: dict[str, Any], param: str | None
) -> None:
    found: Any = client.v1
    for step in service.split("."):
        found = getattr(found, step)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        found.create(params)
    assert refused.value.http_status == 400
    assert param is None or refused.value.param == param


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"number": "4242424242424241"}, "incorrect_number"),
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_year": 2020}, "invalid_expiry_year"),
        ({"cvc": "1"}, "invalid_cvc"),
    ],
)
def test_a_card_that_cannot_be_is_a_card_error(
    client: stripe.StripeClient, simulator: Any, change: dict[str, Any], code: str
) -> None:
    """Not on Stripe: it takes card numbers from few accounts only."""
    with pytest.raises(stripe.CardError) as refused:
        client.v1.payment_methods.create({"type": "card", "card": CARD | change})  # type: ignore[typeddict-item]
    assert (refused.value.http_status, refused.value.code) == (402, code)


def test_a_refused_change_leaves_the_intent_as_it_was(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd", "metadata": {"a": "b"}})
    customer = client.v1.customers.create({}).id
    for wrong in (
        {"customer": customer, "amount": 1},
        {"currency": "jpy", "amount": 10**9},
        {"metadata": {"c": "d"}, "payment_method": "pm_none"},
        {"customer": customer, "receipt_email": "nobody"},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.payment_intents.update(intent.id, wrong)  # type: ignore[arg-type]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_none", "setup_future_usage": "on_session"})
    now = client.v1.payment_intents.retrieve(intent.id)
    assert now.to_dict() == intent.to_dict()


@pytest.mark.parametrize(
    "query",
    ["metadata['a'", "amount>abc", "nothing:'x'", "metadata:'x'", "status['a']:'b'", "amount>1 AND"],
)
def test_a_search_that_makes_no_sense_is_refused(client: stripe.StripeClient, query: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.search({"query": query})
    assert refused.value.http_status == 400


def test_what_exists_already_is_refused(client: stripe.StripeClient) -> None:
    name = f"x{uuid.uuid4().hex}"
    client.v1.products.create({"id": name, "name": "x"})
    coupon = client.v1.coupons.create({"id": name, "percent_off": 5, "duration": "once"}).id
    code: Any = {"promotion": {"type": "coupon", "coupon": coupon}, "code": name}
    client.v1.promotion_codes.create(code)
    for call in (
        lambda: client.v1.products.create({"id": name, "name": "x"}),
        lambda: client.v1.coupons.create({"id": name, "percent_off": 5}),
        lambda: client.v1.promotion_codes.create(code | {"code": name.upper()}),
        lambda: client.v1.promotion_codes.create(code | {"code": "a b!"}),
        lambda: client.v1.promotion_codes.create(code | {"code": "x" + name, "expires_at": 5}),
        lambda: client.v1.promotion_codes.create(code | {"code": "x" + name, "max_redemptions": 0}),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            call()


def test_an_old_parameter_is_refused_with_its_own_code(client: stripe.StripeClient) -> None:
    old: Any = {"amount": 500, "currency": "usd", "payment_method_types": ["card"]}
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    types: Any = {"payment_method_types": ["card"]}
    page: Any = {"mode": "payment", "line_items": [ITEM], "success_url": "https://x/", **types}
    for call in (
        lambda: client.v1.payment_intents.create(old),
        lambda: client.v1.payment_intents.update(intent.id, types),
        lambda: client.v1.payment_intents.confirm(intent.id, types),
        lambda: client.v1.checkout.sessions.create(page),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            call()
        assert refused.value.code == "payment_method_types_no_longer_supported"
    coupon = client.v1.coupons.create({"percent_off": 10, "duration": "once"}).id
    by_coupon: Any = {"coupon": coupon}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.promotion_codes.create(by_coupon)


def test_the_allowed_types_are_filtered_by_currency(client: stripe.StripeClient) -> None:
    params: Any = {"amount": 500, "currency": "usd", "allowed_payment_method_types": ["card", "us_bank_account"]}
    assert sorted(client.v1.payment_intents.create(params).payment_method_types) == ["card", "us_bank_account"]
    assert client.v1.payment_intents.create(params | {"currency": "eur"}).payment_method_types == ["card"]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create(
            params | {"currency": "eur", "allowed_payment_method_types": ["us_bank_account"]}
        )


def test_excluded_types_are_not_offered(client: stripe.StripeClient) -> None:
    params: Any = {"amount": 500, "currency": "usd", "excluded_payment_method_types": ["us_bank_account"]}
    intent = client.v1.payment_intents.create(params)
    assert "card" in intent.payment_method_types and "us_bank_account" not in intent.payment_method_types
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_usBankAccount_success", **DEBIT})  # type: ignore[typeddict-item]
    made = session(client, excluded_payment_method_types=["us_bank_account"])
    assert "us_bank_account" not in made.payment_method_types


def test_products_and_prices_are_listed_by_several_ids_and_keys(client: stripe.StripeClient) -> None:
    key = uuid.uuid4().hex
    one, two, _ = (client.v1.products.create({"name": name}).id for name in "abc")
    assert {found.id for found in client.v1.products.list({"ids": [one, two]}).data} == {one, two}
    price = client.v1.prices.create({"product": one, "currency": "usd", "unit_amount": 500, "lookup_key": key}).id
    assert [found.id for found in client.v1.prices.list({"lookup_keys": [key]}).data] == [price]


def test_what_does_not_exist_is_404_in_the_path(client: stripe.StripeClient) -> None:
    api = client.v1
    for call in (
        lambda: api.payment_intents.retrieve("pi_none"),
        lambda: api.customers.retrieve("cus_none"),
        lambda: api.checkout.sessions.retrieve("cs_test_none"),
        lambda: api.refunds.retrieve("re_none"),
        lambda: api.charges.retrieve("ch_none"),
        lambda: api.disputes.retrieve("du_none"),
        lambda: api.coupons.retrieve("none"),
        lambda: api.promotion_codes.retrieve("promo_none"),
        lambda: api.events.retrieve("evt_none"),
        lambda: api.payment_methods.retrieve("pm_none"),
        lambda: api.payment_intents.cancel("pi_none"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as missing:
            call()
        assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")


def test_metadata_is_merged_and_unset_by_an_empty_value(client: stripe.StripeClient) -> None:
    intents = client.v1.payment_intents
    id = intents.create({"amount": 500, "currency": "usd", "metadata": {"a": "1", "b": "2"}}).id
    assert intents.update(id, {"metadata": {"a": "", "c": "3"}}).metadata.to_dict() == {"b": "2", "c": "3"}
    assert intents.update(id, {"metadata": {}}).metadata.to_dict() == {"b": "2", "c": "3"}
    assert intents.update(id, {"metadata": ""}).metadata.to_dict() == {}


def test_an_empty_text_unsets_what_can_be_unset_and_is_refused_elsewhere(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"business_name": "Ada", "address": {"city": "Graz"}})
    bare = client.v1.customers.update(customer.id, {"business_name": "", "address": ""})
    assert (bare.business_name, bare.address) == (None, None)
    empty: Any = {"amount": 500, "currency": ""}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create(empty)
    assert refused.value.code == "parameter_invalid_empty"


# --- reading ---


def test_a_list_is_paged_to_its_end_both_ways(client: stripe.StripeClient) -> None:
    email = f"{uuid.uuid4()}@example.com"
    made = [client.v1.customers.create({"name": str(n), "email": email}).id for n in range(7)]
    pages = client.v1.customers.list({"limit": 3, "email": email})
    assert [one.id for one in pages.auto_paging_iter()] == made[::-1]
    back = client.v1.customers.list({"limit": 3, "email": email, "ending_before": made[0]})
    assert [one.id for one in back.data] == [made[3], made[2], made[1]]
    assert back.has_more
    assert [one.id for one in back.auto_paging_iter()] == made[1:]
    for wrong in (
        {"limit": 101},
        {"limit": 0},
        {"starting_after": made[0], "ending_before": made[1]},
        {"starting_after": "cus_none"},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.customers.list(wrong)


def test_a_list_without_a_limit_has_ten(client: stripe.StripeClient) -> None:
    email = f"{uuid.uuid4()}@example.com"
    for _ in range(11):
        client.v1.customers.create({"email": email})
    page = client.v1.customers.list({"email": email})
    assert (len(page.data), page.has_more) == (10, True)


@pytest.mark.parametrize(
    "path",
    [
        "customer",
        "latest_charge.balance_transaction",
        "latest_charge.refunds",
        "latest_charge.customer.invoice_settings",
        "payment_method.customer",
    ],
)
def test_expanded_fields_have_their_own_shape(client: stripe.StripeClient, path: str) -> None:
    customer = client.v1.customers.create({})
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    intent = pay(client, method.id, customer=customer.id, capture_method="automatic", expand=[path]).to_dict()
    found: Any = intent
    for step in path.split("."):
        found = found[step]
    assert isinstance(found, dict)  # its shape was checked with the answer


def test_a_list_is_expanded_through_data(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    pay(client, "pm_card_visa", customer=customer)
    listed = client.v1.payment_intents.list({"customer": customer, "expand": ["data.latest_charge"]})
    assert listed.data[0].latest_charge.object == "charge"  # type: ignore[union-attr]
    for wrong in ("latest_charge", "data.amount", "data.none", "data.latest_charge.payment_intent.customer.x.y"):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.payment_intents.list({"customer": customer, "expand": [wrong]})


def test_created_ranges_and_references_filter(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd", "customer": customer})
    at = intent.created
    for wanted, count in (({"gte": at}, 1), ({"gt": at}, 0), ({"lte": at}, 1), ({"lt": at}, 0), (at, 1)):
        found = client.v1.payment_intents.list({"customer": customer, "created": wanted})  # type: ignore[typeddict-item]
        assert len(found.data) == count, wanted


# --- paying ---


def test_a_success_has_its_charge_and_the_balance_comes_later(client: stripe.StripeClient, until: Until) -> None:
    intent = pay(client, "pm_card_visa")
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (intent.status, intent.amount_received, charge.balance_transaction) == ("succeeded", 49900, None)
    until(lambda: client.v1.charges.retrieve(charge.id).balance_transaction)
    until(lambda: "charge.updated" in told(client, charge.id))
    wanted = ["charge.succeeded", "charge.updated", "payment_intent.created", "payment_intent.succeeded"]
    assert told(client, intent.id) == wanted


def test_capture_automatic_has_the_balance_at_once(client: stripe.StripeClient) -> None:
    intent = pay(client, "pm_card_visa", capture_method="automatic", expand=["latest_charge.balance_transaction"])
    moved: Any = intent.latest_charge.balance_transaction  # type: ignore[union-attr]
    assert (moved.amount, moved.net) == (49900, 49900 - moved.fee)


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
def test_a_decline_leaves_the_intent_payable(
    client: stripe.StripeClient, until: Until, method: str, code: str, decline_code: str | None
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        pay(client, method)
    error: Any = declined.value.error
    assert (error.code, error.decline_code or None, declined.value.http_status) == (code, decline_code, 402)
    intent = error.payment_intent
    assert (intent.status, intent.last_payment_error.code) == ("requires_payment_method", code)
    assert error.doc_url.endswith(f"/error-codes/{code.replace('_', '-')}")
    assert client.v1.charges.retrieve(error.charge).status == "failed"
    wanted = ["charge.failed", "payment_intent.created", "payment_intent.payment_failed"]
    until(lambda: told(client, intent.id) == wanted)
    paid = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)


@pytest.mark.parametrize(
    "method",
    ["pm_card_authenticationRequired", "pm_card_authenticationRequiredOnSetup", "pm_card_threeDSecure2Required"],
)
def test_three_d_secure_asks_for_its_step(client: stripe.StripeClient, method: str) -> None:
    intent = pay(client, method, return_url="https://example.com/back")
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")  # type: ignore[union-attr]
    assert intent.next_action.redirect_to_url.return_url == "https://example.com/back"  # type: ignore[union-attr]
    without = pay(client, method)
    assert (without.status, without.next_action.type) == ("requires_action", "use_stripe_sdk")  # type: ignore[union-attr]
    assert client.v1.payment_intents.cancel(intent.id).status == "canceled"


def test_off_session_a_card_that_asks_is_declined(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    method = client.v1.payment_methods.attach("pm_card_authenticationRequired", {"customer": customer}).id
    with pytest.raises(stripe.CardError) as declined:
        pay(client, method, customer=customer, off_session=True)
    assert declined.value.code == "authentication_required"


def test_only_what_is_open_can_be_canceled_confirmed_or_changed(client: stripe.StripeClient) -> None:
    paid = pay(client, "pm_card_visa").id
    other = client.v1.payment_intents.create({"amount": 500, "currency": "usd"}).id
    assert client.v1.payment_intents.cancel(other, {"cancellation_reason": "abandoned"}).status == "canceled"
    for id in (paid, other):
        for act in (
            lambda id: client.v1.payment_intents.cancel(id),
            lambda id: client.v1.payment_intents.confirm(id, {"payment_method": "pm_card_visa"}),
            lambda id: client.v1.payment_intents.update(id, {"amount": 600}),
            lambda id: client.v1.payment_intents.capture(id),
        ):
            with pytest.raises(stripe.InvalidRequestError) as refused:
                act(id)
            assert refused.value.code == UNEXPECTED
    assert client.v1.payment_intents.update(paid, {"metadata": {"a": "b"}}).metadata["a"] == "b"


def test_an_intent_without_a_method_cannot_be_confirmed(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.confirm(intent.id)
    assert refused.value.code == UNEXPECTED


def test_a_held_amount_is_captured_in_part(client: stripe.StripeClient) -> None:
    held = pay(client, "pm_card_visa", capture_method="manual")
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 49900, 0)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.capture(held.id, {"amount_to_capture": 49901})
    done = client.v1.payment_intents.capture(held.id, {"amount_to_capture": 40000})
    assert (done.status, done.amount_received, done.amount_capturable) == ("succeeded", 40000, 0)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create({"payment_intent": held.id, "amount": 40001})
    let_go = pay(client, "pm_card_visa", capture_method="manual")
    assert client.v1.payment_intents.cancel(let_go.id).status == "canceled"


@pytest.mark.parametrize(
    ("method", "status", "event"),
    [
        ("pm_usBankAccount_success", "succeeded", "payment_intent.succeeded"),
        ("pm_usBankAccount_noAccount", "requires_payment_method", "payment_intent.payment_failed"),
        ("pm_usBankAccount_insufficientFunds", "requires_payment_method", "payment_intent.payment_failed"),
    ],
)
def test_a_bank_debit_is_processing_before_it_ends(
    client: stripe.StripeClient, until: Until, method: str, status: str, event: str
) -> None:
    intent = pay(client, method, **DEBIT)
    assert intent.status == "processing"
    until(lambda: client.v1.payment_intents.retrieve(intent.id).status == status)
    until(lambda: {"payment_intent.processing", event} <= set(told(client, intent.id)))


def test_an_amount_that_is_held_cannot_be_refunded_and_is_held_by_cards_only(client: stripe.StripeClient) -> None:
    held = pay(client, "pm_card_visa", capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create({"payment_intent": held.id})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.capture(held.id, {"amount_to_capture": 0})
    assert held.payment_method_types == ["card"]
    with pytest.raises(stripe.InvalidRequestError):
        pay(client, "pm_usBankAccount_success", capture_method="manual", **DEBIT)


# --- saved methods ---


def test_a_method_of_another_customer_is_refused(client: stripe.StripeClient) -> None:
    one, two = (client.v1.customers.create({}).id for _ in range(2))
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": one}).id
    for more in ({"customer": two}, {}):
        with pytest.raises(stripe.InvalidRequestError):
            pay(client, method, **more)


def test_setup_for_future_usage_saves_the_method(client: stripe.StripeClient, until: Until) -> None:
    customer = client.v1.customers.create({}).id
    pay(client, "pm_card_visa", customer=customer)
    assert client.v1.customers.payment_methods.list(customer).data == []
    pay(client, "pm_card_visa", customer=customer, setup_future_usage="on_session")
    (saved,) = client.v1.customers.payment_methods.list(customer, {"type": "card"}).data
    assert (saved.customer, saved.allow_redisplay, saved.card.last4) == (customer, "unspecified", "4242")  # type: ignore[union-attr]
    assert client.v1.customers.payment_methods.list(customer, {"type": "us_bank_account"}).data == []
    assert client.v1.customers.payment_methods.retrieve(customer, saved.id).id == saved.id
    assert pay(client, saved.id, customer=customer).status == "succeeded"
    until(lambda: "payment_method.attached" in told(client, saved.id))


def test_a_detached_method_cannot_be_used_again(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    assert client.v1.payment_methods.detach(method).customer is None
    for call in (
        lambda: pay(client, method, customer=customer),
        lambda: client.v1.payment_methods.attach(method, {"customer": customer}),
        lambda: client.v1.payment_methods.detach(method),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            call()


def test_a_method_paid_with_once_and_not_saved_cannot_be_used_again(client: stripe.StripeClient) -> None:
    method = pay(client, "pm_card_visa").payment_method
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        pay(client, str(method))


def test_redisplay_is_what_was_said_and_can_be_changed(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    data: Any = {"type": "card", "card": {"token": "tok_visa"}, "allow_redisplay": "limited"}
    method = client.v1.payment_methods.create(data)
    assert method.allow_redisplay == "limited"
    client.v1.payment_methods.attach(method.id, {"customer": customer})
    client.v1.payment_methods.update(method.id, {"allow_redisplay": "always"})
    listed = client.v1.customers.payment_methods.list(customer, {"allow_redisplay": "always"})
    assert [one.id for one in listed.data] == [method.id]
    assert client.v1.customers.payment_methods.list(customer, {"allow_redisplay": "limited"}).data == []


def test_a_deleted_customer_is_answered_and_cannot_pay(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    client.v1.customers.delete(customer)
    assert client.v1.customers.retrieve(customer).to_dict() == {"id": customer, "object": "customer", "deleted": True}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        pay(client, "pm_card_visa", customer=customer)
    assert (refused.value.code, refused.value.param, refused.value.http_status) == ("resource_missing", "customer", 400)


def test_what_is_deleted_while_it_is_paged_does_not_stop_the_paging(client: stripe.StripeClient) -> None:
    email = f"{uuid.uuid4()}@example.com"
    made = {client.v1.customers.create({"email": email}).id for _ in range(5)}
    gone = [client.v1.customers.delete(one.id).id for one in _paged(client, email)]
    assert set(gone) == made
    assert client.v1.customers.list({"email": email}).data == []


def _paged(client: stripe.StripeClient, email: str) -> Any:
    return client.v1.customers.list({"email": email, "limit": 2}).auto_paging_iter()


# --- refunds and disputes ---


def test_refunds_add_up_and_never_exceed(client: stripe.StripeClient, until: Until) -> None:
    intent = pay(client, "pm_card_visa")
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 900})
    charge = client.v1.charges.retrieve(str(intent.latest_charge), {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded, len(charge.refunds.data)) == (900, False, 1)  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError, match=r"unrefunded amount on charge \(\$490.00\)"):
        client.v1.refunds.create({"charge": charge.id, "amount": 49001})
    client.v1.refunds.create({"charge": charge.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    assert len(client.v1.refunds.list({"payment_intent": intent.id}).data) == 2
    until(lambda: told(client, intent.id).count("charge.refunded") == 2)


@pytest.mark.parametrize(
    ("card", "now", "then", "left"),
    [("pm_card_pendingRefund", "pending", "succeeded", 49900), ("pm_card_refundFail", "succeeded", "failed", 0)],
)
def test_a_refund_may_pend_or_fail_later(
    client: stripe.StripeClient, until: Until, card: str, now: str, then: str, left: int
) -> None:
    intent = pay(client, card)
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == now
    until(lambda: client.v1.refunds.retrieve(refund.id).status == then)
    assert client.v1.charges.retrieve(str(intent.latest_charge)).amount_refunded == left
    until(lambda: "charge.refund.updated" in told(client, refund.id))
    assert ("refund.failed" in told(client, refund.id)) == (then == "failed")


def test_only_a_refund_that_needs_an_action_can_be_canceled_or_expired(client: stripe.StripeClient) -> None:
    refund = client.v1.refunds.create({"payment_intent": pay(client, "pm_card_visa").id})
    for call in (
        lambda: client.v1.refunds.cancel(refund.id),
        lambda: client.v1.test_helpers.refunds.expire(refund.id),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            call()


@pytest.mark.parametrize(
    ("evidence", "status", "moves"), [("winning_evidence", "won", 2), ("losing_evidence", "lost", 1)]
)
def test_evidence_decides_a_dispute(
    client: stripe.StripeClient, until: Until, evidence: str, status: str, moves: int
) -> None:
    intent = pay(client, "pm_card_createDispute")
    (dispute,) = until(lambda: client.v1.disputes.list({"payment_intent": intent.id}).data)
    assert (dispute.status, len(dispute.balance_transactions)) == ("needs_response", 1)
    _charged_back(client, intent.id)
    client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}})
    until(lambda: client.v1.disputes.retrieve(dispute.id).status == status)
    assert len(client.v1.disputes.retrieve(dispute.id).balance_transactions) == moves
    until(lambda: "charge.dispute.closed" in told(client, dispute.id))
    assert ("charge.dispute.funds_reinstated" in told(client, dispute.id)) == (status == "won")
    if status == "won":
        assert client.v1.refunds.create({"payment_intent": intent.id}).status == "succeeded"
        assert client.v1.disputes.retrieve(dispute.id).status == "won"
    else:
        _charged_back(client, intent.id)


def _charged_back(client: stripe.StripeClient, intent: str) -> None:
    """No refund while it is disputed, nor once it is lost; after it was won there may be one."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent})
    assert refused.value.code == "charge_disputed"


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("pm_card_createDispute", "fraudulent"),
        ("pm_card_createDisputeProductNotReceived", "product_not_received"),
        ("pm_card_createDisputeInquiry", "fraudulent"),
    ],
)
def test_a_dispute_that_is_accepted_is_lost_and_an_inquiry_is_closed(
    client: stripe.StripeClient, until: Until, card: str, reason: str
) -> None:
    inquiry = "Inquiry" in card
    intent = pay(client, card)
    (dispute,) = until(lambda: client.v1.disputes.list({"payment_intent": intent.id}).data)
    assert (dispute.reason, dispute.status) == (reason, "warning_needs_response" if inquiry else "needs_response")
    assert len(dispute.balance_transactions) == (0 if inquiry else 1)
    assert client.v1.disputes.close(dispute.id).status == ("warning_closed" if inquiry else "lost")


def test_an_inquiry_moves_no_funds_and_a_refund_averts_it(client: stripe.StripeClient, until: Until) -> None:
    intent = pay(client, "pm_card_createDisputeInquiry")
    (dispute,) = until(lambda: client.v1.disputes.list({"payment_intent": intent.id}).data)
    assert (dispute.status, dispute.balance_transactions) == ("warning_needs_response", [])
    client.v1.refunds.create({"payment_intent": intent.id})
    until(lambda: client.v1.disputes.retrieve(dispute.id).status == "warning_closed")
    assert "charge.dispute.funds_withdrawn" not in told(client, dispute.id)


# --- Checkout and codes ---


def test_a_session_has_no_intent_before_somebody_pays_and_can_be_expired(
    client: stripe.StripeClient, until: Until
) -> None:
    made = session(client, metadata={"a": "b"}, payment_intent_data={"metadata": {"a": "b"}})
    assert (made.status, made.payment_status, made.payment_intent) == ("open", "unpaid", None)
    assert (made.amount_total, made.currency, made.livemode) == (49900, "usd", False)
    items = client.v1.checkout.sessions.line_items.list(made.id).data
    assert [(one.description, one.amount_total) for one in items] == [("Data Professional", 49900)]
    assert client.v1.checkout.sessions.expire(made.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.expire(made.id)
    until(lambda: "checkout.session.expired" in told(client, made.id))


def test_a_session_of_what_cannot_be_sold_is_refused(client: stripe.StripeClient) -> None:
    price = client.v1.prices.create({"currency": "usd", "unit_amount": 500, "product_data": {"name": "x"}})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.products.delete(str(price.product))
    assert session(client, line_items=[{"price": price.id, "quantity": 2}]).amount_total == 1000
    client.v1.prices.update(price.id, {"active": False})
    dear = {"currency": "usd", "unit_amount": 99_999_999, "product_data": {"name": "x"}}
    coupon = client.v1.coupons.create({"percent_off": 5, "duration": "once"}).id
    both = {"coupon": coupon, "promotion_code": code(client).id}
    for wrong in (
        {"line_items": [{"price": price.id, "quantity": 1}]},
        {"line_items": [{"price_data": dear, "quantity": 2}]},
        {"line_items": [ITEM] * 101},
        {"discounts": [both]},
        {"currency": "eur"},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            session(client, **wrong)


def test_a_code_takes_its_part_off_and_has_its_rules(client: stripe.StripeClient) -> None:
    made = session(client, discounts=[{"promotion_code": code(client).id}])
    assert (made.amount_subtotal, made.amount_total) == (49900, 39920)
    assert session(client, discounts=[{"promotion_code": code(client, 100).id}]).amount_total == 0
    off = code(client)
    client.v1.promotion_codes.update(off.id, {"active": False})
    large = code(client, restrictions={"minimum_amount": 50000, "minimum_amount_currency": "usd"})
    other = code(client, customer=client.v1.customers.create({}).id)
    for refused in (off, large, other):
        with pytest.raises(stripe.InvalidRequestError):
            session(client, discounts=[{"promotion_code": refused.id}])
    with pytest.raises(stripe.InvalidRequestError, match="allow_promotion_codes"):
        session(client, discounts=[{"promotion_code": code(client).id}], allow_promotion_codes=True)
    with pytest.raises(stripe.InvalidRequestError) as missing:
        session(client, discounts=[{"promotion_code": "promo_none"}])
    assert missing.value.code == "resource_missing"


def test_a_code_for_first_purchases_knows_the_customer(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    first = code(client, restrictions={"first_time_transaction": True}).id
    assert session(client, customer=customer, discounts=[{"promotion_code": first}]).status == "open"
    pay(client, "pm_card_visa", customer=customer)
    with pytest.raises(stripe.InvalidRequestError, match="prior"):
        session(client, customer=customer, discounts=[{"promotion_code": first}])


# --- keys ---


def test_a_key_gives_the_first_answer_again_and_refuses_another_request(client: stripe.StripeClient) -> None:
    key: Any = {"idempotency_key": str(uuid.uuid4())}
    first = client.v1.payment_intents.create({"amount": 500, "currency": "usd"}, key)
    again = client.v1.payment_intents.create({"amount": 500, "currency": "usd"}, key)
    assert again.id == first.id
    assert first.last_response.headers.get("idempotent-replayed") is None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert again.last_response.headers["original-request"] == first.last_response.headers["request-id"]
    with pytest.raises(stripe.IdempotencyError) as refused:
        client.v1.payment_intents.create({"amount": 501, "currency": "usd"}, key)
    assert refused.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({}, key)


def test_a_decline_is_kept_under_its_key_and_a_bad_parameter_is_not(client: stripe.StripeClient) -> None:
    declined: Any = {"idempotency_key": str(uuid.uuid4())}
    seen = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as error:
            client.v1.payment_intents.create(
                {
                    "amount": 500,
                    "currency": "usd",
                    "confirm": True,
                    "payment_method": "pm_card_chargeDeclined",
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                },
                declined,
            )
        seen.add(error.value.error.payment_intent.id)  # type: ignore[union-attr]
    assert len(seen) == 1
    free: Any = {"idempotency_key": str(uuid.uuid4())}
    wrong: Any = {"amount": 500, "currency": "usd", "surprise": 1}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create(wrong, free)
    assert client.v1.payment_intents.create({"amount": 500, "currency": "usd"}, free).amount == 500


def test_an_event_names_the_request_that_made_it(client: stripe.StripeClient, until: Until) -> None:
    key = str(uuid.uuid4())
    made = client.v1.customers.create({}, {"idempotency_key": key})

    def found() -> list[stripe.Event]:
        events = client.v1.events.list({"type": "customer.created", "limit": 100}).data
        return [one for one in events if one.data.object["id"] == made.id]

    (event,) = until(found)
    assert event.request.id == made.last_response.headers["request-id"]  # type: ignore[union-attr]
    assert event.request.idempotency_key == key  # type: ignore[union-attr]
