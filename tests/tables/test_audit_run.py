"""The tasks of the daily audit: interrupted anywhere, performed by anyone, and attacked."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import Harness, Student
from tests.tables.test_books import DAY, books, bought, close, deliver, differences, forge, next_day, noon, rewrite
from tests.tables.test_fan_out import messages, stored
from tests.tables.test_reconcile import metric_values
from tests.tables.test_verification import put_enrollment
from tuition import retry
from tuition.core import audit, timestamps
from tuition.core import books as books_core
from tuition.core import facts as core_facts
from tuition.core.errors import StripeUnavailable, Unprocessable
from tuition.intake import audit_run, walk
from tuition.intake import books as intake_books
from tuition.storage import cursors, dynamodb, keys, ledger, mapping, tasks
from tuition.storage.items import AuditItem

__all__ = ["messages", "noon"]
LEASE_S = 900 + tasks.CLOCK_MARGIN_S + 1
DAY_ONE = {"from": "2026-11-23", "to": "2026-11-23"}


class Killed(BaseException):
    """The invocation is killed here."""


@pytest.fixture(autouse=True)
def few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the tasks of others only shortly."""
    monkeypatch.setattr(retry, "TASK_WAIT", retry.Limit(3, base_s=0))


def purchases(tuition: Harness, student: Student, count: int, apart_s: int = 60) -> list[dict[str, Any]]:
    bought_ = []
    for number in range(count):
        bought_.append(bought(tuition, Student(f"{student.sub}-{number}")))
        tuition.advance_time(apart_s)
    return bought_


def task_names(tuition: Harness, part: str = "") -> list[str]:
    return sorted(name for name, item in stored(tuition).items() if "task" in item and part in name)


def transactions(tuition: Harness) -> list[dict[str, Any]]:
    return list(tuition.stripe.account.store.all("balance_transaction"))


def plan_only(tuition: Harness, **event: Any) -> dict[str, Any]:
    """Make a run that plans tasks and performs none itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit_run._Audit, "_try", lambda *_: False)
        return tuition.run_audit(**event)


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of one item, so that each task has several checkpoints. A table of several pages has two segments."""
    monkeypatch.setattr(audit_run, "SEGMENTS", 2)
    real = walk.page_created

    def page_created(*arguments: Any) -> dict[str, Any]:
        page = real(*arguments)
        if len(arguments) == 3:
            return page  # a run asks whether the day must be divided
        return {"data": page["data"][:1], "has_more": page["has_more"] or len(page["data"]) > 1}

    monkeypatch.setattr(walk, "page_created", page_created)
    for name in ("RECORDS_PER_PAGE", "ITEMS_PER_PAGE"):
        monkeypatch.setattr(intake_books, name, 1)


def an_eventful_day(tuition: Harness, student: Student) -> list[dict[str, Any]]:
    """Three purchases, a refund that we know, one that we do not know, and access without a payment."""
    bought_ = purchases(tuition, student, 3)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=bought_[0]["payment_intent_id"], amount=5_000)
    deliver(tuition)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=bought_[1]["payment_intent_id"], amount=700)
    tuition.advance_time(5)
    tuition.new_events()  # they are lost
    put_enrollment(tuition, Student(f"{student.sub}-forger"), "pay_invented")
    return bought_


EVENTFUL = {
    ("charge", 149_700, 149_700),
    ("refund", -5_000, -5_700),
    ("standing", 1, 0),
}


def kinds(sums: list[dict[str, Any]]) -> set[tuple[str, int, int]]:
    return {(one["kind"], one["ours"], one["stripe"]) for one in sums}


# --- interrupted ---


