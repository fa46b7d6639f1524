"""Compare the movements of Stripe's balance with our payments.

A movement is one balance transaction whose source is a charge, a refund or a dispute. It is compared with the payment
that its source belongs to, in the currency of the charge: `amount` and the fees of a balance transaction are in the
settlement currency, which may be another one.

Sources: https://docs.stripe.com/api/balance_transactions/object, https://docs.stripe.com/reports/balance-transaction-types
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, cast

from tuition.core import timestamps
from tuition.core.facts import Balance, BalanceTransaction, MovementKind, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.stored import read
from tuition.core.stripe_json import MAX_AMOUNT, integer, object_id, optional_id, optional_text, text, timestamp

Kind = Literal["charge", "refund", "dispute", "standing", "chain", "unconfirmed"]
OF_DAYS = ("charge", "refund", "dispute")
"""The kinds of differences that belong to a day. All others last until they have been compared again."""
MAX_DIFFERENCES = 200
"""The newest by day. A report is one item of at most 400 KB."""
MAX_UNFINISHED = 100
"""Differences, and names of tasks, that staff see of an unfinished audit. The item of its plan has them."""
MAX_IDS = 20
"""Ids that a difference names."""
MAX_ROWS = 400
"""Differences that one task reports, of each kind of row: its item has at most 400 KB. Their sums count all."""
MAX_OPEN = 500
"""Differences without a day that the next audit compares again: they are part of the report's item."""
MAX_FAILED = 100
"""Failures that one task may leave to its next attempt. With more failures, the next attempt begins from the start."""
MAX_FAILURE_LENGTH = 250
MAX_PROBLEM_LENGTH = 200
"""In characters, of a problem that is stored on a payment: it is also a fingerprint."""


class Movement(NamedTuple):
    """One balance transaction of a charge, refund or dispute.

    `amount` is the source's, in minor units of `currency`, the charge's currency; below zero if it left the balance. A
    charge that has not succeeded counts as 0. `balance` is what it added to the balance, in the settlement currency;
    None if the movement was read from the payment.
    """

    transaction_id: str
    kind: MovementKind
    day: str
    source_id: str
    intent: str | None
    amount: int
    currency: str
    created: int
    balance: Balance | None

    @property
    def fact(self) -> BalanceTransaction:
        """The movement as its payment stores it, by `transaction_id`."""
        return BalanceTransaction(self.kind, self.source_id, self.amount, self.currency, self.created, self.intent)


@dataclass(frozen=True)
class Row:
    """One movement, or another thing that is compared, as Stripe and as our payment has it.

    `payment_id` is None if it belongs to no payment.
    """

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

    @property
    def identity(self) -> tuple[Kind, tuple[str, ...], int]:
        """The key of the difference, the same in every task that finds it."""
        return self.kind, self.ids, self.stripe


COUNTS = ("checked", "confirmed", "foreign", "expired", "users", "scanned")
"""The counts of findings: payments compared with transactions, payments confirmed, transactions of other apps, users of
a scanned table, and its items."""
Group = tuple[Kind, str, str | None]
"""The kind, day and currency of a sum."""


