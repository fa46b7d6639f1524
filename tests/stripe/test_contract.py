"""Behaviour that Stripe and the simulator share: each test runs on both (`-m live` for Stripe's test mode).

The tests use no control API and do not depend on the state of the whole account. `CheckedHttpClient` checks every
response against the typed classes of the package.
"""

import time
import uuid
from typing import Any

import pytest
import stripe

from tests.stripe.conftest import WaitUntil

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
CLOCK_TOLERANCE_S = 5


def pay(client: stripe.StripeClient, method: str, **more: Any) -> stripe.PaymentIntent:
    """Create a PaymentIntent of $499.00 and confirm it with a payment method."""
    params: Any = {"amount": 49900, "currency": "usd", "confirm": True, "payment_method": method, **more}
    if "return_url" not in params:
        params["automatic_payment_methods"] = NO_REDIRECTS
    return client.v1.payment_intents.create(params)


def create_session(client: stripe.StripeClient, **more: Any) -> stripe.checkout.Session:
    """Create a Checkout Session for one track of $499.00."""
    params: Any = {"mode": "payment", "line_items": [ITEM], "success_url": "https://example.com/{CHECKOUT_SESSION_ID}"}
    return client.v1.checkout.sessions.create(params | more)


def create_code(client: stripe.StripeClient, percent: int = 20, **more: Any) -> stripe.PromotionCode:
    """Create a promotion code with a coupon of its own."""
    coupon = client.v1.coupons.create({"percent_off": percent, "duration": "once"})
    return client.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, **more})


def event_types(client: stripe.StripeClient, about: Any) -> list[str]:
    """Return the sorted types of the events about an object and about objects that refer to it.

    Events that are older than the object are not read: an account that is in use has many.
    """
    types = []
    since = about.created - CLOCK_TOLERANCE_S
    for event in client.v1.events.list({"limit": 100, "created": {"gte": since}}).auto_paging_iter():
        data = event.data.object.to_dict()
        if about.id in (data.get("id"), data.get("payment_intent"), data.get("charge")):
            types.append(event.type)
    return sorted(types)


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
def test_an_invalid_payment_intent_parameter_is_named_in_the_error(
    client: stripe.StripeClient, params: Any, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.payment_intents.create(params)
    assert excinfo.value.param == param
    assert excinfo.value.http_status == 400


PRICE = {"currency": "usd", "unit_amount": 500, "product_data": {"name": "DP"}}
CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
HOSTED = {"mode": "payment", "success_url": "https://x/"}
INVALID_CREATES: list[tuple[str, dict[str, Any], str | None]] = [
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
        {
            "amount": 500,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "return_url": "not a URL",
        },
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
    ("checkout.sessions", {"mode": "payment", "success_url": "not a URL", "line_items": [ITEM]}, "success_url"),
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
            "line_items": [
                {"price_data": PRICE | {"currency": currency}, "quantity": 1} for currency in ("usd", "eur")
            ],
        },
        None,
    ),
    (
        "checkout.sessions",
        {"mode": "payment", "success_url": "https://x/", "line_items": [ITEM], "expires_at": 5},
        None,
    ),
    ("webhook_endpoints", {"url": "not a URL", "enabled_events": ["*"]}, "url"),
    ("webhook_endpoints", {"url": "https://example.com/", "enabled_events": ["charge.exploded"]}, None),
    ("setup_intents", {"usage": "never"}, "usage"),
]


@pytest.mark.parametrize(("service", "params", "param"), INVALID_CREATES)
def test_a_create_with_invalid_values_is_refused(
    client: stripe.StripeClient, service: str, params: dict[str, Any], param: str | None
) -> None:
    api: Any = client.v1
    for name in service.split("."):
        api = getattr(api, name)
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        api.create(params)
    assert excinfo.value.http_status == 400
    assert param is None or excinfo.value.param == param


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"number": "4242424242424241"}, "incorrect_number"),
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_year": 2020}, "invalid_expiry_year"),
        ({"cvc": "1"}, "invalid_cvc"),
    ],
)
def test_invalid_card_details_are_a_card_error(
    client: stripe.StripeClient, simulator: Any, change: dict[str, Any], code: str
) -> None:
    """Runs on the simulator only, because Stripe accepts card numbers from few accounts."""
    with pytest.raises(stripe.CardError) as excinfo:
        client.v1.payment_methods.create({"type": "card", "card": CARD | change})  # type: ignore[typeddict-item]
    assert (excinfo.value.http_status, excinfo.value.code) == (402, code)


