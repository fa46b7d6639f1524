"""The check of every request that Tuition sends reports invalid requests and missing coverage."""

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from stripe._encode import _api_encode

from stripe_simulator.errors import StripeError
from stripe_simulator.params import check, parse_form
from tests.stripe import typed_params
from tests.stripe_requests import MIN_TESTS, RequestLog, client_operations

INTENT = {"amount": 49900, "currency": "usd"}
LINE = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 1, "product_data": {"name": "DP"}}}
INVALID_REQUESTS = [
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


def encode(params: dict[str, Any]) -> str:
    """Encode parameters as the package does."""
    return urlencode(list(_api_encode(params)))


@pytest.mark.parametrize(("operation", "params"), INVALID_REQUESTS)
def test_a_request_that_the_types_forbid_is_a_fault(operation: str, params: dict[str, Any]) -> None:
    method, _, path = operation.partition(" ")
    request_log = RequestLog()
    text = encode(params)
    request_log.record("tables", method, *((path, text) if method == "POST" else (f"{path}?{text}", None)))
    (fault, *_) = request_log.problems({})
    assert fault.startswith(operation)
    with pytest.raises(StripeError):  # the simulator's own table refuses it too
        check(operation, parse_form(text), family="endive")


def test_a_request_that_the_types_allow_is_not_a_fault() -> None:
    request_log = RequestLog()
    intent = {
        **INTENT,
        "allowed_payment_method_types": ["card", "us_bank_account"],
        "metadata": {"payment_id": "pay_1", "0": "a"},
        "shipping": {"name": "Ada", "address": {"line1": "x"}},
        "expand": ["latest_charge"],
    }
    session = {"mode": "payment", "line_items": [LINE], "adaptive_pricing": {"enabled": False}}
    request_log.record("tables", "post", "/v1/payment_intents", encode(intent))
    request_log.record("model", "POST", "/v1/checkout/sessions", encode(session).encode())
    request_log.record("model", "GET", "/v1/refunds?payment_intent=pi_1&limit=100", None)
    request_log.record("model", "POST", "/v1/payment_intents/pi_1/cancel", "")
    assert request_log.problems({}) == []
    assert request_log.counts["model"].total() == 3 and request_log.counts["tables"] == {"POST /v1/payment_intents": 1}


def test_a_path_without_an_operation_is_a_fault() -> None:
    request_log = RequestLog()
    request_log.record("tables", "POST", "/v1/payment_intent", "")
    request_log.record("tables", "POST", "/v1/customers/cus_1/refund", "")
    assert len(request_log.problems({})) == 2


def test_a_folder_of_many_tests_that_sends_no_request_is_a_fault() -> None:
    request_log = RequestLog()
    assert request_log.problems({"tables": MIN_TESTS - 1, "unit": 1000}) == []
    for folder in ("tables", "model", "stack"):
        (fault,) = request_log.problems({folder: MIN_TESTS})
        assert "no request to Stripe was recorded" in fault


def test_an_operation_that_no_test_sends_is_a_fault_of_the_whole_run() -> None:
    request_log = RequestLog()
    for operation in client_operations():
        for folder in request_log.counts:
            request_log.counts[folder][operation] += 1
    whole_run = dict.fromkeys(request_log.counts, MIN_TESTS)
    assert request_log.problems(whole_run) == []
    for folder in request_log.counts:
        del request_log.counts[folder]["POST /v1/refunds"]
    assert request_log.problems(whole_run) == ["POST /v1/refunds: stripe_client can send it, but no test did"]
    assert request_log.problems({"tables": 1000}) == []
    assert {
        "POST /v1/payment_intents",
        "GET /v1/disputes",
        "POST /v1/checkout/sessions/*/expire",
    } <= client_operations()


def test_the_reports_of_all_workers_are_added_up() -> None:
    worker, total = RequestLog(), RequestLog()
    worker.record("model", "POST", "/v1/refunds", "amount=x")
    total.merge(worker.report())
    total.merge(worker.report())
    assert total.counts["model"]["POST /v1/refunds"] == 2
    assert len(total.problems({})) == 1


def test_only_the_packages_own_requests_are_read_from_a_simulators_log() -> None:
    request_log = RequestLog()
    request = {"method": "POST", "path": "/v1/refunds", "params": {"amount": "x"}}
    request_log.add_simulator_log(
        "stack", [request | {"user_agent": "python-httpx/0.28"}, request | {"user_agent": None}]
    )
    assert request_log.problems({}) == [] and not request_log.counts["stack"]
    request_log.add_simulator_log("stack", [request | {"user_agent": "Stripe/v1 PythonBindings/16.1.0"}])
    assert len(request_log.problems({})) == 1


def test_every_operation_has_a_parameter_class() -> None:
    classes = typed_params.classes()
    assert len(classes) > 90
    assert [operation for operation, cls in classes.items() if cls is None] == []


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["one process", "a worker"])
def test_a_test_run_fails_because_of_an_invalid_request_although_its_tests_pass(
    tmp_path: Path, workers: list[str]
) -> None:
    """Runs the hooks of `tests/conftest.py` in a pytest run of their own."""
    root = Path(__file__).parents[2]
    (tmp_path / "test_one.py").write_text(
        "from tests.stripe_requests import request_log\n"
        "def test_one():\n"
        "    request_log.record('tables', 'POST', '/v1/refunds', 'amount=x')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(tmp_path), "-c", str(root / "pyproject.toml"), "-o", f"pythonpath={root}"]
    command += [str(tmp_path), *workers]
    process = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=100, check=False)
    assert "1 passed" in process.stdout, process.stdout + process.stderr
    assert "requests to Stripe: POST /v1/refunds amount: 'x' is not of type int" in process.stdout
    assert process.returncode == 1
