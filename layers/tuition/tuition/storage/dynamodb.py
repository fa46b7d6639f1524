"""The DynamoDB client, and the few calls that the rest of this folder makes through it.

Creating a client dominates a cold start, so a process has one botocore client instead of one per pynamodb model. A
failed condition becomes `ConditionFailed` or `TransactionCanceled` here and nowhere else. Every other failure is
logged and becomes `StorageUnavailable`.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html,
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
)
from pynamodb.models import Model

from tuition import clock, retry
from tuition.core.errors import Contended, Unavailable
from tuition.log import logger
from tuition.settings import settings

Item = dict[str, Any]
"""An item, a key or a part of a request as DynamoDB writes it: `{"name": {"S": "…"}}`."""

Operation = Literal[
    "get_item", "batch_get_item", "query", "scan", "put_item", "update_item", "delete_item", "transact_write_items"
]


class StorageUnavailable(Unavailable):
    """DynamoDB did not answer, or refused the call: the same call may succeed later."""


class StorageRefused(StorageUnavailable):
    """DynamoDB refused this call for what it contains, such as an item that is too large. Other calls may succeed."""


class StorageBlocked(StorageUnavailable):
    """DynamoDB throttles us or refuses our credentials: every other call would fail too."""


class ItemBusy(StorageUnavailable):
    """A transaction is writing the item of a single write: nothing was written."""


class ConditionFailed(Exception):
    """The condition of a single write did not hold: nothing was written. `item` is there now, if it was asked for."""

    def __init__(self, item: Item) -> None:
        super().__init__("the condition did not hold")
        self.item = item


class TransactionCanceled(Exception):
    """A transaction was canceled: nothing was written. `reasons` has DynamoDB's reason for each write, in order."""

    def __init__(self, reasons: list[Item]) -> None:
        super().__init__("the transaction was canceled")
        self.reasons = reasons


_BLOCKED_CODES = frozenset(
    {
        *("ThrottlingException", "Throttling", "ThrottledException", "RequestLimitExceeded"),
        *("ProvisionedThroughputExceededException", "AccessDeniedException", "UnrecognizedClientException"),
        *("ExpiredTokenException", "ExpiredToken", "InvalidClientTokenId", "InvalidSignatureException"),
        *("IncompleteSignatureException", "MissingAuthenticationTokenException", "SignatureDoesNotMatch"),
    }
)
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html"""
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)


CONNECT_TIMEOUT_S = 1
READ_TIMEOUT_S = 2
ATTEMPTS = 3


class DeadlineReached(BotoCoreError):
    """The time of the invocation has ended between two attempts of a call."""

    fmt = "The deadline of the invocation was reached before attempt {attempt} of {operation}."


@cache
def client() -> Any:
    """The one DynamoDB client of this process. A call that times out is retried by botocore, within the deadline."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    session = botocore.session.get_session()
    dynamodb = session.create_client("dynamodb", endpoint_url=settings().dynamodb_endpoint_url, config=config)
    dynamodb.meta.events.register("before-send.dynamodb", _retry_only_within_the_deadline)
    return dynamodb


def _retry_only_within_the_deadline(request: Any, event_name: str, **_: Any) -> None:
    """Refuse a second or third attempt after the deadline.

    The first attempt is always made: after a call to Stripe that took all the time, the ledger still records its
    answer. botocore writes the number of the attempt into the request:
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
    """
    header = request.headers["amz-sdk-request"]
    text = header.decode() if isinstance(header, bytes) else str(header)
    attempt = int(text.partition("attempt=")[2].partition(";")[0])
    if attempt > 1 and clock.remaining_s() == 0:
        raise DeadlineReached(attempt=attempt, operation=event_name.rpartition(".")[2])


if os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
    client()  # at INIT, when a Lambda has the whole processor, and not in the first student's request


def call(operation: Operation, **params: Any) -> Item:
    """Make one call. Raises `ConditionFailed`, `TransactionCanceled` or `StorageUnavailable`."""
    try:
        return cast(Item, getattr(client(), operation)(**params))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ConditionalCheckFailedException":
            raise ConditionFailed(cast(Any, error.response).get("Item") or {}) from error
        if code == "TransactionCanceledException":
            raise TransactionCanceled(cast(Any, error.response)["CancellationReasons"]) from error
        raise _unavailable(operation, error) from error
    except BotoCoreError as error:
        raise _unavailable(operation, error) from error


def _unavailable(operation: str, error: Exception) -> StorageUnavailable:
    logger.exception("DynamoDB failed", operation=operation)
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    text = f"A part of our system is not responding. Try again. ({type(error).__name__})"
    if code == "TransactionConflictException":
        return ItemBusy(text)
    if code in _BLOCKED_CODES or isinstance(error, _NO_CREDENTIALS):
        return StorageBlocked(text)
    return StorageRefused(text) if code == "ValidationException" else StorageUnavailable(text)


def table_name(model: type[Model]) -> str:
    """Return the name of a model's table."""
    name: str = model.Meta.table_name
    return name


def to_raw(item: Model) -> Item:
    """Return the item as DynamoDB writes it, without the attributes that are None."""
    return {name: value for name, value in item.serialize().items() if "NULL" not in value}


# --- reading ---


def get(model: type[Model], key: Item) -> Item | None:
    """Read one item, strongly consistent. Return None if it does not exist."""
    return call("get_item", TableName=table_name(model), Key=key, ConsistentRead=True).get("Item")


