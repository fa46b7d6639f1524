"""POST /api/me/email: correct the user's stored email address to the verified one of their token."""

from tuition.api import Reply, Request, endpoint
from tuition.core.errors import Forbidden
from tuition.payments import email_address


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    if identity.email is None:
        raise Forbidden("Verify your new email address, then sign in again.")
    return Reply(200, {"email": identity.email, **email_address.correct_own(identity.user_id, identity.email)})
