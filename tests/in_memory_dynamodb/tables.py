"""An in-memory DynamoDB: every table, index and operation that Tuition uses, atomic under threads.

An operation, a parameter or an expression that Tuition does not use raises `NotImplementedError`: nothing is guessed.
Everything else answers as DynamoDB Local does, with the same errors and the same order of items.
`tests/tables/test_in_memory_dynamodb.py` and the tests on the backend `compared` compare them.
"""

import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, NoReturn

from botocore.exceptions import ClientError

from tests.in_memory_dynamodb import expressions, values
from tests.in_memory_dynamodb.errors import CONDITION_FAILED, error, invalid
from tests.in_memory_dynamodb.expressions import Expression, Names

Item = dict[str, Any]
Key = tuple[str, ...]
MAX_TRANSACTION = 100
MAX_BATCH_GET = 100
MAX_BATCH_WRITE = 25
MAX_BATCH_GET_BYTES = 16 * 1024 * 1024
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
_HASH_SPACE = 1 << 160
_OLD = "ReturnValuesOnConditionCheckFailure"
_PARAMS = {"TableName", "ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues", _OLD}
_KNOWN: Mapping[str, set[str]] = {
    "Put": {*_PARAMS, "Item"},
    "Update": {*_PARAMS, "Key", "UpdateExpression"},
    "Delete": {*_PARAMS, "Key"},
    "ConditionCheck": {*_PARAMS, "Key"},
}
"""The parameters of each kind of write."""


@dataclass(frozen=True)
class Index:
    """A global secondary index. `keys` are its hash key and its range key; `start_key` has the table's keys too."""

    name: str
    keys: Key
    start_key: tuple[str, ...]
    projected: tuple[str, ...]


@dataclass
class Table:
    """The keys and indexes of a table."""

    name: str
    keys: Key
    indexes: dict[str, Index] = field(default_factory=dict)


class Stored(dict[Key, Item]):
    """The items of a table by key, and by each attribute that has been the hash key of a query.

    An item is changed by storing another one. The other ways to change a dictionary are refused.
    """

    def __init__(self, items: Mapping[Key, Item] = MappingProxyType({})) -> None:
        super().__init__(items)
        self._partitions: dict[str, dict[str, dict[Key, Item]]] = {}

    def partition(self, attribute: str, value: str) -> Mapping[Key, Item]:
        """Return the items with this value of an attribute."""
        if attribute not in self._partitions:
            partitions = self._partitions[attribute] = {}
            for key, item in self.items():
                _add(partitions, attribute, key, item)
        return self._partitions[attribute].get(value, {})

    def __setitem__(self, key: Key, item: Item) -> None:
        self._leave(key)
        super().__setitem__(key, item)
        for attribute, partitions in self._partitions.items():
            _add(partitions, attribute, key, item)

    def pop(self, key: Key, default: Any = None) -> Any:
        """Remove an item if there is one, and return it."""
        self._leave(key)
        return super().pop(key, default)

    def _leave(self, key: Key) -> None:
        """Remove the item with this key from its partitions."""
        item = self.get(key, {})
        for attribute, partitions in self._partitions.items():
            if attribute in item:
                del partitions[item[attribute]["S"]][key]

    def clear(self) -> None:
        """Remove every item."""
        super().clear()
        self._partitions.clear()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("this way to change the items of a table")

    __delitem__ = __ior__ = popitem = setdefault = update = _refuse  # type: ignore[assignment]


def _add(partitions: dict[str, dict[Key, Item]], attribute: str, key: Key, item: Item) -> None:
    if attribute in item:
        partitions.setdefault(item[attribute]["S"], {})[key] = item


@cache
def _reserved_words() -> frozenset[str]:
    from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

    return frozenset(ReservedKeywords.get_reserved_keywords())


def _schema(elements: Sequence[Mapping[str, str]], types: Mapping[str, str]) -> Key:
    names = tuple(e["AttributeName"] for kind in ("HASH", "RANGE") for e in elements if e["KeyType"] == kind)
    if any(types[name] != "S" for name in names):
        raise NotImplementedError("a key that is no text")
    return names


def _require_known(params: Mapping[str, Any], accepted: set[str]) -> None:
    if unknown := params.keys() - accepted:
        raise NotImplementedError(f"the parameters {sorted(unknown)}")


