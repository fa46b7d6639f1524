"""The types of the requests and answers of staff."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from api_schema.about import About, Amount, Currency, Cursor, Day, Email, PaymentId, Text, Time, Track, Url, UserId
from api_schema.payments import (
    AgreedTerms,
    AttentionReason,
    Document,
    PaymentMethod,
    Price,
    StaffPayment,
    StaffPaymentWithRequests,
    StaffRefundRequest,
)
from api_schema.students import EnrollmentFields, PageQuery
from tuition.core import books, catalog, enrollment, erasure, purchase_blocks
from tuition.core import statement as core_statement
from tuition.core.audit import Source
from tuition.core.emails import StudentKind
from tuition.core.facts import Kind, PhaseName
from tuition.core.notes import MAX_NOTE_LENGTH, MAX_TAGS
from tuition.core.payment import NoAccess, Status, Term
from tuition.core.refund_request import State, StripeReason
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.intake.stripe_events import Outcome
from tuition.payments import legal_hold
from tuition.payments.access import AccessDecision
from tuition.views import statement
from tuition.views.exports import ExportKind
from tuition.views.filters import MAX_CODE_LENGTH, Order, Refunded

Flag = Literal["true", "false"]
AnyTrack = Annotated[str, About("The code of a track.", enum=list(catalog.tracks()), examples=["DP"])]
EnrollmentStatus = enrollment.Status
Code = Annotated[str, About(pattern=f"^[a-z0-9_]{{1,{MAX_CODE_LENGTH}}}$")]
REFUNDED = (
    "`true`: all of it was refunded. `false`: not all. `partly`: only a part. `any`: all or a part. `none`: nothing."
)
ORDER = "By the time of creation."
METHOD = "The type of the payment method, or the brand of the card."
FAILURE = "Stripe's code of why the last attempt of an unpaid payment failed."


# --- lists ---


@dataclass(kw_only=True)
class FiltersQuery:
    """Filters for payments. All are optional, and all are combined."""

    status: Status | None = None
    track: AnyTrack | None = None
    refunded: Annotated[Refunded | None, About(REFUNDED)] = None
    attention: Flag | None = None
    disputed: Flag | None = None
    refund_request: Annotated[State | None, About("The state of the undecided refund request, else of the newest.")] = (
        None
    )
    method: Annotated[Code | None, About(METHOD, examples=["us_bank_account"])] = None
    failure: Annotated[Code | None, About(FAILURE, examples=["insufficient_funds"])] = None
    from_: Annotated[Day | None, About("The first UTC day of `created_at`.", name="from", examples=["2026-11-01"])] = (
        None
    )
    to: Annotated[Day | None, About("The last UTC day of `created_at`.")] = None
    amount_min: Annotated[int | None, About("In minor units, inclusive.", minimum=0, maximum=999_999_999_999)] = None
    amount_max: Annotated[int | None, About("In minor units, inclusive.", minimum=0, maximum=999_999_999_999)] = None
    currency: Annotated[Currency | None, About("Of `amount`. Without it, amounts of all currencies match.")] = None
    q: Annotated[
        str | None,
        About(
            "A user id, an email address or its beginning, or a payment, intent, session, charge, refund, dispute or"
            " customer id. Or words that must all match: four digits of a card or account, an amount in the major"
            " unit, or words of an email address.",
            maxLength=MAX_ID_LENGTH,
            examples=["ada@"],
        ),
    ] = None


@dataclass(kw_only=True)
class PaymentsQuery(FiltersQuery, PageQuery):
    """A page of the payments that match filters."""

    order: Annotated[Order, About(ORDER + " Not with `q`, which has its own order.")] = "newest"


@dataclass(kw_only=True)
class TotalsQuery(FiltersQuery):
    """Which payments to add up, and where to continue."""

    cursor: Annotated[str | None, About("The `next_cursor` of the answer before.", examples=["eyJ2IjoxfQ"])] = None


@dataclass
class TotalsOfCurrency:
    """Sums of payments in one currency."""

    currency: Currency
    amount: Annotated[Amount, About("Of all that match: what was received, and the price until then.")]
    received: Annotated[Amount, About("Of those that settled.")]
    refunded: Annotated[Amount, About("Refunds that are pending or succeeded.", examples=[0])]


@dataclass
class Totals:
    """The number and the sums of the matching payments among those that were read. Add up all answers."""

    payments: Annotated[int, About("Payments that match.", examples=[417])]
    read: Annotated[int, About("Payments that were read, at most 500.", examples=[500])]
    sums: list[TotalsOfCurrency]
    next_cursor: Cursor


@dataclass(kw_only=True)
class AttentionQuery(PageQuery):
    """A page of the payments that need attention."""

    order: Annotated[Order, About(ORDER)] = "newest"


@dataclass
class StaffPayments:
    """A page of payments."""

    payments: list[StaffPayment]
    next_cursor: Cursor


StatusMonth = Annotated[str, About(pattern="^[0-9]{4}-(0[1-9]|1[0-2])$", examples=["2026-11"])]


@dataclass(kw_only=True)
class StatusesQuery:
    """Which payments to count: those created in whole months (UTC), all by default."""

    first_month: StatusMonth | None = None
    last_month: StatusMonth | None = None
    track: AnyTrack | None = None


@dataclass
class Statuses:
    """How many payments have each status now."""

    all: Annotated[int, About(examples=[1284])]
    statuses: Annotated[dict[str, int], About("By status, also those that no payment has.", examples=[{"FAILED": 77}])]
    partly_refunded: Annotated[int, About("Of the `SUCCEEDED` ones.", examples=[9])]
    disputed: Annotated[int, About("Of any status, also after the dispute was decided.", examples=[13])]
    changed_at: Annotated[Time | None, About("When one of these numbers last changed; null without payments.")]


@dataclass(kw_only=True)
class CountsQuery:
    """A month or a year. Send exactly one."""

    month: Annotated[
        str | None,
        About("Count the days of this month.", pattern="^20[2-9][0-9]-(0[1-9]|1[0-2])$", examples=["2026-11"]),
    ] = None
    year: Annotated[str | None, About("Count the months of this year.", pattern="^20[2-9][0-9]$")] = None


@dataclass
class Count:
    """The payments of one period."""

    period: Annotated[str, About("A day or a month.", examples=["2026-11-23"])]
    payments: Annotated[int, About(examples=[12])]


@dataclass
class Counts:
    """Payments by period. Periods without payments are left out."""

    counts: list[Count]
    complete: Annotated[bool, About("False if the next request must continue to count.", examples=[True])]


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
    track: Track
    payment_status: Annotated[Status, About(examples=["SUCCEEDED"])]
    enrollment: Annotated[EnrollmentStatus | None, About("The student's current status.", examples=["ENROLLED"])]
    attention: Annotated[AttentionReason | None, About("The reason for attention; null once it is acknowledged.")]


@dataclass
class Disputes:
    """A page of disputes."""

    disputes: list[Dispute]
    next_cursor: Cursor


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
    track: Track
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


# --- one payment ---


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


@dataclass
class PaymentGroup:
    """The payment itself."""

    payment_id: PaymentId
    track: Track
    kind: Annotated[Kind, About(examples=["intent"])]
    attempt: Annotated[int, About("Its number among the user's payments for the track.", examples=[1])]
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


@dataclass(kw_only=True)
class StaffDocument(Document):
    """An invoice or a credit note, as staff see it."""

    dashboard_url: Annotated[Url | None, About("An invoice in Stripe's dashboard.")]


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


@dataclass
class StaffDocuments:
    """The documents of a payment, as staff see them: its invoice, then its credit notes, oldest first."""

    documents: list[StaffDocument]


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


@dataclass(kw_only=True)
class AuditRecord:
    """One line of the audit log, chained by hash to the line before it."""

    subject: Annotated[str, About("A payment, or a user.", examples=["pay_4f1c2a9b7d3e4c58"])]
    seq: Annotated[int, About(examples=[1])]
    at: Time
    event_id: Annotated[str, About(examples=["evt_1"])]
    type: Annotated[str, About(examples=["payment_intent.succeeded"])]
    source: Annotated[Source, About(examples=["webhook"])]
    actor: Annotated[str | None, About("A user id.", examples=["grace"])] = None
    user_id: UserId
    track: Annotated[Track | None, About(examples=["DP"])]
    transition: Annotated[
        dict[str, Any],
        About(
            "The changes: `status` and `enrollment` from and to, and amounts as deltas in minor units.",
            examples=[{"status": {"from": "CREATED", "to": "SUCCEEDED"}, "settled": 49900, "currency": "usd"}],
        ),
    ]
    facts: Annotated[
        dict[str, Any] | None,
        About(
            "The facts that it added to its payment, as a JSON merge patch, without fields that could name a person."
            " Missing in records of schema version 1, and in those that belong to no payment.",
            examples=[{"settled": {"amount": 49900, "currency": "usd", "at": 1763922600}}],
        ),
    ] = None
    previous: Annotated[str, About("The hash of the record before it.", examples=["9f86d0"])]
    schema_version: Annotated[int, About(examples=[2])]
    hash: Annotated[str, About(examples=["60303a"])]


@dataclass
class Chain:
    """Whether an audit chain verifies."""

    verified: bool
    problem: Annotated[str | None, About(examples=[None])]


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


@dataclass(kw_only=True)
class ActivityQuery(PageQuery):
    """A day of a member of staff. `support` may ask for the caller only."""

    staff: Annotated[UserId | None, About("By default the caller.", minLength=1)] = None
    day: Annotated[Day | None, About("A UTC day, by default today.")] = None


@dataclass
class StaffAction:
    """Something that a member of staff did on record."""

    at: Time
    type: Annotated[str, About("The type of the audit record.", examples=["refund.created_by_staff"])]
    payment_id: PaymentId | None
    user_id: Annotated[UserId | None, About("The student, if it is about one.")]
    track: Annotated[Track | None, About(examples=["DP"])]
    people: Annotated[int | None, About("Of a read: of how many people.", examples=[None])]


@dataclass
class Activity:
    """The actions of a member of staff on a day, newest first."""

    staff: UserId
    day: Day
    actions: list[StaffAction]
    next_cursor: Cursor


@dataclass
class ActiveMember:
    """A member of staff, and when they did anything last."""

    staff: UserId
    last_at: Time


@dataclass
class ActiveStaff:
    """The members of staff who did anything in the last 400 days, the most recent first."""

    staff: list[ActiveMember]


@dataclass
class Note:
    """A note of staff about a student or a payment."""

    note_id: Annotated[str, About(examples=["note_018c0a1b2c3d4e5f6a7b8c9d"])]
    at: Time
    by: UserId
    text: Annotated[str, About(examples=["Called; a parent pays"])]
    payment_id: Annotated[PaymentId | None, About("Null for a note about the student.")]


@dataclass
class Notes:
    """The tags and notes of a student or a payment."""

    tags: Annotated[list[str], About(examples=[["vip"]])]
    notes: Annotated[list[Note], About("Newest first. Those of a student include those on their payments.")]
    full: Annotated[bool, About("Whether the student has the maximum number of notes.", examples=[False])]


@dataclass
class NotesShown:
    """The tags and notes after a change."""

    notes: Notes


@dataclass(kw_only=True)
class NoteTopicQuery:
    """The payment or the student that a note is about. Send exactly one."""

    payment_id: Annotated[PaymentId | None, About("A payment.")] = None
    user_id: Annotated[UserId | None, About("A student.")] = None


@dataclass
class NewNote:
    """A note to write."""

    text: Annotated[
        str, About(minLength=1, maxLength=MAX_NOTE_LENGTH, pattern=r"\S", examples=["Called; a parent pays"])
    ]


@dataclass
class NoteRemoval:
    """The note to delete."""

    note_id: Annotated[str, About(minLength=1, maxLength=MAX_ID_LENGTH, pattern=r"\S", examples=["note_018c0a1b"])]


@dataclass(kw_only=True)
class TagsChange:
    """Tags to add, and tags to remove. Case does not matter."""

    add: Annotated[list[str], About(maxItems=MAX_TAGS, examples=[["vip"]])] = field(default_factory=list)
    remove: Annotated[list[str], About(maxItems=MAX_TAGS, examples=[[]])] = field(default_factory=list)


@dataclass
class EmailToStudent:
    """The outcome of an email about a payment."""

    kind: Annotated[StudentKind, About(examples=["purchase_confirmed"])]
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


@dataclass
class Explanation:
    """Why a payment gives access, or why not."""

    payment_id: PaymentId
    enrollment: Annotated[EnrollmentStatus | None, About("By all payments of the student.", examples=["ENROLLED"])]
    grants_access: Annotated[bool, About("Whether this payment, on its own, gives access: all terms hold.")]
    sentence: Annotated[str, About(examples=["The student is enrolled in DP: this payment was paid."])]
    terms: Annotated[list[AccessTerm], About("The first that does not hold is the reason.")]


# --- decisions about a payment ---


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
    note: Annotated[Text, About(examples=["compared with Stripe"])]
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


# --- users ---


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
class StudentTimeline:
    """A page of a user's payments, the newest first, with their events. Those of two pages overlap in time."""

    payments: list[PaymentEvents]
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


