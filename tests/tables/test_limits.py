"""The limits per user: declines and 3-D Secure steps, payments, promotion codes, and other requests to Stripe."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import create_checkout_session
from tests.harness import Harness, Response, Student
from tests.limits import set_limits
from tests.tables.test_concurrent_creates import mixed_creates, run_concurrently, slow_network
from tests.tables.test_promotion_codes import create_code, refusal_reason
from tests.tables.test_round_trips import READ, TRANSACTION, record_calls
from tests.tables.test_sessions import open_session, payable_ids
from tuition import clock, metrics
from tuition.core.limits import KEPT_S
from tuition.payments import status

UPDATE = "UpdateItem"
DECLINED, CHALLENGED = "pm_card_chargeDeclined", "pm_card_authenticationRequired"
BLOCK = "POST /api/admin/users/{user_id}/purchases"


def problem(response: Response) -> tuple[int, str]:
    return response.status, response.body.get("type", "").rpartition("/")[2]


def wait_s(response: Response) -> int:
    """Check that a response refuses a request for now, and return its `Retry-After`."""
    assert problem(response) == (429, "too-many-requests"), response
    return int(response.headers["retry-after"])


def stored_limits(tuition: Harness, student: Student) -> dict[str, Any]:
    item = tuition.tables.get_item(TableName="limits", Key={"user_id": {"S": student.sub}}).get("Item", {})
    return dict(item)


def decline(
    tuition: Harness, student: Student, times: int, method: str = DECLINED, track: str = "DP"
) -> list[Response]:
    """Try so many cards, each on the open payment or a new one, with all events. Return the answers of the creates."""
    responses = []
    for _ in range(times):
        responses.append(tuition.create(student, track))
        if "payment_intent_id" in responses[-1].body:
            tuition.pay(responses[-1].body["payment_intent_id"], method)
            tuition.deliver_all()
    return responses


def deliver_days_later(tuition: Harness, hours: int) -> None:
    tuition.advance_time(hours * 3600 + 1)
    tuition.deliver_all()


# --- declines and 3-D Secure steps ---


@pytest.mark.parametrize("method", [DECLINED, CHALLENGED])
def test_beyond_ten_declines_or_3d_secure_steps_per_hour_nothing_is_payable(
    tuition: Harness, student: Student, method: str
) -> None:
    tuition.freeze_time()
    assert {response.status for response in decline(tuition, student, 11, method)} <= {200, 201}
    assert payable_ids(tuition, student) == []
    assert 3590 <= wait_s(tuition.create(student)) <= 3600
    assert wait_s(tuition.create(student, "FSD"))
    assert wait_s(open_session(tuition, student))
    assert payable_ids(tuition, student) == []
    deliver_days_later(tuition, 1)
    assert tuition.create(student).status == 201


def test_beyond_twenty_declines_per_day_buying_is_blocked_until_staff_allow_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    tuition.freeze_time()
    for _ in range(2):
        decline(tuition, student, 10)
        deliver_days_later(tuition, 1)
    assert tuition.create(student).status in (200, 201)
    decline(tuition, student, 1)
    response = tuition.create(student)
    assert problem(response) == (409, "purchases-blocked")
    assert "declined" in response.body["detail"]
    deliver_days_later(tuition, 49)
    assert problem(tuition.create(student, "FSD")) == (409, "purchases-blocked")
    user = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=student.sub).body["user"]
    assert [block.partition(":")[0] for block in user["purchases"]["blocking"]] == ["declines"]
    tuition.admin(admin, BLOCK, {"decision": "allow", "note": "talked to them"}, user_id=student.sub)
    assert tuition.create(student, "FSD").status == 201


def test_an_open_payment_does_not_outlast_the_limit_per_day_with_a_few_3d_secure_steps_per_hour(
    tuition: Harness, student: Student
) -> None:
    tuition.freeze_time()
    purchases = [tuition.create(student, track).body for track in ("DP", "FSD")]
    steps = 0
    for _ in range(8):
        for purchase in purchases:
            for _ in range(4):
                paid = tuition.pay(purchase["payment_intent_id"], CHALLENGED, may_be_refused=True)
                steps += paid.get("status") == "requires_action"
                tuition.deliver_all()
        deliver_days_later(tuition, 1)
    assert steps <= 21
    assert payable_ids(tuition, student) == []


def test_an_attack_of_many_declines_ends_after_a_few_and_is_counted_in_a_metric(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[tuple[str, int]] = []
    monkeypatch.setattr(metrics, "count", lambda name, number=1: counts.append((name, number)))
    tuition.freeze_time()
    statuses = [response.status for response in decline(tuition, student, 100)]
    assert statuses[11:] == [429] * 89
    declined = [c for c in tuition.at_stripe("GET", "/v1/charges?limit=100")["data"] if c["status"] == "failed"]
    assert len(declined) == 11
    assert sum(number for name, number in counts if name == "ChargeDeclined") == 11


def test_a_decline_counts_once_however_often_and_in_whatever_order_its_events_arrive(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    for method in (DECLINED, CHALLENGED, DECLINED):
        tuition.pay(purchase["payment_intent_id"], method)
    events = tuition.new_events()
    for event in [*reversed(events), *events]:
        assert tuition.deliver(event).status == 200
    tuition.status(student, purchase["payment_id"])
    assert len(stored_limits(tuition, student)["declines"]["SS"]) == 3
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_declines_of_two_tracks_count_together(tuition: Harness, student: Student) -> None:
    purchases = [tuition.create(student, track).body for track in ("DP", "FSD")]
    for purchase in purchases:
        tuition.pay(purchase["payment_intent_id"], DECLINED)
    tuition.deliver_all()
    assert len(stored_limits(tuition, student)["declines"]["SS"]) == 2


def test_declines_without_a_webhook_are_counted_before_an_open_payment_is_answered_again(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    for _ in range(6):
        tuition.pay(purchase["payment_intent_id"], DECLINED)
    tuition.new_events()  # the webhooks are lost
    response = tuition.create(student)
    assert response.status == 201
    assert response.body["payment_intent_id"] != purchase["payment_intent_id"]
    assert payable_ids(tuition, student) == [response.body["payment_intent_id"]]
    assert len(stored_limits(tuition, student)["declines"]["SS"]) == 6
    for _ in range(5):
        tuition.pay(response.body["payment_intent_id"], DECLINED)
    tuition.new_events()
    assert wait_s(tuition.create(student))
    assert payable_ids(tuition, student) == []


def test_old_declines_that_arrive_late_do_not_count(tuition: Harness, student: Student) -> None:
    tuition.freeze_time()
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], DECLINED)
    tuition.advance_time(25 * 3600)
    tuition.deliver_all()
    assert "declines" not in stored_limits(tuition, student)


# --- payments ---


def test_a_student_may_begin_ten_payments_per_hour_and_track_and_keeps_the_open_one(
    tuition: Harness, student: Student
) -> None:
    tuition.freeze_time()
    saves = itertools.cycle((False, True))
    for _ in range(10):
        assert tuition.create(student, save_payment_method=next(saves)).status == 201
    assert wait_s(tuition.create(student, save_payment_method=False)) == 3600
    assert tuition.create(student, save_payment_method=True).status == 200
    assert tuition.create(student, "FSD").status == 201
    deliver_days_later(tuition, 1)
    assert tuition.create(student).status == 201


def test_a_request_that_has_closed_a_payment_may_begin_another(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_limits(monkeypatch, payments_per_hour=1)
    purchase = tuition.create(student).body
    assert wait_s(tuition.create(student, save_payment_method=True))
    for _ in range(5):
        tuition.pay(purchase["payment_intent_id"], DECLINED)
    tuition.new_events()
    assert tuition.create(student).status == 201


# --- promotion codes ---


@pytest.mark.parametrize("codes", [[f"GUESS-{n}" for n in range(6)], ["NO-SUCH-CODE"] * 6], ids=["many", "one"])
def test_after_five_refused_codes_in_ten_minutes_stripe_is_not_asked_any_more(
    tuition: Harness, student: Student, codes: list[str]
) -> None:
    tuition.freeze_time()
    for code in codes[:5]:
        assert refusal_reason(open_session(tuition, student, promotion_code=code)) == "unknown"
    tuition.stripe_calls.clear()
    assert 590 <= wait_s(open_session(tuition, student, promotion_code=codes[5])) <= 600
    assert wait_s(open_session(tuition, student, promotion_code=create_code(tuition, student)))
    assert tuition.stripe_calls == []
    assert open_session(tuition, student).status == 201
    tuition.advance_time(601)
    assert refusal_reason(open_session(tuition, student, promotion_code=codes[5])) == "unknown"


def test_every_reason_of_a_refusal_counts_so_guesses_at_real_codes_are_bounded(
    tuition: Harness, student: Student
) -> None:
    """A real code that has expired or is used up is reported as such, so the limit alone bounds guessing at those."""
    tuition.freeze_time()
    other = Student(f"{student.sub}-other")
    of_other = tuition.payment(tuition.create(other).body["payment_id"]).customer
    now = int(clock.now())
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("OTHERS", {"customer": of_other}, "unknown"),
        ("INACTIVE", {"active": "false"}, "unknown"),
        ("EXPIRED", {"expires_at": now + 60}, "expired"),
        ("MINIMUM", {"restrictions[minimum_amount]": 50000, "restrictions[minimum_amount_currency]": "usd"}, ""),
    ]
    codes = [(create_code(tuition, student, code=f"{name}-{student.sub}", **more), why) for name, more, why in cases]
    real = create_code(tuition, student)
    tuition.advance_time(120)
    for code, reason in [*codes, ("NO-SUCH-CODE", "unknown")]:
        response = open_session(tuition, student, promotion_code=code)
        assert refusal_reason(response) == (reason or "not-applicable")
    tuition.stripe_calls.clear()
    answers = [open_session(tuition, student, promotion_code=code) for code in (real, "EXPIRED", "NO-SUCH-CODE")]
    assert len({(problem(answer), answer.body["detail"]) for answer in answers}) == 1
    assert wait_s(answers[0]) > 500
    assert tuition.stripe_calls == []
    assert open_session(tuition, other, promotion_code=real).status == 201


@pytest.mark.threads
def test_guesses_at_once_ask_stripe_five_times(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(12) as pool:
        guesses = [f"GUESS-{n}" for n in range(12)]
        responses = list(pool.map(lambda code: open_session(tuition, student, promotion_code=code), guesses))
    assert sorted({response.status for response in responses} - {503}) == [422, 429]
    assert tuition.stripe_calls.count("GET /v1/promotion_codes") <= 5


def test_accepted_codes_do_not_count(tuition: Harness, student: Student) -> None:
    codes = [create_code(tuition, student, code=f"{name}-{student.sub}") for name in "ABCDEFGH"]
    for code in codes:
        assert open_session(tuition, student, promotion_code=code).status == 201
    assert "refused_codes" not in stored_limits(tuition, student)


def test_a_code_counts_only_if_it_is_refused_and_not_if_its_create_ends_otherwise(
    tuition: Harness, student: Student
) -> None:
    code = create_code(tuition, student)
    for match in ("GET /v1/promotion_codes", "POST /v1/checkout/sessions"):
        tuition.at_stripe("POST", "/_sim/calls", match=match, times=4, fail="before")
        assert open_session(tuition, student, promotion_code=code).status == 502
        tuition.at_stripe("DELETE", "/_sim/calls")
        assert "refused_codes" not in stored_limits(tuition, student)


@pytest.mark.threads
@pytest.mark.parametrize("kind", ["intent", "session", "code"])
def test_twelve_creates_of_one_kind_at_once_are_one_payment_and_twelve_good_answers(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    code = create_code(tuition, student)
    slow_network(monkeypatch, 1)
    sends = {
        "intent": lambda: tuition.create(student),
        "session": lambda: open_session(tuition, student),
        "code": lambda: open_session(tuition, student, promotion_code=code),
    }
    with ThreadPoolExecutor(12) as pool:
        responses = [job.result() for job in [pool.submit(sends[kind]) for _ in range(12)]]
    assert {response.status for response in responses} <= {200, 201}
    assert len({response.body["payment_id"] for response in responses}) == 1
    assert "refused_codes" not in stored_limits(tuition, student)
    assert len(tuition.payments(student).body["payments"]) == 1


# --- other requests to Stripe ---


def test_an_open_payment_is_answered_sixty_times_then_once_per_second(tuition: Harness, student: Student) -> None:
    tuition.freeze_time()
    assert tuition.create(student).status == 201
    for _ in range(60):
        assert tuition.create(student).status == 200
    tuition.stripe_calls.clear()
    assert wait_s(tuition.create(student)) == 1
    assert tuition.stripe_calls == []
    tuition.advance_time(1)
    assert tuition.create(student).status == 200
    assert wait_s(tuition.create(student)) == 1
    assert tuition.create(student, "FSD").status == 201


def test_every_request_that_asks_stripe_without_a_commit_counts(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuition.freeze_time()
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_success")
    tuition.deliver_all()
    set_limits(monkeypatch, stripe_requests_burst=4)
    asks = [
        lambda: tuition.create(student, save_payment_method=True),  # the open payment is being processed
        lambda: tuition.create(student, "FSD", payment_method="pm_unknown"),
        lambda: tuition.saved_methods(student),
        lambda: tuition.remove_method(student, "pm_unknown"),
        lambda: tuition.refund(student, purchase["payment_id"]),
        lambda: tuition.create(student),
    ]
    for ask in asks[:4]:
        tuition.stripe_calls.clear()
        assert ask().status in (200, 404, 409, 422)
        assert tuition.stripe_calls
    tuition.stripe_calls.clear()
    for ask in asks:
        assert wait_s(ask()) == 1
    assert tuition.stripe_calls == []


def test_a_user_without_a_customer_has_no_methods_and_no_limits(tuition: Harness, student: Student) -> None:
    assert tuition.saved_methods(student).body["payment_methods"] == []
    assert stored_limits(tuition, student) == {}


@pytest.mark.threads
def test_requests_at_once_never_take_more_than_the_bucket_has(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket is in the table, so it makes no difference which container counts."""
    tuition.freeze_time()
    set_limits(monkeypatch, stripe_requests_burst=5)
    tuition.create(student)
    start = threading.Barrier(12)

    def create_again(_: int) -> Response:
        start.wait()
        return tuition.create(student)

    with ThreadPoolExecutor(12) as pool:
        statuses = [response.status for response in pool.map(create_again, range(12))]
    assert statuses.count(200) == 5
    assert set(statuses) <= {200, 429, 503}


