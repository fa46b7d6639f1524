"""The invariants of the tables.

The tables are compared with an oracle that knows only Stripe's objects and staff decisions, and with themselves.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests import consistency, stored_data
from tests.model.simulation import Simulation
from tuition.core import attention, audit, switches
from tuition.core.money import Money
from tuition.settings import settings
from tuition.storage import keys, mapping
from tuition.storage.items import AuditItem
from tuition.views import standings as views_standings

PAYABLE = {"requires_payment_method", "requires_confirmation", "requires_action"}
COUNTED_REFUNDS = {"pending", "succeeded"}
REQUEST_STATES = {
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
    "pending": "pending",
    "requires_action": "pending",
}
"""The status of a Stripe refund -> the state of its request."""
MAX_FAILED_CHARGES = 5
Owner = tuple[str, str]


# --- once every request has been answered ---


def payable(sim: Simulation, owner: Owner | None = None) -> list[str]:
    """Return the objects that we created at Stripe and that can still be paid."""
    sessions = [s for s in sim.objects("checkout.session") if s["status"] == "open"]
    of_sessions = {s.get("payment_intent") for s in sim.objects("checkout.session")}
    intents = [i for i in sim.objects("payment_intent") if i["status"] in PAYABLE and i["id"] not in of_sessions]
    return sorted(
        obj["id"]
        for obj in (*sessions, *intents)
        if obj["metadata"].get("app") and owner in (None, _owner(obj["metadata"]))
    )


def _owner(metadata: dict[str, str]) -> Owner:
    return metadata["user_id"], metadata["track"]


def owners(sim: Simulation) -> list[Owner]:
    """Return every user and track for which an object exists at Stripe."""
    objects = (*sim.objects("payment_intent"), *sim.objects("checkout.session"))
    return sorted({_owner(obj["metadata"]) for obj in objects if obj["metadata"].get("app")})


def after_responses(sim: Simulation) -> list[str]:
    """Each owner has at most one payable object that was offered or is bound, and at most one open payment."""
    offered = {offer.payment.stripe_object_id for offer in sim.offers}
    bound = {payment.stripe_object_id for payment in sim.payments()}
    problems = []
    for owner in owners(sim):
        payable_now = set(payable(sim, owner)) - sim.missing_at_stripe
        reachable = payable_now if not sim.faults else payable_now & (offered | bound)
        if len(reachable) > 1:
            problems.append(f"payable at once: {sorted(reachable)}")
        pending = [p.payment_id for p in sim.payments() if p.open and (p.user_id, p.track) == owner]
        if len(pending) > 1:
            problems.append(f"open payments at once: {pending}")
    return problems + _duplicate_objects(sim)


def _duplicate_objects(sim: Simulation) -> list[str]:
    """Within the day for which Stripe keeps an idempotency key, one payment has one object."""
    created: dict[str, list[int]] = defaultdict(list)
    of_sessions = {s.get("payment_intent") for s in sim.objects("checkout.session")}
    for obj in (*sim.objects("payment_intent"), *sim.objects("checkout.session")):
        if obj["metadata"].get("app") and obj["id"] not in of_sessions:
            created[obj["metadata"]["payment_id"]].append(obj["created"])
    return [
        f"{payment_id} has two objects at Stripe"
        for payment_id, times in created.items()
        if any(b - a < 86_400 for a, b in zip(sorted(times), sorted(times)[1:], strict=False))
    ]


# --- the oracle ---


@dataclass
class ExpectedPayment:
    """The state that a payment must have, from Stripe's objects and the decisions of staff."""

    status: str
    settled: int
    refunded: int
    lost: int
    is_settled: bool
    grants: bool = False
    ever_granted: bool = False
    revoked: bool = False
    refund_due_by: str | None = None
    due: int = 0
    disputes: list[tuple[str, str]] = field(default_factory=list)
    failed_refunds: list[tuple[str, str]] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return self.status in ("CREATED", "PROCESSING", "FAILED")

    @property
    def withdrawn(self) -> bool:
        return self.refund_due_by is not None

    @property
    def holds_funds(self) -> bool:
        if not self.settled:
            return self.is_settled and not self.revoked and not self.withdrawn
        return self.refunded + self.lost < self.settled


