"""Decisions of staff about a payment."""

from dataclasses import dataclass
from typing import Annotated, Literal

from api_schema.about import About, Currency, PaymentId, Text
from api_schema.payments import StaffPayment, StaffPaymentWithRequests, StaffRefundRequest
from tuition.core.emails import StudentKind
from tuition.core.refund_request import StripeReason
from tuition.payments.access import AccessDecision


@dataclass(kw_only=True)
class StaffRefundOrder:
    """A refund by staff."""

    reason: Annotated[Text, About("The student sees it.", examples=["a part was missing"])]
    amount: Annotated[
        int | None,
        About(
            "In minor units; by default the whole refundable amount. A multiple of 10 where the currency has three"
            " decimals, and of 100 in `isk` and `ugx`.",
            minimum=1,
            maximum=999_999_999,
            examples=[10000],
        ),
    ] = None
    currency: Annotated[Currency | None, About("The currency that you saw: 422 if it is not the payment's.")] = None
    note: Annotated[Text | None, About("For staff only.")] = None
    message: Annotated[Text | None, About("The student sees it as the request's `answer`.")] = None
    expected_refundable_amount: Annotated[
        int | None,
        About("The refundable amount that you saw: 409 if it has changed.", minimum=1, maximum=999_999_999),
    ] = None
    stripe_reason: Annotated[
        StripeReason | None,
        About("Stripe's reason, by default `requested_by_customer`. After `fraudulent` Stripe blocks the card."),
    ] = None


@dataclass
class RefundResult:
    """A payment with the refund request that was made or decided."""

    payment: StaffPayment
    refund_request: StaffRefundRequest


@dataclass(kw_only=True)
class RefundDecision:
    """A decision about a refund request."""

    decision: Annotated[Literal["approve", "decline"], About(examples=["approve"])]
    note: Annotated[Text | None, About("For staff only.")] = None
    message: Annotated[Text | None, About("The student sees it as the request's `answer`.")] = None


@dataclass
class AccessOrder:
    """A decision about access."""

    decision: Annotated[
        AccessDecision,
        About(
            "`accept_amount`: the amount received counts as the price. `revoke`: no access, whatever was paid."
            " `restore`: undoes `revoke`.",
            examples=["revoke"],
        ),
    ]
    note: Annotated[Text, About(examples=["shared the account"])]


@dataclass(kw_only=True)
class AcknowledgementOrder:
    """Which reason for attention to acknowledge."""

    name: Annotated[str, About("Of the reason.", minLength=1, maxLength=300, pattern=r"\S", examples=["rebuilt"])]
    note: Annotated[Text, About("For staff.", examples=["compared with Stripe"])]
    fingerprint: Annotated[
        str | None,
        About("The one that you saw: 409 if it has changed.", minLength=1, maxLength=300, pattern=r"\S"),
    ] = None


@dataclass
class EmailOrder:
    """Which email to send to the student."""

    kind: Annotated[StudentKind, About(examples=["purchase_confirmed"])]


@dataclass
class OrderedEmail:
    """The email that will be sent."""

    payment_id: PaymentId
    kind: Annotated[StudentKind, About(examples=["purchase_confirmed"])]


@dataclass
class DecidedPayment:
    """The payment after a decision."""

    payment: StaffPaymentWithRequests
