"""What must be true: the tables against an oracle that knows only Stripe's objects and what staff decided, and
against themselves."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests import consistency
from tests.model.machine import Machine
from tuition.core import attention, audit
from tuition.core.money import Money
from tuition.storage import keys, mapping
from tuition.storage.items import AuditItem

PAYABLE = {"requires_payment_method", "requires_confirmation", "requires_action"}
GIVEN_BACK = {"pending", "succeeded"}
STATE_OF_REFUND = {
    "succeeded": "done",
    "failed": "failed",
    "canceled": "failed",
    "pending": "pending",
    "requires_action": "pending",
}
FAILED_CHARGES = 5
Owner = tuple[str, str]


# --- while all have answered ---


def payable(machine: Machine, owner: Owner | None = None) -> list[str]:
    """The objects at Stripe, made by us, that can still be paid."""
    sessions = [s for s in machine.objects("checkout.session") if s["status"] == "open"]
    of_sessions = {s.get("payment_intent") for s in machine.objects("checkout.session")}
    intents = [i for i in machine.objects("payment_intent") if i["status"] in PAYABLE and i["id"] not in of_sessions]
    return sorted(
        obj["id"]
        for obj in (*sessions, *intents)
        if obj["metadata"].get("app") and owner in (None, _owner(obj["metadata"]))
    )


def _owner(metadata: dict[str, str]) -> Owner:
    return metadata["user_id"], metadata["track"]


def owners(machine: Machine) -> list[Owner]:
    """Every user and track that anything was bought or made for."""
    made = (*machine.objects("payment_intent"), *machine.objects("checkout.session"))
    return sorted({_owner(obj["metadata"]) for obj in made if obj["metadata"].get("app")})


def after_answers(machine: Machine) -> list[str]:
    """When all have answered: one payable object of those that anybody was given or that a payment is bound to."""
    answered = {offer.payment.stripe_object_id for offer in machine.answered}
    bound = {payment.stripe_object_id for payment in machine.payments()}
    found = []
    for owner in owners(machine):
        open_now = set(payable(machine, owner)) - machine.unknown
        known = open_now if not machine.faults else open_now & (answered | bound)
        if len(known) > 1:
            found.append(f"payable at once: {sorted(known)}")
        pending = [p.payment_id for p in machine.payments() if p.open and (p.user_id, p.track) == owner]
        if len(pending) > 1:
            found.append(f"open payments at once: {pending}")
    return found + _made_twice(machine)


def _made_twice(machine: Machine) -> list[str]:
    """Within the day for which Stripe remembers a key, one payment has one object."""
    made: dict[str, list[int]] = defaultdict(list)
    of_sessions = {s.get("payment_intent") for s in machine.objects("checkout.session")}
    for obj in (*machine.objects("payment_intent"), *machine.objects("checkout.session")):
        if obj["metadata"].get("app") and obj["id"] not in of_sessions:
            made[obj["metadata"]["payment_id"]].append(obj["created"])
    return [
        f"{name} was made twice at Stripe"
        for name, times in made.items()
        if any(b - a < 86_400 for a, b in zip(sorted(times), sorted(times)[1:], strict=False))
    ]


# --- the oracle ---


@dataclass
class Truth:
    """How a payment must stand: from Stripe's objects, and from what staff decided."""

    status: str
    settled: int
    refunded: int
    lost: int
    money_in: bool
    grants: bool = False
    granted: bool = False
    disputed: list[tuple[str, str]] = field(default_factory=list)
    bad_refunds: list[tuple[str, str]] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return self.status in ("CREATED", "PROCESSING", "FAILED")

    @property
    def holds_funds(self) -> bool:
        return self.money_in and (not self.settled or self.refunded + self.lost < self.settled)


