"""A student's agreement to pay a track in installments, or a membership. Its status is derived, and only here.

Time changes a plan only by the fact that a boundary has passed. So the same facts lead to the same status on every day.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from tuition.core import enrollment as enrollments
from tuition.core import plan_facts, plan_schedule, timestamps
from tuition.core.enrollment import Standing
from tuition.core.payment import Payment
from tuition.core.plan_basis import PlanBasis
from tuition.core.plan_facts import PlanFacts
from tuition.core.plan_parts import newest_closed, part_of
from tuition.core.refs import PaymentRef

Status = Literal["OPEN", "ACTIVE", "LATE", "SUSPENDED", "PAUSED", "COMPLETE", "CLOSED", "REFUNDED", "ABANDONED"]
STATUSES: tuple[Status, ...] = (
    *("OPEN", "ACTIVE", "LATE", "SUSPENDED", "PAUSED", "COMPLETE", "CLOSED", "REFUNDED", "ABANDONED"),
)
GRANTING: frozenset[Status] = frozenset({"ACTIVE", "LATE", "COMPLETE"})
"""The statuses that give access, unless staff have revoked it. A pause says itself whether it does."""

CloseReason = Literal["gave_up", "lapsed", "ended", "staff"]
StoppedBy = plan_schedule.Interruption | Literal["refund_request", "cancellation"]


@dataclass(frozen=True, kw_only=True)
class Plan(PlanBasis):
    """A plan as it was loaded, or as it would be after a merge.

    It is for one `track`, or for a `membership` by its code in the catalog. `attempt` is its number among the user's
    attempts for it. `version` counts its commits. `records` counts the records of its own chain, `audit_head` is the
    hash of the newest. Times are RFC 3339 UTC.
    """

    plan_id: str
    user_id: str
    track: str | None
    membership: str | None
    attempt: int
    created_at: str
    updated_at: str
    version: int = 0
    records: int = 0
    audit_head: str = ""

    # --- changes ---

    def merged(self, facts: PlanFacts) -> "Plan":
        """Return this plan with these facts too."""
        return replace(self, facts=plan_facts.merge(self.facts, facts))

    def with_payment(self, payment: Payment) -> "Plan":
        """Return this plan with what a payment means for it now."""
        part = part_of(payment)
        plan = self.without_payment(payment.payment_id)
        plan = replace(plan, parts=newest_closed({**plan.parts, payment.payment_id: part})) if part else plan
        return plan.merged(PlanFacts(last_number=payment.attempt, erased=payment.facts.erased))

    def without_payment(self, payment_id: str) -> "Plan":
        """Return this plan without a payment."""
        return replace(self, parts={key: part for key, part in self.parts.items() if key != payment_id})

    @property
    def next_number(self) -> int:
        """The number of the next payment."""
        return self.facts.last_number + 1

    # --- status ---

    @cached_property
    def status(self) -> Status:
        """The status, derived from the facts and parts."""
        return self._status(paused=self.pause is not None)

    def _status(self, *, paused: bool) -> Status:
        if self.ended_by == "money_back" or self.is_all_back:
            return "REFUNDED"
        if self.ended_by == "closed":
            return "CLOSED"
        if not self.started:
            return "ABANDONED" if all(part.is_closed for part in self.parts.values()) else "OPEN"
        if self.taken:
            return "CLOSED" if plan_schedule.had_ended(self) else "SUSPENDED"
        if self.first_owed is None:
            return "COMPLETE"
        if plan_schedule.passed(self, "period_end"):
            return "CLOSED"
        return "PAUSED" if paused else self._status_by_dates()

    def _status_by_dates(self) -> Status:
        if self.first_owed is None or not self.is_trusted(self.first_owed):
            if plan_schedule.passed(self, "give_up"):
                return "CLOSED"
            if plan_schedule.passed(self, "grace_over"):
                return "CLOSED" if self.terms.endless else "SUSPENDED"
        return "LATE" if plan_schedule.passed(self, "due") else "ACTIVE"

    @property
    def close_reason(self) -> CloseReason | None:
        """Why the plan is CLOSED: we gave up, an unpaid membership lapsed, a canceled one ended, or staff closed it."""
        if self.status != "CLOSED":
            return None
        if self.ended_by:
            return "staff"
        if plan_schedule.passed(self, "period_end"):
            return "ended"
        return "lapsed" if self.terms.endless else "gave_up"

    @property
    def grants_access(self) -> bool:
        """Whether it gives its user access now."""
        if self.is_revoked:
            return False
        if self.status == "PAUSED" and self.pause is not None:
            if self.pause.access is not None:
                return self.pause.access
            return self._status(paused=False) in GRANTING
        return self.status in GRANTING

    @property
    def payable(self) -> bool:
        """Whether the student can pay an installment now, if no payment is processing."""
        if self.first_owed is None or (self.is_ending and not self.taken):
            return False
        is_open = self.status in ("OPEN", "ACTIVE", "LATE", "SUSPENDED", "PAUSED")
        return is_open or self.close_reason == "gave_up"

    @property
    def blocks_purchase(self) -> bool:
        """Whether its student must pay the rest of it, and cannot buy the same track outright."""
        return self.payable and self.started

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected to happen to it: its user's data can be erased."""
        waits = self.status == "OPEN" or self.payable or self.charged_off_session or bool(self.money_due or self.held)
        return not (waits or any(part.open or part.refunding or part.requested for part in self.parts.values()))

    @property
    def stopped_by(self) -> StoppedBy | None:
        """The reason why nothing is announced or charged, whatever the status; None if there is none."""
        interruption = plan_schedule.interruption(self)
        if interruption:
            return interruption
        if self.requested_payment:
            return "refund_request"
        return "cancellation" if self.is_ending else None

    @property
    def requested_payment(self) -> str | None:
        """The id of the payment whose refund request awaits staff; None without one. It is about the whole plan."""
        return next((key for key, part in self.parts.items() if part.requested), None)

    @property
    def may_collect(self) -> bool:
        """Whether nothing stops announcements and charges."""
        return self.stopped_by is None

    @property
    def charged_off_session(self) -> bool:
        """Whether an installment that is due may be charged without the student."""
        return self.status in ("ACTIVE", "LATE") and self.may_collect

    # --- its enrollment ---

    @property
    def product(self) -> str:
        """The code of what it buys: a track or a membership."""
        return self.track or self.membership or ""

    def payment_ref(self, payment_id: str) -> PaymentRef:
        """Return the ids of a payment of it."""
        return PaymentRef(payment_id, self.user_id, self.product)

    @property
    def tracks(self) -> tuple[str, ...]:
        """The tracks to which it gives access: its own, or those that a member has begun."""
        return (self.track,) if self.track else tuple(self.facts.tracks)

    @property
    def standing(self) -> Standing:
        """Its standing in the enrollment of each of its tracks."""
        return Standing(
            attempt=self.attempt,
            open=self.status == "OPEN" and any(part.open for part in self.parts.values()),
            grants=self.grants_access,
            granted=self.started,
            holds_funds=self.holds_funds,
            revoked=self.is_revoked,
            refunded=any(part.refunds or part.refunding for part in self.parts.values()),
            withdrawn=self.ended_by == "money_back",
            suspended=self.status in ("SUSPENDED", "PAUSED") and not (self.grants_access or self.is_revoked),
        )

    @property
    def enrollment(self) -> enrollments.Status | None:
        """The status of an enrollment that has no other grantor."""
        return self.standing.status

    # --- money and days ---

    @property
    def outstanding(self) -> int:
        """The amount that the student still has to pay. Of a membership, only that of the period that is due."""
        if not self.payable:
            return 0
        if self.terms.endless and self.started and not self.taken and not plan_schedule.passed(self, "due"):
            return 0
        return self.terms.amount_of(self.owed).amount

    @property
    def money_due(self) -> dict[str, int]:
        """The amounts that must still be refunded, by payment id, after the plan ended with all money back.

        None while staff still decide when, and none of what is `held`.
        """
        if self.ended_by != "money_back" or self.awaits_staff:
            return {}
        due = {key: part.refundable for key, part in self.parts.items() if part.refundable > 0 and not part.refunding}
        return {key: amount for key, amount in due.items() if key not in self.held}

    @property
    def paid_through(self) -> str | None:
        """The first day that a member has not paid; None for installments, and before the first payment."""
        if not self.terms.endless or self.first_owed is None:
            return None
        return plan_schedule.due_day(self, self.first_owed)

    @property
    def access_until(self) -> str | None:
        """The last day of access if nothing more is paid; None without access, or if no day is known."""
        ends = [one for one in plan_schedule.ahead(self) if one.name in ("grace_over", "period_end")]
        return timestamps.day_after(self.terms.day_of(ends[0].at), -1) if ends and self.grants_access else None

    @property
    def cancel_at(self) -> str | None:
        """The day on which a membership that was canceled ends; None for any other plan."""
        return plan_schedule.end_day(self)


def plan_id(environment: str, user_id: str, subject: str, attempt: int, params: Mapping[str, Any]) -> str:
    """Return the id of a plan: the same request has the same id. `subject` is its track or membership."""
    return "pln_" + _digest([environment, user_id, subject, attempt, params])


def payment_id(environment: str, plan: Plan, covers: tuple[int, ...], params: Mapping[str, Any]) -> str:
    """Return the id of the plan's next payment, if it covers these installments. It is the create's idempotency key.

    `params` are the parameters of Stripe's create, without metadata. Two requests for the same installments have the
    same id, and so the same object at Stripe. Requests for other installments never share one.
    """
    return "pay_" + _digest([environment, plan.plan_id, list(covers), plan.next_number, params])


def _digest(request: list[Any]) -> str:
    text = json.dumps(request, sort_keys=True, separators=(",", ":"))
    return base64.b32encode(hashlib.sha256(text.encode()).digest()[:15]).decode().lower()
