"""The types of the requests and answers of staff about payment plans."""

from dataclasses import dataclass
from typing import Annotated, Literal

from api_schema.about import About, Amount, Currency, Cursor, Day, PaymentId, Text, Time
from api_schema.payments import StaffPayment
from api_schema.plans import Seq, StaffPlan
from api_schema.staff.audit import AuditRecord
from api_schema.staff.decisions import AcknowledgementOrder
from api_schema.staff.fields import AnyTrack, Flag
from api_schema.students import PageQuery
from tuition.core.plan import Status
from tuition.core.plan_facts import DecisionName
from tuition.core.plan_outcomes import StaffDecision
from tuition.core.plan_schedule import BoundaryName
from tuition.core.plan_terms import MAX_PERIODS
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.views.staff_plans import MAX_MONTHS, MAX_PAYMENTS, CollectRefusal

MaybeTime = Annotated[Time | None, About(examples=[None])]


@dataclass(kw_only=True)
class PlanFilters:
    """Filters for plans."""

    status: Annotated[Status | None, About("Only plans with this status.", examples=["LATE"])] = None
    kind: Annotated[Literal["installments", "membership"] | None, About("Only plans of this kind.")] = None
    track: Annotated[AnyTrack | None, About("The code of a membership, or of a track that a plan is for.")] = None
    due_from: Annotated[Day | None, About("The first day on which the next installment is due.")] = None
    due_to: Annotated[Day | None, About("The last day on which the next installment is due.")] = None
    attention: Annotated[Flag | None, About("Whether the plan itself needs attention.")] = None
    q: Annotated[
        str | None,
        About(
            "A plan, one of its payments, or a student: their id, their customer's, or their email address.",
            maxLength=MAX_ID_LENGTH,
            examples=["ada@example.org"],
        ),
    ] = None


@dataclass(kw_only=True)
class PlansQuery(PlanFilters, PageQuery):
    """Filters for plans, and a page."""


@dataclass(kw_only=True)
class PlanTotalsQuery(PlanFilters):
    """Which plans to add up, and where to continue."""

    cursor: Annotated[str | None, About("The `next_cursor` of the answer before.", examples=["eyJ2IjoxfQ"])] = None


@dataclass
class PlanSums:
    """Sums of plans in one currency, in minor units."""

    currency: Currency
    received: Annotated[Amount, About("The amount that their payments received, in minor units.", examples=[12475])]
    refunded: Annotated[Amount, About("Refunds that are pending or succeeded, in minor units.", examples=[0])]
    lost: Annotated[Amount, About("The amount that disputes took for good, in minor units.", examples=[0])]
    outstanding: Annotated[
        Amount,
        About("Still to be paid, in minor units. Of a membership, only the period that is due.", examples=[37425]),
    ]


@dataclass
class PlanTotals:
    """The number and the sums of the matching plans among those that were read. Add up all answers."""

    plans: Annotated[int, About("How many plans match.", examples=[1])]
    read: Annotated[int, About("How many plans were read, at most 500.", examples=[2])]
    sums: Annotated[list[PlanSums], About("By currency.")]
    next_cursor: Cursor


@dataclass
class StaffPlans:
    """A page of plans."""

    plans: Annotated[list[StaffPlan], About("The plans of the page.")]
    next_cursor: Cursor


@dataclass
class PlanDecisionMade:
    """A decision about a plan, by staff or its student."""

    id: Annotated[str, About("The id of the decision.", examples=["dec_0a1b2c3d4e5f60718293"])]
    decision: Annotated[DecisionName, About("The name of the decision.")]
    at: Annotated[Time, About("When it was taken.")]
    actor: Annotated[str, About("A user id.", examples=["grace"])]
    seqs: Annotated[list[Seq], About("The installments that it is about.")]
    to: Annotated[Day | None, About("The new due day.")]
    refund: Annotated[Literal["all", "none"] | None, About("Of a `close`: whether all money goes back.")]
    access: Annotated[bool | None, About("During a pause; null as before.", examples=[None])]
    accepts: Annotated[list[str], About("The refunds with which the plan continues.", examples=[[]])]
    note: Annotated[str, About("For staff.", examples=["agreed by telephone"])]


