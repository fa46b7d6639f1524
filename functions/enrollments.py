"""GET /api/enrollments/: one's own enrollments with their progress. There is one a track: a page has them all."""

from tuition.api import Reply, Request, endpoint
from tuition.views import student


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    request.limit(request.query("limit"))
    return Reply(200, {"enrollments": student.enrollments(identity.user_id), "next_cursor": None})
