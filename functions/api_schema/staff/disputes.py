"""Disputes, and the evidence for them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from api_schema.about import About, Amount, Currency, Cursor, Email, PaymentId, Time, Track, Url, UserId
from api_schema.payments import AttentionReason
from api_schema.staff.fields import EnrollmentStatus
from api_schema.students import PageQuery
from tuition.core.payment import Status


@dataclass(kw_only=True)
class DisputesQuery(PageQuery):
    """Which disputes to list. `limit` counts payments."""

    state: Annotated[Literal["open", "over"], About("`open`: earliest due date first. `over`: newest first.")] = "open"


@dataclass(kw_only=True)
class DisputeFields:
    """A dispute."""

    dispute_id: Annotated[str, About(examples=["du_1"])]
    status: Annotated[str, About("Stripe's status.", examples=["needs_response"])]
    reason: Annotated[str, About("Stripe's reason.", examples=["fraudulent"])]
    amount: Annotated[Amount, About("In `currency`.")]
    withdrawn: Annotated[Amount, About("The amount that the bank has taken so far, in `withdrawn_currency`.")]
    withdrawn_currency: Annotated[Currency | None, About("The settlement currency; null before the bank moved money.")]
    currency: Currency
    created_at: Time
    due_by: Annotated[Time | None, About("By when Stripe wants an answer.")]
    over: Annotated[bool, About(examples=[False])]
    stripe_url: Annotated[Url, About("The dispute in Stripe's dashboard.")]


@dataclass(kw_only=True)
class Dispute(DisputeFields):
    """A dispute with its payment."""

    payment_id: PaymentId
    user_id: UserId
    email: Email | None
    track: Annotated[Track | None, About("The code of the track; null for a payment of a membership.")]
    membership: Annotated[str | None, About("The code of the membership that it pays.", examples=[None])]
    plan_id: Annotated[str | None, About("The plan whose installments it pays.", examples=[None])]
    payment_status: Annotated[Status, About(examples=["SUCCEEDED"])]
    enrollment: Annotated[EnrollmentStatus | None, About("The student's current status.", examples=["ENROLLED"])]
    attention: Annotated[AttentionReason | None, About("The reason for attention; null once it is acknowledged.")]


@dataclass
class Disputes:
    """A page of disputes."""

    disputes: list[Dispute]
    next_cursor: Cursor


@dataclass
class Evidence:
    """The evidence for a dispute: what was saved as a draft, else what our records say."""

    dispute: DisputeFields
    fields: Annotated[dict[str, str], About("The texts, by Stripe's names.", examples=[{"service_date": "2026-11-24"}])]
    assembled: Annotated[dict[str, str], About("The texts that our records give.", examples=[{}])]
    names: Annotated[list[str], About("Every field that has a text.", examples=[["service_date"]])]
    characters: Annotated[int, About("Of all `fields` together.", examples=[10])]
    max_characters: Annotated[int, About(examples=[150000])]
    state: Annotated[
        Literal["draft", "submitting", "sent"],
        About("`submitting`: Stripe's answer is not known. Sending again resumes it.", examples=["draft"]),
    ]
    saved_at: Annotated[Time | None, About("Null without a draft.")]
    saved_by: Annotated[UserId | None, About("The member of staff who saved or sent it.")]


@dataclass
class EvidenceDraft:
    """A draft of the evidence."""

    fields: Annotated[dict[str, str], About("The texts. An empty one is left out.")]
    saved_at: Annotated[str | None, About("The `saved_at` of the draft that it replaces; null if there is none.")] = (
        None
    )


@dataclass
class EvidenceOrder:
    """The draft to send to the bank."""

    saved_at: Annotated[str, About("The `saved_at` of the draft that you read.", examples=["2026-11-29T18:00:00.000Z"])]
