"""Checks objects against the TypeScript types of the npm package `stripe`, which tell null from absent."""

import json
from typing import Any

from tests.stripe.make_typescript_fields import TARGET

SCHEMA: dict[str, Any] = json.loads(TARGET.read_text())
OBJECTS: dict[str, dict[str, list[Any]]] = SCHEMA["objects"]
HASHES: dict[str, dict[str, list[Any]]] = SCHEMA["hashes"]
TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "boolean": (bool,)}


def problems(value: Any) -> list[str]:
    """Return the fields of an object that are missing, unknown, null or mistyped.

    The fields of the objects in a list, or of the object in an event.
    """
    if isinstance(value, dict) and value.get("object") in ("list", "search_result"):
        return [problem for item in value["data"] for problem in problems(item)]
    kind = value.get("object") if isinstance(value, dict) else None
    if kind == "event":
        return [f"{value['type']}: {problem}" for problem in problems(value["data"]["object"])]
    if kind not in OBJECTS:
        return [f"{kind}: no kind of object that the types describe"]
    name = f"deleted {kind}" if value.get("deleted") else kind
    return _fields(value, OBJECTS[name], str(name))


def _fields(value: dict[str, Any], fields: dict[str, list[Any]], path: str) -> list[str]:
    names = {field.removesuffix("?"): field for field in fields}
    messages = [f"{path}.{name}: unknown" for name in value if name not in names]
    for name, field in names.items():
        if name in value:
            is_optional = field.endswith("?")
            if value[name] is None and "null" not in fields[field] and is_optional:
                messages.append(f"{path}.{name}: null, and should be absent")
            else:
                messages += _value(value[name], fields[field], f"{path}.{name}")
        elif not field.endswith("?"):
            messages.append(f"{path}.{name}: missing")
    return messages


def _value(value: Any, types: list[Any], path: str) -> list[str]:
    """Return the problems of a value with the alternative that fits best."""
    if value is None and "null" in types:
        return []
    results = [_alternative(value, type_, path) for type_ in types if type_ != "null"]
    return [] if not all(results) else max(results, key=lambda messages: "is no" not in messages[0])


def _alternative(value: Any, type_: Any, path: str) -> list[str]:
    if type_ == "any":
        return []
    if isinstance(type_, dict):
        return _collection(value, type_, path)
    if type_ in TYPES:
        fits = isinstance(value, TYPES[type_]) and isinstance(value, bool) == (type_ == "boolean")
        return [] if fits else [f"{path}: {value!r:.60} is no {type_}"]
    if not isinstance(value, dict) or (type_[0] == "@") != ("object" in value):
        return [f"{path}: {value!r:.60} is no {type_}"]
    if type_[0] == "#":
        return _fields(value, HASHES[type_[1:]], path)
    kind = type_[1:].removeprefix("deleted ")
    if value["object"] != kind or bool(value.get("deleted")) != type_.startswith("@deleted "):
        return [f"{path}: {value['object']} is no {type_}"]
    return problems(value)


def _collection(value: Any, type_: dict[str, Any], path: str) -> list[str]:
    ((kind, types),) = type_.items()
    if kind == "list":
        if not isinstance(value, list):
            return [f"{path}: {value!r:.60} is no list"]
        return [message for item in value for message in _value(item, types, f"{path}[]")]
    if not isinstance(value, dict):
        return [f"{path}: {value!r:.60} is no {kind}"]
    if kind == "map":
        return [message for item in value.values() for message in _value(item, types, f"{path}{{}}")]
    fits = value.keys() == {"object", "url", "has_more", "data"}
    return [message for item in value["data"] for message in _value(item, types, f"{path}.data[]")] if fits else [path]
