"""The types of the requests and answers about payment plans."""

from dataclasses import dataclass
from typing import Annotated, Literal

from api_schema.about import (
    About,
    Amount,
    Currency,
    Cursor,
    Day,
    Email,
    IntentId,
    PaymentId,
    Text,
    Time,
    Track,
    Url,
    UserId,
)
from api_schema.payments import RefundRequest
from api_schema.students import SoldTrack, TermsVersion
from tuition.core import payment
from tuition.core.offers import Every
from tuition.core.plan import CloseReason, Status, StoppedBy
from tuition.core.plan_attempts import WhyNone
from tuition.core.plan_decisions import What
from tuition.core.plan_installments import State

PlanId = Annotated[str, About("The id of the plan.", examples=["pln_4f1c2a9b7d3e4c58"])]
Seq = Annotated[int, About("The number of the installment, from 1.", minimum=1, examples=[2])]
OfferCode = Annotated[str, About("The code of the offer.", examples=["4x"])]
Membership = Annotated[str | None, About("The code of the membership; null for installments.", examples=[None])]
ReturnUrl = Annotated[
    str | None,
    About("Where Stripe's page sends the student: an allowed origin and a path.", minLength=1, maxLength=2000),
]
Kind = Annotated[Literal["installments", "membership"], About(examples=["installments"])]
PlanStatus = Annotated[
    Status,
    About(
        "`OPEN`: the first payment has not settled. `ACTIVE`: paid as agreed. `LATE`: an installment is due, and the"
        " grace period runs. `SUSPENDED`: the grace period has ended or a dispute was lost; paying restores access."
        " `PAUSED`: by staff. `COMPLETE`: all is paid. `CLOSED`: given up, ended, or closed by staff. `REFUNDED`:"
        " closed with all money back. `ABANDONED`: the first payment was closed unpaid.",
        examples=["ACTIVE"],
    ),
]


@dataclass(kw_only=True)
class BeginPlanRequest:
    """Which plan to begin, and how to pay its first installment. Send either `track` or `membership`."""

    offer: Annotated[str, About("The code of an offer.", minLength=1, maxLength=40, pattern=r"\S", examples=["4x"])]
    consent: Annotated[
        str,
        About(
            "The version of the offer's text that the student agreed to.",
            minLength=1,
            maxLength=40,
            pattern=r"\S",
            examples=["2026-11"],
        ),
    ]
    track: SoldTrack | None = None
    membership: Annotated[str | None, About("The code of a membership.", minLength=1, maxLength=40, pattern=r"\S")] = (
        None
    )
    via: Annotated[
        Literal["page", "checkout"], About("Whether the browser confirms the payment, or Stripe's page.")
    ] = "page"
    payment_method: Annotated[
        str | None,
        About("A saved payment method, `pm_…`; only with `page`.", minLength=1, maxLength=255, pattern=r"\S"),
    ] = None
    terms: TermsVersion = None
    success_url: ReturnUrl = None
    cancel_url: ReturnUrl = None
    promotion_code: Annotated[None, About("A plan takes no promotion code.")] = None


@dataclass
class ExpectedInstallment:
    """An installment as it will be due if the first one is paid today."""

    seq: Seq
    due: Day
    amount: Amount


@dataclass
class BegunPlan:
    """A plan of which nothing is paid yet, and how to pay its first installment."""

    plan_id: PlanId
    payment_id: PaymentId
    kind: Kind
    track: Track | None
    membership: Membership
    offer: OfferCode
    payment_intent_id: Annotated[IntentId | None, About("Null for Stripe's page.")]
    client_secret: Annotated[str | None, About("For Stripe.js.", examples=["pi_3SXk2eLz9Qw1_secret_x"])]
    session_id: Annotated[str | None, About("Of Stripe's page.", examples=[None])]
    url: Annotated[Url | None, About("Stripe's page.", examples=[None])]
    amount: Annotated[Amount, About("The first installment, in minor units.", examples=[12475])]
    currency: Currency
    status: Annotated[Status, About(examples=["OPEN"])]
    schedule: Annotated[list[ExpectedInstallment], About("Of a membership: the first two.")]


