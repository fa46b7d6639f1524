"""Form bodies and query strings: nested brackets, then types, against `params.json`.

`params.json` is made from the typed parameters of the `stripe` package
(`tests/stripe/make_params.py`), so what is refused here is what Stripe's own types refuse.
https://docs.stripe.com/api?lang=curl
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from stripe_simulator.errors import StripeError, unvalidated
from stripe_simulator.left_out import LEFT_OUT

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parent / "params.json").read_text())
OPERATIONS: dict[str, str] = SCHEMA["operations"]
CLASSES: dict[str, dict[str, list[Any]]] = SCHEMA["classes"]
ANSWERS: dict[str, str] = SCHEMA["answers"]
EXPANDABLE: dict[str, dict[str, list[str]]] = SCHEMA["expandable"]
MAX_PARAMS, MAX_DEPTH = 4000, 20
TYPES_GONE = "payment_method_types_no_longer_supported"

# What the CLI, which sends no Stripe-Version, may still say. Also what the typed parameters leave out.
LEGACY: dict[str, dict[str, list[Any]]] = {
    "PaymentIntentCreateParams": {"payment_method_types": [{"list": ["str"]}]},
    "PaymentIntentUpdateParams": {"payment_method_types": [{"list": ["str"]}]},
    "PaymentIntentConfirmParams": {"payment_method_types": [{"list": ["str"]}]},
    "SetupIntentCreateParams": {"payment_method_types": [{"list": ["str"]}]},
    "SetupIntentUpdateParams": {"payment_method_types": [{"list": ["str"]}]},
    "SessionCreateParams": {"payment_method_types": [{"list": ["str"]}]},
    "PromotionCodeCreateParams": {"coupon": ["str"]},
}
BROWSER: dict[str, dict[str, list[Any]]] = {  # what Stripe.js sends with a publishable key
    "PaymentIntentConfirmParams": {"client_secret": ["str"], "key": ["str"]},
    "PaymentIntentRetrieveParams": {"key": ["str"]},
    "SetupIntentConfirmParams": {"client_secret": ["str"], "key": ["str"]},
    "PaymentMethodCreateParams": {"key": ["str"]},
}
# Card numbers inside a confirmation: Stripe takes them (Stripe.js sends them so), the typed parameters are silent.
CARD_DATA = CLASSES["PaymentIntentCreateParamsPaymentMethodData"]
CARD_DATA["card"] = CLASSES["PaymentMethodCreateParams"]["card"]
CARD_DATA["type!"][-1]["enum"].append("card")
BRACKETS = re.compile(r"\[([^\]]*)\]")


def parse_form(text: str) -> dict[str, Any]:
    """`a[b][0]=c` -> `{"a": {"b": ["c"]}}`; values stay text. Raises StripeError for what is malformed."""
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=MAX_PARAMS
        )
    except ValueError as error:
        raise unvalidated(f"Invalid request body: {error}") from error
    tree: dict[str, Any] = {}
    for name, value in pairs:
        head = name.split("[", 1)[0]
        rest = name[len(head) :]
        keys = BRACKETS.findall(rest)
        if not head or rest != "".join(f"[{key}]" for key in keys) or len(keys) > MAX_DEPTH:
            raise unvalidated(f"Invalid parameter name: {name[:200]}", param=name[:200])
        _insert(tree, [head, *keys], value, name)
    return {name: _lists(value) for name, value in tree.items()}


def _insert(tree: dict[str, Any], keys: list[str], value: str, name: str) -> None:
    for key in keys[:-1]:
        below = tree.setdefault(key if key else f"\0{len(tree)}", {})
        if not isinstance(below, dict):
            raise unvalidated(f"Invalid parameter: {name} is both a value and an object", param=name)
        tree = below
    last = keys[-1] if keys[-1] else f"\0{len(tree)}"
    if isinstance(tree.get(last), dict):
        raise unvalidated(f"Invalid parameter: {name} is both a value and an object", param=name)
    tree[last] = value


def _lists(value: Any) -> Any:
    """Objects whose keys are all indexes, or `[]`, are lists."""
    if not isinstance(value, dict):
        return value
    done = {key: _lists(each) for key, each in value.items()}
    if all(key.startswith("\0") for key in done):
        return list(done.values())
    if all(key.isdecimal() for key in done):
        return [done[key] for key in sorted(done, key=int)]
    return done


def check(operation: str, given: Mapping[str, Any], *, versioned: bool, browser: bool = False) -> dict[str, Any]:
    """The parameters with their types, or StripeError for one that is unknown, missing or wrong."""
    name = OPERATIONS.get(operation)
    if name is None:
        return dict(given)
    fields = dict(CLASSES[name]) if name else {}
    for one in LEFT_OUT.get(operation, ()):
        if one in given and one in fields:
            raise unvalidated(f"The simulator does not apply `{one}`, which Stripe would.", param=one)
    if not versioned:
        fields.update(LEGACY.get(name, {}))
        if "coupon" in given and name == "PromotionCodeCreateParams":
            del fields["promotion!"]
    elif "payment_method_types" in given and "payment_method_types" in LEGACY.get(name, {}):
        raise unvalidated(
            "The `payment_method_types` parameter is no longer supported. Use `allowed_payment_method_types` instead.",
            code=TYPES_GONE,
            param="payment_method_types",
        )
    if browser:
        fields.update(BROWSER.get(name, {}))
    return _object(fields, given, "")


def _object(fields: Mapping[str, list[Any]], given: Mapping[str, Any], at: str) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for key, value in given.items():
        where = f"{at}[{key}]" if at else key
        kinds = fields.get(key) or fields.get(key + "!")
        if kinds is None:
            raise unvalidated(f"Received unknown parameter: {where}", code="parameter_unknown", param=where)
        typed[key] = _value(kinds, value, where)
    for field in fields:
        if field.endswith("!") and field[:-1] not in given:
            where = f"{at}[{field[:-1]}]" if at else field[:-1]
            raise unvalidated(f"Missing required param: {where}.", code="parameter_missing", param=where)
    return typed


def _value(kinds: list[Any], value: Any, at: str) -> Any:
    if value == "":
        if "" in kinds or "map" in kinds:
            return ""
        raise unvalidated(
            f"You passed an empty string for '{at}'. We assume empty values are an attempt to unset a "
            f"parameter; however '{at}' cannot be unset. You should remove '{at}' from your request or "
            "supply a non-empty value.",
            code="parameter_invalid_empty",
            param=at,
        )
    problem: StripeError | None = None
    for kind in kinds:
        if kind == "":
            continue
        try:
            return _typed(kind, value, at)
        except StripeError as error:
            problem = error
    assert problem is not None
    raise problem


def _typed(kind: Any, value: Any, at: str) -> Any:
    if isinstance(kind, dict):
        return _compound(kind, value, at)
    if kind == "any":
        return value
    if kind == "map":
        return _map(value, at)
    if not isinstance(value, str):
        raise unvalidated(f"Invalid {'array' if isinstance(value, list) else 'hash'}", param=at)
    if kind == "int":
        if not re.fullmatch(r"-?\d{1,18}", value):
            raise unvalidated(f"Invalid integer: {value}", code="parameter_invalid_integer", param=at)
        return int(value)
    if kind == "bool":
        if value not in {"true", "false"}:
            raise unvalidated(f"Invalid boolean: {value}", param=at)
        return value == "true"
    if kind in {"float", "decimal"}:
        if not re.fullmatch(r"-?\d{1,18}(\.\d{1,12})?", value):
            raise unvalidated(f"Invalid decimal: {value}", param=at)
        return value
    if len(value) > 5000:
        raise unvalidated(
            "Invalid string: too long, at most 5000 characters", code="parameter_invalid_string", param=at
        )
    return value


def _compound(kind: dict[str, Any], value: Any, at: str) -> Any:
    if "enum" in kind:
        if value not in [str(one) for one in kind["enum"]]:
            allowed = ", ".join(str(one) for one in kind["enum"])
            raise unvalidated(f"Invalid {at}: must be one of {allowed}", param=at)
        return value
    if "list" in kind:
        if not isinstance(value, list):
            raise unvalidated("Invalid array", param=at)
        return [_value(kind["list"], one, f"{at}[{index}]") for index, one in enumerate(value)]
    if not isinstance(value, dict):
        raise unvalidated("Invalid object", param=at)
    return _object(CLASSES[kind["object"]], value, at)


def _map(value: Any, at: str) -> dict[str, str]:
    if isinstance(value, list):  # keys that are all numbers
        value = {str(index): one for index, one in enumerate(value)}
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise unvalidated("Invalid hash", param=at)
    return value


def merge_metadata(old: Mapping[str, str], new: Any) -> dict[str, str]:
    """Metadata after an update: an empty value unsets its key, an empty `metadata` unsets all.

    https://docs.stripe.com/api/metadata
    """
    if new == "":
        return {}
    merged = dict(old) | dict(new)
    merged = {key: value for key, value in merged.items() if value != ""}
    for key, value in merged.items():
        if len(key) > 40 or "[" in key or "]" in key:
            raise unvalidated(f"Metadata keys may be at most 40 characters without brackets: {key}", param="metadata")
        if len(value) > 500:
            raise unvalidated(
                f"Metadata values can have up to 500 characters, but you passed in a value that is "
                f"{len(value)} characters. Invalid value: {value[:50]}...",
                param=f"metadata[{key}]",
            )
    if len(merged) > 50:
        raise unvalidated("Metadata can have up to 50 keys", param="metadata")
    return merged
