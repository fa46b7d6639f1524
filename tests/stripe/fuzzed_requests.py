"""Seeded requests to every operation, valid and not, on an account with real objects, and what must hold of each.

`Fuzz.run` sends requests without a socket. Between them `tests/stripe/test_soak.py` acts: it pays, refunds, disputes
and advances the clock, so that a request meets objects of every status.
"""

import contextlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

from stripe_simulator import state_file
from stripe_simulator.accounts import Accounts
from stripe_simulator.api import Router
from stripe_simulator.errors import StripeError
from stripe_simulator.params import BROWSER, CLASSES, LEGACY, OPERATIONS, PATH_PARAMS, parse_form
from stripe_simulator.response import Response
from stripe_simulator.routes import PUBLISHABLE, ROUTES
from stripe_simulator.unsupported_params import UNSUPPORTED_PARAMS
from stripe_simulator.version import API_VERSION
from tests.stripe import typed_responses, typescript_responses
from tests.stripe.test_soak import ITEM, REFUNDED, World, finish

Pairs = list[tuple[str, str]]
ROUTER = Router(ROUTES)
LINK = "https://example.com/x"
BANK_FIELDS = [("type", "us_bank_account"), ("us_bank_account[account_number]", "000123456789")]
CARD_FIELDS = [("type", "card"), ("card[number]", "4242424242424242"), ("card[exp_month]", "12")]
CARD_FIELDS += [("card[exp_year]", "2040"), ("card[cvc]", "123")]
UNTYPED: dict[str, tuple[str, ...]] = {
    "POST /v1/events/*/retry": (),
    "GET /v1/payment_pages/*": (),
    "POST /v1/payment_pages/*/confirm": ("payment_method", "expected_amount"),
}
"""The operations that the package does not have, as only the CLI sends them, with their parameters."""
CARD_PARAMS = {"number", "cvc", "exp_month", "exp_year"}
"""The parameters in the errors of a card, which name the field of the form."""
STRIPES_NAMES = {"POST /v1/promotion_codes": ("minimum_amount_currency",)}
"""The parameters that Stripe's errors name without the hash in which they are: `test_contract.py` checks them."""
KINDS = {  # the kind of the object that a segment of a path, or a parameter, names
    "balance_transactions": "balance_transaction",
    "charges": "charge",
    "coupons": "coupon",
    "customers": "customer",
    "disputes": "dispute",
    "events": "event",
    "payment_intents": "payment_intent",
    "payment_methods": "payment_method",
    "payouts": "payout",
    "invoices": "invoice",
    "credit_notes": "credit_note",
    "tax_ids": "tax_id",
    "prices": "price",
    "products": "product",
    "promotion_codes": "promotion_code",
    "refunds": "refund",
    "setup_intents": "setup_intent",
    "sessions": "checkout.session",
    "payment_pages": "checkout.session",
    "webhook_endpoints": "webhook_endpoint",
    "confirmation_tokens": "confirmation_token",
    "early_fraud_warnings": "radar.early_fraud_warning",
    "charge": "charge",
    "confirmation_token": "confirmation_token",
    "coupon": "coupon",
    "customer": "customer",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "payout": "payout",
    "price": "price",
    "product": "product",
    "promotion_code": "promotion_code",
    "source": "charge",
    "invoice": "invoice",
    "refund": "refund",
}
TEXTS = {  # valid texts by the parameter's name
    "currency": ["usd", "usd", "USD", "eur", "gbp", "jpy", "xxx", "us"],
    "minimum_amount_currency": ["usd", "eur"],
    "email": ["a@example.com"],
    "receipt_email": ["a@example.com"],
    "customer_email": ["a@example.com"],
    "url": [LINK],
    "return_url": [LINK],
    "success_url": [LINK, f"{LINK}?s={{CHECKOUT_SESSION_ID}}"],
    "cancel_url": [LINK],
    "code": ["SAVE10", "save20"],
    "id": ["mine-1", "mine-2"],
    "ip_address": ["192.0.2.1"],
    "query": ["created>0", "metadata['a']:'b'", "status:'succeeded'", "email~'exa'", "active:'true' AND name:'x'"],
    "type": ["card", "eu_vat", "charge.*", "payment_intent.succeeded"],
    "enabled_events": ["*", "charge.refunded"],
    "expand": ["customer", "data.customer", "payment_method", "latest_charge.balance_transaction", "charge", "refunds"],
}
INTEGERS = ["0", "1", "2", "49", "50", "51", "99", "100", "101", "700", "1000", "49900", "99999999", "100000000"]
STRANGE = [  # values that are wrong for most parameters, and must be refused or kept as they are
    *("", " ", "0", "-1", "-0", "00", "01", "+1", "1.5", "1e3", "NaN", "Infinity", "true", "True", "null", "None"),
    *("999999999999999999", "1000000000000000000", "9" * 40, "٣", "²", "½", "1_000", "0x10"),
    *("a" * 256, "a" * 5000, "a" * 5001, "é" * 600, "😀" * 400, "\0", "a\0b", "\x1b[31m", "\u202eevil", "\ufeff"),
    *("\n", "a\r\nX: y", "<script>alert(1)</script>", "' OR 1=1 --", "../../etc/passwd", "%00", "%", "{}", "[]", "[0]"),
    *(
        "http://",
        "https://[::1",
        "https://x:99999/",
        "javascript:alert(1)",
        "a@b",
        "@",
        "a@example",
        "x" * 600 + "@a.de",
    ),
    *("cus_", "pi_3", "pm_card_", "pm_card_nope", "pm_card_visa", "tok_visa", "evt_1", "usd", "xxx", "USD ", "*", "._"),
]
STRANGE_PATHS = ["%2e%2e", "%00", "a%20b", "%F0%9F%98%80", "x" * 3000, "%ED%A0%80", "%2F", "pi_1%0d%0a", "search", "~"]
RAW = [  # whole bodies
    *(
        b"\xff\xfe",
        b"%",
        b"%zz=1",
        b"a",
        b"&",
        b"=",
        b"a=%FF%FE",
        b"a=%ED%A0%80",
        b"a[=1",
        b"a]=1",
        b"a[]b=1",
        b"[a]=1",
    ),
    *(b"a[b]=1&a=2", b"a=1&a[b]=2", b"a[]=1&a=2", b"a=1;b=2", b"a" + b"[a]" * 30 + b"=1", b"a[" + b"9" * 400 + b"]=1"),
    *(b"metadata[a][b]=1", b"metadata[]=1", b"metadata=1", b"metadata[a]=1&metadata[a]=2", b"expand=x", b"expand[a]=x"),
    *(b"&".join(b"a%d=1" % n for n in range(4001)), b"metadata[x]=" + b"y" * 100_000, b"\xef\xbb\xbfamount=1", b"{}"),
]
HAS_TIME = {"coupon", "promotion_code"}
"""The kinds whose `valid` or `active` depends on the time of the call."""
IMMEDIATE_LISTS = {
    f"POST /v1/{name}"
    for name in ("checkout/sessions", "coupons", "customers", "payment_intents", "prices", "products", "refunds")
} | {"POST /v1/promotion_codes", "POST /v1/setup_intents", "POST /v1/webhook_endpoints"}
"""The operations that create an object which a list without filters has first."""


