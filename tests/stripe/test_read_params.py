"""Every parameter that the simulator accepts has an effect: it is read, or it is refused by name.

Each operation is called with and without each of its parameters, nested ones included, on accounts that are equal in
everything else. The parameter is read if one of its values changes the response, an object, an event or a task.
`stripe_simulator/COVERAGE.md` lists the result.
"""

import json
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlencode

import pytest
from stripe._encode import _api_encode

from stripe_simulator.params import CLASSES, LEGACY, OPERATIONS
from stripe_simulator.routes import ROUTES
from stripe_simulator.server import Stripe
from stripe_simulator.store import clone
from stripe_simulator.unsupported_params import UNSUPPORTED_PARAMS
from tests.stripe import coverage_page
from tests.stripe.coverage_page import OLDER, PARTLY_REFUSED, REFUSED, SIMULATED

Path = tuple[str, ...]
Params = dict[str, Any]

LINK = "https://example.com/x"
VALUES: dict[str, list[Any]] = {  # type-valid values of each type; the first is the one of a required field
    "str": ["abc1", "pm_card_visa", LINK, "a@example.com"],
    "int": [1700, 1_800_600_000, 1],
    "bool": ["true", "false"],
    "float": ["12.5", "7.25"],
    "decimal": ["12.5", "7.25"],
    "any": ["abc1", "abc2"],
    "map": [{"a": "b"}, {"c": "d"}],
}
BANK = {"type": "us_bank_account", "us_bank_account": {"account_number": "000123456789"}}
CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040}
SEPA = {"type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"}}
DEBIT = {"amount": 500, "currency": "usd", "confirm": True, "return_url": LINK}
ITEM = {
    "quantity": 1,
    "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "DP"}},
}
ACCEPTANCE = {"type": "online", "online": {"ip_address": "192.0.2.1", "user_agent": "tests"}}
WHOLE: dict[str, list[Any]] = {  # valid values of objects, by the name of the parameter
    "payment_method_data": [
        BANK,
        {"type": "card", "card": CARD},
        {"type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"}},
    ],
    "line_items": [
        [ITEM],
        [{"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 500, "product": "{product}"}}],
    ],
    "mandate_data": [{"customer_acceptance": ACCEPTANCE}],
    "promotion": [{"type": "coupon", "coupon": "C"}],
    "default_price_data": [{"currency": "usd", "unit_amount": 500}],
    "product_data": [{"name": "DP"}],
    "currency_options": [{"eur": {"amount_off": 5}}, {"eur": {"minimum_amount": 5}}],
    "shipping": [{"name": "Ada", "address": {"line1": "1 Street"}}],
}
SETUP: list[tuple[str, str, Params]] = [  # the objects of each account: name, path and parameters
    ("customer", "customers", {"email": "ada@example.com", "name": "Ada"}),
    ("coupon", "coupons", {"id": "C", "percent_off": 20, "duration": "once"}),
    ("code", "promotion_codes", {"promotion": {"type": "coupon", "coupon": "C"}, "code": "CODE"}),
    ("product", "products", {"name": "DP", "url": LINK}),
    ("price", "prices", {"currency": "usd", "unit_amount": 500, "product": "{product}"}),
    ("method", "payment_methods/pm_card_visa/attach", {"customer": "{customer}"}),
    ("bank", "payment_methods", BANK),
    ("attached", "payment_methods/{bank}/attach", {"customer": "{customer}"}),
    ("intent", "payment_intents", {"amount": 500, "currency": "usd"}),
    (
        "step",
        "payment_intents",
        {"amount": 500, "currency": "usd", "payment_method": "pm_card_authenticationRequired"},
    ),
    (
        "held",
        "payment_intents",
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "capture_method": "manual",
            "off_session": True,
        },
    ),
    (
        "disputed",
        "payment_intents",
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_card_createDispute",
            "confirm": True,
            "customer": "{customer}",
            "off_session": True,
        },
    ),
    (
        "paid",
        "payment_intents",
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "off_session": True,
        },
    ),
    ("refund", "refunds", {"payment_intent": "{paid}", "amount": 5}),
    (
        "billed",
        "payment_methods",
        {"type": "card", "card": CARD, "billing_details": {"name": "Bea", "address": {"city": "Graz"}}},
    ),
    ("tax", "customers/{customer}/tax_ids", {"type": "eu_vat", "value": "DE123456789"}),
    (
        "invoiced",
        "checkout/sessions",
        {
            "mode": "payment",
            "success_url": LINK,
            "line_items": [ITEM],
            "customer": "{customer}",
            "invoice_creation": {"enabled": True},
        },
    ),
    ("invoiced_page", "payment_pages/{invoiced}/confirm", {"payment_method": "pm_card_visa"}),
    ("setup", "setup_intents", {"payment_method": "pm_card_authenticationRequired"}),
    ("session", "checkout/sessions", {"mode": "payment", "success_url": LINK, "line_items": [ITEM]}),
    ("endpoint", "webhook_endpoints", {"url": LINK, "enabled_events": ["*"]}),
    ("token", "test_helpers/confirmation_tokens", {"payment_method": "pm_card_visa", "return_url": LINK}),
]
PATH_IDS: dict[str, list[str]] = {  # the objects for `*` in the path of an operation; each is tried
    "payment_intents": ["{intent}", "{step}"],
    "payment_intents capture": ["{held}"],
    "payment_methods": ["{method}", "{bank}"],
    "payment_methods attach": ["pm_card_visa"],
    "customers": ["{customer}"],
    "coupons": ["{coupon}"],
    "promotion_codes": ["{code}"],
    "products": ["{product}"],
    "prices": ["{price}"],
    "refunds": ["{refund}"],
    "setup_intents": ["{setup}"],
    "sessions": ["{session}"],
    "webhook_endpoints": ["{endpoint}"],
    "confirmation_tokens": ["{token}"],
    "charges": ["{charge}"],
    "disputes": ["{dispute}"],
    "payouts": ["{payout}"],
    "invoices": ["{invoice}"],
    "credit_notes": ["{note}"],
}
SECOND_IDS = {"payment_methods": "{method}", "tax_ids": "{tax}"}
"""The object for the second `*` in a path, by the segment before it."""
CREDIT_NOTE = {"invoice": "{invoice}", "amount": 5, "refunds": [{"refund": "{returned}"}]}
BASES: dict[str, list[Params]] = {  # the parameters that each parameter is added to; each is tried
    "POST /v1/payment_intents": [
        {"amount": 500, "currency": "usd"},
        {
            "amount": 500,
            "currency": "usd",
            "confirm": True,
            "return_url": LINK,
            "payment_method": "pm_card_authenticationRequired",
        },
        {**DEBIT, "payment_method": "{bank}", "customer": "{customer}"},
        {"amount": 500, "currency": "eur", "confirm": True, "return_url": LINK, "payment_method_data": SEPA},
    ],
    "POST /v1/disputes/*": [{"evidence": {"uncategorized_text": "x"}}],
    "POST /v1/payment_intents/*/confirm": [{"return_url": LINK}, {"return_url": LINK, "payment_method_data": BANK}],
    "POST /v1/setup_intents": [
        {},
        {"confirm": True, "return_url": LINK, "payment_method": "pm_card_authenticationRequired"},
        {"confirm": True, "return_url": LINK, "payment_method_data": BANK},
    ],
    "POST /v1/setup_intents/*/confirm": [{"return_url": LINK}, {"return_url": LINK, "payment_method_data": BANK}],
    "POST /v1/checkout/sessions": [
        {"mode": "payment", "success_url": LINK, "line_items": [ITEM]},
        {"mode": "payment", "success_url": LINK, "line_items": [ITEM], "customer": "{customer}"},
    ],
    "POST /v1/customers/*/tax_ids": [{"type": "eu_vat", "value": "DE123456789"}, {"type": "no_vat", "value": "1"}],
    "POST /v1/credit_notes": [CREDIT_NOTE],
    "GET /v1/credit_notes/preview": [CREDIT_NOTE],
    "GET /v1/credit_notes/preview/lines": [CREDIT_NOTE],
    "POST /v1/coupons": [{"amount_off": 50, "currency": "usd", "duration": "once"}, {"duration": "repeating"}],
    "POST /v1/promotion_codes": [{"promotion": {"type": "coupon", "coupon": "C"}}, {}],
    "POST /v1/products": [{"name": "DP"}],
    "POST /v1/prices": [
        {"currency": "usd", "unit_amount": 500, "product": "{product}"},
        {"currency": "usd", "unit_amount": 500, "product_data": {"name": "DP"}},
    ],
    "POST /v1/payment_methods": [
        {"type": "card", "card": CARD},
        BANK,
        {"type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"}},
    ],
    "POST /v1/payment_methods/*/attach": [{"customer": "{customer}"}],
    "GET /v1/payment_methods": [{"customer": "{customer}"}],
    "POST /v1/payouts": [{"amount": 500, "currency": "usd"}],
    "POST /v1/refunds": [{"payment_intent": "{paid}"}],
    "POST /v1/webhook_endpoints": [{"url": LINK, "enabled_events": ["*"]}],
    "POST /v1/test_helpers/confirmation_tokens": [{"payment_method": "pm_card_visa"}, {"payment_method_data": BANK}],
    **{
        f"GET /v1/{kind}/search": [{"query": "created>0"}]
        for kind in ("charges", "customers", "invoices", "payment_intents")
    },
    "GET /v1/products/search": [{"query": "active:'true'"}],
    "GET /v1/prices/search": [{"query": "active:'true'"}],
}
ROUTES_WITHOUT_TYPES = {"POST /v1/events/*/retry", "GET /v1/payment_pages/*", "POST /v1/payment_pages/*/confirm"}
SIMULATED_TYPES = ("card", "us_bank_account", "sepa_debit")
HARMLESS = {
    "email_type": "the simulator sends no email",
    "radar_options": "a session of Radar only improves the estimate of the risk",
}
"""Parameters without an effect, by their name at any depth, with the reason."""


