"""The list of payments: filters, totals, and numbers by status and by day."""

from dataclasses import dataclass
from typing import Annotated

from api_schema.about import About, Amount, Currency, Cursor, Day, Time
from api_schema.payments import StaffPayment
from api_schema.staff.fields import AnyTrack, Code, Flag
from api_schema.students import PageQuery
from tuition.core.payment import Status
from tuition.core.refund_request import State
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.views.filters import Order, Refunded

REFUNDED = (
    "`true`: all of it was refunded. `false`: not all. `partly`: only a part. `any`: all or a part. `none`: nothing."
)
ORDER = "By the time of creation."
METHOD = "The type of the payment method, or the brand of the card."
FAILURE = "Stripe's code of why the last attempt of an unpaid payment failed."


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