def batch_get(
    keys: Mapping[type[Model], Iterable[Item]], attributes: Iterable[str] = ()
) -> dict[type[Model], list[Item]]:
    """Read items of several tables in one strongly consistent batch. Items that do not exist are left out.

    With `attributes`, DynamoDB returns only those, which costs as many read units but fewer bytes. Raises `Contended`
    if DynamoDB still leaves keys unprocessed after the last retry.
    """
    models = {table_name(model): model for model in keys}
    items: dict[type[Model], list[Item]] = {model: [] for model in keys}
    names = {f"#{number}": name for number, name in enumerate(attributes)}  # a name may be a reserved word
    projection = {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names} if names else {}
    pending: Item = {table_name(m): {"Keys": list(k), "ConsistentRead": True, **projection} for m, k in keys.items()}
    pending = {table: request for table, request in pending.items() if request["Keys"]}
    if not pending:
        return items
    for _ in retry.attempts(retry.BATCH_GET):
        response = call("batch_get_item", RequestItems=pending)
        for table, page in response["Responses"].items():
            items[models[table]].extend(page)
        pending = response.get("UnprocessedKeys") or {}
        if not pending:
            return items
    raise Contended("The system is busy. Try again.")


@dataclass(frozen=True)
class Partition:
    """One partition of a table or of one of its indexes: the items whose attribute `key` has this value.

    `sort_key` is the attribute by which they are ordered.
    """

    model: type[Model]
    key: str
    value: str
    sort_key: str | None = None
    index: str | None = None


class SortKeys(NamedTuple):
    """A condition on the sort keys of a partition, with its values: `#sort <= :high`."""

    condition: str
    values: Mapping[str, str]


class Page(NamedTuple):
    """One page of a query. `last_key` is where the next page starts; None after the last page."""

    items: list[Item]
    last_key: Item | None


def query(
    partition: Partition,
    *,
    sort_keys: SortKeys | None = None,
    descending: bool = False,
    limit: int | None = None,
    start: Item | None = None,
) -> Page:
    """Read one page of a partition: strongly consistent from a table, eventually from an index."""
    names = {"#key": partition.key}
    values = {":key": {"S": partition.value}}
    condition = "#key = :key"
    if sort_keys:
        names["#sort"] = str(partition.sort_key)
        values |= {name: {"S": value} for name, value in sort_keys.values.items()}
        condition += f" AND {sort_keys.condition}"
    params: Item = {"IndexName": partition.index} if partition.index else {"ConsistentRead": True}
    params |= {"ScanIndexForward": False} if descending else {}
    params |= {"Limit": limit} if limit else {}
    params |= {"ExclusiveStartKey": start} if start else {}
    response = call(
        "query",
        TableName=table_name(partition.model),
        KeyConditionExpression=condition,
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values,
        **params,
    )
    return Page(response["Items"], response.get("LastEvaluatedKey"))


def query_pages(
    partition: Partition,
    *,
    sort_keys: SortKeys | None = None,
    descending: bool = False,
    limit: int | None = None,
    start: Item | None = None,
) -> Iterator[Page]:
    """Read a partition page by page, each read only when the one before it has been consumed."""
    while True:
        page = query(partition, sort_keys=sort_keys, descending=descending, limit=limit, start=start)
        yield page
        start = page.last_key
        if not start:
            return


def scan_page(
    model: type[Model], *, segment: int = 0, segments: int = 1, limit: int, start: Item | None = None
) -> Page:
    """Read one page of a segment of a table, strongly consistent. The items of one hash key follow each other.

    Only the roles of the daily audit and of the reconciler's workers may scan payments and enrollments, that of the
    recount the figures, and that of exports the plans.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.ParallelScan
    """
    params: Item = {"ExclusiveStartKey": start} if start else {}
    params |= {"Segment": segment, "TotalSegments": segments} if segments > 1 else {}
    response = call("scan", TableName=table_name(model), ConsistentRead=True, Limit=limit, **params)
    return Page(response["Items"], response.get("LastEvaluatedKey"))


# --- writing ---


def put(item: Model) -> None:
    """Write an item, in place of one with the same key."""
    call("put_item", TableName=table_name(type(item)), Item=to_raw(item))


def put_of_version(item: Model, loaded: int) -> Item:
    """Return the write of an item for a transaction, if its stored `version` is still the loaded one; 0 is no item."""
    write: Item = {"TableName": table_name(type(item)), "Item": to_raw(item)}
    if not loaded:
        return {"Put": {**write, "ConditionExpression": "attribute_not_exists(version)"}}
    values = {":loaded": {"N": str(loaded)}}
    return {"Put": {**write, "ConditionExpression": "version = :loaded", "ExpressionAttributeValues": values}}


def update(
    model: type[Model],
    key: Item,
    expression: str,
    *,
    condition: str | None = None,
    names: Mapping[str, str] | None = None,
    values: Item | None = None,
) -> None:
    """Update one item. Raises `ConditionFailed` with the item that is there now."""
    old = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    params: Item = {"ConditionExpression": condition, **old} if condition else {}
    params |= {"ExpressionAttributeNames": dict(names)} if names else {}
    params |= {"ExpressionAttributeValues": values} if values else {}
    call("update_item", TableName=table_name(model), Key=key, UpdateExpression=expression, **params)


def delete(model: type[Model], key: Item) -> None:
    """Delete one item. Deleting an item that does not exist is no error."""
    call("delete_item", TableName=table_name(model), Key=key)
