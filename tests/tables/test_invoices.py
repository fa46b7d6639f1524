"""Invoices on request: Stripe makes them after the payment, and a credit note for each refund that was made."""

from typing import Any
from urllib.parse import urlencode

import pytest

from stripe_simulator.pages import dispatch
from tests.harness import Harness, Response, Student
from tests.tables.test_sessions import open_session
from tuition.core import payment as payments
from tuition.core.errors import StripeRefused
from tuition.core.facts import CreditNote
from tuition.stripe_gateway import client as stripe_client

CARD = {"number": "4242424242424242", "expiry": "12 / 40", "cvc": "123"}
BUSINESS = {
    "name": "Ada Lovelace",
    "line1": "1 Street",
    "postal_code": "8010",
    "city": "Graz",
    "country": "AT",
    "business_name": "Engines GmbH",
    "tax_id": "ATU12345678",
}
ADMIN = Student("grace", groups=("admin",))


def pay_on_page(tuition: Harness, purchase: dict[str, Any], **fields: str) -> None:
    """Pay a session on Stripe's page, as a business does."""
    body = urlencode({**CARD, **BUSINESS, **fields}).encode()
    response = dispatch.handle(tuition.stripe.accounts, "POST", f"/c/pay/{purchase['session_id']}", {}, body)
    assert response is not None and response.status == 303, response


def buy_with_invoice(tuition: Harness, student: Student, **more: Any) -> dict[str, Any]:
    purchase: dict[str, Any] = open_session(tuition, student, invoice=True, **more).body
    pay_on_page(tuition, purchase)
    tuition.deliver_all()
    return purchase


def refund_of(tuition: Harness, student: Student, payment_id: str, amount: int) -> Response:
    route = "POST /api/admin/payments/{payment_id}/refunds"
    return tuition.admin(ADMIN, route, {"amount": amount, "reason": "late"}, payment_id=payment_id)


def documents_of(tuition: Harness, student: Student, payment_id: str) -> list[dict[str, Any]]:
    response = tuition.documents(student, payment_id)
    assert response.status == 200, response.body
    return list(response.body["documents"])


def test_a_business_gets_an_invoice_with_its_tax_id_and_we_keep_only_the_invoices_id(
    tuition: Harness, student: Student
) -> None:
    purchase = open_session(tuition, student, invoice=True).body
    before = tuition.status(student, purchase["payment_id"]).body
    assert (before["invoice"], before["resume"]["invoice"]) == ("requested", True)
    assert documents_of(tuition, student, purchase["payment_id"]) == []
    pay_on_page(tuition, purchase)
    tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["invoice"] == "issued"
    (invoice,) = documents_of(tuition, student, purchase["payment_id"])
    at_stripe = tuition.at_stripe("GET", f"/v1/invoices/{invoice['id']}")
    assert (invoice["kind"], invoice["status"], invoice["amount"]) == ("invoice", "paid", 49_900)
    assert (invoice["number"], invoice["url"]) == (at_stripe["number"], at_stripe["hosted_invoice_url"])
    assert (at_stripe["customer_name"], at_stripe["customer_tax_ids"]) == (
        "Engines GmbH",
        [{"type": "eu_vat", "value": "ATU12345678"}],
    )
    assert at_stripe["metadata"]["payment_id"] == purchase["payment_id"]
    stored = repr(tuition.payment(purchase["payment_id"])) + repr(tuition.audit_trail(purchase["payment_id"]))
    assert invoice["id"] in stored
    assert [text for text in ("Engines", "ATU12345678", "1 Street", "Lovelace") if text in stored] == []


def test_each_refund_that_succeeded_gets_one_credit_note_whatever_is_delivered_again(
    tuition: Harness, student: Student
) -> None:
    purchase = buy_with_invoice(tuition, student)
    payment_id = purchase["payment_id"]
    assert refund_of(tuition, student, payment_id, 9_900).status == 200
    events = tuition.new_events()
    for event in [*events, *events]:
        tuition.deliver(event)
    assert refund_of(tuition, student, payment_id, 40_000).status == 200
    tuition.deliver_all()
    invoice, *notes = documents_of(tuition, student, payment_id)
    assert [(note["kind"], note["amount"]) for note in notes] == [("credit_note", 9_900), ("credit_note", 40_000)]
    facts = tuition.payment(payment_id).facts
    assert {note["refund"] for note in notes} == set(facts.refunds) == set(facts.credit_notes)
    refunds = tuition.at_stripe("GET", f"/v1/refunds?charge={tuition.payment(payment_id).stripe_charge_id}")["data"]
    assert sum(refund["amount"] for refund in refunds) == 49_900  # the notes moved no money
    assert tuition.status(student, payment_id).body["status"] == "REFUNDED"
    listed = tuition.admin(ADMIN, "GET /api/admin/payments/{payment_id}/documents", payment_id=payment_id).body[
        "documents"
    ]
    assert [one["id"] for one in listed] == [invoice["id"], *(note["id"] for note in notes)]
    assert listed[0]["dashboard_url"].endswith(f"/invoices/{invoice['id']}")