@pytest.mark.usefixtures("short_pages")
def test_an_audit_that_is_killed_again_and_again_loses_nothing_and_counts_nothing_twice(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit_run, "SEGMENTS", 1)
    an_eventful_day(tuition, student)
    tuition.advance_time(DAY)
    capsys.readouterr()
    real, kills = dynamodb.call, 0
    report: dict[str, Any] = {}
    for calls in itertools.chain(range(2, 80, 7), itertools.repeat(10_000)):
        remaining = [calls]

        def call(*arguments: Any, remaining: list[int] = remaining, **params: Any) -> Any:
            remaining[0] -= 1
            if remaining[0] < 0:
                raise Killed  # it stays dead: it releases nothing
            return real(*arguments, **params)

        with monkeypatch.context() as patch:
            patch.setattr(dynamodb, "call", call)
            try:
                report = tuition.run_audit()
                break
            except Killed:
                kills += 1
        tuition.advance_time(LEASE_S)
    assert kills >= 10
    assert (report["done"], report["checked"], report["users"], report["failed"]) == (True, 5, 4, [])
    assert kinds(report["sums"]) == EVENTFUL
    assert kinds(books(tuition)["differences"]) == {("refund", -5_000, -5_700), ("standing", 1, 0)}
    assert len(metric_values(capsys, "BooksDifference")) == 2
    assert task_names(tuition) == []
    assert set(stored(tuition)) == {"books"}


@pytest.mark.parametrize(("at", "numbers"), [("store_report", [1]), ("store_plan", [1, 2, 3, 4]), ("remove", [1, 3])])
def test_an_audit_that_is_killed_between_two_steps_of_its_end_reports_the_day_once(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, at: str, numbers: list[int]
) -> None:
    an_eventful_day(tuition, student)
    tuition.advance_time(DAY)
    real: Callable[..., None] = getattr(cursors, at)
    for when, number in itertools.product(("before", "after"), numbers):
        count = [0]

        def die(*arguments: Any, when: str = when, number: int = number, count: list[int] = count) -> None:
            count[0] += 1
            if count[0] == number and when == "before":
                raise Killed
            real(*arguments)
            if count[0] == number:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(cursors, at, die)
            with pytest.raises(Killed):
                tuition.run_audit(days=DAY_ONE)
        tuition.advance_time(LEASE_S)
        report = tuition.run_audit(days=DAY_ONE)
        assert (report["done"], kinds(report["sums"])) == (True, EVENTFUL)
        assert kinds(books(tuition)["differences"]) == {("refund", -5_000, -5_700), ("standing", 1, 0)}
        assert task_names(tuition) == []


# --- workers ---


