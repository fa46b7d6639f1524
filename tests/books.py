"""The books: every table beside every object at Stripe, and what must be true of them, by an oracle of its own.

`torn` holds at any moment, also in the middle of a disaster: what one transaction writes is there whole or not at
all. `wrong` holds when all is told: the tables say what Stripe's objects say, and nothing is on its way.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests import indiscretions
from tuition.core import attention, audit, catalog, enrollment
from tuition.core import payment as payments
from tuition.core.enrollment import Enrollment
from tuition.core.payment import Payment
from tuition.storage import dynamodb, keys, mapping
from tuition.storage.items import AuditItem, EnrollmentItem, PaymentItem, QuarantineItem, StripeObjectItem

PAYABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
GIVEN_BACK = ("pending", "succeeded")
OF_A_REFUND = {"succeeded": "done", "failed": "failed", "canceled": "failed", "pending": "pending"}
Object = dict[str, Any]
NAMED_SO: Mapping[str, str] = {}


@dataclass
class Books:
    """All that is stored, and all that is at Stripe."""

    payments: dict[str, Payment] = field(default_factory=dict)
    marked: dict[str, bool] = field(default_factory=dict)
    enrollments: dict[tuple[str, str], Enrollment] = field(default_factory=dict)
    entries: dict[tuple[str, str], Object] = field(default_factory=dict)
    records: dict[str, list[Object]] = field(default_factory=lambda: defaultdict(list))
    pointers: dict[str, StripeObjectItem] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)
    objects: dict[str, dict[str, Object]] = field(default_factory=dict)

    def at_stripe(self, kind: str) -> list[Object]:
        return list(self.objects.get(kind, {}).values())

    def ours(self, kind: str) -> list[Object]:
        return [one for one in self.at_stripe(kind) if one["metadata"].get("app") == "tuition"]


def items(client: Any, model: Any, names: Mapping[str, str]) -> Iterator[Object]:
    """Every item of a table, strongly consistent."""
    more: Object = {}
    name = dynamodb.table_name(model)
    while True:
        page = client.scan(TableName=names.get(name, name), ConsistentRead=True, **more)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def read(client: Any, objects: dict[str, dict[str, Object]], names: Mapping[str, str] = NAMED_SO) -> Books:
    """The books of now. `objects` are the simulator's: kind -> id -> object; `names` those of tables elsewhere."""
    books = Books(objects=objects)
    for item in items(client, PaymentItem, names):
        payment = mapping.payment_from_raw(item)
        books.payments[payment.payment_id] = payment
        books.marked[payment.payment_id] = "attention_open" in item
    for item in items(client, EnrollmentItem, names):
        user, entry = item["user_id"]["S"], item["sort_key"]["S"]
        books.entries[user, entry] = item
        if "#" not in entry:
            books.enrollments[user, entry] = mapping.enrollment_from_raw(item)
    for item in items(client, AuditItem, names):
        record = mapping.record_to_json(AuditItem.from_raw_data(item))
        books.records[str(record["subject"])].append(record)
    for trail in books.records.values():
        trail.sort(key=lambda record: int(record["seq"]))
    for item in items(client, StripeObjectItem, names):
        pointer = StripeObjectItem.from_raw_data(item)
        books.pointers[pointer.stripe_id] = pointer
    books.quarantined = [item["event_id"]["S"] for item in items(client, QuarantineItem, names)]
    return books


# --- at any moment ---


def torn(books: Books) -> list[str]:
    """What no moment may show, whatever has failed."""
    found = []
    for payment in books.payments.values():
        found += chain(payment, books.records.get(payment.payment_id, []))
        found += _standing(books, payment) + _pointers(books, payment)
    for (user, track), held in books.enrollments.items():
        strangers = set(held.standings) - set(books.payments)
        found += [f"{user} has the standing of {name}, which is not there" for name in strangers]
        found += _progress(books, user, track, held)
    for subject, trail in books.records.items():
        if subject not in books.payments:
            head = books.entries.get((subject, keys.USER_SORT_KEY))
            version, hash_ = (int(head["version"]["N"]), head["audit_head"]["S"]) if head else (0, "")
            if broken := audit.verify(subject, trail, version, hash_):
                found.append(f"{subject}: {broken}")
    return found


