"""The user's account: sign out everywhere, or erase the user's data."""

from tuition.api import Reply, Request, endpoint
from tuition.payments import erasure, sign_out
from tuition.views import erasures


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    if request.route.startswith("POST "):
        return Reply(200, {"signed_out": True, "tokens_valid_until": sign_out.everywhere(identity.user_id)})
    return Reply(202, erasures.for_student(erasure.request(identity.user_id, identity.user_id)))
