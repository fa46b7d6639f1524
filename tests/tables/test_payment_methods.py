"""Saved payment methods: saved only with consent, shown to and removed by their owner only, and used for purchases."""

from typing import Any

import pytest

from stripe_simulator.resources import checkout_sessions, payment_methods
from tests.harness import Harness, Student
from tests.tables.test_sessions import open_session, payable_ids
from tuition.payments import customers
from tuition.stripe_gateway import client as stripe_client


def save_method(tuition: Harness, student: Student, method: str = "pm_card_visa", track: str = "FSD") -> str:
    """Buy a track with a method that is saved, and return the method's id."""
    before = {m["id"] for m in tuition.saved_methods(student).body["payment_methods"]}
    purchase = tuition.create(student, track, save_payment_method=True).body
    assert "error" not in tuition.pay(purchase["payment_intent_id"], method)
    (new_id,) = [m["id"] for m in tuition.saved_methods(student).body["payment_methods"] if m["id"] not in before]
    return str(new_id)


def pay_on_page(tuition: Harness, session_id: str, *, tick: bool) -> None:
    """Pay with a card in the form of Stripe's page, with or without ticking the box that saves it."""
    account = tuition.stripe.account
    method = payment_methods.make(account, "card:4242424242424242", {})
    checkout_sessions.pay(account, account.store.get("checkout.session", session_id), method, save=tick)


def test_a_student_without_purchases_has_no_saved_methods_and_stripe_is_not_called(
    tuition: Harness, student: Student
) -> None:
    assert tuition.saved_methods(student).body == {"payment_methods": [], "next_cursor": None}
    assert tuition.remove_method(student, "pm_123").status == 404
    assert tuition.stripe_calls == []


