"""The queue of refund requests."""

from dataclasses import dataclass
from typing import Annotated, Literal

from api_schema.about import About, Amount, Cursor, Email, PaymentId, Time, Track, UserId
from api_schema.payments import StaffRefundRequest
from api_schema.staff.fields import EnrollmentStatus
from api_schema.students import PageQuery
from tuition.core.payment import Status


@dataclass(kw_only=True)
class RefundRequestsQuery(PageQuery):
    """Which refund requests to list."""

    state: Literal["awaiting_approval"] = "awaiting_approval"


@dataclass(kw_only=True)
class QueuedRefundRequest(StaffRefundRequest):
    """A refund request that awaits approval, with its payment."""

    payment_id: PaymentId
    user_id: UserId
    email: Email | None
    track: Annotated[Track | None, About("The code of the track; null for a payment of a membership.")]
    membership: Annotated[str | None, About("The code of the membership that it pays.", examples=[None])]
    plan_id: Annotated[str | None, About("The plan whose installments it pays.", examples=[None])]
    paid_at: Time | None
    refundable_amount: Amount
    payment_status: Annotated[Status, About(examples=["SUCCEEDED"])]
    disputed: Annotated[bool, About(examples=[False])]
    can_approve: Annotated[bool, About("False while a dispute holds the funds.", examples=[True])]
    can_decline: Annotated[bool, About("False after a withdrawal from the contract.", examples=[True])]
    refund_due_by: Annotated[Time | None, About("By when a withdrawal must be refunded.", examples=[None])]
    enrollment: Annotated[EnrollmentStatus | None, About(examples=["ENROLLED"])]


@dataclass
class RefundRequests:
    """A page of refund requests, the oldest first."""

    refund_requests: list[QueuedRefundRequest]
    next_cursor: Cursor
