"""The events that other systems receive: each audit record's transition, as events with a version in their type.

`of_record` turns one stored record into its events. It reads nothing else, so a consumer needs no table of ours, and
the same record always has the same events: sending it again is a duplicate with the same ids. `docs/events.md` has the
schema and a sample of each type. A published type is never changed, except that fields are added to it.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tuition.core import payment as payments
from tuition.core.refs import is_plan as is_plan_id
from tuition.core.switches import OF_SUBJECTS

PAYMENT_CREATED = "tuition.payment.created.v1"
PAYMENT_PROCESSING = "tuition.payment.processing.v1"
PAYMENT_DECLINED = "tuition.payment.declined.v1"
PAYMENT_FAILED = "tuition.payment.failed.v1"
PAYMENT_REOPENED = "tuition.payment.reopened.v1"
PAYMENT_SETTLED = "tuition.payment.settled.v1"
PAYMENT_AMOUNT_CORRECTED = "tuition.payment.amount_corrected.v1"
PAYMENT_CLOSED = "tuition.payment.closed.v1"
PAYMENT_FEE_RECORDED = "tuition.payment.fee_recorded.v1"
PAYMENT_REBUILT = "tuition.payment.rebuilt.v1"
PAYMENT_CHANGED = "tuition.payment.changed.v1"
PAYMENT_RECORDED = "tuition.payment.recorded.v1"
PAYMENT_WITHDRAWN = "tuition.payment.withdrawn.v1"
REFUND_REQUESTED = "tuition.payment.refund_requested.v1"
REFUND_APPROVED = "tuition.payment.refund_approved.v1"
REFUND_DECLINED = "tuition.payment.refund_declined.v1"
REFUND_REJECTED = "tuition.payment.refund_rejected.v1"
REFUND_WITHDRAWN = "tuition.payment.refund_withdrawn.v1"
PAYMENT_REFUNDED = "tuition.payment.refunded.v1"
REFUND_SUCCEEDED = "tuition.payment.refund_succeeded.v1"
REFUND_FAILED = "tuition.payment.refund_failed.v1"
DISPUTE_OPENED = "tuition.payment.dispute_opened.v1"
DISPUTE_UPDATED = "tuition.payment.dispute_updated.v1"
DISPUTE_REOPENED = "tuition.payment.dispute_reopened.v1"
DISPUTE_WON = "tuition.payment.dispute_won.v1"
DISPUTE_LOST = "tuition.payment.dispute_lost.v1"
DISPUTE_CLOSED = "tuition.payment.dispute_closed.v1"
EMAIL_CORRECTED = "tuition.payment.email_corrected.v1"
EMAIL_REQUESTED = "tuition.payment.email_requested.v1"
ENROLLMENT_GRANTED = "tuition.enrollment.granted.v1"
ENROLLMENT_SUSPENDED = "tuition.enrollment.suspended.v1"
ENROLLMENT_WITHDRAWN = "tuition.enrollment.withdrawn.v1"
PLAN_CHANGED = "tuition.plan.changed.v1"
PLAN_CREATED = "tuition.plan.created.v1"
PLAN_BEGUN = "tuition.plan.begun.v1"
PLAN_CHARGE_ANNOUNCED = "tuition.plan.charge_announced.v1"
PLAN_CHARGE_FAILED = "tuition.plan.charge_failed.v1"
PLAN_NEEDS_STUDENT = "tuition.plan.needs_student.v1"
PLAN_LATE = "tuition.plan.late.v1"
PLAN_SUSPENDED = "tuition.plan.suspended.v1"
PLAN_RESTORED = "tuition.plan.restored.v1"
PLAN_PAUSED = "tuition.plan.paused.v1"
PLAN_RESUMED = "tuition.plan.resumed.v1"
PLAN_ENDING = "tuition.plan.ending.v1"
PLAN_COMPLETE = "tuition.plan.complete.v1"
PLAN_CLOSED = "tuition.plan.closed.v1"
ATTENTION_RAISED = "tuition.attention.raised.v1"
PURCHASES_BLOCKED = "tuition.user.purchases_blocked.v1"
PURCHASES_ALLOWED = "tuition.user.purchases_allowed.v1"
STAFF_ACTED = "tuition.staff.acted.v1"
SELLING_STOPPED = "tuition.selling.stopped.v1"
SELLING_STARTED = "tuition.selling.started.v1"
COLLECTING_STOPPED = "tuition.collecting.stopped.v1"
COLLECTING_STARTED = "tuition.collecting.started.v1"
FOR_CONSOLE = frozenset({PAYMENT_CHANGED, PAYMENT_RECORDED, STAFF_ACTED})
"""The types of the events from which the tables of the console are kept. The rule in the template names the same."""

EMAIL_RECORD = "email.requested."
"""Before the kind of email, in the type of the record with which staff ask for it."""
EMAIL_CORRECTED_RECORD = "email.corrected"
"""The type of the record with which an email address was corrected, of a payment or of a user."""
ANNOUNCED_CARD_EXPIRES = "plan.announced.card_expires"
"""The type of the record of an announcement if the card that will be charged expires before that day."""
REBUILT = "rebuilt"
"""The reason for attention of a rebuilt payment, and the type of its record if no event of Stripe's rebuilt it."""
_OF_DECIDED_DISPUTE = {
    "won": DISPUTE_WON,
    "lost": DISPUTE_LOST,
    "prevented": DISPUTE_LOST,
    "warning_closed": DISPUTE_CLOSED,
}
_OF_DECIDED_REQUEST = {
    "submitting": REFUND_APPROVED,
    "declined": REFUND_DECLINED,
    "rejected": REFUND_REJECTED,
    "withdrawn": REFUND_WITHDRAWN,
}


