"""A payment as a Checkout Session: the same door, the same rules, and what only sessions do."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from create_checkout_session import handler
from tests.world import Answer, Student, World


def begin(tuition: World, student: Student, track: str = "DP", **more: Any) -> Answer:
    return tuition.call(handler, student, {"track": track, **more})


def test_a_session_is_begun_answered_again_and_shows_as_open(tuition: World, student: Student) -> None:
    first, second = begin(tuition, student), begin(tuition, student)
    assert (first.status, second.status) == (201, 200)
    assert set(first.body) == {"payment_id", "session_id", "url", "amount", "currency", "track", "status"}
    assert first.body["session_id"] == second.body["session_id"]
    assert first.body["url"]
    assert tuition.status(student, first.body["session_id"]).body["status"] == "CREATED"


def test_a_session_that_expires_lets_the_student_begin_again(tuition: World, student: Student) -> None:
    made = begin(tuition, student).body
    tuition.at_stripe("POST", f"/v1/checkout/sessions/{made['session_id']}/expire")
    tuition.deliver_all()
    assert tuition.status(student, made["payment_id"]).body["status"] == "CANCELED"
    assert begin(tuition, student).status == 201


def test_an_intent_and_a_session_are_never_open_together(tuition: World, student: Student) -> None:
    intent = tuition.create(student).body
    session = begin(tuition, student)
    assert session.status == 201
    assert tuition.status(student, intent["payment_id"]).body["status"] == "CANCELED"
    again = tuition.create(student)
    assert again.status == 201
    assert tuition.status(student, session.body["payment_id"]).body["status"] == "CANCELED"
    assert payable(tuition, student) == [again.body["payment_intent_id"]]


def payable(tuition: World, student: Student) -> list[str]:
    """What can still be paid at Stripe in this student's name."""
    intents = tuition.at_stripe("GET", "/v1/payment_intents?limit=100")["data"]
    sessions = tuition.at_stripe("GET", "/v1/checkout/sessions?limit=100&status=open")["data"]
    mine = [
        i["id"] for i in intents if i["metadata"].get("user_id") == student.sub and i["metadata"]["kind"] == "intent"
    ]
    closed = {i["id"] for i in intents if i["status"] in ("canceled", "succeeded")}
    return [i for i in mine if i not in closed] + [s["id"] for s in sessions if s["metadata"]["user_id"] == student.sub]


@pytest.fixture
def origins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from tuition import settings

    monkeypatch.setenv("ALLOWED_ORIGINS", "https://ok.example,http://localhost:8000")
    settings.settings.cache_clear()
    yield
    settings.settings.cache_clear()


@pytest.mark.parametrize("name", ["success_url", "cancel_url"])
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example",
        "https://ok.example.evil.com",
        "https://ok.example.evil.com/",
        "https://ok.example@evil.com/",
        "https://ok.example:pw@evil.com/",
        "https://ok.example\\@evil.com/",
        "https://ok.example\\.evil.com/",
        "https:\\\\ok.example/",
        "https:/ok.example/",
        "//ok.example/",
        "/done",
        "http://ok.example/",
        "HTTPS://OK.EXAMPLE/",
        "https://ok.example:8443/",
        "https://ok.example%2eevil.com/",
        "https://ok.example#@evil.com/",
        "https://ok.example?@evil.com/",
        "http://localhost:80000/",
        "http://localhost:8000.evil.com/",
        "javascript:alert(1)",
        "javascript://ok.example/%0aalert(1)",
        "data:text/html,hi",
        "https://ok.example/\r\nSet-Cookie: a=b",
        "https://ok.example/\nx",
        "https://ok.example/\tx",
        "https://ok.example/a b",
        "https://ok.example/\\evil.com",
        "https://ok.example/\u00e4",
        "https://ok.example/\u202e",
        "https://ok.example/\x00",
        "https://ok.example/{OTHER}",
        "https://ok.example/{CHECKOUT_SESSION_ID",
        "https://ok.example/<script>",
        "https://ok.example/" + "x" * 2000,
        "",
        " ",
        7,
        ["https://ok.example/"],
        {"url": "https://ok.example/"},
    ],
)
@pytest.mark.usefixtures("origins")
def test_only_addresses_of_our_own_origins_are_accepted(
    tuition: World, student: Student, name: str, url: object
) -> None:
    answer = begin(tuition, student, **{name: url})
    assert (answer.status, answer.body["field"]) == (422, name)
    assert tuition.stripe_calls == []


