"""Which users are staff, by the groups that their token names."""

from collections.abc import Iterator

import pytest

from tuition import settings
from tuition.api import Identity, Request


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
