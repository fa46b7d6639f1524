"""The preview of a promotion code: the price of a create, and no way to find codes that creates do not show."""

from typing import Any

import pytest

from tests.harness import Harness, Response, Student
from tests.tables.test_promotion_codes import create_code, customer_of, refusal_reason
from tests.tables.test_sessions import open_session, pay_session


def problem(response: Response) -> tuple[int, str]:
    return response.status, response.body["type"].rpartition("/")[2]


@pytest.mark.parametrize(
    ("coupon", "track"),
    [
        ({"percent_off": 20}, "DP"),
        ({"percent_off": 33.33}, "DP"),
        ({"percent_off": 12.5}, "FSD"),
        ({"percent_off": 33.333}, "DP"),
        ({"percent_off": 99.9}, "DP"),
        ({"percent_off": 100}, "DP"),
        ({"amount_off": 9990, "currency": "usd"}, "FSD"),
        ({"amount_off": 60000, "currency": "usd"}, "DP"),
    ],
)
def test_a_preview_has_the_price_that_stripe_asks_for(
    tuition: Harness, student: Student, coupon: dict[str, Any], track: str
) -> None:
    code = create_code(tuition, student, coupon)
    preview = tuition.preview(student, code.lower(), track)
    assert (preview.status, preview.body["promotion_code"]) == (200, code)
    session = open_session(tuition, student, track, promotion_code=code)
    payment = tuition.order(student, session.body["payment_id"]).body
    fields = ("list_amount", "discount")
    assert {name: preview.body[name] for name in fields} == {name: payment[name] for name in fields}
    assert (preview.body["amount"], preview.body["currency"]) == (session.body["amount"], session.body["currency"])


def test_a_preview_begins_and_reserves_nothing(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student, max_redemptions=1)
    session = open_session(tuition, student, "FSD").body
    before = len(tuition.stripe_calls)
    assert tuition.preview(student, code).status == 200
    assert tuition.stripe_calls[before:] == ["GET /v1/promotion_codes"]
    assert [each["payment_id"] for each in tuition.payments(student).body["payments"]] == [session["payment_id"]]
    other = Student(f"other-{student.sub}")
    pay_session(tuition, open_session(tuition, other, promotion_code=code).body["session_id"])
    assert refusal_reason(tuition.preview(student, code)) == "used-up"


def test_refused_codes_of_previews_and_creates_count_together(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student)
    for _ in range(20):
        assert tuition.preview(student, code).status == 200
    for number in range(3):
        assert refusal_reason(tuition.preview(student, f"GUESS-{number}")) == "unknown"
    for number in range(2):
        assert refusal_reason(open_session(tuition, student, promotion_code=f"TRY-{number}")) == "unknown"
    calls = len(tuition.stripe_calls)
    for response in (tuition.preview(student, "GUESS-9"), tuition.preview(student, code)):
        assert problem(response) == (429, "too-many-requests")
        assert int(response.headers["retry-after"]) > 0
    assert len(tuition.stripe_calls) == calls
    assert tuition.create(student).status == 201


def test_previews_count_as_requests_to_stripe(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = create_code(tuition, student)
    tuition.freeze_time()
    answers = [tuition.preview(student, code).status for _ in range(61)]
    assert answers == [200] * 60 + [429]


def test_a_code_of_another_customer_and_an_unknown_one_get_the_same_answer(tuition: Harness, student: Student) -> None:
    other = Student(f"other-{student.sub}")
    code = create_code(tuition, student, customer=customer_of(tuition, other))
    theirs, unknown = tuition.preview(student, code), tuition.preview(student, "NO-SUCH-CODE")
    assert theirs.body == unknown.body
    assert refusal_reason(theirs) == "unknown"


def test_a_student_who_may_not_buy_learns_nothing_about_codes(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student)
    unverified = Student(student.sub, verified=False)
    assert problem(tuition.preview(unverified, code)) == (403, "forbidden")
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    calls = len(tuition.stripe_calls)
    for each in (code, "NO-SUCH-CODE"):
        assert problem(tuition.preview(student, each)) == (409, "already-enrolled")
    assert len(tuition.stripe_calls) == calls