def test_a_refused_update_leaves_the_payment_intent_unchanged(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd", "metadata": {"a": "b"}})
    customer = client.v1.customers.create({}).id
    for params in (
        {"customer": customer, "amount": 1},
        {"currency": "jpy", "amount": 10**9},
        {"metadata": {"c": "d"}, "payment_method": "pm_none"},
        {"customer": customer, "receipt_email": "nobody"},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.payment_intents.update(intent.id, params)  # type: ignore[arg-type]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_none", "setup_future_usage": "on_session"})
    assert client.v1.payment_intents.retrieve(intent.id).to_dict() == intent.to_dict()


@pytest.mark.parametrize(
    "query",
    ["metadata['a'", "amount>abc", "nothing:'x'", "metadata:'x'", "status['a']:'b'", "amount>1 AND"],
)
def test_an_invalid_search_query_is_refused(client: stripe.StripeClient, query: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.payment_intents.search({"query": query})
    assert excinfo.value.http_status == 400


@pytest.mark.parametrize(
    ("value", "escaped"), [("O'Hara", r"O\'Hara"), ('say "hi"', r"say \"hi\""), ("a\\b", r"a\\b"), ("a'b'", r"a\'b\'")]
)
def test_a_search_finds_metadata_with_quotes_that_are_escaped(
    client: stripe.StripeClient, value: str, escaped: str
) -> None:
    mark = uuid.uuid4().hex
    customer = client.v1.customers.create({"metadata": {"name": mark + value}}).id
    page = client.v1.customers.search({"query": f"metadata['name']:'{mark}{escaped}'"})
    assert [one.id for one in page.data] == [customer]


def test_duplicate_ids_and_invalid_promotion_codes_are_refused(client: stripe.StripeClient) -> None:
    name = f"x{uuid.uuid4().hex}"
    client.v1.products.create({"id": name, "name": "x"})
    coupon = client.v1.coupons.create({"id": name, "percent_off": 5, "duration": "once"}).id
    params: Any = {"promotion": {"type": "coupon", "coupon": coupon}, "code": name}
    client.v1.promotion_codes.create(params)
    for call in (
        lambda: client.v1.products.create({"id": name, "name": "x"}),
        lambda: client.v1.coupons.create({"id": name, "percent_off": 5}),
        lambda: client.v1.promotion_codes.create(params | {"code": name.upper()}),
        lambda: client.v1.promotion_codes.create(params | {"code": "a b!"}),
        lambda: client.v1.promotion_codes.create(params | {"code": "x" + name, "expires_at": 5}),
        lambda: client.v1.promotion_codes.create(params | {"code": "x" + name, "max_redemptions": 0}),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            call()


def test_a_retired_parameter_is_refused(client: stripe.StripeClient) -> None:
    types: Any = {"payment_method_types": ["card"]}
    intent_params: Any = {"amount": 500, "currency": "usd", **types}
    session_params: Any = {"mode": "payment", "line_items": [ITEM], "success_url": "https://x/", **types}
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    for call in (
        lambda: client.v1.payment_intents.create(intent_params),
        lambda: client.v1.payment_intents.update(intent.id, types),
        lambda: client.v1.payment_intents.confirm(intent.id, types),
        lambda: client.v1.checkout.sessions.create(session_params),
    ):
        with pytest.raises(stripe.InvalidRequestError) as excinfo:
            call()
        assert excinfo.value.code == "payment_method_types_no_longer_supported"
    coupon = client.v1.coupons.create({"percent_off": 10, "duration": "once"}).id
    code_params: Any = {"coupon": coupon}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.promotion_codes.create(code_params)


def test_allowed_payment_method_types_are_filtered_by_currency(client: stripe.StripeClient) -> None:
    params: Any = {"amount": 500, "currency": "usd", "allowed_payment_method_types": ["card", "us_bank_account"]}
    assert sorted(client.v1.payment_intents.create(params).payment_method_types) == ["card", "us_bank_account"]
    assert client.v1.payment_intents.create(params | {"currency": "eur"}).payment_method_types == ["card"]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create(
            params | {"currency": "eur", "allowed_payment_method_types": ["us_bank_account"]}
        )


def test_excluded_payment_method_types_are_not_available(client: stripe.StripeClient) -> None:
    params: Any = {"amount": 500, "currency": "usd", "excluded_payment_method_types": ["us_bank_account"]}
    intent = client.v1.payment_intents.create(params)
    assert "card" in intent.payment_method_types and "us_bank_account" not in intent.payment_method_types
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_usBankAccount_success", **DEBIT})  # type: ignore[typeddict-item]
    session = create_session(client, excluded_payment_method_types=["us_bank_account"])
    assert "us_bank_account" not in session.payment_method_types


def test_products_are_listed_by_ids_and_prices_by_lookup_keys(client: stripe.StripeClient) -> None:
    lookup_key = uuid.uuid4().hex
    one, two, _ = (client.v1.products.create({"name": name}).id for name in "abc")
    assert {product.id for product in client.v1.products.list({"ids": [one, two]}).data} == {one, two}
    params: Any = {"product": one, "currency": "usd", "unit_amount": 500, "lookup_key": lookup_key}
    price_id = client.v1.prices.create(params).id
    assert [price.id for price in client.v1.prices.list({"lookup_keys": [lookup_key]}).data] == [price_id]


@pytest.mark.parametrize(
    ("service", "param"),
    [
        ("customers", "id"),
        ("products", "id"),
        ("events", "id"),
        ("balance_transactions", "id"),
        ("prices", "price"),
        ("coupons", "coupon"),
        ("promotion_codes", "promotion_code"),
        ("payment_intents", "intent"),
        ("setup_intents", "intent"),
        ("payment_methods", "payment_method"),
        ("charges", "charge"),
        ("refunds", "refund"),
        ("disputes", "dispute"),
        ("payouts", "payout"),
        ("checkout.sessions", "session"),
        ("webhook_endpoints", "webhook_endpoint"),
    ],
)
def test_an_unknown_id_in_the_path_is_named_by_its_parameter(
    client: stripe.StripeClient, service: str, param: str
) -> None:
    api: Any = client.v1
    for name in service.split("."):
        api = getattr(api, name)
    with pytest.raises(stripe.InvalidRequestError, match="No such") as excinfo:
        api.retrieve("none_such")
    error = excinfo.value
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", param)


def test_an_unknown_payment_method_of_a_customer_is_named_by_its_parameter(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.customers.payment_methods.retrieve(customer, "pm_none")
    assert (excinfo.value.http_status, excinfo.value.param) == (404, "payment_method")


@pytest.mark.parametrize(
    ("amount", "message"),
    [(-400, "Invalid positive integer"), (0, "This value must be greater than or equal to 1."), (1, "at least")],
)
def test_an_amount_is_a_positive_integer(client: stripe.StripeClient, amount: int, message: str) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    for call in (
        lambda: client.v1.payment_intents.create({"amount": amount, "currency": "usd"}),
        lambda: client.v1.payment_intents.update(intent.id, {"amount": amount}),
    ):
        with pytest.raises(stripe.InvalidRequestError, match=message) as excinfo:
            call()
        assert excinfo.value.param == "amount"
        assert excinfo.value.code == ("parameter_invalid_integer" if amount < 1 else "amount_too_small")


def test_an_error_on_requires_action_says_that_the_authentication_was_not_handled(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError, match="`error_on_requires_action` was set") as excinfo:
        pay(client, "pm_card_authenticationRequired", error_on_requires_action=True)
    error: Any = excinfo.value.error
    assert (error.code, error.decline_code) == ("authentication_required", "authentication_not_handled")
    with pytest.raises(stripe.CardError) as excinfo:
        pay(client, "pm_card_authenticationRequired", off_session=True)
    error = excinfo.value.error
    assert (error.code, error.decline_code) == ("authentication_required", "authentication_required")


def previous_attributes(client: stripe.StripeClient, event_type: str, id: str) -> list[dict[str, Any]]:
    """Return `previous_attributes` of the events of a type about an object, newest first."""
    params: Any = {"type": event_type, "limit": 100, "created": {"gte": int(time.time()) - 600}}
    events = [event.to_dict() for event in client.v1.events.list(params).data]
    return [event["data"]["previous_attributes"] for event in events if event["data"]["object"]["id"] == id]


def test_an_event_has_the_previous_values_of_what_changed_and_of_metadata_only_the_changed_keys(
    client: stripe.StripeClient, wait_until: WaitUntil
) -> None:
    old: Any = {"metadata": {"same": "1", "old": "2", "gone": "3"}}
    new: Any = {"metadata": {"old": "4", "gone": "", "new": "5"}}
    changes = {"old": "2", "gone": "3", "new": None}
    api = client.v1
    coupon = api.coupons.create({"percent_off": 5, "name": "Before", **old}).id
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}, **old}).id
    product = api.products.create({"name": "DP", **old}).id
    price = create_price(client, product=product, **old).id
    customer = api.customers.create({"address": {"city": "Graz", "country": "AT"}, **old}).id
    api.coupons.update(coupon, {"name": "After", **new})
    api.promotion_codes.update(code, {"active": False, **new})
    api.prices.update(price, new)
    api.customers.update(customer, {"address": {"city": "Wien", "country": "AT"}, **new})
    for kind, id, previous in (
        ("coupon", coupon, {"metadata": changes, "name": "Before"}),
        ("promotion_code", code, {"metadata": changes, "active": True}),
        ("price", price, {"metadata": changes}),
        ("customer", customer, {"metadata": changes, "address": {"city": "Graz"}}),
    ):
        (attributes,) = wait_until(lambda: previous_attributes(client, f"{kind}.updated", id))  # noqa: B023
        assert attributes == previous


def test_an_update_of_a_product_moves_its_time(client: stripe.StripeClient, wait_until: WaitUntil) -> None:
    product = client.v1.products.create({"name": "DP"})
    assert product.updated == product.created
    wait_until(lambda: client.v1.customers.create({}).created > product.created)
    updated = client.v1.products.update(product.id, {"metadata": {"tier": "1"}})
    assert updated.updated > product.updated
    (attributes,) = wait_until(lambda: previous_attributes(client, "product.updated", product.id))
    assert attributes == {"metadata": {"tier": None}, "updated": product.updated}


def test_a_search_counts_its_results_if_expand_names_the_count(client: stripe.StripeClient) -> None:
    query: Any = {"query": "status:'succeeded'", "limit": 1}
    assert "total_count" not in client.v1.payment_intents.search(query).to_dict()
    counted = client.v1.payment_intents.search({**query, "expand": ["total_count", "data.customer"]}).to_dict()
    assert isinstance(counted["total_count"], int)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.v1.payment_intents.list({"expand": ["total_count"]})


def test_fields_that_are_only_expanded_are_there_even_if_they_are_empty(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"expand": ["subscriptions", "sources", "tax_ids"]})
    for name in ("subscriptions", "sources", "tax_ids"):
        page = customer[name]
        assert (page.data, page.has_more, page.url) == ([], False, f"/v1/customers/{customer.id}/{name}")
    assert "subscriptions" not in client.v1.customers.retrieve(customer.id).to_dict()
    expand = ["total_details.breakdown", "line_items.data.discounts", "line_items.data.taxes"]
    code = create_code(client)
    session = create_session(client, discounts=[{"promotion_code": code.id}], expand=expand).to_dict()
    for amounts in (session["total_details"]["breakdown"]["discounts"], session["line_items"]["data"][0]["discounts"]):
        (part,) = amounts
        assert part["amount"] == 9980
        assert part["discount"]["promotion_code"] == code.id
        assert part["discount"]["source"] == {"coupon": str(code.promotion.coupon), "type": "coupon"}
        assert part["discount"]["checkout_session"] == session["id"]
    assert session["total_details"]["breakdown"]["taxes"] == session["line_items"]["data"][0]["taxes"] == []
    session = create_session(client, expand=expand).to_dict()
    assert session["total_details"]["breakdown"] == {"discounts": [], "taxes": []}
    assert session["line_items"]["data"][0]["discounts"] == []


def test_line_items_are_in_the_order_of_the_request(client: stripe.StripeClient) -> None:
    names = ["First", "Second", "Third"]
    items = [{"quantity": 1, "price_data": ITEM["price_data"] | {"product_data": {"name": name}}} for name in names]  # type: ignore[operator]
    session = create_session(client, line_items=items, expand=["line_items"])
    assert session.line_items is not None
    assert [item.description for item in session.line_items.data] == names
    listed = client.v1.checkout.sessions.line_items.list(session.id, {"limit": 2})
    assert [item.description for item in listed.data] == names[:2]
    assert [item.description for item in listed.auto_paging_iter()] == names


def create_price(client: stripe.StripeClient, **more: Any) -> stripe.Price:
    """Create a price of $5.00, with a product of its own unless `product` names one."""
    product = {} if "product" in more else {"product_data": {"name": "DP"}}
    params: Any = {"currency": "usd", "unit_amount": 500, **product, **more}
    return client.v1.prices.create(params)


def test_a_lookup_key_belongs_to_one_price_even_if_that_price_is_archived(client: stripe.StripeClient) -> None:
    key = uuid.uuid4().hex
    holder, other = create_price(client, lookup_key=key), create_price(client)
    taken = rf"A price \(`{holder.id}`\) already uses that lookup key\."
    for active in (True, False):
        client.v1.prices.update(holder.id, {"active": active})
        for call in (
            lambda: create_price(client, lookup_key=key),
            lambda: client.v1.prices.update(other.id, {"lookup_key": key}),
        ):
            with pytest.raises(stripe.InvalidRequestError, match=taken) as excinfo:
                call()
            assert (excinfo.value.http_status, excinfo.value.param) == (400, "lookup_key")
    assert client.v1.prices.update(holder.id, {"lookup_key": key}).lookup_key == key


def test_the_default_price_of_a_product_is_one_of_its_active_prices(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "DP"}).id
    price, other = create_price(client, product=product), create_price(client)
    archived = client.v1.prices.update(create_price(client, product=product).id, {"active": False})
    for id in ("price_none", other.id, archived.id):
        with pytest.raises(stripe.InvalidRequestError) as excinfo:
            client.v1.products.update(product, {"default_price": id})
        assert excinfo.value.http_status == 400
    with pytest.raises(stripe.InvalidRequestError, match="No such price: 'price_none'") as excinfo:
        client.v1.products.update(product, {"default_price": "price_none"})
    assert excinfo.value.code == "resource_missing"
    assert client.v1.products.update(product, {"default_price": price.id}).default_price == price.id
    with pytest.raises(stripe.InvalidRequestError, match="because it is the default price of its product"):
        client.v1.prices.update(price.id, {"active": False})
    assert client.v1.prices.update(price.id, {"nickname": "x"}).active
    client.v1.products.update(product, {"default_price": create_price(client, product=product).id})
    assert not client.v1.prices.update(price.id, {"active": False}).active


