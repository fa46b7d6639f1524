"""GET /api/payments/status/{payment_intent_id}/: one's own payment; an open one is asked for at Stripe."""

from tuition import history
from tuition.api import Reply, Request, endpoint
from tuition.payments import status


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    payment = status.status(request.path("payment_intent_id"), identity.user_id)
    return Reply(200, history.as_json(payment))
