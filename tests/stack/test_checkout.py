"""Buying in other ways, over HTTP on the stack: with a promotion code, and with a card that was saved."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.stack import checkers
from tests.stack.conftest import Running


@pytest.fixture(autouse=True)
def _checked(running: Running) -> Iterator[None]:
    yield
    checkers.check(running)


def begin(running: Running, token: str, track: str = "DP", **more: Any) -> Any:
    return running.api("POST", "/api/payments/create-checkout-session/", token, json={"track": track, **more})


def pay_page(running: Running, made: dict[str, Any]) -> Any:
    path = f"/v1/payment_pages/{made['session_id']}/confirm"
    return running.stripe("POST", path, payment_method="pm_card_visa", expected_amount=made["amount"])


def offer(running: Running, code: str, percent: int, **more: Any) -> None:
    coupon = running.stripe("POST", "/v1/coupons", percent_off=percent)["id"]
    promotion = {"promotion[type]": "coupon", "promotion[coupon]": coupon}
    assert running.stripe("POST", "/v1/promotion_codes", code=code, **promotion, **more)["active"]


def test_a_promotion_code_is_redeemed_once_and_a_whole_one_asks_for_nothing(
    running: Running, token: str, sub: str
) -> None:
    offer(running, f"HALF-{sub}", 50, max_redemptions=1)
    offer(running, f"ALL-{sub}", 100)
    unknown = begin(running, token, promotion_code="NO-SUCH")
    assert (unknown.status_code, unknown.json()["reason"]) == (422, "unknown")
    made = begin(running, token, promotion_code=f"half-{sub}")
    assert (made.status_code, made.json()["amount"]) == (201, 24950)
    pay_page(running, made.json())
    running.until_enrolled(token)
    used = begin(running, token, "FSD", promotion_code=f"HALF-{sub}")
    assert (used.status_code, used.json()["reason"]) == (422, "used-up")
    free = begin(running, token, "FSD", promotion_code=f"ALL-{sub}").json()
    assert free["amount"] == 0
    pay_page(running, free)
    running.until_enrolled(token, "FSD")
    refund = {"payment_id": free["payment_id"], "reason": "it was free"}
    assert running.api("POST", "/api/payments/request-refund/", token, json=refund).status_code == 409


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_saved_card_is_seen_used_and_forgotten_by_its_owner_alone(
    running: Running, token: str, sub: str, slash: str
) -> None:
    listed = f"/api/payments/payment-methods{slash}"
    assert running.api("GET", listed, token).json() == {"payment_methods": [], "next_cursor": None}
    body = {"track": "FSD", "save_payment_method": True}
    made = running.api("POST", "/api/payments/create-payment/", token, json=body).json()
    running.pay(made["payment_intent_id"])
    (saved,) = running.api("GET", listed, token).json()["payment_methods"]
    assert (saved["brand"], saved["last4"]) == ("visa", "4242")
    other = running.token(f"{sub}-other")
    theirs = f"/api/payments/payment-methods/{saved['id']}{slash}"
    assert running.api("DELETE", theirs, other).status_code == 404
    body = {"track": "DP", "payment_method": saved["id"]}
    assert running.api("POST", "/api/payments/create-payment/", other, json=body).status_code == 422
    intent = running.api("POST", "/api/payments/create-payment/", token, json=body).json()["payment_intent_id"]
    assert running.stripe("POST", f"/v1/payment_intents/{intent}/confirm")["status"] == "succeeded"
    running.until_enrolled(token)
    assert running.api("DELETE", theirs, token).json() == {"id": saved["id"], "detached": True}
    assert running.api("DELETE", theirs, token).status_code == 404
    assert running.api("GET", listed, token).json()["payment_methods"] == []


def test_every_way_of_buying_at_once_leaves_one_thing_to_pay(running: Running, token: str, sub: str) -> None:
    offer(running, f"MIX-{sub}", 20)
    ways: list[Callable[[], Any]] = [
        lambda: running.create(token),
        lambda: begin(running, token),
        lambda: begin(running, token, promotion_code=f"mix-{sub}"),
    ]
    with ThreadPoolExecutor(12) as pool:
        answers = [job.result() for job in [pool.submit(way) for way in ways * 4]]
    assert {answer.status_code for answer in answers} <= {200, 201, 409, 503}, [a.text for a in answers]
    assert len(payable(running, sub)) <= 1
    last = begin(running, token, promotion_code=f"MIX-{sub}").json()
    assert (last["amount"], payable(running, sub)) == (39920, [last["session_id"]])
    pay_page(running, last)
    running.until_enrolled(token)
    assert payable(running, sub) == []


def payable(running: Running, sub: str) -> list[str]:
    """What can still be paid at Stripe in this student's name."""
    intents = running.stripe("GET", "/v1/payment_intents?limit=100")["data"]
    sessions = running.stripe("GET", "/v1/checkout/sessions?limit=100&status=open")["data"]
    mine = [i for i in intents if i["metadata"].get("user_id") == sub and i["metadata"]["kind"] == "intent"]
    mine = [i for i in mine if i["status"] not in ("canceled", "succeeded")]
    return [found["id"] for found in [*mine, *(s for s in sessions if s["metadata"].get("user_id") == sub)]]
