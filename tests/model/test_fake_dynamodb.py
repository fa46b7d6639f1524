"""The in-memory DynamoDB compared with DynamoDB Local: the same calls, responses and cancellations."""

import random
from typing import Any

from botocore.exceptions import ClientError

from tests.harness import client_for, create_tables
from tests.model.fake_dynamodb import FakeDynamoDB

USERS, ENTRIES, STRIPE_IDS = ("u1", "u2"), ("DP", "DP#one"), ("pi_1", "pi_2")


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


def test_the_in_memory_dynamodb_responds_like_dynamodb_local(dynamodb_local_url: str) -> None:
    real, fake, rng = client_for(dynamodb_local_url), FakeDynamoDB(), random.Random(5)
    if "enrollments" not in real.list_tables()["TableNames"]:
        create_tables(real)
    counts = {"done": 0, "refused": 0}
    for _ in range(150):
        writes: dict[str, dict[str, Any]] = {}
        for _ in range(rng.randint(1, 4)):
            kind, write = _random_write(rng)
            item_key = write.get("Item") or write["Key"]
            unique = repr([write["TableName"], *(item_key.get(k) for k in ("user_id", "sort_key", "stripe_id"))])
            writes[unique] = {kind: write}
        params = {"TransactItems": list(writes.values())}
        expected = _outcome(real.transact_write_items, **params)
        outcome = _outcome(fake.transact_write_items, **params)
        assert outcome == expected
        counts["done" if outcome == "done" else "refused"] += 1
    assert _read_everything(fake) == _read_everything(real)
    assert min(counts.values()) > 20
    for name in real.list_tables()["TableNames"]:
        real.delete_table(TableName=name)
