"""The terms that a student agrees to before they pay: a purchase keeps their version and the time."""

from collections.abc import Callable, Iterator

import pytest

from tests.harness import Harness, Student
from tests.tables.test_sessions import open_session
from tuition import settings

READ = "GET /api/admin/payments/{payment_id}"


@pytest.fixture
def set_terms(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def set_version(version: str) -> None:
        monkeypatch.setenv("TERMS_VERSION", version)
        settings.settings.cache_clear()

    set_version("2026-11")
    yield set_version
    settings.settings.cache_clear()


def agreed(tuition: Harness, student: Student) -> list[str | None]:
    """Return the agreed version of each payment, newest first, as the student sees them."""
    payments = tuition.payments(student).body["payments"]
    return [payment["agreed_terms"] and payment["agreed_terms"]["version"] for payment in payments]


def records(tuition: Harness, payment_id: str) -> list[str]:
    return [record["type"] for record in tuition.audit_trail(payment_id)]


def test_a_purchase_keeps_the_version_and_the_time_of_the_terms(
    tuition: Harness, student: Student, admin: Student, set_terms: Callable[[str], None]
) -> None:
    tuition.freeze_time(1_800_000_000)
    purchase = tuition.create(student, terms="2026-11").body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_time(60)
    tuition.deliver_all()
    expected = {"version": "2026-11", "at": "2027-01-15T08:00:00.000Z"}
    assert tuition.order(student, purchase["payment_id"]).body["agreed_terms"] == expected
    staff_view = tuition.admin(admin, READ, payment_id=purchase["payment_id"]).body
    assert staff_view["payment"]["agreed_terms"] == staff_view["facts"]["agreed"] == expected
    record = tuition.audit_trail(purchase["payment_id"])[0]
    assert (record["type"], record["facts"]["agreed"]) == (
        "payment.created",
        {"at": 1_800_000_000, "version": "2026-11"},
    )
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_the_tracks_name_the_current_terms_or_none(
    tuition: Harness, set_terms: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERMS_URL", "https://example.org/terms")
    set_terms("2026-12")
    assert tuition.tracks().body["terms"] == {"version": "2026-12", "url": "https://example.org/terms"}
    set_terms("")
    assert tuition.tracks().body["terms"] is None


@pytest.mark.parametrize(("current", "sent"), [("2026-11", "2026-10"), ("", "2026-11")])
def test_other_terms_than_the_current_ones_are_refused_with_nothing_started(
    tuition: Harness, student: Student, set_terms: Callable[[str], None], current: str, sent: str
) -> None:
    set_terms(current)
    for response in (tuition.create(student, terms=sent), open_session(tuition, student, terms=sent)):
        assert (response.status, response.body["type"].rpartition("/")[2]) == (409, "terms-changed")
        assert response.body.get("current_terms", "") == current
    assert tuition.stripe_calls == []
    assert agreed(tuition, student) == []


def test_a_repeated_create_records_the_agreement_once_on_the_same_payment(
    tuition: Harness, student: Student, set_terms: Callable[[str], None]
) -> None:
    first = tuition.create(student).body
    assert agreed(tuition, student) == [None]
    for _ in range(2):
        again = tuition.create(student, terms="2026-11")
        assert (again.status, again.body) == (200, first)
    assert tuition.create(student).body == first
    assert agreed(tuition, student) == ["2026-11"]
    assert records(tuition, first["payment_id"]) == ["payment.created", "terms.agreed"]
    assert tuition.chain_problem(first["payment_id"]) is None


def test_new_terms_count_until_the_payment_is_paid(
    tuition: Harness, student: Student, set_terms: Callable[[str], None]
) -> None:
    purchase = open_session(tuition, student, terms="2026-11").body
    set_terms("2026-12")
    assert open_session(tuition, student, terms="2026-11").status == 409
    assert open_session(tuition, student, terms="2026-12").body["session_id"] == purchase["session_id"]
    assert agreed(tuition, student) == ["2026-12"]
    assert records(tuition, purchase["payment_id"]) == ["payment.created", "terms.agreed"]


def test_a_payment_that_a_bank_is_processing_keeps_the_terms_under_which_it_was_ordered(
    tuition: Harness, student: Student, set_terms: Callable[[str], None]
) -> None:
    purchase = tuition.create(student, terms="2026-11").body
    tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_success")
    tuition.deliver_all()
    set_terms("2026-12")
    tuition.create(student, terms="2026-12")
    assert agreed(tuition, student) == ["2026-11"]


def test_a_rebuilt_payment_has_the_terms_of_its_records(
    tuition: Harness, student: Student, set_terms: Callable[[str], None]
) -> None:
    purchase = tuition.create(student).body
    tuition.create(student, terms="2026-11")
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    tuition.empty_table("payments", "payment_id")
    tuition.at_stripe("POST", f"/v1/payment_intents/{purchase['payment_intent_id']}", description="changed")
    charge = tuition.at_stripe("GET", f"/v1/payment_intents/{purchase['payment_intent_id']}")["latest_charge"]
    tuition.at_stripe("POST", "/v1/refunds", charge=charge, amount=100)
    tuition.deliver_all()
    assert agreed(tuition, student) == ["2026-11"]
    assert tuition.chain_problem(purchase["payment_id"]) is None
