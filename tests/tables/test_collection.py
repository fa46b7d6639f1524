"""The collector: what is due is announced, charged without the student, refunded, or ended by time."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import Harness, Student
from tests.limits import set_limits
from tests.plan_calls import FIRST, begin, call, consent, lose, offer_plans, pay, read, require_closed, set_up, started
from tests.tables.test_staff_plans import PLAN, decide
from tuition import clock
from tuition.core import plan_checks, timestamps
from tuition.core.errors import Conflicted, PaymentInProgress
from tuition.intake import walk
from tuition.outbox import archive
from tuition.payments import collection
from tuition.storage import ledger, tasks
from tuition.storage.tasks import Task

DAY = 86_400


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch, tuition: Harness) -> None:
    offer_plans(monkeypatch.setattr)
    tuition.freeze_time(timestamps.epoch("2026-03-10T12:00:00Z"))


@pytest.fixture(autouse=True)
def _archivable(tuition: Harness) -> Iterator[None]:
    """Every record that a test leaves can be archived, with all that it has."""
    yield
    for item in tuition.tables.scan(TableName="audit")["Items"]:
        archive.entry_of(item)


def pass_days(w: Harness, days: int) -> None:
    """Collect once a day, and deliver the events of each day."""
    for _ in range(days):
        w.advance_time(DAY)
        w.collect()
        w.advance_stripe(3)
        w.deliver_all()


def announced(w: Harness, student: Student, method: str = "pm_card_visa") -> dict[str, Any]:
    """Begin a plan on 10 March and go to 9 April: the second installment is announced, and due on the next day."""
    of_plan = started(w, student, method)
    pass_days(w, 30)
    return of_plan


def charges(w: Harness, of_plan: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the day and the status of each charge of a plan after the first, the oldest first."""
    intents = w.at_stripe("GET", "/v1/payment_intents", limit="100")["data"]
    ids = [one["id"] for one in intents if one["metadata"].get("plan") == of_plan["plan_id"]]
    listed = [c for one in ids for c in w.at_stripe("GET", "/v1/charges", payment_intent=one)["data"]]
    return [(timestamps.iso(c["created"])[:10], c["status"]) for c in sorted(listed, key=lambda c: c["created"])][1:]


def steps(w: Harness, student: Student, of_plan: dict[str, Any], *names: str) -> str:
    """Say what the next charges of the plan's payment method do. Return the method's id."""
    method = str(read(w, student, of_plan["plan_id"])["payment_method"]["id"])
    w.at_stripe("POST", f"/_sim/payment_methods/{method}", next=[*names])
    return method


def test_installments_are_announced_and_charged_on_their_days(tuition: Harness, student: Student) -> None:
    of_plan = started(tuition, student)
    pass_days(tuition, 23)
    assert read(tuition, student, of_plan["plan_id"])["schedule"][1]["collect"] is None
    pass_days(tuition, 1)
    assert read(tuition, student, of_plan["plan_id"])["schedule"][1]["collect"] == "2026-04-10"
    pass_days(tuition, 76)
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["status"], plan["outstanding"], plan["received"]) == ("COMPLETE", 0, 4 * FIRST)
    assert charges(tuition, of_plan) == [(f"2026-0{month}-10", "succeeded") for month in (4, 5, 6)]
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.chain_problem(of_plan["payment_id"]) is None


