"""Idempotency keys.

https://docs.stripe.com/api/idempotent_requests

A key keeps the response of its first request for 24 hours, a 500 included, once the endpoint has begun to execute.
"""

from dataclasses import dataclass

from stripe_simulator.clock import Clock
from stripe_simulator.errors import StripeError, validation_error

RETENTION_S = 24 * 3600
MAX_LENGTH = 255


@dataclass
class IdempotencyRecord:
    """The first request of a key, and its response. `status` is None while that request is in flight."""

    method: str
    path: str
    fingerprint: str
    request_id: str
    at: float
    status: int | None = None
    body: bytes = b""


class IdempotencyKeys:
    """All idempotency keys of the account."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.records: dict[str, IdempotencyRecord] = {}

    def begin(self, key: str, method: str, path: str, fingerprint: str, request_id: str) -> IdempotencyRecord | None:
        """Return the record to replay, or None if the request is the key's first and may execute.

        Raises StripeError: 400 for another request under the same key, 409 while the first is in flight.
        """
        if len(key) > MAX_LENGTH:
            raise validation_error(f"Idempotency keys are at most {MAX_LENGTH} characters long.")
        self._prune()
        record = self.records.get(key)
        if record is None:
            self.records[key] = IdempotencyRecord(method, path, fingerprint, request_id, self._clock.now())
            return None
        if (record.method, record.path) != (method, path):
            raise StripeError(
                400,
                "idempotency_error",
                f"Keys for idempotent requests can only be used for the same endpoint they were first used "
                f"for ('{record.path}' vs '{path}'). Try using a key other than '{key}' if you meant to execute "
                "a different request.",
                stored=False,
            )
        if record.fingerprint != fingerprint:
            raise StripeError(
                400,
                "idempotency_error",
                "Keys for idempotent requests can only be used with the same parameters they were first used "
                f"with. Try using a key other than '{key}' if you meant to execute a different request.",
                stored=False,
            )
        if record.status is None:
            raise StripeError(
                409,
                "invalid_request_error",
                "There is currently another in-progress request using this Idempotent Key (that probably "
                "means you submitted twice, and the other request is still going through): "
                f"{key}. Please try again later.",
                stored=False,
                code="idempotency_key_in_use",
            )
        return record

    def finish(self, key: str, status: int, body: bytes) -> None:
        """Keep the response."""
        record = self.records.get(key)
        if record is not None:
            record.status, record.body = status, body

    def forget(self, key: str) -> None:
        """Free the key of a request that did not execute."""
        self.records.pop(key, None)

    def _prune(self) -> None:
        """Drop expired records, which come first: records are in the order of their first use."""
        limit = self._clock.now() - RETENTION_S
        while self.records:
            key = next(iter(self.records))
            if self.records[key].at > limit:
                return
            del self.records[key]
