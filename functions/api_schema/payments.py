"""A payment and its refund requests, as students and staff see them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from api_schema.about import About, Amount, Currency, Email, IntentId, PaymentId, Time, Track, Url, UserId
from tuition.core.facts import Kind
from tuition.core.payment import NoAccess, Status
from tuition.core.refund_request import State, StripeReason


@dataclass
class Price:
    """A price, as the student was asked to pay it."""

    amount: Amount
    currency: Currency


@dataclass
class PaymentMethod:
    """The card or account that paid."""

    type: Annotated[str | None, About("Stripe's type of the payment method.", examples=["card"])]
    brand: Annotated[str | None, About(examples=["visa"])]
    last4: Annotated[str | None, About("The last four digits.", examples=["4242"])]


@dataclass
class Failure:
    """Why the last try to pay failed."""

    code: Annotated[
        str,
        About(
            "Stripe's decline or error code. A student sees `generic_decline` where the bank suspects fraud.",
            examples=["card_declined"],
        ),
    ]
    message: Annotated[str, About("Stripe's message for the student.", examples=["Your card was declined."])]


@dataclass
class AgreedTerms:
    """The student's agreement to the school's terms, before they paid."""

    version: Annotated[str, About("The version of the terms.", examples=["2026-11"])]
    at: Time


@dataclass(kw_only=True)
class PaymentFields:
    """The fields of a payment that students and staff both see."""

    payment_id: PaymentId
    payment_intent_id: Annotated[IntentId | None, About("Null for a Checkout payment until the first try to pay.")]
    email: Annotated[Email | None, About("The address with which the student bought; null once it is erased.")]
    track: Annotated[Track | None, About("The code of the track; null for a payment of a membership.")]
    membership: Annotated[str | None, About("The code of the membership that it pays.", examples=[None])]
    plan_id: Annotated[str | None, About("The plan whose installments it pays.", examples=[None])]
    covers: Annotated[list[int], About("The numbers of these installments; empty without a plan.", examples=[[]])]
    status: Annotated[
        Status,
        About(
            "`CREATED`: not tried yet, or waiting for the student. `PROCESSING`: a bank is deciding. `FAILED`: the last"
            " try failed, and the student can try again. `SUCCEEDED`: paid, also while only a part is refunded."
            " `CANCELED`: closed unpaid. `REFUNDED`: fully refunded.",
            examples=["SUCCEEDED"],
        ),
    ]
    amount: Annotated[Amount, About("The amount that Stripe received, in minor units; the price until then.")]
    currency: Annotated[Currency, About("The currency of `amount`, of refunds and of disputes.")]
    price: Annotated[Price, About("The price that the student was asked to pay.")]
    list_amount: Annotated[Amount, About("The catalog's price at that time: `price` and `discount` together.")]
    discount: Annotated[Amount, About("By how much a promotion code lowered the price.", examples=[0])]
    payment_method: Annotated[PaymentMethod | None, About("Null until there is something to show.")]
    failure: Annotated[Failure | None, About("Set for a payment that failed, or was canceled after a failed try.")]
    receipt_url: Annotated[Url | None, About("Stripe's receipt.", examples=["https://pay.stripe.com/receipts/1"])]
    refunded: Annotated[bool, About("Whether it is fully refunded.", examples=[False])]
    refund_amount: Annotated[Amount, About("The refunds that are made or pending, in minor units.", examples=[0])]
    refund_pending_amount: Annotated[Amount, About("The part of it that is still being processed.", examples=[0])]
    refundable_amount: Annotated[
        Amount,
        About(
            "The amount that can still be refunded. Below zero if refunds and lost disputes took more than was paid."
        ),
    ]
    refund_reason: Annotated[str | None, About("The reason of the newest refund.", examples=[None])]
    refunded_at: Annotated[Time | None, About(examples=[None])]
    paid_at: Annotated[Time | None, About("When the student paid.")]
    can_cancel: Annotated[bool, About("Whether the student can cancel it: unpaid, and no bank is processing it.")]
    can_request_refund: Annotated[bool, About("Whether a refund request of the student is accepted now.")]
    refundable_until: Annotated[
        Time | None,
        About("Until when a request is granted at once. Null if none is accepted, and for a bank debit."),
    ]
    dispute: Annotated[Literal["open", "lost"] | None, About("An inquiry does not count.", examples=[None])]
    no_access_reason: Annotated[
        NoAccess | None,
        About("Why a paid payment gives no access. Null if it gives access or is unpaid.", examples=[None]),
    ]
    invoice: Annotated[
        Literal["requested", "issued"] | None,
        About(
            "`requested`: Stripe makes an invoice after the payment. `issued`: it is among the documents. Null if the"
            " student needs none.",
            examples=[None],
        ),
    ]
    verify_by: Annotated[
        Time | None,
        About(
            "Until when the payment waits for the student to confirm a deposit to their bank account.", examples=[None]
        ),
    ]
    agreed_terms: Annotated[
        AgreedTerms | None, About("The terms that the student agreed to; null if they were not asked.")
    ]
    created_at: Time
    updated_at: Time


@dataclass
class RefundRequest:
    """A refund request as its student sees it."""

    id: Annotated[str, About(examples=["rr_5d0f3b"])]
    amount: Amount
    currency: Currency
    reason: Annotated[str, About(examples=["changed my mind"])]
    state: Annotated[
        State,
        About(
            "`awaiting_approval`: staff must approve or decline it. `declined`: staff declined it, or it can no longer"
            " be made. `submitting`: it is resumed until Stripe answers. `pending`: a bank is processing it."
            " `succeeded`: the money has been refunded. `rejected`: Stripe refused it. `failed`: it failed after Stripe"
            " had accepted it. `superseded`: the student has withdrawn from the contract, and got the money back in"
            " another way. `withdrawn`: the student has withdrawn the request.",
            examples=["succeeded"],
        ),
    ]
    at: Time
    answer: Annotated[
        str | None,
        About("Why Stripe or the bank did not make the refund, else the message of staff.", examples=[None]),
    ]
    made_by: Annotated[Literal["student", "school"], About(examples=["student"])]
    can_withdraw: Annotated[bool, About("Whether the student can withdraw it now.", examples=[False])]


@dataclass
class Withdrawal:
    """The student's right to withdraw from the contract, in the EU."""

    possible_until: Annotated[
        Time | None, About("Until when the student can withdraw. Null if there is nothing to withdraw from.")
    ]
    submitted_at: Annotated[Time | None, About("When the student withdrew.", examples=[None])]
    name: Annotated[str | None, About("The name that the student gave.", examples=[None])]
    email: Annotated[str | None, About("Where the acknowledgement goes.", examples=[None])]
    refund_due_by: Annotated[Time | None, About("By when the money must be refunded.", examples=[None])]


