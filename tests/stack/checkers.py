"""Invariants of the whole system once every event has been delivered, checked after each story.

`tests/consistency.py` compares the stack's tables with Stripe's lists, and verifies the chain of each payment. This
module also checks the staff views.
"""

import random
import time
from collections import Counter
from typing import Any

from tests import consistency
from tests.harness import NAMES
from tests.seeds import first_seed
from tests.stack.conftest import Running

STAFF_VIEWS = 10
"""How many of the payments that changed since the last check are also read as staff read them. The seed draws them."""

LISTS = {"payment_intent": "payment_intents", "checkout.session": "checkout/sessions"}
LISTS |= {"refund": "refunds", "dispute": "disputes"}


def payments(running: Running) -> list[dict[str, Any]]:
    """Return every payment in the staff list, over all pages."""
    rows: list[dict[str, Any]] = []
    query = {"limit": "100"}
    while True:
        page = running.staff("/payments", **query)
        rows += page["payments"]
        if not page["next_cursor"]:
            return rows
        query["cursor"] = page["next_cursor"]


def at_stripe(running: Running, listed: str) -> dict[str, dict[str, Any]]:
    """Return every object of one of Stripe's lists by id, over all pages."""
    objects: dict[str, dict[str, Any]] = {}
    after = ""
    while True:
        page = running.stripe("GET", f"/v1/{listed}?limit=100{after}")
        objects |= {obj["id"]: obj for obj in page["data"]}
        if not page["has_more"]:
            return objects
        after = f"&starting_after={page['data'][-1]['id']}"


def read(running: Running) -> consistency.Snapshot:
    """Read the tables of the running stack and the objects at Stripe."""
    aws, deployed = running.stack.aws, running.stack.deployed
    assert aws is not None
    assert deployed is not None
    names = {name: deployed.resources[logical] for logical, name in NAMES.items()}
    objects = {kind: at_stripe(running, listed) for kind, listed in LISTS.items()}
    return consistency.read_snapshot(aws.client("dynamodb"), objects, names)


def written(running: Running) -> list[Any]:
    """Return how many items each table has, and Stripe's newest event: a change of a payment adds to one of them."""
    aws, deployed = running.stack.aws, running.stack.deployed
    assert aws is not None
    assert deployed is not None
    scan = aws.client("dynamodb").get_paginator("scan")
    tables = [deployed.resources[logical] for logical in NAMES]
    counts = [sum(page["Count"] for page in scan.paginate(TableName=name, Select="COUNT")) for name in tables]
    return [*counts, [event["id"] for event in running.stripe("GET", "/v1/events?limit=1")["data"]]]


def check(running: Running) -> int:
    """Assert every invariant once all events have arrived, and return the number of payments.

    There is nothing to check if nothing was written since the last check.
    """
    problems: list[str] = []
    payment_ids: set[str] = set()
    state_now = written(running)
    if running.checked and running.checked[0] == state_now:
        return running.checked[1]

    def is_consistent() -> bool:
        started = time.monotonic()
        state = read(running)
        problems[:] = consistency.violations_when_idle(state)
        payment_ids.update(state.payments)
        if problems:
            time.sleep(time.monotonic() - started)  # leaves half of the time to the deliveries that are awaited
        return not problems

    try:
        running.until(is_consistent, "the books are consistent")
    except AssertionError as error:
        raise AssertionError(problems) from error
    rows = payments(running)
    listed = {row["payment_id"] for row in rows}
    assert listed == payment_ids, f"in the list or in the table only: {sorted(listed ^ payment_ids)[:10]}"
    changed = [row for row in rows if running.checked_rows.get(row["payment_id"]) != row]
    for row in random.Random(first_seed()).sample(changed, min(STAFF_VIEWS, len(changed))):
        detail = running.staff(f"/payments/{row['payment_id']}")
        check_chain(row, detail)
        check_one_record_per_transition(row, detail["audit"])
    running.checked_rows = {row["payment_id"]: row for row in rows}
    running.checked = state_now, len(rows)
    return len(rows)


def check_chain(payment: dict[str, Any], detail: dict[str, Any]) -> None:
    assert detail["chain"] == {"verified": True, "problem": None}, payment["payment_id"]


def check_one_record_per_transition(payment: dict[str, Any], audit: list[dict[str, Any]]) -> None:
    """Assert that the transitions lead without a gap to the current status, and that no event is recorded twice."""
    status = None
    for record in audit:
        change = record["transition"].get("status")
        if change:
            assert change["from"] == status != change["to"], payment["payment_id"]
            status = change["to"]
    assert status == payment["status"], payment["payment_id"]
    duplicates = [event for event, count in Counter(r["event_id"] for r in audit).items() if count > 1]
    assert not duplicates, payment["payment_id"]
