"""The events of a student: records, facts and emails of their payments and plans, for one list in the order of time."""

import json
from typing import Any

from tuition.core.emails import TO_STUDENT
from tuition.storage import queries
from tuition.views import facts_json, payment_list
from tuition.views.payment_json import PaymentView, staff_request_json

PAYMENTS_PER_PAGE = 10
"""Each payment costs two queries: its audit trail, and its emails."""
MAX_BYTES = 1_000_000
"""A page with this many bytes ends: Lambda's answer has at most 6 MB, and the records of a payment have no bound."""


def of_user(user_id: str, cursor: str | None) -> dict[str, Any]:
    """Return a page of a user's payments, the newest first, and of the plans that they pay, each with all its events.

    The events of two pages overlap in time, because an old payment can be disputed today. A plan is on each page that
    has a payment of it. The audit trails are not verified here: the view of each payment and plan does that.
    """
    views, next_cursor = payment_list.of_user(user_id, PAYMENTS_PER_PAGE, cursor)
    payments: list[dict[str, Any]] = []
    plans: dict[str, dict[str, Any]] = {}
    size = 0
    for view in views:
        payments.append(_payment(view))
        size += len(json.dumps(payments[-1]))
        plan_id = view.payment.plan
        if plan_id and plan_id not in plans:
            plans |= _plan(plan_id)
            size += len(json.dumps(plans.get(plan_id)))
        if size >= MAX_BYTES and len(payments) < len(views):
            _, next_cursor = payment_list.of_user(user_id, len(payments), cursor)
            break
    return {"payments": payments, "plans": list(plans.values()), "next_cursor": next_cursor}


def _plan(plan_id: str) -> dict[str, dict[str, Any]]:
    """Return a plan by its id with its own records and emails; empty if our record of it is missing."""
    from tuition.views import plan_json  # few students have a plan, and each cold start would pay for its modules

    return {
        plan.plan_id: {
            "plan": plan_json.student_json(plan),
            "audit": queries.audit_trail(plan.plan_id),
            "emails": emails(plan.plan_id),
        }
        for plan in queries.plans_by_id([plan_id])
    }


def _payment(view: PaymentView) -> dict[str, Any]:
    trail = queries.audit_trail(view.payment.payment_id)
    return {**with_facts(view, trail), "audit": trail, "emails": emails(view.payment.payment_id)}


def with_facts(view: PaymentView, trail: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a payment with its refund requests, and its facts with the times of their records."""
    return {
        "payment": {
            **view.json(),
            "refund_requests": [staff_request_json(request, view.payment) for request in view.payment.requests],
        },
        "facts": facts_json.facts_json(view.payment, {record["seq"]: record["at"] for record in trail}),
    }


def emails(subject: str) -> list[dict[str, Any]]:
    """Return the outcome of each email to the student about a payment or a plan, the oldest first.

    `state` is `sent`, `skipped` (`reason` says why), `claimed` (being sent), or `unsent` (it may not have been sent).
    """
    items = [item for item in queries.emails_about(subject) if item["kind"]["S"] in TO_STUDENT]
    names = ("kind", "state", "reason", "at")
    rows = [{name: item[name]["S"] if name in item else None for name in names} for item in items]
    return sorted(rows, key=lambda row: str(row["at"]))
