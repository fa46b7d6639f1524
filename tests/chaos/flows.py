"""Every flow that a fault may hit: the history before it, and the one invocation that is hit."""

import itertools
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import create_checkout_session
from stripe_simulator.webhooks import signature
from tests import plan_calls
from tests.harness import SECRET, Harness, Student, request_event
from tuition import clock
from tuition.core import timestamps
from tuition.intake.stripe_events import EVENT_TYPES
from tuition.storage import dynamodb, keys
from tuition.storage.items import MODELS

ADA, BEA, CARL, DORA = (Student(name) for name in ("ada", "bea", "carl", "dora"))
STAFF = Student("staff", groups=("admin",))
HOUR, DAY = 3600, 86_400
Event = dict[str, Any]


@dataclass
class Invocation:
    """A function with its event, and the webhook events that Stripe has not delivered yet."""

    function: str
    event: Mapping[str, Any]
    undelivered: list[Event] = field(default_factory=list)
    own_event: Event | None = None
    """The event that the webhook receives in this invocation: Stripe retries it until it is accepted."""


Prepare = Callable[[Harness], Invocation]
FLOWS: dict[str, Prepare] = {}
SEED_NAMES: dict[str, str] = {}
"""Flow -> the name that its random numbers start from, where it differs. Do not change it: it is part of the seeds."""


def flow(name: str, seed_name: str = "") -> Callable[[Prepare], Prepare]:
    """Register a flow under its name."""
    if seed_name:
        SEED_NAMES[name] = seed_name

    def register(prepare: Prepare) -> Prepare:
        FLOWS[name] = prepare
        return prepare

    return register


# --- histories ---


def create_session(w: Harness, student: Student = ADA, **params: Any) -> Event:
    """Create a Checkout Session. Return the response body."""
    return dict(w.call(create_checkout_session.handler, student, {"track": "DP", **params}).body)


def pay_session(w: Harness, session_id: str, method: str = "pm_card_visa") -> None:
    """Pay on Stripe's page."""
    w.at_stripe("POST", f"/v1/payment_pages/{session_id}/confirm", payment_method=method)


def buy(w: Harness, student: Student = ADA, method: str = "pm_card_visa") -> Event:
    """Buy the track and deliver every event. Return the response body of the create."""
    purchase = dict(w.create(student).body)
    w.pay(purchase["payment_intent_id"], method)
    w.advance_stripe(3)
    w.deliver_all()
    return purchase


def create_code(w: Harness, percent: int = 20) -> str:
    """Create a promotion code at Stripe."""
    coupon = w.at_stripe("POST", "/v1/coupons", percent_off=percent)["id"]
    promotion = {"promotion[type]": "coupon", "promotion[coupon]": coupon}
    return str(w.at_stripe("POST", "/v1/promotion_codes", code="SPRING", **promotion)["code"])


def end_refund_window(w: Harness) -> None:
    """Pass the time in which a refund needs no approval."""
    w.advance_time(15 * DAY)


def request(function: str, student: Student, body: Any = None, **params: Any) -> Invocation:
    return Invocation(function, request_event(student, body, **params))


def staff_request(route: str, body: Any, **path: str) -> Invocation:
    return Invocation("admin", request_event(STAFF, body, route=route, path=path))


def webhook(event: Event, undelivered: list[Event]) -> Invocation:
    """Deliver one event of Stripe. The others are still to come."""
    body = json.dumps(event)
    header = signature(SECRET, body.encode(), int(clock.now()))
    return Invocation("webhook", request_event(None, body, headers={"stripe-signature": header}), undelivered, event)


# --- a student buys ---


@flow("create")
def _create(w: Harness) -> Invocation:
    return request("create_payment", ADA, {"track": "DP"})


@flow("create: again")
def _create_again(w: Harness) -> Invocation:
    w.create(ADA)
    return request("create_payment", ADA, {"track": "DP"})


@flow("create: a session is open")
def _create_switch(w: Harness) -> Invocation:
    create_session(w)
    return request("create_payment", ADA, {"track": "DP"})


