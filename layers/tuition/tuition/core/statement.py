"""The lines of the accountant's monthly statement and of the tie-out by payout, and their sums.

A line is one balance transaction of Stripe's, which is one movement of the school's balance, with the payment that it
belongs to. No line is ever left out: one without a payment has a kind of its own. All amounts are in minor units, and
signed: below zero if they left the balance.

Sources: https://docs.stripe.com/api/balance_transactions/object, https://docs.stripe.com/reports/balance-transaction-types,
https://docs.stripe.com/payouts/reconciliation
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, cast

from tuition.core import books, timestamps
from tuition.core.books import Movement
from tuition.core.errors import EventUnusable
from tuition.core.payment import Payment
from tuition.core.refs import PlanKind
from tuition.core.stripe_json import MAX_AMOUNT, integer, object_id, optional_id, optional_text, text, timestamp

LineKind = Literal[
    "charge",
    "refund",
    "dispute",
    "unknown_charge",
    "unknown_refund",
    "unknown_dispute",
    "stripe_fee",
    "contribution",
    "adjustment",
    "payout",
    "other",
]
OF_PAYMENTS: tuple[LineKind, ...] = ("charge", "refund", "dispute")
UNKNOWN: Mapping[str, LineKind] = {
    "charge": "unknown_charge",
    "refund": "unknown_refund",
    "dispute": "unknown_dispute",
}
"""The kind of a line whose source belongs to no payment: another app's, or one whose payment is missing here."""
KINDS_BY_TYPE: Mapping[str, LineKind] = {
    "stripe_fee": "stripe_fee",
    "stripe_fx_fee": "stripe_fee",
    "tax_fee": "stripe_fee",
    "contribution": "contribution",
    "adjustment": "adjustment",
    "payout": "payout",
    "payout_cancel": "payout",
    "payout_failure": "payout",
}
"""The kind of a line without a charge, refund or dispute, by the balance transaction's type. Every other is `other`."""

MAX_DESCRIPTION_LENGTH = 200
"""In characters. The rest is cut off."""


class Line(NamedTuple):
    """One balance transaction with its payment.

    `amount`, `fee` and `net` are in `currency`, the settlement currency. `source_amount` is the amount of the charge,
    refund or dispute in `source_currency`, and `our_amount` is what our payment has of it. `payout` is the payout that
    includes the transaction, if that is known, else the one that the transaction is about. `source` is the id of any
    other source, such as a transfer or a reserve. A payment of a plan has `plan_id`, `plan_kind`, and in `covers` the
    numbers of the installments that it pays.
    """

    transaction_id: str
    created_at: str
    available_at: str
    type: str
    kind: LineKind
    explained: bool
    currency: str
    amount: int
    fee: int
    net: int
    description: str = ""
    source_amount: int | None = None
    source_currency: str | None = None
    our_amount: int | None = None
    charge: str | None = None
    refund: str | None = None
    dispute: str | None = None
    payment_intent: str | None = None
    payout: str | None = None
    payment_id: str | None = None
    track: str | None = None
    paid_at: str | None = None
    source: str | None = None
    plan_id: str | None = None
    plan_kind: PlanKind | None = None
    covers: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as the API has it."""
        return {**self._asdict(), "covers": list(self.covers)}


@dataclass(frozen=True)
class Sum:
    """The lines of one kind and currency that are explained, or those that are not."""

    kind: LineKind
    currency: str
    explained: bool
    lines: int
    amount: int
    fee: int
    net: int

    def to_json(self) -> dict[str, Any]:
        """Return it as the API and the stored state have it."""
        return asdict(self)


@dataclass(frozen=True)
class PlanSum:
    """The lines of payments of one kind of plan, or of payments without a plan, in one currency.

    `net` = `settled` + `refunded` + `lost` + `fees`. The sums of a currency add up to the same amounts of its `Total`.
    """

    plan_kind: PlanKind | None
    currency: str
    lines: int = 0
    settled: int = 0
    refunded: int = 0
    lost: int = 0
    fees: int = 0
    net: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as the API and the stored state have it."""
        return asdict(self)


class Total(NamedTuple):
    """The changes of the balance in one currency.

    `net` = `settled` + `refunded` + `lost` + `fees` are the lines of payments. `balance_change` = `net` + `other` +
    `paid_out` are all lines. `lost` are disputes, less their money that has returned, also while they are undecided.
    """

    currency: str
    settled: int
    refunded: int
    lost: int
    fees: int
    net: int
    other: int
    paid_out: int
    balance_change: int

    def to_json(self) -> dict[str, Any]:
        """Return it as the API has it."""
        return self._asdict()


