"""The roll-ups of analytics: exactly once under repetition, disorder, kills and conflicts, and equal to a recount."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests import plan_calls
from tests.harness import Harness, Student
from tests.tables.test_collection import steps
from tests.tables.test_plans import member
from tests.tables.test_promotion_codes import create_code
from tests.tables.test_reconcile import metric_values
from tests.tables.test_sessions import open_session, pay_session
from tuition import clock, metrics, retry, settings
from tuition.core import rollups, timestamps
from tuition.core.errors import NotConfigured
from tuition.core.facts import Facts, Refund
from tuition.core.refs import is_plan
from tuition.core.rollups import Contribution
from tuition.outbox import analytics, recount
from tuition.retry import Limit
from tuition.storage import dynamodb, keys, mapping
from tuition.storage import rollups as stored
from tuition.storage.dynamodb import StorageUnavailable
from tuition.storage.items import PaymentItem, RollUpItem
from tuition.storage.rollups import RollUpConflict
from tuition.views import analytics as view

DAY_S = 86_400
STAFF = Student("staff-1", groups=("support",))
TABLES = {
    "analytics": ("period", "measure"),
    "effects": ("consumer_subject", "sort_key"),
    "audit": ("subject", "sort_key"),
}


@pytest.fixture(autouse=True)
def noon(tuition: Harness, empty_tables: None) -> None:
    """Begin at noon of a UTC day, with no other test's records and roll-ups."""
    for table, names in TABLES.items():
        tuition.empty_table(table, *names)
    tuition.freeze_time(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())


def deliver(tuition: Harness) -> None:
    tuition.advance_time(5)
    tuition.deliver_all()


def bought(tuition: Harness, student: Student, /, track: str = "DP") -> dict[str, Any]:
    purchase = tuition.create(student, track=track).body
    tuition.pay(purchase["payment_intent_id"])
    deliver(tuition)
    return dict(purchase)


def busy_days(tuition: Harness, student: Student) -> None:
    """Fill two days: an open payment, a decline that is recovered, a refund, and a lost dispute."""
    tuition.create(Student(f"{student.sub}-open"))
    declined = tuition.create(Student(f"{student.sub}-declined"), track="FSD").body
    tuition.pay(declined["payment_intent_id"], "pm_card_chargeDeclined")
    deliver(tuition)
    tuition.pay(declined["payment_intent_id"])
    deliver(tuition)
    refunded = Student(f"{student.sub}-refunded")
    purchase = bought(tuition, refunded)
    tuition.advance_time(DAY_S)
    tuition.refund(refunded, purchase["payment_id"])
    deliver(tuition)
    disputed = tuition.create(Student(f"{student.sub}-disputed")).body
    tuition.pay(disputed["payment_intent_id"], "pm_card_createDispute")
    deliver(tuition)


def recounted(tuition: Harness) -> Contribution:
    """Return the figures of all payments and plans, from their items and records."""
    payments = [mapping.payment_from_raw(item) for item in tuition.tables.scan(TableName="payments")["Items"]]
    trails: dict[str, list[dict[str, Any]]] = {}
    for record in tuition.stored_records():
        trails.setdefault(record["subject"], []).append(record)
    of_plans = [rollups.plan_contribution(trail, analytics.zones()) for key, trail in trails.items() if is_plan(key)]
    of_payments = (
        rollups.contribution(one, analytics.zones(), trails[one.payment_id] if one.plan else ()) for one in payments
    )
    return rollups.total([*of_payments, *of_plans])


def rolled_up(tuition: Harness) -> Contribution:
    items = [RollUpItem.from_raw_data(item) for item in tuition.tables.scan(TableName="analytics")["Items"]]
    sums = {rollups.RollUpKey(item.period, item.measure): dict(item.figures) for item in items}
    return {key: one for key, one in sums.items() if one and not key.period.startswith(stored.COUNTED)}


def everything(tuition: Harness) -> list[Any]:
    items = [tuition.tables.scan(TableName=table)["Items"] for table in ("analytics", "effects")]
    return [sorted(json.dumps(item, sort_keys=True) for item in of_table) for of_table in items]


def figures_of(tuition: Harness) -> dict[str, int]:
    """Return the sum of the roll-ups of days in UTC."""
    sums: dict[str, int] = {}
    for key, one in rolled_up(tuition).items():
        if key.measure.startswith("day#") and key.period.endswith("#UTC"):
            sums = rollups.added(sums, one)
    return sums


