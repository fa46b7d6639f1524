"""The views of staff: payments, one payment whole, a user, disputes, and the quarantine."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tuition import retry
from tuition.core import attention, audit, catalog, moments, timestamps
from tuition.core import payment as payments_rules
from tuition.core.erasure import Erasure
from tuition.core.errors import NotFound, Unprocessable
from tuition.core.payment import Payment
from tuition.core.refs import is_user_id
from tuition.core.refund_request import RefundRequest
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.payments import access, emails
from tuition.payments import legal_hold as legal_holds
from tuition.storage import cursors, dynamodb, effects, keys, mapping, quarantine, queries
from tuition.storage.dynamodb import Item
from tuition.storage.items import CustomerItem, PaymentItem, QuarantineItem
from tuition.storage.notes import NoteTopic
from tuition.storage.queries import Cursor, payments_by_id
from tuition.views import erasures, facts_json, notes, payment_json, payment_list, standings, student, timelines
from tuition.views.filters import Filters, Order
from tuition.views.payment_json import PaymentView, staff_request_json

if TYPE_CHECKING:
    from tuition.core.plan import Plan

MAX_OWN_RECORDS = 1000
"""Of a user's own chain that their page shows and verifies, the newest. Staff have a record for each person they read
about in an hour. The daily audit verifies the whole chain."""
MAX_PLANS = 20
"""Of a user that their page shows, the newest."""


def payments(filters: Filters, limit: int, cursor: str | None, order: Order = "newest") -> dict[str, Any]:
    """Return a page of payments."""
    views, next_cursor = payment_list.page(filters, limit, cursor, order)
    return {"payments": [view.json() for view in views], "next_cursor": next_cursor}


# --- one payment ---


def payment(payment_id: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a payment with its fields, facts, refund requests, notes and verified audit trail. Raises `NotFound`.

    With `at` (a time) or `version` in the query, return it as it was then. Raises `Unprocessable`.
    """
    if query:
        return _payment_at(payment_id, query)
    item, trail = read_with_trail(payment_id)
    view = payment_list.load_views([item])[0]
    return {
        **_details(view, trail),
        "actions": _actions(view.payment, trail),
        "chain": _chain(audit.verify_payment(view.payment, trail)),
        "emails": timelines.emails(payment_id),
        "plan": _plan_json(view.payment),
        "notes": notes.shown(NoteTopic(item.user_id, item.payment_id)),
        "moment": None,
    }


def plan_of(payment: Payment) -> "Plan | None":
    """Return the plan of a payment; None without one, or if our record of it is missing."""
    return next(iter(queries.plans_by_id([payment.plan])), None) if payment.plan else None


def _plan_json(payment: Payment) -> dict[str, Any] | None:
    from tuition.views import plan_json  # as in `_plans`

    plan = plan_of(payment)
    return plan_json.student_json(plan) if plan else None


def _details(view: PaymentView, trail: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        **timelines.with_facts(view, trail),
        "groups": payment_json.groups(view),
        "audit": trail,
    }


