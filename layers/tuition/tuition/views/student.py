"""What a student reads: their payments and their enrollments."""

import base64
import json
from typing import Any

from tuition.core import catalog, timestamps
from tuition.core.catalog import Track
from tuition.core.errors import Unprocessable
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.dynamodb import Item
from tuition.storage.items import EnrollmentItem, PaymentItem
from tuition.views import payment_json


def payments(user_id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of a user's payments, newest first: one query and one batch read."""
    start = {"user_id": {"S": user_id}, **_start(cursor)} if cursor else None
    answer = dynamodb.client().query(
        TableName=dynamodb.table_name(PaymentItem),
        IndexName="by_user",
        KeyConditionExpression="user_id = :user",
        ExpressionAttributeValues={":user": {"S": user_id}},
        ScanIndexForward=False,
        Limit=limit,
        **({"ExclusiveStartKey": start} if start else {}),
    )
    items = queries.payments_by_id([key["payment_id"]["S"] for key in answer["Items"]])
    last = answer.get("LastEvaluatedKey")
    next_cursor = encode_cursor(last["listed_at"]["S"]) if last else None
    return {"payments": [payment_json.item_json(item) for item in items], "next_cursor": next_cursor}


def encode_cursor(listed_at: str) -> str:
    """An opaque cursor after this place in a list."""
    return base64.urlsafe_b64encode(json.dumps([1, listed_at]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The place (`<created_at>#<payment_id>`) of a cursor. Raises `Unprocessable` for what we did not make."""
    try:
        version, listed_at = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        created_at, payment_id = listed_at.split("#")
        ours = (
            version == 1
            and "2020" <= created_at < "2200"
            and timestamps.iso(timestamps.epoch(created_at)) == created_at
        )
        if ours and payment_id.startswith("pay_") and payment_id.isascii() and len(payment_id) <= 255:
            return str(listed_at)
    except (ValueError, TypeError, AttributeError):
        pass
    raise Unprocessable("cursor is not one of ours: send the next_cursor of the page before", field="cursor")


def _start(cursor: str) -> Item:
    listed_at = decode_cursor(cursor)
    return {"listed_at": {"S": listed_at}, "payment_id": {"S": listed_at.split("#")[1]}}


def enrollments(user_id: str) -> list[dict[str, Any]]:
    """A user's enrollments with their progress, in the order of the catalog: one query."""
    return enrollments_of({raw["entry"]["S"]: raw for raw in queries.query_all(EnrollmentItem, "user_id", user_id)})


def enrollments_of(items: dict[str, Item]) -> list[dict[str, Any]]:
    """The enrollments among a user's raw items, by their range keys."""
    found = []
    for track in catalog.tracks().values():
        if track.track in items:
            enrollment = mapping.enrollment_from_raw(items[track.track])
            if enrollment.status:
                found.append({"track": track.track, "status": enrollment.status, "projects": _projects(track, items)})
    return found


def _projects(track: Track, items: dict[str, Item]) -> list[dict[str, Any]]:
    found = []
    for project in track.projects:
        item = items.get(keys.project_sort_key(track.track, project.project), {})
        done = item.get("steps", {}).get("M", {})
        steps = [
            {
                "step": s.step,
                "title": s.title,
                "done": done.get(s.step, {}).get("M", {}).get("done", {}).get("BOOL", False),
            }
            for s in project.steps
        ]
        unlocked = item.get("unlocked", {}).get("BOOL", False)
        found.append({"project": project.project, "title": project.title, "unlocked": unlocked, "steps": steps})
    return found
