"""The error tree and the problem responses."""

import re
from collections.abc import Iterator

import pytest

from tuition import api
from tuition.core import errors
from tuition.core.errors import TuitionError


def error_classes(root: type[TuitionError] = TuitionError) -> Iterator[type[TuitionError]]:
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from error_classes(child)


HTTP_ERRORS = [e for e in error_classes() if e.type != TuitionError.type]


def test_the_tree_in_the_docstring_lists_every_error() -> None:
    listed = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert listed == {error.__name__ for error in error_classes()}


def test_every_http_error_has_a_unique_type_and_a_title() -> None:
    types = [error.type for error in HTTP_ERRORS]
    assert len(set(types)) == len(types)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", type_) for type_ in types)
    assert all(error.title != TuitionError.title for error in HTTP_ERRORS)


@pytest.mark.parametrize("error", HTTP_ERRORS, ids=lambda e: e.__name__)
def test_exactly_the_temporary_errors_say_when_to_retry(error: type[TuitionError]) -> None:
    is_temporary = error.status in (429, 502, 503, 504)
    assert is_temporary == (issubclass(error, errors.Unavailable) or error is errors.TooManyRequests)
    assert issubclass(error, errors.Unavailable) == (error.retry_after_s is not None)


def test_a_problem_has_its_field_and_the_time_to_wait() -> None:
    response = api.problem(errors.Unprocessable("limit must be less", field="limit"))
    assert (response.status, response.body["field"]) == (422, "limit")
    assert response.headers["content-type"] == "application/problem+json"
    assert api.problem(errors.TooManyRequests("wait", 7)).headers["retry-after"] == "7"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_stripe_unavailable_keeps_its_status(status: int) -> None:
    assert api.problem(errors.StripeUnavailable("Stripe is busy", status)).status == status


@pytest.mark.parametrize(
    "error",
    [
        errors.StripeRefused("Your key sk_test_123 is wrong", 400, "x", None),
        errors.EventUnusable("secret"),
        TuitionError("x"),
    ],
)
def test_an_internal_error_does_not_expose_its_message(error: TuitionError) -> None:
    response = api.problem(error)
    assert response.status == 500
    assert str(error) not in str(response.body["detail"])
