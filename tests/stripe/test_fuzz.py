"""Fuzzed requests: none gets a 500, each error has Stripe's shape, each object its types, and the sums stay consistent.

`make test` sends 2,000, `make soak` 40,000. A failure prints its seed and the last requests;
`TUITION_SEED=7 python -m pytest tests/stripe/test_fuzz.py` sends others. Each defect that the search found has a test.
"""

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from stripe_simulator import currencies, state_file
from stripe_simulator.currencies import MIN_AMOUNTS
from stripe_simulator.params import CLASSES
from stripe_simulator.resources import balance_transactions, customers, refunds
from stripe_simulator.resources.payments import CURRENCIES
from stripe_simulator.response import Response
from stripe_simulator.routes import ROUTES
from stripe_simulator.server import Stripe
from stripe_simulator.unsupported_params import UNSUPPORTED_PARAMS
from tests.seeds import first_seed
from tests.stripe.fuzzed_requests import FREQUENT, Fuzz, Problem, is_param, problems_of_answer, sent_names

WORLDS, REQUESTS = 8, 250
SOAK_WORLDS, SOAK_REQUESTS = 100, 400
SEEDS_PER_RUN = 1000
"""The seeds of one value of TUITION_SEED."""


@pytest.mark.property
@pytest.mark.parametrize("world", range(WORLDS))
def test_fuzzed_requests_keep_the_contract(world: int) -> None:
    fuzz = Fuzz(first_seed() * SEEDS_PER_RUN + world)
    fuzz.run(REQUESTS)
    succeeded = sum(count for outcome, count in fuzz.outcomes.items() if outcome.startswith("200"))
    assert len(fuzz.operations) > 40 and succeeded > REQUESTS / 5, fuzz.outcomes


@pytest.mark.soak
@pytest.mark.parametrize("world", range(SOAK_WORLDS))
def test_fuzzed_requests_keep_the_contract_at_full_size(world: int) -> None:
    Fuzz(first_seed() * SEEDS_PER_RUN + WORLDS + world).run(SOAK_REQUESTS)


# --- the search finds defects ---


def _refund_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refunds, "refundable_amount", lambda charge: charge["amount"])
    monkeypatch.setattr(refunds, "check_refundable", lambda charge, amount: None)


def _forget_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    original = customers._apply
    monkeypatch.setattr(customers, "_apply", lambda one, params: (original(one, params), one.pop("description"))[0])


def _parse_without_check(text: str, param: str = "currency") -> str:
    assert MIN_AMOUNTS[text.lower()] > 0
    return text.lower()


def _raise_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(currencies, "parse", _parse_without_check)


def _settle_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balance_transactions, "fee_of", lambda amount, kind: 7)
    original = balance_transactions.add

    def add(account: Any, name: str, source: Any, amount: int, *others: Any) -> Any:
        return original(account, name, source, amount + 1 if name == "charge" else amount, *others)

    monkeypatch.setattr(balance_transactions, "add", add)


def _lose_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    original = state_file._load_account
    monkeypatch.setattr(state_file, "_load_account", lambda account, state: original(account, state | {"later": []}))


DEFECTS = {
    "a charge is refunded twice": (_refund_twice, "refundable answered|refunded"),
    "a customer lacks a field": (_forget_a_field, "customer.description: missing|KeyError: 'description'"),
    "an unknown currency is an error of the simulator": (_raise_an_error, "KeyError"),
    "the balance has more than was paid": (_settle_too_much, "balance transactions|is not"),
    "the state file loses the tasks": (_lose_the_clock, "the state file loses `later`"),
}


def _search(worlds: int, requests: int) -> None:
    for seed in range(worlds):
        Fuzz(seed).run(requests)


