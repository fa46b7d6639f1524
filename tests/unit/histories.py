"""Consistent histories of one student's payments for one track, as Stripe would have made and told them.

Three parts that know nothing of each other:

- `make` writes a history: Stripe's objects going from state to state, the event of each step, and the bare truth
  (`Truth`: what was received, given back, disputed), noted where it happens.
- `replay` gives the events, in any order and as often as one likes, to the code: `stripe_events.read` and its
  decision, over a payment and an enrollment in memory. Where the code asks Stripe, it is answered from the history,
  from a moment that is never before an event already delivered.
- `oracle` says from the truth alone how everything must end.

The shapes are Stripe's own, less the fields that nobody reads (`test_histories.py` holds them against the simulator).
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
from tuition.intake.stripe_events import API_VERSION
from tuition.storage.ledger import PaymentState
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import resolve
from tuition.stripe_gateway.client import Answer

USER, TRACK, CURRENCY = "user-1", "DP", "usd"
BEGAN = 1_790_000_000
Object = dict[str, Any]


@dataclass
class Truth:
    """What really happened to one payment. Amounts in minor units; `showing` is where an open one stands."""

    payment_id: str
    attempt: int
    kind: Kind
    stripe_object_id: str
    price: int
    settled: int | None = None
    dead: bool = False
    showing: str = "CREATED"
    refunds: dict[str, tuple[int, str]] = field(default_factory=dict)
    disputes: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    """Amount, what it holds now, status."""
    strangers: dict[str, int] = field(default_factory=dict)
    """Other objects that were paid in this payment's name."""


@dataclass(frozen=True)
class Told:
    """An event; `place` is its position in the history."""

    event: Object
    place: int


@dataclass
class History:
    """`states` are Stripe's objects by payment: the place from which each state holds, and the state as JSON."""

    seed: str
    told: list[Told] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)
    begun: list[Payment] = field(default_factory=list)
    states: dict[str, tuple[list[int], list[str]]] = field(default_factory=dict)
    intents: dict[str, str] = field(default_factory=dict)
    """The payment of each intent."""


# --- writing a history ---


class Story:
    """Writes a history: the clock, the chance and the log that its purchases share."""

    def __init__(self, seed: str) -> None:
        self.chance = random.Random(seed)
        self.now = BEGAN
        self.history = History(seed)
        self.ids = 0

    def id(self, prefix: str) -> str:
        self.ids += 1
        return f"{prefix}_{self.ids:04d}"

    def wait(self) -> None:
        self.now += self.chance.choice((0, 0, 0, 1, 5, 3600))

    def tell(self, purchase: "Purchase", type_: str, obj: Object) -> None:
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
        history.told.append(Told(event, len(history.told)))
        self.keep(purchase)

    def keep(self, purchase: "Purchase") -> None:
        places, states = self.history.states.setdefault(purchase.truth.payment_id, ([], []))
        places.append(len(self.history.told) - 1)
        states.append(json.dumps(purchase.objects))


