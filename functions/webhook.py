"""POST /api/payments/webhook: receive an event from Stripe.

200: applied, applied before, foreign, or a release's test event. 400: not from Stripe. 5xx: a temporary failure, and
Stripe retries.
"""

import json

from tuition import clock, metrics, settings
from tuition.api import Reply, Request, endpoint
from tuition.core import signature
from tuition.core.errors import BadRequest, BodyTooLarge, SignatureRefused
from tuition.intake import stripe_events
from tuition.log import logger

EVENT_BYTES = 4608 * 1024
"""More than any event of Stripe, and within the 6 MB of an invocation, in which the body is escaped once more.

The largest is the update of a dispute with 150,000 characters of evidence and full metadata: 4.25 MB in ASCII
(`tests/tables/test_large_events.py` measures it).
"""


@endpoint
def handler(request: Request) -> Reply:
    body = _body(request)
    _verify(body, request.header("stripe-signature"))
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The signed body is not JSON.") from error
    outcome = stripe_events.apply(event)
    if outcome == "foreign":
        metrics.count("ForeignEvent")
    logger.info("event", outcome=outcome)
    return Reply(200, {"received": True, "outcome": outcome})


def _verify(body: bytes, header: str | None) -> None:
    """Raise `SignatureRefused` unless one of our secrets signed the body. A new endpoint's secret is read early."""
    try:
        try:
            signature.verify(body, header, settings.webhook_signing_secrets(), clock.now())
        except SignatureRefused:
            if not settings.are_signing_secrets_replaced():
                raise
            signature.verify(body, header, settings.webhook_signing_secrets(), clock.now())
    except SignatureRefused:
        metrics.count("SignatureRefused")
        raise


def _body(request: Request) -> bytes:
    try:
        return request.raw_body(EVENT_BYTES)
    except BodyTooLarge as error:
        raise BadRequest(str(error)) from error  # every refusal is a 400 here
