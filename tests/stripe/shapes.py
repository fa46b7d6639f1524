"""Holds an answered object against the typed class of the `stripe` package, field by field."""

import sys
import typing
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, ForwardRef, Literal, Union

import stripe
from stripe._object_classes import OBJECT_CLASSES, get_object_class
from stripe._stripe_object import StripeObject

CLASSES: dict[str, type[StripeObject]] = {name: get_object_class("V1", name) for name in OBJECT_CLASSES}


def problems(value: dict[str, Any], cls: type[StripeObject] | None = None, at: str = "") -> list[str]:
    """What is missing, unknown or of another type; empty when the object is as Stripe types it."""
    cls = cls or CLASSES[value["object"]]
    at = at or cls.__name__
    found = []
    hints = {n: h for n, h in cls.__annotations__.items() if n != "OBJECT_NAME" and not n.startswith("_")}
    for name in value.keys() - hints.keys():
        found.append(f"{at}.{name}: unknown")
    for name, hint in hints.items():
        if name in value:
            found += _check(value[name], hint, f"{at}.{name}", cls)
        elif NoneType not in typing.get_args(hint):
            found.append(f"{at}.{name}: missing")
    return found


def _check(value: Any, hint: Any, at: str, cls: type) -> list[str]:
    origin = typing.get_origin(hint)
    if origin in (Union, UnionType):
        each = [_check(value, one, at, cls) for one in typing.get_args(hint)]
        return [] if any(not one for one in each) else min(each, key=lambda one: (len(one) == 1, len(one)))
    if origin is Literal:
        return [] if value in typing.get_args(hint) else [f"{at}: {value!r} is none of its values"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{at}: not a list"]
        (inner,) = typing.get_args(hint)
        return [p for n, one in enumerate(value) for p in _check(one, inner, f"{at}[{n}]", cls)]
    if isinstance(hint, str | ForwardRef) or "ListObject" in str(hint):
        return _named(value, hint if isinstance(hint, str) else getattr(hint, "__forward_arg__", ""), at, cls)
    if hint in (int, str, bool, float):
        right = type(value) is hint or (hint is float and type(value) is int)
        return [] if right else [f"{at}: {value!r} is no {hint.__name__}"]
    if hint is NoneType:
        return [] if value is None else [f"{at}: {value!r} is not null"]
    if hint is Decimal:
        return [] if isinstance(value, str | Decimal) else [f"{at}: {value!r} is no decimal"]
    if "Untyped" in str(hint) or hint is Any:
        return [] if isinstance(value, dict) else [f"{at}: {value!r} is no hash"]
    if not isinstance(value, dict):
        return [f"{at}: {value!r} is no {hint.__name__}"]
    return problems(value, hint, at)


def _named(value: Any, name: str, at: str, cls: type) -> list[str]:
    """A class named only where a type checker looks: found by the value's own `object`."""
    if not isinstance(value, dict):
        return [f"{at}: {value!r} is no object"]
    if name.startswith("UntypedStripeObject"):
        return []
    if value.get("object") == "list":
        return [p for n, one in enumerate(value["data"]) for p in problems(one, None, f"{at}.data[{n}]")]
    known = CLASSES.get(str(value.get("object")))
    if known is None:
        inner = getattr(sys.modules[cls.__module__], name.split(".")[0], getattr(stripe, name, None))
        return [f"{at}: an object of no known kind ({name})"] if inner is None else problems(value, inner, at)
    return problems(value, None, at)
