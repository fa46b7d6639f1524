"""Buying with a promotion code: Stripe's discount is what is asked, and a code that is refused changes nothing."""

from typing import Any

import pytest

from tests.tables.test_sessions import begin, pay_session, payable
from tests.world import Answer, Student, World
from tuition.payments import promotion_codes


def offer(tuition: World, student: Student, coupon: dict[str, Any] | None = None, **more: Any) -> str:
    """A promotion code at Stripe, its text made of the student's name."""
    made = tuition.at_stripe("POST", "/v1/coupons", **(coupon or {"percent_off": 20}))
    code = more.pop("code", f"SPRING-{student.sub}")
    promotion = {"promotion[type]": "coupon", "promotion[coupon]": made["id"]}
    added = tuition.at_stripe("POST", "/v1/promotion_codes", code=code, **promotion, **more)
    assert "error" not in added, added
    return str(added["code"])


def customer(tuition: World, student: Student) -> str:
    """The Stripe customer of a student, made by a purchase that is begun."""
    return str(tuition.payment(tuition.create(student, "FSD").body["payment_id"]).customer)


def refused(answer: Answer) -> str:
    """The reason of a code that was refused."""
    assert (answer.status, answer.body["field"]) == (422, "promotion_code"), answer
    assert answer.body["type"].endswith("/promotion-code-refused")
    assert answer.body["detail"]
    return str(answer.body["reason"])


def test_a_code_makes_the_price_less_and_enrolls(tuition: World, student: Student) -> None:
    code = offer(tuition, student)
    made = begin(tuition, student, promotion_code=code)
    assert (made.status, made.body["amount"], made.body["currency"]) == (201, 39920, "usd")
    kept = tuition.payment(made.body["payment_id"])
    assert (kept.price.amount, kept.terms.list_amount, kept.terms.promotion_code) == (39920, 49900, code.upper())
    session = tuition.at_stripe("GET", f"/v1/checkout/sessions/{made.body['session_id']}")
    assert (session["amount_subtotal"], session["amount_total"]) == (49900, 39920)
    assert session["allow_promotion_codes"] is None
    pay_session(tuition, made.body["session_id"])
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert tuition.attention(made.body["payment_id"]) == []
    assert tuition.refund(student, made.body["payment_id"]).body["refund_amount"] == 39920


def test_the_same_code_in_any_case_answers_the_open_payment_and_asks_for_no_code_again(
    tuition: World, student: Student
) -> None:
    code = offer(tuition, student, code=f"MiXeD-{student.sub}")
    first = begin(tuition, student, promotion_code=code.lower())
    tuition.stripe_calls.clear()
    second = begin(tuition, student, promotion_code=f" {code.upper()} ")
    assert (first.status, second.status) == (201, 200)
    assert second.body == first.body
    assert tuition.stripe_calls == [f"GET /v1/checkout/sessions/{first.body['session_id']}"]


def test_another_code_or_none_closes_the_open_payment_first(tuition: World, student: Student) -> None:
    one, two = offer(tuition, student), offer(tuition, student, {"percent_off": 50}, code=f"HALF-{student.sub}")
    for more, amount in (
        ({"promotion_code": one}, 39920),
        ({"promotion_code": two}, 24950),
        ({}, 49900),
        ({"promotion_code": one}, 39920),
    ):
        made = begin(tuition, student, **more)
        assert (made.status, made.body["amount"]) == (201, amount)
        assert payable(tuition, student) == [made.body["session_id"]]


def test_a_create_costs_one_call_more_with_a_code_and_none_without(tuition: World, student: Student) -> None:
    customer(tuition, student)
    tuition.stripe_calls.clear()
    code = offer(tuition, student)
    begin(tuition, student, promotion_code=code)
    assert tuition.stripe_calls == ["GET /v1/promotion_codes", "POST /v1/checkout/sessions"]
    other = Student(f"{student.sub}-b")
    customer(tuition, other)
    tuition.stripe_calls.clear()
    begin(tuition, other)
    assert tuition.stripe_calls == ["POST /v1/checkout/sessions"]