class Problem(AssertionError):
    """An effect or an answer that no request may have."""


class Fuzz(World):
    """An account, and requests to it that a seed chooses."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.seed = seed
        self.operations: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.keys: list[tuple[str, str, dict[str, str], bytes]] = []
        """Requests with an idempotency key: method, target, headers, body."""

    def run(self, requests: int) -> None:
        """Send the requests. Raises Problem, with the seed and the last steps."""
        try:
            for _ in range(10):
                self.step()
            for number in range(requests):
                if number % 3 == 0:
                    self.step()
                self.fuzz()
            messages = [*finish_all(self), *round_trip_problems(self.stripe.accounts)]
            if messages:
                raise Problem("\n".join(messages))
        except Exception as error:
            last = "\n".join(self.steps[-12:])
            raise Problem(f"seed {self.seed}: {type(error).__name__}: {error}\nthe last steps:\n{last}") from error

    # --- one request ---

    def fuzz(self) -> None:
        """Send one request and check it."""
        chance = self.random.random()
        if chance < 0.02:
            self.send_without_route()
        elif chance < 0.05:
            self.send_garbage()
        elif chance < 0.09 and self.keys:
            self.replay()
        else:
            operation = self.random.choice(FREQUENT if chance < 0.5 else OPERATION_NAMES)
            self.send(operation, self.path_of(operation), self.pairs_of(operation))

    def send(self, operation: str, path: str, pairs: Pairs) -> None:
        """Send the parameters to an operation, and check the response and what it has left."""
        body = "&".join(f"{quote(name, safe='[]')}={quote_plus(value)}" for name, value in pairs)
        method = operation.partition(" ")[0]
        headers = self.headers_of(operation)
        target, data = (path, body.encode()) if method == "POST" else (f"{path}?{body}" if body else path, b"")
        response = self.checked(method, target, headers, data)
        self.operations[operation] += 1
        if response.status == 200:
            self.check_created(operation, response.json(), headers)

    def headers_of(self, operation: str) -> dict[str, str]:
        """Return the headers: mostly those of a server, rarely of a browser or of a caller without a key."""
        headers = {"Authorization": f"Bearer {self.stripe.secret_key}"}
        chance = self.random.random()
        if chance < (0.3 if operation in PUBLISHABLE else 0.01):
            headers["Authorization"] = f"Bearer {self.stripe.publishable_key}"
        elif chance > 0.99:
            headers["Authorization"] = self.random.choice(["", "Bearer ", "Bearer sk_test_nope", "Basic !!!", "x y z"])
        version = self.random.choice([API_VERSION, API_VERSION, None, "2026-08-26.dahlia", "2025-11-17.clover"])
        version = self.random.choice(["x", "2019-01-01", ""]) if 0.4 < chance < 0.41 else version
        if version is not None:
            headers["Stripe-Version"] = version
        if operation.startswith("POST") and self.random.random() < 0.3:
            strange = self.random.random() < 0.1
            headers["Idempotency-Key"] = self.random.choice(STRANGE) if strange else f"key-{len(self.steps)}"
        return headers

    def checked(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        """Send a request and check its response, what a refusal has left, and its idempotency key."""
        with self.stripe.account.lock:
            self.stripe.account.run_due()
        before = self.counts()
        self.steps.append(f"{method} {target[:600]} {headers} {body[:600]!r}")
        response = self.stripe.handle(method, target, headers, body)
        answer = response.json()
        self.steps[-1] += f" -> {response.status} {answer.get('error', {}).get('message', '')[:200]}"
        self.outcomes[f"{response.status} {answer.get('error', {}).get('code', '')}"] += 1
        messages = problems_of_answer(method, target, body, response)
        shows_intent = {"payment_intent", "setup_intent"} & answer.get("error", {}).keys()
        if response.status >= 400 and not shows_intent and self.counts() != before:
            messages.append("a refused request left something")
        if messages:
            raise Problem("\n".join(sorted(set(messages))))
        if headers.get("Idempotency-Key") and method == "POST":
            self.check_replay(method, target, headers, body, response)
            self.keys.append((method, target, headers, body))
        return response

    def check_replay(self, method: str, target: str, headers: dict[str, str], body: bytes, response: Response) -> None:
        """Send a request again: the response is the stored one, or the request was refused before it executed."""
        with self.stripe.account.lock:
            self.stripe.account.run_due()
        before = self.counts()
        again = self.stripe.handle(method, target, headers, body)
        is_replay = again.headers.get("Idempotent-Replayed") == "true"
        error = response.json().get("error", {})
        if is_replay and (again.status, again.body) != (response.status, response.body):
            raise Problem(f"the replay differs: {again.body!r:.300}")
        if not is_replay and response.status == 200:
            raise Problem("the request executed twice under one idempotency key")
        if not is_replay and without_ids(again.json().get("error", {})) != without_ids(error):
            raise Problem(f"a refused request answers otherwise the second time: {again.body!r:.300}")
        if self.counts() != before:
            raise Problem("a replay left something")

    def check_created(self, operation: str, answer: dict[str, Any], headers: dict[str, str]) -> None:
        """Check that a new object is the first of its list, and that a GET returns what the POST did."""
        if operation not in IMMEDIATE_LISTS or "Stripe-Version" not in headers:
            return
        path = operation.partition(" ")[2]
        headers = {**headers, "Authorization": f"Bearer {self.stripe.secret_key}"}
        first = self.stripe.handle("GET", f"{path}?limit=1", headers).json()["data"][0]
        if first["id"] != answer["id"]:
            raise Problem(f"{answer['id']} is not the first of the list")
        got = self.stripe.handle("GET", f"{path}/{quote(answer['id'], safe='')}", headers).json()
        if answer["object"] in HAS_TIME or operation == "POST /v1/webhook_endpoints":
            return  # an endpoint shows its secret once
        expanded = {name for name in answer if isinstance(answer[name], dict) and "object" in answer[name]}
        differing = [name for name in got if name not in expanded and got[name] != answer.get(name)]
        if differing:
            raise Problem(f"GET of {answer['id']} differs from the POST: {differing}")

    def replay(self) -> None:
        """Send a request with a used key again: as it was, to another path, or with another parameter."""
        method, target, headers, body = self.random.choice(self.keys[-50:])
        change = self.random.randrange(3)
        if change == 1:
            target = self.random.choice(["/v1/customers", "/v1/refunds"])
        elif change == 2:
            body += (b"&" if body else b"") + b"metadata[again]=1"
        self.steps.append(f"replay {method} {target[:300]} {headers} {body[:300]!r}")
        response = self.stripe.handle(method, target, headers, body)
        messages = problems_of_answer(method, target, body, response)
        if messages:
            raise Problem("\n".join(messages))

    def send_without_route(self) -> None:
        """Send a request to a path that Stripe does not have."""
        method = self.random.choice(["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", ""])
        segment = self.random.choice([*STRANGE_PATHS, "customers", "payment_intents"])
        path = self.random.choice(
            [f"/v1/{segment}/x/y/z", f"/v2/{segment}", f"/v1/nope/{segment}", "/v1/customers/", "/"]
        )
        self.checked(method, path, self.headers_of(method), b"a=1" if self.random.random() < 0.5 else b"")

    def send_garbage(self) -> None:
        """Send a body or a query that is malformed, or of another content type."""
        operation = self.random.choice(OPERATION_NAMES)
        method, body = operation.partition(" ")[0], self.random.choice(RAW)
        headers = self.headers_of(operation)
        if self.random.random() < 0.2:
            headers["Content-Type"] = self.random.choice(["application/json", "multipart/form-data", "text/plain"])
        target = self.path_of(operation)
        if method != "POST":
            target, body = f"{target}?{body.decode('latin-1')}", b""
        self.checked(method, target, headers, body)

    # --- what to send ---

    def path_of(self, operation: str) -> str:
        """Return a path of the operation, mostly with the id of an object that exists."""
        segments = operation.partition(" ")[2].split("/")
        for index, segment in enumerate(segments):
            if segment == "*":
                segments[index] = self.path_id(KINDS.get(segments[index - 1], ""))
        return "/".join(segments)

    def path_id(self, kind: str) -> str:
        """Return the id of an object of the kind, rarely of another kind or of nothing."""
        chance = self.random.random()
        if chance < 0.04:
            return self.random.choice(STRANGE_PATHS)
        if chance < 0.1:
            kind = self.random.choice(sorted(set(KINDS.values())))
        return quote(self.id_of(kind) or "none", safe="")

    def id_of(self, kind: str) -> str:
        """Return the id of an object of a kind, or nothing if there is none."""
        if kind == "event":
            ids = list(self.stripe.webhooks.payloads)
            return self.random.choice(ids[-30:]) if ids else ""
        if kind == "payment_method" and self.random.random() < 0.6:
            return self.method()
        objects = self.all(kind)
        return str(self.random.choice(objects[-30:])["id"]) if objects else ""

    def pairs_of(self, operation: str) -> Pairs:
        """Return parameters: mostly a valid request, with up to four more or strange ones, some twice."""
        pairs = list(self.base_of(operation)) if self.random.random() < 0.85 else []
        class_name = OPERATIONS.get(operation)
        fields = dict(CLASSES[class_name]) if class_name else {}
        fields |= LEGACY.get(class_name or "", {})
        if self.random.random() < 0.9:  # without the parameters that are refused by name
            refused = UNSUPPORTED_PARAMS.get(operation, ())
            fields = {name: types for name, types in fields.items() if name.removesuffix("!") not in refused}
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 4])):
            if fields:
                name, types = self.random.choice(list(fields.items()))
                pairs += self.field_pairs(name.removesuffix("!"), name.removesuffix("!"), types, 0)
        chance = self.random.random()
        if chance < 0.15 and pairs:  # spoil one value
            index = self.random.randrange(len(pairs))
            pairs[index] = (pairs[index][0], self.random.choice(STRANGE))
        elif chance < 0.2 and pairs:  # one name twice, or as a value and a hash
            name, value = self.random.choice(pairs)
            pairs.append((name + self.random.choice(["", "[]", "[x]", "[0]", "[999999999999]"]), value))
        elif chance < 0.22:
            pairs.append((self.random.choice(["nope", "metadata[ ]", "a[b", "x" * 300, "😀", "amount "]), "1"))
        elif chance < 0.26 and pairs:  # one parameter less
            pairs.pop(self.random.randrange(len(pairs)))
        return pairs

    def field_pairs(self, name: str, path: str, types: list[Any], depth: int) -> Pairs:
        """Return the pairs of a parameter, whose value is mostly of one of its types."""
        if self.random.random() < 0.1:
            strange = self.random.choice(STRANGE)
            return [(path + self.random.choice(["", "", "", "[]", "[a]", "[0][b]"]), strange)]
        type_ = self.random.choice(types)
        if not isinstance(type_, dict):
            return self.scalar_pairs(name, path, type_)
        if "enum" in type_:
            return [(path, str(self.random.choice(type_["enum"])))]
        if "list" in type_:
            count = self.random.choice([1, 1, 2, 3])
            brackets = self.random.choice([["[]"] * count, [f"[{index}]" for index in range(count)]])
            return [pair for each in brackets for pair in self.field_pairs(name, path + each, type_["list"], depth + 1)]
        if "map" in type_:
            key = self.random.choice(["usd", "eur", "EUR", "xxx", ""])
            return self.field_pairs(name, f"{path}[{key}]", type_["map"], depth + 1)
        pairs: Pairs = []
        for field, inner in CLASSES[type_["object"]].items():
            is_required, inner_name = field.endswith("!"), field.removesuffix("!")
            if depth < 5 and (is_required or self.random.random() < (0.4 if depth < 2 else 0.2)):
                pairs += self.field_pairs(inner_name, f"{path}[{inner_name}]", inner, depth + 1)
        return pairs

    def scalar_pairs(self, name: str, path: str, type_: str) -> Pairs:
        """Return the pairs of a value that is no object."""
        if type_ == "map":
            keys = [f"k{n}" for n in range(self.random.choice([1, 2, 51]))]
            return [(f"{path}[{key}]", self.random.choice(["b", "", "x" * 500, "x" * 501])) for key in keys]
        if type_ == "int":
            soon = str(int(self.now) + self.random.choice([-1, 0, 1800, 3600, 86400, 10**6]))
            return [(path, self.random.choice([*INTEGERS, soon] if "amount" in name else [*INTEGERS, soon, soon]))]
        if type_ == "bool":
            return [(path, self.random.choice(["true", "false"]))]
        if type_ in ("float", "decimal"):
            return [(path, self.random.choice(["0", "0.01", "12.5", "100", "100.01", "-1", "33.333333333333"]))]
        if type_ == "":
            return [(path, "")]
        if name in KINDS:
            kind = KINDS[name] if self.random.random() < 0.9 else "customer"
            return [(path, self.id_of(kind) or "none")]
        return [(path, self.random.choice(TEXTS.get(name, ["abc1", "x" * 20, "é", "2"])))]

    def base_of(self, operation: str) -> Pairs:
        """Return the parameters of a valid request."""
        base = BASES.get(operation, lambda fuzz: [])
        return base(self)

    def amount(self) -> str:
        """Return an amount that is mostly valid."""
        return self.random.choice(INTEGERS) if self.random.random() < 0.2 else str(self.random.randrange(50, 90_000))


def _intent(fuzz: Fuzz) -> Pairs:
    pairs = [("amount", fuzz.amount()), ("currency", fuzz.random.choice(["usd"] * 6 + TEXTS["currency"]))]
    if fuzz.random.random() < 0.7:
        pairs += [("confirm", "true"), ("payment_method", fuzz.method()), ("return_url", LINK)]
    if fuzz.random.random() < 0.2:
        pairs += [("capture_method", "manual")]
    return pairs


def _setup(fuzz: Fuzz) -> Pairs:
    pairs = [("confirm", "true"), ("payment_method", fuzz.method()), ("return_url", LINK)]
    return pairs if fuzz.random.random() < 0.6 else []


def _session(fuzz: Fuzz) -> Pairs:
    item = ITEM["price_data"]
    name = "line_items[0]"
    pairs = [("mode", "payment"), ("success_url", LINK), (f"{name}[quantity]", "1")]
    if fuzz.all("price") and fuzz.random.random() < 0.4:
        return [*pairs, (f"{name}[price]", fuzz.id_of("price"))]
    data = f"{name}[price_data]"
    pairs += [(f"{data}[currency]", "usd"), (f"{data}[unit_amount]", fuzz.amount())]
    return [*pairs, (f"{data}[product_data][name]", item["product_data"]["name"])]


def _code(fuzz: Fuzz) -> Pairs:
    return [("promotion[type]", "coupon"), ("promotion[coupon]", fuzz.id_of("coupon") or "none")]


def _price(fuzz: Fuzz) -> Pairs:
    product = fuzz.id_of("product")
    pairs = [("currency", "usd"), ("unit_amount", fuzz.amount())]
    return [*pairs, ("product", product) if product else ("product_data[name]", "DP")]


def _coupon(fuzz: Fuzz) -> Pairs:
    pairs = [("percent_off", fuzz.random.choice(["10", "12.5", "100"]))]
    return pairs if fuzz.random.random() < 0.5 else [("amount_off", fuzz.amount()), ("currency", "usd")]


def _credit_note(fuzz: Fuzz) -> Pairs:
    refund = ("refunds[0][refund]", fuzz.id_of("refund") or "none")
    return [("invoice", fuzz.id_of("invoice") or "none"), ("amount", fuzz.amount()), refund]


BASES: dict[str, Callable[[Fuzz], Pairs]] = {
    "POST /v1/payment_intents": _intent,
    "POST /v1/payment_intents/*/confirm": lambda fuzz: [("payment_method", fuzz.method()), ("return_url", LINK)],
    "POST /v1/payment_intents/*/capture": lambda fuzz: [],
    "POST /v1/setup_intents": _setup,
    "POST /v1/setup_intents/*/confirm": lambda fuzz: [("payment_method", fuzz.method()), ("return_url", LINK)],
    "POST /v1/checkout/sessions": _session,
    "POST /v1/payment_pages/*/confirm": lambda fuzz: [("payment_method", fuzz.method())],
    "POST /v1/coupons": _coupon,
    "POST /v1/promotion_codes": _code,
    "POST /v1/products": lambda fuzz: [("name", "DP")],
    "POST /v1/prices": _price,
    "POST /v1/payment_methods": lambda fuzz: list(fuzz.random.choice([CARD_FIELDS, BANK_FIELDS])),
    "POST /v1/payment_methods/*/attach": lambda fuzz: [("customer", fuzz.id_of("customer") or "none")],
    "GET /v1/payment_methods": lambda fuzz: [("customer", fuzz.id_of("customer") or "none")],
    "POST /v1/refunds": lambda fuzz: [("payment_intent", fuzz.id_of("payment_intent"))],
    "POST /v1/customers/*/tax_ids": lambda fuzz: [("type", "eu_vat"), ("value", "DE123456789")],
    "POST /v1/credit_notes": _credit_note,
    "GET /v1/credit_notes/preview": _credit_note,
    "GET /v1/credit_notes/preview/lines": _credit_note,
    "POST /v1/webhook_endpoints": lambda fuzz: [("url", LINK), ("enabled_events[]", "*")],
    "POST /v1/test_helpers/confirmation_tokens": lambda fuzz: [("payment_method", fuzz.method())],
    **{operation: lambda fuzz: [("query", "created>0")] for operation in ROUTES if operation.endswith("/search")},
}
OPERATION_NAMES = sorted(ROUTES)
FREQUENT = [
    *["POST /v1/payment_intents"] * 4,
    *("POST /v1/refunds", "POST /v1/checkout/sessions", "POST /v1/payment_pages/*/confirm", "POST /v1/customers"),
    *("POST /v1/customers", "POST /v1/customers/*/tax_ids", "GET /v1/invoices"),
    *("POST /v1/payment_intents/*/confirm", "POST /v1/payment_intents/*/capture", "POST /v1/payment_intents/*"),
    *("POST /v1/coupons", "POST /v1/promotion_codes", "POST /v1/prices", "POST /v1/products", "POST /v1/disputes/*"),
    *("POST /v1/setup_intents", "POST /v1/payment_methods", "POST /v1/test_helpers/confirmation_tokens"),
]


# --- the contract of an answer ---


def without_ids(error: dict[str, Any]) -> dict[str, Any]:
    """Return an error without the id of its request."""
    return {name: value for name, value in error.items() if name != "request_log_url"}


def problems_of_answer(method: str, target: str, body: bytes, response: Response) -> list[str]:
    """Return how a response differs from the contract: its status, its types, and the shape of its error."""
    path, _, query = target.partition("?")
    if response.status >= 500 or not 200 <= response.status < 500:
        return [f"status {response.status}"]
    if not response.headers.get("Request-Id", "").startswith("req_"):
        return ["no Request-Id"]
    answer = response.json()
    route = ROUTER.find(method, path)
    operation = route[1] if route else ""
    if response.status >= 400:
        return problems_of_error(operation, response.status, answer, sent_names(query, body))
    if operation in UNTYPED:
        return []
    return [*typed_responses.problems_of_response(method, path, 200, answer), *typescript_responses.problems(answer)]


def problems_of_error(operation: str, status: int, answer: dict[str, Any], sent: set[str]) -> list[str]:
    """Return how an error differs from Stripe's shape: its types, its page of the documentation, its parameter."""
    messages = typed_responses.problems_of_response("GET", "/v1/balance", status, answer)
    error = answer.get("error", {})
    if not error.get("message"):
        messages.append("an error without a message")
    page = f"https://stripe.com/docs/error-codes/{error.get('code', '').replace('_', '-')}"
    if "code" in error and not str(error.get("doc_url")).endswith(page.rpartition("/")[2]):
        messages.append(f"doc_url {error.get('doc_url')} of the code {error['code']}")
    param = error.get("param")
    is_card_field = error["type"] == "card_error" and param in CARD_PARAMS
    if param is not None and not is_card_field and not is_param(operation, param, sent):
        messages.append(f"{operation}: param {param!r:.100} is no parameter ({error['message'][:100]})")
    return messages


