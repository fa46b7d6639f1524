"""The contribution of a payment to the roll-ups, and that no order or repetition of records changes their sums."""

import json
import random
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_facts import random_facts
from tuition.core import payment as payments
from tuition.core import rollups, timestamps
from tuition.core.facts import Balance, Charge, Dispute, Facts, Refund, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment, Terms
from tuition.core.rollups import Contribution, RollUpKey
from tuition.core.switches import SUBJECTS
from tuition.views import payment_list
from tuition.views.filters import Filters
from tuition.views.payment_json import PaymentView

ZONES = ("UTC", "America/Los_Angeles")
AT = int(timestamps.epoch("2026-11-23T02:00:00.000Z"))
DAY_S = 86_400


def payment(*all_facts: Facts, payment_id: str = "pay_1", **fields: Any) -> Payment:
    result = Payment(
        payment_id=payment_id,
        user_id="u",
        track="DP",
        kind="intent",
        attempt=1,
        stripe_object_id="pi_1",
        price=Money(49900, "usd"),
        created_at=timestamps.iso(AT),
        updated_at=timestamps.iso(AT),
    )
    for facts in all_facts:
        result = result.merged(facts)
    return replace(result, **fields)


def figures(one: Payment, zone: str = "UTC") -> dict[str, dict[str, int]]:
    """Return what a payment contributes to days, codes and cohorts in a zone, by the sort key."""
    contributed = rollups.contribution(one, [zone]).items()
    return {key.measure: numbers for key, numbers in contributed if not key.period.startswith("statuses#")}


def statuses(one: Payment) -> dict[str, int]:
    """Return what a payment contributes to the numbers of payments by status, in all zones."""
    return rollups.contribution(one, ZONES)[RollUpKey("statuses#UTC", "status#2026-11#DP")]


VISA = Charge("succeeded", 49900, AT + 60, "card")
PAID = Facts(settled=Settled(49900, "usd", AT + 90), charges={"ch_1": VISA})
PRICED = {"created": 49900, "payments": 1}


def test_an_open_payment_contributes_its_price_to_the_day_of_its_creation() -> None:
    assert figures(payment()) == {"day#2026-11-23#usd#DP#none": PRICED}


def test_a_settled_payment_contributes_to_the_day_on_which_it_settled_and_to_its_cohort() -> None:
    settled, fee = Settled(49900, "usd", AT + 30 * DAY_S), Balance(1477, 48423, "usd")
    later = Facts(settled=settled, charges={"ch_1": VISA}, balance=fee)
    assert figures(payment(later)) == {
        "day#2026-11-23#usd#DP#card": {**PRICED, "paid": 1},
        "day#2026-12-23#usd#DP#card": {
            "settled": 49900,
            "settlements": 1,
            "seconds_to_pay": 30 * DAY_S,
            "fees": 1477,
        },
        "cohort#2026-12#DP": {"enrolled": 1},
    }


def test_a_day_in_the_schools_time_zone_is_another_one_at_night() -> None:
    assert set(figures(payment(PAID), "America/Los_Angeles")) == {"day#2026-11-22#usd#DP#card", "cohort#2026-11#DP"}
    partitions = {key.period for key in rollups.contribution(payment(), ZONES)}
    assert partitions == {"2026-11#UTC", "2026-11#America/Los_Angeles", "statuses#UTC"}


def test_a_fee_in_the_settlement_currency_is_never_added_to_another_currency() -> None:
    by_day = figures(payment(PAID, Facts(balance=Balance(1300, 44000, "eur"))))
    assert by_day["day#2026-11-23#eur#DP#card"] == {"fees": 1300}
    assert "fees" not in by_day["day#2026-11-23#usd#DP#card"]


def test_a_declined_charge_counts_with_its_code_and_a_later_success_as_recovered() -> None:
    declined = Facts(charges={"ch_0": Charge("failed", 49900, AT + 30, "card", code="card_declined")})
    assert figures(payment(declined))["day#2026-11-23#usd#DP#card"] == {**PRICED, "failure:card_declined": 1}
    by_day = figures(payment(declined, PAID))["day#2026-11-23#usd#DP#card"]
    assert (by_day["failure:card_declined"], by_day["recovered"], by_day["seconds_to_pay"]) == (1, 1, 90)
    assert "recovered" not in figures(payment(PAID))["day#2026-11-23#usd#DP#card"]


