"""Issue ID tokens for users of the emulated Cognito pool.

On AWS a student signs in on the hosted page, and Cognito generates their ``sub``. Here the caller of
``POST /_local/token`` chooses the ``sub``, and the same ``sub`` is always the same user.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

PASSWORD = "Only-on-this-machine-1"  # noqa: S105  # of every emulated user
TOKEN_HOURS = 24
USER_ID = re.compile(r"(?!pay_)[!-~]{1,128}")
"""The user ids that the API accepts."""
GROUP = re.compile(r"[^\s\x00-\x1f\ud800-\udfff]{1,128}")
"""Cognito's rule for group names: the claim separates groups by spaces, so a name has none."""


@dataclass(frozen=True)
class Person:
    """The person to sign in."""

    sub: str
    email: str
    groups: Sequence[str] = ()
    email_verified: bool = True

    @classmethod
    def parse(cls, body: Any) -> Person:
        """Parse the body of ``POST /_local/token``. Raises ValueError with the reason if it is invalid."""
        if not isinstance(body, Mapping):
            raise ValueError("the body must be a JSON object with sub, email, groups, email_verified")
        if unknown := set(body) - {"sub", "email", "groups", "email_verified"}:
            raise ValueError(f"unknown fields: {', '.join(sorted(map(str, unknown)))}")
        sub = body.get("sub")
        if not isinstance(sub, str) or not USER_ID.fullmatch(sub):
            raise ValueError("sub must be 1 to 128 printable ASCII characters without spaces, and not start with pay_")
        email = body.get("email", f"{sub}@example.com")
        if not isinstance(email, str) or not 0 < len(email) <= 256 or not email.isprintable():
            raise ValueError("email must be a string of 1 to 256 printable characters")
        groups = body.get("groups", [])
        if not isinstance(groups, list) or not all(isinstance(g, str) and GROUP.fullmatch(g) for g in groups):
            raise ValueError("groups must be a list of names without spaces")
        verified = body.get("email_verified", True)
        if not isinstance(verified, bool):
            raise ValueError("email_verified must be true or false")
        return cls(sub, email, tuple(groups), verified)


class SignIn:
    """Signs people in at the emulated pool. Several threads may use it at once."""

    def __init__(self, cognito: Any, pool_id: str, client_id: str) -> None:
        self._cognito = cognito
        self._pool_id = pool_id
        self._client_id = client_id
        self._lock = threading.Lock()

    def allow_passwords(self) -> None:
        """Let the pool's client sign in with passwords, and extend tokens to a day. On AWS neither is allowed."""
        self._cognito.update_user_pool_client(
            UserPoolId=self._pool_id,
            ClientId=self._client_id,
            ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            IdTokenValidity=TOKEN_HOURS,
            AccessTokenValidity=TOKEN_HOURS,
            TokenValidityUnits={"IdToken": "hours", "AccessToken": "hours"},
        )

    def token(self, person: Person) -> str:
        """Create or update the person's user, and return an ID token for it."""
        with self._lock:
            username = self._user(person)
            self._set_groups(username, person.groups)
            response = self._cognito.admin_initiate_auth(
                UserPoolId=self._pool_id,
                ClientId=self._client_id,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": PASSWORD},
            )
        token: str = response["AuthenticationResult"]["IdToken"]
        return token

    def _user(self, person: Person) -> str:
        """Create the user with this ``sub`` if missing, update their email, and return their username."""
        pool = {"UserPoolId": self._pool_id}
        try:
            username = self._cognito.admin_get_user(**pool, Username=person.sub)["Username"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "UserNotFoundException":
                raise
            response = self._cognito.admin_create_user(
                **pool, Username=f"{uuid.uuid4()}@example.invalid", MessageAction="SUPPRESS"
            )
            username = response["User"]["Username"]
            self._cognito.admin_set_user_password(**pool, Username=username, Password=PASSWORD, Permanent=True)
        # Cognito refuses to change a sub. MiniStack allows it, which lets the caller choose one.
        attributes = {
            "sub": person.sub,
            "email": person.email,
            "email_verified": str(person.email_verified).lower(),
        }
        self._cognito.admin_update_user_attributes(
            **pool,
            Username=username,
            UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
        )
        return str(username)

    def _set_groups(self, username: str, names: Sequence[str]) -> None:
        """Make the user a member of exactly these groups, creating missing groups."""
        user = {"UserPoolId": self._pool_id, "Username": username}
        groups = self._cognito.admin_list_groups_for_user(**user)["Groups"]
        current = {group["GroupName"] for group in groups}
        for name in current - set(names):
            self._cognito.admin_remove_user_from_group(**user, GroupName=name)
        for name in set(names) - current:
            try:
                self._cognito.create_group(UserPoolId=self._pool_id, GroupName=name)
            except ClientError as error:
                if error.response["Error"]["Code"] != "GroupExistsException":
                    raise
            self._cognito.admin_add_user_to_group(**user, GroupName=name)
