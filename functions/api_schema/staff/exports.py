"""Exports, and the statement of a month."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from api_schema.about import About, Amount, Currency, Day, PaymentId, Time, Track, Url
from api_schema.staff.fields import AnyTrack, Code, Flag
from api_schema.staff.payment_list import FAILURE, METHOD, REFUNDED
from tuition.core import statement as core_statement
from tuition.core.payment import Status
from tuition.core.plan import Status as PlanStatus
from tuition.core.refs import PlanKind
from tuition.core.refund_request import State
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.views import statement
from tuition.views.exports import ExportKind
from tuition.views.filters import Refunded


@dataclass(kw_only=True)
class ListFilters:
    """The filters of the list of payments, or of the list of plans. Numbers and booleans may also be texts."""

    status: Annotated[Status | PlanStatus | None, About("A status of payments, or of plans.")] = None
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
    q: Annotated[str | None, About("Of payments only.", maxLength=MAX_ID_LENGTH)] = None
    kind: Annotated[PlanKind | None, About("Of plans only.")] = None
    due_from: Annotated[Day | None, About("Of plans only: the first day on which the next installment is due.")] = None
    due_to: Annotated[Day | None, About("Of plans only: the last day on which the next installment is due.")] = None


@dataclass(kw_only=True)
class ExportOrder:
    """What to export."""

    kind: Annotated[
        ExportKind,
        About(
            "`payments` or `plans`: those that match the filters. `statement`: every balance transaction of a month."
            " `payouts`: what the payouts of a month include."
        ),
    ] = "payments"
    filters: Annotated[ListFilters, About("For `payments` and `plans` only.")] = field(default_factory=ListFilters)
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
    plan_id: Annotated[str | None, About("The plan whose installments the payment pays.", examples=[None])]
    plan_kind: Annotated[PlanKind | None, About("The kind of that plan.", examples=[None])]
    covers: Annotated[list[int], About("The numbers of these installments; empty without a plan.", examples=[[]])]


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
class StatementPlanSum:
    """The lines of payments of one kind of plan, or of payments without a plan, in one currency."""

    plan_kind: Annotated[PlanKind | None, About("Null: payments without a plan.", examples=["installments"])]
    currency: Currency
    lines: Annotated[int, About("How many lines.", examples=[4])]
    settled: SignedAmount
    refunded: SignedAmount
    lost: Annotated[int, About("Disputes, less their money that has returned, also while they are undecided.")]
    fees: Annotated[int, About("Stripe's fees, below zero.", examples=[-1477])]
    net: Annotated[int, About("`settled` + `refunded` + `lost` + `fees`.")]


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
    by_plan: Annotated[
        list[StatementPlanSum], About("One per currency and kind of plan. They add up to `net` of the totals.")
    ]
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
