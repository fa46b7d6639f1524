"""Payments are deleted seven years after their money moved last, as listed a month before, and stay deleted."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

import my_data
import publish as publish_function
import retention as function
from local import verify
from tests import archive_bucket, event_bus, permissions, plan_calls
from tests.erasures import running_erasures
from tests.harness import Harness, Student
from tests.tables.test_plan_checks import verified
from tests.tables.test_received_amounts import buy_in_euro
from tests.tables.test_reconcile import metric_values
from tests.tables.test_sessions import open_session, pay_session
from tuition import clock
from tuition.core import audit, timestamps
from tuition.core import retention as core_retention
from tuition.core.errors import NotFound
from tuition.core.facts import Facts, Refund, Withdrawal
from tuition.intake import retention, stripe_events, walk
from tuition.intake.walk import Run
from tuition.outbox import archive, archive_check
from tuition.storage import cursors, dynamodb, ledger, queries
from tuition.storage.dynamodb import TransactionCanceled
from tuition.storage.ledger import Change
from tuition.stripe_gateway import resolve
from tuition.views import personal_data, standings

DAY_S = 86_400
YEAR_S = 365 * DAY_S
BOUGHT_AT = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
STAFF = Student("staff-1", groups=("admin",))
TABLES = {
    "payments": ("payment_id",),
    "audit": ("subject", "sort_key"),
    "plans": ("plan_id",),
    "enrollments": ("user_id", "sort_key"),
    "cursors": ("name",),
    "analytics": ("period", "measure"),
    "effects": ("consumer_subject", "sort_key"),
}


@pytest.fixture(autouse=True)
def noon(tuition: Harness) -> None:
    """Begin at noon, with nothing of other tests."""
    for table, names in TABLES.items():
        tuition.empty_table(table, *names)
    tuition.freeze_time(BOUGHT_AT)


def bought(tuition: Harness, student: Student) -> dict[str, Any]:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_time(5)
    tuition.deliver_all()
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"
    confirm(tuition)
    return dict(purchase)


def confirm(tuition: Harness) -> None:
    """Let the hourly run confirm what is settled, so that payments are final."""
    tuition.advance_time(3_700)
    tuition.reconcile()


def wait(tuition: Harness, seconds: float) -> None:
    """Move our clock only. The simulator's would do everything that is due in seven years."""
    tuition.offset_s += int(seconds)


def run(*, seconds: float = 900, **event: Any) -> dict[str, Any]:
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
    with permissions.acting_as(function.handler):
        return function.handler(event, context)


def listed_and_deleted(tuition: Harness) -> dict[str, Any]:
    """Let eight years pass, make the list, and delete what is on it a month later."""
    wait(tuition, 8 * YEAR_S)
    run(delete=True)
    wait(tuition, 31 * DAY_S)
    return run(delete=True)


@contextmanager
def another_function() -> Iterator[None]:
    """Act without the role of the function that is being called."""
    token = permissions._acting.set(None)
    try:
        yield
    finally:
        permissions._acting.reset(token)


def stored(tuition: Harness, table: str) -> list[dict[str, Any]]:
    items = tuition.tables.scan(TableName=table, ConsistentRead=True)["Items"]
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


# --- the list and its times ---


