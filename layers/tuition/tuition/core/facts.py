"""The facts that Stripe and staff have reported about one payment, and how two sets of facts are merged.

`merge` is commutative, associative and idempotent: events may arrive in any order, late or twice, and the resulting
facts are the same. `tuition.core.payment` decides what the facts mean, and `tuition.core.stripe_json` reads them.

Sources: https://docs.stripe.com/payments/paymentintents/lifecycle, https://docs.stripe.com/api/refunds/object,
https://docs.stripe.com/api/disputes/object, https://docs.stripe.com/api/checkout/sessions/object
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, cast

from tuition.core.merging import each, either
from tuition.core.money import Money
from tuition.core.stored import read

Kind = Literal["intent", "checkout"]
MovementKind = Literal["charge", "refund", "dispute"]
PhaseName = Literal["created", "requires_action", "processing", "failed"]

PHASE_ORDER: Mapping[PhaseName, int] = {"created": 0, "requires_action": 1, "processing": 2, "failed": 3}
"""Of two phases in the same second the higher counts, until a sync shows which was the last."""

MISSING = "gone"
"""The `Closed.reason` of an object that is missing at Stripe."""

UNKNOWN = "unknown"
"""The status of a charge or refund that Stripe shows with a status that we do not know, or with none.

It counts for nothing, and every known status outranks it.
"""
MAX_UNKNOWN = 20
"""How many unknown values of Stripe's are kept per payment: the first by name, so that their order does not matter."""
MAX_FAILED_CHARGES = 50
"""The newest, by time and id, that a payment's item keeps."""
MAX_CLAIMS = 50
"""The first by id."""
MAX_BALANCE_TRANSACTIONS = 50
"""The first by id. A payment with as many may have had more, so the audit looks them all up at Stripe."""
MAX_CHALLENGES = 50
"""The first 3-D Secure steps by id."""
MAX_ACKNOWLEDGED = 100
"""The newest by version. A reason whose acknowledgement is shed needs attention again."""
MAX_NOTES = 20
"""The newest acknowledgements that keep their note."""

CHARGE_RANK = {"pending": 0, "failed": 1, "succeeded": 2}
REFUND_RANK = {"requires_action": 0, "pending": 1, "succeeded": 2, "canceled": 3, "failed": 4}


@dataclass(frozen=True)
class Settled:
    """Money received at Stripe: the amount in minor units, and when (epoch seconds) Stripe first reported it."""

    amount: int
    currency: str
    at: int

    @property
    def money(self) -> Money:
        """The amount received, with its currency."""
        return Money(self.amount, self.currency)


@dataclass(frozen=True)
class Closed:
    """The end of an object that can no longer be paid. `by` is its kind, `at` is in epoch seconds."""

    at: int
    by: Kind
    reason: str


@dataclass(frozen=True)
class Phase:
    """How far an open payment has come. It is for display; no final decision depends on it.

    `at` is the event's `created` (epoch seconds). `order` breaks ties within that second. `verify_by` is until when the
    student can confirm a deposit to their bank account, if Stripe waits for that (epoch seconds).
    """

    at: int
    order: int
    name: PhaseName
    code: str | None = None
    message: str | None = None
    verify_by: int | None = None


@dataclass(frozen=True)
class Charge:
    """One attempt to pay. Of the payment method, only `type`, `brand` and `last4` are stored.

    `currency` may differ from what was received later: a declined intent can be changed in Stripe's dashboard.

    `was_failed`: it was reported as failed before it succeeded. So it counts among the newest failed charges in every
    order of the two reports.

    `payment_method` is the id of the method at Stripe. `advice` is what Stripe advises after a decline, such as
    `do_not_try_again`.
    """

    status: str
    amount: int
    created: int
    type: str | None = None
    brand: str | None = None
    last4: str | None = None
    receipt_url: str | None = None
    code: str | None = None
    was_failed: bool = False
    currency: str | None = None
    advice: str | None = None
    payment_method: str | None = None

    @property
    def ever_failed(self) -> bool:
        """Whether it was ever reported as failed."""
        return self.status == "failed" or self.was_failed


