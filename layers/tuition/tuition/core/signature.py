"""Verify Stripe's webhook signature over the raw bytes, without loading `stripe`.

Source: https://docs.stripe.com/webhooks#verify-manually
"""

import hashlib
import hmac
from collections.abc import Iterable

from tuition.core.errors import SignatureRefused

TOLERANCE_S = 300


def verify(body: bytes, header: str | None, secrets: Iterable[str], now: float) -> None:
    """Raise `SignatureRefused` unless one of the secrets signed exactly these bytes within the last 300 s.

    `header` is `Stripe-Signature`: `t=<unix>,v1=<hex>[,v1=<hex>…][,v0=…]`. No secret at all refuses everything.
    """
    time, signatures = _parse(header or "")
    signed = f"{time}.".encode() + body
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    if not expected:
        raise SignatureRefused("No webhook secret is configured. See docs/setup.md.")
    matches = [hmac.compare_digest(e.encode(), s.encode()) for e in expected for s in signatures]
    if not any(matches):
        raise SignatureRefused("No signature matches. Check the endpoint's signing secret.")
    if abs(now - time) > TOLERANCE_S:
        raise SignatureRefused(
            f"The signature is more than {TOLERANCE_S} s old or in the future. Check the clock; it may be a replay."
        )


def _parse(header: str) -> tuple[int, list[str]]:
    time, signatures = None, []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and time is None and value.isascii() and value.isdigit() and len(value) < 16:
            time = int(value)
        elif name == "v1":
            signatures.append(value)
    if time is None or not signatures:
        raise SignatureRefused("The Stripe-Signature header is missing or not of the form t=…,v1=…")
    return time, signatures
