"""The tree of what can go wrong."""

import re
from collections.abc import Iterator

import pytest

from tuition import api
from tuition.core import errors
from tuition.core.errors import TuitionError


def family(root: type[TuitionError] = TuitionError) -> Iterator[type[TuitionError]]:
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from family(child)


ANSWERED = [e for e in family() if e.type != TuitionError.type]


def test_the_tree_in_the_docstring_names_every_error() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert drawn == {error.__name__ for error in family()}


def test_every_answer_has_a_type_of_its_own_and_a_title() -> None:
    types = [error.type for error in ANSWERED]
    assert len(set(types)) == len(types)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", kind) for kind in types)
    assert all(error.title != TuitionError.title for error in ANSWERED)


@pytest.mark.parametrize("error", ANSWERED, ids=lambda e: e.__name__)
def test_what_may_pass_by_itself_and_nothing_else_says_when_to_come_back(error: type[TuitionError]) -> None:
    passing = error.status in (429, 502, 503, 504)
    assert passing == (issubclass(error, errors.Unavailable) or error is errors.TooManyRequests)
    assert issubclass(error, errors.Unavailable) == (error.retry_after_s is not None)


def test_a_problem_names_its_field_and_the_time_to_wait() -> None:
    found = api.problem(errors.Unprocessable("limit must be less", field="limit"))
    assert (found.status, found.body["field"]) == (422, "limit")
    assert found.headers["content-type"] == "application/problem+json"
    assert api.problem(errors.TooManyRequests("wait", 7)).headers["retry-after"] == "7"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_stripe_unavailable_says_how(status: int) -> None:
    assert api.problem(errors.StripeUnavailable("Stripe is busy", status)).status == status


@pytest.mark.parametrize(
    "error",
    [
        errors.StripeRefused("Your key sk_test_123 is wrong", 400, "x", None),
        errors.EventUnusable("secret"),
        TuitionError("x"),
    ],
)
def test_a_fault_of_ours_says_no_more_than_it_must(error: TuitionError) -> None:
    answered = api.problem(error)
    assert answered.status == 500
    assert str(error) not in str(answered.body["detail"])