def test_a_refund_counts_on_its_own_day_and_a_failed_one_not_at_all() -> None:
    def refunded(status: str, amount: int = 49900) -> dict[str, dict[str, int]]:
        return figures(payment(PAID, Facts(refunds={"re_1": Refund(status, amount, AT + 2 * DAY_S)})))

    assert refunded("succeeded")["day#2026-11-25#usd#DP#card"] == {"refunded": 49900, "refunds": 1}
    assert refunded("pending") == refunded("succeeded")
    assert refunded("succeeded")["cohort#2026-11#DP"] == {"enrolled": 1, "refunded": 1}
    assert refunded("succeeded", 100)["cohort#2026-11#DP"] == {"enrolled": 1}
    assert "day#2026-11-25#usd#DP#card" not in refunded("failed")


def test_a_dispute_counts_on_the_day_it_was_opened_and_an_inquiry_does_not() -> None:
    def disputed(status: str) -> dict[str, int] | None:
        dispute = Dispute(1, status, 49900, AT + 3 * DAY_S, "fraudulent")
        return figures(payment(PAID, Facts(disputes={"du_1": dispute}))).get("day#2026-11-26#usd#DP#card")

    assert disputed("needs_response") == {"disputed": 49900, "disputes": 1}
    assert disputed("won") == {"disputed": 49900, "disputes": 1}
    assert disputed("lost") == {"disputed": 49900, "disputes": 1, "lost": 49900}
    assert disputed("warning_needs_response") is None


def test_a_payment_counts_once_under_its_status_in_the_month_of_its_creation() -> None:
    assert statuses(payment()) == {"CREATED": 1}
    assert statuses(payment(PAID)) == {"SUCCEEDED": 1}
    part, whole = (Facts(refunds={"re_1": Refund("succeeded", amount, AT)}) for amount in (100, 49900))
    assert statuses(payment(PAID, part)) == {"SUCCEEDED": 1, "partly_refunded": 1}
    assert statuses(payment(PAID, whole)) == {"REFUNDED": 1}
    disputed = Facts(disputes={"du_1": Dispute(1, "won", 49900, AT + 40 * DAY_S, "fraudulent")})
    assert statuses(payment(PAID, disputed)) == {"SUCCEEDED": 1, "disputed": 1}


def test_a_promotion_code_counts_once_it_was_used_to_pay() -> None:
    terms = Terms(list_amount=49900, promotion_code="SPRING#20")
    cheaper = payment(price=Money(39900, "usd"), terms=terms)
    assert set(figures(cheaper)) == {"day#2026-11-23#usd#DP#none"}
    key = "code#2026-11-23#usd#DP#SPRING#20"
    paid = cheaper.merged(Facts(settled=Settled(39900, "usd", AT + 1)))
    assert figures(paid)[key] == {"uses": 1, "discount": 10000}
    assert RollUpKey("p", key).parts[-1] == "SPRING#20"


def test_a_payment_that_is_missing_contributes_nothing() -> None:
    assert rollups.contribution(None, ZONES) == {}


@pytest.mark.parametrize("name", ["Nowhere/City", "../etc/passwd", "Europe"])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        timestamps.zone_info(name)


# --- plans ---


def changes(plan_id: str, *states: tuple[str, str | None, str], **first: Any) -> list[dict[str, Any]]:
    """Return records of a plan: each with its time, and the status from and to."""
    return [
        {
            "subject": plan_id,
            "track": "DP",
            "at": at,
            "transition": {"plan": {"id": plan_id, "from": old, "to": new, **first}},
        }
        for at, old, new in states
    ]


TERMS = {"terms": {"currency": "usd"}}
SUSPENDED = ("2027-01-06T08:00:00.000Z", "LATE", "SUSPENDED")