# --- selling ---


@dataclass
class SellingDecisionMade:
    """The newest decision to stop selling, or to sell again."""

    note: str
    actor: UserId
    at: Time


@dataclass
class Selling:
    """Whether students can buy, with the history of the switch."""

    selling: Annotated[bool, About(examples=[True])]
    message: Annotated[str | None, About("The text for students while nothing is sold.", examples=[None])]
    decision: SellingDecisionMade | None
    version: Annotated[int, About("The number of decisions.", examples=[2])]
    audit: list[AuditRecord]
    chain: Chain


@dataclass(kw_only=True)
class SellingDecision:
    """A decision to stop every new purchase, or to sell again."""

    selling: Annotated[bool, About(examples=[False])]
    note: Annotated[Text, About("For staff.", examples=["A price is wrong"])]
    message: Annotated[Text | None, About("For students, with `selling` false only.")] = None
    expected_version: Annotated[int | None, About("The version that you saw.", examples=[2])] = None


# --- exports ---


@dataclass(kw_only=True)
class PaymentFilters:
    """The filters of the list of payments. Numbers and booleans may also be texts."""

    status: Status | None = None
    track: AnyTrack | None = None
    refunded: Annotated[bool | Refunded | None, About(REFUNDED)] = None
    attention: Annotated[bool | Flag | None, About()] = None
    disputed: Annotated[bool | Flag | None, About()] = None
    refund_request: State | None = None
    method: Annotated[Code | None, About(METHOD)] = None
    failure: Annotated[Code | None, About(FAILURE)] = None
    from_: Annotated[Day | None, About(name="from", examples=["2026-11-01"])] = None
    to: Day | None = None
    amount_min: Annotated[int | None, About(minimum=0, maximum=999_999_999_999)] = None
    amount_max: Annotated[int | None, About(minimum=0, maximum=999_999_999_999)] = None
    currency: Currency | None = None
    q: Annotated[str | None, About(maxLength=MAX_ID_LENGTH)] = None


