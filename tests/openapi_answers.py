"""Compares the answers of the real handlers with the OpenAPI document.

The document lets a client ignore fields that it does not know. Here an answer with a field that is not declared fails:
otherwise a handler could send more than the document says.
"""

import copy
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

DOCUMENT = Path(__file__).parents[1] / "web" / "api" / "openapi.json"
COMPONENTS = "urn:components"


class WrongAnswer(AssertionError):
    """An answer that no test expects."""


class Undeclared(WrongAnswer):
    """An answer that the document does not declare."""


class ServerError(WrongAnswer):
    """A 500 of the running stack. The document declares it, but it is a defect of a function."""


@cache
def document() -> Any:
    """Return the document in which no object may have other fields than the declared ones."""
    strict = copy.deepcopy(json.loads(DOCUMENT.read_text(encoding="utf-8")))
    for schema in strict["components"]["schemas"].values():
        schema["additionalProperties"] = False
    return strict


@cache
def _operations() -> list[tuple[str, re.Pattern[str], str, Any]]:
    """Return each operation: its method, the pattern of its path, the path itself, and its object."""
    result = []
    for path, methods in document()["paths"].items():
        pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))
        result += [(method.upper(), pattern, path, operation) for method, operation in methods.items()]
    return sorted(result, key=lambda each: each[2].count("{"))  # a path without parameters comes first


@cache
def _validator(method: str, path: str, status: int, media_type: str) -> Any:
    operation = document()["paths"][path][method.lower()]
    name = f"{method} {path}"
    response = operation["responses"].get(str(status))
    if response is None:
        raise Undeclared(f"{name} answered {status}, which it does not declare")
    if media_type not in response["content"]:
        raise Undeclared(f"{name} answered {status} as {media_type}, which it does not declare")
    schema = json.loads(json.dumps(response["content"][media_type]["schema"]).replace('"#/', f'"{COMPONENTS}#/'))
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True, registry=_components())


@cache
def _components() -> jsonschema_rs.Registry:
    """Return the schemas to which all others refer. A validator of its own for all of them would take 6 ms."""
    return jsonschema_rs.Registry(
        [(COMPONENTS, {"components": document()["components"]})], draft=jsonschema_rs.Draft202012
    )


def check(method: str, path: str, status: int, headers: Mapping[str, str], body: Any) -> None:
    """Raise `Undeclared` unless an operation declares this answer. `path` is the template of a path."""
    media_type = headers.get("content-type", "").partition(";")[0]
    problem = next(iter(_validator(method, path, status, media_type).iter_errors(body)), None)
    if problem is not None:
        where = "/".join(map(str, problem.instance_path)) or "the answer"
        raise Undeclared(f"{method} {path} {status}, {where}: {problem.message}\n{json.dumps(body)[:2000]}")
    declares_wait = "Retry-After" in document()["paths"][path][method.lower()]["responses"][str(status)].get(
        "headers", {}
    )
    if "retry-after" in headers and not declares_wait:
        raise Undeclared(f"{method} {path} answered {status} with Retry-After, which it does not declare")


def check_event(module: str, route: str, result: Mapping[str, Any]) -> None:
    """Check the result of a handler in the module `module` of `functions/`, called for a route of the template.

    Tests call the route after which a module is named without naming it. An unknown route has no operation.
    """
    operations = routes_of(module)
    method, _, path = (route or _main_route(module, operations)).partition(" ")
    if f"{method} {path.rstrip('/')}" in operations:
        check(method, path.rstrip("/"), result["statusCode"], result["headers"], json.loads(result["body"]))


def _main_route(module: str, operations: list[str]) -> str:
    """Return the only route of a module, else the one after which the module is named, if there is one."""
    if len(operations) == 1:
        return operations[0]
    return next((each for each in operations if each.endswith(f"/{module.replace('_', '-')}")), "")


def check_http(method: str, url_path: str, status: int, headers: Mapping[str, str], content: bytes) -> None:
    """Check an answer of the running stack. A path without an operation is not checked.

    Raises `Undeclared`, and `ServerError` for a 500 although it is declared.
    """
    path = url_path.partition("?")[0].rstrip("/")
    for other, pattern, template, _ in _operations():
        if other == method.upper() and pattern.fullmatch(path):
            check(other, template, status, headers, json.loads(content))
            if status == 500:
                raise ServerError(f"{other} {template} answered 500: {content[:2000].decode(errors='replace')}")
            return


@cache
def routes_of(module: str) -> list[str]:
    """Return the routes that a module of `functions/` answers, as the document has them."""
    from tools import openapi

    return [operation.route for operation in openapi.OPERATIONS if operation.handler == module]