class Trials:
    """One account with the objects of SETUP, which is as it was before each call."""

    def __init__(self, stripe: Stripe | None = None, key: str | None = None) -> None:
        self.stripe = stripe or Stripe(seed=1, clock=lambda: 1_800_000_000.0)
        self.key = key or self.stripe.secret_key
        self.account = self.stripe.accounts.select(self.key)
        self.ids: dict[str, str] = {}
        for name, path, params in SETUP:
            self.ids[name] = self.send("POST", f"/v1/{path}", params)[1]["id"]
        store = self.account.store
        self.ids["charge"] = store.get("payment_intent", self.ids["paid"])["latest_charge"]
        self.ids["dispute"] = next(store.all("dispute"))["id"]
        self.ids["invoice"] = store.get("checkout.session", self.ids["invoiced"])["invoice"]
        bought = store.get("checkout.session", self.ids["invoiced"])["payment_intent"]
        refunds = [self.send("POST", "/v1/refunds", {"payment_intent": bought, "amount": 5})[1]["id"] for _ in range(2)]
        self.ids["returned"], credited = refunds
        note = {"invoice": "{invoice}", "amount": 5, "refunds": [{"refund": credited}]}
        self.ids["note"] = self.send("POST", "/v1/credit_notes", note)[1]["id"]
        self.control("early_fraud_warnings", charge=self.ids["charge"])
        self.control("balance_transactions", type="contribution", amount=5000)
        self.control("payouts", currency="usd", include_pending=True)
        funds = {"amount": 5000, "payment_method": "pm_card_bypassPending"}
        self.send("POST", "/v1/payment_intents", {"currency": "usd", "confirm": True, "off_session": True, **funds})
        self.ids["payout"] = next(store.all("payout"))["id"]
        webhooks = self.account.webhooks
        self.collections: list[Any] = [webhooks.payloads, webhooks.types, webhooks.deliveries, webhooks.outbox]
        self.copies = [one.copy() for one in self.collections]
        self.objects, self.tasks = clone(store.objects), list(self.account.clock.tasks)
        self.random = {random: random.getstate() for random in (store.random, *store._streams.values())}

    def restore(self) -> None:
        """Restore the account as it was after SETUP, the random sequence of its ids included."""
        account = self.account
        for collection, copy in zip(self.collections, self.copies, strict=True):
            collection.clear()
            (collection.extend if isinstance(collection, list) else collection.update)(copy)
        account.store.objects = clone(self.objects)
        account.clock.load(list(self.tasks))
        for random, state in self.random.items():
            random.setstate(state)

    def send(self, method: str, path: str, params: Params) -> tuple[int, Any]:
        """Send a request without a version, and return its status and body."""
        text = json.dumps([path, params])
        for name, id in self.ids.items():
            text = text.replace(f"{{{name}}}", id)
        path, params = json.loads(text)
        encoded = urlencode(list(_api_encode(params)))
        headers = {"Authorization": f"Bearer {self.key}"}
        target = path if method == "POST" else f"{path}?{encoded}"
        response = self.stripe.handle(method, target, headers, encoded.encode() if method == "POST" else b"")
        return response.status, response.json()

    def control(self, name: str, **body: Any) -> None:
        """Call the control API."""
        headers = {"Authorization": f"Bearer {self.key}"}
        response = self.stripe.handle("POST", f"/_sim/{name}", headers, json.dumps(body).encode())
        assert response.status == 200, response.json()

    def outcome(self, method: str, path: str, params: Params) -> str:
        """Restore the account, make a call, and return everything that it has changed, as text."""
        self.restore()
        answer = self.send(method, path, params)
        account = self.account
        if path == "/v1/checkout/sessions" and method == "POST" and answer[0] == 200:
            self.send("POST", f"/v1/payment_pages/{answer[1]['id']}/confirm", {"payment_method": "{billed}"})
            account.store.get("checkout.session", answer[1]["id"]).pop("_intent_data")
        tasks = sorted((task.at, task.name, task.arguments) for task in account.clock.tasks)
        return json.dumps([answer, account.store.objects, account.webhooks.payloads, tasks])


