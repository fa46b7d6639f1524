"""Checks requests against the typed parameters of `stripe.params`: names, types, nesting and required fields.

The check reads the package's TypedDicts, not the simulator's table of them, so it also finds errors in that table.
"""

import importlib
import re
import sys
import types
import typing
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union
from urllib.parse import parse_qsl

from stripe._request_options import RequestOptions
from typing_extensions import is_typeddict

from tests.stripe import make_params
from tests.stripe.typed_responses import operation_of

PATTERNS = {
    int: re.compile(r"-?\d+"),
    bool: re.compile(r"true|false"),
    float: re.compile(r"-?\d+(\.\d+)?"),
    "Decimal": re.compile(r"-?\d+(\.\d+)?"),
}


@cache
def classes() -> dict[str, type | None]:
    """Return the parameter class of each operation, or None if the operation takes no parameters."""
    table: dict[str, type | None] = {}
    for service in make_params.SERVICES:
        importlib.import_module(f"stripe.{service}")
        for operation, reference in make_params.operations(service).items():
            module, _, name = reference.partition(":")
            table[operation] = getattr(importlib.import_module(module), name) if name else None
    return table


def problems(method: str, path: str, params: typing.Mapping[str, Any]) -> list[str]:
    """Return the parameters of a request, all strings, that the package's types do not allow."""
    operation = operation_of(method, path)
    if operation is None:
        return [f"{method} {path}: not an operation of the package"]
    cls = classes()[operation]
    if cls is None:
        return [f"{operation}: {name}, but it takes no parameters" for name in params]
    return _dict(params, cls, operation)


def tree(text: str) -> dict[str, Any]:
    """Parse a form or a query into nested values; `a[0]` and `a[]` are lists.

    Raises ValueError if it is malformed.
    """
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        match = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]*\])*)", name)
        if match is None:
            raise ValueError(f"a parameter named {name}")
        node, keys = root, [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1] or str(len(node))] = value
    return typing.cast(dict[str, Any], _lists(root))


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(each) for key, each in value.items()}


@cache
def _fields(cls: type) -> dict[str, tuple[Any, bool]]:
    """Return the type of each field of a TypedDict, and whether the field is required."""
    fields = {}
    module = sys.modules[cls.__module__].__dict__
    for name, hint in typing.get_type_hints(cls, module, make_params.EXTRA_NAMES, include_extras=True).items():
        if name in RequestOptions.__annotations__ and cls.__name__.endswith("Params"):
            continue
        required = typing.get_origin(hint) is not NotRequired
        if typing.get_origin(hint) in (NotRequired, Required):
            (hint,) = typing.get_args(hint)
        fields[name] = (hint, required)
    return fields


def _dict(value: Any, cls: type, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is not a hash"]
    fields = _fields(cls)
    messages = [f"{path}: {name} is unknown" for name in value if name not in fields]
    messages += [
        f"{path}: {name} is missing" for name, (_, required) in fields.items() if required and name not in value
    ]
    for name, item in value.items():
        if name in fields:
            messages += _value(item, fields[name][0], f"{path} {name}")
    return messages


def _value(value: Any, hint: Any, path: str) -> list[str]:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(value, typing.get_args(hint), path)
    if origin is Literal:
        allowed = [str(option) for option in typing.get_args(hint)]
        return [] if value in allowed else [f"{path}: {value!r} is not one of its values"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{path}: {value!r} is not a list"]
        (inner,) = typing.get_args(hint)
        return [message for index, item in enumerate(value) for message in _value(item, inner, f"{path}[{index}]")]
    if origin is dict or "UntypedStripeObject" in str(hint):
        fits = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        return [] if fits else [f"{path}: {value!r} is not a hash of strings"]
    if is_typeddict(hint):
        return _dict(value, hint, path)
    if hint is Any:
        return []
    if not isinstance(value, str):
        return [f"{path}: {value!r} is not a plain value"]
    pattern = PATTERNS.get(hint) or PATTERNS.get(getattr(hint, "__name__", ""))
    fits = pattern is None or pattern.fullmatch(value) is not None
    return [] if fits else [f"{path}: {value!r} is not of type {hint.__name__}"]


def _union(value: Any, hints: tuple[Any, ...], path: str) -> list[str]:
    """Check a union. `Literal[…] | str` is an enum with room for new values, but we send only known ones."""
    if any(typing.get_origin(hint) is Literal and set(typing.get_args(hint)) != {""} for hint in hints):
        hints = tuple(hint for hint in hints if hint is not str)
    results = [_value(value, hint, path) for hint in hints]
    return max(results, key=lambda messages: len(messages[0])) if all(results) else []
