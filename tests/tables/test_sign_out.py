"""Signing out on every device. The user pool is not ours, so a fake stands for it."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

import me
from tests.harness import Harness, Response, Student
from tuition import settings, user_pool

ROUTE = "POST /api/me/sign-out-everywhere"


class UserNotFound(Exception):
    """As botocore raises it."""


class Pool:
    """Cognito's user pool: it keeps whom it was asked to sign out, or fails."""

    def __init__(self) -> None:
        self.exceptions = SimpleNamespace(UserNotFoundException=UserNotFound)
        self.signed_out: list[tuple[str, str]] = []
        self.failure: Exception | None = None

    def admin_user_global_sign_out(self, **params: Any) -> None:
        if self.failure:
            raise self.failure
        self.signed_out.append((params["UserPoolId"], params["Username"]))


@pytest.fixture
def pool(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Pool:
    pool = Pool()
    monkeypatch.setenv("USER_POOL_ID", "pool-1")
    settings.settings.cache_clear()
    monkeypatch.setattr(user_pool, "_client", lambda: pool)
    return pool


def sign_out(tuition: Harness, student: Student) -> Response:
    return tuition.call(me.handler, student, route=ROUTE)


def test_a_sign_out_names_the_caller_and_says_how_long_older_tokens_live(
    tuition: Harness, student: Student, pool: Pool
) -> None:
    tuition.freeze_time(1_800_000_000)
    for _ in range(2):
        answer = sign_out(tuition, student)
        assert answer.body == {"signed_out": True, "tokens_valid_until": "2027-01-15T09:00:00.000Z"}
    assert pool.signed_out == [("pool-1", student.sub)] * 2


def test_a_user_whom_the_pool_does_not_have_is_signed_out(tuition: Harness, student: Student, pool: Pool) -> None:
    pool.failure = UserNotFound()
    assert sign_out(tuition, student).status == 200


def test_a_failure_of_the_pool_is_not_called_a_success(tuition: Harness, student: Student, pool: Pool) -> None:
    pool.failure = ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "slow"}}, "SignOut")
    assert sign_out(tuition, student).status == 503


def test_with_another_issuer_the_answer_says_where_to_sign_out(
    tuition: Harness, student: Student, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER_POOL_ID", "")
    settings.settings.cache_clear()
    answer = sign_out(tuition, student)
    assert (answer.status, answer.body["type"].rpartition("/")[2]) == (409, "conflict")
    assert pool.signed_out == []


def test_sign_outs_count_in_the_limits_of_the_user(tuition: Harness, student: Student, pool: Pool) -> None:
    tuition.freeze_time()
    assert [sign_out(tuition, student).status for _ in range(61)] == [200] * 60 + [429]