class Sum(NamedTuple):
    """The movements of one kind, UTC day and currency, in minor units. `ids` are of the rows that differ."""

    kind: Kind
    day: str
    currency: str | None
    ours: int
    stripe: int
    ids: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as the API and the stored report have it."""
        return {**self._asdict(), "ids": list(self.ids)}


@dataclass
class Findings:
    """The findings of a task, or of a whole audit. Adding the findings of another task gives those of both.

    `sums` counts every listed movement. `listed` are those of them that differ, and `others` the differences that no
    listed movement shows. Two tasks may find the same one of `others`: it counts once. `failed` says what could not be
    compared, and why.
    """

    checked: int = 0
    confirmed: int = 0
    foreign: int = 0
    expired: int = 0
    users: int = 0
    scanned: int = 0
    sums: dict[Group, tuple[int, int]] = field(default_factory=dict)
    listed: list[Row] = field(default_factory=list)
    others: list[Row] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def list_row(self, row: Row) -> None:
        """Count a listed movement."""
        self._count(row)
        if row.differs:
            self.listed.append(row)

    def _count(self, row: Row) -> None:
        group = (row.kind, row.day, row.currency)
        ours, stripe = self.sums.get(group, (0, 0))
        self.sums[group] = ours + row.ours, stripe + row.stripe

    def add(self, other: "Findings") -> None:
        """Add what another task has found."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for group, (ours, stripe) in other.sums.items():
            before = self.sums.get(group, (0, 0))
            self.sums[group] = before[0] + ours, before[1] + stripe
        self.listed += other.listed
        self.others += other.others
        self.failed |= other.failed

    def differences(self) -> list[Row]:
        """Return each difference once."""
        return list({row.identity: row for row in [*self.others, *self.listed]}.values())

    def by_group(self) -> list[Sum]:
        """Add up the movements and the differences by kind, day and currency."""
        whole = Findings(sums=dict(self.sums))
        shown = {row.identity for row in self.listed}
        ids: dict[Group, dict[str, None]] = defaultdict(dict)
        for row in self.differences():
            if row.identity not in shown:
                whole._count(row)
            ids[row.kind, row.day, row.currency].update(dict.fromkeys(row.ids))
        return [
            Sum(*group, *amounts, ids=tuple(ids[group])[:MAX_IDS])
            for group, amounts in sorted(whole.sums.items(), key=lambda one: (one[0][1], one[0][0], one[0][2] or ""))
        ]

    def totals(self) -> dict[str, int]:
        """Return the counts alone."""
        return {name: getattr(self, name) for name in COUNTS}

    def to_json(self) -> dict[str, Any]:
        """Return the findings as a task stores them: all counts and sums, and the first differences."""
        return {
            **self.totals(),
            "sums": [[*group, *amounts] for group, amounts in self.sums.items()],
            "listed": [asdict(row) for row in self.listed[:MAX_ROWS]],
            "others": [asdict(row) for row in self.others[:MAX_ROWS]],
            "failed": {name: text[:MAX_FAILURE_LENGTH] for name, text in list(self.failed.items())[: MAX_FAILED + 1]},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Findings":
        """Read what `to_json` wrote, also in a later release with more fields."""

        def rows(name: str) -> list[Row]:
            return [read(Row, {**row, "ids": tuple(row["ids"])}) for row in stored.get(name, ())]

        counts = {name: int(stored.get(name, 0)) for name in COUNTS}
        sums = {(kind, day, currency): (ours, stripe) for kind, day, currency, ours, stripe in stored.get("sums", ())}
        return cls(**counts, sums=sums, listed=rows("listed"), others=rows("others"), failed=stored.get("failed", {}))


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
        kind=cast(MovementKind, kind),
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


def stored_movements(payment: Payment) -> list[Movement]:
    """Return the movements that the audit has listed for a payment, oldest first."""
    movements = [
        Movement(
            transaction_id, one.kind, timestamps.iso(one.at)[:10], one.source, one.intent, one.amount, one.currency,
            one.at, None,
        )
        for transaction_id, one in payment.facts.balance_transactions.items()
    ]  # fmt: skip
    return sorted(movements, key=lambda moved: (moved.created, moved.transaction_id))


def duplicates(payment: Payment, movements: Iterable[Movement]) -> list[Row]:
    """Return what Stripe moved twice: the later of two movements of the same source in the same direction.

    Each movement alone agrees with the payment, which explains only one of them. So the row takes from our sums what
    the second one added. Money that came back may leave again, as for a dispute that is lost on appeal. `movements` may
    be in any order.
    """
    by_source: dict[tuple[str, bool], list[Movement]] = defaultdict(list)
    for moved in sorted(movements, key=lambda one: (one.created, one.transaction_id)):
        if our_amount(payment, moved):
            by_source[moved.source_id, moved.amount >= 0].append(moved)
    rows = []
    for (source_id, is_incoming), same in by_source.items():
        opposite = by_source.get((source_id, not is_incoming), [])
        for moved in same[len(opposite) + 1 :]:
            ids = (payment.payment_id, source_id, moved.transaction_id)
            ours = our_amount(payment, moved)
            rows.append(Row(moved.kind, moved.day, moved.currency, -ours, 0, ids, payment.payment_id))
    return rows


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


def comparison(ours: int, stripe: int, currency: str | None) -> str:
    """Return the two sides of a comparison in words: amounts in their currency, or numbers of things without one."""
    own, theirs = (Money(one, currency) if currency else one for one in (ours, stripe))
    return f"ours {own}, Stripe's {theirs}"


def problem(rows: Iterable[Row]) -> str:
    """Return how the rows of one payment differ, in a form that stays the same while they do; empty if they agree."""
    texts = [f"{one.ids[-1]}: {comparison(one.ours, one.stripe, one.currency)}" for one in rows if one.differs]
    return "; ".join(sorted(texts))[:MAX_PROBLEM_LENGTH]


def missing(payment: Payment, sources: Collection[str], until: int, *, has_charge: bool) -> list[Row]:
    """Return what a payment has until before `until` (epoch seconds) and none of these sources shows.

    `has_charge` says that the charge that settled it was shown. The settled
    amount is named by the payment's object at Stripe, because an event that was forged names no charge.
    """
    facts = payment.facts
    if facts.settled is None or not facts.settled.amount:
        return []
    currency, rows = facts.settled.currency, []

    def add(kind: Kind, at: int, amount: int, source_id: str) -> None:
        if at < until and source_id not in sources:
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


def confirmed_by(payment: Payment, moved: Movement) -> Settled | None:
    """Return the money that a movement confirms: that of a charge of the intent that the payment is bound to."""
    if is_own_charge(payment, moved) and moved.intent == payment.stripe_object_id:
        return Settled(moved.amount, moved.currency, moved.created)
    return None


# --- the report ---


def with_day(
    stored: Mapping[str, Any], findings: Findings, day: str, rechecked: Collection[str], compared_at: str
) -> dict[str, Any]:
    """Return the stored report with the findings of a day in place of what it had of that day. It may be repeated.

    Differences without a day stay in `open` until their subject is one of `rechecked`. A difference of an earlier day
    that is found now is added to that day.
    """
    rows = findings.differences()
    groups = [one for one in findings.by_group() if one.ids and one.kind in OF_DAYS]
    kept = [one for one in stored.get("differences", ()) if one["kind"] in OF_DAYS and one["day"] != day]
    kept = _with_late(kept, [one for one in rows if one.kind in OF_DAYS and one.day != day])
    of_day = [one.to_json() for one in groups if one.day == day]
    before = [one for one in stored.get("open", ()) if one["ids"][0] not in rechecked]
    new = [{"kind": one.kind, "ids": list(one.ids)} for one in rows if one.kind not in OF_DAYS]
    open_ = [*new, *(one for one in before if one not in new)]
    lasting = Findings(others=[Row(one["kind"], day, None, 1, 0, tuple(one["ids"])) for one in open_])
    differences = [*kept, *of_day, *(one.to_json() for one in lasting.by_group())]
    newest = sorted(differences, key=lambda one: str(one["day"]), reverse=True)[:MAX_DIFFERENCES]
    return {**stored, "compared_at": compared_at, "differences": newest, "open": open_[:MAX_OPEN]}


def _with_late(kept: Iterable[Mapping[str, Any]], late: Iterable[Row]) -> list[dict[str, Any]]:
    """Add differences of earlier days to the groups that the report has of those days, each once."""
    groups: dict[Group, dict[str, Any]] = {(one["kind"], one["day"], one["currency"]): dict(one) for one in kept}
    for row in late:
        group = groups.setdefault(
            (row.kind, row.day, row.currency), Sum(row.kind, row.day, row.currency, 0, 0, ()).to_json()
        )
        if row.ids[-1] in group["ids"] or len(group["ids"]) >= MAX_IDS:
            continue
        group["ours"], group["stripe"] = group["ours"] + row.ours, group["stripe"] + row.stripe
        group["ids"] = list(dict.fromkeys([*group["ids"], *row.ids]))[:MAX_IDS]
    return list(groups.values())


def shown(report: Mapping[str, Any] | None, unfinished: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what staff see: the stored report, and what an audit that is not finished has found until now."""
    newest = {**(report or {}), **(unfinished or {})}
    differences = list((unfinished or {}).get("differences", ()))
    groups = [(one["kind"], one["day"], one["currency"]) for one in differences]
    for one in (report or {}).get("differences", ()):
        if (one["kind"], one["day"], one["currency"]) not in groups:
            differences.append(one)
    differences.sort(key=lambda one: str(one["day"]), reverse=True)
    tasks = list((unfinished or {}).get("unfinished", ()))
    return {
        "compared_at": newest.get("compared_at"),
        "through": (report or {}).get("through"),
        "equal": None if not newest or (tasks and not differences) else not differences,
        "differences": differences[:MAX_DIFFERENCES],
        "unfinished": tasks,
    }