@flow("create: the open payment was paid, webhook lost", seed_name="create: the open one was paid, and nobody told")
def _create_paid(w: Harness) -> Invocation:
    w.pay(w.create(ADA).body["payment_intent_id"])
    return request("create_payment", ADA, {"track": "DP"})


@flow("create: the customer was deleted", seed_name="create: the customer is gone")
def _create_customer(w: Harness) -> Invocation:
    purchase = buy(w)
    w.refund(ADA, purchase["payment_id"])
    w.at_stripe("DELETE", f"/v1/customers/{w.payment(purchase['payment_id']).customer}")
    return request("create_payment", ADA, {"track": "DP"})


@flow("checkout")
def _checkout(w: Harness) -> Invocation:
    return request("create_checkout_session", ADA, {"track": "DP"})


@flow("checkout: with a promotion code")
def _checkout_code(w: Harness) -> Invocation:
    return request("create_checkout_session", ADA, {"track": "DP", "promotion_code": create_code(w)})


@flow("checkout: an intent is open, with a promotion code")
def _checkout_switch(w: Harness) -> Invocation:
    w.create(ADA)
    return request("create_checkout_session", ADA, {"track": "DP", "promotion_code": create_code(w)})


@flow("cancel: a session")
def _cancel(w: Harness) -> Invocation:
    path = {"payment_id": create_session(w)["payment_id"]}
    return request("payment_status", ADA, route="POST /api/payments/{payment_id}/cancel", path=path)


# --- payment plans ---


def begin_plan(w: Harness, **more: Any) -> Invocation:
    body = {"track": "DP", "offer": "4x", "consent": plan_calls.consent(w), **more}
    return request("plans", ADA, body, route="POST /api/plans")


def of_plan(plan_id: str, action: str, body: Any, function: str = "plans") -> Invocation:
    return request(function, ADA, body, route=f"POST /api/plans/{{plan_id}}/{action}", path={"plan_id": plan_id})


@flow("plan: begin")
def _begin_plan(w: Harness) -> Invocation:
    return begin_plan(w)


@flow("plan: begin on Stripe's page")
def _begin_plan_at_checkout(w: Harness) -> Invocation:
    return begin_plan(w, via="checkout")


@flow("plan: begin while the full price is open")
def _begin_instead(w: Harness) -> Invocation:
    w.create(ADA)
    return begin_plan(w)


@flow("plan: begin another way")
def _begin_otherwise(w: Harness) -> Invocation:
    plan_calls.begin(w, ADA)
    return begin_plan(w, via="checkout")


@flow("plan: pay the full price instead")
def _buy_instead(w: Harness) -> Invocation:
    plan_calls.begin(w, ADA)
    return request("create_payment", ADA, {"track": "DP"})


@flow("plan: the first payment was paid, webhook lost")
def _begin_paid(w: Harness) -> Invocation:
    w.pay(plan_calls.begin(w, ADA).body["payment_intent_id"])
    return begin_plan(w)


@flow("plan: pay the next installment")
def _pay_next(w: Harness) -> Invocation:
    return of_plan(plan_calls.started(w, ADA)["plan_id"], "pay", {"what": "next"})


@flow("plan: pay the rest while the next installment is open")
def _pay_rest(w: Harness) -> Invocation:
    plan_id = plan_calls.started(w, ADA)["plan_id"]
    plan_calls.pay(w, ADA, plan_id)
    return of_plan(plan_id, "pay", {"what": "rest"})


@flow("plan: set up a payment method")
def _set_up(w: Harness) -> Invocation:
    return of_plan(plan_calls.started(w, ADA)["plan_id"], "payment-method", {})


@flow("plan: choose a payment method")
def _choose(w: Harness) -> Invocation:
    plan_id = plan_calls.started(w, ADA)["plan_id"]
    w.advance_time(60)
    method = plan_calls.set_up(w, ADA, plan_id)
    return of_plan(plan_id, "payment-method", {"payment_method": method})


@flow("plan: cancel before it is paid")
def _cancel_plan(w: Harness) -> Invocation:
    return of_plan(plan_calls.begin(w, ADA).body["plan_id"], "cancel", {}, "request_refund")


