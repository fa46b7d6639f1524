"""A payment, its plan, and the enrollments that they belong to, as they are loaded and committed together."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tuition.core import attention
from tuition.core import payment as payments
from tuition.core.attention import AttentionReason
from tuition.core.enrollment import Enrollment
from tuition.core.errors import NotFound
from tuition.core.limits import NO_LIMITS, Limits
from tuition.core.payment import Payment

if TYPE_CHECKING:
    from tuition.core.plan import Plan


@dataclass(frozen=True)
class PaymentState:
    """A payment, its plan and its enrollment, read together. `payment` is None if it does not exist (yet).

    `enrollment` is that of the track or membership that is paid. `limits` is what their user has used up of their
    limits. `plan` is None for a payment without one; without a `payment`, the state is that of the plan. `others` are
    the enrollments of the tracks that a member has begun. `lost_plan`: the plan's item is missing, and `plan` is what
    its records and payments show.
    """

    payment: Payment | None
    enrollment: Enrollment
    limits: Limits = NO_LIMITS
    plan: "Plan | None" = None
    others: tuple[Enrollment, ...] = ()
    lost_plan: bool = False

    @property
    def existing(self) -> Payment:
        """The payment. Raises `NotFound` if it does not exist."""
        if self.payment is None:
            raise NotFound("There is no such payment.")
        return self.payment

    @property
    def existing_plan(self) -> "Plan":
        """The plan. Raises `NotFound` if there is none."""
        if self.plan is None:
            raise NotFound("There is no such plan.")
        return self.plan

    @property
    def enrollments(self) -> tuple[Enrollment, ...]:
        """The enrollment and the others."""
        return self.enrollment, *self.others

    @cached_property
    def attention(self) -> list[AttentionReason]:
        """The reasons that staff have not acknowledged, computed once."""
        if self.payment is None:
            return []
        reasons = attention.unacknowledged(self.payment, double=bool(self.enrollment.doubled))
        if self.payment.plan and self.plan is None:
            detail = f"its plan {self.payment.plan} is missing, so it gives no access"
            reasons.append(AttentionReason("plan_missing", self.payment.plan, detail))
        return reasons

    @cached_property
    def declines(self) -> dict[str, int]:
        """The charges of the payment that its student tried and that failed, and when (epoch seconds).

        Those that we tried without the student are left out: they say nothing about who tests cards.
        """
        if self.payment is None:
            return {}
        declines = payments.declines(self.payment.facts)
        if self.plan is None or not self.plan.facts.tries:
            return declines
        from tuition.core import plan_attempts  # most payments are of no plan

        ours = plan_attempts.charges(self.plan, self.payment)
        return {key: at for key, at in declines.items() if key not in ours}

    @cached_property
    def plan_attention(self) -> list[AttentionReason]:
        """The reasons why the plan needs attention that staff have not acknowledged."""
        if self.plan is None:
            return []
        from tuition.core import plan_attention  # most commits are of no plan

        return plan_attention.unacknowledged(self.plan)

    def with_payment(self, payment: Payment, plan: "Plan | None" = None) -> "PaymentState":
        """Return the state to which a payment leads: its plan has its part, and each enrollment its grantor's standing.

        `plan` is the plan with what else changes in it.
        """
        after = replace(self, payment=payment)
        if payment.plan is None:
            return replace(after, enrollment=self.enrollment.with_payment(payment))
        plan = plan or self.plan
        return after if plan is None else after.with_plan(plan.with_payment(payment))

    def with_plan(self, plan: "Plan") -> "PaymentState":
        """Return the state to which a plan leads: each enrollment has the plan's standing."""
        enrollment, *others = (_with_plan(one, plan) for one in self.enrollments)
        return replace(self, plan=plan, enrollment=enrollment, others=tuple(others))


def _with_plan(enrollment: Enrollment, plan: "Plan") -> Enrollment:
    """Return an enrollment with the standing of a plan, if the plan is for its track or membership."""
    if enrollment.track not in (plan.product, *plan.tracks):
        return enrollment
    after = enrollment.with_standing(plan.plan_id, plan.standing)
    is_own = enrollment.track == plan.product
    attempt = max(enrollment.attempt, plan.attempt) if is_own else enrollment.attempt
    return replace(after, attempt=attempt, erased=enrollment.erased or plan.facts.erased)