def test_a_declined_charge_is_tried_on_its_retry_days_and_access_ends_with_the_grace(
    tuition: Harness, student: Student
) -> None:
    of_plan = announced(tuition, student)
    steps(tuition, student, of_plan, *["insufficient_funds"] * 9)
    pass_days(tuition, 14)
    assert [day for day, _ in charges(tuition, of_plan)] == ["2026-04-10", "2026-04-13", "2026-04-17", "2026-04-22"]
    assert read(tuition, student, of_plan["plan_id"])["status"] == "LATE"
    pass_days(tuition, 1)
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["status"], plan["grants_access"], plan["payable"]) == ("SUSPENDED", False, True)
    assert (plan["closes_on"], plan["rules"]["give_up_days"]) == ("2026-06-09", 60)
    assert tuition.enrollment(student)["status"] == "SUSPENDED"
    due = pay(tuition, student, of_plan["plan_id"], "due").body
    tuition.pay(due["payment_intent_id"], "pm_card_mastercard")
    tuition.deliver_all()
    assert read(tuition, student, of_plan["plan_id"])["status"] == "ACTIVE"
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_a_plan_is_collected_by_the_rules_with_which_it_began(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, old_text = Student(f"earlier-{student.sub}"), consent(tuition)
    older = started(tuition, earlier)
    set_limits(monkeypatch, plan_grace_days=5, plan_retry_days="0,2", plan_give_up_days=9, plan_notice_days=3)
    outdated = begin(tuition, student, consent=old_text)
    assert (outdated.status, outdated.body["current_consent"]) == (422, consent(tuition))
    assert consent(tuition) != old_text
    newer = started(tuition, student)
    plans = ((student, newer), (earlier, older))

    def shown(name: str) -> list[Any]:
        return [read(tuition, who, one["plan_id"])[name] for who, one in plans]

    for days, announced_days in ((24, [None, "2026-04-10"]), (3, [None, "2026-04-10"]), (1, ["2026-04-10"] * 2)):
        tuition.advance_time(days * DAY)
        tuition.collect()
        assert [schedule[1]["collect"] for schedule in shown("schedule")] == announced_days
    for who, one in plans:
        steps(tuition, who, one, *["insufficient_funds"] * 9)
    statuses = {}
    for days in (3, 2, 1, 1, 1, 2, 1, 1):
        tuition.advance_time((days - 1) * DAY)
        pass_days(tuition, 1)
        statuses[timestamps.iso(clock.now())[5:10]] = shown("status")
    assert statuses == {
        **{day: ["LATE", "LATE"] for day in ("04-10", "04-12", "04-13", "04-14")},
        **{day: ["SUSPENDED", "LATE"] for day in ("04-15", "04-17", "04-18")},
        "04-19": ["CLOSED", "LATE"],
    }
    assert [day for day, _ in charges(tuition, newer)] == ["2026-04-10", "2026-04-12"]
    assert [day for day, _ in charges(tuition, older)] == ["2026-04-10", "2026-04-13", "2026-04-17"]
    assert (shown("close_reason"), shown("payable"), shown("grants_access")) == (
        *(["gave_up", None], [True, True], [False, True]),
    )


@pytest.mark.parametrize(
    ("decline", "needed"), [("authentication_required", "authentication_required"), ("lost_card", "do_not_try_again")]
)
def test_a_decline_that_only_the_student_can_mend_is_not_tried_again(
    tuition: Harness, student: Student, decline: str, needed: str
) -> None:
    of_plan = announced(tuition, student)
    steps(tuition, student, of_plan, decline)
    pass_days(tuition, 13)
    assert len(charges(tuition, of_plan)) == 1
    assert read(tuition, student, of_plan["plan_id"])["next"]["needs_you"] == needed


def test_a_new_method_is_tried_at_once(tuition: Harness, student: Student) -> None:
    of_plan = announced(tuition, student)
    steps(tuition, student, of_plan, *["insufficient_funds"] * 2)
    pass_days(tuition, 1)
    set_up(tuition, student, of_plan["plan_id"])
    tuition.advance_stripe(3)
    tuition.deliver_all()
    pass_days(tuition, 1)
    assert charges(tuition, of_plan) == [("2026-04-10", "failed"), ("2026-04-11", "succeeded")]


def test_after_an_outage_of_40_days_it_announces_first_and_charges_once_a_day(
    tuition: Harness, student: Student
) -> None:
    of_plan = started(tuition, student)
    tuition.advance_time(70 * DAY)
    tuition.collect()
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["status"], charges(tuition, of_plan)) == ("LATE" if plan["status"] == "LATE" else "ACTIVE", [])
    pass_days(tuition, 9)
    days = [day for day, _ in charges(tuition, of_plan)]
    assert len(days) == 2 == len({*days})
    assert read(tuition, student, of_plan["plan_id"])["grants_access"]