class Purchase:
    """One payment at Stripe, from its creation on. Every method is something that happens to it."""

    def __init__(self, story: Story, attempt: int, kind: Kind, price: int) -> None:
        self.story, self.chance = story, story.chance
        payment_id = f"pay_{story.history.seed.replace(':', '')}x{attempt}"
        stripe_object_id = story.id("pi" if kind == "intent" else "cs_test")
        self.truth = Truth(payment_id, attempt, kind, stripe_object_id, price)
        self.metadata = resolve.metadata(PaymentRef(payment_id, USER, TRACK), attempt, kind)
        self.asked = price
        self.objects: Object = {"intent": None, "session": None, "charges": {}, "refunds": {}, "disputes": {}}
        story.history.truths.append(self.truth)
        if kind == "intent":
            self.make_intent(stripe_object_id)
        else:
            self.objects["session"] = session_object(stripe_object_id, story.now, price, self.metadata)
        self.begin()
        story.keep(self)
        if kind == "intent":
            story.tell(self, "payment_intent.created", self.intent)

    @property
    def intent(self) -> Object:
        found: Object = self.objects["intent"]
        return found

    @property
    def session(self) -> Object:
        found: Object = self.objects["session"]
        return found

    @property
    def charge(self) -> Object:
        found: Object = self.objects["charges"][self.intent["latest_charge"]]
        return found

    def begin(self) -> None:
        """The payment as its create committed it."""
        truth, at = self.truth, self.story.now
        written = timestamps.iso(at)
        read = stripe_json.of_intent if truth.kind == "intent" else stripe_json.of_session
        bare = Payment(
            payment_id=truth.payment_id,
            user_id=USER,
            track=TRACK,
            kind=truth.kind,
            attempt=truth.attempt,
            stripe_object_id=truth.stripe_object_id,
            price=Money(truth.price, CURRENCY),
            created_at=written,
            updated_at=written,
            version=1,
        )
        self.story.history.begun.append(bare.merged(read(self.intent or self.session, at)))

    def make_intent(self, intent_id: str) -> None:
        self.objects["intent"] = intent_object(intent_id, self.story.now, self.asked, self.metadata)
        self.story.history.intents[intent_id] = self.truth.payment_id

    def tell(self, type_: str, obj: Object) -> None:
        self.story.tell(self, type_, obj)

    def try_to_pay(self, status: str, method: str = "card", code: str | None = None) -> None:
        """A charge, on the intent that Checkout makes at the first try."""
        if self.intent is None:
            self.make_intent(self.story.id("pi"))
            self.session["payment_intent"] = self.intent["id"]
        charge = charge_object(self.story.id("ch"), self.story.now, self.intent, status, method, code)
        self.objects["charges"][charge["id"]] = charge
        self.intent["latest_charge"] = charge["id"]

    # --- trying ---

    def decline(self) -> None:
        self.story.wait()
        self.try_to_pay("failed", code="card_declined")
        self.back_to_begin("card_declined", "insufficient_funds")
        self.tell("charge.failed", self.charge)
        self.tell("payment_intent.payment_failed", self.intent)

    def back_to_begin(self, code: str, decline_code: str | None) -> None:
        error = {"type": "card_error", "code": code, "decline_code": decline_code, "message": "Not this time."}
        self.intent.update({"status": "requires_payment_method", "last_payment_error": error})
        self.truth.showing = "FAILED"

    def challenge(self) -> None:
        """3-D Secure is asked for; the student may fail it, leave it, or go on to something else."""
        self.story.wait()
        self.intent["status"] = "requires_action"
        self.truth.showing = "CREATED"
        self.tell("payment_intent.requires_action", self.intent)
        if self.chance.random() < 0.5:
            self.story.wait()
            self.back_to_begin("payment_intent_authentication_failure", None)
            self.tell("payment_intent.payment_failed", self.intent)

    # --- paying ---

    def process(self) -> None:
        """A delayed method: Stripe waits for a bank."""
        self.story.wait()
        self.try_to_pay("pending", "us_bank_account")
        self.intent.update({"status": "processing", "last_payment_error": None})
        self.truth.showing = "PROCESSING"
        self.tell("payment_intent.processing", self.intent)
        if self.truth.kind == "checkout":
            self.session["status"] = "complete"
            self.tell("checkout.session.completed", self.session)

    def bank_says(self, *, yes: bool) -> None:
        self.story.wait()
        if yes:
            self.charge.update(status="succeeded", paid=True)
            self.receive()
            self.tell("payment_intent.succeeded", self.intent)
            self.tell("charge.succeeded", self.charge)
        else:
            self.charge.update(status="failed", failure_code="insufficient_funds")
            self.back_to_begin("insufficient_funds", None)
            self.tell("charge.failed", self.charge)
            self.tell("payment_intent.payment_failed", self.intent)
        if self.truth.kind == "checkout":
            self.truth.dead = not yes
            self.session["payment_status"] = "paid" if yes else "unpaid"
            self.tell(f"checkout.session.async_payment_{'succeeded' if yes else 'failed'}", self.session)

    def pay(self) -> None:
        """A card that works."""
        self.story.wait()
        made_now = self.intent is None
        self.try_to_pay("succeeded")
        born = json.loads(json.dumps(self.intent))
        self.receive()
        if self.truth.kind == "intent":
            self.tell("payment_intent.succeeded", self.intent)
            self.tell("charge.succeeded", self.charge)
        else:
            self.session.update({"status": "complete", "payment_status": "paid"})
            self.tell("charge.succeeded", self.charge)
            self.tell("payment_intent.succeeded", self.intent)
            if made_now:
                self.tell("payment_intent.created", self.chance.choice((born, self.intent)))
            self.tell("checkout.session.completed", self.session)
        if self.chance.random() < 0.5:
            self.story.wait()
            self.charge["balance_transaction"] = self.story.id("txn")
            self.tell("charge.updated", self.charge)

    def receive(self) -> None:
        amount = self.intent["amount"]
        self.intent.update({"status": "succeeded", "amount_received": amount, "last_payment_error": None})
        self.truth.settled = amount

    def pay_nothing(self) -> None:
        """A code of 100 %: the session completes, and there is no intent."""
        self.story.wait()
        self.session.update({"status": "complete", "payment_status": "no_payment_required"})
        self.truth.settled = 0
        self.tell("checkout.session.completed", self.session)

    # --- ending unpaid ---

    def close(self) -> None:
        self.story.wait()
        self.truth.dead = True
        if self.intent is not None:
            self.intent.update({"status": "canceled", "canceled_at": self.story.now})
            self.tell("payment_intent.canceled", self.intent)
        if self.truth.kind == "checkout":
            self.session["status"] = "expired"
            self.tell("checkout.session.expired", self.session)

    # --- giving back ---

    def refund(self, amount: int, steps: Sequence[str]) -> None:
        """A refund that goes through these states; what fails is back on the charge."""
        self.story.wait()
        charge = self.charge
        refund = refund_object(self.story.id("re"), self.story.now, charge, amount, steps[0])
        self.objects["refunds"][refund["id"]] = refund
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self.truth.refunds[refund["id"]] = amount, steps[0]
        self.tell("refund.created", refund)
        self.tell("charge.refunded", charge)
        for status in steps[1:]:
            self.story.wait()
            refund["status"] = status
            if status in ("failed", "canceled"):
                charge["amount_refunded"] -= amount
                charge["refunded"] = False
            if status == "failed":
                refund["failure_reason"] = "lost_or_stolen_card"
            self.truth.refunds[refund["id"]] = amount, status
            self.tell("refund.failed" if status == "failed" else "refund.updated", refund)

    @property
    def refundable(self) -> int:
        left: int = self.charge["amount"] - self.charge["amount_refunded"]
        return left

    # --- disputing ---

    def dispute(self, steps: Sequence[str]) -> None:
        """A dispute that goes through these states, its money with it."""
        self.story.wait()
        amount = self.charge["amount"]
        dispute = dispute_object(self.story.id("du"), self.story.now, self.charge, amount, steps[0])
        self.objects["disputes"][dispute["id"]] = dispute
        self.charge["disputed"] = True
        self.move(dispute, steps[0], "charge.dispute.created")
        for status in steps[1:]:
            self.story.wait()
            over = status in ("won", "lost", "warning_closed", "prevented")
            self.move(dispute, status, "charge.dispute.closed" if over else "charge.dispute.updated")

    def move(self, dispute: Object, status: str, type_: str) -> None:
        dispute["status"] = status
        held = -sum(move["amount"] for move in dispute["balance_transactions"])
        wanted = dispute["amount"] if status in ("needs_response", "under_review", "lost") else 0
        if held != wanted:
            dispute["balance_transactions"].append({"id": self.story.id("txn"), "amount": held - wanted})
        self.truth.disputes[dispute["id"]] = dispute["amount"], wanted, status
        self.tell(type_, dispute)
        if held != wanted:
            self.tell(f"charge.dispute.funds_{'withdrawn' if wanted > held else 'reinstated'}", dispute)

    # --- what is not its own ---

    def stranger(self) -> None:
        """Another intent, made under the same name when Stripe had forgotten the key, is paid."""
        self.story.wait()
        other = intent_object(self.story.id("pi"), self.story.now, self.asked, self.metadata)
        charge = charge_object(self.story.id("ch"), self.story.now, other, "succeeded", "card", None)
        other |= {"status": "succeeded", "amount_received": other["amount"], "latest_charge": charge["id"]}
        self.truth.strangers[other["id"]] = other["amount"]
        self.tell("payment_intent.succeeded", other)
        self.tell("charge.succeeded", charge)


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


