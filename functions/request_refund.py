"""POST /api/payments/request-refund/: a student asks for their money back."""

from tuition.api import Reply, Request, endpoint, text_field
from tuition.core.errors import Unprocessable
from tuition.payments import refunds
from tuition.stripe_gateway import resolve
from tuition.views import payment_json


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    body = request.json("payment_intent_id", "payment_id", "reason")
    references = [text_field(body, name, max_length=255) for name in ("payment_intent_id", "payment_id")]
    named = [reference for reference in references if reference]
    if len(named) != 1:
        raise Unprocessable("send payment_id or payment_intent_id, one of them", field="payment_id")
    reason = text_field(body, "reason", max_length=refunds.MAX_TEXT_LENGTH, required=True) or ""
    payment, asked = refunds.request(resolve.find_ref(named[0], identity.user_id), reason)
    return Reply(
        refunds.http_status(asked),
        {**payment_json.student_json(payment), "refund_request": payment_json.request_json(asked)},
    )