@flow("plan: withdraw")
def _withdraw_plan(w: Harness) -> Invocation:
    plan_id = plan_calls.started(w, ADA)["plan_id"]
    w.pay(plan_calls.pay(w, ADA, plan_id).body["payment_intent_id"])
    w.deliver_all()
    return of_plan(plan_id, "cancel", {}, "request_refund")


# --- the collector ---


@flow("collect: announce")
def _announce(w: Harness) -> Invocation:
    plan_calls.started(w, ADA)
    w.advance_time(25 * DAY)
    return Invocation("collect", {})


def announced(w: Harness) -> Event:
    """Begin a plan, and advance to the day of its second installment, which was announced."""
    plan = plan_calls.started(w, ADA)
    w.advance_time(25 * DAY)
    w.collect()
    w.advance_time(8 * DAY)
    return plan


@flow("collect: charge")
def _charge(w: Harness) -> Invocation:
    announced(w)
    return Invocation("collect", {})


@flow("collect: charge what the student has begun to pay")
def _charge_begun(w: Harness) -> Invocation:
    plan_calls.pay(w, ADA, announced(w)["plan_id"])
    return Invocation("collect", {})


@flow("collect: close what the student has begun to pay")
def _charge_other(w: Harness) -> Invocation:
    plan_calls.pay(w, ADA, announced(w)["plan_id"], "rest")
    return Invocation("collect", {})


@flow("collect: charge a card that is declined")
def _charge_declined(w: Harness) -> Invocation:
    plan = announced(w)
    method = plan_calls.read(w, ADA, plan["plan_id"])["payment_method"]["id"]
    w.at_stripe("POST", f"/_sim/payment_methods/{method}", next=["insufficient_funds"])
    return Invocation("collect", {})


@flow("collect: charge after the grace")
def _charge_late(w: Harness) -> Invocation:
    plan = announced(w)
    method = plan_calls.read(w, ADA, plan["plan_id"])["payment_method"]["id"]
    w.at_stripe("POST", f"/_sim/payment_methods/{method}", next=["insufficient_funds"] * 3)
    for days in (3, 4):
        w.collect()
        w.advance_time(days * DAY)
    w.advance_time(9 * DAY)
    return Invocation("collect", {})


@flow("collect: refund what a withdrawal left")
def _refund_the_rest(w: Harness) -> Invocation:
    plan_id = plan_calls.started(w, ADA)["plan_id"]
    second = plan_calls.pay(w, ADA, plan_id).body
    plan_calls.call(w, ADA, "POST", plan_id, "cancel", {})
    w.pay(second["payment_intent_id"], may_be_refused=True)
    w.deliver_all()
    return Invocation("collect", {})


@flow("plan: webhook of a set-up method")
def _set_up_event(w: Harness) -> Invocation:
    plan_id = plan_calls.started(w, ADA)["plan_id"]
    plan_calls.set_up(w, ADA, plan_id)
    events = w.new_events()
    index = next(number for number, event in enumerate(events) if event["type"] == "setup_intent.succeeded")
    return webhook(events[index], [*events[:index], *events[index + 1 :]])


# --- webhooks ---


def _cause_event(w: Harness, type_: str) -> None:
    """Make Stripe create an event of that type."""
    if type_.startswith("checkout.session."):
        _cause_session_event(w, type_)
    elif type_.startswith("charge.dispute."):
        purchase = buy(w)
        opened = w.at_stripe("POST", "/_sim/disputes", payment_intent=purchase["payment_intent_id"])
        if type_.endswith(("updated", "closed", "reinstated")):
            w.at_stripe("POST", "/_sim/disputes", dispute=opened["id"], status="under_review")
        if type_.endswith(("closed", "reinstated")):
            won = "won" if type_.endswith("reinstated") else "lost"
            w.at_stripe("POST", "/_sim/disputes", dispute=opened["id"], status=won)
    elif type_.startswith("refund.") or type_ == "charge.refunded":
        methods = {"refund.failed": "pm_card_refundFail", "refund.updated": "pm_card_pendingRefund"}
        purchase = buy(w, method=methods.get(type_, "pm_card_visa"))
        w.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=20_000)
        w.advance_stripe(5)
    else:
        intent = w.create(ADA).body["payment_intent_id"]
        w.advance_stripe(2)
        if type_ == "payment_intent.canceled":
            w.at_stripe("POST", f"/v1/payment_intents/{intent}/cancel")
        elif type_ != "payment_intent.created":
            w.pay(intent, PAYMENT_METHODS.get(type_, "pm_card_visa"))
            w.advance_stripe(5 if type_ == "charge.updated" else 0)


