"""Send the emails that follow published events, each at most once: claimed, then sent.

A message of the queue has one event of EventBridge: one of ours, the daily schedule of the staff's digest, or what SES
reports about an address. A refusal of SES gives the claim back and the message to the queue. A claim without a sending
is never sent again: it is counted, and staff may ask for the email (`payments/emails.py`).

Sources: https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-ses.html,
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from tuition import clock, metrics
from tuition.core import emails as core_emails
from tuition.core import payment as payments
from tuition.core import plan_emails, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.emails import OPTIONAL, PLAN_KINDS, TO_STUDENT, Email, EmailEvent, Kind
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_facts import PlanFacts
from tuition.log import logger
from tuition.outbox import rendering, ses
from tuition.settings import settings
from tuition.storage import dynamodb, effects, keys, ledger, mapping, queries
from tuition.storage.effects import Effect
from tuition.storage.items import EMAILS, CustomerItem, EffectItem, PaymentItem, PlanItem
from tuition.storage.ledger import PlanChange

CLAIM_S = 120
"""A claim may be another invocation's that still runs: the function's timeout is half of this."""
MAX_STAFF = 20
"""Staff who get emails. Addresses after these are ignored."""
MAX_COUNTED = 1_000
"""Waiting payments that the digest counts of each kind."""
SCHEDULE = "Scheduled Event"
BOUNCED, COMPLAINED = "Email Bounced", "Email Complaint Received"


class ClaimHeld(Exception):
    """Another invocation claimed the email a moment ago and may still send it. The queue delivers the message again."""


def handle(message: str) -> None:
    """Act on a message of the queue. An exception returns the message to the queue."""
    event = json.loads(message)
    detail_type, detail = event["detail-type"], event["detail"]
    if detail_type in (BOUNCED, COMPLAINED):
        _note_addresses(detail_type, detail)
    elif detail_type == SCHEDULE:
        report_overdue_withdrawals()
        send_digest()
        metrics.age("StaffDigestAge", max(0.0, clock.now() - timestamps.epoch(event["time"])))
    else:
        follow(EmailEvent(detail_type, detail))


# --- an email about a payment ---


def follow(event: EmailEvent) -> None:
    """Send the email that follows an event, if any. A rebuilt payment's event stands for several."""
    _each(core_emails.repeated(event), _follow_one)


def _follow_one(event: EmailEvent) -> None:
    """Send the email that follows an event, if any, to the student, or to each member of staff."""
    kind = core_emails.kind_of(event)
    if kind is None:
        return
    if kind in TO_STUDENT:
        _follow(_effect(event, kind), event, kind, None)
        return
    _to_staff(lambda address, recipient: _follow(_effect(event, kind, recipient), event, kind, address))


def _to_staff(deliver: Callable[[str, str], None]) -> None:
    """Call `deliver` with the address of each member of staff and what stands for it in keys."""
    addresses = settings().staff_emails[:MAX_STAFF]
    _each(addresses, lambda address: deliver(address, effects.address_hash(address)[:16]))


def _each[T](values: Iterable[T], deliver: Callable[[T], None]) -> None:
    """Call `deliver` with each value. A refused or claimed email does not hold up the others.

    The first of these exceptions is raised after the last value, so that the queue delivers the message again.
    """
    failures: list[ClaimHeld | ses.EmailRefused] = []
    for value in values:
        try:
            deliver(value)
        except (ClaimHeld, ses.EmailRefused) as failure:
            failures.append(failure)
    if failures:
        raise failures[0]


def _effect(event: EmailEvent, kind: Kind, recipient: str = "") -> Effect:
    """Return the effect of an email. Its sort key is the event's id without the subject, so it begins as a record's."""
    subject = str(event.detail["subject"])
    sort_key = str(event.detail["id"]).removeprefix(f"{subject}#")
    return Effect(EMAILS, subject, f"{sort_key}#{recipient}" if recipient else sort_key, kind)


def _follow(effect: Effect, event: EmailEvent, kind: Kind, staff_address: str | None) -> None:
    now = int(clock.now())
    if now - timestamps.epoch(event.recorded_at) > core_emails.MAX_AGE_S:
        _skip(effect, "too_old")
        return
    payment, plan, customer_email = _load(event)
    about_plan = kind in (*PLAN_KINDS, "plan_defaulted") or (kind == "access_ended" and bool(event.plan_id))
    about = plan if about_plan else payment
    if about is None:
        _drop(effect, "no_plan" if about_plan else "no_payment")
        return
    if about.facts.erased and kind in TO_STUDENT:
        _skip(effect, "erased")
        return
    withdrawn = payment.facts.withdrawn if payment and kind == "withdrawal_received" else None
    stored = customer_email or (payment.email if payment else None)
    address = staff_address or (withdrawn.email if withdrawn else None) or stored
    if not address:
        _drop(effect, "no_address")
        return
    email = None
    if plan and about_plan:
        email = _compose_about_plan(kind, event, plan, payment, now)
    elif payment:
        config = settings()
        email = core_emails.compose(kind, event, payment, config.refund_days, now, is_eu=config.is_eu)
        email = _with_access_of(plan, email)
    if email is None:
        _skip(effect, "no_longer_applies")
        return
    _deliver(effect, email, address)


