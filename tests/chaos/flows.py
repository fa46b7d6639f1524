"""Every flow that a fault may hit: what has happened before, and the one invocation that is hit."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import create_checkout_session
from stripe_simulator.webhooks import signature
from tests.harness import SECRET, Harness, Student, request_event
from tuition import clock
from tuition.intake.stripe_events import EVENT_TYPES

ADA, BEA, CARL, DORA = (Student(name) for name in ("ada", "bea", "carl", "dora"))
STAFF = Student("staff", groups=("admin",))
HOUR, DAY = 3600, 86_400
Event = dict[str, Any]


@dataclass
class Case:
    """The invocation, and the events that Stripe has not told yet (or that were not accepted)."""

    function: str
    event: Mapping[str, Any]
    told: list[Event] = field(default_factory=list)
    own: Event | None = None
    """What a webhook is given: Stripe sends it again until it is accepted."""


Prepare = Callable[[Harness], Case]
FLOWS: dict[str, Prepare] = {}


def flow(name: str) -> Callable[[Prepare], Prepare]:
    def register(prepare: Prepare) -> Prepare:
        FLOWS[name] = prepare
        return prepare

    return register


# --- what has happened before ---


def begin(w: Harness, who: Student = ADA, **more: Any) -> Event:
    """A Checkout Session."""
    return dict(w.call(create_checkout_session.handler, who, {"track": "DP", **more}).body)


def page(w: Harness, session_id: str, method: str = "pm_card_visa") -> None:
    """The student on Stripe's page."""
    w.at_stripe("POST", f"/v1/payment_pages/{session_id}/confirm", payment_method=method)


def bought(w: Harness, who: Student = ADA, method: str = "pm_card_visa") -> Event:
    """A purchase of which all is told."""
    made = dict(w.create(who).body)
    w.pay(made["payment_intent_id"], method)
    w.advance_stripe(3)
    w.deliver_all()
    return made


def code(w: Harness, percent: int = 20) -> str:
    """A promotion code of Stripe's."""
    coupon = w.at_stripe("POST", "/v1/coupons", percent_off=percent)["id"]
    promotion = {"promotion[type]": "coupon", "promotion[coupon]": coupon}
    return str(w.at_stripe("POST", "/v1/promotion_codes", code="SPRING", **promotion)["code"])


def in_window(w: Harness) -> None:
    """The window for a refund without staff is over."""
    w.advance_time(15 * DAY)


def asking(function: str, who: Student, body: Any = None, **more: Any) -> Case:
    return Case(function, request_event(who, body, **more))


def staff(w: Harness, route: str, body: Any, **path: str) -> Case:
    return Case("admin", request_event(STAFF, body, route=route, path=path))


def telling(w: Harness, event: Event, told: list[Event]) -> Case:
    """Stripe tells an event; the others are still on their way."""
    body = json.dumps(event)
    header = signature(SECRET, body.encode(), int(clock.now()))
    return Case("webhook", request_event(None, body, headers={"stripe-signature": header}), told, event)


# --- a student buys ---


@flow("create")
def _create(w: Harness) -> Case:
    return asking("create_payment", ADA, {"track": "DP"})


@flow("create: again")
def _create_again(w: Harness) -> Case:
    w.create(ADA)
    return asking("create_payment", ADA, {"track": "DP"})


@flow("create: a session is open")
def _create_switch(w: Harness) -> Case:
    begin(w)
    return asking("create_payment", ADA, {"track": "DP"})


@flow("create: the open one was paid, and nobody told")
def _create_paid(w: Harness) -> Case:
    w.pay(w.create(ADA).body["payment_intent_id"])
    return asking("create_payment", ADA, {"track": "DP"})


@flow("create: the customer is gone")
def _create_customer(w: Harness) -> Case:
    made = bought(w)
    w.refund(ADA, made["payment_id"])
    w.at_stripe("DELETE", f"/v1/customers/{w.payment(made['payment_id']).customer}")
    return asking("create_payment", ADA, {"track": "DP"})


@flow("checkout")
def _checkout(w: Harness) -> Case:
    return asking("create_checkout_session", ADA, {"track": "DP"})


