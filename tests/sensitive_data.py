"""Scanners for texts that Tuition must not store, log, send or archive: means to pay, keys, and personal data.

A scan must cost little, because it reads everything that the tests leave behind. So each pattern has a text that a
match contains, and looking for that text is fast.
"""

import re
from collections.abc import Iterator

DIGITS = re.compile(r"\d(?:[ -]?\d){12,}")
"""At least as many digits as the shortest card number has, perhaps in groups."""
NUMBER = re.compile(
    r"(?<!\d)(?:\d{13,19}|\d{4}(?:[ -]\d{4}){2}[ -]\d{1,4}(?:[ -]\d{3})?|\d{4}[ -]\d{6}[ -]\d{4,5})(?!\d)"
)
"""A number of 13 to 19 digits, or in the groups in which cards show it."""
NETWORKS = re.compile(r"4|5[1-5]|2[2-7]|3[47]|30[0-5]|3[689]|35|6(?:011|[2459])")
"""How the numbers of the networks begin: Visa, Mastercard, American Express, Diners, JCB, Discover, UnionPay."""
ID = re.compile(
    r"(?=\d*[a-f])[0-9a-f]{24,}|[a-z]_[0-9a-f]{20}(?![0-9a-z])|\b(?=\d*[a-f])(?:[0-9a-f]{16}|[0-9a-f]{20})\b"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
"""A hash, an id or fingerprint made of one, or a UUID. Its random digits would pass as a card number now and then."""

SECRETS = {
    "a client secret": ("_secret_", re.compile(r"_secret_")),
    "a Stripe API key": ("k_", re.compile(r"\b[rs]k_(?:test|live)_")),
    "a signing secret": ("whsec_", re.compile(r"whsec_")),
    "a key of AWS": ("IA", re.compile(r"\bA[KS]IA[0-9A-Z]{16}\b")),
    "a private key": ("PRIVATE KEY", re.compile(r"PRIVATE KEY")),
    "a token": ("eyJ", re.compile(r"\beyJ[\w-]{10}")),
}
"""Forbidden everywhere, each with a text that a match contains."""
PERSONAL = {
    "an email address": ("@", re.compile(r"[^\s\"'@]+@(?!email\.amazonses\.com)[^\s\"'@]+\.[a-z]{2,}")),
    "a URL": ("://", re.compile(r"(?<!endpoint URL: [\"'])(?<!endpoint URL: \\\")https?://")),
}
"""Forbidden in attributes that are not personal. MiniStack's id of an email only looks like an address.

botocore's errors name the endpoint of the AWS service that did not answer.
"""


def find_secrets(text: str) -> list[str]:
    """Return a description of each means to pay and each key in the text, with the match."""
    return [*_matches(SECRETS, text), *(f"a card number: {number}" for number in card_numbers(text))]


def find_personal(text: str) -> list[str]:
    """Return a description of each address in the text, with the match."""
    return list(_matches(PERSONAL, text))


def find_sensitive(text: str) -> list[str]:
    """Return a description of everything that no log line and no audit record may have, with the match."""
    return find_personal(text) + find_secrets(text)


def _matches(patterns: dict[str, tuple[str, re.Pattern[str]]], text: str) -> Iterator[str]:
    for name, (part, pattern) in patterns.items():
        if part in text and (match := pattern.search(text)):
            yield f"{name}: {match[0]}"


def card_numbers(text: str) -> list[str]:
    """Return what may be a card number: a network's prefix, its length, and digits that pass Luhn's check.

    A time in milliseconds begins with 1, as no number of a network does.
    """
    if not DIGITS.search(text):
        return []
    return [number for number in NUMBER.findall(ID.sub("#", text)) if _is_card(number)]


def _is_card(number: str) -> bool:
    digits = re.sub(r"\D", "", number)
    return bool(NETWORKS.match(digits)) and passes_luhn(digits)


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of those before it (ISO/IEC 7812-1)."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(value - 9 if value > 9 else value for value in doubled)) % 10 == 0
