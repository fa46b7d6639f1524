"""What must be true: the tables against an oracle that knows only Stripe's objects, and against themselves."""

from collections import Counter
from typing import Any

from tests.model.machine import Machine
from tuition import tables
from tuition.core import audit

PAYABLE = {"requires_payment_method", "requires_confirmation", "requires_action"}
GIVEN_BACK = {"pending", "succeeded"}


def payable(machine: Machine) -> list[str]:
    """The objects at Stripe, made by us, that can still be paid."""
    sessions = {s["id"] for s in machine.objects("checkout.session") if s["status"] == "open"}
    of_sessions = {s.get("payment_intent") for s in machine.objects("checkout.session")}
    intents = {
        i["id"]
        for i in machine.objects("payment_intent")
        if i["status"] in PAYABLE and i["metadata"].get("app") and i["id"] not in of_sessions
    }
    return sorted(sessions | intents)


def after_answers(machine: Machine) -> list[str]:
    """When all have answered: one payable object of those that anybody was given or that a payment is bound to."""
    open_now = set(payable(machine))
    answered = {offer.payment.bound_to for offer in machine.answered}
    bound = {payment.bound_to for payment in machine.payments()}
    found = []
    known = open_now if not machine.faults else open_now & (answered | bound)
    if len(known) > 1:
        found.append(f"payable at once: {sorted(known)}")
    pending = [p.payment_id for p in machine.payments() if p.open]
    if len(pending) > 1:
        found.append(f"open payments at once: {pending}")
    return found


def _expected_status(machine: Machine, payment: Any) -> tuple[str, int, int, int]:
    """Status, settled, refunded and lost of a payment, from Stripe's objects alone."""
    store = machine.stripe.account.store
    if payment.kind == "checkout":
        session = store.find("checkout.session", payment.bound_to)
        assert session is not None
        intent = store.find("payment_intent", session["payment_intent"]) if session.get("payment_intent") else None
    else:
        session, intent = None, store.find("payment_intent", payment.bound_to)
        assert intent is not None
    settled = intent["amount_received"] if intent and intent["status"] == "succeeded" else 0
    refunds = [r for r in machine.objects("refund") if intent and r["payment_intent"] == intent["id"]]
    refunded = sum(r["amount"] for r in refunds if r["status"] in GIVEN_BACK)
    disputes = [d for d in machine.objects("dispute") if intent and d["payment_intent"] == intent["id"]]
    lost = sum(d["amount"] for d in disputes if d["status"] == "lost")
    lost -= sum(move["amount"] for d in disputes if d["status"] == "prevented" for move in d["balance_transactions"])
    free = session is not None and session["payment_status"] == "no_payment_required" and session["status"] != "open"
    if settled or free:
        return "REFUNDED" if settled and refunded >= settled else "SUCCEEDED", settled, refunded, lost
    return _unsettled(session, intent), 0, 0, 0


def _dispute_ended_it(machine: Machine, payment: Any) -> bool:
    intents = {payment.intent, payment.bound_to}
    over = [d for d in machine.objects("dispute") if d["payment_intent"] in intents]
    return any(d["status"] in ("lost", "prevented") for d in over)


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


def settled_state(machine: Machine) -> list[str]:
    """When everything has been told: the tables are what Stripe's objects say."""
    found: list[str] = []
    grants: dict[tuple[str, str], list[tuple[bool, bool, bool]]] = {}
    for payment in machine.payments():
        status, settled, refunded, lost = _expected_status(machine, payment)
        amounts = audit._amounts(payment)
        if payment.status != status:
            found.append(f"{payment.payment_id} is {payment.status}, at Stripe {status}")
        if amounts != {"settled": settled, "refunded": refunded, "lost": lost}:
            found.append(f"{payment.payment_id} has {amounts}, at Stripe {settled} - {refunded} - {lost}")
        paid = status in ("SUCCEEDED", "REFUNDED")
        due = not settled or settled == payment.price.amount
        granting = status == "SUCCEEDED" and due and not _dispute_ended_it(machine, payment)
        standing = granting, paid and due, status in ("CREATED", "PROCESSING", "FAILED")
        grants.setdefault((payment.user_id, payment.track), []).append(standing)
    for (user, track), standings in grants.items():
        found += _enrollment(machine, user, track, standings)
    return found + _chains(machine) + _requests(machine) + _unknown_money(machine)