@flow("checkout: with a promotion code")
def _checkout_code(w: Harness) -> Case:
    return asking("create_checkout_session", ADA, {"track": "DP", "promotion_code": code(w)})


@flow("checkout: an intent is open, with a promotion code")
def _checkout_switch(w: Harness) -> Case:
    w.create(ADA)
    return asking("create_checkout_session", ADA, {"track": "DP", "promotion_code": code(w)})


# --- Stripe tells ---


def _events(w: Harness, type_: str) -> None:
    """What makes Stripe tell an event of that type."""
    if type_.startswith("checkout.session."):
        _session_events(w, type_)
    elif type_.startswith("charge.dispute."):
        made = bought(w)
        opened = w.at_stripe("POST", "/_sim/disputes", payment_intent=made["payment_intent_id"])
        if type_.endswith(("updated", "closed", "reinstated")):
            w.at_stripe("POST", "/_sim/disputes", dispute=opened["id"], status="under_review")
        if type_.endswith(("closed", "reinstated")):
            won = "won" if type_.endswith("reinstated") else "lost"
            w.at_stripe("POST", "/_sim/disputes", dispute=opened["id"], status=won)
    elif type_.startswith("refund.") or type_ == "charge.refunded":
        methods = {"refund.failed": "pm_card_refundFail", "refund.updated": "pm_card_pendingRefund"}
        made = bought(w, method=methods.get(type_, "pm_card_visa"))
        w.at_stripe("POST", "/v1/refunds", payment_intent=made["payment_intent_id"], amount=20_000)
        w.advance_stripe(5)
    else:
        intent = w.create(ADA).body["payment_intent_id"]
        w.advance_stripe(2)
        if type_ == "payment_intent.canceled":
            w.at_stripe("POST", f"/v1/payment_intents/{intent}/cancel")
        elif type_ != "payment_intent.created":
            w.pay(intent, METHODS.get(type_, "pm_card_visa"))
            w.advance_stripe(5 if type_ == "charge.updated" else 0)


METHODS = {
    "payment_intent.processing": "pm_usBankAccount_success",
    "payment_intent.requires_action": "pm_card_authenticationRequired",
    "payment_intent.payment_failed": "pm_card_chargeDeclined",
    "charge.failed": "pm_card_chargeDeclined",
}


def _session_events(w: Harness, type_: str) -> None:
    session = begin(w)["session_id"]
    if type_.endswith("expired"):
        w.at_stripe("POST", f"/v1/checkout/sessions/{session}/expire")
    elif "async" in type_:
        page(w, session, f"pm_usBankAccount_{'success' if type_.endswith('succeeded') else 'insufficientFunds'}")
        w.advance_stripe(10 * DAY)
    else:
        page(w, session)


def _webhook(type_: str) -> Prepare:
    def prepare(w: Harness) -> Case:
        _events(w, type_)
        events = w.new_events()
        place = max(place for place, event in enumerate(events) if event["type"] == type_)
        for event in events[:place]:
            w.deliver(event)
        return telling(w, events[place], events[place + 1 :])

    return prepare


for _type in sorted(EVENT_TYPES):
    FLOWS[f"webhook {_type}"] = _webhook(_type)


@flow("webhook: two phases of one second")
def _same_second(w: Harness) -> Case:
    made = w.create(ADA).body
    known = w.payment(made["payment_id"]).facts.phase
    w.pay(made["payment_intent_id"], "pm_usBankAccount_success")
    events = w.new_events()
    place = next(place for place, event in enumerate(events) if event["type"] == "payment_intent.processing")
    return telling(w, {**events[place], "created": known.at}, [*events[:place], *events[place + 1 :]])


@flow("webhook: a free session")
def _free(w: Harness) -> Case:
    session = begin(w, promotion_code=code(w, 100))["session_id"]
    w.at_stripe("POST", f"/v1/payment_pages/{session}/confirm")
    *before, event = w.new_events()
    return telling(w, event, before)


