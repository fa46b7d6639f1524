"""The tables in memory against DynamoDB Local: the same calls, the same answers, the same cancellations."""

import random
from typing import Any

from botocore.exceptions import ClientError

from tests.harness import client_for, create_tables
from tests.model.dynamodb import Tables

USERS, ENTRIES, STRIPE = ("u1", "u2"), ("DP", "DP#one"), ("pi_1", "pi_2")


def _write(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """One write as the ledger makes them, of a few items, so that conditions often fail."""
    kind = chance.choice(("version", "absent", "pointer", "abandoned", "check", "progress", "customer", "step"))
    number = chance.randint(1, 3)
    old = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    key = {"user_id": {"S": chance.choice(USERS)}, "sort_key": {"S": "DP"}}
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
        item = {"stripe_id": {"S": chance.choice(STRIPE)}, "payment_id": {"S": f"pay_{number}"}}
        if chance.random() < 0.5:
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
    key = {**key, "sort_key": {"S": "DP#one"}}
    steps = {"M": {"s": {"M": {"done": {"BOOL": False}}}}}
    sets = chance.choice(
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


def _outcome(act: Any, **given: Any) -> Any:
    try:
        act(**given)
    except ClientError as error:
        response: Any = error.response
        reasons = [{k: r[k] for k in ("Code", "Item") if k in r} for r in response.get("CancellationReasons", [])]
        return response["Error"]["Code"], reasons, response.get("Item")
    return "done"


def _all(client: Any) -> Any:
    found = []
    for user in USERS:
        keys = [{"user_id": {"S": user}, "sort_key": {"S": entry}} for entry in ENTRIES]
        answer = client.batch_get_item(RequestItems={"enrollments": {"Keys": keys, "ConsistentRead": True}})
        found += sorted(map(repr, (sorted(item.items()) for item in answer["Responses"]["enrollments"])))
        queried = client.query(
            TableName="enrollments",
            ConsistentRead=True,
            KeyConditionExpression="#k = :v",
            ExpressionAttributeNames={"#k": "user_id"},
            ExpressionAttributeValues={":v": {"S": user}},
        )
        found += [repr(sorted(item.items())) for item in queried["Items"]]
    for stripe_id in STRIPE:
        answer = client.get_item(TableName="stripe_objects", Key={"stripe_id": {"S": stripe_id}}, ConsistentRead=True)
        found.append(repr(sorted(answer.get("Item", {}).items())))
    return found


def test_the_tables_in_memory_answer_as_dynamodb_local_does(dynamodb_local_url: str) -> None:
    real, memory, chance = client_for(dynamodb_local_url), Tables(), random.Random(5)
    here = {name: [*real.list_tables()["TableNames"]] for name in ("tables",)}["tables"]
    if "enrollments" not in here:
        create_tables(real)
    counts = {"done": 0, "refused": 0}
    for _ in range(150):
        writes: dict[str, dict[str, Any]] = {}
        for _ in range(chance.randint(1, 4)):
            kind, write = _write(chance)
            named = write.get("Item") or write["Key"]
            mark = repr([write["TableName"], *(named.get(k) for k in ("user_id", "sort_key", "stripe_id"))])
            writes[mark] = {kind: write}
        given = {"TransactItems": list(writes.values())}
        expected, told = _outcome(real.transact_write_items, **given), _outcome(memory.transact_write_items, **given)
        assert told == expected
        counts["done" if told == "done" else "refused"] += 1
    assert _all(memory) == _all(real)
    assert min(counts.values()) > 20
    for name in real.list_tables()["TableNames"]:
        real.delete_table(TableName=name)
