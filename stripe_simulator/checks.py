"""What more than one resource checks of a text or a number, beyond its type. All raise StripeError 400 with `param`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from stripe_simulator.errors import StripeError, unvalidated
from stripe_simulator.store import Object, clone

EMAIL = re.compile(r"[!-?A-~]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
"""Stripe takes less than what may be verified elsewhere: a domain needs a dot, and all of it is ASCII."""
DESCRIPTOR_MOST = 22


def email(params: dict[str, Any], name: str) -> None:
    """An address that mail could be sent to, where one is given."""
    given = params.get(name)
    if given and (len(given) > 512 or not EMAIL.fullmatch(given)):
        raise unvalidated(f"Invalid email address: {given}", code="email_invalid", param=name)


def url(params: dict[str, Any], name: str) -> None:
    """An absolute http or https URL, where one is given."""
    given = params.get(name)
    if not given:
        return
    try:
        address = urlsplit(given)
        found = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:  # brackets that are no address, or a port that is none
        found = False
    if not found or re.search(r"\s", given):
        message = "Not a valid URL. An explicit scheme (such as https) must be provided."
        raise unvalidated(message, code="url_invalid", param=name)


def descriptor(params: dict[str, Any], name: str) -> None:
    """What a bank statement can show. https://docs.stripe.com/get-started/account/statement-descriptors"""
    given = params.get(name)
    if not given:
        return
    if len(given) > DESCRIPTOR_MOST:
        message = f"The statement descriptor must be at most {DESCRIPTOR_MOST} characters."
        raise unvalidated(message, param=name)
    if re.search(r"[<>\\'\"*]", given) or not re.search(r"[A-Za-z]", given):
        message = "The statement descriptor must contain at least one letter, and none of < > \\ ' \" *."
        raise unvalidated(message, param=name)


def at_least(params: dict[str, Any], name: str, least: int) -> None:
    """A number that is not too small, where one is given."""
    if isinstance(params.get(name), int) and params[name] < least:
        message = f"This value must be greater than or equal to {least}."
        raise unvalidated(message, code="parameter_invalid_integer", param=name)


@contextmanager
def unchanged_if_refused(stored: Object) -> Iterator[None]:
    """A request that is refused leaves the object as it was; a decline (402) has its effects."""
    before = clone(stored)
    try:
        yield
    except StripeError as error:
        if error.status != 402:
            stored.clear()
            stored.update(before)
        raise