def _enrollment(machine: Machine, user: str, track: str, standings: list[tuple[bool, bool, bool]]) -> list[str]:
    granted = any(ever for _, ever, _ in standings)
    expected = (
        "ENROLLED"
        if any(now for now, _, _ in standings)
        else "PENDING"
        if any(open_ for _, _, open_ in standings)
        else "WITHDRAWN"
        if granted
        else None
    )
    enrollment = machine.enrollment(user, track)
    if enrollment is None:
        return [f"{user} has payments for {track} and no enrollment"]
    found = []
    if enrollment.status != expected:
        found.append(f"{user} is {enrollment.status} in {track}, by Stripe's objects {expected}")
    newest = max((p.attempt for p in machine.payments() if (p.user_id, p.track) == (user, track)), default=0)
    if enrollment.attempt < newest:
        found.append(f"{user} has a payment of attempt {newest}, and the counter says {enrollment.attempt}")
    items = machine.tables.stored["enrollments"]
    projects = [items.get((user, f"{track}#{project.project}")) for project in machine.track.projects]
    if granted != all(projects) or granted != any(projects):
        found.append(f"{user} {'ever' if granted else 'never'} granted, and has {projects} of progress")
    elif granted:
        unlocked = [bool(project and project["unlocked"]["BOOL"]) for project in projects]
        if unlocked != [expected == "ENROLLED", *[False] * (len(projects) - 1)]:
            found.append(f"{user} is {expected}, with projects unlocked: {unlocked}")
    return found


def _chains(machine: Machine) -> list[str]:
    """Chains verify, and their transitions, one after the other, are the way to what is stored."""
    found = []
    records: dict[str, list[dict[str, Any]]] = {}
    for item in machine.tables.stored["audit"].values():
        record = tables.record_to_json(tables.AuditItem.from_raw_data(item))
        records.setdefault(str(record["subject"]), []).append(record)
    for payment in machine.payments():
        trail = sorted(records.pop(payment.payment_id, []), key=lambda r: int(r["seq"]))
        if broken := audit.verify(payment.payment_id, trail, payment.version, payment.audit_head):
            found.append(f"{payment.payment_id}: {broken}")
        status, sums = None, Counter[str]()
        for record in trail:
            made = record["transition"]
            if "status" in made:
                if made["status"]["from"] != status:
                    found.append(f"{payment.payment_id}: two records made {made['status']}")
                status = made["status"]["to"]
            sums.update({name: made.get(name, 0) for name in ("settled", "refunded", "lost")})
        if status != payment.status or dict(sums) != audit._amounts(payment):
            found.append(f"{payment.payment_id}: its records lead to {status} {dict(sums)}")
    for subject, trail in records.items():
        head = machine.tables.stored["enrollments"].get((subject, tables.USER_ENTRY))
        version, hash_ = (int(head["version"]["N"]), head["audit_head"]["S"]) if head else (0, "")
        if broken := audit.verify(subject, trail, version, hash_):
            found.append(f"{subject}: {broken}")
    return found


def _requests(machine: Machine) -> list[str]:
    """One refund a request, done exactly where Stripe gave the money back, and no more than one undecided."""
    found = []
    made: dict[str, list[dict[str, Any]]] = {}
    for refund in machine.objects("refund"):
        name = (refund.get("metadata") or {}).get("refund_request")
        if name:
            made.setdefault(name, []).append(refund)
    for name, refunds in made.items():
        if len(refunds) > 1:
            found.append(f"{name} was refunded {len(refunds)} times: {[r['amount'] for r in refunds]}")
    for payment in machine.payments():
        if sum(request.undecided for request in payment.requests) > 1:
            found.append(f"{payment.payment_id} has two undecided refund requests")
        for request in payment.requests:
            status = made[request.id][0]["status"] if request.id in made else None
            expected = {
                "succeeded": "done",
                "failed": "failed",
                "canceled": "failed",
                "pending": "pending",
                "requires_action": "pending",
            }
            if request.state == "calling" or (status and request.state != expected.get(status)):
                found.append(f"{request.id} is {request.state}, its refund {status}")
            if status is None and request.state in ("done", "pending", "failed"):
                found.append(f"{request.id} is {request.state} and Stripe has no refund of it")
    return found


def _unknown_money(machine: Machine) -> list[str]:
    """Whatever settled in our name is a payment's, or claims one."""
    known = {payment.intent for payment in machine.payments()}
    for payment in machine.payments():
        known |= set(payment.facts.claims) | {payment.bound_to}
    intents = [i for i in machine.objects("payment_intent") if i["status"] == "succeeded" and i["metadata"].get("app")]
    return [f"{intent['id']} settled and nobody knows" for intent in intents if intent["id"] not in known]
