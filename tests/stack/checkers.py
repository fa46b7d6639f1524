"""What must be true of the whole system at any quiet moment, whatever happened before. Run after each story."""

from collections import Counter
from typing import Any

from tests.stack.conftest import Running


def payments(running: Running) -> list[dict[str, Any]]:
    """Every payment that staff can find, over all pages."""
    found: list[dict[str, Any]] = []
    query = {"limit": "100"}
    while True:
        page = running.staff("/payments/", **query)
        found += page["payments"]
        if not page["next_cursor"]:
            return found
        query["cursor"] = page["next_cursor"]


def intents(running: Running) -> dict[str, dict[str, Any]]:
    """Every intent of ours at Stripe, with its charge."""
    found: dict[str, dict[str, Any]] = {}
    query = "limit=100&expand[]=data.latest_charge"
    after = ""
    while True:
        page = running.stripe("GET", f"/v1/payment_intents?{query}{after}")
        found |= {i["id"]: i for i in page["data"] if i["metadata"].get("app") == "tuition"}
        if not page["has_more"]:
            return found
        after = f"&starting_after={page['data'][-1]['id']}"


def check(running: Running) -> int:
    """Assert all of it; how many payments were checked."""
    ours, theirs = payments(running), intents(running)
    trails = {p["payment_id"]: running.staff(f"/payments/{p['payment_id']}/") for p in ours}
    for payment in ours:
        chains_verify(payment, trails[payment["payment_id"]])
        one_record_a_transition(payment, trails[payment["payment_id"]]["audit"])
    money_is_the_same(ours, trails, theirs)
    nobody_has_two_payable(theirs)
    return len(ours)


def chains_verify(payment: dict[str, Any], found: dict[str, Any]) -> None:
    assert found["chain"] == {"verified": True, "problem": None}, payment["payment_id"]


def one_record_a_transition(payment: dict[str, Any], audit: list[dict[str, Any]]) -> None:
    """The transitions follow one another from nothing to the status of now, each event once."""
    status = None
    for record in audit:
        moved = record["transition"].get("status")
        if moved:
            assert moved["from"] == status != moved["to"], payment["payment_id"]
            status = moved["to"]
    assert status == payment["status"], payment["payment_id"]
    twice = [event for event, count in Counter(r["event_id"] for r in audit).items() if count > 1]
    assert not twice, payment["payment_id"]


def money_is_the_same(ours: list[dict[str, Any]], trails: dict[str, Any], theirs: dict[str, dict[str, Any]]) -> None:
    """Settled less refunded, in our payments, in our records and at Stripe."""
    at_stripe = 0
    for intent in theirs.values():
        charge = intent["latest_charge"] or {}
        at_stripe += intent["amount_received"] - (charge.get("amount_refunded") or 0)
    settled = [p for p in ours if p["status"] in ("SUCCEEDED", "REFUNDED")]
    kept = sum(p["amount"] - p["refund_amount"] for p in settled)
    moves = [r["transition"] for t in trails.values() for r in t["audit"]]
    recorded = sum(m.get("settled", 0) - m.get("refunded", 0) for m in moves)
    assert kept == recorded == at_stripe


def nobody_has_two_payable(theirs: dict[str, dict[str, Any]]) -> None:
    """One user and track, one object at most that can still be paid."""
    payable = Counter(
        (i["metadata"]["user_id"], i["metadata"]["track"])
        for i in theirs.values()
        if i["status"] not in ("succeeded", "canceled")
    )
    assert [key for key, count in payable.items() if count > 1] == []
