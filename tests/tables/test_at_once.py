"""Many creates at once for one user and track, real handlers in real threads: never two things that can be paid.

Threads are not replayed by a seed: it shapes who asks for what, how long each call takes, and who pays.
"""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.tables.test_ledger import _one_at_a_time
from tests.tables.test_promotion_codes import offer
from tests.tables.test_sessions import begin, payable
from tests.world import Answer, InProcess, Student, World

SEEDS = range(1, 5)
local_only = pytest.mark.parametrize("backend", ["dynamodb-local"], indirect=True)


@dataclass
class Ask:
    """What one thread asks for, and what it must cost where it is answered."""

    amount: int
    kind: str
    more: dict[str, Any] = field(default_factory=dict)
    pays: bool = False

    def send(self, tuition: World, student: Student) -> Answer:
        if self.kind == "intent":
            return tuition.create(student, **self.more)
        return begin(tuition, student, **self.more)


def mix(tuition: World, student: Student, size: int) -> list[Ask]:
    """As many intents as sessions, some saving, some with either of two codes, one with none that exists."""
    one = offer(tuition, student)
    two = offer(tuition, student, {"percent_off": 50}, code=f"HALF-{student.sub}")
    asks = [Ask(49900, "intent"), Ask(49900, "session"), Ask(49900, "intent", {"save_payment_method": True})]
    asks += [Ask(39920, "session", {"promotion_code": one}), Ask(49900, "intent")]
    asks += [Ask(24950, "session", {"promotion_code": two})]
    asks = [Ask(ask.amount, ask.kind, ask.more) for ask in (asks * size)[: size - 1]]
    return [*asks, Ask(0, "session", {"promotion_code": "NO-SUCH-CODE"})]