def test_a_plan_counts_each_payment_by_its_product_and_its_student_once(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_calls.offer_plans(monkeypatch.setattr)
    opened = plan_calls.started(tuition, student)
    tuition.pay(plan_calls.pay(tuition, student, opened["plan_id"], "rest").body["payment_intent_id"])
    other = Student(f"{student.sub}-member")
    membership = member(tuition, other)
    tuition.advance_time(31 * DAY_S)
    tuition.pay(plan_calls.pay(tuition, other, membership).body["payment_intent_id"])
    deliver(tuition)
    assert tuition.count_records(tuition.stored_records()) == []
    assert rolled_up(tuition) == recounted(tuition)
    figures = view.details({"from": "2026-11-23", "to": "2027-02-28"})
    assert {one["track"]: (one["settlements"], one["settled"]) for one in figures["outcomes"] if one["settled"]} == {
        "DP": (2, 49900), "ALL": (2, 2 * 4900),
    }  # fmt: skip
    assert figures["cohorts"] == [
        {"month": "2026-11", "track": "ALL", "enrolled": 1, "refunded": 0},
        {"month": "2026-11", "track": "DP", "enrolled": 1, "refunded": 0},
    ]
    assert [one["settled"] for one in view.analytics({"from": "2026-11-23", "track": "ALL"})["totals"]] == [9800]


def test_a_suspension_of_a_plan_counts_on_its_day_in_any_order_and_a_recount_finds_one(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_wait(monkeypatch)
    plan_calls.offer_plans(monkeypatch.setattr)
    plan_id = plan_calls.started(tuition, student)["plan_id"]
    steps(tuition, student, {"plan_id": plan_id}, *["insufficient_funds"] * 9)
    for days in (23, 7, 3, 4, 5, 3):  # announced, charged on its four days, and suspended since 6 January
        tuition.advance_time(days * DAY_S)
        tuition.collect()
        deliver(tuition)
    tuition.pay(plan_calls.pay(tuition, student, plan_id, "due").body["payment_intent_id"], "pm_card_mastercard")
    other = Student(f"{student.sub}-other")
    unpaid = plan_calls.begin(tuition, other).body["plan_id"]
    assert plan_calls.call(tuition, other, "POST", unpaid, "cancel", {}).body["status"] == "ABANDONED"
    deliver(tuition)
    records = tuition.stored_records()
    assert tuition.count_records([one for one in records if one["subject"] != plan_id]) == []
    nightly = night(tuition)
    assert (nightly["missing"], {one["figure"] for one in nightly["differences"]}) == ([plan_id], {"suspended"})
    report = tuition.recount(full=True)
    assert (report["missing"], report["differences"], report["repaired"]) == ([plan_id], [], 1)
    assert night(tuition)["equal"] is True
    before = everything(tuition)[0]
    shuffled = [*records, *random.Random(3).sample(records, k=len(records))]
    random.Random(5).shuffle(shuffled)
    assert tuition.count_records(shuffled) == []
    assert everything(tuition)[0] == before, "its records arrive late, and add nothing"
    assert rolled_up(tuition) == recounted(tuition)
    query = {"from": "2026-11-23", "to": "2027-02-28"}
    (figures,) = view.details(query)["plans"]
    assert figures == {
        "currency": "usd", "track": "DP", "kind": "installments", "settlements": 2, "settled": 2 * 12475, "started": 1,
        "suspended": 1, "restored": 1, "completed": 0, "closed": 0, "refunded": 0, "abandoned": 1,
    }  # fmt: skip
    (day,) = view.details({"from": "2027-01-06", "to": "2027-01-06", "zone": "school"})["plans"]
    assert (day["suspended"], day["settled"]) == (1, 0)
    of_all = {name: figures[name] for name in view.OF_PLANS}
    none = dict.fromkeys(view.OF_PLANS, 0)
    for by, period in (("day", "2027-01-06"), ("week", "2027-W01"), ("month", "2027-01")):
        for zone in ("utc", "school"):
            by_period = view.analytics({**query, "by": by, "zone": zone, "currency": "usd", "track": "DP"})
            plans = {one["period"]: one["plans"] for one in by_period["periods"]}
            assert [one["plans"] for one in by_period["totals"]] == [of_all]
            assert {name: sum(one[name] for one in plans.values()) for name in view.OF_PLANS} == of_all
            assert plans[period]["suspended"] == 1
    (only,) = view.analytics({"from": "2027-01-06", "to": "2027-01-06"})["periods"]
    assert (only["payments"], only["plans"]) == (0, {**none, "suspended": 1}), "no payment has figures of that day"
    assert view.analytics({**query, "currency": "eur"})["periods"] == []
    assert tuition.recount(full=True)["equal"] is True
    tamper(tuition, "plan", suspended=2)
    tuition.advance_time(DAY_S)
    assert "suspended" in {one["figure"] for one in tuition.recount(full=True)["differences"]}


def test_shuffled_and_repeated_records_give_the_figures_of_a_recount(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy_days(tuition, student)
    records = tuition.stored_records()
    rng = random.Random(7)
    shuffled = [*records, *rng.choices(records, k=len(records))]
    rng.shuffle(shuffled)
    assert tuition.count_records(shuffled) == []
    assert rolled_up(tuition) == recounted(tuition)
    figures = figures_of(tuition)
    assert (figures["payments"], figures["settlements"], figures["settled"]) == (4, 3, 2 * 49900 + 59900)
    assert (figures["refunded"], figures["disputed"], figures["recovered"]) == (49900, 49900, 1)
    assert sum(count for name, count in figures.items() if name.startswith(rollups.FAILURE)) == 1
    assert len(tuition.tables.scan(TableName="effects")["Items"]) == len(records)


def test_a_replay_of_every_record_changes_nothing(tuition: Harness, student: Student) -> None:
    busy_days(tuition, student)
    records = tuition.stored_records()
    tuition.count_records(records)
    before = everything(tuition)
    tuition.advance_time(90 * DAY_S)
    assert tuition.count_records(records[::-1]) == []
    assert everything(tuition) == before
    assert "expires_at" not in tuition.tables.scan(TableName="effects")["Items"][0]


def test_records_that_are_counted_while_payments_go_on_changing_are_counted_once(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.count_records(tuition.stored_records())
    tuition.pay(purchase["payment_intent_id"])
    deliver(tuition)
    old = tuition.stored_records()[:1]
    tuition.count_records(old)  # claimed before: it says nothing new, although its payment has changed since
    assert figures_of(tuition).get("settled") is None
    tuition.count_records(tuition.stored_records())
    tuition.refund(student, purchase["payment_id"])
    deliver(tuition)
    tuition.count_records(tuition.stored_records())
    assert rolled_up(tuition) == recounted(tuition)


def failing_call(monkeypatch: pytest.MonkeyPatch, number: int, *, after: bool) -> Callable[[], int]:
    """Let one call to DynamoDB fail, before or after its effect. Return a function that counts the calls."""
    real, calls = dynamodb.call, 0

    def call(operation: Any, **params: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != number:
            return real(operation, **params)
        if after:
            real(operation, **params)
        raise StorageUnavailable("killed by the test")

    monkeypatch.setattr(dynamodb, "call", call)
    return lambda: calls


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
def test_a_kill_at_any_call_loses_nothing_and_counts_nothing_twice(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    busy_days(tuition, student)
    records = tuition.stored_records()[:10]
    number, calls = 0, 0
    while calls >= number:
        number += 1
        for table in ("analytics", "effects"):
            for item in tuition.tables.scan(TableName=table)["Items"]:
                tuition.tables.delete_item(TableName=table, Key={name: item[name] for name in TABLES[table]})
        with monkeypatch.context() as patch:
            count_calls = failing_call(patch, number, after=after)
            failed = tuition.count_records(records)
            calls = count_calls()
        assert (len(failed) == len(records)) == (calls >= number), "a batch that was not counted is delivered again"
        tuition.count_records(tuition.stored_records())
        assert rolled_up(tuition) == recounted(tuition), f"call {number}"
    assert number > 5


def test_a_payment_that_changes_between_two_reads_never_sets_the_figures_back(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another invocation counts the newer state while this one holds the older one."""
    purchase = tuition.create(student).body
    first = tuition.stored_records()
    real, reads = stored.load_payments, 0

    def load_payments(payment_ids: Any) -> Any:
        nonlocal reads
        reads += 1
        loaded = real(payment_ids)
        if reads == 1:
            tuition.pay(purchase["payment_intent_id"])
            deliver(tuition)
            analytics.count([analytics.Message("m", purchase["payment_id"], "newer#evt", "2026-11-23")])
        return loaded

    monkeypatch.setattr(stored, "load_payments", load_payments)
    assert tuition.count_records(first) == []
    assert reads == 3, "the first look lost, and was repeated"
    assert figures_of(tuition)["settled"] == 49900
    assert rolled_up(tuition) == recounted(tuition)


def test_a_conflict_is_tried_again_and_after_the_last_one_the_messages_are_delivered_again(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought(tuition, student)
    records, real, conflicts = tuition.stored_records(), stored.store, 2

    def store(*args: Any) -> None:
        nonlocal conflicts
        conflicts -= 1
        if conflicts >= 0:
            raise RollUpConflict("another transaction was first")
        real(*args)

    monkeypatch.setattr(retry, "ROLL_UPS", Limit(3, base_s=0))
    monkeypatch.setattr(stored, "store", store)
    assert tuition.count_records(records) == []
    conflicts = 3
    tuition.refund(student, records[0]["subject"])
    newer = tuition.stored_records()[len(records) :]
    assert tuition.count_records(newer) == list(range(len(newer)))
    assert tuition.count_records(newer) == []
    assert rolled_up(tuition) == recounted(tuition)


def test_a_transaction_of_another_writer_is_a_conflict(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    tuition.count_records(tuition.stored_records())
    key = next(key for key in rolled_up(tuition) if key.measure.startswith("day#"))
    roll_up = stored.load([key])[key]
    before = everything(tuition)
    stale = stored.RollUp(key, {"settled": 1}, roll_up.version - 1 or 7)
    with pytest.raises(RollUpConflict):
        stored.store([("pay_other", "1#evt")], [], [stale])
    assert everything(tuition) == before, "a canceled transaction claims nothing"


def test_a_poison_record_fails_alone_and_is_counted_after_the_mend(tuition: Harness, student: Student) -> None:
    purchases = [bought(tuition, Student(f"{student.sub}-{number}")) for number in range(3)]
    records = tuition.stored_records()
    poison = keys.payment_key(purchases[1]["payment_id"])
    item = tuition.tables.get_item(TableName="payments", Key=poison)["Item"]
    tuition.tables.put_item(TableName="payments", Item={**item, "facts": {"S": "{"}})
    failed = tuition.count_records(records)
    assert {records[number]["subject"] for number in failed} == {purchases[1]["payment_id"]}
    assert figures_of(tuition)["settlements"] == 2
    tuition.tables.put_item(TableName="payments", Item=item)
    assert tuition.count_records([records[number] for number in failed]) == []
    assert rolled_up(tuition) == recounted(tuition)


def test_a_message_that_cannot_be_read_is_the_only_one_that_fails(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    entries = [rollups.queue_entry(record) for record in tuition.stored_records()]
    good = [{"messageId": f"good-{n}", "body": json.dumps(entry.body)} for n, entry in enumerate(entries) if entry]
    bodies = ("{", "[]", "{}", '{"subject": "pay_1"}')
    bad = [{"messageId": f"bad-{n}", "body": body} for n, body in enumerate(bodies)]
    assert analytics.read([*bad, *good]) == ["bad-0", "bad-1", "bad-2", "bad-3"]
    assert rolled_up(tuition) == recounted(tuition)


def test_a_payment_that_changes_more_roll_ups_than_a_transaction_holds_is_counted_in_parts(
    tuition: Harness, student: Student
) -> None:
    purchase = bought(tuition, student)
    (raw,) = dynamodb.batch_get({PaymentItem: [keys.payment_key(purchase["payment_id"])]})[PaymentItem]
    payment = mapping.payment_from_raw(raw)
    start = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
    refunds = {f"re_{n}": Refund("succeeded", 1, start + n * DAY_S) for n in range(250)}
    many = payment.merged(Facts(refunds=refunds))
    dynamodb.put(mapping.payment_to_item(many, start, ()))
    assert tuition.count_records(tuition.stored_records()) == []
    assert rolled_up(tuition) == recounted(tuition)
    assert len(rolled_up(tuition)) > 250


def test_one_transaction_claims_at_most_ninety_records(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought(tuition, student)
    sizes: list[tuple[int, int]] = []
    real = dynamodb.call

    def call(operation: Any, **params: Any) -> Any:
        if operation == "transact_write_items":
            writes = params["TransactItems"]
            claims = [one for one in writes if one["Put"]["TableName"] == "effects"]
            sizes.append((len(claims), len(writes)))
        return real(operation, **params)

    monkeypatch.setattr(dynamodb, "call", call)
    messages = [analytics.Message(str(n), purchase["payment_id"], f"{n}#evt", "2026-11-23") for n in range(200)]
    analytics.count(messages)
    assert [claims for claims, _ in sizes] == [90, 90, 20]
    assert max(writes for _, writes in sizes) <= 100
    assert rolled_up(tuition) == recounted(tuition)


def test_a_payment_whose_currency_or_day_is_corrected_moves_to_the_other_roll_up(
    tuition: Harness, student: Student
) -> None:
    purchase = bought(tuition, student)
    tuition.count_records(tuition.stored_records())
    item = tuition.tables.get_item(TableName="payments", Key=keys.payment_key(purchase["payment_id"]))["Item"]
    facts = json.loads(item["facts"]["S"])
    for days, day in ((3, "2026-11-20"), (2, "2026-11-21")):
        earlier = {**facts, "settled": {**facts["settled"], "at": facts["settled"]["at"] - days * DAY_S}}
        tuition.tables.put_item(TableName="payments", Item={**item, "facts": {"S": json.dumps(earlier)}})
        analytics.count([analytics.Message("m", purchase["payment_id"], f"{days}#evt", "2026-11-23")])
        assert rolled_up(tuition) == recounted(tuition)
        assert figures_of(tuition)["settled"] == 49900
        periods = view.analytics({"from": "2026-11-01", "to": "2026-11-30"})["periods"]
        assert [one["period"] for one in periods] == [day, "2026-11-23"], "a day that lost its figures is left out"


# --- the recount ---


def night(tuition: Harness, **event: Any) -> dict[str, Any]:
    """Recount at noon of the day after."""
    tuition.advance_time(DAY_S)
    return tuition.recount(**event)


def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recount, "LOOK_AGAIN_S", 0.0)


def differing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which each metric is added that is counted."""
    names: list[str] = []
    monkeypatch.setattr(metrics, "count", lambda name, number=1: names.append(name))
    return names


def tamper(tuition: Harness, kind: str = "day", **figures: int) -> str:
    """Change a roll-up behind the consumer's back, and return its key."""
    key = next(key for key in sorted(rolled_up(tuition)) if key.measure.startswith(f"{kind}#"))
    roll_up = stored.load([key])[key]
    stored.store([], [], [stored.RollUp(key, {**roll_up.figures, **figures}, roll_up.version, roll_up.recorded_days)])
    return str(key)


def test_the_nightly_recount_of_busy_days_is_equal(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = differing(monkeypatch)
    busy_days(tuition, student)
    tuition.count_records(tuition.stored_records())
    first = night(tuition)
    assert (first["equal"], first["done"], first["differences"], first["missing"]) == (True, True, [], [])
    assert (first["days"], first["payments"]) == (2, 2), "the first night begins with yesterday"
    assert night(tuition)["days"] == 0
    assert "AnalyticsDifference" not in counted
    assert tuition.admin(STAFF, "GET /api/admin/analytics").body["recount"]["equal"] is True


def test_a_roll_up_that_was_changed_by_hand_is_found_and_corrected_only_by_hand(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_wait(monkeypatch)
    bought(tuition, student)
    tuition.count_records(tuition.stored_records())
    key = tamper(tuition, settled=1, refunded=5)
    counted = differing(monkeypatch)
    report = night(tuition)
    expected = [
        {"roll_up": key, "figure": "refunded", "rolled_up": 5, "recounted": 0},
        {"roll_up": key, "figure": "settled", "rolled_up": 1, "recounted": 49900},
    ]
    assert (report["equal"], report["differences"], report["repaired"]) == (False, expected, 0)
    assert counted == ["AnalyticsDifference"]
    shown = tuition.admin(STAFF, "GET /api/admin/analytics").body["recount"]
    assert (shown["equal"], shown["differences"]) == (False, expected)
    by_hand = tuition.recount(full=True)
    assert (by_hand["differences"], by_hand["repaired"]) == (expected, 1)
    assert rolled_up(tuition) == recounted(tuition)
    assert tuition.recount(full=True)["equal"] is True


def test_a_roll_up_without_a_payment_is_found(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_wait(monkeypatch)
    bought(tuition, student)
    tuition.count_records(tuition.stored_records())
    key = rollups.RollUpKey("2026-11#UTC", "day#2026-11-23#usd#FSD#card")
    stored.store([], [], [stored.RollUp(key, {"settled": 7})])
    (difference,) = night(tuition)["differences"]
    assert difference == {"roll_up": str(key), "figure": "settled", "rolled_up": 7, "recounted": 0}
    tuition.recount(full=True)
    assert rolled_up(tuition) == recounted(tuition)


def test_a_record_that_was_never_counted_is_found_and_counted_by_hand(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_wait(monkeypatch)
    purchase = bought(tuition, student)
    bought(tuition, Student(f"{student.sub}-other"))
    records = [record for record in tuition.stored_records() if record["subject"] != purchase["payment_id"]]
    tuition.count_records(records)
    report = night(tuition)
    assert (report["equal"], report["missing"]) == (False, [purchase["payment_id"]])
    shown = tuition.admin(STAFF, "GET /api/admin/analytics").body["recount"]["differences"]
    assert {"roll_up": purchase["payment_id"], "figure": "missing", "rolled_up": 0, "recounted": 1} in shown
    by_hand = tuition.recount(full=True)
    assert (by_hand["missing"], by_hand["differences"]) == ([purchase["payment_id"]], [])
    assert rolled_up(tuition) == recounted(tuition)
    before = everything(tuition)[0]
    assert tuition.count_records(tuition.stored_records()) == []
    assert everything(tuition)[0] == before, "its records arrive late, and add nothing"
    key = next(key for key in rolled_up(tuition) if key.measure.startswith("day#"))
    assert stored.load([key])[key].recorded_days == {"2026-11-23"}, "the next night finds the payment by its records"


def test_a_record_that_is_on_its_way_is_no_difference(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought(tuition, student)
    tuition.count_records(tuition.stored_records())
    tuition.advance_time(DAY_S)
    tuition.refund(student, purchase["payment_id"])
    deliver(tuition)
    late, waits = tuition.stored_records(), 0

    def wait(_seconds: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 1:
            payments = {str(record["subject"]) for record in late}
            for payment_id in payments:
                analytics.count_subject(payment_id, frozenset({"2026-11-24"}))

    monkeypatch.setattr(clock, "wait_s", wait)
    tuition.time_source = lambda: datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
    with monkeypatch.context() as patch:
        patch.setattr(recount, "GRACE_S", 10 * DAY_S)
        report = tuition.recount()
    assert (report["equal"], report["differences"]) == (True, [])


def test_a_day_that_has_not_ended_waits_for_the_next_night(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_wait(monkeypatch)
    purchase = bought(tuition, student)
    tuition.advance_time(DAY_S)
    tuition.refund(student, purchase["payment_id"])
    deliver(tuition)
    tuition.count_records(tuition.stored_records())
    stored.store([], [], [stored.RollUp(rollups.RollUpKey("2026-11#UTC", "day#2026-11-24#usd#DP#x"), {"lost": 1})])
    assert tuition.recount()["equal"] is True
    assert night(tuition)["equal"] is False


def test_a_recount_without_time_is_not_equal_and_the_next_one_begins_again(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    tuition.count_records(tuition.stored_records())
    report = night(tuition, seconds=1)
    assert (report["done"], report["equal"]) == (False, False)
    assert tuition.recount(seconds=1, full=True)["done"] is False
    report = tuition.recount()
    assert (report["done"], report["equal"], report["days"]) == (True, True, 1)


def test_a_difference_is_shown_every_night_until_it_is_corrected(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_wait(monkeypatch)
    never_counted = bought(tuition, student)["payment_id"]
    for _ in range(3):
        report = night(tuition)
        assert (report["done"], report["equal"], report["missing"]) == (True, False, [never_counted])
        assert {one["figure"] for one in report["differences"]} >= {"created", "settled"}
        assert read(tuition)["recount"]["equal"] is False
    tuition.recount(full=True)
    assert night(tuition)["equal"] is True


def test_a_changed_roll_up_is_shown_every_night_until_it_is_corrected(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_wait(monkeypatch)
    bought(tuition, student)
    tuition.count_records(tuition.stored_records())
    tamper(tuition, settled=1)
    assert [night(tuition)["equal"] for _ in range(3)] == [False, False, False]
    tuition.recount(full=True)
    assert [night(tuition)["equal"] for _ in range(2)] == [True, True]


@pytest.mark.parametrize(("kind", "figure"), [("cohort", "enrolled"), ("status", "SUCCEEDED")])
def test_a_wrong_figure_of_a_month_is_found_every_night_after_it_until_it_is_corrected(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str, figure: str
) -> None:
    no_wait(monkeypatch)
    bought(tuition, student)
    deliver(tuition)
    tuition.count_records(tuition.stored_records())
    key = tamper(tuition, kind, **{figure: 4})
    counted = differing(monkeypatch)
    assert night(tuition)["equal"] is True, "the month has not ended, so its figures are still changing"
    tuition.advance_time(7 * DAY_S)
    difference = {"roll_up": key, "figure": figure, "rolled_up": 4, "recounted": 1}
    assert [night(tuition)["differences"] for _ in range(2)] == [[difference]] * 2
    assert counted == ["AnalyticsDifference"] * 2
    assert tuition.recount(full=True)["repaired"] == 1
    assert [night(tuition)["equal"] for _ in range(2)] == [True, True]


def test_a_refund_of_an_earlier_month_recounts_its_cohort(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_wait(monkeypatch)
    purchase = bought(tuition, student)
    other = bought(tuition, Student(f"{student.sub}-other"), track="FSD")
    tuition.count_records(tuition.stored_records())
    assert night(tuition)["equal"] is True
    tuition.advance_time(10 * DAY_S)
    assert tuition.recount()["equal"] is True, "the month has ended: its cohorts are compared, for the last time"
    cohort = rollups.RollUpKey("cohorts#UTC", "cohort#2026-11#DP")
    assert stored.load([cohort])[cohort].figures == {"enrolled": 1}
    tamper(tuition, "cohort", enrolled=2)
    assert night(tuition)["equal"] is True, "nothing of this month has changed"
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(purchase["payment_id"]).intent)
    deliver(tuition)
    tuition.count_records(tuition.stored_records())
    report = night(tuition)
    expected = {"roll_up": str(cohort), "figure": "enrolled", "rolled_up": 2, "recounted": 1}
    assert report["differences"] == [expected]
    assert other["payment_id"] not in report["missing"]


def test_the_alarm_rings_after_two_nights_without_a_complete_recount(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    bought(tuition, student)
    tuition.count_records(tuition.stored_records())

    def age_days(**event: Any) -> float:
        capsys.readouterr()
        night(tuition, **event)
        return float(metric_values(capsys, "RecountAge")[-1][0]) / DAY_S

    assert age_days() == pytest.approx(0.5, abs=0.01), "noon after the day that was recounted"
    assert age_days(seconds=1) == pytest.approx(1.5, abs=0.01)
    assert age_days(seconds=1) == pytest.approx(2.5, abs=0.01)
    assert age_days() == pytest.approx(0.5, abs=0.01)


def test_another_time_zone_of_the_school_moves_every_day_at_the_next_full_recount(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuition.freeze_time(datetime(2026, 11, 23, 3, tzinfo=UTC).timestamp())
    bought(tuition, student)
    tuition.count_records(tuition.stored_records())
    monkeypatch.setattr(analytics, "school_time_zone", lambda: "America/New_York")
    tuition.advance_time(DAY_S)
    tuition.recount(full=True)
    assert rolled_up(tuition) == recounted(tuition)
    days = {key.period.partition("#")[2]: key.parts[1] for key in rolled_up(tuition) if key.parts[0] == "day"}
    assert days == {"UTC": "2026-11-23", "America/New_York": "2026-11-22"}
    assert tuition.recount(full=True)["equal"] is True


def test_a_full_recount_counts_payments_of_a_release_without_analytics(tuition: Harness, student: Student) -> None:
    busy_days(tuition, student)
    tuition.advance_time(DAY_S)
    report = tuition.recount(full=True)
    assert (report["repaired"], report["payments"], report["done"]) == (4, 4, True)
    assert rolled_up(tuition) == recounted(tuition)


# --- the answer ---


def read(tuition: Harness, **query: str) -> dict[str, Any]:
    answer = tuition.admin(STAFF, "GET /api/admin/analytics", query=query)  # type: ignore[arg-type]
    assert answer.status == 200, answer.body
    return dict(answer.body)


def test_staff_read_the_figures_of_days_weeks_and_months(tuition: Harness, student: Student) -> None:
    busy_days(tuition, student)
    tuition.count_records(tuition.stored_records())
    by_day = read(tuition)
    assert [period["period"] for period in by_day["periods"]] == ["2026-11-23", "2026-11-24"]
    first, second = by_day["periods"]
    assert first == {
        "period": "2026-11-23",
        "currency": "usd",
        "created": 49900 + 59900 + 49900,
        "settled": 59900 + 49900,
        "refunded": 0,
        "lost": 0,
        "fees": 0,
        "net": 59900 + 49900,
        "payments": 3,
        "failures": {"generic_decline": 1},
        "plans": dict.fromkeys(view.OF_PLANS, 0),
    }
    assert (second["refunded"], second["settled"], second["payments"]) == (49900, 49900, 1)
    for by, period in (("week", "2026-W48"), ("month", "2026-11")):
        (only,) = read(tuition, by=by)["periods"]
        assert only == {"period": period, **by_day["totals"][0]}
    assert by_day["totals"][0]["net"] == by_day["totals"][0]["settled"] - 49900
    assert by_day["recount"] == {"at": None, "equal": None, "differences": []}
    assert read(tuition, **{"from": "2026-11-24", "to": "2026-11-24"})["periods"] == [second]
    assert read(tuition, track="FSD")["totals"][0]["settled"] == 59900
    assert read(tuition, currency="eur") == {**by_day, "periods": [], "totals": []}


def test_the_figures_equal_the_books_and_the_fees_of_the_daily_audit(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    tuition.advance_time(DAY_S)
    tuition.run_audit()
    tuition.count_records(tuition.stored_records())
    (totals,) = read(tuition)["totals"]
    assert (totals["fees"], totals["net"]) == (1477, 49900 - 1477)


def test_a_day_of_the_school_is_one_in_its_time_zone(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics, "school_time_zone", lambda: "Asia/Tokyo")
    monkeypatch.setattr(view, "school_time_zone", lambda: "Asia/Tokyo")
    tuition.freeze_time(datetime(2026, 11, 23, 20, tzinfo=UTC).timestamp())
    bought(tuition, student)
    tuition.count_records(tuition.stored_records())
    assert [one["period"] for one in read(tuition, zone="school")["periods"]] == ["2026-11-24"]
    assert [one["period"] for one in read(tuition, zone="utc")["periods"]] == ["2026-11-23"]
    assert read(tuition, zone="school")["range"] == {"from": "2026-10-26", "to": "2026-11-24", "zone": "Asia/Tokyo"}
    assert read(tuition, zone="utc")["range"] == {"from": "2026-10-25", "to": "2026-11-23", "zone": "UTC"}


def test_an_unknown_time_zone_of_the_school_is_named_and_stops_neither_sales_nor_figures_in_utc(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that cannot be counted waits in the queue: the mend of the setting counts it."""
    monkeypatch.setenv("SCHOOL_TIME_ZONE", "Europe/Atlantis")
    settings.settings.cache_clear()
    bought(tuition, student)
    answer = tuition.admin(STAFF, "GET /api/admin/analytics", query={"zone": "school"})
    assert answer.status == 503 and "SCHOOL_TIME_ZONE" in answer.body["detail"]
    assert read(tuition)["periods"] == []
    with pytest.raises(NotConfigured, match=r"SCHOOL_TIME_ZONE.*'Europe/Atlantis'"):
        analytics.zones()
    records = tuition.stored_records()
    assert tuition.count_records(records) != []
    monkeypatch.setenv("SCHOOL_TIME_ZONE", "Pacific/Kiritimati")
    settings.settings.cache_clear()
    assert tuition.count_records(records) == []
    assert [one["period"] for one in read(tuition, zone="school")["periods"]] == ["2026-11-24"], "UTC+14"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"by": "year"}, "by"),
        ({"zone": "mars"}, "zone"),
        ({"from": "2026-11-31"}, "from"),
        ({"to": "20261123"}, "to"),
        ({"to": "1999-01-01"}, "to"),
        ({"track": "NONE"}, "track"),
        ({"from": "2026-11-24", "to": "2026-11-23"}, "from"),
        ({"currency": "USD"}, "currency"),
        ({"currency": "usd\n"}, "currency"),
        ({"from": "2024-11-23", "to": "2026-11-24"}, "from"),
    ],
)
def test_a_range_that_cannot_be_read_is_refused(tuition: Harness, query: dict[str, str], field: str) -> None:
    answer = tuition.admin(STAFF, "GET /api/admin/analytics", query=query)  # type: ignore[arg-type]
    assert (answer.status, answer.body["field"]) == (422, field)


def test_the_longest_range_reads_each_month_once(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[tuple[str, str]] = []
    real = stored.between

    def between(period: str, low: str, high: str) -> Any:
        reads.append((period, low.partition("#")[0]))
        return real(period, low, high)

    monkeypatch.setattr(stored, "between", between)
    read(tuition, **{"from": "2024-11-24", "to": "2026-11-24"})
    assert len(reads) == len(set(reads)) == 2 * 25, "the figures of payments, and those of plans"


def test_students_cannot_read_the_figures(tuition: Harness, student: Student) -> None:
    assert tuition.admin(student, "GET /api/admin/analytics").status == 403


# --- details ---


def details(tuition: Harness, **query: str) -> dict[str, Any]:
    answer = tuition.admin(STAFF, "GET /api/admin/analytics/details", query=query)
    assert answer.status == 200, answer.body
    return dict(answer.body)


def test_staff_read_how_many_payments_have_each_status(tuition: Harness, student: Student, admin: Student) -> None:
    route = "GET /api/admin/payments/statuses"
    nothing = tuition.admin(admin, route).body
    assert (nothing["all"], set(nothing["statuses"].values()), nothing["changed_at"]) == (0, {0}, None)
    busy_days(tuition, student)
    tuition.count_records(tuition.stored_records())
    counted = tuition.admin(admin, route).body
    assert counted["all"] == 4
    assert {name: number for name, number in counted["statuses"].items() if number} == {
        "CREATED": 1,
        "SUCCEEDED": 2,
        "REFUNDED": 1,
    }
    assert (counted["partly_refunded"], counted["disputed"]) == (0, 1)
    assert counted["changed_at"] == timestamps.iso(clock.now())
    of_track = tuition.admin(admin, route, query={"track": "FSD", "first_month": "2026-11", "last_month": "2026-11"})
    assert of_track.body["all"] == 1
    assert tuition.admin(admin, route, query={"last_month": "2026-10"}).body["all"] == 0
    for query in ({"first_month": "2026-13"}, {"first_month": "2026-12", "last_month": "2026-11"}, {"track": "X"}):
        assert tuition.admin(admin, route, query=query).status == 422


def test_staff_read_outcomes_by_track_and_method_and_the_cohorts(tuition: Harness, student: Student) -> None:
    busy_days(tuition, student)
    tuition.count_records(tuition.stored_records())
    answer = details(tuition)
    outcomes = {(one["track"], one["method"]): one for one in answer["outcomes"]}
    assert set(outcomes) == {("DP", "none"), ("DP", "card"), ("FSD", "card")}
    opened, cards, recovered = outcomes["DP", "none"], outcomes["DP", "card"], outcomes["FSD", "card"]
    assert (opened["payments"], opened["paid"], opened["mean_seconds_to_pay"]) == (1, 0, None)
    assert (cards["payments"], cards["paid"], cards["refunds"], cards["disputes"]) == (2, 2, 1, 1)
    assert (recovered["recovered"], recovered["settlements"], recovered["mean_seconds_to_pay"]) == (1, 1, 5)
    assert answer["cohorts"] == [
        {"month": "2026-11", "track": "DP", "enrolled": 2, "refunded": 1},
        {"month": "2026-11", "track": "FSD", "enrolled": 1, "refunded": 0},
    ]
    assert (answer["codes"], answer["complete"]) == ([], True)
    only = details(tuition, track="FSD", **{"from": "2026-11-23", "to": "2026-11-23"})
    assert [one["track"] for one in only["outcomes"] + only["cohorts"]] == ["FSD", "FSD"]
    assert details(tuition, currency="eur")["outcomes"] == []
    assert details(tuition, **{"from": "2026-12-01", "to": "2026-12-02"})["cohorts"] == []


def put_codes(numbers: dict[str, int], day: str = "2026-11-23", track: str = "DP") -> None:
    """Store the roll-ups of codes as if they had been used so often."""
    for code, uses in numbers.items():
        key = rollups.RollUpKey("2026-11#UTC", f"code#{day}#usd#{track}#{code}")
        stored.store([], [], [stored.RollUp(key, {"uses": uses, "discount": 100 * uses})])


def test_the_fifty_most_used_codes_of_a_range_are_shown(tuition: Harness) -> None:
    put_codes({f"CODE{number:02}": number + 1 for number in range(60)})
    put_codes({"CODE00": 70, "A#B": 1}, day="2026-11-24")
    put_codes({"CODE59": 1}, track="FSD")
    answer = details(tuition, to="2026-11-24")
    assert len(answer["codes"]) == 50 and answer["complete"]
    assert answer["codes"][:2] == [
        {"code": "CODE00", "currency": "usd", "uses": 71, "discount": 7100},
        {"code": "CODE59", "currency": "usd", "uses": 61, "discount": 6100},
    ]
    (first, second) = details(tuition, **{"from": "2026-11-24", "to": "2026-11-24"})["codes"]
    assert (first["code"], second["code"]) == ("CODE00", "A#B")
    assert details(tuition, to="2026-11-24", track="FSD")["codes"][0]["uses"] == 1


def test_a_range_with_too_many_codes_says_that_it_is_not_complete(
    tuition: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_codes({"A": 1, "B": 2, "C": 3})
    monkeypatch.setattr(view, "MAX_CODE_ROLL_UPS", 2)
    answer = details(tuition)
    assert (len(answer["codes"]), answer["complete"]) == (2, False)


def test_a_code_of_a_purchase_is_counted_with_its_discount(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student)
    session = open_session(tuition, student, promotion_code=code).body
    pay_session(tuition, session["session_id"])
    deliver(tuition)
    tuition.count_records(tuition.stored_records())
    assert details(tuition)["codes"] == [{"code": code.upper(), "currency": "usd", "uses": 1, "discount": 9980}]
    assert rolled_up(tuition) == recounted(tuition)


def test_students_cannot_read_the_details(tuition: Harness, student: Student) -> None:
    assert tuition.admin(student, "GET /api/admin/analytics/details").status == 403
