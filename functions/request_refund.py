"""Request a full refund of one of the user's payments, withdraw that request, or withdraw from the contract (EU)."""

from typing import Any

from tuition.api import Identity, Reply, Request, endpoint, flag_field, text_field
from tuition.core.errors import Unprocessable
from tuition.core.refs import PaymentRef
from tuition.payments import refunds
from tuition.settings import settings
from tuition.stripe_gateway import resolve
from tuition.views import payment_json


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    if request.path("request_id"):
        ref = resolve.find_ref(request.path("payment_id"), identity.user_id)
        return Reply(200, payment_json.student_json(refunds.withdraw_request(ref, request.path("request_id"))))
    withdrawal_fields = ("withdrawal", "name") if settings().is_eu else ()
    params = request.json("payment_intent_id", "payment_id", "reason", *withdrawal_fields)
    values = [text_field(params, name, max_length=255) for name in ("payment_intent_id", "payment_id")]
    references = [value for value in values if value]
    if len(references) != 1:
        raise Unprocessable("Send either payment_id or payment_intent_id.", field="payment_id")
    if flag_field(params, "withdrawal"):
        return _withdraw(resolve.find_ref(references[0], identity.user_id), identity, params)
    if "name" in params:
        raise Unprocessable("name belongs to a withdrawal. Send withdrawal with it.", field="name")
    reason = text_field(params, "reason", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    payment, refund_request = refunds.request(resolve.find_ref(references[0], identity.user_id), reason)
    body = {**payment_json.student_json(payment), "refund_request": payment_json.request_json(refund_request, payment)}
    return Reply(refunds.http_status(refund_request), body)


def _withdraw(ref: PaymentRef, identity: Identity, params: dict[str, Any]) -> Reply:
    name = text_field(params, "name", max_length=refunds.MAX_NAME_LENGTH, required=True) or ""
    reason = text_field(params, "reason", max_length=refunds.MAX_TEXT_LENGTH)
    payment = refunds.withdraw(ref, " ".join(name.split()), identity.email, reason)
    return Reply(refunds.withdrawal_http_status(payment), payment_json.student_json(payment))
