"""GET /api/enrollments/: one's own enrollments with their progress. There is one a track: a page has them all."""

from tuition import history
from tuition.api import Reply, Request, endpoint


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    request.limit(request.query("limit"))
    return Reply(200, {"enrollments": history.enrollments(identity.user_id), "next_cursor": None})