@dataclass(kw_only=True)
class ExportOrder:
    """What to export."""

    kind: Annotated[
        ExportKind,
        About(
            "`payments`: the payments that match the filters. `statement`: every balance transaction of a month."
            " `payouts`: what the payouts of a month include."
        ),
    ] = "payments"
    filters: Annotated[PaymentFilters, About("For `payments` only.")] = field(default_factory=PaymentFilters)
    month: Annotated[
        str | None,
        About("For a `statement` and `payouts` only: the month, UTC.", pattern=statement.MONTH_PATTERN),
    ] = None


SignedAmount = Annotated[int, About("In minor units, below zero if it left the balance.", examples=[-1477])]
Month = Annotated[str, About(examples=["2026-11"])]


@dataclass
class StatementLine:
    """One balance transaction of Stripe's with its payment."""

    transaction_id: Annotated[str, About(examples=["txn_3SXk2e"])]
    created_at: Time
    available_at: Annotated[Time, About("When its funds become available for a payout.")]
    type: Annotated[str, About("Stripe's type.", examples=["charge"])]
    kind: Annotated[core_statement.LineKind, About(examples=["charge"])]
    explained: Annotated[bool, About("Whether our payment has the same amount, or it is a payout.", examples=[True])]
    currency: Annotated[Currency, About("The settlement currency, of `amount`, `fee` and `net`.")]
    amount: SignedAmount
    fee: Annotated[int, About("Stripe's fee, which `net` does not include.", examples=[1477])]
    net: SignedAmount
    description: Annotated[str, About("Stripe's description, at most 200 characters.", examples=[""])]
    source_amount: Annotated[int | None, About("The amount of the charge, refund or dispute.", examples=[49900])]
    source_currency: Annotated[Currency | None, About("Of `source_amount` and `our_amount`.")]
    our_amount: Annotated[int | None, About("The amount of it that our payment has.", examples=[49900])]
    charge: Annotated[str | None, About(examples=["ch_3SXk2e"])]
    refund: Annotated[str | None, About(examples=[None])]
    dispute: Annotated[str | None, About(examples=[None])]
    payment_intent: Annotated[str | None, About(examples=["pi_3SXk2e"])]
    payout: Annotated[str | None, About("The payout that includes it, in a tie-out; else one that it is about.")]
    payment_id: PaymentId | None
    track: Track | None
    paid_at: Annotated[Time | None, About("When the payment was paid.")]
    source: Annotated[str | None, About("The id of a source of another kind, such as a transfer.", examples=[None])]


