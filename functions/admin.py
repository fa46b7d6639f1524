"""/api/admin/…: what staff look at and decide. Each route names the group that may use it: `support` or `admin`.

The modules that only a few routes use are imported inside them, because few requests pay for that, but each cold start
would.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from tuition.api import Identity, Reply, Request, amount_field, endpoint, flag_field, text_field, version_field
from tuition.core import notes as note_rules
from tuition.core.emails import STUDENT_KINDS
from tuition.core.errors import NotFound, Unprocessable
from tuition.core.evidence import MAX_BODY_BYTES as MAX_EVIDENCE_BYTES
from tuition.core.payment import Payment
from tuition.core.purchase_blocks import DECISIONS
from tuition.core.refs import PaymentRef
from tuition.core.refund_request import STRIPE_REASONS, RefundRequest
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.intake import stripe_events
from tuition.payments import access, email_address, emails, legal_hold, purchase_blocks, refunds, switches
from tuition.storage.notes import NoteTopic
from tuition.stripe_gateway import resolve
from tuition.views import counts, explain, filters, payment_list, recorded_reads, staff, timelines
from tuition.views import notes as notes_view
from tuition.views import switches as switches_view
from tuition.views.payment_json import PaymentView, staff_request_json

Handler = Callable[[Request, Identity], Reply]
ROUTES: dict[str, Callable[[Request], Reply]] = {}


def route(path: str, group: Literal["support", "admin"]) -> Callable[[Handler], Handler]:
    """Register a handler for a route, for this group. `admin` may do all that `support` may."""

    def register(handle: Handler) -> Handler:
        def checked(request: Request) -> Reply:
            return handle(request, request.staff(decides=group == "admin"))

        ROUTES[path] = checked
        return handle

    return register


@route("GET /api/admin/payments", "support")
def list_payments(request: Request, actor: Identity) -> Reply:
    query = request.query(*filters.LIST_QUERY)
    parsed, order = filters.parse(query), filters.parse_order(query)
    page = staff.payments(parsed, request.limit(query), query.get("cursor"), order)
    if parsed.q:
        recorded_reads.record(actor.user_id, (payment["user_id"] for payment in page["payments"]))
    return Reply(200, page)


@route("GET /api/admin/payments/statuses", "support")
def read_statuses(request: Request, _actor: Identity) -> Reply:
    from tuition.views import analytics

    return Reply(200, analytics.statuses(request.query(*analytics.STATUSES_QUERY)))


@route("GET /api/admin/payments/totals", "support")
def read_totals(request: Request, actor: Identity) -> Reply:
    query = request.query(*filters.FILTERS, "cursor")
    parsed = filters.parse(query)
    totals, users = payment_list.totals(parsed, query.get("cursor"))
    if parsed.q:
        recorded_reads.record(actor.user_id, users)
    return Reply(200, totals)


@route("GET /api/admin/payments/{payment_id}", "support")
def read_payment(request: Request, actor: Identity) -> Reply:
    details = staff.payment(request.path("payment_id"), request.query("at", "version"))
    recorded_reads.record(actor.user_id, [details["payment"]["user_id"]])
    return Reply(200, details)


@route("GET /api/admin/payments/{payment_id}/explain", "support")
def explain_payment(request: Request, actor: Identity) -> Reply:
    user_id, explanation = explain.payment(request.path("payment_id"))
    recorded_reads.record(actor.user_id, [user_id])
    return Reply(200, explanation)


@route("GET /api/admin/payments/{payment_id}/documents", "support")
def list_documents(request: Request, actor: Identity) -> Reply:
    from tuition.views import documents

    user_id, listed = documents.of_payment(request.path("payment_id"))
    recorded_reads.record(actor.user_id, [user_id])
    return Reply(200, {"documents": listed})


@route("GET /api/admin/payments/{payment_id}/disputes/{dispute_id}/evidence", "support")
def read_evidence(request: Request, actor: Identity) -> Reply:
    return _evidence_reply(_find_disputed(request, actor), request)


@route("POST /api/admin/payments/{payment_id}/disputes/{dispute_id}/evidence", "admin")
def save_evidence(request: Request, actor: Identity) -> Reply:
    from tuition.payments import evidence

    body = request.json("fields", "saved_at", max_length=MAX_EVIDENCE_BYTES)
    saved_at = text_field(body, "saved_at", max_length=30)
    payment = _find_disputed(request, actor)
    evidence.keep_draft(payment, request.path("dispute_id"), body.get("fields"), saved_at, actor.user_id)
    return _evidence_reply(payment, request)


@route("POST /api/admin/payments/{payment_id}/disputes/{dispute_id}/evidence/send", "admin")
def send_evidence(request: Request, actor: Identity) -> Reply:
    from tuition.payments import evidence

    body = request.json("saved_at")
    saved_at = text_field(body, "saved_at", max_length=30, required=True) or ""
    payment = _find_disputed(request, actor)
    evidence.send(payment, request.path("dispute_id"), saved_at, actor.user_id)
    return _evidence_reply(payment, request)


def _find_disputed(request: Request, actor: Identity) -> Payment:
    """Return a payment with the dispute of the path, with a record of the read. Raises `NotFound`."""
    payment = resolve.find_payment(request.path("payment_id"))
    recorded_reads.record(actor.user_id, [payment.user_id])
    if request.path("dispute_id") not in payment.facts.disputes:
        raise NotFound("This payment has no such dispute.")
    return payment


def _evidence_reply(payment: Payment, request: Request) -> Reply:
    from tuition.views import evidence

    return Reply(200, evidence.shown(payment, request.path("dispute_id")))


def _find_ref(request: Request, actor: Identity) -> PaymentRef:
    """Return the payment of a decision, with a record: the answer shows it, also if the decision changes nothing."""
    ref = resolve.find_ref(request.path("payment_id"))
    recorded_reads.record(actor.user_id, [ref.user_id])
    return ref


@route("POST /api/admin/payments/{payment_id}/refunds", "admin")
def create_refund(request: Request, actor: Identity) -> Reply:
    body = request.json(
        "amount", "currency", "reason", "note", "message", "expected_refundable_amount", "stripe_reason"
    )
    reason = text_field(body, "reason", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    note = text_field(body, "note", max_length=refunds.MAX_TEXT_LENGTH)
    message = text_field(body, "message", max_length=refunds.MAX_TEXT_LENGTH)
    amount, expected = amount_field(body, "amount"), amount_field(body, "expected_refundable_amount")
    stripe_reason = body.get("stripe_reason")
    if stripe_reason not in (None, *STRIPE_REASONS):
        raise Unprocessable(f"stripe_reason must be one of {', '.join(STRIPE_REASONS)}", field="stripe_reason")
    key = request.idempotency_key()
    ref = _find_ref(request, actor)
    payment, refund_request = refunds.refund(
        ref,
        amount,
        reason,
        note,
        actor.user_id,
        expected=expected,
        message=message,
        idempotency_key=key,
        stripe_reason=stripe_reason,
        currency=text_field(body, "currency", max_length=3),
    )
    return _refund_reply(payment, refund_request)


@route("POST /api/admin/payments/{payment_id}/refunds/{request_id}", "admin")
def decide_refund_request(request: Request, actor: Identity) -> Reply:
    body = request.json("decision", "note", "message")
    decision = body.get("decision")
    if decision not in ("approve", "decline"):
        raise Unprocessable("decision must be approve or decline", field="decision")
    texts = {name: text_field(body, name, max_length=refunds.MAX_TEXT_LENGTH) for name in ("note", "message")}
    ref = _find_ref(request, actor)
    approve, request_id = decision == "approve", request.path("request_id")
    return _refund_reply(*refunds.decide(ref, request_id, approve=approve, staff=actor.user_id, **texts))


def _refund_reply(payment: Payment, refund_request: RefundRequest) -> Reply:
    body = {"payment": PaymentView(payment, []).json(), "refund_request": staff_request_json(refund_request, payment)}
    return Reply(refunds.http_status(refund_request), body)


@route("POST /api/admin/payments/{payment_id}/access", "admin")
def decide_access(request: Request, actor: Identity) -> Reply:
    body = request.json("decision", "note")
    decision = body.get("decision")
    if decision not in access.DECISIONS:
        raise Unprocessable(f"decision must be one of {', '.join(access.DECISIONS)}", field="decision")
    note = text_field(body, "note", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    ref = _find_ref(request, actor)
    access.decide(ref, decision, note, actor.user_id)
    return Reply(200, {"payment": staff.payment(ref.payment_id)["payment"]})


@route("POST /api/admin/payments/{payment_id}/attention", "admin")
def acknowledge(request: Request, actor: Identity) -> Reply:
    body = request.json("name", "fingerprint", "note")
    name = text_field(body, "name", max_length=300, required=True) or ""
    fingerprint = text_field(body, "fingerprint", max_length=300)
    note = text_field(body, "note", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    ref = _find_ref(request, actor)
    access.acknowledge(ref, name, fingerprint, note, actor.user_id)
    return Reply(200, {"payment": staff.payment(ref.payment_id)["payment"]})


@route("POST /api/admin/payments/{payment_id}/emails", "admin")
def send_email(request: Request, actor: Identity) -> Reply:
    kind = request.json("kind").get("kind")
    if kind not in STUDENT_KINDS:
        raise Unprocessable(f"kind must be one of {', '.join(STUDENT_KINDS)}", field="kind")
    ref = _find_ref(request, actor)
    emails.send_again(ref, kind, actor.user_id)
    return Reply(202, {"payment_id": ref.payment_id, "kind": kind})


@route("GET /api/admin/attention", "support")
def list_attention(request: Request, _actor: Identity) -> Reply:
    query = request.query("order", "limit", "cursor")
    needs_attention, order = filters.Filters(attention=True), filters.parse_order(query)
    return Reply(200, staff.payments(needs_attention, request.limit(query), query.get("cursor"), order))


@route("GET /api/admin/counts", "support")
def read_counts(request: Request, _actor: Identity) -> Reply:
    return Reply(200, counts.counts(request.query("month", "year")))


@route("GET /api/admin/users", "support")
def find_user(request: Request, actor: Identity) -> Reply:
    query = request.query("user_id", "limit", "cursor")
    if not query.get("user_id"):
        raise Unprocessable("Send the user's id as user_id.", field="user_id")
    return _user_reply(request, actor, query["user_id"], query)


@route("GET /api/admin/users/{user_id}", "support")
def read_user(request: Request, actor: Identity) -> Reply:
    return _user_reply(request, actor, request.path("user_id"), request.query("limit", "cursor"))


def _user_reply(request: Request, actor: Identity, user_id: str, query: Mapping[str, str]) -> Reply:
    user = staff.user(user_id, request.limit(query), query.get("cursor"))
    recorded_reads.record(actor.user_id, [user_id])
    return Reply(200, user)


@route("GET /api/admin/users/timeline", "support")
def read_timeline(request: Request, actor: Identity) -> Reply:
    query = request.query("user_id", "cursor")
    if not query.get("user_id"):
        raise Unprocessable("Send the user's id as user_id.", field="user_id")
    timeline = timelines.of_user(staff.require_user_id(query["user_id"]), query.get("cursor"))
    recorded_reads.record(actor.user_id, [query["user_id"]])
    return Reply(200, timeline)


@route("GET /api/admin/users/export", "admin")
def export_user_by_query(request: Request, actor: Identity) -> Reply:
    from tuition.views import personal_data

    query = request.query("user_id", "cursor")
    if not query.get("user_id"):
        raise Unprocessable("Send the user's id as user_id.", field="user_id")
    return Reply(*personal_data.for_staff(query["user_id"], query.get("cursor"), actor.user_id))


@route("GET /api/admin/users/{user_id}/export", "admin")
def export_user(request: Request, actor: Identity) -> Reply:
    from tuition.views import personal_data

    cursor = request.query("cursor").get("cursor")
    return Reply(*personal_data.for_staff(request.path("user_id"), cursor, actor.user_id))


@route("POST /api/admin/users/purchases", "admin")
def decide_purchases_of(request: Request, actor: Identity) -> Reply:
    return _decide_purchases(request, request.query("user_id").get("user_id", ""), actor)


@route("POST /api/admin/users/{user_id}/purchases", "admin")
def decide_purchases(request: Request, actor: Identity) -> Reply:
    return _decide_purchases(request, request.path("user_id"), actor)


@route("POST /api/admin/users/email", "admin")
def correct_email_of(request: Request, actor: Identity) -> Reply:
    return _correct_email(request, request.query("user_id").get("user_id", ""), actor)


@route("POST /api/admin/users/{user_id}/email", "admin")
def correct_email(request: Request, actor: Identity) -> Reply:
    return _correct_email(request, request.path("user_id"), actor)


def _require_user(user_id: str, actor: Identity) -> str:
    """Return the user id of a decision, with a record: the answer shows the person's data, also if nothing changes."""
    recorded_reads.record(actor.user_id, [staff.require_user_id(user_id)])
    return user_id