class PublishedEvent(NamedTuple):
    """An event as EventBridge carries it: its detail type, and its `detail` in JSON types.

    `detail["id"]` is unique and stable. It begins with the key of its record.
    """

    type: str
    detail: Mapping[str, Any]


def of_record(record: Mapping[str, Any]) -> list[PublishedEvent]:
    """Return the events of an audit record, in the order in which things happen. Some of users have none.

    `record` is a record as it is stored, in JSON types, with its `sort_key`, and `recorded_at` if it has one. Records
    of the first release lack refund requests, refunds, disputes and the context of the payment: what they do have is
    published. Raises `KeyError`, `TypeError` or `ValueError` for a record that no version of the ledger has written.
    """
    transition = record["transition"]
    if not isinstance(transition, Mapping):
        raise TypeError("the transition is not an object")
    common = _common(record, transition)
    events = [*_events(record, transition), *_staff(record, transition)]
    return [
        PublishedEvent(type_, {**common, "id": _event_id(common, type_, object_id), **detail})
        for type_, object_id, detail in events
    ]


def repeated(rebuilt: Mapping[str, Any]) -> list[PublishedEvent]:
    """Return the events that are not published of a rebuilt payment, from the detail of its event `PAYMENT_REBUILT`.

    They repeat the payment's past. One may be news nevertheless: Stripe's event about it may have rebuilt the payment.
    """
    common = {name: value for name, value in rebuilt.items() if name != "totals"}
    return [
        PublishedEvent(type_, {**common, "id": _event_id(common, type_, object_id), **detail})
        for type_, object_id, detail in _payment(rebuilt["transition"])
    ]


_Event = tuple[str, str, dict[str, Any]]
"""The type of an event, the id of its object if a record can have several, and what its detail adds."""


