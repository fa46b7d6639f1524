"""Compare every table with every Stripe object, by rules that are written independently of the code under test.

`violations_at_any_time` checks what must hold at every moment, even in the middle of a crash: each transaction is
stored completely or not at all. `violations_when_idle` checks what must hold once every event has been delivered and
no refund is unfinished: the tables agree with Stripe's objects.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.event_schemas import schema_of
from tests.sensitive_data import find_sensitive
from tools import published_events as reference
from tuition.core import (
    archive,
    attention,
    audit,
    catalog,
    enrollment,
    plan_parts,
    published_events,
    recorded_facts,
    switches,
)
from tuition.core import payment as payments
from tuition.core.enrollment import Enrollment
from tuition.core.payment import Payment
from tuition.core.plan import Plan
from tuition.core.purchase_blocks import NO_BLOCKS, PurchaseBlocks
from tuition.core.refs import is_plan
from tuition.core.switches import Switch, SwitchName
from tuition.storage import dynamodb, keys, mapping
from tuition.storage.items import (
    AuditItem,
    CursorItem,
    CustomerItem,
    EnrollmentItem,
    PaymentItem,
    PlanItem,
    QuarantineItem,
    StripeObjectItem,
)

PAYABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
REFUNDED_STATUSES = ("pending", "succeeded")
REQUEST_STATES = {"succeeded": "succeeded", "failed": "failed", "canceled": "failed", "pending": "pending"}
Object = dict[str, Any]
DEFAULT_NAMES: Mapping[str, str] = {}


@dataclass
class Snapshot:
    """Every stored item and every Stripe object at one moment."""

    payments: dict[str, Payment] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    in_queue: dict[str, bool] = field(default_factory=dict)
    enrollments: dict[tuple[str, str], Enrollment] = field(default_factory=dict)
    entries: dict[tuple[str, str], Object] = field(default_factory=dict)
    records: dict[str, list[Object]] = field(default_factory=lambda: defaultdict(list))
    pointers: dict[str, StripeObjectItem] = field(default_factory=dict)
    blocks: dict[str, PurchaseBlocks] = field(default_factory=dict)
    first_purchases: dict[str, set[str]] = field(default_factory=dict)
    switches: dict[SwitchName, Switch] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)
    objects: dict[str, dict[str, Object]] = field(default_factory=dict)

    def at_stripe(self, kind: str) -> list[Object]:
        return list(self.objects.get(kind, {}).values())

    def ours(self, kind: str) -> list[Object]:
        return [obj for obj in self.at_stripe(kind) if obj["metadata"].get("app") == "tuition"]


def items(client: Any, model: Any, names: Mapping[str, str]) -> Iterator[Object]:
    """Yield every item of a table, with strongly consistent reads."""
    start: Object = {}
    name = dynamodb.table_name(model)
    while True:
        page = client.scan(TableName=names.get(name, name), ConsistentRead=True, **start)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def read_snapshot(
    client: Any, objects: dict[str, dict[str, Object]], names: Mapping[str, str] = DEFAULT_NAMES
) -> Snapshot:
    """Read all tables.

    `objects` are the simulator's objects: kind -> id -> object. `names` maps our table names to deployed ones.
    """
    snapshot = Snapshot(objects=objects)
    for item in items(client, PaymentItem, names):
        payment = mapping.payment_from_raw(item)
        snapshot.payments[payment.payment_id] = payment
        snapshot.in_queue[payment.payment_id] = "attention_open" in item
    for item in items(client, PlanItem, names):
        plan = mapping.plan_from_raw(item)
        snapshot.plans[plan.plan_id] = plan
    for item in items(client, EnrollmentItem, names):
        user, entry = item["user_id"]["S"], item["sort_key"]["S"]
        snapshot.entries[user, entry] = item
        if "#" not in entry:
            snapshot.enrollments[user, entry] = mapping.enrollment_from_raw(item)
    for item in items(client, AuditItem, names):
        record = mapping.record_to_json(AuditItem.from_raw_data(item))
        snapshot.records[str(record["subject"])].append(record)
    for trail in snapshot.records.values():
        trail.sort(key=lambda record: int(record["seq"]))
    for item in items(client, StripeObjectItem, names):
        pointer = StripeObjectItem.from_raw_data(item)
        snapshot.pointers[pointer.stripe_id] = pointer
    for item in items(client, CustomerItem, names):
        customer = CustomerItem.from_raw_data(item)
        snapshot.blocks[customer.user_id] = mapping.blocks_from_item(customer)
        snapshot.first_purchases[customer.user_id] = set(customer.first_purchases or ())
    for item in items(client, CursorItem, names):
        if item["name"]["S"] in switches.SUBJECTS:
            name = item["name"]["S"]
            snapshot.switches[name] = mapping.switch_from_raw(name, item)
    snapshot.quarantined = [item["event_id"]["S"] for item in items(client, QuarantineItem, names)]
    return snapshot


# --- at any moment ---


def violations_at_any_time(snapshot: Snapshot) -> list[str]:
    """Return violations of the rules that hold at every moment, whatever has failed."""
    violations = []
    for payment in snapshot.payments.values():
        violations += audit_violations(payment, snapshot.records.get(payment.payment_id, []))
        violations += _standing(snapshot, payment) + _pointers(snapshot, payment)
    for plan in snapshot.plans.values():
        violations += _plan(snapshot, plan)
    for (user, track), item in snapshot.enrollments.items():
        unknown = set(item.standings) - set(snapshot.payments) - set(snapshot.plans)
        violations += [f"{user} has the standing of {name}, which does not exist" for name in unknown]
        violations += _progress(snapshot, user, track, item) if track in catalog.tracks() else []
    violations += _lost_disputes(snapshot) + _first_purchases(snapshot)
    for name, subject in switches.SUBJECTS.items():
        switch = snapshot.switches.get(name, Switch(name))
        if broken := switches.verify(switch, snapshot.records.get(subject, [])):
            violations.append(f"{subject}: {broken}")
    for subject, trail in snapshot.records.items():
        if subject not in {*snapshot.payments, *snapshot.plans, *switches.OF_SUBJECTS}:
            head = snapshot.entries.get((subject, keys.USER_SORT_KEY))
            version, hash_ = (int(head["version"]["N"]), head["audit_head"]["S"]) if head else (0, "")
            if broken := audit.verify(subject, trail, version, hash_):
                violations.append(f"{subject}: {broken}")
    return violations


def _lost_disputes(snapshot: Snapshot) -> list[str]:
    """Check that each user's list has exactly the disputes that the user's payments have lost."""
    lost: dict[str, set[str]] = {user: set() for user in snapshot.blocks}
    for payment in snapshot.payments.values():
        disputes = payment.facts.disputes.items()
        lost.setdefault(payment.user_id, set()).update(k for k, d in disputes if d.status in ("lost", "prevented"))
    stored = {user: set(snapshot.blocks.get(user, NO_BLOCKS).lost_disputes) for user in lost}
    return [
        f"{user} lost {sorted(lost[user])}, but {sorted(stored[user])} are listed"
        for user in lost
        if stored[user] != lost[user]
    ]


def _first_purchases(snapshot: Snapshot) -> list[str]:
    """Check that a user's claim names the payments that hold it: one, unless another settled after it was closed."""
    held: dict[str, set[str]] = {user: set() for user in snapshot.first_purchases}
    for payment in snapshot.payments.values():
        if payment.first_purchase and payment.status != "CANCELED":
            held.setdefault(payment.user_id, set()).add(payment.payment_id)
    stored = {user: snapshot.first_purchases.get(user, set()) for user in held}
    violations = [
        f"{user} has first purchases {sorted(held[user])}, but {sorted(stored[user])} hold the claim"
        for user in held
        if stored[user] != held[user]
    ]
    for user, holders in held.items():
        in_time = [key for key in holders if snapshot.payments[key].facts.closed is None]
        violations += [f"{user} has {len(in_time)} first purchases"] if len(in_time) > 1 else []
    return violations