def test_the_limits_expire_two_days_after_their_last_change(tuition: Harness, student: Student) -> None:
    tuition.freeze_time(1_800_000_000)
    tuition.create(student)
    tuition.create(student)
    assert stored_limits(tuition, student)["expires_at"]["N"] == str(1_800_000_000 + KEPT_S)


# --- status ---


def test_status_asks_stripe_at_most_once_in_five_seconds_whichever_container_answers(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "SYNC_INTERVAL_S", 5)
    tuition.freeze_time()
    purchase = tuition.create(student).body
    retrieve = f"GET /v1/payment_intents/{purchase['payment_intent_id']}"
    tuition.stripe_calls.clear()
    for _ in range(20):
        assert tuition.status(student, purchase["payment_id"]).body["status"] == "CREATED"
        tuition.advance_time(1)
    assert tuition.stripe_calls == [retrieve] * 4


def test_status_heals_a_lost_webhook_after_five_seconds_and_a_webhook_shows_at_once(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "SYNC_INTERVAL_S", 5)
    tuition.freeze_time()
    lost, delivered = (tuition.create(student, track).body for track in ("DP", "FSD"))
    for purchase in (lost, delivered):
        assert tuition.status(student, purchase["payment_id"]).body["status"] == "CREATED"
        tuition.pay(purchase["payment_intent_id"])
        assert tuition.status(student, purchase["payment_id"]).body["status"] == "CREATED"
    for event in tuition.new_events():
        if event["data"]["object"]["metadata"].get("track") == "FSD":
            tuition.deliver(event)
    assert tuition.status(student, delivered["payment_id"]).body["status"] == "SUCCEEDED"
    assert tuition.status(student, lost["payment_id"]).body["status"] == "CREATED"
    tuition.advance_time(5)
    assert tuition.status(student, lost["payment_id"]).body["status"] == "SUCCEEDED"
    assert tuition.enrollment(student)["status"] == "ENROLLED"


