"""Masks for the log of requests, which never keeps the number of a card or an account."""

import re
from typing import Any

NUMBERS = {"number", "account_number", "iban"}
"""The parameters that keep their last four characters."""
CODES = {"cvc", "pin"}
CARD_NUMBER = re.compile(r"\d(?:[ -]?\d){12,18}")
"""The form of a card number in a parameter of any name, also a misspelled one."""


def mask_params(value: Any, name: str = "") -> Any:
    """Return a copy of a request's parameters without the numbers of cards and accounts."""
    if isinstance(value, dict):
        return {key: mask_params(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [mask_params(item, name) for item in value]
    if name in CODES:
        return "•••"
    if name in NUMBERS or (isinstance(value, str) and _is_card_number(value)):
        return f"••••{str(value)[-4:]}" if len(str(value)) > 4 else "••••"
    return value


def _is_card_number(text: str) -> bool:
    """Return whether a text has the form and the check digit of a card number."""
    if not CARD_NUMBER.fullmatch(text):
        return False
    digits = [int(char) for char in reversed(text) if char.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
