"""/api/payments/payment-methods/…: the payment methods that one has saved, and forgetting one."""

from tuition.api import Reply, Request, endpoint
from tuition.payments import customers


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    if request.route.startswith("DELETE "):
        method_id = request.path("payment_method_id")
        customers.detach(identity.user_id, method_id)
        return Reply(200, {"id": method_id, "detached": True})
    asked = request.query("limit", "cursor")
    return Reply(200, customers.payment_methods(identity.user_id, request.limit(asked), asked.get("cursor")))