def test_a_price_of_an_archived_product_cannot_be_bought(client: stripe.StripeClient) -> None:
    price = create_price(client)
    item: Any = {"price": price.id, "quantity": 1}
    assert create_session(client, line_items=[item]).amount_total == 500
    client.v1.products.update(str(price.product), {"active": False})
    message = f"Price `{price.id}` is not available to be purchased because its product is not active."
    with pytest.raises(stripe.InvalidRequestError, match=message) as excinfo:
        create_session(client, line_items=[item])
    assert excinfo.value.param == "line_items[0][price]"
    data: Any = {"currency": "usd", "unit_amount": 500, "product": str(price.product)}
    with pytest.raises(stripe.InvalidRequestError, match="is not available to be purchased") as excinfo:
        create_session(client, line_items=[{"price_data": data, "quantity": 1}])
    assert excinfo.value.param == "line_items[0][price_data][product]"


def test_a_price_has_either_a_product_or_product_data(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "DP"}).id
    both: Any = {"currency": "usd", "unit_amount": 500, "product": product, "product_data": {"name": "x"}}
    with pytest.raises(stripe.InvalidRequestError, match="only specify one of these parameters: product, product_data"):
        client.v1.prices.create(both)
    with pytest.raises(stripe.InvalidRequestError, match="either `product` or `product_data`"):
        client.v1.prices.create({"currency": "usd", "unit_amount": 500})
    for data in (both, {"currency": "usd", "unit_amount": 500}):
        with pytest.raises(stripe.InvalidRequestError):
            create_session(client, line_items=[{"price_data": data, "quantity": 1}])


