"""Evidence for a dispute: assembled from our records, kept as a draft with us, and sent once with its record."""

import re
from typing import Any

import pytest

from tests import plan_calls
from tests.harness import Harness, Response, Student
from tests.tables.test_legal_hold import decide
from tests.tables.test_plans import member
from tests.tables.test_purchase_blocks import buy
from tuition.core import evidence as rules
from tuition.core.errors import StripeRefused
from tuition.storage import ledger
from tuition.storage.items import EMAILS, EffectItem
from tuition.stripe_gateway import client as stripe_client

ROUTE = "/api/admin/payments/{payment_id}/disputes/{dispute_id}/evidence"
SECRET = "she has handed in two projects"


def disputed(tuition: Harness, student: Student) -> dict[str, str]:
    """Return the ids of a payment and its dispute, after its events."""
    purchase = buy(tuition, student)
    tuition.deliver_all()
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=purchase["payment_intent_id"])["id"]
    tuition.deliver_all()
    return {"payment_id": purchase["payment_id"], "dispute_id": dispute}


def read(tuition: Harness, staff: Student, ids: dict[str, str]) -> dict[str, Any]:
    response = tuition.admin(staff, f"GET {ROUTE}", **ids)
    assert response.status == 200, response.body
    return dict(response.body)


def save(tuition: Harness, staff: Student, ids: dict[str, str], fields: Any, saved_at: str | None = None) -> Response:
    return tuition.admin(staff, f"POST {ROUTE}", {"fields": fields, "saved_at": saved_at}, **ids)


def send(tuition: Harness, staff: Student, ids: dict[str, str], saved_at: str) -> Response:
    return tuition.admin(staff, f"POST {ROUTE}/send", {"saved_at": saved_at}, **ids)


def at_stripe(tuition: Harness, ids: dict[str, str]) -> dict[str, Any]:
    return tuition.at_stripe("GET", f"/v1/disputes/{ids['dispute_id']}")


def test_our_records_give_a_first_draft_and_nothing_leaves_before_it_is_sent(
    tuition: Harness, student: Student, admin: Student
) -> None:
    ids = disputed(tuition, student)
    shown = read(tuition, Student("sam", groups=("support",)), ids)
    fields = shown["fields"]
    assert "Data Professional" in fields["product_description"]
    assert fields["customer_email_address"] == f"{student.sub}@example.org"
    first = fields["access_activity_log"].splitlines()[0]
    assert re.fullmatch(r"[\d-]{10} \d\d:\d\d UTC: the student got access to the course", first)
    assert "unlocked, 0 of" in fields["access_activity_log"]
    assert ids["payment_id"] in fields["uncategorized_text"]
    assert shown["characters"] == sum(map(len, fields.values()))
    saved = save(tuition, admin, ids, {**fields, "uncategorized_text": SECRET}).body
    assert (saved["state"], saved["saved_by"]) == ("draft", admin.sub)
    assert saved["fields"]["uncategorized_text"] == SECRET
    assert at_stripe(tuition, ids)["evidence_details"]["has_evidence"] is False
    assert SECRET not in repr(tuition.stored_records())


@pytest.mark.parametrize("kind", ["installment", "membership"])
def test_the_evidence_for_a_payment_of_a_plan_says_to_what_the_student_agreed(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    plan_calls.offer_plans(monkeypatch.setattr)
    plan_id = plan_calls.started(tuition, student)["plan_id"] if kind == "installment" else member(tuition, student)
    paid = plan_calls.pay(tuition, student, plan_id).body
    tuition.pay(paid["payment_intent_id"])
    tuition.deliver_all()
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=paid["payment_intent_id"])["id"]
    tuition.deliver_all()
    fields = read(tuition, admin, {"payment_id": paid["payment_id"], "dispute_id": dispute})["fields"]
    terms = ledger.load_plan(plan_id).existing_plan.terms
    assert f"its charges, version {terms.consent_version}, on " in fields["refund_policy_disclosure"]
    number = "2 of 4" if kind == "installment" else "2"
    assert f"This payment is number {number}, one every month." in fields["refund_policy_disclosure"]
    title = "Data Professional" if kind == "installment" else "Membership: Every track."
    assert fields["product_description"].startswith(title)