def _load(event: EmailEvent) -> tuple[Payment | None, Plan | None, str | None]:
    """Return the payment and the plan of an event, and the newest verified address of its user that a create has seen.

    A plan that is missing is None.
    """
    raw = dynamodb.batch_get(
        {
            PaymentItem: [keys.payment_key(event.payment_id)] if event.payment_id else [],
            PlanItem: [keys.plan_key(event.plan_id)] if event.plan_id else [],
            CustomerItem: [keys.customer_key(str(event.detail.get("user_id")))],
        }
    )
    customers = [CustomerItem.from_raw_data(item) for item in raw[CustomerItem]]
    payments = [mapping.payment_from_raw(item) for item in raw[PaymentItem]]
    plans = [mapping.plan_from_raw(item) for item in raw[PlanItem]]
    email = customers[0].email if customers else None
    return payments[0] if payments else None, plans[0] if plans else None, email


def _compose_about_plan(kind: Kind, event: EmailEvent, plan: Plan, payment: Payment | None, now: int) -> Email | None:
    payment_id = plan_emails.method_payment(plan)
    method = payment if payment and payment.payment_id == payment_id else None
    if payment_id and method is None:
        raw = dynamodb.batch_get({PaymentItem: [keys.payment_key(payment_id)]})[PaymentItem]
        method = mapping.payment_from_raw(raw[0]) if raw else None
    config = settings()
    facts = plan_emails.Facts(event, plan, payment, method, config.refund_days, config.is_eu, now)
    return plan_emails.compose(kind, facts)


def _with_access_of(plan: Plan | None, email: Email | None) -> Email | None:
    """Return an email about a payment of a plan that promises access only if the plan gives it."""
    if plan is None or email is None or plan.grants_access:
        return email
    return replace(email, values={name: value for name, value in email.values.items() if name != "kept_track"})


def _deliver(effect: Effect, email: Email, address: str) -> None:
    """Send an email, unless it was sent, claimed or skipped before. Raises `ClaimHeld`, `ses.EmailRefused`."""
    if not settings().email_sender:
        _skip(effect, "no_sender")
        return
    if email.kind in OPTIONAL and effects.delivery_problem(address):
        _skip(effect, "undeliverable")
        return
    rendered = rendering.render(email)
    existing = effects.claim(effect)
    if existing:
        _leave(effect, existing)
        return
    try:
        message_id = ses.send(address, email, rendered)
    except ses.EmailRefused:
        effects.release(effect)
        raise
    except ses.EmailUncertain as uncertain:
        logger.warning("SES did not answer", subject=effect.subject, kind=effect.kind, error=str(uncertain))
        _count_unsent(effect)
        return
    effects.sent(effect, message_id)
    logger.info("email sent", subject=effect.subject, kind=effect.kind, message_id=message_id)


def _leave(effect: Effect, existing: EffectItem) -> None:
    """Do nothing about an email that was decided before. A claim without a sending raises an alarm, once."""
    if existing.state != "claimed":
        return
    if clock.now() - timestamps.epoch(existing.at) < CLAIM_S:
        raise ClaimHeld
    _count_unsent(effect)


def _count_unsent(effect: Effect) -> None:
    if effects.unsent(effect):
        metrics.count("EmailUnsent")
        logger.error("an email may be unsent", subject=effect.subject, sort_key=effect.sort_key, kind=effect.kind)


def _skip(effect: Effect, reason: str) -> bool:
    """Record that an email is not sent. Return whether this is the first time."""
    existing = effects.skip(effect, reason)
    if existing:
        _leave(effect, existing)
        return False
    logger.info("email skipped", subject=effect.subject, kind=effect.kind, reason=reason)
    return True


def _drop(effect: Effect, reason: str) -> None:
    """Skip an email that has no recipient, and count it: no address was ever known."""
    if _skip(effect, reason):
        metrics.count("EmailDropped")


# --- the digest of staff ---