def test_a_repeating_coupon_says_for_how_many_months_and_a_minimum_amount_in_which_currency(
    client: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="duration_in_months param must be set") as excinfo:
        client.v1.coupons.create({"percent_off": 5, "duration": "repeating"})
    assert excinfo.value.param == "duration"
    coupon = client.v1.coupons.create({"percent_off": 5, "duration": "repeating", "duration_in_months": 3})
    assert coupon.duration_in_months == 3
    params: Any = {"promotion": {"type": "coupon", "coupon": coupon.id}}
    with pytest.raises(stripe.InvalidRequestError, match="must pass minimum_amount_currency") as excinfo:
        client.v1.promotion_codes.create(params | {"restrictions": {"minimum_amount": 500}})
    assert excinfo.value.param == "minimum_amount_currency"
    restrictions = {"minimum_amount": 500, "minimum_amount_currency": "usd"}
    code = client.v1.promotion_codes.create(params | {"restrictions": restrictions})
    assert (code.restrictions.minimum_amount, code.restrictions.minimum_amount_currency) == (500, "usd")


def test_an_unknown_id_in_the_path_is_404(client: stripe.StripeClient) -> None:
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
        with pytest.raises(stripe.InvalidRequestError) as excinfo:
            call()
        assert (excinfo.value.http_status, excinfo.value.code) == (404, "resource_missing")


def test_metadata_is_merged_and_removed_by_empty_values(client: stripe.StripeClient) -> None:
    intents = client.v1.payment_intents
    id = intents.create({"amount": 500, "currency": "usd", "metadata": {"a": "1", "b": "2"}}).id
    assert intents.update(id, {"metadata": {"a": "", "c": "3"}}).metadata.to_dict() == {"b": "2", "c": "3"}
    assert intents.update(id, {"metadata": {}}).metadata.to_dict() == {"b": "2", "c": "3"}
    assert intents.update(id, {"metadata": ""}).metadata.to_dict() == {}


