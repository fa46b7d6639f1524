"""POST /api/payments/webhook/: Stripe tells us what happened.

200: applied, applied before, or not ours. 400: not Stripe's. 5xx: may pass by itself, and Stripe delivers again.
"""

import json

from tuition import clock, metrics, settings
from tuition.api import Reply, Request, endpoint
from tuition.core import signature
from tuition.core.errors import BadRequest, BodyTooLarge
from tuition.intake import stripe_events
from tuition.log import logger

EVENT_BYTES = 128 * 1024
"""Above any event of Stripe's; escaped it may be three times as long, and an item of the quarantine holds 400 KB."""


@endpoint
def handler(request: Request) -> Reply:
    body = _body(request)
    secrets = settings.webhook_signing_secrets()
    signature.verify(body, request.header("stripe-signature"), secrets, clock.now())
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the signed body is not JSON") from error
    outcome = stripe_events.apply(event)
    if outcome == "foreign":
        metrics.count("ForeignEvent")
    logger.info("event", outcome=outcome)
    return Reply(200, {"received": True, "outcome": outcome})


def _body(request: Request) -> bytes:
    try:
        return request.raw_body(EVENT_BYTES)
    except BodyTooLarge as error:
        raise BadRequest(str(error)) from error  # refused is 400 here, whatever the reason
