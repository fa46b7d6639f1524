"""The people whom the local stack can sign in: exactly those whom the API accepts."""

from typing import Any

import pytest

from local.sign_in import Person


def test_a_person_needs_only_a_sub() -> None:
    assert Person.parse({"sub": "ada"}) == Person("ada", "ada@example.com", (), True)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"sub": 1},
        {"sub": ""},
        {"sub": "a b"},
        {"sub": "ada\n"},
        {"sub": "é"},
        {"sub": "\ud800"},
        {"sub": "pay_x"},
        {"sub": "x" * 129},
        {"sub": "ada", "email": "\ud800"},
        {"sub": "ada", "email": 5},
        {"sub": "ada", "groups": "admin"},
        {"sub": "ada", "groups": ["not admin"]},
        {"sub": "ada", "groups": [""]},
        {"sub": "ada", "groups": ["\ud800"]},
        {"sub": "ada", "email_verified": "true"},
        {"sub": "ada", "name": "Ada"},
    ],
)
def test_a_person_that_the_api_would_reject_is_rejected_with_a_reason(body: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Person.parse(body)
