"""Many concurrent requests for one student's plan, with real handlers in real threads.

There must never be two objects that can be paid. A seed does not replay threads: it decides who requests what, how long
each call takes, and who pays.
"""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.harness import Harness, Response, Student
from tests.limits import raise_limits
from tests.plan_calls import FIRST, begin, consent, offer_plans, pay, read, started
from tests.tables.test_concurrent_creates import slow_network
from tests.tables.test_sessions import open_session, payable_ids
from tuition.core.refs import is_plan
from tuition.storage import queries

pytestmark = pytest.mark.threads
SEEDS = range(1, 4)
Request = Callable[[], Response]


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch) -> None:
    offer_plans(monkeypatch.setattr)
    raise_limits(monkeypatch)


def at_once(requests: list[Request]) -> list[Response]:
    start = Barrier(len(requests))

    def wait_and_send(request: Request) -> Response:
        start.wait()
        return request()

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(wait_and_send, requests))


def is_expected(response: Response) -> bool:
    return response.status in (200, 201, 409, 503)


@pytest.mark.parametrize("seed", SEEDS)
def test_concurrent_begins_and_purchases_leave_one_payable_object(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    version = consent(tuition)
    kinds: list[Request] = [
        lambda: begin(tuition, student, consent=version),
        lambda: begin(tuition, student, consent=version),
        lambda: begin(tuition, student, consent=version, via="checkout"),
        lambda: tuition.create(student),
        lambda: open_session(tuition, student),
    ]
    requests = (kinds * 5)[:24]
    random.Random(seed).shuffle(requests)
    slow_network(monkeypatch, seed)
    responses = at_once(requests)
    assert all(map(is_expected, responses)), responses
    assert any(response.status in (200, 201) for response in responses)
    assert len(payable_ids(tuition, student)) <= 1
    last = begin(tuition, student, consent=version)
    assert last.status in (200, 201), last
    assert payable_ids(tuition, student) == [last.body["payment_intent_id"]]
    statuses = [plan.status for plan in queries.plans_of_user(student.sub)]
    assert sorted({*statuses}) in (["OPEN"], ["ABANDONED", "OPEN"])
    assert statuses.count("OPEN") == 1
    tuition.pay(last.body["payment_intent_id"])
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert is_plan(last.body["plan_id"])


@pytest.mark.parametrize("seed", SEEDS)
def test_concurrent_payments_of_a_plan_pay_each_installment_once(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A third of the requests pay at once what they were answered, while the others are running."""
    plan_id, rng = started(tuition, student)["plan_id"], random.Random(seed)
    slow_network(monkeypatch, seed)

    def request(what: str, *, pays: bool) -> Request:
        def send() -> Response:
            response = pay(tuition, student, plan_id, what)
            if pays and response.status in (200, 201):
                tuition.pay(response.body["payment_intent_id"], may_be_refused=True)
            return response

        return send

    responses = at_once([request(rng.choice(("next", "rest")), pays=rng.random() < 1 / 3) for _ in range(20)])
    assert all(map(is_expected, responses)), responses
    assert len(payable_ids(tuition, student)) <= 1
    tuition.deliver_all()
    plan = read(tuition, student, plan_id)
    paid = [one["seq"] for one in plan["schedule"] if one["state"] == "paid"]
    assert plan["received"] == len(paid) * FIRST
    settled = [payment for payment in queries.payments_of_user(student.sub) if payment.facts.settled]
    assert sorted(seq for payment in settled for seq in payment.covers) == paid