def test_an_empty_string_clears_optional_fields_and_is_refused_for_required_ones(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"business_name": "Ada", "address": {"city": "Graz"}})
    customer = client.v1.customers.update(customer.id, {"business_name": "", "address": ""})
    assert (customer.to_dict().get("business_name"), customer.address) == (None, None)
    params: Any = {"amount": 500, "currency": ""}
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.payment_intents.create(params)
    assert excinfo.value.code == "parameter_invalid_empty"


# --- lists and expansion ---


def test_a_list_is_paged_to_the_end_in_both_directions(client: stripe.StripeClient) -> None:
    email = f"{uuid.uuid4()}@example.com"
    ids = [client.v1.customers.create({"name": str(n), "email": email}).id for n in range(7)]
    forward = client.v1.customers.list({"limit": 3, "email": email})
    assert [customer.id for customer in forward.auto_paging_iter()] == ids[::-1]
    backward = client.v1.customers.list({"limit": 3, "email": email, "ending_before": ids[0]})
    assert [customer.id for customer in backward.data] == [ids[3], ids[2], ids[1]]
    assert backward.has_more
    assert [customer.id for customer in backward.auto_paging_iter()] == ids[1:]
    for params in (
        {"limit": 101},
        {"limit": 0},
        {"starting_after": ids[0], "ending_before": ids[1]},
        {"starting_after": "cus_none"},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.customers.list(params)


def test_a_page_without_a_limit_has_ten_items(client: stripe.StripeClient) -> None:
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
def test_an_expanded_field_holds_the_whole_object(client: stripe.StripeClient, path: str) -> None:
    customer = client.v1.customers.create({})
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    value: Any = pay(client, method.id, customer=customer.id, capture_method="automatic", expand=[path]).to_dict()
    for field in path.split("."):
        value = value[field]
    assert isinstance(value, dict)  # the client has checked its fields


def test_a_list_expands_fields_of_its_items(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    pay(client, "pm_card_visa", customer=customer)
    page = client.v1.payment_intents.list({"customer": customer, "expand": ["data.latest_charge"]})
    assert page.data[0].latest_charge.object == "charge"  # type: ignore[union-attr]
    for path in ("latest_charge", "data.amount", "data.none", "data.latest_charge.payment_intent.customer.x.y"):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.payment_intents.list({"customer": customer, "expand": [path]})


def test_a_list_is_filtered_by_customer_and_by_creation_time(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd", "customer": customer})
    at = intent.created
    for created, count in (({"gte": at}, 1), ({"gt": at}, 0), ({"lte": at}, 1), ({"lt": at}, 0), (at, 1)):
        page = client.v1.payment_intents.list({"customer": customer, "created": created})  # type: ignore[typeddict-item]
        assert len(page.data) == count, created


# --- payments ---


def test_a_successful_payment_gets_its_balance_transaction_later(
    client: stripe.StripeClient, wait_until: WaitUntil
) -> None:
    intent = pay(client, "pm_card_visa")
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (intent.status, intent.amount_received, charge.balance_transaction) == ("succeeded", 49900, None)
    wait_until(lambda: client.v1.charges.retrieve(charge.id).balance_transaction)
    wait_until(lambda: "charge.updated" in event_types(client, charge))
    types = ["charge.succeeded", "charge.updated", "payment_intent.created", "payment_intent.succeeded"]
    assert event_types(client, intent) == types


def test_automatic_capture_creates_the_balance_transaction_immediately(client: stripe.StripeClient) -> None:
    intent = pay(client, "pm_card_visa", capture_method="automatic", expand=["latest_charge.balance_transaction"])
    transaction: Any = intent.latest_charge.balance_transaction  # type: ignore[union-attr]
    assert (transaction.amount, transaction.net) == (49900, 49900 - transaction.fee)


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
def test_a_declined_payment_intent_can_be_paid_with_another_card(
    client: stripe.StripeClient, wait_until: WaitUntil, method: str, code: str, decline_code: str | None
) -> None:
    with pytest.raises(stripe.CardError) as excinfo:
        pay(client, method)
    error: Any = excinfo.value.error
    assert (error.code, error.decline_code or None, excinfo.value.http_status) == (code, decline_code, 402)
    intent = error.payment_intent
    assert (intent.status, intent.last_payment_error.code) == ("requires_payment_method", code)
    assert error.doc_url.endswith(f"/error-codes/{code.replace('_', '-')}")
    assert client.v1.charges.retrieve(error.charge).status == "failed"
    types = ["charge.failed", "payment_intent.created", "payment_intent.payment_failed"]
    wait_until(lambda: event_types(client, intent) == types)
    intent = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (intent.status, intent.last_payment_error) == ("succeeded", None)


@pytest.mark.parametrize(
    "method",
    ["pm_card_authenticationRequired", "pm_card_authenticationRequiredOnSetup", "pm_card_threeDSecure2Required"],
)
def test_a_card_with_3d_secure_requires_an_action(client: stripe.StripeClient, method: str) -> None:
    intent = pay(client, method, return_url="https://example.com/back")
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")  # type: ignore[union-attr]
    assert intent.next_action.redirect_to_url.return_url == "https://example.com/back"  # type: ignore[union-attr]
    without_url = pay(client, method)
    assert (without_url.status, without_url.next_action.type) == ("requires_action", "use_stripe_sdk")  # type: ignore[union-attr]
    assert client.v1.payment_intents.cancel(intent.id).status == "canceled"


def test_an_off_session_payment_that_needs_authentication_is_declined(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    method = client.v1.payment_methods.attach("pm_card_authenticationRequired", {"customer": customer}).id
    with pytest.raises(stripe.CardError) as excinfo:
        pay(client, method, customer=customer, off_session=True)
    assert excinfo.value.code == "authentication_required"


def test_a_paid_or_canceled_payment_intent_cannot_be_changed(client: stripe.StripeClient) -> None:
    paid = pay(client, "pm_card_visa").id
    canceled = client.v1.payment_intents.create({"amount": 500, "currency": "usd"}).id
    assert client.v1.payment_intents.cancel(canceled, {"cancellation_reason": "abandoned"}).status == "canceled"
    for id in (paid, canceled):
        for call in (
            lambda id: client.v1.payment_intents.cancel(id),
            lambda id: client.v1.payment_intents.confirm(id, {"payment_method": "pm_card_visa"}),
            lambda id: client.v1.payment_intents.update(id, {"amount": 600}),
            lambda id: client.v1.payment_intents.capture(id),
        ):
            with pytest.raises(stripe.InvalidRequestError) as excinfo:
                call(id)
            assert excinfo.value.code == UNEXPECTED
    assert client.v1.payment_intents.update(paid, {"metadata": {"a": "b"}}).metadata["a"] == "b"


def test_a_payment_intent_without_a_payment_method_cannot_be_confirmed(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.payment_intents.confirm(intent.id)
    assert excinfo.value.code == UNEXPECTED


def test_an_authorized_amount_can_be_captured_in_part_or_canceled(client: stripe.StripeClient) -> None:
    intent = pay(client, "pm_card_visa", capture_method="manual")
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 49900, 0)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 49901})
    intent = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 40000})
    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 40000, 0)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 40001})
    other = pay(client, "pm_card_visa", capture_method="manual")
    assert client.v1.payment_intents.cancel(other.id).status == "canceled"


