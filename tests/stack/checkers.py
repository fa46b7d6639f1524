"""What must be true of the whole system at any quiet moment, whatever happened before. Run after each story.

`tests/consistency.py` is read over the stack's own tables and Stripe's own lists; beside it stands what staff are
shown.
"""

from collections import Counter
from typing import Any

from tests import consistency
from tests.harness import NAMES
from tests.stack.conftest import Running

LISTS = {"payment_intent": "payment_intents", "checkout.session": "checkout/sessions"}
LISTS |= {"refund": "refunds", "dispute": "disputes"}


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


def at_stripe(running: Running, listed: str) -> dict[str, dict[str, Any]]:
    """Every object of a list of Stripe's, over all pages."""
    found: dict[str, dict[str, Any]] = {}
    after = ""
    while True:
        page = running.stripe("GET", f"/v1/{listed}?limit=100{after}")
        found |= {one["id"]: one for one in page["data"]}
        if not page["has_more"]:
            return found
        after = f"&starting_after={page['data'][-1]['id']}"


def read(running: Running) -> consistency.Snapshot:
    """The books of the running stack, as the account's root and Stripe's key see them."""
    aws, deployed = running.stack.aws, running.stack.deployed
    assert aws is not None
    assert deployed is not None
    names = {name: deployed.resources[logical] for logical, name in NAMES.items()}
    objects = {kind: at_stripe(running, listed) for kind, listed in LISTS.items()}
    return consistency.read_snapshot(aws.client("dynamodb"), objects, names)


def check(running: Running) -> int:
    """Assert all of it, once what is on its way has arrived; how many payments were checked."""
    found: list[list[str]] = []

    def right() -> bool:
        found.append(consistency.violations_when_idle(read(running)))
        return not found[-1]

    try:
        running.until(right, "the books are right")
    except AssertionError as error:
        raise AssertionError(found[-1]) from error
    ours = payments(running)
    assert {p["payment_id"] for p in ours} == set(read(running).payments)
    for payment in ours:
        shown = running.staff(f"/payments/{payment['payment_id']}/")
        chains_verify(payment, shown)
        one_record_a_transition(payment, shown["audit"])
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
