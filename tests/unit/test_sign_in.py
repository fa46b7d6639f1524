"""Who may be signed in on this machine: whom the API takes for somebody."""

from typing import Any

import pytest

from local.sign_in import Person


def test_a_sub_is_enough() -> None:
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
def test_what_the_api_would_take_for_nobody_is_refused_with_a_reason(body: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Person.parse(body)
