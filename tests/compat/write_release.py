"""Write what this version writes: ``make compat ARGS=0.1.0`` fills ``tests/compat/0.1.0/``.

Run it once for each release, before its tag, and commit the folder. It makes a school of students over the real
handlers, the simulator and empty tables, and stores every item, every event of Stripe and the schema.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from tests.compat.schema import FOLDER, schema
from tests.harness import NAMES, Harness, Student, client_for, create_tables, running_harness
from tuition.storage import mapping

START = 1_795_000_000.0
"""A fixed time, so that only ids differ between two runs."""
DAY = 86_400
ADMIN = Student("admin", groups=("admin",))
ADMIN_ROUTE = "POST /api/admin/payments/{payment_id}"
SELLING_ROUTE = "POST /api/admin/selling"


@dataclass
class School:
    """The students, each with one story. Each method returns after its webhooks have been delivered."""

    tuition: Harness

    def buy(self, name: str, track: str = "DP", method: str = "pm_card_visa", **more: Any) -> dict[str, Any]:
        """Have a student buy a track. Return the answer of the create."""
        order: dict[str, Any] = self.tuition.create(Student(name), track, **more).body
        self.tuition.pay(order["payment_intent_id"], method)
        self.deliver()
        return order

    def deliver(self) -> None:
        """Let five seconds pass, and deliver every event."""
        self.tuition.advance_time(5)
        for response in self.tuition.deliver_all():
            assert response.status == 200, response

    def decide(self, order: dict[str, Any], action: str, **body: Any) -> None:
        """Have staff decide about a payment."""
        path = f"{ADMIN_ROUTE}/{action}"
        response = self.tuition.admin(ADMIN, path, body, payment_id=order["payment_id"])
        assert response.status == 200, response
        self.deliver()

    def buy_at_checkout(self, name: str, **more: Any) -> dict[str, Any]:
        """Have a student buy a track on Stripe's page."""
        from tests.tables.test_sessions import open_session, pay_session

        order: dict[str, Any] = open_session(self.tuition, Student(name), **more).body
        pay_session(self.tuition, order["session_id"])
        self.deliver()
        return order


def promotion_code(tuition: Harness) -> str:
    """Make a code of 20 percent at Stripe."""
    coupon = tuition.at_stripe("POST", "/v1/coupons", percent_off=20)
    promotion = {"promotion[type]": "coupon", "promotion[coupon]": coupon["id"]}
    return str(tuition.at_stripe("POST", "/v1/promotion_codes", code="SPRING", **promotion)["code"])


def stop_and_sell_again(tuition: Harness) -> None:
    """Have staff stop selling, refuse a create, and have them sell again."""
    stop = {"selling": False, "note": "the price is wrong", "message": "We sell again on Monday."}
    assert tuition.admin(ADMIN, SELLING_ROUTE, stop).status == 200
    assert tuition.create(Student("refused-while-stopped")).status == 409
    start = {"selling": True, "note": "the price is right again", "expected_version": 1}
    assert tuition.admin(ADMIN, SELLING_ROUTE, start).status == 200


