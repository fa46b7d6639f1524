"""The reconciler's tasks: planned by a run, performed by it or by workers, whatever the queue does to messages."""

import json
from typing import Any

import pytest

from tests.harness import Harness, Student
from tests.tables.test_reconcile import HOUR, enrollment_status, lose_events, metric_values, open_purchase
from tuition import clock
from tuition.core.errors import StripeUnavailable
from tuition.core.payment_state import PaymentState
from tuition.core.timestamps import epoch, iso
from tuition.intake import fan_out, reconcile, task_queue, walk
from tuition.storage import cursors, dynamodb, keys, ledger, tasks
from tuition.storage.items import KEPT_S
from tuition.stripe_gateway import client as stripe_client

pytestmark = pytest.mark.usefixtures("empty_tables")


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queue: the names of the tasks that runs tell their workers, all of them."""
    sent: list[str] = []

    def send(names: Any) -> bool:
        sent.extend(names)
        return True

    monkeypatch.setattr(task_queue, "send", send)
    monkeypatch.setattr(fan_out, "FEW_TASKS", 0)
    return sent


def stored(tuition: Harness) -> dict[str, Any]:
    return {item["name"]["S"]: item for item in tuition.tables.scan(TableName="cursors")["Items"]}


def windows(tuition: Harness, name: str = cursors.RECONCILE) -> list[str]:
    return sorted(one for one in stored(tuition) if one.startswith(f"window:{name}:"))


def lost_purchases(tuition: Harness, student: Student, count: int, apart_s: int = HOUR // 4) -> list[Student]:
    """Purchases whose webhooks are lost, each in a window of its own, after a first run."""
    tuition.reconcile()
    tuition.advance_time(100)
    students = [Student(f"{student.sub}-{number}") for number in range(count)]
    for one in students:
        tuition.pay(open_purchase(tuition, one)["payment_intent_id"])
        tuition.advance_time(apart_s)
    lose_events(tuition)
    return students


def plan_only(tuition: Harness, **event: Any) -> dict[str, Any]:
    """Make a run that plans all tasks and has no time to perform one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fan_out.Work, "_try", lambda *_: None)
        patch.setattr(fan_out.Work, "wait", lambda *_: None)
        return tuition.reconcile(**event)


def hold(tuition: Harness, name: str, seconds: float = 900) -> tasks.Claim:
    claimed = tasks.claim(name, seconds)
    assert claimed
    return claimed


# --- the performer of a task ---


