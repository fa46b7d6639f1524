"""The attribute that stores a value as JSON."""

import json
import re
from typing import Any

from pynamodb.attributes import JSONAttribute

_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonAttribute(JSONAttribute):
    """A value stored as compact JSON in UTF-8. An item's size is limited, and an escaped emoji takes 12 bytes, not 4.

    Half a surrogate pair has no UTF-8, so it stays escaped.
    """

    def serialize(self, value: Any) -> str | None:
        """Return the value as JSON; None for None."""
        if value is None:
            return None
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text if text.isascii() else _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