def report_overdue_withdrawals() -> None:
    """Count the withdrawals whose refund was due before now, and name their payments in the log, once per day.

    It reads at most `MAX_COUNTED` payments that need attention, the oldest first. A withdrawal is among them until its
    refund is made or under way.
    """
    now = timestamps.iso(clock.now())
    overdue = 0
    for payment in queries.payments_that_need_attention(MAX_COUNTED):
        if payment.refund_due_by and payment.refund_due_by < now and payments.amount_due(payment):
            overdue += 1
            logger.error("the refund of a withdrawal is overdue", payment_id=payment.payment_id)
    if overdue:
        metrics.count("WithdrawalOverdue", overdue)


def send_digest() -> None:
    """Send each member of staff what waits for them, once per day (UTC), if anything does."""
    today = timestamps.iso(clock.now())[:10]
    if not settings().staff_emails:
        return
    waiting = queries.what_waits_for_staff(MAX_COUNTED)
    email = core_emails.digest(**waiting._asdict())
    if email is None:
        return

    def deliver(address: str, recipient: str) -> None:
        _deliver(Effect(EMAILS, f"staff:{recipient}", f"{today}#{email.kind}", email.kind), email, address)

    _to_staff(deliver)


# --- what SES reports ---


def _note_addresses(detail_type: str, detail: Mapping[str, Any]) -> None:
    """Remember addresses that bounce for good or complained. A temporary bounce says nothing about an address.

    A report that arrives after its user's data were erased, or after the address was corrected, is dropped, because no
    later run would remove the address.
    """
    plan = _plan(detail["mail"])
    remembered, message_id = _remembered(detail["mail"], plan), detail["mail"]["messageId"]
    if detail_type == BOUNCED:
        recipients = detail["bounce"]["bouncedRecipients"] if detail["bounce"]["bounceType"] == "Permanent" else []
        problem = "bounced"
    else:
        recipients, problem = detail["complaint"]["complainedRecipients"], "complained"
    for recipient in recipients:
        address = recipient["emailAddress"]
        if remembered is not None and effects.address_hash(address) not in remembered:
            logger.info("a report about an address that is not stored any more is dropped", message_id=message_id)
            continue
        effects.note_undeliverable(address, problem)
        metrics.count("EmailBounced")
        logger.warning("an address cannot be used", problem=problem, message_id=message_id)
    if plan and recipients and problem == "bounced":
        _note_notice(plan, detail["mail"])


def _tag(mail: Mapping[str, Any], name: str) -> str | None:
    return next(iter(mail.get("tags", {}).get(name, ())), None)


def _plan(mail: Mapping[str, Any]) -> Plan | None:
    """Return the plan that an email was about. `ses.send` puts its id into a tag."""
    plan_id = _tag(mail, "plan_id")
    raw = dynamodb.batch_get({PlanItem: [keys.plan_key(plan_id)]})[PlanItem] if plan_id else []
    return mapping.plan_from_raw(raw[0]) if raw else None


def _note_notice(plan: Plan, mail: Mapping[str, Any]) -> None:
    """Record that the notice of a charge came back, so that staff can tell the student. The charge is made as agreed.

    Source: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
    """
    key = next((one for one in plan.facts.announced if ses.tag_of(one) == _tag(mail, ses.ANNOUNCED)), None)
    if key is None:
        return

    def change(state: PaymentState) -> PlanChange | None:
        current, now = state.existing_plan, clock.now()
        if key in current.facts.bounced:
            return None
        entry = AuditEntry(timestamps.iso(now), f"bounced:{key}", "plan.notice_bounced", "webhook")
        return PlanChange(current.merged(PlanFacts(bounced={key: int(now)})), entry)

    ledger.update_plan(plan.plan_id, change)


def _remembered(mail: Mapping[str, Any], plan: Plan | None) -> set[str] | None:
    """Return the hashes of the addresses that are stored for what an email is about. None if that is nothing of a user.

    The addresses are those of the payment, its user and the staff; none once the user's data are erased. `ses.send`
    puts the payment's id into a tag, as it does with the plan's.
    """
    payment_id = _tag(mail, "payment_id")
    raw = dynamodb.batch_get({PaymentItem: [keys.payment_key(payment_id)]})[PaymentItem] if payment_id else []
    payment = mapping.payment_from_raw(raw[0]) if raw else None
    about = payment or plan
    if about is None:
        return None
    if about.facts.erased:
        return set()
    customers = dynamodb.batch_get({CustomerItem: [keys.customer_key(about.user_id)]})[CustomerItem]
    newest = CustomerItem.from_raw_data(customers[0]).email if customers else None
    withdrawn = payment.facts.withdrawn if payment else None
    own = payment.email if payment else None
    stored = {own, withdrawn.email if withdrawn else None, newest, *settings().staff_emails} - {None}
    return {effects.address_hash(str(address)) for address in stored}
