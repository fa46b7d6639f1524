"""GET /api/enrollments/: one's own enrollments with their progress."""

from tuition import history
from tuition.api import Reply, Request, endpoint


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    return Reply(200, {"enrollments": history.enrollments(identity.user_id), "next_cursor": None})
