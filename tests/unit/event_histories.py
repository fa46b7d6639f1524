"""Consistent histories of one student's payments for one track, with the events that Stripe sends for them.

The module has three independent parts:

- `make` writes a history: the state changes of Stripe's objects, the event of each change, and the true amounts
  received, refunded and disputed (`Truth`), which each step records itself.
- `replay` delivers the events in any order, with duplicates, to `stripe_events.read` and its decision, over payments
  and an enrollment in memory. Requests to Stripe are answered from the history, as of a position that is never before
  an event that was already delivered.
- `oracle` computes the final state from `Truth` alone.

Objects have Stripe's shapes without the unused fields (`test_event_histories.py` compares them with the simulator).
"""

import json
import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from tuition.core import attention, catalog, progress, stripe_json, timestamps
from tuition.core import payment as payments
from tuition.core.enrollment import Enrollment, standing_of
from tuition.core.facts import Kind
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.intake import stripe_events
from tuition.intake.stripe_events import API_VERSION, ParsedEvent
from tuition.storage.items import StripeObjectItem
from tuition.storage.ledger import PaymentState
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import resolve
from tuition.stripe_gateway.client import Answer
from tuition.stripe_gateway.resolve import Resolved, StripeIds

USER, TRACK, CURRENCY = "user-1", "DP", "usd"
STARTED_AT = 1_790_000_000
Object = dict[str, Any]


@dataclass
class Truth:
    """The true outcome of one payment, in minor units. `open_status` is the status while it can still be paid."""

    payment_id: str
    attempt: int
    kind: Kind
    stripe_object_id: str
    price: int
    settled: int | None = None
    closed_unpaid: bool = False
    open_status: str = "CREATED"
    refunds: dict[str, tuple[int, str]] = field(default_factory=dict)
    disputes: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    """Amount, amount withdrawn at present, status."""
    fraud_warnings: dict[str, str] = field(default_factory=dict)
    duplicate_intents: dict[str, int] = field(default_factory=dict)
    """Amounts of other paid objects that carry this payment's metadata."""


@dataclass
class History:
    """Events in the order in which Stripe created them, and the objects behind them.

    `states` maps each payment to two parallel lists: the event position from which a state applies, and Stripe's
    objects in that state as JSON.
    """

    seed: str
    events: list[Object] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)
    created_payments: list[Payment] = field(default_factory=list)
    states: dict[str, tuple[list[int], list[str]]] = field(default_factory=dict)
    payment_of_intent: dict[str, str] = field(default_factory=dict)


# --- writing a history ---


class Story:
    """The clock, the random generator and the event log that the purchases of one history share."""

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)
        self.now = STARTED_AT
        self.history = History(seed)
        self.ids = 0

    def id(self, prefix: str) -> str:
        self.ids += 1
        return f"{prefix}_{self.ids:04d}"

    def wait(self) -> None:
        self.now += self.rng.choice((0, 0, 0, 1, 5, 3600))

    def emit(self, purchase: "Purchase", type_: str, obj: Object) -> None:
        history = self.history
        event = {
            "id": self.id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "livemode": False,
            "type": type_,
            "data": {"object": json.loads(json.dumps(obj))},
        }
        history.events.append(event)
        self.snapshot(purchase)

    def snapshot(self, purchase: "Purchase") -> None:
        positions, states = self.history.states.setdefault(purchase.truth.payment_id, ([], []))
        positions.append(len(self.history.events) - 1)
        states.append(json.dumps(purchase.objects))