REFUSED: dict[str, tuple[dict[str, Any] | None, dict[str, Any], str]] = {
    "switched off": (None, {"active": "false"}, "inactive"),
    "minimum": (None, {"restrictions[minimum_amount]": 50000, "restrictions[minimum_amount_currency]": "usd"}, ""),
    "minimum in eur": (None, {"restrictions[minimum_amount]": 1, "restrictions[minimum_amount_currency]": "eur"}, ""),
    "currency": ({"amount_off": 100, "currency": "eur"}, {}, ""),
    "product": ({"percent_off": 10, "applies_to[products][0]": "prod_1"}, {}, ""),
    "too little left": ({"amount_off": 49870, "currency": "usd"}, {}, ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_code_that_cannot_be_used_says_which_it_is_and_changes_nothing(
    tuition: World, student: Student, case: str
) -> None:
    coupon, rules, reason = REFUSED[case]
    code = offer(tuition, student, coupon, **rules)
    open_now = begin(tuition, student)
    before = tuition.trail(open_now.body["payment_id"])
    assert refused(begin(tuition, student, promotion_code=code)) == (reason or "not-applicable")
    assert tuition.trail(open_now.body["payment_id"]) == before
    assert payable(tuition, student) == [open_now.body["session_id"]]
    again = begin(tuition, student)
    assert (again.status, again.body["session_id"]) == (200, open_now.body["session_id"])


@pytest.mark.parametrize("code", ["NO-SUCH-CODE", "what is this?", "ünknown", "a/../../v1/customers", "x" * 500])
def test_an_unknown_code_begins_nothing_and_uses_no_attempt(tuition: World, student: Student, code: str) -> None:
    assert refused(begin(tuition, student, promotion_code=code)) == "unknown"
    assert tuition.enrolled(student) is None
    assert payable(tuition, student) == []
    made = begin(tuition, student)
    assert tuition.payment(made.body["payment_id"]).attempt == 1


@pytest.mark.parametrize("code", ["", " ", 7, ["A"], "x" * 501, "a\r\nb", None])
def test_a_code_that_is_no_text_is_not_acceptable(tuition: World, student: Student, code: Any) -> None:
    answer = begin(tuition, student, promotion_code=code)
    if code is None:
        assert answer.status == 201
    else:
        assert (answer.status, answer.body["field"]) == (422, "promotion_code")
        assert tuition.stripe_calls == []


def test_an_expired_code_is_refused_by_stripes_clock(tuition: World, student: Student) -> None:
    now = tuition.at_stripe("GET", "/_sim/health")["now"]
    code = offer(tuition, student, expires_at=int(now) + 100)
    late = offer(tuition, student, {"percent_off": 5, "redeem_by": int(now) + 100}, code=f"LATE-{student.sub}")
    tuition.later(101)
    assert refused(begin(tuition, student, promotion_code=code)) == "expired"
    assert refused(begin(tuition, student, promotion_code=late)) == "expired"


def test_a_code_that_is_used_up_is_refused_to_the_next(tuition: World, student: Student) -> None:
    code = offer(tuition, student, max_redemptions=1)
    pay_session(tuition, begin(tuition, student, promotion_code=code).body["session_id"])
    assert refused(begin(tuition, Student(f"{student.sub}-b"), promotion_code=code)) == "used-up"
    assert refused(begin(tuition, student, "FSD", promotion_code=code)) == "used-up"


def test_a_code_of_one_redemption_in_two_open_sessions_is_redeemed_once(tuition: World, student: Student) -> None:
    code = offer(tuition, student, max_redemptions=1)
    other = Student(f"{student.sub}-b")
    one, two = (begin(tuition, who, promotion_code=code).body for who in (student, other))
    pay_session(tuition, one["session_id"])
    late = tuition.at_stripe(
        "POST", f"/v1/payment_pages/{two['session_id']}/confirm", payment_method="pm_card_visa", expected_amount=39920
    )
    assert "error" in late
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert tuition.enrolled(other)["status"] == "PENDING"
    whole = begin(tuition, other)
    assert (whole.status, whole.body["amount"]) == (201, 49900)


def test_a_code_of_one_customer_is_theirs_alone(tuition: World, student: Student) -> None:
    code = offer(tuition, student, customer=customer(tuition, student))
    assert refused(begin(tuition, Student(f"{student.sub}-b"), promotion_code=code)) == "not-applicable"
    assert begin(tuition, student, promotion_code=code).body["amount"] == 39920


def test_of_codes_with_one_text_each_customer_gets_their_own(tuition: World, student: Student) -> None:
    other = Student(f"{student.sub}-b")
    for who, percent in ((student, 10), (other, 30)):
        offer(tuition, student, {"percent_off": percent}, customer=customer(tuition, who))
    amounts = [begin(tuition, who, promotion_code=f"spring-{student.sub}").body["amount"] for who in (student, other)]
    assert amounts == [44910, 34930]


@pytest.mark.parametrize("first", ["card", "free"])
def test_a_code_for_first_purchases_is_refused_after_one_and_the_open_payment_stays(
    tuition: World, student: Student, first: str
) -> None:
    rule = {"restrictions[first_time_transaction]": "true"}
    code = offer(tuition, student, **rule)
    assert begin(tuition, Student(f"{student.sub}-new"), promotion_code=code).body["amount"] == 39920
    if first == "free":
        free = offer(tuition, student, {"percent_off": 100}, code=f"FREE-{student.sub}")
        pay_session(tuition, begin(tuition, student, "FSD", promotion_code=free).body["session_id"])
    else:
        tuition.pay(tuition.create(student, "FSD").body["payment_intent_id"])
    open_now = begin(tuition, student).body
    assert refused(begin(tuition, student, promotion_code=code)) == "not-applicable"
    assert payable(tuition, student) == [open_now["session_id"]]


def test_a_code_for_a_first_purchase_is_not_open_for_two_tracks(tuition: World, student: Student) -> None:
    code = offer(tuition, student, {"percent_off": 100}, **{"restrictions[first_time_transaction]": "true"})
    first = begin(tuition, student, promotion_code=code)
    assert (first.status, first.body["amount"]) == (201, 0)
    assert refused(begin(tuition, student, "FSD", promotion_code=code)) == "not-applicable"
    begin(tuition, student)  # the whole price after all: the code is free again
    second = begin(tuition, student, "FSD", promotion_code=code)
    assert (second.status, second.body["amount"]) == (201, 0)


def test_letters_that_only_look_like_a_codes_do_not_make_it(tuition: World, student: Student) -> None:
    code = offer(tuition, student)
    assert refused(begin(tuition, student, promotion_code=code.replace("S", "\u017f"))) == "unknown"


def test_a_code_that_stripe_refuses_at_the_create_is_the_same_422_and_works_once_it_can(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:

    code = offer(tuition, student)
    (at_stripe,) = tuition.at_stripe("GET", f"/v1/promotion_codes?code={code}")["data"]
    find = promotion_codes.find

    def switched_off_meanwhile(*args: Any) -> str:
        found = find(*args)
        tuition.at_stripe("POST", f"/v1/promotion_codes/{at_stripe['id']}", active="false")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(promotion_codes, "find", switched_off_meanwhile)
        assert refused(begin(tuition, student, promotion_code=code)) == "inactive"
    assert payable(tuition, student) == []
    tuition.at_stripe("POST", f"/v1/promotion_codes/{at_stripe['id']}", active="true")
    made = begin(tuition, student, promotion_code=code)  # Stripe keeps its no under the key: another attempt
    assert (made.status, made.body["amount"]) == (201, 39920)
    assert tuition.payment(made.body["payment_id"]).attempt == 2


def test_a_whole_discount_enrolls_without_an_intent_and_has_nothing_to_refund(tuition: World, student: Student) -> None:
    code = offer(tuition, student, {"percent_off": 100})
    made = begin(tuition, student, promotion_code=code).body
    assert (made["amount"], made["status"]) == (0, "CREATED")
    pay_session(tuition, made["session_id"])
    events = tuition.new_events()
    tuition.stripe_blocked = True
    for event in events:
        assert tuition.deliver(event).status == 200
    tuition.stripe_blocked = False
    shown = tuition.status(student, made["payment_id"]).body
    assert (shown["status"], shown["amount"], shown["payment_intent_id"]) == ("SUCCEEDED", 0, None)
    assert (shown["payment_method"], shown["receipt_url"], shown["refunded"]) == (None, None, False)
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert tuition.attention(made["payment_id"]) == []
    answer = tuition.refund(student, made["payment_id"])
    assert (answer.status, answer.body["type"].rpartition("/")[2]) == (409, "refund-refused")
    assert "free" in answer.body["detail"]
    assert tuition.create(student).body["type"].endswith("/already-enrolled")
    assert tuition.chain_problem(made["payment_id"]) is None


@pytest.mark.parametrize("percent", [20, 100])
def test_a_payment_with_a_code_whose_item_is_missing_is_rebuilt_at_its_price(
    tuition: World, student: Student, percent: int
) -> None:
    made = begin(tuition, student, promotion_code=offer(tuition, student, {"percent_off": percent})).body
    pay_session(tuition, made["session_id"])
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": made["payment_id"]}})
    for event in tuition.new_events():
        if event["type"] == "checkout.session.completed":
            assert tuition.deliver(event).body["outcome"] == "applied"
    assert tuition.payment(made["payment_id"]).price.amount == made["amount"]
    assert tuition.attention(made["payment_id"]) == ["rebuilt"]
    assert tuition.enrolled(student)["status"] == "ENROLLED"


@pytest.mark.parametrize(("fault", "statuses"), [("before", {502}), ("hang", {502, 504}), ("rate_limit", {503})])
def test_stripe_failing_while_a_code_is_looked_up_is_a_problem_and_closes_nothing(
    tuition: World, student: Student, fault: str, statuses: set[int]
) -> None:
    code = offer(tuition, student)
    open_now = begin(tuition, student).body
    tuition.at_stripe("POST", "/_sim/calls", match="GET /v1/promotion_codes", times=9, fail=fault)
    failed = begin(tuition, student, promotion_code=code)
    assert failed.status in statuses
    assert failed.headers["retry-after"]
    assert payable(tuition, student) == [open_now["session_id"]]
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert begin(tuition, student, promotion_code=code).body["amount"] == 39920


@pytest.mark.parametrize("fault", ["before", "after", "hang", "rate_limit", "error"])
def test_stripe_failing_at_the_create_with_a_code_ends_with_one_session_at_the_codes_price(
    tuition: World, student: Student, fault: str
) -> None:
    code = offer(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/checkout/sessions", times=4, fail=fault)
    assert begin(tuition, student, promotion_code=code).status in (201, 502, 503, 504)
    tuition.at_stripe("DELETE", "/_sim/calls")
    made = begin(tuition, student, promotion_code=code)
    assert (made.status in (200, 201), made.body["amount"]) == (True, 39920)
    assert payable(tuition, student) == [made.body["session_id"]]
