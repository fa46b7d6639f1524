"""GET /api/payments/my-payments/: one's own payments, newest first."""

from tuition import history
from tuition.api import Reply, Request, endpoint


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    asked = request.query("limit", "cursor")
    return Reply(200, history.payments(identity.user_id, request.limit(asked), asked.get("cursor")))
