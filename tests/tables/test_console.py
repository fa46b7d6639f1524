"""What staff look at beyond the lists: every filter, counts by day, one payment whole, a user, the disputes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.tables.test_admin import LIST, ONE, found, paid
from tests.world import Student, World
from tuition import clock
from tuition.core import catalog, timestamps
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.items import PaymentItem
from tuition.views import counts, filters, student

COUNTS = "GET /api/admin/counts"
USER = "GET /api/admin/users/{user_id}"
DISPUTES = "GET /api/admin/disputes"
QUARANTINE = "GET /api/admin/quarantine"
QUARANTINED = "GET /api/admin/quarantine/{event_id}"
REFUND = "POST /api/admin/payments/{payment_id}/refunds"


def disputed(tuition: World, student: Student) -> str:
    """A purchase that its bank disputes."""
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"], "pm_card_createDispute")
    tuition.later(5)
    tuition.deliver_all()
    return str(made["payment_id"])


def back_then(tuition: World, student: Student, created_at: str, track: str = "DP", amount: int = 49900) -> str:
    """A payment of another time, put past the ledger."""
    from tuition.core.money import Money
    from tuition.core.payment import Payment

    payment_id = f"pay_{student.sub.replace('-', '')}{created_at[:19].replace(':', '').replace('-', '').lower()}"
    payment = Payment(
        payment_id=payment_id, user_id=student.sub, track=track, kind="intent", attempt=1, stripe_object_id=f"pi_{payment_id}",
        price=Money(amount, "usd"), created_at=created_at, updated_at=created_at, email=f"{student.sub}@example.org",
    )  # fmt: skip
    item = mapping.payment_to_item(payment, clock.now(), [])
    tuition.tables.put_item(TableName="payments", Item=dynamodb.to_raw(item))
    return payment_id


def forget(tuition: World, *payment_ids: str) -> None:
    for payment_id in payment_ids:
        tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(payment_id))


# --- filters ---


def test_amounts_and_disputes_are_filters_that_combine(tuition: World, student: Student, admin: Student) -> None:
    dear, cheap = paid(tuition, student, "FSD")["payment_id"], paid(tuition, student, "DP")["payment_id"]
    lost = disputed(tuition, Student(student.sub + "-d"))
    ours = {dear, cheap, lost}

    def find(**query: str) -> set[str]:
        return set(found(tuition, admin, limit="2", **query)) & ours

    assert find(amount_min="50000") == {dear}
    assert find(amount_max="49900") == {cheap, lost}
    assert find(amount_min="49900", amount_max="49900", disputed="false") == {cheap}
    assert find(amount_max="0") == set()
    assert find(disputed="true") == {lost}
    assert find(disputed="true", track="FSD") == set()
    assert find(disputed="true", attention="true", status="SUCCEEDED") == {lost}
    assert find(amount_min="0", status="SUCCEEDED", track="DP", disputed="true") == {lost}


@pytest.mark.parametrize(
    "query",
    [
        {"amount_min": "-1"},
        {"amount_max": "1.5"},
        {"amount_min": "1e3"},
        {"amount_min": "9" * 13},
        {"amount_min": "٣"},
        {"amount_min": "5", "amount_max": "4"},
        {"disputed": "maybe"},
        {"q": "a\tb"},
        {"q": "\ud800"},
        {"q": "\x00"},
    ],
)
def test_a_filter_that_no_amount_or_word_can_have_is_refused(
    tuition: World, admin: Student, query: dict[str, str]
) -> None:
    answer = tuition.admin(admin, LIST, query=query)
    assert (answer.status, answer.body["field"]) == (422, next(iter(query)))


@pytest.mark.parametrize(
    "q", ["İstanbul@", "ẞ", "e\u0301", "𝕏@example.org", "ﬁ", "日本", "%", "#", "a#", "'", "z" * 255]
)
def test_words_of_any_script_find_nothing_and_break_nothing(tuition: World, admin: Student, q: str) -> None:
    assert found(tuition, admin, q=q) == []


def test_an_address_of_any_script_is_found_by_its_beginning(tuition: World, student: Student, admin: Student) -> None:
    who = Student(student.sub, email=f"ÎLE-{student.sub}@exämple.org")
    made = paid(tuition, who)["payment_id"]
    assert found(tuition, admin, q=f"île-{student.sub}@") == [made]
    assert found(tuition, admin, q=f"ÎLE-{student.sub}@exämple.org") == [made]


def test_a_search_shows_a_user_first_and_then_whom_the_beginning_finds_each_once(
    tuition: World, student: Student, admin: Student
) -> None:
    name = student.sub.replace("student", "searched") + "x"
    own = [paid(tuition, Student(name), track)["payment_id"] for track in ("DP", "FSD")]
    others = [paid(tuition, Student(f"{name}{i}"))["payment_id"] for i in range(3)]
    for limit in ("1", "2", "3", "100"):
        pages = found(tuition, admin, q=name, limit=limit)
        assert pages[:2] == own[::-1]
        assert pages[2:] == others[::-1]
    assert found(tuition, admin, q=name, limit="1", track="FSD") == [own[1]]


def test_a_cursor_is_good_for_its_own_filter_only(tuition: World, student: Student, admin: Student) -> None:
    for track in ("DP", "FSD"):
        paid(tuition, student, track)
    cursor = tuition.admin(admin, LIST, query={"limit": "1", "status": "SUCCEEDED"}).body["next_cursor"]
    assert tuition.admin(admin, LIST, query={"limit": "1", "status": "SUCCEEDED", "cursor": cursor}).status == 200
    for query in ({}, {"status": "FAILED"}, {"q": student.sub}, {"status": "SUCCEEDED", "track": "DP"}):
        answer = tuition.admin(admin, LIST, query={**query, "cursor": cursor})
        assert (answer.status, answer.body["field"]) == (422, "cursor"), query


def forged(*parts: Any) -> str:
    import base64
    import json

    return base64.urlsafe_b64encode(json.dumps(list(parts)).encode()).decode().rstrip("=")


PLACE = "2026-11-24T00:00:00.000Z#pay_x"


@pytest.mark.parametrize(
    "parts",
    [
        (2, "{of}", "listed", PLACE, "pay_y"),
        (2, "{of}", "listed", "2026-11-24T00:00:00.000Z#pi_x", "pi_x"),
        (2, "{of}", "listed", "yesterday#pay_x", "pay_x"),
        (2, "{of}", "listed", "9999-99-99T00:00:00.000Z#pay_x", "pay_x"),
        (2, "{of}", "email", PLACE, "pay_x"),
        (2, "{of}", "dispute", PLACE, "pay_x"),
        (2, "{of}", "listed", "\ud800#pay_x", "pay_x"),
        (2, "{of}", "listed", "x" * 5000, "pay_x"),
        (2, "{of}", "listed", None, "pay_x"),
        (2, "{of}", "listed", PLACE),
        (1, PLACE),
        (2, "other", "listed", PLACE, "pay_x"),
    ],
)
def test_a_forged_cursor_is_refused(tuition: World, admin: Student, parts: tuple[Any, ...]) -> None:
    of = filters.Filters().digest
    cursor = forged(*(of if part == "{of}" else part for part in parts))
    answer = tuition.admin(admin, LIST, query={"cursor": cursor})
    assert (answer.status, answer.body["field"]) == (422, "cursor")


@pytest.mark.parametrize("cursor", ["x", "=", "é", "W10", "bnVsbA", "[" * 3000, student.encode_cursor(PLACE)])
def test_what_is_no_cursor_is_refused_everywhere(tuition: World, student: Student, admin: Student, cursor: str) -> None:
    paid(tuition, student)
    for route, path in ((LIST, {}), (DISPUTES, {}), (USER, {"user_id": student.sub})):
        answer = tuition.admin(admin, route, query={"cursor": cursor}, **path)
        assert (answer.status, answer.body.get("field")) == (422, "cursor"), route


def test_a_list_reaches_over_years_in_which_nobody_paid(tuition: World, student: Student, admin: Student) -> None:
    old = back_then(tuition, student, "2020-03-05T10:00:00.000Z")
    try:
        assert old in found(tuition, admin, limit="100")
        assert found(tuition, admin, **{"from": "2020-03-05", "to": "2020-03-05"}) == [old]
        assert found(tuition, admin, to="2020-03-04") == []
    finally:
        forget(tuition, old)


def test_a_track_that_is_sold_no_more_is_still_found(
    tuition: World, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = back_then(tuition, student, timestamps.iso(clock.now() - 60), track="OLD")
    try:
        assert tuition.admin(admin, LIST, query={"track": "OLD"}).status == 422
        monkeypatch.setattr(catalog, "RETIRED", ("OLD",))
        assert old in found(tuition, admin, status="CREATED")
        assert found(tuition, admin, track="OLD") == [old]
        assert tuition.admin(admin, ONE, payment_id=old).body["groups"]["payment"]["track"] == "OLD"
    finally:
        forget(tuition, old)


# --- counts ---


def counted(tuition: World, admin: Student, **query: str) -> dict[str, int]:
    answer = tuition.admin(admin, COUNTS, query=query)
    assert (answer.status, answer.body["complete"]) == (200, True)
    return {count["period"]: count["payments"] for count in answer.body["counts"]}


def test_payments_are_counted_by_day_and_by_month_however_often_one_looks(
    tuition: World, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "REMEMBER_FROM", 1)
    days = {"2021-02-01": 2, "2021-02-28": 1, "2021-03-01": 1}
    made = [back_then(tuition, student, f"{day}T{hour:02d}:00:00.000Z") for day, n in days.items() for hour in range(n)]
    try:
        for _ in range(3):
            assert counted(tuition, admin, month="2021-02") == {"2021-02-01": 2, "2021-02-28": 1}
            assert counted(tuition, admin, year="2021") == {"2021-02": 3, "2021-03": 1}
        today, month = datetime.now(UTC).date().isoformat(), datetime.now(UTC).date().isoformat()[:7]
        before = counted(tuition, admin, month=month).get(today, 0)
        paid(tuition, student)
        assert counted(tuition, admin, month=month)[today] == before + 1
        tuition.ahead_s += 2 * counts.SETTLES_AFTER_S  # by now it is counted for good, and once
        assert counted(tuition, admin, month=month)[today] == before + 1
        assert counted(tuition, admin, month=month)[today] == before + 1
        paid(tuition, student, "FSD")
        assert sum(counted(tuition, admin, month=timestamps.iso(clock.now())[:7]).values()) == before + 2
    finally:
        forget(tuition, *made)
        for period in ("2021-02", "2021-03", month):
            tuition.tables.delete_item(TableName="analytics", Key=keys.count_key(period, counts.MEASURE))


def test_what_was_rebuilt_into_the_past_is_counted_a_month_later(
    tuition: World, student: Student, admin: Student
) -> None:
    made = [back_then(tuition, student, "2022-05-05T10:00:00.000Z")]
    try:
        assert counted(tuition, admin, month="2022-05") == {"2022-05-05": 1}
        made.append(back_then(tuition, student, "2022-05-04T10:00:00.000Z"))
        assert counted(tuition, admin, month="2022-05") == {"2022-05-05": 1}
        tuition.ahead_s += counts.KEPT_S + 1
        assert counted(tuition, admin, month="2022-05") == {"2022-05-04": 1, "2022-05-05": 1}
    finally:
        forget(tuition, *made)


def test_more_than_one_answer_may_read_is_counted_by_the_next(
    tuition: World, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "REMEMBER_FROM", 1)
    monkeypatch.setattr(counts, "KEYS_PER_QUERY", 2)
    monkeypatch.setattr(counts, "MAX_QUERIES", 1)
    made = [back_then(tuition, student, f"2023-07-{day:02d}T10:00:00.000Z") for day in range(1, 6)]
    try:
        seen = [tuition.admin(admin, COUNTS, query={"month": "2023-07"}).body for _ in range(4)]
        assert [body["complete"] for body in seen] == [False, False, True, True]
        assert [sum(c["payments"] for c in body["counts"]) for body in seen] == [2, 4, 5, 5]
    finally:
        forget(tuition, *made)


@pytest.mark.parametrize(
    "query",
    [
        *({}, {"month": "2026-11", "year": "2026"}, {"month": "2026"}, {"year": "2026-11"}, {"month": "2026-13"}),
        *({"month": "26-11"}, {"year": "0001"}, {"year": "x"}, {"day": "2026-11-01"}, {"month": "2026-W1"}),
    ],
)
def test_counts_of_no_month_and_no_year_are_refused(tuition: World, admin: Student, query: dict[str, str]) -> None:
    assert tuition.admin(admin, COUNTS, query=query).status == 422


# --- one payment ---


def test_a_payment_is_shown_whole_in_groups_with_its_facts(tuition: World, student: Student, admin: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"], "pm_card_chargeDeclinedInsufficientFunds")
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    part = {"amount": 9900, "reason": "a part was missing", "left": 49900}
    assert tuition.admin(admin, REFUND, part, payment_id=made["payment_id"]).status == 200
    tuition.deliver_all()
    shown = tuition.admin(admin, ONE, payment_id=made["payment_id"]).body
    groups, facts = shown["groups"], shown["facts"]
    assert groups["payment"]["enrollment"] == "ENROLLED"
    assert groups["payment"]["grants_access"] is True
    assert (groups["money"]["received"], groups["money"]["refund_amount"], groups["money"]["left"]) == (
        49900,
        9900,
        40000,
    )
    assert groups["stripe"]["payment_url"] == f"https://dashboard.stripe.com/test/payments/{made['payment_intent_id']}"
    assert shown["payment"]["left"] == 40000
    charges = [(charge["status"], charge["code"]) for charge in facts["charges"]]
    assert charges == [("failed", "insufficient_funds"), ("succeeded", None)]
    assert [(r["status"], r["amount"]) for r in facts["refunds"]] == [("succeeded", 9900)]
    assert facts["refunds"][0]["request"] == shown["payment"]["refund_requests"][0]["id"]
    assert facts["settled"]["amount"] == 49900
    named = {name for group in groups.values() for name in group}
    columns = {*PaymentItem.PERSONAL, *PaymentItem.NOT_PERSONAL}
    derived = {"listed_at", "created_month", "status_track", "email_initial", "email_key", "attention_open"}
    derived |= {"check_due", "disputed", "dispute_due", "terms", "facts", "refund_requests", "attention"}
    renamed = {"payment_method", "stripe_payment_intent", "stripe_checkout_session", "stripe_charge_id"}
    assert columns - derived - renamed - {"stripe_customer_id"} <= named


def test_what_staff_decided_is_in_the_facts_with_who_and_when(tuition: World, student: Student, admin: Student) -> None:
    made = paid(tuition, student)
    decide = "POST /api/admin/payments/{payment_id}/decisions"
    body = {"decision": "revoke", "note": "shared the account"}
    assert tuition.admin(admin, decide, body, payment_id=made["payment_id"]).status == 200
    shown = tuition.admin(admin, ONE, payment_id=made["payment_id"]).body
    decision = shown["facts"]["decision"]
    assert (decision["decision"], decision["who"], decision["note"]) == ("revoke", admin.sub, "shared the account")
    assert decision["at"] == shown["audit"][-1]["at"]
    assert shown["groups"]["payment"]["enrollment"] == "WITHDRAWN"


# --- disputes ---


def test_disputes_are_listed_by_when_an_answer_is_due_with_what_became_of_the_student(
    tuition: World, student: Student, admin: Student
) -> None:
    first = disputed(tuition, student)
    second = disputed(tuition, Student(student.sub + "-2"))

    def listed(**query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            page = tuition.admin(admin, DISPUTES, query={"limit": "1", **query}).body
            rows += page["disputes"]
            if not page["next_cursor"]:
                return [row for row in rows if row["payment_id"] in (first, second)]
            query["cursor"] = page["next_cursor"]

    rows = listed()
    assert {row["payment_id"] for row in rows} == {first, second}
    assert [row["due_by"] for row in rows] == sorted(row["due_by"] for row in rows)
    row = next(row for row in rows if row["payment_id"] == first)
    assert (row["status"], row["amount"], row["currency"], row["over"]) == ("needs_response", 49900, "usd", False)
    assert row["enrollment"] == "ENROLLED"
    assert row["stripe_url"] == f"https://dashboard.stripe.com/test/disputes/{row['dispute_id']}"
    assert listed(state="over") == []
    tuition.at_stripe(
        "POST", f"/v1/disputes/{row['dispute_id']}", **{"evidence[uncategorized_text]": "losing_evidence"}
    )
    tuition.later(10)
    tuition.deliver_all()
    over = listed(state="over")
    assert [(r["dispute_id"], r["status"], r["enrollment"]) for r in over] == [(row["dispute_id"], "lost", "WITHDRAWN")]
    assert {r["payment_id"] for r in listed()} == {second}
    assert first in found(tuition, admin, disputed="true")
    assert tuition.admin(admin, DISPUTES, query={"state": "lost"}).status == 422
    cursor = tuition.admin(admin, DISPUTES, query={"limit": "1"}).body["next_cursor"]
    if cursor:
        assert tuition.admin(admin, DISPUTES, query={"state": "over", "cursor": cursor}).status == 422


# --- a user ---


def test_a_user_is_shown_with_payments_enrollments_and_customer(
    tuition: World, student: Student, admin: Student
) -> None:
    one, two = paid(tuition, student, "DP"), paid(tuition, student, "FSD")
    page = tuition.admin(admin, USER, user_id=student.sub, query={"limit": "1"}).body
    assert [p["payment_id"] for p in page["payments"]] == [two["payment_id"]]
    more = tuition.admin(admin, USER, user_id=student.sub, query={"limit": "1", "cursor": page["next_cursor"]}).body
    assert [p["payment_id"] for p in more["payments"]] == [one["payment_id"]]
    assert more["next_cursor"] is None
    assert [(e["track"], e["status"]) for e in page["enrollments"]] == [("DP", "ENROLLED"), ("FSD", "ENROLLED")]
    assert page["enrollments"][0]["projects"][0]["unlocked"] is True
    assert page["user"]["customer"]["stripe_customer_id"] == page["payments"][0]["stripe_customer_id"]
    assert page["user"]["email"] == f"{student.sub}@example.org"
    assert page["chain"] == {"verified": True, "problem": None}


@pytest.mark.parametrize("user_id", ["nobody", "pay_x", "x" * 300, "%00", "日本", "#user"])
def test_nothing_of_a_user_is_not_found(tuition: World, admin: Student, user_id: str) -> None:
    assert tuition.admin(admin, USER, user_id=user_id).status == 404


# --- quarantine ---


def test_a_quarantined_event_is_shown_as_it_came_but_for_secrets(
    tuition: World, student: Student, admin: Student
) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    event["data"]["object"]["amount_received"] = "a lot"
    event["data"]["object"]["client_secret"] = "pi_secret_x"
    assert tuition.deliver(event).body["outcome"] == "quarantined"
    shown = tuition.admin(Student("s", groups=("support",)), QUARANTINED, event_id=event["id"])
    assert shown.status == 200
    assert shown.body["event"]["payload"]["data"]["object"]["amount_received"] == "a lot"
    assert "pi_secret_x" not in str(shown.body)
    assert "pi_secret_x" not in str(tuition.tables.scan(TableName="quarantine")["Items"])
    assert "amount_received" in shown.body["event"]["reason"]
    assert tuition.admin(student, QUARANTINED, event_id=event["id"]).status == 403
    for unknown in ("evt_unknown", "", "x" * 300, "é"):
        assert tuition.admin(admin, QUARANTINED, event_id=unknown).status == 404


def test_the_quarantine_has_pages_and_cursors_of_its_own(tuition: World, student: Student, admin: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    kept = [f"{event['id']}_{i}" for i in (1, 3, 0, 2)]
    for event_id in kept:
        tuition.deliver({**event, "id": event_id, "created": "soon"})
        tuition.time_passes(1)
    tuition.deliver({**event, "id": kept[1], "created": "soon"})
    found: list[str] = []
    query = {"limit": "1"}
    while True:
        page = tuition.admin(admin, QUARANTINE, query=query).body
        found += [row["event_id"] for row in page["events"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert [event_id for event_id in found if event_id in kept] == kept[::-1], "newest first, by when each came first"
    assert len(found) == len(set(found))
    of_payments = tuition.admin(admin, LIST, query={"limit": "1"}).body["next_cursor"]
    for cursor in ("garbage", event["id"], of_payments, "é"):
        assert tuition.admin(admin, QUARANTINE, query={"cursor": cursor}).status == 422


def test_who_replays_an_event_is_on_record(tuition: World, student: Student, admin: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    assert tuition.deliver({**event, "created": "soon"}).body["outcome"] == "quarantined"
    replay = "POST /api/admin/quarantine/{event_id}/replay"
    assert tuition.admin(admin, replay, event_id=event["id"]).body["outcome"] == "quarantined"
    assert tuition.admin(admin, replay, event_id="evt_unknown").status == 404
    trail = queries.audit_trail(admin.sub)
    assert [(r["type"], r["source"], r["actor"]) for r in trail] == [("event.replayed", "staff", admin.sub)]
    assert trail[0]["transition"] == {"replay": event["id"]}


# --- two at once ---


@pytest.mark.parametrize("body", [{"amount": 20000, "left": 49900}, {}], ids=["a part", "all"])
def test_two_staff_refund_one_payment_at_once_and_one_is_told(
    tuition: World, student: Student, backend: str, monkeypatch: pytest.MonkeyPatch, body: dict[str, int]
) -> None:
    from tests.tables.test_ledger import _one_at_a_time

    if backend == "moto":
        _one_at_a_time(tuition, monkeypatch)
    made = paid(tuition, student)
    staff = [Student(f"{student.sub}-staff-{i}", groups=("admin",)) for i in range(2)]

    def refund(who: Student) -> Any:
        return tuition.admin(who, REFUND, {**body, "reason": "asked by phone"}, payment_id=made["payment_id"])

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(refund, staff))
    at_stripe = tuition.at_stripe("GET", f"/v1/refunds?payment_intent={made['payment_intent_id']}")["data"]
    done = [a for a in answers if a.status == 200]
    told = [a for a in answers if a.status == 409]
    assert (len(done), len(told), len(at_stripe)) == (1, 1, 1), [a.body for a in answers]
    assert told[0].body["type"].endswith("/refund-refused")
    assert at_stripe[0]["amount"] == body.get("amount", 49900)
    assert tuition.chain_problem(made["payment_id"]) is None


def test_a_second_part_decided_on_what_was_seen_before_the_first_is_refused(
    tuition: World, student: Student, admin: Student
) -> None:
    made = paid(tuition, student)
    part = {"amount": 20000, "reason": "half", "left": 49900}
    assert tuition.admin(admin, REFUND, part, payment_id=made["payment_id"]).status == 200
    again = tuition.admin(admin, REFUND, part, payment_id=made["payment_id"])
    assert (again.status, "29900" in again.body["detail"]) == (409, True)
    rest = {"amount": 29900, "reason": "the rest", "left": 29900}
    done = tuition.admin(admin, REFUND, rest, payment_id=made["payment_id"])
    assert (done.status, done.body["payment"]["status"]) == (200, "REFUNDED")


# --- who may ---


WRITES: dict[str, dict[str, Any]] = {
    REFUND: {"reason": "x"},
    "POST /api/admin/payments/{payment_id}/refunds/{request_id}": {"decision": "approve"},
    "POST /api/admin/payments/{payment_id}/decisions": {"decision": "revoke", "note": "x"},
    "POST /api/admin/payments/{payment_id}/attention": {"cause": "double", "note": "x"},
    "POST /api/admin/quarantine/{event_id}/replay": {},
    "POST /api/admin/exports": {"filters": {}},
}


def test_support_and_students_change_nothing_by_any_route(tuition: World, student: Student) -> None:
    import admin as handlers

    made = paid(tuition, student)
    version = tuition.payment(made["payment_id"]).version
    assert set(WRITES) == {r for r in handlers.ROUTES if not r.startswith("GET ")}
    for who in (student, Student("s", groups=("support",)), Student("s", groups=("support", "admins"))):
        for route, body in WRITES.items():
            path = {"payment_id": made["payment_id"], "request_id": "rr_x", "event_id": "evt_x"}
            assert tuition.admin(who, route, body, **path).status == 403, route
    assert tuition.payment(made["payment_id"]).version == version


def test_every_view_is_for_staff_alone(tuition: World, student: Student) -> None:
    import admin as handlers

    for route in handlers.ROUTES:
        answer = tuition.admin(
            student, route, {}, payment_id="x", user_id="x", event_id="x", request_id="x", export_id="x"
        )
        assert answer.status == 403, route
    reads = [r for r in handlers.ROUTES if r.startswith("GET ") and "exports" not in r]
    for route in reads:
        query = {"year": "2026"} if "counts" in route else {}
        path = {"payment_id": "pay_x", "user_id": "nobody", "event_id": "x"}
        answer = tuition.admin(Student("s", groups=("support",)), route, query=query, **path)
        assert answer.status in (200, 404), route


@pytest.mark.parametrize("reference", ["cus_x", "rr_x", "evt_x", "exp_x", "x" * 300, "pay_é", "", "%2e%2e", "pi_x"])
def test_an_id_of_another_kind_is_not_found(tuition: World, admin: Student, reference: str) -> None:
    assert tuition.admin(admin, ONE, payment_id=reference).status == 404
    assert tuition.admin(admin, REFUND, {"reason": "x"}, payment_id=reference).status == 404