def test_workers_find_what_one_run_finds_although_each_message_comes_twice(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    an_eventful_day(tuition, student)
    tuition.advance_time(DAY)
    for _ in range(5):
        if plan_only(tuition)["done"]:
            break
        for name in task_names(tuition) * 2:
            assert tuition.perform_task(name)
    assert kinds(books(tuition)["differences"]) == {("refund", -5_000, -5_700), ("standing", 1, 0)}
    assert (books(tuition)["through"], task_names(tuition)) == ("2026-11-23", [])


def test_the_workers_receive_as_many_tasks_at_once_as_a_third_of_them_can_perform(
    tuition: Harness, student: Student, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hourly run needs the same workers."""
    monkeypatch.setenv("RECONCILE_CONCURRENCY", "6")
    audit_run.settings.cache_clear()
    purchases(tuition, student, 12)
    tuition.advance_time(DAY)
    plan_only(tuition)  # the movements are one task, which the run keeps for itself
    tuition.perform_task(task_names(tuition, "movements")[0])
    plan_only(tuition)
    assert len(task_names(tuition, "changed")) > 4
    assert len(messages) == len(set(messages)) == 2
    assert set(messages) <= set(task_names(tuition))
    audit_run.settings.cache_clear()


def test_a_task_that_a_worker_holds_is_waited_for_and_named(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    bought(tuition, student)
    tuition.advance_time(DAY)
    plan_only(tuition)
    (name,) = task_names(tuition, "movements")
    assert tasks.claim(name, 900)
    report = tuition.run_audit()
    assert (report["done"], report["unfinished"][-1]) == (False, name)
    assert name in books(tuition)["unfinished"]
    assert books(tuition)["equal"] is None
    tuition.advance_time(LEASE_S)
    assert tuition.run_audit()["done"]
    assert (books(tuition)["equal"], books(tuition)["unfinished"]) == (True, [])


# --- failures ---


def fail_for(monkeypatch: pytest.MonkeyPatch, payment_id: str) -> None:
    """Let the comparison of one payment fail, as after a change that this version cannot read."""
    real = ledger.load

    def load(ref: Any) -> Any:
        if ref.payment_id == payment_id:
            raise ValueError("it cannot be read")
        return real(ref)

    monkeypatch.setattr(ledger, "load", load)


@pytest.mark.usefixtures("short_pages")
def test_a_failing_step_is_named_passed_over_and_compared_by_the_next_run(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *_ = an_eventful_day(tuition, student)
    with monkeypatch.context() as patch:
        fail_for(patch, first["payment_id"])
        report = next_day(tuition)
        assert report["done"] is False
        assert any("it cannot be read" in text for text in report["failed"])
        assert any(":movements:" in name for name in report["unfinished"])
        assert books(tuition)["through"] is None
        assert ("standing", 1, 0) in kinds(books(tuition)["differences"])
        assert any(":movements:" in name for name in books(tuition)["unfinished"])
        capsys.readouterr()
        tuition.advance_time(DAY)
        bought(tuition, Student(f"{student.sub}-late"))
        report = next_day(tuition)
        assert (report["done"], report["from"], report["through"]) == (False, "2026-11-23", "2026-11-25")
        assert metric_values(capsys, "BooksAge")[-1][0] > 2 * DAY, "the alarm rings after two such days"
        assert ("charge", 49_900, 49_900) in kinds(report["sums"]), "later days are compared"
        assert books(tuition)["through"] is None
    report = tuition.run_audit()
    assert (report["done"], report["failed"], report["unfinished"]) == (True, [], [])
    assert EVENTFUL - {("standing", 1, 0)} <= kinds(report["sums"])
    assert books(tuition)["through"] == "2026-11-25"
    assert task_names(tuition) == []


def test_the_frequent_schedule_only_continues(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought(tuition, student)
    tuition.advance_time(DAY)
    report = tuition.run_audit(only_continue=True)
    assert (report["done"], report["checked"], set(stored(tuition))) == (True, 0, {"books"})
    with cursors.lease(cursors.BOOKS):
        assert tuition.run_audit(only_continue=True) == {"lease_taken": True}
    plan_only(tuition)
    assert tuition.run_audit(only_continue=True)["done"]
    assert books(tuition)["through"] == "2026-11-23"
    with monkeypatch.context() as patch:
        fail_for(patch, purchase["payment_id"])
        tuition.run_audit()
    assert tuition.run_audit(only_continue=True)["done"] is False, "a failed task waits for the next day"
    assert tuition.run_audit()["done"]


def test_a_daily_run_that_another_run_kept_out_is_made_up_for_on_the_same_day(
    tuition: Harness, student: Student
) -> None:
    bought(tuition, student)
    assert next_day(tuition)["through"] == "2026-11-23"
    tuition.advance_time(DAY - 8 * 3_600)
    with cursors.lease(cursors.BOOKS), pytest.raises(cursors.LeaseTaken):
        tuition.run_audit()
    tuition.run_audit(only_continue=True)
    assert books(tuition)["through"] == "2026-11-23", "the daily run has until 05:00"
    tuition.advance_time(3_600)
    tuition.run_audit(only_continue=True)
    assert books(tuition)["through"] == "2026-11-24"


def test_without_a_daily_run_there_is_no_age_which_rings_the_alarm(
    tuition: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    tuition.run_audit(only_continue=True)
    assert metric_values(capsys, "BooksAge") == []
    tuition.run_audit()
    tuition.run_audit(only_continue=True)
    assert len(metric_values(capsys, "BooksAge")) == 2


def test_an_audit_ends_when_stripe_does_not_answer_and_continues(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    tuition.advance_time(DAY)
    plan_only(tuition)
    tuition.stripe_blocked = True
    with pytest.raises(StripeUnavailable):
        tuition.run_audit()
    tuition.stripe_blocked = False
    assert tuition.run_audit()["done"]


def test_too_many_failures_are_repeated_from_the_start(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_books, "MAX_FAILED", 1)
    purchases(tuition, student, 3)
    with monkeypatch.context() as patch:
        patch.setattr(intake_books.books, "row", lambda *_: 1 / 0)
        report = next_day(tuition)
    assert (report["done"], len(report["failed"]) > 1) == (False, True)
    report = tuition.run_audit()
    assert (report["done"], kinds(report["sums"])) == (True, {("charge", 149_700, 149_700)})


def test_a_plan_whose_tasks_a_restore_took_back_is_made_again(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    tuition.advance_time(DAY)
    plan_only(tuition)
    for name in task_names(tuition):
        tuition.tables.delete_item(TableName="cursors", Key=keys.cursor_key(name))
    assert tuition.run_audit()["done"] is False
    assert tuition.run_audit()["done"]


def test_a_kind_of_task_that_only_a_later_release_knows_is_left_to_it(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release was taken back while its audit was unfinished."""
    bought(tuition, student)
    tuition.advance_time(DAY)
    plan_only(tuition)
    plan = cursors.read_plan(cursors.DAILY)[0]
    assert plan is not None
    later = tasks.Task("books:daily:2026-11-23:later:", "later")  # type: ignore[arg-type]
    tasks.store(later)
    plan["days"]["2026-11-23"]["tasks"].insert(0, "later:")
    cursors.store_plan(cursors.DAILY, plan)
    bought(tuition, Student(f"{student.sub}-late"))
    report = next_day(tuition)
    assert (report["done"], report["unfinished"]) == (False, [later.name])
    assert kinds(report["sums"]) == {("charge", 49_900, 49_900)}
    assert {one["day"] for one in report["sums"]} == {"2026-11-23", "2026-11-24"}
    assert books(tuition)["through"] is None
    monkeypatch.setitem(intake_books.KINDS, "later", intake_books.TaskKind(lambda *_: intake_books.END))
    assert tuition.run_audit()["done"]
    assert books(tuition)["through"] == "2026-11-24"


def test_a_day_beyond_the_tasks_of_a_plan_waits_for_earlier_days(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought(tuition, student)
    monkeypatch.setattr(audit_run, "MAX_TASKS", 0)
    assert next_day(tuition)["done"]
    rewrite(tuition, purchase["payment_id"], balance_transactions={})
    with monkeypatch.context() as patch:
        fail_for(patch, purchase["payment_id"])
        next_day(tuition)
        report = next_day(tuition)
        assert "books:daily:2026-11-25" in report["unfinished"]
        assert "books:daily:2026-11-24" not in report["unfinished"]
    assert tuition.run_audit()["done"]


def test_the_largest_plan_is_stored(tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month by hand that differs in every way on every day, with unfinished tasks and one more busiest day."""
    name, ids = "books:2026-11-01:2026-11-30", [f"re_{number:030}" for number in range(books_core.MAX_IDS)]
    sums = [
        {"kind": kind, "day": "2026-11-01", "currency": "usd", "ours": 10**11, "stripe": 10**11, "ids": ids}
        for kind in ("charge", "refund", "dispute", "standing", "chain", "unconfirmed")
    ]
    first = int(timestamps.epoch("2026-11-01T00:00:00Z"))
    days = (first, first + 30 * DAY)
    audit = audit_run._Audit(walk.Run(lambda: 900), days, days[1], only_continue=False)
    for entry in audit.days.values():
        entry["over"] = {"findings": {}, "sums": sums}
    busiest = 24 * 12 + len(keys.shards("recorded_day", "")) * 24 * 6 + 1 + 2 * audit_run.SEGMENTS
    tasks_ = [f"{name}:2026-11-01:changed:7:{first + number}" for number in range(audit_run.MAX_TASKS + busiest)]
    audit.days["2026-11-01"] = {"stage": "state", "tasks": tasks_, "over": None}
    monkeypatch.setattr(audit, "report", lambda: {"differences": sums * 31, "unfinished": tasks_})
    audit._store_plan()
    audit._store_findings()
    (item,) = (item for item in stored(tuition).values() if "plan" in item)
    size = sum(len(key) + len(next(iter(value.values()))) for key, value in item.items())
    assert 250_000 < size < 400_000
    again = audit_run._Audit(walk.Run(lambda: 900), days, days[1], only_continue=False)
    assert again.days == audit.days


def test_at_most_31_days_are_compared_at_once(tuition: Harness) -> None:
    with pytest.raises(Unprocessable):
        tuition.run_audit(days={"from": "2026-10-01", "to": "2026-11-01"})


def test_only_the_holder_of_a_task_stores_its_progress_and_its_report(tuition: Harness) -> None:
    """Another has claimed it, or a run has planned it again, after the lease has expired."""
    task = tasks.Task("books:daily:2026-11-23:subjects:", "subjects")
    for take_over in (lambda: tasks.claim(task.name, 900), lambda: tasks.store(task)):
        tasks.store(task)
        first = tasks.claim(task.name, 900)
        assert first is not None
        assert tasks.checkpoint(first, {"position": "1"})
        assert not tasks.store(task), "a held task is not planned again"
        tuition.advance_time(LEASE_S)
        assert take_over()
        before = stored(tuition)[task.name]
        assert not tasks.checkpoint(first, {"position": "2"})
        tasks.finish(first, {"checked": 1})
        tasks.release(first)
        assert stored(tuition)[task.name] == before
        tuition.advance_time(LEASE_S)
    last = tasks.claim(task.name, 900)
    assert last is not None
    assert last.progress is None, "the plan began it again"
    assert tasks.checkpoint(last, {"position": "3"})
    tasks.finish(last, {"checked": 1})
    assert set(stored(tuition)[task.name]) == {"name", "task", "expires_at", "report"}
    assert tasks.claim(task.name, 900) is None
    tuition.tables.delete_item(TableName="cursors", Key=keys.cursor_key(task.name))
    assert not tasks.checkpoint(last, {"position": "4"})
    assert task.name not in stored(tuition), "a write after the end leaves no item"


# --- division ---


def test_a_busy_day_is_divided(tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_run, "FEW_RECORDS", 1)
    real = walk.page_created

    def page_created(listed: Any, first: int, last: int, after: Any = None) -> dict[str, Any]:
        page = real(listed, first, last, after)
        return {
            **page,
            "has_more": page["has_more"] or (after is None and len(page["data"]) > 1 and last - first > 300),
        }

    purchases(tuition, student, 3)
    tuition.advance_time(3 * 3_600)
    purchases(tuition, Student(f"{student.sub}-later"), 1)
    tuition.advance_time(DAY)
    with monkeypatch.context() as patch:
        patch.setattr(walk, "page_created", page_created)
        plan_only(tuition)
    bounds = sorted((one.task.first, one.task.last) for one in tasks.read(task_names(tuition, "movements")).values())
    assert [last + 1 for _, last in bounds[:-1]] == [first for first, _ in bounds[1:]]
    assert bounds[-1][1] - bounds[0][0] == DAY - 1
    assert {last - first + 1 for first, last in bounds} == {3_600, 300}
    report = tuition.run_audit()
    assert (report["done"], kinds(report["sums"]), report["checked"]) == (True, {("charge", 199_600, 199_600)}, 4)


def test_each_user_of_a_divided_table_is_compared_once(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        buyer = Student(f"{student.sub}-{number}")
        purchase = bought(tuition, buyer)
        ledger.next_attempt(ledger.load_for_create(buyer.sub, "FSD")[0], 1, "test")  # more items of the user
        assert purchase["payment_id"]
    monkeypatch.setattr(intake_books, "ITEMS_PER_PAGE", 3)
    report = next_day(tuition)
    assert (report["users"], report["differences"], report["failed"]) == (4, [], [])


# --- attacks ---


def test_a_forged_payment_is_found_although_nothing_names_it(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    item = tuition.tables.get_item(TableName="payments", Key=keys.payment_key(purchase["payment_id"]))["Item"]
    forged = {**item, "payment_id": {"S": "pay_forged"}, "user_id": {"S": "nobody"}}
    tuition.tables.put_item(TableName="payments", Item=forged)
    report = next_day(tuition)
    assert ("chain", ["pay_forged"]) in [(one["kind"], one["ids"]) for one in report["differences"]]


def test_an_audit_of_a_day_to_come_does_not_put_off_the_weekly_scan(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_run, "SMALL_SCAN", 0)
    purchase = bought(tuition, student)
    next_day(tuition)
    next_day(tuition)
    assert tuition.run_audit(days={"from": "2027-11-23", "to": "2027-11-23"})["done"]
    rewrite(tuition, purchase["payment_id"], settled={"amount": 1, "currency": "usd", "at": 1})
    tuition.advance_time(8 * DAY)
    tuition.run_audit()
    assert set(tuition.attention(purchase["payment_id"])) >= {"books", "chain"}


def test_a_refund_that_was_taken_out_of_the_facts_is_found(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    refund = tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=100)
    deliver(tuition)
    assert next_day(tuition)["differences"] == []
    (transaction,) = [
        one
        for one in tuition.payment(purchase["payment_id"]).facts.balance_transactions.values()
        if one.kind == "refund"
    ]
    assert (transaction.source, transaction.amount, transaction.currency) == (refund["id"], -100, "usd")
    rewrite(tuition, purchase["payment_id"], refunds={})
    next_day(tuition)
    assert {(kind, ours, at_stripe) for kind, _, _, ours, at_stripe in differences(tuition)} == {
        ("refund", 0, -100),
        ("chain", 1, 0),
    }
    assert set(tuition.attention(purchase["payment_id"])) == {"books", "chain"}


@pytest.mark.parametrize("apart_s", [0, 7_200, DAY])
def test_a_transaction_that_stripe_has_twice_is_found(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, apart_s: int
) -> None:
    purchase = bought(tuition, student)
    (transaction,) = transactions(tuition)
    twin = {**transaction, "id": "txn_0twin", "created": transaction["created"] + apart_s}
    tuition.stripe.account.store.add(twin)
    next_day(tuition)
    if apart_s == DAY:
        assert differences(tuition) == []
        next_day(tuition)
    day = "2026-11-24" if apart_s == DAY else "2026-11-23"
    ours = 0 if apart_s == DAY else 49_900
    assert differences(tuition) == [("charge", day, "usd", ours, ours + 49_900)]
    assert tuition.attention(purchase["payment_id"]) == ["books"]


def test_a_transaction_beyond_those_that_a_payment_stores_is_compared(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the twin nor the refund that was taken out of the facts is among the first by id."""
    monkeypatch.setattr(core_facts, "MAX_BALANCE_TRANSACTIONS", 1)
    purchase = bought(tuition, student)
    (transaction,) = transactions(tuition)
    tuition.stripe.account.store.add({**transaction, "id": "txn_~twin"})
    next_day(tuition)
    assert differences(tuition) == [("charge", "2026-11-23", "usd", 49_900, 99_800)]
    assert tuition.attention(purchase["payment_id"]) == ["books"]
    other = bought(tuition, Student(f"{student.sub}-other"))
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=other["payment_intent_id"], amount=100)
    deliver(tuition)
    next_day(tuition)
    facts = tuition.payment(other["payment_id"]).facts
    (stored_one,) = facts.balance_transactions.values()
    assert (stored_one.kind, tuition.attention(other["payment_id"])) == ("charge", [])
    rewrite(tuition, other["payment_id"], refunds={})
    next_day(tuition)
    assert set(tuition.attention(other["payment_id"])) == {"books", "chain"}


def test_a_transaction_that_stripe_does_not_have_is_found_on_any_later_day(tuition: Harness, student: Student) -> None:
    """Its payment settled a second before midnight, and its record is of the day after."""
    tuition.advance_time(DAY // 2 - 20)
    purchase = tuition.create(student).body
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{purchase['payment_intent_id']}")
    deliver(tuition)
    tuition.advance_time(DAY // 3)
    forge(tuition, purchase, "payment_intent.succeeded", {**intent, "status": "succeeded", "amount_received": 49_900})
    next_day(tuition)
    assert [(kind, ours, at_stripe) for kind, _, _, ours, at_stripe in differences(tuition)] == [("charge", 49_900, 0)]
    assert tuition.attention(purchase["payment_id"]) == ["books"]


def test_a_difference_that_an_audit_has_found_is_compared_every_day_until_it_is_mended(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large tables are scanned once a week, and nothing of the payment changes on the days between."""
    monkeypatch.setattr(audit_run, "SMALL_SCAN", 0)
    old = tuition.create(student).body["payment_id"]
    close(tuition, old)
    assert [one["kind"] for one in next_day(tuition)["differences"]] == ["chain"]
    tuition.advance_time(DAY)
    for _ in range(2):
        assert {one["kind"] for one in next_day(tuition)["differences"]} == {"chain"}
        assert [kind for kind, *_ in differences(tuition)] == ["chain"]
    item = tuition.tables.get_item(TableName="payments", Key=keys.payment_key(old))["Item"]
    facts = {name: value for name, value in json.loads(item["facts"]["S"]).items() if name != "closed"}
    tuition.tables.put_item(TableName="payments", Item={**item, "facts": {"S": json.dumps(facts)}})
    assert next_day(tuition)["differences"] == []
    assert (differences(tuition), tuition.attention(old)) == ([], [])


def test_two_audits_in_turn_do_not_disturb_each_other(tuition: Harness, student: Student, messages: list[str]) -> None:
    an_eventful_day(tuition, student)
    tuition.advance_time(DAY)
    plan_only(tuition)
    plan_only(tuition, days=DAY_ONE)
    names = task_names(tuition)
    assert len({name.rpartition(":2026")[0] for name in names}) == 2
    for name in names:
        assert tuition.perform_task(name)
    of_range = tuition.run_audit(days=DAY_ONE)
    daily = tuition.run_audit()
    assert (of_range["done"], daily["done"]) == (True, True)
    assert kinds(of_range["sums"]) == kinds(daily["sums"]) == EVENTFUL
    assert kinds(books(tuition)["differences"]) == {("refund", -5_000, -5_700), ("standing", 1, 0)}
    assert books(tuition)["through"] == "2026-11-23"
    assert task_names(tuition) == []


def write_records_of_schema_1(tuition: Harness, payment_id: str) -> None:
    """Replace a payment's records by those of a release that recorded no facts, chained again."""
    previous = ""
    records = tuition.tables.query(
        TableName="audit",
        KeyConditionExpression="subject = :id",
        ExpressionAttributeValues={":id": {"S": payment_id}},
    )["Items"]
    for raw in sorted(records, key=lambda raw: int(raw["seq"]["N"])):
        assert raw.pop("facts")
        raw |= {"schema_version": {"N": "1"}, "previous": {"S": previous}}
        body = mapping.record_to_json(AuditItem.from_raw_data(dict(raw)))
        previous = audit.digest({name: value for name, value in body.items() if name != "hash"})
        tuition.tables.put_item(TableName="audit", Item={**raw, "hash": {"S": previous}})
    item = tuition.tables.get_item(TableName="payments", Key=keys.payment_key(payment_id))["Item"]
    tuition.tables.put_item(TableName="payments", Item={**item, "audit_head": {"S": previous}})


def test_facts_of_an_earlier_release_are_looked_up_once(tuition: Harness, student: Student) -> None:
    """Its audit stored the fee, but no transaction."""
    purchase = bought(tuition, student)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=100)
    deliver(tuition)
    assert next_day(tuition)["differences"] == []
    rewrite(tuition, purchase["payment_id"], balance_transactions={})
    write_records_of_schema_1(tuition, purchase["payment_id"])
    assert tuition.payment(purchase["payment_id"]).facts.balance_transactions == {}
    tuition.stripe_calls.clear()
    assert next_day(tuition)["differences"] == []
    assert "GET /v1/refunds" in tuition.stripe_calls
    assert len(tuition.payment(purchase["payment_id"]).facts.balance_transactions) == 2
    tuition.stripe_calls.clear()
    assert next_day(tuition)["differences"] == []
    assert "GET /v1/refunds" not in tuition.stripe_calls