@pytest.mark.parametrize(
    ("method", "status", "event"),
    [
        ("pm_usBankAccount_success", "succeeded", "payment_intent.succeeded"),
        ("pm_usBankAccount_noAccount", "requires_payment_method", "payment_intent.payment_failed"),
        ("pm_usBankAccount_insufficientFunds", "requires_payment_method", "payment_intent.payment_failed"),
    ],
)
def test_a_bank_debit_is_processing_before_it_succeeds_or_fails(
    client: stripe.StripeClient, wait_until: WaitUntil, method: str, status: str, event: str
) -> None:
    intent = pay(client, method, **DEBIT)
    assert intent.status == "processing"
    wait_until(lambda: client.v1.payment_intents.retrieve(intent.id).status == status)
    wait_until(lambda: {"payment_intent.processing", event} <= set(event_types(client, intent)))


def test_an_authorized_amount_cannot_be_refunded_and_needs_a_card(client: stripe.StripeClient) -> None:
    intent = pay(client, "pm_card_visa", capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 0})
    assert intent.payment_method_types == ["card"]
    with pytest.raises(stripe.InvalidRequestError):
        pay(client, "pm_usBankAccount_success", capture_method="manual", **DEBIT)


# --- saved payment methods ---


def test_a_payment_method_of_another_customer_is_refused(client: stripe.StripeClient) -> None:
    one, two = (client.v1.customers.create({}).id for _ in range(2))
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": one}).id
    for more in ({"customer": two}, {}):
        with pytest.raises(stripe.InvalidRequestError):
            pay(client, method, **more)


def test_setup_future_usage_saves_the_payment_method(client: stripe.StripeClient, wait_until: WaitUntil) -> None:
    customer = client.v1.customers.create({}).id
    pay(client, "pm_card_visa", customer=customer)
    assert client.v1.customers.payment_methods.list(customer).data == []
    pay(client, "pm_card_visa", customer=customer, setup_future_usage="on_session")
    (method,) = client.v1.customers.payment_methods.list(customer, {"type": "card"}).data
    assert (method.customer, method.allow_redisplay, method.card.last4) == (customer, "unspecified", "4242")  # type: ignore[union-attr]
    assert client.v1.customers.payment_methods.list(customer, {"type": "us_bank_account"}).data == []
    assert client.v1.customers.payment_methods.retrieve(customer, method.id).id == method.id
    assert pay(client, method.id, customer=customer).status == "succeeded"
    wait_until(lambda: "payment_method.attached" in event_types(client, method))


def test_a_detached_payment_method_cannot_be_used_again(client: stripe.StripeClient) -> None:
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


def test_an_unsaved_payment_method_cannot_be_used_twice(client: stripe.StripeClient) -> None:
    method = pay(client, "pm_card_visa").payment_method
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        pay(client, str(method))


def test_allow_redisplay_can_be_set_updated_and_filtered(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    params: Any = {"type": "card", "card": {"token": "tok_visa"}, "allow_redisplay": "limited"}
    method = client.v1.payment_methods.create(params)
    assert method.allow_redisplay == "limited"
    client.v1.payment_methods.attach(method.id, {"customer": customer})
    client.v1.payment_methods.update(method.id, {"allow_redisplay": "always"})
    page = client.v1.customers.payment_methods.list(customer, {"allow_redisplay": "always"})
    assert [item.id for item in page.data] == [method.id]
    assert client.v1.customers.payment_methods.list(customer, {"allow_redisplay": "limited"}).data == []


def test_a_deleted_customer_can_be_retrieved_but_cannot_pay(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    client.v1.customers.delete(customer)
    assert client.v1.customers.retrieve(customer).to_dict() == {"id": customer, "object": "customer", "deleted": True}
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        pay(client, "pm_card_visa", customer=customer)
    assert (excinfo.value.code, excinfo.value.param, excinfo.value.http_status) == ("resource_missing", "customer", 400)


def test_paging_continues_when_items_are_deleted_meanwhile(client: stripe.StripeClient) -> None:
    email = f"{uuid.uuid4()}@example.com"
    ids = {client.v1.customers.create({"email": email}).id for _ in range(5)}
    pages = client.v1.customers.list({"email": email, "limit": 2})
    deleted_ids = [client.v1.customers.delete(customer.id).id for customer in pages.auto_paging_iter()]
    assert set(deleted_ids) == ids
    assert client.v1.customers.list({"email": email}).data == []


# --- refunds and disputes ---


def test_refunds_never_exceed_the_charge(client: stripe.StripeClient, wait_until: WaitUntil) -> None:
    intent = pay(client, "pm_card_visa")
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 900})
    charge = client.v1.charges.retrieve(str(intent.latest_charge), {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded, len(charge.refunds.data)) == (900, False, 1)  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError, match=r"unrefunded amount on charge \(\$490.00\)"):
        client.v1.refunds.create({"charge": charge.id, "amount": 49001})
    client.v1.refunds.create({"charge": charge.id})
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert excinfo.value.code == "charge_already_refunded"
    assert len(client.v1.refunds.list({"payment_intent": intent.id}).data) == 2
    wait_until(lambda: event_types(client, intent).count("charge.refunded") == 2)


