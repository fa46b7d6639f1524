"""The plans of a student, and every amount of one of them."""

import itertools
from contextlib import suppress
from typing import Any

from tuition.core import timestamps
from tuition.core.errors import NotFound
from tuition.core.payment import REDUCING_REFUNDS, Payment, lost_to
from tuition.core.plan import Plan
from tuition.payments import own_plans, status
from tuition.storage import mapping, queries
from tuition.storage.queries import Cursor
from tuition.views import plan_json

LIST_ID = "my-plans"
KINDS = ("requested", "received", "refunded", "lost")
"""The kinds of lines in a statement."""
_SECOND = len("2026-11-23T18:30:00")
"""Stripe's times have no fractions, so lines of one second are listed payment by payment."""


def plans(user_id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of a user's plans, newest first."""
    after = Cursor.decode(cursor, LIST_ID).listed_before() if cursor else None
    rest = (one for one in queries.plans_of_user(user_id) if after is None or _listed_at(one) < after)
    page = list(itertools.islice(rest, limit + 1))
    last = page[limit - 1] if page[limit:] else None
    next_cursor = Cursor("listed", _listed_at(last), "").encode(LIST_ID) if last else None
    return {"plans": [plan_json.student_json(one) for one in page[:limit]], "next_cursor": next_cursor}


def _listed_at(plan: Plan) -> str:
    return f"{plan.created_at}#{plan.plan_id}"


def plan(plan_id: str, user_id: str) -> dict[str, Any]:
    """Return a user's own plan. A payment of it that is open is synced first, as `status` does. Raises `NotFound`."""
    state = own_plans.load(plan_id, user_id)
    open_payments = state.existing_plan.open_payments
    for payment_id in open_payments:
        with suppress(NotFound):  # a restore has lost it, which the next payment or run of the collector corrects
            status.synced_payment(payment_id, user_id)
    newest = own_plans.load(plan_id, user_id) if open_payments else state
    return plan_json.student_json(newest.existing_plan)


# --- the statement ---


def statement(plan_id: str, user_id: str) -> dict[str, Any]:
    """Return every amount of a user's own plan: requested, received, refunded or lost, oldest first, with ids."""
    return statement_of(own_plans.load(plan_id, user_id).existing_plan)


def statement_of(plan: Plan) -> dict[str, Any]:
    """Return every amount of a plan, as `statement` does, for staff."""
    items = queries.payments_by_id([key for key, part in plan.parts.items() if not part.is_closed])
    payments = sorted(map(mapping.payment_from_item, items), key=lambda payment: payment.attempt)
    lines = [line for payment in payments for line in _lines(payment)]
    sums = {name: sum(line["amount"] for line in lines if line["kind"] == name) for name in KINDS}
    return {
        "plan_id": plan.plan_id,
        "currency": plan.terms.currency,
        "lines": sorted(lines, key=lambda line: line["at"][:_SECOND]),
        **sums,
        "balance": sums["received"] - sums["refunded"] - sums["lost"],
    }


def _lines(payment: Payment) -> list[dict[str, Any]]:
    def line(kind: str, at: str, amount: int, stripe_id: str | None) -> dict[str, Any]:
        seqs = list(payment.covers)
        names = {"payment_id": payment.payment_id, "id": stripe_id}
        return {"at": at, "kind": kind, "seqs": seqs, "amount": amount, **names}

    facts = payment.facts
    lines = [line("requested", payment.created_at, payment.price.amount, None)]
    if facts.settled:
        lines.append(line("received", str(payment.paid_at), facts.settled.amount, payment.stripe_charge_id))
    for refund_id, refund in facts.refunds.items():
        if refund.status in REDUCING_REFUNDS:
            lines.append(line("refunded", timestamps.iso(refund.created), refund.amount, refund_id))
    for dispute_id, dispute in facts.disputes.items():
        lost = lost_to(dispute, facts.settled.currency if facts.settled else None)
        if lost:
            lines.append(line("lost", timestamps.iso(dispute.created), lost, dispute_id))
    return lines
