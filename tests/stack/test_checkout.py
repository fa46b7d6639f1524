"""Purchases with a promotion code or a saved card, over HTTP on the stack."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.stack import checkers
from tests.stack.conftest import Running


@pytest.fixture(scope="module", autouse=True)
def _check_invariants(running: Running) -> Iterator[None]:
    yield
    checkers.check(running)


def create_session(running: Running, token: str, track: str = "DP", **more: Any) -> Any:
    return running.api("POST", "/api/payments/create-checkout-session", token, json={"track": track, **more})


def pay_session(running: Running, session: dict[str, Any]) -> Any:
    path = f"/v1/payment_pages/{session['session_id']}/confirm"
    return running.stripe("POST", path, payment_method="pm_card_visa", expected_amount=session["amount"])


def create_code(running: Running, code: str, percent: int, **more: Any) -> None:
    coupon = running.stripe("POST", "/v1/coupons", percent_off=percent)["id"]
    promotion = {"promotion[type]": "coupon", "promotion[coupon]": coupon}
    assert running.stripe("POST", "/v1/promotion_codes", code=code, **promotion, **more)["active"]


def test_a_limited_code_is_redeemed_once_and_a_full_discount_makes_the_purchase_free(
    running: Running, token: str, sub: str
) -> None:
    create_code(running, f"HALF-{sub}", 50, max_redemptions=1)
    create_code(running, f"ALL-{sub}", 100)
    unknown = create_session(running, token, promotion_code="NO-SUCH")
    assert (unknown.status_code, unknown.json()["reason"]) == (422, "unknown")
    half = create_session(running, token, promotion_code=f"half-{sub}")
    assert (half.status_code, half.json()["amount"]) == (201, 24950)
    pay_session(running, half.json())
    running.until_enrolled(token)
    used_up = create_session(running, token, "FSD", promotion_code=f"HALF-{sub}")
    assert (used_up.status_code, used_up.json()["reason"]) == (422, "used-up")
    free = create_session(running, token, "FSD", promotion_code=f"ALL-{sub}").json()
    assert free["amount"] == 0
    pay_session(running, free)
    running.until_enrolled(token, "FSD")
    refund = {"payment_id": free["payment_id"], "reason": "it was free"}
    assert running.api("POST", "/api/payments/request-refund", token, json=refund).status_code == 409


@pytest.mark.parametrize("slash", ["", "/"])
def test_only_its_owner_can_list_use_and_delete_a_saved_card(
    running: Running, token: str, sub: str, slash: str
) -> None:
    path = f"/api/payments/payment-methods{slash}"
    assert running.api("GET", path, token).json() == {"payment_methods": [], "next_cursor": None}
    body = {"track": "FSD", "save_payment_method": True}
    payment = running.api("POST", "/api/payments/create-payment", token, json=body).json()
    running.pay(payment["payment_intent_id"])
    (card,) = running.api("GET", path, token).json()["payment_methods"]
    assert (card["brand"], card["last4"]) == ("visa", "4242")
    other = running.token(f"{sub}-other")
    card_path = f"/api/payments/payment-methods/{card['id']}{slash}"
    assert running.api("DELETE", card_path, other).status_code == 404
    body = {"track": "DP", "payment_method": card["id"]}
    assert running.api("POST", "/api/payments/create-payment", other, json=body).status_code == 422
    intent = running.api("POST", "/api/payments/create-payment", token, json=body).json()["payment_intent_id"]
    assert running.stripe("POST", f"/v1/payment_intents/{intent}/confirm")["status"] == "succeeded"
    running.until_enrolled(token)
    assert running.api("DELETE", card_path, token).json() == {"id": card["id"], "detached": True}
    assert running.api("DELETE", card_path, token).status_code == 404
    assert running.api("GET", path, token).json()["payment_methods"] == []


def test_simultaneous_purchases_leave_one_payable_object(running: Running, token: str, sub: str) -> None:
    create_code(running, f"MIX-{sub}", 20)
    ways: list[Callable[[], Any]] = [
        lambda: running.create(token),
        lambda: create_session(running, token),
        lambda: create_session(running, token, promotion_code=f"mix-{sub}"),
    ]
    with ThreadPoolExecutor(12) as pool:
        responses = [job.result() for job in [pool.submit(way) for way in ways * 4]]
    assert {response.status_code for response in responses} <= {200, 201, 409, 503}, [r.text for r in responses]
    assert len(payable(running, sub)) <= 1
    last = create_session(running, token, promotion_code=f"MIX-{sub}").json()
    assert (last["amount"], payable(running, sub)) == (39920, [last["session_id"]])
    pay_session(running, last)
    running.until_enrolled(token)
    assert payable(running, sub) == []


def payable(running: Running, sub: str) -> list[str]:
    """Return the ids of the student's objects that can still be paid at Stripe."""
    intents = running.stripe("GET", "/v1/payment_intents?limit=100")["data"]
    sessions = running.stripe("GET", "/v1/checkout/sessions?limit=100&status=open")["data"]
    mine = [i for i in intents if i["metadata"].get("user_id") == sub and i["metadata"]["kind"] == "intent"]
    mine = [i for i in mine if i["status"] not in ("canceled", "succeeded")]
    return [obj["id"] for obj in [*mine, *(s for s in sessions if s["metadata"].get("user_id") == sub)]]
