"""Which email follows a published event, and what it says about the payment as it is now.

An event says what changed, and only that decides which email is due. The rest of an email is read from the payment when
the email is sent. An email that no longer applies by then is None: after staff have restored access, no email says
that it ended.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from tuition.core import catalog, published_events, timestamps
from tuition.core import payment as payments
from tuition.core.audit import WITHDRAWN_RECORD
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.refund_request import RefundRequest, State

StudentKind = Literal[
    "purchase_confirmed",
    "bank_transfer_under_way",
    "payment_failed",
    "withdrawal_received",
    "refund_requested",
    "refund_approved",
    "refund_declined",
    "refund_made",
    "refund_failed",
    "access_ended",
]
PlanEmailKind = Literal[
    "plan_begun",
    "plan_charge_announced",
    "plan_charged",
    "plan_charge_failed",
    "plan_method_needed",
    "plan_suspended",
    "plan_restored",
    "plan_ending",
    "plan_complete",
    "plan_closed",
]
"""About a payment plan. Staff cannot ask for one again: the page of the plan says the same."""
StaffKind = Literal["dispute_opened", "plan_defaulted", "staff_digest"]
Kind = StudentKind | PlanEmailKind | StaffKind
STUDENT_KINDS: tuple[StudentKind, ...] = get_args(StudentKind)
PLAN_KINDS: tuple[PlanEmailKind, ...] = get_args(PlanEmailKind)
TO_STUDENT: frozenset[str] = frozenset({*STUDENT_KINDS, *PLAN_KINDS})
OPTIONAL: frozenset[Kind] = frozenset(
    {"bank_transfer_under_way", "refund_requested", "refund_approved", "staff_digest"}
)
"""Not sent to an address that bounces: a later email or the pages say the same."""
_KINDS: Mapping[str, Kind] = {
    published_events.PAYMENT_SETTLED: "purchase_confirmed",
    published_events.PAYMENT_PROCESSING: "bank_transfer_under_way",
    published_events.PAYMENT_WITHDRAWN: "withdrawal_received",
    published_events.REFUND_REQUESTED: "refund_requested",
    published_events.REFUND_APPROVED: "refund_approved",
    published_events.REFUND_DECLINED: "refund_declined",
    published_events.REFUND_REJECTED: "refund_failed",
    published_events.PAYMENT_REFUNDED: "refund_made",
    published_events.REFUND_FAILED: "refund_failed",
    published_events.ENROLLMENT_WITHDRAWN: "access_ended",
}
_OF_PLAN: Mapping[str, PlanEmailKind] = {
    published_events.PLAN_BEGUN: "plan_begun",
    published_events.PLAN_CHARGE_ANNOUNCED: "plan_charge_announced",
    published_events.PLAN_CHARGE_FAILED: "plan_charge_failed",
    published_events.PLAN_NEEDS_STUDENT: "plan_method_needed",
    published_events.PLAN_SUSPENDED: "plan_suspended",
    published_events.PLAN_RESTORED: "plan_restored",
    published_events.PLAN_ENDING: "plan_ending",
    published_events.PLAN_COMPLETE: "plan_complete",
    published_events.PLAN_CLOSED: "plan_closed",
}
_PLAN_SAYS: frozenset[Kind] = frozenset({"purchase_confirmed", "access_ended"})
"""The emails about a payment that one about its plan replaces."""
PLAN_GAVE_UP = "plan.gave_up"
"""The reason for attention of a plan that was not paid."""
_FAILURES = frozenset({published_events.PAYMENT_FAILED, published_events.PAYMENT_CLOSED})
_DISPUTES = frozenset(
    {published_events.DISPUTE_OPENED, published_events.DISPUTE_UPDATED, published_events.DISPUTE_REOPENED}
)
EVENT_TYPES = (
    frozenset(_KINDS)
    | frozenset(_OF_PLAN)
    | _FAILURES
    | _DISPUTES
    | {published_events.EMAIL_REQUESTED, published_events.PAYMENT_REBUILT, published_events.ATTENTION_RAISED}
)
"""The types of the events that an email may follow. The rule in the template names the same."""
DAY_S = 86400
MAX_AGE_S = 3 * DAY_S
"""An older transition sends nothing, so that neither a replay nor a new kind of email writes to the past."""
MAX_SETTLED_AGE_S = 30 * DAY_S
"""A purchase that was paid before sends nothing when a rebuild after a restore settles it again."""
MAX_REBUILT_AGE_S = DAY_S
"""A refund that is older than this when its lost payment is rebuilt was not made just now, so it sends nothing."""
_SETTLING = frozenset(
    {
        "charge.succeeded",
        "checkout.session.async_payment_succeeded",
        "checkout.session.completed",
        "payment_intent.succeeded",
    }
)
"""Stripe's events that a student has just paid."""
NEEDS_RESPONSE = frozenset({"needs_response", "warning_needs_response"})


