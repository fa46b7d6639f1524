"""The sign-in of a user of the template's pool: ended everywhere, or for an erasure. Another issuer is not ours.

Sources:
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminUserGlobalSignOut.html,
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminDisableUser.html,
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminDeleteUser.html
"""

import functools
from typing import Any

from tuition import aws_client
from tuition.core.errors import Conflicted
from tuition.settings import settings

READ_TIMEOUT_S = 5


def end_sign_in(user_id: str) -> None:
    """Disable a user and revoke the refresh tokens. ID tokens stay valid until they expire. Repeating is harmless."""
    _call("admin_disable_user", user_id)
    _call("admin_user_global_sign_out", user_id)


def sign_out_everywhere(user_id: str) -> None:
    """Revoke a user's refresh tokens. ID tokens stay valid until they expire. Repeating is harmless.

    Cognito keeps the session cookie of its hosted page, with which a browser can sign in again for an hour.

    Raises `Conflicted` with another issuer.
    """
    if not settings().user_pool_id:
        raise Conflicted("Your school uses a sign-in service of its own. Sign out there.")
    _call("admin_user_global_sign_out", user_id)


def delete_user(user_id: str) -> None:
    """Delete a user, with the address and everything else that the pool has. Repeating is harmless."""
    _call("admin_delete_user", user_id)


def _call(operation: str, user_id: str) -> None:
    pool = settings().user_pool_id
    if not pool:
        return
    client = _client()
    with aws_client.failures_as_unavailable("the user pool failed", operation=operation):
        try:
            getattr(client, operation)(UserPoolId=pool, Username=user_id)
        except client.exceptions.UserNotFoundException:
            return


@functools.cache
def _client() -> Any:
    return aws_client.create("cognito-idp", read_timeout_s=READ_TIMEOUT_S)
