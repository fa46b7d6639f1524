"""The schemas of docs/events.md, made strict: a field that they do not name is an error."""

from functools import cache
from typing import Any

import jsonschema_rs

from tools import published_events as reference

Schema = dict[str, Any]


@cache
def schema_of(event_type: str) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of an event's detail."""
    return jsonschema_rs.Draft202012Validator(_schema(event_type), validate_formats=True)


def _closed(schema: Schema) -> Schema:
    """Return a schema that refuses fields which it does not name. Consumers must ignore them."""
    closed = {name: _closed(value) if isinstance(value, dict) else value for name, value in schema.items()}
    if "properties" in schema:
        closed["properties"] = {name: _closed(value) for name, value in schema["properties"].items()}
        closed |= {"additionalProperties": False} if schema["properties"] else {}
    return closed


def _schema(name: str) -> Schema:
    """Return the schema of a type's whole detail, which refuses fields that it does not name."""
    fields = reference.TYPES[name].fields
    properties = {**reference.COMMON["properties"], **fields}
    return _closed({"type": "object", "required": [*reference.COMMON["required"], *fields], "properties": properties})