class Instant(NamedTuple):
    """A time (RFC 3339 UTC), which the reader sees in the school's time zone."""

    at: str


class Day(NamedTuple):
    """A day at the school (`YYYY-MM-DD`)."""

    day: str


class Days(NamedTuple):
    """A number of days."""

    number: int


Value = str | Money | Instant | Day | Days


class ScheduledPayment(NamedTuple):
    """A line of a plan's schedule: the number of an installment, the day on which it is due, and its amount."""

    seq: int
    day: Day
    amount: Money


@dataclass(frozen=True)
class Email:
    """The content of an email. `texts` is its section in the catalogue of messages.

    `values` fill the placeholders of the texts. A text with a placeholder that has no value is left out. `path` follows
    the origin of the pages. `schedule` is that of a plan. `announced` is the charge of a plan that the email announces:
    `plan_facts.Announced.key`.
    """

    kind: Kind
    texts: str
    path: str
    values: Mapping[str, Value] = field(default_factory=dict)
    schedule: tuple[ScheduledPayment, ...] = ()
    announced: str | None = None


class EmailEvent(NamedTuple):
    """A published event that an email may follow: its detail type, and its detail (`core/published_events.py`)."""

    type: str
    detail: Mapping[str, Any]

    @property
    def payment_id(self) -> str:
        """The payment that it is about; empty for an event that belongs to no payment."""
        return str(self.detail.get("payment_id") or "")

    @property
    def plan_id(self) -> str:
        """The plan that it is about; empty for an event that belongs to no plan."""
        return str(self.detail.get("plan_id") or "")

    @property
    def installments(self) -> tuple[int, ...]:
        """The installments that its payment is for."""
        return tuple(self.detail.get("transition", {}).get("installments", ()))

    @property
    def plan_change(self) -> tuple[str | None, str | None]:
        """The status of its plan before and after its record; both None if it did not change."""
        change = self.detail.get("transition", {}).get("plan", {})
        return change.get("from"), change.get("to")

    @property
    def restored_plan(self) -> bool:
        """Whether its record ended the suspension of its plan."""
        return self.plan_change[0] in ("SUSPENDED", "CLOSED") and self.plan_change[1] in ("ACTIVE", "LATE")

    @property
    def recorded_at(self) -> str:
        """When its record was committed; that of the first release has only the time of what happened."""
        return str(self.detail.get("recorded_at") or self.detail["at"])

    @property
    def is_requested(self) -> bool:
        """Whether staff asked for the email again: then only the payment says what it contains."""
        return self.type == published_events.EMAIL_REQUESTED

    @property
    def ended_access(self) -> bool:
        """Whether the record that it is published from ended the access to the track, whichever payment gave it."""
        change = self.detail.get("transition", {}).get("enrollment", {"from": None, "to": None})
        return bool(change["from"] == "ENROLLED" and change["to"] != "ENROLLED")

    @property
    def is_rebuild(self) -> bool:
        """Whether its record is the first of a payment that is settled at once, so the payment was lost and rebuilt."""
        change = self.detail.get("transition", {}).get("status", {"from": "", "to": ""})
        return bool(change["from"] is None and change["to"] in payments.SETTLED_STATUSES)


def repeated(event: EmailEvent) -> list[EmailEvent]:
    """Return the events that a rebuilt payment repeats, of which emails may follow some; any other event itself.

    If no event of Stripe's rebuilt a payment with older records, its student may have had every email.
    """
    if event.type != published_events.PAYMENT_REBUILT:
        return [event]
    if event.detail["type"] == published_events.REBUILT and event.detail["position"] > 1:
        return []
    return [EmailEvent(one.type, one.detail) for one in published_events.repeated(event.detail)]


