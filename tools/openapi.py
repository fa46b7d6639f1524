"""Make ``web/api/openapi.json``, the OpenAPI document, from the types of ``functions/api_schema``: ``make openapi``.

msgspec reads the dataclasses. Their annotations add descriptions, formats and examples.
https://spec.openapis.org/oas/v3.1.1.html, https://jcristharif.com/msgspec/jsonschema.html
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from api_schema import staff_operations, student_operations
from api_schema.about import About
from api_schema.operations import Operation
from tuition.api import PROBLEM_TYPES
from tuition.core import errors
from tuition.core.erasure import OpenMoney
from tuition.core.errors import TuitionError

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "web" / "api" / "openapi.json"
OPERATIONS: tuple[Operation, ...] = (*student_operations.OPERATIONS, *staff_operations.OPERATIONS)
REF = "#/components/schemas/"
TAGS = {
    "Students": "The operations of the students' page.",
    "Stripe": "The operation that Stripe calls.",
    "Staff": "The operations of the console. Reading is for the groups `admin` and `support`, deciding is for `admin`.",
}
DESCRIPTION = """\
Tuition sells enrollment in training tracks. A student pays with Stripe, the payment enrolls them, and a full refund
withdraws them.

Amounts are whole numbers in the currency's minor unit (cents). Times are RFC 3339 in UTC. Lists have a `next_cursor`,
which is sent back as `cursor`; a page may be short or even empty and still have one. Unknown fields of a body and
unknown query parameters of a list are refused. Clients must ignore fields of an answer that they do not know."""
STATUSES_OF_STRIPE = (502, 503, 504)
GATEWAY = {
    401: "no valid token",
    404: "no route, as for an id with a slash",
    413: "a body of more than 6 MB",
    429: "too many requests at once",
    500: "a function failed without an answer",
    503: "a function did not answer in time",
}
"""When the gateway itself answers, with a body of its own."""


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.url_path, {})[operation.method.lower()] = _operation(operation)
    schemas = _schemas()
    for operation in OPERATIONS:
        for answer in operation.answers:
            content = paths[operation.url_path][operation.method.lower()]["responses"][str(answer.status)]["content"]
            content["application/json"]["example"] = example({"$ref": REF + answer.type.__name__}, schemas)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Tuition",
            "version": _version(),
            "summary": "Enrollment in training tracks, paid with Stripe.",
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The origin that serves this document."}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {**schemas, **_problems()},
            "headers": {
                "RetryAfter": {
                    "description": "After how many seconds a retry can help.",
                    "schema": {"type": "integer", "minimum": 1},
                    "example": 5,
                }
            },
            "securitySchemes": {
                "SignedIn": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An ID token. Access tokens are refused.",
                },
                "StripeSignature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Stripe-Signature",
                    "description": "https://docs.stripe.com/webhooks/signature",
                },
            },
        },
    }


def text() -> str:
    """Return the document as it is stored."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _version() -> str:
    """Return the newest version of the changelog."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return str(re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)[0])


# --- operations ---


def _operation(operation: Operation) -> dict[str, Any]:
    access = {
        "anyone": "Anyone may call it.",
        "user": "For the user of the token.",
        "stripe": "Only Stripe calls it.",
        "support": "For the groups `admin` and `support`.",
        "admin": "For the group `admin`.",
    }[operation.caller]
    tag = {"stripe": "Stripe", "support": "Staff", "admin": "Staff"}.get(operation.caller, "Students")
    result: dict[str, Any] = {
        "operationId": operation.operation_id,
        "tags": [tag],
        "summary": operation.summary,
        "description": f"{operation.description} {access}",
        "security": {"anyone": [], "stripe": [{"StripeSignature": []}]}.get(operation.caller, [{"SignedIn": []}]),
        "parameters": list(_parameters(operation)),
        "responses": _responses(operation),
    }
    if operation.body:
        content = {"schema": {"$ref": REF + operation.body.__name__}, "example": operation.example}
        result["requestBody"] = {"required": operation.body_required, "content": {"application/json": content}}
    elif operation.caller == "stripe":
        described = {"type": "object", "description": "An event: https://docs.stripe.com/api/events/object"}
        result["requestBody"] = {"required": True, "content": {"application/json": {"schema": described}}}
    return result


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name, description in operation.path.items():
        schema = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}
    if operation.query:
        declared = _described(operation.query)
        for name, schema in declared["properties"].items():
            plain = _without_null(schema)
            described = {key: plain.pop(key) for key in ("description",) if key in plain}
            samples = {"example": plain.pop("examples")[0]} if "examples" in plain else {}
            required = name in declared["required"]
            yield {"name": name, "in": "query", "required": required, **described, "schema": plain, **samples}
    for name, header in operation.headers.items():
        yield {"name": name, "in": "header", "required": False, **header}


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional query parameter, which is left out and never null."""
    plain = dict(schema)
    branches = [branch for branch in plain.pop("anyOf", []) if branch != {"type": "null"}]
    return {**plain, **branches[0]} if branches else plain


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for answer in operation.answers:
        content = {"application/json": {"schema": {"$ref": REF + answer.type.__name__}}}
        responses[str(answer.status)] = {"description": answer.when, "content": content}
        if operation.links:
            responses[str(answer.status)]["links"] = {link.operation_id: _link(link) for link in operation.links}
    refusals: dict[int, list[type[TuitionError]]] = {}
    for error in operation.all_errors:
        for status in STATUSES_OF_STRIPE if error is errors.StripeUnavailable else (error.status,):
            refusals.setdefault(status, []).append(error)
    gateway = {429, 500, 503} | ({401} if operation.caller not in ("anyone", "stripe") else set())
    gateway |= {404} if operation.path else set()
    gateway |= {413} if operation.body or operation.caller == "stripe" else set()
    for status in sorted({*refusals, *gateway}):
        responses[str(status)] = _refusal(refusals.get(status, []), status, by_gateway=status in gateway)
    return responses


