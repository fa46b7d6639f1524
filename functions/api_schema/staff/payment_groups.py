"""The fields of a payment in groups."""

from dataclasses import dataclass
from typing import Annotated

from api_schema.about import About, Amount, Currency, Email, PaymentId, Time, Track, Url, UserId
from api_schema.payments import PaymentMethod, Price
from api_schema.staff.fields import EnrollmentStatus
from tuition.core.facts import Kind
from tuition.core.payment import Status


@dataclass
class PaymentGroup:
    """The payment itself."""

    payment_id: PaymentId
    track: Annotated[Track | None, About("Null for a payment of a membership.")]
    membership: Annotated[str | None, About("The code of the membership that it pays.", examples=[None])]
    plan: Annotated[str | None, About("The plan whose installments it pays.", examples=[None])]
    covers: Annotated[list[int], About("The numbers of these installments; empty without a plan.", examples=[[]])]
    kind: Annotated[Kind, About(examples=["intent"])]
    attempt: Annotated[int, About("Its number among the user's payments for the track, or in its plan.", examples=[1])]
    status: Annotated[Status, About(examples=["SUCCEEDED"])]
    terms_version: Annotated[str | None, About("The terms that the student agreed to.", examples=["2026-11"])]
    grants_access: bool
    enrollment: Annotated[EnrollmentStatus | None, About(examples=["ENROLLED"])]


@dataclass
class StudentGroup:
    """Whose payment it is."""

    user_id: UserId
    email: Email | None


@dataclass
class MoneyGroup:
    """All amounts of a payment, in minor units."""

    amount: Amount
    currency: Currency
    price: Price
    list_amount: Amount
    promotion_code: Annotated[str | None, About(examples=[None])]
    first_purchase: Annotated[bool, About("Whether its promotion code is for first purchases only.", examples=[False])]
    received: Amount | None
    received_currency: Currency | None
    refund_amount: Annotated[Amount, About(examples=[0])]
    lost: Annotated[Amount, About("Lost to disputes.", examples=[0])]
    refundable_amount: Amount


@dataclass
class RefundGroup:
    """Whether and when a payment was refunded."""

    refunded: Annotated[bool, About(examples=[False])]
    refund_reason: Annotated[str | None, About(examples=[None])]
    returnable_until: Annotated[Time | None, About(examples=[None])]
    withdrawn_at: Annotated[Time | None, About(examples=[None])]
    refund_due_by: Annotated[Time | None, About(examples=[None])]
    refunded_at: Annotated[Time | None, About(examples=[None])]


@dataclass
class MethodGroup(PaymentMethod):
    """How a payment was paid."""

    saved: Annotated[bool, About("Whether the student agreed to keep the method.", examples=[False])]
    receipt_url: Url | None


@dataclass
class StripeGroup:
    """A payment's objects at Stripe."""

    payment_intent: Annotated[str | None, About(examples=["pi_3SXk2eLz9Qw1"])]
    payment_url: Annotated[Url | None, About("In Stripe's dashboard.")]
    checkout_session: Annotated[str | None, About(examples=[None])]
    charge: Annotated[str | None, About(examples=["ch_3SXk2e"])]
    invoice: Annotated[str | None, About(examples=[None])]
    invoice_url: Annotated[Url | None, About("In Stripe's dashboard.", examples=[None])]
    customer: Annotated[str | None, About(examples=["cus_T1x"])]
    customer_url: Annotated[Url | None, About("In Stripe's dashboard.")]


@dataclass
class TimesGroup:
    """A payment's times."""

    created_at: Time
    updated_at: Time
    verify_by: Annotated[Time | None, About(examples=[None])]
    terms_agreed_at: Annotated[Time | None, About("When the student agreed to the terms.")]
    check_at: Annotated[Time | None, About("When the reconciler looks at it next.")]
    synced_at: Annotated[Time | None, About("When a status request last asked Stripe.")]


@dataclass
class RecordGroup:
    """The head of a payment's audit chain."""

    version: Annotated[int, About(examples=[2])]
    audit_head: Annotated[str, About(examples=["9f86d0"])]


@dataclass
class Groups:
    """Every field of a payment, by topic."""

    payment: PaymentGroup
    student: StudentGroup
    money: MoneyGroup
    refund: RefundGroup
    method: MethodGroup
    stripe: StripeGroup
    times: TimesGroup
    record: RecordGroup