@dataclass
class InstallmentFailure:
    """Why the last charge of an installment failed."""

    code: Annotated[str, About("Stripe's decline code.", examples=["card_declined"])]


@dataclass
class Installment:
    """An installment of a plan."""

    seq: Seq
    due: Annotated[Day | None, About("Null before the first payment has settled.")]
    collect: Annotated[Day | None, About("The announced day of its charge; null if it is not announced.")]
    amount: Annotated[Amount, About(examples=[12475])]
    state: Annotated[
        State,
        About(
            "`paid`, `processing` (a bank is deciding), `due`, `failed` (the last charge failed), `upcoming`, `waived`"
            " (by staff) or `lost` (a dispute took it).",
            examples=["upcoming"],
        ),
    ]
    payment_id: PaymentId | None
    failure: InstallmentFailure | None


@dataclass
class NextInstallment:
    """The installment that comes next."""

    seqs: list[Seq]
    due: Annotated[Day | None, About("When it is due.")]
    amount: Annotated[Amount, About(examples=[12475])]
    attempt_at: Annotated[Time | None, About("When it will be charged. Null if no charge is planned.")]
    needs_you: Annotated[
        WhyNone | Literal["suspended"] | None, About("The problem that only the student can solve.", examples=[None])
    ]


@dataclass
class PayableInstallments:
    """Installments that can be paid now, and their sum."""

    seqs: list[Seq]
    amount: Amount


@dataclass
class PlanRules:
    """The days that the student agreed to. All but `notice_days` count from the day of a charge."""

    grace_days: Annotated[int, About("How long access is kept without a payment.", examples=[14])]
    retry_days: Annotated[list[int], About("When a charge is tried; 0 is its day.", examples=[[0, 3, 7, 12]])]
    give_up_days: Annotated[int, About("After how many days the plan ends.", examples=[60])]
    notice_days: Annotated[int, About("How long before its day a charge is announced.", examples=[7])]


@dataclass
class PlanMethod:
    """The payment method that the later installments are charged to."""

    id: Annotated[str, About(examples=["pm_1"])]
    type: Annotated[str | None, About(examples=["card"])]


@dataclass(kw_only=True)
class Plan:
    """A payment plan as its student sees it. Amounts are in minor units, days those of the school."""

    plan_id: PlanId
    kind: Kind
    grants: Annotated[list[str], About("The tracks that it is for. A membership: those begun.", examples=[["DP"]])]
    track: Track | None
    membership: Membership
    offer: OfferCode
    every: Annotated[Every, About("The time between two installments.", examples=["month"])]
    status: PlanStatus
    grants_access: bool
    currency: Currency
    total: Annotated[Amount | None, About("Null for a membership.")]
    received: Annotated[Amount, About(examples=[12475])]
    refunded: Annotated[Amount, About(examples=[0])]
    outstanding: Annotated[
        Amount, About("The amount still to be paid. Of a membership, the amount that is due.", examples=[37425])
    ]
    next: NextInstallment | None
    due: Annotated[PayableInstallments | None, About("What `pay` with `due` would pay now.")]
    rest: Annotated[PayableInstallments | None, About("What `pay` with `rest` would pay now.")]
    payable: Annotated[bool, About("Whether the student can pay now. False while a bank is processing a payment.")]
    schedule: list[Installment]
    payment_method: PlanMethod | None
    cancel_at: Annotated[Day | None, About("The day on which a membership ends that was canceled.")]
    paid_through: Annotated[Day | None, About("The first day of a membership that is not paid.")]
    can_cancel: bool
    can_resume: bool
    close_reason: Annotated[CloseReason | None, About("Why it is `CLOSED`.", examples=[None])]
    stopped_by: Annotated[
        StoppedBy | None,
        About(
            "What stops all charges without the student: staff have revoked the access or paused the plan, a dispute is"
            " open, money was refunded without a decision, an amount differs, a refund request waits for staff, or the"
            " membership was canceled. Null if nothing does.",
            examples=[None],
        ),
    ]
    access_until: Annotated[Day | None, About("The last day of access if nothing more is paid, if it is known.")]
    closes_on: Annotated[Day | None, About("The day on which it is `CLOSED` if nothing more is paid, if it is known.")]
    rules: PlanRules
    consent_version: Annotated[str, About("The text that the student agreed to.", examples=["2026-11"])]
    created_at: Time
    updated_at: Time