def sent_names(query: str, body: bytes) -> set[str]:
    """Return the names of the parameters that a request sends: as it writes them, and as they are parsed."""
    texts = [query, body.decode(errors="replace")]
    parts = [unquote_plus(part.partition("=")[0]) for text in texts for part in text.split("&")]
    names = {part[:200] for part in parts}
    names |= {part[:index] for part in parts for index, letter in enumerate(part) if letter == "["}
    for text in texts:
        with contextlib.suppress(StripeError):  # it is malformed as a whole
            names |= set(_all_names(parse_form(text)))
    return names


def _all_names(value: Any, path: str = "") -> Iterator[str]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _all_names(item, f"{path}[{key}]" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _all_names(item, f"{path}[{index}]")


def is_param(operation: str, param: str, sent: set[str]) -> bool:
    """Return whether the request has sent the parameter, or the operation takes it, in its path or elsewhere."""
    tables: list[Mapping[str, Sequence[str]]] = [UNTYPED, STRIPES_NAMES, PATH_PARAMS]
    if param in sent or (param == "id" and "*" in operation) or any(param in one.get(operation, ()) for one in tables):
        return True
    class_name = OPERATIONS.get(operation)
    if not class_name:
        return False
    fields = CLASSES[class_name] | LEGACY.get(class_name, {}) | BROWSER.get(class_name, {})
    head, *rest = re.findall(r"[^\[\]]+", param)
    return any(_takes(types, rest) for name, types in fields.items() if name.removesuffix("!") == head)


def _takes(types: list[Any], path: list[str]) -> bool:
    """Return whether a value of one of the types has something at the path."""
    if not path:
        return True
    for type_ in types:
        if type_ in ("map", "any"):
            return True
        if not isinstance(type_, dict):
            continue
        if "list" in type_ and path[0].isdecimal() and _takes(type_["list"], path[1:]):
            return True
        if "map" in type_ and _takes(type_["map"], path[1:]):
            return True
        fields = CLASSES[type_["object"]] if "object" in type_ else {}
        if any(_takes(inner, path[1:]) for name, inner in fields.items() if name.removesuffix("!") == path[0]):
            return True
    return False


# --- the consistency of the account ---


def finish_all(fuzz: Fuzz) -> list[str]:
    """Return the inconsistencies in the account, of each currency too."""
    no_event = "the object is requires_confirmation"  # an update with another payment method has no event
    messages = [message for message in finish(fuzz) if not message.endswith(no_event)]
    currencies = {intent["currency"] for intent in fuzz.all("payment_intent")}
    for currency in sorted(currencies):
        transactions = [one for one in fuzz.all("balance_transaction") if one["currency"] == currency]
        intents = [one for one in fuzz.all("payment_intent") if one["currency"] == currency]
        refunds = [one for one in fuzz.all("refund") if one["currency"] == currency and one["status"] in REFUNDED]
        disputes = [move for one in fuzz.all("dispute") for move in one["balance_transactions"]]
        total = sum(intent["amount_received"] for intent in intents) - sum(one["amount"] for one in refunds)
        total += sum(move["amount"] for move in disputes if move["currency"] == currency)
        if total != sum(one["amount"] for one in transactions):
            messages.append(f"{currency}: {total} is not the sum of the balance transactions")
    return messages


def round_trip_problems(accounts: Accounts) -> list[str]:
    """Return whether accounts that are read from their state file are written otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "first", Path(folder) / "second"
        state_file.save(accounts, first)
        state = state_file.read(first)
        assert state is not None
        default = accounts.default
        keys = default.secret_key, default.publishable_key, accounts.admin_key
        copy = Accounts(None, default.clock._source, *keys)
        state_file.load(copy, state, first)
        state_file.save(copy, second)
        (before,), (after,) = (json.loads(path.read_text())["accounts"] for path in (first, second))
    return [f"the state file loses `{name}`" for name in before if name != "run" and before[name] != after[name]]
