"""The figures."""

from dataclasses import dataclass
from typing import Annotated, Literal

from api_schema.about import About, Currency, Day, Time, Track
from api_schema.staff.fields import AnyTrack
from tuition.core.refs import PlanKind


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
class PlanChanges:
    """The changes of plans, each on its day. A plan that is suspended twice counts twice.

    A plan is suspended when grace ends, or when a dispute is lost.
    """

    settlements: Annotated[int, About("How many payments of plans settled.", examples=[4])]
    settled: Annotated[int, About("Their amount, in minor units. Refunds are not subtracted.", examples=[49900])]
    started: Annotated[int, About("How many plans had their first payment settled.", examples=[1])]
    suspended: Annotated[int, About("How often a plan was suspended.", examples=[1])]
    restored: Annotated[int, About("How often a plan that was suspended or given up gave access again.", examples=[1])]
    completed: Annotated[int, About("How often nothing was left to pay.", examples=[0])]
    closed: Annotated[int, About("How often a plan was given up, ended, or closed by staff.", examples=[0])]
    refunded: Annotated[int, About("How often a plan ended with all money back.", examples=[0])]
    abandoned: Annotated[int, About("How many plans were closed before anything was paid.", examples=[0])]


@dataclass(kw_only=True)
class Figures:
    """The figures of payments and plans in one currency. Amounts are in minor units."""

    currency: Currency
    created: Annotated[int, About("The prices of the payments that were created.", examples=[99800])]
    settled: Annotated[int, About("What Stripe received.", examples=[49900])]
    refunded: Annotated[int, About("Refunds that are pending or succeeded.", examples=[0])]
    lost: Annotated[int, About("The amounts lost to disputes, on the day on which these were opened.", examples=[0])]
    fees: Annotated[int, About("Stripe's fees that the daily audit has stored.", examples=[1477])]
    net: Annotated[int, About("Settled less refunded, lost and fees.", examples=[48423])]
    payments: Annotated[int, About("How many payments were created.", examples=[2])]
    failures: Annotated[dict[str, int], About("How many charges failed, by code.", examples=[{"card_declined": 1}])]
    plans: Annotated[PlanChanges, About("The changes of plans. The figures of payments include their money.")]


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


@dataclass(kw_only=True)
class PlanFigures(PlanChanges):
    """The changes of plans of one currency, track and kind in the range."""

    currency: Currency
    track: Annotated[Track, About("The code of a track, or of a membership.")]
    kind: Annotated[PlanKind, About("The kind of the plans.", examples=["installments"])]


@dataclass
class AnalyticsDetails:
    """Outcomes, the 50 most used codes of the range, the cohorts of its months, and what happened to plans."""

    outcomes: list[PaymentOutcome]
    codes: list[CodeUses]
    complete: Annotated[bool, About("False if the range has too many codes to read: choose fewer days.")]
    cohorts: list[Cohort]
    plans: list[PlanFigures]
