"""The reconciler: it applies what no webhook delivered, closes abandoned payments, and resumes refunds."""

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

import create_checkout_session
import create_payment
from tests.harness import Harness, Student
from tuition import clock
from tuition.core import catalog, timestamps
from tuition.core.errors import StripeUnavailable, Unprocessable
from tuition.core.money import Money
from tuition.intake import reconcile, walk
from tuition.storage import cursors, dynamodb, keys, ledger
from tuition.stripe_gateway import client as stripe_client

DAY = 86_400
HOUR = 3_600
pytestmark = pytest.mark.usefixtures("empty_tables")


def open_purchase(tuition: Harness, student: Student) -> dict[str, Any]:
    return dict(tuition.create(student).body)


def lose_events(tuition: Harness) -> list[dict[str, Any]]:
    """Take and drop every event that Stripe has created since the last call."""
    return tuition.new_events()


def pay_with_altered_metadata(tuition: Harness, student: Student) -> None:
    """Pay an intent whose metadata name another track, and lose its events and its pointer, which would decide."""
    purchase = open_purchase(tuition, student)
    intent = tuition.stripe.account.store.find("payment_intent", purchase["payment_intent_id"])
    assert intent
    intent["metadata"]["track"] = "XX"
    tuition.tables.delete_item(TableName="stripe_objects", Key=keys.stripe_object_key(intent["id"]))
    tuition.pay(purchase["payment_intent_id"])
    lose_events(tuition)


def enrollment_status(tuition: Harness, student: Student) -> str | None:
    enrollment = tuition.enrollment(student)
    return enrollment["status"] if enrollment else None


# --- missing webhooks ---


