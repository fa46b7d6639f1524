"""POST /api/payments/request-refund: request a full refund of one of the user's payments."""

from tuition.api import Reply, Request, endpoint, text_field
from tuition.core.errors import Unprocessable
from tuition.payments import refunds
from tuition.stripe_gateway import resolve
from tuition.views import payment_json


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    params = request.json("payment_intent_id", "payment_id", "reason")
    values = [text_field(params, name, max_length=255) for name in ("payment_intent_id", "payment_id")]
    references = [value for value in values if value]
    if len(references) != 1:
        raise Unprocessable("Send either payment_id or payment_intent_id.", field="payment_id")
    reason = text_field(params, "reason", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    payment, refund_request = refunds.request(resolve.find_ref(references[0], identity.user_id), reason)
    body = {**payment_json.student_json(payment), "refund_request": payment_json.request_json(refund_request, payment)}
    return Reply(refunds.http_status(refund_request), body)
