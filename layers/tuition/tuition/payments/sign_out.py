"""Sign a user out on every device."""

from tuition import clock, user_pool
from tuition.core import timestamps
from tuition.settings import settings
from tuition.storage import ledger, limits


def everywhere(user_id: str) -> str:
    """Revoke every refresh token of a user, and return until when older tokens are valid (RFC 3339 UTC).

    The gateway checks a token without asking the user pool, so one that a device has stays valid until it expires. The
    request counts as one to Stripe, so it cannot flood the user pool. A full bucket has room again a second later.

    Raises `Conflicted` with another issuer, `TooManyRequests` and `Unavailable`.
    """
    limits.take_request(user_id, ledger.load_customer(user_id)[1])
    user_pool.sign_out_everywhere(user_id)
    return timestamps.iso(clock.now() + settings().token_minutes * 60)
