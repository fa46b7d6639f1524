"""One payment: its details, audit records, moments, documents and explanation."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from api_schema.about import About, PaymentId, Time, Url
from api_schema.payments import Document, StaffPaymentWithRequests
from api_schema.plans import Plan, PlanStatus
from api_schema.staff.audit import AuditRecord, Chain
from api_schema.staff.facts import Facts
from api_schema.staff.fields import EnrollmentStatus
from api_schema.staff.notes import Notes
from api_schema.staff.payment_groups import Groups
from tuition.core.emails import PlanEmailKind, StudentKind
from tuition.core.payment import NoAccess, Term
from tuition.payments.access import AccessDecision


@dataclass(kw_only=True)
class Action:
    """Something that an admin can do now."""

    action: Annotated[
        Literal["refund", "approve", "decline", "send_email"] | AccessDecision,
        About(
            "`refund`, a decision about access or about a refund request, or an email to send again.",
            examples=["revoke"],
        ),
    ]
    no_access_reason: Annotated[
        NoAccess | None, About("Of a decision about access: why the payment gives no access after it.")
    ] = None
    request: Annotated[str | None, About("The refund request to decide.")] = None
    kind: Annotated[StudentKind | None, About("Of `send_email`: the email.")] = None


@dataclass(kw_only=True)
class StaffDocument(Document):
    """An invoice or a credit note, as staff see it."""

    dashboard_url: Annotated[Url | None, About("An invoice in Stripe's dashboard.")]


@dataclass
class StaffDocuments:
    """The documents of a payment, as staff see them: its invoice, then its credit notes, oldest first."""

    documents: list[StaffDocument]


@dataclass(kw_only=True)
class MomentQuery:
    """The moment at which to look at a payment. Send one of the two, or none for the present."""

    at: Annotated[
        str | None,
        About("A time with its offset: the payment as our tables had it then.", examples=["2026-11-28T13:00:00Z"]),
    ] = None
    version: Annotated[int | None, About("The number of its newest record.", minimum=1, maximum=999_999)] = None


@dataclass
class MomentShown:
    """The moment at which a payment is shown."""

    version: Annotated[int, About("The number of its newest record then.", examples=[3])]
    versions: Annotated[int, About("The number of its records now.", examples=[7])]
    recorded_at: Annotated[Time, About("When that record was committed.")]
    complete: Annotated[
        bool, About("False: a record of schema version 1 has no facts. They are known as far as others show them.")
    ]
    not_recorded: Annotated[
        list[str], About("The fields that do not follow from records. They are null or empty.", examples=[["email"]])
    ]


@dataclass
class EmailToStudent:
    """The outcome of an email about a payment."""

    kind: Annotated[StudentKind | PlanEmailKind, About(examples=["purchase_confirmed"])]
    state: Annotated[
        Literal["claimed", "sent", "skipped", "unsent"],
        About("`claimed`: it is being sent. `unsent`: it may not have been sent.", examples=["sent"]),
    ]
    reason: Annotated[str | None, About("Of `skipped`: why it was not sent.", examples=[None])]
    at: Time


@dataclass
class PaymentDetails:
    """One payment with everything about it, as it is or as it was."""

    payment: StaffPaymentWithRequests
    actions: Annotated[list[Action], About("The actions that an admin can do now: nothing that would be refused.")]
    groups: Groups
    facts: Facts
    audit: list[AuditRecord]
    chain: Chain
    emails: Annotated[list[EmailToStudent], About("The emails to the student, the oldest first.")]
    plan: Annotated[Plan | None, About("The plan whose installments it pays. Null without one, and for the past.")]
    notes: Annotated[Notes | None, About("Null for the past.")]
    moment: Annotated[MomentShown | None, About("Null for the present.")]


@dataclass
class AccessTerm:
    """One condition of access, with the facts that decide it."""

    term: Annotated[
        Term,
        About(
            "`settled`: Stripe received the money. `not_revoked`: staff did not end the access. `no_dispute_lost`: no"
            " dispute was decided against the school. `not_refunded`: not all was refunded. `not_withdrawn`: the"
            " student did not withdraw from the contract. `amount_agrees`: the amount received is the price, or staff"
            " accepted it.",
            examples=["settled"],
        ),
    ]
    holds: bool
    facts: Annotated[
        dict[str, Any],
        About(
            "As in audit records. A fact that there is none of is missing.",
            examples=[{"settled": {"amount": 49900, "currency": "usd", "at": 1763922600}}],
        ),
    ]
    records: Annotated[list[int], About("The numbers of the audit records that brought these facts.", examples=[[2]])]


@dataclass(kw_only=True)
class PlanChange:
    """A change of a plan's status, and the record that brought it: of the plan, or of one of its payments."""

    at: Time
    subject: Annotated[str, About("The plan's id, or a payment's.", examples=["pln_4f1c2a9b7d3e4c58"])]
    seq: Annotated[int, About("The number of the record in its chain.", examples=[3])]
    type: Annotated[str, About("The record's type.", examples=["plan.tick"])]
    from_: Annotated[PlanStatus | None, About("Null: the plan was new.", name="from", examples=["ACTIVE"])]
    to: Annotated[PlanStatus, About(examples=["LATE"])]


@dataclass
class Explanation:
    """Why a payment gives access, or why not."""

    payment_id: PaymentId
    enrollment: Annotated[EnrollmentStatus | None, About("By all payments of the student.", examples=["ENROLLED"])]
    grants_access: Annotated[bool, About("Whether this payment, on its own, gives access: all terms hold.")]
    plan_id: Annotated[str | None, About("The plan whose installments it pays: that one gives access.")]
    sentence: Annotated[str, About(examples=["The student is enrolled in DP: this payment was paid."])]
    terms: Annotated[list[AccessTerm], About("The first that does not hold is the reason.")]
    plan_changes: Annotated[
        list[PlanChange], About("The changes of the plan's status, the oldest first. Empty without a plan.")
    ]