def movement(transaction: Mapping[str, Any]) -> Movement | None:
    """Return the movement of a payment, as the daily audit reads it; None if the source is another or is unreadable."""
    try:
        return books.movement(transaction)
    except EventUnusable:
        return None


def line(
    transaction: Mapping[str, Any], moved: Movement | None, payment: Payment | None, payout: str | None = None
) -> Line:
    """Return the line of a balance transaction, with its payment and the payout that includes it.

    `moved` is the transaction's `movement`. Raises `EventUnusable` if Stripe's amounts cannot be read.
    """
    source = transaction.get("source")
    obj: Mapping[str, Any] = source if isinstance(source, Mapping) else {}
    of, kind = obj.get("object"), _kind(transaction, obj, payment)
    ours = _our_amount(payment, moved) if payment and moved else None
    one = Line(
        transaction_id=object_id(transaction, "id"),
        created_at=timestamps.iso(timestamp(transaction, "created")),
        available_at=timestamps.iso(timestamp(transaction, "available_on")),
        type=text(transaction, "type"),
        kind=kind,
        explained=kind == "payout" or (moved is not None and ours == moved.amount),
        currency=text(transaction, "currency"),
        amount=integer(transaction, "amount", minimum=-MAX_AMOUNT),
        fee=integer(transaction, "fee", minimum=-MAX_AMOUNT),
        net=integer(transaction, "net", minimum=-MAX_AMOUNT),
        description=str(transaction.get("description") or "")[:MAX_DESCRIPTION_LENGTH],
        source_amount=moved.amount if moved else None,
        source_currency=moved.currency if moved else None,
        our_amount=ours,
        payout=payout or (_readable_id(transaction, "source") if kind == "payout" else None),
        charge=_readable_id(obj, "id" if of == "charge" else "charge"),
        refund=_readable_id(obj, "id") if of == "refund" else None,
        dispute=_readable_id(obj, "id") if of == "dispute" else None,
        payment_intent=_readable_id(obj, "payment_intent"),
        payment_id=payment.payment_id if payment else None,
        track=payment.product if payment else None,
        paid_at=payment.paid_at if payment else None,
        source=_readable_id(transaction, "source") if of not in UNKNOWN and kind != "payout" else None,
        plan_id=payment.plan if payment else None,
        plan_kind=payment.plan_kind if payment else None,
        covers=payment.covers if payment else (),
    )
    if one.amount - one.fee != one.net:
        raise EventUnusable(f"{one.transaction_id}: {one.amount} less the fee {one.fee} is not {one.net}")
    return one


def _our_amount(payment: Payment, moved: Movement) -> int:
    """Return what our payment has of a movement: 0 for the second of one source in one direction, as in the audit.

    The other one is known once the daily audit has listed it.
    """
    others = (one for one in books.stored_movements(payment) if one.transaction_id != moved.transaction_id)
    is_second = any(moved.transaction_id in row.ids for row in books.duplicates(payment, [*others, moved]))
    return 0 if is_second else books.our_amount(payment, moved)


def _kind(transaction: Mapping[str, Any], source: Mapping[str, Any], payment: Payment | None) -> LineKind:
    of = str(source.get("object"))
    if of in UNKNOWN:
        return cast(LineKind, of) if payment else UNKNOWN[of]
    return KINDS_BY_TYPE.get(str(transaction.get("type")), "other")


def _readable_id(source: Mapping[str, Any], name: str) -> str | None:
    """Return an id; None if it cannot be one, because an unreadable source never hides its line."""
    try:
        return optional_id(source, name)
    except EventUnusable:
        return None


def add(sums: Iterable[Sum], lines: Iterable[Line]) -> list[Sum]:
    """Return the sums with these lines added."""
    return merged([*sums, *(Sum(x.kind, x.currency, x.explained, 1, x.amount, x.fee, x.net) for x in lines)])


def merged(sums: Iterable[Sum]) -> list[Sum]:
    """Return one sum per currency, kind and explanation."""
    return _merged(sums, lambda one: (one.currency, one.kind, one.explained), ("lines", "amount", "fee", "net"))


def add_by_plan(sums: Iterable[PlanSum], lines: Iterable[Line]) -> list[PlanSum]:
    """Return the sums by kind of plan with these lines added. Lines that belong to no payment are left out."""
    new = (by_plan(one.plan_kind, one.currency, one.kind, one.amount, one.fee) for one in lines)
    return merged_by_plan([*sums, *(one for one in new if one)])


