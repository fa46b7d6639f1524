"""A student begins a payment plan, pays its installments, chooses its payment method, and ends it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import Harness, Response, Student
from tests.limits import set_limits
from tests.plan_calls import (
    FIRST,
    REST,
    begin,
    call,
    consent,
    listed,
    lose,
    offer_plans,
    paid_twice_and_refunded_once,
    pay,
    read,
    set_up,
    started,
)
from tests.tables.test_sessions import open_session, pay_session, payable_ids
from tuition.core import timestamps
from tuition.payments import opening
from tuition.storage import keys, ledger, queries

DAY = 86_400
HOUR = 3_600


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch) -> None:
    offer_plans(monkeypatch.setattr)


def problem(response: Response) -> tuple[int, str]:
    return response.status, str(response.body.get("type", "")).rpartition("/")[2]


def intent_of(w: Harness, body: Any) -> dict[str, Any]:
    return w.at_stripe("GET", f"/v1/payment_intents/{body['payment_intent_id']}")


# --- beginning ---


def test_a_begun_plan_asks_for_its_first_installment_and_keeps_the_method(tuition: Harness, student: Student) -> None:
    opened = begin(tuition, student)
    assert opened.status == 201, opened
    body = opened.body
    shown = {name: body[name] for name in ("kind", "track", "membership", "offer", "amount", "currency", "status")}
    assert shown == {
        "kind": "installments", "track": "DP", "membership": None, "offer": "4x", "amount": FIRST, "currency": "usd",
        "status": "OPEN",
    }  # fmt: skip
    assert (body["session_id"], body["url"]) == (None, None)
    assert [one["amount"] for one in body["schedule"]] == [FIRST] * 4
    assert body["schedule"][0]["due"] < body["schedule"][1]["due"] < body["schedule"][3]["due"]
    intent = intent_of(tuition, body)
    assert (intent["setup_future_usage"], intent["amount"]) == ("off_session", FIRST)
    assert intent["client_secret"] == body["client_secret"]
    metadata = {name: intent["metadata"][name] for name in ("plan", "covers", "payment_id", "track", "kind")}
    assert metadata == {
        "plan": body["plan_id"], "covers": "1", "payment_id": body["payment_id"], "track": "DP", "kind": "intent",
    }  # fmt: skip
    assert tuition.enrollment(student) is None or tuition.enrollment(student)["status"] == "PENDING"
    plan = read(tuition, student, body["plan_id"])
    assert (plan["status"], plan["grants_access"], plan["received"], plan["total"]) == ("OPEN", False, 0, 4 * FIRST)
    assert listed(tuition, student) == {"plans": [plan], "next_cursor": None}
    assert tuition.chain_problem(body["payment_id"]) is None


def test_the_first_payment_starts_the_plan_and_sets_its_dates(tuition: Harness, student: Student) -> None:
    opened = started(tuition, student)
    plan = read(tuition, student, opened["plan_id"])
    assert (plan["status"], plan["grants_access"], plan["outstanding"]) == ("ACTIVE", True, REST)
    assert [one["state"] for one in plan["schedule"]] == ["paid", "upcoming", "upcoming", "upcoming"]
    assert [one["due"] for one in plan["schedule"]] == [one["due"] for one in opened["schedule"]]
    assert plan["next"]["seqs"] == [2]
    assert plan["rest"] == {"seqs": [2, 3, 4], "amount": REST}
    assert plan["due"] is None
    assert plan["payment_method"]["type"] == "card"
    enrollment = tuition.enrollment(student)
    assert enrollment["status"] == "ENROLLED"
    assert enrollment["projects"][0]["unlocked"]
    for again in (begin(tuition, student), tuition.create(student), open_session(tuition, student)):
        assert problem(again) == (409, "already-enrolled")


def test_a_plan_begins_on_stripes_page_too(tuition: Harness, student: Student) -> None:
    opened = begin(tuition, student, via="checkout")
    assert (opened.status, opened.body["client_secret"]) == (201, None)
    assert opened.body["url"]
    pay_session(tuition, opened.body["session_id"])
    tuition.deliver_all()
    plan = read(tuition, student, opened.body["plan_id"])
    assert (plan["status"], plan["payment_method"]["type"]) == ("ACTIVE", "card")
    intents = tuition.at_stripe("GET", "/v1/payment_intents?limit=100")["data"]
    (intent,) = [one for one in intents if one["metadata"].get("plan") == opened.body["plan_id"]]
    assert (intent["setup_future_usage"], intent["metadata"]["covers"]) == ("off_session", "1")


def test_the_same_choice_returns_the_same_plan(tuition: Harness, student: Student) -> None:
    for more in ({}, {"via": "checkout"}):
        first, again = begin(tuition, student, **more), begin(tuition, student, **more)
        assert (first.status, again.status) == (201, 200)
        assert first.body == again.body
    assert len(payable_ids(tuition, student)) == 1


def test_a_begin_that_was_killed_and_is_repeated_later_finds_its_own_object(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the agreement differs, and no parameter under the key may."""
    tuition.freeze_time()

    def kill(*_: Any, **__: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as killed:
        killed.setattr(opening, "commit", kill)
        with pytest.raises(SystemExit):
            begin(tuition, student)
    tuition.advance_time(90)
    opened = begin(tuition, student).body
    assert payable_ids(tuition, student) == [opened["payment_intent_id"]]
    assert ledger.load_plan(opened["plan_id"]).existing_plan.attempt == 1
    (intent,) = [
        one
        for one in tuition.at_stripe("GET", "/v1/payment_intents", limit="100")["data"]
        if one["metadata"].get("user_id") == student.sub
    ]
    assert intent["id"] == opened["payment_intent_id"]


@pytest.mark.parametrize("lost", [("plans",), ("payments",), ("plans", "payments"), ("plans", "payments", "audit")])
def test_an_open_plan_that_a_restore_has_lost_keeps_no_student_from_beginning(
    tuition: Harness, student: Student, lost: tuple[str, ...]
) -> None:
    opened = begin(tuition, student).body
    if "plans" in lost:
        tuition.tables.delete_item(TableName="plans", Key={"plan_id": {"S": opened["plan_id"]}})
    if "payments" in lost:
        lose(tuition, opened)
    for subject in (opened["plan_id"], opened["payment_id"]) if "audit" in lost else ():
        for item in queries.audit_items(subject):
            tuition.tables.delete_item(TableName="audit", Key={name: item[name] for name in ("subject", "sort_key")})
    tuition.advance_time(HOUR)
    again = begin(tuition, student)
    assert again.status in (200, 201), again
    assert payable_ids(tuition, student) == [again.body["payment_intent_id"]]
    tuition.pay(again.body["payment_intent_id"])
    tuition.advance_stripe(3)
    tuition.deliver_all()
    assert read(tuition, student, again.body["plan_id"])["status"] == "ACTIVE"
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert problem(begin(tuition, student)) == (409, "already-enrolled")


@pytest.mark.parametrize(
    ("is_started", "read_as", "ended_as"), [(False, "OPEN", "ABANDONED"), (True, "ACTIVE", "REFUNDED")]
)
def test_a_plan_whose_open_payment_a_restore_has_lost_is_read_and_ended(
    tuition: Harness, student: Student, is_started: bool, read_as: str, ended_as: str
) -> None:
    opened = started(tuition, student) if is_started else begin(tuition, student).body
    lost = pay(tuition, student, opened["plan_id"]).body if is_started else opened
    lose(tuition, lost)
    assert read(tuition, student, opened["plan_id"])["status"] == read_as
    ended = cancel(tuition, student, opened["plan_id"])
    assert (ended.status, ended.body["status"]) == (200, ended_as), ended
    assert payable_ids(tuition, student) == []


def test_an_installment_that_a_restore_has_lost_is_closed_before_its_student_pays_another(
    tuition: Harness, student: Student
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    lost = pay(tuition, student, plan_id).body
    lose(tuition, lost)
    again = pay(tuition, student, plan_id)
    assert (again.status, payable_ids(tuition, student)) == (201, [again.body["payment_intent_id"]])


def test_a_plan_is_closed_once_a_purchase_that_a_restore_had_lost_turns_out_to_be_paid(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    for table, key in (
        ("payments", keys.payment_key(purchase["payment_id"])),
        ("enrollments", keys.enrollment_key(student.sub, "DP")),
        ("stripe_objects", keys.stripe_object_key(purchase["payment_intent_id"])),
    ):
        tuition.tables.delete_item(TableName=table, Key=key)
    for item in queries.audit_items(purchase["payment_id"]):
        tuition.tables.delete_item(TableName="audit", Key={name: item[name] for name in ("subject", "sort_key")})
    plan_id = begin(tuition, student).body["plan_id"]
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_stripe(3)
    report = tuition.reconcile()
    assert (report["drifted"], report["closed"], report["failed"]) == (1, 1, [])
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert read(tuition, student, plan_id)["status"] == "ABANDONED"
    assert payable_ids(tuition, student) == []


def test_another_choice_closes_the_open_payment_and_its_plan_is_abandoned(tuition: Harness, student: Student) -> None:
    choices: list[Callable[[], Response]] = [
        lambda: begin(tuition, student),
        lambda: begin(tuition, student, via="checkout"),
        lambda: tuition.create(student),
        lambda: begin(tuition, student),
        lambda: open_session(tuition, student),
        lambda: begin(tuition, student),
    ]
    plans = []
    for choose in choices:
        response = choose()
        assert response.status == 201, response
        assert len(payable_ids(tuition, student)) == 1
        plans += [response.body["plan_id"]] if "plan_id" in response.body else []
    *abandoned, last = plans
    assert len({*plans}) == len(plans)
    assert {read(tuition, student, plan_id)["status"] for plan_id in abandoned} == {"ABANDONED"}
    assert read(tuition, student, last)["status"] == "OPEN"
    tuition.deliver_all()
    assert [one["plan_id"] for one in listed(tuition, student, limit="1")["plans"]] == [last]
    assert [one["plan_id"] for one in listed(tuition, student)["plans"]] == plans[::-1]


@pytest.mark.parametrize("other", ["begin", "create"])
def test_nothing_else_begins_while_a_bank_is_processing_the_first_installment(
    tuition: Harness, student: Student, other: str
) -> None:
    opened = begin(tuition, student).body
    tuition.pay(opened["payment_intent_id"], "pm_usBankAccount_success")
    tuition.deliver_all()
    response = tuition.create(student) if other == "create" else begin(tuition, student, via="checkout")
    assert problem(response) == (409, "payment-in-progress")
    assert problem(pay(tuition, student, opened["plan_id"])) == (409, "plan-not-payable")
    tuition.advance_time(5 * DAY)
    tuition.deliver_all()
    assert read(tuition, student, opened["plan_id"])["status"] == "ACTIVE"


def test_a_first_installment_that_the_bank_refuses_after_days_leaves_nothing_open(
    tuition: Harness, student: Student
) -> None:
    opened = begin(tuition, student, via="checkout").body
    pay_session(tuition, opened["session_id"], "pm_usBankAccount_insufficientFunds")
    tuition.advance_time(5 * DAY)
    tuition.deliver_all()
    assert read(tuition, student, opened["plan_id"])["status"] == "ABANDONED"
    assert begin(tuition, student).status == 201


BAD_INPUT: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "track": ({"track": "NO"}, (422, "unknown-track")),
    "offer": ({"offer": "9x"}, (422, "unknown-offer")),
    "full": ({"offer": "full"}, (422, "not-a-plan")),
    "membership": ({"track": None, "membership": "NO"}, (422, "unknown-offer")),
    "neither": ({"track": None}, (422, "unprocessable")),
    "both": ({"membership": "NO"}, (422, "unprocessable")),
    "consent": ({"consent": "1999-01"}, (422, "consent-outdated")),
    "no consent": ({"consent": None}, (422, "unprocessable")),
    "code": ({"promotion_code": "SPRING"}, (422, "promotion-code-not-accepted")),
    "page to return to": ({"success_url": 5}, (422, "unprocessable")),
    "via": ({"via": "phone"}, (422, "unprocessable")),
    "method": ({"payment_method": "pm_none"}, (422, "unprocessable")),
    "method of checkout": ({"payment_method": "pm_1", "via": "checkout"}, (422, "unprocessable")),
    "terms": ({"terms": "1999-01"}, (409, "terms-changed")),
    "amount": ({"amount": 1}, (422, "unprocessable")),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_refused_with_its_own_type_and_writes_nothing(
    tuition: Harness, student: Student, name: str
) -> None:
    body, expected = BAD_INPUT[name]
    response = begin(tuition, student, **body)
    assert problem(response) == expected
    if name == "consent":
        assert response.body["current_consent"] == consent(tuition)
    assert listed(tuition, student)["plans"] == []
    assert list(queries.payments_of_user(student.sub)) == []


def test_a_region_without_plans_offers_none(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = consent(tuition)
    set_limits(monkeypatch, plan_regions="EU")
    assert problem(begin(tuition, student, consent=version)) == (422, "region-not-offered")


def test_another_users_plan_is_not_found(tuition: Harness, student: Student) -> None:
    plan_id = started(tuition, student)["plan_id"]
    eve = Student(f"eve-{student.sub}")
    for method, action, body in [
        ("GET", "", None), ("GET", "statement", None), ("POST", "pay", {"what": "next"}),
        ("POST", "payment-method", {}), ("POST", "cancel", {}), ("POST", "resume", {}),
        ("POST", "tracks", {"track": "DP"}),
    ]:  # fmt: skip
        assert problem(call(tuition, eve, method, plan_id, action, body)) == (404, "not-found"), action
        assert problem(call(tuition, student, method, "pln_none", action, body)) == (404, "not-found"), action


# --- paying ---


def test_installments_are_paid_early_one_by_one_and_the_rest_at_once(tuition: Harness, student: Student) -> None:
    plan_id = started(tuition, student)["plan_id"]
    second = pay(tuition, student, plan_id)
    assert (second.status, second.body["covers"], second.body["amount"]) == (201, [2], FIRST)
    assert intent_of(tuition, second.body)["setup_future_usage"] is None
    again = pay(tuition, student, plan_id)
    assert (again.status, again.body) == (200, second.body)
    rest = pay(tuition, student, plan_id, "rest")
    assert (rest.status, rest.body["covers"], rest.body["amount"]) == (201, [2, 3, 4], REST)
    assert payable_ids(tuition, student) == [rest.body["payment_intent_id"]]
    tuition.pay(rest.body["payment_intent_id"])
    tuition.deliver_all()
    plan = read(tuition, student, plan_id)
    assert (plan["status"], plan["outstanding"], plan["next"]) == ("COMPLETE", 0, None)
    assert problem(pay(tuition, student, plan_id)) == (409, "plan-not-payable")
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    statement = call(tuition, student, "GET", plan_id, "statement").body
    assert (statement["received"], statement["balance"]) == (4 * FIRST, 4 * FIRST)
    assert [(one["kind"], one["seqs"], one["amount"]) for one in statement["lines"]] == [
        ("requested", [1], FIRST), ("received", [1], FIRST),
        ("requested", [2, 3, 4], REST), ("received", [2, 3, 4], REST),
    ]  # fmt: skip


def test_nothing_due_is_nothing_to_pay(tuition: Harness, student: Student) -> None:
    plan_id = started(tuition, student)["plan_id"]
    assert problem(pay(tuition, student, plan_id, "due")) == (409, "nothing-due")
    tuition.advance_time(70 * DAY)
    due = pay(tuition, student, plan_id, "due")
    assert (due.body["covers"], due.body["amount"]) == ([2, 3], 2 * FIRST)
    assert problem(call(tuition, student, "POST", plan_id, "pay", {"what": "all"})) == (422, "unprocessable")


def test_no_other_payment_of_a_plan_begins_while_a_bank_is_processing_one(tuition: Harness, student: Student) -> None:
    plan_id = started(tuition, student)["plan_id"]
    second = pay(tuition, student, plan_id).body
    tuition.pay(second["payment_intent_id"], "pm_usBankAccount_success")
    for what in ("next", "rest"):
        assert problem(pay(tuition, student, plan_id, what)) == (409, "payment-in-progress")
    tuition.deliver_all()
    plan = read(tuition, student, plan_id)
    assert (plan["schedule"][1]["state"], plan["payable"], plan["rest"]) == ("processing", False, None)
    tuition.advance_time(5 * DAY)
    tuition.deliver_all()
    assert read(tuition, student, plan_id)["schedule"][1]["state"] == "paid"


def test_a_plan_is_paid_also_while_the_school_sells_nothing(tuition: Harness, student: Student, admin: Student) -> None:
    plan_id = started(tuition, student)["plan_id"]
    route = "POST /api/admin/selling"
    tuition.admin(admin, route, {"selling": False, "note": "a price is wrong"})
    try:
        assert pay(tuition, student, plan_id).status == 201
        other = Student(f"other-{student.sub}")
        assert problem(begin(tuition, other)) == (409, "not-selling")
    finally:
        tuition.admin(admin, route, {"selling": True, "note": "corrected"})


@pytest.mark.parametrize("fail", ["before", "after", "error"])
def test_a_payment_of_a_plan_survives_a_failure_of_stripe(tuition: Harness, student: Student, fail: str) -> None:
    plan_id = started(tuition, student)["plan_id"]
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/payment_intents", times=3, fail=fail)
    first = pay(tuition, student, plan_id)
    tuition.at_stripe("DELETE", "/_sim/calls")
    response = pay(tuition, student, plan_id)
    assert (first.status in (201, 502), response.status in (200, 201)) == (True, True), (first, response)
    assert payable_ids(tuition, student) == [response.body["payment_intent_id"]]


@pytest.mark.parametrize(("period", "wait_s"), [("hour", 3600), ("day", DAY)])
def test_too_many_declines_stop_paying_for_a_while(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, period: str, wait_s: int
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    set_limits(monkeypatch, **{"declines_per_hour": 9, "declines_per_day": 9, f"declines_per_{period}": 2})
    second = pay(tuition, student, plan_id).body
    for _ in range(3):
        tuition.pay(second["payment_intent_id"], "pm_card_chargeDeclined")
    tuition.deliver_all()
    refused = pay(tuition, student, plan_id)
    assert problem(refused) == (429, "too-many-requests")
    assert abs(int(refused.headers["retry-after"]) - wait_s) < 60
    tuition.advance_time(wait_s + 60)
    assert pay(tuition, student, plan_id).status in (200, 201)


def test_an_installment_that_was_declined_five_times_is_paid_on_the_next_day_or_by_another_method(
    tuition: Harness, student: Student
) -> None:
    tuition.freeze_time(timestamps.epoch("2026-03-10T12:00:00Z"))
    plan_id = started(tuition, student)["plan_id"]
    second = pay(tuition, student, plan_id).body["payment_intent_id"]
    for _ in range(5):
        tuition.pay(second, "pm_card_chargeDeclined")
    tuition.deliver_all()
    assert payable_ids(tuition, student) == []
    for what in ("next", "rest"):
        refused = pay(tuition, student, plan_id, what)
        assert problem(refused) == (429, "too-many-requests")
        assert abs(int(refused.headers["retry-after"]) - DAY // 2) < 60  # it is noon
    assert set_up(tuition, student, plan_id)
    tuition.advance_time(DAY // 2 + 60)
    again = pay(tuition, student, plan_id)
    assert (again.status, payable_ids(tuition, student)) == (201, [again.body["payment_intent_id"]])


def test_payments_of_a_plan_that_replace_each_other_are_limited(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    set_limits(monkeypatch, payments_per_hour=3)
    responses = [pay(tuition, student, plan_id, what) for what in ("next", "rest", "next", "rest")]
    assert [response.status for response in responses] == [201, 201, 429, 200]
    assert payable_ids(tuition, student) == [responses[1].body["payment_intent_id"]]


# --- the payment method ---


def choose(w: Harness, student: Student, plan_id: str, method: str) -> Response:
    return call(w, student, "POST", plan_id, "payment-method", {"payment_method": method})


def test_the_later_installments_are_charged_to_the_method_that_the_student_chose_last(
    tuition: Harness, student: Student
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    first = read(tuition, student, plan_id)["payment_method"]["id"]
    setup, again = (call(tuition, student, "POST", plan_id, "payment-method", {}) for _ in range(2))
    assert setup.body == again.body
    tuition.advance_time(60)
    method = set_up(tuition, student, plan_id)
    assert choose(tuition, student, plan_id, method).body["payment_method"] == {"id": method, "type": "card"}
    records = len(tuition.stored_records())
    assert choose(tuition, student, plan_id, method).status == 200
    assert len(tuition.stored_records()) == records
    assert first != method
    tuition.advance_time(60)
    assert set_up(tuition, student, plan_id, first) == first  # the saved card, again
    assert choose(tuition, student, plan_id, first).body["payment_method"]["id"] == first
    tuition.deliver_all()
    assert read(tuition, student, plan_id)["payment_method"]["id"] == first


def test_a_method_stays_saved_as_long_as_a_plan_will_charge_it_or_a_copy_of_it(
    tuition: Harness, student: Student
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    first = read(tuition, student, plan_id)["payment_method"]["id"]
    member_id = member(tuition, student)
    copy = read(tuition, student, member_id)["payment_method"]["id"]
    assert copy != first
    response = tuition.remove_method(student, first)
    assert (*problem(response), response.body["plan_id"]) == (409, "payment-method-in-use", member_id)
    assert cancel(tuition, student, member_id).status == 200
    for method in (first, copy):
        response = tuition.remove_method(student, method)
        assert (*problem(response), response.body["plan_id"]) == (409, "payment-method-in-use", plan_id)
    tuition.advance_time(60)
    choose(tuition, student, plan_id, set_up(tuition, student, plan_id))
    assert tuition.remove_method(student, first).status == 200
    assert tuition.saved_methods(student).body["payment_methods"][0]["brand"] == "mastercard"


def test_only_a_method_that_stripe_has_set_up_for_the_student_can_be_chosen(tuition: Harness, student: Student) -> None:
    plan_id = started(tuition, student)["plan_id"]
    eve = Student(f"eve-{student.sub}")
    foreign = set_up(tuition, eve, started(tuition, eve)["plan_id"])
    for method, type_ in [
        (foreign, "unprocessable"), ("pm_none", "unprocessable"), ("../customers", "unprocessable"),
        (read(tuition, student, plan_id)["payment_method"]["id"], "payment-method-not-reusable"),
    ]:  # fmt: skip
        assert problem(choose(tuition, student, plan_id, method)) == (422, type_), method


@pytest.mark.parametrize("finds", ["webhook", "reconciler"])
def test_a_method_is_kept_and_lost_by_its_events_alone_each_recorded_once(
    tuition: Harness, student: Student, finds: str
) -> None:
    plan_id = started(tuition, student)["plan_id"]

    def find() -> None:
        events = tuition.new_events()
        if finds == "webhook":
            assert [tuition.deliver(event).status for event in [*events, *events]] == [200] * len(events) * 2
        else:
            tuition.advance_time(HOUR)
            assert [tuition.reconcile()["done"] for _ in range(2)] == [True, True]

    tuition.advance_time(60)
    method = set_up(tuition, student, plan_id)
    find()
    assert read(tuition, student, plan_id)["payment_method"]["id"] == method
    tuition.at_stripe("POST", f"/v1/payment_methods/{method}/detach")
    find()
    assert read(tuition, student, plan_id)["payment_method"]["id"] != method
    customer = next(iter(queries.payments_of_user(student.sub))).customer
    tuition.at_stripe("DELETE", f"/_sim/customers/{customer}")
    find()
    assert read(tuition, student, plan_id)["payment_method"] is None
    assert [record["type"] for record in tuition.audit_trail(plan_id)][-3:] == [
        "setup_intent.succeeded", "payment_method.detached", "customer.deleted",
    ]  # fmt: skip


# --- ending ---


def cancel(w: Harness, student: Student, plan_id: str, **body: Any) -> Response:
    return call(w, student, "POST", plan_id, "cancel", body)


def test_a_plan_of_which_nothing_is_paid_is_closed(tuition: Harness, student: Student) -> None:
    plan_id = begin(tuition, student).body["plan_id"]
    assert read(tuition, student, plan_id)["can_cancel"]
    for body in (None, {}):
        canceled = call(tuition, student, "POST", plan_id, "cancel", body)
        assert (canceled.status, canceled.body["status"]) == (200, "ABANDONED")
    assert payable_ids(tuition, student) == []


def test_within_the_refund_window_the_whole_plan_is_withdrawn(tuition: Harness, student: Student) -> None:
    opened = started(tuition, student)
    tuition.pay(pay(tuition, student, opened["plan_id"]).body["payment_intent_id"])
    tuition.deliver_all()
    tuition.advance_time(3 * DAY)
    for _ in range(2):
        canceled = cancel(tuition, student, opened["plan_id"])
        assert (canceled.status, canceled.body["status"]) == (200, "REFUNDED"), canceled
        assert (canceled.body["received"], canceled.body["refunded"]) == (2 * FIRST, 2 * FIRST)
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    refunds = tuition.at_stripe("GET", "/v1/refunds?limit=100")["data"]
    own = [one for one in refunds if one["metadata"].get("user_id") == student.sub]
    assert [one["amount"] for one in own] == [FIRST, FIRST]
    assert begin(tuition, student).status == 201


def test_a_refund_request_for_one_installment_withdraws_the_whole_plan(tuition: Harness, student: Student) -> None:
    opened = started(tuition, student)
    second = pay(tuition, student, opened["plan_id"]).body
    tuition.pay(second["payment_intent_id"])
    tuition.deliver_all()
    requested = tuition.refund(student, second["payment_id"])
    assert (requested.status, requested.body["refund_request"]["state"]) == (200, "succeeded"), requested
    assert read(tuition, student, opened["plan_id"])["status"] == "REFUNDED"


@pytest.mark.parametrize("case", ["late", "bank debit", "debit in progress", "again"])
def test_staff_decide_where_they_decide_about_a_payment_without_a_plan(
    tuition: Harness, student: Student, case: str
) -> None:
    if case == "again":
        assert cancel(tuition, student, started(tuition, student)["plan_id"]).body["status"] == "REFUNDED"
    method = "pm_usBankAccount_success" if case == "bank debit" else "pm_card_visa"
    opened = started(tuition, student, method)
    tuition.advance_time(20 * DAY if case == "late" else 6 * DAY)
    tuition.deliver_all()
    if case == "debit in progress":
        second = pay(tuition, student, opened["plan_id"]).body["payment_intent_id"]
        assert tuition.pay(second, "pm_usBankAccount_success")["status"] == "processing"
        tuition.deliver_all()
    assert problem(cancel(tuition, student, opened["plan_id"])) == (422, "unprocessable")
    for _ in range(2):
        canceled = cancel(tuition, student, opened["plan_id"], reason="moved away")
        assert (canceled.status, canceled.body["status"]) == (202, "ACTIVE"), canceled
        assert canceled.body["refund_request"]["state"] == "awaiting_approval"
    assert canceled.body["next"]["attempt_at"] is None


def test_a_refund_request_is_stored_where_money_is_left_and_the_plan_names_the_payment(
    tuition: Harness, student: Student
) -> None:
    opened, second = paid_twice_and_refunded_once(tuition, student)
    tuition.advance_time(20 * DAY)
    for _ in range(2):
        canceled = cancel(tuition, student, opened["plan_id"], reason="moved away")
        assert (canceled.status, canceled.body["refund_request"]["amount"]) == (202, FIRST), canceled
        assert canceled.body["refund_request_payment_id"] == second["payment_id"]
    request_id = canceled.body["refund_request"]["id"]
    assert tuition.withdraw_request(student, second["payment_id"], request_id).status == 200
    assert read(tuition, student, opened["plan_id"])["refund_request_payment_id"] is None


def test_a_debit_whose_event_is_late_is_known_before_a_plan_is_withdrawn(tuition: Harness, student: Student) -> None:
    """Else its money would go back twice: by the refund, and by the bank that returns the debit."""
    plan_id = started(tuition, student)["plan_id"]
    tuition.pay(pay(tuition, student, plan_id).body["payment_intent_id"], "pm_usBankAccount_success")
    tuition.new_events()  # they are lost
    assert problem(cancel(tuition, student, plan_id)) == (422, "unprocessable")
    canceled = cancel(tuition, student, plan_id, reason="moved away")
    assert (canceled.status, canceled.body["status"]) == (202, "ACTIVE")


def test_a_failed_refund_of_a_withdrawn_plan_is_repeated_with_the_request(tuition: Harness, student: Student) -> None:
    opened = started(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=9, fail="before")
    canceled = cancel(tuition, student, opened["plan_id"])
    assert (canceled.status, canceled.body["grants_access"]) == (200, False)
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert cancel(tuition, student, opened["plan_id"]).body["refunded"] == FIRST


# --- memberships ---

MEMBER = {"track": None, "membership": "ALL", "offer": "monthly"}


def member(w: Harness, student: Student) -> str:
    """Begin a membership, and pay its first period. Return the plan."""
    return str(started(w, student, consent=consent_of_member(w), **MEMBER)["plan_id"])


def consent_of_member(w: Harness) -> str:
    (membership,) = w.tracks().body["memberships"]
    return str(membership["offers"][0]["consent"]["version"])


def begin_track(w: Harness, student: Student, plan_id: str, track: str) -> Response:
    return call(w, student, "POST", plan_id, "tracks", {"track": track})


def test_a_member_begins_tracks(tuition: Harness, student: Student) -> None:
    plan_id = member(tuition, student)
    plan = read(tuition, student, plan_id)
    shown = {name: plan[name] for name in ("kind", "membership", "track", "grants", "total", "status", "grants_access")}
    assert shown == {
        "kind": "membership", "membership": "ALL", "track": None, "grants": [], "total": None, "status": "ACTIVE",
        "grants_access": True,
    }  # fmt: skip
    assert plan["paid_through"] == plan["schedule"][1]["due"]
    assert tuition.enrollment(student) is None
    for track in ("DP", "FSD"):
        opened, again = (begin_track(tuition, student, plan_id, track) for _ in range(2))
        assert (opened.status, again.status) == (201, 200), opened
        enrollment = tuition.enrollment(student, track)
        assert (enrollment["status"], enrollment["projects"][0]["unlocked"]) == ("ENROLLED", True)
    assert opened.body["grants"] == ["DP", "FSD"]
    assert problem(begin_track(tuition, student, plan_id, "NO")) == (422, "unknown-track")
    assert problem(tuition.create(student)) == (409, "already-enrolled")
    assert problem(begin(tuition, student, consent=consent_of_member(tuition), **MEMBER)) == (409, "already-enrolled")


def test_a_member_who_bought_a_track_does_not_begin_it(tuition: Harness, student: Student) -> None:
    tuition.pay(tuition.create(student).body["payment_intent_id"])
    tuition.deliver_all()
    plan_id = member(tuition, student)
    assert problem(begin_track(tuition, student, plan_id, "DP")) == (409, "already-enrolled")
    assert begin_track(tuition, student, plan_id, "FSD").status == 201


def test_a_membership_ends_with_its_period_unless_it_is_resumed(tuition: Harness, student: Student) -> None:
    plan_id = member(tuition, student)
    for _ in range(2):
        canceled = cancel(tuition, student, plan_id)
        assert (canceled.status, canceled.body["status"], canceled.body["grants_access"]) == (200, "ACTIVE", True)
        assert canceled.body["cancel_at"] == canceled.body["paid_through"]
        assert (canceled.body["can_cancel"], canceled.body["can_resume"]) == (False, True)
        assert (canceled.body["next"], canceled.body["payable"]) == (None, False)
    assert problem(pay(tuition, student, plan_id)) == (409, "plan-not-payable")
    for _ in range(2):
        resumed = call(tuition, student, "POST", plan_id, "resume", {})
        assert (resumed.status, resumed.body["cancel_at"], resumed.body["can_cancel"]) == (200, None, True)
    assert pay(tuition, student, plan_id).body["covers"] == [2]
    assert [record["type"] for record in tuition.audit_trail(plan_id)][:3] == [
        "plan.created", "plan.decision.cancel", "plan.decision.undo_cancel",
    ]  # fmt: skip


def test_joining_again_after_the_end_is_a_new_plan_and_no_double_payment(tuition: Harness, student: Student) -> None:
    first = member(tuition, student)
    begin_track(tuition, student, first, "DP")
    cancel(tuition, student, first)
    tuition.advance_time(40 * DAY)
    tuition.collect()
    assert (read(tuition, student, first)["status"], tuition.enrollment(student)["status"]) == ("CLOSED", "WITHDRAWN")
    again = started(tuition, student, consent=consent_of_member(tuition), **MEMBER)
    plan = read(tuition, student, again["plan_id"])
    assert (plan["status"], plan["schedule"][1]["state"], tuition.attention(again["payment_id"])) == (
        "ACTIVE", "upcoming", [],
    )  # fmt: skip
    assert begin_track(tuition, student, again["plan_id"], "DP").status == 201
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_a_refund_request_of_a_new_member_withdraws_the_membership(tuition: Harness, student: Student) -> None:
    opened = started(tuition, student, consent=consent_of_member(tuition), **MEMBER)
    begin_track(tuition, student, opened["plan_id"], "DP")
    assert tuition.refund(student, opened["payment_id"]).status == 200
    assert read(tuition, student, opened["plan_id"])["status"] == "REFUNDED"
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    again = begin(tuition, student, consent=consent_of_member(tuition), **MEMBER)
    assert (again.status, again.body["plan_id"] == opened["plan_id"]) == (201, False)


def test_only_a_membership_is_resumed_and_begins_tracks(tuition: Harness, student: Student) -> None:
    plan_id = started(tuition, student)["plan_id"]
    assert problem(call(tuition, student, "POST", plan_id, "resume", {})) == (409, "conflict")
    assert problem(begin_track(tuition, student, plan_id, "FSD")) == (409, "no-membership-access")


def test_the_days_are_those_of_the_school(tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, school_time_zone="Pacific/Auckland")
    tuition.freeze_time(timestamps.epoch("2026-11-30T20:00:00.000Z"))
    opened = started(tuition, student)
    assert [one["due"] for one in opened["schedule"]] == ["2026-12-01", "2027-01-01", "2027-02-01", "2027-03-01"]
    assert [one["due"] for one in read(tuition, student, opened["plan_id"])["schedule"]] == [
        one["due"] for one in opened["schedule"]
    ]
