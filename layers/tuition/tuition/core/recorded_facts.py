"""The facts in audit records: what a record added to its payment's facts, reduced to fields that name no person.

Each record of a payment has a JSON merge patch (RFC 7396), which leads from the reduced facts before it to those after
it. An entry of a map, such as a refund, is always there whole, so that a record can be read alone. Null removes. So the
patches of a payment's records, applied in their order, give the reduced facts at each version: `fold`.

Every field of every fact is declared here, as recorded or not. A field that is not recorded can be erased from the
payment without touching its records. Source: https://www.rfc-editor.org/rfc/rfc7396
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tuition.core.facts import (
    UNKNOWN,
    Acknowledgement,
    Agreement,
    Balance,
    BalanceTransaction,
    Charge,
    Closed,
    Comparison,
    CreditNote,
    Decision,
    Dispute,
    Facts,
    FraudWarning,
    Phase,
    Refund,
    Settled,
    Withdrawal,
)


@dataclass(frozen=True)
class Declared:
    """The fields of a kind of fact that records have, those that they never have, and maps with only their keys."""

    recorded: tuple[str, ...]
    withheld: tuple[str, ...] = ()
    keys_only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for a field that is declared twice."""
        names = [*self.recorded, *self.withheld, *self.keys_only]
        if len(names) != len({*names}):
            raise ValueError(f"{names} has a field twice")


DECLARED: Mapping[type[Any], Declared] = {
    Facts: Declared(
        recorded=(
            *("settled", "closed", "phase", "intent", "charges", "refunds", "disputes", "fraud_warnings", "challenges"),
            *("claims", "decision", "accepted", "acknowledged", "confirmed", "contradicted", "balance"),
            *(
                "balance_transactions",
                "compared",
                "agreed",
                "withdrawn",
                "invoice",
                "credit_notes",
                "rebuilt",
                "erased",
            ),
        ),
        withheld=("customer",),
        keys_only=("unknown",),
    ),
    Settled: Declared(("amount", "currency", "at")),
    Closed: Declared(("at", "by", "reason")),
    Phase: Declared(("at", "order", "name", "code", "verify_by"), withheld=("message",)),
    Charge: Declared(
        ("status", "amount", "created", "type", "code", "was_failed", "currency", "advice"),
        withheld=("brand", "last4", "receipt_url", "payment_method"),
    ),
    Refund: Declared(("status", "amount", "created", "reason", "request", "failure")),
    Dispute: Declared(
        ("stamp", "status", "amount", "created", "reason", "withdrawn", "due_by", "withdrawn_currency"),
    ),
    FraudWarning: Declared(("created", "type")),
    Balance: Declared(("fee", "net", "currency")),
    BalanceTransaction: Declared(("kind", "source", "amount", "currency", "at", "intent")),
    Comparison: Declared(("version",), withheld=("problem",)),
    Decision: Declared(("version", "decision"), withheld=("actor", "note")),
    Agreement: Declared(("at", "version")),
    Withdrawal: Declared(("at",), withheld=("name", "email")),
    CreditNote: Declared(("id", "refusal")),
    Acknowledgement: Declared(("version",), withheld=("fingerprint", "actor", "note")),
}
"""Every field of every kind of fact. The actor of a decision is in the record itself."""

MAPS = frozenset(
    {
        *("charges", "refunds", "disputes", "fraud_warnings", "challenges", "claims", "acknowledged", "unknown"),
        *("balance_transactions", "compared", "credit_notes"),
    }
)
"""The facts that have an entry per id or name."""

_OF_IDS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:#/-"
"""The characters of ids, statuses, currencies, times and codes."""
MAX_ID_LENGTH = 255
"""In characters, of an id that is recorded."""
MAX_TEXT_LENGTH = 100
"""In characters, of a recorded text of a fact. A longer one is recorded as `UNKNOWN`."""

_KINDS: Mapping[str, type[Any]] = {
    "phase": Phase,
    "charges": Charge,
    "decision": Decision,
    "acknowledged": Acknowledgement,
    "compared": Comparison,
}
"""The facts with texts that are not recorded."""

Reduced = Mapping[str, Any]
"""Facts in JSON types without the fields that are not recorded. Empty fields are left out."""


def reduced(facts: Facts) -> dict[str, Any]:
    """Return the facts that records may have, as JSON types."""
    values = _reduced_value(facts)
    return {name: value for name, value in values.items() if value != {}}


def _reduced_value(value: Any) -> Any:
    if isinstance(value, str):
        return coded(value) if len(value) <= MAX_TEXT_LENGTH else UNKNOWN
    if isinstance(value, int):
        return value
    declared = DECLARED.get(type(value))
    if declared is None:
        is_map = isinstance(value, Mapping)
        return {_coded_name(key): _reduced_value(entry) for key, entry in value.items()} if is_map else value
    fields = {name: getattr(value, name) for name in declared.recorded}
    fields = {name: _reduced_value(one) for name, one in fields.items() if one is not None and one is not False}
    return fields | {name: {_coded_name(key): {} for key in getattr(value, name)} for name in declared.keys_only}


def is_id(text: str) -> bool:
    """Whether a text is an id, a status, a currency, a time or a code. Other texts are `UNKNOWN` in records."""
    return 0 < len(text) <= MAX_ID_LENGTH and not text.strip(_OF_IDS)


