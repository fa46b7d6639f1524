"""What a schedule may contain. A plan is biased to a situation: a defect that is rare in everything is common there."""

from dataclasses import dataclass, replace

CARDS = (
    *("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_card_threeDSecureRequired"),
    *("pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds", "pm_card_pendingRefund", "pm_card_refundFail"),
)
GOOD = ("pm_card_visa", "pm_card_visa", "pm_usBankAccount_success")
BANKS = (
    *("pm_card_threeDSecureRequired", "pm_card_chargeDeclined", "pm_usBankAccount_insufficientFunds"),
    *("pm_usBankAccount_insufficientFunds", "pm_usBankAccount_success"),
)
DISPUTES = (
    *(("needs_response",), ("needs_response", "lost"), ("needs_response", "under_review", "won")),
    *(("needs_response", "lost", "under_review", "lost"), ("needs_response", "lost", "under_review", "won")),
    *(("warning_needs_response", "warning_closed"), ("warning_needs_response", "needs_response", "lost")),
    *(("needs_response", "under_review"), ("needs_response", "prevented")),
)
APPEALS = (
    *(("needs_response", "lost", "under_review", "lost"), ("needs_response", "lost", "under_review", "won")),
    *(("needs_response", "lost", "under_review", "lost", "under_review", "won"), ("needs_response", "lost")),
)
MANY = (*[2] * 20, *[3] * 10, *[4] * 4, 6, 10, 16, 30, 50)


@dataclass(frozen=True)
class Plan:
    """Each float is a chance, each tuple what is chosen from.

    `begin` is how far things are when everybody comes: nothing yet; a `customer` is known and nothing is open; an
    `orphan` was made by a create that died, just now or a day ago; a track was `bought`, and all that was told, or
    bought and `revoked`. `tabs`: how many creates a student has going at once. `newest`: how often what was made last
    is told first. `sharp`: how many schedules let one actor go on as far as it goes and change seldom. What few and
    exact changes break is found there, what many break in the others.
    """

    name: str
    begin: str = ""
    students: tuple[int, ...] = (1,)
    tracks: int = 1
    tabs: tuple[int, ...] = (1, 2, 3)
    kinds: tuple[str, ...] = ("intent", "intent", "checkout")
    twins: float = 0.5
    pays: float = 0.7
    methods: tuple[str, ...] = CARDS
    looks: float = 0.3
    regrets: float = 0.3
    staff: float = 0.2
    partial: tuple[int | None, ...] = (None, 10_000, 20_000, 49_900)
    dashboard: float = 0.2
    faults: float = 0.6
    rates: tuple[float, ...] = (0.0, 0.01, 0.04, 0.1)
    fates: tuple[str, ...] = ("kill", "kill after", "lose", "lose after", "error", "limit", "conflict")
    lost: float = 0.3
    curriculum: float = 0.2
    price: float = 0.1
    customer: float = 0.1
    strangers: float = 0.0
    alters: float = 0.05
    email: float = 0.05
    restore: float = 0.0
    parted: float = 0.0
    days: float = 0.2
    window_over: float = 0.1
    bank: float = 0.15
    disputes: tuple[tuple[str, ...], ...] = DISPUTES
    decides: float = 0.1
    acknowledges: float = 0.1
    card_testing: float = 0.05
    unreadable: float = 0.05
    reconciles: float = 0.3
    hours: float = 0.5
    codes: float = 0.0
    erases: float = 0.05
    tries: tuple[int, ...] = (1, 1, 2, 6)
    outcomes: tuple[str, ...] = ("success", "success", "failure")
    lookers: int = 1
    late: int = 0
    aged: float = 0.5
    loops: tuple[int, ...] = (1, 1, 2, 3)
    versions: float = 0.05
    begins_with: tuple[str, ...] = ("pm_card_visa",)
    pulls: float = 0.5
    eager: tuple[float, ...] = (0.05, 0.2, 0.5)
    newest: float = 0.0
    sharp: float = 0.5
    waits: int = 12
    ticks: tuple[float, ...] = (0.0, 0.001, 0.05, 0.4)


QUIET = Plan(
    "quiet",
    regrets=0.0,
    staff=0.0,
    dashboard=0.0,
    lost=0.0,
    curriculum=0.0,
    price=0.0,
    customer=0.0,
    alters=0.0,
    email=0.0,
    days=0.0,
    bank=0.0,
    decides=0.0,
    acknowledges=0.0,
    card_testing=0.0,
    unreadable=0.0,
    reconciles=0.0,
    erases=0.0,
    looks=0.0,
)
"""Where only what a plan names happens."""