class StripeState:
    """Stripe's objects grouped by intent, read once for all payments."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.refunds = _by_intent(sim.objects("refund"))
        self.disputes = _by_intent(sim.objects("dispute"))
        self.charges = _by_intent(sim.objects("charge"))
        self.staff = sim.staff_records()
        self.withdrawals = {
            record.subject: record.transition["withdrawal"]
            for record in sim.records
            if "withdrawal" in record.transition
        }

    def expected(self, payment: Any) -> ExpectedPayment:
        store = self.sim.stripe.account.store
        session, intent_id = None, payment.stripe_object_id
        if payment.kind == "checkout":
            session = store.find("checkout.session", payment.stripe_object_id)
            assert session is not None
            intent_id = session.get("payment_intent")
        intent = store.find("payment_intent", intent_id) if intent_id else None
        settled = intent["amount_received"] if intent and intent["status"] == "succeeded" else 0
        refunds, disputes = self.refunds[intent_id or ""], self.disputes[intent_id or ""]
        refunded = sum(r["amount"] for r in refunds if r["status"] in COUNTED_REFUNDS)
        lost = sum(d["amount"] for d in disputes if d["status"] == "lost")
        lost -= sum(
            move["amount"] for d in disputes if d["status"] == "prevented" for move in d["balance_transactions"]
        )
        free = session and session["payment_status"] == "no_payment_required" and session["status"] != "open"
        if not (settled or free):
            return ExpectedPayment(consistency.unsettled_status(session, intent), 0, 0, 0, False)
        status = "REFUNDED" if settled and refunded >= settled else "SUCCEEDED"
        expected = ExpectedPayment(status, settled, refunded, lost, True)
        expected.disputes = [(d["id"], d["status"]) for d in disputes if d["status"] not in ("won", "warning_closed")]
        expected.failed_refunds = [(r["id"], r["status"]) for r in refunds if r["status"] in ("failed", "canceled")]
        self._apply_decisions(payment, expected)
        if expected.withdrawn:
            returned = sum(r["amount"] for r in refunds if r["status"] in (*COUNTED_REFUNDS, "requires_action"))
            submitting = sum(request.amount for request in payment.requests if request.state == "submitting")
            expected.due = max(0, settled - returned - lost - submitting)
        return expected

    def _apply_decisions(self, payment: Any, expected: ExpectedPayment) -> None:
        decisions = [record.type for record in self.staff[payment.payment_id] if record.type.startswith("decision.")]
        expected.ever_granted = expected.settled == payment.price.amount or "decision.accept_amount" in decisions
        dispute_lost = any(status in ("lost", "prevented") for _, status in expected.disputes)
        expected.revoked = decisions[-1:] == ["decision.revoke"]
        expected.refund_due_by = self.withdrawals.get(payment.payment_id, {}).get("refund_due_by")
        is_lost = dispute_lost or expected.revoked or expected.withdrawn
        expected.grants = expected.ever_granted and expected.status == "SUCCEEDED" and not is_lost

    def attention(self, payment: Any, expected: ExpectedPayment, *, double: bool) -> list[tuple[str, str]]:
        """Return why the payment needs attention, as (name, fingerprint), without the acknowledged reasons."""
        reasons = [(f"dispute:{key}", status) for key, status in expected.disputes]
        reasons += [(f"refund:{key}", status) for key, status in expected.failed_refunds]
        if expected.is_settled and not expected.ever_granted:
            reasons.append(("amount", str(Money(expected.settled, payment.price.currency))))
        if double:
            reasons.append(("double", "double"))
        awaiting = [r for r in payment.requests if r.state == "awaiting_approval" and not expected.withdrawn]
        if expected.refund_due_by and expected.due:
            reasons.append(("withdrawal", expected.refund_due_by))
        reasons += [(f"refund_request:{request.id}", request.state) for request in awaiting]
        reasons += [(f"claim:{key}", key) for key in self.claims(payment)]
        if expected.is_settled and payment.facts.closed and payment.facts.closed.reason == "gone":
            reasons.append(("gone", "gone"))  # it was missing at Stripe once: the reason stays until acknowledged
        first = next((record.type for record in self.sim.records if record.subject == payment.payment_id), None)
        if first not in ("payment.created", None):
            reasons.append(("rebuilt", "rebuilt"))
        staff_records = self.staff[payment.payment_id]
        acknowledged = dict(record.acknowledged for record in staff_records if record.type.startswith("attention."))
        return sorted((name, fingerprint) for name, fingerprint in reasons if acknowledged.get(name) != fingerprint)

    def claims(self, payment: Any) -> list[str]:
        """Return the other objects that were paid under this payment's id."""
        own = {payment.stripe_object_id, payment.intent}
        return [
            obj["id"]
            for obj in (*self.sim.objects("payment_intent"), *self.sim.objects("checkout.session"))
            if obj["metadata"].get("payment_id") == payment.payment_id
            and obj["id"] not in own
            and (obj.get("payment_status") == "paid" or obj["status"] == "succeeded")
        ]


