"""Masks for the log of requests, which never keeps the number of a card or an account."""

import re
from typing import Any

NUMBERS = {"number", "account_number", "iban"}
"""The parameters that keep their last four characters."""
CODES = {"csc", "cvc", "cvv", "pin", "security_code"}
DIGITS = re.compile(r"\d(?:[ -]?\d){12,}")
"""A text that may have the number of a card: groups of digits with a space or a hyphen between them."""
GROUP = re.compile(r"\d+")
FIRST_DIGITS, MIN_DIGITS, MAX_DIGITS = "23456", 13, 19
"""The first digits of the cards that Stripe takes, and how many digits a number has."""


def mask_params(value: Any, name: str = "") -> Any:
    """Return a copy of a request's parameters without the numbers of cards and accounts."""
    if isinstance(value, dict):
        return {mask_text(key): mask_params(item, key.lower()) for key, item in value.items()}
    if isinstance(value, list):
        return [mask_params(item, name) for item in value]
    if name in CODES:
        return "•••"
    if name in NUMBERS:
        return f"••••{str(value)[-4:]}" if len(str(value)) > 4 else "••••"
    return mask_text(value) if isinstance(value, str) else value


def mask_text(text: str) -> str:
    """Return a text without the card numbers in it, wherever they are: all that have a valid check digit."""
    return DIGITS.sub(lambda match: _mask_groups(match[0]), text)


def _mask_groups(text: str) -> str:
    """Mask each card number that begins and ends with a group of digits."""
    groups = [match.span() for match in GROUP.finditer(text)]
    masked, end, index = "", 0, 0
    while index < len(groups):
        start = groups[index][0]
        ends = [stop for _, stop in groups[index : index + MAX_DIGITS] if stop - start < 2 * MAX_DIGITS]
        stop = next((stop for stop in ends if _is_card_number(text[start:stop])), None)
        if stop is not None:
            masked, end = f"{masked}{text[end:start]}••••{text[stop - 4 : stop]}", stop
        index += 1 if stop is None else 1 + ends.index(stop)
    return masked + text[end:]


def _is_card_number(text: str) -> bool:
    """Return whether a text has the form and the check digit of a card number."""
    if text[0] not in FIRST_DIGITS or len(text) < MIN_DIGITS:
        return False
    digits = [int(char) for char in reversed(text) if char.isdecimal()]
    if not MIN_DIGITS <= len(digits) <= MAX_DIGITS:
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