def chain(payment: Payment, trail: list[dict[str, Any]]) -> list[str]:
    """It verifies, tells nothing personal, and its transitions one after the other are the way to what is stored."""
    name, found = payment.payment_id, _told(payment, trail)
    if broken := audit.verify(name, trail, payment.version, payment.audit_head):
        found.append(f"{name}: {broken}")
    status, sums = None, Counter[str]()
    for record in trail:
        made = record["transition"]
        if "status" in made:
            if made["status"]["from"] != status:
                found.append(f"{name}: two records made {made['status']}")
            status = made["status"]["to"]
        sums.update({amount: made.get(amount, 0) for amount in ("settled", "refunded", "lost")})
    told = {"settled": _settled(payment), "refunded": payments.refunded_amount(payment.facts)}
    told["lost"] = payments.lost_amount(payment.facts)
    if (status, dict(sums)) != (payment.status, told):
        found.append(f"{name} is {payment.status} {told}, its records lead to {status} {dict(sums)}")
    twice = [event for event, count in Counter(r["event_id"] for r in trail).items() if count > 1]
    return found + [f"{name}: {event} was recorded twice" for event in twice]


def _told(payment: Payment, trail: list[dict[str, Any]]) -> list[str]:
    """What its records have of what no record may have, or a person wrote."""
    facts, text = payment.facts, json.dumps(trail)
    by_staff = [*facts.acknowledged.values(), *((facts.decision,) if facts.decision else ()), *payment.requests]
    written = {*(one.note for one in by_staff), *(asked.reason for asked in payment.requests)} - {None, ""}
    told = [*indiscretions.found(text), *(words for words in written if json.dumps(words) in text)]
    return [f"{payment.payment_id}: a record tells {what}" for what in told]


def _settled(payment: Payment) -> int:
    return payment.facts.settled.amount if payment.facts.settled else 0


def _standing(books: Books, payment: Payment) -> list[str]:
    held = books.enrollments.get((payment.user_id, payment.track))
    standing = enrollment.standing_of(payment)
    if held is None or held.standings.get(payment.payment_id) != (standing if standing.counts else None):
        return [f"{payment.payment_id} is {payment.status}, and its enrollment does not know"]
    return [f"{payment.user_id}: the counter is behind"] if held.attempt < payment.attempt else []


def _pointers(books: Books, payment: Payment) -> list[str]:
    paid = [key for key, charge in payment.facts.charges.items() if charge.status == "succeeded"]
    owned = {payment.stripe_object_id, *paid, *([payment.intent] if payment.intent else [])}
    held = {name: books.pointers.get(name) for name in owned}
    return [
        f"{name} does not lead to {payment.payment_id}"
        for name, pointer in held.items()
        if pointer is None or pointer.payment_id != payment.payment_id
    ]


def _progress(books: Books, user: str, track: str, held: Enrollment) -> list[str]:
    """Whoever ever granted has progress; the first project is unlocked exactly while somebody is enrolled."""
    projects = catalog.find(track).projects
    found = [books.entries.get((user, keys.project_sort_key(track, project.project))) for project in projects]
    if held.granted != all(found) or held.granted != any(found):
        return [f"{user} {'ever' if held.granted else 'never'} granted in {track}, with progress {found}"]
    unlocked = [bool(project and project["unlocked"]["BOOL"]) for project in found]
    if any(unlocked) != (held.status == "ENROLLED"):
        return [f"{user} is {held.status} in {track}, with projects unlocked: {unlocked}"]
    return []


# --- when all is told ---


