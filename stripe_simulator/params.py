"""Parameters: form bodies and query strings with nested brackets, checked against the types in `params.json`.

`tests/stripe/make_params.py` generates `params.json` from the typed parameters of the `stripe` package, so the
simulator refuses the parameters that Stripe's own types refuse. https://docs.stripe.com/api?lang=curl
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from stripe_simulator.errors import StripeError, validation_error
from stripe_simulator.unsupported_params import REMOVED_PARAMS, UNSUPPORTED_PARAMS

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parent / "params.json").read_text())
OPERATIONS: dict[str, str] = SCHEMA["operations"]
CLASSES: dict[str, dict[str, list[Any]]] = SCHEMA["classes"]
ANSWERS: dict[str, str] = SCHEMA["answers"]
PATH_PARAMS: dict[str, list[str]] = SCHEMA["path_params"]
EXPANDABLE: dict[str, dict[str, list[str]]] = SCHEMA["expandable"]
MAX_PARAMS, MAX_DEPTH, MAX_LENGTH = 4000, 20, 5000
MAX_LENGTHS: dict[str, dict[str, int]] = {  # by the parameter class, where it is not MAX_LENGTH
    "CustomerCreateParams": {"name": 256, "phone": 20, "email": 512, "business_name": 150, "individual_name": 150},
    "CustomerUpdateParams": {"name": 256, "phone": 20, "email": 512, "business_name": 150, "individual_name": 150},
    "CouponCreateParams": {"name": 40},
    "CouponUpdateParams": {"name": 40},
    "PaymentIntentCreateParams": {"description": 1000},
    "PaymentIntentUpdateParams": {"description": 1000},
    "PriceCreateParams": {"lookup_key": 200},
    "PriceUpdateParams": {"lookup_key": 200},
    "ProductCreateParams": {"unit_label": 12},
    "ProductUpdateParams": {"unit_label": 12},
    "SessionCreateParams": {"client_reference_id": 200},
}
TYPES_NOT_SUPPORTED = "payment_method_types_no_longer_supported"

# Parameters that the current version no longer has.
LEGACY: dict[str, dict[str, list[Any]]] = {
    "PaymentIntentCreateParams": {"payment_method_types": [{"list": ["str"]}]},
    "PaymentIntentUpdateParams": {"payment_method_types": [{"list": ["str"]}]},
    "PaymentIntentConfirmParams": {"payment_method_types": [{"list": ["str"]}]},
    "SetupIntentCreateParams": {"payment_method_types": [{"list": ["str"]}]},
    "SetupIntentUpdateParams": {"payment_method_types": [{"list": ["str"]}]},
    "SessionCreateParams": {"payment_method_types": [{"list": ["str"]}]},
    "PromotionCodeCreateParams": {"coupon": ["str"]},
}
TAKEN_BY: dict[str, tuple[str | None, ...]] = {"payment_method_types": (None, "dahlia", "clover"), "coupon": (None,)}
"""The families of versions that still take each of LEGACY. None is a request without Stripe-Version, as of the CLI.

https://docs.stripe.com/changelog/endive https://docs.stripe.com/changelog/clover
"""
UI_MODES = {"hosted": "hosted_page", "embedded": "embedded_page", "custom": "elements"}
"""The values of `ui_mode` until clover: https://docs.stripe.com/changelog/dahlia."""
BROWSER: dict[str, dict[str, list[Any]]] = {  # additional parameters of Stripe.js
    "PaymentIntentConfirmParams": {"client_secret": ["str"], "key": ["str"]},
    "PaymentIntentRetrieveParams": {"key": ["str"]},
    "SetupIntentConfirmParams": {"client_secret": ["str"], "key": ["str"]},
    "PaymentMethodCreateParams": {"key": ["str"]},
}
# A confirmation accepts card numbers, as Stripe.js sends them, although the typed parameters do not list them.
CLASSES["WebhookEndpointCreateParams"]["api_version"] = ["str"]  # the endpoint recognizes versions by their pattern
CARD_DATA = CLASSES["PaymentIntentCreateParamsPaymentMethodData"]
CARD_DATA["card"] = CLASSES["PaymentMethodCreateParams"]["card"]
CARD_DATA["type!"][-1]["enum"].append("card")
BRACKETS = re.compile(r"\[([^\]]*)\]")