def test_workers_perform_what_a_run_has_planned_and_the_next_run_moves_the_cursor(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    students = lost_purchases(tuition, student, 3)
    before = cursors.read(cursors.RECONCILE)
    assert plan_only(tuition)["done"] is False
    assert len(windows(tuition)) == 3
    assert set(windows(tuition)) <= set(messages)
    assert [tuition.perform_task(name) for name in messages] == [True] * len(messages)
    assert {enrollment_status(tuition, one) for one in students} == {"ENROLLED"}
    assert (cursors.read(cursors.RECONCILE) or 0) < int(clock.now()) - HOUR // 4
    tuition.stripe_calls.clear()
    report = tuition.reconcile()
    assert (report["drifted"], report["done"], report["failed"]) == (3, True, [])
    assert "GET /v1/refunds" not in tuition.stripe_calls or cursors.read(cursors.RECONCILE) != before
    assert windows(tuition) == []


@pytest.mark.parametrize("loss", ["all lost", "half lost", "all late"])
def test_a_run_performs_every_task_whose_message_is_lost_or_late(
    tuition: Harness, student: Student, messages: list[str], loss: str
) -> None:
    students = lost_purchases(tuition, student, 3)
    plan_only(tuition)
    for name in messages[:: 2 if loss == "half lost" else len(messages)]:
        if loss == "half lost":
            tuition.perform_task(name)
    report = tuition.reconcile()
    assert (report["drifted"], report["done"]) == (3, True)
    assert {enrollment_status(tuition, one) for one in students} == {"ENROLLED"}
    before = stored(tuition)
    for name in messages:
        assert tuition.perform_task(name)  # obsolete: it does nothing
    assert stored(tuition) == before


def test_a_message_that_comes_twice_performs_its_task_once(
    tuition: Harness, student: Student, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost_purchases(tuition, student, 2)
    plan_only(tuition)
    walked: list[tuple[int, int]] = []
    real = walk.walk_window
    monkeypatch.setattr(walk, "walk_window", lambda run, *bounds: walked.append(bounds) or real(run, *bounds))
    for name in [*messages, *messages]:
        assert tuition.perform_task(name)
    assert len(walked) == len(set(walked)) == len([name for name in messages if name.startswith("window:")])


def test_two_workers_never_hold_the_same_window(tuition: Harness, student: Student, messages: list[str]) -> None:
    lost_purchases(tuition, student, 1)
    plan_only(tuition)
    (name,) = windows(tuition)
    first = hold(tuition, name)
    assert tasks.claim(name, 900) is None
    assert tuition.perform_task(name)  # another has it: the message is done with
    tuition.advance_time(900 + tasks.CLOCK_MARGIN_S + 1)
    second = hold(tuition, name)
    tasks.finish(first, {"drifted": 7})  # the lease is another's by now
    assert tasks.read([name])[name].report is None
    tasks.finish(second, {"drifted": 1})
    assert tasks.read([name])[name].report == {"drifted": 1}


def test_a_run_waits_for_the_tasks_that_workers_hold_and_adds_what_they_did(
    tuition: Harness, student: Student, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost_purchases(tuition, student, 2)
    plan_only(tuition)
    name = windows(tuition)[0]
    claimed = hold(tuition, name)
    looks: list[float] = []

    def finish_after_three_looks(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            tasks.finish(claimed, {"drifted": 5, "failed": ["pi_1: no"], "newest_event_at": 7})

    monkeypatch.setattr(clock.time, "sleep", finish_after_three_looks)
    report = tuition.reconcile()
    assert (report["drifted"], report["failed"], report["done"]) == (1 + 5, ["pi_1: no"], True)
    assert len(looks) >= 3


# --- nothing is lost ---


def test_a_cursor_never_passes_a_window_that_is_not_finished(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    lost_purchases(tuition, student, 3)
    plan_only(tuition)
    first, second, third = windows(tuition)
    tuition.perform_task(third)
    tuition.perform_task(second)
    claimed = hold(tuition, first)
    report = tuition.reconcile()  # its bounded wait ends
    assert report["done"] is False
    assert cursors.read(cursors.RECONCILE) == claimed.task.first
    tasks.release(claimed)
    assert tuition.reconcile()["done"]
    assert (cursors.read(cursors.RECONCILE) or 0) > claimed.task.last


def test_a_killed_worker_delays_its_window_until_its_lease_expires(
    tuition: Harness, student: Student, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = lost_purchases(tuition, student, 1)
    plan_only(tuition)
    (name,) = windows(tuition)

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(walk, "walk_window", die)
        patch.setattr(tasks, "release", lambda _: None)  # a dead worker releases nothing
        with pytest.raises(Killed):
            tuition.perform_task(name)
    assert tuition.reconcile()["done"] is False
    assert enrollment_status(tuition, one) != "ENROLLED"
    tuition.advance_time(900 + tasks.CLOCK_MARGIN_S + 1)
    assert tuition.reconcile()["done"]
    assert enrollment_status(tuition, one) == "ENROLLED"


def test_a_window_in_which_stripe_did_not_answer_is_left_to_the_next_run(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    (one,) = lost_purchases(tuition, student, 1)
    plan_only(tuition)
    (name,) = windows(tuition)
    tuition.at_stripe("POST", "/_sim/calls", match="GET /v1/payment_intents/*", times=9, fail="before")
    assert not tuition.perform_task(name)  # the queue delivers it again
    tuition.at_stripe("DELETE", "/_sim/calls")
    tuition.stripe_blocked = True
    assert not tuition.perform_task(name)
    with pytest.raises(StripeUnavailable):
        tuition.reconcile()
    tuition.stripe_blocked = False
    tuition.advance_time(60)
    assert tuition.reconcile()["done"]
    assert enrollment_status(tuition, one) == "ENROLLED"


def test_a_window_whose_payment_other_writers_keep_changing_is_left_to_the_next_run(
    tuition: Harness, student: Student, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = lost_purchases(tuition, student, 1)
    plan_only(tuition)
    (name,) = windows(tuition)

    def conflict(before: PaymentState, *_: Any, **__: Any) -> PaymentState:
        raise ledger.VersionConflict(before)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "commit", conflict)
        assert not tuition.perform_task(name)
    assert tuition.reconcile()["done"]
    assert enrollment_status(tuition, one) == "ENROLLED"


def test_a_run_that_dies_while_it_moves_a_cursor_walks_the_window_again(
    tuition: Harness, student: Student, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = lost_purchases(tuition, student, 1)
    real = cursors.advance

    class Killed(BaseException):
        pass

    removed: list[tasks.Task] = []
    real_remove = tasks.remove

    def remove(task: tasks.Task) -> None:
        removed.append(task)
        real_remove(task)

    def die(name: str, position: int) -> None:
        if removed:
            raise Killed
        real(name, position)

    with monkeypatch.context() as patch:
        patch.setattr(cursors, "advance", die)
        patch.setattr(tasks, "remove", remove)
        with pytest.raises(Killed):
            tuition.reconcile()
    assert cursors.read(removed[0].walk) == removed[0].first
    messages.clear()
    assert tuition.reconcile()["done"]
    assert removed[0].name in messages
    assert enrollment_status(tuition, one) == "ENROLLED"


def test_the_bounds_of_a_window_that_a_worker_holds_count(
    tuition: Harness, student: Student, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run died while it moved the cursor, so the next one plans a window that a worker holds with other bounds.

    The cursor goes no further than what the worker walks.
    """
    _, last = lost_purchases(tuition, student, 2)
    plan_only(tuition)
    first, second = (tasks.read([name])[name].task for name in windows(tuition))
    tasks.remove(first)
    tasks.store(tasks.window(second.walk, second.first, second.first, second.first + 1))
    claimed = hold(tuition, second.name)
    monkeypatch.setattr(clock.time, "sleep", lambda _: tasks.finish(claimed, {}))
    position = 0
    for _ in range(2):
        tuition.reconcile()
        position = cursors.read(cursors.RECONCILE) or 0
    assert position > second.first + 1
    assert enrollment_status(tuition, last) == "ENROLLED"


def test_a_run_stores_no_more_windows_than_the_next_one_can_load(
    tuition: Harness, student: Student, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "MAX_WINDOWS", 2)
    students = lost_purchases(tuition, student, 5)
    plan_only(tuition)
    assert len(windows(tuition)) == 2
    walked: list[tuple[int, int]] = []
    real = walk.walk_window
    monkeypatch.setattr(walk, "walk_window", lambda run, *bounds: walked.append(bounds) or real(run, *bounds))
    assert tuition.reconcile()["done"]
    assert len(walked) == len(set(walked))
    assert {enrollment_status(tuition, one) for one in students} == {"ENROLLED"}


def test_the_report_of_a_task_is_added_by_one_run(tuition: Harness, student: Student, messages: list[str]) -> None:
    """Its window stays behind one that is stuck, so further runs load it."""
    lost_purchases(tuition, student, 2)
    plan_only(tuition)
    stuck, other = windows(tuition)
    hold(tuition, stuck, seconds=3 * HOUR)
    assert tuition.perform_task(other)
    assert [tuition.reconcile()["drifted"] for _ in range(3)] == [1, 0, 0]


def test_a_young_window_that_an_earlier_run_left_is_walked_again_when_it_is_an_hour_old(
    tuition: Harness, student: Student, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first walk was too early to close the orphan, and finished out of order, behind a window that was stuck."""
    lost_purchases(tuition, student, 1)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "commit", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("the create dies")))
        with pytest.raises(RuntimeError):
            tuition.create(Student(student.sub + "-orphan"))
    lose_events(tuition)
    tuition.advance_time(60)
    plan_only(tuition)
    stuck, young = windows(tuition)
    tuition.perform_task(young)
    claimed = hold(tuition, stuck, seconds=3 * HOUR)
    tuition.advance_time(HOUR)
    assert tuition.reconcile()["done"] is False
    tasks.release(claimed)
    tuition.advance_time(60)
    assert tuition.reconcile()["orphans"] == 0
    tuition.advance_time(HOUR)
    assert tuition.reconcile()["orphans"] + tuition.reconcile()["orphans"] == 1


def test_a_repeated_backfill_walks_every_window_again(tuition: Harness, student: Student, messages: list[str]) -> None:
    first = iso(clock.now())[:10]
    (one,) = lost_purchases(tuition, student, 1)
    days = {"from": first, "to": iso(clock.now())[:10]}  # midnight may pass
    assert tuition.reconcile(backfill=days)["drifted"] == 1
    assert not [name for name in stored(tuition) if "backfill" in name and "task" in stored(tuition)[name]]
    tuition.stripe_calls.clear()
    assert tuition.reconcile(backfill=days)["done"]
    assert "GET /v1/refunds" in tuition.stripe_calls
    assert enrollment_status(tuition, one) == "ENROLLED"


def test_the_items_of_an_abandoned_backfill_expire_and_no_others(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    started = clock.now()
    (one,) = lost_purchases(tuition, student, 1)
    days = {"from": iso(started)[:10], "to": iso(clock.now())[:10]}
    assert plan_only(tuition, backfill=days)["done"] is False
    plan_only(tuition)
    items = stored(tuition)
    expiring = {name for name in items if "backfill" in name or "task" in items[name]}
    assert any(name.startswith("window:backfill:") for name in expiring)
    assert any(name.startswith("backfill:") for name in expiring)
    assert {name for name, item in items.items() if "expires_at" in item} == expiring
    assert {cursors.RECONCILE, cursors.AGAIN, cursors.NEWEST_EVENT, cursors.PRICES} <= items.keys() - expiring
    expiries = [int(items[name]["expires_at"]["N"]) - KEPT_S for name in expiring]
    assert all(int(started) <= expiry <= clock.now() for expiry in expiries)
    for name in expiring:
        tuition.tables.delete_item(TableName="cursors", Key=keys.cursor_key(name))  # as DynamoDB does
    report = tuition.reconcile(backfill=days)
    assert (report["done"], report["drifted"]) == (True, 1)
    assert enrollment_status(tuition, one) == "ENROLLED"
    assert not [name for name in stored(tuition) if "backfill" in name]


def test_a_run_that_waits_reads_no_payments_of_the_tasks(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task may have 500 payment ids, and a run looks at a thousand tasks every two seconds."""
    names = [f"payments:due:{number}" for number in range(3)]
    for name in names:
        assert tasks.store(tasks.Task(name, "payments", payment_ids=("pay_1", "pay_2")))
    tasks.finish(hold(tuition, names[0]), {"drifted": 1})
    hold(tuition, names[1])
    answers: list[Any] = []
    real = dynamodb.call
    monkeypatch.setattr(dynamodb, "call", lambda *a, **more: answers.append(real(*a, **more)) or answers[-1])
    free, held = tasks.State(is_held=False, report=None), tasks.State(is_held=True, report=None)
    finished = tasks.State(is_held=False, report={"drifted": 1})
    expected = dict(zip(names, (finished, held, free), strict=True))
    assert tasks.read_states([*names, "payments:due:9"]) == expected
    assert "pay_1" not in str(answers)
    assert tasks.read(names)[names[2]].task.payment_ids == ("pay_1", "pay_2")


# --- payments ---


def test_workers_check_due_payments_and_close_what_was_left_open(
    tuition: Harness, student: Student, messages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    purchases = [open_purchase(tuition, Student(f"{student.sub}-{number}")) for number in range(3)]
    tuition.deliver_all()
    tuition.reconcile()
    tuition.advance_time(4 * 24 * HOUR)
    messages.clear()
    capsys.readouterr()
    plan_only(tuition)
    assert metric_values(capsys, "ReconcileBacklog") == [[0.0]]  # the workers have just received them
    assert tuition.perform_task("payments:due:0")
    assert {tuition.payment(purchase["payment_id"]).status for purchase in purchases} == {"CANCELED"}


def test_the_report_of_a_worker_that_finishes_after_its_run_had_ended_is_added_by_the_next_one(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    for number in range(3):
        open_purchase(tuition, Student(f"{student.sub}-{number}"))
    tuition.deliver_all()
    tuition.reconcile()
    tuition.advance_time(4 * 24 * HOUR)
    plan_only(tuition)
    assert tuition.perform_task("payments:due:0")
    assert [tuition.reconcile()["closed"] for _ in range(2)] == [3, 0]


def test_payments_that_the_workers_leave_for_an_hour_are_the_backlog(
    tuition: Harness, student: Student, messages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        open_purchase(tuition, Student(f"{student.sub}-{number}"))
    tuition.deliver_all()
    tuition.reconcile()
    tuition.advance_time(2 * HOUR)
    plan_only(tuition)
    tuition.advance_time(HOUR)
    capsys.readouterr()
    assert plan_only(tuition)["backlog"] == 3
    assert metric_values(capsys, "ReconcileBacklog") == [[3.0]]
    assert tuition.reconcile()["backlog"] == 0


def test_a_payment_that_a_worker_is_checking_is_not_planned_again(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    open_purchase(tuition, student)
    tuition.deliver_all()
    tuition.reconcile()
    tuition.advance_time(2 * HOUR)
    plan_only(tuition)
    claimed = hold(tuition, "payments:due:0", seconds=3 * HOUR)
    tuition.advance_time(HOUR)
    tuition.reconcile()
    planned = [one.task for one in tasks.read(f"payments:due:{n}" for n in range(9)).values()]
    assert [task.payment_ids for task in planned] == [claimed.task.payment_ids]


def test_a_settled_payment_is_skipped_only_if_this_run_plans_its_window(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    """Its window was walked while it was open, behind one that is stuck, so no list will confirm it within the hour."""
    lost_purchases(tuition, student, 1)
    purchase = open_purchase(tuition, Student(student.sub + "-b"))
    tuition.deliver_all()
    tuition.advance_time(60)
    plan_only(tuition)
    stuck, young = windows(tuition)
    tuition.perform_task(young)
    hold(tuition, stuck, seconds=3 * HOUR)
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    tuition.advance_time(HOUR // 2)
    tuition.deliver_all()  # no event without a record is left, which would cause a sync too
    window = tasks.read([young])[young].task
    created = int(epoch(tuition.payment(purchase["payment_id"]).created_at))
    assert window.first <= created - 2 < created <= window.last
    assert tasks.read([stuck])[stuck].task.first < created - reconcile.CLOCK_MARGIN_S
    tuition.stripe_calls.clear()
    tuition.reconcile()
    assert f"GET /v1/payment_intents/{purchase['payment_intent_id']}" in tuition.stripe_calls
    assert tuition.payment(purchase["payment_id"]).facts.confirmed is not None


# --- the rest ---


def test_a_worker_that_runs_out_of_time_leaves_its_task(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    (one,) = lost_purchases(tuition, student, 1)
    plan_only(tuition)
    (name,) = windows(tuition)
    assert not tuition.perform_task(name, seconds=walk.RESERVE_S - 1)
    assert not tasks.read([name])[name].is_held
    assert tuition.perform_task(name)
    assert enrollment_status(tuition, one) == "ENROLLED"


def test_a_queue_out_of_reach_costs_nothing_but_time(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "FEW_TASKS", 0)
    monkeypatch.setattr(task_queue, "send", lambda names: not list(names))
    students = lost_purchases(tuition, student, 3)
    report = tuition.reconcile()
    assert (report["drifted"], report["done"], report["backlog"]) == (3, True, 0)
    assert {enrollment_status(tuition, one) for one in students} == {"ENROLLED"}


def test_a_busy_window_is_divided_so_that_an_invocation_finishes_each_part(
    tuition: Harness, student: Student, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    students = lost_purchases(tuition, student, 4, apart_s=walk.SLICE_S)
    real = stripe_client.list_created

    def short_page(listed: Any, first: int, last: int, *more: Any) -> Any:
        answer = real(listed, first, last, *more)
        return stripe_client.Answer({**answer.object, "has_more": answer.object["has_more"] or last - first > 30}, *(
            answer.date, answer.replayed))  # fmt: skip

    with monkeypatch.context() as patch:
        patch.setattr(walk, "_page_created", lambda *arguments: short_page(*arguments))
        plan_only(tuition)
    planned = [one.task for one in tasks.read(windows(tuition)).values()]
    assert len(planned) >= 4
    assert {task.last - task.first for task in planned} - {walk.SLICE_S} <= set(range(walk.SLICE_S))
    chain = {task.first: task.after for task in planned}
    position = cursors.read(cursors.RECONCILE) or 0
    while position in chain:
        position = chain.pop(position)
    assert chain == {}
    assert tuition.reconcile()["drifted"] == 4
    assert {enrollment_status(tuition, one) for one in students} == {"ENROLLED"}


def test_the_report_of_a_task_fits_into_its_item(tuition: Harness) -> None:
    run = walk.Run(lambda: 900)
    run.failed = ["😀" * 10_000] * 1_000  # JSON writes it as 12 characters
    tasks.store(tasks.window("test", 1, 2, 2))
    tasks.finish(hold(tuition, "window:test:1"), run.to_report())
    item = tuition.tables.get_item(TableName="cursors", Key=keys.cursor_key("window:test:1"))["Item"]
    assert len(item["report"]["S"]) < 350_000


def test_the_answer_of_a_run_fits_into_a_response_of_lambda(tuition: Harness) -> None:
    """Its tasks may have many failures each. The logs have them all."""
    run = walk.Run(lambda: 900)
    for _ in range(fan_out.MAX_WINDOWS):
        run.add({"failed": ["😀" * walk.MAX_FAILURE_LENGTH] * walk.MAX_REPORTED_FAILURES})
    assert len(json.dumps(run.to_json())) < 6_000_000


def test_a_task_of_a_later_release_does_not_stop_an_earlier_one(tuition: Harness) -> None:
    """Two releases run at once during a shift, and after a rollback the later one's tasks are still there."""
    task = tasks.window(cursors.RECONCILE, 1, 2, 2)
    with pytest.MonkeyPatch.context() as patch:
        stored_by_later = {**task.to_json(), "priority": 1}
        patch.setattr(tasks.Task, "to_json", lambda _: stored_by_later)
        tasks.store(task)
    assert tasks.read([task.name])[task.name].task == task
    assert hold(tuition, task.name).task == task
    tuition.tables.delete_item(TableName="cursors", Key=keys.cursor_key(task.name))  # its shape is not declared


def test_a_worker_does_not_finish_a_task_of_a_kind_that_only_a_later_release_knows(tuition: Harness) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks.Task, "to_json", lambda _: {"kind": "users", "user_ids": ["u-1"]})
        tasks.store(tasks.Task("users:0", "payments"))
    assert not tuition.perform_task("users:0")
    assert tasks.read(["users:0"])["users:0"].report is None
    assert not tasks.read(["users:0"])["users:0"].is_held
    tuition.tables.delete_item(TableName="cursors", Key=keys.cursor_key("users:0"))  # its shape is not declared


def test_an_unknown_task_is_obsolete(tuition: Harness) -> None:
    assert reconcile.work("window:reconcile:1", lambda: 900) is None
    assert stored(tuition) == {}


def test_a_task_that_a_later_version_planned_is_performed_without_its_new_field(
    tuition: Harness, student: Student, messages: list[str]
) -> None:
    """Two versions run at once during a release."""
    (buyer,) = lost_purchases(tuition, student, 1)
    plan_only(tuition)
    for name in windows(tuition):
        item = stored(tuition)[name]
        later = {**json.loads(item["task"]["S"]), "endpoint": "events"}
        tuition.tables.put_item(TableName="cursors", Item={**item, "task": {"S": json.dumps(later)}})
    assert [tuition.perform_task(name) for name in messages] == [True] * len(messages)
    assert tuition.reconcile()["done"]
    assert enrollment_status(tuition, buyer) == "ENROLLED"
