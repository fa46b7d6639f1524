"""The OpenAPI document: it is made from the types, and it says what the routes and the handlers do."""

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import jsonschema_rs
import openapi_spec_validator
import pytest

import admin
from api_schema import about, plans
from api_schema.operations import Operation
from api_schema.staff import plans as staff_plans
from local.build import ROOT
from local.deploy import read_template
from tests import openapi_answers
from tests.harness import Student, request_event
from tests.template.test_routes import ROUTES
from tests.unit.test_docs import API, routes
from tools import openapi
from tuition.api import MAX_KEY_LENGTH, PROBLEM_TYPES
from tuition.core.errors import TuitionError
from tuition.payments import refunds
from tuition.settings import Settings
from tuition.views import filters, plan_rows

DOCUMENT: dict[str, Any] = json.loads(openapi.DOCUMENT.read_text(encoding="utf-8"))
BY_ROUTE = {operation.route: operation for operation in openapi.OPERATIONS}
by_route = pytest.mark.parametrize("operation", openapi.OPERATIONS, ids=lambda operation: operation.route)


def described(operation: Operation) -> dict[str, Any]:
    return dict(DOCUMENT["paths"][operation.url_path][operation.method.lower()])


def problems(operation: Operation) -> Iterator[tuple[int, str]]:
    """Yield each status and problem type that the document has for an operation."""
    for status, response in described(operation)["responses"].items():
        schema = response["content"].get("application/problem+json", {}).get("schema", {})
        for branch in schema.get("oneOf", [schema]):
            if branch:
                name = branch["$ref"].rpartition("/")[2]
                kind = DOCUMENT["components"]["schemas"][name]["properties"]["type"]["const"]
                yield int(status), kind.removeprefix(PROBLEM_TYPES)


def refusal(operation: Operation, **parts: Any) -> str:
    """Return the detail with which a handler refuses a request that it answers before it reads a table."""
    handler = importlib.import_module(operation.handler).handler
    groups = ("admin",) if operation.caller in ("support", "admin") else ()
    event = request_event(Student("ada", groups=groups), route=operation.route, **parts)
    answer = json.loads(handler(event, None)["body"])
    assert answer["type"] == PROBLEM_TYPES + "unprocessable", answer
    return str(answer["detail"])


# --- the document ---


def test_the_committed_document_is_the_one_that_the_types_make() -> None:
    assert openapi.DOCUMENT.read_text(encoding="utf-8") == openapi.text(), "run make openapi"


def test_the_document_is_valid_openapi() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(DOCUMENT)


def test_the_operations_are_the_routes_of_the_template() -> None:
    assert set(BY_ROUTE) == {route.rstrip("/") for route in routes()}
    assert {f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods} == set(
        BY_ROUTE
    )
    assert len(openapi.OPERATIONS) == len(BY_ROUTE)


