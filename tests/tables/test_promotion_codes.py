"""Buying with a promotion code: the price includes Stripe's discount, and a refused code changes nothing."""

from typing import Any

import pytest

from tests.harness import Harness, Response, Student
from tests.tables.test_sessions import open_session, pay_session, payable_ids
from tuition.payments import promotion_codes


def create_code(tuition: Harness, student: Student, coupon: dict[str, Any] | None = None, **params: Any) -> str:
    """Create a promotion code at Stripe; its text contains the student's id."""
    coupon_object = tuition.at_stripe("POST", "/v1/coupons", **(coupon or {"percent_off": 20}))
    code = params.pop("code", f"SPRING-{student.sub}")
    promotion = {"promotion[type]": "coupon", "promotion[coupon]": coupon_object["id"]}
    promotion_code = tuition.at_stripe("POST", "/v1/promotion_codes", code=code, **promotion, **params)
    assert "error" not in promotion_code, promotion_code
    return str(promotion_code["code"])


def customer_of(tuition: Harness, student: Student) -> str:
    """Return the id of the student's Stripe customer, which an open purchase creates."""
    return str(tuition.payment(tuition.create(student, "FSD").body["payment_id"]).customer)


def refusal_reason(response: Response) -> str:
    """Check that a response refuses the code, and return the reason."""
    assert (response.status, response.body["field"]) == (422, "promotion_code"), response
    assert response.body["type"].endswith("/promotion-code-refused")
    assert response.body["detail"]
    return str(response.body["reason"])


def test_a_code_lowers_the_price_and_its_purchase_enrolls(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student)
    response = open_session(tuition, student, promotion_code=code)
    assert (response.status, response.body["amount"], response.body["currency"]) == (201, 39920, "usd")
    payment = tuition.payment(response.body["payment_id"])
    assert (payment.price.amount, payment.terms.list_amount, payment.terms.promotion_code) == (
        39920,
        49900,
        code.upper(),
    )
    session = tuition.at_stripe("GET", f"/v1/checkout/sessions/{response.body['session_id']}")
    assert (session["amount_subtotal"], session["amount_total"]) == (49900, 39920)
    assert session["allow_promotion_codes"] is None
    pay_session(tuition, response.body["session_id"])
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.attention(response.body["payment_id"]) == []
    assert tuition.refund(student, response.body["payment_id"]).body["refund_amount"] == 39920


def test_the_same_code_in_any_case_returns_the_open_payment_without_a_lookup(
    tuition: Harness, student: Student
) -> None:
    code = create_code(tuition, student, code=f"MiXeD-{student.sub}")
    first = open_session(tuition, student, promotion_code=code.lower())
    tuition.stripe_calls.clear()
    second = open_session(tuition, student, promotion_code=f" {code.upper()} ")
    assert (first.status, second.status) == (201, 200)
    assert second.body == first.body
    assert tuition.stripe_calls == [f"GET /v1/checkout/sessions/{first.body['session_id']}"]


def test_another_code_or_none_closes_the_open_payment_first(tuition: Harness, student: Student) -> None:
    code, half_code = (
        create_code(tuition, student),
        create_code(tuition, student, {"percent_off": 50}, code=f"HALF-{student.sub}"),
    )
    for params, amount in (
        ({"promotion_code": code}, 39920),
        ({"promotion_code": half_code}, 24950),
        ({}, 49900),
        ({"promotion_code": code}, 39920),
    ):
        response = open_session(tuition, student, **params)
        assert (response.status, response.body["amount"]) == (201, amount)
        assert payable_ids(tuition, student) == [response.body["session_id"]]


def test_a_create_with_a_code_makes_one_more_call(tuition: Harness, student: Student) -> None:
    customer_of(tuition, student)
    tuition.stripe_calls.clear()
    code = create_code(tuition, student)
    open_session(tuition, student, promotion_code=code)
    assert tuition.stripe_calls == ["GET /v1/promotion_codes", "POST /v1/checkout/sessions"]
    other = Student(f"{student.sub}-b")
    customer_of(tuition, other)
    tuition.stripe_calls.clear()
    open_session(tuition, other)
    assert tuition.stripe_calls == ["POST /v1/checkout/sessions"]


