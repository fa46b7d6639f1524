"""Stripe's own HTTP client, whose answers are not believed before they were held against their types."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import stripe

from tests.stripe import shapes


class Checked(stripe.RequestsClient):
    """Stripe's own HTTP client; each answer is held against the types of the package before it is believed."""

    seen: ClassVar[Counter[str]] = Counter()
    errors: ClassVar[Counter[int]] = Counter()

    def __init__(self, *, newer: bool = False) -> None:
        super().__init__()
        self._newer = newer  # Stripe itself adds fields without a new version

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content, status, answered = super().request(method, url, headers, post_data)
        path = "/" + url.split("/", 3)[3]
        wrong = shapes.problems_of_answer(method, path, status, json.loads(content))
        if self._newer:
            wrong = [one for one in wrong if not one.endswith(": unknown")]
        assert not wrong, "\n".join(sorted(set(wrong)))
        if status < 400:
            self.seen[shapes.operation_of(method, path) or ""] += 1
        else:
            self.errors[status] += 1
        assert answered["request-id"].startswith("req_")
        return content, status, answered