class Purchase:
    """One payment at Stripe. Each method changes its objects as one step at Stripe would."""

    def __init__(self, story: Story, attempt: int, kind: Kind, price: int) -> None:
        self.story, self.rng = story, story.rng
        payment_id = f"pay_{story.history.seed.replace(':', '')}x{attempt}"
        stripe_object_id = story.id("pi" if kind == "intent" else "cs_test")
        self.truth = Truth(payment_id, attempt, kind, stripe_object_id, price)
        self.metadata = resolve.metadata(PaymentRef(payment_id, USER, TRACK), attempt, kind)
        self.amount = price
        self.objects: Object = {"intent": None, "session": None, "charges": {}, "refunds": {}, "disputes": {}}
        story.history.truths.append(self.truth)
        if kind == "intent":
            self.create_intent(stripe_object_id)
        else:
            self.objects["session"] = session_object(stripe_object_id, story.now, price, self.metadata)
        self.record_creation()
        story.snapshot(self)
        if kind == "intent":
            self.emit("payment_intent.created", self.intent)

    @property
    def intent(self) -> Object:
        intent: Object = self.objects["intent"]
        return intent

    @property
    def session(self) -> Object:
        session: Object = self.objects["session"]
        return session

    @property
    def charge(self) -> Object:
        charge: Object = self.objects["charges"][self.intent["latest_charge"]]
        return charge

    def record_creation(self) -> None:
        """Add the payment to the history as creating it commits it."""
        truth, at = self.truth, self.story.now
        timestamp = timestamps.iso(at)
        read = stripe_json.of_intent if truth.kind == "intent" else stripe_json.of_session
        payment = Payment(
            payment_id=truth.payment_id,
            user_id=USER,
            track=TRACK,
            kind=truth.kind,
            attempt=truth.attempt,
            stripe_object_id=truth.stripe_object_id,
            price=Money(truth.price, CURRENCY),
            created_at=timestamp,
            updated_at=timestamp,
            version=1,
        )
        self.story.history.created_payments.append(payment.merged(read(self.intent or self.session, at)))

    def create_intent(self, intent_id: str) -> None:
        self.objects["intent"] = intent_object(intent_id, self.story.now, self.amount, self.metadata)
        self.story.history.payment_of_intent[intent_id] = self.truth.payment_id

    def emit(self, type_: str, obj: Object) -> None:
        self.story.emit(self, type_, obj)

    def add_charge(self, status: str, method: str = "card", code: str | None = None) -> None:
        """Add a charge to the intent. Checkout creates its intent with the first charge."""
        if self.intent is None:
            self.create_intent(self.story.id("pi"))
            self.session["payment_intent"] = self.intent["id"]
        charge = charge_object(self.story.id("ch"), self.story.now, self.intent, status, method, code)
        self.objects["charges"][charge["id"]] = charge
        self.intent["latest_charge"] = charge["id"]

    # --- failed attempts ---

    def decline(self) -> None:
        self.story.wait()
        self.add_charge("failed", code="card_declined")
        self.fail_attempt("card_declined", "insufficient_funds")
        self.emit("charge.failed", self.charge)
        self.emit("payment_intent.payment_failed", self.intent)

    def fail_attempt(self, code: str, decline_code: str | None) -> None:
        error = {"type": "card_error", "code": code, "decline_code": decline_code, "message": "Not this time."}
        self.intent.update({"status": "requires_payment_method", "last_payment_error": error})
        self.truth.open_status = "FAILED"

    def challenge(self) -> None:
        """Require 3-D Secure. The student fails it in half of all cases and otherwise leaves it unfinished."""
        self.story.wait()
        self.intent["status"] = "requires_action"
        self.truth.open_status = "CREATED"
        self.emit("payment_intent.requires_action", self.intent)
        if self.rng.random() < 0.5:
            self.story.wait()
            self.fail_attempt("payment_intent_authentication_failure", None)
            self.emit("payment_intent.payment_failed", self.intent)

    # --- payments ---

    def process(self) -> None:
        """Pay with a delayed method, whose bank has not answered yet."""
        self.story.wait()
        self.add_charge("pending", "us_bank_account")
        self.intent.update({"status": "processing", "last_payment_error": None})
        self.truth.open_status = "PROCESSING"
        self.emit("payment_intent.processing", self.intent)
        if self.truth.kind == "checkout":
            self.session["status"] = "complete"
            self.emit("checkout.session.completed", self.session)

    def bank_answers(self, *, approved: bool) -> None:
        self.story.wait()
        if approved:
            self.charge.update(status="succeeded", paid=True)
            self.receive()
            self.emit("payment_intent.succeeded", self.intent)
            self.emit("charge.succeeded", self.charge)
        else:
            self.charge.update(status="failed", failure_code="insufficient_funds")
            self.fail_attempt("insufficient_funds", None)
            self.emit("charge.failed", self.charge)
            self.emit("payment_intent.payment_failed", self.intent)
        if self.truth.kind == "checkout":
            self.truth.closed_unpaid = not approved
            self.session["payment_status"] = "paid" if approved else "unpaid"
            self.emit(f"checkout.session.async_payment_{'succeeded' if approved else 'failed'}", self.session)

    def pay(self) -> None:
        """Pay with a card that succeeds."""
        self.story.wait()
        creates_intent = self.intent is None
        self.add_charge("succeeded")
        new_intent = json.loads(json.dumps(self.intent))
        self.receive()
        if self.truth.kind == "intent":
            self.emit("payment_intent.succeeded", self.intent)
            self.emit("charge.succeeded", self.charge)
        else:
            self.session.update({"status": "complete", "payment_status": "paid"})
            self.emit("charge.succeeded", self.charge)
            self.emit("payment_intent.succeeded", self.intent)
            if creates_intent:
                self.emit("payment_intent.created", self.rng.choice((new_intent, self.intent)))
            self.emit("checkout.session.completed", self.session)
        if self.rng.random() < 0.5:
            self.story.wait()
            self.charge["balance_transaction"] = self.story.id("txn")
            self.emit("charge.updated", self.charge)

    def receive(self) -> None:
        amount = self.intent["amount"]
        self.intent.update({"status": "succeeded", "amount_received": amount, "last_payment_error": None})
        self.truth.settled = amount

    def complete_free_session(self) -> None:
        """Complete a session with a 100 % promotion code, which has no intent."""
        self.story.wait()
        self.session.update({"status": "complete", "payment_status": "no_payment_required"})
        self.truth.settled = 0
        self.emit("checkout.session.completed", self.session)

    # --- closing unpaid ---

    def close(self) -> None:
        self.story.wait()
        self.truth.closed_unpaid = True
        if self.intent is not None:
            self.intent.update({"status": "canceled", "canceled_at": self.story.now})
            self.emit("payment_intent.canceled", self.intent)
        if self.truth.kind == "checkout":
            self.session["status"] = "expired"
            self.emit("checkout.session.expired", self.session)

    # --- refunds ---

    def refund(self, amount: int, steps: Sequence[str]) -> None:
        """Create a refund that goes through these states. A failed or canceled refund is refundable again."""
        self.story.wait()
        charge = self.charge
        refund = refund_object(self.story.id("re"), self.story.now, charge, amount, steps[0])
        self.objects["refunds"][refund["id"]] = refund
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self.truth.refunds[refund["id"]] = amount, steps[0]
        self.emit("refund.created", refund)
        self.emit("charge.refunded", charge)
        for status in steps[1:]:
            self.story.wait()
            refund["status"] = status
            if status in ("failed", "canceled"):
                charge["amount_refunded"] -= amount
                charge["refunded"] = False
            if status == "failed":
                refund["failure_reason"] = "lost_or_stolen_card"
            self.truth.refunds[refund["id"]] = amount, status
            self.emit("refund.failed" if status == "failed" else "refund.updated", refund)

    @property
    def refundable(self) -> int:
        amount: int = self.charge["amount"] - self.charge["amount_refunded"]
        return amount

    # --- disputes ---

    def dispute(self, steps: Sequence[str]) -> None:
        """Open a dispute that goes through these states and moves its funds with each of them."""
        self.story.wait()
        amount = self.charge["amount"]
        dispute = dispute_object(self.story.id("du"), self.story.now, self.charge, amount, steps[0])
        self.objects["disputes"][dispute["id"]] = dispute
        self.charge["disputed"] = True
        self.update_dispute(dispute, steps[0], "charge.dispute.created")
        for status in steps[1:]:
            self.story.wait()
            is_closed = status in ("won", "lost", "warning_closed", "prevented")
            self.update_dispute(dispute, status, f"charge.dispute.{'closed' if is_closed else 'updated'}")

    def update_dispute(self, dispute: Object, status: str, type_: str) -> None:
        dispute["status"] = status
        before = -sum(transaction["amount"] for transaction in dispute["balance_transactions"])
        after = dispute["amount"] if status in ("needs_response", "under_review", "lost") else 0
        if before != after:
            dispute["balance_transactions"].append({"id": self.story.id("txn"), "amount": before - after})
        self.truth.disputes[dispute["id"]] = dispute["amount"], after, status
        self.emit(type_, dispute)
        if before != after:
            self.emit(f"charge.dispute.funds_{'withdrawn' if after > before else 'reinstated'}", dispute)

    def warn_of_fraud(self) -> None:
        """Report from the card's issuer that the charge may be fraudulent."""
        self.story.wait()
        warning = {
            "id": self.story.id("issfr"),
            "object": "radar.early_fraud_warning",
            "charge": self.charge["id"],
            "created": self.story.now,
            "fraud_type": "misc",
            "payment_intent": self.charge["payment_intent"],
        }
        self.truth.fraud_warnings[warning["id"]] = "misc"
        self.emit("radar.early_fraud_warning.created", warning)

    # --- duplicates ---

    def pay_duplicate_intent(self) -> None:
        """Pay a second intent with the same metadata, created after Stripe dropped the first idempotency key."""
        self.story.wait()
        other = intent_object(self.story.id("pi"), self.story.now, self.amount, self.metadata)
        charge = charge_object(self.story.id("ch"), self.story.now, other, "succeeded", "card", None)
        other |= {"status": "succeeded", "amount_received": other["amount"], "latest_charge": charge["id"]}
        self.truth.duplicate_intents[other["id"]] = other["amount"]
        self.emit("payment_intent.succeeded", other)
        self.emit("charge.succeeded", charge)