@flow("webhook: the fifth decline")
def _fifth(w: Harness) -> Case:
    intent = w.create(ADA).body["payment_intent_id"]
    for _ in range(5):
        w.pay(intent, "pm_card_chargeDeclined")
    events = w.new_events()
    place = max(place for place, event in enumerate(events) if event["type"] == "charge.failed")
    for event in events[:place]:
        w.deliver(event)
    return telling(w, events[place], events[place + 1 :])


@flow("webhook: a refund before anything else")
def _refund_first(w: Harness) -> Case:
    session = begin(w)["session_id"]
    page(w, session)
    intent = w.at_stripe("GET", f"/v1/checkout/sessions/{session}")["payment_intent"]
    before = w.new_events()
    w.at_stripe("POST", "/v1/refunds", payment_intent=intent)
    event, *after = w.new_events()
    return telling(w, event, before + after)


@flow("webhook: the payment's item is missing")
def _rebuilt(w: Harness) -> Case:
    session = begin(w)["session_id"]
    page(w, session)
    wipe(w.tables)
    events = w.new_events()
    place = next(i for i, event in enumerate(events) if event["type"] == "payment_intent.succeeded")
    return telling(w, events[place], events[:place] + events[place + 1 :])


@flow("webhook: of another version")
def _version(w: Harness) -> Case:
    w.pay(w.create(ADA).body["payment_intent_id"])
    events = w.new_events()
    place = next(i for i, event in enumerate(events) if event["type"] == "charge.succeeded")
    return telling(w, {**events[place], "api_version": "2020-08-27"}, [*events[:place], *events[place + 1 :]])


@flow("webhook: to quarantine")
def _unusable(w: Harness) -> Case:
    w.pay(w.create(ADA).body["payment_intent_id"])
    events = w.new_events()
    broken = {**events[-1], "id": "evt_broken", "created": "soon"}
    return telling(w, broken, events)


def wipe(client: Any) -> None:
    """Every item of every table is gone."""
    for model in MODELS:
        keys = [
            name for name, attribute in model._attributes.items() if attribute.is_hash_key or attribute.is_range_key
        ]
        stored = client.scan(TableName=dynamodb.table_name(model), ConsistentRead=True)["Items"]
        gone = [{"DeleteRequest": {"Key": {key: item[key] for key in keys}}} for item in stored]
        for first in range(0, len(gone), 25):
            client.batch_write_item(RequestItems={dynamodb.table_name(model): gone[first : first + 25]})


# --- money back ---


@flow("refund: by the student")
def _refund(w: Harness) -> Case:
    return asking("request_refund", ADA, {"payment_id": bought(w)["payment_id"], "reason": "changed my mind"})


@flow("refund: pending at Stripe")
def _refund_pending(w: Harness) -> Case:
    made = bought(w, method="pm_card_pendingRefund")
    return asking("request_refund", ADA, {"payment_id": made["payment_id"], "reason": "changed my mind"})


@flow("refund: waits for staff")
def _refund_waits(w: Harness) -> Case:
    made = bought(w)
    in_window(w)
    return asking("request_refund", ADA, {"payment_id": made["payment_id"], "reason": "late"})


@flow("refund: a part, by staff")
def _refund_part(w: Harness) -> Case:
    route = "POST /api/admin/payments/{payment_id}/refunds"
    return staff(w, route, {"amount": 10_000, "reason": "half"}, payment_id=bought(w)["payment_id"])


@flow("refund: refused by Stripe")
def _refund_refused(w: Harness) -> Case:
    """Somebody was faster in the dashboard, and nobody told."""
    made = bought(w)
    w.at_stripe("POST", "/v1/refunds", payment_intent=made["payment_intent_id"], amount=30_000)
    return asking("request_refund", ADA, {"payment_id": made["payment_id"], "reason": "changed my mind"})


def _waiting(w: Harness, decision: str) -> Case:
    made = bought(w)
    in_window(w)
    asked = w.refund(ADA, made["payment_id"]).body["refund_request"]["id"]
    route = "POST /api/admin/payments/{payment_id}/refunds/{request_id}"
    return staff(w, route, {"decision": decision}, payment_id=made["payment_id"], request_id=asked)