REFUSED: dict[str, tuple[dict[str, Any] | None, dict[str, Any], str]] = {
    "switched off": (None, {"active": "false"}, "unknown"),
    "minimum": (None, {"restrictions[minimum_amount]": 50000, "restrictions[minimum_amount_currency]": "usd"}, ""),
    "minimum in eur": (None, {"restrictions[minimum_amount]": 1, "restrictions[minimum_amount_currency]": "eur"}, ""),
    "currency": ({"amount_off": 100, "currency": "eur"}, {}, ""),
    "product": ({"percent_off": 10, "applies_to[products][0]": "prod_1"}, {}, ""),
    "remaining amount too small": ({"amount_off": 49870, "currency": "usd"}, {}, ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unusable_code_is_refused_with_its_reason_and_changes_nothing(
    tuition: Harness, student: Student, case: str
) -> None:
    coupon, rules, reason = REFUSED[case]
    code = create_code(tuition, student, coupon, **rules)
    response = open_session(tuition, student)
    before = tuition.audit_trail(response.body["payment_id"])
    assert refusal_reason(open_session(tuition, student, promotion_code=code)) == (reason or "not-applicable")
    assert tuition.audit_trail(response.body["payment_id"]) == before
    assert payable_ids(tuition, student) == [response.body["session_id"]]
    again = open_session(tuition, student)
    assert (again.status, again.body["session_id"]) == (200, response.body["session_id"])


@pytest.mark.parametrize("code", ["NO-SUCH-CODE", "what is this?", "ünknown", "a/../../v1/customers", "x" * 500])
def test_an_unknown_code_opens_nothing_and_uses_no_attempt(tuition: Harness, student: Student, code: str) -> None:
    assert refusal_reason(open_session(tuition, student, promotion_code=code)) == "unknown"
    assert tuition.enrollment(student) is None
    assert payable_ids(tuition, student) == []
    response = open_session(tuition, student)
    assert tuition.payment(response.body["payment_id"]).attempt == 1


@pytest.mark.parametrize("code", ["", " ", 7, ["A"], "x" * 501, "a\r\nb", None])
def test_an_invalid_code_is_refused(tuition: Harness, student: Student, code: Any) -> None:
    response = open_session(tuition, student, promotion_code=code)
    if code is None:
        assert response.status == 201
    else:
        assert (response.status, response.body["field"]) == (422, "promotion_code")
        assert tuition.stripe_calls == []


def test_a_code_expires_by_stripes_clock(tuition: Harness, student: Student) -> None:
    now = tuition.at_stripe("GET", "/_sim/health")["now"]
    code = create_code(tuition, student, expires_at=int(now) + 100)
    coupon_code = create_code(
        tuition, student, {"percent_off": 5, "redeem_by": int(now) + 100}, code=f"LATE-{student.sub}"
    )
    tuition.advance_stripe(101)
    assert refusal_reason(open_session(tuition, student, promotion_code=code)) == "expired"
    assert refusal_reason(open_session(tuition, student, promotion_code=coupon_code)) == "expired"


def test_a_used_up_code_is_refused_to_the_next_student(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student, max_redemptions=1)
    pay_session(tuition, open_session(tuition, student, promotion_code=code).body["session_id"])
    assert refusal_reason(open_session(tuition, Student(f"{student.sub}-b"), promotion_code=code)) == "used-up"
    assert refusal_reason(open_session(tuition, student, "FSD", promotion_code=code)) == "used-up"


def test_a_code_with_one_redemption_in_two_open_sessions_is_redeemed_once(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student, max_redemptions=1)
    other = Student(f"{student.sub}-b")
    first, second = (open_session(tuition, user, promotion_code=code).body for user in (student, other))
    pay_session(tuition, first["session_id"])
    response = tuition.at_stripe(
        "POST",
        f"/v1/payment_pages/{second['session_id']}/confirm",
        may_be_refused=True,
        payment_method="pm_card_visa",
        expected_amount=39920,
    )
    assert "error" in response
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.enrollment(other)["status"] == "PENDING"
    full_price = open_session(tuition, other)
    assert (full_price.status, full_price.body["amount"]) == (201, 49900)


@pytest.mark.parametrize("end", ["used up", "coupon used up", "expired", "switched off", "first purchase made"])
def test_a_session_whose_code_can_no_longer_be_paid_with_is_not_answered_again(
    tuition: Harness, student: Student, end: str
) -> None:
    other = Student(f"{student.sub}-b")
    coupon, rules, reason = {
        "used up": ({"percent_off": 20}, {"max_redemptions": 1}, "used-up"),
        "coupon used up": ({"percent_off": 20, "max_redemptions": 1}, {}, "used-up"),
        "expired": (
            {"percent_off": 20},
            {"expires_at": int(tuition.at_stripe("GET", "/_sim/health")["now"]) + 100},
            "expired",
        ),
        "switched off": ({"percent_off": 20}, {}, "unknown"),
        "first purchase made": (
            {"percent_off": 20},
            {"restrictions[first_time_transaction]": "true"},
            "not-applicable",
        ),
    }[end]
    code = create_code(tuition, student, coupon, **rules)
    session = open_session(tuition, student, promotion_code=code).body
    assert open_session(tuition, student, promotion_code=code).body == session
    if end == "expired":
        tuition.advance_time(101)
    elif end == "switched off":
        (promotion_code,) = tuition.at_stripe("GET", f"/v1/promotion_codes?code={code}")["data"]
        tuition.at_stripe("POST", f"/v1/promotion_codes/{promotion_code['id']}", active="false")
    elif end == "first purchase made":
        tuition.pay(tuition.create(student, "FSD").body["payment_intent_id"])
    else:
        pay_session(tuition, open_session(tuition, other, promotion_code=code).body["session_id"])
    for _ in range(2):
        assert refusal_reason(open_session(tuition, student, promotion_code=code)) == reason
    assert payable_ids(tuition, student) == [session["session_id"]]
    full_price = open_session(tuition, student)
    assert (full_price.status, full_price.body["amount"]) == (201, 49900)
    assert payable_ids(tuition, student) == [full_price.body["session_id"]]


def test_a_code_of_one_customer_is_refused_to_others(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student, customer=customer_of(tuition, student))
    assert refusal_reason(open_session(tuition, Student(f"{student.sub}-b"), promotion_code=code)) == "unknown"
    assert open_session(tuition, student, promotion_code=code).body["amount"] == 39920


def test_an_unknown_an_inactive_and_another_customers_code_get_the_same_answer(
    tuition: Harness, student: Student
) -> None:
    other = Student(f"{student.sub}-b")
    expired_at = int(tuition.at_stripe("GET", "/_sim/health")["now"]) + 100
    codes = [
        f"NO-SUCH-{student.sub}",
        create_code(tuition, student, code=f"OFF-{student.sub}", active="false"),
        create_code(tuition, student, code=f"OTHERS-{student.sub}", customer=customer_of(tuition, other)),
        create_code(
            tuition,
            student,
            code=f"OTHERS-FIRST-{student.sub}",
            customer=customer_of(tuition, other),
            **{"restrictions[first_time_transaction]": "true"},
        ),
        create_code(
            tuition,
            student,
            code=f"OTHERS-LATE-{student.sub}",
            customer=customer_of(tuition, other),
            expires_at=expired_at,
        ),
    ]
    customer_of(tuition, student)
    tuition.advance_stripe(101)
    answers, calls = [], []
    for code in codes:
        tuition.stripe_calls.clear()
        answers.append(open_session(tuition, student, promotion_code=code))
        calls.append(list(tuition.stripe_calls))
    assert refusal_reason(answers[0]) == "unknown"
    assert [(answer.status, answer.body) for answer in answers] == [(422, answers[0].body)] * len(codes)
    assert calls == [["GET /v1/promotion_codes"]] * len(codes)


def test_customers_whose_codes_share_a_text_each_get_their_own(tuition: Harness, student: Student) -> None:
    other = Student(f"{student.sub}-b")
    for user, percent in ((student, 10), (other, 30)):
        create_code(tuition, student, {"percent_off": percent}, customer=customer_of(tuition, user))
    amounts = [
        open_session(tuition, user, promotion_code=f"spring-{student.sub}").body["amount"] for user in (student, other)
    ]
    assert amounts == [44910, 34930]


@pytest.mark.parametrize("first", ["card", "free"])
def test_a_first_purchase_code_is_refused_after_a_purchase_and_the_open_payment_stays(
    tuition: Harness, student: Student, first: str
) -> None:
    rule = {"restrictions[first_time_transaction]": "true"}
    code = create_code(tuition, student, **rule)
    assert open_session(tuition, Student(f"{student.sub}-new"), promotion_code=code).body["amount"] == 39920
    if first == "free":
        free_code = create_code(tuition, student, {"percent_off": 100}, code=f"FREE-{student.sub}")
        pay_session(tuition, open_session(tuition, student, "FSD", promotion_code=free_code).body["session_id"])
    else:
        tuition.pay(tuition.create(student, "FSD").body["payment_intent_id"])
    session = open_session(tuition, student).body
    assert refusal_reason(open_session(tuition, student, promotion_code=code)) == "not-applicable"
    assert payable_ids(tuition, student) == [session["session_id"]]


def test_a_first_purchase_code_cannot_be_open_for_two_tracks(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student, {"percent_off": 100}, **{"restrictions[first_time_transaction]": "true"})
    first = open_session(tuition, student, promotion_code=code)
    assert (first.status, first.body["amount"]) == (201, 0)
    assert refusal_reason(open_session(tuition, student, "FSD", promotion_code=code)) == "not-applicable"
    open_session(tuition, student)  # at the full price, which frees the code
    second = open_session(tuition, student, "FSD", promotion_code=code)
    assert (second.status, second.body["amount"]) == (201, 0)


def test_a_code_with_look_alike_letters_is_unknown(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student)
    assert refusal_reason(open_session(tuition, student, promotion_code=code.replace("S", "\u017f"))) == "unknown"


def test_a_code_that_stripe_refuses_at_the_create_is_refused_the_same_way_and_can_be_used_later(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:

    code = create_code(tuition, student)
    (promotion_code,) = tuition.at_stripe("GET", f"/v1/promotion_codes?code={code}")["data"]
    real_find = promotion_codes.find

    def find_and_deactivate(*args: Any) -> str:
        code_id = real_find(*args)
        tuition.at_stripe("POST", f"/v1/promotion_codes/{promotion_code['id']}", active="false")
        return code_id

    with monkeypatch.context() as patched:
        patched.setattr(promotion_codes, "find", find_and_deactivate)
        assert refusal_reason(open_session(tuition, student, promotion_code=code)) == "unknown"
    assert payable_ids(tuition, student) == []
    tuition.at_stripe("POST", f"/v1/promotion_codes/{promotion_code['id']}", active="true")
    # Stripe cached its refusal under the first idempotency key, so this create uses the next attempt.
    response = open_session(tuition, student, promotion_code=code)
    assert (response.status, response.body["amount"]) == (201, 39920)
    assert tuition.payment(response.body["payment_id"]).attempt == 2


def test_a_free_purchase_enrolls_without_an_intent_and_cannot_be_refunded(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student, {"percent_off": 100})
    purchase = open_session(tuition, student, promotion_code=code).body
    assert (purchase["amount"], purchase["status"]) == (0, "CREATED")
    pay_session(tuition, purchase["session_id"])
    events = tuition.new_events()
    tuition.stripe_blocked = True
    for event in events:
        assert tuition.deliver(event).status == 200
    tuition.stripe_blocked = False
    payment = tuition.status(student, purchase["payment_id"]).body
    assert (payment["status"], payment["amount"], payment["payment_intent_id"]) == ("SUCCEEDED", 0, None)
    assert (payment["payment_method"], payment["receipt_url"], payment["refunded"]) == (None, None, False)
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.attention(purchase["payment_id"]) == []
    response = tuition.refund(student, purchase["payment_id"])
    assert (response.status, response.body["type"].rpartition("/")[2]) == (409, "refund-refused")
    assert "free" in response.body["detail"]
    assert tuition.create(student).body["type"].endswith("/already-enrolled")
    assert tuition.chain_problem(purchase["payment_id"]) is None


@pytest.mark.parametrize("percent", [20, 100])
def test_a_lost_payment_with_a_code_is_rebuilt_at_its_price(tuition: Harness, student: Student, percent: int) -> None:
    purchase = open_session(
        tuition, student, promotion_code=create_code(tuition, student, {"percent_off": percent})
    ).body
    pay_session(tuition, purchase["session_id"])
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": purchase["payment_id"]}})
    for event in tuition.new_events():
        if event["type"] == "checkout.session.completed":
            assert tuition.deliver(event).body["outcome"] == "applied"
    assert tuition.payment(purchase["payment_id"]).price.amount == purchase["amount"]
    assert tuition.attention(purchase["payment_id"]) == ["rebuilt"]
    assert tuition.enrollment(student)["status"] == "ENROLLED"


@pytest.mark.parametrize(("fault", "statuses"), [("before", {502}), ("hang", {502, 504}), ("rate_limit", {503})])
def test_a_code_lookup_that_fails_at_stripe_closes_nothing(
    tuition: Harness, student: Student, fault: str, statuses: set[int]
) -> None:
    code = create_code(tuition, student)
    session = open_session(tuition, student).body
    tuition.at_stripe("POST", "/_sim/calls", match="GET /v1/promotion_codes", times=9, fail=fault)
    response = open_session(tuition, student, promotion_code=code)
    assert response.status in statuses
    assert response.headers["retry-after"]
    assert payable_ids(tuition, student) == [session["session_id"]]
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert open_session(tuition, student, promotion_code=code).body["amount"] == 39920


@pytest.mark.parametrize("fault", ["before", "after", "hang", "rate_limit", "error"])
def test_a_create_with_a_code_retried_after_a_stripe_failure_leaves_one_session_at_its_price(
    tuition: Harness, student: Student, fault: str
) -> None:
    code = create_code(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/checkout/sessions", times=4, fail=fault)
    assert open_session(tuition, student, promotion_code=code).status in (201, 502, 503, 504)
    tuition.at_stripe("DELETE", "/_sim/calls")
    response = open_session(tuition, student, promotion_code=code)
    assert (response.status in (200, 201), response.body["amount"]) == (True, 39920)
    assert payable_ids(tuition, student) == [response.body["session_id"]]