def test_a_card_is_saved_only_with_consent_and_only_its_summary_is_shown(tuition: Harness, student: Student) -> None:
    tuition.pay(tuition.create(student, "FSD").body["payment_intent_id"])
    assert tuition.saved_methods(student).body["payment_methods"] == []
    method = save_method(tuition, student, track="DP")
    summary = {"id": method, "type": "card", "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2034}
    assert tuition.saved_methods(student).body == {"payment_methods": [summary], "next_cursor": None}


def test_a_bank_account_is_shown_by_its_last_four_digits(tuition: Harness, student: Student) -> None:
    method = save_method(tuition, student, "pm_usBankAccount_success")
    unset = dict.fromkeys(("brand", "exp_month", "exp_year"))
    summary = {"id": method, "type": "us_bank_account", "last4": "6789", **unset}
    assert tuition.saved_methods(student).body["payment_methods"] == [summary]


@pytest.mark.parametrize(("offered", "tick", "count"), [(True, True, 1), (True, False, 0), (False, True, 0)])
def test_on_stripes_page_a_card_is_saved_only_if_the_student_ticks_the_box(
    tuition: Harness, student: Student, offered: bool, tick: bool, count: int
) -> None:
    purchase = open_session(tuition, student, save_payment_method=offered).body
    pay_on_page(tuition, purchase["session_id"], tick=tick)
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert len(tuition.saved_methods(student).body["payment_methods"]) == count


def test_a_saved_card_pays_for_the_next_purchase(tuition: Harness, student: Student) -> None:
    method = save_method(tuition, student)
    response = tuition.create(student, payment_method=method)
    assert response.status == 201
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{response.body['payment_intent_id']}")
    assert (intent["payment_method"], intent["setup_future_usage"]) == (method, None)
    assert tuition.at_stripe("POST", f"/v1/payment_intents/{intent['id']}/confirm")["status"] == "succeeded"
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.create(student, payment_method=method).status == 409


def test_a_create_with_the_same_saved_card_returns_the_open_payment_and_another_card_closes_it(
    tuition: Harness, student: Student
) -> None:
    first_method = save_method(tuition, student)
    second_method = tuition.at_stripe(
        "POST", "/v1/payment_methods/pm_card_mastercard/attach", customer=customer_of(tuition, student)
    )
    response, second_response = (tuition.create(student, payment_method=first_method) for _ in range(2))
    assert (response.status, second_response.status) == (201, 200)
    assert response.body == second_response.body
    third_response = tuition.create(student, payment_method=second_method["id"])
    assert third_response.status == 201
    assert payable_ids(tuition, student) == [third_response.body["payment_intent_id"]]


def customer_of(tuition: Harness, student: Student) -> str:
    """Return the id of the student's Stripe customer."""
    item = tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"]
    return str(item["stripe_customer_id"]["S"])


def test_a_create_with_a_saved_card_makes_one_more_call(tuition: Harness, student: Student) -> None:
    method = save_method(tuition, student)
    tuition.stripe_calls.clear()
    tuition.create(student, payment_method=method)
    lookup = f"GET /v1/customers/{customer_of(tuition, student)}/payment_methods/{method}"
    assert tuition.stripe_calls == [lookup, "POST /v1/payment_intents"]


@pytest.mark.parametrize(
    "kind", ["another student's", "unattached", "detached", "a test card's", "not an id", "a path"]
)
def test_another_owners_or_invalid_method_is_refused_and_changes_nothing(
    tuition: Harness, student: Student, kind: str
) -> None:
    own_method = save_method(tuition, student)
    other = Student(f"{student.sub}-b")
    method = {
        "another student's": lambda: save_method(tuition, other),
        "unattached": lambda: tuition.at_stripe("POST", "/v1/payment_methods", type="card", **TOKEN)["id"],
        "detached": lambda: tuition.remove_method(student, own_method).body["id"],
        "a test card's": lambda: "pm_card_visa",
        "not an id": lambda: "4242 4242 4242 4242",
        "a path": lambda: f"../../{customer_of(tuition, student)}",
    }[kind]()
    session = open_session(tuition, student).body
    response = tuition.create(student, payment_method=method)
    assert (response.status, response.body["field"]) == (422, "payment_method")
    assert payable_ids(tuition, student) == [session["session_id"]]


TOKEN = {"card[token]": "tok_visa"}


def test_a_card_removed_while_its_payment_is_open_is_refused_and_another_can_be_used(
    tuition: Harness, student: Student
) -> None:
    method = save_method(tuition, student)
    tuition.create(student, payment_method=method)
    tuition.remove_method(student, method)
    assert tuition.create(student, payment_method=method).status == 422
    response = tuition.create(student)
    assert (response.status, payable_ids(tuition, student)) == (201, [response.body["payment_intent_id"]])


def test_a_card_removed_between_its_lookup_and_the_create_is_refused_the_same_way(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:

    method = save_method(tuition, student)
    require = customers.require_saved

    def require_and_detach(*args: Any) -> None:
        require(*args)
        tuition.at_stripe("POST", f"/v1/payment_methods/{method}/detach")

    monkeypatch.setattr(customers, "require_saved", require_and_detach)
    response = tuition.create(student, payment_method=method)
    assert (response.status, response.body["field"]) == (422, "payment_method")
    assert payable_ids(tuition, student) == []


def test_a_removed_card_is_detached_at_stripe_and_cannot_be_removed_twice(tuition: Harness, student: Student) -> None:
    method = save_method(tuition, student)
    assert tuition.remove_method(student, method).body == {"id": method, "detached": True}
    assert tuition.at_stripe("GET", f"/v1/payment_methods/{method}")["customer"] is None
    assert tuition.saved_methods(student).body["payment_methods"] == []
    assert tuition.remove_method(student, method).status == 404


def test_a_student_cannot_see_remove_or_detect_another_students_card(tuition: Harness, student: Student) -> None:
    method = save_method(tuition, student)
    other = Student(f"{student.sub}-b")
    save_method(tuition, other)
    assert method not in str(tuition.saved_methods(other).body)
    response, unknown = tuition.remove_method(other, method), tuition.remove_method(other, "pm_unknown")
    assert (response.status, response.body) == (404, unknown.body)
    assert [m["id"] for m in tuition.saved_methods(student).body["payment_methods"]] == [method]
    assert tuition.saved_methods(other, cursor=method).status == 422


@pytest.mark.parametrize(
    "method", ["", "pm_ü", "../cus_1", "pm_1/../../cus_1", "pm_1?x", "pm_1 ", "x" * 256, "pm_\x00"]
)
def test_an_invalid_method_id_answers_404_without_calling_stripe(
    tuition: Harness, student: Student, method: str
) -> None:
    save_method(tuition, student)
    tuition.stripe_calls.clear()
    assert tuition.remove_method(student, method).status == 404
    assert tuition.stripe_calls == []


def attach(tuition: Harness, student: Student, method: str = "pm_card_visa") -> str:
    """Save a test card for the student again, as a second purchase does, and return its id."""
    path = f"/v1/payment_methods/{method}/attach"
    return str(tuition.at_stripe("POST", path, customer=customer_of(tuition, student))["id"])


def test_a_card_that_is_saved_twice_is_listed_once_and_removed_completely(tuition: Harness, student: Student) -> None:
    first = save_method(tuition, student)
    other_card, newest = attach(tuition, student, "pm_card_mastercard"), attach(tuition, student)
    shown = [m["id"] for m in tuition.saved_methods(student).body["payment_methods"]]
    assert shown == [newest, other_card]
    assert tuition.remove_method(student, newest).body == {"id": newest, "detached": True}
    assert [m["id"] for m in tuition.saved_methods(student).body["payment_methods"]] == [other_card]
    assert [tuition.at_stripe("GET", f"/v1/payment_methods/{m}")["customer"] for m in (first, newest)] == [None, None]
    assert tuition.remove_method(student, first).status == 404


def test_a_bank_account_that_is_saved_twice_is_listed_once(tuition: Harness, student: Student) -> None:
    save_method(tuition, student, "pm_usBankAccount_success")
    newest = attach(tuition, student, "pm_usBankAccount_success")
    assert [m["id"] for m in tuition.saved_methods(student).body["payment_methods"]] == [newest]


def test_methods_without_a_fingerprint_are_each_listed_and_removed_alone(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save_method(tuition, student)
    second = attach(tuition, student)
    for method in (first, second):
        tuition.stripe.account.store.get("payment_method", method)["card"]["fingerprint"] = None
    assert len(tuition.saved_methods(student).body["payment_methods"]) == 2
    assert tuition.remove_method(student, second).status == 200
    assert [m["id"] for m in tuition.saved_methods(student).body["payment_methods"]] == [first]


def test_a_card_that_is_saved_twice_on_two_of_stripes_pages_is_listed_once(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_method(tuition, student)
    monkeypatch.setattr(customers, "METHODS_PER_CALL", 2)
    other_card = attach(tuition, student, "pm_card_mastercard")
    attach(tuition, student)
    newest = attach(tuition, student)
    first_page = tuition.saved_methods(student, limit="1").body
    second_page = tuition.saved_methods(student, limit="1", cursor=first_page["next_cursor"]).body
    assert [m["id"] for page in (first_page, second_page) for m in page["payment_methods"]] == [newest, other_card]
    assert second_page["next_cursor"] is None
    assert tuition.remove_method(student, newest).status == 200
    assert [m["id"] for m in tuition.saved_methods(student).body["payment_methods"]] == [other_card]


def test_the_copies_of_a_card_are_read_and_removed_in_bounded_numbers_per_request(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_method(tuition, student)
    attach(tuition, student)
    newest = attach(tuition, student)
    monkeypatch.setattr(customers, "MAX_COPIES_PER_REQUEST", 1)
    response = tuition.remove_method(student, newest)
    assert (response.status, response.body["type"].rpartition("/")[2]) == (503, "contended")
    assert tuition.remove_method(student, newest).status == 200
    assert tuition.saved_methods(student).body["payment_methods"] == []
    monkeypatch.setattr(customers, "METHODS_PER_CALL", 1)
    monkeypatch.setattr(customers, "MAX_METHOD_CALLS", 2)
    for method in ("pm_card_visa", "pm_card_mastercard", "pm_card_amex"):
        attach(tuition, student, method)
    tuition.stripe_calls.clear()
    assert len(tuition.saved_methods(student).body["payment_methods"]) == 2
    assert len(tuition.stripe_calls) == 2


def test_a_removal_that_fails_between_two_copies_can_be_retried(tuition: Harness, student: Student) -> None:
    first = save_method(tuition, student)
    newest = attach(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match=f"POST /v1/payment_methods/{newest}/detach", times=9, fail="before")
    assert tuition.remove_method(student, newest).status == 502
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert tuition.remove_method(student, newest).status == 200
    assert tuition.saved_methods(student).body["payment_methods"] == []
    assert tuition.at_stripe("GET", f"/v1/payment_methods/{first}")["customer"] is None


def test_two_concurrent_removals_of_one_card_both_succeed(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:

    method = save_method(tuition, student)
    retrieve, removals = stripe_client.retrieve_payment_method, []

    def retrieve_and_remove(*args: Any) -> Any:
        method_object = retrieve(*args)
        if not removals:
            removals.append(True)
            assert tuition.remove_method(student, method).status == 200
        return method_object

    monkeypatch.setattr(stripe_client, "retrieve_payment_method", retrieve_and_remove)
    assert tuition.remove_method(student, method).status == 200
    assert tuition.saved_methods(student).body["payment_methods"] == []


@pytest.mark.parametrize(("fault", "statuses"), [("before", {502}), ("hang", {502, 504}), ("rate_limit", {503})])
@pytest.mark.parametrize("match", ["GET /v1/customers/*/payment_methods/*", "POST /v1/payment_methods/*/detach"])
def test_a_removal_that_fails_at_stripe_answers_5xx_and_can_be_retried(
    tuition: Harness, student: Student, match: str, fault: str, statuses: set[int]
) -> None:
    method = save_method(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match=match, times=9, fail=fault)
    response = tuition.remove_method(student, method)
    assert response.status in statuses
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"]
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert tuition.remove_method(student, method).status in (200, 404)
    assert tuition.saved_methods(student).body["payment_methods"] == []


def test_a_single_lost_response_to_a_removal_is_retried(tuition: Harness, student: Student) -> None:
    method = save_method(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/payment_methods/*/detach", times=1, fail="after")
    assert tuition.remove_method(student, method).body == {"id": method, "detached": True}


@pytest.mark.parametrize(("fault", "status"), [("before", 502), ("rate_limit", 503)])
def test_a_list_that_fails_at_stripe_answers_5xx(tuition: Harness, student: Student, fault: str, status: int) -> None:
    save_method(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="GET /v1/customers/*/payment_methods", times=9, fail=fault)
    assert tuition.saved_methods(student).status == status


def test_the_list_of_methods_is_paged_newest_first(tuition: Harness, student: Student) -> None:
    methods = [save_method(tuition, student)]
    for card in ("pm_card_mastercard", "pm_card_amex", "pm_card_discover", "pm_card_diners"):
        methods.append(attach(tuition, student, card))
    ids, cursor = [], None
    for size in (2, 2, 1):
        page = tuition.saved_methods(student, limit="2", **({"cursor": cursor} if cursor else {})).body
        assert len(page["payment_methods"]) == size
        ids += [method["id"] for method in page["payment_methods"]]
        cursor = page["next_cursor"]
    assert (ids, cursor) == (methods[::-1], None)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"cursor": ""}, {"cursor": "a/b"}, {"user": "x"}])
def test_an_invalid_query_of_the_list_is_refused(tuition: Harness, student: Student, query: dict[str, str]) -> None:
    assert tuition.saved_methods(student, **query).status == 422


def test_a_customer_deleted_at_stripe_has_no_saved_methods(tuition: Harness, student: Student) -> None:
    method = save_method(tuition, student)
    tuition.at_stripe("DELETE", f"/v1/customers/{customer_of(tuition, student)}")
    assert tuition.saved_methods(student).body == {"payment_methods": [], "next_cursor": None}
    assert tuition.remove_method(student, method).status == 404
    assert tuition.create(student, payment_method=method).status == 422


def test_a_request_without_a_user_can_neither_list_nor_remove(tuition: Harness) -> None:
    anonymous = Student("")
    assert (tuition.saved_methods(anonymous).status, tuition.remove_method(anonymous, "pm_1").status) == (401, 401)
