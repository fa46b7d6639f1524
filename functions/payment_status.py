"""GET /api/payments/status/{payment_intent_id}: one of the user's payments. An open payment is synced first."""

from tuition.api import Reply, Request, endpoint
from tuition.payments import status
from tuition.views import payment_json


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    payment = status.synced_payment(request.path("payment_intent_id"), identity.user_id)
    return Reply(200, payment_json.student_json(payment))