def _operation(method: Callable[..., Item]) -> Callable[..., Item]:
    """Make a method atomic, and let it raise NotImplementedError for a parameter that it does not have."""
    parameters = inspect.signature(method).parameters
    accepted = None if "write" in parameters else set(parameters)

    @functools.wraps(method)
    def perform(self: "InMemoryDynamoDB", **params: Any) -> Item:
        if accepted is not None:
            _require_known(params, accepted)
        with self._lock:
            return method(self, **params)

    return perform


class InMemoryDynamoDB:
    """All tables, with the operations of a botocore client that Tuition uses.

    With `exact`, it answers what DynamoDB Local answers, and items are copied. Without it, for the search, an item is
    returned as it is stored, items and parameters are not checked, and equal keys are in the order of their texts. No
    item is ever changed in place.
    """

    def __init__(self, *, exact: bool = True) -> None:
        self.exact = exact
        self.tables: dict[str, Table] = {}
        self.stored: dict[str, dict[Key, Item]] = {}
        self._tokens: dict[str | None, Sequence[Item]] = {}
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> NoReturn:
        raise NotImplementedError(name)

    # --- tables ---

    @_operation
    def create_table(
        self,
        *,
        TableName: str,
        AttributeDefinitions: Sequence[Mapping[str, str]],
        KeySchema: Sequence[Mapping[str, str]],
        BillingMode: str,
        GlobalSecondaryIndexes: Sequence[Mapping[str, Any]] = (),
    ) -> Item:
        if TableName in self.tables:
            raise error("ResourceInUseException", "Cannot create preexisting table")
        types = {one["AttributeName"]: one["AttributeType"] for one in AttributeDefinitions}
        table = Table(TableName, _schema(KeySchema, types))
        for one in GlobalSecondaryIndexes:
            projection, keys = one["Projection"], _schema(one["KeySchema"], types)
            if projection["ProjectionType"] not in ("KEYS_ONLY", "INCLUDE"):
                raise NotImplementedError(f"the projection of {one['IndexName']}")
            start_key = tuple(dict.fromkeys((*table.keys, *keys)))
            projected = (*start_key, *projection.get("NonKeyAttributes", ()))
            table.indexes[one["IndexName"]] = Index(one["IndexName"], keys, start_key, projected)
        self.tables[TableName] = table
        self.stored[TableName] = Stored()
        return {"TableDescription": {"TableName": TableName, "TableStatus": "ACTIVE"}}

    @_operation
    def delete_table(self, *, TableName: str) -> Item:
        self._table(TableName)
        del self.tables[TableName], self.stored[TableName]
        return {"TableDescription": {"TableName": TableName, "TableStatus": "ACTIVE"}}

    @_operation
    def describe_table(self, *, TableName: str) -> Item:
        """Return the keys of a table, and nothing else of what DynamoDB knows of it."""
        kinds = zip(self._table(TableName).keys, ("HASH", "RANGE"), strict=False)
        schema = [{"AttributeName": name, "KeyType": kind} for name, kind in kinds]
        return {"Table": {"TableName": TableName, "TableStatus": "ACTIVE", "KeySchema": schema}}

    @_operation
    def list_tables(self) -> Item:
        return {"TableNames": sorted(self.tables)}

    def _table(self, name: str) -> Table:
        if name not in self.tables:
            raise error("ResourceNotFoundException", "Cannot do operations on a non-existent table")
        return self.tables[name]

    # --- keys ---

    def _key(self, table: Table, key: Item) -> Key:
        if len(key) != len(table.keys):
            raise invalid("The number of conditions on the keys is invalid")
        return self._item_key(table, key)

    def _item_key(self, table: Table, item: Item) -> Key:
        texts = []
        for name in table.keys:
            if name not in item:
                raise invalid("One of the required keys was not given a value")
            if "S" not in item[name]:
                raise invalid("One or more parameter values were invalid: Type mismatch for key")
            texts.append(item[name]["S"])
        if self.exact:
            self._check_key_texts(table, texts)
        return tuple(texts)

    def _check_key_texts(self, table: Table, texts: Sequence[str]) -> None:
        for name, text, most in zip(table.keys, texts, (2048, 1024), strict=False):
            if not text:
                raise _empty_key(f"Key: {name}")
            if len(text.encode()) > most:
                raise invalid(
                    "Hash primary key values must be under 2048 bytes, and range primary key values must be under 1024 "
                    "bytes"
                )

    def _find(self, table: Table, key: Item) -> Item | None:
        return self.stored[table.name].get(self._key(table, key))

    def _out(self, item: Item) -> Item:
        return values.copied_item(item) if self.exact else item

    # --- reads ---

    @_operation
    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> Item:
        item = self._find(self._table(TableName), Key)
        return {"Item": self._out(item)} if item is not None else {}

    @_operation
    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Item:
        if not RequestItems:
            raise invalid("BatchGetItem must have some requests set")
        for name in RequestItems:
            self._table(name)
        if sum(len(request["Keys"]) for request in RequestItems.values()) > MAX_BATCH_GET:
            raise invalid("Too many items requested for the BatchGetItem call")
        responses = {name: self._batch_of_table(name, **request) for name, request in RequestItems.items()}
        if self.exact and _bytes([item for items in responses.values() for item in items]) > MAX_BATCH_GET_BYTES:
            raise NotImplementedError("a batch with unprocessed keys")
        return {"Responses": responses, "UnprocessedKeys": {}}

    def _batch_of_table(
        self,
        name: str,
        *,
        Keys: Sequence[Item],
        ConsistentRead: bool = False,
        ProjectionExpression: str | None = None,
        ExpressionAttributeNames: Names | None = None,
    ) -> list[Item]:
        table = self._table(name)
        keys = [self._key(table, key) for key in Keys]
        if len(set(keys)) < len(keys):
            raise invalid("Provided list of item keys contains duplicates")
        items = [self.stored[name][key] for key in keys if key in self.stored[name]]
        if ProjectionExpression is not None:
            parsed = expressions.projection(ProjectionExpression)
            self._check({"ProjectionExpression": parsed}, ExpressionAttributeNames, None)
            items = [expressions.project(parsed, item, ExpressionAttributeNames or {}) for item in items]
        return [self._out(item) for item in items]

    def _check(self, parsed: Mapping[str, Expression], names: Names | None, attribute_values: Item | None) -> None:
        if self.exact:
            expressions.check_references(parsed, names, attribute_values, _reserved_words())
            for value in (attribute_values or {}).values():
                values.copied(value)

    @_operation
    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Item,
        ExpressionAttributeNames: Names | None = None,
        IndexName: str | None = None,
        ConsistentRead: bool = False,
        ScanIndexForward: bool = True,
        Limit: int | None = None,
        ExclusiveStartKey: Item | None = None,
    ) -> Item:
        table = self._table(TableName)
        names = ExpressionAttributeNames or {}
        index = self._index(table, IndexName, consistent=ConsistentRead)
        keys = index.keys if index else table.keys
        parsed, is_met = expressions.condition(KeyConditionExpression)
        self._check({"KeyConditionExpression": parsed}, names, ExpressionAttributeValues)
        partition = _partition(parsed, keys, names, ExpressionAttributeValues)
        if self.exact:
            _check_key_condition(parsed, keys, names, ExpressionAttributeValues)
        is_whole = len(_conditions(parsed)) == 1
        matches = [
            (self._position(key, item, index), item)
            for key, item in self._items(TableName).partition(keys[0], partition).items()
            if keys[-1] in item and (is_whole or is_met(item, names, ExpressionAttributeValues))
        ]
        matches.sort(key=lambda one: one[0], reverse=not ScanIndexForward)
        if ExclusiveStartKey is not None:
            if ExclusiveStartKey.get(keys[0]) != {"S": partition} or not is_met(
                ExclusiveStartKey, names, ExpressionAttributeValues
            ):
                raise invalid("The provided starting key does not match the range key predicate")
            start = self._start(table, index, ExclusiveStartKey)
            matches = [one for one in matches if (one[0] > start if ScanIndexForward else one[0] < start)]
        return self._page(table, index, [item for _, item in matches], Limit)

    def _items(self, table: str) -> Stored:
        """Return the items of a table, which the search replaces when it restores one."""
        stored = self.stored[table]
        if not isinstance(stored, Stored):
            stored = self.stored[table] = Stored(stored)
        return stored

    def _index(self, table: Table, name: str | None, *, consistent: bool) -> Index | None:
        if name is None:
            return None
        if name not in table.indexes:
            raise invalid(f"The table does not have the specified index: {name}")
        if consistent:
            raise invalid("Consistent read cannot be true when querying a GSI")
        return table.indexes[name]

    def _position(self, key: Key, item: Item, index: Index | None) -> tuple[Any, ...]:
        """Return by what an item of a partition is ordered."""
        if index is None:
            return key[1:]
        sort = item[index.keys[1]]["S"] if len(index.keys) > 1 else ""
        return sort, values.tie_hash(key) if self.exact else key

    def _start(self, table: Table, index: Index | None, start: Item) -> tuple[Any, ...]:
        expected = index.start_key if index else table.keys
        if len(start) != len(expected):
            raise invalid("Exclusive Start Key must have same size as table's key schema")
        if set(start) != set(expected):
            raise NotImplementedError(f"the start key {start}")
        key = self._key(table, {name: start[name] for name in table.keys})
        return self._position(key, start, index)

    def _page(self, table: Table, index: Index | None, items: list[Item], limit: int | None) -> Item:
        """Return the items of a page: at most `limit`, and at most 1 MB, by whole items, as DynamoDB Local counts."""
        has_more = limit is not None and len(items) >= limit  # also after the last item
        items = items[:limit]
        if self.exact and (fitting := _fitting(items)) < len(items):
            has_more, items = True, items[:fitting]
        if index is not None:
            items = [{name: item[name] for name in index.projected if name in item} for item in items]
        items = [self._out(item) for item in items]
        page: Item = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
        if has_more and items:
            last = index.start_key if index else table.keys
            page["LastEvaluatedKey"] = {name: dict(items[-1][name]) for name in last}
        return page

    @_operation
    def scan(
        self,
        *,
        TableName: str,
        ConsistentRead: bool = False,
        Limit: int | None = None,
        ExclusiveStartKey: Item | None = None,
        Segment: int = 0,
        TotalSegments: int = 1,
    ) -> Item:
        """Return a page of the items of a segment, those of one hash key one after another."""
        table = self._table(TableName)

        def position(key: Key) -> tuple[Any, ...]:
            return (values.hash_of(key[0]), *key[1:]) if self.exact else key

        keys: Iterable[Key] = self.stored[TableName]
        if TotalSegments > 1:
            keys = [key for key in keys if _segment(key[0], TotalSegments) == Segment]
        keys = sorted(keys, key=position)
        if ExclusiveStartKey is not None:
            start = position(self._key(table, ExclusiveStartKey))
            keys = [key for key in keys if position(key) > start]
        return self._page(table, None, [self.stored[TableName][key] for key in keys], Limit)

    # --- writes ---

    @_operation
    def put_item(self, **write: Any) -> Item:
        return self._single("Put", write)

    @_operation
    def update_item(self, **write: Any) -> Item:
        return self._single("Update", write)

    @_operation
    def delete_item(self, **write: Any) -> Item:
        return self._single("Delete", write)

    def _single(self, kind: str, write: Item) -> Item:
        change = _Change(self, kind, write)
        if not change.is_allowed():
            raise error("ConditionalCheckFailedException", CONDITION_FAILED, f"{kind}Item", **change.old_item())
        change.prepare()
        change.apply()
        return {}

    @_operation
    def batch_write_item(self, *, RequestItems: Mapping[str, Sequence[Item]]) -> Item:
        if sum(map(len, RequestItems.values())) > MAX_BATCH_WRITE:
            raise invalid("Too many items requested for the BatchWriteItem call")
        changes = [
            _Change(self, kind.removesuffix("Request"), {"TableName": name, **request})
            for name, requests in RequestItems.items()
            for one in requests
            for kind, request in one.items()
        ]
        if len({change.target for change in changes}) < len(changes):
            raise invalid("Provided list of item keys contains duplicates")
        for change in changes:
            change.prepare()
        for change in changes:
            change.apply()
        return {"UnprocessedItems": {}}

    @_operation
    def transact_write_items(self, *, TransactItems: Sequence[Item], ClientRequestToken: str | None = None) -> Item:
        """Write all or nothing. A token that a transaction was written with is never forgotten here."""
        if ClientRequestToken in self._tokens:
            if self._tokens[ClientRequestToken] == TransactItems:
                return {}
            raise error("IdempotentParameterMismatchException", "", Message="")
        if len(TransactItems) > MAX_TRANSACTION:
            raise invalid("Member must have length less than or equal to 100")
        changes = [_Change(self, kind, write) for one in TransactItems for kind, write in one.items()]
        if len({change.target for change in changes}) < len(changes):
            raise invalid("Transaction request cannot include multiple operations on one item")
        allowed = [change.is_allowed() for change in changes]
        refused: ClientError | None = None
        for change in (change for change, ok in zip(changes, allowed, strict=True) if ok):
            try:
                change.prepare()
            except ClientError as failure:
                refused = refused or failure
        if refused:
            if not all(allowed):
                raise NotImplementedError("a transaction with an invalid update and a failed condition")
            raise refused
        if not all(allowed):
            _cancel([change.reason(ok) for change, ok in zip(changes, allowed, strict=True)])
        if self.exact and _bytes([change.after or {} for change in changes]) > MAX_TRANSACTION_BYTES:
            raise NotImplementedError("a transaction of more than 4 MB")
        for change in changes:
            change.apply()
        if ClientRequestToken is not None:
            self._tokens[ClientRequestToken] = TransactItems
        return {}


