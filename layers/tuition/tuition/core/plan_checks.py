"""Whether a stored plan is what its payments and its records lead to, and explains the access that it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuition.core import audit, recorded_plan_facts
from tuition.core.audit import Broken
from tuition.core.enrollment import Enrollment
from tuition.core.payment import Payment
from tuition.core.plan import Plan
from tuition.core.plan_parts import Part, newest_closed, part_of


def standing_problem(enrollment: Enrollment, plan_id: str, plan: Plan | None) -> str | None:
    """Return why the standing of a plan must not grant access: the plan does not. None if it grants none.

    `plan` is the plan that is stored under this id, if any, with the parts that its payments show.
    """
    if not enrollment.standings[plan_id].grants:
        return None
    if plan is None:
        return "it grants access, but there is no such plan"
    if plan.user_id != enrollment.user_id or enrollment.track not in (plan.product, *plan.tracks):
        return "it grants access, but its plan is of another user or track"
    if not plan.grants_access:
        return f"it grants access, but by its payments its plan is {plan.status} and does not"
    return None


def of_payments(plan: Plan, payments: Mapping[str, Payment]) -> Plan:
    """Return a plan with the parts that these payments of it show, by their ids, and without any other part."""
    of_plan = {key: part_of(payment) for key, payment in payments.items() if payment.plan == plan.plan_id}
    parts = {key: _as_stored(part, plan.parts.get(key)) for key, part in of_plan.items() if part}
    return replace(plan, parts=newest_closed(parts))


def _as_stored(part: Part, stored: Part | None) -> Part:
    """Return a part with the stored payment methods if its payment was deleted in its time: records name none."""
    methods = [part.method, *(decline.method for decline in part.declines.values())]
    if stored is None or recorded_plan_facts.NOT_RECORDED not in methods:
        return part
    return replace(part, method=stored.method, method_type=stored.method_type, declines=stored.declines)


def broken(plan: Plan, trail: Sequence[Mapping[str, Any]]) -> Broken | None:
    """Check the records of a plan's own chain as `audit.verify` does, and that they lead to the facts of its item."""
    problem = audit.verify(plan.plan_id, trail, plan.records, plan.audit_head)
    if problem:
        return problem
    fact = recorded_plan_facts.difference(sorted(trail, key=lambda one: int(one["seq"])), plan.facts)
    return Broken(plan.records, f"the plan has other {fact} than its records") if fact else None
