"""Copies of everything that is stored about a person: complete, in parts, and without data of others."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

import my_data
from tests.harness import Harness, Response, Student
from tests.tables.test_access import DECIDE, buy
from tests.tables.test_exports import BUCKET, s3_client
from tests.tables.test_fraud_warnings import ACKNOWLEDGE
from tests.tables.test_limits import problem, wait_s
from tests.tables.test_purchase_blocks import lose_dispute
from tests.tables.test_refunds import ORDER
from tuition import log
from tuition.core.emails import STUDENT_KINDS
from tuition.core.errors import Contended
from tuition.storage import dynamodb, effects, keys, ledger, queries
from tuition.storage.effects import Effect
from tuition.storage.items import EMAILS, CustomerItem, EnrollmentItem, LimitsItem, PaymentItem
from tuition.views import personal_data

MINE = "GET /api/me/export"
THEIRS = "GET /api/admin/users/{user_id}/export"
BY_QUERY = "GET /api/admin/users/export"
BLOCK = "POST /api/admin/users/{user_id}/purchases"


def export(tuition: Harness, student: Student, **query: str) -> Response:
    return tuition.call(my_data.handler, student, query=query, route=MINE)


def all_parts(tuition: Harness, student: Student) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    while not parts or parts[-1]["next_cursor"]:
        query = {"cursor": parts[-1]["next_cursor"]} if parts else {}
        parts.append(export(tuition, student, **query).body)
    return parts


def records_of(subject: str) -> list[tuple[str, Any]]:
    return [(record["type"], record["transition"]) for record in queries.audit_trail(subject)]


def live_a_full_life(tuition: Harness, student: Student, admin: Student) -> str:
    """A purchase with a note and a decision of staff, a refund, an email, declines and a block. Return the payment."""
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_chargeDeclinedStolenCard")
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    payment_id = str(purchase["payment_id"])
    order = {"amount": 100, "reason": "a part was missing", "note": "they wrote to us", "message": "Sorry!"}
    assert tuition.admin(admin, ORDER, order, payment_id=payment_id).status == 200
    tuition.deliver_all()
    for decision in ("revoke", "restore"):
        tuition.admin(admin, DECIDE, {"decision": decision, "note": "shared the account"}, payment_id=payment_id)
    tuition.admin(admin, BLOCK, {"decision": "block", "note": "a false name"}, user_id=student.sub)
    effect = Effect(EMAILS, payment_id, "2026-11-23T18:30:00.000Z#evt_1", STUDENT_KINDS[0])
    effects.claim(effect)
    effects.sent(effect, "0100-message")
    effects.claim(Effect(EMAILS, payment_id, "2026-11-23T18:30:00.000Z#evt_1#recipient", "refund_awaits_approval"))
    return payment_id


def test_a_student_gets_everything_that_is_stored_about_them(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = live_a_full_life(tuition, student, admin)
    response = export(tuition, student)
    assert response.status == 200
    data = response.body
    (payment,) = data["payments"]
    stored = queries.payments_by_id([payment_id])[0]
    assert payment["attributes"].keys() == PaymentItem.get_attributes().keys()
    for name in ("payment_id", "email", "email_key", "stripe_customer_id", "receipt_url", "terms", "audit_head"):
        assert payment["attributes"][name] == getattr(stored, name)
    assert payment["attributes"]["facts"]["charges"].keys() == stored.facts["charges"].keys()
    assert [record["hash"] for record in sorted(payment["records"], key=lambda record: int(record["seq"]))] == [
        record["hash"] for record in queries.audit_trail(payment_id)
    ]
    (email,) = payment["emails"]
    assert (email["kind"], email["state"], email["message_id"]) == (STUDENT_KINDS[0], "sent", "0100-message")
    assert [(record["type"], record["actor"]) for record in data["records"]] == [("purchases.block", "staff")]
    person = data["person"]
    assert person["customer"].keys() == CustomerItem.get_attributes().keys()
    assert person["customer"]["email"] == f"{student.sub}@example.org"
    assert person["customer"]["purchase_decision"]["note"] == "a false name"
    assert person["limits"].keys() == LimitsItem.get_attributes().keys()
    assert len(person["limits"]["declines"]) == 1
    assert [one["sort_key"] for one in person["enrollments"]] == ["DP"]
    assert person["enrollments"][0].keys() == EnrollmentItem.get_attributes().keys()
    (project,) = [one for one in person["progress"] if one["unlocked"]]
    assert project["steps"]
    assert all(step == {"done": False} for step in project["steps"].values())
    assert data["next_cursor"] is None


def test_an_export_has_what_staff_wrote_but_not_who_wrote_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    live_a_full_life(tuition, student, admin)
    text = json.dumps(export(tuition, student).body)
    assert admin.sub not in text
    for written in ("they wrote to us", "Sorry!", "shared the account", "a false name"):
        assert written in text


def test_an_export_never_says_that_a_bank_suspects_fraud(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = live_a_full_life(tuition, student, admin)
    assert "stolen_card" in json.dumps(queries.payments_by_id([payment_id])[0].facts)
    assert "stolen_card" in json.dumps(queries.audit_trail(payment_id))
    text = json.dumps(export(tuition, student).body)
    assert "stolen_card" not in text
    assert "generic_decline" in text


def test_an_export_has_no_early_fraud_warning(tuition: Harness, student: Student, admin: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_createIssuerFraudRecord")
    tuition.deliver_all()
    intent = purchase["payment_intent_id"]
    tuition.at_stripe("POST", "/_sim/early_fraud_warnings", payment_intent=intent, fraud_type="made_with_stolen_card")
    tuition.deliver_all()
    payment_id = purchase["payment_id"]
    first, second = tuition.attention(payment_id)
    body = {"name": first, "note": "called the bank"}
    assert tuition.admin(admin, ACKNOWLEDGE, body, payment_id=payment_id).status == 200
    assert tuition.attention(payment_id) == [second]
    text = json.dumps(export(tuition, student).body)
    assert payment_id in text
    for trace in ("fraud", "issfr_", "stolen", "radar", "called the bank"):
        assert trace not in text


def test_the_export_of_a_member_of_staff_does_not_name_the_people_they_have_read_about(
    tuition: Harness, student: Student, admin: Student
) -> None:
    buy(tuition, student)
    tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=student.sub)
    tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=admin.sub)
    tuition.admin(admin, THEIRS, user_id=student.sub)
    data = export(tuition, admin).body
    assert student.sub not in json.dumps(data)
    transitions = [record["transition"] for record in data["records"]]
    assert sorted(transitions, key=str) == [
        {"export": {"kind": "personal_data", "user": "another person"}},
        {"read": {"users": [admin.sub]}},
        {"read": {"users": ["another person"]}},
    ]


def test_an_export_has_no_means_to_pay(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    text = json.dumps(export(tuition, student).body)
    assert purchase["client_secret"] not in text
    assert "_secret_" not in text


def test_an_export_has_nothing_about_another_student(tuition: Harness, student: Student, admin: Student) -> None:
    other = Student(f"{student.sub}-other")
    others_payment = live_a_full_life(tuition, other, admin)
    own_payment = live_a_full_life(tuition, student, admin)
    text = json.dumps(export(tuition, student).body)
    assert own_payment in text
    for id_ in (other.sub, others_payment, tuition.payment(others_payment).customer):
        assert id_ not in text


def test_a_cursor_of_another_person_is_refused(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal_data, "RECORDS_PER_PART", 1)
    other = Student(f"{student.sub}-other")
    for decision in ("block", "allow"):
        for one in (student, other):
            tuition.admin(admin, BLOCK, {"decision": decision, "note": "a note"}, user_id=one.sub)
    cursor = export(tuition, other).body["next_cursor"]
    assert cursor
    assert problem(export(tuition, student, cursor=cursor)) == (422, "unprocessable")
    # A forged cursor that has the right list, and the key of another person's record.
    _, last = queries.page_of_trail(other.sub, 1, None)
    assert last
    forged = last.encode(personal_data._list_id(student.sub))
    assert problem(export(tuition, student, cursor=forged)) == (422, "unprocessable")


def test_a_large_history_is_read_in_parts_without_a_gap_or_repetition(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = []
    for number in range(5):  # another choice closes the open payment
        created.append(tuition.create(student, save_payment_method=number % 2 == 0).body["payment_id"])
        tuition.freeze_time()
        tuition.advance_time(1)
    for _ in range(3):
        for decision in ("block", "allow"):
            tuition.admin(admin, BLOCK, {"decision": decision, "note": "a note"}, user_id=student.sub)
    monkeypatch.setattr(personal_data, "PAYMENTS_PER_BATCH", 1)
    monkeypatch.setattr(personal_data, "BATCHES_PER_PART", 2)
    monkeypatch.setattr(personal_data, "RECORDS_PER_PART", 4)
    monkeypatch.setattr(personal_data, "REQUESTS_PER_PART", 1)
    parts = all_parts(tuition, student)
    assert [len(part["payments"]) for part in parts] == [2, 2, 1, 0]
    assert [len(part["records"]) for part in parts] == [0, 0, 4, 2]
    assert [one["attributes"]["payment_id"] for part in parts for one in part["payments"]] == created[::-1]
    assert [one["seq"] for part in parts for one in part["records"]] == [1, 2, 3, 4, 5, 6]
    assert [part["person"] is not None for part in parts] == [True, False, False, False]


def test_a_part_ends_with_its_bytes_and_with_the_time_of_the_request(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        tuition.refund(student, buy(tuition, student))
        tuition.deliver_all()
    monkeypatch.setattr(personal_data, "PAYMENTS_PER_BATCH", 1)
    monkeypatch.setattr(personal_data, "REQUESTS_PER_PART", 1)
    for name, bound in (("BYTES_PER_PART", 1), ("LAST_S", 1000.0)):
        with monkeypatch.context() as patch:
            patch.setattr(personal_data, name, bound)
            assert [len(part["payments"]) for part in all_parts(tuition, student)] == [1, 1, 0]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with mock_aws():
        s3 = s3_client()
        s3.create_bucket(Bucket=BUCKET)
        monkeypatch.setattr(personal_data, "_s3", lambda: s3)
        monkeypatch.setattr(personal_data, "MAX_ANSWER_BYTES", 100)
        yield s3
        for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])
        s3.delete_bucket(Bucket=BUCKET)


def test_a_part_that_is_too_large_for_an_answer_is_a_file_with_the_same_content(
    tuition: Harness, student: Student, bucket: Any
) -> None:
    payment_id = buy(tuition, student)
    response = export(tuition, student)
    assert response.status == 202
    (file,) = bucket.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert file["Key"].startswith("personal/")
    assert student.sub not in file["Key"]
    assert f"/{file['Key']}?" in response.body["url"]
    assert "X-Amz-Expires=300" in response.body["url"]
    content = bucket.get_object(Bucket=BUCKET, Key=file["Key"])["Body"].read()
    assert len(content) == response.body["bytes"]
    assert json.loads(content)["payments"][0]["attributes"]["payment_id"] == payment_id


def test_an_export_that_cannot_be_stored_is_answered_503(
    tuition: Harness, student: Student, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3.eu-central-1.amazonaws.com")

    monkeypatch.setattr(bucket, "put_object", unreachable)
    monkeypatch.setattr(log.logger, "exception", lambda *_: None)
    assert problem(export(tuition, student)) == (503, "unavailable")


def test_a_user_of_whom_nothing_is_stored_gets_an_empty_export(tuition: Harness, student: Student) -> None:
    data = export(tuition, student).body
    assert (data["payments"], data["records"], data["next_cursor"]) == ([], [], None)
    assert data["person"]["customer"] is None
    assert data["person"]["limits"]["declines"] is None  # the export itself counts


def test_the_seventh_export_within_a_moment_is_refused_until_the_bucket_has_room(
    tuition: Harness, student: Student
) -> None:
    tuition.freeze_time()
    assert [export(tuition, student).status for _ in range(6)] == [200] * 6
    wait = wait_s(export(tuition, student))
    assert wait == 10
    tuition.advance_time(wait)
    assert export(tuition, student).status == 200


@pytest.mark.parametrize("claims", [{"sub": ""}, {"sub": "pay_1"}, {"sub": "a b"}, {"token_use": "access"}])
def test_a_token_that_does_not_name_a_user_exports_nothing(
    tuition: Harness, student: Student, claims: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = student.claims
    monkeypatch.setattr(Student, "claims", property(lambda _: own | claims))
    assert problem(export(tuition, student)) == (401, "unauthenticated")


def test_an_export_takes_no_user_id_from_the_query(tuition: Harness, student: Student) -> None:
    assert problem(export(tuition, student, user_id="another-student")) == (422, "unprocessable")


# --- staff ---


@pytest.mark.parametrize("route", [THEIRS, BY_QUERY])
def test_staff_get_what_the_person_gets_and_each_part_is_on_record(
    tuition: Harness, student: Student, admin: Student, route: str
) -> None:
    live_a_full_life(tuition, student, admin)
    own = export(tuition, student).body
    before = len(records_of(admin.sub))
    if route == THEIRS:
        response = tuition.admin(admin, route, user_id=student.sub)
    else:
        response = tuition.admin(admin, route, query={"user_id": student.sub})
    assert response.status == 200
    different = ("exported_at", "person")  # the student's own export has counted in their limits
    assert {k: v for k, v in response.body.items() if k not in different} == {
        k: v for k, v in own.items() if k not in different
    }
    assert records_of(admin.sub)[before:] == [
        ("export.ordered", {"export": {"kind": "personal_data", "user": student.sub}})
    ]


def test_support_cannot_export_a_persons_data(tuition: Harness, student: Student) -> None:
    support = Student(f"{student.sub}-support", groups=("support",))
    buy(tuition, student)
    assert problem(tuition.admin(support, THEIRS, user_id=student.sub)) == (403, "forbidden")


@pytest.mark.parametrize("user_id", ["nobody-at-all", "pay_1", "a b"])
def test_an_export_about_an_unknown_id_is_not_found_and_leaves_no_record(
    tuition: Harness, admin: Student, user_id: str
) -> None:
    assert problem(tuition.admin(admin, THEIRS, user_id=user_id)) == (404, "not-found")
    assert records_of(admin.sub) == []


def test_staff_get_no_export_that_cannot_be_recorded(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(tuition, student)

    def contended(*_: Any) -> None:
        raise Contended("many records at once")

    monkeypatch.setattr(ledger, "record_for_user", contended)
    response = tuition.admin(admin, THEIRS, user_id=student.sub)
    assert problem(response) == (503, "contended")
    assert "payments" not in response.body


def test_a_member_of_staff_who_exports_many_people_has_to_wait(
    tuition: Harness, student: Student, admin: Student
) -> None:
    tuition.freeze_time()
    buy(tuition, student)
    statuses = [tuition.admin(admin, THEIRS, user_id=student.sub).status for _ in range(7)]
    assert statuses == [200] * 6 + [429]


def test_the_disputes_of_a_blocked_student_are_in_their_export(tuition: Harness, student: Student) -> None:
    _, dispute = lose_dispute(tuition, student)
    person = export(tuition, student).body["person"]
    assert person["customer"]["lost_disputes"] == [dispute]


def test_an_export_survives_an_item_without_its_optional_attributes(tuition: Harness, student: Student) -> None:
    """As after an erasure, which blanks them."""
    payment_id = buy(tuition, student)
    raw = dynamodb.batch_get({PaymentItem: [keys.payment_key(payment_id)]})[PaymentItem][0]
    required = {name for name, one in PaymentItem.get_attributes().items() if not one.null}
    index = {"created_month", "listed_at", "status_track"}
    tuition.tables.put_item(TableName="payments", Item={k: v for k, v in raw.items() if k in required | index})
    dynamodb.update(CustomerItem, keys.customer_key(student.sub), "REMOVE email, stripe_customer_id, generation")
    data = export(tuition, student).body
    assert data["payments"][0]["attributes"]["email"] is None
    assert data["person"]["customer"]["email"] is None