def wrong(books: Books) -> list[str]:
    """What may not be when all has been told and driven."""
    found = torn(books) + _money(books) + payable(books) + _requests(books)
    grants: dict[tuple[str, str], list[str]] = defaultdict(list)
    for payment in books.payments.values():
        status, grants_now = _expected(books, payment)
        if payment.status != status:
            found.append(f"{payment.payment_id} is {payment.status}, at Stripe {status}")
        grants[payment.user_id, payment.track].append(grants_now)
    for key, standings in grants.items():
        expected = next((s for s in ("ENROLLED", "PENDING", "WITHDRAWN") if s in standings), None)
        if key in books.enrollments and books.enrollments[key].status != expected:
            found.append(f"{key} is {books.enrollments[key].status}, by Stripe's objects {expected}")
    return found + _attention(books)


def _objects_of(books: Books, payment: Payment) -> tuple[Object | None, Object | None]:
    """Its session and its intent."""
    if payment.kind == "intent":
        return None, books.objects["payment_intent"][payment.stripe_object_id]
    session = books.objects["checkout.session"][payment.stripe_object_id]
    return session, books.objects.get("payment_intent", {}).get(session["payment_intent"] or "")


def _amounts(books: Books, intent: Object | None) -> dict[str, int]:
    """What Stripe has received, given back and lost for an intent."""
    if intent is None:
        return {"settled": 0, "refunded": 0, "lost": 0}
    refunds = [r for r in books.at_stripe("refund") if r["payment_intent"] == intent["id"]]
    disputes = [d for d in books.at_stripe("dispute") if d["payment_intent"] == intent["id"]]
    lost = sum(d["amount"] for d in disputes if d["status"] == "lost")
    lost -= sum(move["amount"] for d in disputes if d["status"] == "prevented" for move in d["balance_transactions"])
    return {
        "settled": intent["amount_received"] if intent["status"] == "succeeded" else 0,
        "refunded": sum(r["amount"] for r in refunds if r["status"] in GIVEN_BACK),
        "lost": lost,
    }


def _expected(books: Books, payment: Payment) -> tuple[str, str | None]:
    """The status of a payment by Stripe's objects, and what it alone makes of the enrollment."""
    session, intent = _objects_of(books, payment)
    amounts = _amounts(books, intent)
    free = session is not None and session["payment_status"] == "no_payment_required" and session["status"] != "open"
    if not (amounts["settled"] or free):
        status = _unsettled(session, intent)
        return status, "PENDING" if status in payments.OPEN_STATUSES else None
    currency = (intent or session or {})["currency"]
    status = "REFUNDED" if amounts["settled"] and amounts["refunded"] >= amounts["settled"] else "SUCCEEDED"
    due = (amounts["settled"], currency) == (payment.price.amount, payment.price.currency) or payment.facts.accepted
    over = [d for d in books.at_stripe("dispute") if intent and d["payment_intent"] == intent["id"]]
    over = [d for d in over if d["status"] in ("lost", "prevented")]
    revoked = payment.facts.decision is not None and payment.facts.decision.decision == "revoke"
    if status == "SUCCEEDED" and due and not over and not revoked:
        return status, "ENROLLED"
    return status, "WITHDRAWN" if due else None


def _unsettled(session: Object | None, intent: Object | None) -> str:
    status = intent["status"] if intent else "requires_payment_method"
    if session is not None and session["status"] == "expired":
        return "CANCELED"
    if session is not None and session["status"] == "complete":
        return "PROCESSING" if status == "processing" else "CANCELED"
    if status == "canceled":
        return "CANCELED"
    if status == "processing":
        return "PROCESSING"
    failed = status == "requires_payment_method" and intent and intent.get("last_payment_error")
    return "FAILED" if failed else "CREATED"


