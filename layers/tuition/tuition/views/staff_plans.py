"""The views of staff about plans: a list, one plan whole, and the cash that all of them are expected to bring in."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any, Literal

from tuition import clock, retry
from tuition.core import (
    audit,
    plan_attempts,
    plan_attention,
    plan_checks,
    plan_explanation,
    plan_forecast,
    plan_outcomes,
    plan_schedule,
    timestamps,
)
from tuition.core.audit import Broken
from tuition.core.errors import NotFound, Unprocessable
from tuition.core.plan import Plan
from tuition.core.plan_attempts import WhyNone
from tuition.core.plan_facts import Announced, PlanDecision
from tuition.core.plan_outcomes import Choice
from tuition.core.refs import is_plan
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.settings import school_time_zone
from tuition.storage import ledger, queries, switches
from tuition.storage.queries import Cursor
from tuition.views import payment_list, plan_json, plan_list
from tuition.views.payment_json import PaymentView
from tuition.views.plan_list import PlanFilters

CollectRefusal = WhyNone | Literal["stopped"]
"""Why a plan cannot be charged now. `stopped`: staff have stopped the charges of all plans."""
MAX_PAYMENTS = 24
"""Of a plan that its page shows, the newest. Each costs a query of its audit trail."""
METHOD_TIMES = ("set_up", "updated", "replaced", "gone")
MAX_MONTHS = 24
"""Of a forecast."""
FORECAST_BATCH, BATCHES_PER_ANSWER = 100, 5
"""Plans of one batch of the forecast, and batches of one answer."""


def listed(chosen: PlanFilters, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of plans. Raises `Unprocessable`."""
    page, next_cursor = plan_list.page(chosen, limit, cursor)
    return {"plans": with_emails(page), "next_cursor": next_cursor}


def with_emails(page: Iterable[Plan]) -> list[dict[str, Any]]:
    """Return plans as staff see them in a list, each with the email address of its newest payment."""
    shown = list(page)
    newest = {plan.plan_id: _newest_payment(plan) for plan in shown}
    items = queries.payments_by_id([payment_id for payment_id in newest.values() if payment_id])
    emails = {item.payment_id: item.email for item in items}
    return [_staff_json(plan, emails.get(newest[plan.plan_id] or "")) for plan in shown]


def _newest_payment(plan: Plan) -> str | None:
    return max(((part.number, payment_id) for payment_id, part in plan.parts.items()), default=(0, None))[1]


