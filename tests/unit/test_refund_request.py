"""A request follows the refund that names it, by whatever path that becomes known."""

import pytest

from tuition.core.facts import REFUND_RANK, Refund
from tuition.core.refund_request import RefundRequest, decline_awaiting, follow


def request(state: str = "calling", **more: object) -> RefundRequest:
    return RefundRequest("rr_1", 100, "why", "u", "2026-11-23T18:30:00.000Z", state, **more)  # type: ignore[arg-type]


def refund(status: str, names: str | None = "rr_1", failure: str | None = None) -> dict[str, Refund]:
    return {"re_1": Refund(status, 100, 5, request=names, failure=failure)}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("requires_action", "pending"),
        ("pending", "pending"),
        ("succeeded", "done"),
        ("failed", "failed"),
        ("canceled", "failed"),
    ],
)
@pytest.mark.parametrize("before", ["waiting", "calling", "pending", "done", "refused"])
def test_the_state_is_that_of_the_refund_whatever_it_was(before: str, status: str, state: str) -> None:
    followed = follow([request(before)], refund(status))[0]
    assert (followed.state, followed.refund) == (state, "re_1")


def test_every_state_that_a_refund_can_have_decides_a_request() -> None:
    assert [follow([request()], refund(status))[0].refund for status in REFUND_RANK] == ["re_1"] * len(REFUND_RANK)


def test_a_failure_says_why_and_a_success_says_nothing() -> None:
    assert follow([request()], refund("failed", failure="lost_or_stolen_card"))[0].answer == "lost_or_stolen_card"
    assert follow([request(answer="old")], refund("succeeded"))[0].answer is None


def test_a_refund_made_in_the_dashboard_decides_no_request() -> None:
    assert follow([request()], refund("succeeded", names=None)) == (request(),)
    assert follow([request()], refund("succeeded", names="rr_2")) == (request(),)


def test_following_twice_is_following_once() -> None:
    once = follow([request()], refund("pending"))
    assert follow(once, refund("pending")) == once


def test_only_what_waits_is_closed() -> None:
    closed, calling = decline_awaiting([request("waiting"), request("calling")], "nothing is left")
    assert (closed.state, closed.answer) == ("declined", "nothing is left")
    assert calling == request("calling")


@pytest.mark.parametrize(
    ("state", "undecided"), [("waiting", True), ("calling", True), ("pending", True), ("done", False)]
)
def test_a_request_is_undecided_until_it_has_ended(state: str, undecided: bool) -> None:
    assert request(state).undecided is undecided


def test_another_try_has_another_key_and_the_same_try_the_same() -> None:
    assert request().idempotency_key == request(note="x").idempotency_key
    assert request(tries=2).idempotency_key != request().idempotency_key


def test_a_request_comes_back_from_json_as_it_was() -> None:
    asked = request(tries=3, note="n", decided_by="staff")
    assert RefundRequest(**asked.to_json()) == asked