PLANS = {
    plan.name: plan
    for plan in (
        Plan("whole", students=(1, 1, 2), tracks=2, codes=0.3),
        Plan("school", students=(2, 3), tracks=2, tabs=(1, 2)),
        Plan("refunds", begin="bought", tabs=(0, 1), regrets=1.0, staff=0.8, dashboard=0.5, reconciles=0.5),
        Plan("again", tabs=(1, 2), pays=1.0, regrets=0.8, curriculum=0.6, methods=GOOD, decides=0.3, price=0.0),
        Plan("disputes", begin="bought", tabs=(0, 1, 1), pays=1.0, bank=1.0, decides=0.2, acknowledges=0.4, price=0.0),
        Plan(
            "restore", tabs=(1, 2), pays=0.9, restore=1.0, lost=0.0, price=0.0, customer=0.0, days=0.0, reconciles=0.5
        ),
        replace(
            QUIET, name="parted", tabs=(1, 2), pays=0.9, restore=1.0, parted=1.0, faults=0.2, reconciles=0.5, looks=0.5
        ),
        Plan("staff", begin="bought", tabs=(0, 1), staff=1.0, decides=1.0, acknowledges=1.0, window_over=0.6, bank=0.3),
        Plan("orphans", tabs=(1, 2), pays=0.5, regrets=0.0, faults=1.0, dashboard=0.5, days=0.8, price=0.0, looks=0.0),
        replace(QUIET, name="many", tabs=MANY, twins=0.3, pays=0.3, faults=0.3, lost=0.1, begin="customer"),
        replace(QUIET, name="kinds", tabs=(3, 3, 4), twins=0.0, pays=0.1, faults=0.3, begin="customer", dashboard=0.3),
        replace(QUIET, name="claims", tabs=(3,), twins=0.0, pays=0.0, faults=0.0, begin="customer", dashboard=1.0),
        replace(
            QUIET,
            name="crowds",
            tabs=(6, 8),
            twins=0.0,
            pays=0.0,
            faults=0.0,
            begin="customer",
            dashboard=1.0,
            sharp=0.2,
        ),
        replace(
            QUIET,
            name="drives",
            begin="bought",
            tabs=(0,),
            regrets=0.7,
            staff=1.0,
            partial=(10_000, 20_000),
            faults=0.3,
            reconciles=1.0,
            hours=0.1,
            dashboard=0.3,
            waits=3,
        ),
        replace(
            QUIET, name="appeals", begin="bought", tabs=(0,), bank=1.0, disputes=APPEALS, waits=4, looks=0.6, faults=0.2
        ),
        replace(
            QUIET,
            name="seconds",
            tabs=(1,),
            pays=1.0,
            looks=1.0,
            faults=0.2,
            ticks=(0.0,),
            waits=3,
            methods=(
                *("pm_card_threeDSecureRequired", "pm_card_threeDSecureRequired", "pm_card_chargeDeclined"),
                *("pm_usBankAccount_insufficientFunds", "pm_usBankAccount_success"),
            ),
        ),
        replace(
            QUIET,
            name="old",
            tabs=(1,),
            kinds=("intent",),
            pays=1.0,
            tries=(1, 1, 2),
            methods=("pm_card_threeDSecureRequired",),
            outcomes=("failure",),
            looks=1.0,
            lookers=2,
            faults=0.0,
            ticks=(0.0,),
            waits=2,
            sharp=0.9,
        ),
        replace(
            QUIET,
            name="glances",
            tabs=(1,),
            kinds=("intent",),
            pays=1.0,
            tries=(2,),
            methods=("pm_card_chargeDeclined", "pm_card_threeDSecureRequired", "pm_usBankAccount_success"),
            looks=1.0,
            lookers=6,
            pulls=1.0,
            eager=(0.01,),
            faults=0.0,
            ticks=(0.0,),
            waits=1,
        ),
        replace(QUIET, name="testers", tabs=(1, 2), pays=0.3, card_testing=1.0, versions=0.0, faults=0.4, looks=0.3),
        replace(QUIET, name="prices", tabs=(1, 2, 3), price=1.0, pays=0.4, faults=0.3, waits=6),
        replace(
            QUIET,
            name="codes",
            tabs=(1, 2, 3),
            kinds=("checkout",),
            codes=0.8,
            pays=0.9,
            regrets=0.3,
            faults=0.3,
            methods=GOOD,
            decides=0.2,
        ),
        replace(QUIET, name="customers", tabs=(1, 2), tracks=2, customer=1.0, email=0.4, faults=0.5, days=0.3, waits=6),
        replace(QUIET, name="unread", tabs=(1,), pays=1.0, unreadable=1.0, regrets=0.3, faults=0.3, methods=GOOD),
        replace(
            QUIET,
            name="doubles",
            begin="revoked",
            tabs=(1,),
            pays=1.0,
            bank=0.6,
            decides=0.6,
            regrets=0.4,
            lost=0.4,
            waits=6,
            methods=GOOD,
            acknowledges=0.3,
        ),
        replace(
            QUIET,
            name="names",
            tabs=(1, 2),
            begin="orphan",
            pays=0.6,
            methods=GOOD,
            faults=0.3,
            days=0.3,
            dashboard=1.0,
            strangers=0.4,
            reconciles=0.5,
            waits=3,
        ),
        replace(
            QUIET,
            name="amounts",
            begin="",
            tabs=(1,),
            pays=1.0,
            methods=GOOD,
            alters=1.0,
            decides=1.0,
            acknowledges=0.6,
            waits=4,
            faults=0.3,
        ),
        replace(
            QUIET,
            name="untold",
            tabs=(1, 2),
            pays=1.0,
            methods=CARDS,
            lost=1.0,
            regrets=0.8,
            staff=0.4,
            bank=0.3,
            dashboard=0.5,
            reconciles=0.4,
            looks=0.3,
            waits=6,
        ),
        replace(
            QUIET, name="ties", tabs=(1,), pays=1.0, faults=0.0, ticks=(0.0,), waits=2, tries=(2, 3), methods=BANKS
        ),
        replace(
            QUIET,
            name="banks",
            tabs=(1,),
            kinds=("checkout",),
            pays=1.0,
            faults=0.2,
            lost=0.4,
            looks=0.2,
            methods=BANKS,
        ),
        replace(
            QUIET,
            name="failing",
            begin="bought",
            begins_with=("pm_card_refundFail", "pm_card_refundFail", "pm_card_pendingRefund"),
            tabs=(0,),
            dashboard=1.0,
            regrets=0.5,
            lost=0.6,
            versions=0.5,
            waits=3,
        ),
        replace(
            QUIET,
            name="stale",
            begin="orphan",
            aged=0.0,
            tabs=(1, 2),
            twins=1.0,
            late=6,
            pays=0.3,
            loops=(1,),
            dashboard=1.0,
            faults=0.2,
            waits=2,
        ),
        replace(
            QUIET,
            name="pages",
            tabs=(1,),
            kinds=("checkout",),
            pays=1.0,
            tries=(1,),
            loops=(1,),
            methods=("pm_card_visa",),
            bank=1.0,
            disputes=(("needs_response",),),
            faults=0.1,
            waits=3,
            eager=(0.01, 0.05),
            newest=0.8,
        ),
        replace(
            QUIET,
            name="losers",
            begin="revoked",
            tabs=(1,),
            twins=1.0,
            pays=0.0,
            faults=0.0,
            bank=1.0,
            dashboard=1.0,
            decides=0.5,
            sharp=1.0,
            waits=3,
        ),
        replace(
            QUIET,
            name="gone",
            tabs=(1, 2),
            faults=1.0,
            rates=(0.03, 0.1, 0.3),
            fates=("unknown",),
            lost=0.5,
            looks=1.0,
            pulls=0.8,
            regrets=0.3,
            reconciles=0.5,
            versions=0.3,
        ),
        replace(QUIET, name="erased", begin="bought", tabs=(0,), erases=1.0, regrets=0.5, bank=0.3, lost=0.2),
    )
}

WHOLE = (
    *("whole", "whole", "whole", "school", "refunds", "again", "restore", "staff", "orphans", "kinds", "claims"),
    *(
        "drives",
        "seconds",
        "testers",
        "prices",
        "customers",
        "unread",
        "doubles",
        "erased",
        "codes",
        "names",
        "amounts",
        "untold",
        "gone",
        "parted",
    ),
)
"""The whole system, a plan in turn. `many` and the two of disputes are searched by themselves too."""
