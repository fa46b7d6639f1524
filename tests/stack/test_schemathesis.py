"""schemathesis calls the running stack as the OpenAPI document allows it, and as it does not.

Sequences follow the document's links: create, pay, status, refund, with a new user for each sequence. Paying is no
operation of ours, so it is done at the simulator after each create. Then every operation gets generated requests, valid
and invalid ones, for a bounded time. https://schemathesis.readthedocs.io
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
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
from tests.stack.conftest import WAIT_S, Running
from tests.stack.defective_front import Answer, Defect, planted
from tools import openapi
from tuition import api
from tuition.core.errors import TuitionError

SEQUENCES = 12
STEPS = 6
REQUESTS = [2, pytest.param(12, marks=pytest.mark.soak)]
"""Of each kind, valid and invalid, for each operation."""
SECONDS = 27
"""For each of these requests. After this time the operations that are left get one request of each kind."""
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
    assert set(NOT_CALLED) <= {operation.operation_id for operation in openapi.OPERATIONS}
    yield
    checkers.check(running)


@pytest.fixture
def _sells_and_collects_again(running: Running) -> Iterator[None]:
    """Sell, and charge plans, again afterwards, because a generated decision may have stopped either."""
    yield
    for switch in ("selling", "collecting"):
        body = {switch: True, "note": "end of the generated requests"}
        answer = running.api("POST", f"/api/admin/{switch}", running.ready["admin_token"], json=body)
        assert answer.status_code == 200, answer.text


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


@cache
def schema() -> Any:
    """Return the document, loaded once. Loading takes a second, and only one worker needs it."""
    return load()


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


def follow_links(running: Running, sequences: int) -> Counter[str]:
    """Send sequences of requests that follow the document's links. Return how often each answer came.

    Raises what the checks of schemathesis and `check_declared` raise.
    """
    outcomes: Counter[str] = Counter()
    chosen = load().include(operation_id=list(STUDENT_OPERATIONS))
    numbers = iter(range(10_000))

    class Purchases(chosen.as_state_machine()):  # type: ignore[misc]
        """One student, who pays for whatever they create."""

        def setup(self) -> None:
            self.token = running.token(f"sequence-{next(numbers)}")

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            headers = {"Authorization": f"Bearer {self.token}"}
            return {"base_url": running.ready["api"], "headers": headers, "timeout": WAIT_S}

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
            kwargs = {"headers": more.get("headers"), "timeout": WAIT_S}
            case.validate_response(
                response, excluded_checks=excluded(), recorder=self.recorder, transport_kwargs=kwargs
            )
            check_declared(response)

    Purchases.run(settings=settings(QUIET, max_examples=sequences, stateful_step_count=STEPS, derandomize=True))
    return outcomes


@pytest.fixture(scope="module")
def outcomes(running: Running) -> Counter[str]:
    """Send the sequences once, with new users. Every later run of them has users who have bought."""
    return follow_links(running, SEQUENCES)


@pytest.mark.timeout(600)
def test_purchases_follow_the_links_of_the_document(outcomes: Counter[str], record_property: Any) -> None:
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
    @given(case=schema()[operation.url_path][operation.method].as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        response = case.call(base_url=running.ready["api"], headers=headers, timeout=WAIT_S)
        CALLS[f"{mode.value} {response.status_code // 100}xx"] += 1
        case.validate_response(
            response, excluded_checks=excluded(), transport_kwargs={"headers": headers, "timeout": WAIT_S}
        )
        check_declared(response)

    try:
        call()
    except FailureGroup as failures:
        return f"{operation.route}, {mode.value}: " + "\n".join(map(str, failures.exceptions))
    except openapi_answers.WrongAnswer as wrong:
        return f"{operation.route}, {mode.value}: {wrong}"
    return None


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("_sells_and_collects_again")
@pytest.mark.parametrize("requests", REQUESTS)
def test_every_operation_answers_generated_requests_as_it_declares(
    running: Running, requests: int, record_property: Any
) -> None:
    started = time.monotonic()
    failures = []
    for operation in openapi.OPERATIONS:
        if operation.operation_id in NOT_CALLED:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.POSITIVE or operation.body or operation.query:  # any text is a valid id
                count = requests if time.monotonic() - started < SECONDS * requests else 1
                failures.append(failure(running, operation, mode, count))
    for name, count in sorted(CALLS.items()):
        record_property("figure", (f"schemathesis: {name}", count))
    assert not [each for each in failures if each], "\n\n".join(each for each in failures if each)
    assert CALLS["negative 4xx"] > 20, CALLS
    assert CALLS["positive 2xx"] > 20, CALLS


# --- the checks themselves, with a defect planted in front of the stack ---


def undeclared_field(answer: Answer) -> Answer:
    status, media_type, content = answer
    return status, media_type, json.dumps({**json.loads(content), "planted": 1}).encode()


def undeclared_inner_field(answer: Answer) -> Answer:
    """Add a field to each object of each list in an answer."""
    status, media_type, content = answer
    fields = json.loads(content)
    for items in fields.values():
        for item in items if isinstance(items, list) else ():
            item["planted"] = 1
    return status, media_type, json.dumps(fields).encode()


def failed_function(_: Answer) -> Answer:
    """Return what the gateway answers if a function cannot be run."""
    return 500, "application/json", b'{"message":"Internal Server Error"}'


def reported_failure(_: Answer) -> Answer:
    """Return a 500 that the document declares: a handler's answer after an unexpected exception."""
    problem = api.problem(TuitionError(api.INTERNAL_ERROR))
    return problem.status, problem.headers["content-type"], json.dumps(problem.body).encode()