PAYMENT_METHODS = {
    "payment_intent.processing": "pm_usBankAccount_success",
    "payment_intent.requires_action": "pm_card_authenticationRequired",
    "payment_intent.payment_failed": "pm_card_chargeDeclined",
    "charge.failed": "pm_card_chargeDeclined",
    "radar.early_fraud_warning.created": "pm_card_createIssuerFraudRecord",
}


def _cause_session_event(w: Harness, type_: str) -> None:
    session = create_session(w)["session_id"]
    if type_.endswith("expired"):
        w.at_stripe("POST", f"/v1/checkout/sessions/{session}/expire")
    elif "async" in type_:
        pay_session(w, session, f"pm_usBankAccount_{'success' if type_.endswith('succeeded') else 'insufficientFunds'}")
        w.advance_stripe(10 * DAY)
    else:
        pay_session(w, session)


def _webhook(type_: str) -> Prepare:
    def prepare(w: Harness) -> Invocation:
        _cause_event(w, type_)
        events = w.new_events()
        index = max(index for index, event in enumerate(events) if event["type"] == type_)
        for event in events[:index]:
            w.deliver(event)
        return webhook(events[index], events[index + 1 :])

    return prepare


for _type in sorted(EVENT_TYPES):
    FLOWS[f"webhook {_type}"] = _webhook(_type)


@flow("webhook: two phases of the same second", seed_name="webhook: two phases of one second")
def _same_second(w: Harness) -> Invocation:
    purchase = w.create(ADA).body
    phase = w.payment(purchase["payment_id"]).facts.phase
    w.pay(purchase["payment_intent_id"], "pm_usBankAccount_success")
    events = w.new_events()
    index = next(index for index, event in enumerate(events) if event["type"] == "payment_intent.processing")
    return webhook({**events[index], "created": phase.at}, [*events[:index], *events[index + 1 :]])


@flow("webhook: a free session")
def _free(w: Harness) -> Invocation:
    session = create_session(w, promotion_code=create_code(w, 100))["session_id"]
    w.at_stripe("POST", f"/v1/payment_pages/{session}/confirm")
    *before, event = w.new_events()
    return webhook(event, before)


@flow("webhook: the fifth decline")
def _fifth(w: Harness) -> Invocation:
    intent = w.create(ADA).body["payment_intent_id"]
    for _ in range(5):
        w.pay(intent, "pm_card_chargeDeclined")
    events = w.new_events()
    index = max(index for index, event in enumerate(events) if event["type"] == "charge.failed")
    for event in events[:index]:
        w.deliver(event)
    return webhook(events[index], events[index + 1 :])


@flow("webhook: a refund before anything else")
def _refund_first(w: Harness) -> Invocation:
    session = create_session(w)["session_id"]
    pay_session(w, session)
    intent = w.at_stripe("GET", f"/v1/checkout/sessions/{session}")["payment_intent"]
    before = w.new_events()
    w.at_stripe("POST", "/v1/refunds", payment_intent=intent)
    event, *after = w.new_events()
    return webhook(event, before + after)


@flow("webhook: the payment's item is missing")
def _rebuilt(w: Harness) -> Invocation:
    session = create_session(w)["session_id"]
    pay_session(w, session)
    clear_tables(w.tables)
    events = w.new_events()
    index = next(i for i, event in enumerate(events) if event["type"] == "payment_intent.succeeded")
    return webhook(events[index], events[:index] + events[index + 1 :])


@flow("webhook: another API version", seed_name="webhook: of another version")
def _version(w: Harness) -> Invocation:
    w.pay(w.create(ADA).body["payment_intent_id"])
    events = w.new_events()
    index = next(i for i, event in enumerate(events) if event["type"] == "charge.succeeded")
    return webhook({**events[index], "api_version": "2020-08-27"}, [*events[:index], *events[index + 1 :]])


