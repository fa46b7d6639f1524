"""Typed values and items: their validation, copies, sizes, and the order of DynamoDB Local's hashes.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

import hashlib
import re
from functools import lru_cache
from typing import Any

from tests.in_memory_dynamodb.errors import invalid

Item = dict[str, Any]
MAX_ITEM_BYTES = 400 * 1024
MAX_PAGE_BYTES = 1024 * 1024
_NUMBER = re.compile(r"(?!-0$)-?(?:0|[1-9]\d*)(?:\.\d*[1-9])?")
_MAX_DIGITS = 38
_SALT = b"LocalDdb"


def copied(typed: Any) -> Any:
    """Return a valid, deep copy of a typed value. Raises ClientError if DynamoDB refuses it."""
    if not typed:
        raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    if len(typed) > 1:
        raise invalid(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
            "datatypes"
        )
    ((kind, value),) = typed.items()
    if kind in ("S", "BOOL", "B"):
        return {kind: value}
    if kind == "N":
        return {kind: _number(value)}
    if kind == "NULL" and value:
        return {kind: value}
    if kind == "SS":
        return {kind: _members(value)}
    if kind == "M":
        return {kind: {name: copied(inner) for name, inner in value.items()}}
    if kind == "L":
        return {kind: [copied(inner) for inner in value]}
    raise NotImplementedError(f"a value of type {kind}")


def copied_item(item: Item) -> Item:
    """Return a valid, deep copy of an item."""
    return {name: copied(typed) for name, typed in item.items()}


def _number(text: str) -> str:
    if _NUMBER.fullmatch(text) and len(text.lstrip("-").replace(".", "").strip("0")) <= _MAX_DIGITS:
        return text
    raise NotImplementedError(f"the number {text}, which DynamoDB would write otherwise or refuse")


def _members(texts: list[str]) -> list[str]:
    if not texts:
        raise invalid("One or more parameter values were invalid: An string set  may not be empty")
    if len(set(texts)) < len(texts):
        listed = ", ".join(texts)
        raise invalid(f"One or more parameter values were invalid: Input collection [{listed}] contains duplicates")
    return sorted(texts)


def size(item: Item) -> int:
    """Return the size of an item in bytes: its names and values.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(_length(name) + _value_size(typed) for name, typed in item.items())


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _value_size(typed: Any) -> int:
    ((kind, value),) = typed.items()
    if kind == "S":
        return _length(value)
    if kind == "N":
        digits = len(value.lstrip("-").replace(".", "").strip("0"))
        return (digits + 1) // 2 + 1 + value.startswith("-")
    if kind == "B":
        return len(value)
    if kind == "SS":
        return sum(map(_length, value))
    if kind == "M":
        return size(value) + len(value) + 3
    if kind == "L":
        return sum(map(_value_size, value)) + len(value) + 3
    return 1


@lru_cache(maxsize=100_000)
def hash_of(text: str) -> bytes:
    """Return the hash by which DynamoDB Local orders partitions and splits a table into segments."""
    return hashlib.sha1(_SALT + text.encode(), usedforsecurity=False).digest()


@lru_cache(maxsize=100_000)
def tie_hash(key: tuple[str, ...]) -> bytes:
    """Return the hash by which DynamoDB Local orders the items of an index that have the same keys there."""
    if len(key) == 1:
        return hash_of(key[0])
    return hashlib.sha1(_SALT + b"".join(map(hash_of, key)), usedforsecurity=False).digest()
