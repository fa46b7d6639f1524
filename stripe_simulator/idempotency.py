"""Idempotency keys. https://docs.stripe.com/api/idempotent_requests

The first answer of a key is kept once the endpoint began to execute, a 500 included, for 24 hours.
"""

from dataclasses import dataclass

from stripe_simulator.clock import Clock
from stripe_simulator.errors import StripeError, unvalidated

KEPT_SECONDS = 24 * 3600
LONGEST = 255


@dataclass
class Kept:
    """What a key stands for; `status` is None while its first request is in flight."""

    method: str
    path: str
    fingerprint: str
    request_id: str
    at: float
    status: int | None = None
    body: bytes = b""


class Keys:
    """All keys of the account."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.kept: dict[str, Kept] = {}

    def begin(self, key: str, method: str, path: str, fingerprint: str, request_id: str) -> Kept | None:
        """None when the request is the first of its key and may execute; else the answer to replay.

        Raises StripeError: 400 for another request under the same key, 409 while the first is in flight.
        """
        if len(key) > LONGEST:
            raise unvalidated(f"Idempotency keys are at most {LONGEST} characters long.")
        self._prune()
        kept = self.kept.get(key)
        if kept is None:
            self.kept[key] = Kept(method, path, fingerprint, request_id, self._clock.now())
            return None
        if (kept.method, kept.path) != (method, path):
            raise StripeError(
                400,
                "idempotency_error",
                f"Keys for idempotent requests can only be used for the same endpoint they were first used "
                f"for ('{kept.path}' vs '{path}'). Try using a key other than '{key}' if you meant to execute "
                "a different request.",
                stored=False,
            )
        if kept.fingerprint != fingerprint:
            raise StripeError(
                400,
                "idempotency_error",
                "Keys for idempotent requests can only be used with the same parameters they were first used "
                f"with. Try using a key other than '{key}' if you meant to execute a different request.",
                stored=False,
            )
        if kept.status is None:
            raise StripeError(
                409,
                "invalid_request_error",
                "There is currently another in-progress request using this Idempotent Key (that probably "
                "means you submitted twice, and the other request is still going through): "
                f"{key}. Please try again later.",
                stored=False,
                code="idempotency_key_in_use",
            )
        return kept

    def finish(self, key: str, status: int, body: bytes) -> None:
        """Keep the answer."""
        kept = self.kept.get(key)
        if kept is not None:
            kept.status, kept.body = status, body

    def forget(self, key: str) -> None:
        """The request did not begin to execute: the key is free again."""
        self.kept.pop(key, None)

    def _prune(self) -> None:
        """Drop what is older than a day: keys are kept in the order of their first use."""
        limit = self._clock.now() - KEPT_SECONDS
        while self.kept:
            key = next(iter(self.kept))
            if self.kept[key].at > limit:
                return
            del self.kept[key]