def values_of(name: str, types: list[Any]) -> list[Any]:
    """Return valid values of a parameter that is no object, the first one as the value of a required field."""
    values: list[Any] = []
    for type_ in types:
        if isinstance(type_, str):
            values += VALUES.get(type_, [])
        elif "enum" in type_:
            values += sorted(type_["enum"], key=lambda value: value not in SIMULATED_TYPES)
        elif "list" in type_:
            values += [[value] for value in values_of(name, type_["list"])]
        elif "map" in type_:
            values += WHOLE.get(name, [])
        else:
            values += WHOLE.get(name) or [required_fields(type_["object"]) or first_field(type_["object"])]
    return values


def required_fields(class_name: str) -> Params:
    """Return the required fields of an object with valid values."""
    fields = CLASSES[class_name].items()
    return {name[:-1]: values_of(name[:-1], types)[0] for name, types in fields if name.endswith("!")}


def first_field(class_name: str) -> Params:
    """Return one optional field of an object: an empty object cannot be sent."""
    return {name: values_of(name, types)[0] for name, types in list(CLASSES[class_name].items())[:1]}


def pattern_of(path: Path) -> str:
    """Return the name of a parameter as UNSUPPORTED_PARAMS has it: without the indexes of lists."""
    return path[0] + "".join("[]" if step == "0" else f"[{step}]" for step in path[1:])