class Stripe:
    """Stripe's objects by the intent that they belong to: read once for all payments."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.refunds = _by_intent(machine.objects("refund"))
        self.disputes = _by_intent(machine.objects("dispute"))
        self.charges = _by_intent(machine.objects("charge"))
        self.staff = machine.staff_log()

    def truth(self, payment: Any) -> Truth:
        store = self.machine.stripe.account.store
        session, intent_id = None, payment.stripe_object_id
        if payment.kind == "checkout":
            session = store.find("checkout.session", payment.stripe_object_id)
            assert session is not None
            intent_id = session.get("payment_intent")
        intent = store.find("payment_intent", intent_id) if intent_id else None
        settled = intent["amount_received"] if intent and intent["status"] == "succeeded" else 0
        refunds, disputes = self.refunds[intent_id or ""], self.disputes[intent_id or ""]
        refunded = sum(r["amount"] for r in refunds if r["status"] in GIVEN_BACK)
        lost = sum(d["amount"] for d in disputes if d["status"] == "lost")
        lost -= sum(
            move["amount"] for d in disputes if d["status"] == "prevented" for move in d["balance_transactions"]
        )
        free = session and session["payment_status"] == "no_payment_required" and session["status"] != "open"
        if not (settled or free):
            return Truth(_unsettled(session, intent), 0, 0, 0, False)
        made = Truth("REFUNDED" if settled and refunded >= settled else "SUCCEEDED", settled, refunded, lost, True)
        made.disputed = [(d["id"], d["status"]) for d in disputes if d["status"] not in ("won", "warning_closed")]
        made.bad_refunds = [(r["id"], r["status"]) for r in refunds if r["status"] in ("failed", "canceled")]
        self._decided(payment, made)
        return made

    def _decided(self, payment: Any, made: Truth) -> None:
        decisions = [logged.type for logged in self.staff[payment.payment_id] if logged.type.startswith("decision.")]
        made.granted = made.settled == payment.price.amount or "decision.accept" in decisions
        ended = any(status in ("lost", "prevented") for _, status in made.disputed)
        revoked = decisions[-1:] == ["decision.revoke"]
        made.grants = made.granted and made.status == "SUCCEEDED" and not ended and not revoked

    def causes(self, payment: Any, truth: Truth, *, double: bool) -> list[tuple[str, str]]:
        """What needs a person and has not been acknowledged as it stands."""
        found = [(f"dispute:{key}", status) for key, status in truth.disputed]
        found += [(f"refund:{key}", status) for key, status in truth.bad_refunds]
        if truth.money_in and not truth.granted:
            found.append(("amount", str(Money(truth.settled, payment.price.currency))))
        if double:
            found.append(("double", "double"))
        found += [(f"claim:{key}", key) for key in self.claims(payment)]
        if truth.money_in and payment.facts.closed and payment.facts.closed.reason == "gone":
            found.append(("gone", "gone"))  # Stripe once said so of what was paid: nothing but a person takes it back
        first = next((logged.type for logged in self.machine.log if logged.subject == payment.payment_id), None)
        if first not in ("payment.created", None):
            found.append(("rebuilt", "rebuilt"))
        known = dict(one.acknowledges for one in self.staff[payment.payment_id] if one.type.startswith("attention."))
        return sorted((name, mark) for name, mark in found if known.get(name) != mark)

    def claims(self, payment: Any) -> list[str]:
        """Other objects that were paid in this payment's name."""
        own = {payment.stripe_object_id, payment.intent}
        return [
            obj["id"]
            for obj in (*self.machine.objects("payment_intent"), *self.machine.objects("checkout.session"))
            if obj["metadata"].get("payment_id") == payment.payment_id
            and obj["id"] not in own
            and (obj.get("payment_status") == "paid" or obj["status"] == "succeeded")
        ]


