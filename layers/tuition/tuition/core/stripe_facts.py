"""What Stripe has told us about one payment, and how two tellings become one.

`merge` is commutative, associative and idempotent: events arrive in any order, twice or late, and the same
facts remain. Nothing here decides what the facts mean; `tuition.core.payment` does.

Stripe's objects are read as plain dicts, of webhooks and of answers alike. A shape that is not Stripe's raises
`EventUnusable`: such an event is for a person.

Sources: https://docs.stripe.com/payments/paymentintents/lifecycle, https://docs.stripe.com/api/refunds/object,
https://docs.stripe.com/api/disputes/object, https://docs.stripe.com/api/checkout/sessions/object
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, cast

from tuition.core.errors import EventUnusable
from tuition.core.money import Money

Kind = Literal["intent", "checkout"]
PhaseName = Literal["created", "requires_action", "processing", "failed"]

PHASE_ORDER: Mapping[PhaseName, int] = {"created": 0, "requires_action": 1, "processing": 2, "failed": 3}
"""Of two phases told in one second this one counts, until a pull says which was the last."""

ID_LENGTH = 255
TEXT_LENGTH = 5000
"""Longer than any text of Stripe's that is read here."""

GONE = "gone"
"""Why an object that Stripe no longer knows is closed."""

LARGEST = 10**15
"""Minor units beyond any amount of Stripe's."""
LATEST = 10**11
"""Epoch seconds beyond any time of Stripe's (the year 5138), and still a time that can be written."""

PULLED = 10
"""The order of a pull within its second: above every event's."""

CHARGE_RANK = {"pending": 0, "failed": 1, "succeeded": 2}
REFUND_RANK = {"requires_action": 0, "pending": 1, "succeeded": 2, "canceled": 3, "failed": 4}


@dataclass(frozen=True)
class Settled:
    """The money is in: the amount received in minor units, and when (epoch seconds) Stripe first said so."""

    amount: int
    currency: str
    at: int

    @property
    def money(self) -> Money:
        """The amount received, with its currency."""
        return Money(self.amount, self.currency)


@dataclass(frozen=True)
class Closed:
    """The object can never be paid again. `by` is the kind of object that said so; `at` epoch seconds."""

    at: int
    by: Kind
    reason: str


@dataclass(frozen=True)
class Phase:
    """Where an open payment is: only for showing, and for no decision that is final.

    `at` is the event's `created` (epoch seconds), `order` breaks ties within that second.
    """

    at: int
    order: int
    name: PhaseName
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Charge:
    """One try to pay. `type`, `brand` and `last4` are all that is kept of a payment method."""

    status: str
    amount: int
    created: int
    type: str | None = None
    brand: str | None = None
    last4: str | None = None
    receipt_url: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Refund:
    """One refund at Stripe; `request` is the id of our refund request when it was made from one."""

    status: str
    amount: int
    created: int
    reason: str | None = None
    request: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Dispute:
    """One dispute as it was pulled on the payment's version `stamp`; `withdrawn` is what it took from us so far."""

    stamp: int
    status: str
    amount: int
    created: int
    reason: str
    withdrawn: int = 0
    due_by: int | None = None


@dataclass(frozen=True)
class Decision:
    """What staff decided about the standing, on which version: the newest counts."""

    version: int
    decision: Literal["accept", "revoke"]
    who: str
    note: str


@dataclass(frozen=True)
class Acknowledgement:
    """A person has dealt with a cause of attention as it stood (`mark`)."""

    version: int
    mark: str
    who: str
    note: str