@dataclass
class StatementSum:
    """The lines of one kind and currency that are explained, or those that are not."""

    kind: Annotated[core_statement.LineKind, About(examples=["charge"])]
    currency: Currency
    explained: Annotated[bool, About(examples=[True])]
    lines: Annotated[int, About(examples=[12])]
    amount: SignedAmount
    fee: Annotated[int, About("Stripe's fees, which `net` does not include.", examples=[1477])]
    net: SignedAmount


@dataclass
class StatementTotal:
    """The changes of the balance in one currency."""

    currency: Currency
    settled: SignedAmount
    refunded: SignedAmount
    lost: Annotated[int, About("Disputes, less their money that has returned, also while they are undecided.")]
    fees: Annotated[int, About("The fees of the lines of payments, below zero.", examples=[-1477])]
    net: Annotated[int, About("`settled` + `refunded` + `lost` + `fees`.")]
    other: Annotated[int, About("All lines that belong to no payment of ours, except for payouts.")]
    paid_out: Annotated[int, About("Payouts, less those that returned.")]
    balance_change: Annotated[int, About("`net` + `other` + `paid_out`: the sum of all lines.")]


@dataclass
class Period:
    """The month of a statement or a tie-out."""

    month: Month
    through: Annotated[Time, About("The last second that it covers.")]
    complete: Annotated[bool, About("False if it was ordered before the month ended.", examples=[True])]
    unexplained: Annotated[list[StatementLine], About("The newest lines that are not explained, at most 200.")]
    unexplained_lines: Annotated[int, About("How many there are. The file has all.", examples=[0])]


