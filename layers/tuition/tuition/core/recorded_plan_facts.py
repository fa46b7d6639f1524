"""The facts in the audit records of a plan: what a record added, reduced to fields that lead to no person.

As those of a payment (`tuition.core.recorded_facts`), the patches of a plan's records lead to its reduced facts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tuition.core import recorded_facts
from tuition.core.plan_facts import PlanFacts

MAPS = frozenset({"announced", "bounced", "decisions", "tries", "tracks", "acknowledged"})
"""The facts that have an entry per id or name."""
_WITHHELD_FIELDS: Mapping[str, tuple[str, ...]] = {
    "decisions": ("actor", "note"),
    "tries": ("method",),
    "acknowledged": ("fingerprint", "actor", "note"),
}
NOT_RECORDED = "not recorded"
"""The text in place of one that no record holds."""
RECORDED: Mapping[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("observed", "announced", "bounced", "tracks", "last_number", "rebuilt", "erased", "expired")),
    "decisions": ("version", "decision", "at", "seqs", "to", "refund", "access", "accepts"),
    "tries": ("at", "payment_id", "seq", "answer"),
    "acknowledged": ("version",),
}
"""Each fact that records have, with the fields of its entries; None for a value without fields.

They never have `methods`, which lead to the student at Stripe.
"""


def reduced(facts: PlanFacts) -> dict[str, Any]:
    """Return the facts that records may have, as JSON types."""
    values: dict[str, Any] = {}
    for name, value in facts.to_json().items():
        fields = RECORDED.get(name)
        if fields:
            value = {key: {field: entry[field] for field in fields if field in entry} for key, entry in value.items()}
        if name in RECORDED:
            values[name] = value
    plain: dict[str, Any] = recorded_facts.coded(_plain(values))
    return plain


def _plain(value: Any) -> Any:
    """Return a value with lists in place of tuples, as it is read again."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def added(before: PlanFacts, after: PlanFacts) -> dict[str, Any]:
    """Return the patch from the reduced facts before a commit to those after it. Empty if they are the same."""
    return {} if before is after else recorded_facts.patch(reduced(before), reduced(after), MAPS)


def fold(records: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the reduced facts to which a plan's records lead. They are given in the order of `seq`."""
    return recorded_facts.fold(records).facts


def restored(records: Iterable[Mapping[str, Any]]) -> PlanFacts:
    """Return the facts to which records lead, as those of a plan whose item was lost."""
    values = dict(fold(records))
    for name, fields in _WITHHELD_FIELDS.items():
        texts = {field: NOT_RECORDED for field in fields if field != "method"}
        values[name] = {key: {**texts, **entry} for key, entry in values.get(name, {}).items()}
    return PlanFacts.from_json(values)


def later(records: Iterable[Mapping[str, Any]], facts: PlanFacts) -> PlanFacts:
    """Return the facts to which all records lead, to merge into the older facts that a restore has left of a plan.

    An entry that both have keeps what no record holds.
    """
    recorded = restored(records)
    tries = {
        key: replace(one, method=facts.tries[key].method) if key in facts.tries else one
        for key, one in recorded.tries.items()
    }
    acknowledged = {
        key: one
        for key, one in recorded.acknowledged.items()
        if key not in facts.acknowledged or facts.acknowledged[key].version < one.version
    }
    decisions = {key: one for key, one in recorded.decisions.items() if key not in facts.decisions}
    return replace(recorded, tries=tries, acknowledged=acknowledged, decisions=decisions)


def difference(records: Iterable[Mapping[str, Any]], facts: PlanFacts) -> str | None:
    """Return the first fact of a plan that its records contradict; None if none is.

    A plan whose item was lost has become `rebuilt`, which no record says.
    """
    recorded, current = fold(records), reduced(facts)
    names = sorted({*recorded, *current} - {"rebuilt"})
    return next((name for name in names if recorded.get(name) != current.get(name)), None)