def slow_network(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Each call to Stripe takes its own time, before it or after, so that others come between."""
    rng, request = random.Random(seed), InProcess.request

    def delayed(self: InProcess, *args: Any) -> Any:
        threading.Event().wait(rng.random() / 100)
        answer = request(self, *args)
        threading.Event().wait(rng.random() / 100)
        return answer

    monkeypatch.setattr(InProcess, "request", delayed)


def at_once(asks: list[Ask], act: Callable[[Ask], Answer]) -> list[Answer]:
    start = threading.Barrier(len(asks))

    def run(ask: Ask) -> Answer:
        start.wait()
        return act(ask)

    with ThreadPoolExecutor(len(asks)) as pool:
        return list(pool.map(run, asks))


def check_answers(asks: list[Ask], answers: list[Answer]) -> None:
    for ask, answer in zip(asks, answers, strict=True):
        if ask.amount == 0:
            assert answer.status in (409, 422, 503), answer
        elif answer.status in (200, 201):
            assert answer.body["amount"] == ask.amount
            assert ("session_id" in answer.body) == (ask.kind == "session")
        else:
            assert answer.status in (409, 503), answer


@local_only
@pytest.mark.parametrize(("size", "seed"), [(40, 1), (40, 2), (40, 3), (50, 4), (50, 5), (50, 6)])
def test_creates_of_every_kind_at_once_leave_one_thing_to_pay_and_the_next_gives_exactly_one(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, seed: int, size: int
) -> None:
    asks = mix(tuition, student, size)
    random.Random(seed).shuffle(asks)
    slow_network(monkeypatch, seed)
    answers = at_once(asks, lambda ask: ask.send(tuition, student))
    check_answers(asks, answers)
    assert any(answer.status in (200, 201) for answer in answers)
    assert len(payable(tuition, student)) <= 1
    last = asks[seed] if asks[seed].amount else asks[seed + 1]
    made = last.send(tuition, student)
    assert (made.status in (200, 201), made.body["amount"]) == (True, last.amount)
    assert payable(tuition, student) == [made.body.get("payment_intent_id") or made.body["session_id"]]
    check_history(tuition, student)


@local_only
@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_is_answered_pays_at_once_and_one_payment_is_all_that_is_taken(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A third of those who are answered pay what they hold, at once, while the others go on creating."""
    asks = mix(tuition, student, 40)
    rng = random.Random(seed)
    rng.shuffle(asks)
    for ask in asks:
        ask.pays = rng.random() < 1 / 3
    slow_network(monkeypatch, seed)

    def act(ask: Ask) -> Answer:
        answer = ask.send(tuition, student)
        if ask.pays and answer.status in (200, 201):
            pay(tuition, answer.body)
        return answer

    answers = at_once(asks, act)
    check_answers(asks, answers)
    tuition.deliver_all()
    paid = [p for p in history(tuition, student) if p["status"] == "SUCCEEDED"]
    if any(ask.pays and answer.status in (200, 201) for ask, answer in zip(asks, answers, strict=True)):
        assert len(paid) <= 1
    if paid:
        assert payable(tuition, student) == []
        assert tuition.enrolled(student)["status"] == "ENROLLED"
        assert tuition.create(student).body["type"].endswith("/already-enrolled")
    assert taken(tuition, student) == sum(p["amount"] for p in paid)
    check_history(tuition, student)


@local_only
@pytest.mark.parametrize("seed", SEEDS)
def test_a_payment_in_the_middle_of_creates_that_would_close_it_is_taken_or_closed_never_both(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """One is open; twenty others of every kind come, and in their midst the first is paid and its webhooks arrive."""
    first = tuition.create(student).body if seed % 2 else begin(tuition, student).body
    asks = mix(tuition, student, 20)
    slow_network(monkeypatch, seed)
    payer = Ask(-1, "payer")

    def act(ask: Ask) -> Answer:
        if ask is not payer:
            return ask.send(tuition, student)
        threading.Event().wait(random.Random(seed).random() / 20)
        pay(tuition, first)
        for answer in tuition.deliver_all():
            assert answer.status == 200
        return tuition.status(student, first["payment_id"])

    answers = at_once([*asks, payer], act)
    check_answers(asks, answers[:-1])
    tuition.deliver_all()
    status = tuition.status(student, first["payment_id"]).body["status"]
    assert status in ("SUCCEEDED", "CANCELED")
    assert len(payable(tuition, student)) <= (0 if status == "SUCCEEDED" else 1)
    assert taken(tuition, student) == (49900 if status == "SUCCEEDED" else 0)
    assert tuition.create(student).status == (409 if status == "SUCCEEDED" else 201)
    check_history(tuition, student)


def test_twenty_of_each_kind_at_once_on_either_backend(
    tuition: World, student: Student, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "moto":
        _one_at_a_time(tuition, monkeypatch)
    asks = [Ask(49900, "intent"), Ask(49900, "session")] * 20
    answers = at_once(asks, lambda ask: ask.send(tuition, student))
    check_answers(asks, answers)
    assert any(answer.status in (200, 201) for answer in answers)
    assert len(payable(tuition, student)) <= 1
    last = tuition.create(student)
    assert last.status in (200, 201)
    assert payable(tuition, student) == [last.body["payment_intent_id"]]


def pay(tuition: World, made: dict[str, Any]) -> None:
    """Pay what was answered, whether or not it is still open."""
    if "session_id" in made:
        path = f"/v1/payment_pages/{made['session_id']}/confirm"
        tuition.at_stripe("POST", path, payment_method="pm_card_visa", expected_amount=made["amount"])
    else:
        tuition.pay(made["payment_intent_id"])


def taken(tuition: World, student: Student) -> int:
    """What Stripe has received from the student, in minor units."""
    found = tuition.at_stripe("GET", "/v1/payment_intents?limit=100")["data"]
    return sum(i["amount_received"] for i in found if i["metadata"].get("user_id") == student.sub)


def history(tuition: World, student: Student) -> list[dict[str, Any]]:
    return list(tuition.payments(student, limit="100").body["payments"])


def check_history(tuition: World, student: Student) -> None:
    """At most one payment is open, nothing needs a person, and every trail holds."""
    found = history(tuition, student)
    assert sum(p["status"] in ("CREATED", "PROCESSING", "FAILED") for p in found) <= 1
    for payment in found:
        assert tuition.attention(payment["payment_id"]) == []
        assert tuition.chain_problem(payment["payment_id"]) is None