def _by_intent(objects: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for obj in objects:
        grouped[obj["payment_intent"] or ""].append(obj)
    return grouped


# --- once every event has been delivered ---


def final_state(sim: Simulation, *, refunds_resumed: bool = True) -> list[str]:
    """The tables match Stripe's objects and staff decisions. `refunds_resumed`: no refund is still to be submitted."""
    problems: list[str] = []
    stripe = StripeState(sim)
    by_owner: dict[Owner, dict[str, ExpectedPayment]] = defaultdict(dict)
    for payment in sim.payments():
        expected = stripe.expected(payment)
        by_owner[payment.user_id, payment.track][payment.payment_id] = expected
        amounts = {"settled": expected.settled, "refunded": expected.refunded, "lost": expected.lost}
        if payment.status != expected.status:
            problems.append(f"{payment.payment_id} is {payment.status}, at Stripe {expected.status}")
        if audit._amounts(payment) != amounts:
            problems.append(f"{payment.payment_id} has {audit._amounts(payment)}, at Stripe {amounts}")
        if payment.facts.erased and any(c.last4 or c.receipt_url for c in payment.facts.charges.values()):
            problems.append(f"{payment.payment_id} was erased, but has personal fields again")
    for owner, expected_payments in by_owner.items():
        problems += _enrollment(sim, owner, expected_payments)
    problems += _attention(sim, stripe, by_owner)
    problems += _refund_requests(sim, stripe, refunds_resumed=refunds_resumed)
    problems += [] if sim.partially_restored else standings(sim)
    problems += _audit_chains(sim) + _unassigned_money(sim) + _purchase_blocks(sim)
    problems += _first_purchases(sim) + _withdrawals(sim) + _withdrawn_requests(sim)
    return problems if sim.partially_restored else problems + _enrollment_transitions(sim)


def _enrollment(sim: Simulation, owner: Owner, expected_payments: dict[str, ExpectedPayment]) -> list[str]:
    """The enrollment's status, attempt counter and progress items follow from its payments."""
    user, track = owner
    granted = any(expected.ever_granted for expected in expected_payments.values())
    enrolled = any(expected.grants for expected in expected_payments.values())
    pending = any(expected.open for expected in expected_payments.values())
    expected_status = "ENROLLED" if enrolled else "PENDING" if pending else "WITHDRAWN" if granted else None
    enrollment = sim.enrollment(user, track)
    if enrollment is None:
        return [f"{user} has payments for {track}, but no enrollment"]
    problems = []
    if enrollment.status != expected_status:
        problems.append(f"{user} is {enrollment.status} in {track}, by Stripe's objects {expected_status}")
    newest = max((p.attempt for p in sim.payments() if (p.user_id, p.track) == owner), default=0)
    if enrollment.attempt < newest:
        problems.append(f"{user} has a payment of attempt {newest}, but the counter is {enrollment.attempt}")
    items = sim.tables.stored["enrollments"]
    projects = [items.get((user, f"{track}#{project.project}")) for project in sim.catalog[track].projects]
    if granted != all(projects) or granted != any(projects):
        problems.append(f"{user} was {'once' if granted else 'never'} granted access, and has progress {projects}")
    elif granted:
        unlocked = [bool(project and project["unlocked"]["BOOL"]) for project in projects]
        if unlocked != [enrolled, *[False] * (len(projects) - 1)]:
            problems.append(f"{user} is {expected_status}, with projects unlocked: {unlocked}")
    return problems


def _attention(sim: Simulation, stripe: StripeState, by_owner: dict[Owner, dict[str, ExpectedPayment]]) -> list[str]:
    """The attention reasons are those of the oracle, and each payment that has one is in the queue."""
    problems = []
    attempts = {payment.payment_id: payment.attempt for payment in sim.payments()}
    for owner, expected_payments in by_owner.items():
        with_funds = sorted(
            (attempts[key], key) for key, one in expected_payments.items() if one.holds_funds and not one.withdrawn
        )
        double = {key for _, key in with_funds[1:]}
        enrollment = sim.enrollment(*owner)
        stored_double = set(enrollment.doubled) if enrollment else set()
        for payment_id, expected in expected_payments.items():
            payment = sim.payment(payment_id)
            reasons = stripe.attention(payment, expected, double=payment_id in double)
            stored = sorted(
                (c.name, c.fingerprint)
                for c in attention.unacknowledged(payment, double=payment.grantor in stored_double)
            )
            if stored != reasons:
                problems.append(f"{payment_id} needs attention for {stored}, by Stripe's objects for {reasons}")
            if any(name != "double" for name, _ in reasons) and not _is_queued(sim, payment_id):
                problems.append(f"{payment_id} needs attention for {reasons}, but is not in the queue")
            if ("double", "double") in reasons and not any(_is_queued(sim, key) for _, key in with_funds):
                problems.append(f"{payment_id} was paid twice, but neither payment is in the queue")
    return problems


def _is_queued(sim: Simulation, payment_id: str) -> bool:
    return "attention_open" in sim.tables.stored["payments"][payment_id,]


def _audit_chains(sim: Simulation) -> list[str]:
    """Every audit chain verifies, and its transitions lead to the stored state."""
    problems = []
    by_subject: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in sim.tables.stored["audit"].values():
        record = mapping.record_to_json(AuditItem.from_raw_data(item))
        by_subject[str(record["subject"])].append(record)
    for payment in sim.payments():
        records = sorted(by_subject.pop(payment.payment_id, []), key=lambda r: int(r["seq"]))
        problems += consistency.audit_violations(payment, records)
    for name, subject in switches.SUBJECTS.items():
        switch = mapping.switch_from_raw(name, sim.tables.stored["cursors"].get((name,)))
        if problem := switches.verify(switch, by_subject.pop(subject, [])):
            problems.append(f"{subject}: {problem}")
    for subject, records in by_subject.items():
        head = sim.tables.stored["enrollments"].get((subject, keys.USER_SORT_KEY))
        version, hash_ = (int(head["version"]["N"]), head["audit_head"]["S"]) if head else (0, "")
        if problem := audit.verify(subject, records, version, hash_):
            problems.append(f"{subject}: {problem}")
    return problems


def undeclared(sim: Simulation) -> list[str]:
    """Every attribute is declared, none has a means to pay, and none an address unless its category allows it."""
    return stored_data.problems_of_tables({name: stored.values() for name, stored in sim.tables.stored.items()})


def stopped_sales(sim: Simulation) -> list[str]:
    """No create that began after a stop is answered with an object to pay before staff sell again."""
    decided = [record for record in sim.records if record.subject == switches.SUBJECTS["selling"]]
    stops: list[tuple[int, int]] = []
    for number, record in enumerate(decided):
        if record.type == "selling.stopped":
            later = decided[number + 1 :]
            stops.append((record.step, later[0].step if later else sim.steps + 1))
    return [
        f"a create that began at step {first} was answered at step {last}, although selling was stopped"
        for first, last in sim.offered_at
        if any(stop < first and last < start for stop, start in stops)
    ]


def _enrollment_transitions(sim: Simulation) -> list[str]:
    """An enrollment's records, over all of its payments, form one chain of transitions to the stored status."""
    statuses: dict[Owner, str | None] = {}
    problems = []
    for record in sim.records:
        transition = record.transition.get("enrollment")
        if transition:
            owner = record.user_id, str(record.track)
            if transition["from"] != statuses.get(owner):
                problems.append(
                    f"{record.subject}: two records took {owner} from {transition['from']} to {transition['to']}"
                )
            statuses[owner] = transition["to"]
    for owner, status in statuses.items():
        enrollment = sim.enrollment(*owner)
        if enrollment is None or enrollment.status != status:
            problems.append(f"the records lead {owner} to {status}, but it is {enrollment and enrollment.status}")
    return problems


def _refund_requests(sim: Simulation, stripe: StripeState, *, refunds_resumed: bool) -> list[str]:
    """Each request has at most one refund, its state follows the refund's, and at most one request is undecided."""
    problems = []
    by_request: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for refund in sim.objects("refund"):
        request_id = (refund.get("metadata") or {}).get("refund_request")
        if request_id:
            by_request[request_id].append(refund)
    for request_id, refunds in by_request.items():
        if len(refunds) > 1:
            problems.append(f"{request_id} was refunded {len(refunds)} times: {[r['amount'] for r in refunds]}")
    immediate: dict[Owner, list[str]] = defaultdict(list)
    for payment in sim.payments():
        own = [r for r in payment.requests if r.by == payment.user_id and r.decided_by is None]
        if any(request.state in ("submitting", "pending", "succeeded") for request in own):
            immediate[payment.user_id, payment.track].append(payment.payment_id)
            charges = [c for c in stripe.charges[payment.intent or ""] if c["status"] == "succeeded"]
            if any(charge["payment_method_details"]["type"] == "us_bank_account" for charge in charges):
                problems.append(f"{payment.payment_id} is a bank debit and was refunded without approval")
        pending = [r for r in payment.requests if r.state == "pending"] if payment.facts.withdrawn else []
        if sum(request.undecided and request not in pending for request in payment.requests) > 1:
            problems.append(f"{payment.payment_id} has two undecided refund requests")
        expected = stripe.expected(payment)
        dispute_lost = any(status in ("lost", "prevented") for _, status in expected.disputes)
        nothing_refundable = expected.settled <= expected.refunded or dispute_lost
        if expected.withdrawn:
            nothing_refundable = not expected.due
        for request in payment.requests:
            status = by_request[request.id][0]["status"] if request.id in by_request else None
            unsubmitted = refunds_resumed and request.state == "submitting"
            if unsubmitted or (status and request.state != REQUEST_STATES.get(status)):
                problems.append(f"{request.id} is {request.state}, its refund {status}")
            if status is None and request.state in ("succeeded", "pending", "failed"):
                problems.append(f"{request.id} is {request.state}, but Stripe has no refund for it")
            if request.state == "awaiting_approval" and nothing_refundable:
                problems.append(f"{request.id} awaits approval, but nothing is refundable")
            if request.state == "superseded" and not (expected.withdrawn and nothing_refundable):
                problems.append(f"{request.id} is superseded, but its money is due")
            has_texts = not payment.facts.erased
            if status is None and request.state == "rejected" and has_texts and not request.answer:
                problems.append(f"{request.id} was rejected without a reason")
    for owner, payment_ids in immediate.items():
        if len(payment_ids) > 1 and not sim.partially_restored:
            problems.append(f"{owner} was refunded twice without approval: {payment_ids}")
    return problems


def _withdrawn_requests(sim: Simulation) -> list[str]:
    """A student withdraws only a request that awaits approval, and nothing decides it afterwards."""
    return [
        f"{request_id} went from {change['from']} to {change['to']} by {record.type}"
        for record in sim.records
        for request_id, change in record.transition.get("refund_requests", {}).items()
        if change["from"] == "withdrawn" or (change["to"] == "withdrawn" and change["from"] != "awaiting_approval")
    ]


def _withdrawals(sim: Simulation) -> list[str]:
    """A student withdraws once, is never let in by that payment again, and no request of theirs is declined later."""
    problems: list[str] = []
    withdrawn: set[str] = set()
    for record in sim.records:
        if "withdrawal" in record.transition:
            if record.subject in withdrawn and record.type == "contract.withdrawn":
                problems.append(f"{record.subject} was withdrawn twice")
            withdrawn.add(record.subject)
            continue
        changes = record.transition.get("refund_requests", {}).values()
        if record.subject in withdrawn and any(change["to"] == "declined" for change in changes):
            problems.append(f"{record.subject} was withdrawn, and its refund was declined by {record.type}")
    for payment in sim.payments():
        if (payment.payment_id in withdrawn) != (payment.facts.withdrawn is not None):
            problems.append(
                f"{payment.payment_id} has the withdrawal {payment.facts.withdrawn}, not that of its records"
            )
        if payment.facts.withdrawn and payment.status in ("CREATED", "FAILED"):
            problems.append(f"{payment.payment_id} was withdrawn, and can still be paid")
    return problems


def _unassigned_money(sim: Simulation) -> list[str]:
    """Every settled intent of ours belongs to a payment or is a claim on one."""
    assigned = {payment.intent for payment in sim.payments()}
    for payment in sim.payments():
        assigned |= set(payment.facts.claims) | {payment.stripe_object_id}
    intents = [i for i in sim.objects("payment_intent") if i["status"] == "succeeded" and i["metadata"].get("app")]
    return [f"{intent['id']} settled, but no payment knows it" for intent in intents if intent["id"] not in assigned]


def standings(sim: Simulation) -> list[str]:
    """The daily audit's comparison of what lets users in with their payments finds nothing."""
    by_user: dict[str, dict[str, Any]] = defaultdict(dict)
    for (user, sort_key), item in sim.tables.stored["enrollments"].items():
        by_user[user][sort_key] = item
    problems = [problem for user, items in by_user.items() for problem in views_standings.problems(user, items)]
    return [f"{one.user_id} in {one.track}: {one.grantor} {one.problem}" for one in problems]


def unconfirmed(sim: Simulation) -> list[str]:
    """After the hourly run, Stripe's API has confirmed every settled payment whose object it shows."""
    settled = [payment for payment in sim.payments() if payment.facts.settled and not payment.facts.missing_at_stripe]
    return [
        f"{payment.payment_id} settled, but Stripe was never asked whether it did"
        for payment in settled
        if payment.facts.confirmed is None or payment.facts.confirmed.money != payment.facts.settled.money
    ]


# --- customers and other rules ---


def customers(sim: Simulation) -> list[str]:
    """A user has one customer; it belongs to the user at Stripe, and its pointer names the user."""
    problems = []
    for (user,), item in sim.tables.stored["customers"].items():
        if "stripe_customer_id" not in item:
            continue  # it has only what blocks the user's purchases
        customer_id = item["stripe_customer_id"]["S"]
        pointer = sim.tables.stored["stripe_objects"].get((customer_id,))
        customer = sim.object(customer_id)
        if pointer is None or pointer["user_id"]["S"] != user:
            problems.append(f"{customer_id} belongs to {user}, but its pointer is {pointer}")
        if not customer.get("deleted") and customer["metadata"].get("user_id") != user:
            problems.append(f"{customer_id} is stored for {user}, but belongs to another user at Stripe")
    return problems


def lost_disputes(sim: Simulation) -> dict[str, list[str]]:
    """Return the ids of the disputes that each user has lost, by Stripe's objects."""
    stripe = StripeState(sim)
    lost: dict[str, list[str]] = defaultdict(list)
    for payment in sim.payments():
        disputes = stripe.expected(payment).disputes
        lost[payment.user_id] += [key for key, status in disputes if status in ("lost", "prevented")]
    return lost


def blocked(sim: Simulation, user: str) -> list[str]:
    """Return what blocks the user's purchases, by Stripe's objects and the decisions of staff on record.

    A decision to allow names in its record what blocked until then.
    """
    blocks: set[str] = set(lost_disputes(sim)[user])
    for record in sim.records:
        change = record.transition.get("purchases")
        if record.subject == user and change:
            blocks |= set(change["to"]) - set(change["from"])
            blocks -= set(change["from"]) - set(change["to"])
    return sorted(blocks)


def _purchase_blocks(sim: Simulation) -> list[str]:
    """The list of lost disputes has exactly those that are lost at Stripe."""
    problems = []
    lost = lost_disputes(sim)
    for user in {payment.user_id for payment in sim.payments()}:
        item = sim.tables.stored["customers"].get((user,), {})
        stored = set(item.get("lost_disputes", {"SS": ()})["SS"])
        if stored != set(lost[user]):
            problems.append(f"{user} lost {lost[user]} at Stripe, but {sorted(stored)} are listed")
    return problems


def _first_purchases(sim: Simulation) -> list[str]:
    """Each user has one first purchase, and the claim on the customer item names its payment."""
    problems = []
    codes = {code["id"] for code in sim.objects("promotion_code") if code["restrictions"]["first_time_transaction"]}
    held: dict[str, list[str]] = defaultdict(list)
    for payment in sim.payments():
        session = sim.object(payment.stripe_object_id) if payment.kind == "checkout" else {}
        used = {discount.get("promotion_code") for discount in session.get("discounts") or []}
        if used & codes and payment.status != "CANCELED":
            held[payment.user_id].append(payment.payment_id)
    for user in {payment.user_id for payment in sim.payments()}:
        item = sim.tables.stored["customers"].get((user,), {})
        stored = set(item.get("first_purchases", {"SS": ()})["SS"])
        if stored != set(held[user]):
            problems.append(f"{user} has first purchases {held[user]}, but {sorted(stored)} hold the claim")
        if len([key for key in held[user] if sim.payment(key).facts.closed is None]) > 1:
            problems.append(f"{user} has two first purchases: {held[user]}")
    return problems


def card_testing(sim: Simulation) -> list[str]:
    """No payment stays open after so many declined charges, because it may be used for card testing."""
    stripe, problems = StripeState(sim), []
    for payment in sim.payments():
        declined = [c for c in stripe.charges[payment.intent or ""] if c["status"] == "failed"]
        if payment.status in ("CREATED", "FAILED") and len(declined) >= MAX_FAILED_CHARGES:
            problems.append(f"{payment.payment_id} was declined {len(declined)} times and is still open")
        if payment.status in ("CREATED", "FAILED") and declined_too_often(sim, payment.user_id):
            problems.append(f"{payment.payment_id} is still open although {payment.user_id} was declined too often")
    return problems


def declined_too_often(sim: Simulation, user_id: str) -> bool:
    """Whether the user was declined at Stripe more often than they may be within an hour."""
    intents = {i["id"] for i in sim.objects("payment_intent") if i["metadata"].get("user_id") == user_id}
    hour_ago = sim.now - 3600
    declined = [c for c in sim.objects("charge") if c["status"] == "failed" and c["payment_intent"] in intents]
    return sum(charge["created"] > hour_ago for charge in declined) > settings().declines_per_hour


def awaiting_decision(sim: Simulation, owner: Owner) -> list[str]:
    """Return the owner's payments that hold another amount than the price, and about which staff have not decided."""
    stripe = StripeState(sim)
    expected = {p.payment_id: stripe.expected(p) for p in sim.payments() if (p.user_id, p.track) == owner}
    undecided = [key for key, one in expected.items() if one.holds_funds and not one.ever_granted and not one.revoked]
    return [key for key in undecided if not expected[key].withdrawn]


def orphans(sim: Simulation) -> list[str]:
    """After an hour, only the objects of open payments can be paid."""
    bound = {payment.stripe_object_id for payment in sim.payments() if payment.open}
    return [f"{object_id} can be paid, but no open payment is bound to it" for object_id in set(payable(sim)) - bound]
