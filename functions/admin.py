"""/api/admin/…: what staff find and decide. `support` reads, `admin` decides."""

from collections.abc import Callable

from tuition.api import Reply, Request, amount_field, endpoint, text_field
from tuition.core.errors import NotFound, Unprocessable
from tuition.core.payment import Payment
from tuition.core.refund_request import RefundRequest
from tuition.intake import stripe_events
from tuition.payments import access, refunds
from tuition.stripe_gateway import resolve
from tuition.views import counts, exports, filters, payment_json, staff


def payments(request: Request) -> Reply:
    request.staff()
    asked = request.query(*filters.FILTERS)
    return Reply(200, staff.payments(filters.parse(asked), request.limit(asked), asked.get("cursor")))


def count(request: Request) -> Reply:
    request.staff()
    return Reply(200, counts.counts(request.query("month", "year")))


def payment(request: Request) -> Reply:
    request.staff()
    return Reply(200, staff.payment(request.path("payment_id")))


def user(request: Request) -> Reply:
    request.staff()
    asked = request.query("limit", "cursor")
    return Reply(200, staff.user(request.path("user_id"), request.limit(asked), asked.get("cursor")))


def disputes(request: Request) -> Reply:
    request.staff()
    asked = request.query("state", "limit", "cursor")
    return Reply(200, staff.disputes(asked.get("state"), request.limit(asked), asked.get("cursor")))


def refund(request: Request) -> Reply:
    actor = request.staff(decides=True)
    body = request.json("amount", "reason", "note", "left")
    reason = text_field(body, "reason", most=refunds.MAX_TEXT_LENGTH, required=True) or ""
    note = text_field(body, "note", most=refunds.MAX_TEXT_LENGTH)
    key = resolve.find_ref(request.path("payment_id"))
    amount, left = amount_field(body, "amount"), amount_field(body, "left")
    return _refund_reply(*refunds.refund(key, amount, reason, note, actor.user_id, left=left))


def decide_refund(request: Request) -> Reply:
    actor = request.staff(decides=True)
    body = request.json("decision", "note")
    if body.get("decision") not in ("approve", "decline"):
        raise Unprocessable("decision must be approve or decline", field="decision")
    note = text_field(body, "note", most=refunds.MAX_TEXT_LENGTH)
    key = resolve.find_ref(request.path("payment_id"))
    approve = body["decision"] == "approve"
    decided = refunds.decide(key, request.path("request_id"), approve=approve, note=note, staff=actor.user_id)
    return _refund_reply(*decided)


def _refund_reply(found: Payment, asked: RefundRequest) -> Reply:
    body = {"payment": payment_json.payment_json(found, staff=True), "refund_request": asked.to_json()}
    return Reply(refunds.http_status(asked), body)


def decide_standing(request: Request) -> Reply:
    actor = request.staff(decides=True)
    body = request.json("decision", "note")
    verdict = body.get("decision")
    if verdict not in ("accept", "revoke"):
        raise Unprocessable("decision must be accept or revoke", field="decision")
    note = text_field(body, "note", most=refunds.MAX_TEXT_LENGTH, required=True) or ""
    key = resolve.find_ref(request.path("payment_id"))
    access.decide(key, verdict, note, actor.user_id)
    return Reply(200, {"payment": staff.payment(key.payment_id)["payment"]})


def acknowledge(request: Request) -> Reply:
    actor = request.staff(decides=True)
    body = request.json("cause", "mark", "note")
    cause = text_field(body, "cause", most=300, required=True) or ""
    mark = text_field(body, "mark", most=300)
    note = text_field(body, "note", most=refunds.MAX_TEXT_LENGTH, required=True) or ""
    key = resolve.find_ref(request.path("payment_id"))
    access.acknowledge(key, cause, mark, note, actor.user_id)
    return Reply(200, {"payment": staff.payment(key.payment_id)["payment"]})


def attention(request: Request) -> Reply:
    request.staff()
    asked = request.query("limit", "cursor")
    return Reply(200, staff.payments(filters.Filters(attention=True), request.limit(asked), asked.get("cursor")))


def quarantine(request: Request) -> Reply:
    request.staff()
    asked = request.query("limit", "cursor")
    return Reply(200, staff.quarantined_events(request.limit(asked), asked.get("cursor")))


def quarantined(request: Request) -> Reply:
    request.staff()
    return Reply(200, staff.quarantined_event(request.path("event_id")))


def replay(request: Request) -> Reply:
    actor = request.staff(decides=True)
    event_id = request.path("event_id")
    return Reply(200, {"event_id": event_id, "outcome": stripe_events.replay(event_id, actor.user_id)})


def order_export(request: Request) -> Reply:
    actor = request.staff(decides=True)
    asked = request.json("filters").get("filters", {})
    if not isinstance(asked, dict):
        raise Unprocessable('filters must be an object such as {"status": "SUCCEEDED"}', field="filters")
    return Reply(202, exports.order(asked, actor.user_id))


def export(request: Request) -> Reply:
    actor = request.staff(decides=True)
    return Reply(200, exports.progress(request.path("export_id"), actor.user_id))


ROUTES: dict[str, Callable[[Request], Reply]] = {
    "GET /api/admin/payments": payments,
    "GET /api/admin/payments/{payment_id}": payment,
    "POST /api/admin/payments/{payment_id}/refunds": refund,
    "POST /api/admin/payments/{payment_id}/refunds/{request_id}": decide_refund,
    "POST /api/admin/payments/{payment_id}/decisions": decide_standing,
    "POST /api/admin/payments/{payment_id}/attention": acknowledge,
    "GET /api/admin/counts": count,
    "GET /api/admin/users/{user_id}": user,
    "GET /api/admin/disputes": disputes,
    "POST /api/admin/exports": order_export,
    "GET /api/admin/exports/{export_id}": export,
    "GET /api/admin/attention": attention,
    "GET /api/admin/quarantine": quarantine,
    "GET /api/admin/quarantine/{event_id}": quarantined,
    "POST /api/admin/quarantine/{event_id}/replay": replay,
}


@endpoint
def handler(request: Request) -> Reply:
    route = ROUTES.get(request.route.rstrip("/"))
    if route is None:
        raise NotFound("there is no such route")
    return route(request)