@pytest.mark.threads
def test_status_requests_at_once_sync_once(tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "SYNC_INTERVAL_S", 5)
    tuition.freeze_time()
    purchase = tuition.create(student).body
    tuition.stripe_calls.clear()
    with ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda _: tuition.status(student, purchase["payment_id"]), range(12)))
    assert {response.status for response in responses} == {200}
    assert len(tuition.stripe_calls) == 1


def test_remembering_a_sync_changes_no_version_no_record_and_not_the_next_check(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "SYNC_INTERVAL_S", 5)
    tuition.freeze_time()
    purchase = tuition.create(student).body
    key = {"payment_id": {"S": purchase["payment_id"]}}
    before = tuition.tables.get_item(TableName="payments", Key=key)["Item"]
    trail = tuition.audit_trail(purchase["payment_id"])
    tuition.advance_time(60)
    with record_calls(tuition) as call_names:
        assert tuition.status(student, purchase["payment_id"]).status == 200
    retrieve = f"GET /v1/payment_intents/{purchase['payment_intent_id']}"
    assert call_names == [READ, "PutItem", READ, retrieve]
    after = tuition.tables.get_item(TableName="payments", Key=key)["Item"]
    assert after.pop("synced_at")
    assert after == before
    assert tuition.audit_trail(purchase["payment_id"]) == trail
    with record_calls(tuition) as call_names:
        assert tuition.status(student, purchase["payment_id"]).status == 200
    assert call_names == [READ]


