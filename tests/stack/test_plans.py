"""Payment plans on the running stack: begun, announced by `make collect`, paid to the end, ended, and by membership."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.stack import checkers, commands
from tests.stack.conftest import Running


@pytest.fixture(autouse=True)
def _check_invariants(running: Running) -> Iterator[None]:
    yield
    assert commands.run(running, "collect").returncode == 0
    checkers.check(running)


def begin(running: Running, token: str, code: str = "DP") -> dict[str, Any]:
    """Begin the first plan offered for a track or membership, and return the answer."""
    listed = running.api("GET", "/api/payments/tracks").json()
    products = {kind: {one[kind]: one for one in listed[f"{kind}s"]} for kind in ("track", "membership")}
    kind = next(kind for kind, by_code in products.items() if code in by_code)
    offer = products[kind][code]["offers"][0]
    body = {kind: code, "offer": offer["offer"], "consent": offer["consent"]["version"]}
    response = running.api("POST", "/api/plans", token, json=body)
    assert response.status_code == 201, response.text
    opened: dict[str, Any] = response.json()
    return opened


def started(running: Running, token: str, code: str = "DP") -> dict[str, Any]:
    """Begin a plan as `begin` does, pay its first installment, and return the answer."""
    opened = begin(running, token, code)
    assert running.pay(opened["payment_intent_id"])["status"] == "succeeded"
    running.until(lambda: read(running, token, opened)["status"] == "ACTIVE", "the plan is active")
    return opened


def read(running: Running, token: str, opened: dict[str, Any]) -> Any:
    return running.api("GET", f"/api/plans/{opened['plan_id']}", token).json()


def act(running: Running, token: str, opened: dict[str, Any], action: str, **body: Any) -> Any:
    response = running.api("POST", f"/api/plans/{opened['plan_id']}/{action}", token, json=body)
    assert response.status_code in (200, 201), response.text
    return response.json()


def test_a_plan_is_announced_by_make_collect_and_paid_to_its_end(running: Running, token: str) -> None:
    opened = started(running, token)
    running.until_enrolled(token)
    running.until(lambda: read(running, token, opened)["payment_method"], "the method is kept")
    path = f"/api/admin/plans/{opened['plan_id']}"
    to = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    version = running.staff(f"/plans/{opened['plan_id']}")["plan"]["version"]
    decision = {"decision": "reschedule", "seq": 2, "to": to, "note": "asked by the student", "version": version}
    assert running.api("POST", f"{path}/decisions", running.ready["admin_token"], json=decision).status_code == 200
    collected = commands.run(running, "collect", process=True)
    assert collected.returncode == 0, collected.stderr
    (second,) = [one for one in read(running, token, opened)["schedule"] if one["seq"] == 2]
    assert second["due"] == to
    assert second["collect"] > to, "a charge is announced a week before it is made"
    assert running.pay(act(running, token, opened, "pay", what="next")["payment_intent_id"])["status"] == "succeeded"
    running.until(lambda: read(running, token, opened)["received"] == 24_950, "the second installment is received")
    running.pay(act(running, token, opened, "pay", what="rest")["payment_intent_id"])
    running.until(lambda: read(running, token, opened)["status"] == "COMPLETE", "the plan is complete")
    assert running.enrollment(token)["status"] == "ENROLLED"


def test_another_method_is_set_up_and_the_plan_ended_with_all_money_back(running: Running, token: str) -> None:
    opened = started(running, token, "FSD")
    setup = act(running, token, opened, "payment-method")
    path = f"/v1/setup_intents/{setup['setup_intent_id']}/confirm"
    method = running.stripe("POST", path, payment_method="pm_card_mastercard", return_url="https://school.example")
    chosen = act(running, token, opened, "payment-method", payment_method=method["payment_method"])
    assert chosen["payment_method"]["id"] == method["payment_method"]
    act(running, token, opened, "cancel", reason="not for me")
    running.until(lambda: read(running, token, opened)["status"] == "REFUNDED", "the plan is refunded")
    assert running.enrollment(token, "FSD")["status"] == "WITHDRAWN"


def test_a_member_begins_a_track_and_cancels_and_resumes(running: Running, token: str) -> None:
    opened = started(running, token, "ALL")
    act(running, token, opened, "tracks", track="DP")
    running.until_enrolled(token)
    assert act(running, token, opened, "cancel")["cancel_at"]
    assert act(running, token, opened, "resume")["cancel_at"] is None
    assert running.enrollment(token)["status"] == "ENROLLED"