def test_nothing_is_announced_or_charged_while_staff_have_stopped_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    plan = announced(tuition, student)
    route = "POST /api/admin/collecting"
    assert tuition.admin(admin, route, {"collecting": False, "note": "a bank declines everything"}).status == 200
    try:
        pass_days(tuition, 5)
        assert charges(tuition, plan) == []
        with pytest.raises(Conflicted, match="Staff have stopped the charges"):
            collection.charge_now(plan["plan_id"], walk.stripe_now(), "staff-1")
    finally:
        tuition.admin(admin, route, {"collecting": True, "note": "the bank is back"})
    pass_days(tuition, 8)
    assert charges(tuition, plan) == [("2026-04-22", "succeeded")]
    assert [one["state"] for one in read(tuition, student, plan["plan_id"])["schedule"][:2]] == ["paid", "paid"]


def test_student_and_collector_pay_with_one_intent(tuition: Harness, student: Student) -> None:
    of_plan = announced(tuition, student)
    opened = pay(tuition, student, of_plan["plan_id"]).body
    pass_days(tuition, 1)
    assert charges(tuition, of_plan) == [("2026-04-10", "succeeded")]
    require_closed(tuition, opened)


@pytest.mark.parametrize(("month", "record_type"), [(3, "plan.announced.card_expires"), (4, "plan.announced")])
def test_the_record_of_an_announcement_says_whether_the_card_expires_before_the_charge(
    tuition: Harness, student: Student, month: int, record_type: str
) -> None:
    of_plan = started(tuition, student)
    method = steps(tuition, student, of_plan)
    card = {"exp_month": month, "exp_year": 2026}
    tuition.at_stripe("POST", f"/_sim/payment_methods/{method}", card=card)
    pass_days(tuition, 24)
    types = [record["type"] for record in tuition.audit_trail(of_plan["plan_id"])]
    assert [one for one in types if one.startswith("plan.announced")] == [record_type]


@pytest.mark.parametrize("what", ["payment_methods", "customers"])
def test_a_method_that_was_deleted_in_the_dashboard_is_not_charged(
    tuition: Harness, student: Student, what: str
) -> None:
    of_plan = started(tuition, student)
    method = read(tuition, student, of_plan["plan_id"])["payment_method"]["id"]
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{of_plan['payment_intent_id']}")
    tuition.at_stripe("DELETE", f"/_sim/{what}/{method if what == 'payment_methods' else intent['customer']}")
    tuition.new_events()  # the event is lost
    pass_days(tuition, 35)
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["next"]["needs_you"], charges(tuition, of_plan)) == ("no_method", [])


@pytest.mark.parametrize("change", ["refund", "dispute"])
def test_money_that_goes_back_stops_the_charges(tuition: Harness, student: Student, change: str) -> None:
    of_plan = announced(tuition, student)
    tuition.at_stripe("POST", f"/_sim/{change}s", payment_intent=of_plan["payment_intent_id"])
    tuition.advance_stripe(3)
    tuition.deliver_all()
    assert read(tuition, student, of_plan["plan_id"])["stopped_by"] == change
    pass_days(tuition, 10)
    assert charges(tuition, of_plan) == []


def test_a_bank_debit_that_is_processing_counts_as_paid_until_it_fails(tuition: Harness, student: Student) -> None:
    of_plan = announced(tuition, student, "pm_usBankAccount_success")
    pass_days(tuition, 12)
    plan = read(tuition, student, of_plan["plan_id"])
    assert plan["grants_access"]
    assert len(charges(tuition, of_plan)) == 1


def test_staff_charge_a_plan_at_most_once_a_day(tuition: Harness, student: Student) -> None:
    of_plan = announced(tuition, student)
    steps(tuition, student, of_plan, *["insufficient_funds"] * 2)
    with pytest.raises(Conflicted, match="its day has not come"):
        collection.charge_now(of_plan["plan_id"], walk.stripe_now(), "staff-1")
    pass_days(tuition, 1)
    for _ in range(2):
        ordered = collection.charge_now(of_plan["plan_id"], walk.stripe_now(), "staff-1")
        assert ordered.attempt.answer is not None
    assert len(charges(tuition, of_plan)) == 2


def item_of(w: Harness, table: str, key: str, item_id: str) -> dict[str, Any]:
    return dict(w.tables.get_item(TableName=table, Key={key: {"S": item_id}})["Item"])


