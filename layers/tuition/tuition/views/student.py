"""The views of a student: their payments and their enrollments."""

from typing import TYPE_CHECKING, Any, NamedTuple

from tuition import retry
from tuition.core import catalog, explanation, purchase_blocks, switches
from tuition.core.catalog import Track
from tuition.core.enrollment import Enrollment, Status
from tuition.core.errors import NotFound
from tuition.core.payment import Payment, grants_access
from tuition.core.refs import is_plan
from tuition.settings import settings
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.dynamodb import Item
from tuition.storage.items import CursorItem, CustomerItem, PaymentItem, PlanItem
from tuition.storage.queries import Cursor
from tuition.views import payment_json

if TYPE_CHECKING:
    from tuition.core.plan import Plan

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


class _Stored(NamedTuple):
    """The items of a user, read as one commit has left them.

    `items` are the user's raw items by sort key, `stored` the enrollments among them by track, and `shown` and `plans`
    the payments and plans that decide these. `customer` and `switch` are the raw items of the user's customer and of
    the switch of all sales.
    """

    items: dict[str, Item]
    stored: dict[str, Enrollment]
    shown: dict[str, Payment]
    plans: "dict[str, Plan]"
    customer: Item | None
    switch: Item | None


def _read(user_id: str) -> _Stored:
    """Read a user's enrollments and their payments: one query and one batch read, again if a commit came in between."""
    for _ in retry.attempts(retry.ENROLLMENTS_READ):
        items = queries.user_items(user_id)
        stored = {track: mapping.enrollment_from_raw(items[track]) for track in catalog.tracks() if track in items}
        current = {track: enrollment.current_grantor for track, enrollment in stored.items()}
        raw = dynamodb.batch_get(
            {
                PaymentItem: [keys.payment_key(one) for one in current.values() if one and not is_plan(one)],
                PlanItem: [keys.plan_key(one) for one in sorted({*filter(None, current.values())}) if is_plan(one)],
                CustomerItem: [keys.customer_key(user_id)],
                CursorItem: [keys.cursor_key("selling")],
            }
        )
        by_id = {payment.payment_id: payment for payment in map(mapping.payment_from_raw, raw[PaymentItem])}
        shown = {track: by_id[grantor] for track, grantor in current.items() if grantor in by_id}
        plans_by_id = {plan.plan_id: plan for plan in map(mapping.plan_from_raw, raw[PlanItem])}
        plans = {track: plans_by_id[grantor] for track, grantor in current.items() if grantor in plans_by_id}
        agree = [_agree(stored[track], payment) for track, payment in shown.items()]
        agree += [stored[track].standings[plan.plan_id] == plan.standing for track, plan in plans.items()]
        if all(agree):
            break
    return _Stored(items, stored, shown, plans, next(iter(raw[CustomerItem]), None), next(iter(raw[CursorItem]), None))


def _agree(enrollment: Enrollment, payment: Payment) -> bool:
    """Whether an enrollment and one of its payments were read as one commit has left them."""
    standing = enrollment.standings[payment.grantor]
    return (standing.open, standing.grants) == (payment.open, grants_access(payment))


def enrollments(user_id: str) -> dict[str, Any]:
    """Return a user's enrollments with progress and the payment or plan that decides each, and what prevents buying.

    An enrollment whose status is None has a payment that never gave access.
    """
    items, stored, shown, plans, customer, switch = _read(user_id)
    blocks = mapping.blocks_from_item(CustomerItem.from_raw_data(customer)) if customer else None
    selling, contact = mapping.switch_from_raw("selling", switch), settings().support_contact
    return {
        "enrollments": [
            {
                **_enrollment_json(catalog.tracks()[track], stored[track].status, items),
                "payment": payment_json.student_json(shown[track]) if track in shown else None,
                "plan": _plan_json(plans[track]) if track in plans else None,
            }
            for track in stored
            if stored[track].status or track in shown
        ],
        "purchases_blocked": purchase_blocks.explanation(blocks, contact) if blocks else None,
        "not_selling": switches.not_selling(selling, contact),
    }


def _plan_json(plan: "Plan") -> dict[str, Any]:
    from tuition.views import plan_json  # few students have a plan, and each cold start would pay for its modules

    return plan_json.student_json(plan)


def explain(user_id: str, track: str) -> dict[str, Any]:
    """Return why a student is enrolled in a track or not, also if they bought nothing. Raises `NotFound`.

    The payment or plan that decides is the one that the list of enrollments shows.
    """
    if track not in catalog.tracks():
        raise NotFound(f"There is no track with this code. The tracks are {', '.join(catalog.tracks())}.")
    read = _read(user_id)
    payment, plan = read.shown.get(track), read.plans.get(track)
    title, contact = catalog.title(track), settings().support_contact
    if plan:
        from tuition.core import plan_explanation  # as in `_plan_json`

        sentence = plan_explanation.for_student(plan, title, contact)
    else:
        sentence = explanation.for_student(payment, title, contact)
    return {
        "track": track,
        "enrollment": read.stored[track].status if track in read.stored else None,
        "payment_id": payment.payment_id if payment else None,
        "plan_id": plan.plan_id if plan else None,
        "sentence": sentence,
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
            {
                "step": step.step,
                "title": step.title,
                "done": progress.done.get(step.step, False),
                "url": track.step_url(project.project, step.step),
            }
            for step in project.steps
        ]
        projects.append(
            {"project": project.project, "title": project.title, "unlocked": progress.unlocked, "steps": steps}
        )
    return projects