def make(seed: str, *, strangers: bool = True) -> History:
    """A history of one to three attempts, the same for the same seed."""
    story = Story(seed)
    for attempt in range(1, story.chance.choice((1, 1, 2, 2, 3)) + 1):
        _live(story, attempt, strangers=strangers)
    return story.history


def _live(story: Story, attempt: int, *, strangers: bool) -> None:
    """One payment, from its creation to wherever it has come."""
    chance = story.chance
    kind: Kind = chance.choice(("intent", "checkout"))
    if kind == "checkout" and chance.random() < 0.1:
        Purchase(story, attempt, kind, 0).pay_nothing()
        return
    purchase = Purchase(story, attempt, kind, 49900)
    if chance.random() < 0.08:  # what is received is not what our record says
        for obj in (purchase.intent, purchase.session):
            if obj is not None:
                obj["amount" if obj is purchase.intent else "amount_total"] = 45000
        purchase.asked = 45000
    for _ in range(chance.choice((0, 0, 1, 2))):
        purchase.decline()
        if chance.random() < 0.4:
            purchase.challenge()
    if strangers and kind == "intent" and chance.random() < 0.06:
        purchase.stranger()
    ending = chance.choice(("open", "close", "pay", "pay", "pay", "wait", "bank", "bank refuses"))
    if ending == "close":
        purchase.close()
    elif ending == "pay":
        purchase.pay()
    elif ending != "open":
        purchase.process()
        if ending != "wait":
            purchase.bank_says(yes=ending == "bank")
    if ending == "bank refuses" and kind == "intent" and chance.random() < 0.5:
        chance.choice((purchase.pay, purchase.close, purchase.process))()
    if purchase.truth.settled:
        _afterwards(purchase, chance)
    story.wait()


