"""Compare the movements of Stripe's balance with our payments.

A movement is one balance transaction whose source is a charge, a refund or a dispute. It is compared with the payment
that its source belongs to, in the currency of the charge: `amount` and the fees of a balance transaction are in the
settlement currency, which may be another one.

Sources: https://docs.stripe.com/api/balance_transactions/object, https://docs.stripe.com/reports/balance-transaction-types
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from tuition.core import timestamps
from tuition.core.facts import Balance, Settled
from tuition.core.payment import Payment
from tuition.core.stripe_json import MAX_AMOUNT, integer, object_id, optional_id, optional_text, text, timestamp

Kind = Literal["charge", "refund", "dispute", "standing", "chain", "unconfirmed"]
MAX_DIFFERENCES = 200
"""The newest by day. A report is one item of at most 400 KB."""
MAX_IDS = 20
"""Ids that a difference names."""
MAX_PROBLEM_LENGTH = 200
"""In characters, of a problem that is stored on a payment: it is also a fingerprint."""


@dataclass(frozen=True)
class Movement:
    """One balance transaction of a charge, refund or dispute.

    `amount` is the source's, in minor units of `currency`, the charge's currency; below zero if it left the balance. A
    charge that has not succeeded counts as 0. `balance` is what it added to the balance, in the settlement currency.
    """

    transaction_id: str
    kind: Literal["charge", "refund", "dispute"]
    day: str
    source_id: str
    intent: str | None
    amount: int
    currency: str
    created: int
    balance: Balance


@dataclass(frozen=True)
class Row:
    """One movement as Stripe and as our payment has it. `payment_id` is None if it belongs to no payment."""

    kind: Kind
    day: str
    currency: str | None
    ours: int
    stripe: int
    ids: tuple[str, ...]
    payment_id: str | None = None

    @property
    def differs(self) -> bool:
        """Whether the two amounts differ."""
        return self.ours != self.stripe


@dataclass(frozen=True)
class Sum:
    """The movements of one kind, UTC day and currency, in minor units. `ids` are of the rows that differ."""

    kind: Kind
    day: str
    currency: str | None
    ours: int
    stripe: int
    ids: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as the API and the stored report have it."""
        return {**asdict(self), "ids": list(self.ids)}


def movement(transaction: Mapping[str, Any]) -> Movement | None:
    """Read a balance transaction with its source expanded; None if the source is none of a payment's.

    Raises `EventUnusable` for a shape that Stripe does not have.
    """
    source = transaction.get("source")
    kind = source.get("object") if isinstance(source, Mapping) else None
    if not isinstance(source, Mapping) or kind not in ("charge", "refund", "dispute"):
        return None
    created = timestamp(transaction, "created")
    moved = integer(transaction, "amount", minimum=-MAX_AMOUNT)
    amount = integer(source, "amount_captured" if kind == "charge" else "amount")
    if kind == "charge" and optional_text(source, "status") != "succeeded":
        amount = 0
    return Movement(
        transaction_id=object_id(transaction, "id"),
        kind=cast(Literal["charge", "refund", "dispute"], kind),
        day=timestamps.iso(created)[:10],
        source_id=object_id(source, "id"),
        intent=optional_id(source, "payment_intent"),
        amount=amount if moved >= 0 else -amount,
        currency=text(source, "currency"),
        created=created,
        balance=Balance(
            integer(transaction, "fee", minimum=-MAX_AMOUNT),
            integer(transaction, "net", minimum=-MAX_AMOUNT),
            text(transaction, "currency"),
        ),
    )


def is_own_charge(payment: Payment, moved: Movement) -> bool:
    """Whether a movement is of the charge that settled the payment."""
    if moved.kind != "charge" or moved.amount <= 0 or payment.facts.settled is None:
        return False
    charge = payment.facts.charges.get(moved.source_id)
    if charge is not None:
        return charge.status == "succeeded"
    return moved.intent is not None and moved.intent == payment.intent