def parse_form(text: str) -> dict[str, Any]:
    """Parse `a[b][0]=c` to `{"a": {"b": ["c"]}}`. Values stay strings. Raises StripeError for malformed input."""
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=MAX_PARAMS
        )
    except ValueError as error:
        reason = str(error).partition(":")[0]  # the rest repeats the body, which may have card numbers
        message = f"Invalid request body: {reason} (check that its content type is application/x-www-form-urlencoded)."
        raise validation_error(message) from error
    tree: dict[str, Any] = {}
    for name, value in pairs:
        head = name.split("[", 1)[0]
        rest = name[len(head) :]
        keys = BRACKETS.findall(rest)
        if not head or rest != "".join(f"[{key}]" for key in keys) or len(keys) > MAX_DEPTH or "\0" in name:
            raise validation_error(f"Invalid parameter name: {name[:200]}", param=name[:200])
        _insert(tree, [head, *keys], value, name)
    return {name: _convert_lists(value, name) for name, value in tree.items()}


def _insert(tree: dict[str, Any], keys: list[str], value: str, name: str) -> None:
    for index, key in enumerate(keys[:-1]):
        subtree = tree.setdefault(key or _item_key(tree, keys[index + 1 :]), {})
        if not isinstance(subtree, dict):
            raise validation_error(f"Invalid parameter: {name} is both a value and an object", param=name)
        tree = subtree
    last = keys[-1] if keys[-1] else f"\0{len(tree)}"
    if isinstance(tree.get(last), dict):
        raise validation_error(f"Invalid parameter: {name} is both a value and an object", param=name)
    tree[last] = value


def _item_key(items: dict[str, Any], keys: list[str]) -> str:
    """Return the key of the item that `[]` means: the last item, or a new one if the last item has the parameter.

    `a[][b]=1&a[][c]=2&a[][b]=3` has two items, as in Rack, which parses Stripe's parameters (m).
    """
    last = f"\0{len(items) - 1}"
    item = items.get(last)
    for key in keys:
        if not isinstance(item, dict):
            break
        if key not in item:
            return last
        item = item[key]
    return f"\0{len(items)}"


def _convert_lists(value: Any, name: str) -> Any:
    """Convert dicts whose keys are all indexes, or all `[]`, to lists. Raises StripeError if only some are `[]`."""
    if not isinstance(value, dict):
        return value
    names = {key: f"{name}[]" if key.startswith("\0") else f"{name}[{key}]" for key in value}
    items = {key: _convert_lists(item, names[key]) for key, item in value.items()}
    if all(key.startswith("\0") for key in items):
        return list(items.values())
    if any(key.startswith("\0") for key in items):
        raise validation_error(f"Invalid parameter: {name} is both an array and a hash", param=name)
    if all(key.isdecimal() for key in items):
        return [items[key] for key in sorted(items, key=int)]
    return items


def check(operation: str, params: Mapping[str, Any], *, family: str | None, browser: bool = False) -> dict[str, Any]:
    """Return the parameters as typed values. `family` is that of the request's version, or None.

    Raises StripeError for an unknown, missing or invalid parameter.
    """
    name = OPERATIONS.get(operation)
    if name is None:
        return dict(params)
    fields = dict(CLASSES[name]) if name else {}
    unsupported = UNSUPPORTED_PARAMS.get(operation, ())
    removed = REMOVED_PARAMS.get(operation, ()) if family is None else ()
    for pattern, param in _names(params) if unsupported else ():
        head = pattern.partition("[")[0]
        if (pattern in unsupported and (head in fields or f"{head}!" in fields)) or pattern in removed:
            raise validation_error(f"The simulator does not support `{param}`, although Stripe does.", param=param)
    _add_legacy(fields, LEGACY.get(name, {}), params, family)
    if name == "SessionCreateParams" and family in (None, "clover") and "ui_mode" in params:
        params = {**params, "ui_mode": UI_MODES.get(str(params["ui_mode"]), params["ui_mode"])}
    if browser:
        fields.update(BROWSER.get(name, {}))
    values = _parse_object(fields, params, "")
    for param, limit in MAX_LENGTHS.get(name, {}).items():
        _check_length(values.get(param), limit, param)
    return values


def _add_legacy(
    fields: dict[str, list[Any]], legacy: Mapping[str, list[Any]], params: Mapping[str, Any], family: str | None
) -> None:
    """Add the parameters that only earlier versions take. Raises StripeError for one that this version refuses."""
    for param, types in legacy.items():
        if family in TAKEN_BY[param]:
            fields[param] = types
            if param == "coupon" and param in params:
                del fields["promotion!"]
        elif param == "payment_method_types" and param in params:
            raise validation_error(
                "The `payment_method_types` parameter is no longer supported. "
                "Use `allowed_payment_method_types` instead.",
                code=TYPES_NOT_SUPPORTED,
                param=param,
            )


