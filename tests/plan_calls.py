"""The calls of a student with a payment plan, and a catalog that offers plans."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import plans
import request_refund
from tests.acceptance import ACCEPTANCE
from tests.harness import PAGE, Harness, Response, Student
from tuition.core import catalog
from tuition.core.catalog import Membership
from tuition.core.offers import PlanOffer

FIRST, REST = 12475, 37425
"""The first of four installments of the track `DP`, and the other three, in cents."""
OFFERS = {
    code: (PlanOffer("4x", (track.price.amount // 4,) * 4, track.price.currency, "month"),)
    for code, track in catalog.tracks().items()
}
MEMBERSHIP = Membership(
    "ALL", "Membership", "Every track.", (PlanOffer("monthly", (4900,), "usd", "month", endless=True),)
)


def offer_plans(patch: Callable[[Any, str, Any], None]) -> None:
    """Offer four monthly installments of each track and a membership, whatever the shipped catalog offers."""
    tracks = {code: replace(track, offers=OFFERS[code]) for code, track in catalog.tracks().items()}
    patch(catalog, "tracks", lambda: tracks)
    patch(catalog, "memberships", lambda: {MEMBERSHIP.membership: MEMBERSHIP})


def begin(w: Harness, student: Student, /, **more: Any) -> Response:
    """Begin four installments of `DP`, unless `more` chooses otherwise. A field that is None is left out."""
    body = {"track": "DP", "offer": "4x", **({} if "consent" in more else {"consent": consent(w)}), **more}
    sent = {name: value for name, value in body.items() if value is not None}
    return w.call(plans.handler, student, sent, route="POST /api/plans")


def consent(w: Harness, track: str = "DP", offer: str = "4x") -> str:
    """Return the current version of the text of an offer."""
    tracks = w.tracks().body["tracks"]
    offers = next(one["offers"] for one in tracks if one["track"] == track)
    return str(next(one["consent"]["version"] for one in offers if one["offer"] == offer))


def call(w: Harness, student: Student, method: str, plan_id: str, action: str = "", body: Any = None) -> Response:
    """Call a route of one plan, such as `pay`."""
    route = f"{method} /api/plans/{{plan_id}}{'/' if action else ''}{action}"
    handler = request_refund.handler if action in ("cancel", "resume") else plans.handler
    return w.call(handler, student, body, route=route, path={"plan_id": plan_id})


def read(w: Harness, student: Student, plan_id: str) -> dict[str, Any]:
    """Return a plan as its student sees it."""
    response = call(w, student, "GET", plan_id)
    assert response.status == 200, response
    return dict(response.body)


def listed(w: Harness, student: Student, /, **query: str) -> dict[str, Any]:
    return dict(w.call(plans.handler, student, query=query, route="GET /api/plans").body)


def pay(w: Harness, student: Student, plan_id: str, what: str = "next") -> Response:
    return call(w, student, "POST", plan_id, "pay", {"what": what})


def started(w: Harness, student: Student, method: str = "pm_card_visa", **more: Any) -> dict[str, Any]:
    """Begin a plan, pay its first installment and deliver every event. Return the answer of the begin."""
    opened = dict(begin(w, student, **more).body)
    w.pay(opened["payment_intent_id"], method)
    w.advance_stripe(3)
    w.deliver_all()
    return opened


def set_up(w: Harness, student: Student, plan_id: str, method: str = "pm_card_mastercard") -> str:
    """Set up another method as the page does. Return its id."""
    setup = call(w, student, "POST", plan_id, "payment-method", {})
    assert setup.status == 201, setup
    params = {"payment_method": method, "return_url": PAGE, **ACCEPTANCE}
    confirmed = w.at_stripe("POST", f"/v1/setup_intents/{setup.body['setup_intent_id']}/confirm", **params)
    assert confirmed["status"] == "succeeded", confirmed
    return str(confirmed["payment_method"])


def paid_twice_and_refunded_once(w: Harness, student: Student) -> tuple[dict[str, Any], dict[str, Any]]:
    """Begin a plan, pay its second installment, and refund the first one in the dashboard. Return both payments."""
    first = started(w, student)
    second = pay(w, student, first["plan_id"]).body
    w.pay(second["payment_intent_id"])
    w.at_stripe("POST", "/v1/refunds", payment_intent=first["payment_intent_id"])
    w.deliver_all()
    return first, second


def lose(w: Harness, opened: Mapping[str, Any]) -> None:
    """Take a payment out of the tables, as a restore does."""
    w.tables.delete_item(TableName="payments", Key={"payment_id": {"S": opened["payment_id"]}})


def require_closed(w: Harness, opened: Mapping[str, Any]) -> None:
    """Check that a payment can no longer be paid at Stripe."""
    refused = w.pay(opened["payment_intent_id"], may_be_refused=True)
    assert refused["error"]["code"] == "payment_intent_unexpected_state"