@dataclass
class Announcement:
    """The notice of a charge. `bounced` is when its email came back."""

    seq: Seq
    day: Annotated[Day, About("The day of the charge, at the school.")]
    at: Annotated[Time, About("When it was announced.")]
    bounced: Annotated[MaybeTime, About("When its email came back.")]


@dataclass
class TryAnswer:
    """The result of a charge without the student."""

    at: Annotated[Time, About("When it was read.")]
    charge: Annotated[str | None, About("The charge at Stripe; null if Stripe made none.", examples=["ch_3SXk2e"])]
    code: Annotated[str | None, About("Why it failed.", examples=["insufficient_funds"])]
    advice: Annotated[str | None, About("Stripe's advice.", examples=["try_again_later"])]


@dataclass
class PlanTry:
    """A charge without the student."""

    occasion: Annotated[
        str, About("Why it was tried: a day, a new method, or an order of staff.", examples=["day:2026-12-29"])
    ]
    at: Annotated[Time, About("When it was begun.")]
    seq: Seq
    payment_id: Annotated[PaymentId | None, About("The payment; null if Stripe refused to make one.")]
    answer: Annotated[TryAnswer | None, About("Null until the result was read.")]


@dataclass
class PlanMethodFact:
    """A payment method that the student set up for later charges."""

    id: Annotated[str, About("Its id at Stripe.", examples=["pm_1"])]
    type: Annotated[str | None, About("Stripe's type.", examples=["card"])]
    set_up: Annotated[Time, About("When it was set up.")]
    updated: Annotated[MaybeTime, About("When the network updated the card.")]
    replaced: Annotated[MaybeTime, About("When the student chose another.")]
    gone: Annotated[MaybeTime, About("When Stripe no longer had it.")]


@dataclass
class PlanFacts:
    """The facts of a plan besides its payments."""

    observed: Annotated[MaybeTime, About("The newest boundary that has passed.")]
    decisions: Annotated[list[PlanDecisionMade], About("Of staff and the student, the oldest first.")]
    announcements: Annotated[list[Announcement], About("By installment and day.")]
    tries: Annotated[list[PlanTry], About("The charges without the student, the oldest first.")]
    payment_methods: Annotated[list[PlanMethodFact], About("The newest 50.")]


@dataclass
class PlanBoundary:
    """When a plan changes by time alone, unless something happens before."""

    at: Annotated[Time, About("The moment.")]
    day: Annotated[Day, About("Its day at the school.")]
    name: Annotated[
        BoundaryName,
        About(
            "`due`: the installment is due. `grace_over`: access ends. `give_up`: the plan is closed. `period_end`: a"
            " canceled membership ends.",
            examples=["grace_over"],
        ),
    ]
    seq: Seq


@dataclass
class PlanOutcome:
    """The plan after a decision."""

    status: Annotated[Status, About("The status after it.", examples=["COMPLETE"])]
    grants_access: Annotated[bool, About("Whether the plan then gives access.", examples=[True])]
    outstanding: Annotated[Amount, About("The amount still to be paid then, in minor units.", examples=[0])]
    refund_amount: Annotated[Amount, About("The refund that it leads to, in minor units.", examples=[0])]


@dataclass
class PlanAction:
    """A decision that the API accepts now, and what it leads to."""

    decision: Annotated[StaffDecision, About("To be sent as `decision`.")]
    seq: Annotated[Seq | None, About("Of `waive` and `reschedule`.")]
    refund: Annotated[Literal["all", "none"] | None, About("Of `close`.")]
    earliest: Annotated[Day | None, About("The first day to which an installment can be moved.")]
    latest: Annotated[Day | None, About("The last day to which an installment can be moved.")]
    after: Annotated[PlanOutcome, About("The plan after the decision, before more time passes.")]


