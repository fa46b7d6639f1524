"""Which users are staff, by the groups that their token names, and their second factor."""

from collections.abc import Iterator

import pytest

from tuition import settings
from tuition.api import Identity, Request
from tuition.core.errors import Forbidden, UserIdRefused


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    settings.settings.cache_clear()
    yield
    settings.settings.cache_clear()


def identity(claim: str) -> Identity:
    """Return the caller whose token has this claim, as the gateway writes it."""
    claims = {"sub": "ada", "exp": "9999999999", "cognito:groups": claim}
    return Request({"requestContext": {"authorizer": {"jwt": {"claims": claims}}}}).identity()


def roles(claim: str) -> set[str]:
    caller = identity(claim)
    return {name for name, granted in (("admin", caller.is_staff), ("reads", caller.may_read)) if granted}


BOTH = {"admin", "reads"}


@pytest.mark.parametrize(
    ("claim", "granted"),
    [
        ("[admin]", BOTH),
        ("[staff admin]", BOTH),
        ("[support]", {"reads"}),
        ("[support students]", {"reads"}),
        ("[administrators]", set()),
        ("", set()),
    ],
)
def test_the_claim_of_the_templates_pool_is_split_at_blanks(claim: str, granted: set[str]) -> None:
    assert roles(claim) == granted


@pytest.mark.parametrize(
    ("claim", "granted"),
    [
        ("admin", BOTH),
        ("[admin]", BOTH),
        ("[admin support]", BOTH),
        ("[support admin]", BOTH),
        ("support", {"reads"}),
        ("[support]", {"reads"}),
        ("school admin", set()),
        ("[school admin]", set()),
        ("[admin school]", set()),
        ("[admin students]", set()),
        ("admin support", set()),
        ("admin,support", set()),
        ("[admin  support]", set()),
        ("[admin\tsupport]", set()),
        ("[admin", set()),
        ("admin]", set()),
        ("[[admin]]", set()),
        ("[]", set()),
        ("[ ]", set()),
        ("", set()),
        (" admin", set()),
        ("Admin", set()),
    ],
)
def test_the_claim_of_another_issuer_names_groups_of_staff_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, claim: str, granted: set[str]
) -> None:
    monkeypatch.setenv("JWT_ISSUER", "https://login.example.com")
    assert roles(claim) == granted


@pytest.mark.parametrize("issuer", ["", "https://login.example.com"])
def test_the_names_of_the_groups_are_settings(monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    monkeypatch.setenv("JWT_ISSUER", issuer)
    monkeypatch.setenv("ADMIN_GROUP", "heads")
    monkeypatch.setenv("SUPPORT_GROUP", "desk")
    assert roles("[heads]") == BOTH
    assert roles("[desk]") == {"reads"}
    assert roles("[admin]") == roles("[support]") == set()


# --- the second factor of staff ---


def answer(*, decides: bool = False, group: str = "admin", **claims: str) -> str:
    """Return `allowed`, or why a caller with this group and these claims is refused."""
    all_claims = {"sub": "ada", "exp": "9999999999", "cognito:groups": f"[{group}]", **claims}
    request = Request({"requestContext": {"authorizer": {"jwt": {"claims": all_claims}}}})
    try:
        request.staff(decides=decides)
    except Forbidden as refusal:
        return str(refusal)
    return "allowed"


@pytest.mark.parametrize("group", ["admin", "support"])
@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        ({}, False),
        ({"amr": ""}, False),
        ({"amr": "[]"}, False),
        ({"amr": "[pwd]"}, False),
        ({"amr": "no-mfa"}, False),
        ({"amr": "pwd mfa"}, False),
        ({"amr": "[no-mfa]"}, False),
        ({"amr": "[mfa"}, False),
        ({"acr": "mfa"}, False),
        ({"amr": "mfa"}, True),
        ({"amr": "[mfa]"}, True),
        ({"amr": "[pwd otp mfa]"}, True),
    ],
)
def test_staff_need_the_claim_of_a_second_factor(
    monkeypatch: pytest.MonkeyPatch, claims: dict[str, str], allowed: bool, group: str
) -> None:
    monkeypatch.setenv("STAFF_MFA_CLAIM", "amr")
    monkeypatch.setenv("STAFF_MFA_VALUE", "mfa")
    result = answer(group=group, **claims)
    assert (result == "allowed") == allowed
    assert allowed or "second factor" in result


def test_without_the_name_of_a_claim_no_second_factor_is_checked() -> None:
    assert answer(decides=True) == "allowed"


def test_a_claim_without_a_value_lets_no_staff_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAFF_MFA_CLAIM", "amr")
    assert "second factor" in answer(amr="")


def test_students_need_no_second_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAFF_MFA_CLAIM", "amr")
    monkeypatch.setenv("STAFF_MFA_VALUE", "mfa")
    assert identity("[students]").user_id == "ada"
    assert "Only the school's staff" in answer(group="students")


def test_a_user_id_that_is_an_email_address_is_refused() -> None:
    claims = {"sub": "ada@example.org", "exp": "9999999999"}
    request = Request({"requestContext": {"authorizer": {"jwt": {"claims": claims}}}})
    with pytest.raises(UserIdRefused) as refused:
        request.identity()
    assert (refused.value.status, "ada" in str(refused.value)) == (403, False)