def test_an_event_keeps_the_time_of_the_last_sync(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "SYNC_INTERVAL_S", 5)
    tuition.freeze_time()
    purchase = tuition.create(student).body
    tuition.status(student, purchase["payment_id"])
    tuition.pay(purchase["payment_intent_id"], DECLINED)
    tuition.deliver_all()
    tuition.stripe_calls.clear()
    assert tuition.status(student, purchase["payment_id"]).body["status"] == "FAILED"
    assert tuition.stripe_calls == []


# --- round trips ---


def test_a_limit_costs_one_update_and_only_where_stripe_is_asked_without_a_commit(
    tuition: Harness, student: Student
) -> None:
    code = create_code(tuition, student)
    with record_calls(tuition) as first:
        purchase = open_session(tuition, student).body
    with record_calls(tuition) as again:
        assert open_session(tuition, student).status == 200
    with record_calls(tuition) as refused:
        assert open_session(tuition, student, track="FSD", promotion_code="NO-SUCH-CODE").status == 422
    with record_calls(tuition) as with_code:
        assert open_session(tuition, student, track="FSD", promotion_code=code).status == 201
    with record_calls(tuition) as methods:
        assert tuition.saved_methods(student).status == 200
    assert first == [READ, "POST /v1/customers", "POST /v1/checkout/sessions", TRANSACTION]
    assert again == [READ, READ, UPDATE, f"GET /v1/checkout/sessions/{purchase['session_id']}"]
    assert refused == [READ, UPDATE, "GET /v1/promotion_codes"]
    assert with_code == [READ, UPDATE, "GET /v1/promotion_codes", "POST /v1/checkout/sessions", TRANSACTION]
    assert methods[:2] == [READ, UPDATE]