def leaves(
    class_name: str, refused: tuple[str, ...], path: Path = (), ancestors: tuple[str, ...] = ()
) -> Iterator[tuple[Path, list[Any], bool]]:
    """Yield the path of each parameter that is no object, its valid values, and whether it is required.

    `0` is the index of a list. A parameter that is refused by name is left out.
    """
    fields = dict(CLASSES[class_name]) | ({} if path else LEGACY.get(class_name, {}))
    for field, types in fields.items():
        name = field.removesuffix("!")
        if pattern_of((*path, name)) in refused:
            continue
        objects = [type_["object"] for type_ in types if isinstance(type_, dict) and "object" in type_]
        lists = [type_["list"] for type_ in types if isinstance(type_, dict) and "list" in type_]
        items = [item["object"] for each in lists for item in each if isinstance(item, dict) and "object" in item]
        if not objects and not items:
            yield (*path, name), values_of(name, types), field.endswith("!")
        for inner, more in [*((one, (name,)) for one in objects), *((one, (name, "0")) for one in items)]:
            if inner not in ancestors:
                yield from leaves(inner, refused, (*path, *more), (*ancestors, class_name))


def with_value(params: Params, class_name: str, path: Path, value: Any) -> Params:
    """Return the parameters with one more, and with the required fields of the objects around it."""
    name, rest = path[0], path[1:]
    if not rest:
        return {**params, name: value}
    fields = CLASSES[class_name]
    types = fields.get(name) or fields[f"{name}!"]
    index = rest[:1] == ("0",)
    nested = [one for type_ in types if isinstance(type_, dict) for one in type_.get("list", [type_])]
    inner = next(one["object"] for one in nested if isinstance(one, dict) and "object" in one)
    whole = WHOLE.get(name)
    default = (whole[0][0] if index else whole[0]) if whole else required_fields(inner)
    before = params.get(name, [default] if index else default)
    changed = with_value(before[0] if index else before, inner, rest[1:] if index else rest, value)
    return {**params, name: [changed] if index else changed}


def without(params: Params, path: Path) -> Params:
    """Return a copy of the parameters without one of them."""
    copy = json.loads(json.dumps(params))
    target = copy
    for name in path[:-1]:
        target = target[int(name)] if isinstance(target, list) else target[name]
    target.pop(path[-1])
    return dict(copy)


