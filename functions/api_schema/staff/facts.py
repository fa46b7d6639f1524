"""The facts of a payment: reports of Stripe and decisions of staff."""

from dataclasses import dataclass
from typing import Annotated

from api_schema.about import About, Amount, Currency, Time, Url, UserId
from api_schema.payments import AgreedTerms
from api_schema.staff.disputes import DisputeFields
from tuition.core.facts import Kind, PhaseName
from tuition.payments.access import AccessDecision


@dataclass
class StripeObjectFact:
    """The payment's object at Stripe."""

    kind: Annotated[Kind, About(examples=["intent"])]
    id: Annotated[str, About(examples=["pi_3SXk2eLz9Qw1"])]
    intent: Annotated[str | None, About(examples=["pi_3SXk2eLz9Qw1"])]


@dataclass
class SettledFact:
    """Money that Stripe received."""

    amount: Amount
    currency: Currency
    at: Time


@dataclass
class ClosedFact:
    """The end of an object that can no longer be paid."""

    reason: Annotated[str, About(examples=["abandoned"])]
    at: Time


@dataclass
class PhaseFact:
    """How far an open payment has come."""

    name: Annotated[PhaseName, About(examples=["created"])]
    code: str | None
    message: str | None
    at: Time


@dataclass
class ChargeFact:
    """One try to pay."""

    charge_id: Annotated[str, About(examples=["ch_3SXk2e"])]
    status: Annotated[str, About(examples=["succeeded"])]
    amount: Amount
    type: Annotated[str | None, About(examples=["card"])]
    brand: Annotated[str | None, About(examples=["visa"])]
    last4: Annotated[str | None, About(examples=["4242"])]
    receipt_url: Url | None
    code: Annotated[str | None, About(examples=[None])]
    currency: Currency
    at: Time


@dataclass
class RefundFact:
    """A refund at Stripe."""

    refund_id: Annotated[str, About(examples=["re_3SXk2e"])]
    status: Annotated[str, About(examples=["succeeded"])]
    amount: Amount
    reason: str | None
    request: Annotated[str | None, About("The refund request that it was made for.", examples=["rr_5d0f3b"])]
    failure: Annotated[str | None, About(examples=[None])]
    currency: Currency
    at: Time


@dataclass
class FraudWarningFact:
    """A warning by the card's issuer."""

    warning_id: Annotated[str, About(examples=["issfr_1"])]
    type: Annotated[str, About(examples=["misc"])]
    at: Time


@dataclass
class ClaimFact:
    """A paid object that names this payment, but is not its object."""

    object_id: Annotated[str, About(examples=["pi_other"])]
    amount: Amount
    currency: Currency
    at: Time


@dataclass
class DecisionFact:
    """A decision of staff about access."""

    decision: Annotated[AccessDecision, About(examples=["revoke"])]
    who: UserId
    note: str
    version: int
    at: Time | None


@dataclass
class AcknowledgementFact:
    """A reason for attention that staff have acknowledged."""

    name: Annotated[str, About(examples=["rebuilt"])]
    fingerprint: Annotated[str, About(examples=["rebuilt"])]
    who: UserId
    note: str
    version: int
    at: Time | None


@dataclass
class BalanceFact:
    """The amounts that the charge added to our balance at Stripe, in the settlement currency."""

    fee: Annotated[Amount, About(examples=[1477])]
    net: Annotated[Amount, About(examples=[48423])]
    currency: Currency


@dataclass
class WithdrawalFact:
    """The student's withdrawal from the contract."""

    name: Annotated[str | None, About("The name that the student gave.", examples=["Ada Lovelace"])]
    email: Annotated[str | None, About("Where the acknowledgement goes.", examples=["ada@example.org"])]
    at: Time


@dataclass
class CreditNoteFact:
    """The credit note of a refund, or why Stripe made none."""

    refund_id: Annotated[str, About(examples=["re_3SXk2e"])]
    id: Annotated[str | None, About(examples=["cn_1SXk2e"])]
    refusal: Annotated[str | None, About("Stripe's code.", examples=[None])]


@dataclass
class Facts:
    """The facts that Stripe and staff reported about a payment, oldest first."""

    object: StripeObjectFact
    settled: SettledFact | None
    closed: ClosedFact | None
    phase: PhaseFact | None
    charges: list[ChargeFact]
    refunds: list[RefundFact]
    disputes: list[DisputeFields]
    fraud_warnings: list[FraudWarningFact]
    claims: list[ClaimFact]
    decision: DecisionFact | None
    acknowledged: list[AcknowledgementFact]
    accepted: Annotated[bool, About("Staff once accepted the amount received.", examples=[False])]
    unknown: Annotated[dict[str, str], About("Values of Stripe's that we cannot read, by field.", examples=[{}])]
    confirmed: Annotated[
        SettledFact | None, About("The money that Stripe's API, and not only an event, showed as received.")
    ]
    contradicted: Annotated[bool, About("Stripe's API showed the object as not paid.", examples=[False])]
    balance: BalanceFact | None
    compared: Annotated[dict[str, str], About("The differences that the daily audit found.", examples=[{}])]
    agreed: AgreedTerms | None
    withdrawn: WithdrawalFact | None
    invoice: Annotated[str | None, About("The invoice at Stripe.", examples=[None])]
    credit_notes: list[CreditNoteFact]
    rebuilt: Annotated[bool, About(examples=[False])]
    erased: Annotated[bool, About(examples=[False])]