def _cancel(reasons: list[Item]) -> NoReturn:
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    more = {"Message": message, "CancellationReasons": reasons}
    raise error("TransactionCanceledException", message, "TransactWriteItems", **more)


class _Change:
    """A write of one item: whether its condition is met, and the item after it."""

    def __init__(self, database: InMemoryDynamoDB, kind: str, write: Item) -> None:
        _require_known(write, _KNOWN[kind])
        self._database = database
        self._kind = kind
        self._write = write
        self._table = table = database._table(write["TableName"])
        self._stored = database.stored[table.name]
        self._names = write.get("ExpressionAttributeNames") or {}
        self._values = write.get("ExpressionAttributeValues") or {}
        self._condition = write.get("ConditionExpression")
        self._update = expressions.update(write["UpdateExpression"]) if kind == "Update" else None
        if database.exact:
            self._check()
        self._key = database._item_key(table, write["Item"]) if kind == "Put" else database._key(table, write["Key"])
        self.target = (table.name, self._key)
        self._before = self._stored.get(self._key)
        self.after: Item | None = None

    def _check(self) -> None:
        parsed = {"UpdateExpression": self._update} if self._update else {}
        if self._condition is not None:
            parsed["ConditionExpression"] = expressions.condition(self._condition)[0]
        self._database._check(parsed, self._names, self._values)
        if self._kind == "Put":
            self._write = {**self._write, "Item": values.copied_item(self._write["Item"])}

    def is_allowed(self) -> bool:
        """Return whether the item meets the condition."""
        if self._condition is None:
            return True
        _, is_met = expressions.condition(self._condition)
        return bool(is_met(self._before or {}, self._names, self._values))

    def old_item(self) -> Item:
        """Return the item as it is, if the write asks for it when its condition fails."""
        if self._write.get(_OLD, "NONE") == "NONE" or self._before is None:
            return {}
        return {"Item": self._database._out(self._before)}

    def reason(self, is_allowed: bool) -> Item:
        """Return the reason of a canceled transaction for this write."""
        if is_allowed:
            return {"Code": "None"}
        message = CONDITION_FAILED + ("." if self._kind == "ConditionCheck" else "")
        return {**self.old_item(), "Code": "ConditionalCheckFailed", "Message": message}

    def prepare(self) -> None:
        """Compute the item after the write. Raises ClientError for one that DynamoDB refuses."""
        if self._kind == "Put":
            self.after = self._write["Item"]
        elif self._update:
            before = self._before if self._before is not None else self._write["Key"]
            self.after = expressions.apply(self._update, before, self._names, self._values, self._table.keys)
        if self.after is not None and self._database.exact:
            self._check_item(self.after)

    def _check_item(self, item: Item) -> None:
        if self._update:
            self.after = values.copied_item(item)
        index_keys = [(index.name, name) for index in self._table.indexes.values() for name in index.keys]
        for index, name in index_keys:
            if name in item and "S" not in item[name]:
                raise invalid("One or more parameter values were invalid: Type mismatch for Index Key")
            if name in item and not item[name]["S"]:
                if [other for _, other in index_keys].count(name) > 1:
                    raise NotImplementedError(f"an empty {name}: which index does DynamoDB name?")
                raise _empty_key(f"IndexName: {index}, IndexKey: {name}", of_index=True)
        if values.size(item) > values.MAX_ITEM_BYTES:
            if self._update:
                raise invalid("Item size to update has exceeded the maximum allowed size")
            raise invalid("Item size has exceeded the maximum allowed size")

    def apply(self) -> None:
        """Store the item after the write."""
        if self.after is not None:
            self._stored[self._key] = self.after
        elif self._kind == "Delete":
            self._stored.pop(self._key, None)