@dataclass(frozen=True)
class Refund:
    """One refund at Stripe. `request` is the id of the refund request that it was made for, if any."""

    status: str
    amount: int
    created: int
    reason: str | None = None
    request: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Dispute:
    """One dispute as synced at the payment's version `stamp`. `amount` is in the charge's currency.

    `withdrawn` is what it took from our balance so far, in `withdrawn_currency`, the settlement currency. The two may
    differ, so it is never added to an amount of the charge.
    """

    stamp: int
    status: str
    amount: int
    created: int
    reason: str
    withdrawn: int = 0
    due_by: int | None = None
    withdrawn_currency: str | None = None


@dataclass(frozen=True)
class FraudWarning:
    """A warning by the card's issuer that a charge may be fraudulent. No money moves.

    Source: https://docs.stripe.com/api/radar/early_fraud_warnings/object
    """

    created: int
    type: str


@dataclass(frozen=True)
class Balance:
    """The change of the school's balance at Stripe by the charge that settled the payment.

    `fee` and `net` are in minor units of `currency`, the settlement currency. Stripe never changes them.
    """

    fee: int
    net: int
    currency: str


@dataclass(frozen=True)
class BalanceTransaction:
    """One balance transaction of a charge, refund or dispute, as the daily audit has listed it.

    `source` is the id of the charge, refund or dispute, `intent` the intent that it names. `amount` is the source's, in
    minor units of `currency`, the charge's currency; below zero if it left the balance. `at` is in epoch seconds.
    Stripe never changes a balance transaction.
    """

    kind: MovementKind
    source: str
    amount: int
    currency: str
    at: int
    intent: str | None = None


@dataclass(frozen=True)
class Comparison:
    """A comparison by the daily audit, made at a version of the payment. `problem` is empty if nothing differed."""

    version: int
    problem: str


@dataclass(frozen=True)
class Decision:
    """A decision of staff about access, made at a version of the payment. The newest counts."""

    version: int
    decision: Literal["accept_amount", "revoke", "restore"]
    actor: str
    note: str


@dataclass(frozen=True)
class Withdrawal:
    """A student's withdrawal from the contract, submitted at the time `at` (epoch seconds). It cannot be undone.

    `name` and `email` are what the student gave: their name, and where the acknowledgement goes.

    Source: https://eur-lex.europa.eu/eli/dir/2023/2673/oj, Article 11a
    """

    at: int
    name: str | None = None
    email: str | None = None


@dataclass(frozen=True)
class Agreement:
    """A student's agreement to a `version` of the school's terms, at the time `at` (epoch seconds). The newest counts.

    The version is that of the setting `TERMS_VERSION` at that time.
    """

    at: int
    version: str


@dataclass(frozen=True)
class CreditNote:
    """The credit note of a refund: its id at Stripe, or the code with which Stripe refused to make it."""

    id: str | None = None
    refusal: str | None = None


@dataclass(frozen=True)
class Acknowledgement:
    """An acknowledgement by staff of an attention reason, in the form that `fingerprint` identifies."""

    version: int
    fingerprint: str
    actor: str
    note: str