def _link(link: Any) -> dict[str, Any]:
    described = {"operationId": link.operation_id, "description": link.description}
    described |= {"parameters": dict(link.parameters)} if link.parameters else {}
    return described | ({"requestBody": dict(link.body)} if link.body else {})


def _refusal(refused: list[type[TuitionError]], status: int, *, by_gateway: bool) -> dict[str, Any]:
    """Return the response of a status: our problems, and what the gateway itself answers."""
    content: dict[str, Any] = {}
    texts = [f"`{error.type}`: {_sentence(error)}" for error in refused]
    if refused:
        refs = [{"$ref": REF + _problem_name(error)} for error in refused]
        content["application/problem+json"] = {"schema": refs[0] if len(refs) == 1 else {"oneOf": refs}}
    if by_gateway:
        texts.append(f"By the gateway: {GATEWAY[status]}.")
        content["application/json"] = {"schema": {"$ref": REF + "GatewayRefusal"}}
    response: dict[str, Any] = {"description": " ".join(texts), "content": content}
    if any(_retry_after(error) for error in refused):
        response["headers"] = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
    return response


# --- problems ---


def _problem_name(error: type[TuitionError]) -> str:
    return "InternalErrorProblem" if error is TuitionError else f"{error.__name__}Problem"


def _sentence(error: type[TuitionError]) -> str:
    """Return the first sentence of an error's docstring."""
    if error is TuitionError:
        return "An error on our side, which has been logged."
    return (error.__doc__ or "").split("\n\n")[0].replace("\n", " ").strip().split(". ")[0].rstrip(".:") + "."


def _retry_after(error: type[TuitionError]) -> int | None:
    return 600 if error is errors.TooManyRequests else error.retry_after_s


def _problem_example(error: type[TuitionError], status: int) -> dict[str, Any]:
    value = {"type": PROBLEM_TYPES + error.type, "title": error.title, "status": status, "detail": _sentence(error)}
    if error is errors.CodeRefused:
        value |= {"field": "promotion_code", "reason": "expired"}
    if error is errors.TermsChanged:
        value |= {"current_terms": "2026-11"}
    if error is errors.ConsentOutdated:
        value |= {"field": "consent", "current_consent": "2026-11"}
    if error in (errors.PlanOpen, errors.MethodInUse):
        value |= {"plan_id": "pln_4f1c2a9b7d3e4c58"}
    if error is errors.MoneyOpen:
        value |= {"reason": "dispute_open", "until": "2026-12-31T23:59:59.000Z"}
    return value