def _correct_email(request: Request, user_id: str, actor: Identity) -> Reply:
    body = request.json("email")
    email = text_field(body, "email", max_length=email_address.MAX_ADDRESS_LENGTH, required=True) or ""
    _require_user(user_id, actor)
    return Reply(200, {"email": email, **email_address.correct_for(user_id, email, actor.user_id)})


def _decide_purchases(request: Request, user_id: str, actor: Identity) -> Reply:
    body = request.json("decision", "note")
    decision = body.get("decision")
    if decision not in DECISIONS:
        raise Unprocessable(f"decision must be one of {', '.join(DECISIONS)}", field="decision")
    note = text_field(body, "note", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    purchase_blocks.decide(_require_user(user_id, actor), decision, note, actor.user_id)
    return Reply(200, staff.purchases(user_id))


@route("POST /api/admin/users/legal-hold", "admin")
def decide_legal_hold_of(request: Request, actor: Identity) -> Reply:
    return _decide_legal_hold(request, request.query("user_id").get("user_id", ""), actor)


@route("POST /api/admin/users/{user_id}/legal-hold", "admin")
def decide_legal_hold(request: Request, actor: Identity) -> Reply:
    return _decide_legal_hold(request, request.path("user_id"), actor)


def _decide_legal_hold(request: Request, user_id: str, actor: Identity) -> Reply:
    body = request.json("decision", "note")
    decision = body.get("decision")
    if decision not in legal_hold.DECISIONS:
        raise Unprocessable(f"decision must be one of {', '.join(legal_hold.DECISIONS)}", field="decision")
    note = text_field(body, "note", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    legal_hold.decide(_require_user(user_id, actor), decision, note, actor.user_id)
    return Reply(200, staff.legal_hold(user_id))


@route("POST /api/admin/users/erasure", "admin")
def erase_user_of(request: Request, actor: Identity) -> Reply:
    return _erase_user(request, request.query("user_id").get("user_id", ""), actor)


@route("POST /api/admin/users/{user_id}/erasure", "admin")
def erase_user(request: Request, actor: Identity) -> Reply:
    return _erase_user(request, request.path("user_id"), actor)


def _erase_user(request: Request, user_id: str, actor: Identity) -> Reply:
    from tuition.payments import erasure
    from tuition.views import erasures

    note = text_field(request.json("note"), "note", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    scheduled = erasure.request(_require_user(user_id, actor), actor.user_id, note)
    return Reply(202, {"erasure": erasures.for_staff(scheduled)})


NOTE_TOPIC = ("payment_id", "user_id")


def _note_topic(query: Mapping[str, str], actor: Identity) -> NoteTopic:
    """Return the topic of a note, with a record: the answer shows the other notes, also if nothing changes."""
    if len(query) != 1:
        raise Unprocessable("Send either payment_id or user_id.", field="payment_id")
    if "user_id" in query:
        return NoteTopic(_require_user(query["user_id"], actor))
    ref = resolve.find_ref(query["payment_id"])
    recorded_reads.record(actor.user_id, [ref.user_id])
    return NoteTopic(ref.user_id, ref.payment_id)


@route("POST /api/admin/notes", "admin")
def write_note(request: Request, actor: Identity) -> Reply:
    from tuition.payments import notes

    query, body = request.query(*NOTE_TOPIC), request.json("text")
    text = text_field(body, "text", max_length=note_rules.MAX_NOTE_LENGTH, required=True) or ""
    topic = _note_topic(query, actor)
    notes.write(topic, text, actor.user_id)
    return Reply(201, {"notes": notes_view.shown(topic)})


@route("POST /api/admin/notes/delete", "admin")
def delete_note(request: Request, actor: Identity) -> Reply:
    from tuition.payments import notes

    query, body = request.query(*NOTE_TOPIC), request.json("note_id")
    note_id = text_field(body, "note_id", max_length=MAX_ID_LENGTH, required=True) or ""
    topic = _note_topic(query, actor)
    notes.delete(topic, note_id, actor.user_id)
    return Reply(200, {"notes": notes_view.shown(topic)})


@route("POST /api/admin/tags", "admin")
def change_tags(request: Request, actor: Identity) -> Reply:
    from tuition.payments import notes

    query, body = request.query(*NOTE_TOPIC), request.json("add", "remove")
    add, remove = (note_rules.tags(body.get(name, []), name) for name in ("add", "remove"))
    topic = _note_topic(query, actor)
    notes.change_tags(topic, add, remove, actor.user_id)
    return Reply(200, {"notes": notes_view.shown(topic)})


@route("GET /api/admin/disputes", "support")
def list_disputes(request: Request, _actor: Identity) -> Reply:
    query = request.query("state", "limit", "cursor")
    return Reply(200, staff.disputes(query.get("state"), request.limit(query), query.get("cursor")))


@route("GET /api/admin/plans", "support")
def list_plans(request: Request, actor: Identity) -> Reply:
    from tuition.views import plan_list, staff_plans

    query = request.query(*plan_list.LIST_QUERY)
    chosen = plan_list.parse(query)
    page = staff_plans.listed(chosen, request.limit(query), query.get("cursor"))
    if chosen.q:
        recorded_reads.record(actor.user_id, (plan["user_id"] for plan in page["plans"]))
    return Reply(200, page)


@route("GET /api/admin/plans/totals", "support")
def read_plan_totals(request: Request, actor: Identity) -> Reply:
    from tuition.views import plan_list

    query = request.query(*plan_list.TOTALS_QUERY)
    chosen = plan_list.parse(query)
    totals, users = plan_list.totals(chosen, query.get("cursor"))
    if chosen.q:
        recorded_reads.record(actor.user_id, users)
    return Reply(200, totals)


@route("GET /api/admin/plans/forecast", "support")
def read_forecast(request: Request, _actor: Identity) -> Reply:
    from tuition.views import staff_plans

    return Reply(200, staff_plans.forecast(request.query("months", "cursor")))


@route("GET /api/admin/plans/{plan_id}", "support")
def read_plan(request: Request, actor: Identity) -> Reply:
    return _plan_reply(_find_plan(request, actor))


@route("GET /api/admin/plans/{plan_id}/statement", "support")
def read_plan_statement(request: Request, actor: Identity) -> Reply:
    from tuition.views import plans, staff_plans

    return Reply(200, plans.statement_of(staff_plans.load(_find_plan(request, actor))))


@route("POST /api/admin/plans/{plan_id}/decisions", "admin")
def decide_plan(request: Request, actor: Identity) -> Reply:
    from tuition.payments import plan_decisions

    order = plan_decisions.parse(request.json(*plan_decisions.FIELDS))
    plan_id = _find_plan(request, actor)
    plan_decisions.decide(plan_id, order, actor.user_id)
    return _plan_reply(plan_id)


@route("POST /api/admin/plans/{plan_id}/collect", "admin")
def collect_plan(request: Request, actor: Identity) -> Reply:
    from tuition.intake import walk
    from tuition.payments import collection

    plan_id = _find_plan(request, actor)
    collection.charge_now(plan_id, walk.stripe_now(), actor.user_id)
    return _plan_reply(plan_id)


@route("POST /api/admin/plans/{plan_id}/attention", "admin")
def acknowledge_plan(request: Request, actor: Identity) -> Reply:
    from tuition.payments import plan_decisions

    body = request.json("name", "fingerprint", "note")
    name = text_field(body, "name", max_length=300, required=True) or ""
    fingerprint = text_field(body, "fingerprint", max_length=300)
    note = text_field(body, "note", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    plan_id = _find_plan(request, actor)
    plan_decisions.acknowledge(plan_id, name, fingerprint, note, actor.user_id)
    return _plan_reply(plan_id)


def _find_plan(request: Request, actor: Identity) -> str:
    """Return the id of the plan in the path, with a record of the read. Raises `NotFound`."""
    from tuition.views import staff_plans

    plan = staff_plans.load(request.path("plan_id"))
    recorded_reads.record(actor.user_id, [plan.user_id])
    return plan.plan_id


def _plan_reply(plan_id: str) -> Reply:
    from tuition.views import staff_plans

    return Reply(200, staff_plans.details(plan_id))


@route("GET /api/admin/books", "support")
def read_books(_request: Request, _actor: Identity) -> Reply:
    return Reply(200, staff.books())


@route("GET /api/admin/analytics", "support")
def read_analytics(request: Request, _actor: Identity) -> Reply:
    from tuition.views import analytics

    return Reply(200, analytics.analytics(request.query(*analytics.QUERY)))


@route("GET /api/admin/analytics/details", "support")
def read_analytics_details(request: Request, _actor: Identity) -> Reply:
    from tuition.views import analytics

    return Reply(200, analytics.details(request.query(*analytics.DETAILS_QUERY)))


@route("GET /api/admin/activity", "support")
def read_activity(request: Request, actor: Identity) -> Reply:
    from tuition.views import activity

    query = request.query("staff", "day", "limit", "cursor")
    member = query.get("staff", actor.user_id)
    if member != actor.user_id:
        request.staff(decides=True)
    return Reply(200, activity.of_day(member, query.get("day"), request.limit(query), query.get("cursor")))


@route("GET /api/admin/activity/staff", "admin")
def list_active_staff(_request: Request, _actor: Identity) -> Reply:
    from tuition.views import activity

    return Reply(200, activity.staff())


@route("GET /api/admin/selling", "support")
def read_selling(_request: Request, _actor: Identity) -> Reply:
    return Reply(200, switches_view.to_json("selling"))


@route("POST /api/admin/selling", "admin")
def decide_selling(request: Request, actor: Identity) -> Reply:
    body = request.json("selling", "note", "message", "expected_version")
    on = flag_field(body, "selling", required=True)
    note = text_field(body, "note", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    message = text_field(body, "message", max_length=refunds.MAX_TEXT_LENGTH)
    if on and message:
        raise Unprocessable("message is what students read while nothing is sold", field="message")
    version = version_field(body, "expected_version")
    switches.decide("selling", on=on, note=note, message=message, staff=actor.user_id, expected_version=version)
    return Reply(200, switches_view.to_json("selling"))


@route("GET /api/admin/collecting", "support")
def read_collecting(_request: Request, _actor: Identity) -> Reply:
    return Reply(200, switches_view.to_json("collecting"))


@route("POST /api/admin/collecting", "admin")
def decide_collecting(request: Request, actor: Identity) -> Reply:
    body = request.json("collecting", "note", "expected_version")
    on = flag_field(body, "collecting", required=True)
    note = text_field(body, "note", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    version = version_field(body, "expected_version")
    switches.decide("collecting", on=on, note=note, staff=actor.user_id, expected_version=version)
    return Reply(200, switches_view.to_json("collecting"))


@route("GET /api/admin/refund-requests", "support")
def list_refund_requests(request: Request, _actor: Identity) -> Reply:
    query = request.query("state", "limit", "cursor")
    return Reply(200, staff.refund_requests(query.get("state"), request.limit(query), query.get("cursor")))


@route("GET /api/admin/quarantine", "support")
def list_quarantine(request: Request, _actor: Identity) -> Reply:
    query = request.query("limit", "cursor")
    return Reply(200, staff.quarantined_events(request.limit(query), query.get("cursor")))


@route("GET /api/admin/quarantine/{event_id}", "support")
def read_quarantined_event(request: Request, _actor: Identity) -> Reply:
    return Reply(200, staff.quarantined_event(request.path("event_id")))


@route("POST /api/admin/quarantine/{event_id}/replay", "admin")
def replay_event(request: Request, actor: Identity) -> Reply:
    event_id = request.path("event_id")
    return Reply(200, {"event_id": event_id, "outcome": stripe_events.replay(event_id, actor.user_id)})


@route("POST /api/admin/quarantine/{event_id}/discard", "admin")
def discard_event(request: Request, actor: Identity) -> Reply:
    body = request.json("note")
    note = text_field(body, "note", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    event_id = request.path("event_id")
    stripe_events.discard(event_id, note, actor.user_id)
    return Reply(200, staff.quarantined_event(event_id))


@route("POST /api/admin/exports", "admin")
def order_export(request: Request, actor: Identity) -> Reply:
    from tuition.views import exports

    body = request.json("kind", "filters", "month")
    export_filters = body.get("filters", {})
    if not isinstance(export_filters, dict):
        raise Unprocessable('filters must be an object such as {"status": "SUCCEEDED"}', field="filters")
    kind = body.get("kind", "payments")
    return Reply(202, exports.order(export_filters, actor.user_id, kind, body.get("month")))


@route("GET /api/admin/exports/{export_id}", "admin")
def read_export(request: Request, actor: Identity) -> Reply:
    from tuition.views import exports

    return Reply(200, exports.progress(request.path("export_id"), actor.user_id))


@endpoint
def handler(request: Request) -> Reply:
    handle = ROUTES.get(request.route)
    if handle is None:
        raise NotFound("There is no such route.")
    return handle(request)
