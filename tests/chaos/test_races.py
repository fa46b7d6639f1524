"""Many at once: real threads, real handlers, DynamoDB Local's real transactions, and the simulator's own lock."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import consistency
from tests.chaos.disaster import Site, first_seed
from tests.chaos.flows import ADA, STAFF, begin, bought
from tests.harness import Harness, Response, Student
from tuition import clock
from tuition.intake import reconcile, walk
from tuition.storage import cursors, ledger

pytestmark = pytest.mark.chaos
ORDER = "POST /api/admin/payments/{payment_id}/refunds"
DECIDE = "POST /api/admin/payments/{payment_id}/decisions"
_sleep = time.sleep


@pytest.fixture
def quick(chaos: Site) -> Iterator[Harness]:
    """A fresh world whose waiting is real: threads that never wait would only spin."""
    with chaos.fresh() as w, pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock.time, "sleep", _sleep)
        yield w


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """All of them begun together, and what each answered."""
    gate = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        gate.wait(30)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [job.result(60) for job in [pool.submit(run, act) for act in acts]]


def read(w: Harness) -> consistency.Snapshot:
    return consistency.read_snapshot(w.tables, w.stripe.account.store.objects)


def quiet(w: Harness) -> consistency.Snapshot:
    """All is told and driven; the books must be right."""
    for _ in range(3):
        w.advance_stripe(3)
        assert {answer.status for answer in w.deliver_all()} <= {200}
    cursors.advance(reconcile.CURSOR, w.stripe.account.clock.unix() - walk.WINDOW_S)
    w.advance_time(400)
    w.reconcile()
    assert {answer.status for answer in w.deliver_all()} <= {200}
    found = read(w)
    assert consistency.violations_when_idle(found) == []
    return found


@pytest.mark.parametrize("kinds", ["intents", "sessions", "mixed"])
def test_fifty_creates_at_once_leave_one_object_to_pay(quick: Harness, kinds: str) -> None:
    asks: dict[str, list[Callable[[], Response]]] = {
        "intents": [lambda: quick.create(ADA)],
        "sessions": [lambda: session(quick)],
        "mixed": [lambda: quick.create(ADA), lambda: session(quick), lambda: session(quick, save=True)],
    }
    chosen = asks[kinds]
    answers = at_once(*[chosen[number % len(chosen)] for number in range(50)])
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {200, 201, 409, 503}
    assert statuses[200] + statuses[201] > 0
    found = read(quick)
    assert consistency.violations_at_any_time(found) == []
    assert consistency.payable_violations(found) == []
    last = quick.create(ADA)
    assert last.status in (200, 201)
    assert len([p for p in quiet(quick).payments.values() if p.open]) == 1


def session(w: Harness, *, save: bool = False) -> Response:
    import create_checkout_session

    return w.call(create_checkout_session.handler, ADA, {"track": "DP", "save_payment_method": save})


def test_thirty_deliveries_of_one_event_at_once_make_one_record(quick: Harness) -> None:
    made = quick.create(ADA).body
    quick.pay(made["payment_intent_id"])
    (event,) = [e for e in quick.new_events() if e["type"] == "payment_intent.succeeded"]
    answers = at_once(*[lambda: quick.deliver(event)] * 30)
    assert [answer.status for answer in answers] == [200] * 30
    assert [r["event_id"] for r in quick.audit_trail(made["payment_id"])].count(event["id"]) == 1
    assert len(quiet(quick).records[made["payment_id"]]) < 8


@pytest.mark.parametrize("round_", range(4))
def test_all_events_of_a_purchase_and_its_refund_at_once_each_thrice(quick: Harness, round_: int) -> None:
    made = quick.create(ADA).body
    quick.pay(made["payment_intent_id"])
    quick.advance_stripe(3)
    quick.at_stripe("POST", "/v1/refunds", payment_intent=made["payment_intent_id"])
    events = quick.new_events() * 3
    random.Random(f"{first_seed()} {round_}").shuffle(events)
    answers = at_once(*[lambda event=event: quick.deliver(event) for event in events])
    assert {answer.status for answer in answers} <= {200, 503}
    for event in events:
        assert quick.deliver(event).status == 200
    assert quiet(quick).payments[made["payment_id"]].status == "REFUNDED"


@pytest.mark.parametrize("round_", range(4))
def test_the_success_of_one_payment_and_the_refund_of_another_keep_both_standings(quick: Harness, round_: int) -> None:
    """The first was revoked, so a second could be bought; then its refund and the second's success come together."""
    first = bought(quick)
    quick.admin(STAFF, DECIDE, {"decision": "revoke", "note": "a mistake"}, payment_id=first["payment_id"])
    second = quick.create(ADA).body
    quick.deliver_all()
    quick.at_stripe("POST", "/v1/refunds", payment_intent=first["payment_intent_id"])
    quick.pay(second["payment_intent_id"])
    events = quick.new_events()
    random.Random(f"{first_seed()} {round_}").shuffle(events)
    assert {a.status for a in at_once(*[lambda event=event: quick.deliver(event) for event in events])} <= {200, 503}
    for event in events:
        assert quick.deliver(event).status == 200
    found = quiet(quick)
    assert found.payments[first["payment_id"]].status == "REFUNDED"
    assert found.payments[second["payment_id"]].status == "SUCCEEDED"
    assert found.enrollments["ada", "DP"].status == "ENROLLED"


