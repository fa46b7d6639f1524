"""Races: real threads, the real handlers, the transactions of DynamoDB Local, and the simulator's own lock."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import consistency
from tests.chaos.flows import ADA, STAFF, buy, create_session
from tests.chaos.harness import FaultHarness
from tests.harness import Harness, Response, Student
from tests.limits import raise_limits
from tests.seeds import first_seed
from tuition import clock
from tuition.intake import walk
from tuition.storage import cursors, ledger

pytestmark = [pytest.mark.chaos, pytest.mark.threads]
REFUND = "POST /api/admin/payments/{payment_id}/refunds"
DECIDE = "POST /api/admin/payments/{payment_id}/access"
_real_sleep = time.sleep


@pytest.fixture(autouse=True)
def _raised_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The races are about one payable object. `tests/tables/test_limits.py` runs some with the limits as they are."""
    raise_limits(monkeypatch)


@pytest.fixture
def w(harness: FaultHarness) -> Iterator[Harness]:
    """A new world in which `time.sleep` sleeps: threads that retry without a pause would only spin."""
    with harness.new_world() as new_world, pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock.time, "sleep", _real_sleep)
        yield new_world


def run_at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Start all of them together. Return the result of each."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait(30)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [job.result(60) for job in [pool.submit(run, act) for act in acts]]


def read_books(w: Harness) -> consistency.Snapshot:
    return consistency.read_snapshot(w.tables, w.stripe.account.store.objects)


def finish(w: Harness) -> consistency.Snapshot:
    """Deliver every event and reconcile. Return the final state, without violations."""
    for _ in range(3):
        w.advance_stripe(3)
        assert {response.status for response in w.deliver_all()} <= {200}
    cursors.advance(cursors.RECONCILE, w.stripe.account.clock.unix() - walk.WINDOW_S)
    w.advance_time(400)
    w.reconcile()
    assert {response.status for response in w.deliver_all()} <= {200}
    final = read_books(w)
    assert consistency.violations_when_idle(final) == []
    return final


@pytest.mark.parametrize("kinds", ["intents", "sessions", "mixed"])
def test_fifty_concurrent_creates_leave_one_payable_object(w: Harness, kinds: str) -> None:
    creates: dict[str, list[Callable[[], Response]]] = {
        "intents": [lambda: w.create(ADA)],
        "sessions": [lambda: start_session(w)],
        "mixed": [lambda: w.create(ADA), lambda: start_session(w), lambda: start_session(w, save=True)],
    }
    chosen = creates[kinds]
    responses = run_at_once(*[chosen[number % len(chosen)] for number in range(50)])
    statuses = Counter(response.status for response in responses)
    assert set(statuses) <= {200, 201, 409, 503}
    assert statuses[200] + statuses[201] > 0
    stored = read_books(w)
    assert consistency.violations_at_any_time(stored) == []
    assert consistency.payable_violations(stored) == []
    last = w.create(ADA)
    assert last.status in (200, 201)
    assert len([p for p in finish(w).payments.values() if p.open]) == 1


def start_session(w: Harness, *, save: bool = False) -> Response:
    import create_checkout_session

    return w.call(create_checkout_session.handler, ADA, {"track": "DP", "save_payment_method": save})


def test_thirty_concurrent_deliveries_of_one_event_write_one_record(w: Harness) -> None:
    purchase = w.create(ADA).body
    w.pay(purchase["payment_intent_id"])
    (event,) = [e for e in w.new_events() if e["type"] == "payment_intent.succeeded"]
    responses = run_at_once(*[lambda: w.deliver(event)] * 30)
    assert [response.status for response in responses] == [200] * 30
    assert [r["event_id"] for r in w.audit_trail(purchase["payment_id"])].count(event["id"]) == 1
    assert len(finish(w).records[purchase["payment_id"]]) < 8


@pytest.mark.parametrize("round_", range(4))
def test_a_purchase_and_its_refund_are_applied_when_each_event_arrives_three_times_at_once(
    w: Harness, round_: int
) -> None:
    purchase = w.create(ADA).body
    w.pay(purchase["payment_intent_id"])
    w.advance_stripe(3)
    w.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"])
    events = w.new_events() * 3
    random.Random(f"{first_seed()} {round_}").shuffle(events)
    responses = run_at_once(*[lambda event=event: w.deliver(event) for event in events])
    assert {response.status for response in responses} <= {200, 503}
    for event in events:
        assert w.deliver(event).status == 200
    assert finish(w).payments[purchase["payment_id"]].status == "REFUNDED"


@pytest.mark.parametrize("round_", range(4))
def test_a_success_racing_the_refund_of_another_payment_keeps_both_standings(w: Harness, round_: int) -> None:
    """The first payment was revoked, so a second was bought. Its success races the refund of the first."""
    first = buy(w)
    w.admin(STAFF, DECIDE, {"decision": "revoke", "note": "a mistake"}, payment_id=first["payment_id"])
    second = w.create(ADA).body
    w.deliver_all()
    w.at_stripe("POST", "/v1/refunds", payment_intent=first["payment_intent_id"])
    w.pay(second["payment_intent_id"])
    events = w.new_events()
    random.Random(f"{first_seed()} {round_}").shuffle(events)
    assert {a.status for a in run_at_once(*[lambda event=event: w.deliver(event) for event in events])} <= {200, 503}
    for event in events:
        assert w.deliver(event).status == 200
    final = finish(w)
    assert final.payments[first["payment_id"]].status == "REFUNDED"
    assert final.payments[second["payment_id"]].status == "SUCCEEDED"
    assert final.enrollments["ada", "DP"].status == "ENROLLED"