# --- parts of a query ---


def _empty_key(where: str, *, of_index: bool = False) -> ClientError:
    index = "A value specified for a secondary index key is not supported. " if of_index else ""
    return invalid(
        f"One or more parameter values are not valid. {index}The AttributeValue for a key attribute cannot contain an "
        f"empty string value. {where}"
    )


def _conditions(parsed: Expression) -> list[Any]:
    return list(parsed.node[1:]) if parsed.node[0] == "and" else [parsed.node]


def _partition(parsed: Expression, keys: Key, names: Names, attribute_values: Item) -> str:
    """Return the hash key of a key condition: `hash = :value`, perhaps with one condition on the range key."""
    hashes = []
    ranges = []
    for node in _conditions(parsed):
        if node[0] in ("or", "and", "not") or node[1][0] != "path" or any(one[0] != "value" for one in node[2:]):
            raise NotImplementedError(f"the key condition {parsed.node}")
        path = expressions.resolve(node[1][1], names)
        if path == keys[:1] and node[0] == "=":
            hashes.append(attribute_values[node[2][1]])
        elif path == keys[1:]:
            ranges.append(node)
        else:
            raise invalid("Query condition missed key schema element")
    if not hashes:
        raise invalid("Query condition missed key schema element")
    if len(hashes) > 1 or len(ranges) > 1 or "S" not in hashes[0]:
        raise NotImplementedError(f"the key condition {parsed.node}")
    return str(hashes[0]["S"])


