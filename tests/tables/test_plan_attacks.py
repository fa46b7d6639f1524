"""Attacks on payment plans: access without paying, charges that nobody agreed to, forged and endless input."""

from collections.abc import Iterator

import pytest

from tests.harness import Harness, Student
from tests.plan_calls import FIRST, offer_plans, pay, read, started
from tests.tables.test_collection import DAY, pass_days
from tests.tables.test_plans import cancel
from tests.tables.test_withdrawals import DECIDE, set_region
from tuition import settings
from tuition.core import timestamps


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch, tuition: Harness) -> Iterator[None]:
    offer_plans(monkeypatch.setattr)
    tuition.freeze_time(timestamps.epoch("2026-03-10T12:00:00Z"))
    yield
    settings.settings.cache_clear()


def test_a_withdrawal_in_the_eu_from_a_plan_paid_by_debit_is_refunded_when_staff_approve(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = started(tuition, student, "pm_usBankAccount_success")
    tuition.advance_time(6 * DAY)
    tuition.deliver_all()
    tuition.pay(pay(tuition, student, begun["plan_id"]).body["payment_intent_id"])
    tuition.deliver_all()
    set_region(monkeypatch, "EU")
    for body in ({"withdrawal": True, "name": "Ada"}, {}):
        assert cancel(tuition, student, begun["plan_id"], **body).body["grants_access"] is False
    tuition.collect()
    assert read(tuition, student, begun["plan_id"])["refunded"] == 0
    (request,) = tuition.payment(begun["payment_id"]).requests
    assert request.state == "awaiting_approval"
    ids = {"payment_id": begun["payment_id"], "request_id": request.id}
    assert tuition.admin(admin, DECIDE, {"decision": "approve"}, **ids).status == 200
    pass_days(tuition, 1)
    assert read(tuition, student, begun["plan_id"])["refunded"] == 2 * FIRST
