"""A user: payments, purchases, standings, legal hold, erasure and timeline."""

from dataclasses import dataclass
from typing import Annotated, Literal

from api_schema.about import About, Cursor, Email, PaymentId, Text, Time, Track, Url, UserId
from api_schema.enrollments import EnrollmentFields
from api_schema.payments import StaffPayment, StaffPaymentWithRequests
from api_schema.plans import Plan, StaffPlan
from api_schema.staff.audit import AuditRecord, Chain
from api_schema.staff.facts import Facts
from api_schema.staff.notes import Notes
from api_schema.staff.payment import EmailToStudent
from api_schema.students import PageQuery
from tuition.core import erasure, purchase_blocks
from tuition.payments import legal_hold


@dataclass(kw_only=True)
class UserQuery(PageQuery):
    """A user, and a page of their payments."""

    user_id: Annotated[UserId, About("The user's id, which may have a `/`.", minLength=1)]


@dataclass
class StripeCustomer:
    """A user's customer at Stripe."""

    stripe_customer_id: Annotated[str, About(examples=["cus_T1x"])]
    stripe_url: Annotated[Url, About("In Stripe's dashboard.")]
    generation: Annotated[int, About("Rises with each customer that replaces a missing one.", examples=[1])]
    created_at: Time | None
    updated_at: Time | None


@dataclass
class PurchaseDecisionMade:
    """The newest decision of staff about a user's purchases."""

    decision: Annotated[purchase_blocks.Decision, About(examples=["allow"])]
    note: str
    actor: UserId
    at: Time


@dataclass
class Purchases:
    """Whether a user may buy, and what blocks them."""

    blocked: Annotated[bool, About(examples=[False])]
    blocking: Annotated[list[str], About("Disputes (`du_…`) and blocks by staff (`staff:3`).", examples=[[]])]
    lost_disputes: Annotated[list[str], About(examples=[[]])]
    allowed: Annotated[list[str], About(examples=[[]])]
    decision: PurchaseDecisionMade | None


@dataclass
class LegalHoldMade:
    """The newest decision of staff about a user's legal hold."""

    decision: Annotated[legal_hold.Decision, About(examples=["set"])]
    note: str
    actor: UserId
    at: Time


@dataclass
class LegalHold:
    """Whether staff hold a user's data, so that they are neither erased nor deleted."""

    held: Annotated[bool, About(examples=[False])]
    decision: LegalHoldMade | None


@dataclass
class Erasure:
    """The erasure of a user's data: scheduled, under way or done."""

    state: Annotated[erasure.State, About(examples=["scheduled"])]
    requested_at: Time
    due_at: Time
    by: Annotated[UserId, About("The user, or the member of staff who requested it.")]
    note: Annotated[str | None, About("The note of staff, until it is done.")]
    sign_in_ended_at: Time | None
    erased_at: Time | None


@dataclass
class History:
    """Counts over all payments of a user."""

    disputes: Annotated[int, About(examples=[0])]
    disputes_lost: Annotated[int, About(examples=[0])]
    refunds: Annotated[int, About(examples=[0])]


@dataclass
class DeliveryProblem:
    """Why emails do not reach a user."""

    problem: Annotated[
        Literal["bounced", "complained"],
        About("The address bounced for good, or its owner reported an email as spam.", examples=["bounced"]),
    ]
    at: Time


@dataclass
class User:
    """A user."""

    user_id: UserId
    email: Email | None
    email_delivery: DeliveryProblem | None
    customer: StripeCustomer | None
    purchases: Purchases
    legal_hold: LegalHold
    erasure: Erasure | None
    history: History
    refunded_payments: Annotated[
        dict[str, int], About("How many payments of each track were refunded, wholly or in part.", examples=[{"DP": 2}])
    ]


@dataclass
class StandingProblem:
    """Something that lets a user into a track and that no payment explains."""

    track: Track
    payment_id: PaymentId | None
    problem: str


@dataclass
class Standings:
    """Whether payments explain all that lets a user in."""

    verified: bool
    problems: list[StandingProblem]


@dataclass
class UserDetails:
    """A user with their enrollments, a page of their payments, and their own audit chain."""

    user: User
    enrollments: list[EnrollmentFields]
    payments: list[StaffPayment]
    next_cursor: Cursor
    plans: Annotated[list[StaffPlan], About("The newest 20.", examples=[[]])]
    notes: Notes
    audit: list[AuditRecord]
    chain: Chain
    standings: Standings


@dataclass
class PaymentEvents:
    """A payment with all its events."""

    payment: StaffPaymentWithRequests
    facts: Facts
    audit: list[AuditRecord]
    emails: list[EmailToStudent]


@dataclass
class PlanEvents:
    """A plan with the events that belong to none of its payments."""

    plan: Plan
    audit: list[AuditRecord]
    emails: list[EmailToStudent]


@dataclass
class StudentTimeline:
    """A page of a user's payments, the newest first, with their events. Those of two pages overlap in time."""

    payments: list[PaymentEvents]
    plans: Annotated[list[PlanEvents], About("Those that these payments pay. Another page may repeat one.")]
    next_cursor: Cursor


@dataclass(kw_only=True)
class TimelineQuery:
    """A user, and a position in their payments."""

    user_id: Annotated[UserId, About("The user's id, which may have a `/`.", minLength=1)]
    cursor: Annotated[str | None, About("The `next_cursor` of the page before.", examples=["eyJ2IjoxfQ"])] = None


@dataclass(kw_only=True)
class UserIdQuery:
    """A user."""

    user_id: Annotated[UserId, About("The user's id, which may have a `/`.", minLength=1)]


@dataclass
class PurchaseDecision:
    """A decision about a user's purchases."""

    decision: Annotated[purchase_blocks.Decision, About(examples=["allow"])]
    note: Annotated[Text, About(examples=["The bank was wrong"])]


@dataclass
class UserPurchases:
    """A user's purchases after a decision."""

    purchases: Purchases


@dataclass
class LegalHoldDecision:
    """A decision to hold a user's data, or to lift the hold."""

    decision: Annotated[legal_hold.Decision, About(examples=["set"])]
    note: Annotated[Text, About(examples=["Claim 4711, asked by our lawyer"])]


@dataclass
class ErasureOrder:
    """An erasure that staff request for a user."""

    note: Annotated[Text, About(examples=["Letter of 23 November"])]


@dataclass
class UserErasure:
    """A user's erasure after staff have requested it."""

    erasure: Erasure


@dataclass
class UserLegalHold:
    """A user's legal hold after a decision."""

    legal_hold: LegalHold