def _check_key_condition(parsed: Expression, keys: Key, names: Names, attribute_values: Item) -> None:
    """Refuse empty values and the bounds of a BETWEEN in the wrong order."""
    for node in _conditions(parsed):
        (name,) = expressions.resolve(node[1][1], names)
        operands = [attribute_values[one[1]] for one in node[2:]]
        if any("S" not in one for one in operands):
            raise NotImplementedError(f"the key condition {parsed.node}")
        if any(not one["S"] for one in operands):
            raise _empty_key(f"Key: {name}")
        if node[0] == "between" and operands[0]["S"] > operands[1]["S"]:
            low, high = (one["S"] for one in operands)
            raise invalid(
                "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal "
                f"to lower bound; lower bound operand: AttributeValue: {{S:{low}}}, upper bound operand: "
                f"AttributeValue: {{S:{high}}}"
            )


def _segment(hash_key: str, segments: int) -> int:
    return int.from_bytes(values.hash_of(hash_key)) * segments // _HASH_SPACE


def _bytes(items: list[Item]) -> int:
    """Return the size of items, or more if they are too few to reach the limit of a call."""
    if len(items) * values.MAX_ITEM_BYTES <= MAX_TRANSACTION_BYTES:
        return len(items) * values.MAX_ITEM_BYTES
    return sum(map(values.size, items))


def _fitting(items: list[Item]) -> int:
    """Return how many of these items a page has: it ends with the item that exceeds 1 MB."""
    if len(items) * values.MAX_ITEM_BYTES <= values.MAX_PAGE_BYTES:
        return len(items)
    total = 0
    for number, item in enumerate(items, 1):
        total += values.size(item)
        if total > values.MAX_PAGE_BYTES:
            return number
    return len(items)
