"""The contents of a schedule. Each scenario makes one kind of situation common, so that its rare defects show."""

from dataclasses import dataclass, replace

ALL_METHODS = (
    *("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_card_threeDSecureRequired"),
    *("pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds", "pm_card_pendingRefund", "pm_card_refundFail"),
)
SUCCESSFUL_METHODS = ("pm_card_visa", "pm_card_visa", "pm_usBankAccount_success")
BANK_METHODS = (
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
CREATE_COUNTS = (*[2] * 20, *[3] * 10, *[4] * 4, 6, 10, 16, 30, 50)


@dataclass(frozen=True)
class Scenario:
    """The contents of a schedule. Each float is a probability; each tuple lists the values that are chosen from.

    `start` is the state when the participants arrive: empty; a `customer` exists and nothing is open; an `orphan` was
    left by a create that died just now or a day ago; a track was `bought` and its webhooks were delivered; or it was
    bought and `revoked`. `tabs` is the number of concurrent creates per student. `newest_first` is how often the
    newest event is delivered next. `priority_scheduling` is the share of schedules that run one actor for as long as
    possible and rarely switch: they find the defects that need a few precise switches, and the others find those that
    need many. `terms` are the versions of the school's terms, one after another.

    `seed_name` is the word that the random numbers start from, where it is not the name. Do not change it: each seed
    number would then mean another schedule.
    """

    name: str
    seed_name: str = ""
    start: str = ""
    students: tuple[int, ...] = (1,)
    tracks: int = 1
    tabs: tuple[int, ...] = (1, 2, 3)
    kinds: tuple[str, ...] = ("intent", "intent", "checkout")
    same_choices: float = 0.5
    pays: float = 0.7
    methods: tuple[str, ...] = ALL_METHODS
    views: float = 0.3
    requests_refund: float = 0.3
    staff_refunds: float = 0.2
    refund_amounts: tuple[int | None, ...] = (None, 10_000, 20_000, 49_900)
    dashboard: float = 0.2
    faults: float = 0.6
    fault_rates: tuple[float, ...] = (0.0, 0.01, 0.04, 0.1)
    fates: tuple[str, ...] = ("kill before", "kill after", "drop before", "drop after", "error", "throttle", "conflict")
    lost_webhooks: float = 0.3
    curriculum: float = 0.2
    price_change: float = 0.1
    customer_deleted: float = 0.1
    pays_orphans: float = 0.0
    amount_altered: float = 0.05
    new_email: float = 0.05
    restore: float = 0.0
    partial_restore: float = 0.0
    days_pass: float = 0.2
    refund_window_over: float = 0.1
    withdrawals: float = 0.0
    cancels: float = 0.0
    withdraws_requests: float = 0.0
    terms: tuple[str, ...] = ()
    disputed: float = 0.15
    purchase_decisions: float = 0.0
    selling_stops: float = 0.0
    dispute_histories: tuple[tuple[str, ...], ...] = DISPUTES
    access_decisions: float = 0.1
    acknowledgements: float = 0.1
    card_testing: float = 0.05
    unreadable_events: float = 0.05
    reconciler: float = 0.3
    hour_passes: float = 0.5
    promotion_codes: float = 0.0
    codes: tuple[str, ...] = ("FREE", "FREE", "FIFTH", "ONCE", "OVER", "NONE")
    erasure: float = 0.05
    payment_attempts: tuple[int, ...] = (1, 1, 2, 6)
    authentication_outcomes: tuple[str, ...] = ("success", "success", "failure")
    viewers: int = 1
    arrival_waits: int = 0
    orphan_aged: float = 0.5
    purchases: tuple[int, ...] = (1, 1, 2, 3)
    other_api_version: float = 0.05
    start_methods: tuple[str, ...] = ("pm_card_visa",)
    syncs: float = 0.5
    declines_per_hour: int = 10_000
    delivery_rates: tuple[float, ...] = (0.05, 0.2, 0.5)
    newest_first: float = 0.0
    priority_scheduling: float = 0.5
    max_waits: int = 12
    seconds_per_step: tuple[float, ...] = (0.0, 0.001, 0.05, 0.4)

    def seed(self, number: int) -> str:
        """Return the seed of this scenario's schedule with that number."""
        return f"{self.seed_name or self.name}:{number}"


QUIET = Scenario(
    "quiet",
    requests_refund=0.0,
    staff_refunds=0.0,
    dashboard=0.0,
    lost_webhooks=0.0,
    curriculum=0.0,
    price_change=0.0,
    customer_deleted=0.0,
    amount_altered=0.0,
    new_email=0.0,
    days_pass=0.0,
    disputed=0.0,
    access_decisions=0.0,
    acknowledgements=0.0,
    card_testing=0.0,
    unreadable_events=0.0,
    reconciler=0.0,
    erasure=0.0,
    views=0.0,
)
"""A scenario in which nothing goes wrong: other scenarios add what they are about."""

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("whole_system", seed_name="whole", students=(1, 1, 2), tracks=2, promotion_codes=0.3),
        Scenario("several_students", seed_name="school", students=(2, 3), tracks=2, tabs=(1, 2)),
        Scenario(
            "refunds",
            start="bought",
            tabs=(0, 1),
            requests_refund=1.0,
            staff_refunds=0.8,
            dashboard=0.5,
            reconciler=0.5,
        ),
        Scenario(
            "withdrawals",
            start="bought",
            tabs=(0, 1, 1),
            pays=0.9,
            start_methods=("pm_card_visa", "pm_card_visa", "pm_usBankAccount_success"),
            requests_refund=1.0,
            withdrawals=0.8,
            staff_refunds=0.8,
            dashboard=0.4,
            disputed=0.4,
            access_decisions=0.4,
            acknowledgements=0.5,
            refund_window_over=0.2,
            reconciler=0.5,
            erasure=0.1,
        ),
        Scenario(
            "withdrawals_processing",
            start="bought",
            tabs=(0, 1, 1),
            pays=0.9,
            start_methods=("pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds"),
            requests_refund=1.0,
            withdrawals=0.9,
            staff_refunds=0.6,
            dashboard=0.2,
            reconciler=0.5,
        ),
        Scenario(
            "withdrawals_restored",
            start="bought",
            tabs=(0, 1),
            pays=1.0,
            requests_refund=1.0,
            withdrawals=0.9,
            staff_refunds=0.5,
            restore=1.0,
            partial_restore=0.3,
            faults=0.2,
            reconciler=0.5,
            views=0.5,
        ),
        Scenario(
            "repeat_purchases",
            seed_name="again",
            tabs=(1, 2),
            pays=1.0,
            requests_refund=0.8,
            curriculum=0.6,
            methods=SUCCESSFUL_METHODS,
            access_decisions=0.3,
            price_change=0.0,
        ),
        Scenario(
            "disputes",
            start="bought",
            tabs=(0, 1, 1),
            pays=1.0,
            disputed=1.0,
            access_decisions=0.2,
            purchase_decisions=0.5,
            acknowledgements=0.4,
            price_change=0.0,
        ),
        Scenario(
            "restore",
            tabs=(1, 2),
            pays=0.9,
            restore=1.0,
            lost_webhooks=0.0,
            price_change=0.0,
            customer_deleted=0.0,
            days_pass=0.0,
            reconciler=0.5,
        ),
        replace(
            QUIET,
            name="partial_restore",
            seed_name="parted",
            tabs=(1, 2),
            pays=0.9,
            restore=1.0,
            partial_restore=1.0,
            faults=0.2,
            reconciler=0.5,
            views=0.5,
        ),
        Scenario(
            "staff",
            start="bought",
            tabs=(0, 1),
            staff_refunds=1.0,
            access_decisions=1.0,
            acknowledgements=1.0,
            refund_window_over=0.6,
            disputed=0.3,
        ),
        Scenario(
            "orphans",
            tabs=(1, 2),
            pays=0.5,
            requests_refund=0.0,
            faults=1.0,
            dashboard=0.5,
            days_pass=0.8,
            price_change=0.0,
            views=0.0,
        ),
        replace(
            QUIET,
            name="changes_of_mind",
            tabs=(1, 2, 3),
            pays=0.8,
            cancels=0.7,
            terms=("1", "2", "3"),
            requests_refund=0.8,
            refund_window_over=0.9,
            withdraws_requests=0.9,
            staff_refunds=0.8,
            faults=0.5,
            lost_webhooks=0.3,
            views=0.2,
            reconciler=0.3,
        ),
        replace(
            QUIET,
            name="many_creates",
            seed_name="many",
            tabs=CREATE_COUNTS,
            same_choices=0.3,
            pays=0.3,
            faults=0.3,
            lost_webhooks=0.1,
            start="customer",
        ),
        replace(
            QUIET,
            name="mixed_kinds",
            seed_name="kinds",
            tabs=(3, 3, 4),
            same_choices=0.0,
            pays=0.1,
            faults=0.3,
            start="customer",
            dashboard=0.3,
        ),
        replace(
            QUIET,
            name="three_creates",
            seed_name="claims",
            tabs=(3,),
            same_choices=0.0,
            pays=0.0,
            faults=0.0,
            start="customer",
            dashboard=1.0,
        ),
        replace(
            QUIET,
            name="up_to_eight_creates",
            seed_name="crowds",
            tabs=(6, 8),
            same_choices=0.0,
            pays=0.0,
            faults=0.0,
            start="customer",
            dashboard=1.0,
            priority_scheduling=0.2,
        ),
        replace(
            QUIET,
            name="refund_retries",
            seed_name="drives",
            start="bought",
            tabs=(0,),
            requests_refund=0.7,
            staff_refunds=1.0,
            refund_amounts=(10_000, 20_000),
            faults=0.3,
            reconciler=1.0,
            hour_passes=0.1,
            dashboard=0.3,
            max_waits=3,
        ),
        replace(
            QUIET,
            name="appeals",
            start="bought",
            tabs=(0,),
            disputed=1.0,
            dispute_histories=APPEALS,
            purchase_decisions=0.3,
            max_waits=4,
            views=0.6,
            faults=0.2,
        ),
        replace(
            QUIET,
            name="same_second_phases",
            seed_name="seconds",
            tabs=(1,),
            pays=1.0,
            views=1.0,
            faults=0.2,
            seconds_per_step=(0.0,),
            max_waits=3,
            methods=(
                *("pm_card_threeDSecureRequired", "pm_card_threeDSecureRequired", "pm_card_chargeDeclined"),
                *("pm_usBankAccount_insufficientFunds", "pm_usBankAccount_success"),
            ),
        ),
        replace(
            QUIET,
            name="stale_syncs",
            seed_name="old",
            tabs=(1,),
            kinds=("intent",),
            pays=1.0,
            payment_attempts=(1, 1, 2),
            methods=("pm_card_threeDSecureRequired",),
            authentication_outcomes=("failure",),
            views=1.0,
            viewers=2,
            faults=0.0,
            seconds_per_step=(0.0,),
            max_waits=2,
            priority_scheduling=0.9,
        ),
        replace(
            QUIET,
            name="concurrent_syncs",
            seed_name="glances",
            tabs=(1,),
            kinds=("intent",),
            pays=1.0,
            payment_attempts=(2,),
            methods=("pm_card_chargeDeclined", "pm_card_threeDSecureRequired", "pm_usBankAccount_success"),
            views=1.0,
            viewers=6,
            syncs=1.0,
            delivery_rates=(0.01,),
            faults=0.0,
            seconds_per_step=(0.0,),
            max_waits=1,
        ),
        replace(
            QUIET,
            name="card_testing",
            seed_name="testers",
            tabs=(1, 2),
            pays=0.3,
            card_testing=1.0,
            other_api_version=0.0,
            faults=0.4,
            views=0.3,
        ),
        replace(
            QUIET,
            name="limited_declines",
            seed_name="limits",
            tabs=(2, 3),
            kinds=("intent",),
            pays=0.3,
            card_testing=1.0,
            other_api_version=0.0,
            lost_webhooks=0.0,
            faults=0.2,
            declines_per_hour=2,
        ),
        replace(
            QUIET,
            name="price_changes",
            seed_name="prices",
            tabs=(1, 2, 3),
            price_change=1.0,
            pays=0.4,
            faults=0.3,
            max_waits=6,
        ),
        replace(
            QUIET,
            name="promotion_codes",
            seed_name="codes",
            tabs=(1, 2, 3),
            kinds=("checkout",),
            promotion_codes=0.8,
            pays=0.9,
            requests_refund=0.3,
            faults=0.3,
            methods=SUCCESSFUL_METHODS,
            access_decisions=0.2,
        ),
        replace(
            QUIET,
            name="first_purchases",
            seed_name="firsts",
            tabs=(2, 3),
            tracks=2,
            kinds=("checkout",),
            promotion_codes=0.9,
            codes=("FIRST", "FIRST-TOO"),
            pays=0.7,
            faults=0.3,
            days_pass=0.3,
            methods=SUCCESSFUL_METHODS,
        ),
        replace(
            QUIET,
            name="deleted_customers",
            seed_name="customers",
            tabs=(1, 2),
            tracks=2,
            customer_deleted=1.0,
            new_email=0.4,
            faults=0.5,
            days_pass=0.3,
            max_waits=6,
        ),
        replace(
            QUIET,
            name="unreadable_events",
            seed_name="unread",
            tabs=(1,),
            pays=1.0,
            unreadable_events=1.0,
            requests_refund=0.3,
            faults=0.3,
            methods=SUCCESSFUL_METHODS,
        ),
        replace(
            QUIET,
            name="double_payments",
            seed_name="doubles",
            start="revoked",
            tabs=(1,),
            pays=1.0,
            disputed=0.6,
            access_decisions=0.6,
            requests_refund=0.4,
            lost_webhooks=0.4,
            max_waits=6,
            methods=SUCCESSFUL_METHODS,
            acknowledgements=0.3,
        ),
        replace(
            QUIET,
            name="reused_payment_ids",
            seed_name="names",
            tabs=(1, 2),
            start="orphan",
            pays=0.6,
            methods=SUCCESSFUL_METHODS,
            faults=0.3,
            days_pass=0.3,
            dashboard=1.0,
            pays_orphans=0.4,
            reconciler=0.5,
            max_waits=3,
        ),
        replace(
            QUIET,
            name="altered_amounts",
            seed_name="amounts",
            start="",
            tabs=(1,),
            pays=1.0,
            methods=SUCCESSFUL_METHODS,
            amount_altered=1.0,
            access_decisions=1.0,
            acknowledgements=0.6,
            max_waits=4,
            faults=0.3,
        ),
        replace(
            QUIET,
            name="lost_webhooks",
            seed_name="untold",
            tabs=(1, 2),
            pays=1.0,
            methods=ALL_METHODS,
            lost_webhooks=1.0,
            requests_refund=0.8,
            staff_refunds=0.4,
            disputed=0.3,
            dashboard=0.5,
            reconciler=0.4,
            views=0.3,
            max_waits=6,
        ),
        replace(
            QUIET,
            name="same_second_events",
            seed_name="ties",
            tabs=(1,),
            pays=1.0,
            faults=0.0,
            seconds_per_step=(0.0,),
            max_waits=2,
            payment_attempts=(2, 3),
            methods=BANK_METHODS,
        ),
        replace(
            QUIET,
            name="bank_debits",
            seed_name="banks",
            tabs=(1,),
            kinds=("checkout",),
            pays=1.0,
            faults=0.2,
            lost_webhooks=0.4,
            views=0.2,
            requests_refund=0.4,
            methods=BANK_METHODS,
        ),
        replace(
            QUIET,
            name="failing_refunds",
            seed_name="failing",
            start="bought",
            start_methods=("pm_card_refundFail", "pm_card_refundFail", "pm_card_pendingRefund"),
            tabs=(0,),
            dashboard=1.0,
            requests_refund=0.5,
            lost_webhooks=0.6,
            other_api_version=0.5,
            max_waits=3,
        ),
        replace(
            QUIET,
            name="stale_replays",
            seed_name="stale",
            start="orphan",
            orphan_aged=0.0,
            tabs=(1, 2),
            same_choices=1.0,
            arrival_waits=6,
            pays=0.3,
            purchases=(1,),
            dashboard=1.0,
            faults=0.2,
            max_waits=2,
        ),
        replace(
            QUIET,
            name="checkout_pages",
            seed_name="pages",
            tabs=(1,),
            kinds=("checkout",),
            pays=1.0,
            payment_attempts=(1,),
            purchases=(1,),
            methods=("pm_card_visa",),
            disputed=1.0,
            dispute_histories=(("needs_response",),),
            faults=0.1,
            max_waits=3,
            delivery_rates=(0.01, 0.05),
            newest_first=0.8,
        ),
        replace(
            QUIET,
            name="losing_creates",
            seed_name="losers",
            start="revoked",
            tabs=(1,),
            same_choices=1.0,
            pays=0.0,
            faults=0.0,
            disputed=1.0,
            dashboard=1.0,
            access_decisions=0.5,
            priority_scheduling=1.0,
            max_waits=3,
        ),
        replace(
            QUIET,
            name="missing_at_stripe",
            seed_name="gone",
            tabs=(1, 2),
            faults=1.0,
            fault_rates=(0.03, 0.1, 0.3),
            fates=("missing",),
            lost_webhooks=0.5,
            views=1.0,
            syncs=0.8,
            requests_refund=0.3,
            reconciler=0.5,
            other_api_version=0.3,
        ),
        replace(
            QUIET,
            name="erasures",
            seed_name="erased",
            start="bought",
            tabs=(0,),
            erasure=1.0,
            requests_refund=0.5,
            disputed=0.3,
            lost_webhooks=0.2,
        ),
        replace(
            QUIET,
            name="stopped_sales",
            students=(1, 2),
            tabs=(1, 2, 3),
            selling_stops=1.0,
            faults=0.5,
            fault_rates=(0.02, 0.1),
            fates=("kill before", "kill after", "drop after", "conflict"),
            reconciler=0.2,
        ),
    )
}

WHOLE_SYSTEM = (
    *(
        "whole_system",
        "whole_system",
        "whole_system",
        "several_students",
        "refunds",
        "repeat_purchases",
        "restore",
        "staff",
        "orphans",
        "mixed_kinds",
        "three_creates",
    ),
    *(
        "refund_retries",
        "same_second_phases",
        "card_testing",
        "price_changes",
        "deleted_customers",
        "unreadable_events",
        "double_payments",
        "erasures",
        "promotion_codes",
        "first_purchases",
        "reused_payment_ids",
        "altered_amounts",
        "lost_webhooks",
        "missing_at_stripe",
        "partial_restore",
    ),
)
"""The scenarios of a search over the whole system, in turn. Some of the others are searched on their own."""
