"""Each call made to DynamoDB Local and to the in-memory DynamoDB, whose answers must be the same."""

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.in_memory_dynamodb.tables import InMemoryDynamoDB

Item = dict[str, Any]
_TABLE_OPERATIONS = ("create_table", "delete_table", "describe_table")
"""Their answers describe a table, with times, sizes and more that the in-memory DynamoDB does not have."""


class Comparison:
    """Makes each call to both, and returns the answer of DynamoDB Local."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._in_memory = InMemoryDynamoDB()
        self._lock = threading.Lock()

    def perform(self, method: str, params: Item) -> Item:
        """Make a call. Raises AssertionError if the answers differ."""
        with self._lock:
            ours, our_failure = _outcome(getattr(self._in_memory, method), params)
            response, failure = _outcome(getattr(self._real, method), params)
        if method not in _TABLE_OPERATIONS or failure or our_failure:
            expected, answer = _comparable(response, failure), _comparable(ours, our_failure)
            assert answer == expected, f"{method} {params}:\n{answer}\nDynamoDB Local:\n{expected}"
        if failure is not None:
            raise failure
        return response


def _outcome(call: Callable[..., Item], params: Item) -> tuple[Item, ClientError | None]:
    try:
        return call(**params), None
    except ClientError as failure:
        return {}, failure


def _comparable(response: Item, failure: ClientError | None) -> Any:
    """Return an answer without what DynamoDB leaves open: the order of sets and of the items of a batch.

    DynamoDB Local reports the capacity of a delete without being asked.
    """
    answer = dict(failure.response) if failure is not None else dict(response)
    for name in ("ResponseMetadata", "ConsumedCapacity"):
        answer.pop(name, None)
    if "Responses" in answer:
        batches = {table: sorted(map(_sorted_sets, items), key=repr) for table, items in answer["Responses"].items()}
        answer["Responses"] = batches
    return type(failure).__name__, _sorted_sets(answer)


def _sorted_sets(value: Any) -> Any:
    """Return a copy in which sets and the names of maps are in order."""
    if isinstance(value, dict):
        return {
            name: sorted(inner) if name == "SS" and isinstance(inner, list) else _sorted_sets(inner)
            for name, inner in sorted(value.items())
        }
    return [_sorted_sets(inner) for inner in value] if isinstance(value, list) else value
