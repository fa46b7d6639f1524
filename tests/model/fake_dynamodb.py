"""An in-memory DynamoDB with only the operations that Tuition uses: atomic transactions, conditions, cancellations.

Items are returned as they are stored. Neither this module nor its callers change them in place.

It stands in for a botocore client. `test_fake_dynamodb.py` compares it with DynamoDB Local. It raises
`NotImplementedError` for every expression that it does not know, so new expressions in the code fail here first.
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
    "limits": ("user_id",),
}
INDEXES = {
    ("by_check", "#key = :key AND #sort <= :now"): ("check_due", "check_at"),
    ("by_status", "#key = :key"): ("status_track", "listed_at"),
    ("by_last_at", "#key = :key"): ("kept", "last_at"),
    ("by_last_at", "#key = :key AND #sort <= :now"): ("kept", "last_at"),
    ("by_recorded_day", "#key = :key AND #sort BETWEEN :first AND :until"): ("recorded_day", "recorded_position"),
    ("by_refund_request", "#key = :key"): ("refund_requested", "refund_requested_at"),
}
"""(Index, key condition) -> its partition attribute and its sort attribute."""
_MISSING = object()
_NAME = r"[#\w]+"
_ABSENT = re.compile(rf"attribute_not_exists\(({_NAME})\)")
_PRESENT = re.compile(rf"attribute_exists\(({_NAME})\)")
_COMPARISON = re.compile(rf"({_NAME}) (=|<) (:\w+)")
_BETWEEN = re.compile(rf"({_NAME}) BETWEEN (:\w+) AND (:\w+)")
_SUM = re.compile(rf"({_NAME}) \+ (:\w+)")
_FALLBACK = re.compile(rf"if_not_exists\(({_NAME}), (:\w+)\)")


def _value(typed: Any) -> Any:
    """Return a comparable value for `{"S": …}` or `{"N": …}`, or `_MISSING`, which equals no value."""
    if typed is _MISSING:
        return _MISSING
    ((kind, value),) = typed.items()
    return kind, Decimal(value) if kind == "N" else value


def _error(code: str, operation: str, **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}, **more}, operation)  # type: ignore[arg-type]


def is_met(expression: str, item: Item | None, names: Mapping[str, str], values: Item) -> bool:
    """Return whether the item meets a condition of comparisons and existence, joined by OR and AND.

    The AND of a BETWEEN has no other AND beside it.
    """
    for operator, join in ((" OR ", any), (" AND ", all)):
        parts = _split(expression, operator)
        if len(parts) > 1 and " BETWEEN " not in parts[0]:
            return join([is_met(part, item, names, values) for part in parts])
    if expression.startswith("("):
        return is_met(expression[1:-1], item, names, values)
    return _part_is_met(expression, item or {}, names, values)


def _split(expression: str, operator: str) -> list[str]:
    """Split an expression at an operator that is not inside parentheses."""
    parts, depth = [""], 0
    for word in re.split(r"( OR | AND |[()])", expression):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == operator and not depth:
            parts.append("")
        else:
            parts[-1] += word
    return parts


def _part_is_met(part: str, item: Item, names: Mapping[str, str], values: Item) -> bool:
    if match := _ABSENT.fullmatch(part):
        return _resolve_name(match[1], names) not in item
    if match := _PRESENT.fullmatch(part):
        return _resolve_name(match[1], names) in item
    if match := _COMPARISON.fullmatch(part):
        left, right = _value(item.get(_resolve_name(match[1], names), _MISSING)), _value(values[match[3]])
        if left is _MISSING or left[0] != right[0]:
            return False
        return bool(left == right if match[2] == "=" else left[1] < right[1])
    if match := _BETWEEN.fullmatch(part):
        number, low, high = _value(item.get(match[1], _MISSING)), _value(values[match[2]]), _value(values[match[3]])
        return number is not _MISSING and bool(low <= number <= high)
    raise NotImplementedError(f"condition {part!r}")


def _resolve_name(name: str, names: Mapping[str, str]) -> str:
    return names[name] if name.startswith("#") else name


def apply_update(expression: str, item: Item, names: Mapping[str, str], values: Item) -> Item:
    """Return the item after `SET … [ADD … | DELETE …] [REMOVE …]` or `REMOVE …`.

    Right sides read the item before the update.
    """
    after = clone(item)  # stored items are never changed in place, so earlier reads stay valid
    if expression.startswith("REMOVE "):
        for name in expression.removeprefix("REMOVE ").split(", "):
            after.pop(_resolve_name(name, names), None)
        return after
    expression, _, removes = expression.partition(" REMOVE ")
    for name in removes.split(", ") if removes else ():
        after.pop(_resolve_name(name, names), None)
    sets, _, deletes = expression.removeprefix("SET ").partition(" DELETE ")
    sets, _, adds = sets.partition(" ADD ")
    for assignment in re.split(r",\s*(?![^(]*\))", sets):
        left, _, right = assignment.strip().partition(" = ")
        if match := _FALLBACK.fullmatch(right):
            new = item.get(_resolve_name(match[1], names), values[match[2]])
        elif right in values:
            new = values[right]
        elif match := _SUM.fullmatch(right):
            new = {"N": str(Decimal(item[match[1]]["N"]) + Decimal(values[match[2]]["N"]))}
        else:
            raise NotImplementedError(f"update {assignment!r}")
        *path, last = [_resolve_name(step, names) for step in left.split(".")]
        parent = after
        for step in path:
            if step not in parent or "M" not in parent[step]:
                raise _error("ValidationException", "UpdateItem")
            parent = parent[step]["M"]
        parent[last] = clone(new)
    for change in adds.split(", ") if adds else ():
        name, _, value = change.strip().partition(" ")
        if "SS" in values[value]:
            after[name] = {"SS": sorted({*after.get(name, {"SS": ()})["SS"], *values[value]["SS"]})}
        else:
            after[name] = {"N": str(Decimal(after.get(name, {"N": "0"})["N"]) + Decimal(values[value]["N"]))}
    if deletes:
        name, _, value = deletes.strip().partition(" ")
        kept = set(after.pop(name, {"SS": ()})["SS"]) - set(values[value]["SS"])
        if kept:
            after[name] = {"SS": sorted(kept)}
    return after


class FakeDynamoDB:
    """All tables, with the operations of a botocore client that Tuition uses."""

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
        item = self._find(TableName, Key)
        return {"Item": item} if item is not None else {}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Item:
        responses: dict[str, list[Item]] = {}
        for table, request in RequestItems.items():
            items = [self._find(table, key) for key in request["Keys"]]
            responses[table] = [item for item in items if item is not None]
            if "ProjectionExpression" in request:
                names = request["ExpressionAttributeNames"]
                projected = {names[part] for part in request["ProjectionExpression"].split(", ")}
                responses[table] = [
                    {name: value for name, value in item.items() if name in projected} for item in responses[table]
                ]
        return {"Responses": responses, "UnprocessedKeys": {}}

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
        ScanIndexForward: bool = True,
    ) -> Item:
        if IndexName:
            names, values = ExpressionAttributeNames, ExpressionAttributeValues
            items = self._query_index(TableName, IndexName, KeyConditionExpression, names, values)
            has_more = IndexName == "by_recorded_day" and Limit is not None and len(items) > Limit
            return {"Items": items[:Limit], **({"LastEvaluatedKey": items[Limit or 0]} if has_more else {})}
        if KeyConditionExpression != "#key = :key" or ExpressionAttributeNames["#key"] != KEYS[TableName][0]:
            raise NotImplementedError(KeyConditionExpression)
        partition = ExpressionAttributeValues[":key"]["S"]
        items = [i for k, i in sorted(self.stored[TableName].items()) if k[0] == partition]
        return {"Items": (items if ScanIndexForward else items[::-1])[:Limit]}

    def _query_index(
        self, table: str, index: str, condition: str, names: Mapping[str, str], values: Item
    ) -> list[Item]:
        """Query one of the keys-only indexes of a schedule: due and open payments, quarantine, records, requests."""
        if (index, condition) not in INDEXES:
            raise NotImplementedError(f"{index}: {condition}")
        partition, sort = INDEXES[index, condition]
        if (names["#key"], names.get("#sort", sort)) != (partition, sort):
            raise NotImplementedError(f"{index}: {names}")
        projected = (*KEYS[table], partition, sort)
        items = [item for item in self.stored[table].values() if item.get(partition) == values[":key"]]
        in_order = sorted((i[sort]["S"], self._key(table, i), i) for i in items)
        first = values.get(":first", {"S": ""})["S"]
        last = values.get(":now", values.get(":until", {"S": "~"}))["S"]
        return [{name: item[name] for name in projected} for at, _, item in in_order if first <= at <= last]

    # --- writes ---

    def scan(self, *, TableName: str, Limit: int, ConsistentRead: bool = False, **start: Item) -> Item:
        """Return a page of the items, those of one hash key one after another."""
        table, after = self.stored[TableName], start.get("ExclusiveStartKey")
        keys = sorted(key for key in table if after is None or key > self._key(TableName, after))
        page = {"Items": [table[key] for key in keys[:Limit]]}
        if len(keys) > Limit:
            last = page["Items"][-1]
            page["LastEvaluatedKey"] = {name: last[name] for name in KEYS[TableName]}
        return page

    def put_item(self, **write: Any) -> Item:
        return self._single("Put", write)

    def update_item(self, **write: Any) -> Item:
        return self._single("Update", write)

    def delete_item(self, *, TableName: str, Key: Item) -> Item:
        self.stored[TableName].pop(self._key(TableName, Key), None)
        return {}

    def _single(self, kind: str, write: Item) -> Item:
        reason = self._reason(kind, write)
        if reason["Code"] != "None":
            more = {"Item": reason["Item"]} if "Item" in reason else {}
            raise _error("ConditionalCheckFailedException", f"{kind}Item", **more)
        self._write(kind, write)
        return {}

    def transact_write_items(self, *, TransactItems: list[Item]) -> Item:
        writes = [next(iter(one.items())) for one in TransactItems]
        keys = [(w["TableName"], self._key(w["TableName"], w.get("Item") or w["Key"])) for _, w in writes]
        if len(set(keys)) != len(keys) or len(keys) > 100:
            raise _error("ValidationException", "TransactWriteItems")
        reasons = [self._reason(kind, write) for kind, write in writes]
        if any(reason["Code"] != "None" for reason in reasons):
            raise _error("TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons)
        for kind, write in writes:
            self._write(kind, write)
        return {}

    def _reason(self, kind: str, write: Item) -> Item:
        condition = write.get("ConditionExpression")
        item = self.stored[write["TableName"]].get(self._key(write["TableName"], write.get("Item") or write["Key"]))
        if condition is None or is_met(
            condition, item, write.get("ExpressionAttributeNames", {}), write.get("ExpressionAttributeValues", {})
        ):
            return {"Code": "None"}
        reason: Item = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
        if write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and item is not None:
            reason["Item"] = item
        return reason

    def _write(self, kind: str, write: Item) -> None:
        table = write["TableName"]
        if kind == "Put":
            self.stored[table][self._key(table, write["Item"])] = write["Item"]
        elif kind == "Update":
            key = self._key(table, write["Key"])
            names, values = write.get("ExpressionAttributeNames", {}), write.get("ExpressionAttributeValues", {})
            before = self.stored[table].get(key, write["Key"])
            self.stored[table][key] = apply_update(write["UpdateExpression"], before, names, values)
        elif kind != "ConditionCheck":
            raise NotImplementedError(kind)