def audit_violations(payment: Payment, trail: list[dict[str, Any]]) -> list[str]:
    """Check that a payment's audit chain verifies, has no sensitive data, and that it adds up to the payment.

    Its transitions add up to status and amounts, its patches to the facts.
    """
    name, violations = payment.payment_id, _sensitive_records(payment, trail)
    if broken := audit.verify(name, trail, payment.version, payment.audit_head):
        violations.append(f"{name}: {broken}")
    status, sums = None, Counter[str]()
    for record in trail:
        transition = record["transition"]
        if "status" in transition:
            before, after = transition["status"]["from"], transition["status"]["to"]
            if before != status or before == after:
                violations.append(f"{name}: {transition['status']} follows the status {status}")
            status = after
        sums.update({amount: transition.get(amount, 0) for amount in ("settled", "refunded", "lost")})
    stored = {"settled": _settled(payment), "refunded": payments.refunded_amount(payment.facts)}
    stored["lost"] = payments.lost_amount(payment.facts)
    if (status, dict(sums)) != (payment.status, stored):
        violations.append(f"{name} is {payment.status} {stored}, but its records lead to {status} {dict(sums)}")
    if (recorded := _folded(trail)) != (facts := recorded_facts.reduced(payment.facts)):
        violations.append(f"{name} has the facts {facts}, but its records lead to {recorded}")
    for record in trail:
        violations += [f"{name}: the archive refuses {path}" for path in archive.undeclared(archive.RECORD, record)]
    repeated = [event for event, count in Counter(r["event_id"] for r in trail).items() if count > 1]
    violations += published_violations(payment, trail)
    return violations + [f"{name}: {event} was recorded twice" for event in repeated]