def test_the_reconciler_creates_a_credit_note_that_the_webhook_could_not(tuition: Harness, student: Student) -> None:
    purchase = buy_with_invoice(tuition, student)
    refund_of(tuition, student, purchase["payment_id"], 9_900)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/credit_notes", times=9, fail="error")
    assert {response.status for response in tuition.deliver_all()} == {200}
    assert len(documents_of(tuition, student, purchase["payment_id"])) == 1
    tuition.at_stripe("DELETE", "/_sim/calls")
    tuition.advance_time(25 * 3600)  # Stripe has forgotten the key, under which it keeps a 500
    tuition.reconcile()
    assert [one["kind"] for one in documents_of(tuition, student, purchase["payment_id"])] == ["invoice", "credit_note"]


def test_a_credit_note_of_the_dashboard_is_adopted(tuition: Harness, student: Student) -> None:
    purchase = buy_with_invoice(tuition, student)
    invoice = tuition.payment(purchase["payment_id"]).facts.invoice
    intent = tuition.payment(purchase["payment_id"]).intent
    refund = tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=500)["id"]
    note = tuition.at_stripe("POST", "/v1/credit_notes", invoice=invoice, amount=500, **{"refunds[0][refund]": refund})[
        "id"
    ]
    tuition.deliver_all()
    assert tuition.payment(purchase["payment_id"]).facts.credit_notes == {refund: CreditNote(note)}
    assert len(documents_of(tuition, student, purchase["payment_id"])) == 2


def test_a_credit_note_that_stripe_refuses_needs_attention(tuition: Harness, student: Student) -> None:
    purchase = buy_with_invoice(tuition, student)
    payment = tuition.payment(purchase["payment_id"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tuition.stripe.accounts.default.store.objects["invoice"][payment.facts.invoice], "amount_paid", 0)
        refund_of(tuition, student, purchase["payment_id"], 9_900)
        tuition.deliver_all()
    assert tuition.attention(purchase["payment_id"]) == ["credit_note"]
    tuition.deliver_all()
    tuition.reconcile()
    assert len(documents_of(tuition, student, purchase["payment_id"])) == 1


def test_an_invoice_that_stripe_no_longer_has_holds_up_no_event(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = buy_with_invoice(tuition, student)

    def missing(*_: object) -> None:
        raise StripeRefused("No such invoice", 404, "InvalidRequestError", "resource_missing", "invoice")

    monkeypatch.setattr(stripe_client, "list_credit_notes", missing)
    refund_of(tuition, student, purchase["payment_id"], 9_900)
    assert {response.body["outcome"] for response in tuition.deliver_all()} <= {"applied", "ignored"}
    assert tuition.attention(purchase["payment_id"]) == ["credit_note"]
    assert payments.refunds_without_credit_note(tuition.payment(purchase["payment_id"])) == []
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_a_purchase_without_an_invoice_asks_for_no_address_and_gets_no_credit_note(
    tuition: Harness, student: Student
) -> None:
    purchase = open_session(tuition, student).body
    session = tuition.at_stripe("GET", f"/v1/checkout/sessions/{purchase['session_id']}")
    assert (session["invoice_creation"], session["billing_address_collection"]) == (None, None)
    pay_on_page(tuition, purchase)
    refund_of(tuition, student, purchase["payment_id"], 9_900)
    tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["invoice"] is None
    assert documents_of(tuition, student, purchase["payment_id"]) == []
    assert tuition.at_stripe("GET", "/v1/credit_notes")["data"] == []


def test_asking_for_an_invoice_replaces_the_open_session(tuition: Harness, student: Student) -> None:
    without = open_session(tuition, student).body
    with_invoice = open_session(tuition, student, invoice=True)
    assert with_invoice.status == 201
    assert tuition.status(student, without["payment_id"]).body["status"] == "CANCELED"
    assert open_session(tuition, student, invoice=True).body["session_id"] == with_invoice.body["session_id"]


def test_a_bank_debit_gets_its_invoice_once_it_is_paid(tuition: Harness, student: Student) -> None:
    purchase = open_session(tuition, student, invoice=True).body
    pay_on_page(tuition, purchase, account_number="000123456789")
    tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["invoice"] == "requested"
    tuition.advance_stripe(10)
    tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["invoice"] == "issued"


def test_an_invoice_that_no_event_names_is_found_by_looking_at_the_documents(
    tuition: Harness, student: Student
) -> None:
    purchase = open_session(tuition, student, invoice=True).body
    pay_on_page(tuition, purchase)
    (completed,) = [event for event in tuition.new_events() if event["type"] == "checkout.session.completed"]
    completed["data"]["object"]["invoice"] = None
    tuition.deliver(completed)
    payment = tuition.payment(purchase["payment_id"])
    assert payments.awaits_invoice(payment) and not payments.is_final(payment)
    assert [one["kind"] for one in documents_of(tuition, student, purchase["payment_id"])] == ["invoice"]


def test_documents_are_only_for_the_owner(tuition: Harness, student: Student) -> None:
    purchase = buy_with_invoice(tuition, student)
    assert tuition.documents(Student("eve"), purchase["payment_id"]).status == 404
