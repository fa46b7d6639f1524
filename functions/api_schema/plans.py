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

SchoolDay = Annotated[Day, About("A day at the school.")]
PlanId = Annotated[str, About("The id of the plan.", examples=["pln_4f1c2a9b7d3e4c58"])]
Seq = Annotated[int, About("The number of the installment, from 1.", minimum=1, examples=[2])]
OfferCode = Annotated[str, About("The code of the offer.", examples=["4x"])]
Membership = Annotated[str | None, About("The code of the membership; null for installments.", examples=[None])]
ReturnUrl = Annotated[
    str | None,
    About("Where Stripe's page sends the student: an allowed origin and a path.", minLength=1, maxLength=2000),
]
Kind = Annotated[
    Literal["installments", "membership"], About("Installments of a track, or a membership.", examples=["installments"])
]
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
    due: SchoolDay
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
    status: Annotated[Status, About("Nothing is paid yet.", examples=["OPEN"])]
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
    payment_id: Annotated[PaymentId | None, About("The payment that covers it, or is open for it.")]
    failure: Annotated[InstallmentFailure | None, About("Of the last charge, if it failed.")]


@dataclass
class NextInstallment:
    """The installment that comes next."""

    seqs: Annotated[list[Seq], About("The numbers of the installments that are charged or paid together.")]
    due: Annotated[Day | None, About("When it is due.")]
    amount: Annotated[Amount, About(examples=[12475])]
    attempt_at: Annotated[Time | None, About("When it will be charged. Null if no charge is planned.")]
    needs_you: Annotated[
        WhyNone | Literal["suspended"] | None, About("The problem that only the student can solve.", examples=[None])
    ]


@dataclass
class PayableInstallments:
    """Installments that can be paid now, and their sum."""

    seqs: Annotated[list[Seq], About("Their numbers.")]
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

    id: Annotated[str, About("Its id at Stripe.", examples=["pm_1"])]
    type: Annotated[str | None, About("Stripe's type; null before Stripe has reported it.", examples=["card"])]


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
    grants_access: Annotated[bool, About("Whether it gives access now.")]
    currency: Currency
    total: Annotated[Amount | None, About("The sum of all installments, in minor units. Null for a membership.")]
    received: Annotated[Amount, About("What Stripe has received, in minor units.", examples=[12475])]
    refunded: Annotated[Amount, About("Refunds, in minor units.", examples=[0])]
    lost: Annotated[Amount, About("The money that disputes took, in minor units.", examples=[0])]
    outstanding: Annotated[
        Amount, About("Still to be paid, in minor units. Of a membership, the amount that is due.", examples=[37425])
    ]
    next: Annotated[NextInstallment | None, About("Null if nothing is owed.")]
    due: Annotated[PayableInstallments | None, About("What `pay` with `due` would pay now.")]
    rest: Annotated[PayableInstallments | None, About("What `pay` with `rest` would pay now.")]
    payable: Annotated[bool, About("Whether the student can pay now. False while a bank is processing a payment.")]
    schedule: Annotated[
        list[Installment], About("Of a membership: the periods so far, and those ahead that are shown.")
    ]
    payment_method: Annotated[PlanMethod | None, About("Null if the student has none that can be charged.")]
    cancel_at: Annotated[Day | None, About("The day on which a membership ends that was canceled.")]
    paid_through: Annotated[Day | None, About("The first day of a membership that is not paid.")]
    can_cancel: Annotated[bool, About("Whether `cancel` would do anything now.")]
    can_resume: Annotated[bool, About("Whether `resume` would take back a cancellation now.")]
    close_reason: Annotated[CloseReason | None, About("Why it is `CLOSED`.", examples=[None])]
    stopped_by: Annotated[
        StoppedBy | None,
        About(
            "The reason why nothing is charged without the student: staff have revoked the access or paused the plan, a"
            " dispute is open, money was refunded without a decision, an amount differs, a refund request waits for"
            " staff, or the membership was canceled. Null if there is none.",
            examples=[None],
        ),
    ]
    refund_request_payment_id: Annotated[
        PaymentId | None,
        About("The payment whose refund request waits for staff. It is about the whole plan.", examples=[None]),
    ]
    access_until: Annotated[Day | None, About("The last day of access if nothing more is paid, if it is known.")]
    closes_on: Annotated[Day | None, About("The day on which it is `CLOSED` if nothing more is paid, if it is known.")]
    rules: Annotated[PlanRules, About("The days that the student agreed to.")]
    consent_version: Annotated[str, About("The text that the student agreed to.", examples=["2026-11"])]
    created_at: Annotated[Time, About("When the student agreed to it.")]
    updated_at: Annotated[Time, About("When anything of it changed last.")]


@dataclass
class PlanAttention:
    """Why a plan needs attention."""

    name: Annotated[str, About("The name of the reason, perhaps with an id after a colon.", examples=["gave_up"])]
    fingerprint: Annotated[str, About("Changes with the reason.", examples=["2"])]
    detail: Annotated[str, About("The reason in words.", examples=["installment 2 was not paid within 60 days"])]


@dataclass(kw_only=True)
class StaffPlan(Plan):
    """A plan as staff see it."""

    user_id: UserId
    email: Annotated[Email | None, About("Of the newest payment.")]
    version: Annotated[int, About("To be sent with a decision.", examples=[7])]
    attention: Annotated[list[PlanAttention], About("The reasons that staff have not acknowledged.")]


@dataclass
class Plans:
    """A page of plans, newest first."""

    plans: Annotated[list[Plan], About("The plans of the page.")]
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
    status: Annotated[payment.Status, About("Of the payment.", examples=["CREATED"])]


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

    refund_request: Annotated[RefundRequest | None, About("The one that staff must decide; null if none is needed.")]


@dataclass(kw_only=True)
class BeginTrackRequest:
    """The track that a member begins."""

    track: Annotated[SoldTrack, About("The code of the track.")]


@dataclass
class PlanStatementLine:
    """One amount of a plan."""

    at: Annotated[Time, About("When it was requested, received, refunded or disputed.")]
    kind: Annotated[
        Literal["requested", "received", "refunded", "lost"], About("The kind of the amount.", examples=["received"])
    ]
    seqs: Annotated[list[Seq], About("The installments of its payment.")]
    amount: Annotated[Amount, About(examples=[12475])]
    payment_id: PaymentId
    id: Annotated[str | None, About("The charge, refund or dispute at Stripe.", examples=["ch_3SXk2e"])]


@dataclass
class PlanStatement:
    """Every amount of a plan that was requested, received, refunded or lost, oldest first."""

    plan_id: PlanId
    currency: Currency
    lines: Annotated[list[PlanStatementLine], About("The oldest first.")]
    requested: Annotated[Amount, About("The sum of the amounts requested, in minor units.")]
    received: Annotated[Amount, About("The sum received, in minor units.")]
    refunded: Annotated[Amount, About("The sum refunded, in minor units.")]
    lost: Annotated[Amount, About("The sum that disputes took, in minor units.")]
    balance: Annotated[Amount, About("Received, less what was refunded or lost, in minor units.")]
