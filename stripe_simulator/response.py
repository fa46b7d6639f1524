"""An HTTP response, before it is written to a socket."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Response:
    """Status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)