@dataclass
class Statement(Period):
    """The sums of a monthly statement, which equal those of its file."""

    totals: Annotated[list[StatementTotal], About("One per currency.")]
    sums: list[StatementSum]


@dataclass
class Payout:
    """A payout, with the sums of the balance transactions that it includes."""

    payout_id: Annotated[str, About(examples=["po_1SXk2e"])]
    created_at: Time
    arrives_at: Time
    status: Annotated[str, About("Stripe's status.", examples=["paid"])]
    automatic: Annotated[bool, About("Stripe cannot say what a manual payout includes.", examples=[True])]
    reconciliation_status: Annotated[str, About("`completed` once Stripe's list is final.", examples=["completed"])]
    currency: Currency
    amount: Amount
    balance_transaction: Annotated[str | None, About("Its own.", examples=["txn_1SXk2e"])]
    failure_balance_transaction: Annotated[str | None, About("The one that returned it.", examples=[None])]
    listed: Annotated[bool, About("Whether Stripe has listed what it includes.", examples=[True])]
    sums: Annotated[list[StatementSum], About("Without its own balance transactions.")]
    difference: Annotated[int, About("`amount` less the net of the sums: 0 if it ties out.", examples=[0])]


@dataclass
class TieOut(Period):
    """The payouts of a month, newest first, and what they include."""

    payouts: list[Payout]