def of_user(user_id: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest plans of a user."""
    return with_emails(islice(queries.plans_of_user(user_id), limit))


def _staff_json(plan: Plan, email: str | None) -> dict[str, Any]:
    return {
        **plan_json.student_json(plan),
        "user_id": plan.user_id,
        "email": email,
        "version": plan.version,
        "attention": [vars(reason) for reason in plan_attention.unacknowledged(plan)],
    }


def load(plan_id: str) -> Plan:
    """Read a plan. Raises `NotFound`."""
    if not (is_plan(plan_id) and plan_id.isascii() and len(plan_id) <= MAX_ID_LENGTH):
        raise NotFound("There is no plan with this id.")
    return ledger.load_plan(plan_id).existing_plan


# --- one plan ---


def details(plan_id: str) -> dict[str, Any]:
    """Return a plan with its payments, facts and boundaries ahead, all records in one timeline, and what is possible.

    Raises `NotFound`.
    """
    plan, views, trails, broken, more = _with_trails(plan_id)
    now = plan_outcomes.time_of(plan, int(clock.now()))
    records = sorted(
        (record for trail in trails.values() for record in trail),
        key=lambda record: (record["at"], record["subject"] == plan_id, record["subject"], record["seq"]),
    )
    return {
        "plan": with_emails([plan])[0],
        "sentence": plan_explanation.for_staff(plan),
        "payments": [view.json() for view in views],
        "more_payments": more,
        "facts": facts_json(plan),
        "boundaries": [
            {"at": timestamps.iso(one.at), "day": plan.terms.day_of(one.at), "name": one.name, "seq": one.seq}
            for one in plan_schedule.ahead(plan)
        ],
        "actions": [_choice_json(choice) for choice in plan_outcomes.choices(plan, now)],
        "collect_refusal": _collect_refusal(plan, now),
        "audit": records,
        "chains": [
            {"subject": subject, "verified": one is None, "problem": f"record {one.seq}: {one.why}" if one else None}
            for subject, one in broken.items()
        ],
    }


def _collect_refusal(plan: Plan, now: int) -> CollectRefusal | None:
    attempt = plan_attempts.attempt_now(plan, now)
    if isinstance(attempt, str):
        return attempt
    return None if switches.load("collecting").on else "stopped"


def facts_json(plan: Plan) -> dict[str, Any]:
    """Return the facts of a plan: its decisions, announcements, charges without the student, and payment methods."""
    facts = plan.facts
    tries = sorted(facts.tries.items(), key=lambda one: (one[1].at, one[0]))
    return {
        "observed": _iso(facts.observed or None),
        "decisions": [
            {"id": key, **_decision_json(one)}
            for key, one in sorted(facts.decisions.items(), key=lambda one: (one[1].version, one[0]))
        ],
        "announcements": [
            {**Announced.of(key)._asdict(), "at": timestamps.iso(at), "bounced": _iso(facts.bounced.get(key))}
            for key, at in sorted(facts.announced.items(), key=lambda one: Announced.of(one[0]))
        ],
        "tries": [
            {
                "occasion": key,
                "at": timestamps.iso(one.at),
                "seq": one.seq,
                "payment_id": one.payment_id or None,
                "answer": {**one.answer._asdict(), "at": timestamps.iso(one.answer.at)} if one.answer else None,
            }
            for key, one in tries
        ],
        "payment_methods": [
            {"id": key, "type": one.type, **{name: _iso(getattr(one, name)) for name in METHOD_TIMES}}
            for key, one in facts.methods.items()
        ],
    }


def _decision_json(one: PlanDecision) -> dict[str, Any]:
    stored = {**asdict(one), "at": timestamps.iso(one.at), "seqs": list(one.seqs), "accepts": list(one.accepts)}
    return {name: value for name, value in stored.items() if name != "version"}


def _choice_json(choice: Choice) -> dict[str, Any]:
    decision = choice.decision
    return {
        "decision": decision.decision,
        "seq": decision.seqs[0] if decision.decision in ("waive", "reschedule") else None,
        "refund": decision.refund,
        "earliest": decision.to,
        "latest": choice.latest,
        "after": choice.outcome._asdict(),
    }


def _iso(at: int | None) -> str | None:
    return None if at is None else timestamps.iso(at)


_Read = tuple[Plan, list[PaymentView], dict[str, list[dict[str, Any]]], dict[str, Broken | None], bool]


def _with_trails(plan_id: str) -> _Read:
    """Read a plan and its newest payments, each with its trail, and verify the chains.

    They are read again if a commit came between, which would look like tampering.
    """
    for _ in retry.attempts(retry.AUDIT_READ):
        plan = load(plan_id)
        views, more = _payments(plan)
        trails = {plan_id: queries.audit_trail(plan_id)}
        trails |= {view.payment.payment_id: queries.audit_trail(view.payment.payment_id) for view in views}
        broken: dict[str, Broken | None] = {plan_id: plan_checks.broken(plan, trails[plan_id])}
        for view in views:
            payment = view.payment
            broken[payment.payment_id] = audit.verify_payment(payment, trails[payment.payment_id])
        if not any(broken.values()):
            break
    return plan, views, trails, broken, more


def _payments(plan: Plan) -> tuple[list[PaymentView], bool]:
    """Read the newest payments of a plan, and whether there are more. The index may lag behind, the plan does not."""
    page, last = queries.page_of_payments(
        queries.by_plan(plan.plan_id), MAX_PAYMENTS, None, descending=True, stage="listed"
    )
    newest = sorted(plan.parts, key=lambda key: plan.parts[key].number, reverse=True)[:MAX_PAYMENTS]
    present = {item.payment_id for item in page}
    page += queries.payments_by_id([key for key in newest if key not in present])
    page.sort(key=lambda item: (item.created_at, item.payment_id), reverse=True)
    return payment_list.load_views(page[:MAX_PAYMENTS]), last is not None or len(page) > MAX_PAYMENTS


# --- the forecast ---


def forecast(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the cash that is expected in this month and the following ones, from the next plans of the list.

    `read` is how many plans were read. Add up the answers until there is no `next_cursor`. Raises `Unprocessable`.
    """
    today = timestamps.day_of(clock.now(), school_time_zone())
    months = plan_forecast.months_from(today, _months(query))
    list_id = f"forecast:{months[0]}:{len(months)}"
    after = Cursor.decode(query["cursor"], list_id) if "cursor" in query else None
    partitions = [shard for status in plan_forecast.STATUSES for shard in queries.plans_by_status(status)]
    positions = plan_list.by_due(partitions, "0", f"{months[-1]}~", after, FORECAST_BATCH + 1)
    sums: dict[tuple[str, str], dict[str, int]] = {}
    read, last = 0, None
    for _ in range(BATCHES_PER_ANSWER):
        batch = list(islice(positions, FORECAST_BATCH))
        last = batch[-1] if batch else None
        read += len(batch)
        for plan in queries.plans_by_id(position.item_id for position in batch):
            _add(sums, plan, today, months)
        if last is None:
            break
    more = last is not None and next(positions, None) is not None
    rows = [{"month": month, "currency": currency, **amounts} for (month, currency), amounts in sorted(sums.items())]
    return {"months": rows, "read": read, "next_cursor": last.encode(list_id) if last and more else None}


def _add(sums: dict[tuple[str, str], dict[str, int]], plan: Plan, today: str, months: list[str]) -> None:
    for one in plan_forecast.expected(plan, today, months):
        amounts = sums.setdefault((one.month, plan.terms.currency), {"due": 0, "at_risk": 0, "installments": 0})
        amounts["due"] += one.amount
        amounts["at_risk"] += one.amount if one.at_risk else 0
        amounts["installments"] += 1


def _months(query: Mapping[str, str]) -> int:
    months = query.get("months", "6")
    if not (months.isascii() and months.isdigit() and len(months) <= 2 and 1 <= int(months) <= MAX_MONTHS):
        raise Unprocessable(f"months must be a number from 1 to {MAX_MONTHS}", field="months")
    return int(months)
