"""GET /api/enrollments: the user's enrollments with their progress. One page has them all: one per track."""

from tuition.api import Reply, Request, endpoint
from tuition.views import student


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    request.limit(request.query("limit"))
    return Reply(200, {**student.enrollments(identity.user_id), "next_cursor": None})
