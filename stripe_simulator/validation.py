"""Checks of parameters that more than one resource needs. All raise StripeError 400 with `param`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from stripe_simulator.errors import StripeError, validation_error
from stripe_simulator.store import Object, clone

EMAIL = re.compile(r"[!-?A-~]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
"""Stripe is stricter than other systems that verify an address: the domain needs a dot, and all of it is ASCII."""
MAX_DESCRIPTOR_LENGTH = 22


def _param(path: str, name: str) -> str:
    """Return the full name of a parameter: `payment_intent_data[receipt_email]` for a path and a name."""
    return f"{path}[{name}]" if path else name


def check_email(params: dict[str, Any], name: str, path: str = "") -> None:
    """Check that a parameter, if present, is an email address."""
    value = params.get(name)
    if value and (len(value) > 512 or not EMAIL.fullmatch(value)):
        raise validation_error(f"Invalid email address: {value}", code="email_invalid", param=_param(path, name))


def check_url(params: dict[str, Any], name: str) -> None:
    """Check that a parameter, if present, is an absolute http or https URL."""
    value = params.get(name)
    if not value:
        return
    try:
        url = urlsplit(value)
        valid = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:  # brackets without an IPv6 address, or an invalid port
        valid = False
    if not valid or re.search(r"\s", value):
        message = "Not a valid URL. An explicit scheme (such as https) must be provided."
        raise validation_error(message, code="url_invalid", param=name)


def check_statement_descriptor(params: dict[str, Any], name: str, path: str = "") -> None:
    """Check that a bank statement can show a parameter.

    https://docs.stripe.com/get-started/account/statement-descriptors
    """
    value = params.get(name)
    if not value:
        return
    if len(value) > MAX_DESCRIPTOR_LENGTH:
        message = f"The statement descriptor must be at most {MAX_DESCRIPTOR_LENGTH} characters."
        raise validation_error(message, param=_param(path, name))
    if re.search(r"[<>\\'\"*]", value) or not re.search(r"[A-Za-z]", value):
        message = "The statement descriptor must contain at least one letter, and none of < > \\ ' \" *."
        raise validation_error(message, param=_param(path, name))


def check_minimum(params: dict[str, Any], name: str, minimum: int) -> None:
    """Check that a parameter, if present, is not below a minimum."""
    if isinstance(params.get(name), int) and params[name] < minimum:
        message = f"This value must be greater than or equal to {minimum}."
        raise validation_error(message, code="parameter_invalid_integer", param=name)


@contextmanager
def restore_on_error(stored: Object) -> Iterator[None]:
    """Restore the object if the request fails. A decline (402) keeps its effects."""
    before = clone(stored)
    try:
        yield
    except StripeError as error:
        if error.status != 402:
            stored.clear()
            stored.update(before)
        raise