@pytest.mark.parametrize(
    "url",
    [
        "https://ok.example",
        "https://ok.example/",
        "https://ok.example/done?a=b&session={CHECKOUT_SESSION_ID}#top",
        "https://ok.example//evil.com/",
        "https://ok.example/@evil.com",
        "https://ok.example/%0d%0a",
        "http://localhost:8000/x",
    ],
)
@pytest.mark.usefixtures("origins")
def test_an_address_of_ours_is_given_to_stripe_as_it_is(tuition: World, student: Student, url: str) -> None:
    made = begin(tuition, student, success_url=url, cancel_url=url)
    assert made.status == 201
    at_stripe = tuition.at_stripe("GET", f"/v1/checkout/sessions/{made.body['session_id']}")
    assert (at_stripe["success_url"], at_stripe["cancel_url"]) == (url, url)


@pytest.mark.usefixtures("origins")
def test_without_addresses_the_student_comes_back_to_the_first_origin(tuition: World, student: Student) -> None:
    made = begin(tuition, student).body
    at_stripe = tuition.at_stripe("GET", f"/v1/checkout/sessions/{made['session_id']}")
    assert at_stripe["success_url"] == "https://ok.example/?payment=success&session_id={CHECKOUT_SESSION_ID}"
    assert at_stripe["cancel_url"] == "https://ok.example/?payment=canceled"


def test_session_and_intent_say_whose_they_are_and_the_price_stays_in_its_currency(
    tuition: World, student: Student
) -> None:
    made = begin(tuition, student).body
    pay_session(tuition, made["session_id"])
    session = tuition.at_stripe("GET", f"/v1/checkout/sessions/{made['session_id']}")
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{session['payment_intent']}")
    assert session["adaptive_pricing"] == {"enabled": False}
    whose = {"app": "tuition", "environment": "test", "payment_id": made["payment_id"], "user_id": student.sub}
    assert session["metadata"] == intent["metadata"] == {**whose, "track": "DP", "attempt": "1", "kind": "checkout"}
    assert (session["allow_promotion_codes"], intent["setup_future_usage"]) == (None, None)


def pay_session(tuition: World, session_id: str, method: str = "pm_card_visa") -> None:
    """What the hosted page does."""
    amount = tuition.at_stripe("GET", f"/v1/checkout/sessions/{session_id}")["amount_total"]
    done = tuition.at_stripe(
        "POST", f"/v1/payment_pages/{session_id}/confirm", payment_method=method, expected_amount=amount
    )
    assert "error" not in done, done


@pytest.mark.parametrize("order", ["as made", "reversed", "shuffled"])
def test_a_paid_session_enrolls_in_whatever_order_its_events_come(tuition: World, student: Student, order: str) -> None:
    made = begin(tuition, student).body
    pay_session(tuition, made["session_id"])
    tuition.later(5)
    events = tuition.new_events()
    if order == "reversed":
        events.reverse()
    elif order == "shuffled":
        random.Random(7).shuffle(events)
    for event in events:
        assert tuition.deliver(event).status == 200
    shown = tuition.status(student, made["payment_id"]).body
    assert (shown["status"], shown["payment_method"]["last4"]) == ("SUCCEEDED", "4242")
    assert shown["payment_intent_id"].startswith("pi_")
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert tuition.attention(made["payment_id"]) == []
    assert tuition.refund(student, made["payment_id"]).body["status"] == "REFUNDED"
    assert tuition.chain_problem(made["payment_id"]) is None


def test_checkout_session_completed_alone_enrolls_with_stripe_blocked(tuition: World, student: Student) -> None:
    made = begin(tuition, student).body
    pay_session(tuition, made["session_id"])
    completed = next(e for e in tuition.new_events() if e["type"] == "checkout.session.completed")
    tuition.stripe_blocked = True
    assert tuition.deliver(completed).status == 200
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def test_a_delayed_payment_that_fails_closes_the_session_with_its_reason(tuition: World, student: Student) -> None:
    tuition.stop_the_clock()
    made = begin(tuition, student).body
    pay_session(tuition, made["session_id"], "pm_usBankAccount_insufficientFunds")
    tuition.deliver_all()
    assert tuition.status(student, made["payment_id"]).body["status"] == "PROCESSING"
    again = begin(tuition, student)  # nothing is left to pay with
    assert (again.status, again.body["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    tuition.later(10 * 86400)
    tuition.deliver_all()
    assert tuition.status(student, made["payment_id"]).body["status"] == "CANCELED"
    assert begin(tuition, student).status == 201