def our_amount(payment: Payment | None, moved: Movement) -> int:
    """Return what our payment has of a movement, in minor units of the movement's currency; 0 if it knows nothing.

    A claim explains what returns of its own money: it raises attention itself, and our facts hold no refund of it.
    """
    if payment is None:
        return 0
    facts, sign = payment.facts, 1 if moved.amount >= 0 else -1
    claim = facts.claims.get(moved.intent or "")
    if claim and moved.kind != "charge" and claim.currency == moved.currency:
        return sign * min(abs(moved.amount), claim.amount)
    if moved.kind == "charge":
        settled = facts.settled if is_own_charge(payment, moved) else claim
        return sign * settled.amount if settled and settled.currency == moved.currency else 0
    if facts.settled is None or facts.settled.currency != moved.currency:
        return 0
    if moved.kind == "refund":
        refund = facts.refunds.get(moved.source_id)
        has_returned = refund is not None and refund.status in ("failed", "canceled")
        return sign * refund.amount if refund and (sign < 0 or has_returned) else 0
    dispute = facts.disputes.get(moved.source_id)
    is_reinstated = dispute is not None and (dispute.status == "won" or dispute.withdrawn <= 0)
    return sign * dispute.amount if dispute and (sign < 0 or is_reinstated) else 0


def row(payment: Payment | None, moved: Movement) -> Row:
    """Return a movement beside what our payment has of it."""
    ids = (*((payment.payment_id,) if payment else ()), moved.source_id)
    payment_id = payment.payment_id if payment else None
    ours = our_amount(payment, moved)
    return Row(moved.kind, moved.day, moved.currency, ours, moved.amount, ids, payment_id)


def problem(rows: Iterable[Row]) -> str:
    """Return how the rows of one payment differ, in a form that stays the same while they do; empty if they agree."""
    texts = [f"{one.ids[-1]}: ours {one.ours}, Stripe's {one.stripe} {one.currency}" for one in rows if one.differs]
    return "; ".join(sorted(texts))[:MAX_PROBLEM_LENGTH]


def missing(payment: Payment, sources: Collection[str], first: int, last: int, *, has_charge: bool) -> list[Row]:
    """Return what a payment has from `first` until before `last` (epoch seconds) and none of these sources shows.

    `has_charge` says that the charge that settled it was shown. The settled
    amount is named by the payment's object at Stripe, because an event that was forged names no charge.
    """
    facts = payment.facts
    if facts.settled is None or not facts.settled.amount:
        return []
    currency, rows = facts.settled.currency, []

    def add(kind: Kind, at: int, amount: int, source_id: str) -> None:
        if first <= at < last and source_id not in sources:
            day = timestamps.iso(at)[:10]
            rows.append(Row(kind, day, currency, amount, 0, (payment.payment_id, source_id), payment.payment_id))

    if not has_charge:
        add("charge", facts.settled.at, facts.settled.amount, payment.stripe_object_id)
    for refund_id, refund in facts.refunds.items():
        if refund.status == "succeeded":
            add("refund", refund.created, -refund.amount, refund_id)
    for dispute_id, dispute in facts.disputes.items():
        if dispute.status == "lost" or dispute.withdrawn > 0:
            add("dispute", dispute.created, -dispute.amount, dispute_id)
    return rows


def sums(rows: Iterable[Row]) -> list[Sum]:
    """Add up the rows by kind, day and currency."""
    groups: dict[tuple[Kind, str, str | None], list[Row]] = defaultdict(list)
    for one in rows:
        groups[one.kind, one.day, one.currency].append(one)
    return [
        Sum(
            *key,
            ours=sum(one.ours for one in group),
            stripe=sum(one.stripe for one in group),
            ids=tuple(dict.fromkeys(stripe_id for one in group if one.differs for stripe_id in one.ids))[:MAX_IDS],
        )
        for key, group in sorted(groups.items(), key=lambda pair: (pair[0][1], pair[0][0], pair[0][2] or ""))
    ]


def confirmed_by(payment: Payment, moved: Movement) -> Settled | None:
    """Return the money that a movement confirms: that of a charge of the intent that the payment is bound to."""
    if is_own_charge(payment, moved) and moved.intent == payment.stripe_object_id:
        return Settled(moved.amount, moved.currency, moved.created)
    return None