@dataclass
class Resume:
    """The choices with which a create answers this open payment. Any other create closes it."""

    kind: Annotated[Kind, About("`intent`: create-payment. `checkout`: create-checkout-session.", examples=["intent"])]
    promotion_code: Annotated[str | None, About(examples=[None])]
    save_payment_method: Annotated[bool, About(examples=[False])]
    payment_method: Annotated[str | None, About("A saved payment method.", examples=[None])]
    invoice: Annotated[bool, About("Whether Stripe makes an invoice after the payment.", examples=[False])]


@dataclass(kw_only=True)
class Document:
    """An invoice or a credit note, as Stripe has it now."""

    kind: Literal["invoice", "credit_note"]
    id: Annotated[str, About(examples=["in_1SXk2e"])]
    number: Annotated[str | None, About("The number that is printed on it.", examples=["1A2B3C4D-0001"])]
    status: Annotated[str | None, About("Stripe's status of it.", examples=["paid"])]
    created_at: Time
    amount: Annotated[Amount, About("The total, in minor units.")]
    currency: Currency
    url: Annotated[
        Url | None, About("Stripe's page of an invoice. It expires.", examples=["https://invoice.stripe.com/i/1"])
    ]
    pdf_url: Annotated[
        Url | None, About("The document to download. It expires.", examples=["https://pay.stripe.com/invoice/1/pdf"])
    ]
    refund: Annotated[str | None, About("The refund that a credit note is for.", examples=[None])]


@dataclass(kw_only=True)
class Payment(PaymentFields):
    """A payment as its student sees it."""

    refund_request: Annotated[
        RefundRequest | None,
        About("The student's latest request. A later refund by the school takes its place if staff wrote a message."),
    ]
    resume: Annotated[Resume | None, About("Set for an open payment.")]
    withdrawal: Annotated[
        Withdrawal | None,
        About("Only where `consumer_region` is `EU`, and after a withdrawal. See `POST /api/payments/request-refund`."),
    ] = None


# --- staff ---


@dataclass
class AttentionReason:
    """Why a payment needs attention."""

    name: Annotated[str, About(examples=["rebuilt"])]
    fingerprint: Annotated[str, About("It changes with the reason.", examples=["rebuilt"])]
    detail: Annotated[str, About(examples=["our record was missing and was rebuilt from Stripe"])]
    due_by: Annotated[
        Time | None, About("By when a dispute must be answered or a withdrawal refunded.", examples=[None])
    ]


@dataclass(kw_only=True)
class StaffPayment(PaymentFields):
    """A payment as staff see it."""

    user_id: UserId
    stripe_customer_id: Annotated[str | None, About(examples=["cus_T1x"])]
    stripe_charge_id: Annotated[str | None, About(examples=["ch_3SXk2e"])]
    stripe_checkout_session: Annotated[str | None, About(examples=[None])]
    version: Annotated[int, About("The number of its audit records.", examples=[2])]
    disputed: Annotated[bool, About("Whether there is any dispute, also a decided one.", examples=[False])]
    returnable_until: Annotated[Time | None, About("Until when the bank can return a bank debit.", examples=[None])]
    withdrawn_at: Annotated[Time | None, About("When the student withdrew from the contract.", examples=[None])]
    refund_due_by: Annotated[Time | None, About("By when a withdrawal must be refunded.", examples=[None])]
    attention: list[AttentionReason]


@dataclass(kw_only=True)
class StaffRefundRequest:
    """A refund request as staff see it. Empty fields are left out."""

    id: Annotated[str, About(examples=["rr_5d0f3b"])]
    amount: Amount
    currency: Currency
    reason: Annotated[str, About(examples=["a part was missing"])]
    by: Annotated[UserId, About("The user who made it.", examples=["grace"])]
    at: Time
    state: Annotated[State, About(examples=["succeeded"])]
    tries: Annotated[int, About(examples=[1])]
    note: Annotated[str | None, About("For staff only.")] = None
    message: Annotated[str | None, About("For the student, who sees it as `answer`.")] = None
    answer: Annotated[str | None, About("Why Stripe or the bank did not make the refund.")] = None
    decided_by: Annotated[str | None, About("The member of staff.", examples=["grace"])] = None
    refund: Annotated[str | None, About("The id of Stripe's refund.", examples=["re_3SXk2e"])] = None
    order_key: Annotated[str | None, About("A digest of the `Idempotency-Key`.")] = None
    stripe_reason: Annotated[StripeReason | None, About("The reason that staff chose for Stripe.")] = None


@dataclass(kw_only=True)
class StaffPaymentWithRequests(StaffPayment):
    """A payment as staff see it, with all its refund requests."""

    refund_requests: list[StaffRefundRequest]
