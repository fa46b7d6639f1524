"""Holds answers against the typed classes of the `stripe` package, field by field.

`problems` checks one object, `problems_of_answer` what an operation answered: the object, the list or the search
result that the operation's own return type names, with each object inside; an error against its own class.
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
from stripe._error_object import ErrorObject
from stripe._object_classes import OBJECT_CLASSES, get_object_class
from stripe._stripe_object import StripeObject

from tests.stripe import make_params

CLASSES: dict[str, type[StripeObject]] = {name: get_object_class("V1", name) for name in OBJECT_CLASSES}
LISTS = {"list": {"object", "url", "has_more", "data"}}
LISTS["search_result"] = LISTS["list"] | {"next_page", "total_count"}
MORE_OF_ERRORS = {"headers"}


@cache
def fields_of(cls: type[StripeObject]) -> dict[str, Any]:
    """The typed fields of a class."""
    return {n: h for n, h in cls.__annotations__.items() if n != "OBJECT_NAME" and not n.startswith("_")}


def problems(value: dict[str, Any], cls: type[StripeObject] | None = None, at: str = "") -> list[str]:
    """What is missing, unknown or of another type; empty when the object is as Stripe types it."""
    cls = cls or CLASSES[value["object"]]
    at = at or cls.__name__
    if value.get("deleted") is True:
        return [] if set(value) == {"id", "object", "deleted"} else [f"{at}: more than a deleted object shows"]
    found = []
    fields = fields_of(cls)
    for name in value.keys() - fields.keys():
        found.append(f"{at}.{name}: unknown")
    for name, hint in fields.items():
        if name in value:
            found += _check(value[name], hint, f"{at}.{name}", cls)
        elif NoneType not in typing.get_args(hint):
            found.append(f"{at}.{name}: missing")
    return found


def problems_of_list(value: dict[str, Any], name: str, at: str) -> list[str]:
    """A list or a search result of objects of one class (by the class' name)."""
    found = [f"{at}.{key}: missing" for key in LISTS[value["object"]] - value.keys()]
    found += [f"{at}.{key}: unknown" for key in value.keys() - LISTS[value["object"]]]
    if not isinstance(value.get("has_more"), bool) or not isinstance(value.get("data"), list):
        return [*found, f"{at}: has_more or data is of another type"]
    if not str(value.get("url")).startswith("/v1/"):
        found.append(f"{at}.url: {value.get('url')!r}")
    for index, one in enumerate(value["data"]):
        found += _named(one, name, f"{at}.data[{index}]", StripeObject)
    return found


def problems_of_event(event: dict[str, Any]) -> list[str]:
    """An event, the object that it carries, and the names of what it says has changed."""
    about = event["data"]["object"]
    found = problems(event) + problems(about, None, f"{event['type']}: {CLASSES[about['object']].__name__}")
    previous = event["data"].get("previous_attributes") or {}
    known = fields_of(CLASSES[about["object"]])
    return found + [f"{event['type']}: previous {name}: unknown" for name in previous if name not in known]


def problems_of_answer(method: str, path: str, status: int, body: dict[str, Any]) -> list[str]:
    """What an answer has that its operation does not promise."""
    if status >= 400:
        return _problems_of_error(status, body)
    operation = operation_of(method, path)
    if operation is None:
        return [f"{method} {path}: no operation of the package"]
    wrapper, name = answers()[operation]
    if wrapper:
        if body.get("object") != wrapper:
            return [f"{operation}: {body.get('object')} is no {wrapper}"]
        return problems_of_list(body, name, operation)
    found = _named(body, name, operation, StripeObject)
    return found + (problems_of_event(body) if body.get("object") == "event" else [])


def _problems_of_error(status: int, body: dict[str, Any]) -> list[str]:
    if set(body) != {"error"}:
        return [f"an error of {sorted(body)}"]
    error = body["error"]
    found = problems(error, typing.cast(Any, ErrorObject), f"error {error.get('code')}")
    kinds = {"api_error", "card_error", "idempotency_error", "invalid_request_error"}
    if error.get("type") not in kinds:
        found.append(f"error.type: {error.get('type')}")
    if (status == 402) != (error.get("type") == "card_error"):
        found.append(f"error: {error.get('type')} with status {status}")
    return found


@cache
def answers() -> dict[str, tuple[str, str]]:
    """`{"GET /v1/refunds": ("list", "Refund"), "POST /v1/refunds": ("", "Refund"), …}` of the package's services."""
    table: dict[str, tuple[str, str]] = {}
    for service in make_params.SERVICES:
        path = Path(stripe.__file__).parent / (service.replace(".", "/") + ".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or node.returns is None:
                continue
            call = make_params.OPERATION.search(ast.unparse(node).replace("'", '"'))
            if call is None:
                continue
            said = str(ast.literal_eval(node.returns))
            inner = re.fullmatch(r"(ListObject|SearchResultObject)\[(.*)\]", said)
            wrapper = {None: "", "ListObject": "list", "SearchResultObject": "search_result"}[inner and inner[1]]
            table[f"{call[1].upper()} " + re.sub(r"\{[^}]*\}", "*", call[2])] = (wrapper, inner[2] if inner else said)
    return table


def operation_of(method: str, path: str) -> str | None:
    """The package's operation of a path, fixed segments before `*`."""
    parts = path.partition("?")[0].rstrip("/").split("/")
    fits = []
    for operation in answers():
        verb, _, template = operation.partition(" ")
        steps = template.split("/")
        same = len(steps) == len(parts) and all(s in ("*", p) for s, p in zip(steps, parts, strict=True))
        if verb == method.upper() and same:
            fits.append(operation)
    return min(fits, key=lambda one: one.count("*"), default=None)


def _check(value: Any, hint: Any, at: str, cls: type) -> list[str]:
    origin = typing.get_origin(hint)
    if origin in (Union, UnionType):
        each = [_check(value, one, at, cls) for one in typing.get_args(hint)]
        return [] if any(not one for one in each) else min(each, key=lambda one: ("is no" in one[0], len(one)))
    if origin is Literal:
        return [] if value in typing.get_args(hint) else [f"{at}: {_short(value)} is none of its values"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{at}: not a list"]
        (inner,) = typing.get_args(hint)
        return [p for n, one in enumerate(value) for p in _check(one, inner, f"{at}[{n}]", cls)]
    if origin is stripe.ListObject:
        (inner,) = typing.get_args(hint)
        if not isinstance(value, dict) or value.get("object") != "list":
            return [f"{at}: {_short(value)} is no list object"]
        return problems_of_list(value, inner.__forward_arg__, at)
    if isinstance(hint, str | ForwardRef):
        return _named(value, hint if isinstance(hint, str) else hint.__forward_arg__, at, cls)
    if "Untyped" in str(hint) or hint is Any:
        return [] if isinstance(value, dict) else [f"{at}: {_short(value)} is no hash"]
    return _plain(value, hint, at)


def _short(value: Any) -> str:
    return repr(value)[:60]


def _plain(value: Any, hint: Any, at: str) -> list[str]:
    if hint in (int, str, bool, float):
        right = type(value) is hint or (hint is float and type(value) is int)
        return [] if right else [f"{at}: {_short(value)} is no {hint.__name__}"]
    if hint is NoneType:
        return [] if value is None else [f"{at}: {_short(value)} is not null"]
    if hint is Decimal:
        return [] if isinstance(value, str | Decimal) else [f"{at}: {_short(value)} is no decimal"]
    if not isinstance(value, dict):
        return [f"{at}: {_short(value)} is no {hint.__name__}"]
    return problems(value, hint, at)


def _named(value: Any, name: str, at: str, cls: type) -> list[str]:
    """A class named only where a type checker looks: found by the value's own `object`, and of that name."""
    if not isinstance(value, dict):
        return [f"{at}: {_short(value)} is no object"]
    if name.startswith("UntypedStripeObject"):
        return []
    known = CLASSES.get(str(value.get("object")))
    if known is None:
        inner = getattr(sys.modules[cls.__module__], name.split(".")[0], getattr(stripe, name, None))
        return [f"{at}: an object of no known kind ({name})"] if inner is None else problems(value, inner, at)
    if known.__name__ != name.rpartition(".")[2].removesuffix("Resource"):  # the package's alias where a name is taken
        return [f"{at}: a {known.__name__} is no {name}"]
    return problems(value, None, at)
