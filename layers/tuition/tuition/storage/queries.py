"""Every query of an index or a partition, and the one cursor type."""

from collections.abc import Iterator
from typing import Any

from pynamodb.models import Model

from tuition.storage import dynamodb, keys, mapping
from tuition.storage.dynamodb import Item
from tuition.storage.items import AuditItem, PaymentItem, StripeObjectItem


def stripe_object(stripe_id: str) -> StripeObjectItem | None:
    """The pointer from a Stripe id, strongly consistent; None where there is none."""
    found = dynamodb.client().get_item(
        TableName=dynamodb.table_name(StripeObjectItem), Key=keys.stripe_object_key(stripe_id), ConsistentRead=True
    )
    return StripeObjectItem.from_raw_data(found["Item"]) if "Item" in found else None


def query_all(model: type[Model], key: str, value: str) -> Iterator[Item]:
    """Every item under a hash key, strongly consistent: for what is small by nature (a user, a payment's log)."""
    start: Item | None = None
    while True:
        more = {"ExclusiveStartKey": start} if start else {}
        answer = dynamodb.client().query(
            TableName=dynamodb.table_name(model),
            ConsistentRead=True,
            KeyConditionExpression="#k = :v",
            ExpressionAttributeNames={"#k": key},
            ExpressionAttributeValues={":v": {"S": value}},
            **more,
        )
        yield from answer["Items"]
        start = answer.get("LastEvaluatedKey")
        if not start:
            return


def audit_trail(subject: str) -> list[dict[str, Any]]:
    """The records of a subject, in order of acceptance, as `tuition.core.audit` hashed them, each with its `hash`."""
    records = [
        mapping.record_to_json(AuditItem.from_raw_data(item)) for item in query_all(AuditItem, "subject", subject)
    ]
    return sorted(records, key=lambda record: int(record["seq"]))


def payments_by_id(payment_ids: list[str]) -> list[PaymentItem]:
    """Payments by id, in this order, strongly consistent; one that is not there is left out."""
    raw = dynamodb.batch_get({PaymentItem: [keys.payment_key(i) for i in payment_ids]})[PaymentItem]
    found = {item["payment_id"]["S"]: PaymentItem.from_raw_data(item) for item in raw}
    return [found[i] for i in payment_ids if i in found]
