"""Every query of an index or a partition, and the one cursor type."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pynamodb.models import Model

from tuition.core.errors import Unprocessable
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


# --- places ---


@dataclass(frozen=True)
class Cursor:
    """Where a payment stands in a list: `key` is the range key of the index that it is read from.

    Its `stage` is `listed` (newest first by `<created_at>#<payment_id>`), `email` (after those: what the beginning of
    an e-mail finds, by the address), `dispute` in the list of those, or `event` in quarantine, by its own id. Without
    `payment_id` it is where a page ends that has looked into enough empty months.
    """

    stage: str
    key: str
    payment_id: str

    def cursor(self, of: str) -> str:
        """An opaque cursor after this place, good for the list `of` that filter."""
        written = json.dumps([2, of, self.stage, self.key, self.payment_id], separators=(",", ":"))
        return base64.urlsafe_b64encode(written.encode()).decode().rstrip("=")

    @classmethod
    def of_cursor(cls, cursor: str, of: str) -> "Cursor":
        """Raises `Unprocessable` for what we did not make, or made for another filter."""
        try:
            decoded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            version, digest, stage, key, payment_id = json.loads(decoded)
            if (version, digest) == (2, of) and all(_is_key(part) for part in (stage, key, payment_id)):
                return cls(stage, key, payment_id)
        except (ValueError, TypeError, RecursionError):
            pass
        raise wrong_cursor()


def _is_key(part: object) -> bool:
    """Short enough to be a range key, and no half of a surrogate pair."""
    return isinstance(part, str) and len(part.encode("utf-8", "replace")) <= 1024 and not _has_lone_surrogate(part)


def _has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def wrong_cursor() -> Unprocessable:
    return Unprocessable("cursor is not of this list: send the next_cursor of its page before", field="cursor")


@dataclass(frozen=True)
class Partition:
    """One hash key of one index."""

    index: str
    key: str
    value: str
    range: str = "listed_at"


def payment_keys(
    partition: Partition, condition: str, values: Item, size: int, start: Item | None = None
) -> Iterator[Item]:
    """The keys of one partition of an index, the highest first."""
    while True:
        answer = dynamodb.client().query(
            TableName=dynamodb.table_name(PaymentItem),
            IndexName=partition.index,
            KeyConditionExpression=f"#k = :k AND {condition}",
            ExpressionAttributeNames={"#k": partition.key, "#r": partition.range},
            ExpressionAttributeValues={":k": {"S": partition.value}, **values},
            ScanIndexForward=False,
            Limit=size,
            **({"ExclusiveStartKey": start} if start else {}),
        )
        yield from answer["Items"]
        start = answer.get("LastEvaluatedKey")
        if not start:
            return
