"""Checks responses and events against the typed classes of the `stripe` package, field by field.

`problems` checks one object. `problems_of_response` checks the response of an operation: the object, list or search
result named by the operation's return type, with every object inside it. Error responses are checked against the
package's error class.
"""

import ast
import re
import sys
import typing
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ForwardRef, Literal, Union

import stripe
from stripe import ListObject
from stripe._error_object import ErrorObject
from stripe._object_classes import OBJECT_CLASSES, get_object_class
from stripe._stripe_object import StripeObject

from tests.stripe import make_params

CLASSES: dict[str, type[StripeObject]] = {name: get_object_class("V1", name) for name in OBJECT_CLASSES}
LIST_FIELDS = {"list": {"object", "url", "has_more", "data"}}
LIST_FIELDS["search_result"] = LIST_FIELDS["list"] | {"next_page"}
OPTIONAL_LIST_FIELDS = {"list": set[str](), "search_result": {"total_count"}}
ERROR_TYPES = {"api_error", "card_error", "idempotency_error", "invalid_request_error"}


@cache
def fields_of(cls: type[StripeObject]) -> dict[str, Any]:
    """Return the type of each typed field of a class."""
    return {n: h for n, h in cls.__annotations__.items() if n != "OBJECT_NAME" and not n.startswith("_")}


def problems(value: dict[str, Any], cls: type[StripeObject] | None = None, path: str = "") -> list[str]:
    """Return the fields of an object that are missing, unknown or of the wrong type."""
    cls = cls or CLASSES[value["object"]]
    path = path or cls.__name__
    if value.get("deleted") is True:
        return [] if set(value) == {"id", "object", "deleted"} else [f"{path}: more fields than a deleted object has"]
    messages = []
    fields = fields_of(cls)
    for name in value.keys() - fields.keys():
        messages.append(f"{path}.{name}: unknown")
    for name, hint in fields.items():
        if name in value:
            messages += _check(value[name], hint, f"{path}.{name}", cls)
        elif NoneType not in typing.get_args(hint):
            messages.append(f"{path}.{name}: missing")
    return messages


def problems_of_list(value: dict[str, Any], class_name: str, path: str) -> list[str]:
    """Return the problems of a list or search result whose items are all of one class."""
    messages = [f"{path}.{key}: missing" for key in LIST_FIELDS[value["object"]] - value.keys()]
    names = LIST_FIELDS[value["object"]] | OPTIONAL_LIST_FIELDS[value["object"]]
    messages += [f"{path}.{key}: unknown" for key in value.keys() - names]
    if not isinstance(value.get("has_more"), bool) or not isinstance(value.get("data"), list):
        return [*messages, f"{path}: has_more or data has the wrong type"]
    if not str(value.get("url")).startswith("/v1/"):
        messages.append(f"{path}.url: {value.get('url')!r}")
    for index, item in enumerate(value["data"]):
        messages += _named(item, class_name, f"{path}.data[{index}]", StripeObject)
    return messages


def problems_of_event(event: dict[str, Any]) -> list[str]:
    """Return the problems of an event, of the object in it, and of the field names in `previous_attributes`."""
    payload = event["data"]["object"]
    cls = CLASSES[payload["object"]]
    messages = problems(event) + problems(payload, None, f"{event['type']}: {cls.__name__}")
    fields = fields_of(cls)
    previous = event["data"].get("previous_attributes") or {}
    return messages + [f"{event['type']}: previous {name}: unknown" for name in previous if name not in fields]


def problems_of_response(method: str, path: str, status: int, body: dict[str, Any]) -> list[str]:
    """Return how a response differs from the return type of its operation."""
    if status >= 400:
        return _problems_of_error(status, body)
    operation = operation_of(method, path)
    if operation is None:
        return [f"{method} {path}: not an operation of the package"]
    wrapper, class_name = return_types()[operation]
    if wrapper:
        if body.get("object") != wrapper:
            return [f"{operation}: {body.get('object')} is not a {wrapper}"]
        return problems_of_list(body, class_name, operation)
    messages = _named(body, class_name, operation, StripeObject)
    return messages + (problems_of_event(body) if body.get("object") == "event" else [])


def _problems_of_error(status: int, body: dict[str, Any]) -> list[str]:
    if set(body) != {"error"}:
        return [f"an error with the fields {sorted(body)}"]
    error = body["error"]
    messages = problems(error, typing.cast(Any, ErrorObject), f"error {error.get('code')}")
    if error.get("type") not in ERROR_TYPES:
        messages.append(f"error.type: {error.get('type')}")
    if (status == 402) != (error.get("type") == "card_error"):
        messages.append(f"error: {error.get('type')} with status {status}")
    return messages


