"""What must be true of the whole system at any quiet moment, whatever happened before. Run after each story."""

import json
from collections import Counter
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

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
    enrolled_exactly_while_a_payment_grants(running, ours)
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


def enrolled_exactly_while_a_payment_grants(running: Running, ours: list[dict[str, Any]]) -> None:
    """The stored enrollments: their status follows from their standings, and their standings from the payments."""
    status = {p["payment_id"]: p["status"] for p in ours}
    seen = set()
    for item in table(running, "EnrollmentsTable"):
        if "#" in item["entry"]:
            continue
        standings = json.loads(item["standings"])
        grants = [name for name, standing in standings.items() if standing.get("grants", False)]
        assert (item["status"] == "ENROLLED") == bool(grants), item
        for name, standing in standings.items():
            assert standing.get("open", False) == (status[name] in ("CREATED", "PROCESSING", "FAILED")), name
            assert standing.get("grants", False) == (status[name] == "SUCCEEDED"), name
        seen |= set(standings)
    assert seen == set(status), "each payment has its standing, and no standing is without its payment"


def table(running: Running, logical_id: str) -> list[dict[str, Any]]:
    """Every item of a table, as the account's root sees it."""
    aws, deployed = running.stack.aws, running.stack.deployed
    assert aws is not None
    assert deployed is not None
    read = TypeDeserializer().deserialize
    name = deployed.resources[logical_id]
    pages = aws.client("dynamodb").get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
    return [{key: read(value) for key, value in item.items()} for page in pages for item in page["Items"]]