def kind_of(event: EmailEvent) -> Kind | None:
    """Return the kind of email that may follow an event; None for most events."""
    if event.is_requested:
        return next((kind for kind in STUDENT_KINDS if kind == event.detail["kind"]), None)
    if event.plan_id:
        return _kind_about_plan(event)
    return _kind_about_payment(event)


def _kind_about_plan(event: EmailEvent) -> Kind | None:
    """Return the kind of email that may follow an event of a plan or of one of its payments."""
    detail, (before, after) = event.detail, event.plan_change
    if event.type == published_events.ATTENTION_RAISED:
        return "plan_defaulted" if PLAN_GAVE_UP in detail["reasons"] else None
    if event.type == published_events.PAYMENT_SETTLED:
        is_said = after == "COMPLETE" or (before in (None, "OPEN", "ABANDONED") and after in ("ACTIVE", "LATE"))
        return None if is_said else "plan_charged"
    if event.type == published_events.PLAN_RESTORED:
        return None if "settled" in detail["transition"] or after == "COMPLETE" else "plan_restored"
    if event.type == published_events.ENROLLMENT_WITHDRAWN:
        return "access_ended" if detail["reason"] == "revoked" else None
    if event.type == published_events.PLAN_CLOSED:
        is_said = detail["reason"] == "abandoned" or "withdrawal" in detail["transition"]
        return None if is_said else "plan_closed"
    if event.type == published_events.PLAN_NEEDS_STUDENT:
        return "plan_method_needed" if detail["reason"] == "no_method" else None
    is_later = bool(event.installments) and 1 not in event.installments
    if event.type in _FAILURES and is_later:
        return "plan_charge_failed" if detail["transition"]["status"]["from"] == "PROCESSING" else None
    if event.type == published_events.PAYMENT_PROCESSING and is_later:
        return None
    return _OF_PLAN.get(event.type) or _kind_about_payment(event)


def _kind_about_payment(event: EmailEvent) -> Kind | None:
    detail = event.detail
    if event.type in _FAILURES:
        return "payment_failed" if detail["transition"]["status"]["from"] == "PROCESSING" else None
    if event.type in _DISPUTES:
        dispute = detail["dispute"]
        is_new = dispute["to"] in NEEDS_RESPONSE and dispute["to"] != dispute["from"]
        return "dispute_opened" if is_new else None
    return _KINDS.get(event.type)


def compose(
    kind: Kind, event: EmailEvent, payment: Payment, refund_days: int, now: int, *, is_eu: bool = False
) -> Email | None:
    """Return an email about a payment as it is now; None if it no longer applies. `now` is in epoch seconds.

    `is_eu`: the student can withdraw from the contract within `refund_days`.
    """
    if payment.plan and (kind in _PLAN_SAYS or (kind == "payment_failed" and 1 not in payment.covers)):
        return None
    if kind == "purchase_confirmed":
        written = _purchase(event, payment, refund_days, now, is_eu=is_eu)
    else:
        written = _WRITERS[kind](event, payment)
    if written is None:
        return None
    texts, values = written
    page = "console/#/payments" if kind == "dispute_opened" else "#/payments"
    return Email(kind, texts, f"/{page}/{payment.payment_id}", {**_common(payment), **values})


def _common(payment: Payment) -> dict[str, Value]:
    return {"track": _track_title(payment), "payment_id": payment.payment_id}


def _track_title(payment: Payment) -> str:
    track = catalog.tracks().get(payment.product)
    return track.title if track else payment.product


Written = tuple[str, dict[str, Value]]
"""The section of the catalogue, and the values that are not common to all."""