def _afterwards(purchase: Purchase, chance: random.Random) -> None:
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        left = purchase.refundable
        if left > 0:
            purchase.refund(chance.choice((left, max(1, left // 3))), chance.choice(REFUNDS))
    if chance.random() < 0.3 and purchase.refundable == purchase.charge["amount"]:
        purchase.dispute(chance.choice(DISPUTES))
        if chance.random() < 0.3 and purchase.truth.disputes and _undisputed(purchase):
            purchase.refund(purchase.refundable, ("succeeded",))


def _undisputed(purchase: Purchase) -> bool:
    return all(status in ("won", "warning_closed") for _, _, status in purchase.truth.disputes.values())


# --- Stripe's shapes ---


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


# --- Stripe's answers ---


class AtStripe:
    """Stripe as it was at a place of a history, behind the calls that a pull makes."""

    def __init__(self, history: History) -> None:
        self.history, self.place, self.pulls = history, 0, 0

    def objects(self, payment_id: str) -> Object:
        places, states = self.history.states[payment_id]
        found: Object = json.loads(states[max(0, bisect_right(places, self.place) - 1)])
        return found

    def answer(self, obj: Object) -> Answer:
        self.pulls += 1
        told = self.history.told
        return Answer(obj, told[self.place].event["created"] if told else BEGAN, False)

    def retrieve_intent(self, intent_id: str) -> Answer:
        objects = self.objects(self.history.intents[intent_id])
        return self.answer(_with_charge(objects["intent"], objects))

    def retrieve_session(self, session_id: str) -> Answer:
        objects = next(
            o
            for o in (self.objects(t.payment_id) for t in self.history.truths)
            if o["session"] and o["session"]["id"] == session_id
        )
        intent = _with_charge(objects["intent"], objects) if objects["intent"] else None
        return self.answer({**objects["session"], "payment_intent": intent})

    def list_refunds(self, intent_id: str) -> list[Object]:
        return list(reversed(self.objects(self.history.intents[intent_id])["refunds"].values()))

    def list_disputes(self, intent_id: str) -> list[Object]:
        return list(reversed(self.objects(self.history.intents[intent_id])["disputes"].values()))

    def whose(self, intent_id: str) -> PaymentRef | None:
        return PaymentRef(self.history.intents[intent_id], USER, TRACK)


def _with_charge(intent: Object, objects: Object) -> Object:
    latest = intent["latest_charge"]
    return {**intent, "latest_charge": objects["charges"][latest] if latest else None}


@contextmanager
def answering(history: History) -> Iterator[AtStripe]:
    """Whoever asks Stripe asks this history."""
    stripe = AtStripe(history)
    names = ("retrieve_intent", "retrieve_session", "list_refunds", "list_disputes")
    with (
        mock.patch.multiple(stripe_client, **{name: getattr(stripe, name) for name in names}),
        mock.patch.object(stripe_events, "ref_of_intent", stripe.whose),
    ):
        yield stripe


# --- replaying ---


@dataclass(frozen=True)
class End:
    """How everything stands: what a replay comes to, and what the oracle says."""

    status: Mapping[str, str]
    money: Mapping[str, tuple[int, int, int]]
    """Settled, refunded, lost to disputes."""
    standings: Mapping[str, tuple[bool, bool, bool, bool]]
    """Open, grants, granted once, keeps money."""
    enrollment: str | None
    unlocked: Mapping[str, bool]
    attention: Mapping[str, list[tuple[str, str]]]


class Desk:
    """The tables in memory: payments, one enrollment, progress, and the transitions that were recorded."""

    def __init__(self, history: History) -> None:
        self.payments = {payment.payment_id: payment for payment in history.begun}
        self.enrollment = Enrollment(user_id=USER, track=TRACK)
        for payment in history.begun:
            self.enrollment = self.enrollment.with_payment(payment)
        self.progress: dict[str, dict[str, bool]] = {}
        self.recorded: set[str] = set()

    def deliver(self, event: Object, *, again: bool) -> None:
        """One event through the code's own reading, placing and deciding. `again`: as if it were not recorded yet."""
        notice = stripe_events.parse(event)
        key = stripe_events._resolve(notice)
        assert key is not None, "every event of a history is ours"
        before = self.payments[key.payment_id]
        change = stripe_events._decide(notice, key, PaymentState(before, self.enrollment))
        if change is None or (notice.event_id in self.recorded and not again):
            return
        self.recorded.add(notice.event_id)
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

    def end(self) -> End:
        doubled = self.enrollment.doubled
        found = self.payments
        return End(
            status={key: payment.status for key, payment in found.items()},
            money={key: _money(payment) for key, payment in found.items()},
            standings={key: _standing(payment) for key, payment in found.items()},
            enrollment=self.enrollment.status,
            unlocked={name: entry["unlocked"] for name, entry in self.progress.items()},
            attention={
                key: sorted((c.name, c.fingerprint) for c in attention.unacknowledged(payment, double=key in doubled))
                for key, payment in found.items()
            },
        )


def _money(payment: Payment) -> tuple[int, int, int]:
    facts = payment.facts
    settled = facts.settled.amount if facts.settled else 0
    return settled, payments.refunded_amount(facts), payments.lost_amount(facts)


def _standing(payment: Payment) -> tuple[bool, bool, bool, bool]:
    standing = standing_of(payment)
    return standing.open, standing.grants, standing.granted, standing.holds_funds


def replay(stripe: AtStripe, order: Sequence[int], chance: random.Random, *, again: bool = False) -> Desk:
    """The events of the history in this order. Stripe's moment moves on as they come, and never back."""
    history, desk = stripe.history, Desk(stripe.history)
    stripe.place = 0
    for place in order:
        least = max(stripe.place, place)
        stripe.place = chance.choice((least, chance.randint(least, len(history.told) - 1)))
        desk.deliver(history.told[place].event, again=again)
    return desk


def orders(history: History, chance: random.Random, count: int) -> Iterator[list[int]]:
    """As made, reversed, and shuffled: every event at least once, some twice or thrice."""
    places = list(range(len(history.told)))
    yield places
    yield places[::-1]
    for _ in range(count - 2):
        order = places + chance.choices(places, k=chance.randint(0, len(places))) if places else []
        chance.shuffle(order)
        yield order


# --- the oracle ---


def oracle(history: History) -> End:
    """How it must end, from the truth and nothing else."""
    truths = history.truths
    status = {t.payment_id: _status(t) for t in truths}
    holding = sorted((t.attempt, t.payment_id) for t in truths if _keeps_money(t))
    doubled = {payment_id for _, payment_id in holding[1:]}
    standings = {}
    for t in truths:
        agreed = t.settled is not None and t.settled == t.price
        bad = any(state in ("lost", "prevented") for _, _, state in t.disputes.values())
        grants = agreed and not bad and status[t.payment_id] != "REFUNDED"
        is_open = status[t.payment_id] in ("CREATED", "PROCESSING", "FAILED")
        standings[t.payment_id] = is_open, grants, agreed, _keeps_money(t)
    enrolled = any(s[1] for s in standings.values())
    ever = any(s[2] for s in standings.values())
    pending = any(s[0] for s in standings.values())
    projects = [project.project for project in catalog.find(TRACK).projects]
    return End(
        status=status,
        money={t.payment_id: (t.settled or 0, _given_back(t), _lost(t)) for t in truths},
        standings=standings,
        enrollment="ENROLLED" if enrolled else "PENDING" if pending else "WITHDRAWN" if ever else None,
        unlocked={name: enrolled and name == projects[0] for name in projects} if ever else {},
        attention={t.payment_id: _needs_a_person(t, t.payment_id in doubled) for t in truths},
    )


def _status(t: Truth) -> str:
    if t.settled is not None:
        return "REFUNDED" if t.settled and _given_back(t) >= t.settled else "SUCCEEDED"
    return "CANCELED" if t.dead else t.showing


def _keeps_money(t: Truth) -> bool:
    return t.settled is not None and (t.settled == 0 or _given_back(t) + _lost(t) < t.settled)


def _given_back(t: Truth) -> int:
    return sum(amount for amount, status in t.refunds.values() if status in ("pending", "succeeded"))


def _lost(t: Truth) -> int:
    return sum(amount if s == "lost" else held for amount, held, s in t.disputes.values() if s in ("lost", "prevented"))


def _needs_a_person(t: Truth, doubled: bool) -> list[tuple[str, str]]:
    found = [(f"dispute:{k}", s) for k, (_, _, s) in t.disputes.items() if s not in ("won", "warning_closed")]
    found += [(f"refund:{k}", s) for k, (_, s) in t.refunds.items() if s in ("failed", "canceled")]
    found += [(f"claim:{k}", k) for k in t.strangers]
    if t.settled is not None and t.settled != t.price:
        found.append(("amount", f"{t.settled // 100}.{t.settled % 100:02d} USD"))
    if doubled:
        found.append(("double", "double"))
    return sorted(found)
