"""The texts of an email about a payment plan, from the plan as it is now. `core/emails` says which email is due.

As with payments, an email that no longer applies is None: a charge that was announced and paid early is not announced.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tuition.core import catalog, plan_attempts, plan_methods, plan_schedule, timestamps
from tuition.core import payment as payments
from tuition.core.emails import DAY_S, Day, Days, Email, EmailEvent, Instant, Kind, ScheduledPayment, Value
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.plan import Plan
from tuition.core.plan_attempts import Attempt
from tuition.core.plan_facts import Announced
from tuition.core.plan_installments import installments

Written = tuple[str, dict[str, Value]]
"""The section of the catalogue, and the values that are not common to all."""


class Facts(NamedTuple):
    """The values of which an email is written. `payment` is the one that the event is about, and may be None.

    `method` is a payment of the plan that was made with the payment method that is charged next; None if none was.
    """

    event: EmailEvent
    plan: Plan
    payment: Payment | None
    method: Payment | None
    refund_days: int
    is_eu: bool
    now: int


def method_payment(plan: Plan) -> str | None:
    """Return a payment of a plan that was made with the payment method that is charged next; None if none was."""
    chosen = plan_methods.chosen(plan)
    return next((key for key, part in plan.parts.items() if chosen and part.method == chosen), None)


def compose(kind: Kind, facts: Facts) -> Email | None:
    """Return an email about a plan as it is now; None if it no longer applies."""
    writer = _WRITERS.get(kind)
    written = writer(facts) if writer else None
    if written is None:
        return None
    texts, values = written
    common: dict[str, Value] = {"track": catalog.title(facts.plan.product), "plan_id": facts.plan.plan_id}
    announced = _announced_key(facts.event) if kind == "plan_charge_announced" else None
    return Email(kind, texts, _path(texts, facts), {**common, **values}, _schedule(texts, facts.plan), announced)


def _announced_key(event: EmailEvent) -> str:
    return Announced(int(event.detail["installment"]), str(event.detail["day"])).key


def _path(texts: str, facts: Facts) -> str:
    plan = f"#/plans/{facts.plan.plan_id}"
    if texts in ("plan_charged", "purchase_under_review") and facts.payment:
        return f"/#/payments/{facts.payment.payment_id}"
    pages = {"plan_confirmation_needed": f"/{plan}/pay/next", "plan_defaulted": f"/console/{plan}"}
    pages |= dict.fromkeys(("plan_method_needed", "plan_charge_announced_no_method"), f"/{plan}/method")
    return pages.get(texts, f"/{plan}")


def _schedule(texts: str, plan: Plan) -> tuple[ScheduledPayment, ...]:
    if texts != "plan_begun":
        return ()
    rows = [row for row in installments(plan) if row.due]
    return tuple(ScheduledPayment(row.seq, Day(row.due or ""), _money(plan, row.amount)) for row in rows)


def _money(plan: Plan, amount: int) -> Money:
    return Money(amount, plan.terms.currency)


def _present(values: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if value is not None}


# --- each email ---


def _begun(facts: Facts) -> Written | None:
    plan, payment = facts.plan, facts.payment
    if payment is None or payment.paid_at is None or not plan.started or plan.ended_by:
        return None
    values: dict[str, Value] = {"amount": payment.money, "paid_at": Instant(payment.paid_at)}
    values |= _method(facts) | _next(plan) | {"notice_days": Days(plan.terms.notice_days)}
    until = timestamps.epoch(payment.paid_at) + facts.refund_days * DAY_S
    if until > facts.now:
        if facts.is_eu:
            values["withdrawable_until"] = Instant(timestamps.iso(until))
        elif plan.attempt == 1 and not payment.is_bank_debit:
            values["refundable_until"] = Instant(timestamps.iso(until))
    track = catalog.tracks().get(plan.product)
    if track:
        values["project"] = track.projects[0].title
    return "membership_begun" if plan.terms.endless else "plan_begun", values


def _announced(facts: Facts) -> Written | None:
    plan, detail = facts.plan, facts.event.detail
    seq, day = int(detail["installment"]), str(detail["day"])
    is_due = seq in plan.owed and seq not in plan.processing and plan_schedule.collection_day(plan, seq) == day
    if not is_due or not plan.may_collect:
        return None
    values: dict[str, Value] = {"amount": _money(plan, int(detail["amount"])), "day": Day(day)}
    values |= _number(plan, (seq,)) | _method(facts) | {"grace_days": Days(plan.terms.grace_days)}
    if plan_methods.chosen(plan) is None:
        return "plan_charge_announced_no_method", values
    if detail["card_expires"]:
        values["expiring_method"] = values.get("method", "card")
    return "membership_charge_announced" if plan.terms.endless else "plan_charge_announced", values


def _charged(facts: Facts) -> Written | None:
    plan, payment = facts.plan, facts.payment
    if payment is None or payment.facts.settled is None:
        return None
    values: dict[str, Value] = {"amount": payment.money, "payment_id": payment.payment_id}
    values |= _present({"paid_at": Instant(payment.paid_at) if payment.paid_at else None})
    method = payment.payment_method
    if method and method["last4"]:
        values |= {"method": method["brand"] or method["type"] or "", "last4": method["last4"]}
    part = plan.parts.get(payment.payment_id)
    if part and not part.agrees:
        return "purchase_under_review", values
    if facts.event.restored_plan and plan.grants_access:
        values["restored_track"] = catalog.title(plan.product)
    return "plan_charged", values | _number(plan, payment.covers) | _next(plan)


def _charge_failed(facts: Facts) -> Written | None:
    """A charge that failed. If only the student can continue, the email asks for exactly that."""
    plan, detail = facts.plan, facts.event.detail
    seq = int(detail["installment"]) if "installment" in detail else min(facts.event.installments, default=0)
    if seq not in plan.owed or plan.processing or plan.status not in ("ACTIVE", "LATE"):
        return None
    values: dict[str, Value] = {"amount": plan.terms.amount_of((seq,)), **_number(plan, (seq,)), **_access(plan)}
    needed = plan_attempts.needs_student(plan)
    if needed == "authentication_required":
        return "plan_confirmation_needed", values
    if needed:
        return "plan_method_needed", values
    attempt = plan_attempts.next_attempt(plan)
    if isinstance(attempt, Attempt):
        values["retry_day"] = Day(plan.terms.day_of(attempt.at))
    failure = payments.failure(facts.payment.facts) if facts.payment else None
    if failure and failure.code == detail.get("code", failure.code):
        values["reason"] = failure.for_student().message
    return "plan_charge_failed", values


def _method_needed(facts: Facts) -> Written | None:
    """A plan without a payment method. The notice of a charge says it if it was announced at the same time."""
    plan = facts.plan
    if "announced" in facts.event.detail["transition"] or plan_attempts.needs_student(plan) != "no_method":
        return None
    values: dict[str, Value] = {"amount": plan.terms.amount_of(plan.owed[:1]), **_access(plan)}
    return "plan_method_needed", values


def _suspended(facts: Facts) -> Written | None:
    plan = facts.plan
    if plan.status != "SUSPENDED":
        return None
    seqs = tuple(sorted(plan.taken)) or plan.owed[:1]
    values: dict[str, Value] = {"amount": plan.terms.amount_of(seqs)}
    return "plan_suspended_dispute" if plan.taken else "plan_suspended", values


def _restored(facts: Facts) -> Written | None:
    return ("plan_restored", _next(facts.plan)) if facts.plan.grants_access else None


def _ending(facts: Facts) -> Written | None:
    day = facts.plan.cancel_at
    is_ending = facts.plan.is_canceled and day is not None and facts.plan.status != "CLOSED"
    return ("membership_ending", {"day": Day(day)}) if is_ending and day else None


def _complete(facts: Facts) -> Written | None:
    plan = facts.plan
    if plan.status != "COMPLETE":
        return None
    values: dict[str, Value] = {"received": _money(plan, plan.received)}
    values |= {"amount": facts.payment.money} if facts.payment and facts.payment.facts.settled else {}
    return "plan_complete", values


def _closed(facts: Facts) -> Written | None:
    """Why a plan ended. Each refund has an email of its own."""
    plan = facts.plan
    if plan.status == "REFUNDED":
        return "plan_closed_refunded", {}
    if plan.status != "CLOSED" or plan.close_reason is None:
        return None
    kind = "membership" if plan.close_reason in ("lapsed", "ended") else "plan"
    return f"{kind}_closed_{plan.close_reason}", _unpaid(plan) if plan.close_reason == "gave_up" else {}


def _access_ended(facts: Facts) -> Written | None:
    """The end of access that staff decided. Of a membership, one email for all its tracks."""
    is_own = facts.event.detail.get("track") in (None, facts.plan.product)
    return ("access_ended_revoked", {}) if facts.plan.is_revoked and is_own else None


def _defaulted(facts: Facts) -> Written | None:
    plan = facts.plan
    if plan.close_reason != "gave_up":
        return None
    values: dict[str, Value] = {"received": _money(plan, plan.received), "remaining": _money(plan, plan.outstanding)}
    values |= {"user_id": plan.user_id, "give_up_days": Days(plan.terms.give_up_days)}
    return "plan_defaulted", _unpaid(plan) | values


_WRITERS: Mapping[Kind, Callable[[Facts], Written | None]] = {
    "plan_begun": _begun,
    "plan_charge_announced": _announced,
    "plan_charged": _charged,
    "plan_charge_failed": _charge_failed,
    "plan_method_needed": _method_needed,
    "plan_suspended": _suspended,
    "plan_restored": _restored,
    "plan_ending": _ending,
    "plan_complete": _complete,
    "plan_closed": _closed,
    "access_ended": _access_ended,
    "plan_defaulted": _defaulted,
}


# --- values ---


def _unpaid(plan: Plan) -> dict[str, Value]:
    """Return the installment for which we gave the plan up, and its amount. Later ones may be owed too."""
    seqs = plan.owed[:1]
    return {"amount": plan.terms.amount_of(seqs), **_number(plan, seqs)}


def _method(facts: Facts) -> dict[str, Value]:
    """Return the payment method that is charged next: its brand and digits, if a payment was made with it."""
    chosen = plan_methods.chosen(facts.plan)
    method = facts.method.payment_method if facts.method else None
    if chosen is None:
        return {}
    if method and method["last4"]:
        return {"method": method["brand"] or method["type"] or "", "last4": method["last4"]}
    return {"other_method": plan_methods.methods(facts.plan)[chosen].type or "card"}


def _next(plan: Plan) -> dict[str, Value]:
    """Return the amount and the expected day of the next charge, if there is one."""
    if plan.first_owed is None or plan.is_ending or not plan.payable:
        return {}
    day = plan_schedule.shown_day(plan, plan.first_owed)
    amount = plan.terms.amount_of((plan.first_owed,))
    return _present({"next_amount": amount, "next_day": Day(day) if day else None})


def _number(plan: Plan, seqs: tuple[int, ...]) -> dict[str, Value]:
    """Return which installments these are, and of how many; nothing for a membership."""
    if plan.terms.endless or not seqs:
        return {}
    numbers = str(seqs[0]) if len(seqs) == 1 else f"{seqs[0]}\N{EN DASH}{seqs[-1]}"
    return {"installment": numbers, "installments": str(len(plan.terms.amounts))}


def _access(plan: Plan) -> dict[str, Value]:
    """Return the last day of access if nothing is paid, if it is known."""
    return _present({"access_until": Day(plan.access_until) if plan.access_until else None})