@pytest.mark.property
@pytest.mark.parametrize("name", DEFECTS)
def test_fuzzed_requests_find_a_planted_defect(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, message = DEFECTS[name]
    plant(monkeypatch)
    with pytest.raises(Problem) as excinfo:
        _search(worlds=5, requests=80)
    assert re.search(message, str(excinfo.value)), str(excinfo.value)
    assert "seed " in str(excinfo.value)


# --- the checks can fail ---

GOOD = {"message": "x", "type": "invalid_request_error", "code": "resource_missing", "param": "customer"}
GOOD |= {"doc_url": "https://docs.stripe.com/error-codes/resource-missing"}
BAD: dict[str, dict[str, Any]] = {
    "no message": {"message": ""},
    "another type": {"type": "simulator_error"},
    "no page": {"doc_url": None},
    "the page of another code": {"doc_url": "https://docs.stripe.com/error-codes/card-declined"},
    "a parameter that the operation does not have": {"param": "discounts"},
    "an unknown field": {"reason": "x"},
}


def problems(error: dict[str, Any], status: int = 400) -> list[str]:
    """Return the problems of an error in the answer to POST /v1/payment_intents."""
    error = {name: value for name, value in error.items() if value is not None}
    response = Response(status, {"Request-Id": "req_1"}, json.dumps({"error": error}).encode())
    return problems_of_answer("POST", "/v1/payment_intents", b"", response)


def test_an_error_in_stripes_shape_has_no_problem() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize("name", BAD)
def test_an_error_in_another_shape_is_a_problem(name: str) -> None:
    assert problems(GOOD | BAD[name]), name


def test_an_answer_with_status_500_is_a_problem() -> None:
    assert problems(GOOD | {"type": "api_error"}, 500) == ["status 500"]


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        ("shipping[address][line1]", True),
        ("shipping[address][line9]", False),
        ("metadata[a]", True),
        ("expand[0]", True),
        ("expand[x]", False),
        ("nope[b]", True),  # the request sends it
        ("nope[c]", False),
    ],
)
def test_a_parameter_is_real_if_the_operation_takes_it_or_the_request_sends_it(param: str, expected: bool) -> None:
    assert is_param("POST /v1/payment_intents", param, sent_names("", b"nope[b]=1&amount=5")) is expected


# --- defects that the search found ---


class Caller:
    """Sends requests to an account of its own."""

    def __init__(self) -> None:
        self.stripe = Stripe(seed=1, clock=lambda: 1_800_000_000.0)

    def send(self, method: str, path: str, **params: str) -> Any:
        """Send parameters by their whole names, such as `a[b]`, and return the body of the response."""
        return self.send_body(method, path, urlencode(params))

    def send_body(self, method: str, path: str, body: str) -> Any:
        """Send a form and return the body of the response."""
        headers = {"Authorization": f"Bearer {self.stripe.secret_key}"}
        return self.stripe.handle(method, f"/v1/{path}", headers, body.encode()).json()


@pytest.fixture
def caller() -> Caller:
    """Return a caller of a new account."""
    return Caller()


SESSION = {"mode": "payment", "success_url": "https://example.com", "line_items[0][quantity]": "1"}
DATA = "line_items[0][price_data]"
SESSION |= {f"{DATA}[currency]": "usd", f"{DATA}[unit_amount]": "500", f"{DATA}[product_data][name]": "DP"}


@pytest.mark.parametrize("body", ["shipping[]=a&shipping[name]=b", "shipping[name]=b&shipping[]=a"])
def test_a_name_that_is_both_an_array_and_a_hash_is_refused(caller: Caller, body: str) -> None:
    error = caller.send_body("POST", "customers", body)["error"]
    assert (error["message"], error["param"]) == (
        "Invalid parameter: shipping is both an array and a hash",
        "shipping",
    )


def test_a_name_with_a_null_byte_is_refused(caller: Caller) -> None:
    assert "Invalid parameter name" in caller.send_body("POST", "customers", "metadata[%000]=1")["error"]["message"]


def test_brackets_without_an_index_continue_the_last_item_until_a_name_repeats(caller: Caller) -> None:
    body = "name=DP&marketing_features[][name]=a&marketing_features[][name]=b"
    assert caller.send_body("POST", "products", body)["marketing_features"] == [{"name": "a"}, {"name": "b"}]
    session = {name.replace("[0]", "[]"): value for name, value in SESSION.items()}
    assert caller.send("POST", "checkout/sessions", **session)["amount_total"] == 500


def test_a_session_of_a_deleted_customer_cannot_be_paid(caller: Caller) -> None:
    customer = caller.send("POST", "customers")["id"]
    session = caller.send("POST", "checkout/sessions", customer=customer, **SESSION)["id"]
    caller.send("DELETE", f"customers/{customer}")
    error = caller.send("POST", f"payment_pages/{session}/confirm", payment_method="pm_card_visa")["error"]
    assert "has been deleted" in error["message"] and "param" not in error


def test_the_error_of_a_code_that_ended_before_the_payment_names_no_parameter(caller: Caller) -> None:
    coupon = caller.send("POST", "coupons", percent_off="10")["id"]
    code = caller.send("POST", "promotion_codes", coupon=coupon)["id"]
    session = caller.send("POST", "checkout/sessions", **SESSION, **{"discounts[0][promotion_code]": code})["id"]
    caller.send("POST", f"promotion_codes/{code}", active="false")
    error = caller.send("POST", f"payment_pages/{session}/confirm", payment_method="pm_card_visa")["error"]
    assert error["message"] == "This promotion code is not active." and "param" not in error


