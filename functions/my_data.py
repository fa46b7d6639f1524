"""GET /api/me/export: everything that is stored about the user, in parts."""

from tuition.api import Reply, Request, endpoint
from tuition.views import personal_data


@endpoint
def handler(request: Request) -> Reply:
    user_id = request.identity().user_id
    cursor = request.query("cursor").get("cursor")
    personal_data.take_request(user_id)
    return Reply(*personal_data.answer(personal_data.part(user_id, cursor)))