def _names(value: Any, pattern: str = "", name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every parameter twice: as a pattern without the indexes of lists (`items[][price]`), and as its name."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _names(item, f"{pattern}[]", f"{name}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            inner, inner_name = (f"{pattern}[{key}]", f"{name}[{key}]") if name else (key, key)
            yield inner, inner_name
            yield from _names(item, inner, inner_name)


def _check_length(value: Any, limit: int, name: str) -> None:
    """Raise StripeError for a text that is too long."""
    if isinstance(value, str) and len(value) > limit:
        message = f"Invalid string: {value[:10]}...{value[-10:]}; must be at most {limit} characters"
        raise validation_error(message, code="parameter_invalid_string", param=name)


def _parse_object(fields: Mapping[str, list[Any]], params: Mapping[str, Any], path: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in params.items():
        name = f"{path}[{key}]" if path else key
        types = fields.get(key) or fields.get(key + "!")
        if types is None:
            raise validation_error(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
        values[key] = _parse_value(types, value, name)
    for field in fields:
        if field.endswith("!") and field[:-1] not in params:
            name = f"{path}[{field[:-1]}]" if path else field[:-1]
            raise validation_error(f"Missing required param: {name}.", code="parameter_missing", param=name)
    return values


def _parse_value(types: list[Any], value: Any, name: str) -> Any:
    """Parse a value as the first type that fits."""
    if value == "":
        if "" in types or "map" in types:
            return ""
        raise validation_error(
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a "
            f"parameter; however '{name}' cannot be unset. You should remove '{name}' from your request or "
            "supply a non-empty value.",
            code="parameter_invalid_empty",
            param=name,
        )
    problem: StripeError | None = None
    for type_ in types:
        if type_ == "":
            continue
        try:
            return _parse_type(type_, value, name)
        except StripeError as error:
            problem = error
    assert problem is not None
    raise problem


def _parse_type(type_: Any, value: Any, name: str) -> Any:
    if isinstance(type_, dict):
        return _parse_compound(type_, value, name)
    if type_ == "any":
        return value
    if type_ == "map":
        return _parse_map(value, name)
    if not isinstance(value, str):
        raise validation_error(f"Invalid {'array' if isinstance(value, list) else 'hash'}", param=name)
    return _parse_scalar(type_, value, name)


def _parse_scalar(type_: str, value: str, name: str) -> int | bool | str:
    if type_ == "int":
        if not re.fullmatch(r"-?\d{1,18}", value):
            raise validation_error(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
        return int(value)
    if type_ == "bool":
        if value not in {"true", "false"}:
            raise validation_error(f"Invalid boolean: {value}", param=name)
        return value == "true"
    if type_ in {"float", "decimal"}:
        if not re.fullmatch(r"-?\d{1,18}(\.\d{1,12})?", value):
            raise validation_error(f"Invalid decimal: {value}", param=name)
        return value
    _check_length(value, MAX_LENGTH, name)
    return value


def _parse_compound(type_: dict[str, Any], value: Any, name: str) -> Any:
    if "enum" in type_:
        choices = [str(choice) for choice in type_["enum"]]
        if value not in choices:
            raise validation_error(f"Invalid {name}: must be one of {', '.join(choices)}", param=name)
        return value
    if "list" in type_:
        if not isinstance(value, list):
            raise validation_error("Invalid array", param=name)
        return [_parse_value(type_["list"], item, f"{name}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        raise validation_error("Invalid object", param=name)
    if "map" in type_:
        return {key: _parse_value(type_["map"], item, f"{name}[{key}]") for key, item in value.items()}
    return _parse_object(CLASSES[type_["object"]], value, name)


def _parse_map(value: Any, name: str) -> dict[str, str]:
    if isinstance(value, list):  # the keys were all numbers
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise validation_error("Invalid hash", param=name)
    return value


def path_param(operation: str, ids: list[str], id: str) -> str:
    """Return the name of the path's parameter whose value is the id, as Stripe's errors name it."""
    names = PATH_PARAMS.get(operation, ["id"] * len(ids))
    name = next((name for name, value in zip(names, ids, strict=True) if value == id), "id")
    return "id" if name == "customer" else name  # Stripe's reference says `customer`, and its errors `id`


def merge_metadata(old: Mapping[str, str], new: Any) -> dict[str, str]:
    """Return the metadata after an update: an empty value unsets its key, an empty `metadata` unsets all keys.

    https://docs.stripe.com/api/metadata
    """
    if new == "":
        return {}
    merged = dict(old) | dict(new)
    merged = {key: value for key, value in merged.items() if value != ""}
    for key, value in merged.items():
        if len(key) > 40 or "[" in key or "]" in key:
            raise validation_error(
                f"Metadata keys may be at most 40 characters without brackets: {key}", param="metadata"
            )
        if len(value) > 500:
            raise validation_error(
                f"Metadata values can have up to 500 characters, but you passed in a value that is "
                f"{len(value)} characters. Invalid value: {value[:50]}...",
                param=f"metadata[{key}]",
            )
    if len(merged) > 50:
        raise validation_error("Metadata can have up to 50 keys", param="metadata")
    return merged