@pytest.mark.parametrize("who", ["collector", "student"])
def test_an_installment_is_not_paid_again_after_a_restore_of_the_plans_alone(
    tuition: Harness, student: Student, who: str
) -> None:
    of_plan = announced(tuition, student)
    before = item_of(tuition, "plans", "plan_id", of_plan["plan_id"])
    pass_days(tuition, 4)
    assert charges(tuition, of_plan) == [("2026-04-10", "succeeded")]
    tuition.tables.put_item(TableName="plans", Item=before)
    if who == "student":
        assert pay(tuition, student, of_plan["plan_id"]).body["covers"] == [3]
    pass_days(tuition, 20)
    assert charges(tuition, of_plan) == [("2026-04-10", "succeeded")]
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["received"], plan["status"], plan["schedule"][1]["state"]) == (2 * FIRST, "ACTIVE", "paid")


def test_a_plan_that_a_restore_made_older_than_its_records_keeps_the_decision_that_ended_it(
    tuition: Harness, student: Student
) -> None:
    version = tuition.tracks().body["memberships"][0]["offers"][0]["consent"]["version"]
    of_plan = started(tuition, student, track=None, membership="ALL", offer="monthly", consent=version)
    before = item_of(tuition, "plans", "plan_id", of_plan["plan_id"])
    call(tuition, student, "POST", of_plan["plan_id"], "tracks", {"track": "DP"})
    call(tuition, student, "POST", of_plan["plan_id"], "cancel", {})
    tuition.tables.put_item(TableName="plans", Item=before)
    pass_days(tuition, 40)
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["status"], plan["received"]) == ("CLOSED", 4900)
    stored = ledger.load_plan(of_plan["plan_id"])
    assert plan_checks.broken(stored.existing_plan, tuition.audit_trail(of_plan["plan_id"])) is None
    assert {one.track: one.status for one in stored.enrollments} == {"ALL": "WITHDRAWN", "DP": "WITHDRAWN"}


@pytest.mark.parametrize("lost", ["everything", "the settlement"])
def test_an_installment_is_not_paid_again_after_a_restore_of_the_payments_alone(
    tuition: Harness, student: Student, lost: str
) -> None:
    of_plan = announced(tuition, student)
    second = pay(tuition, student, of_plan["plan_id"]).body
    before = item_of(tuition, "payments", "payment_id", second["payment_id"])
    tuition.pay(second["payment_intent_id"])
    tuition.deliver_all()
    if lost == "everything":
        lose(tuition, second)
    else:
        tuition.tables.put_item(TableName="payments", Item=before)
    pass_days(tuition, 24)
    assert [status for _, status in charges(tuition, of_plan)] == ["succeeded"]
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["received"], plan["status"], plan["schedule"][1]["state"]) == (2 * FIRST, "ACTIVE", "paid")


def test_the_open_payment_that_a_restore_has_lost_is_closed_before_another_is_charged(
    tuition: Harness, student: Student
) -> None:
    of_plan = announced(tuition, student)
    lost = pay(tuition, student, of_plan["plan_id"]).body
    lose(tuition, lost)
    pass_days(tuition, 1)
    assert charges(tuition, of_plan) == [("2026-04-10", "succeeded")]
    require_closed(tuition, lost)


def test_the_lost_open_payment_of_a_customer_that_a_restore_has_lost_too_is_closed(
    tuition: Harness, student: Student
) -> None:
    of_plan = announced(tuition, student)
    lost = pay(tuition, student, of_plan["plan_id"]).body
    customer = tuition.at_stripe("GET", f"/v1/payment_intents/{lost['payment_intent_id']}")["customer"]
    lose(tuition, lost)
    tuition.tables.delete_item(TableName="customers", Key={"user_id": {"S": student.sub}})
    tuition.tables.delete_item(TableName="stripe_objects", Key={"stripe_id": {"S": customer}})
    pass_days(tuition, 1)
    assert charges(tuition, of_plan) == [("2026-04-10", "succeeded")]
    require_closed(tuition, lost)


def test_staff_charge_no_second_time_what_a_restore_has_lost(tuition: Harness, student: Student) -> None:
    of_plan = announced(tuition, student)
    steps(tuition, student, of_plan, *["insufficient_funds"] * 2)
    lost = pay(tuition, student, of_plan["plan_id"]).body
    pass_days(tuition, 1)
    lose(tuition, lost)
    ordered = collection.charge_now(of_plan["plan_id"], walk.stripe_now(), "staff-1")
    assert ordered.attempt.payment_id != lost["payment_id"]
    require_closed(tuition, lost)


