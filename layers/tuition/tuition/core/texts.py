"""Texts that people write: which characters they may have, and how two spellings of one text become one."""

import re
import unicodedata

FORBIDDEN = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")
"""Control characters, lone surrogates, and characters that change the direction of the text around them.

Source: https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
"""


def caseless(text: str) -> str:
    """Return a text without case, and composed (Unicode NFC), so that two spellings of it are equal.

    Casefolding can decompose a letter, so it comes first. https://www.unicode.org/reports/tr15/
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def is_mark(character: str) -> bool:
    """Whether a character belongs to the letter before it, such as a vowel of Hindi or an accent."""
    return unicodedata.category(character).startswith("M")