def test_an_email_to_staff_is_no_email_that_the_student_got(tuition: Harness, student: Student, admin: Student) -> None:
    ids = disputed(tuition, student)
    for kind in ("purchase_confirmed", "dispute_opened"):
        email = EffectItem(
            f"{EMAILS}#{ids['payment_id']}", kind, kind=kind, state="sent", at="2026-11-29T18:00:00.000Z"
        )
        tuition.tables.put_item(TableName="effects", Item=email.serialize())
    lines = read(tuition, admin, ids)["fields"]["uncategorized_text"].splitlines()
    assert [line for line in lines if "email" in line] == [
        "2026-11-29 18:00 UTC: email purchase confirmed sent to the student"
    ]


def test_an_admin_sends_the_draft_that_they_read_once(tuition: Harness, student: Student, admin: Student) -> None:
    ids = disputed(tuition, student)
    first = save(tuition, admin, ids, {"uncategorized_text": "winning_evidence"}).body["saved_at"]
    tuition.freeze_time()
    tuition.advance_time(1)
    second = save(tuition, admin, ids, {"uncategorized_text": "winning_evidence", "service_date": "today"}, first).body
    assert send(tuition, admin, ids, first).status == 409  # another text than the one that was read
    assert send(tuition, admin, ids, second["saved_at"]).body["state"] == "sent"
    assert send(tuition, admin, ids, second["saved_at"]).body["state"] == "sent"
    dispute = at_stripe(tuition, ids)
    assert dispute["evidence_details"]["submission_count"] == 1
    assert dispute["evidence"]["service_date"] == "today"
    assert save(tuition, admin, ids, {"service_date": "x"}, second["saved_at"]).status == 409
    types = [
        one["type"]
        for one in tuition.stored_records()
        if one["subject"] == student.sub and "evidence" in one["transition"]
    ]
    assert sorted(types) == ["evidence.saved", "evidence.saved", "evidence.sent", "evidence.submitting"]


