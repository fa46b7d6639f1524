"""Holds requests against the typed parameters of `stripe.params`: names, types, nesting, what is required.

It reads the package's TypedDicts themselves, not the simulator's table of them.
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
from tests.stripe.shapes import operation_of

PLAIN = {
    int: re.compile(r"-?\d+"),
    bool: re.compile(r"true|false"),
    float: re.compile(r"-?\d+(\.\d+)?"),
    "Decimal": re.compile(r"-?\d+(\.\d+)?"),
}


@cache
def classes() -> dict[str, type | None]:
    """The class of each operation's parameters; None where it takes none."""
    found: dict[str, type | None] = {}
    for service in make_params.SERVICES:
        importlib.import_module(f"stripe.{service}")
        for operation, reference in make_params.operations(service).items():
            module, _, name = reference.partition(":")
            found[operation] = getattr(importlib.import_module(module), name) if name else None
    return found


def problems(method: str, path: str, params: typing.Mapping[str, Any]) -> list[str]:
    """What the package's types do not allow in a request of text values."""
    operation = operation_of(method, path)
    if operation is None:
        return [f"{method} {path}: no operation of the package"]
    cls = classes()[operation]
    if cls is None:
        return [f"{operation}: {name} where nothing is taken" for name in params]
    return _dict(params, cls, operation)


def tree(text: str) -> dict[str, Any]:
    """A form or a query as nested values; `a[0]` and `a[]` are lists. Raises ValueError for what is malformed."""
    top: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        match = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]*\])*)", name)
        if match is None:
            raise ValueError(f"a parameter named {name}")
        at, keys = top, [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        for key in keys[:-1]:
            at = at.setdefault(key, {})
        at[keys[-1] or str(len(at))] = value
    return typing.cast(dict[str, Any], _lists(top))


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(each) for key, each in value.items()}


@cache
def _fields(cls: type) -> dict[str, tuple[Any, bool]]:
    """Of a TypedDict: the type and whether it is required, by name."""
    found = {}
    module = sys.modules[cls.__module__].__dict__
    for name, hint in typing.get_type_hints(cls, module, make_params.OUTSIDE, include_extras=True).items():
        if name in RequestOptions.__annotations__ and cls.__name__.endswith("Params"):
            continue
        required = typing.get_origin(hint) is not NotRequired
        if typing.get_origin(hint) in (NotRequired, Required):
            (hint,) = typing.get_args(hint)
        found[name] = (hint, required)
    return found


def _dict(given: Any, cls: type, at: str) -> list[str]:
    if not isinstance(given, dict):
        return [f"{at}: {given!r} is no hash"]
    fields = _fields(cls)
    wrong = [f"{at}: {name} is unknown" for name in given if name not in fields]
    wrong += [f"{at}: {name} is missing" for name, (_, required) in fields.items() if required and name not in given]
    for name, value in given.items():
        if name in fields:
            wrong += _value(value, fields[name][0], f"{at} {name}")
    return wrong


def _value(value: Any, hint: Any, at: str) -> list[str]:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(value, typing.get_args(hint), at)
    if origin is Literal:
        return (
            [] if value in [str(one) for one in typing.get_args(hint)] else [f"{at}: {value!r} is none of its values"]
        )
    if origin is list:
        if not isinstance(value, list):
            return [f"{at}: {value!r} is no list"]
        (inner,) = typing.get_args(hint)
        return [wrong for index, one in enumerate(value) for wrong in _value(one, inner, f"{at}[{index}]")]
    if origin is dict or "UntypedStripeObject" in str(hint):
        fits = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
        return [] if fits else [f"{at}: {value!r} is no hash of texts"]
    if is_typeddict(hint):
        return _dict(value, hint, at)
    if hint is Any:
        return []
    if not isinstance(value, str):
        return [f"{at}: {value!r} is no plain value"]
    pattern = PLAIN.get(hint) or PLAIN.get(getattr(hint, "__name__", ""))
    return [] if pattern is None or pattern.fullmatch(value) else [f"{at}: {value!r} is no {hint.__name__}"]


def _one_of(value: Any, hints: tuple[Any, ...], at: str) -> list[str]:
    """`Literal[…] | str` is an enum: the package leaves it open for what Stripe may add, and we send what is known."""
    if any(typing.get_origin(one) is Literal and set(typing.get_args(one)) != {""} for one in hints):
        hints = tuple(one for one in hints if one is not str)
    each = [_value(value, one, at) for one in hints]
    return [] if any(not one for one in each) else max(each, key=lambda one: len(one[0]))