@dataclass
class Export:
    """An export."""

    export_id: Annotated[str, About(examples=["exp_1"])]
    kind: Annotated[ExportKind, About(examples=["payments"])]
    state: Annotated[Literal["waiting", "running", "done", "failed"], About(examples=["running"])]
    filters: Annotated[dict[str, str], About("Also the month.", examples=[{"status": "SUCCEEDED"}])]
    rows: Annotated[int, About("The rows so far.", examples=[120])]
    bytes: Annotated[int | None, About("Null until it is done.", examples=[None])]
    ordered_at: Time
    done_at: Annotated[Time | None, About(examples=[None])]
    problem: Annotated[str | None, About("Why it failed.", examples=[None])]
    url: Annotated[Url | None, About("A link to the file, which works for five minutes.", examples=[None])]
    url_expires_at: Annotated[Time | None, About(examples=[None])]
    statement: Annotated[Statement | None, About("Of a `statement` that is done.", examples=[None])]
    tie_out: Annotated[TieOut | None, About("Of `payouts` that are done.", examples=[None])]


# --- analytics ---


@dataclass(kw_only=True)
class AnalyticsDetailsQuery:
    """A range of days, both inclusive, and what to keep of them."""

    from_: Annotated[Day | None, About("The first day.", name="from", examples=["2026-11-01"])] = None
    to: Annotated[Day | None, About("The last day. Without it, today.")] = None
    currency: Currency | None = None
    track: AnyTrack | None = None
    zone: Annotated[
        Literal["utc", "school"] | None,
        About("The time zone of the days: UTC, or the school's; `utc` without it."),
    ] = None


@dataclass(kw_only=True)
class AnalyticsQuery(AnalyticsDetailsQuery):
    """A range of days, what to keep of them, and the length of a period."""

    by: Annotated[Literal["day", "week", "month"] | None, About("The length of a period; `day` without it.")] = None


@dataclass(kw_only=True)
class Figures:
    """The figures of payments in one currency. Amounts are in minor units."""

    currency: Currency
    created: Annotated[int, About("The prices of the payments that were created.", examples=[99800])]
    settled: Annotated[int, About("What Stripe received.", examples=[49900])]
    refunded: Annotated[int, About("Refunds that are pending or succeeded.", examples=[0])]
    lost: Annotated[int, About("The amounts lost to disputes, on the day on which these were opened.", examples=[0])]
    fees: Annotated[int, About("Stripe's fees that the daily audit has stored.", examples=[1477])]
    net: Annotated[int, About("Settled less refunded, lost and fees.", examples=[48423])]
    payments: Annotated[int, About("How many payments were created.", examples=[2])]
    failures: Annotated[dict[str, int], About("How many charges failed, by code.", examples=[{"card_declined": 1}])]


@dataclass(kw_only=True)
class PeriodFigures(Figures):
    """The figures of one period in one currency."""

    period: Annotated[
        str, About("A day, an ISO week (`2026-W48`) or a month (`2026-11`).", examples=["2026-11-23", "2026-W48"])
    ]


@dataclass
class FigureDifference:
    """A figure that differs from the payments."""

    roll_up: Annotated[str, About("The roll-up's key, or a payment that was not counted.")]
    figure: Annotated[str, About("Its name, or `missing` for a payment that was not counted.", examples=["settled"])]
    rolled_up: int
    recounted: int


@dataclass
class RecountResult:
    """The result of the newest recount. `at` and `equal` are null before the first."""

    at: Time | None
    equal: bool | None
    differences: list[FigureDifference]


@dataclass(kw_only=True)
class AnalyticsRange:
    """The days that the figures are of, both inclusive, in a time zone."""

    from_: Annotated[Day, About("The first day.", name="from", examples=["2026-11-01"])]
    to: Annotated[Day, About("The last day. If the request named none, it is today in this time zone.")]
    zone: Annotated[str, About("The time zone in the IANA database.", examples=["UTC", "Europe/Berlin"])]


@dataclass
class Analytics:
    """Figures by period and currency. Periods without figures are left out."""

    periods: list[PeriodFigures]
    totals: Annotated[list[Figures], About("The sums of all periods, by currency.")]
    range: AnalyticsRange
    recount: RecountResult