@flow("webhook: quarantined", seed_name="webhook: to quarantine")
def _unusable(w: Harness) -> Invocation:
    w.pay(w.create(ADA).body["payment_intent_id"])
    events = w.new_events()
    broken = {**events[-1], "id": "evt_broken", "created": "soon"}
    return webhook(broken, events)


def clear_tables(client: Any, tables: Collection[str] | None = None) -> None:
    """Delete every item of every table, or of these tables."""
    deletes = []
    for model in MODELS if tables is None else [one for one in MODELS if dynamodb.table_name(one) in tables]:
        keys = [
            name for name, attribute in model._attributes.items() if attribute.is_hash_key or attribute.is_range_key
        ]
        table = dynamodb.table_name(model)
        stored = client.scan(TableName=table, ConsistentRead=True)["Items"]
        deletes += [(table, {"DeleteRequest": {"Key": {key: item[key] for key in keys}}}) for item in stored]
    for batch in itertools.batched(deletes, 25, strict=False):  # DynamoDB's limit per call
        requests: dict[str, list[Any]] = {}
        for table, delete in batch:
            requests.setdefault(table, []).append(delete)
        client.batch_write_item(RequestItems=requests)


# --- refunds ---


@flow("refund: by the student")
def _refund(w: Harness) -> Invocation:
    return request("request_refund", ADA, {"payment_id": buy(w)["payment_id"], "reason": "changed my mind"})


@flow("refund: pending at Stripe")
def _refund_pending(w: Harness) -> Invocation:
    purchase = buy(w, method="pm_card_pendingRefund")
    return request("request_refund", ADA, {"payment_id": purchase["payment_id"], "reason": "changed my mind"})


@flow("refund: awaiting approval", seed_name="refund: waits for staff")
def _refund_waits(w: Harness) -> Invocation:
    purchase = buy(w)
    end_refund_window(w)
    return request("request_refund", ADA, {"payment_id": purchase["payment_id"], "reason": "late"})


@flow("refund: the request is withdrawn")
def _refund_withdrawn(w: Harness) -> Invocation:
    purchase = buy(w)
    end_refund_window(w)
    request_id = w.refund(ADA, purchase["payment_id"]).body["refund_request"]["id"]
    route = "POST /api/payments/{payment_id}/refunds/{request_id}/withdraw"
    path = {"payment_id": purchase["payment_id"], "request_id": request_id}
    return request("request_refund", ADA, route=route, path=path)


@flow("refund: a part, by staff")
def _refund_part(w: Harness) -> Invocation:
    route = "POST /api/admin/payments/{payment_id}/refunds"
    return staff_request(route, {"amount": 10_000, "reason": "half"}, payment_id=buy(w)["payment_id"])


@flow("refund: rejected by Stripe", seed_name="refund: refused by Stripe")
def _refund_refused(w: Harness) -> Invocation:
    """Staff refunded in the dashboard first, and the webhook was lost."""
    purchase = buy(w)
    w.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=30_000)
    return request("request_refund", ADA, {"payment_id": purchase["payment_id"], "reason": "changed my mind"})


def _decide_request(w: Harness, decision: str) -> Invocation:
    purchase = buy(w)
    end_refund_window(w)
    request_id = w.refund(ADA, purchase["payment_id"]).body["refund_request"]["id"]
    route = "POST /api/admin/payments/{payment_id}/refunds/{request_id}"
    return staff_request(route, {"decision": decision}, payment_id=purchase["payment_id"], request_id=request_id)


@flow("refund: approved")
def _approve(w: Harness) -> Invocation:
    return _decide_request(w, "approve")


@flow("refund: declined")
def _decline(w: Harness) -> Invocation:
    return _decide_request(w, "decline")


# --- status, and decisions of staff ---


@flow("status: webhook lost", seed_name="status: of what nobody told")
def _status(w: Harness) -> Invocation:
    purchase = w.create(ADA).body
    w.pay(purchase["payment_intent_id"])
    return request("payment_status", ADA, path={"payment_intent_id": purchase["payment_intent_id"]})