@pytest.mark.parametrize(
    ("card", "first", "final", "amount_refunded"),
    [("pm_card_pendingRefund", "pending", "succeeded", 49900), ("pm_card_refundFail", "succeeded", "failed", 0)],
)
def test_a_refund_can_be_pending_first_or_fail_later(
    client: stripe.StripeClient, wait_until: WaitUntil, card: str, first: str, final: str, amount_refunded: int
) -> None:
    intent = pay(client, card)
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == first
    wait_until(lambda: client.v1.refunds.retrieve(refund.id).status == final)
    assert client.v1.charges.retrieve(str(intent.latest_charge)).amount_refunded == amount_refunded
    wait_until(lambda: "charge.refund.updated" in event_types(client, refund))
    assert ("refund.failed" in event_types(client, refund)) == (final == "failed")


def test_a_refund_that_requires_no_action_cannot_be_canceled_or_expired(client: stripe.StripeClient) -> None:
    refund = client.v1.refunds.create({"payment_intent": pay(client, "pm_card_visa").id})
    for call in (
        lambda: client.v1.refunds.cancel(refund.id),
        lambda: client.v1.test_helpers.refunds.expire(refund.id),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            call()


@pytest.mark.parametrize(
    ("evidence", "status", "transactions"), [("winning_evidence", "won", 2), ("losing_evidence", "lost", 1)]
)
def test_the_evidence_decides_the_dispute_and_whether_the_charge_can_be_refunded(
    client: stripe.StripeClient, wait_until: WaitUntil, evidence: str, status: str, transactions: int
) -> None:
    intent = pay(client, "pm_card_createDispute")
    (dispute,) = wait_until(lambda: client.v1.disputes.list({"payment_intent": intent.id}).data)
    assert (dispute.status, len(dispute.balance_transactions)) == ("needs_response", 1)
    _assert_refund_is_refused(client, intent.id)
    client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}})
    wait_until(lambda: client.v1.disputes.retrieve(dispute.id).status == status)
    assert len(client.v1.disputes.retrieve(dispute.id).balance_transactions) == transactions
    wait_until(lambda: "charge.dispute.closed" in event_types(client, dispute))
    assert ("charge.dispute.funds_reinstated" in event_types(client, dispute)) == (status == "won")
    if status == "won":
        assert client.v1.refunds.create({"payment_intent": intent.id}).status == "succeeded"
        assert client.v1.disputes.retrieve(dispute.id).status == "won"
    else:
        _assert_refund_is_refused(client, intent.id)


def _assert_refund_is_refused(client: stripe.StripeClient, intent_id: str) -> None:
    """Stripe refuses refunds while a dispute is open and after it is lost, but not after it is won."""
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.refunds.create({"payment_intent": intent_id})
    assert excinfo.value.code == "charge_disputed"


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("pm_card_createDispute", "fraudulent"),
        ("pm_card_createDisputeProductNotReceived", "product_not_received"),
        ("pm_card_createDisputeInquiry", "fraudulent"),
    ],
)
def test_accepting_a_dispute_loses_it_and_accepting_an_inquiry_closes_it(
    client: stripe.StripeClient, wait_until: WaitUntil, card: str, reason: str
) -> None:
    inquiry = "Inquiry" in card
    intent = pay(client, card)
    (dispute,) = wait_until(lambda: client.v1.disputes.list({"payment_intent": intent.id}).data)
    assert (dispute.reason, dispute.status) == (reason, "warning_needs_response" if inquiry else "needs_response")
    assert len(dispute.balance_transactions) == (0 if inquiry else 1)
    assert client.v1.disputes.close(dispute.id).status == ("warning_closed" if inquiry else "lost")


def test_an_inquiry_moves_no_funds_and_a_refund_closes_it(client: stripe.StripeClient, wait_until: WaitUntil) -> None:
    intent = pay(client, "pm_card_createDisputeInquiry")
    (dispute,) = wait_until(lambda: client.v1.disputes.list({"payment_intent": intent.id}).data)
    assert (dispute.status, dispute.balance_transactions) == ("warning_needs_response", [])
    client.v1.refunds.create({"payment_intent": intent.id})
    wait_until(lambda: client.v1.disputes.retrieve(dispute.id).status == "warning_closed")
    assert "charge.dispute.funds_withdrawn" not in event_types(client, dispute)


# --- Checkout and promotion codes ---