def coded(value: Any) -> Any:
    """Return a JSON value in which every text and every name that is no id and no code is `UNKNOWN`.

    Stripe's codes and metadata are open: one of them may be an address, or a sentence.
    """
    if isinstance(value, str):
        return value if not value or is_id(value) else UNKNOWN
    if isinstance(value, Mapping):
        return {_coded_name(name): coded(part) for name, part in value.items()}
    return [coded(part) for part in value] if isinstance(value, list) else value


def _coded_name(name: str) -> str:
    return name if is_id(name) else UNKNOWN


def added(before: Facts, after: Facts) -> dict[str, Any]:
    """Return the patch from the reduced facts before a commit to those after it. Empty if they are the same."""
    return {} if before is after else patch(reduced(before), reduced(after), MAPS)


def patch(old: Reduced, new: Reduced, maps: frozenset[str]) -> dict[str, Any]:
    """Return the patch from reduced facts to others. `maps` are the facts that have an entry per id or name."""
    return {
        name: _change(old.get(name), new.get(name), is_map=name in maps)
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }


def _change(old: Any, new: Any, *, is_map: bool) -> Any:
    if new is None or not is_map:
        return _entry(old, new)
    entries = old or {}
    return {
        key: _entry(entries.get(key), new.get(key))
        for key in sorted({*entries, *new})
        if entries.get(key) != new.get(key)
    }


def _entry(old: Any, new: Any) -> Any:
    """Return the whole new value, with null for each field that it no longer has. None if there is none any more."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {**dict.fromkeys(sorted(old.keys() - new.keys())), **new}
    return new


def patched(target: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the target with a JSON merge patch applied, as RFC 7396 says."""
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), value) if isinstance(value, Mapping) else value
    return result


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return one patch with the effect of two."""
    result = dict(first)
    for name, value in second.items():
        earlier = result.get(name)
        result[name] = _joined(earlier, value) if isinstance(earlier, Mapping) and isinstance(value, Mapping) else value
    return result


def restored(facts: Reduced, marker: str) -> Facts:
    """Return reduced facts as facts. Every text that is not recorded is the marker, whether it was there or not."""
    values = {name: _restored_value(name, value, marker) for name, value in facts.items()}
    return Facts.from_json(values)


def _restored_value(name: str, value: Any, marker: str) -> Any:
    withheld = dict.fromkeys(DECLARED[_KINDS[name]].withheld, marker) if name in _KINDS else {}
    if name in DECLARED[Facts].keys_only:
        return dict.fromkeys(value, marker)
    if not withheld:
        return value
    return {key: {**entry, **withheld} for key, entry in value.items()} if name in MAPS else {**value, **withheld}


class Folded(NamedTuple):
    """The reduced facts to which some records of a payment lead.

    `complete` says that every record since the payment was created, or rebuilt, has its facts. Records of schema 1 have
    none. `changes` is the patch of the records since the newest one without facts.
    """

    facts: Reduced
    complete: bool
    changes: Reduced

    def difference(self, facts: Facts) -> str | None:
        """Return the first fact of a payment that its records contradict, such as `refunds.re_1`; None if none is.

        Without complete records, only the facts that the newest of them have changed can be compared.
        """
        current = reduced(facts)
        expected = self.facts if self.complete else patched(current, self.changes)
        for name in sorted({*expected, *current}):
            one, other = expected.get(name), current.get(name)
            if one == other:
                continue
            if name not in MAPS:
                return name
            entries, others = one or {}, other or {}
            return f"{name}.{min(key for key in {*entries, *others} if entries.get(key) != others.get(key))}"
        return None


def is_start(record: Mapping[str, Any]) -> bool:
    """Whether a record is of a payment that was created, or rebuilt after its item was lost: it starts from nothing."""
    change = record["transition"].get("status")
    return bool(change) and change["from"] is None


_IN_TRANSITION: Mapping[str, tuple[str, ...]] = {
    "settled": ("settled",),
    "refunds": ("refunded", "refunds"),
    "disputes": ("lost", "disputes"),
}
"""The names in the transition of a record of schema 1 that show a change of a fact."""


def sources(records: Iterable[Mapping[str, Any]], name: str, facts: Facts) -> list[int]:
    """Return the numbers of the records that brought a fact, or each entry of it, as a payment has it now.

    All records of the payment are given, in the order of `seq`. Of records without facts, those are named whose
    transition or type shows the fact.
    """
    entries: dict[str, int] = {}
    unnamed: list[int] = []
    for record in records:
        if is_start(record):
            entries, unnamed = {}, []
        if record.get("facts") is not None:
            change = record["facts"].get(name)
            entries |= dict.fromkeys(change if name in MAPS else [""], record["seq"]) if change is not None else {}
        elif _shows(record, name):
            unnamed.append(record["seq"])
    value = reduced(facts).get(name)
    current = value if name in MAPS else [""] if value is not None else []
    named = {entries[key] for key in current or () if key in entries}
    return sorted(named | {*(unnamed if current else ())})


def _shows(record: Mapping[str, Any], name: str) -> bool:
    if name in ("decision", "accepted"):
        return str(record["type"]).startswith("decision." if name == "decision" else "decision.accept_amount")
    return any(one in record["transition"] for one in _IN_TRANSITION.get(name, ()))


def fold(records: Iterable[Mapping[str, Any]]) -> Folded:
    """Return the facts to which a payment's records lead. They are given in the order of `seq`, from the first one."""
    facts: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    complete = True
    for record in records:
        if is_start(record):
            facts, changes, complete = {}, {}, True
        patch = record.get("facts")
        if patch is None:
            changes, complete = {}, False
        else:
            facts, changes = patched(facts, patch), _joined(changes, patch)
    return Folded(facts, complete, changes)