def _purchase(event: EmailEvent, payment: Payment, refund_days: int, now: int, *, is_eu: bool) -> Written | None:
    paid_at = payment.paid_at
    if paid_at is None:
        return None
    # A payment that a restore lost settles again when it is rebuilt, perhaps years after its student paid.
    if not event.is_requested and now - timestamps.epoch(paid_at) > MAX_SETTLED_AGE_S:
        return None
    # A refund or dispute can rebuild it too. If it has older records, its student may have had the email.
    if event.is_rebuild and event.detail["position"] > 1 and event.detail["type"] not in _SETTLING:
        return None
    values: dict[str, Value] = {"amount": payment.money, "paid_at": Instant(paid_at)}
    method = payment.payment_method
    if method and method["last4"]:
        values |= {"method": method["brand"] or method["type"] or "", "last4": method["last4"]}
    if not payments.grants_access(payment):
        review = payments.no_access_reason(payment) == "amount_differs"
        return "purchase_under_review" if review else "purchase_without_access", values
    track = catalog.tracks().get(payment.product)
    if track:
        values["project"] = track.projects[0].title
    until = timestamps.epoch(paid_at) + refund_days * DAY_S
    if is_eu and until > now and payments.may_withdraw(payment):
        values["withdrawable_until"] = Instant(timestamps.iso(until))
    if payment.amount == 0:
        return "purchase_confirmed_free", values
    if not is_eu and until > now and not payment.is_bank_debit and payments.may_request_refund(payment):
        # After a refund of an earlier payment for the track, staff decide. A first attempt has no earlier payment.
        values["refundable_until" if payment.attempt == 1 else "requestable_until"] = Instant(timestamps.iso(until))
    return "purchase_confirmed", values


def _bank_transfer(_: EmailEvent, payment: Payment) -> Written | None:
    return ("bank_transfer_under_way", {"amount": payment.money}) if payment.status == "PROCESSING" else None


def _payment_failed(_: EmailEvent, payment: Payment) -> Written | None:
    failure = payments.failure(payment.facts)
    if failure is None:
        return None
    return "payment_failed", {"amount": payment.money, "reason": failure.for_student().message}


def _withdrawal_received(event: EmailEvent, payment: Payment) -> Written | None:
    """The acknowledgement of a withdrawal: its content, and the date and time of its submission.

    It follows only the record of the submission. A record that repeats the withdrawal of a payment that was lost is no
    news to the student.

    Source: https://eur-lex.europa.eu/eli/dir/2023/2673/oj, Article 11a(4)
    """
    if not event.is_requested and event.detail["type"] != WITHDRAWN_RECORD:
        return None
    withdrawn, paid_at, due_by = payment.facts.withdrawn, payment.paid_at, payment.refund_due_by
    if withdrawn is None or due_by is None:
        return None
    values: dict[str, Value] = {"submitted_at": Instant(timestamps.iso(withdrawn.at))}
    values |= {"paid_amount": payment.money, "paid_at": Instant(paid_at)} if paid_at else {}
    values |= {"name": withdrawn.name} if withdrawn.name else {}
    values |= {"email": withdrawn.email} if withdrawn.email else {}
    if payment.refundable_amount > 0 and payments.dispute_state(payment.facts) is None:
        values["amount"] = payments.amount_in_received_currency(payment, payment.refundable_amount)
        values["refund_due_by"] = Instant(due_by)
    elif payment.status == "PROCESSING":
        values |= {"processing_amount": payment.money, "refund_due_by": Instant(due_by)}
    return "withdrawal_received", values


def _refund_requested(event: EmailEvent, payment: Payment) -> Written | None:
    """Only a request that waits for staff: one that is submitted at once is followed by the email about the refund.

    A withdrawal has an email of its own, and staff do not decide about it.
    """
    request = _request(payment, event, ("awaiting_approval",))
    if request is None or payment.facts.withdrawn:
        return None
    kept: dict[str, Value] = {"kept_track": _track_title(payment)} if payments.grants_access(payment) else {}
    return "refund_requested", _of_request(payment, request) | kept


def _refund_approved(event: EmailEvent, payment: Payment) -> Written | None:
    request = _request(payment, event, ("submitting", "pending", "succeeded"))
    return ("refund_approved", _of_request(payment, request)) if request else None


def _refund_declined(event: EmailEvent, payment: Payment) -> Written | None:
    request = _request(payment, event, ("declined",))
    return ("refund_declined", _of_request(payment, request)) if request else None


def _refund_failed(event: EmailEvent, payment: Payment) -> Written | None:
    """A refund that failed, or a request that Stripe rejected. The student may have made the request or staff."""
    refund = event.detail.get("refund")
    if event.is_rebuild and not str(event.detail["type"]).startswith("refund."):
        return None
    if refund:
        return "refund_failed", {"amount": Money(refund["amount"], event.detail["currency"])}
    request = _request(payment, event, ("rejected", "failed"))
    return ("refund_failed", _of_request(payment, request)) if request else None


