"""Saved payment methods: with consent only, seen and forgotten by their owner alone, and good for the next purchase."""

from typing import Any

import pytest

from stripe_simulator.resources import checkout_sessions, payment_methods
from tests.tables.test_sessions import begin, payable
from tests.world import Student, World
from tuition.payments import customers
from tuition.stripe_gateway import client as stripe_client


def save(tuition: World, student: Student, method: str = "pm_card_visa", track: str = "FSD") -> str:
    """Buy a track with a method that is saved; answers the id that it has among the saved ones."""
    before = {known["id"] for known in tuition.saved(student).body["payment_methods"]}
    made = tuition.create(student, track, save_payment_method=True).body
    assert "error" not in tuition.pay(made["payment_intent_id"], method)
    (new,) = [m["id"] for m in tuition.saved(student).body["payment_methods"] if m["id"] not in before]
    return str(new)


def on_the_page(tuition: World, session_id: str, *, tick: bool) -> None:
    """Pay as the form of Stripe's page does, with or without the box for saving."""
    account = tuition.stripe.account
    method = payment_methods.make(account, "card:4242424242424242", {})
    checkout_sessions.pay(account, account.store.get("checkout.session", session_id), method, save=tick)


def test_who_has_bought_nothing_has_saved_nothing_and_stripe_is_not_asked(tuition: World, student: Student) -> None:
    assert tuition.saved(student).body == {"payment_methods": [], "next_cursor": None}
    assert tuition.forget(student, "pm_123").status == 404
    assert tuition.stripe_calls == []


