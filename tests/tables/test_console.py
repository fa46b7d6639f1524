"""The staff views beyond the payments list: filters, counts, one payment, one user, disputes and quarantine."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness import Harness, Student
from tests.tables.test_admin import LIST, ONE, buy_track, search
from tuition import clock
from tuition.core import catalog, timestamps
from tuition.core.errors import EventUnusable
from tuition.intake import walk
from tuition.storage import dynamodb, effects, keys, mapping, queries
from tuition.storage.effects import Effect
from tuition.storage.items import EMAILS, PaymentItem
from tuition.storage.queries import Cursor
from tuition.views import counts, filters, payment_list, timelines

COUNTS = "GET /api/admin/counts"
TOTALS = "GET /api/admin/payments/totals"
USERS = "GET /api/admin/users"
USER = "GET /api/admin/users/{user_id}"
TIMELINE = "GET /api/admin/users/timeline"
DISPUTES = "GET /api/admin/disputes"
QUARANTINE = "GET /api/admin/quarantine"
QUARANTINED = "GET /api/admin/quarantine/{event_id}"
REFUND = "POST /api/admin/payments/{payment_id}/refunds"


def buy_disputed(tuition: Harness, student: Student) -> str:
    """Buy a track with a card whose bank disputes the payment; return the payment id."""
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_createDispute")
    tuition.advance_stripe(5)
    tuition.deliver_all()
    return str(purchase["payment_id"])


def store_past_payment(
    tuition: Harness, student: Student, created_at: str, track: str = "DP", amount: int = 49900
) -> str:
    """Store a payment of an earlier time, bypassing the ledger."""
    from tuition.core.money import Money
    from tuition.core.payment import Payment

    payment_id = f"pay_{student.sub.replace('-', '')}{created_at[:19].replace(':', '').replace('-', '').lower()}"
    payment = Payment(
        payment_id=payment_id, user_id=student.sub, track=track, kind="intent", attempt=1,
        stripe_object_id=f"pi_{payment_id}",
        price=Money(amount, "usd"), created_at=created_at, updated_at=created_at, email=f"{student.sub}@example.org",
    )  # fmt: skip
    item = mapping.payment_to_item(payment, clock.now(), [])
    tuition.tables.put_item(TableName="payments", Item=dynamodb.to_raw(item))
    return payment_id


def delete_payments(tuition: Harness, *payment_ids: str) -> None:
    for payment_id in payment_ids:
        tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(payment_id))


# --- filters ---


def test_filters_by_amount_and_dispute_combine(tuition: Harness, student: Student, admin: Student) -> None:
    expensive, cheap = buy_track(tuition, student, "FSD")["payment_id"], buy_track(tuition, student, "DP")["payment_id"]
    with_dispute = buy_disputed(tuition, Student(student.sub + "-d"))
    own_ids = {expensive, cheap, with_dispute}

    def search_own(**query: str) -> set[str]:
        return set(search(tuition, admin, limit="2", **query)) & own_ids

    assert search_own(amount_min="50000") == {expensive}
    assert search_own(amount_max="49900") == {cheap, with_dispute}
    assert search_own(amount_min="49900", amount_max="49900", disputed="false") == {cheap}
    assert search_own(amount_max="0") == set()
    assert search_own(disputed="true") == {with_dispute}
    assert search_own(disputed="true", track="FSD") == set()
    assert search_own(disputed="true", attention="true", status="SUCCEEDED") == {with_dispute}
    assert search_own(amount_min="0", status="SUCCEEDED", track="DP", disputed="true") == {with_dispute}


def test_filters_by_refund_method_and_failure_combine(tuition: Harness, student: Student, admin: Student) -> None:
    users = [student, *(Student(f"{student.sub}-{name}") for name in ("whole", "free", "failed"))]
    part, whole, none = (str(buy_track(tuition, user)["payment_id"]) for user in users[:3])
    for payment_id, amount in ((part, 100), (whole, 49900)):
        body = {"amount": amount, "reason": "A part was missing"}
        assert tuition.admin(admin, REFUND, body, payment_id=payment_id).status == 200
    purchase = tuition.create(users[3]).body
    failed = str(purchase["payment_id"])
    tuition.pay(purchase["payment_intent_id"], "pm_card_chargeDeclinedInsufficientFunds")
    tuition.deliver_all()

    def search_own(**query: str) -> set[str]:
        return set(search(tuition, admin, limit="2", **query)) & {part, whole, none, failed}

    assert search_own(refunded="true") == {whole}
    assert search_own(refunded="partly") == {part}
    assert search_own(refunded="any") == {part, whole}
    assert search_own(refunded="none") == {none, failed}
    assert search_own(refunded="false") == {part, none, failed}
    assert search_own(refunded="partly", status="REFUNDED") == set()
    assert search_own(failure="insufficient_funds") == {failed}
    assert search_own(failure="expired_card") == set()
    assert search_own(method="visa", refunded="none") == {none, failed}
    assert search_own(method="card", refunded="any", track="DP") == {part, whole}
    assert search_own(method="us_bank_account") == set()


def test_the_attention_queue_is_listed_from_either_end(tuition: Harness, student: Student, admin: Student) -> None:
    first, second = (buy_disputed(tuition, Student(f"{student.sub}-{number}")) for number in range(2))

    def queue(order: str) -> list[str]:
        body = tuition.admin(admin, "GET /api/admin/attention", query={"order": order, "limit": "100"}).body
        return [one["payment_id"] for one in body["payments"] if one["payment_id"] in (first, second)]

    assert queue("newest") == [second, first]
    assert queue("oldest") == [first, second]


def test_totals_of_a_filter_are_the_sums_of_its_pages(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payment_list, "TOTALS_BATCH", 1)
    monkeypatch.setattr(payment_list, "MAX_BATCHES_PER_PAGE", 2)
    users = [Student(f"{student.sub}-{number}") for number in range(4)]
    bought = [str(buy_track(tuition, user, track)["payment_id"]) for user in users[:3] for track in ("DP", "FSD")]
    tuition.create(users[3])
    body = {"amount": 900, "reason": "A part was missing"}
    assert tuition.admin(admin, REFUND, body, payment_id=bought[1]).status == 200

    def totals(**query: str) -> Counter[str]:
        sums: Counter[str] = Counter()
        while True:
            answer = tuition.admin(admin, TOTALS, query=query).body
            assert answer["read"] <= 2
            sums.update({name: answer[name] for name in ("payments", "read")})
            for one in answer["sums"]:
                assert one.pop("currency") == "usd"
                sums.update(one)
            if answer["next_cursor"] is None:
                return sums
            query["cursor"] = answer["next_cursor"]

    all_amounts = 3 * (49900 + 59900)
    expected = {"payments": 7, "amount": all_amounts + 49900, "received": all_amounts, "refunded": 900}
    assert totals(q=student.sub) == {**expected, "read": 7}
    partly = totals(q=student.sub, refunded="partly")
    assert (partly["payments"], partly["received"], partly["refunded"]) == (1, 59900, 900)
    assert totals(q=f"nobody-{student.sub}")["payments"] == 0


@pytest.mark.parametrize(
    "query",
    [
        {"order": "amount"},
        {"order": "oldest", "q": "ada"},
        {"refunded": "maybe"},
        {"method": "Visa"},
        {"failure": ""},
        {"failure": "a" * 61},
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
def test_an_invalid_filter_is_refused(tuition: Harness, admin: Student, query: dict[str, str]) -> None:
    response = tuition.admin(admin, LIST, query=query)
    assert (response.status, response.body["field"]) == (422, next(iter(query)))


@pytest.mark.parametrize(
    "q", ["İstanbul@", "ẞ", "e\u0301", "𝕏@example.org", "ﬁ", "日本", "%", "#", "a#", "'", "z" * 255]
)
def test_a_search_in_any_script_answers_without_results(tuition: Harness, admin: Student, q: str) -> None:
    assert search(tuition, admin, q=q) == []


def test_an_email_in_any_script_is_found_by_its_beginning(tuition: Harness, student: Student, admin: Student) -> None:
    user = Student(student.sub, email=f"ÎLE-{student.sub}@exämple.org")
    payment_id = buy_track(tuition, user)["payment_id"]
    assert search(tuition, admin, q=f"île-{student.sub}@") == [payment_id]
    assert search(tuition, admin, q=f"ÎLE-{student.sub}@exämple.org") == [payment_id]


def test_a_search_lists_the_exact_user_first_and_each_payment_once(
    tuition: Harness, student: Student, admin: Student
) -> None:
    name = student.sub.replace("student", "searched") + "x"
    own_ids = [buy_track(tuition, Student(name), track)["payment_id"] for track in ("DP", "FSD")]
    other_ids = [buy_track(tuition, Student(f"{name}{i}"))["payment_id"] for i in range(3)]
    for limit in ("1", "2", "3", "100"):
        ids = search(tuition, admin, q=name, limit=limit)
        assert ids[:2] == own_ids[::-1]
        assert ids[2:] == other_ids[::-1]
    assert search(tuition, admin, q=name, limit="1", track="FSD") == [own_ids[1]]


def test_a_cursor_is_valid_only_for_its_own_filter(tuition: Harness, student: Student, admin: Student) -> None:
    for track in ("DP", "FSD"):
        buy_track(tuition, student, track)
    cursor = tuition.admin(admin, LIST, query={"limit": "1", "status": "SUCCEEDED"}).body["next_cursor"]
    assert tuition.admin(admin, LIST, query={"limit": "1", "status": "SUCCEEDED", "cursor": cursor}).status == 200
    others: list[dict[str, str]] = [
        {},
        {"status": "FAILED"},
        {"q": student.sub},
        {"status": "SUCCEEDED", "track": "DP"},
    ]
    for query in (*others, {"status": "SUCCEEDED", "order": "oldest"}):
        response = tuition.admin(admin, LIST, query={**query, "cursor": cursor})
        assert (response.status, response.body["field"]) == (422, "cursor"), query


def encode_cursor(*parts: Any) -> str:
    import base64
    import json

    return base64.urlsafe_b64encode(json.dumps(list(parts)).encode()).decode().rstrip("=")


POSITION = "2026-11-24T00:00:00.000Z#pay_x"


@pytest.mark.parametrize(
    "parts",
    [
        (3, "{of}", "listed", POSITION, "pay_y"),
        (3, "{of}", "listed", "2026-11-24T00:00:00.000Z#pi_x", "pi_x"),
        (3, "{of}", "listed", "yesterday#pay_x", "pay_x"),
        (3, "{of}", "listed", "9999-99-99T00:00:00.000Z#pay_x", "pay_x"),
        (3, "{of}", "email", POSITION, "pay_x"),
        (3, "{of}", "dispute", POSITION, "pay_x"),
        (3, "{of}", "listed", "\ud800#pay_x", "pay_x"),
        (3, "{of}", "listed", "x" * 5000, "pay_x"),
        (3, "{of}", "listed", None, "pay_x"),
        (3, "{of}", "listed", POSITION),
        (2, "{of}", "listed", POSITION, "pay_x"),
        (3, "other", "listed", POSITION, "pay_x"),
    ],
)
def test_a_forged_cursor_is_refused(tuition: Harness, admin: Student, parts: tuple[Any, ...]) -> None:
    digest = filters.Filters().digest
    cursor = encode_cursor(*(digest if part == "{of}" else part for part in parts))
    response = tuition.admin(admin, LIST, query={"cursor": cursor})
    assert (response.status, response.body["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    "cursor", ["x", "=", "é", "W10", "bnVsbA", "[" * 3000, Cursor.listed(POSITION).encode("another list")]
)
def test_an_invalid_cursor_is_refused_by_every_list(
    tuition: Harness, student: Student, admin: Student, cursor: str
) -> None:
    buy_track(tuition, student)
    for route, path in ((LIST, {}), (DISPUTES, {}), (USER, {"user_id": student.sub})):
        response = tuition.admin(admin, route, query={"cursor": cursor}, **path)
        assert (response.status, response.body.get("field")) == (422, "cursor"), route


def test_a_list_reaches_across_years_without_payments(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = store_past_payment(tuition, student, "2020-03-05T10:00:00.000Z")
    try:
        assert payment_id in search(tuition, admin, limit="100")
        assert search(tuition, admin, **{"from": "2020-03-05", "to": "2020-03-05"}) == [payment_id]
        assert search(tuition, admin, to="2020-03-04") == []
    finally:
        delete_payments(tuition, payment_id)


def test_payments_of_a_track_that_is_no_longer_sold_can_be_found(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = store_past_payment(tuition, student, timestamps.iso(clock.now() - 60), track="OLD")
    try:
        assert tuition.admin(admin, LIST, query={"track": "OLD"}).status == 422
        old = replace(catalog.tracks()["DP"], track="OLD", sold=False)
        tracks = {**catalog.tracks(), "OLD": old}
        monkeypatch.setattr(catalog, "tracks", lambda: tracks)
        assert payment_id in search(tuition, admin, status="CREATED")
        assert search(tuition, admin, track="OLD") == [payment_id]
        assert tuition.admin(admin, ONE, payment_id=payment_id).body["groups"]["payment"]["track"] == "OLD"
    finally:
        delete_payments(tuition, payment_id)


# --- counts ---


def payment_counts(tuition: Harness, admin: Student, **query: str) -> dict[str, int]:
    response = tuition.admin(admin, COUNTS, query=query)
    assert (response.status, response.body["complete"]) == (200, True)
    return {count["period"]: count["payments"] for count in response.body["counts"]}


def test_repeated_requests_count_payments_by_day_and_month_correctly(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "REMEMBER_FROM", 1)
    days = {"2021-02-01": 2, "2021-02-28": 1, "2021-03-01": 1}
    payment_ids = [
        store_past_payment(tuition, student, f"{day}T{hour:02d}:00:00.000Z")
        for day, n in days.items()
        for hour in range(n)
    ]
    try:
        for _ in range(3):
            assert payment_counts(tuition, admin, month="2021-02") == {"2021-02-01": 2, "2021-02-28": 1}
            assert payment_counts(tuition, admin, year="2021") == {"2021-02": 3, "2021-03": 1}
        today, month = datetime.now(UTC).date().isoformat(), datetime.now(UTC).date().isoformat()[:7]
        before = payment_counts(tuition, admin, month=month).get(today, 0)
        buy_track(tuition, student)
        assert payment_counts(tuition, admin, month=month)[today] == before + 1
        tuition.offset_s += 2 * counts.SETTLES_AFTER_S  # by now the count is stored permanently, and only once
        assert payment_counts(tuition, admin, month=month)[today] == before + 1
        assert payment_counts(tuition, admin, month=month)[today] == before + 1
        buy_track(tuition, student, "FSD")
        assert sum(payment_counts(tuition, admin, month=timestamps.iso(clock.now())[:7]).values()) == before + 2
    finally:
        delete_payments(tuition, *payment_ids)
        for period in ("2021-02", "2021-03", month):
            tuition.tables.delete_item(TableName="analytics", Key=keys.count_key(period, counts.MEASURE))


def test_a_payment_rebuilt_into_the_past_is_counted_a_month_later(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_ids = [store_past_payment(tuition, student, "2022-05-05T10:00:00.000Z")]
    try:
        assert payment_counts(tuition, admin, month="2022-05") == {"2022-05-05": 1}
        payment_ids.append(store_past_payment(tuition, student, "2022-05-04T10:00:00.000Z"))
        assert payment_counts(tuition, admin, month="2022-05") == {"2022-05-05": 1}
        tuition.offset_s += counts.MAX_AGE_S + 1
        assert payment_counts(tuition, admin, month="2022-05") == {"2022-05-04": 1, "2022-05-05": 1}
    finally:
        delete_payments(tuition, *payment_ids)


def test_counts_too_large_for_one_request_are_completed_by_the_next(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "REMEMBER_FROM", 1)
    monkeypatch.setattr(counts, "KEYS_PER_QUERY", 2)
    monkeypatch.setattr(counts, "MAX_QUERIES", 1)
    payment_ids = [store_past_payment(tuition, student, f"2023-07-{day:02d}T10:00:00.000Z") for day in range(1, 6)]
    try:
        bodies = [tuition.admin(admin, COUNTS, query={"month": "2023-07"}).body for _ in range(4)]
        assert [body["complete"] for body in bodies] == [False, False, True, True]
        assert [sum(c["payments"] for c in body["counts"]) for body in bodies] == [2, 4, 5, 5]
    finally:
        delete_payments(tuition, *payment_ids)


@pytest.mark.parametrize(
    "query",
    [
        *({}, {"month": "2026-11", "year": "2026"}, {"month": "2026"}, {"year": "2026-11"}, {"month": "2026-13"}),
        *({"month": "26-11"}, {"year": "0001"}, {"year": "x"}, {"day": "2026-11-01"}, {"month": "2026-W1"}),
    ],
)
def test_counts_need_exactly_one_valid_month_or_year(tuition: Harness, admin: Student, query: dict[str, str]) -> None:
    assert tuition.admin(admin, COUNTS, query=query).status == 422


# --- one payment ---


def test_a_payment_is_shown_with_all_its_fields_and_facts(tuition: Harness, student: Student, admin: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_chargeDeclinedInsufficientFunds")
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    refund = {"amount": 9900, "reason": "a part was missing", "expected_refundable_amount": 49900}
    assert tuition.admin(admin, REFUND, refund, payment_id=purchase["payment_id"]).status == 200
    tuition.deliver_all()
    body = tuition.admin(admin, ONE, payment_id=purchase["payment_id"]).body
    groups, facts = body["groups"], body["facts"]
    assert groups["payment"]["enrollment"] == "ENROLLED"
    assert groups["payment"]["grants_access"] is True
    assert (groups["money"]["received"], groups["money"]["refund_amount"], groups["money"]["refundable_amount"]) == (
        49900,
        9900,
        40000,
    )
    assert (
        groups["stripe"]["payment_url"] == f"https://dashboard.stripe.com/test/payments/{purchase['payment_intent_id']}"
    )
    assert body["payment"]["refundable_amount"] == 40000
    charges = [(charge["status"], charge["code"]) for charge in facts["charges"]]
    assert charges == [("failed", "insufficient_funds"), ("succeeded", None)]
    assert [(r["status"], r["amount"]) for r in facts["refunds"]] == [("succeeded", 9900)]
    assert facts["refunds"][0]["request"] == body["payment"]["refund_requests"][0]["id"]
    assert facts["settled"]["amount"] == 49900
    shown_names = {name for group in groups.values() for name in group}
    columns = set(PaymentItem.get_attributes())
    derived = {"listed_at", "created_month", "status_track", "email_initial", "email_key", "attention_open"}
    derived |= {
        "check_due",
        "disputed",
        "dispute_due",
        "refund_requested",
        "refund_requested_at",
        "terms",
        "facts",
        "refund_requests",
        "attention",
        "synced_at",
    }
    derived |= {"plan", "covers", "membership"}  # of payment plans, which no student can begin yet
    renamed = {"payment_method", "stripe_payment_intent", "stripe_checkout_session", "stripe_charge_id"}
    assert columns - derived - renamed - {"stripe_customer_id"} <= shown_names


def test_a_staff_decision_is_shown_with_who_made_it_and_when(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase = buy_track(tuition, student)
    route = "POST /api/admin/payments/{payment_id}/access"
    body = {"decision": "revoke", "note": "shared the account"}
    assert tuition.admin(admin, route, body, payment_id=purchase["payment_id"]).status == 200
    detail = tuition.admin(admin, ONE, payment_id=purchase["payment_id"]).body
    decision = detail["facts"]["decision"]
    assert (decision["decision"], decision["who"], decision["note"]) == ("revoke", admin.sub, "shared the account")
    assert decision["at"] == detail["audit"][-1]["at"]
    assert detail["groups"]["payment"]["enrollment"] == "WITHDRAWN"


# --- disputes ---


def test_disputes_are_listed_by_due_date_with_the_students_enrollment(
    tuition: Harness, student: Student, admin: Student
) -> None:
    first = buy_disputed(tuition, student)
    second = buy_disputed(tuition, Student(student.sub + "-2"))

    def own_disputes(**query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            page = tuition.admin(admin, DISPUTES, query={"limit": "1", **query}).body
            rows += page["disputes"]
            if not page["next_cursor"]:
                return [row for row in rows if row["payment_id"] in (first, second)]
            query["cursor"] = page["next_cursor"]

    rows = own_disputes()
    assert {row["payment_id"] for row in rows} == {first, second}
    assert [row["due_by"] for row in rows] == sorted(row["due_by"] for row in rows)
    row = next(row for row in rows if row["payment_id"] == first)
    assert (row["status"], row["amount"], row["currency"], row["over"]) == ("needs_response", 49900, "usd", False)
    assert row["enrollment"] == "ENROLLED"
    assert (row["attention"]["name"], row["attention"]["due_by"]) == (f"dispute:{row['dispute_id']}", row["due_by"])
    body = {**{key: row["attention"][key] for key in ("name", "fingerprint")}, "note": "Evidence was sent"}
    tuition.admin(admin, "POST /api/admin/payments/{payment_id}/attention", body, payment_id=first)
    assert next(one for one in own_disputes() if one["payment_id"] == first)["attention"] is None
    assert row["stripe_url"] == f"https://dashboard.stripe.com/test/disputes/{row['dispute_id']}"
    assert own_disputes(state="over") == []
    tuition.at_stripe(
        "POST", f"/v1/disputes/{row['dispute_id']}", **{"evidence[uncategorized_text]": "losing_evidence"}
    )
    tuition.advance_stripe(10)
    tuition.deliver_all()
    closed = own_disputes(state="over")
    assert [(r["dispute_id"], r["status"], r["enrollment"]) for r in closed] == [
        (row["dispute_id"], "lost", "WITHDRAWN")
    ]
    assert {r["payment_id"] for r in own_disputes()} == {second}
    assert first in search(tuition, admin, disputed="true")
    assert tuition.admin(admin, DISPUTES, query={"state": "lost"}).status == 422
    cursor = tuition.admin(admin, DISPUTES, query={"limit": "1"}).body["next_cursor"]
    if cursor:
        assert tuition.admin(admin, DISPUTES, query={"state": "over", "cursor": cursor}).status == 422


# --- one user ---


@pytest.mark.parametrize("bound", ["PAYMENTS_PER_PAGE", "MAX_BYTES"])
def test_a_timeline_has_the_records_facts_and_emails_of_each_payment_of_one_user(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(timelines, bound, 1)
    first, second = (buy_track(tuition, student, track)["payment_id"] for track in ("DP", "FSD"))
    tuition.admin(admin, REFUND, {"reason": "agreed", "amount": 100, "message": "Sorry"}, payment_id=first)
    effects.skip(Effect(EMAILS, first, "2026-11-23T18:30:00.000Z#evt_1", "purchase_confirmed"), "no_sender")
    effects.skip(Effect(EMAILS, first, "2026-11-23T18:30:00.000Z#evt_2#staff", "dispute_opened"), "no_sender")
    page = tuition.admin(admin, TIMELINE, query={"user_id": student.sub}).body
    assert [events["payment"]["payment_id"] for events in page["payments"]] == [second]
    last = tuition.admin(admin, TIMELINE, query={"user_id": student.sub, "cursor": page["next_cursor"]}).body
    (events,) = last["payments"]
    assert last["next_cursor"] is None
    details = tuition.admin(admin, "GET /api/admin/payments/{payment_id}", payment_id=first).body
    assert events == {name: details[name] for name in ("payment", "facts", "audit", "emails")}
    assert events["payment"]["refund_requests"][0]["message"] == "Sorry"
    assert [(email["kind"], email["state"]) for email in events["emails"]] == [("purchase_confirmed", "skipped")]
    past = tuition.admin(admin, "GET /api/admin/payments/{payment_id}", payment_id=first, query={"version": "1"}).body
    assert past["emails"] == []
    assert tuition.admin(admin, TIMELINE, query={"user_id": ""}).status == 422
    assert tuition.admin(student, TIMELINE, query={"user_id": student.sub}).status == 403


def test_a_user_is_shown_with_payments_enrollments_and_customer(
    tuition: Harness, student: Student, admin: Student
) -> None:
    first, second = buy_track(tuition, student, "DP"), buy_track(tuition, student, "FSD")
    page = tuition.admin(admin, USER, user_id=student.sub, query={"limit": "1"}).body
    assert [p["payment_id"] for p in page["payments"]] == [second["payment_id"]]
    next_page = tuition.admin(
        admin, USER, user_id=student.sub, query={"limit": "1", "cursor": page["next_cursor"]}
    ).body
    assert [p["payment_id"] for p in next_page["payments"]] == [first["payment_id"]]
    assert next_page["next_cursor"] is None
    assert [(e["track"], e["status"]) for e in page["enrollments"]] == [("DP", "ENROLLED"), ("FSD", "ENROLLED")]
    assert page["enrollments"][0]["projects"][0]["unlocked"] is True
    assert page["user"]["customer"]["stripe_customer_id"] == page["payments"][0]["stripe_customer_id"]
    assert page["user"]["email"] == f"{student.sub}@example.org"
    assert page["chain"] == {"verified": True, "problem": None}


@pytest.mark.parametrize("user_id", ["idp|a/b", "cus_{}", "a%2Fb?c", "me+work=a"])
def test_a_user_with_any_id_is_found_and_shown(
    tuition: Harness, student: Student, admin: Student, user_id: str
) -> None:
    user = Student(user_id.format(student.sub) if "{}" in user_id else f"{user_id}-{student.sub}")
    payment_id = buy_track(tuition, user)["payment_id"]
    assert search(tuition, admin, q=user.sub) == [payment_id]
    shown = tuition.admin(admin, USERS, query={"user_id": user.sub}).body
    assert (shown["user"]["user_id"], shown["payments"][0]["payment_id"]) == (user.sub, payment_id)
    assert shown == tuition.admin(admin, USER, user_id=user.sub).body
    customer = shown["user"]["customer"]["stripe_customer_id"]
    assert search(tuition, admin, q=customer) == [payment_id]


@pytest.mark.parametrize("query", [{}, {"user_id": ""}, {"user": "ada"}, {"user_id": "nobody"}])
def test_a_user_view_needs_the_id_of_a_user(tuition: Harness, admin: Student, query: dict[str, str]) -> None:
    assert tuition.admin(admin, USERS, query=query).status == (404 if query.get("user_id") else 422)


@pytest.mark.parametrize("user_id", ["nobody", "pay_x", "x" * 300, "%00", "日本", "#user"])
def test_an_unknown_user_is_not_found(tuition: Harness, admin: Student, user_id: str) -> None:
    assert tuition.admin(admin, USER, user_id=user_id).status == 404


# --- quarantine ---


def test_a_quarantined_event_is_shown_as_delivered_but_without_secrets(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    event["data"]["object"]["amount_received"] = "a lot"
    event["data"]["object"]["client_secret"] = "pi_secret_x"
    assert tuition.deliver(event).body["outcome"] == "quarantined"
    response = tuition.admin(Student("s", groups=("support",)), QUARANTINED, event_id=event["id"])
    assert response.status == 200
    assert response.body["event"]["payload"]["data"]["object"]["amount_received"] == "a lot"
    assert "pi_secret_x" not in str(response.body)
    assert "pi_secret_x" not in str(tuition.tables.scan(TableName="quarantine")["Items"])
    assert "amount_received" in response.body["event"]["reason"]
    assert tuition.admin(student, QUARANTINED, event_id=event["id"]).status == 403
    for event_id in ("evt_unknown", "", "x" * 300, "é"):
        assert tuition.admin(admin, QUARANTINED, event_id=event_id).status == 404


def test_the_quarantine_has_its_own_pages_and_cursors(tuition: Harness, student: Student, admin: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    event_ids = [f"{event['id']}_{i}" for i in (1, 3, 0, 2)]
    for event_id in event_ids:
        tuition.deliver({**event, "id": event_id, "created": "soon"})
        tuition.advance_time(1)
    tuition.deliver({**event, "id": event_ids[1], "created": "soon"})
    listed_ids: list[str] = []
    query = {"limit": "1"}
    while True:
        page = tuition.admin(admin, QUARANTINE, query=query).body
        listed_ids += [row["event_id"] for row in page["events"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert [event_id for event_id in listed_ids if event_id in event_ids] == event_ids[::-1], (
        "newest first, by the time of the first delivery"
    )
    assert len(listed_ids) == len(set(listed_ids))
    payments_cursor = tuition.admin(admin, LIST, query={"limit": "1"}).body["next_cursor"]
    for cursor in ("garbage", event["id"], payments_cursor, "é"):
        assert tuition.admin(admin, QUARANTINE, query={"cursor": cursor}).status == 422


def test_the_audit_trail_names_who_replays_an_event(tuition: Harness, student: Student, admin: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    assert tuition.deliver({**event, "created": "soon"}).body["outcome"] == "quarantined"
    route = "POST /api/admin/quarantine/{event_id}/replay"
    assert tuition.admin(admin, route, event_id=event["id"]).body["outcome"] == "quarantined"
    assert tuition.admin(admin, route, event_id="evt_unknown").status == 404
    trail = queries.audit_trail(admin.sub)
    assert [(r["type"], r["source"], r["actor"]) for r in trail] == [("event.replayed", "staff", admin.sub)]
    assert trail[0]["transition"] == {"replay": event["id"]}


PERSONAL = {
    "billing_details": {"name": "Ada Lovelace", "email": "ada@private.example"},
    "shipping": {"name": "Ada Lovelace", "address": {"line1": "12 St James's Square"}},
    "customer_details": {"email": "ada@private.example", "phone": "+44 20 7946 0000"},
    "receipt_email": "ada@private.example",
    "evidence": {"customer_name": "Ada Lovelace", "customer_purchase_ip": "192.0.2.7", "uncategorized_text": "kept"},
    "instructions_email": "ada@private.example",
    "next_action": {
        "redirect_to_url": {"url": "https://hooks.stripe.example/src_1?client_secret=src_client_secret_1"},
        "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": "https://x.example/?client_secret=src_2"},
    },
    "payment_method_details": {"paypal": {"payer_email": "ada@private.example", "payer_name": "Ada Lovelace"}},
    "source": {"object": "card", "name": "Ada Lovelace", "address_line1": "12 St James's Square"},
    "charges": {"data": [{"payment_method_details": {"card": {"wallet": {"masterpass": {"name": "Ada Lovelace"}}}}}]},
}


def quarantine_event(tuition: Harness, student: Student) -> dict[str, Any]:
    """Deliver an event that cannot be applied, with personal data at several depths."""
    tuition.pay(tuition.create(student).body["payment_intent_id"])
    event = next(e for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
    obj = {**event["data"]["object"], **PERSONAL, "last_payment_error": {"payment_method": PERSONAL}}
    invalid = {**event, "created": "soon", "data": {"object": obj, "previous_attributes": PERSONAL}}
    assert tuition.deliver(invalid).body["outcome"] == "quarantined"
    return invalid


def test_a_quarantined_event_is_stored_without_personal_data(tuition: Harness, student: Student) -> None:
    event = quarantine_event(tuition, student)
    stored = tuition.tables.get_item(TableName="quarantine", Key=keys.quarantine_key(event["id"]))["Item"]
    for text in ("Lovelace", "private.example", "St James", "7946", "192.0.2.7", "client_secret"):
        assert text not in str(stored)
    assert "kept" in stored["event"]["S"]
    assert event["data"]["object"]["id"] in stored["event"]["S"]


DISCARD = "POST /api/admin/quarantine/{event_id}/discard"


def test_a_discarded_event_loses_its_payload_and_stops_alarming(
    tuition: Harness, student: Student, admin: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    event = quarantine_event(tuition, student)
    event_id = event["id"]
    response = tuition.admin(admin, DISCARD, {"note": "sent by a test"}, event_id=event_id)
    assert response.status == 200
    details = response.body["event"]
    assert details["payload"] is None
    assert (details["discarded"]["by"], details["discarded"]["note"]) == (admin.sub, "sent by a test")
    assert "soon" not in str(tuition.tables.get_item(TableName="quarantine", Key=keys.quarantine_key(event_id)))
    assert event_id not in {row["event_id"] for row in tuition.admin(admin, QUARANTINE).body["events"]}
    trail = queries.audit_trail(admin.sub)
    assert [(r["type"], r["transition"]) for r in trail] == [("event.discarded", {"discard": event_id})]
    capsys.readouterr()
    assert tuition.deliver(event).status == 200
    with walk._quarantine_if_unusable([event]):  # the hourly run finds it without a record
        raise EventUnusable("still not applicable")
    assert event_id not in queries.oldest_quarantined(100)
    assert "EventQuarantined" not in capsys.readouterr().out
    assert tuition.admin(admin, "GET /api/admin/quarantine/{event_id}", event_id=event_id).body["event"] == details
    replay = tuition.admin(admin, "POST /api/admin/quarantine/{event_id}/replay", event_id=event_id)
    assert (replay.status, replay.body["type"].rpartition("/")[2]) == (409, "conflict")
    assert tuition.admin(admin, DISCARD, {"note": "again"}, event_id=event_id).body["event"] == details


def test_only_admins_discard_and_only_with_a_note(tuition: Harness, student: Student, admin: Student) -> None:
    event_id = quarantine_event(tuition, student)["id"]
    support = Student(student.sub + "-support", groups=("support",))
    assert tuition.admin(support, DISCARD, {"note": "x"}, event_id=event_id).status == 403
    for body in ({}, {"note": ""}, {"note": "x" * 501}, {"note": "x", "more": 1}):
        assert tuition.admin(admin, DISCARD, body, event_id=event_id).status == 422
    assert tuition.admin(admin, DISCARD, {"note": "x"}, event_id="evt_unknown").status == 404


def test_a_discarded_event_is_removed_after_ninety_days(tuition: Harness, student: Student, admin: Student) -> None:
    event_id = quarantine_event(tuition, student)["id"]
    tuition.admin(admin, DISCARD, {"note": "sent by a test"}, event_id=event_id)
    tuition.offset_s += 89 * 86_400
    tuition.reconcile()
    assert tuition.admin(admin, "GET /api/admin/quarantine/{event_id}", event_id=event_id).status == 200
    tuition.offset_s += 86_400
    tuition.reconcile()
    assert tuition.admin(admin, "GET /api/admin/quarantine/{event_id}", event_id=event_id).status == 404


# --- concurrent refunds ---


@pytest.mark.threads
@pytest.mark.parametrize("body", [{"amount": 20000, "expected_refundable_amount": 49900}, {}], ids=["partial", "full"])
def test_of_two_concurrent_refunds_by_staff_one_is_refused(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, body: dict[str, int]
) -> None:
    purchase = buy_track(tuition, student)
    staff = [Student(f"{student.sub}-staff-{i}", groups=("admin",)) for i in range(2)]

    def refund(user: Student) -> Any:
        return tuition.admin(user, REFUND, {**body, "reason": "asked by phone"}, payment_id=purchase["payment_id"])

    with ThreadPoolExecutor(2) as pool:
        responses = list(pool.map(refund, staff))
    refunds = tuition.at_stripe("GET", f"/v1/refunds?payment_intent={purchase['payment_intent_id']}")["data"]
    accepted = [a for a in responses if a.status == 200]
    rejected = [a for a in responses if a.status == 409]
    assert (len(accepted), len(rejected), len(refunds)) == (1, 1, 1), [a.body for a in responses]
    assert rejected[0].body["type"].endswith("/refund-refused")
    assert refunds[0]["amount"] == body.get("amount", 49900)
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_a_partial_refund_based_on_an_outdated_amount_is_refused(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase = buy_track(tuition, student)
    half = {"amount": 20000, "reason": "half", "expected_refundable_amount": 49900}
    assert tuition.admin(admin, REFUND, half, payment_id=purchase["payment_id"]).status == 200
    again = tuition.admin(admin, REFUND, half, payment_id=purchase["payment_id"])
    assert (again.status, "299.00 USD" in again.body["detail"]) == (409, True)
    rest = {"amount": 29900, "reason": "the rest", "expected_refundable_amount": 29900}
    response = tuition.admin(admin, REFUND, rest, payment_id=purchase["payment_id"])
    assert (response.status, response.body["payment"]["status"]) == (200, "REFUNDED")


# --- roles ---


WRITES: dict[str, dict[str, Any]] = {
    "POST /api/admin/collecting": {"collecting": False, "note": "x"},
    "POST /api/admin/plans/{plan_id}/decisions": {"decision": "pause", "version": 1, "note": "x"},
    "POST /api/admin/plans/{plan_id}/collect": None,
    "POST /api/admin/plans/{plan_id}/attention": {"name": "gave_up", "note": "x"},
    REFUND: {"reason": "x"},
    "POST /api/admin/payments/{payment_id}/refunds/{request_id}": {"decision": "approve"},
    "POST /api/admin/payments/{payment_id}/access": {"decision": "revoke", "note": "x"},
    "POST /api/admin/payments/{payment_id}/attention": {"name": "double", "note": "x"},
    "POST /api/admin/payments/{payment_id}/disputes/{dispute_id}/evidence": {"fields": {}},
    "POST /api/admin/payments/{payment_id}/disputes/{dispute_id}/evidence/send": {"saved_at": "x"},
    "POST /api/admin/payments/{payment_id}/emails": {"kind": "purchase_confirmed"},
    "POST /api/admin/quarantine/{event_id}/replay": {},
    "POST /api/admin/quarantine/{event_id}/discard": {"note": "x"},
    "POST /api/admin/users/{user_id}/purchases": {"decision": "block", "note": "x"},
    "POST /api/admin/users/purchases": {"decision": "block", "note": "x"},
    "POST /api/admin/users/{user_id}/legal-hold": {"decision": "set", "note": "x"},
    "POST /api/admin/users/legal-hold": {"decision": "set", "note": "x"},
    "POST /api/admin/users/{user_id}/erasure": {"note": "x"},
    "POST /api/admin/users/erasure": {"note": "x"},
    "POST /api/admin/users/{user_id}/email": {"email": "ada@example.org"},
    "POST /api/admin/users/email": {"email": "ada@example.org"},
    "POST /api/admin/notes": {"text": "x"},
    "POST /api/admin/notes/delete": {"note_id": "note_1"},
    "POST /api/admin/tags": {"add": ["x"]},
    "POST /api/admin/exports": {"filters": {}},
    "POST /api/admin/selling": {"selling": False, "note": "x"},
}


def test_support_and_students_can_change_nothing_by_any_route(tuition: Harness, student: Student) -> None:
    import admin as handlers

    purchase = buy_track(tuition, student)
    version = tuition.payment(purchase["payment_id"]).version
    assert set(WRITES) == {r for r in handlers.ROUTES if not r.startswith("GET ")}
    for user in (student, Student("s", groups=("support",)), Student("s", groups=("support", "admins"))):
        for route, body in WRITES.items():
            path = {
                "payment_id": purchase["payment_id"],
                "request_id": "rr_x",
                "event_id": "evt_x",
                "dispute_id": "dp_x",
                "plan_id": "pln_x",
            }
            assert tuition.admin(user, route, body, **path).status == 403, route
    assert tuition.payment(purchase["payment_id"]).version == version


def test_only_staff_can_read_any_view(tuition: Harness, student: Student) -> None:
    import admin as handlers

    for route in handlers.ROUTES:
        path = dict.fromkeys(
            ("payment_id", "user_id", "event_id", "request_id", "export_id", "dispute_id", "plan_id"), "x"
        )
        response = tuition.admin(student, route, {}, **path)
        assert response.status == 403, route
    of_admins = ("export", "activity/staff")
    reads = [r for r in handlers.ROUTES if r.startswith("GET ") and not any(part in r for part in of_admins)]
    for route in reads:
        query = {"year": "2026"} if "counts" in route else {"user_id": "nobody"} if route in (USERS, TIMELINE) else {}
        path = {"payment_id": "pay_x", "user_id": "nobody", "event_id": "x", "dispute_id": "dp_x", "plan_id": "pln_x"}
        response = tuition.admin(Student("s", groups=("support",)), route, query=query, **path)
        assert response.status in (200, 404), route


@pytest.mark.parametrize("reference", ["cus_x", "rr_x", "evt_x", "exp_x", "x" * 300, "pay_é", "", "%2e%2e", "pi_x"])
def test_an_id_of_another_kind_is_not_found(tuition: Harness, admin: Student, reference: str) -> None:
    assert tuition.admin(admin, ONE, payment_id=reference).status == 404
    assert tuition.admin(admin, REFUND, {"reason": "x"}, payment_id=reference).status == 404
