"""DELETE /api/me: erase the user's data."""

from tuition.api import Reply, Request, endpoint
from tuition.payments import erasure
from tuition.views import erasures


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    return Reply(202, erasures.for_student(erasure.request(identity.user_id, identity.user_id)))