@pytest.mark.parametrize("outcome", ["won", "lost"])
@pytest.mark.parametrize("round_", range(3))
def test_a_refund_racing_a_dispute_never_returns_the_money_twice(w: Harness, outcome: str, round_: int) -> None:
    purchase = buy(w)

    def dispute() -> None:
        w.at_stripe("POST", "/_sim/disputes", payment_intent=purchase["payment_intent_id"])
        for event in w.new_events():
            w.deliver(event)

    acts = [lambda: w.refund(ADA, purchase["payment_id"]), dispute, lambda: w.status(ADA, purchase["payment_id"])]
    random.Random(f"{first_seed()} {round_}").shuffle(acts)
    run_at_once(*acts)
    for dispute_id in list(w.stripe.account.store.objects["dispute"]):
        w.at_stripe("POST", "/_sim/disputes", dispute=dispute_id, status=outcome)
    final = finish(w)
    (payment,) = final.payments.values()
    assert payment.facts.settled
    refunded = sum(refund.amount for refund in payment.facts.refunds.values())
    assert refunded <= payment.facts.settled.amount


def test_two_concurrent_refunds_by_staff_become_one_refund(w: Harness) -> None:
    purchase = buy(w)
    acts = [
        lambda staff=name: w.admin(
            STAFF, REFUND, {"amount": 30_000, "reason": f"requested by {staff}"}, payment_id=purchase["payment_id"]
        )
        for name in ("one", "two")
    ]
    responses = run_at_once(*acts)
    assert sorted(response.status for response in responses) in ([200, 409], [200, 422])
    payment = finish(w).payments[purchase["payment_id"]]
    assert [refund.amount for refund in payment.facts.refunds.values()] == [30_000]


def test_ten_clicks_on_the_same_refund_become_one_refund(w: Harness) -> None:
    purchase = buy(w)
    responses = run_at_once(*[lambda: w.refund(ADA, purchase["payment_id"])] * 10)
    assert {response.status for response in responses} <= {200, 202, 409, 503}
    assert 200 in {response.status for response in responses}
    payment = finish(w).payments[purchase["payment_id"]]
    assert [refund.amount for refund in payment.facts.refunds.values()] == [49_900]


def test_status_requests_racing_the_webhooks_record_the_success_once(w: Harness) -> None:
    purchase = w.create(ADA).body
    w.pay(purchase["payment_intent_id"])
    events = w.new_events()
    requests = [lambda: w.status(ADA, purchase["payment_id"])] * 8
    responses = run_at_once(*requests, *[lambda event=event: w.deliver(event) for event in events])
    assert {response.status for response in responses} <= {200, 503}
    changes = [r["transition"]["status"] for r in w.audit_trail(purchase["payment_id"]) if "status" in r["transition"]]
    assert [change["to"] for change in changes] == ["CREATED", "SUCCEEDED"]
    finish(w)


def test_only_one_of_two_concurrent_hourly_runs_proceeds(w: Harness) -> None:
    w.pay(create_and_lose_events(w))
    cursors.advance(cursors.RECONCILE, int(clock.now()) - walk.WINDOW_S)

    def run() -> str:
        try:
            return str(w.reconcile()["drifted"])
        except cursors.LeaseTaken:
            return "another"

    assert sorted(run_at_once(run, run)) in (["1", "another"], ["0", "1"])
    finish(w)


def create_and_lose_events(w: Harness) -> str:
    """Create an intent, and lose its events."""
    create_session(w, STAFF)
    intent = str(w.create(ADA).body["payment_intent_id"])
    w.new_events()
    return intent


def test_the_races_detect_an_enrollment_written_without_its_condition(
    w: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted defect: without the version condition, one of two concurrent writes loses a standing."""
    real = ledger._put_enrollment

    def unconditional(before: Any, after: Any) -> Any:
        put = real(before, after)["Put"]
        return {"Put": {"TableName": put["TableName"], "Item": put["Item"]}}

    monkeypatch.setattr(ledger, "_put_enrollment", unconditional)
    monkeypatch.setattr(ledger, "_check_enrollment", lambda enrollment: unconditional(enrollment, enrollment))
    problems: list[str] = []
    for number in range(20):
        student = Student(f"ada-{number}")
        first = buy(w, student)
        w.admin(STAFF, DECIDE, {"decision": "revoke", "note": "a mistake"}, payment_id=first["payment_id"])
        second = w.create(student).body
        w.deliver_all()
        w.at_stripe("POST", "/v1/refunds", payment_intent=first["payment_intent_id"])
        w.pay(second["payment_intent_id"])
        run_at_once(*[lambda event=event: w.deliver(event) for event in w.new_events()])
        problems = [problem for problem in consistency.violations_at_any_time(read_books(w)) if "enrollment" in problem]
        if problems:
            break
    assert problems