def _by_intent(objects: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for obj in objects:
        found[obj["payment_intent"] or ""].append(obj)
    return found


def _unsettled(session: Any, intent: Any) -> str:
    status = intent["status"] if intent else "requires_payment_method"
    if session is not None:
        if session["status"] == "expired":
            return "CANCELED"
        if session["status"] == "complete":
            return "PROCESSING" if status == "processing" else "CANCELED"
    if status == "canceled":
        return "CANCELED"
    if status == "processing":
        return "PROCESSING"
    failed = status == "requires_payment_method" and intent and intent.get("last_payment_error")
    return "FAILED" if failed else "CREATED"


# --- when everything has been told ---


def settled_state(machine: Machine, *, driven: bool = True) -> list[str]:
    """The tables are what Stripe's objects say and staff decided. `driven`: nobody is about to call Stripe."""
    found: list[str] = []
    stripe = Stripe(machine)
    truths: dict[Owner, dict[str, Truth]] = defaultdict(dict)
    for payment in machine.payments():
        truth = stripe.truth(payment)
        truths[payment.user_id, payment.track][payment.payment_id] = truth
        amounts = {"settled": truth.settled, "refunded": truth.refunded, "lost": truth.lost}
        if payment.status != truth.status:
            found.append(f"{payment.payment_id} is {payment.status}, at Stripe {truth.status}")
        if audit._amounts(payment) != amounts:
            found.append(f"{payment.payment_id} has {audit._amounts(payment)}, at Stripe {amounts}")
        if payment.facts.erased and any(c.last4 or c.receipt_url for c in payment.facts.charges.values()):
            found.append(f"{payment.payment_id} was erased, and has personal fields again")
    for owner, of_owner in truths.items():
        found += _enrollment(machine, owner, of_owner)
    found += _attention(machine, stripe, truths)
    found += _requests(machine, stripe, driven=driven)
    found += _chains(machine) + _unknown_money(machine)
    return found if machine.parted else found + _transitions(machine)


def _enrollment(machine: Machine, owner: Owner, truths: dict[str, Truth]) -> list[str]:
    user, track = owner
    granted = any(truth.granted for truth in truths.values())
    enrolled = any(truth.grants for truth in truths.values())
    pending = any(truth.open for truth in truths.values())
    expected = "ENROLLED" if enrolled else "PENDING" if pending else "WITHDRAWN" if granted else None
    enrollment = machine.enrollment(user, track)
    if enrollment is None:
        return [f"{user} has payments for {track} and no enrollment"]
    found = []
    if enrollment.status != expected:
        found.append(f"{user} is {enrollment.status} in {track}, by Stripe's objects {expected}")
    newest = max((p.attempt for p in machine.payments() if (p.user_id, p.track) == owner), default=0)
    if enrollment.attempt < newest:
        found.append(f"{user} has a payment of attempt {newest}, and the counter says {enrollment.attempt}")
    items = machine.tables.stored["enrollments"]
    projects = [items.get((user, f"{track}#{project.project}")) for project in machine.catalog[track].projects]
    if granted != all(projects) or granted != any(projects):
        found.append(f"{user} {'ever' if granted else 'never'} granted, and has {projects} of progress")
    elif granted:
        unlocked = [bool(project and project["unlocked"]["BOOL"]) for project in projects]
        if unlocked != [enrolled, *[False] * (len(projects) - 1)]:
            found.append(f"{user} is {expected}, with projects unlocked: {unlocked}")
    return found


def _attention(machine: Machine, stripe: Stripe, truths: dict[Owner, dict[str, Truth]]) -> list[str]:
    """What needs a person is what the oracle says, and nothing that does is missing from the queue."""
    found = []
    attempts = {payment.payment_id: payment.attempt for payment in machine.payments()}
    for owner, of_owner in truths.items():
        keeping = sorted((attempts[key], key) for key, truth in of_owner.items() if truth.holds_funds)
        double = {key for _, key in keeping[1:]}
        enrollment = machine.enrollment(*owner)
        seen_double = set(enrollment.doubled) if enrollment else set()
        for payment_id, truth in of_owner.items():
            payment = machine.payment(payment_id)
            expected = stripe.causes(payment, truth, double=payment_id in double)
            seen = sorted(
                (c.name, c.fingerprint) for c in attention.unacknowledged(payment, double=payment_id in seen_double)
            )
            if seen != expected:
                found.append(f"{payment_id} needs a person for {seen}, by Stripe's objects for {expected}")
            if any(name != "double" for name, _ in expected) and not _is_queued(machine, payment_id):
                found.append(f"{payment_id} needs a person for {expected}, and is not in the queue")
            if ("double", "double") in expected and not any(_is_queued(machine, key) for _, key in keeping):
                found.append(f"{payment_id} was paid twice, and neither is in the queue")
    return found


def _is_queued(machine: Machine, payment_id: str) -> bool:
    return "attention_open" in machine.tables.stored["payments"][payment_id,]


def _chains(machine: Machine) -> list[str]:
    """Chains verify, and their transitions, one after the other, are the way to what is stored."""
    found = []
    records: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in machine.tables.stored["audit"].values():
        record = mapping.record_to_json(AuditItem.from_raw_data(item))
        records[str(record["subject"])].append(record)
    for payment in machine.payments():
        found += consistency.audit_violations(
            payment, sorted(records.pop(payment.payment_id, []), key=lambda r: int(r["seq"]))
        )
    for subject, trail in records.items():
        head = machine.tables.stored["enrollments"].get((subject, keys.USER_SORT_KEY))
        version, hash_ = (int(head["version"]["N"]), head["audit_head"]["S"]) if head else (0, "")
        if broken := audit.verify(subject, trail, version, hash_):
            found.append(f"{subject}: {broken}")
    return found


def _transitions(machine: Machine) -> list[str]:
    """One record a transition: an enrollment's records, of whichever payment, follow each other to what is stored."""
    now: dict[Owner, str | None] = {}
    found = []
    for logged in machine.log:
        made = logged.transition.get("enrollment")
        if made:
            owner = logged.user_id, str(logged.track)
            if made["from"] != now.get(owner):
                found.append(f"{logged.subject}: two records took {owner} from {made['from']} to {made['to']}")
            now[owner] = made["to"]
    for owner, status in now.items():
        enrollment = machine.enrollment(*owner)
        if enrollment is None or enrollment.status != status:
            found.append(f"the records lead {owner} to {status}, and it is {enrollment and enrollment.status}")
    return found


def _requests(machine: Machine, stripe: Stripe, *, driven: bool) -> list[str]:
    """One refund a request, done exactly where Stripe gave the money back, and no more than one undecided."""
    found = []
    made: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for refund in machine.objects("refund"):
        name = (refund.get("metadata") or {}).get("refund_request")
        if name:
            made[name].append(refund)
    for name, refunds in made.items():
        if len(refunds) > 1:
            found.append(f"{name} was refunded {len(refunds)} times: {[r['amount'] for r in refunds]}")
    for payment in machine.payments():
        if sum(request.undecided for request in payment.requests) > 1:
            found.append(f"{payment.payment_id} has two undecided refund requests")
        truth = stripe.truth(payment)
        over = truth.settled <= truth.refunded or any(s in ("lost", "prevented") for _, s in truth.disputed)
        for request in payment.requests:
            status = made[request.id][0]["status"] if request.id in made else None
            if (driven and request.state == "calling") or (status and request.state != STATE_OF_REFUND.get(status)):
                found.append(f"{request.id} is {request.state}, its refund {status}")
            if status is None and request.state in ("done", "pending", "failed"):
                found.append(f"{request.id} is {request.state} and Stripe has no refund of it")
            if request.state == "waiting" and over:
                found.append(f"{request.id} waits for staff, and nothing is left to give back")
            if status is None and request.state == "refused" and not request.answer:
                found.append(f"{request.id} was refused, and nobody knows why")
    return found


def _unknown_money(machine: Machine) -> list[str]:
    """Whatever settled in our name is a payment's, or claims one."""
    known = {payment.intent for payment in machine.payments()}
    for payment in machine.payments():
        known |= set(payment.facts.claims) | {payment.stripe_object_id}
    intents = [i for i in machine.objects("payment_intent") if i["status"] == "succeeded" and i["metadata"].get("app")]
    return [f"{intent['id']} settled and nobody knows" for intent in intents if intent["id"] not in known]


# --- the customers ---


def customers(machine: Machine) -> list[str]:
    """A user has one customer, it is theirs at Stripe, and its pointer says so."""
    found = []
    for (user,), item in machine.tables.stored["customers"].items():
        customer = item["stripe_customer_id"]["S"]
        pointer = machine.tables.stored["stripe_objects"].get((customer,))
        at_stripe = machine.object(customer)
        if pointer is None or pointer["user_id"]["S"] != user:
            found.append(f"{customer} is {user}'s, and its pointer says {pointer}")
        if not at_stripe.get("deleted") and at_stripe["metadata"].get("user_id") != user:
            found.append(f"{customer} is kept for {user}, and is another's")
    return found


def card_testing(machine: Machine) -> list[str]:
    """Nothing stays open that was declined so often that somebody may be testing cards on it."""
    stripe, found = Stripe(machine), []
    for payment in machine.payments():
        declined = [c for c in stripe.charges[payment.intent or ""] if c["status"] == "failed"]
        if payment.status in ("CREATED", "FAILED") and len(declined) >= FAILED_CHARGES:
            found.append(f"{payment.payment_id} was declined {len(declined)} times and is still open")
    return found


def undecided(machine: Machine, owner: Owner) -> list[str]:
    """The payments of a user for a track that hold money of another amount than was asked, not accepted by staff."""
    stripe = Stripe(machine)
    truths = {p.payment_id: stripe.truth(p) for p in machine.payments() if (p.user_id, p.track) == owner}
    return [key for key, truth in truths.items() if truth.holds_funds and not truth.granted]


def orphans(machine: Machine) -> list[str]:
    """An hour later nothing can be paid but what an open payment is bound to."""
    bound = {payment.stripe_object_id for payment in machine.payments() if payment.open}
    return [f"{object_id} can be paid, and no payment is open for it" for object_id in set(payable(machine)) - bound]