@dataclass(frozen=True)
class Facts:
    """All that is known of one payment.

    `claims` are settled objects that name it and are not its own. `accepted` remembers that staff accepted the
    amount once, whatever they decided later. `rebuilt`: our item was missing. `erased`: personal fields stay gone.
    """

    settled: Settled | None = None
    closed: Closed | None = None
    phase: Phase | None = None
    intent: str | None = None
    customer: str | None = None
    charges: Mapping[str, Charge] = field(default_factory=dict)
    refunds: Mapping[str, Refund] = field(default_factory=dict)
    disputes: Mapping[str, Dispute] = field(default_factory=dict)
    claims: Mapping[str, Settled] = field(default_factory=dict)
    decision: Decision | None = None
    accepted: bool = False
    acknowledged: Mapping[str, Acknowledgement] = field(default_factory=dict)
    rebuilt: bool = False
    erased: bool = False

    @property
    def gone(self) -> bool:
        """Stripe did not know the object, and has said nothing else of its closing."""
        return self.closed is not None and self.closed.reason == GONE

    def to_json(self) -> dict[str, Any]:
        """A dict for JSON, without what is not known."""
        return {name: value for name, value in asdict(self).items() if value not in (None, {}, False)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Facts":
        """The facts that `to_json` wrote."""

        def one(name: str, kind: Callable[..., Any]) -> Any:
            return kind(**stored[name]) if name in stored else None

        def many(name: str, kind: Callable[..., Any]) -> dict[str, Any]:
            return {key: kind(**value) for key, value in stored.get(name, {}).items()}

        return cls(
            settled=one("settled", Settled),
            closed=one("closed", Closed),
            phase=one("phase", Phase),
            intent=stored.get("intent"),
            customer=stored.get("customer"),
            charges=many("charges", Charge),
            refunds=many("refunds", Refund),
            disputes=many("disputes", Dispute),
            claims=many("claims", Settled),
            decision=one("decision", Decision),
            accepted=stored.get("accepted", False),
            acknowledged=many("acknowledged", Acknowledgement),
            rebuilt=stored.get("rebuilt", False),
            erased=stored.get("erased", False),
        )


NOTHING_KNOWN = Facts()

# --- merging ---


def merge(a: Facts, b: Facts) -> Facts:
    """Both tellings as one. Commutative, associative, idempotent."""
    merged = Facts(
        settled=_either(a.settled, b.settled, _join_settled),
        closed=_either(a.closed, b.closed, lambda x, y: min(x, y, key=_closed_key)),
        phase=_either(a.phase, b.phase, lambda x, y: max(x, y, key=_phase_key)),
        intent=_either(a.intent, b.intent, min),
        customer=_either(a.customer, b.customer, max),
        charges=_each(a.charges, b.charges, _join_by_rank(CHARGE_RANK)),
        refunds=_each(a.refunds, b.refunds, _join_by_rank(REFUND_RANK)),
        disputes=_each(a.disputes, b.disputes, lambda x, y: max(x, y, key=_dispute_key)),
        claims=_each(a.claims, b.claims, _join_settled),
        decision=_either(a.decision, b.decision, lambda x, y: max(x, y, key=_decision_key)),
        accepted=a.accepted or b.accepted,
        acknowledged=_each(a.acknowledged, b.acknowledged, lambda x, y: max(x, y, key=_acknowledgement_key)),
        rebuilt=a.rebuilt or b.rebuilt,
        erased=a.erased or b.erased,
    )
    return _without_personal(merged) if merged.erased else merged


def _either[T](a: T | None, b: T | None, join: Callable[[T, T], T]) -> T | None:
    if a is None or b is None:
        return b if a is None else a
    return join(a, b)


def _each[T](a: Mapping[str, T], b: Mapping[str, T], join: Callable[[T, T], T]) -> dict[str, T]:
    return {key: cast(T, _either(a.get(key), b.get(key), join)) for key in sorted({*a, *b})}


def _join_settled(a: Settled, b: Settled) -> Settled:
    return replace(max(a, b, key=lambda s: (s.amount, s.currency)), at=min(a.at, b.at))


def _closed_key(closed: Closed) -> tuple[bool, int, str, str]:
    """The first; but what Stripe said of the object itself before that it was gone."""
    return closed.reason == GONE, closed.at, closed.by, closed.reason


def _phase_key(phase: Phase) -> tuple[int, int, str, str, str]:
    return phase.at, phase.order, phase.name, phase.code or "", phase.message or ""


def _dispute_key(d: Dispute) -> tuple[int, str, int, int, int, str, int]:
    return d.stamp, d.status, d.withdrawn, d.amount, d.created, d.reason, d.due_by or 0


def _decision_key(decision: Decision) -> tuple[int, str, str, str]:
    return decision.version, decision.decision, decision.note, decision.who


def _acknowledgement_key(known: Acknowledgement) -> tuple[int, str, str, str]:
    return known.version, known.mark, known.who, known.note


def _join_by_rank[T](ranks: Mapping[str, int]) -> Callable[[T, T], T]:
    """The higher status as a whole; of two with the same status each field that is known, the larger of two."""

    def join(a: T, b: T) -> T:
        rank_a, rank_b = (ranks.get(getattr(x, "status"), -1) for x in (a, b))  # noqa: B009
        if rank_a != rank_b:
            return a if rank_a > rank_b else b
        known = {f.name: _either(getattr(a, f.name), getattr(b, f.name), max) for f in fields(cast(Any, a))}
        return cast(T, replace(cast(Any, a), **known))

    return join


def _without_personal(facts: Facts) -> Facts:
    """Erased is erased: a late event must not bring a receipt or a card's digits back."""
    bare = {key: replace(c, brand=None, last4=None, receipt_url=None) for key, c in facts.charges.items()}
    return replace(facts, charges=bare)


# --- reading Stripe's objects ---


def of_intent(intent: Mapping[str, Any], at: int, order: int | None = None) -> Facts:
    """The facts of a PaymentIntent seen at `at`; `order` is given by a pull (`pull_stamp`)."""
    status = text(intent, "status")
    settled = closed = phase = None
    if status == "succeeded":
        settled = Settled(number(intent, "amount_received"), _currency(intent), at)
    elif status == "canceled":
        when = moment(intent, "canceled_at") if intent.get("canceled_at") is not None else at
        closed = Closed(when, "intent", maybe_text(intent, "cancellation_reason") or "canceled")
    else:
        phase = _phase_of_intent(intent, status, at, order)
    latest = intent.get("latest_charge")
    charges = of_charge(latest).charges if isinstance(latest, Mapping) else {}
    return Facts(settled, closed, phase, ident(intent, "id"), maybe_id(intent, "customer"), charges)


def _phase_of_intent(intent: Mapping[str, Any], status: str, at: int, order: int | None) -> Phase:
    error = intent.get("last_payment_error")
    name: PhaseName = "created"
    code = message = None
    if status in ("processing", "requires_capture"):
        name = "processing"
    elif status == "requires_action":
        name = "requires_action"
    elif isinstance(error, Mapping):
        name = "failed"
        code = maybe_text(error, "decline_code") or maybe_text(error, "code")
        message = maybe_text(error, "message")
    return Phase(at, PHASE_ORDER[name] if order is None else order, name, code, message)


def of_session(session: Mapping[str, Any], at: int, order: int | None = None) -> Facts:
    """The facts of a Checkout Session, and of its PaymentIntent where that is expanded."""
    paid = text(session, "payment_status")
    status = maybe_text(session, "status")
    intent = session.get("payment_intent")
    inner = Facts(intent=maybe_id(session, "payment_intent"))
    if isinstance(intent, Mapping):
        inner = replace(of_intent(intent, at, order), closed=None)
    settled = closed = None
    phase = inner.phase
    if paid in ("paid", "no_payment_required") and status != "open":
        settled = Settled(number(session, "amount_total"), _currency(session), at)
    elif status == "expired":
        closed = Closed(at, "checkout", "expired")
    elif status == "complete" and isinstance(intent, Mapping) and inner.settled is None and _is_dead(intent):
        closed = Closed(at, "checkout", "payment_failed")
    elif phase is None:
        name: PhaseName = "processing" if status == "complete" else "created"
        phase = Phase(at, PHASE_ORDER[name] if order is None else order, name)
    return merge(inner, Facts(settled, closed, phase, None, maybe_id(session, "customer")))


def of_gone(kind: Kind, at: int) -> Facts:
    """The facts of an object that Stripe does not know (test data were deleted): nobody can pay it."""
    return Facts(closed=Closed(at, kind, GONE))


def _is_dead(intent: Mapping[str, Any]) -> bool:
    """A complete session whose delayed payment failed: it can neither be paid again nor expired."""
    return intent.get("status") in ("requires_payment_method", "canceled")


def failed_session(session: Mapping[str, Any], at: int) -> Facts:
    """The facts of `checkout.session.async_payment_failed`."""
    return Facts(closed=Closed(at, "checkout", "payment_failed"), intent=maybe_id(session, "payment_intent"))


def of_charge(charge: Mapping[str, Any]) -> Facts:
    """The facts of a charge. Of its method: type, brand and last four, and nothing else that a card has."""
    details = charge.get("payment_method_details")
    type_ = maybe_text(details, "type") if isinstance(details, Mapping) else None
    method = details.get(type_) if isinstance(details, Mapping) and type_ else None
    method = method if isinstance(method, Mapping) else {}
    return Facts(
        intent=maybe_id(charge, "payment_intent"),
        charges={
            ident(charge, "id"): Charge(
                status=one_of(charge, "status", CHARGE_RANK),
                amount=number(charge, "amount"),
                created=moment(charge, "created"),
                type=type_,
                brand=maybe_text(method, "brand"),
                last4=maybe_text(method, "last4"),
                receipt_url=maybe_text(charge, "receipt_url"),
                code=_why_it_failed(charge),
            )
        },
    )


def _why_it_failed(charge: Mapping[str, Any]) -> str | None:
    """The bank's reason, which says more than `card_declined`: https://docs.stripe.com/declines/codes"""
    code, outcome = maybe_text(charge, "failure_code"), charge.get("outcome")
    reason = maybe_text(outcome, "reason") if isinstance(outcome, Mapping) else None
    return (reason or code) if charge.get("status") == "failed" else None


def of_refund(refund: Mapping[str, Any]) -> Facts:
    """The facts of a refund. Raises `EventUnusable` for a shape that is not Stripe's."""
    metadata = refund.get("metadata")
    return Facts(
        intent=maybe_id(refund, "payment_intent"),
        refunds={
            ident(refund, "id"): Refund(
                status=one_of(refund, "status", REFUND_RANK),
                amount=number(refund, "amount"),
                created=moment(refund, "created"),
                reason=maybe_text(refund, "reason"),
                request=maybe_text(metadata, "refund_request") if isinstance(metadata, Mapping) else None,
                failure=maybe_text(refund, "failure_reason"),
            )
        },
    )


def of_dispute(dispute: Mapping[str, Any], stamp: int) -> Facts:
    """The facts of a dispute pulled on version `stamp` of its payment."""
    moves = dispute.get("balance_transactions") or []
    evidence = dispute.get("evidence_details")
    due_by = evidence.get("due_by") if isinstance(evidence, Mapping) else None
    return Facts(
        intent=maybe_id(dispute, "payment_intent"),
        disputes={
            ident(dispute, "id"): Dispute(
                stamp=stamp,
                status=text(dispute, "status"),
                amount=number(dispute, "amount"),
                created=moment(dispute, "created"),
                reason=text(dispute, "reason"),
                withdrawn=-sum(number(move, "amount", least=-LARGEST) for move in moves),
                due_by=due_by if type(due_by) is int and 0 < due_by < LATEST else None,
            )
        },
    )


def pull_stamp(stored: Phase | None, date: int) -> tuple[int, int]:
    """The `at` and `order` of a pull: just after the larger of what is stored and Stripe's `Date`."""
    if stored is None or stored.at < date:
        return date, PULLED
    return stored.at, max(stored.order + 1, PULLED)


def text(obj: Mapping[str, Any], name: str) -> str:
    """A text that is not empty, of at most `TEXT_LENGTH` letters. Raises `EventUnusable`."""
    value = obj.get(name)
    if isinstance(value, str) and value and len(value) <= TEXT_LENGTH and _is_unicode(value):
        return value
    raise EventUnusable(f"{obj.get('object', 'object')}.{name} should be a text, and is a {type(value).__name__}")


def _is_unicode(value: str) -> bool:
    """JSON can spell half a surrogate pair, which no table and no log can hold."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def maybe_text(obj: Mapping[str, Any], name: str) -> str | None:
    """A text, or None where it is empty or missing. Raises `EventUnusable`."""
    return None if obj.get(name) in (None, "") else text(obj, name)


def ident(obj: Mapping[str, Any], name: str) -> str:
    """An id: short and plain enough to be a key of a table."""
    value = text(obj, name)
    if len(value) <= ID_LENGTH and value.isascii():
        return value
    raise EventUnusable(f"{obj.get('object', 'object')}.{name} should be an id, and is not one")


def moment(obj: Mapping[str, Any], name: str) -> int:
    """A time in epoch seconds."""
    value = number(obj, name)
    if 0 <= value < LATEST:
        return value
    raise EventUnusable(f"{obj.get('object', 'object')}.{name} should be a time in seconds")


def maybe_id(obj: Mapping[str, Any], name: str) -> str | None:
    """The id in a field that Stripe may have expanded."""
    value = obj.get(name)
    if value in (None, ""):
        return None
    return ident(value, "id") if isinstance(value, Mapping) else ident(obj, name)


def number(obj: Mapping[str, Any], name: str, *, least: int = 0) -> int:
    """A whole number; none is below 0 but what a balance moves by."""
    value = obj.get(name)
    if type(value) is int and least <= value < LARGEST:
        return value
    found = "is too small or too large" if type(value) is int else f"is a {type(value).__name__}"
    raise EventUnusable(f"{obj.get('object', 'object')}.{name} should be an integer, and {found}")


def _currency(obj: Mapping[str, Any]) -> str:
    """As Stripe writes it: lower case."""
    value = text(obj, "currency")
    if value == value.lower():
        return value
    raise EventUnusable(f"{obj.get('object', 'object')}.currency should be in lower case")


def one_of(obj: Mapping[str, Any], name: str, known: Mapping[str, int]) -> str:
    """A text that is one of those known. Raises `EventUnusable`."""
    value = text(obj, name)
    if value not in known:
        raise EventUnusable(f"{obj.get('object', 'object')}.{name} is {value[:40]!r}, which we do not know")
    return value