def test_a_decline_is_still_one_read_and_one_transaction(tuition: Harness, student: Student) -> None:
    tuition.pay(tuition.create(student).body["payment_intent_id"], DECLINED)
    (event,) = [e for e in tuition.new_events() if e["type"] == "charge.failed"]
    with record_calls(tuition) as call_names:
        assert tuition.deliver(event).body["outcome"] == "applied"
    assert call_names == [READ, TRANSACTION]


# --- races with the limits as they are ---


@pytest.mark.threads
@pytest.mark.parametrize(("size", "seed"), [(40, 1), (50, 2)])
def test_concurrent_creates_with_limits_leave_one_payable_object_and_the_next_answers_it_or_a_wait(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, seed: int, size: int
) -> None:
    creates = mixed_creates(tuition, student, size)
    slow_network(monkeypatch, seed)
    responses = run_concurrently(creates, lambda create: create.send(tuition, student))
    assert {response.status for response in responses} <= {200, 201, 409, 422, 429, 503}
    assert any(response.status in (200, 201) for response in responses)
    payable = payable_ids(tuition, student)
    assert len(payable) <= 1
    last = tuition.call(create_checkout_session.handler, student, {"track": "DP"})
    if last.status == 429:
        assert int(last.headers["retry-after"]) >= 1
        assert payable_ids(tuition, student) == payable
    else:
        assert last.status in (200, 201)
        assert payable_ids(tuition, student) == [last.body["session_id"]]