@dataclass(frozen=True)
class Facts:
    """All facts of one payment.

    `challenges` are the 3-D Secure steps that the payer was asked for: the id of the payment method, and when it was
    first reported (epoch seconds). `claims` are settled objects that name the payment but are not its object.
    `accepted` says that staff once accepted the amount received, whatever they decided later. `unknown` are the values
    that Stripe showed and that we could not read, by the name of their field (`re_1.status`). `confirmed` is the money
    that Stripe's API, and not only an event, showed as received. `balance` has Stripe's fee. `balance_transactions` are
    those that the daily audit has listed, by their id. `compared` are the results of the daily audit, by what it
    compared (`books`, `chain`). `contradicted` says that Stripe's API showed the object of a settled payment as not
    settled. `agreed` is the student's agreement to the terms, `withdrawn` their first withdrawal from the contract.
    `invoice` is the id of the invoice that Stripe has made. `credit_notes` are those of refunds, by the refund's id.
    `rebuilt` says that our record was missing and was rebuilt from Stripe.
    `erased` says that personal fields were erased; a merge keeps them empty.
    """

    settled: Settled | None = None
    closed: Closed | None = None
    phase: Phase | None = None
    intent: str | None = None
    customer: str | None = None
    charges: Mapping[str, Charge] = field(default_factory=dict)
    refunds: Mapping[str, Refund] = field(default_factory=dict)
    disputes: Mapping[str, Dispute] = field(default_factory=dict)
    fraud_warnings: Mapping[str, FraudWarning] = field(default_factory=dict)
    challenges: Mapping[str, int] = field(default_factory=dict)
    claims: Mapping[str, Settled] = field(default_factory=dict)
    decision: Decision | None = None
    accepted: bool = False
    acknowledged: Mapping[str, Acknowledgement] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    confirmed: Settled | None = None
    contradicted: bool = False
    balance: Balance | None = None
    balance_transactions: Mapping[str, BalanceTransaction] = field(default_factory=dict)
    compared: Mapping[str, Comparison] = field(default_factory=dict)
    agreed: Agreement | None = None
    withdrawn: Withdrawal | None = None
    invoice: str | None = None
    credit_notes: Mapping[str, CreditNote] = field(default_factory=dict)
    rebuilt: bool = False
    erased: bool = False

    @property
    def has_all_balance_transactions(self) -> bool:
        """Whether no balance transaction that the audit has listed can have been shed."""
        return len(self.balance_transactions) < MAX_BALANCE_TRANSACTIONS

    @property
    def missing_at_stripe(self) -> bool:
        """Whether the object is missing at Stripe, and Stripe has given no other reason for its closing."""
        return self.closed is not None and self.closed.reason == MISSING

    def to_json(self) -> dict[str, Any]:
        """Return a dict for JSON, without empty fields."""
        stored = {name: value for name, value in asdict(self).items() if value not in (None, {}, False)}
        if "charges" in stored:
            stored["charges"] = {
                key: {name: value for name, value in charge.items() if value is not None and value is not False}
                for key, charge in stored["charges"].items()
            }
        if "credit_notes" in stored:
            stored["credit_notes"] = {
                key: {name: value for name, value in note.items() if value is not None}
                for key, note in stored["credit_notes"].items()
            }
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Facts":
        """Return the facts that `to_json` wrote."""

        def one(name: str, kind: type[Any]) -> Any:
            return read(kind, stored[name]) if name in stored else None

        def many(name: str, kind: type[Any]) -> dict[str, Any]:
            return {key: read(kind, value) for key, value in stored.get(name, {}).items()}

        return cls(
            settled=one("settled", Settled),
            closed=one("closed", Closed),
            phase=one("phase", Phase),
            intent=stored.get("intent"),
            customer=stored.get("customer"),
            charges=many("charges", Charge),
            refunds=many("refunds", Refund),
            disputes=many("disputes", Dispute),
            fraud_warnings=many("fraud_warnings", FraudWarning),
            challenges=stored.get("challenges", {}),
            claims=many("claims", Settled),
            decision=one("decision", Decision),
            accepted=stored.get("accepted", False),
            acknowledged=many("acknowledged", Acknowledgement),
            unknown=stored.get("unknown", {}),
            confirmed=one("confirmed", Settled),
            contradicted=stored.get("contradicted", False),
            balance=one("balance", Balance),
            balance_transactions=many("balance_transactions", BalanceTransaction),
            compared=many("compared", Comparison),
            agreed=one("agreed", Agreement),
            withdrawn=one("withdrawn", Withdrawal),
            invoice=stored.get("invoice"),
            credit_notes=many("credit_notes", CreditNote),
            rebuilt=stored.get("rebuilt", False),
            erased=stored.get("erased", False),
        )


NO_FACTS = Facts()

# --- merging ---