def test_a_purchase_whose_webhooks_were_all_lost_enrolls_at_the_next_run(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    lose_events(tuition)
    report = tuition.reconcile()
    assert (report["drifted"], report["failed"], report["done"]) == (1, [], True)
    assert (tuition.payment(purchase["payment_id"]).status, enrollment_status(tuition, student)) == (
        "SUCCEEDED",
        "ENROLLED",
    )
    assert [r["source"] for r in tuition.audit_trail(purchase["payment_id"])] == ["request", "reconcile"]
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_a_run_without_drift_makes_few_calls_and_writes_nothing(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_stripe(5)
    tuition.deliver_all()
    tuition.reconcile()
    before = tuition.audit_trail(purchase["payment_id"])
    tuition.stripe_calls.clear()
    tuition.advance_time(60)
    report = tuition.reconcile()
    assert (report["drifted"], report["checked"]) == (0, 0)
    assert {call.split()[1] for call in tuition.stripe_calls} == {
        *("/v1/events", "/v1/payment_intents", "/v1/checkout/sessions", "/v1/refunds", "/v1/disputes"),
        "/v1/radar/early_fraud_warnings",
    }
    assert tuition.audit_trail(purchase["payment_id"]) == before


@pytest.mark.parametrize("has_event", [True, False], ids=["event lost", "no event"])
@pytest.mark.parametrize("change", ["refund", "dispute", "success", "session"])
def test_a_change_at_stripe_is_applied_with_or_without_its_event(
    tuition: Harness, student: Student, change: str, has_event: bool
) -> None:
    if change == "session":
        purchase = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body
        tuition.at_stripe("POST", f"/v1/payment_pages/{purchase['session_id']}/confirm", payment_method="pm_card_visa")
    else:
        purchase = open_purchase(tuition, student)
        tuition.pay(purchase["payment_intent_id"])
        if change != "success":
            tuition.deliver_all()
            path = "/v1/refunds" if change == "refund" else "/_sim/disputes"
            params = {} if change == "refund" else {"status": "lost"}
            tuition.at_stripe("POST", path, payment_intent=purchase["payment_intent_id"], **params)
    tuition.advance_stripe(3)
    if not has_event:
        for event in lose_events(tuition):
            tuition.stripe.webhooks.payloads.pop(event["id"])
            tuition.stripe.webhooks.types.pop(event["id"])
    assert tuition.reconcile()["failed"] == []
    expected = {"refund": ("REFUNDED", "WITHDRAWN"), "dispute": ("SUCCEEDED", "WITHDRAWN")}
    assert (tuition.payment(purchase["payment_id"]).status, enrollment_status(tuition, student)) == expected.get(
        change, ("SUCCEEDED", "ENROLLED")
    )


def test_a_lost_payment_is_rebuilt_if_it_is_settled(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    for table, key in (
        ("payments", keys.payment_key(purchase["payment_id"])),
        ("enrollments", keys.enrollment_key(student.sub, "DP")),
        ("stripe_objects", keys.stripe_object_key(purchase["payment_intent_id"])),
    ):
        tuition.tables.delete_item(TableName=table, Key=key)
    record = tuition.audit_trail(purchase["payment_id"])[0]
    tuition.tables.delete_item(
        TableName="audit", Key=keys.audit_key(purchase["payment_id"], f"{record['at']}#{record['event_id']}")
    )
    assert tuition.reconcile()["drifted"] == 1
    assert (tuition.payment(purchase["payment_id"]).status, enrollment_status(tuition, student)) == (
        "SUCCEEDED",
        "ENROLLED",
    )
    assert tuition.attention(purchase["payment_id"]) == ["rebuilt"]


def test_a_settled_object_in_another_payments_name_needs_attention(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    intent = tuition.stripe.account.store.find("payment_intent", purchase["payment_intent_id"])
    assert intent
    other = tuition.at_stripe(
        "POST", "/v1/payment_intents", amount=49900, currency="usd", payment_method="pm_card_visa", confirm="true",
        **{"allowed_payment_method_types[]": "card"}, **{f"metadata[{k}]": v for k, v in intent["metadata"].items()},
    )  # fmt: skip
    lose_events(tuition)
    tuition.reconcile()
    assert tuition.attention(purchase["payment_id"]) == [f"claim:{other['id']}"]
    assert tuition.payment(purchase["payment_id"]).status == "CREATED"


def test_many_due_payments_leave_half_of_the_time_for_new_objects(tuition: Harness, student: Student) -> None:
    for number in range(12):
        open_purchase(tuition, Student(f"{student.sub}-{number}"))
    tuition.reconcile()
    tuition.advance_time(2 * HOUR)
    before = tuition.reconcile()
    tuition.advance_time(5 * HOUR)
    seconds_left = itertools.count(100, -3)  # each reading of the clock takes three seconds
    report = reconcile.run(lambda: float(next(seconds_left)))
    assert 0 < report.checked < 12
    assert not report.done
    assert timestamps.iso(report.cursor) > before["cursor"]
    assert report.checked + tuition.reconcile()["checked"] == 12


def begin_refund_without_stripe(tuition: Harness, student: Student) -> str:
    """Pay and request a refund, for which Stripe gives no answer. Return the id of the payment."""
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=9, fail="before")
    assert tuition.refund(student, purchase["payment_id"]).status == 502
    tuition.at_stripe("DELETE", "/_sim/calls")
    return str(purchase["payment_id"])


def test_an_unfinished_refund_is_resumed_before_other_payments_are_checked(tuition: Harness, student: Student) -> None:
    for number in range(12):
        open_purchase(tuition, Student(f"{student.sub}-{number}"))
    lose_events(tuition)
    tuition.advance_time(8 * HOUR)
    refund = begin_refund_without_stripe(tuition, student)
    tuition.advance_time(301)
    seconds_left = itertools.count(70, -3)  # each reading of the clock takes three seconds
    report = reconcile.run(lambda: float(next(seconds_left)))
    assert (report.resumed, report.done) == (1, False)
    assert tuition.payment(refund).status == "REFUNDED"


def test_refunds_without_an_answer_do_not_keep_a_run_from_the_rest(tuition: Harness, student: Student) -> None:
    for number in range(4):
        begin_refund_without_stripe(tuition, Student(f"{student.sub}-{number}"))
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    lose_events(tuition)
    tuition.advance_time(301)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=99, fail="before")
    assert tuition.reconcile()["done"] is False
    assert enrollment_status(tuition, student) == "ENROLLED"


def test_the_payments_that_a_run_leaves_unchecked_are_its_backlog(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        open_purchase(tuition, Student(f"{student.sub}-{number}"))
    tuition.advance_time(8 * HOUR)
    capsys.readouterr()
    seconds_left = itertools.count(70, -3)
    report = reconcile.run(lambda: float(next(seconds_left)))
    assert report.checked + report.backlog == 12
    assert metric_values(capsys, "ReconcileBacklog") == [[float(report.backlog)]]
    assert tuition.reconcile()["backlog"] == 0
    assert metric_values(capsys, "ReconcileBacklog") == [[0.0]]


# --- windows ---


def test_a_killed_run_repeats_at_most_one_window(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuition.reconcile()
    tuition.advance_time(100)  # two windows share their boundary, so none of the purchases is made there
    for number in range(12):
        tuition.pay(open_purchase(tuition, Student(f"{student.sub}-{number}"))["payment_intent_id"])
        tuition.advance_time(HOUR // 12)
    lose_events(tuition)
    handled: list[str] = []
    real = walk._on_intent

    class Killed(BaseException):
        pass

    def on_intent(run: walk.Run, obj: Any, date: int) -> None:
        handled.append(obj["id"])
        if len(handled) == 10:
            raise Killed
        real(run, obj, date)

    monkeypatch.setitem(walk._HANDLERS, "payment_intents", on_intent)  # type: ignore[arg-type]
    with pytest.raises(Killed):
        tuition.reconcile()
    assert tuition.reconcile()["failed"] == []
    assert sorted({handled.count(intent) for intent in handled}) == [1, 2]
    assert len(handled) <= 12 + 2
    assert len(set(handled)) == 12


def test_a_window_may_be_walked_twice(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    lose_events(tuition)
    first, second = walk.Run(lambda: 900), walk.Run(lambda: 900)
    now = int(clock.now())
    walk.walk_window(first, now - walk.WINDOW_S, now)
    walk.walk_window(second, now - walk.WINDOW_S, now)
    assert (first.drifted, second.drifted, second.failed) == (1, 0, [])
    assert enrollment_status(tuition, student) == "ENROLLED"


def test_windows_without_an_object_cost_no_call(tuition: Harness, student: Student) -> None:
    tuition.reconcile()
    tuition.advance_time(6 * HOUR + 150)  # the middle of a window
    tuition.pay(open_purchase(tuition, student)["payment_intent_id"])
    lose_events(tuition)
    tuition.stripe_calls.clear()
    assert tuition.reconcile()["drifted"] == 1
    lists = [call for call in tuition.stripe_calls if call == "GET /v1/payment_intents"]
    assert len(lists) == 2 + 1  # the survey of each walk, and one window
    assert enrollment_status(tuition, student) == "ENROLLED"


@pytest.mark.parametrize("page_size", [100, 2])
def test_every_object_lies_in_a_window_that_is_walked(monkeypatch: pytest.MonkeyPatch, page_size: int) -> None:
    first, last = 1_790_000_000, 1_790_000_000 + 3 * HOUR
    times = [first, first + 299, first + 300, first + 3_000, last - 301, last - 300, last - 300, last - 290, last]
    calls = []

    def page_of(listed: str, low: int, high: int, after: str | None) -> stripe_client.Answer:
        """Return the newest objects of a range, a part of them if they are more than a page holds."""
        calls.append(listed)
        newest = sorted((at for at in times if low <= at <= high), reverse=True) if listed == "events" else []
        data = [{"id": str(at), "created": at} for at in newest[:page_size]]
        return stripe_client.Answer({"data": data, "has_more": len(newest) > page_size}, last, replayed=False)

    monkeypatch.setattr(walk, "_page_created", page_of)
    windows = walk.windows(first, last)
    assert all(any(start <= at <= end for start, end in windows) for at in times)
    assert all(end - start <= walk.WINDOW_S for start, end in windows)
    assert windows == sorted(windows)
    assert len(calls) <= (6 if page_size == 100 else 60)
    slices = [window for window in windows if window[1] - window[0] == walk.SLICE_S]
    assert len(slices) == (0 if page_size == 100 else 3 * walk.WINDOW_S // walk.SLICE_S)


def test_an_event_that_becomes_visible_late_is_applied_by_the_second_walk(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    lose_events(tuition)
    real = stripe_client.list_created

    def nothing_yet(*args: Any) -> stripe_client.Answer:
        answer = real(*args)
        return answer._replace(object={"data": [], "has_more": False})

    with monkeypatch.context() as patch:
        patch.setattr(stripe_client, "list_created", nothing_yet)
        assert tuition.reconcile()["drifted"] == 0
    tuition.advance_time(HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(reconcile, "_check_payments", lambda *_: 0)
        assert tuition.reconcile()["drifted"] == 1
    assert enrollment_status(tuition, student) == "ENROLLED"


# --- orphans, abandoned payments and unfinished refunds ---


@pytest.mark.parametrize("kind", ["payment_intent", "checkout.session"])
def test_an_orphan_is_closed_after_an_hour(
    tuition: Harness,
    student: Student,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    orphan = crash_after_stripe(tuition, student, monkeypatch, kind)
    tuition.reconcile()
    assert is_open(tuition, kind, orphan)
    tuition.advance_time(HOUR + 1)
    capsys.readouterr()
    assert tuition.reconcile()["orphans"] == 1
    assert '"ReconcileDrift":[1.0]' in capsys.readouterr().out
    assert not is_open(tuition, kind, orphan)
    purchase = open_purchase(tuition, student)
    assert is_open(tuition, "payment_intent", purchase["payment_intent_id"])


def test_a_paid_orphan_is_rebuilt(tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    orphan = crash_after_stripe(tuition, student, monkeypatch, "payment_intent")
    ledger.abandon(orphan, student.sub, "DP")
    tuition.pay(orphan)
    tuition.reconcile()
    assert enrollment_status(tuition, student) == "ENROLLED"


def crash_after_stripe(tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str) -> str:
    """Kill a create after its call to Stripe, before its transaction; return the id of the object."""

    class Killed(BaseException):
        pass

    def kill(*_: Any, **__: Any) -> None:
        raise Killed

    handler = create_payment.handler if kind == "payment_intent" else create_checkout_session.handler
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "commit", kill)
        with pytest.raises(Killed):
            tuition.call(handler, student, {"track": "DP"})
    return str(list(tuition.stripe.account.store.objects[kind])[-1])


def is_open(tuition: Harness, kind: str, object_id: str) -> bool:
    obj = tuition.stripe.account.store.find(kind, object_id)
    assert obj
    return obj["status"] in ("open", "requires_payment_method")


def test_a_payment_unused_for_three_days_is_closed(tuition: Harness, student: Student) -> None:
    abandoned, recent = open_purchase(tuition, student), open_purchase(tuition, Student(student.sub + "-b"))
    tuition.advance_time(3 * DAY - 60)
    tuition.pay(recent["payment_intent_id"], "pm_card_chargeDeclined")
    tuition.deliver_all()
    tuition.advance_time(DAY)
    assert tuition.reconcile()["closed"] == 1
    assert tuition.payment(abandoned["payment_id"]).status == "CANCELED"
    assert tuition.payment(recent["payment_id"]).status == "FAILED"
    assert enrollment_status(tuition, student) is None


@pytest.mark.parametrize("has_webhook", [True, False], ids=["webhook", "hourly run"])
def test_a_payment_that_is_confirmed_again_and_again_is_closed_after_thirty_days(
    tuition: Harness, student: Student, has_webhook: bool
) -> None:
    purchase = open_purchase(tuition, student)
    for days in (0, 10, 20):
        tuition.pay(purchase["payment_intent_id"], "pm_card_authenticationRequired")
        tuition.deliver_all()
        assert tuition.payment(purchase["payment_id"]).status == "CREATED", days
        authenticate = f"/_sim/payment_intents/{purchase['payment_intent_id']}/authenticate"
        tuition.at_stripe("POST", authenticate, outcome="failure")
        tuition.deliver_all()
        tuition.advance_time(10 * DAY)
    tuition.advance_time(HOUR)
    tuition.pay(purchase["payment_intent_id"], "pm_card_authenticationRequired")
    events = lose_events(tuition)
    for event in events if has_webhook else ():
        tuition.deliver(event)
    if not has_webhook:
        tuition.reconcile()
    assert tuition.payment(purchase["payment_id"]).status == "CANCELED"
    assert not is_open(tuition, "payment_intent", purchase["payment_intent_id"])


def change_price(monkeypatch: pytest.MonkeyPatch, amount: int) -> None:
    tracks = {**catalog.tracks(), "DP": replace(catalog.tracks()["DP"], price=Money(amount, "usd"))}
    monkeypatch.setattr(catalog, "tracks", lambda: tracks)


@pytest.mark.parametrize("status", ["CREATED", "PROCESSING"])
def test_a_payment_at_an_old_price_is_closed_a_day_after_the_change_unless_it_is_being_processed(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    purchase = open_purchase(tuition, student)
    if status == "PROCESSING":
        tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_processing")
    tuition.deliver_all()
    tuition.reconcile()
    change_price(monkeypatch, 55_000)
    tuition.advance_time(HOUR)
    tuition.reconcile()  # the first run with the new catalog
    tuition.advance_time(23 * HOUR)
    tuition.reconcile()
    assert tuition.payment(purchase["payment_id"]).status == status
    tuition.advance_time(HOUR)
    tuition.reconcile()
    expected = "CANCELED" if status == "CREATED" else status
    assert tuition.payment(purchase["payment_id"]).status == expected
    same_price = open_purchase(tuition, Student(student.sub + "-b"))
    tuition.advance_time(2 * HOUR)
    tuition.reconcile()
    assert tuition.payment(same_price["payment_id"]).status == "CREATED"


def test_an_open_payment_is_checked_less_often_as_it_ages(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    tuition.deliver_all()
    version = tuition.payment(purchase["payment_id"]).version
    hours = []
    for hour in range(1, 26):
        tuition.advance_time(HOUR + 1)
        hours += [hour] * tuition.reconcile()["checked"]
    assert hours == [1, 6, 24]
    assert tuition.payment(purchase["payment_id"]).version == version
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_an_unfinished_refund_is_resumed(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=9, fail="before")
    assert tuition.refund(student, purchase["payment_id"]).status == 502
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert tuition.reconcile()["resumed"] == 0  # the first attempt may still be running
    tuition.advance_time(301)
    assert tuition.reconcile()["resumed"] == 1
    assert tuition.payment(purchase["payment_id"]).status == "REFUNDED"
    (record,) = [r for r in tuition.audit_trail(purchase["payment_id"]) if r["type"] == "refund.made"]
    assert (record["source"], record.get("actor")) == ("reconcile", None)
    assert len(tuition.stripe.account.store.objects["refund"]) == 1


# --- quarantine ---


def test_a_quarantined_event_is_replayed_once_it_can_be_applied(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    (event,) = [e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded"]
    invalid = {**event, "data": {"object": {**event["data"]["object"], "amount_received": "much"}}}
    assert tuition.deliver(invalid).body["outcome"] == "quarantined"
    assert tuition.reconcile()["replayed"] == 0
    item_key = keys.quarantine_key(event["id"])
    tuition.tables.update_item(
        TableName="quarantine", Key=item_key, UpdateExpression="SET event = :event",
        ExpressionAttributeValues={":event": {"S": json.dumps(event)}},
    )  # fmt: skip
    assert tuition.reconcile()["replayed"] == 1
    assert "Item" not in tuition.tables.get_item(TableName="quarantine", Key=item_key)


def test_an_event_that_cannot_be_applied_is_quarantined_and_the_cursor_advances(
    tuition: Harness, student: Student
) -> None:
    pay_with_altered_metadata(tuition, student)
    report = tuition.reconcile()
    assert any("another user or track" in failure for failure in report["failed"])
    quarantined = tuition.tables.scan(TableName="quarantine")["Items"]
    assert {"payment_intent.succeeded"} <= {json.loads(item["event"]["S"])["type"] for item in quarantined}
    assert report["cursor"] == timestamps.iso(cursors.read(cursors.RECONCILE) or 0)
    assert report["done"]


# --- runs ---


def metric_values(capsys: pytest.CaptureFixture[str], metric: str) -> list[Any]:
    """Return the values of a metric written since the last read, after checking the dimensions of its alarm."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    matches = [line for line in lines if metric in line]
    for line in matches:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], sorted(directive["Dimensions"][0])) == ("Tuition", ["environment", "service"])
        assert (line["environment"], line["service"]) == ("test", "tuition")
    return [line[metric] for line in matches]


def test_a_run_reports_how_far_back_its_cursor_is(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    open_purchase(tuition, student)
    tuition.reconcile()
    assert metric_values(capsys, "ReconcileAge") == [[0.0]]
    tuition.advance_time(3 * HOUR)
    assert not tuition.reconcile(seconds=walk.RESERVE_S - 1)["done"]
    ((age,),) = metric_values(capsys, "ReconcileAge")
    assert 3 * HOUR <= age < 3 * HOUR + 60


def test_the_age_of_the_newest_applied_event_is_reported_while_a_payment_is_open(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    tuition.reconcile()
    assert metric_values(capsys, "EventAge") == []
    purchase = open_purchase(tuition, student)
    tuition.deliver_all()
    tuition.reconcile()
    ((age,),) = metric_values(capsys, "EventAge")
    assert 0 <= age < 60
    for _ in range(2):  # the walk sees the event once, and its time is remembered
        tuition.advance_time(4 * HOUR)
        tuition.reconcile()
    ages = [age for (age,) in metric_values(capsys, "EventAge")]
    assert [age // HOUR for age in ages] == [4, 8]
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    tuition.reconcile()
    assert metric_values(capsys, "EventAge") == []


def test_an_event_that_no_webhook_delivered_does_not_count_as_applied(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    tuition.reconcile()
    tuition.advance_time(7 * HOUR)
    open_purchase(tuition, student)
    lose_events(tuition)
    tuition.reconcile()
    ((age,),) = metric_values(capsys, "EventAge")
    assert 7 * HOUR <= age < 7 * HOUR + 60


@pytest.mark.parametrize("failure", ["item too large", "programming error"])
def test_a_payment_that_cannot_be_written_stops_no_other(
    tuition: Harness,
    student: Student,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: str,
) -> None:
    purchases = [open_purchase(tuition, Student(f"{student.sub}-{n}")) for n in range(3)]
    for purchase in purchases:
        tuition.pay(purchase["payment_intent_id"])
    lose_events(tuition)
    commit, broken = ledger.commit, purchases[1]["payment_id"]

    def fail_for_one(before: Any, change: ledger.Change, **more: Any) -> Any:
        if change.payment.payment_id != broken:
            return commit(before, change, **more)
        if failure == "programming error":
            raise KeyError("status")
        facts = change.payment.facts
        large = replace(change.payment, facts=replace(facts, intent="x" * 450_000))
        return commit(before, change._replace(payment=large), **more)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "commit", fail_for_one)
        capsys.readouterr()
        report = tuition.reconcile()
    assert report["done"]
    assert report["failed"]
    assert metric_values(capsys, "ReconcileFailed") == [[1.0]] * len(report["failed"])
    statuses = [tuition.payment(purchase["payment_id"]).status for purchase in purchases]
    assert statuses == ["SUCCEEDED", "CREATED", "SUCCEEDED"]
    assert tuition.reconcile()["replayed"] > 0
    assert tuition.payment(broken).status == "SUCCEEDED"


@pytest.mark.parametrize("code", ["ThrottlingException", "ExpiredTokenException", "AccessDeniedException"])
def test_a_run_ends_when_it_is_throttled_or_has_no_rights(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    open_purchase(tuition, student)
    tuition.advance_time(2 * HOUR)

    def refuse(*_: Any, **__: Any) -> Any:
        raise dynamodb._unavailable("batch_get_item", ClientError({"Error": {"Code": code}}, "BatchGetItem"))

    monkeypatch.setattr(ledger, "load", refuse)
    with pytest.raises(dynamodb.StorageUnavailable):
        tuition.reconcile()


def test_each_failure_of_a_run_is_counted(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    pay_with_altered_metadata(tuition, student)
    capsys.readouterr()
    failures = tuition.reconcile()["failed"]
    assert failures
    assert metric_values(capsys, "ReconcileFailed") == [[1.0]] * len(failures)


def test_runs_exclude_each_other_until_a_lease_expires(tuition: Harness) -> None:
    lease = cursors.lease()
    with lease, pytest.raises(cursors.LeaseTaken):
        tuition.reconcile()
    assert tuition.reconcile()["done"]
    with cursors.lease():  # its holder is killed, so it cannot release the lease
        tuition.tables.update_item(
            TableName="cursors",
            Key=keys.cursor_key(cursors.RECONCILE),
            UpdateExpression="SET holder = :other",
            ExpressionAttributeValues={":other": {"S": "killed"}},
        )
    with pytest.raises(cursors.LeaseTaken):
        tuition.reconcile()
    tuition.advance_time(cursors.LEASE_S + 1)
    assert tuition.reconcile()["done"]


def test_a_caller_that_waits_for_another_run_causes_no_error(tuition: Harness) -> None:
    """`make reconcile` asks every few seconds. Each error would ring an alarm and roll back a release in progress."""
    today = timestamps.iso(clock.now())[:10]
    with cursors.lease(), cursors.lease(cursors.BOOKS):
        assert tuition.reconcile(waits=True) == {"lease_taken": True}
        assert tuition.reconcile(waits=True, backfill={"from": today, "to": today}) == {"lease_taken": True}
        assert tuition.run_audit(waits=True) == {"lease_taken": True}
        with pytest.raises(cursors.LeaseTaken):
            tuition.run_audit()
    assert tuition.reconcile(waits=True)["done"]


def test_a_run_ends_when_stripe_is_unreachable_and_the_next_run_misses_nothing(
    tuition: Harness, student: Student
) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    lose_events(tuition)
    tuition.stripe_blocked = True
    with pytest.raises(StripeUnavailable):
        tuition.reconcile()
    tuition.stripe_blocked = False
    tuition.advance_time(60)
    assert tuition.reconcile()["drifted"] == 1
    assert enrollment_status(tuition, student) == "ENROLLED"


def test_a_rate_limited_run_waits_and_continues(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    lose_events(tuition)
    tuition.at_stripe("POST", "/_sim/calls", match="GET /v1/payment_intents/*", times=3, fail="rate_limit")
    assert tuition.reconcile()["failed"] == []
    assert enrollment_status(tuition, student) == "ENROLLED"


def test_a_run_without_time_leaves_the_rest_to_the_next_run(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    lose_events(tuition)
    assert tuition.reconcile(seconds=walk.RESERVE_S - 1)["done"] is False
    assert enrollment_status(tuition, student) != "ENROLLED"
    assert tuition.reconcile()["done"]
    assert enrollment_status(tuition, student) == "ENROLLED"


def test_a_session_is_fetched_once_when_its_intent_is_first_read(tuition: Harness, student: Student) -> None:
    purchase = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body
    tuition.at_stripe("POST", f"/v1/payment_pages/{purchase['session_id']}/confirm", payment_method="pm_card_visa")
    tuition.advance_time(3)
    lose_events(tuition)
    intent = tuition.at_stripe("GET", f"/v1/checkout/sessions/{purchase['session_id']}")["payment_intent"]
    obj = tuition.at_stripe("GET", f"/v1/payment_intents/{intent}")
    run = walk.Run(lambda: 900)
    tuition.stripe_calls.clear()
    walk._on_intent(run, obj, int(clock.now()))
    assert tuition.stripe_calls == [f"GET /v1/checkout/sessions/{purchase['session_id']}"]
    assert enrollment_status(tuition, student) == "ENROLLED"


def test_more_purchases_than_a_page_holds_are_all_applied(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each list at Stripe has more than one page."""
    real_page, more = stripe_client._page, []

    def page_of_three(listed: Any, params: Any, client: Any, options: Any) -> Any:
        assert params["limit"] == 100
        page = real_page(listed, {**params, "limit": 3}, client, options)
        more.append((listed, page["has_more"]))
        return page

    monkeypatch.setattr(stripe_client, "_page", page_of_three)
    purchases = [open_purchase(tuition, Student(f"{student.sub}-{n}")) for n in range(10)]
    for purchase in purchases:
        tuition.pay(purchase["payment_intent_id"])
    lose_events(tuition)
    assert tuition.reconcile()["drifted"] == len(purchases)
    assert {tuition.payment(purchase["payment_id"]).status for purchase in purchases} == {"SUCCEEDED"}
    assert {listed for listed, has_more in more if has_more} >= {"payment_intents", "events"}


# --- backfill ---


def test_an_interrupted_backfill_resumes_and_can_be_repeated(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    today = timestamps.iso(clock.now())[:10]
    lose_events(tuition)
    days = {"from": today, "to": today}
    positions: list[int] = []
    real_move = cursors.advance

    def move_and_stop(name: str, position: int) -> None:
        real_move(name, position)
        positions.append(position)
        if len(positions) == 2:
            raise walk.OutOfTime

    with monkeypatch.context() as patch:
        patch.setattr(cursors, "advance", move_and_stop)
        assert tuition.reconcile(backfill=days)["done"] is False
    first_positions = list(positions)
    report = tuition.reconcile(backfill=days)
    assert (report["done"], first_positions == sorted(first_positions)) == (True, True)
    assert enrollment_status(tuition, student) == "ENROLLED"
    assert tuition.reconcile(backfill=days)["drifted"] == 0


@pytest.mark.parametrize(
    "days", [{}, {"from": "2026-11-01"}, {"from": "2026-11-02", "to": "2026-11-01"}, {"from": "x", "to": "y"}, "all"]
)
def test_a_backfill_of_invalid_days_is_refused(tuition: Harness, days: Any) -> None:
    with pytest.raises(Unprocessable):
        tuition.reconcile(backfill=days)


def test_a_list_at_stripe_is_read_to_its_end(tuition: Harness, student: Student) -> None:
    purchase = open_purchase(tuition, student)
    tuition.pay(purchase["payment_intent_id"])
    for _ in range(101):
        tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=1)
    assert len(stripe_client.list_refunds(payment_intent=purchase["payment_intent_id"])) == 101