REFUNDS = (
    *(("succeeded",), ("pending",), ("pending", "succeeded"), ("succeeded", "failed"), ("pending", "failed")),
    *(("requires_action", "succeeded"), ("requires_action", "canceled"), ("pending", "succeeded", "failed")),
)
DISPUTES = (
    *(("needs_response",), ("needs_response", "lost"), ("needs_response", "under_review", "won")),
    *(("needs_response", "lost", "under_review", "lost"), ("needs_response", "lost", "under_review", "won")),
    *(("warning_needs_response", "warning_closed"), ("warning_needs_response", "needs_response", "lost")),
    *(("needs_response", "under_review"), ("prevented",)),
)


def make(seed: str) -> History:
    """Return a history of one to three attempts. Equal seeds give equal histories."""
    story = Story(seed)
    for attempt in range(1, story.rng.choice((1, 1, 2, 2, 3)) + 1):
        _write_purchase(story, attempt)
    return story.history


def _write_purchase(story: Story, attempt: int) -> None:
    """Write one payment from its creation to a random state, which need not be final."""
    rng = story.rng
    kind: Kind = rng.choice(("intent", "checkout"))
    if kind == "checkout" and rng.random() < 0.1:
        Purchase(story, attempt, kind, 0).complete_free_session()
        return
    purchase = Purchase(story, attempt, kind, 49900)
    if rng.random() < 0.08:  # Stripe receives an amount that differs from the price
        for obj in (purchase.intent, purchase.session):
            if obj is not None:
                obj["amount" if obj is purchase.intent else "amount_total"] = 45000
        purchase.amount = 45000
    for _ in range(rng.choice((0, 0, 1, 2))):
        purchase.decline()
        if rng.random() < 0.4:
            purchase.challenge()
    if kind == "intent" and rng.random() < 0.06:
        purchase.pay_duplicate_intent()
    ending = rng.choice(("open", "close", "pay", "pay", "pay", "wait", "bank", "bank refuses"))
    if ending == "close":
        purchase.close()
    elif ending == "pay":
        purchase.pay()
    elif ending != "open":
        purchase.process()
        if ending != "wait":
            purchase.bank_answers(approved=ending == "bank")
    if ending == "bank refuses" and kind == "intent" and rng.random() < 0.5:
        rng.choice((purchase.pay, purchase.close, purchase.process))()
    if purchase.truth.settled:
        _refund_and_dispute(purchase, rng)
    story.wait()


