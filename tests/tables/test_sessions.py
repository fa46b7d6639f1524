"""Payments by Checkout Session: the rules they share with intents, and those of their own."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from create_checkout_session import handler
from tests.harness import Harness, Response, Student
from tuition.core import timestamps


def open_session(tuition: Harness, student: Student, track: str = "DP", **more: Any) -> Response:
    return tuition.call(handler, student, {"track": track, **more})


def test_a_second_create_returns_the_open_session(tuition: Harness, student: Student) -> None:
    first, second = open_session(tuition, student), open_session(tuition, student)
    assert (first.status, second.status) == (201, 200)
    assert set(first.body) == {"payment_id", "session_id", "url", "amount", "currency", "track", "status"}
    assert first.body["session_id"] == second.body["session_id"]
    assert first.body["url"]
    assert tuition.status(student, first.body["session_id"]).body["status"] == "CREATED"


def test_a_student_can_buy_again_after_their_session_expired(tuition: Harness, student: Student) -> None:
    purchase = open_session(tuition, student).body
    tuition.at_stripe("POST", f"/v1/checkout/sessions/{purchase['session_id']}/expire")
    tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["status"] == "CANCELED"
    assert open_session(tuition, student).status == 201


def test_an_intent_and_a_session_are_never_open_together(tuition: Harness, student: Student) -> None:
    intent = tuition.create(student).body
    session = open_session(tuition, student)
    assert session.status == 201
    assert tuition.status(student, intent["payment_id"]).body["status"] == "CANCELED"
    again = tuition.create(student)
    assert again.status == 201
    assert tuition.status(student, session.body["payment_id"]).body["status"] == "CANCELED"
    assert payable_ids(tuition, student) == [again.body["payment_intent_id"]]


def payable_ids(tuition: Harness, student: Student) -> list[str]:
    """Return the ids of the student's Stripe objects that can still be paid."""
    intents = tuition.at_stripe("GET", "/v1/payment_intents?limit=100")["data"]
    sessions = tuition.at_stripe("GET", "/v1/checkout/sessions?limit=100&status=open")["data"]
    own_ids = [
        i["id"] for i in intents if i["metadata"].get("user_id") == student.sub and i["metadata"]["kind"] == "intent"
    ]
    closed = {i["id"] for i in intents if i["status"] in ("canceled", "succeeded")}
    return [i for i in own_ids if i not in closed] + [
        s["id"] for s in sessions if s["metadata"]["user_id"] == student.sub
    ]


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
def test_a_return_url_outside_our_origins_is_refused(
    tuition: Harness, student: Student, name: str, url: object
) -> None:
    response = open_session(tuition, student, **{name: url})
    assert (response.status, response.body["field"]) == (422, name)
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
def test_a_return_url_of_our_origins_is_passed_to_stripe_unchanged(
    tuition: Harness, student: Student, url: str
) -> None:
    response = open_session(tuition, student, success_url=url, cancel_url=url)
    assert response.status == 201
    session = tuition.at_stripe("GET", f"/v1/checkout/sessions/{response.body['session_id']}")
    assert (session["success_url"], session["cancel_url"]) == (url, url)


@pytest.mark.usefixtures("origins")
def test_without_return_urls_the_student_returns_to_the_first_origin(tuition: Harness, student: Student) -> None:
    purchase = open_session(tuition, student).body
    session = tuition.at_stripe("GET", f"/v1/checkout/sessions/{purchase['session_id']}")
    assert session["success_url"] == "https://ok.example/?payment=success&session_id={CHECKOUT_SESSION_ID}"
    assert session["cancel_url"] == "https://ok.example/?payment=canceled"


def test_a_session_and_its_intent_carry_our_metadata_and_keep_the_price_in_its_currency(
    tuition: Harness, student: Student
) -> None:
    purchase = open_session(tuition, student).body
    pay_session(tuition, purchase["session_id"])
    session = tuition.at_stripe("GET", f"/v1/checkout/sessions/{purchase['session_id']}")
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{session['payment_intent']}")
    assert session["adaptive_pricing"] == {"enabled": False}
    metadata = {"app": "tuition", "environment": "test", "payment_id": purchase["payment_id"], "user_id": student.sub}
    assert session["metadata"] == intent["metadata"] == {**metadata, "track": "DP", "attempt": "1", "kind": "checkout"}
    assert (session["allow_promotion_codes"], intent["setup_future_usage"]) == (None, None)


def pay_session(tuition: Harness, session_id: str, method: str = "pm_card_visa") -> None:
    """Pay a session as Stripe's hosted page does."""
    amount = tuition.at_stripe("GET", f"/v1/checkout/sessions/{session_id}")["amount_total"]
    response = tuition.at_stripe(
        "POST", f"/v1/payment_pages/{session_id}/confirm", payment_method=method, expected_amount=amount
    )
    assert "error" not in response, response