def _payment_at(payment_id: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Return a payment as it was: no action is possible, and the chain is that of the present payment."""
    if len(query) > 1:
        raise Unprocessable("Send either at or version, not both.", field="at")
    at = timestamps.from_query(query["at"], "at") if "at" in query else None
    version = _version(query["version"]) if "version" in query else 0
    item, records = read_with_trail(payment_id, queries.recorded_trail)
    present = mapping.payment_from_item(item)
    trail = [{name: value for name, value in record.items() if name != "recorded_at"} for record in records]
    moment = moments.at_version(present, records, moments.version_at(records, at) if at else version)
    past = moment.payment
    return {
        **_details(PaymentView(past, []), [record for record in trail if record["seq"] <= past.version]),
        "actions": [],
        "chain": _chain(audit.verify_payment(present, trail)),
        "emails": [one for one in timelines.emails(payment_id) if one["at"] <= moment.recorded_at],
        "plan": None,
        "notes": None,
        "moment": {
            "version": past.version,
            "versions": present.version,
            "recorded_at": moment.recorded_at,
            "complete": moment.complete,
            "not_recorded": list(moments.FIELDS_NOT_RECORDED),
        },
    }


def _version(version: str) -> int:
    if not (version.isascii() and version.isdigit() and len(version) <= mapping.SEQ_DIGITS):
        raise Unprocessable("version must be a number, such as 3", field="version")
    return int(version)


def _actions(payment: Payment, trail: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what an admin can do with a payment now: nothing that the API would refuse.

    A decision about access has `no_access_reason`: why the payment gives no access afterwards, or None. `send_email` is
    there once per `kind` of email.
    """
    actions: list[dict[str, Any]] = [{"action": "refund"}] if payments_rules.may_order_refund(payment) else []
    actions += [{"action": name, "no_access_reason": why} for name, why in access.applicable(payment).items()]
    for request in payment.requests:
        if request.state == "awaiting_approval":
            possible = {"approve": _can_approve(payment), "decline": _can_decline(payment)}
            actions += [{"action": decision, "request": request.id} for decision, may in possible.items() if may]
    actions += [{"action": "send_email", "kind": kind} for kind in emails.applicable(payment, trail)]
    return actions


def _can_approve(payment: Payment) -> bool:
    return payments_rules.refund_refusal(payment) is None


def _can_decline(payment: Payment) -> bool:
    return payment.facts.withdrawn is None


def read_with_trail(
    payment_id: str, read: Callable[[str], list[dict[str, Any]]] | None = None
) -> tuple[PaymentItem, list[dict[str, Any]]]:
    """Read a payment and its audit trail; again if a commit came between: that looks like tampering.

    `read` reads the trail, by default as `queries.audit_trail`.
    """
    if not payment_id.startswith("pay_") or len(payment_id) > MAX_ID_LENGTH:
        raise NotFound("There is no payment with this id.")
    for _ in retry.attempts(retry.AUDIT_READ):
        items = payments_by_id([payment_id])
        if not items:
            raise NotFound("There is no payment with this id.")
        trail = (read or queries.audit_trail)(payment_id)
        if len(trail) == int(items[0].version):
            break
    return items[0], trail


def _chain(broken: audit.Broken | None) -> dict[str, Any]:
    return {"verified": broken is None, "problem": f"record {broken.seq}: {broken.why}" if broken else None}


# --- disputes ---


def disputes(state: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of disputes: the `open` ones by deadline, or those that are `over`, newest first.

    `limit` counts payments. A payment that is disputed twice has both disputes in the page.
    """
    if state not in (None, *payment_list.DISPUTED):
        raise Unprocessable("state must be open or over", field="state")
    state = state or "open"
    list_id = f"disputes:{state}"
    after = Cursor.decode(cursor, list_id) if cursor else None
    partition = queries.by_dispute_due(state)
    items, last = queries.page_of_payments(partition, limit, after, descending=state == "over", stage="dispute")
    rows = [
        _dispute_row(view, dispute_id)
        for view in payment_list.load_views(items)
        for dispute_id, _ in facts_json.oldest_first(view.payment.facts.disputes)
    ]
    return {"disputes": rows, "next_cursor": last.encode(list_id) if last else None}


def _dispute_row(view: PaymentView, dispute_id: str) -> dict[str, Any]:
    names = ("payment_id", "user_id", "email", "track", "membership")
    open_reasons = {reason.name: view.reason_json(reason) for reason in view.attention}
    return {
        **facts_json.dispute_json(view.payment, dispute_id),
        **{name: getattr(view.payment, name) for name in names},
        "plan_id": view.payment.plan,
        "payment_status": view.payment.status,
        "enrollment": view.enrollment,
        "attention": open_reasons.get(f"{attention.DISPUTE}{dispute_id}"),
    }


# --- refund requests ---


def refund_requests(state: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of the refund requests that await approval, the oldest request first."""
    if state not in (None, "awaiting_approval"):
        raise Unprocessable("state must be awaiting_approval", field="state")
    after = Cursor.decode(cursor, "refund-requests") if cursor else None
    partition = queries.by_refund_request("awaiting_approval")
    items, last = queries.page_of_payments(partition, limit, after, descending=False, stage="refund-request")
    rows = [
        _refund_request_row(view, request)
        for view in payment_list.load_views(items)
        for request in view.payment.requests
        if request.state == "awaiting_approval"  # the index may lag behind its table
    ]
    return {"refund_requests": rows, "next_cursor": last.encode("refund-requests") if last else None}


def _refund_request_row(view: PaymentView, request: RefundRequest) -> dict[str, Any]:
    payment = view.payment
    names = ("payment_id", "user_id", "email", "track", "membership", "paid_at", "refundable_amount")
    return {
        **staff_request_json(request, payment),
        **{name: getattr(payment, name) for name in names},
        "plan_id": payment.plan,
        "payment_status": payment.status,
        "disputed": bool(payment.facts.disputes),
        "can_approve": _can_approve(payment),
        "can_decline": _can_decline(payment),
        "refund_due_by": payment.refund_due_by,
        "enrollment": view.enrollment,
    }


# --- quarantine ---


def quarantined_events(limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of the quarantine, newest first, without the events' bodies."""
    items, last = queries.page_of_quarantine(limit, Cursor.decode(cursor, "quarantine") if cursor else None)
    return {
        "events": [_quarantined_json(item) for item in items],
        "next_cursor": last.encode("quarantine") if last else None,
    }


def quarantined_event(event_id: str) -> dict[str, Any]:
    """Return one quarantined event, as Stripe sent it except for secrets and personal data. Raises `NotFound`.

    A discarded event has no payload any more.
    """
    item = quarantine.read(event_id)
    payload = json.loads(item.event) if item.event else None
    return {"event": {**_quarantined_json(item), "payload": payload, "discarded": item.discarded}}


def _quarantined_json(item: QuarantineItem) -> dict[str, Any]:
    names = ("event_id", "reason", "first_at", "last_at")
    return {**{name: getattr(item, name) for name in names}, "tries": int(item.tries)}


# --- a user ---


def user(user_id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a user with a page of their payments, their enrollments, Stripe customer, notes and own audit chain.

    Raises `NotFound` if nothing is stored for this user id.
    """
    require_user_id(user_id)
    views, next_cursor = payment_list.of_user(user_id, limit, cursor)
    items = queries.user_items(user_id)
    customers = dynamodb.batch_get({CustomerItem: [keys.customer_key(user_id)]})[CustomerItem]
    if not (views or cursor or items or customers):
        raise NotFound("Nothing is stored for this user id.")
    version, head = mapping.chain_head(items.get(keys.USER_SORT_KEY))
    first = max(1, version - MAX_OWN_RECORDS + 1)
    trail = queries.newest_of_trail(user_id, first, version)
    problems = standings.problems(user_id, items)
    customer = CustomerItem.from_raw_data(customers[0]) if customers else CustomerItem(user_id)
    return {
        "user": {
            "user_id": user_id,
            "email": views[0].payment.email if views else None,
            "email_delivery": effects.delivery_problem(customer.email or (views[0].payment.email if views else None)),
            "customer": _customer_json(customer) if customer.stripe_customer_id else None,
            "purchases": _purchases_json(customer),
            "legal_hold": legal_holds.to_json(customer),
            "erasure": erasures.for_staff(erasure) if (erasure := Erasure.from_json(customer.erasure)) else None,
            "history": {
                "disputes": len(customer.disputes or ()),
                "disputes_lost": len(customer.lost_disputes or ()),
                "refunds": len(customer.refunds or ()),
            },
            "refunded_payments": _refunded_payments(items),
        },
        "enrollments": student.enrollments_json(items),
        "payments": [view.json() for view in views],
        "next_cursor": next_cursor,
        "plans": _plans(user_id),
        "notes": notes.shown(NoteTopic(user_id)),
        "audit": trail,
        "chain": _chain(audit.verify(user_id, trail, version, head, first)),
        "standings": {"verified": not problems, "problems": [problem.to_json() for problem in problems]},
    }


def _plans(user_id: str) -> list[dict[str, Any]]:
    """Return the newest plans of a user."""
    from tuition.views import staff_plans  # few students have a plan, and each cold start would pay for its modules

    return staff_plans.of_user(user_id, MAX_PLANS)


def _refunded_payments(items: Mapping[str, Item]) -> dict[str, int]:
    """Return for each track or membership how many of the user's grantors have a refund, if any has."""
    products = [product for product in catalog.codes() if product in items]
    counts = {product: len(mapping.enrollment_from_raw(items[product]).refunded) for product in products}
    return {product: count for product, count in counts.items() if count}


def purchases(user_id: str) -> dict[str, Any]:
    """Return whether a user may buy, and what blocks them."""
    raw = dynamodb.batch_get({CustomerItem: [keys.customer_key(user_id)]})[CustomerItem]
    return {"purchases": _purchases_json(CustomerItem.from_raw_data(raw[0]) if raw else CustomerItem(user_id))}


def legal_hold(user_id: str) -> dict[str, Any]:
    """Return whether staff hold a user's data."""
    raw = dynamodb.batch_get({CustomerItem: [keys.customer_key(user_id)]})[CustomerItem]
    return {"legal_hold": legal_holds.to_json(CustomerItem.from_raw_data(raw[0]) if raw else CustomerItem(user_id))}


def require_user_id(user_id: str) -> str:
    """Return a text that can be a user id. Raises `NotFound` for any other."""
    if not is_user_id(user_id):
        raise NotFound("Nothing is stored for this user id.")
    return user_id


def _purchases_json(item: CustomerItem) -> dict[str, Any]:
    blocks = mapping.blocks_from_item(item)
    return {
        "blocked": bool(blocks.blocking),
        "blocking": list(blocks.blocking),
        "lost_disputes": sorted(blocks.lost_disputes),
        "allowed": sorted(blocks.allowed),
        "decision": item.purchase_decision,
    }


# --- books ---


def books() -> dict[str, Any]:
    """Return the result of the daily audit, with what one that is not finished has found. Null before the first."""
    from tuition.core import books  # for one route only, so it is not loaded at INIT

    return books.shown(cursors.read_report(), cursors.read_plan(cursors.DAILY)[1])


def _customer_json(item: CustomerItem) -> dict[str, Any]:
    return {
        "stripe_customer_id": item.stripe_customer_id,
        "stripe_url": payment_json.dashboard_url("customers", item.stripe_customer_id),
        "generation": int(item.generation),
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }
