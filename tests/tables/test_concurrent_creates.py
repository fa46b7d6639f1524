"""Many concurrent creates for one student and track, with real handlers in real threads.

There must never be two objects that can be paid. A seed does not replay threads: it decides who requests what, how long
each call takes, and who pays.
"""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.harness import Harness, InProcess, Response, Student
from tests.limits import raise_limits
from tests.tables.test_promotion_codes import create_code
from tests.tables.test_sessions import open_session, payable_ids

SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (3, 4))]
SIZES_AND_SEEDS = [
    *((40, 1), (50, 4)),
    *(pytest.param(size, seed, marks=pytest.mark.soak) for size, seed in ((40, 2), (40, 3), (50, 5), (50, 6))),
]


@pytest.fixture(autouse=True)
def _raised_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The races are about one payable object. `tests/tables/test_limits.py` runs some with the limits as they are."""
    raise_limits(monkeypatch)


@dataclass
class Create:
    """A create that one thread sends, and the amount that it must cost."""

    amount: int
    kind: str
    more: dict[str, Any] = field(default_factory=dict)
    pays: bool = False

    def send(self, tuition: Harness, student: Student) -> Response:
        if self.kind == "intent":
            return tuition.create(student, **self.more)
        return open_session(tuition, student, **self.more)


def mixed_creates(tuition: Harness, student: Student, size: int) -> list[Create]:
    """Return creates of both kinds: some save the card, some use either of two codes, one has an unknown code."""
    code = create_code(tuition, student)
    half_code = create_code(tuition, student, {"percent_off": 50}, code=f"HALF-{student.sub}")
    creates = [
        Create(49900, "intent"),
        Create(49900, "session"),
        Create(49900, "intent", {"save_payment_method": True}),
    ]
    creates += [Create(39920, "session", {"promotion_code": code}), Create(49900, "intent")]
    creates += [Create(24950, "session", {"promotion_code": half_code})]
    creates = [Create(create.amount, create.kind, create.more) for create in (creates * size)[: size - 1]]
    return [*creates, Create(0, "session", {"promotion_code": "NO-SUCH-CODE"})]


def slow_network(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Delay each call to Stripe before and after by a random time, so that other calls run in between."""
    rng, request = random.Random(seed), InProcess.request

    def delayed(self: InProcess, *args: Any) -> Any:
        threading.Event().wait(rng.random() / 100)
        response = request(self, *args)
        threading.Event().wait(rng.random() / 100)
        return response

    monkeypatch.setattr(InProcess, "request", delayed)


def run_concurrently(creates: list[Create], send: Callable[[Create], Response]) -> list[Response]:
    start = threading.Barrier(len(creates))

    def wait_and_send(create: Create) -> Response:
        start.wait()
        return send(create)

    with ThreadPoolExecutor(len(creates)) as pool:
        return list(pool.map(wait_and_send, creates))


def check_responses(creates: list[Create], responses: list[Response]) -> None:
    for create, response in zip(creates, responses, strict=True):
        if create.amount == 0:
            assert response.status in (409, 422, 503), response
        elif response.status in (200, 201):
            assert response.body["amount"] == create.amount
            assert ("session_id" in response.body) == (create.kind == "session")
        else:
            assert response.status in (409, 503), response


@pytest.mark.threads
@pytest.mark.parametrize(("size", "seed"), SIZES_AND_SEEDS)
def test_concurrent_creates_of_every_kind_leave_one_payable_object_and_the_next_opens_exactly_one(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, seed: int, size: int
) -> None:
    creates = mixed_creates(tuition, student, size)
    random.Random(seed).shuffle(creates)
    slow_network(monkeypatch, seed)
    responses = run_concurrently(creates, lambda create: create.send(tuition, student))
    check_responses(creates, responses)
    assert any(response.status in (200, 201) for response in responses)
    assert len(payable_ids(tuition, student)) <= 1
    last_create = creates[seed] if creates[seed].amount else creates[seed + 1]
    response = last_create.send(tuition, student)
    assert (response.status in (200, 201), response.body["amount"]) == (True, last_create.amount)
    assert payable_ids(tuition, student) == [response.body.get("payment_intent_id") or response.body["session_id"]]
    check_payments(tuition, student)


@pytest.mark.threads
@pytest.mark.parametrize("seed", SEEDS)
def test_concurrent_creates_that_are_paid_immediately_take_one_payment(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A third of the creates pay immediately when they succeed, while the others are still running."""
    creates = mixed_creates(tuition, student, 40)
    rng = random.Random(seed)
    rng.shuffle(creates)
    for create in creates:
        create.pays = rng.random() < 1 / 3
    slow_network(monkeypatch, seed)

    def create_and_pay(create: Create) -> Response:
        response = create.send(tuition, student)
        if create.pays and response.status in (200, 201):
            pay(tuition, response.body)
        return response

    responses = run_concurrently(creates, create_and_pay)
    check_responses(creates, responses)
    tuition.deliver_all()
    succeeded = [p for p in list_payments(tuition, student) if p["status"] == "SUCCEEDED"]
    if any(create.pays and response.status in (200, 201) for create, response in zip(creates, responses, strict=True)):
        assert len(succeeded) <= 1
    if succeeded:
        assert payable_ids(tuition, student) == []
        assert tuition.enrollment(student)["status"] == "ENROLLED"
        assert tuition.create(student).body["type"].endswith("/already-enrolled")
    assert amount_received(tuition, student) == sum(p["amount"] for p in succeeded)
    check_payments(tuition, student)


@pytest.mark.threads
@pytest.mark.parametrize("seed", SEEDS)
def test_a_payment_during_concurrent_creates_is_either_taken_or_closed(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """One payment is open. Twenty creates of every kind run while it is paid and its webhooks arrive."""
    first = tuition.create(student).body if seed % 2 else open_session(tuition, student).body
    creates = mixed_creates(tuition, student, 20)
    slow_network(monkeypatch, seed)
    payer = Create(-1, "payer")

    def create_or_pay(create: Create) -> Response:
        if create is not payer:
            return create.send(tuition, student)
        threading.Event().wait(random.Random(seed).random() / 20)
        pay(tuition, first)
        for response in tuition.deliver_all():
            assert response.status == 200
        return tuition.status(student, first["payment_id"])

    responses = run_concurrently([*creates, payer], create_or_pay)
    check_responses(creates, responses[:-1])
    tuition.deliver_all()
    status = tuition.status(student, first["payment_id"]).body["status"]
    assert status in ("SUCCEEDED", "CANCELED")
    assert len(payable_ids(tuition, student)) <= (0 if status == "SUCCEEDED" else 1)
    assert amount_received(tuition, student) == (49900 if status == "SUCCEEDED" else 0)
    assert tuition.create(student).status == (409 if status == "SUCCEEDED" else 201)
    check_payments(tuition, student)


@pytest.mark.threads
def test_twenty_concurrent_creates_of_each_kind_leave_one_payable_object(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    creates = [Create(49900, "intent"), Create(49900, "session")] * 20
    responses = run_concurrently(creates, lambda create: create.send(tuition, student))
    check_responses(creates, responses)
    assert any(response.status in (200, 201) for response in responses)
    assert len(payable_ids(tuition, student)) <= 1
    last = tuition.create(student)
    assert last.status in (200, 201)
    assert payable_ids(tuition, student) == [last.body["payment_intent_id"]]


def pay(tuition: Harness, purchase: dict[str, Any]) -> None:
    """Pay the object of a create's response, whether or not it is still open."""
    if "session_id" in purchase:
        path = f"/v1/payment_pages/{purchase['session_id']}/confirm"
        params = {"payment_method": "pm_card_visa", "expected_amount": purchase["amount"]}
        tuition.at_stripe("POST", path, may_be_refused=True, **params)
    else:
        tuition.pay(purchase["payment_intent_id"], may_be_refused=True)


def amount_received(tuition: Harness, student: Student) -> int:
    """Return the amount that Stripe has received from the student, in minor units."""
    intents = tuition.at_stripe("GET", "/v1/payment_intents?limit=100")["data"]
    return sum(i["amount_received"] for i in intents if i["metadata"].get("user_id") == student.sub)


def list_payments(tuition: Harness, student: Student) -> list[dict[str, Any]]:
    return list(tuition.payments(student, limit="100").body["payments"])


def check_payments(tuition: Harness, student: Student) -> None:
    """Check that at most one payment is open, none needs attention, and every audit chain verifies."""
    payments = list_payments(tuition, student)
    assert sum(p["status"] in ("CREATED", "PROCESSING", "FAILED") for p in payments) <= 1
    for payment in payments:
        assert tuition.attention(payment["payment_id"]) == []
        assert tuition.chain_problem(payment["payment_id"]) is None
