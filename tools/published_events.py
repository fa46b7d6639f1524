"""The reference of the published events in docs/events.md: the schema and a sample of each type.

The samples are made by the ledger's own code, from a payment to which everything happens.
`python -m tools.published_events` writes the reference, and a test compares the two.

Source: https://json-schema.org/draft/2020-12/schema
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local.build import ROOT
from tools.capacity import updated
from tuition.core import audit, published_events
from tuition.core.audit import AuditEntry, Record, Source
from tuition.core.enrollment import Enrollment
from tuition.core.facts import Balance, Charge, Closed, Decision, Dispute, Facts, Phase, Refund, Settled, Withdrawal
from tuition.core.money import Money
from tuition.core.payment import Payment, Terms
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_facts import Answer, Method, PlanDecision, PlanFacts, Try
from tuition.core.plan_terms import PlanTerms
from tuition.core.published_events import PublishedEvent
from tuition.core.refund_request import RefundRequest
from tuition.core.switches import SUBJECTS

PAGE = ROOT / "docs" / "events.md"
WIDTH = 110
"""Of a line of JSON, in characters."""

Schema = dict[str, Any]


# --- schemas ---


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _optional(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _change(**values: Schema) -> Schema:
    """Return the schema of an object that changed from one state to another."""
    states = {"from": {"type": ["string", "null"]}, "to": {"type": ["string", "null"]}}
    return {"type": "object", "required": ["from", "to"], "properties": {**states, **values}}


def _by_id(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


_INTEGER: Schema = {"type": "integer"}
_WORD: Schema = {"type": "string"}
_CURRENCY: Schema = {"type": "string", "pattern": "^[a-z]{3}$"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_DAY: Schema = {"type": "string", "format": "date"}
_REQUEST: dict[str, Schema] = {"amount": _INTEGER, "made_by": {"enum": ["student", "school"]}}
_REFUND: dict[str, Schema] = {"amount": _INTEGER, "request": _WORD, "failure": _WORD}
_DISPUTE: dict[str, Schema] = {"amount": _INTEGER, "reason": _WORD, "due_by": _TIME, "lost": _INTEGER}
_WITHDRAWAL: dict[str, Schema] = {"at": _TIME, "refund_due_by": _TIME}
_CONTEXT: dict[str, Schema] = {
    "created_at": _TIME,
    "attempt": _INTEGER,
    "stripe_object_id": _WORD,
    "price": _INTEGER,
    "list_amount": _INTEGER,
    "method": _WORD,
    "settled_at": _TIME,
    "declines": _INTEGER,
}
_PLAN: dict[str, Schema] = {
    "id": _WORD,
    "from": {"type": ["string", "null"]},
    "to": {"type": ["string", "null"]},
    "attempt": _INTEGER,
    "created_at": _TIME,
    "membership": _WORD,
    "closed": _WORD,
    "ends_on": {"type": ["string", "null"]},
    "needs_student": _change(),
    "terms": {
        "type": "object",
        "properties": {
            "offer": _WORD,
            "amounts": {"type": "array", "items": _INTEGER},
            "currency": _CURRENCY,
            "every": _WORD,
            "endless": {"type": "boolean"},
            "consent_version": _WORD,
            "agreed_at": _INTEGER,
            **dict.fromkeys(("grace_days", "give_up_days", "notice_days"), _INTEGER),
            "retry_days": {"type": "array", "items": _INTEGER},
            "zone": _WORD,
        },
    },
}
_TRANSITION: dict[str, Schema] = {
    "status": _change(),
    "enrollment": _change(),
    "enrollments": _by_id(_change()),
    "plan": {"type": "object", "required": ["id"], "properties": _PLAN},
    "installments": {"type": "array", "items": _INTEGER},
    "announced": {"type": "object", "properties": {"installment": _INTEGER, "day": _DAY, "amount": _INTEGER}},
    "try_failed": {
        "type": "object",
        "properties": {"installment": _INTEGER, "payment": _WORD, "amount": _INTEGER, "code": _WORD},
    },
    "settled": _INTEGER,
    "refunded": _INTEGER,
    "lost": _INTEGER,
    "refund_requests": _by_id(_change(**_REQUEST)),
    "refunds": _by_id(_change(**_REFUND)),
    "disputes": _by_id(_change(**_DISPUTE)),
    "declines": _by_id(_WORD),
    "withdrawal": {"type": "object", "properties": _WITHDRAWAL},
    "fee": {"type": "object", "properties": {"fee": _INTEGER, "net": _INTEGER, "currency": _CURRENCY}},
    "failure": _WORD,
    "closed": _WORD,
    "access_ended": {"enum": ["revoked", "dispute_lost", "refunded", "withdrawn", "amount_differs", "plan_closed"]},
    "currency": _CURRENCY,
    "payment": {"type": "object", "properties": _CONTEXT},
    "attention": {"type": "array", "items": _WORD},
    "purchases": {"type": "object"},
    "selling": {"type": "object"},
    "collecting": {"type": "object"},
}
COMMON: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "tuition.event",
    "type": "object",
    "required": [
        "id", "subject", "sort_key", "position", "payment_id", "plan_id", "user_id", "track", "type", "source", "at",
        "recorded_at", "transition",
    ],
    "properties": {
        "id": _text("unique and stable: an event that arrives twice has the same id"),
        "subject": _text("the owner of the audit chain: a payment id, a plan id, a user id, or a switch of the school"),
        "sort_key": _text("of the record, `<time>#<event id>`; with `subject` it names the record"),
        "position": {"type": "integer", "minimum": 1, "description": "of the record in its chain"},
        "payment_id": _optional(_text("null for an event that belongs to no payment")),
        "plan_id": _optional(_text("null for an event that belongs to no plan")),
        "user_id": _optional(_text("null for a switch of the school")),
        "track": _optional(_text("null for an event that belongs to no track")),
        "type": _text("the cause: Stripe's event type, or the action"),
        "source": {"enum": ["webhook", "pull", "request", "staff", "reconcile"]},
        "at": {**_TIME, "description": "when it happened, by Stripe's clock for an event of Stripe"},
        "recorded_at": {"type": ["string", "null"], "description": "when it was committed here; null in old records"},
        "transition": {"type": "object", "properties": _TRANSITION},
    },
}  # fmt: skip
_MONEY: dict[str, Schema] = {"amount": {"type": "integer", "minimum": 0}, "currency": _CURRENCY}
_FAILURE = {"failure": _optional(_text("Stripe's code. Never show it to the student: it may name a suspected fraud"))}


@dataclass(frozen=True)
class EventType:
    """The meaning of a type of event, and what its detail has beside the common fields."""

    meaning: str
    fields: Mapping[str, Schema]

    def schema(self, name: str) -> Schema:
        """Return its JSON schema."""
        own = {"required": list(self.fields), "properties": dict(self.fields)} if self.fields else {}
        return {"$id": name, "allOf": [{"$ref": COMMON["$id"]}], **own}


def _nested(name: str, values: Mapping[str, Schema]) -> dict[str, Schema]:
    schema = _change(id=_WORD, **values)
    return {**_MONEY, name: {**schema, "type": ["object", "null"]}}


_OF_REQUEST = _nested("request", _REQUEST)
_OF_REFUND = _nested("refund", _REFUND)
_OF_DISPUTE = {**_nested("dispute", _DISPUTE), "amount": _INTEGER}

TYPES: Mapping[str, EventType] = {
    published_events.PAYMENT_CREATED: EventType("A student began to buy.", {}),
    published_events.PAYMENT_PROCESSING: EventType("The bank is transferring the money, which can take days.", {}),
    published_events.PAYMENT_DECLINED: EventType(
        "A charge failed. The payment can still be paid.", {"charge_id": _WORD, "code": _FAILURE["failure"]}
    ),
    published_events.PAYMENT_FAILED: EventType(
        "The last try to pay failed. The payment can still be paid. `transition.status.from` is `PROCESSING` if it "
        "failed after days.",
        _FAILURE,
    ),
    published_events.PAYMENT_REOPENED: EventType("The payment can be paid again.", {}),
    published_events.PAYMENT_SETTLED: EventType("Stripe has received `amount`: 0 with a code for all of it.", _MONEY),
    published_events.PAYMENT_AMOUNT_CORRECTED: EventType(
        "Stripe has received more than was known, by `amount`.", {**_MONEY, "amount": _INTEGER}
    ),
    published_events.PAYMENT_CLOSED: EventType(
        "The payment can no longer be paid: it expired or was canceled, its delayed payment failed "
        "(`payment_failed`), or it is missing at Stripe (`gone`).",
        {"reason": _optional(_WORD), **_FAILURE},
    ),
    published_events.PAYMENT_FEE_RECORDED: EventType(
        "Stripe's fee is known: `amount` and `net`, in the settlement currency.",
        {**_MONEY, "amount": _INTEGER, "net": _INTEGER},
    ),
    published_events.PAYMENT_REBUILT: EventType(
        "The payment was lost here, as by a restore, and was rebuilt from Stripe. `totals` replaces what earlier "
        "events of this payment add up to. Its creation, settlement, refunds and disputes are not announced again, "
        "whatever rebuilt it. If you have no event of this payment, it is new to you: `totals.settled` was paid.",
        {"totals": {"type": "object", "required": ["settled", "refunded", "lost"], "properties": {
            "settled": _INTEGER, "refunded": _INTEGER, "lost": _INTEGER}}},
    ),
    published_events.PAYMENT_CHANGED: EventType(
        "Any of the events of a payment happened, once per record. For consumers that want the whole transition.", {}
    ),
    published_events.PAYMENT_RECORDED: EventType(
        "A record of the payment has no transition, or none but attention. It may complete what is known, such as the "
        "card that paid, which Stripe sends in an event of its own. For consumers that read the payment itself.",
        {},
    ),
    published_events.PAYMENT_WITHDRAWN: EventType(
        "The student withdrew from the contract at `withdrawal.at`, so the payment gives no access. Its money must be "
        "refunded by `withdrawal.refund_due_by`. It happens once per payment, "
        "and again if a rollback dropped it and the daily audit restores it.",
        {"withdrawal": {"type": "object", "required": ["at", "refund_due_by"], "properties": _WITHDRAWAL}},
    ),
    published_events.REFUND_REQUESTED: EventType(
        "A refund of `amount` was requested. `request.to` is `awaiting_approval` if staff must decide, else "
        "`submitting`.",
        _OF_REQUEST,
    ),
    published_events.REFUND_APPROVED: EventType("Staff approved a refund request of a student.", _OF_REQUEST),
    published_events.REFUND_DECLINED: EventType(
        "A refund request was declined, by staff or because nothing is left to refund. The message to the student is "
        "text that a person wrote, so it is only in the payment.",
        _OF_REQUEST,
    ),
    published_events.REFUND_WITHDRAWN: EventType("The student withdrew a refund request.", _OF_REQUEST),
    published_events.REFUND_REJECTED: EventType("Stripe refused to make a refund.", _OF_REQUEST),
    published_events.PAYMENT_REFUNDED: EventType(
        "A refund of `amount` was made, in full or in part. It may still be pending.", _OF_REFUND
    ),
    published_events.REFUND_SUCCEEDED: EventType(
        "Stripe reports a refund as succeeded. `refunded` has counted its amount already.", _OF_REFUND
    ),
    published_events.REFUND_FAILED: EventType(
        "A refund failed. `amount` is what `refunded` counted too much, 0 if it never did.", _OF_REFUND
    ),
    published_events.DISPUTE_OPENED: EventType(
        "A bank disputes the payment, or asks about it. The evidence is due at `dispute.due_by`. In every event of a "
        "dispute, `amount` is what the school lost by it for good, below zero if it regained an earlier loss.",
        _OF_DISPUTE
    ),
    published_events.DISPUTE_UPDATED: EventType("A dispute has another status or another deadline.", _OF_DISPUTE),
    published_events.DISPUTE_REOPENED: EventType("A decided dispute is undecided again.", _OF_DISPUTE),
    published_events.DISPUTE_WON: EventType("A dispute was won.", _OF_DISPUTE),
    published_events.DISPUTE_LOST: EventType("A dispute was lost or prevented.", _OF_DISPUTE),
    published_events.DISPUTE_CLOSED: EventType("An inquiry of a bank was closed. No money has moved.", _OF_DISPUTE),
    published_events.EMAIL_CORRECTED: EventType(
        "The email address of the payment's student was corrected. No event has an address: read it with the API.", {}
    ),
    published_events.EMAIL_REQUESTED: EventType(
        "Staff asked for an email to the student, perhaps a second time. `kind` is the email's.", {"kind": _WORD}
    ),
    published_events.PLAN_CHANGED: EventType(
        "A plan has changed other than by a payment: it was created, a due day passed, a charge was announced or "
        "tried, or staff or the student decided about it. The events of a payment say what that payment leads to.",
        {},
    ),
    published_events.PLAN_CREATED: EventType(
        "A student agreed to pay in installments, or for a membership, and has paid nothing yet. `amounts` are those "
        "of the installments; an endless plan has the one amount of every period.",
        {
            "offer": _WORD,
            "amounts": {"type": "array", "items": _INTEGER},
            "currency": _CURRENCY,
            "every": _WORD,
            "membership": _optional(_WORD),
            "endless": {"type": "boolean"},
        },
    ),
    published_events.PLAN_BEGUN: EventType(
        "The first installment of a plan was received. Every due day is counted from the day of its settlement.", {}
    ),
    published_events.PLAN_CHARGE_ANNOUNCED: EventType(
        "A coming charge was announced: `amount` on `day`, a day at the school. `card_expires`: the card expires "
        "before it.",
        {"installment": _INTEGER, "day": _DAY, **_MONEY, "card_expires": {"type": "boolean"}},
    ),
    published_events.PLAN_CHARGE_FAILED: EventType(
        "A charge without the student failed. `payment_id` is null if Stripe refused to make the payment.",
        {"installment": _INTEGER, **_MONEY, "code": _WORD},
    ),
    published_events.PLAN_NEEDS_STUDENT: EventType(
        "No charge can follow until the student acts: `authentication_required` (they confirm a payment), or another "
        "payment method (`no_method`, `do_not_try_again`, `tries_used`).",
        {"reason": _WORD},
    ),
    published_events.PLAN_LATE: EventType(
        "An installment is due and not paid yet. Access stays for the days of grace. A normal installment is late from "
        "the start of its day until its charge succeeds.",
        {},
    ),
    published_events.PLAN_PAUSED: EventType("Staff paused the plan: nothing is announced or charged.", {}),
    published_events.PLAN_RESUMED: EventType("Staff ended the pause of the plan.", {}),
    published_events.PLAN_SUSPENDED: EventType(
        "The plan gives no access until what is late is paid, or what a dispute took.", {}
    ),
    published_events.PLAN_RESTORED: EventType(
        "The installment that was late is paid, or the dispute is won: the plan gives access again.", {}
    ),
    published_events.PLAN_ENDING: EventType(
        "The student canceled a membership, which ends on `ends_on`. Null: they took that back.",
        {"ends_on": _optional(_DAY)},
    ),
    published_events.PLAN_COMPLETE: EventType("Every installment is paid or waived.", {}),
    published_events.PLAN_CLOSED: EventType(
        "Nothing more is charged: it was not paid within the time that its terms give (`gave_up`, still payable), a "
        "membership was not paid (`lapsed`) or ended after it was canceled (`ended`), staff closed it (`staff`), all "
        "money went back (`refunded`), or its first payment was never made (`abandoned`).",
        {"reason": _WORD},
    ),
    published_events.ENROLLMENT_GRANTED: EventType("The student has access to the track.", {}),
    published_events.ENROLLMENT_SUSPENDED: EventType(
        "The student has no access until an installment is paid that is late, or that a dispute took.", {}
    ),
    published_events.ENROLLMENT_WITHDRAWN: EventType(
        "The student has no access any more: `refunded`, `withdrawn`, `dispute_lost`, `revoked`, `amount_differs` or "
        "`plan_closed`.",
        {"reason": _optional(_WORD)},
    ),
    published_events.ATTENTION_RAISED: EventType(
        "Staff must look at the payment, for these new reasons.", {"reasons": {"type": "array", "items": _WORD}}
    ),
    published_events.PURCHASES_BLOCKED: EventType(
        "Staff decided about a user who may not buy. `blocks` are the ids of what blocks.",
        {"blocks": {"type": "array", "items": _WORD}},
    ),
    published_events.PURCHASES_ALLOWED: EventType(
        "Staff decided that a user may buy.", {"blocks": {"type": "array", "items": _WORD}}
    ),
    published_events.STAFF_ACTED: EventType(
        "A member of staff did something on record: `type` says what, and `actor` who. Reading data is an act too: "
        "`people` says of how many, and no event says of whom, so `transition` is empty.",
        {"actor": _WORD, "people": _optional(_INTEGER)},
    ),
    published_events.SELLING_STOPPED: EventType("Staff stopped every new purchase.", {}),
    published_events.SELLING_STARTED: EventType("The school sells again.", {}),
    published_events.COLLECTING_STOPPED: EventType("Staff stopped the charges of payment plans.", {}),
    published_events.COLLECTING_STARTED: EventType("Payment plans are charged again.", {}),
}  # fmt: skip


# --- samples ---

_AT = "2026-11-23T18:30:00.000Z"
_EPOCH = 1795458600
_USER = "6d1f5c1e-0c5a-4f0b-9c54-3b6c3a0d7f11"
_PAID = Facts(settled=Settled(44900, "usd", _EPOCH), charges={"ch_1": Charge("succeeded", 44900, _EPOCH, "card")})


@dataclass(frozen=True)
class _Step:
    type: str
    source: Source
    before: Payment | None
    after: Payment


def _payment(*all_facts: Facts) -> Payment:
    payment = Payment(
        payment_id="pay_mfzwc3tqmfzwc3tqmfzwc3tq",
        user_id=_USER,
        track="DP",
        kind="intent",
        attempt=1,
        stripe_object_id="pi_1",
        price=Money(44900, "usd"),
        created_at=_AT,
        updated_at=_AT,
        terms=Terms(list_amount=49900),
    )
    return functools.reduce(Payment.merged, all_facts, payment)


def _phase(name: Any, second: int = 1, code: str | None = None) -> Facts:
    return Facts(phase=Phase(_EPOCH + second, second, name, code))


def _refund(status: str, failure: str | None = None) -> Facts:
    return Facts(refunds={"re_1": Refund(status, 44900, _EPOCH, request="rr_1", failure=failure)})


def _dispute(status: str, stamp: int) -> Facts:
    return Facts(disputes={"du_1": Dispute(stamp, status, 44900, _EPOCH, "fraudulent", due_by=_EPOCH + 7 * 86400)})


def _requested(payment: Payment, state: Any) -> Payment:
    return payment.with_requests((RefundRequest("rr_1", 44900, "text", _USER, _AT, state),))


def _steps() -> Iterator[_Step]:
    new, paid = _payment(), _payment(_PAID)
    processing = _payment(_phase("processing"))
    declined = Facts(charges={"ch_0": Charge("failed", 44900, _EPOCH, "us_bank_account", code="insufficient_funds")})
    failed = processing.merged(_phase("failed", 2, "insufficient_funds")).merged(declined)
    yield _Step("payment.created", "request", None, new)
    yield _Step("payment_intent.processing", "webhook", new, processing)
    yield _Step("payment_intent.payment_failed", "webhook", processing, failed)
    yield _Step("payment_intent.created", "webhook", failed, failed.merged(_phase("created", 3)))
    yield _Step("payment_intent.succeeded", "webhook", new, paid)
    yield _Step("pull", "pull", paid, paid.merged(Facts(settled=Settled(49900, "usd", _EPOCH))))
    closed = new.merged(Facts(closed=Closed(_EPOCH, "intent", "canceled")))
    yield _Step("payment_intent.canceled", "webhook", new, closed)
    yield _Step("payment.compared", "reconcile", paid, paid.merged(Facts(balance=Balance(1332, 43568, "usd"))))
    yield _Step("payment_intent.succeeded", "webhook", None, paid.merged(Facts(rebuilt=True)))
    yield _Step("email.requested.purchase_confirmed", "staff", paid, paid)
    yield _Step(published_events.EMAIL_CORRECTED_RECORD, "request", paid, paid)
    yield from _refund_steps(paid)
    yield from _dispute_steps(paid)


def _refund_steps(paid: Payment) -> Iterator[_Step]:
    awaiting, submitting = _requested(paid, "awaiting_approval"), _requested(paid, "submitting")
    pending = submitting.merged(_refund("pending"))
    withdrawn = awaiting.merged(Facts(withdrawn=Withdrawal(_EPOCH, "text", "text")))
    yield _Step("contract.withdrawn", "request", paid, withdrawn)
    yield _Step("refund.requested", "request", paid, awaiting)
    yield _Step("refund.approved", "staff", awaiting, submitting)
    yield _Step("refund.declined", "staff", awaiting, _requested(paid, "declined"))
    yield _Step("refund.withdrawn", "request", awaiting, _requested(paid, "withdrawn"))
    yield _Step("refund.refused", "staff", submitting, _requested(paid, "rejected"))
    yield _Step("refund.made", "request", submitting, pending)
    yield _Step("refund.updated", "webhook", pending, pending.merged(_refund("succeeded")))
    yield _Step("refund.failed", "webhook", pending, pending.merged(_refund("failed", "expired_or_canceled_card")))


def _dispute_steps(paid: Payment) -> Iterator[_Step]:
    opened = paid.merged(_dispute("needs_response", 1))
    reviewed = opened.merged(_dispute("under_review", 2))
    won = reviewed.merged(_dispute("won", 3))
    yield _Step("pull", "pull", paid, opened)
    yield _Step("pull", "pull", opened, reviewed)
    yield _Step("pull", "pull", reviewed, won)
    yield _Step("pull", "pull", won, won.merged(_dispute("under_review", 4)))
    yield _Step("pull", "pull", reviewed, reviewed.merged(_dispute("lost", 3)))
    inquiry = paid.merged(_dispute("warning_needs_response", 1))
    yield _Step("pull", "pull", inquiry, inquiry.merged(_dispute("warning_closed", 2)))
    revoked = Facts(decision=Decision(3, "revoke", "grace", "note"))
    yield _Step("decision.revoke", "staff", paid, paid.merged(revoked))


def records() -> Iterator[dict[str, Any]]:
    """Yield stored records, as the ledger writes them, which together have every type of event."""
    for number, step in enumerate(_steps(), 2):
        entry = AuditEntry(_AT, f"evt_{number}", step.type, step.source)
        seq = 1 if step.before is None and not step.after.facts.rebuilt else number
        yield _stored(Record(step.after.payment_id, seq, entry, _USER, "DP", _transition(step)))
    yield from _plan_records()
    for kind, blocks in (("block", ["staff:1"]), ("allow", [])):
        entry = AuditEntry(_AT, "purchases:1", f"purchases.{kind}", "staff", "grace")
        yield _stored(Record(_USER, 1, entry, _USER, None, {"purchases": {"from": [], "to": blocks}}))
    for sells in (False, True):
        for name, subject in SUBJECTS.items():
            entry = AuditEntry(_AT, f"{name}:1", f"{name}.{'started' if sells else 'stopped'}", "staff", "grace")
            yield _stored(Record(subject, 1, entry, "", None, {name: {"from": not sells, "to": sells}}))


def _plan_records() -> Iterator[dict[str, Any]]:
    """Yield the records of a plan that a lost dispute suspends, and of a membership that its student cancels."""
    plan = _plan("pln_mfzwc3tqmfzwc3tqmfzwc3tq", PlanTerms(offer="4x", amounts=(12475,) * 4, **_TERMS))
    created = AuditEntry(_AT, f"create:{plan.plan_id}", "plan.created", "request", _USER)
    yield _stored(Record(plan.plan_id, 1, created, _USER, "DP", audit.plan_agreed(plan)))
    state = PaymentState(None, Enrollment(user_id=_USER, track="DP")).with_payment(_first(plan), plan)
    paid = _first(plan).merged(Facts(settled=Settled(12475, "usd", _EPOCH)))
    lost = paid.merged(Facts(disputes={"du_1": Dispute(3, "lost", 12475, _EPOCH, "fraudulent")}))
    won = lost.merged(Facts(disputes={"du_1": Dispute(4, "won", 12475, _EPOCH, "fraudulent")}))
    for number, after in enumerate((paid, lost, won), 2):
        entry = AuditEntry(_AT, f"evt_plan_{number}", "pull", "pull")
        before, state = state, state.with_payment(after)
        yield _stored(Record(after.payment_id, number, entry, _USER, "DP", audit.transition(before, state)))
    due = plan.terms.start_of("2026-12-23")
    refused = Try(at=_EPOCH, payment_id="pay_2", seq=2, method="pm_1")
    refused = replace(refused, answer=Answer(_EPOCH, "ch_2", "card_declined", "do_not_try_again"))
    paused = PlanDecision(version=5, decision="pause", at=due, actor="grace")
    resumed = replace(paused, version=6, decision="resume")
    forgiven = PlanDecision(version=7, decision="forgive", at=_EPOCH, actor="grace", seqs=(2, 3, 4))
    closed = PlanDecision(version=8, decision="close", at=_EPOCH, actor="grace", refund="none")
    methods = {"pm_1": Method(set_up=_EPOCH, type="card")}
    yield from _plan_changes(
        state,
        {
            "plan.announced.card_expires": PlanFacts(
                announced={"2:2026-12-23": due - 1}, observed=due, methods=methods
            ),
            "plan.try_answered": PlanFacts(tries={"day:2026-12-23": refused}),
            "plan.decision.pause": PlanFacts(decisions={"dec_1": paused}),
            "plan.decision.resume": PlanFacts(decisions={"dec_2": resumed}),
            "plan.decision.forgive": PlanFacts(decisions={"dec_3": forgiven}),
            "plan.decision.close": PlanFacts(decisions={"dec_4": closed}),
        },
    )
    yield from _membership_records()


def _membership_records() -> Iterator[dict[str, Any]]:
    terms = PlanTerms(offer="monthly", amounts=(4900,), endless=True, **_TERMS)
    plan = replace(_plan("pln_qhz2k4v7t3m5xw6c2d4b7a3e", terms), track=None, membership="ALL")
    paid = replace(_first(plan), track=None, membership="ALL").merged(Facts(settled=Settled(4900, "usd", _EPOCH)))
    state = PaymentState(None, Enrollment(user_id=_USER, track="ALL")).with_payment(paid, plan)
    canceled = PlanDecision(version=2, decision="cancel", at=_EPOCH, actor=_USER)
    yield from _plan_changes(state, {"plan.decision.cancel": PlanFacts(decisions={"dec_1": canceled})})


def _plan_changes(state: PaymentState, changes: Mapping[str, PlanFacts]) -> Iterator[dict[str, Any]]:
    for number, (type_, facts) in enumerate(changes.items(), 2):
        before = replace(state, payment=None)
        state = before.with_plan(before.existing_plan.merged(facts))
        plan = state.existing_plan
        entry = AuditEntry(_AT, f"evt_plan_{number}", type_, "reconcile")
        yield _stored(Record(plan.plan_id, number, entry, _USER, plan.track, audit.plan_transition(before, state)))


_TERMS: dict[str, Any] = {"currency": "usd", "every": "month", "consent_version": "2026-11", "agreed_at": _EPOCH}


def _plan(plan_id: str, terms: PlanTerms) -> Plan:
    return Plan(
        plan_id=plan_id,
        user_id=_USER,
        track="DP",
        membership=None,
        attempt=1,
        terms=terms,
        created_at=_AT,
        updated_at=_AT,
    )


def _first(plan: Plan) -> Payment:
    return replace(_payment(), price=plan.terms.amount_of((1,)), plan=plan.plan_id, covers=(1,))


def _transition(step: _Step) -> dict[str, Any]:
    empty = Enrollment(user_id=_USER, track="DP")
    before = PaymentState(step.before, empty.with_payment(step.before) if step.before else empty)
    after = PaymentState(step.after, before.enrollment.with_payment(replace(step.after)))
    return audit.transition(before, after)


def _stored(record: Record) -> dict[str, Any]:
    return {**record.body(), "hash": record.hash, "sort_key": record.entry.sort_key, "recorded_at": _AT}


def samples() -> dict[str, PublishedEvent]:
    """Return one event of each type."""
    events = [event for record in records() for event in published_events.of_record(record)]
    return {event.type: event for event in reversed(events)}


# --- the page ---


def reference() -> str:
    """Return the reference in Markdown."""
    parts = [f"### The common fields\n\n```json\n{pretty(COMMON)}\n```"]
    shown = samples()
    for name, event_type in TYPES.items():
        schema = pretty(event_type.schema(name))
        sample = pretty(dict(shown[name].detail))
        parts.append(
            f"### {name}\n\n{_wrapped(event_type.meaning)}\n\n```json\n{schema}\n```\n\n```json\n{sample}\n```"
        )
    return "\n" + "\n\n".join(parts) + "\n"


def _wrapped(text: str) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= 120:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def pretty(value: Any, indent: str = "") -> str:
    """Return JSON in which an object or list that fits into a line takes one."""
    text = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or (len(indent) + len(text) <= WIDTH and indent):
        return text
    deeper = indent + "  "
    if isinstance(value, list):
        inner = [f"{deeper}{pretty(one, deeper)}" for one in value]
        return "[\n" + ",\n".join(inner) + f"\n{indent}]"
    inner = [f"{deeper}{json.dumps(name)}: {pretty(one, deeper)}" for name, one in value.items()]
    return "{\n" + ",\n".join(inner) + f"\n{indent}}}"


def main(page: Path = PAGE) -> int:
    """Write the reference into docs/events.md."""
    page.write_text(updated(page.read_text(encoding="utf-8"), reference(), "events"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