@dataclass
class PlanChain:
    """Whether the audit chain of the plan, or of one of its payments, verifies."""

    subject: Annotated[str, About("The id of the plan, or of one of its payments.", examples=["pln_4f1c2a9b7d3e4c58"])]
    verified: Annotated[bool, About("Whether the chain is intact, and leads to the item.")]
    problem: Annotated[str | None, About("Where and why it is broken.", examples=[None])]


@dataclass
class PlanDetails:
    """A plan with everything about it."""

    plan: Annotated[StaffPlan, About("The plan as the list has it.")]
    sentence: Annotated[
        str,
        About(
            "Why it gives access or not.",
            examples=["The plan gives access: 2 of 4 installments are paid, and the next, 124.75 USD, is due on …"],
        ),
    ]
    payments: Annotated[list[StaffPayment], About(f"The newest {MAX_PAYMENTS}.")]
    more_payments: Annotated[bool, About("Whether the plan has older ones.", examples=[False])]
    facts: Annotated[PlanFacts, About("Its facts besides its payments.")]
    boundaries: Annotated[list[PlanBoundary], About("Those ahead, the next first.")]
    actions: Annotated[list[PlanAction], About("The decisions that an admin can take now.")]
    collect_refusal: Annotated[
        CollectRefusal | None, About("Why the plan cannot be charged now; null if it can.", examples=["not_announced"])
    ]
    audit: Annotated[list[AuditRecord], About("Of the plan and these payments, by time.")]
    chains: Annotated[list[PlanChain], About("One of the plan, and one of each of these payments.")]


@dataclass(kw_only=True)
class PlanDecisionOrder:
    """A decision about a plan, as it was read in its `version`."""

    decision: Annotated[
        StaffDecision,
        About(
            "`waive`: one installment is not owed. `reschedule`: it is due on another day. `forgive`: nothing more is"
            " owed. `pause`, `resume`. `continue`: charge again after a refund. `close`: end the plan. `revoke`,"
            " `restore`: access.",
            examples=["reschedule"],
        ),
    ]
    version: Annotated[int, About("The plan's version that you saw.", minimum=0, maximum=10**9 - 1, examples=[7])]
    note: Annotated[Text, About("For staff.", examples=["agreed by telephone"])]
    seq: Annotated[int | None, About("Of `waive` and `reschedule`.", minimum=1, maximum=MAX_PERIODS)] = None
    to: Annotated[Day | None, About("The new due day, of `reschedule`.")] = None
    refund: Annotated[Literal["all", "none"] | None, About("Of `close`: whether all money goes back.")] = None
    access: Annotated[bool | None, About("Of `pause`: whether it gives access. Left out: as before.")] = None


@dataclass(kw_only=True)
class PlanAcknowledgementOrder(AcknowledgementOrder):
    """A reason for attention of a plan to acknowledge."""


@dataclass(kw_only=True)
class ForecastQuery:
    """How many months, and a position in the plans."""

    months: Annotated[int, About("From this month on.", minimum=1, maximum=MAX_MONTHS)] = 6
    cursor: Annotated[str | None, About("The `next_cursor` of the answer before.", examples=["eyJ2IjoxfQ"])] = None


@dataclass
class ExpectedMonth:
    """The cash that is expected in a month, in one currency. Of it, `at_risk` is charged only after someone acts."""

    month: Annotated[str, About("A month at the school.", examples=["2026-12"])]
    currency: Currency
    due: Annotated[Amount, About("The expected amount, in minor units.", examples=[24950])]
    at_risk: Annotated[
        Amount,
        About("The part of it that is charged only after the student or staff act, in minor units.", examples=[12475]),
    ]
    installments: Annotated[int, About("How many are expected.", examples=[2])]


@dataclass
class Forecast:
    """The expected cash of some plans. Add up the answers until there is no `next_cursor`."""

    months: Annotated[list[ExpectedMonth], About("By month and currency.")]
    read: Annotated[int, About("How many plans were read.", examples=[2])]
    next_cursor: Cursor
