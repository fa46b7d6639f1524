"""/api/payments/payment-methods/…: list or detach the user's saved payment methods."""

from tuition.api import Reply, Request, endpoint
from tuition.payments import customers


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    if request.route.startswith("DELETE "):
        method_id = request.path("payment_method_id")
        customers.detach(identity.user_id, method_id)
        return Reply(200, {"id": method_id, "detached": True})
    query = request.query("limit", "cursor")
    return Reply(200, customers.payment_methods(identity.user_id, request.limit(query), query.get("cursor")))
