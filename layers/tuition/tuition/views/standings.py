"""Compare what lets a user in with what must grant it.

One write to the enrollments table is enough to let a user in without a payment or a record. No transaction of ours
makes it, so it is found by comparing: whenever staff open the user, and for all users in the daily audit.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuition import clock, retry
from tuition.core import enrollment as enrollments
from tuition.core import plan_checks, retention, timestamps
from tuition.core.payment import Payment
from tuition.core.plan import Plan
from tuition.core.refs import Grantor, is_plan
from tuition.storage import keys, mapping, queries
from tuition.storage.dynamodb import Item
from tuition.storage.items import EnrollmentItem

PAYMENTS_PER_READ = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""


@dataclass(frozen=True)
class StandingProblem:
    """Something that lets a user into a track and that no grantor explains. `grantor` is the one that does not."""

    user_id: str
    track: str
    grantor: Grantor | None
    problem: str

    def to_json(self) -> dict[str, Any]:
        """Return it as staff see it, on the page of the user."""
        return {"track": self.track, "payment_id": self.grantor, "problem": self.problem}


def problems(user_id: str, items: Mapping[str, Item]) -> list[StandingProblem]:
    """Return what in a user's items, by sort key, lets them in without a grantor that gives access.

    A commit between two reads would look like a problem. So they are read again if there is one.
    """
    for attempt in retry.attempts(retry.AUDIT_READ):
        items = items if attempt == 1 else queries.user_items(user_id)
        result = _problems(user_id, items)
        if not result:
            break
    return result


def _problems(user_id: str, items: Mapping[str, Item]) -> list[StandingProblem]:
    by_track = {
        sort_key: mapping.enrollment_from_raw(item)
        for sort_key, item in items.items()
        if sort_key != keys.USER_SORT_KEY and not keys.project_of(sort_key)
    }
    granting = {key for enrollment in by_track.values() for key, one in enrollment.standings.items() if one.grants}
    stored = _payments(sorted(key for key in granting if not is_plan(key)))
    plans = plans_by_payments(sorted(filter(is_plan, granting)))
    result = []
    for track, enrollment in by_track.items():
        for grantor in enrollment.standings:
            problem = (
                plan_checks.standing_problem(enrollment, grantor, plans.get(grantor))
                if is_plan(grantor)
                else enrollments.standing_problem(enrollment, grantor, stored.get(grantor))
            )
            if problem:
                result.append(StandingProblem(user_id, track, grantor, problem))
        status = EnrollmentItem.from_raw_data(items[track]).status
        if status != enrollment.status:
            problem = f"its status is {status}, but its payments lead to {enrollment.status}"
            result.append(StandingProblem(user_id, track, None, problem))
    for sort_key, item in items.items():
        project = keys.project_of(sort_key)
        if not project or not mapping.progress_from_raw(item).unlocked:
            continue
        track = sort_key.partition("#")[0]
        if track not in by_track or by_track[track].status != "ENROLLED":
            result.append(StandingProblem(user_id, track, None, f"{project} is unlocked without an enrollment"))
    return result


def _payments(payment_ids: Sequence[str]) -> dict[str, Payment]:
    """Read payments by id, and those that were deleted in their time from their records."""
    stored = {
        item.payment_id: mapping.payment_from_item(item)
        for batch in itertools.batched(payment_ids, PAYMENTS_PER_READ, strict=False)
        for item in queries.payments_by_id(list(batch))
    }
    return stored | _deleted([key for key in payment_ids if key not in stored])


def plans_by_payments(plan_ids: Sequence[str]) -> dict[str, Plan]:
    """Read plans by id, each with the parts that its payments show: a forged part gives no access here."""
    plans = queries.plans_by_id(plan_ids) if plan_ids else []
    payments = _payments(sorted({payment_id for plan in plans for payment_id in plan.parts}))
    return {plan.plan_id: plan_checks.of_payments(plan, payments) for plan in plans}


def _deleted(payment_ids: Iterable[str]) -> dict[str, Payment]:
    """Return those of these missing payments that were deleted in their time, as their records show them."""
    now = timestamps.iso(clock.now())
    payments = {key: retention.deleted(key, queries.audit_trail(key), now) for key in payment_ids}
    return {key: payment for key, payment in payments.items() if payment}