@flow("refund: approved")
def _approve(w: Harness) -> Case:
    return _waiting(w, "approve")


@flow("refund: declined")
def _decline(w: Harness) -> Case:
    return _waiting(w, "decline")


# --- who looks, and what staff decide ---


@flow("status: of what nobody told")
def _status(w: Harness) -> Case:
    made = w.create(ADA).body
    w.pay(made["payment_intent_id"])
    return asking("payment_status", ADA, path={"payment_intent_id": made["payment_intent_id"]})


@flow("decision: accept")
def _accept(w: Harness) -> Case:
    made = w.create(ADA).body
    stored = w.stripe.account.store.find("payment_intent", made["payment_intent_id"])
    assert stored
    stored["amount"] = 40_000  # somebody altered it in the dashboard
    w.pay(made["payment_intent_id"])
    w.deliver_all()
    route = "POST /api/admin/payments/{payment_id}/decisions"
    return staff(w, route, {"decision": "accept", "note": "agreed"}, payment_id=made["payment_id"])


@flow("decision: revoke")
def _revoke(w: Harness) -> Case:
    route = "POST /api/admin/payments/{payment_id}/decisions"
    return staff(w, route, {"decision": "revoke", "note": "fraud"}, payment_id=bought(w)["payment_id"])


@flow("decision: acknowledge")
def _acknowledge(w: Harness) -> Case:
    made = bought(w)
    opened = w.at_stripe("POST", "/_sim/disputes", payment_intent=made["payment_intent_id"])
    w.deliver_all()
    route = "POST /api/admin/payments/{payment_id}/attention"
    return staff(w, route, {"cause": f"dispute:{opened['id']}", "note": "sent papers"}, payment_id=made["payment_id"])


# --- the clock, and replay ---


def _quarantined(w: Harness, who: Student) -> Event:
    """An event that could not be applied, and could now."""
    made = w.create(who).body
    w.pay(made["payment_intent_id"])
    (event,) = [e for e in w.new_events() if e["type"] == "payment_intent.succeeded"]
    broken = {**event, "data": {"object": {**event["data"]["object"], "amount_received": "much"}}}
    w.deliver(broken)
    w.tables.update_item(
        TableName="quarantine", Key=keys.quarantine_key(event["id"]), UpdateExpression="SET event = :event",
        ExpressionAttributeValues={":event": {"S": json.dumps(event)}},
    )  # fmt: skip
    return dict(event)


@flow("replay")
def _replay(w: Harness) -> Case:
    event = _quarantined(w, ADA)
    return staff(w, "POST /api/admin/quarantine/{event_id}/replay", None, event_id=event["id"])


@flow("reconcile")
def _reconcile(w: Harness) -> Case:
    """Something of everything: left open for days, an orphan, a stuck refund, lost webhooks, quarantine."""
    w.create(DORA)
    w.advance_time(4 * DAY)
    stuck = bought(w, CARL)
    w.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=9, fail="before")
    w.refund(CARL, stuck["payment_id"])
    w.at_stripe("DELETE", "/_sim/calls")
    whose = {"app": "tuition", "environment": "test", "payment_id": "pay_orphan", "user_id": "eve", "track": "DP"}
    whose |= {"attempt": "1", "kind": "intent"}
    metadata = {f"metadata[{name}]": value for name, value in whose.items()}
    w.at_stripe("POST", "/v1/payment_intents", amount=49_900, currency="usd", **metadata)
    w.advance_time(HOUR + 60)
    _quarantined(w, ADA)
    w.pay(w.create(BEA).body["payment_intent_id"])
    w.new_events()  # lost
    return Case("reconcile", {})


@flow("backfill")
def _backfill(w: Harness) -> Case:
    """The days of a purchase that nobody told."""
    w.pay(w.create(ADA).body["payment_intent_id"])
    w.new_events()  # lost
    today = timestamps.iso(w.stripe.account.clock.unix())[:10]
    return Case("reconcile", {"backfill": {"from": today, "to": today}})


assert set(METHODS) < set(EVENT_TYPES)