def _events(record: Mapping[str, Any], transition: Mapping[str, Any]) -> Iterator[_Event]:
    if record["subject"] in OF_SUBJECTS:
        yield from _switch(transition)
        return
    is_plan = is_plan_id(str(record["subject"]))
    is_payment = not is_plan and record["subject"] != record["user_id"]
    if is_plan:
        yield PLAN_CHANGED, "", {}
    if record["type"].startswith(EMAIL_RECORD):
        yield EMAIL_REQUESTED, "", {"kind": record["type"].removeprefix(EMAIL_RECORD)}
    if is_payment and _is_rebuilt(record, transition):
        yield PAYMENT_REBUILT, "", {"totals": {name: transition.get(name, 0) for name in _AMOUNTS}}
        yield PAYMENT_CHANGED, "", {}
    elif is_payment and any(name != "attention" for name in transition):
        yield from _payment(transition)
        yield PAYMENT_CHANGED, "", {}
    elif is_payment and record["type"] == EMAIL_CORRECTED_RECORD:
        yield EMAIL_CORRECTED, "", {}
        yield PAYMENT_CHANGED, "", {}
    elif is_payment:
        yield PAYMENT_RECORDED, "", {}
    yield from _plan(record, transition)
    yield from _enrollment(transition)
    yield from _purchases(transition)
    if transition.get("attention"):
        yield ATTENTION_RAISED, "", {"reasons": list(transition["attention"])}


_AMOUNTS = ("settled", "refunded", "lost")


def _is_rebuilt(record: Mapping[str, Any], transition: Mapping[str, Any]) -> bool:
    """Whether a record repeats what earlier ones said: its payment was lost and rebuilt, by whatever noticed it.

    Such a record starts from no status, as a new payment's. Older records show that it is not new. If these are lost
    too, its attention shows it.
    """
    starts = transition.get("status", {"from": ""})["from"] is None
    return starts and (int(record["seq"]) > 1 or REBUILT in transition.get("attention", ()))


def _common(record: Mapping[str, Any], transition: Mapping[str, Any]) -> dict[str, Any]:
    subject, user_id = str(record["subject"]), str(record["user_id"])
    is_plan = is_plan_id(subject)
    return {
        "id": "",
        "subject": subject,
        "sort_key": str(record["sort_key"]),
        "position": int(record["seq"]),
        "payment_id": None if is_plan or subject == user_id or subject in OF_SUBJECTS else subject,
        "plan_id": subject if is_plan else transition.get("plan", {}).get("id"),
        "user_id": user_id or None,
        "track": record.get("track"),
        "type": str(record["type"]),
        "source": str(record["source"]),
        "at": str(record["at"]),
        "recorded_at": record.get("recorded_at"),
        "transition": dict(transition),
    }


def _event_id(common: Mapping[str, Any], type_: str, object_id: str) -> str:
    parts = (common["subject"], common["sort_key"], type_, object_id)
    return "#".join(part for part in parts if part)


# --- payments ---


def _payment(transition: Mapping[str, Any]) -> Iterator[_Event]:
    if "withdrawal" in transition:
        yield PAYMENT_WITHDRAWN, "", {"withdrawal": dict(transition["withdrawal"])}
    yield from _requests(transition)
    yield from _declines(transition)
    yield from _status(transition)
    yield from _refunds(transition)
    yield from _disputes(transition)
    if "fee" in transition:
        fee = transition["fee"]
        yield PAYMENT_FEE_RECORDED, "", {"amount": fee["fee"], "currency": fee["currency"], "net": fee["net"]}


def _money(amount: int, transition: Mapping[str, Any]) -> dict[str, Any]:
    return {"amount": amount, "currency": transition["currency"]}


def _status(transition: Mapping[str, Any]) -> Iterator[_Event]:
    change = transition.get("status", {"from": None, "to": None})
    before, after = change["from"], change["to"]
    is_new = "status" in transition and before is None
    settled = transition.get("settled", 0)
    if is_new:
        yield PAYMENT_CREATED, "", {}
    if after in payments.SETTLED_STATUSES and before not in payments.SETTLED_STATUSES:
        yield PAYMENT_SETTLED, "", _money(settled, transition)
    elif settled:
        yield PAYMENT_AMOUNT_CORRECTED, "", _money(settled, transition)
    if is_new and after == "CREATED":
        return
    if after == "CREATED":
        yield PAYMENT_REOPENED, "", {}
    elif after == "PROCESSING":
        yield PAYMENT_PROCESSING, "", {}
    elif after == "FAILED":
        yield PAYMENT_FAILED, "", {"failure": transition.get("failure")}
    elif after == "CANCELED":
        yield PAYMENT_CLOSED, "", {"reason": transition.get("closed"), "failure": transition.get("failure")}


