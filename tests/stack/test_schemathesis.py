"""schemathesis calls the running stack as the OpenAPI document allows it, and as it does not.

Sequences follow the document's links: create, pay, status, refund, with a new user for each sequence. Paying is no
operation of ours, so it is done at the simulator after each create. Then every operation gets generated requests, valid
and invalid ones, for a bounded time. https://schemathesis.readthedocs.io
"""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import PositiveDataAcceptanceConfig
from schemathesis.core.failures import FailureGroup

from api_schema.operations import Operation
from tests import openapi_answers
from tests.seeds import first_seed
from tests.stack import checkers
from tests.stack.conftest import Running
from tools import openapi

SEQUENCES = 12
STEPS = 6
REQUESTS = 6
"""Of each kind, valid and invalid, for each operation."""
SECONDS = 80
"""After this time the operations that are left get one request of each kind."""
NOT_CALLED = {
    "receiveStripeEvent": "its requests are signed over the raw body; tests/tables/test_webhook_fuzz.py generates them"
}
NOT_CHECKED = {
    "unsupported_method": "the gateway answers 404, and not 405, for a method without a route",
    "use_after_free": "a payment method that is detached is answered 404 at once, which is all there is to delete",
    "ignored_auth": "tests/template/test_routes.py compares each route's authorizer; test_edges.py sends forged tokens",
}
"""Checks of schemathesis that do not apply, each with its reason."""
REFUSED_THOUGH_VALID = ["2xx", "401", "403", "404", "409", "422", "429"]
"""A valid request may be refused for what no schema can say: an opaque cursor, a range that ends before it begins, a
text with control characters, an address of another origin, or one of two fields."""
QUIET = settings(
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    report_multiple_bugs=False,
)
STUDENT_OPERATIONS = ("createPayment", "getPaymentStatus", "requestRefund", "listMyPayments", "listEnrollments")


@pytest.fixture(scope="module", autouse=True)
def _check_invariants(running: Running) -> Iterator[None]:
    """Sell again afterwards, because a generated decision may have stopped it."""
    assert set(NOT_CALLED) <= {operation.operation_id for operation in openapi.OPERATIONS}
    yield
    body = {"selling": True, "note": "end of the generated requests"}
    assert running.api("POST", "/api/admin/selling", running.ready["admin_token"], json=body).status_code == 200
    checkers.check(running)


def load() -> Any:
    """Return the document as a schema of schemathesis. Without its security, because each call has a valid token."""
    document = openapi.document()
    for methods in document["paths"].values():
        for operation in methods.values():
            del operation["security"]
    del document["components"]["securitySchemes"]
    schema = schemathesis.openapi.from_dict(document)
    schema.config.checks.positive_data_acceptance = PositiveDataAcceptanceConfig(expected_statuses=REFUSED_THOUGH_VALID)
    return schema


SCHEMA = load()
CALLS: Counter[str] = Counter()


def excluded() -> list[Any]:
    load_all_checks()
    return [check for check in CHECKS.get_all() if check.__name__ in NOT_CHECKED]


def check_declared(response: Any) -> None:
    """Fail for an answer with a field that is not declared, which the document lets clients ignore."""
    request = response.request
    headers = {name: ", ".join(values) for name, values in response.headers.items()}
    openapi_answers.check_http(
        request.method, urlsplit(request.url).path, response.status_code, headers, response.content
    )


def test_purchases_follow_the_links_of_the_document(running: Running, record_property: Any) -> None:
    outcomes: Counter[str] = Counter()
    chosen = load().include(operation_id=list(STUDENT_OPERATIONS))
    numbers = iter(range(10_000))

    class Purchases(chosen.as_state_machine()):  # type: ignore[misc]
        """One student, who pays for whatever they create."""

        def setup(self) -> None:
            self.token = running.token(f"sequence-{next(numbers)}")

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"base_url": running.ready["api"], "headers": {"Authorization": f"Bearer {self.token}"}}

        def after_call(self, response: Any, case: Any) -> None:
            super().after_call(response, case)
            name = case.operation.definition.raw["operationId"]
            outcomes[f"{name} {response.status_code}"] += 1
            if name == "createPayment" and response.status_code in (200, 201):
                paid = running.pay(response.json()["payment_intent_id"])
                outcomes[f"paid {paid.get('status')}"] += 1
            if name == "getPaymentStatus" and response.status_code == 200:
                outcomes[f"status {response.json()['status']}"] += 1

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            more.pop("additional_checks", None)
            kwargs = {"headers": more.get("headers")}
            case.validate_response(
                response, excluded_checks=excluded(), recorder=self.recorder, transport_kwargs=kwargs
            )
            check_declared(response)

    Purchases.run(settings=settings(QUIET, max_examples=SEQUENCES, stateful_step_count=STEPS, derandomize=True))
    for name, count in sorted(outcomes.items()):
        record_property("figure", (f"schemathesis: {name}", count))
    assert {"createPayment 201", "paid succeeded", "status SUCCEEDED"} <= set(outcomes), outcomes
    assert outcomes["requestRefund 200"] > 0, outcomes


def failure(running: Running, operation: Operation, mode: GenerationMode, requests: int) -> str | None:
    """Send an operation generated requests. Return the first failure, or None."""
    token = {"user": running.token("generated"), "anyone": None}.get(operation.caller, running.ready["admin_token"])
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    @seed(first_seed())
    @settings(QUIET, max_examples=requests)
    @given(case=SCHEMA[operation.url_path][operation.method].as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        response = case.call(base_url=running.ready["api"], headers=headers)
        CALLS[f"{mode.value} {response.status_code // 100}xx"] += 1
        case.validate_response(response, excluded_checks=excluded(), transport_kwargs={"headers": headers})
        check_declared(response)

    try:
        call()
    except FailureGroup as failures:
        return f"{operation.route}, {mode.value}: " + "\n".join(map(str, failures.exceptions))
    except openapi_answers.Undeclared as undeclared:
        return f"{operation.route}, {mode.value}: {undeclared}"
    return None


def test_every_operation_answers_generated_requests_as_it_declares(running: Running, record_property: Any) -> None:
    started = time.monotonic()
    failures = []
    for operation in openapi.OPERATIONS:
        if operation.operation_id in NOT_CALLED:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.POSITIVE or operation.body or operation.query:  # any text is a valid id
                requests = REQUESTS if time.monotonic() - started < SECONDS else 1
                failures.append(failure(running, operation, mode, requests))
    for name, count in sorted(CALLS.items()):
        record_property("figure", (f"schemathesis: {name}", count))
    assert not [each for each in failures if each], "\n\n".join(each for each in failures if each)
    assert CALLS["negative 4xx"] > 20, CALLS
    assert CALLS["positive 2xx"] > 20, CALLS