def _money(books: Books) -> list[str]:
    """Payment by payment and in sum what Stripe has; what settled in our name is a payment's, or claims one."""
    found, ours, theirs = [], 0, 0
    known: set[str | None] = set()
    for payment in books.payments.values():
        _, intent = _objects_of(books, payment)
        amounts = _amounts(books, intent)
        told = {"settled": _settled(payment), "refunded": payments.refunded_amount(payment.facts)}
        told["lost"] = payments.lost_amount(payment.facts)
        if told != amounts:
            found.append(f"{payment.payment_id} has {told}, at Stripe {amounts}")
        ours += told["settled"] - told["refunded"] - told["lost"]
        known |= {payment.intent, payment.stripe_object_id, *payment.facts.claims}
    claimed = {name for payment in books.payments.values() for name in payment.facts.claims}
    for intent in books.ours("payment_intent"):
        amounts = _amounts(books, intent)
        if amounts["settled"] and intent["id"] not in known:
            found.append(f"{intent['id']} settled and nobody knows")
        if intent["id"] not in claimed:
            theirs += amounts["settled"] - amounts["refunded"] - amounts["lost"]
    return found if ours == theirs else [*found, f"our tables say {ours}, Stripe has {theirs}"]


def payable(books: Books) -> list[str]:
    """One object at most that a user could still pay for a track."""
    of_sessions = {s["payment_intent"] for s in books.at_stripe("checkout.session")}
    open_now = [s for s in books.ours("checkout.session") if s["status"] == "open"]
    intents = [i for i in books.ours("payment_intent") if i["status"] in PAYABLE and i["id"] not in of_sessions]
    counts = Counter((o["metadata"]["user_id"], o["metadata"]["track"]) for o in [*open_now, *intents])
    return [f"{key} could pay {count} objects" for key, count in counts.items() if count > 1]


def _requests(books: Books) -> list[str]:
    """One refund a request and a request for each refund of ours, done exactly where the money went back."""
    found = []
    made: dict[str, list[Object]] = defaultdict(list)
    for refund in books.at_stripe("refund"):
        if name := (refund.get("metadata") or {}).get("refund_request"):
            made[name].append(refund)
    asked = {request.id: request for payment in books.payments.values() for request in payment.requests}
    found += [f"{name} was refunded {len(refunds)} times" for name, refunds in made.items() if len(refunds) > 1]
    found += [f"{name} was refunded and is stored nowhere" for name in made if name not in asked]
    for name, request in asked.items():
        status = made[name][0]["status"] if name in made else None
        if request.state == "calling" or (status and request.state != OF_A_REFUND[status]):
            found.append(f"{name} is {request.state}, its refund {status}")
        if status is None and request.state in ("done", "pending", "failed"):
            found.append(f"{name} is {request.state} and Stripe has no refund of it")
    undecided = {p.payment_id: sum(r.undecided for r in p.requests) for p in books.payments.values()}
    return found + [f"{name} has {count} undecided requests" for name, count in undecided.items() if count > 1]


def _attention(books: Books) -> list[str]:
    """Whoever paid, was not paid back and is not let in has a cause for a person, on the record."""
    found = []
    for payment in books.payments.values():
        held = books.enrollments.get((payment.user_id, payment.track))
        double = bool(held and payment.payment_id in held.doubled)
        revoked = payment.facts.decision is not None and payment.facts.decision.decision == "revoke"
        kept = payments.holds_funds(payment) and not revoked
        raised = any("attention" in r["transition"] for r in books.records.get(payment.payment_id, []))
        if kept and not payments.grants_access(payment) and not (raised and attention.reasons(payment, double=double)):
            found.append(f"{payment.payment_id} holds money, grants nothing, and nobody is called")
        if attention.unacknowledged(payment) and not books.marked[payment.payment_id]:
            found.append(f"{payment.payment_id} needs a person and is not in the queue")
    for key, held in books.enrollments.items():
        several = [books.payments[name] for name in held.standings if payments.holds_funds(books.payments[name])]
        seen = [books.marked[p.payment_id] or "double" in p.facts.acknowledged for p in several]
        if len(several) > 1 and not any(seen):
            found.append(f"{key} paid twice, and nobody is called")
    return found
