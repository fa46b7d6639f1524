"""DynamoDB in memory, as strict and as small as Tuition's use of it: atomic transactions, conditions, cancellations.

Items are handed out as they are stored and never changed in place, neither here nor by who reads them.

It stands in for a botocore client. `test_dynamodb.py` holds it against DynamoDB Local; what it does not know it
refuses loudly, so that a new expression in the code fails here before it can be mistaken for working.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from botocore.exceptions import ClientError

from stripe_simulator.store import clone

Item = dict[str, Any]
KEYS: Mapping[str, tuple[str, ...]] = {
    "payments": ("payment_id",),
    "stripe_objects": ("stripe_id",),
    "customers": ("user_id",),
    "enrollments": ("user_id", "sort_key"),
    "audit": ("subject", "sort_key"),
    "quarantine": ("event_id",),
    "cursors": ("name",),
}
INDEXES = {
    ("by_check", "check_due = :due AND check_at <= :now"): ("check_due", ":due", "check_at"),
    ("by_last_at", "kept = :kept"): ("kept", ":kept", "last_at"),
}
"""How an index is asked: its partition, which of the values names it, and its range."""
_MISSING = object()
_NAME = r"[#\w]+"
_ABSENT = re.compile(rf"attribute_not_exists\(({_NAME})\)")
_COMPARED = re.compile(rf"({_NAME}) (=|<) (:\w+)")
_FALLBACK = re.compile(rf"if_not_exists\(({_NAME}), (:\w+)\)")


def _value(typed: Any) -> Any:
    """A comparable value of `{"S": …}` or `{"N": …}`; a missing one compares with nothing."""
    if typed is _MISSING:
        return _MISSING
    ((kind, value),) = typed.items()
    return kind, Decimal(value) if kind == "N" else value


def _error(code: str, operation: str, **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}, **more}, operation)  # type: ignore[arg-type]


def holds(expression: str, item: Item | None, names: Mapping[str, str], values: Item) -> bool:
    """A condition: comparisons and `attribute_not_exists`, joined by OR."""
    return any(_one_holds(part.strip(), item or {}, names, values) for part in expression.split(" OR "))


def _one_holds(part: str, item: Item, names: Mapping[str, str], values: Item) -> bool:
    if found := _ABSENT.fullmatch(part):
        return _named(found[1], names) not in item
    if found := _COMPARED.fullmatch(part):
        left, right = _value(item.get(_named(found[1], names), _MISSING)), _value(values[found[3]])
        if left is _MISSING or left[0] != right[0]:
            return False
        return bool(left == right if found[2] == "=" else left[1] < right[1])
    raise NotImplementedError(f"condition {part!r}")


def _named(name: str, names: Mapping[str, str]) -> str:
    return names[name] if name.startswith("#") else name


def updated(expression: str, item: Item, names: Mapping[str, str], values: Item) -> Item:
    """The item after `SET … [ADD name :n]` or `REMOVE …`; every right side reads the item as it was."""
    after = clone(item)  # stored items are never changed in place: what was read stays as it was
    if expression.startswith("REMOVE "):
        for name in expression.removeprefix("REMOVE ").split(", "):
            after.pop(_named(name, names), None)
        return after
    sets, _, adds = expression.removeprefix("SET ").partition(" ADD ")
    for assignment in re.split(r",\s*(?![^(]*\))", sets):
        left, _, right = assignment.strip().partition(" = ")
        if found := _FALLBACK.fullmatch(right):
            new = item.get(_named(found[1], names), values[found[2]])
        elif right in values:
            new = values[right]
        else:
            raise NotImplementedError(f"update {assignment!r}")
        *path, last = [_named(step, names) for step in left.split(".")]
        place = after
        for step in path:
            if step not in place or "M" not in place[step]:
                raise _error("ValidationException", "UpdateItem")
            place = place[step]["M"]
        place[last] = clone(new)
    if adds:
        name, _, number = adds.strip().partition(" ")
        before = Decimal(after.get(name, {"N": "0"})["N"])
        after[name] = {"N": str(before + Decimal(values[number]["N"]))}
    return after


class Tables:
    """All tables, and the operations of a botocore client that Tuition uses."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[tuple[str, ...], Item]] = {name: {} for name in KEYS}

    def _key(self, table: str, item: Item) -> tuple[str, ...]:
        return tuple(item[name]["S"] for name in KEYS[table])

    def _find(self, table: str, key: Item) -> Item | None:
        if set(key) != set(KEYS[table]):
            raise _error("ValidationException", "GetItem")
        return self.stored[table].get(self._key(table, key))

    # --- reads ---

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> Item:
        found = self._find(TableName, Key)
        return {"Item": found} if found is not None else {}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Item:
        answers: dict[str, list[Item]] = {}
        for table, wanted in RequestItems.items():
            found = [self._find(table, key) for key in wanted["Keys"]]
            answers[table] = [item for item in found if item is not None]
        return {"Responses": answers, "UnprocessedKeys": {}}

    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Item,
        ConsistentRead: bool = False,
        ExpressionAttributeNames: Mapping[str, str] = MappingProxyType({}),
        IndexName: str | None = None,
        Limit: int | None = None,
    ) -> Item:
        if IndexName:
            found = self._query_index(TableName, IndexName, KeyConditionExpression, ExpressionAttributeValues)
            return {"Items": found[:Limit]}
        if KeyConditionExpression != "#k = :v" or ExpressionAttributeNames["#k"] != KEYS[TableName][0]:
            raise NotImplementedError(KeyConditionExpression)
        wanted = ExpressionAttributeValues[":v"]["S"]
        return {"Items": [i for k, i in sorted(self.stored[TableName].items()) if k[0] == wanted]}

    def _query_index(self, table: str, index: str, condition: str, values: Item) -> list[Item]:
        """The keys of what is due, or in quarantine: the indexes that are read where a schedule runs."""
        if (index, condition) not in INDEXES:
            raise NotImplementedError(f"{index}: {condition}")
        partition, of, place = INDEXES[index, condition]
        names = (*KEYS[table], partition, place)
        found = [item for item in self.stored[table].values() if item.get(partition) == values[of]]
        placed = sorted((i[place]["S"], self._key(table, i), i) for i in found)
        last = values.get(":now", {"S": "~"})["S"]
        return [{name: item[name] for name in names} for at, _, item in placed if at <= last]

    # --- writes ---

    def put_item(self, **write: Any) -> Item:
        return self._alone("Put", write)

    def update_item(self, **write: Any) -> Item:
        return self._alone("Update", write)

    def delete_item(self, *, TableName: str, Key: Item) -> Item:
        self.stored[TableName].pop(self._key(TableName, Key), None)
        return {}

    def _alone(self, kind: str, write: Item) -> Item:
        reason = self._reason(kind, write)
        if reason["Code"] != "None":
            more = {"Item": reason["Item"]} if "Item" in reason else {}
            raise _error("ConditionalCheckFailedException", f"{kind}Item", **more)
        self._write(kind, write)
        return {}

    def transact_write_items(self, *, TransactItems: list[Item]) -> Item:
        writes = [next(iter(one.items())) for one in TransactItems]
        named = [(w["TableName"], self._key(w["TableName"], w.get("Item") or w["Key"])) for _, w in writes]
        if len(set(named)) != len(named) or len(named) > 100:
            raise _error("ValidationException", "TransactWriteItems")
        reasons = [self._reason(kind, write) for kind, write in writes]
        if any(reason["Code"] != "None" for reason in reasons):
            raise _error("TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons)
        for kind, write in writes:
            self._write(kind, write)
        return {}

    def _reason(self, kind: str, write: Item) -> Item:
        condition = write.get("ConditionExpression")
        found = self.stored[write["TableName"]].get(self._key(write["TableName"], write.get("Item") or write["Key"]))
        if condition is None or holds(
            condition, found, write.get("ExpressionAttributeNames", {}), write.get("ExpressionAttributeValues", {})
        ):
            return {"Code": "None"}
        reason: Item = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
        if write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and found is not None:
            reason["Item"] = found
        return reason

    def _write(self, kind: str, write: Item) -> None:
        table = write["TableName"]
        if kind == "Put":
            self.stored[table][self._key(table, write["Item"])] = write["Item"]
        elif kind == "Update":
            key = self._key(table, write["Key"])
            names, values = write.get("ExpressionAttributeNames", {}), write.get("ExpressionAttributeValues", {})
            before = self.stored[table].get(key, write["Key"])
            self.stored[table][key] = updated(write["UpdateExpression"], before, names, values)
        elif kind != "ConditionCheck":
            raise NotImplementedError(kind)