@cache
def return_types() -> dict[str, tuple[str, str]]:
    """Return the wrapper and the class name that each operation of the package returns.

    For example `{"GET /v1/refunds": ("list", "Refund"), "POST /v1/refunds": ("", "Refund")}`.
    """
    table: dict[str, tuple[str, str]] = {}
    for service in make_params.SERVICES:
        path = Path(stripe.__file__).parent / (service.replace(".", "/") + ".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or node.returns is None:
                continue
            call = make_params.OPERATION.search(ast.unparse(node).replace("'", '"'))
            if call is None:
                continue
            annotation = str(ast.literal_eval(node.returns))
            inner = re.fullmatch(r"(ListObject|SearchResultObject)\[(.*)\]", annotation)
            wrapper = {None: "", "ListObject": "list", "SearchResultObject": "search_result"}[inner and inner[1]]
            operation = f"{call[1].upper()} " + re.sub(r"\{[^}]*\}", "*", call[2])
            table[operation] = (wrapper, inner[2] if inner else annotation)
    return table


@cache
def _templates() -> dict[tuple[str, int], list[tuple[str, list[str]]]]:
    """Return the operations by verb and number of segments, each with its segments, those with fewer `*` first."""
    table: dict[tuple[str, int], list[tuple[str, list[str]]]] = {}
    for operation in sorted(return_types(), key=lambda operation: operation.count("*")):
        verb, _, template = operation.partition(" ")
        steps = template.split("/")
        table.setdefault((verb, len(steps)), []).append((operation, steps))
    return table


def operation_of(method: str, path: str) -> str | None:
    """Return the package's operation for a path, preferring fixed segments to `*`."""
    segments = path.partition("?")[0].rstrip("/").split("/")
    for operation, steps in _templates().get((method.upper(), len(segments)), ()):
        if all(step in ("*", segment) for step, segment in zip(steps, segments, strict=True)):
            return operation
    return None


def _check(value: Any, hint: Any, path: str, cls: type) -> list[str]:
    origin = typing.get_origin(hint)
    if origin in (Union, UnionType):
        results = [_check(value, option, path, cls) for option in typing.get_args(hint)]
        if not all(results):
            return []
        return min(results, key=lambda messages: ("is not" in messages[0], len(messages)))  # the closest alternative
    if origin is Literal:
        return [] if value in typing.get_args(hint) else [f"{path}: {_short(value)} is not one of its values"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{path}: {_short(value)} is not a list"]
        (inner,) = typing.get_args(hint)
        return [message for n, item in enumerate(value) for message in _check(item, inner, f"{path}[{n}]", cls)]
    if origin is ListObject:
        (inner,) = typing.get_args(hint)
        if not isinstance(value, dict) or value.get("object") != "list":
            return [f"{path}: {_short(value)} is not a list object"]
        if isinstance(inner, ForwardRef):
            return problems_of_list(value, inner.__forward_arg__, path)
        messages = problems_of_list({**value, "data": []}, "", path)  # a union of classes
        return messages + [m for n, item in enumerate(value["data"]) for m in _check(item, inner, f"{path}[{n}]", cls)]
    if isinstance(hint, str | ForwardRef):
        return _named(value, hint if isinstance(hint, str) else hint.__forward_arg__, path, cls)
    if "Untyped" in str(hint) or hint is Any:
        return [] if isinstance(value, dict) else [f"{path}: {_short(value)} is not a hash"]
    return _plain(value, hint, path)


def _short(value: Any) -> str:
    return repr(value)[:60]


def _plain(value: Any, hint: Any, path: str) -> list[str]:
    if hint in (int, str, bool, float):
        matches = type(value) is hint or (hint is float and type(value) is int)
        return [] if matches else [f"{path}: {_short(value)} is not of type {hint.__name__}"]
    if hint is NoneType:
        return [] if value is None else [f"{path}: {_short(value)} is not null"]
    if hint is Decimal:
        return [] if isinstance(value, str | Decimal) else [f"{path}: {_short(value)} is not a decimal"]
    if not isinstance(value, dict):
        return [f"{path}: {_short(value)} is not of type {hint.__name__}"]
    return problems(value, hint, path)


def _named(value: Any, class_name: str, path: str, cls: type) -> list[str]:
    """Check a value whose class is only a name in the annotation; the value's own `object` selects the class."""
    if not isinstance(value, dict):
        return [f"{path}: {_short(value)} is not an object"]
    if class_name.startswith("UntypedStripeObject"):
        return []
    value_class = CLASSES.get(str(value.get("object")))
    if value_class is None:
        inner = getattr(sys.modules[cls.__module__], class_name.split(".")[0], getattr(stripe, class_name, None))
        return [f"{path}: unknown kind of object ({class_name})"] if inner is None else problems(value, inner, path)
    # The package imports a class as `…Resource` where a field has the same name.
    if value_class.__name__ != class_name.rpartition(".")[2].removesuffix("Resource"):
        return [f"{path}: a {value_class.__name__} is not a {class_name}"]
    return problems(value, None, path)