def _refund_and_dispute(purchase: Purchase, rng: random.Random) -> None:
    if rng.random() < 0.1:
        purchase.warn_of_fraud()
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        amount = purchase.refundable
        if amount > 0:
            purchase.refund(rng.choice((amount, max(1, amount // 3))), rng.choice(REFUNDS))
    if rng.random() < 0.3 and purchase.refundable == purchase.charge["amount"]:
        purchase.dispute(rng.choice(DISPUTES))
        if rng.random() < 0.3 and purchase.truth.disputes and _has_won_every_dispute(purchase):
            purchase.refund(purchase.refundable, ("succeeded",))


def _has_won_every_dispute(purchase: Purchase) -> bool:
    return all(status in ("won", "warning_closed") for _, _, status in purchase.truth.disputes.values())


# --- Stripe's objects ---


def intent_object(intent_id: str, at: int, amount: int, metadata: Mapping[str, str]) -> Object:
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "created": at,
        "currency": CURRENCY,
        "customer": "cus_1",
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": dict(metadata),
        "status": "requires_payment_method",
    }


def session_object(session_id: str, at: int, amount: int, metadata: Mapping[str, str]) -> Object:
    return {
        "id": session_id,
        "object": "checkout.session",
        "amount_total": amount,
        "created": at,
        "currency": CURRENCY,
        "customer": "cus_1",
        "livemode": False,
        "metadata": dict(metadata),
        "payment_intent": None,
        "payment_status": "unpaid",
        "status": "open",
    }


def charge_object(charge_id: str, at: int, intent: Object, status: str, method: str, code: str | None) -> Object:
    summary = (
        {"brand": "visa", "last4": "4242"} if method == "card" else {"bank_name": "STRIPE TEST BANK", "last4": "6789"}
    )
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_refunded": 0,
        "balance_transaction": None,
        "created": at,
        "currency": CURRENCY,
        "customer": "cus_1",
        "disputed": False,
        "failure_code": code,
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "paid": status == "succeeded",
        "payment_intent": intent["id"],
        "payment_method_details": {"type": method, method: summary},
        "receipt_url": None if status == "failed" else f"https://pay.stripe.com/receipts/{charge_id}",
        "refunded": False,
        "status": status,
    }


def refund_object(refund_id: str, at: int, charge: Object, amount: int, status: str) -> Object:
    return {
        "id": refund_id,
        "object": "refund",
        "amount": amount,
        "charge": charge["id"],
        "created": at,
        "currency": CURRENCY,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": "requested_by_customer",
        "status": status,
    }


def dispute_object(dispute_id: str, at: int, charge: Object, amount: int, status: str) -> Object:
    return {
        "id": dispute_id,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": at,
        "currency": CURRENCY,
        "evidence_details": {"due_by": at + 7 * 86400},
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": "fraudulent",
        "status": status,
    }


# --- responses from Stripe ---


class HistoricalStripe:
    """Stripe as of one position in a history, behind the requests that a sync makes."""

    def __init__(self, history: History) -> None:
        self.history, self.position, self.requests = history, 0, 0
        self.parsed_events: dict[int, ParsedEvent] = {}

    def parsed_event(self, position: int) -> ParsedEvent:
        """Return the event as the code reads it. Reading is pure, so each event is read once."""
        if position not in self.parsed_events:
            self.parsed_events[position] = stripe_events.parse(self.history.events[position])
        return self.parsed_events[position]

    def objects(self, payment_id: str) -> Object:
        positions, states = self.history.states[payment_id]
        objects: Object = json.loads(states[max(0, bisect_right(positions, self.position) - 1)])
        return objects

    def answer(self, obj: Object) -> Answer:
        self.requests += 1
        events = self.history.events
        return Answer(obj, events[self.position]["created"] if events else STARTED_AT, False)

    def retrieve_intent(self, intent_id: str) -> Answer:
        objects = self.objects(self.history.payment_of_intent[intent_id])
        return self.answer(_with_charge(objects["intent"], objects))

    def retrieve_session(self, session_id: str) -> Answer:
        objects = next(
            o
            for o in (self.objects(t.payment_id) for t in self.history.truths)
            if o["session"] and o["session"]["id"] == session_id
        )
        intent = _with_charge(objects["intent"], objects) if objects["intent"] else None
        return self.answer({**objects["session"], "payment_intent": intent})

    def list_refunds(self, *, payment_intent: str) -> list[Object]:
        return list(reversed(self.objects(self.history.payment_of_intent[payment_intent])["refunds"].values()))

    def list_disputes(self, *, payment_intent: str) -> list[Object]:
        return list(reversed(self.objects(self.history.payment_of_intent[payment_intent])["disputes"].values()))

    def resolve_at_stripe(self, stripe_ids: StripeIds) -> Resolved | None:
        return Resolved(PaymentRef(self.history.payment_of_intent[str(stripe_ids.intent)], USER, TRACK))


def _no_pointers(ref: PaymentRef, _stripe_ids: object) -> tuple[PaymentState, dict[str, StripeObjectItem]]:
    return PaymentState(None, Enrollment(user_id=ref.user_id, track=ref.track)), {}


def _with_charge(intent: Object, objects: Object) -> Object:
    latest = intent["latest_charge"]
    return {**intent, "latest_charge": objects["charges"][latest] if latest else None}


@contextmanager
def stripe_answers_from(history: History) -> Iterator[HistoricalStripe]:
    """Answer every request to Stripe from this history."""
    stripe = HistoricalStripe(history)
    names = ("retrieve_intent", "retrieve_session", "list_refunds", "list_disputes")
    with (
        mock.patch.multiple(stripe_client, **{name: getattr(stripe, name) for name in names}),
        mock.patch.object(resolve, "_resolve_at_stripe", stripe.resolve_at_stripe),
        mock.patch.object(resolve.ledger, "load_with_pointers", _no_pointers),
        mock.patch.object(resolve, "_pointers", return_value=[]),
    ):
        yield stripe


# --- replaying ---


@dataclass(frozen=True)
class FinalState:
    """The state after every event was delivered, as a replay reaches it and as the oracle computes it."""

    status: Mapping[str, str]
    money: Mapping[str, tuple[int, int, int]]
    """Settled, refunded, lost to disputes."""
    standings: Mapping[str, tuple[bool, bool, bool, bool]]
    """Whether it is open, grants access, has ever granted access, and holds funds."""
    enrollment: str | None
    unlocked: Mapping[str, bool]
    attention: Mapping[str, list[tuple[str, str]]]


class InMemoryLedger:
    """Payments, one enrollment, project progress and the ids of applied events, in memory."""

    def __init__(self, history: History) -> None:
        self.payments = {payment.payment_id: payment for payment in history.created_payments}
        self.enrollment = Enrollment(user_id=USER, track=TRACK)
        for payment in history.created_payments:
            self.enrollment = self.enrollment.with_payment(payment)
        self.progress: dict[str, dict[str, bool]] = {}
        self.applied: set[str] = set()

    def deliver(self, notice: ParsedEvent, *, reapply: bool) -> None:
        """Resolve one event to its payment, decide and commit. `reapply` turns off deduplication by event id."""
        resolved = stripe_events._resolve(notice)
        assert resolved is not None, "an event of the history belongs to no payment"
        key = resolved.ref
        before = self.payments[key.payment_id]
        change = stripe_events._decide(notice, key, PaymentState(before, self.enrollment))
        if change is None or (notice.event_id in self.applied and not reapply):
            return
        self.applied.add(notice.event_id)
        self.commit(replace(change.payment, version=before.version + 1))

    def commit(self, after: Payment) -> None:
        enrollment = self.enrollment.with_payment(after)
        for change in progress.changes(catalog.find(TRACK), self.enrollment, enrollment):
            entry = self.progress.setdefault(change.project, {})
            if change.change == "unlock":
                entry["unlocked"] = True
            elif change.change == "restore":
                entry["unlocked"] = entry.get("was_unlocked", False)
            else:
                entry["was_unlocked"], entry["unlocked"] = entry.get("unlocked", False), False
        self.payments[after.payment_id], self.enrollment = after, enrollment

    def final_state(self) -> FinalState:
        doubled = self.enrollment.doubled
        by_id = self.payments
        return FinalState(
            status={payment_id: payment.status for payment_id, payment in by_id.items()},
            money={payment_id: _money(payment) for payment_id, payment in by_id.items()},
            standings={payment_id: _standing(payment) for payment_id, payment in by_id.items()},
            enrollment=self.enrollment.status,
            unlocked={name: entry["unlocked"] for name, entry in self.progress.items()},
            attention={
                payment_id: sorted(
                    (c.name, c.fingerprint) for c in attention.unacknowledged(payment, double=payment_id in doubled)
                )
                for payment_id, payment in by_id.items()
            },
        )


def _money(payment: Payment) -> tuple[int, int, int]:
    facts = payment.facts
    settled = facts.settled.amount if facts.settled else 0
    return settled, payments.refunded_amount(facts), payments.lost_amount(facts)


def _standing(payment: Payment) -> tuple[bool, bool, bool, bool]:
    standing = standing_of(payment)
    return standing.open, standing.grants, standing.granted, standing.holds_funds


def replay(
    stripe: HistoricalStripe, order: Sequence[int], rng: random.Random, *, reapply: bool = False
) -> InMemoryLedger:
    """Deliver the events at these positions. The position as of which Stripe answers only moves forward."""
    ledger = InMemoryLedger(stripe.history)
    last = len(stripe.history.events) - 1
    stripe.position = 0
    for position in order:
        earliest = max(stripe.position, position)
        stripe.position = rng.choice((earliest, rng.randint(earliest, last)))
        ledger.deliver(stripe.parsed_event(position), reapply=reapply)
    return ledger


def orders(history: History, rng: random.Random, count: int) -> Iterator[list[int]]:
    """Yield the original order, its reverse, and shuffles that repeat some events."""
    positions = list(range(len(history.events)))
    yield positions
    yield positions[::-1]
    for _ in range(count - 2):
        order = positions + rng.choices(positions, k=rng.randint(0, len(positions))) if positions else []
        rng.shuffle(order)
        yield order


# --- the oracle ---


def oracle(history: History) -> FinalState:
    """Compute the expected final state from the recorded truth alone."""
    truths = history.truths
    status = {t.payment_id: _status(t) for t in truths}
    with_funds = sorted((t.attempt, t.payment_id) for t in truths if _holds_funds(t))
    doubled = {payment_id for _, payment_id in with_funds[1:]}
    standings = {}
    for t in truths:
        paid_in_full = t.settled is not None and t.settled == t.price
        lost_dispute = any(state in ("lost", "prevented") for _, _, state in t.disputes.values())
        grants = paid_in_full and not lost_dispute and status[t.payment_id] != "REFUNDED"
        is_open = status[t.payment_id] in ("CREATED", "PROCESSING", "FAILED")
        standings[t.payment_id] = is_open, grants, paid_in_full, _holds_funds(t)
    is_enrolled = any(s[1] for s in standings.values())
    was_enrolled = any(s[2] for s in standings.values())
    is_pending = any(s[0] for s in standings.values())
    projects = [project.project for project in catalog.find(TRACK).projects]
    return FinalState(
        status=status,
        money={t.payment_id: (t.settled or 0, _refunded(t), _lost(t)) for t in truths},
        standings=standings,
        enrollment="ENROLLED" if is_enrolled else "PENDING" if is_pending else "WITHDRAWN" if was_enrolled else None,
        unlocked={name: is_enrolled and name == projects[0] for name in projects} if was_enrolled else {},
        attention={t.payment_id: _attention(t, t.payment_id in doubled) for t in truths},
    )


def _status(t: Truth) -> str:
    if t.settled is not None:
        return "REFUNDED" if t.settled and _refunded(t) >= t.settled else "SUCCEEDED"
    return "CANCELED" if t.closed_unpaid else t.open_status


def _holds_funds(t: Truth) -> bool:
    return t.settled is not None and (t.settled == 0 or _refunded(t) + _lost(t) < t.settled)


def _refunded(t: Truth) -> int:
    return sum(amount for amount, status in t.refunds.values() if status in ("pending", "succeeded"))


def _lost(t: Truth) -> int:
    return sum(amount if s == "lost" else held for amount, held, s in t.disputes.values() if s in ("lost", "prevented"))


def _attention(t: Truth, doubled: bool) -> list[tuple[str, str]]:
    reasons = [(f"dispute:{k}", s) for k, (_, _, s) in t.disputes.items() if s not in ("won", "warning_closed")]
    reasons += [(f"refund:{k}", s) for k, (_, s) in t.refunds.items() if s in ("failed", "canceled")]
    reasons += [(f"fraud_warning:{k}", kind) for k, kind in t.fraud_warnings.items()]
    reasons += [(f"claim:{k}", k) for k in t.duplicate_intents]
    if t.settled is not None and t.settled != t.price:
        reasons.append(("amount", f"{t.settled // 100}.{t.settled % 100:02d} USD"))
    if doubled:
        reasons.append(("double", "double"))
    return sorted(reasons)