def test_the_error_of_a_default_price_names_the_nested_parameter(caller: Caller) -> None:
    error = caller.send("POST", "products", name="DP", **{"default_price_data[currency]": "usd"})["error"]
    assert error["param"] == "default_price_data[unit_amount]"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"type": "eps"}, "payment_method_data[type]"),
        ({"type": "card"}, "payment_method_data[card]"),
        ({"type": "us_bank_account", "us_bank_account[account_number]": "1"}, "payment_method_data[us_bank_account]"),
        ({"type": "sepa_debit", "sepa_debit[iban]": "DE1"}, "payment_method_data[sepa_debit][iban]"),
    ],
    ids=["type", "missing", "account", "iban"],
)
def test_the_error_of_a_described_method_names_the_nested_parameter(
    caller: Caller, params: dict[str, str], param: str
) -> None:
    nested = {re.sub(r"^(\w+)", r"payment_method_data[\1]", name): value for name, value in params.items()}
    error = caller.send("POST", "payment_intents", amount="500", currency="usd", **nested)["error"]
    assert error["param"].startswith(param)


def test_rendering_options_of_a_customer_have_all_fields(caller: Caller) -> None:
    params = {"invoice_settings[rendering_options][amount_tax_display]": "include_inclusive_tax"}
    options = caller.send("POST", "customers", **params)["invoice_settings"]["rendering_options"]
    assert options == {"amount_tax_display": "include_inclusive_tax", "template": None}


@pytest.mark.parametrize("path", ["payment_intents", "checkout/sessions"])
def test_options_of_a_method_that_is_not_simulated_are_refused_by_name(caller: Caller, path: str) -> None:
    params = {"payment_method_options[wechat_pay][client]": "web"}
    base = SESSION if path == "checkout/sessions" else {"amount": "500", "currency": "usd"}
    error = caller.send("POST", path, **base, **params)["error"]
    assert error["param"] == "payment_method_options[wechat_pay]"
    assert error["message"].startswith("The simulator does not support `payment_method_options[wechat_pay]`")


def test_an_empty_value_empties_a_list_of_a_product(caller: Caller) -> None:
    product = caller.send("POST", "products", name="DP", **{"marketing_features[0][name]": "a"})["id"]
    assert caller.send("POST", f"products/{product}", marketing_features="", images="")["marketing_features"] == []


@pytest.mark.parametrize("more", [{}, {"excluded_payment_method_types[0]": "affirm"}], ids=["plain", "excluded"])
def test_a_confirmation_of_an_intent_with_a_statement_descriptor_names_no_parameter_that_it_lacks(
    caller: Caller, more: dict[str, str]
) -> None:
    intent = caller.send("POST", "payment_intents", amount="500", currency="usd", statement_descriptor="SCHOOL")["id"]
    params = {"payment_method": "pm_card_visa", "return_url": "https://example.com", **more}
    error = caller.send("POST", f"payment_intents/{intent}/confirm", **params)["error"]
    assert "`statement_descriptor` parameter is not supported" in error["message"] and "param" not in error


@pytest.mark.parametrize("name", ["evidence[appeal][card]", "evidence[enhanced_evidence]"])
def test_evidence_for_an_appeal_or_a_network_program_is_refused_by_name(caller: Caller, name: str) -> None:
    params = {"confirm": "true", "off_session": "true", "payment_method": "pm_card_createDispute"}
    caller.send("POST", "payment_intents", amount="500", currency="usd", **params)
    dispute = caller.send("GET", "disputes")["data"][0]["id"]
    error = caller.send("POST", f"disputes/{dispute}", **{name: "x"})["error"]
    assert "The simulator does not support" in error["message"]


def test_frequent_operations_exist() -> None:
    assert set(FREQUENT) <= set(ROUTES)


@pytest.mark.parametrize("name", ["coupon", "promotion_code"])
def test_a_discount_of_a_customer_is_refused_by_name_without_a_version(caller: Caller, name: str) -> None:
    customer = caller.send("POST", "customers")["id"]
    for path in ("customers", f"customers/{customer}"):
        error = caller.send("POST", path, **{name: "C"})["error"]
        assert (error["param"], error["message"]) == (
            name,
            f"The simulator does not support `{name}`, although Stripe does.",
        )


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("POST /v1/payment_intents", "PaymentIntentCreateParamsPaymentMethodOptions"),
        ("POST /v1/payment_intents/*", "PaymentIntentCreateParamsPaymentMethodOptions"),
        ("POST /v1/payment_intents/*/confirm", "PaymentIntentCreateParamsPaymentMethodOptions"),
        ("POST /v1/checkout/sessions", "SessionCreateParamsPaymentMethodOptions"),
    ],
    ids=["create", "update", "confirm", "session"],
)
def test_the_options_of_every_method_that_is_not_simulated_are_refused(operation: str, options: str) -> None:
    refused = {name for name in UNSUPPORTED_PARAMS[operation] if name.count("[") == 1}
    expected = {f"payment_method_options[{kind}]" for kind in CLASSES[options] if kind not in CURRENCIES}
    assert {name for name in refused if name.startswith("payment_method_options[")} == expected