def by_plan(plan_kind: PlanKind | None, currency: str, kind: LineKind, amount: int, fee: int) -> PlanSum | None:
    """Return the sum of one line; None if it belongs to no payment."""
    if kind not in OF_PAYMENTS:
        return None
    settled, refunded, lost = (amount if kind == of else 0 for of in OF_PAYMENTS)
    return PlanSum(plan_kind, currency, 1, settled, refunded, lost, -fee, amount - fee)


def merged_by_plan(sums: Iterable[PlanSum]) -> list[PlanSum]:
    """Return one sum per currency and kind of plan."""
    numbers = ("lines", "settled", "refunded", "lost", "fees", "net")
    return _merged(sums, lambda one: (one.currency, one.plan_kind or ""), numbers)


def _merged[S: (Sum, PlanSum)](
    sums: Iterable[S], key: Callable[[S], tuple[Any, ...]], numbers: Sequence[str]
) -> list[S]:
    """Return one sum for each key, in their order. Its `numbers` are added up."""
    groups: dict[Any, S] = {}
    for one in sums:
        before = groups.get(key(one))
        if before:
            one = replace(before, **{name: getattr(before, name) + getattr(one, name) for name in numbers})
        groups[key(one)] = one
    return [groups[one] for one in sorted(groups)]


def totals(sums: Iterable[Sum]) -> list[Total]:
    """Return the total of each currency."""
    by_currency: dict[str, list[Sum]] = {}
    for one in sums:
        by_currency.setdefault(one.currency, []).append(one)
    return [_total(currency, group) for currency, group in sorted(by_currency.items())]


def _total(currency: str, sums: list[Sum]) -> Total:
    def amount(kind: LineKind) -> int:
        return sum(one.amount for one in sums if one.kind == kind)

    settled, refunded, lost = (amount(kind) for kind in OF_PAYMENTS)
    fees = -sum(one.fee for one in sums if one.kind in OF_PAYMENTS)
    paid_out = sum(one.net for one in sums if one.kind == "payout")
    other = sum(one.net for one in sums if one.kind not in (*OF_PAYMENTS, "payout"))
    net = settled + refunded + lost + fees
    return Total(currency, settled, refunded, lost, fees, net, other, paid_out, net + other + paid_out)


# --- the tie-out by payout ---


@dataclass(frozen=True)
class Payout:
    """A payout with the sums of the balance transactions that it includes, without its own.

    `listed` is False for a manual payout, and for one that Stripe does not list: it cannot say what it includes.
    `reconciliation_status` is `completed` once Stripe's list is final.
    """

    payout_id: str
    created_at: str
    arrives_at: str
    status: str
    automatic: bool
    reconciliation_status: str
    currency: str
    amount: int
    balance_transaction: str | None
    failure_balance_transaction: str | None
    listed: bool = False
    sums: tuple[Sum, ...] = ()

    @property
    def difference(self) -> int:
        """The amount less the net of what the payout includes: 0 if it ties out."""
        return self.amount - sum(one.net for one in self.sums)

    def to_json(self) -> dict[str, Any]:
        """Return it as the API and the stored state have it."""
        return {**asdict(self), "sums": [one.to_json() for one in self.sums], "difference": self.difference}


def payout(obj: Mapping[str, Any]) -> Payout:
    """Read a payout. Raises `EventUnusable`. Source: https://docs.stripe.com/api/payouts/object."""
    return Payout(
        payout_id=object_id(obj, "id"),
        created_at=timestamps.iso(timestamp(obj, "created")),
        arrives_at=timestamps.iso(timestamp(obj, "arrival_date")),
        status=optional_text(obj, "status") or "unknown",
        automatic=obj.get("automatic") is True,
        reconciliation_status=optional_text(obj, "reconciliation_status") or "unknown",
        currency=text(obj, "currency"),
        amount=integer(obj, "amount", minimum=-MAX_AMOUNT),
        balance_transaction=optional_id(obj, "balance_transaction"),
        failure_balance_transaction=optional_id(obj, "failure_balance_transaction"),
    )


def with_lines(before: Payout, lines: Iterable[Line]) -> Payout:
    """Return the payout with more of the lines that it includes. Its own transaction is not one of them."""
    own = (before.balance_transaction, before.failure_balance_transaction)
    others = (one for one in lines if one.transaction_id not in own)
    return replace(before, listed=True, sums=tuple(add(before.sums, others)))