def test_a_list_is_made_first_and_what_is_on_it_is_deleted_a_month_later(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    payment_id = purchase["payment_id"]
    wait(tuition, 8 * YEAR_S)
    report = run(delete=True)
    assert (report["listed"], report["deleted"], report["done_at"]) == (1, 0, None)
    assert list(run(part=0)["payments"]) == [payment_id]
    wait(tuition, 29 * DAY_S)
    assert run(delete=True)["deleted"] == 0
    assert tuition.payment(payment_id), "it was deleted before the list could be looked at for a month"
    wait(tuition, 2 * DAY_S)
    report = run(delete=True)
    assert (report["deleted"], report["missing"], bool(report["done_at"])) == (1, 0, True)
    assert tuition.payment(payment_id) is None
    assert run(part=0)["payments"] == {}


def test_nothing_is_deleted_without_being_asked_to(tuition: Harness, student: Student) -> None:
    payment_id = bought(tuition, student)["payment_id"]
    wait(tuition, 8 * YEAR_S)
    run()
    wait(tuition, 40 * DAY_S)
    assert run()["deleted"] == 0
    assert tuition.payment(payment_id)


@pytest.mark.parametrize(("days", "listed"), [(-2, 0), (2, 1)])
def test_a_payment_is_due_seven_years_after_its_money_moved_last(
    tuition: Harness, student: Student, days: int, listed: int
) -> None:
    bought(tuition, student)
    wait(tuition, timestamps.epoch("2033-11-23T12:00:05.000Z") - clock.now() + days * DAY_S)
    assert run()["listed"] == listed


def test_money_that_moved_on_a_leap_day_is_kept_until_february_has_ended(tuition: Harness, student: Student) -> None:
    until = core_retention.kept_until("2028-02-29T23:59:59.999Z")
    assert "2035-02-28T23:59:59.999Z" < until < "2035-03-01T00:00:00.000Z"
    bought(tuition, student)
    wait(tuition, timestamps.epoch("2036-02-29T12:00:00.000Z") - clock.now())
    assert run()["listed"] == 1


def test_a_late_refund_keeps_a_payment_for_seven_more_years(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    tuition.advance_time(40 * DAY_S)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"])
    tuition.advance_time(5)
    tuition.deliver_all()
    confirm(tuition)
    wait(tuition, 7 * YEAR_S - 10 * DAY_S)
    assert run()["listed"] == 0
    wait(tuition, YEAR_S)
    assert run()["listed"] == 1


def test_a_decision_of_a_bank_that_only_a_record_shows_is_a_movement(tuition: Harness, student: Student) -> None:
    payment = tuition.payment(bought(tuition, student)["payment_id"])
    wait(tuition, 100 * DAY_S)

    def add(status: str) -> None:
        refund = Refund(status=status, amount=payment.amount, created=int(BOUGHT_AT))
        entry = audit.AuditEntry(timestamps.iso(clock.now()), f"evt_{status}", "refund.updated", "webhook")
        ledger.update(payment.ref, lambda state: Change(state.existing.merged(Facts(refunds={"re_1": refund})), entry))

    add("succeeded")
    wait(tuition, 300 * DAY_S)
    add("failed")
    failed_at = timestamps.iso(clock.now())
    trail = tuition.audit_trail(payment.payment_id)
    assert core_retention.last_movement(tuition.payment(payment.payment_id), trail) == failed_at


def test_a_payment_to_which_something_may_still_happen_is_kept_and_counted(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    open_id = tuition.create(Student(f"{student.sub}-open")).body["payment_id"]
    report = listed_and_deleted(tuition)
    assert (report["listed"], report["unfinished"], report["deleted"]) == (1, 1, 1)
    assert tuition.payment(open_id)
    assert tuition.payment(purchase["payment_id"]) is None


@pytest.mark.parametrize("time", ["before the list", "after the list"])
def test_a_refund_that_waits_for_approval_keeps_the_payment(tuition: Harness, student: Student, time: str) -> None:
    payment_id = bought(tuition, student)["payment_id"]
    wait(tuition, 7 * YEAR_S - 20 * DAY_S if time == "before the list" else 8 * YEAR_S)
    if time == "after the list":
        assert run(delete=True)["listed"] == 1
    response = tuition.refund(student, payment_id)
    assert (response.status, response.body["refund_request"]["state"]) == (202, "awaiting_approval")
    if time == "before the list":
        wait(tuition, YEAR_S)
        report = run(delete=True)
        assert (report["listed"], report["unfinished"]) == (0, 1)
    wait(tuition, 31 * DAY_S)
    report = run(delete=True)
    assert (report["deleted"], report["changed"]) == (0, time == "after the list")
    assert tuition.payment(payment_id).refund_request_state == "awaiting_approval"


def test_a_payment_whose_money_is_due_after_a_withdrawal_is_kept(tuition: Harness, student: Student) -> None:
    payment = tuition.payment(bought(tuition, student)["payment_id"])
    withdrawn = Facts(withdrawn=Withdrawal(at=int(clock.now())))
    entry = audit.AuditEntry(timestamps.iso(clock.now()), "withdrawn", "contract.withdrawn", "request")
    ledger.update(payment.ref, lambda state: Change(state.existing.merged(withdrawn), entry))
    report = listed_and_deleted(tuition)
    assert (report["listed"], report["unfinished"], report["deleted"]) == (0, 1, 0)


def test_a_payment_that_staff_must_still_decide_about_is_kept_until_they_have(
    tuition: Harness, student: Student
) -> None:
    """Deleted, it would keep its student from buying for ever."""
    payment_id = buy_in_euro(tuition, student)
    confirm(tuition)
    report = listed_and_deleted(tuition)
    assert (report["listed"], report["unfinished"], report["deleted"]) == (0, 1, 0)
    assert tuition.create(student).body["detail"].endswith("The school is reviewing your payment.")
    body = {"decision": "revoke", "note": "never came back"}
    route = "POST /api/admin/payments/{payment_id}/access"
    assert tuition.admin(STAFF, route, body, payment_id=payment_id).status == 200
    assert listed_and_deleted(tuition)["deleted"] == 1
    assert tuition.create(student).status == 201


# --- reasons against a deletion ---


def hold(tuition: Harness, student: Student) -> None:
    tuition.tables.update_item(
        TableName="customers",
        Key={"user_id": {"S": student.sub}},
        UpdateExpression="SET legal_hold = :hold",
        ExpressionAttributeValues={":hold": {"S": '{"note": "case 7"}'}},
    )


def test_a_legal_hold_placed_after_the_list_refuses_the_deletion_until_it_is_lifted(
    tuition: Harness, student: Student
) -> None:
    payment_id = bought(tuition, student)["payment_id"]
    wait(tuition, 8 * YEAR_S)
    run(delete=True)
    hold(tuition, student)
    wait(tuition, 31 * DAY_S)
    before = [stored(tuition, table) for table in ("payments", "stripe_objects", "audit")]
    report = run(delete=True)
    assert (report["held"], report["deleted"]) == (1, 0)
    assert [stored(tuition, table) for table in ("payments", "stripe_objects", "audit")] == before
    tuition.tables.update_item(
        TableName="customers", Key={"user_id": {"S": student.sub}}, UpdateExpression="REMOVE legal_hold"
    )
    wait(tuition, YEAR_S)
    run(delete=True)
    wait(tuition, 31 * DAY_S)
    assert run(delete=True)["deleted"] == 1
    assert tuition.payment(payment_id) is None


def test_money_that_moves_after_the_list_keeps_the_payment(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    wait(tuition, 8 * YEAR_S)
    assert run(delete=True)["listed"] == 1
    payment = tuition.payment(purchase["payment_id"])
    refund = Refund(status="succeeded", amount=100, created=int(clock.now()))
    entry = audit.AuditEntry(timestamps.iso(clock.now()), "evt_late", "refund.updated", "webhook")
    ledger.update(payment.ref, lambda state: Change(state.existing.merged(Facts(refunds={"re_1": refund})), entry))
    wait(tuition, 31 * DAY_S)
    assert (run(delete=True)["changed"], bool(tuition.payment(payment.payment_id))) == (1, True)


def test_a_commit_between_the_look_and_the_deletion_wins(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = tuition.payment(bought(tuition, student)["payment_id"])
    wait(tuition, 8 * YEAR_S)
    run(delete=True)
    wait(tuition, 31 * DAY_S)
    real = ledger.expire

    def late(loaded: Any) -> None:
        monkeypatch.setattr(ledger, "expire", real)
        refund = Refund(status="pending", amount=100, created=int(clock.now()))
        entry = audit.AuditEntry(timestamps.iso(clock.now()), "evt_late", "refund.created", "webhook")
        with another_function():
            ledger.update(payment.ref, lambda one: Change(one.existing.merged(Facts(refunds={"re_1": refund})), entry))
        real(loaded)

    monkeypatch.setattr(ledger, "expire", late)
    assert run(delete=True)["changed"] == 1
    assert tuition.payment(payment.payment_id).refund_pending_amount == 100


# --- the deletion ---


def test_the_payment_goes_and_its_pointers_enrollment_and_records_stay(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    payment = tuition.payment(purchase["payment_id"])
    before = {table: stored(tuition, table) for table in ("audit", "enrollments", "customers", "effects")}
    listed_and_deleted(tuition)
    assert stored(tuition, "payments") == []
    for stripe_id in (payment.stripe_object_id, payment.stripe_charge_id):
        pointer = queries.stripe_object(stripe_id)
        assert pointer
        assert (pointer.payment_id, pointer.user_id, pointer.track) == (payment.payment_id, None, None)
        assert pointer.state == ledger.EXPIRED
    for table in ("enrollments", "effects"):
        assert stored(tuition, table) == before[table]
    customers = zip(before["customers"], stored(tuition, "customers"), strict=True)
    ((old, new),) = [(one, another) for one, another in customers if one != another]
    assert new == old | {"expired_payments": {"SS": [payment.payment_id]}, "updated_at": new["updated_at"]}
    records = stored(tuition, "audit")
    added = [item for item in records if item not in before["audit"]]
    assert [item["type"]["S"] for item in added] == ["payment.expired"]
    trail = tuition.audit_trail(payment.payment_id)
    assert audit.verify(payment.payment_id, trail, payment.version + 1, trail[-1]["hash"]) is None
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    with pytest.raises(NotFound, match="deleted seven years after"):
        resolve.find_payment(payment.stripe_object_id)
    with pytest.raises(NotFound, match="You have no such payment"):
        resolve.find_payment(payment.stripe_object_id, student.sub)


def test_a_payment_at_all_its_limits_is_deleted_with_every_pointer(tuition: Harness, student: Student) -> None:
    payment = tuition.payment(bought(tuition, student)["payment_id"])

    def add(kind: str, number: int) -> None:
        refunds = {f"{kind}_{i}": Refund(status="failed", amount=1, created=int(BOUGHT_AT) + i) for i in range(number)}
        entry = audit.AuditEntry(timestamps.iso(clock.now()), f"evt_{kind}", "refund.updated", "webhook")
        ledger.update(payment.ref, lambda state: Change(state.existing.merged(Facts(refunds=refunds)), entry))

    add("re_of_limits", 45)
    for number in range(130):  # pointers of objects that the search finds: more than a transaction has room for
        pointer = {"stripe_id": {"S": f"re_more_{number}"}, "payment_id": {"S": payment.payment_id}}
        tuition.tables.put_item(TableName="stripe_objects", Item={**pointer, "user_id": {"S": student.sub}})
    more = {f"re_more_{number}": int(BOUGHT_AT) for number in range(130)}
    real = ledger._search_objects
    ledger._search_objects = lambda one: {**real(one), **more}
    try:
        assert listed_and_deleted(tuition)["deleted"] == 1
    finally:
        ledger._search_objects = real
    own = [
        item for item in stored(tuition, "stripe_objects") if item.get("payment_id", {}).get("S") == payment.payment_id
    ]
    assert len(own) == 45 + 130 + 2
    assert all(item["state"]["S"] == "expired" and "user_id" not in item for item in own)


def test_a_pointer_of_another_payment_stays(tuition: Harness, student: Student) -> None:
    payment = tuition.payment(bought(tuition, student)["payment_id"])
    taken = {"stripe_id": {"S": payment.stripe_charge_id}, "payment_id": {"S": "pay_other"}, "user_id": {"S": "eve"}}
    tuition.tables.put_item(TableName="stripe_objects", Item=taken)
    listed_and_deleted(tuition)
    assert tuition.payment(payment.payment_id) is None
    assert queries.stripe_object(payment.stripe_charge_id).payment_id == "pay_other"


# --- late events ---


def test_a_late_event_is_answered_200_and_counted_and_rebuilds_nothing(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    purchase = bought(tuition, student)
    events = [json.loads(payload) for payload in tuition.stripe.webhooks.payloads.values()]
    listed_and_deleted(tuition)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=100)
    before = [stored(tuition, table) for table in TABLES]
    for event in [*events, *tuition.new_events()]:
        response = tuition.deliver(event)
        if event["type"] in stripe_events.EVENT_TYPES:
            assert (response.status, response.body["outcome"]) == (200, "expired"), event["type"]
    assert {value for (value,) in metric_values(capsys, "ExpiredEvent")} == {1.0}
    assert [stored(tuition, table) for table in TABLES] == before
    assert tuition.tables.scan(TableName="quarantine")["Items"] == []


def test_a_mark_of_a_payment_that_exists_keeps_no_event_away(tuition: Harness, student: Student) -> None:
    """A restore of the payments alone brings back a payment, and a forger can write a mark."""
    purchase = bought(tuition, student)
    payment = tuition.payment(purchase["payment_id"])
    for stripe_id in (payment.stripe_object_id, payment.stripe_charge_id):
        mark = {"stripe_id": {"S": stripe_id}, "payment_id": {"S": payment.payment_id}, "state": {"S": "expired"}}
        tuition.tables.put_item(TableName="stripe_objects", Item=mark)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"])
    outcomes = {tuition.deliver(event).body["outcome"] for event in tuition.new_events()}
    assert "applied" in outcomes
    assert "expired" not in outcomes
    assert tuition.payment(payment.payment_id).status == "REFUNDED"


def test_an_event_that_is_being_applied_while_its_payment_is_deleted_changes_nothing(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought(tuition, student)
    wait(tuition, 8 * YEAR_S)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=100)
    event = next(event for event in tuition.new_events() if event["type"] == "refund.created")
    real = stripe_events._decide

    def slow(*arguments: Any) -> Any:
        change = real(*arguments)
        monkeypatch.setattr(stripe_events, "_decide", real)
        with another_function():
            ledger.expire(tuition.payment(purchase["payment_id"]))
        return change

    monkeypatch.setattr(stripe_events, "_decide", slow)
    response = tuition.deliver(event)
    assert (response.status, response.body["outcome"]) == (200, "not_found")
    assert tuition.payment(purchase["payment_id"]) is None
    assert tuition.deliver(event).body["outcome"] == "expired"


def test_a_checkout_payment_expires_with_its_session_and_intent(tuition: Harness, student: Student) -> None:
    session = open_session(tuition, student).body
    pay_session(tuition, session["session_id"])
    tuition.advance_time(5)
    tuition.deliver_all()
    confirm(tuition)
    assert listed_and_deleted(tuition)["deleted"] == 1
    assert queries.stripe_object(session["session_id"]).state == ledger.EXPIRED
    events = [json.loads(payload) for payload in tuition.stripe.webhooks.payloads.values()]
    completed = next(event for event in events if event["type"] == "checkout.session.completed")
    assert tuition.deliver(completed).body["outcome"] == "expired"


# --- everything that compares still holds ---


def test_the_reconciler_walks_old_objects_and_rebuilds_nothing(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    listed_and_deleted(tuition)
    before = [stored(tuition, table) for table in ("payments", "audit", "enrollments", "stripe_objects")]
    current = Run(lambda: 900.0)
    walk.walk_window(current, int(BOUGHT_AT) - 60, int(BOUGHT_AT) + DAY_S)
    assert (current.failed, current.drifted, current.orphans) == ([], 0, 0)
    assert [stored(tuition, table) for table in ("payments", "audit", "enrollments", "stripe_objects")] == before


def test_the_audit_finds_no_difference_in_what_was_deleted(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    listed_and_deleted(tuition)
    bought_day = {"from": "2026-11-23", "to": "2026-11-23"}
    report = tuition.run_audit(days=bought_day)
    assert (report["done"], report["differences"], report["failed"]) == (True, [], [])
    assert report["expired"] == 1
    wait(tuition, DAY_S)
    deleted_day = timestamps.iso(clock.now() - DAY_S)[:10]
    report = tuition.run_audit(days={"from": deleted_day, "to": deleted_day})
    assert (report["done"], report["differences"]) == (True, [])


def test_the_audit_finds_a_record_of_a_deleted_payment_that_was_removed(tuition: Harness, student: Student) -> None:
    payment_id = bought(tuition, student)["payment_id"]
    listed_and_deleted(tuition)
    victim = queries.audit_items(payment_id)[1]
    tuition.tables.delete_item(TableName="audit", Key={name: victim[name] for name in ("subject", "sort_key")})
    wait(tuition, DAY_S)
    deleted_day = timestamps.iso(clock.now() - DAY_S)[:10]
    report = tuition.run_audit(days={"from": deleted_day, "to": deleted_day})
    assert [payment_id in one["ids"] for one in report["differences"] if one["kind"] == "chain"] == [True]


@pytest.mark.parametrize("forged", ["of another user", "of no record", "of a refunded payment"])
def test_access_that_a_deleted_payment_does_not_explain_is_found(
    tuition: Harness, student: Student, forged: str
) -> None:
    purchase = bought(tuition, student)
    if forged == "of a refunded payment":
        tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"])
        tuition.advance_time(5)
        tuition.deliver_all()
        confirm(tuition)
    listed_and_deleted(tuition)
    user = student.sub if forged == "of a refunded payment" else "eve"
    payment_id = "pay_none" if forged == "of no record" else purchase["payment_id"]
    standing = {payment_id: {"attempt": 1, "grants": True, "granted": True}}
    item = {"user_id": {"S": user}, "sort_key": {"S": "DP"}, "status": {"S": "ENROLLED"}, "version": {"N": "9"}}
    tuition.tables.put_item(TableName="enrollments", Item={**item, "standings": {"S": json.dumps(standing)}})
    problems = standings.problems(user, queries.user_items(user))
    assert [one.grantor for one in problems if one.grantor] == [payment_id]


def test_figures_of_deleted_payments_stay_and_a_recount_corrects_nothing(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    bought(tuition, Student(f"{student.sub}-2"))
    assert tuition.count_records(tuition.stored_records()) == []
    wait(tuition, DAY_S)
    assert tuition.recount()["equal"]
    figures = [item for item in stored(tuition, "analytics") if item["measure"]["S"] != "counted"]
    listed_and_deleted(tuition)
    assert tuition.count_records(tuition.stored_records()) == []
    wait(tuition, DAY_S)
    for report in (tuition.recount(), tuition.recount(full=True)):
        assert (report["done"], report["equal"], report["repaired"]) == (True, True, 0), report
    assert [item for item in stored(tuition, "analytics") if item["measure"]["S"] != "counted"] == figures


def test_a_late_payment_of_an_old_day_is_recounted_beside_deleted_ones(tuition: Harness, student: Student) -> None:
    """A change of a living payment of the same day makes the nightly recount look at the whole day."""
    bought(tuition, student)
    other = bought(tuition, Student(f"{student.sub}-2"))
    tuition.count_records(tuition.stored_records())
    wait(tuition, 8 * YEAR_S)
    payment = tuition.payment(other["payment_id"])
    refund = Refund(status="succeeded", amount=100, created=int(clock.now()))
    entry = audit.AuditEntry(timestamps.iso(clock.now()), "evt_late", "refund.updated", "webhook")
    ledger.update(payment.ref, lambda state: Change(state.existing.merged(Facts(refunds={"re_1": refund})), entry))
    run(delete=True)
    wait(tuition, 31 * DAY_S)
    assert run(delete=True)["deleted"] == 1
    tuition.count_records(tuition.stored_records())
    wait(tuition, DAY_S)
    report = tuition.recount()
    assert (report["done"], report["equal"]) == (True, True), report


def test_a_replay_of_the_whole_trail_changes_nothing(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = bought(tuition, student)["payment_id"]
    tuition.count_records(tuition.stored_records())
    listed_and_deleted(tuition)
    tuition.count_records(tuition.stored_records())
    bus = event_bus.connect(monkeypatch)
    before = [stored(tuition, table) for table in TABLES]
    result = publish_function.handler({"replay": {"subject": payment_id}}, None)
    assert result["failed"] == []
    assert bus.calls
    tuition.count_records(tuition.stored_records())
    assert [stored(tuition, table) for table in TABLES] == before


def test_the_archive_has_the_record_of_the_deletion_and_stays_complete(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought(tuition, student)
    listed_and_deleted(tuition)
    archive_bucket.connect(monkeypatch)
    day = timestamps.iso(clock.now())[:10]
    items = [item for item in stored(tuition, "audit") if item["recorded_at"]["S"].startswith(day)]
    assert [item["type"]["S"] for item in items] == ["payment.expired"]
    assert archive.write({f"{item['subject']['S']} {item['sort_key']['S']}": item for item in items}) == []
    report = archive_check.compare(day, lambda: 900.0)
    assert (report["complete"], report["done"], report["records"]) == (True, True, 1)


# --- limits, kills and repetition ---


def many(tuition: Harness, student: Student, number: int) -> list[str]:
    return [bought(tuition, Student(f"{student.sub}-{i}"))["payment_id"] for i in range(number)]


def test_runs_without_enough_time_continue_where_they_ended(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PAGE", 2)
    payment_ids = many(tuition, student, 5)
    wait(tuition, 8 * YEAR_S)

    def once() -> Iterator[float]:
        yield from (900.0, 0.0)
        yield from itertools.repeat(0.0)

    def a_page() -> Callable[[], float]:
        times = once()
        return lambda: next(times)

    reports = [retention.run(a_page(), delete=True) for _ in range(6)]
    assert [report["listed"] for report in reports] == [2, 4, 5, 5, 5, 5]
    run(delete=True)
    wait(tuition, 31 * DAY_S)
    reports = [retention.run(a_page(), delete=True) for _ in range(3)]
    assert [report["deleted"] for report in reports] == [2, 4, 5]
    assert stored(tuition, "payments") == []
    assert run(delete=True)["deleted"] == 5 == len(payment_ids)


@pytest.mark.parametrize("step", range(12))
def test_a_run_that_is_killed_anywhere_leaves_whole_payments_and_the_next_one_finishes(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    payment_ids = many(tuition, student, 2)
    wait(tuition, 8 * YEAR_S)
    run(delete=True)
    wait(tuition, 31 * DAY_S)
    calls, real = itertools.count(), dynamodb.call

    class Killed(BaseException):
        pass

    def call(operation: Any, **params: Any) -> Any:
        if next(calls) == step:
            raise Killed
        return real(operation, **params)

    monkeypatch.setattr(dynamodb, "call", call)
    with suppress(Killed):
        run(delete=True)
    monkeypatch.setattr(dynamodb, "call", real)
    wait(tuition, 3_600)
    report = run(delete=True)
    assert report["done_at"]
    assert report["deleted"] + report["missing"] >= 2
    for payment_id in payment_ids:
        assert [record["type"] for record in tuition.audit_trail(payment_id)].count("payment.expired") == 1
        assert tuition.payment(payment_id) is None


def test_a_failed_transaction_changes_nothing(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = tuition.payment(bought(tuition, student)["payment_id"])
    tables = ("payments", "audit", "stripe_objects", "enrollments")
    before = [stored(tuition, table) for table in tables]
    real = dynamodb.call

    def refuse(operation: Any, **params: Any) -> Any:
        if operation == "transact_write_items":
            raise TransactionCanceled([{"Code": "ValidationError"} for _ in params["TransactItems"]])
        return real(operation, **params)

    monkeypatch.setattr(dynamodb, "call", refuse)
    with pytest.raises(dynamodb.StorageRefused):
        ledger.expire(payment)
    monkeypatch.setattr(dynamodb, "call", real)
    assert [stored(tuition, table) for table in tables] == before


def test_a_list_rings_its_alarm_and_an_unfinished_year_grows_old(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    bought(tuition, student)
    metric_values(capsys, "RetentionAge")
    wait(tuition, 8 * YEAR_S)
    run(delete=True)
    assert metric_values(capsys, "PaymentsListed") == [[1.0]]
    wait(tuition, 35 * DAY_S)
    run()
    assert metric_values(capsys, "RetentionAge") == [[5.0 * DAY_S]]
    wait(tuition, DAY_S)
    run(delete=True)
    assert metric_values(capsys, "RetentionAge") == [[0.0]]


def test_a_run_that_is_killed_at_the_end_of_the_list_has_rung_its_alarm(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bought(tuition, student)
    wait(tuition, 8 * YEAR_S)
    real = retention._store

    def store(state: retention.State) -> None:
        real(state)
        if state.listed_at:
            raise SystemExit

    monkeypatch.setattr(retention, "_store", store)
    with pytest.raises(SystemExit):
        run(delete=True)
    monkeypatch.setattr(retention, "_store", real)
    run(delete=True)
    assert metric_values(capsys, "PaymentsListed") == [[1.0]]


def test_a_run_whose_lease_has_ended_and_its_successor_delete_each_payment_once(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_ids = many(tuition, student, 3)
    wait(tuition, 8 * YEAR_S)
    run(delete=True)
    wait(tuition, 31 * DAY_S)
    real = ledger.expire

    def slow(payment: Any) -> None:
        monkeypatch.setattr(ledger, "expire", real)
        wait(tuition, 3_600)
        with another_function():
            assert run(delete=True)["deleted"] == 3
        real(payment)

    monkeypatch.setattr(ledger, "expire", slow)
    report = run(delete=True)
    assert (report["deleted"], report["missing"], bool(report["done_at"])) == (0, 3, True)
    for payment_id in payment_ids:
        assert [record["type"] for record in tuition.audit_trail(payment_id)].count("payment.expired") == 1
    assert stored(tuition, "payments") == []


def test_a_list_that_a_year_did_not_finish_is_finished_and_deleted_before_the_next(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PAGE", 1)
    many(tuition, student, 2)
    wait(tuition, 8 * YEAR_S)
    times = iter((900.0, 0.0))
    assert retention.run(lambda: next(times, 0.0), delete=True)["listed"] == 1
    wait(tuition, YEAR_S)
    report = run(delete=True)
    assert (report["year"], report["listed"], report["deleted"]) == (2034, 2, 0)
    wait(tuition, 31 * DAY_S)
    report = run(delete=True)
    assert (report["year"], report["deleted"], bool(report["done_at"])) == (2034, 2, True)
    year = int(timestamps.iso(clock.now())[:4])
    assert run(delete=True)["year"] == year


def test_nothing_is_deleted_while_the_clock_is_set_back(tuition: Harness, student: Student) -> None:
    payment_id = bought(tuition, student)["payment_id"]
    wait(tuition, 8 * YEAR_S)
    assert run(delete=True)["listed"] == 1
    wait(tuition, 31 * DAY_S - 3 * YEAR_S)
    report = run(delete=True)
    assert (report["deleted"], report["done_at"]) == (0, None)
    assert tuition.payment(payment_id)
    wait(tuition, 3 * YEAR_S)
    assert run(delete=True)["deleted"] == 1


def test_only_one_run_is_in_progress_at_a_time(tuition: Harness) -> None:
    with cursors.lease(cursors.RETENTION):
        assert run(delete=True, waits=True) == {"lease_taken": True}
        with pytest.raises(cursors.LeaseTaken):
            run(delete=True)


def exported(tuition: Harness, student: Student) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    while not parts or parts[-1]["next_cursor"]:
        query = {"cursor": parts[-1]["next_cursor"]} if parts else {}
        parts.append(tuition.call(my_data.handler, student, query=query, route="GET /api/me/export").body)
        wait(tuition, 60)
    return parts


def test_an_export_has_the_records_of_deleted_payments_in_as_many_parts_as_they_need(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal_data, "EXPIRED_PER_PART", 1)
    payment_ids = [bought(tuition, student)["payment_id"]]
    second = tuition.create(student, "FSD").body
    tuition.pay(second["payment_intent_id"])
    tuition.deliver_all()
    confirm(tuition)
    payment_ids.append(second["payment_id"])
    trails = {one: {record["hash"] for record in queries.audit_trail(one)} for one in payment_ids}
    assert listed_and_deleted(tuition)["deleted"] == 2
    parts = exported(tuition, student)
    expired = [payment for part in parts for payment in part["expired_payments"]]
    assert [payment["payment_id"] for payment in expired] == sorted(payment_ids)
    for payment in expired:
        *earlier, last = payment["records"]
        assert {record["hash"] for record in earlier} == trails[payment["payment_id"]]
        assert last["type"] == "payment.expired"
    assert [part["payments"] for part in parts] == [[]] * len(parts)
    assert parts[0]["person"]["customer"]["expired_payments"] == sorted(payment_ids)


def test_an_export_of_a_user_without_a_customer_item_has_the_deleted_payment(
    tuition: Harness, student: Student
) -> None:
    purchase = bought(tuition, student)
    tuition.tables.delete_item(TableName="customers", Key={"user_id": {"S": student.sub}})
    assert listed_and_deleted(tuition)["deleted"] == 1
    (part,) = exported(tuition, student)
    assert [payment["payment_id"] for payment in part["expired_payments"]] == [purchase["payment_id"]]
    assert tuition.create(student).status == 409, "the enrollment stays"


def test_the_records_of_deleted_payments_are_exported_after_an_erasure_too(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought(tuition, student)
    assert listed_and_deleted(tuition)["deleted"] == 1
    with running_erasures(tuition, monkeypatch) as erasures:
        erasures.finish(student)
    part = personal_data.part(student.sub, None)
    assert part["person"]["customer"]["erasure"]["state"] == "erased"
    assert part["person"]["customer"]["stripe_customer_id"] is None
    (expired,) = part["expired_payments"]
    assert (expired["payment_id"], expired["records"][-1]["type"]) == (purchase["payment_id"], "payment.expired")


# --- the payments of a plan ---


def test_the_payments_of_a_plan_are_deleted_together_once_nothing_more_can_happen_to_it(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_calls.offer_plans(monkeypatch.setattr)
    opened = plan_calls.started(tuition, student)
    confirm(tuition)
    assert (listed_and_deleted(tuition)["listed"], len(stored(tuition, "payments"))) == (0, 1), "it is not over"
    rest = plan_calls.pay(tuition, student, opened["plan_id"], "rest").body
    tuition.pay(rest["payment_intent_id"])
    tuition.advance_time(5)
    tuition.deliver_all()
    confirm(tuition)
    wait(tuition, 6 * YEAR_S)
    assert run(delete=True)["listed"] == 0, "the first payment is old, and the last is not"
    assert tuition.payment(opened["payment_id"])
    assert listed_and_deleted(tuition)["deleted"] == 2
    plan = ledger.load_plan(opened["plan_id"]).existing_plan
    assert (plan.status, plan.facts.methods, [one for one in plan.parts.values() if one.method]) == ("COMPLETE", {}, [])
    assert standings.problems(student.sub, queries.user_items(student.sub)) == []
    deleted_day = timestamps.iso(clock.now())[:10]
    wait(tuition, DAY_S)
    report = tuition.run_audit(days={"from": deleted_day, "to": deleted_day})
    assert (report["done"], report["differences"], report["failed"]) == (True, [], [])
    assert verified(tuition) == verify.HOLDS