def test_a_card_is_saved_with_consent_only_and_nothing_more_than_its_summary_is_shown(
    tuition: World, student: Student
) -> None:
    tuition.pay(tuition.create(student, "FSD").body["payment_intent_id"])
    assert tuition.saved(student).body["payment_methods"] == []
    method = save(tuition, student, track="DP")
    shown = {"id": method, "type": "card", "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2034}
    assert tuition.saved(student).body == {"payment_methods": [shown], "next_cursor": None}


def test_a_bank_account_is_shown_by_its_last_four(tuition: World, student: Student) -> None:
    method = save(tuition, student, "pm_usBankAccount_success")
    nothing = dict.fromkeys(("brand", "exp_month", "exp_year"))
    shown = {"id": method, "type": "us_bank_account", "last4": "6789", **nothing}
    assert tuition.saved(student).body["payment_methods"] == [shown]


@pytest.mark.parametrize(("asked", "tick", "saved"), [(True, True, 1), (True, False, 0), (False, True, 0)])
def test_on_stripes_page_only_who_ticks_the_box_has_their_card_saved(
    tuition: World, student: Student, asked: bool, tick: bool, saved: int
) -> None:
    made = begin(tuition, student, save_payment_method=asked).body
    on_the_page(tuition, made["session_id"], tick=tick)
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert len(tuition.saved(student).body["payment_methods"]) == saved


def test_a_saved_card_pays_the_next_purchase(tuition: World, student: Student) -> None:
    method = save(tuition, student)
    made = tuition.create(student, payment_method=method)
    assert made.status == 201
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{made.body['payment_intent_id']}")
    assert (intent["payment_method"], intent["setup_future_usage"]) == (method, None)
    assert tuition.at_stripe("POST", f"/v1/payment_intents/{intent['id']}/confirm")["status"] == "succeeded"
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert tuition.create(student, payment_method=method).status == 409


def test_the_open_payment_with_a_saved_card_is_answered_again_and_another_card_closes_it(
    tuition: World, student: Student
) -> None:
    one = save(tuition, student)
    two = tuition.at_stripe(
        "POST", "/v1/payment_methods/pm_card_mastercard/attach", customer=customer(tuition, student)
    )
    first, again = (tuition.create(student, payment_method=one) for _ in range(2))
    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    other = tuition.create(student, payment_method=two["id"])
    assert other.status == 201
    assert payable(tuition, student) == [other.body["payment_intent_id"]]


def customer(tuition: World, student: Student) -> str:
    found = tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"]
    return str(found["stripe_customer_id"]["S"])


def test_a_create_with_a_saved_card_costs_one_call_more(tuition: World, student: Student) -> None:
    method = save(tuition, student)
    tuition.stripe_calls.clear()
    tuition.create(student, payment_method=method)
    found = f"GET /v1/customers/{customer(tuition, student)}/payment_methods/{method}"
    assert tuition.stripe_calls == [found, "POST /v1/payment_intents"]


@pytest.mark.parametrize("whose", ["another student's", "nobody's", "detached", "a test card's", "not an id", "a path"])
def test_a_method_that_is_not_theirs_is_refused_and_changes_nothing(
    tuition: World, student: Student, whose: str
) -> None:
    mine = save(tuition, student)
    other = Student(f"{student.sub}-b")
    method = {
        "another student's": lambda: save(tuition, other),
        "nobody's": lambda: tuition.at_stripe("POST", "/v1/payment_methods", type="card", **TOKEN)["id"],
        "detached": lambda: tuition.forget(student, mine).body["id"],
        "a test card's": lambda: "pm_card_visa",
        "not an id": lambda: "4242 4242 4242 4242",
        "a path": lambda: f"../../{customer(tuition, student)}",
    }[whose]()
    open_now = begin(tuition, student).body
    answer = tuition.create(student, payment_method=method)
    assert (answer.status, answer.body["field"]) == (422, "payment_method")
    assert payable(tuition, student) == [open_now["session_id"]]


TOKEN = {"card[token]": "tok_visa"}


def test_a_card_that_is_forgotten_while_its_payment_is_open_is_refused_and_another_way_is_open(
    tuition: World, student: Student
) -> None:
    method = save(tuition, student)
    tuition.create(student, payment_method=method)
    tuition.forget(student, method)
    assert tuition.create(student, payment_method=method).status == 422
    made = tuition.create(student)
    assert (made.status, payable(tuition, student)) == (201, [made.body["payment_intent_id"]])


def test_a_card_that_is_forgotten_between_the_look_and_the_create_is_the_same_422(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:

    method = save(tuition, student)
    require = customers.require_saved

    def forgotten_meanwhile(*args: Any) -> None:
        require(*args)
        tuition.at_stripe("POST", f"/v1/payment_methods/{method}/detach")

    monkeypatch.setattr(customers, "require_saved", forgotten_meanwhile)
    answer = tuition.create(student, payment_method=method)
    assert (answer.status, answer.body["field"]) == (422, "payment_method")
    assert payable(tuition, student) == []


def test_a_card_that_is_forgotten_is_gone_at_stripe_and_twice_is_404(tuition: World, student: Student) -> None:
    method = save(tuition, student)
    assert tuition.forget(student, method).body == {"id": method, "detached": True}
    assert tuition.at_stripe("GET", f"/v1/payment_methods/{method}")["customer"] is None
    assert tuition.saved(student).body["payment_methods"] == []
    assert tuition.forget(student, method).status == 404


def test_nobody_sees_or_forgets_anothers_card_nor_learns_that_it_is_there(tuition: World, student: Student) -> None:
    method = save(tuition, student)
    other = Student(f"{student.sub}-b")
    save(tuition, other)
    assert method not in str(tuition.saved(other).body)
    theirs, nobodys = tuition.forget(other, method), tuition.forget(other, "pm_unknown")
    assert (theirs.status, theirs.body) == (404, nobodys.body)
    assert [m["id"] for m in tuition.saved(student).body["payment_methods"]] == [method]
    assert tuition.saved(other, cursor=method).status == 422


@pytest.mark.parametrize(
    "method", ["", "pm_ü", "../cus_1", "pm_1/../../cus_1", "pm_1?x", "pm_1 ", "x" * 256, "pm_\x00"]
)
def test_what_can_be_no_id_is_404_without_asking_stripe(tuition: World, student: Student, method: str) -> None:
    save(tuition, student)
    tuition.stripe_calls.clear()
    assert tuition.forget(student, method).status == 404
    assert tuition.stripe_calls == []


def test_two_who_forget_one_card_at_once_both_hear_that_it_is_gone(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:

    method = save(tuition, student)
    retrieve, raced = stripe_client.retrieve_payment_method, []

    def first_again(*args: Any) -> Any:
        found = retrieve(*args)
        if not raced:
            raced.append(True)
            assert tuition.forget(student, method).status == 200
        return found

    monkeypatch.setattr(stripe_client, "retrieve_payment_method", first_again)
    assert tuition.forget(student, method).status == 200
    assert tuition.saved(student).body["payment_methods"] == []


@pytest.mark.parametrize(("fault", "statuses"), [("before", {502}), ("hang", {502, 504}), ("rate_limit", {503})])
@pytest.mark.parametrize("match", ["GET /v1/customers/*/payment_methods/*", "POST /v1/payment_methods/*/detach"])
def test_stripe_failing_while_a_card_is_forgotten_is_a_problem_and_the_next_try_ends_it(
    tuition: World, student: Student, match: str, fault: str, statuses: set[int]
) -> None:
    method = save(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match=match, times=9, fail=fault)
    failed = tuition.forget(student, method)
    assert failed.status in statuses
    assert failed.headers["content-type"] == "application/problem+json"
    assert failed.headers["retry-after"]
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert tuition.forget(student, method).status in (200, 404)
    assert tuition.saved(student).body["payment_methods"] == []


def test_an_answer_that_was_lost_once_is_not_noticed(tuition: World, student: Student) -> None:
    method = save(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/payment_methods/*/detach", times=1, fail="after")
    assert tuition.forget(student, method).body == {"id": method, "detached": True}


@pytest.mark.parametrize(("fault", "status"), [("before", 502), ("rate_limit", 503)])
def test_stripe_failing_while_methods_are_listed_is_a_problem(
    tuition: World, student: Student, fault: str, status: int
) -> None:
    save(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="GET /v1/customers/*/payment_methods", times=9, fail=fault)
    assert tuition.saved(student).status == status


def test_many_methods_come_page_by_page_newest_first(tuition: World, student: Student) -> None:
    methods = [save(tuition, student)]
    for _ in range(4):
        path = "/v1/payment_methods/pm_card_visa/attach"
        methods.append(tuition.at_stripe("POST", path, customer=customer(tuition, student))["id"])
    found, cursor = [], None
    for size in (2, 2, 1):
        page = tuition.saved(student, limit="2", **({"cursor": cursor} if cursor else {})).body
        assert len(page["payment_methods"]) == size
        found += [method["id"] for method in page["payment_methods"]]
        cursor = page["next_cursor"]
    assert (found, cursor) == (methods[::-1], None)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"cursor": ""}, {"cursor": "a/b"}, {"user": "x"}])
def test_a_list_that_cannot_be_asked_for_is_not_acceptable(
    tuition: World, student: Student, query: dict[str, str]
) -> None:
    assert tuition.saved(student, **query).status == 422


def test_a_customer_deleted_at_stripe_has_saved_nothing(tuition: World, student: Student) -> None:
    method = save(tuition, student)
    tuition.at_stripe("DELETE", f"/v1/customers/{customer(tuition, student)}")
    assert tuition.saved(student).body == {"payment_methods": [], "next_cursor": None}
    assert tuition.forget(student, method).status == 404
    assert tuition.create(student, payment_method=method).status == 422


def test_without_an_identity_nothing_is_listed_or_forgotten(tuition: World) -> None:
    nobody = Student("")
    assert (tuition.saved(nobody).status, tuition.forget(nobody, "pm_1").status) == (401, 401)
