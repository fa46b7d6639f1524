"""ID tokens of users of the emulated Cognito pool, for whoever asks on this machine.

On AWS a student signs in on the hosted page and gets a ``sub`` that Cognito makes up. Here the caller of
``POST /_local/token`` says who it wants to be, and the same ``sub`` is always the same user.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

PASSWORD = "Only-on-this-machine-1"  # noqa: S105  # every emulated user's; the pool is gone with the process
TOKEN_HOURS = 24
USER_ID = re.compile(r"(?!pay_)[!-~]{1,128}")
"""What the API takes for one."""
GROUP = re.compile(r"[^\s\x00-\x1f\ud800-\udfff]{1,128}")
"""As Cognito has it: a space in a name would make two of one in the claim."""


@dataclass(frozen=True)
class Person:
    """Who to sign in."""

    sub: str
    email: str
    groups: Sequence[str] = ()
    email_verified: bool = True

    @classmethod
    def parse(cls, body: Any) -> Person:
        """From the body of ``POST /_local/token``; raises ValueError that says what is wrong."""
        if not isinstance(body, Mapping):
            raise ValueError("the body is a JSON object with sub, email, groups, email_verified")
        if unknown := set(body) - {"sub", "email", "groups", "email_verified"}:
            raise ValueError(f"unknown: {', '.join(sorted(map(str, unknown)))}")
        sub = body.get("sub")
        if not isinstance(sub, str) or not USER_ID.fullmatch(sub):
            raise ValueError("sub is 1 to 128 printable ASCII characters without spaces, not beginning with pay_")
        email = body.get("email", f"{sub}@example.com")
        if not isinstance(email, str) or not 0 < len(email) <= 256 or not email.isprintable():
            raise ValueError("email is a text of 1 to 256 printable characters")
        groups = body.get("groups", [])
        if not isinstance(groups, list) or not all(isinstance(g, str) and GROUP.fullmatch(g) for g in groups):
            raise ValueError("groups is a list of names without spaces")
        verified = body.get("email_verified", True)
        if not isinstance(verified, bool):
            raise ValueError("email_verified is true or false")
        return cls(sub, email, tuple(groups), verified)


class SignIn:
    """Signs people in at the emulated pool. Safe to call from several threads."""

    def __init__(self, cognito: Any, pool_id: str, client_id: str) -> None:
        self._cognito = cognito
        self._pool_id = pool_id
        self._client_id = client_id
        self._lock = threading.Lock()

    def allow_passwords(self) -> None:
        """Let the pool's client take passwords from us, and tokens live a day; on AWS neither is so."""
        self._cognito.update_user_pool_client(
            UserPoolId=self._pool_id,
            ClientId=self._client_id,
            ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            IdTokenValidity=TOKEN_HOURS,
            AccessTokenValidity=TOKEN_HOURS,
            TokenValidityUnits={"IdToken": "hours", "AccessToken": "hours"},
        )

    def token(self, person: Person) -> str:
        """An ID token of this person, whose user is made or changed to be as described."""
        with self._lock:
            username = self._user(person)
            self._join(username, person.groups)
            signed_in = self._cognito.admin_initiate_auth(
                UserPoolId=self._pool_id,
                ClientId=self._client_id,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": PASSWORD},
            )
        token: str = signed_in["AuthenticationResult"]["IdToken"]
        return token

    def _user(self, person: Person) -> str:
        """The name that the pool gave to the user with this ``sub``, with their e-mail brought up to date."""
        pool = {"UserPoolId": self._pool_id}
        try:
            username = self._cognito.admin_get_user(**pool, Username=person.sub)["Username"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "UserNotFoundException":
                raise
            made = self._cognito.admin_create_user(
                **pool, Username=f"{uuid.uuid4()}@example.invalid", MessageAction="SUPPRESS"
            )
            username = made["User"]["Username"]
            self._cognito.admin_set_user_password(**pool, Username=username, Password=PASSWORD, Permanent=True)
        # Cognito would refuse to change a sub; MiniStack lets us, and without that nobody could be somebody.
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

    def _join(self, username: str, wanted: Sequence[str]) -> None:
        """Put the user into exactly these groups; one that the template does not make is made here."""
        user = {"UserPoolId": self._pool_id, "Username": username}
        listed = self._cognito.admin_list_groups_for_user(**user)["Groups"]
        joined = {group["GroupName"] for group in listed}
        for name in joined - set(wanted):
            self._cognito.admin_remove_user_from_group(**user, GroupName=name)
        for name in set(wanted) - joined:
            try:
                self._cognito.create_group(UserPoolId=self._pool_id, GroupName=name)
            except ClientError as error:
                if error.response["Error"]["Code"] != "GroupExistsException":
                    raise
            self._cognito.admin_add_user_to_group(**user, GroupName=name)