@flow("decision: accept")
def _accept(w: Harness) -> Invocation:
    purchase = w.create(ADA).body
    stored = w.stripe.account.store.find("payment_intent", purchase["payment_intent_id"])
    assert stored
    stored["amount"] = 40_000  # altered in the dashboard
    w.pay(purchase["payment_intent_id"])
    w.deliver_all()
    route = "POST /api/admin/payments/{payment_id}/access"
    return staff_request(route, {"decision": "accept_amount", "note": "agreed"}, payment_id=purchase["payment_id"])


@flow("decision: revoke")
def _revoke(w: Harness) -> Invocation:
    route = "POST /api/admin/payments/{payment_id}/access"
    return staff_request(route, {"decision": "revoke", "note": "fraud"}, payment_id=buy(w)["payment_id"])


@flow("decision: acknowledge")
def _acknowledge(w: Harness) -> Invocation:
    purchase = buy(w)
    opened = w.at_stripe("POST", "/_sim/disputes", payment_intent=purchase["payment_intent_id"])
    w.deliver_all()
    route = "POST /api/admin/payments/{payment_id}/attention"
    return staff_request(
        route, {"name": f"dispute:{opened['id']}", "note": "sent papers"}, payment_id=purchase["payment_id"]
    )


@flow("decision: stop selling")
def _stop_selling(w: Harness) -> Invocation:
    """The second decision: staff stop what they have started before."""
    route = "POST /api/admin/selling"
    for on in (False, True):
        w.admin(STAFF, route, {"selling": on, "note": "before"})
    return staff_request(route, {"selling": False, "note": "a price is wrong", "message": "Back tomorrow."})


# --- replay and the hourly run ---


def _quarantine_event(w: Harness, student: Student) -> Event:
    """Quarantine an event that could not be applied, and that can be applied now."""
    purchase = w.create(student).body
    w.pay(purchase["payment_intent_id"])
    (event,) = [e for e in w.new_events() if e["type"] == "payment_intent.succeeded"]
    broken = {**event, "data": {"object": {**event["data"]["object"], "amount_received": "much"}}}
    w.deliver(broken)
    w.tables.update_item(
        TableName="quarantine", Key=keys.quarantine_key(event["id"]), UpdateExpression="SET event = :event",
        ExpressionAttributeValues={":event": {"S": json.dumps(event)}},
    )  # fmt: skip
    return dict(event)


@flow("replay")
def _replay(w: Harness) -> Invocation:
    event = _quarantine_event(w, ADA)
    return staff_request("POST /api/admin/quarantine/{event_id}/replay", None, event_id=event["id"])


@flow("reconcile")
def _reconcile(w: Harness) -> Invocation:
    """One of each: an old open payment, an orphan, an unfinished refund, a quarantined event, a lost webhook."""
    w.create(DORA)
    w.advance_time(4 * DAY)
    stuck = buy(w, CARL)
    w.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=9, fail="before")
    w.refund(CARL, stuck["payment_id"])
    w.at_stripe("DELETE", "/_sim/calls")
    our_metadata = {
        "app": "tuition",
        "environment": "test",
        "payment_id": "pay_orphan",
        "user_id": "eve",
        "track": "DP",
    }
    our_metadata |= {"attempt": "1", "kind": "intent"}
    metadata = {f"metadata[{name}]": value for name, value in our_metadata.items()}
    w.at_stripe("POST", "/v1/payment_intents", amount=49_900, currency="usd", **metadata)
    w.advance_time(HOUR + 60)
    _quarantine_event(w, ADA)
    w.pay(w.create(BEA).body["payment_intent_id"])
    w.new_events()  # lost
    return Invocation("reconcile", {})


@flow("backfill")
def _backfill(w: Harness) -> Invocation:
    """Cover the day of a purchase whose webhooks were lost."""
    w.pay(w.create(ADA).body["payment_intent_id"])
    w.new_events()  # lost
    today = timestamps.iso(w.stripe.account.clock.unix())[:10]
    return Invocation("reconcile", {"backfill": {"from": today, "to": today}})


assert set(PAYMENT_METHODS) < set(EVENT_TYPES)