@pytest.mark.parametrize("order", ["as created", "reversed", "shuffled"])
def test_a_paid_session_enrolls_in_any_order_of_its_events(tuition: Harness, student: Student, order: str) -> None:
    purchase = open_session(tuition, student).body
    pay_session(tuition, purchase["session_id"])
    tuition.advance_stripe(5)
    events = tuition.new_events()
    if order == "reversed":
        events.reverse()
    elif order == "shuffled":
        random.Random(7).shuffle(events)
    for event in events:
        assert tuition.deliver(event).status == 200
    payment = tuition.status(student, purchase["payment_id"]).body
    assert (payment["status"], payment["payment_method"]["last4"]) == ("SUCCEEDED", "4242")
    assert payment["payment_intent_id"].startswith("pi_")
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.attention(purchase["payment_id"]) == []
    assert tuition.refund(student, purchase["payment_id"]).body["status"] == "REFUNDED"
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_checkout_session_completed_alone_enrolls_while_stripe_is_blocked(tuition: Harness, student: Student) -> None:
    purchase = open_session(tuition, student).body
    pay_session(tuition, purchase["session_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "checkout.session.completed")
    tuition.stripe_blocked = True
    assert tuition.deliver(event).status == 200
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_a_delayed_payment_that_fails_closes_the_session(tuition: Harness, student: Student) -> None:
    tuition.freeze_time()
    purchase = open_session(tuition, student).body
    pay_session(tuition, purchase["session_id"], "pm_usBankAccount_insufficientFunds")
    tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["status"] == "PROCESSING"
    again = open_session(tuition, student)  # the session can no longer be paid
    assert (again.status, again.body["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    tuition.advance_stripe(10 * 86400)
    tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["status"] == "CANCELED"
    assert open_session(tuition, student).status == 201


# --- a bank account that Stripe must verify first ---

VERIFY_URL = "https://payments.stripe.com/microdeposit/pacs_test_1"


def wait_for_deposit(tuition: Harness, student: Student, session_id: str = "") -> dict[str, Any]:
    """Complete a session with a bank account that is verified by a deposit, which the simulator does not offer."""
    purchase = {"session_id": session_id} if session_id else dict(open_session(tuition, student).body)
    page = f"/v1/payment_pages/{purchase['session_id']}/confirm"
    tuition.at_stripe("POST", page, payment_method="pm_usBankAccount_processing")
    session = tuition.stripe.account.store.find("checkout.session", purchase["session_id"])
    assert session
    intent = tuition.stripe.account.store.find("payment_intent", session["payment_intent"])
    assert intent
    intent["status"] = "requires_action"
    intent["next_action"] = {
        "type": "verify_with_microdeposits",
        "verify_with_microdeposits": {
            "arrival_date": intent["created"] + 86_400,
            "hosted_verification_url": VERIFY_URL,
            "microdeposit_type": "descriptor_code",
        },
    }
    (completed,) = [e for e in tuition.new_events() if e["type"] == "checkout.session.completed"]
    requires_action = {**completed, "id": "evt_deposit", "type": "payment_intent.requires_action"}
    requires_action["data"] = {"object": intent}
    return {**purchase, "events": [completed, requires_action], "until": intent["created"] + 10 * 86_400}


@pytest.mark.parametrize("later", [-5, 0, 5])
@pytest.mark.parametrize("order", [1, -1])
def test_a_session_that_waits_for_a_deposit_says_until_when(
    tuition: Harness, student: Student, later: int, order: int
) -> None:
    purchase = wait_for_deposit(tuition, student)
    completed, requires_action = purchase["events"]
    requires_action["created"] = completed["created"] + later
    for event in (completed, requires_action)[::order]:
        assert tuition.deliver(event).body["outcome"] == "applied"
    (payment,) = tuition.payments(student).body["payments"]
    assert (payment["status"], payment["verify_by"]) == ("CREATED", timestamps.iso(purchase["until"]))


@pytest.mark.parametrize("delivered", [True, False], ids=["known", "not yet known"])
@pytest.mark.parametrize("kind", ["same session", "other session", "intent"])
def test_no_payment_is_begun_beside_a_session_that_waits_for_a_deposit(
    tuition: Harness, student: Student, kind: str, delivered: bool
) -> None:
    purchase = wait_for_deposit(tuition, student)
    for event in purchase["events"] if delivered else ():
        tuition.deliver(event)
    if kind == "intent":
        response = tuition.create(student)
    else:
        response = open_session(tuition, student, **({} if kind == "same session" else {"save_payment_method": True}))
    assert (response.status, response.body["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    assert timestamps.iso(purchase["until"])[:10] in response.body["detail"]
    assert (VERIFY_URL in response.body["detail"]) or (not delivered and "email from Stripe" in response.body["detail"])
    assert payable_ids(tuition, student) == []
    assert len(tuition.payments(student).body["payments"]) == 1


def test_a_session_that_waits_for_a_deposit_after_five_declines_is_not_asked_for_again_and_again(
    tuition: Harness, student: Student
) -> None:
    session = open_session(tuition, student).body["session_id"]
    page = f"/v1/payment_pages/{session}/confirm"
    for _ in range(5):
        tuition.at_stripe("POST", page, payment_method="pm_card_chargeDeclined")
    late = tuition.new_events()
    purchase = wait_for_deposit(tuition, student, session)
    for event in (*purchase["events"], *late):
        assert tuition.deliver(event).status == 200
    tuition.stripe_calls.clear()
    response = open_session(tuition, student)
    assert (response.status, response.body["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    assert timestamps.iso(purchase["until"])[:10] in response.body["detail"]
    assert len(tuition.stripe_calls) <= 4