def test_the_gateway_and_the_document_name_each_operation_alike() -> None:
    template = read_template(ROOT / "template.yaml")
    paths = template["Resources"]["HttpApi"]["Properties"]["DefinitionBody"]["paths"]
    names = {
        f"{method.upper()} {path}": operation["operationId"]
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    assert names == {route: operation.operation_id for route, operation in BY_ROUTE.items()}


def test_the_operations_of_staff_are_those_that_their_function_answers() -> None:
    assert {route for route, operation in BY_ROUTE.items() if operation.handler == "admin"} == set(admin.ROUTES)


@by_route
def test_an_operation_names_its_function_and_who_may_call_it(operation: Operation) -> None:
    function, access = ROUTES[(operation.method, operation.url_path)]
    assert function == "".join(part.title() for part in operation.handler.split("_")) + "Function"
    assert (access == "public") == (operation.caller in ("anyone", "stripe"))
    security = {"anyone": [], "stripe": [{"StripeSignature": []}]}.get(operation.caller, [{"SignedIn": []}])
    assert described(operation)["security"] == security


@pytest.mark.parametrize("route", sorted(admin.ROUTES))
def test_the_document_names_the_group_that_a_staff_route_requires(route: str) -> None:
    """A member of `support` is refused by the routes of `admin`, before anything is read."""
    if BY_ROUTE[route].caller == "admin":
        answer = admin.handler(request_event(Student("s", groups=("support",)), {}, route=route), None)
        assert answer["statusCode"] == 403
        assert "For the group `admin`." in described(BY_ROUTE[route])["description"]
    else:
        assert "For the groups `admin` and `support`." in described(BY_ROUTE[route])["description"]


# --- requests ---


@pytest.mark.parametrize("operation", [each for each in openapi.OPERATIONS if each.body], ids=lambda each: each.route)
def test_a_body_has_exactly_the_fields_that_its_handler_accepts(
    operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the EU, where a handler accepts more: there a refund request can be a withdrawal."""
    monkeypatch.setattr("request_refund.settings", lambda: Settings(consumer_region="EU"))
    required = operation.query and "user_id" in openapi._described(operation.query)["required"]
    detail = refusal(operation, body={"no_such_field": 1}, query={"user_id": "ada"} if required else None)
    accepted = re.search(r"Send (.*)\.$", detail)
    assert accepted, detail
    schema = DOCUMENT["components"]["schemas"][operation.body.__name__]  # type: ignore[union-attr]
    assert sorted(schema["properties"]) == sorted(accepted[1].split(", "))
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("operation", [each for each in openapi.OPERATIONS if each.query], ids=lambda each: each.route)
def test_a_query_has_exactly_the_parameters_that_its_handler_accepts(operation: Operation) -> None:
    names = [each["name"] for each in described(operation)["parameters"] if each["in"] == "query"]
    accepted = re.search(r"Use (.*)\.$", refusal(operation, query={"no_such_field": "1"}))
    assert accepted and sorted(names) == sorted(accepted[1].split(", "))


def test_an_export_takes_the_filters_of_the_list() -> None:
    exported = DOCUMENT["components"]["schemas"]["ListFilters"]["properties"]
    assert set(exported) == {*filters.FILTERS, *plan_rows.FILTERS}


def test_the_lengths_of_texts_and_keys_are_those_of_the_handlers() -> None:
    assert about.MAX_TEXT == refunds.MAX_TEXT_LENGTH
    (header,) = [
        p
        for p in described(BY_ROUTE["POST /api/admin/payments/{payment_id}/refunds"])["parameters"]
        if p["in"] == "header"
    ]
    assert (header["name"], header["schema"]["maxLength"]) == ("Idempotency-Key", MAX_KEY_LENGTH)


# --- answers ---


@by_route
def test_an_operation_is_described_with_examples_that_its_types_accept(operation: Operation) -> None:
    fields = described(operation)
    assert fields["operationId"] and fields["summary"] and len(fields["description"]) > 20
    placeholders = set(re.findall(r"\{(\w+)\}", operation.url_path))
    assert placeholders == {each["name"] for each in fields["parameters"] if each["in"] == "path"}
    contents = [content for r in fields["responses"].values() for content in r["content"].values()]
    contents += fields["requestBody"]["content"].values() if operation.body else []
    examples = [content for content in contents if "example" in content]
    assert len(examples) == len(operation.answers) + bool(operation.body)
    for content in examples:
        schema = {**content["schema"], "components": DOCUMENT["components"]}
        jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(content["example"])


def test_each_problem_has_an_example_that_it_accepts() -> None:
    schemas = {
        n: s
        for n, s in DOCUMENT["components"]["schemas"].items()
        if "detail" in s["required"] and "title" in s["required"]
    }
    assert len(schemas) > 15
    for schema in schemas.values():
        jsonschema_rs.Draft202012Validator(schema).validate(schema["examples"][0])


@by_route
def test_an_operation_declares_every_error_that_the_api_s_page_lists_for_it(operation: Operation) -> None:
    section = re.split(rf"^### {re.escape(operation.route)}/?$", API, flags=re.MULTILINE)[1].split("\n### ")[0]
    listed = set(re.findall(r"`([a-z-]+)`", " ".join(re.findall(r"^Errors: ([^.]*)\.", section, re.MULTILINE))))
    assert listed <= {name for _, name in problems(operation)}


@by_route
def test_a_status_that_asks_for_a_retry_declares_the_retry_after_header(operation: Operation) -> None:
    waits = {error.type for error in operation.all_errors if error.retry_after_s or error.type == "too-many-requests"}
    for status, response in described(operation)["responses"].items():
        own = {name for code, name in problems(operation) if code == int(status)}
        assert ("Retry-After" in response.get("headers", {})) == bool(own & waits)


def test_every_field_of_a_plan_is_described() -> None:
    """An amount has its unit, a day its place, and a field that may be null says when it is."""
    models = {name for module in (plans, staff_plans) for name, one in vars(module).items() if is_dataclass(one)}
    schemas = json.loads(openapi.text())["components"]["schemas"]
    of_plans = {name: schema for name, schema in schemas.items() if name in models and "Plan" in name}
    fields = [(name, field, one) for name, schema in of_plans.items() for field, one in schema["properties"].items()]
    missing = [f"{name}.{field}" for name, field, one in fields if not (one.get("description") or "$ref" in one)]
    assert len(of_plans) >= 20 and not missing, missing


def test_operation_ids_are_unique() -> None:
    assert len({operation.operation_id for operation in openapi.OPERATIONS}) == len(openapi.OPERATIONS)


# --- the comparison of answers ---


def check(status: int, body: dict[str, Any], media_type: str = "application/json", **headers: str) -> None:
    answer = {"statusCode": status, "headers": {"content-type": media_type, **headers}, "body": json.dumps(body)}
    openapi_answers.check_event("webhook", "", answer)


def test_a_declared_answer_is_accepted() -> None:
    check(200, {"received": True, "outcome": "applied"})


@pytest.mark.parametrize(
    ("status", "body", "media_type"),
    [
        (200, {"received": True, "outcome": "applied", "more": 1}, "application/json"),
        (200, {"received": True}, "application/json"),
        (200, {"received": True, "outcome": "lost"}, "application/json"),
        (201, {"received": True, "outcome": "applied"}, "application/json"),
        (200, {"received": True, "outcome": "applied"}, "text/plain"),
        (
            400,
            {"type": PROBLEM_TYPES + "conflict", "title": "", "status": 400, "detail": ""},
            "application/problem+json",
        ),
    ],
    ids=["a new field", "a missing field", "another value", "another status", "another type", "another problem"],
)
def test_an_answer_that_is_not_declared_fails(status: int, body: dict[str, Any], media_type: str) -> None:
    with pytest.raises(openapi_answers.Undeclared):
        check(status, body, media_type)


def test_a_retry_after_header_that_is_not_declared_fails() -> None:
    problem = {"type": PROBLEM_TYPES + "bad-request", "title": "", "status": 400, "detail": ""}
    check(400, problem, "application/problem+json")
    with pytest.raises(openapi_answers.Undeclared):
        check(400, problem, "application/problem+json", **{"retry-after": "5"})


def test_the_path_of_a_request_is_compared_with_the_most_exact_operation() -> None:
    """`POST /api/admin/users/purchases` is not the purchases of a user."""
    refused = {"type": PROBLEM_TYPES + "bad-request", "title": "", "status": 400, "detail": ""}
    headers = {"content-type": "application/problem+json"}
    openapi_answers.check_http("POST", "/api/admin/users/purchases/", 400, headers, json.dumps(refused).encode())
    with pytest.raises(openapi_answers.Undeclared):
        openapi_answers.check_http("GET", "/api/admin/users/ada/?limit=1", 418, headers, b"{}")


def test_a_server_error_of_the_running_stack_fails_although_it_is_declared() -> None:
    problem = {"type": PROBLEM_TYPES + TuitionError.type, "title": "", "status": 500, "detail": ""}
    answers = {"application/problem+json": problem, "application/json": {"message": "Internal Server Error"}}
    for media_type, body in answers.items():
        with pytest.raises(openapi_answers.ServerError):
            openapi_answers.check_http(
                "GET", "/api/enrollments", 500, {"content-type": media_type}, json.dumps(body).encode()
            )
