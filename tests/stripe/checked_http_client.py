"""An HTTP client for the `stripe` package that checks every response against the package's types."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import stripe

from tests.stripe import typed_responses, typescript_responses


class CheckedHttpClient(stripe.RequestsClient):
    """Stripe's own HTTP client; a response that does not match the package's types fails the test."""

    operations: ClassVar[Counter[str]] = Counter()
    """How often each operation succeeded, in all clients."""

    def __init__(self, *, allow_unknown_fields: bool = False) -> None:
        """Allow unknown fields for Stripe itself, which adds fields without a new version."""
        super().__init__()
        self._allow_unknown_fields = allow_unknown_fields

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send a request and check its response, including its request id."""
        content, status, response_headers = super().request(method, url, headers, post_data)
        path = "/" + url.split("/", 3)[3]
        body = json.loads(content)
        problems = typed_responses.problems_of_response(method, path, status, body)
        problems += typescript_responses.problems(body) if status < 400 else []
        if self._allow_unknown_fields:
            problems = [problem for problem in problems if not problem.endswith(": unknown")]
        assert not problems, "\n".join(sorted(set(problems)))
        if status < 400:
            self.operations[typed_responses.operation_of(method, path) or ""] += 1
        assert response_headers["request-id"].startswith("req_")
        return content, status, response_headers