def _declines(transition: Mapping[str, Any]) -> Iterator[_Event]:
    for charge_id, code in transition.get("declines", {}).items():
        yield PAYMENT_DECLINED, charge_id, {"charge_id": charge_id, "code": code}


def _requests(transition: Mapping[str, Any]) -> Iterator[_Event]:
    for request_id, request in transition.get("refund_requests", {}).items():
        detail = {**_money(request["amount"], transition), "request": {"id": request_id, **request}}
        if request["from"] is None:
            yield REFUND_REQUESTED, request_id, detail
        if request["to"] in _OF_DECIDED_REQUEST and (request["from"], request["to"]) != (None, "submitting"):
            yield _OF_DECIDED_REQUEST[request["to"]], request_id, detail


def _refunds(transition: Mapping[str, Any]) -> Iterator[_Event]:
    """Yield what refunds did. `amount` is the change of the refunded amount, 0 if it did not change."""
    if "refunds" not in transition:  # a record of the first release
        if transition.get("refunded", 0) > 0:
            yield PAYMENT_REFUNDED, "", {**_money(transition["refunded"], transition), "refund": None}
        elif transition.get("refunded", 0) < 0:
            yield REFUND_FAILED, "", {**_money(-transition["refunded"], transition), "refund": None}
    for refund_id, refund in transition.get("refunds", {}).items():
        refund_detail = {"refund": {"id": refund_id, **refund}}
        did_count, counts = (refund[name] in payments.COUNTED_REFUNDS for name in ("from", "to"))
        if counts and not did_count:
            yield PAYMENT_REFUNDED, refund_id, {**_money(refund["amount"], transition), **refund_detail}
        if refund["to"] == "succeeded":
            yield REFUND_SUCCEEDED, refund_id, {**_money(refund["amount"], transition), **refund_detail}
        if refund["to"] in ("failed", "canceled"):
            reversed_amount = refund["amount"] if did_count else 0
            yield REFUND_FAILED, refund_id, {**_money(reversed_amount, transition), **refund_detail}


def _disputes(transition: Mapping[str, Any]) -> Iterator[_Event]:
    """Yield what disputes did. `amount` is what the school lost by it for good, below zero if it regained a loss."""
    if "disputes" not in transition and "lost" in transition:  # a record of the first release
        type_ = DISPUTE_LOST if transition["lost"] > 0 else DISPUTE_WON
        yield type_, "", {**_money(transition["lost"], transition), "dispute": None}
    for dispute_id, dispute in transition.get("disputes", {}).items():
        detail = {**_money(dispute.get("lost", 0), transition), "dispute": {"id": dispute_id, **dispute}}
        yield _dispute_type(dispute["from"], dispute["to"]), dispute_id, detail


def _dispute_type(before: str | None, after: str) -> str:
    if before is None or before == after:
        return DISPUTE_UPDATED if before else _OF_DECIDED_DISPUTE.get(after, DISPUTE_OPENED)
    if after in _OF_DECIDED_DISPUTE:
        return _OF_DECIDED_DISPUTE[after]
    return DISPUTE_REOPENED if before in payments.DECIDED_DISPUTES else DISPUTE_UPDATED


# --- plans ---

_CLOSED_AS = {"REFUNDED": "refunded", "ABANDONED": "abandoned"}
_UNPAID = (None, "OPEN", "ABANDONED")
_RUNNING = ("ACTIVE", "LATE", "COMPLETE")
_BY_STATUS: Mapping[str, str] = {
    "LATE": PLAN_LATE,
    "SUSPENDED": PLAN_SUSPENDED,
    "PAUSED": PLAN_PAUSED,
    "COMPLETE": PLAN_COMPLETE,
    **dict.fromkeys(("CLOSED", *_CLOSED_AS), PLAN_CLOSED),
}