@dataclass(kw_only=True)
class PaymentOutcome:
    """The outcome of payments of one currency, track and method. Amounts are in minor units."""

    currency: Currency
    track: Track
    method: Annotated[str, About("Stripe's type of the payment method; `none` without a charge.", examples=["card"])]
    payments: Annotated[int, About("How many payments were created.", examples=[2])]
    paid: Annotated[int, About("How many of these have settled since.", examples=[1])]
    settlements: Annotated[int, About("How many payments settled, whenever they were created.", examples=[1])]
    recovered: Annotated[int, About("How many of these settled after a failed charge.", examples=[0])]
    mean_seconds_to_pay: Annotated[int | None, About("The mean time from creation to settlement.", examples=[95])]
    settled: Annotated[int, About(examples=[49900])]
    refunds: Annotated[int, About("How many refunds are pending or succeeded.", examples=[0])]
    refunded: Annotated[int, About(examples=[0])]
    disputes: Annotated[int, About("How many disputes were opened, without inquiries.", examples=[0])]
    disputed: Annotated[int, About(examples=[0])]


@dataclass
class CodeUses:
    """The uses of a promotion code by payments that settled."""

    code: Annotated[str, About(examples=["SPRING20"])]
    currency: Currency
    uses: Annotated[int, About(examples=[3])]
    discount: Annotated[int, About("The sum by which prices were lower, in minor units.", examples=[30000])]


@dataclass
class Cohort:
    """The students whose payment settled in one month."""

    month: Annotated[str, About(pattern="^[0-9]{4}-[0-9]{2}$", examples=["2026-11"])]
    track: Track
    enrolled: Annotated[int, About("How many payments gave access.", examples=[12])]
    refunded: Annotated[int, About("How many of the month's payments are wholly refunded.", examples=[1])]


@dataclass
class AnalyticsDetails:
    """Outcomes, the 50 most used codes of the range, and the cohorts of its months."""

    outcomes: list[PaymentOutcome]
    codes: list[CodeUses]
    complete: Annotated[bool, About("False if the range has too many codes to read: choose fewer days.")]
    cohorts: list[Cohort]


# --- books and quarantine ---


@dataclass
class Difference:
    """A difference between our books and Stripe's."""

    kind: Annotated[books.Kind, About(examples=["charge"])]
    day: Annotated[str, About("A UTC day; empty for a difference that is about no day.", examples=["2026-11-23"])]
    currency: Currency | None
    ours: Annotated[int, About("In minor units, below zero for money that left; a count without a currency.")]
    stripe: Annotated[int, About("As `ours`, at Stripe.")]
    ids: Annotated[list[str], About("The ids that differ, at most 20.", examples=[["ch_3SXk2e"]])]


@dataclass
class Books:
    """The result of the daily audit. Everything is null before the first."""

    compared_at: Time | None
    through: Annotated[Day | None, About("The last UTC day that was compared.")]
    equal: Annotated[bool | None, About("Null also while an audit is not finished and has found no difference.")]
    differences: list[Difference]
    unfinished: Annotated[
        list[str], About("The tasks of an audit that are not finished, or have failed and are repeated.", examples=[[]])
    ]


@dataclass
class QuarantinedEvent:
    """An event of ours that could not be applied."""

    event_id: Annotated[str, About(examples=["evt_1"])]
    reason: Annotated[str, About(examples=["the event has no object"])]
    first_at: Annotated[Time, About("Its first arrival.")]
    last_at: Annotated[Time, About("The last try.")]
    tries: Annotated[int, About(examples=[1])]


@dataclass
class QuarantinedEvents:
    """A page of the quarantine, newest first."""

    events: list[QuarantinedEvent]
    next_cursor: Cursor


@dataclass
class Discarded:
    """The member of staff who discarded an event, and the reason."""

    at: Time
    by: UserId
    note: str


@dataclass
class QuarantinedEventWithPayload(QuarantinedEvent):
    """A quarantined event as Stripe sent it, without secrets and personal data."""

    payload: Annotated[Any, About("Null for a discarded event.", examples=[{"id": "evt_1", "object": "event"}])]
    discarded: Discarded | None


@dataclass
class QuarantinedEventDetails:
    """One quarantined event."""

    event: QuarantinedEventWithPayload


@dataclass
class ReplayedEvent:
    """The outcome of an event that was tried again."""

    event_id: Annotated[str, About(examples=["evt_1"])]
    outcome: Annotated[Outcome, About(examples=["applied"])]


@dataclass
class DiscardOrder:
    """Why an event is not to be applied."""

    note: Annotated[Text, About(examples=["sent by a test"])]
