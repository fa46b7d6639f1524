"""Request a refund of a payment or a whole plan, withdraw such a request or from the contract, or end a membership."""

from typing import Any

from tuition.api import Identity, Reply, Request, endpoint, flag_field, text_field
from tuition.core.errors import Unprocessable
from tuition.core.payment import Payment
from tuition.core.refund_request import RefundRequest
from tuition.payments import plan_endings, refunds
from tuition.payments.plan_endings import Ending
from tuition.settings import settings
from tuition.stripe_gateway import resolve
from tuition.views import payment_json, plan_json


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    if "/plans/" in request.route:
        return _end_plan(request, identity)
    if request.path("request_id"):
        ref = resolve.find_ref(request.path("payment_id"), identity.user_id)
        return Reply(200, payment_json.student_json(refunds.withdraw_request(ref, request.path("request_id"))))
    params = request.json("payment_intent_id", "payment_id", "reason", *_withdrawal_fields())
    values = [text_field(params, name, max_length=255) for name in ("payment_intent_id", "payment_id")]
    references = [value for value in values if value]
    if len(references) != 1:
        raise Unprocessable("Send either payment_id or payment_intent_id.", field="payment_id")
    payment = resolve.find_payment(references[0], identity.user_id)
    if flag_field(params, "withdrawal"):
        return _withdraw(payment, identity, params)
    _refuse_name(params)
    reason = text_field(params, "reason", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    return _requested(payment, reason)


def _withdrawal_fields() -> tuple[str, ...]:
    return ("withdrawal", "name") if settings().is_eu else ()


def _refuse_name(params: dict[str, Any]) -> None:
    if "name" in params:
        raise Unprocessable("name belongs to a withdrawal. Send withdrawal with it.", field="name")


def _requested(payment: Payment, reason: str) -> Reply:
    """Request a refund: of a payment, or of the whole plan that it belongs to."""
    if payment.plan is None:
        return _request_reply(*refunds.request(payment.ref, reason))
    ending = plan_endings.request_refund(payment.plan, payment.user_id, reason, payment.payment_id)
    if ending.payment and ending.request:
        return _request_reply(ending.payment, ending.request)
    refunded = resolve.find_payment(payment.payment_id)
    newest = refunded.requests[-1] if refunded.requests else None
    body = {
        **payment_json.student_json(refunded),
        "refund_request": payment_json.request_json(newest, refunded) if newest else None,
    }
    return Reply(refunds.http_status(newest) if newest else 202, body)


def _request_reply(payment: Payment, refund_request: RefundRequest) -> Reply:
    body = {**payment_json.student_json(payment), "refund_request": payment_json.request_json(refund_request, payment)}
    return Reply(refunds.http_status(refund_request), body)


def _withdraw(payment: Payment, identity: Identity, params: dict[str, Any]) -> Reply:
    name, reason = _withdrawal(params)
    if payment.plan:
        plan_endings.withdraw(payment.plan, identity.user_id, name, identity.email, reason)
        withdrawn = resolve.find_payment(payment.payment_id)
    else:
        withdrawn = refunds.withdraw(payment.ref, name, identity.email, reason)
    return Reply(refunds.withdrawal_http_status(withdrawn), payment_json.student_json(withdrawn))


def _withdrawal(params: dict[str, Any]) -> tuple[str, str | None]:
    """Return the name and the reason in a withdrawal."""
    name = text_field(params, "name", max_length=refunds.MAX_NAME_LENGTH, required=True) or ""
    return " ".join(name.split()), text_field(params, "reason", max_length=refunds.MAX_TEXT_LENGTH)


def _end_plan(request: Request, identity: Identity) -> Reply:
    plan_id = request.path("plan_id")
    if request.route.endswith("/resume"):
        return Reply(200, plan_json.student_json(plan_endings.resume(plan_id, identity.user_id).existing_plan))
    params = request.json_if_any("reason", *_withdrawal_fields())
    if flag_field(params, "withdrawal"):
        name, reason = _withdrawal(params)
        return _ending_reply(plan_endings.withdraw(plan_id, identity.user_id, name, identity.email, reason))
    _refuse_name(params)
    reason = text_field(params, "reason", max_length=refunds.MAX_TEXT_LENGTH)
    return _ending_reply(plan_endings.cancel(plan_id, identity.user_id, reason))


def _ending_reply(ending: Ending) -> Reply:
    body = plan_json.student_json(ending.state.existing_plan)
    if ending.request is None or ending.payment is None:
        return Reply(200, {**body, "refund_request": None})
    return Reply(202, {**body, "refund_request": payment_json.request_json(ending.request, ending.payment)})