@pytest.mark.parametrize("ends", ["won", "lost"])
@pytest.mark.parametrize("round_", range(3))
def test_a_refund_and_a_dispute_at_once_never_give_the_money_twice(quick: Harness, ends: str, round_: int) -> None:
    made = bought(quick)

    def dispute() -> None:
        quick.at_stripe("POST", "/_sim/disputes", payment_intent=made["payment_intent_id"])
        for event in quick.new_events():
            quick.deliver(event)

    acts = [lambda: quick.refund(ADA, made["payment_id"]), dispute, lambda: quick.status(ADA, made["payment_id"])]
    random.Random(f"{first_seed()} {round_}").shuffle(acts)
    at_once(*acts)
    for dispute_id in list(quick.stripe.account.store.objects["dispute"]):
        quick.at_stripe("POST", "/_sim/disputes", dispute=dispute_id, status=ends)
    found = quiet(quick)
    (payment,) = found.payments.values()
    assert payment.facts.settled
    refunded = sum(refund.amount for refund in payment.facts.refunds.values())
    assert refunded <= payment.facts.settled.amount


def test_two_refunds_by_staff_at_once_are_one_refund(quick: Harness) -> None:
    made = bought(quick)
    acts = [
        lambda who=name: quick.admin(
            STAFF, ORDER, {"amount": 30_000, "reason": f"asked by {who}"}, payment_id=made["payment_id"]
        )
        for name in ("one", "two")
    ]
    answers = at_once(*acts)
    assert sorted(answer.status for answer in answers) in ([200, 409], [200, 422])
    payment = quiet(quick).payments[made["payment_id"]]
    assert [refund.amount for refund in payment.facts.refunds.values()] == [30_000]


def test_ten_clicks_on_the_same_refund_are_one_refund(quick: Harness) -> None:
    made = bought(quick)
    answers = at_once(*[lambda: quick.refund(ADA, made["payment_id"])] * 10)
    assert {answer.status for answer in answers} <= {200, 202, 409, 503}
    assert 200 in {answer.status for answer in answers}
    payment = quiet(quick).payments[made["payment_id"]]
    assert [refund.amount for refund in payment.facts.refunds.values()] == [49_900]


def test_whoever_looks_while_it_is_told_sees_it_once(quick: Harness) -> None:
    made = quick.create(ADA).body
    quick.pay(made["payment_intent_id"])
    events = quick.new_events()
    looks = [lambda: quick.status(ADA, made["payment_id"])] * 8
    answers = at_once(*looks, *[lambda event=event: quick.deliver(event) for event in events])
    assert {answer.status for answer in answers} <= {200, 503}
    moves = [r["transition"]["status"] for r in quick.audit_trail(made["payment_id"]) if "status" in r["transition"]]
    assert [move["to"] for move in moves] == ["CREATED", "SUCCEEDED"]
    quiet(quick)


def test_of_two_hourly_runs_at_once_one_runs(quick: Harness) -> None:
    quick.pay(begin_and_forget(quick))
    cursors.advance(cursors.RECONCILE, int(clock.now()) - walk.WINDOW_S)

    def run() -> str:
        try:
            return str(quick.reconcile()["drifted"])
        except cursors.LeaseTaken:
            return "another"

    assert sorted(at_once(run, run)) in (["1", "another"], ["0", "1"])
    quiet(quick)


def begin_and_forget(w: Harness) -> str:
    """An intent whose events are lost."""
    begin(w, STAFF)
    intent = str(w.create(ADA).body["payment_intent_id"])
    w.new_events()
    return intent


def test_an_enrollment_written_without_its_condition_would_lose_a_standing(
    quick: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted twin of what DESIGN §4 forbids: these races must be able to see it."""
    real = ledger._put_enrollment

    def unconditional(before: Any, after: Any) -> Any:
        put = real(before, after)["Put"]
        return {"Put": {"TableName": put["TableName"], "Item": put["Item"]}}

    monkeypatch.setattr(ledger, "_put_enrollment", unconditional)
    monkeypatch.setattr(ledger, "_check_enrollment", lambda held: unconditional(held, held))
    found: list[str] = []
    for number in range(20):
        who = Student(f"ada-{number}")
        one = bought(quick, who)
        quick.admin(STAFF, DECIDE, {"decision": "revoke", "note": "a mistake"}, payment_id=one["payment_id"])
        two = quick.create(who).body
        quick.deliver_all()
        quick.at_stripe("POST", "/v1/refunds", payment_intent=one["payment_intent_id"])
        quick.pay(two["payment_intent_id"])
        at_once(*[lambda event=event: quick.deliver(event) for event in quick.new_events()])
        found = [what for what in consistency.violations_at_any_time(read(quick)) if "enrollment" in what]
        if found:
            break
    assert found