@dataclass
class PlanAttention:
    """Why a plan needs attention."""

    name: Annotated[str, About(examples=["gave_up"])]
    fingerprint: Annotated[str, About("Changes with the reason.", examples=["2"])]
    detail: Annotated[str, About(examples=["installment 2 was not paid within 60 days"])]


@dataclass(kw_only=True)
class StaffPlan(Plan):
    """A plan as staff see it."""

    user_id: UserId
    email: Annotated[Email | None, About("Of the newest payment.")]
    version: Annotated[int, About("To be sent with a decision.", examples=[7])]
    attention: list[PlanAttention]


@dataclass
class Plans:
    """A page of plans, newest first."""

    plans: list[Plan]
    next_cursor: Cursor


@dataclass(kw_only=True)
class PayPlanRequest:
    """What to pay."""

    what: Annotated[
        What, About("`next`: the next installment. `due`: all that are due. `rest`: all.", examples=["next"])
    ]


@dataclass
class PlanPayment:
    """An open payment of installments, to be confirmed with Stripe.js."""

    plan_id: PlanId
    payment_id: PaymentId
    payment_intent_id: IntentId
    client_secret: Annotated[str, About("For Stripe.js.", examples=["pi_3SXk2eLz9Qw1_secret_x"])]
    amount: Annotated[Amount, About(examples=[12475])]
    currency: Currency
    covers: Annotated[list[Seq], About("The installments that it pays.")]
    status: Annotated[payment.Status, About(examples=["CREATED"])]


@dataclass(kw_only=True)
class PlanMethodRequest:
    """The payment method to charge from now on. Without it, one is set up first."""

    payment_method: Annotated[
        str | None,
        About("A method that a SetupIntent has set up, `pm_…`.", minLength=1, maxLength=255, pattern=r"\S"),
    ] = None


@dataclass
class SetupIntent:
    """A SetupIntent, to be confirmed with Stripe.js."""

    setup_intent_id: Annotated[str, About(examples=["seti_1SXk2e"])]
    client_secret: Annotated[str, About("For Stripe.js.", examples=["seti_1SXk2e_secret_x"])]


@dataclass(kw_only=True)
class CancelPlanRequest:
    """Why the plan should end.

    `withdrawal` and `name` are accepted where `consumer_region` is `EU`, and refused elsewhere.
    """

    reason: Annotated[Text | None, About("Required where staff decide.", examples=["changed my mind"])] = None
    withdrawal: Annotated[bool, About("Withdraw from the contract, and confirm it. By default false.")] = False
    name: Annotated[
        str | None,
        About(
            "The student's name. Required in a withdrawal, refused otherwise.",
            minLength=1,
            maxLength=200,
            pattern=r"\S",
        ),
    ] = None


@dataclass(kw_only=True)
class EndedPlan(Plan):
    """The plan with the refund request that staff must decide, if any."""

    refund_request: RefundRequest | None


@dataclass(kw_only=True)
class BeginTrackRequest:
    """The track that a member begins."""

    track: SoldTrack


@dataclass
class PlanStatementLine:
    """One amount of a plan."""

    at: Time
    kind: Annotated[Literal["requested", "received", "refunded", "lost"], About(examples=["received"])]
    seqs: Annotated[list[Seq], About("The installments of its payment.")]
    amount: Annotated[Amount, About(examples=[12475])]
    payment_id: PaymentId
    id: Annotated[str | None, About("The charge, refund or dispute at Stripe.", examples=["ch_3SXk2e"])]


@dataclass
class PlanStatement:
    """Every amount of a plan that was requested, received, refunded or lost, oldest first."""

    plan_id: PlanId
    currency: Currency
    lines: list[PlanStatementLine]
    requested: Amount
    received: Amount
    refunded: Amount
    lost: Amount
    balance: Annotated[Amount, About("Received, less what was refunded or lost.")]
