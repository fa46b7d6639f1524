"""Parts: what one payment means for its plan. A part is a pure function of that payment, written with it.

So a plan inherits from its payments that the order of events does not matter.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tuition.core import payment as payments
from tuition.core.facts import Charge
from tuition.core.payment import BANK_DEBITS, Payment
from tuition.core.stored import read

MAX_DECLINES = 10
"""The newest of an open payment that its part has."""
MAX_LASTING_DECLINES = 3
"""The newest of any other payment, of those that still mean something."""
MAX_CLOSED = 20
"""The newest payments that closed unpaid of which a plan has the parts."""
DO_NOT_TRY_AGAIN = "do_not_try_again"
"""Stripe's advice that no further try with a method can succeed.

Source: https://docs.stripe.com/declines#retrying-issuer-declines
"""
AUTHENTICATION_REQUIRED = "authentication_required"
"""The code of a decline after which only the student can pay, on the page.

Source: https://docs.stripe.com/declines/codes
"""


@dataclass(frozen=True)
class Decline:
    """A charge that failed, at the time `at` (epoch seconds), with Stripe's advice and the payment method's id."""

    at: int
    code: str | None = None
    advice: str | None = None
    method: str | None = None
    type: str | None = None

    @property
    def outlives_payment(self) -> bool:
        """Whether it means something also after its payment closed unpaid.

        A method must not be tried again after it, at least for the same installment; or it is a debit that failed.
        """
        return self.is_debit or self.advice == DO_NOT_TRY_AGAIN or self.code == AUTHENTICATION_REQUIRED

    @property
    def is_debit(self) -> bool:
        """Whether a bank refused to debit an account."""
        return self.type in BANK_DEBITS


@dataclass(frozen=True, kw_only=True)
class Part:
    """The meaning of a payment for its plan. Amounts are in minor units, times in epoch seconds.

    - `covers`: the installments that it was made for; `number`: its number in the plan; `amount`: what was asked.
    - `settled`: what was received. It `agrees` if it is the amount asked, or staff accepted it.
    - `refunded`: what is refunded, or will be; `refundable`: what can be refunded now.
    - `refunds`: the time of each refund, also of one that failed, by its refund request, else by its own id.
    - `refunding`: a refund is being made; `refund_failed`: the last one requested here failed; `requested`: one awaits
      the approval of staff.
    - `lost`: what disputes took; `taken`: a dispute was lost; `dispute`: `open` while one is undecided, also beside a
      lost one; `disputed`: the times of its disputes, inquiries excepted.
    - `withdrawn`: the student withdrew from the contract.
    - `method` and `method_type`: what paid it; `declines`: the newest failed charges.
    """

    covers: tuple[int, ...]
    number: int
    amount: int
    open: bool = False
    processing: bool = False
    settled: int | None = None
    settled_at: int | None = None
    agrees: bool = False
    refunded: int = 0
    refundable: int = 0
    refunds: Mapping[str, int] = field(default_factory=dict)
    refunding: bool = False
    refund_failed: bool = False
    requested: bool = False
    lost: int = 0
    taken: bool = False
    dispute: Literal["open", "lost"] | None = None
    disputed: Mapping[str, int] = field(default_factory=dict)
    withdrawn: bool = False
    method: str | None = None
    method_type: str | None = None
    declines: Mapping[str, Decline] = field(default_factory=dict)

    @property
    def is_closed(self) -> bool:
        """Whether it closed unpaid. Only its declines still mean something."""
        return not self.open and self.settled is None

    @property
    def paid(self) -> bool:
        """Whether the amount that was asked has been received, whatever became of it later."""
        return self.settled is not None and self.agrees

    @property
    def pays(self) -> bool:
        """Whether it covers its installments: it was paid, and no dispute took it. A refund leaves them covered."""
        return self.paid and not self.taken

    @property
    def payable(self) -> bool:
        """Whether its student could pay it now."""
        return self.open and not self.processing

    @property
    def withdrawn_while_processing(self) -> bool:
        """Whether its student withdrew while a bank was processing the debit, so that no refund could be requested."""
        is_refunded = bool(self.refunds) or self.refunding or self.refund_failed
        return self.withdrawn and self.method_type in BANK_DEBITS and not is_refunded

    def to_json(self) -> dict[str, Any]:
        """Return a dict for JSON, without empty fields."""
        stored = {name: value for name, value in asdict(self).items() if value not in (None, False, {}, 0)}
        if self.settled == 0:
            stored["settled"] = 0
        if self.declines:
            stored["declines"] = {
                key: {name: value for name, value in decline.items() if value is not None}
                for key, decline in stored["declines"].items()
            }
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Part":
        """Return the part that `to_json` wrote."""
        declines = {key: read(Decline, value) for key, value in stored.get("declines", {}).items()}
        return read(cls, {"amount": 0, "number": 0, **stored, "covers": tuple(stored["covers"]), "declines": declines})


def part_of(payment: Payment) -> Part | None:
    """Return what a payment means for its plan; None if it closed unpaid, so that it means nothing any more.

    Of one that closed unpaid, the declines stay that still mean something.
    """
    facts = payment.facts
    if payment.status == "CANCELED":
        declines = _lasting(_declines(facts.charges))
        closed = Part(covers=payment.covers, number=payment.attempt, amount=payment.price.amount, declines=declines)
        return closed if declines else None
    paying = payment.charge[1] if payment.charge and payment.charge[1].status == "succeeded" else None
    states = [request.state for request in payment.requests]
    submitted = [state for state in states if state in ("submitting", "pending", "succeeded", "rejected", "failed")]
    disputes = {key: one for key, one in facts.disputes.items() if one.status not in payments.INQUIRIES}
    return Part(
        covers=payment.covers,
        number=payment.attempt,
        amount=payment.price.amount,
        open=payment.open,
        processing=payment.status == "PROCESSING",
        settled=facts.settled.amount if facts.settled else None,
        settled_at=facts.settled.at if facts.settled else None,
        agrees=payments.amount_agrees(payment) or (facts.settled is not None and facts.accepted),
        refunded=payment.refund_amount,
        refundable=payment.refundable_amount if payments.refund_refusal(payment) is None else 0,
        refunds=_refunds(payment),
        refunding="submitting" in states or "pending" in states,
        refund_failed=bool(submitted) and submitted[-1] in ("rejected", "failed"),
        requested="awaiting_approval" in states,
        lost=payments.lost_amount(facts),
        taken=bool(payments.lost_disputes(facts)),
        dispute=payments.dispute_state(facts),
        disputed={key: one.created for key, one in sorted(disputes.items())},
        withdrawn=facts.withdrawn is not None,
        method=paying.payment_method if paying else None,
        method_type=paying.type if paying else None,
        declines=_declines(facts.charges) if payment.open else _lasting(_declines(facts.charges)),
    )


def _refunds(payment: Payment) -> dict[str, int]:
    """Return when each refund was submitted. Several refunds of one request are one, from the first on."""
    times: dict[str, int] = {}
    for key, refund in sorted(payment.facts.refunds.items()):
        name = refund.request or key
        times[name] = min(times.get(name, refund.created), refund.created)
    return dict(sorted(times.items()))


def _declines(charges: Mapping[str, Charge]) -> dict[str, Decline]:
    failed = sorted((charge.created, key) for key, charge in charges.items() if charge.status == "failed")
    newest = [(key, charges[key]) for _, key in failed[-MAX_DECLINES:]]
    return {key: Decline(one.created, one.code, one.advice, one.payment_method, one.type) for key, one in newest}


def _lasting(declines: Mapping[str, Decline]) -> dict[str, Decline]:
    return dict([(key, one) for key, one in declines.items() if one.outlives_payment][-MAX_LASTING_DECLINES:])


def newest_closed(parts: Mapping[str, Part]) -> dict[str, Part]:
    """Return the parts without those of payments that closed unpaid beyond `MAX_CLOSED`, the oldest first."""
    closed = sorted((part.number, key) for key, part in parts.items() if part.is_closed)
    shed = {key for _, key in closed[: max(0, len(closed) - MAX_CLOSED)]}
    return {key: part for key, part in parts.items() if key not in shed}