def _plan(record: Mapping[str, Any], transition: Mapping[str, Any]) -> Iterator[_Event]:
    """Yield what happened to a plan. The record is of the plan, or of one of its payments."""
    plan = transition.get("plan", {})
    if "terms" in plan:
        terms = {name: plan["terms"].get(name) for name in ("offer", "amounts", "currency", "every")}
        membership = {"membership": plan.get("membership"), "endless": bool(plan["terms"].get("endless"))}
        yield PLAN_CREATED, "", {**terms, **membership}
    if "announced" in transition:
        expires = record["type"] == ANNOUNCED_CARD_EXPIRES
        detail = {**transition["announced"], "currency": transition["currency"], "card_expires": expires}
        yield PLAN_CHARGE_ANNOUNCED, "", detail
    if "try_failed" in transition:
        failed = transition["try_failed"]
        detail = {name: failed[name] for name in ("installment", "amount", "code")}
        detail |= {"currency": transition["currency"], "payment_id": failed.get("payment")}
        yield PLAN_CHARGE_FAILED, "", detail
    if plan.get("needs_student", {}).get("to"):
        yield PLAN_NEEDS_STUDENT, "", {"reason": plan["needs_student"]["to"]}
    if "ends_on" in plan:
        yield PLAN_ENDING, "", {"ends_on": plan["ends_on"]}
    if "to" in plan:
        for type_ in plan_changes(plan["from"], plan["to"]):
            reason = {"reason": plan.get("closed") or _CLOSED_AS.get(plan["to"])}
            yield type_, "", reason if type_ == PLAN_CLOSED else {}


def plan_changes(before: str | None, after: str) -> Iterator[str]:
    """Yield the types of the events of a plan whose status changed. `before` is None for a new plan."""
    if before in _UNPAID and after not in _UNPAID:
        yield PLAN_BEGUN
    if before in ("SUSPENDED", "CLOSED") and after in _RUNNING:
        yield PLAN_RESTORED
    if before == "PAUSED" and after in (*_RUNNING, "SUSPENDED"):
        yield PLAN_RESUMED
    if after in _BY_STATUS:
        yield _BY_STATUS[after]


# --- everything else ---


def _staff(record: Mapping[str, Any], transition: Mapping[str, Any]) -> Iterator[_Event]:
    """Yield the event of an action of staff. It has no transition, which may name people whose data was read."""
    if record["source"] == "staff" and record.get("actor"):
        people = len(transition["read"]["users"]) if "read" in transition else None
        yield STAFF_ACTED, "", {"actor": record["actor"], "people": people, "transition": {}}


def _enrollment(transition: Mapping[str, Any]) -> Iterator[_Event]:
    if "enrollment" in transition:
        yield from _of_enrollment(transition["enrollment"], "", {}, transition)
    for track, change in transition.get("enrollments", {}).items():
        yield from _of_enrollment(change, track, {"track": track}, transition)


def _of_enrollment(
    change: Mapping[str, Any], object_id: str, detail: dict[str, Any], transition: Mapping[str, Any]
) -> Iterator[_Event]:
    if change["to"] == "ENROLLED":
        yield ENROLLMENT_GRANTED, object_id, detail
    elif change["to"] == "SUSPENDED":
        yield ENROLLMENT_SUSPENDED, object_id, detail
    elif change["from"] in ("ENROLLED", "SUSPENDED"):
        yield ENROLLMENT_WITHDRAWN, object_id, {**detail, "reason": transition.get("access_ended")}


def _purchases(transition: Mapping[str, Any]) -> Iterator[_Event]:
    if "purchases" in transition:
        blocking = list(transition["purchases"]["to"])
        yield PURCHASES_BLOCKED if blocking else PURCHASES_ALLOWED, "", {"blocks": blocking}


def _switch(transition: Mapping[str, Any]) -> Iterator[_Event]:
    if "collecting" in transition:
        yield COLLECTING_STARTED if transition["collecting"]["to"] else COLLECTING_STOPPED, "", {}
    else:
        yield SELLING_STARTED if transition["selling"]["to"] else SELLING_STOPPED, "", {}