def test_an_unpaid_session_has_no_payment_intent_and_can_be_expired(
    client: stripe.StripeClient, wait_until: WaitUntil
) -> None:
    session = create_session(client, metadata={"a": "b"}, payment_intent_data={"metadata": {"a": "b"}})
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert (session.amount_total, session.currency, session.livemode) == (49900, "usd", False)
    items = client.v1.checkout.sessions.line_items.list(session.id).data
    assert [(item.description, item.amount_total) for item in items] == [("Data Professional", 49900)]
    assert client.v1.checkout.sessions.expire(session.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.expire(session.id)
    wait_until(lambda: "checkout.session.expired" in event_types(client, session))


def test_a_session_with_invalid_items_discounts_or_currency_is_refused(client: stripe.StripeClient) -> None:
    price = client.v1.prices.create({"currency": "usd", "unit_amount": 500, "product_data": {"name": "x"}})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.products.delete(str(price.product))
    assert create_session(client, line_items=[{"price": price.id, "quantity": 2}]).amount_total == 1000
    client.v1.prices.update(price.id, {"active": False})
    largest_price = {"currency": "usd", "unit_amount": 99_999_999, "product_data": {"name": "x"}}
    coupon = client.v1.coupons.create({"percent_off": 5, "duration": "once"}).id
    both = {"coupon": coupon, "promotion_code": create_code(client).id}
    for params in (
        {"line_items": [{"price": price.id, "quantity": 1}]},
        {"line_items": [{"price_data": largest_price, "quantity": 2}]},
        {"line_items": [ITEM] * 101},
        {"discounts": [both]},
        {"currency": "eur"},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            create_session(client, **params)


def test_a_promotion_code_reduces_the_total_within_its_restrictions(client: stripe.StripeClient) -> None:
    session = create_session(client, discounts=[{"promotion_code": create_code(client).id}])
    assert (session.amount_subtotal, session.amount_total) == (49900, 39920)
    assert create_session(client, discounts=[{"promotion_code": create_code(client, 100).id}]).amount_total == 0
    inactive = create_code(client)
    client.v1.promotion_codes.update(inactive.id, {"active": False})
    with_minimum = create_code(client, restrictions={"minimum_amount": 50000, "minimum_amount_currency": "usd"})
    of_customer = create_code(client, customer=client.v1.customers.create({}).id)
    for code in (inactive, with_minimum, of_customer):
        with pytest.raises(stripe.InvalidRequestError):
            create_session(client, discounts=[{"promotion_code": code.id}])
    with pytest.raises(stripe.InvalidRequestError, match="allow_promotion_codes"):
        create_session(client, discounts=[{"promotion_code": create_code(client).id}], allow_promotion_codes=True)
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        create_session(client, discounts=[{"promotion_code": "promo_none"}])
    assert excinfo.value.code == "resource_missing"


def test_a_first_purchase_code_is_refused_for_a_customer_who_has_paid(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    code = create_code(client, restrictions={"first_time_transaction": True}).id
    assert create_session(client, customer=customer, discounts=[{"promotion_code": code}]).status == "open"
    pay(client, "pm_card_visa", customer=customer)
    with pytest.raises(stripe.InvalidRequestError, match="prior"):
        create_session(client, customer=customer, discounts=[{"promotion_code": code}])


# --- idempotency keys ---


def test_an_idempotency_key_replays_the_first_response_and_refuses_another_request(
    client: stripe.StripeClient,
) -> None:
    key: Any = {"idempotency_key": str(uuid.uuid4())}
    first = client.v1.payment_intents.create({"amount": 500, "currency": "usd"}, key)
    replay = client.v1.payment_intents.create({"amount": 500, "currency": "usd"}, key)
    assert replay.id == first.id
    assert first.last_response.headers.get("idempotent-replayed") is None
    assert replay.last_response.headers["idempotent-replayed"] == "true"
    assert replay.last_response.headers["original-request"] == first.last_response.headers["request-id"]
    with pytest.raises(stripe.IdempotencyError) as excinfo:
        client.v1.payment_intents.create({"amount": 501, "currency": "usd"}, key)
    assert excinfo.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({}, key)


def test_an_idempotency_key_stores_a_decline_but_not_an_invalid_parameter(client: stripe.StripeClient) -> None:
    decline_key: Any = {"idempotency_key": str(uuid.uuid4())}
    intent_ids = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as excinfo:
            client.v1.payment_intents.create(
                {
                    "amount": 500,
                    "currency": "usd",
                    "confirm": True,
                    "payment_method": "pm_card_chargeDeclined",
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                },
                decline_key,
            )
        intent_ids.add(excinfo.value.error.payment_intent.id)  # type: ignore[union-attr]
    assert len(intent_ids) == 1
    invalid_key: Any = {"idempotency_key": str(uuid.uuid4())}
    invalid: Any = {"amount": 500, "currency": "usd", "surprise": 1}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create(invalid, invalid_key)
    assert client.v1.payment_intents.create({"amount": 500, "currency": "usd"}, invalid_key).amount == 500


def test_an_event_names_the_request_that_caused_it(client: stripe.StripeClient, wait_until: WaitUntil) -> None:
    key = str(uuid.uuid4())
    customer = client.v1.customers.create({}, {"idempotency_key": key})

    def events_of_customer() -> list[stripe.Event]:
        events = client.v1.events.list({"type": "customer.created", "limit": 100}).data
        return [event for event in events if event.data.object["id"] == customer.id]

    (event,) = wait_until(events_of_customer)
    assert event.request.id == customer.last_response.headers["request-id"]  # type: ignore[union-attr]
    assert event.request.idempotency_key == key  # type: ignore[union-attr]


# --- payouts ---


def test_payouts_are_listed_and_a_missing_payout_is_refused(client: stripe.StripeClient) -> None:
    """A payout cannot be created at once in Stripe's test mode, so `test_payouts.py` runs on the simulator only."""
    payouts = client.v1.payouts.list({"limit": 3, "created": {"gte": int(time.time()) - 600}})
    assert payouts.url == "/v1/payouts"
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.payouts.retrieve("po_none")
    assert (excinfo.value.http_status, excinfo.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.balance_transactions.list({"payout": "po_none"})
    assert excinfo.value.param == "payout"