def _problems() -> dict[str, Any]:
    """Return a schema for each problem type (RFC 9457), and one for the gateway's own refusals."""
    schemas: dict[str, Any] = {
        "GatewayRefusal": {
            "description": "A refusal by the gateway itself.",
            "type": "object",
            "properties": {"message": {"type": "string", "examples": ["Unauthorized"]}},
            "required": ["message"],
        }
    }
    used = dict.fromkeys(error for operation in OPERATIONS for error in operation.all_errors)
    for error in sorted(used, key=lambda error: error.type):
        statuses = list(STATUSES_OF_STRIPE) if error is errors.StripeUnavailable else [error.status]
        properties: dict[str, Any] = {
            "type": {"type": "string", "const": PROBLEM_TYPES + error.type},
            "title": {"type": "string", "examples": [error.title]},
            "status": {"type": "integer", "enum": statuses},
            "detail": {"type": "string", "description": "The cause, and what to do."},
        }
        if issubclass(error, errors.Unprocessable):
            properties["field"] = {"type": "string", "description": "The part of the body or query that is wrong."}
        if error is errors.CodeRefused:
            properties["reason"] = {"type": "string", "enum": ["unknown", "expired", "used-up", "not-applicable"]}
        if error is errors.TermsChanged:
            properties["current_terms"] = {"type": "string", "description": "The current version, if there are terms."}
        if error is errors.ConsentOutdated:
            properties["current_consent"] = {"type": "string", "description": "The current version of the text."}
        if error in (errors.PlanOpen, errors.MethodInUse):
            properties["plan_id"] = {"type": "string", "description": "The plan that this is about."}
        if error is errors.MoneyOpen:
            properties["reason"] = {"type": "string", "enum": list(get_args(OpenMoney))}
            properties["until"] = {
                "type": "string",
                "format": "date-time",
                "description": "When it may be decided, if that is known.",
            }
        schemas[_problem_name(error)] = {
            "description": _sentence(error),
            "type": "object",
            "properties": properties,
            "required": ["type", "title", "status", "detail"],
            "examples": [_problem_example(error, statuses[0])],
        }
    return schemas


# --- types ---


def _schemas() -> dict[str, Any]:
    """Return the schemas of all types that are sent or answered."""
    bodies = [operation.body for operation in OPERATIONS if operation.body]
    answers = [answer.type for operation in OPERATIONS for answer in operation.answers]
    types = {declared.__name__: declared for root in (*bodies, *answers) for declared in _types(root)}
    schemas = {name: _described(types[name]) for name in sorted(types)}
    for closed in {declared.__name__ for body in bodies for declared in _types(body)}:
        schemas[closed]["additionalProperties"] = False
        for field in schemas[closed]["properties"].values():
            field.pop("default", None)  # openapi-typescript takes a field with a default for a required one
    return schemas


def _types(root: type) -> Iterator[type]:
    """Yield a dataclass and all dataclasses that its fields name."""
    yield root
    for hint in get_type_hints(root, include_extras=True).values():
        for part in _parts(hint):
            if isinstance(part, type) and is_dataclass(part):
                yield from _types(part)


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for argument in get_args(hint):
        yield from _parts(argument)


def _described(declared: type) -> dict[str, Any]:
    """Return the schema of a dataclass: msgspec's, with what the annotations say."""
    _, components = msgspec.json.schema_components([declared], ref_template=REF + "{name}")
    schema: dict[str, Any] = components[declared.__name__]
    properties = {}
    for name, hint in get_type_hints(declared, include_extras=True).items():
        abouts = list(_abouts(hint))
        written = next((about.name for about in reversed(abouts) if about.name), name)
        properties[written] = _describe(schema["properties"][name], hint)
    required = [name for name in schema["required"] if name in properties]
    return {
        "description": schema["description"],
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _abouts(hint: Any) -> Iterator[About]:
    """Yield what the annotations of a type say, the innermost first; not those of a list's items."""
    if get_origin(hint) in (list, dict):
        return
    for part in get_args(hint):
        if isinstance(part, About):
            yield part
        else:
            yield from _abouts(part)


def _describe(schema: Mapping[str, Any], hint: Any) -> dict[str, Any]:
    """Return a field's schema with its description and keywords. A keyword belongs to the branch that is not null."""
    described = dict(schema)
    keywords: dict[str, Any] = {}
    description = ""
    for about in _abouts(hint):
        keywords |= about.keywords
        description = about.description or description
    examples = keywords.pop("examples", None)
    if described.get("default", ...) is None:
        del described["default"]
    branches = [dict(branch) for branch in described.get("anyOf", [])]
    for branch in branches or [described]:
        if "enum" in branch:
            branch["type"] = "string" if isinstance(branch["enum"][0], str) else "boolean"
        if branch.get("type") in ("string", "integer"):
            branch |= keywords
    if branches:
        described["anyOf"] = branches
    items = next((get_args(part)[0] for part in _parts(hint) if get_origin(part) is list), None)
    if items is not None and "items" in described:
        described["items"] = _describe(described["items"], items)
    return {
        **({"description": description} if description else {}),
        **described,
        **({"examples": examples} if examples else {}),
    }


def example(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """Return an example of a schema, made of the examples of its fields. Optional fields are left out."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].removeprefix(REF)], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], schemas)
    if schema.get("type") == "array":
        return [example(schema["items"], schemas)]
    if schema.get("type") == "object":
        return {name: example(schema["properties"][name], schemas) for name in schema.get("required", ())}
    return {"string": "a text", "integer": 1, "boolean": True, "null": None}[schema["type"]]


def main() -> int:
    """Write the document."""
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(text(), encoding="utf-8")
    print(f"{DOCUMENT.relative_to(ROOT)}: {len(OPERATIONS)} operations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