def test_a_lost_payment_is_closed_by_the_next_run_if_stripe_was_down_at_the_first(
    tuition: Harness, student: Student
) -> None:
    of_plan = announced(tuition, student)
    lost = pay(tuition, student, of_plan["plan_id"]).body
    lose(tuition, lost)
    tuition.at_stripe("POST", "/_sim/calls", match="GET /v1/payment_intents", times=9, fail="before")
    tuition.advance_time(DAY)
    assert len(tuition.collect()["failed"]) == 1
    tuition.at_stripe("DELETE", "/_sim/calls")
    tuition.collect()
    assert charges(tuition, of_plan) == [("2026-04-10", "succeeded")]
    require_closed(tuition, lost)


def test_a_lost_payment_that_a_bank_is_processing_keeps_its_plan_from_being_charged(
    tuition: Harness, student: Student
) -> None:
    of_plan = announced(tuition, student)
    lost = pay(tuition, student, of_plan["plan_id"]).body
    tuition.pay(lost["payment_intent_id"], method="pm_usBankAccount_success")
    tuition.deliver_all()
    lose(tuition, lost)
    for _ in range(2):
        with pytest.raises(PaymentInProgress):
            collection.collect(of_plan["plan_id"], walk.stripe_now(), charging=True)
    pass_days(tuition, 20)
    assert charges(tuition, of_plan) == [("2026-04-09", "succeeded")]
    assert read(tuition, student, of_plan["plan_id"])["schedule"][1]["state"] == "paid"


def test_a_paid_payment_that_a_restore_has_lost_is_rebuilt_before_its_plan_is_refunded(
    tuition: Harness, student: Student, admin: Student
) -> None:
    of_plan = announced(tuition, student)
    pass_days(tuition, 2)
    second = read(tuition, student, of_plan["plan_id"])["schedule"][1]
    lose(tuition, second)
    lose(tuition, of_plan)
    plan = tuition.admin(admin, PLAN, plan_id=of_plan["plan_id"]).body["plan"]
    assert decide(tuition, admin, plan, "close", refund="all").status == 200
    assert tuition.collect()["failed"] == []
    assert read(tuition, student, of_plan["plan_id"])["refunded"] == 2 * FIRST


def test_a_worker_collects_the_plans_of_a_task(tuition: Harness, student: Student) -> None:
    of_plan = announced(tuition, student)
    tasks.store(Task("plans:collect:0", "plans", after=walk.stripe_now(), plan_ids=(of_plan["plan_id"], "pln_unknown")))
    tuition.advance_time(DAY)  # its message was not received before: what is due now counts
    assert tuition.perform_task("plans:collect:0")
    assert charges(tuition, of_plan) == [("2026-04-10", "succeeded")]
    assert tuition.collect()["failed"] == ["pln_unknown: There is no such plan."]


def test_the_method_is_asked_for_before_a_notice_if_no_event_has_reported_it(
    tuition: Harness, student: Student
) -> None:
    of_plan = dict(begin(tuition, student).body)
    tuition.pay(of_plan["payment_intent_id"])
    tuition.advance_stripe(3)
    for event in tuition.new_events():
        if event["type"] == "payment_intent.succeeded":
            tuition.deliver(event)
    assert read(tuition, student, of_plan["plan_id"])["payment_method"] is None
    pass_days(tuition, 24)
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["payment_method"] is not None, plan["next"]["needs_you"]) == (True, None)


def test_an_event_of_a_method_that_comes_twice_is_recorded_once(tuition: Harness, student: Student) -> None:
    of_plan = started(tuition, student)
    method = steps(tuition, student, of_plan)
    tuition.at_stripe("POST", f"/_sim/payment_methods/{method}", card={"exp_month": 12, "exp_year": 2031})
    (event,) = [one for one in tuition.new_events() if one["type"] == "payment_method.automatically_updated"]
    for _ in range(3):
        assert tuition.deliver(event).body["outcome"] == "applied"
    records = [one["event_id"] for one in tuition.audit_trail(of_plan["plan_id"]) if event["id"] in one["event_id"]]
    assert records == [event["id"]]