def _refund_made(event: EmailEvent, payment: Payment) -> Written | None:
    refunds = payment.facts.refunds
    counted = {key: refund for key, refund in refunds.items() if refund.status in payments.COUNTED_REFUNDS}
    named = (event.detail.get("refund") or {}).get("id")
    if event.is_requested and counted:
        named = max(counted, key=lambda key: counted[key].created)
    if named not in counted:
        return None
    refund = counted[named]
    if event.is_rebuild and timestamps.epoch(event.recorded_at) - refund.created > MAX_REBUILT_AGE_S:
        return None
    values: dict[str, Value] = {
        "amount": payments.amount_in_received_currency(payment, refund.amount),
        "paid_amount": payment.money,
    }
    remaining = payment.refundable_amount
    if remaining > 0:
        values["remaining"] = payments.amount_in_received_currency(payment, remaining)
    if payments.grants_access(payment):
        values["kept_track"] = _track_title(payment)
    elif event.ended_access:  # not the second of two payments for one track
        values["ended_track"] = _track_title(payment)
    request = next((request for request in payment.requests if request.id == refund.request), None)
    if request and request.message and request.by != payment.user_id:  # that of an approval was sent with the approval
        values["message"] = request.message
    return "refund_made" if remaining <= 0 else "refund_made_in_part", values


def _access_ended(event: EmailEvent, payment: Payment) -> Written | None:
    """Why access ended, unless the email about the refund or the withdrawal says it, or access was restored since."""
    why = payments.no_access_reason(payment)
    if why is None or (not event.is_requested and (why == "refunded" or payment.facts.withdrawn)):
        return None
    return f"access_ended_{why}", {"amount": payment.money}


def _dispute_opened(event: EmailEvent, payment: Payment) -> Written | None:
    dispute = payment.facts.disputes.get(event.detail["dispute"]["id"])
    if dispute is None or dispute.status not in NEEDS_RESPONSE:
        return None
    values: dict[str, Value] = {
        "amount": payments.amount_in_received_currency(payment, dispute.amount),
        "reason": dispute.reason.replace("_", " "),
        "user_id": payment.user_id,
    }
    if dispute.due_by is not None:
        values["due_by"] = Instant(timestamps.iso(dispute.due_by))
    return "inquiry_opened" if dispute.status in payments.INQUIRIES else "dispute_opened", values


_WRITERS: Mapping[Kind, Callable[[EmailEvent, Payment], Written | None]] = {
    "bank_transfer_under_way": _bank_transfer,
    "payment_failed": _payment_failed,
    "withdrawal_received": _withdrawal_received,
    "refund_requested": _refund_requested,
    "refund_approved": _refund_approved,
    "refund_declined": _refund_declined,
    "refund_made": _refund_made,
    "refund_failed": _refund_failed,
    "access_ended": _access_ended,
    "dispute_opened": _dispute_opened,
}


def _request(payment: Payment, event: EmailEvent, states: tuple[State, ...]) -> RefundRequest | None:
    """Return the refund request that an event is about, else the newest, if it is in one of these states."""
    named = (event.detail.get("request") or {}).get("id")
    requests = [request for request in payment.requests if named in (None, request.id) and request.state in states]
    return requests[-1] if requests else None


def _of_request(payment: Payment, request: RefundRequest) -> dict[str, Value]:
    values: dict[str, Value] = {
        "amount": payments.amount_in_received_currency(payment, request.amount),
        "requested_at": Instant(request.at),
    }
    message = request.message or (request.answer if request.state == "declined" else None)
    return values | ({"message": message} if message else {})


def digest(
    requests: int, oldest: str | None, attention: int, plans: int, disputes: int, due_by: str | None
) -> Email | None:
    """Return the daily email to staff about what waits for them; None if nothing does. Times are RFC 3339 UTC.

    A refund request that waits is one of the payments that need attention too. `plans` are those that need it.
    """
    if not requests + attention + plans + disputes:
        return None
    values: dict[str, Value] = {"attention": str(attention)}
    values |= {"requests": str(requests)} if requests else {}
    values |= {"plans": str(plans)} if plans else {}
    values |= {"disputes": str(disputes)} if disputes else {}
    values |= {"oldest": Instant(oldest)} if oldest else {}
    values |= {"due_by": Instant(due_by)} if due_by else {}
    return Email("staff_digest", "staff_digest", "/console/", values)
