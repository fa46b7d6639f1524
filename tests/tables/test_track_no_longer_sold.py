"""A track with `sold = false` is not offered, and everybody who paid for it keeps what they have."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.harness import Harness, Student
from tests.tables.test_admin import LIST, ONE, search
from tests.tables.test_sessions import open_session
from tuition.core import catalog

USER = "GET /api/admin/users/{user_id}"


@pytest.fixture
def stop_selling(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def stop() -> None:
        tracks = {**catalog.tracks(), "DP": replace(catalog.tracks()["DP"], sold=False)}
        monkeypatch.setattr(catalog, "tracks", lambda: tracks)

    return stop


def buy(tuition: Harness, student: Student) -> str:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    return str(purchase["payment_id"])


def test_a_track_that_is_no_longer_sold_is_not_offered(
    tuition: Harness, student: Student, stop_selling: Callable[[], None]
) -> None:
    stop_selling()
    body = tuition.tracks().body
    assert [track["track"] for track in body["tracks"]] == ["FSD"]
    assert body["no_longer_sold"] == [{"track": "DP", "title": "Data Professional"}]
    for response in (tuition.create(student), open_session(tuition, student)):
        assert (response.status, response.body["type"].rpartition("/")[2]) == (422, "unknown-track")
    assert tuition.stripe_calls == []


def test_a_student_of_a_track_that_is_no_longer_sold_keeps_enrollment_progress_and_refund(
    tuition: Harness, student: Student, admin: Student, stop_selling: Callable[[], None]
) -> None:
    payment_id = buy(tuition, student)
    before = tuition.enrollment(student)
    stop_selling()
    assert tuition.enrollment(student) == before
    assert before is not None and (before["status"], before["projects"][0]["unlocked"]) == ("ENROLLED", True)
    assert [payment["payment_id"] for payment in tuition.payments(student).body["payments"]] == [payment_id]
    assert search(tuition, admin, track="DP", q=student.sub) == [payment_id]
    assert tuition.admin(admin, ONE, payment_id=payment_id).body["groups"]["payment"]["enrollment"] == "ENROLLED"
    user = tuition.admin(admin, USER, user_id=student.sub).body
    assert [enrollment["track"] for enrollment in user["enrollments"]] == ["DP"]
    assert payment_id in [
        p["payment_id"] for p in tuition.admin(admin, LIST, query={"status": "SUCCEEDED"}).body["payments"]
    ]
    assert tuition.refund(student, payment_id).status == 200
    after = tuition.enrollment(student)
    assert after is not None and (after["status"], after["projects"][0]["unlocked"]) == ("WITHDRAWN", False)


def test_a_payment_that_was_open_when_the_track_left_the_sale_still_enrolls_when_it_is_paid(
    tuition: Harness, student: Student, stop_selling: Callable[[], None]
) -> None:
    purchase = tuition.create(student).body
    stop_selling()
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    enrollment = tuition.enrollment(student)
    assert enrollment is not None and (enrollment["status"], enrollment["projects"][0]["unlocked"]) == (
        "ENROLLED",
        True,
    )


def test_the_hourly_run_works_while_a_track_is_no_longer_sold_and_closes_none_of_its_open_payments(
    tuition: Harness, student: Student, empty_tables: None, stop_selling: Callable[[], None]
) -> None:
    purchase = tuition.create(student).body
    tuition.reconcile()
    stop_selling()
    tuition.advance_time(2 * 86400)
    tuition.new_events()
    report = tuition.reconcile()
    assert (report["done"], report["failed"]) == (True, [])
    assert tuition.payment(purchase["payment_id"]).open