FIELD = "planted"
SERVER_ERROR = "Server error"
DEFECTS: list[tuple[Defect, str]] = [
    (undeclared_field, FIELD),
    (failed_function, SERVER_ERROR),
    (reported_failure, SERVER_ERROR),
]


def operation_of(operation_id: str) -> Operation:
    return next(operation for operation in openapi.OPERATIONS if operation.operation_id == operation_id)


@pytest.mark.parametrize(("defect", "report"), DEFECTS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("operation_id", ["listEnrollments", "createPayment"])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: str(mode.value))
def test_the_generated_requests_find_a_planted_defect(
    running: Running, defect: Defect, report: str, operation_id: str, mode: GenerationMode
) -> None:
    operation = operation_of(operation_id)
    with planted(running, operation.method, operation.url_path, defect) as defective:
        assert report in (failure(defective, operation, mode, 1) or "no failure")


def test_the_generated_requests_find_no_defect_behind_a_front_without_one(running: Running) -> None:
    operation = operation_of("listEnrollments")
    with planted(running, "GET", operation.url_path, lambda answer: answer) as sound:
        assert failure(sound, operation, GenerationMode.POSITIVE, 1) is None


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("outcomes")
@pytest.mark.parametrize(("defect", "report"), DEFECTS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_sequences_find_a_planted_defect(running: Running, defect: Defect, report: str) -> None:
    path = operation_of("createPayment").url_path
    with (
        planted(running, "POST", path, defect) as defective,
        pytest.raises((FailureGroup, openapi_answers.WrongAnswer)) as caught,
    ):
        follow_links(defective, SEQUENCES)
    failures = getattr(caught.value, "exceptions", [caught.value])
    assert report in "\n".join(map(str, failures))


@pytest.mark.parametrize(
    ("defect", "report"),
    [
        (undeclared_field, FIELD),
        (undeclared_inner_field, FIELD),
        (failed_function, "answered 500"),
        (reported_failure, "answered 500"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_request_of_the_stack_tests_finds_a_planted_defect(
    running: Running, token: str, defect: Defect, report: str
) -> None:
    assert running.create(token).status_code == 201
    with (
        planted(running, "GET", "/api/enrollments", defect) as defective,
        pytest.raises(openapi_answers.WrongAnswer, match=report),
    ):
        defective.enrollment(token)