def paths_of(operation: str) -> list[tuple[str, str]]:
    """Return the method and the paths to call of an operation."""
    method, template = operation.split(" ")
    segments = template.split("/")
    if "*" not in segments:
        return [(method, template)]
    kind = segments[segments.index("*") - 1]
    ids = PATH_IDS.get(f"{kind} {segments[-1]}", PATH_IDS.get(kind, ["{missing}"]))
    second = SECOND_IDS.get(segments[-2], "")
    return [(method, template.replace("*", id, 1).replace("*", second)) for id in ids]


def is_refusal(outcome: str, path: Path) -> bool:
    """Return whether the outcome is the error for a parameter that is not simulated."""
    (status, body), *_ = json.loads(outcome)
    message = body["error"]["message"] if status == 400 else ""
    return "does not support" in message and any(f"`{step}" in message for step in path)


@cache
def trials() -> Trials:
    """Return the account of all calls."""
    return Trials()


@lru_cache(maxsize=32)
def outcome_without(method: str, target: str, params: str) -> str:
    """Return the outcome of a call without the parameter that is tried. Most parameters of an operation share it."""
    return trials().outcome(method, target, json.loads(params))


def effect(operation: str, path: Path, values: list[Any], *, required: bool) -> str:
    """Return SIMULATED if a value of the parameter changes the outcome of a call, and "" if none does.

    A value that is refused by name ends the search: PARTLY_REFUSED if another value is not, or REFUSED.

    The bases that have the object of the parameter come first: with another one, the whole object may be refused.
    """
    class_name = OPERATIONS[operation]
    bases = sorted(BASES.get(operation, [{}]), key=lambda base: path[0] not in base)
    whole = WHOLE.get(path[0], [None]) if len(path) > 1 else [None]
    for method, target in paths_of(operation):
        for base in bases:
            outcomes: set[str] = set()
            for start in sorted(whole, key=lambda start: start is not None and path[1] not in start):
                start_params = base if start is None else {**base, path[0]: start}
                for value in values:
                    params = with_value(start_params, class_name, path, value)
                    if not required:
                        outcomes.add(outcome_without(method, target, json.dumps(without(params, path))))
                    outcome = trials().outcome(method, target, params)
                    if is_refusal(outcome, path):
                        others = [one for one in (values[0], values[-1]) if one != value]
                        more = [with_value(start_params, class_name, path, one) for one in others]
                        accepted = any(not is_refusal(trials().outcome(method, target, one), path) for one in more)
                        return PARTLY_REFUSED if accepted else REFUSED
                    if '"parameter_unknown"' not in outcome:  # the value was one of another operation
                        outcomes.add(outcome)
                    if len(outcomes) > 1:
                        return SIMULATED
                outcomes.clear()
    return ""


def state(operation: str, path: Path, values: list[Any], *, required: bool) -> str:
    """Return the state of a parameter for the page of the coverage, or "" if it has no effect."""
    harmless = next((name for name in path if name in HARMLESS), None)
    if harmless is not None:
        return f"no effect: {HARMLESS[harmless]}"
    is_constant = required and len(values) == 1
    result = SIMULATED if is_constant else effect(operation, path, values, required=required)
    is_older = len(path) == 1 and path[0] in LEGACY.get(OPERATIONS[operation], {})
    return OLDER if is_older and result == SIMULATED else result


def states(operation: str) -> dict[str, str]:
    """Return the state of each parameter of an operation by its pattern."""
    refused, class_name = UNSUPPORTED_PARAMS.get(operation, ()), OPERATIONS[operation]
    params = leaves(class_name, refused)
    result = {pattern_of(path): state(operation, path, values, required=required) for path, values, required in params}
    fields = {name.removesuffix("!") for name in CLASSES[class_name]}
    return result | {name: REFUSED for name in refused if name.partition("[")[0] in fields}


OPERATIONS_WITH_PARAMS = sorted(one for one in set(ROUTES) - ROUTES_WITHOUT_TYPES if OPERATIONS[one])


@pytest.mark.parametrize("operation", OPERATIONS_WITH_PARAMS)
def test_every_accepted_parameter_has_an_effect(operation: str) -> None:
    by_pattern = states(operation)
    assert [pattern for pattern, state in by_pattern.items() if not state] == []
    section = coverage_page.section(operation, by_pattern, UNSUPPORTED_PARAMS.get(operation, ()))
    assert section in coverage_page.PAGE.read_text(), "run `python -m tests.stripe.make_coverage`"