def live(tuition: Harness) -> None:
    """Let everything happen that a table can remember."""
    school = School(tuition)
    school.buy("paid")
    order = tuition.create(Student("declined")).body
    tuition.pay(order["payment_intent_id"], "pm_card_chargeDeclined")
    school.deliver()
    tuition.pay(order["payment_intent_id"])
    school.deliver()
    school.buy("both-tracks", save_payment_method=True)
    school.buy("both-tracks", "FSD")
    school.buy_at_checkout("checkout")
    school.buy_at_checkout("promotion", promotion_code=promotion_code(tuition))
    tuition.create(Student("refused-code"), promotion_code="NOTHING")
    school.buy("bank-debit", method="pm_usBankAccount_success")

    refunded = school.buy("refunded")
    assert tuition.refund(Student("refunded"), refunded["payment_id"]).status == 200
    school.deliver()
    school.decide(school.buy("partly-refunded"), "refunds", amount=10_000, reason="a part was missing")
    again = school.buy("refunded")
    assert tuition.refund(Student("refunded"), again["payment_id"]).status in (200, 202)

    school.buy("disputed", method="pm_card_createDispute")
    lost = school.buy("dispute-lost")
    created = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=lost["payment_intent_id"])
    school.deliver()
    tuition.at_stripe("POST", "/_sim/disputes", dispute=created["id"], status="lost")
    school.deliver()
    warned = school.buy("warned", method="pm_card_createIssuerFraudRecord")
    school.decide(warned, "attention", name=tuition.attention(warned["payment_id"])[0], note="called the student")
    school.decide(school.buy("revoked"), "access", decision="revoke", note="shared the account")
    restored = school.buy("restored")
    school.decide(restored, "access", decision="revoke", note="by mistake")
    school.decide(restored, "access", decision="restore", note="it was a mistake")
    block = {"decision": "block", "note": "a stolen card"}
    assert tuition.admin(ADMIN, "POST /api/admin/users/{user_id}/purchases", block, user_id="blocked").status == 200

    unusable = school.buy("quarantined")
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=unusable["payment_intent_id"], amount=100)
    events = tuition.new_events()
    (event,) = [event for event in events if event["type"] == "refund.created"]
    for event_id in ("evt_compat_kept", "evt_compat_discarded"):
        broken = {**event, "id": event_id, "data": {"object": {**event["data"]["object"], "amount": "much"}}}
        assert tuition.deliver(broken).body["outcome"] == "quarantined"
    assert {tuition.deliver(event).status for event in events} == {200}
    discard = {"note": "sent by a test"}
    route = "POST /api/admin/quarantine/{event_id}/discard"
    assert tuition.admin(ADMIN, route, discard, event_id="evt_compat_discarded").status == 200

    tuition.create(Student("abandoned"))
    tuition.advance_time(4 * DAY)
    assert tuition.reconcile()["failed"] == []
    school.deliver()
    assert tuition.run_audit()["failed"] == []
    tuition.advance_time(14 * DAY)  # only whole days of the past are counted into the table
    month = {"month": "2026-11"}
    assert tuition.admin(ADMIN, "GET /api/admin/counts", query=month).status == 200

    tuition.create(Student("open"))
    school.buy("failed", method="pm_card_chargeDeclined")
    school.buy("processing", method="pm_usBankAccount_processing")
    stop_and_sell_again(tuition)


def items_of(tuition: Harness) -> dict[str, list[dict[str, Any]]]:
    """Return the items of every table, in an order that does not depend on the database."""
    tables = {}
    for name in NAMES.values():
        pages = tuition.tables.get_paginator("scan").paginate(TableName=name)
        items = [item for page in pages for item in page["Items"]]
        for item in items:
            for value in item.values():
                if "SS" in value:
                    value["SS"] = sorted(value["SS"])
        tables[name] = sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return tables


def expected(tables: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return what the items mean in this version: each payment's state, and each user's access."""
    payments = [mapping.payment_from_raw(item) for item in tables["payments"]]
    enrollments = [item for item in tables["enrollments"] if item["sort_key"]["S"].isalnum()]
    return {
        "payments": {payment.payment_id: state(payment) for payment in payments},
        "enrollments": {
            f"{item['user_id']['S']} {item['sort_key']['S']}": mapping.enrollment_from_raw(item).status
            for item in enrollments
        },
    }


def state(payment: Any) -> dict[str, Any]:
    """Return what a payment means to its student and to the books."""
    return {
        "status": payment.status,
        "amount": payment.amount,
        "currency": payment.currency,
        "refund_amount": payment.refund_amount,
        "requests": [request.state for request in payment.requests],
    }


def without_secrets(value: Any) -> Any:
    """Return an event without its client secrets, which no code reads from an event."""
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: None if key == "client_secret" else without_secrets(item) for key, item in value.items()}


def write(folder: Path) -> None:
    """Make the school, and write the folder."""
    with mock_aws(), pytest.MonkeyPatch.context() as monkeypatch:
        client = client_for(None)
        create_tables(client)
        with running_harness(client, monkeypatch) as tuition:
            tuition.freeze_time(START)
            live(tuition)
            events = [without_secrets(json.loads(payload)) for payload in tuition.stripe.webhooks.payloads.values()]
            tables = items_of(tuition)
            meaning = expected(tables)
    folder.mkdir(exist_ok=True)
    for name, rows in {**tables, "events": events}.items():
        lines = ",\n".join(json.dumps(row, separators=(",", ":"), sort_keys=True) for row in rows)
        (folder / f"{name}.json").write_text(f"[\n{lines}\n]\n")
    for name, value in (("expected", meaning), ("schema", schema())):
        (folder / f"{name}.json").write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Write the folder of the release that the command names."""
    (version,) = sys.argv[1:]
    write(FOLDER / version)


if __name__ == "__main__":
    main()
