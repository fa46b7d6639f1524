"""Verify and make Stripe's webhook signature over the raw bytes, without importing `stripe`.

Source: https://docs.stripe.com/webhooks#verify-manually
"""

import hashlib
import hmac
from collections.abc import Iterable

from tuition.core.errors import SignatureRefused

TOLERANCE_S = 300
"""The largest difference between the signature's time and the clock, against replays."""


def sign(body: bytes, secret: str, now: float) -> str:
    """Return the `Stripe-Signature` header with which Stripe would send this body."""
    return f"t={int(now)},v1={_v1(body, secret, int(now))}"


def verify(body: bytes, header: str | None, secrets: Iterable[str], now: float) -> None:
    """Raise `SignatureRefused` unless one of the secrets signed exactly these bytes within 300 s of `now`.

    `header` is `Stripe-Signature`: `t=<unix>,v1=<hex>[,v1=<hex>…][,v0=…]`. Without a secret, all are refused.
    """
    time, signatures = _parse(header or "")
    expected = [_v1(body, secret, time) for secret in secrets]
    if not expected:
        raise SignatureRefused("No webhook secret is configured. See docs/setup.md.")
    matches = [hmac.compare_digest(e.encode(), s.encode()) for e in expected for s in signatures]
    if not any(matches):
        raise SignatureRefused("No signature matches. Check the endpoint's signing secret.")
    if abs(now - time) > TOLERANCE_S:
        raise SignatureRefused(
            f"The signature's time is more than {TOLERANCE_S} s from now. Check the clock; it may be a replay."
        )


def _v1(body: bytes, secret: str, time: int) -> str:
    return hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()


def _parse(header: str) -> tuple[int, list[str]]:
    time, signatures = None, []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and time is None and value.isascii() and value.isdigit() and len(value) < 16:
            time = int(value)
        elif name == "v1":
            signatures.append(value)
    if time is None or not signatures:
        raise SignatureRefused("The Stripe-Signature header is missing or invalid. Send it as t=…,v1=….")
    return time, signatures
