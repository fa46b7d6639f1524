"""One of the user's payments: read it, cancel it, or list its documents. An open payment is synced first."""

from tuition.api import Reply, Request, endpoint
from tuition.payments import cancellation, status
from tuition.views import payment_json


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    reference = request.path("payment_id") or request.path("payment_intent_id")
    if request.route.endswith("/documents"):
        from tuition.views import documents

        return Reply(200, {"documents": documents.of_student(reference, identity.user_id)})
    if request.route.startswith("POST "):
        payment = cancellation.cancel(reference, identity.user_id)
    else:
        payment = status.synced_payment(reference, identity.user_id)
    return Reply(200, payment_json.student_json(payment))
