"""The in-memory DynamoDB compared with DynamoDB Local: the same calls, responses, refusals and cancellations."""

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from tests.harness import client_for, create_tables, delete_tables, in_memory_client
from tests.in_memory_dynamodb import comparison
from tests.in_memory_dynamodb.client import Client
from tests.in_memory_dynamodb.comparison import Comparison
from tests.in_memory_dynamodb.tables import InMemoryDynamoDB

USERS, ENTRIES, STRIPE_IDS = ("u1", "u2"), ("DP", "DP#one"), ("pi_1", "pi_2")


Call = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def compared(dynamodb_local_url: str) -> Iterator[Client]:
    """A client of both, with empty tables."""
    real = client_for(dynamodb_local_url)
    delete_tables(real)
    client = Client(Comparison(real).perform)
    create_tables(client)
    yield client
    delete_tables(client)


def _random_write(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """Return a write like the ledger's, to one of a few items, so that conditions often fail."""
    kinds = ("version", "absent", "pointer", "abandoned", "check", "progress", "customer", "claim", "step", "limits")
    kind = rng.choice(kinds)
    number = rng.randint(1, 3)
    old = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    key = {"user_id": {"S": rng.choice(USERS)}, "sort_key": {"S": "DP"}}
    version = {
        "ConditionExpression": "version = :version",
        "ExpressionAttributeValues": {":version": {"N": str(number)}},
    }
    if kind == "version":
        return "Put", {"TableName": "enrollments", "Item": {**key, "version": {"N": str(number + 1)}}, **version, **old}
    if kind == "check":
        return "ConditionCheck", {"TableName": "enrollments", "Key": key, **version, **old}
    if kind == "absent":
        item = {**key, "version": {"N": "1"}}
        return "Put", {
            "TableName": "enrollments",
            "Item": item,
            "ConditionExpression": "attribute_not_exists(user_id)",
            **old,
        }
    if kind in ("pointer", "abandoned"):
        item = {"stripe_id": {"S": rng.choice(STRIPE_IDS)}, "payment_id": {"S": f"pay_{number}"}}
        if rng.random() < 0.5:
            item = {"stripe_id": item["stripe_id"], "state": {"S": "abandoned"}}
        condition = "attribute_not_exists(stripe_id) OR payment_id = :payment"
        values = {":payment": {"S": f"pay_{number}"}}
        names = {}
        if kind == "abandoned":
            condition += " OR #state = :abandoned"
            values[":abandoned"], names = {"S": "abandoned"}, {"ExpressionAttributeNames": {"#state": "state"}}
        put = {"TableName": "stripe_objects", "Item": item, "ConditionExpression": condition, **names, **old}
        return "Put", {**put, "ExpressionAttributeValues": values}
    if kind == "customer":
        item = {
            "user_id": key["user_id"],
            "generation": {"N": str(number)},
            "stripe_customer_id": {"S": f"cus_{number}"},
        }
        condition = "attribute_not_exists(user_id) OR stripe_customer_id = :customer OR generation < :generation"
        values = {":customer": item["stripe_customer_id"], ":generation": item["generation"]}
        put = {"TableName": "customers", "Item": item, "ConditionExpression": condition, **old}
        return "Put", {**put, "ExpressionAttributeValues": values}
    if kind == "limits":
        return "Update", {
            "TableName": "limits",
            "Key": {"user_id": key["user_id"]},
            **_random_limit(rng, number),
            **old,
        }
    if kind == "claim":
        return "Update", _claim({"user_id": key["user_id"]}, number, old)
    key = {**key, "sort_key": {"S": "DP#one"}}
    steps = {"M": {"s": {"M": {"done": {"BOOL": False}}}}}
    sets = rng.choice(
        (
            "unlocked = :flag",
            "unlocked = if_not_exists(was_unlocked, :flag)",
            "was_unlocked = if_not_exists(unlocked, :flag), unlocked = :flag",
        )
    )
    update = {
        "TableName": "enrollments",
        "Key": key,
        "UpdateExpression": f"SET {sets}, steps = if_not_exists(steps, :steps)",
    }
    return "Update", {**update, "ExpressionAttributeValues": {":flag": {"BOOL": number == 1}, ":steps": steps}}


def _random_limit(rng: random.Random, number: int) -> dict[str, Any]:
    """Return the expressions of an update like that of a user's bucket of requests."""
    values = {":one": {"N": "1"}, ":low": {"N": str(number)}, ":high": {"N": str(number + 2)}}
    taken = ("busy = busy + :one", "busy BETWEEN :low AND :high", values)
    fresh = ("busy = :high", "attribute_not_exists(busy) OR busy < :low", {k: values[k] for k in (":high", ":low")})
    sets, condition, used = rng.choice((taken, fresh))
    return {"UpdateExpression": f"SET {sets}", "ConditionExpression": condition, "ExpressionAttributeValues": used}


def _claim(key: dict[str, Any], number: int, old: dict[str, str]) -> dict[str, Any]:
    """Return the update by which a create with a new customer claims the first purchase."""
    customer = "attribute_not_exists(stripe_customer_id) OR generation < :generation"
    unclaimed = "attribute_not_exists(first_purchases) OR first_purchases = :ids"
    return {
        "TableName": "customers",
        "Key": key,
        "UpdateExpression": "SET generation = :generation ADD first_purchases :ids",
        "ConditionExpression": f"({customer}) AND ({unclaimed})",
        "ExpressionAttributeValues": {":generation": {"N": str(number)}, ":ids": {"SS": [f"pay_{number}"]}},
        **old,
    }


def _outcome(operation: Any, **params: Any) -> Any:
    try:
        operation(**params)
    except ClientError as error:
        response: Any = error.response
        reasons = [{k: r[k] for k in ("Code", "Item") if k in r} for r in response.get("CancellationReasons", [])]
        return response["Error"]["Code"], reasons, response.get("Item")
    return "done"


def _read_everything(client: Any) -> Any:
    items = []
    for user in USERS:
        keys = [{"user_id": {"S": user}, "sort_key": {"S": entry}} for entry in ENTRIES]
        response = client.batch_get_item(RequestItems={"enrollments": {"Keys": keys, "ConsistentRead": True}})
        items += sorted(map(repr, (sorted(item.items()) for item in response["Responses"]["enrollments"])))
        projection = {"ProjectionExpression": "#0, #1", "ExpressionAttributeNames": {"#0": "sort_key", "#1": "version"}}
        response = client.batch_get_item(RequestItems={"enrollments": {"Keys": keys, **projection}})
        items += sorted(repr(sorted(item.items())) for item in response["Responses"]["enrollments"])
        response = client.query(
            TableName="enrollments",
            ConsistentRead=True,
            KeyConditionExpression="#key = :key",
            ExpressionAttributeNames={"#key": "user_id"},
            ExpressionAttributeValues={":key": {"S": user}},
        )
        items += [repr(sorted(item.items())) for item in response["Items"]]
    for stripe_id in STRIPE_IDS:
        response = client.get_item(TableName="stripe_objects", Key={"stripe_id": {"S": stripe_id}}, ConsistentRead=True)
        items.append(repr(sorted(response.get("Item", {}).items())))
    return items


def test_the_in_memory_dynamodb_responds_like_dynamodb_local(compared: Client) -> None:
    search, rng = InMemoryDynamoDB(exact=False), random.Random(5)
    create_tables(search)
    counts = {"done": 0, "refused": 0}
    for _ in range(150):
        writes: dict[str, dict[str, Any]] = {}
        for _ in range(rng.randint(1, 4)):
            kind, write = _random_write(rng)
            item_key = write.get("Item") or write["Key"]
            unique = repr([write["TableName"], *(item_key.get(k) for k in ("user_id", "sort_key", "stripe_id"))])
            writes[unique] = {kind: write}
        params = {"TransactItems": list(writes.values())}
        outcome = _outcome(compared.transact_write_items, **params)
        assert _outcome(search.transact_write_items, **params) == outcome
        counts["done" if outcome == "done" else "refused"] += 1
    assert _read_everything(search) == _read_everything(compared)
    assert min(counts.values()) > 20


def test_items_are_listed_and_paged_alike(compared: Client) -> None:
    rng = random.Random(7)
    for number in range(60):
        day, payment_id = f"2026-11-{rng.randint(1, 4):02d}", f"pay_{number}"
        month = {"S": rng.choice(("2026-10", "2026-11"))}
        item = {"payment_id": {"S": payment_id}, "created_month": month, "listed_at": {"S": day}, "kept": {"N": "1"}}
        if number % 5 == 0:
            del item["listed_at"]  # not in the index
        compared.put_item(TableName="payments", Item=item)
    for segments in (1, 3, 4):
        pages = [
            list(compared.get_paginator("scan").paginate(TableName="payments", Limit=7, **segment))
            for segment in ({"Segment": n, "TotalSegments": segments} for n in range(segments))
        ]
        assert sum(page["Count"] for part in pages for page in part) == 60
    for condition in ("created_month = :m", "created_month = :m AND listed_at BETWEEN :a AND :b"):
        for forward, limit in ((True, 3), (False, 4), (True, 100)):
            bounds = {":a": {"S": "2026-11-02"}, ":b": {"S": "2026-11-03"}} if "BETWEEN" in condition else {}
            query: dict[str, Any] = {
                "TableName": "payments",
                "IndexName": "by_day",
                "KeyConditionExpression": condition,
                "ExpressionAttributeValues": {":m": {"S": "2026-11"}, **bounds},
                "ScanIndexForward": forward,
                "Limit": limit,
            }
            pages = list(compared.get_paginator("query").paginate(**query))
            assert sum(page["Count"] for page in pages) > 4


def test_a_transaction_is_written_once_per_token(compared: Client) -> None:
    """Botocore gives each transaction a token, so that a retry after a lost answer writes nothing twice."""
    key = {"user_id": {"S": "of a token"}, "sort_key": {"S": "DP"}}
    values = {":one": {"N": "1"}, ":zero": {"N": "0"}}
    expression = "SET version = if_not_exists(version, :zero) + :one"
    update = {
        "TableName": "enrollments",
        "Key": key,
        "UpdateExpression": expression,
        "ExpressionAttributeValues": values,
    }
    token, is_there = str(uuid.uuid4()), {"ConditionExpression": "attribute_exists(user_id)"}

    def write(token: str, **more: str) -> None:
        compared.transact_write_items(TransactItems=[{"Update": update | more}], ClientRequestToken=token)

    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        write(token, **is_there)
    write(str(uuid.uuid4()))
    for _ in range(3):
        write(token, **is_there)  # the canceled attempt has not used the token
    with pytest.raises(ClientError, match="IdempotentParameterMismatchException"):
        write(token)
    assert compared.get_item(TableName="enrollments", Key=key)["Item"]["version"] == {"N": "2"}


def test_a_page_ends_after_a_megabyte(compared: Client) -> None:
    subject = {"S": "pay_large"}
    for number in range(9):
        item = {"subject": subject, "sort_key": {"S": str(number)}, "text": {"S": "é" * (100_000 + number * 777)}}
        compared.put_item(TableName="audit", Item=item)
    query = {
        "TableName": "audit",
        "KeyConditionExpression": "subject = :s",
        "ExpressionAttributeValues": {":s": subject},
        "ConsistentRead": True,
    }
    pages = list(compared.get_paginator("query").paginate(**query))
    assert len(pages) > 1
    assert sum(page["Count"] for page in pages) == 9


KEY = {"user_id": {"S": "ada"}, "sort_key": {"S": "DP"}}
LARGE = {"S": "x" * 410_000}


def _put(table: str = "enrollments", **params: Any) -> Call:
    return "put_item", {"TableName": table, "Item": KEY, **params}


def _update(expression: str, **params: Any) -> Call:
    values = {":n": {"N": "1"}} if ":n" in expression else {":s": {"SS": ["a"]}} if ":s" in expression else {}
    attribute_values = {"ExpressionAttributeValues": values} if values else {}
    return "update_item", {
        "TableName": "enrollments",
        "Key": KEY,
        "UpdateExpression": expression,
        **attribute_values,
        **params,
    }


def _query(condition: str, **values: str) -> Call:
    attribute_values = {f":{name}": {"S": value} for name, value in values.items()}
    params = {
        "TableName": "enrollments",
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": attribute_values,
    }
    return "query", params


def _transact(*writes: dict[str, Any]) -> Call:
    return "transact_write_items", {"TransactItems": list(writes)}


REFUSED: dict[str, Call] = {
    "an unknown table": ("get_item", {"TableName": "unknown", "Key": KEY}),
    "half a key": ("get_item", {"TableName": "enrollments", "Key": {"user_id": {"S": "ada"}}}),
    "an empty key": ("get_item", {"TableName": "enrollments", "Key": {**KEY, "user_id": {"S": ""}}}),
    "a number as a key": ("get_item", {"TableName": "enrollments", "Key": {**KEY, "user_id": {"N": "1"}}}),
    "a long hash key": ("get_item", {"TableName": "enrollments", "Key": {**KEY, "user_id": {"S": "x" * 2049}}}),
    "a long range key": ("get_item", {"TableName": "enrollments", "Key": {**KEY, "sort_key": {"S": "é" * 513}}}),
    "an item without its key": _put(Item={"user_id": {"S": "ada"}}),
    "a long hash key of an item": _put(Item={**KEY, "user_id": {"S": "x" * 2049}}),
    "an empty key of an index": _put("payments", Item={"payment_id": {"S": "pay_1"}, "email_key": {"S": ""}}),
    "a number as a key of an index": _put("payments", Item={"payment_id": {"S": "pay_1"}, "listed_at": {"N": "1"}}),
    "an empty set": _put(Item={**KEY, "codes": {"SS": []}}),
    "a set with a duplicate": _put(Item={**KEY, "codes": {"SS": ["a", "a"]}}),
    "a value of two types": _put(Item={**KEY, "amount": {"N": "1", "S": "1"}}),
    "a value without a type": _put(Item={**KEY, "codes": {}}),
    "a large item": _put(Item={**KEY, "text": LARGE}),
    "a large item of a transaction": _transact({"Put": {"TableName": "enrollments", "Item": {**KEY, "text": LARGE}}}),
    "an update to a large item": _update(
        "SET large = :large", ExpressionAttributeValues={":large": {"S": "x" * 409_590}}
    ),
    "a failed condition": _put(ConditionExpression="attribute_not_exists(user_id)"),
    "a failed condition with the item": _put(
        ConditionExpression="attribute_not_exists(user_id)", ReturnValuesOnConditionCheckFailure="ALL_OLD"
    ),
    "a condition on nothing": _put(
        ConditionExpression="version = :n OR NOT (attribute_exists(user_id))",
        ExpressionAttributeValues={":n": {"N": "9"}},
    ),
    "a reserved word": _put(ConditionExpression="state = :n", ExpressionAttributeValues={":n": {"N": "1"}}),
    "an unused value": _put(
        ConditionExpression="version = :n", ExpressionAttributeValues={":n": {"N": "1"}, ":m": {"N": "1"}}
    ),
    "an unused name": _put(
        ConditionExpression="attribute_exists(version)", ExpressionAttributeNames={"#unused": "version"}
    ),
    "an undefined value": _put(ConditionExpression="version = :n"),
    "an undefined name": _put(ConditionExpression="attribute_exists(#name)"),
    "an update of a path that is not there": _update("SET steps.done = :n"),
    "an update of a key": _update("SET user_id = :n"),
    "a sum with an attribute that is not there": _update("SET a = absent + :n"),
    "a sum with a text": _update("SET unlocked = user_id + :n"),
    "a set added to a number": _update("ADD version :s"),
    "a condition of an update": _update("SET other = :n", ConditionExpression="version > :n"),
    "two operations on one item": _transact(
        {"Delete": {"TableName": "enrollments", "Key": KEY}}, {"Put": {"TableName": "enrollments", "Item": KEY}}
    ),
    "101 writes": _transact(
        *[
            {"Put": {"TableName": "enrollments", "Item": {**KEY, "sort_key": {"S": str(number)}}}}
            for number in range(101)
        ]
    ),
    "an invalid update in a transaction": _transact(
        {"Update": {"TableName": "enrollments", "Key": KEY, "UpdateExpression": "REMOVE absent.inner"}}
    ),
    "a canceled transaction": _transact(
        {"ConditionCheck": {"TableName": "enrollments", "Key": KEY, "ConditionExpression": "attribute_exists(steps)"}},
        {"Delete": {"TableName": "limits", "Key": {"user_id": {"S": "nobody"}}}},
        {
            "Put": {
                "TableName": "enrollments",
                "Item": {**KEY, "sort_key": {"S": "FSD"}},
                "ConditionExpression": "attribute_exists(user_id)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        },
    ),
    "a duplicate in a batch": ("batch_get_item", {"RequestItems": {"enrollments": {"Keys": [KEY, KEY]}}}),
    "a batch of 101": (
        "batch_get_item",
        {"RequestItems": {"enrollments": {"Keys": [{**KEY, "sort_key": {"S": str(n)}} for n in range(101)]}}},
    ),
    "an empty batch": ("batch_get_item", {"RequestItems": {}}),
    "a batch from an unknown table": ("batch_get_item", {"RequestItems": {"unknown": {"Keys": [KEY]}}}),
    "a duplicate in a batch of writes": (
        "batch_write_item",
        {"RequestItems": {"enrollments": [{"DeleteRequest": {"Key": KEY}}, {"PutRequest": {"Item": KEY}}]}},
    ),
    "26 writes in a batch": (
        "batch_write_item",
        {
            "RequestItems": {
                "enrollments": [{"DeleteRequest": {"Key": {**KEY, "sort_key": {"S": str(n)}}}} for n in range(26)]
            }
        },
    ),
    "a query without a hash key": _query("sort_key = :a", a="DP"),
    "a query of another attribute": _query("user_id = :a AND version = :b", a="ada", b="1"),
    "a query of an empty hash key": _query("user_id = :a", a=""),
    "a query with an empty prefix": _query("user_id = :a AND begins_with(sort_key, :b)", a="ada", b=""),
    "bounds in the wrong order": _query("user_id = :a AND sort_key BETWEEN :b AND :c", a="ada", b="2", c="1"),
    "an unknown index": ("query", {**_query("user_id = :a", a="ada")[1], "IndexName": "by_nothing"}),
    "a start key of another partition": (
        "query",
        {**_query("user_id = :a", a="ada")[1], "ExclusiveStartKey": {**KEY, "user_id": {"S": "bob"}}},
    ),
    "a start key with a key missing": (
        "query",
        {**_query("user_id = :a", a="ada")[1], "ExclusiveStartKey": {"user_id": {"S": "ada"}}},
    ),
    "a table that exists": (
        "create_table",
        {
            "TableName": "limits",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "user_id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "user_id", "KeyType": "HASH"}],
        },
    ),
    "a table to delete that does not exist": ("delete_table", {"TableName": "unknown"}),
}
"""Requests that DynamoDB refuses, on a table that has the item `KEY` with `version` 1."""


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_is_the_same(compared: Client, request_: Call) -> None:
    compared.put_item(TableName="enrollments", Item={**KEY, "version": {"N": "1"}})
    method, params = request_
    with pytest.raises(ClientError):
        getattr(compared, method)(**params)


UPDATES = (
    _update("SET a = :n, b = if_not_exists(absent, :n), c = version - :n REMOVE d ADD tries :n"),
    _update("ADD codes :s"),
    _update("DELETE codes :s"),
    _update("set a = if_not_exists(a, if_not_exists(b, :n)) remove steps.#one", ExpressionAttributeNames={"#one": "1"}),
    _update("SET steps.#one = :n", ExpressionAttributeNames={"#one": "1"}),
)
"""Updates that the item of the test allows."""


@pytest.mark.parametrize("request_", UPDATES, ids=lambda call: call[1]["UpdateExpression"])
def test_an_update_has_the_same_effect(compared: Client, request_: Call) -> None:
    item = {**KEY, "version": {"N": "1"}, "codes": {"SS": ["a", "b"]}, "steps": {"M": {"1": {"BOOL": True}}}}
    compared.put_item(
        TableName="enrollments", Item={**item, "list": {"L": [{"NULL": True}, {"B": b"x"}, {"N": "-1.5"}]}}
    )
    method, params = request_
    getattr(compared, method)(**params)
    assert compared.get_item(TableName="enrollments", Key=KEY)["Item"] != item


UNKNOWN: dict[str, Call] = {
    "a parameter": ("get_item", {"TableName": "enrollments", "Key": KEY, "ReturnConsumedCapacity": "TOTAL"}),
    "a parameter of a write": _put(ReturnValues="ALL_OLD"),
    "an operation": ("update_table", {"TableName": "enrollments"}),
    "a function": _put(ConditionExpression="size(codes) > :n", ExpressionAttributeValues={":n": {"N": "1"}}),
    "an element of a list": _update("SET steps[0] = :n"),
    "an update of two overlapping paths": _update("SET steps = :n, steps.done = :n"),
    "a number that DynamoDB writes otherwise": _put(Item={**KEY, "amount": {"N": "1.50"}}),
    "no number": _put(Item={**KEY, "amount": {"N": "one"}}),
    "texts compared with numbers": _put(
        ConditionExpression="codes > :s", ExpressionAttributeValues={":s": {"SS": ["a"]}}
    ),
    "a set of numbers": _put(Item={**KEY, "codes": {"NS": ["1"]}}),
    "another key condition": _query("user_id = :a OR sort_key = :b", a="ada", b="DP"),
}


@pytest.mark.parametrize("request_", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_call_that_tuition_does_not_make_is_not_guessed(request_: Call) -> None:
    client = in_memory_client()
    create_tables(client)
    client.put_item(TableName="enrollments", Item={**KEY, "codes": {"SS": ["a"]}})
    method, params = request_
    with pytest.raises(NotImplementedError):
        getattr(client, method)(**params)


INVALID: tuple[Call, ...] = (
    ("get_item", {"TableName": "enrollments"}),
    ("get_item", {"TableName": "enrollments", "Key": KEY, "Consistent": True}),
    ("query", {**_query("user_id = :a", a="ada")[1], "Limit": 0}),
    ("query", {**_query("user_id = :a", a="ada")[1], "Limit": "1"}),
    _put(Item={**KEY, "amount": {"N": 1}}),
    _put(Item={**KEY, "amount": {"M": {"inner": {"Number": "1"}}}}),
    _transact(),
    _transact({"Upsert": {"TableName": "enrollments", "Item": KEY}}),
    ("batch_get_item", {"RequestItems": {"enrollments": {"Keys": []}}}),
)
"""Parameters that botocore refuses without a request, or would send as they are not meant."""


@pytest.mark.parametrize("request_", INVALID, ids=range(len(INVALID)))
def test_botocore_refuses_the_same_parameters(dynamodb_local_url: str, request_: Call) -> None:
    method, params = request_
    failures = []
    for client in (in_memory_client(), client_for(dynamodb_local_url)):
        with pytest.raises(ParamValidationError) as caught:
            getattr(client, method)(**params)
        failures.append(str(caught.value))
    assert failures[0] == failures[1]


def test_an_item_is_copied_when_it_is_written_and_when_it_is_read() -> None:
    client = in_memory_client()
    create_tables(client)
    item = {**KEY, "steps": {"M": {"1": {"L": [{"BOOL": False}]}}}}
    client.put_item(TableName="enrollments", Item=item)
    item["steps"]["M"].clear()
    first = client.get_item(TableName="enrollments", Key=KEY)["Item"]
    first["steps"]["M"]["1"]["L"].clear()
    (stored,) = client.scan(TableName="enrollments")["Items"]
    assert stored["steps"] == {"M": {"1": {"L": [{"BOOL": False}]}}}


@pytest.mark.threads
def test_an_update_is_atomic_under_threads() -> None:
    client = in_memory_client()
    create_tables(client)
    start = threading.Barrier(8)

    def count(_: int) -> None:
        start.wait()
        for _ in range(200):
            client.update_item(**_update("ADD version :n")[1])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    assert client.get_item(TableName="enrollments", Key=KEY)["Item"]["version"] == {"N": "1600"}


def test_a_different_answer_fails_the_test(dynamodb_local_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(call: Callable[..., Any], params: dict[str, Any]) -> Any:
        response, failure = outcome(call, params)
        return ({"TableNames": ["other"]}, None) if isinstance(call.__self__, InMemoryDynamoDB) else (response, failure)

    outcome = comparison._outcome
    client = Client(Comparison(client_for(dynamodb_local_url)).perform)
    monkeypatch.setattr(comparison, "_outcome", other)
    with pytest.raises(AssertionError, match="DynamoDB Local"):
        client.list_tables()
