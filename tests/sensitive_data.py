"""Patterns that no log line and no audit record may match: personal data, and anything that can be used to pay."""

import re

PATTERNS = {
    "an email address": r"[^\s\"'@]+@[^\s\"'@]+\.[a-z]{2,}",
    "a client secret": r"_secret_",
    "a Stripe API key": r"\b[rs]k_(test|live)_",
    "a signing secret": r"whsec_",
    "a token": r"\beyJ[\w-]{10}",
    "a card number": r"\b[2-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{3,4}\b",
    "a URL": r"https?://",
}


def find_sensitive(text: str) -> list[str]:
    """Return a description of each pattern that the text matches, with the match."""
    return [f"{name}: {match[0]}" for name, pattern in PATTERNS.items() if (match := re.search(pattern, text))]
