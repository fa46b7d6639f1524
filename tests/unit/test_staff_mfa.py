"""A token of the template's pool names a group of staff only if the user has a second factor."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

import staff_groups
from tuition import settings, staff_mfa


class Pool:
    """The pool's answer about one user."""

    def __init__(self, factors: list[str] | None = None, *, fails: bool = False) -> None:
        self.answer = {"Username": "ada"} | ({} if factors is None else {"UserMFASettingList": factors})
        self.fails = fails
        self.calls = 0

    def admin_get_user(self, **params: str) -> dict[str, Any]:
        assert params == {"UserPoolId": "pool", "Username": "ada"}
        self.calls += 1
        if self.fails:
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "AdminGetUser")
        return self.answer


def groups_in_token(monkeypatch: pytest.MonkeyPatch, pool: Pool, *groups: str) -> list[str]:
    """Return the groups of the token that Cognito issues after the function has answered."""
    settings.settings.cache_clear()
    monkeypatch.setattr(staff_mfa, "_client", lambda: pool)
    configuration = {"groupsToOverride": list(groups), "iamRolesToOverride": [], "preferredRole": None}
    event = {
        "userPoolId": "pool",
        "userName": "ada",
        "triggerSource": "TokenGeneration_RefreshTokens",
        "request": {"userAttributes": {"sub": "ada"}, "groupConfiguration": configuration},
        "response": {"claimsOverrideDetails": None},
    }
    result = staff_groups.handler(event, None)
    assert result["request"] == event["request"]
    overrides = result["response"]["claimsOverrideDetails"]
    return list(groups) if overrides is None else list(overrides["groupOverrideDetails"]["groupsToOverride"])


@pytest.mark.parametrize("group", ["admin", "support"])
@pytest.mark.parametrize("factors", [None, []])
def test_staff_without_a_second_factor_get_a_token_without_their_groups(
    monkeypatch: pytest.MonkeyPatch, group: str, factors: list[str] | None
) -> None:
    assert groups_in_token(monkeypatch, Pool(factors), "teachers", group) == ["teachers"]
    assert groups_in_token(monkeypatch, Pool(factors), "admin", "support") == []


def test_staff_with_a_second_factor_keep_their_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(["SOFTWARE_TOKEN_MFA"])
    assert groups_in_token(monkeypatch, pool, "teachers", "admin") == ["teachers", "admin"]


def test_nothing_is_asked_about_students(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(fails=True)
    assert groups_in_token(monkeypatch, pool) == []
    assert groups_in_token(monkeypatch, pool, "administrators") == ["administrators"]
    assert pool.calls == 0


def test_staff_get_no_token_while_the_pool_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClientError):
        groups_in_token(monkeypatch, Pool(fails=True), "support")


def test_the_renamed_groups_of_staff_need_a_second_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_GROUP", "heads")
    assert groups_in_token(monkeypatch, Pool(), "heads", "admin") == ["admin"]
    monkeypatch.undo()
    settings.settings.cache_clear()
