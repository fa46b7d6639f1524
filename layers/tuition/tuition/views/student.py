"""The views of a student: their payments and their enrollments."""

from typing import Any

from tuition.core import catalog, explanation, purchase_blocks
from tuition.core.catalog import Track
from tuition.core.enrollment import Status
from tuition.core.errors import NotFound
from tuition.settings import settings
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.dynamodb import Item
from tuition.storage.items import CursorItem, CustomerItem, PaymentItem
from tuition.storage.queries import Cursor
from tuition.views import payment_json

LIST_ID = "my-payments"


def payments(user_id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of a user's payments, newest first: one query and one batch read."""
    after = Cursor.decode(cursor, LIST_ID) if cursor else None
    if after:
        after.listed_before()
    partition = queries.by_user(user_id)
    items, last = queries.page_of_payments(partition, limit, after, descending=True, stage="listed")
    return {
        "payments": [payment_json.student_json(mapping.payment_from_item(item)) for item in items],
        "next_cursor": last.encode(LIST_ID) if last else None,
    }


def enrollments(user_id: str) -> dict[str, Any]:
    """Return a user's enrollments with progress and the payment that decides each, and what keeps them from buying.

    An enrollment whose status is None has a payment that never gave access. One query and one batch read.
    """
    items = queries.user_items(user_id)
    tracks = [track for track in catalog.tracks() if track in items]
    stored = {track: mapping.enrollment_from_raw(items[track]) for track in tracks}
    current = {track: enrollment.current_payment for track, enrollment in stored.items()}
    payment_keys = [keys.payment_key(payment_id) for payment_id in current.values() if payment_id]
    raw = dynamodb.batch_get(
        {
            PaymentItem: payment_keys,
            CustomerItem: [keys.customer_key(user_id)],
            CursorItem: [keys.cursor_key(keys.SELLING)],
        }
    )
    payments = {payment.payment_id: payment for payment in map(mapping.payment_from_raw, raw[PaymentItem])}
    shown = {track: payments[payment_id] for track, payment_id in current.items() if payment_id in payments}
    blocks = [mapping.blocks_from_item(CustomerItem.from_raw_data(item)) for item in raw[CustomerItem]]
    selling, contact = mapping.selling_from_raw(next(iter(raw[CursorItem]), None)), settings().support_contact
    return {
        "enrollments": [
            {
                **_enrollment_json(catalog.tracks()[track], stored[track].status, items),
                "payment": payment_json.student_json(shown[track]) if track in shown else None,
            }
            for track in tracks
            if stored[track].status or track in shown
        ],
        "purchases_blocked": purchase_blocks.explanation(blocks[0], contact) if blocks else None,
        "not_selling": selling.explanation(contact),
    }


def explain(user_id: str, track: str) -> dict[str, Any]:
    """Return why a student is enrolled in a track or not, also if they bought nothing. Raises `NotFound`.

    One query and one batch read. The payment that decides is the one that the list of enrollments shows.
    """
    if track not in catalog.tracks():
        raise NotFound(f"There is no track with this code. The tracks are {', '.join(catalog.tracks())}.")
    items = queries.user_items(user_id)
    enrollment = mapping.enrollment_from_raw(items[track]) if track in items else None
    current = enrollment.current_payment if enrollment else None
    payments = [mapping.payment_from_item(item) for item in queries.payments_by_id([current])] if current else []
    return {
        "track": track,
        "enrollment": enrollment.status if enrollment else None,
        "payment_id": payments[0].payment_id if payments else None,
        "sentence": explanation.for_student(
            payments[0] if payments else None, catalog.tracks()[track].title, settings().support_contact
        ),
    }


def _enrollment_json(track: Track, status: Status | None, items: dict[str, Item]) -> dict[str, Any]:
    return {"track": track.track, "status": status, "projects": _projects(track, items)}


def enrollments_json(items: dict[str, Item]) -> list[dict[str, Any]]:
    """Return the enrollments among a user's raw items, which are given by sort key."""
    enrollments = []
    for track in catalog.tracks().values():
        if track.track in items:
            status = mapping.enrollment_from_raw(items[track.track]).status
            if status:
                enrollments.append(_enrollment_json(track, status, items))
    return enrollments


def _projects(track: Track, items: dict[str, Item]) -> list[dict[str, Any]]:
    projects = []
    for project in track.projects:
        progress = mapping.progress_from_raw(items.get(keys.project_sort_key(track.track, project.project), {}))
        steps = [
            {"step": step.step, "title": step.title, "done": progress.done.get(step.step, False)}
            for step in project.steps
        ]
        projects.append(
            {"project": project.project, "title": project.title, "unlocked": progress.unlocked, "steps": steps}
        )
    return projects