def merge(a: Facts, b: Facts) -> Facts:
    """Return the facts of both. Commutative, associative and idempotent.

    The merge itself decides what is shed, by values that no later report changes: what one order sheds, all do. A
    charge's `created` never changes at Stripe. Refunds, disputes and decisions are never shed.
    """
    merged = Facts(
        settled=either(a.settled, b.settled, _join_settled),
        closed=either(a.closed, b.closed, lambda x, y: min(x, y, key=_closed_key)),
        phase=either(a.phase, b.phase, lambda x, y: max(x, y, key=_phase_key)),
        intent=either(a.intent, b.intent, min),
        customer=either(a.customer, b.customer, max),
        charges=_without_old_failures(each(a.charges, b.charges, _join_charge)),
        refunds=each(a.refunds, b.refunds, _join_by_rank(REFUND_RANK)),
        disputes=each(a.disputes, b.disputes, lambda x, y: max(x, y, key=_dispute_key)),
        fraud_warnings=each(a.fraud_warnings, b.fraud_warnings, lambda x, y: max(x, y, key=_fraud_warning_key)),
        challenges=dict(list(each(a.challenges, b.challenges, min).items())[:MAX_CHALLENGES]),
        claims=dict(list(each(a.claims, b.claims, _join_settled).items())[:MAX_CLAIMS]),
        decision=either(a.decision, b.decision, lambda x, y: max(x, y, key=_decision_key)),
        accepted=a.accepted or b.accepted,
        acknowledged=newest_acknowledged(
            each(a.acknowledged, b.acknowledged, lambda x, y: max(x, y, key=acknowledgement_key))
        ),
        unknown=dict(list(each(a.unknown, b.unknown, max).items())[:MAX_UNKNOWN]),
        confirmed=either(a.confirmed, b.confirmed, _join_settled),
        contradicted=a.contradicted or b.contradicted,
        balance=either(a.balance, b.balance, lambda x, y: max(x, y, key=_balance_key)),
        balance_transactions=dict(
            list(
                each(
                    a.balance_transactions,
                    b.balance_transactions,
                    lambda x, y: max(x, y, key=_balance_transaction_key),
                ).items()
            )[:MAX_BALANCE_TRANSACTIONS]
        ),
        compared=each(a.compared, b.compared, lambda x, y: max(x, y, key=_comparison_key)),
        agreed=either(a.agreed, b.agreed, lambda x, y: max(x, y, key=_agreement_key)),
        withdrawn=either(a.withdrawn, b.withdrawn, lambda x, y: min(x, y, key=_withdrawal_key)),
        invoice=either(a.invoice, b.invoice, min),
        credit_notes=each(a.credit_notes, b.credit_notes, lambda x, y: max(x, y, key=_credit_note_key)),
        rebuilt=a.rebuilt or b.rebuilt,
        erased=a.erased or b.erased,
    )
    return _without_personal(merged) if merged.erased else merged


def _join_settled(a: Settled, b: Settled) -> Settled:
    return replace(max(a, b, key=lambda s: (s.amount, s.currency)), at=min(a.at, b.at))


def _closed_key(closed: Closed) -> tuple[bool, int, str, str]:
    """Sort the reasons that Stripe reported before a missing object, then by time."""
    return closed.reason == MISSING, closed.at, closed.by, closed.reason


def _phase_key(phase: Phase) -> tuple[int, int, str, str, int, str]:
    return phase.at, phase.order, phase.name, phase.code or "", phase.verify_by or 0, phase.message or ""


def _dispute_key(d: Dispute) -> tuple[int, str, int, int, int, str, int, str]:
    return d.stamp, d.status, d.withdrawn, d.amount, d.created, d.reason, d.due_by or 0, d.withdrawn_currency or ""


def _fraud_warning_key(warning: FraudWarning) -> tuple[int, str]:
    return warning.created, warning.type


def _decision_key(decision: Decision) -> tuple[int, str, str, str]:
    return decision.version, decision.decision, decision.actor, decision.note


def _balance_key(balance: Balance) -> tuple[int, int, str]:
    return balance.fee, balance.net, balance.currency


def _balance_transaction_key(one: BalanceTransaction) -> tuple[str, str, int, str, int, str]:
    return one.kind, one.source, one.amount, one.currency, one.at, one.intent or ""


def _comparison_key(comparison: Comparison) -> tuple[int, str]:
    return comparison.version, comparison.problem


