"""The attributes that this version reads, as plain JSON: of the tables' items, and of the values inside them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tuition.core.attention import AttentionReason
from tuition.core.audit import SCHEMA_VERSION
from tuition.core.enrollment import Standing
from tuition.core.facts import (
    Acknowledgement,
    Agreement,
    Balance,
    Charge,
    Closed,
    Comparison,
    Decision,
    Dispute,
    Facts,
    FraudWarning,
    Phase,
    Refund,
    Settled,
    Withdrawal,
)
from tuition.core.money import Money
from tuition.core.payment import Terms
from tuition.core.refund_request import RefundRequest
from tuition.storage.items import MODELS

FOLDER = Path(__file__).parent
VALUES: tuple[type[Any], ...] = (
    *(Facts, Settled, Closed, Phase, Charge, Refund, Dispute, FraudWarning, Decision, Acknowledgement, Balance),
    *(Comparison, Terms, RefundRequest, Standing, AttentionReason, Money, Withdrawal, Agreement),
)
"""The classes whose fields are keys of a JSON attribute."""

ADDED_VALUES = {"RefundRequest.state": ", 'superseded', 'withdrawn'"}
"""Values that a literal has gained since the last release, as its type is written.

The last release compares a state only with those that it knows, so any other counts as decided, and it offers nothing.
"""
Schema = dict[str, Any]


def schema() -> Schema:
    """Return the schema of this version."""
    return {"audit_schema_version": SCHEMA_VERSION, "items": _items(), "values": _values()}


def _items() -> Schema:
    return {
        model.__name__: {
            name: {"type": f"{type(attribute).__name__} {attribute.attr_type}", "optional": bool(attribute.null)}
            for name, attribute in sorted(model.get_attributes().items())
        }
        for model in MODELS
    }


def _values() -> Schema:
    return {
        cls.__name__: {
            field.name: {
                "type": field.type if isinstance(field.type, str) else _name(field.type),
                "optional": field.default is not dataclasses.MISSING
                or field.default_factory is not dataclasses.MISSING,
            }
            for field in sorted(dataclasses.fields(cls), key=lambda field: field.name)
        }
        for cls in VALUES
    }


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def problems(released: Schema, current: Schema) -> list[str]:
    """Return why this version cannot run beside a released one, a sentence for each reason.

    During a shift of requests both versions run, and after a rollback the released one reads what this one wrote.
    """
    sentences = []
    if released["audit_schema_version"] > current["audit_schema_version"]:
        sentences.append("the schema version of audit records went back")
    for kind in ("items", "values"):
        for name, attributes in released[kind].items():
            sentences += _problems_of(name, attributes, current[kind].get(name, {}))
    return sentences


def _problems_of(name: str, released: Schema, current: Schema) -> list[str]:
    sentences = []
    for attribute, rule in released.items():
        now = current.get(attribute)
        if now is None:
            sentences.append(f"{name}.{attribute} is removed, and the last release reads it")
        elif rule["type"] not in {now["type"], now["type"].replace(ADDED_VALUES.get(f"{name}.{attribute}", "\0"), "")}:
            sentences.append(f"{name}.{attribute} was {rule['type']} and is {now['type']}")
        elif rule["optional"] and not now["optional"]:
            sentences.append(f"{name}.{attribute} is required now, and what the last release wrote may lack it")
        elif now["optional"] and not rule["optional"]:
            sentences.append(f"{name}.{attribute} may be missing now, and the last release requires it")
    sentences += [
        f"{name}.{attribute} is new and required, and what the last release wrote lacks it"
        for attribute, rule in current.items()
        if attribute not in released and not rule["optional"]
    ]
    return sentences