def test_a_sending_without_an_answer_is_resumed_and_submits_once(
    tuition: Harness, student: Student, admin: Student
) -> None:
    ids = disputed(tuition, student)
    tuition.freeze_time()
    saved_at = save(tuition, admin, ids, {"service_date": "2026-11-24"}).body["saved_at"]
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/disputes/*", times=9, fail="error")
    assert send(tuition, admin, ids, saved_at).status == 502
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert read(tuition, admin, ids)["state"] == "submitting"
    assert send(tuition, admin, ids, saved_at).status == 502, "the first request may still be under way"
    tuition.advance_time(61)
    assert send(tuition, admin, ids, saved_at).body["state"] == "sent"
    assert at_stripe(tuition, ids)["evidence_details"]["submission_count"] == 1


def test_of_two_who_send_at_once_one_submits(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins while the first is about to ask Stripe."""
    ids = disputed(tuition, student)
    saved_at = save(tuition, admin, ids, {"service_date": "2026-11-24"}).body["saved_at"]
    second: list[Response] = []
    calls: list[bool] = []
    submit = stripe_client.submit_evidence

    def send_first(*params: Any) -> Any:
        if not calls:
            calls.append(True)
            second.append(send(tuition, Student("sue", groups=("admin",)), ids, saved_at))
        return submit(*params)

    monkeypatch.setattr(stripe_client, "submit_evidence", send_first)
    assert send(tuition, admin, ids, saved_at).body["state"] == "sent"
    assert second[0].body["state"] == "sent"
    assert at_stripe(tuition, ids)["evidence_details"]["submission_count"] == 1
    types = [one["type"] for one in tuition.stored_records() if one["subject"] == student.sub]
    assert types.count("evidence.submitting") == types.count("evidence.sent") == 1


def test_refused_evidence_is_a_draft_that_can_be_sent_again(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = disputed(tuition, student)
    saved_at = save(tuition, admin, ids, {"service_date": "2026-11-24"}).body["saved_at"]
    keys: list[str] = []

    def refuse(_: str, __: Any, key: str) -> None:
        keys.append(key)
        raise StripeRefused("It is not accepted.", 400, "invalid_request_error", None)

    submit = stripe_client.submit_evidence
    monkeypatch.setattr(stripe_client, "submit_evidence", refuse)
    assert send(tuition, admin, ids, saved_at).status == 409
    assert read(tuition, admin, ids)["state"] == "draft"
    monkeypatch.setattr(stripe_client, "submit_evidence", lambda *params: keys.append(params[2]) or submit(*params))
    assert send(tuition, admin, ids, saved_at).body["state"] == "sent"
    assert len(set(keys)) == 2, "Stripe would repeat its refusal to the same key"


def test_evidence_of_the_dashboard_is_not_sent_again(tuition: Harness, student: Student, admin: Student) -> None:
    ids = disputed(tuition, student)
    saved_at = save(tuition, admin, ids, {"service_date": "2026-11-24"}).body["saved_at"]
    tuition.at_stripe("POST", f"/v1/disputes/{ids['dispute_id']}", **{"evidence[service_date]": "by hand"})
    assert send(tuition, admin, ids, saved_at).status == 409
    assert at_stripe(tuition, ids)["evidence"]["service_date"] == "by hand"
    assert read(tuition, admin, ids)["state"] == "draft"


def test_a_draft_that_someone_else_saved_is_not_overwritten(tuition: Harness, student: Student, admin: Student) -> None:
    ids = disputed(tuition, student)
    save(tuition, admin, ids, {"service_date": "first"})
    assert save(tuition, admin, ids, {"service_date": "second"}).status == 409
    assert read(tuition, admin, ids)["fields"] == {"service_date": "first"}


def test_a_draft_loses_no_text_while_the_student_s_data_are_on_hold(
    tuition: Harness, student: Student, admin: Student
) -> None:
    ids = disputed(tuition, student)
    saved_at = save(tuition, admin, ids, {"uncategorized_text": SECRET}).body["saved_at"]
    decide(tuition, admin, student, "set")
    for fields in ({}, {"uncategorized_text": SECRET[1:]}):
        refused = save(tuition, admin, ids, fields, saved_at)
        assert (refused.status, refused.body["type"].rpartition("/")[2]) == (409, "legal-hold")
    saved = save(tuition, admin, ids, {"uncategorized_text": f"{SECRET}, and a third", "service_date": "x"}, saved_at)
    assert send(tuition, admin, ids, saved.body["saved_at"]).body["state"] == "sent"


def test_only_an_admin_saves_and_sends(tuition: Harness, student: Student, admin: Student) -> None:
    ids, support = disputed(tuition, student), Student("sam", groups=("support",))
    assert save(tuition, support, ids, {"service_date": "x"}).status == 403
    assert send(tuition, support, ids, "2026-11-29T18:00:00.000Z").status == 403


def test_texts_that_stripe_does_not_take_are_refused(tuition: Harness, student: Student, admin: Student) -> None:
    ids = disputed(tuition, student)
    response = save(tuition, admin, ids, {"service_date": "paid \u202e000,1\u202c"})
    assert (response.status, response.body["field"]) == (422, "service_date")
    assert read(tuition, admin, ids)["saved_at"] is None


def test_the_largest_draft_is_kept(tuition: Harness, student: Student, admin: Student) -> None:
    ids = disputed(tuition, student)
    fields = dict.fromkeys(rules.FIELDS[:7], "ä" * rules.MAX_FIELD_LENGTH)
    assert save(tuition, admin, ids, fields).body["characters"] == 140_000