def _agreement_key(agreement: Agreement) -> tuple[int, str]:
    return agreement.at, agreement.version


def _withdrawal_key(withdrawal: Withdrawal) -> tuple[int, str, str]:
    return withdrawal.at, withdrawal.name or "", withdrawal.email or ""


def _credit_note_key(note: CreditNote) -> tuple[str, str]:
    """Sort a credit note that exists above a refusal."""
    return note.id or "", note.refusal or ""


def acknowledgement_key(a: Acknowledgement) -> tuple[int, str, str, str]:
    """Return what orders the acknowledgements of one reason: the newest counts."""
    return a.version, a.fingerprint, a.actor, a.note


def _join_by_rank[T](ranks: Mapping[str, int]) -> Callable[[T, T], T]:
    """Return a join that keeps the value whose status ranks higher.

    If both have the same status, it joins field by field: a field that is set wins over None, the larger of two wins.
    """

    def join(a: T, b: T) -> T:
        rank_a, rank_b = (ranks.get(getattr(x, "status"), -1) for x in (a, b))  # noqa: B009
        if rank_a != rank_b:
            return a if rank_a > rank_b else b
        joined = {f.name: either(getattr(a, f.name), getattr(b, f.name), max) for f in fields(cast(Any, a))}
        return cast(T, replace(cast(Any, a), **joined))

    return join


_join_rank_of_charge = _join_by_rank(CHARGE_RANK)


def _join_charge(a: Charge, b: Charge) -> Charge:
    joined = _join_rank_of_charge(a, b)
    return replace(joined, was_failed=joined.status == "succeeded" and (a.ever_failed or b.ever_failed))


def _without_old_failures(charges: Mapping[str, Charge]) -> dict[str, Charge]:
    """Keep the newest failed charges, what is newer than the oldest of them, and each charge that succeeded.

    A pending charge that is older is shed too: it may be a late report of a failed charge that was shed.
    """
    failed = sorted((charge.created, key) for key, charge in charges.items() if charge.ever_failed)
    if len(failed) < MAX_FAILED_CHARGES:
        return dict(charges)
    oldest = failed[-MAX_FAILED_CHARGES]
    kept = {}
    for key, charge in charges.items():
        if (charge.created, key) >= oldest:
            kept[key] = charge
        elif charge.status == "succeeded":
            kept[key] = replace(charge, was_failed=False)
    return kept


def newest_acknowledged(acknowledged: Mapping[str, Acknowledgement]) -> dict[str, Acknowledgement]:
    """Keep the newest acknowledgements, and the notes of the newest of those."""
    newest = sorted(((a.version, key) for key, a in acknowledged.items()), reverse=True)[:MAX_ACKNOWLEDGED]
    with_note = {key for _, key in newest[:MAX_NOTES]}
    return {
        key: acknowledged[key] if key in with_note else replace(acknowledged[key], note="")
        for key in sorted(key for _, key in newest)
    }


def _without_personal(facts: Facts) -> Facts:
    """Drop the fields that lead to a person, so that no late event restores one of them.

    They are what audit records never have (`tuition.core.recorded_facts`), except for two: our own finding about the
    books, and the staff who decided. In the keys by which `merge` chooses, each comes after the fields that stay. So
    what stays is the same whether the erasure comes before or after an event.
    """
    bare = {
        key: replace(c, brand=None, last4=None, receipt_url=None, payment_method=None)
        for key, c in facts.charges.items()
    }
    return replace(
        facts,
        phase=replace(facts.phase, message=None) if facts.phase else None,
        customer=None,
        charges=bare,
        decision=replace(facts.decision, note="") if facts.decision else None,
        acknowledged={key: replace(one, note="") for key, one in facts.acknowledged.items()},
        unknown=dict.fromkeys(facts.unknown, UNKNOWN),
        withdrawn=replace(facts.withdrawn, name=None, email=None) if facts.withdrawn else None,
    )


def missing_object(kind: Kind, at: int) -> Facts:
    """Return the facts of an object that is missing at Stripe, for example after a deletion of test data."""
    return Facts(closed=Closed(at, kind, MISSING))
