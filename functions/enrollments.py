"""GET /api/enrollments: the user's enrollments with their progress. One page has them all: one per track.

GET /api/enrollments/{track}/explain: why the user is enrolled in a track, or not.
"""

from tuition.api import Reply, Request, endpoint
from tuition.views import student

EXPLAIN = "GET /api/enrollments/{track}/explain"


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    if request.route == EXPLAIN:
        return Reply(200, student.explain(identity.user_id, request.path("track")))
    request.limit(request.query("limit"))
    return Reply(200, {**student.enrollments(identity.user_id), "next_cursor": None})