def test_a_plan_contributes_its_changes_on_their_days_and_a_repeated_one_once() -> None:
    trail = changes("pln_1", ("2026-11-23T02:00:00.000Z", None, "OPEN"), **TERMS)
    trail += changes("pln_1", SUSPENDED, SUSPENDED, ("2027-03-01T02:00:00.000Z", "SUSPENDED", "CLOSED"))
    assert rollups.plan_contribution(trail, ["UTC"]) == {
        RollUpKey("2027-01#UTC", "plan#2027-01-06#usd#DP#installments"): {"suspended": 1},
        RollUpKey("2027-03#UTC", "plan#2027-03-01#usd#DP#installments"): {"closed": 1},
    }
    late = changes("pln_1", ("2027-01-07T02:00:00.000Z", "ACTIVE", "LATE"), **TERMS)
    assert rollups.plan_contribution(late, ["UTC"]) == {}, "each installment is late for a part of its day"
    assert rollups.plan_contribution(trail[1:], ["UTC"]) == {}, "its terms are lost"
    of_member = changes("pln_1", ("2026-11-23T02:00:00.000Z", "OPEN", "ABANDONED"), **TERMS, membership="ALL")
    of_member[0]["track"] = None
    (key,) = rollups.plan_contribution(of_member, ["UTC"])
    assert key.measure == "plan#2026-11-23#usd#ALL#membership"


def test_a_payment_of_a_plan_contributes_its_money_and_what_followed_from_it() -> None:
    of_plan = replace(payment(PAID), plan="pln_1", covers=(1,))
    trail = changes("pay_1", ("2026-11-23T02:01:30.000Z", "OPEN", "ACTIVE"))
    key = RollUpKey("2026-11#UTC", "plan#2026-11-23#usd#DP#installments")
    assert rollups.contribution(of_plan, ["UTC"], trail)[key] == {"settled": 49900, "settlements": 1, "started": 1}
    assert key not in rollups.contribution(payment(PAID), ["UTC"])


# --- any order, any repetition ---


def history(rng: random.Random, number: int) -> list[Payment]:
    """Return the states of a payment, from its creation on, with facts that contradict and correct each other."""
    states = [payment(payment_id=f"pay_{number}", track=rng.choice(("DP", "FSD")))]
    for _ in range(rng.randint(0, 5)):
        facts = random_facts(rng.randint(0, 2**32))
        states.append(states[-1].merged(facts))
    return states


