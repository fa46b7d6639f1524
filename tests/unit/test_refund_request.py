"""A refund request takes its state from the refund that carries its id."""

import pytest

from tuition.core.facts import REFUND_RANK, Refund
from tuition.core.refund_request import RefundRequest, decline_awaiting, follow


def request(state: str = "submitting", **more: object) -> RefundRequest:
    return RefundRequest("rr_1", 100, "why", "u", "2026-11-23T18:30:00.000Z", state, **more)  # type: ignore[arg-type]


def refund(status: str, request_id: str | None = "rr_1", failure: str | None = None) -> dict[str, Refund]:
    return {"re_1": Refund(status, 100, 5, request=request_id, failure=failure)}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("requires_action", "pending"),
        ("pending", "pending"),
        ("succeeded", "succeeded"),
        ("failed", "failed"),
        ("canceled", "failed"),
        ("unknown", "pending"),
    ],
)
@pytest.mark.parametrize("before", ["awaiting_approval", "submitting", "pending", "succeeded", "rejected"])
def test_a_request_takes_the_state_of_its_refund_from_any_state(before: str, status: str, state: str) -> None:
    updated = follow([request(before)], refund(status))[0]
    assert (updated.state, updated.refund) == (state, "re_1")


def test_every_refund_status_decides_a_request() -> None:
    assert [follow([request()], refund(status))[0].refund for status in REFUND_RANK] == ["re_1"] * len(REFUND_RANK)


def test_a_failed_request_has_the_failure_reason_and_a_successful_one_has_no_answer() -> None:
    assert follow([request()], refund("failed", failure="lost_or_stolen_card"))[0].answer == "lost_or_stolen_card"
    assert follow([request(answer="old")], refund("succeeded"))[0].answer is None


def test_a_dashboard_refund_decides_no_request() -> None:
    assert follow([request()], refund("succeeded", request_id=None)) == (request(),)
    assert follow([request()], refund("succeeded", request_id="rr_2")) == (request(),)


def test_following_a_refund_is_idempotent() -> None:
    once = follow([request()], refund("pending"))
    assert follow(once, refund("pending")) == once


def test_closing_affects_only_waiting_requests() -> None:
    closed, calling = decline_awaiting([request("awaiting_approval"), request("submitting")], "nothing is left")
    assert (closed.state, closed.answer) == ("declined", "nothing is left")
    assert calling == request("submitting")


@pytest.mark.parametrize(
    ("state", "undecided"), [("awaiting_approval", True), ("submitting", True), ("pending", True), ("succeeded", False)]
)
def test_a_request_is_undecided_until_its_final_state(state: str, undecided: bool) -> None:
    assert request(state).undecided is undecided


def test_each_try_has_its_own_idempotency_key() -> None:
    assert request().idempotency_key == request(note="x").idempotency_key
    assert request(tries=2).idempotency_key != request().idempotency_key


def test_a_request_survives_a_json_round_trip() -> None:
    original = request(tries=3, note="n", decided_by="staff")
    assert RefundRequest(**original.to_json()) == original
