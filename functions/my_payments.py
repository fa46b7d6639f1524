"""GET /api/payments/my-payments: the user's payments, newest first."""

from tuition.api import Reply, Request, endpoint
from tuition.views import student


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    query = request.query("limit", "cursor")
    return Reply(200, student.payments(identity.user_id, request.limit(query), query.get("cursor")))
