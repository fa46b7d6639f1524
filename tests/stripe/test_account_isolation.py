"""No operation reaches an object of another account: its id behaves like an id that no object has.

Each operation is called in one account with the ids of another account, in its path and in its parameters. The whole
outcome (response, objects, events, tasks) must be the one of an id that exists nowhere.
"""

import json
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from stripe_simulator.params import OPERATIONS
from stripe_simulator.routes import ROUTES
from stripe_simulator.server import Stripe
from stripe_simulator.unsupported_params import UNSUPPORTED_PARAMS
from tests.seeds import drawn
from tests.stripe.test_read_params import (
    BASES,
    OPERATIONS_WITH_PARAMS,
    SECOND_IDS,
    Params,
    Trials,
    leaves,
    paths_of,
    with_value,
)

OTHER, OWN = "sk_test_OtherAccount1", "sk_test_OwnAccount0001"
DEBIT = {
    "amount": 500,
    "currency": "usd",
    "confirm": True,
    "payment_method": "pm_usBankAccount_success",
    "return_url": "https://example.com",
    "mandate_data": {"customer_acceptance": {"type": "offline"}},
}
SHARED_ID, ONLY_COUPON = "C", "COUPON_OF_THE_OTHER"
"""The ids of a coupon that both accounts have, and of one that only the other account has."""
KINDS = {  # the kind of object that a segment of a path or a parameter names, if its name is another one
    "code": "promotion_code",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "early_fraud_warnings": "radar.early_fraud_warning",
    "ids": "product",
    "payment_pages": "checkout.session",
    "session": "checkout.session",
    "sessions": "checkout.session",
    "source": "charge",
}
ANY_KIND = {"client_secret", "ending_before", "id", "starting_after", "token"}
"""The parameters that name an object of several kinds."""


@cache
def trials() -> tuple[Trials, Trials]:
    """Return two accounts of one simulator with the same kinds of objects: the other one, and the one that calls."""
    stripe = Stripe(seed=1, clock=lambda: 1_800_000_000.0)
    other, own = Trials(stripe, OTHER), Trials(stripe, OWN)
    coupon = {"id": ONLY_COUPON, "percent_off": 5, "duration": "once"}
    assert other.send("POST", "/v1/coupons", coupon)[0] == 200
    for one in (other, own):  # a debit, which makes a mandate
        assert one.send("POST", "/v1/payment_intents", DEBIT)[0] == 200
    return other, own


@cache
def foreign_ids() -> dict[str, str]:
    """Return the id of one object of the other account by its kind, and one of its events."""
    other, _ = trials()
    ids = {kind: next(reversed(objects)) for kind, objects in other.account.store.objects.items() if objects}
    return {**ids, "payment_method": other.ids["method"], "event": next(iter(other.account.webhooks.payloads))}


def kind_of(name: str) -> str:
    """Return the kind of object that a parameter or a segment of a path names."""
    return KINDS.get(name, name.removesuffix("s"))


def ids_for(name: str) -> list[str]:
    """Return ids of the other account for a parameter or a segment of a path: of its kind, or of several kinds."""
    ids = foreign_ids()
    if name in ANY_KIND:
        return list(ids.values())
    return [ids[kind_of(name)]] if kind_of(name) in ids else []


def state(one: Trials) -> str:
    """Return everything of an account, as text."""
    account = one.account
    deliveries = [(one.event_id, one.outcome) for each in account.webhooks.deliveries.values() for one in each]
    tasks = sorted((task.at, task.name, task.arguments) for task in account.clock.tasks)
    keys = list(account.idempotency_keys.records)
    return json.dumps([account.store.objects, account.webhooks.payloads, deliveries, tasks, keys, len(account.log)])


def check_same(method: str, path: str, params: Params, id: str) -> tuple[int, Any]:
    """Check that a call with the id has the outcome of the same call with an id that no object has.

    Returns the status and the body of the response.
    """
    _, own = trials()
    text, unknown = json.dumps([path, params]), id[:-4] + "none"
    assert id in text
    unknown_path, unknown_params = json.loads(text.replace(id, unknown))
    foreign = own.outcome(method, path, params)
    missing = own.outcome(method, unknown_path, unknown_params)
    assert foreign.replace(id, "ID") == missing.replace(unknown, "ID"), (method, path, params)
    status, body = json.loads(foreign)[0]
    return status, body


@pytest.mark.parametrize("operation", sorted(one for one in ROUTES if "*" in one))
def test_a_path_with_an_id_of_another_account_is_a_path_with_a_missing_id(operation: str) -> None:
    other, _ = trials()
    before = state(other)
    base = BASES.get(operation, [{}])[0]
    method, template = operation.split(" ")
    segments = template.split("/")
    (id,) = ids_for(segments[segments.index("*") - 1])
    targets = [(id, template.replace("*", id, 1).replace("*", SECOND_IDS.get(segments[-2], "")))]
    if template.count("*") == 2:
        (second,) = ids_for(segments[-2])
        targets.append((second, template.replace("*", "{customer}", 1).replace("*", second)))
    for target_id, target in targets:
        status, body = check_same(method, target, base, target_id)
        assert (status, body["error"]["code"]) == (404, "resource_missing"), (target, body)
    assert state(other) == before


@pytest.mark.parametrize("operation", drawn(OPERATIONS_WITH_PARAMS, 3))
def test_a_parameter_with_an_id_of_another_account_is_one_with_a_missing_id(operation: str) -> None:
    check_parameters(operation)


@pytest.mark.soak
@pytest.mark.parametrize("operation", OPERATIONS_WITH_PARAMS)
def test_every_parameter_with_an_id_of_another_account_is_one_with_a_missing_id(operation: str) -> None:
    check_parameters(operation)


def check_parameters(operation: str) -> None:
    other, _ = trials()
    before = state(other)
    class_name = OPERATIONS[operation]
    for path, values, _ in leaves(class_name, UNSUPPORTED_PARAMS.get(operation, ())):
        if values[:1] not in (["abc1"], [["abc1"]]):
            continue  # not a text, so not an id
        name = next(step for step in reversed(path) if step != "0")
        for id in ids_for(name):
            for method, target in paths_of(operation):
                base: Any = BASES.get(operation, [{}])[0]
                value = [id] if isinstance(values[0], list) else id
                check_same(method, target, with_value(base, class_name, path, value), id)
    assert state(other) == before


@pytest.mark.parametrize("operation", sorted(one for one in ROUTES if one.startswith("GET ") and "*" not in one))
def test_a_list_or_search_has_only_objects_of_its_account(operation: str) -> None:
    other, own = trials()
    own.restore()
    path, base = operation.removeprefix("GET "), BASES.get(operation, [{}])[0]
    is_list = path not in ("/v1/balance", "/v1/credit_notes/preview")
    limit = {"limit": 100} if is_list else {}
    answers = [one.send("GET", path, {**base, **limit}) for one in (other, own)]
    assert [status for status, _ in answers] == [200, 200]
    first, second = ({item["id"] for item in body.get("data", [])} for _, body in answers)
    assert first & second == ({SHARED_ID} if path == "/v1/coupons" else set())
    assert not is_list or (first and second)


def test_the_other_account_has_an_object_of_every_kind_that_a_path_names() -> None:
    segments = {before for one in ROUTES for before, star in pairwise(one.split("/")) if star == "*"}
    assert {kind_of(segment) for segment in segments} == foreign_ids().keys()
