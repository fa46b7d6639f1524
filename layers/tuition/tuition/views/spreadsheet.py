"""CSV that is safe in a spreadsheet: no cell of it is evaluated as a formula.

Sources: https://owasp.org/www-community/attacks/CSV_Injection, https://www.rfc-editor.org/rfc/rfc4180
"""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

DELIMITERS = r",;|\t\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
"""Each begins a cell or a row in some spreadsheet. Excel splits at `;` where a comma is the decimal point, and so do
import dialogs, which can ignore quotes too."""
IGNORED = r"\s\"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
"""Blanks, quotes, and characters without a visible form: spreadsheets ignore them before a formula."""
SIGNS = r"=+\-@\u207a-\u207c\u208a-\u208c\u2212\ufb29\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20"
"""A formula begins with one of the first four, or with a character that Unicode normalises to one of them."""
FORMULA = re.compile(rf"^(?=[{DELIMITERS}])|(?:^|(?<=[{DELIMITERS}]))(?=(?:(?![{DELIMITERS}])[{IGNORED}])*[{SIGNS}])")
"""Where a spreadsheet could begin to read a formula: at the start of a text or after a delimiter."""


def harmless(cell: str) -> str:
    """Return a text that no spreadsheet takes for a formula, whichever delimiter it uses."""
    return FORMULA.sub("'", cell)


def cell(value: Any) -> str | int:
    """Return a value, of JSON types, as a cell. A list becomes a text with blanks between its parts."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return harmless(" ".join(map(str, value)))
    return value if isinstance(value, int) else harmless(value or "")


def encode(rows: Sequence[Sequence[str | int]]) -> bytes:
    """Encode rows as CSV (RFC 4180) in UTF-8."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
