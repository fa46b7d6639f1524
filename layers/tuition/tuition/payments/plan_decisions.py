"""Decisions of staff about a plan, and the reasons for attention that they acknowledge.

A decision is a fact of the plan, taken on the version that staff have seen. It is committed before any refund: the
collector then makes the refunds of a closing with all money back, and closes payments that must not be paid any more.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from tuition import clock
from tuition.api import flag_field, text_field, version_field
from tuition.core import plan_attention, plan_decisions, plan_outcomes, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import Conflicted, NotFound, Unprocessable
from tuition.core.facts import Acknowledgement
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_decisions import Refusal
from tuition.core.plan_facts import MAX_DECISIONS, PlanDecision, PlanFacts
from tuition.core.plan_terms import MAX_PERIODS
from tuition.payments.refunds import MAX_TEXT_LENGTH
from tuition.storage import ledger
from tuition.storage.ledger import PlanChange

CHANGED = "This plan has changed since you read it. Reload it, then decide again."
_REASONS: dict[Refusal, str] = {
    "not_open": "This plan has ended, or has not begun, so this cannot be decided.",
    "too_many_decisions": f"This plan has {MAX_DECISIONS} decisions. You can only end it, its access or its pause.",
    "not_owed": "This installment is not owed: it is paid, waived, or not part of the plan.",
    "processing": "A bank is processing a payment of this installment. Wait for the result.",
    "invalid_day": "The new due day must be today or later, such as 2026-12-31.",
    "out_of_order": "The new due day must be between those of the installments before and after it.",
    "exceeds_give_up": "The new due day is too late: the plan would be closed as unpaid before it.",
    "not_paused": "This plan is not paused.",
    "already_decided": "This has already been decided. Reload the plan.",
    "not_a_membership": "This is only possible for a membership.",
    "not_installments": "This is not possible for a membership. Waive the period that is due instead.",
    "nothing_to_refund": "There is nothing to refund, and no refund to decide about.",
}
_FIELDS: dict[Refusal, str] = {"not_owed": "seq", "invalid_day": "to", "exceeds_give_up": "to"}


FIELDS = ("decision", "seq", "to", "refund", "access", "note", "version")
_OF_DECISION = {"seq": ("waive", "reschedule"), "to": ("reschedule",), "refund": ("close",), "access": ("pause",)}
"""The decisions to which each of these fields belongs. `access` may be left out."""


class Order(NamedTuple):
    """A decision that staff send. It is completed from the plan: see `plan_outcomes.completed`."""

    decision: plan_outcomes.StaffDecision
    version: int
    note: str
    seq: int | None = None
    to: str | None = None
    refund: Literal["all", "none"] | None = None
    access: bool | None = None

    def of(self, plan: Plan, staff: str, now: int) -> PlanDecision:
        """Return the decision about a plan."""
        decision = PlanDecision(
            version=plan.version,
            decision=self.decision,
            at=now,
            actor=staff,
            seqs=() if self.seq is None else (self.seq,),
            to=self.to,
            refund=self.refund,
            access=self.access,
            note=self.note,
        )
        return plan_outcomes.completed(plan, decision)

    def decision_id(self, plan_id: str, staff: str) -> str:
        """Return the id of the decision: an order that is sent again is the same decision."""
        return "dec_" + hashlib.sha256(f"{plan_id}:{staff}:{tuple(self)}".encode()).hexdigest()[:20]


def parse(body: Mapping[str, Any]) -> Order:
    """Read an order of staff. A field that does not belong to its decision is refused. Raises `Unprocessable`."""
    decision, to, refund, seq = (body.get(name) for name in ("decision", "to", "refund", "seq"))
    if decision not in plan_outcomes.STAFF_DECISIONS:
        raise Unprocessable(f"decision must be one of {', '.join(plan_outcomes.STAFF_DECISIONS)}", field="decision")
    for name in set(_OF_DECISION) & set(body):
        if decision not in _OF_DECISION[name]:
            raise Unprocessable(f"{name} does not belong to the decision {decision}", field=name)
    if decision in _OF_DECISION["seq"] and (type(seq) is not int or not 1 <= seq <= MAX_PERIODS):
        raise Unprocessable("seq must be the number of an installment, such as 2", field="seq")
    if decision in _OF_DECISION["to"] and not timestamps.is_day(to):
        raise Unprocessable("to must be a day such as 2026-12-31", field="to")
    if decision in _OF_DECISION["refund"] and refund not in ("all", "none"):
        raise Unprocessable("refund must be all or none", field="refund")
    version = version_field(body, "version")
    if version is None:
        raise Unprocessable("version must be the plan's version as you read it", field="version")
    note = text_field(body, "note", max_length=MAX_TEXT_LENGTH, required=True) or ""
    access = flag_field(body, "access", required=True) if "access" in body else None
    return Order(decision, version, note, seq, to, refund, access)


def decide(plan_id: str, order: Order, staff: str) -> PaymentState:
    """Take a decision about a plan. Repeating the same order changes nothing.

    Raises `NotFound`, `Conflicted` if the plan has changed or its state does not allow the decision, `Unprocessable` if
    the values do not suit the plan, and `Contended`.
    """
    decision_id = order.decision_id(plan_id, staff)

    def change(state: PaymentState) -> PlanChange | None:
        plan = state.existing_plan
        if decision_id in plan.facts.decisions:
            return None
        if plan.version != order.version:
            raise Conflicted(CHANGED)
        now = clock.now()
        at = plan_outcomes.time_of(plan, int(now))
        decision = order.of(plan, staff, at)
        refusal = plan_decisions.refusal(plan, decision, plan.terms.day_of(at))
        if refusal in plan_decisions.INVALID:
            raise Unprocessable(_REASONS[refusal], field=_FIELDS[refusal])
        if refusal:
            raise Conflicted(_REASONS[refusal])
        entry = AuditEntry(timestamps.iso(now), decision_id, f"plan.decision.{order.decision}", "staff", staff)
        return PlanChange(plan.merged(PlanFacts(decisions={decision_id: decision})), entry)

    return ledger.update_plan(plan_id, change)


def acknowledge(plan_id: str, name: str, fingerprint: str | None, note: str, staff: str) -> PaymentState:
    """Acknowledge a reason for attention in its present form. If the reason changes, it needs attention again.

    `fingerprint` is the reason's as the member of staff saw it, if they send it. Repeating it changes nothing. Raises
    `NotFound` if the plan has no such reason, and `Conflicted` if the reason has changed since.
    """

    def change(state: PaymentState) -> PlanChange | None:
        plan = state.existing_plan
        reason = next((one for one in plan_attention.reasons(plan) if one.name == name), None)
        if reason is None:
            raise NotFound("This plan no longer has that issue. Reload it.")
        if fingerprint not in (None, reason.fingerprint):
            raise Conflicted("This issue has changed. Reload the plan, then decide again.")
        if reason not in plan_attention.unacknowledged(plan):
            return None
        version = plan.version + 1
        acknowledgement = Acknowledgement(version, reason.fingerprint, staff, note)
        at = timestamps.iso(clock.now())
        entry = AuditEntry(at, f"acknowledged:{version}", "plan.attention_acknowledged", "staff", staff)
        return PlanChange(plan.merged(PlanFacts(acknowledged={name: acknowledgement})), entry)

    return ledger.update_plan(plan_id, change)
