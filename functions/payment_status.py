"""GET /api/payments/status/{payment_intent_id}/: one's own payment; an open one is asked for at Stripe."""

from tuition.api import Reply, Request, endpoint
from tuition.payments import status
from tuition.views import payment_json


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    payment = status.synced_payment(request.path("payment_intent_id"), identity.user_id)
    return Reply(200, payment_json.student_json(payment))