def deliver(histories: list[list[Payment]], rng: random.Random) -> Contribution:
    """Deliver a message for each state, in any order, some twice, while the payments go on changing."""
    messages = [number for number, states in enumerate(histories) for _ in states]
    messages += rng.choices(messages, k=len(messages) // 2)
    rng.shuffle(messages)
    position, counted = [0] * len(histories), [Contribution() for _ in histories]
    sums: Contribution = {}
    for number in messages:
        position[number] = rng.randint(position[number], len(histories[number]) - 1)
        count(histories[number][position[number]], number, counted, sums)
    for number, states in enumerate(histories):  # the message of the newest record comes after it was committed
        count(states[-1], number, counted, sums)
    return {key: numbers for key, numbers in sums.items() if numbers}


def count(state: Payment, number: int, counted: list[Contribution], sums: Contribution) -> None:
    now = rollups.contribution(state, ZONES)
    rollups.add_to(sums, rollups.difference(counted[number], now))
    counted[number] = rollups.from_json(json.loads(json.dumps(rollups.to_json(now))))


@pytest.mark.property
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_any_order_and_repetition_gives_the_roll_ups_of_a_recount(seed: int) -> None:
    rng = random.Random(seed)
    histories = [history(rng, number) for number in range(rng.randint(1, 4))]
    recounted = rollups.total(rollups.contribution(states[-1], ZONES) for states in histories)
    assert deliver(histories, rng) == recounted


TABS = {
    **{status: Filters(status=status) for status in payments.STATUSES},
    rollups.PARTLY_REFUNDED: Filters(refunded="partly"),
    rollups.DISPUTED: Filters(disputed=True),
}
"""The filters that the tabs of the payments list set, by the figure that each tab shows."""


@pytest.mark.property
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_the_number_of_a_tab_is_that_of_the_payments_which_its_filter_lists(seed: int) -> None:
    state = replace(history(random.Random(seed), 1)[-1], track="DP")
    counted = {name for name, number in statuses(state).items() if number}
    view = PaymentView(state, [])
    assert counted == {
        name for name, tab in TABS.items() if state.status in tab.statuses and payment_list.matches(tab, view)
    }


# --- periods ---


def test_a_day_belongs_to_its_iso_week_and_its_month() -> None:
    assert [rollups.period_of("2027-01-01", by) for by in ("day", "week", "month")] == [  # type: ignore[arg-type]
        *("2027-01-01", "2026-W53", "2027-01"),
    ]


# --- the queue ---

RECORD = {
    "subject": "pay_1",
    "user_id": "u",
    "track": "DP",
    "sort_key": "2026-11-23T02:00:00.000Z#evt_1",
    "at": "2026-11-23T02:00:00.000Z",
    "recorded_at": "2026-11-24T00:00:01.000Z",
    "transition": {"settled": 49900, "currency": "usd"},
}


def test_records_of_one_day_track_and_currency_are_one_group() -> None:
    entry = rollups.queue_entry(RECORD)
    assert entry is not None
    assert entry.group_id == "2026-11-24#DP#usd"
    assert entry.body == {"subject": "pay_1", "sort_key": RECORD["sort_key"], "recorded_day": "2026-11-24"}
    assert rollups.queue_entry({**RECORD, "track": "FSD"}) != entry


def test_two_records_are_never_taken_for_one_and_a_repeated_one_is() -> None:
    ids = [
        rollups.queue_entry({**RECORD, **change}).deduplication_id  # type: ignore[union-attr]
        for change in ({}, {}, {"subject": "pay_2"}, {"sort_key": "2026-11-23T02:00:00.000Z#evt_2"})
    ]
    assert ids[0] == ids[1] and len(set(ids)) == 3
    assert all(len(one) <= 128 for one in ids)  # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference


def test_a_record_of_a_user_or_of_the_selling_switch_is_not_counted() -> None:
    assert rollups.queue_entry({**RECORD, "subject": "u", "track": None, "transition": {}}) is None
    assert rollups.queue_entry({**RECORD, "subject": SUBJECTS["selling"], "transition": {}}) is None


def test_a_record_of_a_plan_is_counted_if_its_status_changed() -> None:
    announced = {**RECORD, "subject": "pln_1", "transition": {"plan": {"id": "pln_1"}}}
    assert rollups.queue_entry(announced) is None
    suspended = {**announced, "transition": {"plan": {"id": "pln_1", "from": "LATE", "to": "SUSPENDED"}}}
    assert rollups.queue_entry(suspended) is not None


def test_a_record_without_a_transition_is_counted_too() -> None:
    """A second decline changes no status, but the number of failures."""
    entry = rollups.queue_entry({**RECORD, "transition": {}})
    assert entry is not None and entry.group_id == "2026-11-24#DP#"


@pytest.mark.parametrize("track", ["Data Science", "Größe", "数据", "T" * 200, "DP\n", "FSD"])
def test_every_track_has_a_message_group_that_sqs_accepts(track: str) -> None:
    record = {"subject": "pay_1", "sort_key": "s", "user_id": "u", "track": track, "at": "2026-11-23", "transition": {}}
    one, same = rollups.queue_entry(record), rollups.queue_entry({**record, "subject": "pay_2"})
    other = rollups.queue_entry({**record, "track": track + "2"})
    assert one and same and other
    assert re.fullmatch(r"[!-~]{1,128}", one.group_id)
    assert one.group_id == same.group_id != other.group_id


@pytest.mark.parametrize("code", ["a|b#c", "day#2026#|", "\N{GRINNING FACE}#|" * 33, "Größe 50 %"])
def test_any_promotion_code_survives_in_the_key_of_its_roll_up(code: str) -> None:
    key = rollups.RollUpKey("2026-11#Europe/Berlin", f"code#2026-11-23#usd#DP#{code}")
    assert rollups.parse_key(str(key)) == key
    assert key.parts == ["code", "2026-11-23", "usd", "DP", code]
