"""The views of a student: their payments and their enrollments."""

from typing import Any

from tuition.core import catalog
from tuition.core.catalog import Track
from tuition.storage import keys, mapping, queries
from tuition.storage.dynamodb import Item
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


def enrollments(user_id: str) -> list[dict[str, Any]]:
    """Return a user's enrollments with their progress, in the order of the catalog: one query."""
    return enrollments_json(queries.user_items(user_id))


def enrollments_json(items: dict[str, Item]) -> list[dict[str, Any]]:
    """Return the enrollments among a user's raw items, which are given by sort key."""
    enrollments = []
    for track in catalog.tracks().values():
        if track.track in items:
            status = mapping.enrollment_from_raw(items[track.track]).status
            if status:
                enrollments.append({"track": track.track, "status": status, "projects": _projects(track, items)})
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
