"""The second factor of a user of the template's pool. Cognito asks every user who has set one up for it.

Source: https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-mfa.html
"""

import functools
from typing import Any

from tuition import aws_client

TIMEOUT_S = 1
TRIES = 3
"""Cognito waits five seconds for the function that asks."""


def is_set_up(pool_id: str, username: str) -> bool:
    """Whether the user has set up a second factor. Raises botocore's errors, so that no token is issued."""
    user = _client().admin_get_user(UserPoolId=pool_id, Username=username)
    return bool(user.get("UserMFASettingList"))


@functools.cache
def _client() -> Any:
    return aws_client.create("cognito-idp", connect_timeout_s=TIMEOUT_S, read_timeout_s=TIMEOUT_S, attempts=TRIES)