def _folded(trail: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the facts to which the patches of records lead. Null removes a fact, an entry or a field."""
    facts: dict[str, Any] = {}
    for record in trail:
        for name, change in record["facts"].items():
            if isinstance(change, dict) and isinstance(facts.get(name), dict):
                entries = facts[name] | change
                change = {
                    key: {field: inner for field, inner in value.items() if inner is not None}
                    if isinstance(value, dict)
                    else value
                    for key, value in entries.items()
                    if value is not None
                }
            facts[name] = change
    return {name: value for name, value in facts.items() if value is not None}


def published_violations(payment: Payment, trail: list[dict[str, Any]]) -> list[str]:
    """Check that the events of a payment's records fit their schemas, have unique ids, and that their amounts add up.

    A consumer knows nothing but these events.
    """
    sums, violations, ids = Counter[str](), [], Counter[str]()
    for record in trail:
        stored = {**record, "sort_key": f"{record['at']}#{record['event_id']}"}
        for event in published_events.of_record(stored):
            ids[event.detail["id"]] += 1
            violations += [
                f"{event.type}: {error.message}" for error in schema_of(event.type).iter_errors(event.detail)
            ]
            if event.type == published_events.PAYMENT_REBUILT:
                sums = Counter(event.detail["totals"])
            name, sign = SUMS.get(event.type, ("", 0))
            sums[name] += sign * event.detail.get("amount", 0)
    stored_sums = {"settled": _settled(payment), "refunded": payments.refunded_amount(payment.facts)}
    stored_sums["lost"] = payments.lost_amount(payment.facts)
    if any(sums[name] != amount for name, amount in stored_sums.items()):
        violations.append(f"has {stored_sums}, but its events add up to {dict(sums)}")
    violations += [f"{event_id} is the id of {count} events" for event_id, count in ids.items() if count > 1]
    return [f"{payment.payment_id}: {violation}" for violation in violations]


SUMS = {
    published_events.PAYMENT_SETTLED: ("settled", 1),
    published_events.PAYMENT_AMOUNT_CORRECTED: ("settled", 1),
    published_events.PAYMENT_REFUNDED: ("refunded", 1),
    published_events.REFUND_FAILED: ("refunded", -1),
    **{name: ("lost", 1) for name in reference.TYPES if ".dispute_" in name},
}
"""The amount of its payment that an event changes, and in which direction."""


def _sensitive_records(payment: Payment, trail: list[dict[str, Any]]) -> list[str]:
    """Return sensitive data in the records, and any text that a person wrote."""
    facts, text = payment.facts, json.dumps(trail)
    by_staff = [*facts.acknowledged.values(), *((facts.decision,) if facts.decision else ()), *payment.requests]
    notes = {*(action.note for action in by_staff), *(request.reason for request in payment.requests)}
    notes |= {facts.withdrawn.name, facts.withdrawn.email} if facts.withdrawn else set()
    notes -= {None, ""}
    matches = [*find_sensitive(text), *(note for note in notes if json.dumps(note) in text)]
    return [f"{payment.payment_id}: a record contains {match}" for match in matches]


def _settled(payment: Payment) -> int:
    return payment.facts.settled.amount if payment.facts.settled else 0


def _plan(snapshot: Snapshot, plan: Plan) -> list[str]:
    """Check that a plan has the part of each of its payments, and that its own records are complete."""
    problems = []
    own = [payment for payment in snapshot.payments.values() if payment.plan == plan.plan_id]
    parts = {payment.payment_id: part for payment in own if (part := plan_parts.part_of(payment))}
    if plan.parts != parts:
        problems.append(f"{plan.plan_id} has the parts {sorted(plan.parts)}, and its payments lead to {sorted(parts)}")
    if broken := audit.verify(plan.plan_id, snapshot.records.get(plan.plan_id, []), plan.records, plan.audit_head):
        problems.append(f"{plan.plan_id}: {broken}")
    paid = [seq for payment in own if _is_paid(payment) for seq in payment.covers]
    problems += [f"{plan.plan_id} was paid for installment {seq} twice" for seq in {*paid} if paid.count(seq) > 1]
    return problems


def _is_paid(payment: Payment) -> bool:
    return _settled(payment) > payments.refunded_amount(payment.facts)


def _standing(snapshot: Snapshot, payment: Payment) -> list[str]:
    item = snapshot.enrollments.get((payment.user_id, payment.product))
    if payment.plan:
        plan = snapshot.plans.get(payment.plan)
        if plan is None:
            return [f"{payment.payment_id} names {payment.plan}, which does not exist"]
        standing, attempt = plan.standing, plan.attempt
    else:
        standing, attempt = enrollment.standing_of(payment), payment.attempt
    if item is None or item.standings.get(payment.grantor) != (standing if standing.counts else None):
        return [f"{payment.payment_id} is {payment.status}, but its enrollment has another standing"]
    return [f"{payment.user_id}: the attempt counter is too low"] if item.attempt < attempt else []


def _pointers(snapshot: Snapshot, payment: Payment) -> list[str]:
    charges = [key for key, charge in payment.facts.charges.items() if charge.status == "succeeded"]
    names = {payment.stripe_object_id, *charges, *([payment.intent] if payment.intent else [])}
    pointers = {name: snapshot.pointers.get(name) for name in names}
    return [
        f"{name} does not lead to {payment.payment_id}"
        for name, pointer in pointers.items()
        if pointer is None or pointer.payment_id != payment.payment_id
    ]


def _progress(snapshot: Snapshot, user: str, track: str, item: Enrollment) -> list[str]:
    """Check that progress exists once access was granted, and is unlocked exactly while the student is enrolled."""
    projects = catalog.tracks()[track].projects
    progress = [snapshot.entries.get((user, keys.project_sort_key(track, project.project))) for project in projects]
    if item.granted != all(progress) or item.granted != any(progress):
        return [f"{user} was {'' if item.granted else 'never '}granted access to {track}, with progress {progress}"]
    unlocked = [bool(entry and entry["unlocked"]["BOOL"]) for entry in progress]
    if any(unlocked) != (item.status == "ENROLLED"):
        return [f"{user} is {item.status} in {track}, with projects unlocked: {unlocked}"]
    return []


# --- when nothing is in progress ---


def violations_when_idle(snapshot: Snapshot) -> list[str]:
    """Return all violations, for a moment when every event has been delivered and no refund is unfinished."""
    violations = violations_at_any_time(snapshot) + _money(snapshot) + payable_violations(snapshot)
    violations += _requests(snapshot)
    grants: dict[tuple[str, str], list[str | None]] = defaultdict(list)
    for payment in snapshot.payments.values():
        status, standing = _expected(snapshot, payment)
        if payment.status != status:
            violations.append(f"{payment.payment_id} is {payment.status}, but {status} by Stripe's objects")
        if payment.plan is None:
            grants[payment.user_id, payment.product].append(standing)
    for plan in snapshot.plans.values():
        for product in {plan.product, *plan.tracks}:
            grants[plan.user_id, product].append(_expected_of_plan(snapshot, plan))
    for key, standings in grants.items():
        expected = next((s for s in ("ENROLLED", "SUSPENDED", "PENDING", "WITHDRAWN") if s in standings), None)
        if key in snapshot.enrollments and snapshot.enrollments[key].status != expected:
            status = snapshot.enrollments[key].status
            violations.append(f"{key} is {status}, but {expected} by Stripe's objects")
    return violations + _attention(snapshot)


def _objects_of(snapshot: Snapshot, payment: Payment) -> tuple[Object | None, Object | None]:
    """Return a payment's session and intent."""
    if payment.kind == "intent":
        return None, snapshot.objects["payment_intent"][payment.stripe_object_id]
    session = snapshot.objects["checkout.session"][payment.stripe_object_id]
    return session, snapshot.objects.get("payment_intent", {}).get(session["payment_intent"] or "")


def _amounts(snapshot: Snapshot, intent: Object | None) -> dict[str, int]:
    """Return the amounts that Stripe received, refunded and lost to disputes for an intent."""
    if intent is None:
        return {"settled": 0, "refunded": 0, "lost": 0}
    refunds = [r for r in snapshot.at_stripe("refund") if r["payment_intent"] == intent["id"]]
    disputes = [d for d in snapshot.at_stripe("dispute") if d["payment_intent"] == intent["id"]]
    lost = sum(d["amount"] for d in disputes if d["status"] == "lost")
    lost -= sum(move["amount"] for d in disputes if d["status"] == "prevented" for move in d["balance_transactions"])
    return {
        "settled": intent["amount_received"] if intent["status"] == "succeeded" else 0,
        "refunded": sum(r["amount"] for r in refunds if r["status"] in REFUNDED_STATUSES),
        "lost": lost,
    }


def _expected(snapshot: Snapshot, payment: Payment) -> tuple[str, str | None]:
    """Return a payment's status by Stripe's objects, and the enrollment status that this payment alone implies."""
    session, intent = _objects_of(snapshot, payment)
    amounts = _amounts(snapshot, intent)
    free = session is not None and session["payment_status"] == "no_payment_required" and session["status"] != "open"
    if not (amounts["settled"] or free):
        status = unsettled_status(session, intent)
        return status, "PENDING" if status in payments.OPEN_STATUSES else None
    currency = (intent or session or {})["currency"]
    status = "REFUNDED" if amounts["settled"] and amounts["refunded"] >= amounts["settled"] else "SUCCEEDED"
    is_due = (amounts["settled"], currency) == (payment.price.amount, payment.price.currency) or payment.facts.accepted
    disputes = [d for d in snapshot.at_stripe("dispute") if intent and d["payment_intent"] == intent["id"]]
    lost = [d for d in disputes if d["status"] in ("lost", "prevented")]
    revoked = payment.facts.decision is not None and payment.facts.decision.decision == "revoke"
    if status == "SUCCEEDED" and is_due and not lost and not revoked and not payment.facts.withdrawn:
        return status, "ENROLLED"
    return status, "WITHDRAWN" if is_due else None


def _expected_of_plan(snapshot: Snapshot, plan: Plan) -> str | None:
    """Return the enrollment status that a plan alone implies by Stripe's objects.

    An installment that Stripe has not received may have suspended it once its grace can have ended. One that a dispute
    took may have suspended it at once. Once staff have continued it after a refund, the refund takes nothing.
    """
    own = [payment for payment in snapshot.payments.values() if payment.plan == plan.plan_id]
    first = [_expected(snapshot, payment)[1] for payment in own if 1 in payment.covers]
    decisions = {decision.decision for decision in plan.facts.decisions.values()}
    if decisions & {"withdraw", "close"} and {"ENROLLED", "WITHDRAWN"} & {*first}:
        return "WITHDRAWN"
    if "continue" in decisions and "WITHDRAWN" in first:
        first = ["ENROLLED"]
    if plan.status == "SUSPENDED" and any(_is_lost(snapshot, payment) for payment in own):
        return "SUSPENDED"
    if "ENROLLED" in first and plan.status == "SUSPENDED" and _may_be_suspended(snapshot, plan, own):
        return "SUSPENDED"
    return next((status for status in ("ENROLLED", "PENDING", "WITHDRAWN") if status in first), None)


def _is_lost(snapshot: Snapshot, payment: Payment) -> bool:
    """Whether Stripe has received a payment and lost some of it to a dispute."""
    amounts = _amounts(snapshot, _objects_of(snapshot, payment)[1])
    return amounts["settled"] > 0 and amounts["lost"] > 0


def _may_be_suspended(snapshot: Snapshot, plan: Plan, own: list[Payment]) -> bool:
    """Whether the grace of the first installment that Stripe has not received has ended, as far as time was observed.

    A month has 28 days at least.
    """
    paid = [payment for payment in own if _expected(snapshot, payment)[1] == "ENROLLED"]
    covered = {seq for payment in paid for seq in payment.covers}
    unpaid = next((seq for seq in plan.terms.seqs if seq not in covered), None)
    if unpaid is None:
        return False
    first = min(payment.facts.settled.at for payment in paid if payment.facts.settled and 1 in payment.covers)
    return plan.facts.observed >= first + (28 * (unpaid - 1) + plan.terms.grace_days - 1) * 86_400


def unsettled_status(session: Object | None, intent: Object | None) -> str:
    """Return the status of a payment without settled money, by its session (None without one) and its intent."""
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


def _money(snapshot: Snapshot) -> list[str]:
    """Check that the amounts of each payment, and their sum, match Stripe, and that no settled object is unknown."""
    violations, our_sum, stripe_sum = [], 0, 0
    names: set[str | None] = set()
    for payment in snapshot.payments.values():
        _, intent = _objects_of(snapshot, payment)
        amounts = _amounts(snapshot, intent)
        stored = {"settled": _settled(payment), "refunded": payments.refunded_amount(payment.facts)}
        stored["lost"] = payments.lost_amount(payment.facts)
        if stored != amounts:
            violations.append(f"{payment.payment_id} has {stored}, but Stripe has {amounts}")
        our_sum += stored["settled"] - stored["refunded"] - stored["lost"]
        names |= {payment.intent, payment.stripe_object_id, *payment.facts.claims}
    claims = {name for payment in snapshot.payments.values() for name in payment.facts.claims}
    for intent in snapshot.ours("payment_intent"):
        amounts = _amounts(snapshot, intent)
        if amounts["settled"] and intent["id"] not in names:
            violations.append(f"{intent['id']} settled, but no payment refers to it")
        if intent["id"] not in claims:
            stripe_sum += amounts["settled"] - amounts["refunded"] - amounts["lost"]
    if our_sum != stripe_sum:
        violations.append(f"our tables add up to {our_sum}, but Stripe has {stripe_sum}")
    return violations


def payable_violations(snapshot: Snapshot) -> list[str]:
    """Check that each student has at most one Stripe object per track that can still be paid."""
    of_sessions = {s["payment_intent"] for s in snapshot.at_stripe("checkout.session")}
    sessions = [s for s in snapshot.ours("checkout.session") if s["status"] == "open"]
    intents = [i for i in snapshot.ours("payment_intent") if i["status"] in PAYABLE and i["id"] not in of_sessions]
    names = [object_["metadata"] for object_ in [*sessions, *intents]]
    counts = Counter((one["user_id"], one.get("track") or one["membership"]) for one in names)
    return [f"{key} could pay {count} objects" for key, count in counts.items() if count > 1]


def _requests(snapshot: Snapshot) -> list[str]:
    """Check that refund requests and our refunds at Stripe match one to one, and that their states agree."""
    violations = []
    refunds_of: dict[str, list[Object]] = defaultdict(list)
    for refund in snapshot.at_stripe("refund"):
        if name := (refund.get("metadata") or {}).get("refund_request"):
            refunds_of[name].append(refund)
    requests = {request.id: request for payment in snapshot.payments.values() for request in payment.requests}
    violations += [f"{name} was refunded {len(r)} times" for name, r in refunds_of.items() if len(r) > 1]
    violations += [f"{name} was refunded, but is not stored" for name in refunds_of if name not in requests]
    for name, request in requests.items():
        status = refunds_of[name][0]["status"] if name in refunds_of else None
        if request.state == "submitting" or (status and request.state != REQUEST_STATES[status]):
            violations.append(f"{name} is {request.state}, but its refund is {status}")
        if status is None and request.state in ("succeeded", "pending", "failed"):
            violations.append(f"{name} is {request.state}, but Stripe has no refund for it")
    undecided = {p.payment_id: sum(r.undecided for r in p.requests) for p in snapshot.payments.values()}
    return violations + [f"{name} has {count} undecided requests" for name, count in undecided.items() if count > 1]


def _attention(snapshot: Snapshot) -> list[str]:
    """Check that a payment that holds money without granting access has an attention reason on record."""
    violations = []
    for payment in snapshot.payments.values():
        item = snapshot.enrollments.get((payment.user_id, payment.product))
        double = bool(item and payment.grantor in item.doubled)
        revoked = payment.facts.decision is not None and payment.facts.decision.decision == "revoke"
        holds_money = payments.holds_funds(payment) and not revoked
        recorded = any("attention" in r["transition"] for r in snapshot.records.get(payment.payment_id, []))
        has_reason = recorded and attention.reasons(payment, double=double)
        grants = payments.grants_access(payment) or payment.plan in snapshot.plans
        if holds_money and not grants and not has_reason:
            violations.append(f"{payment.payment_id} holds money, grants nothing, and has no attention reason")
        if attention.unacknowledged(payment) and not snapshot.in_queue[payment.payment_id]:
            violations.append(f"{payment.payment_id} needs attention, but is not in the queue")
    for key, item in snapshot.enrollments.items():
        paying = [snapshot.payments[name] for name in item.standings if not is_plan(name)]
        paying = [payment for payment in paying if payments.holds_funds(payment) and not payment.facts.withdrawn]
        noticed = [snapshot.in_queue[p.payment_id] or "double" in p.facts.acknowledged for p in paying]
        if len(paying) > 1 and not any(noticed):
            violations.append(f"{key} paid twice, and no payment is in the queue")
    return violations
