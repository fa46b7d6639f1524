"""The check of every request that Tuition sends is itself one that can fail."""

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from stripe._encode import _api_encode

from stripe_simulator.errors import StripeError
from stripe_simulator.params import check, parse_form
from tests.requests_sent import MANY, Notes, ours
from tests.stripe import typed_params

INTENT = {"amount": 49900, "currency": "usd"}
LINE = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 1, "product_data": {"name": "DP"}}}
WRONG = [
    ("POST /v1/payment_intents", {"amount": 49900}),
    ("POST /v1/payment_intents", {**INTENT, "surprise": 1}),
    ("POST /v1/payment_intents", {**INTENT, "amount": "499.00"}),
    ("POST /v1/payment_intents", {**INTENT, "allowed_payment_method_types": "card"}),
    ("POST /v1/payment_intents", {**INTENT, "allowed_payment_method_types": ["crad"]}),
    ("POST /v1/payment_intents", {**INTENT, "payment_method_types": ["card"]}),
    ("POST /v1/payment_intents", {**INTENT, "metadata": {"a": {"b": "c"}}}),
    ("POST /v1/payment_intents", {**INTENT, "setup_future_usage": "maybe"}),
    ("POST /v1/payment_intents", {**INTENT, "confirm": "yes"}),
    ("POST /v1/payment_intents", {**INTENT, "automatic_payment_methods": {"allow_redirects": "never"}}),
    ("POST /v1/checkout/sessions", {"mode": "payment", "line_items": [{"price_data": {"currency": "usd"}, "qty": 1}]}),
    ("POST /v1/checkout/sessions", {"mode": "payment", "discounts": [{"code": "x"}]}),
    ("POST /v1/checkout/sessions", {"mode": "payment", "line_items": [LINE], "adaptive_pricing": {"on": True}}),
    ("POST /v1/refunds", {"payment_intent": "pi_1", "reason": "because"}),
    ("POST /v1/refunds", {"payment_intent": "pi_1", "amount": True}),
    ("GET /v1/refunds", {"payment_intent": "pi_1", "limit": "all"}),
    ("GET /v1/disputes", {"created": {"after": 1}}),
    ("POST /v1/promotion_codes", {"coupon": "x"}),
]


def encoded(params: dict[str, Any]) -> str:
    return urlencode(list(_api_encode(params)))


@pytest.mark.parametrize(("operation", "params"), WRONG)
def test_what_the_types_do_not_allow_is_a_fault_of_the_run(operation: str, params: dict[str, Any]) -> None:
    method, _, path = operation.partition(" ")
    notes = Notes()
    text = encoded(params)
    notes.note("tables", method, *((path, text) if method == "POST" else (f"{path}?{text}", None)))
    (fault, *_) = notes.faults({})
    assert fault.startswith(operation)
    with pytest.raises(StripeError):  # the simulator, by its own table, thinks the same
        check(operation, parse_form(text), versioned=True)


def test_what_the_types_allow_is_none() -> None:
    notes = Notes()
    intent = {
        **INTENT,
        "allowed_payment_method_types": ["card", "us_bank_account"],
        "metadata": {"payment_id": "pay_1", "0": "a"},
        "shipping": {"name": "Ada", "address": {"line1": "x"}},
        "expand": ["latest_charge"],
    }
    session = {"mode": "payment", "line_items": [LINE], "adaptive_pricing": {"enabled": False}}
    notes.note("tables", "post", "/v1/payment_intents", encoded(intent))
    notes.note("model", "POST", "/v1/checkout/sessions", encoded(session).encode())
    notes.note("model", "GET", "/v1/refunds?payment_intent=pi_1&limit=100", None)
    notes.note("model", "POST", "/v1/payment_intents/pi_1/cancel", "")
    assert notes.faults({}) == []
    assert notes.sent["model"].total() == 3 and notes.sent["tables"] == {"POST /v1/payment_intents": 1}


def test_an_address_that_is_no_operation_is_a_fault() -> None:
    notes = Notes()
    notes.note("tables", "POST", "/v1/payment_intent", "")
    notes.note("tables", "POST", "/v1/customers/cus_1/refund", "")
    assert len(notes.faults({})) == 2


def test_a_folder_in_which_nothing_was_noted_fails_the_run() -> None:
    notes = Notes()
    assert notes.faults({"tables": MANY - 1, "unit": 1000}) == []
    for folder in ("tables", "model", "stack"):
        (fault,) = notes.faults({folder: MANY})
        assert "no request to Stripe was noted" in fault


def test_an_operation_that_no_test_sent_fails_the_whole_run() -> None:
    notes = Notes()
    for operation in ours():
        for folder in notes.sent:
            notes.sent[folder][operation] += 1
    whole = dict.fromkeys(notes.sent, MANY)
    assert notes.faults(whole) == []
    for folder in notes.sent:
        del notes.sent[folder]["POST /v1/refunds"]
    assert notes.faults(whole) == ["POST /v1/refunds: stripe_client has it, and no test sent it"]
    assert notes.faults({"tables": 1000}) == []
    assert {"POST /v1/payment_intents", "GET /v1/disputes", "POST /v1/checkout/sessions/*/expire"} <= ours()


def test_what_a_worker_noted_comes_together() -> None:
    one, two = Notes(), Notes()
    one.note("model", "POST", "/v1/refunds", "amount=x")
    two.add(one.report())
    two.add(one.report())
    assert two.sent["model"]["POST /v1/refunds"] == 2
    assert len(two.faults({})) == 1


def test_the_log_of_a_simulator_is_read_for_what_the_package_sent() -> None:
    notes = Notes()
    ours_, theirs = "Stripe/v1 PythonBindings/16.1.0", "python-httpx/0.28"
    request = {"method": "POST", "path": "/v1/refunds", "params": {"amount": "x"}}
    notes.take_log("stack", [request | {"user_agent": theirs}, request | {"user_agent": None}])
    assert notes.faults({}) == [] and not notes.sent["stack"]
    notes.take_log("stack", [request | {"user_agent": ours_}])
    assert len(notes.faults({})) == 1


def test_every_operation_has_its_class_or_takes_nothing() -> None:
    found = typed_params.classes()
    assert len(found) > 90
    assert [operation for operation, cls in found.items() if cls is None] == []


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_a_run_whose_tests_pass_fails_for_a_request_that_the_types_do_not_allow(
    tmp_path: Path, workers: list[str]
) -> None:
    """The hooks of `tests/conftest.py`, in a run of their own, alone and over workers."""
    root = Path(__file__).parents[2]
    (tmp_path / "test_one.py").write_text(
        "from tests.requests_sent import notes\n"
        "def test_one():\n"
        "    notes.note('tables', 'POST', '/v1/refunds', 'amount=x')\n"
    )
    words = ["-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    words += ["-c", str(root / "pyproject.toml"), "-o", f"pythonpath={root}", str(tmp_path), *workers]
    done = subprocess.run([sys.executable, *words], cwd=root, capture_output=True, text=True, timeout=100, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "requests to Stripe: POST /v1/refunds amount: 'x' is no int" in done.stdout
    assert done.returncode == 1
