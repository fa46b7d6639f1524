"""An erased payment has nothingno field that leads to a person, also after late events and a rebuild."""

import json
import re
from typing import Any

from tests.harness import Harness, Student
from tests.tables.test_purchase_blocks import buy
from tuition import clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.facts import Facts
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.storage import ledger, queries
from tuition.storage.ledger import Change


def erase(payment_id: str, user_id: str, track: str = "DP") -> None:
    """Erase the personal facts of a payment."""

    def change(state: PaymentState) -> Change:
        entry = AuditEntry(timestamps.iso(clock.now()), "erased:1", "payment.erased", "reconcile")
        return Change(state.existing.merged(Facts(erased=True)), entry)

    ledger.update(PaymentRef(payment_id, user_id, track), change)


def stored_text(tuition: Harness, payment_id: str) -> str:
    return json.dumps(tuition.tables.get_item(TableName="payments", Key={"payment_id": {"S": payment_id}})["Item"])


def assert_erased(tuition: Harness, purchase: dict[str, Any], student: Student, customer: str) -> None:
    text = stored_text(tuition, purchase["payment_id"])
    assert not re.search(r"last4\W+4242", text)
    personal = (f"{student.sub}@", customer, "visa", "receipt", "changed my mind", "because", "email_key")
    assert [one for one in personal if one in text] == []
    assert tuition.payment(purchase["payment_id"]).facts.erased
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_an_erased_payment_has_no_personal_field_and_late_events_bring_none_back(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase = buy(tuition, student)
    customer = str(tuition.payment(purchase["payment_id"]).customer)
    access = "POST /api/admin/payments/{payment_id}/access"
    body = {"decision": "revoke", "note": "because"}
    assert tuition.admin(admin, access, body, payment_id=purchase["payment_id"]).status == 200
    assert f"{customer}" in stored_text(tuition, purchase["payment_id"])
    erase(purchase["payment_id"], student.sub)
    assert_erased(tuition, purchase, student, customer)
    assert tuition.refund(student, purchase["payment_id"]).status in (200, 202)
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=purchase["payment_intent_id"])
    tuition.deliver_all()
    assert_erased(tuition, purchase, student, customer)


def test_a_lost_payment_of_an_erased_user_is_rebuilt_without_personal_fields(
    tuition: Harness, student: Student
) -> None:
    purchase = buy(tuition, student)
    customer = str(tuition.payment(purchase["payment_id"]).customer)
    erase(purchase["payment_id"], student.sub)
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": purchase["payment_id"]}})
    charge = tuition.at_stripe("GET", f"/v1/payment_intents/{purchase['payment_intent_id']}")["latest_charge"]
    tuition.at_stripe("POST", "/v1/refunds", charge=charge, amount=100)
    tuition.deliver_all()
    assert tuition.payment(purchase["payment_id"]).facts.rebuilt
    assert_erased(tuition, purchase, student, customer)
    assert ledger.load(PaymentRef(purchase["payment_id"], student.sub, "DP")).enrollment.erased


def test_an_erasure_keeps_access_money_and_records(tuition: Harness, student: Student) -> None:
    purchase = buy(tuition, student)
    before = tuition.payment(purchase["payment_id"])
    erase(purchase["payment_id"], student.sub)
    after = tuition.payment(purchase["payment_id"])
    assert (after.status, after.money, after.intent) == (before.status, before.money, before.intent)
    assert (tuition.enrollment(student) or {})["status"] == "ENROLLED"
    last = queries.audit_trail(purchase["payment_id"])[-1]
    assert (last["type"], last["facts"]) == ("payment.erased", {"erased": True})
